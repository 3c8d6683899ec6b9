//! The function `ingest` as a process, with Sparkplug: what is known of a node outlives processes, is shared by them, and
//! what cannot be read makes the node say it again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::json;
use tests::events::{RECEIVED, envelope, kinesis, sqs};
use tests::fake_aws::{Fault, Operation};
use tests::functions::{all_well, metrics};
use tests::ingest::{CONFIG, Ingest};
use tests::sparkplug::{EdgeNode, Message};

const ENOUGH: Duration = Duration::from_secs(30);

const PATIENT: [(&str, &str); 1] = [("TIDEGATE_SPARKPLUG_REORDER_SECONDS", "30")];

async fn start_patient() -> Ingest {
    Ingest::start_with(&PATIENT).await.unwrap()
}

/// Messages that arrive a second apart, the first at [`RECEIVED`] plus so many seconds.
fn envelopes(from: i64, messages: &[Message]) -> Vec<String> {
    messages.iter().zip(from..).map(|(message, second)| message.envelope(RECEIVED + second * 1_000)).collect()
}

async fn stores_all(ingest: &mut Ingest, event: &str) {
    assert_eq!(ingest.invoke(event, ENOUGH).await.unwrap(), all_well());
}

/// Each stored reading but of who is there, as `device metric value unit`.
fn stored(ingest: &Ingest) -> Vec<String> {
    let readings = ingest.readings().unwrap();
    let readings = readings.iter().filter(|reading| &*reading.metric != "sparkplug.online");
    let word = |reading: &telemetry::Reading| {
        let unit = reading.unit.as_ref().map_or("-", |unit| unit.as_str());
        format!("{} {} {} {unit}", reading.device, reading.metric, reading.value)
    };
    readings.map(word).collect()
}

fn codes(ingest: &Ingest) -> Vec<String> {
    let lines = ingest.quarantined().unwrap();
    let mut codes: Vec<_> = lines.iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    codes
}

fn now_millis() -> i64 {
    // Requests are at most one a minute by the clock of the function, which is the machine's.
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

#[tokio::test]
async fn births_outlive_the_process_that_read_them() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let births = node.births(RECEIVED);
    stores_all(&mut ingest, &sqs(&envelopes(0, &births))).await;
    ingest.restart().await.unwrap();
    let data = [node.temperature(21.5, RECEIVED + 2_000), node.speed(60.0, RECEIVED + 3_000)];
    stores_all(&mut ingest, &kinesis(&envelopes(2, &data))).await;
    let expected = [
        "plant/line-3 Temperature 20.5 Cel",
        "plant/line-3 Temperature 21.5 Cel",
        "plant/line-3::pump Speed 900 1/min",
        "plant/line-3::pump Speed 60 1/min",
    ];
    assert_eq!(stored(&ingest), expected);
    assert!(codes(&ingest).is_empty());
    stores_all(&mut ingest, &sqs(&envelopes(9, &[node.will()]))).await;
    let devices = ingest.devices().unwrap();
    let is_online = |device: &telemetry::Latest| {
        let online = device.metrics.values().find(|reading| &*reading.metric == "sparkplug.online");
        online.map(|reading| reading.value.to_string())
    };
    assert!(devices.iter().all(|device| is_online(device).as_deref() == Some("false")), "{devices:?}");
    assert_eq!(devices.len(), 2);
}

#[tokio::test]
async fn whatever_the_order_in_the_queue_all_is_read_and_nothing_doubles() {
    let mut ingest = start_patient().await;
    let mut node = EdgeNode::new("plant", "line-3");
    let mut messages = node.births(RECEIVED).to_vec();
    messages.extend((2..20).map(|second| node.temperature(second as f64, RECEIVED + second * 1_000)));
    let envelopes = envelopes(0, &messages);
    let every_second = |from: usize| envelopes[2..].iter().skip(from).step_by(2).cloned().collect::<Vec<_>>();
    let reversed: Vec<String> = envelopes[..4].iter().rev().cloned().collect();
    for batch in [reversed, every_second(1), every_second(0), envelopes[..9].to_vec()] {
        stores_all(&mut ingest, &sqs(&batch)).await;
        ingest.restart_with(&PATIENT).await.unwrap();
    }
    assert_eq!(stored(&ingest).len(), 1 + 18 + 1);
    assert_eq!(codes(&ingest), Vec::<String>::new());
    assert!(ingest.aws.published().is_empty(), "no birth was missed");
}

#[tokio::test]
async fn a_gap_quarantines_and_asks_once_a_minute_until_the_node_is_born_again() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let mut messages = node.births(RECEIVED).to_vec();
    messages.push(node.temperature(1.0, RECEIVED));
    let _lost = node.temperature(2.0, RECEIVED);
    messages.push(node.temperature(3.0, RECEIVED));
    messages.push(node.temperature(4.0, RECEIVED));
    let before = now_millis();
    stores_all(&mut ingest, &kinesis(&envelopes(0, &messages))).await;
    assert_eq!(codes(&ingest), ["sparkplug_gap", "sparkplug_gap"]);
    let published = ingest.aws.published();
    assert_eq!(published.len(), 1);
    assert_eq!(
        (published[0].topic.as_str(), published[0].qos, published[0].retain),
        ("spBv1.0/plant/NCMD/line-3", 0, false)
    );
    // Read by its bytes: a time, then a metric of that name which is true.
    let command = &published[0].payload;
    assert!(command.windows(20).any(|window| window == b"Node Control/Rebirth"), "{command:?}");
    assert_eq!(command[command.len() - 2..], [14 << 3, 1]);
    assert!(now_millis() - before < 50_000, "the machine is too slow for a minute to be one");
    let line = metrics(&ingest.function, 1).await.unwrap();
    assert_eq!(line["RebirthRequests"], 1, "{line}");
    // The minute is kept in the table, not in a process.
    ingest.restart().await.unwrap();
    let more = [node.temperature(5.0, RECEIVED)];
    stores_all(&mut ingest, &kinesis(&envelopes(5, &more))).await;
    assert_eq!(ingest.aws.published().len(), 1);
    let births = node.births(RECEIVED + 6_000);
    stores_all(&mut ingest, &kinesis(&envelopes(6, &births))).await;
    let data = [node.temperature(7.0, RECEIVED + 8_000)];
    stores_all(&mut ingest, &kinesis(&envelopes(8, &data))).await;
    assert_eq!(codes(&ingest).len(), 3);
    assert!(stored(&ingest).contains(&"plant/line-3 Temperature 7 Cel".to_owned()));
}

#[tokio::test]
async fn two_processes_share_what_they_know() {
    let mut one = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let births = node.births(RECEIVED);
    stores_all(&mut one, &sqs(&envelopes(0, &births))).await;
    // The other process has known the node since its first births, and not that it was born again.
    let mut other = one.beside().await.unwrap();
    let first = [node.temperature(1.0, RECEIVED + 2_000)];
    assert_eq!(other.invoke(&sqs(&envelopes(2, &first)), ENOUGH).await.unwrap(), all_well());
    let births = node.births(RECEIVED + 3_000);
    stores_all(&mut one, &sqs(&envelopes(3, &births))).await;
    for round in 0..4 {
        let at = 5 + 2 * round;
        let data = [node.temperature(2.0, RECEIVED + at * 1_000)];
        stores_all(&mut one, &sqs(&envelopes(at, &data))).await;
        let data = [node.speed(3.0, RECEIVED + (at + 1) * 1_000)];
        let answer = other.invoke(&sqs(&envelopes(at + 1, &data)), ENOUGH).await.unwrap();
        assert_eq!(answer, all_well());
    }
    assert!(codes(&one).is_empty(), "{:?}", codes(&one));
    assert_eq!(stored(&one).len(), 2 + 1 + 2 + 8);
}

#[tokio::test]
async fn a_birth_that_another_process_is_about_to_store_is_waited_for() {
    let mut one = Ingest::start().await.unwrap();
    let mut other = one.beside().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let [birth, device_birth] = node.births(RECEIVED);
    let late = sqs(&envelopes(1, &[device_birth, node.temperature(1.0, RECEIVED + 2_000)]));
    let waiting = other.invoke(&late, ENOUGH);
    let birth = sqs(&envelopes(0, &[birth]));
    let coming = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        one.invoke(&birth, ENOUGH).await
    };
    let (waited, came) = tokio::join!(waiting, coming);
    assert_eq!(waited.unwrap(), all_well());
    assert_eq!(came.unwrap(), all_well());
    assert!(codes(&one).is_empty(), "{:?}", codes(&one));
    assert_eq!(stored(&one).len(), 3);
    assert!(one.aws.published().is_empty());
}

#[tokio::test]
async fn what_a_process_remembers_is_doubted_before_a_message_is_refused_or_passed_over() {
    let mut one = Ingest::start().await.unwrap();
    let mut other = one.beside().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let births = node.births(RECEIVED);
    assert_eq!(other.invoke(&kinesis(&envelopes(0, &births)), ENOUGH).await.unwrap(), all_well());
    let births = node.births(RECEIVED + 2_000);
    stores_all(&mut one, &kinesis(&envelopes(2, &births))).await;
    // The other process knows nothing of the session that this is of, and nothing of its end.
    let data = kinesis(&envelopes(4, &[node.temperature(1.0, RECEIVED + 4_000)]));
    assert_eq!(other.invoke(&data, ENOUGH).await.unwrap(), all_well());
    let births = node.births(RECEIVED + 5_000);
    stores_all(&mut one, &kinesis(&envelopes(5, &births))).await;
    let will = kinesis(&envelopes(7, &[node.will()]));
    assert_eq!(other.invoke(&will, ENOUGH).await.unwrap(), all_well());
    assert!(codes(&one).is_empty(), "{:?}", codes(&one));
    assert!(one.aws.published().is_empty());
    let readings = one.readings().unwrap();
    let offline = readings.iter().filter(|reading| reading.value.to_string() == "false");
    assert_eq!(offline.count(), 2, "of the node and of its device");
}

#[tokio::test]
async fn births_that_no_session_has_any_more_are_removed() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    for session in 0..6 {
        let births = node.births(RECEIVED + session * 2_000);
        stores_all(&mut ingest, &kinesis(&envelopes(session * 2, &births))).await;
    }
    let names: Vec<_> = ingest.aws.items(CONFIG).iter().map(|item| item["name"]["S"].to_string()).collect();
    assert_eq!(names.len(), 1 + 4 * 2, "{names:?}");
}

#[tokio::test]
async fn without_what_is_known_of_a_node_its_messages_come_again_and_nobody_elses() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let births = envelopes(0, &node.births(RECEIVED));
    for operation in [Operation::Query, Operation::PutItem] {
        // The profiles have been read.
        ingest.invoke(&sqs(&[]), ENOUGH).await.unwrap().unwrap();
        ingest.aws.fail_next(operation, Fault::Throttle, 1_000);
        let other = envelope("plant/pump-7", RECEIVED, br#"{"t": 1}"#);
        let event = sqs(&[&births[..], &[other]].concat());
        let answer = ingest.invoke(&event, Duration::from_secs(3)).await.unwrap().unwrap();
        let failures = json!([{"itemIdentifier": "m-0"}, {"itemIdentifier": "m-1"}]);
        assert_eq!(answer["batchItemFailures"], failures, "and not the other's");
        assert_eq!(stored(&ingest), ["plant/pump-7 t 1 -"]);
        ingest.aws.clear_faults();
    }
    stores_all(&mut ingest, &sqs(&births)).await;
    assert_eq!(stored(&ingest).len(), 3);
}

#[tokio::test]
async fn killed_after_the_nodes_state_is_stored_the_messages_come_again_and_are_read() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let mut messages = node.births(RECEIVED).to_vec();
    messages.push(node.temperature(1.0, RECEIVED + 2_000));
    messages.extend(node.births(RECEIVED + 3_000));
    messages.push(node.temperature(2.0, RECEIVED + 5_000));
    messages.extend(node.births(RECEIVED + 6_000));
    messages.push(node.speed(3.0, RECEIVED + 8_000));
    let event = sqs(&envelopes(0, &messages));
    // No reading can be written until the deadline, and the process dies.
    ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, 10_000);
    let answer = ingest.invoke(&event, Duration::from_secs(3)).await.unwrap().unwrap();
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(9));
    ingest.aws.clear_faults();
    ingest.restart().await.unwrap();
    stores_all(&mut ingest, &event).await;
    assert_eq!(stored(&ingest).len(), 9, "{:?}", stored(&ingest));
    assert!(codes(&ingest).is_empty());
}

#[tokio::test]
async fn what_is_stored_of_a_node_and_cannot_be_read_is_begun_anew() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut node = EdgeNode::new("plant", "line-3");
    let births = node.births(RECEIVED);
    stores_all(&mut ingest, &sqs(&envelopes(0, &births))).await;
    let mut item = ingest.aws.items(CONFIG).into_iter().find(|item| item["name"]["S"] == "state").unwrap();
    item["document"] = json!({"S": "{"});
    ingest.aws.put_item(CONFIG, item).unwrap();
    ingest.restart().await.unwrap();
    let data = [node.temperature(1.0, RECEIVED)];
    stores_all(&mut ingest, &sqs(&envelopes(2, &data))).await;
    assert_eq!(codes(&ingest), ["sparkplug_unborn"]);
    assert_eq!(ingest.aws.published().len(), 1);
    let births = node.births(RECEIVED + 3_000);
    stores_all(&mut ingest, &sqs(&envelopes(3, &births))).await;
    let data = [node.temperature(2.0, RECEIVED + 5_000)];
    stores_all(&mut ingest, &sqs(&envelopes(5, &data))).await;
    assert_eq!(codes(&ingest).len(), 1);
}
