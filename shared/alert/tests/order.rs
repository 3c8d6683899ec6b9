//! What an alert comes to depends on the readings, not on how they arrive.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alert::{Phase, Rule, Sample, Track, Transition};
use proptest::prelude::*;
use telemetry::{Micros, Value};

const SECOND: i64 = 1_000_000;
const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

/// Rules of all kinds, that differ in what they remember.
const RULES: [&str; 6] = [
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
];

fn rule(text: &str) -> Rule {
    Rule::from_toml(&format!("name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\n{text}")).unwrap()
}

fn sample(rule: &Rule, second: i64, metric: usize, value: i64) -> Sample {
    let at = Micros(START + second * SECOND);
    Sample {
        at,
        received: at.plus(SECOND),
        metric: metric % rule.metrics.len(),
        value: Value::Integer(value.into()),
        unit: None,
    }
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
    /// Samples of distinct identities, a few seconds apart.
    fn samples()(steps in prop::collection::vec((1_i64..12, 0_usize..2, 0_i64..70), 1..60)) -> Vec<(i64, usize, i64)> {
        let mut second = 0;
        steps.into_iter().map(|(gap, metric, value)| {
            // Some of one time.
            second += if gap < 3 { 0 } else { gap };
            (second, metric, value)
        }).collect()
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
fn key(transition: &Transition) -> (Micros, Phase, Phase, &'static str, Micros) {
    (transition.at, transition.from, transition.to, transition.cause.as_str(), transition.since)
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
        let mut samples: Vec<Sample> =
            steps.iter().map(|(second, metric, value)| sample(&rule, *second, *metric, *value)).collect();
        // One reading for each identity: which of two stands is another question.
        samples.sort_by_key(|sample| (sample.at, sample.metric));
        samples.dedup_by_key(|sample| (sample.at, sample.metric));
        let expected = settled(in_order(&rule, &samples), &rule);

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
        let samples: Vec<Sample> =
            steps.iter().map(|(second, metric, value)| sample(&rule, *second, *metric, *value)).collect();
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
        let samples: Vec<Sample> =
            steps.iter().map(|(second, metric, value)| sample(&rule, *second, *metric, *value)).collect();
        let track = in_order(&rule, &samples);
        for transition in track.history() {
            prop_assert!(!transition.evidence.is_empty(), "{transition:?}");
            for evidence in &transition.evidence {
                for seen in evidence.last.iter().chain(&evidence.turned) {
                    let is_a_reading = samples.iter().any(|sample| {
                        sample.at == seen.at && sample.value == seen.value && seen.at <= transition.at
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
            let at = Micros(START + second * SECOND);
            let value = Value::Float(level - band * center + band * noise);
            track.take(&rule, vec![Sample { at, received: at, metric: 0, value, unit: None }], LATENESS);
        }
        prop_assert!(track.history().count() <= 1, "{:?}", track.history().collect::<Vec<_>>());
    }
}
