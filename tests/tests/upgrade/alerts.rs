//! The alerts table: what was told, what is shelved, what is still to be published, and what devices are on the way to.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use alert::{DeviceAlerts, Phase, RuleSet};
use serde_json::{Map, Value, json};
use telemetry::{DeviceId, Latest, Micros, Profiles, Reading, pack};
use tests::alerts::{ALERTS, Alerting, DEVICES, reading};
use tests::functions::all_well;

use crate::config::{profiles, rules};
use crate::{Recording, attributes, n, s};

/// Version 0.1's `alerts list` knew no profiles, and had no answer where a rule asks in a profile's intervals; what it
/// published was right.
const LISTED_WRONGLY: [(&str, &str); 1] = [("lab/cold-1", "cold-room-silent")];

/// What is known of all devices of a recording when its alerts are read.
struct Stack {
    rules: RuleSet,
    profiles: Profiles,
    devices: BTreeMap<String, Map<String, Value>>,
}

impl Stack {
    fn of(recording: &Recording) -> Self {
        let devices = recording.items("devices").into_iter();
        let devices = devices.map(|item| (s(&item, "device").to_owned(), item)).collect();
        Self { rules: rules(recording), profiles: profiles(recording), devices }
    }

    /// The rules of a device, as the function `alert` finds them.
    fn rules(&self, device: &str) -> RuleSet {
        let latest = Latest::from_item(&attributes(&self.devices[device])).unwrap();
        let interval = latest.profile.as_deref().and_then(|profile| self.profiles.get(profile)?.interval);
        self.rules.for_device(&latest.device, latest.profile.as_deref(), interval)
    }
}

#[test]
fn every_alert_stands_as_it_was_told() {
    for recording in Recording::all() {
        let stack = Stack::of(&recording);
        let documents: BTreeMap<String, Value> = recording
            .lines("documents.jsonl")
            .into_iter()
            .map(|line| (line["topic"].as_str().unwrap().to_owned(), line["document"].clone()))
            .collect();
        let listed = recording.lines("alerts.jsonl");
        let mut told_count = 0;
        for item in recording.items("alerts") {
            let device = s(&item, "device");
            let rules = stack.rules(device);
            let alerts = DeviceAlerts::from_item(&attributes(&item), &rules);
            let alerts = alerts.unwrap_or_else(|error| panic!("{device}: {error}"));
            assert_eq!((alerts.device.as_str(), alerts.rev), (device, n(&item["rev"])));
            assert_told(&alerts, &item);
            assert_shelves_and_outbox(&alerts, &item);
            for (rule, told) in alerts.told() {
                told_count += 1;
                let topic = format!("alerts/{device}/{rule}");
                let waiting = alerts.outbox().iter().rfind(|outgoing| outgoing.rule == *rule);
                let document = match waiting {
                    Some(outgoing) => &serde_json::from_str(&outgoing.payload).unwrap(),
                    None => &documents[&topic],
                };
                assert_eq!(
                    (&document["id"], &document["state"]),
                    (&json!(told.id), &json!(told.state)),
                    "{topic}"
                );
                assert_eq!(document["since"], told.since.to_string(), "{topic}");
                let row = listed.iter().find(|row| row["device"] == device && row["rule"] == **rule).unwrap();
                let phase = alerts.track(rule).map(|track| track.phase()).unwrap();
                if !LISTED_WRONGLY.contains(&(device, &**rule)) {
                    assert_eq!(row["state"], phase.as_str(), "{topic}");
                } else {
                    assert_eq!(document["state"], phase.as_str(), "{topic}");
                }
                let is_unstable = alerts.track(rule).unwrap().machine().is_unstable();
                assert_eq!(row["unstable"], is_unstable, "{topic}");
            }
            assert_worst(&alerts, &item, &stack.devices[device]);
        }
        assert_eq!(told_count, listed.len());
    }
}

fn assert_told(alerts: &DeviceAlerts, item: &Map<String, Value>) {
    let stored =
        item.get("alerts").map(|stored| stored["M"].as_object().unwrap().clone()).unwrap_or_default();
    assert_eq!(alerts.told().len(), stored.len(), "{item:?}");
    for (rule, stored) in &stored {
        let (told, stored) = (&alerts.told()[&**rule], &stored["M"]);
        let text = |name: &str| stored[name]["S"].as_str().unwrap();
        let of_now = (&*told.state, told.severity.as_str(), &*told.message, &*told.id);
        assert_eq!(of_now, (text("state"), text("severity"), text("message"), text("id")));
        let times = (told.since.0, told.at.0, told.published.0);
        assert_eq!(times, (n(&stored["since"]), n(&stored["at"]), n(&stored["published"])), "{rule}");
    }
}

fn assert_shelves_and_outbox(alerts: &DeviceAlerts, item: &Map<String, Value>) {
    let stored =
        item.get("shelves").map(|stored| stored["M"].as_object().unwrap().clone()).unwrap_or_default();
    assert_eq!(alerts.shelves().len(), stored.len(), "{item:?}");
    for (rule, stored) in &stored {
        let shelf = &alerts.shelves()[&**rule];
        assert_eq!(shelf.until.0, n(&stored["M"]["until"]), "{rule}");
        assert_eq!(stored["M"]["by"]["S"], *shelf.by, "{rule}");
    }
    let stored = item.get("outbox").map(|stored| stored["L"].as_array().unwrap().clone()).unwrap_or_default();
    assert_eq!(alerts.outbox().len(), stored.len(), "{item:?}");
    for (outgoing, stored) in alerts.outbox().iter().zip(&stored) {
        let stored = &stored["M"];
        let of_now = [&*outgoing.rule, &*outgoing.id, &*outgoing.payload];
        assert_eq!(of_now, ["rule", "id", "payload"].map(|name| stored[name]["S"].as_str().unwrap()));
    }
}

/// What the devices table, and so a shadow, shows of a device's alerts.
fn assert_worst(alerts: &DeviceAlerts, item: &Map<String, Value>, device: &Map<String, Value>) {
    if item.contains_key("outbox") {
        return; // It is shown once it is published.
    }
    let worst = alerts.worst().map(|(rule, told)| (&**rule, &*told.id, &*told.state, told.since.0));
    let shown = device.get("alert").map(|alert| &alert["M"]);
    let text = |alert: &'_ Value, name: &str| alert[name]["S"].as_str().unwrap().to_owned();
    let shown =
        shown.map(|alert| (text(alert, "rule"), text(alert, "id"), text(alert, "state"), n(&alert["since"])));
    let shown = shown.as_ref().map(|(rule, id, state, since)| (&**rule, &**id, &**state, *since));
    assert_eq!(worst, shown, "{}", alerts.device);
}

/// A track that is begun anew forgets since when something holds, and what is usual.
#[test]
fn no_working_memory_is_begun_anew() {
    for recording in Recording::all() {
        let stack = Stack::of(&recording);
        let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
        for item in recording.items("alerts") {
            let device = s(&item, "device");
            let rules = stack.rules(device);
            let alerts = DeviceAlerts::from_item(&attributes(&item), &rules).unwrap();
            let tracks: BTreeMap<String, Value> = serde_json::from_str(s(&item, "tracks")).unwrap();
            assert!(!tracks.is_empty(), "{device}");
            assert_eq!(alerts.rules().count(), tracks.len(), "{device}");
            for (name, stored) in tracks {
                let rule = rules.get(&name).unwrap_or_else(|| panic!("{name} is not about {device}"));
                let track = alerts.track(&name).unwrap_or_else(|| panic!("{name} of {device} is forgotten"));
                assert_eq!(stored["rule"], *rule.digest, "{name} of {device} is taken for another rule");
                assert_eq!(stored["cutoff"], track.cutoff().0, "{name} of {device}");
                let samples =
                    stored["window"].as_array().unwrap().iter().filter_map(|sample| sample["t"].as_i64());
                let newest = samples.max().or(stored["cutoff"].as_i64()).unwrap();
                assert_eq!(track.newest().0, newest, "{name} of {device}: samples are lost");
                *phases.entry(track.phase().as_str()).or_default() += 1;
            }
        }
        for phase in ["normal", "pending", "active", "acknowledged", "latched", "cleared"] {
            assert!(phases.contains_key(phase), "nothing is {phase}: {phases:?}");
        }
    }
}

/// The function `alert` of this version on the recorded tables.
async fn start(recording: &Recording) -> Alerting {
    let alerting = Alerting::start(&[]).await.unwrap();
    for table in ["config", "readings", DEVICES, ALERTS] {
        recording.put(&alerting.aws, table);
    }
    alerting
}

/// What the stored item says of an alert's notifications.
fn told(alerting: &Alerting, device: &str, rule: &str) -> Value {
    alerting.item(device).unwrap()["alerts"]["M"][rule]["M"].clone()
}

/// Its first run by the schedule: what waits is published, what stands goes on to stand.
#[tokio::test]
async fn the_first_look_publishes_what_waits_and_clears_nothing() {
    for recording in Recording::all() {
        let mut alerting = start(&recording).await;
        assert_eq!(alerting.tidy().await.unwrap(), all_well());
        let metrics = alerting.metrics().await.unwrap();
        for name in ["Unreadable", "BrokenRules", "Failed"] {
            assert_eq!(metrics[name], 0, "{metrics}");
        }
        let published = alerting.told();
        for item in recording.items("alerts") {
            let device = s(&item, "device");
            for outgoing in item.get("outbox").into_iter().flat_map(|outbox| outbox["L"].as_array().unwrap())
            {
                let document: Value =
                    serde_json::from_str(outgoing["M"]["payload"]["S"].as_str().unwrap()).unwrap();
                assert!(published.contains(&document), "{document} is not published");
            }
            let stored = item.get("alerts").into_iter().flat_map(|alerts| alerts["M"].as_object().unwrap());
            for (rule, stored) in stored {
                let stands = ["active", "acknowledged", "latched"]
                    .contains(&stored["M"]["state"]["S"].as_str().unwrap());
                if stands {
                    let now = told(&alerting, device, rule);
                    assert_eq!(
                        (&now["state"], &now["since"]),
                        (&stored["M"]["state"], &stored["M"]["since"]),
                        "{device} {rule}"
                    );
                }
            }
        }
    }
}

/// Brings a reading as the readings table's stream does.
async fn measure(alerting: &mut Alerting, reading: Reading) {
    let item = pack(vec![reading]).remove(0).to_item(None).json;
    alerting.aws.put_item("readings", serde_json::from_str(&item).unwrap()).unwrap();
    assert_eq!(alerting.stream(&[item]).await.unwrap(), all_well());
}

/// The time of a recorded device's newest reading of a metric.
fn newest(recording: &Recording, device: &str, metric: &str) -> Micros {
    let item = recording.items("devices").into_iter().find(|item| s(item, "device") == device).unwrap();
    Latest::from_item(&attributes(&item)).unwrap().metrics[metric].at
}

#[tokio::test]
async fn alerts_go_on_from_where_they_were() {
    const SECOND: i64 = 1_000_000;
    let recording = Recording::first();
    let mut alerting = start(&recording).await;
    // The shelf ends by the clock, and the recording is of a day that has passed.
    let mut shelved = alerting.item("lab/oven-3").unwrap();
    let until = SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_hours(1);
    shelved["shelves"]["M"]["over-temperature"]["M"]["until"] = json!({"N": until.as_micros().to_string()});
    alerting.aws.put_item(ALERTS, shelved).unwrap();

    // What is active clears when its condition ceases to hold, and says since when it stood.
    let raised = told(&alerting, "lab/oven-1", "over-temperature");
    let at = newest(&recording, "lab/oven-1", "temperature").plus(10 * SECOND);
    measure(&mut alerting, reading("lab/oven-1", "temperature", at, 20.0)).await;
    let cleared = told(&alerting, "lab/oven-1", "over-temperature");
    assert_eq!((&cleared["state"]["S"], &cleared["since"]), (&json!("cleared"), &raised["since"]));
    let document = alerting.told().pop().unwrap();
    assert_eq!(
        (&document["state"], &document["previous"]),
        (&json!("cleared"), &json!("active")),
        "{document}"
    );

    // What has held for five of its ten minutes needs five more.
    let held = newest(&recording, "lab/vessel-1", "pressure");
    assert_eq!(alerting.item("lab/vessel-1").unwrap().get("alerts"), None, "nothing is told yet");
    measure(&mut alerting, reading("lab/vessel-1", "pressure", held.plus(301 * SECOND), 1_300_000.0)).await;
    let active = told(&alerting, "lab/vessel-1", "vessel-pressure");
    assert_eq!(active["state"]["S"], "active");

    // What was acknowledged or shelved is so still.
    let at = newest(&recording, "lab/oven-2", "temperature").plus(10 * SECOND);
    let before = alerting.told().len();
    measure(&mut alerting, reading("lab/oven-2", "temperature", at, 70.0)).await;
    measure(&mut alerting, reading("lab/oven-3", "temperature", at, 20.0)).await;
    assert_eq!(alerting.told().len(), before, "no notification");
    assert_eq!(told(&alerting, "lab/oven-2", "over-temperature")["state"]["S"], "acknowledged");
    let stack = Stack::of(&recording);
    let item = attributes(&alerting.item("lab/oven-3").unwrap());
    let alerts = DeviceAlerts::from_item(&item, &stack.rules("lab/oven-3")).unwrap();
    assert_eq!(alerts.device, DeviceId::from_stored("lab/oven-3"));
    assert_eq!(alerts.track("over-temperature").unwrap().phase(), Phase::Cleared);
    assert_eq!(alerts.shelves().len(), 1);
}
