//! The profiles in the config table, as they were a short while ago.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use telemetry::{Profile, Profiles};
use tokio::time::Instant;

use crate::documents::{Document, Documents, Loaded};
use crate::error::{Error, chain};
use crate::retry::Deadline;

impl Document for Profile {
    const KIND: &'static str = "profile";

    fn name(&self) -> &str {
        &self.name
    }

    fn to_json(&self) -> &str {
        self.to_json()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        Self::from_json(text).map_err(|error| error.to_string())
    }
}

/// Reads the profiles, and remembers them for a while.
#[derive(Debug)]
pub struct ProfileSource {
    table: Documents<Profile>,
    fresh: Duration,
    known: RefCell<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    profiles: Arc<Profiles>,
    read: Instant,
}

/// The profiles to go by.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// Those that can be read, and the last that could of those that cannot any more.
    pub profiles: Arc<Profiles>,
    /// How many of the table's cannot be read, where they have been looked at just now.
    pub broken: usize,
}

impl ProfileSource {
    /// The profiles of the config table, read again when what was read is as old as `fresh`.
    pub fn new(table: Documents<Profile>, fresh: Duration) -> Self {
        Self { table, fresh, known: RefCell::new(None) }
    }

    /// The profiles. Of one that cannot be read any more, the last that could stands, as long as this process lives.
    ///
    /// # Errors
    /// If they cannot be read, and are not known from before.
    pub async fn current(&self, deadline: Deadline) -> Result<Current, Error> {
        let known = self.known.borrow().clone();
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < self.fresh) {
            return Ok(Current { profiles: Arc::clone(&known.profiles), broken: 0 });
        }
        match (self.table.load(deadline).await, known) {
            (Ok(loaded), known) => Ok(self.take_up(&loaded, known)),
            // What was good a while ago is better than nothing.
            (Err(error), Some(known)) => {
                tracing::warn!(error = chain(&error), "profiles could not be read again");
                Ok(Current { profiles: known.profiles, broken: 0 })
            }
            (Err(error), None) => Err(error),
        }
    }

    fn take_up(&self, loaded: &Loaded<Profile>, known: Option<Known>) -> Current {
        for (name, problem) in &loaded.broken {
            tracing::error!(profile = name, problem, "a profile cannot be read");
        }
        let last_good =
            loaded.broken.iter().filter_map(|(name, _)| known.as_ref()?.profiles.stored(name).cloned());
        let profiles: Profiles = loaded.good.iter().cloned().chain(last_good).collect();
        let profiles = match known {
            // The same as before stays the same, with all that has been worked out from it.
            Some(known) if *known.profiles == profiles => known.profiles,
            _ => Arc::new(profiles),
        };
        *self.known.borrow_mut() = Some(Known { profiles: Arc::clone(&profiles), read: Instant::now() });
        Current { profiles, broken: loaded.broken.len() }
    }
}
