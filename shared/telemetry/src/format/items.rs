//! One serde deserializer for the binary formats that are made of maps, lists and values, as JSON is.
//!
//! A format says what its next item is ([`Items`]); what is nested in what is followed here. A time, which JSON has
//! not, reaches a visitor as a newtype whose inside is an integer: microseconds since 1970.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{I64Deserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::Context;
use super::shape::{Node, Shape};
use crate::limits::MAX_DEPTH;
use crate::reject::Reject;
use crate::sample::Payload;
use crate::time::Micros;

/// What a document consists of. The length of a list or a map is what the device claims; `None` where a break ends it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item<'de> {
    Null,
    Boolean(bool),
    Integer(i128),
    Single(f32),
    Double(f64),
    Text(Cow<'de, str>),
    Bytes(Cow<'de, [u8]>),
    Time(Micros),
    /// What no value can hold, as text: a number that is too large, a value that is not defined.
    Unstorable(String),
    List(Option<u64>),
    Map(Option<u64>),
    Break,
}

/// A document as a row of items.
pub(crate) trait Items<'de> {
    /// The next item; that of a list or a map is its beginning only.
    fn next_item(&mut self) -> Result<Item<'de>, Reject>;

    /// Takes the next item if it is a break.
    fn take_break(&mut self) -> Result<bool, Reject> {
        Ok(false)
    }

    /// How many bytes have been read.
    fn position(&self) -> usize;

    /// That the bytes just read are not of the format.
    fn malformed(&self, what: &'static str) -> Reject;
}

/// Adds the samples of one document to `payload`.
pub(super) fn decode<'de>(
    items: impl Items<'de>,
    length: usize,
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<(), Reject> {
    let mut shape = Shape::new(context, payload);
    let outcome = read(items, length, Node::payload(&mut shape));
    match shape.finish() {
        Some(reject) => Err(reject),
        None => outcome,
    }
}

/// Reads one document, of so many bytes.
pub(super) fn read<'de, T: DeserializeSeed<'de>>(
    items: impl Items<'de>,
    length: usize,
    seed: T,
) -> Result<T::Value, Reject> {
    if length == 0 {
        return Err(Reject::Empty);
    }
    let mut document = Document::new(items);
    let value = seed.deserialize(&mut document).map_err(|Failure(reject)| reject)?;
    if document.items.position() < length {
        return Err(document.items.malformed("more bytes follow the document"));
    }
    Ok(value)
}

/// Why reading stopped, as serde hands it through.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Reject);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl Error for Failure {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(Reject::Shape("a value of an unexpected type"))
    }
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Self {
        Self(reject)
    }
}

/// A document while it is read.
pub(crate) struct Document<I> {
    items: I,
    depth: usize,
}

impl<'de, I: Items<'de>> Document<I> {
    pub(super) fn new(items: I) -> Self {
        Self { items, depth: 0 }
    }

    /// Runs `read` one level deeper. Visitors bound the depth of what they look at; this bounds what they pass over.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.depth > MAX_DEPTH {
            return Err(Failure(Reject::Depth));
        }
        self.depth += 1;
        let outcome = read(self);
        self.depth -= 1;
        outcome
    }
}

impl<'de, I: Items<'de>> Deserializer<'de> for &mut Document<I> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.items.next_item()? {
            Item::Null => visitor.visit_unit(),
            Item::Boolean(flag) => visitor.visit_bool(flag),
            Item::Integer(number) => visit_integer(number, visitor),
            Item::Single(number) => visitor.visit_f32(number),
            Item::Double(number) => visitor.visit_f64(number),
            Item::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Item::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Item::Bytes(bytes) => visitor.visit_bytes(&bytes),
            Item::Time(at) => {
                let micros: I64Deserializer<Failure> = at.0.into_deserializer();
                visitor.visit_newtype_struct(micros)
            }
            Item::Unstorable(text) => {
                let text: StringDeserializer<Failure> = text.into_deserializer();
                visitor.visit_some(text)
            }
            Item::List(left) => self.nested(|document| visitor.visit_seq(Members { document, left })),
            Item::Map(left) => self.nested(|document| visitor.visit_map(Members { document, left })),
            Item::Break => Err(self.items.malformed("a break ends nothing").into()),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn visit_integer<'de, V: Visitor<'de>>(number: i128, visitor: V) -> Result<V::Value, Failure> {
    if let Ok(number) = i64::try_from(number) {
        return visitor.visit_i64(number);
    }
    match u64::try_from(number) {
        Ok(number) => visitor.visit_u64(number),
        Err(_) => visitor.visit_i128(number),
    }
}

/// The members of a list or a map that are still to come.
struct Members<'a, I> {
    document: &'a mut Document<I>,
    left: Option<u64>,
}

impl<'de, I: Items<'de>> Members<'_, I> {
    fn has_next(&mut self) -> Result<bool, Failure> {
        match &mut self.left {
            None => Ok(!self.document.items.take_break()?),
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
        }
    }
}

impl<'de, I: Items<'de>> SeqAccess<'de> for Members<'_, I> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        if self.has_next()? { seed.deserialize(&mut *self.document).map(Some) } else { Ok(None) }
    }
}

impl<'de, I: Items<'de>> MapAccess<'de> for Members<'_, I> {
    type Error = Failure;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        if self.has_next()? { seed.deserialize(Name(&mut self.document.items)).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(&mut *self.document)
    }
}

/// A member's name: a text, or an integer, which stands for its digits.
struct Name<'a, I>(&'a mut I);

impl<'de, I: Items<'de>> Deserializer<'de> for Name<'_, I> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.0.next_item()? {
            Item::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Item::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Item::Integer(number) => visitor.visit_str(itoa::Buffer::new().format(number)),
            _ => Err(self.0.malformed("a name is neither a text nor an integer").into()),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
