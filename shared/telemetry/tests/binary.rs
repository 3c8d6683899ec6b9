//! CBOR, MessagePack and compressed bodies become what the same document becomes in JSON.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use minicbor::Encoder;
use minicbor::data::Tag;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use telemetry::limits::MAX_EXPANDED_BYTES;
use telemetry::{Decoder, Envelope, Format, Micros, Reading, Reject};

/// 2026-11-23T07:00:00Z.
const RECEIVED: Micros = Micros(1_795_417_200_000_000);

fn decode(payload: &[u8], stream: &str) -> Result<(Vec<Reading>, Format), Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: format!("dt/s/d/{stream}").into(),
        client: None,
        principal: None,
        content_type: None,
        received: RECEIVED,
        trace: None,
        record: None,
    };
    let mut readings = Vec::new();
    let decoded = Decoder::default().decode(&envelope, &mut readings)?;
    Ok((readings, decoded.format.unwrap()))
}

/// Each reading as `metric=value`, with `@seconds` after the arrival where it has a time of its own.
fn show(payload: &[u8], stream: &str) -> Result<String, Reject> {
    let (readings, _) = decode(payload, stream)?;
    let words = readings.iter().map(|reading| {
        let after = (reading.at.0 - RECEIVED.0) / 1_000_000;
        let at = if reading.time_source.as_str() == "device" { format!("@{after}") } else { String::new() };
        let quality = if reading.quality.as_str() == "good" { "" } else { "?" };
        format!("{}={}{quality}{at}", reading.metric, reading.value)
    });
    Ok(words.collect::<Vec<_>>().join(" "))
}

type Cbor<'a> = Encoder<&'a mut Vec<u8>>;

fn cbor(write: impl FnOnce(&mut Cbor<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes));
    bytes
}

/// A JSON document in CBOR; with maps and lists of unknown length if `is_open`.
fn write(document: &Json, is_open: bool, to: &mut Cbor<'_>) {
    match document {
        Json::Null => drop(to.null().unwrap()),
        Json::Bool(flag) => drop(to.bool(*flag).unwrap()),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => drop(to.u64(number).unwrap()),
            (None, Some(number)) => drop(to.i64(number).unwrap()),
            (None, None) => drop(to.f64(number.as_f64().unwrap()).unwrap()),
        },
        Json::String(text) => drop(to.str(text).unwrap()),
        Json::Array(list) => {
            if is_open {
                to.begin_array().unwrap()
            } else {
                to.array(list.len() as u64).unwrap()
            };
            list.iter().for_each(|element| write(element, is_open, to));
            if is_open {
                to.end().unwrap();
            }
        }
        Json::Object(map) => {
            if is_open {
                to.begin_map().unwrap()
            } else {
                to.map(map.len() as u64).unwrap()
            };
            for (name, member) in map {
                to.str(name).unwrap();
                write(member, is_open, to);
            }
            if is_open {
                to.end().unwrap();
            }
        }
    }
}

#[test]
fn what_cbor_has_beside_json() {
    let check = |expected: &str, make: &dyn Fn(&mut Cbor<'_>)| {
        assert_eq!(show(&cbor(|to| make(to)), "state").as_deref(), Ok(expected));
    };
    check("a=1", &|to| {
        to.map(1).unwrap().str("a").unwrap().u8(1).unwrap();
    });
    check("7=1 -1=2", &|to| {
        to.map(2).unwrap().u8(7).unwrap().u8(1).unwrap().i8(-1).unwrap().u8(2).unwrap();
    });
    check("a=1.5", &|to| {
        to.map(1).unwrap().str("a").unwrap().f16(1.5).unwrap();
    });
    check("a=22.1", &|to| {
        to.map(1).unwrap().str("a").unwrap().f32(22.1).unwrap();
    });
    check("a=NaN?", &|to| {
        to.map(1).unwrap().str("a").unwrap().f64(f64::NAN).unwrap();
    });
    check("a=AQL/", &|to| {
        to.map(1).unwrap().str("a").unwrap().bytes(&[1, 2, 255]).unwrap();
    });
    check("a=ab", &|to| {
        to.map(1)
            .unwrap()
            .str("a")
            .unwrap()
            .begin_str()
            .unwrap()
            .str("a")
            .unwrap()
            .str("b")
            .unwrap()
            .end()
            .unwrap();
    });
    check("b=2", &|to| {
        to.map(2).unwrap().str("a").unwrap().undefined().unwrap().str("b").unwrap().u8(2).unwrap();
    });
    check("a=1", &|to| {
        to.tag(Tag::new(55_799)).unwrap().map(1).unwrap().str("a").unwrap().u8(1).unwrap();
    });
    // What no value can hold is kept as text, and bad.
    check("a=1e-400? b=simple(99)? c=1", &|to| {
        to.map(3).unwrap().str("a").unwrap().tag(Tag::new(4)).unwrap().array(2).unwrap().i16(-400).unwrap();
        to.u8(1).unwrap().str("b").unwrap().simple(99).unwrap().str("c").unwrap().u8(1).unwrap();
    });
    check("a=1e200?", &|to| {
        to.map(1).unwrap().str("a").unwrap().f64(1e200).unwrap();
    });
    check("a=18446744073709551616", &|to| {
        let bytes = [1, 0, 0, 0, 0, 0, 0, 0, 0];
        to.map(1).unwrap().str("a").unwrap().tag(Tag::new(2)).unwrap().bytes(&bytes).unwrap();
    });
    check("a=18446744073709551615", &|to| {
        to.map(1).unwrap().str("a").unwrap().u64(u64::MAX).unwrap();
    });
    check("a=-18446744073709551616", &|to| {
        to.map(1)
            .unwrap()
            .str("a")
            .unwrap()
            .int(minicbor::data::Int::try_from(-(1_i128 << 64)).unwrap())
            .unwrap();
    });
    // Tagged times: of the record, whatever they are called, unless a name says more.
    let seconds = u64::try_from(RECEIVED.0 / 1_000_000).unwrap();
    check("a=1@-10", &|to| {
        to.map(2).unwrap().str("when").unwrap().tag(Tag::new(1)).unwrap().u64(seconds - 10).unwrap();
        to.str("a").unwrap().u8(1).unwrap();
    });
    check("a=1@-10", &|to| {
        to.map(2).unwrap().str("a").unwrap().u8(1).unwrap().str("when").unwrap().tag(Tag::new(0)).unwrap();
        to.str("2026-11-23T06:59:50Z").unwrap();
    });
}

#[test]
fn what_is_no_cbor_is_refused_with_a_reason() {
    let check = |payload: &[u8], code: &str| {
        let outcome = show(payload, "cbor");
        assert_eq!(outcome.as_ref().map_err(Reject::code), Err(code), "{payload:02x?}: {outcome:?}");
    };
    check(&[], "empty");
    check(&[0xa1], "cut_short");
    check(&[0xa1, 0x61], "cut_short");
    check(&[0xbf, 0x61, b'a', 1], "cut_short");
    check(&[0xa0, 0x00], "not_cbor");
    check(&[0xa1, 0x61, 0xff, 1], "not_cbor");
    check(&[0xa1, 0xf4, 1], "not_cbor");
    check(&[0xff], "not_cbor");
    check(&[0xa1, 0x61, b'a', 0xc1, 0x61, b'x'], "not_cbor");
    // What a length claims is not made room for.
    check(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "cut_short");
    check(&[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "cut_short");
    check(&[0x81; 1_000], "shape");
    check(&[0xd8, 0x20].repeat(60_000), "cut_short");
}

#[test]
fn large_integers_of_cbor_keep_as_many_digits_as_those_of_json() {
    let check = |tag: u8, integer: &[u8], expected: &str| {
        let length = 0x40 + u8::try_from(integer.len()).unwrap();
        let payload = [&[0xa1, 0x61, b'a', tag, length][..], integer].concat();
        assert_eq!(show(&payload, "cbor"), Ok(format!("a={expected}")), "{integer:02x?}");
        if expected.bytes().all(|byte| byte.is_ascii_digit()) {
            assert_eq!(show(format!("{{\"a\":{expected}}}").as_bytes(), "json"), Ok(format!("a={expected}")));
        }
    };
    let (plus, minus) = (0xc2, 0xc3);
    check(plus, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "79228162514264337593543950337");
    let (most, least) = (10_u128.pow(38) - 1, 10_u128.pow(38));
    check(plus, &most.to_be_bytes(), &most.to_string());
    check(minus, &(most - 1).to_be_bytes(), &format!("-{most}"));
    check(plus, &least.to_be_bytes(), "1e+38");
    check(minus, &(least - 1).to_be_bytes(), "-1e+38");
    // Half-way between two doubles, and a little more in the last byte.
    let between = [0x80, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    check(plus, &between, &format!("{:e}", 2_f64.powi(135)).replace('e', "e+"));
    let more = [0x80, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    check(plus, &more, &format!("{:e}", f64::from_bits(2_f64.powi(135).to_bits() + 1)).replace('e', "e+"));
}

#[test]
fn what_stands_beside_a_tagged_time_is_what_it_is_called() {
    let time = [&[0x64][..], b"when", &[0xc0, 0x74], b"2026-11-23T07:00:00Z"].concat();
    let name = [&[0x62][..], b"id", &[0x62], b"t1"].concat();
    let value = [0x61, b'v', 20];
    let at = show(&[&[0x81, 0xa3][..], &name, &time, &value].concat(), "cbor");
    assert!(at.as_ref().is_ok_and(|at| at.starts_with("t1=20@")), "{at:?}");
    assert_eq!(show(&[&[0x81, 0xa3][..], &time, &name, &value].concat(), "cbor"), at);
}

#[test]
fn what_messagepack_has_beside_json() {
    let check = |payload: &[u8], expected: &str| {
        assert_eq!(show(payload, "msgpack").as_deref(), Ok(expected), "{payload:02x?}");
    };
    check(&[0x81, 0xa1, b'a', 0x01], "a=1");
    check(&[0x81, 0x07, 0xff], "7=-1");
    check(&[0x81, 0xa1, b'a', 0xca, 0x41, 0xb0, 0xcc, 0xcd], "a=22.1");
    check(&[0x81, 0xa1, b'a', 0xc4, 3, 1, 2, 255], "a=AQL/");
    check(&[0x81, 0xa1, b'a', 0xd4, 5, 1], "a=AQ==");
    check(&[0x81, 0xa1, b'a', 0xcf, 255, 255, 255, 255, 255, 255, 255, 255], "a=18446744073709551615");
    let seconds = u32::try_from(RECEIVED.0 / 1_000_000 - 10).unwrap().to_be_bytes();
    let with_time = |time: &[u8]| [&[0x82, 0xa1, b'w'][..], time, &[0xa1, b'a', 1]].concat();
    check(&with_time(&[&[0xd6, 0xff][..], &seconds].concat()), "a=1@-10");
    let of_64_bits =
        (u64::from(500_000_000_u32) << 34 | u64::from(u32::from_be_bytes(seconds))).to_be_bytes();
    check(&with_time(&[&[0xd7, 0xff][..], &of_64_bits].concat()), "a=1@-9");
    let of_96_bits = i64::from(u32::from_be_bytes(seconds)).to_be_bytes();
    check(&with_time(&[&[0xc7, 12, 0xff, 0, 0, 0, 0][..], &of_96_bits].concat()), "a=1@-10");
    let refused = |payload: &[u8], code: &str| {
        assert_eq!(show(payload, "msgpack").map_err(|reject| reject.code()), Err(code), "{payload:02x?}");
    };
    refused(&[], "empty");
    refused(&[0xc1], "not_msgpack");
    refused(&[0x80, 0x00], "not_msgpack");
    refused(&[0x81, 0xa1, b'a'], "cut_short");
    refused(&[0xdd, 0xff, 0xff, 0xff, 0xff], "cut_short");
    refused(&[0x81, 0xc0, 0x01], "not_msgpack");
    refused(&with_time(&[0xc7, 3, 0xff, 1, 2, 3]), "not_msgpack");
}

#[test]
fn only_what_shows_it_is_recognised() {
    let check = |payload: &[u8], expected: Format| {
        assert_eq!(decode(payload, "state").map(|(_, format)| format), Ok(expected), "{payload:02x?}");
    };
    check(br#"{"a": 1}"#, Format::Json);
    check(&[0xa1, 0x61, b'a', 1], Format::Cbor);
    check(&[0xbf, 0x61, b'a', 1, 0xff], Format::Cbor);
    // MessagePack's small maps begin as CBOR's lists do: it is told by name only.
    assert!(decode(&[0x81, 0xa1, b'a', 0x01], "state").is_err());
    assert_eq!(decode(b"55.49", "state").map_err(|reject| reject.code()).err(), Some("shape"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

#[test]
fn compressed_bodies_are_unpacked_to_a_bound() {
    let document = br#"{"a": 1, "b": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    let plain = show(document, "state");
    for compress in [gzip, zlib, zstd] {
        let body = compress(document);
        assert_eq!(show(&body, "state"), plain);
        assert!(show(&body[..body.len() - 1], "state").is_err(), "cut short");
        assert!(show(&[&body[..], b"more"].concat(), "state").is_err(), "other bytes follow");
        assert_eq!(show(&compress(b""), "state"), Err(Reject::Empty));
        let largest = [&br#"{"a": 1}"#[..], &vec![b' '; MAX_EXPANDED_BYTES - 8]].concat();
        assert_eq!(show(&compress(&largest), "state").as_deref(), Ok("a=1"));
        let too_large = compress(&[&largest[..], b" "].concat());
        assert_eq!(show(&too_large, "state"), Err(Reject::Expansion));
        let bomb = compress(&vec![b' '; 64 * 1024 * 1024]);
        assert!(bomb.len() < 128 * 1024, "{}", bomb.len());
        assert_eq!(show(&bomb, "state"), Err(Reject::Expansion));
    }
    let two = [gzip(br#"{"a": "#), gzip(b"1}")].concat();
    assert_eq!(show(&two, "state").as_deref(), Ok("a=1"), "RFC 1952: a file may have several members");
    let cbor = gzip(&[0xa1, 0x61, b'a', 1]);
    assert_eq!(show(&cbor, "state").as_deref(), Ok("a=1"));
}

/// Documents as devices send them, and as none does.
fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        (-1e9..1e9_f64).prop_map(Json::from),
        (1_795_417_000_u64..1_795_417_300).prop_map(Json::from),
        "[a-z]{0,8}".prop_map(Json::from),
    ];
    let name =
        prop_oneof!["[a-z]{1,4}", Just("ts".to_owned()), Just("values".to_owned()), Just("name".to_owned())];
    let value = leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    });
    value.prop_filter("maps and lists", |value| value.is_object() || value.is_array())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_is_the_same_in_every_format(document in document(), is_open in any::<bool>()) {
        let code = |outcome: Result<(Vec<Reading>, Format), Reject>| {
            outcome.map(|(readings, _)| readings).map_err(|reject| reject.code())
        };
        let expected = code(decode(document.to_string().as_bytes(), "json"));
        let in_cbor = cbor(|to| write(&document, is_open, to));
        prop_assert_eq!(&code(decode(&in_cbor, "cbor")), &expected);
        let in_msgpack = rmp_serde::to_vec(&document).unwrap();
        prop_assert_eq!(&code(decode(&in_msgpack, "msgpack")), &expected);
        for compress in [gzip, zlib, zstd] {
            prop_assert_eq!(&code(decode(&compress(&in_cbor), "cbor")), &expected);
        }
    }

    #[test]
    fn any_bytes_become_readings_or_a_reason(
        bytes in proptest::collection::vec(any::<u8>(), 0..256),
        stream in proptest::sample::select(vec!["cbor", "msgpack", "state"]),
        start in proptest::sample::select(vec![&[][..], &[0xa3], &[0x83], &[0xbf], &[0x1f, 0x8b, 0x08], &[0x78, 0x9c], &[0x28, 0xb5, 0x2f, 0xfd]]),
    ) {
        let _ = decode(&[start, &bytes[..]].concat(), stream);
    }
}

#[test]
fn lists_of_records_are_the_same_in_every_format() {
    let document = json!([{"ts": 1_795_417_190, "a": 1}, {"ts": 1_795_417_195, "a": 2.5, "b": {"c": "x"}}]);
    let expected = Ok("a=1@-10 a=2.5@-5 b.c=x@-5");
    assert_eq!(show(document.to_string().as_bytes(), "json").as_deref(), expected);
    assert_eq!(show(&cbor(|to| write(&document, true, to)), "state").as_deref(), expected);
    assert_eq!(show(&rmp_serde::to_vec(&document).unwrap(), "msgpack").as_deref(), expected);
}
