//! The formats that devices send: each becomes the same samples.

pub(crate) mod cbor;
pub(crate) mod items;
pub(crate) mod json;
mod json_numbers;
mod layout;
mod lorawan;
mod lpp;
pub(crate) mod msgpack;
mod senml;
pub(crate) mod shape;
mod text;

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::limits::MAX_NAME_BYTES;
use crate::names::Names;
use crate::profile::Profile;
use crate::reject::Reject;
use crate::sample::{Payload, Sample};

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON, in the shapes that devices send.
    Json,
    /// SenML (RFC 8428), in JSON or CBOR.
    Senml,
    /// LoRaWAN uplinks, as network servers wrap them.
    Lorawan,
    /// Bare bytes, which the profile knows how to read.
    Bytes,
    /// CBOR, in the shapes of JSON.
    Cbor,
    /// MessagePack, in the shapes of JSON.
    MsgPack,
    /// One text, which the profile takes apart, or which is the value of the metric that the topic names.
    Text,
    /// LwM2M JSON (OMA LwM2M 1.0, content format 11543).
    Lwm2m,
    /// Sparkplug B, on its own topics only.
    Sparkplug,
}

/// The words of the formats that a profile may name.
const WORDS: [&str; 8] = ["json", "senml", "lorawan", "bytes", "cbor", "msgpack", "text", "lwm2m"];

/// Reads a profile's word. `sparkplug` is read too, so that the profile's check can say why it is refused there; the list
/// of expected words leaves it out.
impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        match &*word {
            "sparkplug" => Ok(Self::Sparkplug),
            // No level of a topic: a stream of this name may be of any format.
            "text" => Ok(Self::Text),
            word => Self::of_topic_level(word).ok_or_else(|| D::Error::unknown_variant(word, &WORDS)),
        }
    }
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
    /// The format that an MQTT 5 content type names, its parameters aside.
    pub(crate) fn of_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            "application/senml+json" | "application/senml+cbor" => Some(Self::Senml),
            "application/cbor" => Some(Self::Cbor),
            "application/msgpack" | "application/vnd.msgpack" | "application/x-msgpack" => {
                Some(Self::MsgPack)
            }
            "application/vnd.oma.lwm2m+json" => Some(Self::Lwm2m),
            _ => None,
        }
    }

    /// The format that the last level of a topic names.
    pub(crate) fn of_topic_level(level: &str) -> Option<Self> {
        match level {
            "json" => Some(Self::Json),
            "senml" => Some(Self::Senml),
            "lorawan" => Some(Self::Lorawan),
            "bytes" => Some(Self::Bytes),
            "cbor" => Some(Self::Cbor),
            "msgpack" => Some(Self::MsgPack),
            "lwm2m" => Some(Self::Lwm2m),
            _ => None,
        }
    }

    /// The format that a payload's bytes show. Only those are told that no other payload is mistaken for.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        if senml::is_pack(bytes) {
            Self::Senml
        } else if cbor::is_probable(bytes) {
            Self::Cbor
        } else {
            Self::Json
        }
    }

    /// Whether a payload that begins as compressed ones do is one. Bare bytes may begin in any way, and protobuf in many.
    pub(crate) fn may_be_compressed(self) -> bool {
        !matches!(self, Self::Bytes | Self::Sparkplug)
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
        context.names.begin_message(context.profile);
        let outcome = self.decode_samples(bytes, context, payload);
        let allows_empty = context.profile.is_some_and(Profile::allows_empty);
        if context.names.has_too_many() {
            return Err(Reject::Names);
        }
        // What the topic puts before a name counts, too.
        let is_long = |sample: &Sample| !sample.is_spent && sample.name.metric.len() > MAX_NAME_BYTES;
        if context.names.has_stem() && payload.samples.iter().any(is_long) {
            return Err(Reject::LongName);
        }
        match outcome {
            Err(Reject::Empty | Reject::NoValue) if allows_empty => Ok(()),
            Ok(()) if payload.samples.is_empty() && !allows_empty => Err(Reject::NoValue),
            outcome => outcome,
        }
    }

    fn decode_samples(
        self,
        bytes: &[u8],
        context: &mut Context<'_>,
        payload: &mut Payload,
    ) -> Result<(), Reject> {
        match self {
            Self::Json => json::decode(bytes, context, payload),
            Self::Lorawan => lorawan::decode(bytes, context, payload),
            Self::Bytes => layout::decode(bytes, None, context, payload),
            Self::Senml => senml::decode(bytes, context, payload),
            Self::Cbor => cbor::decode(bytes, context, payload),
            Self::MsgPack => msgpack::decode(bytes, context, payload),
            Self::Text => json::decode_text(text::of_bytes(bytes, context.profile)?.trim(), context, payload),
            Self::Lwm2m => senml::lwm2m::decode(bytes, context, payload),
            // What it means depends on the messages before it, of which no other topic tells.
            Self::Sparkplug => Err(Reject::SparkplugTopic),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::clock::TimePolicy;
    use crate::delivery::Delivery;
    use crate::time::Micros;

    /// 2023-11-14T22:13:20Z, from which samples' times are shown.
    pub(crate) const TS: Micros = Micros(1_700_000_000_000_000);

    /// The samples of a payload that arrives an hour after [`TS`].
    pub(crate) fn read(format: Format, bytes: &[u8], profile: Option<&Profile>) -> Result<Payload, Reject> {
        let clock = Clock {
            received: TS.plus(3_600_000_000),
            delivery: Delivery::new(""),
            policy: &TimePolicy::default(),
            field: profile.map(|profile| &profile.time),
        };
        let mut payload = Payload::default();
        let mut names = Names::default();
        format.decode(bytes, &mut Context { names: &mut names, profile, clock: &clock }, &mut payload)?;
        Ok(payload)
    }

    /// Each sample as `name=value@seconds after TS` (`@-` without a time), with its unit, and `#record` where the
    /// payload has several; `device:` before those of a gateway's devices.
    pub(crate) fn show(format: Format, bytes: &[u8], profile: Option<&Profile>) -> Result<String, Reject> {
        let payload = read(format, bytes, profile)?;
        let words = payload.samples.iter().map(|sample| {
            let device = sample.device.as_ref().map(|device| format!("{device}:")).unwrap_or_default();
            let at = sample.time.map_or("-".to_owned(), |time| ((time.at.0 - TS.0) / 1_000_000).to_string());
            let unit = sample.unit.as_ref().map(|(text, _)| format!("[{text}]")).unwrap_or_default();
            let record = if sample.record > 0 { format!("#{}", sample.record) } else { String::new() };
            format!("{device}{}={}{unit}@{at}{record}", sample.name.sent, sample.value)
        });
        Ok(words.collect::<Vec<_>>().join(" "))
    }
}
