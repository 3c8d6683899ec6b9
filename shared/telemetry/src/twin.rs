//! One measurement that a record says twice, in two units: `{"tempC": 20.1, "tempF": 68.2}`.
//!
//! Names lose the units at their ends, so both are `temp`. They are one reading if they differ by no more than the
//! coarser one's last digit counts, as they do whether a device rounds or cuts off; the one that says more of it is kept. What does not agree is not one measurement.

use crate::reading::{Reading, Value};
use crate::sample::Sample;

/// Which of two readings of one name says more, 0 or 1; `None` if they are not the same measurement.
pub(crate) fn finer(pair: [(&Sample, &Reading); 2]) -> Option<usize> {
    let has_lost_unit =
        |sample: &Sample| sample.name.rule.is_none() && *sample.name.metric != *sample.name.decoded;
    if !pair.iter().any(|(sample, _)| has_lost_unit(sample)) {
        return None;
    }
    let [a, b] = pair.map(|(sample, reading)| Measurement::of(sample, reading));
    let (a, b) = (a?, b?);
    let agrees = |a: f64, b: f64, within: f64| (a - b).abs() <= within * (1.0 + 1e-9);
    let is_one = agrees(a.canonical, b.canonical, a.step.max(b.step))
        // Without a unit a number may be in that of the other.
        || (a.has_unit != b.has_unit && agrees(a.sent, b.sent, a.sent_step.max(b.sent_step)));
    if !is_one {
        return None;
    }
    // What is known to be in its unit, as it was sent, to more digits.
    let says = |one: &Measurement| (one.has_unit, one.is_as_sent, -one.step);
    Some(usize::from(says(&b) > says(&a)))
}

/// A number, and how far its last digit goes.
struct Measurement {
    sent: f64,
    sent_step: f64,
    canonical: f64,
    step: f64,
    has_unit: bool,
    is_as_sent: bool,
}

impl Measurement {
    fn of(sample: &Sample, reading: &Reading) -> Option<Self> {
        let (sent, canonical) = (sample.value.as_f64()?, reading.value.as_f64()?);
        let factor = match (&sample.unit, &sample.name.unit) {
            (None, Some(unit)) => unit.conversion.factor.abs(),
            _ => 1.0,
        };
        let sent_step = last_digit(&sample.value);
        Some(Self {
            sent,
            sent_step,
            canonical,
            step: sent_step * factor,
            has_unit: reading.unit.is_some(),
            is_as_sent: reading.value == sample.value,
        })
    }
}

/// What the last digit of a number counts, as it is written shortest: 0.1 of 68.2.
fn last_digit(value: &Value) -> f64 {
    let text = value.to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exponent: i32 = exponent.parse().unwrap_or(0);
    10_f64.powi(exponent.saturating_sub(i32::try_from(decimals).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digit_is_the_last_that_is_written() {
        let check = |number: f64, expected: f64| {
            let found = last_digit(&Value::from_f64(number).unwrap());
            assert!((found / expected - 1.0).abs() < 1e-9, "{number}: {found}");
        };
        check(68.2, 0.1);
        check(20.0, 1.0);
        check(-0.25, 0.01);
        check(1.5e-9, 1e-10);
    }
}
