//! Lists whose elements name themselves under members that no decoder knows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::times::looks_like_time;
use super::{pattern_of, quoted};
use crate::names::{TIME_NAMES, is_identity, is_quality, is_unit, is_value};
use crate::time::Micros;

/// What the name of a member that names an element has in it.
const NAMING: [&str; 12] = [
    "name", "id", "tag", "key", "code", "point", "channel", "register", "param", "sensor", "label", "signal",
];

/// What the name of a member that is a value, and no metric of its own, has in it.
const MEASURING: [&str; 7] = ["val", "reading", "measure", "result", "data", "amount", "state"];

/// Objects of one list, wherever messages have it.
struct Elements<'m> {
    /// The names that lead to the list; `None`: it is the payload itself.
    place: Option<String>,
    lists: Vec<Vec<&'m Map<String, Value>>>,
}

/// A `[[shape]]` of records for each list whose elements name themselves, and whether it is certain: one that is not is to
/// be written as a comment.
pub(super) fn find(documents: &[Value], received: Micros) -> Vec<(String, bool)> {
    let mut found: Vec<Elements<'_>> = Vec::new();
    documents.iter().for_each(|document| walk(document, &mut Vec::new(), &mut found));
    found.iter().filter_map(|elements| shape(elements, received)).collect()
}

fn walk<'m>(value: &'m Value, path: &mut Vec<&'m str>, found: &mut Vec<Elements<'m>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                path.push(name);
                walk(member, path, found);
                path.pop();
            }
        }
        Value::Array(elements) => {
            let objects: Option<Vec<_>> = elements.iter().map(Value::as_object).collect();
            let Some(objects) = objects.filter(|objects| !objects.is_empty()) else { return };
            let place = (!path.is_empty()).then(|| path.join("."));
            match found.iter_mut().find(|known| known.place == place) {
                Some(known) => known.lists.push(objects),
                None => found.push(Elements { place, lists: vec![objects] }),
            }
        }
        _ => {}
    }
}

fn shape(elements: &Elements<'_>, received: Micros) -> Option<(String, bool)> {
    let all = || elements.lists.iter().flatten();
    let first = all().next()?;
    // A member that is known to name its element does, whatever else it has.
    let has_known_name = first.keys().any(|name| is_identity(name));
    let names = first.keys().filter(|name| is_identity(name) || !has_known_name);
    let names = names.filter(|name| names_elements(name, elements));
    let name = names.min_by_key(|name| !has_naming_word(name))?;
    let has = |is_one: &dyn Fn(&str, &Value) -> bool| {
        first.keys().find(|member| {
            *member != name
                && all().all(|element| element.get(*member).is_none_or(|value| is_one(member, value)))
        })
    };
    let time = has(&|_, value| looks_like_time(value, received));
    let unit = has(&|member, value| is_unit(member) && value.is_string());
    let quality = has(&|member, value| is_quality(member) && !value.is_object());
    let is_other = |member: &&String| ![Some(name), time, unit, quality].contains(&Some(*member));
    let others: Vec<&String> = first.keys().filter(is_other).collect();
    let is_known_time = |member: &String| TIME_NAMES.iter().any(|known| known.eq_ignore_ascii_case(member));
    let value = others.iter().find(|member| is_value(member)).copied().or(match *others {
        [one] if has_word(one, &MEASURING) => Some(one),
        _ => None,
    });
    let needs_word = !is_identity(name)
        || value.is_some_and(|member| !is_value(member))
        || time.is_some_and(|member| !is_known_time(member));
    if others.is_empty() || !needs_word {
        return None;
    }
    let mut text = "[[shape]]\n".to_owned();
    if let Some(place) = &elements.place {
        let _ = writeln!(text, "at = {}", quoted(&pattern_of(place)?));
    }
    let _ = write!(text, "as = \"records\"\nname = {}\n", quoted(&format!("{{{name}}}")));
    for (key, member) in [("value", value), ("time", time), ("unit", unit), ("quality", quality)] {
        if let Some(member) = member {
            let _ = writeln!(text, "{key} = {}", quoted(member));
        }
    }
    let is_certain = all().count() > 1 && has_naming_word(name) && value.is_some();
    Some((text, is_certain))
}

/// Whether a member is a text in every element, another one in each of a list, and may be a metric.
fn names_elements(member: &str, elements: &Elements<'_>) -> bool {
    let is_name =
        |text: &str| !text.split('.').any(str::is_empty) && text.len() < 100 && text.parse::<f64>().is_err();
    let is_plain = !member.contains(['.', '{', '}', '/']);
    is_plain
        && elements.lists.iter().all(|list| {
            let texts: Option<BTreeSet<&str>> = list
                .iter()
                .map(|element| element.get(member)?.as_str().filter(|text| is_name(text)))
                .collect();
            texts.is_some_and(|texts| texts.len() == list.len())
        })
}

fn has_naming_word(member: &str) -> bool {
    has_word(member, &NAMING)
}

fn has_word(member: &str, words: &[&str]) -> bool {
    let member = member.to_ascii_lowercase();
    words.iter().any(|word| member.contains(word))
}
