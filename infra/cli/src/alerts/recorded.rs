//! Readings in a file, as `tidegate query` prints them in JSON and CSV, and `tidegate lake export` in CSV.
//!
//! The files do not say when a reading was received. The order of the lines stands for the order of arrival: each was
//! received when it was measured, but not before what stands above it.

use std::io::{BufRead, Read as _};

use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::attribute::Attribute;
use telemetry::{DeviceId, Micros, Quality, Reading, Seq, TimeSource, Value};

use crate::error::{Context as _, Error, Result};
use crate::query::{CSV_HEADER, CSV_REVISION, CSV_SEQ};

/// Longest reading, in bytes: names and a text as long as they may be, each character escaped, need less.
const MAX_RECORD_BYTES: usize = 64 * 1024;

/// The highest `seq` there is.
const MAX_SEQ: u64 = (1 << 62) - 1;

/// How readings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    Csv,
}

/// Reads readings one by one. One that cannot be read is an error that names its line, and nothing of its content.
pub(super) struct Recorded<R> {
    input: R,
    name: String,
    line: usize,
    shape: Option<Shape>,
    received: Micros,
}

impl<R: BufRead> Recorded<R> {
    /// What `input` has, which is called `name` in errors.
    pub(super) fn new(input: R, name: impl Into<String>) -> Self {
        Self { input, name: name.into(), line: 0, shape: None, received: Micros(i64::MIN) }
    }

    fn next_reading(&mut self) -> Result<Option<Reading>> {
        loop {
            let Some((first_line, record)) = self.record()? else { return Ok(None) };
            let text = record.trim();
            if text.is_empty() {
                continue;
            }
            let shape = match self.shape {
                Some(shape) => shape,
                None if text.starts_with('{') => *self.shape.insert(Shape::Json),
                None if text.starts_with(CSV_HEADER) => {
                    self.shape = Some(Shape::Csv);
                    continue;
                }
                None => {
                    return Err(self.bad(first_line, &format!("is neither JSON nor the header {CSV_HEADER}")));
                }
            };
            let reading = match shape {
                Shape::Json => from_json(text),
                Shape::Csv => from_csv(text),
            };
            let mut reading = reading.map_err(|problem| self.bad(first_line, &problem))?;
            // A microsecond apart: of two with one identity the lower one replaces the other.
            self.received = reading.at.max(self.received.plus(1));
            reading.received = self.received;
            return Ok(Some(reading));
        }
    }

    /// The next record with its first line's number: a line, or in CSV more of them where a text has line breaks.
    fn record(&mut self) -> Result<Option<(usize, String)>> {
        let first_line = self.line + 1;
        let mut bytes = Vec::new();
        loop {
            let room = (MAX_RECORD_BYTES + 1).saturating_sub(bytes.len());
            let mut limited = self.input.by_ref().take(room as u64);
            let read =
                limited.read_until(b'\n', &mut bytes).or_problem(|| format!("cannot read {}", self.name))?;
            if bytes.len() > MAX_RECORD_BYTES {
                return Err(self.bad(first_line, "is too long for a reading"));
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            let is_open =
                self.shape == Some(Shape::Csv) && bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            if !is_open || read == 0 {
                let text = String::from_utf8(bytes).map_err(|_| self.bad(first_line, "is not UTF-8 text"))?;
                return Ok(Some((first_line, text)));
            }
        }
    }

    fn bad(&self, line: usize, problem: &str) -> Error {
        Error::problem(format!("{}:{line}: {problem}", self.name))
    }
}

impl<R: BufRead> Iterator for Recorded<R> {
    type Item = Result<Reading>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_reading().transpose()
    }
}

/// A reading of the members that are printed of it.
struct Members<'a> {
    device: &'a str,
    metric: &'a str,
    at: &'a str,
    value: Option<Value>,
    unit: Option<&'a str>,
    time_source: Option<&'a str>,
    quality: Option<&'a str>,
    seq: Option<&'a str>,
    revision: Option<&'a str>,
}

impl Members<'_> {
    fn reading(self) -> Result<Reading, String> {
        let is_device = self.device.split('/').filter(|level| !level.is_empty()).count() == 2;
        let wrong = |member: &str, what: &str| format!("`{member}` is not {what}");
        let at = Micros::from_rfc3339(self.at)
            .ok_or_else(|| wrong("at", "a time such as 2026-11-23T07:00:00Z"))?;
        let source = self.time_source.map_or(Some(TimeSource::Device), TimeSource::from_word);
        let quality = self.quality.map_or(Some(Quality::Good), Quality::from_word);
        let seq = self.seq.map_or(Some(0), |digits| digits.parse().ok()).filter(|seq| *seq <= MAX_SEQ);
        let revision = self.revision.map_or(Some(Micros::default()), Micros::from_rfc3339);
        if !is_device {
            return Err(wrong("device", "a device such as plant-1/pump-7"));
        }
        if self.metric.is_empty() {
            return Err(wrong("metric", "a name"));
        }
        Ok(Reading {
            device: DeviceId::from_stored(self.device),
            metric: self.metric.into(),
            at,
            received: at,
            value: self.value.ok_or_else(|| wrong("value", "a value that a reading can have"))?,
            unit: self.unit.map(Into::into),
            quality: quality.ok_or_else(|| wrong("quality", "good, uncertain or bad"))?,
            seq: seq.map(Seq).ok_or_else(|| wrong("seq", "the digits of an integer of 62 bits"))?,
            revision: revision.ok_or_else(|| wrong("revision", "a time such as 2026-11-23T07:00:00Z"))?,
            time_source: source.ok_or_else(|| wrong("time_source", "device, format, broker or arrival"))?,
            correction: None,
        })
    }
}

fn from_json(text: &str) -> Result<Reading, String> {
    #[derive(Deserialize)]
    struct Line<'a> {
        device: String,
        metric: String,
        at: String,
        #[serde(borrow)]
        value: &'a RawValue,
        #[serde(default)]
        unit: Option<String>,
        #[serde(default)]
        time_source: Option<String>,
        #[serde(default)]
        quality: Option<String>,
        #[serde(default)]
        seq: Option<String>,
        #[serde(default)]
        revision: Option<String>,
    }
    // serde's own text may quote what it found.
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| {
        format!("is no reading as `tidegate query --format json` prints it (column {})", error.column())
    })?;
    let members = Members {
        device: &line.device,
        metric: &line.metric,
        at: &line.at,
        value: value_of_json(line.value.get()),
        unit: line.unit.as_deref(),
        time_source: line.time_source.as_deref(),
        quality: line.quality.as_deref(),
        seq: line.seq.as_deref(),
        revision: line.revision.as_deref(),
    };
    members.reading()
}

/// A number is read from its own text: serde may lose its last digit, and one that lies exactly at a level must not.
fn value_of_json(json: &str) -> Option<Value> {
    match json {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        _ if json.starts_with('"') => {
            serde_json::from_str(json).ok().map(|text: String| Value::Text(text.into()))
        }
        _ => number(json),
    }
}

fn number(text: &str) -> Option<Value> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    is_number.then(|| Attribute::N(text.to_owned()).as_value()).flatten()
}

fn from_csv(record: &str) -> Result<Reading, String> {
    let fields = csv_fields(record).ok_or("has a quote that is not closed")?;
    let [device, metric, at, value, unit, time_source, quality, ..] = fields.as_slice() else {
        return Err(format!("has {} fields, and not the 7 of {CSV_HEADER}", fields.len()));
    };
    let optional = |place: usize| fields.get(place).map(String::as_str).filter(|field| !field.is_empty());
    let members = Members {
        device,
        metric,
        at,
        value: Some(value_of_csv(value)),
        unit: Some(unit.as_str()).filter(|unit| !unit.is_empty()),
        time_source: Some(time_source),
        quality: Some(quality),
        // Files of earlier versions end before these.
        seq: optional(CSV_SEQ),
        revision: optional(CSV_REVISION),
    };
    members.reading()
}

/// CSV has no types: what reads as a number or a truth value is one.
fn value_of_csv(text: &str) -> Value {
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => number(text).unwrap_or_else(|| Value::Text(text.into())),
    }
}

/// The fields of one record of RFC 4180; `None` if a quote is not closed.
fn csv_fields(record: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut characters = record.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = characters.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    (!is_quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Line, csv, json_lines};

    fn read(text: &str) -> Result<Vec<Reading>> {
        Recorded::new(text.as_bytes(), "f").collect()
    }

    fn reading(metric: &str, value: Value, at: i64) -> Reading {
        Reading {
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            device: DeviceId::from_stored("plant-1/pump-7"),
            metric: metric.into(),
            at: Micros(1_795_417_200_000_000 + at),
            received: Micros(1_795_417_200_000_000 + at),
            value,
            unit: Some("Cel".into()),
            quality: Quality::Uncertain,
            time_source: TimeSource::Arrival,
            correction: None,
        }
    }

    #[test]
    fn what_query_prints_reads_back() {
        let readings = [
            reading("t", Value::Float(22.5), 0),
            reading("n", Value::Integer(u64::MAX.into()), 1),
            reading("on", Value::Boolean(true), 2),
            reading("note", Value::Text("a, \"b\"\r\nc".into()), 3),
            Reading { unit: None, ..reading("e", Value::Float(1e-7), 4) },
            Reading { seq: Seq(MAX_SEQ), ..reading("t", Value::Integer(1), 5) },
            Reading { revision: Micros(1_795_417_200_000_000), ..reading("t", Value::Integer(2), 6) },
        ];
        assert_eq!(read(&json_lines(readings.iter().map(Line::of)).unwrap()).unwrap(), readings);
        assert_eq!(read(&csv(&readings)).unwrap(), readings);
    }

    #[test]
    fn what_earlier_versions_printed_reads_back() {
        let line = "plant-1/pump-7,t,2026-11-23T07:00:00Z,22.5,Cel,arrival,uncertain";
        let expected = [reading("t", Value::Float(22.5), 0)];
        let headers =
            ["", ",unit_sent,time_correction,time_sent", ",unit_sent,time_correction,time_sent,seq,revision"];
        for (header, rest) in headers.into_iter().zip(["", ",,,", ",,,,,"]) {
            assert_eq!(read(&format!("{CSV_HEADER}{header}\r\n{line}{rest}\r\n")).unwrap(), expected);
        }
    }

    #[test]
    fn lines_arrive_one_after_the_other() {
        let line =
            |at: &str| format!(r#"{{"device":"a/b","metric":"t","at":"2026-11-23T07:00:{at}Z","value":1}}"#);
        let found =
            read(&[line("10"), line("20"), line("15"), String::new(), line("30")].join("\n")).unwrap();
        let base = found[0].at;
        let received: Vec<i64> = found.iter().map(|reading| reading.received.0 - base.0).collect();
        assert_eq!(received, [0, 10_000_000, 10_000_001, 20_000_000]);
    }

    #[test]
    fn lines_of_one_time_are_told_apart_by_seq() {
        let line = |seq: &str| {
            format!(r#"{{"device":"a/b","metric":"t","at":"2026-11-23T07:00:00Z","value":1,"seq":{seq}}}"#)
        };
        let found = read(&line(r#""4611686018427387903""#)).unwrap();
        assert_eq!(found[0].seq, Seq(4_611_686_018_427_387_903));
        let error = read(&line(r#""secret""#)).unwrap_err().to_string();
        assert_eq!(error, "f:1: `seq` is not the digits of an integer of 62 bits");
    }

    #[test]
    fn what_is_no_reading_is_named_by_its_line_and_not_quoted() {
        let good = r#"{"device":"a/b","metric":"t","at":"2026-11-23T07:00:00Z","value":1}"#;
        let check = |lines: &[&str], expected: &str| {
            let error = read(&lines.join("\n")).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        };
        check(&["secret"], "f:1: is neither JSON nor the header");
        check(
            &[good, "", "{secret"],
            "f:3: is no reading as `tidegate query --format json` prints it (column 2)",
        );
        check(
            &[good, r#"{"device":"secret","metric":"t","at":"2026-11-23T07:00:00Z","value":1}"#],
            "f:2: `device`",
        );
        check(
            &[good, r#"{"device":"a/b","metric":"","at":"2026-11-23T07:00:00Z","value":1}"#],
            "f:2: `metric`",
        );
        check(&[good, r#"{"device":"a/b","metric":"t","at":"secret","value":1}"#], "f:2: `at`");
        check(
            &[good, r#"{"device":"a/b","metric":"t","at":"2026-11-23T07:00:00Z","value":[1]}"#],
            "f:2: `value`",
        );
        check(
            &[r#"{"device":"a/b","metric":"t","at":"2026-11-23T07:00:00Z","value":1,"quality":"secret"}"#],
            "f:1: `quality`",
        );
        for (member, value) in
            [("seq", "secret"), ("seq", "4611686018427387904"), ("seq", "-1"), ("revision", "secret")]
        {
            check(&[&good.replace('}', &format!(r#","{member}":"{value}"}}"#))], &format!("f:1: `{member}`"));
        }
        check(&[CSV_HEADER, "a/b,t,2026-11-23T07:00:00Z,1,,device"], "f:2: has 6 fields");
        check(&[CSV_HEADER, "a/b,\"t", "x", "y"], "f:2: has a quote that is not closed");
        check(&[&"x".repeat(MAX_RECORD_BYTES + 1)], "f:1: is too long");
    }
}
