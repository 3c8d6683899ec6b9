//! Samples become readings: canonical units, known sentinels, plausible ranges, and times that are accepted.

use std::sync::Arc;

use crate::clock::Clock;
use crate::distinct::tell_apart;
use crate::limits::MAX_UNIT_BYTES;
use crate::measure::{measure, read_number};
use crate::profile::Profile;
use crate::reading::{DeviceId, Metric, Quality, Reading, TimeSource, Value};
use crate::reject::Reject;
use crate::repeated_hour;
use crate::sample::{Basis, Distance, Sample, SentTime};
use crate::time::Micros;
use crate::unit::Units;

/// What the samples of one message have in common.
pub(crate) struct Message<'a> {
    pub(crate) clock: &'a Clock<'a>,
    pub(crate) profile: Option<&'a Profile>,
    /// When that profile was put; 0 without one.
    pub(crate) revision: Micros,
    /// How far the values of series are from their record's time, as [`Payload`](crate::sample::Payload) has it.
    pub(crate) distances: &'a [Distance],
}

/// Appends the readings that `samples` make. They are of `device`, or of those that it speaks for, which `device_of`
/// finds.
///
/// # Errors
/// Why the message is refused, and for which metric; readings may have been appended before.
pub(crate) fn normalise(
    samples: &mut Vec<Sample>,
    message: &Message<'_>,
    units: &mut Units,
    device: &DeviceId,
    mut device_of: impl FnMut(&str) -> DeviceId,
    readings: &mut Vec<Reading>,
) -> Result<(), (Reject, Metric)> {
    let clock = message.clock;
    let Survey { has_ignored, has_local_times, mut newest_since_boot } = Survey::of(samples);
    if has_ignored {
        samples.retain(|sample| !sample.name.is_ignored);
    }
    if has_local_times {
        repeated_hour::resolve(samples, clock.received);
    }
    // A series is even: its record's time has one meaning before the distances are added.
    if !message.distances.is_empty() {
        spread(samples, message.distances, clock.received);
        newest_since_boot = Survey::of(samples).newest_since_boot;
    }
    let reads_texts = message.profile.is_some_and(|profile| profile.numbers_as_text);
    let allows_nan = message.profile.is_some_and(Profile::allows_nan);
    let (first, received) = (readings.len(), clock.received_exactly());
    readings.reserve(samples.len());
    // Samples stay where they are, and texts are taken out of them: they are large to move.
    for sample in samples.iter_mut() {
        let name = &*sample.name;
        let refuse = |reject| (reject, Arc::clone(&name.sent));
        let rule = name.rule.as_deref().filter(|rule| rule.interprets());
        let is_of_type = rule.is_none_or(|rule| rule.interpret(&mut sample.value));
        if reads_texts && rule.is_none_or(|rule| rule.value_type.is_none()) {
            read_number(&mut sample.value);
        }
        let time = clock.reading_time(sample.time, newest_since_boot, sample.record).map_err(refuse)?;
        readings.push(Reading {
            device: sample.device.as_deref().map_or_else(|| device.clone(), &mut device_of),
            metric: Arc::clone(&name.metric),
            at: time.at,
            seq: time.seq,
            received,
            revision: message.revision,
            value: take(&mut sample.value),
            unit: None,
            quality: if is_of_type { sample.quality } else { Quality::Bad },
            time_source: time.source,
            correction: time.correction,
        });
        let Some(reading) = readings.last_mut() else { continue };
        let unit = sample.unit.as_ref();
        if unit.is_some_and(|(text, _)| text.len() > MAX_UNIT_BYTES) {
            return Err(refuse(Reject::LongUnit));
        }
        measure(reading, name, unit, reads_texts || allows_nan, units);
    }
    let outcome = tell_apart(readings, first, samples);
    samples.clear();
    outcome.map_err(|metric| (Reject::Ambiguous, metric))
}

/// Moves the values of series to their own times. Where the record has none, the last of a series was measured on arrival.
fn spread(samples: &mut [Sample], distances: &[Distance], received: Micros) {
    for sample in samples {
        let place = distances.binary_search_by_key(&sample.element, |distance| distance.element);
        // What is in no series has the record's time as it is.
        let Some(distance) = place.ok().and_then(|place| distances.get(place)) else { continue };
        match &mut sample.time {
            Some(time) => time.at = time.at.plus(distance.after),
            None => {
                let at = received.plus(distance.from_last);
                sample.time = Some(SentTime { at, source: TimeSource::Arrival, basis: Basis::Arrival });
            }
        }
    }
}

/// What has to be known of all samples before one of them becomes a reading.
struct Survey {
    has_ignored: bool,
    has_local_times: bool,
    /// The newest of the times that are since the device was switched on, of samples that are not ignored.
    newest_since_boot: Option<Micros>,
}

impl Survey {
    fn of(samples: &[Sample]) -> Self {
        let mut survey = Self { has_ignored: false, has_local_times: false, newest_since_boot: None };
        for sample in samples {
            if sample.name.is_ignored {
                survey.has_ignored = true;
                continue;
            }
            let Some(time) = &sample.time else { continue };
            survey.has_local_times |= matches!(time.basis, Basis::Local { .. });
            if Clock::is_since_boot(time) {
                survey.newest_since_boot = survey.newest_since_boot.max(Some(time.at));
            }
        }
        survey
    }
}

/// Takes a text out; a number stays, so that it can be looked at later.
fn take(value: &mut Value) -> Value {
    match value {
        Value::Text(_) => std::mem::replace(value, Value::Boolean(false)),
        number => number.clone(),
    }
}
