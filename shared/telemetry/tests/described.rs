//! Payloads that a profile describes: what was put into them comes out, whatever the order and however it is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use telemetry::{Decoder, Envelope, Micros, Profile, Reading, Reject, Settings};

/// 2026-11-23T07:00:00Z, when everything arrives.
const RECEIVED: i64 = 1_795_417_200_000_000;

fn profile(text: &str) -> Profile {
    Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{text}"))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn decoder(profile_text: &str) -> Decoder {
    Decoder::new(Settings::default(), Arc::new([Arc::new(profile(profile_text))].into_iter().collect()))
}

fn decode_on(decoder: &mut Decoder, topic: &str, payload: &[u8]) -> Result<Vec<Reading>, Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: topic.into(),
        client: None,
        principal: None,
        content_type: None,
        received: Micros(RECEIVED),
        trace: Some("trace".into()),
        record: None,
    };
    let mut readings = Vec::new();
    decoder.decode(&envelope, &mut readings).map(|_| readings)
}

fn decode(profile: &str, payload: &str) -> Result<Vec<Reading>, Reject> {
    decode_on(&mut decoder(profile), "dt/s/d/state", payload.as_bytes())
}

/// Each reading as `metric=value`, with `!` where it is bad, and the milliseconds from the arrival where it has a time.
fn shown(readings: &[Reading]) -> String {
    let words = readings.iter().map(|reading| {
        let bad = if reading.quality == telemetry::Quality::Good { "" } else { "!" };
        let at = match reading.at.0 - RECEIVED {
            0 => String::new(),
            micros => format!("@{}", micros / 1_000),
        };
        format!("{}={}{bad}{at}", reading.metric, reading.value)
    });
    words.collect::<Vec<_>>().join(" ")
}

fn check(profile: &str, payload: &str, expected: &str) {
    let found = decode(profile, payload).map(|readings| shown(&readings));
    assert_eq!(found.as_deref(), Ok(expected), "{profile}\n{payload}");
}

#[test]
fn a_value_without_the_end_that_values_have_is_cut_short() {
    let pairs = "format = \"text\"\n[[shape]]\nas = \"pairs\"\nseparator = \"\\n\"\nequals = \"(\"\nend = \")\"\nothers = \"ignore\"\n";
    check(pairs, "/header\n\na(1.5)\r\nb(x)(y)\n!1B2C\n", "a=1.5 b=x)(y");
    assert_eq!(decode(pairs, "a(1.5)\nb(12"), Err(Reject::CutShort));
}

#[test]
fn a_record_may_say_whom_a_gateway_speaks_for() {
    let devices = |profile: &str, payload: &str| {
        let readings = decode(profile, payload).unwrap();
        let words =
            readings.iter().map(|reading| format!("{} {}={}", reading.device, reading.metric, reading.value));
        words.collect::<Vec<_>>().join(", ")
    };
    let event = "gateway = \"core\"\n[[shape]]\nas = \"records\"\nname = \"{event}\"\nvalue = \"data\"\nothers = \"ignore\"\n";
    assert_eq!(devices(event, r#"{"event": "t", "data": 1, "core": "x", "ttl": 60}"#), "s/d::x t=1");
    assert_eq!(devices(event, r#"{"event": "t", "data": 1}"#), "s/d t=1");
    let each = format!("gateway = \"d.*.of\"\n{RECORDS}");
    let payload =
        r#"{"d": [{"id": "a", "v": 1, "of": "x"}, {"id": "a", "v": 2, "of": 7}, {"id": "a", "v": 3}]}"#;
    assert_eq!(devices(&each, payload), "s/d::x a=1, s/d::7 a=2, s/d a=3");
    assert!(decode(event, r#"{"event": "t", "data": 1, "core": "a/b"}"#).is_err());
}

#[test]
fn a_text_that_is_no_document_stays_a_text() {
    let document = "[[shape]]\nat = \"*\"\nas = \"document\"\n";
    check(document, r#"{"a": "{\"b\": 1}", "c": "online", "d": "7"}"#, "a.b=1 c=online d=7");
    assert_eq!(decode(document, r#"{"a": "{\"b\": 1"}"#), Err(Reject::CutShort));
}

const RECORDS: &str = "[[shape]]\nat = \"d\"\nas = \"records\"\nname = \"{id}\"\nvalue = \"v\"\nunit = \"u\"\nquality = \"q\"\ntime = \"t\"\n";

#[test]
fn records_that_lack_something_lose_nothing() {
    check(RECORDS, r#"{"d": [{"id": "a", "v": null}, {"id": "b", "v": 1}]}"#, "b=1");
    check(RECORDS, r#"{"d": [{"id": "a"}, {"id": "b", "v": 1}]}"#, "b=1");
    check(RECORDS, r#"{"d": [{"v": 2}, {"id": "b", "v": 1}]}"#, "d.0.v=2 b=1");
    check(RECORDS, r#"{"d": [{"id": null, "v": 2}]}"#, "d.0.v=2");
    assert_eq!(decode(RECORDS, r#"{"d": [{"id": "", "v": 2}]}"#), Err(Reject::EmptyName));
    check(RECORDS, r#"{"d": [7, {"id": "b", "v": 1}]}"#, "d.0=7 b=1");
    check(RECORDS, r#"{"d": 7}"#, "d=7");
    check(RECORDS, r#"{"d": "x"}"#, "d=x");
    check(RECORDS, r#"{"d": {"id": "a", "v": 1}}"#, "a=1");
    check(RECORDS, r#"{"d": {"x": 5}}"#, "d.x=5");
    check(
        RECORDS,
        r#"{"d": [{"id": "a", "v": 1, "q": "no such", "t": "never", "u": 5}]}"#,
        "a=1 a.q=no such a.t=never a.u=5",
    );
    check(RECORDS, r#"{"d": [{"id": "a", "v": {"x": 1, "y": 2}, "q": false}]}"#, "a.x=1! a.y=2!");
    check(RECORDS, r#"{"d": [{"id": "a", "v": [1, 2]}]}"#, "a.0=1 a.1=2");
    check(
        RECORDS,
        r#"{"ts": 1795417199000, "d": [{"id": "a", "v": 1}, {"id": "b", "v": 2, "t": 1795417198000}]}"#,
        "a=1@-1000 b=2@-2000",
    );
}

#[test]
fn what_a_profile_says_of_members_holds_in_records() {
    let records = |more: &str| {
        format!("{more}\n[[shape]]\nat = \"s\"\nas = \"records\"\nname = \"{{id}}\"\nvalue = \"v\"")
    };
    let quality = "[quality]\nfield = \"*.status\"\ncodes = { \"1\" = \"bad\" }";
    check(&records(quality), r#"{"s": [{"id": "a", "v": 1, "status": 1}]}"#, "a=1!");
    let time = "time.field = \"*.when\"";
    check(
        &records(time),
        r#"{"s": [{"id": "a", "v": 1, "when": 1795417190, "x": 2}]}"#,
        "a=1@-10000 a.x=2@-10000",
    );
    check(
        &records(""),
        r#"{"s": [{"id": "a", "v": 1, "ts": 1795417190}, {"id": "b", "v": 2}]}"#,
        "a=1@-10000 b=2",
    );
    check(
        &records("time.field = \"**.ts\""),
        r#"{"s": [{"id": "a", "v": 1, "ts": 1795417190}, {"id": "b", "v": 2, "ts": 1795417191}]}"#,
        "a=1@-10000 b=2@-9000",
    );
    let series = "[[shape]]\nat = \"*\"\nas = \"series\"\nrate_from = \"fs\"";
    check(&records(series), r#"{"s": [{"id": "a", "v": [1, 2], "fs": 1}]}"#, "a=1@-1000 a=2");
    let unit = decode(
        &records("[[metric]]\nfrom = \"a\"\nunit_from = \"a.k\""),
        r#"{"s": [{"id": "a", "v": 68, "k": "F"}]}"#,
    );
    assert_eq!(shown(&unit.unwrap()), "a=20");
    let ignoring = format!("{}\nothers = \"ignore\"", records(""));
    check(&ignoring, r#"{"s": [{"id": "a", "v": 1, "x": 2, "ts": 1795417190}]}"#, "a=1@-10000");
    let several = ignoring.replace("value = \"v\"", "value = [\"f\", \"i\"]");
    check(&several, r#"{"s": [{"id": "a", "f": null, "i": 7}, {"id": "b", "f": 2}]}"#, "a=7 b=2");
    assert_eq!(decode(&ignoring, r#"{"s": [{"id": "a", "v": 1, "v": 2}]}"#), Err(Reject::Ambiguous));
    let gateway = "gateway = \"*.dev\"";
    let readings = decode(
        &records(gateway),
        r#"{"s": [{"id": "a", "v": 1, "dev": "A"}, {"id": "a", "v": 2, "dev": "B"}]}"#,
    );
    let devices: Vec<_> = readings.unwrap().iter().map(|reading| reading.device.to_string()).collect();
    assert_eq!(devices, ["s/d::A", "s/d::B"]);
}

#[test]
fn records_that_are_the_payload_keep_their_times() {
    let records = "[[shape]]\nas = \"records\"\nname = \"{id}\"";
    check(
        records,
        r#"[{"id": "a", "t1": 20, "ts": 1795417190}, {"id": "b", "t1": 21, "ts": 1795417191}]"#,
        "a.t1=20@-10000 b.t1=21@-9000",
    );
    check(records, r#"[{"id": "a", "o": {"t1": 20, "ts": 1795417190}}]"#, "a.o.t1=20@-10000");
    // Documents that come together are read as each alone is.
    let documents = format!("lenient = [\"documents\"]\n{}", records.replace("{id}", "{}"));
    check(&documents, r#"{"A": {"x": 1}}"#, "A.x=1");
    check(&documents, "{\"A\": {\"x\": 1}}\n{\"B\": {\"x\": 2}}", "A.x=1 B.x=2");
    let rows = "lenient = [\"documents\"]\n[[shape]]\nas = \"rows\"\ncolumns = [\"time\", \"a\"]";
    check(rows, "[[1795417190, 1]]\n[[1795417191, 2], [1795417192, 3]]", "a=1@-10000 a=2@-9000 a=3@-8000");
    check("lenient = [\"documents\"]", "[{\"a\": 1}]\n[{\"a\": 2}]", "a=1 a=2");
    let members = "gateway = \"members\"\n[[shape]]\nas = \"records\"\nname = \"{}\"\nvalue = \"Value\"";
    let readings = decode(members, r#"{"Dev A": {"T": {"Value": 1}}}"#).unwrap();
    assert_eq!((readings[0].device.as_str(), &*readings[0].metric), ("s/d::Dev A", "T"));
}

#[test]
fn large_integers_keep_their_digits_wherever_they_stand() {
    let records = "[[shape]]\nas = \"records\"\nname = \"{id}\"\nvalue = \"v\"";
    check(
        records,
        r#"[{"id": 89490200001234567891, "v": 1}, {"id": 89490200001234567892, "v": 2}]"#,
        "89490200001234567891=1 89490200001234567892=2",
    );
    let list = "[[shape]]\nat = \"x\"\nas = \"list\"\nseparator = \",\"\ninto = [\"a\", \"b\"]";
    check(list, r#"{"x": 89490200001234567891}"#, "x=89490200001234567891");
    check(list, r#"{"x": [89490200001234567891, 1e400]}"#, "x.a=89490200001234567891 x.b=1e400!");
    let pairs = "[[shape]]\nat = \"x\"\nas = \"pairs\"\nequals = \":\"";
    check(pairs, r#"{"x": 89490200001234567891}"#, "x=89490200001234567891");
}

#[test]
fn times_are_those_of_the_object_that_they_stand_in() {
    let join = "[time]\nzone = \"UTC\"\njoin = [\"*.date\", \"*.clock\"]";
    check(
        join,
        r#"{"a": {"date": "2026-11-23", "clock": "06:00:00", "x": 1}, "b": {"date": "2026-11-23", "clock": "06:30:00", "x": 2}}"#,
        "a.x=1@-3600000 b.x=2@-1800000",
    );
    let fraction = "[time]\nfield = \"*.s\"\nfraction = \"*.ns\"\nfraction_unit = \"ns\"";
    check(
        fraction,
        r#"{"a": {"ns": 250000000, "s": 1795417199, "x": 1}, "b": {"s": 1795417198, "x": 2}}"#,
        "a.x=1@-750 b.x=2@-2000",
    );
    // One meaning for a series in the hour that comes twice.
    let berlin = "[time]\nzone = \"Europe/Berlin\"\nfield = \"t\"\n[[shape]]\nat = \"w\"\nas = \"series\"\ninterval = \"2h\"";
    let mut decoder = decoder(berlin);
    let envelope = Envelope {
        payload: base64_simd::STANDARD
            .encode_to_string(br#"{"t": "2026-10-25 02:30:00", "w": [1, 2]}"#)
            .into(),
        topic: "dt/s/d/state".into(),
        client: None,
        principal: None,
        content_type: None,
        received: Micros(1_792_899_300_000_000),
        trace: None,
        record: None,
    };
    let mut readings = Vec::new();
    decoder.decode(&envelope, &mut readings).unwrap();
    assert_eq!(readings[1].at.0 - readings[0].at.0, 7_200_000_000, "{}", shown(&readings));
}

#[test]
fn headers_are_found_in_documents_and_may_be_several() {
    let document = "[[shape]]\nat = \"body\"\nas = \"document\"\nunder = \"\"\n[[shape]]\nat = \"values\"\nas = \"rows\"\ncolumns_from = \"columns\"\nunder = \"\"";
    check(document, r#"{"body": "{\"columns\":[\"a\",\"b\"],\"values\":[[1,2],[3,4]]}"}"#, "a=1 b=2 a=3 b=4");
    let two = "[[shape]]\nat = \"r1\"\nas = \"rows\"\ncolumns_from = \"c1\"\n[[shape]]\nat = \"r2\"\nas = \"rows\"\ncolumns_from = \"c2\"";
    check(two, r#"{"c1": ["a"], "r1": [[1]], "c2": ["b"], "r2": [[2]]}"#, "r1.a=1 r2.b=2");
    check(&two.replace("c2", "c1"), r#"{"c1": ["a"], "r1": [[1]], "r2": [[2]]}"#, "r1.a=1 r2.a=2");
}

#[test]
fn a_place_that_is_called_values_is_a_place_like_others() {
    let list = "[[shape]]\nat = \"values\"\nas = \"list\"\ninto = [\"x\", \"y\"]";
    check(list, r#"{"values": [1, 2]}"#, "values.x=1 values.y=2");
    check(&format!("{list}\nunder = \"accel\""), r#"{"values": [1, 2]}"#, "accel.x=1 accel.y=2");
    let document = "[[shape]]\nat = \"d\"\nas = \"document\"\nunder = \"\"";
    check(
        document,
        r#"{"d": "[{\"ts\": 1795417190, \"t\": 1}, {\"ts\": 1795417191, \"t\": 2}]"}"#,
        "t=1@-10000 t=2@-9000",
    );
}

#[test]
fn what_records_are_called_is_no_place() {
    // A metric that is called as a time, a unit or its own place is a metric.
    check(
        RECORDS,
        r#"{"d": [{"id": "ts", "v": 1795417199000}, {"id": "d", "v": 2}], "x": 3}"#,
        "ts=1795417199000 d=2 x=3",
    );
    check(RECORDS, r#"{"d": [{"id": "t", "v": 1795417199000}]}"#, "t=1795417199000");
    let nested = RECORDS.replace("at = \"d\"", "at = \"l.*.d\"");
    check(&nested, r#"{"l": [{"id": "x", "d": [{"id": "l.0.d", "v": 1}]}]}"#, "l.0.id=x l.0.d=1");
    assert_eq!(decode(RECORDS, r#"{"d": [{"id": "a..b", "v": 1}]}"#), Err(Reject::EmptyName));
    let long = format!(r#"{{"d": [{{"id": "{}", "v": 1}}]}}"#, "x".repeat(257));
    assert_eq!(decode(RECORDS, &long), Err(Reject::LongName));
}

#[test]
fn records_of_one_name_and_time_are_all_kept() {
    let readings =
        decode(RECORDS, r#"{"d": [{"id": "a", "v": 1}, {"id": "a", "v": 2}, {"id": "a", "v": 2}]}"#).unwrap();
    let identities: BTreeSet<_> =
        readings.iter().map(|reading| (&reading.metric, reading.at, reading.seq)).collect();
    assert_eq!((readings.len(), identities.len()), (3, 3));
}

#[test]
fn a_series_is_called_the_same_with_and_without_its_interval() {
    let series = "[[shape]]\nat = \"a.w\"\nas = \"series\"\ninterval_from = \"dt\"\ninterval_unit = \"ms\"";
    check(series, r#"{"a": {"w": [1, 2], "dt": 500}}"#, "a.w=1@-500 a.w=2");
    check(series, r#"{"a": {"dt": 500, "w": [1, null, 2]}}"#, "a.w=1@-1000 a.w=2");
    // Without it all have the record's time, and are uncertain.
    check(series, r#"{"a": {"w": [1, 2]}}"#, "a.w=1! a.w=2!");
    check(series, r#"{"a": {"w": [1, 2], "dt": 0}}"#, "a.w=1! a.w=2! a.dt=0");
    check(series, r#"{"a": {"w": [1, 2], "dt": "x"}}"#, "a.w=1! a.w=2! a.dt=x");
    check(series, r#"{"a": {"w": [1, 2], "dt": 1e300}}"#, "a.w=1! a.w=2! a.dt=1e300!");
    check(series, r#"{"w": [1, 2], "dt": 500}"#, "w.0=1 w.1=2 dt=500");
    check(series, r#"{"a": {"w": 1, "dt": 500}}"#, "a.w=1 a.dt=500");
    let last = format!("{series}\nanchor = \"last\"");
    let timed = r#"{"ts": 1795417199000, "a": {"w": [1, 2], "dt": 500}}"#;
    check(&last, timed, "a.w=1@-1500 a.w=2@-1000");
    // Each series ends with the arrival where nothing says when it was measured.
    let fixed = "[[shape]]\nat = \"w\"\nas = \"series\"\ninterval = \"1s\"";
    check(fixed, r#"[{"w": [1, 2, 3]}, {"w": [4, 5]}]"#, "w=1@-2000 w=2@-1000 w=3 w=4@-1000 w=5");
}

#[test]
fn rows_of_any_length_lose_nothing() {
    let rows = "[[shape]]\nat = \"r\"\nas = \"rows\"\ncolumns = [\"a\", \"\", \"b\"]";
    check(rows, r#"{"r": [[1, 2, 3], [4], [5, 6, 7, 8]]}"#, "r.a=1 r.b=3 r.a=4 r.a=5 r.b=7 r.3=8");
    check(rows, r#"{"r": [1, 2, 3]}"#, "r.a=1 r.b=3");
    check(rows, r#"{"r": []}"#.replace("[]", "[], \"x\": 1").as_str(), "x=1");
    check(rows, r#"{"r": [[1, 2, 3], {"a": 9}]}"#, "r.a=1 r.b=3 r.a=9");
    let header = "[[shape]]\nat = \"**.rows\"\nas = \"rows\"\ncolumns_from = \"head.names\"";
    check(
        header,
        r#"{"x": {"rows": [[1, 2]], "head": {"names": ["a", "b"], "n": 5}}}"#,
        "x.rows.a=1 x.rows.b=2 x.head.n=5",
    );
    check(
        header,
        r#"{"rows": [[1, 2]], "head": {"names": ["a", 7]}}"#,
        "rows.0.0=1 rows.0.1=2 head.names.0=a head.names.1=7",
    );
    check(header, r#"{"rows": [[1, 2]]}"#, "rows.0.0=1 rows.0.1=2");
}

#[test]
fn encoded_members_that_are_none_refuse_the_message() {
    let document = "[[shape]]\nat = \"b\"\nas = \"document\"\nencoding = \"base64\"";
    let encode = |text: &str| json!({"b": base64_simd::STANDARD.encode_to_string(text)}).to_string();
    check(document, &encode(r#"{"x": [1, 2]}"#), "b.x.0=1 b.x.1=2");
    check(document, &encode("5"), "b=5");
    check(document, r#"{"b": null, "c": 1}"#, "c=1");
    check(document, r#"{"b": 5}"#, "b=5");
    assert_eq!(decode(document, r#"{"b": "?"}"#), Err(Reject::Encoding("base64")));
    assert_eq!(decode(document, &encode("{")), Err(Reject::CutShort));
    // CBOR, as JSON.
    check(
        document,
        &json!({"b": base64_simd::STANDARD.encode_to_string([0xa1, 0x61, 0x78, 0x05])}).to_string(),
        "b.x=5",
    );
    let hex = "[[shape]]\nat = \"b\"\nas = \"fields\"\nencoding = \"hex\"\nunder = \"\"\n[[field]]\nname = \"x\"\noffset = 1\ntype = \"u8\"";
    check(hex, r#"{"b": "00ff"}"#, "x=255");
    assert_eq!(decode(hex, r#"{"b": "00"}"#), Err(Reject::ShortBytes(1)));
    // A document within itself ends where the depth does.
    let inner = "[[shape]]\nat = \"b\"\nas = \"document\"\nencoding = \"base64\"\nunder = \"\"";
    let nested = (0..20).fold(r#"{"x": 1}"#.to_owned(), |text, _| encode(&text));
    assert_eq!(decode(inner, &nested), Err(Reject::Depth));
    let nested = (0..5).fold(r#"{"x": 1}"#.to_owned(), |text, _| encode(&text));
    check(inner, &nested, "x=1");
}

#[test]
fn what_is_too_much_is_refused() {
    let many = |count: usize| {
        let elements: Vec<_> = (0..count).map(|n| json!({"id": "a", "v": [n % 10, 1, 2]})).collect();
        json!({ "d": elements }).to_string()
    };
    assert_eq!(decode(RECORDS, &many(3_333)).map(|readings| readings.len()), Ok(9_999));
    assert_eq!(decode(RECORDS, &many(3_334)), Err(Reject::Samples));
    let nothing = format!(r#"{{"d": [{}1]}}"#, "[],".repeat(40_000));
    assert_eq!(decode(RECORDS, &nothing).map(|readings| readings.len()), Ok(1));
    let deep = format!(r#"{{"d": {}1{}}}"#, "[".repeat(17), "]".repeat(17));
    assert_eq!(decode(RECORDS, &deep), Err(Reject::Depth));
}

#[test]
fn values_are_what_a_profile_says_they_are() {
    let typed = |kind: &str| format!("[[metric]]\nfrom = \"a\"\ntype = \"{kind}\"");
    check(&typed("number"), r#"{"a": true}"#, "a=1");
    check(&typed("number"), r#"{"a": "x"}"#, "a=x!");
    check(&typed("boolean"), r#"{"a": "TRUE"}"#, "a=true");
    check(&typed("boolean"), r#"{"a": 0.0}"#, "a=false");
    check(&typed("boolean"), r#"{"a": 2}"#, "a=2!");
    check(&typed("text"), r#"{"a": 7.50}"#, "a=7.5");
    check(&format!("numbers_as_text = true\n{}", typed("text")), r#"{"a": "007"}"#, "a=007");
    let mapped = "[[metric]]\nfrom = \"a\"\nmap = { \"1\" = \"one\", true = 5, x = 2.5 }\ntype = \"text\"";
    check(mapped, r#"{"a": 1}"#, "a=one");
    check(mapped, r#"{"a": true}"#, "a=5");
    check(mapped, r#"{"a": "x"}"#, "a=2.5");
    check(mapped, r#"{"a": "y"}"#, "a=y");
    let degrees = "numbers_as_text = true\n[[metric]]\nfrom = \"a\"\nmap = { low = 14 }\nunit = \"degF\"";
    check(degrees, r#"{"a": "32"}"#, "a=0");
    check(degrees, r#"{"a": "low"}"#, "a=-10");
    let scaled = "[[metric]]\nfrom = \"a\"\nmap = { low = 1 }\nscale = 10\nunit = \"Cel\"";
    check(scaled, r#"{"a": "low"}"#, "a=10");
}

#[test]
fn qualities_are_read_by_their_codes() {
    let with = |codes: &str| format!("[quality]\nfield = \"s\"\ncodes = {codes}");
    let check_code = |codes: &str, code: &str, expected: &str| {
        check(&with(codes), &format!(r#"{{"value": 1, "s": {code}}}"#), expected);
    };
    check_code("\"opc-ua\"", "0", "value=1");
    check_code("\"opc-ua\"", "1083179008", "value=1!");
    check_code("\"opc-ua\"", "\"BadNoCommunication\"", "value=1!");
    check_code("\"opc-da\"", "192", "value=1");
    check_code("\"opc-da\"", "24", "value=1!");
    check_code("\"siemens\"", "3", "value=1");
    check_code("{ ok = \"good\" }", "\"ok\"", "value=1");
    // What is not known stays a metric.
    check_code("{ ok = \"good\" }", "\"other\"", "value=1 s=other");
    check_code("{ ok = \"good\", other = \"bad\" }", "\"what\"", "value=1!");
    check_code("\"siemens\"", "7", "value=1 s=7");
    // It is the value's where there is one, and else of all that stand beside it.
    check(&with("\"opc-da\""), r#"{"x": 2, "value": 1, "s": 24}"#, "x=2 value=1!");
    check(&with("\"opc-da\""), r#"{"x": 2, "o": {"y": 1}, "s": 24}"#, "x=2! o.y=1!");
}

#[test]
fn times_that_are_not_all_there_stay_what_they_are() {
    let join = "[time]\nzone = \"UTC\"\njoin = [\"day\", \"clock\"]";
    check(join, r#"{"clock": "06:59:59", "v": 1, "day": "2026-11-23"}"#, "v=1@-1000");
    check(join, r#"{"clock": "06:59:59", "v": 1}"#, "clock=06:59:59 v=1");
    check(join, r#"{"day": "2026-11-23", "clock": "soon", "v": 1}"#, "day=2026-11-23 clock=soon v=1");
    check(
        join,
        r#"[{"day": "2026-11-23", "clock": "06:59:59", "v": 1}, {"day": "2026-11-23", "clock": "06:59:58", "v": 2}]"#,
        "v=1@-1000 v=2@-2000",
    );
    let parts = "[time]\nzone = \"UTC\"\njoin = [\"when.y\", \"when.m\", \"when.d\", \"when.h\"]\nformat = \"%Y %m %d %H\"";
    check(parts, r#"{"when": {"y": 2026, "m": 11, "d": 23, "h": 6}, "v": 1}"#, "v=1@-3600000");
    let fraction = "[time]\nfield = \"s\"\nfraction = \"ns\"\nfraction_unit = \"ns\"";
    check(fraction, r#"{"ns": 500000000, "s": 1795417199, "v": 1}"#, "v=1@-500");
    check(fraction, r#"{"s": 1795417199, "v": 1}"#, "v=1@-1000");
    check(fraction, r#"{"ns": 5, "v": 1}"#, "ns=5 v=1");
}

#[test]
fn topics_name_bare_values_and_stand_before_other_names() {
    let check = |topic: &str, payload: &str, expected: &str| {
        let found = decode_on(&mut decoder("topic_name = \"{4...}\""), topic, payload.as_bytes());
        assert_eq!(found.map(|readings| shown(&readings)).as_deref(), Ok(expected), "{topic} {payload}");
    };
    check("dt/s/d/a", "21.5", "a=21.5");
    check("dt/s/d/a", "\"OPEN\"", "a=OPEN");
    check("dt/s/d/a", "ON", "a=ON");
    check("dt/s/d/a", " 007\n", "a=007");
    check("dt/s/d/a", r#"{"v": 1, "x": 2}"#, "a=1 a.x=2");
    check("dt/s/d/a", "true", "a=true");
    check("dt/s/d/a", "[1, 2]", "a.0=1 a.1=2");
    check("dt/s/d/a", r#"{"value": 1}"#, "a=1");
    check("dt/s/d/a", r#"{"Value": 1, "ts": 1795417199000}"#, "a=1@-1000");
    check("dt/s/d/a", r#"{"value": null, "x": 1}"#, "a.x=1");
    check("dt/s/d/a", r#"{"b": {"value": 1}}"#, "a.b.value=1");
    check(
        "dt/s/d/a",
        r#"[{"ts": 1795417199000, "value": 1}, {"ts": 1795417198000, "value": 2}]"#,
        "a=1@-1000 a=2@-2000",
    );
    let both = decode_on(&mut decoder("topic_name = \"{4}\""), "dt/s/d/a", br#"{"v": 1, "value": 2}"#);
    assert_eq!(both, Err(Reject::Ambiguous));
    let long = |length: usize| format!(r#"{{"{}": 1}}"#, "x".repeat(length));
    let on =
        |length: usize| decode_on(&mut decoder("topic_name = \"{4}\""), "dt/s/d/a", long(length).as_bytes());
    assert_eq!(on(254).map(|readings| readings[0].metric.len()), Ok(256));
    assert_eq!(on(255), Err(Reject::LongName));
    let lenient = "topic_name = \"{4}\"\nlenient = [\"leading_zeros\"]";
    let clock = decode_on(&mut decoder(lenient), "dt/s/d/a", b"07:05:09");
    assert_eq!(shown(&clock.unwrap()), "a=07:05:09");
    let refused = decode_on(&mut decoder("topic_name = \"{4}\""), "dt/s/d/a", b"{\"a\": tru");
    assert_eq!(refused.map(|_| ()), Err(Reject::CutShort));
    assert_eq!(decode("", "21.5").map(|_| ()), Err(Reject::BareValue));
    assert_eq!(decode("", "ON").map(|_| ()), Err(Reject::BareValue));
}

#[test]
fn one_decoder_reads_many_topics_as_many_decoders_do() {
    let mut warm = decoder("topic_name = \"{4}\"");
    for number in 0..3_000 {
        let topic = format!("dt/s/d/m{}", number % 1_500);
        let payload = format!(r#"{{"value": {number}, "x{}": 1}}"#, number % 7);
        let found = decode_on(&mut warm, &topic, payload.as_bytes()).unwrap();
        let fresh = decode_on(&mut decoder("topic_name = \"{4}\""), &topic, payload.as_bytes()).unwrap();
        assert_eq!(found, fresh);
    }
}

/// A profile that has a construct of every kind.
const EVERYTHING: &str = include_str!("everything.toml");

fn any_document() -> impl Strategy<Value = Json> {
    let names = prop_oneof![
        proptest::sample::select(vec![
            "d", "id", "v", "u", "q", "t", "w", "fs", "rows", "head", "gps", "doc", "hex", "n", "day",
            "clock", "s", "ns", "state", "value", "ts", "Messages", "", "a.b", "x",
        ])
        .prop_map(str::to_owned),
        "[a-c.]{1,3}",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (1_795_000_000_000..1_796_000_000_000_i64).prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        proptest::sample::select(vec![
            "20,5 C",
            "1;2",
            "T=1;H=2",
            "eyJ4IjoxfQ==",
            "00ff",
            "2026-11-23",
            "06:59:59",
            "good",
            "a",
            ""
        ])
        .prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_document_becomes_readings_or_a_reason(documents in prop::collection::vec(any_document(), 1..4)) {
        let mut warm = decoder(EVERYTHING);
        for document in documents {
            let text = document.to_string();
            let found = decode_on(&mut warm, "dt/s/d/state", text.as_bytes());
            let fresh = decode_on(&mut decoder(EVERYTHING), "dt/s/d/state", text.as_bytes());
            prop_assert_eq!(&found, &fresh, "{}", text);
            if let Ok(readings) = found {
                let identities: BTreeSet<_> =
                    readings.iter().map(|reading| (&reading.device, &reading.metric, reading.at, reading.seq)).collect();
                prop_assert_eq!(identities.len(), readings.len(), "{}", text);
            }
        }
    }

    /// What is put into records comes out, in whatever order their members stand.
    #[test]
    fn records_say_what_was_put_into_them(
        values in prop::collection::vec(("[a-z]{1,6}", -1_000_000_i64..1_000_000, -50_000_i64..0), 1..12),
        order in any::<u64>(),
    ) {
        let members = |(name, value, at): &(String, i64, i64)| {
            let mut members = [format!(r#""id":"{name}""#),
                format!(r#""v":{value}"#),
                format!(r#""t":{}"#, RECEIVED / 1_000 + at),
                r#""q":true"#.to_owned()];
            let by = usize::try_from(order % 4).unwrap();
            members.rotate_left(by);
            if order & 8 > 0 { members.reverse(); }
            format!("{{{}}}", members.join(","))
        };
        let elements: Vec<_> = values.iter().map(members).collect();
        let payload = format!(r#"{{"d":[{}]}}"#, elements.join(","));
        let found: Vec<_> = decode(RECORDS, &payload).unwrap().into_iter()
            .map(|reading| (reading.metric.to_string(), reading.value.to_string(), (reading.at.0 - RECEIVED) / 1_000))
            .collect();
        let put: Vec<_> = values.iter().map(|(name, value, at)| (name.clone(), value.to_string(), *at)).collect();
        prop_assert_eq!(found, put);
    }

    /// The times of a series are those of an arithmetic row, worked out in integers.
    #[test]
    fn values_of_a_series_stand_at_even_distances(
        values in prop::collection::vec(-1_000_i64..1_000, 1..50),
        step in 1_i64..100_000,
        start in -1_000_000_i64..-1,
        is_last in any::<bool>(),
    ) {
        let anchor = if is_last { "last" } else { "first" };
        let profile = format!(
            "[[shape]]\nat = \"w\"\nas = \"series\"\ninterval_from = \"dt\"\ninterval_unit = \"us\"\nanchor = \"{anchor}\"\n[time]\nfield = \"at\"\nunit = \"us\""
        );
        let payload = json!({"w": values, "at": RECEIVED + start, "dt": step}).to_string();
        let found: Vec<_> = decode(&profile, &payload).unwrap().into_iter()
            .map(|reading| (reading.metric.to_string(), reading.value.to_string(), reading.at.0))
            .collect();
        let count = i64::try_from(values.len()).unwrap();
        let first = if is_last { RECEIVED + start - (count - 1) * step } else { RECEIVED + start };
        let put: Vec<_> = (0..).zip(&values).map(|(place, value)| ("w".to_owned(), value.to_string(), first + place * step)).collect();
        prop_assert_eq!(found, put);
    }

    /// What a document says does not depend on how it is encoded.
    #[test]
    fn an_encoded_document_says_what_it_says(document in any_document(), is_hex in any::<bool>()) {
        // A text in a text is a document to `documents`, and one only to a shape.
        prop_assume!(!document.is_string());
        let text = document.to_string();
        let (encoding, encoded) = if is_hex {
            ("hex", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
        } else {
            ("base64", base64_simd::URL_SAFE_NO_PAD.encode_to_string(&text))
        };
        let profile = format!("[[shape]]\nat = \"b\"\nas = \"document\"\nencoding = \"{encoding}\"");
        let found = decode(&profile, &json!({"b": encoded}).to_string());
        let plain = decode("documents = \"b\"", &json!({"b": text}).to_string());
        prop_assert_eq!(found, plain);
    }
}
