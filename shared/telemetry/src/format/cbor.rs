//! CBOR payloads (RFC 8949): the shapes of JSON, and beside them byte strings (as base64 text), names that are
//! integers, and the tags for times (0, 1), large integers (2, 3) and decimal fractions (4). Other tags are passed over: what they say of an
//! item, such as that a text is an address, makes it no other value.

use std::borrow::Cow;

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use serde::de::DeserializeSeed;

use super::Context;
use super::items::{self, Document, Item, Items};
use crate::limits::{MAX_INTEGER, MAX_TEXT_BYTES};
use crate::reject::Reject;
use crate::sample::Payload;
use crate::time::Micros;

/// The tags that say what an item means (RFC 8949, 3.4).
mod tag {
    pub(super) const TEXT_TIME: u64 = 0;
    pub(super) const EPOCH_TIME: u64 = 1;
    pub(super) const BIG_POSITIVE: u64 = 2;
    pub(super) const BIG_NEGATIVE: u64 = 3;
    pub(super) const DECIMAL_FRACTION: u64 = 4;
}

/// The tag that says that what follows is CBOR, as bytes (RFC 8949, 3.4.6).
const SELF_DESCRIBED: [u8; 3] = [0xd9, 0xd9, 0xf7];

/// Whether bytes begin as a map, a list, or a document that says of itself that it is CBOR. No text begins so: these
/// bytes only continue a character of UTF-8, or begin one whose second byte is another.
pub(super) fn is_probable(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80..=0xbf, ..]) || bytes.starts_with(&SELF_DESCRIBED)
}

/// Adds the samples of a CBOR document to `payload`.
pub(crate) fn decode(bytes: &[u8], context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
    items::decode(CborItems(Decoder::new(bytes)), bytes.len(), context, payload)
}

/// Reads a CBOR document.
pub(super) fn read<'de, T: DeserializeSeed<'de>>(bytes: &'de [u8], seed: T) -> Result<T::Value, Reject> {
    items::read(CborItems(Decoder::new(bytes)), bytes.len(), seed)
}

/// A CBOR document of which not all may be read.
pub(super) fn document(bytes: &[u8]) -> Document<impl Items<'_>> {
    Document::new(CborItems(Decoder::new(bytes)))
}

/// The items of a CBOR document.
struct CborItems<'de>(Decoder<'de>);

impl<'de> Items<'de> for CborItems<'de> {
    fn next_item(&mut self) -> Result<Item<'de>, Reject> {
        while self.kind()? == Type::Tag {
            let tag = self.0.tag().map_err(|error| self.explain(&error, "a tag cannot be read"))?;
            match tag.as_u64() {
                tag::TEXT_TIME => return self.text_time(),
                tag::EPOCH_TIME => return self.epoch_time(),
                tag::BIG_POSITIVE => return self.large_integer(Sign::Positive),
                tag::BIG_NEGATIVE => return self.large_integer(Sign::Negative),
                tag::DECIMAL_FRACTION => return self.decimal_fraction(),
                _ => {}
            }
        }
        self.untagged()
    }

    fn take_break(&mut self) -> Result<bool, Reject> {
        let is_break = self.kind()? == Type::Break;
        if is_break {
            self.0.set_position(self.0.position() + 1);
        }
        Ok(is_break)
    }

    fn position(&self) -> usize {
        self.0.position()
    }

    fn malformed(&self, what: &'static str) -> Reject {
        Reject::NotCbor { what, at: self.0.position() }
    }
}

impl<'de> CborItems<'de> {
    fn kind(&self) -> Result<Type, Reject> {
        self.0.datatype().map_err(|error| self.explain(&error, "no item begins"))
    }

    fn explain(&self, error: &Error, what: &'static str) -> Reject {
        if error.is_end_of_input() { Reject::CutShort } else { self.malformed(what) }
    }

    fn untagged(&mut self) -> Result<Item<'de>, Reject> {
        let kind = self.kind()?;
        let item = match kind {
            Type::Null => self.0.null().map(|()| Item::Null),
            Type::Undefined => self.0.undefined().map(|()| Item::Null),
            Type::Bool => self.0.bool().map(Item::Boolean),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
                self.0.u64().map(|number| Item::Integer(number.into()))
            }
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                self.0.int().map(|number| Item::Integer(number.into()))
            }
            Type::F16 => self.0.f16().map(Item::Single),
            Type::F32 => self.0.f32().map(Item::Single),
            Type::F64 => self.0.f64().map(Item::Double),
            Type::String => self.0.str().map(|text| Item::Text(Cow::Borrowed(text))),
            Type::StringIndef => {
                let chunks = self.0.str_iter().and_then(Iterator::collect::<Result<String, _>>);
                chunks.map(|text| Item::Text(Cow::Owned(text)))
            }
            Type::Bytes => self.0.bytes().map(|bytes| Item::Bytes(Cow::Borrowed(bytes))),
            Type::BytesIndef => {
                let chunks = self.0.bytes_iter().and_then(Iterator::collect::<Result<Vec<&[u8]>, _>>);
                chunks.map(|chunks| Item::Bytes(Cow::Owned(chunks.concat())))
            }
            Type::Array | Type::ArrayIndef => self.0.array().map(Item::List),
            Type::Map | Type::MapIndef => self.0.map().map(Item::Map),
            Type::Break => return Ok(Item::Break),
            Type::Tag => return Err(self.malformed("a tag stands within a tag that allows none")),
            // A simple value that no standard defines yet.
            Type::Simple => self.0.simple().map(|number| Item::Unstorable(format!("simple({number})"))),
            Type::Unknown(_) => return Err(self.malformed("a reserved value stands")),
        };
        item.map_err(|error| self.explain(&error, Self::fault_of(kind)))
    }

    fn fault_of(kind: Type) -> &'static str {
        match kind {
            Type::String | Type::StringIndef => "a text is not UTF-8, or not made of texts",
            Type::BytesIndef => "a byte string is not made of byte strings",
            _ => "an item cannot be read",
        }
    }

    fn text_time(&mut self) -> Result<Item<'de>, Reject> {
        let at = match self.untagged()? {
            Item::Text(text) => Micros::from_any_rfc3339(&text),
            _ => None,
        };
        at.map(Item::Time).ok_or_else(|| self.malformed("a tagged time is none"))
    }

    fn epoch_time(&mut self) -> Result<Item<'de>, Reject> {
        let at = match self.untagged()? {
            Item::Integer(seconds) => seconds.checked_mul(1_000_000).and_then(|at| i64::try_from(at).ok()),
            Item::Single(seconds) => micros_of(seconds.into()),
            Item::Double(seconds) => micros_of(seconds),
            _ => None,
        };
        let at = at.map(Micros).filter(|at| at.has_date());
        at.map(Item::Time).ok_or_else(|| self.malformed("a tagged time is none"))
    }

    /// A list of an exponent of ten and the integer that is multiplied by that power (RFC 8949, 3.4.4).
    fn decimal_fraction(&mut self) -> Result<Item<'de>, Reject> {
        let parts = (self.untagged()?, self.untagged()?, self.untagged()?);
        let (Item::List(Some(2)), Item::Integer(exponent), Item::Integer(mantissa)) = parts else {
            return Err(self.malformed("a decimal fraction is no list of two integers"));
        };
        // As text, so that it is rounded once.
        let text = format!("{mantissa}e{exponent}");
        let number: Option<f64> = text.parse().ok();
        let is_lost = |number: f64| !number.is_finite() || (number == 0.0 && mantissa != 0);
        Ok(number.filter(|number| !is_lost(*number)).map_or(Item::Unstorable(text), Item::Double))
    }

    /// The integer that a byte string is, its most significant byte first; of tag 3 the number -1 - n (RFC 8949, 3.4.3).
    /// One of too many digits to keep is the nearest double.
    fn large_integer(&mut self, sign: Sign) -> Result<Item<'de>, Reject> {
        let Item::Bytes(bytes) = self.untagged()? else {
            return Err(self.malformed("a large integer is no byte string"));
        };
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = bytes.get(zeros..).unwrap_or_default();
        let (first, rest) = digits.split_at(digits.len().min(size_of::<u128>()));
        let leading = first.iter().fold(0_u128, |number, digit| number << 8 | u128::from(*digit));
        let magnitude = if sign == Sign::Negative { leading.saturating_add(1) } else { leading };
        if let Some(integer) =
            i128::try_from(magnitude).ok().filter(|_| rest.is_empty() && magnitude < MAX_INTEGER)
        {
            return Ok(Item::Integer(if sign == Sign::Negative { -integer } else { integer }));
        }
        // That there is more decides which double is the nearest, where two are about as near.
        let is_more = rest.iter().any(|digit| *digit != 0);
        let exponent = i32::try_from(8 * rest.len()).unwrap_or(i32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "to the nearest double")]
        let double = (magnitude | u128::from(is_more)) as f64 * 2_f64.powi(exponent);
        if double.is_finite() {
            return Ok(Item::Double(if sign == Sign::Negative { -double } else { double }));
        }
        let hex = digits.iter().take(MAX_TEXT_BYTES / 4).map(|digit| format!("{digit:02x}"));
        let mark = if sign == Sign::Negative { "-1-0x" } else { "0x" };
        Ok(Item::Unstorable(format!("{mark}{}", hex.collect::<String>())))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Positive,
    Negative,
}

/// Seconds since 1970 as microseconds. `None` for what is no number.
fn micros_of(seconds: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and no calendar has such a date")]
    seconds.is_finite().then(|| (seconds * 1e6).round() as i64)
}
