//! All profiles, and which of them a message is read by.

use std::sync::Arc;

use super::Profile;
use crate::reading::DeviceId;
use crate::time::Micros;
use crate::topic::IdentityRules;

/// The profiles that there are, and the revision of each: when it was put, 0 for one that is not stored. Of several that
/// fit a message, the one whose patterns say most counts; of those, the first by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profiles(Vec<(Arc<Profile>, Micros)>);

impl FromIterator<Arc<Profile>> for Profiles {
    fn from_iter<I: IntoIterator<Item = Arc<Profile>>>(profiles: I) -> Self {
        profiles.into_iter().map(|profile| (profile, Micros::default())).collect()
    }
}

impl FromIterator<(Arc<Profile>, Micros)> for Profiles {
    fn from_iter<I: IntoIterator<Item = (Arc<Profile>, Micros)>>(profiles: I) -> Self {
        let mut profiles: Vec<_> = profiles.into_iter().collect();
        profiles.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
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
        self.stored(name).map(|(profile, _)| profile)
    }

    /// The profile called `name`, and its revision.
    pub fn stored(&self, name: &str) -> Option<&(Arc<Profile>, Micros)> {
        self.0.iter().find(|(profile, _)| &*profile.name == name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Profile>> {
        self.0.iter().map(|(profile, _)| profile)
    }

    /// The place of the profile that a message on `topic` of `device` is read by. `device` is `None` where the topic
    /// names none.
    pub(crate) fn find(&self, topic: &str, device: Option<&str>) -> Option<usize> {
        let fit = |(place, profile): (usize, &Arc<Profile>)| {
            profile.fit(topic, device).map(|weight| (weight, std::cmp::Reverse(place)))
        };
        self.iter().enumerate().filter_map(fit).max().map(|(_, place)| place.0)
    }

    /// The profile that a message on `topic` is read by, whose device is found by `rules`.
    pub fn of_message(&self, topic: &str, rules: &IdentityRules) -> Option<&Arc<Profile>> {
        let address = rules.address(topic).ok()??;
        self.find(topic, address.device_id().as_deref())
            .and_then(|place| self.at(place))
            .map(|(profile, _)| profile)
    }

    pub(crate) fn at(&self, place: usize) -> Option<&(Arc<Profile>, Micros)> {
        self.0.get(place)
    }

    /// The profile that a device is of by its id alone, whatever the topic; of several as for a message.
    pub fn of_device(&self, device: &DeviceId) -> Option<&Arc<Profile>> {
        let weight = |profile: &&Arc<Profile>| profile.device_weight(device.as_str());
        let fitting = self.iter().filter(|profile| weight(profile).is_some());
        // The last of equals is the greatest, and the first by name is wanted.
        fitting.rev().max_by_key(weight)
    }
}

impl Profile {
    /// How much its patterns say of a message, in characters; `None` if they do not fit.
    fn fit(&self, topic: &str, device: Option<&str>) -> Option<usize> {
        let by_topic =
            self.topics.iter().filter(|filter| filter.matches(topic)).map(|filter| filter.weight()).max();
        let by_device = device.and_then(|device| self.device_weight(device));
        let topic_weight = if self.topics.is_empty() { Some(0) } else { by_topic }?;
        let device_weight = if self.devices.is_empty() { Some(0) } else { by_device }?;
        Some(topic_weight + device_weight)
    }

    /// How much its patterns of devices say of this one; `None` if none fits.
    fn device_weight(&self, device: &str) -> Option<usize> {
        let fitting = self.devices.iter().filter(|pattern| pattern.matches(device));
        fitting.map(|pattern| pattern.weight()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles(patterns: &[(&str, &str)]) -> Profiles {
        let profile = |(name, patterns): &(&str, &str)| {
            Arc::new(Profile::from_toml(&format!("name = \"{name}\"\n{patterns}")).unwrap())
        };
        patterns.iter().map(profile).collect()
    }

    #[test]
    fn whose_patterns_say_most_reads_a_message() {
        let known = profiles(&[
            ("all", r#"devices = "*/*""#),
            ("b-pumps", r#"devices = "*/pump-*""#),
            ("a-pumps", r#"devices = "*/pump-*""#),
            ("pump-7", r#"devices = ["plant-9/*", "plant-1/pump-7"]"#),
            ("sensor", r#"topics = "dt/+/+/SENSOR""#),
            ("narrow", "topics = [\"dt/+/+/SENSOR\", \"dt/+/+/a-long-last-level\"]\ndevices = \"*/tele-*\""),
        ]);
        let check = |topic: &str, expected: &str| {
            let device = topic.split('/').skip(1).take(2).collect::<Vec<_>>().join("/");
            let found = known.find(topic, Some(&device)).and_then(|place| known.at(place));
            assert_eq!(found.map(|(profile, _)| &*profile.name), Some(expected), "{topic}");
        };
        check("dt/plant-1/fan-1/state", "all");
        check("dt/plant-1/pump-8/state", "a-pumps");
        check("dt/plant-1/pump-7/state", "pump-7");
        check("dt/plant-9/pump-7/state", "pump-7");
        check("dt/plant-1/fan-1/SENSOR", "sensor");
        check("dt/plant-1/tele-1/SENSOR", "narrow");
        check("dt/plant-1/tele-1/state", "all");
        assert_eq!(known.find("plant-1/anything", None), None);
        let by_topic = profiles(&[("p", r#"topics = "plant-1/+""#)]);
        assert_eq!(by_topic.find("plant-1/anything", None), Some(0));
    }

    #[test]
    fn a_device_alone_has_the_profile_that_says_most_of_it() {
        let known = profiles(&[
            ("a", r#"devices = "*/*""#),
            ("b", r#"devices = "*/pump-*""#),
            ("c", r#"devices = "*/pump-*""#),
            ("d", r#"topics = "dt/#""#),
        ]);
        let check = |device: &str, expected: &str| {
            let found = known.of_device(&DeviceId::from_stored(device));
            assert_eq!(found.map(|profile| &*profile.name), Some(expected), "{device}");
        };
        check("plant-1/pump-7", "b");
        check("plant-1/fan-7", "a");
        assert!(profiles(&[("d", r#"topics = "dt/#""#)]).of_device(&DeviceId::from_stored("s/d")).is_none());
    }
}
