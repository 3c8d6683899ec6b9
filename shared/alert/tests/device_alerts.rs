//! All alerts of one device: what is told of them, and what is stored.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use alert::{
    DeviceAlerts, ItemError, MAX_OUTBOX_BYTES, MAX_SHELF_MICROS, Outgoing, Phase, Refusal, Rule, RuleSet,
    SHARDS, Sample,
};
use proptest::prelude::*;
use serde_json::json;
use telemetry::attribute::{Attribute, Item};
use telemetry::{DeviceId, Micros, Value};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
const START: i64 = 1_795_417_200_000_000;
/// What DynamoDB allows of one item (Amazon DynamoDB quotas), in bytes of its own counting.
const MAX_ITEM_BYTES: usize = 400 * 1024;
/// Samples that the function judges before it looks whether the outbox is full.
const CHUNK: usize = 64;

const LEVEL: &str = r#"condition = { metric = "a", unit = "Cel", above = 50, clear = 45 }"#;

fn rule(name: &str, text: &str) -> Arc<Rule> {
    let severity = if text.contains("severity") { "" } else { "severity = \"warning\"\n" };
    let text = format!("name = \"{name}\"\n{severity}message = \"too hot\"\n{text}");
    Arc::new(Rule::from_toml(&text).unwrap())
}

fn at(second: i64) -> Micros {
    Micros(START + second * SECOND)
}

fn sample(second: i64, value: i64) -> Sample {
    let at = at(second);
    let value = Value::Integer(value.into());
    Sample { at, received: at, metric: 0, value, unit: Some("Cel".into()) }
}

/// One device, told in seconds; the clock says what the readings say unless it is set.
struct Story {
    rules: RuleSet,
    alerts: DeviceAlerts,
    now: Micros,
}

impl Story {
    fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let alerts = DeviceAlerts::new(DeviceId::from_stored("plant-1/pump-7"));
        Self { rules: RuleSet::new(rules), alerts, now: at(0) }
    }

    fn of(text: &str) -> Self {
        Self::new([rule("r", text)])
    }

    fn rule(&self, name: &str) -> Arc<Rule> {
        Arc::clone(self.rules.get(name).unwrap())
    }

    /// Judges samples by the rule `r`, and returns the documents that came of it.
    fn takes(&mut self, samples: &[(i64, i64)]) -> Vec<serde_json::Value> {
        self.judges("r", samples.iter().map(|(second, value)| sample(*second, *value)).collect())
    }

    fn judges(&mut self, name: &str, samples: Vec<Sample>) -> Vec<serde_json::Value> {
        let rule = self.rule(name);
        self.now = samples.iter().map(|sample| sample.at).max().unwrap_or(self.now).max(self.now);
        self.alerts.judge(&rule, samples, LATENESS, self.now);
        self.documents()
    }

    /// What is new in the outbox; `null` where what is retained is removed.
    fn documents(&mut self) -> Vec<serde_json::Value> {
        let read = |outgoing: &Outgoing| match outgoing.payload.as_str() {
            "" => serde_json::Value::Null,
            payload => serde_json::from_str(payload).unwrap(),
        };
        let documents = self.alerts.outbox().iter().map(read).collect();
        self.alerts.sent();
        documents
    }

    fn tidies(&mut self, now: Micros) -> Vec<serde_json::Value> {
        self.now = now;
        self.alerts.tidy(&self.rules, HOUR, now);
        self.documents()
    }

    /// What is stored is read again, by rules that may have changed.
    fn stored(&mut self) {
        let item = self.alerts.to_item(&self.rules);
        let json = serde_json::to_string(&item).unwrap();
        self.alerts = DeviceAlerts::from_item(&serde_json::from_str(&json).unwrap(), &self.rules).unwrap();
    }

    fn state(&self) -> Option<&str> {
        self.alerts.told().get("r").map(|told| told.state.as_str())
    }
}

fn words(documents: &[serde_json::Value]) -> Vec<String> {
    let word = |document: &serde_json::Value| match document {
        serde_json::Value::Null => "removed from the broker".to_owned(),
        document => {
            format!("{} {}", document["state"].as_str().unwrap(), document["cause"].as_str().unwrap())
        }
    };
    documents.iter().map(word).collect()
}

/// The only document, without its id.
fn without_id(documents: Vec<serde_json::Value>) -> serde_json::Value {
    let [mut document] = <[serde_json::Value; 1]>::try_from(documents).unwrap();
    let id = document.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 16, "{id}");
    document
}

#[test]
fn documents_say_what_happened_and_why() {
    let mut story = Story::of(&format!("latch = true\nrepeat = \"1m\"\n{LEVEL}"));
    story.takes(&[(0, 40)]);
    assert_eq!(
        without_id(story.takes(&[(10, 55)])),
        json!({
            "rule": "r",
            "device": "plant-1/pump-7",
            "state": "active",
            "previous": "normal",
            "cause": "condition",
            "severity": "warning",
            "message": "too hot",
            "at": "2026-11-23T07:00:10Z",
            "since": "2026-11-23T07:00:10Z",
            "metric": "a",
            "value": 55,
            "unit": "Cel",
            "threshold": { "test": "above", "level": "50" },
            "evidence": [{
                "metric": "a",
                "holds": true,
                "threshold": { "test": "above", "level": "50" },
                "readings": [{ "at": "2026-11-23T07:00:10Z", "value": 55, "unit": "Cel" }],
            }],
        })
    );
    assert_eq!(
        without_id(story.takes(&[(70, 56)])),
        json!({
            "rule": "r",
            "device": "plant-1/pump-7",
            "state": "active",
            "previous": "active",
            "cause": "repeat",
            "severity": "warning",
            "message": "too hot",
            "at": "2026-11-23T07:01:10Z",
            "since": "2026-11-23T07:00:10Z",
            "metric": "a",
            "value": 56,
            "unit": "Cel",
            "threshold": { "test": "above", "level": "50" },
            "evidence": [{
                "metric": "a",
                "holds": true,
                "threshold": { "test": "above", "level": "50" },
                "readings": [
                    { "at": "2026-11-23T07:00:10Z", "value": 55, "unit": "Cel" },
                    { "at": "2026-11-23T07:01:10Z", "value": 56, "unit": "Cel" },
                ],
            }],
        })
    );
    let document = without_id(story.takes(&[(80, 45)]));
    assert_eq!((&document["state"], &document["previous"]), (&json!("latched"), &json!("active")));
    assert_eq!((&document["value"], &document["evidence"][0]["holds"]), (&json!(45), &json!(false)));

    story.alerts.acknowledge(&story.rule("r"), "ada", at(90)).unwrap();
    let document = without_id(story.documents());
    assert_eq!(document["state"], "cleared");
    assert_eq!((&document["cause"], &document["by"]), (&json!("acknowledged"), &json!("ada")));
    assert_eq!(document["since"], "2026-11-23T07:00:10Z");

    // A combination tells each of its questions; a rate its number, silence when something was heard last.
    let text = r#"condition = { all = [
        { metric = "a", rate = { per = "1m", over = "20s" }, above = 3 },
        { metric = "mode", equals = "auto" },
    ] }"#;
    let mut story = Story::of(text);
    let mode = Sample { metric: 1, value: Value::Text("auto".into()), unit: None, ..sample(0, 0) };
    let document = without_id(story.judges("r", vec![sample(0, 10), mode, sample(10, 11)]));
    assert_eq!(document["threshold"], json!({ "test": "above", "level": "3" }));
    assert_eq!(
        document["evidence"],
        json!([
            {
                "metric": "a",
                "holds": true,
                "threshold": { "test": "above", "level": "3" },
                "number": 6.0,
                "readings": [{ "at": "2026-11-23T07:00:10Z", "value": 11, "unit": "Cel" }],
            },
            {
                "metric": "mode",
                "holds": true,
                "threshold": { "test": "equals", "level": "auto" },
                "readings": [{ "at": "2026-11-23T07:00:00Z", "value": "auto" }],
            },
        ])
    );

    let mut story = Story::of("condition = { silent = \"10m\" }");
    story.takes(&[(0, 1)]);
    story.alerts.tick(&story.rule("r"), at(900), at(900));
    let document = without_id(story.documents());
    assert_eq!((&document["at"], document.get("metric")), (&json!("2026-11-23T07:10:00Z"), None));
    assert_eq!(document["threshold"], json!({ "test": "silent", "level": "10m" }));
    assert_eq!(document["evidence"][0]["readings"][0]["at"], "2026-11-23T07:00:00Z");
}

#[test]
fn who_flaps_is_told_so_once() {
    let mut story = Story::of(&format!("flapping = {{ transitions = 2, within = \"1m\" }}\n{LEVEL}"));
    let documents = story.takes(&[(0, 60), (1, 40), (2, 60), (3, 40), (4, 60)]);
    assert_eq!(words(&documents), ["active condition", "cleared condition", "active unstable"]);
    assert_eq!(documents[2]["unstable"], true);
    let documents = story.takes(&[(64, 60)]);
    assert_eq!(words(&documents), ["active stable"]);
    assert_eq!(documents[0].get("unstable"), None);
}

#[test]
fn the_same_has_the_same_id_whatever_was_stored_or_repeated() {
    let text = format!("latch = true\nrepeat = \"1m\"\n{LEVEL}");
    let samples = [(0, 40), (10, 55), (20, 47), (70, 56), (80, 44), (90, 60), (300, 60), (310, 40)];
    let mut once = Story::of(&text);
    let expected = once.takes(&samples);
    let ids: std::collections::BTreeSet<&str> =
        expected.iter().map(|document| document["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), expected.len());

    let mut again = Story::of(&text);
    let mut documents = Vec::new();
    for sample in samples {
        documents.extend(again.takes(&[sample]));
        again.stored();
        assert_eq!(again.takes(&[sample]), [json!(null); 0], "the same again");
        assert!(!again.alerts.has_news());
    }
    assert_eq!(documents, expected);

    // Another device's are others.
    let mut other = Story::of(&text);
    other.alerts.device = DeviceId::from_stored("plant-1/pump-8");
    let documents = other.takes(&samples);
    assert!(documents.iter().all(|document| !ids.contains(document["id"].as_str().unwrap())));
}

#[test]
fn a_correction_names_what_it_corrects() {
    let mut story = Story::of(LEVEL);
    let active = story.takes(&[(0, 40), (20, 55)])[0]["id"].clone();
    // It was raised earlier: told anew, in place of what was told.
    let documents = story.takes(&[(10, 55)]);
    assert_eq!(words(&documents), ["active condition"]);
    assert_eq!(documents[0]["corrects"], json!([active]));
    // It had never been: nothing new happened, and how it stands is told.
    let mut twice = sample(20, 44);
    twice.received = twice.received.plus(1);
    let mut once = sample(10, 44);
    once.received = once.received.plus(1);
    let corrected = documents[0]["id"].clone();
    let documents = story.judges("r", vec![twice, once]);
    assert_eq!(words(&documents), ["normal correction"]);
    assert_eq!(documents[0]["corrects"], json!([corrected]));
    assert_eq!((story.state(), story.alerts.worst()), (Some("normal"), None));
}

#[test]
fn after_a_correction_in_the_middle_the_last_document_is_how_it_stands() {
    // What is told last is retained: it has to say what stands.
    let check = |samples: &[(i64, i64)], late: &[(i64, i64)], state: &str| {
        let mut story = Story::of(LEVEL);
        let told = story.takes(samples);
        let corrected = story.takes(late);
        let phase = story.alerts.track("r").unwrap().phase();
        assert_eq!(phase.as_str(), state);
        assert_eq!(corrected.last().unwrap()["state"], state, "{:?} {:?}", words(&told), words(&corrected));
        let told = &story.alerts.told()["r"];
        assert_eq!(told.state, state);
        let last = story.alerts.track("r").unwrap().history().next_back().unwrap();
        assert_eq!((told.since, told.at), (last.since, last.at));
        assert_eq!(story.alerts.worst().is_some(), state == "active");
    };
    check(&[(0, 60), (20, 40), (30, 60)], &[(15, 40)], "active");
    check(&[(0, 60), (20, 40)], &[(10, 40), (15, 60)], "cleared");
    check(&[(0, 40), (20, 60)], &[(5, 60), (10, 40)], "active");
    check(&[(0, 60), (20, 40), (30, 60), (40, 40)], &[(15, 40)], "cleared");
}

#[test]
fn what_is_told_last_says_when_it_happened() {
    // What is pending after it is not told.
    let mut story = Story::of(&format!("for = \"10s\"\n{LEVEL}"));
    story.takes(&[(0, 60), (10, 60), (20, 40), (25, 60)]);
    let told = &story.alerts.told()["r"];
    assert_eq!((told.state.as_str(), told.at, told.since), ("cleared", at(20), at(10)));
}

#[test]
fn only_what_stands_is_acknowledged() {
    let mut story = Story::of(&format!("for = \"10s\"\n{LEVEL}"));
    let rule = story.rule("r");
    assert_eq!(story.alerts.acknowledge(&rule, "ada", at(0)), Err(Refusal::NotStanding));
    story.takes(&[(0, 60)]);
    assert_eq!(story.alerts.acknowledge(&rule, "ada", at(0)), Err(Refusal::NotStanding));
    story.takes(&[(10, 60)]);
    let name = "a\u{7}d".to_owned() + &"a".repeat(500);
    assert_eq!(story.alerts.acknowledge(&rule, &name, at(11)).unwrap().transitions, 1);
    let document = without_id(story.documents());
    let by = document["by"].as_str().unwrap();
    assert_eq!((by.chars().count(), by.contains('\u{7}')), (128, false));
    // Who says it twice is right twice, and told once.
    assert_eq!(story.alerts.acknowledge(&rule, "ada", at(12)).unwrap().transitions, 0);
    assert_eq!(words(&story.documents()), [""; 0]);
    story.takes(&[(20, 40)]);
    assert_eq!(story.alerts.acknowledge(&rule, "ada", at(20)), Err(Refusal::NotStanding));
}

#[test]
fn what_is_shelved_is_told_so_and_then_nothing() {
    let mut story = Story::of(LEVEL);
    let rule = story.rule("r");
    story.takes(&[(0, 60)]);
    story.alerts.shelve(&rule, at(3_600), "ada", at(1)).unwrap();
    let document = without_id(story.documents());
    assert_eq!((&document["state"], &document["cause"]), (&json!("shelved"), &json!("shelved")));
    assert_eq!((&document["by"], &document["until"]), (&json!("ada"), &json!("2026-11-23T08:00:00Z")));
    assert_eq!(story.alerts.worst(), None, "nobody has to do anything about it");
    story.stored();

    // What happens meanwhile is known, and not told: not even what was told before and was not so.
    assert_eq!(words(&story.takes(&[(10, 40), (20, 60), (30, 40), (5, 40)])), [""; 0]);
    assert!(story.alerts.has_news());
    story.stored();
    assert_eq!(story.alerts.track("r").unwrap().history().count(), 4);
    assert_eq!(story.state(), Some("shelved"));
    assert!(!story.alerts.is_calm());

    // It ends by itself.
    assert_eq!(words(&story.tidies(at(3_599))), [""; 0]);
    let document = without_id(story.tidies(at(3_600)));
    assert_eq!((&document["state"], &document["previous"]), (&json!("cleared"), &json!("shelved")));
    assert_eq!(document["cause"], "unshelved");
    assert_eq!(words(&story.takes(&[(3_601, 60)])), ["active condition"]);
    assert_eq!(story.alerts.unshelve(&rule, at(3_602)), Err(Refusal::NotShelved));

    // Or by somebody.
    story.alerts.shelve(&rule, at(7_200), "ada", at(3_602)).unwrap();
    story.alerts.unshelve(&rule, at(3_603)).unwrap();
    assert_eq!(words(&story.documents()), ["shelved shelved", "active unshelved"]);
    assert_eq!(story.alerts.worst().map(|(name, _)| &**name), Some("r"));

    // Once its time has passed things are told, whether or not it has been tidied.
    story.alerts.shelve(&rule, at(7_200), "ada", at(3_604)).unwrap();
    story.documents();
    assert_eq!(words(&story.takes(&[(7_199, 40)])), [""; 0]);
    assert_eq!(words(&story.takes(&[(7_200, 60)])), ["active condition"]);
}

#[test]
fn before_anything_happened_an_alert_is_shelved_all_the_same() {
    let mut story = Story::of(LEVEL);
    let rule = story.rule("r");
    story.alerts.shelve(&rule, at(3_600), "ada", at(1)).unwrap();
    let document = without_id(story.documents());
    assert_eq!(document["at"], "2026-11-23T07:00:01Z", "not 1970");
    story.stored();
    assert_eq!(words(&story.takes(&[(10, 60)])), [""; 0]);
    assert_eq!(words(&story.tidies(at(3_600))), ["active unshelved"]);
}

#[test]
fn a_shelf_has_an_end_that_lies_ahead() {
    let mut story = Story::of(LEVEL);
    let rule = story.rule("r");
    let mut check = |until: Micros, expected: Result<(), Refusal>| {
        assert_eq!(story.alerts.shelve(&rule, until, "ada", at(0)), expected, "{until}");
    };
    check(at(0), Err(Refusal::NoEnd));
    check(at(-1), Err(Refusal::NoEnd));
    check(Micros(0), Err(Refusal::NoEnd));
    check(Micros(i64::MIN), Err(Refusal::NoEnd));
    check(Micros(i64::MAX), Err(Refusal::NoEnd));
    check(at(0).plus(MAX_SHELF_MICROS + 1), Err(Refusal::NoEnd));
    check(at(0).plus(MAX_SHELF_MICROS), Ok(()));
    check(at(0).plus(1), Ok(()));
}

#[test]
fn what_has_cleared_is_removed_from_the_broker_after_a_while() {
    let mut story = Story::of(LEVEL);
    story.takes(&[(0, 60), (10, 40)]);
    assert_eq!(words(&story.tidies(at(10 + 3_599))), [""; 0]);
    story.stored();
    assert_eq!(words(&story.tidies(at(10 + 3_600))), ["removed from the broker"]);
    assert!(story.alerts.has_news() && story.alerts.is_calm());
    let item = story.alerts.to_item(&story.rules);
    assert_eq!(
        (item.get("alerts"), item.get("standing"), &item["tracks"]),
        (None, None, &Attribute::S("{}".into()))
    );
    assert_eq!(words(&story.tidies(at(10 + 9_999))), [""; 0]);
    assert_eq!(words(&story.takes(&[(4_000, 60)])), ["active condition"]);
    // What stands stays.
    assert_eq!(words(&story.tidies(at(999_999))), [""; 0]);
}

#[test]
fn what_was_told_cleared_and_is_not_is_not_removed() {
    // Pending again by now: the half minute goes on.
    let mut story = Story::of(&format!("for = \"30s\"\n{LEVEL}"));
    story.takes(&[(0, 60), (30, 60), (40, 40), (3_640, 60)]);
    story.alerts.tidy(&story.rules, HOUR, at(3_645));
    assert_eq!(words(&story.takes(&[(3_670, 60)])).last().unwrap(), "active condition");

    // Active, but not told so because it flaps: it will be told when it is stable.
    let mut story = Story::of(&format!("flapping = {{ transitions = 1, within = \"10h\" }}\n{LEVEL}"));
    let documents = story.takes(&[(0, 60), (10, 40), (20, 60)]);
    assert_eq!(words(&documents), ["active condition", "cleared unstable"]);
    assert_eq!(words(&story.tidies(at(7_200))), [""; 0]);
    assert_eq!(words(&story.takes(&[(36_020, 60)])), ["active stable"]);
}

#[test]
fn what_a_removed_rule_had_raised_is_removed() {
    let mut story = Story::of(LEVEL);
    story.takes(&[(0, 60)]);
    story.rules = RuleSet::default();
    story.stored();
    let documents = story.tidies(at(100));
    assert_eq!(words(&documents), ["cleared removed", "removed from the broker"]);
    assert_eq!(documents[0]["since"], "2026-11-23T07:00:00Z");
    assert!(story.alerts.is_calm());
    assert_eq!(story.alerts.rules().count(), 0);

    // Of what had cleared or was shelved, too; and of a rule that is about other devices now.
    let mut story = Story::of(LEVEL);
    story.takes(&[(0, 60), (10, 40)]);
    story.rules = RuleSet::new([rule("r", &format!("site = \"plant-2\"\n{LEVEL}"))]);
    assert_eq!(words(&story.tidies(at(100))), ["removed from the broker"]);
    let mut story = Story::of(LEVEL);
    story.alerts.shelve(&story.rule("r"), at(3_600), "ada", at(1)).unwrap();
    story.documents();
    story.rules = RuleSet::default();
    assert_eq!(words(&story.tidies(at(100))), ["cleared removed", "removed from the broker"]);
    assert!(story.alerts.shelves().is_empty());

    // What was never told leaves nothing behind.
    let mut story =
        Story::of(r#"condition = { metric = "a", rate = { per = "1m", over = "1m" }, above = 3 }"#);
    story.takes(&[(0, 60)]);
    story.rules = RuleSet::default();
    assert!(words(&story.tidies(at(100))).is_empty());
    story.stored();
    assert_eq!(story.alerts.to_item(&story.rules)["tracks"], Attribute::S("{}".into()));
}

#[test]
fn a_changed_rule_is_told_by_its_own_words() {
    let both = r#"condition = { all = [{ metric = "a", above = 50 }, { metric = "b", above = 1 }] }"#;
    let mut story = Story::of(both);
    let b = Sample { metric: 1, ..sample(0, 2) };
    assert_eq!(words(&story.judges("r", vec![b, sample(0, 60)])), ["active condition"]);
    story.rules =
        RuleSet::new([rule("r", "severity = \"critical\"\ncondition = { metric = \"c\", below = 5 }")]);
    story.stored();
    // Fewer questions than before: what was seen speaks of the old ones.
    story.alerts.shelve(&story.rule("r"), at(3_600), "ada", at(1)).unwrap();
    let document = without_id(story.documents());
    assert_eq!(
        (&document["severity"], &document["since"]),
        (&json!("critical"), &json!("2026-11-23T07:00:00Z"))
    );
    assert_eq!(document["evidence"], json!([]));
    story.alerts.unshelve(&story.rule("r"), at(2)).unwrap();
    assert_eq!(words(&story.documents()), ["active unshelved"]);
    assert_eq!(words(&story.takes(&[(10, 9)])), ["cleared condition"]);
}

#[test]
fn the_worst_is_the_gravest_and_of_those_the_oldest() {
    let named = |name: &str, severity: &str| rule(name, &format!("severity = \"{severity}\"\n{LEVEL}"));
    let mut story = Story::new([
        named("a", "info"),
        named("b", "critical"),
        named("c", "critical"),
        named("d", "warning"),
    ]);
    let check = |story: &Story, expected: Option<&str>| {
        assert_eq!(story.alerts.worst().map(|(name, _)| &**name), expected);
    };
    check(&story, None);
    story.judges("a", vec![sample(0, 60)]);
    check(&story, Some("a"));
    story.judges("d", vec![sample(1, 60)]);
    check(&story, Some("d"));
    story.judges("c", vec![sample(2, 60)]);
    story.judges("b", vec![sample(3, 60)]);
    check(&story, Some("c"));
    // One that somebody knows of stands; one that is shelved does not count.
    story.alerts.acknowledge(&story.rule("c"), "ada", at(4)).unwrap();
    check(&story, Some("c"));
    story.alerts.shelve(&story.rule("c"), at(3_600), "ada", at(4)).unwrap();
    check(&story, Some("b"));
    story.judges("b", vec![sample(5, 40)]);
    check(&story, Some("d"));
}

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
