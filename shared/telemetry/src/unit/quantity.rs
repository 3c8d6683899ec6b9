//! What a quantity is, how its units are written down in the table, and when two quantities contradict each other.

use std::fmt::Write as _;

use super::table::{COUNT, quantities};

/// Something that can be measured.
#[derive(Debug)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    /// The canonical unit, in SenML's words.
    pub(crate) unit: &'static str,
    /// The same as UCUM's code, where it has one.
    pub(super) ucum: Option<&'static str>,
    /// Whether a unit of UCUM that has the dimension is a unit of this quantity.
    pub(super) dimension: Dimension,
    /// Words by which a metric's name says that it is this.
    pub(super) words: &'static [&'static str],
    /// Other quantities that those words are used for: a `flow` may be a speed. `*` stands for all.
    pub(super) also: &'static [&'static str],
    /// The lowest and the highest value that a device in the field can measure, in the canonical unit.
    pub(crate) possible: Option<(f64, f64)>,
    /// The units of this quantity.
    pub(super) units: &'static [UnitRow],
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.name == other.name
    }
}

impl Eq for Quantity {}

/// What the dimension of a unit says of its quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    /// Whatever has this dimension is of this quantity.
    Owned,
    /// A symbol of this dimension is (`[psi]` is a pressure), a compound may be of another (`J/m3`, `N.m`).
    Shared,
    /// Only what the table names is (Sv, Gy and J/kg; Bq and Hz).
    Never,
}

/// Units that one code or factor stands for, in all their spellings and with all their prefixes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct UnitRow {
    pub(super) meaning: Meaning,
    /// The SI prefixes that it may have, a letter each.
    pub(super) prefixes: &'static str,
    pub(super) spellings: &'static [&'static str],
    pub(super) use_of: Use,
}

/// When a row's units are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Always,
    /// Only with a prefix: `F` is Fahrenheit, `nF` is nanofarad.
    Prefixed,
    /// Only beside a value whose name says the quantity: `kt` is knots of a speed.
    WhereNamed,
}

/// What a spelling means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    /// A code of UCUM; a prefix may stand before it.
    Ucum(&'static str),
    /// Factor and offset to the canonical unit, where UCUM has no code for one of the two.
    Linear(f64, f64),
}

impl UnitRow {
    pub(super) const fn ucum(
        code: &'static str,
        prefixes: &'static str,
        spellings: &'static [&'static str],
    ) -> Self {
        Self { meaning: Meaning::Ucum(code), prefixes, spellings, use_of: Use::Always }
    }

    pub(super) const fn linear(
        factor: f64,
        offset: f64,
        prefixes: &'static str,
        spellings: &'static [&'static str],
    ) -> Self {
        Self { meaning: Meaning::Linear(factor, offset), prefixes, spellings, use_of: Use::Always }
    }

    pub(super) const fn where_named(self) -> Self {
        Self { use_of: Use::WhereNamed, ..self }
    }

    pub(super) const fn only_prefixed(self) -> Self {
        Self { use_of: Use::Prefixed, ..self }
    }
}

impl Quantity {
    pub(crate) fn is_temperature(&self) -> bool {
        self.name == "temperature"
    }

    /// Whether `number`, in the canonical unit, is beyond what a device in the field can measure.
    pub(crate) fn is_impossible(&self, number: f64) -> bool {
        self.possible.is_some_and(|(low, high)| number < low || number > high)
    }

    /// Whether the words of a name that say this quantity are used for `other`, too.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        self.may_be_anything() || self.also.contains(&other.name)
    }

    /// Whether the words of a name that say this quantity are used for all others.
    pub(super) fn may_be_anything(&self) -> bool {
        self.also.contains(&"*")
    }

    /// Whether both are the same thing, counted differently: then a unit of one says the other, too. Shares and
    /// humidity are percents, places are angles, and dust in the air is a density.
    pub(super) fn is_kin(&self, other: &Self) -> bool {
        const KIN: [&[&str]; 3] = [
            &["share", "humidity", "battery level"],
            &["angle", "latitude", "longitude"],
            &["density", "mass concentration"],
        ];
        self == other || KIN.iter().any(|kin| kin.contains(&self.name) && kin.contains(&other.name))
    }
}

/// The quantities that a name speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QuantitySet(u64);

const _: () = assert!(COUNT <= 64, "a set has a bit for each quantity");

impl QuantitySet {
    pub(super) fn insert(&mut self, quantity: &Quantity) {
        self.0 |= Self::bit(quantity);
    }

    pub(super) fn contains(self, quantity: &Quantity) -> bool {
        self.0 & Self::bit(quantity) != 0
    }

    fn bit(quantity: &Quantity) -> u64 {
        quantities().position(|known| known == quantity).map_or(0, |place| 1 << place)
    }
}

/// The quantity of which `word`, in lower case, speaks.
pub(super) fn of_word(word: &str) -> Option<&'static Quantity> {
    quantities().find(|quantity| quantity.words.contains(&word))
}

/// The README's table of quantities, in Markdown.
pub(crate) fn markdown_table() -> String {
    let mut table = "| quantity | canonical unit | understood |\n|---|---|---|\n".to_owned();
    for quantity in quantities() {
        let units: Vec<String> = quantity.units.iter().map(|row| units_in_words(quantity, row)).collect();
        // Writing to a text cannot fail.
        let _ = writeln!(table, "| {} | `{}` | {} |", quantity.name, quantity.unit, units.join(", "));
    }
    table
}

/// `` `Pa` (also with m h k M) ``.
fn units_in_words(quantity: &Quantity, row: &UnitRow) -> String {
    let spellings: Vec<String> = row.spellings.iter().map(|spelling| format!("`{spelling}`")).collect();
    let prefixes: Vec<String> = row.prefixes.chars().map(String::from).collect();
    let mut words = spellings.join(", ");
    match row.use_of {
        Use::Prefixed => words += &format!(" (only with {})", prefixes.join(" ")),
        Use::WhereNamed => words += &format!(" (where the name says {})", quantity.name),
        Use::Always if prefixes.is_empty() => {}
        Use::Always => words += &format!(" (also with {})", prefixes.join(" ")),
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_refers_to_is_in_it() {
        let is_known = |name: &str| quantities().any(|quantity| quantity.name == name);
        for quantity in quantities() {
            for name in quantity.also {
                assert!(*name == "*" || is_known(name), "{} says {name}", quantity.name);
            }
            assert!(!quantity.name.is_empty() && !quantity.unit.is_empty());
        }
    }

    #[test]
    fn a_word_speaks_of_one_quantity() {
        for quantity in quantities() {
            for word in quantity.words {
                assert_eq!(of_word(word), Some(quantity), "{word}");
            }
        }
    }
}
