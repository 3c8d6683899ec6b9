//! What becomes of a record's samples when all of them are known: pairs, units, columns.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::names::{Name, Role};
use crate::reading::Value;
use crate::sample::{Sample, SentTime};
use crate::unit::Dialect;

fn text_of(sample: &Sample, wanted: Role) -> Option<&Arc<str>> {
    match &sample.value {
        Value::Text(text) if sample.name.role == Some(wanted) => Some(text),
        _ => None,
    }
}

/// The name that an object gives its value: `{"name": "temperature", "value": 22.5}`. `None` where it has other
/// members than name, value and unit.
pub(super) fn pair_name(samples: &[Sample]) -> Option<String> {
    let count = |role| samples.iter().filter(|sample| sample.name.role == Some(role)).count();
    let counts = (count(Role::PairName), count(Role::PairValue), count(Role::PairUnit));
    let is_pair = matches!(counts, (1, 1, 0 | 1)) && counts.0 + counts.1 + counts.2 == samples.len();
    let name = samples.iter().find_map(|sample| text_of(sample, Role::PairName))?;
    is_pair.then(|| name.to_string())
}

/// Whether an object is a value beside its unit, and nothing else.
pub(super) fn is_value_with_unit(samples: &[Sample]) -> bool {
    let is_value = |sample: &Sample| sample.name.role == Some(Role::PairValue);
    let is_unit = |sample: &Sample| text_of(sample, Role::PairUnit).is_some();
    matches!(samples, [a, b] if (is_value(a) && is_unit(b)) || (is_unit(a) && is_value(b)))
}

/// Makes one sample called `name` of the parts of a pair, which are all from `first` on.
pub(super) fn make_pair(samples: &mut Vec<Sample>, first: usize, name: Rc<Name>) {
    let unit = samples[first..].iter().find_map(|sample| text_of(sample, Role::PairUnit)).cloned();
    let mut index = 0;
    samples.retain(|sample| {
        index += 1;
        index <= first || sample.name.role == Some(Role::PairValue)
    });
    if let Some(sample) = samples.last_mut() {
        sample.name = name;
        sample.unit = unit.map(|unit| (unit, Dialect::Written)).or(sample.unit.take());
    }
}

/// Pairs of one payload are one record, but for names that come again.
pub(super) fn number_pairs(samples: &mut [Sample]) {
    let mut seen: HashMap<*const Name, u32, RandomState> = HashMap::default();
    for sample in samples.iter_mut().filter(|sample| sample.time.is_none()) {
        let count = seen.entry(Rc::as_ptr(&sample.name)).or_default();
        sample.record = *count;
        *count += 1;
    }
}

/// Gives the samples from `first` on the units that stand beside them (`"TempUnit": "C"`, or where the profile says),
/// and takes those out. A unit that is nobody's stays a sample.
pub(super) fn give_units(samples: &mut Vec<Sample>, first: usize) {
    let sources: Vec<(Role, Rc<Name>, Arc<str>)> = samples[first..]
        .iter()
        .filter_map(|sample| match (&sample.value, sample.name.role) {
            (Value::Text(text), Some(role @ (Role::UnitOf(_) | Role::UnitSource))) => {
                Some((role, Rc::clone(&sample.name), Arc::clone(text)))
            }
            _ => None,
        })
        .collect();
    for (role, source, text) in sources {
        let mut is_used = false;
        let takes = |sample: &Sample| match role {
            Role::UnitOf(quantity) => sample.name.quantity == Some(quantity) && sample.name.unit.is_none(),
            _ => {
                sample.name.rule.as_ref().is_some_and(|rule| rule.unit_from.as_deref() == Some(&*source.sent))
            }
        };
        for sample in samples[first..].iter_mut().filter(|sample| sample.unit.is_none() && takes(sample)) {
            sample.unit = Some((Arc::clone(&text), Dialect::Written));
            is_used = true;
        }
        if is_used {
            let mut index = 0;
            samples.retain(|sample| {
                index += 1;
                index <= first || !Rc::ptr_eq(&sample.name, &source)
            });
        }
    }
}

/// Lists beside a list of times are columns: each value gets the time of its place, and the list's name. Lists of
/// another length stay as they are; where there is no list of that length, so do the times.
pub(super) fn read_columns(
    samples: &mut Vec<Sample>,
    first: usize,
    (times_name, times): &(Rc<Name>, Vec<SentTime>),
    mut name: impl FnMut(&str) -> Rc<Name>,
) {
    let mut has_columns = false;
    let mut start = first;
    while start < samples.len() {
        let Some(stem) = stem_of(&samples[start].name.sent, 0).map(str::to_owned) else {
            start += 1;
            continue;
        };
        let is_next = |(index, sample): &(usize, &Sample)| stem_of(&sample.name.sent, *index) == Some(&stem);
        let length = samples[start..].iter().enumerate().take_while(is_next).count();
        if length == times.len() && *stem != *times_name.sent {
            let name = name(&stem);
            for ((sample, time), record) in samples[start..start + length].iter_mut().zip(times).zip(0..) {
                sample.name = Rc::clone(&name);
                sample.time = Some(*time);
                sample.record = record;
            }
            has_columns = true;
        }
        start += length;
    }
    if has_columns {
        let mut index = 0;
        samples.retain(|sample| {
            index += 1;
            let is_time =
                sample.name.sent.strip_prefix(&*times_name.sent).is_some_and(|rest| rest.starts_with('.'));
            index <= first || !is_time
        });
    }
}

/// The list's name, of the element `index` of a list.
fn stem_of(name: &str, index: usize) -> Option<&str> {
    let (stem, number) = name.rsplit_once('.')?;
    (number == itoa::Buffer::new().format(index)).then_some(stem)
}
