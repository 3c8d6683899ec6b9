//! Readings in one form, whoever read them: this version, the recorded command, another engine that read the lake.
//! Fields that say nothing are left out. `at` and `received` are in microseconds since 1970; `time_sent`, which may be
//! any time, is RFC 3339.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};
use telemetry::{Micros, Reading, Unit};

use crate::Recording;

/// A reading's fields.
pub(crate) type Said = Map<String, Value>;

/// What this version reads.
pub(crate) fn of_reading(reading: &Reading) -> Said {
    let correction = reading.correction.as_deref();
    said([
        ("device", json!(reading.device.as_str())),
        ("metric", json!(&*reading.metric)),
        ("at", json!(reading.at.0)),
        ("received", json!(reading.received.0)),
        ("value", serde_json::to_value(&reading.value).unwrap()),
        ("unit", json!(reading.unit.as_deref())),
        ("unit_sent", json!(reading.unit.as_ref().and_then(Unit::sent))),
        ("quality", json!(reading.quality.as_str())),
        ("time_source", json!(reading.time_source.as_str())),
        ("time_correction", json!(correction.map(|correction| correction.reason.as_str()))),
        ("time_sent", json!(correction.map(|correction| correction.sent.to_string()))),
    ])
}

/// A line that the recorded command printed. It does not say when the message was received.
pub(crate) fn of_line(line: &Value) -> Said {
    let names = [
        "device",
        "metric",
        "value",
        "unit",
        "unit_sent",
        "quality",
        "time_source",
        "time_correction",
        "time_sent",
    ];
    let mut fields = said(names.map(|name| (name, line[name].clone())));
    let at = Micros::from_rfc3339(line["at"].as_str().unwrap()).unwrap();
    fields.insert("at".to_owned(), json!(at.0));
    fields
}

/// A row of the lake as another engine read it (README, "The lake", says what the columns hold).
pub(crate) fn of_row(row: &Value) -> Said {
    let value = match (&row["value"], &row["integer"], &row["text"]) {
        (_, Value::Number(integer), _) => json!(integer),
        (Value::Number(_), _, Value::String(word)) if word == "true" || word == "false" => {
            json!(word == "true")
        }
        (Value::Number(_), _, Value::String(digits)) => json!(digits.parse::<u64>().unwrap()),
        (Value::Number(number), _, _) => number_of(number),
        (_, _, text) => text.clone(),
    };
    let names = [
        "device",
        "metric",
        "at",
        "received",
        "unit",
        "unit_sent",
        "quality",
        "time_source",
        "time_correction",
    ];
    let mut fields = said(names.map(|name| (name, row[name].clone())));
    fields.insert("value".to_owned(), value);
    let sent = row["time_sent"].as_i64().map(|sent| Micros(sent).to_string());
    fields.extend(sent.map(|sent| ("time_sent".to_owned(), json!(sent))));
    fields
}

/// A double without a fraction is the integer that it is, as far as 64 bits reach.
fn number_of(number: &Number) -> Value {
    let double = number.as_f64().unwrap();
    let is_integer = double.fract() == 0.0;
    if is_integer && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&double) {
        json!(double as i64)
    } else if is_integer && (0.0..18_446_744_073_709_551_616.0).contains(&double) {
        json!(double as u64)
    } else {
        json!(double)
    }
}

fn said<const N: usize>(fields: [(&str, Value); N]) -> Said {
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    fields.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Device, metric and time: what makes a reading this one.
pub(crate) fn identity(said: &Said) -> (String, String, i64) {
    let text = |name: &str| said[name].as_str().unwrap().to_owned();
    (text("device"), text("metric"), said["at"].as_i64().unwrap())
}

/// The readings that stood in the recorded stack, as its command printed them and, for the time of their arrival, as the
/// lake has them: by device, in the order of the command.
pub(crate) fn recorded(recording: &Recording) -> BTreeMap<String, Vec<Said>> {
    // Of two rows of one identity the later received stands.
    let mut received: BTreeMap<_, i64> = BTreeMap::new();
    for row in recording.lines("lake.jsonl").iter().map(of_row) {
        let at = row["received"].as_i64().unwrap();
        let known = received.entry(identity(&row)).or_insert(at);
        *known = at.max(*known);
    }
    let mut readings: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    for mut reading in recording.lines("readings.jsonl").iter().map(of_line) {
        let identity = identity(&reading);
        reading.insert("received".to_owned(), json!(received[&identity]));
        readings.entry(identity.0).or_default().push(reading);
    }
    readings
}

/// Asserts that two lists are the same; names the first difference, as the lists are long.
pub(crate) fn assert_same(found: &[Said], expected: &[Said], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(
        found.len(),
        expected.len(),
        "{what}: readings are missing, or there are more than there were"
    );
}
