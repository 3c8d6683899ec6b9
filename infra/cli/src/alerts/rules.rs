//! `tidegate alert-rule`: what readings are judged by.

use std::path::PathBuf;
use std::sync::Arc;

use alert::Rule;
use cloud::devices::Devices;
use serde::Serialize;
use telemetry::{Latest, Micros};

use super::words::{self, count};
use super::{fit, now};
use crate::aws::patience;
use crate::console::{note, print};
use crate::documents;
use crate::error::{Context as _, Result};
use crate::query::json_lines;
use crate::table::Table;
use crate::target::{Source, Target};

/// Devices that are compared with a rule; what they report is known from them.
const MAX_DEVICES: usize = 5_000;

/// Says of each file what the rule in it does, or what is wrong with it. Returns whether all are good.
///
/// # Errors
/// If a file cannot be read.
pub fn check(files: &[PathBuf]) -> Result<bool> {
    documents::check::<Rule>(files)
}

/// Stores the rules of files, all or none if one is not valid; says what the devices of today make of each.
///
/// # Errors
/// If a file is not valid, or a rule cannot be stored.
pub async fn put(target: &Target, files: &[PathBuf]) -> Result<()> {
    let good = documents::good(files)?;
    let source = target.open_stack().await?;
    // Whatever is missing is missed before anything is stored.
    source.devices()?;
    documents::put(&source, &good, now()).await?;
    if let Err(error) = compare(&source, &good).await {
        note(&format!(
            "the rules are stored, but could not be compared with the devices: {}",
            error.report()
        ));
    }
    Ok(())
}

/// Prints all rules: a table, or one object a line.
///
/// # Errors
/// If they cannot be read.
pub async fn list(target: &Target, as_json: bool) -> Result<()> {
    let source = target.open_stack().await?;
    let rules = documents::list(&source).await?;
    print(&if as_json { rule_lines(&rules)? } else { rule_table(&rules) })
}

/// Prints a rule as it is stored.
///
/// # Errors
/// If there is none of this name, or it cannot be read.
pub async fn show(target: &Target, name: &str) -> Result<()> {
    documents::show::<Rule>(target, name).await
}

/// Removes rules.
///
/// # Errors
/// If one of them does not exist; the others are removed.
pub async fn delete(target: &Target, names: &[String]) -> Result<()> {
    let consequence = "what a deleted rule had raised is cleared within a minute or two";
    documents::delete::<Rule>(target, names, consequence).await
}

/// Says how many devices each rule is about, and warns of what it will not judge.
async fn compare(source: &Source, rules: &[Rule]) -> Result<()> {
    let devices = Devices::new(source.clients.dynamodb.clone(), source.devices()?);
    let listed = devices.list_some(MAX_DEVICES, patience()).await;
    let (devices, are_all) = listed.or_problem(|| "cannot read the devices table")?;
    rules.iter().try_for_each(|rule| print(&comparison(rule, &devices, are_all)))
}

fn comparison(rule: &Rule, devices: &[Latest], are_all: bool) -> String {
    let found = fit::fit(rule, devices);
    let of = if are_all {
        format!("the {} heard so far", count(devices.len(), "device"))
    } else {
        format!("the first {} looked at, which are not all", devices.len())
    };
    // Their ids alone are looked at.
    let as_far = rule.profile().map_or_else(String::new, |profile| {
        format!(", as far as their messages are read by the profile {profile}")
    });
    let mut text = format!("{}: about {} of {of}{as_far}\n", rule.name, found.devices);
    if found.devices == 0 {
        text.push_str(&format!(
            "  warning: it is about {}, and none of them has been heard\n",
            words::scope(rule)
        ));
    }
    for warning in found.warnings {
        text.push_str(&format!("  warning: {warning}\n"));
    }
    text
}

fn rule_table(rules: &[(Arc<Rule>, Micros)]) -> String {
    let mut table = Table::new(["name", "severity", "devices", "condition", "for", "updated"]);
    for (rule, updated) in rules {
        table.push([
            rule.name.to_string(),
            rule.severity.to_string(),
            words::scope(rule),
            words::condition(rule),
            if rule.holds_for.is_zero() { String::new() } else { rule.holds_for.to_string() },
            words::time(*updated),
        ]);
    }
    table.render()
}

fn rule_lines(rules: &[(Arc<Rule>, Micros)]) -> Result<String> {
    #[derive(Serialize)]
    struct Line {
        name: String,
        severity: &'static str,
        updated: String,
        rule: serde_json::Value,
    }
    let line = |(rule, updated): &(Arc<Rule>, Micros)| {
        Ok(Line {
            name: rule.name.to_string(),
            severity: rule.severity.as_str(),
            updated: updated.to_string(),
            rule: documents::stored(&**rule)?,
        })
    };
    json_lines(rules.iter().map(line).collect::<Result<Vec<_>>>()?)
}
