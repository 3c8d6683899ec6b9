//! Goes through the lake's hours, and compacts those that are closed and have changed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::Error as CloudError;
use cloud::config::CompactConfig;
use cloud::error::chain;
use cloud::lambda::{Invocation, ReportedError, emit};
use cloud::metrics::MetricLine;
use cloud::objects::Bucket;
use cloud::retry::Deadline;
use futures_util::stream::{self, StreamExt as _};
use lake::key::PREFIX;
use lake::{Key, MEDIA_TYPE, Name};
use serde::Serialize;
use telemetry::Micros;
use thiserror::Error;

use crate::plan::{HourObjects, Hours, Named, Object};
use crate::sorter::{AddError, Limits, SortError, Sorted, Sorter};

/// Objects fetched at a time, while they are small …
const MAX_IN_FLIGHT: usize = 8;
/// … that is, up to this size; larger ones come one after the other, since each is in memory whole.
const SMALL_BYTES: u64 = 8 << 20;
/// No hour is begun with less time than this.
const MIN_TIME: Duration = Duration::from_secs(30);

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    bucket: Bucket,
    config: CompactConfig,
    limits: Limits,
}

impl Deps {
    /// Where the lake is, and when an hour is closed.
    pub fn new(bucket: Bucket, config: CompactConfig) -> Self {
        Self { bucket, config, limits: Limits::default() }
    }
}

/// Why an invocation fails.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The lake could not be listed to its end.
    #[error("the lake could not be listed")]
    List(#[source] CloudError),
    /// Some hours were left as they were; the others are done. The next run tries again.
    #[error("{0} hours could not be compacted, and stay as they were; the log says why")]
    Failed(usize),
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::List(_) => "Tidegate.NotListed",
            Self::Failed(_) => "Tidegate.NotCompacted",
        }
    }
}

/// What a run has done.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Hours compacted.
    pub hours: usize,
    /// Objects replaced.
    pub replaced: usize,
    /// Objects written.
    pub written: usize,
    /// Readings in these.
    pub readings: usize,
    /// Readings that others of their identity replaced which say the same: repetitions.
    pub duplicates_equal: usize,
    /// Readings that others of their identity replaced which say something else.
    pub duplicates_different: usize,
    /// Objects that are none of the lake's, by their names.
    pub foreign: usize,
    /// The keys of the first of these.
    pub foreign_keys: Vec<String>,
    /// Objects that cannot be read, or are of a later version: left as they are.
    pub unreadable: usize,
    /// The keys of the first of these.
    pub unreadable_keys: Vec<String>,
    /// Hours that another run was compacting at the same time.
    pub overtaken: usize,
    /// Hours that could not be compacted.
    pub failed: usize,
    /// Compacted hours that were left as they were because too little came since.
    pub deferred: usize,
    /// Hours that were left as they were because there was no time for them.
    pub cut_short: usize,
    /// Longest time, in milliseconds, during which a query saw readings of an hour twice.
    pub swap_millis: u64,
}

/// Compacts every hour that is closed and has changed since it was compacted, unless too little came for that.
///
/// # Errors
/// If the lake cannot be listed, or an hour not compacted.
pub async fn handle(invocation: &Invocation, deps: &Deps) -> Result<Summary, HandlerError> {
    let mut summary = Summary::default();
    let mut hours = Hours::default();
    let mut pages = deps.bucket.list(PREFIX);
    let outcome = loop {
        match pages.next(invocation.deadline).await {
            Err(error) => break Err(HandlerError::List(error)),
            Ok(None) => break Ok(()),
            Ok(Some(page)) => {
                for listed in &page {
                    if let Some(hour) = hours.push(listed) {
                        visit(&hour, invocation, deps, &mut summary).await;
                    }
                }
            }
        }
    };
    if let Some(hour) = hours.finish().filter(|_| outcome.is_ok()) {
        visit(&hour, invocation, deps, &mut summary).await;
    }
    Named { count: summary.foreign, keys: summary.foreign_keys } = hours.foreign;
    report(&summary, deps, invocation);
    outcome?;
    if summary.failed > 0 { Err(HandlerError::Failed(summary.failed)) } else { Ok(summary) }
}

/// Compacts the hour if that is due, and notes the outcome.
async fn visit(hour: &HourObjects, invocation: &Invocation, deps: &Deps, summary: &mut Summary) {
    if hour.is_settled() || !hour.is_closed(invocation.began, deps.config.after_minutes) {
        return;
    }
    if !hour.is_due(invocation.began) {
        summary.deferred += 1;
        return;
    }
    if invocation.deadline.remaining() < MIN_TIME {
        summary.cut_short += 1;
        return;
    }
    // One hour that is too large must not keep all others from their turn, run after run.
    let deadline = Deadline::after(invocation.deadline.remaining() / 2);
    match compact(hour, deps, (invocation.began, deadline), summary).await {
        Ok(()) => {}
        Err(HourError::Overtaken) => summary.overtaken += 1,
        // Whatever it was that it waited for: merging, or S3.
        Err(error) if deadline.has_passed() => {
            summary.cut_short += 1;
            tracing::warn!(
                request_id = invocation.request_id,
                hour = %hour.hour,
                error = chain(&error),
                "there was no time to compact an hour to its end; the next run goes on"
            );
        }
        Err(error) => {
            summary.failed += 1;
            tracing::error!(
                request_id = invocation.request_id,
                hour = %hour.hour,
                error = chain(&error),
                "an hour could not be compacted, and stays as it was"
            );
        }
    }
}

#[derive(Debug, Error)]
enum HourError {
    #[error("an object of the hour is gone; another run compacts it")]
    Overtaken,
    #[error(transparent)]
    Aws(#[from] CloudError),
    #[error(transparent)]
    Sort(#[from] SortError),
    #[error("the time is over")]
    TimeIsOver,
    #[error(
        "{count} objects that were replaced could not be deleted; their readings are there twice until the next run"
    )]
    Undeleted {
        count: usize,
        #[source]
        error: Option<CloudError>,
    },
}

/// Sorts an hour's objects into new ones, writes these, and then deletes what they replace: a query sees
/// each reading at least once at any time.
async fn compact(
    hour: &HourObjects,
    deps: &Deps,
    (now, deadline): (Micros, Deadline),
    summary: &mut Summary,
) -> Result<(), HourError> {
    let mut intake =
        Intake { sorter: Sorter::new(deps.limits)?, taken: Vec::new(), unreadable: Named::default() };
    intake.take(&hour.archived, deps, deadline).await?;
    // An object that cannot be read stays for ever; it must not make its hour due at every run.
    let mut readable = HourObjects { archived: intake.of(&hour.archived), ..hour.clone() };
    if readable.is_due(now) {
        intake.take(&hour.compacted, deps, deadline).await?;
        readable.compacted = intake.of(&hour.compacted);
    }
    let Intake { sorter, taken, unreadable } = intake;
    summary.note_unreadable(unreadable);
    if readable.is_settled() {
        return Ok(());
    }
    if !readable.is_due(now) {
        summary.deferred += 1;
        return Ok(());
    }
    let sorted = sorter.finish(|| deadline.has_passed())?;
    let began = Instant::now();
    let written = put(hour, &sorted, &taken, deps, deadline).await?;
    let replaced: Vec<String> =
        taken.iter().filter(|key| !written.contains(key)).map(ToString::to_string).collect();
    let count = replaced.len();
    let (left, error) = deps.bucket.delete(replaced, deadline).await;
    let swap_millis = began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    summary.replaced += count - left.len();
    summary.written += written.iter().filter(|key| !taken.contains(key)).count();
    if !left.is_empty() {
        return Err(HourError::Undeleted { count: left.len(), error });
    }
    let readings: usize = sorted.outputs.iter().map(|output| output.rows).sum();
    summary.hours += 1;
    summary.readings += readings;
    summary.duplicates_equal += sorted.replaced.equal;
    summary.duplicates_different += sorted.replaced.different;
    summary.swap_millis = summary.swap_millis.max(swap_millis);
    Ok(())
}

/// The objects whose readings are in the sorter, and those that could not be read.
struct Intake {
    sorter: Sorter,
    taken: Vec<Key>,
    unreadable: Named,
}

impl Intake {
    /// Those of `objects` whose readings are in the sorter.
    fn of(&self, objects: &[Object]) -> Vec<Object> {
        objects.iter().filter(|object| self.taken.contains(&object.key)).cloned().collect()
    }

    async fn take(&mut self, objects: &[Object], deps: &Deps, deadline: Deadline) -> Result<(), HourError> {
        let is_small = objects.iter().all(|object| object.bytes <= SMALL_BYTES);
        let in_flight = if is_small { MAX_IN_FLIGHT } else { 1 };
        let gets = objects.iter().map(async |object| {
            let got = deps.bucket.get(&object.key.to_string(), deadline).await;
            (object.key.clone(), got)
        });
        // In order, so that the same objects are sorted in the same way.
        let mut gets = stream::iter(gets).buffered(in_flight);
        while let Some((key, got)) = gets.next().await {
            self.add(key, got?.ok_or(HourError::Overtaken)?)?;
            if deadline.has_passed() {
                return Err(HourError::TimeIsOver);
            }
        }
        Ok(())
    }

    fn add(&mut self, key: Key, file: Bytes) -> Result<(), HourError> {
        match self.sorter.add(file) {
            Ok(()) => self.taken.push(key),
            Err(AddError::Local(error)) => return Err(error.into()),
            Err(AddError::Unreadable(error)) => {
                tracing::error!(
                    %key,
                    error = chain(&error),
                    "an object of the lake cannot be read, and is left as it is"
                );
                self.unreadable.add(&key.to_string());
            }
        }
        Ok(())
    }
}

/// Writes what is sorted, but for objects of the same set that an earlier run has written and this one has taken;
/// returns the keys of the set.
async fn put(
    hour: &HourObjects,
    sorted: &Sorted,
    taken: &[Key],
    deps: &Deps,
    deadline: Deadline,
) -> Result<Vec<Key>, CloudError> {
    let parts = u32::try_from(sorted.outputs.len()).unwrap_or(u32::MAX);
    let generation = hour.generation_of(&sorted.set, parts);
    let mut keys = Vec::new();
    for (part, output) in (1..).zip(&sorted.outputs) {
        let name = Name::Compacted { generation, set: sorted.set.clone(), part, parts };
        let key = Key { hour: hour.hour, name };
        if !taken.contains(&key) {
            deps.bucket.put_file(&key.to_string(), MEDIA_TYPE, &output.file, deadline).await?;
        }
        keys.push(key);
    }
    Ok(keys)
}

impl Summary {
    fn note_unreadable(&mut self, unreadable: Named) {
        self.unreadable += unreadable.count;
        let room = Named::MAX.saturating_sub(self.unreadable_keys.len());
        self.unreadable_keys.extend(unreadable.keys.into_iter().take(room));
    }
}

fn report(summary: &Summary, deps: &Deps, invocation: &Invocation) {
    let dimensions = vec![("Stage", deps.config.stage.clone()), ("Function", "compact".to_owned())];
    let line = MetricLine::new(dimensions)
        .count("Hours", summary.hours)
        .count("Replaced", summary.replaced)
        .count("Objects", summary.written)
        .count("Readings", summary.readings)
        .count("DuplicatesEqual", summary.duplicates_equal)
        .count("DuplicatesDifferent", summary.duplicates_different)
        .count("Foreign", summary.foreign)
        .count("Unreadable", summary.unreadable)
        .count("Overtaken", summary.overtaken)
        .count("Failed", summary.failed)
        .count("CutShort", summary.cut_short)
        .property("unreadable_keys", &summary.unreadable_keys)
        .property("foreign_keys", &summary.foreign_keys)
        .property("deferred", summary.deferred)
        .property("swap_millis", summary.swap_millis)
        .property("request_id", &invocation.request_id);
    emit(&line);
}
