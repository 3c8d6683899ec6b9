//! What is stored, and read back.

use std::sync::Arc;

use alert::{DeviceAlerts, ItemError, MAX_OUTBOX_BYTES, Phase, Rule, RuleSet, SHARDS, Sample};
use proptest::prelude::*;
use telemetry::Value;
use telemetry::attribute::{Attribute, Item};

use crate::{CHUNK, HOUR, LATENESS, LEVEL, MAX_ITEM_BYTES, SECOND, START, Story, at, rule, sample, words};

#[test]
fn the_memory_of_a_rate_is_stored_at_first_and_every_quarter_of_an_hour() {
    let mut story =
        Story::of(r#"condition = { metric = "a", rate = { per = "1m", over = "1m" }, above = 9999 }"#);
    let mut writes = Vec::new();
    for second in (0..3_600).step_by(10) {
        story.takes(&[(second, 1)]);
        if story.alerts.has_news() {
            story.stored();
            writes.push(second);
        }
    }
    assert_eq!(writes, [0, 900, 1_800, 2_700]);
    // One that remembers nothing is not stored.
    let mut story = Story::of(LEVEL);
    for second in (0..3_600).step_by(10) {
        story.takes(&[(second, 1)]);
    }
    assert!(!story.alerts.has_news() && story.alerts.is_calm());
}

#[test]
fn an_item_is_as_its_table_says() {
    let mut story = Story::of(LEVEL);
    story.alerts.judge(&story.rule("r"), vec![sample(0, 60)], LATENESS, at(1));
    let item = story.alerts.to_item(&story.rules);
    let keys: Vec<&str> = item.keys().map(String::as_str).collect();
    assert_eq!(keys, ["alerts", "device", "outbox", "rev", "standing", "tracks"]);
    assert_eq!(item["device"], Attribute::S("plant-1/pump-7".into()));
    assert_eq!(item["rev"], Attribute::N("1".into()));
    assert!(SHARDS.contains(&item["standing"].as_s().unwrap()));
    let told = item["alerts"].as_m().unwrap()["r"].as_m().unwrap();
    assert_eq!(told["state"], Attribute::S("active".into()));
    assert_eq!(told["severity"], Attribute::S("warning".into()));
    assert_eq!(told["message"], Attribute::S("too hot".into()));
    assert_eq!(told["since"], Attribute::N(START.to_string()));
    assert_eq!(told["published"], Attribute::N((START + SECOND).to_string()));
    let outgoing = item["outbox"].as_l().unwrap()[0].as_m().unwrap();
    assert_eq!((&outgoing["rule"], &outgoing["id"]), (&Attribute::S("r".into()), &told["id"]));
    story.alerts.stored(1);
    assert!(!story.alerts.has_news());
    assert_eq!(story.alerts.to_item(&story.rules)["rev"], Attribute::N("2".into()));
}

/// Size of an item as DynamoDB counts it (Amazon DynamoDB, "Item sizes and formats").
fn size(item: &Item) -> usize {
    item.iter().map(|(name, attribute)| name.len() + size_of_one(attribute)).sum()
}

fn size_of_one(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::S(text) => text.len(),
        Attribute::N(digits) => digits.len() / 2 + 2,
        Attribute::Bool(_) | Attribute::Null(_) => 1,
        Attribute::L(list) => 3 + list.iter().map(|element| 1 + size_of_one(element)).sum::<usize>(),
        Attribute::M(map) => 3 + map.len() + size(map),
    }
}

/// What a device can bring about by 2,000 samples, and a caller who stores and publishes what fills the
/// outbox: the largest item, and how many documents there were.
fn largest(texts: &[String], value: impl Fn(usize) -> Value, metrics: usize) -> (usize, usize) {
    let rules = texts.iter().enumerate().map(|(index, text)| rule(&format!("rule-{index}"), text));
    let mut story = Story::new(rules);
    let (mut largest, mut documents) = (0, 0);
    let samples: Vec<Sample> = (0..2_000 / metrics)
        .flat_map(|n| (0..metrics).map(move |metric| (n, metric)))
        .map(|(n, metric)| Sample { metric, value: value(n), ..sample(n as i64, 0) })
        .collect();
    let mut store = |alerts: &mut DeviceAlerts, rules: &RuleSet| {
        let item = alerts.to_item(rules);
        largest = largest.max(size(&item));
        documents += alerts.outbox().len();
        alerts.stored(alerts.rev + 1);
        alerts.sent();
        item
    };
    for rule in story.rules.iter() {
        for chunk in samples.chunks(CHUNK) {
            if story.alerts.outbox_bytes() >= MAX_OUTBOX_BYTES {
                store(&mut story.alerts, &story.rules);
            }
            story.alerts.judge(rule, chunk.to_vec(), LATENESS, at(2_000));
        }
    }
    let item = store(&mut story.alerts, &story.rules);
    let read = DeviceAlerts::from_item(&item, &story.rules).unwrap();
    assert_eq!(read.told(), story.alerts.told());
    (largest, documents)
}

#[test]
fn an_item_stays_below_what_dynamodb_takes() {
    let check = |text: &str, value: &dyn Fn(usize) -> Value, metrics: usize, least: usize| {
        let (size, documents) = largest(&vec![text.to_owned(); 20], value, metrics);
        assert!(size < MAX_ITEM_BYTES, "{size} bytes: {text}");
        assert!(documents >= least, "{documents} documents: {text}");
    };
    let flapping = "flapping = { transitions = 64, within = \"1s\" }";
    let turns = |n: usize| Value::Integer(if n.is_multiple_of(2) { 60 } else { 40 });
    check(LEVEL, &turns, 1, 20 * 7);
    check(&format!("{flapping}\n{LEVEL}"), &turns, 1, 20 * 2_000);
    // As many questions as a rule may have, each to a metric of its own.
    let all = |question: &str| {
        let members =
            (0..16).map(|index| format!("{{ metric = \"{}{index}\", {question} }}", "m".repeat(250)));
        format!("{flapping}\ncondition = {{ all = [{}] }}", members.collect::<Vec<_>>().join(", "))
    };
    check(&all("above = 50"), &turns, 16, 20 * 100);
    // Rates remember points.
    let steep = |n: usize| Value::Float(if n.is_multiple_of(2) { 0.123_456_789_012_345_67 } else { 9e99 });
    check(&all("rate = { per = \"1m\", over = \"10m\" }, above = 5"), &steep, 16, 0);
    check("condition = { metric = \"a\", rate = { per = \"1m\", over = \"10m\" }, above = 5 }", &steep, 1, 0);
    // Texts of the longest kind.
    let long = |n: usize| Value::Text((if n.is_multiple_of(2) { "x" } else { "\u{1}" }).repeat(1_024).into());
    check(&all(&format!("equals = \"{}\"", "x".repeat(1_024))), &long, 16, 0);
}

#[derive(Debug, Clone)]
enum Step {
    Takes { rule: usize, gap: i64, value: i64 },
    Acknowledges(usize),
    Shelves(usize, i64),
    Unshelves(usize),
    Tidies(i64),
    Publishes,
}

fn step() -> impl Strategy<Value = Step> {
    let rule = 0_usize..3;
    prop_oneof![
        8 => (rule.clone(), 1_i64..90, prop::sample::select(vec![40_i64, 47, 60]))
            .prop_map(|(rule, gap, value)| Step::Takes { rule, gap, value }),
        1 => rule.clone().prop_map(Step::Acknowledges),
        1 => (rule.clone(), 1_i64..3_600).prop_map(|(rule, length)| Step::Shelves(rule, length)),
        1 => rule.prop_map(Step::Unshelves),
        1 => (0_i64..7_200).prop_map(Step::Tidies),
        2 => Just(Step::Publishes),
    ]
}

fn rules() -> Vec<Arc<Rule>> {
    let rate = r#"metric = "a", rate = { per = "1m", over = "1m" }, above = 7, clear = 3"#;
    vec![
        rule("r0", &format!("latch = true\nrepeat = \"1m\"\n{LEVEL}")),
        rule("r1", &format!("for = \"30s\"\nclear_after = \"20s\"\n{LEVEL}")),
        rule("r2", &format!("flapping = {{ transitions = 2, within = \"5m\" }}\ncondition = {{ {rate} }}")),
    ]
}

impl Story {
    fn does(&mut self, step: &Step, second: i64) {
        let rule = |index: usize| self.rule(&format!("r{index}"));
        match step {
            Step::Takes { rule: index, value, .. } => {
                let rule = rule(*index);
                self.alerts.judge(&rule, vec![sample(second, *value)], LATENESS, at(second));
            }
            Step::Acknowledges(index) => {
                let rule = rule(*index);
                let _ = self.alerts.acknowledge(&rule, "ada", at(second));
            }
            Step::Shelves(index, length) => {
                let rule = rule(*index);
                self.alerts.shelve(&rule, at(second + length), "ada", at(second)).unwrap();
            }
            Step::Unshelves(index) => {
                let rule = rule(*index);
                let _ = self.alerts.unshelve(&rule, at(second));
            }
            Step::Tidies(later) => self.alerts.tidy(&self.rules, HOUR, at(second + later)),
            Step::Publishes => self.alerts.sent(),
        }
    }
}

/// A text in which something is not as it was: a number is another, or a few characters are.
fn damaged(text: &str, place: prop::sample::Index, with: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || c == '-';
    let (from, to) = if with.starts_with(is_digit) {
        let is_first = |(place, c): &(usize, char)| is_digit(*c) && !text[..*place].ends_with(is_digit);
        let numbers: Vec<usize> =
            text.char_indices().filter(is_first).map(|(place, _)| place).chain([0]).collect();
        let from = numbers[place.index(numbers.len())];
        (from, text[from..].find(|c| !is_digit(c)).map_or(text.len(), |length| from + length))
    } else {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
        let index = place.index(places.len());
        (places[index], places[(index + 1 + with.len() % 3).min(places.len() - 1)])
    };
    format!("{}{with}{}", &text[..from], &text[to..])
}

fn damage() -> impl Strategy<Value = String> {
    let numbers =
        ["0", "1", "-1", "17", "-9223372036854775808", "9223372036854775807", "18446744073709551615"];
    prop_oneof![
        3 => prop::sample::select(numbers.map(str::to_owned).to_vec()),
        1 => "[\"\\[\\]{},:nulltrue]{0,4}",
    ]
}

proptest! {
    #[test]
    fn what_is_stored_is_what_was_known(steps in prop::collection::vec(step(), 1..60)) {
        let (mut kept, mut stored) = (Story::new(rules()), Story::new(rules()));
        let mut second = 0;
        for step in &steps {
            if let Step::Takes { gap, .. } = step {
                second += gap;
            }
            kept.does(step, second);
            stored.does(step, second);
            let before = stored.alerts.clone();
            stored.stored();
            prop_assert_eq!(stored.alerts.rev, before.rev + 1);
            prop_assert_eq!(stored.alerts.outbox(), kept.alerts.outbox());
            prop_assert_eq!(stored.alerts.told(), kept.alerts.told());
            prop_assert_eq!(stored.alerts.shelves(), kept.alerts.shelves());
            prop_assert_eq!(stored.alerts.worst(), kept.alerts.worst());
            // Twice is as once.
            let (item, again) = (stored.alerts.to_item(&stored.rules), stored.alerts.clone().to_item(&stored.rules));
            prop_assert_eq!(item, again);
        }
    }

    /// What is told of an alert is how it stands, but for what is shelved, flaps, or is not told.
    #[test]
    fn what_is_told_is_how_it_stands(values in prop::collection::vec((0_i64..100, prop::sample::select(vec![40_i64, 47, 60])), 1..80)) {
        let text = format!("flapping = {{ transitions = 64, within = \"1s\" }}\n{LEVEL}");
        let mut story = Story::of(&text);
        for (second, value) in values {
            let documents = story.takes(&[(second, value)]);
            let Some(track) = story.alerts.track("r") else { continue };
            let phase = track.phase().as_str();
            prop_assert_eq!(story.state().unwrap_or("normal"), phase);
            if let Some(last) = documents.last() {
                prop_assert_eq!(last["state"].as_str(), Some(phase));
            }
        }
    }

    #[test]
    fn a_damaged_item_is_an_error_or_an_item(
        steps in prop::collection::vec(step(), 1..30),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), damage()), 1..4),
    ) {
        let mut story = Story::new(rules());
        for (second, step) in (0..).step_by(20).zip(&steps) {
            story.does(step, second);
        }
        let mut item = story.alerts.to_item(&story.rules);
        for (place, index, with) in &damages {
            let name = item.keys().nth(index.index(item.len())).unwrap().clone();
            let json = serde_json::to_string(&item[&name]).unwrap();
            match serde_json::from_str::<Attribute>(&damaged(&json, *place, with)) {
                Ok(attribute) => drop(item.insert(name, attribute)),
                Err(_) => drop(item.remove(&name)),
            }
            // Of the JSON in the text, too.
            if let Some(Attribute::S(tracks)) = item.get("tracks") {
                let tracks = damaged(tracks, *place, with);
                item.insert("tracks".to_owned(), Attribute::S(tracks));
            }
        }
        let Ok(alerts) = DeviceAlerts::from_item(&item, &story.rules) else { return Ok(()) };
        story.alerts = alerts;
        // Nothing that can be done to it panics, whatever it says.
        for (second, step) in (600..).step_by(20).zip(&steps) {
            story.does(step, second);
        }
        for rule in story.rules.clone().iter() {
            let _ = story.alerts.shelve(rule, at(9_999), "ada", at(5_000));
            let _ = story.alerts.acknowledge(rule, "ada", at(5_000));
            story.alerts.tick(rule, at(8_000), at(8_000));
        }
        story.alerts.tidy(&RuleSet::default(), HOUR, at(9_000));
        story.alerts.to_item(&story.rules);
    }
}

#[test]
fn an_item_that_is_none_names_what_is_wrong() {
    let mut story = Story::of(LEVEL);
    story.alerts.judge(&story.rule("r"), vec![sample(0, 60)], LATENESS, at(1));
    story.alerts.shelve(&story.rule("r"), at(99), "ada", at(2)).unwrap();
    let good = story.alerts.to_item(&story.rules);
    assert!(DeviceAlerts::from_item(&good, &story.rules).is_ok());
    let check = |name: &'static str, attribute: Option<Attribute>| {
        let mut item = good.clone();
        match attribute.clone() {
            Some(attribute) => drop(item.insert(name.to_owned(), attribute)),
            None => drop(item.remove(name)),
        }
        let error = DeviceAlerts::from_item(&item, &story.rules).unwrap_err();
        assert_eq!(error, ItemError(name), "{attribute:?}");
    };
    for name in ["device", "rev", "tracks"] {
        check(name, None);
        check(name, Some(Attribute::Null(true)));
    }
    check("rev", Some(Attribute::N("1.5".into())));
    check("tracks", Some(Attribute::S("{".into())));
    check("tracks", Some(Attribute::S("[]".into())));
    let of_r = |entry: Item| Some(Attribute::M(Item::from([("r".to_owned(), Attribute::M(entry))])));
    for name in ["alerts", "shelves"] {
        check(name, Some(Attribute::S("none".into())));
        check(name, of_r(Item::new()));
    }
    check("outbox", Some(Attribute::S("none".into())));
    check("outbox", Some(Attribute::L(vec![Attribute::M(Item::new())])));
    let mut told = good["alerts"].as_m().unwrap()["r"].as_m().unwrap().clone();
    told.insert("severity".to_owned(), Attribute::S("fatal".into()));
    check("alerts", of_r(told));
}

#[test]
fn a_track_that_cannot_be_read_is_begun_anew_and_what_is_told_stands() {
    let mut story = Story::new([rule("r", LEVEL), rule("s", LEVEL)]);
    story.takes(&[(0, 60)]);
    story.judges("s", vec![sample(0, 60)]);
    story.alerts.acknowledge(&story.rule("r"), "ada", at(1)).unwrap();
    let mut item = story.alerts.to_item(&story.rules);
    let tracks = item["tracks"].as_s().unwrap().replacen("\"cutoff\"", "\"cut\"", 1);
    item.insert("tracks".to_owned(), Attribute::S(tracks));
    story.alerts = DeviceAlerts::from_item(&item, &story.rules).unwrap();
    story.documents();
    assert_eq!(story.alerts.told().len(), 2);
    assert_eq!(story.alerts.track("r").unwrap().phase(), Phase::Acknowledged);
    assert_eq!(story.alerts.track("s").unwrap().phase(), Phase::Active);
    // Readings say otherwise: both are told.
    assert_eq!(words(&story.takes(&[(10, 47)])), [""; 0]);
    assert_eq!(words(&story.takes(&[(20, 40)])), ["cleared condition"]);
    assert_eq!(words(&story.judges("s", vec![sample(20, 40)])), ["cleared condition"]);
}
