//! The function `presence` as a process: whatever happens to the broker's events, what stands is what is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::events::{RECEIVED, envelope, sqs};
use tests::fake_aws::{Fault, Operation, Pick};
use tests::functions::all_well;
use tests::ingest::Ingest;
use tests::presence::{Counts, DEVICES, Looked, Presence, lifecycle, received};

const SECONDS: Duration = Duration::from_secs(1);
const ENOUGH: Duration = Duration::from_secs(30);

fn connected(client: &str, second: i64, version: i64) -> String {
    lifecycle("connected", client, second, version)
}

fn disconnected(client: &str, second: i64, version: i64) -> String {
    lifecycle("disconnected", client, second, version)
}

fn failed_ids(answer: &Result<Value, String>) -> BTreeSet<String> {
    let failures = answer.as_ref().unwrap()["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

/// `presence` with these devices, each heard of at [`RECEIVED`].
async fn with_devices(devices: &[&str]) -> Presence {
    let presence = Presence::start().await.unwrap();
    for device in devices {
        presence.add_device(device, RECEIVED).unwrap();
    }
    presence
}

/// What stands of a device, as `online@second` or `offline@second`; `-` if nothing does.
fn state(presence: &Presence, device: &str) -> String {
    let stored = presence.stored().unwrap().remove(device).unwrap();
    stored.map_or_else(
        || "-".to_owned(),
        |stored| {
            let word = if stored.online { "online" } else { "offline" };
            format!("{word}@{}", stored.since.0 / 1_000_000 - RECEIVED / 1_000)
        },
    )
}

async fn assert_adds_up(presence: &Presence) -> Counts {
    let counts = presence.counts().await.unwrap();
    let Counts { received, applied, outdated, unknown, handed_back } = counts;
    assert_eq!(received, applied + outdated + unknown + handed_back, "{counts:?}");
    counts
}

#[tokio::test]
async fn late_twice_and_out_of_order_what_stands_is_what_is() {
    let check = async |batches: &[&[String]], expected: &str| {
        let mut presence = with_devices(&["plant/a"]).await;
        for batch in batches {
            assert_eq!(presence.invoke(&sqs(batch), ENOUGH).await.unwrap(), all_well());
            assert_adds_up(&presence).await;
        }
        assert_eq!(state(&presence, "plant/a"), expected, "{} batches", batches.len());
    };
    let on = |second, version| connected("a", second, version);
    let off = |second, version| disconnected("a", second, version);
    check(&[&[on(0, 0)]], "online@0").await;
    check(&[&[on(0, 0), off(9, 0)]], "offline@9").await;
    check(&[&[on(0, 0)], &[off(9, 0)]], "offline@9").await;
    check(&[&[off(9, 0)], &[on(0, 0)]], "offline@9").await;
    check(&[&[off(9, 0), on(0, 0)], &[on(0, 0)]], "offline@9").await;
    // The end of the old session comes after the beginning of the new one.
    check(&[&[on(0, 0)], &[on(20, 1)], &[off(21, 0)]], "online@20").await;
    check(&[&[on(20, 1), on(0, 0), off(21, 0)]], "online@20").await;
    check(&[&[on(20, 1)], &[off(21, 0), on(0, 0)], &[off(21, 0)]], "online@20").await;
    check(&[&[on(20, 1)], &[off(21, 0)], &[off(40, 1)]], "offline@40").await;
    // The broker counts anew after an hour, and what is left of the old count comes late.
    check(&[&[off(9, 5)], &[on(4_000, 0)]], "online@4000").await;
    check(&[&[on(4_000, 0)], &[off(9, 5)], &[on(0, 5)]], "online@4000").await;
    check(&[&[off(9, 5), on(4_000, 0)]], "online@4000").await;
}

#[tokio::test]
async fn a_client_is_none_of_the_devices_that_payloads_and_gateways_name() {
    let others = [("payload::iot/a", "payload"), ("plant-2/a", "relayed")];
    let mut presence = with_devices(&["payload::iot/a", "plant/a", "plant-2/a"]).await;
    for mut item in presence.aws.items(DEVICES) {
        if let Some((_, word)) = others.iter().find(|(device, _)| item["device"]["S"] == *device) {
            item.insert("identity".to_owned(), json!({"S": word}));
            presence.aws.put_item(DEVICES, item).unwrap();
        }
    }
    assert_eq!(presence.invoke(&sqs(&[connected("a", 5, 3)]), ENOUGH).await.unwrap(), all_well());
    assert_eq!(&*state(&presence, "plant/a"), "online@5");
    for (device, _) in others {
        assert_eq!(&*state(&presence, device), "-", "{device}");
    }
    let expected = Counts { received: 1, applied: 1, ..Counts::default() };
    assert_eq!(assert_adds_up(&presence).await, expected);
}

#[tokio::test]
async fn nothing_but_presence_is_written_and_only_where_it_changes() {
    let mut presence = with_devices(&["plant/a", "plant/b"]).await;
    let before = presence.aws.items(DEVICES);
    presence.invoke(&sqs(&[connected("a", 5, 3)]), ENOUGH).await.unwrap().unwrap();
    let mut after = presence.aws.items(DEVICES);
    let written = after[0].remove("presence").unwrap();
    let expected = json!({"M": {
        "online": {"BOOL": true}, "since": {"N": "1795417205000000"}, "session": {"S": "session-3"}, "version": {"N": "3"}
    }});
    assert_eq!((after, written), (before, expected));
    presence.invoke(&sqs(&[disconnected("a", 9, 3)]), ENOUGH).await.unwrap().unwrap();
    assert_eq!(presence.stored().unwrap()["plant/a"].as_ref().unwrap().reason, Some("CONNECTION_LOST"));
    presence.aws.reset_counters();
    let again = [disconnected("a", 9, 3), connected("a", 5, 3)];
    assert_eq!(presence.invoke(&sqs(&again), ENOUGH).await.unwrap(), all_well());
    let expected = Counts { received: 2, outdated: 2, ..Counts::default() };
    assert_eq!(assert_adds_up(&presence).await, expected);
    assert_eq!(presence.aws.counters(Operation::UpdateItem).requests, 0);
}

#[tokio::test]
async fn one_write_for_a_device_and_invocation() {
    let names: Vec<String> = (0..250).map(|number| format!("d-{number}")).collect();
    let devices: Vec<String> = names.iter().map(|name| format!("plant/{name}")).collect();
    let mut presence = with_devices(&devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let bodies: Vec<String> = names
        .iter()
        .flat_map(|name| [disconnected(name, 9, 0), connected(name, 0, 0), connected(name, 10, 1)])
        .collect();
    assert_eq!(presence.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    let expected = Counts { received: 750, applied: 250, outdated: 500, ..Counts::default() };
    assert_eq!(assert_adds_up(&presence).await, expected);
    let requests = [Operation::Query, Operation::BatchGetItem, Operation::UpdateItem]
        .map(|operation| presence.aws.counters(operation).requests);
    assert_eq!(requests, [250, 3, 250]);
    assert!(devices.iter().all(|device| state(&presence, device) == "online@10"));
}

#[tokio::test]
async fn a_client_that_is_no_device_yet_is_waited_for_and_others_are_let_go() {
    let mut presence = with_devices(&[]).await;
    let bodies = [connected("new", 0, 0), connected("backend", 0, 0), connected("a/b", 0, 0)];
    for times in 1..=3 {
        let answer = presence.invoke(&received(&bodies, times).unwrap(), ENOUGH).await.unwrap();
        assert_eq!(failed_ids(&answer), BTreeSet::from(["m-0".to_owned(), "m-1".to_owned()]), "{times}");
        let expected = Counts { received: 3, unknown: 1, handed_back: 2, ..Counts::default() };
        assert_eq!(assert_adds_up(&presence).await, expected);
    }
    presence.add_device("plant/new", RECEIVED).unwrap();
    let answer = presence.invoke(&received(&bodies, 4).unwrap(), ENOUGH).await.unwrap();
    assert_eq!(answer, all_well());
    let expected = Counts { received: 3, applied: 1, unknown: 2, ..Counts::default() };
    assert_eq!(assert_adds_up(&presence).await, expected);
    assert_eq!(presence.stored().unwrap().len(), 1, "and no item is made that is no device");
}

#[tokio::test]
async fn a_new_device_is_found_by_what_ingest_writes() {
    let mut ingest = Ingest::start().await.unwrap();
    let message = |second: i64| envelope("plant/a", RECEIVED + second * 1_000, br#"{"x": 1}"#);
    ingest.invoke(&sqs(&[message(0)]), ENOUGH).await.unwrap().unwrap();
    let Ingest { aws, function } = ingest;
    let mut presence = Presence::beside(aws).await.unwrap();
    presence.invoke(&sqs(&[connected("a", 0, 0)]), ENOUGH).await.unwrap().unwrap();
    assert_eq!(state(&presence, "plant/a"), "online@0");
    // In order, then out of order: neither way of writing the latest values touches it.
    let mut ingest = Ingest { aws: presence.aws, function };
    for second in [20, 10] {
        ingest.invoke(&sqs(&[message(second)]), ENOUGH).await.unwrap().unwrap();
    }
    let stored = ingest.aws.items(DEVICES).remove(0);
    assert_eq!(stored["presence"]["M"]["online"], json!({"BOOL": true}));
    assert_eq!(ingest.devices().unwrap()[0].last_seen.0 / 1_000, RECEIVED + 20_000);
}

#[tokio::test]
async fn a_client_that_moved_is_shown_at_every_site() {
    let mut presence = with_devices(&["north/a", "south/a", "south/b"]).await;
    assert_eq!(presence.invoke(&sqs(&[connected("a", 3, 0)]), ENOUGH).await.unwrap(), all_well());
    let states = ["north/a", "south/a", "south/b"].map(|device| state(&presence, device));
    assert_eq!(states, ["online@3", "online@3", "-"]);
    assert_eq!(assert_adds_up(&presence).await.applied, 1, "one message");
}

#[tokio::test]
async fn throttled_for_the_whole_invocation_everything_is_handed_back() {
    let bodies = [connected("a", 0, 0), disconnected("a", 5, 0), connected("b", 0, 0)];
    for operation in [Operation::Query, Operation::BatchGetItem, Operation::UpdateItem] {
        let mut presence = with_devices(&["plant/a", "plant/b"]).await;
        presence.aws.fail_next(operation, Fault::Throttle, u64::MAX);
        let answer = presence.invoke(&sqs(&bodies), 3 * SECONDS).await.unwrap();
        assert_eq!(failed_ids(&answer).len(), 3, "{operation:?}");
        assert_eq!(assert_adds_up(&presence).await.handed_back, 3);
        assert!(presence.aws.counters(operation).requests > 3, "it has tried again meanwhile: {operation:?}");
        presence.aws.clear_faults();
        assert_eq!(presence.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
        assert_eq!(
            (state(&presence, "plant/a"), state(&presence, "plant/b")),
            ("offline@5".into(), "online@0".into())
        );
    }
}

#[tokio::test]
async fn what_hangs_is_handed_back_before_lambda_ends_the_function() {
    for operation in [Operation::Query, Operation::BatchGetItem, Operation::UpdateItem] {
        let mut presence = with_devices(&["plant/a"]).await;
        presence.aws.set_latency(operation, 60 * SECONDS);
        let answer = presence.invoke(&sqs(&[connected("a", 0, 0)]), 3 * SECONDS).await.unwrap();
        assert_eq!(failed_ids(&answer).len(), 1, "{operation:?}");
        assert_adds_up(&presence).await;
    }
}

#[tokio::test]
async fn faults_that_pass_are_survived() {
    let mut presence = with_devices(&["plant/a", "plant/b", "plant/c"]).await;
    for operation in [Operation::Query, Operation::BatchGetItem, Operation::UpdateItem] {
        for fault in [Fault::Throttle, Fault::InternalError, Fault::DropConnection] {
            presence.aws.fail_next(operation, fault, 1);
        }
    }
    let bodies = ["a", "b", "c"].map(|client| connected(client, 0, 0));
    assert_eq!(presence.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
    assert_adds_up(&presence).await;
    assert!(presence.stored().unwrap().values().all(|stored| stored.as_ref().unwrap().online));
}

#[tokio::test]
async fn killed_in_the_middle_and_delivered_again_what_stands_is_what_is() {
    let names: Vec<String> = (0..40).map(|number| format!("d-{number}")).collect();
    let devices: Vec<String> = names.iter().map(|name| format!("plant/{name}")).collect();
    let mut presence = with_devices(&devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let bodies: Vec<String> =
        names.iter().flat_map(|name| [connected(name, 0, 0), disconnected(name, 5, 0)]).collect();
    let pid = presence.function.pid().to_string();
    presence.aws.after_next(Operation::UpdateItem, 20, move |_| {
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    });
    let outcome = presence.invoke(&sqs(&bodies), ENOUGH).await.unwrap();
    assert_eq!(outcome, Err("Runtime.ExitError".to_owned()));
    let written = presence.stored().unwrap().values().flatten().count();
    assert!((20..40).contains(&written), "{written} of 40");
    presence.restart().await.unwrap();
    // The queue delivers them again, in other batches, the newer of some before the older.
    let (early, late) = bodies.split_at(31);
    for batch in [late, early] {
        assert_eq!(presence.invoke(&sqs(batch), ENOUGH).await.unwrap(), all_well());
        assert_adds_up(&presence).await;
    }
    assert!(devices.iter().all(|device| state(&presence, device) == "offline@5"));
}

/// What another invocation writes between reading and writing.
fn presence_of(online: bool, second: i64, version: i64) -> Value {
    let mut members = json!({
        "online": {"BOOL": online}, "since": {"N": ((RECEIVED + second * 1_000) * 1_000).to_string()},
        "session": {"S": format!("session-{version}")}, "version": {"N": version.to_string()},
    });
    if !online {
        members["reason"] = json!({"S": "CONNECTION_LOST"});
    }
    json!({"M": members})
}

#[tokio::test]
async fn two_writers_of_one_device_settle_on_what_is() {
    let check =
        async |before: Option<Value>, between: Value, event: String, expected: &str, counts: Counts| {
            let mut presence = with_devices(&["plant/a"]).await;
            let mut item = presence.aws.items(DEVICES).remove(0);
            if let Some(before) = before {
                item.insert("presence".to_owned(), before);
                presence.aws.put_item(DEVICES, item.clone()).unwrap();
            }
            item.insert("presence".to_owned(), between);
            presence
                .aws
                .after_next(Operation::BatchGetItem, 1, move |aws| aws.put_item(DEVICES, item).unwrap());
            assert_eq!(presence.invoke(&sqs(&[event]), ENOUGH).await.unwrap(), all_well());
            assert_eq!(state(&presence, "plant/a"), expected);
            assert_eq!(assert_adds_up(&presence).await, counts);
            assert_eq!(presence.aws.counters(Operation::BatchGetItem).requests, 2, "it has read again");
        };
    let applied = Counts { received: 1, applied: 1, ..Counts::default() };
    let outdated = Counts { received: 1, outdated: 1, ..Counts::default() };
    let (on, off) = (presence_of(true, 0, 0), presence_of(false, 5, 0));
    check(None, on.clone(), disconnected("a", 5, 0), "offline@5", applied).await;
    check(None, off.clone(), connected("a", 0, 0), "offline@5", outdated).await;
    check(Some(on.clone()), off.clone(), connected("a", 9, 1), "online@9", applied).await;
    check(Some(on), presence_of(true, 9, 1), disconnected("a", 5, 0), "online@9", outdated).await;
    // Somebody wrote what can not be read.
    check(None, json!({"M": {"online": {"S": "yes"}}}), connected("a", 0, 0), "online@0", applied).await;
}

#[tokio::test]
async fn overtaken_all_the_time_it_is_handed_back() {
    let mut presence = with_devices(&["plant/a"]).await;
    let item = presence.aws.items(DEVICES).remove(0);
    for round in 1..=200_i64 {
        let mut item = item.clone();
        item.insert("presence".to_owned(), presence_of(true, round, 0));
        let nth = u64::try_from(round).unwrap();
        presence
            .aws
            .after_next(Operation::BatchGetItem, nth, move |aws| aws.put_item(DEVICES, item).unwrap());
    }
    let answer = presence.invoke(&sqs(&[connected("a", 300, 5)]), 3 * SECONDS).await.unwrap();
    assert_eq!(failed_ids(&answer).len(), 1);
    assert_eq!(assert_adds_up(&presence).await.handed_back, 1);
}

#[tokio::test]
async fn what_is_no_event_is_handed_back_and_never_told() {
    let secret = "s3cr3t-w0rd";
    let wrapped = |payload: &str| {
        let payload = base64_simd::STANDARD.encode_to_string(payload);
        json!({"payload": payload, "topic": "$aws/events/presence/connected/a", "received": RECEIVED})
            .to_string()
    };
    let bodies = [
        connected("a", 0, 0),
        secret.to_owned(),
        wrapped(secret),
        wrapped(&format!(r#"{{"clientId": "{secret}"}}"#)),
        wrapped(&format!(r#"{{"eventType": "{secret}", "clientId": "a"}}"#)),
        json!({"topic": secret}).to_string(),
        connected(secret, 0, 0),
    ];
    let mut presence = with_devices(&["plant/a"]).await;
    presence.aws.fail_next(Operation::Query, Fault::Throttle, 1);
    let answer = presence.invoke(&received(&bodies, 4).unwrap(), ENOUGH).await.unwrap();
    assert_eq!(failed_ids(&answer), ["m-1", "m-2", "m-3", "m-4", "m-5"].map(str::to_owned).into());
    let expected = Counts { received: 7, applied: 1, unknown: 1, handed_back: 5, ..Counts::default() };
    assert_eq!(assert_adds_up(&presence).await, expected);
    let log = [presence.function.stdout(), presence.function.stderr()].concat().join("\n");
    assert!(log.contains("no events of connections"), "{log}");
    assert!(!log.contains(secret), "{log}");
}

#[tokio::test]
async fn an_event_of_unknown_shape_fails_the_invocation() {
    let mut presence = with_devices(&["plant/a"]).await;
    for event in ["{}", "[]", r#"{"Records": [{"s3": {}}]}"#, r#"{"source": "aws.s3"}"#] {
        let outcome = presence.invoke(event, ENOUGH).await.unwrap();
        assert_eq!(outcome, Err("Tidegate.UnknownEvent".to_owned()), "{event}");
    }
    let stored: BTreeMap<_, _> = presence.stored().unwrap();
    assert_eq!(stored["plant/a"], None);
}

// ── Silence ──

/// So many seconds ago by this machine's clock, by which the function judges; in milliseconds since 1970.
fn ago(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    i64::try_from(now).unwrap() - seconds * 1_000
}

fn rule(name: &str, condition: &str) -> String {
    format!("name = \"{name}\"\nseverity = \"warning\"\nmessage = \"it is silent\"\n[condition]\n{condition}")
}

/// A device of about 4 KB that was heard of so many seconds ago, and of its metric `flow` so many.
fn device(device: &str, seconds: i64, flow: i64) -> Value {
    let micros = |seconds: i64| json!({"N": (ago(seconds) * 1_000).to_string()});
    let reading = |seconds: i64| json!({"M": {"value": {"N": "1"}, "at": micros(seconds), "received": micros(seconds)}});
    json!({
        "device": {"S": device}, "name": {"S": device.rsplit('/').next().unwrap()}, "rev": {"N": "1"},
        "latest": {"M": {"flow": reading(flow), "note": {"M": {"value": {"S": "x".repeat(4_000)}}}}},
        "last_at": micros(seconds), "first_seen": micros(seconds), "last_seen": micros(seconds),
    })
}

fn command(device: &str, rule: &str) -> String {
    format!(r#"{{"silent":{{"device":"{device}","rule":"{rule}"}}}}"#)
}

#[tokio::test]
async fn silent_devices_are_told_to_alert_with_the_rule_that_asks() {
    let mut presence = Presence::start().await.unwrap();
    presence.put_rule(&rule("no-news", "silent = \"10m\"")).unwrap();
    presence.put_rule(&rule("no-flow", "metric = \"flow\"\nsilent = \"5m\"")).unwrap();
    presence.put_rule(&rule("hot", "metric = \"flow\"\nabove = 50")).unwrap();
    presence.put_document("of-a-later-version", r#"{"name": "of-a-later-version"}"#).unwrap();
    // Told in the first and second minute, in the fourth, the eighth, …: of the second device the first rule is in its
    // first minute and the other in its sixth, of the last one they are in the third and the eighth.
    for (name, seconds, flow) in [
        ("plant/lively", 5, 5),
        ("plant/dead", 615, 615),
        ("plant/dry", 5, 315),
        ("plant/long-dead", 750, 750),
    ] {
        presence.put_device(device(name, seconds, flow)).unwrap();
    }
    presence.add_device("plant/without-flow", ago(5)).unwrap();
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    let expected = [
        command("plant/dead", "no-news"),
        command("plant/dry", "no-flow"),
        command("plant/long-dead", "no-flow"),
    ];
    assert_eq!(presence.commands().into_iter().collect::<BTreeSet<_>>(), expected.into());
    let expected = Looked { devices: 5, silent: 5, sent: 3, ..Looked::default() };
    assert_eq!(presence.looked().await.unwrap(), expected);
}

#[tokio::test]
async fn a_profile_says_how_long_a_device_may_be_silent() {
    let mut presence = Presence::start().await.unwrap();
    let rule = "name = \"late\"\nseverity = \"info\"\nmessage = \"m\"\ncondition = { silent_intervals = 2 }";
    presence.put_rule(rule).unwrap();
    let profile = |name: &str, interval: &str| {
        let document = json!({"name": name, "topics": ["dt/#"], "interval": interval}).to_string();
        let item = json!({"kind": {"S": "profile"}, "name": {"S": name}, "document": {"S": document}, "updated": {"N": "1"}});
        presence.aws.put_item("config", serde_json::from_value(item).unwrap()).unwrap();
    };
    profile("fast", "1m");
    profile("slow", "1h");
    for (device, profile) in [("plant/fast", Some("fast")), ("plant/slow", Some("slow")), ("plant/any", None)]
    {
        let seen = ago(150) * 1_000;
        let mut item = json!({"device": {"S": device}, "last_seen": {"N": seen.to_string()}});
        if let Some(profile) = profile {
            item["profile"] = json!({"S": profile});
        }
        presence.aws.put_item(DEVICES, serde_json::from_value(item).unwrap()).unwrap();
    }
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    assert_eq!(presence.commands(), [command("plant/fast", "late")]);
}

#[tokio::test]
async fn where_no_rule_asks_for_silence_no_device_is_looked_at() {
    let mut presence = with_devices(&["plant/a"]).await;
    presence.put_rule(&rule("hot", "metric = \"flow\"\nabove = 50")).unwrap();
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    assert_eq!(presence.aws.counters(Operation::Scan).requests, 0);
    assert_eq!(presence.looked().await.unwrap(), Looked::default());
}

/// `presence` with so many devices that are all silent since a moment ago.
async fn with_silent_fleet(count: usize) -> Presence {
    let presence = Presence::start().await.unwrap();
    presence.put_rule(&rule("no-news", "silent = \"10m\"")).unwrap();
    for number in 0..count {
        presence.put_device(device(&format!("plant/d-{number}"), 605, 605)).unwrap();
    }
    presence
}

fn all_commands(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| command(&format!("plant/d-{number}"), "no-news")).collect()
}

#[tokio::test]
async fn a_fleet_of_many_pages_is_looked_at_once_each() {
    let mut presence = with_silent_fleet(5_000).await;
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    let expected = Looked { devices: 5_000, silent: 5_000, sent: 5_000, ..Looked::default() };
    assert_eq!(presence.looked().await.unwrap(), expected);
    let commands = presence.commands();
    assert_eq!((commands.len(), commands.into_iter().collect::<BTreeSet<_>>()), (5_000, all_commands(5_000)));
    let (scans, sends) = (Operation::Scan, Operation::SendMessageBatch);
    let requests = [scans, sends].map(|operation| presence.aws.counters(operation).requests);
    // 21 MB in 16 segments, of 1 MB a page: two pages each.
    assert!((28..=32).contains(&requests[0]), "{requests:?}");
    assert!((500..=532).contains(&requests[1]), "{requests:?}");
}

#[tokio::test]
async fn commands_that_the_queue_does_not_take_are_sent_again() {
    let mut presence = with_silent_fleet(40).await;
    presence.aws.fail_messages(Pick::EveryKth(3));
    for fault in [Fault::Throttle, Fault::InternalError, Fault::DropConnection] {
        presence.aws.fail_next(Operation::SendMessageBatch, fault, 1);
        presence.aws.fail_next(Operation::Scan, fault, 1);
    }
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    let expected = Looked { devices: 40, silent: 40, sent: 40, ..Looked::default() };
    assert_eq!(presence.looked().await.unwrap(), expected);
    assert_eq!(presence.commands().into_iter().collect::<BTreeSet<_>>(), all_commands(40));
}

#[tokio::test]
async fn while_the_queue_takes_nothing_the_look_fails_and_the_next_finds_them_again() {
    let mut presence = with_silent_fleet(40).await;
    presence.aws.fail_next(Operation::SendMessageBatch, Fault::Throttle, u64::MAX);
    assert_eq!(presence.look(4 * SECONDS).await.unwrap(), Err("Tidegate.NotSent".to_owned()));
    let looked = presence.looked().await.unwrap();
    assert!(looked.sent == 0 && looked.failed > 0 && looked.failed == looked.silent, "{looked:?}");
    presence.aws.clear_faults();
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    assert_eq!(presence.commands().into_iter().collect::<BTreeSet<_>>(), all_commands(40));
}

#[tokio::test]
async fn what_was_found_in_time_is_told_and_the_rest_counted() {
    let mut presence = with_silent_fleet(1_600).await;
    presence.aws.set_latency(Operation::Scan, Duration::from_millis(1_500));
    assert_eq!(presence.look(6 * SECONDS).await.unwrap(), all_well());
    let looked = presence.looked().await.unwrap();
    assert_eq!((looked.cut_short, looked.failed), (1, 0), "{looked:?}");
    assert!((200..1_600).contains(&looked.sent) && looked.sent == looked.devices, "{looked:?}");
    presence.aws.clear_faults();
    presence.aws.fail_next(Operation::Scan, Fault::Throttle, u64::MAX);
    assert_eq!(presence.look(3 * SECONDS).await.unwrap(), all_well());
    assert_eq!(presence.looked().await.unwrap(), Looked { cut_short: 1, ..Looked::default() });
}

#[tokio::test]
async fn without_its_rules_the_look_fails() {
    let mut presence = with_silent_fleet(1).await;
    presence.aws.fail_next(Operation::Query, Fault::Throttle, u64::MAX);
    assert_eq!(presence.look(3 * SECONDS).await.unwrap(), Err("Tidegate.NotRead".to_owned()));
    assert!(presence.commands().is_empty());
}

#[tokio::test]
async fn killed_in_the_middle_of_a_look_the_next_tells_of_all() {
    let mut presence = with_silent_fleet(200).await;
    let pid = presence.function.pid().to_string();
    presence.aws.after_next(Operation::SendMessageBatch, 5, move |_| {
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    });
    assert_eq!(presence.look(ENOUGH).await.unwrap(), Err("Runtime.ExitError".to_owned()));
    assert!((5..200).contains(&presence.commands().len()), "{}", presence.commands().len());
    presence.restart().await.unwrap();
    assert_eq!(presence.look(ENOUGH).await.unwrap(), all_well());
    assert_eq!(presence.commands().into_iter().collect::<BTreeSet<_>>(), all_commands(200));
}
