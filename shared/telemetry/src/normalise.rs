//! Samples become readings: canonical units, known sentinels, plausible ranges, and times that are accepted.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::clock::Clock;
use crate::names::Name;
use crate::profile::{MetricRule, Profile};
use crate::reading::{DeviceId, Metric, Quality, Reading, Value};
use crate::reject::Reject;
use crate::sample::Sample;
use crate::time::Micros;
use crate::unit::{self, Quantity, Units};

/// What the samples of one message have in common.
pub(crate) struct Message<'a> {
    pub(crate) received: Micros,
    pub(crate) clock: &'a Clock<'a>,
    pub(crate) profile: Option<&'a Profile>,
}

/// Appends the readings that `samples` make. `device_of` finds the device of a sample: its own, or one that a gateway
/// speaks for.
///
/// # Errors
/// Why the message is refused; readings may have been appended before.
pub(crate) fn normalise(
    samples: &mut Vec<Sample>,
    message: &Message<'_>,
    units: &mut Units,
    mut device_of: impl FnMut(Option<&Arc<str>>) -> DeviceId,
    readings: &mut Vec<Reading>,
) -> Result<(), Reject> {
    let since_boot = samples.iter().filter_map(|sample| sample.time).filter(Clock::is_since_boot);
    let newest_since_boot = since_boot.map(|sent| sent.at).max();
    let doubles = doubles(samples);
    for (place, sample) in samples.drain(..).enumerate() {
        if sample.name.is_ignored {
            continue;
        }
        let time = message.clock.settle(sample.time, newest_since_boot, sample.record)?;
        let device = device_of(sample.device.as_ref());
        let measured = if doubles.contains(&place) {
            measured_as_sent(sample)
        } else {
            measure(sample, message.profile, units)?
        };
        readings.push(Reading {
            device,
            metric: measured.metric,
            at: time.at,
            received: message.received,
            value: measured.value,
            unit: measured.unit,
            unit_sent: measured.unit_sent,
            quality: measured.quality,
            time_source: time.source,
            correction: time.correction,
        });
    }
    Ok(())
}

/// The part of a reading that its sample alone decides.
struct Measured {
    metric: Metric,
    value: Value,
    unit: Option<Arc<str>>,
    unit_sent: Option<Arc<str>>,
    quality: Quality,
}

/// The places of samples whose names without their units are those of others in their records: `tC` beside `tF`. All
/// but the first stay as they were sent.
fn doubles(samples: &[Sample]) -> HashSet<usize, RandomState> {
    let is_stripped = |name: &Name| name.rule.is_none() && !Arc::ptr_eq(&name.metric, &name.sent);
    let mut doubles = HashSet::default();
    if !samples.iter().any(|sample| is_stripped(&sample.name)) {
        return doubles;
    }
    let identity =
        |sample: &'_ Sample| (Arc::clone(&sample.name.metric), sample.record, sample.device.clone());
    let whole = samples.iter().filter(|sample| !is_stripped(&sample.name));
    let mut taken: HashSet<_, RandomState> = whole.map(identity).collect();
    for (place, sample) in samples.iter().enumerate().filter(|(_, sample)| is_stripped(&sample.name)) {
        if !taken.insert(identity(sample)) {
            doubles.insert(place);
        }
    }
    doubles
}

fn measured_as_sent(sample: Sample) -> Measured {
    let unit = sample
        .unit
        .map(|(text, _)| text)
        .or_else(|| sample.name.unit.as_ref().map(|unit| Arc::clone(&unit.sent)));
    Measured {
        metric: Arc::clone(&sample.name.sent),
        value: sample.value,
        unit,
        unit_sent: None,
        quality: sample.quality,
    }
}

fn measure(sample: Sample, profile: Option<&Profile>, units: &mut Units) -> Result<Measured, Reject> {
    let name = &*sample.name;
    let value = match sample.value {
        Value::Text(text) if profile.is_some_and(|profile| profile.numbers_as_text) => number_in(text),
        value => value,
    };
    let mut measured = Measured {
        metric: Arc::clone(&name.metric),
        value,
        unit: None,
        unit_sent: None,
        quality: sample.quality,
    };
    let Some(sent) = number_of(&measured.value) else {
        return Ok(measured);
    };
    let rule = name.rule.as_deref();
    if let Some(rule) = rule.filter(|rule| rule.scale != 1.0 || rule.offset != 0.0) {
        let scaled = unit::rounded(sent * rule.scale + rule.offset);
        measured.value = Value::from_f64(scaled).ok_or(Reject::NumberRange)?;
    }
    let mut quantity = name.quantity;
    let known = match (&sample.unit, &name.unit) {
        (Some((text, dialect)), named) => {
            let known = units.get(text, *dialect);
            let is_other = rule.is_some() && named.is_some() && known.quantity != name.quantity;
            if is_other {
                return Err(Reject::Unit);
            }
            quantity = known.quantity.or(quantity);
            Some((Arc::clone(text), known.conversion.clone()))
        }
        (None, Some(named)) => Some((Arc::clone(&named.sent), named.conversion.clone())),
        (None, None) => None,
    };
    if let Some((text, conversion)) = known {
        measured.value = conversion.apply(measured.value).ok_or(Reject::NumberRange)?;
        measured.unit_sent = Some(text).filter(|text| *text != conversion.unit);
        measured.unit = Some(conversion.unit);
    }
    measured.quality = measured.quality.max(doubt(sent, &measured.value, quantity, rule));
    Ok(measured)
}

/// A text that is a number, as one.
fn number_in(text: Arc<str>) -> Value {
    let trimmed = text.trim();
    let is_written =
        trimmed.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let integer = || trimmed.parse::<i128>().ok().filter(|n| (i64::MIN.into()..=u64::MAX.into()).contains(n));
    let float = || trimmed.parse::<f64>().ok().and_then(Value::from_f64);
    let number = if is_written { integer().map(Value::Integer).or_else(float) } else { None };
    number.unwrap_or(Value::Text(text))
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with sentinels and ranges, which are doubles"
        )]
        Value::Integer(number) => Some(*number as f64),
        Value::Boolean(_) | Value::Text(_) => None,
    }
}

/// How far a number can be trusted, by what is known of sensors, or else by the profile.
fn doubt(
    sent: f64,
    value: &Value,
    quantity: Option<&'static Quantity>,
    rule: Option<&MetricRule>,
) -> Quality {
    let canonical = number_of(value).unwrap_or(sent);
    let is_outside =
        rule.and_then(|rule| rule.range).is_some_and(|(low, high)| canonical < low || canonical > high);
    if is_outside {
        return Quality::Bad;
    }
    match rule.and_then(|rule| rule.sentinels.as_ref()) {
        Some(sentinels) => {
            let meant = sentinels.iter().filter(|sentinel| sentinel.value == sent);
            meant.map(|sentinel| sentinel.quality).max().unwrap_or_default()
        }
        None => known_sentinel(sent, canonical, quantity),
    }
}

/// What sensors send instead of a measurement: a DS18B20 says 85 °C before its first conversion (which may also be
/// one) and its drivers say −127 °C where it is not connected (Maxim DS18B20 data sheet, "Power-on reset";
/// `DEVICE_DISCONNECTED_C` of DallasTemperature); registers of 16 bits say their extremes where there is no value
/// (SunSpec, "not implemented" values).
fn known_sentinel(sent: f64, canonical: f64, quantity: Option<&'static Quantity>) -> Quality {
    let is_temperature = quantity.is_some_and(Quantity::is_temperature);
    match (sent, canonical) {
        (_, 85.0) if is_temperature => Quality::Uncertain,
        (_, -127.0) if is_temperature => Quality::Bad,
        (32_767.0 | -32_768.0 | 65_535.0, _) if quantity.is_some() => Quality::Bad,
        (32_767.0 | -32_768.0 | 65_535.0, _) => Quality::Uncertain,
        _ => Quality::Good,
    }
}
