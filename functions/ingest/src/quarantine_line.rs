//! Messages that are kept whole, as lines of JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cloud::quarantine;
use serde::Serialize;
use sha2::{Digest, Sha256};
use telemetry::{Envelope, Micros, Reject};

use crate::event::{Record, Unreadable};

/// A message kept whole.
#[derive(Debug)]
pub struct Quarantined {
    /// The partition.
    pub(crate) day: String,
    line: Line,
}

#[derive(Debug)]
struct Line {
    id: String,
    json: String,
}

impl Quarantined {
    /// A message whose envelope has been read from `text`, and which was refused for what its `member` says.
    pub(crate) fn message(
        envelope: &Envelope<'_>,
        text: &str,
        reject: &Reject,
        member: Option<&str>,
    ) -> Self {
        let line = QuarantineLine {
            reason: &reject.to_string(),
            code: reject.code(),
            member,
            topic: Some(&envelope.topic),
            client: envelope.client.as_deref(),
            principal: envelope.principal.as_deref(),
            received: Some(envelope.received.to_string()),
            trace: envelope.trace.as_deref(),
            delivery: envelope.trace.as_deref().or(envelope.record.as_deref()).unwrap_or_default(),
            payload: Some(&envelope.payload),
            ..QuarantineLine::default()
        };
        line.finish(Some(envelope.received), text)
    }

    /// A record whose text is no envelope.
    pub(crate) fn without_envelope(record: &Record<'_>, text: &str, reject: &Reject) -> Self {
        let line = QuarantineLine {
            reason: &reject.to_string(),
            code: reject.code(),
            delivery: &record.position.delivery_id(),
            record: Some(base64_simd::STANDARD.encode_to_string(text.as_bytes())),
            ..QuarantineLine::default()
        };
        line.finish(record.arrived.at(), text)
    }

    /// A record without text.
    pub(crate) fn unreadable(record: &Record<'_>, unreadable: &Unreadable) -> Self {
        let line = QuarantineLine {
            reason: unreadable.reason,
            code: "record",
            delivery: &record.position.delivery_id(),
            record: Some(unreadable.record.clone()),
            ..QuarantineLine::default()
        };
        line.finish(record.arrived.at(), &unreadable.record)
    }
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
    /// The member of the payload that is at fault, in the device's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
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
    /// The id of the delivery that counts. A replayed message has it as `record` in its envelope, and becomes the same
    /// readings.
    delivery: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
}

impl QuarantineLine<'_> {
    /// The line of a message that arrived at this time. The id is a digest of the record and of its delivery: a message
    /// that comes twice is known to be one, and two messages of the same content are two.
    fn finish(mut self, at: Option<Micros>, record: &str) -> Quarantined {
        self.id = hex_digest(&[record.as_bytes(), b"\n", self.delivery.as_bytes()]);
        #[expect(clippy::expect_used, reason = "a map with text keys, written to memory: nothing can fail")]
        let json = serde_json::to_string(&self).expect("a line is JSON");
        Quarantined { day: day_of(at), line: Line { id: self.id, json } }
    }
}

/// 128 bits of SHA-256, as 32 hex digits.
fn hex_digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize()[..16].iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
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

/// Lines by day and id: in whatever order they came, and however often, they make the same object.
#[derive(Debug, Default)]
pub(crate) struct Days(BTreeMap<String, BTreeMap<String, String>>);

impl Days {
    /// Adds a line; returns its day.
    pub(crate) fn add(&mut self, Quarantined { day, line }: Quarantined) -> String {
        self.0.entry(day.clone()).or_default().insert(line.id, line.json);
        day
    }

    pub(crate) fn into_objects(self) -> Vec<QuarantineObject> {
        let object = |(day, lines): (String, BTreeMap<String, String>)| {
            let mut text = String::new();
            for line in lines.into_values() {
                text.push_str(&line);
                text.push('\n');
            }
            let key = quarantine::key(&day, &hex_digest(&[text.as_bytes()]));
            QuarantineObject { day, key, lines: text }
        };
        self.0.into_iter().map(object).collect()
    }
}
