//! The rules as they are for each device: where they ask for its profile, or for what that says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alert::RuleSet;
use cloud::Error as CloudError;
use cloud::device_profiles::DeviceProfiles;
use cloud::profiles::ProfileSource;
use cloud::retry::Deadline;
use telemetry::{DeviceId, Profiles};
use tokio::time::Instant;

/// Devices whose profile is remembered; then all are forgotten.
const MAX_KNOWN: usize = 16 * 1024;

/// Finds out which profile devices are of. Costs nothing where no rule asks for it.
#[derive(Debug)]
pub struct Kinds {
    devices: DeviceProfiles,
    profiles: ProfileSource,
    fresh: Duration,
    /// The profiles of devices that have one: a device that has none yet may get one with its next message.
    known: RefCell<HashMap<DeviceId, (Arc<str>, Instant)>>,
}

/// The rules of each device.
#[derive(Debug)]
pub(crate) struct RulesOf {
    all: Arc<RuleSet>,
    by_device: HashMap<DeviceId, RuleSet>,
}

impl RulesOf {
    /// The rules to judge a device by, if it is one of those that were asked for.
    pub(crate) fn get(&self, device: &DeviceId) -> &RuleSet {
        self.by_device.get(device).unwrap_or(&self.all)
    }
}

impl Kinds {
    /// With names of profiles that are taken as they were read for as long as `fresh`.
    pub fn new(devices: DeviceProfiles, profiles: ProfileSource, fresh: Duration) -> Self {
        Self { devices, profiles, fresh, known: RefCell::default() }
    }

    /// The rules of each of these devices.
    ///
    /// # Errors
    /// If it has to be known which profiles they are of, and cannot be read.
    pub(crate) async fn rules_of<'a>(
        &self,
        rules: &Arc<RuleSet>,
        devices: impl IntoIterator<Item = &'a DeviceId>,
        deadline: Deadline,
    ) -> Result<RulesOf, CloudError> {
        let mut rules_of = RulesOf { all: Arc::clone(rules), by_device: HashMap::new() };
        if !rules.needs_profiles() {
            return Ok(rules_of);
        }
        let devices: Vec<DeviceId> = devices.into_iter().cloned().collect();
        let profiles = self.profiles.current(deadline).await?.profiles;
        self.look_up(&devices, deadline).await?;
        let known = self.known.borrow();
        for device in devices {
            let named = known.get(&device).map(|(name, _)| name);
            let own = of_device(rules, &device, named, &profiles);
            rules_of.by_device.insert(device, own);
        }
        Ok(rules_of)
    }

    /// Reads the profiles of devices of which it is not known.
    async fn look_up(&self, devices: &[DeviceId], deadline: Deadline) -> Result<(), CloudError> {
        let is_known = |device: &DeviceId| {
            self.known.borrow().get(device).is_some_and(|(_, read)| read.elapsed() < self.fresh)
        };
        let unknown: Vec<DeviceId> = devices.iter().filter(|device| !is_known(device)).cloned().collect();
        let names = self.devices.get(&unknown, deadline).await?;
        let mut known = self.known.borrow_mut();
        if known.len() + unknown.len() > MAX_KNOWN {
            known.retain(|device, _| devices.contains(device));
        }
        for device in unknown {
            match names.get(&device) {
                Some(name) => drop(known.insert(device, (Arc::clone(name), Instant::now()))),
                None => drop(known.remove(&device)),
            }
        }
        Ok(())
    }
}

/// The rules of a device, by the profile that its messages are read by, else by the one that its id fits.
fn of_device(rules: &RuleSet, device: &DeviceId, named: Option<&Arc<str>>, profiles: &Profiles) -> RuleSet {
    let profile = named.and_then(|name| profiles.get(name)).or_else(|| profiles.of_device(device));
    let name = named.map(|name| &**name).or(profile.map(|profile| &*profile.name));
    rules.for_device(device, name, profile.and_then(|profile| profile.interval))
}
