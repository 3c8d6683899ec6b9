//! The function `ingest` as a process, with profiles: what they say counts, what is wrong with them harms nobody.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::json;
use telemetry::{Identity, Profile};
use tests::events::{RECEIVED, envelope, sqs};
use tests::fake_aws::{Fault, Operation, Pick, StatementFault};
use tests::functions::{all_well, metrics};
use tests::ingest::{Counts, Ingest};

const ENOUGH: Duration = Duration::from_secs(30);

/// The rooms of a gateway, whose temperatures are in °F.
const ROOMS: &str = r#"
    name = "rooms"
    topics = "dt/+/+/rooms"
    devices = "plant/gateway"
    gateway = "members"

    [[metric]]
    from = "t"
    name = "temperature"
    unit = "degF"
    range = [0, 120]
"#;

async fn start() -> Ingest {
    Ingest::start_with(&[("TIDEGATE_CONFIG_CACHE_SECONDS", "0")]).await.unwrap()
}

fn put(ingest: &Ingest, profile: &str) {
    let profile = Profile::from_toml(profile).unwrap();
    ingest.put_profile(&profile.name, profile.to_json()).unwrap();
}

/// A message of `plant/gateway`, one of whose rooms is warm.
fn rooms(number: i64) -> String {
    let payload = json!({"north": {"t": 50, "n": number}, "south": {"t": 500, "n": number}});
    envelope("plant/gateway", RECEIVED + number, payload.to_string().as_bytes())
        .replace("plant/gateway/state", "plant/gateway/rooms")
}

/// Each stored reading but of `n`, as `device metric value unit quality`.
fn stored(ingest: &Ingest) -> Vec<String> {
    let readings = ingest.readings().unwrap();
    let readings = readings.iter().filter(|reading| &*reading.metric != "n");
    let word = |reading: &telemetry::Reading| {
        let unit = reading.unit.as_ref().map_or("-", |unit| unit.as_str());
        let sent = reading.unit.as_ref().and_then(|unit| unit.sent()).unwrap_or("-");
        format!("{} {} {} {unit} {sent} {}", reading.device, reading.metric, reading.value, reading.quality)
    };
    readings.map(word).collect()
}

#[tokio::test]
async fn what_a_profile_says_is_stored() {
    let mut ingest = start().await;
    put(&ingest, ROOMS);
    assert_eq!(ingest.invoke(&sqs(&[rooms(0)]), ENOUGH).await.unwrap(), all_well());
    let expected = [
        "plant/gateway::north temperature 10 Cel degF good",
        "plant/gateway::south temperature 260 Cel degF bad",
    ];
    assert_eq!(stored(&ingest), expected);
    let devices = ingest.devices().unwrap();
    let profiles: Vec<_> = devices.iter().map(|device| device.profile.as_deref()).collect();
    assert_eq!(profiles, [Some("rooms"), Some("rooms")], "shadow, presence and alert find it there");
}

#[tokio::test]
async fn of_a_profile_that_cannot_be_read_the_last_that_could_stands() {
    let mut ingest = start().await;
    put(&ingest, ROOMS);
    ingest.invoke(&sqs(&[rooms(0)]), ENOUGH).await.unwrap().unwrap();
    let before = stored(&ingest);
    ingest
        .put_profile("rooms", r#"{"name": "rooms", "topics": "dt/+/+/rooms", "interval": "never"}"#)
        .unwrap();
    ingest.invoke(&sqs(&[rooms(1)]), ENOUGH).await.unwrap().unwrap();
    let after = stored(&ingest);
    assert_eq!(after.len(), 2 * before.len());
    assert!(after.iter().all(|word| before.contains(word)), "{after:?}");
    let line = metrics(&ingest.function, 2).await.unwrap();
    assert_eq!(line["BrokenProfiles"], 1, "{line}");
    // A process that has never read a good one reads messages without it.
    ingest.restart().await.unwrap();
    ingest.invoke(&sqs(&[rooms(2)]), ENOUGH).await.unwrap().unwrap();
    assert!(
        stored(&ingest).iter().any(|word| word.starts_with("plant/gateway north.t")),
        "{:?}",
        stored(&ingest)
    );
}

#[tokio::test]
async fn without_profiles_nothing_is_stored_and_the_event_comes_again() {
    let mut ingest = start().await;
    put(&ingest, ROOMS);
    ingest.aws.fail_next(Operation::Query, Fault::Throttle, 1_000);
    let outcome = ingest.invoke(&sqs(&[rooms(0)]), Duration::from_secs(3)).await.unwrap();
    assert_eq!(outcome, Err("Tidegate.ProfilesNotRead".to_owned()));
    assert!(stored(&ingest).is_empty());
    ingest.aws.clear_faults();
    ingest.invoke(&sqs(&[rooms(0)]), ENOUGH).await.unwrap().unwrap();
    assert_eq!(stored(&ingest).len(), 2);
}

#[tokio::test]
async fn a_gateways_message_is_done_when_all_its_devices_are() {
    let mut ingest = start().await;
    put(&ingest, ROOMS);
    ingest.aws.fail_statements(Pick::EveryKth(2), StatementFault::Throttling);
    let answer = ingest.invoke(&sqs(&[rooms(0)]), Duration::from_secs(3)).await.unwrap().unwrap();
    let is_handed_back = answer["batchItemFailures"].as_array().is_some_and(|failures| failures.len() == 1);
    let devices = ingest.devices().unwrap().len();
    assert_eq!(is_handed_back, devices < 2, "{devices} devices are written: {answer}");
    ingest.aws.clear_faults();
    let again = ingest.invoke(&sqs(&[rooms(0)]), ENOUGH).await.unwrap();
    assert_eq!(again, all_well());
    assert_eq!(ingest.devices().unwrap().len(), 2);
    assert_eq!(stored(&ingest).len(), 2, "delivered again, nothing doubles");
}

/// Whatever way an item is written: inserted, updated, merged.
#[tokio::test]
async fn how_a_device_is_known_is_stored_with_it() {
    let mut ingest = start().await;
    put(&ingest, ROOMS);
    let own = envelope("plant/gateway", RECEIVED, br#"{"x": 1}"#);
    for (event, way) in [(0, "inserted"), (5, "updated"), (3, "merged")] {
        let bodies = [rooms(event), own.clone()];
        assert_eq!(ingest.invoke(&sqs(&bodies), ENOUGH).await.unwrap(), all_well());
        let identities =
            ingest.devices().unwrap().into_iter().map(|latest| (latest.device.to_string(), latest.identity));
        let expected = [
            ("plant/gateway", Identity::Topic),
            ("plant/gateway::north", Identity::Gateway),
            ("plant/gateway::south", Identity::Gateway),
        ];
        assert_eq!(
            identities.collect::<Vec<_>>(),
            expected.map(|(id, identity)| (id.to_owned(), identity)),
            "{way}"
        );
    }
    let items = ingest.aws.items(tests::ingest::DEVICES);
    let words: Vec<_> = items.iter().map(|item| item.get("identity").map(|word| word["S"].clone())).collect();
    assert_eq!(words, [None, Some("gateway".into()), Some("gateway".into())]);
}

/// An item of an earlier version does not say it.
#[tokio::test]
async fn how_a_device_is_known_is_added_to_an_item_that_does_not_say_it() {
    let mut ingest = start().await;
    put(&ingest, ROOMS);
    ingest.invoke(&sqs(&[rooms(0)]), ENOUGH).await.unwrap().unwrap();
    for mut item in ingest.aws.items(tests::ingest::DEVICES) {
        item.remove("identity").unwrap();
        ingest.aws.put_item(tests::ingest::DEVICES, item).unwrap();
    }
    ingest.invoke(&sqs(&[rooms(1)]), ENOUGH).await.unwrap().unwrap();
    assert!(ingest.devices().unwrap().iter().all(|latest| latest.identity == Identity::Gateway));
}

#[tokio::test]
async fn a_message_that_its_profile_ignores_is_counted_as_that() {
    let mut ingest = start().await;
    put(&ingest, "name = \"quiet\"\ntopics = \"dt/+/+/debug\"\nignore = [\"heap\", \"uptime\"]");
    let body = |n: i64, payload: &str| {
        envelope("plant/a", RECEIVED + n, payload.as_bytes()).replace("plant/a/state", "plant/a/debug")
    };
    let event = sqs(&[body(0, r#"{"heap": 1, "uptime": 2}"#), body(1, r#"{"heap": 1, "t": 2}"#)]);
    assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
    let counts = ingest.counts(1).await.unwrap();
    assert_eq!(counts, Counts { received: 2, stored: 1, ignored: 1, ..Counts::default() });
    assert_eq!(stored(&ingest).len(), 1);
}

/// A client that publishes for any device may write what a thing of the same name would show, of another site perhaps.
#[tokio::test]
async fn what_another_client_published_for_a_device_is_stored_and_stays_with_it() {
    let own = |n: i64| envelope("plant/pump-7", RECEIVED + n, br#"{"x": 1}"#);
    let by = |n: i64, client: &str| {
        let message = own(n);
        let relayed = message.replace(r#""client":"pump-7""#, &format!(r#""client":"{client}""#));
        assert_ne!(relayed, message, "the envelope says otherwise who published it");
        relayed
    };
    let check = async |messages: &[String], expected: &[Option<&str>]| {
        let mut ingest = Ingest::start_with(&[("TIDEGATE_CLIENT_ID", "any")]).await.unwrap();
        for (message, expected) in messages.iter().zip(expected) {
            assert_eq!(ingest.invoke(&sqs(std::slice::from_ref(message)), ENOUGH).await.unwrap(), all_well());
            let items = ingest.aws.items(tests::ingest::DEVICES);
            let words: Vec<_> =
                items.iter().map(|item| item.get("identity").map(|word| word["S"].clone())).collect();
            assert_eq!(words, [expected.map(serde_json::Value::from)]);
        }
        // All of them in one batch.
        let mut ingest = Ingest::start_with(&[("TIDEGATE_CLIENT_ID", "any")]).await.unwrap();
        assert_eq!(ingest.invoke(&sqs(messages), ENOUGH).await.unwrap(), all_well());
        let word = ingest.aws.items(tests::ingest::DEVICES)[0].get("identity").map(|word| word["S"].clone());
        assert_eq!(word, expected[messages.len() - 1].map(serde_json::Value::from));
    };
    let relayed = Some("relayed");
    // Inserted, updated in order, and older than what is stored: each way of writing.
    check(&[by(0, "gateway"), own(5), own(3)], &[relayed; 3]).await;
    check(&[own(0), by(5, "gateway"), own(9), own(2)], &[None, relayed, relayed, relayed]).await;
    check(&[own(5), by(3, "gateway"), own(9)], &[None, relayed, relayed]).await;
    // Over HTTPS there is no client: it may be a gateway.
    check(&[own(0), by(1, "n/a")], &[None, relayed]).await;
}
