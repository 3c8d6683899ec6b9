//! A message's bytes become readings.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::clock::{Clock, TimePolicy};
use crate::envelope::Envelope;
use crate::format::{Context, Format};
use crate::interner::Interner;
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::names::Names;
use crate::normalise::{Message, normalise};
use crate::profile::{Profile, Profiles};
use crate::reading::{DeviceId, Reading};
use crate::reject::Reject;
use crate::sample::Payload;
use crate::topic::{IdentityRules, check_name};
use crate::unit::Units;

/// For how many topics the profile is remembered; then all are forgotten and found anew.
const MAX_TOPICS: usize = 16 * 1024;

/// How messages are read, beside what profiles say.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How the device of a message is found.
    pub identity: IdentityRules,
    /// What is accepted of devices' clocks.
    pub time: TimePolicy,
}

/// How a message was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The name of the profile, where one fits.
    pub profile: Option<Arc<str>>,
    /// How its payload was written.
    pub format: Format,
}

/// Turns messages into readings. Keeps its buffers and what it has worked out of names, units and topics from one
/// message to the next; what it returns does not depend on them.
#[derive(Debug, Default)]
pub struct Decoder {
    settings: Settings,
    profiles: Arc<Profiles>,
    profile_of_topic: HashMap<String, Option<usize>, RandomState>,
    /// The names met without a profile, and then those under each profile.
    names: Vec<Names>,
    units: Units,
    devices: Interner,
    payload: Payload,
    bytes: Vec<u8>,
    device: String,
}

impl Decoder {
    /// A decoder that reads messages by `settings` and `profiles`.
    pub fn new(settings: Settings, profiles: Arc<Profiles>) -> Self {
        Self { settings, profiles, ..Self::default() }
    }

    /// Reads messages by other profiles from now on.
    pub fn set_profiles(&mut self, profiles: Arc<Profiles>) {
        if !Arc::ptr_eq(&self.profiles, &profiles) {
            self.profiles = profiles;
            self.profile_of_topic.clear();
            self.names.clear();
        }
    }

    /// Appends the readings of one message to `readings`: all of them or, if the message is
    /// rejected, none.
    ///
    /// # Errors
    /// Why no reading could be made. A message with one unusable sample is refused whole: what is
    /// stored is complete, and what is not can be replayed.
    pub fn decode(
        &mut self,
        envelope: &Envelope<'_>,
        readings: &mut Vec<Reading>,
    ) -> Result<Decoded, Reject> {
        let before = readings.len();
        let decoded = self.append(envelope, readings);
        if decoded.is_err() {
            readings.truncate(before);
        }
        decoded
    }

    fn append(&mut self, envelope: &Envelope<'_>, readings: &mut Vec<Reading>) -> Result<Decoded, Reject> {
        let address = self.settings.identity.address(&envelope.topic, envelope.client.as_deref())?;
        self.device.clear();
        self.device.extend([address.site, "/", address.device.unwrap_or_default()]);
        let place = self.place_of_profile(&envelope.topic, address.device.is_some());
        let profile = place.and_then(|place| self.profiles.at(place)).map(|profile| &**profile);

        self.bytes.clear();
        envelope.decode_payload(&mut self.bytes)?;
        if self.bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(Reject::TooLarge(self.bytes.len()));
        }
        let format = Format::choose(profile, envelope, &self.bytes);
        let clock = Clock {
            received: envelope.received,
            trace: envelope.trace.as_deref(),
            policy: &self.settings.time,
            field: profile.map(|profile| &profile.time),
        };
        let names_at = place.map_or(0, |place| place + 1);
        if self.names.len() <= names_at {
            self.names.resize_with(names_at + 1, Names::default);
        }
        let mut context = Context { names: &mut self.names[names_at], profile, clock: &clock };
        format.decode(&self.bytes, &mut context, &mut self.payload)?;

        let device = match (address.device, self.payload.device_id.as_deref()) {
            (Some(device), _) => device,
            (None, Some(device)) => check_name(device, "device_id")?,
            (None, None) => return Err(Reject::NoDeviceId),
        };
        let (devices, id) = (&mut self.devices, &mut self.device);
        let mut device_of = |name: &str| {
            id.truncate(address.site.len() + 1);
            id.push_str(name);
            DeviceId::from_stored(devices.intern(id))
        };
        let device = device_of(device);
        let message = Message { clock: &clock, profile };
        normalise(&mut self.payload.samples, &message, &mut self.units, &device, device_of, readings)?;
        Ok(Decoded { profile: profile.map(|profile| Arc::clone(&profile.name)), format })
    }

    /// The place of the profile that a message on `topic` is read by.
    fn place_of_profile(&mut self, topic: &str, has_device: bool) -> Option<usize> {
        if self.profiles.is_empty() {
            return None;
        }
        if let Some(known) = self.profile_of_topic.get(topic) {
            return *known;
        }
        if self.profile_of_topic.len() == MAX_TOPICS {
            self.profile_of_topic.clear();
        }
        let place = self.profiles.find(topic, has_device.then_some(&self.device));
        self.profile_of_topic.insert(topic.to_owned(), place);
        place
    }
}

impl Format {
    /// How a payload is written: as the profile says, else its content type, the topic's last level, its bytes.
    fn choose(profile: Option<&Profile>, envelope: &Envelope<'_>, bytes: &[u8]) -> Self {
        profile
            .and_then(|profile| profile.format)
            .or_else(|| Self::of_content_type(envelope.content_type.as_deref()?))
            .or_else(|| Self::of_topic_level(envelope.topic.rsplit('/').next()?))
            .unwrap_or_else(|| Self::of_bytes(bytes))
    }
}
