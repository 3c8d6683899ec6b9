//! The SDK's attribute values, as the pure crates know them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use telemetry::attribute::{Attribute, Item};

pub(crate) fn to_item(item: &HashMap<String, AttributeValue>) -> Item {
    item.iter().filter_map(|(name, value)| Some((name.clone(), to_attribute(value)?))).collect()
}

/// `None` for the types that Tidegate never writes: sets and binaries.
fn to_attribute(value: &AttributeValue) -> Option<Attribute> {
    Some(match value {
        AttributeValue::S(text) => Attribute::S(text.clone()),
        AttributeValue::N(digits) => Attribute::N(digits.clone()),
        AttributeValue::Bool(flag) => Attribute::Bool(*flag),
        AttributeValue::Null(flag) => Attribute::Null(*flag),
        AttributeValue::L(list) => Attribute::L(list.iter().filter_map(to_attribute).collect()),
        AttributeValue::M(map) => Attribute::M(to_item(map)),
        _ => return None,
    })
}

pub(crate) fn from_attribute(attribute: Attribute) -> AttributeValue {
    match attribute {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(digits) => AttributeValue::N(digits),
        Attribute::Bool(flag) => AttributeValue::Bool(flag),
        Attribute::Null(flag) => AttributeValue::Null(flag),
        Attribute::L(list) => AttributeValue::L(list.into_iter().map(from_attribute).collect()),
        Attribute::M(item) => AttributeValue::M(from_item(item)),
    }
}

pub(crate) fn from_item(item: Item) -> HashMap<String, AttributeValue> {
    item.into_iter().map(|(name, value)| (name, from_attribute(value))).collect()
}
