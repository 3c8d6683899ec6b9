//! An SQS queue that something else reads.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::stream::{self, StreamExt as _};

use crate::error::{Disposition, Error};
use crate::retry::{Backoff, Deadline};

/// Most messages in one `SendMessageBatch` (Amazon SQS quotas).
const MAX_BATCH_ENTRIES: usize = 10;
/// Requests under way at once.
const MAX_IN_FLIGHT: usize = 4;

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// What became of messages that were to be sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// How many are in the queue.
    pub sent: usize,
    /// How many are not.
    pub left: usize,
    /// The last error met on the way, whether or not a retry mended it.
    pub error: Option<Error>,
}

impl Queue {
    /// The queue at `url`.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends messages, ten to a request. What the queue does not take is pooled and sent again until the deadline; what
    /// it will never take is given up at once. A message may arrive twice.
    pub async fn send(&self, bodies: Vec<String>, deadline: Deadline) -> Sent {
        let mut backoff = Backoff::new(deadline);
        let (mut sent, mut pending) = (Sent::default(), bodies);
        loop {
            let mut again = Vec::new();
            let chunks = pending.chunks(MAX_BATCH_ENTRIES);
            let requests = chunks
                .map(async |chunk| (deadline.bound("SendMessageBatch", self.send_chunk(chunk)).await, chunk));
            let mut requests = stream::iter(requests).buffer_unordered(MAX_IN_FLIGHT);
            while let Some((outcome, chunk)) = requests.next().await {
                sent.add(outcome, chunk, &mut again);
            }
            drop(requests);
            pending = again;
            if pending.is_empty() {
                return sent;
            }
            if !backoff.pause(sent.error.as_ref().and_then(Error::retry_after)).await {
                sent.left += pending.len();
                return sent;
            }
        }
    }

    /// One request; returns which messages the queue has not taken, by their place, and why.
    async fn send_chunk(&self, chunk: &[String]) -> Result<Vec<(usize, Error)>, Error> {
        let entry = |(place, body): (usize, &String)| {
            SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body).build()
        };
        let entries = chunk.iter().enumerate().map(entry).collect::<Result<_, _>>();
        let entries = entries.map_err(|error| Error::unreadable("SendMessageBatch", error))?;
        let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let output =
            Box::pin(request.send()).await.map_err(|error| Error::from_sdk("SendMessageBatch", error))?;
        let refused = output.failed.into_iter().filter_map(|entry| {
            let mut error = Error::of_item("SendMessageBatch", &entry.code);
            if !entry.sender_fault {
                error.disposition = Disposition::Retry { after: None };
            }
            Some((entry.id.parse().ok()?, error))
        });
        Ok(refused.collect())
    }
}

impl Sent {
    fn add(
        &mut self,
        outcome: Result<Vec<(usize, Error)>, Error>,
        chunk: &[String],
        again: &mut Vec<String>,
    ) {
        match outcome {
            Ok(refused) => {
                self.sent += chunk.len() - refused.len();
                for (place, error) in refused {
                    if error.is_retryable() {
                        again.extend(chunk.get(place).cloned());
                    } else {
                        self.left += 1;
                    }
                    self.error = Some(error);
                }
            }
            Err(error) => {
                if error.is_retryable() {
                    again.extend_from_slice(chunk);
                } else {
                    self.left += chunk.len();
                }
                self.error = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_sent_or_left_or_tried_again() {
        let chunk: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let check =
            |outcome: Result<Vec<(usize, Error)>, Error>, expected: (usize, usize), retried: &[&str]| {
                let (mut sent, mut again) = (Sent::default(), Vec::new());
                sent.add(outcome, &chunk, &mut again);
                assert_eq!((sent.sent, sent.left), expected);
                assert_eq!(again, retried);
            };
        let error = |code: &str| Error::of_item("SendMessageBatch", code);
        check(Ok(Vec::new()), (10, 0), &[]);
        check(Ok(vec![(3, error("InternalError")), (5, error("InvalidMessageContents"))]), (8, 1), &["3"]);
        check(Err(error("AccessDenied")), (0, 10), &[]);
        let all: Vec<&str> = chunk.iter().map(String::as_str).collect();
        check(Err(error("Throttling")), (0, 0), &all);
    }
}
