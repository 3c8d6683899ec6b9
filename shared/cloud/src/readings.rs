//! The readings table.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemOutput;
use aws_sdk_dynamodb::types::{AttributeValue, WriteRequest};
use telemetry::limits::MAX_SPAN_MICROS;
use telemetry::{DeviceId, Micros, Reading, Span, SpanError, SpanItem};
use tokio::task::JoinSet;

use crate::attribute::to_item;
use crate::body::with_body;
use crate::error::{Disposition, Error};
use crate::retry::{Backoff, Deadline};

/// Most items in one `BatchWriteItem` (Amazon DynamoDB API Reference).
const MAX_BATCH_ITEMS: usize = 25;
/// Requests under way at once. More connections would only add handshakes to a cold start.
pub const MAX_IN_FLIGHT: usize = 8;

/// Writes and reads spans.
#[derive(Debug, Clone)]
pub struct Readings {
    client: Client,
    table: String,
}

/// What has become of items that were to be written.
#[derive(Debug, Default)]
pub struct Written {
    /// What was not stored; empty if all is well.
    pub left: Vec<SpanItem>,
    /// The last error met on the way, whether or not a retry mended it.
    pub error: Option<Error>,
}

impl Readings {
    /// The table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes spans, 25 to a request. What DynamoDB leaves unprocessed or throttles is pooled into
    /// full new requests until the deadline; what a retry cannot mend is returned at once. Writing
    /// the same span again changes nothing.
    pub async fn put(&self, items: Vec<SpanItem>, deadline: Deadline) -> Written {
        let mut backoff = Backoff::new(deadline);
        let mut written = Written::default();
        let mut pending = Pending { items, one_by_one: false };
        loop {
            let round = self.put_round(pending, deadline).await;
            let after = round.error.as_ref().and_then(retry_after);
            written.left.extend(round.refused);
            written.error = round.error.or(written.error);
            pending = Pending { items: round.unprocessed, one_by_one: round.one_by_one };
            if pending.items.is_empty() {
                return written;
            }
            // A request refused for one bad item is split without waiting.
            if !pending.one_by_one && !backoff.pause(after).await {
                written.left.extend(pending.items);
                return written;
            }
        }
    }

    /// Sends each item once.
    async fn put_round(&self, pending: Pending, deadline: Deadline) -> Round {
        let mut round = Round::default();
        let mut requests = JoinSet::new();
        let size = if pending.one_by_one { 1 } else { MAX_BATCH_ITEMS };
        let mut items = pending.items.into_iter().peekable();
        while items.peek().is_some() || !requests.is_empty() {
            if requests.len() < MAX_IN_FLIGHT && items.peek().is_some() {
                let chunk: Vec<SpanItem> = items.by_ref().take(size).collect();
                let readings = self.clone();
                requests.spawn(async move {
                    (deadline.bound("BatchWriteItem", readings.put_chunk(&chunk)).await, chunk)
                });
            } else if let Some(joined) = requests.join_next().await {
                match joined {
                    Ok((outcome, chunk)) => round.add(outcome, chunk),
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                }
            }
        }
        round
    }

    /// One request; returns the keys that DynamoDB did not process.
    async fn put_chunk(&self, chunk: &[SpanItem]) -> Result<Vec<(String, String)>, Error> {
        let request = with_body(
            self.client.batch_write_item().set_request_items(Some(HashMap::new())).customize(),
            batch_write_body(&self.table, chunk),
        );
        let output = request.send().await.map_err(|error| Error::from_sdk("BatchWriteItem", error))?;
        Ok(unprocessed_keys(&output))
    }

    /// The readings of a device from `from` to `to`, both inclusive, each identity once, ordered by
    /// time and metric.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline, or holds what is no span.
    pub async fn query(
        &self,
        device: &DeviceId,
        from: Micros,
        to: Micros,
        deadline: Deadline,
    ) -> Result<Vec<Reading>, Error> {
        let (readings, unreadable) = self.query_readable(device, from, to, deadline).await?;
        unreadable.map_or(Ok(readings), |error| Err(Error::unreadable("Query", error)))
    }

    /// As [`Readings::query`], for whom one item that is no span must not hide the others: says what the last such
    /// item lacks.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn query_readable(
        &self,
        device: &DeviceId,
        from: Micros,
        to: Micros,
        deadline: Deadline,
    ) -> Result<(Vec<Reading>, Option<SpanError>), Error> {
        // A span that begins this much earlier may still reach into the range.
        let first = format!("{:016}", (from.0 - MAX_SPAN_MICROS).max(0));
        let last = format!("{:016}$", to.0);
        let (mut readings, mut unreadable) = (Vec::new(), None);
        let mut start = None;
        loop {
            let page = crate::retry::until("Query", deadline, async || {
                let query = self.client.query().table_name(&self.table);
                let query =
                    query.key_condition_expression("#device = :device AND #span BETWEEN :first AND :last");
                let query = query
                    .expression_attribute_names("#device", "device")
                    .expression_attribute_names("#span", "span");
                let query =
                    query.expression_attribute_values(":device", AttributeValue::S(device.to_string()));
                let query = query.expression_attribute_values(":first", AttributeValue::S(first.clone()));
                let query = query.expression_attribute_values(":last", AttributeValue::S(last.clone()));
                let query = query.set_exclusive_start_key(start.clone());
                query.send().await.map_err(|error| Error::from_sdk("Query", error))
            });
            let page = page.await?;
            for item in page.items() {
                match Span::from_item(&to_item(item)) {
                    Ok(span) => {
                        readings.extend(span.readings().filter(|reading| (from..=to).contains(&reading.at)));
                    }
                    Err(error) => unreadable = Some(error),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok((telemetry::standing(readings), unreadable));
            }
        }
    }
}

fn retry_after(error: &Error) -> Option<Duration> {
    match error.disposition {
        Disposition::Retry { after } => after,
        Disposition::Reject | Disposition::Fatal => None,
    }
}

struct Pending {
    items: Vec<SpanItem>,
    /// After a request was refused, to find the item at fault.
    one_by_one: bool,
}

#[derive(Default)]
struct Round {
    unprocessed: Vec<SpanItem>,
    refused: Vec<SpanItem>,
    one_by_one: bool,
    error: Option<Error>,
}

impl Round {
    fn add(&mut self, outcome: Result<Vec<(String, String)>, Error>, mut chunk: Vec<SpanItem>) {
        match outcome {
            Ok(unprocessed) if unprocessed.is_empty() => {}
            Ok(unprocessed) => {
                chunk.retain(|item| {
                    unprocessed.iter().any(|(d, s)| d == item.device.as_str() && *s == item.span)
                });
                self.unprocessed.extend(chunk);
            }
            Err(error) => {
                match error.disposition {
                    Disposition::Retry { .. } => self.unprocessed.extend(chunk),
                    Disposition::Reject if chunk.len() > 1 => {
                        self.one_by_one = true;
                        self.unprocessed.extend(chunk);
                    }
                    Disposition::Reject | Disposition::Fatal => self.refused.extend(chunk),
                }
                self.error = Some(error);
            }
        }
    }
}

/// `{"RequestItems": {"table": [{"PutRequest": {"Item": {…}}}, …]}}`
fn batch_write_body(table: &str, chunk: &[SpanItem]) -> String {
    let mut body = String::with_capacity(64 + chunk.iter().map(|item| item.json.len() + 32).sum::<usize>());
    body.push_str(r#"{"RequestItems":{""#);
    body.push_str(table);
    body.push_str(r#"":["#);
    for (index, item) in chunk.iter().enumerate() {
        body.push_str(if index == 0 { r#"{"PutRequest":{"Item":"# } else { r#",{"PutRequest":{"Item":"# });
        body.push_str(&item.json);
        body.push_str("}}");
    }
    body.push_str("]}}");
    body
}

fn unprocessed_keys(output: &BatchWriteItemOutput) -> Vec<(String, String)> {
    let requests = output.unprocessed_items().into_iter().flat_map(HashMap::values).flatten();
    let key = |request: &WriteRequest| {
        let item = request.put_request()?.item();
        let text = |name: &str| item.get(name)?.as_s().ok().cloned();
        Some((text("device")?, text("span")?))
    };
    requests.filter_map(key).collect()
}
