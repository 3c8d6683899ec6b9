//! Properties of packing: nothing lost, nothing invented, order kept, every item within DynamoDB's
//! bounds, the same bytes for the same readings in whatever order they came.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use telemetry::attribute::{Attribute, Item};
use telemetry::limits::{MAX_SPAN_JSON_BYTES, MAX_SPAN_MICROS};
use telemetry::{
    Carrier, Correction, CorrectionReason, DeviceId, Latest, Micros, Packed, Quality, Reading, Seq, Span,
    StoredSpan, TimeSource, Unit, Value, latest, pack, standing,
};

const START: i64 = 1_700_000_000_000_000;
/// What DynamoDB allows of one item (Amazon DynamoDB quotas), in bytes of its own counting.
const MAX_ITEM_BYTES: usize = 400 * 1024;

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<f64>(), -1000.0..1000.0];
    prop_oneof![
        number.prop_filter_map("not storable", Value::from_f64),
        (i128::from(i64::MIN)..=i128::from(u64::MAX)).prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Boolean),
        "\\PC{0,12}|[\u{0}-\u{1f}\"\\\\]{0,8}".prop_map(|text| Value::Text(text.into())),
    ]
}

fn reading() -> impl Strategy<Value = Reading> {
    let time = prop_oneof![0..50_i64, (0..200_i64).prop_map(|n| n * 10_000_000), 0..3 * MAX_SPAN_MICROS];
    let sent = prop_oneof![2 => Just(None), 1 => Just(Some("degF")), 1 => Just(Some("K"))];
    let unit = prop_oneof![
        4 => Just(None),
        1 => sent.prop_map(|sent| Some(Unit::new("Cel", sent))),
        1 => Just(Some(Unit::from("%RH")))
    ];
    let quality =
        prop_oneof![4 => Just(Quality::Good), 1 => Just(Quality::Bad), 1 => Just(Quality::Uncertain)];
    let source = proptest::sample::select(vec![
        TimeSource::Device,
        TimeSource::Format,
        TimeSource::Broker,
        TimeSource::Arrival,
    ]);
    let reason = proptest::sample::select(vec![
        CorrectionReason::Zone,
        CorrectionReason::Wrap,
        CorrectionReason::Boot,
        CorrectionReason::Outside,
    ]);
    let correction = (reason, prop_oneof![0..100_i64, Just(START), any::<i64>()]);
    let correction = prop_oneof![4 => Just(None), 1 => correction.prop_map(Some)];
    let seq = prop_oneof![4 => 0..3_u64, 1 => (1_u64 << 61)..1 << 62];
    let revision = prop_oneof![2 => Just(0_i64), 1 => Just(START), 1 => Just(START + 1)];
    let identity = ("[ab]", "[a-e]|b\\.[\"é]", time, seq, revision);
    (identity, -5..5_i64, value(), unit, quality, source, correction).prop_map(
        |((device, metric, after, seq, revision), delay, value, unit, quality, time_source, correction)| {
            Reading {
                device: DeviceId::from_stored(format!("site/{device}")),
                metric: metric.into(),
                at: Micros(START + after),
                received: Micros((START + after) / 1000 * 1000 + delay * 1000),
                value,
                unit,
                quality,
                seq: Seq(seq),
                revision: Micros(revision),
                time_source,
                correction: correction
                    .map(|(reason, sent)| Box::new(Correction { reason, sent: Micros(sent) })),
            }
        },
    )
}

/// Readings that tie in whatever can tie: few identities, times of arrival, revisions and contents.
fn tying() -> impl Strategy<Value = Reading> {
    let small = || 0..2_i64;
    let value = prop_oneof![
        small().prop_map(|n| Value::Integer(n.into())),
        Just(Value::Float(0.5)),
        any::<bool>().prop_map(Value::Boolean),
        "[ab]".prop_map(|text| Value::Text(text.into())),
    ];
    let unit =
        proptest::sample::select(vec![None, Some(Unit::new("Cel", None)), Some(Unit::new("Cel", Some("K")))]);
    let quality = proptest::sample::select(vec![Quality::Good, Quality::Uncertain, Quality::Bad]);
    let source = proptest::sample::select(vec![TimeSource::Device, TimeSource::Arrival]);
    let correction = proptest::sample::select(vec![None, Some(CorrectionReason::Zone)]);
    ((small(), 0..2_u64, small(), small()), value, unit, quality, source, correction).prop_map(
        |((at, seq, received, revision), value, unit, quality, time_source, correction)| Reading {
            device: DeviceId::from_stored("site/a"),
            metric: "m".into(),
            at: Micros(START + at),
            seq: Seq(seq),
            received: Micros(START + received),
            revision: Micros(revision),
            value,
            unit,
            quality,
            time_source,
            correction: correction.map(|reason| Box::new(Correction { reason, sent: Micros(START) })),
        },
    )
}

type Identity = (DeviceId, String, Micros, Seq);

fn identity(reading: &Reading) -> Identity {
    (reading.device.clone(), reading.metric.to_string(), reading.at, reading.seq)
}

/// Which of two readings of one identity replaces the other, in the words of the README: received later, then of the
/// newer revision.
fn rank(reading: &Reading) -> (Micros, Micros) {
    (reading.received, reading.revision)
}

fn read_back(spans: &[Span]) -> Vec<Span> {
    let items = spans.iter().map(|span| serde_json::from_str::<Item>(&span.to_item(Some(30)).json).unwrap());
    items.map(|item| Span::from_item(&item).unwrap()).collect()
}

/// Size of an item as DynamoDB counts it (Amazon DynamoDB, "Item sizes and formats").
fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, attribute)| name.len() + attribute_size(attribute)).sum()
}

fn attribute_size(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::S(text) => text.len(),
        Attribute::N(digits) => digits.len().div_ceil(2) + 2,
        Attribute::Bool(_) | Attribute::Null(_) => 1,
        Attribute::L(list) => 3 + list.iter().map(|element| 1 + attribute_size(element)).sum::<usize>(),
        Attribute::M(map) => 3 + map.len() + item_size(map),
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_invented(readings in prop::collection::vec(reading(), 0..200)) {
        let mut expected: BTreeMap<Identity, Vec<Reading>> = BTreeMap::new();
        for reading in &readings {
            expected.entry(identity(reading)).or_default().push(reading.clone());
        }
        let spans = read_back(&pack(readings));
        let unpacked: Vec<Reading> = spans.iter().flat_map(Span::readings).collect();
        prop_assert_eq!(unpacked.len(), expected.len(), "each identity once");
        for reading in unpacked {
            let candidates = &expected[&identity(&reading)];
            prop_assert!(candidates.contains(&reading), "{reading:?} is none of {candidates:?}");
            let is_latest = |other: &Reading| rank(other) <= rank(&reading);
            prop_assert!(candidates.iter().all(is_latest), "the later received replaces, then the newer revision");
        }
    }

    /// Whoever reads the table sees the same whatever batches and processes wrote it, with ties in every field.
    #[test]
    fn neither_batches_nor_order_nor_repetition_matter(
        readings in prop::collection::vec(tying(), 1..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        is_reversed in any::<bool>(),
    ) {
        let expected = standing(readings.clone());
        let mut delivered = readings.clone();
        delivered.extend(again.iter().map(|index| index.get(&readings).clone()));
        if is_reversed {
            delivered.reverse();
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(delivered.len())).collect();
        cuts.extend([0, delivered.len()]);
        cuts.sort_unstable();
        // The table: what has the same key is overwritten.
        let mut table: BTreeMap<String, Span> = BTreeMap::new();
        for batch in cuts.windows(2) {
            for span in pack(delivered[batch[0]..batch[1]].to_vec()) {
                table.insert(span.to_item(None).span, span);
            }
        }
        let found = standing(table.values().flat_map(Span::readings).collect());
        prop_assert_eq!(&found, &expected);
        // An oracle of its own for all but the last resort.
        let mut best: BTreeMap<Identity, (Micros, Micros)> = BTreeMap::new();
        for reading in &readings {
            let known = best.entry(identity(reading)).or_insert_with(|| rank(reading));
            *known = rank(reading).max(*known);
        }
        prop_assert_eq!(found.len(), best.len());
        for reading in &found {
            prop_assert_eq!(rank(reading), best[&identity(reading)]);
        }
    }

    #[test]
    fn what_is_replaced_is_counted(readings in prop::collection::vec(tying(), 0..40)) {
        let given = readings.len();
        let packed = Packed::new(readings, Default::default());
        let kept: usize = packed.spans.iter().map(Span::len).sum();
        prop_assert_eq!(kept + packed.replaced.total(), given);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        readings in prop::collection::vec(reading(), 0..60),
        shuffled in Just(()).prop_perturb(|(), rng| rng),
    ) {
        let items = |readings: &[Reading]| pack(readings.to_vec()).iter().map(|span| span.to_item(None)).collect::<Vec<_>>();
        let mut other = readings.clone();
        let mut rng = shuffled;
        for index in (1..other.len()).rev() {
            other.swap(index, (rng.next_u64() as usize) % (index + 1));
        }
        prop_assert_eq!(items(&readings), items(&other));
    }

    #[test]
    fn spans_keep_order_and_bounds(readings in prop::collection::vec(reading(), 0..200)) {
        let spans = pack(readings);
        for span in &spans {
            prop_assert!(span.last().0 - span.first().0 < MAX_SPAN_MICROS);
            prop_assert_eq!(span.len(), span.readings().count());
            let item = span.to_item(Some(30));
            prop_assert!(item.json.len() <= MAX_SPAN_JSON_BYTES);
            prop_assert!(item_size(&serde_json::from_str(&item.json).unwrap()) <= MAX_ITEM_BYTES);
            let readings: Vec<Reading> = span.readings().collect();
            for pair in readings.windows(2).filter(|pair| pair[0].metric == pair[1].metric) {
                prop_assert!(pair[0].instant() < pair[1].instant());
            }
        }
        for pair in spans.windows(2) {
            let is_ordered = pair[0].device() < pair[1].device()
                || (pair[0].device() == pair[1].device() && pair[0].first() <= pair[1].first());
            prop_assert!(is_ordered);
        }
    }

    #[test]
    fn an_item_reads_the_same_in_any_spelling(readings in prop::collection::vec(reading(), 1..60)) {
        for span in pack(readings) {
            let item = span.to_item(Some(30)).json;
            // With spaces, and digits escaped: lists of numbers are then read in the other way.
            let tree: serde_json::Value = serde_json::from_str(&item).unwrap();
            let spaced = serde_json::to_string_pretty(&tree).unwrap();
            let escaped = item.replace(r#"{"N":"1"#, r#"{"N":"\u0031"#);
            let read = StoredSpan::from_json(&item).unwrap();
            prop_assert_eq!(&read.span, &span);
            prop_assert_eq!(&read, &StoredSpan::from_json(&spaced).unwrap());
            prop_assert_eq!(&read, &StoredSpan::from_json(&escaped).unwrap());
        }
    }

    #[test]
    fn the_latest_of_each_metric_is_the_newest(readings in prop::collection::vec(reading(), 1..100)) {
        for Latest { device, metrics, first_seen, last_seen, .. } in latest(&pack(readings.clone())) {
            let of_device = readings.iter().filter(|reading| reading.device == device);
            for (metric, found) in &metrics {
                let newest = of_device.clone().filter(|reading| reading.metric == *metric).map(|reading| reading.at).max();
                prop_assert_eq!(Some(found.at), newest);
            }
            for reading in of_device {
                prop_assert!(metrics.contains_key(&reading.metric));
            }
            prop_assert!(first_seen <= last_seen);
        }
    }
}

fn long_text(number: i64) -> Reading {
    Reading {
        device: DeviceId::from_stored("site/device"),
        metric: "log".into(),
        at: Micros(START + number),
        received: Micros(START),
        value: Value::Text("\u{1}".repeat(1024).into()),
        unit: None,
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    }
}

#[test]
fn readings_too_many_for_one_item_become_several() {
    let readings: Vec<Reading> = (0..500).map(long_text).collect();
    let spans = pack(readings.clone());
    assert!(spans.len() > 10, "{}", spans.len());
    for span in &spans {
        assert!(span.to_item(Some(30)).json.len() <= MAX_SPAN_JSON_BYTES);
    }
    assert_eq!(spans.iter().flat_map(Span::readings).collect::<Vec<_>>(), readings);
}

#[test]
fn what_tells_readings_apart_is_stored_where_there_is_anything() {
    let reading = |seq: u64, value: i128| Reading {
        seq: Seq(seq),
        revision: Micros(START),
        value: Value::Integer(value),
        ..long_text(0)
    };
    let messages = |bytes: usize| {
        let carrier = Carrier {
            device: DeviceId::from_stored("site/device"),
            instant: (Micros(START), Seq(0)),
            revision: Micros(START),
            delivery: 7,
            bytes,
        };
        // The same delivery twice is one message.
        [carrier.clone(), carrier].into_iter().collect()
    };
    let readings = vec![reading(0, 1), reading(1, 2), reading(1 << 61, 3)];
    let packed = Packed::new(readings.clone(), messages(200));
    let item: Item = serde_json::from_str(&packed.spans[0].to_item(None).json).unwrap();
    let n = |text: &str| Attribute::N(text.into());
    assert_eq!(item["seq"], Attribute::L(vec![n("0"), n("1"), n("2305843009213693952")]));
    assert_eq!(
        (&item["revision"], &item["messages"], &item["bytes"]),
        (&n("1700000000000000"), &n("1"), &n("200"))
    );
    let read = Span::from_item(&item).unwrap();
    assert_eq!((read.readings().collect::<Vec<_>>(), read.messages()), (readings.clone(), (1, 200)));
    // How many messages brought it is no part of what it is.
    assert_eq!(packed.spans[0].to_item(None).span, pack(readings)[0].to_item(None).span);
}

#[test]
fn spans_of_the_first_version_are_read() {
    let mut item: Item = serde_json::from_str(&pack(vec![long_text(0)])[0].to_item(None).json).unwrap();
    item.insert("version".to_owned(), Attribute::N("1".into()));
    let readings: Vec<Reading> = Span::from_item(&item).unwrap().readings().collect();
    assert_eq!(readings, [long_text(0)]);
}

#[test]
fn an_item_looks_like_this() {
    let reading = |metric: &str, after: i64, value: Value| Reading {
        device: DeviceId::from_stored("plant-1/pump-7"),
        metric: metric.into(),
        at: Micros(START + after),
        received: Micros(START + after + 200_000),
        value,
        unit: (metric == "temperature").then(|| "Cel".into()),
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    };
    let spans = pack(vec![
        reading("temperature", 0, Value::Float(22.5)),
        reading("running", 0, Value::Boolean(true)),
        reading("temperature", 10_000_000, Value::Integer(23)),
    ]);
    let item = spans[0].to_item(Some(30));
    assert_eq!(
        item.json,
        concat!(
            r#"{"span":{"S":"1700000000000000#640aedf66d3e0c04"},"expires":{"N":"1702592010"},"#,
            r#""device":{"S":"plant-1/pump-7"},"version":{"N":"2"},"to":{"N":"1700000010000000"},"n":{"N":"3"},"#,
            r#""times":{"L":[{"N":"0"},{"N":"10000000"}]},"delays":{"L":[{"N":"200000"},{"N":"200000"}]},"#,
            r#""source":{"S":"device"},"metrics":{"M":{"running":{"M":{"values":{"L":[{"BOOL":true}]},"#,
            r#""rows":{"L":[{"N":"0"}]}}},"temperature":{"M":{"values":{"L":[{"N":"22.5"},{"N":"23"}]},"#,
            r#""unit":{"S":"Cel"}}}}}}"#,
        )
    );
}

#[test]
fn what_is_no_span_is_refused_by_the_attribute_at_fault() {
    let good: Item = serde_json::from_str(&pack(vec![long_text(0)])[0].to_item(None).json).unwrap();
    let check = |name: &str, attribute: Option<Attribute>| {
        let mut item = good.clone();
        match attribute {
            Some(attribute) => item.insert(name.to_owned(), attribute),
            None => item.remove(name),
        };
        let error = Span::from_item(&item).unwrap_err().to_string();
        assert!(error.contains(&format!("`{name}`")), "{name}: {error}");
    };
    for name in ["device", "span", "version", "times", "delays", "source", "metrics"] {
        check(name, None);
        check(name, Some(Attribute::Null(true)));
    }
    check("version", Some(Attribute::N("3".into())));
    check("seq", Some(Attribute::L(vec![])));
    check("messages", Some(Attribute::N("-1".into())));
    check("span", Some(Attribute::S("yesterday#1".into())));
    check("span", Some(Attribute::S("-1#1".into())));
    check("span", Some(Attribute::S("9223372036854775807#1".into())));
    check("delays", Some(Attribute::L(vec![])));
    check("source", Some(Attribute::S("rumour".into())));
    assert!(Span::from_item(&good).is_ok());
    // Without rows it would be a span of nothing, which nobody could account for.
    let nothing = Attribute::L(vec![]);
    let empty = [("times", nothing.clone()), ("delays", nothing), ("metrics", Attribute::M(Item::new()))];
    let mut item = good;
    item.extend(empty.map(|(name, attribute)| (name.to_owned(), attribute)));
    assert!(Span::from_item(&item).unwrap_err().to_string().contains("`times`"));
}
