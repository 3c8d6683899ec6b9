//! The `tidegate` command: the local cloud, the demo, and what operators ask of a deployment.
//!
//! A library too, so that the end-to-end tests find the local cloud ([`local::Cloud`]) and connect
//! devices to it ([`fleet`]) as the demo does.

pub mod alerts;
pub mod aws;
pub mod console;
pub mod decode;
pub mod demo;
mod documents;
mod error;
pub mod fleet;
pub mod hints;
pub mod lake;
pub mod layout;
pub mod local;
pub mod profiles;
pub mod query;
mod table;
mod target;

pub use error::{Error, Kind, Result};
pub use target::Target;
