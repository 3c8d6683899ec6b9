//! All profiles, and which of them a message is read by.

use std::sync::Arc;

use super::Profile;
use crate::reading::DeviceId;

/// The profiles that there are. Of several that fit a message, the one whose patterns say most counts; of those, the
/// first by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profiles(Vec<Arc<Profile>>);

impl FromIterator<Arc<Profile>> for Profiles {
    fn from_iter<I: IntoIterator<Item = Arc<Profile>>>(profiles: I) -> Self {
        let mut profiles: Vec<_> = profiles.into_iter().collect();
        profiles.sort_by(|a, b| a.name.cmp(&b.name));
        Self(profiles)
    }
}

impl Profiles {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The profile called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.iter().find(|profile| &*profile.name == name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.0.iter()
    }

    /// The place of the profile that a message on `topic` of `device` is read by. `device` is `None` where the topic
    /// names none.
    pub(crate) fn find(&self, topic: &str, device: Option<&str>) -> Option<usize> {
        let fit = |(place, profile): (usize, &Arc<Profile>)| {
            profile.fit(topic, device).map(|weight| (weight, std::cmp::Reverse(place)))
        };
        self.0.iter().enumerate().filter_map(fit).max().map(|(_, place)| place.0)
    }

    pub(crate) fn at(&self, place: usize) -> Option<&Arc<Profile>> {
        self.0.get(place)
    }

    /// The profile that a device is of by its patterns alone.
    pub fn of_device(&self, device: &DeviceId) -> Option<&Arc<Profile>> {
        self.0.iter().find(|profile| profile.names(device))
    }
}

impl Profile {
    /// How much its patterns say of a message, in characters; `None` if they do not fit.
    fn fit(&self, topic: &str, device: Option<&str>) -> Option<usize> {
        let by_topic =
            self.topics.iter().filter(|filter| filter.matches(topic)).map(|filter| filter.weight()).max();
        let by_device = device.and_then(|device| {
            self.devices
                .iter()
                .filter(|pattern| pattern.matches(device))
                .map(|pattern| pattern.weight())
                .max()
        });
        let topic_weight = if self.topics.is_empty() { Some(0) } else { by_topic }?;
        let device_weight = if self.devices.is_empty() { Some(0) } else { by_device }?;
        Some(topic_weight + device_weight)
    }
}
