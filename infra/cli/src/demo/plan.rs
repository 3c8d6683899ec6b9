//! What the demo's devices say, and what has to become of it. Pure: the same seed and start give the same messages.

use std::time::Duration;

use fastrand::Rng;
use telemetry::{Micros, Value};

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Number of devices.
    pub devices: u32,
    /// Messages of each device in a second.
    pub rate: u32,
    /// For how long.
    pub seconds: u32,
}

/// One message, and what has to become of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// Its number among the device's messages, from 1.
    pub(crate) seq: i64,
    /// When it is published, after the start.
    pub(crate) after: Duration,
    /// Last level of its topic.
    pub(crate) stream: &'static str,
    /// The bytes.
    pub(crate) payload: Vec<u8>,
    /// Its fate.
    pub(crate) expected: Expected,
}

/// What has to become of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    /// All of these readings are stored.
    Stored(Vec<Record>),
    /// It is kept in quarantine, with this code.
    Quarantined(&'static str),
}

/// Readings of one time. Each has a metric [`SEQ`] that tells the message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// Their time; `None`: when the message arrives.
    pub(crate) at: Option<Micros>,
    /// Metrics and values.
    pub(crate) values: Vec<(&'static str, Value)>,
}

/// A device and what it says, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Script {
    /// Its site.
    pub(crate) site: String,
    /// Its name.
    pub(crate) name: String,
    /// What it says.
    pub(crate) messages: Vec<Message>,
}

impl Script {
    /// `{site}/{device}`.
    pub(crate) fn device(&self) -> String {
        format!("{}/{}", self.site, self.name)
    }

    /// `dt/{site}/{device}/{stream}`.
    pub(crate) fn topic(&self, stream: &str) -> String {
        format!("dt/{}/{}/{stream}", self.site, self.name)
    }
}

/// The metric that counts a device's messages.
pub(crate) const SEQ: &str = "seq";

/// Every so many messages of a device, one is broken.
const BROKEN_EVERY: i64 = 9;
/// Every so many messages, one is urgent: rare, because each starts the function.
const URGENT_EVERY: i64 = 15;
/// One device of so many has no clock: the arrival time is all there is.
const CLOCKLESS_EVERY: u32 = 4;

/// What each device says from `start` on.
pub(crate) fn plan(scale: Scale, start: Micros, seed: u64) -> Vec<Script> {
    let mut rng = Rng::with_seed(seed);
    let numbered = devices(scale.devices).zip(0..);
    numbered
        .map(|((site, name), number)| Script {
            site,
            name,
            messages: messages(scale, start, number, &mut rng),
        })
        .collect()
}

/// The devices that [`plan`] gives scripts to: site and name.
pub(crate) fn devices(count: u32) -> impl Iterator<Item = (String, String)> {
    let kind = |number: u32| ["pump", "boiler", "meter", "valve"][number as usize % 4];
    (0..count)
        .map(move |number| (format!("plant-{}", 1 + number % 2), format!("{}-{}", kind(number), 1 + number)))
}

fn messages(scale: Scale, start: Micros, number: u32, rng: &mut Rng) -> Vec<Message> {
    let has_clock = number % CLOCKLESS_EVERY != CLOCKLESS_EVERY - 1;
    let count = scale.rate * scale.seconds;
    let period = Duration::from_secs(1) / scale.rate.max(1);
    // Devices do not speak in chorus.
    let offset = period * number / scale.devices.max(1);
    let mut whole_seconds = WholeSeconds { start, used: 0 };
    let message = |index: u32| {
        let seq = i64::from(index) + 1;
        let after = offset + period * index;
        let mut draft = Draft { seq, at: has_clock.then(|| measured_at(start, after)), rng: &mut *rng };
        let stream = if seq % URGENT_EVERY == 0 { "urgent" } else { "state" };
        if seq % BROKEN_EVERY == 0 {
            let (payload, code) = draft.broken();
            return Message { seq, after, stream, payload, expected: Expected::Quarantined(code) };
        }
        let (payload, records) =
            if stream == "urgent" { draft.urgent() } else { draft.usual(after, &mut whole_seconds) };
        Message { seq, after, stream, payload: payload.into_bytes(), expected: Expected::Stored(records) }
    };
    (0..count).map(message).collect()
}

/// To the millisecond, and never on a whole second: those are [`WholeSeconds`]'.
fn measured_at(start: Micros, after: Duration) -> Micros {
    let millis = start.0 / 1_000 + i64::try_from(after.as_millis()).unwrap_or(0);
    Micros(1_000 * if millis % 1_000 == 0 { millis + 1 } else { millis })
}

/// Times of messages whose clock has seconds only: a device uses each second once.
struct WholeSeconds {
    start: Micros,
    used: i64,
}

impl WholeSeconds {
    /// The next one, if it has come by `after`.
    fn next(&mut self, after: Duration) -> Option<Micros> {
        let at = Micros((self.start.0 / 1_000_000 + 1 + self.used) * 1_000_000);
        let has_come = at.0 <= self.start.0 + i64::try_from(after.as_micros()).ok()?;
        self.used += i64::from(has_come);
        has_come.then_some(at)
    }
}

/// A message in the making.
struct Draft<'a> {
    seq: i64,
    /// `None` if the device has no clock.
    at: Option<Micros>,
    rng: &'a mut Rng,
}

type Payload = (String, Vec<Record>);

impl Draft<'_> {
    /// A number with two decimals.
    fn decimal(&mut self, range: std::ops::Range<i32>) -> f64 {
        f64::from(self.rng.i32(range.start * 100..range.end * 100)) / 100.0
    }

    fn record(&self, at: Option<Micros>, values: &[(&'static str, Value)]) -> Record {
        let seq = (SEQ, Value::Integer(self.seq.into()));
        Record { at, values: std::iter::once(seq).chain(values.iter().cloned()).collect() }
    }

    fn usual(&mut self, after: Duration, whole_seconds: &mut WholeSeconds) -> Payload {
        let Some(at) = self.at else {
            return match self.seq % 3 {
                0 => self.timeless_flat(),
                1 => self.timeless_nested(),
                _ => self.timeless_batch(),
            };
        };
        match self.seq % 8 {
            0 => self.flat(at),
            1 => self.nested(at),
            2 => self.values(at),
            3 => self.batch_of_values(at),
            4 => self.batch_of_flat(at),
            5 => self.rfc_3339(at),
            6 => self.integers(at),
            _ => match whole_seconds.next(after) {
                Some(at) => self.epoch_seconds(at),
                None => self.flat(at),
            },
        }
    }

    fn flat(&mut self, at: Micros) -> Payload {
        let (seq, temperature, is_on) = (self.seq, self.decimal(15..30), self.rng.bool());
        let payload = format!(
            r#"{{"ts": {}, "seq": {seq}, "temperature": {temperature}, "running": {is_on}, "mode": "auto", "fault": null}}"#,
            at.0 / 1_000
        );
        let values =
            [("temperature", float(temperature)), ("running", Value::Boolean(is_on)), ("mode", text("auto"))];
        (payload, vec![self.record(Some(at), &values)])
    }

    fn nested(&mut self, at: Micros) -> Payload {
        let (seq, a, b, level) = (self.seq, self.decimal(0..9), self.decimal(0..9), self.rng.i64(0..100));
        let payload = format!(
            r#"{{"timestamp": {}, "seq": {seq}, "motor": {{"current": {{"a": {a}, "b": {b}}}}}, "battery": {{"level": {level}}}}}"#,
            at.0 / 1_000
        );
        let values = [
            ("motor.current.a", float(a)),
            ("motor.current.b", float(b)),
            ("battery.level", Value::Integer(level.into())),
        ];
        (payload, vec![self.record(Some(at), &values)])
    }

    fn values(&mut self, at: Micros) -> Payload {
        let (seq, pressure) = (self.seq, self.decimal(900..1100));
        let payload =
            format!(r#"{{"ts": {}, "values": {{"seq": {seq}, "pressure": {pressure}}}}}"#, at.0 / 1_000);
        (payload, vec![self.record(Some(at), &[("pressure", float(pressure))])])
    }

    /// What a device has collected while it was offline: five records, 7 ms apart.
    fn batch(&mut self, at: Micros, record: impl Fn(i64, Micros, f64) -> String) -> Payload {
        let mut parts = Vec::new();
        let mut records = Vec::new();
        for step in (0..5).rev() {
            let (at, flow) = (without_whole_second(at.plus(-7_000 * step)), self.decimal(1..20));
            parts.push(record(self.seq, at, flow));
            records.push(self.record(Some(at), &[("flow", float(flow))]));
        }
        (format!("[{}]", parts.join(", ")), records)
    }

    fn batch_of_values(&mut self, at: Micros) -> Payload {
        self.batch(at, |seq, at, flow| {
            format!(r#"{{"ts": {}, "values": {{"seq": {seq}, "flow": {flow}}}}}"#, at.0 / 1_000)
        })
    }

    fn batch_of_flat(&mut self, at: Micros) -> Payload {
        self.batch(at, |seq, at, flow| {
            format!(r#"{{"time": {}, "seq": {seq}, "flow": {flow}}}"#, at.0 / 1_000)
        })
    }

    fn rfc_3339(&mut self, at: Micros) -> Payload {
        let (seq, is_open) = (self.seq, self.rng.bool());
        let payload = format!(r#"{{"at": "{at}", "seq": {seq}, "state": "running", "open": {is_open}}}"#);
        (
            payload,
            vec![self.record(Some(at), &[("state", text("running")), ("open", Value::Boolean(is_open))])],
        )
    }

    /// Integers that a double would round, and a time in microseconds.
    fn integers(&mut self, at: Micros) -> Payload {
        let (seq, energy) = (self.seq, 9_007_199_254_740_993 + self.rng.i64(0..1_000));
        let payload = format!(r#"{{"t": {}, "seq": {seq}, "pulses": {energy}, "balance": -4}}"#, at.0);
        let values = [("pulses", Value::Integer(energy.into())), ("balance", Value::Integer(-4))];
        (payload, vec![self.record(Some(at), &values)])
    }

    fn epoch_seconds(&mut self, at: Micros) -> Payload {
        let (seq, level) = (self.seq, self.rng.i64(0..100));
        let payload = format!(r#"{{"time": {}, "seq": {seq}, "level": {level}}}"#, at.0 / 1_000_000);
        (payload, vec![self.record(Some(at), &[("level", Value::Integer(level.into()))])])
    }

    fn urgent(&mut self) -> Payload {
        let (seq, pressure) = (self.seq, self.decimal(11..16));
        let time = self.at.map_or(String::new(), |at| format!(r#""ts": {}, "#, at.0 / 1_000));
        let payload = format!(r#"{{{time}"seq": {seq}, "leak": true, "pressure": {pressure}}}"#);
        (
            payload,
            vec![self.record(self.at, &[("leak", Value::Boolean(true)), ("pressure", float(pressure))])],
        )
    }

    fn timeless_flat(&mut self) -> Payload {
        let (seq, humidity) = (self.seq, self.decimal(20..80));
        let payload = format!(r#"{{"device_id": "whatever it says", "seq": {seq}, "humidity": {humidity}}}"#);
        (payload, vec![self.record(None, &[("humidity", float(humidity))])])
    }

    fn timeless_nested(&mut self) -> Payload {
        let (seq, x, y) = (self.seq, self.decimal(-2..2), self.decimal(-2..2));
        let payload = format!(r#"{{"seq": {seq}, "accel": [{x}, {y}], "label": "A\u00e9"}}"#);
        (
            payload,
            vec![self.record(None, &[("accel.0", float(x)), ("accel.1", float(y)), ("label", text("Aé"))])],
        )
    }

    fn timeless_batch(&mut self) -> Payload {
        let (seq, first, second) = (self.seq, self.decimal(1..5), self.decimal(1..5));
        let payload = format!(r#"[{{"seq": {seq}, "volts": {first}}}, {{"seq": {seq}, "volts": {second}}}]"#);
        (payload, [first, second].map(|volts| self.record(None, &[("volts", float(volts))])).into())
    }

    /// A payload that nobody can read, and the code of the reason.
    fn broken(&mut self) -> (Vec<u8>, &'static str) {
        let seq = self.seq;
        let (payload, code) = match (seq / BROKEN_EVERY) % 6 {
            0 => (format!(r#"{{"seq": {seq}, "temperature": 2"#), "cut_short"),
            1 => {
                let mut bytes = format!(r#"{{"seq": {seq}, "name": "??"}}"#).into_bytes();
                let at = bytes.iter().position(|byte| *byte == b'?').unwrap_or(0);
                bytes[at] = 0xff;
                return (bytes, "not_utf8");
            }
            2 => (String::new(), "empty"),
            3 => (format!(r#"{{"seq": {seq}, "temperature": NaN}}"#), "not_json"),
            4 => (seq.to_string(), "shape"),
            _ => {
                (format!(r#"{{"seq": {seq}, "deep": {}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000)), "limit")
            }
        };
        (payload.into_bytes(), code)
    }
}

fn without_whole_second(at: Micros) -> Micros {
    if at.0 % 1_000_000 == 0 { at.plus(1_000) } else { at }
}

/// As the decoder makes it: `22.0` is the integer 22.
fn float(number: f64) -> Value {
    Value::from_f64(number).unwrap_or(Value::Integer(0))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::demo::deliver;

    const START: Micros = Micros(1_795_417_200_250_000);

    #[test]
    fn the_decoder_makes_of_each_message_what_the_plan_says() {
        let scripts = plan(Scale { devices: 8, rate: 10, seconds: 20 }, START, 7);
        assert_eq!(scripts.iter().map(|script| script.messages.len()).sum::<usize>(), 1_600);
        for script in &scripts {
            for message in &script.messages {
                let received = START.plus(i64::try_from(message.after.as_micros()).unwrap());
                match (deliver(script, message, received), &message.expected) {
                    (Ok(readings), Expected::Stored(records)) => {
                        let expected: usize = records.iter().map(|record| record.values.len()).sum();
                        assert_eq!(readings.len(), expected, "{message:?}");
                        let has = |record: &Record, (metric, value): &(&'static str, Value)| {
                            readings.iter().any(|reading| {
                                *reading.metric == **metric
                                    && reading.value == *value
                                    && record.at.is_none_or(|at| reading.at == at)
                            })
                        };
                        for record in records {
                            assert!(
                                record.values.iter().all(|value| has(record, value)),
                                "{message:?}\n{readings:?}"
                            );
                        }
                    }
                    (Err(reject), Expected::Quarantined(code)) => {
                        assert_eq!(reject.code(), *code, "{message:?}");
                    }
                    (outcome, _) => panic!("{message:?} became {outcome:?}"),
                }
            }
        }
    }

    #[test]
    fn no_two_readings_have_one_identity() {
        for rate in [1, 4, 20] {
            for script in plan(Scale { devices: 4, rate, seconds: 20 }, START, 1) {
                let mut seen = HashSet::new();
                let stored = script.messages.iter().filter_map(|message| match &message.expected {
                    Expected::Stored(records) => Some(records),
                    Expected::Quarantined(_) => None,
                });
                for record in stored.flatten() {
                    let Some(at) = record.at else { continue };
                    assert!(seen.insert(at), "{} speaks twice of {at}", script.name);
                }
            }
        }
    }

    #[test]
    fn the_same_seed_says_the_same() {
        let scale = Scale { devices: 3, rate: 4, seconds: 5 };
        assert_eq!(plan(scale, START, 5), plan(scale, START, 5));
        assert_ne!(plan(scale, START, 5), plan(scale, START, 6));
    }

    #[test]
    fn every_kind_of_message_is_said() {
        let scripts = plan(Scale { devices: 8, rate: 4, seconds: 20 }, START, 1);
        let messages = || scripts.iter().flat_map(|script| &script.messages);
        let codes: HashSet<&str> = messages()
            .filter_map(|message| match &message.expected {
                Expected::Quarantined(code) => Some(*code),
                Expected::Stored(_) => None,
            })
            .collect();
        assert_eq!(codes.len(), 6, "{codes:?}");
        assert!(messages().any(|message| message.stream == "urgent"));
        for needle in ["\"ts\"", "\"timestamp\"", "\"time\"", "\"at\"", "\"t\"", "\"values\"", "[{"] {
            let has = |message: &Message| String::from_utf8_lossy(&message.payload).contains(needle);
            assert!(messages().any(has), "no message with {needle}");
        }
    }
}
