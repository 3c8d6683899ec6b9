//! `tidegate alert-rule test`: what a rule would have made of readings. Nothing is published or stored.
//!
//! Readings are judged as the function `alert` judges them, in their own time and in the order of their arrival, so
//! that one that comes late corrects what was judged before, or is too late.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alert::{Answer, Document, Feed, Phase, Rule, Sample, Threshold, Track, Transition};
use cloud::readings::Readings;
use serde::Serialize;
use telemetry::{DeviceId, Length, Micros, Reading, pack};

use super::fit;
use super::recorded::Recorded;
use super::words::{self, count};
use crate::aws::patience;
use crate::console::{Progress, print};
use crate::documents;
use crate::error::{Context as _, Error, Result};
use crate::query::{When, check_device, device_named, json_lines};
use crate::table::Table;
use crate::target::{TableOf, Target};

/// Most devices of one test: each takes some kilobytes.
const MAX_DEVICES: usize = 1_000;
/// Most readings that are taken as one message.
const MAX_ARRIVAL: usize = 10_000;
/// How much of a device's stored readings is held at a time, in microseconds: four hours.
const CHUNK_MICROS: i64 = 4 * 3_600 * 1_000_000;
/// Rows of one table: many transitions are printed in several.
const MAX_ROWS: usize = 1_000;
/// Devices whose silence after the last reading is foretold one by one.
const MAX_FORETOLD: usize = 20;

/// What a rule is tested on.
#[derive(Debug, Clone)]
pub struct Question {
    /// The file with the rule.
    pub rule: PathBuf,
    /// The readings.
    pub readings: Replayed,
    /// For how long readings may come late and are judged again.
    pub lateness: Length,
    /// How often the device sends, for rules that count in intervals.
    pub interval: Option<Length>,
    /// One JSON object a line instead of a table.
    pub as_json: bool,
}

/// Where readings come from.
#[derive(Debug, Clone)]
pub enum Replayed {
    /// A file; `-` is standard input.
    File {
        /// Its path.
        path: PathBuf,
        /// Of this device alone.
        device: Option<String>,
    },
    /// The readings table.
    Stored {
        /// The device.
        device: String,
        /// The first time.
        from: When,
        /// The last time.
        to: When,
    },
}

/// Prints every transition that the rule would have made, and what it came to.
///
/// # Errors
/// If the rule is not valid or not about the device, or readings cannot be read.
pub async fn backtest(target: &Target, question: &Question) -> Result<()> {
    let rule = Arc::new(documents::good_one::<Rule>(&question.rule)?).for_interval(question.interval);
    let mut test = Test {
        replay: Replay::new(&rule, question.lateness.0),
        steps: Vec::new(),
        as_json: question.as_json,
    };
    match &question.readings {
        Replayed::File { path, device } => {
            let device = device.as_deref().map(|device| device_of(&rule, device)).transpose()?;
            test.take_file(path, device.as_ref())?;
        }
        Replayed::Stored { device, from, to } => {
            test.take_stored(target, &device_of(&rule, device)?, *from, *to).await?;
        }
    }
    test.finish()
}

fn device_of(rule: &Rule, device: &str) -> Result<DeviceId> {
    let device = device_named(device)?;
    if rule.matches(&device) {
        return Ok(device);
    }
    let scope = words::scope(rule);
    Err(Error::negative(format!("the rule {} is about {scope}, and not about {device}", rule.name)))
}

/// A test under way.
struct Test<'a> {
    replay: Replay<'a>,
    steps: Vec<Step>,
    as_json: bool,
}

impl Test<'_> {
    fn take_file(&mut self, path: &Path, device: Option<&DeviceId>) -> Result<()> {
        if path == Path::new("-") {
            return self.take_lines(Recorded::new(std::io::stdin().lock(), "standard input"), device);
        }
        let name = path.display().to_string();
        let file = File::open(path).or_problem(|| format!("cannot read {name}"))?;
        self.take_lines(Recorded::new(BufReader::new(file), name), device)
    }

    /// What stands together and was measured at one instant came together.
    fn take_lines(&mut self, recorded: Recorded<impl BufRead>, device: Option<&DeviceId>) -> Result<()> {
        let mut arrival: Vec<Reading> = Vec::new();
        for reading in recorded {
            let reading = reading?;
            if device.is_some_and(|device| *device != reading.device) {
                continue;
            }
            let is_one = arrival
                .last()
                .is_none_or(|last| (last.instant(), &last.device) == (reading.instant(), &reading.device));
            if !is_one || arrival.len() >= MAX_ARRIVAL {
                self.take(std::mem::take(&mut arrival))?;
            }
            arrival.push(reading);
        }
        self.take(arrival)
    }

    async fn take_stored(&mut self, target: &Target, device: &DeviceId, from: When, to: When) -> Result<()> {
        let now = jiff::Timestamp::now();
        let (from, to) = (from.micros(now), to.micros(now));
        let source = target.open(TableOf::Readings).await?;
        let stored = Readings::new(source.clients.dynamodb.clone(), source.readings()?);
        let progress = Progress::start("judging the stored readings");
        let mut start = from;
        while start <= to {
            progress.tick(&start.day());
            let end = start.plus(CHUNK_MICROS - 1).min(to);
            let readings = stored.query(device, start, end, patience()).await;
            for arrival in arrivals(readings.or_problem(|| "cannot read the readings table")?) {
                self.take(arrival)?;
            }
            start = end.plus(1);
        }
        progress.finish("");
        if self.replay.counts.readings == 0 { check_device(&source, device, from, to).await } else { Ok(()) }
    }

    fn take(&mut self, arrival: Vec<Reading>) -> Result<()> {
        self.steps.extend(self.replay.take(arrival)?);
        if self.steps.len() >= MAX_ROWS { self.print_steps() } else { Ok(()) }
    }

    fn print_steps(&mut self) -> Result<()> {
        let (rule, steps) = (self.replay.rule, std::mem::take(&mut self.steps));
        print(&if self.as_json {
            json_lines(steps.iter().map(|step| Line::of(rule, step)))?
        } else {
            step_table(rule, &steps)
        })
    }

    fn finish(mut self) -> Result<()> {
        if !self.steps.is_empty() {
            self.print_steps()?;
        }
        let foretold = self.replay.foretold();
        if self.as_json {
            return print(&json_lines([Closing {
                summary: &self.replay.counts,
                if_nothing_follows: foretold,
            }])?);
        }
        print(&closing(&self.replay, &foretold))
    }
}

/// Stored readings in the order of their arrival, message by message.
fn arrivals(mut readings: Vec<Reading>) -> Vec<Vec<Reading>> {
    readings.sort_by_key(|reading| (reading.received, reading.instant()));
    readings.chunk_by(|a, b| a.received == b.received).map(<[Reading]>::to_vec).collect()
}

/// The devices as far as their readings have been judged.
struct Replay<'a> {
    rule: &'a Rule,
    lateness: i64,
    devices: BTreeMap<DeviceId, Played>,
    counts: Counts,
}

struct Played {
    track: Track,
    /// The newest time of any of its readings.
    newest: Micros,
}

/// What a test came to.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    /// All that were read.
    readings: usize,
    /// Of devices that the rule is not about.
    of_other_devices: usize,
    /// That the rule has judged.
    judged: usize,
    /// In a unit that it does not ask for.
    other_unit: usize,
    /// Of a kind that it cannot judge.
    other_kind: usize,
    /// Whose time lies too far ahead of their arrival.
    ahead: usize,
    /// That came after their time had been settled.
    late: usize,
    transitions: usize,
    told: usize,
    damped: usize,
    /// Transitions that a late reading took back.
    taken_back: usize,
}

/// A transition, or that one was taken back.
#[derive(Debug)]
struct Step {
    device: DeviceId,
    transition: Transition,
    is_taken_back: bool,
}

impl<'a> Replay<'a> {
    fn new(rule: &'a Rule, lateness: i64) -> Self {
        Self { rule, lateness, devices: BTreeMap::new(), counts: Counts::default() }
    }

    /// Judges readings of one device that came together.
    fn take(&mut self, arrival: Vec<Reading>) -> Result<Vec<Step>> {
        let Some(device) = arrival.first().map(|reading| reading.device.clone()) else {
            return Ok(Vec::new());
        };
        self.counts.readings += arrival.len();
        if !self.rule.matches(&device) {
            self.counts.of_other_devices += arrival.len();
            return Ok(Vec::new());
        }
        if !self.devices.contains_key(&device) && self.devices.len() >= MAX_DEVICES {
            return Err(Error::problem(format!(
                "these are readings of more than {MAX_DEVICES} devices: name one with --device"
            )));
        }
        let is_in_time = |reading: &&Reading| reading.at <= reading.received.plus(self.lateness);
        let newest = arrival.iter().filter(is_in_time).map(|reading| reading.at).max();
        let feed = Feed::new(self.rule, &pack(arrival), self.lateness);
        let new = || Played { track: Track::new(self.rule), newest: Micros(i64::MIN) };
        let played = self.devices.entry(device.clone()).or_insert_with(new);
        let evaluated = feed.samples.iter().filter(|sample| self.rule.evaluates(sample));
        let (fitting, other_kind): (Vec<_>, Vec<_>) =
            evaluated.partition(|sample| is_judged(self.rule, sample));
        let in_time = fitting.iter().filter(|sample| !played.track.is_settled(sample));
        self.counts.judged += in_time.count();
        self.counts.other_kind += other_kind.len();
        let judged = played.track.take(self.rule, feed.samples, self.lateness);
        // Whatever the device sends shows that its clock goes on, and that the rule's metric is silent.
        played.newest = played.newest.max(newest.unwrap_or(played.newest));
        let silence = played.track.tick(self.rule, played.newest);
        self.counts.other_unit += feed.other_unit;
        self.counts.ahead += feed.ahead;
        self.counts.late += judged.late;
        let step = |is_taken_back| {
            let device = device.clone();
            move |transition| Step { device: device.clone(), transition, is_taken_back }
        };
        let taken_back = judged.withdrawn.into_iter().map(step(true));
        let steps: Vec<Step> =
            taken_back.chain(judged.new.into_iter().chain(silence.new).map(step(false))).collect();
        steps.iter().for_each(|step| self.counts.add(step));
        Ok(steps)
    }

    /// What silence after the last readings would bring, the first such transition of each device.
    fn foretold(&self) -> Vec<Foretold> {
        let Some(longest) = self.rule.silences(None).map(|silence| silence.after_micros).max() else {
            return Vec::new();
        };
        let foretell = |(device, played): (&DeviceId, &Played)| {
            let mut track = played.track.clone();
            let mut outcome = track.tick(self.rule, played.newest.plus(longest).plus(1));
            outcome.new.sort_by_key(|transition| !transition.to.stands());
            let first = outcome.new.into_iter().next()?;
            Some(Foretold {
                device: device.to_string(),
                last_reading: played.newest.to_string(),
                at: first.at.to_string(),
                from: first.from.as_str(),
                to: first.to.as_str(),
            })
        };
        self.devices.iter().filter_map(foretell).collect()
    }
}

impl Counts {
    fn add(&mut self, step: &Step) {
        if step.is_taken_back {
            self.taken_back += 1;
            return;
        }
        let transition = &step.transition;
        self.transitions += 1;
        self.told += usize::from(transition.told);
        self.damped += usize::from(is_damped(transition));
    }
}

/// Whether a question is asked of such a value.
fn is_judged(rule: &Rule, sample: &Sample) -> bool {
    let metric = rule.metrics.get(sample.metric);
    let mut leaves = rule.leaves.iter().filter(|leaf| Some(&leaf.metric) == metric);
    leaves.any(|leaf| fit::judges(&leaf.question, &sample.value))
}

fn is_damped(transition: &Transition) -> bool {
    !transition.told && !matches!(transition.to, Phase::Pending | Phase::Normal)
}

/// What would follow if nothing came any more.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Foretold {
    device: String,
    last_reading: String,
    at: String,
    from: &'static str,
    to: &'static str,
}

#[derive(Serialize)]
struct Closing<'a> {
    summary: &'a Counts,
    if_nothing_follows: Vec<Foretold>,
}

/// A step in JSON.
#[derive(Serialize)]
struct Line {
    at: String,
    /// Decimal, where it is not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<String>,
    device: String,
    from: &'static str,
    to: &'static str,
    cause: &'static str,
    metric: Option<String>,
    value: Option<telemetry::Value>,
    unit: Option<String>,
    /// The rate or score that was compared, where it is not the value.
    number: Option<f64>,
    threshold: Option<Threshold>,
    told: bool,
    damped: bool,
    taken_back: bool,
    evidence: Vec<Answer>,
}

impl Line {
    fn of(rule: &Rule, step: &Step) -> Self {
        let Step { device, transition, is_taken_back } = step;
        let decisive = words::decisive(rule, transition);
        let last = decisive.and_then(|(_, evidence)| evidence.last.as_ref());
        Self {
            at: transition.at.to_string(),
            seq: (!transition.seq.is_none()).then(|| transition.seq.to_string()),
            device: device.to_string(),
            from: transition.from.as_str(),
            to: transition.to.as_str(),
            cause: transition.cause.as_str(),
            metric: decisive.and_then(|(leaf, _)| leaf.metric.as_deref().map(str::to_owned)),
            value: last.map(|seen| seen.value.clone()),
            unit: last.and_then(|seen| seen.unit.as_deref().map(str::to_owned)),
            number: decisive.and_then(|(_, evidence)| evidence.number),
            threshold: decisive.map(|(leaf, _)| leaf.threshold()),
            told: transition.told,
            damped: is_damped(transition),
            taken_back: *is_taken_back,
            evidence: Document::of(device, rule, transition).evidence,
        }
    }
}

fn step_table(rule: &Rule, steps: &[Step]) -> String {
    let mut table =
        Table::new(["at", "device", "from", "", "to", "cause", "metric", "value", "threshold", "told"]);
    for Step { device, transition, is_taken_back } in steps {
        let decisive = words::decisive(rule, transition);
        let threshold = decisive.map(|(leaf, _)| leaf.threshold());
        table.push([
            words::instant(transition.at, transition.seq),
            device.to_string(),
            transition.from.as_str().to_owned(),
            "→".to_owned(),
            transition.to.as_str().to_owned(),
            transition.cause.as_str().to_owned(),
            decisive.and_then(|(leaf, _)| leaf.metric.as_deref()).unwrap_or_default().to_owned(),
            decisive.map_or(String::new(), |(_, evidence)| words::compared(evidence)),
            threshold.map_or(String::new(), |Threshold { test, level }| format!("{test} {level}")),
            if *is_taken_back { "taken back" } else { words::telling(transition) }.to_owned(),
        ]);
    }
    table.render()
}

/// What a test came to, and what silence would bring.
fn closing(replay: &Replay<'_>, foretold: &[Foretold]) -> String {
    let Counts { readings, judged, transitions, told, .. } = replay.counts;
    let counts = &replay.counts;
    let details = [
        (counts.other_unit, true, "in another unit"),
        (counts.ahead, true, "too far ahead of their arrival"),
        (counts.late, true, "too late"),
        (counts.other_kind, false, "of a kind that it cannot judge"),
        (counts.of_other_devices, false, "of devices that the rule is not about"),
    ];
    let details = details.into_iter().filter(|(number, is_always, _)| *is_always || *number > 0);
    let details: String = details.map(|(number, _, what)| format!(", {number} {what}")).collect();
    let mut text = format!(
        "{} of {}: {judged} judged{details}\n{}: {told} told, {} damped; {} taken back\n",
        count(readings, "reading"),
        count(replay.devices.len(), "device"),
        count(transitions, "transition"),
        counts.damped,
        counts.taken_back
    );
    for Foretold { device, last_reading, at, from, to } in foretold.iter().take(MAX_FORETOLD) {
        text.push_str(&format!(
            "{device}: were nothing to follow its last reading of {last_reading}: {from} → {to} at {at}\n"
        ));
    }
    if let Some(more) = foretold.len().checked_sub(MAX_FORETOLD).filter(|more| *more > 0) {
        text.push_str(&format!("… and so {}\n", count(more, "more device")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{Quality, TimeSource, Value};

    const SECOND: i64 = 1_000_000;
    const START: i64 = 1_795_417_200_000_000;

    fn rule(condition: &str) -> Rule {
        let head = "name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\n";
        Rule::from_toml(&format!("{head}{condition}")).unwrap()
    }

    /// A reading of `a/b`, measured and received so many seconds after the start.
    fn reading(metric: &str, value: Value, at: i64, received: i64) -> Reading {
        Reading {
            device: DeviceId::from_stored("a/b"),
            metric: metric.into(),
            at: Micros(START + at * SECOND),
            received: Micros(START + received * SECOND),
            value,
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        }
    }

    fn number(value: i128, at: i64) -> Reading {
        reading("t", Value::Integer(value), at, at)
    }

    fn steps(replay: &mut Replay<'_>, readings: Vec<Reading>) -> Vec<(i64, &'static str, bool)> {
        let arrivals = arrivals(readings).into_iter();
        let steps = arrivals.flat_map(|arrival| replay.take(arrival).unwrap());
        let brief = |step: Step| {
            ((step.transition.at.0 - START) / SECOND, step.transition.to.as_str(), step.is_taken_back)
        };
        steps.map(brief).collect()
    }

    #[test]
    fn a_late_reading_corrects_and_one_too_late_is_counted() {
        let rule = rule("condition = { metric = \"t\", above = 50 }");
        let mut replay = Replay::new(&rule, 60 * SECOND);
        let readings = vec![
            number(60, 0),
            number(40, 20),
            // Between the two: what cleared has cleared before.
            reading("t", Value::Integer(30), 10, 21),
            number(10, 200),
            reading("t", Value::Integer(99), 100, 201),
            reading("t", Value::Integer(99), 300, 202),
            reading("t", Value::Text("hot".into()), 203, 203),
        ];
        assert_eq!(
            steps(&mut replay, readings),
            [(0, "active", false), (20, "cleared", false), (20, "cleared", true), (10, "cleared", false)]
        );
        assert_eq!(
            replay.counts,
            Counts {
                readings: 7,
                judged: 4,
                other_kind: 1,
                ahead: 1,
                late: 1,
                transitions: 3,
                told: 3,
                taken_back: 1,
                ..Counts::default()
            }
        );
        assert!(replay.foretold().is_empty());
    }

    #[test]
    fn silence_is_seen_where_other_metrics_go_on_and_foretold_where_nothing_does() {
        let rule = rule("for = \"5s\"\ncondition = { metric = \"t\", silent = \"10s\" }");
        let mut replay = Replay::new(&rule, 60 * SECOND);
        let humidity = |at: i64| reading("humidity", Value::Integer(1), at, at);
        assert_eq!(steps(&mut replay, vec![number(1, 0), humidity(5)]), []);
        let foretold = replay.foretold();
        assert_eq!((foretold[0].at.as_str(), foretold[0].to), ("2026-11-23T07:00:15Z", "active"));
        assert_eq!(
            steps(&mut replay, vec![humidity(12), humidity(30)]),
            [(10, "pending", false), (15, "active", false)]
        );
        assert!(replay.foretold().is_empty());
        assert_eq!(steps(&mut replay, vec![number(1, 31)]), [(31, "cleared", false)]);
    }

    #[test]
    fn a_message_is_judged_as_a_whole() {
        let rule =
            rule("condition = { all = [{ metric = \"a\", above = 1 }, { metric = \"b\", below = 1 }] }");
        let mut replay = Replay::new(&rule, 60 * SECOND);
        let message = |a: i128, b: i128, at: i64| {
            [reading("a", Value::Integer(a), at, at), reading("b", Value::Integer(b), at, at)]
        };
        let readings = [message(0, 0, 0), message(2, 2, 1), message(0, 0, 2), message(3, 0, 3)].concat();
        assert_eq!(steps(&mut replay, readings), [(3, "active", false)]);
    }

    #[test]
    fn readings_of_one_time_are_told_apart() {
        let rule = rule("condition = { metric = \"t\", above = 50, clear = 45 }");
        let mut replay = Replay::new(&rule, 60 * SECOND);
        let nth = |seq: u64, value: i128| Reading { seq: telemetry::Seq(seq), ..number(value, 1) };
        // Received in one millisecond, in no order.
        let arrivals =
            arrivals(vec![nth(9, 40), nth(4, 60), Reading { received: Micros(0), ..number(0, 0) }]);
        let steps: Vec<Step> =
            arrivals.into_iter().flat_map(|arrival| replay.take(arrival).unwrap()).collect();
        assert_eq!(
            step_table(&rule, &steps),
            "at                            device  from       to       cause      metric  value  threshold  told\n\
             2026-11-23T07:00:01Z (seq 4)  a/b     normal  →  active   condition  t          60  above 50   told\n\
             2026-11-23T07:00:01Z (seq 9)  a/b     active  →  cleared  condition  t          40  above 50   told\n"
        );
        let line = serde_json::to_value(Line::of(&rule, &steps[1])).unwrap();
        assert_eq!((&line["seq"], &line["evidence"][0]["readings"][0]["seq"]), (&"9".into(), &"9".into()));
    }

    #[test]
    fn a_step_is_a_row_or_a_line() {
        let rule = rule("condition = { metric = \"t\", above = 50, clear = 45 }");
        let mut replay = Replay::new(&rule, 60 * SECOND);
        let mut steps = replay.take(vec![number(51, 0)]).unwrap();
        steps.extend(replay.take(vec![number(45, 1)]).unwrap());
        assert_eq!(
            step_table(&rule, &steps),
            "at                    device  from       to       cause      metric  value  threshold  told\n\
             2026-11-23T07:00:00Z  a/b     normal  →  active   condition  t          51  above 50   told\n\
             2026-11-23T07:00:01Z  a/b     active  →  cleared  condition  t          45  above 50   told\n"
        );
        assert_eq!(
            json_lines([Line::of(&rule, &steps[0])]).unwrap(),
            "{\"at\":\"2026-11-23T07:00:00Z\",\"device\":\"a/b\",\"from\":\"normal\",\"to\":\"active\",\
             \"cause\":\"condition\",\"metric\":\"t\",\"value\":51,\"unit\":null,\"number\":null,\
             \"threshold\":{\"test\":\"above\",\"level\":\"50\"},\"told\":true,\"damped\":false,\"taken_back\":false,\
             \"evidence\":[{\"metric\":\"t\",\"holds\":true,\"threshold\":{\"test\":\"above\",\"level\":\"50\"},\
             \"readings\":[{\"at\":\"2026-11-23T07:00:00Z\",\"value\":51}]}]}\n"
        );
        assert_eq!(
            closing(&replay, &[]),
            "2 readings of 1 device: 2 judged, 0 in another unit, 0 too far ahead of their arrival, 0 too late\n\
             2 transitions: 2 told, 0 damped; 0 taken back\n"
        );
    }
}
