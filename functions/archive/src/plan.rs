//! What is to be done with an event: pure, so that nearly everything is tested here.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cloud::quarantine;
use cloud::stream::{Change, UnknownEvent, lower, parse};
use lake::key::Fingerprint;
use lake::{Columns, Hour, Key, LakeError, Name, encode};
use serde::Serialize;
use serde_json::value::RawValue;
use telemetry::{Micros, SpanError, StoredSpan};

/// The plan for one event.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// An object for each hour of event time.
    pub objects: Vec<PlannedObject<'a>>,
    /// What is no span, whole, in objects of the quarantine: one for each day.
    pub quarantine: Vec<PlannedObject<'a>>,
    /// Changes that ask for nothing: removals, by DynamoDB's time to live or by hand.
    pub ignored: usize,
}

/// An object that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedObject<'a> {
    /// Its key.
    pub key: String,
    /// Its content.
    pub bytes: Bytes,
    /// Readings in it.
    pub readings: usize,
    /// The changes in it, by their place in the event.
    pub changes: BTreeSet<usize>,
    /// The lowest position of these.
    pub position: &'a str,
}

/// What the readings table's stream says was written: a span, or whatever else somebody puts there.
pub type Image<'a> = Result<StoredSpan, Stranger<'a>>;

/// An item that is no span.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranger<'a> {
    /// The item, in DynamoDB's JSON.
    pub json: &'a str,
    /// What it lacks.
    pub error: SpanError,
}

/// Reads an event.
///
/// # Errors
/// If it is none of a stream.
pub fn read(event: &str) -> Result<Vec<Change<'_, Image<'_>>>, UnknownEvent> {
    // Nearly always all are spans, which takes one pass. A stranger's text has to be kept: then it takes two.
    if let Ok(changes) = parse::<StoredSpan>(event) {
        return Ok(changes.into_iter().map(|change| with_image(change, Ok)).collect());
    }
    let changes = parse::<&RawValue>(event)?.into_iter();
    Ok(changes.map(|change| with_image(change, |item| image(item.get()))).collect())
}

fn image(json: &str) -> Image<'_> {
    StoredSpan::from_json(json).map_err(|error| Stranger { json, error })
}

fn with_image<'a, I, J>(change: Change<'a, I>, image: impl FnOnce(I) -> J) -> Change<'a, J> {
    let Change { sequence_number, new_image, at } = change;
    Change { sequence_number, new_image: new_image.map(image), at }
}

impl<'a> Plan<'a> {
    /// Sorts an event's changes into objects.
    ///
    /// # Errors
    /// If the encoder refuses.
    pub fn new(changes: &[Change<'a, Image<'a>>]) -> Result<Self, LakeError> {
        let mut plan = Self::default();
        let mut hours: BTreeMap<Hour, Batch> = BTreeMap::new();
        let mut days: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            match &change.new_image {
                None => plan.ignored += 1,
                Some(Ok(stored)) => sort_in(&mut hours, index, stored),
                Some(Err(stranger)) => {
                    // Never today's date: the same change again has to come to the same place.
                    let day = change.at.map_or_else(|| "unknown".to_owned(), Micros::day);
                    days.entry(day).or_default().push((index, line(stranger)));
                }
            }
        }
        for (hour, batch) in hours {
            plan.objects.extend(batch.into_object(hour, changes)?);
        }
        plan.quarantine =
            days.into_iter().filter_map(|(day, lines)| quarantined(&day, lines, changes)).collect();
        Ok(plan)
    }
}

fn sort_in(hours: &mut BTreeMap<Hour, Batch>, index: usize, stored: &StoredSpan) {
    let span = &stored.span;
    let mut hour = Hour::of(span.first());
    while hour <= Hour::of(span.last()) {
        hours.entry(hour).or_default().add(hour, index, stored);
        hour = hour.next();
    }
}

/// What an event holds of one hour.
#[derive(Default)]
struct Batch {
    columns: Columns,
    /// Keys of the spans that have readings in this hour.
    spans: BTreeSet<(String, String)>,
    changes: BTreeSet<usize>,
    first: Option<Micros>,
}

impl Batch {
    fn add(&mut self, hour: Hour, index: usize, stored: &StoredSpan) {
        let span = &stored.span;
        let id = (span.device().to_string(), stored.key.clone());
        if self.spans.contains(&id) {
            // The same span has the same readings: its key has their digest.
            self.changes.insert(index);
        } else if self.columns.push_span(span, hour.start().0, hour.end().0) > 0 {
            self.spans.insert(id);
            self.changes.insert(index);
            self.first = self.first.into_iter().chain([span.first()]).min();
        }
    }

    fn into_object<'a>(
        self,
        hour: Hour,
        changes: &[Change<'a, Image<'a>>],
    ) -> Result<Option<PlannedObject<'a>>, LakeError> {
        let (Some(position), Some(first)) = (lowest(&self.changes, changes), self.first) else {
            return Ok(None);
        };
        let mut fingerprint = Fingerprint::default();
        for (device, span) in &self.spans {
            fingerprint.update(device.as_bytes());
            fingerprint.update(span.as_bytes());
        }
        let name = Name::Archived { first, digest: fingerprint.finish() };
        let (key, readings) = (Key { hour, name }.to_string(), self.columns.len());
        let bytes = encode(&self.columns)?.unwrap_or_default();
        Ok(Some(PlannedObject { key, bytes, readings, changes: self.changes, position }))
    }
}

fn lowest<'a>(indices: &BTreeSet<usize>, changes: &[Change<'a, Image<'a>>]) -> Option<&'a str> {
    indices.iter().map(|index| changes[*index].sequence_number).reduce(lower)
}

/// An item that is no span, as its line in the quarantine has it.
fn line(stranger: &Stranger<'_>) -> String {
    #[derive(Serialize)]
    struct Line {
        id: String,
        reason: String,
        code: &'static str,
        record: String,
    }
    let mut id = Fingerprint::default();
    id.update(stranger.json.as_bytes());
    let reason = format!("the changed item is no span: {}", stranger.error);
    let record = base64_simd::STANDARD.encode_to_string(stranger.json.as_bytes());
    #[expect(clippy::expect_used, reason = "a map with text keys, written to memory: nothing can fail")]
    serde_json::to_string(&Line { id: id.finish(), reason, code: "span", record }).expect("a line is JSON")
}

/// Lines in an order of their own, so that the same ones make the same object.
fn quarantined<'a>(
    day: &str,
    lines: Vec<(usize, String)>,
    changes: &[Change<'a, Image<'a>>],
) -> Option<PlannedObject<'a>> {
    let indices: BTreeSet<usize> = lines.iter().map(|(index, _)| *index).collect();
    let position = lowest(&indices, changes)?;
    let lines: BTreeSet<String> = lines.into_iter().map(|(_, line)| line).collect();
    let text: String = lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect();
    let mut digest = Fingerprint::default();
    digest.update(text.as_bytes());
    let key = quarantine::key(day, &digest.finish());
    Some(PlannedObject { key, bytes: text.into(), readings: 0, changes: indices, position })
}

#[cfg(test)]
mod tests {
    use lake::Reader;
    use telemetry::{DeviceId, Quality, Reading, Seq, TimeSource, Value, pack};

    use super::*;

    /// 2026-11-23T07:00:00Z.
    const SEVEN: i64 = 1_795_417_200_000_000;
    const MINUTE: i64 = 60_000_000;

    fn reading(device: &str, at: i64, value: i128) -> Reading {
        Reading {
            device: DeviceId::from_stored(device),
            metric: "temperature".into(),
            at: Micros(at),
            received: Micros(at),
            value: Value::Integer(value),
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        }
    }

    fn items(readings: &[Reading]) -> Vec<String> {
        pack(readings.to_vec()).iter().map(|span| span.to_item(Some(30)).json).collect()
    }

    fn changes<'a>(items: &'a [String], numbers: &'a [String]) -> Vec<Change<'a, Image<'a>>> {
        let change = |(item, number): (&'a String, &'a String)| Change {
            sequence_number: number,
            new_image: Some(item.as_str()).filter(|item| !item.is_empty()).map(image),
            at: Some(Micros(SEVEN)),
        };
        items.iter().zip(numbers).map(change).collect()
    }

    fn numbers() -> Vec<String> {
        (8..60).map(|number| number.to_string()).collect()
    }

    fn read_back(object: &PlannedObject<'_>) -> Vec<Reading> {
        Reader::open(object.bytes.clone()).unwrap().read_all().unwrap().readings().collect()
    }

    #[test]
    fn spans_are_read_alike_beside_strangers_and_alone() {
        let event = |images: &[&str]| {
            let record =
                |image: &&str| format!(r#"{{"dynamodb": {{"SequenceNumber": "7", "NewImage": {image}}}}}"#);
            let records: Vec<String> = images.iter().map(record).collect();
            format!(r#"{{"Records": [{}]}}"#, records.join(","))
        };
        let items = items(&[reading("s/a", SEVEN, 1)]);
        let stranger = r#"{"device": {"S": "s/a"}}"#;
        let (alone, beside) = (event(&[&items[0]]), event(&[stranger, &items[0]]));
        let (alone, beside) = (read(&alone).unwrap(), read(&beside).unwrap());
        assert_eq!(alone[0].new_image, beside[1].new_image);
        assert!(matches!(&alone[0].new_image, Some(Ok(stored)) if stored.span.len() == 1));
        assert!(matches!(&beside[0].new_image, Some(Err(found)) if found.json == stranger));
        assert_eq!(read(r#"{"Records": 5}"#).err(), Some(UnknownEvent::Shape));
    }

    #[test]
    fn each_reading_goes_to_its_hour() {
        let all = [
            reading("s/a", SEVEN - MINUTE, 1),
            reading("s/a", SEVEN - 1, 2),
            reading("s/a", SEVEN, 3),
            reading("s/a", SEVEN + 30 * MINUTE, 4),
            reading("s/b", SEVEN - 400 * MINUTE, 5),
        ];
        let (items, numbers) = (items(&all), numbers());
        assert_eq!(items.len(), 3, "one span reaches over the hour");
        let plan = Plan::new(&changes(&items, &numbers)).unwrap();
        let found: Vec<(Hour, Vec<Reading>)> = plan
            .objects
            .iter()
            .map(|object| (Key::parse(&object.key).unwrap().hour, read_back(object)))
            .collect();
        let hour = |minutes: i64| Hour::of(Micros(SEVEN + minutes * MINUTE));
        assert_eq!(
            found,
            [
                (hour(-400), vec![all[4].clone()]),
                (hour(-1), all[..2].to_vec()),
                (hour(0), all[2..4].to_vec())
            ]
        );
        assert_eq!(plan.objects.iter().map(|object| object.readings).sum::<usize>(), 5);
    }

    #[test]
    fn spans_of_both_versions_are_archived() {
        let numbered = Reading { seq: Seq(7), revision: Micros(SEVEN), ..reading("s/b", SEVEN + 1, 2) };
        let all = [reading("s/a", SEVEN, 1), numbered];
        let (mut items, numbers) = (items(&all), numbers());
        assert!(items[0].contains(r#""version":{"N":"2"}"#), "{}", items[0]);
        items[0] = items[0].replace(r#""version":{"N":"2"}"#, r#""version":{"N":"1"}"#);
        let plan = Plan::new(&changes(&items, &numbers)).unwrap();
        assert_eq!((plan.objects.len(), plan.quarantine.len()), (1, 0));
        assert_eq!(read_back(&plan.objects[0]), all);
    }

    #[test]
    fn neither_order_nor_repetition_changes_what_is_written() {
        let readings: Vec<Reading> = (0..20)
            .map(|n| reading(["s/a", "s/b"][n as usize % 2], SEVEN + n * 5 * MINUTE, n.into()))
            .collect();
        let (items, numbers) = (items(&readings), numbers());
        let written = |items: &[String]| -> Vec<(String, Bytes)> {
            let plan = Plan::new(&changes(items, &numbers)).unwrap();
            plan.objects.into_iter().map(|object| (object.key, object.bytes)).collect()
        };
        let expected = written(&items);
        let reversed: Vec<String> = items.iter().rev().cloned().collect();
        let twice = [&items[..], &reversed[..]].concat();
        assert_eq!(written(&reversed), expected);
        assert_eq!(written(&twice), expected);
        assert_ne!(written(&items[1..])[0].0, expected[0].0, "another batch is another object");
    }

    #[test]
    fn removals_ask_for_nothing_and_strangers_are_kept_whole() {
        let good = items(&[reading("s/a", SEVEN, 1)]);
        let stranger = r#"{"device": {"S": "s/a"}, "span": {"S": "x"}, "version": {"N": "1"}}"#.to_owned();
        let binary = r#"{"device": {"B": "AA=="}}"#.to_owned();
        let items = [String::new(), good[0].clone(), stranger.clone(), binary, stranger.clone()];
        let numbers = numbers();
        let plan = Plan::new(&changes(&items, &numbers)).unwrap();
        assert_eq!((plan.ignored, plan.objects.len(), plan.quarantine.len()), (1, 1, 1));
        let object = &plan.quarantine[0];
        assert_eq!(object.changes, BTreeSet::from([2, 3, 4]));
        assert_eq!(object.position, "10", "by number, not by text");
        let lines: Vec<serde_json::Value> = std::str::from_utf8(&object.bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "the repetition is one line");
        let kept = base64_simd::STANDARD.encode_to_string(stranger.as_bytes());
        assert!(lines.iter().any(|line| line["record"] == kept.as_str()));
        assert!(object.key.starts_with("quarantine/day=2026-11-23/"));
    }
}
