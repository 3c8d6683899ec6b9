//! What a rule sees of a reading.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{Micros, Value};

use crate::stored;

/// A reading as one rule sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was measured.
    #[serde(rename = "t", with = "stored::micros")]
    pub at: Micros,
    /// When the broker received it: of two with one time and metric the later received stands.
    #[serde(rename = "r", with = "stored::micros")]
    pub received: Micros,
    /// The metric, by its place in [`Rule::metrics`](crate::Rule::metrics).
    #[serde(rename = "m")]
    pub metric: usize,
    /// What was measured.
    #[serde(rename = "v", with = "stored::value")]
    pub value: Value,
    /// Its unit, where one is known.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
}

impl Sample {
    /// What identifies it, in the order in which samples are judged.
    pub(crate) fn identity(&self) -> (Micros, usize) {
        (self.at, self.metric)
    }

    /// Which of two of one identity stands, the greater one: as [`telemetry::standing`] decides it.
    pub(crate) fn standing_cmp(&self, other: &Self) -> Ordering {
        let by_content = || {
            let by_value = self.value.canonical_cmp(&other.value);
            by_value.then_with(|| self.unit.cmp(&other.unit))
        };
        self.received.cmp(&other.received).then_with(by_content)
    }

    /// Whether this one stands in place of `other`, which has the same identity.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        self.standing_cmp(other) == Ordering::Greater
    }
}

/// A reading that decided something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// When it was measured.
    #[serde(with = "stored::micros")]
    pub at: Micros,
    /// What was measured.
    #[serde(with = "stored::value")]
    pub value: Value,
    /// Its unit, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
}

impl Seen {
    pub(crate) fn of(sample: &Sample) -> Self {
        Self { at: sample.at, value: sample.value.clone(), unit: sample.unit.clone() }
    }
}
