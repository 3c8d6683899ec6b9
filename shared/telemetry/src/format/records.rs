//! What becomes of a record's samples when all of them are known: pairs, units, columns.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::names::{Name, Role};
use crate::reading::Value;
use crate::sample::{Sample, SentTime};
use crate::unit::{Dialect, Quantity};

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
    let mut sources = UnitSources::default();
    samples.iter().skip(first).for_each(|sample| sources.add(sample));
    if sources.is_empty() {
        return;
    }
    for sample in samples.iter_mut().skip(first).filter(|sample| sample.unit.is_none()) {
        sample.unit = sources.unit_of(&sample.name).map(|text| (text, Dialect::Written));
    }
    let mut index = 0;
    samples.retain(|sample| {
        index += 1;
        index <= first || !sources.is_used(&sample.name)
    });
}

/// The members of a record that say the units of others: their texts, and whether a value has taken them.
#[derive(Default)]
struct UnitSources {
    by_name: HashMap<Arc<str>, (Arc<str>, bool), RandomState>,
    by_quantity: Vec<(&'static Quantity, Rc<Name>, Arc<str>, bool)>,
}

impl UnitSources {
    /// Takes up what `sample` says, if it is a unit. Of two for the same values the first counts.
    fn add(&mut self, sample: &Sample) {
        let Value::Text(text) = &sample.value else { return };
        match sample.name.role {
            Some(Role::UnitSource) => {
                let source = || (Arc::clone(text), false);
                self.by_name.entry(Arc::clone(&sample.name.sent)).or_insert_with(source);
            }
            Some(Role::UnitOf(quantity)) => {
                self.by_quantity.push((quantity, Rc::clone(&sample.name), Arc::clone(text), false));
            }
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_quantity.is_empty()
    }

    /// The unit of the values called `name`: what the profile says counts before what stands beside.
    fn unit_of(&mut self, name: &Name) -> Option<Arc<str>> {
        if let Some((text, is_used)) = name.unit_from.as_ref().and_then(|source| self.by_name.get_mut(source))
        {
            *is_used = true;
            return Some(Arc::clone(text));
        }
        let quantity = name.quantity.filter(|_| name.unit.is_none())?;
        let (.., text, is_used) = self.by_quantity.iter_mut().find(|(of, ..)| *of == quantity)?;
        *is_used = true;
        Some(Arc::clone(text))
    }

    /// Whether the member called `name` is the unit of a value.
    fn is_used(&self, name: &Name) -> bool {
        match name.role {
            Some(Role::UnitSource) => self.by_name.get(&name.sent).is_some_and(|(_, is_used)| *is_used),
            Some(Role::UnitOf(_)) => {
                self.by_quantity.iter().any(|(_, source, _, is_used)| *is_used && *source.sent == *name.sent)
            }
            _ => false,
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
