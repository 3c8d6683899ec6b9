//! The JSON schema of a profile (draft 2020-12), by which editors complete keys and mark wrong ones.

use serde_json::{Map, Value, json};

use super::{Default, Key, Kind, Table};
use crate::profile::shape_rule::KindField;

/// The schema, as pretty JSON.
pub(crate) fn schema() -> String {
    let Value::Object(mut schema) = table(Table::Profile) else { return String::new() };
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("Tidegate profile"));
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// What a table may be.
fn table(table: Table) -> Value {
    match table {
        // Which keys a shape has depends on what it is.
        Table::Shape => {
            json!({ "anyOf": KindField::ALL.iter().map(|kind| shape(*kind)).collect::<Vec<_>>() })
        }
        other => object(other.keys()),
    }
}

fn shape(kind: KindField) -> Value {
    let is_of = |key: &&Key| ["at", "as"].contains(&key.name) || kind.keys().contains(&key.name);
    let mut shape = object(Table::Shape.keys().filter(is_of));
    shape["properties"]["as"] = json!({ "const": kind.word() });
    shape
}

fn object<'k>(keys: impl Iterator<Item = &'k Key>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for key in keys {
        let mut property = of_kind(key.kind);
        property["description"] = json!(key.meaning);
        properties.insert(key.name.to_owned(), property);
        if key.default == Default::Required {
            required.push(key.name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn of_kind(kind: Kind) -> Value {
    let qualities = || json!({ "enum": ["good", "uncertain", "bad"] });
    match kind {
        Kind::Text | Kind::Length => json!({ "type": "string" }),
        Kind::Texts => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole(most) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Words(words) => json!({ "type": "array", "items": { "enum": words } }),
        Kind::Gateway => json!({
            "anyOf": [{ "type": "boolean" }, { "type": "string" }, { "type": "array", "items": { "type": "string" } }]
        }),
        Kind::Marks => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Codes(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "object", "additionalProperties": qualities() }] })
        }
        Kind::Map => {
            let meaning =
                json!({ "anyOf": [{ "type": "boolean" }, { "type": "number" }, { "type": "string" }] });
            json!({ "type": "object", "additionalProperties": meaning })
        }
        Kind::Range => {
            json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
        }
        Kind::Sentinels => {
            let object = json!({
                "type": "object",
                "properties": { "value": { "type": "number" }, "quality": { "enum": ["bad", "uncertain"] } },
                "required": ["value", "quality"],
                "additionalProperties": false
            });
            json!({ "type": "array", "items": { "anyOf": [{ "type": "number" }, object] } })
        }
        Kind::Table(inner) => table(inner),
        Kind::Tables(inner) => json!({ "type": "array", "items": table(inner) }),
    }
}
