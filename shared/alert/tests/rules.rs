//! What a rule may say: everything that is wrong with one is told, at once, and what is right is kept as it was meant.

use alert::{Condition, Input, Question, Rule, RuleError, RuleSet, Severity, Test};
use telemetry::{DeviceId, Length, Quality, Value};

const SECOND: i64 = 1_000_000;

/// A rule that is right but for what `text` says.
fn toml(text: &str) -> String {
    let heads = ["name", "severity", "message"].map(|key| match key {
        _ if text.lines().any(|line| line.trim_start().starts_with(&format!("{key} ="))) => String::new(),
        "name" => "name = \"r\"\n".to_owned(),
        "severity" => "severity = \"warning\"\n".to_owned(),
        _ => "message = \"m\"\n".to_owned(),
    });
    let condition = if text.contains("condition") { "" } else { "\n[condition]\nmetric = \"a\"\nabove = 50" };
    format!("{}{text}{condition}", heads.concat())
}

fn read(text: &str) -> Result<Rule, RuleError> {
    Rule::from_toml(&toml(text))
}

/// A condition that is written `text`.
fn condition(text: &str) -> String {
    format!("condition = {{ {text} }}")
}

/// `levels` conditions around one question.
fn nested(levels: usize) -> String {
    let mut text = r#"{ metric = "a", above = 1 }"#.to_owned();
    for level in 0..levels {
        text = format!("{{ {} = [{text}] }}", if level % 2 == 0 { "all" } else { "any" });
    }
    format!("condition = {text}")
}

fn questions(count: usize) -> String {
    let members = (0..count).map(|index| format!("{{ metric = \"m{index}\", above = {index} }}"));
    condition(&format!("any = [{}]", members.collect::<Vec<_>>().join(", ")))
}

#[test]
fn what_is_wrong_with_a_condition_is_told() {
    // Each problem is one sentence that holds these words.
    let check = |text: &str, expected: &[&str]| {
        let text = condition(text);
        let problems = match read(&text) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().to_vec(),
        };
        assert_eq!(problems.len(), expected.len(), "{text}: {problems:?}");
        for (problem, words) in problems.iter().zip(expected) {
            assert!(problem.contains(words), "{text}: {problem:?} lacks {words:?}");
        }
    };

    // The clear level lies on the side where all is well.
    check(r#"metric = "a", above = 50, clear = 50"#, &[]);
    check(r#"metric = "a", above = 50, clear = 50.5"#, &["only clear at 50 or below"]);
    check(r#"metric = "a", below = 50, clear = 50"#, &[]);
    check(r#"metric = "a", below = 50, clear = 49.5"#, &["only clear at 50 or above"]);
    check(r#"metric = "a", outside = [20, 50], clear = [20, 50]"#, &[]);
    check(r#"metric = "a", outside = [20, 50], clear = [30, 30]"#, &[]);
    check(r#"metric = "a", outside = [20, 50], clear = [19, 50]"#, &["a `clear` range within it"]);
    check(r#"metric = "a", outside = [20, 50], clear = [20, 51]"#, &["a `clear` range within it"]);
    check(r#"metric = "a", outside = [20, 50], clear = [40, 30]"#, &["a `clear` range within it"]);
    check(r#"metric = "a", inside = [20, 50], clear = [20, 50]"#, &[]);
    check(r#"metric = "a", inside = [20, 50], clear = [21, 50]"#, &["a `clear` range around it"]);
    check(r#"metric = "a", inside = [20, 50], clear = [20, 49]"#, &["a `clear` range around it"]);
    check(r#"metric = "a", outside = [50, 20]"#, &["[low, high]"]);
    check(r#"metric = "a", inside = [50, 20]"#, &["[low, high]"]);

    // A level clears at a level, a range at a range.
    check(r#"metric = "a", above = 50, clear = [40, 45]"#, &["has to be one level"]);
    check(r#"metric = "a", below = 50, clear = [60, 65]"#, &["has to be one level"]);
    check(r#"metric = "a", outside = [20, 50], clear = 45"#, &["has to be a range"]);
    check(r#"metric = "a", inside = [20, 50], clear = 45"#, &["has to be a range"]);

    // Numbers are numbers.
    check(r#"metric = "a", above = nan"#, &["finite"]);
    check(r#"metric = "a", above = inf"#, &["finite"]);
    check(r#"metric = "a", below = -inf"#, &["finite"]);
    check(r#"metric = "a", above = 50, clear = nan"#, &["finite"]);
    check(r#"metric = "a", below = 50, clear = inf"#, &["finite"]);
    check(r#"metric = "a", outside = [-inf, 50]"#, &["finite"]);
    check(r#"metric = "a", outside = [nan, 50]"#, &["outside"]);
    check(r#"metric = "a", inside = [20, nan]"#, &["inside"]);
    check(r#"metric = "a", equals = nan"#, &["no value that a reading can have"]);
    check(r#"metric = "a", equals = 1e200"#, &["no value that a reading can have"]);
    check(&format!("metric = \"a\", equals = \"{}\"", "x".repeat(1_024)), &[]);
    check(
        &format!("metric = \"a\", equals = \"{}\"", "x".repeat(1_025)),
        &["no value that a reading can have"],
    );

    // One question to one metric.
    check(r#"metric = "a""#, &["exactly one of"]);
    check(r#"metric = "a", clear = 4"#, &["it has none"]);
    check(r#"metric = "a", above = 50, below = 10"#, &["it has above, below"]);
    check(r#"metric = "a", equals = 1, silent = "1m""#, &["it has equals, silent"]);
    check(r#"metric = "a", above = 1, all = [{ metric = "b", above = 1 }]"#, &["it has all, above"]);
    check("above = 50", &["`condition.metric` is missing"]);
    check("equals = 1", &["`condition.metric` is missing"]);
    check(r#"metric = "", above = 50"#, &["`condition.metric` must be a name"]);
    check(r#"metric = "a\u0007", above = 50"#, &["`condition.metric` must be a name"]);
    check(&format!("metric = \"{}\", above = 50", "m".repeat(257)), &["`condition.metric` must be a name"]);
    check(&format!("metric = \"{}\", above = 50", "m".repeat(256)), &[]);
    check(r#"metric = "a", unit = "", above = 50"#, &["`condition.unit`"]);

    // Silence has nothing to clear at, and no number.
    check(r#"silent = "10m""#, &[]);
    check(r#"metric = "a", silent = "10m""#, &[]);
    check(r#"silent = "0s""#, &["needs a time"]);
    check(r#"silent = "10m", clear = 4"#, &["neither clear, rate nor anomaly"]);
    check(r#"silent = "10m", rate = { per = "1m", over = "1m" }"#, &["neither clear, rate nor anomaly"]);
    check(r#"silent = "10m", unit = "Cel""#, &["unit"]);
    check(r#"metric = "a", equals = 1, clear = 0"#, &["neither clear, rate nor anomaly"]);
    check(r#"metric = "a", equals = 1, anomaly = {}"#, &["neither clear, rate nor anomaly"]);

    // Rates and scores.
    check(r#"metric = "a", rate = { per = "1m", over = "5m" }, above = 3"#, &[]);
    check(r#"metric = "a", rate = { per = "0s", over = "5m" }, above = 3"#, &["times longer than none"]);
    check(r#"metric = "a", rate = { per = "1m", over = "0s" }, above = 3"#, &["times longer than none"]);
    check(r#"metric = "a", anomaly = {}, above = 4"#, &[]);
    check(r#"metric = "a", anomaly = {}, below = 4"#, &["use above"]);
    check(r#"metric = "a", anomaly = {}, outside = [1, 2]"#, &["use above"]);
    check(
        r#"metric = "a", anomaly = {}, rate = { per = "1m", over = "1m" }, above = 4"#,
        &["both rate and anomaly"],
    );

    // Combinations.
    check("all = []", &["must have members"]);
    check("any = []", &["must have members"]);
    check(
        r#"all = [{ metric = "a", above = 1 }, { any = [] }]"#,
        &["`condition.all[1].any` must have members"],
    );
    check(r#"all = [{ metric = "a", above = 1 }], metric = "a""#, &["belong into the members of `all`"]);
    check(r#"any = [{ metric = "a", above = 1 }], clear = 0"#, &["belong into the members of `any`"]);
    check(
        r#"any = [{ metric = "a", above = 1 }], rate = { per = "1m", over = "1m" }"#,
        &["belong into the members of `any`"],
    );
    check(r#"all = [{ metric = "a", above = 1 }], anomaly = {}"#, &["belong into the members of `all`"]);
    // All members are looked at.
    check(
        r#"all = [{ above = 1 }, { metric = "b" }, { any = [{ metric = "c", above = 1, clear = 2 }] }]"#,
        &["`condition.all[0].metric` is missing", "`condition.all[1]` needs", "`condition.all[2].any[0]`"],
    );
}

#[test]
fn conditions_are_nested_and_many_within_bounds() {
    let check = |text: &str, expected: Option<&str>| {
        let problem = read(text).err().map(|error| error.to_string());
        match (&problem, expected) {
            (None, None) => {}
            (Some(problem), Some(words)) => assert!(problem.contains(words), "{problem}"),
            _ => panic!("{text}: {problem:?}"),
        }
    };
    check(&nested(1), None);
    check(&nested(4), None);
    check(&nested(5), Some("nested at most 4 deep"));
    check(&nested(20), Some("nested at most 4 deep"));
    // Too deep for the parser: an error like any other.
    assert!(read(&nested(2_000)).is_err());
    check(&questions(16), None);
    check(&questions(17), Some("17 questions; at most 16"));
}

#[test]
fn what_is_wrong_with_the_rest_of_a_rule_is_told() {
    let check = |text: &str, expected: &str| {
        let problem = read(text).err().map(|error| error.to_string()).unwrap_or_default();
        let is_as_expected =
            if expected.is_empty() { problem.is_empty() } else { problem.contains(expected) };
        assert!(is_as_expected, "{text}: {problem:?} lacks {expected:?}");
    };
    check(&format!("name = \"{}\"", "n".repeat(64)), "");
    check(&format!("name = \"{}\"", "n".repeat(65)), "`name` is part of topics");
    check("name = \"over-temperature_2\"", "");
    for name in ["", "Over", "a b", "a/b", "a+b", "a#", "ä", "a.b"] {
        check(&format!("name = \"{name}\""), "`name` is part of topics");
    }
    check("message = \"\"", "`message` must have 1 to 512 bytes");
    check(&format!("message = \"{}\"", "é".repeat(256)), "");
    check(&format!("message = \"{}\"", "é".repeat(257)), "`message` must have 1 to 512 bytes");
    check("severity = \"fatal\"", "severity");
    check("site = \"plant-1\"", "");
    for site in ["", "a/b", "plant-*"] {
        check(&format!("site = \"{site}\""), "`site` is one site");
    }
    check("devices = \"*/pump-*\"", "");
    check("devices = [\"plant-1/*\", \"*/pump-7\"]", "");
    check("devices = \"pump-7\"", "`devices`: \"pump-7\" is no pattern");
    check("devices = [\"a/b\", \"a/b/c\"]", "`devices`: \"a/b/c\" is no pattern");
    check("quality = \"bad\"", "");
    check("quality = \"fine\"", "`quality` is the lowest that is judged");
    check("repeat = \"10s\"", "");
    check("repeat = \"9s 999ms\"", "`repeat` must be 10s or longer");
    check("flapping = { transitions = 64, within = \"1h\" }", "");
    check("flapping = { transitions = 0, within = \"1h\" }", "`flapping` needs 1 to 64");
    check("flapping = { transitions = 65, within = \"1h\" }", "`flapping` needs 1 to 64");
    check("flapping = { transitions = 6, within = \"0s\" }", "`flapping` needs 1 to 64");
    check("flapping = { transitions = 6 }", "within");
    check("for = \"-1s\"", "no length of time");
    check("for = \"soon\"", "no length of time");
    check("for = 30", "expected a string");
    check("clear_after = \"1h 30m\"", "");

    // What nobody knows is a slip of the pen, not a wish.
    check("hysteresis = 4", "hysteresis");
    check("condition = { metric = \"a\", above = 4, levels = 3 }", "levels");
    check("condition = { metric = \"a\", rate = { per = \"1m\", over = \"1m\", x = 1 }, above = 4 }", "x");
    check("flapping = { transitions = 6, within = \"1h\", x = 1 }", "x");
    check("condition = { metric = \"a\", outside = [1, 2, 3] }", "outside");
    check("condition = { metric = \"a\", outside = [1] }", "outside");
}

#[test]
fn text_that_is_no_rule_names_its_line() {
    let check = |text: &str, words: &str| {
        let problem = Rule::from_toml(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(problem.contains(words), "{problem}");
    };
    check("name = \"r\"\nseverity = ?\n", "line 2");
    check("name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\n\n[condition\n", "line 5");
    check("name = \"r\"\nname = \"s\"\n", "line 2");
    check("", "name");
    assert!(Rule::from_json("{").is_err());
    assert!(Rule::from_json("[]").is_err());
    assert!(Rule::from_json("null").is_err());
}

#[test]
fn all_problems_are_told_at_once() {
    let error = Rule::from_toml(
        r#"
        name = "Over Temperature"
        severity = "critical"
        message = ""
        site = "plant-*"
        devices = ["pump", "*/fan-*"]
        repeat = "1s"
        quality = "fine"
        flapping = { transitions = 0, within = "1m" }
        condition = { all = [{ metric = "a", above = 1, clear = 2 }, { below = 1 }] }
        "#,
    )
    .unwrap_err();
    let expected =
        ["name", "message", "flapping", "repeat", "quality", "devices", "site", "all[0]", "all[1].metric"];
    assert_eq!(error.problems().len(), expected.len(), "{:?}", error.problems());
    for word in expected {
        assert!(error.problems().iter().any(|problem| problem.contains(word)), "{word}: {error}");
        assert!(error.to_string().contains(word), "{word}");
    }
}

const FULL: &str = r#"
    name = "over-temperature"
    severity = "critical"
    message = "the temperature is above 50 °C"
    site = "plant-1"
    devices = ["*/pump-*", "plant-1/fan-7"]
    for = "30s"
    clear_after = "1m 30s"
    repeat = "1h"
    latch = true
    quality = "good"
    flapping = { transitions = 4, within = "5m" }

    [condition]
    all = [
        { metric = "temperature", unit = "Cel", above = 50, clear = 45.5 },
        { any = [
            { metric = "pressure", outside = [1, 2], clear = [1.25, 1.75] },
            { metric = "pressure", inside = [4, 5] },
            { metric = "level", rate = { per = "1m", over = "10m" }, below = -3 },
            { metric = "mode", equals = "manual" },
            { metric = "door", equals = true },
            { metric = "count", equals = 3 },
            { silent = "10m" },
        ] },
    ]
"#;

#[test]
fn a_rule_is_what_it_says() {
    let rule = Rule::from_toml(FULL).unwrap();
    assert_eq!(&*rule.name, "over-temperature");
    assert_eq!(rule.severity, Severity::Critical);
    assert_eq!(&*rule.message, "the temperature is above 50 °C");
    assert_eq!((rule.holds_for, rule.clear_after), (Length(30 * SECOND), Length(90 * SECOND)));
    assert_eq!(rule.repeat, Some(Length(3_600 * SECOND)));
    assert!(rule.latch);
    assert_eq!(rule.quality, Quality::Good);
    assert_eq!((rule.flapping.transitions, rule.flapping.within), (4, Length(300 * SECOND)));
    let any = Condition::Any((1..8).map(Condition::Leaf).collect());
    assert_eq!(rule.condition, Condition::All(vec![Condition::Leaf(0), any]));
    let questions: Vec<&Question> = rule.leaves.iter().map(|leaf| &leaf.question).collect();
    let number = |test| Question::Number { input: Input::Value, test };
    let rate = Input::Rate { per: Length(60 * SECOND), over: Length(600 * SECOND) };
    let expected = [
        number(Test::Above { level: 50.0, clear: 45.5 }),
        number(Test::Outside { range: (1.0, 2.0), clear: (1.25, 1.75) }),
        number(Test::Inside { range: (4.0, 5.0), clear: (4.0, 5.0) }),
        Question::Number { input: rate, test: Test::Below { level: -3.0, clear: -3.0 } },
        Question::Equals(Value::Text("manual".into())),
        Question::Equals(Value::Boolean(true)),
        Question::Equals(Value::Integer(3)),
        Question::Silent(Length(600 * SECOND)),
    ];
    assert_eq!(questions, expected.iter().collect::<Vec<_>>());
    assert_eq!(rule.leaves[0].unit.as_deref(), Some("Cel"));
    // Each metric once, and any of them.
    let metrics: Vec<Option<&str>> = rule.metrics.iter().map(Option::as_deref).collect();
    let expected = ["temperature", "pressure", "level", "mode", "door", "count"].map(Some);
    assert_eq!(metrics, [&expected[..], &[None]].concat());
    let silences: Vec<_> =
        rule.silences(None).map(|silence| (silence.metric, silence.after_micros)).collect();
    assert_eq!(silences, [(None, 630 * SECOND)]);

    let plain = read("").unwrap();
    assert_eq!((plain.holds_for, plain.clear_after, plain.repeat), (Length(0), Length(0), None));
    assert_eq!((plain.quality, plain.latch), (Quality::Uncertain, false));
    assert_eq!((plain.flapping.transitions, plain.flapping.within), (6, Length(600 * SECOND)));
}

#[test]
fn a_stored_rule_is_the_same_rule() {
    let check = |text: &str| {
        let rule = Rule::from_toml(text).unwrap();
        let stored = Rule::from_json(rule.to_json()).unwrap();
        assert_eq!(stored, rule);
        assert_eq!((&stored.digest, stored.to_json()), (&rule.digest, rule.to_json()));
    };
    check(FULL);
    check(&toml(""));
    check(&toml(&nested(3)));
    check(&toml(&questions(16)));
    check(&toml("devices = \"*/a\"\ncondition = { metric = \"a\", equals = 22.5 }"));
    check(&toml("condition = { metric = \"a\", anomaly = {}, above = 0.1 }"));
    check(&toml("condition = { metric = \"a\", inside = [0.1, 1e100], clear = [-1e-7, 1e101] }"));
}

#[test]
fn how_a_rule_is_written_does_not_make_it_another() {
    let digest = |text: &str| Rule::from_toml(text).unwrap().digest;
    let one = digest(
        r#"
        name = "r"
        severity = "warning"
        message = "m"
        for = "90s"
        devices = "*/pump-*"
        condition = { metric = "a", above = 50, clear = 45 }
        "#,
    );
    let check = |text: &str, is_the_same: bool| assert_eq!(digest(text) == one, is_the_same, "{text}");
    check(
        r#"
        # Somebody has thought about it.
        severity = "warning"   # for now
        devices = [ "*/pump-*" ]
        message = 'm'
        "for" = "1m 30s"
        name = "r"
        latch = false
        quality = "uncertain"
        clear_after = "0s"
        flapping = { within = "10m", transitions = 6 }

        [condition]
        clear = 45.0
        above = 5e1
        metric = "a"
        "#,
        true,
    );
    let other = r#"
        name = "r"
        severity = "warning"
        message = "m"
        for = "90s"
        devices = "*/pump-*"
        condition = { metric = "a", above = 50, clear = 45 }
        "#;
    check(other, true);
    check(&other.replace("45", "44"), false);
    check(&other.replace("90s", "91s"), false);
    check(&other.replace("\"m\"", "\"n\""), false);
    check(&other.replace("warning", "info"), false);
    check(&other.replace("pump", "fan"), false);
}

#[test]
fn a_rule_is_about_the_devices_that_it_names() {
    let check = |text: &str, device: &str, expected: bool| {
        let rule = read(text).unwrap();
        assert_eq!(rule.matches(&DeviceId::from_stored(device)), expected, "{text}: {device}");
    };
    check("", "plant-1/pump-7", true);
    check("site = \"plant-1\"", "plant-1/pump-7", true);
    check("site = \"plant-1\"", "plant-10/pump-7", false);
    check("devices = \"*/pump-*\"", "plant-1/pump-7", true);
    check("devices = \"*/pump-*\"", "plant-1/fan-7", false);
    check("devices = [\"*/fan-*\", \"*/pump-*\"]", "plant-1/pump-7", true);
    // Both have to be so.
    check("site = \"plant-1\"\ndevices = \"*/pump-*\"", "plant-2/pump-7", false);
    check("site = \"plant-1\"\ndevices = \"plant-2/*\"", "plant-1/pump-7", false);
    // An empty list names no device, which nobody can want.
    assert!(read("devices = []").is_err());
}

#[test]
fn how_far_back_an_answer_reaches() {
    let check = |text: &str, expected: Option<i64>| {
        let rule = read(&condition(text)).unwrap();
        assert_eq!(rule.history_micros(), expected.map(|seconds| seconds * SECOND), "{text}");
    };
    check(r#"metric = "a", above = 1"#, None);
    check(r#"any = [{ metric = "a", above = 1 }, { metric = "a", below = -1 }]"#, None);
    check(r#"metric = "a", rate = { per = "1m", over = "10m" }, above = 1"#, Some(600));
    check(r#"all = [{ metric = "a", above = 1 }, { metric = "b", above = 1 }]"#, Some(900));
    let two = r#"all = [{ metric = "a", rate = { per = "1m", over = "1h" }, above = 1 }, { metric = "b", above = 1 }]"#;
    check(two, Some(3_600));
}

#[test]
fn of_two_rules_of_one_name_the_later_stands() {
    let rule = |name: &str, level: i64| {
        let text = format!("name = \"{name}\"\ncondition = {{ metric = \"a\", above = {level} }}");
        std::sync::Arc::new(read(&text).unwrap())
    };
    let set = RuleSet::new([rule("b", 1), rule("a", 2), rule("b", 3)]);
    let names: Vec<&str> = set.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((set.len(), set.is_empty()), (2, false));
    assert_eq!(set.get("b"), Some(&rule("b", 3)));
    assert_eq!(set.get("c"), None);
    assert_eq!(set.of(&DeviceId::from_stored("x/y")).len(), 2);
}

#[test]
fn a_profile_says_which_devices_and_how_long_silence_is() {
    let rule =
        |name: &str, text: &str| std::sync::Arc::new(read(&format!("name = \"{name}\"\n{text}")).unwrap());
    let intervals = "for = \"30s\"\ncondition = { any = [{ metric = \"a\", silent_intervals = 3 }, { silent = \"1h\" }] }";
    let rules = RuleSet::new([
        rule("any", ""),
        rule("cold", "profile = \"cold-room\"\ndevices = \"plant-1/*\""),
        rule("silent", intervals),
    ]);
    assert!(rules.needs_profiles() && !RuleSet::new([rule("any", "")]).needs_profiles());
    let check = |device: &str,
                 profile: Option<&str>,
                 interval: Option<i64>,
                 expected: &[&str],
                 silences: &[i64]| {
        let interval = interval.map(|seconds| Length(seconds * SECOND));
        let own = rules.for_device(&DeviceId::from_stored(device), profile, interval);
        assert_eq!(own.iter().map(|rule| &*rule.name).collect::<Vec<_>>(), expected, "{device} {profile:?}");
        let silent = own.get("silent").unwrap();
        let after: Vec<i64> = silent.silences(None).map(|silence| silence.after_micros / SECOND).collect();
        assert_eq!(after, silences, "{device} {interval:?}");
        // It is the same rule, and what it asks of a device of which more is known is the same.
        assert_eq!(silent.digest, rules.get("silent").unwrap().digest);
        let before = rules.get("silent").unwrap().silences(interval);
        assert_eq!(before.map(|silence| silence.after_micros / SECOND).collect::<Vec<_>>(), silences);
    };
    check("plant-1/a", None, None, &["any", "silent"], &[3_630]);
    check("plant-1/a", Some("other"), Some(60), &["any", "silent"], &[210, 3_630]);
    check("plant-1/a", Some("cold-room"), None, &["any", "cold", "silent"], &[3_630]);
    check(
        "plant-2/a",
        Some("cold-room"),
        Some(i64::MAX / SECOND),
        &["any", "silent"],
        &[i64::MAX / SECOND, 3_630],
    );
    let stored = rules.get("cold").unwrap().to_json();
    assert_eq!(Rule::from_json(stored).unwrap().profile(), Some("cold-room"));
    for (text, problem) in [
        ("profile = \"\"", "`profile` is the name of one"),
        ("condition = { silent_intervals = 0 }", "needs a number above 0"),
        ("condition = { silent_intervals = 3, clear = 1 }", "neither clear, rate nor anomaly"),
        ("condition = { silent_intervals = 3, silent = \"1m\" }", "it has silent, silent_intervals"),
        ("condition = { silent_intervals = 1.5 }", "invalid type"),
    ] {
        assert!(read(text).unwrap_err().to_string().contains(problem), "{text}: {}", read(text).unwrap_err());
    }
}
