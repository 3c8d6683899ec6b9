//! What a rule sees of a reading.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{Micros, Precedence, Quality, Seq, TimeSource, Unit, Value};

use crate::stored;

/// Longest text that is shown of a value or a unit, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// A reading as one rule sees it. Identified by time, `seq` and metric: of two samples of one identity, the one of the
/// greater [`Precedence`] replaces the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was measured.
    #[serde(rename = "t", with = "stored::micros")]
    pub at: Micros,
    /// What tells it apart from others of this time.
    #[serde(rename = "s", default, skip_serializing_if = "Seq::is_none", with = "stored::seq")]
    pub seq: Seq,
    /// When the broker received it.
    #[serde(rename = "r", with = "stored::micros")]
    pub received: Micros,
    /// When the profile that it was read by was put; 0 without one.
    #[serde(rename = "p", default, skip_serializing_if = "stored::is_zero", with = "stored::micros")]
    pub revision: Micros,
    /// The metric, by its place in [`Rule::metrics`](crate::Rule::metrics).
    #[serde(rename = "m")]
    pub metric: usize,
    /// What was measured.
    #[serde(rename = "v", with = "stored::value")]
    pub value: Value,
    /// Its unit, where one is known.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none", with = "stored::unit")]
    pub unit: Option<Unit>,
    /// How far to trust it.
    #[serde(rename = "q", default, skip_serializing_if = "stored::is_good", with = "stored::quality")]
    pub quality: Quality,
}

impl Sample {
    /// Its place in time. All samples of one instant are evaluated together, in one step.
    pub fn instant(&self) -> (Micros, Seq) {
        (self.at, self.seq)
    }

    /// What identifies it, in the order in which samples are evaluated.
    pub(crate) fn identity(&self) -> (Micros, Seq, usize) {
        (self.at, self.seq, self.metric)
    }

    /// What decides whether it replaces another of its identity: the readings' own comparator. A rule sees neither
    /// where a time came from nor its correction. In the comparator these come last, so two samples that only they
    /// could tell apart are the same to the rule.
    fn precedence(&self) -> Precedence<'_> {
        let units = [self.unit.as_deref(), self.unit.as_ref().and_then(Unit::sent)];
        Precedence {
            received: self.received,
            revision: self.revision,
            value: (&self.value).into(),
            units: units.map(|unit| unit.unwrap_or_default().as_bytes()),
            quality: Reverse(self.quality),
            time_source: Reverse(TimeSource::default()),
            correction: Reverse(None),
        }
    }

    /// Whether it replaces `other`, which has the same identity.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        self.precedence() > other.precedence()
    }

    /// Orders samples by identity; of two of one identity, the one that replaces the other comes first.
    pub(crate) fn canonical_cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity()).then_with(|| other.precedence().cmp(&self.precedence()))
    }

    /// Whether a rule evaluates both alike: a message that was received twice changes nothing.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        let has_unit = self.unit.as_deref() == other.unit.as_deref();
        has_unit && self.value == other.value && self.quality == other.quality
    }
}

/// Sorts samples by identity and keeps, of each identity, the one that replaces the others.
pub(crate) fn keep_standing(samples: &mut Vec<Sample>) {
    if !samples.is_sorted_by(|a, b| a.identity() < b.identity()) {
        samples.sort_by(Sample::canonical_cmp);
        samples.dedup_by(|next, kept| next.identity() == kept.identity());
    }
}

/// A reading that decided something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// When it was measured.
    #[serde(with = "stored::micros")]
    pub at: Micros,
    /// What tells it apart from others of this time.
    #[serde(default, skip_serializing_if = "Seq::is_none", with = "stored::seq")]
    pub seq: Seq,
    /// What was measured.
    #[serde(with = "stored::value")]
    pub value: Value,
    /// Its unit, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stored::unit")]
    pub unit: Option<Unit>,
}

impl Seen {
    pub(crate) fn of(sample: &Sample) -> Self {
        let value = match &sample.value {
            Value::Text(text) => Value::Text(shortened(text)),
            value => value.clone(),
        };
        let short_unit = |unit: &Unit| match shortened_to(unit) {
            None => unit.clone(),
            Some(short) => Unit::from(short.as_str()),
        };
        Self { at: sample.at, seq: sample.seq, value, unit: sample.unit.as_ref().map(short_unit) }
    }
}

/// A text as it is shown: what a device sends can make neither an item too large nor a message.
pub(crate) fn shortened(text: &Arc<str>) -> Arc<str> {
    shortened_to(text).map_or_else(|| Arc::clone(text), Into::into)
}

/// A text that is too long to be shown as it is, cut.
fn shortened_to(text: &str) -> Option<String> {
    text.char_indices().nth(MAX_SHOWN_CHARS).map(|(end, _)| format!("{}…", &text[..end]))
}
