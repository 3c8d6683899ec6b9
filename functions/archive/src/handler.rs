//! Carries out the plan for an event, and answers the stream.

use std::collections::BTreeSet;

use cloud::Error as CloudError;
use cloud::error::chain;
use cloud::lambda::{Invocation, ReportedError, emit};
use cloud::metrics::MetricLine;
use cloud::objects::Bucket;
use cloud::quarantine::MEDIA_TYPE as JSON_LINES;
use cloud::retry::Deadline;
use cloud::stream::{Answer, UnknownEvent};
use futures_util::stream::{self, StreamExt as _};
use lake::LakeError;
use thiserror::Error;

use crate::plan::{Plan, PlannedObject, read};

/// Objects on their way at once. An event holds one hour or two, and many only after an outage.
const MAX_IN_FLIGHT: usize = 8;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    bucket: Bucket,
    stage: String,
}

impl Deps {
    /// Where to write, and the stage for the metrics.
    pub fn new(bucket: Bucket, stage: String) -> Self {
        Self { bucket, stage }
    }
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is none of a stream.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// The encoder refused the readings, which is a fault of this program.
    #[error("the readings could not be encoded")]
    Encoding(#[from] LakeError),
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
            Self::Encoding(_) => "Tidegate.Encoding",
        }
    }
}

/// Writes one event's readings into the lake.
///
/// # Errors
/// If the event is of no known shape, or cannot be encoded.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Answer, HandlerError> {
    let changes = read(event)?;
    let Plan { objects, quarantine, ignored } = Plan::new(&changes)?;
    let (archived, mut errors) = put_all(&objects, lake::MEDIA_TYPE, deps, invocation.deadline).await;
    let (quarantined, more) = put_all(&quarantine, JSON_LINES, deps, invocation.deadline).await;
    errors.extend(more);
    let failed: Vec<&PlannedObject<'_>> = archived
        .failed
        .iter()
        .map(|index| &objects[*index])
        .chain(quarantined.failed.iter().map(|index| &quarantine[*index]))
        .collect();
    // A span over two hours is handed back if either of its objects failed.
    let handed_back: BTreeSet<usize> = failed.iter().flat_map(|object| &object.changes).copied().collect();
    let changes_of = |objects: &[PlannedObject<'_>]| {
        let all: BTreeSet<usize> = objects.iter().flat_map(|object| &object.changes).copied().collect();
        all.difference(&handed_back).count()
    };
    for error in &errors {
        tracing::warn!(request_id = invocation.request_id, error = chain(error), "a request to AWS failed");
    }
    let line = MetricLine::new(vec![("Stage", deps.stage.clone()), ("Function", "archive".to_owned())])
        .count("Received", changes.len())
        .count("Archived", changes_of(&objects))
        .count("Ignored", ignored)
        .count("Quarantined", changes_of(&quarantine))
        .count("HandedBack", handed_back.len())
        .count("Objects", objects.len() - archived.failed.len())
        .count("Bytes", archived.bytes)
        .count("Readings", archived.readings)
        .property("request_id", &invocation.request_id);
    emit(&line);
    Ok(Answer::hand_back(failed.iter().map(|object| object.position)))
}

/// What became of objects.
#[derive(Default)]
struct Written {
    /// By their place.
    failed: Vec<usize>,
    bytes: usize,
    readings: usize,
}

async fn put_all(
    objects: &[PlannedObject<'_>],
    content_type: &'static str,
    deps: &Deps,
    deadline: Deadline,
) -> (Written, Vec<CloudError>) {
    let (mut written, mut errors) = (Written::default(), Vec::new());
    let puts = objects.iter().enumerate().map(async |(index, object)| {
        (index, deps.bucket.put(&object.key, content_type, object.bytes.clone(), deadline).await)
    });
    let mut puts = stream::iter(puts).buffer_unordered(MAX_IN_FLIGHT);
    while let Some((index, outcome)) = puts.next().await {
        match outcome {
            Ok(()) => {
                written.bytes += objects[index].bytes.len();
                written.readings += objects[index].readings;
            }
            Err(error) => {
                written.failed.push(index);
                errors.push(error);
            }
        }
    }
    (written, errors)
}
