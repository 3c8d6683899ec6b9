//! The events of the four triggers, told apart by what is in them.
//!
//! Formats: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS / Kinesis / Amazon MSK /
//! self-managed Apache Kafka"; the rule's direct event is an [envelope](telemetry::Envelope).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::{Micros, Scalar};
use thiserror::Error;

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

/// Where a record stands in its source: how the source is told that it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position<'a> {
    /// The only record of a direct invocation.
    Rule,
    /// The id of an SQS message.
    Sqs(Cow<'a, str>),
    /// The sequence number in a Kinesis shard: decimal, of any length.
    Kinesis(Cow<'a, str>),
    /// A Kafka partition, as the event calls it (`topic-0`), and the offset in it.
    Kafka(Cow<'a, str>, i64),
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
    /// Takes an event's JSON apart, in one pass. The fields of a record are read leniently: what is
    /// wrong with one record stays with it.
    ///
    /// # Errors
    /// If it is none of the known shapes.
    pub fn parse(text: &'a str) -> Result<Self, UnknownEvent> {
        let fields: EventFields<'a> = serde_json::from_str(text).map_err(|_| UnknownEvent::Shape)?;
        if let Some(records) = fields.records {
            return batch(records);
        }
        if let Some(partitions) = fields.partitions {
            return kafka(partitions);
        }
        if fields.payload.is_none() && fields.topic.is_none() {
            return Err(UnknownEvent::Shape);
        }
        let record = Record {
            position: Position::Rule,
            envelope: Ok(Cow::Borrowed(text)),
            arrived: Arrived::At(None),
        };
        Ok(Self { source: Source::Rule, records: vec![record] })
    }
}

#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<BatchRecord<'a>>>,
    #[serde(rename = "records", borrow)]
    partitions: Option<BTreeMap<Cow<'a, str>, Vec<KafkaRecord<'a>>>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Option<&'a RawValue>,
}

/// SQS and Kinesis both send `Records`.
fn batch(records: Vec<BatchRecord<'_>>) -> Result<Event<'_>, UnknownEvent> {
    let is_kinesis = records.iter().any(|record| record.kinesis.is_some());
    let mut parsed = Vec::with_capacity(records.len());
    for (index, BatchRecord { message_id, body, attributes, kinesis }) in records.into_iter().enumerate() {
        let record = match kinesis {
            Some(kinesis) => kinesis_record(kinesis),
            None => sqs_record(message_id, body, attributes),
        };
        parsed.push(record.ok_or(UnknownEvent::NoPosition(index))?);
    }
    Ok(Event { source: if is_kinesis { Source::Kinesis } else { Source::Sqs }, records: parsed })
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

fn kinesis_record(fields: KinesisRecord<'_>) -> Option<Record<'_>> {
    let sequence_number = fields.sequence_number.text().filter(|number| !number.is_empty())?;
    Some(Record {
        position: Position::Kinesis(sequence_number),
        envelope: decode_data(fields.data),
        arrived: Arrived::At(fields.approximate_arrival_timestamp.and_then(Micros::from_epoch_fraction)),
    })
}

fn kafka<'a>(partitions: BTreeMap<Cow<'a, str>, Vec<KafkaRecord<'a>>>) -> Result<Event<'a>, UnknownEvent> {
    let mut records = Vec::new();
    for (partition, fields) in partitions
        .into_iter()
        .flat_map(|(name, records)| records.into_iter().map(move |record| (name.clone(), record)))
    {
        let offset = fields.offset.integer().ok_or(UnknownEvent::NoPosition(records.len()))?;
        records.push(Record {
            position: Position::Kafka(partition, offset),
            envelope: decode_data(fields.value),
            arrived: Arrived::At(fields.timestamp.integer().and_then(Micros::from_millis)),
        });
    }
    Ok(Event { source: Source::Kafka, records })
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
        Event::parse(text).unwrap().records.into_iter().map(|record| record.position).collect()
    }

    #[test]
    fn a_rules_event_is_its_envelope() {
        let event = Event::parse(r#"{"payload": "e30=", "topic": "dt/a/b/c"}"#).unwrap();
        assert_eq!((event.source, event.records.len()), (Source::Rule, 1));
        assert!(Event::parse(r#"{"topic": "dt/a/b/c"}"#).is_ok(), "without a payload it is one still");
    }

    #[test]
    fn each_source_has_its_positions() {
        let sqs = r#"{"Records": [{"messageId": "m-1", "body": "{}"}, {"messageId": "m-2", "body": 7}]}"#;
        assert_eq!(positions(sqs), [Position::Sqs("m-1".into()), Position::Sqs("m-2".into())]);
        let kinesis = r#"{"Records": [{"kinesis": {"sequenceNumber": "49", "data": "e30="}}]}"#;
        assert_eq!(positions(kinesis), [Position::Kinesis("49".into())]);
        let kafka = r#"{"records": {"t-0": [{"offset": 15, "value": "e30="}], "t-1": [{"offset": 3, "value": null}]}}"#;
        assert_eq!(positions(kafka), [Position::Kafka("t-0".into(), 15), Position::Kafka("t-1".into(), 3)]);
        assert!(positions(r#"{"Records": []}"#).is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_record_stays_with_it() {
        let check = |text: &str, expected: &str| {
            let event = Event::parse(text).unwrap();
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
        let check =
            |text: &str, expected: UnknownEvent| assert_eq!(Event::parse(text), Err(expected), "{text}");
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
