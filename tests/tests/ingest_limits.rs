//! The function `ingest` as a process, with events that are too large or too slow for one go: memory and time are
//! bounded, and a device that sends them delays only its own messages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tests::events::{RECEIVED, envelope, sqs};
use tests::fake_aws::{Handle, Operation};
use tests::functions::{all_well, metrics};
use tests::ingest::{Counts, Ingest, READINGS};
use tests::sparkplug::{EdgeNode, Message};

/// What the process may reserve, in megabytes; the allocator reserves more than it uses.
const MEMORY: usize = 256;
/// What it may use: below the 128 MB that the template lets Lambda give the function at least.
const PEAK: u64 = 120;

fn gzip(document: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(document.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Few bytes that are 10,000 readings.
fn poison() -> Vec<u8> {
    let poison = gzip(&format!("[{}]", vec![r#"{"a":1}"#; 10_000].join(",")));
    assert!(poison.len() <= 166, "{} bytes", poison.len());
    poison
}

/// One message of each of so many devices.
fn good(count: i64) -> Vec<String> {
    let message = |n: i64| {
        let payload = json!({"ts": RECEIVED - n, "seq": n}).to_string();
        envelope(&format!("plant/good-{n}"), RECEIVED + n, payload.as_bytes())
    };
    (0..count).map(message).collect()
}

/// So many poisonous messages: every second of one device, the others of devices of their own.
fn poisonous(count: i64) -> Vec<String> {
    let poison = poison();
    let device = |n: i64| if n % 2 == 0 { "plant/flood".to_owned() } else { format!("plant/bad-{n}") };
    (0..count).map(|n| envelope(&device(n), RECEIVED + 1_000 + n, &poison)).collect()
}

/// Spreads the second among the first.
fn among(many: Vec<String>, few: Vec<String>) -> Vec<String> {
    let every = many.len() / few.len().max(1);
    let mut few = few.into_iter();
    let mut all = Vec::new();
    for (place, message) in many.into_iter().enumerate() {
        all.push(message);
        if place % every == every - 1 {
            all.extend(few.next());
        }
    }
    all.extend(few);
    all
}

/// A message of a node that says so many temperatures, a millisecond apart, the last at `at` in milliseconds since 1970.
/// Before what the node says by itself stand others by the same alias, each with its time (Protocol Buffers, "Encoding":
/// what is repeated may stand in several places).
fn temperatures(node: &mut EdgeNode, count: i64, at: i64) -> Message {
    let mut payload = Vec::new();
    for at in at - count + 1..at {
        let millis = (0..6).map(|n| (at >> (7 * n)) as u8 & 0x7f | if n < 5 { 0x80 } else { 0 });
        payload.extend([2 << 3 | 2, 18, 2 << 3, 1, 3 << 3]);
        payload.extend(millis);
        payload.push(13 << 3 | 1);
        payload.extend(20.5_f64.to_le_bytes());
    }
    let message = node.temperature(21.5, at);
    payload.extend(message.payload);
    Message { payload, ..message }
}

/// How many readings the items of the devices called `plant/{beginning}…` hold, by device.
fn stored(ingest: &Ingest, beginning: &str) -> BTreeMap<String, u64> {
    let mut devices = BTreeMap::new();
    for item in ingest.aws.items(READINGS) {
        let device = item["device"]["S"].as_str().unwrap().to_owned();
        if device.starts_with(&format!("plant/{beginning}")) {
            *devices.entry(device).or_default() += item["n"]["N"].as_str().unwrap().parse::<u64>().unwrap();
        }
    }
    devices
}

/// How many readings all items hold.
fn stored_in_all(aws: &Handle) -> u64 {
    aws.items(READINGS).iter().map(|item| item["n"]["N"].as_str().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn what_expands_to_more_than_memory_holds_is_stored_in_chunks() {
    let event = sqs(&among(poisonous(250), good(100)));
    let mut ingest = Ingest::start_within(MEMORY).await.unwrap();
    let began = Instant::now();
    let answer = ingest.invoke(&event, Duration::from_secs(600)).await.unwrap();
    assert_eq!(answer, all_well());
    let counts = ingest.counts(1).await.unwrap();
    assert_eq!(counts, Counts { received: 350, stored: 350, ..Counts::default() });
    let line = metrics(&ingest.function, 1).await.unwrap();
    assert_eq!(line["Readings"], 250 * 10_000 + 100, "{line}");
    let peak = ingest.function.peak_memory().unwrap() / 1_000_000;
    println!("peak {peak} MB, {:?}", began.elapsed());
    assert!(peak < PEAK, "{peak} MB at most");
    assert_eq!(stored(&ingest, "good-").values().sum::<u64>(), 100);
    assert_eq!(stored(&ingest, "flood").values().sum::<u64>(), 125 * 10_000);
    assert!(stored(&ingest, "bad-").values().all(|readings| *readings == 10_000));
    assert_eq!(ingest.devices().unwrap().len(), 100 + 125 + 1);
}

#[tokio::test]
async fn readings_that_make_a_span_each_stay_within_memory_too() {
    // A month, a quarter of an hour apart: what costs most for each reading.
    let records: Vec<String> =
        (0..2_880).map(|n| format!(r#"{{"ts":{},"a":1}}"#, RECEIVED / 1_000 - 900 * n)).collect();
    let payload = gzip(&format!("[{}]", records.join(",")));
    let bodies: Vec<String> =
        (0..70).map(|n| envelope(&format!("plant/month-{n}"), RECEIVED + n, &payload)).collect();
    let mut ingest = Ingest::start_within(MEMORY).await.unwrap();
    let answer = ingest.invoke(&sqs(&bodies), Duration::from_secs(600)).await.unwrap();
    assert_eq!(answer, all_well());
    let peak = ingest.function.peak_memory().unwrap() / 1_000_000;
    println!("peak {peak} MB");
    assert!(peak < PEAK, "{peak} MB at most");
    assert_eq!(stored(&ingest, "month-").values().sum::<u64>(), 70 * 2_880);
    assert_eq!(ingest.aws.items(READINGS).len(), 70 * 2_880);
}

#[tokio::test]
async fn nodes_that_are_read_at_one_time_share_the_room_of_a_chunk() {
    const NODES: i64 = 8;
    const MESSAGES: i64 = 4;
    const TEMPERATURES: i64 = 5_000;
    let mut nodes: Vec<EdgeNode> = (0..NODES).map(|n| EdgeNode::new("plant", &format!("node-{n}"))).collect();
    let births = nodes.iter_mut().flat_map(|node| node.births(RECEIVED));
    let births: Vec<String> = births.zip(RECEIVED..).map(|(birth, at)| birth.envelope(at)).collect();
    let mut ingest = Ingest::start().await.unwrap();
    let all_is_done = all_well();
    assert_eq!(ingest.invoke(&sqs(&births), Duration::from_secs(60)).await.unwrap(), all_is_done);
    let of_births = stored_in_all(&ingest.aws);
    // What is known of the nodes is to be loaded, of all of them before any message is read.
    ingest.restart().await.unwrap();
    ingest.aws.set_latency(Operation::Query, Duration::from_millis(200));
    let mut event = Vec::new();
    for number in 1..=MESSAGES {
        let messages = (RECEIVED + number * 10_000..).zip(&mut nodes);
        event.extend(messages.map(|(at, node)| temperatures(node, TEMPERATURES, at).envelope(at)));
    }
    // A chunk stores what it has learned of its nodes before its readings, and those before the next chunk begins.
    let before_chunks = Arc::new(Mutex::new(BTreeSet::new()));
    for nth in 1..=100 {
        let before_chunks = Arc::clone(&before_chunks);
        ingest.aws.after_next(Operation::PutItem, nth, move |aws| {
            before_chunks.lock().unwrap().insert(stored_in_all(aws));
        });
    }
    assert_eq!(ingest.invoke(&sqs(&event), Duration::from_secs(120)).await.unwrap(), all_is_done);
    let mut ends = before_chunks.lock().unwrap().clone();
    ends.insert(stored_in_all(&ingest.aws));
    let ends: Vec<u64> = ends.into_iter().collect();
    let chunks: Vec<u64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let bound = 40_000 + TEMPERATURES.unsigned_abs();
    assert!(chunks.iter().all(|readings| *readings <= bound), "{chunks:?}");
    assert_eq!(ends[0], of_births);
    assert_eq!(chunks.iter().sum::<u64>(), (NODES * MESSAGES * TEMPERATURES).unsigned_abs());
    let peak = ingest.function.peak_memory().unwrap() / 1_000_000;
    println!("chunks of {chunks:?}, peak {peak} MB");
    assert!(peak < PEAK, "{peak} MB at most");
}

#[tokio::test]
async fn what_is_slow_to_read_delays_no_other_device_and_is_redelivered() {
    let event = sqs(&among(poisonous(5_000), good(100)));
    let mut ingest = Ingest::start_within(MEMORY).await.unwrap();
    let deadline = Duration::from_secs(15);
    let began = Instant::now();
    let answer = ingest.invoke(&event, deadline).await.unwrap().unwrap();
    println!("answered after {:?} of {deadline:?}", began.elapsed());
    assert!(began.elapsed() < deadline - Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(stored(&ingest, "good-").len(), 100, "all that is quick to read");
    let failed: BTreeSet<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap())
        .collect();
    let Counts { received, stored, quarantined, ignored, handed_back } = ingest.counts(1).await.unwrap();
    assert_eq!(received, 5_100);
    assert_eq!((stored + handed_back, quarantined, ignored), (received, 0, 0));
    assert_eq!(failed.len() as u64, handed_back);
    assert!(handed_back > 1_000, "{handed_back} of {received} did not fit in time");
}
