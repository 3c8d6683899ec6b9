//! The devices table, as whoever keeps the devices' shadows sees it: items are read, and of each one attribute is
//! written, without regard to its revision.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use telemetry::attribute::{Attribute, Item};
use telemetry::{DeviceId, Micros};

use crate::attribute::{from_attribute, to_item};
use crate::error::Error;
use crate::retry::{Backoff, Deadline, until};

/// Most keys in one `BatchGetItem` (Amazon DynamoDB API Reference).
const MAX_BATCH_KEYS: usize = 100;

/// Reads devices, and notes on them what their shadows were told.
#[derive(Debug, Clone)]
pub struct DeviceShadows {
    client: Client,
    table: String,
}

/// Items as they stand, the devices that could not be read, and the last error met.
#[derive(Debug, Default)]
pub struct Present {
    /// Those that there are.
    pub items: HashMap<DeviceId, Item>,
    /// Those that could not be read; empty if all is well.
    pub left: Vec<DeviceId>,
    /// The last error met on the way, whether or not a retry mended it.
    pub error: Option<Error>,
}

type SdkItem = HashMap<String, AttributeValue>;

impl DeviceShadows {
    /// The table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Reads the items of different devices, strongly consistent, 100 to a request. What DynamoDB leaves unprocessed
    /// or throttles is pooled into full new requests until the deadline.
    pub async fn get(&self, devices: Vec<DeviceId>, deadline: Deadline) -> Present {
        let mut backoff = Backoff::new(deadline);
        let mut present = Present::default();
        let mut pending = devices;
        while !pending.is_empty() {
            let mut again = Vec::new();
            for chunk in pending.chunks(MAX_BATCH_KEYS) {
                match deadline.bound("BatchGetItem", self.get_chunk(chunk)).await {
                    Ok((items, unprocessed)) => {
                        present.items.extend(items.iter().map(to_item).filter_map(with_device));
                        again.extend(chunk.iter().filter(|device| unprocessed.contains(device)).cloned());
                    }
                    Err(error) => {
                        let left = if error.is_retryable() { &mut again } else { &mut present.left };
                        left.extend_from_slice(chunk);
                        present.error = Some(error);
                    }
                }
            }
            if !again.is_empty() && !backoff.pause(None).await {
                present.left.append(&mut again);
            }
            pending = again;
        }
        present
    }

    /// One request; returns the items, and the devices that DynamoDB did not look up.
    async fn get_chunk(&self, chunk: &[DeviceId]) -> Result<(Vec<SdkItem>, Vec<DeviceId>), Error> {
        let keys = KeysAndAttributes::builder().consistent_read(true);
        let keys = keys.set_keys(Some(chunk.iter().map(key).collect())).build();
        let keys = keys.map_err(|error| Error::unreadable("BatchGetItem", error))?;
        let request = Box::pin(self.client.batch_get_item().request_items(&self.table, keys).send());
        let mut output = request.await.map_err(|error| Error::from_sdk("BatchGetItem", error))?;
        let items = output.responses.as_mut().and_then(|tables| tables.remove(&self.table));
        let unprocessed = output.unprocessed_keys.unwrap_or_default();
        let unprocessed = unprocessed.values().flat_map(KeysAndAttributes::keys);
        let unprocessed = unprocessed.filter_map(|key| key.get("device")?.as_s().ok());
        let unprocessed = unprocessed.map(|device| DeviceId::from_stored(device.as_str())).collect();
        Ok((items.unwrap_or_default(), unprocessed))
    }

    /// Notes on a device what its shadow shows now. Returns whether there is such a device.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn mark(&self, device: &DeviceId, shows: Attribute, deadline: Deadline) -> Result<bool, Error> {
        self.set(device, "shadow", from_attribute(shows), deadline).await
    }

    /// Changes a device's item without changing what it says, so that the table's stream brings it again. Returns
    /// whether there is such a device.
    ///
    /// # Errors
    /// As [`DeviceShadows::mark`].
    pub async fn touch(&self, device: &DeviceId, now: Micros, deadline: Deadline) -> Result<bool, Error> {
        self.set(device, "nudged", AttributeValue::N(now.0.to_string()), deadline).await
    }

    async fn set(
        &self,
        device: &DeviceId,
        attribute: &str,
        value: AttributeValue,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        let updated = until("UpdateItem", deadline, async || {
            let update = self.client.update_item().table_name(&self.table).set_key(Some(key(device)));
            let update = update
                .update_expression("SET #attribute = :value")
                // Or a device that was deleted would come back, as nothing but this attribute.
                .condition_expression("attribute_exists(#device)")
                .expression_attribute_names("#attribute", attribute)
                .expression_attribute_names("#device", "device")
                .expression_attribute_values(":value", value.clone());
            Box::pin(update.send()).await.map(drop).map_err(|error| Error::from_sdk("UpdateItem", error))
        });
        match updated.await {
            Err(error) if error.code == "ConditionalCheckFailedException" => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }
}

fn key(device: &DeviceId) -> SdkItem {
    HashMap::from([("device".to_owned(), AttributeValue::S(device.to_string()))])
}

fn with_device(item: Item) -> Option<(DeviceId, Item)> {
    let device = DeviceId::from_stored(item.get("device")?.as_s()?);
    Some((device, item))
}
