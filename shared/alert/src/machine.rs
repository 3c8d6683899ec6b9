//! The state machine of one rule on one device. Time is the readings' own.
//!
//! ```text
//!            holds                 holds for `for`              does not hold for `clear_after`
//! normal ────────────► pending ──────────────────► active ──────────────────────────────────► cleared
//!    ▲                    │                        │    ▲                                        │ holds: as from normal
//!    └── does not hold ───┘           acknowledge  ▼    │ holds again (latched)                  ▼
//!                                        acknowledged   latched ◄── with `latch`, instead of cleared
//! ```
//!
//! A step is one instant, that is a time and a `seq`: all its samples are taken in, then the condition is evaluated
//! once. So metrics that were measured together are evaluated together, in whatever order they came. Instants of one
//! time follow each other by `seq`; no time passes between them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use telemetry::{Micros, Seq};

use crate::anomaly::Estimator;
use crate::condition::{Input, Question};
use crate::rule::Rule;
use crate::sample::{Sample, Seen};
use crate::stored;

/// Most points that a rate remembers of its window; where readings are denser, the first of each part of the
/// window stands for it.
const MAX_RATE_POINTS: i64 = 64;

/// Points that are left of them where a device's item grows too large.
const FEW_RATE_POINTS: usize = 8;

/// A place in time: readings of one time follow each other by `seq`.
pub(crate) type Instant = (Micros, Seq);

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// All is well.
    #[default]
    Normal,
    /// The condition holds, but not yet for long enough.
    Pending,
    /// The condition holds, and nobody has said that he knows.
    Active,
    /// The condition holds, and somebody knows.
    Acknowledged,
    /// The condition has ceased to hold before anybody knew; waits to be acknowledged.
    Latched,
    /// The condition has ceased to hold.
    Cleared,
}

impl Phase {
    /// The word that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Acknowledged => "acknowledged",
            Self::Latched => "latched",
            Self::Cleared => "cleared",
        }
    }

    /// Whether somebody has something to do about it.
    pub fn stands(self) -> bool {
        matches!(self, Self::Active | Self::Acknowledged | Self::Latched)
    }
}

/// Why a transition came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Readings, or their absence.
    Condition,
    /// The alert is still active, and its `repeat` is over.
    Repeat,
    /// Somebody acknowledged it.
    Acknowledged,
    /// It changed too often, and is quiet until it is stable.
    Unstable,
    /// It is stable again.
    Stable,
}

impl Cause {
    /// The word that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Repeat => "repeat",
            Self::Acknowledged => "acknowledged",
            Self::Unstable => "unstable",
            Self::Stable => "stable",
        }
    }
}

/// A step from one phase to another, or to be told again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When, in the readings' own time.
    #[serde(with = "stored::micros")]
    pub at: Micros,
    /// Tells apart what happened at one time: that of the readings that decided.
    #[serde(default, skip_serializing_if = "Seq::is_none", with = "stored::seq")]
    pub seq: Seq,
    /// Where it came from.
    pub from: Phase,
    /// Where it went to.
    pub to: Phase,
    /// Why.
    pub cause: Cause,
    /// When the standing alert, or what is pending, began.
    #[serde(with = "stored::micros")]
    pub since: Micros,
    /// Whether it is to be published: what is pending or damped is not.
    pub told: bool,
    /// The readings that decided.
    pub evidence: Vec<Evidence>,
}

impl Transition {
    /// What makes it this transition and no other: the readings that decided may come to be known better.
    pub(crate) fn identity(&self) -> (Instant, Phase, Phase, Cause, Micros, bool) {
        ((self.at, self.seq), self.from, self.to, self.cause, self.since, self.told)
    }

    /// Whether nobody would want to know of it: something began to hold, or has ceased to before it was an alert.
    pub(crate) fn is_quiet(&self) -> bool {
        self.to == Phase::Pending || (self.from == Phase::Pending && self.to == Phase::Normal)
    }
}

/// What one leaf of the condition knew when it was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The leaf, by its place in the rule.
    pub leaf: usize,
    /// Whether it held.
    pub holds: bool,
    /// The last reading it knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Seen>,
    /// The reading that made it hold, or cease to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned: Option<Seen>,
    /// The number that was compared, where it is not the reading's value: a rate, or a score.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stored::double")]
    pub number: Option<f64>,
}

/// The state of one rule on one device. Always of one size, whatever the device sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    phase: Phase,
    /// When this phase began.
    #[serde(with = "stored::micros")]
    since: Micros,
    /// When the alert that stands was raised.
    #[serde(with = "stored::micros", default)]
    raised: Micros,
    /// Since when the condition of a standing alert does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option_micros")]
    clearing: Option<Micros>,
    /// When an active alert was last told.
    #[serde(with = "stored::micros", default)]
    told: Micros,
    /// Whether it changes too often to be told each time.
    #[serde(default)]
    unstable: bool,
    /// When it last was raised or cleared, as far as damping has to know.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty", with = "micros_list")]
    flips: VecDeque<Micros>,
    leaves: Vec<LeafState>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct LeafState {
    holds: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Seen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turned: Option<Seen>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stored::double")]
    number: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
}

/// What a leaf remembers beyond the last reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Memory {
    /// Points of the window, oldest first.
    Rate(#[serde(with = "stored::points")] VecDeque<(i64, f64)>),
    /// What is usual.
    Anomaly(Box<Estimator>),
}

impl Machine {
    /// The state before anything is known.
    pub(crate) fn new(rule: &Rule) -> Self {
        let memory = |question: &Question| match question {
            Question::Number { input: Input::Rate { .. }, .. } => Some(Memory::Rate(VecDeque::new())),
            Question::Number { input: Input::Anomaly(settings), .. } => {
                Some(Memory::Anomaly(Box::new(Estimator::new(settings))))
            }
            _ => None,
        };
        let leaf = |question| LeafState { memory: memory(question), ..LeafState::default() };
        Self::of_leaves(rule.leaves.iter().map(|leaf_of_rule| leaf(&leaf_of_rule.question)).collect())
    }

    fn of_leaves(leaves: Vec<LeafState>) -> Self {
        Self {
            phase: Phase::Normal,
            since: Micros(i64::MIN),
            raised: Micros(i64::MIN),
            clearing: None,
            told: Micros(i64::MIN),
            unstable: false,
            flips: VecDeque::new(),
            leaves,
        }
    }

    /// The state that a changed rule begins with: what stands goes on to stand until readings say otherwise.
    pub(crate) fn renewed(&self, rule: &Rule) -> Self {
        let mut machine = Self::new(rule);
        if self.phase.stands() {
            machine.phase = self.phase;
            machine.since = self.since;
            machine.raised = self.raised;
            machine.told = self.told;
            // A reading in the band of a level, or one half of a combination, says nothing against it.
            for leaf in &mut machine.leaves {
                leaf.holds = self.phase != Phase::Latched;
            }
        }
        machine
    }

    /// One of which no more is known than how it stands.
    pub(crate) fn standing(phase: Phase, raised: Micros, since: Micros) -> Self {
        Self { phase, since, raised, told: since, ..Self::of_leaves(Vec::new()) }
    }

    /// Keeps fewer points of what a rate remembers.
    pub(crate) fn thin_out(&mut self) {
        for leaf in &mut self.leaves {
            let Some(Memory::Rate(points)) = &mut leaf.memory else { continue };
            let step = points.len().div_ceil(FEW_RATE_POINTS).max(1);
            *points = points.iter().copied().step_by(step).collect();
        }
    }

    /// As much of it as [`Machine::renewed`] asks for.
    pub(crate) fn outline(&self) -> Self {
        Self { clearing: None, unstable: false, flips: VecDeque::new(), leaves: Vec::new(), ..*self }
    }

    /// Begins anew; what it knows of readings it goes on to know.
    pub(crate) fn begin_anew(&mut self) {
        let leaves = std::mem::take(&mut self.leaves);
        *self = Self { leaves, ..Self::of_leaves(Vec::new()) };
    }

    /// Whether it was made for a rule with such leaves: what is stored may be of another version.
    pub(crate) fn fits(&self, rule: &Rule) -> bool {
        let fits = |(leaf, state): (&crate::Leaf, &LeafState)| {
            matches!(
                (&leaf.question, &state.memory),
                (Question::Number { input: Input::Rate { .. }, .. }, Some(Memory::Rate(_)))
                    | (Question::Number { input: Input::Anomaly(_), .. }, Some(Memory::Anomaly(_)))
                    | (
                        Question::Number { input: Input::Value, .. }
                            | Question::Equals(_)
                            | Question::Silent(_)
                            | Question::SilentIntervals(_),
                        None
                    )
            )
        };
        self.leaves.len() == rule.leaves.len() && rule.leaves.iter().zip(&self.leaves).all(fits)
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When this phase began.
    pub fn since(&self) -> Micros {
        self.since
    }

    /// When the alert that stands was raised.
    pub(crate) fn raised(&self) -> Micros {
        self.raised
    }

    /// Whether it changes too often to be told each time.
    pub fn is_unstable(&self) -> bool {
        self.unstable
    }

    /// Whether the state says no more than that nothing is known: it need not be kept.
    pub(crate) fn is_plain(&self) -> bool {
        self.phase == Phase::Normal
            && self.flips.is_empty()
            && self.leaves.iter().all(|leaf| leaf.memory.is_none())
    }

    /// Takes in the samples of one instant, and evaluates the condition. Where the rule evaluates none of them, it is
    /// as if nothing had come.
    pub(crate) fn step(&mut self, rule: &Rule, samples: &[Sample], out: &mut Vec<Transition>) {
        let Some(instant) = samples.first().map(Sample::instant) else { return };
        if rule.is_about_silence {
            if !samples.iter().any(|sample| rule.evaluates(sample)) {
                return;
            }
            self.advance(rule, instant.0, out);
        }
        let mut has_taken = false;
        for sample in samples.iter().filter(|sample| sample.quality <= rule.quality) {
            for &leaf in rule.leaves_of(sample.metric) {
                if rule.leaves[leaf].accepts(sample.unit.as_deref()) {
                    self.leaves[leaf].take(&rule.leaves[leaf].question, sample);
                    has_taken = true;
                }
            }
        }
        if has_taken {
            self.settle(rule, instant, out);
            self.look(rule, instant, out);
        }
    }

    /// Lets time pass until just before `to`, in which silence may begin to hold, and go on for long enough.
    pub(crate) fn advance(&mut self, rule: &Rule, to: Micros, out: &mut Vec<Transition>) {
        loop {
            let begins = (0..self.leaves.len()).filter_map(|leaf| {
                let Question::Silent(after) = rule.leaves[leaf].question else { return None };
                let state = &self.leaves[leaf];
                let at = state.last.as_ref()?.at.plus(after.0);
                (!state.holds && at < to).then_some((at, Some(leaf)))
            });
            let is_silent = rule
                .leaves
                .iter()
                .zip(&self.leaves)
                .any(|(leaf, state)| state.holds && matches!(leaf.question, Question::Silent(_)));
            // That nothing comes is no evidence for anything but silence.
            let matures = (self.phase == Phase::Pending && is_silent)
                .then(|| (self.since.plus(rule.holds_for.0), None))
                .filter(|(at, _)| *at < to);
            let Some((at, leaf)) = begins.chain(matures).min() else { return };
            if let Some(leaf) = leaf {
                let state = &mut self.leaves[leaf];
                state.holds = true;
                state.turned.clone_from(&state.last);
            }
            // It begins after what was measured at that time.
            let at_that_time = self.leaves.iter().filter_map(|state| state.last.as_ref());
            let at_that_time = at_that_time.filter(|seen| seen.at == at).map(|seen| seen.seq);
            let seq = at_that_time.max().unwrap_or_default();
            self.look(rule, (at, seq), out);
        }
    }

    /// Somebody says that he knows. Nothing happens where nothing stands that he could know.
    pub(crate) fn acknowledge(&mut self, rule: &Rule, at: Instant, out: &mut Vec<Transition>) {
        match self.phase {
            Phase::Active => self.go(rule, Phase::Acknowledged, Cause::Acknowledged, at, out),
            Phase::Latched => self.go(rule, Phase::Cleared, Cause::Acknowledged, at, out),
            Phase::Normal | Phase::Pending | Phase::Acknowledged | Phase::Cleared => {}
        }
    }

    /// Evaluates the condition, and goes where it leads.
    fn look(&mut self, rule: &Rule, instant: Instant, out: &mut Vec<Transition>) {
        let at = instant.0;
        let holds = rule.condition.evaluate(&|leaf| self.leaves[leaf].holds);
        match (self.phase, holds) {
            (Phase::Normal | Phase::Cleared, true) => {
                if rule.holds_for.is_zero() {
                    self.raised = at;
                    self.flip(rule, Phase::Active, instant, out);
                } else {
                    self.go(rule, Phase::Pending, Cause::Condition, instant, out);
                }
            }
            (Phase::Pending, true) if at.0.saturating_sub(self.since.0) >= rule.holds_for.0 => {
                self.raised = at;
                self.flip(rule, Phase::Active, instant, out);
            }
            (Phase::Pending, false) => self.go(rule, Phase::Normal, Cause::Condition, instant, out),
            (Phase::Active | Phase::Acknowledged, true) => {
                self.clearing = None;
                self.repeat(rule, instant, out);
            }
            (Phase::Active | Phase::Acknowledged, false) => {
                let clearing = *self.clearing.get_or_insert(at);
                if at.0.saturating_sub(clearing.0) >= rule.clear_after.0 {
                    let is_latched = rule.latch && self.phase == Phase::Active;
                    self.flip(rule, if is_latched { Phase::Latched } else { Phase::Cleared }, instant, out);
                }
            }
            (Phase::Latched, true) => self.flip(rule, Phase::Active, instant, out),
            (Phase::Latched | Phase::Normal | Phase::Cleared, false) | (Phase::Pending, true) => {}
        }
    }

    fn repeat(&mut self, rule: &Rule, instant: Instant, out: &mut Vec<Transition>) {
        let at = instant.0;
        let is_due = rule.repeat.is_some_and(|repeat| at.0.saturating_sub(self.told.0) >= repeat.0);
        if is_due && self.phase == Phase::Active && !self.unstable {
            self.told = at;
            out.push(self.transition(rule, self.phase, Cause::Repeat, instant, true));
        }
    }

    /// Raises or clears, and damps what flaps.
    fn flip(&mut self, rule: &Rule, to: Phase, instant: Instant, out: &mut Vec<Transition>) {
        let at = instant.0;
        self.flips.push_back(at);
        while self.flips.len() > rule.flapping.transitions + 1 {
            self.flips.pop_front();
        }
        let is_recent = |flip: &&Micros| at.0.saturating_sub(flip.0) < rule.flapping.within.0;
        let recent = self.flips.iter().filter(is_recent).count();
        let cause = if recent > rule.flapping.transitions && !self.unstable {
            self.unstable = true;
            Cause::Unstable
        } else {
            Cause::Condition
        };
        self.go(rule, to, cause, instant, out);
    }

    /// Ends the damping of an alert that has not changed for long enough.
    fn settle(&mut self, rule: &Rule, instant: Instant, out: &mut Vec<Transition>) {
        let at = instant.0;
        let last = self.flips.back().copied().unwrap_or(Micros(i64::MIN));
        if self.unstable && at.0.saturating_sub(last.0) >= rule.flapping.within.0 {
            self.unstable = false;
            self.told = at;
            out.push(self.transition(rule, self.phase, Cause::Stable, instant, true));
        }
        if at.0.saturating_sub(last.0) >= rule.flapping.within.0 {
            self.flips.clear();
        }
    }

    fn go(&mut self, rule: &Rule, to: Phase, cause: Cause, instant: Instant, out: &mut Vec<Transition>) {
        let at = instant.0;
        let from = std::mem::replace(&mut self.phase, to);
        self.since = at;
        self.clearing = None;
        let mut transition = self.transition(rule, from, cause, instant, false);
        transition.told = !transition.is_quiet()
            && (!self.unstable || cause == Cause::Unstable || cause == Cause::Acknowledged);
        if transition.told {
            self.told = at;
        }
        if to == Phase::Pending || to == Phase::Normal {
            transition.since = at;
        }
        out.push(transition);
    }

    fn transition(&self, rule: &Rule, from: Phase, cause: Cause, instant: Instant, told: bool) -> Transition {
        let is_known = |(leaf, state): (usize, &LeafState)| {
            state.last.as_ref().map(|last| Evidence {
                leaf,
                holds: state.holds,
                last: Some(last.clone()),
                turned: state.turned.clone().filter(|turned| turned != last),
                number: state.number,
            })
        };
        debug_assert_eq!(self.leaves.len(), rule.leaves.len());
        let evidence = self.leaves.iter().enumerate().filter_map(is_known).collect();
        let (at, seq) = instant;
        Transition { at, seq, from, to: self.phase, cause, since: self.raised, told, evidence }
    }
}

impl LeafState {
    /// Takes in a sample of the leaf's metric.
    fn take(&mut self, question: &Question, sample: &Sample) {
        let verdict = match question {
            Question::Silent(_) | Question::SilentIntervals(_) => Some(false),
            Question::Equals(value) => Some(sample.value == *value),
            Question::Number { input, test } => {
                let Some(number) = sample.value.as_f64() else { return };
                let judged = match (input, &mut self.memory) {
                    (Input::Rate { per, over }, Some(Memory::Rate(points))) => {
                        rate(points, sample.at, number, over.0).map(|slope| slope * per.0 as f64)
                    }
                    (Input::Anomaly(settings), Some(Memory::Anomaly(estimator))) => {
                        let score = estimator.score(settings, sample.at, number);
                        estimator.learn(settings, sample.at, number);
                        score
                    }
                    _ => Some(number),
                };
                self.number = judged.filter(|_| *input != Input::Value);
                judged.and_then(|number| test.verdict(number))
            }
        };
        let seen = Seen::of(sample);
        if let Some(holds) = verdict
            && holds != self.holds
        {
            self.holds = holds;
            self.turned = Some(seen.clone());
        }
        self.last = Some(seen);
    }
}

/// Adds a point to a window; returns the change in a microsecond from its oldest point to this one. `None` while
/// the points span less than half of the window.
fn rate(points: &mut VecDeque<(i64, f64)>, at: Micros, number: f64, over: i64) -> Option<f64> {
    while points.front().is_some_and(|(first, _)| *first < at.0.saturating_sub(over)) {
        points.pop_front();
    }
    let slope = points.front().and_then(|(first, oldest)| {
        let spanned = at.0.saturating_sub(*first);
        (spanned > 0 && spanned >= over / 2).then(|| (number - oldest) / spanned as f64)
    });
    if points.back().is_none_or(|(last, _)| at.0.saturating_sub(*last) >= over / MAX_RATE_POINTS) {
        points.push_back((at.0, number));
    }
    slope
}

mod option_micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use telemetry::Micros;

    pub(super) fn serialize<S: Serializer>(at: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Micros>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Micros))
    }
}

mod micros_list {
    use std::collections::VecDeque;

    use serde::{Deserialize, Deserializer, Serializer};
    use telemetry::Micros;

    pub(super) fn serialize<S: Serializer>(
        list: &VecDeque<Micros>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|at| at.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<Micros>, D::Error> {
        Ok(Vec::<i64>::deserialize(deserializer)?.into_iter().map(Micros).collect())
    }
}
