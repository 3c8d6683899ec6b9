//! All alerts of one device: how they stand, and what is to be published. The item that is stored of it: `item`.
//!
//! One item for a device, not one for each rule: it takes one read and one conditional write however many rules
//! look at it, and what has happened is stored together with what is to be published of it.

mod item;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use telemetry::{DeviceId, Micros, Seq};

use crate::document::{self, Document, SHELVED, id, transition_id};
use crate::machine::{Machine, Phase, Transition};
use crate::rule::{Rule, Severity};
use crate::sample::Sample;
use crate::set::RuleSet;
use crate::track::{Outcome, Track};

pub use item::{ItemError, SHARDS};

/// What has to be published before more is judged, in bytes: with the tracks it stays well below DynamoDB's 400 KB.
pub const MAX_OUTBOX_BYTES: usize = 96 * 1024;
/// Most that one step of judging may add to the outbox, in bytes: of more documents, the last ones are told.
const MAX_TOLD_BYTES: usize = 64 * 1024;
/// Longest time that an alert may be shelved, in microseconds: 30 days. What is shelved for longer is forgotten.
pub const MAX_SHELF_MICROS: i64 = 30 * 86_400 * 1_000_000;
/// How much event time may pass before the memory of a rate or an anomaly is stored, in microseconds: 15 minutes.
const CHECKPOINT_MICROS: i64 = 15 * 60 * 1_000_000;
/// How far the clocks of who asks and who tells may differ, in microseconds: 5 seconds.
const CLOCKS_DIFFER_MICROS: i64 = 5 * 1_000_000;
/// Longest name of whoever acknowledges or shelves, in characters.
const MAX_BY_CHARS: usize = 128;

/// All alerts of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceAlerts {
    /// The device.
    pub device: DeviceId,
    /// How often the item was written; 0: never.
    pub rev: i64,
    tracks: BTreeMap<Arc<str>, Track>,
    shelves: BTreeMap<Arc<str>, Shelf>,
    told: BTreeMap<Arc<str>, Told>,
    outbox: Vec<Outgoing>,
    has_news: bool,
    /// Event time of the newest sample when the item was last stored or read.
    stored_at: Micros,
}

/// Until when nothing is told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// By the clock.
    pub until: Micros,
    /// Who said so.
    pub by: String,
}

impl Shelf {
    fn show_in(&self, document: &mut Document) {
        document.state = SHELVED;
        document.by = Some(self.by.clone());
        document.until = document::time(self.until);
    }
}

/// What has been told last of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The state, in the document's word.
    pub state: String,
    /// How bad it is.
    pub severity: Severity,
    /// What a person was told.
    pub message: String,
    /// The document's id.
    pub id: String,
    /// When the alert was raised, in the readings' time.
    pub since: Micros,
    /// When this came about, in the readings' time.
    pub at: Micros,
    /// When it was handed over to be published, by the clock.
    pub published: Micros,
}

/// Something to be published, retained, on `alerts/{site}/{device}/{rule}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The rule.
    pub rule: Arc<str>,
    /// The document's id.
    pub id: String,
    /// The document, or nothing, which removes what is retained.
    pub payload: String,
}

/// Why something that somebody asked for is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to acknowledge.
    #[error("the alert does not stand")]
    NotStanding,
    /// A shelf without an end, or with one that has passed or is too far away.
    #[error("an alert is shelved until a time that lies ahead, at most 30 days")]
    NoEnd,
    /// It was asked before what stands now was told: the same request once more, or one that was slow.
    #[error("the alert has changed since")]
    Outdated,
    /// There is nothing to take from the shelf.
    #[error("the alert is not shelved")]
    NotShelved,
    /// Nobody knows such a rule.
    #[error("there is no such rule, or it is not about this device")]
    NoRule,
}

/// What judging has come to, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Samples that came too late to be judged.
    pub late: usize,
    /// Transitions, told or not.
    pub transitions: usize,
    /// Transitions that were taken back.
    pub corrections: usize,
}

impl DeviceAlerts {
    /// A device of which nothing is stored.
    pub fn new(device: DeviceId) -> Self {
        Self {
            device,
            rev: 0,
            tracks: BTreeMap::new(),
            shelves: BTreeMap::new(),
            told: BTreeMap::new(),
            outbox: Vec::new(),
            has_news: false,
            stored_at: Micros(i64::MIN),
        }
    }

    /// A device whose stored item of revision `rev` nobody can read: what is stored next takes its place.
    pub fn begun_anew(device: DeviceId, rev: i64) -> Self {
        Self { rev, ..Self::new(device) }
    }

    /// Whether something has happened that has to be stored.
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Whether all is well, nothing is to be published, and nothing to be remembered: the next reading may be judged
    /// without looking at what is stored.
    pub fn is_calm(&self) -> bool {
        self.told.is_empty()
            && self.outbox.is_empty()
            && self.shelves.is_empty()
            && self.tracks.values().all(|track| track.phase() == Phase::Normal)
    }

    /// Whether nobody has to look after it: nothing is told, shelved or pending.
    pub fn is_over(&self) -> bool {
        self.told.is_empty() && self.shelves.is_empty() && self.tracks.values().all(Track::is_at_rest)
    }

    /// How many samples are kept.
    pub fn weight(&self) -> usize {
        self.tracks.values().map(|track| track.weight() + 1).sum()
    }

    /// Publishes once more how these alerts stand, under the ids that were told: somebody who was slow has published
    /// what was older last.
    pub fn tell_again(&mut self, names: &BTreeSet<Arc<str>>, rules: &RuleSet, now: Micros) {
        for name in names {
            let outgoing = match (self.told.get(name), rules.get(name)) {
                (Some(told), Some(rule)) => {
                    let last = self.last_told(rule, now);
                    let mut document = self.present(rule, &last, "repeat", &[]);
                    document.id.clone_from(&told.id);
                    if let Some(shelf) = self.shelves.get(name) {
                        shelf.show_in(&mut document);
                    }
                    Outgoing { rule: name.clone(), id: document.id.clone(), payload: document.to_json() }
                }
                (Some(_), None) => continue,
                (None, _) => {
                    let id = id(&self.device, name, &["retained", "again"]);
                    Outgoing { rule: name.clone(), id, payload: String::new() }
                }
            };
            self.outbox.push(outgoing);
            self.has_news = true;
        }
    }

    /// What is to be published, in order.
    pub fn outbox(&self) -> &[Outgoing] {
        &self.outbox
    }

    /// How many bytes wait to be published.
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.iter().map(|outgoing| outgoing.payload.len() + 128).sum()
    }

    /// What has been told last, by rule.
    pub fn told(&self) -> &BTreeMap<Arc<str>, Told> {
        &self.told
    }

    /// What is shelved, by rule.
    pub fn shelves(&self) -> &BTreeMap<Arc<str>, Shelf> {
        &self.shelves
    }

    /// The track of a rule, if it has one.
    pub fn track(&self, rule: &str) -> Option<&Track> {
        self.tracks.get(rule)
    }

    /// Names of the rules that something is known by.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tracks.keys()
    }

    /// The worst alert that stands and is not shelved: of one severity, the one that was raised first.
    pub fn worst(&self) -> Option<(&Arc<str>, &Told)> {
        let standing = self.told.iter().filter(|(_, told)| document::stands(&told.state));
        standing.max_by(|(_, a), (_, b)| a.severity.cmp(&b.severity).then_with(|| b.since.cmp(&a.since)))
    }

    /// Judges samples by a rule.
    pub fn judge(&mut self, rule: &Rule, samples: Vec<Sample>, lateness: i64, now: Micros) -> Tally {
        if samples.is_empty() {
            return Tally::default();
        }
        let newest = samples.last().map_or(self.stored_at, |sample| sample.at);
        let outcome = self.track_mut(rule).take(rule, samples, lateness);
        let keeps_memory = !self.track_mut(rule).is_plain();
        // Also where nothing has been stored yet: a memory that begins anew every time never has one.
        self.has_news |= keeps_memory && newest.0.saturating_sub(self.stored_at.0) >= CHECKPOINT_MICROS;
        self.tell(rule, &outcome, None, now)
    }

    /// Says that nothing has come until `to`, in the device's own time.
    pub fn tick(&mut self, rule: &Rule, to: Micros, now: Micros) -> Tally {
        let outcome = self.track_mut(rule).tick(rule, to);
        self.tell(rule, &outcome, None, now)
    }

    /// Whether what was asked for at `asked` can be about how the alert stands now.
    ///
    /// # Errors
    /// If something else has been told since, and not just now: clocks differ.
    pub fn is_about_present(&self, rule: &str, asked: Micros) -> Result<(), Refusal> {
        let told = self.told.get(rule).map_or(Micros(i64::MIN), |told| told.published);
        if told > asked.plus(CLOCKS_DIFFER_MICROS) { Err(Refusal::Outdated) } else { Ok(()) }
    }

    /// Somebody says that he knows.
    ///
    /// # Errors
    /// If nothing stands that he could know.
    pub fn acknowledge(&mut self, rule: &Rule, by: &str, now: Micros) -> Result<Tally, Refusal> {
        if self.track(&rule.name).is_some_and(|track| track.phase() == Phase::Acknowledged) {
            return Ok(Tally::default());
        }
        let outcome = self.track_mut(rule).acknowledge(rule).ok_or(Refusal::NotStanding)?;
        Ok(self.tell(rule, &outcome, Some(by), now))
    }

    /// Tells nothing of an alert until a time, and tells so.
    ///
    /// # Errors
    /// If that time is none that lies ahead.
    pub fn shelve(&mut self, rule: &Rule, until: Micros, by: &str, now: Micros) -> Result<(), Refusal> {
        if until <= now || until.0.saturating_sub(now.0) > MAX_SHELF_MICROS {
            return Err(Refusal::NoEnd);
        }
        let shelf = Shelf { until, by: shortened(by) };
        let last = self.last_told(rule, now);
        let mut document = self.present(rule, &last, "shelved", &[&until.0.to_string(), &shelf.by]);
        shelf.show_in(&mut document);
        self.shelves.insert(rule.name.clone(), shelf);
        self.publish(rule, &document, &last, now);
        Ok(())
    }

    /// Takes an alert from the shelf, and tells how it stands.
    ///
    /// # Errors
    /// If it is not shelved.
    pub fn unshelve(&mut self, rule: &Rule, now: Micros) -> Result<(), Refusal> {
        let shelf = self.shelves.remove(&rule.name).ok_or(Refusal::NotShelved)?;
        let last = self.last_told(rule, now);
        let mut document = self.present(rule, &last, "unshelved", &[&shelf.until.0.to_string(), &shelf.by]);
        document.previous = SHELVED;
        self.publish(rule, &document, &last, now);
        Ok(())
    }

    /// Does what is due by the clock: shelves end, what has been clear for `keep` microseconds is removed from the
    /// broker, and so is what a removed rule had raised.
    pub fn tidy(&mut self, rules: &RuleSet, keep: i64, now: Micros) {
        let names: Vec<Arc<str>> =
            self.told.keys().chain(self.shelves.keys()).chain(self.tracks.keys()).cloned().collect();
        for name in names {
            match rules.get(&name).filter(|rule| rule.matches(&self.device)) {
                // It has not gone: somebody has to mend it.
                None if rules.is_unreadable(&name) => {}
                None => self.remove_rule(&name, now),
                Some(rule) => {
                    if self.shelves.get(&name).is_some_and(|shelf| shelf.until <= now) {
                        // It is there: nothing to refuse.
                        let _ = self.unshelve(rule, now);
                    }
                    let is_over = self.told.get(&name).is_some_and(|told| {
                        !document::stands(&told.state)
                            && told.state != SHELVED
                            && now.0.saturating_sub(told.published.0) >= keep
                    });
                    // What has been raised since need not have been told: it flaps, or is pending.
                    let is_at_rest = self.tracks.get(&name).is_none_or(Track::is_at_rest);
                    if is_over && is_at_rest && !self.shelves.contains_key(&name) {
                        self.clear_retained(&name);
                        self.track_mut(rule).forget(rule);
                    }
                }
            }
        }
    }

    /// The rule has gone, or is not about this device any more.
    fn remove_rule(&mut self, name: &Arc<str>, now: Micros) {
        self.tracks.remove(name);
        self.shelves.remove(name);
        self.has_news = true;
        let Some(told) = self.told.get(name) else { return };
        if document::stands(&told.state) || told.state == SHELVED {
            let document = self.removed(name, told, now);
            self.outbox.push(Outgoing {
                rule: name.clone(),
                id: document.id.clone(),
                payload: document.to_json(),
            });
        }
        self.clear_retained(name);
    }

    /// What is told of an alert whose rule has gone: all that is left is what was told before.
    fn removed(&self, name: &str, told: &Told, now: Micros) -> Document {
        Document {
            id: id(&self.device, name, &["removed", &told.id]),
            rule: name.to_owned(),
            device: self.device.to_string(),
            state: Phase::Cleared.as_str(),
            previous: document::standing_phase(&told.state).map_or(SHELVED, Phase::as_str),
            cause: "removed",
            severity: told.severity,
            message: told.message.clone(),
            at: now.to_string(),
            since: told.since.to_string(),
            metric: None,
            value: None,
            unit: None,
            threshold: None,
            unstable: false,
            corrects: Vec::new(),
            unsaid: 0,
            by: None,
            until: None,
            evidence: Vec::new(),
        }
    }

    fn clear_retained(&mut self, name: &Arc<str>) {
        if let Some(told) = self.told.remove(name) {
            let id = id(&self.device, name, &["retained", &told.id]);
            self.outbox.push(Outgoing { rule: name.clone(), id, payload: String::new() });
            self.has_news = true;
        }
    }

    fn track_mut(&mut self, rule: &Rule) -> &mut Track {
        self.tracks.entry(rule.name.clone()).or_insert_with(|| Track::new(rule))
    }

    /// Puts what an outcome has to say into the outbox.
    fn tell(&mut self, rule: &Rule, outcome: &Outcome, by: Option<&str>, now: Micros) -> Tally {
        let tally = Tally {
            late: outcome.late,
            transitions: outcome.new.len(),
            corrections: outcome.withdrawn.iter().filter(|transition| transition.told).count(),
        };
        if outcome.is_quiet() {
            return tally;
        }
        self.has_news = true;
        if self.shelves.get(&rule.name).is_some_and(|shelf| shelf.until > now) {
            return tally;
        }
        let told = outcome.withdrawn.iter().filter(|transition| transition.told);
        let withdrawn: Vec<String> =
            told.map(|transition| transition_id(&self.device, rule, transition)).collect();
        let mut corrects = withdrawn.clone();
        let told: Vec<&Transition> = outcome.new.iter().filter(|transition| transition.told).collect();
        let documents = self.documents(rule, &told, by);
        let unsaid = told.len() - documents.len();
        for (transition, mut document) in told[unsaid..].iter().zip(documents) {
            document.corrects = std::mem::take(&mut corrects);
            self.publish(rule, &document, transition, now);
        }
        let last = self.last_told(rule, now);
        // What is published last is retained: it has to be how the alert stands.
        let is_the_last = told.last().is_some_and(|transition| transition.identity() == last.identity());
        if !corrects.is_empty() || (!told.is_empty() && last.told && !is_the_last) {
            let published = told.iter().map(|transition| transition_id(&self.device, rule, transition));
            let parts: Vec<String> = withdrawn.into_iter().chain(published).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let mut document = self.present(rule, &last, "correction", &parts);
            document.corrects = corrects;
            self.publish(rule, &document, &last, now);
        }
        tally
    }

    /// The documents of transitions; of more than may be told at once, the last ones.
    fn documents(&self, rule: &Rule, told: &[&Transition], by: Option<&str>) -> Vec<Document> {
        let is_unstable = self.tracks.get(&rule.name).is_some_and(|track| track.machine().is_unstable());
        let (mut documents, mut bytes) = (Vec::new(), 0);
        for transition in told.iter().rev() {
            let mut document = Document::of(&self.device, rule, transition);
            document.by = by.map(shortened);
            document.unstable |= is_unstable;
            bytes += document.to_json().len();
            if bytes > MAX_TOLD_BYTES && !documents.is_empty() {
                break;
            }
            documents.push(document);
        }
        documents.reverse();
        let unsaid = told.len() - documents.len();
        if let Some(first) = documents.first_mut() {
            first.unsaid = unsaid;
        }
        documents
    }

    /// The last transition that a person would want to know of, told or not.
    fn last_told(&self, rule: &Rule, now: Micros) -> Transition {
        let track = self.tracks.get(&rule.name);
        let last = track.and_then(|track| track.history().rfind(|transition| !transition.is_quiet()));
        let begun = |machine: &Machine| Transition {
            at: machine.since(),
            since: machine.raised(),
            ..nothing_happened(now)
        };
        let standing = track.map(Track::machine).filter(|machine| machine.phase().stands());
        last.cloned().or(standing.map(begun)).unwrap_or_else(|| nothing_happened(now))
    }

    /// How an alert stands at present, as a document that `cause` has brought about.
    fn present(&self, rule: &Rule, last: &Transition, cause: &'static str, what: &[&str]) -> Document {
        let track = self.tracks.get(&rule.name);
        let phase = track.map_or(Phase::Normal, Track::phase);
        let mut document = Document::of(&self.device, rule, last);
        document.id = id(&self.device, &rule.name, &[&[cause, phase.as_str()], what].concat());
        document.state = phase.as_str();
        document.cause = cause;
        document.unstable = track.is_some_and(|track| track.machine().is_unstable());
        document
    }

    fn publish(&mut self, rule: &Rule, document: &Document, transition: &Transition, now: Micros) {
        // What is told again is not news.
        let before = self.told.get(&rule.name).filter(|_| document.cause == crate::Cause::Repeat.as_str());
        let told = Told {
            state: document.state.to_owned(),
            severity: rule.severity,
            message: rule.message.to_string(),
            id: document.id.clone(),
            since: transition.since,
            at: transition.at,
            published: before.map_or(now, |told| told.published),
        };
        self.told.insert(rule.name.clone(), told);
        self.outbox.push(Outgoing {
            rule: rule.name.clone(),
            id: document.id.clone(),
            payload: document.to_json(),
        });
        self.has_news = true;
    }

    /// What has been published, and stored as such.
    pub fn sent(&mut self) {
        self.outbox.clear();
    }

    /// What is stored is what is known.
    pub fn stored(&mut self, rev: i64) {
        self.rev = rev;
        self.has_news = false;
        let newest = self.tracks.values().map(Track::newest).max();
        self.stored_at = newest.unwrap_or(self.stored_at);
    }
}

fn nothing_happened(at: Micros) -> Transition {
    let (from, to) = (Phase::Normal, Phase::Normal);
    Transition {
        at,
        seq: Seq::default(),
        from,
        to,
        cause: crate::Cause::Condition,
        since: at,
        told: false,
        evidence: Vec::new(),
    }
}

/// A name from outside, bounded and without control characters.
fn shortened(by: &str) -> String {
    by.chars().filter(|c| !c.is_control()).take(MAX_BY_CHARS).collect()
}
