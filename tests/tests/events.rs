//! Every file in `tests/events/` is what the README offers for `cargo lambda invoke --data-file`: here each is invoked,
//! and what it is said to show is checked. `dynamodb.json` is for `archive`, the others for `ingest`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tests::ingest::{Counts, Ingest};
use tests::lake::{Contents, Lake};

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
    ("kinesis.json", Answered { received: 4, quarantined: 1, readings: 10, code: Some("not_utf8") }),
    ("kafka-msk.json", Answered { received: 3, quarantined: 1, readings: 5, code: Some("cut_short") }),
    (
        "kafka-self-managed.json",
        Answered { received: 4, quarantined: 1, readings: 9, code: Some("envelope") },
    ),
    ("unknown.json", Failed { error_type: "Tidegate.UnknownEvent" }),
];

const FOR_ARCHIVE: &str = "dynamodb.json";

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
        EXPECTED.iter().map(|(file, _)| *file).chain([FOR_ARCHIVE]).map(str::to_owned).collect();
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
                    assert_eq!(answer, Ok(json!({"batchItemFailures": []})), "{file}");
                    let counts =
                        Counts { received, stored: received - quarantined, quarantined, handed_back: 0 };
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
        assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
        let metrics = lake.archive_metrics().await.unwrap();
        let counts = ["Received", "Archived", "Ignored", "Quarantined", "HandedBack"]
            .map(|name| metrics[name].as_u64());
        assert_eq!(counts, [4, 2, 1, 1, 0].map(Some));
        let contents = Contents::of(&lake.aws);
        assert_eq!((contents.objects.len(), contents.rows.len()), (2, 12), "{contents:?}");
    }
}
