//! The way from a unit to another.

use std::sync::Arc;

use octofhir_ucum::{AdvancedConversionContext, Number, convert_with_context};

use super::quantity::{Meaning, Quantity};
use crate::limits::MAX_INTEGER;
use crate::reading::Value;

/// canonical = sent × factor + offset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversion {
    /// The canonical unit, in SenML's words.
    pub(crate) unit: Arc<str>,
    pub(crate) factor: f64,
    pub(crate) offset: f64,
}

impl Conversion {
    /// From a unit to itself.
    pub(crate) fn identity(unit: &str) -> Self {
        Self { unit: Arc::from(unit), factor: 1.0, offset: 0.0 }
    }

    /// From what a spelling means to the canonical unit of its quantity, with an SI prefix before it or without.
    pub(super) fn of(quantity: &Quantity, meaning: Meaning, prefix: Option<char>) -> Option<Self> {
        match meaning {
            Meaning::Ucum(code) => {
                let prefixed = prefix.map(|prefix| format!("{prefix}{code}"));
                Self::of_ucum(quantity, prefixed.as_deref().unwrap_or(code))
            }
            Meaning::Linear(factor, offset) => {
                let power = prefix.map_or(Some(0), power_of_ten)?;
                Some(Self::linear(quantity, times_power_of_ten(factor, power), offset))
            }
        }
    }

    /// From a UCUM code to the canonical unit of `quantity`; `None` if it measures something else, or is a logarithm.
    pub(super) fn of_ucum(quantity: &Quantity, code: &str) -> Option<Self> {
        let canonical = quantity.ucum?;
        let context = AdvancedConversionContext::default();
        let line = convert_with_context(1.0, code, canonical, &context).ok()?;
        Self::of_numbers(quantity, line.factor?, line.offset?)
    }

    /// As [`Conversion::linear`], of numbers with all digits that UCUM says.
    pub(super) fn of_numbers(quantity: &Quantity, factor: Number, offset: Number) -> Option<Self> {
        let (factor, offset) = (factor.to_f64(), offset.to_f64());
        let is_usable = factor.is_finite() && factor != 0.0 && offset.is_finite();
        is_usable.then(|| Self::linear(quantity, factor, offset))
    }

    fn linear(quantity: &Quantity, factor: f64, offset: f64) -> Self {
        Self { unit: Arc::from(quantity.unit), factor, offset }
    }

    /// The same way, on to the canonical unit of a quantity of the same dimension.
    pub(super) fn on_to(&self, from: &Quantity, to: &Quantity) -> Option<Self> {
        let step = Self::of_ucum(to, from.ucum?)?;
        let factor = rounded(self.factor * step.factor);
        Some(Self::linear(to, factor, rounded(self.offset * step.factor + step.offset)))
    }

    /// The value in the canonical unit. What is no number stays as it is, and so does every number where both units
    /// are the same; others are rounded to the 15 digits that a double holds. `None` for what a DynamoDB number
    /// cannot hold.
    pub(crate) fn apply(&self, value: &Value) -> Option<Value> {
        #[expect(clippy::float_cmp, reason = "an identity is exact")]
        let is_identity = self.factor == 1.0 && self.offset == 0.0;
        let sent = match value {
            _ if is_identity => return Some(value.clone()),
            Value::Float(sent) => *sent,
            Value::Integer(sent) => {
                if let Some(product) = self.whole_product(*sent) {
                    return Some(Value::from_integer(product));
                }
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "what is converted is rounded to 15 digits anyway"
                )]
                let sent = *sent as f64;
                sent
            }
            Value::Boolean(_) | Value::Text(_) => return Some(value.clone()),
        };
        let scaled = sent * self.factor;
        Value::from_f64(round_at(scaled + self.offset, scaled.abs().max(self.offset.abs())))
    }

    /// The integer that an integer becomes, with all its digits, where a whole factor is all that there is.
    fn whole_product(&self, sent: i128) -> Option<i128> {
        let is_whole = self.offset == 0.0 && self.factor.fract() == 0.0 && self.factor.abs() < 1e15;
        #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
        let factor = is_whole.then_some(self.factor as i128)?;
        sent.checked_mul(factor).filter(|product| product.unsigned_abs() < MAX_INTEGER)
    }
}

/// The power of ten that an SI prefix stands for.
fn power_of_ten(prefix: char) -> Option<i32> {
    Some(match prefix {
        'p' => -12,
        'n' => -9,
        'u' => -6,
        'm' => -3,
        'c' => -2,
        'd' => -1,
        'h' => 2,
        'k' => 3,
        'M' => 6,
        'G' => 9,
        'T' => 12,
        _ => return None,
    })
}

/// `number` × 10^`power`. Powers above one are exact in a double, those below are not: dividing rounds once.
fn times_power_of_ten(number: f64, power: i32) -> f64 {
    let scale = 10f64.powi(power.abs());
    if power < 0 { number / scale } else { number * scale }
}

/// A number to the 15 digits that a double holds, without what arithmetic has added: 0.1 + 0.2 is 0.3.
pub(crate) fn rounded(number: f64) -> f64 {
    round_at(number, number.abs())
}

/// A number to so many digits, at least one.
pub(crate) fn rounded_to(number: f64, digits: usize) -> f64 {
    format!("{number:.*e}", digits.saturating_sub(1)).parse().unwrap_or(number)
}

/// `number` rounded to the 15th digit of `magnitude`: what two numbers of that magnitude leave when they cancel out
/// has no more digits than they had.
fn round_at(number: f64, magnitude: f64) -> f64 {
    if !number.is_finite() || magnitude == 0.0 {
        return number;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a double has three digits")]
    let places = 14 - magnitude.log10().floor() as i32;
    match usize::try_from(places) {
        Ok(places @ 0..=300) => format!("{number:.places$}").parse().unwrap_or(number),
        _ => format!("{number:.14e}").parse().unwrap_or(number),
    }
}
