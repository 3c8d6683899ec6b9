//! What this process remembers of devices of which nothing stands, so that their next readings are judged without
//! asking DynamoDB.
//!
//! Another process may have judged readings of such a device in the meantime. That is found out as soon as it matters:
//! what is to be written is judged again on what is stored and all readings of that time, and every minute what stands
//! is judged again by the readings table.

use std::collections::HashMap;

use alert::DeviceAlerts;
use telemetry::DeviceId;

/// Most devices that are remembered.
const MAX_DEVICES: usize = 20_000;
/// Most samples that are remembered of them all; each takes some 100 bytes, and the text if it is one.
const MAX_SAMPLES: usize = 1_000_000;

/// Calm devices.
#[derive(Debug, Default)]
pub struct Memory {
    devices: HashMap<DeviceId, DeviceAlerts>,
    samples: usize,
}

impl Memory {
    /// Whether a device is known to be calm.
    pub(crate) fn knows(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// Takes a device out, for it to be judged.
    pub(crate) fn take(&mut self, device: &DeviceId) -> Option<DeviceAlerts> {
        let alerts = self.devices.remove(device)?;
        self.samples -= alerts.weight();
        Some(alerts)
    }

    /// Remembers a device, if it is calm. Where there is no room, every second one is forgotten: who comes again is
    /// read again.
    pub(crate) fn keep(&mut self, alerts: DeviceAlerts) {
        if !alerts.is_calm() || alerts.has_news() {
            return;
        }
        self.take(&alerts.device);
        if self.devices.len() >= MAX_DEVICES || self.samples >= MAX_SAMPLES {
            let mut is_kept = false;
            self.devices.retain(|_, _| {
                is_kept = !is_kept;
                is_kept
            });
            self.samples = self.devices.values().map(DeviceAlerts::weight).sum();
        }
        self.samples += alerts.weight();
        self.devices.insert(alerts.device.clone(), alerts);
    }

    /// Forgets all: the rules have changed.
    pub(crate) fn clear(&mut self) {
        self.samples = 0;
        self.devices.clear();
    }
}
