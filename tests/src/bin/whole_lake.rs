//! The lake's functions as whole processes: the release binaries under the Runtime API's driver, beside the
//! answering fake of S3. Prints what the README quotes. `whole_lake DIR` leaves an object in DIR, and what its
//! encoding took, for pyarrow to be measured beside it (`tests/bench/pyarrow_encode.py`).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends where its set-up is wrong"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lake::{Columns, Hour, Key, Name, encode};
use telemetry::{DeviceId, Micros, Quality, Reading, Span, TimeSource, Value, pack};
use tests::events::dynamodb_stream;
use tests::fake_aws::Storage;
use tests::lake::{BUCKET, Lake};

/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;
const METRICS: [&str; 4] = ["temperature", "humidity", "pressure", "battery"];
const DEADLINE: Duration = Duration::from_secs(60);
/// Objects and readings of the hour that is compacted.
const SMALL_OBJECTS: usize = 1_000;
const READINGS_PER_OBJECT: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!(
        "archive, from events of spans of 5 messages with 4 readings (6 MB is the most that Lambda hands over):"
    );
    println!(
        "| spans | readings | event | CPU per 1,000 readings | best run | bytes a reading | peak memory |"
    );
    println!("|---|---|---|---|---|---|---|");
    for spans in [100, 1_000, 5_000] {
        archive(spans).await;
    }
    if let Some(dir) = std::env::args().nth(1) {
        encode_alone(Path::new(&dir));
    }
    let numbers = (0..SMALL_OBJECTS).map(|number| object(number, 2_500, READINGS_PER_OBJECT));
    compact("", numbers, SMALL_OBJECTS * READINGS_PER_OBJECT).await;
    let texts = (0..40).map(|number| object_of_texts(number, 10_000, 1_000));
    compact(" of different texts of 1,000 bytes", texts, 400_000).await;
    let short = (0..100).map(|number| object_of_texts(number, 20_000, 40));
    compact(" of different texts of 40 bytes", short, 2_000_000).await;
}

/// A device's readings: `messages` of 4 metrics, 10 s apart.
fn readings(device: usize, messages: std::ops::Range<usize>) -> Vec<Reading> {
    let id = DeviceId::from_stored(format!("plant-{}/device-{device:05}", device % 7));
    let mut state = (device * 7_919 + messages.start + 1) as u64 * 0x9E37_79B9_7F4A_7C15;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 2_000) as f64 / 1_000.0 - 1.0
    };
    let mut readings = Vec::new();
    for message in messages {
        let at = START + message as i64 * 10_000_000 + (device * 9_973 % 10_000) as i64 * 1_000;
        let received = at / 1_000 * 1_000 + 80_000 + (noise() * 40.0) as i64 * 1_000;
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
            received: Micros(received),
            value: Value::from_f64(value).unwrap(),
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        }));
    }
    readings
}

async fn archive(spans: usize) {
    let mut lake = Lake::with(Storage::Discard, "release").unwrap();
    let event = |number: usize| {
        let of_device =
            |device| pack(readings(device, 5 * number..5 * number + 5)).remove(0).to_item(Some(30)).json;
        let items: Vec<String> = (0..spans).map(of_device).collect();
        Bytes::from(dynamodb_stream(items.iter().map(|item| Some(item.as_str()))))
    };
    let runs = 30;
    let mut samples = Vec::new();
    for number in 0..runs + 3 {
        let event = event(number);
        let (probe, before) = (probe(), lake.archive_process().await.unwrap().cpu_time().unwrap());
        let answer = lake.archive(event, DEADLINE).await.unwrap().unwrap();
        assert_eq!(answer.to_string(), r#"{"batchItemFailures":[]}"#);
        let cpu = lake.archive_process().await.unwrap().cpu_time().unwrap() - before;
        if number >= 3 {
            samples.push((probe.max(self::probe()), cpu));
        }
    }
    let metrics = lake.archive_metrics().await.unwrap();
    let readings = spans * 20;
    assert_eq!(metrics["Readings"], readings);
    let best = samples.iter().map(|sample| sample.1).min().unwrap();
    let fastest = samples.iter().map(|sample| sample.0).min().unwrap();
    samples.retain(|sample| sample.0 < fastest * 6 / 5);
    let mut kept: Vec<Duration> = samples.iter().map(|sample| sample.1).collect();
    kept.sort_unstable();
    let per_thousand = |cpu: Duration| cpu.as_secs_f64() * 1e6 / readings as f64;
    println!(
        "| {spans} | {readings} | {:.1} MB | {:.2} ms | {:.2} ms | {:.2} | {:.0} MB |",
        event(0).len() as f64 / 1e6,
        per_thousand(kept[kept.len() / 2]),
        per_thousand(best),
        metrics["Bytes"].as_f64().unwrap() / readings as f64,
        lake.archive_process().await.unwrap().peak_memory().unwrap() as f64 / 1e6,
    );
}

/// Encodes one object again and again, from spans; leaves it in `dir`, with what that took.
fn encode_alone(dir: &Path) {
    let (devices, messages) = (1_000, 30);
    let batches = (0..messages).step_by(5).flat_map(|first| (0..devices).map(move |device| (device, first)));
    let spans: Vec<Span> =
        batches.flat_map(|(device, first)| pack(readings(device, first..first + 5))).collect();
    let run = || {
        let started = Instant::now();
        let mut columns = Columns::default();
        spans.iter().for_each(|span| {
            columns.push_span(span, i64::MIN, i64::MAX);
        });
        (encode(&columns).unwrap().unwrap(), started.elapsed())
    };
    let mut times: Vec<Duration> = (0..41).map(|_| run().1).collect();
    times.sort_unstable();
    let file = run().0;
    let took = serde_json::json!({
        "readings": devices * messages * METRICS.len(),
        "bytes": file.len(),
        "milliseconds": times[times.len() / 2].as_secs_f64() * 1e3,
    });
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("archived.parquet"), &file).unwrap();
    std::fs::write(dir.join("encode.json"), took.to_string()).unwrap();
}

/// An object of so many readings of so many devices.
fn object(number: usize, devices: usize, count: usize) -> (String, Bytes) {
    let messages = count / METRICS.len() / devices;
    let mut columns = Columns::default();
    for device in 0..devices {
        let first = number * messages;
        for span in pack(readings(device, first..first + messages)) {
            columns.push_span(&span, i64::MIN, i64::MAX);
        }
    }
    // Times beyond the hour do no harm here: an object's place is its key's.
    (key(number), encode(&columns).unwrap().unwrap())
}

fn key(number: usize) -> String {
    let name = Name::Archived { first: Micros(START + number as i64), digest: format!("{number:016x}") };
    Key { hour: Hour::of(Micros(START)), name }.to_string()
}

/// Compacts objects of one hour, and prints what that took.
async fn compact(what: &str, objects: impl Iterator<Item = (String, Bytes)>, readings: usize) {
    let mut lake = Lake::with(Storage::Discard, "release").unwrap();
    let (mut count, mut bytes) = (0, 0);
    for (key, file) in objects {
        count += 1;
        bytes += file.len();
        lake.aws.put_object(BUCKET, &key, file);
    }
    let before = lake.compact_process().await.unwrap().cpu_time().unwrap();
    let began = Instant::now();
    let summary = lake.compact().await.unwrap().unwrap();
    let (took, process) = (began.elapsed(), lake.compact_process().await.unwrap());
    let cpu = process.cpu_time().unwrap() - before;
    let peak = process.peak_memory().unwrap();
    println!(
        "compact: {count} objects, {readings} readings{what} ({:.0} MB) into {} in {:.1} s ({:.1} s of CPU), peak memory {:.0} MB, swap {} ms",
        bytes as f64 / 1e6,
        summary["written"],
        took.as_secs_f64(),
        cpu.as_secs_f64(),
        peak as f64 / 1e6,
        summary["swap_millis"],
    );
    assert_eq!(summary["readings"], readings);
    assert!(peak < 512 << 20, "the function has 512 MB");
}

/// As [`object`], of one device's texts of `bytes` each, all different and as good as random.
fn object_of_texts(number: usize, count: usize, bytes: usize) -> (String, Bytes) {
    let mut state = (number as u64 + 1) * 0x9E37_79B9_7F4A_7C15;
    let mut letter = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    let reading = |n: usize| Reading {
        device: DeviceId::from_stored(format!("plant-1/gateway-{number:03}")),
        metric: "log".into(),
        at: Micros(START + n as i64),
        received: Micros(START),
        value: Value::Text((0..bytes).map(|_| letter()).collect::<String>().into()),
        unit: None,
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    };
    let mut columns = Columns::default();
    for span in pack((0..count).map(reading).collect()) {
        columns.push_span(&span, i64::MIN, i64::MAX);
    }
    (key(number), encode(&columns).unwrap().unwrap())
}

/// How long a fixed piece of work takes now: these machines slow down for seconds at a time.
fn probe() -> Duration {
    let started = Instant::now();
    let mut state = 0_u64;
    for number in 0..400_000_u64 {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number));
    }
    started.elapsed()
}
