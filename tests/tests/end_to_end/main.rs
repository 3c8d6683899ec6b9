//! End to end on the local cloud: real devices over mutual TLS, the real template, the real binary.
//!
//! Needs a local cloud, which `make test` brings up and names in `TIDEGATE_CLOUD`; after `make up`,
//! `TIDEGATE_CLOUD=.local/cloud/cloud.json cargo nextest run -p tests` does as well. Each test has
//! devices of its own, so the tests share the one stack.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod alerts;
mod lake;
mod layouts;
mod sparkplug;
mod stack;

use std::time::{Duration, Instant};

use cloud::devices::Devices;
use cloud::retry::Deadline;
use cloud::sdk::kinesis;
use serde_json::json;
use telemetry::Reading;
use tests::events::envelope;
use tidegate::fleet::{Connection, register};

use crate::stack::{PATIENCE, Stack, now};

fn seqs(readings: &[Reading]) -> Vec<i64> {
    let seqs = readings.iter().filter(|reading| &*reading.metric == "seq");
    let mut seqs: Vec<i64> = seqs.map(|reading| reading.value.to_string().parse().unwrap()).collect();
    seqs.sort_unstable();
    seqs
}

/// A payload at a time of its own, even when several are made in one millisecond: readings of one
/// metric and time would be one reading.
fn payload(seq: i64) -> String {
    json!({"ts": now().0 / 1_000 + seq, "seq": seq, "temperature": 20.0 + seq as f64 / 4.0, "on": true})
        .to_string()
}

#[tokio::test]
async fn telemetry_over_mutual_tls_becomes_readings() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("batched").await;
    for seq in 0..30 {
        connection.publish(&format!("dt/{device}/state"), payload(seq).as_bytes()).await.unwrap();
    }
    connection.close().await;
    let readings = stack.wait_for_seqs(&device, &(0..30).collect::<Vec<_>>()).await;
    assert_eq!(readings.len(), 90);
    let mut temperatures = readings.iter().filter(|reading| &*reading.metric == "temperature");
    assert_eq!(temperatures.next_back().unwrap().value.to_string(), "27.25");
    let devices = Devices::new(stack.clients.dynamodb.clone(), &stack.outputs["DevicesTableName"]);
    let states = devices.list(Deadline::after(PATIENCE)).await.unwrap();
    let state = states.iter().find(|state| state.device.as_str() == device).unwrap();
    assert_eq!(state.metrics["seq"].value.to_string(), "29", "the latest of each metric");
    assert_eq!(state.metrics.len(), 3);
}

#[tokio::test]
async fn urgent_telemetry_goes_through_the_direct_rule() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("urgent").await;
    for seq in 0..5 {
        connection.publish(&format!("dt/{device}/urgent"), payload(seq).as_bytes()).await.unwrap();
    }
    connection.publish(&format!("dt/{device}/urgent"), b"{broken").await.unwrap();
    let name = device.rsplit('/').next().unwrap();
    stack.wait_for_seqs(&device, &[0, 1, 2, 3, 4]).await;
    let started = Instant::now();
    while stack.quarantined(name).await.len() != 1 {
        assert!(started.elapsed() < PATIENCE, "the broken message is not in quarantine");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn basic_ingest_reaches_the_same_rule() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("basic").await;
    let topic = format!("$aws/rules/{}/dt/{device}/state", stack.outputs["TelemetryRuleName"]);
    for seq in 0..3 {
        connection.publish(&topic, payload(seq).as_bytes()).await.unwrap();
    }
    stack.wait_for_seqs(&device, &[0, 1, 2]).await;
}

#[tokio::test]
async fn poison_among_good_messages_is_kept_whole_and_harms_none() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("poison").await;
    let topic = format!("dt/{device}/state");
    let poison: [&[u8]; 5] = [b"", b"\xff\xfe", br#"{"seq": 1"#, br#"{"seq": NaN}"#, b"[[[[[[[[[[[[[[[[[["];
    for (seq, bad) in (0..).zip(poison) {
        connection.publish(&topic, payload(seq).as_bytes()).await.unwrap();
        connection.publish(&topic, bad).await.unwrap();
    }
    stack.wait_for_seqs(&device, &[0, 1, 2, 3, 4]).await;
    let name = device.rsplit('/').next().unwrap();
    let started = Instant::now();
    let lines = loop {
        let lines = stack.quarantined(name).await;
        if lines.len() == poison.len() {
            break lines;
        }
        assert!(started.elapsed() < PATIENCE, "in quarantine: {lines:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for bad in poison {
        let encoded = base64_simd::STANDARD.encode_to_string(bad);
        let line = lines.iter().find(|line| line["payload"] == encoded.as_str());
        let line = line.unwrap_or_else(|| panic!("{encoded} is not among {lines:?}"));
        assert_eq!(line["topic"], topic.as_str());
    }
}

#[tokio::test]
async fn delivered_twice_nothing_doubles() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("twice").await;
    // As a broker or a device repeats a message of QoS 1 …
    let payloads: Vec<String> = (0..4).map(payload).collect();
    for payload in payloads.iter().chain(&payloads) {
        connection.publish(&format!("dt/{device}/state"), payload.as_bytes()).await.unwrap();
    }
    // … and as the queue delivers again, in other batches and another order.
    let queue = stack.sqs().await;
    let received = now().0 / 1_000;
    let bodies: Vec<String> =
        (4..8).map(|seq| envelope(&device, received + seq, payload(seq).as_bytes())).collect();
    for body in bodies.iter().chain(bodies.iter().rev()) {
        let send = queue.send_message().queue_url(&stack.outputs["TelemetryQueueUrl"]).message_body(body);
        send.send().await.unwrap();
    }
    let readings = stack.wait_for_seqs(&device, &(0..8).collect::<Vec<_>>()).await;
    assert_eq!(readings.len(), 24);
    // Nothing comes late that would double them.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stack.readings(&device).await, readings);
}

#[tokio::test]
async fn a_device_cannot_connect_without_its_certificate_key() {
    let stack = Stack::open().await;
    let mut broker = stack.cloud.broker().unwrap();
    let name = format!("stranger-{}", now().0);
    let mut device =
        register(&stack.clients.iot, &[&stack.outputs["DevicePolicyName"]], "lab", &name).await.unwrap();
    let other =
        register(&stack.clients.iot, &[&stack.outputs["DevicePolicyName"]], "lab", &format!("{name}-2"))
            .await
            .unwrap();
    device.key = other.key;
    assert!(Connection::open(&broker, &device).await.is_err(), "another device's key");
    // A client trusts only the broker's own authority.
    broker.ca = device.certificate.clone();
    device.key = String::new();
    assert!(Connection::open(&broker, &device).await.is_err(), "another authority");
}

#[tokio::test]
async fn records_of_a_kinesis_stream_become_readings() {
    let mut stack = Stack::open().await;
    // The same build and template, with the other buffer, as a second stack.
    stack.deploy("tidegate-kinesis", &[("Stage", "kinesis"), ("Buffer", "kinesis")]).await;
    let device = format!("lab/stream-{}", now().0);
    let stream = stack.kinesis().await;
    let received = now().0 / 1_000;
    let mut bodies: Vec<String> =
        (0..20).map(|seq| envelope(&device, received + seq, payload(seq).as_bytes())).collect();
    bodies.insert(7, "poison".to_owned());
    for body in &bodies {
        let put =
            stream.put_record().stream_name(&stack.outputs["TelemetryStreamName"]).partition_key("device");
        put.data(kinesis::primitives::Blob::new(body.as_bytes())).send().await.unwrap();
    }
    stack.wait_for_seqs(&device, &(0..20).collect::<Vec<_>>()).await;
}
