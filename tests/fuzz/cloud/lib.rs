//! The parts of the crate `cloud` that read events, without the AWS SDK that the rest of it brings along.

#[path = "../../../shared/cloud/src/messages.rs"]
pub mod messages;
#[path = "../../../shared/cloud/src/stream.rs"]
pub mod stream;
