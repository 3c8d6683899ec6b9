//! What is usual is learnt, what is not stands out, and nothing a device sends spoils it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alert::anomaly::{Estimator, Season, Settings};
use proptest::prelude::*;
use serde_json::json;
use telemetry::Micros;

/// 2026-11-23T00:00:00Z.
const START: i64 = 1_795_392_000_000_000;
const MINUTE: i64 = 60_000_000;
const QUARTERS_A_DAY: i64 = 96;

fn at(minutes: i64) -> Micros {
    Micros(START + minutes * MINUTE)
}

/// Normal noise of standard deviation 1 (a sum of twelve uniforms), the same on each run.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(88_172_645_463_325_252)
    }

    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// An estimator of one metric, read once a minute.
#[derive(Clone)]
struct Metric {
    settings: Settings,
    estimator: Estimator,
    minute: i64,
}

impl Metric {
    fn new(settings: Settings) -> Self {
        let estimator = Estimator::new(&settings);
        Self { settings, estimator, minute: 0 }
    }

    fn of_memory(memory: u32) -> Self {
        Self::new(Settings { memory, ..Settings::default() })
    }

    fn score(&self, value: f64) -> Option<f64> {
        self.estimator.score(&self.settings, at(self.minute), value)
    }

    fn learn(&mut self, value: f64) {
        self.estimator.learn(&self.settings, at(self.minute), value);
        self.minute += 1;
    }

    fn judge(&mut self, value: f64) -> f64 {
        let score = self.score(value).unwrap_or_default();
        self.learn(value);
        score
    }

    fn learn_all(mut self, values: impl IntoIterator<Item = f64>) -> Self {
        values.into_iter().for_each(|value| self.learn(value));
        self
    }

    /// Centre and spread, as they show in the scores.
    fn centre_and_spread(&self) -> (f64, f64) {
        const FAR: f64 = 1_000.0;
        let (above, below) = (self.score(FAR).unwrap(), self.score(-FAR).unwrap());
        (FAR * (below - above) / (above + below), 2.0 * FAR / (above + below))
    }
}

fn noise(count: usize) -> Vec<f64> {
    let mut noise = Noise::new();
    (0..count).map(|_| noise.normal()).collect()
}

#[test]
fn nothing_is_said_while_warming_up() {
    let check = |warm_up: u32, expected: usize| {
        let mut metric = Metric::new(Settings { warm_up, ..Settings::default() });
        let silent = noise(100).into_iter().take_while(|value| {
            let is_silent = metric.score(1e6).is_none();
            metric.learn(*value);
            is_silent
        });
        assert_eq!(silent.count(), expected, "{warm_up}");
    };
    check(0, 11);
    check(11, 11);
    check(30, 30);
    check(99, 99);
}

#[test]
fn normal_noise_reads_like_a_z_score() {
    let metric = Metric::of_memory(240).learn_all(noise(5_000));
    let (centre, spread) = metric.centre_and_spread();
    assert!(centre.abs() < 0.1 && (spread - 1.0).abs() < 0.1, "{centre} {spread}");
    let mut metric = Metric::of_memory(240);
    let alarms = noise(20_000).into_iter().filter(|value| metric.judge(*value) > 5.0).count();
    assert_eq!(alarms, 0);
}

#[test]
fn first_values_may_be_bad() {
    let check = |bad: &[f64]| {
        let mut metric = Metric::of_memory(100).learn_all(bad.iter().copied());
        let usual: Vec<f64> = noise(200);
        let alarms = usual.iter().filter(|value| metric.judge(**value) > 6.0).count();
        assert_eq!(alarms, 0, "{bad:?}");
        assert!(metric.score(10.0).unwrap() > 7.0, "{bad:?}");
        assert!(metric.score(bad[0]).unwrap() > 7.0, "{bad:?}");
    };
    check(&[1e6]);
    check(&[-1e300]);
    check(&[f64::MAX]);
    check(&[85.0, 85.0]);
    check(&[1e9, -1e9, 1e9]);
    check(&[100.0, 101.0, 100.5]);
}

#[test]
fn a_spike_stands_out_and_moves_nothing() {
    let check = |height: f64| {
        let before = Metric::of_memory(100).learn_all(noise(500));
        assert!(before.score(height).unwrap() > 6.0, "{height}");
        let after = before.clone().learn_all([height]);
        let (centre_before, spread_before) = before.centre_and_spread();
        let (centre_after, spread_after) = after.centre_and_spread();
        assert!((centre_after - centre_before).abs() < 1e-9, "{height}: {centre_before} {centre_after}");
        assert!((spread_after / spread_before - 1.0).abs() < 0.01, "{height}");
    };
    check(10.0);
    check(-10.0);
    check(1e6);
    check(f64::MAX);
    check(f64::MIN);
}

#[test]
fn one_bad_value_in_ten_does_not_hide_the_others() {
    let mut metric = Metric::of_memory(100);
    let mut seen = (0, 0);
    for (index, value) in noise(5_000).into_iter().enumerate() {
        let is_bad = index % 10 == 7;
        let score = metric.judge(if is_bad { value + 10.0 } else { value });
        if index >= 500 {
            let is_seen = score > 5.0;
            assert!(is_bad || !is_seen, "{index}: {score}");
            seen.0 += u32::from(is_bad && is_seen);
            seen.1 += u32::from(is_bad);
        }
    }
    assert!(seen.0 * 100 > seen.1 * 95, "{seen:?}");
}

#[test]
fn a_step_is_accepted_after_the_memory() {
    let check = |height: f64, memory: usize| {
        let mut metric = Metric::of_memory(memory as u32).learn_all(noise(1_000));
        let scores: Vec<f64> =
            noise(3 * memory).into_iter().map(|value| metric.judge(height + value)).collect();
        let high = |scores: &[f64]| scores.iter().filter(|score| **score > 4.0).count();
        let (soon, late) = scores.split_at(memory * 9 / 10);
        assert!(high(soon) * 100 >= soon.len() * 95, "{height} of {memory}: {} too soon", high(soon));
        assert!(high(late) <= memory / 4, "{height} of {memory}: {} too late", high(late));
        assert!(high(&scores[2 * memory..]) <= memory / 50, "{height} of {memory}: not accepted");
        assert!(
            metric.score(height + 12.0 + 1e-6 * height).unwrap() > 6.0,
            "{height} of {memory}: blind after it"
        );
        assert!(metric.score(0.0).unwrap() > 5.0, "{height} of {memory}: the way back is a step, too");
    };
    for memory in [60, 240, 1_000] {
        for height in [9.0, -9.0, 30.0, 1_000.0, -1e6, 1e12, 1e290] {
            check(height, memory);
        }
    }
}

#[test]
fn a_level_that_does_not_last_is_no_step() {
    let mut metric = Metric::of_memory(100).learn_all(noise(500));
    for round in noise(4_000).chunks(80) {
        let away = |(index, value): (usize, &f64)| if index < 20 { 50.0 + value } else { *value };
        round.iter().enumerate().for_each(|pair| metric.learn(away(pair)));
        assert!(metric.score(0.0).unwrap() < 1.0);
    }
    assert!(metric.score(50.0).unwrap() > 10.0);
}

#[test]
fn more_noise_and_less_noise_are_learnt() {
    let check = |noisier: f64| {
        let metric = Metric::of_memory(100).learn_all(noise(500));
        let metric = metric.learn_all(noise(2_000).into_iter().map(|value| noisier * value));
        let (_, spread) = metric.centre_and_spread();
        assert!((spread / noisier - 1.0).abs() < 0.2, "{noisier}: {spread}");
    };
    check(0.1);
    check(0.5);
    check(3.0);
    check(10.0);
    check(100.0);
}

#[test]
fn a_constant_has_no_anomalies_in_its_last_digit() {
    let check = |value: f64| {
        let metric = Metric::of_memory(100).learn_all([value; 300]);
        assert!(metric.score(value).unwrap() < 1e-6, "{value}");
        assert!(metric.score(value.next_up()).unwrap() < 1.0, "{value}");
        let single = value as f32;
        assert!(single == 0.0 || metric.score(single.next_down().into()).unwrap() < 3.0, "{value}");
        assert!(metric.score(value * 1.001 + 1e-9).unwrap() > 100.0, "{value}");
        assert!(metric.score(-3.0 * value - 1.0).unwrap() > 100.0, "{value}");
    };
    check(0.0);
    check(20.0);
    check(f64::from(20.1_f32));
    check(f64::from(-1e9_f32));
    check(1_048_576.0);
}

#[test]
fn what_an_instrument_cannot_show_is_no_anomaly() {
    let check = |values: &mut dyn FnMut(&mut Noise) -> f64, resolution: f64| {
        let (mut noise, mut metric) = (Noise::new(), Metric::of_memory(100));
        (0..500).for_each(|_| metric.learn(values(&mut noise)));
        let highest = (0..5_000).map(|_| metric.judge(values(&mut noise))).fold(0.0, f64::max);
        assert!(highest <= 6.0, "{highest}");
        let (centre, _) = metric.centre_and_spread();
        assert!(metric.score(centre + 12.0 * resolution).unwrap() > 4.0);
    };
    check(&mut |noise| if noise.uniform() < 0.1 { 20.2 } else { 20.1 }, 0.1);
    check(&mut |noise| ((20.1 + 0.04 * noise.normal()) * 10.0).round() / 10.0, 0.1);
    check(&mut |noise| f64::from(noise.uniform() < 0.3), 1.0);
    check(&mut |noise| (0..20).map(|_| f64::from(noise.uniform() < 0.1)).sum(), 1.0);
}

#[test]
fn one_spike_says_nothing_of_a_constants_resolution() {
    let metric = Metric::of_memory(100).learn_all([20.0; 300]).learn_all([1e6]).learn_all([20.0; 5]);
    assert!(metric.score(30.0).unwrap() > 100.0);
    let metric = Metric::of_memory(100).learn_all([1e6]).learn_all([20.0; 60]);
    assert!(metric.score(30.0).unwrap() > 100.0);
}

#[test]
fn a_drift_is_usual() {
    let check = |slope: f64, noise_of: f64| {
        let mut metric = Metric::of_memory(100);
        let values =
            noise(5_000).into_iter().zip(0..).map(|(value, n)| noise_of * value + slope * f64::from(n));
        let highest = values.map(|value| metric.judge(value)).fold(0.0, f64::max);
        assert!(highest < 6.0, "{slope}: {highest}");
    };
    check(0.02, 1.0);
    check(-0.05, 1.0);
    check(1.0, 0.0);
}

#[test]
fn the_floor_is_in_the_metrics_unit() {
    let check = |floor: f64, value: f64, expected: f64| {
        let metric = Metric::new(Settings { floor, ..Settings::default() }).learn_all([20.0; 100]);
        let score = metric.score(value).unwrap();
        assert!((score / expected - 1.0).abs() < 1e-6, "{floor} {value}: {score}");
    };
    check(0.5, 21.0, 2.0);
    check(0.25, 21.0, 4.0);
    check(2.0, 10.0, 5.0);
    check(0.0, 1e9, 1e6);
}

fn daily(settings: &Settings, days: i64, value: impl Fn(i64, f64) -> f64) -> Estimator {
    let (mut estimator, mut noise) = (Estimator::new(settings), Noise::new());
    for quarter in 0..days * QUARTERS_A_DAY {
        estimator.learn(settings, at(15 * quarter), value(quarter, noise.normal()));
    }
    estimator
}

/// 10 at noon, −10 at midnight.
fn warm_days(quarter: i64, noise: f64) -> f64 {
    let turn = std::f64::consts::TAU * quarter as f64 / QUARTERS_A_DAY as f64;
    noise - 10.0 * turn.cos()
}

/// A memory of a day.
fn seasonal() -> Settings {
    Settings { memory: QUARTERS_A_DAY as u32, season: Some(Season::Daily), ..Settings::default() }
}

const NOON: i64 = 12 * 60;

#[test]
fn noons_value_is_an_anomaly_at_midnight() {
    let check = |season: Option<Season>, days: i64, minute: i64, value: f64, anomalous: bool| {
        let settings = Settings { season, ..seasonal() };
        let estimator = daily(&settings, days, warm_days);
        let score = estimator.score(&settings, at(days * 24 * 60 + minute), value).unwrap();
        let right = if anomalous { score > 8.0 } else { score < 4.0 };
        assert!(right, "{season:?} after {days} days, {value} at {minute}: {score}");
    };
    for days in [8, 30] {
        check(Some(Season::Daily), days, NOON, 10.0, false);
        check(Some(Season::Daily), days, 0, -10.0, false);
        check(Some(Season::Daily), days, 6 * 60, 0.0, false);
        check(Some(Season::Daily), days, 0, 10.0, true);
        check(Some(Season::Daily), days, NOON, -10.0, true);
        check(Some(Season::Daily), days, 6 * 60 + 10, 10.0, true);
        check(None, days, 0, 10.0, false);
        check(None, days, NOON, -10.0, false);
    }
}

#[test]
fn a_season_says_nothing_before_it_knows_a_day() {
    let (plain, settings) = (Settings { season: None, ..seasonal() }, seasonal());
    let (mut without, mut with) = (Estimator::new(&plain), Estimator::new(&settings));
    let mut silent = Vec::new();
    for quarter in 0..3 * QUARTERS_A_DAY {
        let (at, value) = (at(15 * quarter), warm_days(quarter, 0.0));
        let scores = (without.score(&plain, at, value), with.score(&settings, at, value));
        let is_silent = scores.1.is_none();
        silent.extend(is_silent.then_some(quarter));
        let counts = quarter >= QUARTERS_A_DAY + 12;
        assert!(is_silent || counts || scores.0 == scores.1, "{quarter}: {scores:?}");
        without.learn(&plain, at, value);
        with.learn(&settings, at, value);
    }
    // A day after the eleven readings that it begins with, it warms up once more.
    let again = QUARTERS_A_DAY + 13;
    let expected: Vec<i64> = (0..30).chain(again..again + 29).collect();
    assert_eq!(silent, expected);
}

#[test]
fn a_step_keeps_the_shape_of_the_day() {
    let check = |height: f64| {
        let step = |quarter: i64, noise: f64| {
            warm_days(quarter, noise) + if quarter > 10 * QUARTERS_A_DAY + 30 { height } else { 0.0 }
        };
        let estimator = daily(&seasonal(), 14, step);
        let score = |minute: i64, value: f64| {
            estimator.score(&seasonal(), at(14 * 24 * 60 + minute), height + value).unwrap()
        };
        for (minute, usual) in [(0, -10.0), (NOON, 10.0), (18 * 60, 0.0)] {
            assert!(score(minute, usual) < 4.0, "{height} at {minute}: {}", score(minute, usual));
            assert!(score(minute, usual + 20.0) > 6.0, "{height} at {minute}");
            assert!(score(minute, usual - 20.0) > 6.0, "{height} at {minute}");
        }
    };
    check(30.0);
    check(-500.0);
    check(1e6);
}

#[test]
fn readings_may_be_few_late_missing_or_of_a_wrong_time() {
    let check = |what: &str, learn: &dyn Fn(&mut Estimator, Micros, f64, i64)| {
        let (settings, mut noise) = (seasonal(), Noise::new());
        let mut estimator = Estimator::new(&settings);
        for quarter in 0..20 * QUARTERS_A_DAY {
            learn(&mut estimator, at(15 * quarter), warm_days(quarter, noise.normal()), quarter);
        }
        let score =
            |minute: i64, value: f64| estimator.score(&settings, at(20 * 24 * 60 + minute), value).unwrap();
        assert!(score(NOON, 10.0) < 4.0, "{what}: {}", score(NOON, 10.0));
        assert!(score(NOON, -10.0) > 8.0, "{what}: {}", score(NOON, -10.0));
    };
    let settings = seasonal();
    check("all", &|estimator, at, value, _| estimator.learn(&settings, at, value));
    check("by day", &|estimator, at, value, quarter| {
        if (32..72).contains(&(quarter % QUARTERS_A_DAY)) {
            estimator.learn(&settings, at, value);
        }
    });
    check("each second hour", &|estimator, at, value, quarter| {
        if quarter % 8 == 0 {
            estimator.learn(&settings, at, value);
        }
    });
    check("three days missing", &|estimator, at, value, quarter| {
        if !(5..8).contains(&(quarter / QUARTERS_A_DAY)) {
            estimator.learn(&settings, at, value);
        }
    });
    check("irregular", &|estimator, at, value, quarter| {
        if quarter * 7_919 % 13 < 5 {
            estimator.learn(&settings, at.plus(quarter * 7_919 % 600 * 1_000_000), value);
        }
    });
    check("a clock 70 years ahead, once", &|estimator, at, value, quarter| {
        let ahead = if quarter == 100 { 70 * 365 * 24 * 60 * MINUTE } else { 0 };
        estimator.learn(&settings, at.plus(ahead), value);
    });
    check("each again, three hours late", &|estimator, at, value, quarter| {
        estimator.learn(&settings, at, value);
        estimator.learn(&settings, at.plus(-3 * 60 * MINUTE), warm_days(quarter - 12, 0.0));
    });
}

#[test]
fn a_season_may_be_switched_on_and_off() {
    let off = Settings { season: None, ..seasonal() };
    let mut estimator = daily(&seasonal(), 10, warm_days);
    let now = at(10 * 24 * 60);
    estimator.learn(&off, now, -10.0);
    assert_eq!(estimator.score(&off, now, -10.0), None, "it warms up");
    (0..40).for_each(|n| estimator.learn(&off, now, -10.0 + f64::from(n % 3)));
    assert!(estimator.score(&off, now, -9.0).unwrap() < 4.0);
    estimator.learn(&seasonal(), now, -9.0);
    assert!(estimator.score(&seasonal(), now, -9.0).unwrap() < 4.0, "on its first day it is not missed");
}

#[test]
fn what_is_no_number_is_passed_over() {
    let settings = Settings::default();
    let before = Metric::new(settings.clone()).learn_all(noise(100)).estimator;
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut after = before.clone();
        after.learn(&settings, at(100), value);
        assert_eq!(after, before);
        assert_eq!(after.score(&settings, at(100), value), None);
    }
}

#[test]
fn the_state_is_small() {
    let check = |settings: &Settings, shift: f64, most: usize| {
        let mut estimator = daily(settings, 10, |quarter, noise| warm_days(quarter, noise) / 3.0 * 1e-7);
        // All that can be kept is kept while a step is not accepted yet.
        for quarter in 0..20 {
            let value = shift + f64::from(quarter) / 7.0;
            estimator.learn(settings, at(10 * 24 * 60 + 15 * i64::from(quarter)), value);
        }
        let json = serde_json::to_string(&estimator).unwrap();
        assert!(json.len() < most, "{} bytes: {json}", json.len());
    };
    let plain = Settings { season: None, ..seasonal() };
    check(&plain, 0.0, 500);
    check(&plain, -1.234e200, 500);
    check(&seasonal(), 0.0, 1_200);
    let usual = serde_json::to_string(&daily(&plain, 10, warm_days)).unwrap();
    assert!(usual.len() < 200, "{} bytes: {usual}", usual.len());
    let usual = serde_json::to_string(&daily(&seasonal(), 10, warm_days)).unwrap();
    assert!(usual.len() < 900, "{} bytes: {usual}", usual.len());
}

#[test]
fn the_same_readings_make_the_same_state_everywhere() {
    let settings = Settings { memory: 20, warm_up: 11, ..seasonal() };
    let mut estimator = Estimator::new(&settings);
    for n in 0..200_i64 {
        let step = if n > 150 { 40.0 } else { 0.0 };
        estimator.learn(&settings, at(20 * n), step + (n * n * 7_919 % 1_009) as f64 / 100.0);
    }
    let expected = concat!(
        r#"{"count":40,"level":"-1.4435379810388702e0","spread":"3.494452530438068e0","last":"4.092e1","resolution":"7.605437719244255e-2","restless":96,"outside":0,"#,
        r#""day":{"levels":"4.723755044774437e1 4.4861439336633254e1 4.634401932792693e1 4.7961908615667824e1 4.839085309000553e1 4.960546442208239e1 4.9707255548441864e1 4.736585521995148e1 4.526886989218881e1 4.3807441039236984e1 4.396688548368143e1 4.566021881701476e1 4.3730589187385135e1 4.45309595577555e1 4.432429289108883e1 4.5352811409607355e1 4.500058918738513e1 4.550984844664439e1 4.5391439336633255e1 4.513366155885548e1 4.5363661558855476e1 4.439977266996659e1 4.504477266996659e1 4.5056439336633254e1","#,
        r#""known":16777215,"learnt":58,"hour":498786,"last":{"mean":"4.278125e1","weight":"2.666666666666667e0"},"next":{"mean":"4.092e1","weight":"3.333333333333333e-1"}}}"#,
    );
    assert_eq!(serde_json::to_string(&estimator).unwrap(), expected);
}

#[test]
fn what_is_stored_otherwise_is_refused() {
    let good = serde_json::to_value(daily(&seasonal(), 3, warm_days)).unwrap();
    let check = |pointer: &str, value: serde_json::Value, accepted: bool| {
        let mut state = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        state.pointer_mut(parent).unwrap()[name] = value.clone();
        assert_eq!(serde_json::from_value::<Estimator>(state).is_ok(), accepted, "{pointer}: {value}");
    };
    check("/level", json!("1e0"), true);
    check("/level", json!("1.25"), true);
    check("/level", json!(1.25), false);
    check("/level", json!("NaN"), false);
    check("/level", json!("inf"), false);
    check("/level", json!("1e301"), false);
    check("/level", json!("warm"), false);
    check("/level", json!(null), false);
    check("/count", json!(-1), false);
    check("/count", json!(1e99), false);
    check("/recent", json!("1 2 3"), true);
    check("/recent", json!("1 2 x"), false);
    check("/recent", json!("1 ".repeat(10_000)), false);
    check("/recent", json!([1, 2]), false);
    check("/other", json!(1), false);
    check("/day", json!(null), true);
    check("/day", json!({}), false);
    check("/day/levels", json!("1 ".repeat(24)), true);
    check("/day/levels", json!("1 ".repeat(23)), false);
    check("/day/levels", json!("1 ".repeat(25)), false);
    check("/day/other", json!(1), false);
    assert!(serde_json::from_str::<Estimator>("{}").is_err());
    assert!(serde_json::from_str::<Estimator>("null").is_err());
}

#[test]
fn settings_are_checked() {
    let check = |settings: serde_json::Value, problem: Option<&str>| {
        let result = serde_json::from_value::<Settings>(settings.clone())
            .map_err(|error| error.to_string())
            .and_then(|settings| settings.check());
        match problem {
            None => assert_eq!(result, Ok(()), "{settings}"),
            Some(words) => assert!(result.as_ref().unwrap_err().contains(words), "{settings}: {result:?}"),
        }
    };
    check(json!({}), None);
    check(json!({"memory": 3, "warm_up": 0, "floor": 0.5, "season": "daily"}), None);
    check(json!({"memory": 864_000, "warm_up": 864_000}), None);
    check(json!({"memory": 2}), Some("memory has to be from 3 to 864000 readings"));
    check(json!({"memory": 864_001}), Some("memory"));
    check(json!({"warm_up": 864_001}), Some("warm_up has to be 864000 readings at most"));
    check(json!({"floor": -0.1}), Some("floor has to be a number, zero or more"));
    check(json!({"season": "weekly"}), Some("daily"));
    check(json!({"memori": 5}), Some("unknown field"));
    assert!(Settings { floor: f64::NAN, ..Settings::default() }.check().is_err());
    assert_eq!(serde_json::from_value::<Settings>(json!({})).unwrap(), Settings::default());
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let memory = prop_oneof![4 => 0..40_u32, 1 => any::<u32>()];
    let warm_up = prop_oneof![4 => 0..20_u32, 1 => any::<u32>()];
    let floor = prop_oneof![4 => Just(0.0), 1 => any::<f64>()];
    (memory, warm_up, floor, any::<bool>()).prop_map(|(memory, warm_up, floor, daily)| Settings {
        memory,
        warm_up,
        floor,
        season: daily.then_some(Season::Daily),
    })
}

fn any_readings() -> impl Strategy<Value = Vec<(Micros, f64)>> {
    let value = prop_oneof![
        4 => -10.0..10.0,
        2 => (0..3_i32).prop_map(f64::from),
        1 => any::<f64>(),
        1 => prop_oneof![Just(f64::MAX), Just(f64::MIN), Just(f64::MIN_POSITIVE), Just(5e-324), Just(f64::NAN)],
    ];
    let gap = prop_oneof![4 => 0..90_i64, 1 => -300..3_000_i64];
    let wild = prop_oneof![30 => Just(None), 1 => any::<i64>().prop_map(Some)];
    prop::collection::vec((value, gap, wild), 0..300).prop_map(|readings| {
        let mut minute = 0;
        let mut reading = |(value, gap, wild): (f64, i64, Option<i64>)| {
            minute += gap;
            (wild.map_or(at(minute), Micros), value)
        };
        readings.into_iter().map(&mut reading).collect()
    })
}

proptest! {
    #[test]
    fn scores_are_numbers_and_a_stored_state_goes_on_as_if_it_had_not_been(
        settings in any_settings(),
        readings in any_readings(),
        store_at in 0..300_usize,
    ) {
        let (mut estimator, mut stored) = (Estimator::new(&settings), None);
        for (index, (at, value)) in readings.into_iter().enumerate() {
            if index == store_at {
                let json = serde_json::to_string(&estimator).unwrap();
                stored = Some(serde_json::from_str::<Estimator>(&json).unwrap());
            }
            let score = estimator.score(&settings, at, value);
            prop_assert!(score.is_none_or(|score| (0.0..=1e6).contains(&score)), "{score:?}");
            estimator.learn(&settings, at, value);
            if let Some(stored) = &mut stored {
                prop_assert_eq!(stored.score(&settings, at, value), score);
                stored.learn(&settings, at, value);
                prop_assert_eq!(&*stored, &estimator);
            }
        }
        let json = serde_json::to_string(&estimator).unwrap();
        prop_assert!(json.len() < 1_500);
        prop_assert_eq!(serde_json::from_str::<Estimator>(&json).unwrap(), estimator);
    }

    #[test]
    fn a_nonsensical_state_does_no_harm(
        settings in any_settings(),
        readings in any_readings(),
        numbers in prop::collection::vec(prop_oneof![any::<f64>(), -1.0..1.0, Just(1e300), Just(-1e300), Just(0.0)], 48),
        counts in prop::array::uniform5(prop_oneof![any::<u32>(), 0..30_u32]),
        hour in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
        recent in 0..12_usize,
    ) {
        let texts = |numbers: &[f64]| numbers.iter().map(|number| format!("{number:e}")).collect::<Vec<_>>();
        let number = texts(&numbers[40..]);
        let state = json!({
            "count": counts[0], "restless": counts[1], "outside": counts[2],
            "level": number[0], "spread": number[1], "last": number[2], "resolution": number[3],
            "recent": texts(&numbers[..recent]).join(" "),
            "day": {
                "levels": texts(&numbers[16..40]).join(" "),
                "last": {"mean": number[4], "weight": number[5]}, "next": {"mean": number[6], "weight": number[7]},
                "known": counts[3], "learnt": counts[4], "hour": hour,
            },
        });
        if let Ok(mut estimator) = serde_json::from_value::<Estimator>(state) {
            for (at, value) in readings {
                let score = estimator.score(&settings, at, value);
                prop_assert!(score.is_none_or(|score| (0.0..=1e6).contains(&score)), "{score:?}");
                estimator.learn(&settings, at, value);
            }
            let json = serde_json::to_string(&estimator).unwrap();
            prop_assert_eq!(serde_json::from_str::<Estimator>(&json).unwrap(), estimator);
        }
    }
}
