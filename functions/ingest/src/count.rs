//! What became of an event's messages, counted.

use cloud::metrics::MetricLine;
use telemetry::Replaced;
use thiserror::Error;

use crate::plan::Disposition;

/// Messages by what became of them, and readings.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    stored: usize,
    quarantined: usize,
    ignored: usize,
    handed_back: usize,
    /// In the spans that were written.
    pub(crate) readings: usize,
    /// Replaced within their chunks.
    pub(crate) replaced: Replaced,
}

/// Records have a disposition each, or the invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the event has {received} records, and {found} are accounted for; it is redelivered")]
pub struct LostRecords {
    received: usize,
    found: usize,
}

impl LostRecords {
    /// Compares the records that began in the event's text with those that are there.
    ///
    /// # Errors
    /// If they are not as many.
    pub(crate) fn check(received: usize, found: usize) -> Result<(), Self> {
        if received == found { Ok(()) } else { Err(Self { received, found }) }
    }
}

/// Whether what a message waits for was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Yes,
    No,
}

impl Counts {
    /// Counts a message.
    pub(crate) fn add(&mut self, disposition: &Disposition, done: Done) {
        *match (done, disposition) {
            (Done::No, _) | (_, Disposition::HandedBack) => &mut self.handed_back,
            (Done::Yes, Disposition::Stored(_)) => &mut self.stored,
            (Done::Yes, Disposition::Quarantined(_)) => &mut self.quarantined,
            (Done::Yes, Disposition::Ignored) => &mut self.ignored,
        } += 1;
    }

    /// Messages that have a disposition.
    pub(crate) fn dispositions(&self) -> usize {
        self.stored + self.quarantined + self.ignored + self.handed_back
    }

    /// Whether every message is done with.
    pub(crate) fn are_all_done(&self) -> bool {
        self.handed_back == 0
    }

    /// Adds the counts to a line of metrics. `received` is counted apart, in the event's text.
    pub(crate) fn write(&self, received: usize, line: MetricLine) -> MetricLine {
        let line = line
            .count("Received", received)
            .count("Stored", self.stored)
            .count("Quarantined", self.quarantined)
            .count("Ignored", self.ignored)
            .count("HandedBack", self.handed_back)
            .count("Readings", self.readings);
        let Replaced { equal, different } = self.replaced;
        let replaced = [("ReplacedEqual", equal), ("ReplacedDifferent", different)];
        let any = replaced.into_iter().filter(|(_, count)| *count > 0);
        any.fold(line, |line, (name, count)| line.count(name, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_more_or_less_than_received_is_an_error() {
        assert_eq!(LostRecords::check(25, 25), Ok(()));
        for found in [0, 24, 26] {
            assert_eq!(LostRecords::check(25, found), Err(LostRecords { received: 25, found }));
        }
    }

    #[test]
    fn every_message_counts_once() {
        let stored = Disposition::Stored(Vec::new());
        let quarantined = Disposition::Quarantined("2026-11-23".to_owned());
        let mut counts = Counts::default();
        for disposition in [&stored, &quarantined, &Disposition::Ignored, &Disposition::HandedBack] {
            counts.add(disposition, Done::Yes);
            counts.add(disposition, Done::No);
        }
        let of_messages = [counts.stored, counts.quarantined, counts.ignored, counts.handed_back];
        assert_eq!((of_messages, counts.dispositions()), ([1, 1, 1, 5], 8));
    }
}
