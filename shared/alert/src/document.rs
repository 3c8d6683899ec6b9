//! What is published of an alert, as JSON.

use serde::Serialize;
use sha2::{Digest, Sha256};
use telemetry::{DeviceId, Micros, Value};

use crate::condition::Threshold;
use crate::machine::{Evidence, Phase, Transition};
use crate::rule::{Rule, Severity};
use crate::sample::Seen;

/// A document: what happened to an alert, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document {
    /// Made of what happened: the same again has the same id, however often it is published.
    pub id: String,
    /// The rule.
    pub rule: String,
    /// The device, as `{site}/{device}`.
    pub device: String,
    /// Where the alert stands: `active`, `acknowledged`, `latched`, `cleared`, `shelved`; `normal` or `pending` where
    /// a correction took it back.
    pub state: &'static str,
    /// Where it came from.
    pub previous: &'static str,
    /// What brought it here: `condition`, `repeat`, `acknowledged`, `unstable`, `stable`, `correction`, `shelved`,
    /// `unshelved` or `removed` (the rule).
    pub cause: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What a person is told.
    pub message: String,
    /// When this came about, in the readings' own time, RFC 3339.
    pub at: String,
    /// When the alert that stands was raised, likewise.
    pub since: String,
    /// The metric that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The value's unit, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// Changes too often: what it does until it is stable is not told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unstable: bool,
    /// Ids of what was published before and turned out wrong, because a reading came late.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub corrects: Vec<String>,
    /// How many changes before this one are not told one by one, because they are too many.
    #[serde(skip_serializing_if = "is_none")]
    pub unsaid: usize,
    /// Who acknowledged or shelved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Until when it is shelved, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What each question of the rule had for an answer.
    pub evidence: Vec<Answer>,
}

/// One question of a rule, and the readings that answered it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The metric; left out where any was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Whether what was asked held.
    pub holds: bool,
    /// What it was compared with.
    pub threshold: Threshold,
    /// The rate or score that was compared, where it is not the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<f64>,
    /// The reading that turned the answer, and the last one.
    pub readings: Vec<Measured>,
}

/// A reading in a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// RFC 3339.
    pub at: String,
    /// What tells it apart from others of this time, in decimal; left out where it is 0. A text, because a JSON number
    /// would lose its last digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<String>,
    /// What was measured; left out where any sign of life was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Its unit, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Document {
    /// What is told of a transition.
    pub fn of(device: &DeviceId, rule: &Rule, transition: &Transition) -> Self {
        let answers: Vec<Answer> =
            transition.evidence.iter().filter_map(|evidence| answer(rule, evidence)).collect();
        // What raises is a question that holds; what clears, one that does not.
        let is_up =
            transition.to.stands() && transition.to != Phase::Latched || transition.to == Phase::Pending;
        let decisive = answers.iter().find(|answer| answer.holds == is_up).or(answers.first());
        let last = decisive.and_then(|answer| answer.readings.last());
        Self {
            id: transition_id(device, rule, transition),
            rule: rule.name.to_string(),
            device: device.to_string(),
            state: transition.to.as_str(),
            previous: transition.from.as_str(),
            cause: transition.cause.as_str(),
            severity: rule.severity,
            message: rule.message.to_string(),
            at: transition.at.to_string(),
            since: transition.since.to_string(),
            metric: decisive.and_then(|answer| answer.metric.clone()),
            value: last.and_then(|measured| measured.value.clone()),
            unit: last.and_then(|measured| measured.unit.clone()),
            threshold: decisive.map(|answer| answer.threshold.clone()),
            unstable: transition.cause == crate::Cause::Unstable,
            corrects: Vec::new(),
            unsaid: 0,
            by: None,
            until: None,
            evidence: answers,
        }
    }

    /// The document as it is published.
    pub fn to_json(&self) -> String {
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        serde_json::to_string(self).expect("a document is JSON")
    }
}

/// `None` where the rule has no such question: what is stored may be of another version.
fn answer(rule: &Rule, evidence: &Evidence) -> Option<Answer> {
    let leaf = rule.leaves.get(evidence.leaf)?;
    let measured = |seen: &Seen| Measured {
        at: seen.at.to_string(),
        seq: (!seen.seq.is_none()).then(|| seen.seq.to_string()),
        value: leaf.metric.is_some().then(|| seen.value.clone()),
        unit: seen.unit.as_deref().map(str::to_owned),
    };
    Some(Answer {
        metric: leaf.metric.as_deref().map(str::to_owned),
        holds: evidence.holds,
        threshold: leaf.threshold(),
        number: evidence.number,
        readings: evidence.turned.iter().chain(&evidence.last).map(measured).collect(),
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The id of a transition: what happened, to whom, when.
pub(crate) fn transition_id(device: &DeviceId, rule: &Rule, transition: &Transition) -> String {
    let Transition { at, seq, from, to, cause, since, .. } = transition;
    let (at, since, seq) = (at.0.to_string(), since.0.to_string(), seq.to_string());
    let what = [&*rule.digest, &at, from.as_str(), to.as_str(), cause.as_str(), &since, &seq];
    // Without `seq` it is the id that version 0.1 gave it.
    let parts = if transition.seq.is_none() { &what[..what.len() - 1] } else { &what[..] };
    id(device, &rule.name, parts)
}

/// The id of something that happened to an alert.
pub(crate) fn id(device: &DeviceId, rule: &str, what: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in [device.as_str(), rule].iter().chain(what) {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The word for a phase, or for one that is shelved.
pub(crate) const SHELVED: &str = "shelved";

/// Whether a state is one that somebody has to do something about.
pub(crate) fn stands(state: &str) -> bool {
    standing_phase(state).is_some()
}

/// The phase of such a state.
pub(crate) fn standing_phase(state: &str) -> Option<Phase> {
    [Phase::Active, Phase::Acknowledged, Phase::Latched].into_iter().find(|phase| phase.as_str() == state)
}

/// A time that says nothing is written as nothing.
pub(crate) fn time(at: Micros) -> Option<String> {
    at.is_plausible().then(|| at.to_string())
}
