//! Without any cloud: rules are checked, and tried on files of readings.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{Files, HOT, root, tidegate};

/// A line of readings as `tidegate query --format json` prints it, so many seconds after 07:00.
fn line(metric: &str, second: i64, value: &Value, unit: Option<&str>) -> String {
    let (minutes, seconds) = (second / 60, second % 60);
    let (hours, minutes) = (7 + minutes / 60, minutes % 60);
    let at = format!("2026-11-23T{hours:02}:{minutes:02}:{seconds:02}Z");
    let line = json!({"device": "plant-1/pump-7", "metric": metric, "at": at, "value": value, "unit": unit, "time_source": "device", "quality": "good"});
    format!("{line}\n")
}

fn temperature(second: i64, value: f64) -> String {
    line("temperature", second, &json!(value), Some("Cel"))
}

/// Tries a rule on lines of readings; the steps in brief, and what it came to.
fn backtest(rule: &str, readings: &str) -> (Vec<String>, Value) {
    let out =
        tidegate(&["alert-rule", "test", rule, "--readings", "-", "--json"], readings.as_bytes()).good();
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let closing = lines.pop().unwrap();
    let brief = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        let (time, taken_back) = (text("at")[11..19].to_owned(), line["taken_back"] == true);
        format!("{time} {}{}", text("to"), if taken_back { " taken back" } else { "" })
    };
    (lines.iter().map(brief).collect(), closing)
}

#[test]
fn a_good_rule_is_told_in_words() {
    let files = Files::new();
    let file = files.put_rule("hot", &format!("for = \"30s\"\n{HOT}"));
    let out = tidegate(&["alert-rule", "check", &file], b"").good();
    let expected = format!(
        "{file}: valid: hot\n  critical, when temperature above 50 Cel (until at 45 or below), for 30s\n  \
         about all devices; clears as soon as that is over\n"
    );
    assert_eq!(out, expected);
}

#[test]
fn whatever_is_wrong_with_a_rule_is_said_with_its_file() {
    let check = |more: &str, expected: &[&str]| {
        let files = Files::new();
        let file = files.put_rule("hot", more);
        let ran = tidegate(&["alert-rule", "check", &file], b"");
        assert_eq!(ran.code, Some(1), "{more}: {ran:?}");
        for problem in expected {
            let is_said = ran.out.split(&format!("{file}: ")).any(|said| said.contains(problem));
            assert!(is_said, "{more}: {problem}: {ran:?}");
        }
    };
    check("condition = { metric = \"t\", above = 5", &["TOML parse error at line 4"]);
    check("colour = \"red\"\ncondition = { metric = \"t\", above = 5 }", &["unknown field `colour`"]);
    check("", &["missing field `condition`"]);
    check("condition = { metric = \"t\" }", &["exactly one of above, below"]);
    check("condition = { metric = \"t\", above = 5, below = 1 }", &["it has above, below"]);
    check("condition = { above = 5 }", &["`condition.metric` is missing"]);
    check("condition = { metric = \"t\", above = 5, clear = 6 }", &["can only clear at 5 or below"]);
    check("for = \"soon\"\ncondition = { metric = \"t\", above = 5 }", &["no length of time"]);
    check("devices = \"pump\"\ncondition = { metric = \"t\", above = 5 }", &["`devices`", "no pattern"]);
    check("condition = { metric = \"t\", equals = [1] }", &["equals"]);
    // All problems at once, not the first alone.
    check(
        "repeat = \"1s\"\nquality = \"fine\"\ncondition = { silent = \"0s\" }",
        &["`repeat` must be 10s or longer", "`quality` is the lowest", "`condition.silent` needs a time"],
    );
}

#[test]
fn of_several_files_each_has_its_verdict() {
    let files = Files::new();
    let good = files.put_rule("hot", HOT);
    let bad = files.put_rule("COLD", HOT);
    let binary = files.put("binary.toml", [0xff, 0xfe]);
    let twin = files.put("twin.toml", std::fs::read(&good).unwrap());
    let ran = tidegate(&["alert-rule", "check", &good, &bad, &binary, &twin], b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for expected in [
        format!("{good}: valid: hot"),
        format!("{bad}: `name` is part of topics"),
        format!("{binary}: is not UTF-8 text"),
        format!("{twin}: the name hot is that of {good}, too"),
    ] {
        assert!(ran.out.lines().any(|line| line.starts_with(&expected)), "{expected}: {ran:?}");
    }
    assert!(
        tidegate(&["alert-rule", "check", "no-such.toml"], b"")
            .failed(2)
            .contains("there is no file no-such.toml")
    );
    assert!(tidegate(&["alert-rule", "check"], b"").failed(2).contains("<FILES>"));
}

/// The readings that one example is tried on, and the steps that it makes of them; none where it is only checked.
type Example = (&'static str, Vec<String>, &'static [&'static str]);

#[test]
fn the_examples_are_valid_and_do_what_they_say() {
    let every = |metric: &'static str, seconds: std::ops::Range<i64>, step: usize, value: fn(i64) -> f64| {
        seconds.step_by(step).map(move |second| line(metric, second, &json!(value(second)), None))
    };
    let pump = every("power", 0..120, 10, |second| if second < 80 { 400.0 } else { 0.0 });
    let pump =
        pump.zip(every("flow", 0..120, 10, |second| if (20..60).contains(&second) { 0.0 } else { 12.0 }));
    // An hour in which nothing happens, then a leak of 12 % an hour for an hour.
    let tank = every("level", 0..7_200, 60, |second| 90.0 - (second - 3_600).max(0) as f64 / 300.0);
    let examples: [Example; 5] = [
        (
            "over-temperature",
            [(0, 50.0), (1, 50.5), (2, 46.0), (3, 51.0), (4, 45.0)]
                .map(|(at, value)| temperature(at, value))
                .into(),
            &["07:00:01 active", "07:00:04 cleared"],
        ),
        (
            "silent-device",
            [temperature(0, 1.0), temperature(600, 1.0), temperature(1_201, 1.0)].into(),
            &["07:20:00 active", "07:20:01 cleared"],
        ),
        (
            "dry-running-pump",
            pump.map(|(power, flow)| power + &flow).collect(),
            &["07:00:20 pending", "07:00:40 active", "07:01:00 latched"],
        ),
        (
            "tank-leak",
            tank.map(|line| line.replace("pump-7", "tank-1")).collect(),
            &["08:07:00 pending", "08:12:00 active"],
        ),
        ("unusual-vibration", Vec::new(), &[]),
    ];
    let folder = root().join("infra/alert-rules");
    let names = examples.iter().map(|(name, ..)| format!("{name}.toml")).collect::<BTreeSet<_>>();
    let found =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), names);
    for (name, readings, expected) in examples {
        let file = format!("infra/alert-rules/{name}.toml");
        let out = tidegate(&["alert-rule", "check", &file], b"").good();
        assert!(out.starts_with(&format!("{file}: valid: {name}\n")), "{out}");
        if !readings.is_empty() {
            assert_eq!(backtest(&file, &readings.concat()).0, expected, "{name}");
        }
    }
}

#[test]
fn a_test_prints_every_step_and_what_it_came_to() {
    let files = Files::new();
    let rule = files.put_rule("hot", &format!("for = \"10s\"\n{HOT}"));
    let readings = [(0, 20.0), (10, 51.0), (20, 52.5), (30, 44.0), (40, 60.0), (50, 20.0)];
    let readings = readings.map(|(at, value)| temperature(at, value)).concat();
    let file = files.put("readings.jsonl", readings);
    assert_eq!(
        tidegate(&["alert-rule", "test", &rule, "--readings", &file], b"").good(),
        "\
at                    device          from        to       cause      metric       value     threshold  told
2026-11-23T07:00:10Z  plant-1/pump-7  normal   →  pending  condition  temperature  51 Cel    above 50   not told
2026-11-23T07:00:20Z  plant-1/pump-7  pending  →  active   condition  temperature  52.5 Cel  above 50   told
2026-11-23T07:00:30Z  plant-1/pump-7  active   →  cleared  condition  temperature  44 Cel    above 50   told
2026-11-23T07:00:40Z  plant-1/pump-7  cleared  →  pending  condition  temperature  60 Cel    above 50   not told
2026-11-23T07:00:50Z  plant-1/pump-7  pending  →  normal   condition  temperature  20 Cel    above 50   not told
6 readings of 1 device: 6 judged, 0 in another unit, 0 too far ahead of their arrival, 0 too late
5 transitions: 2 told, 0 damped; 0 taken back
"
    );
}

#[test]
fn what_flaps_is_damped_in_a_test_as_well() {
    let files = Files::new();
    let flapping = "flapping = { transitions = 2, within = \"1m\" }\n";
    let rule = files.put_rule("hot", &format!("{flapping}{HOT}"));
    let readings: String = (0..6).map(|at| temperature(at, if at % 2 == 0 { 60.0 } else { 20.0 })).collect();
    let (_, closing) = backtest(&rule, &(readings + &temperature(120, 20.0)));
    let summary = &closing["summary"];
    assert_eq!(
        (&summary["told"], &summary["damped"], &summary["transitions"]),
        (&json!(4), &json!(3), &json!(7))
    );
}

#[test]
fn readings_that_come_late_correct_and_those_too_late_are_counted() {
    let files = Files::new();
    let rule = files.put_rule("hot", HOT);
    let lines = [
        temperature(0, 60.0),
        temperature(20, 40.0),
        temperature(10, 41.0),
        temperature(300, 20.0),
        temperature(100, 99.0),
    ];
    let (steps, closing) = backtest(&rule, &lines.concat());
    assert_eq!(
        steps,
        ["07:00:00 active", "07:00:20 cleared", "07:00:20 cleared taken back", "07:00:10 cleared"]
    );
    let summary = &closing["summary"];
    assert_eq!(
        (&summary["judged"], &summary["late"], &summary["taken_back"]),
        (&json!(4), &json!(1), &json!(1))
    );
    let words = ["alert-rule", "test", &rule, "--readings", "-", "--lateness", "5m"];
    let out = tidegate(&words, lines.concat().as_bytes()).good();
    assert!(out.contains(", 0 too late\n"), "{out}");
}

#[test]
fn silence_is_noticed_on_the_way_and_foretold_at_the_end() {
    let files = Files::new();
    let rule = files.put_rule("silent", "condition = { metric = \"temperature\", silent = \"5m\" }");
    let humidity = |second: i64| line("humidity", second, &json!(55), Some("%RH"));
    let lines = [temperature(0, 20.0), humidity(200), humidity(400), temperature(460, 20.0)];
    let out = tidegate(&["alert-rule", "test", &rule, "--readings", "-"], lines.concat().as_bytes()).good();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[1].contains("2026-11-23T07:05:00Z") && lines[1].contains("silent 5m"), "{out}");
    assert!(lines[2].contains("2026-11-23T07:07:40Z") && lines[2].contains("cleared"), "{out}");
    assert_eq!(
        *lines.last().unwrap(),
        "plant-1/pump-7: were nothing to follow its last reading of 2026-11-23T07:07:40Z: cleared → active at 2026-11-23T07:12:40Z"
    );
}

#[test]
fn what_a_rule_does_not_judge_is_counted() {
    let files = Files::new();
    let rule = files.put_rule("hot", &format!("devices = \"plant-1/*\"\n{HOT}"));
    let lines = [
        temperature(0, 60.0),
        line("temperature", 1, &json!(140), Some("degF")),
        line("temperature", 2, &json!("hot"), None),
        line("temperature", 3, &json!(20), None),
        temperature(4, 20.0).replace("plant-1", "plant-2"),
    ];
    let (steps, closing) = backtest(&rule, &lines.concat());
    assert_eq!(steps, ["07:00:00 active", "07:00:03 cleared"]);
    let count = |name: &str| closing["summary"][name].as_u64().unwrap();
    let names = ["readings", "judged", "other_unit", "other_kind", "of_other_devices"];
    assert_eq!(names.map(count), [5, 2, 1, 1, 1]);
}

#[test]
fn csv_is_read_as_it_is_printed() {
    let files = Files::new();
    let rule = files.put_rule("hot", HOT);
    let csv = "device,metric,at,value,unit,time_source,quality\r\n\
        plant-1/pump-7,note,2026-11-23T07:00:00Z,\"a \"\"b\"\",\r\nc\",,device,good\r\n\
        plant-1/pump-7,temperature,2026-11-23T07:00:01Z,50.5,Cel,device,good\r\n\
        plant-1/pump-8,temperature,2026-11-23T07:00:02Z,50.5,Cel,device,good\r\n";
    let (steps, _) = backtest(&rule, csv);
    assert_eq!(steps, ["07:00:01 active", "07:00:02 active"]);
    let words = ["alert-rule", "test", &rule, "--readings", "-", "--device", "plant-1/pump-8", "--json"];
    assert_eq!(tidegate(&words, csv.as_bytes()).good().lines().count(), 2);
}

#[test]
fn a_bad_line_is_named_and_not_quoted() {
    let files = Files::new();
    let rule = files.put_rule("hot", HOT);
    let check = |line: &str, expected: &str| {
        let file = files.put("readings.jsonl", temperature(0, 20.0) + line);
        let err = tidegate(&["alert-rule", "test", &rule, "--readings", &file], b"").failed(2);
        assert!(err.starts_with(&format!("tidegate: {file}:2: {expected}")), "{err}");
        assert!(!err.contains("secret"), "{err}");
    };
    check("secret", "is no reading");
    check(&temperature(0, 20.0).replace("2026-11-23T07", "secret"), "`at` is not a time");
    check(&temperature(0, 20.0).replace("20.0", "null"), "`value` is not a value");
    check(&temperature(0, 20.0).replace("plant-1/", "secret"), "`device` is not a device");
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason() {
    let files = Files::new();
    let rule = files.put_rule("hot", &format!("devices = \"plant-2/*\"\n{HOT}"));
    let bad = files.put_rule("COLD", HOT);
    let folder = files.0.path().to_str().unwrap();
    let check = |words: &[&str], code: i32, expected: &str| {
        let err = tidegate(words, b"").failed(code);
        assert!(err.contains(expected), "{words:?}: {err}");
    };
    check(&["alert-rule", "test", &rule], 2, "--device <DEVICE>");
    check(&["alert-rule", "test", &bad, "--readings", "-"], 1, "`name` is part of topics");
    check(&["alert-rule", "test", &rule, "--readings", "no-such"], 2, "cannot read no-such");
    check(&["alert-rule", "test", &rule, "--readings", "-", "--lateness", "long"], 2, "no length of time");
    check(&["alert-rule", "test", &rule, "--readings", "-", "--from", "-1h"], 2, "cannot be used with");
    check(&["alert-rule", "test", &rule, "--readings", "-", "--device", "pump-7"], 2, "{site}/{device}");
    check(
        &["alert-rule", "test", &rule, "--readings", "-", "--device", "plant-1/pump-7"],
        1,
        "the rule hot is about plant-2/*, and not about plant-1/pump-7",
    );
    // Nothing is looked for before the files are known to be good.
    check(
        &["alert-rule", "put", &rule, &bad, "--dir", folder],
        1,
        "nothing is done, because not all rules are valid",
    );
    check(&["alert-rule", "put", &rule, "--dir", folder], 2, "no local cloud is up");
    check(&["alert-rule", "list", "--dir", folder, "--stack", "x"], 2, "cannot be used with");
    check(&["alerts", "list", "--dir", folder], 2, "no local cloud is up");
    check(&["alerts", "ack", "pump-7", "hot", "--dir", folder], 2, "{site}/{device}");
    check(
        &["alerts", "shelve", "a/b", "hot", "--for", "2h", "--until", "2026-11-23T07:00:00Z"],
        2,
        "cannot be used with",
    );
    check(&["alerts", "shelve", "a/b", "hot", "--until", "tomorrow"], 2, "expected a time");
}

#[test]
fn silence_in_intervals_is_tried_with_the_interval_that_is_said() {
    let files = Files::new();
    let rule = files.put_rule("late", "profile = \"pump\"\ncondition = { silent_intervals = 3 }");
    let told = tidegate(&["alert-rule", "check", &rule], b"").good();
    assert!(told.contains("no reading for longer than 3 intervals of its profile"), "{told}");
    assert!(told.contains("about all devices of the profile pump"), "{told}");
    let readings = temperature(0, 20.0) + &temperature(200, 20.0);
    let test = |more: &[&str]| {
        let words = [&["alert-rule", "test", &rule, "--readings", "-"], more].concat();
        tidegate(&words, readings.as_bytes()).good()
    };
    assert!(test(&["--interval", "1m"]).contains("2026-11-23T07:03:00Z"));
    assert!(test(&["--interval", "5m"]).contains("0 transitions"));
    assert!(test(&[]).contains("0 transitions"));
}
