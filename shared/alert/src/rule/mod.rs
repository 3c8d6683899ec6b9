//! Alert rules: as people write them, and as they are judged by.
//!
//! ```
//! let rule = alert::Rule::from_toml(
//!     r#"
//!     name = "over-temperature"
//!     severity = "critical"
//!     message = "the temperature is above 50 °C"
//!     for = "30s"
//!
//!     [condition]
//!     metric = "temperature"
//!     above = 50
//!     clear = 45
//!     "#,
//! )?;
//! assert!(rule.matches(&telemetry::DeviceId::from_stored("plant-1/pump-7")));
//! # Ok::<(), alert::RuleError>(())
//! ```

mod written_condition;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use telemetry::{DeviceId, DevicePattern, Length, Metric, Quality};

use crate::condition::{Condition, Input, Leaf, Question};
use crate::sample::Sample;
use written_condition::{ConditionFields, read_condition};

/// Longest name of a rule, in bytes. It is a level of the topic that its alerts are published on.
const MAX_NAME_BYTES: usize = 64;
/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 512;
/// Most leaves of one rule.
const MAX_LEAVES: usize = 16;
/// Most transitions that damping may wait for.
const MAX_TRANSITIONS: usize = 64;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth to know.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Severity {
    /// The word that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The reverse of [`Severity::as_str`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.as_str() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// More than `transitions` raises and clears within a time mark an alert unstable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flapping {
    /// How many are no flapping yet.
    pub transitions: usize,
    /// The time.
    pub within: Length,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { transitions: 6, within: Length(600_000_000) }
    }
}

/// A rule that has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, a level of a topic.
    pub name: Arc<str>,
    /// How bad it is when it holds.
    pub severity: Severity,
    /// What a person is told.
    pub message: Arc<str>,
    /// How long the condition has to hold before the alert is active.
    pub holds_for: Length,
    /// How long it must not hold before the alert clears.
    pub clear_after: Length,
    /// How often an active alert is told again.
    pub repeat: Option<Length>,
    /// Whether an alert that nobody has acknowledged stays after it has cleared.
    pub latch: bool,
    /// What counts as flapping.
    pub flapping: Flapping,
    /// Readings of lower quality are not judged.
    pub quality: Quality,
    /// What is asked.
    pub condition: Condition,
    /// The leaves of the condition.
    pub leaves: Vec<Leaf>,
    /// The metrics that its leaves ask for, each once; `None`: any.
    pub metrics: Vec<Option<Metric>>,
    /// Of its content: another digest is another rule, though of the same name.
    pub digest: Arc<str>,
    pub(crate) is_about_silence: bool,
    by_metric: Vec<Vec<usize>>,
    devices: Vec<DevicePattern>,
    site: Option<Arc<str>>,
    profile: Option<Arc<str>>,
    document: String,
}

/// Silence that a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence<'a> {
    /// Of this metric; `None`: of the device.
    pub metric: Option<&'a str>,
    /// For longer than this, in microseconds; the rule's `for` included.
    pub after_micros: i64,
}

/// Everything that is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct RuleError(Vec<String>);

impl RuleError {
    /// Each problem in a sentence.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl Rule {
    /// Reads a rule as people write it.
    ///
    /// # Errors
    /// Everything that is wrong with it; what is no TOML at all, with its line.
    pub fn from_toml(text: &str) -> Result<Self, RuleError> {
        let fields =
            toml::from_str(text).map_err(|error| RuleError(vec![error.to_string().trim_end().to_owned()]))?;
        Self::from_fields(fields)
    }

    /// Reads a rule as it is stored: the JSON of [`Rule::to_json`].
    ///
    /// # Errors
    /// As [`Rule::from_toml`].
    pub fn from_json(text: &str) -> Result<Self, RuleError> {
        let fields = serde_json::from_str(text).map_err(|error| RuleError(vec![error.to_string()]))?;
        Self::from_fields(fields)
    }

    /// The rule as it is stored. The same rule is always the same text.
    pub fn to_json(&self) -> &str {
        &self.document
    }

    /// Whether it is about this device, as far as its id says. Which profile it has to be of is another question.
    pub fn matches(&self, device: &DeviceId) -> bool {
        let id = device.as_str();
        let site = id.split('/').next().unwrap_or_default();
        self.site.as_deref().is_none_or(|wanted| wanted == site)
            && (self.devices.is_empty() || self.devices.iter().any(|pattern| pattern.matches(id)))
    }

    /// Whether it is about this device, whose messages are read by the profile of this name.
    pub fn is_about(&self, device: &DeviceId, profile: Option<&str>) -> bool {
        self.matches(device) && self.profile.as_deref().is_none_or(|wanted| Some(wanted) == profile)
    }

    /// The name of the profile that its devices are of, if it is about such alone.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Whether a device's profile has a say in which devices it is about, or in what it asks.
    pub fn needs_profile(&self) -> bool {
        self.profile.is_some() || self.leaves.iter().any(Leaf::asks_for_intervals)
    }

    /// The metrics whose silence it waits for.
    pub fn silent_metrics(&self) -> impl Iterator<Item = &Metric> {
        self.leaves.iter().filter(|leaf| leaf.asks_for_silence()).filter_map(|leaf| leaf.metric.as_ref())
    }

    /// Whether it waits for silence.
    pub fn asks_for_silence(&self) -> bool {
        self.is_about_silence
    }

    /// The rule for a device that sends in this interval: what it asks in intervals it asks in time. It is the same
    /// rule, of the same digest.
    #[must_use]
    pub fn for_interval(self: &Arc<Self>, interval: Option<Length>) -> Arc<Self> {
        let Some(interval) = interval.filter(|_| self.leaves.iter().any(Leaf::asks_for_intervals)) else {
            return Arc::clone(self);
        };
        let mut rule = Self::clone(self);
        for leaf in &mut rule.leaves {
            if let Question::SilentIntervals(intervals) = leaf.question {
                leaf.question = Question::Silent(times(interval, intervals));
            }
        }
        Arc::new(rule)
    }

    /// Whether it evaluates a sample: one that it does not is kept only because it may replace one that it does.
    pub fn evaluates(&self, sample: &Sample) -> bool {
        let unit = sample.unit.as_deref();
        sample.quality <= self.quality
            && self.leaves_of(sample.metric).iter().any(|leaf| self.leaves[*leaf].accepts(unit))
    }

    /// The leaves that ask for a metric, which is named by its place in [`Rule::metrics`].
    pub(crate) fn leaves_of(&self, metric: usize) -> &[usize] {
        self.by_metric.get(metric).map_or(&[], Vec::as_slice)
    }

    /// What it waits for in silence, of a device that sends in this interval. Without one there is nothing to wait for
    /// where intervals are counted.
    pub fn silences(&self, interval: Option<Length>) -> impl Iterator<Item = Silence<'_>> {
        self.leaves.iter().filter_map(move |leaf| {
            let after = match leaf.question {
                Question::Silent(after) => after,
                Question::SilentIntervals(intervals) => times(interval?, intervals),
                Question::Number { .. } | Question::Equals(_) => return None,
            };
            let after_micros = after.0.saturating_add(self.holds_for.0);
            Some(Silence { metric: leaf.metric.as_deref(), after_micros })
        })
    }

    /// How far back its answer reaches beyond the state that is kept of a device where nothing stands, in
    /// microseconds; `None`: not at all, each reading is judged by itself.
    pub fn history_micros(&self) -> Option<i64> {
        let of_leaf = |leaf: &Leaf| match &leaf.question {
            Question::Number { input: Input::Rate { over, .. }, .. } => Some(over.0),
            _ => None,
        };
        let metrics = self.leaves.iter().map(|leaf| &leaf.metric);
        let is_of_one = metrics.clone().zip(metrics.skip(1)).all(|(one, next)| one == next);
        let longest = self.leaves.iter().filter_map(of_leaf).max();
        if is_of_one { longest } else { Some(longest.unwrap_or_default().max(COMBINED_HISTORY_MICROS)) }
    }

    fn from_fields(fields: RuleFields) -> Result<Self, RuleError> {
        let mut problems = Vec::new();
        check_name(&fields.name, &mut problems);
        if fields.message.is_empty() || fields.message.len() > MAX_MESSAGE_BYTES {
            problems.push(format!("`message` must have 1 to {MAX_MESSAGE_BYTES} bytes"));
        }
        if !(1..=MAX_TRANSITIONS).contains(&fields.flapping.transitions) || fields.flapping.within.is_zero() {
            problems.push(format!(
                "`flapping` needs 1 to {MAX_TRANSITIONS} transitions, and a time that they fall within"
            ));
        }
        if fields.repeat.is_some_and(|repeat| repeat.0 < MIN_REPEAT_MICROS) {
            problems.push("`repeat` must be 10s or longer".to_owned());
        }
        let quality = Quality::from_word(&fields.quality);
        if quality.is_none() {
            problems.push("`quality` is the lowest that is judged: good, uncertain or bad".to_owned());
        }
        let mut devices = Vec::new();
        if fields.devices.as_ref().is_some_and(|Devices(texts)| texts.is_empty()) {
            problems.push("`devices` names none; leave it out for all".to_owned());
        }
        for text in fields.devices.iter().flat_map(|Devices(texts)| texts) {
            match DevicePattern::new(text) {
                Ok(pattern) => devices.push(pattern),
                Err(problem) => problems.push(format!("`devices`: {problem}")),
            }
        }
        if fields.site.as_ref().is_some_and(|site| site.is_empty() || site.contains(['/', '*'])) {
            problems.push("`site` is one site, by its name; for several use `devices`".to_owned());
        }
        if fields.profile.as_ref().is_some_and(|profile| profile.is_empty()) {
            problems.push("`profile` is the name of one; leave it out for any".to_owned());
        }
        let mut leaves = Vec::new();
        let condition = read_condition(&fields.condition, "condition", 1, &mut leaves, &mut problems);
        if leaves.len() > MAX_LEAVES {
            problems.push(format!(
                "`condition` has {} questions; at most {MAX_LEAVES} are allowed",
                leaves.len()
            ));
        }
        let (Some(condition), Some(quality), true) = (condition, quality, problems.is_empty()) else {
            return Err(RuleError(problems));
        };
        let document = serde_json::to_string(&fields).map_err(|error| RuleError(vec![error.to_string()]))?;
        let (metrics, by_metric) = metrics_of(&leaves);
        let digest: String =
            Sha256::digest(&document)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            name: fields.name.into(),
            severity: fields.severity,
            message: fields.message.into(),
            holds_for: fields.holds_for,
            clear_after: fields.clear_after,
            repeat: fields.repeat,
            latch: fields.latch,
            flapping: fields.flapping,
            quality,
            condition,
            is_about_silence: leaves.iter().any(Leaf::asks_for_silence),
            leaves,
            metrics,
            by_metric,
            digest: digest.into(),
            devices,
            site: fields.site.map(Into::into),
            profile: fields.profile.map(Into::into),
            document,
        })
    }
}

/// How old the other metrics of a rule that combines several may be when nothing is known of the device.
const COMBINED_HISTORY_MICROS: i64 = 15 * 60 * 1_000_000;
/// Nobody reads what comes more often.
const MIN_REPEAT_MICROS: i64 = 10 * 1_000_000;

/// So many intervals.
fn times(interval: Length, intervals: u32) -> Length {
    Length(interval.0.saturating_mul(i64::from(intervals)))
}

/// The metrics of leaves, each once, and the leaves of each.
fn metrics_of(leaves: &[Leaf]) -> (Vec<Option<Metric>>, Vec<Vec<usize>>) {
    let (mut metrics, mut by_metric) = (Vec::new(), Vec::<Vec<usize>>::new());
    for (index, leaf) in leaves.iter().enumerate() {
        let place = metrics.iter().position(|known| *known == leaf.metric).unwrap_or_else(|| {
            metrics.push(leaf.metric.clone());
            by_metric.push(Vec::new());
            metrics.len() - 1
        });
        by_metric[place].push(index);
    }
    (metrics, by_metric)
}

fn check_name(name: &str, problems: &mut Vec<String>) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_allowed) {
        problems.push(format!(
            "`name` is part of topics: 1 to {MAX_NAME_BYTES} lower-case letters, digits, - and _"
        ));
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    name: String,
    severity: Severity,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    devices: Option<Devices>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(rename = "for", default, skip_serializing_if = "Length::is_zero")]
    holds_for: Length,
    #[serde(default, skip_serializing_if = "Length::is_zero")]
    clear_after: Length,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeat: Option<Length>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    latch: bool,
    #[serde(default)]
    flapping: Flapping,
    #[serde(default = "uncertain", skip_serializing_if = "is_uncertain")]
    quality: String,
    condition: ConditionFields,
}

fn uncertain() -> String {
    Quality::Uncertain.to_string()
}

fn is_uncertain(word: &str) -> bool {
    word == Quality::Uncertain.as_str()
}

/// A list, or its only member.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`devices` is a pattern, or a list of patterns")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// What is stored is always a list: one pattern in a list is the same rule.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "OneOrMany")]
struct Devices(Vec<String>);

impl From<OneOrMany> for Devices {
    fn from(texts: OneOrMany) -> Self {
        match texts {
            OneOrMany::One(text) => Self(vec![text]),
            OneOrMany::Many(texts) => Self(texts),
        }
    }
}
