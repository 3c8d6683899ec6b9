//! The alert rules in the config table.

use alert::Rule;

use crate::documents::{self, Document, Documents};

/// Reads and writes alert rules.
pub type Rules = Documents<Rule>;

/// What the table holds of them.
pub type Loaded = documents::Loaded<Rule>;

impl Document for Rule {
    const KIND: &'static str = "alert-rule";

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
