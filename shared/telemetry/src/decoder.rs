//! A message's bytes become readings.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::interner::Interner;
use crate::json::{self, Payload};
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::reading::{DeviceId, Quality, Reading, TimeSource};
use crate::reject::Reject;
use crate::time::Micros;
use crate::topic::{IdentityRules, check_name};

/// Turns messages into readings. Keeps its buffers and the names it has seen from one message to
/// the next; what it returns does not depend on them.
#[derive(Debug, Default)]
pub struct Decoder {
    rules: IdentityRules,
    metrics: Interner,
    devices: Interner,
    payload: Payload,
    bytes: Vec<u8>,
    device: String,
}

impl Decoder {
    /// A decoder that finds devices by `rules`.
    pub fn new(rules: IdentityRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Appends the readings of one message to `readings`: all of them or, if the message is
    /// rejected, none.
    ///
    /// # Errors
    /// Why no reading could be made. A message with one unusable sample is refused whole: what is
    /// stored is complete, and what is not can be replayed.
    pub fn decode(&mut self, envelope: &Envelope<'_>, readings: &mut Vec<Reading>) -> Result<(), Reject> {
        let address = self.rules.address(&envelope.topic, envelope.client.as_deref())?;
        self.bytes.clear();
        envelope.decode_payload(&mut self.bytes)?;
        if self.bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(Reject::TooLarge(self.bytes.len()));
        }
        json::decode(&self.bytes, &mut self.metrics, &mut self.payload)?;
        let device = match (address.device, self.payload.device_id.as_deref()) {
            (Some(device), _) => device,
            (None, Some(device)) => check_name(device, "device_id")?,
            (None, None) => return Err(Reject::NoDeviceId),
        };
        self.device.clear();
        self.device.extend([address.site, "/", device]);
        let device = DeviceId::from_stored(self.devices.intern(&self.device));
        let arrival = arrival_time(envelope);
        readings.extend(self.payload.samples.drain(..).map(|sample| Reading {
            device: device.clone(),
            metric: sample.metric,
            at: sample.at.unwrap_or_else(|| arrival.plus(sample.record.into())),
            received: envelope.received,
            value: sample.value,
            unit: None::<Arc<str>>,
            quality: Quality::Good,
            time_source: if sample.at.is_some() { TimeSource::Device } else { TimeSource::Arrival },
        }));
        Ok(())
    }
}

/// The time of readings that have none: the broker's millisecond, with the microseconds taken from
/// the trace id, so that two messages of one millisecond remain two readings; each further record
/// of a message is a microsecond later. The same delivery always gets the same time.
fn arrival_time(envelope: &Envelope<'_>) -> Micros {
    let micros = envelope.trace.as_deref().map_or(0, |trace| fnv1a(trace.as_bytes()) % 1_000);
    #[expect(clippy::cast_possible_wrap, reason = "below 1,000")]
    envelope.received.plus(micros as i64)
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; parameters of draft-eastlake-fnv).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
