//! Beside the fake of AWS, with the function `alert` behind the command queue.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use telemetry::{Micros, Reading};
use tests::alerts::{Alerting, reading};

use crate::{Files, HOT, Ran, tidegate};

const DEVICE: &str = "plant-1/pump-7";
const SECOND: i64 = 1_000_000;

/// The fake with the function, and the folder of a local cloud that leads to it.
struct Stack {
    alerting: Alerting,
    files: Files,
    /// When the next reading is measured.
    next: Micros,
}

impl Stack {
    async fn start() -> Self {
        let alerting = Alerting::start(&[]).await.unwrap();
        let stack = Self { alerting, files: Files::new(), next: now().plus(-60 * SECOND) };
        let outputs = json!({
            "ReadingsTableName": "readings", "DevicesTableName": "devices", "AlertsTableName": "alerts",
            "ConfigTableName": "config", "AlertQueueUrl": "http://sqs.us-east-1.localhost/000000000000/alert",
        });
        stack.describe(&outputs);
        stack
    }

    /// Writes what a local cloud leaves in its folder.
    fn describe(&self, outputs: &Value) {
        let pid = std::process::id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let started = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap();
        let process = json!({"pid": pid, "started": started});
        self.files.put("ministack.json", json!({"process": process, "port": 1, "mqtt_port": 1}).to_string());
        let cloud = json!({
            "pid": pid, "endpoint": self.alerting.aws.endpoint(), "mqtt_host": "localhost", "mqtt_port": 1, "ca": "",
            "region": "us-east-1", "stack": "tidegate", "build": "", "outputs": outputs,
        });
        self.files.put("cloud.json", cloud.to_string());
    }

    fn run(&self, words: &[&str]) -> Ran {
        let folder = self.files.0.path().to_str().unwrap();
        tidegate(&[words, &["--dir", folder]].concat(), b"")
    }

    /// Stores a rule as an operator does.
    fn put_rule(&self, name: &str, more: &str) -> String {
        let file = self.files.put_rule(name, more);
        self.run(&["alert-rule", "put", &file]).good()
    }

    /// Brings readings of the last minute, a second apart.
    async fn judge(&mut self, values: &[f64]) -> Vec<Reading> {
        let mut readings = Vec::new();
        for value in values {
            let reading = reading(DEVICE, "temperature", self.next, *value);
            readings.push(Reading { unit: Some("Cel".into()), ..reading });
            self.next = self.next.plus(SECOND);
        }
        self.alerting.judge(&readings).await.unwrap().unwrap();
        readings
    }

    /// Runs a command whose message the function obeys meanwhile; also what the message says.
    async fn command(&mut self, words: &[&str]) -> (Ran, Value) {
        let known = self.alerting.aws.sent().len();
        let folder = self.files.0.path().to_str().unwrap().to_owned();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let running = tokio::task::spawn_blocking(move || {
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            words.extend(["--dir", folder.as_str()]);
            tidegate(&words, b"")
        });
        while self.alerting.aws.sent().len() == known && !running.is_finished() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let Some(sent) = self.alerting.aws.sent().pop().filter(|_| self.alerting.aws.sent().len() > known)
        else {
            panic!("nothing was sent: {:?}", running.await.unwrap());
        };
        assert!(sent.queue_url.ends_with("/alert"), "{sent:?}");
        let body: Value = serde_json::from_str(&sent.body).unwrap();
        self.alerting.command(std::slice::from_ref(&body)).await.unwrap().unwrap();
        (running.await.unwrap(), body)
    }
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}

#[tokio::test]
async fn profiles_are_stored_listed_shown_and_deleted() {
    let mut stack = Stack::start().await;
    stack.judge(&[20.0]).await;
    let put = |stack: &Stack, name: &str, rest: &str| {
        let file = stack.files.put(&format!("{name}.toml"), format!("name = \"{name}\"\n{rest}"));
        stack.run(&["profile", "put", &file]).good()
    };
    let stored = put(&stack, "pump", "devices = \"*/pump-*\"\ninterval = \"5m\"\nformat = \"json\"");
    assert_eq!(stored, "pump: stored\npump: about 1 of the 1 device heard so far\n");
    let stored = put(&stack, "fan", "devices = \"*/fan-*\"");
    assert!(stored.ends_with("warning: it is about */fan-*, and none of them has been heard\n"), "{stored}");
    let stored = put(&stack, "sensor", "topics = [\"dt/+/+/SENSOR\", \"a/#\"]");
    assert_eq!(stored, "sensor: stored\nsensor: about whatever comes on dt/+/+/SENSOR, a/#\n");

    let listed = stack.run(&["profile", "list"]).good();
    let row = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<_> = listed.lines().map(row).collect();
    assert_eq!(lines[0], ["name", "devices", "topics", "format", "interval", "metrics", "updated"]);
    assert_eq!(lines[2][..5], ["pump", "*/pump-*", "json", "5m", "0"], "{listed}");
    let lines = stack.run(&["profile", "list", "--json"]).good();
    let profile: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&profile["name"], &profile["profile"]["interval"]), (&json!("pump"), &json!("5m")));
    let shown: Value = serde_json::from_str(&stack.run(&["profile", "show", "pump"]).good()).unwrap();
    assert_eq!(shown, json!({"name": "pump", "devices": ["*/pump-*"], "interval": "5m", "format": "json"}));
    assert!(stack.run(&["profile", "show", "none"]).failed(1).contains("`tidegate profile list`"));

    let ran = stack.run(&["profile", "delete", "pump", "none", "fan"]);
    assert_eq!((ran.code, &*ran.out), (Some(1), "pump: deleted\nfan: deleted\n"), "{ran:?}");
    assert!(ran.err.contains("none: there is no such profile"), "{ran:?}");
    let stored = stack.put_rule("late", "profile = \"pump\"\ncondition = { silent_intervals = 3 }");
    let expected =
        "late: about 1 of the 1 device heard so far, as far as their messages are read by the profile pump\n";
    assert_eq!(stored, format!("late: stored\n{expected}"));
    // A profile and a rule of one name are two documents.
    stack.put_rule("sensor", HOT);
    stack.run(&["profile", "delete", "sensor"]).good();
    assert!(stack.run(&["profile", "list"]).err.contains("there is no profile yet"));
    assert!(stack.run(&["alert-rule", "list"]).good().contains("sensor"));
}

#[tokio::test]
async fn rules_are_stored_listed_shown_and_deleted() {
    let mut stack = Stack::start().await;
    stack.judge(&[20.0]).await;
    let stored = stack.put_rule("hot", &format!("for = \"30s\"\ndevices = \"plant-1/*\"\n{HOT}"));
    assert_eq!(stored, "hot: stored\nhot: about 1 of the 1 device heard so far\n");
    let stored =
        stack.put_rule("cold", "condition = { metric = \"temperature\", below = 5, unit = \"degF\" }");
    let warning =
        "  warning: 1 device reports `temperature` in another unit, such as Cel: only degF is judged\n";
    assert_eq!(stored, format!("cold: stored\ncold: about 1 of the 1 device heard so far\n{warning}"));
    let stored =
        stack.put_rule("dry", "devices = \"plant-2/*\"\ncondition = { metric = \"flow\", below = 5 }");
    assert!(
        stored.ends_with("warning: it is about plant-2/*, and none of them has been heard\n"),
        "{stored}"
    );
    stack.alerting.put_document("broken", "{}").unwrap();

    let ran = stack.run(&["alert-rule", "list"]);
    assert!(ran.err.contains("the stored rule broken cannot be read"), "{ran:?}");
    let listed: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect())
        .collect();
    assert_eq!(listed[0], ["name", "severity", "devices", "condition", "for", "updated"]);
    assert_eq!(
        listed[3][..5],
        ["hot", "critical", "plant-1/*", "temperature above 50 Cel (until at 45 or below)", "30s"]
    );
    let lines = stack.run(&["alert-rule", "list", "--json"]).good();
    let rule: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&rule["name"], &rule["rule"]["condition"]["below"]), (&json!("cold"), &json!(5.0)));

    let shown: Value = serde_json::from_str(&stack.run(&["alert-rule", "show", "hot"]).good()).unwrap();
    assert_eq!((&shown["for"], &shown["condition"]["above"]), (&json!("30s"), &json!(50.0)));
    assert!(stack.run(&["alert-rule", "show", "broken"]).failed(1).contains("cannot be read"));
    assert!(stack.run(&["alert-rule", "show", "none"]).failed(1).contains("there is no rule none"));

    let ran = stack.run(&["alert-rule", "delete", "hot", "none", "broken"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "hot: deleted\nbroken: deleted\n"), "{ran:?}");
    assert!(stack.run(&["alert-rule", "delete", "cold"]).good() == "cold: deleted\n");
    assert_eq!(stack.alerting.aws.items("config").len(), 1);
}

#[tokio::test]
async fn of_files_of_which_one_is_bad_none_is_stored() {
    let stack = Stack::start().await;
    let (good, bad) = (stack.files.put_rule("hot", HOT), stack.files.put_rule("COLD", HOT));
    let err = stack.run(&["alert-rule", "put", &good, &bad]).failed(1);
    assert!(err.contains(&format!("{bad}: `name` is part of topics")), "{err}");
    assert!(stack.alerting.aws.items("config").is_empty());
}

#[tokio::test]
async fn a_stack_without_the_tables_is_said_to_be_so() {
    let stack = Stack::start().await;
    stack.describe(&json!({"ReadingsTableName": "readings", "DevicesTableName": "devices"}));
    let check = |words: &[&str], output: &str| {
        let err = stack.run(words).failed(2);
        assert!(err.contains(&format!("the stack has no output {output}")), "{words:?}: {err}");
    };
    let good = stack.files.put_rule("hot", HOT);
    check(&["alert-rule", "put", &good], "ConfigTableName");
    check(&["alert-rule", "list"], "ConfigTableName");
    check(&["alerts", "list"], "AlertsTableName");
    check(&["alerts", "ack", DEVICE, "hot"], "AlertsTableName");
}

#[tokio::test]
async fn what_stands_is_listed_shown_and_explained() {
    let mut stack = Stack::start().await;
    stack.put_rule("hot", &format!("for = \"1s\"\n{HOT}"));
    stack.put_rule("warm", "condition = { metric = \"temperature\", above = 30 }");
    assert_eq!(stack.run(&["alerts", "list"]).good().lines().count(), 1);
    let readings = stack.judge(&[20.0, 51.0, 52.5, 60.0]).await;
    let (pending, raised) = (readings[1].at, readings[2].at);
    let listed = stack.run(&["alerts", "list"]).good();
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], [DEVICE, "warm", "critical", "active", &pending.to_string(), "too", "hot"]);
    assert_eq!(lines[2], [DEVICE, "hot", "critical", "active", &raised.to_string(), "too", "hot"]);
    let line = stack.run(&["alerts", "list", "--json"]).good();
    let line: Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&line["rule"], &line["state"], &line["shelved_until"]),
        (&json!("hot"), &json!("active"), &Value::Null)
    );

    let explained = stack.run(&["alerts", "explain", DEVICE, "hot"]).good();
    for expected in [
        "hot on plant-1/pump-7: critical, too hot".to_owned(),
        "raises  when temperature above 50 Cel (until at 45 or below), for 1s".to_owned(),
        format!("now     active since {raised} ("),
        format!("{pending}  normal → pending, the condition; not told"),
        format!("{raised}  pending → active, the condition; told"),
        format!("52.5 Cel at {raised}, so since 51 Cel at {pending}"),
        "latest  temperature 60 Cel at ".to_owned(),
        "too late to be judged; so far none was".to_owned(),
    ] {
        assert!(explained.contains(&expected), "{expected}\n{explained}");
    }
    let shown = stack.run(&["alerts", "show", DEVICE, "hot"]).good();
    let told = stack.alerting.told();
    let id = told.iter().rfind(|document| document["rule"] == "hot").unwrap()["id"].as_str().unwrap();
    for expected in
        [format!("id          {id}"), format!("since       {raised}"), "above 50   told".to_owned()]
    {
        assert!(shown.contains(&expected), "{expected}\n{shown}");
    }
    assert!(stack.run(&["alerts", "show", DEVICE]).good().contains("warm"));

    stack.judge(&[20.0, 20.0]).await;
    assert_eq!(stack.run(&["alerts", "list"]).good().lines().count(), 1);
    assert_eq!(stack.run(&["alerts", "list", "--all"]).good().matches("cleared").count(), 2);
    assert!(stack.run(&["alerts", "show", DEVICE, "none"]).failed(1).contains("nothing has been told"));
    assert!(
        stack.run(&["alerts", "show", "plant-1/none"]).failed(1).contains("there is no device plant-1/none")
    );
    assert!(stack.run(&["alerts", "explain", DEVICE, "none"]).failed(1).contains("there is no rule none"));

    stack.run(&["alert-rule", "delete", "warm"]).good();
    let explained = stack.run(&["alerts", "explain", DEVICE, "warm"]).good();
    assert!(explained.starts_with("There is no rule warm any more"), "{explained}");
}

#[tokio::test]
async fn an_alert_is_acknowledged_shelved_and_unshelved_over_the_queue() {
    let mut stack = Stack::start().await;
    stack.put_rule("hot", HOT);
    stack.judge(&[20.0, 60.0]).await;
    let asked = now();
    let (ran, mut body) = stack.command(&["alerts", "ack", DEVICE, "hot"]).await;
    let sent = body["acknowledge"].as_object_mut().unwrap().remove("sent").unwrap();
    assert!(sent.as_i64().unwrap() >= asked.0, "{sent}");
    assert_eq!(body, json!({"acknowledge": {"device": DEVICE, "rule": "hot", "by": "ada"}}));
    assert!(ran.good().contains("acknowledged"));
    let again = stack.run(&["alerts", "ack", DEVICE, "hot"]);
    assert!(again.err.contains("acknowledged already"), "{again:?}");
    again.good();

    let before = now();
    let (ran, body) =
        stack.command(&["alerts", "shelve", DEVICE, "hot", "--for", "1h 30m", "--by", "bob"]).await;
    let until = body["shelve"]["until"].as_i64().unwrap();
    assert!((0..60 * SECOND).contains(&(until - before.0 - 5_400 * SECOND)), "{body}");
    assert_eq!((&body["shelve"]["by"], &body["shelve"]["rule"]), (&json!("bob"), &json!("hot")));
    assert!(ran.good().contains(&format!("acknowledged, shelved until {}", Micros(until))));
    let explained = stack.run(&["alerts", "explain", DEVICE, "hot"]).good();
    assert!(explained.contains("shelf   shelved by bob until"), "{explained}");

    let (ran, body) = stack.command(&["alerts", "unshelve", DEVICE, "hot"]).await;
    assert_eq!(body, json!({"unshelve": {"device": DEVICE, "rule": "hot", "by": "ada"}}));
    let out = ran.good();
    assert!(out.contains("acknowledged") && !out.contains("shelved"), "{out}");
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_nothing_is_sent() {
    let mut stack = Stack::start().await;
    stack.put_rule("hot", HOT);
    stack.put_rule("far", &format!("devices = \"plant-2/*\"\n{HOT}"));
    stack.judge(&[20.0, 60.0, 20.0]).await;
    let check = |words: &[&str], expected: &str| {
        let err = stack.run(&[&["alerts"], words].concat()).failed(1);
        assert!(err.contains(expected), "{words:?}: {err}");
    };
    check(&["ack", DEVICE, "hot"], "hot on plant-1/pump-7 is cleared: the alert does not stand");
    check(&["ack", DEVICE, "none"], "there is no rule none");
    check(&["ack", DEVICE, "far"], "the rule far is about plant-2/*, and not about plant-1/pump-7");
    check(&["ack", "plant-1/none", "hot"], "there is no device plant-1/none");
    check(&["shelve", "plant-1/none", "hot", "--for", "1h"], "there is no device plant-1/none");
    check(&["shelve", DEVICE, "hot"], "an alert is not shelved for ever");
    check(&["shelve", DEVICE, "hot", "--for", "0s"], "has passed");
    check(&["shelve", DEVICE, "hot", "--until", "2020-01-01T00:00:00Z"], "has passed");
    check(&["shelve", DEVICE, "hot", "--for", "721h"], "at most 30 days");
    check(&["unshelve", DEVICE, "hot"], "the alert is not shelved");
    assert!(stack.alerting.aws.sent().is_empty());
}

#[tokio::test]
async fn a_command_that_nobody_obeys_is_said_to_have_done_nothing() {
    let mut stack = Stack::start().await;
    stack.put_rule("hot", HOT);
    stack.judge(&[60.0]).await;
    let err = stack.run(&["alerts", "ack", DEVICE, "hot"]).failed(2);
    assert!(err.contains("nothing has happened within 15 s"), "{err}");
    assert_eq!(stack.alerting.aws.sent().len(), 1);
}

#[tokio::test]
async fn a_rule_is_tried_on_stored_readings() {
    let mut stack = Stack::start().await;
    let rule = stack.files.put_rule("hot", HOT);
    let readings = stack.judge(&[20.0, 60.0, 40.0]).await;
    // Of two days ago: longer than one look at the table brings.
    let old = readings[0].at.plus(-48 * 3_600 * SECOND);
    stack.alerting.store(&[reading(DEVICE, "temperature", old, 70.0)]).unwrap();
    let ran = stack.run(&["alert-rule", "test", &rule, "--device", DEVICE, "--json"]);
    let out = ran.good();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert_eq!((&lines[0]["to"], &lines[0]["value"]), (&json!("active"), &json!(60)));
    assert_eq!(lines[0]["at"], readings[1].at.to_string());
    let longer = stack.run(&["alert-rule", "test", &rule, "--device", DEVICE, "--from", "-3d"]).good();
    assert!(longer.contains("4 readings of 1 device: 4 judged"), "{longer}");
    assert!(longer.contains("4 transitions"), "{longer}");
    let err = stack.run(&["alert-rule", "test", &rule, "--device", "plant-1/none"]).failed(1);
    assert!(err.contains("there is no device plant-1/none"), "{err}");
}
