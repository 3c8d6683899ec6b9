//! A queue of SQS.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use crate::error::Error;
use crate::retry::{Backoff, Deadline};

/// Most messages in one `SendMessageBatch` (Amazon SQS API Reference).
const MAX_BATCH_MESSAGES: usize = 10;

/// Sends messages to one queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message that is to be received no earlier than after some seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed {
    /// What it says.
    pub body: String,
    /// How long SQS keeps it back; at most [`MAX_DELAY_SECONDS`](crate::config::MAX_DELAY_SECONDS).
    pub seconds: u32,
}

/// Messages that were not sent, by their places, and the last error met.
#[derive(Debug, Default)]
pub struct Unsent {
    /// Empty if all is well.
    pub left: Vec<usize>,
    /// The last error met on the way, whether or not a retry mended it.
    pub error: Option<Error>,
}

impl Queue {
    /// The queue at `url`.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends messages, 10 to a request. What SQS did not take is pooled into new requests until the deadline; what
    /// a retry cannot mend is returned at once.
    pub async fn send(&self, messages: &[Delayed], deadline: Deadline) -> Unsent {
        let mut backoff = Backoff::new(deadline);
        let mut unsent = Unsent::default();
        let mut pending: Vec<usize> = (0..messages.len()).collect();
        while !pending.is_empty() {
            let mut again = Vec::new();
            for chunk in pending.chunks(MAX_BATCH_MESSAGES) {
                let failures =
                    match deadline.bound("SendMessageBatch", self.send_chunk(messages, chunk)).await {
                        Ok(failures) => failures,
                        Err(error) => {
                            if error.is_retryable() { &mut again } else { &mut unsent.left }.extend(chunk);
                            unsent.error = Some(error);
                            continue;
                        }
                    };
                for (place, code) in failures {
                    let error = Error::of_item("SendMessageBatch", &code);
                    if error.is_retryable() { &mut again } else { &mut unsent.left }.push(place);
                    unsent.error = Some(error);
                }
            }
            if !again.is_empty() && !backoff.pause(None).await {
                unsent.left.append(&mut again);
            }
            pending = again;
        }
        unsent
    }

    /// One request; returns the places of the messages that SQS did not take, and why.
    async fn send_chunk(&self, messages: &[Delayed], chunk: &[usize]) -> Result<Vec<(usize, String)>, Error> {
        let entry = |place: &usize| {
            let Delayed { body, seconds } = &messages[*place];
            let seconds = i32::try_from(*seconds).unwrap_or(i32::MAX);
            let entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body);
            entry.delay_seconds(seconds).build()
        };
        let entries = chunk.iter().map(entry).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| Error::unreadable("SendMessageBatch", error))?;
        let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let output = Box::pin(request.send()).await;
        let output = output.map_err(|error| Error::from_sdk("SendMessageBatch", error))?;
        let failures = output.failed().iter();
        Ok(failures
            .filter_map(|failed| Some((failed.id().parse().ok()?, failed.code().to_owned())))
            .collect())
    }
}
