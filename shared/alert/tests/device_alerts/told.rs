//! What is told, and what is not.

use alert::{MAX_SHELF_MICROS, Refusal, RuleSet, Sample};
use serde_json::json;
use telemetry::attribute::Attribute;
use telemetry::{DeviceId, Micros, Seq, Value};

use crate::{HOUR, LEVEL, Story, at, rule, sample, without_id, words};

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
fn what_happens_at_one_time_is_published_once_each() {
    let nth = |seq: u64, value: i64| Sample { seq: Seq(seq), ..sample(0, value) };
    let samples = [nth(0, 60), nth(1, 40), nth(2, 60), nth(3, 40), nth(4, 60)];
    let text = format!("flapping = {{ transitions = 64, within = \"1s\" }}\n{LEVEL}");
    let ids = |documents: &[serde_json::Value]| -> Vec<String> {
        documents.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut story = Story::of(&text);
    let documents = story.judges("r", samples.to_vec());
    assert_eq!(
        words(&documents),
        ["active", "cleared", "active", "cleared", "active"].map(|state| format!("{state} condition"))
    );
    let told = ids(&documents);
    assert_eq!(told.iter().collect::<std::collections::BTreeSet<_>>().len(), 5, "{told:?}");
    assert_eq!(documents[0]["evidence"][0]["readings"][0].get("seq"), None);
    assert_eq!(documents[4]["evidence"][0]["readings"][0]["seq"], "4");
    story.stored();
    assert!(story.judges("r", samples.to_vec()).is_empty(), "delivered again");
    // One by one it is the same, id by id.
    let mut one_by_one = Story::of(&text);
    let documents: Vec<_> =
        samples.iter().flat_map(|sample| one_by_one.judges("r", vec![sample.clone()])).collect();
    assert_eq!(ids(&documents), told);
    // What a profile makes of the message today replaces one of them, and that one alone is corrected.
    let documents = story.judges("r", vec![Sample { revision: Micros(1), ..nth(4, 40) }]);
    assert_eq!(words(&documents), ["cleared correction"]);
    assert_eq!(documents[0]["corrects"], json!([told[4]]));
    assert_eq!(story.state(), Some("cleared"));
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
