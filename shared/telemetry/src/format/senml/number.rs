//! Numbers of SenML, which are added: integers as integers, decimals as decimals.

use crate::limits::MAX_INTEGER;
use crate::reading::{Quality, Value};

/// Decimals beyond these are not looked for.
const MAX_DECIMALS: i32 = 12;

/// Below it, a double tells all integers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    /// A number of 32 bits, as readings have it: its shortest decimal.
    pub(super) fn from_f32(number: f32) -> Self {
        match Value::from_any_f32(number) {
            Some((Value::Integer(number), _)) => Self::Integer(number),
            Some((Value::Float(number), _)) => Self::Float(number),
            _ => Self::Float(number.into()),
        }
    }

    /// The sum. That of two decimals is a decimal: 0.1 and 0.2 are 0.3.
    pub(super) fn plus(self, other: Self) -> Self {
        let exact = match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.checked_add(b).map(Self::Integer),
            _ => sum_of_decimals(self.to_f64(), other.to_f64()).map(Self::Float),
        };
        exact.unwrap_or_else(|| Self::Float(self.to_f64() + other.to_f64()))
    }

    /// As a value, and what is to be thought of it. `None` for what cannot be stored.
    pub(super) fn value(self) -> Option<(Value, Quality)> {
        match self {
            Self::Integer(number) if number.unsigned_abs() < MAX_INTEGER => {
                Some((Value::from_integer(number), Quality::Good))
            }
            _ => Value::from_any_f64(self.to_f64()),
        }
    }

    /// As a value; what cannot be stored as a number is its text, of bad quality.
    pub(super) fn measured(self) -> (Value, Quality) {
        self.value().unwrap_or_else(|| (Value::Text(format!("{:e}", self.to_f64()).into()), Quality::Bad))
    }

    /// Seconds as microseconds, rounded. `None` where they do not fit 64 bits.
    pub(super) fn micros(self) -> Option<i64> {
        match self {
            Self::Integer(seconds) => i64::try_from(seconds.checked_mul(1_000_000)?).ok(),
            Self::Float(seconds) => {
                let micros = (seconds * 1e6).round();
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "checked, by a bound well within 64 bits"
                )]
                (micros.abs() < 9e18).then_some(micros as i64)
            }
        }
    }

    /// The integer, if it is one.
    pub(super) fn integer(self) -> Option<i128> {
        match self.value() {
            Some((Value::Integer(number), _)) => Some(number),
            _ => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "an integer beside a fraction, or one that 64 bits cannot hold"
    )]
    fn to_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// The double nearest to the sum of the decimals that two doubles are written as.
fn sum_of_decimals(a: f64, b: f64) -> Option<f64> {
    let scale = (0..=MAX_DECIMALS).map(|decimals| 10_f64.powi(decimals)).find(|scale| {
        let is_written = |number: f64| (number * scale).round() / scale == number;
        is_written(a) && is_written(b)
    })?;
    let (a, b) = ((a * scale).round(), (b * scale).round());
    (a.abs().max(b.abs()) < EXACT / 2.0).then(|| (a + b) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_digits() {
        let check = |a: Number, b: Number, expected: Number| {
            assert_eq!(a.plus(b), expected, "{a:?} {b:?}");
            assert_eq!(b.plus(a), expected, "{b:?} {a:?}");
        };
        use Number::{Float, Integer};
        check(Integer(9_007_199_254_740_993), Integer(1), Integer(9_007_199_254_740_994));
        check(Float(0.1), Float(0.2), Float(0.3));
        check(Float(20.1), Integer(3), Float(23.1));
        check(Float(-0.7), Float(0.1), Float(-0.6));
        check(Float(1e300), Float(1.5), Float(1e300));
        check(Float(1e15), Float(0.1), Float(1e15 + 0.1));
        check(Integer(i128::MAX), Integer(i128::MAX), Float(i128::MAX as f64 * 2.0));
        check(Float(f64::INFINITY), Integer(1), Float(f64::INFINITY));
        assert!(matches!(Float(f64::NAN).plus(Integer(1)), Float(number) if number.is_nan()));
    }

    #[test]
    fn seconds_are_microseconds() {
        let check =
            |seconds: Number, expected: Option<i64>| assert_eq!(seconds.micros(), expected, "{seconds:?}");
        check(Number::Float(1_276_020_076.001), Some(1_276_020_076_001_000));
        check(Number::Float(1_700_000_000.123_457), Some(1_700_000_000_123_457));
        check(Number::Float(-0.000_001_4), Some(-1));
        check(Number::Integer(-5), Some(-5_000_000));
        check(Number::Integer(i64::MAX.into()), None);
        check(Number::Integer(i128::MAX), None);
        check(Number::Float(1e13), None);
        check(Number::Float(f64::NAN), None);
        check(Number::Float(f64::NEG_INFINITY), None);
    }
}
