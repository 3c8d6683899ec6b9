//! SQS over JSON 1.0: SendMessage and SendMessageBatch. Every queue exists, and nothing can be received; what was sent
//! is kept for the test.
//!
//! Documented in the API reference: the limits, the codes of the refusals, and that a batch's entries fail one by one in
//! an answer that is a success. Guesses: that a bad delay or body fails its entry, not the batch; the throttle's status.
//! `MD5OfMessageBody` is left out of the answers: the SDK for Rust does not look at it (aws-sdk-sqs 1.119).

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dynamodb::CONTENT_TYPE;
use super::faults::Picker;
use super::{Answer, Handle, Operation, Pick, State, Storage};

/// Entries of one batch.
const BATCH_LIMIT: usize = 10;
/// Bytes of a message, and of all messages of a batch.
const BYTE_LIMIT: usize = 1024 * 1024;
/// Seconds that a message may be held back.
const DELAY_LIMIT: i64 = 900;
/// Characters of an entry's id.
const ID_LIMIT: usize = 80;

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The queue.
    pub queue_url: String,
    /// The message.
    pub body: String,
    /// How long the queue is to hold it back.
    pub delay_seconds: u32,
}

impl Handle {
    /// The messages sent so far, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.lock().sent.clone()
    }

    /// Fails these entries of SendMessageBatch, in an answer that is a success, with `InternalError`, which is not the
    /// sender's fault.
    pub fn fail_messages(&self, pick: Pick) {
        self.lock().faults.messages = Picker::new(pick);
    }
}

/// A request refused as a whole, or an entry of a batch.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// The exception's name; batches' exceptions have a longer code besides.
    kind: &'static str,
    code: String,
    message: String,
}

impl Refusal {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, code: kind.to_owned(), message: message.into() }
    }

    /// One whose code in the older protocol has a prefix, which is what SDKs look at.
    fn of_batch(kind: &'static str, message: impl Into<String>) -> Self {
        Self { code: format!("AWS.SimpleQueueService.{kind}"), ..Self::new(kind, message) }
    }

    fn invalid(reason: &str) -> Self {
        Self::new("InvalidParameterValue", format!("One or more parameters are invalid. Reason: {reason}"))
    }

    pub(super) fn throttled() -> Self {
        Self::new("RequestThrottled", "The request was denied due to request throttling.")
    }

    pub(super) fn internal() -> Self {
        let message = "We encountered an internal error. Please try again.";
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..Self::new("InternalError", message) }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body =
            json!({ "__type": format!("com.amazonaws.sqs#{}", refusal.kind), "message": refusal.message });
        let fault = if refusal.status.is_client_error() { "Sender" } else { "Receiver" };
        Self::new(refusal.status, CONTENT_TYPE, body.to_string())
            .with("x-amzn-query-error", format!("{};{fault}", refusal.code))
    }
}

/// Members that the fake does not know (attributes, groups) are refused, where SQS would act on them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendInput {
    queue_url: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchInput {
    queue_url: String,
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    id: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchOutput {
    successful: Vec<Successful>,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Successful {
    id: String,
    message_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    code: String,
    message: String,
    sender_fault: bool,
}

pub(super) fn answer(state: &mut State, storage: Storage, operation: Operation, body: &[u8]) -> Answer {
    let answered = match operation {
        Operation::SendMessage => send(state, storage, body),
        _ => send_batch(state, storage, body),
    };
    answered.map_or_else(Answer::from, |body| Answer::new(StatusCode::OK, CONTENT_TYPE, body))
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new("SerializationException", error.to_string()))
}

fn send(state: &mut State, storage: Storage, body: &[u8]) -> Result<String, Refusal> {
    let SendInput { queue_url, message_body, delay_seconds } = read(body)?;
    let sent = message(&queue_url, message_body, delay_seconds)?;
    let id = keep(state, storage, Operation::SendMessage, sent);
    Ok(json!({ "MessageId": id }).to_string())
}

fn send_batch(state: &mut State, storage: Storage, body: &[u8]) -> Result<String, Refusal> {
    let BatchInput { queue_url, entries } = read(body)?;
    check_batch(&entries)?;
    let mut output = BatchOutput::default();
    for Entry { id, message_body, delay_seconds } in entries {
        let planned = state.faults.messages.next();
        let sent =
            if planned { Err(Refusal::internal()) } else { message(&queue_url, message_body, delay_seconds) };
        match sent {
            Ok(sent) => {
                let message_id = keep(state, storage, Operation::SendMessageBatch, sent);
                output.successful.push(Successful { id, message_id });
            }
            Err(Refusal { status, code, message, .. }) => {
                state.count(Operation::SendMessageBatch).returned += 1;
                output.failed.push(Failed { id, code, message, sender_fault: status.is_client_error() });
            }
        }
    }
    serde_json::to_string(&output).map_err(|error| Refusal::new("SerializationException", error.to_string()))
}

fn check_batch(entries: &[Entry]) -> Result<(), Refusal> {
    if entries.is_empty() {
        return Err(Refusal::of_batch(
            "EmptyBatchRequest",
            "There should be at least one entry in the request.",
        ));
    }
    if entries.len() > BATCH_LIMIT {
        let message = format!(
            "Maximum number of entries per request are {BATCH_LIMIT}. You have sent {}.",
            entries.len()
        );
        return Err(Refusal::of_batch("TooManyEntriesInBatchRequest", message));
    }
    let is_id = |id: &str| {
        (1..=ID_LIMIT).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if !entries.iter().all(|entry| is_id(&entry.id)) {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at \
                       most 80 letters long.";
        return Err(Refusal::of_batch("InvalidBatchEntryId", message));
    }
    let ids: BTreeSet<_> = entries.iter().map(|entry| &entry.id).collect();
    if ids.len() < entries.len() {
        return Err(Refusal::of_batch(
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries have the same id.",
        ));
    }
    let bytes: usize = entries.iter().map(|entry| entry.message_body.len()).sum();
    if bytes > BYTE_LIMIT {
        let message =
            format!("Batch requests cannot be longer than {BYTE_LIMIT} bytes. You have sent {bytes} bytes.");
        return Err(Refusal::of_batch("BatchRequestTooLong", message));
    }
    Ok(())
}

/// One message, if it is one that SQS takes.
fn message(queue_url: &str, body: String, delay_seconds: i64) -> Result<Sent, Refusal> {
    if queue_url.is_empty() {
        return Err(Refusal::of_batch("NonExistentQueue", "The specified queue does not exist."));
    }
    if body.is_empty() {
        return Err(Refusal::new("MissingParameter", "The request must contain the parameter MessageBody."));
    }
    if body.len() > BYTE_LIMIT {
        return Err(Refusal::invalid(&format!("Message must be shorter than {BYTE_LIMIT} bytes.")));
    }
    if !body.chars().all(is_allowed) {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 \
                       to #xFFFD | #x10000 to #x10FFFF";
        return Err(Refusal::new("InvalidMessageContents", message));
    }
    let delay = u32::try_from(delay_seconds).ok().filter(|_| delay_seconds <= DELAY_LIMIT);
    let delay_seconds = delay.ok_or_else(|| {
        let reason =
            format!("Value {delay_seconds} for parameter DelaySeconds is invalid. Must be between 0 and 900");
        Refusal::invalid(&reason)
    })?;
    Ok(Sent { queue_url: queue_url.to_owned(), body, delay_seconds })
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Keeps a message; returns its id.
fn keep(state: &mut State, storage: Storage, operation: Operation, sent: Sent) -> String {
    let counters = state.count(operation);
    counters.items += 1;
    let id = format!("{operation:?}-{}", counters.items);
    if storage == Storage::Keep {
        state.sent.push(sent);
    }
    id
}
