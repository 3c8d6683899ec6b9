//! What is to be done with an event: pure, so that nearly everything is tested here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cloud::quarantine::PREFIX;
use serde::Serialize;
use sha2::{Digest, Sha256};
use telemetry::{Decoder, DeviceId, Envelope, Micros, Reading, Span, pack};

use crate::event::{Arrived, Event, Record, Unreadable};

/// The plan for one event.
#[derive(Debug)]
pub struct Plan {
    /// What is to be written to the readings table.
    pub spans: Vec<Span>,
    /// What is to be written to the quarantine, one object for each day.
    pub objects: Vec<QuarantineObject>,
    /// What each record waits for, in the event's order.
    pub fates: Vec<Fate>,
    /// Readings decoded.
    pub readings: usize,
}

/// What has to succeed for a record to be done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The spans and the state of its device are written.
    Stored(DeviceId),
    /// The object with this index is written.
    Quarantined(usize),
}

/// Messages kept whole: one line of JSON for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineObject {
    /// `quarantine/day=2026-11-23/{digest of the lines}.jsonl`.
    pub key: String,
    /// The lines.
    pub lines: String,
}

impl Plan {
    /// Decodes every record of an event.
    pub fn new(event: &Event<'_>, decoder: &mut Decoder) -> Self {
        let mut readings = Vec::new();
        let mut days = Days::default();
        let mut pending = Vec::with_capacity(event.records.len());
        for record in &event.records {
            let before = readings.len();
            pending.push(match decode(record, decoder, &mut readings) {
                Ok(()) => Pending::Stored(readings[before].device.clone()),
                Err((day, line)) => Pending::Quarantined(days.add(day, line)),
            });
        }
        let object_of: Vec<String> = days.0.keys().cloned().collect();
        let fate = |pending: Pending| match pending {
            Pending::Stored(device) => Fate::Stored(device),
            Pending::Quarantined(day) => {
                Fate::Quarantined(object_of.iter().position(|known| *known == day).unwrap_or(0))
            }
        };
        let fates = pending.into_iter().map(fate).collect();
        Self { readings: readings.len(), spans: pack(readings), objects: days.into_objects(), fates }
    }
}

enum Pending {
    Stored(DeviceId),
    Quarantined(String),
}

/// The readings of one record; or the day and the line under which it goes to quarantine.
fn decode(
    record: &Record<'_>,
    decoder: &mut Decoder,
    readings: &mut Vec<Reading>,
) -> Result<(), (String, Line)> {
    let text = match &record.envelope {
        Ok(text) => text,
        Err(unreadable) => return Err(quarantine_record(unreadable, record.arrived)),
    };
    let envelope = Envelope::parse(text).map_err(|reject| {
        let line = QuarantineLine {
            reason: &reject.to_string(),
            code: reject.code(),
            record: Some(base64_simd::STANDARD.encode_to_string(text.as_bytes())),
            ..QuarantineLine::default()
        };
        (day_of(record.arrived.at()), line.finish(text))
    })?;
    decoder.decode(&envelope, readings).map_err(|reject| {
        let line = QuarantineLine {
            reason: &reject.to_string(),
            code: reject.code(),
            topic: Some(&envelope.topic),
            client: envelope.client.as_deref(),
            principal: envelope.principal.as_deref(),
            received: Some(envelope.received.to_string()),
            trace: envelope.trace.as_deref(),
            payload: Some(&envelope.payload),
            ..QuarantineLine::default()
        };
        (day_of(Some(envelope.received)), line.finish(text))
    })
}

fn quarantine_record(unreadable: &Unreadable<'_>, arrived: Arrived<'_>) -> (String, Line) {
    let line = QuarantineLine {
        reason: unreadable.reason,
        code: "record",
        record: Some(base64_simd::STANDARD.encode_to_string(unreadable.record.as_bytes())),
        ..QuarantineLine::default()
    };
    (day_of(arrived.at()), line.finish(unreadable.record))
}

/// The partition. Never today's date: the same message again has to come to the same place.
fn day_of(at: Option<Micros>) -> String {
    at.map_or_else(|| "unknown".to_owned(), Micros::day)
}

/// One quarantined message, as its line has it. Where the envelope could be read, its fields and
/// the payload (base64, as published) are here; else the whole record, in base64.
#[derive(Default, Serialize)]
struct QuarantineLine<'a> {
    id: String,
    reason: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
}

struct Line {
    id: String,
    json: String,
}

impl QuarantineLine<'_> {
    /// The id is a digest of the record, so that a message which comes twice is known to be one.
    fn finish(mut self, record: &str) -> Line {
        self.id = hex_digest(record.as_bytes());
        #[expect(clippy::expect_used, reason = "a map with text keys, written to memory: nothing can fail")]
        let json = serde_json::to_string(&self).expect("a line is JSON");
        Line { id: self.id, json }
    }
}

/// 128 bits of SHA-256, as 32 hex digits.
fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Lines by day and id: in whatever order they came, and however often, they make the same object.
#[derive(Default)]
struct Days(BTreeMap<String, BTreeMap<String, String>>);

impl Days {
    fn add(&mut self, day: String, line: Line) -> String {
        self.0.entry(day.clone()).or_default().insert(line.id, line.json);
        day
    }

    fn into_objects(self) -> Vec<QuarantineObject> {
        let object = |(day, lines): (String, BTreeMap<String, String>)| {
            let mut text = String::new();
            for line in lines.into_values() {
                text.push_str(&line);
                text.push('\n');
            }
            QuarantineObject {
                key: format!("{PREFIX}day={day}/{}.jsonl", hex_digest(text.as_bytes())),
                lines: text,
            }
        };
        self.0.into_iter().map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::IdentityRules;

    fn envelope(device: &str, received: i64, payload: &str) -> String {
        let payload = base64_simd::STANDARD.encode_to_string(payload);
        format!(
            r#"{{"payload":"{payload}","topic":"dt/site/{device}/state","client":"{device}","received":{received},"trace":"t"}}"#
        )
    }

    fn sqs(bodies: &[String]) -> String {
        let record = |(index, body): (usize, &String)| serde_json::json!({"messageId": format!("m-{index}"), "body": body, "attributes": {"SentTimestamp": "1795417200000"}});
        serde_json::json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()}).to_string()
    }

    fn plan(bodies: &[String]) -> Plan {
        Plan::new(&Event::parse(&sqs(bodies)).unwrap(), &mut Decoder::new(IdentityRules::default()))
    }

    const RECEIVED: i64 = 1_795_417_200_250;

    #[test]
    fn good_messages_become_spans_and_bad_ones_lines() {
        let bodies = [
            envelope("a", RECEIVED, r#"{"x": 1}"#),
            envelope("a", RECEIVED, "{"),
            envelope("b", RECEIVED - 86_400_000, r#"{"x": NaN}"#),
            "no envelope".to_owned(),
            envelope("b", RECEIVED, r#"{"x": 2, "y": 3}"#),
        ];
        let plan = plan(&bodies);
        let device = |name: &str| Fate::Stored(DeviceId::from_stored(format!("site/{name}")));
        let quarantined = Fate::Quarantined;
        assert_eq!(plan.fates, [device("a"), quarantined(1), quarantined(0), quarantined(1), device("b")]);
        assert_eq!((plan.spans.len(), plan.readings), (2, 3));
        assert_eq!(plan.objects.len(), 2);
        assert!(plan.objects[0].key.starts_with("quarantine/day=2026-11-22/"), "{}", plan.objects[0].key);
        assert!(plan.objects[1].key.starts_with("quarantine/day=2026-11-23/"), "{}", plan.objects[1].key);
        assert_eq!(plan.objects[1].lines.lines().count(), 2);
    }

    #[test]
    fn a_quarantined_message_is_kept_whole() {
        let plan = plan(&[envelope("a", RECEIVED, "\u{1f4a5} {")]);
        let line: serde_json::Value = serde_json::from_str(&plan.objects[0].lines).unwrap();
        let payload = base64_simd::STANDARD.decode_to_vec(line["payload"].as_str().unwrap()).unwrap();
        assert_eq!(payload, "\u{1f4a5} {".as_bytes());
        assert_eq!(line["topic"], "dt/site/a/state");
        assert_eq!(line["client"], "a");
        assert_eq!(line["received"], "2026-11-23T07:00:00.25Z");
        assert!(line["reason"].as_str().unwrap().starts_with("the payload is not JSON"), "{line}");
        assert_eq!(line["code"], "not_json");
    }

    #[test]
    fn a_record_without_an_envelope_is_kept_whole() {
        let plan = plan(&["no envelope".to_owned()]);
        let line: serde_json::Value = serde_json::from_str(&plan.objects[0].lines).unwrap();
        let record = base64_simd::STANDARD.decode_to_vec(line["record"].as_str().unwrap()).unwrap();
        assert_eq!(record, b"no envelope");
        assert!(
            plan.objects[0].key.contains("day=2026-11-23"),
            "from the queue's own time: {}",
            plan.objects[0].key
        );
    }

    #[test]
    fn neither_order_nor_repetition_changes_what_is_written() {
        let mut bodies: Vec<String> = (0..20)
            .map(|n| envelope("a", RECEIVED + n, &format!(r#"{{"ts": {}, "x": {n}}}"#, RECEIVED - n)))
            .collect();
        bodies.extend((0..5).map(|n| envelope("a", RECEIVED + n, "broken")));
        let written = |bodies: &[String]| {
            let plan = plan(bodies);
            (plan.spans.iter().map(|span| span.to_item(None)).collect::<Vec<_>>(), plan.objects)
        };
        let mut other: Vec<String> = bodies.iter().rev().cloned().collect();
        other.extend_from_slice(&bodies[3..9]);
        other.extend_from_slice(&bodies[21..23]);
        assert_eq!(written(&bodies), written(&other));
    }
}
