//! The function `presence`: who is there.
//!
//! ```text
//! SQS event ─Event::parse─► messages ─Plan::new─► what each client's events come to ─connections─► devices table
//! schedule ─sweep─► devices, page by page ─Watch::look─► commands ─► the queue of `alert`
//! ```
//!
//! The broker's events come late, twice and in any order; what stands of a device is settled by
//! [`telemetry::Presence::supersedes`] alone. A message is applied, outdated by another, of no device, or handed back
//! for another try; never two of these, never none.
//!
//! Nothing tells of silence by itself, so it is looked for. Whether an alert is raised is for `alert` to judge; here it
//! is only told where to look, and nothing is remembered of what was told.

pub mod connections;
pub mod handler;
pub mod plan;
pub mod silence;
mod sweep;
