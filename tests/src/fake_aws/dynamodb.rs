//! DynamoDB's JSON 1.0 protocol: what a request may be, what it does to the tables, how the answer reads.
//!
//! Each write is planned (read, validated as a whole) before anything is done, as on DynamoDB, where a request with
//! one bad item writes none. Quotas: "BatchWriteItem", "BatchExecuteStatement" and "BatchStatementRequest" in the
//! API reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::item::{self, Item};
use super::tables::Key;
use super::{Answer, Operation, State, Storage, batch_write, reads, statements, writes};

/// Writes in one request.
pub(super) const BATCH_LIMIT: usize = 25;
/// Bytes of one request.
const REQUEST_LIMIT: usize = 16 * 1024 * 1024;

/// A request refused as a whole.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// The standing item, where a failed condition is to show it.
    item: Option<Item>,
}

impl Refusal {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, message: message.into(), item: None }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new("com.amazon.coral.validate#ValidationException", message)
    }

    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new("com.amazon.coral.service#SerializationException", message)
    }

    pub(super) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new("com.amazon.coral.service#UnknownOperationException", message)
    }

    pub(super) fn throttled() -> Self {
        Self::new(
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
             provisioning level with the UpdateTable API.",
        )
    }

    pub(super) fn internal() -> Self {
        let refusal =
            Self::new("com.amazonaws.dynamodb.v20120810#InternalServerError", "Internal server error");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..refusal }
    }

    pub(super) fn condition_failed(item: Option<Item>) -> Self {
        let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        Self { item, ..Self::new(kind, "The conditional request failed") }
    }

    pub(super) fn no_table() -> Self {
        Self::new(
            "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            "Requested resource not found",
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut body = json!({ "__type": refusal.kind, "message": refusal.message });
        if let Some(item) = refusal.item {
            body["Item"] = item.into();
        }
        Self::new(refusal.status, CONTENT_TYPE, body.to_string())
    }
}

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

pub(super) fn answer(state: &mut State, storage: Storage, operation: Operation, body: &[u8]) -> Answer {
    if body.len() > REQUEST_LIMIT {
        // The limit is documented, the answer beyond it is not.
        let refusal =
            Refusal::new("com.amazon.coral.service#RequestEntityTooLargeException", "Request too large");
        return Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, ..refusal }.into();
    }
    let outcome = match operation {
        Operation::BatchWriteItem => batch_write::batch_write(state, storage, body),
        Operation::BatchExecuteStatement => statements::batch_execute(state, storage, body),
        Operation::PutItem => writes::put_item(state, body),
        Operation::UpdateItem => writes::update_item(state, body),
        Operation::DeleteItem => writes::delete_item(state, body),
        Operation::BatchGetItem => reads::batch_get_item(state, body),
        Operation::Query => reads::query(state, body),
        Operation::Scan => reads::scan(state, body),
        _ => reads::get_item(state, body),
    };
    outcome.map_or_else(Answer::from, |body| Answer::new(StatusCode::OK, CONTENT_TYPE, body))
}

pub(super) fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::serialization(error.to_string()))
}

/// JSON of an answer; `Refusal` if it could not be written, which only a map with odd keys cannot.
pub(super) fn write<T: Serialize>(answer: &T) -> Result<String, Refusal> {
    serde_json::to_string(answer).map_err(|error| Refusal::serialization(error.to_string()))
}

pub(super) fn wants_capacity(asked: Option<&str>) -> bool {
    matches!(asked, Some("TOTAL" | "INDEXES"))
}

/// `ConsumedCapacity`, one entry for each table.
pub(super) fn capacity(units: &BTreeMap<String, u64>) -> Vec<Value> {
    units.iter().map(|(table, units)| json!({ "TableName": table, "CapacityUnits": units })).collect()
}

/// What a failed condition takes, and a write at least: the write units of the standing item.
pub(super) fn standing_units(item: Option<&Item>) -> u64 {
    item.map_or(1, |item| item::write_units(item::item_size(item)))
}

pub(super) fn refuse_duplicates<'k>(keys: impl Iterator<Item = (&'k str, &'k Key)>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Refusal::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(())
}
