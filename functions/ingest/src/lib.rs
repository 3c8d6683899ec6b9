//! The function `ingest`: messages become readings.
//!
//! One binary for four triggers: an IoT rule's direct invocation, SQS, Kinesis and Kafka. Data
//! flows one way:
//!
//! ```text
//! event text ─Event::parse─► records ─Pending::plan─► plan ─handle─► DynamoDB, S3, the trigger's answer
//!                               ▲                       │
//!                               └── of a large event ◄──┘
//! ```
//!
//! A message is stored whole, or quarantined whole, or ignored because its profile ignores all of it, or redelivered;
//! never two of these, never none.

pub mod chunk;
mod count;
mod counted;
pub mod event;
pub mod handler;
pub mod message;
pub mod plan;
pub mod quarantine_line;
pub mod response;
pub mod sparkplug;

#[cfg(test)]
mod tests;
