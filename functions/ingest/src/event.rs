//! The events of the four triggers, told apart by what is in them.
//!
//! Formats: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS / Kinesis / Amazon MSK /
//! self-managed Apache Kafka"; the rule's direct event is an [envelope](telemetry::Envelope).

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use telemetry::{Micros, Scalar};
use thiserror::Error;

use crate::counted::{CountedList, Found};

/// What invoked the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An IoT rule's Lambda action: asynchronous, one message.
    Rule,
    /// An SQS queue.
    Sqs,
    /// A Kinesis stream.
    Kinesis,
    /// A Kafka topic, on MSK or self-managed.
    Kafka,
}

impl Source {
    /// Whether two records may be handled at one time, or the later one first.
    pub fn may_reorder(self) -> bool {
        matches!(self, Self::Rule | Self::Sqs)
    }

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Sqs => "sqs",
            Self::Kinesis => "kinesis",
            Self::Kafka => "kafka",
        }
    }
}

/// Where a record stands in its source: how the source is told that it failed, and what the source calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position<'a> {
    /// The only record of a direct invocation: its request id, which is the same when Lambda invokes again.
    Rule(&'a str),
    /// The id of an SQS message.
    Sqs(Cow<'a, str>),
    /// A record of a Kinesis shard.
    Kinesis {
        /// Decimal, of any length.
        sequence_number: Cow<'a, str>,
        /// `eventID`: the shard and the sequence number.
        event_id: Option<Cow<'a, str>>,
    },
    /// A Kafka partition, as the event calls it (`topic-0`), and the offset in it.
    Kafka(Cow<'a, str>, i64),
}

impl Position<'_> {
    /// The id of the delivery, for messages that have no trace: the same when the record is delivered again.
    pub fn delivery_id(&self) -> Cow<'_, str> {
        match self {
            Self::Rule(request_id) => Cow::Borrowed(request_id),
            Self::Sqs(message_id) => Cow::Borrowed(message_id),
            Self::Kinesis { sequence_number, event_id } => {
                Cow::Borrowed(event_id.as_ref().unwrap_or(sequence_number))
            }
            Self::Kafka(partition, offset) => Cow::Owned(format!("{partition}:{offset}")),
        }
    }
}

/// One record of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub position: Position<'a>,
    /// The envelope's text; where there is none that can be read, what stands in its place and why.
    pub envelope: Result<Cow<'a, str>, Unreadable>,
    /// When the source got it.
    pub arrived: Arrived<'a>,
}

/// When a source got a record, read only where it is asked for: of messages that have no time of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived<'a> {
    /// As the source says, or not known.
    At(Option<Micros>),
    /// In `SentTimestamp` of an SQS message's attributes, whose JSON this is.
    SqsAttributes(&'a str),
}

impl Arrived<'_> {
    /// The time, where there is one.
    pub fn at(self) -> Option<Micros> {
        match self {
            Self::At(at) => at,
            Self::SqsAttributes(json) => {
                let attributes: SqsAttributes<'_> = serde_json::from_str(json).ok()?;
                Micros::from_millis(attributes.sent_timestamp.text()?.parse().ok()?)
            }
        }
    }
}

/// A record that holds no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What it holds, in base64; empty if it holds nothing.
    pub record: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// An event, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Who sent it.
    pub source: Source,
    /// Its records, in order.
    pub records: Vec<Record<'a>>,
    /// How many records began in the event's text, counted before they were read.
    pub received: usize,
}

/// An event of none of the known shapes. The invocation fails, so that whoever sent it keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnknownEvent {
    /// Not the shape of any trigger.
    #[error(
        "the event is none of SQS, Kinesis, Kafka or the rule's envelope (payload, topic, received); \
         check what invokes this function"
    )]
    Shape,
    /// A record without what is needed to report its failure.
    #[error("record {0} of the event has no message id, sequence number or offset")]
    NoPosition(usize),
}

impl<'a> Event<'a> {
    /// Takes the JSON of the event of the invocation `request_id` apart, in one pass. The fields of a record are read
    /// leniently: what is wrong with one record stays with it.
    ///
    /// # Errors
    /// If it is none of the known shapes.
    pub fn parse(text: &'a str, request_id: &'a str) -> Result<Self, UnknownEvent> {
        let begun = Cell::new(0);
        let fields = EventFields::read(text, &begun).map_err(|_| UnknownEvent::Shape)?;
        let (source, records) = match fields {
            EventFields { records: Some(records), partitions: None, .. } => batch(records)?,
            EventFields { records: None, partitions: Some(partitions), .. } => kafka(partitions)?,
            EventFields { records: None, partitions: None, is_envelope: true } => {
                begun.set(1);
                let envelope = Ok(Cow::Borrowed(text));
                let position = Position::Rule(request_id);
                (Source::Rule, vec![Record { position, envelope, arrived: Arrived::At(None) }])
            }
            EventFields { .. } => return Err(UnknownEvent::Shape),
        };
        Ok(Self { source, records, received: begun.get() })
    }
}

/// A member that stands twice in the event, or in its map of partitions, adds to the first: JSON allows it, and
/// records must not be lost by it.
#[derive(Default)]
struct EventFields<'a> {
    records: Option<Vec<BatchRecord<'a>>>,
    partitions: Option<Vec<(Cow<'a, str>, KafkaRecord<'a>)>>,
    is_envelope: bool,
}

impl<'a> EventFields<'a> {
    fn read(text: &'a str, begun: &Cell<usize>) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = EventSeed { begun }.deserialize(&mut deserializer)?;
        deserializer.end().map(|()| fields)
    }
}

struct EventSeed<'c> {
    begun: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = EventFields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = EventFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = EventFields::default();
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            match key.text().as_deref() {
                Some("Records") => {
                    let mut records = fields.records.take().unwrap_or_default();
                    let list = CountedList { begun: self.begun, into: &mut records };
                    let found = map.next_value_seed(list)?;
                    fields.records = (found == Found::List || !records.is_empty()).then_some(records);
                }
                Some("records") => {
                    let partitions = fields.partitions.get_or_insert_default();
                    map.next_value_seed(Partitions { begun: self.begun, into: partitions })?;
                }
                Some("payload" | "topic") => {
                    fields.is_envelope |= map.next_value::<Option<IgnoredAny>>()?.is_some();
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// The records of a map of Kafka partitions, each with the name of its partition.
struct Partitions<'c, 'de> {
    begun: &'c Cell<usize>,
    into: &'c mut Vec<(Cow<'de, str>, KafkaRecord<'de>)>,
}

impl<'de> DeserializeSeed<'de> for Partitions<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Partitions<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("partitions and their records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut records = Vec::new();
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            let name = key.text().unwrap_or_default();
            map.next_value_seed(CountedList { begun: self.begun, into: &mut records })?;
            self.into.extend(records.drain(..).map(|record| (name.clone(), record)));
        }
        Ok(())
    }
}

type Records<'a> = (Source, Vec<Record<'a>>);

/// SQS and Kinesis both send `Records`.
fn batch(records: Vec<BatchRecord<'_>>) -> Result<Records<'_>, UnknownEvent> {
    let is_kinesis = records.iter().any(|record| record.kinesis.is_some());
    let mut parsed = Vec::with_capacity(records.len());
    for (index, record) in records.into_iter().enumerate() {
        let BatchRecord { message_id, body, attributes, kinesis, event_id } = record;
        let record = match kinesis {
            Some(kinesis) => kinesis_record(kinesis, event_id),
            None => sqs_record(message_id, body, attributes),
        };
        parsed.push(record.ok_or(UnknownEvent::NoPosition(index))?);
    }
    Ok((if is_kinesis { Source::Kinesis } else { Source::Sqs }, parsed))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchRecord<'a> {
    #[serde(borrow, default)]
    message_id: Scalar<'a>,
    #[serde(borrow, default)]
    body: Scalar<'a>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow)]
    kinesis: Option<KinesisRecord<'a>>,
    #[serde(rename = "eventID", borrow, default)]
    event_id: Scalar<'a>,
}

fn sqs_record<'a>(
    message_id: Scalar<'a>,
    body: Scalar<'a>,
    attributes: Option<&'a RawValue>,
) -> Option<Record<'a>> {
    let message_id = message_id.text().filter(|id| !id.is_empty())?;
    let no_body = || Unreadable { record: String::new(), reason: "the SQS message has no body" };
    let arrived = attributes.map_or(Arrived::At(None), |raw| Arrived::SqsAttributes(raw.get()));
    Some(Record { position: Position::Sqs(message_id), envelope: body.text().ok_or_else(no_body), arrived })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SqsAttributes<'a> {
    #[serde(borrow, default)]
    sent_timestamp: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisRecord<'a> {
    #[serde(borrow, default)]
    data: Scalar<'a>,
    #[serde(borrow, default)]
    sequence_number: Scalar<'a>,
    /// Seconds, with a fraction.
    approximate_arrival_timestamp: Option<f64>,
}

fn kinesis_record<'a>(fields: KinesisRecord<'a>, event_id: Scalar<'a>) -> Option<Record<'a>> {
    let sequence_number = fields.sequence_number.text().filter(|number| !number.is_empty())?;
    let event_id = event_id.text().filter(|id| !id.is_empty());
    Some(Record {
        position: Position::Kinesis { sequence_number, event_id },
        envelope: decode_data(fields.data),
        arrived: Arrived::At(fields.approximate_arrival_timestamp.and_then(Micros::from_epoch_fraction)),
    })
}

fn kafka<'a>(mut partitions: Vec<(Cow<'a, str>, KafkaRecord<'a>)>) -> Result<Records<'a>, UnknownEvent> {
    // Stable: the records of a partition stay in their order.
    partitions.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut records = Vec::with_capacity(partitions.len());
    for (partition, fields) in partitions {
        let offset = fields.offset.integer().ok_or(UnknownEvent::NoPosition(records.len()))?;
        records.push(Record {
            position: Position::Kafka(partition, offset),
            envelope: decode_data(fields.value),
            arrived: Arrived::At(fields.timestamp.integer().and_then(Micros::from_millis)),
        });
    }
    Ok((Source::Kafka, records))
}

#[derive(Deserialize)]
struct KafkaRecord<'a> {
    #[serde(borrow, default)]
    offset: Scalar<'a>,
    #[serde(borrow, default)]
    value: Scalar<'a>,
    #[serde(borrow, default)]
    timestamp: Scalar<'a>,
}

/// Kinesis and Kafka carry bytes, in base64.
fn decode_data(data: Scalar<'_>) -> Result<Cow<'_, str>, Unreadable> {
    let Some(data) = data.text() else {
        return Err(Unreadable { record: String::new(), reason: "the record has no data" });
    };
    let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(data.as_bytes()) else {
        let record = base64_simd::STANDARD.encode_to_string(data.as_bytes());
        return Err(Unreadable { record, reason: "the record's data is not base64" });
    };
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Unreadable {
        record: data.into_owned(),
        reason: "the record's data is not text; an envelope is JSON",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(text: &str) -> Vec<Position<'_>> {
        parse(text).unwrap().records.into_iter().map(|record| record.position).collect()
    }

    fn parse(text: &str) -> Result<Event<'_>, UnknownEvent> {
        Event::parse(text, "request-1")
    }

    fn kinesis<'a>(sequence_number: &'a str, event_id: Option<&'a str>) -> Position<'a> {
        Position::Kinesis { sequence_number: sequence_number.into(), event_id: event_id.map(Into::into) }
    }

    #[test]
    fn a_rules_event_is_its_envelope() {
        let event = parse(r#"{"payload": "e30=", "topic": "dt/a/b/c"}"#).unwrap();
        assert_eq!((event.source, event.records.len()), (Source::Rule, 1));
        assert!(parse(r#"{"topic": "dt/a/b/c"}"#).is_ok(), "without a payload it is one still");
    }

    #[test]
    fn each_source_has_its_positions() {
        let sqs = r#"{"Records": [{"messageId": "m-1", "body": "{}"}, {"messageId": "m-2", "body": 7}]}"#;
        assert_eq!(positions(sqs), [Position::Sqs("m-1".into()), Position::Sqs("m-2".into())]);
        let shard = r#"{"Records": [{"kinesis": {"sequenceNumber": "49", "data": "e30="}}]}"#;
        assert_eq!(positions(shard), [kinesis("49", None)]);
        let kafka = r#"{"records": {"t-0": [{"offset": 15, "value": "e30="}], "t-1": [{"offset": 3, "value": null}]}}"#;
        assert_eq!(positions(kafka), [Position::Kafka("t-0".into(), 15), Position::Kafka("t-1".into(), 3)]);
        assert!(positions(r#"{"Records": []}"#).is_empty());
        assert_eq!(positions(r#"{"payload": "e30="}"#), [Position::Rule("request-1")]);
    }

    #[test]
    fn each_source_names_the_delivery() {
        let check = |text: &str, expected: &str| {
            assert_eq!(positions(text)[0].delivery_id(), expected, "{text}");
        };
        check(r#"{"payload": "e30="}"#, "request-1");
        check(r#"{"Records": [{"messageId": "m-1", "body": "{}"}]}"#, "m-1");
        check(
            r#"{"Records": [{"eventID": "shardId-6:49", "kinesis": {"sequenceNumber": "49", "data": ""}}]}"#,
            "shardId-6:49",
        );
        check(r#"{"Records": [{"kinesis": {"sequenceNumber": "49", "data": ""}}]}"#, "49");
        check(r#"{"records": {"t-0": [{"offset": 15, "value": ""}]}}"#, "t-0:15");
    }

    /// Text of `count` elements.
    fn list(count: usize, element: impl Fn(usize) -> String) -> String {
        format!("[{}]", (0..count).map(element).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn every_record_is_counted_before_it_is_read_and_none_is_lost() {
        let sqs = |count| list(count, |n| format!(r#"{{"messageId": "m-{n}", "body": "{{}}"}}"#));
        let kinesis = list(25, |n| format!(r#"{{"kinesis": {{"sequenceNumber": "{n}", "data": "e30="}}}}"#));
        let kafka = |count| list(count, |n| format!(r#"{{"offset": {n}, "value": "e30="}}"#));
        let check = |text: &str, expected: usize| {
            let event = parse(text).unwrap();
            assert_eq!((event.received, event.records.len()), (expected, expected), "{text}");
        };
        check(&format!(r#"{{"Records": {}}}"#, sqs(25)), 25);
        check(&format!(r#"{{"Records": {kinesis}}}"#), 25);
        check(&format!(r#"{{"records": {{"t-0": {}, "t-1": {}}}}}"#, kafka(12), kafka(13)), 25);
        check(r#"{"payload": "e30=", "topic": "dt/a/b/c"}"#, 1);
        // JSON lets a member stand there twice.
        check(&format!(r#"{{"Records": {}, "Records": {}}}"#, sqs(11), sqs(4)), 15);
        check(&format!(r#"{{"Records": {}, "Records": null}}"#, sqs(11)), 11);
        check(&format!(r#"{{"records": {{"t-0": {}, "t-0": {}}}}}"#, kafka(11), kafka(4)), 15);
        check(&format!(r#"{{"records": {{"t-0": {}}}, "records": {{}}}}"#, kafka(11)), 11);
        let both = format!(r#"{{"Records": {}, "records": {{"t-0": {}}}}}"#, sqs(1), kafka(1));
        assert_eq!(parse(&both), Err(UnknownEvent::Shape));
    }

    #[test]
    fn what_is_wrong_with_a_record_stays_with_it() {
        let check = |text: &str, expected: &str| {
            let event = parse(text).unwrap();
            let reasons: Vec<_> =
                event.records.iter().filter_map(|record| record.envelope.as_ref().err()).collect();
            assert_eq!(reasons.len(), 1, "{text}");
            assert_eq!(reasons[0].reason, expected);
        };
        check(
            r#"{"Records": [{"messageId": "a", "body": "{}"}, {"messageId": "b"}]}"#,
            "the SQS message has no body",
        );
        check(r#"{"Records": [{"kinesis": {"sequenceNumber": "1"}}]}"#, "the record has no data");
        check(
            r#"{"Records": [{"kinesis": {"sequenceNumber": "1", "data": "*"}}]}"#,
            "the record's data is not base64",
        );
        check(
            r#"{"records": {"t-0": [{"offset": 1, "value": "/w=="}]}}"#,
            "the record's data is not text; an envelope is JSON",
        );
    }

    #[test]
    fn unknown_events_are_refused() {
        let check = |text: &str, expected: UnknownEvent| assert_eq!(parse(text), Err(expected), "{text}");
        check("{}", UnknownEvent::Shape);
        check("[]", UnknownEvent::Shape);
        check("null", UnknownEvent::Shape);
        check(r#"{"temperature": 22.5}"#, UnknownEvent::Shape);
        check(r#"{"Records": 5}"#, UnknownEvent::Shape);
        check(r#"{"records": []}"#, UnknownEvent::Shape);
        check(r#"{"Records": [{"eventSource": "aws:s3", "s3": {}}]}"#, UnknownEvent::NoPosition(0));
        check(r#"{"Records": [{"messageId": "a", "body": ""}, {}]}"#, UnknownEvent::NoPosition(1));
        check(r#"{"Records": [{"messageId": "a", "body": ""}, 5]}"#, UnknownEvent::Shape);
        check(r#"{"Records": [{"messageId": "", "body": ""}]}"#, UnknownEvent::NoPosition(0));
        check(r#"{"records": {"t-0": [{"value": "e30="}]}}"#, UnknownEvent::NoPosition(0));
    }
}
