//! Lists of numbers that may be a series: values of one metric at even distances of time.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Sent, pattern_of, quoted};

/// Fewer values are as likely the axes of a vector.
const MIN_VALUES: usize = 4;
/// Most lists that are spoken of.
const MAX_HINTS: usize = 3;

/// Comments for lists of numbers, if there are any: how far the values are apart, no message shows.
pub(super) fn hints(documents: &[Value], samples: &[Sent]) -> String {
    let mut places = BTreeSet::new();
    documents.iter().for_each(|document| walk(document, &mut Vec::new(), &mut places));
    let is_numbered =
        |place: &&String| samples.iter().any(|(_, sample)| *sample.name.sent == format!("{place}.0"));
    let patterns = places.iter().filter(is_numbered).filter_map(|place| pattern_of(place)).take(MAX_HINTS);
    let hint = |pattern: String| {
        format!(
            "\n# If its values were measured one after the other:\n# [[shape]]\n# at = {}\n# as = \"series\"\n# interval = \"…\"\n",
            quoted(&pattern)
        )
    };
    patterns.map(hint).collect()
}

fn walk<'m>(value: &'m Value, path: &mut Vec<&'m str>, places: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                path.push(name);
                walk(member, path, places);
                path.pop();
            }
        }
        Value::Array(values) if path.is_empty() => values.iter().for_each(|value| walk(value, path, places)),
        Value::Array(values) if values.len() >= MIN_VALUES && values.iter().all(Value::is_number) => {
            places.insert(path.join("."));
        }
        _ => {}
    }
}
