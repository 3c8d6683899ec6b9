//! The function `ingest` as a process: every trigger, every kind of fault, nothing lost and nothing doubled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tests::events::{RECEIVED, envelope, kafka, kinesis, sqs};
use tests::fake_aws::{Fault, Operation, Pick, StatementFault};
use tests::functions::all_well;
use tests::ingest::{Counts, Ingest, READINGS};

const SECONDS: Duration = Duration::from_secs(1);
const ENOUGH: Duration = Duration::from_secs(30);

/// `count` messages of 20 devices, four readings each, all different.
fn messages(count: i64) -> Vec<String> {
    (0..count)
        .map(|n| {
            let payload = json!({"ts": RECEIVED - 1_000 + n, "seq": n, "temperature": 20.5, "ok": true, "mode": "auto"});
            envelope(&format!("plant/pump-{}", n % 20), RECEIVED + n, payload.to_string().as_bytes())
        })
        .collect()
}

fn failed_ids(answer: &Result<Value, String>) -> BTreeSet<String> {
    let failures = answer.as_ref().unwrap()["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

fn assert_adds_up(counts: Counts) {
    let Counts { received, stored, quarantined, ignored, handed_back } = counts;
    assert_eq!(received, stored + quarantined + ignored + handed_back, "{counts:?}");
}

/// The `seq` of every stored reading of that metric, in order.
fn stored_seqs(ingest: &Ingest) -> Vec<i64> {
    let readings = ingest.readings().unwrap();
    let seqs = readings.iter().filter(|reading| &*reading.metric == "seq");
    let mut seqs: Vec<i64> = seqs.map(|reading| reading.value.to_string().parse().unwrap()).collect();
    seqs.sort_unstable();
    seqs
}

#[tokio::test]
async fn every_trigger_stores_the_same_readings() {
    let bodies = messages(60);
    let mut outcomes = Vec::new();
    for event in [sqs(&bodies), kinesis(&bodies), kafka(&bodies, true), kafka(&bodies, false)] {
        let mut ingest = Ingest::start().await.unwrap();
        assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
        let counts = ingest.counts(1).await.unwrap();
        assert_eq!(counts, Counts { received: 60, stored: 60, ..Counts::default() });
        outcomes.push((ingest.aws.items(READINGS), ingest.devices().unwrap()));
    }
    let mut ingest = Ingest::start().await.unwrap();
    for body in &bodies {
        assert_eq!(ingest.invoke(body, ENOUGH).await.unwrap(), all_well());
    }
    assert_eq!(ingest.readings().unwrap().len(), 240);
    assert_eq!(ingest.devices().unwrap(), outcomes[0].1, "one by one through the rule");
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "the same items whatever the trigger");
    assert_eq!(outcomes[0].1.len(), 20);
}

#[tokio::test]
async fn delivered_again_in_other_batches_and_orders_nothing_doubles() {
    let bodies = messages(50);
    let mut ingest = Ingest::start().await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    let (items, readings, devices) =
        (ingest.aws.items(READINGS), ingest.readings().unwrap(), ingest.devices().unwrap());
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_eq!(ingest.aws.items(READINGS), items, "the same batch makes the same items");
    let reversed: Vec<String> = bodies.iter().rev().cloned().collect();
    for part in [&reversed[..7], &reversed[5..30], &bodies[10..], &bodies[..1]] {
        assert_eq!(ingest.invoke(&sqs(part), ENOUGH).await.unwrap(), all_well());
    }
    assert_eq!(ingest.readings().unwrap(), readings);
    assert_eq!(ingest.devices().unwrap(), devices);
}

#[tokio::test]
async fn a_duplicate_of_the_broker_is_one_reading() {
    let payload = br#"{"ts": 1795417199000, "seq": 1}"#;
    let mut ingest = Ingest::start().await.unwrap();
    let bodies = [envelope("plant/a", RECEIVED, payload), envelope("plant/a", RECEIVED + 3_000, payload)];
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_eq!(
        ingest.invoke(&envelope("plant/a", RECEIVED + 9_000, payload), ENOUGH).await.unwrap(),
        all_well()
    );
    assert_eq!(stored_seqs(&ingest), [1]);
}

#[tokio::test]
async fn poison_among_good_messages_harms_none_of_them() {
    let bad: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\xff\xfe{".to_vec(),
        br#"{"temperature": 22.5, "hum"#.to_vec(),
        format!(r#"{{"a": {}"#, "[".repeat(128 * 1024 - 6)).into_bytes(),
        "[".repeat(128 * 1024).into_bytes(),
        format!(r#"{{"a": {}}}"#, "9".repeat(100_000)).into_bytes(),
        br#"{"temperature": NaN}"#.to_vec(),
        format!(r#"{{"{}": 1}}"#, "n".repeat(10 * 1024)).into_bytes(),
        vec![b' '; 200 * 1024],
        br#"{"temperature": null}"#.to_vec(),
    ];
    let mut bodies = messages(20);
    bodies.extend(bad.iter().zip(0..).map(|(payload, n)| envelope("plant/bad", RECEIVED + 100 + n, payload)));
    bodies.push(envelope("elsewhere", RECEIVED, br#"{"a": 1}"#));
    bodies.push(json!({"topic": "dt/plant/a/state", "received": RECEIVED}).to_string());
    bodies.push(
        json!({"payload": "not base64!", "topic": "dt/plant/a/state", "received": RECEIVED}).to_string(),
    );
    bodies.push("no envelope at all".to_owned());
    let bad_count = bodies.len() as u64 - 20;
    let mut ingest = Ingest::start().await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    let counts = ingest.counts(1).await.unwrap();
    let expected =
        Counts { received: 20 + bad_count, stored: 20, quarantined: bad_count, ..Counts::default() };
    assert_eq!(counts, expected);
    assert_eq!(stored_seqs(&ingest), (0..20).collect::<Vec<_>>());
    let lines = ingest.quarantined().unwrap();
    assert_eq!(lines.len() as u64, bad_count);
    let kept: BTreeSet<Vec<u8>> = lines
        .iter()
        .filter_map(|line| base64_simd::STANDARD.decode_to_vec(line["payload"].as_str()?).ok())
        .collect();
    for payload in &bad {
        assert!(kept.contains(payload), "{} bytes are not kept whole", payload.len());
    }
    for line in &lines {
        assert!(line["reason"].as_str().unwrap().split(' ').count() > 3, "{line}");
    }
}

#[tokio::test]
async fn throttled_for_the_whole_invocation_everything_is_handed_back() {
    let bodies = messages(40);
    let mut ingest = Ingest::start().await.unwrap();
    ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, u64::MAX);
    let answer = ingest.invoke(&sqs(&bodies), 3 * SECONDS).await.unwrap();
    assert_eq!(failed_ids(&answer).len(), 40);
    let counts = ingest.counts(1).await.unwrap();
    assert_eq!(counts, Counts { received: 40, handed_back: 40, ..Counts::default() });
    assert!(ingest.aws.counters(Operation::BatchWriteItem).requests > 3, "it has tried again meanwhile");
    assert_eq!(
        ingest.aws.counters(Operation::BatchExecuteStatement).requests,
        0,
        "no state without its readings"
    );
    ingest.aws.clear_faults();
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_eq!(stored_seqs(&ingest), (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_hangs_is_handed_back_before_lambda_ends_the_function() {
    let bodies = messages(40);
    for (hanging, stored) in [(Operation::BatchWriteItem, 0), (Operation::BatchExecuteStatement, 40)] {
        let mut ingest = Ingest::start().await.unwrap();
        ingest.aws.set_latency(hanging, 60 * SECONDS);
        let answer = ingest.invoke(&sqs(&bodies), 3 * SECONDS).await.unwrap();
        assert_eq!(failed_ids(&answer).len(), 40, "{hanging:?}");
        assert_eq!(stored_seqs(&ingest).len(), stored);
    }
}

#[tokio::test]
async fn two_writers_of_one_device_lose_nothing() {
    // Every update is overtaken once or more, as if another function wrote the same devices all the time.
    let mut ingest = Ingest::start().await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&messages(20)), ENOUGH).await.unwrap(), all_well());
    ingest.aws.fail_statements(Pick::EveryKth(2), StatementFault::ConditionalCheckFailed);
    let bodies: Vec<String> = messages(60).split_off(20);
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    let latest: BTreeSet<String> =
        ingest.devices().unwrap().iter().map(|state| state.metrics["seq"].value.to_string()).collect();
    assert_eq!(latest, (40..60).map(|seq| seq.to_string()).collect());
}

#[tokio::test]
async fn a_message_of_thousands_of_metrics_is_stored_whole() {
    let values: Vec<String> = (0..9_000).map(|n| format!(r#""m{n:04}": {n}"#)).collect();
    let mut ingest = Ingest::start().await.unwrap();
    for _ in 0..2 {
        assert_eq!(ingest.invoke(&sqs(&[at(1, &values.join(","))]), ENOUGH).await.unwrap(), all_well());
    }
    assert_eq!(ingest.readings().unwrap().len(), 9_000);
    assert!(ingest.devices().unwrap()[0].metrics.len() > 1_000, "as many latest values as an item holds");
}

#[tokio::test]
async fn a_throttled_rule_invocation_fails_so_that_lambda_invokes_again() {
    let mut ingest = Ingest::start().await.unwrap();
    ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, u64::MAX);
    let message = &messages(1)[0];
    assert_eq!(ingest.invoke(message, 2 * SECONDS).await.unwrap(), Err("Tidegate.NotStored".to_owned()));
    assert_adds_up(ingest.counts(1).await.unwrap());
    ingest.aws.clear_faults();
    assert_eq!(ingest.invoke(message, ENOUGH).await.unwrap(), all_well());
    assert_eq!(stored_seqs(&ingest), [0]);
}

#[tokio::test]
async fn what_is_left_unprocessed_is_pooled_and_written() {
    // 300 devices, so 300 spans: 12 requests if nothing is left.
    let payload = |n: i64| json!({"ts": RECEIVED, "seq": n}).to_string();
    let bodies: Vec<String> =
        (0..300).map(|n| envelope(&format!("plant/d-{n}"), RECEIVED, payload(n).as_bytes())).collect();
    let mut ingest = Ingest::start().await.unwrap();
    ingest.aws.leave_unprocessed(Pick::EveryKth(10));
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_eq!(stored_seqs(&ingest), (0..300).collect::<Vec<_>>());
    let requests = ingest.aws.counters(Operation::BatchWriteItem).requests;
    // 12 and, for the 30 + 3 that are left: 2 and 1. One by one it would be 45.
    assert!(requests <= 16, "{requests} requests");
}

#[tokio::test]
async fn faults_that_pass_are_survived() {
    let bodies = messages(50);
    let mut ingest = Ingest::start().await.unwrap();
    for operation in [Operation::BatchWriteItem, Operation::BatchExecuteStatement, Operation::PutObject] {
        ingest.aws.fail_next(operation, Fault::Throttle, 1);
        ingest.aws.fail_next(operation, Fault::InternalError, 1);
        ingest.aws.fail_next(operation, Fault::DropConnection, 1);
    }
    ingest.aws.fail_statements(Pick::EveryKth(3), StatementFault::Throttling);
    let all: Vec<String> = bodies.iter().cloned().chain(["broken".to_owned()]).collect();
    assert_eq!(ingest.invoke(&sqs(&all), ENOUGH).await.unwrap(), all_well());
    assert_eq!(stored_seqs(&ingest), (0..50).collect::<Vec<_>>());
    assert_eq!(ingest.quarantined().unwrap().len(), 1);
    assert_eq!(ingest.devices().unwrap().len(), 20);
}

#[tokio::test]
async fn s3_refusing_hands_back_the_bad_messages_only() {
    let mut bodies = messages(10);
    bodies.insert(3, envelope("plant/bad", RECEIVED, b"{"));
    let mut ingest = Ingest::start().await.unwrap();
    ingest.aws.fail_next(Operation::PutObject, Fault::Throttle, u64::MAX);
    let answer = ingest.invoke(&sqs(&bodies), 3 * SECONDS).await.unwrap();
    assert_eq!(failed_ids(&answer), BTreeSet::from(["m-3".to_owned()]));
    assert_eq!(
        ingest.counts(1).await.unwrap(),
        Counts { received: 11, stored: 10, handed_back: 1, ..Counts::default() }
    );
}

#[tokio::test]
async fn streams_are_told_the_lowest_failed_position() {
    // A table that is missing is a fault that no retry mends: every reading fails, the bad messages do not.
    let mut bodies = messages(6);
    bodies[0] = envelope("plant/bad", RECEIVED, b"{");
    bodies[1] = envelope("plant/bad", RECEIVED + 1, b"{");
    let check = async |event: String, expected: Value| {
        let mut ingest = Ingest::start().await.unwrap();
        ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, u64::MAX);
        let answer = ingest.invoke(&event, 2 * SECONDS).await.unwrap().unwrap();
        assert_eq!(answer, json!({"batchItemFailures": expected}));
        let counts = ingest.counts(1).await.unwrap();
        assert_eq!(counts, Counts { received: 6, quarantined: 2, handed_back: 4, ..Counts::default() });
    };
    let third = "49590338271490256608559692538361571095921575989136000102";
    check(kinesis(&bodies), json!([{"itemIdentifier": third}])).await;
    // Records alternate between the partitions, so the bad ones are the first of each.
    let failures = json!([
        {"itemIdentifier": {"partition": "telemetry-0", "offset": 16}},
        {"itemIdentifier": {"partition": "telemetry-1", "offset": 16}}
    ]);
    check(kafka(&bodies, true), failures.clone()).await;
    check(kafka(&bodies, false), failures).await;
}

#[tokio::test]
async fn killed_in_the_middle_and_delivered_again_nothing_is_lost_or_doubled() {
    let bodies = messages(200);
    let mut ingest = Ingest::start().await.unwrap();
    ingest.aws.set_latency(Operation::BatchExecuteStatement, 60 * SECONDS);
    let pid = ingest.function.pid().to_string();
    let aws = ingest.aws.handle();
    let killer = tokio::spawn(async move {
        while aws.counters(Operation::BatchExecuteStatement).requests == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap()
    });
    let outcome = ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap();
    assert_eq!(outcome, Err("Runtime.ExitError".to_owned()), "killed between the readings and the state");
    assert!(killer.await.unwrap().success());
    ingest.aws.clear_faults();
    ingest.restart().await.unwrap();
    let mut other = bodies.clone();
    other.rotate_left(77);
    assert_eq!(ingest.invoke(&sqs(&other[..150]), ENOUGH).await.unwrap(), all_well());
    assert_eq!(ingest.invoke(&sqs(&other[120..]), ENOUGH).await.unwrap(), all_well());
    assert_eq!(stored_seqs(&ingest), (0..200).collect::<Vec<_>>());
    assert_eq!(ingest.devices().unwrap().len(), 20);
}

/// The latest value and time of each metric of the only device, as `metric=value@seconds`.
fn state(ingest: &Ingest) -> String {
    let devices = ingest.devices().unwrap();
    assert_eq!(devices.len(), 1);
    let word = |(metric, reading): (&std::sync::Arc<str>, &telemetry::Reading)| {
        format!("{metric}={}@{}", reading.value, reading.at.0 / 1_000_000 - RECEIVED / 1_000)
    };
    devices[0].metrics.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn at(second: i64, values: &str) -> String {
    let payload = format!(r#"{{"ts": {}, {values}}}"#, RECEIVED / 1_000 + second);
    envelope("plant/a", RECEIVED + second * 1_000, payload.as_bytes())
}

#[tokio::test]
async fn the_latest_values_go_by_event_time() {
    let mut ingest = Ingest::start().await.unwrap();
    let mut check = async |bodies: &[String], expected: &str| {
        assert_eq!(ingest.invoke(&sqs(bodies), ENOUGH).await.unwrap(), all_well());
        assert_eq!(state(&ingest), expected);
    };
    check(&[at(10, r#""a": 1"#)], "a=1@10").await;
    check(&[at(20, r#""a": 2"#), at(15, r#""a": 3"#)], "a=2@20").await;
    check(&[at(12, r#""a": 4"#)], "a=2@20").await;
    check(&[at(20, r#""b.c": 5"#)], "a=2@20 b.c=5@20").await;
    check(&[at(30, r#""a": 6"#), at(5, r#""quo\"te": 7"#)], "a=6@30 b.c=5@20 quo\"te=7@5").await;
    check(&[at(31, r#""a": 8, "b.c": 9"#)], "a=8@31 b.c=9@31 quo\"te=7@5").await;
    check(&[at(31, r#""a": 8, "b.c": 9"#)], "a=8@31 b.c=9@31 quo\"te=7@5").await;
}

#[tokio::test]
async fn one_write_for_a_device_and_invocation() {
    let mut ingest = Ingest::start().await.unwrap();
    for round in 0..3 {
        let bodies: Vec<String> = (0..100)
            .map(|n| {
                let payload = json!({"ts": RECEIVED + 1_000 * round + n, "x": n}).to_string();
                envelope(&format!("plant/d-{}", n % 50), RECEIVED + 1_000 * round + n, payload.as_bytes())
            })
            .collect();
        ingest.aws.reset_counters();
        assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
        let statements = ingest.aws.counters(Operation::BatchExecuteStatement);
        assert_eq!(statements.items, 50, "round {round}: {statements:?}");
        // New devices are the exception path: the update that finds nothing, then the insert.
        assert_eq!(statements.requests, if round == 0 { 4 } else { 2 });
    }
}

#[tokio::test]
async fn a_device_with_more_metrics_than_a_statement_holds_is_kept_up_to_date() {
    let mut ingest = Ingest::start().await.unwrap();
    for round in 0..3 {
        let values: Vec<String> =
            (0..400).map(|n| format!(r#""metric_with_a_long_name_{n:04}": {}"#, n + round)).collect();
        let body = at(round, &values.join(", "));
        assert_eq!(ingest.invoke(&sqs(&[body]), ENOUGH).await.unwrap(), all_well());
        let devices = ingest.devices().unwrap();
        assert_eq!(devices[0].metrics.len(), 400);
        assert_eq!(
            devices[0].metrics["metric_with_a_long_name_0399"].value.to_string(),
            (399 + round).to_string()
        );
    }
}

#[tokio::test]
async fn a_device_that_invents_names_is_bounded_and_harms_nobody() {
    let mut ingest = Ingest::start().await.unwrap();
    for round in 0..12 {
        let values: Vec<String> = (0..200).map(|n| format!(r#""{:0>240}": {n}"#, round * 200 + n)).collect();
        let bodies = [at(round, &values.join(", ")), envelope("plant/good", RECEIVED + round, b"{\"x\": 1}")];
        assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well(), "round {round}");
    }
    let devices = ingest.devices().unwrap();
    assert_eq!(devices.len(), 2);
    assert!(devices[0].metrics.keys().any(|name| name.ends_with("2399")), "the newest names are there");
    assert!(devices[0].metrics.len() < 2_400, "the oldest have gone: {}", devices[0].metrics.len());
    assert_eq!(ingest.readings().unwrap().len(), 12 * 201);
}

#[tokio::test]
async fn an_event_of_unknown_shape_fails_the_invocation() {
    let mut ingest = Ingest::start().await.unwrap();
    for event in
        ["{}", "[]", r#"{"temperature": 22.5}"#, r#"{"Records": [{"s3": {}}]}"#, r#"{"detail-type": "x"}"#]
    {
        assert_eq!(
            ingest.invoke(event, ENOUGH).await.unwrap(),
            Err("Tidegate.UnknownEvent".to_owned()),
            "{event}"
        );
    }
    assert_eq!(
        ingest.invoke(&messages(1)[0], ENOUGH).await.unwrap(),
        all_well(),
        "and the next one is served"
    );
}

#[tokio::test]
async fn a_device_id_in_the_payload_counts_only_where_it_was_opted_into() {
    let message = |topic: &str, payload: &str| {
        let payload = base64_simd::STANDARD.encode_to_string(payload);
        json!({"payload": payload, "topic": topic, "client": "whoever", "received": RECEIVED}).to_string()
    };
    let bodies = [
        message("iot/old/topic", r#"{"device_id": "sensor_1", "temperature": 22.5}"#),
        message("iot/old/topic", r#"{"temperature": 22.5}"#),
        message("iot/old/topic", r#"{"device_id": "../a/b", "temperature": 22.5}"#),
        message("dt/plant/pump/state", r#"{"device_id": "pump", "temperature": 22.5}"#),
    ];
    let mut ingest = Ingest::start_with(&[("TIDEGATE_PAYLOAD_IDENTITY_FILTER", "iot/#")]).await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    let devices: Vec<String> =
        ingest.devices().unwrap().iter().map(|state| state.device.to_string()).collect();
    assert_eq!(devices, ["payload::iot/sensor_1"], "and no other site can be claimed");
    assert_eq!(ingest.readings().unwrap().len(), 1, "the id itself is no reading");
    let mut codes: Vec<String> =
        ingest.quarantined().unwrap().iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    assert_eq!(codes, ["client", "device_id", "topic"]);
    let mut ingest = Ingest::start().await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_eq!(ingest.counts(1).await.unwrap(), Counts { received: 4, quarantined: 4, ..Counts::default() });
}

#[tokio::test]
async fn layouts_say_who_sent_a_message_and_what_is_ignored_is_counted() {
    let message = |topic: &str, client: &str, payload: &str| {
        let payload = base64_simd::STANDARD.encode_to_string(payload);
        json!({"payload": payload, "topic": topic, "client": client, "received": RECEIVED}).to_string()
    };
    let bodies = [
        message("factory/plant-1/line-3/pump-7/state", "pump-7", r#"{"temperature": 22.5}"#),
        message("shellies/plug-1/relay/0", "plug-1", r#"{"power": 40}"#),
        message("shellies/plug-1/relay/0", "plug-2", r#"{"power": 40}"#),
        // Ignored, whoever sends it and whatever it is.
        message("shellies/announce", "plug-1", "\u{0}"),
        message("tele/plug-1/STATE", "plug-2", r#"{"power": 40}"#),
        // Selected by the rule of the layout, and of no layout.
        message("shellies/command", "plug-1", r#"{"power": 40}"#),
        message("dt/plant-1/pump-7/state", "pump-7", r#"{"temperature": 22.5}"#),
        message("factory/plant-1/line-3/pump::7/state", "pump::7", r#"{"temperature": 22.5}"#),
    ];
    let settings = [
        ("TIDEGATE_LAYOUT", "factory/{site}/{prefix}/{device}/{metric}"),
        ("TIDEGATE_LAYOUT_2", "shellies/{device}/{metric...}"),
        ("TIDEGATE_LAYOUT_SITE", "home"),
        ("TIDEGATE_LAYOUT_2_IGNORE", "shellies/announce"),
        ("TIDEGATE_LAYOUT_3", "tele/{device}/SENSOR"),
        ("TIDEGATE_LAYOUT_3_IGNORE", "tele/+/STATE"),
    ];
    let mut ingest = Ingest::start_with(&settings).await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    let devices: Vec<String> =
        ingest.devices().unwrap().iter().map(|state| state.device.to_string()).collect();
    assert_eq!(devices, ["home/plug-1", "plant-1/pump-7"]);
    let mut codes: Vec<String> =
        ingest.quarantined().unwrap().iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    assert_eq!(codes, ["client", "topic", "topic", "topic"]);
    let expected = Counts { received: 8, stored: 2, ignored: 2, quarantined: 4, ..Counts::default() };
    assert_eq!(ingest.counts(1).await.unwrap(), expected);
}

#[tokio::test]
async fn layouts_that_share_a_topic_are_refused_at_the_start() {
    let settings = [("TIDEGATE_LAYOUT_2", "dt/{site}/{prefix}/{device}")];
    let error = Ingest::start_with(&settings).await.unwrap_err().to_string();
    assert!(error.contains("both match dt/plant-1/pump-7/state"), "{error}");
}

#[tokio::test]
async fn what_devices_send_never_reaches_the_log() {
    let secret = "s3cr3t-w0rd";
    let payloads = [
        format!(r#"{{"{secret}": 1}}"#),
        format!(r#"{{"a": "{secret}"}}"#),
        secret.to_owned(),
        format!(r#"{{"{secret}" x"#),
    ];
    let mut bodies: Vec<String> =
        payloads.iter().map(|payload| envelope("plant/a", RECEIVED, payload.as_bytes())).collect();
    bodies.push(secret.to_owned());
    let mut ingest = Ingest::start().await.unwrap();
    ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, 2);
    assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_adds_up(ingest.counts(1).await.unwrap());
    ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, u64::MAX);
    ingest.invoke(&sqs(&bodies), 2 * SECONDS).await.unwrap().unwrap();
    assert_adds_up(ingest.counts(2).await.unwrap());
    let log = [ingest.function.stdout(), ingest.function.stderr()].concat().join("\n");
    assert!(log.contains("a request to AWS failed"), "the log is not empty: {log}");
    assert!(!log.contains(secret), "{log}");
}

#[tokio::test]
async fn without_its_configuration_the_function_says_all_that_is_missing() {
    let binary = tests::functions::binary("ingest", "debug").unwrap();
    let environment = [("TIDEGATE_BUCKET", "b"), ("TIDEGATE_CLIENT_ID", "maybe")];
    let error = tests::runtime_api::Function::start(binary, &environment).await.unwrap_err().to_string();
    for name in ["TIDEGATE_READINGS_TABLE", "TIDEGATE_DEVICES_TABLE", "TIDEGATE_CLIENT_ID"] {
        assert!(error.contains(name), "{name} is missing in: {error}");
    }
}

/// An upload over HTTP: no time, no client, no trace.
fn upload(n: i64, records: usize) -> String {
    let payload =
        base64_simd::STANDARD.encode_to_string(format!("[{}]", vec![r#"{"x": 1}"#; records].join(",")));
    json!({"payload": payload, "topic": format!("dt/plant/meter-{}/state", n % 3), "received": RECEIVED})
        .to_string()
}

#[tokio::test]
async fn uploads_without_time_and_trace_are_as_many_however_often_they_are_delivered() {
    let bodies: Vec<String> = (0..60).map(|n| upload(n, 3)).collect();
    // A queue's records keep their ids in whatever batch they come.
    let whole: Value = serde_json::from_str(&sqs(&bodies)).unwrap();
    let part = |from: usize, to: usize| {
        json!({"Records": &whole["Records"].as_array().unwrap()[from..to]}).to_string()
    };
    let mut ingest = Ingest::start().await.unwrap();
    let mut other = ingest.beside().await.unwrap();
    assert_eq!(ingest.invoke(&part(0, 60), ENOUGH).await.unwrap(), all_well());
    let before = ingest.readings().unwrap();
    assert_eq!(before.len(), 60 * 3, "all in one millisecond, and none replaces another");
    for (from, to) in [(0, 25), (10, 60), (59, 60)] {
        assert_eq!(other.invoke(&part(from, to), ENOUGH).await.unwrap(), all_well());
        assert_eq!(ingest.readings().unwrap(), before);
    }
}

#[tokio::test]
async fn every_source_names_the_deliveries_of_messages_without_a_trace() {
    let bodies: Vec<String> = (0..10).map(|n| upload(n, 2)).collect();
    for event in [sqs(&bodies), kinesis(&bodies), kafka(&bodies, true)] {
        let mut ingest = Ingest::start().await.unwrap();
        for _ in 0..2 {
            assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
            assert_eq!(ingest.readings().unwrap().len(), 10 * 2, "{event}");
        }
    }
    let mut ingest = Ingest::start().await.unwrap();
    for _ in 0..2 {
        assert_eq!(ingest.invoke(&bodies[0], ENOUGH).await.unwrap(), all_well());
    }
    assert_eq!(ingest.readings().unwrap().len(), 2 * 2, "each invocation is a message of its own");
}

#[tokio::test]
async fn a_message_replayed_from_the_quarantine_is_the_delivery_that_it_was() {
    let bad = |payload: &str| {
        let payload = base64_simd::STANDARD.encode_to_string(payload);
        json!({"payload": payload, "topic": "dt/plant/meter/state", "received": RECEIVED}).to_string()
    };
    let mut ingest = Ingest::start().await.unwrap();
    assert_eq!(ingest.invoke(&sqs(&[bad("{"), bad("{")]), ENOUGH).await.unwrap(), all_well());
    let lines = ingest.quarantined().unwrap();
    let mut deliveries: Vec<&str> = lines.iter().map(|line| line["delivery"].as_str().unwrap()).collect();
    deliveries.sort_unstable();
    assert_eq!(deliveries, ["m-0", "m-1"], "two messages of one content are two");
    // The device's fault is mended by hand.
    let mut replayed: Value = serde_json::from_str(&bad(r#"{"x": 1}"#)).unwrap();
    replayed["record"] = json!("m-1");
    for event in [sqs(&[replayed.to_string()]), kinesis(&[replayed.to_string()])] {
        assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
        assert_eq!(ingest.readings().unwrap().len(), 1);
    }
    let again = sqs(&[bad("{"), bad(r#"{"x": 1}"#)]);
    assert_eq!(ingest.invoke(&again, ENOUGH).await.unwrap(), all_well());
    assert_eq!(ingest.readings().unwrap().len(), 1, "the message m-1 it is");
}

#[tokio::test]
async fn readings_are_counted_where_they_are_stored() {
    let mut ingest = Ingest::start().await.unwrap();
    // The same reading in two messages, and one that says another.
    let payload = |value: i64| format!(r#"{{"ts": {RECEIVED}, "x": {value}, "y": 1}}"#);
    let body = |n: i64, value: i64| envelope("plant/a", RECEIVED + n, payload(value).as_bytes());
    let event = sqs(&[body(0, 1), body(1, 2), body(2, 2)]);
    ingest.aws.fail_next(Operation::BatchWriteItem, Fault::Throttle, u64::MAX);
    ingest.invoke(&event, 2 * SECONDS).await.unwrap().unwrap();
    ingest.aws.clear_faults();
    assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
    let counts =
        |line: &Value| ["Readings", "ReplacedEqual", "ReplacedDifferent"].map(|name| line[name].as_u64());
    let failed = tests::functions::metrics(&ingest.function, 1).await.unwrap();
    assert_eq!(failed["Readings"], 0, "{failed}");
    let stored = tests::functions::metrics(&ingest.function, 2).await.unwrap();
    assert_eq!(counts(&stored), [Some(2), Some(3), Some(1)], "{stored}");
    assert_eq!(ingest.readings().unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_of_records_that_stands_twice_loses_none() {
    let bodies = messages(20);
    let [first, second] = [sqs(&bodies[..12]), sqs(&bodies[12..])];
    let event = format!("{},{}", &first[..first.len() - 1], &second[1..]);
    let mut ingest = Ingest::start().await.unwrap();
    assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
    let counts = ingest.counts(1).await.unwrap();
    assert_eq!(counts, Counts { received: 20, stored: 20, ..Counts::default() });
    assert_eq!(stored_seqs(&ingest), (0..20).collect::<Vec<_>>());
}
