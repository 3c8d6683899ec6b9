//! Whatever is added, in files of whatever size: it comes out sorted, each identity once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bytes::Bytes;
use compact::sorter::{AddError, Limits, SortError, Sorted, Sorter, remove_leftovers};
use lake::{Columns, Reader, encode};
use proptest::prelude::*;
use telemetry::{DeviceId, Micros, Quality, Reading, Seq, TimeSource, Value, pack, standing};

/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;

fn reading() -> impl Strategy<Value = Reading> {
    let identity = ("[a-c]", "[xy]", 0..15_i64, 0..2_u64);
    let decides = (0..5_i64, 0..2_i64, 0..4_i16);
    (identity, decides).prop_map(|((device, metric, at, seq), (delay, revision, value))| Reading {
        device: DeviceId::from_stored(format!("site/{device}")),
        metric: metric.into(),
        at: Micros(START + at),
        received: Micros(START + at + delay),
        value: Value::Integer(value.into()),
        unit: None,
        quality: Quality::Good,
        seq: Seq(seq),
        revision: Micros(revision),
        time_source: TimeSource::Device,
        correction: None,
    })
}

fn file(readings: &[Reading]) -> Bytes {
    let mut columns = Columns::default();
    for span in pack(readings.to_vec()) {
        columns.push_span(&span, i64::MIN, i64::MAX);
    }
    encode(&columns).unwrap().unwrap()
}

fn sort(files: &[Bytes], limits: Limits) -> Sorted {
    let mut sorter = Sorter::new(limits).unwrap();
    for file in files {
        sorter.add(file.clone()).unwrap();
    }
    sorter.finish(|| false).unwrap()
}

/// All rows, in the order of the files.
fn rows(sorted: &Sorted) -> Vec<Reading> {
    let read = |file| Reader::open(std::fs::File::open(file).unwrap()).unwrap().read_all().unwrap();
    sorted.outputs.iter().flat_map(|output| read(&output.file).readings().collect::<Vec<_>>()).collect()
}

/// The readings, each identity once, in the order of device, metric, time and `seq`.
fn model(batches: &[Vec<Reading>]) -> Vec<Reading> {
    let mut by_device: BTreeMap<_, Vec<Reading>> = BTreeMap::new();
    for reading in batches.iter().flatten() {
        by_device.entry(reading.device.clone()).or_default().push(reading.clone());
    }
    let mut all: Vec<Reading> = by_device.into_values().flat_map(standing).collect();
    all.sort_by(|a, b| (&a.device, &a.metric, a.at, a.seq).cmp(&(&b.device, &b.metric, b.at, b.seq)));
    all
}

/// The same footer, and pages that are none: what is wrong shows only when rows are read.
fn damaged(good: &Bytes) -> Bytes {
    let mut file = good.to_vec();
    file[4..40].fill(0xff);
    file.into()
}

proptest! {
    #[test]
    fn what_was_added_comes_out_once_and_in_order(
        batches in prop::collection::vec(prop::collection::vec(reading(), 1..40), 1..8),
        sorted_rows in 1..150_usize,
        merged_rows in 1..80_usize,
        file_bytes in prop_oneof![Just(1_usize), Just(8_000), Just(1 << 20)],
    ) {
        let files: Vec<Bytes> = batches.iter().map(|batch| file(batch)).collect();
        let limits = Limits { sorted_rows, merged_rows, file_bytes, ..Limits::default() };
        let sorted = sort(&files, limits);
        prop_assert_eq!(rows(&sorted), model(&batches));
        prop_assert_eq!(sorted.outputs.iter().map(|output| output.rows).sum::<usize>(), rows(&sorted).len());
        // Whatever is not written was replaced, and is counted.
        let rows_in = files.iter().map(|file| Reader::open(file.clone()).unwrap().rows()).sum::<usize>();
        prop_assert_eq!(sorted.replaced.total(), rows_in - rows(&sorted).len());
        // Two runs at one time write the same names, and so do no harm.
        prop_assert_eq!(sort(&files, limits).set, sorted.set);
    }

    #[test]
    fn a_damaged_file_takes_nothing_of_the_others_along(
        batches in prop::collection::vec(prop::collection::vec(reading(), 1..40), 1..5),
        sorted_rows in 1..100_usize,
    ) {
        let mut sorter = Sorter::new(Limits { sorted_rows, ..Limits::default() }).unwrap();
        for batch in &batches {
            let good = file(batch);
            sorter.add(good.clone()).unwrap();
            prop_assert!(matches!(sorter.add(damaged(&good)), Err(AddError::Unreadable(_))));
            sorter.add(good).unwrap();
        }
        let sorted = sorter.finish(|| false).unwrap();
        prop_assert_eq!(rows(&sorted), model(&batches));
    }
}

#[test]
fn files_end_at_their_size_and_all_row_groups_are_in_order() {
    let batches: Vec<Vec<Reading>> = (0..4)
        .map(|batch| {
            (0..500)
                .map(|n| Reading {
                    device: DeviceId::from_stored(format!("site/{}", n % 5)),
                    metric: "x".into(),
                    at: Micros(START + n * 4 + batch),
                    received: Micros(START),
                    value: Value::Integer((n * 7_919 % 1_000).into()),
                    unit: None,
                    quality: Quality::Good,
                    seq: telemetry::Seq::default(),
                    revision: telemetry::Micros::default(),
                    time_source: TimeSource::Device,
                    correction: None,
                })
                .collect()
        })
        .collect();
    let files: Vec<Bytes> = batches.iter().map(|batch| file(batch)).collect();
    let sorted =
        sort(&files, Limits { sorted_rows: 400, merged_rows: 100, file_bytes: 1_000, ..Limits::default() });
    assert!(sorted.outputs.len() > 3, "{} files", sorted.outputs.len());
    assert_eq!(rows(&sorted), model(&batches));
}

/// Readings of `bytes` of text each, all different.
fn texts(count: usize, bytes: usize) -> Vec<Reading> {
    let text = |n: usize| format!("{n:0>bytes$}");
    let reading = |n: usize| Reading {
        device: DeviceId::from_stored("site/a"),
        metric: "log".into(),
        at: Micros(START + n as i64),
        received: Micros(START),
        value: Value::Text(text(n).into()),
        unit: None,
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    };
    (0..count).map(reading).collect()
}

#[test]
fn long_texts_are_sorted_in_pieces_too() {
    let batches: Vec<Vec<Reading>> = texts(2_000, 900).chunks(250).map(<[Reading]>::to_vec).collect();
    let files: Vec<Bytes> = batches.iter().map(|batch| file(batch)).collect();
    let limits = Limits { sorted_text_bytes: 300_000, merged_rows: 100, file_bytes: 1, ..Limits::default() };
    let sorted = sort(&files, limits);
    assert!(sorted.outputs.len() > 1, "only what is merged from pieces makes several files");
    assert_eq!(rows(&sorted), model(&batches));
}

#[test]
fn a_merge_that_takes_too_long_is_stopped() {
    let mut sorter = Sorter::new(Limits { sorted_rows: 1, merged_rows: 10, ..Limits::default() }).unwrap();
    for batch in texts(100, 10).chunks(25) {
        sorter.add(file(batch)).unwrap();
    }
    assert!(matches!(sorter.finish(|| true), Err(SortError::Stopped)));
}

#[test]
fn what_an_ended_process_has_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // Process ids end long before this one; process 1 lives as long as the machine.
    let names = ["tidegate-compact-999999999-abc", "tidegate-compact-1-abc", "somebody-elses"];
    for name in names {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("run-0.parquet"), "x").unwrap();
    }
    remove_leftovers(folder.path());
    let left: Vec<bool> = names.iter().map(|name| folder.path().join(name).exists()).collect();
    assert_eq!(left, [false, true, true]);
}
