//! SenML payloads (RFC 8428), written as JSON or as CBOR: records, of which earlier ones say what later ones leave out.
//!
//! Each record is resolved as section 4 of the RFC says, and becomes a sample:
//!
//! - its name is base name and name together; the device in front of it is left out ([`name`]);
//! - its value is base value and value together, of integers with all their digits; a text, a truth value or data (as
//!   base64 text, of the standard alphabet, as byte strings of CBOR are) stand by themselves;
//! - its sum, the integral of the value over time, is a sample of its own, `{name}.sum`, in the unit times seconds;
//! - its time is base time and time together: below 2²⁸ it counts from the arrival, where 0 is no time at all;
//! - its unit is a SenML unit. Where the records of one name have several units, as a position beside a humidity has in
//!   the RFC's own example, those with another unit than the first have it as the last level of their name:
//!   `{name}.lon`.
//!
//! A record of base fields only is no sample. The update time is no sample either. What the RFC does not allow refuses
//! the pack.

mod look;
pub(super) mod lwm2m;
mod name;
mod number;
#[cfg(test)]
mod properties;
mod record;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use self::number::Number;
use self::record::{Content, Record, RecordSeed};
use super::{Context, cbor, json};
use crate::limits::{MAX_NAME_BYTES, MAX_SAMPLES};
use crate::profile::Gateway;
use crate::reading::{Quality, TimeSource, Value};
use crate::reject::Reject;
use crate::sample::{Basis, Payload, Sample, SentTime};
use crate::time::Micros;
use crate::topic::check_name;
use crate::unit::Dialect;

pub(super) use self::look::is_pack;

/// The latest version that is understood: that of RFC 8428.
const VERSION: i128 = 10;

/// Times below this count from now (RFC 8428, 4.5.3), in microseconds: 2²⁸ seconds.
const RELATIVE_BELOW: i64 = (1 << 28) * 1_000_000;

/// How a pack's labels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// By name only.
    Json,
    /// By integer, or by name.
    Cbor,
    /// By the names of LwM2M JSON.
    Lwm2m,
}

/// Adds the samples of a SenML pack to `payload`.
pub(super) fn decode(bytes: &[u8], context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
    let labels = if cbor::is_probable(bytes) { Labels::Cbor } else { Labels::Json };
    let mut pack = Pack::new(labels, context, payload);
    let outcome = match labels {
        Labels::Json | Labels::Lwm2m => json::read_bytes(bytes, Records(&mut pack)),
        Labels::Cbor => cbor::read(bytes, Records(&mut pack)),
    };
    match pack.finish() {
        Some(reject) => Err(reject),
        None => outcome,
    }
}

/// A pack while it is read.
pub(super) struct Pack<'s, 'c> {
    labels: Labels,
    context: &'s mut Context<'c>,
    payload: &'s mut Payload,
    /// Room for the name of a record.
    path: String,
    bases: Bases,
    /// How many records have been read.
    records: usize,
    /// The device that a gateway spoke for last.
    device: Option<Arc<str>>,
    /// Why decoding stopped, where it was not the parser that stopped it: serde's errors carry text only.
    reject: Option<Reject>,
}

/// What holds for all records until another record says otherwise.
#[derive(Default)]
struct Bases {
    version: Option<i128>,
    name: String,
    time: i64,
    unit: Option<Arc<str>>,
    value: Option<Number>,
    sum: Option<Number>,
}

impl<'s, 'c> Pack<'s, 'c> {
    pub(super) fn new(labels: Labels, context: &'s mut Context<'c>, payload: &'s mut Payload) -> Self {
        let path = std::mem::take(&mut payload.path);
        Self {
            labels,
            context,
            payload,
            path,
            bases: Bases::default(),
            records: 0,
            device: None,
            reject: None,
        }
    }

    /// Ends the pack; why it was refused, where it was not the parser that did.
    pub(super) fn finish(mut self) -> Option<Reject> {
        let outcome = self.reject.take().map_or_else(|| self.separate(), Err);
        self.payload.path = self.path;
        outcome.err()
    }

    fn refuse(&self, what: &'static str) -> Reject {
        Reject::Senml { record: self.records, what }
    }

    /// Resolves a record, and adds its samples.
    fn add(&mut self, record: &Record<'_>) -> Result<(), Reject> {
        self.records += 1;
        if let Some(fault) = record.fault {
            return Err(self.refuse(fault));
        }
        self.take_bases(record)?;
        if record.has_bases_only {
            return Ok(());
        }
        let time = self.time(record.time)?;
        let (value, sum) = self.resolve(record);
        if value.is_none() && sum.is_none() {
            return if record.is_null { Ok(()) } else { Err(self.refuse("has no value")) };
        }
        self.find_name(record.name.as_deref().unwrap_or_default())?;
        let unit = record.unit.as_deref().map(Arc::from).or_else(|| self.bases.unit.clone());
        let unit = unit.filter(|unit| !unit.is_empty());
        if let Some((value, quality)) = value {
            let has_unit = matches!(value, Value::Integer(_) | Value::Float(_));
            self.push(value, quality, unit.clone().filter(|_| has_unit), time)?;
        }
        if let Some((value, quality)) = sum {
            if self.path.len() + ".sum".len() > MAX_NAME_BYTES {
                return Err(Reject::LongName);
            }
            self.path.push_str(".sum");
            self.push(value, quality, unit.and_then(|unit| times_seconds(&unit)).map(Arc::from), time)?;
        }
        Ok(())
    }

    fn take_bases(&mut self, record: &Record<'_>) -> Result<(), Reject> {
        if let Some(version) = record.base_version {
            let version = version.integer().filter(|version| *version > 0);
            let version = version.ok_or_else(|| self.refuse("has a version that is no positive integer"))?;
            if version > VERSION {
                return Err(self.refuse("is of a version after 10, the latest that is understood"));
            }
            if self.bases.version.is_some_and(|known| known != version) {
                return Err(self.refuse("is of another version than the records before it"));
            }
            self.bases.version = Some(version);
        }
        if let Some(name) = &record.base_name {
            self.bases.name.clear();
            self.bases.name.push_str(name);
        }
        if let Some(time) = record.base_time {
            self.bases.time = self.micros(time)?;
        }
        if let Some(unit) = &record.base_unit {
            self.bases.unit = Some(Arc::from(&**unit));
        }
        self.bases.value = record.base_value.or(self.bases.value);
        self.bases.sum = record.base_sum.or(self.bases.sum);
        Ok(())
    }

    fn micros(&self, seconds: Number) -> Result<i64, Reject> {
        seconds.micros().ok_or_else(|| self.refuse("has a time that no calendar has"))
    }

    /// When a record was measured; `None` for now.
    fn time(&self, time: Option<Number>) -> Result<Option<SentTime>, Reject> {
        let time = time.map_or(Ok(0), |time| self.micros(time))?;
        let time = self.bases.time.saturating_add(time);
        let (at, basis) = match time {
            0 => return Ok(None),
            ..RELATIVE_BELOW => (self.context.clock.received.plus(time), Basis::Arrival),
            _ => (Micros(time), Basis::Epoch),
        };
        Ok(Some(SentTime { at, source: TimeSource::Format, basis }))
    }

    /// The value of a record, and its sum.
    fn resolve(&self, record: &Record<'_>) -> (Option<Measured>, Option<Measured>) {
        let with_base = |base: Option<Number>, number: Option<Number>| match (base, number) {
            (Some(base), Some(number)) => Some(base.plus(number)),
            (base, number) => base.or(number),
        };
        let text = |text: &Arc<str>, quality| Some((Value::Text(Arc::clone(text)), quality));
        let (value, base_sum) = match &record.content {
            Some(Content::Text(known)) => (text(known, Quality::Good), None),
            Some(Content::Unstorable(known)) => (text(known, Quality::Bad), None),
            Some(Content::Boolean(flag)) => (Some((Value::Boolean(*flag), Quality::Good)), None),
            Some(Content::Number(number)) => {
                (with_base(self.bases.value, Some(*number)).map(Number::measured), self.bases.sum)
            }
            None if record.is_null => (None, None),
            None if record.sum.is_some() => (None, self.bases.sum),
            None => (self.bases.value.map(Number::measured), self.bases.sum),
        };
        (value, with_base(base_sum, record.sum).map(Number::measured))
    }

    /// Makes `path` the metric of a record, and `device` whom it is of, where the profile says that names do.
    fn find_name(&mut self, own: &str) -> Result<(), Reject> {
        let base = &self.bases.name;
        if base.len() + own.len() > MAX_NAME_BYTES {
            return Err(Reject::LongName);
        }
        self.path.clear();
        self.path.extend([base, own]);
        if self.path.is_empty() {
            return Err(Reject::EmptyName);
        }
        if !name::is_allowed(&self.path) {
            return Err(self.refuse(
                "has a name of other characters than letters, digits and -:./_, or begins with one of those",
            ));
        }
        let profile = self.context.profile;
        let is_gateway = profile.is_some_and(|profile| matches!(profile.gateway, Some(Gateway::Format)));
        let (device, metric_at) = name::split(&self.path, is_gateway);
        if self.device.as_deref() != device {
            let device = device.map(|device| check_name(device, "name of a gateway's device"));
            self.device = device.transpose()?.map(Arc::from);
        }
        self.path.drain(..metric_at);
        if self.path.is_empty() {
            self.path.push_str(name::OF_DEVICE_ITSELF);
        }
        Ok(())
    }

    fn push(
        &mut self,
        value: Value,
        quality: Quality,
        unit: Option<Arc<str>>,
        time: Option<SentTime>,
    ) -> Result<(), Reject> {
        if self.payload.samples.len() == MAX_SAMPLES {
            return Err(Reject::Samples);
        }
        let name = self.context.names.get(&self.path, self.context.profile);
        let unit = unit.map(|unit| (unit, Dialect::Senml));
        let device = self.device.clone();
        // Records of one name and time are told apart by their order.
        let element = u32::try_from(self.records).unwrap_or(u32::MAX);
        let sample = Sample { quality, unit, time, device, element, ..Sample::new(name, value, 0) };
        self.payload.samples.push(sample);
        Ok(())
    }

    /// Keeps samples of one name with several units apart, by name.
    fn separate(&mut self) -> Result<(), Reject> {
        if self.payload.samples.len() < 2 {
            return Ok(());
        }
        let mut first_units: HashMap<_, Arc<str>, RandomState> = HashMap::default();
        for sample in &mut self.payload.samples {
            let Some((unit, _)) = &sample.unit else { continue };
            let first = first_units.entry(identity(sample)).or_insert_with(|| Arc::clone(unit));
            if first == unit {
                continue;
            }
            if sample.name.sent.len() + 1 + unit.len() > MAX_NAME_BYTES {
                return Err(Reject::LongName);
            }
            let name = format!("{}.{unit}", sample.name.sent);
            sample.name = self.context.names.get(&name, self.context.profile);
        }
        Ok(())
    }
}

/// A value, and what the format says of it.
type Measured = (Value, Quality);

fn identity(sample: &Sample) -> (Arc<str>, Option<Arc<str>>) {
    (Arc::clone(&sample.name.sent), sample.device.clone())
}

/// The SenML unit that is a unit times seconds, of those that have one.
fn times_seconds(unit: &str) -> Option<&'static str> {
    const PRODUCTS: [(&str, &str); 11] = [
        ("W", "J"),
        ("A", "C"),
        ("V", "Wb"),
        ("VA", "VAs"),
        ("var", "vars"),
        ("kat", "mol"),
        ("m/s", "m"),
        ("m/s2", "m/s"),
        ("m3/s", "m3"),
        ("l/s", "l"),
        ("bit/s", "bit"),
    ];
    PRODUCTS.iter().find(|(known, _)| *known == unit).map(|(_, product)| *product)
}

/// The array of records.
pub(super) struct Records<'a, 's, 'c>(pub(super) &'a mut Pack<'s, 'c>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of SenML records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let pack = self.0;
        while let Some(record) = seq.next_element_seed(RecordSeed(pack.labels))? {
            if let Err(reject) = pack.add(&record) {
                pack.reject = Some(reject);
                return Err(A::Error::custom("rejected"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::testing::{read, show};
    use super::*;
    use crate::profile::Profile;

    fn senml(pack: &str) -> Result<String, Reject> {
        show(Format::Senml, pack.as_bytes(), None)
    }

    #[test]
    fn bases_hold_for_later_records() {
        let check = |pack: &str, expected: &str| {
            assert_eq!(senml(pack).as_deref(), Ok(expected), "{pack}");
        };
        check(r#"[{"bn": "a/", "n": "b", "v": 1}, {"n": "c", "v": 2}]"#, "a/b=1@- a/c=2@-");
        check(r#"[{"bn": "a"}, {"v": 1}, {"bn": "b"}, {"v": 2}]"#, "a=1@- b=2@-");
        check(
            r#"[{"v": 1, "bu": "V", "bn": "a"}, {"n": "b", "u": "A", "v": 2}, {"n": "c", "v": 3}]"#,
            "a=1[V]@- ab=2[A]@- ac=3[V]@-",
        );
        check(
            r#"[{"bu": "V", "n": "a", "u": "", "v": 1}, {"n": "b", "vs": "x"}, {"n": "c", "vb": true}]"#,
            "a=1@- b=x@- c=true@-",
        );
        check(r#"[{"bt": 1700000000, "n": "a", "t": 1, "v": 1}, {"n": "a", "v": 2}]"#, "a=1@1 a=2@0");
        check(
            r#"[{"n": "a", "bv": 20.1, "v": 0.2}, {"n": "b", "v": 3}, {"n": "c", "vs": "x"}]"#,
            "a=20.3@- b=23.1@- c=x@-",
        );
        check(r#"[{"n": "a", "bv": 9007199254740993, "v": 9007199254740993}]"#, "a=18014398509481986@-");
        check(r#"[{"n": "a", "v": 18446744073709551615}]"#, "a=18446744073709551615@-");
        // A missing value is zero, where there is a base value.
        check(r#"[{"bn": "a", "bv": 7}, {"t": 1700000001}]"#, "a=7@1");
        check(r#"[{"bver": 10, "n": "a", "v": 1}, {"bver": 1e1, "n": "b", "v": 2}]"#, "a=1@- b=2@-");
        check(r#"[{"n": "a", "v": 1, "ut": 60, "comment": {"x_": [1]}, "0": "b"}]"#, "a=1@-");
        check(r#"[{"n": "a", "v": null}, {"n": "b", "v": 1, "u": null, "t": null}]"#, "b=1@-");
    }

    #[test]
    fn times_below_2_to_the_28_count_from_the_arrival() {
        // An hour after what times are shown from.
        let check = |pack: &str, expected: &str| {
            assert_eq!(senml(pack).as_deref(), Ok(expected), "{pack}");
        };
        check(r#"[{"n": "a", "t": 0, "v": 1}]"#, "a=1@-");
        check(r#"[{"n": "a", "bt": 5, "t": -5, "v": 1}]"#, "a=1@-");
        check(r#"[{"n": "a", "t": -5, "v": 1}, {"n": "a", "v": 2}]"#, "a=1@3595 a=2@-");
        check(r#"[{"n": "a", "t": 20, "v": 1}]"#, "a=1@3620");
        check(r#"[{"n": "a", "t": 268435455, "v": 1}]"#, "a=1@268439055");
        check(r#"[{"n": "a", "t": 268435456, "v": 1}]"#, "a=1@-1431564544");
        check(r#"[{"n": "a", "t": -300000000, "v": 1}]"#, "a=1@-299996400");
        let micros = |pack: &str| {
            let sent = read(Format::Senml, pack.as_bytes(), None).unwrap().samples[0].time.unwrap();
            assert_eq!((sent.source, sent.basis), (TimeSource::Format, Basis::Epoch));
            sent.at.0
        };
        assert_eq!(
            micros(r#"[{"n": "a", "bt": 1.276020076001e+09, "t": -5, "v": 1}]"#),
            1_276_020_071_001_000
        );
        assert_eq!(micros(r#"[{"n": "a", "t": 1700000000.123457, "v": 1}]"#), 1_700_000_000_123_457);
    }

    #[test]
    fn sums_are_samples_of_their_own() {
        let check = |pack: &str, expected: &str| {
            assert_eq!(senml(pack).as_deref(), Ok(expected), "{pack}");
        };
        check(r#"[{"n": "p", "u": "W", "v": 40, "s": 3600}]"#, "p=40[W]@- p.sum=3600[J]@-");
        check(r#"[{"n": "p", "u": "Cel", "s": 1.5}]"#, "p.sum=1.5@-");
        check(
            r#"[{"n": "p", "bs": 100, "s": 1}, {"n": "q", "v": 2}, {"n": "r", "vs": "x"}]"#,
            "p.sum=101@- q=2@- q.sum=100@- r=x@-",
        );
        check(r#"[{"bn": "p", "bs": 100}, {"t": 1700000001}]"#, "p.sum=100@1");
        check(r#"[{"bn": "p", "bv": 7, "bs": 1, "s": 2}]"#, "p.sum=3@-");
    }

    #[test]
    fn values_have_the_type_that_their_label_says() {
        let check = |pack: &str, expected: &str| {
            assert_eq!(senml(pack).as_deref(), Ok(expected), "{pack}");
        };
        check(r#"[{"n": "a", "vs": ""}, {"n": "b", "vb": false}]"#, "a=@- b=false@-");
        check(r#"[{"n": "a", "vd": "-_8"}]"#, "a=+/8=@-");
        check(r#"[{"n": "a", "vd": "aGkgCg=="}]"#, "a=aGkgCg==@-");
        check(r#"[{"n": "/10/0/3", "vlo": "66:0"}]"#, "10/0/3=66:0@-");
    }

    #[test]
    fn what_the_rfc_does_not_allow_refuses_the_pack() {
        let check = |pack: &str, record: usize, word: &str| match senml(pack) {
            Err(Reject::Senml { record: at, what }) => {
                assert!(at == record && what.contains(word), "{pack}: {at} {what}");
            }
            other => panic!("{pack}: {other:?}"),
        };
        check(r#"[{"n": "a", "v": 1}, {"n": "b"}]"#, 2, "no value");
        check(r#"[{"bn": "a", "u": "V"}]"#, 1, "no value");
        check(r#"[{"n": "a", "v": 1, "vs": "x"}]"#, 1, "more than one");
        check(r#"[{"n": "a", "vb": true, "vd": "", "s": 1}]"#, 1, "more than one");
        check(r#"[{"n": "a", "v": 1, "x_": 1}]"#, 1, "'_'");
        check(r#"[{"bver": 11, "n": "a", "v": 1}]"#, 1, "after 10");
        check(r#"[{"bver": 0, "n": "a", "v": 1}]"#, 1, "positive integer");
        check(r#"[{"bver": 5.5, "n": "a", "v": 1}]"#, 1, "positive integer");
        check(r#"[{"bver": 5, "n": "a", "v": 1}, {"bver": 10, "n": "a", "v": 1}]"#, 2, "another version");
        check(r#"[{"n": "a b", "v": 1}]"#, 1, "name");
        check(r#"[{"n": "_a", "v": 1}]"#, 1, "name");
        check(r#"[{"n": "é", "v": 1}]"#, 1, "name");
        check(r#"[{"n": "a", "v": "1"}]"#, 1, "another type");
        check(r#"[{"n": "a", "v": [1]}]"#, 1, "another type");
        check(r#"[{"n": "a", "vb": 1}]"#, 1, "another type");
        check(r#"[{"n": 5, "v": 1}]"#, 1, "another type");
        check(r#"[{"n": "a", "v": 1, "t": "now"}]"#, 1, "another type");
        check(r#"[{"n": "a", "v": 1, "t": 1e300}]"#, 1, "calendar");
        check(r#"[{"n": "a", "v": 1, "bt": 99999999999999}]"#, 1, "calendar");
        check(r#"[{"n": "a", "vd": "a+b/"}]"#, 1, "base64");
        check(r#"[{"n": "a", "vd": "a"}]"#, 1, "base64");
        check(&format!(r#"[{{"n": "a", "vs": "{}"}}]"#, "x".repeat(1_025)), 1, "longer");
        check(&format!(r#"[{{"n": "a", "vd": "{}"}}]"#, "x".repeat(1_028)), 1, "longer");
    }

    #[test]
    fn other_refusals() {
        let check = |pack: &str, expected: Reject| assert_eq!(senml(pack), Err(expected), "{pack}");
        check("", Reject::Empty);
        check("[]", Reject::NoValue);
        check(r#"[{"bn": "a", "bv": 7}]"#, Reject::NoValue);
        check(r#"[{"v": 1}]"#, Reject::EmptyName);
        check(r#"[{"n": "a", "v": 1}"#, Reject::CutShort);
        check(&format!(r#"[{{"bn": "{0}", "n": "{0}", "v": 1}}]"#, "x".repeat(129)), Reject::LongName);
        check(&format!(r#"[{{"n": "{}", "s": 1}}]"#, "x".repeat(253)), Reject::LongName);
        let many = vec![r#"{"n": "a", "v": 1}"#; MAX_SAMPLES + 1].join(",");
        check(&format!("[{many}]"), Reject::Samples);
        for pack in [r#"{"n": "a", "v": 1}"#, "7", r#"[7]"#, r#"[[{"n": "a", "v": 1}]]"#, "[{"] {
            assert!(matches!(senml(pack), Err(Reject::NotJson { .. } | Reject::CutShort)), "{pack}");
        }
    }

    #[test]
    fn one_name_with_several_units_is_several_metrics() {
        let check = |pack: &str, expected: &str| {
            assert_eq!(senml(pack).as_deref(), Ok(expected), "{pack}");
        };
        check(
            r#"[{"n": "a", "u": "%RH", "v": 20}, {"n": "a", "u": "lon", "v": 24}, {"n": "a", "u": "%RH", "v": 21}, {"n": "a", "u": "lon", "v": 25}]"#,
            "a=20[%RH]@- a.lon=24[lon]@- a=21[%RH]@- a.lon=25[lon]@-",
        );
        check(r#"[{"n": "a", "v": 20}, {"n": "a", "u": "V", "v": 24}]"#, "a=20@- a=24[V]@-");
    }

    #[test]
    fn a_gateway_names_devices_in_names() {
        let profile = Profile::from_toml("name = \"p\"\ndevices = \"*/*\"\ngateway = true").unwrap();
        let check = |pack: &str, expected: Result<&str, Reject>| {
            let outcome = show(Format::Senml, pack.as_bytes(), Some(&profile));
            assert_eq!(outcome.as_deref(), expected.as_ref().map(|text| *text), "{pack}");
        };
        check(
            r#"[{"bn": "urn:dev:ow:1:", "n": "t", "v": 1}, {"n": "h", "v": 2}, {"bn": "urn:dev:ow:2:", "n": "t", "v": 3}]"#,
            Ok("urn:dev:ow:1:t=1@- urn:dev:ow:1:h=2@- urn:dev:ow:2:t=3@-"),
        );
        check(
            r#"[{"n": "2001:db8::2/t", "v": 1}, {"n": "own", "v": 2}, {"n": "urn:dev:ow:3", "v": 3}]"#,
            Ok("2001:db8::2:t=1@- own=2@- urn:dev:ow:3:value=3@-"),
        );
        check(
            &format!(r#"[{{"n": "urn:dev:os:{}:t", "v": 1}}]"#, "x".repeat(128)),
            Err(Reject::Name("name of a gateway's device")),
        );
    }

    /// Section 5.1 of the RFC, and what it says that some of it is resolved to.
    #[test]
    fn examples_of_the_rfc() {
        let check = |pack: &str, expected: &str| {
            assert_eq!(Format::of_bytes(pack.as_bytes()), Format::Senml, "{pack}");
            assert_eq!(senml(pack).as_deref(), Ok(expected), "{pack}");
        };
        check(
            r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#,
            "urn:dev:ow:10e2073a01080063=23.1[Cel]@-",
        );
        check(
            r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]"#,
            "voltage=120.1[V]@- current=1.2[A]@-",
        );
        check(
            r#"[{"bn":"urn:dev:ow:10e2073a01080063:"},{"n":"temp","u":"Cel","v":23.1},{"n":"heat","u":"/","v":1},{"n":"fan","u":"/","v":0}]"#,
            "temp=23.1[Cel]@- heat=1[/]@- fan=0[/]@-",
        );
        check(
            r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]"#,
            "temp=23.1[Cel]@- label=Machine Room@- open=false@- nfc-reader=aGkgCg==@-",
        );
    }

    /// Section 6 of the RFC: the pack with times of section 5.1.2.
    #[test]
    fn packs_in_cbor() {
        let example = [
            "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b0010622361412005",
            "0067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a30067",
            "63757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a30067637572",
            "72656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3f",
            "fb333333333333",
        ];
        let expected = [
            "voltage=120.1[V]@-423979923 current=1.2[A]@-423979928 current=1.3[A]@-423979927",
            "current=1.4[A]@-423979926 current=1.5[A]@-423979925 current=1.6[A]@-423979924",
            "current=1.7[A]@-423979923",
        ];
        let example = bytes_of(&example.concat());
        assert_eq!(Format::of_bytes(&example), Format::Senml);
        assert_eq!(show(Format::Senml, &example, None), Ok(expected.join(" ")));

        let check = |hex: &str, expected: &str| {
            let outcome = show(Format::Senml, &bytes_of(hex), None);
            let outcome = outcome.unwrap_or_else(|reject| reject.code().to_owned());
            assert_eq!(outcome, expected, "{hex}");
        };
        // [_ {_ "n": "a", "v": 1}]
        check("9fbf616e61616176 01ffff", "a=1@-");
        // A decimal fraction that no double holds.
        check("81a2006161 02c4821b7fffffffffffffff01", "a=1e9223372036854775807@-");
        // Decimal fractions of tag 4: 273.15 and 2e3; a float of 32 bits, and one of 16.
        check("81a2006161 02c48221196ab3", "a=273.15@-");
        check("81a2006161 02c4820302", "a=2000@-");
        check("81a2006161 02fa41b0cccd", "a=22.1@-");
        check("81a2006161 02f93e00", "a=1.5@-");
        check("81a2006161 02f97e00", "a=NaN@-");
        check("81a2006161 084268ff", "a=aP8=@-");
        check("81a2006161 021bffffffffffffffff", "a=18446744073709551615@-");
        // An unknown field, and one that must be understood.
        check("81a3006161 0201 6178 80", "a=1@-");
        check("81a3006161 0201 62785f 80", "not_senml");
        // A version after 10, a time with a tag, a value of another type, no list, and a list that is cut short.
        check("81a3200b 006161 0201", "not_senml");
        check("81a3006161 06c101 0201", "not_senml");
        check("81a2006161 0280", "not_senml");
        check("a2006161 0201", "shape");
        check("82a2006161 0201", "cut_short");
        check("81a2006161 0201 00", "not_cbor");
        check("81a2006161 02c48221", "cut_short");
    }

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn packs_in_cbor_are_told_from_other_cbor() {
        let check = |hex: &str, expected: Format| {
            assert_eq!(Format::of_bytes(&bytes_of(hex)), expected, "{hex}");
        };
        check("81a2006161 0201", Format::Senml);
        check("9fbf216161", Format::Cbor);
        check("9fbf216161 ff", Format::Senml);
        // With labels as text, {"n": "a", "v": 1} is a pair.
        check("81a2616e6161617601", Format::Cbor);
        check("81a362626e6161616e6161617601", Format::Senml);
        check("81a1 01 02", Format::Cbor);
        check("81a2006161 0901", Format::Cbor);
        check("a2006161 0201", Format::Cbor);
        check("80", Format::Cbor);
        check("81", Format::Cbor);
    }

    #[test]
    fn packs_are_told_from_other_json() {
        let check = |payload: &str, expected: Format| {
            assert_eq!(Format::of_bytes(payload.as_bytes()), expected, "{payload}");
        };
        check(r#" [ { "bn" : "a", "v": 1}, {"x": "#, Format::Senml);
        check("\u{feff}[{\"bn\": \"a\"}]", Format::Senml);
        check(r#"[{"bt": 1, "n": "a", "v": 1}]"#, Format::Senml);
        check(r#"[{"n": "a", "t": -5, "v": 1}]"#, Format::Senml);
        check(r#"[{"n": "a", "vs": "x"}]"#, Format::Senml);
        check(r#"[{"bn": "urn:dev:ow:1", "n": "_x", "v": 1}]"#, Format::Senml);
        // Members that it does not know are passed over, where something sure stands beside them.
        check(r#"[{"bn": "urn:dev:ow:1", "n": "x", "v": 1, "rssi": -70}]"#, Format::Senml);
        check(r#"[{"seq": 5, "bn": "a", "bt": 1700000000}, {"n": "b", "v": 1}]"#, Format::Senml);
        check(r#"[{"n": "pump", "s": 1, "rssi": -70}]"#, Format::Json);
        // Pairs, or no SenML.
        check(r#"[{"n": "a", "v": 1}]"#, Format::Json);
        check(r#"[{"n": "a", "v": 1, "u": "V", "t": 1700000000}]"#, Format::Json);
        check(r#"[{"n": "a", "v": "x", "t": -5}]"#, Format::Json);
        check(r#"[{"n": "a b", "vs": "x"}]"#, Format::Json);
        check(r#"[{"t": -5, "v": 1}]"#, Format::Json);
        check(r#"[{"bn": "a", "rssi": 1}]"#, Format::Json);
        check(r#"{"bn": "a", "v": 1}"#, Format::Json);
        for other in ["", "[", "[]", "[{", "[{}]", "[7]", r#"[{"n"#, r#"[{"bn": "a""#, "{}", "\u{e9}"] {
            check(other, Format::Json);
        }
    }
}
