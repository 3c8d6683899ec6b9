//! The function `alert`: readings are judged by alert rules, and what changes is told.
//!
//! ```text
//!  readings table's stream ─┐
//!  commands (SQS) ──────────┼─event─► work by device ─settle─► alerts table, then broker, SNS, devices table
//!  schedule ────────────────┘
//! ```
//!
//! What has happened is written first, with what is to be published of it; then that is published; then it is marked
//! as published. A crash in between repeats the publishing, with the same ids, and never loses it.

pub mod event;
pub mod handler;
mod kinds;
mod memory;
mod rules;
mod settle;

pub use kinds::Kinds;
pub use memory::Memory;
pub use rules::RuleSource;
