//! What a reading is.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::delivery::Delivery;
use crate::limits::{MAX_INTEGER, MAX_NUMBER, MIN_NUMBER};
use crate::time::Micros;

/// A device as the broker knows it: `{site}/{device}`. The partition key of both tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(Arc<str>);

impl DeviceId {
    /// Wraps `{site}/{device}` as it is stored.
    pub fn from_stored(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// `{site}/{device}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the slash: the client id of a device that speaks for itself, and the name of its thing.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_site, name)| name)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a metric; nested names are joined by dots (`battery.level`).
pub type Metric = Arc<str>;

/// One decoded value, made canonical: two values that mean the same number are equal.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number that is no integer, or one of too many digits to keep. Finite, and within DynamoDB's range.
    Float(f64),
    /// An integer of at most [`MAX_INTEGER_DIGITS`](crate::limits::MAX_INTEGER_DIGITS) digits, all of which are kept.
    Integer(i128),
    /// A truth value.
    Boolean(bool),
    /// A text, at most [`MAX_TEXT_BYTES`](crate::limits::MAX_TEXT_BYTES) long.
    Text(Arc<str>),
}

impl Value {
    /// The canonical value of a float: an integer if it is one, so that a metric which is `22`
    /// today and `22.0` tomorrow stays one metric (AWS IoT SQL writes `10.0` as `10`).
    /// `None` for what a DynamoDB number cannot hold.
    pub fn from_f64(number: f64) -> Option<Self> {
        if number == 0.0 {
            return Some(Self::Integer(0));
        }
        if !(MIN_NUMBER..MAX_NUMBER).contains(&number.abs()) {
            return None;
        }
        // 2⁶⁴ is exact in a double; what lies below it and has no fraction casts exactly.
        let fits = number.fract() == 0.0
            && (-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&number);
        #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
        Some(if fits { Self::Integer(number as i128) } else { Self::Float(number) })
    }

    /// The number that digits say, in JSON's way of writing one: an integer if it has no fraction, no exponent and not
    /// too many digits, else the nearest double. `None` for what a DynamoDB number cannot hold.
    pub(crate) fn from_digits(digits: &str) -> Option<Self> {
        match digits.parse::<i128>() {
            Ok(integer) if integer.unsigned_abs() < MAX_INTEGER => Some(Self::from_integer(integer)),
            _ => Self::from_f64(digits.parse().ok().filter(|number: &f64| number.is_finite())?),
        }
    }

    /// The number, to the nearest double; `None` of truth values and texts.
    #[expect(clippy::cast_precision_loss, reason = "to the nearest double")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            Self::Integer(number) => Some(*number as f64),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }

    /// The canonical value of an integer. One of more than 64 bits that is a float's shortest decimal is that float:
    /// DynamoDB does not tell `1E+20` from `100000000000000000000`.
    pub fn from_integer(integer: i128) -> Self {
        let is_of_64_bits = (i64::MIN.into()..=u64::MAX.into()).contains(&integer);
        #[expect(clippy::cast_precision_loss, reason = "what is lost is looked for on the next line")]
        let float = integer as f64;
        let is_shortest = !is_of_64_bits && float.to_string().parse() == Ok(integer);
        if is_shortest { Self::Float(float) } else { Self::Integer(integer) }
    }

    /// As [`Value::from_f64`], for numbers of formats that have more of them: NaN and the infinities are the texts
    /// `NaN`, `Infinity` and `-Infinity`, of bad quality. `None` for what a DynamoDB number cannot hold.
    pub(crate) fn from_any_f64(number: f64) -> Option<(Self, Quality)> {
        let word = match number {
            _ if number.is_nan() => "NaN",
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => return Self::from_f64(number).map(|value| (value, Quality::Good)),
        };
        Some((Self::Text(Arc::from(word)), Quality::Bad))
    }

    /// As [`Value::from_any_f64`]; what cannot be stored is the text of its digits, of bad quality.
    pub(crate) fn from_every_f64(number: f64) -> (Self, Quality) {
        let digits = || (Self::Text(format!("{number:e}").into()), Quality::Bad);
        Self::from_any_f64(number).unwrap_or_else(digits)
    }

    /// As [`Value::from_any_f64`], for numbers of 32 bits: the shortest decimal that is this number in 32 bits, so that
    /// what a device measured as `22.1` is `22.1`, and not what 64 bits show of the rounding, `22.100000381469727`.
    /// Numbers without a fraction are exact as they are.
    pub(crate) fn from_any_f32(number: f32) -> Option<(Self, Quality)> {
        let double = f64::from(number);
        let has_fraction = number.is_finite() && number.fract() != 0.0;
        let shortest = has_fraction.then(|| zmij::Buffer::new().format_finite(number).parse().ok());
        Self::from_any_f64(shortest.flatten().unwrap_or(double))
    }
}

/// As a person writes it: `22.5`, `true`, text without quotes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(number) => f.write_str(zmij::Buffer::new().format_finite(*number)),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(flag) => flag.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Integer(number) => serializer.serialize_i128(*number),
            Self::Boolean(flag) => serializer.serialize_bool(*flag),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The unit of a value, and the unit as it was sent where that is another. As wide as one pointer: every reading has
/// room for it, and readings are moved about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(Arc<UnitTexts>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct UnitTexts {
    unit: Box<str>,
    sent: Option<Box<str>>,
}

impl Unit {
    /// The unit `unit`, of a value that was sent in `sent`.
    pub fn new(unit: &str, sent: Option<&str>) -> Self {
        let sent = sent.filter(|sent| *sent != unit).map(Box::from);
        Self(Arc::new(UnitTexts { unit: unit.into(), sent }))
    }

    /// The unit of the value.
    pub fn as_str(&self) -> &str {
        &self.0.unit
    }

    /// The unit as it was sent, where that is another.
    pub fn sent(&self) -> Option<&str> {
        self.0.sent.as_deref()
    }
}

impl From<&str> for Unit {
    fn from(unit: &str) -> Self {
        Self::new(unit, None)
    }
}

impl std::ops::Deref for Unit {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// How far a value can be trusted (the three levels of OPC UA's status codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Quality {
    /// As measured.
    #[default]
    Good,
    /// Measured, with doubt.
    Uncertain,
    /// Not to be used; kept as evidence.
    Bad,
}

/// Where a reading's time came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TimeSource {
    /// The device wrote it into the payload.
    #[default]
    Device,
    /// It is part of the format: SenML's resolved time, the timestamp of a Sparkplug metric.
    Format,
    /// A server between device and broker stamped it, as LoRaWAN network servers do.
    Broker,
    /// There is none, or none that is accepted; it is the broker's arrival time.
    Arrival,
}

/// What was done to the time that was sent, and that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Correction {
    /// Why it was not taken as it is.
    pub reason: CorrectionReason,
    /// As sent; as if it were UTC where it has no zone.
    pub sent: Micros,
}

/// Why a reading's time is not the one that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CorrectionReason {
    /// It had no zone, and was read in that of the profile or the policy.
    Zone,
    /// Its counter of 32 bits had run over.
    Wrap,
    /// Its clock counts from when the device was switched on: only the distances within the message count.
    Boot,
    /// It is outside of what the policy accepts; the reading has its arrival time.
    Outside,
}

/// Enums that are stored and printed as one word, and read back from it.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ }) => {
        impl $type {
            /// The word that is stored and printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The reverse of [`Self::as_str`].
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(Quality { Good = "good", Uncertain = "uncertain", Bad = "bad" });
words!(TimeSource { Device = "device", Format = "format", Broker = "broker", Arrival = "arrival" });
words!(CorrectionReason { Zone = "zone", Wrap = "wrap", Boot = "boot", Outside = "outside" });

/// Tells apart readings of one device, metric and time: with these it is a reading's identity.
///
/// 0 where nothing else is said. Of several samples of one metric and time in one message it is their ordinal. Of a
/// reading whose time is that of its arrival it is a hash of the delivery (48 bits) followed by the place of its record
/// in the message (14 bits): the same again when the message is delivered again, and another for any other message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// Bits of a record's place; a message has at most [`MAX_SAMPLES`](crate::limits::MAX_SAMPLES) records.
    const PLACE_BITS: u32 = 14;

    /// The `seq` of a reading of the record at `place` in a delivery.
    pub fn of_delivery(delivery: Delivery, place: u32) -> Self {
        Self((delivery.hash48() << Self::PLACE_BITS) | u64::from(place))
    }

    /// Whether nothing else tells the reading apart: then it is not stored, and not shown.
    pub fn is_none(&self) -> bool {
        self.0 == 0
    }

    /// Whether the delivery is in it.
    pub(crate) fn is_of_delivery(self) -> bool {
        self.0 >> Self::PLACE_BITS != 0
    }

    /// The place of its record, where the delivery is in it.
    pub(crate) fn place(self) -> Option<u32> {
        let place = self.0 & ((1 << Self::PLACE_BITS) - 1);
        self.is_of_delivery().then(|| u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// That of the record at another place of the same delivery.
    #[must_use]
    pub(crate) fn at_place(self, place: u32) -> Self {
        Self((self.0 >> Self::PLACE_BITS << Self::PLACE_BITS) | u64::from(place))
    }
}

/// Decimal. In JSON it is a text, because 62 bits exceed what a double holds.
impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One value of one metric of one device at one time. Identified by device, metric, time and `seq`: of two readings
/// with the same identity, the one of the greater [`Precedence`](crate::Precedence) replaces the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Who measured it.
    pub device: DeviceId,
    /// What was measured.
    pub metric: Metric,
    /// When it was measured.
    pub at: Micros,
    /// What tells it apart from others of this device, metric and time.
    pub seq: Seq,
    /// When the broker received the message: its millisecond, with microseconds that are the delivery's own
    /// ([`Delivery::sub_millis`]).
    pub received: Micros,
    /// When the profile that it was read by was put; 0 without one.
    pub revision: Micros,
    /// What was measured.
    pub value: Value,
    /// Unit of the value, where one is known.
    pub unit: Option<Unit>,
    /// How far to trust it.
    pub quality: Quality,
    /// Where `at` came from.
    pub time_source: TimeSource,
    /// What was done to the time that was sent, where anything was.
    pub correction: Option<Box<Correction>>,
}

impl Reading {
    /// What identifies it among the readings of its device and metric, in the order of time.
    pub fn instant(&self) -> (Micros, Seq) {
        (self.at, self.seq)
    }

    /// Whether this reading is to be shown as the latest of its metric in place of `other`: it is newer or, of the same
    /// identity, replaces it.
    pub(crate) fn is_later_than(&self, other: &Self) -> bool {
        self.instant().cmp(&other.instant()).then_with(|| self.precedence().cmp(&other.precedence()))
            == Ordering::Greater
    }

    /// Whether two readings say the same: value, unit and quality.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let has_unit = self.unit.as_deref() == other.unit.as_deref();
        has_unit && self.value == other.value && self.quality == other.quality
    }

    /// Orders the readings of a device by time, `seq` and metric; of two of one identity the one that replaces the other
    /// comes first.
    pub(crate) fn canonical_cmp(&self, other: &Self) -> Ordering {
        self.instant()
            .cmp(&other.instant())
            .then_with(|| self.metric.cmp(&other.metric))
            .then_with(|| other.precedence().cmp(&self.precedence()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_without_a_fraction_is_an_integer() {
        let check =
            |number: f64, expected: Option<Value>| assert_eq!(Value::from_f64(number), expected, "{number}");
        check(22.5, Some(Value::Float(22.5)));
        check(22.0, Some(Value::Integer(22)));
        check(-0.0, Some(Value::Integer(0)));
        check(1e15, Some(Value::Integer(1_000_000_000_000_000)));
        check(18_446_744_073_709_549_568.0, Some(Value::Integer(18_446_744_073_709_549_568)));
        check(18_446_744_073_709_551_616.0, Some(Value::Float(18_446_744_073_709_551_616.0)));
        check(-9_223_372_036_854_775_808.0, Some(Value::Integer(i64::MIN.into())));
        check(1e125, Some(Value::Float(1e125)));
        check(1e126, None);
        check(1e-131, None);
        check(f64::NAN, None);
        check(f64::NEG_INFINITY, None);
    }

    #[test]
    fn a_float_of_32_bits_is_its_shortest_decimal() {
        let check = |number: f32, expected: Value| {
            assert_eq!(Value::from_any_f32(number), Some((expected, Quality::Good)), "{number}");
        };
        check(22.1, Value::Float(22.1));
        check(-0.007, Value::Float(-0.007));
        check(1e-20, Value::Float(1e-20));
        check(22.0, Value::Integer(22));
        check(-0.0, Value::Integer(0));
        check(16_777_216.0, Value::Integer(16_777_216));
        check(123_456_792.0, Value::Integer(123_456_792));
        let text = |text: &str| Some((Value::Text(text.into()), Quality::Bad));
        assert_eq!(Value::from_any_f32(f32::NAN), text("NaN"));
        assert_eq!(Value::from_any_f32(f32::NEG_INFINITY), text("-Infinity"));
    }

    #[test]
    fn words_read_back() {
        for quality in [Quality::Good, Quality::Uncertain, Quality::Bad] {
            assert_eq!(Quality::from_word(quality.as_str()), Some(quality));
        }
        for source in [TimeSource::Device, TimeSource::Format, TimeSource::Broker, TimeSource::Arrival] {
            assert_eq!(TimeSource::from_word(source.as_str()), Some(source));
        }
        assert_eq!(Quality::from_word("fine"), None);
    }
}
