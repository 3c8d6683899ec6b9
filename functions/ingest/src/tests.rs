//! What becomes of an event does not depend on how it is cut: neither by chunks, nor by batches, nor by time.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use telemetry::{
    Decoder, DeviceId, HourBound, IdentityRules, LayoutSite, Layouts, Profile, Profiles, Reading, Settings,
    Span, SpanItem, TimePolicy, TopicLayout, standing,
};

use crate::chunk::{Limits, Pending, ReadBefore, TimeLeft};
use crate::event::Event;
use crate::message::Reader;
use crate::plan::{Disposition, Plan};

const RECEIVED: i64 = 1_795_417_200_250;
/// Where no chunk ends.
const ALL: usize = usize::MAX;

/// A record of a queue.
#[derive(Debug, Clone)]
struct Message {
    id: String,
    topic: String,
    received: i64,
    trace: Option<String>,
    payload: Vec<u8>,
}

impl Message {
    fn record(&self) -> serde_json::Value {
        let mut body = serde_json::json!({
            "payload": base64_simd::STANDARD.encode_to_string(&self.payload),
            "topic": self.topic,
            "received": self.received,
        });
        if let Some(trace) = &self.trace {
            body["trace"] = trace.as_str().into();
        }
        serde_json::json!({"messageId": self.id, "body": body.to_string()})
    }
}

fn event(messages: &[Message]) -> String {
    let records: Vec<_> = messages.iter().map(Message::record).collect();
    serde_json::json!({"Records": records}).to_string()
}

/// One process: two profiles, of another revision each, on the streams `v` and `w`.
fn decoder() -> Decoder {
    let profile = |name: &str, revision: i64| {
        let toml = format!("name = \"{name}\"\ntopics = \"dt/+/+/{name}\"");
        (Arc::new(Profile::from_toml(&toml).unwrap()), telemetry::Micros(revision))
    };
    Decoder::new(Settings::default(), Arc::new(Profiles::from_iter([profile("v", 5), profile("w", 9)])))
}

/// The plans of an event whose chunks end at so many readings.
fn plans<'a>(event: &'a str, readings: usize, decoder: &mut Decoder) -> Vec<Plan<'a>> {
    let Event { source, records, received } = Event::parse(event, "request-1").unwrap();
    let mut pending = Pending::new(source, records);
    let mut reader = Reader::new(decoder, HourBound::of(&TimePolicy::default()));
    let limits = Limits { readings, time_left: || TimeLeft::Ample };
    let mut plans = Vec::new();
    while !pending.is_empty() {
        plans.push(pending.plan(ReadBefore::default(), &mut reader, &limits, Some(30)));
    }
    assert_eq!(plans.iter().map(|plan| plan.dispositions.len()).sum::<usize>(), received);
    plans
}

fn items(plans: &[Plan<'_>]) -> BTreeSet<(DeviceId, String, String)> {
    let item = |item: &SpanItem| (item.device.clone(), item.span.clone(), item.json.clone());
    plans.iter().flat_map(|plan| plan.items.iter().map(item)).collect()
}

/// What a reader of the table finds: items of one key replace each other.
#[derive(Debug, Default)]
struct Table(BTreeMap<(DeviceId, String), String>);

impl Table {
    fn store(&mut self, plans: &[Plan<'_>]) {
        for item in plans.iter().flat_map(|plan| &plan.items) {
            self.0.insert((item.device.clone(), item.span.clone()), item.json.clone());
        }
    }

    fn readings(&self) -> Vec<Reading> {
        let mut devices: BTreeMap<DeviceId, Vec<Reading>> = BTreeMap::new();
        for json in self.0.values() {
            let span = Span::from_item(&serde_json::from_str(json).unwrap()).unwrap();
            devices.entry(span.device().clone()).or_default().extend(span.readings());
        }
        devices.into_values().flat_map(standing).collect()
    }
}

/// Messages that meet in every field now and then.
fn message() -> impl Strategy<Value = Message> {
    let fields = (
        select(&["a", "b", "c"][..]),
        select(&["state", "v", "w"][..]),
        select(&[RECEIVED, RECEIVED, RECEIVED + 1, RECEIVED + 900_000][..]),
        select(&[None, Some("t-1"), Some("t-2")][..]),
        prop::option::of(0_i64..3),
        prop::collection::vec((select(&["x", "y"][..]), 0_u8..3), 1..4),
        0_u8..10,
    );
    fields.prop_map(|(device, stream, received, trace, ts, values, broken)| {
        let record = |(metric, value): &(&str, u8)| match ts {
            Some(ts) => format!(r#"{{"ts":{},"{metric}":{value}}}"#, RECEIVED - 60_000 * ts),
            None => format!(r#"{{"{metric}":{value}}}"#),
        };
        let records: Vec<String> = values.iter().map(record).collect();
        let end = if broken == 0 { "" } else { "]" };
        Message {
            id: String::new(),
            topic: format!("dt/site/{device}/{stream}"),
            received,
            trace: trace.map(str::to_owned),
            payload: format!("[{}{end}", records.join(",")).into_bytes(),
        }
    })
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let named = |mut messages: Vec<Message>| {
        messages.iter_mut().enumerate().for_each(|(n, message)| message.id = format!("m-{n}"));
        messages
    };
    prop::collection::vec(message(), 1..25).prop_map(named)
}

/// Readings of the device that has most.
fn most_of_a_device(messages: &[Message]) -> usize {
    let records = |message: &Message| message.payload.iter().filter(|byte| **byte == b'{').count();
    let mut devices: BTreeMap<&str, usize> = BTreeMap::new();
    for message in messages {
        *devices.entry(message.topic.rsplit_once('/').unwrap().0).or_default() += records(message);
    }
    devices.into_values().max().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_chunks_end_changes_no_item_of_a_device_that_fits(messages in messages(), more in 0_usize..20) {
        let event = event(&messages);
        let whole = plans(&event, ALL, &mut decoder());
        prop_assert_eq!(whole.len(), 1);
        let chunks = plans(&event, most_of_a_device(&messages) + more, &mut decoder());
        prop_assert_eq!(items(&whole), items(&chunks));
        let updates = |plans: &[Plan<'_>]| plans.iter().map(|plan| plan.updates.len()).sum::<usize>();
        prop_assert_eq!(updates(&whole), updates(&chunks), "one write for a device and invocation");
    }

    #[test]
    fn neither_chunks_nor_batches_nor_order_nor_repetition_nor_processes_change_what_is_stored(
        messages in messages(),
        shuffled in Just(()).prop_perturb(|(), mut random| random.random::<u64>()),
        readings in 0_usize..30,
        batch in 1_usize..10,
    ) {
        let mut expected = Table::default();
        expected.store(&plans(&event(&messages), ALL, &mut decoder()));
        let mut other: Vec<Message> = messages.iter().chain(&messages[messages.len() / 2..]).cloned().collect();
        other.sort_by_key(|message| {
            let n: u64 = message.id[2..].parse().unwrap();
            (n + 1).wrapping_mul(shuffled | 1).rotate_left(17)
        });
        let mut processes = [decoder(), decoder()];
        let mut table = Table::default();
        for (number, batch) in other.chunks(batch).enumerate() {
            table.store(&plans(&event(batch), readings, &mut processes[number % 2]));
        }
        prop_assert_eq!(table.readings(), expected.readings());
    }

    #[test]
    fn each_message_is_counted_in_one_span(mut messages in messages(), readings in 0_usize..30) {
        for (number, message) in messages.iter_mut().enumerate() {
            message.trace = Some(format!("t-{number}"));
        }
        let event = event(&messages);
        let plans = plans(&event, readings, &mut decoder());
        let stored = plans.iter().flat_map(|plan| &plan.dispositions);
        let stored = stored.filter(|(_, disposition)| matches!(disposition, Disposition::Stored(_))).count();
        let mut counted = (0, 0);
        for (_, _, json) in items(&plans) {
            let span = Span::from_item(&serde_json::from_str(&json).unwrap()).unwrap();
            let (messages, bytes) = span.messages();
            counted = (counted.0 + messages, counted.1 + bytes);
        }
        let whole = messages.iter().filter(|message| message.payload.ends_with(b"]"));
        let bytes: usize = whole.map(|message| message.payload.len()).sum();
        prop_assert_eq!(counted, (stored as u64, bytes as u64));
    }
}

#[test]
fn messages_without_time_and_trace_are_told_apart_by_what_their_source_calls_them() {
    let upload = |n: usize| Message {
        id: format!("m-{n}"),
        topic: "dt/site/a/state".to_owned(),
        received: RECEIVED,
        trace: None,
        payload: br#"[{"x": 1}, {"x": 1}, {"x": 2}]"#.to_vec(),
    };
    let uploads: Vec<Message> = (0..40).map(upload).collect();
    let mut table = Table::default();
    table.store(&plans(&event(&uploads), ALL, &mut decoder()));
    let readings = table.readings();
    assert_eq!(readings.len(), 40 * 3, "all in one millisecond");
    for part in [&uploads[..25], &uploads[10..]] {
        table.store(&plans(&event(part), ALL, &mut decoder()));
    }
    assert_eq!(table.readings(), readings);
}

/// Where a topic's last levels are a metric's, they are not whose it is.
#[test]
fn of_any_layout_a_devices_messages_share_a_chunk() {
    let layout: TopicLayout = "N/{device}/{metric...}".parse().unwrap();
    let layouts = Layouts::new(vec![layout.into()], LayoutSite::default(), None).unwrap();
    let identity = IdentityRules { layouts, ..IdentityRules::default() };
    let mut decoder = Decoder::new(Settings { identity, ..Settings::default() }, Arc::default());
    let topics = ["N/a/battery/0", "N/b/battery/0", "N/a/solar/1/pv", "N/b/solar/1/pv"];
    let messages = topics.iter().enumerate().map(|(number, topic)| Message {
        id: format!("m-{number}"),
        topic: (*topic).to_owned(),
        received: RECEIVED,
        trace: Some(format!("t-{number}")),
        payload: br#"{"x": 1, "y": 2, "z": 3}"#.to_vec(),
    });
    let event = event(&messages.collect::<Vec<_>>());
    let plans = plans(&event, 6, &mut decoder);
    let devices = plans.iter().flat_map(|plan| &plan.updates).map(|update| update.device.to_string());
    assert_eq!(devices.collect::<Vec<_>>(), ["main/a", "main/b"], "one write for each");
    assert_eq!(plans.len(), 2);
}

#[test]
fn a_gateways_message_is_counted_once_in_the_span_of_its_first_reading() {
    let profile = Profile::from_toml("name = \"g\"\ndevices = \"*/gateway\"\ngateway = \"members\"").unwrap();
    let mut decoder = Decoder::new(Settings::default(), Arc::new(Profiles::from_iter([Arc::new(profile)])));
    let message = Message {
        id: "m-0".to_owned(),
        topic: "dt/site/gateway/rooms".to_owned(),
        received: RECEIVED,
        trace: Some("t".to_owned()),
        payload: br#"{"north": {"t": 1, "ts": 1795417100}, "south": {"t": 2, "ts": 1795417000}}"#.to_vec(),
    };
    let event = event(&[message]);
    let plans = plans(&event, ALL, &mut decoder);
    let counts = items(&plans).into_iter().map(|(device, _, json)| {
        let span = Span::from_item(&serde_json::from_str(&json).unwrap()).unwrap();
        (device.to_string(), span.messages())
    });
    let expected = [("site/gateway::north".to_owned(), (0, 0)), ("site/gateway::south".to_owned(), (1, 74))];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
}

#[test]
fn what_a_profile_ignores_whole_is_no_stored_message() {
    let profile = Profile::from_toml("name = \"p\"\ntopics = \"dt/+/+/debug\"\nignore = \"*\"").unwrap();
    let mut decoder = Decoder::new(Settings::default(), Arc::new(Profiles::from_iter([Arc::new(profile)])));
    let message = |id: &str, stream: &str| Message {
        id: id.to_owned(),
        topic: format!("dt/site/a/{stream}"),
        received: RECEIVED,
        trace: None,
        payload: br#"{"x": 1}"#.to_vec(),
    };
    let event = event(&[message("m-0", "debug"), message("m-1", "state")]);
    let plans = plans(&event, ALL, &mut decoder);
    let dispositions: Vec<_> = plans[0].dispositions.iter().map(|(_, disposition)| disposition).collect();
    let stored = Disposition::Stored(vec![DeviceId::from_stored("site/a")]);
    assert_eq!(dispositions, [&Disposition::Ignored, &stored]);
}

#[test]
fn readings_that_others_replace_are_counted() {
    let message = |id: &str, received: i64, value: i64| Message {
        id: id.to_owned(),
        topic: "dt/site/a/state".to_owned(),
        received,
        trace: None,
        payload: format!(r#"{{"ts": {RECEIVED}, "x": {value}}}"#).into_bytes(),
    };
    let event = event(&[
        message("m-0", RECEIVED, 1),
        message("m-1", RECEIVED + 1, 1),
        message("m-2", RECEIVED + 2, 2),
    ]);
    let plans = plans(&event, ALL, &mut decoder());
    assert_eq!((plans[0].replaced.equal, plans[0].replaced.different), (0, 2), "the last one says 2");
    assert_eq!(plans[0].items[0].readings, 1);
}

fn gzip(document: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(document.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Messages of `flood`, every second of which is compressed, before one of each of `a`, `b` and `c`.
fn flood() -> Vec<Message> {
    let message = |(n, device): (usize, &str)| Message {
        id: format!("m-{n}"),
        topic: format!("dt/site/{device}/state"),
        received: RECEIVED,
        trace: None,
        payload: if n % 2 == 0 && device == "flood" { gzip(r#"{"x": 1}"#) } else { br#"{"x": 1}"#.to_vec() },
    };
    let devices = std::iter::repeat_n("flood", 100).chain(["a", "b", "c"]);
    devices.enumerate().map(message).collect()
}

#[test]
fn where_time_is_short_the_cheapest_devices_come_first_and_the_rest_stays_pending() {
    let event = event(&flood());
    let Event { source, records, .. } = Event::parse(&event, "request-1").unwrap();
    let mut pending = Pending::new(source, records);
    let mut decoder = decoder();
    let looks = Cell::new(0);
    let time_left = || {
        looks.set(looks.get() + 1);
        match looks.get() {
            0..=4 => TimeLeft::Short,
            _ => TimeLeft::None,
        }
    };
    let limits = Limits { readings: ALL, time_left };
    let plan = pending.plan(
        ReadBefore::default(),
        &mut Reader::new(&mut decoder, HourBound::of(&TimePolicy::default())),
        &limits,
        None,
    );
    let devices: BTreeSet<&str> = plan.items.iter().map(|item| item.device.as_str()).collect();
    assert_eq!(devices, BTreeSet::from(["site/a", "site/b", "site/c", "site/flood"]));
    let left = pending.into_positions().count();
    assert_eq!(left + plan.dispositions.len(), 103);
    assert!(left > 60, "{left} are redelivered");
}

#[test]
fn without_time_nothing_is_read_and_nothing_is_lost() {
    let event = event(&flood());
    let Event { source, records, .. } = Event::parse(&event, "request-1").unwrap();
    let mut pending = Pending::new(source, records);
    let mut decoder = decoder();
    let limits = Limits { readings: ALL, time_left: || TimeLeft::None };
    let plan = pending.plan(
        ReadBefore::default(),
        &mut Reader::new(&mut decoder, HourBound::of(&TimePolicy::default())),
        &limits,
        None,
    );
    assert!(plan.dispositions.is_empty() && plan.items.is_empty());
    assert_eq!(pending.into_positions().count(), 103);
}

#[test]
fn no_chunk_has_more_readings_than_it_may() {
    let event = event(&flood());
    for readings in [1, 7, 30, 99, 102, 103] {
        let plans = plans(&event, readings, &mut decoder());
        let sizes: Vec<usize> =
            plans.iter().map(|plan| plan.items.iter().map(|item| item.readings).sum()).collect();
        assert!(sizes.iter().all(|size| (1..=readings).contains(size)), "{sizes:?} of {readings}");
        assert_eq!(sizes.iter().sum::<usize>(), 103);
    }
}
