//! The columns of every file in the lake, and how they are written.
//!
//! Format: Apache Parquet, "Logical Types" and "Encodings"; the files have no Arrow schema, so that each
//! engine maps the logical types to its own.

use std::fmt::Write as _;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::errors::Result;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

/// The version of the schema. It grows when a column is added; readers go by the columns' names, so an
/// older reader finds what it knows in a newer file, and a newer one reads what is missing as its default.
pub const VERSION: u32 = 3;
/// Key of the version in a file's metadata; it marks the file as one of the lake's.
pub(crate) const VERSION_KEY: &str = "tidegate.version";
/// Beginning of the keys under which a file's metadata says what a column means.
const COLUMN_KEY: &str = "tidegate.column.";

/// Rows of one row group: some 4 MB compressed, so that Athena reads a large object in parallel and skips
/// groups by their statistics.
pub const ROW_GROUP_ROWS: usize = 1 << 20;
/// Zstd's own default: a sixth smaller than level 1 (ARCHITECTURE.md, "The lake").
const ZSTD_LEVEL: i32 = 3;
/// Devices that a row group's bloom filter is sized for; a device's name that is not there reads as
/// "maybe there" in one of a hundred cases.
const BLOOM_DEVICES: u64 = 10_000;
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Microseconds since 1970, UTC.
    Time,
    /// A double.
    Double,
    /// An integer of 64 bits, signed.
    Integer,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub is_optional: bool,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

const fn column(name: &'static str, kind: Kind, is_optional: bool, meaning: &'static str) -> Column {
    Column { name, kind, is_optional, meaning }
}

/// All columns, in the order of the file.
pub const COLUMNS: [Column; 16] = [
    column("device", Kind::Text, false, "The device, as {site}/{device}."),
    column("site", Kind::Text, false, "The site: the part of `device` before the slash."),
    column("metric", Kind::Text, false, "What was measured; nested names are joined by dots."),
    column(
        "at",
        Kind::Time,
        false,
        "When it was measured; with device, metric and `seq` the reading's identity.",
    ),
    column(
        "received",
        Kind::Time,
        false,
        "When the broker received the message; the digits below a millisecond are those of its delivery. \
         Of two readings with one identity the later received replaces the other, then the one of the higher revision.",
    ),
    column(
        "value",
        Kind::Double,
        true,
        "The number, to the nearest double; 1 and 0 for true and false; null for a text.",
    ),
    column(
        "integer",
        Kind::Integer,
        true,
        "The integer itself, where it has 64 bits at most and no double holds it exactly; null elsewhere.",
    ),
    column(
        "text",
        Kind::Text,
        true,
        "The text of a reading that is one; true or false of a boolean; the digits of an integer that `integer` cannot hold.",
    ),
    column("unit", Kind::Text, true, "Unit of the value; null where none is known."),
    column("quality", Kind::Text, false, "How far to trust it: good, uncertain or bad."),
    column(
        "time_source",
        Kind::Text,
        false,
        "Where `at` came from: device, format, broker, or arrival where there was no time, or none that is accepted.",
    ),
    column("unit_sent", Kind::Text, true, "The unit as it was sent, where that is another; else null."),
    column(
        "time_correction",
        Kind::Text,
        true,
        "Why `at` is not the time that was sent: zone, wrap, boot or outside; null where it is.",
    ),
    column("time_sent", Kind::Time, true, "The time that was sent, where `at` is another; else null."),
    column(
        "seq",
        Kind::Integer,
        true,
        "What tells it apart from other readings of its device, metric and time; null for 0, as most have it.",
    ),
    column(
        "revision",
        Kind::Time,
        true,
        "When the profile was put that it was read by; null without a profile.",
    ),
];

/// The place of a column in [`COLUMNS`].
pub(crate) const DEVICE: usize = 0;
pub(crate) const METRIC: usize = 2;
pub(crate) const AT: usize = 3;
pub(crate) const RECEIVED: usize = 4;
pub(crate) const VALUE: usize = 5;
pub(crate) const INTEGER: usize = 6;
pub(crate) const TEXT: usize = 7;
pub(crate) const UNIT: usize = 8;
pub(crate) const QUALITY: usize = 9;
pub(crate) const TIME_SOURCE: usize = 10;
pub(crate) const UNIT_SENT: usize = 11;
pub(crate) const TIME_CORRECTION: usize = 12;
pub(crate) const TIME_SENT: usize = 13;
pub(crate) const SEQ: usize = 14;
pub(crate) const REVISION: usize = 15;

/// The README's table of [`COLUMNS`], in Markdown.
pub fn markdown_table() -> String {
    COLUMNS.iter().fold("| column | type | meaning |\n|---|---|---|\n".to_owned(), |mut table, column| {
        let kind = match column.kind {
            Kind::Text => "text",
            Kind::Time => "timestamp, µs, UTC",
            Kind::Double => "double",
            Kind::Integer => "int64",
        };
        let null = if column.is_optional { ", may be null" } else { "" };
        let _ = writeln!(table, "| `{}` | {kind}{null} | {} |", column.name, column.meaning);
        table
    })
}

pub(crate) fn parquet_schema() -> Result<TypePtr> {
    let fields = COLUMNS.iter().map(parquet_column).collect::<Result<_>>()?;
    Ok(Arc::new(Type::group_type_builder("reading").with_fields(fields).build()?))
}

fn parquet_column(column: &Column) -> Result<TypePtr> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Kind::Double => (Physical::DOUBLE, None),
        Kind::Integer => (Physical::INT64, None),
    };
    let repetition = if column.is_optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let builder = Type::primitive_type_builder(column.name, physical);
    Ok(Arc::new(builder.with_logical_type(logical).with_repetition(repetition).build()?))
}

/// How files are written.
pub(crate) fn properties() -> Result<WriterPropertiesPtr> {
    let path = |index: usize| ColumnPath::from(COLUMNS[index].name);
    let described =
        COLUMNS.iter().map(|c| KeyValue::new(format!("{COLUMN_KEY}{}", c.name), c.meaning.to_owned()));
    let version = KeyValue::new(VERSION_KEY.to_owned(), VERSION.to_string());
    // Null is 0, the lowest `seq`.
    let ascending = |index: usize| SortingColumn {
        column_idx: i32::try_from(index).unwrap_or_default(),
        descending: false,
        nulls_first: COLUMNS[index].is_optional,
    };
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some([DEVICE, METRIC, AT, SEQ].map(ascending).to_vec()))
        .set_key_value_metadata(Some(std::iter::once(version).chain(described).collect()))
        .set_column_bloom_filter_enabled(path(DEVICE), true)
        .set_column_bloom_filter_max_ndv(path(DEVICE), BLOOM_DEVICES)
        .set_column_bloom_filter_fpp(path(DEVICE), BLOOM_FALSE_POSITIVES);
    // Pages carry statistics where a query can skip by them.
    for index in [DEVICE, METRIC, AT] {
        builder = builder.set_column_statistics_enabled(path(index), EnabledStatistics::Page);
    }
    // Times of one metric are a step apart; a dictionary of them would be as long as they are.
    for index in [AT, RECEIVED, INTEGER] {
        builder = builder
            .set_column_dictionary_enabled(path(index), false)
            .set_column_encoding(path(index), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(Arc::new(builder.build()))
}
