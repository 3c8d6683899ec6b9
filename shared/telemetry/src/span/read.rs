//! Reads the items of spans from DynamoDB's JSON, in one pass and without a tree of attributes: what a stream
//! delivers is read at the speed that it is written with.
//!
//! Members that the format does not know are passed over.

use std::borrow::Cow;
use std::cell::Cell as Noted;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{Cell, Row, Span, SpanError, VERSION};
use crate::attribute::number;
use crate::limits::MAX_SPAN_MICROS;
use crate::reading::{Correction, CorrectionReason, DeviceId, Metric, Quality, Seq, TimeSource, Unit, Value};
use crate::time::Micros;

/// The oldest version of the format that is still read.
const FIRST_VERSION: i64 = 1;

/// A span as the readings table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSpan {
    /// Its sort key.
    pub key: String,
    /// What it holds.
    pub span: Span,
}

impl StoredSpan {
    /// Reads an item of the readings table from DynamoDB's JSON.
    ///
    /// # Errors
    /// Which attribute is missing or not as this format has it.
    pub fn from_json(json: &str) -> Result<Self, SpanError> {
        let reading = Noted::new("device");
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let fields = FieldsSeed { reading: &reading }.deserialize(&mut deserializer);
        let fields = fields.map_err(|_| SpanError(reading.get()))?;
        deserializer.end().map_err(|_| SpanError(reading.get()))?;
        fields.into_stored()
    }
}

/// As [`StoredSpan::from_json`], where it is part of a larger document.
impl<'de> Deserialize<'de> for StoredSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = FieldsSeed { reading: &Noted::new("device") }.deserialize(deserializer)?;
        fields.into_stored().map_err(D::Error::custom)
    }
}

/// The attributes of an item, as far as they are there.
#[derive(Default)]
struct Fields<'a> {
    device: Option<Text<'a>>,
    span: Option<Text<'a>>,
    version: Option<Integer>,
    revision: Option<Integer>,
    messages: Option<Integer>,
    bytes: Option<Integer>,
    seq: Option<List<Integer>>,
    times: Option<List<Integer>>,
    delays: Option<List<Integer>>,
    source: Option<OneOrEach<'a>>,
    correction: Option<OneOrEach<'a>>,
    sent: Option<List<Integer>>,
    metrics: Option<Columns<'a>>,
}

impl Fields<'_> {
    fn into_stored(self) -> Result<StoredSpan, SpanError> {
        if !(FIRST_VERSION..=VERSION).contains(&self.version.ok_or(SpanError("version"))?.0) {
            return Err(SpanError("version"));
        }
        let count = |number: Option<Integer>, name: &'static str| {
            u64::try_from(number.map_or(0, |number| number.0)).map_err(|_| SpanError(name))
        };
        let (messages, bytes) = (count(self.messages, "messages")?, count(self.bytes, "bytes")?);
        let revision = Micros(self.revision.map_or(0, |revision| revision.0));
        let device = DeviceId::from_stored(self.device.ok_or(SpanError("device"))?.0);
        let key = self.span.ok_or(SpanError("span"))?.0.into_owned();
        let first = key.split('#').next().and_then(|first| first.parse().ok());
        let first = Micros(first.ok_or(SpanError("span"))?);
        let times = self.times.ok_or(SpanError("times"))?.0;
        let delays = self.delays.ok_or(SpanError("delays"))?.0;
        if times.len() != delays.len() {
            return Err(SpanError("delays"));
        }
        let sources = self.source.ok_or(SpanError("source"))?;
        let seqs: Vec<Seq> = match self.seq {
            Some(seqs) => {
                let seq = |seq: Integer| u64::try_from(seq.0).map(Seq).map_err(|_| SpanError("seq"));
                seqs.0.into_iter().map(seq).collect::<Result<_, _>>()?
            }
            None => vec![Seq::default(); times.len()],
        };
        if seqs.len() != times.len() {
            return Err(SpanError("seq"));
        }
        let source = |index| TimeSource::from_word(sources.get(index, times.len())?);
        let row = |index: usize| {
            let at = first.plus(times[index].0);
            let (received, time_source) = (at.plus(delays[index].0), source(index)?);
            Some(Row { at, seq: seqs[index], received, time_source, correction: None })
        };
        let mut rows: Vec<Row> =
            (0..times.len()).map(row).collect::<Option<_>>().ok_or(SpanError("source"))?;
        if let Some(reasons) = self.correction {
            let sent = self.sent.ok_or(SpanError("sent"))?.0;
            if sent.len() != rows.len() {
                return Err(SpanError("sent"));
            }
            for (index, (row, sent)) in rows.iter_mut().zip(sent).enumerate() {
                let word = reasons.get(index, times.len()).ok_or(SpanError("correction"))?;
                if !word.is_empty() {
                    let reason = CorrectionReason::from_word(word).ok_or(SpanError("correction"))?;
                    row.correction = Some(Correction { reason, sent: Micros(row.at.0.wrapping_add(sent.0)) });
                }
            }
        }
        let is_ordered = rows.windows(2).all(|pair| (pair[0].at, pair[0].seq) <= (pair[1].at, pair[1].seq));
        let covers =
            rows.last().zip(rows.first()).map_or(0, |(last, first)| last.at.0.saturating_sub(first.at.0));
        // What lies outside is no time of a reading, and would make keys that nobody reads.
        let ends = rows.first().zip(rows.last());
        let is_plausible =
            ends.is_some_and(|(first, last)| first.at.is_plausible() && last.at.is_plausible());
        if !is_plausible || !is_ordered || covers >= MAX_SPAN_MICROS {
            return Err(SpanError(if ends.is_some() && !is_plausible { "span" } else { "times" }));
        }
        let metrics = self.metrics.ok_or(SpanError("metrics"))?.0;
        let columns = metrics
            .into_iter()
            .map(|(metric, column)| Some((metric, column.into_cells(rows.len())?)))
            .collect::<Option<BTreeMap<_, _>>>()
            .ok_or(SpanError("metrics"))?;
        Ok(StoredSpan { key, span: Span { device, revision, rows, columns, messages, bytes } })
    }
}

/// One metric, as far as it is there.
#[derive(Default)]
struct Column<'a> {
    values: Option<List<Value>>,
    rows: Option<List<Integer>>,
    unit: Option<OneOrEach<'a>>,
    unit_sent: Option<OneOrEach<'a>>,
    quality: Option<OneOrEach<'a>>,
}

impl Column<'_> {
    fn into_cells(self, row_count: usize) -> Option<Vec<Cell>> {
        let values = self.values?.0;
        let count = values.len();
        let row = |index: usize| match &self.rows {
            Some(rows) => usize::try_from(rows.0.get(index)?.0).ok().filter(|row| *row < row_count),
            None => Some(index),
        };
        let has_its_rows = count == self.rows.as_ref().map_or(row_count, |rows| rows.0.len());
        if !has_its_rows {
            return None;
        }
        // Nearly always one unit for all.
        let mut last_unit: Option<Unit> = None;
        let mut unit = |index: usize| -> Option<Option<Unit>> {
            let Some(units) = &self.unit else { return Some(None) };
            let text = units.get(index, count)?;
            if text.is_empty() {
                return Some(None);
            }
            let sent = match &self.unit_sent {
                Some(sent) => Some(sent.get(index, count)?).filter(|sent| !sent.is_empty()),
                None => None,
            };
            let is_last = |unit: &Unit| unit.as_str() == text && unit.sent() == sent;
            if !last_unit.as_ref().is_some_and(is_last) {
                last_unit = Some(Unit::new(text, sent));
            }
            Some(last_unit.clone())
        };
        let quality = |index: usize| match &self.quality {
            Some(words) => Quality::from_word(words.get(index, count)?),
            None => Some(Quality::Good),
        };
        let cell = |(index, value): (usize, Value)| {
            Some(Cell { row: row(index)?, value, unit: unit(index)?, quality: quality(index)? })
        };
        values.into_iter().enumerate().map(cell).collect()
    }
}

// ── Attribute values: a map of one member, whose name is the type ──

/// What an attribute value of some type is read as.
trait Attribute<'de>: Sized {
    /// Reads the content of the value, whose type is `tag`; `None` if that is another one.
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error>;

    /// Reads the digits of a number; `None` if they are none, or this is no number.
    fn from_number(_digits: &str) -> Option<Self> {
        None
    }
}

/// Reads any attribute value.
struct AttributeVisitor<T>(PhantomData<T>);

impl<'de, T: Attribute<'de>> Visitor<'de> for AttributeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value of the format's type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let tag = map.next_key::<Plain<'de>>()?.ok_or_else(|| A::Error::custom("no type"))?;
        let content = T::content(&tag.0, &mut map)?.ok_or_else(|| A::Error::custom("another type"))?;
        match map.next_key::<IgnoredAny>()? {
            None => Ok(content),
            Some(_) => Err(A::Error::custom("more than one type")),
        }
    }
}

/// `Deserialize` for the types that are attribute values.
macro_rules! attributes {
    ($($type:ty),+) => {$(
        impl<'de: 'a, 'a> Deserialize<'de> for Read<$type> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(AttributeVisitor(PhantomData)).map(Self)
            }
        }
    )+};
}

/// An attribute value that was read.
struct Read<T>(T);

attributes!(Text<'a>, Integer, Value, OneOrEach<'a>, Columns<'a>, Column<'a>, List<Integer>, List<Value>);

/// `{"S": text}`
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Attribute<'de> for Text<'a> {
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        if tag == "S" { Ok(Some(Self(map.next_value::<Plain<'de>>()?.0))) } else { Ok(None) }
    }
}

/// `{"N": digits}` of an integer of 64 bits.
#[derive(Clone, Copy)]
struct Integer(i64);

impl<'de> Attribute<'de> for Integer {
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        if tag == "N" { Ok(Self::from_number(&map.next_value::<Plain<'de>>()?.0)) } else { Ok(None) }
    }

    fn from_number(digits: &str) -> Option<Self> {
        digits.parse().ok().map(Self)
    }
}

impl<'de> Attribute<'de> for Value {
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(match tag {
            "N" => number(&map.next_value::<Plain<'de>>()?.0),
            "S" => Some(Self::Text(map.next_value::<Plain<'de>>()?.0.into())),
            "BOOL" => Some(Self::Boolean(map.next_value()?)),
            _ => None,
        })
    }

    fn from_number(digits: &str) -> Option<Self> {
        number(digits)
    }
}

/// `{"L": [{…}, …]}`
struct List<T>(Vec<T>);

impl<'de, T: Attribute<'de>> Attribute<'de> for List<T>
where
    Read<T>: Deserialize<'de>,
{
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        if tag != "L" {
            return Ok(None);
        }
        let list = map.next_value::<&'de RawValue>()?.get();
        if let Some(numbers) = numbers(list) {
            return Ok(Some(Self(numbers)));
        }
        let list = ListVisitor(PhantomData).deserialize(&mut serde_json::Deserializer::from_str(list));
        list.map(Some).map_err(A::Error::custom)
    }
}

/// Reads a list of numbers, `[{"N":"1"},{"N":"2"}]`, as Lambda writes it. `None` for any other list, and for this one
/// in another spelling: serde reads that, which takes several times as long. Nearly all of a span are such lists.
fn numbers<'de, T: Attribute<'de>>(list: &str) -> Option<Vec<T>> {
    let mut rest = list.strip_prefix('[')?;
    let mut numbers = Vec::with_capacity(list.len() / r#"{"N":"1"},"#.len());
    loop {
        let element = rest.strip_prefix(r#"{"N":""#)?;
        let end = element.bytes().position(|byte| byte == b'"')?;
        numbers.push(T::from_number(&element[..end])?);
        rest = element[end..].strip_prefix(r#""}"#)?;
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (rest == "]").then_some(numbers),
        }
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Attribute<'de>> DeserializeSeed<'de> for ListVisitor<T>
where
    Read<T>: Deserialize<'de>,
{
    type Value = List<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Attribute<'de>> Visitor<'de> for ListVisitor<T>
where
    Read<T>: Deserialize<'de>,
{
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Read(element)) = seq.next_element()? {
            list.push(element);
        }
        Ok(List(list))
    }
}

/// `{"S": word}`, which holds for all, or `{"L": [{"S": word}, …]}`, one for each.
enum OneOrEach<'a> {
    One(Cow<'a, str>),
    Each(Vec<Text<'a>>),
}

impl OneOrEach<'_> {
    /// The word at `index` of `count`.
    fn get(&self, index: usize, count: usize) -> Option<&str> {
        match self {
            Self::One(word) => Some(word),
            Self::Each(words) if words.len() == count => words.get(index).map(|word| &*word.0),
            Self::Each(_) => None,
        }
    }
}

impl<'de: 'a, 'a> Attribute<'de> for OneOrEach<'a> {
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        match tag {
            "S" => Ok(Some(Self::One(map.next_value::<Plain<'de>>()?.0))),
            "L" => Ok(Some(Self::Each(map.next_value_seed(ListVisitor::<Text<'de>>(PhantomData))?.0))),
            _ => Ok(None),
        }
    }
}

/// `{"M": {metric: {"M": {…}}, …}}`
struct Columns<'a>(Vec<(Metric, Column<'a>)>);

impl<'de: 'a, 'a> Attribute<'de> for Columns<'a> {
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        if tag == "M" { map.next_value_seed(ColumnsVisitor).map(Some) } else { Ok(None) }
    }
}

struct ColumnsVisitor;

impl<'de> DeserializeSeed<'de> for ColumnsVisitor {
    type Value = Columns<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Columns<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of metrics")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns<'de>, A::Error> {
        let mut columns = Vec::new();
        while let Some(metric) = map.next_key::<Plain<'de>>()? {
            columns.push((Metric::from(metric.0), map.next_value::<Read<Column<'de>>>()?.0));
        }
        Ok(Columns(columns))
    }
}

impl<'de: 'a, 'a> Attribute<'de> for Column<'a> {
    fn content<A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
        if tag == "M" { map.next_value_seed(ColumnVisitor).map(Some) } else { Ok(None) }
    }
}

struct ColumnVisitor;

impl<'de> DeserializeSeed<'de> for ColumnVisitor {
    type Value = Column<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Column<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ColumnVisitor {
    type Value = Column<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of values, rows, units and quality")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Column<'de>, A::Error> {
        let mut column = Column::default();
        while let Some(name) = map.next_key::<Plain<'de>>()? {
            match &*name.0 {
                "values" => column.values = Some(map.next_value::<Read<_>>()?.0),
                "rows" => column.rows = Some(map.next_value::<Read<_>>()?.0),
                "unit" => column.unit = Some(map.next_value::<Read<_>>()?.0),
                "unit_sent" => column.unit_sent = Some(map.next_value::<Read<_>>()?.0),
                "quality" => column.quality = Some(map.next_value::<Read<_>>()?.0),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(column)
    }
}

/// The item; notes which attribute it reads, so that an error can name it.
struct FieldsSeed<'n> {
    reading: &'n Noted<&'static str>,
}

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl FieldsSeed<'_> {
    fn read<'de, T, A: MapAccess<'de>>(&self, name: &'static str, map: &mut A) -> Result<Option<T>, A::Error>
    where
        Read<T>: Deserialize<'de>,
    {
        self.reading.set(name);
        Ok(Some(map.next_value::<Read<T>>()?.0))
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<Plain<'de>>()? {
            match &*name.0 {
                "device" => fields.device = self.read("device", &mut map)?,
                "span" => fields.span = self.read("span", &mut map)?,
                "version" => fields.version = self.read("version", &mut map)?,
                "revision" => fields.revision = self.read("revision", &mut map)?,
                "messages" => fields.messages = self.read("messages", &mut map)?,
                "bytes" => fields.bytes = self.read("bytes", &mut map)?,
                "seq" => fields.seq = self.read("seq", &mut map)?,
                "times" => fields.times = self.read("times", &mut map)?,
                "delays" => fields.delays = self.read("delays", &mut map)?,
                "source" => fields.source = self.read("source", &mut map)?,
                "correction" => fields.correction = self.read("correction", &mut map)?,
                "sent" => fields.sent = self.read("sent", &mut map)?,
                "metrics" => fields.metrics = self.read("metrics", &mut map)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// A JSON string, borrowed where it has no escapes (serde copies every `Cow<str>`).
struct Plain<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Plain(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Plain(Cow::Owned(text.to_owned())))
    }
}
