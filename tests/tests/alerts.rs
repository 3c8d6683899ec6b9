//! The function `alert`, as a process: what it stores, publishes and answers, whatever goes wrong meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use telemetry::{Micros, Reading};
use tests::alerts::{ALERTS, Alerting, DEVICES, reading};
use tests::fake_aws::{Fault, Operation};
use tests::functions::all_well;

const DEVICE: &str = "plant-1/oven-7";
const SECOND: i64 = 1_000_000;
const HOT: &str = r#"
    name = "hot"
    severity = "critical"
    message = "too hot"
    condition = { metric = "temperature", above = 50, clear = 45 }
"#;

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}

/// Temperatures of a device, a second apart, of which the last was measured just now.
fn temperatures(device: &str, values: &[f64]) -> Vec<Reading> {
    let start = now().plus(-SECOND * i64::try_from(values.len()).unwrap());
    let at = |index: i64| start.plus(index * SECOND);
    (0..).zip(values).map(|(index, value)| reading(device, "temperature", at(index), *value)).collect()
}

fn states(told: &[Value]) -> Vec<&str> {
    told.iter().map(|document| document["state"].as_str().unwrap_or("removed")).collect()
}

/// Of an event of the stream, every change has one fate.
fn assert_adds_up(metrics: &Value) {
    let count = |name: &str| metrics[name].as_u64().unwrap();
    assert_eq!(
        count("Received"),
        count("Judged") + count("Ignored") + count("HandedBack") + count("Failed"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_crosses_a_level_is_told_and_noted_and_what_comes_back_is_cleared() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let readings = temperatures(DEVICE, &[20.0, 50.0, 50.5, 60.0, 47.0, 45.0]);
    assert_eq!(alerting.judge(&readings[..4]).await.unwrap(), all_well());
    assert_adds_up(&alerting.metrics().await.unwrap());
    let told = alerting.told();
    assert_eq!(states(&told), ["active"]);
    assert_eq!((&told[0]["value"], &told[0]["rule"]), (&json!(50.5), &json!("hot")));
    assert_eq!(told[0]["at"], readings[2].at.to_string());
    let note = alerting.note(DEVICE);
    assert_eq!(
        (&note["M"]["rule"]["S"], &note["M"]["severity"]["S"], &note["M"]["state"]["S"]),
        (&json!("hot"), &json!("critical"), &json!("active"))
    );
    alerting.judge(&readings[4..]).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "cleared"]);
    assert_eq!(alerting.note(DEVICE), Value::Null);
    assert!(alerting.item(DEVICE).unwrap().get("outbox").is_none());
    let published = alerting.aws.published();
    assert!(published.iter().all(|message| message.qos == 1 && message.retain));
    assert_eq!(published[0].topic, format!("alerts/{DEVICE}/hot"));
}

#[tokio::test]
async fn the_same_event_twice_tells_nothing_twice() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let items = alerting.store(&temperatures(DEVICE, &[20.0, 60.0, 40.0, 60.0])).unwrap();
    for _ in 0..3 {
        assert_eq!(alerting.stream(&items).await.unwrap(), all_well());
        assert_adds_up(&alerting.metrics().await.unwrap());
    }
    alerting.restart().await.unwrap();
    alerting.stream(&items).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "cleared", "active"]);
}

/// The calls between an event and its answer, each of which may be the last thing that a process did.
const CALLS: [(Operation, u64); 6] = [
    (Operation::BatchGetItem, 1),
    (Operation::BatchGetItem, 2),
    (Operation::PutItem, 1),
    (Operation::Publish, 1),
    (Operation::Publish, 2),
    (Operation::Publish, 3),
];

#[tokio::test]
async fn wherever_the_process_dies_each_transition_is_told_and_none_that_did_not_happen() {
    let readings = temperatures(DEVICE, &[20.0, 60.0, 40.0, 60.0, 55.0]);
    let ids = |told: &[Value]| -> BTreeSet<String> {
        told.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut undisturbed = Alerting::start(&[HOT]).await.unwrap();
    undisturbed.judge(&readings).await.unwrap().unwrap();
    let expected = ids(&undisturbed.told());
    assert_eq!(expected.len(), 3);
    let queries = (1..=2).map(|nth| (Operation::Query, nth));
    // Of the two updates one notes on the device, the other marks as published.
    let updates = (1..=2).map(|nth| (Operation::UpdateItem, nth));
    for (operation, nth) in CALLS.into_iter().chain(queries).chain(updates) {
        // What brings the rest to its end: the batch that Lambda delivers again, or the schedule alone.
        for is_delivered_again in [true, false] {
            let place = format!("died after {operation:?} {nth}, delivered again: {is_delivered_again}");
            let mut alerting = Alerting::start(&[HOT]).await.unwrap();
            let items = alerting.store(&readings).unwrap();
            let pid = alerting.function.pid().to_string();
            alerting.aws.after_next(operation, nth, move |_| {
                let kill = std::process::Command::new("kill").args(["-9", &pid]).status();
                assert!(kill.unwrap().success());
            });
            let outcome = alerting.stream(&items).await.unwrap();
            assert_eq!(outcome, Err("Runtime.ExitError".to_owned()), "{place}");
            let was_stored = alerting.item(DEVICE).is_some();
            alerting.restart().await.unwrap();
            if is_delivered_again || !was_stored {
                assert_eq!(alerting.stream(&items).await.unwrap(), all_well(), "{place}");
            }
            alerting.tidy().await.unwrap().unwrap();
            let told = alerting.told();
            assert_eq!(ids(&told), expected, "{place}");
            assert_eq!(alerting.retained()[&format!("alerts/{DEVICE}/hot")]["state"], "active", "{place}");
            let item = alerting.item(DEVICE).unwrap();
            assert!(item.get("outbox").is_none(), "{place}");
            assert_eq!(alerting.note(DEVICE)["M"]["state"]["S"], "active", "{place}");
        }
    }
}

#[tokio::test]
async fn while_the_broker_throttles_all_is_handed_back_and_told_later() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let items = alerting.store(&temperatures(DEVICE, &[20.0, 60.0])).unwrap();
    alerting.aws.fail_next(Operation::Publish, Fault::Throttle, 1_000_000);
    let answer = alerting.stream_within(&items, Duration::from_secs(4)).await.unwrap().unwrap();
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{answer}");
    let metrics = alerting.metrics().await.unwrap();
    assert_adds_up(&metrics);
    assert_eq!(metrics["HandedBack"], items.len());
    assert!(alerting.told().is_empty());
    alerting.aws.clear_faults();
    // Even if nobody delivers the batch again.
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
}

#[tokio::test]
async fn while_dynamodb_throttles_all_is_handed_back() {
    for operation in [Operation::BatchGetItem, Operation::PutItem, Operation::UpdateItem, Operation::Query] {
        let mut alerting = Alerting::start(&[HOT]).await.unwrap();
        let items = alerting.store(&temperatures(DEVICE, &[20.0, 60.0])).unwrap();
        alerting.aws.fail_next(operation, Fault::Throttle, 1_000_000);
        let outcome = alerting.stream_within(&items, Duration::from_secs(4)).await.unwrap();
        if let Ok(answer) = outcome {
            assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{operation:?}: {answer}");
            assert_adds_up(&alerting.metrics().await.unwrap());
        }
        alerting.aws.clear_faults();
        assert_eq!(alerting.stream(&items).await.unwrap(), all_well(), "{operation:?}");
        assert_eq!(states(&alerting.told()).iter().collect::<BTreeSet<_>>().len(), 1, "{operation:?}");
    }
}

#[tokio::test]
async fn half_of_a_batch_then_all_of_it_comes_to_the_same() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let readings = temperatures(DEVICE, &[20.0, 60.0, 40.0, 60.0, 30.0, 70.0]);
    let items: Vec<String> =
        readings.iter().flat_map(|reading| alerting.store(std::slice::from_ref(reading)).unwrap()).collect();
    alerting.stream(&items[..3]).await.unwrap().unwrap();
    alerting.stream(&items).await.unwrap().unwrap();
    alerting.stream(&items[1..5]).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "cleared", "active", "cleared", "active"]);
}

#[tokio::test]
async fn out_of_order_comes_to_the_same_state_and_corrections_say_what_was_wrong() {
    const SLOW: &str = r#"
        name = "hot"
        severity = "warning"
        message = "hot for three seconds"
        for = "3s"
        condition = { metric = "temperature", above = 50 }
    "#;
    let readings = temperatures(DEVICE, &[60.0, 60.0, 20.0, 60.0, 60.0, 60.0]);
    let mut alerting = Alerting::start(&[SLOW]).await.unwrap();
    alerting.judge(&[readings[0].clone(), readings[3].clone()]).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
    alerting.judge(&readings[2..3]).await.unwrap().unwrap();
    let told = alerting.told();
    assert_eq!(states(&told), ["active", "pending"]);
    assert_eq!((&told[1]["corrects"], &told[1]["cause"]), (&json!([told[0]["id"]]), &json!("correction")));
    assert_eq!(alerting.note(DEVICE), Value::Null, "what was wrong does not stand");
    assert_eq!(alerting.metrics().await.unwrap()["Corrections"], 1);
    alerting.judge(&readings).await.unwrap().unwrap();
    assert_eq!(alerting.retained()[&format!("alerts/{DEVICE}/hot")]["state"], "pending");
}

#[tokio::test]
async fn what_comes_too_late_is_counted_and_not_judged() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[20.0, 21.0])).await.unwrap().unwrap();
    let late = reading(DEVICE, "temperature", now().plus(-200 * SECOND), 90.0);
    alerting.judge(&[late]).await.unwrap().unwrap();
    assert_eq!(alerting.metrics().await.unwrap()["Late"], 1);
    assert!(alerting.told().is_empty());
}

#[tokio::test]
async fn somebody_else_who_writes_meanwhile_is_not_overwritten() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[20.0, 60.0])).await.unwrap().unwrap();
    let stood = alerting.item(DEVICE).unwrap();
    // Another process has cleared it and somebody else's revision is in the table when this one writes.
    alerting.aws.after_next(Operation::Query, 2, move |aws| {
        let mut item = stood.clone();
        item["rev"] = json!({"N": "41"});
        aws.put_item(ALERTS, item).unwrap();
    });
    alerting.judge(&temperatures(DEVICE, &[40.0])).await.unwrap().unwrap();
    assert_eq!(alerting.item(DEVICE).unwrap()["rev"]["N"], "43");
    assert_eq!(states(&alerting.told()), ["active", "cleared"]);
}

#[tokio::test]
async fn who_publishes_last_publishes_how_it_stands() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    // While this process publishes that it is hot, another has found it cool again, and has published and marked that.
    alerting.aws.after_next(Operation::Publish, 1, |aws| {
        let mut item = aws.items(ALERTS).pop().unwrap();
        let alerts = item["alerts"]["M"]["hot"]["M"].as_object_mut().unwrap();
        alerts.insert("state".to_owned(), json!({"S": "cleared"}));
        alerts.insert("id".to_owned(), json!({"S": "another"}));
        item["rev"] = json!({"N": "17"});
        item.remove("outbox");
        item["tracks"] = json!({"S": "{}"});
        aws.put_item(ALERTS, item).unwrap();
    });
    assert_eq!(alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap(), all_well());
    let retained = &alerting.retained()[&format!("alerts/{DEVICE}/hot")];
    assert_eq!((&retained["id"], &retained["cause"]), (&json!("another"), &json!("repeat")), "{retained}");
    assert!(alerting.item(DEVICE).unwrap().get("outbox").is_none());
}

#[tokio::test]
async fn what_no_try_will_mend_holds_up_nobody_else() {
    // A device whose name and rule together are too long for a topic, and one with a foreign item among its readings.
    let rule = HOT.replace("\"hot\"", &format!("\"{}\"", "h".repeat(64)));
    let mut alerting = Alerting::start(&[&rule]).await.unwrap();
    let long = format!("{}/{}", "p".repeat(100), "o".repeat(100));
    let foreign =
        json!({"device": {"S": DEVICE}, "span": {"S": format!("{:016}#x", now().0)}, "what": {"S": "?"}});
    alerting.aws.put_item("readings", foreign.as_object().unwrap().clone()).unwrap();
    let readings = [temperatures(&long, &[60.0]), temperatures(DEVICE, &[60.0])].concat();
    let topic = alerting.judge(&readings).await.unwrap();
    assert_eq!(topic, all_well());
    let metrics = alerting.metrics().await.unwrap();
    assert_adds_up(&metrics);
    assert_eq!((&metrics["Undeliverable"], &metrics["HandedBack"]), (&json!(1), &json!(0)), "{metrics}");
    assert_eq!(states(&alerting.told()), ["active"], "the other device's");
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
}

#[tokio::test]
async fn sns_is_told_as_well_and_holds_up_nothing() {
    let arn = "arn:aws:sns:us-east-1:123456789012:on-call";
    let mut alerting = Alerting::start_with(&[HOT], &[("TIDEGATE_ALERT_TOPIC_ARN", arn)]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    let notified = alerting.aws.notified();
    let message: Value = serde_json::from_str(&notified[0].message).unwrap();
    assert_eq!((notified.len(), &message["state"]), (1, &json!("active")));
    assert_eq!(notified[0].subject.as_deref(), Some("plant-1/oven-7: hot"));
    alerting.aws.fail_next(Operation::Notify, Fault::Throttle, 1_000_000);
    assert_eq!(alerting.judge(&temperatures(DEVICE, &[20.0])).await.unwrap(), all_well());
    assert_eq!(alerting.metrics().await.unwrap()["Undeliverable"], 1);
    assert_eq!(states(&alerting.told()), ["active", "cleared"]);
}

#[tokio::test]
async fn an_acknowledgement_that_comes_again_is_not_about_the_next_alert() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    let acknowledge =
        |sent: i64| json!({"acknowledge": {"device": DEVICE, "rule": "hot", "by": "anna", "sent": sent}});
    alerting.command(&[acknowledge(now().plus(-60 * SECOND).0)]).await.unwrap().unwrap();
    assert_eq!(alerting.metrics().await.unwrap()["Refused"], 1);
    assert_eq!(states(&alerting.told()), ["active"]);
    alerting.command(&[acknowledge(now().0)]).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "acknowledged"]);
}

#[tokio::test]
async fn a_profile_says_which_devices_a_rule_is_about_and_how_long_silence_is() {
    const RULES: [&str; 2] = [
        r#"
        name = "hot"
        severity = "warning"
        message = "it is hot"
        profile = "cold-room"
        condition = { metric = "temperature", above = 50 }
        "#,
        r#"
        name = "silent"
        severity = "warning"
        message = "nothing has come"
        condition = { silent_intervals = 2 }
        "#,
    ];
    let mut alerting = Alerting::start(&RULES).await.unwrap();
    let profile = r#"{"name": "cold-room", "topics": ["dt/+/+/cold"], "interval": "1m"}"#;
    alerting.put_profile("cold-room", profile).unwrap();
    let hot = |seconds: i64| reading(DEVICE, "temperature", now().plus(seconds * SECOND), 60.0);
    let silent = json!({"silent": {"device": DEVICE, "rule": "silent"}});
    // Nobody knows yet what it is.
    alerting.judge(&[hot(-300)]).await.unwrap().unwrap();
    alerting.command(std::slice::from_ref(&silent)).await.unwrap().unwrap();
    assert_eq!(alerting.told(), Vec::<Value>::new());
    let items = alerting.store(&[hot(-299)]).unwrap();
    alerting.note_profile(DEVICE, Some("other")).unwrap();
    alerting.stream(&items).await.unwrap().unwrap();
    alerting.command(std::slice::from_ref(&silent)).await.unwrap().unwrap();
    assert_eq!(alerting.told(), Vec::<Value>::new());
    let items = alerting.store(&[hot(-298)]).unwrap();
    alerting.note_profile(DEVICE, Some("cold-room")).unwrap();
    alerting.stream(&items).await.unwrap().unwrap();
    alerting.command(std::slice::from_ref(&silent)).await.unwrap().unwrap();
    let told: Vec<Value> = alerting.told().iter().map(|told| json!([told["rule"], told["state"]])).collect();
    assert_eq!(told, [json!(["hot", "active"]), json!(["silent", "active"])]);
    // What is known of a device that is no longer of the profile ends.
    alerting.note_profile(DEVICE, Some("other")).unwrap();
    alerting.tidy().await.unwrap().unwrap();
    assert!(!alerting.retained().keys().any(|topic| topic.ends_with("/hot")), "{:?}", alerting.retained());
}

#[tokio::test]
async fn a_clock_that_runs_ahead_neither_raises_silence_nor_keeps_it() {
    const SILENT: &str = r#"
        name = "silent"
        severity = "warning"
        message = "nothing has come for a minute"
        condition = { silent = "1m" }
    "#;
    let mut alerting = Alerting::start(&[SILENT]).await.unwrap();
    let silent = json!({"silent": {"device": DEVICE, "rule": "silent"}});
    let from = |seconds: i64, at: i64| {
        let received = now().plus(seconds * SECOND);
        Reading { at: received.plus(at * SECOND), ..reading(DEVICE, "temperature", received, 20.0) }
    };
    // An hour ahead, once; then right, and silent since.
    alerting.judge(&[from(-100, 3_600)]).await.unwrap().unwrap();
    assert_eq!(alerting.metrics().await.unwrap()["Ahead"], 0, "for a sign of life its arrival counts");
    alerting.judge(&[from(-90, 0)]).await.unwrap().unwrap();
    alerting.command(std::slice::from_ref(&silent)).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
    // It sends what it has kept meanwhile, piece by piece: one correction, and no storm.
    for seconds in [-80, -60, -40, -20, 0] {
        let late = Reading { received: now(), ..from(seconds, 0) };
        alerting.judge(&[late]).await.unwrap().unwrap();
    }
    assert_eq!(states(&alerting.told()), ["active", "normal"]);
}

#[tokio::test]
async fn a_clock_that_is_set_has_no_years_read() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let at = |back: i64, value: f64| reading(DEVICE, "temperature", now().plus(-back * SECOND), value);
    // 400 KB of readings, a minute apart, before yesterday: several pages.
    let old: Vec<Reading> = (0..20_000).map(|minute| at(2 * 86_400 + minute * 60, 20.0)).collect();
    alerting.store(&old).unwrap();
    let set_back = Reading { received: now(), ..at(3_650 * 86_400, 20.0) };
    alerting.judge(&[set_back, at(1, 60.0)]).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
    let read = alerting.aws.counters(Operation::Query).items;
    assert!(read < 100, "{read} items were read");
}

#[tokio::test]
async fn what_is_pending_is_looked_after_too() {
    const SLOW: &str = r#"
        name = "hot"
        severity = "warning"
        message = "hot for a minute"
        for = "1m"
        condition = { metric = "temperature", above = 50, clear = 45 }
    "#;
    let mut alerting = Alerting::start(&[SLOW]).await.unwrap();
    let at = |seconds: i64, value: f64| reading(DEVICE, "temperature", now().plus(seconds * SECOND), value);
    let (first, second, third) = (at(-300, 55.0), at(-250, 47.0), at(-200, 47.0));
    alerting.judge(&[first]).await.unwrap().unwrap();
    // Another process judged these, to which the device was calm: in the band nothing changes.
    alerting.store(&[second]).unwrap();
    alerting.store(&[third]).unwrap();
    assert!(alerting.told().is_empty());
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
}

#[tokio::test]
async fn a_thousand_calm_devices_cost_ten_reads_once_and_no_write() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let batch = |value: f64| -> Vec<Reading> {
        (0..1_000).flat_map(|number| temperatures(&format!("plant-1/oven-{number}"), &[value])).collect()
    };
    for reads in [10, 0, 0] {
        let items = alerting.store(&batch(20.0)).unwrap();
        alerting.aws.reset_counters();
        alerting.stream(&items).await.unwrap().unwrap();
        let requests = |operation| alerting.aws.counters(operation).requests;
        assert_eq!(requests(Operation::BatchGetItem), reads);
        let writes =
            [Operation::PutItem, Operation::UpdateItem, Operation::BatchWriteItem, Operation::Publish];
        assert!(writes.into_iter().all(|operation| requests(operation) == 0));
        assert_eq!(
            requests(Operation::Query),
            1,
            "the rules, since the test lets nothing be remembered of them"
        );
        assert_eq!(alerting.metrics().await.unwrap()["Judged"], 1_000);
    }
    assert!(alerting.aws.items(ALERTS).is_empty());
}

#[tokio::test]
async fn what_another_process_has_raised_is_cleared_by_the_schedule_at_the_latest() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let old = temperatures(DEVICE, &[20.0, 60.0, 40.0]);
    let shifted: Vec<Reading> = old
        .iter()
        .map(|reading| Reading {
            at: reading.at.plus(-60 * SECOND),
            received: reading.received.plus(-60 * SECOND),
            ..reading.clone()
        })
        .collect();
    // This process knows the device as calm; another judges the next reading, and this one gets the one after.
    alerting.judge(&shifted[..1]).await.unwrap().unwrap();
    let mut other = Alerting::start(&[HOT]).await.unwrap();
    other.judge(&shifted[..2]).await.unwrap().unwrap();
    alerting.store(&shifted[1..2]).unwrap();
    alerting.aws.put_item(ALERTS, other.item(DEVICE).unwrap()).unwrap();
    alerting.judge(&shifted[2..]).await.unwrap().unwrap();
    assert!(alerting.told().is_empty(), "it could not know");
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["cleared"]);
}

#[tokio::test]
async fn commands_do_what_they_say_or_are_refused_with_a_reason() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[20.0, 60.0])).await.unwrap().unwrap();
    let command = |name: &str, more: Value| {
        let mut subject = json!({"device": DEVICE, "rule": "hot", "by": "anna"});
        subject.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ name: subject })
    };
    let in_an_hour = now().plus(3_600 * SECOND).0;
    let check = async |alerting: &mut Alerting,
                       command: Value,
                       (obeyed, refused, back): (u64, u64, u64),
                       state: &str| {
        let answer = alerting.command(std::slice::from_ref(&command)).await.unwrap().unwrap();
        let metrics = alerting.metrics().await.unwrap();
        assert_eq!(
            (&metrics["Obeyed"], &metrics["Refused"], &metrics["HandedBack"]),
            (&json!(obeyed), &json!(refused), &json!(back)),
            "{command}"
        );
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len() as u64, back, "{command}");
        let retained = alerting.retained();
        assert_eq!(retained[&format!("alerts/{DEVICE}/hot")]["state"], state, "{command}");
    };
    let nothing = json!({});
    check(&mut alerting, command("acknowledge", nothing.clone()), (1, 0, 0), "acknowledged").await;
    check(&mut alerting, command("acknowledge", nothing.clone()), (1, 0, 0), "acknowledged").await;
    check(&mut alerting, command("acknowledge", json!({"rule": "cold"})), (0, 1, 0), "acknowledged").await;
    check(
        &mut alerting,
        command("acknowledge", json!({"device": "plant-1/unknown"})),
        (0, 1, 0),
        "acknowledged",
    )
    .await;
    check(&mut alerting, command("shelve", nothing.clone()), (0, 1, 0), "acknowledged").await;
    check(&mut alerting, command("shelve", json!({"until": 5})), (0, 1, 0), "acknowledged").await;
    check(&mut alerting, command("shelve", json!({"until": in_an_hour * 2})), (0, 1, 0), "acknowledged")
        .await;
    check(&mut alerting, command("unshelve", nothing.clone()), (0, 1, 0), "acknowledged").await;
    check(&mut alerting, command("shelve", json!({"until": in_an_hour})), (1, 0, 0), "shelved").await;
    assert_eq!(alerting.note(DEVICE), Value::Null, "what is shelved does not count");
    alerting.judge(&temperatures(DEVICE, &[40.0])).await.unwrap().unwrap();
    check(&mut alerting, command("unshelve", nothing.clone()), (1, 0, 0), "cleared").await;
    check(&mut alerting, json!({"what": "?"}), (0, 0, 1), "cleared").await;
    check(&mut alerting, json!("acknowledge"), (0, 0, 1), "cleared").await;
    let over_mqtt = json!({"payload": "", "topic": format!("alerts/{DEVICE}/hot/ack"), "client": "oven-7"});
    check(&mut alerting, over_mqtt, (0, 1, 0), "cleared").await;
    let last = alerting.aws.published().pop().unwrap();
    assert_eq!(
        (last.topic.as_str(), last.retain),
        (format!("alerts/{DEVICE}/hot/ack/rejected").as_str(), false)
    );
    assert_eq!(last.payload, r#"{"reason":"the alert does not stand"}"#);
}

#[tokio::test]
async fn a_silent_device_raises_once_and_data_clears() {
    const SILENT: &str = r#"
        name = "silent"
        severity = "warning"
        message = "nothing has come for a minute"
        condition = { silent = "1m" }
    "#;
    let mut alerting = Alerting::start(&[SILENT]).await.unwrap();
    let old = reading(DEVICE, "temperature", now().plus(-90 * SECOND), 20.0);
    alerting.judge(std::slice::from_ref(&old)).await.unwrap().unwrap();
    let silent = json!({"silent": {"device": DEVICE, "rule": "silent"}});
    for _ in 0..2 {
        alerting.command(std::slice::from_ref(&silent)).await.unwrap().unwrap();
        assert_eq!(states(&alerting.told()), ["active"]);
    }
    assert_eq!(alerting.told()[0]["at"], old.at.plus(60 * SECOND).to_string());
    alerting.judge(&temperatures(DEVICE, &[21.0])).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "cleared"]);
    // A device that speaks, whatever the sweep thought of it.
    alerting.command(&[silent]).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "cleared"]);
}

#[tokio::test]
async fn what_has_been_clear_for_long_is_removed_from_the_broker() {
    let mut alerting = Alerting::start_with(&[HOT], &[("TIDEGATE_ALERT_KEEP_MINUTES", "0")]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"], "what stands stays");
    alerting.judge(&temperatures(DEVICE, &[20.0])).await.unwrap().unwrap();
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active", "cleared", "removed"]);
    assert!(alerting.item(DEVICE).unwrap().get("standing").is_none());
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()).last(), Some(&"active"));
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_is_told_and_the_last_good_one_stands() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[20.0])).await.unwrap().unwrap();
    alerting.put_document("hot", "{").unwrap();
    alerting.put_document("other", "[]").unwrap();
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    assert_eq!(alerting.metrics().await.unwrap()["BrokenRules"], 2);
    assert_eq!(states(&alerting.told()), ["active"]);
}

#[tokio::test]
async fn what_a_rule_has_raised_that_nobody_can_read_goes_on_to_stand_and_of_a_removed_one_ends() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    alerting.put_document("hot", "{").unwrap();
    // A process that has never seen the rule when it was good.
    alerting.restart().await.unwrap();
    alerting.tidy().await.unwrap().unwrap();
    assert_eq!(states(&alerting.told()), ["active"]);
    alerting.put_rule(&HOT.replace("\"hot\"", "\"other\"")).unwrap();
    alerting.remove_rule("hot");
    alerting.tidy().await.unwrap().unwrap();
    let told = alerting.told();
    assert_eq!(states(&told), ["active", "cleared", "removed"]);
    assert_eq!(told[1]["cause"], "removed");
    assert_eq!(alerting.note(DEVICE), Value::Null);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_begun_anew_and_told() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let garbage = json!({"device": {"S": DEVICE}, "rev": {"N": "7"}, "tracks": {"S": "what?"}});
    alerting.aws.put_item(ALERTS, garbage.as_object().unwrap().clone()).unwrap();
    alerting.judge(&temperatures(DEVICE, &[60.0])).await.unwrap().unwrap();
    assert!(alerting.metrics().await.unwrap()["Unreadable"].as_u64().unwrap() > 0);
    assert_eq!(states(&alerting.told()), ["active"]);
    assert_eq!(alerting.item(DEVICE).unwrap()["rev"]["N"], "9");
}

#[tokio::test]
async fn a_rule_for_a_million_devices_is_bounded_and_harms_nobody() {
    const EVERYBODY: &str = r#"
        name = "hot"
        severity = "info"
        message = "m"
        devices = "*/*"
        for = "1s"
        condition = { metric = "temperature", above = 50 }
    "#;
    let mut alerting = Alerting::start(&[EVERYBODY]).await.unwrap();
    // More than are remembered; who is forgotten is read again.
    for batch in 0..21 {
        let readings: Vec<Reading> = (0..1_000)
            .flat_map(|number| temperatures(&format!("plant-{batch}/oven-{number}"), &[20.0]))
            .collect();
        alerting.judge(&readings).await.unwrap().unwrap();
        assert_adds_up(&alerting.metrics().await.unwrap());
    }
    let peak = alerting.function.peak_memory().unwrap();
    assert!(peak < 200 << 20, "{peak} bytes");
    assert!(alerting.aws.items(ALERTS).is_empty());
}

#[tokio::test]
async fn what_flaps_through_a_long_batch_is_told_in_pieces_and_damped() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let values: Vec<f64> = (0..600).map(|number| if number % 2 == 0 { 60.0 } else { 20.0 }).collect();
    alerting.judge(&temperatures(DEVICE, &values)).await.unwrap().unwrap();
    let told = alerting.told();
    assert!(told.len() < 10, "{} were told", told.len());
    assert_eq!(told.last().unwrap()["cause"], "unstable", "{told:?}");
}

#[tokio::test]
async fn an_event_of_unknown_shape_fails_the_invocation_and_strangers_are_passed_over() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    assert_eq!(alerting.stream(&["{}".to_owned()]).await.unwrap(), all_well());
    assert_eq!(alerting.metrics().await.unwrap()["Ignored"], 1);
    let outcome = alerting.function.invoke(r#"{"what": "?"}"#, Duration::from_secs(5)).await.unwrap().outcome;
    let is_unknown = matches!(&outcome, tests::runtime_api::Outcome::Error { error_type, .. } if error_type == "Tidegate.UnknownEvent");
    assert!(is_unknown, "{outcome:?}");
    assert!(alerting.aws.items(DEVICES).is_empty());
}

#[tokio::test]
async fn what_devices_send_never_reaches_the_log() {
    let mut alerting = Alerting::start(&[HOT]).await.unwrap();
    let mut readings = temperatures(DEVICE, &[60.0]);
    readings[0].unit = Some("s3cr3t-unit".into());
    alerting.judge(&readings).await.unwrap().unwrap();
    let stranger = json!({"device": {"S": "s3cr3t"}}).to_string();
    alerting.stream(&[stranger]).await.unwrap().unwrap();
    alerting.command(&[json!("s3cr3t")]).await.unwrap().unwrap();
    let lines = [alerting.function.stdout(), alerting.function.stderr()].concat();
    assert!(lines.iter().all(|line| !line.contains("s3cr3t")), "{lines:?}");
}
