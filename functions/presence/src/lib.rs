//! The function `presence`: who is there.
//!
//! ```text
//! SQS event ─Event::parse─► messages ─Plan::new─► what each client's events come to ─connections─► devices table
//! ```
//!
//! The broker's events come late, twice and in any order; what stands of a device is settled by
//! [`telemetry::Presence::supersedes`] alone. A message is applied, outdated by another, of no device, or handed back
//! for another try; never two of these, never none.

pub mod connections;
pub mod event;
pub mod handler;
pub mod plan;
