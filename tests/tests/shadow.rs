//! The function `shadow` as a process: whatever happens on the way, in the end each shadow shows its device.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Display;
use std::time::{Duration, Instant};

use cloud::sdk::dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use cloud::sdk::iotdata;
use serde_json::{Value, json};
use telemetry::Profile;
use tests::events::{dynamodb_stream, sqs};
use tests::fake_aws::{FakeAws, Fault, Operation, Pick};
use tests::shadow::{CONFIG, Counts, DEVICES, NAME, QUEUE, Shadow};

/// 2026-11-23T07:00:00Z.
const SEVEN: i64 = 1_795_417_200_000_000;
const SECOND: Duration = Duration::from_secs(1);
const PUMP: &str = "plant-1/pump-7";

fn n(number: impl Display + Copy) -> Value {
    json!({"N": number.to_string()})
}

fn presence(online: bool) -> Option<Value> {
    Some(
        json!({"M": {"online": {"BOOL": online}, "since": n(SEVEN), "session": {"S": "s"}, "version": n(1)}}),
    )
}

/// With the pump in the registry.
fn start(deadband: &str, interval: &str) -> Shadow {
    let shadow = Shadow::with(deadband, interval).unwrap();
    shadow.aws.create_thing("pump-7");
    shadow
}

fn requests(shadow: &Shadow) -> [u64; 3] {
    [Operation::BatchGetItem, Operation::UpdateThingShadow, Operation::UpdateItem]
        .map(|operation| shadow.aws.counters(operation).requests)
}

/// Writes a part of the shadow that is not the pipeline's, as an application does.
async fn desire(aws: &FakeAws, thing: &str, desired: Value) {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = cloud::clients::in_lambda().await.into_builder().region(Region::new("us-east-1"));
    let config = config.credentials_provider(SharedCredentialsProvider::new(credentials));
    let client = iotdata::Client::new(&config.endpoint_url(aws.endpoint()).build());
    let document = json!({"state": {"desired": desired}}).to_string();
    let payload = iotdata::primitives::Blob::new(document);
    client.update_thing_shadow().thing_name(thing).shadow_name(NAME).payload(payload).send().await.unwrap();
}

/// A payload may name its device as a thing is called.
#[tokio::test]
async fn the_thing_of_a_device_that_a_payload_names_is_another_one() {
    for (site, word) in [
        ("payload::iot", "payload"),
        ("plant-1", "gateway"),
        ("plant-1", "sparkplug"),
        ("plant-2", "relayed"),
        ("plant-1", "later"),
    ] {
        let mut shadow = start("1", "0");
        let device = &format!("{site}/pump-7");
        shadow.write(device, "identity", Some(json!({"S": word}))).unwrap();
        shadow.measure(device, "temperature", &n(22.5), SEVEN).unwrap();
        shadow.write(device, "presence", presence(true)).unwrap();
        let counts = shadow.deliver().await.unwrap().unwrap();
        assert_eq!(shadow.aws.shadow_updates(), [], "{word}: {counts:?}");
        assert_eq!(
            (counts.updates, counts.failed, counts.no_thing),
            (0, counts.received, 1),
            "{word}: {counts:?}"
        );
        assert_eq!(requests(&shadow), [0, 0, 0], "{word}: it is not even read");
    }
}

#[tokio::test]
async fn the_shadow_shows_what_the_table_says_and_desired_is_left_alone() {
    let mut shadow = start("1", "0");
    desire(&shadow.aws, "pump-7", json!({"metrics": {"target": {"value": 5}}, "rate": 9})).await;
    let more = [("rev", n(3)), ("tags", json!({"SS": ["x"]})), ("presence", presence(true).unwrap())];
    for (name, value) in more {
        shadow.write(PUMP, name, Some(value)).unwrap();
    }
    shadow.measure(PUMP, "temperature", &n(22.5), SEVEN + 250_000).unwrap();
    shadow.measure(PUMP, "ok", &json!({"BOOL": true}), SEVEN).unwrap();
    let before = shadow.item(PUMP);
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 5, sent: 5, updates: 1, ..Counts::default() });
    let entry = |value: Value, at: &str| json!({"value": value, "at": at, "quality": "good"});
    let mut expected = json!({
        "metrics": {"temperature": entry(json!(22.5), "2026-11-23T07:00:00.25Z"), "ok": entry(json!(true), "2026-11-23T07:00:00Z")},
        "connection": {"online": true, "since": "2026-11-23T07:00:00Z"}
    });
    assert_eq!(shadow.reported("pump-7"), expected);
    let mut after = shadow.item(PUMP);
    assert!(after.remove("shadow").is_some());
    assert_eq!(after, before, "nothing else of the item is written, its revision neither");

    shadow.measure(PUMP, "temperature", &n(22.6), SEVEN + 1_000_000).unwrap();
    shadow.settle().await.unwrap();
    assert_eq!(shadow.reported("pump-7"), expected, "within the deadband");
    let alert = json!({"M": {"rule": {"S": "hot"}, "severity": {"S": "warning"}, "state": {"S": "active"}, "since": n(SEVEN), "id": {"S": "a1"}}});
    shadow.write(PUMP, "alert", Some(alert)).unwrap();
    shadow.settle().await.unwrap();
    expected["alert"] = json!({"rule": "hot", "severity": "warning", "state": "active", "since": "2026-11-23T07:00:00Z", "id": "a1"});
    assert_eq!(shadow.reported("pump-7"), expected, "and it stays out of the update");
    shadow.write(PUMP, "alert", None).unwrap();
    shadow.write(PUMP, "presence", presence(false)).unwrap();
    shadow.measure(PUMP, "temperature", &n(22.73), SEVEN + 2_000_000).unwrap();
    shadow.settle().await.unwrap();
    expected["connection"]["online"] = json!(false);
    expected["metrics"]["temperature"] = entry(json!(22.73), "2026-11-23T07:00:02Z");
    expected.as_object_mut().unwrap().remove("alert");
    assert_eq!(shadow.reported("pump-7"), expected);

    let desired = &shadow.aws.shadow("pump-7", NAME).unwrap()["state"]["desired"];
    assert_eq!(*desired, json!({"metrics": {"target": {"value": 5}}, "rate": 9}));
    for update in &shadow.aws.shadow_updates()[1..] {
        assert_eq!(update.payload["state"].as_object().unwrap().keys().collect::<Vec<_>>(), ["reported"]);
    }
}

/// Stores a document as the profile of this name.
fn put_profile(shadow: &Shadow, name: &str, document: &str) {
    let text = |text: &str| json!({"S": text});
    let item = [
        ("kind", text("profile")),
        ("name", text(name)),
        ("document", text(document)),
        ("updated", n(SEVEN)),
    ];
    let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    shadow.aws.put_item(CONFIG, item).unwrap();
}

#[tokio::test]
async fn a_profile_says_how_far_a_metric_may_move() {
    let mut shadow = start("10", "0");
    let profile = |name: &str, devices: &str, deadband: f64| {
        let text = format!(
            "name = \"{name}\"\ndevices = \"{devices}\"\n[[metric]]\nfrom = \"x\"\ndeadband = {deadband}"
        );
        Profile::from_toml(&text).unwrap().to_json().to_owned()
    };
    put_profile(&shadow, "pumps", &profile("pumps", "*/pump-*", 2.0));
    put_profile(&shadow, "exact", &profile("exact", "*/other-*", 0.0));
    let mut updates = Vec::new();
    let mut step = async |shadow: &mut Shadow, metric: &str, value: i64| {
        shadow.measure(PUMP, metric, &n(value), SEVEN + value).unwrap();
        shadow.settle().await.unwrap();
        updates.push(shadow.aws.shadow_updates().len());
    };
    // By its id it is one of the pumps.
    step(&mut shadow, "x", 100).await;
    step(&mut shadow, "x", 102).await;
    step(&mut shadow, "x", 103).await;
    // Of this one no profile says anything.
    step(&mut shadow, "y", 100).await;
    step(&mut shadow, "y", 109).await;
    // Its messages are read by another profile.
    shadow.write(PUMP, "profile", Some(json!({"S": "exact"}))).unwrap();
    step(&mut shadow, "x", 104).await;
    // A profile that cannot be read any more stands as it was.
    put_profile(&shadow, "exact", "{}");
    step(&mut shadow, "x", 105).await;
    assert_eq!(updates, [1, 1, 2, 3, 3, 4, 5]);
    // Without the profiles nothing is decided, and nothing lost.
    shadow.kill();
    shadow.aws.fail_next(Operation::Query, Fault::Throttle, u64::MAX);
    shadow.measure(PUMP, "x", &n(106), SEVEN + 106).unwrap();
    let failed = shadow.deliver_within(SECOND * 2).await.unwrap();
    assert_eq!(failed.unwrap_err(), "Tidegate.ProfilesNotRead");
}

#[tokio::test]
async fn delivered_again_late_and_out_of_order_nothing_is_sent_twice() {
    let mut shadow = start("0", "0");
    for value in 0..4 {
        shadow.measure(PUMP, "x", &n(value), SEVEN + value).unwrap();
        shadow.deliver().await.unwrap().unwrap();
    }
    shadow.settle().await.unwrap();
    assert_eq!((shadow.value("pump-7", "x"), shadow.aws.shadow_updates().len()), (json!(3), 4));
    for from in [0, 2, 5, 0] {
        shadow.rewind(from);
        let counts = shadow.deliver().await.unwrap().unwrap();
        assert_eq!(counts.suppressed, counts.received);
    }
    // An old image alone.
    let old = json!({"device": {"S": PUMP}, "latest": {"M": {"x": {"M": {"value": n(1), "at": n(SEVEN)}}}}});
    shadow.push_record(Some(old.to_string()));
    shadow.settle().await.unwrap();
    assert_eq!((shadow.value("pump-7", "x"), shadow.aws.shadow_updates().len()), (json!(3), 4));
}

#[tokio::test]
async fn its_own_notes_and_removals_cost_no_request() {
    let mut shadow = start("1", "0");
    shadow.measure(PUMP, "x", &n(100), SEVEN).unwrap();
    shadow.deliver().await.unwrap().unwrap();
    assert_eq!(requests(&shadow), [1, 1, 1]);
    shadow.push_record(None);
    shadow.measure(PUMP, "x", &n(101), SEVEN + 1).unwrap();
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 3, suppressed: 3, ..Counts::default() });
    assert_eq!(requests(&shadow), [1, 1, 1]);
}

/// Ends the process right after the next update was accepted, before the function knows.
async fn kill_after_update(shadow: &mut Shadow) {
    let pid = shadow.process().await.unwrap().pid().to_string();
    shadow.aws.after_next(Operation::UpdateThingShadow, 1, move |_| {
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    });
    assert_eq!(shadow.deliver().await.unwrap(), Err("Runtime.ExitError".to_owned()));
}

#[tokio::test]
async fn killed_between_sending_and_noting_the_shadow_is_right_in_the_end() {
    let mut shadow = start("0", "0");
    shadow.measure(PUMP, "open", &json!({"BOOL": false}), SEVEN).unwrap();
    shadow.settle().await.unwrap();
    shadow.measure(PUMP, "open", &json!({"BOOL": true}), SEVEN + 1).unwrap();
    kill_after_update(&mut shadow).await;
    assert_eq!(shadow.value("pump-7", "open"), json!(true));
    // What comes again is the same: it is sent again, and noted.
    shadow.settle().await.unwrap();
    assert_eq!((shadow.value("pump-7", "open"), shadow.aws.shadow_updates().len()), (json!(true), 3));
    // This time the door is closed again before the batch comes again: as the note still has it.
    shadow.measure(PUMP, "open", &json!({"BOOL": false}), SEVEN + 2).unwrap();
    shadow.settle().await.unwrap();
    shadow.measure(PUMP, "open", &json!({"BOOL": true}), SEVEN + 3).unwrap();
    kill_after_update(&mut shadow).await;
    shadow.measure(PUMP, "open", &json!({"BOOL": false}), SEVEN + 4).unwrap();
    shadow.settle().await.unwrap();
    assert_eq!(shadow.value("pump-7", "open"), json!(false));
}

#[tokio::test]
async fn what_was_told_and_could_not_be_noted_is_handed_back() {
    let mut shadow = start("0", "0");
    shadow.measure(PUMP, "x", &n(1), SEVEN).unwrap();
    shadow.aws.fail_next(Operation::UpdateItem, Fault::Throttle, u64::MAX);
    let counts = shadow.deliver_within(3 * SECOND).await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 1, handed_back: 1, updates: 1, ..Counts::default() });
    shadow.aws.clear_faults();
    shadow.measure(PUMP, "x", &n(2), SEVEN + 1).unwrap();
    shadow.settle().await.unwrap();
    assert_eq!(shadow.value("pump-7", "x"), json!(2));
}

#[tokio::test]
async fn throttled_for_the_whole_invocation_all_is_handed_back_and_nothing_lost() {
    for operation in [Operation::UpdateThingShadow, Operation::BatchGetItem] {
        let mut shadow = start("0", "0");
        shadow.aws.create_thing("quiet");
        shadow.measure("plant-1/quiet", "x", &n(1), SEVEN).unwrap();
        shadow.deliver().await.unwrap().unwrap();
        shadow.measure(PUMP, "x", &n(1), SEVEN).unwrap();
        shadow.measure(PUMP, "x", &n(2), SEVEN + 1).unwrap();
        shadow.aws.fail_next(operation, Fault::Throttle, u64::MAX);
        let before = shadow.aws.counters(operation).requests;
        let counts = shadow.deliver_within(3 * SECOND).await.unwrap().unwrap();
        assert_eq!(counts, Counts { received: 3, suppressed: 1, handed_back: 2, ..Counts::default() });
        assert_eq!(shadow.undelivered(), 2, "from the first record of the device that failed");
        assert!(shadow.aws.counters(operation).requests > before + 3, "it has tried again meanwhile");
        shadow.aws.clear_faults();
        shadow.measure(PUMP, "x", &n(3), SEVEN + 2).unwrap();
        shadow.settle().await.unwrap();
        assert_eq!(shadow.value("pump-7", "x"), json!(3));
    }
}

#[tokio::test]
async fn what_hangs_is_handed_back_before_lambda_ends_the_function() {
    for operation in [Operation::UpdateThingShadow, Operation::BatchGetItem, Operation::UpdateItem] {
        let mut shadow = start("0", "0");
        shadow.measure(PUMP, "x", &n(1), SEVEN).unwrap();
        shadow.aws.set_latency(operation, 60 * SECOND);
        let counts = shadow.deliver_within(3 * SECOND).await.unwrap().unwrap();
        assert_eq!(counts.handed_back, 1, "{operation:?}");
    }
}

#[tokio::test]
async fn faults_that_pass_are_survived() {
    let mut shadow = start("0", "0");
    for number in 0..250 {
        let device = format!("plant-1/d-{number}");
        shadow.aws.create_thing(&format!("d-{number}"));
        let latest = json!({"M": {"x": {"M": {"value": n(number), "at": n(SEVEN)}}}});
        let item = json!({"device": {"S": device}, "latest": latest});
        shadow.aws.put_item(DEVICES, item.as_object().unwrap().clone()).unwrap();
    }
    shadow.follow();
    for operation in [Operation::BatchGetItem, Operation::UpdateThingShadow, Operation::UpdateItem] {
        shadow.aws.fail_next(operation, Fault::Throttle, 2);
        shadow.aws.fail_next(operation, Fault::InternalError, 2);
        shadow.aws.fail_next(operation, Fault::DropConnection, 2);
    }
    shadow.aws.fail_next(Operation::UpdateThingShadow, Fault::Conflict, 5);
    shadow.aws.leave_unprocessed_keys(Pick::EveryKth(7));
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 250, sent: 250, updates: 250, ..Counts::default() });
    assert_eq!(shadow.value("d-249", "x"), json!(249));
    // 3, and for the 35 + 5 that were left: 1 and 1; and 6 that failed. One by one it would be 40 more.
    let reads = shadow.aws.counters(Operation::BatchGetItem).requests;
    assert!(reads <= 14, "{reads} requests");
}

#[tokio::test]
async fn a_device_without_a_thing_fails_alone_and_at_once() {
    let mut shadow = start("0", "0");
    for device in ["plant-1/nobody", "plant-1/no thing has this name", "nowhere", PUMP] {
        shadow.measure(device, "x", &n(1), SEVEN).unwrap();
    }
    shadow.measure("plant-1/nobody", "x", &n(2), SEVEN + 1).unwrap();
    let counts = shadow.deliver().await.unwrap().unwrap();
    let expected = Counts { received: 5, sent: 1, failed: 4, updates: 1, no_thing: 3, ..Counts::default() };
    assert_eq!(counts, expected);
    assert_eq!(requests(&shadow), [1, 2, 1], "neither tried again nor asked for what cannot be");
    assert_eq!(shadow.undelivered(), 1, "its own note");
    shadow.aws.create_thing("nobody");
    shadow.measure("plant-1/nobody", "x", &n(3), SEVEN + 2).unwrap();
    shadow.settle().await.unwrap();
    assert_eq!(shadow.value("nobody", "x"), json!(3));
}

#[tokio::test]
async fn what_is_refused_as_too_large_fails_and_is_not_tried_again() {
    let mut shadow = start("0", "0");
    desire(&shadow.aws, "pump-7", json!({"x": "y".repeat(8_100)})).await;
    shadow.measure(PUMP, "x", &n(1), SEVEN).unwrap();
    shadow.aws.reset_counters();
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 1, failed: 1, ..Counts::default() });
    assert_eq!(requests(&shadow), [1, 1, 0]);
}

#[tokio::test]
async fn a_device_that_invents_names_never_outgrows_its_shadow() {
    let mut shadow = start("0", "0");
    shadow.write(PUMP, "presence", presence(true)).unwrap();
    for round in 0..5 {
        let metric = |number: i64| {
            let at = n(SEVEN + round * 1_000 + number);
            (format!("name {round} {number}"), json!({"M": {"value": n(number), "at": at}}))
        };
        let latest = (0..120).map(metric).collect::<serde_json::Map<_, _>>();
        let mut all = shadow.item(PUMP).remove("latest").unwrap_or_else(|| json!({"M": {}}));
        all["M"].as_object_mut().unwrap().extend(latest);
        shadow.write(PUMP, "latest", Some(all)).unwrap();
        let counts = shadow.deliver().await.unwrap().unwrap();
        assert_eq!((counts.sent, counts.failed, counts.trimmed > 0), (counts.received, 0, true));
        shadow.settle().await.unwrap();
        let reported = shadow.reported("pump-7");
        assert_eq!(reported["connection"]["online"], true);
        assert_eq!(reported["metrics"][format!("name {round} 119")]["value"], 119);
        assert!(reported.to_string().len() > 6_500, "it is full: {}", reported.to_string().len());
    }
    assert_eq!(shadow.aws.counters(Operation::UpdateThingShadow).refused, 0);
}

#[tokio::test]
async fn a_chatty_device_costs_one_update_an_interval_and_its_last_value_comes_through() {
    let mut shadow = start("0", "1");
    let began = Instant::now();
    let (mut value, mut sent_at) = (0, Vec::new());
    while began.elapsed() < Duration::from_millis(3_500) {
        value += 1;
        shadow.measure(PUMP, "x", &n(value), SEVEN + value).unwrap();
        if shadow.deliver().await.unwrap().unwrap().updates > 0 {
            let at = &shadow.item(PUMP)["shadow"]["M"]["at"]["N"];
            sent_at.push(at.as_str().unwrap().parse::<i64>().unwrap());
        }
        shadow.deliver_nudges().await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let intervals = began.elapsed().as_secs() as usize + 1;
    assert!((2..=intervals).contains(&sent_at.len()), "{sent_at:?} in {intervals} intervals");
    assert!(sent_at.windows(2).all(|pair| pair[1] - pair[0] >= 1_000_000), "{sent_at:?}");
    assert!(value > 20, "it was chatty: {value}");
    let nudges = shadow.aws.sent();
    assert!((1..=sent_at.len()).contains(&nudges.len()), "{} nudges for {value} changes", nudges.len());
    assert!(nudges.iter().all(|sent| sent.queue_url == QUEUE && (1..=2).contains(&sent.delay_seconds)));
    shadow.settle().await.unwrap();
    assert_eq!(shadow.value("pump-7", "x"), json!(value));
}

#[tokio::test]
async fn a_change_that_has_to_wait_survives_the_process() {
    let mut shadow = start("0", "1");
    shadow.measure(PUMP, "x", &n(1), SEVEN).unwrap();
    shadow.deliver().await.unwrap().unwrap();
    shadow.measure(PUMP, "x", &n(2), SEVEN + 1).unwrap();
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!((counts.deferred, counts.suppressed, shadow.nudges()), (2, 0, 1));
    shadow.kill();
    shadow.settle().await.unwrap();
    assert_eq!(shadow.value("pump-7", "x"), json!(2));
}

#[tokio::test]
async fn while_the_queue_refuses_what_has_to_wait_is_handed_back() {
    let mut shadow = start("0", "2");
    let devices: Vec<String> = (0..25).map(|number| format!("d-{number}")).collect();
    for device in &devices {
        shadow.aws.create_thing(device);
        shadow.measure(&format!("p/{device}"), "x", &n(1), SEVEN).unwrap();
    }
    shadow.deliver().await.unwrap().unwrap();
    for device in &devices {
        shadow.measure(&format!("p/{device}"), "x", &n(2), SEVEN).unwrap();
    }
    shadow.aws.fail_messages(Pick::EveryKth(3));
    shadow.aws.fail_next(Operation::SendMessageBatch, Fault::Throttle, 1);
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!((counts.deferred, counts.received, shadow.nudges()), (50, 50, 25), "each is nudged once");
    shadow.settle().await.unwrap();
    for device in &devices {
        assert_eq!(shadow.value(device, "x"), json!(2));
        shadow.measure(&format!("p/{device}"), "x", &n(3), SEVEN).unwrap();
    }
    shadow.aws.fail_next(Operation::SendMessageBatch, Fault::Throttle, u64::MAX);
    let counts = shadow.deliver_within(Duration::from_millis(2_500)).await.unwrap().unwrap();
    assert_eq!((counts.handed_back, shadow.nudges()), (25, 0));
    shadow.aws.clear_faults();
    shadow.settle().await.unwrap();
    for device in &devices {
        assert_eq!(shadow.value(device, "x"), json!(3));
    }
}

#[tokio::test]
async fn a_nudge_has_the_stream_bring_the_device_again() {
    let mut shadow = start("0", "0");
    shadow.measure(PUMP, "x", &n(1), SEVEN).unwrap();
    shadow.settle().await.unwrap();
    let bodies = [
        json!({"device": PUMP}).to_string(),
        json!({"device": "plant-1/gone"}).to_string(),
        "hello".to_owned(),
        json!({"device": 5}).to_string(),
    ];
    let answer = shadow.invoke(sqs(&bodies), 5 * SECOND).await.unwrap().unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m-2"}, {"itemIdentifier": "m-3"}]}));
    let expected = Counts { received: 4, nudged: 1, suppressed: 1, handed_back: 2, ..Counts::default() };
    assert_eq!(shadow.counts().await.unwrap(), expected);
    assert!(shadow.item(PUMP)["nudged"]["N"].is_string());
    assert_eq!((shadow.undelivered(), shadow.aws.items(DEVICES).len()), (1, 1), "and no device is made");
    assert_eq!(shadow.aws.shadow_updates().len(), 1, "nothing is sent here");
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 1, suppressed: 1, ..Counts::default() });
    shadow.aws.fail_next(Operation::UpdateItem, Fault::Throttle, u64::MAX);
    let answer = shadow.invoke(sqs(&bodies[..1]), 2 * SECOND).await.unwrap().unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m-0"}]}));
}

#[tokio::test]
async fn a_thousand_devices_in_one_event() {
    let mut shadow = start("0", "900");
    for number in 0..1_000 {
        shadow.aws.create_thing(&format!("d-{number}"));
        let latest = json!({"M": {"x": {"M": {"value": n(number), "at": n(SEVEN)}}}});
        let item = json!({"device": {"S": format!("plant-1/d-{number}")}, "latest": latest});
        shadow.aws.put_item(DEVICES, item.as_object().unwrap().clone()).unwrap();
    }
    shadow.follow();
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 1_000, sent: 1_000, updates: 1_000, ..Counts::default() });
    assert_eq!(requests(&shadow), [10, 1_000, 1_000]);
    assert_eq!(shadow.value("d-999", "x"), json!(999));
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 1_000, suppressed: 1_000, ..Counts::default() });
    assert_eq!(requests(&shadow), [10, 1_000, 1_000]);
    for number in 0..100 {
        let mut item = shadow.item(&format!("plant-1/d-{number}"));
        item["latest"]["M"]["x"]["M"]["value"] = n(-1);
        shadow.aws.put_item(DEVICES, item).unwrap();
    }
    shadow.follow();
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 100, deferred: 100, ..Counts::default() });
    assert_eq!((shadow.nudges(), shadow.aws.counters(Operation::SendMessageBatch).requests), (100, 10));
}

#[tokio::test]
async fn a_device_that_is_deleted_meanwhile_does_not_come_back() {
    let mut shadow = start("0", "0");
    let gone = json!({"device": {"S": "plant-1/gone"}, "latest": {"M": {"x": {"M": {"value": n(1), "at": n(SEVEN)}}}}});
    shadow.push_record(Some(gone.to_string()));
    let counts = shadow.deliver().await.unwrap().unwrap();
    assert_eq!(counts, Counts { received: 1, suppressed: 1, ..Counts::default() });
    assert!(shadow.aws.items(DEVICES).is_empty());
}

#[tokio::test]
async fn an_event_of_unknown_shape_fails_the_invocation() {
    let mut shadow = start("0", "0");
    let stranger = dynamodb_stream([Some(r#"{"id": {"S": "x"}}"#)]);
    for event in ["{}", "[1", r#"{"Records": [{"kinesis": {}}]}"#, &stranger] {
        let outcome = shadow.invoke(event.to_owned(), SECOND * 10).await.unwrap();
        assert_eq!(outcome, Err("Tidegate.UnknownEvent".to_owned()), "{event}");
    }
}

#[tokio::test]
async fn what_devices_send_never_reaches_the_log() {
    const SECRET: &str = "s3cr3t-w0rd";
    let mut shadow = start("0", "0");
    shadow.measure(PUMP, SECRET, &json!({"S": SECRET}), SEVEN).unwrap();
    shadow.measure("plant-1/nobody", SECRET, &json!({"S": SECRET}), SEVEN).unwrap();
    shadow.aws.fail_next(Operation::UpdateThingShadow, Fault::Throttle, u64::MAX);
    shadow.deliver_within(2 * SECOND).await.unwrap().unwrap();
    shadow.aws.clear_faults();
    shadow.settle().await.unwrap();
    desire(&shadow.aws, "pump-7", json!({"x": "y".repeat(8_000)})).await;
    shadow
        .measure(PUMP, SECRET, &json!({"S": format!("{SECRET} and {}", "more ".repeat(100))}), SEVEN)
        .unwrap();
    assert_eq!(shadow.deliver().await.unwrap().unwrap().failed, 1);
    let nudge = json!({"device": 5, "more": SECRET}).to_string();
    shadow.invoke(sqs(&[nudge, SECRET.to_owned()]), SECOND).await.unwrap().unwrap();
    let stranger = dynamodb_stream([Some(r#"{"id": {"S": "s3cr3t-w0rd"}}"#)]);
    shadow.invoke(stranger, SECOND).await.unwrap().unwrap_err();
    let function = shadow.process().await.unwrap();
    let log = [function.stdout(), function.stderr()].concat().join("\n");
    assert!(log.contains("requests to AWS failed"), "the log is not empty: {log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn without_its_configuration_the_function_says_all_that_is_missing() {
    let binary = tests::functions::binary("shadow", "debug").unwrap();
    let environment = [("TIDEGATE_SHADOW_NAME", "a/b"), ("TIDEGATE_SHADOW_DEADBAND_PERCENT", "-1")];
    let error = tests::runtime_api::Function::start(binary, &environment).await.unwrap_err().to_string();
    for name in [
        "TIDEGATE_DEVICES_TABLE",
        "TIDEGATE_SHADOW_QUEUE_URL",
        "TIDEGATE_SHADOW_NAME",
        "TIDEGATE_SHADOW_DEADBAND_PERCENT",
    ] {
        assert!(error.contains(name), "{name} is missing in: {error}");
    }
}
