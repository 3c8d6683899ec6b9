//! What a reading is: the bytes of a message become samples, samples become readings, readings are
//! packed into spans, and back.
//!
//! Pure: no AWS, no async, no clock, no I/O. Data flows one way:
//!
//! ```text
//! record text ─Envelope::parse─► Envelope ─Decoder::decode─► readings ─pack─► spans ─to_item─► DynamoDB JSON
//!                                    └─────── Reject ◄──────────┘               └─latest─► Latest per device
//!
//! inside of Decoder::decode:  bytes ─Format─► samples ─normalise─► readings
//!                                     (names, clock, units; the device's Profile says what they do not)
//! ```
//!
//! ```
//! use telemetry::{Decoder, Envelope, pack};
//!
//! let envelope = Envelope::parse(
//!     r#"{"payload": "eyJ0ZW1wZXJhdHVyZSI6IDIyLjV9", "topic": "dt/plant-1/pump-7/state",
//!         "client": "pump-7", "received": 1795417200250}"#,
//! )?;
//! let mut readings = Vec::new();
//! Decoder::default().decode(&envelope, &mut readings)?;
//! assert_eq!(readings[0].device.as_str(), "plant-1/pump-7");
//! assert_eq!(pack(readings)[0].to_item(None).span.len(), 16 + 1 + 16);
//! # Ok::<(), telemetry::Reject>(())
//! ```

pub mod attribute;
mod clock;
mod compression;
mod decoder;
mod delivery;
mod device;
mod device_pattern;
mod distinct;
mod envelope;
mod format;
mod hours;
mod identity;
mod interner;
mod length;
pub mod limits;
mod measure;
mod names;
mod normalise;
mod precedence;
mod presence;
mod profile;
mod reading;
mod reject;
mod repeated_hour;
mod sample;
mod scalar;
mod span;
pub mod sparkplug;
mod time;
mod time_format;
mod topic;
mod topic_layout;
mod twin;
mod unit;

pub use clock::{Outside, TimePolicy, Zone, ZoneError};
pub use decoder::{Decoded, Decoder, Settings};
pub use delivery::Delivery;
pub use device::{ByMetric, Latest, LatestAttribute, latest, latest_attribute};
pub use device_pattern::DevicePattern;
pub use envelope::Envelope;
pub use format::Format;
pub use hours::HourBound;
pub use identity::Identity;
pub use length::Length;
pub use names::TIME_NAMES;
pub use precedence::{OrderedValue, Precedence, TotalFloat};
pub use presence::{Lifecycle, LifecycleError, Presence};
pub use profile::{
    Anchor, Captured, Charset, Columns, Encoding, EpochUnit, Field, FieldType, Gateway, Hints, Layout,
    LearnError, Learnt, Leniency, MemberPath, MetricRule, NamePattern, Others, Problem, Profile,
    ProfileError, ProfileUnit, Profiles, QualityField, Records, Remark, Sentinel, Series, ShapeKind,
    ShapeRule, TimeField, TopicName, ValueType, learn,
};
pub use reading::{
    Correction, CorrectionReason, DeviceId, Metric, Quality, Reading, Seq, TimeSource, Unit, Value,
};
pub use reject::Reject;
pub use scalar::Scalar;
pub use span::{
    Carrier, Packed, Replaced, Run, RunReading, Span, SpanError, SpanItem, StoredSpan, pack, standing,
};
pub use time::Micros;
pub use time_format::{TimeFormat, ZoneMarks};
pub use topic::{ClientId, IdentityRules, TopicFilter, TopicFilterError};
pub use topic_layout::{
    DEFAULT_LAYOUT, FleetLayout, LayoutError, LayoutSite, LayoutSiteError, LayoutTopic, Layouts,
    LayoutsError, Level, PolicyTopics, TopicLayout, common_topic,
};

/// The documentation's tables of a profile's keys, in Markdown.
pub fn profile_keys_markdown_table() -> String {
    profile::grammar::markdown_table()
}

/// The JSON schema of a profile, for editors.
pub fn profile_schema() -> String {
    profile::grammar::schema()
}

/// The README's table of quantities and units, in Markdown.
pub fn units_markdown_table() -> String {
    unit::markdown_table()
}
