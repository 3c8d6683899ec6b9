//! A part of a document as a tree of values, for what cannot be read as it comes.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde::Deserialize as _;
use serde::de::value::{I64Deserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, IntoDeserializer as _, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Key, may_be_larger};
use crate::format::items::Failure;
use crate::limits::{MAX_DEPTH, MAX_SAMPLES};
use crate::profile::MemberPath;
use crate::reading::Value;
use crate::reject::Reject;
use crate::time::Micros;

/// Most values of a tree, lists and objects among them: a record has more members than one that are no sample.
const MAX_VALUES: usize = 8 * MAX_SAMPLES;

/// A value, and what is in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Tree<'de> {
    #[default]
    Null,
    Boolean(bool),
    Integer(i128),
    Single(f32),
    Double(f64),
    Text(Cow<'de, str>),
    Bytes(Box<[u8]>),
    Time(Micros),
    /// What no value can hold, as text.
    Unstorable(String),
    List(Vec<Self>),
    Map(Vec<(Cow<'de, str>, Self)>),
    /// Records of one list, whatever their members: each is an object.
    Rows(Vec<Self>),
}

impl<'de> Tree<'de> {
    /// Takes the value at the end of a path out of it, and the objects on the way that are empty then.
    pub(super) fn take(&mut self, path: &MemberPath) -> Option<Self> {
        self.take_levels(&path.0)
    }

    fn take_levels(&mut self, levels: &[Box<str>]) -> Option<Self> {
        let Self::Map(members) = self else { return None };
        let (first, rest) = levels.split_first()?;
        let place = members.iter().position(|(name, _)| **name == **first)?;
        if rest.is_empty() {
            return Some(members.remove(place).1);
        }
        let (_, inner) = members.get_mut(place)?;
        let taken = inner.take_levels(rest)?;
        if matches!(inner, Self::Map(left) if left.is_empty()) {
            members.remove(place);
        }
        Some(taken)
    }

    /// The value at the end of a path.
    pub(super) fn get(&self, path: &MemberPath) -> Option<&Self> {
        path.0.iter().try_fold(self, |tree, level| match tree {
            Self::Map(members) => members.iter().find(|(name, _)| **name == **level).map(|(_, value)| value),
            _ => None,
        })
    }

    /// The number that digits say; what no value can hold, as text.
    fn of_digits(digits: &str) -> Self {
        match Value::from_digits(digits) {
            Some(Value::Integer(number)) => Self::Integer(number),
            Some(Value::Float(number)) => Self::Double(number),
            _ => Self::Unstorable(digits.to_owned()),
        }
    }

    /// Whether it is neither a list nor an object.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_) | Self::Rows(_))
    }
}

/// Reads a tree, as far as there is room.
pub(super) struct TreeSeed<'r> {
    pub(super) room: &'r mut Room,
    pub(super) depth: usize,
}

/// How many values a tree may still have, and what was met in it.
pub(super) struct Room {
    left: usize,
    /// What a text begins with that stands for a number which the parser cannot hold.
    mark: Option<Rc<str>>,
    /// Why the tree had to end.
    pub(super) reject: Option<Reject>,
    /// Whether a number was met that may have been more than the parser can hold.
    pub(super) met_large_number: bool,
}

impl Room {
    pub(super) fn new(mark: Option<Rc<str>>) -> Self {
        Self { left: MAX_VALUES, mark, reject: None, met_large_number: false }
    }
}

impl TreeSeed<'_> {
    fn take_room<E: Error>(&mut self) -> Result<(), E> {
        self.room.reject = match self.room.left.checked_sub(1) {
            _ if self.depth > MAX_DEPTH => Some(Reject::Depth),
            None => Some(Reject::Samples),
            Some(left) => {
                self.room.left = left;
                return Ok(());
            }
        };
        Err(E::custom("rejected"))
    }

    fn inner(&mut self) -> TreeSeed<'_> {
        TreeSeed { room: self.room, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        self.take_room()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Boolean(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Integer(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Integer(number.into()))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Tree<'de>, E> {
        Ok(Tree::Integer(number))
    }

    fn visit_f32<E: Error>(self, number: f32) -> Result<Tree<'de>, E> {
        Ok(Tree::Single(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Tree<'de>, E> {
        self.room.met_large_number |= may_be_larger(number);
        Ok(Tree::Double(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Tree<'de>, E> {
        let digits = self.room.mark.as_deref().and_then(|mark| text.strip_prefix(mark));
        Ok(digits.map_or(Tree::Text(Cow::Borrowed(text)), Tree::of_digits))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Tree<'de>, E> {
        Ok(Tree::Bytes(bytes.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        String::deserialize(deserializer).map(Tree::Unstorable)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        i64::deserialize(deserializer).map(|micros| Tree::Time(Micros(micros)))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Tree<'de>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self.inner())? {
            elements.push(element);
        }
        Ok(Tree::List(elements))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, rows: A) -> Result<Tree<'de>, A::Error> {
        let (_, rows) = rows.variant::<IgnoredAny>()?;
        match rows.tuple_variant(0, self)? {
            Tree::List(rows) => Ok(Tree::Rows(rows)),
            other => Ok(other),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key_seed(Key)? {
            members.push((name, map.next_value_seed(self.inner())?));
        }
        // Nothing says which of two is meant.
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            self.room.reject = Some(Reject::Ambiguous);
            return Err(A::Error::custom("rejected"));
        }
        Ok(Tree::Map(members))
    }
}

/// Gives a tree to a visitor as the document that it was read from would.
impl<'de> Deserializer<'de> for &'de Tree<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self {
            Tree::Null => visitor.visit_unit(),
            Tree::Boolean(flag) => visitor.visit_bool(*flag),
            Tree::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (Err(_), Ok(number)) => visitor.visit_u64(number),
                (Err(_), Err(_)) => visitor.visit_i128(*number),
            },
            Tree::Single(number) => visitor.visit_f32(*number),
            Tree::Double(number) => visitor.visit_f64(*number),
            // Numbers that stood as marked texts are numbers here: no text is taken for one.
            Tree::Text(text) => visitor.visit_str(text),
            Tree::Bytes(bytes) => visitor.visit_bytes(bytes),
            Tree::Time(at) => {
                let micros: I64Deserializer<Failure> = at.0.into_deserializer();
                visitor.visit_newtype_struct(micros)
            }
            Tree::Unstorable(text) => {
                let text: StringDeserializer<Failure> = text.clone().into_deserializer();
                visitor.visit_some(text)
            }
            Tree::List(elements) => visitor.visit_seq(Elements(elements.iter())),
            Tree::Map(members) => visitor.visit_map(Members { members: members.iter(), value: None }),
            Tree::Rows(rows) => visitor.visit_enum(RowsOf(rows)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Elements<'t, 'de>(std::slice::Iter<'t, Tree<'de>>);

impl<'t> SeqAccess<'t> for Elements<'t, '_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        self.0.next().map(|element| seed.deserialize(element)).transpose()
    }
}

struct Members<'t, 'de> {
    members: std::slice::Iter<'t, (Cow<'de, str>, Tree<'de>)>,
    value: Option<&'t Tree<'de>>,
}

impl<'t> MapAccess<'t> for Members<'t, '_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self.value.take().unwrap_or(&Tree::Null))
    }
}

/// Rows reach a visitor as a variant of an enum, which no format of documents has.
struct RowsOf<'t, 'de>(&'t [Tree<'de>]);

impl<'t, 'de> EnumAccess<'t> for RowsOf<'t, 'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'t>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let unit: serde::de::value::UnitDeserializer<Failure> = ().into_deserializer();
        Ok((seed.deserialize(unit)?, self))
    }
}

impl<'t> VariantAccess<'t> for RowsOf<'t, '_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'t>>(self, _: T) -> Result<T::Value, Failure> {
        Err(Failure::custom("rows are a sequence"))
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_seq(Elements(self.0.iter()))
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_seq(Elements(self.0.iter()))
    }
}
