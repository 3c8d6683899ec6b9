//! Members that are the unit of others.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::limits::MAX_PATTERN_COMPARISONS;
use crate::names::Role;
use crate::reading::Value;
use crate::reject::Reject;
use crate::sample::Sample;
use crate::unit::{Dialect, Quantity};

/// The members of an object that say units, by their places among its samples.
#[derive(Default)]
struct Sources {
    /// Of all values of a quantity: the first member of each that says it.
    of_quantity: Vec<(&'static Quantity, usize)>,
    /// Where the profile says so, by the metric that the member would be.
    named: HashMap<Arc<str>, usize, RandomState>,
    /// The same in their order.
    in_order: Vec<(Arc<str>, usize)>,
}

impl Sources {
    fn of(samples: &[Sample]) -> Self {
        let mut sources = Self::default();
        for (place, sample) in samples.iter().enumerate() {
            if sample.is_spent || !matches!(sample.value, Value::Text(_)) {
                continue;
            }
            match sample.name.role {
                Some(Role::UnitOf(quantity)) if !sources.says_unit_of(quantity) => {
                    sources.of_quantity.push((quantity, place));
                }
                Some(Role::UnitSource) => {
                    sources.in_order.push((Arc::clone(&sample.name.decoded), place));
                    sources.named.entry(Arc::clone(&sample.name.decoded)).or_insert(place);
                }
                _ => {}
            }
        }
        sources
    }

    fn says_unit_of(&self, quantity: &Quantity) -> bool {
        self.of_quantity.iter().any(|(known, _)| *known == quantity)
    }

    /// The place of the member that says the unit of a sample.
    fn unit_of(&self, sample: &Sample) -> Option<usize> {
        let named = sample.name.unit_from.as_ref().and_then(|source| match source.only_name() {
            Some(name) => self.named.get(name).copied(),
            None => self.in_order.iter().find(|(name, _)| source.matches(name)).map(|(_, place)| *place),
        });
        named.or_else(|| {
            let quantity = sample.name.quantity.filter(|_| sample.name.unit.is_none())?;
            self.of_quantity.iter().find(|(known, _)| *known == quantity).map(|(_, place)| *place)
        })
    }
}

/// Gives an object's samples the units that stand beside them (`"TempUnit": "C"`, or where the profile says), and
/// spends those members; a unit of nothing but nulls is spent with them. A unit that belongs to no other member stays a
/// sample. Returns whether any was spent.
///
/// # Errors
/// [`Reject::Names`] where patterns and members that may be units are too many to compare.
pub(super) fn give_units(samples: &mut [Sample]) -> Result<bool, Reject> {
    let sources = Sources::of(samples);
    let is_pattern =
        |sample: &&Sample| sample.name.unit_from.as_ref().is_some_and(|source| source.only_name().is_none());
    let patterns = samples.iter().filter(is_pattern).count();
    if patterns.saturating_mul(sources.in_order.len()) > MAX_PATTERN_COMPARISONS {
        return Err(Reject::Names);
    }
    let mut used = Vec::new();
    for place in 0..samples.len() {
        let source = sources.unit_of(&samples[place]).filter(|_| samples[place].unit.is_none());
        let Some(source) = source else { continue };
        let Value::Text(text) = samples[source].value.clone() else { continue };
        samples[place].unit = Some((text, Dialect::Written));
        used.push(source);
    }
    for place in &used {
        samples[*place].is_spent = true;
    }
    Ok(!used.is_empty())
}
