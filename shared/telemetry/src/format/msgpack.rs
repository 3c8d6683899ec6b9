//! MessagePack payloads: the shapes of JSON, and beside them byte strings (as base64 text), names that are integers,
//! and the timestamp extension. Other extensions are opaque, and kept as byte strings are.
//! Written from the specification (github.com/msgpack/msgpack/blob/master/spec.md).

use std::borrow::Cow;

use super::Context;
use super::items::{self, Item, Items};
use crate::reject::Reject;
use crate::sample::Payload;
use crate::time::Micros;

/// The type number of the timestamp extension, -1.
const TIMESTAMP: u8 = 0xff;
const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Adds the samples of a MessagePack document to `payload`.
pub(crate) fn decode(bytes: &[u8], context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
    items::decode(MsgPackItems { rest: bytes, length: bytes.len() }, bytes.len(), context, payload)
}

/// The items of a MessagePack document.
struct MsgPackItems<'de> {
    rest: &'de [u8],
    length: usize,
}

impl<'de> Items<'de> for MsgPackItems<'de> {
    fn next_item(&mut self) -> Result<Item<'de>, Reject> {
        let [first] = self.array()?;
        match first {
            0x00..=0x7f => Ok(Item::Integer(first.into())),
            0x80..=0x8f => Ok(Item::Map(Some(u64::from(first & 0x0f)))),
            0x90..=0x9f => Ok(Item::List(Some(u64::from(first & 0x0f)))),
            0xa0..=0xbf => self.text(u32::from(first & 0x1f)),
            0xc0 => Ok(Item::Null),
            0xc1 => Err(self.malformed("a reserved byte stands")),
            0xc2 | 0xc3 => Ok(Item::Boolean(first == 0xc3)),
            0xc4..=0xc6 => {
                let length = self.length(first - 0xc4)?;
                self.bytes(length).map(|bytes| Item::Bytes(Cow::Borrowed(bytes)))
            }
            0xc7..=0xc9 => {
                let length = self.length(first - 0xc7)?;
                self.extension(length)
            }
            0xca => Ok(Item::Single(f32::from_be_bytes(self.array()?))),
            0xcb => Ok(Item::Double(f64::from_be_bytes(self.array()?))),
            0xcc => Ok(Item::Integer(u8::from_be_bytes(self.array()?).into())),
            0xcd => Ok(Item::Integer(u16::from_be_bytes(self.array()?).into())),
            0xce => Ok(Item::Integer(u32::from_be_bytes(self.array()?).into())),
            0xcf => Ok(Item::Integer(u64::from_be_bytes(self.array()?).into())),
            0xd0 => Ok(Item::Integer(i8::from_be_bytes(self.array()?).into())),
            0xd1 => Ok(Item::Integer(i16::from_be_bytes(self.array()?).into())),
            0xd2 => Ok(Item::Integer(i32::from_be_bytes(self.array()?).into())),
            0xd3 => Ok(Item::Integer(i64::from_be_bytes(self.array()?).into())),
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4)),
            0xd9..=0xdb => {
                let length = self.length(first - 0xd9)?;
                self.text(length)
            }
            // Lists and maps have no length of one byte.
            0xdc | 0xdd => Ok(Item::List(Some(self.length(first - 0xdb)?.into()))),
            0xde | 0xdf => Ok(Item::Map(Some(self.length(first - 0xdd)?.into()))),
            0xe0..=0xff => Ok(Item::Integer(i8::from_be_bytes([first]).into())),
        }
    }

    fn position(&self) -> usize {
        self.length - self.rest.len()
    }

    fn malformed(&self, what: &'static str) -> Reject {
        Reject::NotMsgPack { what, at: self.position() }
    }
}

impl<'de> MsgPackItems<'de> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Reject::CutShort)?;
        self.rest = rest;
        Ok(*array)
    }

    fn bytes(&mut self, length: u32) -> Result<&'de [u8], Reject> {
        let length = usize::try_from(length).map_err(|_| Reject::CutShort)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Reject::CutShort)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length of one, two or four bytes, as `width` is 0, 1 or 2.
    fn length(&mut self, width: u8) -> Result<u32, Reject> {
        Ok(match width {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    fn text(&mut self, length: u32) -> Result<Item<'de>, Reject> {
        let text = std::str::from_utf8(self.bytes(length)?);
        text.map(|text| Item::Text(Cow::Borrowed(text))).map_err(|_| self.malformed("a text is not UTF-8"))
    }

    fn extension(&mut self, length: u32) -> Result<Item<'de>, Reject> {
        let [kind] = self.array()?;
        let content = self.bytes(length)?;
        if kind != TIMESTAMP {
            return Ok(Item::Bytes(Cow::Borrowed(content)));
        }
        timestamp(content).map(Item::Time).ok_or_else(|| self.malformed("a timestamp is none"))
    }
}

/// The three forms of the timestamp extension, told apart by their lengths; cut to microseconds.
fn timestamp(content: &[u8]) -> Option<Micros> {
    let (seconds, nanos) = match *content {
        [a, b, c, d] => (u32::from_be_bytes([a, b, c, d]).into(), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (i64::try_from(both & ((1 << 34) - 1)).ok()?, u32::try_from(both >> 34).ok()?)
        }
        [a, b, c, d, ref seconds @ ..] => {
            (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes([a, b, c, d]))
        }
        _ => return None,
    };
    let micros = seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000))?;
    Some(Micros(micros)).filter(|at| nanos < NANOS_PER_SECOND && at.has_date())
}
