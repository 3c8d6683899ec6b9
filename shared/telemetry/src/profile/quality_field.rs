//! What a profile says of the qualities that devices send: its `[quality]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NamePattern;
use super::written::{Problems, Step, Texts, name_pattern};
use crate::reading::{Quality, Value};

/// Most entries of a table of codes.
const MAX_CODES: usize = 200;

/// The entry of a table for all codes that are not in it.
const OTHER: &str = "other";

/// What is known of the qualities that a device sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QualityField {
    /// The members that say the quality of what stands beside them; empty: the usual ones, of a value beside them.
    pub(crate) fields: Vec<NamePattern>,
    /// What their values mean; `None`: what is usual.
    pub(crate) codes: Option<QualityCodes>,
}

/// What codes of quality mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QualityCodes {
    /// The two highest of 32 bits: 0 good, 1 uncertain, 2 bad (OPC UA, part 4, 7.39 StatusCode), or the code's name.
    OpcUa,
    /// Bits 6 and 7: 3 good, 1 uncertain, 0 bad (OPC Data Access 3.0, 6.8 OPC quality flags).
    OpcDa,
    /// Two bits: 0 bad, 1 uncertain, 2 and 3 good (Siemens Industrial Edge, common databus payload format, `qc`).
    Siemens,
    /// What the profile says, by the texts of values.
    Table { by_text: BTreeMap<String, Quality>, other: Option<Quality> },
}

impl QualityCodes {
    /// The quality that a value says; `None` if it says none.
    pub(crate) fn read(&self, value: &Value) -> Option<Quality> {
        match (self, value) {
            (Self::Table { by_text, other }, value) => {
                let known = match value {
                    Value::Text(text) => by_text.get(&**text),
                    value => by_text.get(&value.to_string()),
                };
                known.copied().or(*other)
            }
            (Self::OpcUa, Value::Integer(code)) => match u32::try_from(*code).ok()? >> 30 {
                0 => Some(Quality::Good),
                1 => Some(Quality::Uncertain),
                _ => Some(Quality::Bad),
            },
            (Self::OpcDa, Value::Integer(code)) => match u16::try_from(*code).ok()? >> 6 & 3 {
                0 => Some(Quality::Bad),
                1 => Some(Quality::Uncertain),
                _ => Some(Quality::Good),
            },
            (Self::Siemens, Value::Integer(code)) => match code {
                0 => Some(Quality::Bad),
                1 => Some(Quality::Uncertain),
                2 | 3 => Some(Quality::Good),
                _ => None,
            },
            (_, Value::Text(name)) => of_name(name),
            (_, Value::Boolean(_) | Value::Float(_)) => None,
        }
    }
}

/// `Good`, `BadNoCommunication`, `UncertainLastUsableValue`: names of codes begin with what they say.
fn of_name(name: &str) -> Option<Quality> {
    let begins = |word: &str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    [("good", Quality::Good), ("uncertain", Quality::Uncertain), ("bad", Quality::Bad)]
        .into_iter()
        .find_map(|(word, quality)| begins(word).then_some(quality))
}

/// A `[quality]` as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QualityFields {
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    field: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    codes: Option<CodesField>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`codes` is \"opc-ua\", \"opc-da\", \"siemens\", or a table of codes and qualities"
)]
enum CodesField {
    Named(String),
    Table(BTreeMap<String, String>),
}

/// Reads what is said of qualities; notes what is wrong with it. `has_records`: records say where their quality stands.
pub(super) fn check_quality(
    fields: &QualityFields,
    has_records: bool,
    problems: &mut Problems,
) -> QualityField {
    let names = fields.field.0.iter().enumerate().filter_map(|(index, name)| {
        let path = [Step::Key("quality"), Step::Key("field"), Step::Index(index)];
        problems.take(&path, name_pattern(name))
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() && !has_records && fields.codes.is_none() {
        problems.add(&[Step::Key("quality")], "`[quality]` says nothing without `field` or `codes`");
    }
    let codes = fields.codes.as_ref().and_then(|codes| {
        let outcome = check_codes(codes);
        problems.take(&[Step::Key("quality"), Step::Key("codes")], outcome)
    });
    QualityField { fields: names, codes }
}

fn check_codes(codes: &CodesField) -> Result<QualityCodes, String> {
    match codes {
        CodesField::Named(name) => match name.as_str() {
            "opc-ua" => Ok(QualityCodes::OpcUa),
            "opc-da" => Ok(QualityCodes::OpcDa),
            "siemens" => Ok(QualityCodes::Siemens),
            _ => Err("`codes` is \"opc-ua\", \"opc-da\", \"siemens\", or a table".to_owned()),
        },
        CodesField::Table(table) => {
            if table.is_empty() || table.len() > MAX_CODES {
                return Err(format!("`codes` has 1 to {MAX_CODES} entries"));
            }
            let quality = |(text, word): (&String, &String)| match Quality::from_word(word) {
                Some(quality) => Ok((text.clone(), quality)),
                None => Err(format!("the quality of code {text:?} is good, uncertain or bad")),
            };
            let mut by_text = table.iter().map(quality).collect::<Result<BTreeMap<_, _>, _>>()?;
            let other = by_text.remove(OTHER);
            Ok(QualityCodes::Table { by_text, other })
        }
    }
}
