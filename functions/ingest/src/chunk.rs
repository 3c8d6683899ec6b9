//! The records of an event that are still to be planned, and how many of them at a time.
//!
//! Nearly every event is one chunk. A message of 166 bytes can expand to 10,000 readings, though, and an event may hold
//! thousands of such. So a chunk ends at a number of readings, and is carried out before the next one is read. An event
//! that is too large for one chunk is read again by devices: a device's messages share a chunk, and with it a span and
//! one write of the device's state, unless they alone are too many.
//!
//! What is stored does not depend on where a chunk ends, no more than it depends on where a batch does.

use std::collections::{BTreeMap, VecDeque};

use telemetry::Reading;

use crate::event::{Position, Record, Source};
use crate::message::{Message, Reader, envelope};
use crate::plan::{Draft, Plan};

/// How many readings a chunk has at most, but for one message that alone has more.
///
/// A reading takes at most about 2 KB while its chunk is planned and written: 128 bytes as a [`Reading`], the same again
/// while it is sorted by device, up to 1.1 KB as a span of its own with its row and column, up to 600 bytes of JSON. So
/// the readings of a chunk take up to about 80 MB by this estimate. The function has at least 128 MB, and an event of 6 MB
/// is in memory up to three times. A full event of ordinary messages, 5,800 with 4 readings each, is one chunk. The peak
/// of the whole process was measured (`tests/tests/ingest_limits.rs`): 63 MB for readings that share spans, 88 MB where
/// each makes a span of its own.
pub const MAX_READINGS: usize = 40_000;

/// Records are read in runs of so many between two looks at the clock. The slowest take some 10 ms each.
const RECORDS_BETWEEN_LOOKS: usize = 8;

/// How much of the time for planning is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLeft {
    /// Most of it.
    Ample,
    /// So little that what is cheap to read is to be read first.
    Short,
    /// None: what is not read is redelivered.
    None,
}

/// What ends a chunk.
#[derive(Debug, Clone, Copy)]
pub struct Limits<T> {
    /// Readings, of which long texts count as several.
    pub readings: usize,
    /// How much time is left.
    pub time_left: T,
}

/// Messages that have been read before the others, by their places, and those to be read with a later chunk.
#[derive(Debug, Default)]
pub struct ReadBefore {
    /// What they have become.
    pub messages: BTreeMap<usize, (Message, Vec<Reading>)>,
    /// The places of the others.
    pub later: Vec<usize>,
}

/// The records of an event that no chunk has had yet.
#[derive(Debug)]
pub struct Pending<'a> {
    source: Source,
    /// By their places in the event; `None`: a chunk has had it.
    records: Vec<Option<Record<'a>>>,
    order: Order,
}

/// In which order records are read.
#[derive(Debug)]
enum Order {
    /// That of the event.
    Event,
    /// Device by device.
    Devices(VecDeque<Group>),
}

/// Records of one device, in the order of the event.
#[derive(Debug, Default)]
struct Group {
    places: VecDeque<usize>,
    /// What reading them may cost, in bytes of payload.
    cost: usize,
}

/// A chunk would become too large, or takes too long, in the order of the event.
struct DoesNotFit;

impl<'a> Pending<'a> {
    /// All records of an event.
    pub fn new(source: Source, records: Vec<Record<'a>>) -> Self {
        Self { source, records: records.into_iter().map(Some).collect(), order: Order::Event }
    }

    /// Whence they come.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether all is planned.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(Option::is_none)
    }

    /// The records, each with its place in the event.
    pub fn records(&self) -> impl Iterator<Item = (usize, &Record<'a>)> {
        self.records.iter().enumerate().filter_map(|(place, record)| Some((place, record.as_ref()?)))
    }

    /// The positions of the records.
    pub fn into_positions(self) -> impl Iterator<Item = Position<'a>> {
        self.records.into_iter().flatten().map(|record| record.position)
    }

    /// Plans the next chunk: what has been read before, and as many other records as fit. Readings are to be kept for
    /// `retention_days` after they arrived; `None`: for ever.
    pub fn plan(
        &mut self,
        before: ReadBefore,
        reader: &mut Reader<'_>,
        limits: &Limits<impl Fn() -> TimeLeft>,
        retention_days: Option<u32>,
    ) -> Plan<'a> {
        let mut draft = Draft::with_room_for(self.records.len());
        let mut is_known = vec![false; self.records.len()];
        for place in before.later {
            is_known[place] = true;
        }
        for (place, (message, mut known)) in before.messages {
            is_known[place] = true;
            draft.add(place, |readings| {
                readings.append(&mut known);
                message
            });
        }
        let of_others = draft.mark();
        if matches!(self.order, Order::Event) && self.read_all(&is_known, &mut draft, reader, limits).is_err()
        {
            draft.rewind(of_others);
            self.order = Order::Devices(self.by_device(&is_known, reader));
        }
        if let Order::Devices(groups) = &mut self.order {
            read_some(groups, &self.records, &mut draft, reader, limits);
        }
        let take = |place: usize| self.records[place].take().map(|record| record.position);
        // Texts go before readings are packed, so that a full event is in memory only once.
        let positions = draft.places().filter_map(take).collect();
        draft.into_plan(positions, retention_days)
    }

    /// Reads all records in the order of the event.
    fn read_all(
        &self,
        is_known: &[bool],
        draft: &mut Draft,
        reader: &mut Reader<'_>,
        limits: &Limits<impl Fn() -> TimeLeft>,
    ) -> Result<(), DoesNotFit> {
        let others = self.records().filter(|(place, _)| !is_known[*place]);
        for (number, (place, record)) in others.enumerate() {
            let is_late = number % RECORDS_BETWEEN_LOOKS == 0 && (limits.time_left)() != TimeLeft::Ample;
            if is_late || draft.weight() > limits.readings {
                return Err(DoesNotFit);
            }
            draft.add(place, |readings| reader.read(record, readings));
        }
        if draft.weight() > limits.readings { Err(DoesNotFit) } else { Ok(()) }
    }

    /// The records that are not known, by device as far as their topics say it.
    ///
    /// A stream goes on from the lowest position that failed, so its devices stay in the order of the event. From a
    /// queue the cheapest devices come first: where the time is too short for all, a device that floods the queue or
    /// sends what is slow to read delays its own messages.
    fn by_device(&self, is_known: &[bool], reader: &mut Reader<'_>) -> VecDeque<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (place, record) in self.records().filter(|(place, _)| !is_known[*place]) {
            let (sender, cost) = sender_and_cost(record, reader);
            let at = *known.entry(sender).or_insert_with(|| {
                groups.push(Group::default());
                groups.len() - 1
            });
            groups[at].places.push_back(place);
            groups[at].cost += cost;
        }
        if self.source.may_reorder() {
            groups.sort_by_key(|group| group.cost);
        }
        groups.into()
    }
}

/// Reads device by device until the chunk is full or the time is over.
fn read_some(
    groups: &mut VecDeque<Group>,
    records: &[Option<Record<'_>>],
    draft: &mut Draft,
    reader: &mut Reader<'_>,
    limits: &Limits<impl Fn() -> TimeLeft>,
) {
    let mut number = 0;
    while let Some(group) = groups.front_mut() {
        let (begin, is_alone) = (draft.mark(), draft.is_empty());
        let mut read = 0;
        while let Some(place) = group.places.get(read).copied() {
            if number % RECORDS_BETWEEN_LOOKS == 0 && (limits.time_left)() == TimeLeft::None {
                group.places.drain(..read);
                return;
            }
            number += 1;
            read += 1;
            let before = draft.mark();
            let Some(record) = &records[place] else { continue };
            let is_first = draft.is_empty();
            draft.add(place, |readings| reader.read(record, readings));
            if draft.weight() <= limits.readings || is_first {
                continue;
            }
            if is_alone {
                draft.rewind(before);
                group.places.drain(..read - 1);
            } else {
                draft.rewind(begin);
            }
            return;
        }
        groups.pop_front();
    }
}

/// Bytes that a compressed payload may expand to for each of its own, as far as costs are compared.
const EXPANSION: usize = 1_000;
/// How the base64 of gzip, zstd and zlib begins.
const COMPRESSED: [&str; 6] = ["H4sI", "KLUv", "eAE", "eF4", "eJ", "eNo"];

/// Who sent a record, as far as its topic says it, and what reading it may cost.
fn sender_and_cost(record: &Record<'_>, reader: &mut Reader<'_>) -> (String, usize) {
    let text = record.envelope.as_deref().unwrap_or_default();
    let Ok(envelope) = envelope(text, &record.position) else { return (String::new(), text.len()) };
    // Where the topic names no device, its last level is mostly what is sent, and the others are by whom.
    let parent = || envelope.topic.rsplit_once('/').map_or(&*envelope.topic, |(parent, _)| parent).to_owned();
    let sender = reader.sender(&envelope.topic).map_or_else(parent, |device| device.to_string());
    let is_compressed = COMPRESSED.iter().any(|begin| envelope.payload.starts_with(begin));
    let cost = envelope.payload.len() * if is_compressed { EXPANSION } else { 1 };
    (sender, cost)
}
