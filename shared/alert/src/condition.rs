//! What a rule asks of readings: leaves that look at one metric, and how they are combined.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{Metric, Value};

use crate::anomaly::Settings;
use crate::sample::shortened;
use telemetry::Length;

/// How leaves are combined. Leaves are named by their place in [`Rule::leaves`](crate::Rule::leaves).
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// A leaf holds.
    Leaf(usize),
    /// All of them hold.
    All(Vec<Condition>),
    /// At least one of them holds.
    Any(Vec<Condition>),
}

impl Condition {
    /// Whether it holds, where `holds` says it of a leaf.
    pub(crate) fn evaluate(&self, holds: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Leaf(leaf) => holds(*leaf),
            Self::All(conditions) => conditions.iter().all(|condition| condition.evaluate(holds)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.evaluate(holds)),
        }
    }
}

/// A question to one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The metric; `None`: any, which only silence may ask for.
    pub metric: Option<Metric>,
    /// Readings with another unit are not judged; those without a unit are.
    pub unit: Option<Arc<str>>,
    /// The question.
    pub question: Question,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// A number made of the readings lies where it should not.
    Number {
        /// The number.
        input: Input,
        /// Where it should not lie, and where it has to come back to.
        test: Test,
    },
    /// The value is this one. Numbers, booleans and texts.
    Equals(Value),
    /// No reading for longer than this.
    Silent(Length),
    /// Whether nothing has come for longer than so many of the intervals in which the device sends, as its profile says.
    /// Of a device without one it is never asked; of others it is [`Question::Silent`].
    SilentIntervals(u32),
}

/// The number that a [`Test`] looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The reading's value.
    Value,
    /// How much the value changed in a time `per`, between the oldest reading of the last `over` and the newest.
    /// Judged once the readings of that window span at least half of it.
    Rate {
        /// The time that the change is given for.
        per: Length,
        /// The window.
        over: Length,
    },
    /// How unusual the value is: [`Estimator::score`](crate::anomaly::Estimator::score).
    Anomaly(Settings),
}

/// A level, or a range, each with its own clear level: between the two, what held before holds on (hysteresis).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// Raises above `level`; clears at `clear` or below.
    Above {
        /// Exclusive.
        level: f64,
        /// Inclusive; not above `level`.
        clear: f64,
    },
    /// Raises below `level`; clears at `clear` or above.
    Below {
        /// Exclusive.
        level: f64,
        /// Inclusive; not below `level`.
        clear: f64,
    },
    /// Raises below the first or above the second; clears within `clear`, its ends included.
    Outside {
        /// The range where all is well.
        range: (f64, f64),
        /// Within `range`.
        clear: (f64, f64),
    },
    /// Raises within the range, its ends included; clears below the first or above the second of `clear`.
    Inside {
        /// The range where all is not well.
        range: (f64, f64),
        /// Around `range`.
        clear: (f64, f64),
    },
}

impl Test {
    /// What a number says: `Some(true)` raises, `Some(false)` clears, `None` lies in between.
    pub fn verdict(&self, number: f64) -> Option<bool> {
        let (raises, clears) = match *self {
            Self::Above { level, clear } => (number > level, number <= clear),
            Self::Below { level, clear } => (number < level, number >= clear),
            Self::Outside { range: (low, high), clear: (from, to) } => {
                (number < low || number > high, (from..=to).contains(&number))
            }
            Self::Inside { range: (low, high), clear: (from, to) } => {
                ((low..=high).contains(&number), number < from || number > to)
            }
        };
        if raises { Some(true) } else { clears.then_some(false) }
    }
}

/// How much of a leaf is told: what a reader of an alert wants to know of the level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// `above`, `below`, `outside`, `inside`, `equals` or `silent`.
    pub test: String,
    /// The level, range, value or time, as a person writes it.
    pub level: String,
}

impl Leaf {
    /// Whether it judges readings with this unit: its own, or none. A device that sends no units is not to go unjudged.
    pub fn accepts(&self, unit: Option<&str>) -> bool {
        match (&self.unit, unit) {
            (Some(wanted), Some(unit)) => **wanted == *unit,
            _ => true,
        }
    }

    /// Whether it waits for silence.
    pub(crate) fn asks_for_silence(&self) -> bool {
        matches!(self.question, Question::Silent(_)) || self.asks_for_intervals()
    }

    /// Whether it waits for a silence of so many intervals.
    pub(crate) fn asks_for_intervals(&self) -> bool {
        matches!(self.question, Question::SilentIntervals(_))
    }

    /// Its level, to be told.
    pub fn threshold(&self) -> Threshold {
        let (test, level) = match &self.question {
            Question::Number { test, .. } => match test {
                Test::Above { level, .. } => ("above", level.to_string()),
                Test::Below { level, .. } => ("below", level.to_string()),
                Test::Outside { range: (low, high), .. } => ("outside", format!("{low} to {high}")),
                Test::Inside { range: (low, high), .. } => ("inside", format!("{low} to {high}")),
            },
            Question::Equals(Value::Text(text)) => ("equals", shortened(text).to_string()),
            Question::Equals(value) => ("equals", value.to_string()),
            Question::Silent(after) => ("silent", after.to_string()),
            Question::SilentIntervals(intervals) => ("silent", format!("{intervals} intervals")),
        };
        Threshold { test: test.to_owned(), level }
    }
}
