//! What is known of a metric's name: worked out when it is first met, however many readings bear it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::profile::{MetricRule, Profile};
use crate::reading::{Metric, Unit};
use crate::unit::{self, Conversion, Measured, Quantity};

/// How many names are remembered; then all are forgotten and learnt anew, so that devices which
/// invent names cannot make a warm function grow.
const MAX_NAMES: usize = 16 * 1024;

/// The names under which devices send a time, the most telling first; compared without case.
pub const TIME_NAMES: [&str; 14] = [
    "ts",
    "timestamp",
    "time",
    "at",
    "t",
    "datetime",
    "date_time",
    "time_stamp",
    "epoch",
    "measured_at",
    "recorded_at",
    "created_at",
    "event_time",
    "eventtime",
];

/// The names under which devices send their own identity; compared without case.
const DEVICE_ID_NAMES: [&str; 2] = ["device_id", "deviceid"];

/// The names of a pair's members: `{"name": "temperature", "value": 22.5, "unit": "Cel"}`.
const PAIR_NAMES: [&str; 3] = ["name", "n", "key"];
const PAIR_VALUES: [&str; 2] = ["value", "v"];
const PAIR_UNITS: [&str; 3] = ["unit", "u", "units"];

/// A name, and all that follows from it alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    /// As decoded, nested names joined by dots.
    pub(crate) sent: Arc<str>,
    /// Where its last level begins.
    pub(crate) last_level: usize,
    /// What it may be beside a metric, as a member of a record.
    pub(crate) role: Option<Role>,
    /// The metric that it is stored as.
    pub(crate) metric: Metric,
    /// The unit that the name or the profile says its values have.
    pub(crate) unit: Option<NamedUnit>,
    /// What it measures, where that is known.
    pub(crate) quantity: Option<&'static Quantity>,
    /// The same, as far as a unit beside a value can contradict it.
    pub(crate) measured: Measured,
    /// Whether it is a probe on a 1-Wire bus.
    pub(crate) is_one_wire: bool,
    /// The member whose text is the unit, as the profile says.
    pub(crate) unit_from: Option<Arc<str>>,
    /// What the profile says of it.
    pub(crate) rule: Option<Arc<MetricRule>>,
    /// Whether the profile leaves it out.
    pub(crate) is_ignored: bool,
    /// Whether its texts are JSON documents, as the profile says.
    pub(crate) is_document: bool,
}

/// A unit that follows from a name, and the way from there to the canonical one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedUnit {
    /// As the name or the profile writes it.
    pub(crate) sent: Unit,
    pub(crate) conversion: Conversion,
    /// What readings get.
    pub(crate) unit: Unit,
}

impl NamedUnit {
    fn new(sent: &str, conversion: Conversion) -> Self {
        let unit = Unit::new(&conversion.unit, Some(sent));
        Self { sent: Unit::new(sent, None), conversion, unit }
    }
}

/// What a member of a record may be, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The record's time, with the rank of its name.
    Time(usize),
    /// Who sends.
    DeviceId,
    /// Whom a gateway speaks for, as its profile says.
    SubDevice,
    /// The parts of a pair.
    PairName,
    PairValue,
    PairUnit,
    /// The unit of all values of a quantity in this record, such as `TempUnit`.
    UnitOf(&'static Quantity),
    /// The unit of those metrics of which the profile says so.
    UnitSource,
}

/// The names that have been met under one profile, or under none.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_text: HashMap<Arc<str>, Rc<Name>, RandomState>,
    by_number: HashMap<u32, Rc<Name>, RandomState>,
}

impl Names {
    /// What is known of the name `sent`, under `profile`.
    pub(crate) fn get(&mut self, sent: &str, profile: Option<&Profile>) -> Rc<Name> {
        if let Some(known) = self.by_text.get(sent) {
            return Rc::clone(known);
        }
        if self.by_text.len() == MAX_NAMES {
            self.by_text.clear();
        }
        let name = Rc::new(describe(sent, profile));
        self.by_text.insert(Arc::clone(&name.sent), Rc::clone(&name));
        name
    }

    /// As [`Names::get`], where a format has a number in place of a name: `sent` writes it when it is first met.
    pub(crate) fn get_numbered(
        &mut self,
        number: u32,
        sent: impl FnOnce() -> String,
        profile: Option<&Profile>,
    ) -> Rc<Name> {
        if let Some(known) = self.by_number.get(&number) {
            return Rc::clone(known);
        }
        if self.by_number.len() == MAX_NAMES {
            self.by_number.clear();
        }
        let name = self.get(&sent(), profile);
        self.by_number.insert(number, Rc::clone(&name));
        name
    }
}

fn describe(sent: &str, profile: Option<&Profile>) -> Name {
    let last_level = sent.rfind('.').map_or(0, |dot| dot + 1);
    let is_ignored = profile.is_some_and(|profile| profile.ignores(sent));
    let is_document = profile.is_some_and(|profile| profile.has_document(sent));
    // Where a profile says what the time is, nothing else is.
    let has_time = profile.is_some_and(|profile| profile.time.field.is_some());
    let built_in = || role(&sent[last_level..]).filter(|role| !has_time || !matches!(role, Role::Time(_)));
    let role = profile.and_then(|profile| profile.role(sent)).or_else(built_in);
    let sent: Arc<str> = Arc::from(sent);
    let mut name = Name {
        metric: Arc::clone(&sent),
        quantity: unit::quantity_of_name(&sent),
        sent: Arc::clone(&sent),
        last_level,
        role,
        unit: None,
        measured: Measured::default(),
        is_one_wire: unit::is_one_wire(&sent)
            || profile.is_some_and(|profile| unit::is_one_wire(&profile.name)),
        unit_from: None,
        rule: None,
        is_ignored,
        is_document,
    };
    if let Some((rule, metric)) = profile.and_then(|profile| profile.rule(&sent)) {
        name.unit_from = rule.unit_of(&sent);
        if let Some(unit) = &rule.unit {
            name.quantity = unit.quantity;
            name.unit = Some(NamedUnit::new(&unit.text, unit.conversion.clone()));
        }
        name.metric = metric;
        name.rule = Some(rule);
    } else if let Some(suffix) = unit::of_name(&sent) {
        name.metric = suffix.stem.into();
        name.quantity = suffix.quantity;
        name.unit = Some(NamedUnit::new(&suffix.unit_sent, suffix.conversion));
    }
    let is_certain = name.rule.as_ref().is_some_and(|rule| rule.unit.is_some());
    let named = unit::quantities_of_name(&name.sent);
    let quantity = name.quantity.filter(|_| is_certain || !unit::may_be_another(&name.sent));
    name.measured = Measured { quantity, named, is_certain };
    name
}

fn role(level: &str) -> Option<Role> {
    let position = |names: &[&str]| names.iter().position(|known| known.eq_ignore_ascii_case(level));
    position(&TIME_NAMES)
        // Rank 0 is the time that a profile names.
        .map(|place| Role::Time(place + 1))
        .or_else(|| position(&DEVICE_ID_NAMES).map(|_| Role::DeviceId))
        .or_else(|| position(&PAIR_NAMES).map(|_| Role::PairName))
        .or_else(|| position(&PAIR_VALUES).map(|_| Role::PairValue))
        .or_else(|| position(&PAIR_UNITS).map(|_| Role::PairUnit))
        .or_else(|| unit_of(level).map(Role::UnitOf))
}

/// `TempUnit`, `temperature_unit`: the quantity whose unit a member says.
fn unit_of(level: &str) -> Option<&'static Quantity> {
    const ENDINGS: [&str; 4] = ["_units", "_unit", "Units", "Unit"];
    let word = ENDINGS.iter().find_map(|ending| level.strip_suffix(ending))?;
    unit::quantity_of_name(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_bounded_number_of_names() {
        let mut names = Names::default();
        assert!(Rc::ptr_eq(&names.get("a", None), &names.get("a", None)));
        for number in 0..3 * MAX_NAMES {
            names.get(&number.to_string(), None);
            assert!(names.by_text.len() <= MAX_NAMES);
            names.get_numbered(number as u32, || "a".to_owned(), None);
            assert!(names.by_number.len() <= MAX_NAMES);
        }
    }

    #[test]
    fn names_say_what_a_member_may_be() {
        let check = |sent: &str, expected: Option<Role>| {
            assert_eq!(Names::default().get(sent, None).role, expected, "{sent}");
        };
        check("ts", Some(Role::Time(1)));
        check("log.3.Timestamp", Some(Role::Time(2)));
        check("Device_ID", Some(Role::DeviceId));
        check("value", Some(Role::PairValue));
        check("temperature", None);
    }
}
