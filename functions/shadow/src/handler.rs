//! Carries out the plan for an event, and answers the stream or the queue.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cloud::Error as CloudError;
use cloud::config::ShadowConfig;
use cloud::device_shadows::DeviceShadows;
use cloud::error::Disposition;
use cloud::error::chain;
use cloud::lambda::{Invocation, ReportedError, emit};
use cloud::metrics::MetricLine;
use cloud::profiles::ProfileSource;
use cloud::queue::Queue;
use cloud::retry::Deadline;
use cloud::shadows::Shadows;
use cloud::stream::{Answer, Change, Failure, UnknownEvent};
use futures_util::stream::{self, StreamExt as _};
use serde_json::value::RawValue;
use telemetry::{DeviceId, Micros};
use thiserror::Error;
use tokio::time::Instant;

use crate::event::{Event, Message};
use crate::nudge::{UnderWay, nudge};
use crate::plan::{Deferral, Fate, Plan, Rules, Sending, Triggers};
use crate::state::Shown;

/// Requests under way at once; of one thing never more than one, where AWS IoT allows 10.
const MAX_IN_FLIGHT: usize = 8;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    devices: DeviceShadows,
    shadows: Shadows,
    nudges: Queue,
    profiles: ProfileSource,
    config: ShadowConfig,
    under_way: RefCell<UnderWay>,
}

impl Deps {
    /// Where to read and write, and by which rules.
    pub fn new(
        devices: DeviceShadows,
        shadows: Shadows,
        nudges: Queue,
        profiles: ProfileSource,
        config: ShadowConfig,
    ) -> Self {
        Self { devices, shadows, nudges, profiles, config, under_way: RefCell::default() }
    }
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is neither of the devices table's stream nor of the queue of nudges.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// Without the profiles it is not known what counts as a change: the stream is to bring its records again.
    #[error("the profiles could not be read; the event comes again")]
    ProfilesNotRead(#[source] CloudError),
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
            Self::ProfilesNotRead(_) => "Tidegate.ProfilesNotRead",
        }
    }
}

/// Tells shadows what has changed, or has the stream bring devices again whose nudge has come.
///
/// # Errors
/// If the event is of no known shape, or the profiles cannot be read.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Answer, HandlerError> {
    let clock = Clock { began: invocation.began, instant: Instant::now() };
    let (counts, answer) = match Event::parse(event)? {
        Event::Changes(changes) => follow(&changes, clock, invocation, deps).await?,
        Event::Nudges(messages) => touch_all(&messages, clock, invocation, deps).await,
    };
    report(&counts, deps, invocation);
    Ok(answer)
}

/// The wall clock, read once.
#[derive(Debug, Clone, Copy)]
struct Clock {
    began: Micros,
    instant: Instant,
}

impl Clock {
    fn now(self) -> Micros {
        self.began.plus(self.instant.elapsed().as_micros().try_into().unwrap_or(i64::MAX))
    }
}

/// Records by what became of them: `received = sent + suppressed + deferred + failed + handed_back + nudged`; and
/// what was done.
#[derive(Debug, Default)]
struct Counts {
    received: usize,
    sent: usize,
    suppressed: usize,
    deferred: usize,
    failed: usize,
    handed_back: usize,
    nudged: usize,
    updates: usize,
    no_thing: usize,
    trimmed: usize,
    errors: Errors,
}

impl Counts {
    fn add(&mut self, fate: Fate, records: usize) {
        *match fate {
            Fate::Sent => &mut self.sent,
            Fate::Suppressed => &mut self.suppressed,
            Fate::Deferred => &mut self.deferred,
            Fate::Failed => &mut self.failed,
            Fate::HandedBack => &mut self.handed_back,
        } += records;
    }
}

/// Errors by operation and code: the first of each kind is logged, and how many there were.
#[derive(Debug, Default)]
struct Errors(BTreeMap<(&'static str, String), (usize, CloudError)>);

impl Errors {
    fn extend(&mut self, errors: impl IntoIterator<Item = CloudError>) {
        for error in errors {
            self.0.entry((error.operation, error.code.clone())).or_insert((0, error)).0 += 1;
        }
    }
}

async fn follow(
    changes: &[Change<'_, &RawValue>],
    clock: Clock,
    invocation: &Invocation,
    deps: &Deps,
) -> Result<(Counts, Answer), HandlerError> {
    let deadline = invocation.deadline;
    let current = deps.profiles.current(deadline).await.map_err(HandlerError::ProfilesNotRead)?;
    let rules = Rules::new(&deps.config, current.profiles);
    let triggers = Triggers::new(changes, &rules)?;
    let present = deps.devices.get(&triggers.to_read(), deadline).await;
    let plan = Plan::new(&triggers, &present.items, &present.left, clock.now(), &rules);
    let (sent, deferred) = tokio::join!(
        send_all(plan.sendings, clock, deps, deadline),
        defer_all(plan.deferrals, clock, deps, deadline)
    );
    let mut counts = Counts {
        received: changes.len(),
        suppressed: triggers.removals,
        updates: sent.updates,
        no_thing: plan.no_thing + sent.no_thing,
        trimmed: sent.trimmed,
        ..Counts::default()
    };
    counts.errors.extend(present.error.into_iter().chain(sent.errors).chain(deferred.errors));
    let mut fates = plan.fates;
    fates.extend(sent.fates.into_iter().chain(deferred.fates));
    let mut failed = Vec::new();
    for (device, trigger) in &triggers.devices {
        // Every device has a fate; were there one without, the stream would have to bring it again.
        let fate = fates.get(device).copied().unwrap_or(Fate::HandedBack);
        counts.add(fate, trigger.records);
        failed.extend(Some(trigger.position).filter(|_| fate == Fate::HandedBack));
    }
    Ok((counts, Answer::hand_back(failed)))
}

/// What became of some devices.
#[derive(Debug, Default)]
struct Outcome {
    fates: Vec<(DeviceId, Fate)>,
    updates: usize,
    no_thing: usize,
    trimmed: usize,
    errors: Vec<CloudError>,
}

async fn send_all(sendings: Vec<Sending>, clock: Clock, deps: &Deps, deadline: Deadline) -> Outcome {
    let mut outcome = Outcome::default();
    let sendings = sendings.into_iter().map(async |sending| {
        let sent = send(&sending, clock, deps, deadline).await;
        (sending, sent)
    });
    let mut sendings = stream::iter(sendings).buffer_unordered(MAX_IN_FLIGHT);
    while let Some((sending, sent)) = sendings.next().await {
        let fate = match sent {
            Ok(()) => Fate::Sent,
            Err(NotSent::NoThing) => Fate::Failed,
            Err(NotSent::NotTold(ref error)) if error.disposition == Disposition::Reject => Fate::Failed,
            // Refusals for good as well: what has to be mended, a permission perhaps, is not in the device.
            Err(NotSent::NotTold(_) | NotSent::NotNoted(_)) => Fate::HandedBack,
        };
        let is_told = matches!(sent, Ok(()) | Err(NotSent::NotNoted(_)));
        outcome.updates += usize::from(is_told);
        outcome.trimmed += if is_told { sending.left_out } else { 0 };
        outcome.no_thing += usize::from(matches!(sent, Err(NotSent::NoThing)));
        outcome.errors.extend(sent.err().and_then(NotSent::error));
        outcome.fates.push((sending.device, fate));
    }
    outcome
}

/// Why a shadow is not up to date, or not known to be.
#[derive(Debug)]
enum NotSent {
    NoThing,
    NotTold(CloudError),
    NotNoted(CloudError),
}

impl NotSent {
    fn error(self) -> Option<CloudError> {
        match self {
            Self::NoThing => None,
            Self::NotTold(error) | Self::NotNoted(error) => Some(error),
        }
    }
}

/// Tells a shadow, and then notes what it was told: what is noted was sent.
async fn send(sending: &Sending, clock: Clock, deps: &Deps, deadline: Deadline) -> Result<(), NotSent> {
    let Sending { device, thing, document, shown, .. } = sending;
    let is_there = deps.shadows.update(thing, document, deadline).await.map_err(NotSent::NotTold)?;
    if !is_there {
        return Err(NotSent::NoThing);
    }
    // The time by which AWS IoT had it, so that tries do not shorten the interval.
    let shown = Shown { at: Some(clock.now()), ..shown.clone() };
    // A device that is gone by now needs no note.
    let noted = deps.devices.mark(device, shown.to_attribute(), deadline).await;
    noted.map(drop).map_err(NotSent::NotNoted)
}

/// Has a nudge come for each device when its update is due, where none is under way.
async fn defer_all(deferrals: Vec<Deferral>, clock: Clock, deps: &Deps, deadline: Deadline) -> Outcome {
    let mut outcome = Outcome::default();
    let mut waiting = Vec::new();
    for deferral in deferrals {
        match note_doubt(&deferral, deps, deadline).await {
            Ok(()) => waiting.push(deferral),
            Err(error) => {
                outcome.fates.push((deferral.device, Fate::HandedBack));
                outcome.errors.push(error);
            }
        }
    }
    let is_under_way = |deferral: &Deferral| deps.under_way.borrow().has(&deferral.device, deferral.due);
    let (under_way, unnudged): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_under_way);
    let now = clock.now();
    let messages: Vec<_> =
        unnudged.iter().map(|deferral| nudge(&deferral.device, deferral.due, now)).collect();
    let unsent = deps.nudges.send(&messages, deadline).await;
    outcome.errors.extend(unsent.error);
    outcome.fates.extend(under_way.into_iter().map(|deferral| (deferral.device, Fate::Deferred)));
    for (place, Deferral { device, due, .. }) in unnudged.into_iter().enumerate() {
        if unsent.left.contains(&place) {
            outcome.fates.push((device, Fate::HandedBack));
        } else {
            deps.under_way.borrow_mut().add(device.clone(), due, now);
            outcome.fates.push((device, Fate::Deferred));
        }
    }
    outcome
}

/// One after the other: it takes a function that ended in the middle for there to be any.
async fn note_doubt(deferral: &Deferral, deps: &Deps, deadline: Deadline) -> Result<(), CloudError> {
    match &deferral.doubted {
        Some(shown) => deps.devices.mark(&deferral.device, shown.to_attribute(), deadline).await.map(drop),
        None => Ok(()),
    }
}

/// Touches the item of each message's device. That is all: the stream brings it again, so that all updates are sent
/// in the order of one shard and never two at once of a device.
async fn touch_all(
    messages: &[Message<'_>],
    clock: Clock,
    invocation: &Invocation,
    deps: &Deps,
) -> (Counts, Answer) {
    let mut counts = Counts { received: messages.len(), ..Counts::default() };
    let mut failed = Vec::new();
    let touches = messages.iter().map(async |message| match &message.device {
        Some(device) => (message, Some(deps.devices.touch(device, clock.now(), invocation.deadline).await)),
        None => (message, None),
    });
    let mut touches = stream::iter(touches).buffer_unordered(MAX_IN_FLIGHT);
    while let Some((message, touched)) = touches.next().await {
        match touched {
            Some(Ok(true)) => counts.nudged += 1,
            Some(Ok(false)) => counts.suppressed += 1,
            // What is no nudge goes to the dead-letter queue with its last receipt, where somebody sees it.
            None | Some(Err(_)) => {
                counts.handed_back += 1;
                failed.push(Failure { item_identifier: message.id.to_string() });
                counts.errors.extend(touched.and_then(Result::err));
            }
        }
    }
    (counts, Answer { batch_item_failures: failed })
}

/// The one place where an invocation's counts and errors go out.
fn report(counts: &Counts, deps: &Deps, invocation: &Invocation) {
    let request_id = &invocation.request_id;
    for (requests, error) in counts.errors.0.values() {
        tracing::warn!(request_id, requests, error = chain(error), "requests to AWS failed");
    }
    let line = MetricLine::new(vec![("Stage", deps.config.stage.clone()), ("Function", "shadow".to_owned())])
        .count("Received", counts.received)
        .count("Sent", counts.sent)
        .count("Suppressed", counts.suppressed)
        .count("Deferred", counts.deferred)
        .count("Failed", counts.failed)
        .count("HandedBack", counts.handed_back)
        .count("Nudged", counts.nudged)
        .count("Updates", counts.updates)
        .count("NoThing", counts.no_thing)
        .count("Trimmed", counts.trimmed)
        .property("request_id", request_id);
    emit(&line);
}
