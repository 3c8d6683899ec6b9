//! Readings as Parquet, and back.
//!
//! Pure: no AWS, no async, no clock; files are sinks and byte sources that somebody else opens.

mod columns;
mod decode;
mod encode;
mod error;
pub mod key;
mod merge;
pub mod schema;

/// The media type of Parquet (IANA, `application/vnd.apache.parquet`).
pub const MEDIA_TYPE: &str = "application/vnd.apache.parquet";

pub use columns::Columns;
pub use decode::{Footer, Reader, footer};
pub use encode::{Writer, encode};
pub use error::LakeError;
pub use key::{Hour, Key, Name};
pub use merge::Merge;
