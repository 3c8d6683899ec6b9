//! Why no reading could be made of a message.

use thiserror::Error;

use crate::limits::{
    MAX_DEPTH, MAX_EXPANDED_BYTES, MAX_NAME_BYTES, MAX_PATTERN_COMPARISONS, MAX_PAYLOAD_BYTES, MAX_SAMPLES,
    MAX_TEXT_BYTES, MAX_TOPIC_LEVEL_BYTES, MAX_UNIT_BYTES,
};

/// The reason that a message is kept in quarantine. Its text is for the person who looks there;
/// it never quotes what the device sent, so it may be logged and counted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reject {
    /// The rule's JSON around the payload cannot be read.
    #[error("the envelope is not the JSON object that the rule's SQL makes: {0}")]
    Envelope(String),
    /// The envelope lacks a field.
    #[error("the envelope has no {0}; the rule's SQL must select it")]
    EnvelopeField(&'static str),
    /// The payload is not base64.
    #[error("the envelope's payload is not base64; the rule's SQL must select encode(*, 'base64')")]
    Base64,
    /// The arrival time is not between 2000 and 2100.
    #[error("the envelope's arrival time is not in milliseconds since 1970")]
    Received,
    /// The topic is none that telemetry comes on.
    #[error(
        "the topic fits no layout; unless the deployment sets others, that is dt/{{site}}/{{device}}/{{stream}}"
    )]
    Topic,
    /// A level of the topic, or a `device_id`, cannot name a device.
    #[error(
        "the {0} is empty, longer than {MAX_TOPIC_LEVEL_BYTES} bytes, or has control characters, '/', '+' or '#'"
    )]
    Name(&'static str),
    /// A name has what parts a gateway from the devices behind it.
    #[error("the {0} has '::' or ends with ':', which parts gateways from the devices behind them")]
    Joint(&'static str),
    /// The client published for another device.
    #[error("the client id is not the device in the topic; only a gateway may publish for another device")]
    Client,
    /// The topic takes its device from the payload, which names none.
    #[error("topics like this one take the device from the payload's device_id, and there is none")]
    NoDeviceId,
    /// The array holds records of several devices.
    #[error("the payload's records name different device_ids")]
    ManyDevices,
    /// Nothing was published.
    #[error("the payload is empty")]
    Empty,
    /// More bytes than AWS IoT Core lets a device publish.
    #[error("the payload has {0} bytes, more than the {MAX_PAYLOAD_BYTES} that AWS IoT Core accepts")]
    TooLarge(usize),
    /// Not text.
    #[error("the payload is not JSON: byte {0} is not UTF-8")]
    NotUtf8(usize),
    /// The text stops in the middle.
    #[error("the payload is cut short: its document does not end")]
    CutShort,
    /// `NaN` or `Infinity`.
    #[error("the payload has NaN or Infinity at line {line}, column {column}; JSON has no such numbers")]
    NotANumber {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// Any other fault of the text.
    #[error("the payload is not JSON: {what} at line {line}, column {column}")]
    NotJson {
        /// What the parser found.
        what: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// A record against the rules of SenML.
    #[error("the payload is not SenML: its record {record} {what}")]
    Senml {
        /// Which, from 1.
        record: usize,
        /// What it has.
        what: &'static str,
    },
    /// A topic of Sparkplug that no edge node sends on.
    #[error(
        "the topic is not spBv1.0/{{group}}/{{message type}}/{{edge node}}[/{{device}}] with one of the types NBIRTH, NDEATH, NDATA, DBIRTH, DDEATH and DDATA"
    )]
    SparkplugTopic,
    /// An edge node whose devices could be another's.
    #[error("the edge node's name has '::' or ends with ':', which parts nodes from their devices")]
    SparkplugNode,
    /// Bytes that are no payload of Sparkplug, or one without what it needs.
    #[error("the payload is not Sparkplug B: {0}")]
    NotSparkplug(&'static str),
    /// A message before this one is missing.
    #[error(
        "a message of the edge node before this one is missing, which may have said what this one means; it is asked for its births"
    )]
    SparkplugGap,
    /// A message of somebody who is not there.
    #[error(
        "there is no birth of {0} before this message, or a death after it; the node is asked for its births"
    )]
    SparkplugUnborn(&'static str),
    /// A metric of which no birth says what it is.
    #[error(
        "the payload has a metric whose alias or datatype is in no birth; the edge node is asked for its births"
    )]
    SparkplugAlias,
    /// No uplink, or one without what it needs.
    #[error("the payload is no LoRaWAN uplink of AWS IoT Core, The Things Stack or ChirpStack: {0}")]
    NotUplink(&'static str),
    /// Bytes that nothing is known of.
    #[error(
        "the payload is bare bytes, and the device's profile has no `payload` or `[[field]]` to read {0} by"
    )]
    NoLayout(&'static str),
    /// Bytes that are not Cayenne LPP.
    #[error(
        "the payload is not Cayenne LPP: the type of the value at byte {0} is unknown, and with it its length"
    )]
    NotLpp(usize),
    /// Bytes that end too early.
    #[error("the payload is cut short: its bytes end within the value at byte {0}")]
    ShortBytes(usize),
    /// Bytes that are not CBOR.
    #[error("the payload is not CBOR: {what} before byte {at}")]
    NotCbor {
        /// What was found.
        what: &'static str,
        /// How many bytes had been read.
        at: usize,
    },
    /// Bytes that are not MessagePack.
    #[error("the payload is not MessagePack: {what} before byte {at}")]
    NotMsgPack {
        /// What was found.
        what: &'static str,
        /// How many bytes had been read.
        at: usize,
    },
    /// Compressed, and damaged.
    #[error("the payload is {0} that is damaged, cut short, or followed by other bytes")]
    Compressed(&'static str),
    /// Compressed, and too large.
    #[error("the payload is compressed, and expands to more than {MAX_EXPANDED_BYTES} bytes")]
    Expansion,
    /// A value without a name.
    #[error(
        "the payload is one bare value, and nothing says which metric it is: a topic layout with {{metric}} does, or `topic_name` of a profile; a text of several values is taken apart by a profile's `[[shape]]`"
    )]
    BareValue,
    /// A text that is not encoded as the profile says.
    #[error("the payload has a text that the profile says is {0}, and is not")]
    Encoding(&'static str),
    /// A JSON value that has no names.
    #[error("the payload is {0}; an object with names, or an array of such objects, was expected")]
    Shape(&'static str),
    /// Too deep.
    #[error("the payload is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// Too many.
    #[error("the payload has more than {MAX_SAMPLES} samples")]
    Samples,
    /// Too many names to work out what they mean.
    #[error(
        "the payload has so many different names that they and the patterns of its profile make more than {MAX_PATTERN_COMPARISONS} comparisons"
    )]
    Names,
    /// Different values for one identity.
    #[error(
        "the payload has different values for one metric at one time: a member that stands there twice, or members whose names, with dots, without units or by the profile, become one metric"
    )]
    Ambiguous,
    /// A metric without a name.
    #[error("the payload has an empty metric name")]
    EmptyName,
    /// A name too long.
    #[error("the payload has a metric name longer than {MAX_NAME_BYTES} bytes")]
    LongName,
    /// A text too long.
    #[error("the payload has a text longer than {MAX_TEXT_BYTES} bytes")]
    LongText,
    /// A unit too long.
    #[error("the payload has a unit longer than {MAX_UNIT_BYTES} bytes")]
    LongUnit,
    /// A number that cannot be stored.
    #[error("the payload has a number whose magnitude is outside 1e-130 to 1e126")]
    NumberRange,
    /// A time outside of what the policy accepts, where that is to refuse.
    #[error("the payload has a time outside of the accepted range around its arrival")]
    TimeRange,
    /// Times of so many hours that one message would become thousands of objects in the lake.
    #[error("the payload has times in more than {0} different hours")]
    Hours(usize),
    /// Only nulls, or nothing.
    #[error("the payload has no value")]
    NoValue,
}

impl Reject {
    /// Whether another birth of the Sparkplug edge node would help.
    pub fn asks_for_birth(&self) -> bool {
        matches!(self, Self::SparkplugGap | Self::SparkplugUnborn(_) | Self::SparkplugAlias)
    }

    /// The kind of reason, as one stable word to count and filter by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Envelope(_) | Self::EnvelopeField(_) | Self::Base64 | Self::Received => "envelope",
            Self::Topic | Self::Name(_) | Self::Joint(_) | Self::SparkplugTopic | Self::SparkplugNode => {
                "topic"
            }
            Self::Client => "client",
            Self::NoDeviceId | Self::ManyDevices => "device_id",
            Self::Empty | Self::NoValue => "empty",
            Self::NotUtf8(_) => "not_utf8",
            Self::CutShort | Self::ShortBytes(_) => "cut_short",
            Self::NotANumber { .. } | Self::NotJson { .. } => "not_json",
            Self::Senml { .. } => "not_senml",
            Self::NotSparkplug(_) => "not_sparkplug",
            Self::SparkplugGap => "sparkplug_gap",
            Self::SparkplugUnborn(_) => "sparkplug_unborn",
            Self::SparkplugAlias => "sparkplug_alias",
            Self::NotUplink(_) => "not_uplink",
            Self::NoLayout(_) => "no_layout",
            Self::NotLpp(_) => "not_lpp",
            Self::NotCbor { .. } => "not_cbor",
            Self::NotMsgPack { .. } => "not_msgpack",
            Self::Compressed(_) => "compressed",
            Self::Shape(_) | Self::BareValue => "shape",
            Self::Encoding(_) => "encoding",
            Self::TimeRange => "time",
            Self::Ambiguous => "ambiguous",
            Self::TooLarge(_)
            | Self::Expansion
            | Self::Hours(_)
            | Self::Depth
            | Self::Samples
            | Self::Names
            | Self::EmptyName
            | Self::LongName
            | Self::LongText
            | Self::LongUnit
            | Self::NumberRange => "limit",
        }
    }
}
