//! Members that are the unit of others.

use std::rc::Rc;
use std::sync::Arc;

use crate::names::{Name, Role};
use crate::reading::Value;
use crate::sample::Sample;
use crate::unit::Dialect;

/// Gives an object's samples the units that stand beside them (`"TempUnit": "C"`, or where the profile says), and
/// spends those members; a unit of nothing but nulls is spent with them. A unit that is nobody's stays a sample. Returns
/// whether any was spent.
pub(super) fn give_units(samples: &mut [Sample]) -> bool {
    let sources: Vec<(Role, Rc<Name>, Arc<str>)> = samples
        .iter()
        .filter(|sample| !sample.is_spent)
        .filter_map(|sample| match (&sample.value, sample.name.role) {
            (Value::Text(text), Some(role @ (Role::UnitOf(_) | Role::UnitSource))) => {
                Some((role, Rc::clone(&sample.name), Arc::clone(text)))
            }
            _ => None,
        })
        .collect();
    let mut has_spent = false;
    for (role, source, text) in sources {
        let mut is_used = false;
        let takes = |sample: &Sample| match role {
            Role::UnitOf(quantity) => sample.name.quantity == Some(quantity) && sample.name.unit.is_none(),
            _ => sample.name.takes_unit_of(&source.sent),
        };
        for sample in samples.iter_mut().filter(|sample| sample.unit.is_none() && takes(sample)) {
            sample.unit = Some((Arc::clone(&text), Dialect::Written));
            is_used = true;
        }
        if is_used {
            for sample in samples.iter_mut().filter(|sample| Rc::ptr_eq(&sample.name, &source)) {
                sample.is_spent = true;
                has_spent = true;
            }
        }
    }
    has_spent
}
