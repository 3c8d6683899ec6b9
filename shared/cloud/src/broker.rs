//! The broker, as the pipeline speaks back through it: the AWS IoT data plane.

use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::primitives::Blob;

use crate::error::Error;
use crate::retry::{Deadline, until};

/// Publishes messages.
#[derive(Debug, Clone)]
pub struct Broker(Client);

impl Broker {
    /// The broker behind `client`.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// Publishes a message with QoS 1, which the broker keeps for later subscribers; an empty one removes what it keeps.
    ///
    /// # Errors
    /// If the broker refuses, or the time is over.
    pub async fn publish_retained(
        &self,
        topic: &str,
        payload: &str,
        deadline: Deadline,
    ) -> Result<(), Error> {
        self.publish(topic, payload.as_bytes(), 1, true, deadline).await
    }

    /// Publishes a message with QoS 1 to whoever listens now.
    ///
    /// # Errors
    /// As [`Broker::publish_retained`].
    pub async fn tell(&self, topic: &str, payload: &str, deadline: Deadline) -> Result<(), Error> {
        self.publish(topic, payload.as_bytes(), 1, false, deadline).await
    }

    /// Publishes a message with QoS 0, as Sparkplug has its commands, to whoever listens now.
    ///
    /// # Errors
    /// As [`Broker::publish_retained`].
    pub async fn command(&self, topic: &str, payload: &[u8], deadline: Deadline) -> Result<(), Error> {
        self.publish(topic, payload, 0, false, deadline).await
    }

    async fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        qos: i32,
        retain: bool,
        deadline: Deadline,
    ) -> Result<(), Error> {
        until("Publish", deadline, async || {
            let publish = self.0.publish().topic(topic).qos(qos).retain(retain);
            let publish = publish.payload(Blob::new(payload));
            Box::pin(publish.send()).await.map(drop).map_err(|error| Error::from_sdk("Publish", error))
        })
        .await
    }
}
