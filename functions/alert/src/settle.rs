//! Brings one device's alerts up to date: read, judge, store, publish, mark.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alert::{
    DeviceAlerts, Feed, MAX_OUTBOX_BYTES, Outgoing, Phase, Refusal, Rule, RuleSet, Sample, Tally, device_time,
};
use cloud::Error as CloudError;
use cloud::conditional::Stored;
use cloud::error::Disposition;
use cloud::error::chain;
use cloud::retry::Deadline;
use telemetry::{DeviceId, Latest, Micros, Reading, Span, pack};

use crate::event::{Action, Command};
use crate::handler::Deps;

/// Samples that are evaluated between two checks of the outbox's size, and those of the same instant.
const CHUNK: usize = 64;
/// Readings older than this before the oldest that has come are not read again, in microseconds: 30 minutes.
const MAX_LOOK_BACK_MICROS: i64 = 30 * 60 * 1_000_000;
/// When what stands is looked after, readings younger than this are left to the stream, which is about to bring them.
const STREAM_DELAY_MICROS: i64 = 30 * 1_000_000;
/// The longest time that is read at once, in microseconds: a day.
const MAX_PENDING_MICROS: i64 = 86_400 * 1_000_000;
/// How long SNS may take. Alerts are the broker's; people and tickets must not hold them up.
const NOTIFY_WITHIN: Duration = Duration::from_secs(5);
/// Pauses after which a device that has no item yet is looked for again.
const NOTE_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
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
    /// Documents that the broker or SNS did not take, and never will.
    pub(crate) undeliverable: usize,
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
    let (mut again, mut is_done) = (BTreeSet::new(), false);
    for _ in 0..MAX_TRIES {
        let mut alerts = load(deps, rules, device, &mut settled, deadline).await?;
        alerts.tell_again(&again, rules, now);
        let steps = if is_done {
            Vec::new()
        } else {
            match prepare(deps, rules, &mut alerts, work, now, deadline).await? {
                Ok(steps) => steps,
                Err(refusal) => {
                    settled.refused = Some(refusal);
                    // Something may wait to be published all the same.
                    Vec::new()
                }
            }
        };
        let mut steps = steps.into_iter().peekable();
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
            Committed::OvertakenAfterwards(published) => {
                // Whoever was faster may have published before: what this one published last may be older.
                again = published;
                is_done = steps.peek().is_none() || matches!(work, Work::Command(_));
            }
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
            Ok(Ok(judge_steps(deps, &of_device, alerts, spans, &stored)))
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
                Action::Acknowledge { by, .. } => {
                    let is_about_present = alerts.is_about_present(&rule.name, command.asked.unwrap_or(now));
                    is_about_present.and_then(|()| alerts.acknowledge(rule, by, now).map(drop))
                }
                Action::Shelve { until, by } => alerts.shelve(rule, *until, by, now),
                Action::Unshelve => alerts.unshelve(rule, now),
            };
            Ok(done.map(|()| Vec::new()))
        }
    }
}

/// The samples of spans, rule by rule, in pieces. Of what is settled only what has come just now counts, as late.
fn judge_steps(
    deps: &Deps,
    rules: &[Arc<Rule>],
    alerts: &DeviceAlerts,
    come: &[&Span],
    stored: &[Span],
) -> Vec<Step> {
    let lateness = deps.config.lateness_micros;
    let mut steps = Vec::new();
    for rule in rules {
        let track = alerts.track(&rule.name);
        let is_settled = |sample: &Sample| track.is_some_and(|track| track.is_settled(sample));
        let late = Feed::new(rule, come.iter().copied(), lateness).samples.into_iter();
        let late = late.filter(is_settled);
        let all = Feed::new(rule, come.iter().copied().chain(stored), lateness).samples.into_iter();
        let samples: Vec<Sample> = late.chain(all.filter(|sample| !is_settled(sample))).collect();
        steps.extend(chunks(samples).into_iter().map(|chunk| Step::Judge(Arc::clone(rule), chunk)));
    }
    steps
}

/// Samples in chunks. What was measured at one instant stays together, or the first half of it would be evaluated, and
/// published, as if it were all.
fn chunks(samples: Vec<Sample>) -> Vec<Vec<Sample>> {
    let mut chunks: Vec<Vec<Sample>> = Vec::new();
    for sample in samples {
        let has_room = |chunk: &&mut Vec<Sample>| {
            chunk.len() < CHUNK || chunk.last().is_some_and(|last| last.instant() == sample.instant())
        };
        match chunks.last_mut().filter(has_room) {
            Some(chunk) => chunk.push(sample),
            None => chunks.push(vec![sample]),
        }
    }
    chunks
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
    // What is dated ahead of its arrival is not judged.
    let lateness = deps.config.lateness_micros;
    let last = spans.iter().map(|span| span.last().min(span.received().1.plus(lateness))).max();
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    let history = rules.iter().filter_map(|rule| rule.history_micros()).max().unwrap_or_default();
    let look_back = history.saturating_add(lateness);
    let tracks = || rules.iter().filter_map(|rule| alerts.track(&rule.name));
    let settled = tracks().map(|track| track.cutoff()).min().unwrap_or(first);
    // Where something stands or is pending, all since then counts; else what is older was judged as well.
    let is_at_rest = tracks().all(alert::Track::is_at_rest);
    let farthest = if is_at_rest { look_back.max(MAX_LOOK_BACK_MICROS) } else { MAX_PENDING_MICROS };
    let from = settled.min(first.plus(-look_back)).max(first.plus(-farthest));
    // A clock that was set meanwhile must not have years read.
    let from = from.max(last.plus(-MAX_PENDING_MICROS - look_back));
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
    // An item that is no span is archive's to keep; here it must not hide the readings around it.
    let (readings, _) = deps.readings.query_readable(device, from, to, deadline).await?;
    Ok(pack(readings))
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
    let (Some(from), Some(latest)) = (cutoffs.min(), deps.devices.get(&alerts.device, deadline).await?)
    else {
        return Ok(Vec::new());
    };
    let lateness = deps.config.lateness_micros;
    let Some(newest) = alert::newest(latest.metrics.values(), lateness) else { return Ok(Vec::new()) };
    // By the device's own time, which may be any.
    let from = from.max(newest.at.plus(-MAX_LOOK_BACK_MICROS));
    let (mut readings, _) = deps.readings.query_readable(&alerts.device, from, newest.at, deadline).await?;
    readings.retain(|reading| reading.received <= now.plus(-STREAM_DELAY_MICROS));
    let mut steps = judge_steps(deps, &open, alerts, &[], &pack(readings));
    let silent = open.iter().filter(|rule| rule.asks_for_silence());
    steps.extend(silent.filter_map(|rule| tick_step(rule, &latest, lateness, now)));
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
    let mut steps = judge_steps(deps, std::slice::from_ref(rule), alerts, &[], &spans);
    steps.extend(tick_step(rule, &latest, deps.config.lateness_micros, now));
    Ok(steps)
}

/// What the device's own clock would say now.
fn tick_step(rule: &Arc<Rule>, latest: &Latest, lateness: i64, now: Micros) -> Option<Step> {
    let newest = alert::newest(latest.metrics.values(), lateness)?;
    Some(Step::Tick(Arc::clone(rule), device_time(newest.at, latest.last_seen, now)))
}

#[derive(Debug, PartialEq, Eq)]
enum Committed {
    Done,
    /// Somebody else has written since the item was read; nothing was done.
    Overtaken,
    /// Somebody else has written since it was stored; it is stored, and these rules' documents are published.
    OvertakenAfterwards(BTreeSet<Arc<str>>),
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
        publish(deps, &alerts.device, outgoing, settled, deadline).await?;
    }
    note(deps, alerts, deadline).await?;
    let marked = deps.alerts.mark_published(&alerts.device, alerts.rev, alerts.is_over(), deadline).await?;
    if marked == Stored::Overtaken {
        let published = alerts.outbox().iter().map(|outgoing| Arc::clone(&outgoing.rule));
        return Ok(Committed::OvertakenAfterwards(published.collect()));
    }
    alerts.sent();
    alerts.stored(alerts.rev + 1);
    Ok(Committed::Done)
}

/// Publishes one document. What the broker will never take is counted, and holds up nothing else; nor does a topic of
/// SNS that does not answer.
async fn publish(
    deps: &Deps,
    device: &DeviceId,
    outgoing: &Outgoing,
    settled: &mut Settled,
    deadline: Deadline,
) -> Result<(), CloudError> {
    let topic = format!("alerts/{device}/{}", outgoing.rule);
    match deps.broker.publish_retained(&topic, &outgoing.payload, deadline).await {
        Ok(()) => settled.published += 1,
        Err(error) if error.disposition == Disposition::Reject => {
            tracing::error!(error = chain(&error), "the broker does not take the document of an alert");
            settled.undeliverable += 1;
        }
        Err(error) => return Err(error),
    }
    if let Some(notifications) = deps.notifications.as_ref().filter(|_| !outgoing.payload.is_empty()) {
        let subject = format!("{device}: {}", outgoing.rule);
        let sent = notifications.send(&subject, &outgoing.payload, deadline.sooner(NOTIFY_WITHIN)).await;
        if let Err(error) = sent {
            tracing::error!(error = chain(&error), "SNS does not take the document of an alert");
            settled.undeliverable += 1;
        }
    }
    Ok(())
}

/// Notes on the devices table what stands. `ingest` writes the readings of a new device a moment before its item.
async fn note(deps: &Deps, alerts: &DeviceAlerts, deadline: Deadline) -> Result<(), CloudError> {
    let worst = alerts.worst().map(|(rule, told)| (&**rule, told));
    for pause in NOTE_AGAIN_AFTER {
        if deps.notes.put(&alerts.device, worst, alerts.rev, deadline).await? {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    deps.notes.put(&alerts.device, worst, alerts.rev, deadline).await.map(drop)
}

pub(crate) fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        late: a.late + b.late,
        transitions: a.transitions + b.transitions,
        corrections: a.corrections + b.corrections,
    }
}

#[cfg(test)]
mod tests {
    use telemetry::{Quality, Seq, Value};

    use super::*;

    #[test]
    fn what_was_measured_at_one_instant_is_in_one_chunk() {
        let sample = |at: i64, seq: u64, metric: usize| Sample {
            at: Micros(at),
            seq: Seq(seq),
            received: Micros(at),
            revision: Micros::default(),
            metric,
            value: Value::Integer(1),
            unit: None,
            quality: Quality::Good,
        };
        // Instants of three metrics: 64 is no multiple of it.
        let samples: Vec<Sample> = (0..100)
            .flat_map(|row| {
                (0..3).map(move |metric| sample(i64::from(row / 2), u64::from(row % 2 == 1), metric))
            })
            .collect();
        let chunks = chunks(samples.clone());
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [66, 66, 66, 66, 36]);
        let instant = |sample: Option<&Sample>| sample.map(Sample::instant);
        assert!(chunks.windows(2).all(|pair| instant(pair[0].last()) != instant(pair[1].first())));
        assert_eq!(chunks.concat(), samples);
    }
}
