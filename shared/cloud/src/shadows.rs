//! Device shadows: what AWS IoT shows of a thing to whoever asks, whether or not the thing is there.

use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::primitives::Blob;

use crate::error::Error;
use crate::retry::{Deadline, until};

/// Writes the shadow of one name, of any thing.
#[derive(Debug, Clone)]
pub struct Shadows {
    client: Client,
    name: String,
}

impl Shadows {
    /// The named shadow `name`.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Merges `document` into a thing's shadow, again and again until the deadline; the same document again
    /// changes nothing that anybody reads. Returns whether there is such a thing.
    ///
    /// # Errors
    /// If AWS IoT refuses the document, or the time is over.
    pub async fn update(&self, thing: &str, document: &str, deadline: Deadline) -> Result<bool, Error> {
        let updated = until("UpdateThingShadow", deadline, async || {
            let update = self.client.update_thing_shadow().thing_name(thing).shadow_name(&self.name);
            let update = Box::pin(update.payload(Blob::new(document)).send());
            update.await.map(drop).map_err(|error| Error::from_sdk("UpdateThingShadow", error))
        });
        match updated.await {
            Err(error) if error.code == "ResourceNotFoundException" => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }
}
