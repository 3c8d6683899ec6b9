//! What a profile says of a device's times: its `[time]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NamePattern;
use super::written::{Problems, Step, Texts, name_pattern};
use crate::clock::Zone;
use crate::length::Length;
use crate::time_format::{TimeFormat, ZoneMarks};

/// Most layouts of times, and members that a time stands in.
const MAX_LAYOUTS: usize = 16;

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
    /// The layouts of times that are written in none of the usual ones.
    pub formats: Vec<TimeFormat>,
    /// What letters at the end of a time say of its zone.
    pub zone_marks: ZoneMarks,
    /// The members of one object that are a time together, in their order: date and time of day.
    pub join: Vec<NamePattern>,
    /// The member beside a time that says what its seconds lack, and what it counts.
    pub fraction: Option<(NamePattern, EpochUnit)>,
}

impl TimeField {
    /// Whether it says where times stand.
    pub(crate) fn says_where(&self) -> bool {
        !self.fields.is_empty() || !self.join.is_empty()
    }
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
    pub(crate) fn micros(self) -> f64 {
        match self {
            Self::Seconds => 1e6,
            Self::Millis => 1e3,
            Self::Micros => 1.0,
            Self::Nanos => 1e-3,
        }
    }

    /// Whole microseconds in one, or 1.
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

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeFields {
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) field: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<EpochUnit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resolution: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) same_time: Option<SameTime>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) format: Texts,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) zone_marks: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) join: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fraction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fraction_unit: Option<EpochUnit>,
}

/// What becomes of samples of one time from different messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SameTime {
    /// The later one replaces the earlier one.
    Replace,
    /// All are kept.
    Keep,
}

/// Reads what is said of times; notes what is wrong with it.
pub(super) fn check_time(fields: &TimeFields, problems: &mut Problems) -> TimeField {
    let path = |key| [Step::Key("time"), Step::Key(key)];
    let time_fields = patterns("field", &fields.field, problems);
    let zone = fields.zone.as_deref().and_then(|zone| problems.take(&path("zone"), zone.parse::<Zone>()));
    if fields.bits.is_some_and(|bits| bits != 32 && bits != 64) {
        problems.add(&path("bits"), "`bits` is 32, of a counter that runs over, or 64");
    }
    if fields.bits == Some(32) && fields.unit.is_none() {
        problems.add(&path("bits"), "a counter of 32 bits needs its `unit`: s, ms, us or ns");
    }
    let keeps = fields.same_time == Some(SameTime::Keep);
    if keeps != fields.resolution.is_some() {
        problems.add(
            &path(if keeps { "same_time" } else { "resolution" }),
            "`resolution`, how far a clock's times are apart, and `same_time = \"keep\"` go together",
        );
    }
    if fields.resolution.is_some_and(|resolution| resolution.is_zero()) {
        problems.add(&path("resolution"), "`resolution` must be longer than nothing");
    }
    let (formats, zone_marks) = check_formats(fields, problems);
    let (join, fraction) = check_parts(fields, problems);
    TimeField {
        formats,
        zone_marks,
        join,
        fraction,
        fields: time_fields,
        zone,
        unit: fields.unit,
        is_32_bit: fields.bits == Some(32),
        kept_resolution: fields.resolution.map(|resolution| resolution.0.max(1)).filter(|_| keeps),
    }
}

fn patterns(key: &'static str, names: &Texts, problems: &mut Problems) -> Vec<NamePattern> {
    let name = |(index, name): (usize, &String)| {
        let path = [Step::Key("time"), Step::Key(key), Step::Index(index)];
        problems.take(&path, name_pattern(name))
    };
    names.0.iter().enumerate().filter_map(name).collect()
}

/// The layouts of texts.
fn check_formats(fields: &TimeFields, problems: &mut Problems) -> (Vec<TimeFormat>, ZoneMarks) {
    let path = |key| [Step::Key("time"), Step::Key(key)];
    if fields.format.0.len() > MAX_LAYOUTS {
        problems.add(&path("format"), format!("`format` has more than {MAX_LAYOUTS} layouts"));
    }
    let formats = fields.format.0.iter().enumerate().filter_map(|(index, format)| {
        let path = [Step::Key("time"), Step::Key("format"), Step::Index(index)];
        problems.take(&path, TimeFormat::new(format))
    });
    let formats: Vec<_> = formats.collect();
    let marks = problems.take(&path("zone_marks"), ZoneMarks::new(&fields.zone_marks)).unwrap_or_default();
    let has_marks = formats.iter().any(TimeFormat::has_mark);
    if has_marks && fields.zone_marks.is_empty() {
        problems.add(
            &path("format"),
            "%Z stands for a mark of the zone, and `zone_marks` says of none what it means",
        );
    }
    if !has_marks && !marks.is_empty() {
        problems.add(
            &path("zone_marks"),
            "`zone_marks` says what %Z at the end of a `format` stands for, and none has it",
        );
    }
    (formats, marks)
}

/// The members that a time stands in, where it stands in several.
fn check_parts(
    fields: &TimeFields,
    problems: &mut Problems,
) -> (Vec<NamePattern>, Option<(NamePattern, EpochUnit)>) {
    let path = |key| [Step::Key("time"), Step::Key(key)];
    let join = patterns("join", &fields.join, problems);
    if !(2..=MAX_LAYOUTS).contains(&fields.join.0.len()) && !fields.join.is_empty() {
        problems.add(&path("join"), format!("`join` is 2 to {MAX_LAYOUTS} members that are a time together"));
    }
    let fraction =
        fields.fraction.as_deref().and_then(|name| problems.take(&path("fraction"), name_pattern(name)));
    match (&fraction, fields.fraction_unit) {
        (Some(_), None) => {
            problems.add(&path("fraction"), "`fraction` needs its `fraction_unit`: ms, us or ns");
        }
        (Some(_), Some(EpochUnit::Seconds)) | (None, Some(_)) => {
            problems.add(&path("fraction_unit"), "`fraction_unit` is what `fraction` counts: ms, us or ns");
        }
        _ => {}
    }
    if fraction.is_some() && fields.field.is_empty() {
        problems.add(&path("fraction"), "`fraction` is of the time in `field`, and there is none");
    }
    let level = |name: &str| name.rsplit_once('.').map_or("", |(level, _)| level).to_owned();
    if let Some(name) = &fields.fraction
        && !fields.field.is_empty()
        && !fields.field.0.iter().any(|field| level(field) == level(name))
    {
        problems.add(&path("fraction"), "`fraction` stands beside a `field`, in one object");
    }
    (join, fraction.zip(fields.fraction_unit))
}
