//! The devices table: latest values, presence, and what shadows were told.

use std::collections::BTreeMap;
use std::time::Duration;

use cloud::devices::Devices;
use cloud::retry::Deadline;
use serde_json::{Value, json};
use telemetry::{Identity, Latest, Micros, Presence};
use tests::events::{envelope, sqs};
use tests::fake_aws::{FakeAws, Storage};
use tests::functions::all_well;
use tests::ingest::{CONFIG, DEVICES, Ingest};
use tests::shadow::Shadow;
use tidegate::aws::Clients;

use crate::said::{Said, of_line, of_reading};
use crate::{Recording, attributes, n, s};

pub(crate) const ENOUGH: Duration = Duration::from_secs(30);

/// The stored state of a device.
pub(crate) fn state_of(ingest: &Ingest, device: &str) -> Latest {
    let states = ingest.devices().unwrap();
    states.into_iter().find(|state| state.device.as_str() == device).unwrap()
}

#[tokio::test]
async fn the_latest_values_are_those_that_were_shown() {
    for recording in Recording::all() {
        let aws = FakeAws::start(Storage::Keep).unwrap();
        aws.create_table("devices", "device", None);
        recording.put(&aws, "devices");
        let clients = Clients::local(&aws.endpoint(), "us-east-1").await;
        let devices = Devices::new(clients.dynamodb, "devices");
        let listed = devices.list(Deadline::after(ENOUGH)).await.unwrap();
        let listed: BTreeMap<_, _> =
            listed.into_iter().map(|latest| (latest.device.to_string(), latest)).collect();

        let items = recording.items("devices");
        let expected = recording.lines("devices.jsonl");
        assert_eq!((listed.len(), items.len()), (expected.len(), expected.len()));
        for (expected, item) in expected.iter().zip(items) {
            let device = s(&item, "device");
            assert_eq!(expected["device"], device);
            let latest = &listed[device];
            assert_eq!(Latest::from_item(&attributes(&item)).as_ref(), Some(latest), "{device}");
            let seen = |name: &str| Micros::from_rfc3339(expected[name].as_str().unwrap()).unwrap();
            assert_eq!(
                (latest.first_seen, latest.last_seen),
                (seen("first_seen"), seen("last_seen")),
                "{device}"
            );
            let profile = item.get("profile").map(|profile| profile["S"].as_str().unwrap());
            assert_eq!(latest.profile.as_deref(), profile, "{device}");
            let lines = expected["latest"].as_array().unwrap();
            assert_eq!(latest.metrics.len(), lines.len(), "{device}");
            for line in lines {
                let metric = line["metric"].as_str().unwrap();
                let mut found: Said = of_reading(&latest.metrics[metric]);
                let received = found.remove("received").unwrap();
                assert_eq!(found, of_line(line), "{device}");
                assert_eq!(received, n(&item["latest"]["M"][metric]["M"]["received"]), "{device} {metric}");
            }
        }
    }
}

#[test]
fn presence_is_what_it_was_and_a_late_event_changes_nothing() {
    for recording in Recording::all() {
        let mut seen = [0, 0];
        for item in recording.items("devices") {
            let Some(stored) = item.get("presence").map(|presence| &presence["M"]) else { continue };
            let device = s(&item, "device");
            let presence = Presence::from_item(&attributes(&item));
            let presence = presence.unwrap_or_else(|| panic!("{device}: {stored}"));
            assert_eq!(json!(presence.online), stored["online"]["BOOL"], "{device}");
            assert_eq!(json!(presence.reason), stored["reason"]["S"], "{device}");
            assert_eq!(
                (presence.since.0, presence.version),
                (n(&stored["since"]), n(&stored["version"])),
                "{device}"
            );
            assert_eq!(json!(&*presence.session), stored["session"]["S"], "{device}");
            // The event that made it comes again, or the beginning of a session that has ended.
            let again = Presence { online: true, reason: None, ..presence.clone() };
            assert!(!presence.supersedes(&presence) && !again.supersedes(&presence), "{device}");
            let next = Presence { version: presence.version + 1, session: "next".into(), ..again };
            assert!(next.supersedes(&presence), "{device}");
            seen[usize::from(presence.online)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "some are there and some are not: {seen:?}");
    }
}

/// The first messages that `ingest` reads after the update: an old one changes nothing, a new one its metric alone.
#[tokio::test]
async fn the_first_message_after_an_update_replaces_nothing_that_is_newer() {
    let recording = Recording::first();
    let device = "lab/plain-1";
    let mut ingest = Ingest::start().await.unwrap();
    recording.put(&ingest.aws, CONFIG);
    recording.put(&ingest.aws, DEVICES);
    let before = state_of(&ingest, device);
    let received = before.last_seen.0 / 1_000 + 60_000;
    let at = before.metrics["temperature"].at.0 / 1_000;
    let payloads = [json!({"ts": at - 1_000, "temperature": -99}), json!({"ts": at + 1_000, "count": 8})];
    for (payload, after) in payloads.iter().zip(0..) {
        let event = sqs(&[envelope(device, received + after, payload.to_string().as_bytes())]);
        assert_eq!(ingest.invoke(&event, ENOUGH).await.unwrap(), all_well());
    }
    let after = state_of(&ingest, device);
    assert_eq!(after.metrics["count"].value.to_string(), "8");
    assert_eq!(after.first_seen, before.first_seen);
    let others = |latest: &Latest| -> Vec<Said> {
        let others = latest.metrics.iter().filter(|(metric, _)| &***metric != "count");
        others.map(|(_, reading)| of_reading(reading)).collect()
    };
    assert_eq!(others(&after), others(&before));
    // What other functions keep in the item is left alone.
    let items = ingest.aws.items(DEVICES);
    let item = items.iter().find(|item| s(item, "device") == device).unwrap();
    let stored = recording.items("devices").into_iter().find(|item| s(item, "device") == device).unwrap();
    for name in ["presence", "shadow", "alert", "alert_rev", "name"] {
        assert_eq!(item.get(name), stored.get(name), "{name}");
    }
}

/// What a gateway names is behind it from the update on (ADR 2). What was stored under the old id is left alone, and the
/// profile is read on that was stored when it need not name its gateways.
#[tokio::test]
async fn what_a_gateway_names_is_a_device_behind_it_and_the_old_one_is_left_alone() {
    let recording = Recording::first();
    let mut ingest = Ingest::start().await.unwrap();
    recording.put(&ingest.aws, CONFIG);
    recording.put(&ingest.aws, DEVICES);
    let before = state_of(&ingest, "lab/Device A");
    let received = before.last_seen.0 / 1_000 + 60_000;
    let payload = json!({"Device A": {"t1": 2.5}}).to_string();
    let message =
        envelope("lab/hub-1", received, payload.as_bytes()).replace("lab/hub-1/state", "lab/hub-1/members");
    assert_eq!(ingest.invoke(&sqs(&[message]), ENOUGH).await.unwrap(), all_well());
    assert_eq!(state_of(&ingest, "lab/Device A"), before);
    assert_eq!(before.identity, Identity::Topic, "it does not say");
    let behind = state_of(&ingest, "lab/hub-1::Device A");
    assert_eq!((behind.identity, behind.profile.as_deref()), (Identity::Gateway, Some("member-gateway")));
    assert_eq!(behind.metrics["t1"].value.to_string(), "2.5");
}

/// Things whose shadows show all are not sent all of it again: that would be an update for each device of the fleet.
#[tokio::test]
async fn an_update_of_the_stack_updates_no_shadow() {
    for recording in Recording::all() {
        let mut shadow = Shadow::with("1", "2").unwrap();
        recording.put(&shadow.aws, tests::shadow::CONFIG);
        recording.put(&shadow.aws, tests::shadow::DEVICES);
        let mut shown = 0;
        for item in recording.items("devices").iter().filter(|item| item.contains_key("shadow")) {
            shadow.aws.create_thing(s(item, "device").split_once('/').unwrap().1);
            shown += 1;
        }
        assert_eq!(shown, recording.lines("shadows.jsonl").len());
        shadow.follow();
        let counts = shadow.deliver().await.unwrap().unwrap();
        assert_eq!(shadow.aws.shadow_updates(), [], "{counts:?}");
        assert!(counts.suppressed >= shown as u64, "{counts:?}");
    }
}

/// What the items say that shadows show is what they did show.
#[test]
fn shadows_show_what_is_stored_of_them() {
    for recording in Recording::all() {
        let items = recording.items("devices");
        for line in recording.lines("shadows.jsonl") {
            let item = items.iter().find(|item| s(item, "device") == line["device"]).unwrap();
            let presence = Presence::from_item(&attributes(item));
            let presence = presence
                .map(|presence| json!({"online": presence.online, "since": presence.since.to_string()}));
            assert_eq!(json!(presence), line["reported"]["connection"], "{line}");
            let latest = Latest::from_item(&attributes(item)).unwrap();
            let shown = line["reported"]["metrics"].as_object().unwrap();
            assert_eq!(
                shown.keys().collect::<Vec<_>>(),
                latest.metrics.keys().map(|m| &**m).collect::<Vec<_>>()
            );
            for (metric, shown) in shown {
                let reading = &latest.metrics[&**metric];
                assert_eq!(shown["quality"], reading.quality.as_str(), "{line}");
                assert_eq!(shown.get("unit").and_then(Value::as_str), reading.unit.as_deref(), "{line}");
            }
        }
    }
}
