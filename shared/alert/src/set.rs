//! All rules together.

use std::sync::Arc;

use telemetry::DeviceId;

use crate::rule::Rule;

/// Rules, each name once, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleSet(Vec<Arc<Rule>>);

impl RuleSet {
    /// Of two rules of one name, the later stands.
    pub fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let by_name: std::collections::BTreeMap<Arc<str>, Arc<Rule>> =
            rules.into_iter().map(|rule| (rule.name.clone(), rule)).collect();
        Self(by_name.into_values().collect())
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rule of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Rule>> {
        self.0.binary_search_by(|rule| (*rule.name).cmp(name)).ok().map(|place| &self.0[place])
    }

    /// The rules that are about a device.
    pub fn of(&self, device: &DeviceId) -> Vec<Arc<Rule>> {
        self.0.iter().filter(|rule| rule.matches(device)).cloned().collect()
    }
}
