//! The quarantine: messages kept whole, with the reason, because no reading could be made of them.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;

use crate::error::Error;
use crate::retry::{Deadline, until};

/// The prefix of all objects.
pub const PREFIX: &str = "quarantine/";

/// Writes to the quarantine.
#[derive(Debug, Clone)]
pub struct Quarantine {
    client: Client,
    bucket: String,
}

impl Quarantine {
    /// The quarantine in `bucket`.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into() }
    }

    /// Writes one object of JSON lines, again and again until the deadline. The same key and lines
    /// again change nothing.
    ///
    /// # Errors
    /// If S3 refuses, or the time is over.
    pub async fn put(&self, key: &str, lines: String, deadline: Deadline) -> Result<(), Error> {
        let bytes = bytes::Bytes::from(lines);
        until("PutObject", deadline, async || {
            let put =
                self.client.put_object().bucket(&self.bucket).key(key).content_type("application/x-ndjson");
            let put = put.body(ByteStream::from(bytes.clone()));
            // Boxed: the SDK's future of a PutObject alone takes 20 KB.
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutObject", error))
        })
        .await
    }
}
