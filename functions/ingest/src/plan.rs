//! What is to be done with a part of an event: pure, so that nearly everything is tested here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use telemetry::{
    Carrier, Decoded, DeviceId, Identity, Latest, Micros, Packed, Reading, Replaced, SpanItem, Value, latest,
};

use crate::event::Position;
use crate::message::{Message, Origin};
use crate::quarantine_line::{Days, QuarantineObject};

/// The plan for a part of an event, nearly always for all of it. Holds what is to be written and no more.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// What is to be written to the readings table.
    pub items: Vec<SpanItem>,
    /// What is to be written to the devices table once a device's items are.
    pub updates: Vec<Latest>,
    /// What is to be written to the quarantine, one object for each day.
    pub objects: Vec<QuarantineObject>,
    /// Each record's place in its source and what it waits for.
    pub dispositions: Vec<(Position<'a>, Disposition)>,
    /// Readings that others of the same identity have replaced.
    pub replaced: Replaced,
}

/// What has to succeed for a record to be done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// The items and the states of its devices are written: of one, or of those that a gateway speaks for.
    Stored(Vec<DeviceId>),
    /// The object of this day is written.
    Quarantined(String),
    /// Nothing: its topic is ignored, or its profile ignores all of it.
    Ignored,
    /// Nothing can: it is to be redelivered.
    HandedBack,
}

/// Messages that have been read, and their readings.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    readings: Vec<Reading>,
    messages: Vec<Entry>,
    /// Readings, of which long texts count as several.
    weight: usize,
}

#[derive(Debug)]
struct Entry {
    /// The record's place in the event.
    place: usize,
    message: Message,
    /// Where its readings begin; they end where those of the next begin.
    first: usize,
}

/// How far a draft had come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    readings: usize,
    messages: usize,
    weight: usize,
}

impl Draft {
    /// Room for the readings of so many messages: most devices send a few metrics at a time.
    pub(crate) fn with_room_for(messages: usize) -> Self {
        const READINGS_PER_MESSAGE: usize = 4;
        Self {
            readings: Vec::with_capacity(READINGS_PER_MESSAGE * messages),
            messages: Vec::with_capacity(messages),
            weight: 0,
        }
    }

    /// Adds the record at `place`, which `read` makes a message of, and appends its readings.
    pub(crate) fn add(&mut self, place: usize, read: impl FnOnce(&mut Vec<Reading>) -> Message) {
        let first = self.readings.len();
        let message = read(&mut self.readings);
        self.messages.push(Entry { place, message, first });
        self.weight += weight(&self.readings[first..]);
    }

    /// Readings, of which long texts count as several.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { readings: self.readings.len(), messages: self.messages.len(), weight: self.weight }
    }

    /// Forgets what was added since.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.readings.truncate(mark.readings);
        self.messages.truncate(mark.messages);
        self.weight = mark.weight;
    }

    /// The places of its records in the event.
    pub(crate) fn places(&self) -> impl ExactSizeIterator<Item = usize> {
        self.messages.iter().map(|entry| entry.place)
    }

    /// The plan. `positions` are those of the records, in the order of [`Draft::places`]; readings are to be kept for
    /// `retention_days` after they arrived; `None`: for ever.
    pub(crate) fn into_plan(self, positions: Vec<Position<'_>>, retention_days: Option<u32>) -> Plan<'_> {
        let Self { readings, messages, .. } = self;
        let mut days = Days::default();
        let mut known = Known::default();
        let mut carriers = Vec::with_capacity(messages.len());
        let mut dispositions = Vec::with_capacity(messages.len());
        let mut entries = messages.into_iter().peekable();
        while let Some(Entry { message, first, .. }) = entries.next() {
            let end = entries.peek().map_or(readings.len(), |next| next.first);
            let disposition = match message {
                Message::Read(origin) => {
                    let own = &readings[first..end];
                    carriers.extend(carrier(own, &origin));
                    stored(own, &origin.decoded, &mut known)
                }
                Message::Quarantined(quarantined) => Disposition::Quarantined(days.add(quarantined)),
                Message::HandedBack => Disposition::HandedBack,
            };
            dispositions.push(disposition);
        }
        // A record without a position would be missing in the count, which fails the invocation.
        let dispositions = positions.into_iter().zip(dispositions).collect();
        let Packed { spans, replaced } = Packed::new(readings, BTreeSet::from_iter(carriers));
        let mut updates = latest(&spans);
        for update in &mut updates {
            update.profile = known.profiles.remove(&update.device).map(|(_, profile)| profile);
            update.identity = known.identities.remove(&update.device).unwrap_or_default();
        }
        let items = spans.into_iter().map(|span| span.to_item(retention_days)).collect();
        Plan { items, updates, objects: days.into_objects(), dispositions, replaced }
    }
}

/// Bytes of text that weigh as much as a reading. A text is in memory once, and in an item's JSON in up to six times its
/// length.
const TEXT_BYTES: usize = 256;

/// How many readings these are, of which long texts count as several.
pub(crate) fn weight(readings: &[Reading]) -> usize {
    let of_one = |reading: &Reading| match &reading.value {
        Value::Text(text) => 1 + text.len() / TEXT_BYTES,
        _ => 1,
    };
    readings.iter().map(of_one).sum()
}

/// Where a message is counted: with its first reading. So a gateway's message counts once.
fn carrier(readings: &[Reading], origin: &Origin) -> Option<Carrier> {
    let first = readings.iter().min_by_key(|reading| reading.instant())?;
    Some(Carrier {
        device: first.device.clone(),
        instant: first.instant(),
        revision: first.revision,
        delivery: origin.delivery,
        bytes: origin.bytes,
    })
}

fn stored(readings: &[Reading], decoded: &Decoded, known: &mut Known) -> Disposition {
    let devices = devices_of(readings);
    let Some(first) = readings.first() else { return Disposition::Ignored };
    known.add(&devices, first.received, decoded);
    Disposition::Stored(devices)
}

/// What the messages of a device say of it beside its readings. Whatever the order of the batch, the same counts.
#[derive(Default)]
struct Known {
    /// The profile that the last was read by, and when that arrived; of messages of one moment, the greatest.
    profiles: HashMap<DeviceId, (Micros, Arc<str>)>,
    /// How it is known that they are of the device, where that is not by topic and client: of all its messages, the one that
    /// lets least follow.
    identities: HashMap<DeviceId, Identity>,
}

impl Known {
    fn add(&mut self, devices: &[DeviceId], received: Micros, decoded: &Decoded) {
        for device in devices {
            if let Some(profile) = &decoded.profile {
                replace_older(&mut self.profiles, device, (received, Arc::clone(profile)));
            }
            let identity = decoded.identity(device);
            if identity != Identity::default() {
                let known = self.identities.entry(device.clone()).or_default();
                *known = identity.max(*known);
            }
        }
    }
}

fn replace_older<T: Clone + Ord>(known: &mut HashMap<DeviceId, T>, device: &DeviceId, new: T) {
    match known.get_mut(device) {
        Some(known) if *known < new => *known = new,
        Some(_) => {}
        None => drop(known.insert(device.clone(), new)),
    }
}

/// The devices of one message's readings.
fn devices_of(readings: &[Reading]) -> Vec<DeviceId> {
    let mut devices: Vec<_> =
        readings.chunk_by(|a, b| a.device == b.device).map(|same| same[0].device.clone()).collect();
    if devices.len() > 1 {
        devices.sort();
        devices.dedup();
    }
    devices
}

#[cfg(test)]
mod tests {
    use telemetry::{Decoder, HourBound, TimePolicy};

    use super::*;
    use crate::chunk::{Limits, Pending, ReadBefore, TimeLeft};
    use crate::event::Event;
    use crate::message::Reader;

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
    fn plan(bodies: &[String]) -> (Vec<SpanItem>, Vec<QuarantineObject>, Vec<Disposition>) {
        let text = sqs(bodies);
        let event = Event::parse(&text, "request-1").unwrap();
        let mut decoder = Decoder::default();
        let limits = Limits { readings: 1_000, time_left: || TimeLeft::Ample };
        let mut pending = Pending::new(event.source, event.records);
        let plan = pending.plan(
            ReadBefore::default(),
            &mut Reader::new(&mut decoder, HourBound::of(&TimePolicy::default())),
            &limits,
            None,
        );
        assert!(pending.is_empty());
        (
            plan.items,
            plan.objects,
            plan.dispositions.into_iter().map(|(_, disposition)| disposition).collect(),
        )
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
        let (items, objects, dispositions) = plan(&bodies);
        let device = |name: &str| Disposition::Stored(vec![DeviceId::from_stored(format!("site/{name}"))]);
        let quarantined = |day: &str| Disposition::Quarantined(day.to_owned());
        let (yesterday, today) = (quarantined("2026-11-22"), quarantined("2026-11-23"));
        assert_eq!(dispositions, [device("a"), today.clone(), yesterday, today, device("b")]);
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
