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

mod field;
mod learn;
mod name_pattern;
mod set;
mod written;

use std::sync::Arc;

use crate::clock::Zone;
use crate::device_pattern::DevicePattern;
use crate::format::Format;
use crate::length::Length;
use crate::limits::MAX_NAME_BYTES;
use crate::names::{Role, TimeRank};
use crate::reading::{DeviceId, Metric, Quality};
use crate::topic::TopicFilter;
use crate::unit::{self, Conversion, Quantity};

pub use field::{Field, FieldType, Layout};
pub use learn::{Hints, LearnError, learn};
pub use name_pattern::NamePattern;
pub(crate) use name_pattern::NameTemplate;
pub use set::Profiles;
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
    /// Whether texts that are numbers are numbers.
    pub numbers_as_text: bool,
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
    /// A member of each record names its device.
    Member(NamePattern),
    /// The format has a place for it, as LoRaWAN's EUI and SenML's base name.
    Format,
}

/// What is known of a device's times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeField {
    /// The names that a record's time may stand under, the first that has one counts; empty: the usual ones.
    pub fields: Vec<NamePattern>,
    /// The zone of times that are written without one.
    pub zone: Option<Zone>,
    /// What a number counts; `None`: told apart by magnitude.
    pub unit: Option<EpochUnit>,
    /// Whether the count has 32 bits, and runs over.
    pub is_32_bit: bool,
    /// How far its clock's times are apart, in microseconds, where samples of one such time are all kept: those of
    /// different messages do not replace each other. `None`: they do.
    pub kept_resolution: Option<i64>,
}

/// What a number of an epoch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EpochUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanos,
}

impl EpochUnit {
    /// Microseconds in one.
    pub(crate) fn multiply(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Millis => 1_000,
            Self::Micros | Self::Nanos => 1,
        }
    }

    /// How many are a microsecond.
    pub(crate) fn divide(self) -> i64 {
        if self == Self::Nanos { 1_000 } else { 1 }
    }

    /// How long a counter of 32 bits takes to run over, in microseconds.
    pub(crate) fn round_of_32_bits(self) -> i64 {
        (1 << 32) * self.multiply() / self.divide()
    }
}

/// What is known of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRule {
    /// The names that it is about.
    pub from: NamePattern,
    name: Option<NameTemplate>,
    /// The unit of the number that comes out of scale and offset.
    pub unit: Option<ProfileUnit>,
    /// The name whose text is the unit.
    unit_from: Option<NameTemplate>,
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

    /// The name whose text is the unit of the values of the name `sent`.
    pub(crate) fn unit_of(&self, sent: &str) -> Option<Arc<str>> {
        let captures = self.from.captures(sent)?;
        self.unit_from.as_ref().map(|name| Arc::from(name.fill(&captures)))
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
        let members = usize::from(matches!(self.gateway, Some(Gateway::Member(_))));
        let lists = self.metrics.len() + self.ignore.len() + self.documents.len() + self.time.fields.len();
        lists + sources + members
    }

    pub(crate) fn ignores(&self, sent: &str) -> bool {
        self.ignore.iter().any(|pattern| pattern.matches(sent))
    }

    pub(crate) fn has_document(&self, sent: &str) -> bool {
        self.documents.iter().any(|pattern| pattern.matches(sent))
    }

    /// What the profile says that a member is, beside a metric.
    pub(crate) fn role(&self, sent: &str) -> Option<Role> {
        if let Some(place) = self.time.fields.iter().position(|field| field.matches(sent)) {
            let is_each = self.time.fields.get(place).is_some_and(|field| field.stars() > 0);
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            return Some(Role::Time(TimeRank::Profile { place, is_each }));
        }
        if matches!(&self.gateway, Some(Gateway::Member(member)) if member.matches(sent)) {
            return Some(Role::SubDevice);
        }
        let is_source = |rule: &Arc<MetricRule>| rule.unit_from.as_ref().is_some_and(|name| name.makes(sent));
        self.metrics.iter().any(is_source).then_some(Role::UnitSource)
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

#[cfg(test)]
mod tests {
    use super::*;

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
