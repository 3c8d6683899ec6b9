//! Members that a profile says are times, qualities or names of devices: each member is one of these only, the first that
//! [`Profile::role`] finds.

use super::covering;
use crate::profile::written::{Problems, ProfileFields, Step};
use crate::profile::{Gateway, NamePattern, Profile};

/// Warns of patterns whose members are something else before.
pub(super) fn warn(profile: &Profile, fields: &ProfileFields, problems: &mut Problems) {
    let mut taken: Vec<&NamePattern> = Vec::new();
    let mut check = |path: &[Step], pattern, what: &str, problems: &mut Problems| {
        if pattern_is_taken(&taken, pattern) {
            let cover = covering(pattern, &taken);
            let text = format!(
                "{} is never {what}: its members are what {cover} says before; leave one of the two out",
                pattern.as_str()
            );
            problems.add(path, text);
        }
        taken.push(pattern);
    };
    let time = &profile.time;
    for (index, field) in time.fields.iter().enumerate() {
        let path = [Step::Key("time"), Step::Key("field"), Step::Index(index)];
        check(&path, field, "looked at", problems);
    }
    for (index, part) in time.join.iter().enumerate() {
        let path = [Step::Key("time"), Step::Key("join"), Step::Index(index)];
        check(&path, part, "a part of a time", problems);
    }
    if let Some((fraction, _)) = &time.fraction {
        check(&[Step::Key("time"), Step::Key("fraction")], fraction, "the fraction of a time", problems);
    }
    if let Some(Gateway::Member(names)) = &profile.gateway {
        for (index, name) in names.iter().enumerate() {
            let path = [Step::Key("gateway"), Step::Index(index)];
            check(&path, name, "the name of a device", problems);
        }
    }
    qualities(profile, &taken, problems);
    formats(fields, problems);
}

/// Members that are a quality anyway, or never: their order says nothing.
fn qualities(profile: &Profile, taken: &[&NamePattern], problems: &mut Problems) {
    let fields = &profile.quality.fields;
    let mut left: Vec<usize> = (0..fields.len()).collect();
    for (index, field) in fields.iter().enumerate().rev() {
        let path = [Step::Key("quality"), Step::Key("field"), Step::Index(index)];
        let others = left.iter().filter(|other| **other != index).filter_map(|other| fields.get(*other));
        let others: Vec<&NamePattern> = taken.iter().copied().chain(others).collect();
        if pattern_is_taken(&others, field) {
            left.retain(|other| *other != index);
            let cover = covering(field, &others);
            let text =
                format!("{} says nothing as a quality that {cover} does not: leave it out", field.as_str());
            problems.add(&path, text);
        }
    }
}

fn pattern_is_taken(taken: &[&NamePattern], pattern: &NamePattern) -> bool {
    !taken.is_empty() && pattern.is_covered_by(taken)
}

/// The patterns of members that are no unit of others, as they are something else.
pub(super) fn taken(profile: &Profile) -> Vec<&NamePattern> {
    let time = &profile.time;
    let mut taken: Vec<&NamePattern> = time.fields.iter().chain(&time.join).collect();
    taken.extend(time.fraction.iter().map(|(fraction, _)| fraction));
    if let Some(Gateway::Member(names)) = &profile.gateway {
        taken.extend(names);
    }
    taken.extend(&profile.quality.fields);
    taken
}

/// A layout of times that stands twice.
fn formats(fields: &ProfileFields, problems: &mut Problems) {
    let Some(time) = &fields.time else { return };
    for (index, format) in time.format.0.iter().enumerate() {
        if time.format.0[..index].contains(format) {
            let path = [Step::Key("time"), Step::Key("format"), Step::Index(index)];
            problems.add(&path, format!("`format`: {format} stands here twice: leave one out"));
        }
    }
}
