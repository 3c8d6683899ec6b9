//! `tidegate profile`: what is known of kinds of devices.

mod learn;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use cloud::devices::Devices;
use jiff::Timestamp;
use serde::Serialize;
use telemetry::{Latest, Micros, Profile};

pub use learn::{Question, learn};

use crate::alerts::{count, time};
use crate::aws::patience;
use crate::console::{note, print};
use crate::documents;
use crate::error::{Context as _, Result};
use crate::query::json_lines;
use crate::table::Table;
use crate::target::{Source, Target};

/// Devices that are compared with a profile.
const MAX_DEVICES: usize = 5_000;

/// Says of each file what the profile in it does, or what is wrong with it. Returns whether all are good.
///
/// # Errors
/// If a file cannot be read.
pub fn check(files: &[PathBuf]) -> Result<bool> {
    documents::check::<Profile>(files)
}

/// The profiles of files, if all of them are valid.
///
/// # Errors
/// If one is not, or a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<Vec<Arc<Profile>>> {
    Ok(documents::good(files)?.into_iter().map(Arc::new).collect())
}

/// Stores the profiles of files, all or none if one is not valid; says how many devices each is about.
///
/// # Errors
/// If a file is not valid, or a profile cannot be stored.
pub async fn put(target: &Target, files: &[PathBuf]) -> Result<()> {
    let good: Vec<Profile> = documents::good(files)?;
    let source = target.open_stack().await?;
    documents::put(&source, &good, Micros(Timestamp::now().as_microsecond())).await?;
    if let Err(error) = compare(&source, &good).await {
        note(&format!(
            "the profiles are stored, but could not be compared with the devices: {}",
            error.report()
        ));
    }
    Ok(())
}

/// Prints all profiles: a table, or one object a line.
///
/// # Errors
/// If they cannot be read.
pub async fn list(target: &Target, as_json: bool) -> Result<()> {
    let source = target.open_stack().await?;
    let profiles = documents::list(&source).await?;
    print(&if as_json { profile_lines(&profiles)? } else { profile_table(&profiles) })
}

/// Prints a profile as it is stored.
///
/// # Errors
/// If there is none of this name, or it cannot be read.
pub async fn show(target: &Target, name: &str) -> Result<()> {
    documents::show::<Profile>(target, name).await
}

/// Removes profiles.
///
/// # Errors
/// If one of them does not exist; the others are removed.
pub async fn delete(target: &Target, names: &[String]) -> Result<()> {
    let consequence = "what its devices send is read without a deleted profile within a minute";
    documents::delete::<Profile>(target, names, consequence).await
}

async fn compare(source: &Source, profiles: &[Profile]) -> Result<()> {
    let devices = Devices::new(source.clients.dynamodb.clone(), source.devices()?);
    let listed = devices.list_some(MAX_DEVICES, patience()).await;
    let (devices, are_all) = listed.or_problem(|| "cannot read the devices table")?;
    profiles.iter().try_for_each(|profile| print(&comparison(profile, &devices, are_all)))
}

/// How many devices have ids that fit; of topics it is not known which devices come on them.
fn comparison(profile: &Profile, devices: &[Latest], are_all: bool) -> String {
    let name = &profile.name;
    if profile.devices.is_empty() {
        return format!("{name}: about whatever comes on {}\n", words::topics(profile));
    }
    let fitting = devices.iter().filter(|latest| profile.names(&latest.device)).count();
    let heard = count(devices.len(), "device");
    let of =
        if are_all { format!("the {heard} heard so far") } else { format!("the first {heard} looked at") };
    let mut text = format!("{name}: about {fitting} of {of}\n");
    if fitting == 0 {
        text.push_str(&format!(
            "  warning: it is about {}, and none of them has been heard\n",
            words::devices(profile)
        ));
    }
    text
}

fn profile_table(profiles: &[(Arc<Profile>, Micros)]) -> String {
    let mut table = Table::new(["name", "devices", "topics", "format", "interval", "metrics", "updated"]);
    for (profile, updated) in profiles {
        table.push([
            profile.name.to_string(),
            words::devices(profile),
            words::topics(profile),
            words::format(profile),
            profile.interval.map_or(String::new(), |interval| interval.to_string()),
            profile.metrics.len().to_string(),
            time(*updated),
        ]);
    }
    table.render()
}

fn profile_lines(profiles: &[(Arc<Profile>, Micros)]) -> Result<String> {
    #[derive(Serialize)]
    struct Line {
        name: String,
        updated: String,
        profile: serde_json::Value,
    }
    let line = |(profile, updated): &(Arc<Profile>, Micros)| {
        Ok(Line {
            name: profile.name.to_string(),
            updated: updated.to_string(),
            profile: documents::stored(&**profile)?,
        })
    };
    json_lines(profiles.iter().map(line).collect::<Result<Vec<_>>>()?)
}
