//! What a rule sees of a reading.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{Micros, OrderedValue, Value};

use crate::stored;

/// Longest text that is shown of a value or a unit, in characters.
const MAX_SHOWN_CHARS: usize = 64;

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
            let by_value = OrderedValue::from(&self.value).cmp(&OrderedValue::from(&other.value));
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
        let value = match &sample.value {
            Value::Text(text) => Value::Text(shortened(text)),
            value => value.clone(),
        };
        Self { at: sample.at, value, unit: sample.unit.as_ref().map(shortened) }
    }
}

/// A text as it is shown: what a device sends can make neither an item too large nor a message.
pub(crate) fn shortened(text: &Arc<str>) -> Arc<str> {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => Arc::clone(text),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}
