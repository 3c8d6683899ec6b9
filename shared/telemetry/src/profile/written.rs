//! A profile as people write it, and everything that may be wrong with it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use toml::de::{DeTable, DeValue};

use super::effect;
use super::field::{FieldFields, PayloadField, check_layout, has_ports};
use super::metric_rule::{MetricFields, check_metric};
use super::quality_field::{QualityFields, check_quality};
use super::shape_rule::{ShapeFields, ShapeKind, ShapeRule, check_shape};
use super::time_field::{TimeFields, check_time};
use super::topic_name::TopicName;
use super::{Charset, Columns, Gateway, Layout, Leniency, NamePattern, Profile};
use crate::device_pattern::DevicePattern;
use crate::format::Format;
use crate::length::Length;
use crate::topic::TopicFilter;

/// Longest name of a profile, in bytes.
const MAX_PROFILE_NAME_BYTES: usize = 64;
/// Longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1024;
/// Most patterns, metrics and the like in one profile: what a config item and a look through them can bear.
const MAX_ENTRIES: usize = 200;
/// Longest profile, in bytes of JSON: well below the 400 KB of an item.
const MAX_PROFILE_BYTES: usize = 64 * 1024;

/// Something that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file, from 1; `None` where it is none of a line, or there is no file.
    pub line: Option<usize>,
    /// What is wrong, in a sentence.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Everything that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError(Vec<Problem>);

impl ProfileError {
    /// Each problem.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    fn one(text: impl Into<String>, line: Option<usize>) -> Self {
        Self(vec![Problem { line, text: text.into() }])
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

impl std::error::Error for ProfileError {}

impl Profile {
    /// Reads a profile as people write it, in TOML.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let fields = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().and_then(|span| line_of(text, span.start));
            ProfileError::one(error.message(), line)
        })?;
        check(fields, Source::Written).map_err(|problems| ProfileError(with_lines(text, problems)))
    }

    /// As [`Profile::from_toml`], with what of the profile can have no effect, or collides. Each warning is certain, and
    /// says what helps.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines.
    pub fn check_toml(text: &str) -> Result<(Self, Vec<Problem>), ProfileError> {
        let profile = Self::from_toml(text)?;
        let warnings = effect::warnings(&profile).into_found();
        Ok((profile, with_lines(text, warnings)))
    }

    /// Reads a profile as it is stored: the JSON of [`Profile::to_json`].
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        let fields =
            serde_json::from_str(text).map_err(|error| ProfileError::one(error.to_string(), None))?;
        check(fields, Source::Stored).map_err(|problems| {
            ProfileError(
                problems.into_iter().map(|Found { text, .. }| Problem { line: None, text }).collect(),
            )
        })
    }
}

fn line_of(text: &str, at: usize) -> Option<usize> {
    text.get(..at).map(|before| before.matches('\n').count() + 1)
}

/// What was found in a text, with the lines that it concerns.
fn with_lines(text: &str, found: Vec<Found>) -> Vec<Problem> {
    let table = DeTable::parse(text);
    let problem = |Found { path, text: problem }| {
        let place = table.as_ref().ok().and_then(|table| place_of(table.get_ref(), &path));
        Problem { line: place.and_then(|place| line_of(text, place)), text: problem }
    };
    found.into_iter().map(problem).collect()
}

/// Where a value stands: the names and numbers that lead to it.
type Path = Vec<Step>;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

pub(super) struct Found {
    path: Path,
    text: String,
}

/// Where in the text a value begins; if it is not there, what it would stand in.
fn place_of(table: &DeTable<'_>, path: &[Step]) -> Option<usize> {
    let (Some(Step::Key(key)), rest) = (path.first(), path.get(1..)?) else { return None };
    let (key, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    place_in(value.get_ref(), rest).or(Some(if rest.is_empty() {
        key.span().start
    } else {
        value.span().start
    }))
}

fn place_in(value: &DeValue<'_>, path: &[Step]) -> Option<usize> {
    match (value, path.first()?) {
        (DeValue::Table(table), Step::Key(_)) => place_of(table, path),
        (DeValue::Array(list), Step::Index(index)) => {
            let element = list.get(*index)?;
            place_in(element.get_ref(), &path[1..]).or(Some(element.span().start))
        }
        _ => None,
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFields {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) topics: Texts,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) devices: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<Format>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gateway: Option<GatewayField>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) topic_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) charset: Option<Charset>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lenient: Vec<Leniency>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) numbers_as_text: bool,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) documents: Texts,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub(super) ignore: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<TimeFields>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quality: Option<QualityFields>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<PayloadField>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) shape: Vec<ShapeFields>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) metric: Vec<MetricFields>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) field: Vec<FieldFields>,
}

/// A list of texts, or its only member.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "OneOrMany")]
pub(super) struct Texts(pub(super) Vec<String>);

impl Texts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes one text as such, which a list was not always.
pub(super) fn one_or_many<S: Serializer>(texts: &Texts, serializer: S) -> Result<S::Ok, S::Error> {
    match &*texts.0 {
        [text] => text.serialize(serializer),
        texts => texts.serialize(serializer),
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Texts {
    fn from(texts: OneOrMany) -> Self {
        match texts {
            OneOrMany::One(text) => Self(vec![text]),
            OneOrMany::Many(texts) => Self(texts),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`gateway` is true, \"members\", or the name of the member that names the device, or several"
)]
pub(super) enum GatewayField {
    Is(bool),
    By(#[serde(serialize_with = "one_or_many")] Texts),
}

/// The word for a gateway whose document's members are devices.
const MEMBERS: &str = "members";

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Problems(Vec<Found>);

impl Problems {
    fn into_found(self) -> Vec<Found> {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, path: &[Step], text: impl Into<String>) {
        self.0.push(Found { path: path.to_vec(), text: text.into() });
    }

    /// What came out, if anything did; notes what is wrong otherwise.
    pub(super) fn take<T, E: fmt::Display>(&mut self, path: &[Step], outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.add(path, error.to_string())).ok()
    }

    /// Reads each of a list.
    fn each<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        texts: &Texts,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        if texts.0.len() > MAX_ENTRIES {
            self.add(&[Step::Key(key)], format!("`{key}` has more than {MAX_ENTRIES} entries"));
        }
        let texts = texts.0.iter().enumerate();
        let read = texts.filter_map(|(index, text)| {
            let outcome = read(text).map_err(|error| format!("`{key}`: {error}"));
            self.take(&[Step::Key(key), Step::Index(index)], outcome)
        });
        read.collect()
    }
}

pub(super) fn name_pattern(text: &str) -> Result<NamePattern, &'static str> {
    NamePattern::try_from(text.to_owned())
}

/// Where a profile comes from: what earlier versions have stored is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Written,
    Stored,
}

fn check(fields: ProfileFields, source: Source) -> Result<Profile, Vec<Found>> {
    let mut problems = Problems::default();
    check_name(&fields.name, &mut problems);
    if fields.description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION_BYTES) {
        problems.add(
            &[Step::Key("description")],
            format!("`description` has more than {MAX_DESCRIPTION_BYTES} bytes"),
        );
    }
    let topics = problems.each("topics", &fields.topics, |text| text.parse::<TopicFilter>());
    let devices = problems.each("devices", &fields.devices, DevicePattern::new);
    if fields.topics.is_empty() && fields.devices.is_empty() {
        problems.add(&[], "a profile says by `topics` or `devices` which messages it is for");
    }
    if fields.interval.is_some_and(|interval| interval.is_zero()) {
        problems.add(&[Step::Key("interval")], "`interval` must be longer than nothing");
    }
    let documents = problems.each("documents", &fields.documents, name_pattern);
    let ignore = problems.each("ignore", &fields.ignore, name_pattern);
    let gateway = match &fields.gateway {
        None | Some(GatewayField::Is(false)) => None,
        Some(GatewayField::Is(true)) => Some(Gateway::Format),
        Some(GatewayField::By(words)) if matches!(&*words.0, [word] if word == MEMBERS) => {
            Some(Gateway::Members)
        }
        Some(GatewayField::By(names)) => {
            if names.is_empty() {
                problems.add(&[Step::Key("gateway")], "`gateway` names no member");
            }
            Some(Gateway::Member(problems.each("gateway", names, name_pattern)))
        }
    };
    if source == Source::Written && gateway.is_some() && fields.devices.is_empty() {
        problems.add(
            &[Step::Key("gateway")],
            "a profile with `gateway` names its gateways in `devices`: a device chooses its topic's stream itself",
        );
    }
    let time = fields.time.as_ref().map(|time| check_time(time, &mut problems)).unwrap_or_default();
    if fields.metric.len() > MAX_ENTRIES {
        problems.add(&[Step::Key("metric")], format!("there are more than {MAX_ENTRIES} metrics"));
    }
    let metrics = fields.metric.iter().enumerate();
    let metrics: Vec<_> = metrics
        .flat_map(|(index, metric)| check_metric(index, metric, &mut problems))
        .map(Arc::new)
        .collect();
    if fields.field.len() > MAX_ENTRIES {
        problems.add(&[Step::Key("field")], format!("there are more than {MAX_ENTRIES} fields"));
    }
    let layout = check_layout(fields.payload, &fields.field, &mut problems);
    let shapes = check_shapes(&fields, layout.is_some(), &mut problems);
    let has_bytes = shapes.iter().any(|shape| matches!(shape.kind, ShapeKind::Fields(_)));
    check_format(fields.format, layout.as_ref().filter(|_| !has_bytes), &mut problems);
    let topic_name = fields.topic_name.as_deref().map(TopicName::new);
    let topic_name = topic_name.and_then(|name| problems.take(&[Step::Key("topic_name")], name));
    check_text(&fields, &mut problems);
    let has_records = shapes.iter().any(|shape| matches!(shape.kind, ShapeKind::Records(_)));
    let quality = fields.quality.as_ref().map(|quality| check_quality(quality, has_records, &mut problems));
    let document = problems.take(&[], serde_json::to_string(&fields)).unwrap_or_default();
    if document.len() > MAX_PROFILE_BYTES {
        problems.add(&[], format!("the profile has more than {MAX_PROFILE_BYTES} bytes"));
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    Ok(Profile {
        name: fields.name.into(),
        description: fields.description,
        topics,
        devices,
        format: fields.format,
        gateway,
        interval: fields.interval,
        time,
        quality: quality.unwrap_or_default(),
        topic_name,
        charset: fields.charset.unwrap_or_default(),
        lenient: fields.lenient,
        numbers_as_text: fields.numbers_as_text,
        has_payload_shape: shapes.iter().any(|shape| shape.at.is_none()),
        has_headers: shapes.iter().any(|shape| matches!(shape.kind, ShapeKind::Rows(Columns::Member(_)))),
        has_series: shapes.iter().any(|shape| matches!(shape.kind, ShapeKind::Series(_))),
        shapes,
        metrics,
        layout,
        documents,
        ignore,
        document,
    })
}

fn check_name(name: &str, problems: &mut Problems) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_PROFILE_NAME_BYTES || !name.chars().all(is_allowed) {
        problems.add(
            &[Step::Key("name")],
            format!("`name` has 1 to {MAX_PROFILE_NAME_BYTES} lower-case letters, digits, - and _"),
        );
    }
}

fn check_shapes(fields: &ProfileFields, has_layout: bool, problems: &mut Problems) -> Vec<ShapeRule> {
    if fields.shape.len() > MAX_ENTRIES {
        problems.add(&[Step::Key("shape")], format!("there are more than {MAX_ENTRIES} shapes"));
    }
    let shapes = fields.shape.iter().enumerate();
    shapes.filter_map(|(index, shape)| check_shape(index, shape, has_layout, problems)).collect()
}

/// Whether what is said of a payload's text goes with its format.
fn check_text(fields: &ProfileFields, problems: &mut Problems) {
    let is_text = matches!(fields.format, None | Some(Format::Json | Format::Text));
    if !is_text && fields.charset.is_some() {
        problems.add(&[Step::Key("charset")], "`charset` is for payloads of JSON, or of one text");
    }
    let is_json = matches!(fields.format, None | Some(Format::Json));
    if !is_json && !fields.lenient.is_empty() {
        problems.add(&[Step::Key("lenient")], "`lenient` is for payloads of JSON");
    }
}

/// Whether a layout and the format go together.
fn check_format(format: Option<Format>, layout: Option<&Layout>, problems: &mut Problems) {
    let path = [Step::Key("format")];
    match (format, layout) {
        (Some(Format::Sparkplug), _) => {
            problems.add(&path, "Sparkplug is told by its topics: leave `format` out");
        }
        (Some(Format::Bytes), None) => {
            problems.add(&path, "bytes are read by `payload` or `[[field]]`, and there is neither");
        }
        (Some(Format::Bytes), Some(layout)) if has_ports(layout) => {
            problems.add(&path, "only uplinks of the format lorawan have a `port`");
        }
        (None | Some(Format::Bytes | Format::Lorawan), _) | (_, None) => {}
        (Some(_), Some(_)) => {
            problems.add(&path, "`payload` and `[[field]]` are for the formats bytes and lorawan");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::limits::MAX_NAME_BYTES;
    use crate::profile::Sentinel;
    use crate::reading::Quality;

    const FULL: &str = r#"
name = "cold-room"
description = "What hangs in the cold rooms"
topics = "dt/+/+/telemetry"
devices = ["*/cold-room-*", "*/freezer-*"]
format = "json"
gateway = "sensor"
interval = "5m"
numbers_as_text = true
documents = "data"
ignore = ["debug.*", "/a~1b/c"]

[time]
field = "when"
zone = "Europe/Berlin"
unit = "s"
bits = 32

[[metric]]
from = "*.t"
name = "{1}.temperature"
scale = 0.1
offset = -40
range = [-60, 120.5]
sentinels = [-127, { value = 85, quality = "uncertain" }]
deadband = 0.5

[[metric]]
from = "/probe/h"
unit_from = "/probe/u~1h"
"#;

    #[test]
    fn a_profile_is_stored_as_it_was_written() {
        let check = |text: &str| {
            let written = Profile::from_toml(text).unwrap();
            let stored = Profile::from_json(written.to_json()).unwrap();
            assert_eq!(stored, written);
            assert_eq!(stored.to_json(), written.to_json());
        };
        check(FULL);
        check("name = \"p\"\ndevices = \"*/*\"");
        check("name = \"p\"\ntopics = \"a/#\"\ndevices = \"*/gw-*\"\ngateway = true\ntime.zone = \"+02:00\"");
        check("name = \"p\"\ndevices = \"*/gw-*\"\ngateway = \"members\"");
    }

    #[test]
    fn what_is_written_is_what_is_known() {
        let profile = Profile::from_toml(FULL).unwrap();
        assert_eq!(profile.interval, Some(Length(300_000_000)));
        assert_eq!(profile.gateway, Some(Gateway::Member(vec![name_pattern("sensor").unwrap()])));
        assert!(profile.time.is_32_bit && profile.numbers_as_text);
        assert!(profile.ignores("debug.heap") && profile.ignores("a/b.c") && !profile.ignores("debug"));
        let (rule, metric) = profile.rule("probe 1.t").unwrap();
        assert_eq!((&*metric, rule.scale, rule.offset), ("probe 1.temperature", 0.1, -40.0));
        assert_eq!(rule.range, Some((-60.0, 120.5)));
        let quality = |sentinel: &Sentinel| (sentinel.value, sentinel.quality);
        let sentinels = rule.sentinels.as_ref().unwrap().iter().map(quality).collect::<Vec<_>>();
        assert_eq!(sentinels, [(-127.0, Quality::Bad), (85.0, Quality::Uncertain)]);
        assert_eq!(profile.metrics[1].unit_from().as_deref(), Some("probe.u/h"));
        assert_eq!(profile.deadband("any.temperature"), Some(0.5));
        assert_eq!(profile.deadband("probe.h"), None);
    }

    #[test]
    fn a_name_that_cannot_be_one_is_not_made() {
        let profile = "name = \"p\"\ntopics = \"a\"\n[[metric]]\nfrom = \"a*\"\nname = \"{1}\"\n[[metric]]\nfrom = \"*\"\nname = \"{1}{1}\"";
        let profile = Profile::from_toml(profile).unwrap();
        let check = |sent: &str, expected: &str| {
            assert_eq!(profile.rule(sent).map(|(_, metric)| metric.to_string()).as_deref(), Some(expected));
        };
        check("ab", "b");
        check("a", "a");
        check("x", "xx");
        let long = "x".repeat(MAX_NAME_BYTES / 2 + 1);
        check(&long, &long);
    }

    /// What is wrong with a profile that begins with a good name and pattern in its lines 1 and 2.
    fn problems(rest: &str) -> Vec<(Option<usize>, String)> {
        let text = format!("name = \"p\"\ndevices = \"*/*\"\n{rest}");
        let error = Profile::from_toml(&text).expect_err(rest);
        error.problems().iter().map(|problem| (problem.line, problem.text.clone())).collect()
    }

    #[test]
    fn a_gateway_is_named_by_its_profile() {
        for gateway in ["true", "\"members\"", "\"id\""] {
            let text = format!("name = \"p\"\ntopics = \"dt/+/+/x\"\ngateway = {gateway}");
            let error = Profile::from_toml(&text).expect_err(gateway);
            assert_eq!(error.problems().len(), 1, "{error}");
            assert_eq!(error.problems()[0].line, Some(3));
            assert!(error.to_string().contains("names its gateways in `devices`"), "{error}");
        }
        assert!(Profile::from_toml("name = \"p\"\ntopics = \"dt/+/+/x\"\ngateway = false").is_ok());
        // One that version 0.1 has stored is read on.
        let stored = Profile::from_json(r#"{"name": "p", "topics": ["dt/+/+/x"], "gateway": "id"}"#).unwrap();
        assert!(stored.gateway.is_some() && stored.devices.is_empty());
    }

    #[test]
    fn a_bad_profile_is_refused_with_line_and_reason() {
        let check = |rest: &str, line: usize, reason: &str| {
            let problems = problems(rest);
            let is_told = |(at, text): &(Option<usize>, String)| *at == Some(line) && text.contains(reason);
            assert!(problems.len() == 1 && problems.iter().all(is_told), "{rest}: {problems:?}");
        };
        check("colour = \"red\"", 3, "unknown field `colour`");
        check("format = \"xml\"", 3, "unknown variant `xml`");
        check("format = 5", 3, "invalid type: integer `5`");
        check("format = \"sparkplug\"", 3, "told by its topics");
        check("\ninterval = \"soon\"", 4, "no length of time");
        check("interval = \"0s\"", 3, "longer than nothing");
        check("interval = 5\n", 3, "invalid type: integer `5`");
        check("topics = \"a/#/b\"", 3, "`topics`: not a topic filter");
        check("topics = [\n  \"a/#\",\n  \"a#\",\n]", 5, "not a topic filter");
        check("topics = 7", 3, "a text, or a list of texts");
        check("ignore = [\"a\", \"a..b\"]", 3, "`ignore`: a name pattern has an empty level");
        check("documents = \"a**\"", 3, "more than one *");
        check("gateway = \"a..b\"", 3, "empty level");
        check("gateway = 1", 3, "`gateway` is true, \"members\"");
        check("numbers_as_text = \"yes\"", 3, "expected a boolean");
        check("[time]\nzone = \"Mars/Olympus\"", 4, "not a time zone");
        check("[time]\nunit = \"h\"", 4, "unknown variant `h`");
        check("time.zone = \"Mars/Olympus\"", 3, "not a time zone");
        check("[time]\nunit = \"s\"\nbits = 16", 5, "`bits` is 32");
        check("[time]\nbits = 32", 4, "needs its `unit`");
        check("[time]\nfield = \"\"", 4, "empty level");
        check("[[metric]]\nname = \"t\"", 3, "missing field `from`");
        check("[[metric]]\nfrom = \"\"", 4, "empty level");
        check(
            "[[metric]]\nfrom = \"a\"\n\n[[metric]]\nfrom = \"*.b\"\nname = \"{2}\"",
            8,
            "{2} is none of the 1 stars",
        );
        check("[[metric]]\nfrom = \"a\"\nname = \"\"", 5, "`name` is empty");
        check("[[metric]]\nfrom = \"a\"\nname = \"{\"", 5, "without its }");
        check(&format!("[[metric]]\nfrom = \"a\"\nname = \"{}\"", "x".repeat(257)), 5, "more than 256 bytes");
        check("[[metric]]\nfrom = \"a\"\nunit = \"wibble\"", 5, "no unit that is known");
        check("[[metric]]\nfrom = \"a\"\nunit = \"mb\"", 5, "means several units");
        check(
            "[[metric]]\nfrom = \"a.*\"\nunit_from = \"{2}.unit\"",
            5,
            "`unit_from` {2} is none of the 1 stars",
        );
        check("[[metric]]\nfrom = \"a.*\"\nunit_from = \"{1}\"", 5, "`unit_from` has nothing but stars");
        check("[[metric]]\nfrom = \"a\"\nrange = [1, 0]", 5, "[lowest, highest]");
        check("[[metric]]\nfrom = \"a\"\nrange = [1]", 5, "invalid length 1");
        check("[[metric]]\nfrom = \"a\"\nrange = [nan, 1]", 5, "finite");
        check("[[metric]]\nfrom = \"a\"\nscale = 0", 5, "`scale` is not 0");
        check("[[metric]]\nfrom = \"a\"\nscale = inf", 5, "finite");
        check("[[metric]]\nfrom = \"a\"\noffset = nan", 5, "finite");
        check("[[metric]]\nfrom = \"a\"\ndeadband = -1", 5, "`deadband` is not negative");
        check("[[metric]]\nfrom = \"a\"\nsentinels = [1,\n  inf]", 6, "finite number");
        check("[[metric]]\nfrom = \"a\"\nsentinels = [\"x\"]", 5, "a sentinel is a number, or {");
        check(
            "[[metric]]\nfrom = \"a\"\nsentinels = [{ value = 1, quality = \"good\" }]",
            5,
            "bad or uncertain",
        );
        check("description = \"\"\"\nit", 4, "invalid multi-line basic string");
        check("name = \"twice\"", 3, "duplicate key");
        check(&format!("description = \"{}\"", "x".repeat(1_025)), 3, "more than 1024 bytes");
    }

    #[test]
    fn the_formats_that_are_expected_are_those_that_a_profile_may_have() {
        let [(Some(3), text)] = &*problems("format = \"xml\"") else { panic!("one problem in line 3") };
        let (_, words) = text.split_once("expected one of ").expect(text);
        for word in words.split(", ").map(|word| word.trim_matches('`')) {
            let layout = if word == "bytes" { "payload = \"cayenne-lpp\"" } else { "" };
            let profile = format!("name = \"p\"\ndevices = \"*/*\"\nformat = \"{word}\"\n{layout}");
            assert!(Profile::from_toml(&profile).is_ok(), "{word}");
        }
    }

    #[test]
    fn what_concerns_the_whole_profile_has_no_line() {
        let check = |text: &str, line: Option<usize>, reason: &str| {
            let error = Profile::from_toml(text).unwrap_err();
            let [problem] = error.problems() else { panic!("{error}") };
            assert!(problem.line == line && problem.text.contains(reason), "{text}: {error}");
        };
        check("name = \"p\"", None, "`topics` or `devices`");
        check("devices = \"*/*\"", Some(1), "missing field `name`");
        for name in ["", "Pump", "a b", "a/b", &"x".repeat(65)] {
            check(&format!("devices = \"*/*\"\nname = \"{name}\""), Some(2), "lower-case letters");
        }
        let many = |of: &str| of.repeat(MAX_ENTRIES + 1);
        let metrics = format!("name = \"p\"\ntopics = \"a\"\n{}", many("[[metric]]\nfrom = \"a\"\n"));
        check(&metrics, Some(3), "more than 200 metrics");
        let topics = format!("name = \"p\"\ntopics = [{}]", many("\"a\","));
        check(&topics, Some(2), "`topics` has more than 200 entries");
        let long = format!("\"{}\",", "x".repeat(500)).repeat(MAX_ENTRIES);
        check(&format!("name = \"p\"\ntopics = \"a\"\nignore = [{long}]"), None, "more than 65536 bytes");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let problems = problems(
            "interval = \"0s\"\ndocuments = \"\"\n[[metric]]\nfrom = \"a\"\nscale = 0\ndeadband = -1",
        );
        let lines: Vec<_> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [Some(3), Some(4), Some(7), Some(8)], "{problems:?}");
    }

    /// Pieces of profiles.
    const PIECES: [&str; 30] = [
        "name = ",
        "devices = ",
        "topics = ",
        "[time]\n",
        "[[metric]]\n",
        "from = ",
        "unit = ",
        "range = ",
        "scale = ",
        "sentinels = ",
        "gateway = ",
        "interval = ",
        "zone = ",
        "bits = ",
        "ignore = ",
        "\"p\"\n",
        "\"*/*\"\n",
        "\"a.*\"\n",
        "\"{1}\"\n",
        "[",
        "]",
        "{ value = ",
        "}",
        ", ",
        "1e308\n",
        "-1\n",
        "nan\n",
        "\"5m\"\n",
        "é",
        "\n",
    ];

    proptest! {
        #[test]
        fn any_text_is_a_profile_or_a_reason(text in "\\PC*", pieces in proptest::collection::vec(select(&PIECES[..]), 0..40)) {
            for text in [text, pieces.concat()] {
                let outcome = Profile::check_toml(&text).map(|(profile, _)| profile);
                let _ = Profile::from_json(&text);
                match outcome {
                    Ok(profile) => assert_eq!(Profile::from_json(profile.to_json()), Ok(profile)),
                    Err(error) => assert!(!error.problems().is_empty()),
                }
            }
        }

        #[test]
        fn a_profile_with_any_numbers_reads_back(numbers in proptest::array::uniform5(any::<f64>())) {
            let [scale, offset, low, high, deadband] = numbers.map(|number| format!("{number:?}").replace("NaN", "nan"));
            let text = format!(
                "name = \"p\"\ntopics = \"a\"\n[[metric]]\nfrom = \"a\"\nscale = {scale}\noffset = {offset}\nrange = [{low}, {high}]\ndeadband = {deadband}"
            );
            if let Ok(profile) = Profile::from_toml(&text) {
                assert_eq!(Profile::from_json(profile.to_json()), Ok(profile));
            }
        }
    }
}
