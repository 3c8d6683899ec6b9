//! Items whose partition key is a device, many to a request.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::stream::{self, StreamExt as _};
use telemetry::DeviceId;
use telemetry::attribute::Item;

use crate::attribute::to_item;
use crate::error::Error;
use crate::readings::MAX_IN_FLIGHT;
use crate::retry::{Backoff, Deadline};

/// Most keys in one `BatchGetItem` (Amazon DynamoDB API Reference).
const MAX_BATCH_KEYS: usize = 100;

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

impl Present {
    /// All items, for whom some are of no use.
    pub(crate) fn complete(self) -> Result<HashMap<DeviceId, Item>, Error> {
        if self.left.is_empty() {
            return Ok(self.items);
        }
        Err(self.error.unwrap_or_else(|| Error::timed_out("BatchGetItem")))
    }
}

/// A table whose partition key is `device`, without a sort key.
#[derive(Debug, Clone)]
pub(crate) struct DeviceItems {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl DeviceItems {
    /// Reads the items of different devices, strongly consistent, 100 to a request; of each those attributes, or all where
    /// none is named. What DynamoDB leaves unprocessed or throttles is pooled into full new requests until the
    /// deadline.
    pub(crate) async fn get(&self, devices: &[DeviceId], attributes: &[&str], deadline: Deadline) -> Present {
        let mut backoff = Backoff::new(deadline);
        let mut present = Present::default();
        let mut pending = devices.to_vec();
        while !pending.is_empty() {
            let mut again = Vec::new();
            let requests = pending.chunks(MAX_BATCH_KEYS).map(async |chunk| {
                (chunk, deadline.bound("BatchGetItem", self.get_chunk(chunk, attributes)).await)
            });
            let mut requests = stream::iter(requests).buffer_unordered(MAX_IN_FLIGHT);
            while let Some((chunk, outcome)) = requests.next().await {
                match outcome {
                    Ok((items, unprocessed)) => {
                        present.items.extend(items);
                        again.extend(chunk.iter().filter(|device| unprocessed.contains(device)).cloned());
                    }
                    Err(error) => {
                        let left = if error.is_retryable() { &mut again } else { &mut present.left };
                        left.extend_from_slice(chunk);
                        present.error = Some(error);
                    }
                }
            }
            drop(requests);
            if !again.is_empty() && !backoff.pause(None).await {
                present.left.append(&mut again);
            }
            pending = again;
        }
        present
    }

    /// One request; returns the items, and the devices that DynamoDB did not look up.
    async fn get_chunk(
        &self,
        chunk: &[DeviceId],
        attributes: &[&str],
    ) -> Result<(Vec<(DeviceId, Item)>, Vec<DeviceId>), Error> {
        let keys = KeysAndAttributes::builder().consistent_read(true);
        // Any name may be a reserved word, which an expression must not have.
        let name = |place: usize| format!("#{place}");
        let names =
            attributes.iter().enumerate().map(|(place, attribute)| (name(place), (*attribute).to_owned()));
        let names = Some(names.collect::<HashMap<_, _>>()).filter(|names| !names.is_empty());
        let projection = (0..attributes.len()).map(name).collect::<Vec<_>>().join(", ");
        let keys = keys.set_projection_expression(names.is_some().then_some(projection));
        let keys = keys.set_expression_attribute_names(names);
        let keys = keys.set_keys(Some(chunk.iter().map(key).collect())).build();
        let keys = keys.map_err(|error| Error::unreadable("BatchGetItem", error))?;
        let request = Box::pin(self.client.batch_get_item().request_items(&self.table, keys).send());
        let mut output = request.await.map_err(|error| Error::from_sdk("BatchGetItem", error))?;
        let items = output.responses.as_mut().and_then(|tables| tables.remove(&self.table));
        let items = items.unwrap_or_default().iter().map(to_item).filter_map(with_device).collect();
        let unprocessed = output.unprocessed_keys.unwrap_or_default();
        let unprocessed = unprocessed.values().flat_map(KeysAndAttributes::keys);
        let unprocessed = unprocessed.filter_map(|key| key.get("device")?.as_s().ok());
        Ok((items, unprocessed.map(|device| DeviceId::from_stored(device.as_str())).collect()))
    }
}

/// The key of a device's item.
pub(crate) fn key(device: &DeviceId) -> HashMap<String, AttributeValue> {
    HashMap::from([("device".to_owned(), AttributeValue::S(device.to_string()))])
}

fn with_device(item: Item) -> Option<(DeviceId, Item)> {
    let device = DeviceId::from_stored(item.get("device")?.as_s()?);
    Some((device, item))
}
