//! Which of two readings of one identity replaces the other: one comparator for table, lake, devices and alerts.

use std::cmp::{Ordering, Reverse};

use crate::reading::{Correction, Quality, Reading, TimeSource, Value};
use crate::time::Micros;

/// What decides between two readings of one device, metric, time and `seq`: the greater one replaces the other.
///
/// In this order: the one that was received later; the one that was read by the newer revision of its profile, so that
/// a message that is processed again replaces what an older profile made of it; last, its content, so that neither
/// order nor repetition nor the cut of batches can matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    /// When the broker received the message, with the microseconds of its delivery.
    pub received: Micros,
    /// When the profile that it was read by was put; 0 without one.
    pub revision: Micros,
    /// The value.
    pub value: OrderedValue<'a>,
    /// The unit, and the one that was sent; empty where there is none.
    pub units: [&'a [u8]; 2],
    /// The better one counts.
    pub quality: Reverse<Quality>,
    /// Where the time came from: the device before anybody else.
    pub time_source: Reverse<TimeSource>,
    /// What was done to the time: nothing before anything.
    pub correction: Reverse<Option<Correction>>,
}

/// A value in a total order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderedValue<'a> {
    /// A truth value.
    Boolean(bool),
    /// An integer.
    Integer(i128),
    /// A number that is none.
    Float(TotalFloat),
    /// A text, by its bytes.
    Text(&'a [u8]),
}

/// A double in the total order of IEEE 754.
#[derive(Debug, Clone, Copy)]
pub struct TotalFloat(pub f64);

impl PartialEq for TotalFloat {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for TotalFloat {}

impl PartialOrd for TotalFloat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TotalFloat {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl<'a> From<&'a Value> for OrderedValue<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Boolean(flag) => Self::Boolean(*flag),
            Value::Integer(integer) => Self::Integer(*integer),
            Value::Float(number) => Self::Float(TotalFloat(*number)),
            Value::Text(text) => Self::Text(text.as_bytes()),
        }
    }
}

impl Reading {
    /// What decides whether this reading replaces another of its identity.
    pub fn precedence(&self) -> Precedence<'_> {
        let sent = self.unit.as_ref().and_then(|unit| unit.sent());
        Precedence {
            received: self.received,
            revision: self.revision,
            value: (&self.value).into(),
            units: [self.unit.as_deref().unwrap_or_default(), sent.unwrap_or_default()].map(str::as_bytes),
            quality: Reverse(self.quality),
            time_source: Reverse(self.time_source),
            correction: Reverse(self.correction.as_deref().copied()),
        }
    }
}
