//! The text of a payload: its characters, and what is let pass of it that is not JSON.

use std::borrow::Cow;

use crate::limits::MAX_PAYLOAD_BYTES;
use crate::profile::{Charset, Leniency, Profile};
use crate::reject::Reject;

/// The text of a payload, as the profile says that it is encoded.
pub(super) fn of_bytes<'a>(bytes: &'a [u8], profile: Option<&Profile>) -> Result<Cow<'a, str>, Reject> {
    let text: Cow<'_, str> = match profile.map(|profile| profile.charset).unwrap_or_default() {
        Charset::Utf8 => return of_utf8(bytes).map(Cow::Borrowed),
        Charset::Latin1 => {
            bytes.iter().copied().map(char::from).collect::<String>().trim_end_matches('\0').to_owned().into()
        }
        Charset::Utf16 => of_utf16(bytes, u16::from_le_bytes)?.into(),
        Charset::Utf16Be => of_utf16(bytes, u16::from_be_bytes)?.into(),
    };
    if text.trim_ascii().is_empty() { Err(Reject::Empty) } else { Ok(text) }
}

/// The text of a payload that is UTF-8.
pub(super) fn of_utf8(bytes: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(bytes).map_err(|error| Reject::NotUtf8(error.valid_up_to()))?;
    // Byte order marks and C's closing zero bytes are what editors and firmware add, not content.
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
    if text.trim_ascii().is_empty() { Err(Reject::Empty) } else { Ok(text) }
}

/// Text of UTF-16 in the byte order that its mark says, else in that of `unit` (RFC 2781, 4.3).
fn of_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Reject> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Reject::CutShort);
    }
    let (unit, pairs): (fn([u8; 2]) -> u16, _) = match pairs {
        [[0xff, 0xfe], pairs @ ..] => (u16::from_le_bytes, pairs),
        [[0xfe, 0xff], pairs @ ..] => (u16::from_be_bytes, pairs),
        pairs => (unit, pairs),
    };
    let mut text = String::with_capacity(pairs.len());
    for (place, character) in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).enumerate() {
        text.push(character.map_err(|_| Reject::NotUtf8(2 * place))?);
    }
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}

/// The JSON that a text means.
pub(super) struct Mended<'a> {
    pub(super) json: Cow<'a, str>,
    /// Whether it is a list of what were several documents.
    pub(super) has_documents: bool,
}

/// The JSON that a text means which is not quite JSON. What is not let pass stays as it is, for the parser to refuse.
pub(super) fn as_json<'a>(text: &'a str, lenient: &[Leniency]) -> Mended<'a> {
    if lenient.is_empty() {
        return Mended { json: Cow::Borrowed(text), has_documents: false };
    }
    let mut json = String::with_capacity(text.len().min(MAX_PAYLOAD_BYTES) + 2);
    let mut mend = Mend {
        lenient,
        rest: text,
        json: &mut json,
        depth: 0,
        has_document: false,
        documents: 0,
        comma: None,
    };
    while mend.next_token() {}
    let has_documents = lenient.contains(&Leniency::Documents) && mend.documents > 1;
    if has_documents {
        json.insert(0, '[');
        json.push(']');
    }
    Mended { json: Cow::Owned(json), has_documents }
}

/// A text while it is made JSON, token by token.
struct Mend<'a> {
    lenient: &'a [Leniency],
    rest: &'a str,
    json: &'a mut String,
    depth: usize,
    /// Whether a document has begun at the outermost level.
    has_document: bool,
    documents: usize,
    /// Where in the JSON the comma stands that was written last, if only blanks follow it.
    comma: Option<usize>,
}

impl<'a> Mend<'a> {
    fn lets(&self, leniency: Leniency) -> bool {
        self.lenient.contains(&leniency)
    }

    /// Copies what is left up to `length`.
    fn copy(&mut self, length: usize) {
        let (token, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.json.push_str(token);
        self.rest = rest;
    }

    /// Reads one token; `false` at the end.
    fn next_token(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if first.is_ascii_whitespace() || first == '\u{1e}' {
            // Records of a JSON text sequence begin with this one (RFC 7464).
            self.json.push(if first == '\u{1e}' { ' ' } else { first });
            self.rest = &self.rest[first.len_utf8()..];
            return true;
        }
        if matches!(first, '}' | ']') {
            self.close();
            return true;
        }
        self.begin_document();
        self.comma = None;
        match first {
            '{' | '[' => {
                self.depth += 1;
                self.copy(1);
            }
            ',' => {
                self.comma = Some(self.json.len());
                self.copy(1);
            }
            '"' => self.copy(quoted(self.rest, b'"')),
            '\'' if self.lets(Leniency::SingleQuotes) => self.requote(),
            '0'..='9' | '+' | '-' | 'a'..='z' | 'A'..='Z' => self.word(),
            other => self.copy(other.len_utf8()),
        }
        true
    }

    fn close(&mut self) {
        if let Some(comma) = self.comma.take().filter(|_| self.lets(Leniency::TrailingCommas)) {
            self.json.remove(comma);
        }
        self.depth = self.depth.saturating_sub(1);
        self.copy(1);
    }

    /// Parts documents of one payload by commas.
    fn begin_document(&mut self) {
        if self.depth > 0 {
            return;
        }
        self.documents += 1;
        if self.has_document && self.lets(Leniency::Documents) {
            self.json.push(',');
        }
        self.has_document = true;
    }

    /// Writes a text in single quotes as JSON does.
    fn requote(&mut self) {
        let length = quoted(self.rest, b'\'');
        let (token, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.json.push('"');
        let inside = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
        let mut characters = inside.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => self.json.push_str("\\\""),
                '\\' => match characters.next() {
                    Some('\'') => self.json.push('\''),
                    Some(escaped) => self.json.extend(['\\', escaped]),
                    None => self.json.push('\\'),
                },
                character => self.json.push(character),
            }
        }
        self.json.push('"');
    }

    /// A number, or a word.
    fn word(&mut self) {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let length = self.rest.find(|c: char| !is_of_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        let unsigned = word.trim_start_matches(['+', '-']);
        let is_no_number =
            ["nan", "inf", "infinity"].iter().any(|known| known.eq_ignore_ascii_case(unsigned));
        let python = match word {
            "True" => Some("true"),
            "False" => Some("false"),
            "None" => Some("null"),
            _ => None,
        };
        match python.filter(|_| self.lets(Leniency::SingleQuotes)) {
            Some(json) => self.json.push_str(json),
            None if is_no_number && self.lets(Leniency::Nan) => self.json.extend(["\"", word, "\""]),
            None if self.lets(Leniency::LeadingZeros) => self.without_leading_zeros(word),
            None => self.json.push_str(word),
        }
        self.rest = rest;
    }

    fn without_leading_zeros(&mut self, word: &str) {
        let (sign, digits) = match word.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", word),
        };
        let zeros = digits.bytes().take_while(|byte| *byte == b'0').count();
        let is_followed = digits.as_bytes().get(zeros).is_some_and(u8::is_ascii_digit);
        let kept = if is_followed { zeros } else { zeros.saturating_sub(1) };
        self.json.extend([sign, digits.get(kept..).unwrap_or_default()]);
    }
}

/// The length of the text in quotes that stands at the beginning, its quotes included; all of it where it does not end.
fn quoted(text: &str, quote: u8) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Leniency; 5] = [
        Leniency::Nan,
        Leniency::LeadingZeros,
        Leniency::TrailingCommas,
        Leniency::SingleQuotes,
        Leniency::Documents,
    ];

    #[test]
    fn what_is_let_pass_becomes_json() {
        let check = |lenient: Leniency, text: &str, expected: &str| {
            assert_eq!(as_json(text, &[lenient]).json, expected, "{text}");
            assert_eq!(as_json(text, &ALL).json, expected, "{text}");
        };
        check(
            Leniency::Nan,
            r#"{"a":NaN,"b":-Infinity,"c":nan}"#,
            r#"{"a":"NaN","b":"-Infinity","c":"nan"}"#,
        );
        check(
            Leniency::LeadingZeros,
            r#"{"a":007,"b":-01.50,"c":0,"d":0.5,"e":000,"f":10}"#,
            r#"{"a":7,"b":-1.50,"c":0,"d":0.5,"e":0,"f":10}"#,
        );
        check(Leniency::TrailingCommas, r#"{"a":[1,2, ],"b":",}", }"#, r#"{"a":[1,2 ],"b":",}" }"#);
        check(
            Leniency::SingleQuotes,
            r#"{'a': True, 'b"': 'it\'s', "c'": None}"#,
            r#"{"a": true, "b\"": "it's", "c'": null}"#,
        );
        check(Leniency::Documents, "{\"a\":1}\n{\"a\":2}\n", "[{\"a\":1}\n,{\"a\":2}\n]");
        check(Leniency::Documents, "\u{1e}{\"a\":1}\n\u{1e}{\"a\":2}", "[ {\"a\":1}\n ,{\"a\":2}]");
    }

    #[test]
    fn what_is_not_let_pass_stays() {
        for text in [r#"{"a":NaN}"#, r#"{"a":007}"#, r#"{"a":[1,]}"#, "{'a':1}", "{}{}", "{\"a\": tru", "'"] {
            assert_eq!(as_json(text, &[]).json, text);
        }
        assert_eq!(as_json(r#"{"a":007,}"#, &[Leniency::TrailingCommas]).json, r#"{"a":007}"#);
        assert_eq!(as_json("{}{}", &[Leniency::Nan]).json, "{}{}");
    }

    #[test]
    fn texts_of_other_charsets_are_read() {
        let read = |charset: &str, bytes: &[u8]| {
            let profile = format!("name = \"p\"\ndevices = \"*/*\"\ncharset = \"{charset}\"");
            let profile = Profile::from_toml(&profile).unwrap();
            of_bytes(bytes, Some(&profile)).map(Cow::into_owned)
        };
        let le: Vec<u8> = "{\"ä\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = "\u{feff}{\"ä\":1}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let expected = Ok("{\"ä\":1}".to_owned());
        assert_eq!(read("latin-1", b"{\"\xe4\":1}\0"), expected);
        assert_eq!(read("utf-16", &le), expected);
        assert_eq!(read("utf-16", &be), expected);
        assert_eq!(read("utf-16be", &be), expected);
        assert_eq!(read("utf-16", &le[..5]), Err(Reject::CutShort));
        assert_eq!(read("utf-16", &[0, 0xd8, 0, 0]), Err(Reject::NotUtf8(0)));
        assert_eq!(read("utf-16", &[]), Err(Reject::Empty));
    }

    proptest! {
        #[test]
        fn json_stays_what_it_is(value in any_json()) {
            let text = value.to_string();
            let mended: serde_json::Value = serde_json::from_str(&as_json(&text, &ALL).json).unwrap();
            prop_assert_eq!(mended, value);
        }

        #[test]
        fn any_text_is_read_to_its_end(text in "\\PC*", open in "[\\[{\"',0NaTn\\\\ ]{0,40}") {
            let _ = as_json(&text, &ALL);
            let _ = as_json(&open, &ALL);
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9..1e9_f64).prop_map(Into::into),
            "\\PC{0,8}|['\",{}\\[\\]\\\\ NaTrue0]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("\\PC{0,4}|['\", ]{0,4}", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }
}
