//! Bytes that a profile lays out.

use super::covering;
use crate::format::Format;
use crate::names::TIME_NAMES;
use crate::profile::written::{Problems, ProfileFields, Step};
use crate::profile::{Layout, NamePattern, Profile, ShapeKind};

/// Warns of fields that become no readings.
pub(super) fn warn(profile: &Profile, fields: &ProfileFields, problems: &mut Problems) {
    let Some(Layout::Fields(layout)) = &profile.layout else { return };
    // In a document they have other names, those of their place before them.
    let is_in_document = profile.shapes.iter().any(|shape| matches!(shape.kind, ShapeKind::Fields(_)));
    let ignore: Vec<&NamePattern> = profile.ignore.iter().collect();
    for (index, field) in layout.iter().enumerate() {
        let path = |key| [Step::Key("field"), Step::Index(index), Step::Key(key)];
        let is_time = match profile.time.says_where() {
            true => profile.time.fields.iter().any(|pattern| pattern.matches(&field.name)),
            false => TIME_NAMES.iter().any(|known| {
                field.name.rsplit('.').next().is_some_and(|level| level.eq_ignore_ascii_case(known))
            }),
        };
        let name = NamePattern::try_from(field.name.to_string()).ok().filter(|name| name.stars() == 0);
        let is_ignored = profile.topic_name.is_none() && profile.ignores(&field.name);
        if is_ignored && !is_in_document && !is_time {
            let cover = name.map_or_else(|| "a pattern".to_owned(), |name| covering(&name, &ignore));
            let text =
                format!("the field {} is left out by {cover} of `ignore`: leave it out here", field.name);
            problems.add(&path("name"), text);
        }
        let has_ports = matches!(profile.format, None | Some(Format::Lorawan));
        if field.port.is_some() && !has_ports {
            let text = "only uplinks have a `port`, and `format` says that there are none: leave it out";
            problems.add(&path("port"), text);
        }
    }
    for (index, field) in fields.field.iter().enumerate() {
        let path = |key| [Step::Key("field"), Step::Index(index), Step::Key(key)];
        if field.scale == Some(1.0) {
            problems.add(&path("scale"), "`scale = 1` changes nothing: leave it out");
        }
        if field.add == Some(0.0) {
            problems.add(&path("add"), "`add = 0` changes nothing: leave it out");
        }
    }
}
