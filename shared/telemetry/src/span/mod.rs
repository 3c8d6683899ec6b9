//! Readings packed into spans: runs of one device's readings that make one DynamoDB item each.
//!
//! An item of the readings table, in DynamoDB's terms:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `device` | S, partition key | `{site}/{device}` |
//! | `span` | S, sort key | `{first}#{digest}`: time of the first reading in µs since 1970, 16 digits; 16 hex digits of SHA-256 over the content |
//! | `version` | N | 1, the version of this format |
//! | `to` | N | time of the last reading, µs since 1970 |
//! | `n` | N | number of readings |
//! | `times` | L of N | per row, µs after the first time |
//! | `delays` | L of N | per row, µs from the reading's time to its arrival at the broker |
//! | `source` | S, or L of S | where the rows' times came from: one word for all, or one per row |
//! | `correction` | S, or L of S | per row, why its time is not the one that was sent, in the words of [`CorrectionReason`](crate::CorrectionReason), or nothing; left out where all are as sent |
//! | `sent` | L of N | per row, µs from its time to the one that was sent; left out as `correction` is |
//! | `metrics` | M | per metric a map of `values` (L of N, S or BOOL), `rows` (L of N: the row of each value; left out where every row has one), `unit`, `unit_sent` (where it was sent in another) and `quality` (S for all, or L, one per value; left out where there is none, or all are good) |
//! | `expires` | N | when DynamoDB may delete the item, seconds since 1970; left out where readings are kept for ever |
//!
//! A row is a time at which something was measured: the samples of one record share it, so its
//! time is stored once however many metrics it has.

mod read;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::attribute::{Item, L, M, N, S, V};
use crate::limits::{MAX_SPAN_JSON_BYTES, MAX_SPAN_MICROS};
use crate::reading::{Correction, DeviceId, Metric, Quality, Reading, TimeSource, Unit, Value};
use crate::time::Micros;

pub use read::StoredSpan;

/// The version of the item format.
const VERSION: i64 = 1;
/// Hex digits of the digest in a span's key: 64 bits. It only has to keep apart the spans of one
/// device that begin in the same microsecond.
const DIGEST_HEX_DIGITS: usize = 16;

/// A run of one device's readings, each identity once, in the order of their times.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    device: DeviceId,
    rows: Vec<Row>,
    columns: BTreeMap<Metric, Vec<Cell>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    at: Micros,
    received: Micros,
    time_source: TimeSource,
    correction: Option<Correction>,
}

#[derive(Debug, Clone, PartialEq)]
struct Cell {
    row: usize,
    value: Value,
    unit: Option<Unit>,
    quality: Quality,
}

/// A span as the request body of DynamoDB needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanItem {
    /// Partition key.
    pub device: DeviceId,
    /// Sort key.
    pub span: String,
    /// The whole item in DynamoDB's JSON, keys included.
    pub json: String,
}

/// Packs readings into spans, ordered by device and time. Depends on nothing but the set of
/// readings: any order of the same readings gives the same spans. Of several readings with one
/// identity, only the one that stands is packed.
pub fn pack(readings: Vec<Reading>) -> Vec<Span> {
    let mut by_device: HashMap<DeviceId, Vec<Reading>, RandomState> = HashMap::default();
    for reading in readings {
        // Not `entry`, which would clone a device per reading.
        match by_device.get_mut(&reading.device) {
            Some(group) => group.push(reading),
            None => drop(by_device.insert(reading.device.clone(), vec![reading])),
        }
    }
    let mut groups: Vec<_> = by_device.into_iter().collect();
    groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    groups.into_iter().flat_map(|(device, readings)| pack_device(&device, readings)).collect()
}

/// The readings of one device of which each identity stands once, ordered by time and metric.
pub fn standing(mut readings: Vec<Reading>) -> Vec<Reading> {
    readings.sort_unstable_by(Reading::canonical_cmp);
    // The one that stands sorts first within its identity.
    readings.dedup_by(|next, kept| next.at == kept.at && next.metric == kept.metric);
    readings
}

fn pack_device(device: &DeviceId, readings: Vec<Reading>) -> Vec<Span> {
    let mut spans: Vec<SpanBuilder> = Vec::new();
    for reading in standing(readings) {
        match spans.last_mut() {
            Some(span) if span.has_room_for(&reading) => span.push(reading),
            _ => spans.push(SpanBuilder::start(device, reading)),
        }
    }
    spans.into_iter().map(|builder| builder.span).collect()
}

/// A span that still takes readings, in the order of their times.
struct SpanBuilder {
    span: Span,
    /// Upper bound of the item's JSON.
    json_bytes: usize,
}

impl SpanBuilder {
    fn start(device: &DeviceId, reading: Reading) -> Self {
        let span = Span { device: device.clone(), rows: Vec::new(), columns: BTreeMap::new() };
        let mut builder = Self { span, json_bytes: size::item(device) };
        builder.push(reading);
        builder
    }

    fn has_room_for(&self, reading: &Reading) -> bool {
        reading.at.0 - self.span.first().0 < MAX_SPAN_MICROS
            && self.json_bytes + size::reading(reading) <= MAX_SPAN_JSON_BYTES
    }

    fn push(&mut self, reading: Reading) {
        self.json_bytes += size::reading(&reading);
        let row = Row {
            at: reading.at,
            received: reading.received,
            time_source: reading.time_source,
            correction: reading.correction.as_deref().copied(),
        };
        // Only rows of the same time can be the same row, and those are the last.
        let rows = &mut self.span.rows;
        let same_time = rows.iter().rev().take_while(|known| known.at == row.at);
        let index = match same_time.clone().position(|known| *known == row) {
            Some(from_the_end) => rows.len() - 1 - from_the_end,
            None => {
                rows.push(row);
                rows.len() - 1
            }
        };
        let cell = Cell { row: index, value: reading.value, unit: reading.unit, quality: reading.quality };
        self.span.columns.entry(reading.metric).or_default().push(cell);
    }
}

/// The readings of one metric in a span, in the order of their times.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The metric.
    pub metric: &'a Metric,
    rows: &'a [Row],
    cells: &'a [Cell],
}

/// One reading of a [`Run`], borrowed.
#[derive(Debug, Clone, Copy)]
pub struct RunReading<'a> {
    /// When it was measured.
    pub at: Micros,
    /// When the broker received the message.
    pub received: Micros,
    /// What was measured.
    pub value: &'a Value,
    /// Unit of the value, where one is known.
    pub unit: Option<&'a Unit>,
    /// How far to trust it.
    pub quality: Quality,
    /// Where `at` came from.
    pub time_source: TimeSource,
    /// What was done to the time that was sent, where anything was.
    pub correction: Option<Correction>,
}

impl<'a> Run<'a> {
    /// Its readings.
    pub fn readings(self) -> impl ExactSizeIterator<Item = RunReading<'a>> {
        self.cells.iter().map(move |cell| {
            let row = self.rows[cell.row];
            RunReading {
                at: row.at,
                received: row.received,
                value: &cell.value,
                unit: cell.unit.as_ref(),
                quality: cell.quality,
                time_source: row.time_source,
                correction: row.correction,
            }
        })
    }
}

/// Upper bounds of what a span's parts take in JSON. Text may need six bytes for one (`\u0001`).
mod size {
    use super::{DeviceId, Reading, Value};

    const ITEM: usize = 512;
    const ROW: usize = 160;
    const COLUMN: usize = 128;
    const CELL: usize = 128;
    const ESCAPED: usize = 6;

    pub(super) fn item(device: &DeviceId) -> usize {
        ITEM + ESCAPED * device.as_str().len()
    }

    /// As if each reading had a row and a column of its own.
    pub(super) fn reading(reading: &Reading) -> usize {
        let text = match &reading.value {
            Value::Text(text) => ESCAPED * text.len(),
            Value::Float(_) | Value::Integer(_) | Value::Boolean(_) => 0,
        };
        let unit =
            reading.unit.as_ref().map_or(0, |unit| ESCAPED * (unit.len() + unit.sent().map_or(0, str::len)));
        ROW + COLUMN + CELL + ESCAPED * reading.metric.len() + text + unit
    }
}

impl Span {
    /// The device whose readings these are.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Time of the first reading.
    pub fn first(&self) -> Micros {
        self.rows.first().map_or(Micros::default(), |row| row.at)
    }

    /// Time of the last reading.
    pub fn last(&self) -> Micros {
        self.rows.last().map_or(Micros::default(), |row| row.at)
    }

    /// Number of readings.
    pub fn len(&self) -> usize {
        self.columns.values().map(Vec::len).sum()
    }

    /// Whether it has no reading; none that was packed is so.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// When the broker received the first and the last of its messages.
    pub fn received(&self) -> (Micros, Micros) {
        let received = self.rows.iter().map(|row| row.received);
        (received.clone().min().unwrap_or_default(), received.max().unwrap_or_default())
    }

    /// The span metric by metric, for whoever wants columns instead of readings.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.columns.iter().map(|(metric, cells)| Run { metric, rows: &self.rows, cells })
    }

    /// The readings, metric by metric, each metric in the order of time.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        self.columns.iter().flat_map(|(metric, cells)| cells.iter().map(|cell| self.reading(metric, cell)))
    }

    /// The last reading of each metric.
    pub(crate) fn latest(&self) -> impl Iterator<Item = Reading> + '_ {
        self.columns.iter().filter_map(|(metric, cells)| cells.last().map(|cell| self.reading(metric, cell)))
    }

    fn reading(&self, metric: &Metric, cell: &Cell) -> Reading {
        let row = self.rows[cell.row];
        Reading {
            device: self.device.clone(),
            metric: Arc::clone(metric),
            at: row.at,
            received: row.received,
            value: cell.value.clone(),
            unit: cell.unit.clone(),
            quality: cell.quality,
            time_source: row.time_source,
            correction: row.correction.map(Box::new),
        }
    }

    /// The item of the readings table. `retention_days` after the last arrival DynamoDB may delete
    /// it; `None` keeps it for ever. The key depends on the content alone.
    pub fn to_item(&self, retention_days: Option<u32>) -> SpanItem {
        let content = self.content_json();
        let mut span = format!("{:016}#", self.first().0);
        for byte in &Sha256::digest(&content)[..DIGEST_HEX_DIGITS / 2] {
            let _ = write!(span, "{byte:02x}");
        }
        let mut json = String::with_capacity(content.len() + 96);
        let _ = write!(json, r#"{{"span":{{"S":"{span}"}},"#);
        if let Some(days) = retention_days {
            let expires = self.received().1.0 / 1_000_000 + i64::from(days) * 86_400;
            let _ = write!(json, r#""expires":{{"N":"{expires}"}},"#);
        }
        json.push_str(&content[1..]);
        SpanItem { device: self.device.clone(), span, json }
    }

    /// The item without its sort key and its expiry: what the digest is made of.
    fn content_json(&self) -> String {
        let first = self.first().0;
        let times = L(self.rows.iter().map(|row| N(row.at.0 - first)));
        let delays = L(self.rows.iter().map(|row| N(row.received.0 - row.at.0)));
        let source = Words { items: &self.rows, word: |row: &Row| row.time_source.as_str() };
        let has_corrections = self.rows.iter().any(|row| row.correction.is_some());
        let reason = |row: &Row| row.correction.map_or("", |correction| correction.reason.as_str());
        let correction = Words { items: &self.rows, word: reason };
        // What was sent may be any number: the difference wraps around as the sum does.
        let sent =
            |row: &Row| row.correction.map_or(0, |correction| correction.sent.0.wrapping_sub(row.at.0));
        let sent = L(self.rows.iter().map(|row| N(sent(row))));
        let metrics = M(self.columns.iter().map(|(metric, cells)| (&**metric, self.column(cells))));
        let content = Content {
            device: S(self.device.as_str()),
            version: N(VERSION),
            to: N(self.last().0),
            n: N(i64::try_from(self.len()).unwrap_or(i64::MAX)),
            times,
            delays,
            source,
            correction: has_corrections.then_some(correction),
            sent: has_corrections.then_some(sent),
            metrics,
        };
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        serde_json::to_string(&content).expect("an item is JSON")
    }

    fn column<'a>(&self, cells: &'a [Cell]) -> ColumnAttribute<'a> {
        ColumnAttribute {
            cells,
            has_rows: cells.len() != self.rows.len(),
            has_unit: cells.iter().any(|cell| cell.unit.is_some()),
            has_unit_sent: cells
                .iter()
                .any(|cell| cell.unit.as_ref().is_some_and(|unit| unit.sent().is_some())),
            has_quality: cells.iter().any(|cell| cell.quality != Quality::Good),
        }
    }

    /// Reads an item of the readings table, as the SDK gives it.
    ///
    /// # Errors
    /// As [`StoredSpan::from_json`].
    pub fn from_item(item: &Item) -> Result<Self, SpanError> {
        let json = serde_json::to_string(item).map_err(|_| SpanError("device"))?;
        StoredSpan::from_json(&json).map(|stored| stored.span)
    }
}

/// An item that is no span of the known format; names the attribute at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("attribute `{0}` is missing or not as the format of spans has it")]
pub struct SpanError(&'static str);

#[derive(Serialize)]
struct Content<'a, T, D, C, R, Z, X> {
    device: S<'a>,
    version: N,
    to: N,
    n: N,
    times: T,
    delays: D,
    source: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    correction: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Z>,
    metrics: X,
}

/// A word per item: writes one string if all are the same, else a list.
struct Words<'a, T, F> {
    items: &'a [T],
    word: F,
}

impl<'a, T, F: Fn(&'a T) -> &'a str> Serialize for Words<'a, T, F> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut words = self.items.iter().map(|item| S((self.word)(item)));
        match words.next() {
            Some(first) if words.all(|other| other.0 == first.0) => first.serialize(serializer),
            _ => L(self.items.iter().map(|item| S((self.word)(item)))).serialize(serializer),
        }
    }
}

/// `{"M": {"values": …, "rows": …, "unit": …, "unit_sent": …, "quality": …}}` of one metric.
struct ColumnAttribute<'a> {
    cells: &'a [Cell],
    has_rows: bool,
    has_unit: bool,
    has_unit_sent: bool,
    has_quality: bool,
}

impl<'a> Serialize for ColumnAttribute<'a> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        #[derive(Serialize)]
        struct Tagged<T> {
            #[serde(rename = "M")]
            map: T,
        }
        #[derive(Serialize)]
        struct Column<VS, R, U, W, Q> {
            values: VS,
            #[serde(skip_serializing_if = "Option::is_none")]
            rows: Option<R>,
            #[serde(skip_serializing_if = "Option::is_none")]
            unit: Option<U>,
            #[serde(skip_serializing_if = "Option::is_none")]
            unit_sent: Option<W>,
            #[serde(skip_serializing_if = "Option::is_none")]
            quality: Option<Q>,
        }
        let cells = self.cells;
        let row = |cell: &Cell| N(i64::try_from(cell.row).unwrap_or(i64::MAX));
        let column = Column {
            values: L(cells.iter().map(|cell| V(&cell.value))),
            rows: self.has_rows.then(|| L(cells.iter().map(row))),
            // An empty unit stands for none in a list; no reading has an empty unit.
            unit: self
                .has_unit
                .then_some(Words { items: cells, word: |cell: &'a Cell| cell.unit.as_deref().unwrap_or("") }),
            unit_sent: self.has_unit_sent.then_some(Words {
                items: cells,
                word: |cell: &'a Cell| cell.unit.as_ref().and_then(Unit::sent).unwrap_or(""),
            }),
            quality: self
                .has_quality
                .then_some(Words { items: cells, word: |cell: &Cell| cell.quality.as_str() }),
        };
        Tagged { map: column }.serialize(serializer)
    }
}
