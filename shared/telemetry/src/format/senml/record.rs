//! One record of a SenML pack, as it stands there.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::Labels;
use super::number::Number;
use crate::format::shape::Key;
use crate::limits::MAX_TEXT_BYTES;

/// What a field says (RFC 8428, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    BaseVersion,
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    Name,
    Unit,
    Value,
    Text,
    Boolean,
    Sum,
    Time,
    UpdateTime,
    Data,
    /// A link to another object, as text (LwM2M Core 1.1, 7.4.4).
    ObjectLink,
}

impl Label {
    /// The label that `key` is, of a format that writes them in this way.
    pub(super) fn of(key: &str, labels: Labels) -> Option<Self> {
        if labels == Labels::Lwm2m {
            return Self::of_lwm2m(key);
        }
        let named = match key {
            "bver" => Self::BaseVersion,
            "bn" => Self::BaseName,
            "bt" => Self::BaseTime,
            "bu" => Self::BaseUnit,
            "bv" => Self::BaseValue,
            "bs" => Self::BaseSum,
            "n" => Self::Name,
            "u" => Self::Unit,
            "v" => Self::Value,
            "vs" => Self::Text,
            "vb" => Self::Boolean,
            "s" => Self::Sum,
            "t" => Self::Time,
            "ut" => Self::UpdateTime,
            "vd" => Self::Data,
            "vlo" => Self::ObjectLink,
            _ => return if labels == Labels::Cbor { Self::numbered(key) } else { None },
        };
        Some(named)
    }

    /// The labels of an entry of LwM2M JSON (OMA LwM2M 1.0, 6.4.4).
    fn of_lwm2m(key: &str) -> Option<Self> {
        match key {
            "n" => Some(Self::Name),
            "t" => Some(Self::Time),
            "v" => Some(Self::Value),
            "sv" => Some(Self::Text),
            "bv" => Some(Self::Boolean),
            "ov" => Some(Self::ObjectLink),
            _ => None,
        }
    }

    /// The labels of CBOR (RFC 8428, section 6).
    fn numbered(key: &str) -> Option<Self> {
        let label = match key {
            "-1" => Self::BaseVersion,
            "-2" => Self::BaseName,
            "-3" => Self::BaseTime,
            "-4" => Self::BaseUnit,
            "-5" => Self::BaseValue,
            "-6" => Self::BaseSum,
            "0" => Self::Name,
            "1" => Self::Unit,
            "2" => Self::Value,
            "3" => Self::Text,
            "4" => Self::Boolean,
            "5" => Self::Sum,
            "6" => Self::Time,
            "7" => Self::UpdateTime,
            "8" => Self::Data,
            _ => return None,
        };
        Some(label)
    }

    pub(super) fn is_base(self) -> bool {
        matches!(
            self,
            Self::BaseVersion
                | Self::BaseName
                | Self::BaseTime
                | Self::BaseUnit
                | Self::BaseValue
                | Self::BaseSum
        )
    }

    pub(super) fn is_value(self) -> bool {
        matches!(self, Self::Value | Self::Text | Self::Boolean | Self::Data | Self::ObjectLink)
    }
}

/// A record before it is resolved.
#[derive(Default)]
pub(super) struct Record<'de> {
    pub(super) base_version: Option<Number>,
    pub(super) base_name: Option<Cow<'de, str>>,
    pub(super) base_time: Option<Number>,
    pub(super) base_unit: Option<Cow<'de, str>>,
    pub(super) base_value: Option<Number>,
    pub(super) base_sum: Option<Number>,
    pub(super) name: Option<Cow<'de, str>>,
    pub(super) unit: Option<Cow<'de, str>>,
    pub(super) time: Option<Number>,
    pub(super) sum: Option<Number>,
    pub(super) content: Option<Content>,
    /// Whether its value is null, which is none.
    pub(super) is_null: bool,
    /// Whether nothing stands in it but what holds for later records.
    pub(super) has_bases_only: bool,
    /// Why it cannot be taken: the first fault.
    pub(super) fault: Option<&'static str>,
}

/// The value of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Number(Number),
    Boolean(bool),
    Text(Arc<str>),
    /// What no value can hold, as text.
    Unstorable(Arc<str>),
}

impl<'de> Record<'de> {
    fn blame(&mut self, fault: &'static str) {
        self.fault = self.fault.or(Some(fault));
    }

    fn take(&mut self, label: Label, field: Field<'de>) {
        self.has_bases_only &= label.is_base();
        if label.is_value() {
            return self.take_content(label, field);
        }
        let is_taken = match label {
            Label::BaseVersion => field.put_number(&mut self.base_version),
            Label::BaseName => field.put_text(&mut self.base_name),
            Label::BaseTime => field.put_number(&mut self.base_time),
            Label::BaseUnit => field.put_text(&mut self.base_unit),
            Label::BaseValue => field.put_number(&mut self.base_value),
            Label::BaseSum => field.put_number(&mut self.base_sum),
            Label::Name => field.put_text(&mut self.name),
            Label::Unit => field.put_text(&mut self.unit),
            Label::Time => field.put_number(&mut self.time),
            Label::Sum => field.put_number(&mut self.sum),
            // How soon the next value comes at the latest: no sample.
            _ => field.put_number(&mut None),
        };
        if !is_taken {
            self.blame("has a field whose value is of another type than SenML's");
        }
    }

    fn take_content(&mut self, label: Label, field: Field<'_>) {
        if matches!(field, Field::Null) {
            self.is_null = true;
            return;
        }
        if self.content.is_some() {
            return self.blame("has more than one value");
        }
        match content(label, field) {
            Ok(content) => self.content = Some(content),
            Err(fault) => self.blame(fault),
        }
    }
}

/// The value that a field says.
fn content(label: Label, field: Field<'_>) -> Result<Content, &'static str> {
    match (label, field) {
        (Label::Value, Field::Number(number)) => Ok(Content::Number(number)),
        (Label::Value, Field::Unstorable(text)) => Ok(Content::Unstorable(text)),
        (Label::Boolean, Field::Boolean(flag)) => Ok(Content::Boolean(flag)),
        (Label::Text | Label::ObjectLink, Field::Text(text)) => bounded(&text),
        (Label::Data, Field::Bytes(bytes)) => data(&bytes),
        (Label::Data, Field::Text(text)) if text.len() > 2 * MAX_TEXT_BYTES => Err(TOO_LONG),
        (Label::Data, Field::Text(text)) => {
            let text = text.trim_end_matches('=');
            let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text);
            data(&bytes.map_err(|_| "has data that are not base64 of the alphabet for URLs")?)
        }
        _ => Err("has a value of another type than its label says"),
    }
}

const TOO_LONG: &str = "has a text or data longer than 1024 bytes";

fn bounded(text: &str) -> Result<Content, &'static str> {
    if text.len() > MAX_TEXT_BYTES { Err(TOO_LONG) } else { Ok(Content::Text(Arc::from(text))) }
}

fn data(bytes: &[u8]) -> Result<Content, &'static str> {
    // Three bytes are four letters: nothing is written out only to be refused.
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(TOO_LONG);
    }
    bounded(&base64_simd::STANDARD.encode_to_string(bytes))
}

/// Reads a record whose labels are written in this way.
pub(super) struct RecordSeed(pub(super) Labels);

impl<'de> DeserializeSeed<'de> for RecordSeed {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let mut record = Record { has_bases_only: true, ..Record::default() };
        while let Some(key) = map.next_key_seed(Key)? {
            if let Some(label) = Label::of(&key, self.0) {
                record.take(label, map.next_value()?);
                continue;
            }
            if key.ends_with('_') {
                record.blame("has a field that must be understood, and is not: its label ends in '_'");
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(record)
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field<'de> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'de, str>),
    Bytes(Vec<u8>),
    /// A number that is too large, or a value that is not defined.
    Unstorable(Arc<str>),
    /// A list, a map, or anything else that no field of SenML is.
    Other,
}

impl<'de> Field<'de> {
    /// Whether it could be put where a number belongs. Null is as if it were not there.
    pub(super) fn put_number(self, place: &mut Option<Number>) -> bool {
        match self {
            Self::Number(number) => *place = Some(number),
            Self::Null => {}
            _ => return false,
        }
        true
    }

    /// As [`Field::put_number`], for a text.
    pub(super) fn put_text(self, place: &mut Option<Cow<'de, str>>) -> bool {
        match self {
            Self::Text(text) => *place = Some(text),
            Self::Null => {}
            _ => return false,
        }
        true
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Field<'de>, E> {
        Ok(Field::Boolean(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Field<'de>, E> {
        Ok(Field::Number(Number::Integer(number.into())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(Field::Number(Number::Integer(number.into())))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Field<'de>, E> {
        Ok(Field::Number(Number::Integer(number)))
    }

    fn visit_f32<E: Error>(self, number: f32) -> Result<Field<'de>, E> {
        Ok(Field::Number(Number::from_f32(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Field<'de>, E> {
        Ok(Field::Number(Number::Float(number)))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Field<'de>, E> {
        Ok(Field::Bytes(bytes.to_vec()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        String::deserialize(deserializer).map(|text| Field::Unstorable(text.into()))
    }

    /// A time that CBOR has a tag for; SenML's times are numbers.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}
