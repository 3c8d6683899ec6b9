//! Without any cloud: profiles are checked, learnt, and tried on payloads.

use serde_json::{Value, json};

use crate::{Files, root, tidegate};

const COLD_ROOM: &str = "name = \"cold-room\"\ndevices = \"*/cold-*\"\ninterval = \"5m\"\n\n[[metric]]\nfrom = \"t\"\nname = \"temperature\"\nscale = 0.1\nrange = [-60, 40]\n";

#[test]
fn a_good_profile_is_told_in_words_and_a_bad_one_with_lines() {
    let files = Files::new();
    let good = files.put("good.toml", COLD_ROOM);
    let bad = files.put("bad.toml", "name = \"Bad\"\ndevices = \"pump\"\n[[metric]]\nfrom = \"a..b\"\n");
    let syntax = files.put("syntax.toml", "name = \"p\"\ndevices =\n");
    let twin = files.put("twin.toml", COLD_ROOM);
    let ran = tidegate(&["profile", "check", &good, &bad, &syntax, &twin], b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let words = "valid: cold-room\n  reads messages of */cold-*\n  each device sends every 5m\n  \
        t becomes temperature, times 0.1, plausible from -60 to 40\n";
    assert!(ran.out.starts_with(&format!("{good}: {words}")), "{ran:?}");
    for expected in [
        format!("{bad}: line 1: `name` has 1 to 64 lower-case letters"),
        format!("{bad}: line 2: `devices`: "),
        format!("{bad}: line 4: a name pattern has an empty level"),
        format!("{syntax}: line 2: "),
        format!("{twin}: the name cold-room is that of {good}, too"),
    ] {
        assert!(ran.out.lines().any(|line| line.starts_with(&expected)), "{expected}: {ran:?}");
    }
    let refused = tidegate(&["profile", "put", &good, &bad], b"").failed(1);
    assert!(refused.contains("nothing is done, because not all profiles are valid"), "{refused}");
}

#[test]
fn what_can_have_no_effect_is_warned_of() {
    let files = Files::new();
    let profile = files.put("p.toml", "name = \"p\"\ndevices = \"*/*\"\nignore = [\"*\", \"a\"]\n");
    let ran = tidegate(&["profile", "check", &profile], b"");
    assert!(
        ran.out.contains(&format!("{profile}: warning: line 3: `ignore`: * finds all that a does")),
        "{ran:?}"
    );
    assert!(ran.good().starts_with(&format!("{profile}: valid: p\n")));
}

#[test]
fn the_shipped_profiles_are_valid() {
    let folder = root().join("infra/profiles");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = names.map(|name| format!("infra/profiles/{name}")).collect();
    assert!(!files.is_empty());
    for file in files {
        let out = tidegate(&["profile", "check", &file], b"").good();
        let name = file.trim_start_matches("infra/profiles/").trim_end_matches(".toml");
        assert!(out.starts_with(&format!("{file}: valid: {name}\n")), "{out}");
        assert!(!out.contains("warning"), "{out}");
    }
}

#[test]
fn a_payload_is_decoded_by_a_profile_that_fits() {
    let files = Files::new();
    let profile = files.put("cold-room.toml", COLD_ROOM);
    let decode = |topic: &str, more: &[&str]| {
        let words = [&["decode", "--topic", topic, "--profile", &profile], more, &["-"]].concat();
        tidegate(&words, br#"{"t": 225, "ts": 1500000000}"#)
    };
    let ran = decode("dt/plant-1/cold-1/state", &[]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{ran:?}");
    let reading: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&reading["metric"], &reading["value"]), (&json!("temperature"), &json!(22.5)));
    let ran = decode("dt/plant-1/pump-7/state", &[]);
    let missed = "it is read without a profile: neither topics nor devices of cold-room are those of dt/plant-1/pump-7/state\n";
    assert_eq!((ran.code, &*ran.err), (Some(0), missed), "{ran:?}");
    assert!(ran.out.contains("\"metric\":\"t\""), "{ran:?}");
    let ran = decode("dt/plant-1/cold-1/state", &["--time-outside", "quarantine"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("\"code\":\"time\""), "{ran:?}");
    let ran = decode("dt/plant-1/cold-1/state", &["--time-outside", "quarantine", "--max-age-days", "9999"]);
    assert!(ran.good().contains("2017-07-14"));
}

#[test]
fn a_sparkplug_message_is_decoded_after_its_birth() {
    let files = Files::new();
    let message = |name: &str| {
        let path = root().join("tests/sparkplug/line").join(name);
        files.put(name, tests::goldens::from_hex(&std::fs::read(path).unwrap()))
    };
    let (birth, data) = (message("01-nbirth.hex"), message("03-ndata.hex"));
    let device_birth = message("02-dbirth.hex");
    let words = ["decode", "--received", "2026-11-23T07:00:02Z", "--topic", "spBv1.0/plant-1/NDATA/line-3"];
    let ran = tidegate(&[&words[..], &[&data]].concat(), b"");
    assert!(ran.out.contains("\"code\":\"sparkplug_unborn\""), "{ran:?}");
    assert!(ran.failed(1).contains("--after spBv1.0/{group}/NBIRTH/{node}=FILE"));
    let after = format!("spBv1.0/plant-1/NBIRTH/line-3={birth}");
    // As the cloud decides: the message between the two is missing, unless it may come later.
    let ran = tidegate(&[&words[..], &["--after", &after, &data]].concat(), b"");
    assert!(ran.out.contains("\"code\":\"sparkplug_gap\""), "{ran:?}");
    let between = format!("spBv1.0/plant-1/DBIRTH/line-3/pump-7={device_birth}");
    for more in [["--after", &between], ["--sparkplug-reorder-seconds", "30"]] {
        let ran = tidegate(&[&words[..], &["--after", &after], &more, &[&data]].concat(), b"").good();
        assert!(
            ran.contains("\"metric\":\"Line 3.Temperature\",\"at\":\"2026-11-23T06:00:00Z\",\"value\":19.5"),
            "{ran}"
        );
    }
    let after = format!("spBv1.0/plant-1/NDATA/line-3={data}");
    let ran = tidegate(&[&words[..], &["--after", &after, &data]].concat(), b"");
    assert!(ran.failed(1).contains("which came before, is refused"));
    let ran = tidegate(&[&words[..], &["--after", &birth, &data]].concat(), b"");
    assert!(ran.failed(2).contains("expected a topic, =, and a file"));
}

#[test]
fn what_is_learnt_is_a_profile_that_reads_what_it_was_learnt_from() {
    let files = Files::new();
    let lines = "{\"ts\": 1795417080, \"flow\": 12.5}\n{\"ts\": 1795417140, \"flow\": 8}\n{\"ts\": 1795417200, \"flow\": 9}\n";
    let payloads = files.put("payloads.jsonl", lines);
    let single = files.put("single.json", "{\n  \"level\": 3\n}\n");
    let words = ["profile", "learn", &payloads, &single, "--topic", "dt/plant-1/pump-7/state"];
    let ran = tidegate(&words, b"");
    assert!(ran.err.contains("tidegate profile put"), "{ran:?}");
    let text = ran.good();
    for expected in [
        "from 4 messages",
        "name = \"pump\"",
        "# interval = \"1m\"",
        "#   \"flow\": 3 values; from 8 to 12.5",
        "#   \"level\": 1 value",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let learnt = files.put("learnt.toml", &text);
    assert!(tidegate(&["profile", "check", &learnt], b"").good().contains("valid: pump\n"));
    let words = ["decode", "--topic", "dt/plant-1/pump-7/state", "--profile", &learnt, &single];
    let ran = tidegate(&words, b"");
    assert_eq!(ran.err, "");
    assert!(ran.good().contains("\"metric\":\"level\""));
}

#[test]
fn what_cannot_be_learnt_from_is_refused_with_its_place() {
    let files = Files::new();
    let check = |words: &[&str], input: &str, code: i32, expected: &str| {
        let err = tidegate(&[&["profile", "learn"], words].concat(), input.as_bytes()).failed(code);
        assert!(err.contains(expected), "{words:?}: {err}");
    };
    let bad = files.put("bad.jsonl", "{\"a\": 1}\n[[1]]\n");
    let ran = tidegate(&["profile", "learn", &bad], b"");
    assert!(ran.err.contains(&format!("{bad}:2: refused: the payload is an array of arrays")), "{ran:?}");
    ran.good();
    check(&["-"], "{", 1, "-:1: the payload is cut short");
    check(&["no-such"], "", 2, "there is no file no-such");
    check(&["-", "--format", "xml"], "{}", 2, "xml is no format");
    check(&["-", "--name", "Bad Name"], "{\"a\": 1}", 1, "lower-case letters");
}
