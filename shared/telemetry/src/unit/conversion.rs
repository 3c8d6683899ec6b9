//! The way from a unit to another.

use std::sync::Arc;

use super::quantity::{Meaning, Quantity};
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

    /// From what a spelling means to the canonical unit of its quantity.
    pub(super) fn of(quantity: &Quantity, meaning: Meaning) -> Option<Self> {
        let (factor, offset) = match meaning {
            Meaning::Canonical => (1.0, 0.0),
            Meaning::Linear(factor, offset) => (factor, offset),
            Meaning::Ucum(code) => factor_and_offset(code, quantity.ucum?)?,
        };
        Some(Self { unit: Arc::from(quantity.unit), factor, offset })
    }

    /// From a UCUM code to the canonical unit of `quantity`; `None` if it measures something else.
    pub(super) fn of_ucum(quantity: &Quantity, code: &str) -> Option<Self> {
        let (factor, offset) = factor_and_offset(code, quantity.ucum?)?;
        Some(Self { unit: Arc::from(quantity.unit), factor, offset })
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
            Value::Integer(sent) if self.whole_factor().is_some_and(|factor| fits(*sent, factor)) => {
                return self.whole_factor().map(|factor| Value::Integer(sent * factor));
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "what is converted is rounded to 15 digits anyway"
            )]
            Value::Integer(sent) => *sent as f64,
            Value::Boolean(_) | Value::Text(_) => return Some(value.clone()),
        };
        let scaled = sent * self.factor;
        Value::from_f64(round_at(scaled + self.offset, scaled.abs().max(self.offset.abs())))
    }
}

impl Conversion {
    /// The factor, where it is all that there is, and an integer: then integers stay integers, with all their digits.
    fn whole_factor(&self) -> Option<i128> {
        let is_whole = self.offset == 0.0 && self.factor.fract() == 0.0 && self.factor.abs() < 1e15;
        #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
        is_whole.then_some(self.factor as i128)
    }
}

/// Whether the product is an integer of 64 bits.
fn fits(sent: i128, factor: i128) -> bool {
    sent.checked_mul(factor).is_some_and(|product| (i64::MIN.into()..=u64::MAX.into()).contains(&product))
}

/// What UCUM says of two units. A unit with a zero of its own, as a temperature, is a straight line, too; of a
/// logarithm there is none.
fn factor_and_offset(from: &str, to: &str) -> Option<(f64, f64)> {
    let convert = |number: f64| octofhir_ucum::convert(number, from, to).ok();
    let (zero, one, many) = (convert(0.0)?, convert(1.0)?, convert(1_000.0)?);
    let factor = if zero == 0.0 { one } else { (many - zero) / 1_000.0 };
    let is_line = (zero + 1_000.0 * factor - many).abs() <= 1e-9 * many.abs().max(zero.abs());
    let is_usable = is_line && factor.is_finite() && factor != 0.0 && zero.is_finite();
    is_usable.then_some((factor, zero))
}

/// A number to the 15 digits that a double holds, without what arithmetic has added: 0.1 + 0.2 is 0.3.
pub(crate) fn rounded(number: f64) -> f64 {
    round_at(number, number.abs())
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
