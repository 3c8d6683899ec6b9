//! Columns into Parquet.

use std::io::Write;

use bytes::Bytes;
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use telemetry::{Quality, Replaced, TimeSource};

use crate::columns::{Cell, Columns, NONE, Symbol, Symbols};
use crate::error::LakeError;
use crate::schema::{COLUMNS, ROW_GROUP_ROWS, parquet_schema, properties};

/// Rows handed to the encoder at a time.
const STRIDE: usize = 4_096;
/// Level of a value that is there, in an optional column.
const PRESENT: i16 = 1;

/// Writes one file. Rows come in the order of device, metric, time and `seq`.
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: usize,
}

impl<W: Write + Send> Writer<W> {
    /// A file that goes to `sink`.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn new(sink: W) -> Result<Self, LakeError> {
        let properties: WriterPropertiesPtr = properties()?;
        Ok(Self { file: SerializedFileWriter::new(sink, parquet_schema()?, properties)?, rows: 0 })
    }

    /// Sorts the readings and writes them as row groups, each identity once; returns how many were replaced.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn write_sorted(&mut self, columns: &Columns) -> Result<Replaced, LakeError> {
        let mut replaced = Replaced::default();
        for rows in columns.order(&mut replaced).chunks(ROW_GROUP_ROWS) {
            self.write_row_group(columns, rows)?;
        }
        Ok(replaced)
    }

    /// Writes readings that are in order, each identity once, as one row group.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn write_in_order(&mut self, columns: &Columns) -> Result<(), LakeError> {
        let order: Vec<u32> = (0..u32::try_from(columns.len()).unwrap_or(u32::MAX)).collect();
        self.write_row_group(columns, &order)
    }

    fn write_row_group(&mut self, columns: &Columns, rows: &[u32]) -> Result<(), LakeError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.rows += rows.len();
        let texts = columns.symbols.texts();
        let (sites, site) = sites(columns);
        let mut group = RowGroup { writer: self.file.next_row_group()?, rows };
        // In the order of the schema.
        group.texts(texts, |row| columns.device[row])?;
        group.texts(&sites, |row| site[columns.device[row] as usize])?;
        group.texts(texts, |row| columns.metric[row])?;
        group.required::<Int64Type>(|row| columns.at[row])?;
        group.required::<Int64Type>(|row| columns.received[row])?;
        group.optional::<DoubleType>(|row| double(columns.value[row], &columns.symbols))?;
        group.optional::<Int64Type>(|row| match columns.value[row] {
            Cell::Integer(integer) => Some(integer),
            _ => None,
        })?;
        group.optional::<ByteArrayType>(|row| text(columns.value[row], texts))?;
        group.optional::<ByteArrayType>(|row| symbol(columns.unit[row], texts))?;
        group
            .texts(&words(QUALITIES.map(Quality::as_str)), |row| place(&QUALITIES, &columns.quality[row]))?;
        group.texts(&words(SOURCES.map(TimeSource::as_str)), |row| {
            place(&SOURCES, &columns.time_source[row])
        })?;
        group.optional::<ByteArrayType>(|row| symbol(columns.unit_sent[row], texts))?;
        group.optional::<ByteArrayType>(|row| {
            columns.correction[row].map(|correction| correction.reason.as_str().into())
        })?;
        group.optional::<Int64Type>(|row| columns.correction[row].map(|correction| correction.sent.0))?;
        group.optional::<Int64Type>(|row| seq(columns.seq[row]))?;
        group.optional::<Int64Type>(|row| Some(columns.revision[row]).filter(|revision| *revision != 0))?;
        group.writer.close()?;
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes written so far; the footer comes on top.
    pub fn bytes(&self) -> usize {
        self.file.bytes_written()
    }

    /// Ends the file and returns the sink.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn finish(self) -> Result<W, LakeError> {
        Ok(self.file.into_inner()?)
    }
}

/// The readings, each identity once, as one file in memory; `None` if there is none. The same readings in whatever
/// order make the same bytes.
///
/// # Errors
/// If the encoder refuses, which would be a fault of this crate.
pub fn encode(columns: &Columns) -> Result<Option<Bytes>, LakeError> {
    if columns.is_empty() {
        return Ok(None);
    }
    let mut writer = Writer::new(Vec::new())?;
    writer.write_sorted(columns)?;
    Ok(Some(writer.finish()?.into()))
}

/// The next columns of a row group; the rows are picked one stride after the other.
struct RowGroup<'a, 'r, W: Write> {
    writer: SerializedRowGroupWriter<'a, W>,
    rows: &'r [u32],
}

impl<W: Write + Send> RowGroup<'_, '_, W> {
    /// A column of texts that are known by their places among `texts`.
    fn texts(&mut self, texts: &[ByteArray], place: impl Fn(usize) -> Symbol) -> Result<(), LakeError> {
        let rows = self.rows;
        self.column::<ByteArrayType>(|writer| {
            // Handing out a text counts its owners, which costs more than to see that it is there already,
            // as nearly all are in a column of a few words.
            let (mut values, mut places) = (Vec::with_capacity(STRIDE), Vec::with_capacity(STRIDE));
            for stride in rows.chunks(STRIDE) {
                for (index, row) in stride.iter().enumerate() {
                    let place = place(*row as usize);
                    if places.get(index) == Some(&place) {
                        continue;
                    }
                    let text = texts[place as usize].clone();
                    if index < values.len() {
                        (values[index], places[index]) = (text, place);
                    } else {
                        values.push(text);
                        places.push(place);
                    }
                }
                writer.write_batch(&values[..stride.len()], None, None)?;
            }
            Ok(())
        })
    }

    fn required<T: DataType>(&mut self, value: impl Fn(usize) -> T::T) -> Result<(), LakeError> {
        let rows = self.rows;
        self.column::<T>(|writer| {
            let mut values = Vec::with_capacity(STRIDE);
            for stride in rows.chunks(STRIDE) {
                values.clear();
                values.extend(stride.iter().map(|row| value(*row as usize)));
                writer.write_batch(&values, None, None)?;
            }
            Ok(())
        })
    }

    fn optional<T: DataType>(&mut self, value: impl Fn(usize) -> Option<T::T>) -> Result<(), LakeError> {
        let rows = self.rows;
        self.column::<T>(|writer| {
            let (mut values, mut levels) = (Vec::with_capacity(STRIDE), Vec::with_capacity(STRIDE));
            for stride in rows.chunks(STRIDE) {
                values.clear();
                levels.clear();
                for row in stride {
                    let value = value(*row as usize);
                    levels.push(if value.is_some() { PRESENT } else { 0 });
                    values.extend(value);
                }
                writer.write_batch(&values, Some(&levels), None)?;
            }
            Ok(())
        })
    }

    fn column<T: DataType>(
        &mut self,
        write: impl FnOnce(&mut ColumnWriterImpl<'_, T>) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        let mut column = self.writer.next_column()?.ok_or(LakeError::Schema(COLUMNS.len()))?;
        write(column.typed::<T>())?;
        column.close()?;
        Ok(())
    }
}

/// The sites, and by each device's symbol the place of its own among them.
fn sites(columns: &Columns) -> (Vec<ByteArray>, Vec<Symbol>) {
    let mut sites = Symbols::default();
    let mut places = vec![NONE; columns.symbols.texts().len()];
    for device in &columns.device {
        let place = &mut places[*device as usize];
        if *place == NONE {
            let device = columns.symbols.bytes(*device);
            let end = device.iter().position(|byte| *byte == b'/').unwrap_or(device.len());
            *place = sites.of(&device[..end]);
        }
    }
    (sites.texts().to_vec(), places)
}

#[expect(clippy::cast_precision_loss, reason = "to the nearest double, as the column says")]
fn double(cell: Cell, symbols: &Symbols) -> Option<f64> {
    match cell {
        Cell::Number(number) => Some(number),
        Cell::Integer(integer) => Some(integer as f64),
        Cell::Wide(digits) => Some(symbols.wide(digits) as f64),
        Cell::Boolean(flag) => Some(f64::from(u8::from(flag))),
        Cell::Text(_) => None,
    }
}

fn text(cell: Cell, texts: &[ByteArray]) -> Option<ByteArray> {
    match cell {
        Cell::Number(_) | Cell::Integer(_) => None,
        Cell::Boolean(flag) => Some(if flag { "true" } else { "false" }.into()),
        Cell::Text(symbol) | Cell::Wide(symbol) => Some(texts[symbol as usize].clone()),
    }
}

/// A `seq` has 62 bits.
fn seq(seq: u64) -> Option<i64> {
    (seq != 0).then(|| i64::try_from(seq).unwrap_or(i64::MAX))
}

fn symbol(symbol: Symbol, texts: &[ByteArray]) -> Option<ByteArray> {
    (symbol != NONE).then(|| texts[symbol as usize].clone())
}

const QUALITIES: [Quality; 3] = [Quality::Good, Quality::Uncertain, Quality::Bad];
const SOURCES: [TimeSource; 4] =
    [TimeSource::Device, TimeSource::Format, TimeSource::Broker, TimeSource::Arrival];

fn words<const N: usize>(words: [&'static str; N]) -> [ByteArray; N] {
    words.map(|word| Bytes::from_static(word.as_bytes()).into())
}

fn place<T: PartialEq>(all: &[T], one: &T) -> Symbol {
    all.iter().zip(0..).find(|(known, _)| *known == one).map_or(0, |(_, place)| place)
}
