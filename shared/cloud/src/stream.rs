//! The event that Lambda makes of a DynamoDB stream, and its answer.
//!
//! Format: AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB", and there "Configuring partial
//! batch response with DynamoDB and Lambda".

use serde::{Deserialize, Serialize};
use telemetry::{Micros, Scalar};
use thiserror::Error;

/// One change of an item.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a, I> {
    /// Where it stands in its shard: decimal, of any length.
    pub sequence_number: &'a str,
    /// The item after the change; `None` where it was removed.
    pub new_image: Option<I>,
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
#[serde(bound(deserialize = "I: Deserialize<'de>"))]
struct EventFields<'a, I> {
    #[serde(rename = "Records", borrow)]
    records: Vec<RecordFields<'a, I>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "I: Deserialize<'de>"))]
struct RecordFields<'a, I> {
    #[serde(borrow)]
    dynamodb: Option<ChangeFields<'a, I>>,
    #[serde(rename = "eventName", borrow, default)]
    event_name: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "I: Deserialize<'de>"))]
struct ChangeFields<'a, I> {
    sequence_number: Option<&'a str>,
    new_image: Option<I>,
    #[serde(borrow, default)]
    approximate_creation_date_time: Scalar<'a>,
}

/// Takes an event's JSON apart, in one pass; the items are in DynamoDB's JSON, and become what `I` makes of it.
///
/// # Errors
/// If it is none of a stream, or an item none that `I` reads.
pub fn parse<'a, I: Deserialize<'a>>(event: &'a str) -> Result<Vec<Change<'a, I>>, UnknownEvent> {
    let fields: EventFields<'a, I> = serde_json::from_str(event).map_err(|_| UnknownEvent::Shape)?;
    fields.records.into_iter().enumerate().map(|(index, record)| record.change(index)).collect()
}

impl<'a, I> RecordFields<'a, I> {
    fn change(self, index: usize) -> Result<Change<'a, I>, UnknownEvent> {
        let fields = self.dynamodb.ok_or(UnknownEvent::Shape)?;
        let sequence_number = fields.sequence_number.filter(|number| !number.is_empty());
        let is_removal = self.event_name.text().is_some_and(|name| name == "REMOVE");
        Ok(Change {
            sequence_number: sequence_number.ok_or(UnknownEvent::NoPosition(index))?,
            new_image: fields.new_image.filter(|_| !is_removal),
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
    use serde_json::value::RawValue;

    use super::*;

    type Text<'a> = &'a RawValue;

    #[test]
    fn changes_keep_their_items_as_text() {
        let event = r#"{"Records": [
            {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "100", "NewImage": {"a": {"S": "x"}}, "ApproximateCreationDateTime": 1795417200}},
            {"eventName": "REMOVE", "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}, "dynamodb": {"SequenceNumber": "101"}}
        ]}"#;
        let changes = parse::<Text<'_>>(event).unwrap();
        assert_eq!(changes[0].new_image.map(RawValue::get), Some(r#"{"a": {"S": "x"}}"#));
        assert_eq!(changes[0].at, Some(Micros(1_795_417_200_000_000)));
        assert!(changes[1].sequence_number == "101" && changes[1].new_image.is_none());
        assert!(parse::<Text<'_>>(r#"{"Records": []}"#).unwrap().is_empty());
    }

    #[test]
    fn other_events_are_refused() {
        let check = |event: &str, expected: UnknownEvent| {
            assert_eq!(parse::<Text<'_>>(event).err(), Some(expected), "{event}");
        };
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
