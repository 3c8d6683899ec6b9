//! What of a device's readings a rule gets to see.

use std::cmp::Reverse;

use telemetry::{Micros, Quality, Reading, RunReading, Seq, Span, Unit, Value};

use crate::rule::Rule;
use crate::sample::{Sample, keep_standing};

/// What one rule sees of spans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feed {
    /// The samples, each identity once, in their order.
    pub samples: Vec<Sample>,
    /// Samples among them that the rule does not evaluate, for their quality or their unit. They are there because they
    /// may replace one that it does.
    pub excluded: usize,
    /// Readings of the rule's metrics whose unit it does not ask for.
    pub other_unit: usize,
    /// Readings whose time lies further ahead of their arrival than may be explained by clocks: a device whose clock
    /// runs ahead would otherwise settle all that others' clocks call now.
    pub ahead: usize,
}

impl Feed {
    /// Picks what the rule asks for out of one device's spans. `lateness` is in microseconds.
    pub fn new<'a>(rule: &Rule, spans: impl IntoIterator<Item = &'a Span>, lateness: i64) -> Self {
        let mut feed = Self::default();
        let mut has_excluded = false;
        let mut signs = Vec::new();
        for span in spans {
            for run in span.runs() {
                for (place, metric) in rule.metrics.iter().enumerate() {
                    match metric {
                        Some(metric) if metric == run.metric => {
                            has_excluded |= feed.add_run(rule, place, run.readings(), lateness);
                        }
                        // For who asks for silence, any reading is a sign of life.
                        None => signs.extend(run.readings().map(|reading| sign(&reading, lateness))),
                        Some(_) => {}
                    }
                }
            }
        }
        if let Some(place) = rule.metrics.iter().position(Option::is_none) {
            feed.add_signs(place, signs);
        }
        keep_standing(&mut feed.samples);
        if has_excluded {
            feed.excluded = feed.samples.iter().filter(|sample| !rule.evaluates(sample)).count();
        }
        feed
    }

    /// Returns whether one of them is excluded.
    fn add_run<'a>(
        &mut self,
        rule: &Rule,
        place: usize,
        readings: impl Iterator<Item = RunReading<'a>>,
        lateness: i64,
    ) -> bool {
        let leaves = rule.leaves_of(place);
        let mut has_excluded = false;
        for reading in readings {
            let is_trusted = reading.quality <= rule.quality;
            let unit = reading.unit.map(Unit::as_str);
            let has_unit = leaves.iter().any(|leaf| rule.leaves[*leaf].accepts(unit));
            self.other_unit += usize::from(is_trusted && !has_unit);
            if is_ahead(&reading, lateness) {
                // Whatever replaces it has been received later, and is no further ahead: it can be left out before
                // the two are compared.
                self.ahead += usize::from(is_trusted && has_unit);
                continue;
            }
            has_excluded |= !(is_trusted && has_unit);
            self.samples.push(Sample {
                at: reading.at,
                seq: reading.seq,
                received: reading.received,
                revision: reading.revision,
                metric: place,
                value: reading.value.clone(),
                unit: reading.unit.cloned(),
                quality: reading.quality,
            });
        }
        has_excluded
    }

    /// Adds a sign of life for each instant. A rule has at most one place
    /// without a metric.
    fn add_signs(&mut self, place: usize, mut signs: Vec<Sign>) {
        signs.sort_unstable();
        signs.dedup_by_key(|(at, seq, _)| (*at, *seq));
        self.samples.extend(signs.into_iter().map(|(at, seq, Reverse(received))| Sample {
            at,
            seq,
            received,
            revision: Micros::default(),
            metric: place,
            value: Value::Boolean(true),
            unit: None,
            quality: Quality::Good,
        }));
    }
}

/// That something came: its instant, so that it is in one step with what else was measured then, and when it was
/// received; the last of those of one instant sorts first.
type Sign = (Micros, Seq, Reverse<Micros>);

fn sign(reading: &RunReading<'_>, lateness: i64) -> Sign {
    // A clock that runs ahead is no silence.
    let at = if is_ahead(reading, lateness) { reading.received } else { reading.at };
    (at, reading.seq, Reverse(reading.received))
}

/// The newest of readings by their own time and `seq`, of those whose time lies at most `lateness` (µs) ahead of their arrival.
pub fn newest<'a>(readings: impl Iterator<Item = &'a Reading>, lateness: i64) -> Option<&'a Reading> {
    let plausible = readings.filter(|reading| reading.at <= reading.received.plus(lateness));
    plausible.max_by(|a, b| a.instant().cmp(&b.instant()).then_with(|| a.precedence().cmp(&b.precedence())))
}

fn is_ahead(reading: &RunReading<'_>, lateness: i64) -> bool {
    reading.at > reading.received.plus(lateness)
}

/// What a device's own clock says at `now`, by this machine's: its last reading was of `at`, and it was last heard of,
/// by the broker's clock, at `received`.
pub fn device_time(at: Micros, received: Micros, now: Micros) -> Micros {
    at.plus(now.0.saturating_sub(received.0).max(0))
}
