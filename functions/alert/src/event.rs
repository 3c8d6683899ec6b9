//! What invokes the function: a stream, a queue, or the schedule; told apart by the event itself.

use std::borrow::Cow;
use std::sync::Arc;

use cloud::messages;
use cloud::stream::{self, Change};
use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::{DeviceId, Micros, StoredSpan};
use thiserror::Error;

/// An event, taken apart.
#[derive(Debug)]
pub enum Event<'a> {
    /// Changes of the readings table. An image is none where it is no span, which `archive` keeps.
    Changes(Vec<Change<'a, Option<StoredSpan>>>),
    /// Messages of the command queue.
    Messages(Vec<Message<'a>>),
    /// It is time to look after what stands.
    Tidy,
}

/// A message of the command queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the queue is told to hand it back.
    pub id: Cow<'a, str>,
    /// What is asked for; `None`: nothing that is understood.
    pub command: Option<Command>,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Of which device.
    pub device: DeviceId,
    /// Of which rule.
    pub rule: Arc<str>,
    /// What.
    pub action: Action,
    /// When, as far as it is known: by the broker's clock, or the tool's.
    pub asked: Option<Micros>,
}

/// What is to be done to an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The device seems to be silent: have a look.
    Silent,
    /// Somebody knows of it.
    Acknowledge {
        /// Who.
        by: String,
        /// Whether it came over MQTT, and is answered there if it is refused.
        over_mqtt: bool,
    },
    /// Nothing is to be told of it for a time.
    Shelve {
        /// By the clock; zero where nobody said until when.
        until: Micros,
        /// Who says so.
        by: String,
    },
    /// Something is to be told of it again.
    Unshelve,
}

/// An event that is none of these. The invocation fails, so that whoever sent it keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnknownEvent {
    /// No shape that is known.
    #[error(
        "the event is neither of a DynamoDB stream, nor of SQS, nor of a schedule; check what invokes this function"
    )]
    Shape,
    /// Of a stream, but not as it should be.
    #[error(transparent)]
    Stream(#[from] stream::UnknownEvent),
}

impl<'a> Event<'a> {
    /// Takes an event's JSON apart.
    ///
    /// # Errors
    /// If it is of no shape that is known.
    pub fn parse(event: &'a str) -> Result<Self, UnknownEvent> {
        // A stream's event is long, and nearly always all spans: that takes one pass.
        if let Ok(changes) = stream::parse::<StoredSpan>(event)
            && !changes.is_empty()
        {
            return Ok(Self::Changes(changes.into_iter().map(|change| with_image(change, Some)).collect()));
        }
        match messages::Event::parse(event) {
            Ok(messages::Event::Schedule) => Ok(Self::Tidy),
            Ok(messages::Event::Messages(messages)) => {
                Ok(Self::Messages(messages.into_iter().map(Message::read).collect()))
            }
            // A stream's records have no message ids.
            Err(messages::UnknownEvent::NoId(_)) => {
                let changes = stream::parse::<&RawValue>(event)?.into_iter();
                let span = |item: &RawValue| StoredSpan::from_json(item.get()).ok();
                Ok(Self::Changes(changes.map(|change| with_image(change, span)).collect()))
            }
            Err(messages::UnknownEvent::Shape) => Err(UnknownEvent::Shape),
        }
    }
}

fn with_image<'a, I>(
    change: Change<'a, I>,
    image: impl FnOnce(I) -> Option<StoredSpan>,
) -> Change<'a, Option<StoredSpan>> {
    let Change { sequence_number, new_image, at } = change;
    Change { sequence_number, new_image: new_image.map(image), at }
}

impl<'a> Message<'a> {
    fn read(message: messages::Message<'a>) -> Self {
        Self { id: message.id, command: message.body.as_deref().and_then(Command::parse) }
    }
}

/// A command as the operators' tool and `presence` send it, or the envelope of an MQTT message as the rule makes it.
#[derive(Deserialize)]
struct Body {
    silent: Option<Subject>,
    acknowledge: Option<Subject>,
    shelve: Option<Subject>,
    unshelve: Option<Subject>,
    topic: Option<String>,
    client: Option<String>,
    /// Of an MQTT message, milliseconds since 1970.
    received: Option<i64>,
}

#[derive(Deserialize)]
struct Subject {
    device: String,
    rule: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    until: i64,
    /// When the tool sent it, microseconds since 1970.
    sent: Option<i64>,
}

impl Command {
    fn parse(body: &str) -> Option<Self> {
        let body: Body = serde_json::from_str(body).ok()?;
        let command = |subject: Subject, action: fn(Subject) -> Action| Self {
            device: DeviceId::from_stored(subject.device.as_str()),
            rule: subject.rule.as_str().into(),
            asked: subject.sent.map(Micros),
            action: action(subject),
        };
        match body {
            Body { silent: Some(subject), .. } => Some(command(subject, |_| Action::Silent)),
            Body { acknowledge: Some(subject), .. } => {
                Some(command(subject, |subject| Action::Acknowledge { by: subject.by, over_mqtt: false }))
            }
            Body { shelve: Some(subject), .. } => Some(command(subject, |subject| Action::Shelve {
                until: Micros(subject.until),
                by: subject.by,
            })),
            Body { unshelve: Some(subject), .. } => Some(command(subject, |_| Action::Unshelve)),
            Body { topic: Some(topic), client, received, .. } => {
                let asked = received.and_then(Micros::from_millis);
                acknowledgement(&topic, client.unwrap_or_default(), asked)
            }
            _ => None,
        }
    }
}

/// `alerts/{site}/{device}/{rule}/ack`, published by a client that the broker knows.
fn acknowledgement(topic: &str, by: String, asked: Option<Micros>) -> Option<Command> {
    let mut levels = topic.split('/');
    let (Some("alerts"), Some(site), Some(device), Some(rule), Some("ack"), None) =
        (levels.next(), levels.next(), levels.next(), levels.next(), levels.next(), levels.next())
    else {
        return None;
    };
    let device = DeviceId::from_stored(format!("{site}/{device}"));
    Some(Command { device, rule: rule.into(), action: Action::Acknowledge { by, over_mqtt: true }, asked })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Option<Command> {
        let event = serde_json::json!({"Records": [
            {"eventSource": "aws:sqs", "messageId": "m-1", "body": body, "attributes": {"x": 1}}
        ]});
        match Event::parse(&event.to_string()).unwrap() {
            Event::Messages(mut messages) => messages.remove(0).command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_come_from_tools_and_over_mqtt() {
        let check = |body: &str, expected: Option<Action>| {
            let command = message(body);
            assert_eq!(command.as_ref().map(|command| command.action.clone()), expected, "{body}");
            if let Some(command) = command {
                assert_eq!((command.device.as_str(), &*command.rule), ("a/b", "r"), "{body}");
            }
        };
        let by = "n".to_owned();
        check(r#"{"silent": {"device": "a/b", "rule": "r"}}"#, Some(Action::Silent));
        check(
            r#"{"acknowledge": {"device": "a/b", "rule": "r", "by": "n"}}"#,
            Some(Action::Acknowledge { by: by.clone(), over_mqtt: false }),
        );
        check(
            r#"{"shelve": {"device": "a/b", "rule": "r", "until": 7, "by": "n"}}"#,
            Some(Action::Shelve { until: Micros(7), by: by.clone() }),
        );
        check(
            r#"{"shelve": {"device": "a/b", "rule": "r", "by": "n"}}"#,
            Some(Action::Shelve { until: Micros(0), by: by.clone() }),
        );
        check(r#"{"unshelve": {"device": "a/b", "rule": "r"}}"#, Some(Action::Unshelve));
        check(
            r#"{"payload": "", "topic": "alerts/a/b/r/ack", "client": "n", "received": 1}"#,
            Some(Action::Acknowledge { by, over_mqtt: true }),
        );
        check(r#"{"payload": "", "topic": "alerts/a/b/r/nack", "client": "n"}"#, None);
        check(r#"{"payload": "", "topic": "alerts/a/b/r/ack/more", "client": "n"}"#, None);
        check("{}", None);
        check("acknowledge", None);
        check(r#"{"silent": {"device": 5, "rule": "r"}}"#, None);
    }

    #[test]
    fn events_are_told_apart() {
        let schedule = r#"{"version": "0", "id": "x", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}"#;
        assert!(matches!(Event::parse(schedule), Ok(Event::Tidy)));
        let removal = r#"{"Records": [{"eventName": "REMOVE", "eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": "1"}}]}"#;
        assert!(matches!(Event::parse(removal), Ok(Event::Changes(changes)) if changes.len() == 1));
        let stranger = r#"{"Records": [{"eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": "1", "NewImage": {"a": {"S": "b"}}}}]}"#;
        assert!(
            matches!(Event::parse(stranger), Ok(Event::Changes(changes)) if changes[0].new_image == Some(None))
        );
        for unknown in [
            "{}",
            "null",
            "",
            r#"{"Records": 5}"#,
            r#"{"source": "else"}"#,
            r#"{"Records": [{"eventSource": "aws:sqs"}]}"#,
        ] {
            assert!(Event::parse(unknown).is_err(), "{unknown}");
        }
    }
}
