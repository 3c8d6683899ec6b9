//! Bytes that a profile lays out.

use super::covering;
use crate::format::Format;
use crate::names::{TIME_NAMES, is_value};
use crate::profile::written::{Problems, ProfileFields, Step};
use crate::profile::{Field, Layout, NamePattern, Profile, ShapeKind};

/// Patterns that find none of the fields, where payloads have nothing else. A topic may put more before their names.
fn unknown(profile: &Profile, layout: &[Field], fields: &ProfileFields, problems: &mut Problems) {
    let has_value = layout.iter().any(|field| is_value(&field.name));
    let names = layout.iter().map(|field| NamePattern::try_from(format!("**.{}", field.name)));
    let Ok(names) = names.collect::<Result<Vec<_>, _>>() else { return };
    if profile.format != Some(Format::Bytes) || has_value {
        return;
    }
    let mut check = |path: &[Step], text: &str| {
        let pattern = NamePattern::try_from(text.to_owned());
        if pattern.is_ok_and(|pattern| !names.iter().any(|name| name.meets(&pattern))) {
            problems
                .add(path, format!("no [[field]] is called {text}: name one that there is, or leave it out"));
        }
    };
    for (index, text) in fields.ignore.0.iter().enumerate() {
        check(&[Step::Key("ignore"), Step::Index(index)], text);
    }
    for (index, metric) in fields.metric.iter().enumerate() {
        for (place, text) in metric.from.0.iter().enumerate() {
            check(&[Step::Key("metric"), Step::Index(index), Step::Key("from"), Step::Index(place)], text);
        }
    }
}

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
    unknown(profile, layout, fields, problems);
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
