//! The quantities that are known: their canonical units, the units that devices write, and the words of names.
//!
//! Canonical units are words of the IANA registry "SenML Units" (RFC 8428, section 12.1; secondary units RFC 8798).
//! Where its unit is not what people read such values in, another of its units is taken: Cel for temperatures (not K),
//! deg for angles (not rad), dBm for signals (not dBW), ug/m3 for dust in the air, which is a quantity of its own beside
//! density. What has the same dimension and another meaning is another quantity: `%` of a battery, of humidity, and `/`.
//!
//! A row names the prefixes that its unit has in practice. A prefix that is not in use is left out where the text would
//! be something else in practice: `cd` is candela and no centiday, `Mg` and `ML` are as likely mg and mL.

mod electric;
mod physical;

use super::quantity::{Dimension, Quantity, UnitRow};

/// All quantities.
pub(super) fn quantities() -> impl Iterator<Item = &'static Quantity> {
    physical::QUANTITIES.iter().chain(&electric::QUANTITIES)
}

/// How many there are.
pub(super) const COUNT: usize = physical::QUANTITIES.len() + electric::QUANTITIES.len();

/// Rows of units that UCUM (the Unified Code for Units of Measure) has.
pub(super) const fn ucum(
    code: &'static str,
    prefixes: &'static str,
    spellings: &'static [&'static str],
) -> UnitRow {
    UnitRow::ucum(code, prefixes, spellings)
}

/// Rows of units that UCUM lacks: how many canonical units one is.
pub(super) const fn times(
    factor: f64,
    prefixes: &'static str,
    spellings: &'static [&'static str],
) -> UnitRow {
    UnitRow::linear(factor, 0.0, prefixes, spellings)
}

/// A quantity with neither words nor a dimension of its own; the lists say what differs.
pub(super) const PLAIN: Quantity = Quantity {
    name: "",
    unit: "",
    ucum: None,
    dimension: Dimension::Never,
    words: &[],
    also: &[],
    possible: None,
    units: &[],
};

/// A quantity that alone has its dimension.
pub(super) const OWNER: Quantity = Quantity { dimension: Dimension::Owned, ..PLAIN };

/// A quantity whose dimension others have, too; a symbol of that dimension is still a unit of this quantity.
pub(super) const SHARER: Quantity = Quantity { dimension: Dimension::Shared, ..PLAIN };

/// Texts that are units of several quantities, or of one in several sizes, and that nothing decides between: they stay
/// as sent. `mb` is millibar or megabit, `PS` petasiemens or horsepower, `G` gauss or standard gravity, `Cal` 1000 cal.
/// Each with the prefixes that it may have, in either case.
pub(super) static AMBIGUOUS: [(&str, &str); 13] = [
    ("b", "mkMGTgtK"),
    ("b/s", "mkMGTgtK"),
    ("PS", ""),
    ("ps", ""),
    ("kt", ""),
    ("a", ""),
    ("k", ""),
    ("G", "numkM"),
    ("M", ""),
    ("Cal", "k"),
    ("C", "numk"),
    ("F", "mk"),
    ("Nm", ""),
];

/// Units whose megas are often written in lower case (`868 mhz`): there, a small m says nothing.
pub(super) static LOWER_CASE_MEGA: [&str; 2] = ["Hz", "Pa"];
