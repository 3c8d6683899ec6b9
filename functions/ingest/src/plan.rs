//! What is to be done with an event: pure, so that nearly everything is tested here.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use cloud::quarantine;
use serde::Serialize;
use sha2::{Digest, Sha256};
use telemetry::{Decoder, DeviceId, Envelope, Latest, Micros, Reading, SpanItem, latest, pack};

use crate::event::{Position, Record, Unreadable};

/// How many readings room is made for at first: most devices send a few metrics at a time.
const READINGS_PER_MESSAGE: usize = 4;

/// The plan for one event. Holds what is to be written and no more: texts and readings are let go
/// while it is made, so that a full event is in memory only once.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What is to be written to the readings table.
    pub items: Vec<SpanItem>,
    /// What is to be written to the devices table once a device's items are.
    pub updates: Vec<Latest>,
    /// What is to be written to the quarantine, one object for each day.
    pub objects: Vec<QuarantineObject>,
    /// Each record's place in its source and what it waits for, in the event's order.
    pub fates: Vec<(Position<'a>, Fate)>,
    /// Readings decoded.
    pub readings: usize,
}

/// What has to succeed for a record to be done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The items and the states of its devices are written: of one, or of those that a gateway speaks for.
    Stored(Vec<DeviceId>),
    /// The object of this day is written.
    Quarantined(String),
    /// Nothing can: it is to come again.
    HandedBack,
}

/// Messages kept whole: one line of JSON for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineObject {
    /// The messages' day, as `2026-11-23`; `unknown` where no time is known.
    pub day: String,
    /// `quarantine/day={day}/{digest of the lines}.jsonl`.
    pub key: String,
    /// The lines.
    pub lines: String,
}

/// What a message has become.
#[derive(Debug)]
pub enum Outcome {
    /// Readings, and the profile that they were read by.
    Read(Vec<Reading>, Option<Arc<str>>),
    /// A line of the quarantine.
    Quarantined(Quarantined),
    /// Nothing: it is to come again.
    HandedBack,
}

/// A message kept whole.
#[derive(Debug)]
pub struct Quarantined {
    /// The partition.
    day: String,
    line: Line,
}

impl<'a> Plan<'a> {
    /// Decodes every record of an event but those whose `outcomes`, by their places, are known. Readings are to be kept
    /// for `retention_days` after they arrived; `None`: for ever.
    pub fn new(
        records: Vec<Record<'a>>,
        mut outcomes: BTreeMap<usize, Outcome>,
        decoder: &mut Decoder,
        retention_days: Option<u32>,
    ) -> Self {
        let mut readings = Vec::with_capacity(READINGS_PER_MESSAGE * records.len());
        let mut days = Days::default();
        let mut fates = Vec::with_capacity(records.len());
        let mut profiles = ProfileOfDevice::new();
        for (place, record) in records.into_iter().enumerate() {
            let before = readings.len();
            let decoded = match outcomes.remove(&place) {
                None => decode(&record, decoder, &mut readings),
                Some(Outcome::Read(known, profile)) => {
                    readings.extend(known);
                    Ok(profile)
                }
                Some(Outcome::Quarantined(quarantined)) => Err(quarantined),
                Some(Outcome::HandedBack) => {
                    fates.push((record.position, Fate::HandedBack));
                    continue;
                }
            };
            let fate = match decoded {
                Ok(profile) => {
                    let devices = devices_of(&readings[before..]);
                    if let Some(profile) = profile {
                        note_profile(&mut profiles, &devices, readings[before..].first(), &profile);
                    }
                    Fate::Stored(devices)
                }
                Err(Quarantined { day, line }) => Fate::Quarantined(days.add(day, line)),
            };
            fates.push((record.position, fate));
        }
        let decoded = readings.len();
        let spans = pack(readings);
        let mut updates = latest(&spans);
        for update in &mut updates {
            update.profile = profiles.remove(&update.device).map(|(_, profile)| profile);
        }
        let items = spans.into_iter().map(|span| span.to_item(retention_days)).collect();
        Self { items, updates, objects: days.into_objects(), fates, readings: decoded }
    }
}

/// The profile that the last message of a device was read by, and when that arrived.
type ProfileOfDevice = HashMap<DeviceId, (Micros, Arc<str>)>;

/// Whatever the order of the batch, the same profile counts: of messages of one moment, the last by name.
fn note_profile(
    profiles: &mut ProfileOfDevice,
    devices: &[DeviceId],
    reading: Option<&Reading>,
    profile: &Arc<str>,
) {
    let Some(reading) = reading else { return };
    let noted = (reading.received, Arc::clone(profile));
    for device in devices {
        let known = profiles.entry(device.clone()).or_insert_with(|| noted.clone());
        if *known < noted {
            known.clone_from(&noted);
        }
    }
}

/// The devices of one message's readings. What a profile leaves out of a message makes none, and waits for nothing.
fn devices_of(readings: &[Reading]) -> Vec<DeviceId> {
    let mut devices: Vec<_> =
        readings.chunk_by(|a, b| a.device == b.device).map(|same| same[0].device.clone()).collect();
    if devices.len() > 1 {
        devices.sort();
        devices.dedup();
    }
    devices
}

/// Appends the readings of one record, and returns the profile they were read by; or how it goes to quarantine.
fn decode(
    record: &Record<'_>,
    decoder: &mut Decoder,
    readings: &mut Vec<Reading>,
) -> Result<Option<Arc<str>>, Quarantined> {
    let text = match &record.envelope {
        Ok(text) => text,
        Err(unreadable) => return Err(unreadable_record(unreadable, record)),
    };
    let envelope = Envelope::parse(text).map_err(|reject| {
        let line = QuarantineLine {
            reason: &reject.to_string(),
            code: reject.code(),
            record: Some(base64_simd::STANDARD.encode_to_string(text.as_bytes())),
            ..QuarantineLine::default()
        };
        line.finish(record.arrived.at(), text)
    })?;
    decode_envelope(&envelope, text, decoder, readings)
}

/// As [`decode`], of a record whose envelope has been read from `text`.
pub(crate) fn decode_envelope(
    envelope: &Envelope<'_>,
    text: &str,
    decoder: &mut Decoder,
    readings: &mut Vec<Reading>,
) -> Result<Option<Arc<str>>, Quarantined> {
    decoder.decode(envelope, readings).map(|decoded| decoded.profile).map_err(|reject| {
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
        line.finish(Some(envelope.received), text)
    })
}

fn unreadable_record(unreadable: &Unreadable, record: &Record<'_>) -> Quarantined {
    let line = QuarantineLine {
        reason: unreadable.reason,
        code: "record",
        record: Some(unreadable.record.clone()),
        ..QuarantineLine::default()
    };
    // Records that hold nothing are told apart by where they stand.
    line.finish(record.arrived.at(), &format!("{:?} {}", record.position, unreadable.record))
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

#[derive(Debug)]
struct Line {
    id: String,
    json: String,
}

impl QuarantineLine<'_> {
    /// The line of a message that arrived at this time. The id is a digest of the record, so that a message which comes
    /// twice is known to be one.
    fn finish(mut self, at: Option<Micros>, record: &str) -> Quarantined {
        self.id = hex_digest(record.as_bytes());
        #[expect(clippy::expect_used, reason = "a map with text keys, written to memory: nothing can fail")]
        let json = serde_json::to_string(&self).expect("a line is JSON");
        Quarantined { day: day_of(at), line: Line { id: self.id, json } }
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
            let key = quarantine::key(&day, &hex_digest(text.as_bytes()));
            QuarantineObject { day, key, lines: text }
        };
        self.0.into_iter().map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

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

    /// The plan for an SQS event, as what is written and what becomes of each record.
    fn plan(bodies: &[String]) -> (Vec<SpanItem>, Vec<QuarantineObject>, Vec<Fate>) {
        let text = sqs(bodies);
        let records = Event::parse(&text).unwrap().records;
        let plan = Plan::new(records, BTreeMap::new(), &mut Decoder::default(), None);
        (plan.items, plan.objects, plan.fates.into_iter().map(|(_, fate)| fate).collect())
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
        let (items, objects, fates) = plan(&bodies);
        let device = |name: &str| Fate::Stored(vec![DeviceId::from_stored(format!("site/{name}"))]);
        let quarantined = |day: &str| Fate::Quarantined(day.to_owned());
        let (yesterday, today) = (quarantined("2026-11-22"), quarantined("2026-11-23"));
        assert_eq!(fates, [device("a"), today.clone(), yesterday, today, device("b")]);
        assert_eq!(items.len(), 2);
        let lines = |object: &QuarantineObject| (object.day.clone(), object.lines.lines().count());
        assert_eq!(
            objects.iter().map(lines).collect::<Vec<_>>(),
            [("2026-11-22".into(), 1), ("2026-11-23".into(), 2)]
        );
        assert!(objects[0].key.starts_with("quarantine/day=2026-11-22/"), "{}", objects[0].key);
    }

    #[test]
    fn a_quarantined_message_is_kept_whole() {
        let (_, objects, _) = plan(&[envelope("a", RECEIVED, "\u{1f4a5} {")]);
        let line: serde_json::Value = serde_json::from_str(&objects[0].lines).unwrap();
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
        let (_, objects, _) = plan(&["no envelope".to_owned()]);
        let line: serde_json::Value = serde_json::from_str(&objects[0].lines).unwrap();
        let record = base64_simd::STANDARD.decode_to_vec(line["record"].as_str().unwrap()).unwrap();
        assert_eq!(record, b"no envelope");
        assert_eq!(objects[0].day, "2026-11-23", "from the queue's own time");
    }

    #[test]
    fn neither_order_nor_repetition_changes_what_is_written() {
        let mut bodies: Vec<String> = (0..20)
            .map(|n| envelope("a", RECEIVED + n, &format!(r#"{{"ts": {}, "x": {n}}}"#, RECEIVED - n)))
            .collect();
        bodies.extend((0..5).map(|n| envelope("a", RECEIVED + n, "broken")));
        let written = |bodies: &[String]| {
            let (items, objects, _) = plan(bodies);
            (items, objects)
        };
        let mut other: Vec<String> = bodies.iter().rev().cloned().collect();
        other.extend_from_slice(&bodies[3..9]);
        other.extend_from_slice(&bodies[21..23]);
        assert_eq!(written(&bodies), written(&other));
    }
}
