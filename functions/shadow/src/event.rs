//! The events of the two triggers, told apart by what is in them.
//!
//! Format: AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB" and "Using Lambda with Amazon SQS".

use std::borrow::Cow;

use cloud::stream::{self, Change, UnknownEvent};
use serde_json::value::RawValue;
use telemetry::DeviceId;

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
    match cloud::messages::Event::parse(event) {
        Ok(cloud::messages::Event::Messages(messages)) => {
            Ok(messages.into_iter().map(Message::read).collect())
        }
        Ok(cloud::messages::Event::Schedule) | Err(_) => Err(UnknownEvent::Shape),
    }
}

impl<'a> Message<'a> {
    fn read(message: cloud::messages::Message<'a>) -> Self {
        let nudge: Option<Nudge<'_>> =
            message.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
        let device = nudge.map(|nudge| nudge.device).filter(|device| !device.is_empty());
        Self { id: message.id, device: device.map(|device| DeviceId::from_stored(&*device)) }
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
