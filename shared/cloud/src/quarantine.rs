//! The quarantine: what is kept whole, with the reason, because nothing could be made of it.

use bytes::Bytes;

use crate::error::Error;
use crate::objects::Bucket;
use crate::retry::Deadline;

/// The prefix of all objects.
pub const PREFIX: &str = "quarantine/";
/// Their media type: JSON lines.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// The key of lines that were received on `day`, by the digest of what they are.
pub fn key(day: &str, digest: &str) -> String {
    format!("{PREFIX}day={day}/{digest}.jsonl")
}

/// Writes to the quarantine.
#[derive(Debug, Clone)]
pub struct Quarantine(Bucket);

impl Quarantine {
    /// The quarantine in `bucket`.
    pub fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// Writes one object of JSON lines, again and again until the deadline. The same key and lines
    /// again change nothing.
    ///
    /// # Errors
    /// If S3 refuses, or the time is over.
    pub async fn put(&self, key: &str, lines: String, deadline: Deadline) -> Result<(), Error> {
        self.0.put(key, MEDIA_TYPE, Bytes::from(lines), deadline).await
    }
}
