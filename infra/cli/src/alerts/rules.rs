//! `tidegate alert-rule`: what readings are judged by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alert::Rule;
use cloud::devices::Devices;
use cloud::rules::Rules;
use serde::Serialize;
use telemetry::{Latest, Micros};

use super::words::{self, count};
use super::{fit, load, no_rule, now, unreadable};
use crate::aws::patience;
use crate::console::{note, print};
use crate::decode::read;
use crate::error::{Context as _, Error, Result};
use crate::query::json_lines;
use crate::table::Table;
use crate::target::{Source, Target};

/// Devices that are compared with a rule; what they report is known from them.
const MAX_DEVICES: usize = 5_000;

/// A file, and the rule in it or all that is wrong with it.
struct Checked {
    file: PathBuf,
    rule: Result<Rule, Vec<String>>,
}

/// Says of each file what the rule in it does, or what is wrong with it. Returns whether all are good.
///
/// # Errors
/// If a file cannot be read.
pub fn check(files: &[PathBuf]) -> Result<bool> {
    let checked = check_files(files)?;
    let mut text = String::new();
    for Checked { file, rule } in &checked {
        match rule {
            Ok(rule) => {
                text.push_str(&format!("{}: valid: {}\n", file.display(), rule.name));
                for line in words::summary(rule) {
                    text.push_str(&format!("  {line}\n"));
                }
            }
            Err(problems) => {
                problems
                    .iter()
                    .for_each(|problem| text.push_str(&format!("{}: {problem}\n", file.display())));
            }
        }
    }
    print(&text)?;
    Ok(checked.iter().all(|checked| checked.rule.is_ok()))
}

/// Stores the rules of files, all or none if one is not valid; says what the devices of today make of each.
///
/// # Errors
/// If a file is not valid, or a rule cannot be stored.
pub async fn put(target: &Target, files: &[PathBuf]) -> Result<()> {
    let good = good_rules(files)?;
    let source = target.open_stack().await?;
    let (table, _) = (store(&source)?, source.devices()?);
    for rule in &good {
        table.put(rule, now(), patience()).await.or_problem(|| format!("cannot store {}", rule.name))?;
        print(&format!("{}: stored\n", rule.name))?;
    }
    note("the functions take up a changed rule within a minute");
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
    let loaded = load(&source).await?;
    if loaded.good.is_empty() {
        note("there is no rule yet; `tidegate alert-rule put FILE` stores one");
    }
    print(&if as_json { rule_lines(&loaded.good)? } else { rule_table(&loaded.good) })
}

/// Prints a rule as it is stored.
///
/// # Errors
/// If there is none of this name, or it cannot be read.
pub async fn show(target: &Target, name: &str) -> Result<()> {
    let source = target.open_stack().await?;
    let loaded = load(&source).await?;
    let rule = loaded.good.iter().find(|(rule, _)| *rule.name == *name);
    match (rule, loaded.broken.iter().find(|(broken, _)| broken == name)) {
        (Some((rule, _)), _) => print(&pretty(rule.to_json())?),
        (None, Some(_)) => Err(unreadable(name)),
        (None, None) => Err(no_rule(name)),
    }
}

/// Removes rules.
///
/// # Errors
/// If one of them does not exist; the others are removed.
pub async fn delete(target: &Target, names: &[String]) -> Result<()> {
    let source = target.open_stack().await?;
    let table = store(&source)?;
    let mut unknown = None;
    for name in names {
        if table.delete(name, patience()).await.or_problem(|| format!("cannot delete {name}"))? {
            print(&format!("{name}: deleted\n"))?;
        } else {
            unknown.get_or_insert_with(|| no_rule(name));
            note(&format!("{name}: there is no such rule"));
        }
    }
    note("what a deleted rule had raised is cleared within a minute or two");
    unknown.map_or(Ok(()), Err)
}

/// The rule in a file.
pub(super) fn read_rule(file: &Path) -> Result<Rule> {
    let mut rules = good_rules(&[file.to_owned()])?;
    rules.pop().ok_or_else(|| Error::negative("there is no rule"))
}

/// The rules of files, if all of them are valid.
fn good_rules(files: &[PathBuf]) -> Result<Vec<Rule>> {
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for Checked { file, rule } in check_files(files)? {
        match rule {
            Ok(rule) => good.push(rule),
            Err(found) => {
                problems.extend(found.iter().map(|problem| format!("{}: {problem}", file.display())));
            }
        }
    }
    if problems.is_empty() {
        return Ok(good);
    }
    Err(Error::negative("nothing is done, because not all rules are valid").with_details(problems))
}

fn check_files(files: &[PathBuf]) -> Result<Vec<Checked>> {
    let mut checked: Vec<Checked> = Vec::new();
    for file in files {
        let rule = read_toml(&read(file)?);
        let name = rule.as_ref().ok().map(|rule| Arc::clone(&rule.name));
        let twin = checked
            .iter()
            .find(|other| name.is_some() && other.rule.as_ref().ok().map(|rule| &rule.name) == name.as_ref());
        let rule = match (twin, name) {
            (Some(twin), Some(name)) => {
                Err(vec![format!("the name {name} is that of {}, too", twin.file.display())])
            }
            _ => rule,
        };
        checked.push(Checked { file: file.clone(), rule });
    }
    Ok(checked)
}

fn read_toml(bytes: &[u8]) -> Result<Rule, Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| vec!["is not UTF-8 text".to_owned()])?;
    Rule::from_toml(text).map_err(|error| error.problems().to_vec())
}

fn store(source: &Source) -> Result<Rules> {
    Ok(Rules::new(source.clients.dynamodb.clone(), source.config()?))
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
    let mut text = format!("{}: about {} of {of}\n", rule.name, found.devices);
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
        let document = serde_json::from_str(rule.to_json()).or_problem(|| "cannot read JSON")?;
        Ok(Line {
            name: rule.name.to_string(),
            severity: rule.severity.as_str(),
            updated: updated.to_string(),
            rule: document,
        })
    };
    json_lines(rules.iter().map(line).collect::<Result<Vec<_>>>()?)
}

fn pretty(json: &str) -> Result<String> {
    let sentence = || "cannot read the stored JSON";
    let value: serde_json::Value = serde_json::from_str(json).or_problem(sentence)?;
    serde_json::to_string_pretty(&value).or_problem(sentence)
}
