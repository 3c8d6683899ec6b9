//! The events of the two triggers, told apart by what is in them.
//!
//! Format: AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB" and "Using Lambda with Amazon SQS".

use std::borrow::Cow;

use cloud::stream::{self, Change, UnknownEvent};
use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::{DeviceId, Scalar};

use crate::nudge::Nudge;

/// An event, taken apart.
#[derive(Debug)]
pub enum Event<'a> {
    /// Changes of the devices table.
    Changes(Vec<Change<'a, &'a RawValue>>),
    /// Messages of the queue of nudges.
    Nudges(Vec<Message<'a>>),
}

/// A message of the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its id, by which its failure is reported.
    pub id: Cow<'a, str>,
    /// The device that is to be looked at again; `None` if the message is no nudge.
    pub device: Option<DeviceId>,
}

#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<RecordFields<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordFields<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow, default)]
    body: Scalar<'a>,
}

impl<'a> Event<'a> {
    /// Takes an event's JSON apart.
    ///
    /// # Errors
    /// If it is neither of a stream nor of a queue.
    pub fn parse(event: &'a str) -> Result<Self, UnknownEvent> {
        match stream::parse(event) {
            Ok(changes) => Ok(Self::Changes(changes)),
            Err(UnknownEvent::Shape) => messages(event).map(Self::Nudges),
            Err(error) => Err(error),
        }
    }
}

fn messages(event: &str) -> Result<Vec<Message<'_>>, UnknownEvent> {
    let fields: EventFields<'_> = serde_json::from_str(event).map_err(|_| UnknownEvent::Shape)?;
    // An empty id in the answer would hand back the whole batch.
    if fields.records.iter().any(|record| record.message_id.is_empty()) {
        return Err(UnknownEvent::Shape);
    }
    Ok(fields.records.into_iter().map(Message::read).collect())
}

impl<'a> Message<'a> {
    fn read(record: RecordFields<'a>) -> Self {
        let body = record.body.text();
        let nudge: Option<Nudge<'_>> = body.as_deref().and_then(|body| serde_json::from_str(body).ok());
        let device = nudge.map(|nudge| nudge.device).filter(|device| !device.is_empty());
        Self { id: record.message_id, device: device.map(|device| DeviceId::from_stored(&*device)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nudges_are_read_and_what_is_none_is_kept_apart() {
        let check = |body: &str, expected: Option<&str>| {
            let event = format!(r#"{{"Records": [{{"messageId": "m-1", "eventSource": "aws:sqs"{body}}}]}}"#);
            let Event::Nudges(messages) = Event::parse(&event).unwrap() else { panic!("{event}") };
            let device = expected.map(DeviceId::from_stored);
            assert_eq!(messages, [Message { id: "m-1".into(), device }], "{event}");
        };
        check(r#", "body": "{\"device\": \"s/a\"}""#, Some("s/a"));
        check(r#", "body": "{\"device\": \"s/\\u0061\", \"more\": 1}""#, Some("s/a"));
        check(r#", "body": "{\"device\": \"\"}""#, None);
        check(r#", "body": "{\"device\": 5}""#, None);
        check(r#", "body": "hello""#, None);
        check(r#", "body": 5"#, None);
        check("", None);
    }

    #[test]
    fn other_events_are_refused() {
        let check = |event: &str| assert!(Event::parse(event).is_err(), "{event}");
        check("{}");
        check("null");
        check("[1");
        check(r#"{"Records": [{"kinesis": {"data": ""}}]}"#);
        check(r#"{"Records": [{"messageId": "", "body": "{}"}]}"#);
        check(r#"{"Records": [{"dynamodb": {"NewImage": {}}}]}"#);
        let mixed =
            r#"{"Records": [{"messageId": "m-1", "body": "{}"}, {"dynamodb": {"SequenceNumber": "1"}}]}"#;
        check(mixed);
    }
}
