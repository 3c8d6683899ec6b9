//! The latest value of each metric: what the devices table holds.

use std::collections::BTreeMap;

use crate::reading::{DeviceId, Metric, Reading};
use crate::span::Span;
use crate::time::Micros;

/// What a batch says of one device's present state.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// The device.
    pub device: DeviceId,
    /// The newest reading of each metric, by its own time; of one time, the one received later.
    pub metrics: BTreeMap<Metric, Reading>,
    /// When the broker received the first message of the batch from this device.
    pub first_seen: Micros,
    /// When it received the last.
    pub last_seen: Micros,
}

impl Latest {
    /// Time of the oldest of the newest readings: every metric here is newer than whatever is
    /// stored if this is newer than all of it.
    pub fn oldest(&self) -> Micros {
        self.metrics.values().map(|reading| reading.at).min().unwrap_or_default()
    }

    /// Time of the newest reading.
    pub fn newest(&self) -> Micros {
        self.metrics.values().map(|reading| reading.at).max().unwrap_or_default()
    }
}

/// The latest values in spans as [`pack`](crate::pack) returns them: one entry per device, in order.
pub fn latest(spans: &[Span]) -> Vec<Latest> {
    spans.chunk_by(|a, b| a.device() == b.device()).map(latest_of_device).collect()
}

fn latest_of_device(spans: &[Span]) -> Latest {
    let mut metrics = BTreeMap::new();
    let mut seen = spans[0].received();
    for span in spans {
        // Spans of one device are ordered by time, so a later span's reading is the newer one.
        metrics.extend(span.latest().map(|reading| (reading.metric.clone(), reading)));
        let (first, last) = span.received();
        seen = (seen.0.min(first), seen.1.max(last));
    }
    Latest { device: spans[0].device().clone(), metrics, first_seen: seen.0, last_seen: seen.1 }
}
