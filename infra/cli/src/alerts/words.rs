//! Rules, and what they came to, in words.

use alert::{Cause, Condition, Evidence, Input, Leaf, Phase, Question, Rule, Test, Transition};
use jiff::SignedDuration;
use serde::Deserialize;
use telemetry::{Micros, Seq, Value};

use crate::table::printable;

/// What a rule does, in two lines.
pub(crate) fn summary(rule: &Rule) -> [String; 2] {
    let repeat = rule.repeat.map_or(String::new(), |repeat| format!("; told again every {repeat}"));
    [
        format!("{}, when {}", rule.severity, raises(rule)),
        format!("about {}; clears {}{repeat}", scope(rule), clears(rule)),
    ]
}

/// When it raises: its condition, and for how long that has to hold.
pub(super) fn raises(rule: &Rule) -> String {
    let condition = condition(rule);
    if rule.holds_for.is_zero() { condition } else { format!("{condition}, for {}", rule.holds_for) }
}

/// When it clears.
pub(super) fn clears(rule: &Rule) -> String {
    let when = if rule.clear_after.is_zero() {
        "as soon as that is over".to_owned()
    } else {
        format!("once that has been over for {}", rule.clear_after)
    };
    if rule.latch { format!("{when} and somebody has acknowledged it") } else { when }
}

/// Its condition.
pub(super) fn condition(rule: &Rule) -> String {
    combined(&rule.condition, rule, true)
}

fn combined(condition: &Condition, rule: &Rule, is_whole: bool) -> String {
    let join = |members: &[Condition], word: &str| {
        let parts: Vec<String> = members.iter().map(|member| combined(member, rule, false)).collect();
        let text = parts.join(word);
        if is_whole || parts.len() == 1 { text } else { format!("({text})") }
    };
    match condition {
        Condition::Leaf(leaf) => rule.leaves.get(*leaf).map_or(String::new(), question),
        Condition::All(members) => join(members, " and "),
        Condition::Any(members) => join(members, " or "),
    }
}

/// What one leaf asks.
pub(super) fn question(leaf: &Leaf) -> String {
    let metric = leaf.metric.as_deref().unwrap_or("reading");
    match &leaf.question {
        Question::Silent(after) => format!("no {metric} for longer than {after}"),
        Question::SilentIntervals(1) => format!("no {metric} for longer than the interval of its profile"),
        Question::SilentIntervals(intervals) => {
            format!("no {metric} for longer than {intervals} intervals of its profile")
        }
        Question::Equals(Value::Text(text)) => format!("{metric} is \"{text}\""),
        Question::Equals(value) => format!("{metric} is {value}"),
        Question::Number { input, test } => {
            let unit = leaf.unit.as_deref().map_or(String::new(), |unit| format!(" {unit}"));
            match input {
                Input::Value => format!("{metric} {}", levels(test, &unit)),
                Input::Rate { per, over } => {
                    format!("change of {metric} per {per}, over {over}, {}", levels(test, &unit))
                }
                // A score has no unit; that of the metric only says which readings are scored.
                Input::Anomaly(_) => format!("anomaly of {metric} {}", levels(test, "")),
            }
        }
    }
}

fn levels(test: &Test, unit: &str) -> String {
    let (raises, clears) = match *test {
        Test::Above { level, clear } => {
            (format!("above {level}{unit}"), (clear != level).then(|| format!("at {clear} or below")))
        }
        Test::Below { level, clear } => {
            (format!("below {level}{unit}"), (clear != level).then(|| format!("at {clear} or above")))
        }
        Test::Outside { range, clear } => (
            format!("outside {} to {}{unit}", range.0, range.1),
            (clear != range).then(|| format!("within {} to {}", clear.0, clear.1)),
        ),
        Test::Inside { range, clear } => (
            format!("inside {} to {}{unit}", range.0, range.1),
            (clear != range).then(|| format!("below {} or above {}", clear.0, clear.1)),
        ),
    };
    clears.map_or_else(|| raises.clone(), |clears| format!("{raises} (until {clears})"))
}

/// Which devices it is about.
pub(super) fn scope(rule: &Rule) -> String {
    // The patterns as they were written are in the document alone.
    let Scope { site, devices } = serde_json::from_str(rule.to_json()).unwrap_or_default();
    let devices = devices.map_or_else(|| "all devices".to_owned(), |patterns| patterns.join(", "));
    let of_site = site.map_or_else(String::new, |site| format!(" of the site {site}"));
    let of_profile = rule.profile().map_or_else(String::new, |profile| format!(" of the profile {profile}"));
    format!("{devices}{of_site}{of_profile}")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scope {
    site: Option<String>,
    devices: Option<Vec<String>>,
}

/// The answer that decided a transition: one that held where it leads to an alert, one that did not where it leads
/// away. `None` where the rule has changed since, and has no such question any more.
pub(super) fn decisive<'a>(rule: &'a Rule, transition: &'a Transition) -> Option<(&'a Leaf, &'a Evidence)> {
    let leads_there = matches!(transition.to, Phase::Pending | Phase::Active | Phase::Acknowledged);
    let answers = transition.evidence.iter();
    let mut answers = answers.filter_map(|evidence| Some((rule.leaves.get(evidence.leaf)?, evidence)));
    let first = answers.next()?;
    if first.1.holds == leads_there {
        return Some(first);
    }
    Some(answers.find(|(_, evidence)| evidence.holds == leads_there).unwrap_or(first))
}

/// What was compared: a reading's value with its unit, or the rate or score made of it.
pub(super) fn compared(evidence: &Evidence) -> String {
    let seen = evidence.last.as_ref();
    match (evidence.number, seen) {
        (Some(number), _) => format!("{number:.3}"),
        (None, Some(seen)) => with_unit(&seen.value, seen.unit.as_deref()),
        (None, None) => String::new(),
    }
}

/// A value as it was measured. A device's text must not move the cursor of whoever looks at it.
pub(super) fn with_unit(value: &Value, unit: Option<&str>) -> String {
    printable(&unit.map_or_else(|| value.to_string(), |unit| format!("{value} {unit}")))
}

/// What brought a transition about.
pub(super) fn cause(transition: &Transition) -> &'static str {
    match transition.cause {
        Cause::Condition => "the condition",
        Cause::Repeat => "still so",
        Cause::Acknowledged => "somebody acknowledged",
        Cause::Unstable => "it changes too often",
        Cause::Stable => "it is stable again",
    }
}

/// Whether a transition was told: what is only pending never is, what changes too often is damped.
pub(super) fn telling(transition: &Transition) -> &'static str {
    let is_quiet = transition.to == Phase::Pending || transition.to == Phase::Normal;
    match (transition.told, is_quiet) {
        (true, _) => "told",
        (false, true) => "not told",
        (false, false) => "damped",
    }
}

/// A time, and what tells apart others of the same time where there is anything.
pub(super) fn instant(at: Micros, seq: Seq) -> String {
    if seq.is_none() { at.to_string() } else { format!("{at} (seq {seq})") }
}

/// A time that may be none yet.
pub(crate) fn time(at: Micros) -> String {
    if at.is_plausible() { at.to_string() } else { "–".to_owned() }
}

/// How long ago, in whole seconds; in whole minutes beyond an hour.
pub(super) fn ago(at: Micros, now: Micros) -> String {
    let seconds = (now.0.saturating_sub(at.0) / 1_000_000).max(0);
    let seconds = if seconds > 3_600 { seconds / 60 * 60 } else { seconds };
    format!("{:#} ago", SignedDuration::from_secs(seconds))
}

/// `1 device`, `2 devices`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(more: &str) -> Rule {
        let head = "name = \"r\"\nseverity = \"warning\"\nmessage = \"m\"\n";
        Rule::from_toml(&format!("{head}{more}")).unwrap()
    }

    #[test]
    fn conditions_are_sentences() {
        let check = |toml: &str, expected: &str| {
            assert_eq!(condition(&rule(&format!("condition = {toml}"))), expected, "{toml}");
        };
        check(r#"{ metric = "t", above = 50 }"#, "t above 50");
        check(
            r#"{ metric = "t", above = 50, clear = 45, unit = "Cel" }"#,
            "t above 50 Cel (until at 45 or below)",
        );
        check(r#"{ metric = "t", below = 0.5, clear = 1 }"#, "t below 0.5 (until at 1 or above)");
        check(
            r#"{ metric = "p", outside = [1, 5], clear = [2, 4] }"#,
            "p outside 1 to 5 (until within 2 to 4)",
        );
        check(
            r#"{ metric = "p", inside = [1, 5], clear = [0, 6], unit = "bar" }"#,
            "p inside 1 to 5 bar (until below 0 or above 6)",
        );
        check(r#"{ metric = "s", equals = "fault" }"#, "s is \"fault\"");
        check(r#"{ metric = "s", equals = true }"#, "s is true");
        check(r#"{ silent = "5m" }"#, "no reading for longer than 5m");
        check("{ silent_intervals = 3 }", "no reading for longer than 3 intervals of its profile");
        check(
            r#"{ metric = "s", silent_intervals = 1 }"#,
            "no s for longer than the interval of its profile",
        );
        check(r#"{ metric = "s", silent = "1h 30m" }"#, "no s for longer than 1h 30m");
        check(
            r#"{ metric = "level", rate = { per = "1h", over = "10m" }, below = -2 }"#,
            "change of level per 1h, over 10m, below -2",
        );
        check(r#"{ metric = "v", anomaly = {}, above = 6, unit = "mm/s" }"#, "anomaly of v above 6");
        check(
            r#"{ all = [{ metric = "a", above = 1 }, { any = [{ metric = "b", above = 2 }, { metric = "c", equals = false }] }] }"#,
            "a above 1 and (b above 2 or c is false)",
        );
    }

    #[test]
    fn a_rule_is_told_in_two_lines() {
        let check = |more: &str, expected: [&str; 2]| assert_eq!(summary(&rule(more)), expected, "{more}");
        check(
            r#"condition = { metric = "t", above = 50 }"#,
            ["warning, when t above 50", "about all devices; clears as soon as that is over"],
        );
        check(
            r#"
            for = "30s"
            clear_after = "5m"
            repeat = "1h"
            latch = true
            site = "plant-1"
            devices = ["*/pump-*", "*/fan-1"]
            condition = { metric = "t", above = 50 }
            "#,
            [
                "warning, when t above 50, for 30s",
                "about */pump-*, */fan-1 of the site plant-1; clears once that has been over for 5m and somebody has \
                 acknowledged it; told again every 1h",
            ],
        );
    }

    #[test]
    fn the_past_is_told_as_coarsely_as_it_is_far() {
        let check = |seconds: i64, expected: &str| {
            assert_eq!(ago(Micros(0), Micros(seconds * 1_000_000)), expected, "{seconds}");
        };
        check(0, "0s ago");
        check(90, "1m 30s ago");
        check(3_725, "1h 2m ago");
        check(-5, "0s ago");
    }
}
