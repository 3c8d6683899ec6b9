//! Units: what devices write, the canonical unit of each quantity, and the way from one to the other.
//!
//! A unit is converted only where it is certain what is meant; otherwise it stays as sent. Conversions come from UCUM
//! (the Unified Code for Units of Measure) by the crate `octofhir-ucum`: a table says which UCUM code a spelling means
//! ([`table`]), the crate what that is in the canonical unit. Only what UCUM lacks (var, dBm) has its factor in the
//! table.

mod compound;
mod conversion;
mod names;
mod quantity;
mod spelling;
mod suffix;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::reading::Unit;

pub(crate) use conversion::{Conversion, rounded, rounded_to};
pub(crate) use names::{is_one_wire, may_be_another, quantities_of_name, quantity_of_name};
pub(crate) use quantity::{Quantity, QuantitySet, markdown_table};
pub(crate) use spelling::Dialect;
pub(crate) use suffix::of_name;

use spelling::{Found, Meant};

/// How many texts are remembered in each dialect; then all are forgotten and learnt anew.
const MAX_UNITS: usize = 4 * 1024;

/// Beside how many quantities a text is remembered.
const MAX_QUANTITIES: usize = 8;

/// A unit as somebody wrote it, and what follows from that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KnownUnit {
    /// What it measures; `None` where that is not known, or not certain.
    pub(crate) quantity: Option<&'static Quantity>,
    /// Whether the text is a unit of several quantities, or one in several sizes.
    is_ambiguous: bool,
    /// The way to the canonical unit; of a unit that is not known, to itself.
    pub(crate) conversion: Conversion,
    /// What readings get.
    pub(crate) unit: Unit,
    /// What readings get that stay as they were sent.
    pub(crate) as_sent: Unit,
}

/// The quantities that a value's name, or its profile, says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Measured {
    /// What it measures, where that is known.
    pub(crate) quantity: Option<&'static Quantity>,
    /// All that its name speaks of.
    pub(crate) named: QuantitySet,
    /// Whether the profile says its unit: then nothing else is meant.
    pub(crate) is_certain: bool,
}

impl KnownUnit {
    fn new(text: &str, found: Found) -> Self {
        let is_ambiguous = found == Found::Several;
        let (quantity, conversion) = match found {
            Found::Unit(quantity, conversion) => (Some(quantity), conversion),
            Found::Several | Found::Unknown => (None, Conversion::identity(text)),
        };
        let unit = Unit::new(&conversion.unit, Some(text));
        Self { quantity, is_ambiguous, conversion, unit, as_sent: Unit::from(text) }
    }

    /// Whether a value that is `measured` cannot have this unit, as far as both are known. A unit that may be several
    /// contradicts every quantity that is known: its value cannot be read as one of it.
    pub(crate) fn contradicts(&self, measured: Measured) -> bool {
        let Some(expected) = measured.quantity else { return false };
        match self.quantity {
            Some(quantity) if quantity == expected => false,
            Some(quantity) if measured.is_certain => !expected.is_kin(quantity),
            Some(quantity) => {
                !expected.may_be(quantity) && !expected.is_kin(quantity) && !measured.named.contains(quantity)
            }
            None => measured.is_certain || (self.is_ambiguous && !expected.may_be_anything()),
        }
    }
}

/// The units that have been met.
#[derive(Debug, Default)]
pub(crate) struct Units {
    /// What is known of a text, by dialect.
    known: [HashMap<Box<str>, Entry, RandomState>; 2],
}

#[derive(Debug)]
struct Entry {
    /// Beside a value of which nothing is known.
    plain: Arc<KnownUnit>,
    /// Whether it is another beside a value of a known quantity.
    is_contextual: bool,
    /// What it is beside values of these quantities, as far as they have been met.
    in_context: Vec<(&'static Quantity, Arc<KnownUnit>)>,
}

impl Units {
    /// What is known of `text`, beside a value that measures `quantity`: `%` is relative humidity of one that does.
    pub(crate) fn get(
        &mut self,
        text: &str,
        dialect: Dialect,
        quantity: Option<&'static Quantity>,
    ) -> Arc<KnownUnit> {
        let [senml, written] = &mut self.known;
        let known = if dialect == Dialect::Senml { senml } else { written };
        if let Some(entry) = known.get_mut(text) {
            return entry.beside(text, dialect, quantity);
        }
        if known.len() == MAX_UNITS {
            known.clear();
        }
        let Meant { found, is_contextual, .. } = spelling::find(text, dialect, None);
        let plain = Arc::new(KnownUnit::new(text, found));
        let mut entry = Entry { plain, is_contextual, in_context: Vec::new() };
        let unit = entry.beside(text, dialect, quantity);
        known.insert(text.into(), entry);
        unit
    }
}

impl Entry {
    fn beside(
        &mut self,
        text: &str,
        dialect: Dialect,
        quantity: Option<&'static Quantity>,
    ) -> Arc<KnownUnit> {
        let Some(quantity) = quantity.filter(|_| self.is_contextual) else { return Arc::clone(&self.plain) };
        if let Some((_, unit)) = self.in_context.iter().find(|(of, _)| *of == quantity) {
            return Arc::clone(unit);
        }
        let unit = Arc::new(KnownUnit::new(text, spelling::find(text, dialect, Some(quantity)).found));
        if self.in_context.len() < MAX_QUANTITIES {
            self.in_context.push((quantity, Arc::clone(&unit)));
        }
        unit
    }
}

/// A unit that a person writes in a profile.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(crate) fn check(text: &str) -> Result<(&'static Quantity, Conversion), String> {
    match spelling::find(text, Dialect::Written, None).found {
        Found::Unit(quantity, conversion) => Ok((quantity, conversion)),
        Found::Several => Err(format!(
            "{text:?} means several units; write the one that is meant in SenML's or UCUM's words"
        )),
        Found::Unknown => {
            Err(format!("{text:?} is no unit that is known; write it in SenML's or UCUM's words"))
        }
    }
}
