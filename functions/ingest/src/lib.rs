//! The function `ingest`: messages become readings.
//!
//! One binary for four triggers: an IoT rule's direct invocation, SQS, Kinesis and Kafka. Data
//! flows one way:
//!
//! ```text
//! event text ─Event::parse─► records ─Plan::new─► plan ─handle─► DynamoDB, S3, the trigger's answer
//! ```
//!
//! A message is stored whole, or quarantined whole, or handed back for another try; never two of
//! these, never none.

pub mod event;
pub mod handler;
pub mod plan;
pub mod response;
pub mod sparkplug;
