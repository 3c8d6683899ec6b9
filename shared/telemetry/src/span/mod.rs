//! Readings packed into spans: runs of one device's readings that make one DynamoDB item each.
//!
//! An item of the readings table, in DynamoDB's terms:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `device` | S, partition key | `{site}/{device}` |
//! | `span` | S, sort key | `{first}#{digest}`: time of the first reading in µs since 1970, 16 digits; 16 hex digits of SHA-256 over the content |
//! | `version` | N | 2, the version of this format; 1 has no `seq`, `revision`, `messages` and `bytes`, and reads as if they were 0 |
//! | `to` | N | time of the last reading, µs since 1970 |
//! | `n` | N | number of readings |
//! | `revision` | N | when the profile was put that the readings were read by, µs since 1970; left out where there was none |
//! | `messages`, `bytes` | N | messages that are counted here, and the bytes of their payloads; no part of the digest |
//! | `times` | L of N | per row, µs after the first time |
//! | `seq` | L of N | per row, what tells it apart from others of its time ([`Seq`](crate::Seq)); left out where all are 0 |
//! | `delays` | L of N | per row, µs from the reading's time to its arrival at the broker |
//! | `source` | S, or L of S | where the rows' times came from: one word for all, or one per row |
//! | `correction` | S, or L of S | per row, why its time is not the one that was sent, in the words of [`CorrectionReason`](crate::CorrectionReason), or nothing; left out where all are as sent |
//! | `sent` | L of N | per row, µs from its time to the one that was sent; left out as `correction` is |
//! | `metrics` | M | per metric a map of `values` (L of N, S or BOOL), `rows` (L of N: the row of each value; left out where every row has one), `unit`, `unit_sent` (where it was sent in another) and `quality` (S for all, or L, one per value; left out where there is none, or all are good) |
//! | `expires` | N | when DynamoDB may delete the item, seconds since 1970; left out where readings are kept for ever |
//!
//! A row is a time at which something was measured: the samples of one record share it, so its
//! time is stored once however many metrics it has.

mod pack;
mod read;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::attribute::{Item, L, M, N, S, V};
use crate::precedence::Precedence;
use crate::reading::{Correction, DeviceId, Metric, Quality, Reading, Seq, TimeSource, Unit, Value};
use crate::time::Micros;

pub use pack::{Carrier, Packed, Replaced, pack, standing};
pub use read::StoredSpan;

/// The version of the item format.
const VERSION: i64 = 2;
/// Hex digits of the digest in a span's key: 64 bits. It only has to keep apart the spans of one
/// device that begin in the same microsecond.
const DIGEST_HEX_DIGITS: usize = 16;

/// A run of one device's readings, each identity once, in the order of their times.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    device: DeviceId,
    revision: Micros,
    rows: Vec<Row>,
    columns: BTreeMap<Metric, Vec<Cell>>,
    messages: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    at: Micros,
    seq: Seq,
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
    /// How many readings are in it.
    pub readings: usize,
}

/// The readings of one metric in a span, in the order of their times.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The metric.
    pub metric: &'a Metric,
    revision: Micros,
    rows: &'a [Row],
    cells: &'a [Cell],
}

/// One reading of a [`Run`], borrowed.
#[derive(Debug, Clone, Copy)]
pub struct RunReading<'a> {
    /// When it was measured.
    pub at: Micros,
    /// What tells it apart from others of this time.
    pub seq: Seq,
    /// When the broker received the message.
    pub received: Micros,
    /// When the profile that it was read by was put; 0 without one.
    pub revision: Micros,
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
                seq: row.seq,
                received: row.received,
                revision: self.revision,
                value: &cell.value,
                unit: cell.unit.as_ref(),
                quality: cell.quality,
                time_source: row.time_source,
                correction: row.correction,
            }
        })
    }
}

impl<'a> RunReading<'a> {
    /// What decides whether it replaces another of its identity.
    pub fn precedence(&self) -> Precedence<'a> {
        let units = [self.unit.map(Unit::as_str), self.unit.and_then(Unit::sent)];
        Precedence {
            received: self.received,
            revision: self.revision,
            value: self.value.into(),
            units: units.map(|unit| unit.unwrap_or_default().as_bytes()),
            quality: Reverse(self.quality),
            time_source: Reverse(self.time_source),
            correction: Reverse(self.correction),
        }
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

    /// When the profile was put that its readings were read by; 0 without one.
    pub fn revision(&self) -> Micros {
        self.revision
    }

    /// How many messages are counted here, and the bytes of their payloads; 0 where it is not known.
    pub fn messages(&self) -> (u64, u64) {
        (self.messages, self.bytes)
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
        self.columns.iter().map(|(metric, cells)| Run {
            metric,
            revision: self.revision,
            rows: &self.rows,
            cells,
        })
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
            seq: row.seq,
            received: row.received,
            revision: self.revision,
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
        if self.messages > 0 {
            let (messages, bytes) = self.messages();
            let _ = write!(json, r#""messages":{{"N":"{messages}"}},"bytes":{{"N":"{bytes}"}},"#);
        }
        json.push_str(&content[1..]);
        SpanItem { device: self.device.clone(), span, json, readings: self.len() }
    }

    /// The item without its sort key, its expiry and its counts: what the digest is made of.
    fn content_json(&self) -> String {
        let first = self.first().0;
        let times = L(self.rows.iter().map(|row| N(row.at.0 - first)));
        let delays = L(self.rows.iter().map(|row| N(row.received.0 - row.at.0)));
        let has_seq = self.rows.iter().any(|row| !row.seq.is_none());
        let seq = L(self.rows.iter().map(|row| N(i64::try_from(row.seq.0).unwrap_or(i64::MAX))));
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
            revision: (self.revision != Micros::default()).then_some(N(self.revision.0)),
            times,
            seq: has_seq.then_some(seq),
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
struct Content<'a, T, Q, D, C, R, Z, X> {
    device: S<'a>,
    version: N,
    to: N,
    n: N,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<N>,
    times: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Q>,
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
