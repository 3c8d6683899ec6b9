//! Rules of metrics: which are never reached, which make one metric of several names, and keys that change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{covering, roles, shapes};
use crate::format::Format;
use crate::format::shape::unit_of_number;
use crate::measure::number_of_text;
use crate::profile::name_pattern::fresh;
use crate::profile::written::{Problems, ProfileFields, Step};
use crate::profile::{MetricRule, NamePattern, Profile, ShapeKind, ValueType};
use crate::reading::Value;
use crate::unit;

/// A rule, and where it is written: the number of its `[[metric]]`, and of its pattern there.
struct Placed<'p> {
    rule: &'p MetricRule,
    metric: usize,
    pattern: usize,
}

impl Placed<'_> {
    fn path(&self, key: &'static str) -> [Step; 3] {
        [Step::Key("metric"), Step::Index(self.metric), Step::Key(key)]
    }

    fn pattern_path(&self) -> [Step; 4] {
        [Step::Key("metric"), Step::Index(self.metric), Step::Key("from"), Step::Index(self.pattern)]
    }
}

/// Warns of what metrics' rules cannot do.
pub(super) fn warn(profile: &Profile, fields: &ProfileFields, problems: &mut Problems) {
    let places = fields
        .metric
        .iter()
        .enumerate()
        .flat_map(|(metric, fields)| (0..fields.from.0.len()).map(move |pattern| (metric, pattern)));
    let rules: Vec<Placed<'_>> = profile
        .metrics
        .iter()
        .zip(places)
        .map(|(rule, (metric, pattern))| Placed { rule, metric, pattern })
        .collect();
    let mut reached = Vec::new();
    for (number, placed) in rules.iter().enumerate() {
        let before: Vec<&NamePattern> = rules[..number].iter().map(|placed| &placed.rule.from).collect();
        if is_beyond_reach(profile, placed, &before, problems) {
            continue;
        }
        if let Some(later) = said_again(number, &rules) {
            let text = format!(
                "{} says of {} what this rule does: leave this one out",
                later.rule.from.as_str(),
                placed.rule.from.as_str()
            );
            problems.add(&placed.pattern_path(), text);
            continue;
        }
        stars_left_out(placed, problems);
        unit_source(profile, placed, problems);
        reached.push(placed);
    }
    merging(&reached, problems);
    for (metric, fields) in fields.metric.iter().enumerate() {
        let of_metric: Vec<_> = reached.iter().filter(|placed| placed.metric == metric).collect();
        let Some(first) = of_metric.first() else { continue };
        name_as_sent(&of_metric, problems);
        keys_without_effect(profile, first, fields, problems);
        let is_bare = fields.says_nothing() && of_metric.len() == 1;
        if is_bare && is_as_without(first, &reached) {
            let text = format!(
                "the rule for {} says nothing of it: give it a `name`, a `unit` or the like, or leave it out",
                first.rule.from.as_str()
            );
            problems.add(&first.path("from"), text);
        }
    }
}

/// Whether no name reaches a rule, or none becomes a reading. A deadband is looked up by what a metric is called, and may
/// be of use whatever `from` finds.
fn is_beyond_reach(
    profile: &Profile,
    placed: &Placed<'_>,
    before: &[&NamePattern],
    problems: &mut Problems,
) -> bool {
    let from = &placed.rule.from;
    let has_deadband = placed.rule.deadband.is_some();
    if !before.is_empty() && from.is_covered_by(before) {
        if !has_deadband {
            let text = format!(
                "no name reaches {}: {} stands before it and finds the same; put this one first, or leave it out",
                from.as_str(),
                covering(from, before)
            );
            problems.add(&placed.pattern_path(), text);
        }
        return true;
    }
    let ignore: Vec<&NamePattern> = profile.ignore.iter().collect();
    if !ignore.is_empty() && from.is_covered_by(&ignore) {
        if !has_deadband {
            let text = format!(
                "{} becomes no reading: {} of `ignore` leaves it out; leave out one of the two",
                from.as_str(),
                covering(from, &ignore)
            );
            problems.add(&placed.pattern_path(), text);
        }
        return true;
    }
    false
}

/// A later rule that finds all that this one does, and says the same of it.
fn said_again<'r, 'p>(number: usize, rules: &'r [Placed<'p>]) -> Option<&'r Placed<'p>> {
    let placed = rules.get(number)?;
    let later = rules.get(number + 1..)?.iter().find(|later| later.rule.from.meets(&placed.rule.from))?;
    // What stars stand for may be something else there.
    let has_stars =
        [placed.rule.name(), placed.rule.unit_from()].iter().flatten().any(|name| name.contains('{'));
    let is_same = MetricRule { from: later.rule.from.clone(), ..placed.rule.clone() } == *later.rule;
    (is_same && !has_stars && later.rule.from.covers(&placed.rule.from)).then_some(later)
}

/// Names that become one metric because what tells them apart is no part of it.
fn stars_left_out(placed: &Placed<'_>, problems: &mut Problems) {
    let rule = placed.rule;
    let Some(name) = &rule.name else { return };
    let left_out = (0..rule.from.stars()).find(|star| !name.uses(*star));
    let (what, remedy) = match left_out {
        Some(star) => (
            format!("what star {} of {} stands for is no part of it", star + 1, rule.from.as_str()),
            format!("write {{{}}} into it, or list in `from` the names of which a message has one", star + 1),
        ),
        None if rule.from.is_at_any_depth() => (
            format!("{} finds names at several places", rule.from.as_str()),
            "list in `from` the names of which a message has one".to_owned(),
        ),
        None => return,
    };
    let text = format!(
        "`name` {name} makes one metric of several names, as {what}: a message with two is refused where they differ; {remedy}"
    );
    problems.add(&placed.path("name"), text);
}

/// A name that the metric has anyway.
fn name_as_sent(of_metric: &[&&Placed<'_>], problems: &mut Problems) {
    let is_as_sent = |placed: &&&Placed<'_>| {
        placed.rule.name.is_some() && placed.rule.from.identity() == placed.rule.name()
    };
    if let Some(first) = of_metric.first().filter(|_| of_metric.iter().all(is_as_sent)) {
        let name = first.rule.name().unwrap_or_default();
        problems.add(&first.path("name"), format!("`name` {name} is how it is called anyway: leave it out"));
    }
}

/// Most patterns that are named in one warning.
const MAX_SHOWN: usize = 4;

/// Rules that make one metric of different names. Patterns of one `from` are meant to: a device sends one of them.
fn merging(rules: &[&Placed<'_>], problems: &mut Problems) {
    let mut makers: BTreeMap<String, Vec<&Placed<'_>>> = BTreeMap::new();
    for placed in rules {
        if let Some(made) = placed.rule.name().or_else(|| placed.rule.from.identity()) {
            makers.entry(made).or_default().push(placed);
        }
    }
    for (made, makers) in makers {
        let merges = |(number, placed): (usize, &&Placed<'_>)| {
            makers.iter().take(number).any(|other| is_merged(other, placed, rules))
        };
        let Some(second) = makers.iter().enumerate().find(|maker| merges(*maker)).map(|(_, placed)| placed)
        else {
            continue;
        };
        let mut patterns: Vec<&str> =
            makers.iter().take(MAX_SHOWN).map(|placed| placed.rule.from.as_str()).collect();
        patterns.extend((makers.len() > MAX_SHOWN).then_some("others"));
        let text = format!(
            "{} all become {made}: a message with two of them is refused where they differ; list them in one `from` if a device sends only one, else give them names of their own",
            patterns.join(", ")
        );
        problems.add(&second.path(if second.rule.name.is_some() { "name" } else { "from" }), text);
    }
}

/// Whether two rules make one metric of what a message may have both of. Rules that read one quantity as it is written in
/// different ways cannot stand in one `from`, and are alternatives; so are names that end in different units.
fn is_merged(one: &Placed<'_>, other: &Placed<'_>, rules: &[&Placed<'_>]) -> bool {
    let (a, b) = (one.rule, other.rule);
    let is_written_alike = a.map == b.map
        && a.value_type == b.value_type
        && a.scale == b.scale
        && a.offset == b.offset
        && a.range == b.range
        && a.sentinels == b.sentinels;
    let text = |rule: &MetricRule| rule.unit.as_ref().map(|unit| Arc::clone(&unit.text));
    let canonical = |rule: &MetricRule| rule.unit.as_ref().map(|unit| unit.canonical().to_owned());
    let has_stars = a.name.as_ref().is_none_or(|name| name.uses(0)) && a.from.stars() > 0;
    let are_alternatives = text(a) != text(b) && (has_stars || canonical(a) == canonical(b));
    one.metric != other.metric && is_written_alike && !are_alternatives && reaches_another(one, other, rules)
}

/// Whether the same for all stars gives names that the one rule finds, and others that the other one does.
fn reaches_another(one: &Placed<'_>, other: &Placed<'_>, rules: &[&Placed<'_>]) -> bool {
    let fresh = fresh(&rules.iter().map(|placed| placed.rule.from.as_str()));
    let witness = |placed: &Placed<'_>| {
        let name = placed.rule.from.witnesses(fresh, 0).pop()?;
        let first = rules.iter().find(|known| known.rule.from.matches(&name))?;
        std::ptr::eq(first.rule, placed.rule).then_some(name)
    };
    matches!((witness(one), witness(other)), (Some(one), Some(other)) if one != other)
}

/// A member that is never the unit of another.
fn unit_source(profile: &Profile, placed: &Placed<'_>, problems: &mut Problems) {
    if profile.format == Some(Format::Bytes) && placed.rule.unit_from.is_some() {
        let text =
            "`unit_from` is a text, and bytes have none: say the unit by `unit`, there or of the field";
        return problems.add(&placed.path("unit_from"), text);
    }
    // Rules are about names with what the topic puts before them, places are not.
    if profile.topic_name.is_some() {
        return;
    }
    let taken: Vec<&NamePattern> = roles::taken(profile)
        .into_iter()
        .chain(shapes::places_without_texts(profile))
        .chain(&profile.documents)
        .collect();
    let texts = taken.iter().map(|pattern| pattern.as_str()).chain([placed.rule.from.as_str()]);
    let Some(name) = placed.rule.from.witnesses(fresh(&texts), 0).pop() else { return };
    let Some(source) = placed.rule.unit_of(&name).filter(|_| !taken.is_empty()) else { return };
    if source.is_covered_by(&taken) {
        let written = placed.rule.unit_from().unwrap_or_default();
        let text = format!(
            "`unit_from` {written} is never a unit: the profile says by {} that it is something else; leave one of the two out",
            covering(&source, &taken)
        );
        problems.add(&placed.path("unit_from"), text);
    }
}

/// Keys that change nothing whatever is sent.
fn keys_without_effect(
    profile: &Profile,
    placed: &Placed<'_>,
    fields: &crate::profile::metric_rule::MetricFields,
    problems: &mut Problems,
) {
    if fields.scale == Some(1.0) {
        problems.add(&placed.path("scale"), "`scale = 1` changes nothing: leave it out");
    }
    if fields.offset == Some(0.0) {
        problems.add(&placed.path("offset"), "`offset = 0` changes nothing: leave it out");
    }
    if fields.value_type == Some(ValueType::Text) {
        let given = [
            ("scale", fields.scale.is_some()),
            ("offset", fields.offset.is_some()),
            ("range", fields.range.is_some()),
            ("sentinels", fields.sentinels.is_some()),
            ("deadband", fields.deadband.is_some()),
            // Elsewhere a unit says that the text `nan` is meant as a number, and bad.
            (
                "unit",
                fields.unit.is_some()
                    && (profile.numbers_as_text || profile.allows_nan() || never_is_text(profile, placed)),
            ),
        ];
        for (key, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            let text =
                format!("`{key}` is of numbers, and `type = \"text\"` makes them texts: leave one out");
            problems.add(&placed.path(key), text);
        }
    }
    if fields.value_type == Some(ValueType::Boolean) {
        for (key, _) in [("range", fields.range.is_some()), ("sentinels", fields.sentinels.is_some())]
            .into_iter()
            .filter(|(_, is_given)| *is_given)
        {
            let text = format!(
                "`{key}` is of numbers, and with `type = \"boolean\"` a number is bad already: leave one out"
            );
            problems.add(&placed.path(key), text);
        }
    }
    for (place, sentinel) in placed.rule.sentinels.iter().flatten().enumerate() {
        let Some(number) = Value::from_f64(sentinel.value) else { continue };
        let is_made = placed.rule.map.values().any(|meaning| *meaning == number);
        if placed.rule.map.contains_key(&number.to_string()) && !is_made {
            let [metric, index, key] = placed.path("sentinels");
            let text =
                format!("`sentinels`: no value is {number}, as `map` says that it stands for something else");
            problems.add(&[metric, index, key, Step::Index(place)], text);
        }
    }
    for (text, _) in placed.rule.map.iter().filter(|(text, meaning)| says_itself(text, meaning)) {
        problems.add(&placed.path("map"), format!("`map`: {text:?} stands for itself anyway: leave it out"));
    }
    for key in fields.map.keys().filter(|key| !may_be_sent(profile, placed, key)) {
        let text = format!(
            "`map`: no value is {key:?} here: texts are read as something else, or numbers, which are looked up as they are written shortest"
        );
        problems.add(&placed.path("map"), text);
    }
}

/// Whether a text stands for the same text, and no number has it.
fn says_itself(text: &str, meaning: &Value) -> bool {
    let is_of_number = matches!(text, "true" | "false") || number_of_text(text).is_some();
    !is_of_number && *meaning == Value::Text(text.into())
}

/// Whether texts under all names of a rule are read as something else.
fn never_is_text(profile: &Profile, placed: &Placed<'_>) -> bool {
    let places: Vec<&NamePattern> =
        shapes::places_without_texts(profile).into_iter().chain(&profile.documents).collect();
    profile.topic_name.is_none() && !places.is_empty() && placed.rule.from.is_covered_by(&places)
}

/// Whether a value that a rule finds may have this text.
fn may_be_sent(profile: &Profile, placed: &Placed<'_>, key: &str) -> bool {
    let is_shortest = number_of_text(key).is_some_and(|number| number.to_string() == *key);
    let is_word =
        matches!(key, "true" | "false") || key.parse::<f64>().is_ok_and(|number| !number.is_finite());
    if is_shortest || is_word {
        return true;
    }
    if profile.format == Some(Format::Bytes) || never_is_text(profile, placed) {
        return false;
    }
    let reads_it = profile.shapes.iter().any(|shape| match (&shape.kind, &shape.at) {
        (ShapeKind::Number { decimal }, Some(at)) => {
            profile.topic_name.is_none()
                && at.covers(&placed.rule.from)
                && unit_of_number(key, *decimal).is_some()
        }
        _ => false,
    });
    !reads_it
}

/// Whether a rule that says nothing more changes nothing: its one name has no unit to be read off it, and no later rule
/// would find it.
fn is_as_without(placed: &Placed<'_>, reached: &[&Placed<'_>]) -> bool {
    let from = &placed.rule.from;
    let Some(name) = from.witnesses('\u{e000}', 0).pop() else { return false };
    let is_one = from.stars() == 0 && !from.is_at_any_depth();
    let after = reached.iter().skip_while(|known| !std::ptr::eq(known.rule, placed.rule)).skip(1);
    is_one && unit::of_name(&name).is_none() && !after.into_iter().any(|known| known.rule.from.matches(&name))
}
