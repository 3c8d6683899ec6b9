//! What messages of nodes become, in order and out of it.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::message::{
    DataSet, Element, ElementValue, Metric, Payload, Property, PropertyValue, Row, Template, Value,
};
use super::*;
use crate::decoder::{Decoder, Settings};
use crate::envelope::Envelope;
use crate::profile::Profile;
use crate::reading::{Quality, Reading, TimeSource};

/// 2023-11-14T22:13:20Z, from which times are shown.
const START: i64 = 1_700_000_000_000;

const INT32: u32 = 3;
const FLOAT: u32 = 9;
const BOOLEAN: u32 = 11;
const STRING: u32 = 12;

/// A message of a node, `millis` after [`START`].
#[derive(Debug, Clone)]
struct Message {
    topic: String,
    millis: i64,
    bytes: Vec<u8>,
}

fn message(kind: &str, sender: &str, millis: i64, payload: &Payload) -> Message {
    Message { topic: format!("spBv1.0/plant/{kind}/{sender}"), millis, bytes: payload.encode_to_vec() }
}

fn payload(seq: u64, millis: i64, metrics: Vec<Metric>) -> Payload {
    Payload { seq: Some(seq), timestamp: Some((START + millis) as u64), metrics, uuid: None }
}

fn metric(name: &str, datatype: u32, value: Value) -> Metric {
    Metric { name: Some(name.into()), datatype: Some(datatype), value: Some(value), ..Metric::default() }
}

/// A metric under its alias alone.
fn alias(alias: u64, value: Value) -> Metric {
    Metric { alias: Some(alias), value: Some(value), ..Metric::default() }
}

fn with_alias(alias: u64, metric: Metric) -> Metric {
    Metric { alias: Some(alias), ..metric }
}

fn with_property(key: &str, value: PropertyValue, metric: Metric) -> Metric {
    let property = Property { is_null: None, value: Some(value) };
    let mut properties = metric.properties.clone().unwrap_or_default();
    properties.keys.push(key.into());
    properties.values.push(property);
    Metric { properties: Some(properties), ..metric }
}

fn bd_seq(number: u64) -> Metric {
    metric("bdSeq", 4, Value::Long(number))
}

/// The birth of a node with a temperature, alias 1, and a count, alias 2.
fn birth(millis: i64, number: u64) -> Message {
    let temperature = with_alias(1, metric("Line/Temperature", FLOAT, Value::Float(20.5)));
    let temperature = with_property("engUnit", PropertyValue::String("degC".into()), temperature);
    let count = with_alias(2, metric("Count", INT32, Value::Int(7)));
    let rebirth = metric("Node Control/Rebirth", BOOLEAN, Value::Boolean(false));
    message(
        "NBIRTH",
        "line-3",
        millis,
        &payload(0, millis, vec![bd_seq(number), temperature, count, rebirth]),
    )
}

fn device_birth(seq: u64, millis: i64) -> Message {
    let speed = with_alias(11, metric("Speed", INT32, Value::Int(100)));
    message("DBIRTH", "line-3/pump", millis, &payload(seq, millis, vec![speed]))
}

fn temperature(seq: u64, millis: i64, celsius: f32) -> Message {
    message("NDATA", "line-3", millis, &payload(seq, millis, vec![alias(1, Value::Float(celsius))]))
}

fn speed(seq: u64, millis: i64, speed: i32) -> Message {
    let metrics = vec![alias(11, Value::Int(speed as u32))];
    message("DDATA", "line-3/pump", millis, &payload(seq, millis, metrics))
}

fn death(millis: i64, number: u64) -> Message {
    let will = Payload { metrics: vec![bd_seq(number)], ..Payload::default() };
    message("NDEATH", "line-3", millis, &will)
}

fn decode(decoder: &mut Decoder, message: &Message) -> Result<Vec<Reading>, Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(&message.bytes).into(),
        topic: message.topic.as_str().into(),
        client: Some("line-3".into()),
        principal: None,
        content_type: None,
        received: Micros((START + message.millis) * 1_000),
        trace: None,
        record: None,
    };
    let mut readings = Vec::new();
    decoder.decode(&envelope, &mut readings).map(|_| readings)
}

/// Each reading as `device:metric=value unit@millis`, with `?` if it is uncertain and `!` if bad, the site left out.
fn show(readings: &[Reading]) -> String {
    let word = |reading: &Reading| {
        let unit = reading.unit.as_ref().map(|unit| unit.as_str()).unwrap_or_default();
        let quality = match reading.quality {
            Quality::Good => "",
            Quality::Uncertain => "?",
            Quality::Bad => "!",
        };
        let millis = reading.at.0 / 1_000 - START;
        format!("{}:{}={}{unit}{quality}@{millis}", reading.device.name(), reading.metric, reading.value)
    };
    readings.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn patient(patience_micros: i64) -> Decoder {
    let sparkplug = SparkplugPolicy { patience_micros };
    Decoder::new(Settings { sparkplug, ..Settings::default() }, Arc::default())
}

/// What each of the messages becomes, or the code of why it does not.
fn run(messages: &[Message]) -> Vec<String> {
    let mut decoder = patient(0);
    let outcome = |message| match decode(&mut decoder, message) {
        Ok(readings) => show(&readings),
        Err(reject) => reject.code().to_owned(),
    };
    messages.iter().map(outcome).collect()
}

#[test]
fn births_say_what_later_messages_number() {
    let told =
        run(&[birth(0, 5), device_birth(1, 10), temperature(2, 20, 21.7), speed(3, 30, -5), death(40, 5)]);
    let expected = [
        "line-3:sparkplug.online=true@0 line-3:Line.Temperature=20.5Cel@0 line-3:Count=7@0",
        "line-3::pump:sparkplug.online=true@10 line-3::pump:Speed=100@10",
        "line-3:Line.Temperature=21.7Cel@20",
        "line-3::pump:Speed=-5@30",
        "line-3:sparkplug.online=false@40 line-3::pump:sparkplug.online=false@40",
    ];
    assert_eq!(told, expected);
}

#[test]
fn times_are_the_metrics_else_the_payloads() {
    let mut decoder = patient(0);
    decode(&mut decoder, &birth(0, 5)).unwrap();
    let historical = Metric { timestamp: Some(START as u64 - 3_600_000), ..alias(1, Value::Float(1.5)) };
    let sent = payload(1, 50, vec![historical, alias(2, Value::Int(1))]);
    let readings = decode(&mut decoder, &message("NDATA", "line-3", 100, &sent)).unwrap();
    assert_eq!(show(&readings), "line-3:Line.Temperature=1.5Cel@-3600000 line-3:Count=1@50");
    assert!(readings.iter().all(|reading| reading.time_source == TimeSource::Format));
    let sent = Payload { timestamp: None, ..payload(2, 0, vec![alias(2, Value::Int(2))]) };
    let readings = decode(&mut decoder, &message("NDATA", "line-3", 200, &sent)).unwrap();
    assert_eq!(
        (show(&readings).as_str(), readings[0].time_source),
        ("line-3:Count=2@200", TimeSource::Arrival)
    );
    let sent = Payload { timestamp: Some(u64::MAX), ..payload(3, 0, vec![alias(2, Value::Int(2))]) };
    let readings = decode(&mut decoder, &message("NDATA", "line-3", 300, &sent)).unwrap();
    assert!(readings[0].correction.is_some(), "{readings:?}");
}

#[test]
fn values_are_what_their_datatypes_say() {
    let check = |metrics: Vec<Metric>, expected: Result<&str, Reject>| {
        let found = decode(&mut patient(0), &message("NBIRTH", "line-3", 0, &payload(0, 0, metrics)));
        let found = found.map(|readings| show(&readings[1..]).replace("line-3:", "").replace("@0", ""));
        assert_eq!(found.as_deref(), expected.as_ref().copied());
    };
    check(vec![metric("a", 1, Value::Int(0xff)), metric("b", 4, Value::Long(u64::MAX))], Ok("a=-1 b=-1"));
    check(
        vec![metric("a", FLOAT, Value::Float(22.1)), metric("b", 10, Value::Double(0.1))],
        Ok("a=22.1 b=0.1"),
    );
    check(vec![metric("a", FLOAT, Value::Float(f32::NAN))], Ok("a=NaN!"));
    // One that cannot be stored does not take the others along.
    let beside = vec![metric("a", 10, Value::Double(1e300)), metric("b", FLOAT, Value::Float(0.5))];
    check(beside, Ok("a=1e300! b=0.5"));
    check(
        vec![metric("a", BOOLEAN, Value::Boolean(true)), metric("b", STRING, Value::String("on".into()))],
        Ok("a=true b=on"),
    );
    check(vec![metric("a", 13, Value::Long(START as u64))], Ok("a=2023-11-14T22:13:20Z"));
    check(vec![metric("a", 17, Value::Bytes(vec![1, 2]))], Ok("a=AQI="));
    check(vec![metric("a", 23, Value::Bytes(vec![0xff, 0xff, 2, 0]))], Ok("a.0=-1 a.1=2"));
    let table = DataSet {
        columns: vec!["x/y".into(), "z".into()],
        types: vec![INT32, STRING],
        rows: vec![
            Row {
                elements: vec![Element { value: Some(ElementValue::Int(u32::MAX)) }, Element { value: None }],
            },
            Row {
                elements: vec![
                    Element { value: None },
                    Element { value: Some(ElementValue::String("t".into())) },
                ],
            },
        ],
    };
    check(vec![metric("t", 16, Value::DataSet(Box::new(table.clone())))], Ok("t.0.x.y=-1 t.1.z=t"));
    let narrow = DataSet { columns: vec!["x".into()], ..table };
    check(
        vec![metric("t", 16, Value::DataSet(Box::new(narrow)))],
        Err(Reject::NotSparkplug("a data set has a row of more elements than columns")),
    );
    let motor = |is_definition| {
        let metrics = vec![metric("RPM", INT32, Value::Int(900))];
        Value::Template(Box::new(Template { metrics, is_definition }))
    };
    check(
        vec![metric("_types_/Motor", 19, motor(Some(true))), metric("M/1", 19, motor(None))],
        Ok("M.1.RPM=900"),
    );
    let null = Metric { is_null: Some(true), ..metric("a", INT32, Value::Int(3)) };
    check(
        vec![
            null,
            metric("b", INT32, Value::Int(1)),
            Metric { value: None, ..metric("c", INT32, Value::Int(1)) },
        ],
        Ok("b=1"),
    );
    check(vec![metric("", INT32, Value::Int(3))], Err(Reject::EmptyName));
    check(vec![metric(&"x".repeat(257), INT32, Value::Int(3))], Err(Reject::LongName));
    check(vec![metric("a", STRING, Value::String("x".repeat(1_025)))], Err(Reject::LongText));
    let double = || with_alias(1, metric("a", INT32, Value::Int(3)));
    check(vec![double(), double()], Err(Reject::NotSparkplug("a birth gives one alias to two metrics")));
    let twice = vec![metric("a/b", INT32, Value::Int(3)), metric("a.b", INT32, Value::Int(3))];
    let reason = "a birth has two metrics of one name, levels parted by '/' or '.'";
    check(twice, Err(Reject::NotSparkplug(reason)));
}

#[test]
fn properties_say_units_and_quality() {
    let check = |code: u64, expected: &str| {
        let metric = with_property("Quality", PropertyValue::Long(code), metric("a", INT32, Value::Int(3)));
        let readings = decode(&mut patient(0), &message("NBIRTH", "line-3", 0, &payload(0, 0, vec![metric])));
        assert_eq!(show(&readings.unwrap()[1..]), expected, "{code}");
    };
    check(192, "line-3:a=3@0");
    check(0, "line-3:a=3!@0");
    check(500, "line-3:a=3?@0");
    check(64, "line-3:a=3?@0");
    let mut decoder = patient(0);
    decode(&mut decoder, &birth(0, 5)).unwrap();
    // A unit of its own stands before that of the birth.
    let fahrenheit =
        with_property("engUnit", PropertyValue::String("°F".into()), alias(1, Value::Float(50.0)));
    let readings = decode(&mut decoder, &message("NDATA", "line-3", 1, &payload(1, 1, vec![fahrenheit])));
    assert_eq!(show(&readings.unwrap()), "line-3:Line.Temperature=10Cel@1");
}

#[test]
fn what_a_profile_leaves_out_need_not_be_storable() {
    let profile = Profile::from_toml("name = \"p\"\ndevices = \"*/*\"\nignore = \"File\"").unwrap();
    let mut decoder =
        Decoder::new(Settings::default(), Arc::new(std::iter::once(Arc::new(profile)).collect()));
    let file = metric("File", 18, Value::Bytes(vec![0; 4_000]));
    let sent = payload(0, 0, vec![file, metric("a", INT32, Value::Int(1))]);
    let readings = decode(&mut decoder, &message("NBIRTH", "line-3", 0, &sent)).unwrap();
    assert_eq!(show(&readings), "line-3:sparkplug.online=true@0 line-3:a=1@0");
}

#[test]
fn what_no_birth_explains_is_refused_and_asks_for_one() {
    let check = |messages: &[Message], code: &str, asks: bool| {
        let mut decoder = patient(0);
        let mut last = Ok(Vec::new());
        for message in messages {
            last = decode(&mut decoder, message);
        }
        assert_eq!(last.as_ref().err().map(Reject::code), Some(code), "{last:?}");
        let id = NodeId::of_topic(&messages[0].topic).unwrap();
        let is_asked =
            decoder.nodes().get_mut(&id).is_some_and(|node| node.ask_for_birth(Micros(START * 1_000)));
        assert_eq!(is_asked, asks, "{code}");
    };
    check(&[temperature(1, 10, 1.0)], "sparkplug_unborn", true);
    check(&[birth(0, 5), temperature(2, 10, 1.0)], "sparkplug_gap", true);
    check(&[birth(0, 5), temperature(2, 10, 1.0), temperature(3, 20, 1.0)], "sparkplug_gap", true);
    check(&[birth(0, 5), speed(1, 10, 1)], "sparkplug_unborn", true);
    check(&[birth(0, 5), death(5, 5), temperature(1, 10, 1.0)], "sparkplug_unborn", true);
    let unknown = message("NDATA", "line-3", 10, &payload(1, 10, vec![alias(9, Value::Float(1.0))]));
    check(&[birth(0, 5), unknown], "sparkplug_alias", true);
    let untyped = Metric { datatype: None, ..metric("New", INT32, Value::Int(1)) };
    check(
        &[birth(0, 5), message("NDATA", "line-3", 10, &payload(1, 10, vec![untyped]))],
        "sparkplug_alias",
        true,
    );
    let buried = message("DDEATH", "line-3/pump", 20, &payload(2, 20, vec![]));
    check(&[birth(0, 5), device_birth(1, 10), buried, speed(3, 30, 1)], "sparkplug_unborn", true);
    // Late, of before all that is known: no birth that comes now would help.
    check(&[birth(0, 5), temperature(7, -10, 1.0)], "sparkplug_unborn", false);
    // Nothing but bytes.
    let broken = |bytes: &[u8]| Message { bytes: bytes.to_vec(), ..temperature(1, 10, 1.0) };
    check(&[broken(b"{\"temperature\": 1}")], "not_sparkplug", false);
    check(
        &[birth(0, 5), broken(&Payload { seq: None, ..payload(0, 0, vec![]) }.encode_to_vec())],
        "not_sparkplug",
        false,
    );
    check(&[birth(0, 5), broken(&payload(256, 0, vec![]).encode_to_vec())], "not_sparkplug", false);
    let compressed = Payload { uuid: Some(COMPRESSED.into()), ..payload(1, 0, vec![]) };
    check(&[birth(0, 5), broken(&compressed.encode_to_vec())], "not_sparkplug", false);
}

#[test]
fn a_birth_answers_what_came_before_it() {
    let mut decoder = patient(0);
    let id = NodeId::of_topic("spBv1.0/plant/NDATA/line-3").unwrap();
    let ask = |decoder: &mut Decoder, seconds: i64| {
        decoder.nodes().get_mut(&id).unwrap().ask_for_birth(Micros(START * 1_000 + seconds * 1_000_000))
    };
    assert!(decode(&mut decoder, &temperature(1, 0, 1.0)).is_err());
    decode(&mut decoder, &birth(1, 5)).unwrap();
    assert!(!ask(&mut decoder, 0), "it came by itself");
    assert!(decode(&mut decoder, &temperature(2, 2, 1.0)).is_err());
    assert!(ask(&mut decoder, 1));
    assert!(!ask(&mut decoder, 2), "nothing has come since");
    assert!(decode(&mut decoder, &temperature(3, 3, 1.0)).is_err());
    assert!(!ask(&mut decoder, 59), "once a minute");
    assert!(decode(&mut decoder, &temperature(4, 4, 1.0)).is_err());
    assert!(ask(&mut decoder, 61));
    decode(&mut decoder, &birth(70, 5)).unwrap();
    assert_eq!(
        show(&decode(&mut decoder, &temperature(1, 80, 1.5)).unwrap()),
        "line-3:Line.Temperature=1.5Cel@80"
    );
}

#[test]
fn a_will_of_an_earlier_session_is_no_news() {
    let told =
        run(&[birth(0, 5), birth(10, 6), death(20, 5), temperature(1, 30, 1.5), death(40, 6), death(5, 5)]);
    assert_eq!(told[2..4], ["", "line-3:Line.Temperature=1.5Cel@30"]);
    assert_eq!(told[4..], ["line-3:sparkplug.online=false@40", "line-3:sparkplug.online=false@5"]);
}

#[test]
fn a_client_speaks_for_its_own_node_and_the_devices_behind_it() {
    let of_another = |topic: &str| Message { topic: topic.into(), ..birth(0, 5) };
    let told = run(&[
        of_another("spBv1.0/plant/NBIRTH/line-4"),
        of_another("spBv1.0/plant/DBIRTH/line-4/line-3"),
        of_another("spBv1.0/plant/NCMD/line-3"),
    ]);
    assert_eq!(told, ["client", "client", "topic"]);
}

#[test]
fn only_its_topics_make_a_message_sparkplug() {
    // It begins as gzip does, and as CBOR, and is neither.
    let mut decoder = patient(0);
    let bytes = [0x1f, 0x8b];
    let message = Message { bytes: bytes.to_vec(), ..birth(0, 5) };
    assert_eq!(decode(&mut decoder, &message).unwrap_err().code(), "not_sparkplug");
    let message = Message { topic: "dt/plant/line-3/state".into(), ..birth(0, 5) };
    assert_ne!(decode(&mut decoder, &message).unwrap_err().code(), "not_sparkplug");
    let message = Message { topic: "dt/plant/line-3/sparkplug".into(), ..birth(0, 5) };
    assert!(decode(&mut decoder, &message).is_err());
}

#[test]
fn messages_of_one_millisecond_are_put_into_order() {
    let mut decoder = patient(0);
    decode(&mut decoder, &birth(0, 5)).unwrap();
    let id = NodeId::of_topic("spBv1.0/plant/NDATA/line-3").unwrap();
    let check = |decoder: &mut Decoder, messages: Vec<Message>, expected: &[&str]| {
        let mut sorted = messages;
        decoder.nodes().sort(&id, &mut sorted, |message| Header::read(&message.topic, &message.bytes));
        let words = sorted.iter().map(|message| {
            let seq = Numbered::decode(&*message.bytes).unwrap().seq.unwrap();
            format!("{}{seq}", message.topic.split('/').nth(2).unwrap())
        });
        assert_eq!(words.collect::<Vec<_>>(), expected);
    };
    let data = |seq| temperature(seq, 1, 1.0);
    check(&mut decoder, vec![data(3), data(1), data(2)], &["NDATA1", "NDATA2", "NDATA3"]);
    check(&mut decoder, vec![device_birth(1, 1), birth(1, 6)], &["DBIRTH1", "NBIRTH0"]);
    let reborn = vec![data(3), data(2), birth(1, 6), data(1)];
    check(&mut decoder, reborn, &["NDATA1", "NDATA2", "NDATA3", "NBIRTH0"]);
    for seq in 1..=56 {
        decode(&mut decoder, &temperature(seq, seq as i64, 1.0)).unwrap();
    }
    let reborn = vec![data(2), data(57), birth(57, 6), device_birth(1, 57)];
    check(&mut decoder, reborn, &["NDATA57", "NBIRTH0", "DBIRTH1", "NDATA2"]);
    check(&mut Decoder::default(), vec![device_birth(1, 0), birth(0, 5)], &["NBIRTH0", "DBIRTH1"]);
}

#[test]
fn a_command_asks_for_the_births() {
    let command = Payload::decode(&*ask_for_birth(Micros(START * 1_000))).unwrap();
    assert_eq!((command.timestamp, command.seq), (Some(START as u64), None));
    assert_eq!(command.metrics.len(), 1);
    let metric = &command.metrics[0];
    assert_eq!(metric.name.as_deref(), Some("Node Control/Rebirth"));
    assert_eq!((metric.datatype, &metric.value), (Some(BOOLEAN), &Some(Value::Boolean(true))));
}

/// What is known of a node goes to the store and comes back.
fn stored(decoder: &mut Decoder, store: &mut Store) {
    let id = NodeId::of_topic("spBv1.0/plant/NDATA/line-3").unwrap();
    let Some(node) = decoder.nodes().get_mut(&id) else { return };
    if let Some(changes) = node.changes() {
        assert_eq!(changes.revision, store.revision);
        for (name, birth) in changes.births {
            assert!(store.births.insert(name.clone(), birth).is_none(), "{name} is written once");
        }
        for name in changes.outdated {
            store.births.remove(&name);
        }
        store.state = changes.state;
        store.revision += 1;
    }
    let births = store.births.iter().map(|(name, birth)| (&**name, &**birth));
    let node = Node::from_stored(store.revision, &store.state, births).unwrap();
    assert!(node.changes().is_none());
    decoder.nodes().insert(id, node);
}

#[derive(Default)]
struct Store {
    revision: i64,
    state: String,
    births: std::collections::BTreeMap<String, String>,
}

#[test]
fn what_is_stored_is_what_was_known() {
    let messages = [
        birth(0, 5),
        device_birth(1, 10),
        temperature(2, 20, 21.7),
        birth(30, 6),
        device_birth(1, 31),
        speed(2, 40, -5),
        // Of the session before.
        temperature(2, 20, 21.7),
        // A device that is born again: what comes late is of its life before.
        device_birth(3, 41),
        speed(2, 40, -5),
        birth(50, 7),
        birth(60, 8),
        birth(70, 9),
        // Of a session that nobody remembers.
        temperature(2, 20, 21.7),
        speed(2, 45, -5),
        speed(1, 80, 3),
    ];
    let mut decoder = patient(0);
    let mut store = Store::default();
    let mut told = Vec::new();
    for message in &messages {
        told.push(match decode(&mut decoder, message) {
            Ok(readings) => show(&readings),
            Err(reject) => reject.code().to_owned(),
        });
        stored(&mut decoder, &mut store);
    }
    assert_eq!(told, run(&messages));
    assert_eq!(told[6], "line-3:Line.Temperature=21.7Cel@20");
    assert_eq!(told[8], "line-3::pump:Speed=-5@40");
    assert_eq!(told[12..], ["sparkplug_unborn", "line-3::pump:Speed=-5@45", "sparkplug_unborn"]);
    assert_eq!(store.births.len(), 4 + 2, "what is outdated is removed: {:?}", store.births.keys());
    assert!(Node::from_stored(1, "{", []).is_none());
    // Births that are missing leave everything unknown, also what has a name: its unit is not known.
    let id = NodeId::of_topic("spBv1.0/plant/NDATA/line-3").unwrap();
    decoder.nodes().insert(id, Node::from_stored(store.revision, &store.state, []).unwrap());
    let named = metric("Line/Temperature", FLOAT, Value::Float(1.0));
    let message = message("NDATA", "line-3", 80, &payload(1, 80, vec![named]));
    assert_eq!(decode(&mut decoder, &message), Err(Reject::SparkplugAlias));
}

#[test]
fn after_a_birth_that_is_refused_nothing_is_read_by_the_one_before() {
    let twice = || vec![metric("a", INT32, Value::Int(1)), metric("a", INT32, Value::Int(1))];
    let told = run(&[
        birth(0, 5),
        device_birth(1, 10),
        message("DBIRTH", "line-3/pump", 20, &payload(2, 20, twice())),
        speed(3, 30, 7),
        temperature(4, 40, 1.5),
        message("NBIRTH", "line-3", 50, &payload(0, 50, twice())),
        temperature(5, 60, 1.5),
        temperature(4, 40, 1.5),
    ]);
    let read = "line-3:Line.Temperature=1.5Cel@40";
    let expected = ["not_sparkplug", "sparkplug_unborn", read, "not_sparkplug", "sparkplug_unborn", read];
    assert_eq!(told[2..], expected);
}

#[test]
fn a_message_that_cannot_be_read_has_a_number_still() {
    let broken = |seq| Message {
        // A metric that ends too early.
        bytes: [payload(seq, 0, vec![]).encode_to_vec(), vec![2 << 3 | 2, 1, 0xff]].concat(),
        ..temperature(seq, 10, 1.0)
    };
    let compressed = Payload { uuid: Some(COMPRESSED.into()), ..payload(2, 0, vec![]) };
    let told = run(&[
        birth(0, 5),
        broken(1),
        Message { bytes: compressed.encode_to_vec(), ..temperature(2, 11, 1.0) },
        temperature(3, 20, 1.5),
    ]);
    assert_eq!(told[1..], ["not_sparkplug", "not_sparkplug", "line-3:Line.Temperature=1.5Cel@20"]);
}

#[test]
fn what_is_historical_is_never_shown_as_the_present() {
    let check = |days: u64, expected: &str| {
        let at = START as u64 - days * 86_400_000;
        let historical = Metric { is_historical: Some(true), timestamp: Some(at), ..alias(2, Value::Int(1)) };
        let told = run(&[birth(0, 5), message("NDATA", "line-3", 10, &payload(1, 10, vec![historical]))]);
        assert_eq!(told[1], expected);
    };
    check(1, "line-3:Count=1@-86400000");
    check(31, "time");
}

/// A day of a line: births, data, a device, another session.
fn day() -> Vec<Message> {
    let mut messages = vec![birth(0, 5), device_birth(1, 1)];
    messages.extend((2..40).map(|seq| {
        let millis = seq as i64 * 10;
        if seq % 3 == 0 {
            speed(seq, millis, -(seq as i32))
        } else {
            temperature(seq, millis, seq as f32 / 4.0)
        }
    }));
    messages.extend([death(400, 5), birth(410, 6), device_birth(1, 411)]);
    messages.extend((2..300).map(|seq| speed(seq % 256, 410 + seq as i64 * 10, seq as i32)));
    messages
}

proptest! {
    /// However the messages are cut into batches, and whichever batches come again, each message becomes what it does
    /// in order, and no gap is seen where there is none. Between batches what is known is stored and read again.
    #[test]
    fn batches_and_repetition_do_not_matter(
        cuts in proptest::collection::vec(any::<Index>(), 0..8),
        again in proptest::collection::vec((any::<Index>(), 1_usize..20), 0..4),
    ) {
        let messages = day();
        let alone = run(&messages);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(messages.len())).collect();
        cuts.extend([0, messages.len()]);
        cuts.sort_unstable();
        let mut decoder = patient(0);
        let mut store = Store::default();
        for batch in cuts.windows(2) {
            let mut places: Vec<usize> = (batch[0]..batch[1]).collect();
            // What came shortly before comes again.
            for (place, length) in &again {
                let end = place.index(batch[1] + 1);
                places.extend(end.saturating_sub(*length)..end);
            }
            places.sort_by_key(|place| messages[*place].millis);
            for place in places {
                let told = match decode(&mut decoder, &messages[place]) {
                    Ok(readings) => show(&readings),
                    Err(reject) => reject.code().to_owned(),
                };
                prop_assert_eq!(&told, &alone[place], "message {}", place);
            }
            stored(&mut decoder, &mut store);
        }
    }

    /// Out of order by less than what is waited for, all is read once the birth is known.
    #[test]
    fn order_does_not_matter_within_what_is_waited_for(
        swaps in proptest::collection::vec((2_usize..39, 1_usize..30), 0..60),
    ) {
        let messages = day();
        let mut order: Vec<usize> = (0..40).collect();
        for (place, distance) in swaps {
            let other = 2 + (place + distance - 2) % 38;
            order.swap(place, other);
        }
        let alone = run(&messages);
        let mut decoder = patient(30_000_000);
        for place in order {
            let told = decode(&mut decoder, &messages[place]).map(|readings| show(&readings));
            prop_assert_eq!(told.as_ref(), Ok(&alone[place]));
        }
    }

    #[test]
    fn any_bytes_are_samples_or_a_reason(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        which in any::<Index>(),
    ) {
        let mut decoder = patient(0);
        let messages = day();
        for message in &messages[..3] {
            decode(&mut decoder, message).unwrap();
        }
        let _ = decode(&mut decoder, &Message { bytes, ..birth(5, 5) });
        let mut changed = messages[which.index(4)].clone();
        for (place, byte) in changes {
            let place = place.index(changed.bytes.len());
            changed.bytes[place] = byte;
        }
        let _ = decode(&mut decoder, &changed);
    }

    /// Whatever is sent by name or by alias is read as it was written.
    #[test]
    fn what_is_encoded_is_decoded(
        values in proptest::collection::vec(
            (any::<i64>(), any::<i32>(), any::<i8>(), -1e100..1e100, "\\PC{0,8}", any::<bool>(), 0_i64..1_000_000),
            1..8,
        ),
    ) {
        let written = |(long, int, byte, double, text, flag, _): &(i64, i32, i8, f64, String, bool, i64)| {
            [
                (4, Value::Long(*long as u64)),
                (INT32, Value::Int(*int as u32)),
                (1, Value::Int(u32::from(*byte as u8))),
                (10, Value::Double(*double)),
                (STRING, Value::String(text.clone())),
                (BOOLEAN, Value::Boolean(*flag)),
            ]
        };
        let names = ["a/long", "int", "byte", "double", "text", "flag"];
        let first = names.iter().zip(written(&values[0])).enumerate();
        let born = first.map(|(place, (name, (datatype, value)))| with_alias(place as u64, metric(name, datatype, value)));
        let mut decoder = patient(0);
        decode(&mut decoder, &message("NBIRTH", "line-3", 0, &payload(0, 0, born.collect()))).unwrap();
        for (number, value) in values.iter().enumerate() {
            let metrics = written(value).into_iter().enumerate().map(|(place, (_, value))| alias(place as u64, value));
            let millis = value.6;
            let sent = payload(number as u64 + 1, millis, metrics.collect());
            let readings = decode(&mut decoder, &message("NDATA", "line-3", number as i64 + 1, &sent));
            let (long, int, byte, double, text, flag, _) = value;
            let double = crate::reading::Value::from_f64(*double).unwrap();
            let expected = [
                format!("a.long={long}"), format!("int={int}"), format!("byte={byte}"), format!("double={double}"),
                format!("text={text}"), format!("flag={flag}"),
            ];
            let readings = readings.unwrap();
            let found = readings.iter().map(|reading| format!("{}={}", reading.metric, reading.value));
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
            let is_accepted = millis < 600_000;
            prop_assert!(!is_accepted || readings.iter().all(|reading| reading.at.0 == (START + millis) * 1_000));
        }
    }
}
