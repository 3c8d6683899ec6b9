//! The devices table: the latest values, written 25 devices to a request.
//!
//! Most devices send in order, so most updates take the fast way: one conditional `UPDATE` that
//! holds if everything in it is newer than anything stored. A tie is not newer: which of two
//! readings of one time replaces the other is decided by [`Latest::merge`] alone, and not by who
//! writes last. Where the condition fails, DynamoDB returns the item in the same answer; what is
//! newer is merged into it, and the merged state written on condition that no other writer came in between.
//! New devices are inserted.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementError, BatchStatementResponse};
use serde::Serialize;
use serde::ser::Serializer;
use telemetry::attribute::{Attribute, Item, N, S};
use telemetry::{DeviceId, Identity, Latest, LatestAttribute, latest_attribute};
use tokio::task::JoinSet;

use crate::attribute::to_item;
use crate::body::with_body;
use crate::error::{Disposition, Error};
use crate::readings::MAX_IN_FLIGHT;
use crate::retry::{Backoff, Deadline};

/// Most statements in one `BatchExecuteStatement` (Amazon DynamoDB API Reference).
const MAX_BATCH_STATEMENTS: usize = 25;
/// Longest PartiQL statement, in characters (Amazon DynamoDB API Reference, `BatchStatementRequest`).
const MAX_STATEMENT_CHARS: usize = 8_192;

/// Writes and reads the present state of devices.
#[derive(Debug, Clone)]
pub struct Devices {
    client: Client,
    table: String,
}

/// Devices whose state could not be written, and the last error met.
#[derive(Debug, Default)]
pub struct Updated {
    /// Not written; empty if all is well.
    pub left: Vec<DeviceId>,
    /// The last error met on the way, whether or not a retry mended it.
    pub error: Option<Error>,
}

impl Devices {
    /// The table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Brings the stored state of each device up to date. An older reading never replaces a newer
    /// one, whoever else writes at the same time; the same update again changes nothing.
    pub async fn update(&self, updates: Vec<Latest>, deadline: Deadline) -> Updated {
        let mut backoff = Backoff::new(deadline);
        let mut updated = Updated::default();
        let mut pending: Vec<Update> =
            updates.into_iter().map(|latest| Update { latest, way: Way::Fast }).collect();
        while !pending.is_empty() {
            let round = self.update_round(pending, deadline).await;
            let must_wait = round.must_wait;
            updated.left.extend(round.failed);
            updated.error = round.error.or(updated.error);
            pending = round.again;
            let is_over = match must_wait {
                Some(after) => !pending.is_empty() && !backoff.pause(after).await,
                None => deadline.has_passed(),
            };
            if is_over {
                updated.left.extend(pending.drain(..).map(|update| update.latest.device));
            }
        }
        updated
    }

    /// Sends one statement for each device.
    async fn update_round(&self, pending: Vec<Update>, deadline: Deadline) -> Round {
        let mut round = Round::default();
        let mut requests = JoinSet::new();
        let mut updates = pending.into_iter().peekable();
        while updates.peek().is_some() || !requests.is_empty() {
            if requests.len() < MAX_IN_FLIGHT && updates.peek().is_some() {
                let chunk: Vec<Update> = updates.by_ref().take(MAX_BATCH_STATEMENTS).collect();
                let devices = self.clone();
                requests.spawn(async move {
                    (deadline.bound("BatchExecuteStatement", devices.execute(&chunk)).await, chunk)
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

    async fn execute(&self, chunk: &[Update]) -> Result<Vec<BatchStatementResponse>, Error> {
        let statements: Vec<String> = chunk.iter().map(|update| update.statement(&self.table)).collect();
        let body = format!(r#"{{"Statements":[{}]}}"#, statements.join(","));
        let operation = self.client.batch_execute_statement().set_statements(Some(Vec::new())).customize();
        let output = with_body(operation, body).send().await;
        let output = output.map_err(|error| Error::from_sdk("BatchExecuteStatement", error))?;
        Ok(output.responses.unwrap_or_default())
    }

    /// The present state of one device, strongly consistent.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn get(&self, device: &DeviceId, deadline: Deadline) -> Result<Option<Latest>, Error> {
        let output = crate::retry::until("GetItem", deadline, async || {
            let get = self.client.get_item().table_name(&self.table).consistent_read(true);
            let get = get.key("device", AttributeValue::S(device.to_string()));
            Box::pin(get.send()).await.map_err(|error| Error::from_sdk("GetItem", error))
        });
        Ok(output.await?.item.and_then(|item| Latest::from_item(&to_item(&item))))
    }

    /// Every device of the table, in no order.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn list(&self, deadline: Deadline) -> Result<Vec<Latest>, Error> {
        self.list_some(usize::MAX, deadline).await.map(|(devices, _are_all)| devices)
    }

    /// About `enough` devices of the table, in no order, and whether these are all that there are.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn list_some(&self, enough: usize, deadline: Deadline) -> Result<(Vec<Latest>, bool), Error> {
        let mut devices = Vec::new();
        let mut start = None;
        loop {
            let page = crate::retry::until("Scan", deadline, async || {
                let scan = self.client.scan().table_name(&self.table).set_exclusive_start_key(start.clone());
                scan.send().await.map_err(|error| Error::from_sdk("Scan", error))
            });
            let page = page.await?;
            devices.extend(page.items().iter().filter_map(|item| Latest::from_item(&to_item(item))));
            start = page.last_evaluated_key;
            if start.is_none() || devices.len() >= enough {
                return Ok((devices, start.is_none()));
            }
        }
    }
}

/// A device's update, and how it is to be written next.
#[derive(Debug, Clone)]
struct Update {
    latest: Latest,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// Update the metrics on condition that all of them are newer than anything stored.
    Fast,
    /// Let a condition fail that never holds: the answer has the item.
    Fetch,
    /// Insert the item on condition that there is none.
    Insert,
    /// Write the merged state on condition that the item still has this revision.
    Replace { merged: Latest, rev: i64 },
}

impl Update {
    /// One member of `Statements`, as JSON.
    fn statement(&self, table: &str) -> String {
        let latest = &self.latest;
        let device = Parameter::S(latest.device.as_str());
        match &self.way {
            Way::Fast => self.fast_statement(table).unwrap_or_else(|| fetch_statement(table, device)),
            Way::Fetch => fetch_statement(table, device),
            Way::Insert => {
                let profile = if latest.profile.is_some() { ", 'profile': ?" } else { "" };
                let known_by = if identity(latest).is_some() { ", 'identity': ?" } else { "" };
                let text = format!(
                    "INSERT INTO \"{table}\" VALUE {{'device': ?, 'name': ?, 'latest': ?, 'last_at': ?, 'first_seen': ?, 'last_seen': ?, 'rev': ?{profile}{known_by}}}"
                );
                let mut parameters = vec![
                    device,
                    Parameter::S(latest.device.name()),
                    Parameter::Latest(latest),
                    Parameter::N(latest.newest().0),
                    Parameter::N(latest.first_seen.0),
                    Parameter::N(latest.last_seen.0),
                    Parameter::N(1),
                ];
                parameters
                    .extend(latest.profile.as_deref().into_iter().chain(identity(latest)).map(Parameter::S));
                Statement::new(&text, &parameters)
            }
            Way::Replace { merged, rev } => {
                let profile = if merged.profile.is_some() { "profile = ?, " } else { "" };
                let set_identity = if identity(merged).is_some() { SET_IDENTITY } else { "" };
                let text = format!(
                    "UPDATE \"{table}\" SET {profile}{set_identity}latest = ?, last_at = ?, first_seen = ?, last_seen = ?, rev = ? WHERE device = ? AND rev = ?"
                );
                let mut parameters: Vec<_> =
                    merged.profile.as_deref().into_iter().chain(identity(merged)).map(Parameter::S).collect();
                parameters.extend([
                    Parameter::Latest(merged),
                    Parameter::N(merged.newest().0),
                    Parameter::N(merged.first_seen.0),
                    Parameter::N(merged.last_seen.0),
                    Parameter::N(rev + 1),
                    device,
                    Parameter::N(*rev),
                ]);
                Statement::new(&text, &parameters)
            }
        }
    }

    /// `None` if the device has too many metrics for the text of one statement.
    fn fast_statement(&self, table: &str) -> Option<String> {
        let latest = &self.latest;
        let mut text = format!("UPDATE \"{table}\" SET ");
        for metric in latest.metrics.keys() {
            // A quote inside a quoted name is doubled.
            let _ = write!(text, "latest.\"{}\" = ?, ", metric.replace('"', "\"\""));
        }
        if latest.profile.is_some() {
            text.push_str("profile = ?, ");
        }
        if identity(latest).is_some() {
            text.push_str(SET_IDENTITY);
        }
        // Each comparison leaves ties to the merge: of time (another `seq`, arrival or revision counts then), of the
        // last message (the profile counts), and an arrival before the first that is known.
        text.push_str(
            "last_at = ?, last_seen = ?, rev = rev + 1 \
             WHERE device = ? AND last_at < ? AND last_seen < ? AND first_seen <= ?",
        );
        if text.chars().count() > MAX_STATEMENT_CHARS {
            return None;
        }
        let mut parameters: Vec<Parameter<'_>> = latest.metrics.values().map(Parameter::Reading).collect();
        parameters.extend(latest.profile.as_deref().into_iter().chain(identity(latest)).map(Parameter::S));
        parameters.extend([
            Parameter::N(latest.newest().0),
            Parameter::N(latest.last_seen.0),
            Parameter::S(latest.device.as_str()),
            Parameter::N(latest.oldest().0),
            Parameter::N(latest.last_seen.0),
            Parameter::N(latest.first_seen.0),
        ]);
        Some(Statement::new(&text, &parameters))
    }

    /// What is to be done after the answer of its statement; `Ok(None)`: nothing more.
    fn after(mut self, error: Option<&BatchStatementError>) -> Result<Option<Self>, (DeviceId, Error)> {
        let Some(error) = error else { return Ok(None) };
        let code = error.code().map_or("no error code", |code| code.as_str());
        self.way = match (code, &self.way) {
            ("ConditionalCheckFailed", _) => match error.item() {
                None => {
                    self.latest.trim();
                    Way::Insert
                }
                Some(item) => match self.merge_into(&to_item(item)) {
                    Ok(Some(way)) => way,
                    Ok(None) => return Ok(None),
                    Err(error) => return Err((self.latest.device, error)),
                },
            },
            ("DuplicateItem", _) => Way::Fetch,
            // The item may have grown too large for one metric more: what is merged is trimmed.
            ("ValidationError", Way::Fast) => Way::Fetch,
            _ => {
                let error = Error::of_item("BatchExecuteStatement", code);
                return if error.is_retryable() { Ok(Some(self)) } else { Err((self.latest.device, error)) };
            }
        };
        Ok(Some(self))
    }

    /// How to write what the item lacks; `None` if it lacks nothing.
    fn merge_into(&self, item: &Item) -> Result<Option<Way>, Error> {
        let rev = item.get("rev").and_then(Attribute::as_i64);
        let (Some(mut merged), Some(rev)) = (Latest::from_item(item), rev) else {
            return Err(Error::of_item("BatchExecuteStatement", "unreadable device item"));
        };
        let has_changed = merged.merge(&self.latest);
        merged.trim();
        Ok(has_changed.then_some(Way::Replace { merged, rev }))
    }
}

/// In a statement's `SET`. The word is reserved (Amazon DynamoDB Developer Guide, "Reserved words in DynamoDB").
const SET_IDENTITY: &str = "\"identity\" = ?, ";

/// How a device is known, where that is to be written. One that topic and client name does not write the attribute, and so
/// leaves it to those who published for it.
fn identity(latest: &Latest) -> Option<&'static str> {
    Some(latest.identity).filter(|identity| *identity != Identity::Topic).map(Identity::as_str)
}

/// No item's `rev` is negative, so this never writes.
fn fetch_statement(table: &str, device: Parameter<'_>) -> String {
    Statement::new(
        &format!("UPDATE \"{table}\" SET rev = ? WHERE device = ? AND rev < ?"),
        &[Parameter::N(0), device, Parameter::N(0)],
    )
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    statement: &'a str,
    parameters: &'a [Parameter<'a>],
    return_values_on_condition_check_failure: &'static str,
}

impl Statement<'_> {
    #[expect(clippy::new_ret_no_self, reason = "nobody wants the struct: it only gives the JSON its shape")]
    fn new(statement: &str, parameters: &[Parameter<'_>]) -> String {
        let statement =
            Statement { statement, parameters, return_values_on_condition_check_failure: "ALL_OLD" };
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        serde_json::to_string(&statement).expect("a statement is JSON")
    }
}

#[derive(Clone, Copy)]
enum Parameter<'a> {
    S(&'a str),
    N(i64),
    Reading(&'a telemetry::Reading),
    Latest(&'a Latest),
}

impl Serialize for Parameter<'_> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        match self {
            Self::S(text) => S(text).serialize(serializer),
            Self::N(number) => N(*number).serialize(serializer),
            Self::Reading(reading) => LatestAttribute(reading).serialize(serializer),
            Self::Latest(latest) => latest_attribute(&latest.metrics).serialize(serializer),
        }
    }
}

#[derive(Default)]
struct Round {
    again: Vec<Update>,
    failed: Vec<DeviceId>,
    error: Option<Error>,
    /// Something was throttled or overtaken: wait before the next round, as long as the service asks if it does.
    must_wait: Option<Option<Duration>>,
}

impl Round {
    fn add(&mut self, outcome: Result<Vec<BatchStatementResponse>, Error>, chunk: Vec<Update>) {
        match outcome {
            Ok(responses) => {
                let mut responses = responses.into_iter();
                for update in chunk {
                    let response = responses.next();
                    self.add_one(update, response.as_ref().and_then(BatchStatementResponse::error));
                }
            }
            Err(error) => {
                if let Disposition::Retry { after } = error.disposition {
                    self.must_wait = Some(after);
                    self.again.extend(chunk);
                } else {
                    self.failed.extend(chunk.into_iter().map(|update| update.latest.device));
                }
                self.error = Some(error);
            }
        }
    }

    fn add_one(&mut self, update: Update, error: Option<&BatchStatementError>) {
        let code = error.and_then(BatchStatementError::code).map_or("", |code| code.as_str());
        if !code.is_empty() && Error::of_item("BatchExecuteStatement", code).is_retryable() {
            self.must_wait = Some(None);
            self.error = Some(Error::of_item("BatchExecuteStatement", code));
        }
        // Somebody else wrote in between: the next try should not meet the same writer again.
        if matches!(update.way, Way::Replace { .. }) && code == "ConditionalCheckFailed" {
            self.must_wait = Some(None);
        }
        match update.after(error) {
            Ok(again) => self.again.extend(again),
            Err((device, error)) => {
                self.failed.push(device);
                self.error = Some(error);
            }
        }
    }
}
