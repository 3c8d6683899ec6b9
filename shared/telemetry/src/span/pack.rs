//! Readings become spans.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::{Cell, Row, Span};
use crate::limits::{MAX_SPAN_JSON_BYTES, MAX_SPAN_MICROS};
use crate::reading::{DeviceId, Reading, Seq};
use crate::time::Micros;

/// Spans, and what became of readings that are in none of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed {
    /// The spans, ordered by device, then time.
    pub spans: Vec<Span>,
    /// Readings that others of the same identity have replaced.
    pub replaced: Replaced,
}

/// Readings that others of the same identity have replaced, by whether these say the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The same value, unit and quality: repetitions.
    pub equal: usize,
    /// Another.
    pub different: usize,
}

impl Replaced {
    /// Both.
    pub fn total(self) -> usize {
        self.equal + self.different
    }

    /// Counts one more.
    pub fn add(&mut self, is_equal: bool) {
        *(if is_equal { &mut self.equal } else { &mut self.different }) += 1;
    }
}

/// Where a message is counted: in the span of one of its readings, so that the counts of spans add up to messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carrier {
    /// The reading's device.
    pub device: DeviceId,
    /// Its time and `seq`.
    pub instant: (Micros, Seq),
    /// When the profile that it was read by was put.
    pub revision: Micros,
    /// The hash of the delivery: a message that comes twice is counted once.
    pub delivery: u64,
    /// Bytes of the payload.
    pub bytes: usize,
}

impl Packed {
    /// Packs readings into spans. Depends on nothing but the sets of readings and messages: any order of the same gives
    /// the same spans. Of several readings with one identity, only the one that replaces the others is packed. Each of
    /// `messages` is counted in one span.
    pub fn new(readings: Vec<Reading>, messages: BTreeSet<Carrier>) -> Self {
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
        let mut packed = Self::default();
        let mut messages = messages.into_iter().peekable();
        for (device, readings) in groups {
            let first = packed.spans.len();
            pack_device(&device, readings, &mut packed);
            while let Some(message) = messages.next_if(|message| message.device <= device) {
                count_message(&message, &mut packed.spans[first..]);
            }
        }
        packed
    }
}

/// Packs readings of which nothing is known of their messages; see [`Packed::new`].
pub fn pack(readings: Vec<Reading>) -> Vec<Span> {
    Packed::new(readings, BTreeSet::new()).spans
}

/// The readings of one device of which each identity is there once, ordered by time, `seq` and metric.
pub fn standing(readings: Vec<Reading>) -> Vec<Reading> {
    without_replaced(readings, &mut Replaced::default())
}

fn without_replaced(mut readings: Vec<Reading>, replaced: &mut Replaced) -> Vec<Reading> {
    readings.sort_unstable_by(Reading::canonical_cmp);
    // The one that replaces the others comes first within its identity.
    readings.dedup_by(|next, kept| {
        let is_same = next.instant() == kept.instant() && next.metric == kept.metric;
        if is_same {
            replaced.add(next.says_the_same_as(kept));
        }
        is_same
    });
    readings
}

fn pack_device(device: &DeviceId, readings: Vec<Reading>, packed: &mut Packed) {
    let readings = without_replaced(readings, &mut packed.replaced);
    let first = readings.first().map_or(Micros::default(), |reading| reading.revision);
    if readings.iter().all(|reading| reading.revision == first) {
        pack_revision(device, first, readings, &mut packed.spans);
        return;
    }
    // A span is of one revision.
    let mut by_revision: BTreeMap<Micros, Vec<Reading>> = BTreeMap::new();
    for reading in readings {
        by_revision.entry(reading.revision).or_default().push(reading);
    }
    let before = packed.spans.len();
    for (revision, readings) in by_revision {
        pack_revision(device, revision, readings, &mut packed.spans);
    }
    packed.spans[before..].sort_by_key(|span| (span.first(), span.revision()));
}

fn pack_revision(device: &DeviceId, revision: Micros, readings: Vec<Reading>, spans: &mut Vec<Span>) {
    let mut builder: Option<SpanBuilder> = None;
    for reading in readings {
        match &mut builder {
            Some(span) if span.has_room_for(&reading) => span.push(reading),
            _ => {
                let full = builder.replace(SpanBuilder::start(device, revision, reading));
                spans.extend(full.map(|builder| builder.span));
            }
        }
    }
    spans.extend(builder.map(|builder| builder.span));
}

/// Counts a message in the span that begins last before its reading, of the reading's revision if there is one.
fn count_message(message: &Carrier, spans: &mut [Span]) {
    let begins_before = |span: &Span| span.first() <= message.instant.0;
    let place = spans
        .iter()
        .rposition(|span| begins_before(span) && span.revision() == message.revision)
        .or_else(|| spans.iter().rposition(begins_before))
        .unwrap_or(0);
    if let Some(span) = spans.get_mut(place) {
        span.messages += 1;
        span.bytes += message.bytes as u64;
    }
}

/// A span that still takes readings, in the order of their times.
struct SpanBuilder {
    span: Span,
    /// Upper bound of the item's JSON.
    json_bytes: usize,
}

impl SpanBuilder {
    fn start(device: &DeviceId, revision: Micros, reading: Reading) -> Self {
        let span = Span {
            device: device.clone(),
            revision,
            rows: Vec::new(),
            columns: BTreeMap::new(),
            messages: 0,
            bytes: 0,
        };
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
            seq: reading.seq,
            received: reading.received,
            time_source: reading.time_source,
            correction: reading.correction.as_deref().copied(),
        };
        // Only rows of the same time and `seq` can be the same row, and those are the last.
        let rows = &mut self.span.rows;
        let same_time = rows.iter().rev().take_while(|known| (known.at, known.seq) == (row.at, row.seq));
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

/// Upper bounds of what a span's parts take in JSON. Text may need six bytes for one (`\u0001`).
mod size {
    use super::{DeviceId, Reading};
    use crate::reading::Value;

    const ITEM: usize = 640;
    const ROW: usize = 192;
    const COLUMN: usize = 128;
    const CELL: usize = 144;
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
