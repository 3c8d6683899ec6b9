//! Readings as columns: what files are made of and read into.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use parquet::data_type::ByteArray;
use telemetry::limits::MAX_INTEGER;
use telemetry::{
    Correction, DeviceId, Micros, OrderedValue, Precedence, Quality, Reading, Replaced, Run, RunReading, Seq,
    Span, TimeSource, TotalFloat, Unit, Value,
};

/// Stands for a text in [`Columns`]: its place among the texts known there.
pub(crate) type Symbol = u32;
/// Stands for no text.
pub(crate) const NONE: Symbol = Symbol::MAX;

/// What a text takes beside its bytes, about: an allocation and its owners' count, a place in the list and one in the map.
const TEXT_OVERHEAD: usize = 128;

/// Texts, each kept once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Symbols {
    texts: Vec<ByteArray>,
    /// What all of them take in memory.
    bytes: usize,
    known: HashMap<Bytes, Symbol, RandomState>,
}

impl Symbols {
    pub(crate) fn of(&mut self, text: &[u8]) -> Symbol {
        match self.known.get(text) {
            Some(symbol) => *symbol,
            None => self.add(Bytes::copy_from_slice(text)),
        }
    }

    fn add(&mut self, text: Bytes) -> Symbol {
        // Memory ends long before the numbers do.
        let symbol = Symbol::try_from(self.texts.len()).unwrap_or(NONE);
        self.bytes += text.len() + TEXT_OVERHEAD;
        self.texts.push(ByteArray::from(text.clone()));
        self.known.insert(text, symbol);
        symbol
    }

    pub(crate) fn bytes(&self, symbol: Symbol) -> &[u8] {
        self.texts.get(symbol as usize).map_or(b"", ByteArray::data)
    }

    /// The cell of an integer.
    pub(crate) fn integer(&mut self, integer: i128) -> Cell {
        let Ok(narrow) = i64::try_from(integer) else {
            return Cell::Wide(self.of(integer.to_string().as_bytes()));
        };
        #[expect(clippy::cast_precision_loss, reason = "what is lost is looked for on the next line")]
        let double = narrow as f64;
        #[expect(clippy::cast_possible_truncation, reason = "an integer of 64 bits, as a double, fits 128")]
        if double as i128 == integer { Cell::Number(double) } else { Cell::Integer(narrow) }
    }

    /// The integer of [`Cell::Wide`].
    pub(crate) fn wide(&self, symbol: Symbol) -> i128 {
        parse_integer(self.bytes(symbol)).unwrap_or_default()
    }

    /// The texts as the encoder takes them, by symbol.
    pub(crate) fn texts(&self) -> &[ByteArray] {
        &self.texts
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.bytes = 0;
        self.known.clear();
    }
}

/// The integer that digits say; `None` if no reading can have it.
pub(crate) fn parse_integer(digits: &[u8]) -> Option<i128> {
    let integer: i128 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (integer.unsigned_abs() < MAX_INTEGER).then_some(integer)
}

/// A value, its texts as symbols.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    /// A number that a double holds.
    Number(f64),
    /// An integer of 64 bits that no double holds.
    Integer(i64),
    /// An integer of more bits: its digits. A number in place of the symbol would double the size of every cell.
    Wide(Symbol),
    /// A truth value.
    Boolean(bool),
    /// A text.
    Text(Symbol),
}

/// Readings in columns of equal length.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    pub(crate) symbols: Symbols,
    pub(crate) device: Vec<Symbol>,
    pub(crate) metric: Vec<Symbol>,
    pub(crate) at: Vec<i64>,
    pub(crate) seq: Vec<u64>,
    pub(crate) received: Vec<i64>,
    pub(crate) value: Vec<Cell>,
    pub(crate) unit: Vec<Symbol>,
    pub(crate) quality: Vec<Quality>,
    pub(crate) time_source: Vec<TimeSource>,
    pub(crate) unit_sent: Vec<Symbol>,
    pub(crate) correction: Vec<Option<Correction>>,
    /// When profiles were put; 0 without one.
    pub(crate) revision: Vec<i64>,
    /// Where runs begin: stretches of one device and metric.
    runs: Vec<usize>,
}

impl Columns {
    /// Number of readings.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Bytes that the texts in it take in memory, about: what readings take beyond a fixed size.
    pub fn text_bytes(&self) -> usize {
        self.symbols.bytes
    }

    /// Forgets all readings; keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.symbols.clear();
        self.device.clear();
        self.metric.clear();
        self.at.clear();
        self.received.clear();
        self.value.clear();
        self.unit.clear();
        self.quality.clear();
        self.time_source.clear();
        self.unit_sent.clear();
        self.correction.clear();
        self.seq.clear();
        self.revision.clear();
        self.runs.clear();
    }

    /// Forgets the readings from `len` on, whatever an interrupted read has left of them.
    pub fn truncate(&mut self, len: usize) {
        self.device.truncate(len);
        self.metric.truncate(len);
        self.at.truncate(len);
        self.received.truncate(len);
        self.value.truncate(len);
        self.unit.truncate(len);
        self.quality.truncate(len);
        self.time_source.truncate(len);
        self.unit_sent.truncate(len);
        self.correction.truncate(len);
        self.seq.truncate(len);
        self.revision.truncate(len);
        self.runs.retain(|start| *start < len);
    }

    /// Adds a span's readings from `from` (inclusive) to `to` (exclusive), µs since 1970; returns how many.
    pub fn push_span(&mut self, span: &Span, from: i64, to: i64) -> usize {
        let before = self.len();
        let is_whole = from <= span.first().0 && span.last().0 < to;
        for run in span.runs() {
            if is_whole || run.readings().any(|reading| (from..to).contains(&reading.at.0)) {
                self.push_run(span.device(), run, |at| is_whole || (from..to).contains(&at));
            }
        }
        self.len() - before
    }

    fn push_run(&mut self, device: &DeviceId, run: Run<'_>, is_wanted: impl Fn(i64) -> bool) {
        let (device, metric) =
            (self.symbols.of(device.as_str().as_bytes()), self.symbols.of(run.metric.as_bytes()));
        self.start_run();
        let mut last_unit = (None, [NONE; 2]);
        for reading in run.readings().filter(|reading| is_wanted(reading.at.0)) {
            if reading.unit != last_unit.0 {
                let texts = [reading.unit.map(Unit::as_str), reading.unit.and_then(Unit::sent)];
                let symbol = |text: Option<&str>| text.map_or(NONE, |text| self.symbols.of(text.as_bytes()));
                last_unit = (reading.unit, texts.map(symbol));
            }
            self.push_reading(device, metric, last_unit.1, &reading);
        }
    }

    fn push_reading(
        &mut self,
        device: Symbol,
        metric: Symbol,
        [unit, unit_sent]: [Symbol; 2],
        reading: &RunReading<'_>,
    ) {
        let value = self.cell(reading.value);
        // Rows of one identity, in a span that somebody else wrote: each begins a run, so that one replaces the other.
        let index = self.len();
        if self.runs.last() != Some(&index) && self.instant(index - 1) >= (reading.at.0, reading.seq.0) {
            self.start_run();
        }
        self.device.push(device);
        self.metric.push(metric);
        self.at.push(reading.at.0);
        self.received.push(reading.received.0);
        self.value.push(value);
        self.unit.push(unit);
        self.quality.push(reading.quality);
        self.time_source.push(reading.time_source);
        self.unit_sent.push(unit_sent);
        self.correction.push(reading.correction);
        self.seq.push(reading.seq.0);
        self.revision.push(reading.revision.0);
    }

    fn cell(&mut self, value: &Value) -> Cell {
        match value {
            Value::Float(number) => Cell::Number(*number),
            Value::Integer(integer) => self.symbols.integer(*integer),
            Value::Boolean(flag) => Cell::Boolean(*flag),
            Value::Text(text) => Cell::Text(self.symbols.of(text.as_bytes())),
        }
    }

    /// Marks the next reading as one of another device or metric, or of an earlier time and `seq`, than the one before.
    pub(crate) fn start_run(&mut self) {
        if self.runs.last() != Some(&self.len()) {
            self.runs.push(self.len());
        }
    }

    /// Marks the runs among the readings from `start` on, which were added as they stood in a file.
    pub(crate) fn start_runs_from(&mut self, start: usize) {
        for index in start..self.len() {
            let goes_on = index > 0
                && self.is_same_series(index - 1, index)
                && self.instant(index - 1) < self.instant(index);
            if !goes_on {
                self.runs.push(index);
            }
        }
    }

    /// Adds the reading at `index` of `other`, whose symbols `map` has translated already where it could.
    pub(crate) fn push_from(&mut self, other: &Self, index: usize, map: &mut SymbolMap) {
        let mut translate = |symbol: Symbol| map.translate(symbol, &other.symbols, &mut self.symbols);
        let device = translate(other.device[index]);
        let metric = translate(other.metric[index]);
        let unit = translate(other.unit[index]);
        let unit_sent = translate(other.unit_sent[index]);
        let value = match other.value[index] {
            Cell::Text(symbol) => Cell::Text(translate(symbol)),
            Cell::Wide(symbol) => Cell::Wide(translate(symbol)),
            cell => cell,
        };
        let is_other_run = self.device.last() != Some(&device) || self.metric.last() != Some(&metric);
        if is_other_run || self.instant(self.len() - 1) >= other.instant(index) {
            self.start_run();
        }
        self.device.push(device);
        self.metric.push(metric);
        self.at.push(other.at[index]);
        self.received.push(other.received[index]);
        self.value.push(value);
        self.unit.push(unit);
        self.quality.push(other.quality[index]);
        self.time_source.push(other.time_source[index]);
        self.unit_sent.push(unit_sent);
        self.correction.push(other.correction[index]);
        self.seq.push(other.seq[index]);
        self.revision.push(other.revision[index]);
    }

    /// The places of the readings in the order of device, metric, time and `seq`, each identity once; counts those that
    /// are replaced. Runs are sorted, not readings: those of one device and metric are compared one by one only where
    /// their runs overlap.
    pub(crate) fn order(&self, replaced: &mut Replaced) -> Vec<u32> {
        let runs = self.ordered_runs();
        let mut order = Vec::with_capacity(self.len());
        for group in runs.chunk_by(|a, b| self.is_same_series(a.0, b.0)) {
            let start = order.len();
            for (from, to) in group {
                order.extend((*from..*to).map(place));
            }
            let is_ordered =
                group.windows(2).all(|pair| self.instant(pair[0].1 - 1) < self.instant(pair[1].0));
            if !is_ordered {
                let mut series = order.split_off(start);
                self.order_series(&mut series, replaced);
                order.append(&mut series);
            }
        }
        order
    }

    /// The runs, as the places where they begin and end, in the order of device, metric, first time and `seq`.
    fn ordered_runs(&self) -> Vec<(usize, usize)> {
        let ranks = self.ranks();
        let rank = |symbol: Symbol| ranks[symbol as usize];
        let keyed = self.ranges().filter(|(start, end)| start < end).map(|(start, end)| {
            ((rank(self.device[start]), rank(self.metric[start]), self.instant(start)), (start, end))
        });
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, run)| run).collect()
    }

    /// Sorts places of readings of one device and metric, and keeps of each identity the one that replaces the others.
    fn order_series(&self, series: &mut Vec<u32>, replaced: &mut Replaced) {
        series.sort_unstable_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            self.instant(a).cmp(&self.instant(b)).then_with(|| self.precedence(b).cmp(&self.precedence(a)))
        });
        series.dedup_by(|next, kept| {
            let (next, kept) = (*next as usize, *kept as usize);
            let is_same = self.instant(next) == self.instant(kept);
            if is_same {
                replaced.add(self.says_the_same(kept, self, next));
            }
            is_same
        });
    }

    fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        let ends = self.runs.iter().copied().skip(1).chain([self.len()]);
        self.runs.iter().copied().zip(ends)
    }

    fn is_same_series(&self, a: usize, b: usize) -> bool {
        self.device[a] == self.device[b] && self.metric[a] == self.metric[b]
    }

    /// The places of devices' and metrics' texts in their order, by symbol: texts are compared once, runs by number.
    fn ranks(&self) -> Vec<u32> {
        let names = self.ranges().filter(|(start, end)| start < end);
        let mut names: Vec<Symbol> =
            names.flat_map(|(start, _)| [self.device[start], self.metric[start]]).collect();
        names.sort_unstable();
        names.dedup();
        names.sort_unstable_by_key(|symbol| self.symbols.bytes(*symbol));
        let mut ranks = vec![0; self.symbols.texts().len()];
        for (symbol, rank) in names.into_iter().zip(0..) {
            ranks[symbol as usize] = rank;
        }
        ranks
    }

    /// What identifies a reading among those of its device and metric, in the order of time.
    fn instant(&self, index: usize) -> (i64, u64) {
        (self.at[index], self.seq[index])
    }

    /// Orders a reading before one of `other`'s by device, metric, time and `seq`.
    pub(crate) fn compare_identity(&self, index: usize, other: &Self, other_index: usize) -> Ordering {
        self.series(index)
            .cmp(&other.series(other_index))
            .then_with(|| self.instant(index).cmp(&other.instant(other_index)))
    }

    fn series(&self, index: usize) -> [&[u8]; 2] {
        [self.device[index], self.metric[index]].map(|symbol| self.symbols.bytes(symbol))
    }

    /// What decides whether a reading replaces another of its identity.
    pub(crate) fn precedence(&self, index: usize) -> Precedence<'_> {
        Precedence {
            received: Micros(self.received[index]),
            revision: Micros(self.revision[index]),
            value: self.ordered_value(index),
            units: self.units(index),
            quality: Reverse(self.quality[index]),
            time_source: Reverse(self.time_source[index]),
            correction: Reverse(self.correction[index]),
        }
    }

    /// Whether two readings say the same: value, unit and quality.
    pub(crate) fn says_the_same(&self, index: usize, other: &Self, other_index: usize) -> bool {
        self.ordered_value(index) == other.ordered_value(other_index)
            && self.units(index)[0] == other.units(other_index)[0]
            && self.quality[index] == other.quality[other_index]
    }

    /// The unit and the one that was sent; empty where there is none.
    fn units(&self, index: usize) -> [&[u8]; 2] {
        [self.unit[index], self.unit_sent[index]].map(|symbol| self.symbols.bytes(symbol))
    }

    /// The value as others order it. A number that no reading can have, in a file that somebody else wrote,
    /// stays the float that it is.
    fn ordered_value(&self, index: usize) -> OrderedValue<'_> {
        match self.value[index] {
            Cell::Number(number) => match Value::from_f64(number) {
                Some(Value::Integer(integer)) => OrderedValue::Integer(integer),
                _ => OrderedValue::Float(TotalFloat(number)),
            },
            Cell::Integer(integer) => OrderedValue::Integer(integer.into()),
            Cell::Wide(symbol) => OrderedValue::Integer(self.symbols.wide(symbol)),
            Cell::Boolean(flag) => OrderedValue::Boolean(flag),
            Cell::Text(symbol) => OrderedValue::Text(self.symbols.bytes(symbol)),
        }
    }

    fn value_at(&self, index: usize) -> Value {
        match self.ordered_value(index) {
            OrderedValue::Float(number) => Value::Float(number.0),
            OrderedValue::Integer(integer) => Value::Integer(integer),
            OrderedValue::Boolean(flag) => Value::Boolean(flag),
            OrderedValue::Text(text) => Value::Text(String::from_utf8_lossy(text).into()),
        }
    }

    fn unit_at(&self, index: usize) -> Option<Unit> {
        let text = |symbol: Symbol| (symbol != NONE).then(|| self.text(symbol));
        let sent = text(self.unit_sent[index]);
        text(self.unit[index]).map(|unit| Unit::new(&unit, sent.as_deref()))
    }

    fn text(&self, symbol: Symbol) -> String {
        String::from_utf8_lossy(self.symbols.bytes(symbol)).into_owned()
    }

    /// One reading, as everybody else knows it.
    pub fn reading(&self, index: usize) -> Reading {
        Reading {
            device: DeviceId::from_stored(self.text(self.device[index])),
            metric: self.text(self.metric[index]).into(),
            at: Micros(self.at[index]),
            received: Micros(self.received[index]),
            value: self.value_at(index),
            unit: self.unit_at(index),
            quality: self.quality[index],
            seq: Seq(self.seq[index]),
            revision: Micros(self.revision[index]),
            time_source: self.time_source[index],
            correction: self.correction[index].map(Box::new),
        }
    }

    /// All readings, in the columns' order.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        (0..self.len()).map(|index| self.reading(index))
    }
}

/// Symbols of one set of columns, translated into those of another.
#[derive(Debug, Default)]
pub(crate) struct SymbolMap(Vec<Symbol>);

impl SymbolMap {
    fn translate(&mut self, symbol: Symbol, from: &Symbols, to: &mut Symbols) -> Symbol {
        if symbol == NONE {
            return NONE;
        }
        let index = symbol as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, NONE);
        }
        if self.0[index] == NONE {
            self.0[index] = to.of(from.bytes(symbol));
        }
        self.0[index]
    }

    /// Forgets all; both sets of symbols may be others from now on.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Rows are counted in 32 bits: a file holds a few row groups at a time, not four billion rows.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
