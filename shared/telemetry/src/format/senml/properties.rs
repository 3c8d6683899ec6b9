//! What is written as a pack, whatever its records share by base fields, is what is read from it.

use std::fmt::Write as _;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use crate::format::Format;
use crate::format::testing::read;
use crate::reading::Value;

/// Names and the units of their values: those of one name have one unit.
const NAMES: [(&str, &str); 5] =
    [("room/temperature", "Cel"), ("room/humidity", "%RH"), ("room", ""), ("p-1:power", "W"), ("x", "")];

/// A resolved record.
#[derive(Debug, Clone)]
struct Plain {
    name: &'static str,
    unit: &'static str,
    /// In microseconds since 1970.
    time: Option<i64>,
    value: PlainValue,
}

#[derive(Debug, Clone)]
enum PlainValue {
    /// In thousandths.
    Number(i64),
    Text(String),
    Boolean(bool),
    Data(Vec<u8>),
}

/// What a record says for itself and those after it.
#[derive(Debug, Clone)]
struct NewBases {
    /// How much of the record's name.
    name: Option<prop::sample::Index>,
    time: Option<i64>,
    has_unit: bool,
    value: Option<i64>,
}

fn plain() -> impl Strategy<Value = Plain> {
    let value = prop_oneof![
        (-1_000_000_000_000_i64..1_000_000_000_000).prop_map(PlainValue::Number),
        any::<i16>().prop_map(|number| PlainValue::Number(i64::from(number) * 1_000)),
        ".{0,8}".prop_map(PlainValue::Text),
        any::<bool>().prop_map(PlainValue::Boolean),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(PlainValue::Data),
    ];
    let time = weighted(0.8, 1_600_000_000_000_000_i64..1_800_000_000_000_000);
    (select(&NAMES[..]), time, value).prop_map(|((name, unit), time, value)| Plain {
        name,
        unit,
        time,
        value,
    })
}

fn new_bases() -> impl Strategy<Value = NewBases> {
    let name = weighted(0.3, any::<prop::sample::Index>());
    let time = weighted(0.3, -2_000_000_000_000_000_i64..2_000_000_000_000_000);
    (name, time, any::<bool>(), weighted(0.3, -1_000_000_i64..1_000_000))
        .prop_map(|(name, time, has_unit, value)| NewBases { name, time, has_unit, value })
}

/// A decimal with so many digits after its point.
fn decimal(count: i64, digits: usize) -> String {
    let one = 10_u64.pow(u32::try_from(digits).unwrap());
    let sign = if count < 0 { "-" } else { "" };
    let count = count.unsigned_abs();
    match count % one {
        0 => format!("{sign}{}", count / one),
        fraction => format!("{sign}{}.{fraction:0digits$}", count / one),
    }
}

/// Writes packs.
#[derive(Default)]
struct Writer {
    name: String,
    time: i64,
    unit: &'static str,
    value: i64,
}

impl Writer {
    fn record(&mut self, plain: &Plain, bases: &NewBases) -> String {
        let mut fields = String::new();
        let mut put = |label: &str, value: String| write!(fields, ",\"{label}\":{value}").unwrap();
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        if bases.name.is_some() || !plain.name.starts_with(&self.name) {
            let length = bases.name.map_or(0, |length| length.index(plain.name.len() + 1));
            self.name = plain.name[..length].to_owned();
            put("bn", quoted(&self.name));
        }
        if let Some(time) = bases.time {
            self.time = time;
            put("bt", decimal(time, 6));
        }
        if bases.has_unit && !plain.unit.is_empty() {
            self.unit = plain.unit;
            put("bu", quoted(plain.unit));
        }
        if let Some(value) = bases.value {
            self.value = value;
            put("bv", decimal(value, 3));
        }
        let own_name = &plain.name[self.name.len()..];
        if !own_name.is_empty() {
            put("n", quoted(own_name));
        }
        let own_time = plain.time.unwrap_or_default() - self.time;
        if own_time != 0 {
            put("t", decimal(own_time, 6));
        }
        if plain.unit != self.unit {
            put("u", quoted(plain.unit));
        }
        match &plain.value {
            PlainValue::Number(number) => put("v", decimal(number - self.value, 3)),
            PlainValue::Text(text) => put("vs", quoted(text)),
            PlainValue::Boolean(flag) => put("vb", flag.to_string()),
            PlainValue::Data(bytes) => {
                put("vd", quoted(&base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)));
            }
        }
        format!("{{{}}}", fields.trim_start_matches(','))
    }
}

fn expected(plain: &Plain) -> Value {
    match &plain.value {
        PlainValue::Number(number) => Value::from_f64(decimal(*number, 3).parse().unwrap()).unwrap(),
        PlainValue::Text(text) => Value::Text(text.as_str().into()),
        PlainValue::Boolean(flag) => Value::Boolean(*flag),
        PlainValue::Data(bytes) => Value::Text(base64_simd::STANDARD.encode_to_string(bytes).into()),
    }
}

/// The integers that CBOR has for labels.
const LABELS: [(&str, i8); 15] = [
    ("bver", -1),
    ("bn", -2),
    ("bt", -3),
    ("bu", -4),
    ("bv", -5),
    ("bs", -6),
    ("n", 0),
    ("u", 1),
    ("v", 2),
    ("vs", 3),
    ("vb", 4),
    ("s", 5),
    ("t", 6),
    ("ut", 7),
    ("vd", 8),
];

/// A pack in JSON as the same pack in CBOR.
pub(super) fn to_cbor(pack: &str) -> Vec<u8> {
    let records: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(pack).unwrap();
    let mut encoder = minicbor::Encoder::new(Vec::new());
    encoder.array(records.len() as u64).unwrap();
    for record in &records {
        encoder.map(record.len() as u64).unwrap();
        for (key, value) in record {
            match LABELS.iter().find(|(label, _)| label == key) {
                Some((_, label)) => encoder.i8(*label).unwrap(),
                None => encoder.str(key).unwrap(),
            };
            put_cbor(&mut encoder, key, value);
        }
    }
    encoder.into_writer()
}

fn put_cbor(encoder: &mut minicbor::Encoder<Vec<u8>>, key: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) if key == "vd" => {
            encoder.bytes(&base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).unwrap())
        }
        serde_json::Value::String(text) => encoder.str(text),
        serde_json::Value::Bool(flag) => encoder.bool(*flag),
        serde_json::Value::Number(number) if number.is_u64() => encoder.u64(number.as_u64().unwrap()),
        serde_json::Value::Number(number) if number.is_i64() => encoder.i64(number.as_i64().unwrap()),
        serde_json::Value::Number(number) => encoder.f64(number.as_f64().unwrap()),
        _ => encoder.null(),
    }
    .unwrap();
}

/// Pieces of packs.
const PIECES: [&str; 26] = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"n\":",
    "\"bn\":",
    "\"u\":",
    "\"bu\":",
    "\"t\":",
    "\"bt\":",
    "\"v\":",
    "\"bv\":",
    "\"s\":",
    "\"bs\":",
    "\"vd\":",
    "\"vs\":",
    "\"x_\":",
    "\"urn:dev:ow:1:\"",
    "\"/\"",
    "\"W\"",
    "-5",
    "1e19",
    "1795417200.25",
    "null",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(records in prop::collection::vec((plain(), new_bases()), 1..20)) {
        let mut writer = Writer::default();
        let written: Vec<String> =
            records.iter().map(|(plain, bases)| writer.record(plain, bases)).collect();
        let pack = format!("[{}]", written.join(","));
        let payload = read(Format::Senml, pack.as_bytes(), None).expect(&pack);
        let cbor = read(Format::Senml, &to_cbor(&pack), None).expect(&pack);
        prop_assert_eq!(&cbor, &payload, "{}", &pack);
        prop_assert_eq!(payload.samples.len(), records.len());
        for (sample, (plain, _)) in payload.samples.iter().zip(&records) {
            prop_assert_eq!(&*sample.name.sent, plain.name, "{}", &pack);
            prop_assert_eq!(&sample.value, &expected(plain), "{}", &pack);
            prop_assert_eq!(sample.time.map(|time| time.at.0), plain.time, "{}", &pack);
            let has_unit = matches!(plain.value, PlainValue::Number(_)) && !plain.unit.is_empty();
            let unit = sample.unit.as_ref().map(|(unit, _)| &**unit);
            prop_assert_eq!(unit, has_unit.then_some(plain.unit), "{}", &pack);
        }
    }

    #[test]
    fn any_bytes_are_samples_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        assert_harmless(&bytes);
        // As an array of maps of CBOR.
        assert_harmless(&[&[0x9f, 0xbf], &bytes[..]].concat());
    }

    #[test]
    fn any_pieces_are_samples_or_a_reason(pieces in prop::collection::vec(select(&PIECES[..]), 0..40)) {
        assert_harmless(format!("[{{{}", pieces.concat()).as_bytes());
    }
}

fn assert_harmless(bytes: &[u8]) {
    let _guessed = Format::of_bytes(bytes);
    match read(Format::Senml, bytes, None) {
        Ok(payload) => assert!(!payload.samples.is_empty()),
        Err(reject) => assert!(!reject.code().is_empty()),
    }
}
