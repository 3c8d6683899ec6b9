//! What an update says: what differs between a device and its shadow, within the size that a shadow may have.
//!
//! ```json
//! {"state": {"reported": {
//!     "metrics": {"temperature": {"value": 22.5, "unit": "Cel", "at": "2026-11-23T07:00:00.25Z", "quality": "good"}},
//!     "connection": {"online": true, "since": "2026-11-23T06:00:00Z"},
//!     "alert": {"rule": "hot", "severity": "warning", "state": "active", "since": "2026-11-23T06:59:00Z", "id": "…"}
//! }}}
//! ```
//!
//! Only the reported state, and of that only what has changed; null removes what is no more. A number has changed if it
//! is further from what the shadow shows than the deadband allows, that of the device's profile if it has one for the
//! metric; what has not stays out of the update and keeps its value, so that small steps add up to a change. `at` alone
//! is none.
//!
//! **Size.** The reported state as it will stand keeps below [`MAX_REPORTED_BYTES`]. Connection and alert always stay.
//! Metrics that have been silent longest (the smallest `at` and `seq`, of these the first by name) are left out until
//! the rest fits, and removed from the shadow where it shows them.
//!
//! **Order.** What is told is the item as it stands, read strongly consistent, one update after the other. In the item
//! a reading is replaced by a newer one alone ([`telemetry::Latest::merge`]), so that a shadow never goes back to an
//! older one: not even to one of the same time, of which `seq`, arrival and revision say which is the newer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use telemetry::{Metric, Profile, Quality, Value};

use crate::state::{Alert, Connection, DeviceState, Latest, Measured, Part, Shown};

/// Largest state document, in bytes, reported and desired together, metadata aside
/// (AWS IoT Device Management quotas, "Device Shadow", "Maximum size of a JSON state document").
const MAX_SHADOW_BYTES: usize = 8 * 1024;
/// Most that the reported state may take: what is left is for the frame around it, and for a desired state, which is the
/// users' and counts as well.
pub const MAX_REPORTED_BYTES: usize = MAX_SHADOW_BYTES - 1024;
/// `{"state":{"reported":{"metrics":{},"connection":,"alert":}}}`
const FRAME_BYTES: usize = 60;
/// A time with all its decimals, so that a metric's size does not depend on when it was measured.
const LONGEST_TIME: &str = "2026-11-23T07:00:00.000001Z";

/// How far a number may be from what a shadow shows and still count as unchanged. Finite and not negative; 0: any
/// change counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deadband {
    /// In percent of what the shadow shows.
    Percent(f64),
    /// In the number's own unit.
    Absolute(f64),
}

/// The deadbands of one device's metrics.
#[derive(Debug, Clone, Copy)]
pub struct Deadbands<'a> {
    /// That of metrics of which the profile says nothing, in percent.
    pub percent: f64,
    /// The device's profile.
    pub profile: Option<&'a Profile>,
}

impl Deadbands<'_> {
    /// Whether `new` counts as a change of a metric from `shown`.
    fn are_left(&self, metric: &str, new: &Measured, shown: &Measured) -> bool {
        // What is the same needs no look into the profile.
        new != shown && self.of(metric).is_left(new, shown)
    }

    fn of(&self, metric: &str) -> Deadband {
        let known = self.profile.and_then(|profile| profile.deadband(metric));
        known.map_or(Deadband::Percent(self.percent), Deadband::Absolute)
    }
}

impl Deadband {
    /// Whether `new` counts as a change from `shown`.
    pub fn is_left(self, new: &Measured, shown: &Measured) -> bool {
        new.unit != shown.unit || new.quality != shown.quality || self.is_left_by(&new.value, &shown.value)
    }

    fn is_left_by(self, new: &Value, shown: &Value) -> bool {
        if new == shown {
            return false;
        }
        let (Some(difference), Some(shown)) = (difference(new, shown), magnitude(shown)) else { return true };
        match self {
            Self::Percent(0.0) | Self::Absolute(0.0) => true,
            // Times 100 on this side: whole percents of whole numbers are then compared exactly.
            Self::Percent(percent) => difference * 100.0 > percent * shown,
            Self::Absolute(deadband) => difference > deadband,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the difference of integers is exact, its size need not be")]
fn difference(a: &Value, b: &Value) -> Option<f64> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => Some(a.abs_diff(*b) as f64),
        (Value::Integer(a), Value::Float(b)) | (Value::Float(b), Value::Integer(a)) => {
            Some((*a as f64 - b).abs())
        }
        (Value::Float(a), Value::Float(b)) => Some((a - b).abs()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the size of a number need not be exact")]
fn magnitude(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(number.unsigned_abs() as f64),
        Value::Float(number) => Some(number.abs()),
        Value::Boolean(_) | Value::Text(_) => None,
    }
}

/// The difference between a device and its shadow.
#[derive(Debug)]
pub struct Update<'a> {
    shown: &'a Shown,
    metrics: BTreeMap<&'a Metric, Option<&'a Latest>>,
    connection: Option<Option<&'a Connection>>,
    alert: Option<Option<&'a Alert>>,
    /// Metrics for which there is no room in the shadow.
    pub left_out: usize,
}

impl<'a> Update<'a> {
    /// What the shadow has to be told of this state.
    pub fn new(state: &'a DeviceState, shown: &'a Shown, deadbands: Deadbands<'_>) -> Self {
        let mut update = Self { shown, metrics: BTreeMap::new(), connection: None, alert: None, left_out: 0 };
        if shown.at.is_none() && state.is_empty() {
            return update;
        }
        let (connection, alert) = (state.connection.as_ref(), state.alert.as_ref());
        update.connection =
            Some(connection).filter(|new| shown.connection.as_ref().map(Option::as_ref) != Some(*new));
        update.alert = Some(alert).filter(|new| shown.alert.as_ref().map(Option::as_ref) != Some(*new));
        let fixed = FRAME_BYTES + bytes(&connection) + bytes(&alert);
        let showing = Showing::new(state, shown, deadbands, MAX_REPORTED_BYTES.saturating_sub(fixed));
        update.left_out = state.metrics.len() - showing.names.len();
        let gone = shown.metrics.keys().filter(|name| !showing.names.contains(name));
        update.metrics.extend(gone.map(|name| (name, None)));
        // What is removed makes room, so it is told first; what finds none in this document goes into the next.
        let gone = update.metrics.keys().map(|name| bytes(name) + ":null,".len());
        let mut room = MAX_SHADOW_BYTES.saturating_sub(fixed + gone.sum::<usize>());
        for (name, latest) in showing.changed {
            let size = entry_bytes(name, &latest.measured);
            if size <= room {
                room -= size;
                update.metrics.insert(name, Some(latest));
            }
        }
        update
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// What it tells of.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + '_ {
        let metrics = self.metrics.keys().map(|name| Part::Metric(name));
        let connection = self.connection.map(|_| Part::Connection);
        metrics.chain(connection).chain(self.alert.map(|_| Part::Alert))
    }

    /// The document that tells it.
    pub fn document(&self) -> String {
        let metrics = self.metrics.iter().map(|(name, latest)| {
            (name.as_ref(), latest.map(|latest| Entry::new(&latest.measured, latest.at.to_string())))
        });
        let Self { connection, alert, .. } = *self;
        let reported = Reported { metrics: metrics.collect(), connection, alert };
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        serde_json::to_string(&Document { state: State { reported } }).expect("a document is JSON")
    }

    /// What the shadow shows once it is told, but for the time.
    pub fn shown_then(&self) -> Shown {
        let mut shown = self.shown.clone();
        for (name, latest) in &self.metrics {
            match latest {
                Some(latest) => drop(shown.metrics.insert((*name).clone(), Some(latest.measured.clone()))),
                None => drop(shown.metrics.remove(*name)),
            }
        }
        if let Some(connection) = self.connection {
            shown.connection = Some(connection.cloned());
        }
        if let Some(alert) = self.alert {
            shown.alert = Some(alert.cloned());
        }
        shown
    }
}

/// The metrics that a shadow is to show.
struct Showing<'a> {
    names: BTreeSet<&'a Metric>,
    /// Those that it does not show as they are, the newest first.
    changed: Vec<(&'a Metric, &'a Latest)>,
}

impl<'a> Showing<'a> {
    /// Those of a state that find room, from the newest on.
    fn new(state: &'a DeviceState, shown: &'a Shown, deadbands: Deadbands<'_>, room: usize) -> Self {
        let mut newest_first: Vec<(&Metric, &Latest)> = state.metrics.iter().collect();
        newest_first.sort_unstable_by(|a, b| (b.1.instant(), b.0).cmp(&(a.1.instant(), a.0)));
        let mut showing = Self { names: BTreeSet::new(), changed: Vec::new() };
        let mut left = room;
        for (name, latest) in newest_first {
            let kept = shown.metrics.get(name).and_then(Option::as_ref);
            let kept = kept.filter(|kept| !deadbands.are_left(name, &latest.measured, kept));
            let size = entry_bytes(name, kept.unwrap_or(&latest.measured));
            // One that no shadow has room for takes nobody else's.
            if size > room {
                continue;
            }
            if size > left {
                break;
            }
            left -= size;
            showing.names.insert(name);
            if kept.is_none() {
                showing.changed.push((name, latest));
            }
        }
        showing
    }
}

/// What a metric takes in the document, in bytes, with the comma behind it.
fn entry_bytes(name: &Metric, measured: &Measured) -> usize {
    bytes(name) + ":,".len() + bytes(&Entry::new(measured, LONGEST_TIME.to_owned()))
}

fn bytes(value: &impl Serialize) -> usize {
    // What cannot be written is never sent; nothing here is such.
    serde_json::to_string(value).map_or(usize::MAX, |json| json.len())
}

#[derive(Serialize)]
struct Document<'a> {
    state: State<'a>,
}

#[derive(Serialize)]
struct State<'a> {
    reported: Reported<'a>,
}

#[derive(Serialize)]
struct Reported<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metrics: BTreeMap<&'a str, Option<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Option<&'a Connection>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Option<&'a Alert>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    at: String,
    quality: &'static str,
}

impl<'a> Entry<'a> {
    fn new(measured: &'a Measured, at: String) -> Self {
        let Measured { value, unit, quality } = measured;
        Self { value, unit: unit.as_deref(), at, quality: Quality::as_str(*quality) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use telemetry::attribute::read_item;

    use super::*;

    const ONE_PERCENT: Deadbands<'static> = Deadbands { percent: 1.0, profile: None };
    /// 2026-11-23T07:00:00Z.
    const SEVEN: i64 = 1_795_417_200_000_000;

    fn state(item: &Json) -> DeviceState {
        DeviceState::from_item(&read_item(&item.to_string()).unwrap()).unwrap()
    }

    /// A device whose metrics were all measured at seven, and what more its item says.
    fn device(metrics: &[(&str, Json)], more: &Json) -> DeviceState {
        let metric = |(name, value): &(&str, Json)| {
            let at = json!({"N": SEVEN.to_string()});
            ((*name).to_owned(), json!({"M": {"value": value, "at": at, "unit": {"S": "Cel"}}}))
        };
        let latest: serde_json::Map<String, Json> = metrics.iter().map(metric).collect();
        let mut item = json!({"device": {"S": "s/a"}, "latest": {"M": latest}});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state(&item)
    }

    /// What a shadow shows after all of `state` was sent to it.
    fn shown(state: &DeviceState) -> Shown {
        let nothing = Shown::default();
        let shown = Update::new(state, &nothing, ONE_PERCENT).shown_then();
        Shown { at: Some(telemetry::Micros(SEVEN)), ..shown }
    }

    fn reported(update: &Update<'_>) -> Json {
        let document: Json = serde_json::from_str(&update.document()).unwrap();
        assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["state"]);
        assert_eq!(document["state"].as_object().unwrap().keys().collect::<Vec<_>>(), ["reported"]);
        document["state"]["reported"].clone()
    }

    #[test]
    fn a_change_beyond_the_deadband_is_sent() {
        let check = |percent: f64, shown: Value, new: Value, is_sent: bool| {
            let measured =
                |value: &Value| Measured { value: value.clone(), unit: None, quality: Quality::Good };
            let is_left = Deadband::Percent(percent).is_left(&measured(&new), &measured(&shown));
            assert_eq!(is_left, is_sent, "{percent} %: from {shown} to {new}");
        };
        let (float, integer) = (Value::Float, Value::Integer);
        let (max, min) = (integer(u64::MAX.into()), integer(i64::MIN.into()));
        check(1.0, float(22.5), float(22.5), false);
        check(1.0, integer(100), integer(101), false);
        check(1.0, integer(100), integer(102), true);
        check(1.0, integer(-100), integer(-101), false);
        check(1.0, integer(-100), integer(-102), true);
        check(1.0, integer(300), integer(303), false);
        check(1.0, integer(100), float(101.000_1), true);
        check(1.0, float(100.5), integer(101), false);
        check(1.0, float(1.0), float(-1.0), true);
        check(200.0, float(1.0), float(-1.0), false);
        check(1.0, integer(0), float(1e-130), true);
        check(1_000.0, integer(0), integer(1), true);
        check(0.0, float(22.5), float(22.500_001), true);
        check(0.0, float(22.5), float(22.5), false);
        check(0.0, integer(9_007_199_254_740_992), integer(9_007_199_254_740_993), true);
        check(0.0, max.clone(), integer(i128::from(u64::MAX) - 1), true);
        check(1.0, max.clone(), min.clone(), true);
        check(f64::MAX, integer(1), max.clone(), false);
        check(f64::MAX, max, min, false);
        check(1.0, float(9.9e125), float(-9.9e125), true);
        check(50.0, Value::Boolean(true), Value::Boolean(false), true);
        check(50.0, Value::Boolean(true), Value::Boolean(true), false);
        check(50.0, Value::Text("a".into()), Value::Text("b".into()), true);
        check(50.0, Value::Text("1".into()), integer(1), true);
        check(50.0, Value::Boolean(true), integer(1), true);
    }

    #[test]
    fn a_profile_says_how_far_its_metrics_may_move() {
        let profile = Profile::from_toml(
            "name = \"p\"\ndevices = \"*/*\"\n[[metric]]\nfrom = \"t\"\nname = \"temperature\"\ndeadband = 0.5\n[[metric]]\nfrom = \"any\"\ndeadband = 0",
        )
        .unwrap();
        let check = |profile: Option<&Profile>, metric: &str, shown: f64, new: f64, is_sent: bool| {
            let measured =
                |value: f64| Measured { value: Value::Float(value), unit: None, quality: Quality::Good };
            let deadbands = Deadbands { percent: 10.0, profile };
            let is_left = deadbands.are_left(metric, &measured(new), &measured(shown));
            assert_eq!(is_left, is_sent, "{metric} from {shown} to {new}");
        };
        check(Some(&profile), "temperature", 20.25, 20.75, false);
        check(Some(&profile), "temperature", 20.25, 20.875, true);
        check(Some(&profile), "temperature", 0.25, 0.75, false);
        check(None, "temperature", 20.25, 20.875, false);
        check(None, "temperature", 0.25, 0.75, true);
        check(Some(&profile), "other", 20.25, 22.0, false);
        check(Some(&profile), "any", 20.25, 20.250_001, true);
        check(Some(&profile), "any", 20.25, 20.25, false);
    }

    #[test]
    fn the_first_update_tells_all() {
        let more = json!({
            "presence": {"M": {"online": {"BOOL": true}, "since": {"N": SEVEN.to_string()}}},
            "alert": {"M": {"rule": {"S": "hot"}, "severity": {"S": "warning"}, "state": {"S": "active"},
                            "since": {"N": (SEVEN - 1_000).to_string()}, "id": {"S": "x1"}}}
        });
        let all = device(
            &[("temperature", json!({"N": "22.5"})), ("big", json!({"N": "18446744073709551615"}))],
            &more,
        );
        let nothing = Shown::default();
        let expected = json!({
            "metrics": {
                "temperature": {"value": 22.5, "unit": "Cel", "at": "2026-11-23T07:00:00Z", "quality": "good"},
                "big": {"value": u64::MAX, "unit": "Cel", "at": "2026-11-23T07:00:00Z", "quality": "good"}
            },
            "connection": {"online": true, "since": "2026-11-23T07:00:00Z"},
            "alert": {"rule": "hot", "severity": "warning", "state": "active", "since": "2026-11-23T06:59:59.999Z", "id": "x1"}
        });
        assert_eq!(reported(&Update::new(&all, &nothing, ONE_PERCENT)), expected);
        // Whatever an earlier device of this name has left there goes.
        let bare = device(&[("ok", json!({"BOOL": false}))], &json!({}));
        let update = Update::new(&bare, &nothing, ONE_PERCENT);
        assert_eq!(
            (&reported(&update)["connection"], &reported(&update)["alert"]),
            (&Json::Null, &Json::Null)
        );
        assert!(update.document().contains(r#""alert":null"#));
        assert!(Update::new(&device(&[], &json!({})), &nothing, ONE_PERCENT).is_empty());
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let before = device(
            &[
                ("a", json!({"N": "100"})),
                ("b", json!({"N": "100"})),
                ("c", json!({"BOOL": true})),
                ("gone", json!({"N": "1"})),
            ],
            &json!({"presence": {"M": {"online": {"BOOL": true}}}, "alert": {"M": {"rule": {"S": "hot"}}}}),
        );
        let shown = shown(&before);
        assert!(Update::new(&before, &shown, ONE_PERCENT).is_empty());
        let check = |metrics: &[(&str, Json)], more: &Json, expected: Json| {
            let state = device(metrics, more);
            let update = Update::new(&state, &shown, ONE_PERCENT);
            assert_eq!(reported(&update), expected);
            let then = update.shown_then();
            assert!(Update::new(&state, &then, ONE_PERCENT).is_empty(), "told once, it is known");
            then
        };
        let entry = |value: Json| json!({"value": value, "unit": "Cel", "at": "2026-11-23T07:00:00Z", "quality": "good"});
        let online = json!({"presence": {"M": {"online": {"BOOL": true}}}});
        let then = check(
            &[
                ("a", json!({"N": "101"})),
                ("b", json!({"N": "102"})),
                ("c", json!({"BOOL": true})),
                ("new", json!({"S": "x"})),
            ],
            &online,
            json!({"metrics": {"b": entry(json!(102)), "new": entry(json!("x")), "gone": null}, "alert": null}),
        );
        assert_eq!(then.metrics[&Metric::from("a")], shown.metrics[&Metric::from("a")], "small steps add up");
        let four = [
            ("a", json!({"N": "100"})),
            ("b", json!({"N": "100"})),
            ("c", json!({"BOOL": true})),
            ("gone", json!({"N": "1"})),
        ];
        check(
            &four,
            &json!({"alert": {"M": {"rule": {"S": "hot"}, "state": {"S": "active"}}}}),
            json!({"connection": null, "alert": {"rule": "hot", "state": "active"}}),
        );
        check(
            &four[1..],
            &json!({"presence": {"M": {"online": {"BOOL": false}}}, "alert": {"M": {"rule": {"S": "hot"}}}}),
            json!({"metrics": {"a": null}, "connection": {"online": false}}),
        );
    }

    #[test]
    fn doubt_is_told_whatever_the_device_says() {
        let state = device(&[("a", json!({"N": "100"})), ("b", json!({"N": "100"}))], &json!({}));
        let mut shown = shown(&state);
        shown.doubt(Part::Metric(&"a".into()));
        shown.doubt(Part::Metric(&"vanished".into()));
        shown.doubt(Part::Alert);
        let update = Update::new(&state, &shown, ONE_PERCENT);
        let entry = json!({"value": 100, "unit": "Cel", "at": "2026-11-23T07:00:00Z", "quality": "good"});
        assert_eq!(reported(&update), json!({"metrics": {"a": entry, "vanished": null}, "alert": null}));
        assert!(Update::new(&state, &update.shown_then(), ONE_PERCENT).is_empty());
    }

    /// What the shadow holds after `document`, as AWS IoT merges it.
    fn merge(shadow: &mut Json, document: &str) {
        fn merge_into(shadow: &mut Json, update: &Json) {
            let Some(members) = update.as_object() else { return shadow.clone_from(update) };
            if !shadow.is_object() {
                *shadow = json!({});
            }
            let own = shadow.as_object_mut().unwrap();
            for (name, value) in members {
                if value.is_null() {
                    own.remove(name);
                } else {
                    merge_into(own.entry(name).or_insert(Json::Null), value);
                }
            }
        }
        let document: Json = serde_json::from_str(document).unwrap();
        merge_into(shadow, &document["state"]["reported"]);
    }

    #[test]
    fn a_shadow_keeps_below_its_size_and_loses_what_was_silent_longest() {
        // Rounds of metrics, each under names of its own, and older ones again: more than a shadow holds.
        let mut item = json!({"device": {"S": "s/a"}, "latest": {"M": {}},
                              "presence": {"M": {"online": {"BOOL": true}, "since": {"N": SEVEN.to_string()}}}});
        let (mut shadow, mut shown) = (json!({}), Shown::default());
        for round in 0_i64..12 {
            for number in 0..40 {
                let name =
                    format!("metric \" \u{e9} {:02} {number:02}", if round % 3 == 0 { 0 } else { round });
                let at = SEVEN + round * 1_000_000 + number % 2;
                let seq = json!({"N": (number % 3).to_string()});
                let text = "\u{1}".repeat(usize::try_from(round).unwrap());
                item["latest"]["M"][name] =
                    json!({"M": {"value": {"S": text}, "at": {"N": at.to_string()}, "seq": seq}});
            }
            let state = state(&item);
            for _ in 0..3 {
                let update = Update::new(&state, &shown, ONE_PERCENT);
                let document = update.document();
                assert!(document.len() <= MAX_SHADOW_BYTES, "{} bytes", document.len());
                merge(&mut shadow, &document);
                let bytes = shadow.to_string().len();
                assert!(bytes <= MAX_REPORTED_BYTES, "round {round}: {bytes} bytes");
                shown = Shown { at: Some(telemetry::Micros(SEVEN)), ..update.shown_then() };
            }
            assert!(Update::new(&state, &shown, ONE_PERCENT).is_empty(), "round {round}");
            let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<String>>();
            let there = shadow["metrics"].as_object().unwrap();
            assert_eq!(
                names(there.keys().map(String::as_str).collect()),
                names(shown.metrics.keys().map(|name| &**name).collect())
            );
            assert_eq!(shadow["connection"]["online"], true);
            let oldest = state.metrics.iter().filter(|(name, _)| there.contains_key(&***name));
            let oldest = oldest.map(|(name, latest)| (latest.instant(), name)).min().unwrap();
            let is_newer =
                state.metrics.iter().filter(|(name, latest)| (latest.instant(), *name) >= oldest).count();
            assert_eq!(is_newer, there.len(), "those that are missing are older than those that are there");
            if round > 3 {
                let left_out = Update::new(&state, &Shown::default(), ONE_PERCENT).left_out;
                assert_eq!(left_out, state.metrics.len() - there.len());
                let next = oldest.1;
                let room = MAX_REPORTED_BYTES - shadow.to_string().len();
                assert!(
                    room < 2 * entry_bytes(next, &state.metrics[next].measured) + 400,
                    "{room} bytes are unused"
                );
            }
        }
    }

    #[test]
    fn a_metric_that_no_shadow_holds_takes_nobody_elses_room() {
        let huge = json!({"S": "\u{1}".repeat(1_024)});
        let name = "\u{1}".repeat(256);
        let mut state = device(&[("a", json!({"N": "1"})), (name.as_str(), huge)], &json!({}));
        state.metrics.get_mut(name.as_str()).unwrap().at = telemetry::Micros(SEVEN + 1);
        let nothing = Shown::default();
        let update = Update::new(&state, &nothing, ONE_PERCENT);
        assert_eq!(update.left_out, 1);
        assert_eq!(reported(&update)["metrics"]["a"]["value"], 1);
    }
}
