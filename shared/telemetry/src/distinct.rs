//! Samples of one message that are two readings, one reading, or nothing that can be told apart.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::reading::{Metric, Reading, Seq};
use crate::sample::Sample;
use crate::twin;

/// Up to so many samples each is compared with all before it, which is quicker than to sort their readings.
const FEW: usize = 24;

/// Gives the readings of one message, which are those from `first` on, identities of their own. `samples` are what they
/// were made of, one for each.
///
/// Readings of one device, metric and time that stood in different records, or in different elements of lists, are
/// told apart by their order: by an ordinal as `seq` or, where the delivery is in it, by a place of their own. Else they
/// are one reading if they say the same, and it is kept once.
///
/// # Errors
/// The metric of which they do not: nothing says which of them is meant.
pub(crate) fn tell_apart(
    readings: &mut Vec<Reading>,
    first: usize,
    samples: &[Sample],
) -> Result<(), Metric> {
    let message = readings.get_mut(first..).unwrap_or_default();
    if samples.len() <= FEW && !may_have_equals(samples) {
        return Ok(());
    }
    let mut repeated: Vec<usize> = Vec::new();
    // Places beyond those that are taken, by the place that is and the ordinal. There are no more of them than samples.
    let mut places: HashMap<(Seq, usize), u32, RandomState> = HashMap::default();
    let free = message.iter().filter_map(|reading| reading.seq.place()).max().map_or(0, |last| last + 1);
    for same in equals(message) {
        let mut kept: Vec<usize> = Vec::new();
        for place in same {
            let last = kept.last_mut().filter(|last| !are_apart(&samples[**last], &samples[place]));
            let Some(last) = last else {
                kept.push(place);
                continue;
            };
            let dropped = if message[*last].says_the_same_as(&message[place]) {
                place
            } else {
                let pair = [*last, place].map(|place| (&samples[place], &message[place]));
                let finer = twin::finer(pair).ok_or_else(|| Arc::clone(&message[place].metric))?;
                if finer == 0 { place } else { std::mem::replace(last, place) }
            };
            repeated.push(first + dropped);
        }
        for (ordinal, place) in kept.into_iter().enumerate().skip(1) {
            let seq = &mut message[place].seq;
            *seq = if seq.is_of_delivery() {
                let next = free + u32::try_from(places.len()).unwrap_or(u32::MAX);
                seq.at_place(*places.entry((*seq, ordinal)).or_insert(next))
            } else {
                Seq(ordinal as u64)
            };
        }
    }
    repeated.sort_unstable();
    if !repeated.is_empty() {
        let mut place = 0;
        readings.retain(|_| {
            place += 1;
            repeated.binary_search(&(place - 1)).is_err()
        });
    }
    Ok(())
}

/// Whether where two samples stood tells them apart.
fn are_apart(a: &Sample, b: &Sample) -> bool {
    a.record != b.record || (a.element != b.element && a.element != 0 && b.element != 0)
}

/// What identifies a reading before it is told apart from others; times first, which differ most.
type Identity<'a> = (i64, Seq, &'a str, &'a str);

fn identity(reading: &Reading) -> Identity<'_> {
    (reading.at.0, reading.seq, &reading.metric, reading.device.as_str())
}

/// The places of readings that have one identity, in the order of the message; of identities that several have.
fn equals(message: &[Reading]) -> Vec<Vec<usize>> {
    let compare = |a: usize, b: usize| -> Ordering { identity(&message[a]).cmp(&identity(&message[b])) };
    let mut order: Vec<usize> = (0..message.len()).collect();
    order.sort_unstable_by(|a, b| compare(*a, *b).then_with(|| a.cmp(b)));
    let groups = order.chunk_by(|a, b| compare(*a, *b).is_eq());
    groups.filter(|same| same.len() > 1).map(<[usize]>::to_vec).collect()
}

/// Whether two samples have one metric, told by the hashes of the metrics' names.
fn may_have_equals(samples: &[Sample]) -> bool {
    let is_as_before = |(place, sample): (usize, &Sample)| {
        samples[..place].iter().any(|other| other.name.metric_hash == sample.name.metric_hash)
    };
    samples.iter().enumerate().any(is_as_before)
}
