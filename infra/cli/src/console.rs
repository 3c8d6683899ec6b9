//! What people see: results on standard output, progress on standard error. The only module that writes to either.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::{Error, Result};

/// How often a line on a terminal is refreshed.
const TICK: Duration = Duration::from_secs(1);
/// How often a log without a terminal gets a line about a step that goes on.
const QUIET: Duration = Duration::from_secs(5);
/// Most characters of a detail behind the elapsed time.
const DETAIL_CHARS: usize = 60;

/// Writes lines to standard output. Whoever reads may stop early: `tidegate query … | head`.
///
/// # Errors
/// If they cannot be written for any other reason.
pub fn print(lines: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let newline = if lines.is_empty() || lines.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{lines}{newline}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::problem("cannot write to standard output").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error. If that fails, there is nobody to tell.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A step that takes time, and says so: `building the functions … 41 s`.
pub struct Progress {
    title: String,
    started: Instant,
    last_line: Cell<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Announces the step.
    pub fn start(title: impl Into<String>) -> Self {
        let now = Instant::now();
        let progress = Self {
            title: title.into(),
            started: now,
            last_line: Cell::new(now),
            is_terminal: io::stderr().is_terminal(),
        };
        progress.write(&format!("{} …", progress.title), "");
        progress
    }

    /// Waits for `work`, refreshing the line with what `detail` tells meanwhile.
    pub async fn watch<T>(&self, detail: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                output = &mut work => return output,
                _ = ticks.tick() => self.tick(&detail()),
            }
        }
    }

    /// Says that the step goes on, if it is time to.
    pub fn tick(&self, detail: &str) {
        if !self.is_terminal && self.last_line.get().elapsed() < QUIET {
            return;
        }
        self.last_line.set(Instant::now());
        self.write(&format!("{} … {} s", self.title, self.started.elapsed().as_secs()), detail);
    }

    /// Writes a line of its own, above the step's.
    pub fn say(&self, line: &str) {
        let erase = if self.is_terminal { "\r\x1b[2K" } else { "" };
        let _ = writeln!(io::stderr().lock(), "{erase}{line}");
    }

    /// The step is done.
    pub fn finish(self, outcome: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let outcome = if outcome.is_empty() { String::new() } else { format!(": {outcome}") };
        self.say(&format!("{}{outcome} ({seconds:.1} s)", self.title));
    }

    fn write(&self, line: &str, detail: &str) {
        let detail: String = detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS).collect();
        let detail = if detail.is_empty() { String::new() } else { format!("  {}", detail.trim()) };
        let mut err = io::stderr().lock();
        let _ = if self.is_terminal {
            write!(err, "\r\x1b[2K{line}{detail}").and_then(|()| err.flush())
        } else {
            writeln!(err, "{line}{detail}")
        };
    }
}

/// A step that failed leaves its line, so that the error below it stands alone.
impl Drop for Progress {
    fn drop(&mut self) {
        // `finish` has written a line of its own by now: an empty one to erase costs nothing.
        if self.is_terminal {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K");
        }
    }
}
