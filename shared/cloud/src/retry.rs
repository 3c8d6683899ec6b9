//! The one retry layer: jittered exponential backoff inside the invocation's deadline.
//!
//! The SDK's own retries are off, because only this layer knows the deadline and can pool what is
//! left of several requests into full new ones.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::error::{Disposition, Error};

/// Longest pause before the first retry; each further one may be twice as long.
const BASE: Duration = Duration::from_millis(50);
/// Longest pause.
const CAP: Duration = Duration::from_secs(5);

/// When the work of an invocation has to be done.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline `remaining` from now.
    pub fn after(remaining: Duration) -> Self {
        Self(Instant::now() + remaining)
    }

    /// This deadline, or one `remaining` from now if that is earlier.
    #[must_use]
    pub fn sooner(self, remaining: Duration) -> Self {
        Self(self.0.min(Instant::now() + remaining))
    }

    /// What is left of the time.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the time is over.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits for a request, but not longer than there is time: an answer that comes after Lambda
    /// has ended the function is of no use, and what hangs has to be handed back before.
    pub(crate) async fn bound<T>(
        self,
        operation: &'static str,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match timeout(self.remaining(), request).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::timed_out(operation)),
        }
    }
}

/// Counts the retries of one piece of work.
#[derive(Debug)]
pub(crate) struct Backoff {
    deadline: Deadline,
    retries: u32,
}

impl Backoff {
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self { deadline, retries: 0 }
    }

    /// Waits before the next try: a random time up to the exponential bound ("full jitter", AWS
    /// Architecture Blog, "Exponential Backoff And Jitter"), or as long as the service asked for.
    /// Returns whether there is time left to try.
    pub(crate) async fn pause(&mut self, after: Option<Duration>) -> bool {
        let bound = CAP.min(BASE * 2_u32.saturating_pow(self.retries));
        let pause = after.unwrap_or_else(|| bound.mul_f64(fastrand::f64()));
        self.retries += 1;
        if pause >= self.deadline.remaining() {
            return false;
        }
        sleep(pause).await;
        true
    }
}

/// Sends a request until it succeeds, cannot succeed, or the time is over.
pub(crate) async fn until<T>(
    operation: &'static str,
    deadline: Deadline,
    mut send: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut backoff = Backoff::new(deadline);
    loop {
        match deadline.bound(operation, send()).await {
            Err(error @ Error { disposition: Disposition::Retry { after }, .. }) => {
                if !backoff.pause(after).await {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_the_cap_and_end_with_the_deadline() {
        let started = Instant::now();
        let mut backoff = Backoff::new(Deadline::after(Duration::from_secs(60)));
        let mut longest = Duration::ZERO;
        loop {
            let before = Instant::now();
            if !backoff.pause(None).await {
                break;
            }
            longest = longest.max(before.elapsed());
        }
        assert!(longest <= CAP + Duration::from_millis(1), "{longest:?}");
        assert!(started.elapsed() <= Duration::from_secs(60));
        assert!(started.elapsed() >= Duration::from_secs(50), "gave up after {:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_hint_of_the_service_is_kept() {
        let before = Instant::now();
        assert!(
            Backoff::new(Deadline::after(Duration::from_secs(10))).pause(Some(Duration::from_secs(3))).await
        );
        assert_eq!(before.elapsed(), Duration::from_secs(3));
        assert!(
            !Backoff::new(Deadline::after(Duration::from_secs(2))).pause(Some(Duration::from_secs(3))).await
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_ends_with_the_deadline() {
        let started = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(7));
        let outcome =
            until("PutObject", deadline, async || std::future::pending::<Result<(), Error>>().await).await;
        assert_eq!(
            (outcome.unwrap_err().code.as_str(), started.elapsed()),
            ("timeout", Duration::from_secs(7))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_succeed_is_not_retried() {
        let mut tries = 0;
        let outcome: Result<(), Error> =
            until("PutObject", Deadline::after(Duration::from_secs(60)), async || {
                tries += 1;
                Err(Error::of_item("PutObject", if tries < 3 { "SlowDown" } else { "AccessDenied" }))
            })
            .await;
        assert_eq!((tries, outcome.unwrap_err().disposition), (3, Disposition::Fatal));
    }
}
