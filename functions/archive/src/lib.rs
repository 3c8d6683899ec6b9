//! The function `archive`: every span that is written to the readings table goes into the lake.
//!
//! ```text
//! event text ─plan::read─► changes ─Plan::new─► an object per hour ─handle─► S3, the stream's answer
//! ```
//!
//! An object's key is made of the spans in it: the same batch again overwrites the same object with the
//! same bytes. Where a batch is cut in another way on retry, readings come twice, and `compact` drops the
//! repetitions.

pub mod handler;
pub mod plan;
