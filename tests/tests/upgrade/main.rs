//! An owner's stack is updated, never emptied. What earlier versions have stored lies in `tests/upgrade/{version}/`, with
//! what they read of it themselves. This version has to read the same, and go on from there.
//!
//! Readings are compared by the fields that were recorded: a later version may know more of a reading, never less.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod config;
mod devices;
mod lake;
mod quarantine;
mod readings;
mod said;
mod template;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use telemetry::attribute::Item;
use tests::fake_aws::Handle;

/// The version whose devices and alerts the tests know by name.
const FIRST: &str = "0.1";

/// What a version has stored.
struct Recording(PathBuf);

impl Recording {
    fn all() -> Vec<Self> {
        let entries = fs::read_dir(upgrade()).unwrap().map(|entry| entry.unwrap());
        let is_version = |name: &OsStr| name.to_string_lossy().starts_with(|c: char| c.is_ascii_digit());
        let versions = entries.filter(|entry| is_version(&entry.file_name()));
        let all: Vec<Self> = versions.map(|entry| Self(entry.path())).collect();
        assert!(!all.is_empty());
        all
    }

    /// That of [`FIRST`].
    fn first() -> Self {
        Self(upgrade().join(FIRST))
    }

    fn text(&self, path: &str) -> String {
        let path = self.0.join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A file of JSON lines.
    fn lines(&self, path: &str) -> Vec<Value> {
        self.text(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The items of a table in DynamoDB's JSON.
    fn items(&self, table: &str) -> Vec<Map<String, Value>> {
        let item = |line| if let Value::Object(item) = line { item } else { panic!("{line} is no item") };
        let items: Vec<_> = self.lines(&format!("tables/{table}.jsonl")).into_iter().map(item).collect();
        assert!(!items.is_empty(), "the table {table} is empty");
        items
    }

    /// The files below a folder by their path from `base`: the objects of a bucket by their keys.
    fn files(&self, base: &str, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let base = self.0.join(base);
        let (mut files, mut folders) = (BTreeMap::new(), vec![base.join(folder)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
                    files.insert(key, fs::read(&path).unwrap());
                }
            }
        }
        assert!(!files.is_empty());
        files
    }

    /// Puts the items of a table into the fake's table of this name.
    fn put(&self, aws: &Handle, table: &str) {
        for item in self.items(table) {
            aws.put_item(table, item).unwrap();
        }
    }
}

fn upgrade() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("upgrade")
}

/// An item as the crates read it.
fn attributes(item: &Map<String, Value>) -> Item {
    serde_json::from_value(Value::Object(item.clone())).unwrap()
}

/// The text of an attribute.
fn s<'a>(item: &'a Map<String, Value>, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_else(|| panic!("{name} of {item:?} is no text"))
}

/// The integer that an attribute is.
fn n(attribute: &Value) -> i64 {
    attribute["N"].as_str().unwrap_or_else(|| panic!("{attribute} is no number")).parse().unwrap()
}

/// An empty or damaged file would let a test pass that compares nothing.
#[test]
fn every_recording_is_whole() {
    for recording in Recording::all() {
        for name in ["readings", "devices", "alerts", "documents", "shadows", "lake"] {
            assert!(!recording.lines(&format!("{name}.jsonl")).is_empty(), "{name}");
        }
        assert!(recording.0.join("README.md").exists());
    }
}
