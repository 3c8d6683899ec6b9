//! How the anomaly score does on a series of the Numenta Anomaly Benchmark, beside a plain z-score.
//!
//! ```text
//! cargo run -p alert --example nab -- <csv> [<windows.json> [<key>]]
//! ```
//!
//! The CSV has the columns `timestamp,value`. The second file is the benchmark's `combined_windows.json`: it says when
//! something was wrong. Without it there are only counts and the highest scores. The key of a series in it ends with the name of the
//! CSV, unless given. The benchmark's data is not part of this project (its licence is another one).

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use alert::anomaly::{Estimator, Season, Settings};
use telemetry::Micros;

const USAGE: &str = "usage: nab <csv> [<windows.json> [<key>]]";
const THRESHOLDS: [f64; 5] = [3.0, 4.0, 5.0, 6.0, 8.0];
const HOUR: i64 = 3_600_000_000;
const WEEK: i64 = 7 * 24 * HOUR;
/// Detections that are further apart than this are of two episodes.
const EPISODE: i64 = 6 * HOUR;
/// Readings before the plain z-score counts: as many as before ours does.
const WARM_UP: usize = 30;
const SHOWN: usize = 10;

struct Reading {
    at: Micros,
    value: f64,
}

struct Window {
    from: Micros,
    to: Micros,
}

impl Window {
    fn contains(&self, at: Micros) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// How one way of scoring sees the series.
struct Judged {
    name: String,
    scores: Vec<Option<f64>>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (csv, windows, key) = match arguments.as_slice() {
        [csv] if !csv.starts_with('-') => (csv, None, None),
        [csv, windows] => (csv, Some(windows), None),
        [csv, windows, key] => (csv, Some(windows), Some(key.as_str())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(csv, windows.map(String::as_str), key) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(csv: &str, windows: Option<&str>, key: Option<&str>) -> Result<(), String> {
    let readings = readings(&read(csv)?).map_err(|problem| format!("{csv}: {problem}"))?;
    let windows = windows.map(|path| {
        let name = Path::new(csv).file_name().unwrap_or_default().to_string_lossy();
        windows_of(&read(path)?, key, &name).map_err(|problem| format!("{path}: {problem}"))
    });
    let windows = windows.transpose()?;
    println!("{} readings, from {} to {}", readings.len(), readings[0].at, readings[readings.len() - 1].at);
    let judged = judge(&readings);
    match windows {
        Some(windows) => print_windows(&readings, &judged, &windows),
        None => print_highest(&readings, &judged),
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn readings(csv: &str) -> Result<Vec<Reading>, String> {
    let mut lines = csv.lines().enumerate();
    if lines.next().map(|(_, head)| head.trim()) != Some("timestamp,value") {
        return Err("the first line has to be `timestamp,value`".to_owned());
    }
    let reading = |(index, line): (usize, &str)| {
        let (at, value) = line.split_once(',')?;
        let value = value.trim().parse().ok().filter(|value: &f64| value.is_finite())?;
        Some((index, Reading { at: time(at)?, value }))
    };
    let mut readings = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let Some((_, reading)) = reading((index, line)) else {
            return Err(format!("line {} is not like `2013-12-02 21:15:00,73.9`", index + 1));
        };
        readings.push(reading);
    }
    if readings.is_empty() { Err("there are no readings".to_owned()) } else { Ok(readings) }
}

/// A time such as `2013-12-02 21:15:00`, taken for UTC.
fn time(text: &str) -> Option<Micros> {
    Micros::from_rfc3339(&format!("{}Z", text.trim().replacen(' ', "T", 1)))
}

/// The windows of one series, whose key ends with the name of its file unless it is given.
fn windows_of(json: &str, key: Option<&str>, name: &str) -> Result<Vec<Window>, String> {
    let mut all: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(json).map_err(|error| format!("not what it should be: {error}"))?;
    let is_wanted = |candidate: &&String| match key {
        Some(key) => *candidate == key,
        None => candidate.rsplit('/').next() == Some(name),
    };
    let Some(key) = all.keys().find(is_wanted).cloned() else {
        return Err(format!("there is no key {}", key.unwrap_or(name)));
    };
    let window = |(from, to): &(String, String)| Some(Window { from: time(from)?, to: time(to)? });
    let windows: Option<Vec<Window>> = all.remove(&key).unwrap_or_default().iter().map(window).collect();
    windows.ok_or_else(|| format!("a window of {key} is not two times"))
}

fn judge(readings: &[Reading]) -> Vec<Judged> {
    let default = Settings::default();
    let week = Settings { memory: readings_in_a_week(readings), ..Settings::default() };
    let season = Settings { season: Some(Season::Daily), ..week.clone() };
    vec![
        ours(&format!("memory of {}", default.memory), &default, readings),
        ours(&format!("of a week ({})", week.memory), &week, readings),
        ours("of a week, daily season", &season, readings),
        Judged { name: "plain z-score".to_owned(), scores: plain(readings) },
    ]
}

fn ours(name: &str, settings: &Settings, readings: &[Reading]) -> Judged {
    let mut estimator = Estimator::new(settings);
    let score_and_learn = |reading: &Reading| {
        let score = estimator.score(settings, reading.at, reading.value);
        estimator.learn(settings, reading.at, reading.value);
        score
    };
    Judged { name: name.to_owned(), scores: readings.iter().map(score_and_learn).collect() }
}

/// By the median of the time from one reading to the next.
fn readings_in_a_week(readings: &[Reading]) -> u32 {
    let mut gaps: Vec<i64> = readings.windows(2).map(|pair| pair[1].at.0 - pair[0].at.0).collect();
    gaps.sort_unstable();
    let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(HOUR).max(1_000_000);
    u32::try_from(WEEK / gap).unwrap_or(u32::MAX)
}

/// The distance from the mean of all readings so far, in their standard deviations.
fn plain(readings: &[Reading]) -> Vec<Option<f64>> {
    let (mut count, mut mean, mut squares) = (0_usize, 0.0, 0.0);
    let score_and_learn = |reading: &Reading| {
        let deviation = reading.value - mean;
        let spread = f64::sqrt(squares / count as f64);
        let score = (count >= WARM_UP && spread > 0.0).then(|| deviation.abs() / spread);
        count += 1;
        mean += deviation / count as f64;
        squares += deviation * (reading.value - mean);
        score
    };
    readings.iter().map(score_and_learn).collect()
}

/// The times of the readings that score above a threshold.
fn detections(readings: &[Reading], judged: &Judged, threshold: f64) -> Vec<Micros> {
    let above = |score: &Option<f64>| score.is_some_and(|score| score > threshold);
    let scored = readings.iter().zip(&judged.scores);
    scored.filter(|(_, score)| above(score)).map(|(reading, _)| reading.at).collect()
}

fn episodes(detections: &[Micros]) -> usize {
    let breaks = detections.windows(2).filter(|pair| pair[1].0 - pair[0].0 > EPISODE).count();
    if detections.is_empty() { 0 } else { breaks + 1 }
}

fn print_windows(readings: &[Reading], judged: &[Judged], windows: &[Window]) {
    println!("{} windows; delays from the beginning of each to the first detection in it\n", windows.len());
    println!(
        "| {:<23} | above | windows hit | detections inside | outside | in episodes | delays, hours {}|",
        "score",
        " ".repeat((windows.len() * 7).saturating_sub(14))
    );
    println!("|---|---|---|---|---|---|---|");
    for judged in judged {
        for threshold in THRESHOLDS {
            let (inside, outside): (Vec<Micros>, Vec<Micros>) = detections(readings, judged, threshold)
                .into_iter()
                .partition(|at| windows.iter().any(|window| window.contains(*at)));
            let delay = |window: &Window| {
                let first = inside.iter().find(|at| window.contains(**at))?;
                Some((first.0 - window.from.0) as f64 / HOUR as f64)
            };
            let delays: Vec<Option<f64>> = windows.iter().map(delay).collect();
            let shown = |delay: &Option<f64>| delay.map_or("–".to_owned(), |hours| format!("{hours:.1}"));
            println!(
                "| {:<23} | {threshold:>5} | {:>11} | {:>17} | {:>7} | {:>11} | {} |",
                judged.name,
                format!("{} of {}", delays.iter().flatten().count(), windows.len()),
                inside.len(),
                outside.len(),
                episodes(&outside),
                delays.iter().map(|delay| format!("{:>6}", shown(delay))).collect::<Vec<_>>().join(" "),
            );
        }
    }
}

fn print_highest(readings: &[Reading], judged: &[Judged]) {
    println!("\n| {:<23} | above | detections | in episodes |", "score");
    println!("|---|---|---|---|");
    for judged in judged {
        for threshold in THRESHOLDS {
            let all = detections(readings, judged, threshold);
            println!("| {:<23} | {threshold:>5} | {:>10} | {:>11} |", judged.name, all.len(), episodes(&all));
        }
    }
    for judged in judged {
        let mut scored: Vec<(f64, &Reading)> = judged
            .scores
            .iter()
            .zip(readings)
            .filter_map(|(score, reading)| score.map(|score| (score, reading)))
            .collect();
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        println!("\nhighest, {}:", judged.name);
        for (score, reading) in scored.iter().take(SHOWN) {
            println!("{score:>10.2}  {}  {}", reading.at, reading.value);
        }
    }
}
