//! What goes wrong, when a test says so.

use std::collections::VecDeque;
use std::time::Duration;

use super::Operation;

/// How the fake refuses a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// DynamoDB: HTTP 400 `ProvisionedThroughputExceededException`; S3: HTTP 503 `SlowDown`; IoT: HTTP 429
    /// `ThrottlingException`; SQS: HTTP 400 `RequestThrottled`; SNS: HTTP 400 `Throttling`.
    Throttle,
    /// HTTP 500 `InternalServerError`, `InternalError` or `InternalFailureException`.
    InternalError,
    /// IoT: HTTP 409 `ConflictException`, as if somebody else had written the shadow; for UpdateThingShadow only.
    Conflict,
    /// The connection is closed without an answer. What was asked for is not done.
    DropConnection,
}

/// How one statement of a BatchExecuteStatement fails while the request succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementFault {
    /// `ThrottlingError`: nothing was written, a retry may succeed.
    Throttling,
    /// `ConditionalCheckFailed`, with the item when there is one and the statement asked for it.
    ConditionalCheckFailed,
}

/// Which of a row of things fail. The row is counted over all requests, so that a small last batch does not
/// begin a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pick {
    /// None of them.
    #[default]
    Nothing,
    /// The k-th, the 2k-th, … (0 is none).
    EveryKth(u64),
    /// This share of them (0.0 to 1.0), spread evenly: no randomness, so that a failing test fails again.
    Fraction(f64),
}

/// A [`Pick`] and how far along the row it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Picker {
    pick: Pick,
    seen: u64,
}

impl Picker {
    pub(super) fn new(pick: Pick) -> Self {
        Self { pick, ..Self::default() }
    }

    /// Whether the next one fails.
    pub(super) fn next(&mut self) -> bool {
        self.seen += 1;
        match self.pick {
            Pick::Nothing | Pick::EveryKth(0) => false,
            Pick::EveryKth(k) => self.seen.is_multiple_of(k),
            // How many are due after n is taken from n, since adding a share n times gathers rounding errors.
            Pick::Fraction(share) => due(self.seen, share) > due(self.seen - 1, share),
        }
    }
}

/// How many of the first `seen` are to fail.
fn due(seen: u64, share: f64) -> u64 {
    (seen as f64 * share + 1e-9) as u64
}

/// All that is planned to go wrong.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    next: [VecDeque<(Fault, u64)>; Operation::COUNT],
    latency: [Duration; Operation::COUNT],
    pub(super) unprocessed: Picker,
    pub(super) unprocessed_keys: Picker,
    pub(super) statements: Picker,
    pub(super) messages: Picker,
    pub(super) deletes: Picker,
    pub(super) delete_code: &'static str,
    pub(super) statement_fault: Option<StatementFault>,
}

impl FaultPlan {
    pub(super) fn fail_next(&mut self, operation: Operation, fault: Fault, times: u64) {
        self.next[operation.index()].push_back((fault, times));
    }

    pub(super) fn set_latency(&mut self, operation: Operation, latency: Duration) {
        self.latency[operation.index()] = latency;
    }

    pub(super) fn latency(&self, operation: Operation) -> Duration {
        self.latency[operation.index()]
    }

    /// The fault of the request that came just now, taken from the plan.
    pub(super) fn take(&mut self, operation: Operation) -> Option<Fault> {
        let queue = &mut self.next[operation.index()];
        while let Some((fault, times)) = queue.front_mut() {
            if *times > 0 {
                *times -= 1;
                return Some(*fault);
            }
            queue.pop_front();
        }
        None
    }

    /// The fault of the next statement of a BatchExecuteStatement.
    pub(super) fn take_statement(&mut self) -> Option<StatementFault> {
        let fault = self.statement_fault?;
        self.statements.next().then_some(fault)
    }
}
