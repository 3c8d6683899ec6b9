//! The lake's two functions as processes on the fake S3: whatever happens to a batch or a compaction, a query sees
//! the same readings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod compact;

use std::time::Duration;

use bytes::Bytes;
use lake::{Columns, Hour, Key, Name, encode};
use telemetry::{DeviceId, Micros, Quality, Reading, TimeSource, pack, standing};
use tests::events::dynamodb_stream;
use tests::fake_aws::{Handle, Operation, Pick};
use tests::lake::{BUCKET, Contents, Lake};

/// 2026-11-23T07:00:00Z: an hour that is long closed.
const SEVEN: i64 = 1_795_417_200_000_000;
const MINUTE: i64 = 60_000_000;
const TIME: Duration = Duration::from_secs(30);

fn reading(device: usize, at: i64, value: impl Into<f64>) -> Reading {
    Reading {
        device: DeviceId::from_stored(format!("plant-1/pump-{device}")),
        metric: "temperature".into(),
        at: Micros(at),
        received: Micros(at + 50_000),
        value: telemetry::Value::from_f64(value.into()).unwrap(),
        unit: Some("Cel".into()),
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    }
}

/// Readings of three devices, one a minute, `from` to `to` minutes after seven.
fn readings(from: i64, to: i64) -> Vec<Reading> {
    let of_minute =
        |minute: i64| (0..3).map(move |device| reading(device, SEVEN + minute * MINUTE, minute as f64 / 4.0));
    (from..to).flat_map(of_minute).collect()
}

/// The items that ingest makes of readings, a batch every two minutes.
fn items(readings: &[Reading]) -> Vec<String> {
    let batches =
        readings.chunk_by(|a, b| (a.at.0 - SEVEN) / (2 * MINUTE) == (b.at.0 - SEVEN) / (2 * MINUTE));
    batches.flat_map(|batch| pack(batch.to_vec())).map(|span| span.to_item(Some(30)).json).collect()
}

fn event(items: &[String]) -> String {
    dynamodb_stream(items.iter().map(|item| Some(item.as_str())))
}

fn by_identity(mut readings: Vec<Reading>) -> Vec<Reading> {
    readings.sort_by(|a, b| (&a.device, &a.metric, a.at, a.seq).cmp(&(&b.device, &b.metric, b.at, b.seq)));
    readings
}

/// An object as `archive` writes it.
fn archived(readings: &[Reading], digest: u64) -> (String, Bytes) {
    let mut columns = Columns::default();
    for span in pack(readings.to_vec()) {
        columns.push_span(&span, i64::MIN, i64::MAX);
    }
    let name = Name::Archived { first: readings[0].at, digest: format!("{digest:016x}") };
    (Key { hour: Hour::of(readings[0].at), name }.to_string(), encode(&columns).unwrap().unwrap())
}

fn put(aws: &Handle, readings: &[Reading], digest: u64) -> String {
    let (key, body) = archived(readings, digest);
    aws.put_object(BUCKET, &key, body);
    key
}

fn assert_holds(lake: &Lake, expected: &[Reading]) {
    let contents = Contents::of(&lake.aws);
    assert_eq!(by_identity(contents.standing()), by_identity(expected.to_vec()));
}

/// Nothing more is expected after a compaction: each identity is there once.
fn assert_holds_once(lake: &Lake, expected: &[Reading]) {
    assert_eq!(by_identity(Contents::of(&lake.aws).rows), by_identity(expected.to_vec()));
}

const ALL_WELL: &str = r#"{"batchItemFailures":[]}"#;

async fn archive(lake: &mut Lake, items: &[String]) {
    let answer = lake.archive(event(items), TIME).await.unwrap().unwrap();
    assert_eq!(answer.to_string(), ALL_WELL);
}

#[tokio::test]
async fn whatever_the_order_of_events_the_same_readings_stand() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 60);
    let items = items(&all);
    let mut known: Vec<Reading> = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for step in 0..40 {
        let start = random(items.len());
        let batch = &items[start..items.len().min(start + 1 + random(30))];
        match random(5) {
            0 => {
                lake.aws.fail_deletes(Pick::EveryKth(1 + random(3) as u64 + 1), "InternalError");
                lake.compact().await.unwrap().unwrap();
                lake.aws.clear_faults();
            }
            1 => lake.kill(),
            2 => {
                let batch = batch.to_vec();
                let (key, body) = {
                    let readings = spans_of(&batch);
                    known.extend(readings.iter().cloned());
                    archived(&readings, step)
                };
                lake.aws.after_next(Operation::GetObject, 1, move |aws| aws.put_object(BUCKET, &key, body));
                lake.compact().await.unwrap().unwrap();
                // It comes with the next reads, if none were due now.
                archive(&mut lake, &batch).await;
            }
            _ => {
                archive(&mut lake, batch).await;
                known.extend(spans_of(batch));
            }
        }
        let mut expected: Vec<Reading> = Vec::new();
        for device in 0..3 {
            let of_device = |r: &&Reading| r.device.as_str() == format!("plant-1/pump-{device}");
            expected.extend(standing(known.iter().filter(of_device).cloned().collect()));
        }
        assert_holds(&lake, &expected);
    }
}

fn spans_of(items: &[String]) -> Vec<Reading> {
    let span = |item: &String| telemetry::Span::from_item(&serde_json::from_str(item).unwrap()).unwrap();
    items.iter().flat_map(|item| span(item).readings().collect::<Vec<_>>()).collect()
}
