//! One rule on one device, in event time: judged at once, and judged again where a reading comes late.
//!
//! ```text
//!            cutoff                                  head
//! ───────────┼───────────────────────────────────────┼──────► event time
//!  base      │  window: the samples are kept          │
//! ```
//!
//! `base` is the state up to the cutoff, which lies `lateness` before the newest sample; what lies after it is
//! kept, so that the state at the head can be made again from `base` when a sample comes in between. State and
//! history below the cutoff depend on nothing but the samples, whatever their order and batches.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize, Serializer};
use telemetry::{Micros, Seq};

use crate::machine::{Instant, Machine, Phase, Transition};
use crate::rule::Rule;
use crate::sample::{Sample, keep_standing};
use crate::stored;

/// Most samples that are kept to be judged again. A device that sends more within the lateness has less of it.
pub const MAX_WINDOW: usize = 512;
/// Samples below the cutoff are folded into the base so many at a time.
const FOLD: usize = 64;
/// Transitions that are remembered, to explain how an alert came to stand.
pub const MAX_HISTORY: usize = 32;

/// Transitions that are left of them where a device's item grows too large.
const LITTLE_HISTORY: usize = 4;

/// The working memory of one rule on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Of the rule that it was made for.
    rule: String,
    base: Machine,
    /// Samples of before it are too late.
    #[serde(with = "stored::micros")]
    cutoff: Micros,
    /// Of the samples of the cutoff's own time, up to which `seq` they are too late; left out where all are.
    #[serde(default = "whole_time", skip_serializing_if = "is_whole_time", with = "stored::seq")]
    cutoff_seq: Seq,
    window: Vec<Sample>,
    /// When somebody acknowledged, in event time, after the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "stored::instants")]
    acknowledged: Vec<Instant>,
    /// Until when nothing else is known to have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tick: Option<i64>,
    /// The transitions up to the base, the newest ones.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    history: VecDeque<Transition>,
    /// Samples that came after their time had been settled.
    #[serde(default)]
    late: u64,
    /// Of what is stored, only the outline of what stands: for a rule that has changed by the time it is read.
    #[serde(default, skip_serializing_if = "is_calm", serialize_with = "outline")]
    head: Option<Machine>,
    /// The transitions after the base.
    #[serde(skip)]
    recent: Vec<Transition>,
}

/// What judging has brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Transitions that were not known before.
    pub new: Vec<Transition>,
    /// Transitions that were known, and turned out not to have been.
    pub withdrawn: Vec<Transition>,
    /// Samples that came too late to be judged.
    pub late: usize,
}

impl Outcome {
    /// Whether nothing has changed that would have to be remembered or told.
    pub fn is_quiet(&self) -> bool {
        self.new.is_empty() && self.withdrawn.is_empty()
    }
}

impl Track {
    /// The track of a device of which nothing is known.
    pub fn new(rule: &Rule) -> Self {
        Self::from_base(rule, Machine::new(rule), (Micros(i64::MIN), whole_time()))
    }

    /// The track of an alert of which no more is known than how it was told.
    pub(crate) fn standing(rule: &Rule, phase: Phase, raised: Micros, since: Micros) -> Self {
        let base = Machine::standing(phase, raised, since).renewed(rule);
        Self::from_base(rule, base, (since, whole_time()))
    }

    fn from_base(rule: &Rule, base: Machine, (cutoff, cutoff_seq): Instant) -> Self {
        Self {
            rule: rule.digest.to_string(),
            head: Some(base.clone()),
            base,
            cutoff,
            cutoff_seq,
            window: Vec::new(),
            acknowledged: Vec::new(),
            tick: None,
            history: VecDeque::new(),
            late: 0,
            recent: Vec::new(),
        }
    }

    /// Makes a stored track ready to be used with the rule as it is now. Where the rule has changed since, what
    /// stands goes on to stand, and is judged by the new rule from its next reading on.
    #[must_use]
    pub fn ready(mut self, rule: &Rule) -> Self {
        if *self.rule != *rule.digest || !self.base.fits(rule) {
            // Where nothing stands, the readings of the window may come once more, to be judged by the new rule.
            let cutoff =
                if self.phase().stands() { (self.head_at(), whole_time()) } else { self.cutoff_instant() };
            let mut track = Self::from_base(rule, self.last_known().renewed(rule), cutoff);
            track.history = self.history;
            // It speaks of the questions of the rule that was.
            track.history.iter_mut().for_each(|transition| transition.evidence.clear());
            track.late = self.late;
            return track;
        }
        let (head, recent) = self.replay(rule);
        (self.head, self.recent) = (Some(head), recent);
        self
    }

    /// The state at the head, or the nearest that is known.
    fn last_known(&self) -> &Machine {
        self.head.as_ref().unwrap_or(&self.base)
    }

    /// The state, with all that is known.
    pub fn machine(&self) -> &Machine {
        self.last_known()
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.last_known().phase()
    }

    /// The transitions that are remembered, in the order of event time.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.history.iter().chain(&self.recent)
    }

    /// The time up to which all is settled.
    pub fn cutoff(&self) -> Micros {
        self.cutoff
    }

    /// Whether a sample comes too late to be evaluated.
    pub fn is_settled(&self, sample: &Sample) -> bool {
        sample.instant() <= self.cutoff_instant()
    }

    fn cutoff_instant(&self) -> Instant {
        (self.cutoff, self.cutoff_seq)
    }

    /// Moves the cutoff forward, never back.
    fn settle_up_to(&mut self, instant: Instant) {
        (self.cutoff, self.cutoff_seq) = self.cutoff_instant().max(instant);
    }

    /// The time of the newest sample.
    pub fn newest(&self) -> Micros {
        self.window.last().map_or(self.cutoff, |sample| sample.at)
    }

    /// Samples that came too late so far.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Whether it says no more than a new one.
    pub fn is_plain(&self) -> bool {
        self.last_known().is_plain() && self.base.is_plain() && self.history().all(Transition::is_quiet)
    }

    /// Keeps less of its history, and of what the base remembers.
    pub(crate) fn thin_out(&mut self, rule: &Rule) {
        let older = self.history.len().saturating_sub(LITTLE_HISTORY);
        self.history.drain(..older);
        self.base.thin_out();
        let (head, recent) = self.replay(rule);
        (self.head, self.recent) = (Some(head), recent);
    }

    /// Keeps no more than how it stands.
    pub(crate) fn keep_outline(&mut self, rule: &Rule) {
        let late = self.late;
        *self = Self::from_base(rule, self.last_known().renewed(rule), (self.head_at(), whole_time()));
        self.late = late;
    }

    /// Forgets a cleared alert: what comes next begins anew. What stands or is pending is not forgotten.
    pub fn forget(&mut self, rule: &Rule) {
        if !self.is_at_rest() {
            return;
        }
        self.fold(rule, 0);
        self.base.begin_anew();
        self.history.clear();
        let (head, recent) = self.replay(rule);
        (self.head, self.recent) = (Some(head), recent);
    }

    /// Whether nothing stands or is pending.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase(), Phase::Normal | Phase::Cleared)
    }

    /// How many samples it keeps.
    pub fn weight(&self) -> usize {
        self.window.len()
    }

    /// The instant of the newest sample.
    fn newest_instant(&self) -> Instant {
        self.window.last().map_or(self.cutoff_instant(), Sample::instant)
    }

    /// The newest time that is known of.
    fn head_at(&self) -> Micros {
        self.newest().max(Micros(self.tick.unwrap_or(i64::MIN)))
    }

    /// Judges samples, in whatever order they come. The same again change nothing.
    pub fn take(&mut self, rule: &Rule, mut samples: Vec<Sample>, lateness: i64) -> Outcome {
        let given = samples.len();
        samples.retain(|sample| !self.is_settled(sample));
        let late = given - samples.len();
        self.late = self.late.saturating_add(late as u64);
        keep_standing(&mut samples);
        let Some(first) = samples.first() else { return Outcome { late, ..Outcome::default() } };
        let is_newer =
            first.instant() > self.newest_instant() && self.tick.is_none_or(|tick| first.at.0 > tick);
        let mut outcome = if is_newer { self.append(rule, samples) } else { self.merge(rule, samples) };
        outcome.late = late;
        self.settle(rule, lateness);
        outcome
    }

    /// Samples that are newer than all that is known.
    fn append(&mut self, rule: &Rule, samples: Vec<Sample>) -> Outcome {
        let head = self.head.get_or_insert_with(|| self.base.clone());
        let mut new = Vec::new();
        for step in samples.chunk_by(|a, b| a.instant() == b.instant()) {
            head.step(rule, step, &mut new);
        }
        // What the rule does not evaluate makes no step that would say again what was said of silence.
        if self.tick.is_some() && samples.iter().any(|sample| rule.evaluates(sample)) {
            self.tick = None;
        }
        self.window.extend(samples);
        self.recent.extend(new.iter().cloned());
        Outcome { new, ..Outcome::default() }
    }

    /// Samples of which some lie before others that are known.
    fn merge(&mut self, rule: &Rule, samples: Vec<Sample>) -> Outcome {
        let (mut has_changed, mut has_come) = (false, false);
        for sample in samples {
            let place = self.window.partition_point(|known| known.identity() < sample.identity());
            match self.window.get_mut(place) {
                Some(known) if known.identity() == sample.identity() => {
                    if !sample.replaces(known) {
                        continue;
                    }
                    let (was_evaluated, is_evaluated) = (rule.evaluates(known), rule.evaluates(&sample));
                    let is_other = !known.says_the_same_as(&sample);
                    has_changed |= is_other && (was_evaluated || is_evaluated);
                    has_come |= is_evaluated && !was_evaluated;
                    *known = sample;
                }
                _ => {
                    has_come |= rule.evaluates(&sample);
                    self.window.insert(place, sample);
                }
            }
        }
        if has_come {
            // What was said of silence is out of date, and will be said again if it is so.
            self.tick = None;
        }
        if has_changed || has_come { self.evaluate_again(rule) } else { Outcome::default() }
    }

    fn evaluate_again(&mut self, rule: &Rule) -> Outcome {
        let (head, transitions) = self.replay(rule);
        let missing_in = |list: &[Transition], transition: &&Transition| {
            !list.iter().any(|other| other.identity() == transition.identity())
        };
        let new =
            transitions.iter().filter(|transition| missing_in(&self.recent, transition)).cloned().collect();
        let withdrawn =
            self.recent.iter().filter(|transition| missing_in(&transitions, transition)).cloned().collect();
        (self.head, self.recent) = (Some(head), transitions);
        Outcome { new, withdrawn, late: 0 }
    }

    /// The state at the head, made from the base, and how it came about.
    fn replay(&self, rule: &Rule) -> (Machine, Vec<Transition>) {
        let (mut machine, mut transitions) = (self.base.clone(), Vec::new());
        run(&mut machine, rule, &self.window, &self.acknowledged, &mut transitions);
        if let Some(tick) = self.tick {
            machine.advance(rule, Micros(tick), &mut transitions);
        }
        (machine, transitions)
    }

    /// Says that nothing has come until `to`, in event time: silence may begin to hold.
    pub fn tick(&mut self, rule: &Rule, to: Micros) -> Outcome {
        if to <= self.head_at() || !rule.is_about_silence {
            return Outcome::default();
        }
        let mut new = Vec::new();
        self.head.get_or_insert_with(|| self.base.clone()).advance(rule, to, &mut new);
        self.tick = Some(to.0);
        self.recent.extend(new.iter().cloned());
        Outcome { new, ..Outcome::default() }
    }

    /// Somebody says that he knows of the alert as it stands now. `None`: nothing stands that he could know.
    pub fn acknowledge(&mut self, rule: &Rule) -> Option<Outcome> {
        if !matches!(self.phase(), Phase::Active | Phase::Latched) {
            return None;
        }
        // What was known, not what the clock says: a device's time may lie anywhere.
        let newest = self.newest_instant();
        let newest = if newest.1 == whole_time() { (newest.0, Seq::default()) } else { newest };
        let at = self.tick.map_or(newest, |tick| newest.max((Micros(tick), Seq::default())));
        let mut new = Vec::new();
        self.head.get_or_insert_with(|| self.base.clone()).acknowledge(rule, at, &mut new);
        self.acknowledged.push(at);
        self.recent.extend(new.iter().cloned());
        Some(Outcome { new, ..Outcome::default() })
    }

    /// Moves the cutoff to `lateness` before the newest sample.
    fn settle(&mut self, rule: &Rule, lateness: i64) {
        let Some(newest) = self.window.last() else { return };
        self.settle_up_to((newest.at.plus(-lateness), whole_time()));
        if self.window.len() > MAX_WINDOW + FOLD {
            self.settle_up_to(self.window[self.window.len() - MAX_WINDOW - 1].instant());
        }
        if self.window.get(FOLD - 1).is_some_and(|sample| self.is_settled(sample)) {
            self.fold(rule, usize::MAX);
        }
    }

    /// Takes what lies below the cutoff into the base, and so much more that at most `keep` samples can still be
    /// judged again.
    pub fn fold(&mut self, rule: &Rule, keep: usize) {
        if let Some(last) = self.window.len().checked_sub(keep.saturating_add(1)) {
            self.settle_up_to(self.window[last].instant());
        }
        let settled = self.window.partition_point(|sample| self.is_settled(sample));
        let cutoff = self.cutoff_instant();
        let acknowledged = self.acknowledged.partition_point(|at| *at <= cutoff);
        let mut transitions = Vec::new();
        run(
            &mut self.base,
            rule,
            &self.window[..settled],
            &self.acknowledged[..acknowledged],
            &mut transitions,
        );
        self.window.drain(..settled);
        self.acknowledged.drain(..acknowledged);
        let known = transitions.len().min(self.recent.len());
        self.history.extend(self.recent.drain(..known));
        while self.history.len() > MAX_HISTORY {
            self.history.pop_front();
        }
    }
}

fn is_calm(head: &Option<Machine>) -> bool {
    head.as_ref().is_none_or(|head| !head.phase().stands())
}

fn outline<S: Serializer>(head: &Option<Machine>, serializer: S) -> Result<S::Ok, S::Error> {
    head.as_ref().map(Machine::outline).serialize(serializer)
}

/// The `seq` of a cutoff that all samples of its time are too late for.
fn whole_time() -> Seq {
    Seq(u64::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_whole_time(seq: &Seq) -> bool {
    *seq == whole_time()
}

/// Lets a machine see samples and acknowledgements in their order.
fn run(
    machine: &mut Machine,
    rule: &Rule,
    samples: &[Sample],
    acknowledged: &[Instant],
    out: &mut Vec<Transition>,
) {
    let mut acknowledged = acknowledged.iter().copied().peekable();
    for step in samples.chunk_by(|a, b| a.instant() == b.instant()) {
        while let Some(at) = acknowledged.next_if(|at| *at < step[0].instant()) {
            machine.advance(rule, at.0, out);
            machine.acknowledge(rule, at, out);
        }
        machine.step(rule, step, out);
    }
    for at in acknowledged {
        machine.advance(rule, at.0, out);
        machine.acknowledge(rule, at, out);
    }
}
