//! Goes through the lake's hours, and compacts those that are closed and have changed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::Error as CloudError;
use cloud::config::CompactConfig;
use cloud::lambda::{Invocation, ReportedError, chain, emit};
use cloud::metrics::MetricLine;
use cloud::objects::Bucket;
use cloud::retry::Deadline;
use futures_util::stream::{self, StreamExt as _};
use lake::key::PREFIX;
use lake::{Key, Name};
use serde::Serialize;
use thiserror::Error;

use crate::plan::{HourObjects, Hours, Object};
use crate::sorter::{AddError, Limits, SortError, Sorted, Sorter};

/// The media type of Parquet (IANA, `application/vnd.apache.parquet`).
const PARQUET: &str = "application/vnd.apache.parquet";
/// Objects fetched at a time, while they are small …
const MAX_IN_FLIGHT: usize = 8;
/// … that is, up to this size; larger ones come one after the other, since each is in memory whole.
const SMALL_BYTES: u64 = 8 << 20;
/// No hour is begun with less time than this.
const MIN_TIME: Duration = Duration::from_secs(30);
/// Objects named in a log line or an answer, of what may be thousands.
const MAX_NAMED: usize = 20;

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
    /// Repetitions that are gone.
    pub duplicates: usize,
    /// Objects that are none of the lake's, by their names.
    pub foreign: usize,
    /// Objects that cannot be read, or are of a later version: left as they are.
    pub unreadable: usize,
    /// The keys of the first of these.
    pub unreadable_keys: Vec<String>,
    /// Hours that another run was compacting at the same time.
    pub overtaken: usize,
    /// Hours that could not be compacted.
    pub failed: usize,
    /// Whether the time was over before the last hour.
    pub is_cut_short: bool,
    /// Longest time, in milliseconds, during which a query saw readings of an hour twice.
    pub swap_millis: u64,
}

/// Compacts every hour that is closed and has changed since it was compacted.
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
    summary.foreign = hours.foreign;
    report(&summary, deps, invocation);
    outcome?;
    if summary.failed > 0 { Err(HandlerError::Failed(summary.failed)) } else { Ok(summary) }
}

/// Compacts the hour if that is due, and notes the outcome.
async fn visit(hour: &HourObjects, invocation: &Invocation, deps: &Deps, summary: &mut Summary) {
    if hour.is_settled() || !hour.is_closed(invocation.began, deps.config.after_minutes) {
        return;
    }
    if summary.is_cut_short || invocation.deadline.remaining() < MIN_TIME {
        summary.is_cut_short = true;
        return;
    }
    // One hour that is too large must not keep all others from their turn, run after run.
    let deadline = Deadline::after(invocation.deadline.remaining() / 2);
    match compact(hour, deps, deadline, summary).await {
        Ok(()) => {}
        Err(HourError::Overtaken) => summary.overtaken += 1,
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
    deadline: Deadline,
    summary: &mut Summary,
) -> Result<(), HourError> {
    let mut intake = Intake { sorter: Sorter::new(deps.limits)?, taken: Vec::new(), unreadable: Vec::new() };
    intake.take(&hour.archived, deps, deadline).await?;
    let has_news = !intake.taken.is_empty() || !hour.is_one_set();
    if has_news {
        intake.take(&hour.compacted, deps, deadline).await?;
    }
    summary.unreadable += intake.unreadable.len();
    let room = MAX_NAMED.saturating_sub(summary.unreadable_keys.len());
    summary.unreadable_keys.extend(intake.unreadable.iter().take(room).cloned());
    if intake.taken.len() < 2 {
        return Ok(());
    }
    let rows = intake.sorter.rows();
    let sorted = intake.sorter.finish()?;
    let began = Instant::now();
    put(hour, &sorted, deps, deadline).await?;
    let replaced = intake.taken.len();
    let (left, error) = deps.bucket.delete(intake.taken, deadline).await;
    let swap_millis = began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    if !left.is_empty() {
        return Err(HourError::Undeleted { count: left.len(), error });
    }
    let readings: usize = sorted.outputs.iter().map(|output| output.rows).sum();
    summary.hours += 1;
    summary.replaced += replaced;
    summary.written += sorted.outputs.len();
    summary.readings += readings;
    summary.duplicates += rows - readings;
    summary.swap_millis = summary.swap_millis.max(swap_millis);
    Ok(())
}

/// The objects whose readings are in the sorter, and those that could not be read.
struct Intake {
    sorter: Sorter,
    taken: Vec<String>,
    unreadable: Vec<String>,
}

impl Intake {
    async fn take(&mut self, objects: &[Object], deps: &Deps, deadline: Deadline) -> Result<(), HourError> {
        let is_small = objects.iter().all(|object| object.bytes <= SMALL_BYTES);
        let in_flight = if is_small { MAX_IN_FLIGHT } else { 1 };
        let gets = objects.iter().map(async |object| {
            let key = object.key.to_string();
            let got = deps.bucket.get(&key, deadline).await;
            (key, got)
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

    fn add(&mut self, key: String, file: Bytes) -> Result<(), HourError> {
        match self.sorter.add(file) {
            Ok(()) => self.taken.push(key),
            Err(AddError::Local(error)) => return Err(error.into()),
            Err(AddError::Unreadable(error)) => {
                tracing::error!(
                    key,
                    error = chain(&error),
                    "an object of the lake cannot be read, and is left as it is"
                );
                self.unreadable.push(key);
            }
        }
        Ok(())
    }
}

async fn put(hour: &HourObjects, sorted: &Sorted, deps: &Deps, deadline: Deadline) -> Result<(), CloudError> {
    let generation = hour.next_generation();
    let parts = u32::try_from(sorted.outputs.len()).unwrap_or(u32::MAX);
    for (part, output) in (1..).zip(&sorted.outputs) {
        let name = Name::Compacted { generation, set: sorted.set.clone(), part, parts };
        let key = Key { hour: hour.hour, name }.to_string();
        deps.bucket.put_file(&key, PARQUET, &output.file, deadline).await?;
    }
    Ok(())
}

fn report(summary: &Summary, deps: &Deps, invocation: &Invocation) {
    if summary.is_cut_short {
        tracing::warn!(
            request_id = invocation.request_id,
            "the time was over before all hours were compacted"
        );
    }
    let dimensions = vec![("Stage", deps.config.stage.clone()), ("Function", "compact".to_owned())];
    let line = MetricLine::new(dimensions)
        .count("Hours", summary.hours)
        .count("Replaced", summary.replaced)
        .count("Objects", summary.written)
        .count("Readings", summary.readings)
        .count("Duplicates", summary.duplicates)
        .count("Foreign", summary.foreign)
        .count("Unreadable", summary.unreadable)
        .count("Overtaken", summary.overtaken)
        .count("Failed", summary.failed)
        .count("CutShort", usize::from(summary.is_cut_short))
        .property("unreadable_keys", &summary.unreadable_keys)
        .property("swap_millis", summary.swap_millis)
        .property("request_id", &invocation.request_id);
    emit(&line);
}
