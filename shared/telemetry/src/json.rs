//! JSON payloads, in the shapes that devices send.
//!
//! One pass of a serde visitor, without a tree of values in between. What it accepts:
//!
//! - an object, whose members are samples: `{"temperature": 22.5}`;
//! - nested objects, names joined by dots: `{"battery": {"level": 80}}` is `battery.level`;
//! - arrays of values, numbered: `{"accel": [0.1, 0.2]}` is `accel.0` and `accel.1`;
//! - an array of objects, each a record with its own time: a device's batch upload;
//! - such an array inside an object: records if its elements have times, else numbered;
//! - `{"ts": …, "values": {…}}`, and arrays of those.
//!
//! A record's time is the first of [`TIME_NAMES`] in it whose value is a time; `null` is no sample;
//! a record's `device_id` says who sends and is no sample either.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::interner::Interner;
use crate::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use crate::reading::{Metric, Value};
use crate::reject::Reject;
use crate::time::Micros;

/// The names under which devices send a time, the most telling first; compared without case.
pub const TIME_NAMES: [&str; 14] = [
    "ts",
    "timestamp",
    "time",
    "at",
    "t",
    "datetime",
    "date_time",
    "time_stamp",
    "epoch",
    "measured_at",
    "recorded_at",
    "created_at",
    "event_time",
    "eventtime",
];

/// The names under which devices send their own identity; compared without case.
const DEVICE_ID_NAMES: [&str; 2] = ["device_id", "deviceid"];

/// The member whose object holds a record's samples beside its time.
const VALUES: &str = "values";

/// One name and value as the device wrote them, with the record they stood in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) metric: Metric,
    pub(crate) value: Value,
    /// The record's own time.
    pub(crate) at: Option<Micros>,
    /// Which record of the payload, from 0.
    pub(crate) record: u32,
}

/// The samples of one payload.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Payload {
    pub(crate) samples: Vec<Sample>,
    /// The `device_id` that the records name, if any does.
    pub(crate) device_id: Option<String>,
    /// The name so far while decoding, dots included; kept for its memory.
    path: String,
}

/// Reads `bytes` into `payload`, whose previous content is dropped.
pub(crate) fn decode(bytes: &[u8], names: &mut Interner, payload: &mut Payload) -> Result<(), Reject> {
    payload.samples.clear();
    payload.device_id = None;
    let mut path = std::mem::take(&mut payload.path);
    path.clear();
    let text = std::str::from_utf8(bytes).map_err(|error| Reject::NotUtf8(error.valid_up_to()))?;
    // Byte order marks and C's closing zero bytes are what editors and firmware add, not content.
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
    if text.trim_ascii().is_empty() {
        return Err(Reject::Empty);
    }
    let mut state = State { names, payload, path, depth: 0, record: 0, reject: None };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = Node { state: &mut state, place: Place::Payload }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    let State { payload, path, reject, .. } = state;
    payload.path = path;
    match (outcome, reject) {
        (Ok(()), _) if payload.samples.is_empty() => Err(Reject::NoValue),
        (Ok(()), _) => Ok(()),
        (Err(_), Some(reject)) => Err(reject),
        (Err(error), None) => Err(explain(&error, text)),
    }
}

/// Puts a parser's complaint in words that quote nothing of the payload.
fn explain(error: &serde_json::Error, text: &str) -> Reject {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return Reject::CutShort;
    }
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    if what == "number out of range" {
        return Reject::NumberRange;
    }
    let rest = text.lines().nth(line.saturating_sub(1)).and_then(|line| line.get(column.saturating_sub(1)..));
    let starts_with = |word: &str| {
        rest.and_then(|rest| rest.get(..word.len())).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if starts_with("nan") || starts_with("inf") {
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

struct State<'s> {
    names: &'s mut Interner,
    payload: &'s mut Payload,
    path: String,
    depth: usize,
    record: u32,
    /// Why decoding stopped, where it was not the parser that stopped it: serde's errors carry text only.
    reject: Option<Reject>,
}

impl State<'_> {
    fn stop<E: Error>(&mut self, reject: Reject) -> E {
        self.reject = Some(reject);
        E::custom("rejected")
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.stop(Reject::Depth)) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Extends the path by one name; undone by truncating it to what it was.
    fn push_name<E: Error>(&mut self, name: &str) -> Result<(), E> {
        if name.is_empty() {
            return Err(self.stop(Reject::EmptyName));
        }
        let dot = usize::from(!self.path.is_empty());
        if self.path.len() + dot + name.len() > MAX_NAME_BYTES {
            return Err(self.stop(Reject::LongName));
        }
        if dot == 1 {
            self.path.push('.');
        }
        self.path.push_str(name);
        Ok(())
    }

    fn push_sample<E: Error>(&mut self, value: Value) -> Result<(), E> {
        if self.path.is_empty() {
            let shape = if self.depth == 0 { "one bare value" } else { "an array of bare values" };
            return Err(self.stop(Reject::Shape(shape)));
        }
        if self.payload.samples.len() == MAX_SAMPLES {
            return Err(self.stop(Reject::Samples));
        }
        let metric = self.names.intern(&self.path);
        self.payload.samples.push(Sample { metric, value, at: None, record: self.record });
        Ok(())
    }

    /// The members of an object. If the object may be a record, finds its time and gives it to its
    /// samples that have none yet.
    fn read_object<'de, A: MapAccess<'de>>(
        &mut self,
        mut map: A,
        object: Object,
    ) -> Result<Option<Micros>, A::Error> {
        let first_sample = self.payload.samples.len();
        let mut time: Option<RecordTime> = None;
        let base = self.path.len();
        while let Some(name) = map.next_key_seed(Name)? {
            let before = self.payload.samples.len();
            self.push_name(&name)?;
            let unprefixed = (object == Object::Outermost && name == VALUES).then_some(base);
            map.next_value_seed(Node { state: self, place: Place::Member { unprefixed } })?;
            let has_one_sample = object != Object::Nested && self.payload.samples.len() == before + 1;
            let known = if has_one_sample { known_name(&name) } else { None };
            // A scalar's sample has just this name; that of an object with one member has a longer one.
            let known = known.filter(|_| *self.payload.samples[before].metric == *self.path);
            self.path.truncate(base);
            match known {
                Some(Known::Time(rank)) => self.take_time(rank, &mut time),
                Some(Known::DeviceId) if object == Object::Outermost => self.take_device_id()?,
                _ => {}
            }
        }
        let at = time.map(|time| time.at);
        for sample in &mut self.payload.samples[first_sample..] {
            sample.at = sample.at.or(at);
        }
        Ok(at)
    }

    /// One element of an array inside an object: `index_at` is where its number begins in the path.
    fn read_element<'de, A: MapAccess<'de>>(&mut self, map: A, index_at: usize) -> Result<(), A::Error> {
        let first_sample = self.payload.samples.len();
        let name_at = self.path.len();
        if self.read_object(map, Object::Element)?.is_some() {
            self.drop_index_from_names(first_sample, index_at, name_at);
        }
        Ok(())
    }

    /// The last sample stood under a time's name: takes it as the record's time if its value is
    /// one and no better name has been seen. What is no time stays a sample.
    fn take_time(&mut self, rank: usize, time: &mut Option<RecordTime>) {
        let Some(sample) = self.payload.samples.last() else { return };
        let Some(at) = time_of(&sample.value) else { return };
        if time.as_ref().is_some_and(|best| best.rank <= rank) {
            return;
        }
        let sample = self.payload.samples.pop();
        let replaced = sample.and_then(|sample| time.replace(RecordTime { rank, at, sample }));
        self.payload.samples.extend(replaced.map(|replaced| replaced.sample));
    }

    fn take_device_id<E: Error>(&mut self) -> Result<(), E> {
        let Some(sample) =
            self.payload.samples.pop_if(|s| matches!(s.value, Value::Text(_) | Value::Integer(_)))
        else {
            return Ok(());
        };
        let device_id = sample.value.to_string();
        if self.payload.device_id.as_ref().is_some_and(|known| *known != device_id) {
            return Err(self.stop(Reject::ManyDevices));
        }
        self.payload.device_id = Some(device_id);
        Ok(())
    }

    /// Samples of a record with a time of its own need no number in their names to stay apart.
    fn drop_index_from_names(&mut self, first_sample: usize, index_at: usize, name_at: usize) {
        for sample in &mut self.payload.samples[first_sample..] {
            let name = format!("{}{}", &sample.metric[..index_at], &sample.metric[name_at..]);
            sample.metric = self.names.intern(&name);
        }
    }
}

/// The best candidate so far for a record's time.
struct RecordTime {
    rank: usize,
    at: Micros,
    sample: Sample,
}

fn time_of(value: &Value) -> Option<Micros> {
    match value {
        Value::Integer(count) => Micros::from_epoch(*count),
        Value::Float(count) => Micros::from_epoch_fraction(*count),
        Value::Text(text) => Micros::from_rfc3339(text),
        Value::Boolean(_) => None,
    }
}

/// A name that says what its value is.
enum Known {
    /// A record's time, with the rank of its name.
    Time(usize),
    DeviceId,
}

fn known_name(name: &str) -> Option<Known> {
    let position = |names: &[&str]| names.iter().position(|known| known.eq_ignore_ascii_case(name));
    position(&TIME_NAMES).map(Known::Time).or_else(|| position(&DEVICE_ID_NAMES).map(|_| Known::DeviceId))
}

/// What an object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    /// A record: the payload itself, or an element of the array that the payload is.
    Outermost,
    /// An element of an array inside a record: a record of its own if it has a time.
    Element,
    /// Part of a record.
    Nested,
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Place {
    Payload,
    BatchElement,
    /// Under a name; `unprefixed` is where the path ends without that name, if an object here
    /// leaves it out.
    Member {
        unprefixed: Option<usize>,
    },
    /// Under a number that begins at `index_at` in the path.
    Element {
        index_at: usize,
    },
}

/// One value, at its place.
struct Node<'a, 's> {
    state: &'a mut State<'s>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let state = self.state;
        state.enter()?;
        match self.place {
            Place::Payload | Place::BatchElement => drop(state.read_object(map, Object::Outermost)?),
            Place::Element { index_at } => state.read_element(map, index_at)?,
            Place::Member { unprefixed } => {
                state.path.truncate(unprefixed.unwrap_or(state.path.len()));
                state.read_object(map, Object::Nested)?;
            }
        }
        state.leave();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let state = self.state;
        state.enter()?;
        match self.place {
            Place::Payload => {
                while seq.next_element_seed(Node { state, place: Place::BatchElement })?.is_some() {
                    state.record += 1;
                }
            }
            Place::BatchElement => return Err(state.stop(Reject::Shape("an array of arrays"))),
            Place::Member { .. } | Place::Element { .. } => {
                let index_at = state.path.len();
                for index in 0_usize.. {
                    state.push_name(itoa::Buffer::new().format(index))?;
                    let element =
                        seq.next_element_seed(Node { state, place: Place::Element { index_at } })?;
                    state.path.truncate(index_at);
                    if element.is_none() {
                        break;
                    }
                }
            }
        }
        state.leave();
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.state.push_sample(Value::Boolean(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.state.push_sample(Value::Integer(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.state.push_sample(Value::Integer(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match Value::from_f64(number) {
            Some(value) => self.state.push_sample(value),
            None => Err(self.state.stop(Reject::NumberRange)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(self.state.stop(Reject::LongText));
        }
        self.state.push_sample(Value::Text(Arc::from(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TS: i64 = 1_700_000_000_000_000;

    /// Decodes and prints each sample as `name=value@seconds after TS` (`@-` without a time), with
    /// `#record` where the payload has several.
    fn show(payload: &[u8]) -> Result<String, Reject> {
        let mut decoded = Payload::default();
        decode(payload, &mut Interner::default(), &mut decoded)?;
        let words = decoded.samples.iter().map(|sample| {
            let at = sample.at.map_or("-".to_owned(), |at| ((at.0 - TS) / 1_000_000).to_string());
            let record = if sample.record > 0 { format!("#{}", sample.record) } else { String::new() };
            format!("{}={}@{at}{record}", sample.metric, sample.value)
        });
        Ok(words.collect::<Vec<_>>().join(" "))
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
        check(r#"{"time": {"now": 1700000001}}"#, "time.now=1700000001@-");
        check(r#"{"ts": null, "a": 1}"#, "a=1@-");
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
        check(&format!(r#"{{"a": 0.{}1}}"#, "0".repeat(100)), "a=1e-101@-");
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
        check(b"55.49", Reject::Shape("one bare value"));
        check(b"\"text\"", Reject::Shape("one bare value"));
        check(b"[1, 2]", Reject::Shape("an array of bare values"));
        check(b"[[{}]]", Reject::Shape("an array of arrays"));
        check(b"{\"a\": \xff}", Reject::NotUtf8(6));
        check(br#"{"a": 1, "b"#, Reject::CutShort);
        check(br#"{"a": 1"#, Reject::CutShort);
        check(br#"{"a": NaN}"#, Reject::NotANumber { line: 1, column: 7 });
        check(b"{\"a\":\n -Infinity}", Reject::NotANumber { line: 2, column: 3 });
        check(br#"{"a": 1} x"#, Reject::NotJson { what: "trailing characters".into(), line: 1, column: 10 });
        check(b"{a: 1}", Reject::NotJson { what: "key must be a string".into(), line: 1, column: 2 });
        check(
            b"temperature=22.5",
            Reject::NotJson { what: "no JSON value begins".into(), line: 1, column: 2 },
        );
        check(br#"{"a": 1e400}"#, Reject::NumberRange);
        check(br#"{"a": 1e200}"#, Reject::NumberRange);
        check(format!(r#"{{"a": {}}}"#, "9".repeat(1_000_000)).as_bytes(), Reject::NumberRange);
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
