//! One device of the demo plays a part: it overheats, goes silent and recovers. Pure: what it says, and what has to
//! be heard and shown of it.

use std::time::Duration;

use serde_json::Value as Json;
use telemetry::{Micros, Value};

use super::plan::{Expected, Message, Record, SEQ, Script};

/// Site and name of the device.
pub(crate) const ACTOR: (&str, &str) = ("plant-1", "furnace-1");
/// The rules that are put for it alone.
pub(crate) const RULES: [&str; 2] = [
    r#"
name = "demo-furnace-hot"
severity = "critical"
message = "the furnace is above 50 °C"
devices = "plant-1/furnace-1"

[condition]
metric = "temperature"
above = 50
clear = 45
"#,
    r#"
name = "demo-furnace-silent"
severity = "warning"
message = "the furnace has said nothing for four seconds"
devices = "plant-1/furnace-1"

[condition]
silent = "4s"
"#,
];
/// When somebody has to look for silent devices: they are looked for every minute, and nobody wants to watch that.
pub(crate) const LOOK: Duration = Duration::from_millis(10_500);
/// What it says last, and its shadow has to show in the end.
const RECOVERED: i64 = 30;

/// Of each act when it begins, how long it lasts, and how hot it is.
const ACTS: [(u64, u64, i64); 3] = [(0, 3_000, 22), (3_000, 2_000, 57), (12_000, 2_000, RECOVERED)];
const PERIOD_MILLIS: u64 = 500;

/// What has to be heard of each rule, in order.
const HEARD: [(&str, &[&str]); 2] =
    [("demo-furnace-hot", &["active", "cleared"]), ("demo-furnace-silent", &["active", "cleared"])];

/// What the device says, from `start` on.
pub(crate) fn script(start: Micros) -> Script {
    let times = ACTS.iter().flat_map(|(begins, lasts, temperature)| {
        (0..lasts / PERIOD_MILLIS).map(move |step| (begins + step * PERIOD_MILLIS, *temperature))
    });
    let messages = (1..).zip(times).map(|(seq, (millis, temperature))| {
        let after = Duration::from_millis(millis);
        let at = Micros((start.0 / 1_000 + i64::try_from(millis).unwrap_or(0)) * 1_000 + 1_000);
        let payload = format!(r#"{{"ts": {}, "seq": {seq}, "temperature": {temperature}}}"#, at.0 / 1_000);
        let integer = |number: i64| Value::Integer(number.into());
        let values = vec![(SEQ, integer(seq)), ("temperature", integer(temperature))];
        let expected = Expected::Stored(vec![Record { at: Some(at), values }]);
        Message { seq, after, stream: "state", payload: payload.into_bytes(), expected }
    });
    Script { site: ACTOR.0.to_owned(), name: ACTOR.1.to_owned(), messages: messages.collect() }
}

/// A document that was heard of an alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// As it was published.
    pub(crate) document: Json,
    /// When, by the clock.
    pub(crate) at: Micros,
}

/// All that was heard and is shown.
#[derive(Debug, Default)]
pub(crate) struct Performance {
    /// In the order in which it came.
    pub(crate) heard: Vec<Heard>,
    /// The shadows by device: what is reported; null where there is none.
    pub(crate) shadows: Vec<(String, Json)>,
}

impl Performance {
    /// What was heard of a rule.
    fn states(&self, rule: &str) -> Vec<&str> {
        let of_rule = self.heard.iter().filter(|heard| heard.document["rule"] == rule);
        of_rule.filter_map(|heard| heard.document["state"].as_str()).collect()
    }

    fn shadow(&self) -> &Json {
        let device = format!("{}/{}", ACTOR.0, ACTOR.1);
        self.shadows.iter().find(|(known, _)| *known == device).map_or(&Json::Null, |(_, shadow)| shadow)
    }

    /// What is not as it was staged, in sentences; nothing if all is well.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (rule, expected) in HEARD {
            let heard = self.states(rule);
            if heard != expected {
                faults.push(format!("of the alert {rule} was heard {heard:?}, and staged {expected:?}"));
            }
        }
        let shadow = self.shadow();
        if shadow["metrics"]["temperature"]["value"] != RECOVERED {
            faults.push("the furnace's shadow does not show its last temperature".to_owned());
        }
        if shadow["connection"]["online"] != false {
            faults.push("the furnace's shadow does not show that it has gone".to_owned());
        }
        if !shadow["alert"].is_null() {
            faults.push("the furnace's shadow shows an alert, and none stands".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn as_staged() -> Performance {
        let heard = HEARD.iter().flat_map(|(rule, states)| {
            states
                .iter()
                .map(move |state| Heard { document: json!({"rule": rule, "state": state}), at: Micros(0) })
        });
        let shadow = json!({
            "metrics": {"temperature": {"value": RECOVERED}}, "connection": {"online": false}, "alert": null
        });
        Performance { heard: heard.collect(), shadows: vec![("plant-1/furnace-1".to_owned(), shadow)] }
    }

    #[test]
    fn each_fault_shows() {
        assert_eq!(as_staged().faults(), Vec::<String>::new());
        let check = |spoil: fn(&mut Performance)| {
            let mut performance = as_staged();
            spoil(&mut performance);
            assert_eq!(performance.faults().len(), 1, "{performance:?}");
        };
        check(|performance| drop(performance.heard.pop()));
        check(|performance| performance.heard.push(performance.heard[0].clone()));
        check(|performance| performance.shadows[0].1["metrics"]["temperature"]["value"] = json!(57));
        check(|performance| performance.shadows[0].1["connection"]["online"] = json!(true));
        check(|performance| performance.shadows[0].1["alert"] = json!({"rule": "demo-furnace-hot"}));
    }

    #[test]
    fn the_silence_is_long_enough_and_the_look_falls_into_it() {
        let script = script(Micros(1_795_417_200_250_000));
        let gaps = script.messages.windows(2).map(|pair| (pair[0].after, pair[1].after));
        let silent: Vec<_> = gaps.filter(|(last, next)| *next - *last > Duration::from_secs(1)).collect();
        assert_eq!(silent.len(), 1);
        let (last, next) = silent[0];
        assert!(last + Duration::from_secs(5) < LOOK && LOOK + Duration::from_secs(1) < next);
    }

    #[test]
    fn the_rules_are_valid_and_about_the_actor_alone() {
        for text in RULES {
            let rule = alert::Rule::from_toml(text).unwrap();
            let matches = |id: &str| rule.matches(&telemetry::DeviceId::from_stored(id));
            assert!(matches("plant-1/furnace-1") && !matches("plant-1/pump-1"), "{}", rule.name);
            assert!(HEARD.iter().any(|(name, _)| *name == &*rule.name));
        }
    }
}
