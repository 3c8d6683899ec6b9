//! Alert rules and their state machine: what a device's readings say, in event time.
//!
//! Pure: no AWS, no async, no clock. Data flows one way:
//!
//! ```text
//! TOML ─Rule─┐
//! spans ─────┴─feed─► samples ─Track─► transitions ─DeviceAlerts─► documents to publish, the item to store
//! ```

pub mod anomaly;
mod condition;
mod device_alerts;
mod document;
mod feed;
mod machine;
mod rule;
mod sample;
mod set;
mod stored;
mod track;

pub use condition::{Condition, Input, Leaf, Question, Test, Threshold};
pub use device_alerts::{
    DeviceAlerts, ItemError, MAX_OUTBOX_BYTES, MAX_SHELF_MICROS, Outgoing, Refusal, SHARDS, Shelf, Tally,
    Told,
};
pub use document::{Answer, Document, Measured};

pub use feed::{Feed, device_time, newest};
pub use machine::{Cause, Evidence, Machine, Phase, Transition};
pub use rule::{Flapping, Rule, RuleError, Severity, Silence};
pub use sample::{Sample, Seen};
pub use set::RuleSet;
pub use track::{MAX_HISTORY, MAX_WINDOW, Outcome, Track};
