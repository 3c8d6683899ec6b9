//! DynamoDB's JSON: the form in which items go over the wire and come out of a stream.
//!
//! Format: Amazon DynamoDB API Reference, `AttributeValue`.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Serialize as DeriveSerialize};
use serde_json::value::RawValue;

use crate::reading::Value;

/// An item as it is read back.
pub type Item = BTreeMap<String, Attribute>;

/// One attribute value, of the types that Tidegate writes.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, Deserialize)]
pub enum Attribute {
    /// A string.
    S(String),
    /// A number, as text.
    N(String),
    /// A boolean.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// A list.
    L(Vec<Attribute>),
    /// A map.
    M(Item),
    /// Null.
    #[serde(rename = "NULL")]
    Null(bool),
}

impl Attribute {
    /// The text of a string.
    pub fn as_s(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where it is an integer of 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::N(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn as_l(&self) -> Option<&[Attribute]> {
        match self {
            Self::L(list) => Some(list),
            _ => None,
        }
    }

    /// The members of a map.
    pub fn as_m(&self) -> Option<&Item> {
        match self {
            Self::M(map) => Some(map),
            _ => None,
        }
    }

    /// The value of a reading.
    pub fn as_value(&self) -> Option<Value> {
        match self {
            Self::S(text) => Some(Value::Text(text.as_str().into())),
            Self::Bool(flag) => Some(Value::Boolean(*flag)),
            Self::N(text) => number(text),
            Self::L(_) | Self::M(_) | Self::Null(_) => None,
        }
    }
}

/// Reads an item whose attributes need not all be of Tidegate's types: what operators add of another type (sets,
/// binaries) is left out, at whatever depth. `None` if it is no item at all.
pub fn read_item(json: &str) -> Option<Item> {
    // Nearly always all are; then it takes one pass.
    serde_json::from_str(json).ok().or_else(|| read_members(json))
}

fn read_members(json: &str) -> Option<Item> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    Some(members.into_iter().filter_map(|(name, value)| Some((name, read_attribute(value.get())?))).collect())
}

fn read_attribute(json: &str) -> Option<Attribute> {
    if let Ok(attribute) = serde_json::from_str(json) {
        return Some(attribute);
    }
    let tagged: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    match tagged.first_key_value() {
        Some((tag, members)) if tag == "M" => read_members(members.get()).map(Attribute::M),
        _ => None,
    }
}

/// DynamoDB gives a number back in digits of its own choosing: `1E+2` may come as `100`.
pub(crate) fn number(text: &str) -> Option<Value> {
    Value::from_digits(text)
}

/// Writes `{"S": text}`.
#[derive(Debug, Clone, Copy)]
pub struct S<'a>(pub &'a str);

/// Writes `{"N": "digits"}`.
#[derive(Debug, Clone, Copy)]
pub struct N(pub i64);

/// Writes `{"L": [...]}` from an iterator, without a list in between.
#[derive(Debug, Clone)]
pub struct L<I>(pub I);

/// Writes `{"M": {...}}` from an iterator of names and values.
#[derive(Debug, Clone)]
pub struct M<I>(pub I);

/// Writes the value of a reading.
#[derive(Debug, Clone, Copy)]
pub struct V<'a>(pub &'a Value);

fn tagged<T: Serialize + ?Sized, Z: Serializer>(
    serializer: Z,
    tag: &'static str,
    content: &T,
) -> Result<Z::Ok, Z::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, content)?;
    map.end()
}

impl Serialize for S<'_> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        tagged(serializer, "S", self.0)
    }
}

impl Serialize for N {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        tagged(serializer, "N", itoa::Buffer::new().format(self.0))
    }
}

impl<I: Iterator<Item: Serialize> + Clone> Serialize for L<I> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        struct Elements<'a, I>(&'a I);
        impl<I: Iterator<Item: Serialize> + Clone> Serialize for Elements<'_, I> {
            fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                serializer.collect_seq(self.0.clone())
            }
        }
        tagged(serializer, "L", &Elements(&self.0))
    }
}

impl<K: Serialize, T: Serialize, I: Iterator<Item = (K, T)> + Clone> Serialize for M<I> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        struct Members<'a, I>(&'a I);
        impl<K: Serialize, T: Serialize, I: Iterator<Item = (K, T)> + Clone> Serialize for Members<'_, I> {
            fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                serializer.collect_map(self.0.clone())
            }
        }
        tagged(serializer, "M", &Members(&self.0))
    }
}

impl Serialize for V<'_> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        match self.0 {
            Value::Float(number) => tagged(serializer, "N", zmij::Buffer::new().format_finite(*number)),
            Value::Integer(number) => tagged(serializer, "N", itoa::Buffer::new().format(*number)),
            Value::Boolean(flag) => tagged(serializer, "BOOL", flag),
            Value::Text(text) => tagged(serializer, "S", &**text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_other_types_are_left_out_alone() {
        let check = |json: &str, expected: Option<&str>| {
            let expected = expected.map(|json| serde_json::from_str::<Item>(json).unwrap());
            assert_eq!(read_item(json), expected, "{json}");
        };
        let item = r#"{"device":{"S":"s/a"},"n":{"N":"1"},"m":{"M":{"x":{"BOOL":true}}}}"#;
        check(item, Some(item));
        check(r#"{"a":{"S":"x"},"tags":{"SS":["y"]},"b":{"B":"AA=="}}"#, Some(r#"{"a":{"S":"x"}}"#));
        check(
            r#"{"m":{"M":{"x":{"N":"1"},"y":{"M":{"z":{"NS":["1"]},"w":{"S":"w"}}},"l":{"L":[{"B":""}]}}}}"#,
            Some(r#"{"m":{"M":{"x":{"N":"1"},"y":{"M":{"w":{"S":"w"}}}}}}"#),
        );
        check(r#"{"a":5}"#, Some("{}"));
        check("5", None);
        check("{", None);
    }
}
