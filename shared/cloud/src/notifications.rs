//! An SNS topic that people and tickets hang on.

use aws_sdk_sns::Client;

use crate::error::Error;
use crate::retry::{Deadline, until};

/// Longest subject, in characters (Amazon SNS API Reference, `Publish`).
const MAX_SUBJECT_CHARS: usize = 100;

/// Notifies the subscribers of one topic.
#[derive(Debug, Clone)]
pub struct Notifications {
    client: Client,
    arn: String,
}

impl Notifications {
    /// The topic with this ARN.
    pub fn new(client: Client, arn: impl Into<String>) -> Self {
        Self { client, arn: arn.into() }
    }

    /// Notifies of a message.
    ///
    /// # Errors
    /// If SNS refuses, or the time is over.
    pub async fn send(&self, subject: &str, message: &str, deadline: Deadline) -> Result<(), Error> {
        // SNS takes printable ASCII only.
        let subject: String =
            subject.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_SUBJECT_CHARS).collect();
        until("Publish", deadline, async || {
            let publish = self.client.publish().topic_arn(&self.arn).subject(&subject).message(message);
            Box::pin(publish.send()).await.map(drop).map_err(|error| Error::from_sdk("Publish", error))
        })
        .await
    }
}
