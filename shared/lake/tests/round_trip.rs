//! Properties of files and merging: nothing lost, nothing invented, of each identity the reading that replaces the
//! others, the same bytes in whatever order; and what is no such file is refused.

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
    Correction, CorrectionReason, DeviceId, Micros, Quality, Reading, Replaced, Seq, TimeSource, Unit, Value,
    pack,
};

const START: i64 = 1_795_417_200_000_000;

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<f64>(), -1000.0..1000.0];
    let edge = proptest::sample::select(vec![
        i128::from(i64::MIN),
        i128::from(i64::MIN) - 1,
        i128::from(i64::MAX),
        i128::from(i64::MAX) + 1,
        i128::from(u64::MAX),
        (1 << 53) + 1,
        1 << 64,
        -(1 << 70),
        10_i128.pow(38) - 1,
        1 - 10_i128.pow(38),
    ]);
    let wide = -(10_i128.pow(38))..10_i128.pow(38);
    prop_oneof![
        // Few, so that readings tie …
        8 => proptest::sample::select(vec![
            Value::Integer(1),
            Value::Integer(2),
            Value::Float(1.5),
            Value::Boolean(true),
            Value::Text("on".into()),
            Value::Integer(1 << 63),
        ]),
        // … and all.
        4 => number.prop_filter_map("not storable", Value::from_f64),
        1 => wide.prop_filter("38 digits", |wide| *wide > -(10_i128.pow(38))).prop_map(Value::Integer),
        1 => edge.prop_map(Value::Integer),
        1 => any::<bool>().prop_map(Value::Boolean),
        1 => "\\PC{0,12}|true|false|18446744073709551615|".prop_map(|text| Value::Text(text.into())),
    ]
}

/// Readings of few devices, metrics, times and values: many have the same identity, and tie in what decides.
fn reading() -> impl Strategy<Value = Reading> {
    let unit = proptest::sample::select(vec![
        None,
        Some(Unit::new("Cel", None)),
        Some(Unit::new("Cel", Some("degF"))),
        Some(Unit::new("%RH", Some("%"))),
    ]);
    let quality =
        prop_oneof![4 => Just(Quality::Good), 1 => Just(Quality::Bad), 1 => Just(Quality::Uncertain)];
    let source = proptest::sample::select(SOURCES.to_vec());
    let correction = proptest::sample::select(vec![
        None,
        Some((CorrectionReason::Zone, START)),
        Some((CorrectionReason::Boot, 7)),
        Some((CorrectionReason::Outside, i64::MIN)),
        Some((CorrectionReason::Wrap, i64::MAX)),
    ]);
    let seq = proptest::sample::select(vec![0, 0, 0, 1, 2, (1 << 62) - 1]);
    let place = ("[abé]", "[a-c]", 0..6_i64, seq);
    let said = (value(), unit, quality);
    (place, said, (0..3_i64, 0..3_i64), (source, correction)).prop_map(
        |(
            (device, metric, after, seq),
            (value, unit, quality),
            (delay, revision),
            (time_source, correction),
        )| {
            Reading {
                device: DeviceId::from_stored(format!("site/{device}")),
                metric: metric.into(),
                at: Micros(START + after * 30_000_000),
                seq: Seq(seq),
                received: Micros(START + after * 30_000_000 + delay * 1_000),
                revision: Micros(revision * (START - 1)),
                value,
                unit,
                quality,
                time_source,
                correction: correction
                    .map(|(reason, sent)| Box::new(Correction { reason, sent: Micros(sent) })),
            }
        },
    )
}

const SOURCES: [TimeSource; 4] =
    [TimeSource::Device, TimeSource::Format, TimeSource::Broker, TimeSource::Arrival];

/// One by one: packing would drop what is replaced.
fn push(readings: &[Reading], columns: &mut Columns) {
    for reading in readings {
        for span in pack(vec![reading.clone()]) {
            columns.push_span(&span, i64::MIN, i64::MAX);
        }
    }
}

fn columns(readings: &[Reading]) -> Columns {
    let mut columns = Columns::default();
    push(readings, &mut columns);
    columns
}

type Identity = (String, String, Micros, u64);

fn identity(reading: &Reading) -> Identity {
    (reading.device.to_string(), reading.metric.to_string(), reading.at, reading.seq.0)
}

/// What decides between readings of one identity, told again without telemetry's comparator: the greatest is kept.
fn rank(reading: &Reading) -> impl Ord + use<> {
    let value = match &reading.value {
        Value::Boolean(flag) => (0, i128::from(*flag), 0, String::new()),
        Value::Integer(integer) => (1, *integer, 0, String::new()),
        Value::Float(number) => {
            // As an integer: the order of IEEE 754's bits, those of negative numbers turned round.
            let bits = number.to_bits().cast_signed();
            (2, 0, if bits < 0 { i64::MIN ^ !bits } else { bits }, String::new())
        }
        Value::Text(text) => (3, 0, 0, text.to_string()),
    };
    let quality = match reading.quality {
        Quality::Good => 0,
        Quality::Uncertain => -1,
        Quality::Bad => -2,
    };
    let source = SOURCES.iter().position(|source| *source == reading.time_source).map(std::cmp::Reverse);
    let correction = reading.correction.as_ref().map_or((0, std::cmp::Reverse(0)), |correction| {
        let reason = match correction.reason {
            CorrectionReason::Zone => -1,
            CorrectionReason::Wrap => -2,
            CorrectionReason::Boot => -3,
            CorrectionReason::Outside => -4,
        };
        (reason, std::cmp::Reverse(correction.sent.0))
    });
    let unit = reading.unit.as_ref().map_or("", Unit::as_str).to_owned();
    let sent = reading.unit.as_ref().and_then(Unit::sent).unwrap_or_default().to_owned();
    ((reading.received.0, reading.revision.0), value, (unit, sent), (quality, source, correction))
}

/// The model: what is kept of each identity, and how many others say the same, or not.
fn model(readings: &[Reading]) -> (Vec<Reading>, Replaced) {
    let mut groups: BTreeMap<Identity, Vec<&Reading>> = BTreeMap::new();
    for reading in readings {
        groups.entry(identity(reading)).or_default().push(reading);
    }
    let mut replaced = Replaced::default();
    let mut kept = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|reading| rank(reading));
        let greatest = group.pop().unwrap();
        for other in group {
            let unit = |reading: &Reading| reading.unit.as_ref().map(|unit| unit.as_str().to_owned());
            let is_equal = other.value == greatest.value
                && unit(other) == unit(greatest)
                && other.quality == greatest.quality;
            *(if is_equal { &mut replaced.equal } else { &mut replaced.different }) += 1;
        }
        kept.push(greatest.clone());
    }
    (kept, replaced)
}

fn read(file: Bytes) -> Vec<Reading> {
    Reader::open(file).unwrap().read_all().unwrap().readings().collect()
}

/// The merged readings, and how many were replaced.
fn merge(files: Vec<Bytes>, stride: usize) -> (Vec<Reading>, Replaced) {
    let readers = files.into_iter().map(|file| Reader::open(file).unwrap());
    let mut merge = Merge::new(readers).unwrap();
    let mut columns = Columns::default();
    let mut merged = Vec::new();
    while merge.next(stride, &mut columns).unwrap() {
        merged.extend(columns.readings());
    }
    assert_eq!(merge.read(), merged.len() + merge.replaced().total());
    (merged, merge.replaced())
}

proptest! {
    #[test]
    fn what_is_written_is_read(readings in prop::collection::vec(reading(), 1..150)) {
        let (kept, replaced) = model(&readings);
        let mut writer = Writer::new(Vec::new()).unwrap();
        prop_assert_eq!(writer.write_sorted(&columns(&readings)).unwrap(), replaced);
        prop_assert_eq!(read(writer.finish().unwrap().into()), kept);
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
        let all: Vec<Reading> = files.iter().flat_map(|file| read(file.clone())).collect();
        let merged = merge(files.clone(), stride);
        prop_assert_eq!(&merged, &model(&all));
        // The outcome depends neither on the files' order nor on where they were cut.
        prop_assert_eq!(&merged, &merge(files.iter().rev().cloned().collect(), 7));
        let mut together = Columns::default();
        for file in &files {
            let mut reader = Reader::open(file.clone()).unwrap();
            while reader.read(usize::MAX, &mut together).unwrap() {}
        }
        prop_assert_eq!(&merged.0, &read(encode(&together).unwrap().unwrap()));
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
    assert_eq!(writer.write_sorted(&big).unwrap(), Replaced { equal: 2_000, different: 0 });
    assert_eq!(writer.rows(), 1_000);
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
    assert_eq!(sorted, [0, 2, 3, 14], "device, metric, at, seq");
    assert!(group.sorting_columns().unwrap()[3].nulls_first, "null is 0, the lowest");
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
    file_of(version, columns, |_| START)
}

/// As [`foreign`], with what integers a column has.
fn file_of(
    version: Option<&str>,
    columns: &[(&str, Physical, Option<LogicalType>)],
    integer: impl Fn(&str) -> i64,
) -> Bytes {
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
            Physical::INT64 => {
                column.typed::<Int64Type>().write_batch(&[integer(name)], None, None).unwrap();
            }
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
fn what_versions_1_and_2_wrote_is_read_and_written_again() {
    // As version 2 has written it: one of each kind of value, 2⁶³ without its digits.
    let file = Bytes::from_static(include_bytes!("data/version-2.parquet"));
    let reader = Reader::open(file).unwrap();
    reader.check_rewritable().unwrap();
    let columns = reader.read_all().unwrap();
    let readings: Vec<Reading> = columns.readings().collect();
    let mut values: Vec<(i64, &Value)> =
        readings.iter().map(|reading| (reading.at.0 - START, &reading.value)).collect();
    values.sort_by_key(|(at, _)| *at);
    let expected = [
        Value::Integer(22),
        Value::Float(22.5),
        Value::Integer(i64::MAX.into()),
        Value::Integer(u64::MAX.into()),
        Value::Integer(1 << 63),
        Value::Boolean(true),
        Value::Text("on".into()),
        Value::Text("18446744073709551615".into()),
    ];
    assert_eq!(values, (0..).zip(&expected).collect::<Vec<_>>());
    let no_seq = |reading: &Reading| reading.seq.is_none() && reading.revision == Micros(0);
    assert!(readings.iter().all(no_seq));
    assert_eq!(read(encode(&columns).unwrap().unwrap()), readings);
    // It ties with what this version makes of the same reading, and neither is written in another way.
    let ours = encode(&self::columns(&readings)).unwrap().unwrap();
    assert_eq!(encode(&columns).unwrap().unwrap(), ours);

    let (name, logical) = text();
    let (number, micros) = time(TimeUnit::MICROS);
    let of_version_1 = [
        ("device", name, logical.clone()),
        ("metric", name, logical),
        ("at", number, micros),
        ("value", Physical::DOUBLE, None),
    ];
    let reader = Reader::open(foreign(Some("1"), &of_version_1)).unwrap();
    reader.check_rewritable().unwrap();
    let readings: Vec<Reading> = reader.read_all().unwrap().readings().collect();
    assert!(readings.len() == 1 && readings.iter().all(no_seq));
}

#[test]
fn a_seq_below_zero_is_refused() {
    let (name, logical) = text();
    let (number, micros) = time(TimeUnit::MICROS);
    let columns = [
        ("device", name, logical.clone()),
        ("metric", name, logical),
        ("at", number, micros),
        ("value", Physical::DOUBLE, None),
        ("seq", Physical::INT64, None),
    ];
    let of = |seq: i64| {
        let file = file_of(Some("3"), &columns, |column| if column == "seq" { seq } else { START });
        Reader::open(file).unwrap().read_all()
    };
    assert_eq!(of(7).unwrap().reading(0).seq, Seq(7));
    assert!(matches!(of(-7), Err(LakeError::Column("seq"))));
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
