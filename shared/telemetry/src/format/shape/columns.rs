//! Lists beside a list of times: columns.

use std::rc::Rc;

use super::Shape;
use crate::names::TimeRank;
use crate::reading::Value;
use crate::sample::{Sample, SentTime};

/// A list of values: a sample for each, nulls among them.
#[derive(Clone, Copy)]
pub(super) struct List {
    /// The place of its first sample.
    pub(super) first_sample: usize,
    /// How many it has.
    pub(super) count: usize,
    /// The length of the name that the list stands under.
    pub(super) stem_length: usize,
}

/// A list of which all are times.
pub(super) struct Times {
    /// How telling its name is.
    pub(super) rank: TimeRank,
    first_sample: usize,
    times: Vec<SentTime>,
}

impl Times {
    /// The times of a list; `None` if one of them is no time.
    pub(super) fn read(
        rank: TimeRank,
        list: &List,
        samples: &[Sample],
        read: impl Fn(&Value) -> Option<SentTime>,
    ) -> Option<Self> {
        let listed = samples.get(list.first_sample..)?.get(..list.count)?;
        let time = |sample: &Sample| if sample.is_spent { None } else { read(&sample.value) };
        let times = listed.iter().map(time).collect::<Option<Vec<_>>>()?;
        Some(Self { rank, first_sample: list.first_sample, times })
    }
}

impl Shape<'_, '_> {
    /// Gives each value of the lists from `first_list` on the time of its place, and the list's name. Lists of another
    /// length stay as they are; where there is no list of that length, so do the times.
    pub(super) fn read_columns(&mut self, first_list: usize, times: &Times) {
        let is_column =
            |list: &List| list.count == times.times.len() && list.first_sample != times.first_sample;
        let columns: Vec<List> =
            self.lists.get(first_list..).unwrap_or_default().iter().copied().filter(is_column).collect();
        if columns.is_empty() {
            return;
        }
        // A row is an element of a list in all but form.
        let first_row = self.elements + 1;
        self.elements = self.elements.saturating_add(u32::try_from(times.times.len()).unwrap_or(u32::MAX));
        for list in &columns {
            let Some(first) = self.payload.samples.get(list.first_sample) else { continue };
            let stem = first.name.sent.get(..list.stem_length).unwrap_or_default().to_owned();
            let name = self.context.names.get(&stem, self.context.profile);
            let samples = self.payload.samples.iter_mut().skip(list.first_sample).take(list.count);
            for ((sample, time), row) in samples.zip(&times.times).zip(first_row..) {
                sample.name = Rc::clone(&name);
                sample.time = Some(*time);
                sample.element = row;
            }
        }
        for place in (times.first_sample..).take(times.times.len()) {
            self.spend(place);
        }
        // What has its times needs no others.
        let is_left = |list: &List| !is_column(list) && list.first_sample != times.first_sample;
        let inner = self.lists.split_off(first_list.min(self.lists.len()));
        self.lists.extend(inner.into_iter().filter(is_left));
    }
}
