//! The event that Lambda makes of an SQS queue's messages, and its answer; and what tells of a schedule.
//!
//! Formats: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS"; Amazon EventBridge User Guide, "Event structure".

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::Scalar;
use thiserror::Error;

use crate::stream::{Answer, Failure};

/// A message of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the queue knows it by.
    pub id: Cow<'a, str>,
    /// Its text; `None` if it has none.
    pub body: Option<Cow<'a, str>>,
    /// How often it has been received, this time included; 1 where the queue does not say.
    pub receives: u32,
}

/// What a queue or a schedule invokes with.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Messages of a queue.
    Messages(Vec<Message<'a>>),
    /// It is time.
    Schedule,
}

/// An event of neither. The invocation fails, so that whoever sent it keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnknownEvent {
    /// Not the shape of any.
    #[error("the event is neither of SQS nor of a schedule; check what invokes this function")]
    Shape,
    /// A message that could not be handed back.
    #[error("record {0} of the event has no message id")]
    NoId(usize),
}

impl<'a> Event<'a> {
    /// Takes an event's JSON apart. What is wrong with one message stays with it.
    ///
    /// # Errors
    /// If it is neither of a queue nor of a schedule.
    pub fn parse(text: &'a str) -> Result<Self, UnknownEvent> {
        let fields: EventFields<'a> = serde_json::from_str(text).map_err(|_| UnknownEvent::Shape)?;
        let records = match (fields.records, fields.source.text().as_deref()) {
            (Some(records), _) => records,
            (None, Some("aws.events" | "aws.scheduler")) => return Ok(Self::Schedule),
            (None, _) => return Err(UnknownEvent::Shape),
        };
        let messages = records.into_iter().enumerate().map(|(index, record)| record.message(index));
        messages.collect::<Result<_, _>>().map(Self::Messages)
    }
}

#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<RecordFields<'a>>>,
    #[serde(borrow, default)]
    source: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordFields<'a> {
    #[serde(borrow, default)]
    message_id: Scalar<'a>,
    #[serde(borrow, default)]
    body: Scalar<'a>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

impl<'a> RecordFields<'a> {
    fn message(self, index: usize) -> Result<Message<'a>, UnknownEvent> {
        let id = self.message_id.text().filter(|id| !id.is_empty()).ok_or(UnknownEvent::NoId(index))?;
        let receives = self.attributes.and_then(|raw| receives(raw.get())).unwrap_or(1);
        Ok(Message { id, body: self.body.text(), receives })
    }
}

fn receives(attributes: &str) -> Option<u32> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Attributes<'a> {
        #[serde(borrow, default)]
        approximate_receive_count: Scalar<'a>,
    }
    let attributes: Attributes<'_> = serde_json::from_str(attributes).ok()?;
    attributes.approximate_receive_count.text()?.parse().ok()
}

/// Has these messages delivered again.
pub fn hand_back<'a>(ids: impl IntoIterator<Item = &'a str>) -> Answer {
    let failure = |id: &str| Failure { item_identifier: id.to_owned() };
    Answer { batch_item_failures: ids.into_iter().map(failure).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_message_stays_with_it() {
        let check = |record: &str, body: Option<&str>, receives: u32| {
            let event = format!(r#"{{"Records": [{record}]}}"#);
            let message = Message { id: "m".into(), body: body.map(Into::into), receives };
            assert_eq!(Event::parse(&event), Ok(Event::Messages(vec![message])), "{record}");
        };
        check(
            r#"{"messageId": "m", "body": "{}", "attributes": {"ApproximateReceiveCount": "3"}}"#,
            Some("{}"),
            3,
        );
        check(
            r#"{"messageId": "m", "body": "{}", "attributes": {"ApproximateReceiveCount": []}}"#,
            Some("{}"),
            1,
        );
        check(r#"{"messageId": "m", "body": "{}", "attributes": 5}"#, Some("{}"), 1);
        check(r#"{"messageId": "m", "body": 5}"#, None, 1);
        check(r#"{"messageId": "m"}"#, None, 1);
        assert_eq!(Event::parse(r#"{"Records": []}"#), Ok(Event::Messages(vec![])));
        let schedule =
            r#"{"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}"#;
        assert_eq!(Event::parse(schedule), Ok(Event::Schedule));
    }

    #[test]
    fn unknown_events_are_refused() {
        let check =
            |text: &str, expected: UnknownEvent| assert_eq!(Event::parse(text), Err(expected), "{text}");
        check("", UnknownEvent::Shape);
        check("{}", UnknownEvent::Shape);
        check("[]", UnknownEvent::Shape);
        check(r#"{"source": "aws.s3"}"#, UnknownEvent::Shape);
        check(r#"{"source": 5}"#, UnknownEvent::Shape);
        check(r#"{"Records": 5}"#, UnknownEvent::Shape);
        check(r#"{"Records": [5]}"#, UnknownEvent::Shape);
        check(r#"{"payload": "e30=", "topic": "t"}"#, UnknownEvent::Shape);
        check(r#"{"Records": [{"body": "{}"}]}"#, UnknownEvent::NoId(0));
        check(r#"{"Records": [{"messageId": "", "body": "{}"}]}"#, UnknownEvent::NoId(0));
        check(r#"{"Records": [{"eventSource": "aws:s3", "s3": {}}]}"#, UnknownEvent::NoId(0));
    }

    #[test]
    fn the_queue_is_told_each_message() {
        let answer = serde_json::to_value(hand_back(["b", "a"])).unwrap();
        let expected =
            serde_json::json!({"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]});
        assert_eq!(answer, expected);
    }
}
