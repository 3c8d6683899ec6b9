//! What a reading is: the bytes of a message become samples, samples become readings, readings are
//! packed into spans, and back.
//!
//! Pure: no AWS, no async, no clock, no I/O. Data flows one way:
//!
//! ```text
//! record text ─Envelope::parse─► Envelope ─Decoder::decode─► readings ─pack─► spans ─to_item─► DynamoDB JSON
//!                                    └─────── Reject ◄──────────┘               └─latest─► Latest per device
//! ```
//!
//! ```
//! use telemetry::{Decoder, Envelope, IdentityRules, pack};
//!
//! let envelope = Envelope::parse(
//!     r#"{"payload": "eyJ0ZW1wZXJhdHVyZSI6IDIyLjV9", "topic": "dt/plant-1/pump-7/state",
//!         "client": "pump-7", "received": 1795417200250}"#,
//! )?;
//! let mut readings = Vec::new();
//! Decoder::new(IdentityRules::default()).decode(&envelope, &mut readings)?;
//! assert_eq!(readings[0].device.as_str(), "plant-1/pump-7");
//! assert_eq!(pack(readings)[0].to_item(None).span.len(), 16 + 1 + 16);
//! # Ok::<(), telemetry::Reject>(())
//! ```

pub mod attribute;
mod decoder;
mod device;
mod envelope;
mod interner;
mod json;
pub mod limits;
mod presence;
mod reading;
mod reject;
mod scalar;
mod span;
mod time;
mod topic;

pub use decoder::Decoder;
pub use device::{ByMetric, Latest, LatestAttribute, latest, latest_attribute};
pub use envelope::Envelope;
pub use json::TIME_NAMES;
pub use presence::{Lifecycle, LifecycleError, Presence};
pub use reading::{DeviceId, Metric, Quality, Reading, TimeSource, Value};
pub use reject::Reject;
pub use scalar::Scalar;
pub use span::{Run, RunReading, Span, SpanError, SpanItem, StoredSpan, pack, standing};
pub use time::Micros;
pub use topic::{ClientId, IdentityRules, TopicFilter, TopicFilterError};
