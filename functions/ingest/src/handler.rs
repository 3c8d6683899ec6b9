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
use telemetry::{Decoder, DeviceId, HourBound, Latest, SpanItem};
use thiserror::Error;

use crate::chunk::{Limits, MAX_READINGS, Pending, TimeLeft};
use crate::count::{Counts, Done, LostRecords};
use crate::event::{Event, Position, Source, UnknownEvent};
use crate::message::Reader;
use crate::plan::{Disposition, Plan};
use crate::quarantine_line::QuarantineObject;
use crate::response::Response;
use crate::sparkplug::{Room, Sparkplug};

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
    hours: HourBound,
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
        let hours = HourBound::of(&config.settings.time);
        let decoder = RefCell::new(Decoder::new(config.settings, Default::default()));
        Self {
            readings,
            devices,
            quarantine,
            profiles,
            sparkplug,
            stage: config.stage,
            retention_days: config.retention_days,
            hours,
            decoder,
        }
    }

    /// The counts that go out of an invocation.
    fn report(&self, source: Source, received: usize, counts: &Counts, invocation: &Invocation) {
        let mut dimensions = self.dimensions();
        dimensions.push(("Source", source.as_str().to_owned()));
        let line = counts.write(received, MetricLine::new(dimensions));
        emit(&line.property("request_id", &invocation.request_id));
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
    /// Records of the event are missing among those that were read or planned.
    #[error(transparent)]
    LostRecords(#[from] LostRecords),
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
            Self::LostRecords(_) => "Tidegate.LostRecords",
            Self::ProfilesNotRead(_) => "Tidegate.ProfilesNotRead",
            Self::NotStored => "Tidegate.NotStored",
        }
    }
}

/// Decodes and stores one event's messages, a chunk at a time.
///
/// # Errors
/// If the event is of no known shape, records of it get lost, the profiles cannot be read, or the one message of a
/// direct invocation could not be stored.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Response, HandlerError> {
    let time_left = time_left(invocation.deadline);
    let Event { source, records, received } = Event::parse(event, &invocation.request_id)?;
    LostRecords::check(received, records.len())?;
    let current = deps.profiles.current(invocation.deadline).await.map_err(HandlerError::ProfilesNotRead)?;
    deps.report_any("BrokenProfiles", current.broken);
    deps.decoder.borrow_mut().set_profiles(current.profiles);
    let mut pending = Pending::new(source, records);
    let mut done = Outcome::default();
    while !pending.is_empty() && time_left() != TimeLeft::None {
        let plan = plan(&mut pending, &time_left, deps, invocation, &mut done.errors).await;
        done.carry_out(plan, deps, invocation.deadline).await;
    }
    pending.into_positions().for_each(|position| done.add(position, &Disposition::HandedBack, Done::Yes));
    deps.report(source, received, &done.counts, invocation);
    for error in &done.errors {
        tracing::warn!(request_id = invocation.request_id, error = chain(error), "a request to AWS failed");
    }
    LostRecords::check(received, done.counts.dispositions())?;
    if source == Source::Rule && !done.counts.are_all_done() {
        return Err(HandlerError::NotStored);
    }
    Ok(Response::hand_back(done.handed_back.iter()))
}

/// Tells how much time is left for planning. The last quarter of the invocation is kept for the writes of the last
/// chunk; an event that takes a quarter to read is one to begin with its cheapest messages.
fn time_left(deadline: Deadline) -> impl Fn() -> TimeLeft {
    let whole = deadline.remaining();
    move || match deadline.remaining() {
        left if left <= whole / 4 => TimeLeft::None,
        left if left <= whole / 4 * 3 => TimeLeft::Short,
        _ => TimeLeft::Ample,
    }
}

/// Plans the next chunk.
async fn plan<'a>(
    pending: &mut Pending<'a>,
    time_left: impl Fn() -> TimeLeft,
    deps: &Deps,
    invocation: &Invocation,
    errors: &mut Vec<CloudError>,
) -> Plan<'a> {
    let room = Room::new(MAX_READINGS, deps.hours);
    // What is known of a node may not be had until the end: the others' messages need time, too.
    let deadline = invocation.deadline.sooner(invocation.deadline.remaining() / 2);
    let of_nodes = Invocation { deadline, ..invocation.clone() };
    let nodes = deps.sparkplug.read(pending, &room, &deps.decoder, &of_nodes).await;
    deps.report_any("RebirthRequests", nodes.requests);
    errors.extend(nodes.errors);
    let mut decoder = deps.decoder.borrow_mut();
    let limits = Limits { readings: MAX_READINGS, time_left };
    pending.plan(nodes.messages, &mut Reader::new(&mut decoder, deps.hours), &limits, deps.retention_days)
}

/// What has been done of an event.
#[derive(Debug, Default)]
struct Outcome<'a> {
    counts: Counts,
    handed_back: Vec<Position<'a>>,
    errors: Vec<CloudError>,
}

impl<'a> Outcome<'a> {
    async fn carry_out(&mut self, plan: Plan<'a>, deps: &Deps, deadline: Deadline) {
        let Plan { items, updates, objects, dispositions, replaced } = plan;
        let planned: usize = items.iter().map(|item| item.readings).sum();
        let (stored, (failed_days, errors)) =
            tokio::join!(store(items, updates, deps, deadline), quarantine(objects, deps, deadline));
        self.errors.extend(stored.errors.into_iter().chain(errors));
        self.counts.readings += planned - stored.readings_left;
        self.counts.replaced.equal += replaced.equal;
        self.counts.replaced.different += replaced.different;
        for (position, disposition) in dispositions {
            let is_done = match &disposition {
                Disposition::Stored(devices) => devices.iter().all(|device| !stored.failed.contains(device)),
                Disposition::Quarantined(day) => !failed_days.contains(day),
                Disposition::Ignored | Disposition::HandedBack => true,
            };
            self.add(position, &disposition, if is_done { Done::Yes } else { Done::No });
        }
    }

    fn add(&mut self, position: Position<'a>, disposition: &Disposition, done: Done) {
        self.counts.add(disposition, done);
        if done == Done::No || *disposition == Disposition::HandedBack {
            self.handed_back.push(position);
        }
    }
}

/// What could not be stored.
struct NotStored {
    /// Devices whose items or state are not written.
    failed: HashSet<DeviceId>,
    /// Readings in items that are not written.
    readings_left: usize,
    errors: Vec<CloudError>,
}

/// Writes the items, then the present state of every device whose items are all written: what the
/// devices table shows can always be found among the readings.
async fn store(items: Vec<SpanItem>, mut updates: Vec<Latest>, deps: &Deps, deadline: Deadline) -> NotStored {
    let written = deps.readings.put(items, deadline).await;
    let readings_left = written.left.iter().map(|item| item.readings).sum();
    let mut failed: HashSet<DeviceId> = written.left.into_iter().map(|item| item.device).collect();
    updates.retain(|update| !failed.contains(&update.device));
    let updated = deps.devices.update(updates, deadline).await;
    failed.extend(updated.left);
    NotStored { failed, readings_left, errors: written.error.into_iter().chain(updated.error).collect() }
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
