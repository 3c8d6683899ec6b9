//! Every payload in `tests/payloads/` beside the readings, or the refusal, that it becomes; and what no payload
//! whatever may do.
//!
//! Payloads in the folder itself come on `dt/plant-1/pump-7/state`; those in a folder below it on a topic whose last
//! level is the folder's name, unless its file `topic` says another, and are read by its `profile.toml` if it has one.
//! Payloads in `tests/profiles/{profile}/{kind}/` are read by the profiles in `infra/profiles/`, of which that one fits;
//! a file `layout` says which layout their topic is of, where it is not the default. Its site is `plant-1`.
//!
//! `UPDATE_GOLDENS=1 cargo test -p tests --test payloads` writes the goldens anew: read the difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use telemetry::limits::{MAX_INTEGER, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use telemetry::{
    Decoder, DeviceId, Envelope, IdentityRules, Layouts, Micros, Profile, Profiles, Reading, Reject,
    Settings, Span, TopicLayout, Value, pack, standing,
};
use tests::goldens::{GOLDEN, difference, from_hex, render};

/// 2026-11-23T07:00:00.25Z.
const RECEIVED: Micros = Micros(1_795_417_200_250_000);
/// What most payloads are published on.
const TOPIC: &str = "dt/plant-1/pump-7/state";

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

/// The folders in a folder, in the order of their names.
fn folders(of: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The profiles that are shipped.
static SHIPPED: LazyLock<Arc<Profiles>> = LazyLock::new(|| {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "infra", "profiles"].iter().collect();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let profile = |file: PathBuf| {
        let profile = Profile::from_toml(&fs::read_to_string(&file).unwrap());
        let profile = profile.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(file.file_stem().unwrap().to_str(), Some(&*profile.name));
        Arc::new(profile)
    };
    Arc::new(files.map(profile).collect())
});

/// Payloads that come alike.
struct Kind {
    folder: PathBuf,
    topic: String,
    settings: Settings,
    profiles: Arc<Profiles>,
    /// The payloads by name.
    payloads: BTreeMap<String, Vec<u8>>,
}

impl Kind {
    fn read(folder: PathBuf, topic: String) -> Self {
        let mut files: BTreeMap<_, _> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
            .filter(|(name, _)| !name.ends_with(GOLDEN) && !name.starts_with('.') && !name.ends_with(".md"))
            .collect();
        let mut text = |name: &str| files.remove(name).map(|bytes| String::from_utf8(bytes).unwrap());
        let topic = text("topic").map_or(topic, |topic| topic.trim().to_owned());
        let settings = text("layout").map_or_else(Settings::default, |layout| settings_of(layout.trim()));
        let profile = text("profile.toml").map(|toml| {
            Arc::new(
                Profile::from_toml(&toml).unwrap_or_else(|error| panic!("{}: {error}", folder.display())),
            )
        });
        for (_, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".hex")) {
            *bytes = from_hex(bytes);
        }
        let profiles = Arc::new(profile.into_iter().collect());
        Self { profiles, folder, topic, settings, payloads: files }
    }

    /// Messages that one of the shipped profiles is for.
    fn of_shipped(folder: PathBuf) -> Self {
        let profile = folder.parent().and_then(Path::file_name).unwrap().to_owned();
        let kind = Self::read(folder, String::new());
        let found = SHIPPED.of_message(&kind.topic, &kind.settings.identity);
        assert_eq!(found.map(|found| &*found.name), profile.to_str(), "{}", kind.folder.display());
        Self { profiles: Arc::clone(&SHIPPED), ..kind }
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(self.settings.clone(), Arc::clone(&self.profiles))
    }
}

/// Those of a deployment with one layout.
fn settings_of(layout: &str) -> Settings {
    let layout: TopicLayout = layout.parse().unwrap_or_else(|error| panic!("{layout}: {error}"));
    let layouts = Layouts::new(vec![layout.into()], "plant-1".parse().unwrap(), None).unwrap();
    Settings { identity: IdentityRules { layouts, ..IdentityRules::default() }, ..Settings::default() }
}

/// All payloads: first those of the folder itself, and those that are made.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let mut plain = Kind::read(folder(), TOPIC.to_owned());
    plain.payloads.extend(GENERATED.iter().map(|(name, make)| ((*name).to_owned(), make())));
    let kind = |folder: PathBuf| {
        let topic = format!("dt/plant-1/pump-7/{}", folder.file_name().unwrap().to_str().unwrap());
        Kind::read(folder, topic)
    };
    let shipped =
        folders(&folder().with_file_name("profiles")).into_iter().flat_map(|profile| folders(&profile));
    let kinds = folders(&folder()).into_iter().map(kind).chain(shipped.map(Kind::of_shipped));
    std::iter::once(plain).chain(kinds).collect()
});

fn decode_on(topic: &str, decoder: &mut Decoder, payload: &[u8]) -> Result<Vec<Reading>, Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: topic.into(),
        client: None,
        principal: None,
        content_type: None,
        received: RECEIVED,
        trace: None,
        record: None,
    };
    let mut readings = Vec::new();
    let outcome = decoder.decode(&envelope, &mut readings);
    assert!(outcome.is_ok() || readings.is_empty(), "a refused message has left {} readings", readings.len());
    outcome.map(|_| readings)
}

#[test]
fn every_payload_becomes_what_its_golden_says() {
    let mut differences = Vec::new();
    for kind in &*KINDS {
        let mut goldens = BTreeSet::new();
        for (name, payload) in &kind.payloads {
            let golden = format!("{name}{GOLDEN}");
            let path = kind.folder.join(&golden);
            let rendered = render(decode_on(&kind.topic, &mut kind.decoder(), payload));
            differences.extend(difference(&path, &rendered));
            goldens.insert(golden);
        }
        for entry in fs::read_dir(&kind.folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(GOLDEN) && !goldens.contains(&name) {
                differences.push(format!("{}/{name} has no payload", kind.folder.display()));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_shipped_profile_has_payloads() {
    let folder = folder().with_file_name("profiles");
    let with_payloads: BTreeSet<_> = folders(&folder)
        .into_iter()
        .filter(|profile| !folders(profile).is_empty())
        .map(|profile| profile.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let shipped: BTreeSet<_> = SHIPPED.iter().map(|profile| profile.name.to_string()).collect();
    assert_eq!(with_payloads, shipped);
}

#[test]
fn a_payload_is_refused_exactly_if_its_name_says_so() {
    for kind in &*KINDS {
        for (name, payload) in &kind.payloads {
            let outcome = decode_on(&kind.topic, &mut kind.decoder(), payload);
            assert_eq!(outcome.is_err(), name.starts_with("bad-"), "{name} in {}", kind.folder.display());
        }
    }
}

/// What holds of any payload whatever: readings within the limits, or a reason, and the same from a decoder that has
/// seen other messages before.
fn assert_harmless(kind: &'static Kind, payload: &[u8]) {
    thread_local! {
        static EXPERIENCED: RefCell<HashMap<&'static str, Decoder>> = RefCell::default();
    }
    let outcome = decode_on(&kind.topic, &mut kind.decoder(), payload);
    let again = EXPERIENCED.with_borrow_mut(|decoders| {
        decode_on(&kind.topic, decoders.entry(&kind.topic).or_insert_with(|| kind.decoder()), payload)
    });
    assert_eq!(outcome, again, "what a decoder has seen before changes what it returns");
    let readings = match outcome {
        Ok(readings) => readings,
        Err(reject) => {
            assert!(reject.to_string().split(' ').count() > 3 && !reject.code().is_empty(), "{reject:?}");
            return;
        }
    };
    // A profile may leave out all that there is.
    let fewest = usize::from(kind.profiles.is_empty());
    assert!((fewest..=MAX_SAMPLES).contains(&readings.len()), "{} readings", readings.len());
    for reading in &readings {
        if kind.profiles.is_empty() {
            assert_eq!(reading.device.as_str(), "plant-1/pump-7", "only the topic says who sends");
        } else {
            assert!(reading.device.as_str().starts_with("plant-1/"), "only the topic says which site sends");
        }
        assert!((1..=MAX_NAME_BYTES).contains(&reading.metric.len()), "{:?}", reading.metric);
        assert!(reading.at.is_plausible() && reading.received.0 / 1_000 == RECEIVED.0 / 1_000, "{reading:?}");
        match &reading.value {
            Value::Float(number) => {
                assert_eq!(Value::from_f64(*number).as_ref(), Some(&reading.value), "{number} is canonical");
            }
            Value::Integer(number) => {
                assert!(number.unsigned_abs() < MAX_INTEGER, "{number}");
            }
            Value::Text(text) => assert!(text.len() <= MAX_TEXT_BYTES, "{} bytes", text.len()),
            Value::Boolean(_) => {}
        }
    }
}

/// What a reader of the table gets of a message.
fn stored(topic: &str, decoder: &mut Decoder, payload: &[u8]) -> Result<Vec<Reading>, Reject> {
    let mut devices: BTreeMap<DeviceId, Vec<Reading>> = BTreeMap::new();
    for span in pack(decode_on(topic, decoder, payload)?) {
        let item = serde_json::from_str(&span.to_item(Some(30)).json).unwrap();
        let span = Span::from_item(&item).unwrap();
        devices.entry(span.device().clone()).or_default().extend(span.readings());
    }
    Ok(devices.into_values().flat_map(standing).collect())
}

/// `tidegate decode` says of a payload what would be stored of it.
fn assert_decode_says_what_is_stored(
    topic: &str,
    settings: &Settings,
    profiles: &Arc<Profiles>,
    payload: &[u8],
) {
    let question = tidegate::decode::Question {
        topic: topic.to_owned(),
        client: None,
        received: RECEIVED,
        content_type: None,
        settings: settings.clone(),
        profiles: Vec::new(),
        after: Vec::new(),
    };
    let said = tidegate::decode::readings(&question, Arc::clone(profiles), payload).unwrap();
    let stored = stored(topic, &mut Decoder::new(settings.clone(), Arc::clone(profiles)), payload);
    assert_eq!(said.map_err(|refused| refused.reject), stored, "{topic}");
}

#[test]
fn of_every_golden_payload_decode_says_what_is_stored() {
    for kind in KINDS.iter() {
        for payload in kind.payloads.values() {
            assert_decode_says_what_is_stored(&kind.topic, &kind.settings, &kind.profiles, payload);
        }
    }
}

/// Documents that are read, with names and times that meet.
fn document() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        select(&["true", "\"on\"", "\"\\u0001é\"", "[1, 2, 2.5]", "{\"c\": 1, \"d.e\": [0, 0]}", "null"][..])
            .prop_map(str::to_owned),
    ];
    let name = select(&["a", "b", "b.c", "temperature_F", "humidity"][..]);
    let member = (name, value).prop_map(|(name, value)| format!("\"{name}\": {value}"));
    let ts = proptest::option::of(0_i64..3).prop_map(|ts| match ts {
        Some(ts) => format!("\"ts\": {}, ", 1_795_417_200 - 600 * ts),
        None => String::new(),
    });
    let record = (ts, proptest::collection::vec(member, 1..4))
        .prop_map(|(ts, members)| format!("{{{ts}{}}}", members.join(", ")));
    proptest::collection::vec(record, 1..6).prop_map(|records| format!("[{}]", records.join(", ")))
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
                let (_, other) = golden_payload(other);
                let at = place(at, payload.len());
                payload.splice(at..at, other[range(from, to, other.len())].iter().copied());
            }
        }
    }
}

/// One of all payloads that are no larger than what devices send.
fn golden_payload(index: &Index) -> (&'static Kind, &'static [u8]) {
    const MANY: usize = 16 * 1024;
    let all = || {
        let of = |kind: &'static Kind| kind.payloads.values().map(move |payload| (kind, &payload[..]));
        KINDS.iter().flat_map(of).filter(|(_, payload)| payload.len() < MANY)
    };
    all().nth(index.index(all().count())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_document_decode_says_what_is_stored(document in document()) {
        assert_decode_says_what_is_stored(TOPIC, &Settings::default(), &Arc::default(), document.as_bytes());
    }

    #[test]
    fn any_bytes_become_readings_or_a_reason(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
        for kind in &*KINDS {
            assert_harmless(kind, &payload);
        }
    }

    #[test]
    fn any_pieces_of_json_become_readings_or_a_reason(
        pieces in proptest::collection::vec(select(&PIECES[..]), 0..40)
    ) {
        assert_harmless(&KINDS[0], pieces.concat().as_bytes());
    }

    #[test]
    fn any_damage_to_a_payload_leaves_readings_or_a_reason(
        original in any::<Index>(),
        mutations in proptest::collection::vec(mutation(), 1..8),
    ) {
        let (kind, payload) = golden_payload(&original);
        let mut payload = payload.to_vec();
        for mutation in &mutations {
            mutation.apply(&mut payload);
        }
        assert_harmless(kind, &payload);
    }
}
