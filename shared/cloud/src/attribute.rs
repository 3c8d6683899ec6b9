//! The SDK's attribute values, as the pure crates know them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use telemetry::attribute::{Attribute, Item};

pub(crate) fn to_item(item: &HashMap<String, AttributeValue>) -> Item {
    item.iter().filter_map(|(name, value)| Some((name.clone(), to_attribute(value)?))).collect()
}

pub(crate) fn from_item(item: &Item) -> HashMap<String, AttributeValue> {
    item.iter().map(|(name, value)| (name.clone(), from_attribute(value))).collect()
}

pub(crate) fn from_attribute(value: &Attribute) -> AttributeValue {
    match value {
        Attribute::S(text) => AttributeValue::S(text.clone()),
        Attribute::N(digits) => AttributeValue::N(digits.clone()),
        Attribute::Bool(flag) => AttributeValue::Bool(*flag),
        Attribute::Null(flag) => AttributeValue::Null(*flag),
        Attribute::L(list) => AttributeValue::L(list.iter().map(from_attribute).collect()),
        Attribute::M(map) => AttributeValue::M(from_item(map)),
    }
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
