//! The devices table, as whoever keeps the devices' shadows sees it: items are read, and of each one attribute is
//! written, without regard to its revision.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use telemetry::attribute::Attribute;
use telemetry::{DeviceId, Micros};

use crate::attribute::from_attribute;
use crate::device_items::{DeviceItems, Present, key};
use crate::error::Error;
use crate::retry::{Deadline, until};

/// Reads devices, and notes on them what their shadows were told.
#[derive(Debug, Clone)]
pub struct DeviceShadows {
    items: DeviceItems,
}

impl DeviceShadows {
    /// The table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { items: DeviceItems { client, table: table.into() } }
    }

    /// Reads the items of different devices, strongly consistent, 100 to a request, again and again until the deadline.
    pub async fn get(&self, devices: &[DeviceId], deadline: Deadline) -> Present {
        self.items.get(devices, &[], deadline).await
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
            let update =
                self.items.client.update_item().table_name(&self.items.table).set_key(Some(key(device)));
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
