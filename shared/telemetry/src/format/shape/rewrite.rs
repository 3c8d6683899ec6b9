//! Parts of documents that a profile says are written otherwise: each becomes what the usual shapes say it is.

use std::borrow::Cow;

use super::tree::Tree;
use crate::limits::MAX_UNIT_BYTES;
use crate::measure::number_of_text;
use crate::profile::{Encoding, Others};
use crate::reading::Value;
use crate::reject::Reject;

/// Lists of values with names by position; a list that is no row itself is one row.
pub(super) fn rows<'de>(tree: Tree<'de>, columns: &[Box<str>]) -> Tree<'de> {
    match tree {
        Tree::List(elements) if elements.iter().all(Tree::is_scalar) && !elements.is_empty() => {
            Tree::Rows(vec![named(elements, columns)])
        }
        Tree::List(elements) => {
            let row = |element| match element {
                Tree::List(cells) => named(cells, columns),
                other => other,
            };
            Tree::Rows(elements.into_iter().map(row).collect())
        }
        other => other,
    }
}

/// Puts the rows of an object, which are its member `rows_name`, under the names that its member at `header` lists.
/// The names stay: other rows may have the same. `None`, and the object as it was, if there are none.
pub(super) fn rows_of_header<'de>(
    object: &mut Tree<'de>,
    rows_name: &str,
    header: &crate::profile::MemberPath,
) -> Option<()> {
    let Tree::List(titles) = object.get(header)? else { return None };
    let title = |title: &Tree<'de>| match title {
        Tree::Text(text) => Some(Box::from(&**text)),
        _ => None,
    };
    let columns = titles.iter().map(title).collect::<Option<Vec<Box<str>>>>()?;
    let Tree::Map(members) = &mut *object else { return None };
    let (_, place) = members.iter_mut().find(|(name, _)| name == rows_name)?;
    if !matches!(place, Tree::List(_)) {
        return None;
    }
    *place = rows(std::mem::take(place), &columns);
    Some(())
}

/// Values under their names; those beyond are numbered, and those whose name is empty are left out.
fn named<'de>(values: Vec<Tree<'de>>, names: &[Box<str>]) -> Tree<'de> {
    let member = |(place, value): (usize, Tree<'de>)| match names.get(place) {
        Some(name) if name.is_empty() => None,
        Some(name) => Some((Cow::Owned(name.to_string()), value)),
        None => Some((Cow::Owned(place.to_string()), value)),
    };
    Tree::Map(values.into_iter().enumerate().filter_map(member).collect())
}

/// Several values of a list, or of a text that `separator` parts, under the names `into`.
pub(super) fn list<'de>(tree: Tree<'de>, separator: Option<&str>, into: &[Box<str>]) -> Tree<'de> {
    let values = match (tree, separator) {
        (Tree::List(values), _) => values,
        (Tree::Text(text), Some(separator)) => text.split(separator).map(word).collect(),
        (other, _) => return other,
    };
    if into.is_empty() { Tree::List(values) } else { named(values, into) }
}

/// The names and values of a text; what has no name is numbered, or left out.
///
/// # Errors
/// [`Reject::CutShort`] if a value lacks the `end` that values have: a number that is cut off is another number.
pub(super) fn pairs<'de>(
    tree: Tree<'de>,
    separator: &str,
    equals: &str,
    end: Option<&str>,
    others: Others,
) -> Result<Tree<'de>, Reject> {
    let Tree::Text(text) = &tree else { return Ok(tree) };
    let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
    let pair = |(place, part): (usize, &str)| match part.split_once(equals) {
        Some((name, value)) if !name.trim().is_empty() => {
            let value = end.map_or(Some(value), |end| value.strip_suffix(end));
            let named = |value| (Cow::Owned(name.trim().to_owned()), word(value));
            Some(value.map(named).ok_or(Reject::CutShort))
        }
        _ if others == Others::Ignore => None,
        _ => Some(Ok((Cow::Owned(place.to_string()), word(part)))),
    };
    parts.enumerate().filter_map(pair).collect::<Result<_, _>>().map(Tree::Map)
}

/// A value in a text: a number, a truth value or nothing where it is written as such.
fn word<'de>(text: &str) -> Tree<'de> {
    let text = text.trim();
    match text {
        "" => Tree::Null,
        "true" => Tree::Boolean(true),
        "false" => Tree::Boolean(false),
        text => number_of_text(text).map_or_else(|| Tree::Text(Cow::Owned(text.to_owned())), of_number),
    }
}

fn of_number<'de>(number: Value) -> Tree<'de> {
    match number {
        Value::Integer(number) => Tree::Integer(number),
        Value::Float(number) => Tree::Double(number),
        Value::Boolean(flag) => Tree::Boolean(flag),
        Value::Text(text) => Tree::Text(Cow::Owned(text.to_string())),
    }
}

/// The number that a text begins with, and what follows: its unit, perhaps empty. `None` if it does not begin with one,
/// or goes on as no unit does.
pub(super) fn number(text: &str, decimal: char) -> Option<(Value, &str)> {
    let text = text.trim();
    let grouping = if decimal == ',' { '.' } else { ',' };
    let is_of_number = |c: char| c.is_ascii_digit() || c == decimal || c == grouping;
    let signed = text.strip_prefix(['+', '-', '−']).unwrap_or(text);
    let digits_end = signed.find(|c: char| !is_of_number(c)).unwrap_or(signed.len());
    let (digits, mut unit) = signed.split_at_checked(digits_end)?;
    let (whole, fraction) =
        digits.split_once(decimal).map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let groups: Vec<&str> = whole.split(grouping).collect();
    let is_grouped = |(place, group): (usize, &&str)| match place {
        0 => groups.len() == 1 || (1..=3).contains(&group.len()),
        _ => group.len() == 3,
    };
    let is_written = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = !groups.concat().is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let fraction_is_written = fraction.is_none_or(is_written);
    if !is_number || !fraction_is_written || !groups.iter().enumerate().all(is_grouped) {
        return None;
    }
    let mut number = if text.starts_with(['-', '−']) { "-".to_owned() } else { String::new() };
    // A text like `.5` has no whole.
    number.push_str(if whole.is_empty() { "0" } else { "" });
    number.push_str(&groups.concat());
    if let Some(fraction) = fraction.filter(|fraction| !fraction.is_empty()) {
        number.extend([".", fraction]);
    }
    if let Some((exponent, rest)) = exponent(unit) {
        number.extend(["e", exponent]);
        unit = rest;
    }
    // DSMR has a star between the two (DSMR P1 5.0.2, 6.4).
    let unit = unit.trim().trim_start_matches('*').trim_start();
    let is_unit = unit.len() <= MAX_UNIT_BYTES
        && !unit.starts_with(|c: char| {
            c.is_ascii_digit() || matches!(c, ':' | '-' | '/' | ',' | '.' | '+' | ';')
        });
    Some((Value::from_digits(&number)?, unit)).filter(|_| is_unit)
}

/// The exponent that a text begins with: `e3`, `E-10`.
fn exponent(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(['e', 'E'])?;
    let sign = usize::from(rest.starts_with(['+', '-']));
    let digits = rest.get(sign..)?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| rest.split_at(sign + digits))
}

/// The bytes of a text.
pub(super) fn bytes(text: &str, encoding: Encoding) -> Result<Vec<u8>, Reject> {
    match encoding {
        Encoding::Base64 => of_base64(text).ok_or(Reject::Encoding("base64")),
        Encoding::Hex => of_hex(text).ok_or(Reject::Encoding("hex")),
    }
}

fn of_base64(text: &str) -> Option<Vec<u8>> {
    let is_url_safe = text.contains(['-', '_']);
    let digits = text.trim().trim_end_matches('=');
    let alphabet = if is_url_safe { base64_simd::URL_SAFE_NO_PAD } else { base64_simd::STANDARD_NO_PAD };
    alphabet.decode_to_vec(digits).ok()
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits = text.bytes().filter(|byte| !matches!(byte, b' ' | b':' | b'-')).map(digit);
    let digits = digits.collect::<Option<Vec<u8>>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_units() {
        let check = |text: &str, decimal: char, expected: Option<&str>| {
            let shown = number(text, decimal).map(|(value, unit)| format!("{value}|{unit}"));
            assert_eq!(shown.as_deref(), expected, "{text}");
        };
        check("20.6 ℃", '.', Some("20.6|℃"));
        check("-76 dBm", '.', Some("-76|dBm"));
        check("−5", '.', Some("-5|"));
        check("20,6 °C", ',', Some("20.6|°C"));
        check("1.234,5 kWh", ',', Some("1234.5|kWh"));
        check("1,234,567.5", '.', Some("1234567.5|"));
        check("12,5", '.', None);
        check(".5V", '.', Some("0.5|V"));
        check("5.", '.', Some("5|"));
        check("1e3 Hz", '.', Some("1000|Hz"));
        check("007", '.', Some("7|"));
        check("230V", '.', Some("230|V"));
        check("001234.567*kWh", '.', Some("1234.567|kWh"));
        check("2.5eV", '.', Some("2.5|eV"));
        check("12:30", '.', None);
        check("2024-07-11", '.', None);
        check("1.2.3", '.', None);
        check("1,2,3", ',', None);
        check("on", '.', None);
        check("", '.', None);
        check("-", '.', None);
    }

    #[test]
    fn bytes_are_read_from_either_alphabet() {
        let check = |text: &str, encoding: Encoding, expected: Option<&[u8]>| {
            assert_eq!(bytes(text, encoding).ok().as_deref(), expected, "{text}");
        };
        check("AQL/", Encoding::Base64, Some(&[1, 2, 255]));
        check("AQL_", Encoding::Base64, Some(&[1, 2, 255]));
        check("AQ==", Encoding::Base64, Some(&[1]));
        check("AQ", Encoding::Base64, Some(&[1]));
        check("A?", Encoding::Base64, None);
        check("01 02:fF", Encoding::Hex, Some(&[1, 2, 255]));
        check("0x0a", Encoding::Hex, Some(&[10]));
        check("123", Encoding::Hex, None);
        check("0g", Encoding::Hex, None);
    }
}
