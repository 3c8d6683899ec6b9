//! The rules, as the config table had them a short while ago.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use alert::RuleSet;
use cloud::Error as CloudError;
use cloud::retry::Deadline;
use cloud::rules::{Loaded, Rules};
use tokio::time::Instant;

/// Reads the rules, and remembers them for a while.
#[derive(Debug)]
pub struct RuleSource {
    table: Rules,
    fresh: Duration,
    known: RefCell<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    rules: Arc<RuleSet>,
    read: Instant,
}

/// The rules to judge by, and how many of the table's cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) broken: usize,
    /// Whether they are others than the last time.
    pub(crate) have_changed: bool,
}

impl RuleSource {
    /// The rules of the config table, read again when what was read is as old as `fresh`.
    pub fn new(table: Rules, fresh: Duration) -> Self {
        Self { table, fresh, known: RefCell::new(None) }
    }

    /// The rules as they are now: what a rule has raised that is not among them is about to be ended.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn fresh(&self, deadline: Deadline) -> Result<Current, CloudError> {
        let known = self.known.borrow().clone();
        self.table.load(deadline).await.map(|loaded| self.take_up(&loaded, known))
    }

    /// The rules. Of one that cannot be read any more, the last that could stands, as long as this process lives.
    ///
    /// # Errors
    /// If they cannot be read, and are not known from before.
    pub(crate) async fn current(&self, deadline: Deadline) -> Result<Current, CloudError> {
        let known = self.known.borrow().clone();
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < self.fresh) {
            return Ok(Current { rules: Arc::clone(&known.rules), broken: 0, have_changed: false });
        }
        let loaded = match (self.table.load(deadline).await, known.as_ref()) {
            (Ok(loaded), _) => loaded,
            // What was good a while ago is better than nothing.
            (Err(error), Some(known)) => {
                tracing::warn!(error = cloud::error::chain(&error), "rules could not be read again");
                return Ok(Current { rules: Arc::clone(&known.rules), broken: 0, have_changed: false });
            }
            (Err(error), None) => return Err(error),
        };
        Ok(self.take_up(&loaded, known))
    }

    fn take_up(&self, loaded: &Loaded, known: Option<Known>) -> Current {
        for (name, problem) in &loaded.broken {
            tracing::error!(rule = name, problem, "a rule cannot be read");
        }
        let last_good = loaded.broken.iter().filter_map(|(name, _)| known.as_ref()?.rules.get(name).cloned());
        let unreadable = loaded.broken.iter().map(|(name, _)| Arc::from(name.as_str()));
        let rules = RuleSet::new(loaded.good.iter().map(|(rule, _)| Arc::clone(rule)).chain(last_good));
        let rules = rules.with_unreadable(unreadable);
        let have_changed = known.as_ref().is_none_or(|known| *known.rules != rules);
        let rules = match known {
            Some(known) if !have_changed => known.rules,
            _ => Arc::new(rules),
        };
        *self.known.borrow_mut() = Some(Known { rules: Arc::clone(&rules), read: Instant::now() });
        Current { rules, broken: loaded.broken.len(), have_changed }
    }
}
