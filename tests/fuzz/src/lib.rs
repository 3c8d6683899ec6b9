//! What all targets that decode payloads share.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use telemetry::limits::{MAX_INTEGER, MAX_NAME_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use telemetry::sparkplug::{Node, NodeId};
use telemetry::{Decoder, Envelope, Micros, Profile, Reading, Settings, Span, Value, pack};

/// 2026-11-23T07:00:00Z.
const RECEIVED: Micros = Micros(1_795_417_200_000_000);

/// A profile that makes use of all that a profile may say of names, units and values.
const NAMES: &str = include_str!("profile.toml");
/// One that describes what stands at places, in every way that there is.
const PLACES: &str = include_str!("../../../shared/telemetry/tests/everything.toml");

/// Decodes `payload` as a device's message whose topic ends in `stream`, without a profile and with each; what becomes of
/// it has to keep the limits, and be the same again.
pub fn decode(payload: &[u8], stream: &str) {
    thread_local! {
        static DECODERS: RefCell<HashMap<&'static str, Decoder>> = RefCell::default();
    }
    for profile in ["", NAMES, PLACES] {
        let profiles = || {
            let text = if profile == PLACES { format!("name = \"p\"\ndevices = \"*/*\"\n{PLACES}") } else { profile.to_owned() };
            let profile = (!text.is_empty()).then(|| Profile::from_toml(&text).expect("a good profile"));
            Arc::new(profile.map(Arc::new).into_iter().collect())
        };
        DECODERS.with_borrow_mut(|decoders| {
            let decoder =
                decoders.entry(profile).or_insert_with(|| Decoder::new(Settings::default(), profiles()));
            let first = decode_once(decoder, payload, stream);
            assert_eq!(first, decode_once(decoder, payload, stream), "the same bytes become something else");
        });
    }
}

fn decode_once(
    decoder: &mut Decoder,
    payload: &[u8],
    stream: &str,
) -> Result<Vec<Reading>, telemetry::Reject> {
    publish(decoder, payload, &format!("dt/s/d/{stream}"), RECEIVED)
}

/// Decodes a session of an edge node and its device. Each message is a byte that says of which kind it is and how long
/// after the one before it arrives, two for its length, and its payload. Between messages what is known of the node may
/// go to the store and come back, which may not change what they become.
pub fn decode_session(mut messages: &[u8]) {
    const TOPICS: [&str; 8] = [
        "spBv1.0/s/NBIRTH/n",
        "spBv1.0/s/NDEATH/n",
        "spBv1.0/s/NDATA/n",
        "spBv1.0/s/DBIRTH/n/d",
        "spBv1.0/s/DDEATH/n/d",
        "spBv1.0/s/DDATA/n/d",
        "spBv1.0/s/DDATA/n/e",
        "spBv1.0/s/DBIRTH/n/e",
    ];
    let mut remembering = Decoder::default();
    let mut storing = Decoder::default();
    let mut births = BTreeMap::new();
    let mut received = RECEIVED;
    while let [what, low, high, rest @ ..] = messages {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        messages = rest;
        // Up to 32 s: longer than a message may be missing.
        received = received.plus(i64::from(what >> 3) * 1_000_000);
        let topic = TOPICS[usize::from(what & 7)];
        let first = publish(&mut remembering, payload, topic, received);
        let second = publish(&mut storing, payload, topic, received);
        assert_eq!(first, second, "what is stored of a node is something else than what was known");
        store(&mut storing, &mut births);
    }
}

/// Puts what a decoder knows of the node into the store, and takes it from there.
fn store(decoder: &mut Decoder, births: &mut BTreeMap<String, String>) {
    let id = NodeId::of_topic("spBv1.0/s/NDATA/n").expect("a topic of a node");
    let Some(changes) = decoder.nodes().get_mut(&id).and_then(|node| node.changes()) else { return };
    births.extend(changes.births);
    births.retain(|name, _| !changes.outdated.contains(name));
    let stored = births.iter().map(|(name, birth)| (&**name, &**birth));
    let node = Node::from_stored(changes.revision + 1, &changes.state, stored).expect("as it was written");
    decoder.nodes().insert(id, node);
}

fn publish(
    decoder: &mut Decoder,
    payload: &[u8],
    topic: &str,
    received: Micros,
) -> Result<Vec<Reading>, telemetry::Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: topic.into(),
        client: None,
        principal: None,
        content_type: None,
        received,
        trace: None,
        record: None,
    };
    let mut readings = Vec::new();
    let outcome = decoder.decode(&envelope, &mut readings);
    assert!(outcome.is_ok() || readings.is_empty(), "a refused message has left readings");
    assert!(readings.len() <= MAX_SAMPLES);
    for reading in &readings {
        assert!((1..=MAX_NAME_BYTES).contains(&reading.metric.len()));
        assert!(reading.at.is_plausible());
        match &reading.value {
            Value::Float(number) => assert_eq!(Value::from_f64(*number).as_ref(), Some(&reading.value)),
            Value::Text(text) => assert!(text.len() <= MAX_TEXT_BYTES),
            Value::Integer(integer) => assert!(integer.unsigned_abs() < MAX_INTEGER),
            Value::Boolean(_) => {}
        }
    }
    check_identities(&readings);
    outcome.map(|_| readings)
}

/// No two readings of a message are one, and what is stored of them is what they are.
fn check_identities(readings: &[Reading]) {
    let mut by_identity = BTreeMap::new();
    for reading in readings {
        let identity = (reading.device.to_string(), reading.metric.to_string(), reading.at, reading.seq);
        assert!(by_identity.insert(identity, reading).is_none(), "two readings have one identity");
    }
    let mut stored = 0;
    for span in pack(readings.to_vec()) {
        let item = serde_json::from_str(&span.to_item(None).json).expect("an item is JSON");
        for reading in Span::from_item(&item).expect("a span is read as it was written").readings() {
            let identity = (reading.device.to_string(), reading.metric.to_string(), reading.at, reading.seq);
            assert_eq!(by_identity.get(&identity), Some(&&reading), "something else is stored");
            stored += 1;
        }
    }
    assert_eq!(stored, readings.len(), "not all is stored");
}
