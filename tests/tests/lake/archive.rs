//! What becomes of a batch of the stream.

use std::collections::BTreeSet;
use std::time::Duration;

use lake::Key;
use serde_json::{Value, json};
use telemetry::{Micros, Reading, Seq};
use tests::events::dynamodb_stream;
use tests::fake_aws::{Fault, Operation};
use tests::lake::{BUCKET, Contents, Lake};

use crate::{ALL_WELL, SEVEN, TIME, archive, assert_holds, assert_holds_once, event, items, put, readings};

#[tokio::test]
async fn what_the_stream_tells_is_in_the_lake() {
    let mut lake = Lake::start().unwrap();
    let all = readings(-10, 70);
    archive(&mut lake, &items(&all)).await;
    assert_holds_once(&lake, &all);
    let hours: BTreeSet<String> =
        Contents::of(&lake.aws).objects.iter().map(|key| Key::parse(key).unwrap().hour.to_string()).collect();
    assert_eq!(
        hours.into_iter().collect::<Vec<_>>(),
        ["2026-11-23 06:00", "2026-11-23 07:00", "2026-11-23 08:00"]
    );
    let metrics = lake.archive_metrics().await.unwrap();
    assert_eq!(metrics["Readings"], all.len());
    assert_eq!(
        (&metrics["Received"], &metrics["Archived"]),
        (&json!(items(&all).len()), &json!(items(&all).len()))
    );
    assert_eq!((&metrics["Objects"], &metrics["HandedBack"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn delivered_again_in_other_batches_nothing_is_lost_and_compaction_makes_it_one() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 60);
    let items = items(&all);
    archive(&mut lake, &items).await;
    let first = Contents::of(&lake.aws);
    archive(&mut lake, &items).await;
    assert_eq!(Contents::of(&lake.aws), first, "the same batch is the same object");
    // As after a bisect, or a retry from a checkpoint.
    for part in [&items[..7], &items[3..20], &items[15..]] {
        archive(&mut lake, part).await;
    }
    assert_holds(&lake, &all);
    let summary = lake.compact().await.unwrap().unwrap();
    assert_eq!((&summary["hours"], &summary["written"]), (&json!(1), &json!(1)));
    assert_holds_once(&lake, &all);
}

#[tokio::test]
async fn killed_after_the_object_is_written_the_batch_comes_again() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 30);
    let items = items(&all);
    let (written, was_written) = std::sync::mpsc::channel();
    lake.aws.after_next(Operation::PutObject, 1, move |_| written.send(()).unwrap());
    let pid = lake.archive_process().await.unwrap().pid();
    let killer = std::thread::spawn(move || {
        was_written.recv().unwrap();
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    });
    // Whether the answer was faster or not, Lambda may not have got it.
    let _ = lake.archive(event(&items), TIME).await.unwrap();
    killer.join().unwrap();
    lake.kill();
    assert_holds_once(&lake, &all);
    archive(&mut lake, &items).await;
    assert_holds_once(&lake, &all);
}

#[tokio::test]
async fn while_s3_refuses_batches_are_handed_back_and_nothing_is_lost() {
    let mut lake = Lake::start().unwrap();
    let all = readings(-10, 10);
    let items = items(&all);
    lake.aws.fail_next(Operation::PutObject, Fault::Throttle, 1_000);
    let answer = lake.archive(event(&items), Duration::from_secs(3)).await.unwrap().unwrap();
    let failed = answer["batchItemFailures"][0]["itemIdentifier"].as_str().unwrap();
    assert!(failed.ends_with("000100"), "from the first on: {failed}");
    let metrics = lake.archive_metrics().await.unwrap();
    assert_eq!((&metrics["HandedBack"], &metrics["Archived"]), (&json!(items.len()), &json!(0)));
    assert_holds(&lake, &[]);
    lake.aws.clear_faults();
    // Refused for a moment only, it is tried again within the invocation.
    lake.aws.fail_next(Operation::PutObject, Fault::InternalError, 2);
    lake.aws.fail_next(Operation::PutObject, Fault::DropConnection, 1);
    archive(&mut lake, &items).await;
    assert_holds_once(&lake, &all);
}

#[tokio::test]
async fn removals_are_ignored_and_what_is_no_span_is_kept_whole() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 2);
    let items = items(&all);
    let stranger = r#"{"device":{"S":"plant-1/x"},"span":{"S":"0#1"},"secret":{"S":"do not log"}}"#;
    let images = [
        None,
        Some(items[0].as_str()),
        Some(stranger),
        Some(items[1].as_str()),
        None,
        Some(items[2].as_str()),
    ];
    let answer = lake.archive(dynamodb_stream(images), TIME).await.unwrap().unwrap();
    assert_eq!(answer.to_string(), ALL_WELL);
    assert_holds_once(&lake, &all);
    let metrics = lake.archive_metrics().await.unwrap();
    let counts = ["Received", "Archived", "Ignored", "Quarantined", "HandedBack"]
        .map(|name| metrics[name].as_u64().unwrap());
    assert_eq!(counts, [6, 3, 2, 1, 0], "they add up");
    let key = lake.aws.object_keys(BUCKET).into_iter().find(|key| key.starts_with("quarantine/")).unwrap();
    let line: Value = serde_json::from_slice(&lake.aws.object(BUCKET, &key).unwrap().body).unwrap();
    let record = base64_simd::STANDARD.decode_to_vec(line["record"].as_str().unwrap()).unwrap();
    assert_eq!(record, stranger.as_bytes());
    assert!(!lake.archive_process().await.unwrap().stdout().concat().contains("do not log"));
}

#[tokio::test]
async fn an_event_of_unknown_shape_fails_the_invocation() {
    let mut lake = Lake::start().unwrap();
    for event in [r#"{"Records": [{"messageId": "m-1", "body": "{}"}]}"#, "{}", "[1"] {
        let outcome = lake.archive(event, TIME).await.unwrap();
        assert_eq!(outcome, Err("Tidegate.UnknownEvent".to_owned()), "{event}");
    }
}

#[tokio::test]
async fn a_value_that_no_double_holds_keeps_its_digits() {
    let mut lake = Lake::start().unwrap();
    let mut all = readings(0, 1);
    all[0].value = telemetry::Value::Integer(i128::from(i64::MAX));
    all[1].value = telemetry::Value::Integer(i128::from(u64::MAX));
    all[2].value = telemetry::Value::Text("18446744073709551615".into());
    all.extend(readings(2, 3));
    all[3].value = telemetry::Value::Integer(10_i128.pow(38) - 1);
    all[4].value = telemetry::Value::Integer(1 << 63);
    archive(&mut lake, &items(&all)).await;
    assert_holds_once(&lake, &all);
    put(&lake.aws, &readings(1, 2), 1);
    lake.compact().await.unwrap().unwrap();
    all.extend(readings(1, 2));
    assert_holds_once(&lake, &all);
}

#[tokio::test]
async fn readings_of_one_time_are_kept_apart_by_seq_and_corrected_by_a_newer_profile() {
    let mut lake = Lake::start().unwrap();
    let first = readings(0, 1)[0].clone();
    let of = |seq: u64, revision: i64, value: i64| Reading {
        seq: Seq(seq),
        revision: Micros(SEVEN + revision),
        value: telemetry::Value::Integer(value.into()),
        ..first.clone()
    };
    let newest = [of(0, 2, 1), of(1, 1, 2), of((1 << 62) - 1, 2, 3)];
    // In whatever order the two revisions are archived.
    for batch in [&[of(0, 1, 9), newest[2].clone()][..], &newest[..2], &[of((1 << 62) - 1, 1, 9)]] {
        archive(&mut lake, &items(batch)).await;
    }
    assert_holds(&lake, &newest);
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &newest);
}
