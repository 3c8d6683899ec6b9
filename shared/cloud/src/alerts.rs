//! The alerts table: one item a device, written on condition that nobody else has written in between.

use std::collections::{BTreeMap, HashMap};

use alert::{SHARDS, Told};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::stream::{self, StreamExt as _};
use telemetry::attribute::Item;
use telemetry::{DeviceId, Micros};

use crate::attribute::from_item;
use crate::conditional::{Stored, conditional};
use crate::device_items::{DeviceItems, key};
use crate::error::Error;
use crate::readings::MAX_IN_FLIGHT;
use crate::retry::{Deadline, until};

/// The index of devices of which something stands, or is to be published.
pub const STANDING_INDEX: &str = "standing";

/// Reads and writes what is known of the devices' alerts.
#[derive(Debug, Clone)]
pub struct Alerts {
    items: DeviceItems,
}

impl Alerts {
    /// The table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { items: DeviceItems { client, table: table.into() } }
    }

    /// The items of devices, strongly consistent, 100 to a request. Devices without an item are left out.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn get(
        &self,
        devices: &[DeviceId],
        deadline: Deadline,
    ) -> Result<HashMap<DeviceId, Item>, Error> {
        self.items.get(devices, &[], deadline).await.complete()
    }

    /// Stores an item in place of that of revision `rev`, or where there is none if that is 0.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn put(&self, item: Item, rev: i64, deadline: Deadline) -> Result<Stored, Error> {
        let item = from_item(item);
        let outcome = until("PutItem", deadline, async || {
            let put = self.items.client.put_item().table_name(&self.items.table).set_item(Some(item.clone()));
            let put = if rev == 0 {
                put.condition_expression("attribute_not_exists(rev)")
            } else {
                let put = put.condition_expression("rev = :rev");
                put.expression_attribute_values(":rev", AttributeValue::N(rev.to_string()))
            };
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutItem", error))
        });
        conditional(outcome.await)
    }

    /// Notes that all of the outbox of revision `rev` has been published; the next revision. `is_over`: nothing
    /// stands, and the device leaves the index.
    ///
    /// # Errors
    /// As [`Alerts::put`].
    pub async fn mark_published(
        &self,
        device: &DeviceId,
        rev: i64,
        is_over: bool,
        deadline: Deadline,
    ) -> Result<Stored, Error> {
        let outcome = until("UpdateItem", deadline, async || {
            let update =
                self.items.client.update_item().table_name(&self.items.table).set_key(Some(key(device)));
            let update = update.update_expression(if is_over {
                "SET rev = :next REMOVE outbox, standing"
            } else {
                "SET rev = :next REMOVE outbox"
            });
            let update = update.condition_expression("rev = :rev");
            let update = update.expression_attribute_values(":rev", AttributeValue::N(rev.to_string()));
            let update =
                update.expression_attribute_values(":next", AttributeValue::N((rev + 1).to_string()));
            Box::pin(update.send()).await.map(drop).map_err(|error| Error::from_sdk("UpdateItem", error))
        });
        conditional(outcome.await)
    }

    /// The devices of which something stands or is to be published.
    ///
    /// # Errors
    /// If the index cannot be read until the deadline.
    pub async fn standing(&self, deadline: Deadline) -> Result<Vec<DeviceId>, Error> {
        let shards = SHARDS.iter().map(|shard| self.standing_in(shard, deadline));
        let mut shards = stream::iter(shards).buffered(MAX_IN_FLIGHT);
        let mut devices = Vec::new();
        while let Some(shard) = shards.next().await {
            devices.extend(shard?);
        }
        devices.sort();
        Ok(devices)
    }

    async fn standing_in(&self, shard: &str, deadline: Deadline) -> Result<Vec<DeviceId>, Error> {
        let (mut devices, mut start) = (Vec::new(), None);
        loop {
            let page = until("Query", deadline, async || {
                let query =
                    self.items.client.query().table_name(&self.items.table).index_name(STANDING_INDEX);
                let query = query.key_condition_expression("standing = :shard");
                let query = query.expression_attribute_values(":shard", AttributeValue::S(shard.to_owned()));
                let query = query.set_exclusive_start_key(start.clone());
                Box::pin(query.send()).await.map_err(|error| Error::from_sdk("Query", error))
            });
            let page = page.await?;
            let found = page.items().iter().filter_map(|item| item.get("device")?.as_s().ok());
            devices.extend(found.map(|device| DeviceId::from_stored(device.as_str())));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(devices);
            }
        }
    }
}

/// Notes on the devices table what stands of a device, for whoever shows the device.
#[derive(Debug, Clone)]
pub struct AlertNotes {
    client: Client,
    table: String,
}

impl AlertNotes {
    /// The devices table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Notes the worst alert that stands, or that none does, as of revision `rev` of the device's alerts: `alert` (M)
    /// and `alert_rev` (N). An older revision never replaces a newer one. Returns whether there is such a device:
    /// `ingest` writes readings first, and the item of a device that is new may come a moment later.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn put(
        &self,
        device: &DeviceId,
        worst: Option<(&str, &Told)>,
        rev: i64,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        let note = worst.map(|(rule, told)| AttributeValue::M(note(rule, told)));
        let outcome = until("UpdateItem", deadline, async || {
            let update = self.client.update_item().table_name(&self.table).set_key(Some(key(device)));
            let update = update.expression_attribute_values(":rev", AttributeValue::N(rev.to_string()));
            let update = update.condition_expression(
                "attribute_exists(device) AND (attribute_not_exists(alert_rev) OR alert_rev < :rev)",
            );
            let update =
                update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            let update = match &note {
                Some(note) => update
                    .update_expression("SET alert = :alert, alert_rev = :rev")
                    .expression_attribute_values(":alert", note.clone()),
                None => update.update_expression("SET alert_rev = :rev REMOVE alert"),
            };
            match Box::pin(update.send()).await {
                Ok(_) => Ok(true),
                Err(error) => match error.as_service_error() {
                    // With the item if there is one: then somebody else has noted what is newer.
                    Some(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                        Ok(failure.item().is_some_and(|item| !item.is_empty()))
                    }
                    _ => Err(Error::from_sdk("UpdateItem", error)),
                },
            }
        });
        outcome.await
    }
}

fn note(rule: &str, told: &Told) -> HashMap<String, AttributeValue> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let members = BTreeMap::from([
        ("rule", text(rule)),
        ("severity", text(told.severity.as_str())),
        ("state", text(&told.state)),
        ("id", text(&told.id)),
        ("since", number(told.since)),
    ]);
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn number(micros: Micros) -> AttributeValue {
    AttributeValue::N(micros.0.to_string())
}
