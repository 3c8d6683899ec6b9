//! The glue between a handler and the Lambda runtime.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lambda_runtime::tower::Layer;
use lambda_runtime::{Diagnostic, LambdaEvent, LambdaInvocation, Runtime, Service, service_fn};
use serde::Serialize;
use serde::de::IgnoredAny;
use telemetry::Micros;
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::Configuration;
use crate::error::chain;
use crate::metrics::MetricLine;
use crate::retry::Deadline;

pub use lambda_runtime::Error as RuntimeError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What an invocation keeps of its time for the answer itself.
const MARGIN: Duration = Duration::from_secs(1);

/// How long an invocation may take where nobody sets a limit.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(60);

/// What a handler is told beside the event.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// AWS's id of this invocation.
    pub request_id: String,
    /// When the handler has to be done.
    pub deadline: Deadline,
    /// When it began, by this machine's clock.
    pub began: Micros,
}

/// An error that Lambda reports; its name is stable, so that alarms and searches can rely on it.
pub trait ReportedError: std::error::Error {
    /// The error's type in the report, such as `Tidegate.UnknownEvent`.
    fn error_type(&self) -> &'static str;
}

/// Begins a function: sets logging up, and reads its configuration from the environment.
///
/// # Errors
/// If the environment is not complete; the log says all that is wrong.
pub fn configured<C: Configuration>() -> Result<C, RuntimeError> {
    #[expect(clippy::disallowed_methods, reason = "the one place where functions read the environment")]
    let lookup = |name: &str| std::env::var(name).ok();
    init_logging(lookup("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let config = C::from_lookup(lookup);
    Ok(config.inspect_err(|error| tracing::error!(%error, "not configured"))?)
}

/// Logs as JSON lines to standard output, from the level in `level` (the value of
/// `AWS_LAMBDA_LOG_LEVEL`, which Lambda's logging configuration sets) upwards; `INFO` without one.
fn init_logging(level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(Level::INFO);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_span_events(FmtSpan::NONE)
        .with_target(false)
        .init();
}

/// Answers invocations with `handle` until Lambda ends the process. The handler gets the event's
/// JSON as text: what it cannot read is for the handler to keep, not for the runtime to refuse.
///
/// # Errors
/// If the Runtime API cannot be reached.
pub async fn run<R, E>(handle: impl AsyncFn(&str, Invocation) -> Result<R, E>) -> Result<(), RuntimeError>
where
    R: Serialize,
    E: ReportedError,
{
    let taken = Rc::new(Cell::new(Bytes::new()));
    let (handle, body) = (&handle, &taken);
    let service = service_fn(async |event: LambdaEvent<IgnoredAny>| {
        let invocation = Invocation {
            request_id: event.context.request_id.clone(),
            deadline: Deadline::after(remaining(event.context.deadline, now_millis())),
            began: Micros::from_millis(now_millis().try_into().unwrap_or_default()).unwrap_or_default(),
        };
        let body = body.take();
        // Lambda sends JSON, which is UTF-8; anything else reads as an event of no known shape.
        let event = std::str::from_utf8(&body).unwrap_or_default();
        // Boxed, or the type of the runtime's own future holds the whole of the handler's.
        Box::pin(handle(event, invocation)).await.map_err(|error| Diagnostic {
            error_type: error.error_type().to_owned(),
            error_message: chain(&error),
        })
    });
    Runtime::new(service).layer(TakeBody(Rc::clone(&taken))).run().await
}

/// Takes the event's bytes as they came, and leaves `null` for the runtime to deserialize: an event
/// of 6 MB is neither scanned nor copied before the handler reads it. The runtime serves one
/// invocation at a time, so there is one body at a time.
struct TakeBody(Rc<Cell<Bytes>>);

impl<S> Layer<S> for TakeBody {
    type Service = TakeBodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TakeBodyService { inner, taken: Rc::clone(&self.0) }
    }
}

struct TakeBodyService<S> {
    inner: S,
    taken: Rc<Cell<Bytes>>,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for TakeBodyService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        self.taken.set(std::mem::replace(&mut invocation.body, Bytes::from_static(b"null")));
        self.inner.call(invocation)
    }
}

/// What an invocation may use of the time until `deadline_millis`. Lambda never hands out an event
/// whose time is over; `cargo lambda watch` sends a constant that lies in 1970, and then has no limit.
fn remaining(deadline_millis: u64, now_millis: u64) -> Duration {
    match deadline_millis.checked_sub(now_millis) {
        Some(millis) => Duration::from_millis(millis).saturating_sub(MARGIN),
        None => WITHOUT_DEADLINE,
    }
}

fn now_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}

/// Writes a metric line to standard output, where CloudWatch finds it.
pub fn emit(line: &MetricLine) {
    // A closed standard output is nothing that an invocation could mend, or should fail for.
    let _ = writeln!(std::io::stdout(), "{}", line.to_json(now_millis()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_kept_for_the_answer() {
        assert_eq!(remaining(61_000, 1_000), Duration::from_secs(59));
        assert_eq!(remaining(1_500, 1_000), Duration::ZERO);
        assert_eq!(remaining(1_000, 1_000), Duration::ZERO);
        assert_eq!(remaining(600_000, 1_795_417_200_250), WITHOUT_DEADLINE);
    }
}
