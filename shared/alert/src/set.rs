//! All rules together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use telemetry::{DeviceId, Length};

use crate::rule::Rule;

/// Rules, each name once, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    /// Names of rules that there are, and that nobody can read.
    unreadable: BTreeSet<Arc<str>>,
}

impl RuleSet {
    /// Of two rules of one name, the later stands.
    pub fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let by_name: BTreeMap<Arc<str>, Arc<Rule>> =
            rules.into_iter().map(|rule| (rule.name.clone(), rule)).collect();
        Self { rules: by_name.into_values().collect(), unreadable: BTreeSet::new() }
    }

    /// The same rules, and names of others that cannot be read: what those have raised goes on to stand.
    #[must_use]
    pub fn with_unreadable(mut self, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.unreadable.extend(names);
        self
    }

    /// Whether there is a rule of this name that cannot be read.
    pub fn is_unreadable(&self, name: &str) -> bool {
        self.unreadable.contains(name)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.binary_search_by(|rule| (*rule.name).cmp(name)).ok().map(|place| &self.rules[place])
    }

    /// Whether a device's profile has a say in any of them.
    pub fn needs_profiles(&self) -> bool {
        self.rules.iter().any(|rule| rule.needs_profile())
    }

    /// The rules that are about a device whose messages are read by the profile of this name, and which sends in this
    /// interval. What intervals are counted in is time then.
    #[must_use]
    pub fn for_device(&self, device: &DeviceId, profile: Option<&str>, interval: Option<Length>) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.is_about(device, profile));
        let rules = rules.map(|rule| rule.for_interval(interval)).collect();
        Self { rules, unreadable: self.unreadable.clone() }
    }

    /// The rules that are about a device.
    pub fn of(&self, device: &DeviceId) -> Vec<Arc<Rule>> {
        self.rules.iter().filter(|rule| rule.matches(device)).cloned().collect()
    }
}
