//! Whether a document is a SenML pack, by a look at its first record.
//!
//! `[{"n": "a", "v": 1}]` is a pair as well, and stays one: it means the same, and pairs may have names that SenML's
//! cannot be. A pack has something that pairs have not: a base field, a DEV URN as name, a text, truth value, data or
//! sum by its label, or a time that counts from now.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::number::Number;
use super::record::{Field, Label};
use super::{Labels, RELATIVE_BELOW, name};
use crate::format::cbor;
use crate::format::shape::Key;

/// Whether a document is a SenML pack.
pub(in crate::format) fn is_pack(bytes: &[u8]) -> bool {
    if cbor::is_probable(bytes) {
        return has_first_record(&mut cbor::document(bytes), Labels::Cbor);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    begins_with_label(bytes).unwrap_or(false)
        && has_first_record(&mut serde_json::Deserializer::from_slice(bytes), Labels::Json)
}

/// Whether a document may be a pack: an array whose first object begins with a label, or has one of a base field. Tells
/// nearly all other JSON at once.
fn begins_with_label(bytes: &[u8]) -> Option<bool> {
    let array = bytes.trim_ascii_start().strip_prefix(b"[")?;
    let object = array.trim_ascii_start().strip_prefix(b"{")?;
    let key = object.trim_ascii_start().strip_prefix(b"\"")?;
    let key = key.split(|byte| *byte == b'"').next()?;
    let key = std::str::from_utf8(key.get(..key.len().min(4))?).ok()?;
    let members = object.split(|byte| *byte == b'}').next()?;
    Some(Label::of(key, Labels::Json).is_some() || members.windows(2).any(|pair| pair == b"\"b"))
}

/// Whether the first record of a document, whose labels would be written in this way, is one of SenML.
fn has_first_record<'de, D: Deserializer<'de>>(document: D, labels: Labels) -> bool {
    let mut look = Look { labels, is_pack: false };
    // The rest of the document is left unread, of which a parser complains.
    let _unread = document.deserialize_seq(&mut look);
    look.is_pack
}

struct Look {
    labels: Labels,
    is_pack: bool,
}

impl<'de> Visitor<'de> for &mut Look {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let first = seq.next_element_seed(FirstRecord(self.labels))?;
        self.is_pack = first.is_some_and(|signs| signs.are_of_a_pack());
        Ok(())
    }
}

/// What the first record shows.
#[derive(Default)]
struct Signs {
    /// A name of allowed characters.
    has_name: bool,
    /// Something that only SenML has.
    has_own: bool,
    /// How many base fields, DEV URNs and labels that are integers: nothing else has these.
    sure: usize,
    has_value: bool,
    /// A member that SenML does not know, which it passes over.
    has_unknown: bool,
}

struct FirstRecord(Labels);

impl<'de> DeserializeSeed<'de> for FirstRecord {
    type Value = Signs;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Signs, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FirstRecord {
    type Value = Signs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Signs, A::Error> {
        let mut signs = Signs::default();
        while let Some(key) = map.next_key_seed(Key)? {
            let Some(label) = Label::of(&key, self.0) else {
                signs.has_unknown = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            // A label that is an integer is a sign in itself.
            signs.sure += usize::from(label.is_base() || !key.starts_with(|c: char| c.is_ascii_alphabetic()));
            signs.has_value |= label.is_value();
            signs.take(label, &map.next_value()?).ok_or_else(|| A::Error::custom("another type"))?;
        }
        Ok(signs)
    }
}

impl Signs {
    /// Beside members of which SenML knows nothing, one sign may be chance.
    fn are_of_a_pack(&self) -> bool {
        let is_sure = if self.has_unknown {
            self.sure > 1 || (self.sure > 0 && self.has_value)
        } else {
            self.sure > 0 || self.has_own
        };
        self.has_name && is_sure
    }

    /// Takes notice of a field. `None` if SenML's is of another type.
    fn take(&mut self, label: Label, field: &Field<'_>) -> Option<()> {
        match (label, field) {
            (Label::Name | Label::BaseName, Field::Text(text)) if name::has_allowed_characters(text) => {
                self.has_name = true;
                self.sure += usize::from(text.starts_with("urn:dev:"));
            }
            (Label::Text | Label::Data | Label::ObjectLink, Field::Text(_))
            | (Label::Data, Field::Bytes(_))
            | (Label::Boolean, Field::Boolean(_))
            | (Label::Sum, Field::Number(_))
            | (Label::BaseUnit, Field::Text(_)) => self.has_own = true,
            (Label::Value | Label::UpdateTime, Field::Number(_)) | (Label::Unit, Field::Text(_)) => {}
            (Label::Time, Field::Number(time)) => {
                self.has_own |= time.micros().is_some_and(|time| time < RELATIVE_BELOW);
            }
            (label, Field::Number(Number::Integer(_) | Number::Float(_))) if label.is_base() => {
                self.has_own |= label != Label::BaseName && label != Label::BaseUnit;
            }
            _ => return None,
        }
        Some(())
    }
}
