//! What messages cost that are made to be slow: up to 10,000 samples of different names, units, times or paths, beside as
//! many plain ones. Shows times to compare, and fails only where a case is not decoded, or refused, as it says.

#![expect(clippy::expect_used, reason = "a bench fails by panicking")]

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use divan::Bencher;
use flate2::Compression;
use flate2::write::GzEncoder;
use telemetry::{Decoder, Envelope, Micros, Profile, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SAMPLES: usize = 10_000;

fn main() {
    divan::main();
}

/// A payload, the profile that it is read by, and what becomes of it.
struct Case {
    name: &'static str,
    profile: String,
    payload: String,
    /// The code that it is refused with; `None` if it is decoded.
    refused_with: Option<&'static str>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn case(name: &'static str, profile: &str, payload: String) -> Case {
    Case { name, profile: profile.to_owned(), payload, refused_with: None }
}

fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    (0..count).map(element).collect::<Vec<_>>().join(",")
}

fn cases() -> Vec<Case> {
    let object = |member: &dyn Fn(usize) -> String| format!("{{{}}}", list(SAMPLES - 1, member));
    let array = |count: usize, element: &dyn Fn(usize) -> String| format!("[{}]", list(count, element));
    let stars: String = (0..200).map(|n| format!("[[metric]]\nfrom = \"*.r{n}.*.x\"\n")).collect();
    let clock = |n: usize| format!("2026-11-22T{:02}:{:02}:{:02}", n / 3_600, n / 60 % 60, n % 60);
    vec![
        case("plain", "", array(2_500, &|n| format!(r#"{{"a":{n},"b":1,"c":2,"d":3}}"#))),
        case("names", "", object(&|n| format!(r#""the_{n}_temperature_of_something":{n}"#))),
        case("names of many words", "", object(&|n| format!(r#""aBcDeFgHiJkLmNoPqRsTuVwXyZaBcD{n}":{n}"#))),
        Case {
            refused_with: Some("limit"),
            ..case(
                "paths under 200 patterns, refused",
                &stars,
                format!(r#"{{"a":{}}}"#, object(&|n| format!(r#""n{n}":{{"b":{{"x":{n}}}}}"#))),
            )
        },
        case("units", "", array(SAMPLES / 4, &|n| format!(r#"{{"n":"a","v":1,"u":"km/x{n}"}}"#))),
        case("unit sources", "", object(&|n| format!(r#""n{n}Temp_unit":"C""#))),
        case("times", "", array(SAMPLES / 2, &|n| format!(r#"{{"a":1,"ts":"{}Z"}}"#, clock(n)))),
        case(
            "times without a zone",
            "time.zone = \"Europe/Berlin\"",
            array(SAMPLES / 2, &|n| format!(r#"{{"a":1,"ts":"{}"}}"#, clock(n))),
        ),
        case("one time", "", array(SAMPLES / 2, &|n| format!(r#"{{"a":{n},"ts":1795417200}}"#))),
        case(
            "elements with names",
            "",
            format!(r#"{{"a":{}}}"#, array(SAMPLES / 2, &|n| format!(r#"{{"id":"k{n}","v":1}}"#))),
        ),
        case(
            "objects with times",
            "",
            format!(
                r#"{{"a":{}}}"#,
                array(SAMPLES / 2, &|n| format!(r#"{{"b":{{"ts":{},"v":1}}}}"#, 1_795_417_200 - n))
            ),
        ),
        case("large integers", "", array(SAMPLES / 2, &|n| format!(r#"{{"a":184467440737095516{n:05}}}"#))),
    ]
}

#[divan::bench(args = cases())]
fn decode(bencher: Bencher<'_, '_>, case: &Case) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(case.payload.as_bytes()).expect("memory is enough");
    let payload = base64_simd::STANDARD.encode_to_string(gzip.finish().expect("memory is enough"));
    let profile = Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{}", case.profile));
    let profile = Arc::new(profile.expect("a good profile"));
    let envelope = Envelope {
        payload: payload.into(),
        topic: "dt/s/d/state".into(),
        client: None,
        principal: None,
        content_type: None,
        received: Micros(1_795_417_200_250_000),
        trace: Some("b5e0c1f0-1a2b-3c4d-5e6f-000000000001".into()),
        record: None,
    };
    let profiles = Arc::new([profile].into_iter().collect());
    // Nothing is known of the names and units that come.
    let new = || (Decoder::new(Settings::default(), Arc::clone(&profiles)), Vec::new());
    let (mut decoder, mut readings) = new();
    let refused_with = decoder.decode(&envelope, &mut readings).err().map(|reject| reject.code());
    assert_eq!(refused_with, case.refused_with, "{case}");
    bencher.with_inputs(new).bench_local_values(|(mut decoder, mut readings)| {
        let outcome = decoder.decode(&envelope, &mut readings);
        drop(divan::black_box(outcome));
        (decoder, readings)
    });
}
