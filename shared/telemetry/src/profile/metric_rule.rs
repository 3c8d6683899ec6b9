//! What a profile says of a metric: its `[[metric]]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::NamePattern;
use super::name_pattern::{NameTemplate, unescape};
use super::written::{Problems, Step, Texts, name_pattern, one_or_many};
use crate::limits::{MAX_NAME_BYTES, MAX_TEXT_BYTES};
use crate::measure::read_number;
use crate::reading::{Quality, Value};
use crate::unit::{self, Conversion, Quantity};

/// Most values of which a profile says what they stand for.
const MAX_MEANINGS: usize = 200;

/// What is known of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRule {
    /// The names that it is about.
    pub from: NamePattern,
    pub(super) name: Option<NameTemplate>,
    /// The unit of the number that comes out of scale and offset.
    pub unit: Option<ProfileUnit>,
    /// The name whose text is the unit.
    pub(super) unit_from: Option<NameTemplate>,
    /// What the number as sent is multiplied by.
    pub scale: f64,
    /// What is added then.
    pub offset: f64,
    /// Lowest and highest plausible number, in the canonical unit.
    pub range: Option<(f64, f64)>,
    /// Numbers as sent that say something else than a measurement; `None`: those that are known of sensors.
    pub sentinels: Option<Vec<Sentinel>>,
    /// How far a number has to be from what a shadow shows to be sent, in the canonical unit.
    pub deadband: Option<f64>,
    /// What values stand for, by their texts.
    pub(super) map: BTreeMap<String, Value>,
    /// What its values are.
    pub(crate) value_type: Option<ValueType>,
}

/// What the values of a metric are, whatever they were sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Texts: numbers as they would be written.
    Text,
    /// Numbers: texts that are one, and 1 and 0 for true and false.
    Number,
    /// Truth values: 1 and 0, and the texts `true` and `false`.
    Boolean,
}

impl ValueType {
    /// Makes a value one of this type. Returns whether it is one.
    fn convert(self, value: &mut Value) -> bool {
        match (self, &*value) {
            (Self::Text, Value::Text(_)) => {}
            (Self::Text, other) => *value = Value::Text(other.to_string().into()),
            (Self::Number, Value::Boolean(flag)) => *value = Value::Integer((*flag).into()),
            (Self::Number, Value::Text(_)) => read_number(value),
            (Self::Boolean, Value::Integer(bit @ (0 | 1))) => *value = Value::Boolean(*bit == 1),
            (Self::Boolean, Value::Float(bit)) if *bit == 0.0 || *bit == 1.0 => {
                *value = Value::Boolean(*bit == 1.0);
            }
            (Self::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("true") => {
                *value = Value::Boolean(true);
            }
            (Self::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("false") => {
                *value = Value::Boolean(false);
            }
            _ => {}
        }
        match self {
            Self::Text => matches!(value, Value::Text(_)),
            Self::Number => matches!(value, Value::Integer(_) | Value::Float(_)),
            Self::Boolean => matches!(value, Value::Boolean(_)),
        }
    }
}

impl MetricRule {
    /// The metric that it makes, `{1}` standing for what the first star of `from` stands for; `None`: the name as sent.
    pub fn name(&self) -> Option<String> {
        self.name.as_ref().map(ToString::to_string)
    }

    /// Whether its numbers are sent in another size than their unit's, as those of registers are.
    pub(crate) fn is_scaled(&self) -> bool {
        self.scale != 1.0 || self.offset != 0.0
    }

    /// The name whose text is the unit, `{1}` standing for what the first star of `from` stands for.
    pub fn unit_from(&self) -> Option<String> {
        self.unit_from.as_ref().map(ToString::to_string)
    }

    /// The name, or with stars the names, whose text is the unit of the values of the name `sent`.
    pub(crate) fn unit_of(&self, sent: &str) -> Option<NamePattern> {
        let captures = self.from.captures(sent)?;
        NamePattern::try_from(self.unit_from.as_ref()?.fill(&captures)).ok()
    }

    /// Puts in place of a value what it stands for, and makes it one of the metric's type. Returns whether it is one.
    pub(crate) fn interpret(&self, value: &mut Value) -> bool {
        if !self.map.is_empty() {
            let meaning = match &*value {
                Value::Text(text) => self.map.get(&**text),
                other => self.map.get(&other.to_string()),
            };
            if let Some(meaning) = meaning {
                *value = meaning.clone();
            }
        }
        self.value_type.is_none_or(|value_type| value_type.convert(value))
    }

    /// Whether it says what values stand for, or are.
    pub(crate) fn interprets(&self) -> bool {
        !self.map.is_empty() || self.value_type.is_some()
    }
}

/// A unit that is known, as a profile has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileUnit {
    /// As written.
    pub text: Arc<str>,
    pub(crate) quantity: Option<&'static Quantity>,
    pub(crate) conversion: Conversion,
}

impl ProfileUnit {
    /// The unit that its readings get.
    pub fn canonical(&self) -> &str {
        &self.conversion.unit
    }

    /// How a number in this unit becomes one in the canonical unit, to six digits: `1 mOhm = 0.001 Ohm`, or with a zero
    /// of its own `Cel = degF × 0.555556 − 17.7778`. `None` where both are the same.
    pub fn formula(&self) -> Option<String> {
        let Conversion { unit: canonical, factor, offset } = &self.conversion;
        let (factor, offset) = (unit::rounded_to(*factor, 6), unit::rounded_to(*offset, 6));
        let sign = if offset < 0.0 { '−' } else { '+' };
        let (text, shift) = (&self.text, offset.abs());
        match (factor, offset) {
            (1.0, 0.0) => None,
            (_, 0.0) => Some(format!("1 {text} = {factor} {canonical}")),
            (1.0, _) => Some(format!("{canonical} = {text} {sign} {shift}")),
            _ => Some(format!("{canonical} = {text} × {factor} {sign} {shift}")),
        }
    }
}

/// A number that says something else than a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sentinel {
    /// The number as sent.
    pub value: f64,
    /// What it says of the reading.
    pub quality: Quality,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricFields {
    #[serde(serialize_with = "one_or_many")]
    pub(super) from: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sentinels: Option<Vec<SentinelField>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadband: Option<f64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) map: BTreeMap<String, MeaningField>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(super) value_type: Option<ValueType>,
}

impl MetricFields {
    /// Whether it says of its names nothing but that they are names.
    pub(super) fn says_nothing(&self) -> bool {
        let has_number = self.scale.is_some() || self.offset.is_some() || self.range.is_some();
        let has_unit = self.unit.is_some() || self.unit_from.is_some();
        let has_values = !self.map.is_empty() || self.value_type.is_some();
        self.name.is_none()
            && !has_number
            && !has_unit
            && !has_values
            && self.sentinels.is_none()
            && self.deadband.is_none()
    }
}

/// What a value stands for, as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "true or false, a number, or a text")]
pub(super) enum MeaningField {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl MeaningField {
    fn value(&self) -> Option<Value> {
        match self {
            Self::Boolean(flag) => Some(Value::Boolean(*flag)),
            Self::Integer(number) => Some(Value::Integer((*number).into())),
            Self::Float(number) => Value::from_f64(*number),
            Self::Text(text) => (text.len() <= MAX_TEXT_BYTES).then(|| Value::Text(text.as_str().into())),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "a sentinel is a number, or { value = …, quality = \"uncertain\" }")]
pub(super) enum SentinelField {
    Bad(f64),
    Of { value: f64, quality: String },
}

/// Reads a metric; notes what is wrong with it.
pub(super) fn check_metric(index: usize, fields: &MetricFields, problems: &mut Problems) -> Vec<MetricRule> {
    let path = [Step::Key("metric"), Step::Index(index), Step::Key("from")];
    let patterns = fields.from.0.iter().filter_map(|from| problems.take(&path, name_pattern(from)));
    let patterns: Vec<_> = patterns.collect();
    if fields.from.is_empty() {
        problems.add(&path, "`from` names no metric");
    }
    if patterns.windows(2).any(|pair| pair[0].stars() != pair[1].stars()) {
        problems.add(&path, "the patterns of one `from` have equally many stars");
        return Vec::new();
    }
    let mut rules = Vec::new();
    for from in patterns {
        match check_rule(index, from, fields, problems) {
            Some(rule) if problems.is_empty() => rules.push(rule),
            // What is wrong with the rest is said once.
            _ => break,
        }
    }
    rules
}

/// Reads what is said of the names that one pattern finds.
fn check_rule(
    index: usize,
    from: NamePattern,
    fields: &MetricFields,
    problems: &mut Problems,
) -> Option<MetricRule> {
    let path = |key| [Step::Key("metric"), Step::Index(index), Step::Key(key)];
    let name = fields.name.as_deref().and_then(|name| {
        let template = NameTemplate::new(name, from.stars()).map_err(|problem| format!("`name` {problem}"));
        problems.take(&path("name"), template)
    });
    if fields.name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        problems.add(&path("name"), format!("`name` has more than {MAX_NAME_BYTES} bytes"));
    }
    let unit = fields.unit.as_deref().and_then(|text| {
        let (quantity, conversion) = problems.take(&path("unit"), unit::check(text))?;
        Some(ProfileUnit { text: text.into(), quantity: Some(quantity), conversion })
    });
    let unit_from = fields.unit_from.as_deref().and_then(|name| {
        let template = NameTemplate::with_wildcards(&dotted(name), from.stars()).and_then(|template| {
            // Every member would be a unit.
            if template.has_text() { Ok(template) } else { Err("has nothing but stars".to_owned()) }
        });
        problems.take(&path("unit_from"), template.map_err(|problem| format!("`unit_from` {problem}")))
    });
    let mut sentinel = |(place, field): (usize, &SentinelField)| {
        let path = [Step::Key("metric"), Step::Index(index), Step::Key("sentinels"), Step::Index(place)];
        problems.take(&path, check_sentinel(field))
    };
    let sentinels: Option<Vec<_>> =
        fields.sentinels.as_ref().map(|fields| fields.iter().enumerate().filter_map(&mut sentinel).collect());
    let mut must_be_finite = |key, numbers: &[f64]| {
        if numbers.iter().any(|number| !number.is_finite()) {
            problems.add(&path(key), format!("`{key}` is finite"));
        }
    };
    must_be_finite("scale", fields.scale.as_slice());
    must_be_finite("offset", fields.offset.as_slice());
    must_be_finite("deadband", fields.deadband.as_slice());
    must_be_finite("range", fields.range.as_ref().map_or(&[], |ends| ends.as_slice()));
    if fields.scale == Some(0.0) {
        problems.add(&path("scale"), "`scale` is not 0");
    }
    if fields.range.is_some_and(|[low, high]| low > high) {
        problems.add(&path("range"), "`range` is [lowest, highest]");
    }
    if fields.deadband.is_some_and(|deadband| deadband < 0.0) {
        problems.add(&path("deadband"), "`deadband` is not negative");
    }
    let (factor, zero) =
        unit.as_ref().map_or((1.0, 0.0), |unit| (unit.conversion.factor, unit.conversion.offset));
    Some(MetricRule {
        map: check_map(index, fields, problems),
        value_type: fields.value_type,
        from,
        name,
        unit,
        unit_from,
        scale: fields.scale.unwrap_or(1.0),
        offset: fields.offset.unwrap_or(0.0),
        range: fields
            .range
            .map(|[low, high]| (unit::rounded(low * factor + zero), unit::rounded(high * factor + zero))),
        sentinels,
        deadband: fields.deadband.map(|deadband| unit::rounded(deadband * factor.abs())),
    })
}

/// What values stand for.
fn check_map(index: usize, fields: &MetricFields, problems: &mut Problems) -> BTreeMap<String, Value> {
    let path = [Step::Key("metric"), Step::Index(index), Step::Key("map")];
    if fields.map.len() > MAX_MEANINGS {
        problems.add(&path, format!("`map` has more than {MAX_MEANINGS} entries"));
    }
    let mut map = BTreeMap::new();
    for (text, meaning) in &fields.map {
        let Some(mut value) = meaning.value() else {
            problems.add(&path, format!("`map`: what {text:?} stands for cannot be stored"));
            continue;
        };
        if fields.value_type.is_some_and(|value_type| !value_type.convert(&mut value)) {
            problems.add(&path, format!("`map`: what {text:?} stands for is not of the metric's `type`"));
        }
        map.insert(text.clone(), value);
    }
    map
}

/// A name, or a JSON pointer, as names are decoded.
fn dotted(name: &str) -> String {
    let levels = |pointer: &str| pointer.split('/').map(unescape).collect::<Vec<_>>().join(".");
    name.strip_prefix('/').map_or_else(|| name.to_owned(), levels)
}

fn check_sentinel(field: &SentinelField) -> Result<Sentinel, &'static str> {
    match field {
        SentinelField::Bad(value) | SentinelField::Of { value, .. } if !value.is_finite() => {
            Err("a sentinel is a finite number")
        }
        SentinelField::Bad(value) => Ok(Sentinel { value: *value, quality: Quality::Bad }),
        SentinelField::Of { value, quality } => match Quality::from_word(quality) {
            Some(quality @ (Quality::Bad | Quality::Uncertain)) => Ok(Sentinel { value: *value, quality }),
            _ => Err("the `quality` of a sentinel is bad or uncertain"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn a_unit_says_how_it_becomes_the_canonical_one() {
        let check = |unit: &str, expected: Option<&str>| {
            let text =
                format!("name = \"p\"\ndevices = \"*/*\"\n[[metric]]\nfrom = \"x\"\nunit = \"{unit}\"");
            let profile = Profile::from_toml(&text).unwrap();
            let formula = profile.metrics[0].unit.as_ref().and_then(ProfileUnit::formula);
            assert_eq!(formula.as_deref(), expected, "{unit}");
        };
        check("Cel", None);
        check("C", None);
        check("mOhm", Some("1 mOhm = 0.001 Ohm"));
        check("kWh", Some("1 kWh = 3600000 J"));
        check("degF", Some("Cel = degF × 0.555556 − 17.7778"));
        check("K", Some("Cel = K − 273.15"));
        check("dBW", Some("dBm = dBW + 30"));
        check("psi", Some("1 psi = 6894.76 Pa"));
    }
}
