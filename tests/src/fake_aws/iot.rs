//! The IoT data plane's Publish, and how that service refuses.

use bytes::Bytes;
use hyper::{Request, StatusCode};

use super::encoding::{named, percent_decode, query};
use super::{Answer, Handle, Operation, State, Storage};

/// A message published through the IoT data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The topic, decoded.
    pub topic: String,
    /// 0 or 1.
    pub qos: u8,
    /// Whether the broker is to keep it for later subscribers.
    pub retain: bool,
    /// The message.
    pub payload: Bytes,
}

impl State {
    /// Keeps what later subscribers are to get; an empty payload clears it ("MQTT retained messages").
    fn retain(&mut self, topic: &str, payload: &Bytes) {
        if payload.is_empty() {
            self.retained.remove(topic);
        } else {
            self.retained.insert(topic.to_owned(), payload.clone());
        }
    }
}

impl Handle {
    /// What whoever subscribes to the topic now would get: its retained message.
    #[must_use]
    pub fn retained(&self, topic: &str) -> Option<Bytes> {
        self.lock().retained.get(topic).cloned()
    }

    /// The messages published so far, in order.
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        self.lock().published.clone()
    }
}

/// The largest MQTT payload that AWS IoT Core takes, in bytes ("AWS IoT Core message broker limits").
const PAYLOAD_LIMIT: usize = 128 * 1024;
/// The most slashes in a topic, `$aws/rules/<rule>/` aside (the same page).
const TOPIC_SLASHES: usize = 7;
/// The longest topic, in bytes (the same page).
const TOPIC_BYTES: usize = 256;

pub(super) fn publish(state: &mut State, storage: Storage, request: &Request<Bytes>) -> Answer {
    let encoded = request.uri().path().trim_start_matches("/topics/");
    let topic = percent_decode(encoded);
    let slashes = topic.matches('/').count() - if topic.starts_with("$aws/rules/") { 3 } else { 0 };
    if topic.is_empty() || topic.contains(['#', '+']) || slashes > TOPIC_SLASHES || topic.len() > TOPIC_BYTES
    {
        return error(StatusCode::BAD_REQUEST, "InvalidRequestException", "The topic is not valid");
    }
    if request.body().len() > PAYLOAD_LIMIT {
        return error(StatusCode::BAD_REQUEST, "InvalidRequestException", "The payload is too large");
    }
    state.count(Operation::Publish).items += 1;
    if storage == Storage::Keep {
        let query = query(request);
        let qos = u8::from(named(&query, "qos") == Some("1"));
        let retain = named(&query, "retain") == Some("true");
        if retain {
            state.retain(&topic, request.body());
        }
        state.published.push(Published { topic, qos, retain, payload: request.body().clone() });
    }
    Answer::new(StatusCode::OK, "application/json", r#"{"message":"OK","traceId":"fake"}"#)
}

pub(super) fn error(status: StatusCode, kind: &'static str, message: &str) -> Answer {
    let body = serde_json::json!({ "message": message, "traceId": "fake" }).to_string();
    Answer::new(status, "application/json", body).with("x-amzn-errortype", kind)
}
