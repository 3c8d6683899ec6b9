//! The present state of a device depends on the set of its readings, and on nothing else. Readings tie on purpose, in
//! every field.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use telemetry::{
    Correction, CorrectionReason, DeviceId, Latest, Micros, Quality, Reading, Seq, TimeSource, Unit, Value,
    latest, latest_attribute, pack,
};

/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

prop_compose! {
    /// A reading of which every field is one of two or three.
    fn reading()(
        metric in prop::sample::select(vec!["a", "b", "c"]),
        at in 0_i64..2,
        seq in 0_u64..2,
        received in 0_i64..2,
        revision in 0_i64..3,
        value in prop::sample::select(vec![
            Value::Integer(1), Value::Integer(2), Value::Float(0.5), Value::Boolean(true), Value::Text("on".into()),
        ]),
        unit in prop::sample::select(vec![None, Some(Unit::from("Cel")), Some(Unit::new("Cel", Some("degF")))]),
        quality in prop::sample::select(vec![Quality::Good, Quality::Bad]),
        time_source in prop::sample::select(vec![TimeSource::Device, TimeSource::Arrival]),
        is_corrected in any::<bool>(),
    ) -> Reading {
        let correction = Correction { reason: CorrectionReason::Outside, sent: Micros(7) };
        Reading {
            device: DeviceId::from_stored("plant-1/pump-7"),
            metric: metric.into(),
            at: Micros(START + at),
            seq: Seq(seq),
            received: Micros(START + received),
            revision: Micros(revision),
            value,
            unit,
            quality,
            time_source,
            correction: is_corrected.then(|| Box::new(correction)),
        }
    }
}

prop_compose! {
    /// What one batch says of the device.
    fn state()(
        readings in prop::collection::vec(reading(), 1..8),
        profile in prop::sample::select(vec![None, Some("p"), Some("q")]),
    ) -> Latest {
        Latest { profile: profile.map(Into::into), ..latest_of(readings) }
    }
}

fn latest_of(readings: Vec<Reading>) -> Latest {
    let mut states = latest(&pack(readings));
    assert_eq!(states.len(), 1);
    states.pop().unwrap()
}

fn merged(a: &Latest, b: &Latest) -> Latest {
    let mut merged = a.clone();
    let has_changed = merged.merge(b);
    assert_eq!(has_changed, merged != *a, "it says so if anything has changed");
    merged
}

proptest! {
    #[test]
    fn neither_order_nor_grouping_nor_repetition_matter(a in state(), b in state(), c in state()) {
        let ab = merged(&a, &b);
        prop_assert_eq!(&merged(&b, &a), &ab);
        prop_assert_eq!(merged(&ab, &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(&merged(&ab, &a), &ab);
        prop_assert_eq!(&merged(&ab, &b), &ab);
        prop_assert_eq!(&merged(&a, &a), &a);
    }

    /// Readings of several revisions are in spans that cover the same time.
    #[test]
    fn the_latest_are_those_of_all_readings_however_they_are_cut(
        readings in prop::collection::vec(reading(), 1..20),
        cut in 0_usize..20,
    ) {
        let whole = latest_of(readings.clone());
        for (metric, shown) in &whole.metrics {
            let of_metric = readings.iter().filter(|reading| reading.metric == *metric);
            let greatest = of_metric.max_by(|a, b| {
                (a.instant(), a.precedence()).cmp(&(b.instant(), b.precedence()))
            });
            prop_assert_eq!(Some(shown), greatest);
        }
        let (first, second) = readings.split_at(cut.min(readings.len()));
        if !first.is_empty() && !second.is_empty() {
            let (first, second) = (latest_of(first.to_vec()), latest_of(second.to_vec()));
            prop_assert_eq!(&merged(&first, &second).metrics, &whole.metrics);
            prop_assert_eq!(&merged(&second, &first).metrics, &whole.metrics);
        }
    }

    /// What decides is stored with the reading: a state that is read back merges as the one that was written.
    #[test]
    fn a_stored_state_merges_as_it_did(a in state(), b in state()) {
        let attribute = serde_json::to_string(&latest_attribute(&a.metrics)).unwrap();
        let profile = a.profile.as_ref().map_or(String::new(), |name| format!(r#""profile":{{"S":"{name}"}},"#));
        let item = format!(
            r#"{{"device":{{"S":"{}"}},{profile}"first_seen":{{"N":"{}"}},"last_seen":{{"N":"{}"}},"latest":{attribute}}}"#,
            a.device, a.first_seen.0, a.last_seen.0
        );
        let stored = Latest::from_item(&serde_json::from_str(&item).unwrap()).unwrap();
        prop_assert_eq!(merged(&stored, &b), merged(&a, &b));
    }
}
