//! Numbers that a JSON parser cannot hold: integers of more than 64 bits, and magnitudes beyond a double.
//!
//! The parser makes doubles of the former and refuses the latter, with all that stands beside them. Such documents are
//! rare. They are read once more, with these numbers as texts that begin with a mark which no other text without escapes does.

use std::rc::Rc;

use crate::reading::Value;

/// Digits that an integer of 64 bits may have at most: a longer token is looked at.
const DIGITS_OF_64_BITS: usize = 18;

/// A document whose large numbers are marked texts.
pub(super) struct Marked {
    pub(super) text: String,
    pub(super) mark: Rc<str>,
}

/// Marks the numbers of `text` that a parser cannot hold; `None` if it has none.
pub(super) fn mark(text: &str) -> Option<Marked> {
    let numbers: Vec<_> =
        Numbers { text, at: 0 }.filter(|(start, end)| is_large(&text[*start..*end])).collect();
    if numbers.is_empty() {
        return None;
    }
    let mut mark = "number:".to_owned();
    while text.contains(&mark) {
        mark.insert(0, '~');
    }
    let mut marked = String::with_capacity(text.len() + numbers.len() * (mark.len() + 2));
    let mut done = 0;
    for (start, end) in numbers {
        marked.extend([&text[done..start], "\"", &mark, &text[start..end], "\""]);
        done = end;
    }
    marked.push_str(&text[done..]);
    Some(Marked { text: marked, mark: mark.into() })
}

/// Whether a number is one that `serde_json` makes less of than it says.
fn is_large(number: &str) -> bool {
    let is_integer = !number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if is_integer && number.len() <= DIGITS_OF_64_BITS {
        return false;
    }
    if is_integer && (number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()) {
        return false;
    }
    is_integer || number.parse().ok().and_then(Value::from_f64).is_none()
}

/// Where the numbers of a JSON text are, those in its texts left out.
struct Numbers<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Numbers<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let bytes = self.text.as_bytes();
        let mut is_text = false;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\\' if is_text => self.at += 1,
                b'"' => is_text = !is_text,
                b'-' | b'0'..=b'9' if !is_text => {
                    let start = self.at;
                    let is_of_number =
                        |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    self.at += bytes[start..].iter().take_while(|byte| is_of_number(byte)).count();
                    return Some((start, self.at));
                }
                _ => {}
            }
            self.at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_parser_cannot_hold_is_marked() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(mark(text).map(|marked| marked.text).as_deref(), expected, "{text}");
        };
        check(r#"{"a": 1, "b": -9223372036854775808, "c": 18446744073709551615, "d": 1e125}"#, None);
        check(r#"{"a": "18446744073709551616", "b": "\"1e400"}"#, None);
        check(r#"{"a":18446744073709551616}"#, Some(r#"{"a":"number:18446744073709551616"}"#));
        check(r#"[1e400,"number:",-1e-300]"#, Some(r#"["~number:1e400","number:","~number:-1e-300"]"#));
        check(r#"{"a": 0.000, "b": 0e5}"#, None);
    }
}
