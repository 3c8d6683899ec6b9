//! Looks through all devices for silent ones, and tells `alert` of them.

use cloud::Error as CloudError;
use cloud::error::chain;
use cloud::heard::{Heard, Segment};
use cloud::lambda::{Invocation, emit};
use cloud::metrics::MetricLine;
use cloud::queue::Delayed;
use cloud::retry::Deadline;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use telemetry::{DeviceId, Micros};

use crate::handler::{Deps, HandlerError};
use crate::silence::{Silent, Watch};

/// Segments of the table.
const SEGMENTS: i32 = 16;
/// Segments that are read at the same time.
const MAX_IN_FLIGHT: usize = 4;

/// Tells `alert` of each device that has been silent for longer than a rule allows, as far as it is its turn. Where no
/// rule asks for silence the devices are not looked at.
///
/// # Errors
/// If rules or devices cannot be read, or something could not be told: the next look comes soon. That the time was too
/// short for all devices is no error, but counted.
pub(crate) async fn sweep(invocation: &Invocation, deps: &Deps) -> Result<(), HandlerError> {
    let loaded = deps.rules.load(invocation.deadline).await.map_err(HandlerError::RulesNotRead)?;
    // Of rules that cannot be read `alert` tells.
    let mut watch = Watch::new(loaded.good.into_iter().map(|(rule, _)| rule));
    if watch.needs_profiles() {
        let current = deps.profiles.current(invocation.deadline).await.map_err(HandlerError::RulesNotRead)?;
        watch = watch.with_profiles(current.profiles);
    }
    let mut tally = Tally::default();
    if !watch.is_empty() {
        // Each look begins with another segment: where the time is too short, it is not always the same devices that
        // are left out.
        let number = invocation.began.0 / deps.config.silence_period_micros.max(1);
        let mut segments: Vec<_> = deps.last_heard.segments(SEGMENTS, watch.asked()).collect();
        segments.rotate_left(usize::try_from(number % i64::from(SEGMENTS)).unwrap_or_default());
        // The rest of the time is for telling of what was found.
        let read_until = Deadline::after(invocation.deadline.remaining() / 4 * 3);
        let looks = segments.into_iter().map(|segment| look(segment, read_until, &watch, invocation, deps));
        let mut looks = stream::iter(looks).buffer_unordered(MAX_IN_FLIGHT);
        while let Some(of_segment) = looks.next().await {
            tally = tally.and(of_segment);
        }
    }
    report(&tally, invocation, deps);
    match tally.errors.pop() {
        Some(error) if tally.is_unread => Err(HandlerError::DevicesNotRead(error)),
        _ if tally.failed > 0 => Err(HandlerError::NotSent(tally.failed)),
        _ => Ok(()),
    }
}

/// Looks through a segment page by page, and tells of each before the next: a fleet that is silent as a whole takes no
/// more memory than a page.
async fn look(
    mut segment: Segment<'_>,
    read_until: Deadline,
    watch: &Watch,
    invocation: &Invocation,
    deps: &Deps,
) -> Tally {
    let mut tally = Tally::default();
    loop {
        match segment.next(read_until).await {
            Ok(Some(page)) => {
                let due = tally.note(&page, watch, invocation.began, deps.config.silence_period_micros);
                let unsent = deps.alert_queue.send(&due, invocation.deadline).await;
                tally.sent += due.len() - unsent.left.len();
                tally.failed += unsent.left.len();
                if unsent.error.is_some() {
                    tally.errors = unsent.error.into_iter().collect();
                }
            }
            Ok(None) => return tally,
            Err(error) => {
                tally.is_cut_short = error.is_retryable();
                tally.is_unread = !error.is_retryable();
                tally.errors.push(error);
                return tally;
            }
        }
    }
}

/// What a look has come to.
#[derive(Debug, Default)]
struct Tally {
    /// Devices looked at.
    devices: usize,
    /// Devices that are silent, by rule, whether or not it is their turn.
    silent: usize,
    /// Told to `alert`.
    sent: usize,
    /// Could not be told.
    failed: usize,
    /// There was no time for all devices.
    is_cut_short: bool,
    /// Devices cannot be read, however much time there is.
    is_unread: bool,
    /// The last error of each segment in sending, and in reading the last.
    errors: Vec<CloudError>,
}

impl Tally {
    /// Counts a page in; returns the commands that are due.
    fn note(&mut self, page: &[Heard], watch: &Watch, now: Micros, period_micros: i64) -> Vec<Delayed> {
        self.devices += page.len();
        let mut due = Vec::new();
        for heard in page {
            for Silent { rule, is_due } in watch.look(heard, now, period_micros) {
                self.silent += 1;
                if is_due {
                    due.push(Delayed { body: command(&heard.device, rule), seconds: 0 });
                }
            }
        }
        due
    }

    fn and(mut self, other: Self) -> Self {
        self.errors.extend(other.errors);
        Self {
            devices: self.devices + other.devices,
            silent: self.silent + other.silent,
            sent: self.sent + other.sent,
            failed: self.failed + other.failed,
            is_cut_short: self.is_cut_short || other.is_cut_short,
            is_unread: self.is_unread || other.is_unread,
            errors: self.errors,
        }
    }
}

/// What `alert` is asked: `{"silent": {"device": "plant-1/pump-7", "rule": "no-news"}}`.
fn command(device: &DeviceId, rule: &str) -> String {
    #[derive(Serialize)]
    struct Command<'a> {
        silent: Subject<'a>,
    }
    #[derive(Serialize)]
    struct Subject<'a> {
        device: &'a str,
        rule: &'a str,
    }
    let command = Command { silent: Subject { device: device.as_str(), rule } };
    #[expect(clippy::expect_used, reason = "two texts, written to memory: nothing can fail")]
    serde_json::to_string(&command).expect("a command is JSON")
}

/// The one place where a look's counts and errors go out.
fn report(tally: &Tally, invocation: &Invocation, deps: &Deps) {
    let request_id = &invocation.request_id;
    for error in &tally.errors {
        tracing::warn!(request_id, error = chain(error), "a request to AWS failed");
    }
    let dimensions = vec![("Stage", deps.config.stage.clone()), ("Function", "presence".to_owned())];
    let line = MetricLine::new(dimensions)
        .count("Devices", tally.devices)
        .count("Silent", tally.silent)
        .count("Sent", tally.sent)
        .count("Failed", tally.failed)
        .count("CutShort", usize::from(tally.is_cut_short))
        .property("request_id", request_id);
    emit(&line);
}
