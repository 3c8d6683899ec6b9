//! The documentation's table of keys and the JSON schema are those of the code, and hold of every profile there is.
//!
//! `UPDATE_GOLDENS=1 cargo test -p telemetry --test grammar` writes both anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use telemetry::{Profile, profile_keys_markdown_table, profile_schema};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn check(path: &str, expected: &str) {
    let path = root().join(path);
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever changes the grammar, not configuration"
    )]
    if std::env::var("UPDATE_GOLDENS").is_ok() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "{}: UPDATE_GOLDENS=1 writes it anew", path.display());
}

#[test]
fn the_page_has_the_table_of_the_code() {
    let page = fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    let (before, rest) = page.split_once("<!-- keys -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /keys -->").unwrap();
    let table = profile_keys_markdown_table();
    check(
        "docs/profiles.md",
        &format!("{before}<!-- keys -->\n{}\n\n<!-- /keys -->{after}", table.trim_end()),
    );
}

#[test]
fn the_schema_is_that_of_the_code() {
    check("docs/profile.schema.json", &profile_schema());
}

/// Why a value is not as a schema says: of JSON Schema, the words that this one has.
fn problem(value: &Value, schema: &Value) -> Option<String> {
    let schema = schema.as_object().unwrap();
    for (word, says) in schema {
        let found = match word.as_str() {
            "$schema" | "title" | "description" => None,
            "type" => (!is_of_type(value, says.as_str().unwrap())).then(|| format!("{value} is no {says}")),
            "enum" => {
                (!says.as_array().unwrap().contains(value)).then(|| format!("{value} is none of {says}"))
            }
            "const" => (value != says).then(|| format!("{value} is not {says}")),
            "minimum" => {
                (value.as_i64().unwrap() < says.as_i64().unwrap()).then(|| format!("{value} is less"))
            }
            "maximum" => {
                (value.as_i64().unwrap() > says.as_i64().unwrap()).then(|| format!("{value} is more"))
            }
            "minItems" => (value.as_array().unwrap().len() < says.as_u64().unwrap() as usize)
                .then(|| format!("{value} is short")),
            "maxItems" => (value.as_array().unwrap().len() > says.as_u64().unwrap() as usize)
                .then(|| format!("{value} is long")),
            "items" => value.as_array().into_iter().flatten().find_map(|element| problem(element, says)),
            "required" => says.as_array().unwrap().iter().find_map(|name| {
                value.get(name.as_str().unwrap()).is_none().then(|| format!("{name} is missing"))
            }),
            "properties" => {
                says.as_object().unwrap().iter().find_map(|(name, says)| problem(value.get(name)?, says))
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let others = value.as_object().into_iter().flatten();
                let mut others =
                    others.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
                match says {
                    Value::Bool(false) => others.next().map(|(name, _)| format!("{name} is no key")),
                    says => others.find_map(|(_, value)| problem(value, says)),
                }
            }
            "anyOf" => {
                let ways = says.as_array().unwrap();
                let problems = ways.iter().map(|way| problem(value, way)).collect::<Option<Vec<_>>>();
                problems.map(|problems| problems.join(" / "))
            }
            other => panic!("the schema has {other}"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the schema has the type {other}"),
    }
}

fn check_profile(text: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(&profile_schema()).unwrap();
    let profile: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    problem(&profile, &schema)
}

/// Warnings of shipped profiles that are meant: a message has one of the names.
const MEANT: [(&str, &str); 5] = [
    // One value a topic.
    ("esphome.toml", "`name` {2}.{3} makes one metric"),
    // Trackers list one element for each uplink.
    ("sensecap.toml", "`name` battery.level makes one metric"),
    ("sensecap.toml", "`name` interval makes one metric"),
    ("sensecap.toml", "`name` measured_at makes one metric"),
    ("sensecap.toml", "all become battery.level"),
];

#[test]
fn every_profile_that_there_is_is_as_the_schema_says_and_warned_of_nothing() {
    let mut profiles = 0;
    let mut found = Vec::new();
    let mut check = |name: &str, text: &str| {
        found.extend(check_profile(text).map(|problem| format!("{name}: {problem}")));
        let (_, warnings) = Profile::check_toml(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_meant =
            |warning: &String| MEANT.iter().any(|(of, part)| name.ends_with(of) && warning.contains(part));
        let warnings = warnings.iter().map(ToString::to_string).filter(|warning| !is_meant(warning));
        found.extend(warnings.map(|warning| format!("{name}: {warning}")));
        profiles += 1;
    };
    for entry in fs::read_dir(root().join("infra/profiles")).unwrap() {
        let path = entry.unwrap().path();
        check(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
    }
    let page = fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    for example in page.split("```toml profile\n").skip(1) {
        let example = example.split("\n```").next().unwrap();
        check("docs/profiles.md", &format!("name = \"p\"\ndevices = \"*/*\"\n{example}"));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(profiles > 30, "{profiles}");
}

#[test]
fn what_is_no_profile_is_not_as_the_schema_says() {
    let check = |text: &str, expected: &str| {
        let problem = check_profile(text).unwrap_or_else(|| panic!("{text}"));
        assert!(problem.contains(expected), "{text}: {problem}");
    };
    check("devices = \"*/*\"", "\"name\" is missing");
    check("name = \"p\"\nformat = \"xml\"", "\"xml\" is none of");
    check("name = \"p\"\ncolour = 1", "colour is no key");
    check("name = \"p\"\n[[metric]]\nname = \"x\"", "\"from\" is missing");
    check("name = \"p\"\n[[metric]]\nfrom = \"x\"\nrange = [1]", "is short");
    check("name = \"p\"\n[[field]]\nname = \"x\"\ntype = \"u8\"\noffset = -1", "is less");
    check("name = \"p\"\n[[shape]]\nas = \"pairs\"\ndecimal = \",\"", "decimal is no key");
    check("name = \"p\"\n[[metric]]\nfrom = \"x\"\nsentinels = [\"a\"]", "is no");
    assert_eq!(
        check_profile("name = \"p\"\n[[metric]]\nfrom = \"x\"\nmap = { a = true, b = 1, c = \"d\" }"),
        None
    );
    assert_eq!(problem(&json!(7), &json!({"type": "integer", "maximum": 7})), None);
}
