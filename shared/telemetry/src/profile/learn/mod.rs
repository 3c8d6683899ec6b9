//! A first profile, from what a device has sent: names, units, times and ranges as far as messages show them. What is
//! a guess is written as a comment; the rest holds of all messages that were seen.

mod seen;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{NamePattern, Profile};
use crate::clock::{Clock, TimePolicy};
use crate::delivery::Delivery;
use crate::format::{Context, Format};
use crate::length::Length;
use crate::names::Names;
use crate::reading::Value;
use crate::reject::Reject;
use crate::sample::{Payload, Sample};
use crate::time::Micros;
use crate::topic::TopicFilter;
use seen::metrics;
use times::Times;

/// Most rules that are written: a profile with more is refused.
const MAX_RULES: usize = 200;
/// A number that may be a time is taken for one if it is at most this long before the arrival: five years.
const MAX_AGE: i64 = 5 * 366 * 86_400 * 1_000_000;
/// And at most this long after it: a day.
const MAX_AHEAD: i64 = 86_400 * 1_000_000;
/// A field that no payload has: under it, all times are samples.
const NO_FIELD: &str = "time.field = \"no time stands here\"\n";

/// What is known of messages beside their bytes.
#[derive(Debug, Clone)]
pub struct Hints<'a> {
    /// The name that the profile gets.
    pub name: &'a str,
    /// The topic that they came on.
    pub topic: Option<&'a str>,
    /// How they are written; `None`: as topic and bytes say.
    pub format: Option<Format>,
    /// About when they came.
    pub received: Micros,
}

/// A message that nothing can be learnt from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message {number}: {reject}")]
pub struct LearnError {
    /// Which, from 1.
    pub number: usize,
    /// Why.
    #[source]
    pub reject: Reject,
}

/// Writes a first profile, in TOML, of a device that has sent these messages.
///
/// # Errors
/// If one of them cannot be read.
pub fn learn<M: AsRef<[u8]>>(messages: &[M], hints: &Hints<'_>) -> Result<String, LearnError> {
    let mut base = String::new();
    let is_gateway = messages.first().is_some_and(|message| has_devices_as_members(message.as_ref()));
    if is_gateway {
        base.push_str("gateway = \"members\"\n");
    }
    let read = |more: &str| read_all(messages, hints, more);
    let mut samples = read(&base)?;
    if let Some(documents) = documents(&samples) {
        base.push_str(&documents);
        samples = read(&base)?;
    }
    let times = Times::find(&samples, &read(&format!("{base}{NO_FIELD}"))?, hints.received);
    let metrics = metrics(&samples, &times);
    let mut text = heading(messages.len(), hints, is_gateway);
    text.push_str(&base);
    text.push_str(&interval(&samples));
    text.push_str(&times.render());
    for metric in metrics.iter().take(MAX_RULES) {
        text.push_str(&metric.render());
    }
    if metrics.len() > MAX_RULES {
        let _ = writeln!(text, "\n# There are {} names more.", metrics.len() - MAX_RULES);
    }
    Ok(text)
}

/// A sample, and the place of the message that it was in.
type Sent = (usize, Sample);

/// The samples of all messages, under a profile that says `more`.
fn read_all<M: AsRef<[u8]>>(messages: &[M], hints: &Hints<'_>, more: &str) -> Result<Vec<Sent>, LearnError> {
    let profile = Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{more}")).ok();
    let policy = TimePolicy { max_age_micros: MAX_AGE, max_ahead_micros: MAX_AHEAD, ..TimePolicy::default() };
    let clock = Clock {
        received: hints.received,
        delivery: Delivery::new(""),
        policy: &policy,
        field: profile.as_ref().map(|profile| &profile.time),
    };
    let (mut names, mut payload, mut all) = (Names::default(), Payload::default(), Vec::new());
    let of_topic = hints.topic.and_then(|topic| topic.rsplit('/').next()).and_then(Format::of_topic_level);
    for (place, message) in messages.iter().enumerate() {
        let bytes = message.as_ref();
        let format = hints.format.or(of_topic).unwrap_or_else(|| Format::of_bytes(bytes));
        let mut context = Context { names: &mut names, profile: profile.as_ref(), clock: &clock };
        format
            .decode(bytes, &mut context, &mut payload)
            .map_err(|reject| LearnError { number: place + 1, reject })?;
        all.extend(payload.samples.drain(..).map(|sample| (place, sample)));
    }
    Ok(all)
}

/// Whether a payload is `{"device A": [{"ts": …, "values": {…}}]}`.
fn has_devices_as_members(bytes: &[u8]) -> bool {
    let Ok(members) = serde_json::from_slice::<serde_json::Map<_, _>>(bytes) else { return false };
    let is_record = |record: &serde_json::Value| record["values"].is_object();
    let is_device = |records: &serde_json::Value| {
        records.as_array().is_some_and(|records| !records.is_empty() && records.iter().all(is_record))
    };
    !members.is_empty() && members.values().all(is_device)
}

/// A line that names the texts which are JSON documents, if there are any.
fn documents(samples: &[Sent]) -> Option<String> {
    let is_document = |sample: &&Sample| match &sample.value {
        Value::Text(text) if text.starts_with('{') => {
            serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok()
        }
        _ => false,
    };
    let found = samples.iter().map(|(_, sample)| sample).filter(is_document);
    let names: BTreeSet<_> = found.filter_map(|sample| pattern_of(&sample.name.sent)).collect();
    let names: Vec<_> = names.iter().take(MAX_RULES).map(|name| quoted(name)).collect();
    (!names.is_empty())
        .then(|| format!("\n# Their texts are documents.\ndocuments = [{}]\n", names.join(", ")))
}

fn heading(messages: usize, hints: &Hints<'_>, is_gateway: bool) -> String {
    let (topics, device) = match hints.topic.map(|topic| topic.split('/').collect::<Vec<_>>()) {
        Some(levels) => match levels[..] {
            ["dt", _, device, stream] => (Some(format!("dt/+/+/{stream}")), Some(device)),
            _ => (hints.topic.map(str::to_owned), None),
        },
        None => (None, None),
    };
    let topics = topics.filter(|topic| topic.parse::<TopicFilter>().is_ok());
    let stem = device.map_or_else(|| format!("{}-", hints.name), |device| stem(device).to_owned());
    let devices = format!("devices = {}\n", quoted(&format!("*/{stem}*")));
    let mut text = format!(
        "# Learnt from {messages} message{}. Read it through: a line that is commented out is a guess.\n\nname = {}\n\n",
        if messages == 1 { "" } else { "s" },
        quoted(hints.name),
    );
    text.push_str("# Which messages it is for: of these devices");
    match topics {
        // A profile of gateways has to name its devices.
        Some(topics) if device.is_none() && !is_gateway => {
            let _ = write!(text, ", or on these topics.\n# {devices}topics = {}\n", quoted(&topics));
        }
        Some(topics) => {
            let _ = write!(text, ", and on these topics alone.\n{devices}# topics = {}\n", quoted(&topics));
        }
        None => {
            let _ = write!(text, "; say which they are.\n{devices}");
        }
    }
    if let Some(format) = hints.format.and_then(|format| serde_json::to_string(&format).ok()) {
        let _ = writeln!(text, "format = {format}");
    }
    text
}

/// A device's name without the number that it ends in.
fn stem(device: &str) -> &str {
    device.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// How often it sends: the middle distance between messages' newest times, or else between all times.
fn interval(samples: &[Sent]) -> String {
    let mut newest: BTreeMap<usize, Micros> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (place, at) in samples.iter().filter_map(|(place, sample)| Some((*place, sample.time?.at))) {
        all.insert(at);
        newest.entry(place).and_modify(|known| *known = at.max(*known)).or_insert(at);
    }
    let of_messages: BTreeSet<_> = newest.into_values().collect();
    let (times, is_sure) = if of_messages.len() > 2 { (of_messages, true) } else { (all, false) };
    let Some(middle) = middle_distance(&times) else { return String::new() };
    let (of, mark) = if is_sure { ("messages", "") } else { ("records", "# ") };
    format!("\n# From the times of {} {of}.\n{mark}interval = \"{middle}\"\n", times.len())
}

fn middle_distance(times: &BTreeSet<Micros>) -> Option<Length> {
    let mut distances: Vec<i64> =
        times.iter().zip(times.iter().skip(1)).map(|(a, b)| b.0.saturating_sub(a.0)).collect();
    distances.sort_unstable();
    let middle = *distances.get(distances.len() / 2).filter(|_| times.len() > 2)?;
    // To the second; what is faster to the millisecond.
    let step = if middle < 2_000_000 { 1_000 } else { 1_000_000 };
    Some(Length(middle.saturating_add(step / 2) / step * step)).filter(|length| !length.is_zero())
}

/// The pattern that stands for this name, or these; `None` if none can.
fn pattern_of(name: &str) -> Option<String> {
    // A slash in front makes a pointer of a pattern.
    let pattern = match name.strip_prefix('/') {
        Some(_) => format!("/{}", name.replace('~', "~0").replace('/', "~1").replace('.', "/")),
        None => name.to_owned(),
    };
    let is_one = NamePattern::try_from(pattern.clone()).is_ok_and(|pattern| pattern.matches(name));
    is_one.then_some(pattern)
}

/// As TOML writes a text.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    // TOML allows this character nowhere.
    json.replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::MAX_NAME_BYTES;

    const RECEIVED: Micros = Micros(1_795_417_200_000_000);

    fn learnt(topic: Option<&str>, messages: &[&str]) -> String {
        let hints = Hints { name: "pump", topic, format: None, received: RECEIVED };
        let text = learn(messages, &hints).unwrap();
        let profile = Profile::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(&*profile.name, "pump");
        text
    }

    #[test]
    fn all_that_messages_show_is_written() {
        let text = learnt(
            Some("dt/plant-1/pump-7/state"),
            &[
                r#"{"ts": 1795417080, "flow": 12.5, "cell": [1, 2], "on": true, "mode": "auto", "count": "17"}"#,
                r#"{"ts": 1795417140, "flow": -3, "cell": [3, 4], "on": true, "mode": "\u007f\n", "count": "18"}"#,
                r#"{"ts": 1795417200, "flow": 8, "cell": [5, 6], "on": false, "mode": "auto", "count": "19"}"#,
            ],
        );
        let expected = r##"# Learnt from 3 messages. Read it through: a line that is commented out is a guess.

name = "pump"

# Which messages it is for: of these devices, and on these topics alone.
devices = "*/pump-*"
# topics = "dt/+/+/state"

# From the times of 3 messages.
interval = "1m"

# Its times stand in "ts", which needs no word.

# 3 values
[[metric]]
from = "flow"
# unit = "…" # of volume flow
# range = [-3, 12.5]

# 2 names, 6 values
[[metric]]
from = "cell.*"
# unit = "…"
# range = [1, 6]

# 3 values; true or false
# [[metric]]
# from = "on"

# 3 values; texts: "auto", "\u007f\n"
# [[metric]]
# from = "mode"

# 3 values; texts: "17", "18", "19", which `numbers_as_text = true` makes numbers of
# [[metric]]
# from = "count"
"##;
        assert_eq!(text, expected);
    }

    #[test]
    fn times_and_intervals_are_found_where_they_stand() {
        let check = |messages: &[&str], expected: &[&str]| {
            let text = learnt(None, messages);
            for line in expected {
                assert!(text.contains(line), "{line}:\n{text}");
            }
        };
        check(&[r#"{"a": 1}"#], &["# No time was found"]);
        check(&[r#"{"when": 1795417200000, "a": 1}"#], &["[time]\nfield = \"when\"\n# unit = \"ms\"\n"]);
        check(&[r#"{"m": {"when": "2026-11-23T07:00:00Z"}, "a": 1}"#], &["[time]\nfield = \"m.when\"\n\n"]);
        check(&[r#"{"time": "2026-11-23T07:00:00", "a": 1}"#], &["[time]\n# They are", "# zone = "]);
        check(
            &[r#"{"Zeit": "2026-11-23T07:00:00", "a": 1}"#],
            &["field = \"Zeit\"\n# They are", "# zone = "],
        );
        // A number that now and then looks like a time is none.
        check(&[r#"{"x": 1795417200}"#, r#"{"x": 12}"#], &["# No time was found", "from = \"x\""]);
        check(
            &[r#"[{"ts": 1795417197, "a": 1}, {"ts": 1795417198.5, "a": 2}, {"ts": 1795417200, "a": 3}]"#],
            &["# From the times of 3 records.\n# interval = \"1s 500ms\""],
        );
        check(&[r#"{"ts": 1795417200, "a": 1}"#, r#"{"ts": 1795417100, "a": 1}"#], &["\n\n# Its times"]);
    }

    #[test]
    fn gateways_and_documents_are_seen_through() {
        let text = learnt(
            None,
            &[r#"{"A 1": [{"ts": 1795417200000, "values": {"a": 1}}], "B": [{"values": {"b": 2}}]}"#],
        );
        assert!(text.contains("gateway = \"members\"\n") && text.contains("from = \"a\"\n"), "{text}");
        // Such a profile has to name its devices, also where the topic names none.
        let text = learnt(Some("home/hub/up"), &[r#"{"A 1": [{"ts": 1795417200000, "values": {"a": 1}}]}"#]);
        assert!(Profile::from_toml(&text).is_ok_and(|profile| !profile.devices.is_empty()), "{text}");
        let text = learnt(None, &[r#"{"data": "{\"a\": 1}", "b": "{"}"#]);
        assert!(text.contains("documents = [\"data\"]\n") && text.contains("from = \"data.a\"\n"), "{text}");
    }

    #[test]
    fn names_that_look_like_patterns_are_written_as_such() {
        let check = |name: &str, expected: &str| {
            let text = learnt(None, &[&serde_json::json!({ name: 1 }).to_string()]);
            assert!(text.contains(&format!("\n{expected}\n")), "{expected}:\n{text}");
        };
        check("a b", "from = \"a b\"");
        check("/a", "from = \"/~1a\"");
        check("/a/b~c.d", "from = \"/~1a~1b~0c/d\"");
        check("a**", "# No pattern can name \"a**\".");
        check("a.", "# No pattern can name \"a.\".");
        check("\u{7f}", "from = \"\\u007f\"");
    }

    #[test]
    fn a_profile_does_not_grow_beyond_what_is_accepted() {
        let members =
            (0..1_000).map(|number| format!("\"n{number}x\": {number}")).collect::<Vec<_>>().join(",");
        let text = learnt(None, &[&format!("{{{members}}}")]);
        assert!(text.ends_with("\n# There are 800 names more.\n"), "{text}");
    }

    #[test]
    fn a_message_that_cannot_be_read_is_named() {
        let hints = Hints { name: "p", topic: None, format: None, received: RECEIVED };
        let error = learn(&["{\"a\": 1}", "{"], &hints).unwrap_err();
        assert_eq!(error, LearnError { number: 2, reject: Reject::CutShort });
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<f64>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            "\\PC{0,8}".prop_map(serde_json::Value::from),
            Just(serde_json::Value::from(1_795_417_200)),
            Just(serde_json::Value::from("{\"a\": 1}")),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::hash_map("[a-c./*~0-9:\\PC]{1,4}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_learnt_is_a_profile(documents in proptest::collection::vec(document(), 1..4), topic in proptest::option::of("\\PC{0,12}")) {
            let messages: Vec<_> = documents.iter().map(ToString::to_string).collect();
            let hints = Hints { name: "p", topic: topic.as_deref(), format: None, received: RECEIVED };
            if let Ok(text) = learn(&messages, &hints) {
                prop_assert!(Profile::from_toml(&text).is_ok(), "{:?}\n{}", Profile::from_toml(&text), text);
            }
        }
    }

    #[test]
    fn long_names_fit() {
        let text = learnt(None, &[&serde_json::json!({ "x".repeat(MAX_NAME_BYTES): 1 }).to_string()]);
        assert!(text.contains(&"x".repeat(MAX_NAME_BYTES)));
    }
}
