//! All keys of a profile, in one place: the table of the documentation and the JSON schema for editors are made of it. A
//! test compares it with what the structs that are read accept.

mod keys;
mod schema;

use std::fmt::Write as _;

pub(crate) use schema::schema;

use super::shape_rule::KindField;
use keys::KEYS;

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Profile,
    Time,
    Quality,
    Shape,
    Metric,
    Field,
}

impl Table {
    const ALL: [Self; 6] = [Self::Profile, Self::Time, Self::Quality, Self::Shape, Self::Metric, Self::Field];

    /// How its keys are named in the documentation.
    fn heading(self) -> &'static str {
        match self {
            Self::Profile => "The profile",
            Self::Time => "`[time]`",
            Self::Quality => "`[quality]`",
            Self::Shape => "`[[shape]]`",
            Self::Metric => "`[[metric]]`",
            Self::Field => "`[[field]]`",
        }
    }

    fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.table == self)
    }
}

/// What a key may be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A text, or a list of texts.
    Texts,
    Flag,
    /// A whole number from 0 up to this one.
    Whole(u64),
    Number,
    /// `30s`, `5m`, `1h 30m`
    Length,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    Gateway,
    /// Letters and offsets.
    Marks,
    /// One of these words, or a table of codes and qualities.
    Codes(&'static [&'static str]),
    /// What texts stand for.
    Map,
    Range,
    Sentinels,
    /// A table, or a list of them.
    Table(Table),
    Tables(Table),
}

impl Kind {
    /// In words, as Markdown.
    fn words(self) -> String {
        let listed =
            |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Text => "text".to_owned(),
            Self::Texts => "text, or list of texts".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole(_) => "whole number".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Length => "length of time: `30s`, `1h 30m`".to_owned(),
            Self::Word(words) => listed(words),
            Self::Words(words) => format!("list of {}", listed(words)),
            Self::Gateway => "`true`, `\"members\"`, or name patterns".to_owned(),
            Self::Marks => "table of letters and offsets".to_owned(),
            Self::Codes(words) => format!("{}, or a table of codes and qualities", listed(words)),
            Self::Map => "table of texts and what they stand for".to_owned(),
            Self::Range => "`[lowest, highest]`".to_owned(),
            Self::Sentinels => "list of numbers, or `{ value, quality }`".to_owned(),
            Self::Table(_) => "table".to_owned(),
            Self::Tables(_) => "tables".to_owned(),
        }
    }
}

/// What there is without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Default {
    Required,
    /// In words, or as it would be written.
    Is(&'static str),
}

/// A key of a profile.
#[derive(Debug)]
struct Key {
    table: Table,
    name: &'static str,
    kind: Kind,
    default: Default,
    meaning: &'static str,
}

/// The tables of all keys, in Markdown.
pub(crate) fn markdown_table() -> String {
    let mut text = String::new();
    for table in Table::ALL {
        let _ =
            write!(text, "\n{}:\n\n| key | kind | default | meaning |\n|---|---|---|---|\n", table.heading());
        for key in table.keys() {
            let default = match key.default {
                Default::Required => "required",
                Default::Is(text) => text,
            };
            let of = match table {
                Table::Shape => shape_kinds(key.name),
                _ => String::new(),
            };
            let _ =
                writeln!(text, "| `{}` | {} | {default} | {}{of} |", key.name, key.kind.words(), key.meaning);
        }
    }
    text
}

/// The kinds of a shape that a key is of, where it is not of all.
fn shape_kinds(key: &str) -> String {
    let of: Vec<&str> =
        KindField::ALL.iter().filter(|kind| kind.keys().contains(&key)).map(|kind| kind.word()).collect();
    if of.is_empty() { String::new() } else { format!(" Of {}.", of.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::profile::field::FieldFields;
    use crate::profile::metric_rule::MetricFields;
    use crate::profile::quality_field::QualityFields;
    use crate::profile::shape_rule::ShapeFields;
    use crate::profile::time_field::TimeFields;
    use crate::profile::written::ProfileFields;

    /// Why a table is refused.
    fn refusal(table: Table, document: &Value) -> Option<String> {
        fn of<T: DeserializeOwned>(document: &Value) -> Option<String> {
            serde_json::from_value::<T>(document.clone()).err().map(|error| error.to_string())
        }
        match table {
            Table::Profile => of::<ProfileFields>(document),
            Table::Time => of::<TimeFields>(document),
            Table::Quality => of::<QualityFields>(document),
            Table::Shape => of::<ShapeFields>(document),
            Table::Metric => of::<MetricFields>(document),
            Table::Field => of::<FieldFields>(document),
        }
    }

    /// The words that serde lists as expected.
    fn expected(refusal: &str) -> BTreeSet<String> {
        let (_, words) = refusal.split_once("expected ").expect(refusal);
        words.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn set(words: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
        words.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_keys_are_those_that_are_read() {
        for table in Table::ALL {
            let refusal = refusal(table, &json!({"no such key": 1})).unwrap();
            assert_eq!(set(table.keys().map(|key| key.name)), expected(&refusal), "{table:?}");
        }
    }

    #[test]
    fn the_words_are_those_that_are_read() {
        let mut checked = 0;
        for key in KEYS {
            let (words, value) = match key.kind {
                Kind::Word(words) if !["bits", "decimal"].contains(&key.name) => {
                    (words, json!("no such word"))
                }
                Kind::Words(words) => (words, json!(["no such word"])),
                _ => continue,
            };
            let refusal = refusal(key.table, &json!({ key.name: value })).unwrap();
            assert_eq!(set(words.iter().copied()), expected(&refusal), "{key:?}");
            checked += 1;
        }
        assert!(checked > 10);
    }

    #[test]
    fn what_is_required_is_what_cannot_be_left_out() {
        let value = |key: &Key| match key.kind {
            Kind::Whole(_) => json!(0),
            Kind::Word(words) => json!(words[0]),
            _ => json!("x"),
        };
        for table in Table::ALL {
            let required = table.keys().filter(|key| key.default == Default::Required);
            let least: Map<String, Value> = required.map(|key| (key.name.to_owned(), value(key))).collect();
            assert_eq!(refusal(table, &Value::from(least.clone())), None, "{table:?}");
            for name in least.keys() {
                let mut less = least.clone();
                less.remove(name);
                let refusal = refusal(table, &Value::from(less)).unwrap();
                assert!(refusal.contains(&format!("missing field `{name}`")), "{table:?}: {refusal}");
            }
        }
    }

    #[test]
    fn the_keys_of_a_shape_are_of_some_kind() {
        for key in Table::Shape.keys().filter(|key| !["at", "as"].contains(&key.name)) {
            assert_ne!(shape_kinds(key.name), "", "{key:?}");
        }
    }
}
