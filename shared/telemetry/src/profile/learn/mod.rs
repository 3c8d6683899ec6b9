//! A first profile, from what a device has sent: names, units, times and ranges as far as messages show them. What is
//! a guess is written as a comment; the rest holds of all messages that were seen.

mod bytes;
mod records;
mod report;
mod seen;
mod series;
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
pub use report::Remark;
use seen::metrics;
use times::Times;

/// Most names that are written: a profile with more rules is refused.
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

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// Its topic, where that is known of this message alone.
    pub topic: Option<&'a str>,
    /// Its payload.
    pub payload: &'a [u8],
}

/// A first profile, and what it makes of the messages that it was learnt from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// The profile, in TOML.
    pub text: String,
    /// Which messages it refuses, or loses something of.
    pub remarks: Vec<Remark>,
}

/// No message can be learnt from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message {number}: {reject}")]
pub struct LearnError {
    /// The first, from 1.
    pub number: usize,
    /// Why.
    #[source]
    pub reject: Reject,
}

/// Writes a first profile, in TOML, of a device that has sent these messages. Messages that cannot be read are remarked
/// upon.
///
/// # Errors
/// If none of them can be read.
pub fn learn(messages: &[Captured<'_>], hints: &Hints<'_>) -> Result<Learnt, LearnError> {
    let mut text = heading(messages, hints);
    match body(messages, hints) {
        Ok(learnt) => text.push_str(&learnt),
        Err(_) if are_bytes(messages, hints) => {
            let payloads: Vec<&[u8]> = messages.iter().map(|message| message.payload).collect();
            text.push_str(&bytes::skeleton(&payloads));
        }
        Err(error) => return Err(error),
    }
    // A name that is none is for the caller to refuse.
    let remarks = Profile::from_toml(&text).map(|profile| report::remarks(messages, hints, &profile));
    Ok(Learnt { text, remarks: remarks.unwrap_or_default() })
}

/// Whether the payloads are bytes that only a profile can lay out.
fn are_bytes(messages: &[Captured<'_>], hints: &Hints<'_>) -> bool {
    let is_text = |message: &Captured<'_>| std::str::from_utf8(message.payload).is_ok();
    hints.format == Some(Format::Bytes) || !messages.iter().any(is_text)
}

/// All but the heading.
fn body(messages: &[Captured<'_>], hints: &Hints<'_>) -> Result<String, LearnError> {
    let read = |more: &str| read_all(messages, hints, more);
    let parsed = messages.iter().filter_map(|message| serde_json::from_slice(message.payload).ok());
    let documents: Vec<serde_json::Value> = parsed.collect();
    let mut top = gateway(messages);
    let mut samples = match read(&top) {
        Err(LearnError { reject: Reject::BareValue, number }) => {
            top.push_str(
                &topic_name(messages, hints).ok_or(LearnError { number, reject: Reject::BareValue })?,
            );
            read(&top)?
        }
        outcome => outcome?,
    };
    if let Some(names) = self::documents(&samples) {
        top.push_str(&names);
        samples = read(&top)?;
    }
    let mut shapes = String::new();
    for (shape, is_certain) in records::find(&documents, hints.received) {
        // What refuses a message, or loses a value of one, is no description of it.
        let with_shape = read(&format!("{top}{shapes}\n{shape}"));
        let holds =
            is_certain && with_shape.as_ref().is_ok_and(|found| messages_of(found) == messages_of(&samples));
        match with_shape {
            Ok(found) if holds => {
                let _ = write!(shapes, "\n# Its elements name themselves.\n{shape}");
                samples = found;
            }
            _ => {
                let _ = write!(shapes, "\n# If its elements name themselves:\n{}", commented(&shape));
            }
        }
    }
    let times = Times::find(&samples, &read(&format!("{top}{NO_FIELD}{shapes}"))?, hints.received);
    // What is all that a message says is no time of anything.
    let with_times = read(&format!("{top}{}{shapes}", times.render()));
    let has_all = with_times.is_ok_and(|found| messages_of(&found) == messages_of(&samples));
    let times = if has_all { times } else { Times::default() };
    let mut text = top.clone();
    text.push_str(&sub_devices(&samples));
    text.push_str(&match interval(&samples) {
        // Distances are the same in whatever zone.
        unknown if unknown.is_empty() => interval(&read(&format!("{top}time.zone = \"UTC\"\n{shapes}"))?),
        known => known,
    });
    text.push_str(&times.render());
    text.push_str(&shapes);
    text.push_str(&series::hints(&documents, &samples));
    text.push_str(&metrics(&samples, &times));
    Ok(text)
}

/// Which messages have samples, and how many.
fn messages_of(samples: &[Sent]) -> BTreeSet<usize> {
    samples.iter().map(|(place, _)| *place).collect()
}

fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}

/// A sample, and the place of the message that it was in.
type Sent = (usize, Sample);

/// The samples of all messages that can be read, under a profile that says `more`.
fn read_all(messages: &[Captured<'_>], hints: &Hints<'_>, more: &str) -> Result<Vec<Sent>, LearnError> {
    let profile = Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{more}")).ok();
    let policy = TimePolicy { max_age_micros: MAX_AGE, max_ahead_micros: MAX_AHEAD, ..TimePolicy::default() };
    let clock = Clock {
        received: hints.received,
        delivery: Delivery::new(""),
        policy: &policy,
        field: profile.as_ref().map(|profile| &profile.time),
    };
    let (mut payload, mut all, mut refused) = (Payload::default(), Vec::new(), None);
    for (place, message) in messages.iter().enumerate() {
        let topic = message.topic.or(hints.topic);
        let stem = profile.as_ref().and_then(|profile| profile.topic_name.as_ref()?.fill(topic?));
        let mut names = Names::under(stem.as_deref().unwrap_or_default());
        let of_topic = topic.and_then(|topic| topic.rsplit('/').next()).and_then(Format::of_topic_level);
        let format = hints.format.or(of_topic).unwrap_or_else(|| Format::of_bytes(message.payload));
        let mut context = Context { names: &mut names, profile: profile.as_ref(), clock: &clock };
        match format.decode(message.payload, &mut context, &mut payload) {
            Ok(()) => all.extend(payload.samples.drain(..).map(|sample| (place, sample))),
            Err(reject) => drop(refused.get_or_insert(LearnError { number: place + 1, reject })),
        }
    }
    match refused {
        Some(refused) if all.is_empty() => Err(refused),
        _ => Ok(all),
    }
}

/// The line that says of a gateway's payloads that their members are devices.
fn gateway(messages: &[Captured<'_>]) -> String {
    let is_gateway = messages.first().is_some_and(|message| has_devices_as_members(message.payload));
    if is_gateway { "gateway = \"members\"\n".to_owned() } else { String::new() }
}

/// A line that names bare values by the last level of their topics, where that is one that any topic has.
fn topic_name(messages: &[Captured<'_>], hints: &Hints<'_>) -> Option<String> {
    let levels = |message: &Captured<'_>| Some(message.topic.or(hints.topic)?.split('/').count());
    let first = levels(messages.first()?)?;
    let are_alike = messages.iter().all(|message| levels(message) == Some(first));
    (are_alike && (2..=8).contains(&first)).then(|| {
        format!("\n# A bare value is called by the last level of its topic.\ntopic_name = \"{{{first}}}\"\n")
    })
}

/// The names under which gateways say whom a record is of; compared without case and separators.
const DEVICE_NAMES: [&str; 9] =
    ["mac", "macaddress", "address", "deveui", "eui", "devicename", "sensorid", "nodeid", "devicenr"];

/// A hint that a member may name the device that a record is of: its texts differ.
fn sub_devices(samples: &[Sent]) -> String {
    let mut texts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, sample) in samples {
        let word: String =
            sample.name.sent.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        if let Value::Text(text) = &sample.value
            && DEVICE_NAMES.contains(&&*word)
        {
            texts.entry(&sample.name.sent).or_default().insert(text);
        }
    }
    let names = texts
        .iter()
        .filter(|(_, texts)| texts.len() > 1)
        .filter_map(|(name, texts)| Some((pattern_of(name)?, texts.len())));
    let hint = |(pattern, count): (String, usize)| {
        format!(
            "\n# {count} texts: if each record is of another device, behind this one:\n# gateway = {}\n",
            quoted(&pattern)
        )
    };
    names.take(1).map(hint).collect()
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

fn heading(messages: &[Captured<'_>], hints: &Hints<'_>) -> String {
    let is_gateway = !gateway(messages).is_empty();
    let messages = messages.len();
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
    let of = if is_sure { "messages" } else { "records" };
    format!("\n# From the times of {} {of}:\n# interval = \"{middle}\"\n", times.len())
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
    use proptest::sample::select;

    use super::*;
    use crate::limits::MAX_NAME_BYTES;

    const RECEIVED: Micros = Micros(1_795_417_200_000_000);

    fn captured<'m, M: AsRef<[u8]>>(messages: &'m [M]) -> Vec<Captured<'m>> {
        messages.iter().map(|message| Captured { topic: None, payload: message.as_ref() }).collect()
    }

    fn learnt(topic: Option<&str>, messages: &[&str]) -> String {
        let hints = Hints { name: "pump", topic, format: None, received: RECEIVED };
        let text = learn(&captured(messages), &hints).unwrap().text;
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

# From the times of 3 messages:
# interval = "1m"

# Its times stand in "ts", which needs no word.

# Its names. A [[metric]] gives one a `name`, a `unit`, a `range` and more; `ignore` leaves it out.
#   "flow": 3 values; from -3 to 12.5; volume flow: unit = "…"
#   "cell.*": 2 names, 6 values; from 1 to 6
#   "on": 3 values; true or false
#   "mode": 3 values; texts: "auto", "\u007f\n"
#   "count": 3 values; texts: "17", "18", "19", which `numbers_as_text = true` makes numbers of
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
        check(&[r#"{"x": 1795417200}"#, r#"{"x": 12}"#], &["# No time was found", "#   \"x\": "]);
        check(
            &[r#"[{"ts": 1795417197, "a": 1}, {"ts": 1795417198.5, "a": 2}, {"ts": 1795417200, "a": 3}]"#],
            &["# From the times of 3 records:\n# interval = \"1s 500ms\""],
        );
        check(&[r#"{"ts": 1795417200, "a": 1}"#, r#"{"ts": 1795417100, "a": 1}"#], &["\n\n# Its times"]);
    }

    #[test]
    fn gateways_and_documents_are_seen_through() {
        let text = learnt(
            None,
            &[r#"{"A 1": [{"ts": 1795417200000, "values": {"a": 1}}], "B": [{"values": {"b": 2}}]}"#],
        );
        assert!(text.contains("gateway = \"members\"\n") && text.contains("#   \"a\": "), "{text}");
        // Such a profile has to name its devices, also where the topic names none.
        let text = learnt(Some("home/hub/up"), &[r#"{"A 1": [{"ts": 1795417200000, "values": {"a": 1}}]}"#]);
        assert!(Profile::from_toml(&text).is_ok_and(|profile| !profile.devices.is_empty()), "{text}");
        let text = learnt(None, &[r#"{"data": "{\"a\": 1}", "b": "{"}"#]);
        assert!(text.contains("documents = [\"data\"]\n") && text.contains("#   \"data.a\": "), "{text}");
    }

    #[test]
    fn names_that_look_like_patterns_are_written_as_such() {
        let check = |name: &str, expected: &str| {
            let text = learnt(None, &[&serde_json::json!({ name: 1 }).to_string()]);
            assert!(text.contains(&format!("\n{expected}")), "{expected}:\n{text}");
        };
        check("a b", "#   \"a b\": ");
        check("/a", "#   \"/~1a\": ");
        check("/a/b~c.d", "#   \"/~1a~1b~0c/d\": ");
        check("a**", "# No pattern can name \"a**\".");
        check("a.", "# No pattern can name \"a.\".");
        check("\u{7f}", "#   \"\\u007f\": ");
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
        let learnt = learn(&captured(&["{\"a\": 1}", "{"]), &hints).unwrap();
        let text = "refused: the payload is cut short: its document does not end".to_owned();
        assert_eq!(learnt.remarks, [Remark { number: 2, text }]);
        let error = learn(&captured(&["{", "["]), &hints).unwrap_err();
        assert_eq!(error, LearnError { number: 1, reject: Reject::CutShort });
    }

    /// Names and texts that something is learnt from.
    const NAMES: [&str; 14] = [
        "id",
        "tagName",
        "v",
        "reading",
        "value",
        "unit",
        "q",
        "ts",
        "when",
        "values",
        "POWER1",
        "POWER2",
        "temperature_F",
        "mac",
    ];
    const TEXTS: [&str; 10] = [
        "{\"a\": 1}",
        "ON",
        "OFF",
        "true",
        "n1",
        "n2",
        "20.5 kWh",
        "2026-11-23T06:59:58Z",
        "2026-11-23T06:59:58",
        "C",
    ];

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<f64>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            "\\PC{0,8}".prop_map(serde_json::Value::from),
            Just(serde_json::Value::from(1_795_417_200)),
            select(&TEXTS[..]).prop_map(serde_json::Value::from),
        ];
        let name = || prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), "[a-c./*~0-9:\\PC]{1,4}"];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::hash_map(name(), inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_learnt_is_a_profile(documents in proptest::collection::vec(document(), 1..4), topic in proptest::option::of("\\PC{0,12}")) {
            let messages: Vec<_> = documents.iter().map(ToString::to_string).collect();
            let hints = Hints { name: "p", topic: topic.as_deref(), format: None, received: RECEIVED };
            let Ok(Learnt { text, remarks }) = learn(&captured(&messages), &hints) else { return Ok(()) };
            let checked = Profile::check_toml(&text);
            prop_assert!(checked.as_ref().is_ok_and(|(_, warnings)| warnings.is_empty()), "{:?}\n{}", checked, text);
            for (number, message) in (1..).zip(&messages) {
                let is_refused = remarks.iter().any(|remark| remark.number == number && remark.text.starts_with("refused"));
                let alone = captured(std::slice::from_ref(message));
                let is_readable = report::is_readable(&alone[0], &hints);
                prop_assert!(!is_refused || !is_readable, "{remarks:?}\n{message}\n{text}");
            }
        }
    }

    #[test]
    fn long_names_fit() {
        let text = learnt(None, &[&serde_json::json!({ "x".repeat(MAX_NAME_BYTES): 1 }).to_string()]);
        assert!(text.contains(&"x".repeat(MAX_NAME_BYTES)));
    }
}
