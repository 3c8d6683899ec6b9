//! JSON payloads. Their shapes are those of every format that is made of maps and lists ([`shape`](super::shape)).

use serde::de::{DeserializeSeed, IgnoredAny};

use super::json_numbers as numbers;
use super::shape::{Node, Shape};
use super::{Context, text};
use crate::limits::MAX_TEXT_BYTES;
use crate::reject::Reject;
use crate::sample::Payload;

/// Adds the samples of a JSON text to `payload`.
pub(crate) fn decode(bytes: &[u8], context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
    let text = text::of_bytes(bytes, context.profile)?;
    let lenient = context.profile.map_or(&[][..], |profile| &profile.lenient);
    if !text.starts_with('{') && is_bare_word(&text) {
        return decode_text(text.trim(), context, payload);
    }
    let text::Mended { json: text, has_documents } = text::as_json(&text, lenient);
    let mut shape = Shape::new(context, payload).with_documents(has_documents);
    let outcome = read(&text, Node::payload(&mut shape));
    let met_large_number = shape.met_large_number;
    let outcome = shape.finish().map_or(outcome, Err);
    let is_to_be_read_again = match &outcome {
        Ok(()) => met_large_number,
        Err(reject) => *reject == Reject::NumberRange,
    };
    if !is_to_be_read_again {
        return outcome;
    }
    let Some(marked) = numbers::mark(&text) else { return outcome };
    payload.clear();
    let mut shape = Shape::new(context, payload).with_documents(has_documents).with_number_mark(marked.mark);
    let outcome = read(&marked.text, Node::payload(&mut shape));
    shape.finish().map_or(outcome, Err)
}

/// Adds the samples of a payload that is one text to `payload`: what the profile finds in it, or the text itself.
pub(super) fn decode_text(
    text: &str,
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<(), Reject> {
    let mut shape = Shape::new(context, payload);
    let outcome = shape.read_text(text);
    shape.finish().map_or(outcome, Err)
}

/// Whether a payload is one value that is no JSON: `ON`, `21,5`, `007`. More than a line is none, nor what has the signs of
/// a document.
fn is_bare_word(text: &str) -> bool {
    let has_signs = |text: &str| text.contains(['{', '}', '[', ']', '"', '\n', '\0']);
    text.len() <= MAX_TEXT_BYTES
        && !has_signs(text.trim())
        && serde_json::from_str::<IgnoredAny>(text).is_err()
}

/// Reads a JSON document.
pub(super) fn read<'de, T: DeserializeSeed<'de>>(text: &'de str, seed: T) -> Result<T::Value, Reject> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = seed.deserialize(&mut deserializer);
    outcome.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| explain(&error, text))
}

/// Reads a JSON document that is UTF-8.
pub(super) fn read_bytes<'de, T: DeserializeSeed<'de>>(
    bytes: &'de [u8],
    seed: T,
) -> Result<T::Value, Reject> {
    read(text::of_utf8(bytes)?, seed)
}

/// Puts a parser's complaint in words that quote nothing of the payload.
pub(crate) fn explain(error: &serde_json::Error, text: &str) -> Reject {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return Reject::CutShort;
    }
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    if what == "number out of range" {
        return Reject::NumberRange;
    }
    let line_text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if is_no_number(line_text, column) {
        return Reject::NotANumber { line, column };
    }
    let what = match what {
        "expected value" | "expected ident" => "no JSON value begins",
        "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
            "half a surrogate pair stands"
        }
        _ if error.is_data() => "an unexpected value stands",
        what => what,
    };
    Reject::NotJson { what: what.to_owned(), line, column }
}

/// Whether a text is a document in a text, perhaps a broken one: it begins as an object or a list does, or it is a value.
/// Any other is a text as texts are.
pub(crate) fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) || serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether what stands at a column of a line, or goes on there, is one of the words for numbers that JSON does not have.
fn is_no_number(line: &str, column: usize) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let before = line.as_bytes().get(..column.saturating_sub(1)).unwrap_or_default();
    let begun = before.iter().rev().take_while(|byte| is_letter(byte)).count();
    let from = line.as_bytes().get(before.len() - begun..).unwrap_or_default();
    let word: Vec<u8> = from.iter().copied().take_while(|byte| is_letter(byte)).collect();
    ["nan", "inf", "infinity"].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&word))
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::testing::show as show_samples;
    use crate::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
    use crate::names::TIME_NAMES;
    use crate::profile::Profile;
    use crate::reject::Reject;

    fn show(payload: &[u8]) -> Result<String, Reject> {
        show_samples(Format::Json, payload, None)
    }

    #[test]
    fn shapes() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"{"device_id": "sensor_1", "temperature": 22.5}"#, "temperature=22.5@-");
        check(r#"{"a": {"b": {"c": 1}, "d": 2}, "e": 3}"#, "a.b.c=1@- a.d=2@- e=3@-");
        check(r#"{"accel": [0.5, -1, 9.81]}"#, "accel.0=0.5@- accel.1=-1@- accel.2=9.81@-");
        check(r#"{"m": [[1, 2], [3]]}"#, "m.0.0=1@- m.0.1=2@- m.1.0=3@-");
        check(r#"[{"ts": 1700000001, "a": 1}, {"a": 2}]"#, "a=1@1 a=2@-#1");
        check(r#"{"ts": 1700000001000, "values": {"a": 1, "b": {"c": true}}}"#, "a=1@1 b.c=true@1");
        check(r#"{"values": {"a": 1}, "rssi": -70, "ts": 1700000001000}"#, "a=1@1 rssi=-70@1");
        check(
            r#"[{"ts": 1700000001000, "values": {"a": 1}}, {"ts": 1700000002000, "values": {"a": 2}}]"#,
            "a=1@1 a=2@2#1",
        );
        check(r#"{"values": [1, 2]}"#, "values.0=1@- values.1=2@-");
        check(r#"{"values": 7}"#, "values=7@-");
        check(
            r#"{"ts": 1700000009, "log": [{"t": 1700000001, "a": 1}, {"a": 2, "t": 1700000002}]}"#,
            "log.a=1@1 log.a=2@2",
        );
        check(r#"{"ts": 1700000009, "cells": [{"mv": 1}, {"mv": 2}]}"#, "cells.0.mv=1@9 cells.1.mv=2@9");
        check("\u{feff}{\"a\": 1}\0\0", "a=1@-");
        check(
            r#"{"text": "a\nb", "empty": "", "no": null, "flag": false}"#,
            "text=a\nb@- empty=@- flag=false@-",
        );
    }

    #[test]
    fn a_null_has_its_place_where_others_speak_of_it() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"{"t": {"value": 20, "unit": null}}"#, "t=20@-");
        check(r#"{"t": {"value": null, "unit": "C"}, "a": 1}"#, "a=1@-");
        check(r#"{"t": {"value": 20, "note": null}}"#, "t.value=20@-");
        check(r#"{"temp": null, "TempUnit": "F", "a": 1}"#, "a=1@-");
        check(r#"{"ts": [1700000001, 1700000002], "a": [null, 2]}"#, "a=2@2");
        check(r#"[{"a": null}, {"a": 2}, {}, {"a": 3}]"#, "a=2@-#1 a=3@-#2");
        check(r#"[{"temp": null}, {"temp": 2}]"#, "temp=2@-#1");
    }

    #[test]
    fn pairs_are_named_by_what_they_say() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"[{"name": "a", "value": 1}, {"value": true, "name": "b"}]"#, "a=1@- b=true@-");
        check(r#"[{"key": "a", "value": 1}, {"key": "a", "value": 2}]"#, "a=1@- a=2@-");
        check(r#"[{"name": "a", "value": 1, "unit": "hPa"}]"#, "a=1[hPa]@-");
        check(r#"[{"name": "a", "value": 1, "ts": 1700000001}]"#, "a=1@1");
        check(r#"[{"name": "a", "value": 1, "rssi": -70}]"#, "a.value=1@- a.rssi=-70@-");
        check(r#"[{"name": "a", "rssi": -70}]"#, "a.rssi=-70@-");
        check(r#"{"name": "a", "value": 1}"#, "name=a@- value=1@-");
        check(
            r#"{"id": 7, "data": [{"key": "a", "value": 1}, {"key": "b", "value": 2}]}"#,
            "id=7@- data.a=1@- data.b=2@-",
        );
        check(
            r#"{"data": [{"key": "long", "value": 1, "ts": 1700000001}, {"key": "b", "value": 2}]}"#,
            "data.long=1@1 data.b=2@-",
        );
        assert_eq!(show(br#"[{"name": "", "value": 1}]"#), Err(Reject::EmptyName));
    }

    #[test]
    fn units_stand_beside_values() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"{"temperature": {"value": 22.5, "unit": "C"}}"#, "temperature=22.5[C]@-");
        check(r#"{"a": {"unit": "%", "value": 3}, "b": {"value": 1}}"#, "a=3[%]@- b.value=1@-");
        check(r#"{"a": {"value": 3, "unit": 5}}"#, "a.value=3@- a.unit=5@-");
    }

    #[test]
    fn lists_beside_a_list_of_times_are_columns() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"{"ts": [1700000001, 1700000002], "a": [1, 2]}"#, "a=1@1 a=2@2");
        check(r#"{"a": [1, 2], "b": 5, "time": [1700000001, 1700000002]}"#, "a=1@1 a=2@2 b=5@-");
        check(
            r#"{"ts": [1700000001, 1700000002], "a": [1, 2], "accel": [7, 8, 9]}"#,
            "a=1@1 a=2@2 accel.0=7@- accel.1=8@- accel.2=9@-",
        );
        check(r#"{"ts": [1700000001, 1700000002], "a": 1}"#, "ts.0=1700000001@- ts.1=1700000002@- a=1@-");
        check(r#"{"ts": [1, 2], "a": [1, 2]}"#, "ts.0=1@- ts.1=2@- a.0=1@- a.1=2@-");
        check(r#"{"ts": [1700000001], "a": [4]}"#, "a=4@1");
    }

    #[test]
    fn a_text_may_be_the_document() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#""{\"a\": 1}""#, "a=1@-");
        check(r#""[{\"a\": 1}, {\"a\": 2}]""#, "a=1@- a=2@-#1");
        assert_eq!(show(br#""{\"a\": ""#), Err(Reject::CutShort));
        let nested = (0..20).fold("{}".to_owned(), |text, _| serde_json::to_string(&text).unwrap());
        assert!(show(nested.as_bytes()[..nested.len().min(100_000)].into()).is_err());
    }

    fn show_under(profile: &str, payload: &str) -> Result<String, Reject> {
        let profile = Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{profile}")).unwrap();
        show_samples(Format::Json, payload.as_bytes(), Some(&profile))
    }

    #[test]
    fn profiles_say_what_the_payload_does_not() {
        let check = |profile: &str, payload: &str, expected: &str| {
            assert_eq!(show_under(profile, payload).as_deref(), Ok(expected), "{profile}: {payload}");
        };
        check(
            r#"gateway = "members""#,
            r#"{"Device A": [{"ts": 1700000001, "values": {"a": 1}}, {"ts": 1700000002, "values": {"a": 2}}], "B": {"a": 3}}"#,
            "Device A:a=1@1 Device A:a=2@2#1 B:a=3@-#2",
        );
        check(
            r#"gateway = "sensor""#,
            r#"[{"sensor": "x", "a": 1}, {"sensor": 7, "a": 2}, {"a": 3}]"#,
            "x:a=1@- 7:a=2@-#1 a=3@-#2",
        );
        // Deeper in a record it names the record's device; with a star, or in a list, that of its own object.
        check(
            r#"gateway = "meta.id""#,
            r#"[{"a": 1, "meta": {"id": "x", "b": 2}}, {"a": 3}]"#,
            "x:a=1@- x:meta.b=2@- a=3@-#1",
        );
        check(r#"gateway = "meta.id""#, r#"{"meta": {"id": "x"}, "a": 1}"#, "x:a=1@-");
        check(
            r#"gateway = "*.id""#,
            r#"{"m": {"id": "x", "a": 1}, "n": {"id": "y", "a": 2}, "b": 3}"#,
            "x:m.a=1@- y:n.a=2@- b=3@-",
        );
        // Of several names the first that is there counts, wherever it stands.
        let several = r#"gateway = ["meta.id", "id", "other"]"#;
        check(several, r#"{"other": "z", "id": "y", "a": 1}"#, "y:a=1@-");
        check(several, r#"{"id": "y", "other": "z", "a": 1}"#, "y:a=1@-");
        check(several, r#"{"id": "y", "a": 1, "meta": {"id": "x"}}"#, "x:a=1@-");
        check(several, r#"{"other": "z", "a": 1}"#, "z:a=1@-");
        check(several, r#"{"a": 1}"#, "a=1@-");
        check(r#"documents = "data""#, r#"{"data": "{\"a\": 1}", "b": "{}"}"#, "data.a=1@- b={}@-");
        check(r#"documents = "data""#, r#"{"data": "online", "b": 1}"#, "data=online@- b=1@-");
        check(
            r#"documents = "data""#,
            r#"[{"data": "7"}, {"data": "true"}, {"data": ""}]"#,
            "data=7@- data=true@-#1 data=@-#2",
        );
        check(
            "time.field = \"/meta/when\"",
            r#"{"a": 1, "ts": 1700000009, "meta": {"when": 1700000001}}"#,
            "a=1@1 ts=1700000009@1",
        );
        check("time.field = \"when\"\ntime.unit = \"ms\"", r#"{"a": 1, "when": 1700000001000}"#, "a=1@1");
        check("time.zone = \"+01:00\"", r#"{"a": 1, "time": "2023-11-14T23:13:21"}"#, "a=1@3601");
        let refused = |profile: &str, payload: &str, expected: Reject| {
            assert_eq!(show_under(profile, payload), Err(expected), "{profile}: {payload}");
        };
        refused(r#"gateway = "members""#, r#"{"a/b": {"a": 1}}"#, Reject::Name("name of a gateway's device"));
        for payload in [r#"{"a": 1}"#, r#"{"a": "x"}"#, r#"{"a": [1, 2]}"#, r#"{"a": {"t": 1}, "b": true}"#] {
            let shape = Reject::Shape("a gateway's object in which a device has bare values");
            refused(r#"gateway = "members""#, payload, shape);
        }
        refused(r#"gateway = "members""#, "[1]", Reject::Shape("an array of bare values"));
        refused(r#"documents = "data""#, r#"{"data": "{"}"#, Reject::CutShort);
    }

    #[test]
    fn times() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        for name in TIME_NAMES {
            check(&format!(r#"{{"a": 1, "{name}": 1700000003}}"#), "a=1@3");
            check(&format!(r#"{{"a": 1, "{}": 1700000003}}"#, name.to_uppercase()), "a=1@3");
        }
        check(r#"{"a": 1, "time": "2023-11-14T22:13:23Z"}"#, "a=1@3");
        check(r#"{"a": 1, "ts": 1700000003.25}"#, "a=1@3");
        check(r#"{"t": 22.5}"#, "t=22.5@-");
        check(r#"{"t": 22.5, "ts": 1700000003}"#, "t=22.5@3");
        check(r#"{"ts": 12, "a": 1}"#, "ts=12@- a=1@-");
        check(r#"{"time": 1700000001, "ts": 1700000002, "a": 1}"#, "time=1700000001@2 a=1@2");
        check(r#"{"ts": 1700000002, "time": 1700000001, "a": 1}"#, "time=1700000001@2 a=1@2");
        check(r#"{"gps": {"time": 1700000001}}"#, "gps.time=1700000001@-");
        check(r#"{"a": 1, "gps": {"time": 1700000001, "lat": 5}}"#, "a=1@- gps.lat=5@1");
        check(
            r#"{"ts": 1700000003, "gps": {"time": 1700000001, "lat": 5}}"#,
            "gps.lat=5@3 gps.time=1700000001@3",
        );
        check(
            r#"{"a": 1, "created_at": 1700000003, "event_time": 1700000001}"#,
            "a=1@1 created_at=1700000003@1",
        );
        check(r#"{"a": 1, "ts": " 1700000003.5 "}"#, "a=1@3");
        check(r#"{"time": {"now": 1700000001}}"#, "time.now=1700000001@-");
        check(r#"{"ts": null, "a": 1}"#, "a=1@-");
    }

    #[test]
    fn a_time_that_the_profile_names_is_the_records_and_no_elements() {
        let profile =
            Profile::from_toml("name = \"p\"\ndevices = \"*/*\"\n[time]\nfield = \"meta.time\"").unwrap();
        for payload in [
            r#"{"meta": {"time": 1700000001}, "log": [{"x": 1}, {"x": 2}]}"#,
            r#"{"log": [{"x": 1}, {"x": 2}], "meta": {"time": 1700000001}}"#,
        ] {
            let shown = show_samples(Format::Json, payload.as_bytes(), Some(&profile));
            assert_eq!(shown.as_deref(), Ok("log.0.x=1@1 log.1.x=2@1"), "{payload}");
        }
    }

    #[test]
    fn only_numbers_are_read_as_marked() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"{"a": 1e400, "b": "\u006eumber:7"}"#, "a=1e400@- b=number:7@-");
        check(r#"{"a": 1e400, "b": "number:7"}"#, "a=1e400@- b=number:7@-");
        // In a document that is a text, too.
        check(
            r#""{\"a\": 1e400, \"b\": 18446744073709551616, \"c\": \"number:7\"}""#,
            "a=1e400@- b=18446744073709551616@- c=number:7@-",
        );
    }

    #[test]
    fn a_mistake_behind_a_large_number_is_at_its_own_column() {
        let refused = |payload: &str| show(payload.as_bytes()).unwrap_err();
        assert_eq!(
            refused(r#"{"a":18446744073709551616,"b":!}"#),
            refused(r#"{"a":"a text of as many.","b":!}"#),
        );
    }

    #[test]
    fn numbers_keep_their_digits() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(show(payload.as_bytes()).as_deref(), Ok(expected), "{payload}");
        };
        check(r#"{"a": 9007199254740993}"#, "a=9007199254740993@-");
        check(r#"{"a": 18446744073709551615}"#, "a=18446744073709551615@-");
        check(r#"{"a": -9223372036854775808}"#, "a=-9223372036854775808@-");
        check(r#"{"a": 22.0}"#, "a=22@-");
        check(r#"{"a": 1e3}"#, "a=1000@-");
        check(r#"{"a": 0.1}"#, "a=0.1@-");
        check(r#"{"a": 0.30000000000000004}"#, "a=0.30000000000000004@-");
        check(r#"{"a": 108802.38115548203}"#, "a=108802.38115548203@-");
        check(r#"{"a": 9841.900000000001}"#, "a=9841.900000000001@-");
        check(&format!(r#"{{"a": 0.{}1}}"#, "0".repeat(100)), "a=1e-101@-");
        check(r#"{"a": 18446744073709551616}"#, "a=18446744073709551616@-");
        check(
            r#"{"a": -99999999999999999999999999999999999999, "b": "1"}"#,
            "a=-99999999999999999999999999999999999999@- b=1@-",
        );
        check(r#"{"a": 100000000000000000000000000000000000001}"#, "a=1e+38@-");
        check(r#"{"a": 1e400, "b": [1e200, 2]}"#, "a=1e400@- b.0=1e200@- b.1=2@-");
    }

    #[test]
    fn rejects() {
        let check = |payload: &[u8], expected: Reject| {
            assert_eq!(
                show(payload),
                Err(expected),
                "{}",
                String::from_utf8_lossy(&payload[..payload.len().min(80)])
            );
        };
        check(b"", Reject::Empty);
        check(b" \r\n", Reject::Empty);
        check(b"{}", Reject::NoValue);
        check(b"[]", Reject::NoValue);
        check(b"null", Reject::NoValue);
        check(br#"{"a": null}"#, Reject::NoValue);
        check(br#"{"ts": 1700000000}"#, Reject::NoValue);
        check(b"55.49", Reject::BareValue);
        check(b"\"text\"", Reject::BareValue);
        check(b"[1, 2]", Reject::Shape("an array of bare values"));
        check(b"[[{}]]", Reject::Shape("an array of arrays"));
        check(b"{\"a\": \xff}", Reject::NotUtf8(6));
        check(br#"{"a": 1, "b"#, Reject::CutShort);
        check(br#"{"a": 1"#, Reject::CutShort);
        check(br#"{"a": NaN}"#, Reject::NotANumber { line: 1, column: 7 });
        check(b"{\"a\":\n -Infinity}", Reject::NotANumber { line: 2, column: 3 });
        check(br#"{"a": nan}"#, Reject::NotANumber { line: 1, column: 8 });
        check(br#"{"a": -nan, "b": 1}"#, Reject::NotANumber { line: 1, column: 8 });
        check(br#"{"a": inf}"#, Reject::NotANumber { line: 1, column: 7 });
        check(br#"{"a": 1} x"#, Reject::NotJson { what: "trailing characters".into(), line: 1, column: 10 });
        check(b"{a: 1}", Reject::NotJson { what: "key must be a string".into(), line: 1, column: 2 });
        check(b"temperature=22.5", Reject::BareValue);
        check(b"a,b\n1,2", Reject::NotJson { what: "no JSON value begins".into(), line: 1, column: 1 });
        check(format!(r#"{{"a": {}}}"#, "9".repeat(1_000_000)).as_bytes(), Reject::LongText);
        check(br#"{"": 1}"#, Reject::EmptyName);
        check(format!(r#"{{"{}": 1}}"#, "n".repeat(10_000)).as_bytes(), Reject::LongName);
        check(format!(r#"{{"a": "{}"}}"#, "t".repeat(1025)).as_bytes(), Reject::LongText);
        check("[".repeat(128 * 1024).as_bytes(), Reject::Shape("an array of arrays"));
        check(format!(r#"{{"a": {}"#, "[".repeat(128 * 1024)).as_bytes(), Reject::Depth);
        check(r#"{"a":"#.repeat(20_000).as_bytes(), Reject::Depth);
        check(format!("{{\"a\": [{}1]}}", "1,".repeat(10_000)).as_bytes(), Reject::Samples);
        check(br#"[{"device_id": "a", "x": 1}, {"device_id": "b", "x": 1}]"#, Reject::ManyDevices);
    }

    #[test]
    fn reasons_quote_nothing_of_the_payload() {
        for payload in
            [r#"{"a": "secret" "b"}"#, r#"{"a": secret}"#, r#"{"secret"}"#, r#"["secret", {"#, "secret"]
        {
            let reason = show(payload.as_bytes()).unwrap_err().to_string();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        assert!(show(format!(r#"{{"{}": 1}}"#, "n".repeat(MAX_NAME_BYTES)).as_bytes()).is_ok());
        assert!(show(format!(r#"{{"a": "{}"}}"#, "t".repeat(MAX_TEXT_BYTES)).as_bytes()).is_ok());
        assert!(show(format!("{{\"a\": [{}1]}}", "1,".repeat(MAX_SAMPLES - 1)).as_bytes()).is_ok());
        let deep = format!("{}1{}", r#"{"a":"#.repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        assert!(show(deep.as_bytes()).is_ok());
    }
}
