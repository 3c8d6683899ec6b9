//! Does what an event asks for, and answers its source.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use alert::{DeviceAlerts, Feed, RuleSet, Tally};
use cloud::Error as CloudError;
use cloud::alerts::{AlertNotes, Alerts};
use cloud::broker::Broker;
use cloud::config::AlertConfig;
use cloud::devices::Devices;
use cloud::error::Disposition;
use cloud::error::chain;
use cloud::lambda::{Invocation, ReportedError, emit};
use cloud::metrics::MetricLine;
use cloud::notifications::Notifications;
use cloud::readings::Readings;
use cloud::stream::{Answer, Change, Failure};
use futures_util::stream::{self, StreamExt as _};
use telemetry::attribute::Item;
use telemetry::{DeviceId, Span, StoredSpan};
use thiserror::Error;

use crate::event::{Action, Command, Event, Message, UnknownEvent};
use crate::kinds::Kinds;
use crate::memory::Memory;
use crate::rules::RuleSource;
use crate::settle::{Settled, Work, read, settle, sum};

/// Devices that are settled at once.
const MAX_IN_FLIGHT: usize = 16;

/// How far apart the devices are that two looks begin with: a prime, so that all have their turn.
const LOOKS_APART: usize = 7_919;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// What stands.
    pub alerts: Alerts,
    /// What to judge by.
    pub rules: RuleSource,
    /// What of that is about which device.
    pub kinds: Kinds,
    /// What was measured.
    pub readings: Readings,
    /// What was measured last.
    pub devices: Devices,
    /// Where to note what stands.
    pub notes: AlertNotes,
    /// Where to publish.
    pub broker: Broker,
    /// Where else, if anywhere.
    pub notifications: Option<Notifications>,
    /// Devices of which nothing stands.
    pub memory: RefCell<Memory>,
    /// The rest.
    pub config: AlertConfig,
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is none that can be taken apart.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// Without rules nothing can be judged.
    #[error("the rules or what stands could not be read; Lambda invokes again")]
    NotRead(#[source] CloudError),
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
            Self::NotRead(_) => "Tidegate.NotRead",
        }
    }
}

/// Does what one event asks for.
///
/// # Errors
/// If the event is of no known shape, or the rules cannot be read.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Answer, HandlerError> {
    let event = Event::parse(event)?;
    let current = match event {
        Event::Tidy => deps.rules.fresh(invocation.deadline).await,
        Event::Changes(_) | Event::Messages(_) => deps.rules.current(invocation.deadline).await,
    };
    let current = current.map_err(HandlerError::NotRead)?;
    if current.have_changed {
        deps.memory.borrow_mut().clear();
    }
    let mut counts = Counts { broken_rules: current.broken, ..Counts::default() };
    let answer = match event {
        Event::Changes(changes) => judge(&changes, &current.rules, invocation, deps, &mut counts).await,
        Event::Messages(messages) => obey(&messages, &current.rules, invocation, deps, &mut counts).await,
        Event::Tidy => {
            tidy(&current.rules, invocation, deps, &mut counts).await.map_err(HandlerError::NotRead)?;
            Answer::default()
        }
    };
    report(&counts, deps, invocation);
    Ok(answer)
}

/// What an invocation came to. For an event of the stream `received = judged + ignored + failed + handed_back`, in changes;
/// for one of the queue `received = obeyed + refused + handed_back`, in messages.
#[derive(Debug, Default)]
struct Counts {
    received: usize,
    judged: usize,
    ignored: usize,
    /// Changes of devices that no further try would judge.
    failed: usize,
    /// Documents that nobody will take.
    undeliverable: usize,
    handed_back: usize,
    obeyed: usize,
    refused: usize,
    looked_after: usize,
    samples: usize,
    other_unit: usize,
    ahead: usize,
    tally: Tally,
    published: usize,
    unreadable: usize,
    broken_rules: usize,
    cut_short: usize,
    errors: Vec<CloudError>,
}

impl Counts {
    fn add(&mut self, settled: &Settled) {
        self.tally = sum(self.tally, settled.tally);
        self.published += settled.published;
        self.undeliverable += settled.undeliverable;
        self.unreadable += settled.unreadable;
    }
}

/// One device's part of an event.
#[derive(Default)]
struct Group<'a> {
    spans: Vec<&'a Span>,
    positions: Vec<&'a str>,
}

async fn judge(
    changes: &[Change<'_, Option<StoredSpan>>],
    rules: &Arc<RuleSet>,
    invocation: &Invocation,
    deps: &Deps,
    counts: &mut Counts,
) -> Answer {
    counts.received = changes.len();
    let groups = group(changes, rules);
    counts.ignored = changes.len() - groups.values().map(|group| group.positions.len()).sum::<usize>();
    let unknown: Vec<DeviceId> = {
        let memory = deps.memory.borrow();
        groups.keys().filter(|device| !memory.knows(device)).cloned().collect()
    };
    let deadline = invocation.deadline;
    let read = tokio::try_join!(
        deps.alerts.get(&unknown, deadline),
        deps.kinds.rules_of(rules, groups.keys(), deadline)
    );
    let (stored, rules_of) = match read {
        Ok(read) => read,
        Err(error) => {
            counts.errors.push(error);
            counts.handed_back = counts.received - counts.ignored;
            return Answer::hand_back(groups.values().flat_map(|group| group.positions.iter().copied()));
        }
    };
    let restless: Vec<(&DeviceId, &Group<'_>)> = groups
        .iter()
        .filter(|(device, group)| {
            !stays_calm(device, group, stored.get(*device), rules_of.get(device), invocation, deps, counts)
        })
        .collect();
    let works = restless.into_iter().map(async |(device, group)| {
        let work = Work::Readings(group.spans.clone());
        (group, settle(deps, rules_of.get(device), device, &work, invocation.began, deadline).await)
    });
    let mut failed = Vec::new();
    let mut works = stream::iter(works).buffer_unordered(MAX_IN_FLIGHT);
    while let Some((group, outcome)) = works.next().await {
        match outcome {
            Ok(mut settled) => {
                // What comes late has been counted already.
                settled.tally.late = 0;
                counts.add(&settled);
                if let Some(alerts) = settled.alerts {
                    deps.memory.borrow_mut().keep(alerts);
                }
            }
            // One device that cannot be judged must not hold up all that share its shard.
            Err(error) if error.disposition == Disposition::Reject => {
                counts.errors.push(error);
                counts.failed += group.positions.len();
            }
            Err(error) => {
                counts.errors.push(error);
                counts.handed_back += group.positions.len();
                failed.extend(group.positions.iter().copied());
            }
        }
    }
    counts.judged = counts.received - counts.ignored - counts.failed - counts.handed_back;
    Answer::hand_back(failed)
}

/// An event's spans by device, of those devices that a rule is about.
fn group<'a>(
    changes: &'a [Change<'_, Option<StoredSpan>>],
    rules: &RuleSet,
) -> BTreeMap<DeviceId, Group<'a>> {
    let mut groups: BTreeMap<DeviceId, Group<'a>> = BTreeMap::new();
    let mut has_rules: HashMap<DeviceId, bool> = HashMap::new();
    for change in changes {
        let Some(Some(stored)) = &change.new_image else { continue };
        let device = stored.span.device();
        let is_asked_for = match has_rules.get(device) {
            Some(known) => *known,
            None => {
                let is_asked_for = rules.iter().any(|rule| rule.matches(device));
                has_rules.insert(device.clone(), is_asked_for);
                is_asked_for
            }
        };
        if !is_asked_for {
            continue;
        }
        let group = groups.entry(device.clone()).or_default();
        group.spans.push(&stored.span);
        group.positions.push(change.sequence_number);
    }
    groups
}

/// Judges a device by what is known of it here. Returns whether that is all there is to do: nothing has happened that
/// would have to be stored or told, and nothing more has to be known.
fn stays_calm(
    device: &DeviceId,
    group: &Group<'_>,
    stored: Option<&Item>,
    rules: &RuleSet,
    invocation: &Invocation,
    deps: &Deps,
    counts: &mut Counts,
) -> bool {
    let known = deps.memory.borrow_mut().take(device);
    let is_known = known.is_some() || stored.is_some();
    let mut alerts = known.unwrap_or_else(|| match stored {
        Some(item) => read(item, device, rules, &mut counts.unreadable),
        None => DeviceAlerts::new(device.clone()),
    });
    let mut needs_more = false;
    for rule in rules.iter().filter(|rule| rule.matches(device)) {
        let lateness = deps.config.lateness_micros;
        let feed = Feed::new(rule, group.spans.iter().copied(), lateness);
        counts.samples += feed.samples.len() - feed.excluded;
        counts.other_unit += feed.other_unit;
        counts.ahead += feed.ahead;
        needs_more |= !is_known && rule.history_micros().is_some() && !feed.samples.is_empty();
        let tally = alerts.judge(rule, feed.samples, lateness, invocation.began);
        counts.tally.late += tally.late;
    }
    let is_calm = !needs_more && !alerts.has_news() && alerts.outbox().is_empty();
    if is_calm {
        deps.memory.borrow_mut().keep(alerts);
    }
    is_calm
}

async fn obey(
    messages: &[Message<'_>],
    rules: &Arc<RuleSet>,
    invocation: &Invocation,
    deps: &Deps,
    counts: &mut Counts,
) -> Answer {
    counts.received = messages.len();
    let mut answer = Answer::default();
    // One after the other: two may be about the same alert, and their order counts.
    for message in messages {
        let outcome = match &message.command {
            Some(command) => obey_one(command, rules, invocation, deps, counts).await,
            // Nobody understands it: it goes to the dead letters.
            None => Ok(false),
        };
        match outcome {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => counts.errors.push(error),
        }
        counts.handed_back += 1;
        answer.batch_item_failures.push(Failure { item_identifier: message.id.to_string() });
    }
    answer
}

/// Returns whether the command is dealt with.
async fn obey_one(
    command: &Command,
    rules: &Arc<RuleSet>,
    invocation: &Invocation,
    deps: &Deps,
    counts: &mut Counts,
) -> Result<bool, CloudError> {
    deps.memory.borrow_mut().take(&command.device);
    let work = Work::Command(command);
    let rules_of = deps.kinds.rules_of(rules, [&command.device], invocation.deadline).await?;
    let rules = rules_of.get(&command.device);
    let settled = settle(deps, rules, &command.device, &work, invocation.began, invocation.deadline).await?;
    counts.add(&settled);
    let Some(refusal) = settled.refused else {
        counts.obeyed += 1;
        return Ok(true);
    };
    if matches!(command.action, Action::Acknowledge { over_mqtt: true, .. }) {
        let topic = format!("alerts/{}/{}/ack/rejected", command.device, command.rule);
        let reason = serde_json::json!({ "reason": refusal.to_string() }).to_string();
        deps.broker.tell(&topic, &reason, invocation.deadline).await?;
    }
    counts.refused += 1;
    Ok(true)
}

/// Looks after everything that stands.
async fn tidy(
    rules: &Arc<RuleSet>,
    invocation: &Invocation,
    deps: &Deps,
    counts: &mut Counts,
) -> Result<(), CloudError> {
    let mut devices = deps.alerts.standing(invocation.deadline).await?;
    counts.received = devices.len();
    if !devices.is_empty() {
        // Another begins each minute: where there is no time for all, not always the same are left out.
        let minute = usize::try_from(invocation.began.0 / 60_000_000).unwrap_or_default();
        let first = minute.wrapping_mul(LOOKS_APART) % devices.len();
        devices.rotate_left(first);
    }
    let rules_of = deps.kinds.rules_of(rules, &devices, invocation.deadline).await?;
    let works = devices.iter().map(async |device| {
        if invocation.deadline.has_passed() {
            return None;
        }
        deps.memory.borrow_mut().take(device);
        Some(
            settle(deps, rules_of.get(device), device, &Work::Tidy, invocation.began, invocation.deadline)
                .await,
        )
    });
    let mut works = stream::iter(works).buffer_unordered(MAX_IN_FLIGHT);
    while let Some(outcome) = works.next().await {
        match outcome {
            Some(Ok(mut settled)) => {
                settled.tally.late = 0;
                counts.looked_after += 1;
                counts.add(&settled);
            }
            Some(Err(error)) => {
                counts.failed += 1;
                counts.errors.push(error);
            }
            None => counts.cut_short += 1,
        }
    }
    Ok(())
}

/// The one place where an invocation's counts and errors go out.
fn report(counts: &Counts, deps: &Deps, invocation: &Invocation) {
    for error in &counts.errors {
        tracing::warn!(request_id = invocation.request_id, error = chain(error), "a request to AWS failed");
    }
    let dimensions = vec![("Stage", deps.config.stage.clone()), ("Function", "alert".to_owned())];
    let line = MetricLine::new(dimensions)
        .count("Received", counts.received)
        .count("Judged", counts.judged)
        .count("Ignored", counts.ignored)
        .count("Obeyed", counts.obeyed)
        .count("Refused", counts.refused)
        .count("LookedAfter", counts.looked_after)
        .count("CutShort", counts.cut_short)
        .count("Failed", counts.failed)
        .count("Undeliverable", counts.undeliverable)
        .count("HandedBack", counts.handed_back)
        .count("Samples", counts.samples)
        .count("OtherUnit", counts.other_unit)
        .count("Ahead", counts.ahead)
        .count("Late", counts.tally.late)
        .count("Transitions", counts.tally.transitions)
        .count("Corrections", counts.tally.corrections)
        .count("Published", counts.published)
        .count("Unreadable", counts.unreadable)
        .count("BrokenRules", counts.broken_rules)
        .property("request_id", &invocation.request_id);
    emit(&line);
}
