//! Units that are written as UCUM's codes: `[degF]`, `m[H2O]`, `kg/m3`, `L/min`, and compounds of the table's units.
//!
//! UCUM reads nearly every short text as something: `pt` as picotonnes, `b` as barn, `a` as years, `Pa` in another case
//! as petaamperes. Only symbols in brackets, and symbols of the table, are read here. A compound is a unit of the
//! quantity that alone has its dimension; it stays as sent where others share it (`N.m` and `J`, `J/kg` and `Gy`), where
//! something cancels out of it (`m3/m3`, `L/km`), or where it counts moles, which UCUM takes for a number.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use octofhir_ucum::{EvalResult, Number, SpecialKind, UnitExpr, evaluate, parse_expression};

use super::conversion::Conversion;
use super::quantity::{self, Meaning, Quantity, Use};
use super::spelling::readings;
use super::table::quantities;

/// More factors than a unit in use has.
const MAX_FACTORS: usize = 4;

/// The exponents of UCUM's base units.
type Exponents = [i8; 7];

/// Of each dimension the quantity that it says, and how the canonical unit is a number of base units.
static BY_DIMENSION: LazyLock<HashMap<Exponents, (&'static Quantity, Number), RandomState>> =
    LazyLock::new(|| {
        let mut by_dimension = HashMap::default();
        let says = |quantity: &&Quantity| quantity.dimension != quantity::Dimension::Never;
        for quantity in quantities().filter(says) {
            if let Some(value) = quantity.ucum.and_then(evaluated) {
                by_dimension.entry(value.dim.0).or_insert((quantity, value.factor));
            }
        }
        by_dimension
    });

/// The quantity that a code measures, and the way to its canonical unit.
pub(super) fn find(text: &str) -> Option<(&'static Quantity, Conversion)> {
    if !is_written_as_code(text) {
        return None;
    }
    let factors = factors(text)?;
    if let [factor] = &*factors
        && factor.exponent == 1
    {
        return of_symbol(factor.symbol);
    }
    of_factors(&factors)
}

/// Whether the text has what a code has: a bracket or an operator, and nothing that is read in several ways.
fn is_written_as_code(text: &str) -> bool {
    let has_sign = text.bytes().any(|byte| matches!(byte, b'[' | b'/' | b'.')) || has_exponent(text);
    let is_in_several_ways = text.bytes().any(|byte| matches!(byte, b'(' | b'{' | b'*' | b'"' | b' '));
    // `W/m.K` is W/m × K to UCUM, and W/(m.K) to most people.
    let has_factor_after_division =
        text.find('/').is_some_and(|at| text.get(at..).is_some_and(|rest| rest.contains('.')));
    has_sign && text.is_ascii() && !is_in_several_ways && !has_factor_after_division
}

fn has_exponent(text: &str) -> bool {
    text.bytes().next_back().is_some_and(|last| last.is_ascii_digit())
}

/// A symbol and its exponent, which is negative below a line.
struct Factor<'a> {
    symbol: &'a str,
    exponent: i8,
}

fn factors(text: &str) -> Option<Vec<Factor<'_>>> {
    let mut factors = Vec::new();
    let (mut begin, mut is_divisor, mut depth) = (0, false, 0_u32);
    let ends = text.bytes().enumerate().chain(Some((text.len(), b'.')));
    for (at, byte) in ends {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.checked_sub(1)?,
            b'.' | b'/' if depth == 0 || at == text.len() => {
                factors.push(Factor::new(text.get(begin..at)?, is_divisor)?);
                if factors.len() > MAX_FACTORS {
                    return None;
                }
                is_divisor = byte == b'/';
                begin = at + 1;
            }
            _ => {}
        }
    }
    (depth == 0).then_some(factors)
}

impl<'a> Factor<'a> {
    fn new(text: &'a str, is_divisor: bool) -> Option<Self> {
        let symbol = text.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
        let written = text.get(symbol.len()..)?;
        let exponent: i8 = if written.is_empty() { 1 } else { written.parse().ok()? };
        let is_usable = !symbol.is_empty() && exponent != 0 && exponent.unsigned_abs() <= 4;
        is_usable.then_some(Self { symbol, exponent: if is_divisor { -exponent } else { exponent } })
    }
}

/// What a code is in base units; `None` also for logarithms and for units without a dimension of their own.
fn evaluated(code: &str) -> Option<EvalResult> {
    evaluate(&parse_expression(code).ok()?).ok().filter(is_usable)
}

/// Whether a value is a number of base units, or degrees of a temperature.
fn is_usable(value: &EvalResult) -> bool {
    let has_degrees = |kind| matches!(kind, SpecialKind::Celsius | SpecialKind::Fahrenheit);
    value.arbitrary.is_empty() && value.special.is_none_or(|special| has_degrees(special.unit.special))
}

/// Whether a symbol has a bracket, and is none of the constants of nature, of which each edition of UCUM has other digits.
fn is_bracketed(symbol: &str) -> bool {
    let is_constant = ["[e]", "[m_e]", "[m_p]"].iter().any(|constant| symbol.ends_with(constant));
    symbol.contains('[') && !is_constant
}

/// A symbol in brackets, as a unit by itself.
fn of_symbol(symbol: &str) -> Option<(&'static Quantity, Conversion)> {
    if !is_bracketed(symbol) {
        return None;
    }
    let value = evaluate(&UnitExpr::Symbol(symbol.to_owned())).ok().filter(is_usable)?;
    let (quantity, _) = BY_DIMENSION.get(&value.dim.0)?;
    Some((quantity, Conversion::of_ucum(quantity, symbol)?))
}

fn of_factors(factors: &[Factor<'_>]) -> Option<(&'static Quantity, Conversion)> {
    let mut exponents: Exponents = [0; 7];
    let mut number = Number::ONE;
    for factor in factors {
        let value = value_of(factor.symbol)?;
        for (sum, own) in exponents.iter_mut().zip(value.dim.0) {
            let own = own.checked_mul(factor.exponent)?;
            // What cancels out is part of what is measured: m3/m3 is no number of nothing.
            if own.signum() * sum.signum() < 0 {
                return None;
            }
            *sum = sum.checked_add(own)?;
        }
        number = number.checked_mul(value.factor.checked_powi(factor.exponent.into())?)?;
    }
    let (quantity, canonical) = BY_DIMENSION.get(&exponents)?;
    if quantity.dimension != quantity::Dimension::Owned {
        return None;
    }
    let factor = number.checked_div(*canonical)?;
    Some((quantity, Conversion::of_numbers(quantity, factor, Number::ZERO)?))
}

/// What a symbol within a compound is in base units: a unit of the table that UCUM has, or a symbol in brackets. None
/// is a temperature, which has a zero of its own, and none of those that share their dimension with a number (mol) or
/// with a rate (Hz, Bq).
fn value_of(symbol: &str) -> Option<EvalResult> {
    if is_bracketed(symbol) {
        let value = evaluate(&UnitExpr::Symbol(symbol.to_owned())).ok()?;
        let is_usable =
            value.arbitrary.is_empty() && value.special.is_none() && !value.dim.is_dimensionless();
        return is_usable.then_some(value);
    }
    let read = readings(symbol);
    let [reading] = &*read else { return None };
    let is_usable = reading.row.use_of != Use::WhereNamed
        && reading.quantity.dimension != quantity::Dimension::Never
        && !reading.quantity.is_temperature();
    let Meaning::Ucum(code) = reading.row.meaning else { return None };
    let prefixed = reading.prefix.map(|prefix| format!("{prefix}{code}"));
    evaluated(prefixed.as_deref().unwrap_or(code)).filter(|_| is_usable)
}
