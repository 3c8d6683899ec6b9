//! Readings judged by rules, on one core: what the function `alert` does with a stream's spans while all is well.
//! `cargo bench -p alert` prints readings a second; a reading is counted once, however many rules see it.

#![expect(clippy::unwrap_used, reason = "a bench ends where its set-up is wrong")]

use std::sync::Arc;

use alert::{DeviceAlerts, Feed, Rule, RuleSet, Tally};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use telemetry::{DeviceId, Micros, Quality, Reading, Span, TimeSource, Value, pack};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 1,000 devices, a message of 4 metrics every 10 s, six of them in a span.
const DEVICES: usize = 1_000;
const METRICS: [&str; 4] = ["temperature", "humidity", "pressure", "battery"];
const ROWS: i64 = 6;
const SECOND: i64 = 1_000_000;
const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;
/// Spans of each device before the measured ones: its windows are full.
const WARM: i64 = 20;
/// Spans of each device that are measured: as many as bring each window to be folded once.
const MEASURED: i64 = 11;

const LEVELS: [&str; 3] = [
    r#"condition = { metric = "temperature", above = 50, clear = 45 }"#,
    r#"for = "30s"
       condition = { metric = "humidity", above = 90, clear = 80 }"#,
    r#"condition = { all = [{ metric = "pressure", below = 95000 }, { metric = "battery", below = 3 }] }"#,
];
const MEMORY: [&str; 2] = [
    r#"condition = { metric = "temperature", rate = { per = "1m", over = "5m" }, above = 20 }"#,
    r#"condition = { silent = "10m" }"#,
];

fn main() {
    divan::main();
}

fn rules(texts: &[&str]) -> RuleSet {
    let rule = |(index, text): (usize, &&str)| {
        let text = format!("name = \"rule-{index}\"\nseverity = \"warning\"\nmessage = \"m\"\n{text}");
        Arc::new(Rule::from_toml(&text).unwrap())
    };
    RuleSet::new(texts.iter().enumerate().map(rule))
}

fn device(number: usize) -> DeviceId {
    DeviceId::from_stored(format!("plant-{}/device-{number:04}", number % 7))
}

/// The spans of rounds, as they come: one of each device after the other.
fn spans(rounds: std::ops::Range<i64>) -> Vec<Span> {
    let mut noise = 88_172_645_463_325_252_u64;
    let mut noise = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise % 2_000) as f64 / 1_000.0 - 1.0
    };
    let mut spans = Vec::new();
    for round in rounds {
        let mut readings = Vec::new();
        for number in 0..DEVICES {
            let id = device(number);
            for row in round * ROWS..(round + 1) * ROWS {
                let at = Micros(START + row * 10 * SECOND + number as i64 * 9_973 % 1_000 * 1_000);
                let values = [
                    20.0 + (noise() * 50.0).round() / 100.0,
                    45.0 + (noise() * 50.0).round() / 10.0,
                    101_325.0 + (noise() * 100.0).round(),
                    3.7 - (noise() * 5.0).round() / 100.0,
                ];
                readings.extend(METRICS.iter().zip(values).map(|(metric, value)| Reading {
                    device: id.clone(),
                    metric: (*metric).into(),
                    at,
                    received: at.plus(80_000),
                    value: Value::from_f64(value).unwrap(),
                    unit: Some("1".into()),
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

/// As `stays_calm` of the function does it, device by device.
fn judge(devices: &mut [DeviceAlerts], rules: &RuleSet, spans: &[Span]) -> Tally {
    let mut sum = Tally::default();
    for round in spans.chunks(DEVICES) {
        for (alerts, span) in devices.iter_mut().zip(round) {
            for rule in rules.iter().filter(|rule| rule.matches(span.device())) {
                let feed = Feed::new(rule, [span], LATENESS);
                let tally = alerts.judge(rule, feed.samples, LATENESS, span.last());
                sum.late += tally.late;
                sum.transitions += tally.transitions;
            }
        }
    }
    sum
}

fn bench(bencher: Bencher<'_, '_>, texts: &[&str]) {
    let rules = rules(texts);
    let mut warm: Vec<DeviceAlerts> =
        spans(0..1).iter().map(|span| DeviceAlerts::new(span.device().clone())).collect();
    judge(&mut warm, &rules, &spans(0..WARM));
    warm.iter_mut().for_each(|alerts| alerts.stored(1));
    let spans = spans(WARM..WARM + MEASURED);
    let count: usize = spans.iter().map(Span::len).sum();
    let all_is_well = judge(&mut warm.clone(), &rules, &spans);
    assert_eq!((all_is_well, spans.len()), (Tally::default(), DEVICES * MEASURED as usize));
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| warm.clone())
        .bench_local_refs(|devices| judge(devices, &rules, black_box(&spans)));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn three_levels(bencher: Bencher<'_, '_>) {
    bench(bencher, &LEVELS);
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn rate_and_silence(bencher: Bencher<'_, '_>) {
    bench(bencher, &MEMORY);
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn levels_rate_and_silence(bencher: Bencher<'_, '_>) {
    bench(bencher, &[&LEVELS[..], &MEMORY[..]].concat());
}
