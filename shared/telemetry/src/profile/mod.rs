//! Profiles: what is known of a kind of device.
//!
//! ```
//! let profile = telemetry::Profile::from_toml(
//!     r#"
//!     name = "cold-room"
//!     devices = "*/cold-room-*"
//!     interval = "5m"
//!
//!     [[metric]]
//!     from = "/probe/t"
//!     name = "temperature"
//!     unit = "degF"
//!     range = [-60, 120]
//!     deadband = 0.9
//!     "#,
//! )?;
//! assert_eq!(profile.deadband("temperature"), Some(0.5));
//! # Ok::<(), telemetry::ProfileError>(())
//! ```

mod effect;
mod field;
pub(crate) mod grammar;
mod learn;
mod metric_rule;
mod name_pattern;
mod quality_field;
mod set;
mod shape_rule;
mod time_field;
mod topic_name;
mod words;
mod written;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::device_pattern::DevicePattern;
use crate::format::Format;
use crate::length::Length;
use crate::limits::MAX_NAME_BYTES;
use crate::names::{Role, TimeRank};
use crate::reading::{DeviceId, Metric};
use crate::topic::TopicFilter;

pub use field::{Field, FieldType, Layout};
pub use learn::{Captured, Hints, LearnError, Learnt, Remark, learn};
pub use metric_rule::{MetricRule, ProfileUnit, Sentinel, ValueType};
pub use name_pattern::NamePattern;
pub(crate) use quality_field::QualityCodes;
pub use quality_field::QualityField;
pub use set::Profiles;
pub use shape_rule::{Anchor, Columns, Encoding, MemberPath, Others, Records, Series, ShapeKind, ShapeRule};
pub(crate) use shape_rule::{Interval, NamePiece};
pub use time_field::{EpochUnit, TimeField};
pub use topic_name::TopicName;
pub use written::{Problem, ProfileError};

/// What is known of a kind of device; checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// Topics of its devices' messages.
    pub topics: Vec<TopicFilter>,
    /// Its devices.
    pub devices: Vec<DevicePattern>,
    /// How its payloads are written; `None`: as topic, content type or bytes say.
    pub format: Option<Format>,
    /// Whether it speaks for other devices, and how it names them.
    pub gateway: Option<Gateway>,
    /// How often a device sends.
    pub interval: Option<Length>,
    /// What is known of its times.
    pub time: TimeField,
    /// What is known of the qualities that it sends.
    pub quality: QualityField,
    /// The levels of a topic that name a bare value, and stand before every other name.
    pub topic_name: Option<TopicName>,
    /// How the texts of its payloads are encoded.
    pub charset: Charset,
    /// What is let pass in its JSON.
    pub lenient: Vec<Leniency>,
    /// Whether texts that are numbers are numbers.
    pub numbers_as_text: bool,
    /// What stands at the places of its payloads; at one place they are taken in this order.
    pub shapes: Vec<ShapeRule>,
    has_payload_shape: bool,
    has_headers: bool,
    has_series: bool,
    /// What is known of its metrics; the first that matches a name counts.
    pub metrics: Vec<Arc<MetricRule>>,
    /// How bare bytes are read, also those within an uplink.
    pub layout: Option<Layout>,
    documents: Vec<NamePattern>,
    ignore: Vec<NamePattern>,
    document: String,
}

/// How a gateway names the devices that it speaks for. They are devices of its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// The members of its document are devices: `{"device A": [{"ts": …, "values": {…}}]}`.
    Members,
    /// A member of each record names its device: the first of these that is there. Without a star it names that of the
    /// whole record, however deep it stands; with one, that of the object that it stands in.
    Member(Vec<NamePattern>),
    /// The format has a place for it, as LoRaWAN's EUI and SenML's base name.
    Format,
}

/// How the text of a payload is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Charset {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1.
    #[serde(rename = "latin-1")]
    Latin1,
    /// UTF-16, the byte order as its mark says, else the lower byte first.
    #[serde(rename = "utf-16")]
    Utf16,
    /// UTF-16, the higher byte first where no mark says otherwise.
    #[serde(rename = "utf-16be")]
    Utf16Be,
}

/// Something that is not JSON, and let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leniency {
    /// `NaN` and `Infinity`, with any sign and case: numbers that are none, of bad quality.
    Nan,
    /// `007`.
    LeadingZeros,
    /// `[1, 2,]`
    TrailingCommas,
    /// `{'a': True}`: texts in single quotes, and Python's `True`, `False` and `None`.
    SingleQuotes,
    /// Several documents in one payload: each is a record.
    Documents,
    /// A payload without a value: it is ignored, not refused.
    Empty,
}

impl Profile {
    /// The profile as it is stored: JSON. The same profile is always the same text.
    pub fn to_json(&self) -> &str {
        &self.document
    }

    /// How far a metric's number has to be from what a shadow shows to be sent, in its canonical unit.
    pub fn deadband(&self, metric: &str) -> Option<f64> {
        let is_of = |rule: &&Arc<MetricRule>| match &rule.name {
            Some(template) => template.makes(metric),
            None => rule.from.matches(metric),
        };
        self.metrics.iter().filter(|rule| rule.deadband.is_some()).find(is_of)?.deadband
    }

    /// Whether it is about this device, whatever the topic.
    pub fn names(&self, device: &DeviceId) -> bool {
        self.devices.iter().any(|pattern| pattern.matches(device.as_str()))
    }

    /// How many patterns a name is compared with at most.
    pub(crate) fn patterns(&self) -> usize {
        let sources = self.metrics.iter().filter(|rule| rule.unit_from.is_some()).count();
        let members = match &self.gateway {
            Some(Gateway::Member(names)) => names.len(),
            Some(Gateway::Members | Gateway::Format) | None => 0,
        };
        let lists = self.metrics.len() + self.ignore.len() + self.documents.len() + self.shapes.len();
        let times = self.time.fields.len() + self.time.join.len() + usize::from(self.time.fraction.is_some());
        lists + times + self.quality.fields.len() + sources + members
    }

    pub(crate) fn ignores(&self, sent: &str) -> bool {
        self.ignore.iter().any(|pattern| pattern.matches(sent))
    }

    pub(crate) fn has_document(&self, sent: &str) -> bool {
        self.documents.iter().any(|pattern| pattern.matches(sent))
    }

    /// What the profile says that a member is, beside a metric: by its name in the payload, and the one that the topic
    /// gives it.
    pub(crate) fn role(&self, sent: &str, full: &str) -> Option<Role> {
        if let Some(place) = self.time.fields.iter().position(|field| field.matches(sent)) {
            let is_each = self.time.fields.get(place).is_some_and(NamePattern::may_be_several);
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            return Some(Role::Time(TimeRank::Profile { place, is_each }));
        }
        if let Some(place) = self.time.join.iter().position(|part| part.matches(sent)) {
            return Some(Role::TimePart(u8::try_from(place).unwrap_or(u8::MAX)));
        }
        if self.time.fraction.as_ref().is_some_and(|(fraction, _)| fraction.matches(sent)) {
            return Some(Role::TimeFraction);
        }
        if let Some(Gateway::Member(names)) = &self.gateway
            && let Some(place) = names.iter().position(|name| name.matches(sent))
        {
            let is_each = names.get(place).is_some_and(NamePattern::may_be_several);
            return Some(Role::SubDevice { place: u16::try_from(place).unwrap_or(u16::MAX), is_each });
        }
        if self.quality.fields.iter().any(|field| field.matches(sent)) {
            return Some(Role::QualityOfAll);
        }
        let is_source = |rule: &Arc<MetricRule>| rule.unit_from.as_ref().is_some_and(|name| name.makes(full));
        self.metrics.iter().any(is_source).then_some(Role::UnitSource)
    }

    /// Whether rows are described that have their names beside them.
    pub(crate) fn has_headers(&self) -> bool {
        self.has_headers
    }

    /// The rows that an object at `path` may hold beside their names: what they are called, and where the names stand.
    pub(crate) fn headers(&self, path: &str) -> impl Iterator<Item = (&str, &MemberPath)> {
        self.shapes.iter().filter_map(move |rule| {
            let (ShapeKind::Rows(Columns::Member(header)), Some(rows)) = (&rule.kind, &rule.at) else {
                return None;
            };
            let name = rows.last_name()?;
            let is_of =
                if path.is_empty() { rows.matches(name) } else { rows.matches(&format!("{path}.{name}")) };
            is_of.then_some((name, header))
        })
    }

    /// Whether the payload may hold such rows.
    pub(crate) fn has_payload_headers(&self) -> bool {
        self.has_headers && self.headers("").next().is_some()
    }

    /// Whether series are described.
    pub(crate) fn has_series(&self) -> bool {
        self.has_series
    }

    /// What is said of the series under a name.
    pub(crate) fn series(&self, name: &str) -> Option<&Series> {
        self.shapes.iter().find_map(|rule| match (&rule.kind, &rule.at) {
            (ShapeKind::Series(series), Some(at)) if at.matches(name) => Some(series),
            _ => None,
        })
    }

    /// The first rule after `after` of what stands at a place; `None` stands for the payload itself.
    pub(crate) fn shape(&self, at: Option<&str>, after: Option<u16>) -> Option<(u16, &ShapeRule)> {
        if at.is_none() && !self.has_payload_shape {
            return None;
        }
        let is_of = |rule: &ShapeRule| match (&rule.kind, &rule.at, at) {
            // These are found by the object that they stand in.
            (ShapeKind::Series(_), ..) => false,
            (_, None, None) => true,
            (_, Some(pattern), Some(name)) => pattern.matches(name),
            (_, Some(_), None) | (_, None, Some(_)) => false,
        };
        let from = after.map_or(0, |after| usize::from(after) + 1);
        let (place, rule) = self.shapes.iter().enumerate().skip(from).find(|(_, rule)| is_of(rule))?;
        // There are fewer.
        u16::try_from(place).ok().map(|place| (place, rule))
    }

    /// Whether a payload without a value is ignored.
    pub(crate) fn allows_empty(&self) -> bool {
        self.lenient.contains(&Leniency::Empty)
    }

    /// Whether a word for a number that is none stands for one, wherever it is.
    pub(crate) fn allows_nan(&self) -> bool {
        self.lenient.contains(&Leniency::Nan)
    }

    /// The rule for a name as sent, and the metric that it makes of it: that of the rule, unless it comes out empty or
    /// too long.
    pub(crate) fn rule(&self, sent: &str) -> Option<(Arc<MetricRule>, Metric)> {
        self.metrics.iter().find_map(|rule| {
            let captures = rule.from.captures(sent)?;
            let made = rule.name.as_ref().map(|name| name.fill(&captures));
            let made = made.filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES);
            Some((Arc::clone(rule), made.map_or_else(|| Metric::from(sent), Metric::from)))
        })
    }
}
