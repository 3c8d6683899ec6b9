//! One estimator of what is usual, and what it is measured against. `cargo bench -p alert --bench anomaly` first prints how this
//! estimator and three others judge synthetic metrics, then how long a reading takes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where its set-up is wrong"
)]

use std::collections::VecDeque;

use alert::anomaly::{Estimator, Season, Settings};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use telemetry::Micros;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MEMORY: u32 = 240;
const WARM_UP: usize = 30;
/// A reading each 5 minutes.
const INTERVAL: i64 = 300_000_000;
const A_DAY: usize = 288;
/// 2026-11-23T00:00:00Z.
const START: i64 = 1_795_392_000_000_000;

fn main() {
    compare();
    divan::main();
}

fn at(index: usize) -> Micros {
    Micros(START + index as i64 * INTERVAL)
}

type New<'a> = &'a dyn Fn() -> Box<dyn Judge>;

/// Something that scores a value and then learns it.
trait Judge {
    fn score(&self, at: Micros, value: f64) -> Option<f64>;
    fn learn(&mut self, at: Micros, value: f64);

    fn judge(&mut self, at: Micros, value: f64) -> f64 {
        let score = self.score(at, value).unwrap_or_default();
        self.learn(at, value);
        score
    }
}

/// The crate's own.
struct Ours(Settings, Estimator);

impl Ours {
    fn boxed(season: Option<Season>) -> Box<dyn Judge> {
        let settings = Settings { memory: MEMORY, season, ..Settings::default() };
        let estimator = Estimator::new(&settings);
        Box::new(Self(settings, estimator))
    }
}

impl Judge for Ours {
    fn score(&self, at: Micros, value: f64) -> Option<f64> {
        self.1.score(&self.0, at, value)
    }

    fn learn(&mut self, at: Micros, value: f64) {
        self.1.learn(&self.0, at, value);
    }
}

/// A level and a spread of some other kind, with the floor that ours has where it knows no resolution.
fn score(count: usize, level: f64, spread: f64, value: f64) -> Option<f64> {
    let unit = spread.max(level.abs() * 1e-7).max(1e-300);
    (count >= WARM_UP).then(|| ((value - level).abs() / unit).min(1e6))
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median and MAD of the last readings: exact, and as much state as there are readings.
#[derive(Default)]
struct Ring {
    values: VecDeque<f64>,
    level: f64,
    spread: f64,
}

impl Judge for Ring {
    fn score(&self, _: Micros, value: f64) -> Option<f64> {
        score(self.values.len(), self.level, self.spread, value)
    }

    fn learn(&mut self, _: Micros, value: f64) {
        if self.values.len() == 2 * MEMORY as usize {
            self.values.pop_front();
        }
        self.values.push_back(value);
        self.level = middle(self.values.iter().copied());
        self.spread = 1.4826 * middle(self.values.iter().map(|value| (value - self.level).abs()));
    }
}

/// Stochastic-gradient median and MAD: a step up or down with each reading, in proportion to the spread.
#[derive(Default)]
struct Gradient {
    seeds: Vec<f64>,
    count: usize,
    level: f64,
    spread: f64,
}

impl Judge for Gradient {
    fn score(&self, _: Micros, value: f64) -> Option<f64> {
        score(self.count, self.level, self.spread, value)
    }

    fn learn(&mut self, _: Micros, value: f64) {
        self.count += 1;
        if self.count <= 11 {
            self.seeds.push(value);
            self.level = middle(self.seeds.iter().copied());
            self.spread = 1.4826 * middle(self.seeds.iter().map(|seed| (seed - self.level).abs()));
            return;
        }
        let memory = (self.count as f64).min(f64::from(MEMORY));
        let deviation = value - self.level;
        let unit = self.spread.max(self.level.abs() * 1e-7).max(1e-300);
        let growth = 1.0 + 0.4 / memory;
        self.level += 1.25 * unit / memory * deviation.signum();
        self.spread = if deviation.abs() * 1.4826 > unit { unit * growth } else { unit / growth };
    }
}

/// Mean and standard deviation of all readings so far.
#[derive(Default)]
struct Plain {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Judge for Plain {
    fn score(&self, _: Micros, value: f64) -> Option<f64> {
        score(self.count, self.mean, (self.squares / self.count as f64).sqrt(), value)
    }

    fn learn(&mut self, _: Micros, value: f64) {
        self.count += 1;
        let deviation = value - self.mean;
        self.mean += deviation / self.count as f64;
        self.squares += deviation * (value - self.mean);
    }
}

struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal, of mean 0 and standard deviation 1.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform().max(1e-300), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }
}

fn noise() -> Noise {
    Noise(88_172_645_463_325_252)
}

/// The share of `count` values that score above the threshold, in percent, from the thousandth on.
fn alarms(judge: &mut dyn Judge, threshold: f64, count: usize, mut value: impl FnMut(usize) -> f64) -> f64 {
    let is_alarm = |index: &usize| judge.judge(at(*index), value(*index)) > threshold && *index >= 1_000;
    100.0 * (0..count).filter(is_alarm).count() as f64 / (count - 1_000) as f64
}

/// After a step of so many standard deviations: readings that score above 4, and readings until a spike of ten is seen again
/// for one. The mean of 20 runs.
fn step(new: New<'_>, height: f64) -> (f64, f64) {
    const RUNS: usize = 20;
    let mut noise = noise();
    let (mut high, mut blind) = (0, 0);
    for _ in 0..RUNS {
        let mut judge = new();
        (0..1_000).for_each(|index| judge.learn(at(index), 5.0 + noise.normal()));
        for index in 0..5_000 {
            let now = at(1_000 + index);
            let sees = |value: f64| judge.score(now, 5.0 + height + value).unwrap();
            if sees(10.0) < 6.0 || sees(0.0) > 4.0 {
                blind = blind.max(index + 1);
            }
            high += usize::from(judge.judge(now, 5.0 + height + noise.normal()) > 4.0);
        }
    }
    (high as f64 / RUNS as f64, blind as f64)
}

/// Of 10 % of the values ten standard deviations away, how many score above 6, in percent.
fn seen_outliers(judge: &mut dyn Judge) -> f64 {
    let mut noise = noise();
    let (mut outliers, mut seen) = (0_u32, 0_u32);
    for index in 0..20_000 {
        let is_outlier = noise.happens(0.1);
        let side = if noise.happens(0.5) { 10.0 } else { -10.0 };
        let score = judge.judge(at(index), noise.normal() + if is_outlier { side } else { 0.0 });
        if is_outlier && index >= 1_000 {
            outliers += 1;
            seen += u32::from(score > 6.0);
        }
    }
    100.0 * f64::from(seen) / f64::from(outliers)
}

fn sine(index: usize) -> f64 {
    (index as f64 / A_DAY as f64 * std::f64::consts::TAU).sin()
}

/// The score that noon's value has at midnight, after 20 days of a daily sine ten standard deviations high.
fn noon_at_midnight(judge: &mut dyn Judge) -> f64 {
    let mut noise = noise();
    // The sine is a quarter of a day ahead: highest at midnight, lowest at noon.
    (0..20 * A_DAY).for_each(|index| judge.learn(at(index), 10.0 * sine(index + A_DAY / 4) + noise.normal()));
    judge.score(at(20 * A_DAY), -10.0).unwrap()
}

fn compare() {
    let kinds: [(&str, New<'_>); 5] = [
        ("ours", &|| Ours::boxed(None)),
        ("+season", &|| Ours::boxed(Some(Season::Daily))),
        ("ring", &|| Box::new(Ring::default())),
        ("gradient", &|| Box::new(Gradient::default())),
        ("plain z", &|| Box::new(Plain::default())),
    ];
    let head: String = kinds.iter().map(|(name, _)| format!("{name:>10}")).collect();
    println!("memory {MEMORY}, a reading each 5 minutes {head:>85}");
    let row = |name: &str, measure: &dyn Fn(New<'_>) -> f64| {
        let cells: String = kinds.iter().map(|(_, new)| format!("{:>10.2}", measure(new))).collect();
        println!("{name:<68}{cells}");
    };
    row("normal noise: % above 4 (0.006)", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 4.0, 50_000, |_| 5.0 + noise.normal())
    });
    row("first value a million off: % of the next 4,000 above 4", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 4.0, 4_000, |index| if index == 0 { 1e6 } else { noise.normal() })
    });
    row("first value a million off: score of 10 after 1,000 readings", &|new| {
        let (mut noise, mut judge) = (noise(), new());
        (0..1_000).for_each(|index| judge.learn(at(index), if index == 0 { 1e6 } else { noise.normal() }));
        judge.score(at(1_000), 10.0).unwrap()
    });
    row("10 % of values 10 away: % of them above 6", &|new| seen_outliers(&mut *new()));
    for height in [4.0, 5.0, 6.0, 8.0, 100.0, 1e6] {
        row(&format!("step of {height}: readings above 4"), &|new| step(new, height).0);
        row(&format!("step of {height}: readings until a spike of 10 is seen again (of 5,000)"), &|new| {
            step(new, height).1
        });
    }
    row("noise of 1, then of 5: % above 6 of 4,000", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 5_000, |index| noise.normal() * if index < 1_000 { 1.0 } else { 5.0 })
    });
    row("drift of 0.02 a reading: % above 6", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 20_000, |index| 0.02 * index as f64 + noise.normal())
    });
    row("daily sine of 10: % above 6", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 20 * A_DAY, |index| 10.0 * sine(index) + noise.normal())
    });
    row("daily sine of 10: score of noon's value at midnight", &|new| noon_at_midnight(&mut *new()));
    row("20.1, rarely (5 %) 20.2: % above 6", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 20_000, |_| if noise.happens(0.05) { 20.2 } else { 20.1 })
    });
    row("shown in tenths, noise of 0.04: % above 6", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 20_000, |_| ((20.1 + 0.04 * noise.normal()) * 10.0).round() / 10.0)
    });
    row("0 or 1 (30 %): % above 6", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 20_000, |_| f64::from(noise.happens(0.3)))
    });
    row("counts of mean 0.1: % above 6", &|new| {
        let mut noise = noise();
        let mut count = move || (0..10).filter(|_| noise.happens(0.01)).count() as f64;
        alarms(&mut *new(), 6.0, 20_000, |_| count())
    });
    row("a pump, off for 40 readings and on (100) for 20: % above 6", &|new| {
        let mut noise = noise();
        alarms(&mut *new(), 6.0, 20_000, |index| noise.normal() + if index % 60 < 40 { 0.0 } else { 100.0 })
    });
    row("always 20, then once 20.1: score", &|new| {
        let mut judge = new();
        (0..1_000).for_each(|index| judge.learn(at(index), 20.0));
        judge.score(at(1_000), 20.1).unwrap()
    });
    println!();
}

fn values() -> Vec<f64> {
    let mut noise = noise();
    (0..100_000).map(|index| 20.0 + 3.0 * sine(index) + noise.normal()).collect()
}

fn bench(bencher: Bencher<'_, '_>, season: Option<Season>) {
    let (settings, values) = (Settings { season, ..Settings::default() }, values());
    bencher.counter(ItemsCount::new(values.len())).bench_local(|| {
        let mut estimator = Estimator::new(&settings);
        let mut sum = 0.0;
        for (index, value) in black_box(&values).iter().enumerate() {
            sum += estimator.score(&settings, at(index), *value).unwrap_or_default();
            estimator.learn(&settings, at(index), *value);
        }
        sum
    });
}

#[divan::bench]
fn score_and_learn(bencher: Bencher<'_, '_>) {
    bench(bencher, None);
}

#[divan::bench]
fn score_and_learn_with_season(bencher: Bencher<'_, '_>) {
    bench(bencher, Some(Season::Daily));
}

/// 1,000 states to JSON and back.
#[divan::bench]
fn store_and_read_with_season(bencher: Bencher<'_, '_>) {
    let settings = Settings { season: Some(Season::Daily), ..Settings::default() };
    let mut estimator = Estimator::new(&settings);
    values().iter().enumerate().for_each(|(index, value)| estimator.learn(&settings, at(index), *value));
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        for _ in 0..1_000 {
            let json = serde_json::to_string(black_box(&estimator)).unwrap();
            black_box(serde_json::from_str::<Estimator>(&json).unwrap());
        }
    });
}
