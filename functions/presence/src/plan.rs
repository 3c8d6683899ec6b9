//! What a batch of messages comes to: one presence for each client, and what becomes of each message.

use std::collections::BTreeMap;
use std::sync::Arc;

use telemetry::{Envelope, Lifecycle, LifecycleError, Presence, Reject};
use thiserror::Error;

use cloud::messages::Message;

/// A message of a client that no device is called by is handed back until it is received for this time: a new
/// device connects before its first readings are stored. Each time takes as long as the queue hides a message.
const LAST_RECEIVE: u32 = 4;

/// What is to be done about a batch.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// What each client's messages come to, by the client's id.
    pub clients: BTreeMap<Arc<str>, Client<'a>>,
    /// Messages of clients that can be no device, whatever is stored.
    pub foreign: usize,
    /// Messages that are no event, and why. They are handed back until the queue gives them up and keeps them: nothing
    /// but the rule writes into it, so they tell of a fault of ours.
    pub unreadable: Vec<(&'a str, Unreadable)>,
}

/// A client's messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Client<'a> {
    /// What they say when all are taken together.
    pub presence: Presence,
    /// The messages: the first is the one that says it.
    pub messages: Vec<Receipt<'a>>,
}

/// A message, as far as it is needed to answer for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// What the queue knows it by.
    pub id: &'a str,
    /// How often it has been received.
    pub receives: u32,
}

/// Why a message is no event of a connection. Quotes nothing of it.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// There is nothing in it.
    #[error("the message has no body")]
    NoBody,
    /// Not what the rule makes.
    #[error(transparent)]
    Envelope(#[from] Reject),
    /// Not what the broker publishes.
    #[error(transparent)]
    Event(#[from] LifecycleError),
}

impl<'a> Plan<'a> {
    /// Reads the messages, and merges those of each client.
    pub fn new(messages: &'a [Message<'a>]) -> Self {
        let mut plan = Self::default();
        for message in messages {
            match read(message) {
                Ok(lifecycle) if lifecycle.may_be_a_device() => plan.add(message, lifecycle),
                Ok(_) => plan.foreign += 1,
                Err(reason) => plan.unreadable.push((&message.id, reason)),
            }
        }
        plan
    }

    fn add(&mut self, message: &'a Message<'a>, Lifecycle { client, presence }: Lifecycle) {
        let receipt = Receipt { id: &message.id, receives: message.receives };
        match self.clients.get_mut(&client) {
            None => {
                self.clients.insert(client, Client { presence, messages: vec![receipt] });
            }
            Some(known) => {
                known.messages.push(receipt);
                if presence.supersedes(&known.presence) {
                    known.presence = presence;
                    let last = known.messages.len() - 1;
                    known.messages.swap(0, last);
                }
            }
        }
    }

    /// What becomes of each message, by what became of the clients; one that is not in `outcomes` has failed.
    pub fn settle(&self, outcomes: &BTreeMap<Arc<str>, Outcome>) -> Settled<'a> {
        let mut settled = Settled { unknown: self.foreign, ..Settled::default() };
        settled.handed_back.extend(self.unreadable.iter().map(|(id, _)| *id));
        for (name, client) in &self.clients {
            let outcome = outcomes.get(name).copied().unwrap_or(Outcome::Failed);
            settled.add(client, outcome);
        }
        settled
    }
}

fn read(message: &Message<'_>) -> Result<Lifecycle, Unreadable> {
    let envelope = Envelope::parse(message.body.as_deref().ok_or(Unreadable::NoBody)?)?;
    let mut payload = Vec::new();
    envelope.decode_payload(&mut payload)?;
    Ok(Lifecycle::parse(&payload)?)
}

/// What became of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What its messages say is stored.
    Applied,
    /// What was stored is as new, or newer.
    Outdated,
    /// No device is called by its id.
    NoDevice,
    /// It could not be found out, or not be stored.
    Failed,
}

/// Messages by what became of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled<'a> {
    /// Said what is now stored.
    pub applied: usize,
    /// Said what another had said, or what was over.
    pub outdated: usize,
    /// Of clients that are no device.
    pub unknown: usize,
    /// To be delivered again.
    pub handed_back: Vec<&'a str>,
}

impl<'a> Settled<'a> {
    fn add(&mut self, client: &Client<'a>, outcome: Outcome) {
        let messages = &client.messages;
        match outcome {
            Outcome::Applied => {
                self.applied += 1;
                self.outdated += messages.len() - 1;
            }
            Outcome::Outdated => self.outdated += messages.len(),
            Outcome::NoDevice => {
                let again = messages.iter().filter(|message| message.receives < LAST_RECEIVE);
                let before = self.handed_back.len();
                self.handed_back.extend(again.map(|message| message.id));
                self.unknown += messages.len() - (self.handed_back.len() - before);
            }
            // All of them, not only the one that stands: the next batch may find them in other company.
            Outcome::Failed => self.handed_back.extend(messages.iter().map(|message| message.id)),
        }
    }

    /// How many messages these are.
    pub fn received(&self) -> usize {
        self.applied + self.outdated + self.unknown + self.handed_back.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOON: i64 = 1_795_435_200_000;

    fn message(id: &str, receives: u32, client: &str, event_type: &str, version: i64) -> Message<'static> {
        let event = json!({
            "clientId": client, "timestamp": NOON, "eventType": event_type,
            "sessionIdentifier": format!("session-{version}"), "versionNumber": version,
        });
        let payload = base64(event.to_string().as_bytes());
        let body = json!({"payload": payload, "topic": "$aws/events/presence", "received": NOON}).to_string();
        Message { id: id.to_owned().into(), body: Some(body.into()), receives }
    }

    fn base64(bytes: &[u8]) -> String {
        base64_simd::STANDARD.encode_to_string(bytes)
    }

    #[test]
    fn the_messages_of_a_client_come_to_one_presence() {
        let on = |id: &str, version| message(id, 1, "a", "connected", version);
        let off = |id: &str, version| message(id, 1, "a", "disconnected", version);
        let check = |messages: &[Message<'_>], standing: &str, online: bool| {
            let plan = Plan::new(messages);
            let client = &plan.clients["a"];
            assert_eq!((client.messages[0].id, client.presence.online), (standing, online));
            assert_eq!(client.messages.len(), messages.len());
        };
        check(&[on("1", 0)], "1", true);
        check(&[on("1", 0), on("2", 0)], "1", true);
        check(&[on("1", 0), off("2", 0)], "2", false);
        check(&[off("2", 0), on("1", 0)], "2", false);
        check(&[on("3", 1), on("1", 0), off("2", 0)], "3", true);
        check(&[off("2", 0), on("1", 0), on("3", 1), off("2", 0)], "3", true);
    }

    #[test]
    fn each_message_becomes_one_thing() {
        let mut messages = vec![
            message("a1", 1, "a", "connected", 0),
            message("a2", 1, "a", "disconnected", 0),
            message("b1", 3, "b", "connected", 0),
            message("b2", 4, "b", "disconnected", 0),
            message("c1", 9, "c", "connected", 0),
            message("d1", 9, "d", "connected", 0),
            message("e1", 1, "back/end", "connected", 0),
        ];
        let bodies = [
            None,
            Some("{"),
            Some("{}"),
            Some(r#"{"payload": "*", "topic": "t", "received": 1795435200000}"#),
        ];
        for (body, id) in bodies.into_iter().zip(["f1", "f2", "f3", "f4"]) {
            messages.push(Message { id: id.into(), body: body.map(Into::into), receives: 9 });
        }
        let plan = Plan::new(&messages);
        let outcomes = [("a", Outcome::Applied), ("b", Outcome::NoDevice), ("c", Outcome::Outdated)];
        let settled = plan.settle(&outcomes.map(|(client, outcome)| (client.into(), outcome)).into());
        let expected = Settled {
            applied: 1,
            outdated: 2,
            unknown: 2,
            handed_back: vec!["f1", "f2", "f3", "f4", "b1", "d1"],
        };
        assert_eq!(settled, expected);
        assert_eq!(settled.received(), messages.len());
    }

    #[test]
    fn reasons_quote_nothing_of_the_message() {
        let check = |body: &str| {
            let body = Some(body.to_owned().into());
            let reason = read(&Message { id: "m".into(), body, receives: 1 }).unwrap_err();
            assert!(!reason.to_string().contains("s3cret"), "{reason}");
        };
        check("s3cret");
        check(&json!({"payload": "s3cret!", "topic": "t", "received": NOON}).to_string());
        check(&json!({"payload": base64(b"s3cret"), "topic": "t", "received": NOON}).to_string());
        check(
            &json!({"payload": base64(br#"{"eventType": "s3cret"}"#), "topic": "t", "received": NOON})
                .to_string(),
        );
    }
}
