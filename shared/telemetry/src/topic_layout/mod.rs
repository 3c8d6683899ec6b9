//! Topic layouts: where site, device, stream and metric stand in a fleet's topics.
//!
//! The grammar is closed, because the template makes the rule's topic filter and the device policy from the same text by
//! splitting it at these words and joining the parts again:
//!
//! | level | what it matches | what it says |
//! |---|---|---|
//! | `{site}` | one level | the site; without it the site is the deployment's (`LayoutSite`) |
//! | `{device}` | one level | the device; once |
//! | `{stream}` | one level | the stream, which may be `urgent` and may name the format |
//! | `{metric}` | one level | the name of the metric |
//! | `{metric...}` | one level or several, at the end | the name of the metric, levels joined by dots |
//! | `{prefix}` | one level, any number of times | goes before the name of the metric |
//! | `+` | one level | nothing |
//! | any other text | itself | the name of the metric, where it stands after `{device}` in a layout that has neither `{stream}` nor `{metric}` nor `{metric...}`; else nothing |
//!
//! Prefixes, then the metric's levels, each in the order of the topic and joined by dots, are the *stem*: it names a bare
//! value, and begins the names of a payload's members.
//!
//! | layout | topic | site, device, stream, stem |
//! |---|---|---|
//! | `dt/{site}/{device}/{stream}` | `dt/plant-1/pump-7/state` | `plant-1`, `pump-7`, `state`, none |
//! | `factory/{site}/{prefix}/{device}/{metric}` | `factory/plant-1/line-3/pump-7/temperature` | `plant-1`, `pump-7`, none, `line-3.temperature` |
//! | `sensors/{device}/temperature` | `sensors/pump-7/temperature` | `main`, `pump-7`, none, `temperature` |
//! | `N/{device}/{metric...}` | `N/c0619ab1/battery/0/Voltage` | `main`, `c0619ab1`, none, `battery.0.Voltage` |
//! | `zigbee2mqtt/{device}` | `zigbee2mqtt/porch` | `main`, `porch`, none, none |

mod overlap;
mod policy;
mod set;

use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_LAYOUT_BYTES, MAX_NAME_BYTES, MAX_TOPIC_LEVELS};
use crate::reject::Reject;
use crate::topic::{TopicFilter, check_broker_name, check_name, is_of_the_stack, literal_problem};

pub use overlap::common_topic;
pub use policy::PolicyTopics;
pub use set::{FleetLayout, LayoutSite, LayoutSiteError, Layouts, LayoutsError};

/// The layout that holds where no other is set.
pub const DEFAULT_LAYOUT: &str = "dt/{site}/{device}/{stream}";

/// One level of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// `{site}`.
    Site,
    /// `{device}`.
    Device,
    /// `{stream}`.
    Stream,
    /// `{metric}`.
    Metric,
    /// `{metric...}`: the last level and those after it.
    Metrics,
    /// `{prefix}`.
    Prefix,
    /// `+`.
    Dropped,
    /// Any other text.
    Literal(Box<str>),
}

impl Level {
    fn read(text: &str) -> Result<Self, String> {
        Ok(match text {
            "{site}" => Self::Site,
            "{device}" => Self::Device,
            "{stream}" => Self::Stream,
            "{metric}" => Self::Metric,
            "{metric...}" => Self::Metrics,
            "{prefix}" => Self::Prefix,
            "+" => Self::Dropped,
            _ if text.contains(['{', '}']) => {
                return Err(format!(
                    "{text:?} is no level: words are {{site}}, {{device}}, {{stream}}, {{metric}}, {{prefix}}, {{metric...}} and +, each a level of its own"
                ));
            }
            _ => match literal_problem(text) {
                Some(problem) => return Err(format!("the level {text:?} {problem}")),
                None => Self::Literal(text.into()),
            },
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Site => "{site}",
            Self::Device => "{device}",
            Self::Stream => "{stream}",
            Self::Metric => "{metric}",
            Self::Metrics => "{metric...}",
            Self::Prefix => "{prefix}",
            Self::Dropped => "+",
            Self::Literal(text) => text,
        })
    }
}

/// A layout of topics; checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLayout(Vec<Level>);

/// Everything that is wrong with a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct LayoutError(Vec<String>);

impl LayoutError {
    /// Each problem, in a sentence.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

/// What the levels of a topic say, by its layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutTopic<'a> {
    /// The site; `None` where the layout has none.
    pub site: Option<&'a str>,
    /// The device.
    pub device: &'a str,
    /// The stream; `None` where the layout has none.
    pub stream: Option<&'a str>,
    /// Prefixes and metric, joined by dots; empty where the layout has neither.
    pub stem: String,
}

impl TopicLayout {
    /// Its levels.
    pub fn levels(&self) -> &[Level] {
        &self.0
    }

    /// Whether it matches topics of any depth.
    pub fn is_open(&self) -> bool {
        self.0.last() == Some(&Level::Metrics)
    }

    /// The filter of the rule that selects its topics. A closing `#` matches the level before it, too: what that alone
    /// selects is a topic of no layout.
    pub fn rule_filter(&self) -> TopicFilter {
        let levels = self.0.iter().map(|level| match level {
            Level::Literal(text) => text,
            Level::Metrics => "#",
            _ => "+",
        });
        TopicFilter::of_levels(levels)
    }

    /// What `topic` says; `None` if it is not of this layout.
    ///
    /// # Errors
    /// If a level cannot be the name that it stands for.
    pub fn read<'a>(&self, topic: &'a str) -> Option<Result<LayoutTopic<'a>, Reject>> {
        self.matches(topic).then(|| self.read_levels(topic))
    }

    fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for level in &self.0 {
            match (level, levels.next()) {
                (Level::Metrics, Some(_)) => return true,
                (Level::Literal(text), Some(found)) if **text == *found => {}
                (Level::Literal(_), _) | (_, None) => return false,
                (_, Some(_)) => {}
            }
        }
        levels.next().is_none()
    }

    fn read_levels<'a>(&self, topic: &'a str) -> Result<LayoutTopic<'a>, Reject> {
        let mut read = LayoutTopic { site: None, device: "", stream: None, stem: String::new() };
        let mut metric = Vec::new();
        let is_named_by_literals = self.is_named_by_literals();
        let mut levels = topic.split('/');
        for level in &self.0 {
            let Some(found) = levels.next() else { return Err(Reject::Topic) };
            match level {
                Level::Site => read.site = Some(check_broker_name(found, "site")?),
                Level::Device => read.device = check_broker_name(found, "device")?,
                Level::Stream => read.stream = Some(check_name(found, "stream")?),
                Level::Prefix => push(&mut read.stem, check_name(found, "prefix")?),
                Level::Metric => metric.push(check_name(found, "metric")?),
                Level::Metrics => {
                    metric.push(check_name(found, "metric")?);
                    for found in levels.by_ref() {
                        metric.push(check_name(found, "metric")?);
                    }
                }
                Level::Literal(_) if is_named_by_literals && !read.device.is_empty() => metric.push(found),
                Level::Literal(_) | Level::Dropped => {}
            }
        }
        metric.iter().for_each(|level| push(&mut read.stem, level));
        if read.stem.len() > MAX_NAME_BYTES { Err(Reject::LongName) } else { Ok(read) }
    }

    /// Whether the literal levels after the device are the name of the metric: no other level is, and no stream says
    /// what comes.
    fn is_named_by_literals(&self) -> bool {
        !self.0.iter().any(|level| matches!(level, Level::Metric | Level::Metrics | Level::Stream))
    }

    /// A topic of this layout, where `fill` names what stands in a level. `{metric...}` gets several levels.
    pub fn render(&self, mut fill: impl FnMut(&Level) -> String) -> String {
        let levels = self.0.iter().map(|level| match level {
            Level::Literal(text) => text.to_string(),
            level => fill(level),
        });
        levels.collect::<Vec<_>>().join("/")
    }

    /// A topic as people would have it.
    pub fn example(&self) -> String {
        self.render(example_of)
    }
}

/// What stands in a level of an example.
fn example_of(level: &Level) -> String {
    match level {
        Level::Site => "plant-1",
        Level::Device => "pump-7",
        Level::Stream => "state",
        Level::Metric => "temperature",
        Level::Metrics => "motor/temperature",
        Level::Prefix => "line-3",
        Level::Dropped => "any",
        Level::Literal(text) => text,
    }
    .to_owned()
}

/// Appends a level to a stem.
fn push(stem: &mut String, level: &str) {
    if !stem.is_empty() {
        stem.push('.');
    }
    stem.push_str(level);
}

impl Default for TopicLayout {
    /// [`DEFAULT_LAYOUT`].
    fn default() -> Self {
        Self(vec![Level::Literal("dt".into()), Level::Site, Level::Device, Level::Stream])
    }
}

impl FromStr for TopicLayout {
    type Err = LayoutError;

    /// Reads a layout.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut problems = Vec::new();
        let mut levels = Vec::new();
        for level in text.split('/') {
            match Level::read(level) {
                Ok(level) => levels.push(level),
                Err(problem) => problems.push(problem),
            }
        }
        // What could not be read may be what would be missed below.
        if problems.is_empty() {
            check_words(&levels, &mut problems);
            check_reach(&levels, &mut problems);
        }
        if problems.is_empty() { Ok(Self(levels)) } else { Err(LayoutError(problems)) }
    }
}

/// How often words may stand, and where.
fn check_words(levels: &[Level], problems: &mut Vec<String>) {
    let count = |word: &Level| levels.iter().filter(|level| *level == word).count();
    match count(&Level::Device) {
        0 => problems.push("there is no {device}".to_owned()),
        1 => {}
        _ => problems.push("{device} stands more than once".to_owned()),
    }
    for word in [Level::Site, Level::Stream, Level::Metric] {
        if count(&word) > 1 {
            problems.push(format!("{word} stands more than once"));
        }
    }
    if count(&Level::Metric) > 0 && count(&Level::Metrics) > 0 {
        problems.push("{metric} and {metric...} cannot both stand".to_owned());
    }
    if levels.split_last().is_some_and(|(_, before)| before.contains(&Level::Metrics)) {
        problems.push("{metric...} can only be the last level".to_owned());
    }
}

/// Which topics of others it would reach, by its rule or by its policy.
fn check_reach(levels: &[Level], problems: &mut Vec<String>) {
    let length = levels.iter().map(|level| level.to_string().len() + 1).sum::<usize>() - 1;
    if length > MAX_LAYOUT_BYTES {
        problems.push(format!(
            "it has {length} bytes, more than the {MAX_LAYOUT_BYTES} that a policy has room for"
        ));
    }
    if levels.len() > MAX_TOPIC_LEVELS {
        problems.push(format!(
            "it has {} levels, more than the {MAX_TOPIC_LEVELS} that AWS IoT Core allows",
            levels.len()
        ));
    }
    match levels.first() {
        Some(Level::Literal(first)) if is_of_the_stack(first) => {
            problems.push(format!("topics below {first}/ are the stack's own"));
        }
        Some(Level::Literal(_)) => {}
        _ => problems.push("the first level has to be a text: any other would match all topics".to_owned()),
    }
    if levels.last() == Some(&Level::Metrics) {
        check_open(levels, problems);
    }
}

/// In a policy a wildcard becomes a `*`, which spans slashes, and where the depth is open nothing refuses what it spans:
/// `f/*/pump-7/*` permits `f/a/pump-8/b/pump-7/c`.
fn check_open(levels: &[Level], problems: &mut Vec<String>) {
    let is_wild = |level: &Level| matches!(level, Level::Dropped | Level::Prefix | Level::Stream);
    let mut rest = levels.iter().skip_while(|level| !is_wild(level));
    if let Some(wild) = rest.next()
        && let Some(after) = rest.find(|level| !is_wild(level) && **level != Level::Metrics)
    {
        problems.push(format!(
            "{wild} cannot stand before {after} where {{metric...}} ends the layout: in a policy it becomes a * that spans slashes, and lets a device publish on topics of others"
        ));
    }
    let place = |word: &Level| levels.iter().position(|level| level == word);
    if place(&Level::Site) > place(&Level::Device) {
        problems.push("{site} stands before {device} where {metric...} ends the layout".to_owned());
    }
}

impl fmt::Display for TopicLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, level) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("/")?;
            }
            level.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> TopicLayout {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_default_is_what_its_text_says() {
        assert_eq!(TopicLayout::default(), layout(DEFAULT_LAYOUT));
        assert_eq!(TopicLayout::default().to_string(), DEFAULT_LAYOUT);
    }

    #[test]
    fn a_layout_says_which_level_is_what() {
        type Read<'a> = (Option<&'a str>, &'a str, Option<&'a str>, &'a str);
        let check = |text: &str, topic: &str, expected: Option<Read<'_>>| {
            let read = layout(text).read(topic).map(Result::unwrap);
            let read = read.as_ref().map(|read| (read.site, read.device, read.stream, &*read.stem));
            assert_eq!(read, expected, "{text} {topic}");
        };
        check(DEFAULT_LAYOUT, "dt/p/d/s", Some((Some("p"), "d", Some("s"), "")));
        check(DEFAULT_LAYOUT, "dt/p/d", None);
        check(DEFAULT_LAYOUT, "dt/p/d/s/x", None);
        let factory = "factory/{site}/{prefix}/{device}/{metric}";
        check(factory, "factory/p/line-3/d/t", Some((Some("p"), "d", None, "line-3.t")));
        check("f/{device}/{metric}/{prefix}", "f/d/t/line-3", Some((None, "d", None, "line-3.t")));
        check("f/{prefix}/{device}/{prefix}", "f/a/d/b", Some((None, "d", None, "a.b")));
        // Literals after the device name the metric where nothing else does.
        check(
            "sensors/{device}/temperature",
            "sensors/d/temperature",
            Some((None, "d", None, "temperature")),
        );
        check("sensors/{device}/temperature", "sensors/d/humidity", None);
        check(
            "s/{device}/air/+/temperature",
            "s/d/air/x/temperature",
            Some((None, "d", None, "air.temperature")),
        );
        check("s/{device}/{prefix}/t", "s/d/inside/t", Some((None, "d", None, "inside.t")));
        check("s/{device}/state/{metric}", "s/d/state/t", Some((None, "d", None, "t")));
        check("s/{device}/state/{metric...}", "s/d/state/a/b", Some((None, "d", None, "a.b")));
        check("s/{device}/{stream}/v1", "s/d/json/v1", Some((None, "d", Some("json"), "")));
        check("s/a/{device}", "s/a/d", Some((None, "d", None, "")));
        // One level or several.
        check("N/{device}/{metric...}", "N/c0/battery/0/V", Some((None, "c0", None, "battery.0.V")));
        check("N/{device}/{metric...}", "N/c0/V", Some((None, "c0", None, "V")));
        check("N/{device}/{metric...}", "N/c0", None);
        check("homie/5/{device}/{metric...}", "homie/5/d/$state", Some((None, "d", None, "$state")));
        check("homie/5/{device}/{metric...}", "homie/4/d/$state", None);
        check("zigbee2mqtt/{device}", "zigbee2mqtt/porch", Some((None, "porch", None, "")));
        check("x/+/{device}", "x/anything/d", Some((None, "d", None, "")));
        check("x/{site}/{device}/{stream}/{metric}", "x/p/d/s/m", Some((Some("p"), "d", Some("s"), "m")));
    }

    #[test]
    fn levels_that_cannot_be_names_are_refused() {
        let check = |text: &str, topic: &str, expected: Reject| {
            assert_eq!(layout(text).read(topic), Some(Err(expected)), "{text} {topic}");
        };
        check("x/{device}", "x/", Reject::Name("device"));
        check("x/{device}", "x/a::b", Reject::Joint("device"));
        check("x/{device}", "x/a:", Reject::Joint("device"));
        check("x/{site}/{device}", "x/payload::iot/d", Reject::Joint("site"));
        check("N/{device}/{metric...}", "N/d/", Reject::Name("metric"));
        check("N/{device}/{metric...}", "N/d/a//b", Reject::Name("metric"));
        check("x/{device}/{prefix}/t", "x/d//t", Reject::Name("prefix"));
        check("x/{device}/{stream}", "x/d/", Reject::Name("stream"));
        let long = format!("N/d/{0}/{0}/{0}", "m".repeat(100));
        check("N/{device}/{metric...}", &long, Reject::LongName);
        assert!(layout("x/{device}").read("x/AA:BB:CC").unwrap().is_ok());
    }

    #[test]
    fn what_is_no_layout_is_refused_with_all_that_is_wrong() {
        let check = |text: &str, expected: &[&str]| {
            let error = text.parse::<TopicLayout>().expect_err(text);
            let problems = error.problems();
            assert_eq!(problems.len(), expected.len(), "{text}: {error}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.contains(expected), "{text}: {problem}");
            }
        };
        check("", &["is empty"]);
        check("dt//{device}", &["is empty"]);
        check("dt/{device}/", &["is empty"]);
        check("dt/{devices}/{device}", &["\"{devices}\" is no level"]);
        check("dt/x{device}/{device}", &["is no level"]);
        check("dt/{metric..}/{device}", &["is no level"]);
        for literal in ["a*", "a?", "a$", "a+", "#", "a b", "a\tb", "a'b"] {
            check(&format!("dt/{literal}/{{device}}"), &["the level"]);
        }
        check("dt/{site}", &["no {device}"]);
        check("dt/{device}/{device}", &["{device} stands more than once"]);
        check(
            "dt/{site}/{site}/{device}/{stream}/{stream}",
            &["{site} stands more than once", "{stream} stands more than once"],
        );
        check("dt/{device}/{metric}/{metric}", &["{metric} stands more than once"]);
        check("dt/{device}/{metric}/{metric...}", &["cannot both"]);
        check("dt/{metric...}/{device}", &["can only be the last"]);
        check("dt/{device}/{metric...}/{metric...}", &["can only be the last"]);
        check("a/b/c/d/e/f/g/h/{device}", &["9 levels"]);
        check("{device}/x", &["first level"]);
        check("+/{device}", &["first level"]);
        for first in ["alerts", "cmd", "live", "spBv1.0"] {
            check(&format!("{first}/{{device}}"), &["the stack's own"]);
        }
        check("$aws/{device}", &["has"]);
        for wild in ["+", "{prefix}", "{stream}"] {
            check(&format!("f/{wild}/{{device}}/{{metric...}}"), &["spans slashes"]);
            check(&format!("f/{{device}}/{wild}/x/{{metric...}}"), &["spans slashes"]);
            layout(&format!("f/{{site}}/{{device}}/x/{wild}/{{metric...}}"));
        }
        check("f/{device}/{site}/{metric...}", &["{site} stands before {device}"]);
        check(&format!("f/{{device}}/{}", "x".repeat(64)), &["72"]);
        check("{metric}/{metric}", &["no {device}", "{metric} stands more than once", "first level"]);
        for valid in
            ["a/b/c/d/e/f/g/{device}", "f/{site}/{device}/{metric...}", "f/{prefix}/{device}/{metric}"]
        {
            layout(valid);
        }
    }

    #[test]
    fn the_rule_selects_what_the_layout_matches() {
        let check = |text: &str, expected: &str| {
            assert_eq!(layout(text).rule_filter().to_string(), expected);
            assert!(layout(text).rule_filter().matches(&layout(text).example()), "{text}");
        };
        check(DEFAULT_LAYOUT, "dt/+/+/+");
        check("factory/{site}/{prefix}/{device}/{metric}", "factory/+/+/+/+");
        check("sensors/{device}/temperature", "sensors/+/temperature");
        check("homie/5/{device}/{metric...}", "homie/5/+/#");
        check("x/+/{device}", "x/+/+");
    }
}
