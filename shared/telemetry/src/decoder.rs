//! A message's bytes become readings.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::clock::{Clock, TimePolicy};
use crate::compression::Expander;
use crate::envelope::Envelope;
use crate::format::{Context, Format};
use crate::identity::Identity;
use crate::interner::Interner;
use crate::limits::{MAX_PAYLOAD_BYTES, MAX_TOPIC_LEVEL_BYTES};
use crate::names::Names;
use crate::normalise::{Message, normalise};
use crate::profile::Profiles;
use crate::reading::{DeviceId, Reading};
use crate::reject::Reject;
use crate::sample::Payload;
use crate::sparkplug::{Nodes, Sender, SparkplugPolicy};
use crate::time::Micros;
use crate::topic::{IdentityRules, JOINT, Publisher, check_broker_name, without_basic_ingest};
use crate::unit::Units;

/// How many topics are remembered; then all are forgotten and learnt anew.
const MAX_TOPICS: usize = 16 * 1024;
/// How many beginnings of names are remembered that topics give, and how many names under all of them together.
const MAX_STEMS: usize = 1024;
const MAX_NAMES: usize = 64 * 1024;

/// What follows from a topic alone: worked out when a message first comes on it.
#[derive(Debug)]
struct Route {
    site: Box<str>,
    /// The device, where the topic names one.
    device: Option<DeviceId>,
    /// The place of the profile that its messages are read by.
    profile: Option<usize>,
    /// The format that its stream names, or its last level where the payload names the device.
    format: Option<Format>,
    /// The place of the names that are known of its messages.
    names: usize,
    /// Who speaks, where the topic is one of Sparkplug.
    sparkplug: Option<Sender>,
}

/// How messages are read, beside what profiles say.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How the device of a message is found.
    pub identity: IdentityRules,
    /// What is accepted of devices' clocks.
    pub time: TimePolicy,
    /// What is asked of Sparkplug's edge nodes.
    pub sparkplug: SparkplugPolicy,
}

/// How a message was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The name of the profile, where one fits.
    pub profile: Option<Arc<str>>,
    /// How its payload was written; `None`: it was not read, as messages on its topic are ignored.
    pub format: Option<Format>,
    /// Who published it.
    publisher: Publisher,
}

impl Decoded {
    /// How it is known that one of its readings is of `device`.
    pub fn identity(&self, device: &DeviceId) -> Identity {
        Identity::of(device, self.format, self.publisher)
    }
}

/// Turns messages into readings. Keeps its buffers and what it has worked out of names, units and topics from one
/// message to the next; what it returns does not depend on them.
#[derive(Debug, Default)]
pub struct Decoder {
    settings: Settings,
    profiles: Arc<Profiles>,
    /// By topic; `None`: its messages are ignored.
    routes: HashMap<Box<str>, Option<Rc<Route>>, RandomState>,
    /// The names met under each profile, or none, and each beginning of names that topics give.
    names: Vec<Names>,
    /// Where these are.
    names_of: HashMap<(Option<usize>, Box<str>), usize, RandomState>,
    /// How many names these are, about.
    known_names: usize,
    units: Units,
    devices: Interner,
    nodes: Nodes,
    payload: Payload,
    bytes: Vec<u8>,
    expander: Expander,
    expanded: Vec<u8>,
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
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.routes.clear();
        self.names.clear();
        self.names_of.clear();
        self.known_names = 0;
    }

    /// What is known of Sparkplug's edge nodes. Their messages are to be decoded in the order in which they were sent, as
    /// far as that is known, and what is known of a node is to be put here before; without it none is known.
    pub fn nodes(&mut self) -> &mut Nodes {
        &mut self.nodes
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
        self.payload.path.clear();
        let decoded = self.append(envelope, readings);
        if decoded.is_err() {
            readings.truncate(before);
        }
        decoded
    }

    /// The member of the payload that the last message was refused for, as far as it is known: where decoding stopped. It
    /// is the device's own word, and belongs into no log.
    pub fn refused_member(&self) -> Option<&str> {
        Some(&*self.payload.path).filter(|path| !path.is_empty())
    }

    /// The device whose message one on `topic` is, where the topic alone says it.
    pub fn sender(&mut self, topic: &str) -> Option<DeviceId> {
        self.route(topic).ok()??.device.clone()
    }

    fn append(&mut self, envelope: &Envelope<'_>, readings: &mut Vec<Reading>) -> Result<Decoded, Reject> {
        if self.known_names > MAX_NAMES {
            self.forget();
        }
        let Some(route) = self.route(&envelope.topic)? else {
            return Ok(Decoded { profile: None, format: None, publisher: Publisher::default() });
        };
        let publisher = match &route.device {
            Some(device) => {
                let speaker = route.sparkplug.as_ref().map_or_else(|| device.name(), Sender::node);
                self.settings.identity.check_client(envelope.client.as_deref(), speaker)?
            }
            None => Publisher::default(),
        };
        self.bytes.clear();
        envelope.decode_payload(&mut self.bytes)?;
        if self.bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(Reject::TooLarge(self.bytes.len()));
        }
        let stored = route.profile.and_then(|place| self.profiles.at(place));
        let profile = stored.map(|(profile, _)| &**profile);
        let revision = stored.map_or(Micros::default(), |(_, revision)| *revision);
        let is_sparkplug = route.sparkplug.is_some();
        let named = is_sparkplug
            .then_some(Format::Sparkplug)
            .or_else(|| profile?.format)
            .or_else(|| Format::of_content_type(envelope.content_type.as_deref()?))
            .or(route.format);
        let may_be_compressed = named.is_none_or(Format::may_be_compressed);
        let is_expanded = may_be_compressed && self.expander.expand(&self.bytes, &mut self.expanded)?;
        let bytes = if is_expanded { &self.expanded } else { &self.bytes };
        let format = named.unwrap_or_else(|| Format::of_bytes(bytes));
        let clock = Clock {
            received: envelope.received,
            delivery: envelope.delivery(),
            policy: &self.settings.time,
            field: profile.map(|profile| &profile.time),
        };
        let known_before = self.names[route.names].known();
        let mut context = Context { names: &mut self.names[route.names], profile, clock: &clock };
        let outcome = match &route.sparkplug {
            Some(sender) => {
                let policy = &self.settings.sparkplug;
                self.nodes.read(sender, bytes, policy, &mut context, &mut self.payload)
            }
            None => format.decode(bytes, &mut context, &mut self.payload),
        };
        self.known_names += self.names[route.names].known().saturating_sub(known_before);
        outcome?;
        // What is refused from here on is refused for no name that was being read.
        self.payload.path.clear();

        let (devices, id) = (&mut self.devices, &mut self.device);
        let mut intern = |levels: &[&str]| {
            id.clear();
            id.extend(levels.iter().copied());
            DeviceId::from_stored(devices.intern(id))
        };
        let device = match (&route.device, self.payload.device_id.as_deref()) {
            (Some(device), _) => device.clone(),
            (None, Some(device)) => intern(&[&route.site, "/", check_broker_name(device, "device_id")?]),
            (None, None) => return Err(Reject::NoDeviceId),
        };
        if profile.is_some_and(|profile| profile.gateway.is_some()) {
            check_names_behind(device.name(), &self.payload)?;
        }
        let device_of = |name: &str| match is_sparkplug {
            // It has been joined to that of its node.
            true => intern(&[&route.site, "/", name]),
            false => intern(&[device.as_str(), JOINT, name]),
        };
        let message = Message { clock: &clock, profile, revision, distances: &self.payload.distances };
        let normalised =
            normalise(&mut self.payload.samples, &message, &mut self.units, &device, device_of, readings);
        normalised.map_err(|(reject, member)| {
            self.payload.path.push_str(&member);
            reject
        })?;
        let profile = profile.map(|profile| Arc::clone(&profile.name));
        Ok(Decoded { profile, format: Some(format), publisher })
    }

    /// What follows from `topic`; `None`: its messages are ignored.
    fn route(&mut self, topic: &str) -> Result<Option<Rc<Route>>, Reject> {
        if let Some(known) = self.routes.get(topic) {
            return Ok(known.clone());
        }
        let address = self.settings.identity.address(topic)?;
        if self.routes.len() >= MAX_TOPICS || self.names_of.len() >= MAX_STEMS {
            self.forget();
        }
        let route = address.map(|address| {
            let device = address.device_id();
            let profile = self.profiles.find(topic, device.as_deref());
            let named = profile.and_then(|place| self.profiles.at(place)?.0.topic_name.as_ref());
            let named = named.and_then(|name| name.fill(without_basic_ingest(topic)));
            let names = self.names_under(profile, named.as_deref().unwrap_or(&address.stem));
            Rc::new(Route {
                profile,
                names,
                format: address.stream.and_then(Format::of_topic_level),
                device: device.map(DeviceId::from_stored),
                sparkplug: address.sparkplug.as_ref().map(Sender::new),
                site: address.site.into(),
            })
        });
        self.routes.insert(topic.into(), route.clone());
        Ok(route)
    }

    /// The place of the names under a profile, of topics that give names this beginning.
    fn names_under(&mut self, profile: Option<usize>, stem: &str) -> usize {
        let next = self.names.len();
        let place = *self.names_of.entry((profile, stem.into())).or_insert(next);
        if place == next {
            self.names.push(Names::under(stem));
        }
        place
    }
}

/// A name behind a gateway is as long as that of any device, the gateway's in it.
fn check_names_behind(gateway: &str, payload: &Payload) -> Result<(), Reject> {
    let longest =
        payload.samples.iter().filter_map(|sample| sample.device.as_ref()).map(|name| name.len()).max();
    let is_too_long = longest.is_some_and(|name| gateway.len() + JOINT.len() + name > MAX_TOPIC_LEVEL_BYTES);
    if is_too_long { Err(Reject::Name("name of a gateway's device")) } else { Ok(()) }
}
