//! What a message says becomes readings that are told apart, or the message is refused: nothing of it vanishes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use telemetry::attribute::Item;
use telemetry::{Decoder, Envelope, Micros, Profile, Reading, Reject, Settings, Span, Value, pack};

/// 2026-11-23T07:00:00Z.
const RECEIVED: Micros = Micros(1_795_417_200_000_000);

fn decode(profile: &str, payload: &str, trace: &str) -> Result<Vec<Reading>, Reject> {
    let profile = (!profile.is_empty()).then(|| {
        Arc::new(Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{profile}")).unwrap())
    });
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: "dt/s/d/state".into(),
        client: None,
        principal: None,
        content_type: None,
        received: RECEIVED,
        trace: Some(trace.into()),
        record: None,
    };
    let mut readings = Vec::new();
    let profiles = Arc::new(profile.into_iter().collect());
    Decoder::new(Settings::default(), profiles).decode(&envelope, &mut readings).map(|_| readings)
}

/// Each reading as `metric=value`, with `@seconds` after the arrival where it has a time of its own, and `#` where
/// something tells it apart: an ordinal, or the place of its record.
fn show(profile: &str, payload: &str) -> String {
    let readings = match decode(profile, payload, "t") {
        Ok(readings) => readings,
        Err(reject) => return reject.code().to_owned(),
    };
    let word = |reading: &Reading| {
        let after = (reading.at.0 - RECEIVED.0) as f64 / 1e6;
        let at = if reading.time_source.as_str() == "device" { format!("@{after}") } else { String::new() };
        let seq = match reading.seq.0 & 0x3fff {
            0 => String::new(),
            place => format!("#{place}"),
        };
        let quality = if reading.quality.as_str() == "good" { "" } else { "!" };
        format!("{}={}{quality}{at}{seq}", reading.metric, reading.value)
    };
    readings.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn elements_are_called_what_they_call_themselves() {
    let check = |payload: &str, expected: &str| assert_eq!(show("", payload), expected, "{payload}");
    // Tags of one time.
    check(
        r#"{"values":[{"id":"Plc.A","v":7,"t":1795417100},{"id":"Plc.B","v":0,"t":1795417100}]}"#,
        "values.Plc.A=7@-100 values.Plc.B=0@-100",
    );
    check(
        r#"{"vals":[{"id":"101","val":false,"ts":1795417100,"qc":3},{"id":"103","val":4.5,"ts":1795417100,"qc":0}]}"#,
        "vals.101=false@-100 vals.103=4.5!@-100",
    );
    check(
        r#"[{"id":"a","v":1,"q":true},{"id":"b","v":2,"q":false},{"id":"c","v":3,"q":"maybe"}]"#,
        "a=1 b=2! c.v=3 c.q=maybe",
    );
    check(
        r#"{"status":[{"code":"switch_1","value":true},{"code":"cur","value":5}]}"#,
        "status.switch_1=true status.cur=5",
    );
    // Numbers name, where a name is one that numbers do name by.
    check(
        r#"{"DataRecord":[{"id":0,"Unit":"kWh","Value":5,"Storage":0},{"id":1,"Value":7,"Storage":0}]}"#,
        "DataRecord.0.Value=18000000 DataRecord.0.Storage=0 DataRecord.1.Value=7 DataRecord.1.Storage=0",
    );
    check(r#"{"log":[{"code":5,"a":1},{"code":6,"a":2}]}"#, "log.0.code=5 log.0.a=1 log.1.code=6 log.1.a=2");
    // A name and nothing else is the value.
    check(
        r#"{"event":[{"name":"Fire","time":1795417100},{"name":"Flood","time":1795417100}]}"#,
        "event.name=Fire@-100 event.name=Flood@-100#1",
    );
    // Within others.
    check(
        r#"{"m":[{"id":"x","phases":[{"name":"L1","v":230},{"name":"L2","v":231}]}]}"#,
        "m.x.phases.L1=230 m.x.phases.L2=231",
    );
    check(r#"[{"id":"","v":1}]"#, "limit");
}

#[test]
fn a_profile_may_leave_out_what_an_element_calls_itself() {
    let payload = r#"{"log":[{"id":7,"ts":1795417100,"a":1},{"id":8,"ts":1795417101,"a":2}]}"#;
    assert_eq!(show("", payload), "log.7.a=1@-100 log.8.a=2@-99");
    for ignore in ["log.id", "log.*.id"] {
        assert_eq!(show(&format!("ignore = \"{ignore}\""), payload), "log.a=1@-100 log.a=2@-99");
    }
}

#[test]
fn the_place_of_a_record_never_reaches_into_the_hash_of_its_delivery() {
    let check = |profile: &str, payload: &str, count: usize| {
        let readings = decode(profile, payload, "t").unwrap();
        let seqs: BTreeSet<u64> = readings.iter().map(|reading| reading.seq.0).collect();
        let hashes: BTreeSet<u64> = seqs.iter().map(|seq| seq >> 14).collect();
        assert_eq!((readings.len(), seqs.len(), hashes.len()), (count, count, 1));
    };
    // A null is a record, too, though it is no reading.
    let nulls =
        |count: usize| format!(r#"[{{"a":1}},{{"a":2}}{},{{"a":3}}]"#, r#",{"b":null}"#.repeat(count));
    check("", &nulls(9_997), 3);
    assert_eq!(show("", &nulls(9_998)), "limit");
    let kept = "[time]\nresolution = \"1s\"\nsame_time = \"keep\"";
    let record = r#"{"ts":1795417100,"a":1}"#;
    let records = |count: usize| format!("[{}{record}]", format!("{record},").repeat(count - 1));
    check(kept, &records(4_000), 4_000);
    // Two of one metric in each of many records.
    let pair = r#"{"l":[{"id":"a","v":1},{"id":"a","v":2}]}"#;
    check("", &format!("[{}{pair}]", format!("{pair},").repeat(1_999)), 4_000);
}

#[test]
fn in_the_repeated_hour_a_row_has_one_time() {
    let payload = r#"{"ts":["2026-10-25T02:10:00","2026-10-25T02:20:00"],"a":[1,2],"b":[3,4]}"#;
    let readings = decode("[time]\nzone = \"Europe/Berlin\"", payload, "t").unwrap();
    let times: Vec<String> = readings.iter().map(|reading| reading.at.to_string()).collect();
    let (first, second) = ("2026-10-25T01:10:00Z", "2026-10-25T01:20:00Z");
    assert_eq!(times, [first, second, first, second]);
}

#[test]
fn samples_of_one_time_are_told_apart_by_their_order() {
    let check = |payload: &str, expected: &str| assert_eq!(show("", payload), expected, "{payload}");
    check(
        r#"[{"ts":1795417100,"a":1},{"ts":1795417100,"a":2},{"ts":1795417101,"a":3}]"#,
        "a=1@-100 a=2@-100#1 a=3@-99",
    );
    check(r#"{"log":[{"ts":1795417100,"a":1},{"ts":1795417100,"a":1}]}"#, "log.a=1@-100 log.a=1@-100#1");
    check(r#"{"ts":[1795417100,1795417100],"a":[1,2]}"#, "a=1@-100 a=2@-100#1");
    check(r#"[{"key":"a","value":1},{"key":"b","value":1},{"key":"a","value":2}]"#, "a=1 b=1 a=2#1");
    check(r#"[{"a":1},{"a":2}]"#, "a=1 a=2#1");
    // Times that are not accepted: the arrival is, as if there were none.
    check(r#"[{"ts":"2099-01-01T00:00:00Z","a":1},{"ts":"2099-01-01T00:00:00Z","a":2}]"#, "a=1 a=2#1");
    check(
        r#"{"x":5,"log":[{"ts":"2099-01-01T00:00:00Z","a":1},{"ts":"2099-01-02T00:00:00Z","a":2}]}"#,
        "x=5 log.a=1 log.a=2#1",
    );
}

#[test]
fn what_nothing_tells_apart_is_refused() {
    let check = |profile: &str, payload: &str, expected: &str| {
        assert_eq!(show(profile, payload), expected, "{payload}");
    };
    check("", r#"{"a":1,"a":2}"#, "ambiguous");
    check("", r#"{"a":1,"a":1}"#, "a=1");
    check("", r#"{"a.b":1,"a":{"b":2}}"#, "ambiguous");
    check("", r#"{"a":{"b":1},"a":{"b":2}}"#, "ambiguous");
    check("", r#"{"a":{"b":1},"a":{"c":2}}"#, "a.b=1 a.c=2");
    check("", r#"{"values":{"a":1},"a":2}"#, "ambiguous");
    check("", r#"{"l":[1,2],"l.0":3}"#, "ambiguous");
    check("", r#"{"l.0.x":3,"l":[{"x":1}]}"#, "ambiguous");
    check("", r#"{"ts":1795417100,"ts":1795417101,"a":1}"#, "ambiguous");
    check("", r#"{"ts":1795417100,"ts":1795417100,"a":1}"#, "a=1@-100");
    let both = "[[metric]]\nfrom = \"x\"\nname = \"m\"\n[[metric]]\nfrom = \"y\"\nname = \"m\"";
    check(both, r#"{"x":1,"y":2}"#, "ambiguous");
    check(both, r#"{"x":1,"y":1}"#, "m=1");
    check(both, r#"[{"x":1},{"y":2}]"#, "m=1 m=2#1");
}

#[test]
fn one_measurement_in_two_units_is_one_reading() {
    let check = |payload: &str, expected: &str| assert_eq!(show("", payload), expected, "{payload}");
    check(r#"{"tempC":20.1,"tempF":68.2}"#, "temp=20.1");
    check(r#"{"tempF":68.18,"tempC":20}"#, "temp=20");
    check(r#"{"distance_km":1.2,"distance_cm":124567}"#, "distance=1245.67");
    check(r#"{"tempC":20.1,"tempF":70.2}"#, "ambiguous");
    check(r#"{"tempF":68.2}"#, "temp=20.1111111111111");
}

#[test]
fn equal_times_of_different_messages_stay_apart_where_the_profile_says_so() {
    let payload = r#"{"ts":1795417100,"a":1}"#;
    let seq = |profile: &str, trace: &str| decode(profile, payload, trace).unwrap()[0].seq;
    assert_eq!(seq("", "one"), seq("", "two"));
    let keep = "time.resolution = \"1s\"\ntime.same_time = \"keep\"";
    assert_ne!(seq(keep, "one"), seq(keep, "two"));
    assert_eq!(seq(keep, "one"), seq(keep, "one"));
    // A time between two seconds is not one that comes again.
    let between = decode(keep, r#"{"ts":1795417100.5,"a":1}"#, "one").unwrap();
    assert!(between[0].seq.is_none());
}

/// Uploads without times are never taken for one another, whatever their intervals, and are the same again when they
/// are delivered again.
#[test]
fn uploads_without_times_are_as_many_rows_as_they_have_records() {
    let upload = |first: usize| {
        let records: Vec<_> = (first..first + 2_000).map(|number| format!("{{\"a\":{number}}}")).collect();
        format!("[{}]", records.join(","))
    };
    let read = |trace: &str, first: usize| decode("", &upload(first), trace).unwrap();
    let mut identities = BTreeSet::new();
    for reading in [read("one", 0), read("two", 0), read("two", 0), read("three", 2_000)].concat() {
        assert_eq!(reading.at, RECEIVED);
        identities.insert((reading.metric.to_string(), reading.at, reading.seq));
    }
    assert_eq!(identities.len(), 6_000);
}

/// A document in which names may come twice.
#[derive(Debug, Clone)]
enum Document {
    Leaf,
    Null,
    Text(String),
    Time(i64),
    List(Vec<Document>),
    Object(Vec<(String, Document)>),
}

fn document() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        6 => Just(Document::Leaf),
        1 => Just(Document::Null),
        2 => "[a-c]".prop_map(Document::Text),
        1 => (0..3_i64).prop_map(Document::Time),
    ];
    let name = prop_oneof![
        6 => "[a-d]",
        1 => Just("a.b".to_owned()),
        1 => Just("values".to_owned()),
        1 => Just("id".to_owned()),
        1 => Just("name".to_owned()),
        1 => Just("value".to_owned()),
        1 => Just("v".to_owned()),
        1 => Just("unit".to_owned()),
        1 => Just("q".to_owned()),
        2 => Just("ts".to_owned()),
        1 => Just("time".to_owned()),
    ];
    let nested = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Document::List),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(Document::Object),
        ]
    });
    nested.prop_filter("a value alone is no message", |document| {
        matches!(document, Document::List(_) | Document::Object(_))
    })
}

impl Document {
    /// Writes it as JSON; each leaf is a number of its own, which goes to `leaves`.
    fn write(&self, text: &mut String, leaves: &mut Vec<f64>) {
        match self {
            Self::Leaf => {
                let leaf = 1_000.5 + leaves.len() as f64;
                leaves.push(leaf);
                text.push_str(&leaf.to_string());
            }
            Self::Null => text.push_str("null"),
            Self::Text(word) => text.push_str(&format!("\"{word}\"")),
            Self::Time(after) => text.push_str(&(RECEIVED.0 / 1_000_000 - 100 + after).to_string()),
            Self::List(elements) => {
                text.push('[');
                for (place, element) in elements.iter().enumerate() {
                    text.push_str(if place > 0 { "," } else { "" });
                    element.write(text, leaves);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (place, (name, member)) in members.iter().enumerate() {
                    text.push_str(if place > 0 { "," } else { "" });
                    text.push_str(&format!("\"{name}\":"));
                    member.write(text, leaves);
                }
                text.push('}');
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn distinct_leaves_become_distinct_readings_or_the_message_is_refused(document in document()) {
        let (mut text, mut leaves) = (String::new(), Vec::new());
        document.write(&mut text, &mut leaves);
        if let Ok(readings) = decode("", &text, "t") {
            let mut identities = BTreeSet::new();
            for reading in &readings {
                let identity = (reading.metric.to_string(), reading.at, reading.seq);
                prop_assert!(identities.insert(identity), "{} twice in {}", reading.metric, text);
            }
            for leaf in leaves {
                let is_it = |reading: &&Reading| reading.value == Value::Float(leaf);
                prop_assert_eq!(readings.iter().filter(is_it).count(), 1, "{} of {}", leaf, &text);
            }
        }
    }

    #[test]
    fn what_is_decoded_is_what_is_stored_and_read(document in document()) {
        let (mut text, mut leaves) = (String::new(), Vec::new());
        document.write(&mut text, &mut leaves);
        if let Ok(readings) = decode("", &text, "t") {
            let items = pack(readings.clone()).into_iter().map(|span| span.to_item(None).json);
            let spans = items.map(|json| Span::from_item(&serde_json::from_str::<Item>(&json).unwrap()).unwrap());
            let mut stored: Vec<Reading> = spans.flat_map(|span| span.readings().collect::<Vec<_>>()).collect();
            let mut decoded = readings;
            let key = |reading: &Reading| (reading.metric.to_string(), reading.at, reading.seq);
            stored.sort_by_key(key);
            decoded.sort_by_key(key);
            prop_assert_eq!(stored, decoded);
        }
    }
}
