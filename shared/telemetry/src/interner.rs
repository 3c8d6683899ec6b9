//! One copy of each name, however many readings bear it.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// How many names are remembered; then all are forgotten and learnt anew, so that devices which
/// invent names cannot make a warm function grow.
const MAX_NAMES: usize = 16 * 1024;

/// Remembers names.
#[derive(Debug, Default)]
pub(crate) struct Interner(HashSet<Arc<str>, RandomState>);

impl Interner {
    /// The one copy of `name`.
    pub(crate) fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        if self.0.len() == MAX_NAMES {
            self.0.clear();
        }
        let name: Arc<str> = Arc::from(name);
        self.0.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_bounded_number_of_names() {
        let mut names = Interner::default();
        assert!(Arc::ptr_eq(&names.intern("a"), &names.intern("a")));
        for number in 0..3 * MAX_NAMES {
            names.intern(&number.to_string());
            assert!(names.0.len() <= MAX_NAMES);
        }
    }
}
