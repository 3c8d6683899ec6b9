//! What each condition says of readings at its very edges, and which readings it gets to see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alert::{Feed, Phase, Question, Rule, Sample, Track};
use telemetry::{DeviceId, Micros, Quality, Reading, Seq, Span, TimeSource, Value, pack};

const SECOND: i64 = 1_000_000;
const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

fn rule(condition: &str) -> Rule {
    with_head("", condition)
}

fn with_head(head: &str, condition: &str) -> Rule {
    let text = format!(
        "name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\nflapping = {{ transitions = 64, within = \"1s\" }}\n{head}\ncondition = {{ {condition} }}"
    );
    Rule::from_toml(&text).unwrap()
}

fn number(value: f64) -> Value {
    Value::from_f64(value).unwrap()
}

fn sample(micros: i64, value: Value) -> Sample {
    let at = Micros(START + micros);
    Sample {
        at,
        seq: Seq::default(),
        received: at,
        revision: Micros::default(),
        metric: 0,
        value,
        unit: None,
        quality: Quality::Good,
    }
}

/// Whether the condition holds after each of the values, which come a second apart.
fn answers(rule: &Rule, values: &[Value]) -> Vec<bool> {
    let samples = (0..).zip(values).map(|(second, value)| sample(second * SECOND, value.clone()));
    answers_to(rule, &samples.collect::<Vec<_>>())
}

fn answers_to(rule: &Rule, samples: &[Sample]) -> Vec<bool> {
    let mut track = Track::new(rule);
    let mut answers = Vec::new();
    for sample in samples {
        track.take(rule, vec![sample.clone()], LATENESS);
        answers.push(track.phase() == Phase::Active);
    }
    answers
}

#[test]
fn levels_and_ranges_at_their_edges() {
    // `+` holds, `-` does not.
    let check = |condition: &str, values: &[f64], expected: &str| {
        let rule = rule(&format!("metric = \"a\", {condition}"));
        let values: Vec<Value> = values.iter().map(|value| number(*value)).collect();
        let found: String =
            answers(&rule, &values).into_iter().map(|holds| if holds { '+' } else { '-' }).collect();
        assert_eq!(found, expected, "{condition}: {values:?}");
    };
    // At the level nothing is raised; in the band what held before holds on; at the clear level it clears.
    check("above = 50, clear = 45", &[50.0, 50.1, 50.0, 45.1, 45.0, 45.1, 50.0, 50.1], "-+++---+");
    check("above = 50", &[50.0, 50.000_001, 50.0, 50.000_001], "-+-+");
    check("below = 10, clear = 12", &[10.0, 9.9, 10.0, 11.9, 12.0, 11.9, 10.0, 9.9], "-+++---+");
    check("below = 10", &[10.0, 9.999_999, 10.0], "-+-");
    check("above = 0", &[-0.0, 1e-130, 0.0], "-+-");
    // A range's ends belong to it.
    check("outside = [20, 50]", &[20.0, 50.0, 50.1, 50.0, 19.9, 20.0], "--+-+-");
    check(
        "outside = [20, 50], clear = [25, 45]",
        &[25.0, 20.0, 19.9, 20.0, 24.9, 25.0, 50.0, 50.1, 45.1, 45.0, 19.0, 51.0, 30.0],
        "--+++--++-++-",
    );
    check("inside = [20, 50]", &[19.9, 20.0, 50.0, 50.1, 35.0, 19.9], "-++-+-");
    check(
        "inside = [20, 50], clear = [15, 55]",
        &[19.9, 15.0, 20.0, 19.9, 15.0, 14.9, 50.0, 55.0, 55.1, 50.1],
        "--+++-++--",
    );
    check("inside = [20, 20]", &[19.9, 20.0, 20.1], "-+-");
}

#[test]
fn large_integers_are_numbers() {
    let check = |condition: &str, value: i128, expected: bool| {
        let rule = rule(&format!("metric = \"a\", {condition}"));
        assert_eq!(answers(&rule, &[Value::Integer(value)]), [expected], "{condition}: {value}");
    };
    const EXACT: i128 = 1 << 53;
    check("above = 9007199254740992", EXACT, false);
    // The next double: what lies between is not told apart from the level, which is a double itself.
    check("above = 9007199254740992", EXACT + 2, true);
    check("above = 1e18", i128::from(u64::MAX), true);
    check("below = -1e18", i128::from(i64::MIN), true);
    check("above = 1e19", i128::from(i64::MAX), false);
    // To be equal is to have the same digits.
    check("equals = 9007199254740993", EXACT + 1, true);
    check("equals = 9007199254740993", EXACT, false);
    check("equals = 9223372036854775807", i128::from(i64::MAX) - 1, false);
}

#[test]
fn a_value_of_another_type_is_no_verdict() {
    let check = |condition: &str, values: &[Value], expected: &[bool]| {
        let rule = rule(&format!("metric = \"a\", {condition}"));
        assert_eq!(answers(&rule, values), expected, "{condition}: {values:?}");
    };
    let text = |text: &str| Value::Text(text.into());
    // What holds holds on, what does not goes on not to.
    let others = [Value::Boolean(true), text("99"), Value::Boolean(false), text("")];
    check("above = 0.5", &others, &[false; 4]);
    check("above = 0.5", &[&[number(1.0)], &others[..]].concat(), &[true; 5]);
    check("rate = { per = \"1s\", over = \"2s\" }, above = 0", &others, &[false; 4]);

    check("equals = \"manual\"", &[text("manual"), text("Manual"), text("")], &[true, false, false]);
    check("equals = \"\"", &[text("")], &[true]);
    check("equals = true", &[Value::Boolean(true), Value::Boolean(false)], &[true, false]);
    // Another type is another value.
    check("equals = true", &[number(1.0), text("true")], &[false, false]);
    check("equals = 1", &[Value::Boolean(true), text("1"), number(1.0)], &[false, false, true]);
    check("equals = 22", &[number(22.0), number(22.5), Value::Integer(22)], &[true, false, true]);
    check("equals = 22.0", &[Value::Integer(22), number(22.0), number(21.9)], &[true, true, false]);
    check("equals = 22.5", &[Value::Float(22.5), Value::Integer(22)], &[true, false]);
    check("equals = 0", &[number(-0.0)], &[true]);
    // It ends with whatever is not equal, of whatever type.
    check("equals = 22", &[Value::Integer(22), text("22")], &[true, false]);
}

#[test]
fn a_rate_is_judged_once_its_window_is_half_full() {
    let check = |condition: &str, points: &[(f64, f64)], expected: &str| {
        let rule = rule(&format!("metric = \"a\", {condition}"));
        let samples: Vec<Sample> = points
            .iter()
            .map(|(second, value)| sample((second * SECOND as f64) as i64, number(*value)))
            .collect();
        let found: String =
            answers_to(&rule, &samples).into_iter().map(|holds| if holds { '+' } else { '-' }).collect();
        assert_eq!(found, expected, "{condition}: {points:?}");
    };
    let rising = r#"rate = { per = "1m", over = "60s" }, above = 10"#;
    // 12 a minute. One point is no rate; half of the window is 30 s.
    check(rising, &[(0.0, 0.0), (29.999_999, 6.0), (30.0, 6.0)], "--+");
    check(rising, &[(0.0, 0.0), (10.0, 2.0), (20.0, 4.0), (30.0, 6.0), (40.0, 8.0)], "---++");
    // Exactly at the level.
    check(rising, &[(0.0, 0.0), (30.0, 5.0), (31.0, 5.2)], "--+");
    check(rising, &[(0.0, 0.0), (60.0, 10.0)], "--");
    // Falling is no rising.
    check(rising, &[(0.0, 100.0), (30.0, 50.0), (60.0, 0.0)], "---");
    let falling = r#"rate = { per = "1m", over = "60s" }, below = -10, clear = -5"#;
    check(falling, &[(0.0, 100.0), (30.0, 94.0), (60.0, 94.0), (89.0, 94.0)], "-++-");
    // A step leaves the window once its foot is older than that.
    check(rising, &[(0.0, 0.0), (1.0, 50.0), (31.0, 50.0), (60.0, 50.0), (61.000_001, 50.0)], "--++-");
    // The reading exactly at the window's end is in it; nothing older is.
    check(rising, &[(0.0, 0.0), (60.0, 11.0)], "-+");
    check(rising, &[(0.0, 0.0), (60.000_001, 50.0), (100.0, 0.0)], "---");
    // A gap longer than the window: neither verdict until it is half full again.
    check(rising, &[(0.0, 0.0), (30.0, 20.0), (600.0, 20.0), (620.0, 20.0), (630.0, 20.0)], "-+++-");
    // Two a second for ten minutes: what is remembered has a bound, the answer stays.
    let dense: Vec<(f64, f64)> = (0..1_200).map(|n| (f64::from(n) / 2.0, f64::from(n) / 10.0)).collect();
    let expected = format!("{}{}", "-".repeat(60), "+".repeat(1_140));
    check(rising, &dense, &expected);
    // `per` is the time that the change is given for, whatever the window.
    let hourly = r#"rate = { per = "1h", over = "60s" }, above = 599"#;
    check(hourly, &[(0.0, 0.0), (30.0, 5.0)], "-+");
}

#[test]
fn a_rate_keeps_few_points_of_many_readings() {
    let rule = rule(r#"metric = "a", rate = { per = "1m", over = "1h" }, above = 1000"#);
    let mut track = Track::new(&rule);
    let mut longest = 0;
    for second in 0..20_000 {
        track.take(&rule, vec![sample(second * SECOND, Value::Integer(second.into()))], LATENESS);
        if second % 1_000 == 0 {
            track.fold(&rule, 0);
            longest = longest.max(serde_json::to_string(&track).unwrap().len());
        }
    }
    assert!(longest < 8_000, "{longest}");
}

#[test]
fn silence_is_longer_than_its_time() {
    let check = |condition: &str, last: i64, next: i64, expected: bool| {
        let rule = rule(condition);
        let mut track = Track::new(&rule);
        let mut seen = false;
        for micros in [last, next] {
            let outcome = track.take(&rule, vec![sample(micros, Value::Integer(1))], LATENESS);
            seen |= outcome.new.iter().any(|transition| transition.to == Phase::Active);
        }
        assert_eq!(seen, expected, "{condition}: {last} {next}");
        // It is over with the reading.
        assert_eq!(track.phase(), if expected { Phase::Cleared } else { Phase::Normal });
    };
    for condition in [r#"silent = "25s""#, r#"metric = "a", silent = "25s""#] {
        check(condition, 0, 25 * SECOND, false);
        check(condition, 0, 25 * SECOND + 1, true);
        check(condition, 7, 25 * SECOND + 7, false);
    }

    // Of a metric: other metrics do not end it, and its own does.
    let rule = rule(r#"any = [{ metric = "a", silent = "25s" }, { metric = "b", above = 99 }]"#);
    let mut track = Track::new(&rule);
    let of = |metric: usize, micros: i64| Sample { metric, ..sample(micros, Value::Integer(1)) };
    let mut take = |metric: usize, micros: i64| {
        let outcome = track.take(&rule, vec![of(metric, micros)], LATENESS);
        (outcome.new.first().map(|transition| transition.at.0 - START), track.phase())
    };
    assert_eq!(take(0, 0), (None, Phase::Normal));
    assert_eq!(take(1, 25 * SECOND), (None, Phase::Normal));
    // It began when it was too long, not when that was noticed.
    assert_eq!(take(1, 40 * SECOND), (Some(25 * SECOND), Phase::Active));
    assert_eq!(take(1, 50 * SECOND), (None, Phase::Active));
    assert_eq!(take(0, 60 * SECOND), (Some(60 * SECOND), Phase::Cleared));
}

#[test]
fn of_what_was_never_heard_there_is_no_silence() {
    let rule = rule(r#"metric = "a", silent = "25s""#);
    let mut track = Track::new(&rule);
    assert!(track.tick(&rule, Micros(START)).is_quiet());
    assert_eq!(track.phase(), Phase::Normal);
}

#[test]
fn all_and_any_are_asked_for_metrics_of_one_time_together() {
    let check = |condition: &str, a: i64, b: i64, expected: bool| {
        let rule = rule(condition);
        let at_once = [(0, a), (1, b)]
            .map(|(metric, value)| Sample { metric, ..sample(0, Value::Integer(value.into())) });
        for samples in [at_once.to_vec(), at_once.iter().rev().cloned().collect()] {
            let mut track = Track::new(&rule);
            let outcome = track.take(&rule, samples, LATENESS);
            assert_eq!(track.phase() == Phase::Active, expected, "{condition}: {a} {b}");
            assert_eq!(outcome.new.len(), usize::from(expected));
        }
    };
    let all = r#"all = [{ metric = "a", above = 5 }, { metric = "b", above = 5 }]"#;
    check(all, 6, 6, true);
    check(all, 6, 5, false);
    check(all, 5, 6, false);
    let any = r#"any = [{ metric = "a", above = 5 }, { metric = "b", above = 5 }]"#;
    check(any, 6, 5, true);
    check(any, 5, 6, true);
    check(any, 5, 5, false);
    let nested = r#"all = [{ metric = "a", above = 5 }, { any = [{ metric = "b", above = 5 }, { metric = "b", below = 0 }] }]"#;
    check(nested, 6, 6, true);
    check(nested, 6, -1, true);
    check(nested, 6, 3, false);
    check(nested, 5, 6, false);
}

#[test]
fn one_half_of_all_is_remembered_until_the_other_comes() {
    let rule = rule(r#"all = [{ metric = "a", above = 5 }, { metric = "b", equals = "open" }]"#);
    let mut track = Track::new(&rule);
    let mut take = |metric: usize, second: i64, value: Value| {
        track.take(&rule, vec![Sample { metric, ..sample(second * SECOND, value) }], LATENESS);
        track.phase()
    };
    assert_eq!(take(1, 0, Value::Text("open".into())), Phase::Normal);
    assert_eq!(take(0, 600, Value::Integer(6)), Phase::Active);
    assert_eq!(take(1, 601, Value::Text("shut".into())), Phase::Cleared);
}

fn reading(metric: &str, second: i64, value: f64) -> Reading {
    let at = Micros(START + second * SECOND);
    Reading {
        device: DeviceId::from_stored("plant-1/pump-7"),
        metric: metric.into(),
        at,
        received: at,
        value: number(value),
        unit: None,
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    }
}

/// Seconds of the samples that a rule evaluates of readings, how many have another unit, and how many lie ahead.
fn seen(rule: &Rule, readings: Vec<Reading>) -> (Vec<i64>, usize, usize) {
    let spans: Vec<Span> = pack(readings);
    let feed = Feed::new(rule, &spans, LATENESS);
    let evaluated = feed.samples.iter().filter(|sample| rule.evaluates(sample));
    let seconds: Vec<i64> = evaluated.map(|sample| (sample.at.0 - START) / SECOND).collect();
    assert_eq!(seconds.len() + feed.excluded, feed.samples.len());
    (seconds, feed.other_unit, feed.ahead)
}

#[test]
fn another_unit_is_not_judged_but_counted() {
    let units = [None, Some("Cel"), Some("Far"), Some("cel"), Some("")];
    let readings = || {
        let of = |(second, unit): (i64, &Option<&str>)| Reading {
            unit: unit.map(Into::into),
            ..reading("a", second, 60.0)
        };
        (0..).zip(&units).map(of).collect::<Vec<_>>()
    };
    let check = |condition: &str, expected: &[i64], other: usize| {
        assert_eq!(seen(&rule(condition), readings()), (expected.to_vec(), other, 0), "{condition}");
    };
    check(r#"metric = "a", unit = "Cel", above = 50"#, &[0, 1], 3);
    check(r#"metric = "a", above = 50"#, &[0, 1, 2, 3, 4], 0);
    check(r#"metric = "b", unit = "Cel", above = 50"#, &[], 0);
    check(r#"metric = "a", unit = "Far", silent = "1m""#, &[0, 2], 3);
    // A sign of life is one in whatever unit.
    check(r#"silent = "1m""#, &[0, 1, 2, 3, 4], 0);
    let both =
        r#"any = [{ metric = "a", unit = "Cel", above = 50 }, { metric = "a", unit = "Far", above = 122 }]"#;
    check(both, &[0, 1, 2], 2);

    // Each question sees its own unit only.
    let rule = rule(both);
    let far = Reading { unit: Some("Far".into()), ..reading("a", 0, 60.0) };
    let feed = Feed::new(&rule, &pack(vec![far]), LATENESS);
    let mut track = Track::new(&rule);
    track.take(&rule, feed.samples, LATENESS);
    assert_eq!(track.phase(), Phase::Normal, "60 °F are not 60 °C");
}

#[test]
fn quality_decides_what_is_judged() {
    let readings = || {
        let of = |(second, quality)| Reading { quality, ..reading("a", second, 60.0) };
        [(0, Quality::Good), (1, Quality::Uncertain), (2, Quality::Bad)].map(of).to_vec()
    };
    let check = |head: &str, condition: &str, expected: &[i64]| {
        let rule = with_head(head, condition);
        assert_eq!(seen(&rule, readings()), (expected.to_vec(), 0, 0), "{head}");
    };
    let above = r#"metric = "a", above = 50"#;
    check("", above, &[0, 1]);
    check("quality = \"uncertain\"", above, &[0, 1]);
    check("quality = \"good\"", above, &[0]);
    check("quality = \"bad\"", above, &[0, 1, 2]);
    check("quality = \"good\"", r#"metric = "a", silent = "1m""#, &[0]);
    // Whoever sends rubbish is there.
    check("quality = \"good\"", r#"silent = "1m""#, &[0, 1, 2]);
}

#[test]
fn what_lies_ahead_of_its_arrival_is_not_judged_but_counted() {
    let check = |condition: &str, ahead: i64, is_judged: bool| {
        let mut early = reading("a", 0, 60.0);
        early.received = Micros(early.at.0 - ahead);
        let expected = if is_judged { (vec![0], 0, 0) } else { (vec![], 0, 1) };
        assert_eq!(seen(&rule(condition), vec![early]), expected, "{condition}: {ahead}");
    };
    {
        let condition = r#"metric = "a", above = 50"#;
        check(condition, 0, true);
        check(condition, -86_400 * SECOND, true);
        check(condition, LATENESS, true);
        check(condition, LATENESS + 1, false);
        check(condition, i64::MAX / 2, false);
    }
}

#[test]
fn a_feed_is_in_order_and_has_a_sign_of_life_once() {
    let mut readings = Vec::new();
    for metric in ["c", "a", "b"] {
        readings.extend((0..4).map(|second| reading(metric, second, 1.0)));
    }
    let spans = pack(readings);
    // Spans in any order, and one of them twice.
    let spans = [&spans[..], &spans[..]].concat();
    let life = Feed::new(&rule(r#"silent = "1m""#), spans.iter().rev(), LATENESS);
    assert_eq!(life.samples.len(), 4);
    let two = rule(r#"all = [{ metric = "b", above = 1 }, { metric = "a", above = 1 }]"#);
    let samples = Feed::new(&two, spans.iter().rev(), LATENESS).samples;
    assert_eq!(samples.len(), 8, "each identity once");
    assert!(samples.is_sorted_by_key(|sample| (sample.at, sample.seq, sample.metric)));
}

#[test]
fn of_one_identity_the_feed_has_the_one_that_replaces_the_others() {
    let rule = rule(r#"metric = "a", above = 50, unit = "Cel""#);
    let check = |replaced: Reading, replaces: Reading, excluded: usize| {
        for readings in [[&replaced, &replaces], [&replaces, &replaced]] {
            // Each in a span of its own, as two messages bring them.
            let spans: Vec<Span> =
                readings.into_iter().flat_map(|reading| pack(vec![reading.clone()])).collect();
            let feed = Feed::new(&rule, &spans, LATENESS);
            let [sample] = &feed.samples[..] else { panic!("{:?}", feed.samples) };
            assert_eq!((&sample.value, sample.received), (&replaces.value, replaces.received));
            assert_eq!(feed.excluded, excluded);
        }
    };
    let good = || Reading { unit: Some("Cel".into()), ..reading("a", 0, 60.0) };
    let later = |reading: Reading| Reading { received: reading.received.plus(1), ..reading };
    check(good(), later(Reading { value: number(10.0), ..good() }), 0);
    check(good(), Reading { revision: Micros(1), value: number(10.0), ..good() }, 0);
    check(good(), Reading { value: number(70.0), ..good() }, 0);
    // One that the rule does not evaluate, too.
    check(good(), later(Reading { quality: Quality::Bad, ..good() }), 1);
    check(good(), later(Reading { unit: Some("bar".into()), ..good() }), 1);
    check(later(Reading { unit: Some("bar".into()), ..good() }), later(later(good())), 0);
    // Readings of another `seq` are others.
    let both = [good(), Reading { seq: Seq(1), ..good() }];
    assert_eq!(Feed::new(&rule, &pack(both.to_vec()), LATENESS).samples.len(), 2);
}

#[test]
fn a_threshold_is_told_as_a_person_writes_it() {
    let check = |condition: &str, test: &str, level: &str| {
        let threshold = rule(condition).leaves[0].threshold();
        assert_eq!((threshold.test.as_str(), threshold.level.as_str()), (test, level));
    };
    check(r#"metric = "a", above = 50.0, clear = 45"#, "above", "50");
    check(r#"metric = "a", below = -0.25"#, "below", "-0.25");
    check(r#"metric = "a", outside = [20, 50.5]"#, "outside", "20 to 50.5");
    check(r#"metric = "a", inside = [20, 50]"#, "inside", "20 to 50");
    check(r#"metric = "a", equals = "manual""#, "equals", "manual");
    check(r#"metric = "a", equals = true"#, "equals", "true");
    check(r#"silent = "90m""#, "silent", "1h 30m");
}

#[test]
fn what_is_no_number_is_no_verdict() {
    let check = |condition: &str| {
        let rule = rule(&format!("metric = \"a\", {condition}"));
        let Question::Number { test, .. } = &rule.leaves[0].question else { panic!() };
        // What is no number raises nothing, and clears nothing.
        assert_eq!(test.verdict(f64::NAN), None, "{condition}");
    };
    check("above = 50");
    check("below = 50, clear = 60");
    check("outside = [20, 50], clear = [20, 50]");
    check("inside = [20, 50]");
}
