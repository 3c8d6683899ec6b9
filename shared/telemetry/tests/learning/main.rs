//! What is learnt from messages reads these messages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use telemetry::{
    Captured, Decoder, Envelope, Format, Hints, Learnt, Micros, Profile, Reading, Reject, Settings, learn,
};

/// 2026-11-23T07:00:00.25Z.
const RECEIVED: Micros = Micros(1_795_417_200_250_000);

/// Messages as `mosquitto_sub -v` prints them, after Tasmota's pages "MQTT" and "JSON Status Responses": state, sensors,
/// energy, results of commands, and the will.
const TASMOTA: &str = include_str!("tasmota.txt");

fn hints(topic: Option<&str>) -> Hints<'_> {
    Hints { name: "p", topic, format: None, received: RECEIVED }
}

fn decode(profile: Option<&Profile>, topic: &str, payload: &[u8]) -> Result<Vec<Reading>, Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: topic.into(),
        client: None,
        principal: None,
        content_type: None,
        received: RECEIVED,
        trace: None,
        record: None,
    };
    let profiles = profile.map(|profile| Arc::new(profile.clone()));
    let mut readings = Vec::new();
    let mut decoder = Decoder::new(Settings::default(), Arc::new(profiles.into_iter().collect()));
    decoder.decode(&envelope, &mut readings).map(|_| readings)
}

/// A profile that was learnt, for all devices, and free of warnings.
fn profile_of(learnt: &Learnt) -> Profile {
    let text: Vec<&str> = learnt
        .text
        .lines()
        .map(|line| if line.starts_with("devices = ") { "devices = \"*/*\"" } else { line })
        .collect();
    let text =
        text.join("\n").replace("\ntopics = ", "\n# topics = ").replace("\n# devices = ", "\ndevices = ");
    let (profile, warnings) = Profile::check_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(warnings, [], "{text}");
    profile
}

fn tasmota() -> Vec<Captured<'static>> {
    let message = |line: &'static str| {
        let (topic, payload) = line.split_once(' ').unwrap();
        Captured { topic: Some(topic), payload: payload.as_bytes() }
    };
    TASMOTA.lines().map(message).collect()
}

#[test]
fn a_mixed_stream_fits_on_a_screen() {
    let messages = tasmota();
    assert_eq!(messages.len(), 84);
    let learnt = learn(&messages, &hints(None)).unwrap();
    let lines = learnt.text.lines().count();
    assert!(lines < 60, "{lines} lines:\n{}", learnt.text);
    for expected in [
        "from = \"POWER*\"\nmap = { ON = true, OFF = false }\n",
        "#   \"DS18B20-*.Id\": ",
        "#   \"*.Temperature\": 4 names, ",
        "its messages say the unit \"C\"",
        "[time]\n# They are written without a zone",
        "# interval = \"",
        "#   \"ENERGY.Power\": 13 values; from 35 to 47",
    ] {
        assert!(learnt.text.contains(expected), "{expected}:\n{}", learnt.text);
    }
    // Bare words on topics of their own are no part of it, and said to be none.
    let bare = messages.iter().filter(|message| !message.payload.starts_with(b"{")).count();
    assert_eq!(learnt.remarks.len(), bare, "{:#?}", learnt.remarks);
    assert!(learnt.remarks.iter().all(|remark| remark.text.contains("topic_name")), "{:#?}", learnt.remarks);
    let profile = profile_of(&learnt);
    for message in messages.iter().filter(|message| message.payload.starts_with(b"{")) {
        let readings = decode(Some(&profile), "dt/plant-1/plug-1/state", message.payload).unwrap();
        let members: serde_json::Value = serde_json::from_slice(message.payload).unwrap();
        assert_eq!(readings.len(), leaves(&members) - usize::from(members["TempUnit"].is_string()));
    }
}

/// How many values a document has, nulls aside.
fn leaves(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(members) => members.values().map(leaves).sum(),
        serde_json::Value::Array(elements) => elements.iter().map(leaves).sum(),
        value => usize::from(!value.is_null()),
    }
}

/// The payloads in a folder of the goldens, and the last level of their topic.
fn payloads(folder: &Path, found: &mut Vec<(PathBuf, String, Vec<u8>)>) {
    let topic = fs::read_to_string(folder.join("topic")).unwrap_or_default();
    let folder_name = folder.file_name().unwrap().to_str().unwrap();
    let level =
        topic.trim().rsplit('/').next().filter(|level| !level.is_empty()).unwrap_or(folder_name).to_owned();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if path.is_dir() {
            payloads(&path, found);
        } else if ["json", "bin", "hex", "txt"].contains(&extension) {
            #[expect(clippy::disallowed_methods, reason = "the payloads of the goldens lie in files")]
            let bytes = fs::read(&path).unwrap();
            let bytes = if extension == "hex" { from_hex(&bytes) } else { bytes };
            found.push((path, level.clone(), bytes));
        }
    }
}

/// Whether the last level of a topic says how payloads are written.
fn is_format(level: &str) -> bool {
    level != "text" && serde_json::from_value::<Format>(level.into()).is_ok()
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let digits = text.iter().filter_map(|byte| char::from(*byte).to_digit(16));
    let digits: Vec<u8> = digits.map(|digit| u8::try_from(digit).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn what_is_learnt_from_the_payloads_of_the_goldens_reads_them() {
    let mut all = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    payloads(&root.join("payloads"), &mut all);
    payloads(&root.join("profiles"), &mut all);
    let mut learnt_from = 0;
    for (path, level, payload) in &all {
        let level = if is_format(level) { level } else { "state" };
        let topic = format!("dt/plant-1/pump-7/{level}");
        // What needs a profile to be read at all is not to be learnt from.
        let Ok(plain) = decode(None, &topic, payload) else { continue };
        let learnt = learn(&[Captured { topic: None, payload }], &hints(Some(&topic)));
        let learnt = learnt.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let readings = decode(Some(&profile_of(&learnt)), &topic, payload);
        let readings =
            readings.unwrap_or_else(|reject| panic!("{}: {reject}\n{}", path.display(), learnt.text));
        let is_timed = |readings: &[Reading]| {
            readings.iter().filter(|reading| reading.time_source.as_str() == "arrival").count()
        };
        assert!(
            readings.len() >= plain.len() || is_timed(&readings) < is_timed(&plain),
            "{}: {} readings of {}\n{}",
            path.display(),
            readings.len(),
            plain.len(),
            learnt.text
        );
        learnt_from += 1;
    }
    assert!(learnt_from > 50, "{learnt_from} of {}", all.len());
}

#[test]
fn what_is_learnt_from_all_payloads_of_a_folder_reads_each() {
    let mut all = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    payloads(&root.join("payloads"), &mut all);
    payloads(&root.join("profiles"), &mut all);
    let mut folders: BTreeMap<&Path, Vec<&[u8]>> = BTreeMap::new();
    for (path, level, payload) in all.iter().filter(|(_, level, _)| !is_format(level)) {
        if decode(None, &format!("dt/plant-1/pump-7/{level}"), payload).is_ok() {
            folders.entry(path.parent().unwrap()).or_default().push(payload);
        }
    }
    assert!(folders.len() > 5);
    for (folder, payloads) in folders {
        let messages: Vec<_> = payloads.iter().map(|payload| Captured { topic: None, payload }).collect();
        let learnt = learn(&messages, &hints(None)).unwrap();
        profile_of(&learnt);
        let refused = learnt.remarks.iter().find(|remark| remark.text.starts_with("refused"));
        assert_eq!(refused, None, "{}:\n{}", folder.display(), learnt.text);
    }
}

#[test]
fn records_series_and_sub_devices_are_found() {
    let check = |payloads: &[&str], expected: &[&str]| {
        let messages: Vec<_> =
            payloads.iter().map(|payload| Captured { topic: None, payload: payload.as_bytes() }).collect();
        let learnt = learn(&messages, &hints(None)).unwrap();
        profile_of(&learnt);
        for line in expected {
            assert!(learnt.text.contains(line), "{line}:\n{}", learnt.text);
        }
        learnt
    };
    let tags = r#"{"data": [{"tagName": "flow", "reading": 2.5, "when": "2026-11-23T06:59:59Z"}, {"tagName": "level", "reading": 7, "when": "2026-11-23T06:59:58Z"}]}"#;
    check(
        &[tags],
        &[
            "\n[[shape]]\nat = \"data\"\nas = \"records\"\nname = \"{tagName}\"\nvalue = \"reading\"\ntime = \"when\"\n",
            "#   \"flow\": 1 value",
        ],
    );
    // One element alone may be anything.
    check(
        &[r#"{"data": [{"tagName": "flow", "reading": 2.5}]}"#],
        &["# If its elements name themselves:\n# [[shape]]\n# at = \"data\"\n"],
    );
    check(&[r#"{"wave": [1, 2, 3, 4]}"#], &["# at = \"wave\"\n# as = \"series\"\n# interval = \"…\"\n"]);
    check(
        &[r#"{"dev_eui": "a1", "t": 20}"#, r#"{"dev_eui": "b2", "t": 21}"#],
        &["# gateway = \"dev_eui\"\n"],
    );
    check(&[r#"{"door": "OPEN"}"#], &["perhaps map = { OPEN = true, CLOSED = false }"]);
    check(
        &[r#"{"a": "true", "b": "off"}"#],
        &["from = \"a\"\ntype = \"boolean\"\n", "from = \"b\"\nmap = { on = true, off = false }\n"],
    );
    check(
        &[r#"{"tin": "20.5 C", "tout": "3,5"}"#],
        &["a [[shape]] `as = \"number\"`\n", "with `decimal = \",\"`"],
    );
    check(
        &[r#"{"state": {"ts": 1795417100000, "66": 14041}, "seq": 5}"#],
        &["[time]\nfield = \"state.ts\"\n"],
    );
}

#[test]
fn what_is_refused_or_lost_is_said() {
    let remarks = |payloads: &[&str]| {
        let messages: Vec<_> =
            payloads.iter().map(|payload| Captured { topic: None, payload: payload.as_bytes() }).collect();
        learn(&messages, &hints(None))
            .unwrap()
            .remarks
            .into_iter()
            .map(|remark| (remark.number, remark.text))
            .collect::<Vec<_>>()
    };
    assert_eq!(remarks(&[r#"{"a": 1}"#]), []);
    let found = remarks(&[
        r#"{"a": 1}"#,
        "{",
        r#"{"b.c": 20, "b": {"c": 80}}"#,
        r#"{"temperature": {"value": -127, "unit": "C"}}"#,
    ]);
    assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4], "{found:?}");
    for ((_, text), expected) in
        found.iter().zip(["cut short", "give them names of their own", "1 of its values are bad"])
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn bare_values_are_named_by_their_topics() {
    let messages = [("a/b/temperature", "21.5"), ("a/b/contact", "OPEN")];
    let messages =
        messages.map(|(topic, payload)| Captured { topic: Some(topic), payload: payload.as_bytes() });
    let learnt = learn(&messages, &hints(None)).unwrap();
    assert!(learnt.text.contains("\ntopic_name = \"{3}\"\n"), "{}", learnt.text);
    assert!(learnt.text.contains("perhaps map = { OPEN = true"), "{}", learnt.text);
    assert_eq!(learnt.remarks, []);
    profile_of(&learnt);
}

#[test]
fn bytes_are_laid_out_to_be_filled_in() {
    let learnt =
        learn(&[Captured { topic: None, payload: &[0xff, 0x08, 0x66, 0x01, 0x9a] }], &hints(None)).unwrap();
    for expected in [
        "# Payloads of 5 bytes:\n",
        "ff 08 66 01  9a\n",
        "# format = \"bytes\"\n",
        "# [[field]]\n# name = \"…\"\n# offset = 0\n",
    ] {
        assert!(learnt.text.contains(expected), "{expected}:\n{}", learnt.text);
    }
    profile_of(&learnt);
    assert!(learnt.remarks[0].text.contains("refused"), "{:?}", learnt.remarks);
}
