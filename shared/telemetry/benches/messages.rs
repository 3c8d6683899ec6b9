//! The pure path, one core: messages of 200 bytes with four readings, from 1,000 devices.
//!
//! `decode_normalise_pack` goes from a record's text to spans; `pure_path` further, to the text of
//! the items that are sent. Beside them stand the parts, and the bare JSON parsers on the same
//! payloads, each of which only visits all members.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where its input is wrong"
)]

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use telemetry::{Decoder, Envelope, Profile, Reading, Settings, pack};

// The function's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: usize = 5_000;
const DEVICES: usize = 1_000;

fn main() {
    let payload = payloads()[0].len();
    println!("{MESSAGES} messages of {payload} bytes and 4 readings, from {DEVICES} devices");
    divan::main();
}

fn payloads() -> Vec<String> {
    (0..MESSAGES)
        .map(|number| {
            format!(
                concat!(
                    r#"{{"ts":{ts},"temperature":{t:.2},"humidity":{h:.1},"pressure":{p},"battery":{b:.3},"#,
                    r#""firmware":null,"location":null,"maintenance_due":null,"operator_note":null,"#,
                    r#""calibrated_at":null,"spare":null}}"#,
                ),
                ts = 1_700_000_000_000_u64 + (number / DEVICES) as u64 * 10_000 + (number % DEVICES) as u64,
                t = 20.0 + number as f64 / 1_000.0,
                h = 40.0 + (number % 100) as f64 / 10.0,
                p = 101_325 + number,
                b = 3.7 - number as f64 / 10_000.0,
            )
        })
        .collect()
}

/// The same readings as SenML, of about the same length.
fn senml_payloads() -> Vec<String> {
    (0..MESSAGES)
        .map(|number| {
            format!(
                concat!(
                    r#"[{{"bn":"urn:dev:ow:10e2073a01080063:","bt":{ts:.3},"n":"temperature","u":"Cel","v":{t:.2}}},"#,
                    r#"{{"n":"humidity","u":"%RH","v":{h:.1}}},{{"n":"pressure","u":"Pa","v":{p}}},"#,
                    r#"{{"n":"battery","u":"V","v":{b:.3}}}]"#,
                ),
                ts = 1_700_000_000.0 + (number / DEVICES) as f64 * 10.0 + (number % DEVICES) as f64 / 1_000.0,
                t = 20.0 + number as f64 / 1_000.0,
                h = 40.0 + (number % 100) as f64 / 10.0,
                p = 101_325 + number,
                b = 3.7 - number as f64 / 10_000.0,
            )
        })
        .collect()
}

/// The same records with the integer labels of CBOR.
fn senml_cbor(number: usize) -> Result<Vec<u8>, minicbor::encode::Error<Infallible>> {
    let time = 1_700_000_000.0 + (number / DEVICES) as f64 * 10.0 + (number % DEVICES) as f64 / 1_000.0;
    let values = [
        ("temperature", "Cel", 20.0 + number as f64 / 1_000.0),
        ("humidity", "%RH", 40.0 + (number % 100) as f64 / 10.0),
        ("pressure", "Pa", 101_325.0 + number as f64),
        ("battery", "V", 3.7 - number as f64 / 10_000.0),
    ];
    let mut encoder = minicbor::Encoder::new(Vec::new());
    encoder.array(values.len() as u64 + 1)?;
    encoder.map(2)?.i8(-2)?.str("urn:dev:ow:10e2073a01080063:")?.i8(-3)?.f64(time)?;
    for (name, unit, value) in values {
        encoder.map(3)?.i8(0)?.str(name)?.i8(1)?.str(unit)?.i8(2)?.f64(value)?;
    }
    Ok(encoder.into_writer())
}

/// The JSON documents in CBOR.
fn cbor(document: &str) -> Vec<u8> {
    let document: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(document).expect("made above");
    let mut encoder = minicbor::Encoder::new(Vec::new());
    encoder.map(document.len() as u64).expect("to memory");
    for (name, value) in &document {
        encoder.str(name).expect("to memory");
        match (value.as_u64(), value.as_f64()) {
            (Some(number), _) => drop(encoder.u64(number).map(drop)),
            (None, Some(number)) => drop(encoder.f64(number).map(drop)),
            (None, None) => drop(encoder.null().map(drop)),
        }
    }
    encoder.into_writer()
}

/// The JSON documents in MessagePack.
fn msgpack(document: &str) -> Vec<u8> {
    let document: serde_json::Value = serde_json::from_str(document).expect("made above");
    rmp_serde::to_vec(&document).expect("to memory")
}

fn gzip(document: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(document.as_bytes()).expect("to memory");
    encoder.finish().expect("to memory")
}

fn records() -> Vec<String> {
    records_of(&payloads())
}

fn records_of(payloads: &[impl AsRef<[u8]>]) -> Vec<String> {
    records_on("state", payloads)
}

fn records_on(stream: &str, payloads: &[impl AsRef<[u8]>]) -> Vec<String> {
    let record = |(number, payload): (usize, _)| {
        let device = number % DEVICES;
        format!(
            r#"{{"payload":"{}","topic":"dt/plant-1/device-{device:04}/{stream}","client":"device-{device:04}","principal":"a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3abcd","received":{},"trace":"b5e0c1f0-1a2b-3c4d-5e6f-7a8b9c{number:06}"}}"#,
            base64_simd::STANDARD.encode_to_string(payload),
            1_700_000_000_250_u64 + (number / DEVICES) as u64 * 10_000,
        )
    };
    payloads.iter().map(AsRef::as_ref).enumerate().map(record).collect()
}

fn decode_all(decoder: &mut Decoder, records: &[String]) -> Vec<Reading> {
    let mut readings = Vec::with_capacity(4 * MESSAGES);
    for record in records {
        let envelope = Envelope::parse(record).expect("made above");
        decoder.decode(&envelope, &mut readings).expect("made above");
    }
    readings
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn pure_path(bencher: Bencher<'_, '_>) {
    let records = records();
    let mut decoder = Decoder::default();
    bencher.bench_local(move || {
        let spans = pack(decode_all(&mut decoder, &records));
        spans.iter().map(|span| span.to_item(Some(30)).json.len()).sum::<usize>()
    });
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn decode_normalise_pack(bencher: Bencher<'_, '_>) {
    let records = records();
    let mut decoder = Decoder::default();
    bencher.bench_local(move || pack(decode_all(&mut decoder, &records)));
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn part_decode(bencher: Bencher<'_, '_>) {
    let records = records();
    let mut decoder = Decoder::default();
    bencher.bench_local(move || decode_all(&mut decoder, &records));
}

/// As `part_decode`, of a payload that its bytes show to be SenML.
#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn part_decode_senml(bencher: Bencher<'_, '_>) {
    let records = records_of(&senml_payloads());
    let mut decoder = Decoder::default();
    bencher.bench_local(move || decode_all(&mut decoder, &records));
}

/// As `part_decode_senml`, in CBOR.
#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn part_decode_senml_cbor(bencher: Bencher<'_, '_>) {
    let payloads: Vec<_> =
        (0..MESSAGES).map(|number| senml_cbor(number).expect("written to memory")).collect();
    let records = records_of(&payloads);
    let mut decoder = Decoder::default();
    bencher.bench_local(move || decode_all(&mut decoder, &records));
}

/// As `part_decode`, of the same documents written otherwise.
#[divan::bench(counters = [ItemsCount::new(MESSAGES)], args = ["cbor", "msgpack", "json, gzip"])]
fn part_decode_as(bencher: Bencher<'_, '_>, format: &str) {
    let write = match format {
        "cbor" => cbor,
        "msgpack" => msgpack,
        _ => gzip,
    };
    let payloads: Vec<_> = payloads().iter().map(|document| write(document)).collect();
    println!("{format}: {} bytes", payloads[0].len());
    let records = records_on(if format == "msgpack" { "msgpack" } else { "state" }, &payloads);
    let mut decoder = Decoder::default();
    bencher.bench_local(move || decode_all(&mut decoder, &records));
}

/// What a profile describes, and messages of some 200 bytes that are written so.
struct Described {
    name: &'static str,
    profile: &'static str,
    payload: &'static str,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A payload of each construct; `#` stands for a digit that differs between messages.
const DESCRIBED: [Described; 10] = [
    Described {
        name: "every construct",
        profile: include_str!("../tests/everything.toml"),
        payload: r##"{"ts":1700000000000,"d":[{"id":"speed","v":2#.5,"u":"m/s","q":192},{"id":"count","v":7#,"q":192}],"gps":"52.1#;13.5","n":"T=2#.5;H=40","w":[0.1#,0.2#],"fs":4,"state":"ON","temperature":2#.5,"note":"in order"}"##,
    },
    Described {
        name: "records",
        profile: "[[shape]]\nat = \"values\"\nas = \"records\"\nname = \"{id}\"\nvalue = \"v\"\nquality = \"q\"\ntime = \"t\"",
        payload: r##"{"timestamp":1700000000000,"values":[{"id":"Line.Speed","v":2#.5,"q":true,"t":1700000000000},{"id":"Line.Count","v":7#,"q":true,"t":1700000000001},{"id":"Line.Torque","v":0.#5,"q":true,"t":1700000000002}]}"##,
    },
    Described {
        name: "series",
        profile: "[time]\nfield = \"start\"\n[[shape]]\nat = \"wave\"\nas = \"series\"\nrate_from = \"fs\"",
        payload: r##"{"start":1700000000000,"fs":100,"channel":"x","device":"accelerometer on the drive side of the pump","gain":1,"wave":[0.1#,0.2#,0.3#,0.4#,0.5#,0.6#,0.7#,0.8#,0.9#,1.0#,1.1#,1.2#]}"##,
    },
    Described {
        name: "rows",
        profile: "[[shape]]\nat = \"values\"\nas = \"rows\"\ncolumns_from = \"columns\"\nunder = \"\"",
        payload: r##"{"columns":["time","flow","level","state"],"values":[[1700000000000,2.#5,71,"running"],[1700000005000,2.#6,72,"running"],[1700000010000,2.#7,73,"running"],[1700000015000,2.#8,7#,"running"]]}"##,
    },
    Described {
        name: "pairs",
        profile: "format = \"text\"\n[[shape]]\nas = \"pairs\"\n[[shape]]\nat = \"*\"\nas = \"number\"\ndecimal = \",\"",
        payload: "temperature=2#,5 C;humidity=4#,0 %;pressure=1013,# hPa;battery=3,7# V;state=running;mode=automatic;operator=somebody of the second shift;firmware=1.2.3-beta;location=hall 3, row 12, place 7;note=none at all",
    },
    Described {
        name: "encoded",
        profile: "[[shape]]\nat = \"body\"\nas = \"document\"\nencoding = \"base64\"\nunder = \"\"",
        payload: r#"{"body":"eyJ0ZW1wZXJhdHVyZSI6MjEuNSwiaHVtaWRpdHkiOjQwLjAsInByZXNzdXJlIjoxMDEzMjUsImJhdHRlcnkiOjMuN30=","properties":{"level":"storage"},"systemProperties":{"contentType":"application/json","contentEncoding":"utf-8"}}"#,
    },
    Described {
        name: "times",
        profile: "[time]\nzone = \"Europe/Berlin\"\nformat = [\"%Y/%m/%d %H:%M:%S\", \"%d.%m.%Y %H:%M:%S\"]",
        payload: r##"{"time":"14.11.2023 23:13:20","temperature":2#.5,"humidity":4#.0,"pressure":101325,"battery":3.7#,"firmware":null,"location":null,"maintenance_due":null,"operator_note":null,"calibrated_at":null}"##,
    },
    Described {
        name: "maps",
        profile: "[quality]\nfield = \"status\"\ncodes = \"opc-ua\"\n[[metric]]\nfrom = [\"door\", \"pump\"]\nmap = { OPEN = true, CLOSED = false, ON = true, OFF = false }\n[[metric]]\nfrom = \"*\"\nunit_from = \"*Unit\"\nunit = \"Cel\"",
        payload: r##"{"ts":1700000000000,"door":"CLOSED","pump":"ON","temperature":2#.5,"returnFlow":3#.5,"tempUnit":"C","status":0,"firmware":null,"location":null,"maintenance_due":null,"operator_note":null,"calibrated":null}"##,
    },
    Described {
        name: "lenient",
        profile: "lenient = [\"nan\", \"leading_zeros\", \"trailing_commas\", \"single_quotes\"]",
        payload: r##"{'ts':1700000000000,'temperature':02#.5,'humidity':NaN,'pressure':101325,'battery':3.7#,'firmware':None,'location':None,'maintenance_due':None,'operator_note':None,'calibrated_at':None,'is_on':True,}"##,
    },
    Described { name: "bare value", profile: "topic_name = \"{4...}\"", payload: "21.#5" },
];

/// As `part_decode`, under profiles that describe what they read.
#[divan::bench(counters = [ItemsCount::new(MESSAGES)], args = DESCRIBED)]
fn part_decode_described(bencher: Bencher<'_, '_>, described: &Described) {
    let payloads: Vec<String> =
        (0..MESSAGES).map(|number| described.payload.replace('#', &(number % 10).to_string())).collect();
    let profile = format!("name = \"p\"\ndevices = \"*/*\"\n{}", described.profile);
    let profile = Profile::from_toml(&profile).expect("written above");
    let profiles = std::iter::once(Arc::new(profile)).collect();
    let records = records_of(&payloads);
    let mut decoder = Decoder::new(Settings::default(), Arc::new(profiles));
    println!(
        "{described}: {} bytes, {} readings",
        payloads[0].len(),
        decode_all(&mut decoder, &records[..1]).len()
    );
    bencher.bench_local(move || decode_all(&mut decoder, &records));
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn part_pack(bencher: Bencher<'_, '_>) {
    let readings = decode_all(&mut Decoder::default(), &records());
    bencher.with_inputs(|| readings.clone()).bench_local_values(pack);
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn part_items(bencher: Bencher<'_, '_>) {
    let spans = pack(decode_all(&mut Decoder::default(), &records()));
    bencher.bench_local(|| spans.iter().map(|span| span.to_item(Some(30)).json.len()).sum::<usize>());
}

/// Visits every member as a name and an optional number.
struct Members(usize);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = 0;
                while let Some((name, number)) = map.next_entry::<Cow<'de, str>, Option<f64>>()? {
                    members += name.len() + usize::from(number.is_some());
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn bare_serde_json(bencher: Bencher<'_, '_>) {
    let payloads = payloads();
    bencher.bench_local(|| {
        payloads.iter().map(|p| serde_json::from_str::<Members>(p).expect("made above").0).sum::<usize>()
    });
}

#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn bare_sonic_rs(bencher: Bencher<'_, '_>) {
    let payloads = payloads();
    bencher.bench_local(|| {
        payloads.iter().map(|p| sonic_rs::from_str::<Members>(p).expect("made above").0).sum::<usize>()
    });
}

/// simd-json parses in place, so a copy is part of its price.
#[divan::bench(counters = [ItemsCount::new(MESSAGES)])]
fn bare_simd_json(bencher: Bencher<'_, '_>) {
    let payloads = payloads();
    let mut buffers = simd_json::Buffers::default();
    bencher.bench_local(move || {
        let visit = |payload: &String| {
            let mut bytes = payload.clone().into_bytes();
            simd_json::serde::from_slice_with_buffers::<Members>(&mut bytes, &mut buffers)
                .expect("made above")
                .0
        };
        payloads.iter().map(visit).sum::<usize>()
    });
}
