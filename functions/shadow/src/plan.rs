//! What is to be done with an event of the stream: pure, so that nearly everything is tested here.
//!
//! A record is a trigger and no more: what it says of a device may be older than what this function has sent since. So
//! the items are read as they stand, and decided on. Two things need an argument.
//!
//! **A device is passed over, unread, if each of its images says by itself that its shadow is right.** That loses no
//! change. Say that what the image's own `shadow` tells is no longer what was sent last. Then something was sent
//! since, and noted on the item: that note is a record of its own, behind this one, with all that the item
//! said by then, and is looked at. Or the function ended between sending and noting: see next.
//!
//! **What was sent and never noted** is not known to anybody, and may be wrong by now: a door that had opened is
//! closed again, as the note has it, and the shadow still says open. What was sent then was the item as it stood
//! while a batch was worked on, so its image is in that batch, which comes again, or behind it; and it says of
//! itself that something was to be sent. So whatever an image says that the shadow was not known to show, in the
//! image's eyes and still today, is in [doubt](Shown::doubt), provided that the image was due: before that nothing can have
//! been sent. Doubt is sent with the next update, whatever the device says by then. The price: a change that is taken
//! back within one batch looks the same, and costs an update.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cloud::config::ShadowConfig;
use cloud::stream::{Change, UnknownEvent, lower};
use serde_json::value::RawValue;
use telemetry::attribute::{Item, read_item};
use telemetry::{DeviceId, Micros, Profiles};

use crate::state::{DeviceState, Shown};
use crate::update::{Deadbands, Update};

/// Longest name of an AWS IoT thing (AWS IoT API Reference, `UpdateThingShadow`, `thingName`).
const MAX_THING_CHARS: usize = 128;

/// When a shadow is told, and what.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What counts as a change of a metric of which no profile says it, in percent.
    pub deadband_percent: f64,
    /// What is known of kinds of devices.
    pub profiles: Arc<Profiles>,
    /// Least time between two updates of one shadow, in microseconds.
    pub min_interval: i64,
}

impl Rules {
    /// As configured, and with what profiles say.
    pub fn new(config: &ShadowConfig, profiles: Arc<Profiles>) -> Self {
        Self {
            deadband_percent: config.deadband_percent,
            profiles,
            min_interval: i64::from(config.min_interval_seconds) * 1_000_000,
        }
    }

    /// What counts as a change of a device's metrics: by the profile that its messages are read by, else by the one
    /// that its id fits.
    fn deadbands(&self, state: &DeviceState) -> Deadbands<'_> {
        let named = state.profile.as_ref().and_then(|name| self.profiles.get(name));
        let profile = named.or_else(|| self.profiles.of_device(&state.device));
        Deadbands { percent: self.deadband_percent, profile: profile.map(|profile| &**profile) }
    }

    /// When the next update may be sent. A last one in the future was noted by another clock, and counts as now.
    fn due(&self, shown: &Shown, now: Micros) -> Micros {
        shown.at.map_or(now, |at| at.min(now).plus(self.min_interval))
    }

    fn is_due(&self, shown: &Shown, now: Micros) -> bool {
        self.due(shown, now) <= now
    }
}

/// What an event brings of one device.
#[derive(Debug)]
pub struct Trigger<'a> {
    /// How many of the event's records are its.
    pub records: usize,
    /// The lowest position of these.
    pub position: &'a str,
    /// The images that say that the shadow has to be told something.
    images: Vec<DeviceState>,
}

impl Trigger<'_> {
    /// Whether an image says that a thing's shadow has to be told something.
    fn has_thing(&self) -> bool {
        self.images.iter().any(|image| thing_name(image).is_some())
    }
}

/// What an event brings, by device.
#[derive(Debug, Default)]
pub struct Triggers<'a> {
    /// The devices that were written.
    pub devices: BTreeMap<DeviceId, Trigger<'a>>,
    /// Records of items that were removed.
    pub removals: usize,
}

impl<'a> Triggers<'a> {
    /// Sorts an event's changes by device.
    ///
    /// # Errors
    /// If they are none of the devices table.
    pub fn new(changes: &[Change<'a, &'a RawValue>], rules: &Rules) -> Result<Self, UnknownEvent> {
        let mut triggers = Self::default();
        for change in changes {
            let Some(image) = change.new_image else {
                triggers.removals += 1;
                continue;
            };
            let item = read_item(image.get());
            let state = item.as_ref().and_then(DeviceState::from_item).ok_or(UnknownEvent::Shape)?;
            let position = change.sequence_number;
            let trigger = Trigger { records: 0, position, images: Vec::new() };
            let trigger = triggers.devices.entry(state.device.clone()).or_insert(trigger);
            trigger.records += 1;
            trigger.position = lower(trigger.position, position);
            if !Update::new(&state, &state.shown, rules.deadbands(&state)).is_empty() {
                trigger.images.push(state);
            }
        }
        Ok(triggers)
    }

    /// The devices that have to be looked at: something may have to be sent, and there may be a thing.
    pub fn to_read(&self) -> Vec<DeviceId> {
        let to_read = self.devices.iter().filter(|(_, trigger)| trigger.has_thing());
        to_read.map(|(device, _)| device.clone()).collect()
    }
}

/// What becomes of a device's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The shadow was told.
    Sent,
    /// It is right as it is.
    Suppressed,
    /// It is told later.
    Deferred,
    /// It cannot be told, now or later.
    Failed,
    /// It could not be told, and the stream brings the records again.
    HandedBack,
}

/// An update that is to be sent.
#[derive(Debug, PartialEq)]
pub struct Sending {
    /// The device.
    pub device: DeviceId,
    /// Its thing.
    pub thing: String,
    /// What the shadow is told.
    pub document: String,
    /// What it shows then, but for the time.
    pub shown: Shown,
    /// Metrics for which it has no room.
    pub left_out: usize,
}

/// An update that has to wait.
#[derive(Debug, PartialEq)]
pub struct Deferral {
    /// The device.
    pub device: DeviceId,
    /// When the update may be sent.
    pub due: Micros,
    /// What has to be noted until then, because no image will tell it again.
    pub doubted: Option<Shown>,
}

/// The plan for one event.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is decided already.
    pub fates: BTreeMap<DeviceId, Fate>,
    /// Devices that can have no thing.
    pub no_thing: usize,
    /// What is to be sent.
    pub sendings: Vec<Sending>,
    /// What has to wait.
    pub deferrals: Vec<Deferral>,
}

impl Plan {
    /// Decides by the items as they stand; those of `unread` are handed back.
    pub fn new(
        triggers: &Triggers<'_>,
        items: &HashMap<DeviceId, Item>,
        unread: &[DeviceId],
        now: Micros,
        rules: &Rules,
    ) -> Self {
        let unread: BTreeSet<&DeviceId> = unread.iter().collect();
        let mut plan = Self::default();
        for (device, trigger) in &triggers.devices {
            let fate = if trigger.images.is_empty() {
                Some(Fate::Suppressed)
            } else if !trigger.has_thing() {
                plan.no_thing += 1;
                Some(Fate::Failed)
            } else if unread.contains(device) {
                Some(Fate::HandedBack)
            } else {
                let state = items.get(device).and_then(DeviceState::from_item);
                plan.decide(&trigger.images, state, now, rules)
            };
            plan.fates.extend(fate.map(|fate| (device.clone(), fate)));
        }
        plan
    }

    /// Notes what is to be done, or returns the fate if that is nothing.
    fn decide(
        &mut self,
        images: &[DeviceState],
        state: Option<DeviceState>,
        now: Micros,
        rules: &Rules,
    ) -> Option<Fate> {
        let Some(state) = state else { return Some(Fate::Suppressed) };
        let shown = doubted(images, &state.shown, now, rules);
        let update = Update::new(&state, &shown, rules.deadbands(&state));
        let Some(thing) = thing_name(&state).filter(|_| !update.is_empty()) else {
            return Some(Fate::Suppressed);
        };
        let device = state.device.clone();
        if rules.is_due(&shown, now) {
            let (document, left_out) = (update.document(), update.left_out);
            let thing = thing.to_owned();
            self.sendings.push(Sending { device, thing, document, shown: update.shown_then(), left_out });
        } else {
            let due = rules.due(&shown, now);
            let doubted = Some(shown).filter(|shown| *shown != state.shown);
            self.deferrals.push(Deferral { device, due, doubted });
        }
        None
    }
}

/// What the shadow shows, less what may have been sent and never noted.
fn doubted(images: &[DeviceState], shown: &Shown, now: Micros, rules: &Rules) -> Shown {
    let mut doubted = shown.clone();
    for image in images.iter().filter(|image| rules.is_due(&image.shown, now)) {
        let told = Update::new(image, shown, rules.deadbands(image));
        for part in told.parts().filter(|part| image.shown.agrees_on(shown, *part)) {
            doubted.doubt(part);
        }
    }
    doubted
}

/// The name of a device's thing: what stands behind the site. `None` if no thing can have that name, or if it is not the
/// broker that vouches for the device: then the thing of that name is another one.
fn thing_name(state: &DeviceState) -> Option<&str> {
    let (_, name) = state.device.as_str().split_once('/').filter(|_| state.identity.is_of_a_thing())?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
    Some(name).filter(|name| (1..=MAX_THING_CHARS).contains(&name.len()) && name.chars().all(is_allowed))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::nudge::UnderWay;

    /// 2026-11-23T07:00:00Z.
    const SEVEN: Micros = Micros(1_795_417_200_000_000);
    const SECOND: i64 = 1_000_000;

    fn rules() -> Rules {
        Rules { deadband_percent: 1.0, profiles: Arc::default(), min_interval: 10 * SECOND }
    }

    /// An item of the devices table, as the stream brings it.
    fn item(device: &str, metrics: &[(&str, i64)], shown: Option<&Shown>) -> String {
        let metric = |(name, value): &(&str, i64)| {
            let number = |number: i64| json!({"N": number.to_string()});
            ((*name).to_owned(), json!({"M": {"value": number(*value), "at": number(SEVEN.0)}}))
        };
        let latest: serde_json::Map<String, Json> = metrics.iter().map(metric).collect();
        let mut item = json!({"device": {"S": device}, "latest": {"M": latest}});
        if let Some(shown) = shown {
            item["shadow"] = json!(shown.to_attribute());
        }
        item.to_string()
    }

    /// What a shadow shows after an item was sent to it, `ago` microseconds before seven.
    fn shown(item: &str, ago: i64) -> Shown {
        let state = DeviceState::from_item(&read_item(item).unwrap()).unwrap();
        let nothing = Shown::default();
        let update = Update::new(&state, &nothing, rules().deadbands(&state));
        Shown { at: Some(SEVEN.plus(-ago)), ..update.shown_then() }
    }

    /// The plan for images of a stream, from position 98 on, and items as they stand; an empty image is a removal.
    fn plan(images: &[String], standing: &[String], unread: &[&str]) -> (Plan, usize, Vec<String>) {
        let raw = |json: &String| RawValue::from_string(json.clone()).unwrap();
        let images: Vec<Option<Box<RawValue>>> =
            images.iter().map(|image| (!image.is_empty()).then(|| raw(image))).collect();
        let numbers: Vec<String> = (98..).map(|number| number.to_string()).take(images.len()).collect();
        let changes = images.iter().zip(&numbers).map(|(image, number)| Change {
            sequence_number: number.as_str(),
            new_image: image.as_deref(),
            at: None,
        });
        let changes: Vec<_> = changes.collect();
        let triggers = Triggers::new(&changes, &rules()).unwrap();
        let items = standing.iter().map(|json| {
            let item = read_item(json).unwrap();
            (DeviceId::from_stored(item["device"].as_s().unwrap()), item)
        });
        let unread: Vec<DeviceId> = unread.iter().map(|device| DeviceId::from_stored(*device)).collect();
        let plan = Plan::new(&triggers, &items.collect(), &unread, SEVEN, &rules());
        let read = triggers.to_read().iter().map(DeviceId::to_string).collect();
        (plan, triggers.removals, read)
    }

    #[test]
    fn things_are_named_after_devices() {
        let state = |device: &str, more: &str| {
            let item = format!(r#"{{"device": {{"S": "{device}"}}{more}}}"#);
            DeviceState::from_item(&read_item(&item).unwrap()).unwrap()
        };
        let check = |device: &str, expected: Option<&str>| {
            assert_eq!(thing_name(&state(device, "")), expected, "{device}");
        };
        let relayed = state("plant-1/pump-7", r#", "identity": {"S": "relayed"}"#);
        assert_eq!(thing_name(&relayed), None, "the thing may be of another site");
        for word in ["gateway", "sparkplug", "payload", "of a later version"] {
            let named = state("payload::iot/pump-7", &format!(r#", "identity": {{"S": "{word}"}}"#));
            assert_eq!(thing_name(&named), None, "{word}: the thing of this name is another one");
        }
        check("plant-1/pump-7", Some("pump-7"));
        check("plant-1/a:b_C-9", Some("a:b_C-9"));
        check("plant-1", None);
        check("plant-1/", None);
        check("plant-1/a/b", None);
        check("plant-1/a b", None);
        check("plant-1/\u{e9}", None);
        let longest = "n".repeat(MAX_THING_CHARS);
        check(&format!("plant-1/{longest}"), Some(&longest));
        check(&format!("plant-1/{longest}n"), None);
    }

    #[test]
    fn what_is_decided_goes_by_the_item_as_it_stands() {
        let before = item("s/a", &[("x", 100)], None);
        let (long_ago, just_now) = (shown(&before, 60 * SECOND), shown(&before, 4 * SECOND));
        let new = |shown: &Shown| item("s/a", &[("x", 200)], Some(shown));
        let check = |image: String, standing: Vec<String>, unread: &[&str], expected: &str| {
            let (plan, _, _) = plan(&[image], &standing, unread);
            let fates = plan.fates.values().map(|fate| format!("{fate:?}"));
            let sendings = plan.sendings.iter().map(|sending| format!("send {}", sending.document));
            let deferrals = plan.deferrals.iter().map(|deferral| {
                format!("wait {} {:?}", (deferral.due.0 - SEVEN.0) / SECOND, deferral.doubted)
            });
            let found: Vec<String> = fates.chain(sendings).chain(deferrals).collect();
            assert_eq!(found, [expected]);
        };
        let told = r#"send {"state":{"reported":{"metrics":{"x":{"value":200,"at":"2026-11-23T07:00:00Z","quality":"good"}}}}}"#;
        check(new(&long_ago), vec![new(&long_ago)], &[], told);
        check(new(&just_now), vec![new(&just_now)], &[], "wait 6 None");
        check(
            new(&shown(&before, -60 * SECOND)),
            vec![new(&shown(&before, -60 * SECOND))],
            &[],
            "wait 10 None",
        );
        let small = item("s/a", &[("x", 101)], Some(&long_ago));
        check(small.clone(), vec![new(&long_ago)], &[], "Suppressed");
        check(new(&long_ago), vec![], &[], "Suppressed");
        check(new(&long_ago), vec![], &["s/a"], "HandedBack");
        // The image is older than what has been sent since.
        let sent = shown(&new(&long_ago), 2 * SECOND);
        check(new(&long_ago), vec![new(&sent)], &[], "Suppressed");
        check(item("s/a", &[("x", 150)], Some(&long_ago)), vec![new(&sent)], &[], "Suppressed");
        check(item("s/a b", &[("x", 1)], None), vec![], &[], "Failed");
    }

    #[test]
    fn records_of_one_device_are_one_trigger() {
        let known = shown(&item("s/a", &[("x", 1)], None), 60 * SECOND);
        let quiet = item("s/a", &[("x", 1)], Some(&known));
        let loud = |device: &str| item(device, &[("x", 2)], None);
        let (planned, removals, read) = plan(
            &[quiet.clone(), String::new(), loud("s/b"), loud("s/c"), loud("s/b"), quiet.clone()],
            &[loud("s/b"), loud("s/c")],
            &[],
        );
        assert_eq!((removals, read), (1, vec!["s/b".to_owned(), "s/c".to_owned()]));
        assert_eq!(planned.fates, BTreeMap::from([(DeviceId::from_stored("s/a"), Fate::Suppressed)]));
        assert_eq!(planned.sendings.len(), 2);
        // The last image says that all is well, and an earlier one that it was not.
        let (planned, _, read) = plan(&[loud("s/a"), quiet.clone()], &[quiet], &[]);
        assert_eq!((read.len(), planned.fates.len()), (1, 1), "it is looked at");
    }

    #[test]
    fn a_change_taken_back_after_an_update_that_was_never_noted_is_told() {
        let long_ago = shown(&item("s/a", &[("x", 1), ("y", 1)], None), 60 * SECOND);
        let opened = item("s/a", &[("x", 2), ("y", 1)], Some(&long_ago));
        let closed = item("s/a", &[("x", 1), ("y", 1)], Some(&long_ago));
        let (planned, _, _) = plan(from_ref(&opened), from_ref(&closed), &[]);
        let told = r#"{"state":{"reported":{"metrics":{"x":{"value":1,"at":"2026-11-23T07:00:00Z","quality":"good"}}}}}"#;
        assert_eq!(planned.sendings[0].document, told);
        // Something else was told and noted meanwhile: the doubt is noted until that, too, is long ago.
        let just_now = Shown { at: Some(SEVEN.plus(-4 * SECOND)), ..long_ago.clone() };
        let closed = item("s/a", &[("x", 1), ("y", 1)], Some(&just_now));
        let (planned, _, _) = plan(&[opened], from_ref(&closed), &[]);
        let doubted = planned.deferrals[0].doubted.as_ref().unwrap();
        assert_eq!(doubted.metrics[&*"x".to_owned()], None);
        assert!(doubted.metrics["y"].is_some() && doubted.at == just_now.at);
        // Before it was due, nothing can have been sent.
        let opened = item("s/a", &[("x", 2), ("y", 1)], Some(&just_now));
        let (planned, _, _) = plan(&[opened], &[closed], &[]);
        assert_eq!(planned.fates[&DeviceId::from_stored("s/a")], Fate::Suppressed);
    }

    /// A device, its stream, its shadow and the function, with all that may come between them.
    struct World {
        random: u64,
        now: Micros,
        /// How the last reading came to be newer.
        tie: usize,
        item: Json,
        stream: Vec<String>,
        read: usize,
        shadow: Json,
        last_noted: Option<Micros>,
        nudges: Vec<Micros>,
        under_way: UnderWay,
    }

    impl World {
        fn new(seed: u64) -> Self {
            Self {
                random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
                now: SEVEN,
                tie: 0,
                item: json!({"device": {"S": "s/a"}, "latest": {"M": {}}}),
                stream: Vec::new(),
                read: 0,
                shadow: json!({}),
                last_noted: None,
                nudges: Vec::new(),
                under_way: UnderWay::default(),
            }
        }

        fn below(&mut self, bound: usize) -> usize {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            usize::try_from(self.random % bound as u64).unwrap()
        }

        fn pass(&mut self, micros: i64) {
            self.now = self.now.plus(micros);
            let (come, left) = self.nudges.iter().partition(|due| **due <= self.now);
            self.nudges = left;
            for _ in Vec::<Micros>::into_iter(come) {
                self.set("nudged", json!({"N": self.now.0.to_string()}));
            }
        }

        fn set(&mut self, attribute: &str, value: Json) {
            self.item[attribute] = value;
            self.stream.push(self.item.to_string());
        }

        /// Somebody else writes the item.
        fn change(&mut self) {
            let (what, value) = (self.below(5), self.below(2));
            self.tie = self.below(4);
            let since = json!({"N": self.now.0.to_string()});
            match what {
                0 => self.set("presence", json!({"M": {"online": {"BOOL": value == 0}}})),
                1 if value == 0 => {
                    self.item.as_object_mut().unwrap().remove("alert");
                    self.stream.push(self.item.to_string());
                }
                1 => self.set("alert", json!({"M": {"rule": {"S": "hot"}}})),
                _ => {
                    let name = ["a", "b", "c"][what - 2];
                    let mut latest = self.item["latest"].clone();
                    let known = &latest["M"][name]["M"];
                    let number = |of: &str| known[of]["N"].as_str().map_or(0, |n| n.parse::<i64>().unwrap());
                    // Newer by its time, or replaced by one of the same time: by `seq`, arrival or revision.
                    let (at, tie) = (number("at"), self.tie);
                    let at = if tie == 0 || at == 0 { since } else { json!({"N": at.to_string()}) };
                    let next = |of: &str, which: usize| json!({"N": (number(of) + i64::from(tie == which)).to_string()});
                    let (seq, received, revision) =
                        (next("seq", 1), next("received", 2), next("revision", 3));
                    latest["M"][name] = json!({"M": {
                        "value": {"N": value.to_string()}, "at": at, "seq": seq, "received": received, "revision": revision
                    }});
                    self.set("latest", latest);
                }
            }
        }

        /// One invocation; disturbed, it may end anywhere, and others write meanwhile.
        fn work(&mut self, is_disturbed: bool) {
            let batch = (1 + self.below(6)).min(self.stream.len() - self.read);
            let raw = |image: &String| RawValue::from_string(image.clone()).unwrap();
            let images: Vec<_> = self.stream[self.read..self.read + batch].iter().map(raw).collect();
            let change = |image| Change { sequence_number: "1", new_image: Some(image), at: None };
            let changes: Vec<_> = images.iter().map(|image| change(&**image)).collect();
            let triggers = Triggers::new(&changes, &rules()).unwrap();
            let item = read_item(&self.item.to_string()).unwrap();
            let items = HashMap::from([(DeviceId::from_stored("s/a"), item)]);
            let plan = Plan::new(&triggers, &items, &[], self.now, &rules());
            for _ in 0..if is_disturbed { self.below(3) } else { 0 } {
                self.change();
            }
            if is_disturbed && self.below(8) == 0 {
                self.under_way = UnderWay::default();
                return;
            }
            for sending in plan.sendings {
                merge(&mut self.shadow, &serde_json::from_str(&sending.document).unwrap());
                let pause = i64::try_from(self.below(3_000_000)).unwrap();
                self.pass(pause);
                if is_disturbed && self.below(3) == 0 {
                    self.under_way = UnderWay::default();
                    return;
                }
                let is_early = self.last_noted.is_some_and(|last| last.plus(rules().min_interval) > self.now);
                assert!(!is_early, "two updates in one interval");
                self.last_noted = Some(self.now);
                let shown = Shown { at: Some(self.now), ..sending.shown };
                self.set("shadow", json!(shown.to_attribute()));
            }
            for Deferral { device, due, doubted } in plan.deferrals {
                if let Some(shown) = doubted {
                    self.set("shadow", json!(shown.to_attribute()));
                }
                if !self.under_way.has(&device, due) {
                    self.nudges.push(due);
                    self.under_way.add(device, due, self.now);
                }
            }
            self.read += batch;
        }

        fn settle(&mut self) {
            while self.read < self.stream.len() || !self.nudges.is_empty() {
                if self.read < self.stream.len() {
                    self.work(false);
                } else {
                    self.pass(SECOND);
                }
            }
        }

        /// What the shadow has to show in the end.
        fn expected(&self) -> Json {
            let latest = self.item["latest"]["M"].as_object().unwrap().iter();
            let value = |metric: &Json| metric["M"]["value"]["N"].as_str().unwrap().parse::<i64>().unwrap();
            let metrics: serde_json::Map<String, Json> =
                latest.map(|(name, metric)| (name.clone(), json!(value(metric)))).collect();
            let connection =
                self.item.get("presence").map(|presence| json!({"online": presence["M"]["online"]["BOOL"]}));
            let alert = self.item.get("alert").map(|_| json!({"rule": "hot"}));
            json!({"metrics": metrics, "connection": connection, "alert": alert})
        }
    }

    fn merge(shadow: &mut Json, document: &Json) {
        for (name, part) in document["state"]["reported"].as_object().unwrap() {
            match (name.as_str(), part.as_object()) {
                ("metrics", Some(metrics)) => {
                    for (metric, entry) in metrics {
                        shadow[name][metric] = entry["value"].clone();
                    }
                }
                _ => shadow[name] = part.clone(),
            }
        }
    }

    /// Ends at any place, other writers at any time, batches cut anywhere, a flapping device.
    #[test]
    fn whatever_happens_the_shadow_shows_the_device_in_the_end() {
        for seed in 1..500 {
            let mut world = World::new(seed);
            for _ in 0..40 {
                match world.below(4) {
                    0 => world.change(),
                    1 => {
                        let micros = i64::try_from(world.below(8_000_000)).unwrap();
                        world.pass(micros);
                    }
                    _ if world.read < world.stream.len() => world.work(true),
                    _ => {}
                }
            }
            world.change();
            world.settle();
            let mut expected = world.expected();
            if expected["metrics"] == json!({}) {
                expected.as_object_mut().unwrap().remove("metrics");
            }
            assert_eq!(world.shadow, expected, "seed {seed}");
        }
    }
}
