//! What a profile is about, in the words that it was written in.

use serde::Deserialize;
use telemetry::Profile;

/// The patterns of its devices.
pub(super) fn devices(profile: &Profile) -> String {
    Written::of(profile).devices.join(", ")
}

/// Its topics.
pub(super) fn topics(profile: &Profile) -> String {
    Written::of(profile).topics.join(", ")
}

/// The word of its format.
pub(super) fn format(profile: &Profile) -> String {
    Written::of(profile).format.unwrap_or_default()
}

/// The profile as it was written, which the document alone still has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    topics: Vec<String>,
    devices: Vec<String>,
    format: Option<String>,
}

impl Written {
    fn of(profile: &Profile) -> Self {
        serde_json::from_str(profile.to_json()).unwrap_or_default()
    }
}
