//! What is known of a metric's name: worked out when it is first met, however many readings bear it.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;

use crate::limits::MAX_PATTERN_COMPARISONS;
use crate::profile::{MetricRule, NamePattern, Profile};
use crate::reading::{Metric, Unit};
use crate::unit::{self, Conversion, Measured, Quantity};

/// How many names are remembered from one message to the next; then all are forgotten and learnt anew, so that devices
/// which invent names cannot make a warm function grow.
const MAX_NAMES: usize = 16 * 1024;

/// How many names of a message are expected in the next one.
const MAX_ORDER: usize = 64;

/// The names under which devices send a time, the most telling first; compared without case. The time of sending comes
/// after all times of measuring.
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
    "event_time",
    "eventtime",
    "created_at",
];

/// The names under which devices send their own identity; compared without case.
const DEVICE_ID_NAMES: [&str; 2] = ["device_id", "deviceid"];

/// The names under which the elements of a list say which they are, in a text or a number, the most telling first;
/// compared without case.
const IDENTITIES: [&str; 9] =
    ["id", "key", "tag", "tagid", "tag_id", "channel", "datasetwriterid", "nodeid", "node_id"];
/// As [`IDENTITIES`], in a text alone: as numbers these are measurements as often as not.
const TEXT_IDENTITIES: [&str; 17] = [
    "tagname",
    "tag_name",
    "n",
    "name",
    "code",
    "datasetwritername",
    "browsename",
    "displayname",
    "variable",
    "signal",
    "property",
    "parameter",
    "metric",
    "point",
    "sensor",
    "mac",
    "uuid",
];
/// The names of an object's value, and of what stands beside it: `{"value": 22.5, "unit": "Cel", "quality": "good"}`.
const VALUES: [&str; 3] = ["value", "v", "val"];
const UNITS: [&str; 3] = ["unit", "u", "units"];
const QUALITIES: [&str; 3] = ["q", "qc", "quality"];

/// A name, and all that follows from it alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    /// As it stands in the payload, nested names joined by dots.
    pub(crate) sent: Arc<str>,
    /// The same with what the topic gives it: what profiles' patterns of metrics are about.
    pub(crate) decoded: Arc<str>,
    /// Where the last level of `sent` begins.
    pub(crate) last_level: usize,
    /// What it may be beside a metric, as a member of a record.
    pub(crate) role: Option<Role>,
    /// The metric that it is stored as.
    pub(crate) metric: Metric,
    /// A hash of that: names of one metric have one.
    pub(crate) metric_hash: u64,
    /// The unit that the name or the profile says its values have.
    pub(crate) unit: Option<NamedUnit>,
    /// What it measures, where that is known.
    pub(crate) quantity: Option<&'static Quantity>,
    /// The same, as far as a unit beside a value can contradict it.
    pub(crate) measured: Measured,
    /// Whether it is a probe on a 1-Wire bus.
    pub(crate) is_one_wire: bool,
    /// The members whose text is the unit, as the profile says; the first that is there counts.
    pub(crate) unit_from: Option<Box<NamePattern>>,
    /// What the profile says of it.
    pub(crate) rule: Option<Arc<MetricRule>>,
    /// Whether the profile leaves it out.
    pub(crate) is_ignored: bool,
    /// Whether its texts are JSON documents, as the profile says.
    pub(crate) is_document: bool,
    /// Whether what stands under it may hold rows beside their names, as the profile says.
    pub(crate) has_headers: bool,
    /// The first rule of the profile for what stands under it.
    pub(crate) shape: Option<u16>,
}

impl Name {
    /// Whether other members may say something of its value, or it of theirs.
    pub(crate) fn relates_to_others(&self) -> bool {
        self.role.is_some() || self.quantity.is_some() || self.unit_from.is_some()
    }
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
    /// The record's time.
    Time(TimeRank),
    /// Who sends.
    DeviceId,
    /// Whom a gateway speaks for, as its profile says: by the name at this place of its list. `is_each`: with a star, so
    /// that it says it of its own object alone.
    SubDevice {
        place: u16,
        is_each: bool,
    },
    /// Which element of a list it is: how telling the name is, from 0, and whether a number may say it.
    Identity {
        rank: usize,
        may_be_integer: bool,
    },
    /// The value of an object, and what says something of it.
    Value,
    Unit,
    Quality,
    /// The quality of the value beside it, or of all values that are beside it, as the profile says.
    QualityOfAll,
    /// The part at this place of a time that stands in several members, as the profile says.
    TimePart(u8),
    /// What the seconds of the time beside it lack, as the profile says.
    TimeFraction,
    /// The unit of all values of a quantity in this record, such as `TempUnit`.
    UnitOf(&'static Quantity),
    /// The unit of those metrics of which the profile says so.
    UnitSource,
}

impl Role {
    /// Whether only a profile says it.
    pub(crate) fn is_of_profile(self) -> bool {
        match self {
            Self::Time(rank) => matches!(rank, TimeRank::Profile { .. }),
            Self::SubDevice { .. }
            | Self::QualityOfAll
            | Self::TimePart(_)
            | Self::TimeFraction
            | Self::UnitSource => true,
            Self::DeviceId
            | Self::Identity { .. }
            | Self::Value
            | Self::Unit
            | Self::Quality
            | Self::UnitOf(_) => false,
        }
    }
}

/// How telling a time's name is, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimeRank {
    /// The profile names it, in this place of its list. `is_each`: with a star, so that each object that has it has it
    /// for itself.
    Profile { place: u16, is_each: bool },
    /// In this place of [`TIME_NAMES`].
    Known(u16),
    /// No name says that it is one, but the format does.
    Tagged,
}

/// The names that have been met under one profile, or under none, on topics that give one beginning to names.
#[derive(Debug)]
pub(crate) struct Names {
    /// What every name begins with, and a bare value is called: from the topic; empty where it says nothing.
    stem: Box<str>,
    by_text: HashMap<Arc<str>, Met, RandomState>,
    by_number: HashMap<u32, Rc<Name>, RandomState>,
    /// The number of the message that is being read.
    message: u64,
    /// Different names that it has brought so far, known ones among them.
    distinct: usize,
    /// How many it may bring.
    most: usize,
    /// What stands for the names of a message that has brought too many.
    nameless: Option<Rc<Name>>,
    /// The names of the message before in their order, and which of them is the next: messages of one kind have the same
    /// names in the same order, and to compare is quicker than to look up.
    order: Vec<Rc<Name>>,
    next: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            stem: Box::default(),
            by_text: HashMap::default(),
            by_number: HashMap::default(),
            message: 0,
            distinct: 0,
            most: usize::MAX,
            nameless: None,
            order: Vec::new(),
            next: 0,
        }
    }
}

/// A name, and the last message that had it.
#[derive(Debug)]
struct Met {
    name: Rc<Name>,
    message: u64,
}

impl Names {
    /// Names of topics that give names this beginning.
    pub(crate) fn under(stem: &str) -> Self {
        Self { stem: stem.into(), ..Self::default() }
    }

    /// Whether the topic says what a bare value is called.
    pub(crate) fn has_stem(&self) -> bool {
        !self.stem.is_empty()
    }

    /// How many names are known.
    pub(crate) fn known(&self) -> usize {
        self.by_text.len() + self.by_number.len()
    }

    /// Begins a message, whose names are compared with the patterns of `profile`, and counted from here.
    pub(crate) fn begin_message(&mut self, profile: Option<&Profile>) {
        self.message += 1;
        self.distinct = 0;
        self.next = 0;
        let patterns = profile.map_or(0, Profile::patterns);
        self.most = MAX_PATTERN_COMPARISONS.checked_div(patterns).unwrap_or(usize::MAX);
        if self.by_text.len() > MAX_NAMES {
            self.by_text.clear();
        }
        if self.by_number.len() > MAX_NAMES {
            self.by_number.clear();
        }
    }

    /// Whether the message has brought more names than one may. It is to be refused: not all of them are known then.
    pub(crate) fn has_too_many(&self) -> bool {
        self.distinct > self.most
    }

    /// What is known of the name `sent`, under `profile`. How many different names a message has brought is counted
    /// whether they were known or not: what becomes of it does not depend on the messages before it.
    pub(crate) fn get(&mut self, sent: &str, profile: Option<&Profile>) -> Rc<Name> {
        // Where as many may come as there are, nothing is counted.
        if self.most == usize::MAX {
            self.get_as_before(sent, profile)
        } else {
            self.get_counted(sent, profile)
        }
    }

    fn get_as_before(&mut self, sent: &str, profile: Option<&Profile>) -> Rc<Name> {
        let place = self.next;
        self.next += 1;
        if let Some(expected) = self.order.get(place).filter(|expected| *expected.sent == *sent) {
            return Rc::clone(expected);
        }
        let name = match self.by_text.get(sent) {
            Some(known) => Rc::clone(&known.name),
            None => self.get_counted(sent, profile),
        };
        match self.order.get_mut(place) {
            Some(other) => *other = Rc::clone(&name),
            None if place < MAX_ORDER => self.order.push(Rc::clone(&name)),
            None => {}
        }
        name
    }

    fn get_counted(&mut self, sent: &str, profile: Option<&Profile>) -> Rc<Name> {
        if let Some(known) = self.by_text.get_mut(sent) {
            if known.message != self.message {
                known.message = self.message;
                self.distinct += 1;
            }
            return Rc::clone(&known.name);
        }
        self.distinct += 1;
        if self.has_too_many() {
            let nameless = self.nameless.get_or_insert_with(|| Rc::new(describe("?", "", None)));
            return Rc::clone(nameless);
        }
        let name = Rc::new(describe(sent, &self.stem, profile));
        let met = Met { name: Rc::clone(&name), message: self.message };
        self.by_text.insert(Arc::clone(&name.sent), met);
        name
    }

    /// As [`Names::get`], where a format has a number in place of a name: `sent` writes it when it is first met.
    pub(crate) fn get_numbered(
        &mut self,
        number: u32,
        sent: impl FnOnce() -> String,
        profile: Option<&Profile>,
    ) -> Rc<Name> {
        if let Some(known) = self.by_number.get(&number).map(Rc::clone) {
            // Known or not, it counts.
            return if self.most == usize::MAX { known } else { self.get_counted(&known.sent, profile) };
        }
        let name = self.get(&sent(), profile);
        // Else it is not this number's name.
        if !self.has_too_many() {
            self.by_number.insert(number, Rc::clone(&name));
        }
        name
    }
}

/// What a name in the payload means, on a topic that gives names the beginning `stem`.
fn describe(sent: &str, stem: &str, profile: Option<&Profile>) -> Name {
    let last_level = sent.rfind('.').map_or(0, |dot| dot + 1);
    let sent_as: Arc<str> = Arc::from(sent);
    let decoded = full_name(&sent_as, stem);
    let full: &str = &decoded;
    let is_ignored = profile.is_some_and(|profile| profile.ignores(full));
    let is_document = profile.is_some_and(|profile| profile.has_document(sent));
    let shape = profile.and_then(|profile| profile.shape(Some(sent), None)).map(|(place, _)| place);
    let has_headers =
        profile.is_some_and(|profile| profile.has_headers() && profile.headers(sent).next().is_some());
    // Where a profile says what the time is, nothing else is.
    let has_time = profile.is_some_and(|profile| profile.time.says_where());
    let built_in = || role(&sent[last_level..]).filter(|role| !has_time || !matches!(role, Role::Time(_)));
    let role = profile.and_then(|profile| profile.role(sent, full)).or_else(built_in);
    let mut name = Name {
        metric: Arc::clone(&decoded),
        metric_hash: 0,
        quantity: unit::quantity_of_name(full),
        sent: Arc::clone(&sent_as),
        decoded: Arc::clone(&decoded),
        last_level,
        role,
        unit: None,
        measured: Measured::default(),
        is_one_wire: unit::is_one_wire(full)
            || profile.is_some_and(|profile| unit::is_one_wire(&profile.name)),
        unit_from: None,
        rule: None,
        is_ignored,
        is_document,
        has_headers,
        shape,
    };
    if let Some((rule, metric)) = profile.and_then(|profile| profile.rule(full)) {
        name.unit_from = rule.unit_of(full).map(Box::new);
        if let Some(unit) = &rule.unit {
            name.quantity = unit.quantity;
            name.unit = Some(NamedUnit::new(&unit.text, unit.conversion.clone()));
        }
        name.metric = metric;
        name.rule = Some(rule);
    } else if let Some(suffix) = unit::of_name(full) {
        name.metric = suffix.stem.into();
        name.quantity = suffix.quantity;
        name.unit = Some(NamedUnit::new(&suffix.unit_sent, suffix.conversion));
    }
    let is_certain = name.rule.as_ref().is_some_and(|rule| rule.unit.is_some());
    let named = unit::quantities_of_name(full);
    let quantity = name.quantity.filter(|_| is_certain || !unit::may_be_another(full));
    name.measured = Measured { quantity, named, is_certain };
    name.metric_hash = hash_of(&name.metric);
    name
}

/// The name of a member on a topic that names its metric: that of the topic goes before it, and is the name of the
/// value itself.
fn full_name(sent: &Arc<str>, stem: &str) -> Arc<str> {
    let is_value = || VALUES.iter().any(|value| value.eq_ignore_ascii_case(sent));
    match stem {
        "" => Arc::clone(sent),
        stem if is_value() => stem.into(),
        stem => format!("{stem}.{sent}").into(),
    }
}

/// The same for the same text as long as the process lives.
fn hash_of(text: &str) -> u64 {
    static STATE: LazyLock<foldhash::fast::FixedState> = LazyLock::new(|| {
        foldhash::fast::FixedState::with_seed(RandomState::default().hash_one("a seed of this process"))
    });
    STATE.hash_one(text)
}

/// Whether a member of this name, its last level, may say something of others without a word of the profile.
pub(crate) fn is_telling(level: &str) -> bool {
    role(level).is_some()
}

/// Whether a member of this name says which element of a list it stands in.
pub(crate) fn is_identity(level: &str) -> bool {
    matches!(role(level), Some(Role::Identity { .. }))
}

/// Whether a member of this name is the value of its object.
pub(crate) fn is_value(level: &str) -> bool {
    matches!(role(level), Some(Role::Value))
}

/// Whether a member of this name is the unit of the value beside it.
pub(crate) fn is_unit(level: &str) -> bool {
    matches!(role(level), Some(Role::Unit))
}

/// Whether a member of this name is the quality of the value beside it.
pub(crate) fn is_quality(level: &str) -> bool {
    matches!(role(level), Some(Role::Quality))
}

fn role(level: &str) -> Option<Role> {
    let position = |names: &[&str]| names.iter().position(|known| known.eq_ignore_ascii_case(level));
    let identity = |rank, may_be_integer| Role::Identity { rank, may_be_integer };
    position(&TIME_NAMES)
        .map(|place| Role::Time(TimeRank::Known(u16::try_from(place).unwrap_or(u16::MAX))))
        .or_else(|| position(&DEVICE_ID_NAMES).map(|_| Role::DeviceId))
        .or_else(|| position(&IDENTITIES).map(|rank| identity(rank, true)))
        .or_else(|| position(&TEXT_IDENTITIES).map(|rank| identity(IDENTITIES.len() + rank, false)))
        .or_else(|| position(&VALUES).map(|_| Role::Value))
        .or_else(|| position(&UNITS).map(|_| Role::Unit))
        .or_else(|| position(&QUALITIES).map(|_| Role::Quality))
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
            names.begin_message(None);
            names.get(&number.to_string(), None);
            names.get_numbered(number as u32, || "a".to_owned(), None);
            assert!(names.by_text.len() <= MAX_NAMES + 2 && names.by_number.len() <= MAX_NAMES + 1);
        }
    }

    #[test]
    fn the_names_of_a_message_are_counted_whatever_was_known_before() {
        let patterns = "ignore = \"x\"\n[[metric]]\nfrom = \"a*\"\n[[metric]]\nfrom = \"b*\"";
        let profile = Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{patterns}")).unwrap();
        let most = MAX_PATTERN_COMPARISONS / 3;
        let mut names = Names::default();
        for _ in 0..2 {
            names.begin_message(Some(&profile));
            for number in (0..most).chain(0..10) {
                names.get(&number.to_string(), Some(&profile));
                assert!(!names.has_too_many());
            }
            for _ in 0..2 {
                names.get("one more", Some(&profile));
                assert!(names.has_too_many());
            }
        }
        assert!(names.by_text.len() <= most);
    }

    #[test]
    fn a_message_with_too_many_names_leaves_none_of_them_wrong() {
        let patterns = "ignore = \"x\"\n[[metric]]\nfrom = \"a*\"\n[[metric]]\nfrom = \"b*\"";
        let profile = Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{patterns}")).unwrap();
        let most = MAX_PATTERN_COMPARISONS / 3;
        let mut names = Names::default();
        let get = |names: &mut Names, number: usize| {
            names.get_numbered(u32::try_from(number).unwrap(), || format!("c{number}"), Some(&profile))
        };
        for _ in 0..2 {
            names.begin_message(Some(&profile));
            for number in 0..=most {
                get(&mut names, number);
            }
            assert!(names.has_too_many(), "known or not, names count");
        }
        names.begin_message(Some(&profile));
        assert_eq!(&*get(&mut names, most).sent, format!("c{most}"));
    }

    #[test]
    fn names_say_what_a_member_may_be() {
        let check = |sent: &str, expected: Option<Role>| {
            assert_eq!(Names::default().get(sent, None).role, expected, "{sent}");
        };
        check("ts", Some(Role::Time(TimeRank::Known(0))));
        check("log.3.Timestamp", Some(Role::Time(TimeRank::Known(1))));
        check("Device_ID", Some(Role::DeviceId));
        check("value", Some(Role::Value));
        check("temperature", None);
    }
}
