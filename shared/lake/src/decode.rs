//! Parquet into columns.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::schema::types::{SchemaDescriptor, Type};
use telemetry::{Correction, CorrectionReason, Micros, Quality, TimeSource, Value};

use crate::columns::{Cell, Columns, NONE, Symbol, Symbols, parse_integer};
use crate::error::LakeError;
use crate::schema::{
    AT, COLUMNS, DEVICE, INTEGER, METRIC, QUALITY, RECEIVED, REVISION, SEQ, TEXT, TIME_CORRECTION, TIME_SENT,
    TIME_SOURCE, UNIT, UNIT_SENT, VALUE, VERSION, VERSION_KEY,
};

/// Most rows of a file; more is a footer that lies.
const MAX_ROWS: i64 = 1 << 32;
/// The least positive number that 64 bits with sign do not hold.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Reads one file, of this or another version of the schema: by the names of its columns.
pub struct Reader<R: ChunkReader + 'static> {
    file: SerializedFileReader<R>,
    version: u32,
    /// Where each of [`COLUMNS`] stands in the file.
    places: [Option<usize>; COLUMNS.len()],
    next_row_group: usize,
    current: Option<RowGroup>,
    rows_read: usize,
}

impl<R: ChunkReader + 'static> Reader<R> {
    /// Opens a file: reads its footer.
    ///
    /// # Errors
    /// If it is not Parquet, is cut short, is none of the lake's, or lacks a column.
    pub fn open(source: R) -> Result<Self, LakeError> {
        contained(|| Self::open_footer(source))
    }

    fn open_footer(source: R) -> Result<Self, LakeError> {
        let file = SerializedFileReader::new(source)?;
        let metadata = file.metadata().file_metadata();
        let version = version_of(metadata)?;
        let places = places(metadata.schema_descr())?;
        if !(0..MAX_ROWS).contains(&metadata.num_rows()) {
            return Err(LakeError::Rows);
        }
        Ok(Self { file, version, places, next_row_group: 0, current: None, rows_read: 0 })
    }

    /// Whether nothing is lost when the file is read and written again: it has no columns that only a
    /// later version knows.
    ///
    /// # Errors
    /// [`LakeError::Newer`].
    pub fn check_rewritable(&self) -> Result<(), LakeError> {
        if self.version > VERSION { Err(LakeError::Newer(self.version)) } else { Ok(()) }
    }

    /// Rows in the whole file, as its footer says.
    pub fn rows(&self) -> usize {
        usize::try_from(self.file.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// Adds at least one row and at most `max` to `columns`; returns whether there were any left.
    ///
    /// # Errors
    /// If the file is damaged there, or ends with other rows than its footer promises.
    pub fn read(&mut self, max: usize, columns: &mut Columns) -> Result<bool, LakeError> {
        contained(|| self.read_rows(max, columns))
    }

    fn read_rows(&mut self, max: usize, columns: &mut Columns) -> Result<bool, LakeError> {
        loop {
            if let Some(group) = &mut self.current {
                if group.rows_left > 0 {
                    let before = columns.len();
                    group.read(max, columns)?;
                    self.rows_read += columns.len() - before;
                    return Ok(true);
                }
                self.current = None;
            }
            if self.next_row_group >= self.file.num_row_groups() {
                // A footer that names too few row groups would lose the rest in silence.
                return if self.rows_read == self.rows() { Ok(false) } else { Err(LakeError::Rows) };
            }
            let group = self.file.get_row_group(self.next_row_group)?;
            self.next_row_group += 1;
            let rows_left = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
            let column = |index: usize| -> Result<Option<FileColumn>, LakeError> {
                let Some(place) = self.places[index] else { return Ok(None) };
                let is_optional = group.metadata().column(place).column_descr().max_def_level() > 0;
                Ok(Some(FileColumn { reader: group.get_column_reader(place)?, is_optional }))
            };
            self.current = Some(RowGroup {
                rows_left,
                device: Texts::required(column(DEVICE)?, DEVICE)?,
                metric: Texts::required(column(METRIC)?, METRIC)?,
                at: Numbers::required(column(AT)?, AT)?,
                received: Numbers::of(column(RECEIVED)?),
                value: Numbers::of(column(VALUE)?),
                integer: Numbers::of(column(INTEGER)?),
                text: Texts::of(column(TEXT)?),
                unit: Texts::of(column(UNIT)?),
                quality: Texts::of(column(QUALITY)?),
                time_source: Texts::of(column(TIME_SOURCE)?),
                unit_sent: Texts::of(column(UNIT_SENT)?),
                correction: Texts::of(column(TIME_CORRECTION)?),
                time_sent: Numbers::of(column(TIME_SENT)?),
                seq: Numbers::of(column(SEQ)?),
                revision: Numbers::of(column(REVISION)?),
            });
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn read_all(mut self) -> Result<Columns, LakeError> {
        let mut columns = Columns::default();
        while self.read(usize::MAX, &mut columns)? {}
        Ok(columns)
    }
}

/// What the end of a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footer {
    /// Rows in the whole file.
    Rows(usize),
    /// Nothing yet: the footer takes so many bytes from the end.
    Needs(u64),
}

/// Reads the footer of a file of `file_bytes`, of which `tail` is the end.
///
/// # Errors
/// If it is none of the lake's files.
pub fn footer(tail: &Bytes, file_bytes: u64) -> Result<Footer, LakeError> {
    contained(|| {
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(tail, file_bytes) {
            Ok(()) => {}
            Err(ParquetError::NeedMoreData(bytes)) => return Ok(Footer::Needs(bytes as u64)),
            Err(error) => return Err(error.into()),
        }
        let metadata = reader.finish()?;
        version_of(metadata.file_metadata())?;
        Ok(Footer::Rows(usize::try_from(metadata.file_metadata().num_rows()).unwrap_or_default()))
    })
}

fn version_of(metadata: &FileMetaData) -> Result<u32, LakeError> {
    let entries = metadata.key_value_metadata().into_iter().flatten();
    let version = entries.filter(|entry| entry.key == VERSION_KEY).find_map(|entry| entry.value.as_deref());
    version.and_then(|version| version.parse().ok()).ok_or(LakeError::Foreign)
}

/// The decoder panics on some damaged pages (parquet 60, found by `damaged_files_are_refused_and_nothing_panics`);
/// one damaged file must not end the work on all others. Whoever gets the error drops the reader.
fn contained<T>(read: impl FnOnce() -> Result<T, LakeError>) -> Result<T, LakeError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(LakeError::Damaged))
}

/// Where the columns stand; each of them has to be of the schema's type.
fn places(schema: &SchemaDescriptor) -> Result<[Option<usize>; COLUMNS.len()], LakeError> {
    let mut places = [None; COLUMNS.len()];
    for (index, known) in COLUMNS.iter().enumerate() {
        let place =
            (0..schema.num_columns()).find(|place| schema.column(*place).path().string() == known.name);
        if place.is_some_and(|place| !has_kind(schema.column(place).self_type(), known.kind)) {
            return Err(LakeError::Column(known.name));
        }
        places[index] = place;
    }
    for index in [DEVICE, METRIC, AT] {
        if places[index].is_none() {
            return Err(LakeError::Column(COLUMNS[index].name));
        }
    }
    Ok(places)
}

fn has_kind(column: &Type, kind: crate::schema::Kind) -> bool {
    use crate::schema::Kind;
    let info = column.get_basic_info();
    let is_flat = info.has_repetition() && info.repetition() != Repetition::REPEATED;
    let logical = info.logical_type_ref();
    is_flat
        && match (kind, column.get_physical_type()) {
            (Kind::Text, Physical::BYTE_ARRAY) => matches!(logical, Some(LogicalType::String)),
            (Kind::Time, Physical::INT64) => {
                matches!(logical, Some(LogicalType::Timestamp(time)) if matches!(time.unit, TimeUnit::MICROS))
            }
            (Kind::Double, Physical::DOUBLE) => true,
            (Kind::Integer, Physical::INT64) => logical.is_none(),
            _ => false,
        }
}

struct RowGroup {
    rows_left: usize,
    device: Texts,
    metric: Texts,
    at: Numbers<Int64Type>,
    received: Numbers<Int64Type>,
    value: Numbers<DoubleType>,
    integer: Numbers<Int64Type>,
    text: Texts,
    unit: Texts,
    quality: Texts,
    time_source: Texts,
    unit_sent: Texts,
    correction: Texts,
    time_sent: Numbers<Int64Type>,
    seq: Numbers<Int64Type>,
    revision: Numbers<Int64Type>,
}

impl RowGroup {
    fn read(&mut self, max: usize, columns: &mut Columns) -> Result<(), LakeError> {
        let rows = self.rows_left.min(max).max(1);
        let start = columns.len();
        let symbols = &mut columns.symbols;
        self.device.read(rows, symbols, &mut columns.device)?;
        self.metric.read(rows, symbols, &mut columns.metric)?;
        self.unit.read(rows, symbols, &mut columns.unit)?;
        self.at.read(rows)?;
        self.received.read(rows)?;
        self.value.read(rows)?;
        self.integer.read(rows)?;
        self.unit_sent.read(rows, symbols, &mut columns.unit_sent)?;
        self.time_sent.read(rows)?;
        self.seq.read(rows)?;
        self.revision.read(rows)?;
        let mut reasons = Vec::with_capacity(rows);
        let reason = |word: &str| CorrectionReason::from_word(word).map(Some);
        self.correction.read_words(rows, reason, TIME_CORRECTION, &mut reasons)?;
        let mut texts = Vec::with_capacity(rows);
        self.text.read(rows, symbols, &mut texts)?;
        self.quality.read_words(rows, Quality::from_word, QUALITY, &mut columns.quality)?;
        self.time_source.read_words(rows, TimeSource::from_word, TIME_SOURCE, &mut columns.time_source)?;
        for (row, (text, reason)) in texts.into_iter().zip(reasons).enumerate() {
            let at = self.at.get(row).ok_or(LakeError::Column(COLUMNS[AT].name))?;
            columns.at.push(at);
            columns.received.push(self.received.get(row).unwrap_or(at));
            let cell = cell(self.value.get(row), self.integer.get(row), text, symbols);
            columns.value.push(cell.ok_or(LakeError::NoValue)?);
            let sent = self.time_sent.get(row).unwrap_or(at);
            columns.correction.push(reason.map(|reason| Correction { reason, sent: Micros(sent) }));
            let seq = u64::try_from(self.seq.get(row).unwrap_or_default());
            columns.seq.push(seq.map_err(|_| LakeError::Column(COLUMNS[SEQ].name))?);
            columns.revision.push(self.revision.get(row).unwrap_or_default());
        }
        if columns.device[start..].contains(&NONE) || columns.metric[start..].contains(&NONE) {
            return Err(LakeError::Column(COLUMNS[DEVICE].name));
        }
        columns.start_runs_from(start);
        self.rows_left -= rows;
        Ok(())
    }
}

/// The reverse of what the encoder makes of a value.
fn cell(value: Option<f64>, integer: Option<i64>, text: Symbol, symbols: &mut Symbols) -> Option<Cell> {
    match (value, integer, text) {
        (_, Some(integer), _) => Some(symbols.integer(integer.into())),
        (Some(number), None, NONE) => Some(number_cell(number, symbols)),
        (None, None, NONE) => None,
        (None, None, text) => Some(Cell::Text(text)),
        (Some(number), None, text) => Some(match symbols.bytes(text) {
            b"true" => Cell::Boolean(true),
            b"false" => Cell::Boolean(false),
            digits => parse_integer(digits).map_or(Cell::Number(number), |integer| symbols.integer(integer)),
        }),
    }
}

/// Before version 3 of the schema an integer beyond 64 bits with sign had no digits if a double holds it.
fn number_cell(number: f64, symbols: &mut Symbols) -> Cell {
    match number {
        TWO_TO_63.. => match Value::from_f64(number) {
            Some(Value::Integer(integer)) => symbols.integer(integer),
            _ => Cell::Number(number),
        },
        _ => Cell::Number(number),
    }
}

/// A column of a row group, as the file has it.
struct FileColumn {
    reader: ColumnReader,
    is_optional: bool,
}

/// A column of which some rows were read: values where the levels say so.
struct Part<T: DataType> {
    reader: ColumnReaderImpl<T>,
    is_optional: bool,
    levels: Vec<i16>,
    values: Vec<T::T>,
}

impl<T: DataType> Part<T> {
    fn new(FileColumn { reader, is_optional }: FileColumn) -> Self {
        Self { reader: get_typed_column_reader(reader), is_optional, levels: Vec::new(), values: Vec::new() }
    }

    fn read(&mut self, rows: usize) -> Result<(), LakeError> {
        self.levels.clear();
        self.values.clear();
        let mut read = 0;
        while read < rows {
            let levels = self.is_optional.then_some(&mut self.levels);
            let (records, _, _) = self.reader.read_records(rows - read, levels, None, &mut self.values)?;
            if records == 0 {
                return Err(LakeError::Rows);
            }
            read += records;
        }
        if self.is_optional {
            let present = self.levels.iter().filter(|level| **level > 0).count();
            if self.levels.len() != rows || self.values.len() != present {
                return Err(LakeError::Rows);
            }
        } else if self.values.len() != rows {
            return Err(LakeError::Rows);
        }
        Ok(())
    }
}

/// A column of numbers; one that the file does not have is all null.
struct Numbers<T: DataType> {
    part: Option<Part<T>>,
    rows: Vec<Option<T::T>>,
}

impl<T: DataType<T: Copy>> Numbers<T> {
    fn of(column: Option<FileColumn>) -> Self {
        Self { part: column.map(Part::new), rows: Vec::new() }
    }

    fn required(column: Option<FileColumn>, index: usize) -> Result<Self, LakeError> {
        column.map(|column| Self::of(Some(column))).ok_or(LakeError::Column(COLUMNS[index].name))
    }

    fn read(&mut self, rows: usize) -> Result<(), LakeError> {
        self.rows.clear();
        let Some(part) = &mut self.part else { return Ok(()) };
        part.read(rows)?;
        let mut values = part.values.iter().copied();
        if part.is_optional {
            let value = |level: &i16| if *level > 0 { values.next() } else { None };
            self.rows.extend(part.levels.iter().map(value));
        } else {
            self.rows.extend(values.map(Some));
        }
        Ok(())
    }

    fn get(&self, row: usize) -> Option<T::T> {
        self.rows.get(row).copied().flatten()
    }
}

/// A column of texts; one that the file does not have is all null.
struct Texts {
    part: Option<Part<ByteArrayType>>,
}

impl Texts {
    fn of(column: Option<FileColumn>) -> Self {
        Self { part: column.map(Part::new) }
    }

    fn required(column: Option<FileColumn>, index: usize) -> Result<Self, LakeError> {
        column.map(|column| Self::of(Some(column))).ok_or(LakeError::Column(COLUMNS[index].name))
    }

    fn read(&mut self, rows: usize, symbols: &mut Symbols, found: &mut Vec<Symbol>) -> Result<(), LakeError> {
        // In sorted files nearly every text is the one before.
        let mut last = (ByteArray::default(), NONE);
        self.each(rows, |text| {
            found.push(match text {
                None => NONE,
                Some(text) if last.1 != NONE && text == &last.0 => last.1,
                Some(text) => {
                    last = (text.clone(), symbols.of(text.data()));
                    last.1
                }
            });
            Ok(())
        })
    }

    /// A column of words; without one, all are the default.
    fn read_words<W: Copy + Default>(
        &mut self,
        rows: usize,
        word: impl Fn(&str) -> Option<W>,
        index: usize,
        found: &mut Vec<W>,
    ) -> Result<(), LakeError> {
        let mut last = (ByteArray::default(), W::default());
        let mut is_first = true;
        self.each(rows, |text| {
            let Some(text) = text else {
                found.push(W::default());
                return Ok(());
            };
            if is_first || text != &last.0 {
                let known = std::str::from_utf8(text.data()).ok().and_then(&word);
                last = (text.clone(), known.ok_or(LakeError::Column(COLUMNS[index].name))?);
                is_first = false;
            }
            found.push(last.1);
            Ok(())
        })
    }

    fn each(
        &mut self,
        rows: usize,
        mut take: impl FnMut(Option<&ByteArray>) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        let Some(part) = &mut self.part else { return (0..rows).try_for_each(|_| take(None)) };
        part.read(rows)?;
        let mut values = part.values.iter();
        if part.is_optional {
            part.levels.iter().try_for_each(|level| take(if *level > 0 { values.next() } else { None }))
        } else {
            values.try_for_each(|text| take(Some(text)))
        }
    }
}
