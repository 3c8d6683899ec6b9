//! The event that Lambda makes of a DynamoDB stream, and its answer.
//!
//! Format: AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB", and there "Configuring partial
//! batch response with DynamoDB and Lambda".

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use telemetry::{Micros, Scalar};
use thiserror::Error;

/// One change of an item.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Where it stands in its shard: decimal, of any length.
    pub sequence_number: &'a str,
    /// The item after the change, in DynamoDB's JSON; `None` where it was removed.
    pub new_image: Option<&'a str>,
    /// When it was made; DynamoDB says it to the second.
    pub at: Option<Micros>,
}

/// An event that is none of a stream. The invocation fails, so that whoever sent it keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnknownEvent {
    /// Not the shape of a stream's event.
    #[error("the event is none of a DynamoDB stream; check what invokes this function")]
    Shape,
    /// A record without what is needed to report its failure.
    #[error("record {0} of the event has no sequence number")]
    NoPosition(usize),
}

#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<RecordFields<'a>>,
}

#[derive(Deserialize)]
struct RecordFields<'a> {
    #[serde(borrow)]
    dynamodb: Option<ChangeFields<'a>>,
    #[serde(rename = "eventName", borrow, default)]
    event_name: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeFields<'a> {
    sequence_number: Option<&'a str>,
    #[serde(borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(borrow, default)]
    approximate_creation_date_time: Scalar<'a>,
}

/// Takes an event's JSON apart, in one pass; the items stay text.
///
/// # Errors
/// If it is none of a stream.
pub fn parse(event: &str) -> Result<Vec<Change<'_>>, UnknownEvent> {
    let fields: EventFields<'_> = serde_json::from_str(event).map_err(|_| UnknownEvent::Shape)?;
    fields.records.into_iter().enumerate().map(|(index, record)| record.change(index)).collect()
}

impl<'a> RecordFields<'a> {
    fn change(self, index: usize) -> Result<Change<'a>, UnknownEvent> {
        let fields = self.dynamodb.ok_or(UnknownEvent::Shape)?;
        let sequence_number = fields.sequence_number.filter(|number| !number.is_empty());
        let is_removal = self.event_name.text().is_some_and(|name| name == "REMOVE");
        Ok(Change {
            sequence_number: sequence_number.ok_or(UnknownEvent::NoPosition(index))?,
            new_image: fields.new_image.filter(|_| !is_removal).map(RawValue::get),
            at: fields.approximate_creation_date_time.integer().and_then(|at| Micros::from_epoch(at.into())),
        })
    }
}

/// What a stream is told: where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Empty if all is well; else the position of the first change that failed.
    #[serde(rename = "batchItemFailures")]
    pub batch_item_failures: Vec<Failure>,
}

/// One member of `batchItemFailures`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// A sequence number.
    #[serde(rename = "itemIdentifier")]
    pub item_identifier: String,
}

impl Answer {
    /// Has the stream go on from the lowest of the positions that failed.
    pub fn hand_back<'a>(failed: impl IntoIterator<Item = &'a str>) -> Self {
        let first = failed.into_iter().reduce(lower);
        let failure = |number: &str| Failure { item_identifier: number.to_owned() };
        Self { batch_item_failures: first.map(failure).into_iter().collect() }
    }
}

/// The lower of two sequence numbers, which have more digits than any integer type.
pub fn lower<'a>(a: &'a str, b: &'a str) -> &'a str {
    let value = |number: &'a str| {
        let digits = number.trim_start_matches('0');
        (digits.len(), digits)
    };
    if value(b) < value(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_keep_their_items_as_text() {
        let event = r#"{"Records": [
            {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "100", "NewImage": {"a": {"S": "x"}}, "ApproximateCreationDateTime": 1795417200}},
            {"eventName": "REMOVE", "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}, "dynamodb": {"SequenceNumber": "101"}}
        ]}"#;
        let changes = parse(event).unwrap();
        assert_eq!(changes[0].new_image, Some(r#"{"a": {"S": "x"}}"#));
        assert_eq!(changes[0].at, Some(Micros(1_795_417_200_000_000)));
        assert_eq!((changes[1].sequence_number, changes[1].new_image), ("101", None));
        assert!(parse(r#"{"Records": []}"#).unwrap().is_empty());
    }

    #[test]
    fn other_events_are_refused() {
        let check =
            |event: &str, expected: UnknownEvent| assert_eq!(parse(event).err(), Some(expected), "{event}");
        check("{}", UnknownEvent::Shape);
        check("null", UnknownEvent::Shape);
        check(r#"{"Records": 5}"#, UnknownEvent::Shape);
        check(r#"{"Records": [{"messageId": "a", "body": "{}"}]}"#, UnknownEvent::Shape);
        check(r#"{"Records": [{"dynamodb": {"NewImage": {}}}]}"#, UnknownEvent::NoPosition(0));
        check(
            r#"{"Records": [{"dynamodb": {"SequenceNumber": "", "NewImage": {}}}]}"#,
            UnknownEvent::NoPosition(0),
        );
    }

    #[test]
    fn a_stream_goes_on_from_the_lowest_position() {
        let told = |failed: &[&str]| serde_json::to_value(Answer::hand_back(failed.iter().copied())).unwrap();
        assert_eq!(told(&[]), serde_json::json!({"batchItemFailures": []}));
        assert_eq!(
            told(&["100", "99", "0101"]),
            serde_json::json!({"batchItemFailures": [{"itemIdentifier": "99"}]})
        );
    }
}
