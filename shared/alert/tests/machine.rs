//! The way of an alert through its states, to the microsecond, whatever comes late and whatever is stored in between.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alert::{Cause, MAX_HISTORY, MAX_WINDOW, Outcome, Phase, Rule, Sample, Track, Transition};
use proptest::prelude::*;
use telemetry::{Micros, Quality, Seq, Value};

const SECOND: i64 = 1_000_000;
const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;
const LEVEL: &str = r#"condition = { metric = "a", above = 50, clear = 45 }"#;

/// Values above the level, in the band and below it.
const HIGH: i64 = 51;
const BAND: i64 = 47;
const LOW: i64 = 45;

fn sample(micros: i64, value: i64) -> Sample {
    let at = Micros(START + micros);
    Sample {
        at,
        seq: Seq::default(),
        received: at,
        revision: Micros::default(),
        metric: 0,
        value: Value::Integer(value.into()),
        unit: None,
        quality: Quality::Good,
    }
}

/// One rule on one device, told in seconds.
struct Story {
    rule: Rule,
    track: Track,
}

impl Story {
    fn new(text: &str) -> Self {
        let rule = rule(text);
        Self { track: Track::new(&rule), rule }
    }

    fn takes(&mut self, samples: &[(f64, i64)]) -> Outcome {
        let samples = samples.iter().map(|(second, value)| sample(micros(*second), *value)).collect();
        self.track.take(&self.rule, samples, LATENESS)
    }

    /// Each sample by itself; what is new of all of them.
    fn lives(&mut self, samples: &[(f64, i64)]) -> Vec<String> {
        samples.iter().flat_map(|sample| told(&self.takes(&[*sample]).new)).collect()
    }

    fn ticks(&mut self, second: f64) -> Outcome {
        self.track.tick(&self.rule, Micros(START + micros(second)))
    }

    fn acknowledged(&mut self) -> Option<Vec<String>> {
        self.track.acknowledge(&self.rule).map(|outcome| told(&outcome.new))
    }

    fn stored(&mut self) {
        let stored = serde_json::to_string(&self.track).unwrap();
        self.track = serde_json::from_str::<Track>(&stored).unwrap().ready(&self.rule);
    }

    fn history(&self) -> Vec<String> {
        told(&self.track.history().cloned().collect::<Vec<_>>())
    }
}

fn rule(text: &str) -> Rule {
    Rule::from_toml(&format!("name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\n{text}")).unwrap()
}

fn micros(second: f64) -> i64 {
    (second * SECOND as f64).round() as i64
}

/// `10 normal>active condition`; in brackets what is not to be published.
fn told(transitions: &[Transition]) -> Vec<String> {
    let word = |transition: &Transition| {
        let second = (transition.at.0 - START) as f64 / SECOND as f64;
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        let text = match transition.cause {
            Cause::Condition => format!("{second} {from}>{to}"),
            cause => format!("{second} {from}>{to} {}", cause.as_str()),
        };
        if transition.told { text } else { format!("({text})") }
    };
    transitions.iter().map(word).collect()
}

#[test]
fn what_has_to_hold_holds_to_the_microsecond() {
    let check = |text: &str, samples: &[(f64, i64)], expected: &[&str]| {
        let text = format!("{text}\n{LEVEL}");
        let mut story = Story::new(&text);
        assert_eq!(story.lives(samples), expected, "{text}: {samples:?}");
        // All at once, and stored after each, it is the same.
        let mut at_once = Story::new(&text);
        at_once.takes(samples);
        assert_eq!(at_once.history(), expected);
        let mut stored = Story::new(&text);
        for sample in samples {
            stored.takes(&[*sample]);
            stored.stored();
        }
        assert_eq!(stored.history(), expected);
    };
    check("", &[(0.0, 50), (1.0, HIGH)], &["1 normal>active"]);
    let half = "for = \"30s\"";
    check(half, &[(0.0, HIGH), (29.999_999, HIGH)], &["(0 normal>pending)"]);
    check(half, &[(0.0, HIGH), (30.0, HIGH)], &["(0 normal>pending)", "30 pending>active"]);
    check(half, &[(0.000_001, HIGH), (30.0, HIGH)], &["(0.000001 normal>pending)"]);
    // Between two readings nobody knows: it is not raised before one says so.
    check(half, &[(0.0, HIGH), (3_600.0, HIGH)], &["(0 normal>pending)", "3600 pending>active"]);
    // What dips into the band has not ceased to hold; what dips below has.
    check(
        half,
        &[(0.0, HIGH), (10.0, BAND), (20.0, BAND), (30.0, BAND)],
        &["(0 normal>pending)", "30 pending>active"],
    );
    check(
        half,
        &[(0.0, HIGH), (10.0, LOW), (11.0, BAND), (20.0, HIGH), (49.0, HIGH), (50.0, HIGH)],
        &["(0 normal>pending)", "(10 pending>normal)", "(20 normal>pending)", "50 pending>active"],
    );

    let after = "clear_after = \"15s\"";
    check(after, &[(0.0, HIGH), (10.0, LOW), (24.999_999, LOW)], &["0 normal>active"]);
    check(after, &[(0.0, HIGH), (10.0, LOW), (25.0, LOW)], &["0 normal>active", "25 active>cleared"]);
    // The band does not hold it up: it has not held since 10.
    check(after, &[(0.0, HIGH), (10.0, LOW), (25.0, BAND)], &["0 normal>active", "25 active>cleared"]);
    // Holding again does.
    check(after, &[(0.0, HIGH), (10.0, LOW), (20.0, HIGH), (30.0, LOW), (44.0, LOW)], &["0 normal>active"]);
    check(
        after,
        &[(0.0, HIGH), (10.0, LOW), (20.0, HIGH), (30.0, LOW), (45.0, LOW), (46.0, HIGH)],
        &["0 normal>active", "45 active>cleared", "46 cleared>active"],
    );
    check(
        "for = \"10s\"\nclear_after = \"10s\"",
        &[
            (0.0, HIGH),
            (10.0, HIGH),
            (20.0, LOW),
            (30.0, LOW),
            (40.0, HIGH),
            (45.0, LOW),
            (50.0, HIGH),
            (60.0, HIGH),
        ],
        &[
            "(0 normal>pending)",
            "10 pending>active",
            "30 active>cleared",
            "(40 cleared>pending)",
            "(45 pending>normal)",
            "(50 normal>pending)",
            "60 pending>active",
        ],
    );
}

#[test]
fn a_latched_alert_waits_for_somebody() {
    let mut story =
        Story::new(&format!("latch = true\nflapping = {{ transitions = 64, within = \"1m\" }}\n{LEVEL}"));
    assert_eq!(story.acknowledged(), None, "normal");
    assert_eq!(story.lives(&[(0.0, HIGH), (10.0, LOW)]), ["0 normal>active", "10 active>latched"]);
    assert_eq!(story.lives(&[(20.0, LOW), (25.0, BAND)]), [""; 0]);
    assert_eq!(story.lives(&[(30.0, HIGH)]), ["30 latched>active"]);
    assert_eq!(story.acknowledged().unwrap(), ["30 active>acknowledged acknowledged"]);
    assert_eq!(story.acknowledged(), None, "acknowledged");
    // Somebody knows: it need not wait.
    assert_eq!(story.lives(&[(40.0, HIGH), (50.0, LOW)]), ["50 acknowledged>cleared"]);
    assert_eq!(story.acknowledged(), None, "cleared");

    assert_eq!(story.lives(&[(60.0, HIGH), (70.0, LOW)]), ["60 cleared>active", "70 active>latched"]);
    assert_eq!(story.acknowledged().unwrap(), ["70 latched>cleared acknowledged"]);
    assert_eq!(story.lives(&[(80.0, LOW), (90.0, HIGH)]), ["90 cleared>active"]);

    // Without `latch` it clears by itself.
    let mut story = Story::new(LEVEL);
    assert_eq!(story.lives(&[(0.0, HIGH), (10.0, LOW)]), ["0 normal>active", "10 active>cleared"]);
}

#[test]
fn what_is_pending_cannot_be_acknowledged() {
    let mut story = Story::new(&format!("for = \"30s\"\n{LEVEL}"));
    story.takes(&[(0.0, HIGH)]);
    assert_eq!((story.track.phase(), story.acknowledged()), (Phase::Pending, None));
    story.takes(&[(30.0, HIGH)]);
    assert_eq!(story.acknowledged().unwrap(), ["30 active>acknowledged acknowledged"]);
}

#[test]
fn since_is_when_the_standing_alert_was_raised() {
    let mut story = Story::new(&format!("latch = true\nrepeat = \"10s\"\n{LEVEL}"));
    story.lives(&[(5.0, HIGH), (15.0, HIGH), (20.0, LOW), (30.0, HIGH)]);
    story.acknowledged();
    story.lives(&[(40.0, LOW), (50.0, HIGH)]);
    let since: Vec<i64> = story.track.history().map(|entry| (entry.since.0 - START) / SECOND).collect();
    assert_eq!(since, [5, 5, 5, 5, 5, 5, 50], "{:?}", story.history());
}

#[test]
fn an_acknowledgement_survives_late_readings_and_storing() {
    let mut story = Story::new(LEVEL);
    story.lives(&[(0.0, LOW), (20.0, HIGH), (40.0, HIGH)]);
    assert!(story.acknowledged().is_some());
    story.stored();
    assert_eq!(story.track.phase(), Phase::Acknowledged);
    // It was raised earlier than was known: it still is the one that somebody knows.
    let outcome = story.takes(&[(10.0, HIGH)]);
    assert_eq!(told(&outcome.new), ["10 normal>active", "40 active>acknowledged acknowledged"]);
    assert_eq!(told(&outcome.withdrawn), ["20 normal>active", "40 active>acknowledged acknowledged"]);
    story.stored();
    assert_eq!(story.track.phase(), Phase::Acknowledged);
    // It had cleared in between, before somebody knew: what he saw is what stands.
    story.takes(&[(15.0, LOW)]);
    assert_eq!(
        story.history(),
        ["10 normal>active", "15 active>cleared", "20 cleared>active", "40 active>acknowledged acknowledged"]
    );
    // Settled, and stored once more.
    story.takes(&[(400.0, HIGH)]);
    story.track.fold(&story.rule, 0);
    story.stored();
    assert_eq!(story.track.phase(), Phase::Acknowledged);
    assert_eq!(
        story.lives(&[(410.0, LOW), (420.0, HIGH)]),
        ["410 acknowledged>cleared", "420 cleared>active"]
    );
}

#[test]
fn an_alert_is_told_again_when_its_time_has_come() {
    let mut story = Story::new(&format!("repeat = \"1m\"\n{LEVEL}"));
    assert_eq!(
        story.lives(&[
            (0.0, HIGH),
            (59.999_999, HIGH),
            (60.0, BAND),
            (61.0, HIGH),
            (130.0, HIGH),
            (189.0, HIGH)
        ]),
        ["0 normal>active", "60 active>active repeat", "130 active>active repeat"]
    );
    // Not while it is clearing, nor when somebody knows.
    let text = format!("repeat = \"1m\"\nclear_after = \"10m\"\n{LEVEL}");
    let mut story = Story::new(&text);
    assert_eq!(story.lives(&[(0.0, HIGH), (30.0, LOW), (90.0, LOW)]), ["0 normal>active"]);
    let mut story = Story::new(&text);
    story.takes(&[(0.0, HIGH)]);
    story.acknowledged();
    assert_eq!(story.lives(&[(60.0, HIGH), (120.0, HIGH)]), [""; 0]);
    // What is pending is not told at all.
    let mut story = Story::new(&format!("repeat = \"10s\"\nfor = \"1m\"\n{LEVEL}"));
    let expected = ["(0 normal>pending)", "60 pending>active", "70 active>active repeat"];
    assert_eq!(story.lives(&[(0.0, HIGH), (30.0, HIGH), (60.0, HIGH), (69.0, HIGH), (70.0, HIGH)]), expected);
}

#[test]
fn what_flaps_is_told_once_until_it_is_stable() {
    let text = format!("flapping = {{ transitions = 3, within = \"60s\" }}\n{LEVEL}");
    let mut story = Story::new(&text);
    assert_eq!(
        story.lives(&[(0.0, HIGH), (10.0, LOW), (20.0, HIGH), (30.0, LOW), (40.0, HIGH), (50.0, LOW)]),
        [
            "0 normal>active",
            "10 active>cleared",
            "20 cleared>active",
            "30 active>cleared unstable",
            "(40 cleared>active)",
            "(50 active>cleared)",
        ]
    );
    assert!(story.track.machine().is_unstable());
    story.stored();
    assert!(story.track.machine().is_unstable());
    // One microsecond is missing; then it is told how it stands.
    assert_eq!(story.lives(&[(109.999_999, LOW)]), [""; 0]);
    assert_eq!(story.lives(&[(110.0, LOW), (111.0, LOW)]), ["110 cleared>cleared stable"]);
    assert!(!story.track.machine().is_unstable());
    assert_eq!(story.lives(&[(120.0, HIGH)]), ["120 cleared>active"]);

    // One that stands is told as such.
    let mut story = Story::new(&text);
    story.lives(&[(0.0, HIGH), (10.0, LOW), (20.0, HIGH), (30.0, LOW), (40.0, HIGH)]);
    assert_eq!(story.lives(&[(100.0, HIGH)]), ["100 active>active stable"]);

    // As many, but not within the time: the first has passed by then.
    let mut story = Story::new(&text);
    assert_eq!(
        story.lives(&[(0.0, HIGH), (20.0, LOW), (40.0, HIGH), (60.0, LOW)]),
        ["0 normal>active", "20 active>cleared", "40 cleared>active", "60 active>cleared",]
    );
    let mut story = Story::new(&text);
    let last = story.lives(&[(0.0, HIGH), (20.0, LOW), (40.0, HIGH), (59.999_999, LOW)]).pop();
    assert_eq!(last.unwrap(), "59.999999 active>cleared unstable");

    // While it flaps somebody may know, which is told; and it is not told again.
    let mut story = Story::new(&format!("repeat = \"10s\"\n{text}"));
    story.lives(&[(0.0, HIGH), (1.0, LOW), (2.0, HIGH), (3.0, LOW), (4.0, HIGH)]);
    assert_eq!(story.lives(&[(20.0, HIGH)]), [""; 0]);
    assert_eq!(story.acknowledged().unwrap(), ["20 active>acknowledged acknowledged"]);
}

#[test]
fn a_clock_that_goes_back_is_late_and_not_judged() {
    let mut story = Story::new(LEVEL);
    story.takes(&[(1_000.0, LOW)]);
    let outcome = story.takes(&[(0.0, HIGH), (10.0, HIGH), (20.0, HIGH)]);
    assert_eq!((outcome.late, outcome.new.len()), (3, 0));
    assert_eq!((story.track.late(), story.track.phase()), (3, Phase::Normal));
    // As late as may be, and a microsecond more.
    assert_eq!(story.takes(&[(880.0, HIGH)]).late, 1);
    let outcome = story.takes(&[(880.000_001, HIGH)]);
    assert_eq!(
        (outcome.late, told(&outcome.new)),
        (0, vec!["880.000001 normal>active".into(), "1000 active>cleared".into()])
    );
    story.stored();
    assert_eq!(story.track.late(), 4);
}

#[test]
fn what_comes_late_corrects_what_was_told() {
    let mut story = Story::new(LEVEL);
    assert_eq!(
        story.lives(&[(0.0, HIGH), (20.0, HIGH), (40.0, LOW)]),
        ["0 normal>active", "40 active>cleared"]
    );
    // It cleared earlier, was raised again, and cleared when it did.
    let outcome = story.takes(&[(10.0, LOW)]);
    assert_eq!(told(&outcome.new), ["10 active>cleared", "20 cleared>active", "40 active>cleared"]);
    assert_eq!(told(&outcome.withdrawn), ["40 active>cleared"]);
    // Another value for a known time: the later received stands.
    let mut later = sample(micros(10.0), HIGH);
    later.received = later.received.plus(1);
    let outcome = story.track.take(&story.rule, vec![later.clone()], LATENESS);
    assert_eq!(told(&outcome.new), ["40 active>cleared"]);
    assert_eq!(told(&outcome.withdrawn), ["10 active>cleared", "20 cleared>active", "40 active>cleared"]);
    later.received = later.received.plus(-1);
    later.value = Value::Integer(LOW.into());
    assert!(story.track.take(&story.rule, vec![later], LATENESS).is_quiet(), "received before what stands");
    assert_eq!(story.history(), ["0 normal>active", "40 active>cleared"]);
}

#[test]
fn silence_goes_on_by_ticks() {
    let text = "for = \"5s\"\ncondition = { silent = \"20s\" }";
    let mut story = Story::new(text);
    story.takes(&[(0.0, LOW)]);
    assert_eq!(told(&story.ticks(20.0).new), [""; 0]);
    assert_eq!(told(&story.ticks(20.000_001).new), ["(20 normal>pending)"]);
    assert_eq!(told(&story.ticks(25.0).new), [""; 0]);
    assert_eq!(told(&story.ticks(3_600.0).new), ["25 pending>active"]);
    assert!(story.ticks(3_600.0).is_quiet(), "the same tick");
    assert!(story.ticks(7_200.0).is_quiet(), "a later tick");
    assert!(story.ticks(100.0).is_quiet(), "a tick that comes late");
    story.stored();
    assert_eq!(story.track.phase(), Phase::Active);
    // Data clears it.
    assert_eq!(told(&story.takes(&[(7_200.5, LOW)]).new), ["7200.5 active>cleared"]);

    // Without readings in between it is the same.
    let mut story = Story::new(text);
    story.takes(&[(0.0, LOW), (7_200.5, LOW)]);
    assert_eq!(story.history(), ["(20 normal>pending)", "25 pending>active", "7200.5 active>cleared"]);
}

#[test]
fn a_backlog_takes_silence_back() {
    let mut story = Story::new("condition = { silent = \"20s\" }");
    story.takes(&[(0.0, LOW)]);
    assert_eq!(told(&story.ticks(50.0).new), ["20 normal>active"]);
    story.stored();
    // Part of the gap: it has come, so that what was said of silence is out of date. It is said again if it is so.
    let outcome = story.takes(&[(10.0, LOW)]);
    assert_eq!(
        (told(&outcome.withdrawn), told(&outcome.new)),
        (vec!["20 normal>active".into()], Vec::<String>::new())
    );
    assert_eq!(told(&story.ticks(50.0).new), ["30 normal>active"]);
    // The whole of it: there was none.
    let outcome = story.takes(&[(25.0, LOW), (40.0, LOW)]);
    assert_eq!((told(&outcome.withdrawn), told(&outcome.new)), (vec!["30 normal>active".into()], vec![]));
    assert_eq!((story.track.phase(), story.history().len()), (Phase::Normal, 0));
    // And it goes on from there.
    assert_eq!(told(&story.ticks(60.000_001).new), ["60 normal>active"]);
    assert_eq!(told(&story.ticks(61.0).new), [""; 0]);
}

#[test]
fn silence_that_somebody_knows_of_is_acknowledged_until_data_comes() {
    let mut story = Story::new("condition = { silent = \"20s\" }");
    story.takes(&[(0.0, LOW)]);
    story.ticks(50.0);
    assert_eq!(story.acknowledged().unwrap(), ["50 active>acknowledged acknowledged"]);
    story.stored();
    assert!(story.ticks(500.0).is_quiet());
    // The same reading once more is no sign of life.
    assert!(story.takes(&[(0.0, LOW)]).is_quiet());
    assert_eq!(told(&story.takes(&[(510.0, LOW)]).new), ["510 acknowledged>cleared"]);
}

#[test]
fn ticks_are_nothing_to_a_rule_that_does_not_ask_for_silence() {
    let mut story = Story::new(&format!("for = \"30s\"\n{LEVEL}"));
    story.takes(&[(0.0, HIGH)]);
    assert!(story.ticks(3_600.0).is_quiet());
    assert_eq!(told(&story.takes(&[(20.0, HIGH), (30.0, HIGH)]).new), ["30 pending>active"]);
}

#[test]
fn under_a_changed_rule_what_stands_goes_on_to_stand() {
    let two =
        r#"condition = { all = [{ metric = "a", above = 50, clear = 45 }, { metric = "b", equals = 1 }] }"#;
    let check = |before: &str, after: &str, value: i64, expected: &[&str]| {
        let mut story = Story::new(before);
        story.takes(&[(0.0, LOW), (10.0, HIGH), (20.0, HIGH)]);
        assert_eq!(story.track.phase(), Phase::Active);
        let stored = serde_json::to_string(&story.track).unwrap();
        story.rule = rule(after);
        story.track = serde_json::from_str::<Track>(&stored).unwrap().ready(&story.rule);
        assert_eq!(story.track.phase(), Phase::Active);
        assert_eq!((story.track.machine().since().0 - START) / SECOND, 10);
        // What it has seen already is not judged by the new rule, though the readings come again.
        assert!(story.takes(&[(0.0, LOW), (10.0, HIGH), (20.0, HIGH)]).is_quiet(), "{after}");
        assert_eq!(story.lives(&[(30.0, value)]), expected, "{before} {after}: {value}");
    };
    let louder = format!("repeat = \"1h\"\n{LEVEL}");
    check(LEVEL, &louder, HIGH, &[]);
    // In the band readings say nothing: it stands.
    check(LEVEL, &louder, BAND, &[]);
    check(LEVEL, &louder, LOW, &["30 active>cleared"]);
    check(LEVEL, &LEVEL.replace("50", "60"), 55, &[]);
    check(LEVEL, &LEVEL.replace("50", "60"), LOW, &["30 active>cleared"]);
    check(LEVEL, r#"condition = { metric = "a", below = 60 }"#, 70, &["30 active>cleared"]);
    check(LEVEL, r#"condition = { metric = "a", below = 60 }"#, 50, &[]);
    // Nothing is known of the other metric yet, so nothing speaks against it.
    check(LEVEL, two, HIGH, &[]);
    check(LEVEL, two, LOW, &["30 active>cleared"]);
}

#[test]
fn under_a_changed_rule_what_does_not_stand_begins_anew() {
    let mut story = Story::new(LEVEL);
    story.takes(&[(0.0, 40)]);
    let stored = serde_json::to_string(&story.track).unwrap();
    story.rule = rule(&LEVEL.replace("50, clear = 45", "30"));
    story.track = serde_json::from_str::<Track>(&stored).unwrap().ready(&story.rule);
    assert_eq!(told(&story.takes(&[(10.0, 40)]).new), ["10 normal>active"]);

    // One that waits to be acknowledged waits on, and is raised by readings only.
    let mut story = Story::new(&format!("latch = true\n{LEVEL}"));
    story.takes(&[(0.0, HIGH), (10.0, LOW)]);
    let stored = serde_json::to_string(&story.track).unwrap();
    story.rule = rule(&format!("latch = true\nrepeat = \"1h\"\n{LEVEL}"));
    story.track = serde_json::from_str::<Track>(&stored).unwrap().ready(&story.rule);
    assert_eq!(story.lives(&[(20.0, BAND)]), [""; 0]);
    assert_eq!(story.track.phase(), Phase::Latched);
    assert_eq!(story.lives(&[(30.0, HIGH)]), ["30 latched>active"]);
}

#[test]
fn under_a_changed_rule_readings_of_the_cutoffs_own_time_are_not_lost() {
    let of_one_time = |seq: u64, value: i64| Sample { seq: Seq(seq), ..sample(0, value) };
    let take = |story: &mut Story, samples: Vec<Sample>| story.track.take(&story.rule, samples, LATENESS);
    let mut story = Story::new(LEVEL);
    take(&mut story, (1..=4).map(|seq| of_one_time(seq, LOW)).collect());
    // What does not fit any more is settled: as far as its second.
    story.track.fold(&story.rule, 2);
    story.stored();
    assert_eq!(take(&mut story, vec![of_one_time(2, LOW)]).late, 1);
    let stored = serde_json::to_string(&story.track).unwrap();
    story.rule = rule(&LEVEL.replace("50, clear = 45", "30"));
    story.track = serde_json::from_str::<Track>(&stored).unwrap().ready(&story.rule);
    // Those that had been settled stay so, and the others are evaluated by the new rule.
    let outcome = take(&mut story, (1..=4).map(|seq| of_one_time(seq, LOW)).collect());
    assert_eq!(outcome.late, 2);
    let raised: Vec<Seq> = outcome.new.iter().map(|transition| transition.seq).collect();
    assert_eq!(raised, [Seq(3)]);
    let outcome = take(&mut story, vec![of_one_time(5, 20)]);
    assert_eq!((outcome.late, told(&outcome.new)), (0, vec!["0 active>cleared".to_owned()]));
}

#[test]
fn a_forgotten_alert_begins_anew_and_knows_what_it_knew_of_readings() {
    let mut story = Story::new(LEVEL);
    story.lives(&[(0.0, HIGH), (10.0, LOW)]);
    story.track.forget(&story.rule);
    assert_eq!(story.track.phase(), Phase::Normal);
    assert!(story.track.is_plain());
    assert!(story.takes(&[(0.0, HIGH), (10.0, LOW)]).is_quiet(), "the same readings again");
    assert_eq!(story.lives(&[(20.0, HIGH)]), ["20 normal>active"]);

    // The other half of a combination is still known.
    let rule = rule(r#"condition = { all = [{ metric = "a", above = 50 }, { metric = "b", equals = 1 }] }"#);
    let mut track = Track::new(&rule);
    let b = Sample { metric: 1, ..sample(0, 1) };
    track.take(&rule, vec![b, sample(SECOND, HIGH), sample(2 * SECOND, LOW)], LATENESS);
    track.forget(&rule);
    let outcome = track.take(&rule, vec![sample(3 * SECOND, HIGH)], LATENESS);
    assert_eq!(told(&outcome.new), ["3 normal>active"]);

    // A device that falls silent once more, with no reading after it was forgotten.
    let mut story = Story::new("condition = { silent = \"20s\" }");
    story.takes(&[(0.0, LOW), (100.0, LOW)]);
    assert_eq!(story.history(), ["20 normal>active", "100 active>cleared"]);
    story.track.forget(&story.rule);
    assert_eq!(told(&story.ticks(200.0).new), ["120 normal>active"]);

    // What stands or is pending is not forgotten.
    let mut story = Story::new(&format!("for = \"10s\"\n{LEVEL}"));
    story.takes(&[(0.0, HIGH)]);
    story.track.forget(&story.rule);
    assert_eq!(story.lives(&[(10.0, HIGH)]), ["10 pending>active"]);
    story.track.forget(&story.rule);
    assert_eq!(story.track.phase(), Phase::Active);
}

#[test]
fn what_is_kept_has_a_bound() {
    let mut story = Story::new(&format!("flapping = {{ transitions = 64, within = \"1s\" }}\n{LEVEL}"));
    for n in 0..20_000 {
        // A thousand a second, each of them a transition.
        let outcome = story.takes(&[(f64::from(n) / 1_000.0, if n % 2 == 0 { HIGH } else { LOW })]);
        assert_eq!(outcome.late, 0);
    }
    let stored = serde_json::to_value(&story.track).unwrap();
    assert!(stored["window"].as_array().unwrap().len() <= MAX_WINDOW + 64);
    assert!(stored["history"].as_array().unwrap().len() <= MAX_HISTORY);
    // What does not fit any more is late, and counted.
    let outcome = story.takes(&[(1.0, HIGH)]);
    assert_eq!(outcome.late, 1);
}

/// A sample of one time and another `seq`.
fn nth(seq: u64, second: f64, value: i64) -> Sample {
    Sample { seq: Seq(seq), ..sample(micros(second), value) }
}

fn bad(sample: Sample) -> Sample {
    Sample { quality: Quality::Bad, ..sample }
}

fn later(sample: Sample) -> Sample {
    Sample { received: sample.received.plus(1), ..sample }
}

#[test]
fn samples_of_one_time_are_evaluated_in_the_order_of_seq() {
    let samples = [nth(0, 10.0, HIGH), nth(1, 10.0, LOW), nth(2, 10.0, HIGH), nth(3, 10.0, LOW)];
    let expected = ["10 normal>active", "10 active>cleared", "10 cleared>active", "10 active>cleared"];
    let mut identities: Vec<_> = Vec::new();
    for turn in 0..samples.len() {
        let mut story = Story::new(LEVEL);
        let mut turned = samples.to_vec();
        turned.rotate_left(turn);
        for sample in turned {
            story.track.take(&story.rule, vec![sample], LATENESS);
            story.stored();
        }
        assert_eq!(story.history(), expected, "from {turn} on");
        identities = story.track.history().map(|transition| transition.seq.0).collect();
    }
    assert_eq!(identities, [0, 1, 2, 3]);
    // The second clear is another than the first: a value that is corrected takes back that one alone.
    let mut story = Story::new(LEVEL);
    story.track.take(&story.rule, samples.to_vec(), LATENESS);
    let outcome = story.track.take(&story.rule, vec![later(nth(3, 10.0, HIGH))], LATENESS);
    let instants = |transitions: &[Transition]| transitions.iter().map(|t| t.seq.0).collect::<Vec<_>>();
    assert_eq!((instants(&outcome.new), instants(&outcome.withdrawn)), (vec![], vec![3]));
}

#[test]
fn between_samples_of_one_time_no_time_passes() {
    let mut story = Story::new(&format!("for = \"10s\"\nclear_after = \"5s\"\n{LEVEL}"));
    let mut takes = |samples: Vec<Sample>| told(&story.track.take(&story.rule, samples, LATENESS).new);
    assert_eq!(takes(vec![nth(0, 0.0, HIGH), nth(1, 0.0, HIGH)]), ["(0 normal>pending)"]);
    assert_eq!(
        takes(vec![nth(0, 10.0, LOW), nth(1, 10.0, HIGH), nth(2, 10.0, HIGH)]),
        ["(10 pending>normal)", "(10 normal>pending)"]
    );
    assert_eq!(takes(vec![nth(0, 20.0, HIGH)]), ["20 pending>active"]);
    assert!(takes(vec![nth(1, 20.0, LOW), nth(2, 20.0, LOW)]).is_empty());
    assert_eq!(takes(vec![nth(7, 25.0, LOW)]), ["25 active>cleared"]);
    // A rate needs time between its two ends.
    let mut story =
        Story::new(r#"condition = { metric = "a", rate = { per = "1s", over = "10s" }, above = 1 }"#);
    let all = (0..9).map(|seq| nth(seq, 0.0, i64::try_from(seq).unwrap() * 100)).collect();
    assert!(story.track.take(&story.rule, all, LATENESS).is_quiet());
    let outcome = story.track.take(&story.rule, vec![nth(4, 5.0, 5), nth(5, 5.0, 6)], LATENESS);
    assert_eq!(told(&outcome.new), ["5 normal>active"], "6 in 5 seconds, from the first of that time");
    assert_eq!(outcome.new[0].seq, Seq(5));
}

#[test]
fn what_the_rule_does_not_evaluate_removes_what_it_replaces() {
    let unit = r#"condition = { metric = "a", above = 50, clear = 45, unit = "Cel" }"#;
    let bar = |sample: Sample| Sample { unit: Some("bar".into()), ..sample };
    let check = |text: &str, excluded: Sample| {
        let mut story = Story::new(text);
        assert_eq!(story.lives(&[(0.0, LOW), (10.0, HIGH)]), ["10 normal>active"]);
        let outcome = story.track.take(&story.rule, vec![excluded.clone()], LATENESS);
        assert_eq!((told(&outcome.new), told(&outcome.withdrawn)), (vec![], vec!["10 normal>active".into()]));
        story.stored();
        // What was replaced comes once more.
        assert!(story.takes(&[(10.0, HIGH)]).is_quiet());
        assert!(story.history().is_empty());
        // It came first.
        let mut story = Story::new(text);
        story.track.take(&story.rule, vec![excluded], LATENESS);
        assert!(story.lives(&[(0.0, LOW), (10.0, HIGH)]).is_empty());
    };
    check(LEVEL, later(bad(nth(0, 10.0, HIGH))));
    check(LEVEL, Sample { revision: Micros(1), ..bad(nth(0, 10.0, LOW)) });
    check(unit, later(bar(nth(0, 10.0, HIGH))));
    // Of all else alike, the good one replaces the bad one.
    let mut story = Story::new(LEVEL);
    story.track.take(&story.rule, vec![bad(nth(0, 10.0, HIGH))], LATENESS);
    assert_eq!(story.lives(&[(10.0, HIGH)]), ["10 normal>active"]);
}

#[test]
fn what_the_rule_does_not_evaluate_is_as_if_nothing_had_come() {
    // It neither lets a pending alert mature nor ends a silence.
    let mut story = Story::new(&format!("for = \"10s\"\n{LEVEL}"));
    story.takes(&[(0.0, HIGH)]);
    assert!(story.track.take(&story.rule, vec![bad(nth(0, 15.0, HIGH))], LATENESS).is_quiet());
    assert_eq!(story.track.phase(), Phase::Pending);
    let mut story = Story::new("condition = { metric = \"a\", silent = \"20s\" }");
    story.takes(&[(0.0, LOW)]);
    assert_eq!(told(&story.ticks(30.0).new), ["20 normal>active"]);
    assert!(story.track.take(&story.rule, vec![bad(nth(0, 40.0, LOW))], LATENESS).is_quiet());
    // The silence goes on to stand when all is evaluated again: another value of the sample before it, and what is
    // read back.
    let lower = later(nth(0, 0.0, LOW - 1));
    assert!(story.track.take(&story.rule, vec![lower], LATENESS).is_quiet());
    story.stored();
    assert_eq!(story.history(), ["20 normal>active"]);
    let outcome =
        story.track.take(&story.rule, vec![bad(nth(0, 35.0, LOW)), bad(nth(1, 25.0, LOW))], LATENESS);
    assert!(outcome.is_quiet());
    assert_eq!(told(&story.takes(&[(10.0, LOW)]).withdrawn), ["20 normal>active"]);
    assert_eq!(told(&story.ticks(50.0).new), ["30 normal>active"]);
}

#[test]
fn what_is_acknowledged_is_what_was_known() {
    let mut story = Story::new(LEVEL);
    story.track.take(&story.rule, vec![nth(3, 10.0, HIGH)], LATENESS);
    assert_eq!(story.acknowledged(), Some(vec!["10 active>acknowledged acknowledged".into()]));
    story.stored();
    // An alert that is raised later in the same microsecond is another, which was never published.
    let outcome = story.track.take(&story.rule, vec![nth(4, 10.0, LOW), nth(5, 10.0, HIGH)], LATENESS);
    assert_eq!(told(&outcome.new), ["10 acknowledged>cleared", "10 cleared>active"]);
    // One before it is replayed before it.
    story.track.take(&story.rule, vec![nth(2, 10.0, HIGH)], LATENESS);
    story.stored();
    assert_eq!(
        story.history(),
        [
            "10 normal>active",
            "10 active>acknowledged acknowledged",
            "10 acknowledged>cleared",
            "10 cleared>active"
        ]
    );
}

#[test]
fn more_samples_of_one_time_than_are_kept_are_all_evaluated() {
    let mut story = Story::new(&format!("flapping = {{ transitions = 64, within = \"1s\" }}\n{LEVEL}"));
    let samples: Vec<Sample> =
        (0..2_000).map(|seq| nth(seq, 10.0, if seq % 2 == 0 { HIGH } else { LOW })).collect();
    let mut transitions = 0;
    for chunk in samples.chunks(64) {
        let outcome = story.track.take(&story.rule, chunk.to_vec(), LATENESS);
        assert_eq!((outcome.late, outcome.withdrawn.len()), (0, 0));
        transitions += outcome.new.len();
        story.stored();
        assert!(story.track.weight() <= MAX_WINDOW + 64);
    }
    assert_eq!(transitions, 2_000);
    // The first of that time are settled, and late when they come again.
    assert_eq!(
        story.track.take(&story.rule, vec![nth(5, 10.0, LOW), nth(1_999, 10.0, LOW)], LATENESS).late,
        1
    );
}

/// As version 0.1 stored it, whose samples have neither `seq` nor revision.
#[test]
fn a_track_of_version_0_1_reads_back() {
    let rule = rule(&format!("for = \"30s\"\n{LEVEL}"));
    let (cutoff, at) = (START, START + 10 * SECOND);
    let machine = format!(
        r#"{{"phase":"pending","since":{at},"raised":0,"told":0,"leaves":[{{"holds":true,"last":{{"at":{at},"value":{{"N":"51"}},"unit":"Cel"}}}}]}}"#
    );
    let transition = format!(
        r#"{{"at":{at},"from":"normal","to":"pending","cause":"condition","since":{at},"told":false,"evidence":[]}}"#
    );
    let window = format!(r#"[{{"t":{at},"r":{at},"m":0,"v":{{"N":"51"}},"u":"Cel"}}]"#);
    let stored = format!(
        r#"{{"rule":"{}","base":{},"cutoff":{cutoff},"window":{window},"acknowledged":[{at}],"history":[{transition}],"late":2}}"#,
        rule.digest,
        machine.replace("pending", "normal").replace("true", "false")
    );
    let mut track = serde_json::from_str::<Track>(&stored).unwrap().ready(&rule);
    assert_eq!((track.phase(), track.cutoff(), track.late()), (Phase::Pending, Micros(cutoff), 2));
    // All of the cutoff's own time is settled.
    assert_eq!(track.take(&rule, vec![nth(u64::MAX / 4, 0.0, HIGH)], LATENESS).late, 1);
    assert_eq!(told(&track.take(&rule, vec![nth(0, 40.0, HIGH)], LATENESS).new), ["40 pending>active"]);
}

fn values() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((0_i64..40, prop::sample::select(vec![HIGH, BAND, LOW])), 1..400)
}

proptest! {
    /// Readings come twice in one event, in whatever order: as after a retry, or as read again from the table.
    #[test]
    fn the_same_readings_twice_in_one_batch_change_nothing(values in values(), turn in 0_usize..400) {
        let samples: Vec<Sample> =
            values.iter().map(|(second, value)| sample(second * SECOND, *value)).collect();
        let rule = rule(LEVEL);
        let mut once = Track::new(&rule);
        once.take(&rule, samples.clone(), LATENESS);
        let mut twice = [&samples[..], &samples[..]].concat();
        let turn = turn % twice.len();
        twice.rotate_left(turn);
        let mut track = Track::new(&rule);
        track.take(&rule, twice, LATENESS);
        prop_assert_eq!(track, once);
    }

    /// A rate is made of doubles; what is read back is what was stored, to the last digit.
    #[test]
    fn a_stored_track_is_the_same_track(values in prop::collection::vec(-1e9_f64..1e9, 1..40)) {
        let rule = rule(r#"condition = { metric = "a", rate = { per = "1m", over = "30s" }, above = 1 }"#);
        let mut track = Track::new(&rule);
        for (second, value) in (0..).zip(values) {
            let value = Value::from_f64(value).unwrap();
            track.take(&rule, vec![Sample { value, ..sample(second * SECOND, 0) }], LATENESS);
        }
        track.fold(&rule, 0);
        let stored = serde_json::to_string(&track).unwrap();
        prop_assert_eq!(serde_json::from_str::<Track>(&stored).unwrap().ready(&rule), track);
    }
}
