//! What a format's decoder hands on: samples, as the device wrote them.

use std::rc::Rc;
use std::sync::Arc;

use crate::names::Name;
use crate::profile::EpochUnit;
use crate::reading::{Quality, TimeSource, Value};
use crate::time::Micros;
use crate::unit::Dialect;

/// One name and value as the device wrote them, with the record they stood in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: Rc<Name>,
    pub(crate) value: Value,
    /// What the format itself says of the value.
    pub(crate) quality: Quality,
    /// The unit that stood beside the value, and in whose terms.
    pub(crate) unit: Option<(Arc<str>, Dialect)>,
    /// The record's own time.
    pub(crate) time: Option<SentTime>,
    /// Which record of the payload, from 0: what tells samples of one name and time apart.
    pub(crate) record: u32,
    /// Which element of the payload's lists it stood in, 0 for none: what tells samples of one record apart that have
    /// the same name.
    pub(crate) element: u32,
    /// The device that a gateway speaks for.
    pub(crate) device: Option<Arc<str>>,
    /// Whether the profile gave it a name that does not begin with its place.
    pub(crate) has_own_name: bool,
    /// Whether it is no sample any more: a null, or a member that says something of others.
    pub(crate) is_spent: bool,
}

impl Sample {
    /// A value that stands by itself: good, without unit, time or device.
    pub(crate) fn new(name: Rc<Name>, value: Value, record: u32) -> Self {
        Self {
            name,
            value,
            quality: Quality::Good,
            unit: None,
            time: None,
            record,
            element: 0,
            device: None,
            has_own_name: false,
            is_spent: false,
        }
    }
}

/// A time as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentTime {
    /// As the clock had it; as if UTC where it has no zone.
    pub(crate) at: Micros,
    pub(crate) source: TimeSource,
    pub(crate) basis: Basis,
}

/// What a sent time counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The epoch: a point in time.
    Epoch,
    /// The day and hour of a place, which is so many seconds ahead of UTC; before and after clocks are set back, where
    /// both may be meant, else twice the same.
    Local { before: i32, after: i32 },
    /// The arrival, from which SenML counts times that are small.
    Arrival,
    /// The epoch, in a counter of 32 bits of such units, which may have run over.
    Wrapping(EpochUnit),
}

impl SentTime {
    /// The points in time that it may mean, the earlier one first, where it is the day and hour of a place.
    pub(crate) fn meanings(self) -> Option<(Micros, Micros)> {
        let at = |ahead: i32| self.at.plus(i64::from(ahead) * -1_000_000);
        match self.basis {
            Basis::Local { before, after } => Some((at(before), at(after))),
            Basis::Epoch | Basis::Wrapping(_) | Basis::Arrival => None,
        }
    }

    /// A point in time that the device wrote into its payload.
    pub(crate) fn of_device(at: Micros) -> Self {
        Self { at, source: TimeSource::Device, basis: Basis::Epoch }
    }
}

/// How far an element of a series was measured from the time of its record, in microseconds; negative for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distance {
    /// The element, as a sample has it.
    pub(crate) element: u32,
    pub(crate) after: i64,
    /// The same from the last of the series, which has the arrival where the record has no time.
    pub(crate) from_last: i64,
}

/// The samples of one payload.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Payload {
    pub(crate) samples: Vec<Sample>,
    /// The `device_id` that the records name, if any does.
    pub(crate) device_id: Option<String>,
    /// How far the elements of series were measured from the record's time; their numbers ascend.
    pub(crate) distances: Vec<Distance>,
    /// Whether some of its samples are spent.
    pub(crate) has_spent: bool,
    /// Room for a name while decoding; kept for its memory.
    pub(crate) path: String,
}

impl Payload {
    pub(crate) fn clear(&mut self) {
        self.samples.clear();
        self.device_id = None;
        self.distances.clear();
        self.has_spent = false;
    }
}
