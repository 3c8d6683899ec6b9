//! Each key of a profile has an effect: an input for each on which a profile without it says something else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use telemetry::{Decoder, Envelope, Micros, Profile, Settings, profile_schema};

/// Keys that say nothing of how a payload is read: names, and what other functions go by.
const NOT_READ_BY: [&str; 5] = ["name", "description", "devices", "topics", "interval"];

/// Profiles whose lines that begin with `-` are left out together, and a payload that shows it: a text, or bytes as
/// `hex:`.
const CASES: &[(&str, &str)] = &[
    ("-format = \"text\"\n[[shape]]\nas = \"pairs\"", "a=1\nb=2"),
    ("-gateway = \"id\"", r#"{"id": "x", "a": 1}"#),
    ("-topic_name = \"{4}\"", "21.5"),
    ("-charset = \"latin-1\"", "hex:7b2261223a2022fc227d"),
    ("-lenient = [\"nan\"]", r#"{"a": NaN}"#),
    ("-numbers_as_text = true", r#"{"a": "7"}"#),
    ("-documents = \"a\"", r#"{"a": "{\"b\": 1}"}"#),
    ("-ignore = \"a\"", r#"{"a": 1, "b": 2}"#),
    (
        "-payload = \"cayenne-lpp\"\n-[[shape]]\n-at = \"d\"\n-as = \"fields\"\n-encoding = \"hex\"",
        r#"{"d": "03670110"}"#,
    ),
    ("[time]\n-field = \"when\"", r#"{"when": 1795417190, "a": 1}"#),
    ("-[time]\n-join = [\"d\", \"c\"]\n-zone = \"UTC\"", r#"{"d": "2026-11-23", "c": "06:59:59", "a": 1}"#),
    (
        "[time]\nfield = \"s\"\n-fraction = \"n\"\n-fraction_unit = \"ms\"",
        r#"{"s": 1795417190, "n": 250, "a": 1}"#,
    ),
    ("[time]\nzone = \"UTC\"\n-format = \"%d.%m.%Y %H:%M:%S\"", r#"{"ts": "23.11.2026 06:59:58", "a": 1}"#),
    (
        "[time]\n-format = \"%y%m%d%H%M%S%Z\"\n-zone_marks = { S = \"+02:00\" }",
        r#"{"ts": "261123085958S", "a": 1}"#,
    ),
    ("[time]\n-zone = \"UTC\"", r#"{"ts": "2026-11-23T06:59:58", "a": 1}"#),
    ("[time]\n-unit = \"s\"", r#"{"ts": 86400, "a": 1}"#),
    ("[time]\nunit = \"ms\"\n-bits = 32", r#"{"ts": 4294960000, "a": 1}"#),
    ("-[time]\n-resolution = \"1s\"\n-same_time = \"keep\"", r#"{"ts": 1795417190, "a": 1}"#),
    ("[quality]\n-field = \"s\"\ncodes = { \"1\" = \"bad\" }", r#"{"s": 1, "a": 1}"#),
    ("[quality]\nfield = \"s\"\n-codes = { \"1\" = \"bad\" }", r#"{"s": 1, "a": 1}"#),
    ("-[[shape]]\n-at = \"l\"\n-as = \"records\"\n-name = \"{k}\"", r#"{"l": [{"k": "x", "a": 1}]}"#),
    (
        "[[shape]]\nat = \"l\"\nas = \"records\"\nname = \"{k}\"\n-value = \"w\"",
        r#"{"l": [{"k": "x", "w": 1}]}"#,
    ),
    (
        "[[shape]]\nat = \"l\"\nas = \"records\"\nname = \"{k}\"\nvalue = \"w\"\n-unit = \"e\"",
        r#"{"l": [{"k": "x", "w": 1, "e": "V"}]}"#,
    ),
    (
        "[[shape]]\nat = \"l\"\nas = \"records\"\nname = \"{k}\"\nvalue = \"w\"\n-quality = \"s\"",
        r#"{"l": [{"k": "x", "w": 1, "s": 0}]}"#,
    ),
    (
        "[[shape]]\nat = \"l\"\nas = \"records\"\nname = \"{k}\"\nvalue = \"w\"\n-time = \"s\"",
        r#"{"l": [{"k": "x", "w": 1, "s": 1795417190}]}"#,
    ),
    (
        "[[shape]]\nat = \"l\"\nas = \"records\"\nname = \"{k}\"\nvalue = \"w\"\n-others = \"ignore\"",
        r#"{"l": [{"k": "x", "w": 1, "s": 2}]}"#,
    ),
    ("-[[shape]]\n-at = \"l\"\n-as = \"series\"\n-interval = \"1s\"", r#"{"l": [1, 2]}"#),
    (
        "-[[shape]]\n-at = \"l\"\n-as = \"series\"\n-interval_from = \"i\"\n-interval_unit = \"ms\"",
        r#"{"l": [1, 2], "i": 500}"#,
    ),
    ("-[[shape]]\n-at = \"l\"\n-as = \"series\"\n-rate = 2", r#"{"l": [1, 2]}"#),
    ("-[[shape]]\n-at = \"l\"\n-as = \"series\"\n-rate_from = \"r\"", r#"{"l": [1, 2], "r": 2}"#),
    (
        "[[shape]]\nat = \"l\"\nas = \"series\"\nrate = 2\n-anchor = \"last\"",
        r#"{"ts": 1795417190, "l": [1, 2]}"#,
    ),
    ("-[[shape]]\n-at = \"l\"\n-as = \"rows\"\n-columns = [\"a\", \"b\"]", r#"{"l": [[1, 2], [3, 4]]}"#),
    (
        "-[[shape]]\n-at = \"l\"\n-as = \"rows\"\n-columns_from = \"h\"",
        r#"{"h": ["a", "b"], "l": [[1, 2], [3, 4]]}"#,
    ),
    ("[[shape]]\nat = \"l\"\nas = \"list\"\ninto = [\"a\"]\n-separator = \",\"", r#"{"l": "1,2"}"#),
    ("[[shape]]\nat = \"l\"\nas = \"list\"\nseparator = \",\"\n-into = [\"a\"]", r#"{"l": "1,2"}"#),
    ("[[shape]]\nat = \"l\"\nas = \"list\"\ninto = [\"a\"]\n-under = \"x\"", r#"{"l": [1]}"#),
    ("[[shape]]\nat = \"l\"\nas = \"pairs\"\n-equals = \":\"", r#"{"l": "a:1;b:2"}"#),
    ("[[shape]]\nat = \"l\"\nas = \"pairs\"\n-end = \")\"", r#"{"l": "a=1);b=2)"}"#),
    ("[[shape]]\nat = \"l\"\nas = \"number\"\n-decimal = \",\"", r#"{"l": "1,5"}"#),
    ("[[shape]]\nat = \"l\"\nas = \"document\"\n-encoding = \"base64\"", r#"{"l": "eyJhIjogMX0="}"#),
    ("-[[metric]]\n-from = \"a\"\n-name = \"b\"", r#"{"a": 1}"#),
    ("[[metric]]\nfrom = \"a\"\nunit = \"V\"\n-map = { ON = true }", r#"{"a": "ON"}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-type = \"boolean\"", r#"{"a": 1}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-scale = 2", r#"{"a": 1}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-offset = 2", r#"{"a": 1}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-unit = \"V\"", r#"{"a": 1}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-unit_from = \"e\"", r#"{"a": 1, "e": "V"}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-range = [0, 1]", r#"{"a": 2}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-sentinels = [2]", r#"{"a": 2}"#),
    ("[[metric]]\nfrom = \"a\"\nname = \"b\"\n-deadband = 2", r#"{"a": 2}"#),
    (
        "format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u8\"\n-[[field]]\n-name = \"b\"\n-offset = 1\n-type = \"u8\"",
        "hex:0102",
    ),
    (
        "format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n-endian = \"little\"",
        "hex:0102",
    ),
    ("format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n-shift = 1", "hex:0102"),
    ("format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n-bits = 1", "hex:0102"),
    ("format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n-scale = 0.1", "hex:0102"),
    ("format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n-add = 1", "hex:0102"),
    ("format = \"bytes\"\n[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n-unit = \"V\"", "hex:0102"),
    (
        "[[field]]\nname = \"a\"\noffset = 0\ntype = \"u8\"\n[[shape]]\nat = \"d\"\nas = \"fields\"\nencoding = \"hex\"\n[[field]]\nname = \"b\"\noffset = 0\ntype = \"u8\"\n-port = 2",
        r#"{"d": "01"}"#,
    ),
];

/// What a payload becomes, and what other functions ask a profile.
fn shown(profile: &str, payload: &str) -> String {
    let text = format!("name = \"p\"\ndevices = \"*/*\"\n{profile}");
    let (profile, warnings) = Profile::check_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let deadband = ["a", "b"].map(|metric| profile.deadband(metric));
    let bytes = match payload.strip_prefix("hex:") {
        Some(hex) => hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect(),
        None => payload.as_bytes().to_vec(),
    };
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(bytes).into(),
        topic: "dt/plant-1/pump-7/temperature".into(),
        client: None,
        principal: None,
        content_type: None,
        received: Micros(1_795_417_200_250_000),
        trace: None,
        record: None,
    };
    let profiles = Arc::new([Arc::new(profile)].into_iter().collect());
    let mut readings = Vec::new();
    let outcome = Decoder::new(Settings::default(), profiles).decode(&envelope, &mut readings).map(|_| ());
    // What is warned of is asked of the whole profile alone.
    format!("{outcome:?} {readings:?} {deadband:?}|{warnings:?}")
}

#[test]
fn every_key_has_an_effect() {
    for (profile, payload) in CASES {
        let whole = profile.replace("\n-", "\n");
        let whole = shown(whole.strip_prefix('-').unwrap_or(&whole), payload);
        assert!(whole.ends_with("|[]"), "{profile}: {whole}");
        let rest: Vec<&str> = profile.lines().filter(|line| !line.starts_with('-')).collect();
        let rest = shown(&rest.join("\n"), payload);
        let (whole, _) = whole.split_once('|').unwrap();
        let (rest, _) = rest.split_once('|').unwrap();
        assert_ne!(whole, rest, "{profile}: {payload}");
    }
}

/// The keys of a schema's tables, as `table.key`.
fn keys(schema: &Value, table: &str, found: &mut BTreeSet<String>) {
    for way in schema["anyOf"].as_array().into_iter().flatten() {
        keys(way, table, found);
    }
    for (name, says) in schema["properties"].as_object().into_iter().flatten() {
        let inner = if says["items"].is_object() { &says["items"] } else { says };
        let is_table = inner["additionalProperties"] == Value::Bool(false)
            || inner["anyOf"][0]["properties"].is_object();
        // The objects in a list of sentinels are values.
        if is_table && name != "sentinels" {
            keys(inner, name, found);
        } else {
            found.insert(format!("{table}.{name}"));
        }
    }
}

#[test]
fn every_key_of_the_grammar_is_tried() {
    let mut all = BTreeSet::new();
    keys(&serde_json::from_str(&profile_schema()).unwrap(), "profile", &mut all);
    let mut tried = BTreeSet::new();
    for (profile, _) in CASES {
        let mut table = "profile";
        for line in profile.lines() {
            let (is_tried, line) = line.strip_prefix('-').map_or((false, line), |line| (true, line));
            match line.split_once(" = ") {
                Some((key, _)) if is_tried => drop(tried.insert(format!("{table}.{key}"))),
                Some(_) => {}
                None => table = line.trim_matches(['[', ']']),
            }
        }
    }
    let of_profile = NOT_READ_BY.map(|key| format!("profile.{key}"));
    let missing: Vec<_> =
        all.iter().filter(|key| !tried.contains(*key) && !of_profile.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(all.len() > 70, "{all:?}");
}
