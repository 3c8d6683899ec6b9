//! Brings one device's alerts up to date: read, judge, store, publish, mark.

use std::sync::Arc;

use alert::{
    DeviceAlerts, Feed, MAX_OUTBOX_BYTES, Outgoing, Phase, Refusal, Rule, RuleSet, Sample, Tally, device_time,
};
use cloud::Error as CloudError;
use cloud::alerts::Stored;
use cloud::retry::Deadline;
use telemetry::{DeviceId, Latest, Micros, Reading, Span, pack};

use crate::event::{Action, Command};
use crate::handler::Deps;

/// Samples that are judged before it is looked whether the outbox is full.
const CHUNK: usize = 64;
/// Readings older than this before the oldest that has come are not read again, in microseconds: 30 minutes.
const MAX_LOOK_BACK_MICROS: i64 = 30 * 60 * 1_000_000;
/// When what stands is looked after, readings younger than this are left to the stream, which is about to bring them.
const STREAM_DELAY_MICROS: i64 = 30 * 1_000_000;
/// Tries against somebody else who writes the same item.
const MAX_TRIES: usize = 20;

/// What is to be done about a device.
#[derive(Debug)]
pub(crate) enum Work<'a> {
    /// These readings have come.
    Readings(Vec<&'a Span>),
    /// Somebody asks for something.
    Command(&'a Command),
    /// It is time to look after it.
    Tidy,
}

/// What has been done.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) tally: Tally,
    /// Messages that were published.
    pub(crate) published: usize,
    /// Why what was asked for was not done.
    pub(crate) refused: Option<Refusal>,
    /// The state, where nobody has written since.
    pub(crate) alerts: Option<DeviceAlerts>,
    /// Items that could not be read, and were begun anew.
    pub(crate) unreadable: usize,
}

/// Does the work. The same again changes nothing.
///
/// # Errors
/// If something could not be read, stored or published until the deadline: then the work is to be done again.
pub(crate) async fn settle(
    deps: &Deps,
    rules: &RuleSet,
    device: &DeviceId,
    work: &Work<'_>,
    now: Micros,
    deadline: Deadline,
) -> Result<Settled, CloudError> {
    let mut settled = Settled::default();
    for _ in 0..MAX_TRIES {
        let mut alerts = load(deps, rules, device, &mut settled, deadline).await?;
        let mut steps = match prepare(deps, rules, &mut alerts, work, now, deadline).await? {
            Ok(steps) => steps.into_iter().peekable(),
            Err(refusal) => {
                settled.refused = Some(refusal);
                // Something may wait to be published all the same.
                Vec::new().into_iter().peekable()
            }
        };
        let outcome = loop {
            while alerts.outbox_bytes() < MAX_OUTBOX_BYTES
                && let Some(step) = steps.next()
            {
                settled.tally = sum(settled.tally, step.apply(&mut alerts, deps.config.lateness_micros, now));
            }
            let committed = commit(deps, rules, &mut alerts, &mut settled, deadline).await?;
            if committed != Committed::Done || steps.peek().is_none() {
                break committed;
            }
        };
        match outcome {
            Committed::Done => {
                settled.alerts = Some(alerts);
                return Ok(settled);
            }
            Committed::OvertakenAfterwards => return Ok(settled),
            Committed::Overtaken => settled.tally = Tally::default(),
        }
    }
    Err(CloudError::overtaken("PutItem"))
}

async fn load(
    deps: &Deps,
    rules: &RuleSet,
    device: &DeviceId,
    settled: &mut Settled,
    deadline: Deadline,
) -> Result<DeviceAlerts, CloudError> {
    let item = deps.alerts.get(std::slice::from_ref(device), deadline).await?.remove(device);
    Ok(match item {
        None => DeviceAlerts::new(device.clone()),
        Some(item) => read(&item, device, rules, &mut settled.unreadable),
    })
}

/// Reads a stored item. One that nobody can read is begun anew, over what is there: a device whose alerts stay silent
/// is worse than one whose alerts are told twice.
pub(crate) fn read(
    item: &telemetry::attribute::Item,
    device: &DeviceId,
    rules: &RuleSet,
    unreadable: &mut usize,
) -> DeviceAlerts {
    DeviceAlerts::from_item(item, rules).unwrap_or_else(|error| {
        tracing::error!(%error, "an item of the alerts table cannot be read, and is begun anew");
        *unreadable += 1;
        let rev = item.get("rev").and_then(telemetry::attribute::Attribute::as_i64).unwrap_or_default();
        DeviceAlerts::begun_anew(device.clone(), rev)
    })
}

/// A piece of judging.
enum Step {
    Judge(Arc<Rule>, Vec<Sample>),
    Tick(Arc<Rule>, Micros),
}

impl Step {
    fn apply(self, alerts: &mut DeviceAlerts, lateness: i64, now: Micros) -> Tally {
        match self {
            Self::Judge(rule, samples) => alerts.judge(&rule, samples, lateness, now),
            Self::Tick(rule, to) => alerts.tick(&rule, to, now),
        }
    }
}

/// What is to be judged; what is asked for by command is done on the way.
async fn prepare(
    deps: &Deps,
    rules: &RuleSet,
    alerts: &mut DeviceAlerts,
    work: &Work<'_>,
    now: Micros,
    deadline: Deadline,
) -> Result<Result<Vec<Step>, Refusal>, CloudError> {
    match work {
        Work::Readings(spans) => {
            let of_device = rules.of(&alerts.device);
            let stored = around(deps, &of_device, alerts, spans, deadline).await?;
            Ok(Ok(judge_steps(&of_device, spans.iter().copied().chain(&stored), deps.config.lateness_micros)))
        }
        Work::Tidy => {
            alerts.tidy(rules, deps.config.keep_micros, now);
            look_after(deps, rules, alerts, now, deadline).await.map(Ok)
        }
        Work::Command(command) => {
            let Some(rule) = rules.get(&command.rule).filter(|rule| rule.matches(&command.device)) else {
                return Ok(Err(Refusal::NoRule));
            };
            let done = match &command.action {
                Action::Silent => return silence_steps(deps, rule, alerts, now, deadline).await.map(Ok),
                Action::Acknowledge { by, .. } => alerts.acknowledge(rule, by, now).map(drop),
                Action::Shelve { until, by } => alerts.shelve(rule, *until, by, now),
                Action::Unshelve => alerts.unshelve(rule, now),
            };
            Ok(done.map(|()| Vec::new()))
        }
    }
}

/// The samples of spans, rule by rule, in pieces.
fn judge_steps<'a>(
    rules: &[Arc<Rule>],
    spans: impl IntoIterator<Item = &'a Span>,
    lateness: i64,
) -> Vec<Step> {
    let spans: Vec<&Span> = spans.into_iter().collect();
    let mut steps = Vec::new();
    for rule in rules {
        let feed = Feed::new(rule, spans.iter().copied(), lateness);
        steps.extend(feed.samples.chunks(CHUNK).map(|chunk| Step::Judge(Arc::clone(rule), chunk.to_vec())));
    }
    steps
}

/// All stored readings that may have a say in what these spans bring: what is decided is decided on the whole truth,
/// and not on what this process happened to see.
async fn around(
    deps: &Deps,
    rules: &[Arc<Rule>],
    alerts: &DeviceAlerts,
    spans: &[&Span],
    deadline: Deadline,
) -> Result<Vec<Span>, CloudError> {
    let first = spans.iter().map(|span| span.first()).min();
    let last = spans.iter().map(|span| span.last()).max();
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    let history = rules.iter().filter_map(|rule| rule.history_micros()).max().unwrap_or_default();
    let look_back = history.saturating_add(deps.config.lateness_micros);
    let settled = rules.iter().filter_map(|rule| alerts.track(&rule.name)).map(|track| track.cutoff()).min();
    let from = settled.unwrap_or(first.plus(-look_back)).min(first.plus(-look_back));
    let from = from.max(first.plus(-look_back.max(MAX_LOOK_BACK_MICROS)));
    stored(deps, &alerts.device, from, last, deadline).await
}

async fn stored(
    deps: &Deps,
    device: &DeviceId,
    from: Micros,
    to: Micros,
    deadline: Deadline,
) -> Result<Vec<Span>, CloudError> {
    if from > to {
        return Ok(Vec::new());
    }
    deps.readings.query(device, from, to, deadline).await.map(pack)
}

/// What stands is judged again by what is stored, and silence goes on.
async fn look_after(
    deps: &Deps,
    rules: &RuleSet,
    alerts: &DeviceAlerts,
    now: Micros,
    deadline: Deadline,
) -> Result<Vec<Step>, CloudError> {
    let is_open = |rule: &&Arc<Rule>| {
        let phase = alerts.track(&rule.name).map(|track| track.phase());
        phase.is_some_and(|phase| phase.stands() || phase == Phase::Pending)
    };
    let open: Vec<Arc<Rule>> = rules.iter().filter(is_open).cloned().collect();
    let cutoffs = open.iter().filter_map(|rule| alerts.track(&rule.name)).map(|track| track.cutoff());
    let Some(from) = cutoffs.min() else { return Ok(Vec::new()) };
    let to = now.plus(-STREAM_DELAY_MICROS);
    let from = from.max(to.plus(-MAX_LOOK_BACK_MICROS));
    let spans = stored(deps, &alerts.device, from, to, deadline).await?;
    let mut steps = judge_steps(&open, &spans, deps.config.lateness_micros);
    if open.iter().any(|rule| rule.silences().next().is_some())
        && let Some(latest) = deps.devices.get(&alerts.device, deadline).await?
    {
        let silent = open.iter().filter(|rule| rule.silences().next().is_some());
        steps.extend(silent.filter_map(|rule| tick_step(rule, &latest, now)));
    }
    Ok(steps)
}

/// The last readings of a device, and that nothing has come since.
async fn silence_steps(
    deps: &Deps,
    rule: &Arc<Rule>,
    alerts: &DeviceAlerts,
    now: Micros,
    deadline: Deadline,
) -> Result<Vec<Step>, CloudError> {
    let Some(latest) = deps.devices.get(&alerts.device, deadline).await? else { return Ok(Vec::new()) };
    let asked = |reading: &&Reading| {
        rule.metrics.contains(&None) || rule.metrics.contains(&Some(reading.metric.clone()))
    };
    let readings: Vec<Reading> = latest.metrics.values().filter(asked).cloned().collect();
    let spans = pack(readings);
    let mut steps = judge_steps(std::slice::from_ref(rule), &spans, deps.config.lateness_micros);
    steps.extend(tick_step(rule, &latest, now));
    Ok(steps)
}

/// What the device's own clock would say now.
fn tick_step(rule: &Arc<Rule>, latest: &Latest, now: Micros) -> Option<Step> {
    let newest = latest.metrics.values().max_by_key(|reading| (reading.at, reading.received))?;
    Some(Step::Tick(Arc::clone(rule), device_time(newest.at, latest.last_seen, now)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Committed {
    Done,
    /// Somebody else has written since the item was read; nothing was done.
    Overtaken,
    /// Somebody else has written since it was stored; it is stored and published.
    OvertakenAfterwards,
}

/// Stores what has happened, publishes it, and marks it as published.
async fn commit(
    deps: &Deps,
    rules: &RuleSet,
    alerts: &mut DeviceAlerts,
    settled: &mut Settled,
    deadline: Deadline,
) -> Result<Committed, CloudError> {
    if alerts.has_news() {
        let item = alerts.to_item(rules);
        if deps.alerts.put(item, alerts.rev, deadline).await? == Stored::Overtaken {
            return Ok(Committed::Overtaken);
        }
        alerts.stored(alerts.rev + 1);
    }
    if alerts.outbox().is_empty() {
        return Ok(Committed::Done);
    }
    for outgoing in alerts.outbox() {
        publish(deps, &alerts.device, outgoing, deadline).await?;
        settled.published += 1;
    }
    let worst = alerts.worst().map(|(rule, told)| (&**rule, told));
    deps.notes.put(&alerts.device, worst, alerts.rev, deadline).await?;
    let is_over = alerts.told().is_empty() && alerts.shelves().is_empty();
    let marked = deps.alerts.mark_published(&alerts.device, alerts.rev, is_over, deadline).await?;
    if marked == Stored::Overtaken {
        return Ok(Committed::OvertakenAfterwards);
    }
    alerts.sent();
    alerts.stored(alerts.rev + 1);
    Ok(Committed::Done)
}

async fn publish(
    deps: &Deps,
    device: &DeviceId,
    outgoing: &Outgoing,
    deadline: Deadline,
) -> Result<(), CloudError> {
    let topic = format!("alerts/{device}/{}", outgoing.rule);
    deps.broker.publish_retained(&topic, &outgoing.payload, deadline).await?;
    if let Some(notifications) = deps.notifications.as_ref().filter(|_| !outgoing.payload.is_empty()) {
        notifications.send(&format!("{device}: {}", outgoing.rule), &outgoing.payload, deadline).await?;
    }
    Ok(())
}

pub(crate) fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        late: a.late + b.late,
        transitions: a.transitions + b.transitions,
        corrections: a.corrections + b.corrections,
    }
}
