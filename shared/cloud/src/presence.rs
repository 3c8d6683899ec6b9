//! Presence in the devices table: whose client it is, and writing what stands.
//!
//! A client is found by the index `by-name`. What is stored is read, compared and written on condition that it is
//! still what was read; `rev`, by which the latest values are guarded, is left alone, and so neither writer
//! disturbs the other.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt as _};
use telemetry::attribute::{Attribute, Item};
use telemetry::{DeviceId, Identity, Presence};

use crate::attribute::from_attribute;
use crate::device_items::{DeviceItems, key};
use crate::error::Error;
use crate::readings::MAX_IN_FLIGHT;
use crate::retry::{Backoff, Deadline, until};

/// The index of the devices by the part of their id after the slash; it holds keys alone.
pub const BY_NAME_INDEX: &str = "by-name";

/// Finds devices by their clients, and writes whether they are connected.
#[derive(Debug, Clone)]
pub struct Presences {
    items: DeviceItems,
}

/// What became of updates: each device is in one of the first four.
#[derive(Debug, Default)]
pub struct Updated {
    /// Written.
    pub applied: Vec<DeviceId>,
    /// What is stored is as new, or newer.
    pub outdated: Vec<DeviceId>,
    /// The table has no such device any more, or it is none of a client: a payload or a gateway names it.
    pub missing: Vec<DeviceId>,
    /// Not written, because of an error.
    pub left: Vec<DeviceId>,
    /// The last error met on the way.
    pub error: Option<Error>,
}

impl Presences {
    /// In the devices table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { items: DeviceItems { client, table: table.into() } }
    }

    /// The devices whose name is `client`: one for each site that it has ever spoken from. An index is eventually
    /// consistent, so a device that is new may be missing for a moment.
    ///
    /// # Errors
    /// If the index cannot be read until the deadline.
    pub async fn devices_of(&self, client: &str, deadline: Deadline) -> Result<Vec<DeviceId>, Error> {
        let mut devices = Vec::new();
        let mut start = None;
        loop {
            let page = until("Query", deadline, async || {
                let query = self.items.client.query().table_name(&self.items.table).index_name(BY_NAME_INDEX);
                let query = query
                    .key_condition_expression("#name = :name")
                    .expression_attribute_names("#name", "name")
                    .expression_attribute_values(":name", AttributeValue::S(client.to_owned()));
                let query = query.set_exclusive_start_key(start.clone());
                Box::pin(query.send()).await.map_err(|error| Error::from_sdk("Query", error))
            });
            let page = page.await?;
            let ids = page.items().iter().filter_map(|item| item.get("device")?.as_s().ok());
            devices.extend(ids.map(|id| DeviceId::from_stored(id.as_str())));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(devices);
            }
        }
    }

    /// Brings the stored presence of each device up to date, whoever else writes at the same time; the same update
    /// again changes nothing.
    pub async fn update(&self, updates: BTreeMap<DeviceId, Presence>, deadline: Deadline) -> Updated {
        let mut backoff = Backoff::new(deadline);
        let (mut updated, mut pending) = (Updated::default(), updates);
        while !pending.is_empty() {
            let devices: Vec<DeviceId> = pending.keys().cloned().collect();
            let stored = match self.get(&devices, deadline).await {
                Ok(stored) => stored,
                Err(error) => {
                    updated.error = Some(error);
                    break;
                }
            };
            let plan = Plan::new(std::mem::take(&mut pending), stored);
            updated.outdated.extend(plan.outdated);
            updated.missing.extend(plan.missing);
            pending = self.put_all(plan.writes, &mut updated, deadline).await;
            // Somebody else wrote in between: the next try should not meet the same writer again.
            if !pending.is_empty() && !backoff.pause(None).await {
                break;
            }
        }
        updated.left.extend(pending.into_keys());
        updated
    }

    /// What is stored of devices, strongly consistent, 100 to a request: the attribute `presence` of each device
    /// that there is, and that can have a client of its own.
    async fn get(&self, devices: &[DeviceId], deadline: Deadline) -> Result<Stored, Error> {
        let attributes = ["device", "presence", "identity"];
        let present = self.items.get(devices, &attributes, deadline).await.complete()?;
        let is_a_client = |item: &Item| {
            Identity::from_stored(item.get("identity").and_then(Attribute::as_s)).is_of_a_thing()
        };
        let present = present.into_iter().filter(|(_, item)| is_a_client(item));
        Ok(present.map(|(device, mut item)| (device, item.remove("presence"))).collect())
    }

    /// Writes each once; returns those that somebody else has overtaken.
    async fn put_all(
        &self,
        writes: Vec<Write>,
        updated: &mut Updated,
        deadline: Deadline,
    ) -> BTreeMap<DeviceId, Presence> {
        let puts = writes.into_iter().map(async |write| (self.put(&write, deadline).await, write));
        let mut puts = stream::iter(puts).buffer_unordered(MAX_IN_FLIGHT);
        let mut overtaken = BTreeMap::new();
        while let Some((outcome, Write { device, presence, .. })) = puts.next().await {
            match outcome {
                Ok(()) => updated.applied.push(device),
                Err(error) if error.code == "ConditionalCheckFailedException" => {
                    overtaken.insert(device, presence);
                }
                Err(error) => {
                    updated.left.push(device);
                    updated.error = Some(error);
                }
            }
        }
        overtaken
    }

    async fn put(&self, write: &Write, deadline: Deadline) -> Result<(), Error> {
        let presence = from_attribute(Attribute::M(write.presence.to_attributes()));
        until("UpdateItem", deadline, async || {
            let update = self.items.client.update_item().table_name(&self.items.table);
            let update =
                update.set_key(Some(key(&write.device))).update_expression("SET presence = :presence");
            let update = update.expression_attribute_values(":presence", presence.clone());
            let update = match &write.stored {
                Some(stored) => update
                    .condition_expression("presence = :stored")
                    .expression_attribute_values(":stored", from_attribute(stored.clone())),
                // Without the first part the update would make an item that is nothing but this.
                None => {
                    update.condition_expression("attribute_exists(device) AND attribute_not_exists(presence)")
                }
            };
            Box::pin(update.send()).await.map(drop).map_err(|error| Error::from_sdk("UpdateItem", error))
        })
        .await
    }
}

/// By device that can have a client, its attribute `presence` as it is stored; a device without one has `None`.
type Stored = HashMap<DeviceId, Option<Attribute>>;

/// A presence, and the attribute in whose place it is to stand.
#[derive(Debug)]
struct Write {
    device: DeviceId,
    presence: Presence,
    stored: Option<Attribute>,
}

/// What is to be done about updates, as far as can be told by what is stored.
#[derive(Debug, Default)]
struct Plan {
    writes: Vec<Write>,
    outdated: Vec<DeviceId>,
    missing: Vec<DeviceId>,
}

impl Plan {
    fn new(updates: BTreeMap<DeviceId, Presence>, mut stored: Stored) -> Self {
        let mut plan = Self::default();
        for (device, presence) in updates {
            let Some(stored) = stored.remove(&device) else {
                plan.missing.push(device);
                continue;
            };
            // What cannot be read says nothing, and is replaced.
            let stands = stored.as_ref().and_then(|stored| Presence::from_attributes(stored.as_m()?));
            if stands.is_none_or(|stands| presence.supersedes(&stands)) {
                plan.writes.push(Write { device, presence, stored });
            } else {
                plan.outdated.push(device);
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use telemetry::Micros;

    use super::*;

    fn presence(version: i64) -> Presence {
        Presence {
            online: true,
            since: Micros(0),
            reason: None,
            session: version.to_string().into(),
            version,
        }
    }

    #[test]
    fn what_is_stored_decides() {
        let device = DeviceId::from_stored("s/d");
        let check = |stored: Option<Option<Attribute>>, expected: (usize, usize, usize)| {
            let stored = stored.map(|stored| (device.clone(), stored)).into_iter().collect();
            let plan = Plan::new(BTreeMap::from([(device.clone(), presence(5))]), stored);
            assert_eq!((plan.writes.len(), plan.outdated.len(), plan.missing.len()), expected);
        };
        let stored = |version| Some(Some(Attribute::M(presence(version).to_attributes())));
        check(None, (0, 0, 1));
        check(Some(None), (1, 0, 0));
        check(stored(4), (1, 0, 0));
        check(stored(5), (0, 1, 0));
        check(stored(6), (0, 1, 0));
        check(Some(Some(Attribute::Null(true))), (1, 0, 0));
    }
}
