//! SNS over its query protocol: Publish to a topic. Every topic exists, and nobody is subscribed; what was published is
//! kept for the test.
//!
//! Documented in the API reference: the limits of message and subject, and the codes of the refusals. Guesses: their
//! wording, and the throttle's code and status.

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};

use super::encoding::{escape, named, pairs};
use super::{Answer, Handle, Operation, State, Storage};

/// Bytes of a message.
const MESSAGE_LIMIT: usize = 256 * 1024;
/// Characters of a subject: fewer than 100 in one place of the reference, up to 100 in another.
const SUBJECT_LIMIT: usize = 100;
/// What the fake does not do, and so refuses: other receivers, messages by protocol, attributes, FIFO topics.
const UNKNOWN: [&str; 5] =
    ["TargetArn", "PhoneNumber", "MessageStructure", "MessageGroupId", "MessageDeduplicationId"];

/// A message published to a topic of SNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// The topic.
    pub topic_arn: String,
    /// The subject line of mails, if any was given.
    pub subject: Option<String>,
    /// The message.
    pub message: String,
}

impl Handle {
    /// The messages published to topics of SNS so far, in order.
    #[must_use]
    pub fn notified(&self) -> Vec<Notified> {
        self.lock().notified.clone()
    }
}

/// Whether a request speaks the query protocol.
pub(super) fn is_query(request: &Request<Bytes>) -> bool {
    let form = |value: &hyper::header::HeaderValue| {
        value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
    };
    *request.method() == Method::POST
        && request.uri().path() == "/"
        && request.headers().get("content-type").is_some_and(form)
}

/// Whether it asks to publish.
pub(super) fn is_publish(request: &Request<Bytes>) -> bool {
    is_query(request) && named(&form(request.body()), "Action") == Some("Publish")
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    pairs(&String::from_utf8_lossy(body))
}

pub(super) fn answer(state: &mut State, storage: Storage, body: &[u8]) -> Answer {
    match notification(&form(body)) {
        Ok(notified) => {
            let counters = state.count(Operation::Notify);
            counters.items += 1;
            let id = counters.items;
            if storage == Storage::Keep {
                state.notified.push(notified);
            }
            let body = format!(
                "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
                 <MessageId>Notify-{id}</MessageId></PublishResult><ResponseMetadata><RequestId>fake</RequestId>\
                 </ResponseMetadata></PublishResponse>"
            );
            Answer::new(StatusCode::OK, "text/xml", body)
        }
        Err(message) => {
            error(StatusCode::BAD_REQUEST, "InvalidParameter", &format!("Invalid parameter: {message}"))
        }
    }
}

/// What a request publishes, or which parameter is at fault.
fn notification(form: &[(String, String)]) -> Result<Notified, String> {
    let is_unknown = |name: &str| UNKNOWN.contains(&name) || name.starts_with("MessageAttributes.");
    if let Some((name, _)) = form.iter().find(|(name, _)| is_unknown(name)) {
        return Err(format!("{name} (the fake does not know it)"));
    }
    let topic_arn = named(form, "TopicArn").unwrap_or_default();
    let parts: Vec<_> = topic_arn.split(':').collect();
    if !matches!(parts.as_slice(), ["arn", _, "sns", _, _, topic] if !topic.is_empty()) {
        return Err("TopicArn".to_owned());
    }
    let message = named(form, "Message").unwrap_or_default();
    if message.is_empty() {
        return Err("Empty message".to_owned());
    }
    if message.len() > MESSAGE_LIMIT {
        return Err("Message too long".to_owned());
    }
    let subject = named(form, "Subject");
    if subject.is_some_and(|subject| !is_subject(subject)) {
        return Err("Subject".to_owned());
    }
    Ok(Notified {
        topic_arn: topic_arn.to_owned(),
        subject: subject.map(str::to_owned),
        message: message.to_owned(),
    })
}

/// ASCII text that begins with a letter, digit or punctuation mark, without line breaks and control characters.
fn is_subject(subject: &str) -> bool {
    subject.starts_with(|first: char| first.is_ascii_graphic())
        && subject.len() <= SUBJECT_LIMIT
        && subject.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

/// An error as SNS writes it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let fault = if status.is_client_error() { "Sender" } else { "Receiver" };
    let message = escape(message);
    let body = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{fault}</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"
    );
    Answer::new(status, "text/xml", body)
}
