//! An event of the readings table's stream into objects, on one core and without any network.

#![expect(clippy::unwrap_used, reason = "a bench ends where its set-up is wrong")]

use archive::plan::{Plan, read};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use telemetry::{DeviceId, Micros, Quality, Reading, TimeSource, Value, pack};

/// Spans of five messages of four metrics: some 6 MB, the most that Lambda hands over.
const SPANS: usize = 4_500;
const MESSAGES: i64 = 5;
const METRICS: [&str; 4] = ["temperature", "humidity", "pressure", "battery"];
const READINGS: usize = SPANS * 20;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

fn main() {
    divan::main();
}

fn event() -> String {
    let records: Vec<String> = (0..SPANS).map(|number| record(number, &item(number))).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

fn item(device: usize) -> String {
    let id = DeviceId::from_stored(format!("plant-{}/device-{device:05}", device % 7));
    let reading = |(message, metric): (i64, usize)| Reading {
        device: id.clone(),
        metric: METRICS[metric].into(),
        at: Micros(START + message * 10_000_000),
        received: Micros(START + message * 10_000_000 + 80_000),
        value: Value::from_f64(20.0 + (device % 97) as f64 / 4.0 + message as f64 / 100.0 + metric as f64)
            .unwrap(),
        unit: None,
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    };
    let readings = (0..MESSAGES).flat_map(|message| (0..METRICS.len()).map(move |metric| (message, metric)));
    pack(readings.map(reading).collect()).remove(0).to_item(Some(30)).json
}

fn record(number: usize, item: &str) -> String {
    format!(
        r#"{{"eventID":"{number:032x}","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{{"ApproximateCreationDateTime":1795417200,"Keys":{{}},"NewImage":{item},"SequenceNumber":"4421584500000000017450439{number:06}","SizeBytes":500,"StreamViewType":"NEW_IMAGE"}}}}"#
    )
}

#[divan::bench]
fn read_event(bencher: Bencher<'_, '_>) {
    let event = event();
    bencher.counter(ItemsCount::new(READINGS)).bench_local(|| read(black_box(&event)).unwrap().len());
}

#[divan::bench]
fn event_to_objects(bencher: Bencher<'_, '_>) {
    let event = event();
    bencher
        .counter(ItemsCount::new(READINGS))
        .bench_local(|| Plan::new(&read(black_box(&event)).unwrap()).unwrap().objects.len());
}
