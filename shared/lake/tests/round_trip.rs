//! Properties of files and merging: nothing lost, nothing invented, the later received stands, the same bytes in
//! whatever order; and what is no such file is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lake::schema::COLUMNS;
use lake::{Columns, LakeError, Merge, Reader, Writer, encode};
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;
use telemetry::{
    Correction, CorrectionReason, DeviceId, Micros, Quality, Reading, TimeSource, Unit, Value, pack,
};

const START: i64 = 1_795_417_200_000_000;

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<f64>(), -1000.0..1000.0];
    let edge = prop_oneof![
        Just(i128::from(i64::MIN)),
        Just(i128::from(i64::MAX)),
        Just(i128::from(u64::MAX)),
        Just((1 << 53) + 1)
    ];
    prop_oneof![
        4 => number.prop_filter_map("not storable", Value::from_f64),
        1 => (i128::from(i64::MIN)..=i128::from(u64::MAX)).prop_map(Value::Integer),
        1 => edge.prop_map(Value::Integer),
        1 => any::<bool>().prop_map(Value::Boolean),
        1 => "\\PC{0,12}|true|false|18446744073709551615|".prop_map(|text| Value::Text(text.into())),
    ]
}

fn reading() -> impl Strategy<Value = Reading> {
    let unit = proptest::sample::select(vec![
        None,
        Some(Unit::new("Cel", None)),
        Some(Unit::new("Cel", Some("degF"))),
        Some(Unit::new("%RH", Some("%"))),
    ]);
    let quality =
        prop_oneof![4 => Just(Quality::Good), 1 => Just(Quality::Bad), 1 => Just(Quality::Uncertain)];
    let source = proptest::sample::select(vec![
        TimeSource::Device,
        TimeSource::Format,
        TimeSource::Broker,
        TimeSource::Arrival,
    ]);
    let correction = proptest::sample::select(vec![
        None,
        Some((CorrectionReason::Zone, START)),
        Some((CorrectionReason::Boot, 7)),
        Some((CorrectionReason::Outside, i64::MIN)),
        Some((CorrectionReason::Wrap, i64::MAX)),
    ]);
    ("[abé]", "[a-c]", 0..40_i64, 0..4_i64, value(), unit, quality, (source, correction)).prop_map(
        |(device, metric, after, delay, value, unit, quality, (time_source, correction))| Reading {
            device: DeviceId::from_stored(format!("site/{device}")),
            metric: metric.into(),
            at: Micros(START + after * 30_000_000),
            received: Micros(START + after * 30_000_000 + delay * 1_000),
            value,
            unit,
            quality,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source,
            correction: correction.map(|(reason, sent)| Box::new(Correction { reason, sent: Micros(sent) })),
        },
    )
}

fn push(readings: &[Reading], columns: &mut Columns) {
    for span in pack(readings.to_vec()) {
        columns.push_span(&span, i64::MIN, i64::MAX);
    }
}

fn columns(readings: &[Reading]) -> Columns {
    let mut columns = Columns::default();
    push(readings, &mut columns);
    columns
}

type Identity = (String, String, Micros);

fn identity(reading: &Reading) -> Identity {
    (reading.device.to_string(), reading.metric.to_string(), reading.at)
}

/// The model: of each identity, what may stand.
fn model(readings: &[Reading]) -> BTreeMap<Identity, Vec<Reading>> {
    let mut model: BTreeMap<Identity, Vec<Reading>> = BTreeMap::new();
    for reading in readings {
        let candidates = model.entry(identity(reading)).or_default();
        match candidates.first().map(|other| other.received.cmp(&reading.received)) {
            Some(std::cmp::Ordering::Less) => *candidates = vec![reading.clone()],
            Some(std::cmp::Ordering::Greater) => {}
            _ => candidates.push(reading.clone()),
        }
    }
    model
}

fn check_against_model(found: &[Reading], written: &[Reading]) {
    let model = model(written);
    let identities: Vec<Identity> = found.iter().map(identity).collect();
    assert_eq!(identities, model.keys().cloned().collect::<Vec<_>>(), "each identity once, in order");
    for reading in found {
        assert!(
            model[&identity(reading)].contains(reading),
            "{reading:?} is none of {:?}",
            model[&identity(reading)]
        );
    }
}

fn read(file: Bytes) -> Vec<Reading> {
    Reader::open(file).unwrap().read_all().unwrap().readings().collect()
}

fn merge(files: Vec<Bytes>, stride: usize) -> Vec<Reading> {
    let mut merge = Merge::new(files.into_iter().map(|file| Reader::open(file).unwrap())).unwrap();
    let (mut found, mut columns) = (Vec::new(), Columns::default());
    while merge.next(stride, &mut columns).unwrap() {
        found.extend(columns.readings());
    }
    found
}

proptest! {
    #[test]
    fn what_is_written_is_read(readings in prop::collection::vec(reading(), 1..150)) {
        check_against_model(&read(encode(&columns(&readings)).unwrap().unwrap()), &readings);
    }

    #[test]
    fn the_same_readings_make_the_same_bytes(batches in prop::collection::vec(prop::collection::vec(reading(), 1..20), 1..6)) {
        let together = |batches: &[Vec<Reading>]| {
            let mut all = Columns::default();
            batches.iter().for_each(|batch| push(batch, &mut all));
            encode(&all).unwrap().unwrap()
        };
        let reversed: Vec<_> = batches.iter().rev().cloned().collect();
        let twice: Vec<_> = batches.iter().chain(&reversed).cloned().collect();
        let expected = together(&batches);
        prop_assert!(expected == together(&reversed), "order");
        prop_assert!(expected == together(&twice), "repetition");
    }

    #[test]
    fn merging_loses_nothing_and_doubles_nothing(
        batches in prop::collection::vec(prop::collection::vec(reading(), 1..40), 1..8),
        stride in 1..60_usize,
    ) {
        let files: Vec<Bytes> = batches.iter().map(|batch| encode(&columns(batch)).unwrap().unwrap()).collect();
        let all: Vec<Reading> = batches.iter().flatten().cloned().collect();
        let merged = merge(files.clone(), stride);
        check_against_model(&merged, &all);
        // The outcome depends neither on the files' order nor on where they were cut.
        prop_assert_eq!(&merged, &merge(files.iter().rev().cloned().collect(), 7));
        let mut together = Columns::default();
        for file in &files {
            let mut reader = Reader::open(file.clone()).unwrap();
            while reader.read(usize::MAX, &mut together).unwrap() {}
        }
        prop_assert_eq!(&merged, &read(encode(&together).unwrap().unwrap()));
    }

    #[test]
    fn damaged_files_are_refused_and_nothing_panics(
        readings in prop::collection::vec(reading(), 1..60),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let file = encode(&columns(&readings)).unwrap().unwrap();
        prop_assert!(Reader::open(file.slice(..cut.index(file.len()))).is_err());
        let mut damaged = file.to_vec();
        for (place, flip) in flips {
            let place = place.index(damaged.len());
            damaged[place] ^= flip;
        }
        // A flipped bit in a value reads as another value; Parquet's pages have no checksums by default.
        if let Ok(reader) = Reader::open(Bytes::from(damaged)) {
            let _ = reader.read_all();
        }
    }
}

#[test]
fn a_file_has_row_groups_of_bounded_size_and_they_read_back() {
    let mut big = Columns::default();
    let base: Vec<Reading> = (0..1_000)
        .map(|n| Reading {
            device: DeviceId::from_stored("site/a"),
            metric: "m".into(),
            at: Micros(START + n),
            received: Micros(START),
            value: Value::from_f64(0.5).unwrap(),
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        })
        .collect();
    let block = columns(&base);
    for _ in 0..3 {
        push(&base, &mut big);
    }
    let mut writer = Writer::new(Vec::new()).unwrap();
    assert_eq!(writer.write_sorted(&big).unwrap(), 1_000, "repetitions do not stand");
    writer.write_in_order(&block).unwrap();
    assert_eq!(writer.rows(), 2_000);
    let reader = Reader::open(Bytes::from(writer.finish().unwrap())).unwrap();
    assert_eq!(reader.rows(), 2_000);
    assert_eq!(reader.read_all().unwrap().len(), 2_000);
}

#[test]
fn a_file_has_what_engines_skip_by_and_says_what_it_holds() {
    let readings: Vec<Reading> = (0..100)
        .map(|n| Reading {
            device: DeviceId::from_stored(format!("site/{}", n % 5)),
            metric: "m".into(),
            at: Micros(START + n),
            received: Micros(START + n),
            value: Value::Integer(n.into()),
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        })
        .collect();
    let file = SerializedFileReader::new(encode(&columns(&readings)).unwrap().unwrap()).unwrap();
    let group = file.metadata().row_group(0);
    let sorted: Vec<i32> = group.sorting_columns().unwrap().iter().map(|column| column.column_idx).collect();
    assert_eq!(sorted, [0, 2, 3], "device, metric, at");
    for (column, known) in group.columns().iter().zip(COLUMNS) {
        assert_eq!(column.column_path().string(), known.name);
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", known.name);
        assert!(column.statistics().is_some(), "{}", known.name);
        assert_eq!(column.bloom_filter_offset().is_some(), known.name == "device", "{}", known.name);
        let is_delta = column.encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED);
        assert_eq!(is_delta, ["at", "received", "integer"].contains(&known.name), "{}", known.name);
    }
    let entries = file.metadata().file_metadata().key_value_metadata().unwrap();
    let meaning = |name: &str| entries.iter().find(|entry| entry.key == format!("tidegate.column.{name}"));
    for column in COLUMNS {
        assert_eq!(meaning(column.name).unwrap().value.as_deref(), Some(column.meaning));
    }
}

/// A file as another version of the program would write it.
fn foreign(version: Option<&str>, columns: &[(&str, Physical, Option<LogicalType>)]) -> Bytes {
    let fields = columns.iter().map(|(name, physical, logical)| {
        let column = Type::primitive_type_builder(name, *physical).with_repetition(Repetition::REQUIRED);
        Arc::new(column.with_logical_type(logical.clone()).build().unwrap())
    });
    let schema = Type::group_type_builder("reading").with_fields(fields.collect()).build().unwrap();
    let metadata = version.map(|version| KeyValue::new("tidegate.version".to_owned(), version.to_owned()));
    let properties = WriterProperties::builder().set_key_value_metadata(Some(metadata.into_iter().collect()));
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (name, physical, _) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        match physical {
            Physical::INT64 => drop(column.typed::<Int64Type>().write_batch(&[START], None, None).unwrap()),
            Physical::DOUBLE => drop(column.typed::<DoubleType>().write_batch(&[22.5], None, None).unwrap()),
            _ => drop(column.typed::<ByteArrayType>().write_batch(&[(*name).into()], None, None).unwrap()),
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap().into()
}

fn text() -> (Physical, Option<LogicalType>) {
    (Physical::BYTE_ARRAY, Some(LogicalType::String))
}

fn time(unit: TimeUnit) -> (Physical, Option<LogicalType>) {
    (Physical::INT64, Some(LogicalType::timestamp(true, unit)))
}

#[test]
fn versions_read_each_other() {
    let (name, logical) = text();
    let (number, micros) = time(TimeUnit::MICROS);
    let known = [
        ("metric", name, logical.clone()),
        ("at", number, micros.clone()),
        ("device", name, logical.clone()),
        ("value", Physical::DOUBLE, None),
    ];
    // An older version had fewer columns, in another order …
    let older = Reader::open(foreign(Some("0"), &known)).unwrap();
    older.check_rewritable().unwrap();
    let readings: Vec<Reading> = older.read_all().unwrap().readings().collect();
    assert_eq!(readings[0].device.as_str(), "device");
    assert_eq!((readings[0].at, readings[0].received), (Micros(START), Micros(START)));
    assert_eq!((readings[0].value.clone(), readings[0].quality), (Value::Float(22.5), Quality::Good));
    // … and a newer one has more: it is read, and not written again without them.
    let more = [&known[..], &[("calibration", Physical::DOUBLE, None)]].concat();
    let newer = Reader::open(foreign(Some("7"), &more)).unwrap();
    assert!(matches!(newer.check_rewritable(), Err(LakeError::Newer(7))));
    assert_eq!(newer.read_all().unwrap().readings().collect::<Vec<_>>(), readings);
}

#[test]
fn what_is_no_file_of_the_lake_is_refused() {
    let (name, logical) = text();
    let (number, micros) = time(TimeUnit::MICROS);
    let check = |file: Bytes, expected: &str| {
        let error = Reader::open(file).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let device = ("device", name, logical.clone());
    let metric = ("metric", name, logical.clone());
    check(Bytes::new(), "not readable");
    check(Bytes::from_static(b"device,metric,at\r\n"), "not readable");
    check(foreign(None, std::slice::from_ref(&device)), "no tidegate.version");
    check(foreign(Some("x"), std::slice::from_ref(&device)), "no tidegate.version");
    check(foreign(Some("1"), &[device.clone(), metric.clone()]), "column at is missing");
    let millis = ("at", number, time(TimeUnit::MILLIS).1);
    check(
        foreign(Some("1"), &[device.clone(), metric.clone(), millis]),
        "column at is missing, or not of the type",
    );
    let no_value = foreign(Some("1"), &[device, metric, ("at", number, micros)]);
    assert!(matches!(Reader::open(no_value).unwrap().read_all(), Err(LakeError::NoValue)));
}
