//! Whether devices report what a rule asks for.

use alert::{Leaf, Question, Rule};
use telemetry::{Latest, Metric, Reading, Value};

use super::words::count;
use crate::table::printable;

/// What the devices of today say of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// How many of them it is about.
    pub(super) devices: usize,
    /// What it will not judge, or not as its author may think, in sentences.
    pub(super) warnings: Vec<String>,
}

/// Compares what a rule asks for with the latest reading of each device.
pub(super) fn fit(rule: &Rule, devices: &[Latest]) -> Fit {
    let of_rule: Vec<&Latest> = devices.iter().filter(|latest| rule.matches(&latest.device)).collect();
    let mut warnings = Vec::new();
    for leaf in rule.leaves.iter().filter(|_| !of_rule.is_empty()) {
        let Some(metric) = &leaf.metric else { continue };
        let readings: Vec<&Reading> =
            of_rule.iter().filter_map(|latest| latest.metrics.get(metric)).collect();
        for warning in warnings_of(leaf, metric, &readings) {
            // Several questions may be about one metric.
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    Fit { devices: of_rule.len(), warnings }
}

fn warnings_of(leaf: &Leaf, metric: &Metric, readings: &[&Reading]) -> Vec<String> {
    if readings.is_empty() {
        return vec![format!("none of them reports `{metric}`, so that nothing is judged of it")];
    }
    let mut warnings = Vec::new();
    let number = |readings: &[&&Reading]| {
        let all = count(readings.len(), "device");
        if readings.len() == 1 { format!("{all} reports") } else { format!("{all} report") }
    };
    if let Some(wanted) = &leaf.unit {
        let other: Vec<_> =
            readings.iter().filter(|reading| !leaf.accepts(reading.unit.as_deref())).collect();
        if let Some(unit) = other.first().and_then(|reading| reading.unit.as_deref()) {
            warnings.push(format!(
                "{} `{metric}` in another unit, such as {}: only {wanted} is judged",
                number(&other),
                printable(unit)
            ));
        }
        let without: Vec<_> = readings.iter().filter(|reading| reading.unit.is_none()).collect();
        if !without.is_empty() {
            warnings.push(format!("{} `{metric}` without a unit: taken as {wanted}", number(&without)));
        }
    }
    let unfit: Vec<_> = readings.iter().filter(|reading| !judges(&leaf.question, &reading.value)).collect();
    if let Some(reading) = unfit.first() {
        let test = leaf.threshold().test;
        warnings.push(format!(
            "{} `{metric}` as {}, which `{test}` cannot judge here",
            number(&unfit),
            kind(&reading.value)
        ));
    }
    warnings
}

/// Whether a question can have another answer than no for a value of this kind.
pub(super) fn judges(question: &Question, value: &Value) -> bool {
    match question {
        Question::Silent(_) | Question::SilentIntervals(_) => true,
        Question::Number { .. } => kind(value) == NUMBER,
        Question::Equals(wanted) => kind(value) == kind(wanted),
    }
}

const NUMBER: &str = "a number";

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Float(_) | Value::Integer(_) => NUMBER,
        Value::Boolean(_) => "true or false",
        Value::Text(_) => "a text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{DeviceId, Micros, Quality, TimeSource};

    fn device(name: &str, metric: &str, value: Value, unit: Option<&str>) -> Latest {
        let (device, at) = (DeviceId::from_stored(name), Micros(1_795_417_200_000_000));
        let reading = Reading {
            device: device.clone(),
            metric: metric.into(),
            at,
            received: at,
            value,
            unit: unit.map(Into::into),
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        };
        let metrics = [(metric.into(), reading)].into();
        Latest {
            device,
            metrics,
            first_seen: at,
            last_seen: at,
            profile: None,
            identity: telemetry::Identity::Topic,
        }
    }

    #[test]
    fn what_will_not_be_judged_is_said() {
        let degrees = |unit: Option<&str>| device("p/a", "t", Value::Float(20.5), unit);
        let check = |condition: &str, devices: &[Latest], expected: &[&str]| {
            let toml = format!(
                "name = \"r\"\nseverity = \"info\"\nmessage = \"m\"\ndevices = \"p/*\"\ncondition = {condition}"
            );
            let fit = fit(&Rule::from_toml(&toml).unwrap(), devices);
            assert_eq!(fit.warnings, expected, "{condition}");
        };
        let above = r#"{ metric = "t", above = 5, unit = "Cel" }"#;
        check(above, &[degrees(Some("Cel"))], &[]);
        check(above, &[], &[]);
        check(above, &[device("q/a", "x", Value::Boolean(true), None)], &[]);
        check(
            above,
            &[device("p/a", "T", Value::Float(20.5), None)],
            &["none of them reports `t`, so that nothing is judged of it"],
        );
        check(
            above,
            &[degrees(Some("F")), degrees(Some("F")), degrees(Some("Cel"))],
            &["2 devices report `t` in another unit, such as F: only Cel is judged"],
        );
        check(above, &[degrees(None)], &["1 device reports `t` without a unit: taken as Cel"]);
        check(
            r#"{ metric = "t", above = 5 }"#,
            &[device("p/a", "t", Value::Text("hot".into()), None)],
            &["1 device reports `t` as a text, which `above` cannot judge here"],
        );
        check(
            r#"{ any = [{ metric = "t", equals = 1 }, { metric = "t", equals = 2 }] }"#,
            &[device("p/a", "t", Value::Boolean(true), None)],
            &["1 device reports `t` as true or false, which `equals` cannot judge here"],
        );
        check(r#"{ metric = "t", silent = "1m" }"#, &[device("p/a", "t", Value::Boolean(true), None)], &[]);
        check(r#"{ silent = "1m" }"#, &[device("p/a", "x", Value::Boolean(true), None)], &[]);
    }

    #[test]
    fn devices_are_counted() {
        let toml = "name = \"r\"\nseverity = \"info\"\nmessage = \"m\"\ndevices = \"p/*\"\ncondition = { silent = \"1m\" }";
        let devices = ["p/a", "p/b", "q/a"].map(|name| device(name, "t", Value::Integer(1), None));
        assert_eq!(fit(&Rule::from_toml(toml).unwrap(), &devices).devices, 2);
    }
}
