//! What an alert comes to depends on the readings, not on how they arrive. Samples tie on purpose: several of one time
//! with another `seq`, several of one identity that differ in when they were received, in their revision, in their value,
//! in their quality, or in nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Reverse;

use alert::{Phase, Rule, Sample, Track, Transition};
use proptest::prelude::*;
use telemetry::{Micros, Quality, Seq, Unit, Value};

const SECOND: i64 = 1_000_000;
const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

/// Rules of all kinds, that differ in what they remember.
const RULES: [&str; 7] = [
    r#"condition = { metric = "a", above = 50, clear = 45 }"#,
    r#"for = "20s"
       clear_after = "15s"
       latch = true
       condition = { metric = "a", above = 50, clear = 45 }"#,
    r#"for = "10s"
       repeat = "30s"
       flapping = { transitions = 2, within = "60s" }
       condition = { metric = "a", outside = [20, 50] }"#,
    r#"condition = { all = [{ metric = "a", above = 40 }, { metric = "b", equals = 1 }] }"#,
    r#"condition = { any = [{ metric = "a", rate = { per = "1m", over = "30s" }, above = 30, clear = 10 }, { metric = "b", silent = "25s" }] }"#,
    r#"for = "5s"
       condition = { silent = "20s" }"#,
    r#"clear_after = "3s"
       condition = { metric = "a", above = 50, clear = 45, unit = "Cel" }"#,
];

fn rule(text: &str) -> Rule {
    Rule::from_toml(&format!("name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\n{text}")).unwrap()
}

/// A sample, told in small numbers so that many are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    second: i64,
    seq: u64,
    metric: usize,
    /// Seconds from its time to its arrival.
    delay: i64,
    revision: i64,
    value: i64,
    /// 0: in no unit. 1: in Cel. 2: in Cel, and sent in another. 3: in another that no rule asks for.
    unit: u8,
    is_bad: bool,
}

impl Told {
    fn sample(self, rule: &Rule) -> Sample {
        let at = Micros(START + self.second * SECOND);
        Sample {
            at,
            seq: Seq(self.seq),
            received: at.plus(self.delay * SECOND),
            revision: Micros(self.revision),
            metric: self.metric % rule.metrics.len(),
            value: Value::Integer(self.value.into()),
            unit: match self.unit {
                0 => None,
                1 => Some("Cel".into()),
                2 => Some(Unit::new("Cel", Some("degF"))),
                _ => Some("bar".into()),
            },
            quality: if self.is_bad { Quality::Bad } else { Quality::Good },
        }
    }
}

/// The samples that are left when each identity is there once, written down once more and not taken from the crate.
fn standing(samples: &[Sample]) -> Vec<Sample> {
    let precedence = |sample: &Sample| {
        let Value::Integer(value) = sample.value else { panic!("all are integers") };
        let unit = sample.unit.as_deref().unwrap_or_default().to_owned();
        let sent = sample.unit.as_ref().and_then(|unit| unit.sent()).unwrap_or_default().to_owned();
        (sample.received, sample.revision, value, unit, sent, Reverse(sample.quality))
    };
    let mut standing: Vec<Sample> = Vec::new();
    for sample in samples {
        let is_same = |known: &&mut Sample| {
            (known.at, known.seq, known.metric) == (sample.at, sample.seq, sample.metric)
        };
        match standing.iter_mut().find(is_same) {
            Some(known) if precedence(known) < precedence(sample) => known.clone_from(sample),
            Some(_) => {}
            None => standing.push(sample.clone()),
        }
    }
    standing.sort_by_key(|sample| (sample.at, sample.seq, sample.metric));
    standing
}

/// Those of them that the rule takes.
fn evaluated(rule: &Rule, samples: &[Sample]) -> Vec<Sample> {
    let wanted = rule.leaves.iter().find_map(|leaf| leaf.unit.clone());
    let has_unit = |sample: &Sample| match (&wanted, &sample.unit) {
        (Some(wanted), Some(unit)) => **wanted == *unit.as_str(),
        _ => true,
    };
    let mut samples = standing(samples);
    samples.retain(|sample| sample.quality <= rule.quality && has_unit(sample));
    samples
}

/// All that can be said of a track once its window has passed.
fn settled(mut track: Track, rule: &Rule) -> (Phase, Vec<Transition>, Micros) {
    track.fold(rule, 0);
    (track.phase(), track.history().cloned().collect(), track.machine().since())
}

fn in_order(rule: &Rule, samples: &[Sample]) -> Track {
    let mut track = Track::new(rule);
    for sample in samples {
        track.take(rule, vec![sample.clone()], LATENESS);
    }
    track
}

prop_compose! {
    fn told()(
        seq in 0_u64..3,
        metric in 0_usize..2,
        delay in 0_i64..2,
        revision in 0_i64..2,
        value in prop_oneof![0_i64..70, Just(44_i64), Just(51)],
        unit in prop_oneof![6 => Just(0_u8), 3 => Just(1), 2 => Just(2), 2 => Just(3)],
        is_bad in prop::bool::weighted(0.15),
    ) -> Told {
        Told { second: 0, seq, metric, delay, revision, value, unit, is_bad }
    }
}

prop_compose! {
    /// Samples a few seconds apart, many of one time, some of one identity, some of them twice.
    fn samples()(steps in prop::collection::vec((0_i64..12, told(), 0_u8..12), 1..60)) -> Vec<Told> {
        let mut samples: Vec<Told> = Vec::new();
        let mut second = 0;
        for (gap, mut told, twin) in steps {
            second += if gap < 5 { 0 } else { gap };
            told.second = second;
            samples.push(told);
            // The same again, or with one thing that is not the same.
            let another = match twin {
                0 => told,
                1 => Told { value: 69 - told.value, ..told },
                2 => Told { revision: 1 - told.revision, value: 69 - told.value, ..told },
                3 => Told { delay: 1 - told.delay, value: 69 - told.value, ..told },
                4 => Told { is_bad: !told.is_bad, ..told },
                5 => Told { is_bad: !told.is_bad, revision: 1 - told.revision, ..told },
                _ => continue,
            };
            samples.push(another);
        }
        samples
    }
}

/// Moves samples about, none so far that it would come too late.
fn shuffled(samples: &[Sample], delays: &[i64]) -> Vec<Sample> {
    let delay = |index: usize| delays[index % delays.len()] * SECOND;
    let mut arriving: Vec<(i64, Sample)> = samples
        .iter()
        .enumerate()
        .map(|(index, sample)| (sample.at.0 + delay(index), sample.clone()))
        .collect();
    arriving.sort_by_key(|(at, _)| *at);
    arriving.into_iter().map(|(_, sample)| sample).collect()
}

/// What makes a transition this one.
fn key(transition: &Transition) -> ((Micros, Seq), Phase, Phase, &'static str, Micros) {
    let instant = (transition.at, transition.seq);
    (instant, transition.from, transition.to, transition.cause.as_str(), transition.since)
}

proptest! {
    #[test]
    fn neither_order_nor_batches_nor_repetition_matter(
        steps in samples(),
        delays in prop::collection::vec(0_i64..119, 1..20),
        cuts in prop::collection::vec(1_usize..9, 1..20),
        which in 0..RULES.len(),
        stores in any::<bool>(),
    ) {
        let rule = rule(RULES[which]);
        let samples: Vec<Sample> = steps.iter().map(|told| told.sample(&rule)).collect();
        // What is replaced, and what the rule does not take, is as if it had never come.
        let expected = settled(in_order(&rule, &evaluated(&rule, &samples)), &rule);

        let mut arriving = shuffled(&samples, &delays);
        let (mut track, mut batch) = (Track::new(&rule), 0);
        while !arriving.is_empty() {
            let cut = cuts[batch % cuts.len()].min(arriving.len());
            let mut taken: Vec<Sample> = arriving.drain(..cut).collect();
            let outcome = track.take(&rule, taken.clone(), LATENESS);
            prop_assert_eq!(outcome.late, 0);
            taken.reverse();
            let again = track.take(&rule, taken, LATENESS);
            prop_assert!(again.is_quiet(), "the same again: {again:?}");
            if stores {
                let stored = serde_json::to_string(&track).unwrap();
                track = serde_json::from_str::<Track>(&stored).unwrap().ready(&rule);
            }
            batch += 1;
        }
        prop_assert_eq!(settled(track, &rule), expected);
    }

    #[test]
    fn what_has_been_told_is_what_stands_and_corrections_say_which(
        steps in samples(),
        delays in prop::collection::vec(0_i64..119, 1..20),
        which in 0..RULES.len(),
    ) {
        let rule = rule(RULES[which]);
        let samples: Vec<Sample> = steps.iter().map(|told| told.sample(&rule)).collect();
        let mut track = Track::new(&rule);
        let mut known: Vec<Transition> = Vec::new();
        for sample in shuffled(&samples, &delays) {
            let outcome = track.take(&rule, vec![sample], LATENESS);
            for gone in &outcome.withdrawn {
                let place = known.iter().position(|transition| key(transition) == key(gone));
                prop_assert!(place.is_some(), "withdrawn, and never told: {gone:?}");
                known.remove(place.unwrap());
            }
            known.extend(outcome.new);
        }
        known.sort_by_key(|transition| transition.at);
        let mut standing: Vec<Transition> = track.history().cloned().collect();
        let newest = known.len().saturating_sub(standing.len());
        standing.sort_by_key(key);
        let mut known = known.split_off(newest);
        known.sort_by_key(key);
        let keys = |list: &[Transition]| list.iter().map(key).collect::<Vec<_>>();
        prop_assert_eq!(keys(&known), keys(&standing));
    }

    #[test]
    fn no_transition_without_evidence(steps in samples(), which in 0..RULES.len()) {
        let rule = rule(RULES[which]);
        let samples: Vec<Sample> = steps.iter().map(|told| told.sample(&rule)).collect();
        let track = in_order(&rule, &samples);
        let evaluated = evaluated(&rule, &samples);
        for transition in track.history() {
            prop_assert!(!transition.evidence.is_empty(), "{transition:?}");
            for evidence in &transition.evidence {
                for seen in evidence.last.iter().chain(&evidence.turned) {
                    let is_a_reading = evaluated.iter().any(|sample| {
                        sample.instant() == (seen.at, seen.seq) && sample.value == seen.value && seen.at <= transition.at
                    });
                    prop_assert!(is_a_reading, "{seen:?} of {transition:?}");
                }
            }
        }
    }

    #[test]
    fn noise_smaller_than_the_band_never_flaps(
        level in -1000.0_f64..1000.0,
        band in 0.01_f64..100.0,
        noise in prop::collection::vec(-0.49_f64..0.49, 2..200),
        center in -1.0_f64..2.0,
    ) {
        let text = format!("condition = {{ metric = \"a\", above = {level:?}, clear = {:?} }}", level - band);
        let rule = rule(&text);
        let mut track = Track::new(&rule);
        for (second, noise) in (0..).zip(&noise) {
            let value = Value::Float(level - band * center + band * noise);
            let told = Told { second, seq: 0, metric: 0, delay: 0, revision: 0, value: 0, unit: 0, is_bad: false };
            track.take(&rule, vec![Sample { value, ..told.sample(&rule) }], LATENESS);
        }
        prop_assert!(track.history().count() <= 1, "{:?}", track.history().collect::<Vec<_>>());
    }
}
