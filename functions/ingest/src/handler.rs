//! Carries out the plan for an event, and answers for every record of it.

use std::cell::RefCell;
use std::collections::HashSet;

use cloud::Error as CloudError;
use cloud::config::IngestConfig;
use cloud::devices::Devices;
use cloud::error::chain;
use cloud::lambda::{Invocation, ReportedError, emit};
use cloud::metrics::MetricLine;
use cloud::profiles::ProfileSource;
use cloud::quarantine::Quarantine;
use cloud::readings::Readings;
use cloud::retry::Deadline;
use telemetry::{Decoder, DeviceId, Latest, SpanItem};
use thiserror::Error;

use crate::event::{Event, Source, UnknownEvent};
use crate::plan::{Fate, Plan, QuarantineObject};
use crate::response::Response;
use crate::sparkplug::Sparkplug;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    readings: Readings,
    devices: Devices,
    quarantine: Quarantine,
    profiles: ProfileSource,
    sparkplug: Sparkplug,
    stage: String,
    retention_days: Option<u32>,
    decoder: RefCell<Decoder>,
}

impl Deps {
    /// Where to write, and how to decode.
    pub fn new(
        readings: Readings,
        devices: Devices,
        quarantine: Quarantine,
        profiles: ProfileSource,
        sparkplug: Sparkplug,
        config: IngestConfig,
    ) -> Self {
        let decoder = RefCell::new(Decoder::new(config.settings, Default::default()));
        Self {
            readings,
            devices,
            quarantine,
            profiles,
            sparkplug,
            stage: config.stage,
            retention_days: config.retention_days,
            decoder,
        }
    }

    /// The counts that go out of an invocation.
    fn report(&self, source: Source, counts: &Counts, readings: usize, invocation: &Invocation) {
        let mut dimensions = self.dimensions();
        dimensions.push(("Source", source.as_str().to_owned()));
        let line = MetricLine::new(dimensions)
            .count("Received", counts.received)
            .count("Stored", counts.stored)
            .count("Quarantined", counts.quarantined)
            .count("HandedBack", counts.handed_back)
            .count("Readings", readings)
            .property("request_id", &invocation.request_id);
        emit(&line);
    }

    /// A count of what is rare, which has no source: of `0` nothing is said.
    fn report_any(&self, name: &'static str, count: usize) {
        if count > 0 {
            emit(&MetricLine::new(self.dimensions()).count(name, count));
        }
    }

    fn dimensions(&self) -> Vec<(&'static str, String)> {
        vec![("Stage", self.stage.clone()), ("Function", "ingest".to_owned())]
    }
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is none that can be taken apart: Lambda keeps it for the on-failure destination.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// Without the profiles it is not known what messages mean: the source is to bring them again.
    #[error("the profiles could not be read; the event comes again")]
    ProfilesNotRead(#[source] CloudError),
    /// A direct invocation cannot hand its message back in an answer: Lambda is to invoke again.
    #[error("the message could not be stored; Lambda invokes again")]
    NotStored,
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
            Self::ProfilesNotRead(_) => "Tidegate.ProfilesNotRead",
            Self::NotStored => "Tidegate.NotStored",
        }
    }
}

/// Decodes and stores one event's messages.
///
/// # Errors
/// If the event is of no known shape, the profiles cannot be read, or the one message of a direct invocation could not be
/// stored.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Response, HandlerError> {
    let event = Event::parse(event)?;
    let current = deps.profiles.current(invocation.deadline).await.map_err(HandlerError::ProfilesNotRead)?;
    deps.report_any("BrokenProfiles", current.broken);
    deps.decoder.borrow_mut().set_profiles(current.profiles);
    let settled = deps.sparkplug.settle(&event, &deps.decoder, invocation).await;
    deps.report_any("RebirthRequests", settled.requests);
    let plan =
        Plan::new(event.records, settled.outcomes, &mut deps.decoder.borrow_mut(), deps.retention_days);
    let Plan { items, updates, objects, fates, readings } = plan;
    let ((failed_devices, mut errors), (failed_days, object_errors)) = tokio::join!(
        store(items, updates, deps, invocation.deadline),
        quarantine(objects, deps, invocation.deadline)
    );
    errors.extend(object_errors.into_iter().chain(settled.errors));
    let has_failed = |fate: &Fate| match fate {
        Fate::Stored(devices) => devices.iter().any(|device| failed_devices.contains(device)),
        Fate::Quarantined(day) => failed_days.contains(day),
        Fate::HandedBack => true,
    };
    let counts = Counts::of(fates.iter().map(|(_, fate)| (fate, has_failed(fate))));
    deps.report(event.source, &counts, readings, invocation);
    for error in &errors {
        tracing::warn!(request_id = invocation.request_id, error = chain(error), "a request to AWS failed");
    }
    if event.source == Source::Rule && counts.handed_back > 0 {
        return Err(HandlerError::NotStored);
    }
    let failed = fates.iter().filter(|(_, fate)| has_failed(fate)).map(|(position, _)| position);
    Ok(Response::hand_back(failed))
}

/// Writes the items, then the present state of every device whose items are all written: what the
/// devices table shows can always be found among the readings. Returns the devices that failed.
async fn store(
    items: Vec<SpanItem>,
    mut updates: Vec<Latest>,
    deps: &Deps,
    deadline: Deadline,
) -> (HashSet<DeviceId>, Vec<CloudError>) {
    let written = deps.readings.put(items, deadline).await;
    let mut failed: HashSet<DeviceId> = written.left.into_iter().map(|item| item.device).collect();
    updates.retain(|update| !failed.contains(&update.device));
    let updated = deps.devices.update(updates, deadline).await;
    failed.extend(updated.left);
    (failed, written.error.into_iter().chain(updated.error).collect())
}

/// Writes the objects; returns the days of those that failed.
async fn quarantine(
    objects: Vec<QuarantineObject>,
    deps: &Deps,
    deadline: Deadline,
) -> (HashSet<String>, Vec<CloudError>) {
    let mut failed = HashSet::new();
    let mut errors = Vec::new();
    for object in objects {
        if let Err(error) = deps.quarantine.put(&object.key, object.lines, deadline).await {
            failed.insert(object.day);
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
    /// From each message's fate and whether it failed.
    fn of<'a>(fates: impl Iterator<Item = (&'a Fate, bool)>) -> Self {
        let mut counts = Self { received: 0, stored: 0, quarantined: 0, handed_back: 0 };
        for (fate, has_failed) in fates {
            counts.received += 1;
            *match fate {
                _ if has_failed => &mut counts.handed_back,
                Fate::Stored(_) => &mut counts.stored,
                Fate::Quarantined(_) => &mut counts.quarantined,
                Fate::HandedBack => &mut counts.handed_back,
            } += 1;
        }
        counts
    }
}
