//! What of a device's readings a rule gets to see.

use telemetry::{Micros, Reading, RunReading, Span, Unit, Value};

use crate::rule::Rule;
use crate::sample::Sample;

/// What one rule sees of spans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feed {
    /// The samples, by their time.
    pub samples: Vec<Sample>,
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
        for span in spans {
            for run in span.runs() {
                for (place, metric) in rule.metrics.iter().enumerate() {
                    match metric {
                        Some(metric) if metric == run.metric => {
                            feed.add_run(rule, place, run.readings(), lateness);
                        }
                        // For who asks for silence, any reading is a sign of life.
                        None => feed.add_signs(place, run.readings(), lateness),
                        Some(_) => {}
                    }
                }
            }
        }
        if !feed.samples.is_sorted_by(|a, b| a.identity() <= b.identity()) {
            feed.samples.sort_by_key(Sample::identity);
        }
        if rule.metrics.contains(&None) {
            feed.samples
                .dedup_by(|next, kept| next.identity() == kept.identity() && next.value == kept.value);
        }
        feed
    }

    fn add_run<'a>(
        &mut self,
        rule: &Rule,
        place: usize,
        readings: impl Iterator<Item = RunReading<'a>>,
        lateness: i64,
    ) {
        let leaves = rule.leaves_of(place);
        for reading in readings.filter(|reading| reading.quality <= rule.quality) {
            if !leaves.iter().any(|leaf| rule.leaves[*leaf].accepts(reading.unit.map(Unit::as_str))) {
                self.other_unit += 1;
            } else if is_ahead(&reading, lateness) {
                self.ahead += 1;
            } else {
                self.samples.push(Sample {
                    at: reading.at,
                    received: reading.received,
                    metric: place,
                    value: reading.value.clone(),
                    unit: reading.unit.map(|unit| unit.as_str().into()),
                });
            }
        }
    }

    fn add_signs<'a>(&mut self, place: usize, readings: impl Iterator<Item = RunReading<'a>>, lateness: i64) {
        for reading in readings {
            // A clock that runs ahead is no silence.
            let at = if is_ahead(&reading, lateness) { reading.received } else { reading.at };
            let value = Value::Boolean(true);
            self.samples.push(Sample { at, received: reading.received, metric: place, value, unit: None });
        }
    }
}

/// The newest of readings by their own time, of those whose time lies at most `lateness` (µs) ahead of their arrival.
pub fn newest<'a>(readings: impl Iterator<Item = &'a Reading>, lateness: i64) -> Option<&'a Reading> {
    let plausible = readings.filter(|reading| reading.at <= reading.received.plus(lateness));
    plausible.max_by_key(|reading| (reading.at, reading.received))
}

fn is_ahead(reading: &RunReading<'_>, lateness: i64) -> bool {
    reading.at > reading.received.plus(lateness)
}

/// What a device's own clock says at `now`, by this machine's: its last reading was of `at`, and it was last heard of,
/// by the broker's clock, at `received`.
pub fn device_time(at: Micros, received: Micros, now: Micros) -> Micros {
    at.plus(now.0.saturating_sub(received.0).max(0))
}
