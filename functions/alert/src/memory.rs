//! What this process remembers of devices of which nothing stands, so that their next readings are judged without
//! asking DynamoDB.
//!
//! Another process may have judged readings of such a device in the meantime. That is found out as soon as it matters:
//! what is to be written is judged again on what is stored and all readings of that time, and every minute what stands
//! is judged again by the readings table.

use std::collections::HashMap;

use alert::DeviceAlerts;
use telemetry::DeviceId;

/// Most devices that are remembered. Each takes some kilobytes, as its readings are kept for the lateness.
const MAX_DEVICES: usize = 20_000;

/// Calm devices.
#[derive(Debug, Default)]
pub struct Memory {
    devices: HashMap<DeviceId, DeviceAlerts>,
}

impl Memory {
    /// Whether a device is known to be calm.
    pub(crate) fn knows(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// Takes a device out, for it to be judged.
    pub(crate) fn take(&mut self, device: &DeviceId) -> Option<DeviceAlerts> {
        self.devices.remove(device)
    }

    /// Remembers a device, if it is calm.
    pub(crate) fn keep(&mut self, alerts: DeviceAlerts) {
        if !alerts.is_calm() || alerts.has_news() {
            return;
        }
        if self.devices.len() >= MAX_DEVICES {
            // A stream's shard brings the same devices again and again; who comes less often is read again.
            self.devices.clear();
        }
        self.devices.insert(alerts.device.clone(), alerts);
    }

    /// Forgets all: the rules have changed.
    pub(crate) fn clear(&mut self) {
        self.devices.clear();
    }
}
