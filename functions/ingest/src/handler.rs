//! Carries out the plan for an event, and answers for every record of it.

use std::cell::RefCell;
use std::collections::HashSet;

use cloud::Error as CloudError;
use cloud::config::Config;
use cloud::devices::Devices;
use cloud::lambda::{Invocation, ReportedError, chain, emit};
use cloud::metrics::MetricLine;
use cloud::quarantine::Quarantine;
use cloud::readings::Readings;
use cloud::retry::Deadline;
use telemetry::{Decoder, DeviceId, Span, latest};
use thiserror::Error;

use crate::event::{Event, Position, Source, UnknownEvent};
use crate::plan::{Fate, Plan, QuarantineObject};
use crate::response::Response;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    readings: Readings,
    devices: Devices,
    quarantine: Quarantine,
    stage: String,
    retention_days: Option<u32>,
    decoder: RefCell<Decoder>,
}

impl Deps {
    /// Where to write, and how to decode.
    pub fn new(readings: Readings, devices: Devices, quarantine: Quarantine, config: Config) -> Self {
        let decoder = RefCell::new(Decoder::new(config.identity));
        Self {
            readings,
            devices,
            quarantine,
            stage: config.stage,
            retention_days: config.retention_days,
            decoder,
        }
    }
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is none that can be taken apart: Lambda keeps it for the on-failure destination.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// A direct invocation cannot hand its message back in an answer: Lambda is to invoke again.
    #[error("the message could not be stored; Lambda invokes again")]
    NotStored,
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
            Self::NotStored => "Tidegate.NotStored",
        }
    }
}

/// Decodes and stores one event's messages.
///
/// # Errors
/// If the event is of no known shape, or the one message of a direct invocation could not be stored.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Response, HandlerError> {
    let event = Event::parse(event)?;
    let plan = Plan::new(&event, &mut deps.decoder.borrow_mut());
    let done = carry_out(&plan, deps, invocation.deadline).await;
    let counts = Counts::of(&plan, &done);
    report(&counts, &plan, &done, event.source, &deps.stage, &invocation.request_id);
    let positions = event.records.iter().map(|record| &record.position);
    let failed: Vec<&Position<'_>> = positions
        .zip(&plan.fates)
        .filter(|(_, fate)| done.has_failed(fate))
        .map(|(position, _)| position)
        .collect();
    if event.source == Source::Rule && !failed.is_empty() {
        return Err(HandlerError::NotStored);
    }
    Ok(Response::hand_back(failed.into_iter()))
}

/// What could not be done.
#[derive(Debug, Default)]
struct Done {
    failed_devices: HashSet<DeviceId>,
    failed_objects: HashSet<usize>,
    errors: Vec<CloudError>,
}

impl Done {
    fn has_failed(&self, fate: &Fate) -> bool {
        match fate {
            Fate::Stored(device) => self.failed_devices.contains(device),
            Fate::Quarantined(object) => self.failed_objects.contains(object),
        }
    }
}

async fn carry_out(plan: &Plan, deps: &Deps, deadline: Deadline) -> Done {
    let ((failed_devices, mut errors), (failed_objects, object_errors)) =
        tokio::join!(store(&plan.spans, deps, deadline), quarantine(&plan.objects, deps, deadline));
    errors.extend(object_errors);
    Done { failed_devices, failed_objects, errors }
}

/// Writes the spans, then the present state of every device whose spans are all written: what the
/// devices table shows can always be found among the readings.
async fn store(spans: &[Span], deps: &Deps, deadline: Deadline) -> (HashSet<DeviceId>, Vec<CloudError>) {
    let items = spans.iter().map(|span| span.to_item(deps.retention_days)).collect();
    let written = deps.readings.put(items, deadline).await;
    let mut failed: HashSet<DeviceId> = written.left.into_iter().map(|item| item.device).collect();
    let updates = latest(spans).into_iter().filter(|latest| !failed.contains(&latest.device)).collect();
    let updated = deps.devices.update(updates, deadline).await;
    failed.extend(updated.left);
    (failed, written.error.into_iter().chain(updated.error).collect())
}

async fn quarantine(
    objects: &[QuarantineObject],
    deps: &Deps,
    deadline: Deadline,
) -> (HashSet<usize>, Vec<CloudError>) {
    let mut failed = HashSet::new();
    let mut errors = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        if let Err(error) = deps.quarantine.put(&object.key, object.lines.clone(), deadline).await {
            failed.insert(index);
            errors.push(error);
        }
    }
    (failed, errors)
}

/// Messages by what became of them: `received = stored + quarantined + handed_back`.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    received: usize,
    stored: usize,
    quarantined: usize,
    handed_back: usize,
}

impl Counts {
    fn of(plan: &Plan, done: &Done) -> Self {
        let mut counts = Self { received: plan.fates.len(), stored: 0, quarantined: 0, handed_back: 0 };
        for fate in &plan.fates {
            *match fate {
                fate if done.has_failed(fate) => &mut counts.handed_back,
                Fate::Stored(_) => &mut counts.stored,
                Fate::Quarantined(_) => &mut counts.quarantined,
            } += 1;
        }
        counts
    }
}

/// The one place where an invocation's counts and errors go out.
fn report(counts: &Counts, plan: &Plan, done: &Done, source: Source, stage: &str, request_id: &str) {
    for error in &done.errors {
        tracing::warn!(request_id, error = chain(error), "a request to AWS failed");
    }
    let dimensions = vec![
        ("Stage", stage.to_owned()),
        ("Function", "ingest".to_owned()),
        ("Source", source.as_str().to_owned()),
    ];
    let line = MetricLine::new(dimensions)
        .count("Received", counts.received)
        .count("Stored", counts.stored)
        .count("Quarantined", counts.quarantined)
        .count("HandedBack", counts.handed_back)
        .count("Readings", plan.readings)
        .property("request_id", request_id)
        .property("spans", plan.spans.len());
    emit(&line);
}
