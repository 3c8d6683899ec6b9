//! What a text means as a unit.
//!
//! A text is read in this order; the first way that says something counts:
//!
//! 1. as it is written: a spelling of the table, with a prefix that its row has or without;
//! 2. as a compound of UCUM ([`super::compound`]);
//! 3. without regard to case, but for prefixes that another case makes another prefix: `kwh` is kilowatt-hours, `mwh`
//!    milliwatt-hours as it is written, and `MWH` is neither. Where several units remain, none is meant.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::compound;
use super::conversion::Conversion;
use super::quantity::{Quantity, UnitRow, Use};
use super::table::{AMBIGUOUS, LOWER_CASE_MEGA, quantities};

/// Longest text that is looked at as a unit, in bytes.
pub(super) const MAX_SPELLING_BYTES: usize = 32;

/// Whose words a unit is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// SenML's: `C` is coulomb.
    Senml,
    /// Whatever devices and people write: `C` is degrees Celsius.
    Written,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Unit(&'static Quantity, Conversion),
    /// Several units, or one in several sizes: which is not certain.
    Several,
    Unknown,
}

/// What a text means, and whether that depends on what its value is called.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Meant {
    pub(super) found: Found,
    pub(super) is_contextual: bool,
    /// The row of the table that it is, where it is one.
    pub(super) reading: Option<Reading>,
}

impl Meant {
    fn new(found: Found, is_contextual: bool) -> Self {
        Self { found, is_contextual, reading: None }
    }
}

/// One way to read a text: a row of the table, and the prefix before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub(super) quantity: &'static Quantity,
    pub(super) row: &'static UnitRow,
    pub(super) prefix: Option<char>,
    spelling: &'static str,
}

impl Reading {
    /// The text as the table spells it.
    pub(super) fn spelt(&self) -> String {
        self.prefix.into_iter().map(String::from).chain(Some(self.spelling.to_owned())).collect()
    }

    fn conversion(&self) -> Option<Conversion> {
        Conversion::of(self.quantity, self.row.meaning, self.prefix)
    }

    fn with(self, prefix: char) -> Self {
        Self { prefix: Some(prefix), ..self }
    }

    fn means_the_same(&self, other: &Self) -> bool {
        self.quantity == other.quantity
            && self.prefix == other.prefix
            && self.row.meaning == other.row.meaning
    }
}

/// The rows of the table by their spellings.
#[derive(Debug, Default)]
struct Spellings {
    exact: HashMap<&'static str, Vec<Reading>, RandomState>,
    /// By spellings in lower case.
    folded: HashMap<String, Vec<Reading>, RandomState>,
}

static SPELLINGS: LazyLock<Spellings> = LazyLock::new(|| {
    let mut spellings = Spellings::default();
    for quantity in quantities() {
        for row in quantity.units {
            for spelling in row.spellings {
                let reading = Reading { quantity, row, prefix: None, spelling };
                spellings.exact.entry(spelling).or_default().push(reading);
                spellings.folded.entry(spelling.to_ascii_lowercase()).or_default().push(reading);
            }
        }
    }
    spellings
});

/// What `text` means beside a value that measures `named`.
pub(super) fn find(text: &str, dialect: Dialect, named: Option<&'static Quantity>) -> Meant {
    let text = text.trim();
    let unknown = Meant::new(Found::Unknown, false);
    if text.is_empty() || text.len() > MAX_SPELLING_BYTES {
        return unknown;
    }
    let text = &*normalised(text);
    let exact = readings(text);
    if let Some(quantity) = (dialect == Dialect::Senml).then(|| of_senml(text, &exact)).flatten() {
        let found = Found::Unit(quantity, Conversion::identity(quantity.unit));
        return Meant::new(found, false);
    }
    if !exact.is_empty() {
        return decide(&exact, named, is_ambiguous(text));
    }
    if is_ambiguous(text) {
        return Meant::new(Found::Several, false);
    }
    match compound::find(text) {
        Some((quantity, conversion)) => on_to_named(quantity, conversion, named),
        None => find_folded(text, named).unwrap_or(unknown),
    }
}

/// The quantity whose canonical unit `text` is, where devices write it for another one: `C` and `F`.
fn of_senml(text: &str, written: &[Reading]) -> Option<&'static Quantity> {
    let quantity = quantities().find(|quantity| quantity.unit == text)?;
    (!written.iter().any(|reading| reading.quantity == quantity)).then_some(quantity)
}

/// Characters that are written for others.
const SIGNS: [(&str, &str); 14] = [
    ("\u{b5}", "u"),
    ("\u{3bc}", "u"),
    ("\u{2126}", "Ohm"),
    ("\u{3a9}", "Ohm"),
    ("\u{2103}", "°C"),
    ("\u{2109}", "°F"),
    ("\u{212a}", "K"),
    ("\u{207b}", "-"),
    ("\u{b9}", "1"),
    ("\u{b2}", "2"),
    ("\u{b3}", "3"),
    ("\u{b7}", "."),
    ("\u{22c5}", "."),
    ("\u{2212}", "-"),
];

/// The text as the table has it: one micro sign, one ohm sign, plain exponents, no spaces around operators.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'^');
    if is_plain {
        return Cow::Borrowed(text);
    }
    let mut plain = text.to_owned();
    for (sign, meaning) in SIGNS.iter().filter(|(sign, _)| text.contains(sign)) {
        plain = plain.replace(sign, meaning);
    }
    Cow::Owned(without_decoration(&plain))
}

/// The text without what says nothing: the caret of `m^2`, spaces beside operators, and those of `deg C` and `% RH`.
fn without_decoration(text: &str) -> String {
    let is_degrees = text.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("deg"));
    let is_loose = text.starts_with(['°', '%']) || is_degrees;
    let mut result = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let (before, after) = (result.chars().next_back(), letters.peek().copied());
        let is_beside_operator = before.is_some_and(is_operator) || after.is_some_and(is_operator);
        let is_after_unit = before.is_some_and(|before| before.is_ascii_alphabetic() || before == ']');
        let is_before_exponent = after.is_some_and(|after| after.is_ascii_digit() || after == '-');
        let says_nothing = match letter {
            ' ' => is_loose || is_beside_operator,
            '^' => is_after_unit && is_before_exponent,
            _ => false,
        };
        if !says_nothing {
            result.push(letter);
        }
    }
    result
}

fn is_operator(letter: char) -> bool {
    matches!(letter, '/' | '.')
}

/// The rows that `text` is written for, as it is written.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let rows = |spelling: &str| SPELLINGS.exact.get(spelling).into_iter().flatten().copied();
    let whole = rows(text).filter(|reading| reading.row.use_of != Use::Prefixed);
    let whole: Vec<_> = whole.collect();
    let Some((prefix, rest)) = first_letter(text).filter(|_| whole.is_empty()) else { return whole };
    let rows = rows(rest).filter(|reading| reading.row.prefixes.contains(prefix));
    rows.map(|reading| reading.with(prefix)).collect()
}

fn first_letter(text: &str) -> Option<(char, &str)> {
    let mut letters = text.chars();
    let first = letters.next()?;
    Some((first, letters.as_str()))
}

fn is_ambiguous(text: &str) -> bool {
    let is_it = |(spelling, prefixes): &(&str, &str)| match text.strip_suffix(spelling) {
        Some("") => true,
        Some(prefix) => prefix.len() == 1 && prefixes.contains(prefix),
        None => false,
    };
    AMBIGUOUS.iter().any(is_it)
}

/// Which of several readings is meant. What is meant only where the value's name says so counts before the others.
fn decide(readings: &[Reading], named: Option<&'static Quantity>, is_ambiguous: bool) -> Meant {
    let is_of_name = |reading: &&Reading| Some(reading.quantity) == named;
    let (conditional, plain): (Vec<&Reading>, Vec<&Reading>) =
        readings.iter().partition(|reading| reading.row.use_of == Use::WhereNamed);
    let of_name = conditional.iter().copied().find(is_of_name);
    let of_name = of_name.or_else(|| plain.iter().copied().find(is_of_name).filter(|_| plain.len() > 1));
    let meant = match (of_name, &*plain) {
        (Some(reading), _) => Some(reading),
        (None, [reading]) => Some(*reading),
        (None, [first, rest @ ..]) if rest.iter().all(|other| other.means_the_same(first)) => Some(*first),
        (None, _) => None,
    };
    let is_contextual = readings.len() > 1 || !conditional.is_empty();
    match meant.and_then(|reading| Some((reading, reading.conversion()?))) {
        Some((reading, conversion)) => {
            let meant = on_to_named(reading.quantity, conversion, named);
            Meant { is_contextual: is_contextual || meant.is_contextual, reading: Some(*reading), ..meant }
        }
        None if plain.is_empty() && !is_ambiguous => Meant::new(Found::Unknown, is_contextual),
        None => Meant::new(Found::Several, is_contextual),
    }
}

/// Dust in the air and density have one dimension: the value's name says in which unit it is stored.
fn on_to_named(
    quantity: &'static Quantity,
    conversion: Conversion,
    named: Option<&'static Quantity>,
) -> Meant {
    let is_density = |quantity: &Quantity| matches!(quantity.name, "density" | "mass concentration");
    let is_contextual = is_density(quantity);
    let other = named.filter(|named| is_contextual && is_density(named) && *named != quantity);
    let moved = other.and_then(|named| Some((named, conversion.on_to(quantity, named)?)));
    let (quantity, conversion) = moved.unwrap_or((quantity, conversion));
    Meant::new(Found::Unit(quantity, conversion), is_contextual)
}

/// What `text` means in another case.
fn find_folded(text: &str, named: Option<&'static Quantity>) -> Option<Meant> {
    // A letter alone is as likely a prefix, or something else in the other case: `g` and `G`.
    if text.len() < 2 || !text.is_ascii() {
        return None;
    }
    let folded = text.to_ascii_lowercase();
    let (prefix, _) = first_letter(text)?;
    let rest_folded = folded.get(prefix.len_utf8()..)?;
    let rows = |spelling: &str| SPELLINGS.folded.get(spelling).into_iter().flatten().copied();
    let mut certain: Vec<_> = rows(&folded).filter(|reading| reading.row.use_of != Use::Prefixed).collect();
    let mut doubtful: Vec<&'static Quantity> = Vec::new();
    for reading in rows(rest_folded) {
        match prefix_as_written(prefix, &reading) {
            Some(Prefix::Certain(prefix)) => certain.push(reading.with(prefix)),
            Some(Prefix::Doubtful) => doubtful.push(reading.quantity),
            None => {}
        }
    }
    // `PH` is petahenry to UCUM, and `RAD` a dose.
    let is_code = octofhir_ucum::lookup_unit(text, octofhir_ucum::Case::Sensitive).is_some();
    if certain.is_empty() && doubtful.is_empty() {
        return None;
    }
    if doubtful.is_empty() && !is_code {
        return Some(decide(&certain, named, false));
    }
    // The name decides between quantities, and never between the sizes of one.
    let of_name = named.filter(|named| !doubtful.contains(named));
    certain.retain(|reading| Some(reading.quantity) == of_name);
    let meant = decide(&certain, of_name, true);
    Some(Meant { is_contextual: true, ..meant })
}

/// What the first letter of a text says as a prefix.
enum Prefix {
    Certain(char),
    /// It may be one of two.
    Doubtful,
}

/// The prefix that `letter` is before the unit of `reading`, which the rest of the text spells in another case.
/// A capital M in front of letters of the wrong case may be a small one and says nothing, nor does a small one where
/// megas are often written so.
fn prefix_as_written(letter: char, reading: &Reading) -> Option<Prefix> {
    let is_often_mega = LOWER_CASE_MEGA.contains(&reading.spelling);
    let has = |prefix: char| reading.row.prefixes.contains(prefix);
    match letter {
        'm' if has('M') && (is_often_mega || !has('m')) => Some(Prefix::Doubtful),
        'M' if has('m') || has('M') => Some(Prefix::Doubtful),
        // Peta is a prefix, too, though no row has it.
        'p' | 'P' if has('p') => Some(Prefix::Doubtful),
        'K' | 'H' | 'U' | 'C' if has(letter.to_ascii_lowercase()) => {
            Some(Prefix::Certain(letter.to_ascii_lowercase()))
        }
        'g' if has('G') => Some(Prefix::Certain('G')),
        _ if has(letter) => Some(Prefix::Certain(letter)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text that the table says, with the row that it is of.
    fn every_spelling() -> Vec<(String, &'static Quantity, &'static UnitRow)> {
        let mut texts = Vec::new();
        for quantity in quantities() {
            for row in quantity.units {
                for spelling in row.spellings {
                    let prefixed = row.prefixes.chars().map(|prefix| format!("{prefix}{spelling}"));
                    let whole = (row.use_of != Use::Prefixed).then(|| (*spelling).to_owned());
                    texts.extend(prefixed.chain(whole).map(|text| (text, quantity, row)));
                }
            }
        }
        texts
    }

    #[test]
    fn every_spelling_of_the_table_is_read_in_one_way() {
        for (text, quantity, row) in every_spelling() {
            let named = (row.use_of == Use::WhereNamed).then_some(quantity);
            let found = find(&text, Dialect::Written, named).found;
            let Found::Unit(of, conversion) = found else { panic!("{text}: {found:?}") };
            assert_eq!(of.name, quantity.name, "{text}");
            assert_eq!(&*conversion.unit, quantity.unit, "{text}");
            assert_eq!(&*normalised(&text), text, "a spelling is written as texts are normalised");
        }
    }

    #[test]
    fn no_other_case_makes_milli_of_mega_or_mega_of_milli() {
        let mut count = 0;
        for (text, quantity, _) in every_spelling() {
            let other = match text.chars().next() {
                Some('m') => 'M',
                Some('M') => 'm',
                _ => continue,
            };
            // `m` of metres is no prefix.
            if !readings(&text).iter().any(|reading| reading.prefix.is_some()) {
                continue;
            }
            let meant = find(&text, Dialect::Written, Some(quantity)).found;
            let rest = &text[1..];
            for rest in [rest.to_owned(), rest.to_lowercase(), rest.to_uppercase()] {
                let found = find(&format!("{other}{rest}"), Dialect::Written, Some(quantity)).found;
                assert!(found != meant, "{text} is meant by {other}{rest}");
                count += 1;
            }
        }
        assert!(count > 200, "{count}");
    }

    #[test]
    fn signs_are_read_as_letters() {
        let check = |text: &str, expected: &str| assert_eq!(normalised(text), expected, "{text}");
        check("µS/cm", "uS/cm");
        check("μS/cm", "uS/cm");
        check("kΩ", "kOhm");
        check("k\u{2126}", "kOhm");
        check("m/s²", "m/s2");
        check("m/s^2", "m/s2");
        check("m·s⁻¹", "m.s-1");
        check("W / m²", "W/m2");
        check("° C", "°C");
        check("deg C", "degC");
        check("% RH", "%RH");
        check("fl oz", "fl oz");
        check("10^3", "10^3");
        check("^", "^");
    }
}
