//! Every file in `tests/events/` is what the README offers for `cargo lambda invoke --data-file`: here each is invoked,
//! and what it is said to show is checked. `dynamodb.json` is for `archive` and `alert`, `devices.json` for `shadow`,
//! `commands.json` for `alert`, `presence.json` for `presence`, `schedule.json` for both, the others for `ingest`.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tests::alerts::Alerting;
use tests::functions::all_well;
use tests::ingest::{Counts, Ingest};
use tests::lake::{Contents, Lake};
use tests::presence::Presence;
use tests::runtime_api::Outcome;
use tests::shadow::{DEVICES, Shadow};

const ENOUGH: Duration = Duration::from_secs(30);

/// What becomes of an event.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Answered {
        received: u64,
        quarantined: u64,
        /// Readings in the table, of all devices.
        readings: usize,
        /// The code with which the poison message lies in quarantine.
        code: Option<&'static str>,
    },
    Failed {
        error_type: &'static str,
    },
}

use Expected::{Answered, Failed};

const EXPECTED: [(&str, Expected); 6] = [
    ("rule.json", Answered { received: 1, quarantined: 0, readings: 3, code: None }),
    ("sqs.json", Answered { received: 4, quarantined: 1, readings: 9, code: Some("not_json") }),
    ("kinesis.json", Answered { received: 4, quarantined: 1, readings: 10, code: Some("not_cbor") }),
    ("kafka-msk.json", Answered { received: 3, quarantined: 1, readings: 5, code: Some("cut_short") }),
    (
        "kafka-self-managed.json",
        Answered { received: 4, quarantined: 1, readings: 9, code: Some("envelope") },
    ),
    ("unknown.json", Failed { error_type: "Tidegate.UnknownEvent" }),
];

const FOR_ARCHIVE: &str = "dynamodb.json";
const FOR_SHADOW: &str = "devices.json";
const FOR_ALERT: &str = "commands.json";
const FOR_PRESENCE: &str = "presence.json";
const FOR_SCHEDULES: &str = "schedule.json";
const OTHERS: [&str; 5] = [FOR_ARCHIVE, FOR_SHADOW, FOR_ALERT, FOR_PRESENCE, FOR_SCHEDULES];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "events"].iter().collect()
}

#[test]
fn every_event_file_is_expected() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> =
        EXPECTED.iter().map(|(file, _)| *file).chain(OTHERS).map(str::to_owned).collect();
    assert_eq!(files, expected, "the files in tests/events/ and the table in this test");
}

#[tokio::test]
async fn every_event_file_does_what_it_is_there_to_show() {
    for (file, expected) in EXPECTED {
        let event = fs::read_to_string(folder().join(file)).unwrap();
        let mut ingest = Ingest::start().await.unwrap();
        // Twice, as someone who tries it does: the second invocation changes nothing.
        for invocation in 1..=2 {
            let answer = ingest.invoke(&event, ENOUGH).await.unwrap();
            let lines = ingest.quarantined().unwrap();
            let readings = ingest.readings().unwrap().len();
            match expected {
                Answered { received, quarantined, readings: stored_readings, code } => {
                    assert_eq!(answer, all_well(), "{file}");
                    let stored = received - quarantined;
                    let counts = Counts { received, stored, quarantined, ..Counts::default() };
                    assert_eq!(ingest.counts(invocation).await.unwrap(), counts, "{file}");
                    assert_eq!(readings, stored_readings, "{file}");
                    let codes: Vec<&str> = lines.iter().map(|line| line["code"].as_str().unwrap()).collect();
                    assert_eq!(codes, Vec::from_iter(code), "{file}: {lines:?}");
                }
                Failed { error_type } => {
                    assert_eq!(answer, Err(error_type.to_owned()), "{file}");
                    assert_eq!((readings, lines.len()), (0, 0), "{file}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_event_for_archive_does_what_it_is_there_to_show() {
    let event = fs::read_to_string(folder().join(FOR_ARCHIVE)).unwrap();
    let mut lake = Lake::start().unwrap();
    for _ in 1..=2 {
        let answer = lake.archive(event.clone(), ENOUGH).await.unwrap();
        assert_eq!(answer, all_well());
        let metrics = lake.archive_metrics().await.unwrap();
        let counts = ["Received", "Archived", "Ignored", "Quarantined", "HandedBack"]
            .map(|name| metrics[name].as_u64());
        assert_eq!(counts, [4, 2, 1, 1, 0].map(Some));
        let contents = Contents::of(&lake.aws);
        assert_eq!((contents.objects.len(), contents.rows.len()), (2, 12), "{contents:?}");
    }
}

fn event(file: &str) -> String {
    fs::read_to_string(folder().join(file)).expect(file)
}

#[tokio::test]
async fn the_events_for_alert_do_what_they_are_there_to_show() {
    let rules = folder().join("../../infra/alert-rules");
    let rule = |name: &str| fs::read_to_string(rules.join(name)).unwrap();
    let rules = [rule("over-temperature.toml"), rule("silent-device.toml")];
    let mut alerting = Alerting::start(&[&rules[0], &rules[1]]).await.unwrap();
    // Readings of which none is hot; then commands about alerts that do not stand, and what is none.
    for (file, failures) in [(FOR_ARCHIVE, 0), (FOR_SCHEDULES, 0), (FOR_ALERT, 1)] {
        match alerting.function.invoke(event(file), ENOUGH).await.unwrap().outcome {
            Outcome::Response(answer) => {
                let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), failures, "{file}");
            }
            other => panic!("{file}: {other:?}"),
        }
    }
    let metrics = tests::functions::metrics(&alerting.function, 3).await.unwrap();
    let counts = ["Received", "Obeyed", "Refused", "HandedBack"].map(|name| metrics[name].as_u64());
    assert_eq!(counts, [5, 1, 3, 1].map(Some), "{metrics}");
    assert!(alerting.told().is_empty());
}

#[tokio::test]
async fn the_event_for_shadow_does_what_it_is_there_to_show() {
    let event = event(FOR_SHADOW);
    let parsed: serde_json::Value = serde_json::from_str(&event).unwrap();
    let item = parsed["Records"][0]["dynamodb"]["NewImage"].as_object().unwrap().clone();
    let mut shadow = Shadow::start().unwrap();
    shadow.aws.create_thing("pump-7");
    shadow.aws.put_item(DEVICES, item).unwrap();
    let answer = shadow.invoke(event, ENOUGH).await.unwrap();
    assert_eq!(answer, all_well());
    let reported = shadow.reported("pump-7");
    assert_eq!(
        (&reported["metrics"]["temperature"]["value"], &reported["alert"]["severity"]),
        (&json!(55.5), &json!("critical"))
    );
}

#[tokio::test]
async fn the_events_for_presence_do_what_they_are_there_to_show() {
    let mut presence = Presence::start().await.unwrap();
    presence.add_device("plant-1/pump-7", tests::events::RECEIVED).unwrap();
    let answer = presence.invoke(&event(FOR_PRESENCE), ENOUGH).await.unwrap().unwrap();
    // The display is no device, or none yet: its event is tried again.
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{answer}");
    let stored = presence.stored().unwrap().remove("plant-1/pump-7").unwrap().unwrap();
    assert!(!stored.online);
    assert_eq!(presence.invoke(&event(FOR_SCHEDULES), ENOUGH).await.unwrap(), all_well());
}
