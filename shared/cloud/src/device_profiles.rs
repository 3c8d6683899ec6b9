//! Which profile devices are of: what `ingest` has noted on them.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use telemetry::DeviceId;
use telemetry::attribute::Attribute;

use crate::device_items::DeviceItems;
use crate::error::Error;
use crate::retry::Deadline;

/// Reads the names of devices' profiles.
#[derive(Debug, Clone)]
pub struct DeviceProfiles {
    items: DeviceItems,
}

impl DeviceProfiles {
    /// In the devices table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { items: DeviceItems { client, table: table.into() } }
    }

    /// The names of the profiles by which messages of different devices were read last, of those that have one.
    ///
    /// # Errors
    /// If they cannot be read until the deadline.
    pub async fn get(
        &self,
        devices: &[DeviceId],
        deadline: Deadline,
    ) -> Result<HashMap<DeviceId, Arc<str>>, Error> {
        let items = self.items.get(devices, &["device", "profile"], deadline).await.complete()?;
        let name =
            |item: telemetry::attribute::Item| item.get("profile").and_then(Attribute::as_s).map(Arc::from);
        Ok(items.into_iter().filter_map(|(device, item)| Some((device, name(item)?))).collect())
    }
}
