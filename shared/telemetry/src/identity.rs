//! How it is known whom a reading is of.

use crate::format::Format;
use crate::reading::DeviceId;
use crate::topic::{JOINT, PAYLOAD_SITE, Publisher};

/// How it is known whom a reading is of, and so what may follow from it: in the order of how little that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Identity {
    /// The topic names the device, and the broker's policy says who may publish there. A Sparkplug node is known so, too.
    #[default]
    Topic,
    /// The topic names the device, and a client of another name published it, or where gateways may publish one without a
    /// name: the policy may allow it any device. A thing of the device's name may be of another site.
    Relayed,
    /// A gateway, which the topic names, names it.
    Gateway,
    /// It is behind a Sparkplug node, which the topic names.
    Sparkplug,
    /// The payload names it, and nothing else confirms that.
    Payload,
}

impl Identity {
    /// How a device became known of whose messages one was read in this format. Its id says it (`topic.rs`), but for who
    /// published it.
    pub(crate) fn of(device: &DeviceId, format: Option<Format>, publisher: Publisher) -> Self {
        let id = device.as_str();
        match id.find(JOINT) {
            None if publisher == Publisher::Another => Self::Relayed,
            None => Self::Topic,
            Some(_) if id.starts_with(PAYLOAD_SITE) => Self::Payload,
            Some(_) if format == Some(Format::Sparkplug) => Self::Sparkplug,
            Some(_) => Self::Gateway,
        }
    }

    /// Whether the device may have a thing, a client of its own and a shadow.
    pub fn is_of_a_thing(self) -> bool {
        self == Self::Topic
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Relayed => "relayed",
            Self::Gateway => "gateway",
            Self::Sparkplug => "sparkplug",
            Self::Payload => "payload",
        }
    }

    /// What the attribute `identity` of a device's item says: `topic` where it is missing, as in items of earlier versions
    /// and of devices that the topic names. A word that is not known says as little as `payload`.
    pub fn from_stored(word: Option<&str>) -> Self {
        match word {
            None | Some("topic") => Self::Topic,
            Some("relayed") => Self::Relayed,
            Some("gateway") => Self::Gateway,
            Some("sparkplug") => Self::Sparkplug,
            Some(_) => Self::Payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_says_how_a_device_became_known() {
        let check = |id: &str, format: Format, expected: Identity| {
            let of = |publisher| Identity::of(&DeviceId::from_stored(id), Some(format), publisher);
            assert_eq!(of(Publisher::Itself), expected, "{id}");
            let by_another = if expected == Identity::Topic { Identity::Relayed } else { expected };
            assert_eq!(of(Publisher::Another), by_another, "{id}");
        };
        check("plant-1/pump-7", Format::Json, Identity::Topic);
        check("plant-1/AA:BB:CC", Format::Json, Identity::Topic);
        check("plant-1/line-3", Format::Sparkplug, Identity::Topic);
        check("plant-1/line-3::pump-7", Format::Sparkplug, Identity::Sparkplug);
        check("plant-1/line-3::pump-7", Format::Senml, Identity::Gateway);
        check("plant-1/line-3::payload::x", Format::Json, Identity::Gateway);
        check("payload::iot/sensor_1", Format::Json, Identity::Payload);
        check("payload::iot/line-3::pump-7", Format::Json, Identity::Payload);
    }

    #[test]
    fn words_are_read_back_and_none_of_them_by_chance_as_trusted() {
        use Identity::{Gateway, Payload, Relayed, Sparkplug, Topic};
        for identity in [Topic, Relayed, Gateway, Sparkplug, Payload] {
            assert_eq!(Identity::from_stored(Some(identity.as_str())), identity);
            assert_eq!(identity.is_of_a_thing(), identity == Topic);
        }
        assert!(Identity::from_stored(None).is_of_a_thing());
        assert!(!Identity::from_stored(Some("later")).is_of_a_thing());
    }
}
