//! Profiles in words.

use serde::Deserialize;
use telemetry::{Gateway, MetricRule, NamePattern, Profile, ProfileUnit};

/// What a profile does, in lines: which messages it reads, how, and what it makes of each metric.
pub(crate) fn summary(profile: &Profile) -> Vec<String> {
    let written = Written::of(profile);
    let mut lines = vec![format!("reads {}{}", messages(profile), as_format(profile))];
    lines.extend(profile.gateway.as_ref().map(gateway));
    lines.extend(profile.interval.map(|interval| format!("each device sends every {interval}")));
    lines.extend(written.time.as_ref().and_then(Time::words));
    if profile.numbers_as_text {
        lines.push("texts that are numbers are numbers".to_owned());
    }
    lines.extend(written.documents.words().map(|names| format!("the text of {names} is a document")));
    lines.extend(written.ignore.words().map(|names| format!("leaves out {names}")));
    lines.extend(profile.metrics.iter().zip(&written.metric).map(|(rule, written)| metric(rule, written)));
    lines
}

/// The patterns of its devices.
pub(super) fn devices(profile: &Profile) -> String {
    Written::of(profile).devices.words().unwrap_or_default()
}

/// Its topics.
pub(super) fn topics(profile: &Profile) -> String {
    Written::of(profile).topics.words().unwrap_or_default()
}

/// The word of its format.
pub(super) fn format(profile: &Profile) -> String {
    Written::of(profile).format.unwrap_or_default()
}

fn messages(profile: &Profile) -> String {
    match (topics(profile), devices(profile)) {
        (topics, devices) if devices.is_empty() => format!("messages on {topics}"),
        (topics, devices) if topics.is_empty() => format!("messages of {devices}"),
        (topics, devices) => format!("messages on {topics} of {devices}"),
    }
}

fn as_format(profile: &Profile) -> String {
    let format = format(profile);
    if format.is_empty() { String::new() } else { format!(", as {format}") }
}

fn gateway(gateway: &Gateway) -> String {
    match gateway {
        Gateway::Members => "a gateway: each member of its payloads is a device".to_owned(),
        Gateway::Member(names) => {
            let names: Vec<_> = names.iter().map(NamePattern::as_str).collect();
            format!("a gateway: {} names the device of a record", names.join(", else "))
        }
        Gateway::Format => "a gateway: the format names the devices".to_owned(),
    }
}

fn metric(rule: &MetricRule, written: &Metric) -> String {
    let from = rule.from.as_str();
    let mut said = vec![rule.name().map_or_else(|| from.to_owned(), |name| format!("{from} becomes {name}"))];
    said.extend(written.scale.as_ref().map(|scale| format!("times {scale}")));
    said.extend(written.offset.as_ref().map(|offset| format!("plus {offset}")));
    said.extend(rule.unit.as_ref().map(unit));
    said.extend(rule.unit_from().map(|name| format!("in the unit that {name} says")));
    said.extend(written.range.as_ref().map(|[low, high]| format!("plausible from {low} to {high}")));
    said.extend(written.sentinels.as_deref().map(sentinels));
    said.extend(written.deadband.as_ref().map(|deadband| format!("shown when it has moved by {deadband}")));
    said.join(", ")
}

/// `in mOhm, stored in Ohm (1 mOhm = 0.001 Ohm)`: the factor shows a unit that is not the one meant.
fn unit(unit: &ProfileUnit) -> String {
    let canonical = unit.canonical();
    if *canonical == *unit.text {
        return format!("in {canonical}");
    }
    let formula = unit.formula().map(|formula| format!(" ({formula})")).unwrap_or_default();
    format!("in {}, stored in {canonical}{formula}", unit.text)
}

fn sentinels(sentinels: &[SentinelNumber]) -> String {
    if sentinels.is_empty() {
        return "every number is a measurement".to_owned();
    }
    let sentinel = |sentinel: &SentinelNumber| match sentinel {
        SentinelNumber::Bad(value) => format!("{value} is bad"),
        SentinelNumber::Of { value, quality } => format!("{value} is {quality}"),
    };
    sentinels.iter().map(sentinel).collect::<Vec<_>>().join(", ")
}

/// The profile as it was written, which the document alone still has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    topics: Names,
    devices: Names,
    format: Option<String>,
    documents: Names,
    ignore: Names,
    time: Option<Time>,
    metric: Vec<Metric>,
}

#[derive(Debug, Default, Deserialize)]
struct Names(Vec<String>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Time {
    field: Names,
    zone: Option<String>,
    unit: Option<String>,
    bits: Option<u32>,
    /// Only beside `same_time = "keep"`.
    resolution: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SentinelNumber {
    Bad(f64),
    Of { value: f64, quality: String },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metric {
    scale: Option<f64>,
    offset: Option<f64>,
    range: Option<[f64; 2]>,
    sentinels: Option<Vec<SentinelNumber>>,
    deadband: Option<f64>,
}

impl Written {
    fn of(profile: &Profile) -> Self {
        serde_json::from_str(profile.to_json()).unwrap_or_default()
    }
}

impl Names {
    /// `None` if there is none.
    fn words(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(", "))
    }
}

impl Time {
    fn words(&self) -> Option<String> {
        let field = match self.field.0.as_slice() {
            [] => None,
            [one] => Some(format!("stand in {one}")),
            several => Some(format!("stand in the first of {} that has one", several.join(", "))),
        };
        let unit = self.unit.as_ref().map(|unit| format!("count {unit}"));
        let bits = self.bits.filter(|bits| *bits == 32).map(|_| "run over after 32 bits".to_owned());
        let zone = self.zone.as_ref().map(|zone| format!("are of {zone} where they say no zone"));
        let kept = self.resolution.as_ref().map(|resolution| {
            format!(
                "are {resolution} apart, and samples of one such time from different messages are all kept"
            )
        });
        let said: Vec<String> = [field, unit, bits, zone, kept].into_iter().flatten().collect();
        (!said.is_empty()).then(|| format!("its times {}", said.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_told_in_words() {
        let check = |text: &str, expected: &[&str]| {
            let profile = Profile::from_toml(&format!("name = \"p\"\n{text}")).unwrap();
            assert_eq!(summary(&profile), expected, "{text}");
        };
        check(r#"topics = "dt/+/+/SENSOR""#, &["reads messages on dt/+/+/SENSOR"]);
        check(
            "devices = [\"*/a-*\", \"*/b-*\"]\nformat = \"json\"",
            &["reads messages of */a-*, */b-*, as json"],
        );
        check(
            "topics = \"dt/#\"\ndevices = \"*/*\"\ngateway = \"members\"\ninterval = \"5m\"\nnumbers_as_text = true\nignore = [\"a\", \"b.*\"]\ndocuments = \"data\"",
            &[
                "reads messages on dt/# of */*",
                "a gateway: each member of its payloads is a device",
                "each device sends every 5m",
                "texts that are numbers are numbers",
                "the text of data is a document",
                "leaves out a, b.*",
            ],
        );
        check(
            "topics = \"dt/#\"\ntime = { field = \"when\", unit = \"s\", bits = 32, zone = \"UTC\" }",
            &[
                "reads messages on dt/#",
                "its times stand in when, count s, run over after 32 bits, are of UTC where they say no zone",
            ],
        );
        check(
            "topics = \"dt/#\"\ntime = { field = [\"Epoch\", \"Time\"], resolution = \"1s\", same_time = \"keep\" }",
            &[
                "reads messages on dt/#",
                "its times stand in the first of Epoch, Time that has one, are 1s apart, and samples of one such time from different messages are all kept",
            ],
        );
        check(
            "topics = \"dt/#\"\n[[metric]]\nfrom = \"*.t\"\nname = \"{1}.temperature\"\nscale = 0.1\noffset = -40\nunit = \"degF\"\nrange = [-40, 140.5]\nsentinels = [-127, {value = 85, quality = \"uncertain\"}]\ndeadband = 0.5\n[[metric]]\nfrom = \"h\"\nunit_from = \"hu\"\nsentinels = []\n[[metric]]\nfrom = \"*.r\"\nunit = \"mOhm\"\n[[metric]]\nfrom = \"*.v\"\nunit_from = \"{1}.unit\"",
            &[
                "reads messages on dt/#",
                "*.t becomes {1}.temperature, times 0.1, plus -40, in degF, stored in Cel (Cel = degF × 0.555556 − 17.7778), plausible from -40 to 140.5, -127 is bad, 85 is uncertain, shown when it has moved by 0.5",
                "h, in the unit that hu says, every number is a measurement",
                "*.r, in mOhm, stored in Ohm (1 mOhm = 0.001 Ohm)",
                "*.v, in the unit that {1}.unit says",
            ],
        );
    }
}
