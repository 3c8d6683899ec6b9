//! What is to be done with an event of the stream: pure, so that nearly everything is tested here.
//!
//! A record is a trigger and no more: what it says of a device may be older than what this function has sent since. So
//! the items are read as they stand, and decided on. Two things need an argument.
//!
//! **A device is passed over, unread, if each of its images says by itself that its shadow is right.** That loses no
//! change. Say that what the image's own `shadow` tells is no longer what was sent last. Then something was sent
//! since, and noted on the item: that note is a record of its own, behind this one, with all that the item
//! said by then, and is looked at. Or the function ended between sending and noting: see next.
//!
//! **What was sent and never noted** is not known to anybody, and may be wrong by now: a door that had opened is
//! closed again, as the note has it, and the shadow still says open. What was sent then was the item as it stood
//! while a batch was worked on, so its image is in that batch, which comes again, or behind it; and it says of
//! itself that something was to be sent. So whatever an image says that the shadow was not known to show, in the
//! image's eyes and still today, is in [doubt](Shown::doubt), provided that the image was due: before that nothing can have
//! been sent. Doubt is sent with the next update, whatever the device says by then. The price: a change that is taken
//! back within one batch looks the same, and costs an update.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cloud::config::ShadowConfig;
use cloud::stream::{Change, UnknownEvent, lower};
use serde_json::value::RawValue;
use telemetry::attribute::{Item, read_item};
use telemetry::{DeviceId, Micros};

use crate::state::{DeviceState, Shown};
use crate::update::{Deadband, Update};

/// Longest name of an AWS IoT thing (AWS IoT API Reference, `UpdateThingShadow`, `thingName`).
const MAX_THING_CHARS: usize = 128;

/// When a shadow is told, and what.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What counts as a change.
    pub deadband: Deadband,
    /// Least time between two updates of one shadow, in microseconds.
    pub min_interval: i64,
}

impl Rules {
    /// As configured.
    pub fn new(config: &ShadowConfig) -> Self {
        Self {
            deadband: Deadband { percent: config.deadband_percent },
            min_interval: i64::from(config.min_interval_seconds) * 1_000_000,
        }
    }

    /// When the next update may be sent. A last one in the future was noted by another clock, and counts as now.
    fn due(&self, shown: &Shown, now: Micros) -> Micros {
        shown.at.map_or(now, |at| at.min(now).plus(self.min_interval))
    }

    fn is_due(&self, shown: &Shown, now: Micros) -> bool {
        self.due(shown, now) <= now
    }
}

/// What an event brings of one device.
#[derive(Debug)]
pub struct Trigger<'a> {
    /// How many of the event's records are its.
    pub records: usize,
    /// The lowest position of these.
    pub position: &'a str,
    /// The images that say that the shadow has to be told something.
    images: Vec<DeviceState>,
}

/// What an event brings, by device.
#[derive(Debug, Default)]
pub struct Triggers<'a> {
    /// The devices that were written.
    pub devices: BTreeMap<DeviceId, Trigger<'a>>,
    /// Records of items that were removed.
    pub removals: usize,
}

impl<'a> Triggers<'a> {
    /// Sorts an event's changes by device.
    ///
    /// # Errors
    /// If they are none of the devices table.
    pub fn new(changes: &[Change<'a, &'a RawValue>], rules: &Rules) -> Result<Self, UnknownEvent> {
        let mut triggers = Self::default();
        for change in changes {
            let Some(image) = change.new_image else {
                triggers.removals += 1;
                continue;
            };
            let item = read_item(image.get());
            let state = item.as_ref().and_then(DeviceState::from_item).ok_or(UnknownEvent::Shape)?;
            let position = change.sequence_number;
            let trigger = Trigger { records: 0, position, images: Vec::new() };
            let trigger = triggers.devices.entry(state.device.clone()).or_insert(trigger);
            trigger.records += 1;
            trigger.position = lower(trigger.position, position);
            if !Update::new(&state, &state.shown, rules.deadband).is_empty() {
                trigger.images.push(state);
            }
        }
        Ok(triggers)
    }

    /// The devices that have to be looked at: something may have to be sent, and there may be a thing.
    pub fn to_read(&self) -> Vec<DeviceId> {
        let to_read = self
            .devices
            .iter()
            .filter(|(device, trigger)| !trigger.images.is_empty() && thing_name(device).is_some());
        to_read.map(|(device, _)| device.clone()).collect()
    }
}

/// What becomes of a device's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The shadow was told.
    Sent,
    /// It is right as it is.
    Suppressed,
    /// It is told later.
    Deferred,
    /// It cannot be told, now or later.
    Failed,
    /// It could not be told, and the stream brings the records again.
    HandedBack,
}

/// An update that is to be sent.
#[derive(Debug, PartialEq)]
pub struct Sending {
    /// The device.
    pub device: DeviceId,
    /// Its thing.
    pub thing: String,
    /// What the shadow is told.
    pub document: String,
    /// What it shows then, but for the time.
    pub shown: Shown,
    /// Metrics for which it has no room.
    pub left_out: usize,
}

/// An update that has to wait.
#[derive(Debug, PartialEq)]
pub struct Deferral {
    /// The device.
    pub device: DeviceId,
    /// When the update may be sent.
    pub due: Micros,
    /// What has to be noted until then, because no image will tell it again.
    pub doubted: Option<Shown>,
}

/// The plan for one event.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is decided already.
    pub fates: BTreeMap<DeviceId, Fate>,
    /// Devices that can have no thing.
    pub no_thing: usize,
    /// What is to be sent.
    pub sendings: Vec<Sending>,
    /// What has to wait.
    pub deferrals: Vec<Deferral>,
}

impl Plan {
    /// Decides by the items as they stand; those of `unread` are handed back.
    pub fn new(
        triggers: &Triggers<'_>,
        items: &HashMap<DeviceId, Item>,
        unread: &[DeviceId],
        now: Micros,
        rules: &Rules,
    ) -> Self {
        let unread: BTreeSet<&DeviceId> = unread.iter().collect();
        let mut plan = Self::default();
        for (device, trigger) in &triggers.devices {
            let fate = if trigger.images.is_empty() {
                Some(Fate::Suppressed)
            } else if thing_name(device).is_none() {
                plan.no_thing += 1;
                Some(Fate::Failed)
            } else if unread.contains(device) {
                Some(Fate::HandedBack)
            } else {
                let state = items.get(device).and_then(DeviceState::from_item);
                plan.decide(&trigger.images, state, now, rules)
            };
            plan.fates.extend(fate.map(|fate| (device.clone(), fate)));
        }
        plan
    }

    /// Notes what is to be done, or returns the fate if that is nothing.
    fn decide(
        &mut self,
        images: &[DeviceState],
        state: Option<DeviceState>,
        now: Micros,
        rules: &Rules,
    ) -> Option<Fate> {
        let Some(state) = state else { return Some(Fate::Suppressed) };
        let shown = doubted(images, &state.shown, now, rules);
        let update = Update::new(&state, &shown, rules.deadband);
        let Some(thing) = thing_name(&state.device).filter(|_| !update.is_empty()) else {
            return Some(Fate::Suppressed);
        };
        let device = state.device.clone();
        if rules.is_due(&shown, now) {
            let (document, left_out) = (update.document(), update.left_out);
            let thing = thing.to_owned();
            self.sendings.push(Sending { device, thing, document, shown: update.shown_then(), left_out });
        } else {
            let due = rules.due(&shown, now);
            let doubted = Some(shown).filter(|shown| *shown != state.shown);
            self.deferrals.push(Deferral { device, due, doubted });
        }
        None
    }
}

/// What the shadow shows, less what may have been sent and never noted.
fn doubted(images: &[DeviceState], shown: &Shown, now: Micros, rules: &Rules) -> Shown {
    let mut doubted = shown.clone();
    for image in images.iter().filter(|image| rules.is_due(&image.shown, now)) {
        let told = Update::new(image, shown, rules.deadband);
        for part in told.parts().filter(|part| image.shown.agrees_on(shown, *part)) {
            doubted.doubt(part);
        }
    }
    doubted
}

/// The name of a device's thing: what stands behind the site. `None` if no thing can have that name.
fn thing_name(device: &DeviceId) -> Option<&str> {
    let (_, name) = device.as_str().split_once('/')?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
    Some(name).filter(|name| (1..=MAX_THING_CHARS).contains(&name.len()) && name.chars().all(is_allowed))
}
