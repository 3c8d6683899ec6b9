//! Spans into Parquet and back, on one core. `cargo bench -p lake` prints readings a second and the bytes of a reading.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where its set-up is wrong"
)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use lake::{Columns, encode};
use telemetry::{DeviceId, Micros, Quality, Reading, Span, TimeSource, Value, pack};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 1,000 devices, a message of 4 metrics every 10 s, for five minutes: what one archive batch may hold.
const DEVICES: i64 = 1_000;
const MESSAGES: i64 = 30;
const METRICS: [&str; 4] = ["temperature", "humidity", "pressure", "battery"];
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

fn main() {
    let mut columns = Columns::default();
    push(&spans(), &mut columns);
    let bytes = encode(&columns).unwrap().unwrap().len();
    println!(
        "{} readings in {bytes} bytes: {:.2} bytes a reading",
        columns.len(),
        bytes as f64 / columns.len() as f64
    );
    divan::main();
}

/// Spans as ingest packs them: five messages of a device in each, in the order of arrival.
fn spans() -> Vec<Span> {
    let mut spans = Vec::new();
    let mut noise = 88_172_645_463_325_252_u64;
    let mut noise = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise % 2_000) as f64 / 1_000.0 - 1.0
    };
    for first in (0..MESSAGES).step_by(5) {
        let mut readings = Vec::new();
        for device in 0..DEVICES {
            let id = DeviceId::from_stored(format!("plant-{}/device-{device:04}", device % 7));
            for message in first..first + 5 {
                let at = START + message * 10_000_000 + device * 9_973 % 1_000 * 1_000;
                let values = [
                    20.0 + (device % 10) as f64 + (noise() * 50.0).round() / 100.0,
                    45.0 + (noise() * 50.0).round() / 10.0,
                    101_325.0 + (noise() * 100.0).round(),
                    3.7 - message as f64 / 1_000.0,
                ];
                readings.extend(METRICS.iter().zip(values).map(|(metric, value)| Reading {
                    device: id.clone(),
                    metric: (*metric).into(),
                    at: Micros(at),
                    received: Micros(at / 1_000 * 1_000 + 80_000 + (noise() * 40.0) as i64 * 1_000),
                    value: Value::from_f64(value).unwrap(),
                    unit: None,
                    quality: Quality::Good,
                    seq: telemetry::Seq::default(),
                    revision: telemetry::Micros::default(),
                    time_source: TimeSource::Device,
                    correction: None,
                }));
            }
        }
        spans.extend(pack(readings));
    }
    spans
}

fn push(spans: &[Span], columns: &mut Columns) {
    for span in spans {
        columns.push_span(span, i64::MIN, i64::MAX);
    }
}

#[divan::bench]
fn spans_to_columns(bencher: Bencher<'_, '_>) {
    let spans = spans();
    let count: usize = spans.iter().map(Span::len).sum();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut columns = Columns::default();
        push(black_box(&spans), &mut columns);
        columns
    });
}

#[divan::bench]
fn spans_to_parquet(bencher: Bencher<'_, '_>) {
    let spans = spans();
    let count: usize = spans.iter().map(Span::len).sum();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut columns = Columns::default();
        push(black_box(&spans), &mut columns);
        encode(&columns).unwrap()
    });
}
