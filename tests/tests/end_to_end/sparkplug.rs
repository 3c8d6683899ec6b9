//! An edge node that speaks Sparkplug, over mutual TLS.

use std::time::{Duration, Instant};

use telemetry::Reading;
use tests::sparkplug::EdgeNode;

use crate::stack::{PATIENCE, Stack, now};

fn values(readings: &[Reading], metric: &str) -> Vec<String> {
    let of_metric = readings.iter().filter(|reading| &*reading.metric == metric);
    of_metric.map(|reading| reading.value.to_string()).collect()
}

async fn wait_for(stack: &Stack, device: &str, metric: &str, expected: &[&str]) {
    let started = Instant::now();
    loop {
        let found = values(&stack.readings(device).await, metric);
        if found == expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{metric} of {device} is {found:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_node_that_nobody_knows_is_asked_for_its_births_and_then_read() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect_node("line").await;
    let (site, name) = device.split_once('/').unwrap();
    let mut node = EdgeNode::new(site, name);
    // It was born before anybody listened here.
    let at = now().0 / 1_000;
    let _unheard = node.births(at - 60_000);
    let command = format!("spBv1.0/{site}/NCMD/{name}");
    connection.subscribe(&command).await.unwrap();
    let message = node.temperature(1.0, at);
    connection.publish(&message.topic, &message.payload).await.unwrap();
    let request = connection.receive(PATIENCE).await.expect("it is asked");
    assert_eq!(request.topic, command);
    assert!(request.payload.windows(20).any(|window| window == b"Node Control/Rebirth"));

    let at = now().0 / 1_000;
    for message in node.births(at) {
        connection.publish(&message.topic, &message.payload).await.unwrap();
    }
    let pump = format!("{device}::pump");
    wait_for(&stack, &device, "Temperature", &["20.5"]).await;
    wait_for(&stack, &pump, "Speed", &["900"]).await;
    let messages = [node.temperature(21.5, at + 1), node.speed(60.0, at + 2), node.temperature(22.5, at + 3)];
    for message in &messages {
        connection.publish(&message.topic, &message.payload).await.unwrap();
    }
    wait_for(&stack, &device, "Temperature", &["20.5", "21.5", "22.5"]).await;
    wait_for(&stack, &pump, "Speed", &["900", "60"]).await;
    let will = node.will();
    connection.publish(&will.topic, &will.payload).await.unwrap();
    wait_for(&stack, &pump, "sparkplug.online", &["true", "false"]).await;
    let lines = stack.quarantined(name).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["code"], "sparkplug_unborn");
}
