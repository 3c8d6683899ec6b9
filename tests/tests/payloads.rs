//! Every payload in `tests/payloads/` beside the readings, or the refusal, that it becomes; and what no payload
//! whatever may do.
//!
//! `UPDATE_GOLDENS=1 cargo test -p tests --test payloads` writes the goldens anew: read the difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Serialize;
use telemetry::limits::{MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use telemetry::{Decoder, Envelope, Micros, Reading, Reject, Value};

/// 2026-11-23T07:00:00.25Z.
const RECEIVED: Micros = Micros(1_795_417_200_250_000);
const GOLDEN: &str = ".expected.jsonl";

/// A name, and how to make the payload of that name.
type Generated = (&'static str, fn() -> Vec<u8>);

/// Payloads too large to lie in the repository; their goldens do.
const GENERATED: [Generated; 6] = [
    ("bad-nested-arrays-128k", || "[".repeat(MAX_PAYLOAD_BYTES).into_bytes()),
    ("bad-nested-arrays-in-an-object-128k", || {
        format!(r#"{{"a":{}"#, "[".repeat(MAX_PAYLOAD_BYTES - 5)).into_bytes()
    }),
    ("bad-number-of-a-million-digits", || format!(r#"{{"x": {}}}"#, "9".repeat(1_000_000)).into_bytes()),
    ("bad-number-of-100000-digits", || format!(r#"{{"x": {}}}"#, "9".repeat(100_000)).into_bytes()),
    ("bad-one-byte-too-many", || format!(r#"{{"x": 1}}{}"#, " ".repeat(MAX_PAYLOAD_BYTES - 7)).into_bytes()),
    ("bad-one-sample-too-many", || format!(r#"{{"x": [0{}]}}"#, ",0".repeat(MAX_SAMPLES)).into_bytes()),
];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "payloads"].iter().collect()
}

/// The payload files by name.
static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let names =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !name.ends_with(GOLDEN) && !name.starts_with('.'))
        .map(|name| (name.clone(), fs::read(folder().join(name)).unwrap()))
        .collect()
});

fn decode(decoder: &mut Decoder, payload: &[u8]) -> Result<Vec<Reading>, Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: "dt/plant-1/pump-7/state".into(),
        client: Some("pump-7".into()),
        principal: None,
        received: RECEIVED,
        trace: None,
    };
    let mut readings = Vec::new();
    let outcome = decoder.decode(&envelope, &mut readings);
    assert!(outcome.is_ok() || readings.is_empty(), "a refused message has left {} readings", readings.len());
    outcome.map(|()| readings)
}

fn fresh(payload: &[u8]) -> Result<Vec<Reading>, Reject> {
    decode(&mut Decoder::default(), payload)
}

#[derive(Serialize)]
struct ReadingLine<'a> {
    device: &'a str,
    metric: &'a str,
    at: String,
    value: &'a Value,
    unit: Option<&'a str>,
    quality: &'a str,
    time_source: &'a str,
}

#[derive(Serialize)]
struct RejectLine {
    rejected: String,
    code: &'static str,
}

fn line(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).unwrap() + "\n"
}

/// What the payload becomes, as its golden has it.
fn render(payload: &[u8]) -> String {
    match fresh(payload) {
        Ok(readings) => readings
            .iter()
            .map(|reading| {
                line(&ReadingLine {
                    device: reading.device.as_str(),
                    metric: &reading.metric,
                    at: reading.at.to_string(),
                    value: &reading.value,
                    unit: reading.unit.as_deref(),
                    quality: reading.quality.as_str(),
                    time_source: reading.time_source.as_str(),
                })
            })
            .collect(),
        Err(reject) => line(&RejectLine { rejected: reject.to_string(), code: reject.code() }),
    }
}

#[test]
fn every_payload_becomes_what_its_golden_says() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever changes the decoder, not configuration"
    )]
    let is_update = std::env::var("UPDATE_GOLDENS").is_ok();
    let generated = GENERATED.iter().map(|(name, make)| ((*name).to_owned(), make()));
    let mut differences = Vec::new();
    let mut goldens = BTreeSet::new();
    for (name, payload) in FILES.clone().into_iter().chain(generated) {
        let golden = format!("{name}{GOLDEN}");
        let path = folder().join(&golden);
        let rendered = render(&payload);
        if is_update {
            fs::write(&path, &rendered).unwrap();
        }
        match fs::read_to_string(&path) {
            Ok(expected) if expected == rendered => {}
            Ok(expected) => differences.push(format!("{name} becomes\n{rendered}instead of\n{expected}")),
            Err(error) => differences.push(format!("{golden}: {error}; {name} becomes\n{rendered}")),
        }
        goldens.insert(golden);
    }
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(GOLDEN) && !goldens.contains(&name) {
            differences.push(format!("{name} has no payload"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_payload_is_refused_exactly_if_its_name_says_so() {
    let generated = GENERATED.iter().map(|(name, make)| ((*name).to_owned(), make()));
    for (name, payload) in FILES.clone().into_iter().chain(generated) {
        assert_eq!(fresh(&payload).is_err(), name.starts_with("bad-"), "{name}");
    }
}

/// What holds of any payload whatever: readings within the limits, or a reason, and the same from a decoder that has
/// seen other messages before.
fn assert_harmless(payload: &[u8]) {
    thread_local! {
        static EXPERIENCED: RefCell<Decoder> = RefCell::new(Decoder::default());
    }
    let outcome = fresh(payload);
    let again = EXPERIENCED.with_borrow_mut(|decoder| decode(decoder, payload));
    assert_eq!(outcome, again, "what a decoder has seen before changes what it returns");
    let readings = match outcome {
        Ok(readings) => readings,
        Err(reject) => {
            assert!(reject.to_string().split(' ').count() > 3 && !reject.code().is_empty(), "{reject:?}");
            return;
        }
    };
    assert!((1..=MAX_SAMPLES).contains(&readings.len()), "{} readings", readings.len());
    for reading in &readings {
        assert_eq!(reading.device.as_str(), "plant-1/pump-7", "only the topic says who sends");
        assert!((1..=MAX_NAME_BYTES).contains(&reading.metric.len()), "{:?}", reading.metric);
        assert!(reading.at.is_plausible() && reading.received == RECEIVED, "{reading:?}");
        match &reading.value {
            Value::Float(number) => {
                assert_eq!(Value::from_f64(*number).as_ref(), Some(&reading.value), "{number} is canonical");
            }
            Value::Integer(number) => {
                assert!((i64::MIN.into()..=u64::MAX.into()).contains(number), "{number}");
            }
            Value::Text(text) => assert!(text.len() <= MAX_TEXT_BYTES, "{} bytes", text.len()),
            Value::Boolean(_) => {}
        }
    }
}

/// What a payload goes through on its way.
#[derive(Debug, Clone)]
enum Mutation {
    CutTail(Index),
    CutOut(Index, Index),
    Flip(Index, u8),
    Insert(Index, &'static str),
    /// A piece of another payload, at any place.
    Splice(Index, Index, Index, Index),
}

/// Pieces of JSON, and of what is taken for it.
const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\"a\":",
    "\"b\"",
    "\"ts\":",
    "\"t\":",
    "\"values\":",
    "\"device_id\":",
    "\"\"",
    "null",
    "true",
    "NaN",
    "-Infinity",
    "0",
    "-1",
    "1.5",
    "1e5",
    "e400",
    "1795417200",
    "1795417200250",
    "\"2026-11-23T07:00:00Z\"",
    "18446744073709551616",
    "\\u0000",
    "\\ud83c",
    "é",
    "\0",
    "\u{feff}",
    " ",
    "\n",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<Index>().prop_map(Mutation::CutTail),
        any::<(Index, Index)>().prop_map(|(from, to)| Mutation::CutOut(from, to)),
        any::<(Index, u8)>().prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (any::<Index>(), select(&PIECES[..])).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        any::<[Index; 4]>().prop_map(|[other, from, to, at]| Mutation::Splice(other, from, to, at)),
    ]
}

impl Mutation {
    fn apply(&self, payload: &mut Vec<u8>) {
        let place = |index: &Index, length: usize| index.index(length + 1);
        let range = |from: &Index, to: &Index, length: usize| {
            let (from, to) = (place(from, length), place(to, length));
            from.min(to)..from.max(to)
        };
        match self {
            Self::CutTail(at) => payload.truncate(place(at, payload.len())),
            Self::CutOut(from, to) => drop(payload.drain(range(from, to, payload.len()))),
            Self::Flip(at, bits) => {
                let length = payload.len();
                if let Some(byte) = payload.get_mut(place(at, length)) {
                    *byte ^= bits;
                }
            }
            Self::Insert(at, piece) => {
                let at = place(at, payload.len());
                payload.splice(at..at, piece.bytes());
            }
            Self::Splice(other, from, to, at) => {
                let other = golden_payload(other);
                let at = place(at, payload.len());
                payload.splice(at..at, other[range(from, to, other.len())].iter().copied());
            }
        }
    }
}

fn golden_payload(index: &Index) -> &'static [u8] {
    FILES.values().nth(index.index(FILES.len())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_become_readings_or_a_reason(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
        assert_harmless(&payload);
    }

    #[test]
    fn any_pieces_of_json_become_readings_or_a_reason(
        pieces in proptest::collection::vec(select(&PIECES[..]), 0..40)
    ) {
        assert_harmless(pieces.concat().as_bytes());
    }

    #[test]
    fn any_damage_to_a_payload_leaves_readings_or_a_reason(
        original in any::<Index>(),
        mutations in proptest::collection::vec(mutation(), 1..8),
    ) {
        let mut payload = golden_payload(&original).to_vec();
        for mutation in &mutations {
            mutation.apply(&mut payload);
        }
        assert_harmless(&payload);
    }
}
