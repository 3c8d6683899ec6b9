//! Configuration: every environment variable that a function reads, in one registry.
//!
//! Read once at start, validated as a whole, never read again. The README's table is made from
//! [`REGISTRY`], and a test compares the two and the template.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use telemetry::sparkplug::SparkplugPolicy;
use telemetry::{
    ClientId, DEFAULT_LAYOUT, FleetLayout, IdentityRules, LayoutSite, Layouts, Outside, Settings, TimePolicy,
    TopicFilter, TopicLayout, Zone,
};

/// One environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds if it is not set; `None`: it has to be.
    pub default: Option<&'static str>,
    /// What it sets, in a sentence.
    pub meaning: &'static str,
    /// The functions that read it.
    pub functions: &'static [&'static str],
}

const ALL: &[&str] = &["alert", "archive", "compact", "ingest", "presence", "shadow"];
const ALERT: &[&str] = &["alert"];
const PRESENCE: &[&str] = &["presence"];
const SHADOW: &[&str] = &["shadow"];
const INGEST: &[&str] = &["ingest"];
const COMPACT: &[&str] = &["compact"];

const STAGE: Variable = Variable {
    name: "TIDEGATE_STAGE",
    default: Some("dev"),
    meaning: "Stage of the deployment; a dimension of every metric.",
    functions: ALL,
};
const READINGS_TABLE: Variable = Variable {
    name: "TIDEGATE_READINGS_TABLE",
    default: None,
    meaning: "DynamoDB table of readings.",
    functions: &["alert", "ingest"],
};
const DEVICES_TABLE: Variable = Variable {
    name: "TIDEGATE_DEVICES_TABLE",
    default: None,
    meaning: "DynamoDB table of the devices' latest values.",
    functions: &["alert", "ingest", "presence", "shadow"],
};
const BUCKET: Variable = Variable {
    name: "TIDEGATE_BUCKET",
    default: None,
    meaning: "S3 bucket: the lake is below `readings/`, messages nobody understands below `quarantine/`.",
    functions: &["archive", "compact", "ingest"],
};
const RETENTION_DAYS: Variable = Variable {
    name: "TIDEGATE_RETENTION_DAYS",
    default: Some("30"),
    meaning: "Days after its arrival that DynamoDB keeps a reading; `0` keeps it for ever.",
    functions: INGEST,
};
const CLIENT_ID: Variable = Variable {
    name: "TIDEGATE_CLIENT_ID",
    default: Some("match"),
    meaning: "`match`: the MQTT client id must be the device in the topic. `any`: gateways publish for other devices.",
    functions: INGEST,
};
const PAYLOAD_IDENTITY_FILTER: Variable = Variable {
    name: "TIDEGATE_PAYLOAD_IDENTITY_FILTER",
    default: Some(""),
    meaning: "Topic filter, such as `iot/#`, of messages whose payload names the device in `device_id`; empty: none.",
    functions: INGEST,
};
const LAYOUT: Variable = Variable {
    name: "TIDEGATE_LAYOUT",
    default: Some(DEFAULT_LAYOUT),
    meaning: "Layout of the topics that name their device, such as `factory/{site}/{prefix}/{device}/{metric}`.",
    functions: INGEST,
};
const LAYOUT_2: Variable = Variable {
    name: "TIDEGATE_LAYOUT_2",
    default: Some(""),
    meaning: "A second layout, which matches none of the first one's topics; empty: none.",
    functions: INGEST,
};
const LAYOUT_3: Variable = Variable {
    name: "TIDEGATE_LAYOUT_3",
    default: Some(""),
    meaning: "A third one; empty: none.",
    functions: INGEST,
};
const LAYOUT_SITE: Variable = Variable {
    name: "TIDEGATE_LAYOUT_SITE",
    default: Some("main"),
    meaning: "Site of the devices whose layout has no `{site}`.",
    functions: INGEST,
};
const LAYOUT_IGNORE: Variable = Variable {
    name: "TIDEGATE_LAYOUT_IGNORE",
    default: Some(""),
    meaning: "Topic filter, such as `shellies/announce`, of messages that are ignored and counted; empty: none.",
    functions: INGEST,
};
const LAYOUT_2_IGNORE: Variable = Variable {
    name: "TIDEGATE_LAYOUT_2_IGNORE",
    default: Some(""),
    meaning: "A second one, beside the second layout; empty: none.",
    functions: INGEST,
};
const LAYOUT_3_IGNORE: Variable = Variable {
    name: "TIDEGATE_LAYOUT_3_IGNORE",
    default: Some(""),
    meaning: "A third one, beside the third layout; empty: none.",
    functions: INGEST,
};
const TIME_MAX_AGE_DAYS: Variable = Variable {
    name: "TIDEGATE_TIME_MAX_AGE_DAYS",
    default: Some("30"),
    meaning: "Days before its arrival that a reading may have been measured, by the device's clock, at most 36500.",
    functions: INGEST,
};
const TIME_MAX_AHEAD_SECONDS: Variable = Variable {
    name: "TIDEGATE_TIME_MAX_AHEAD_SECONDS",
    default: Some("600"),
    meaning: "Seconds after its arrival that a reading may have been measured, by the device's clock, at most 86400.",
    functions: INGEST,
};
const TIME_OUTSIDE: Variable = Variable {
    name: "TIDEGATE_TIME_OUTSIDE",
    default: Some("arrival"),
    meaning: "What becomes of any other time: `arrival`: the reading gets its arrival time, and is marked. `quarantine`: the message is refused.",
    functions: INGEST,
};
const TIME_ZONE: Variable = Variable {
    name: "TIDEGATE_TIME_ZONE",
    default: Some(""),
    meaning: "Zone of times that are written without one: `UTC`, `+02:00`, `Europe/Berlin`; empty: they are texts.",
    functions: INGEST,
};
const SPARKPLUG_REORDER_SECONDS: Variable = Variable {
    name: "TIDEGATE_SPARKPLUG_REORDER_SECONDS",
    default: Some("0"),
    meaning: "Seconds that a Sparkplug message may come after later ones of its edge node, at most 3600; then it is missing, and the node is asked for its births. `0`: it is as soon as a later one has come.",
    functions: INGEST,
};
const COMPACT_AFTER_MINUTES: Variable = Variable {
    name: "TIDEGATE_COMPACT_AFTER_MINUTES",
    default: Some("15"),
    meaning: "Minutes after its end that an hour of the lake counts as closed and may be compacted.",
    functions: COMPACT,
};
const ALERTS_TABLE: Variable = Variable {
    name: "TIDEGATE_ALERTS_TABLE",
    default: None,
    meaning: "DynamoDB table of what stands, and of what is still to be published.",
    functions: ALERT,
};
const CONFIG_TABLE: Variable = Variable {
    name: "TIDEGATE_CONFIG_TABLE",
    default: None,
    meaning: "DynamoDB table of alert rules and profiles, and of what is known of Sparkplug's edge nodes.",
    functions: &["alert", "ingest", "presence", "shadow"],
};
const CONFIG_CACHE_SECONDS: Variable = Variable {
    name: "TIDEGATE_CONFIG_CACHE_SECONDS",
    default: Some("60"),
    meaning: "Seconds that alert rules and profiles are taken as they were read, at most 3600.",
    functions: &["alert", "ingest", "shadow"],
};
const ALERT_LATENESS_SECONDS: Variable = Variable {
    name: "TIDEGATE_ALERT_LATENESS_SECONDS",
    default: Some("120"),
    meaning: "Seconds that a reading may come after newer ones of its device and still be judged, at most 3600.",
    functions: ALERT,
};
const ALERT_KEEP_MINUTES: Variable = Variable {
    name: "TIDEGATE_ALERT_KEEP_MINUTES",
    default: Some("1440"),
    meaning: "Minutes that the broker keeps the document of an alert that has cleared.",
    functions: ALERT,
};
const ALERT_TOPIC_ARN: Variable = Variable {
    name: "TIDEGATE_ALERT_TOPIC_ARN",
    default: Some(""),
    meaning: "SNS topic that alerts are sent to as well; empty: none.",
    functions: ALERT,
};

const SHADOW_NAME: Variable = Variable {
    name: "TIDEGATE_SHADOW_NAME",
    default: Some("telemetry"),
    meaning: "Name of the shadow that shows each thing's latest values.",
    functions: SHADOW,
};
const SHADOW_DEADBAND_PERCENT: Variable = Variable {
    name: "TIDEGATE_SHADOW_DEADBAND_PERCENT",
    default: Some("1"),
    meaning: "How far a number has to be from what the shadow shows, in percent of that, to be sent, where the device's profile has no deadband for it; `0`: any change is.",
    functions: SHADOW,
};
const SHADOW_MIN_INTERVAL_SECONDS: Variable = Variable {
    name: "TIDEGATE_SHADOW_MIN_INTERVAL_SECONDS",
    default: Some("10"),
    meaning: "Least time between two updates of one shadow, 0 to 900; what changes meanwhile is sent after it.",
    functions: SHADOW,
};
const SHADOW_QUEUE_URL: Variable = Variable {
    name: "TIDEGATE_SHADOW_QUEUE_URL",
    default: None,
    meaning: "SQS queue by which `shadow` reminds itself of updates that had to wait.",
    functions: SHADOW,
};

const ALERT_QUEUE_URL: Variable = Variable {
    name: "TIDEGATE_ALERT_QUEUE_URL",
    default: None,
    meaning: "SQS queue of commands to `alert`.",
    functions: PRESENCE,
};
const SILENCE_SCHEDULE: Variable = Variable {
    name: "TIDEGATE_SILENCE_SCHEDULE",
    default: Some("rate(1 minute)"),
    meaning: "How often silent devices are looked for, as the schedule that invokes the function says it.",
    functions: PRESENCE,
};

/// All variables, in the order of the README's table.
pub const REGISTRY: [Variable; 32] = [
    READINGS_TABLE,
    DEVICES_TABLE,
    BUCKET,
    RETENTION_DAYS,
    CLIENT_ID,
    PAYLOAD_IDENTITY_FILTER,
    LAYOUT,
    LAYOUT_2,
    LAYOUT_3,
    LAYOUT_SITE,
    LAYOUT_IGNORE,
    LAYOUT_2_IGNORE,
    LAYOUT_3_IGNORE,
    TIME_MAX_AGE_DAYS,
    TIME_MAX_AHEAD_SECONDS,
    TIME_OUTSIDE,
    TIME_ZONE,
    SPARKPLUG_REORDER_SECONDS,
    COMPACT_AFTER_MINUTES,
    ALERTS_TABLE,
    CONFIG_TABLE,
    CONFIG_CACHE_SECONDS,
    ALERT_LATENESS_SECONDS,
    ALERT_KEEP_MINUTES,
    ALERT_TOPIC_ARN,
    SHADOW_NAME,
    SHADOW_DEADBAND_PERCENT,
    SHADOW_MIN_INTERVAL_SECONDS,
    SHADOW_QUEUE_URL,
    ALERT_QUEUE_URL,
    SILENCE_SCHEDULE,
    STAGE,
];

/// The README's table of [`REGISTRY`], in Markdown.
pub fn markdown_table() -> String {
    let row = |variable: &Variable| {
        let default = match variable.default {
            None => "required".to_owned(),
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let functions = variable.functions.join(", ");
        format!("| `{}` | {functions} | {default} | {} |\n", variable.name, variable.meaning)
    };
    let rows: String = REGISTRY.iter().map(row).collect();
    format!("| variable | read by | default | meaning |\n|---|---|---|---|\n{rows}")
}

/// What a function is configured with.
pub trait Configuration: Sized {
    /// Takes its variables from `reader`.
    fn read(reader: &mut Reader<'_>) -> Self;

    /// Reads all variables through `lookup`.
    ///
    /// # Errors
    /// Every variable that is missing or not valid, not only the first.
    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup: &lookup, problems: Vec::new() };
        let config = Self::read(&mut reader);
        if reader.problems.is_empty() { Ok(config) } else { Err(ConfigError(reader.problems)) }
    }
}

/// What `ingest` is configured with.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// Stage of the deployment.
    pub stage: String,
    /// Name of the readings table.
    pub readings_table: String,
    /// Name of the devices table.
    pub devices_table: String,
    /// Name of the bucket.
    pub bucket: String,
    /// How long readings are kept, in days after their arrival; `None`: for ever.
    pub retention_days: Option<u32>,
    /// Name of the config table.
    pub config_table: String,
    /// How long profiles are taken as they were read.
    pub config_cache: Duration,
    /// How messages are read.
    pub settings: Settings,
}

impl Configuration for IngestConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            stage: reader.read(STAGE),
            readings_table: reader.read(READINGS_TABLE),
            devices_table: reader.read(DEVICES_TABLE),
            bucket: reader.read(BUCKET),
            retention_days: Some(reader.read::<u32>(RETENTION_DAYS)).filter(|days| *days > 0),
            config_table: reader.read(CONFIG_TABLE),
            config_cache: reader.read::<Bounded<3_600>>(CONFIG_CACHE_SECONDS).seconds(),
            settings: Settings {
                identity: reader.read_identity(),
                time: TimePolicy {
                    max_age_micros: i64::from(reader.read::<Bounded<36_500>>(TIME_MAX_AGE_DAYS).0)
                        * 86_400_000_000,
                    max_ahead_micros: i64::from(reader.read::<Bounded<86_400>>(TIME_MAX_AHEAD_SECONDS).0)
                        * 1_000_000,
                    outside: reader.read::<OutsideSetting>(TIME_OUTSIDE).0,
                    zone: reader.read::<ZoneSetting>(TIME_ZONE).0,
                },
                sparkplug: SparkplugPolicy {
                    patience_micros: i64::from(reader.read::<Bounded<3_600>>(SPARKPLUG_REORDER_SECONDS).0)
                        * 1_000_000,
                },
            },
        }
    }
}

/// What `archive` is configured with.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// Stage of the deployment.
    pub stage: String,
    /// Name of the bucket.
    pub bucket: String,
}

impl Configuration for ArchiveConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { stage: reader.read(STAGE), bucket: reader.read(BUCKET) }
    }
}

/// What `compact` is configured with.
#[derive(Debug, Clone)]
pub struct CompactConfig {
    /// Stage of the deployment.
    pub stage: String,
    /// Name of the bucket.
    pub bucket: String,
    /// How long after its end an hour counts as closed, in minutes.
    pub after_minutes: u32,
}

impl Configuration for CompactConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            stage: reader.read(STAGE),
            bucket: reader.read(BUCKET),
            after_minutes: reader.read(COMPACT_AFTER_MINUTES),
        }
    }
}

/// What `alert` is configured with.
#[derive(Debug, Clone)]
pub struct AlertConfig {
    /// Stage of the deployment.
    pub stage: String,
    /// Name of the readings table.
    pub readings_table: String,
    /// Name of the devices table.
    pub devices_table: String,
    /// Name of the alerts table.
    pub alerts_table: String,
    /// Name of the config table.
    pub config_table: String,
    /// How long rules are taken as they were read.
    pub config_cache: Duration,
    /// How late a reading may come and still be judged, in microseconds.
    pub lateness_micros: i64,
    /// How long the document of a cleared alert is kept, in microseconds.
    pub keep_micros: i64,
    /// The SNS topic that alerts are sent to as well.
    pub topic_arn: Option<String>,
}

impl Configuration for AlertConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            stage: reader.read(STAGE),
            readings_table: reader.read(READINGS_TABLE),
            devices_table: reader.read(DEVICES_TABLE),
            alerts_table: reader.read(ALERTS_TABLE),
            config_table: reader.read(CONFIG_TABLE),
            config_cache: reader.read::<Bounded<3_600>>(CONFIG_CACHE_SECONDS).seconds(),
            lateness_micros: i64::from(reader.read::<Bounded<3_600>>(ALERT_LATENESS_SECONDS).0) * 1_000_000,
            keep_micros: i64::from(reader.read::<u32>(ALERT_KEEP_MINUTES)) * 60_000_000,
            topic_arn: Some(reader.read::<String>(ALERT_TOPIC_ARN)).filter(|arn| !arn.is_empty()),
        }
    }
}

/// What `shadow` is configured with.
#[derive(Debug, Clone)]
pub struct ShadowConfig {
    /// Stage of the deployment.
    pub stage: String,
    /// Name of the devices table.
    pub devices_table: String,
    /// Name of the shadow.
    pub shadow_name: String,
    /// How far a number has to be from what the shadow shows to be sent, in percent of that: finite, not negative.
    pub deadband_percent: f64,
    /// Least time between two updates of one shadow, in seconds: at most [`MAX_DELAY_SECONDS`].
    pub min_interval_seconds: u32,
    /// URL of the queue of nudges.
    pub queue_url: String,
    /// Name of the config table.
    pub config_table: String,
    /// How long profiles are taken as they were read.
    pub config_cache: Duration,
}

/// Longest time that SQS keeps a message back, in seconds (Amazon SQS API Reference, `SendMessage`, `DelaySeconds`).
pub const MAX_DELAY_SECONDS: u32 = 900;

impl Configuration for ShadowConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            stage: reader.read(STAGE),
            devices_table: reader.read(DEVICES_TABLE),
            shadow_name: reader.read::<ShadowName>(SHADOW_NAME).0,
            deadband_percent: reader.read::<Percent>(SHADOW_DEADBAND_PERCENT).0,
            min_interval_seconds: reader.read::<Bounded<MAX_DELAY_SECONDS>>(SHADOW_MIN_INTERVAL_SECONDS).0,
            queue_url: reader.read(SHADOW_QUEUE_URL),
            config_table: reader.read(CONFIG_TABLE),
            config_cache: reader.read::<Bounded<3_600>>(CONFIG_CACHE_SECONDS).seconds(),
        }
    }
}

/// What `presence` is configured with.
#[derive(Debug, Clone)]
pub struct PresenceConfig {
    /// Stage of the deployment.
    pub stage: String,
    /// Name of the devices table.
    pub devices_table: String,
    /// Name of the config table.
    pub config_table: String,
    /// Where to tell `alert` of silent devices.
    pub alert_queue_url: String,
    /// How often silent devices are looked for, in microseconds.
    pub silence_period_micros: i64,
}

impl Configuration for PresenceConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            stage: reader.read(STAGE),
            devices_table: reader.read(DEVICES_TABLE),
            config_table: reader.read(CONFIG_TABLE),
            alert_queue_url: reader.read(ALERT_QUEUE_URL),
            silence_period_micros: reader.read::<RateSetting>(SILENCE_SCHEDULE).0,
        }
    }
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not complete: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// Reads variables, and notes what is wrong with them.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The variable's value. What is wrong is noted, and a stand-in returned that is never used.
    fn read<T: FromStr<Err: fmt::Display> + Default>(&mut self, variable: Variable) -> T {
        let set = (self.lookup)(variable.name).filter(|value| !value.is_empty());
        let Some(value) = set.or(variable.default.map(str::to_owned)) else {
            self.problems.push(format!("{} is not set", variable.name));
            return T::default();
        };
        value.parse().unwrap_or_else(|error| {
            self.problems.push(format!("{} is {value:?}: {error}", variable.name));
            T::default()
        })
    }
}

impl Reader<'_> {
    /// How devices are found, by variables that have to go together.
    fn read_identity(&mut self) -> IdentityRules {
        let payload_identity = self.read::<PayloadIdentitySetting>(PAYLOAD_IDENTITY_FILTER).0;
        let layouts = [LAYOUT, LAYOUT_2, LAYOUT_3].map(|variable| self.read::<LayoutSetting>(variable).0);
        let ignored = [LAYOUT_IGNORE, LAYOUT_2_IGNORE, LAYOUT_3_IGNORE];
        let ignored = ignored.map(|variable| self.read::<IgnoredSetting>(variable).0);
        let site = self.read::<LayoutSite>(LAYOUT_SITE);
        // Beside a layout that is not set, the template ignores nothing.
        let fleets = layouts.into_iter().zip(ignored);
        let fleets = fleets.filter_map(|(layout, ignored)| Some(FleetLayout { layout: layout?, ignored }));
        let layouts = Layouts::new(fleets.collect(), site, payload_identity.as_ref());
        let layouts = layouts.unwrap_or_else(|error| {
            self.problems.push(error.to_string());
            Layouts::default()
        });
        IdentityRules { client_id: self.read::<ClientIdSetting>(CLIENT_ID).0, payload_identity, layouts }
    }
}

/// A number of at most `MAX`.
#[derive(Default)]
struct Bounded<const MAX: u32>(u32);

impl<const MAX: u32> Bounded<MAX> {
    fn seconds(&self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl<const MAX: u32> FromStr for Bounded<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| *number <= MAX);
        number.map(Self).ok_or_else(|| format!("must be a whole number from 0 to {MAX}"))
    }
}

/// A schedule of EventBridge that is a rate (Amazon EventBridge User Guide, "Rate expressions"), in microseconds.
#[derive(Default)]
struct RateSetting(i64);

impl FromStr for RateSetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')?.split_once(' '));
        let (number, unit) = rate.ok_or("must be a rate, such as rate(5 minutes)")?;
        let minutes = match unit {
            "minute" | "minutes" => 1,
            "hour" | "hours" => 60,
            "day" | "days" => 24 * 60,
            _ => return Err("must be in minutes, hours or days"),
        };
        match number.parse::<u16>() {
            Ok(number @ 1..) => Ok(Self(i64::from(number) * minutes * 60_000_000)),
            _ => Err("must be every 1 to 65535 minutes, hours or days"),
        }
    }
}

#[derive(Default)]
struct ClientIdSetting(ClientId);

impl FromStr for ClientIdSetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "match" => Ok(Self(ClientId::Match)),
            "any" => Ok(Self(ClientId::Any)),
            _ => Err("must be `match` or `any`"),
        }
    }
}

#[derive(Default)]
struct PayloadIdentitySetting(Option<TopicFilter>);

impl FromStr for PayloadIdentitySetting {
    type Err = telemetry::TopicFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            Ok(Self(None))
        } else {
            TopicFilter::of_payload_identity(text).map(|filter| Self(Some(filter)))
        }
    }
}

#[derive(Default)]
struct IgnoredSetting(Option<TopicFilter>);

impl FromStr for IgnoredSetting {
    type Err = telemetry::TopicFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            Ok(Self(None))
        } else {
            TopicFilter::of_ignored(text).map(|filter| Self(Some(filter)))
        }
    }
}

#[derive(Default)]
struct LayoutSetting(Option<TopicLayout>);

impl FromStr for LayoutSetting {
    type Err = telemetry::LayoutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|layout| Self(Some(layout))) }
    }
}

#[derive(Default)]
struct OutsideSetting(Outside);

impl FromStr for OutsideSetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "arrival" => Ok(Self(Outside::Arrival)),
            "quarantine" => Ok(Self(Outside::Quarantine)),
            _ => Err("must be `arrival` or `quarantine`"),
        }
    }
}

#[derive(Default)]
struct ZoneSetting(Option<Zone>);

impl FromStr for ZoneSetting {
    type Err = telemetry::ZoneError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|zone| Self(Some(zone))) }
    }
}

#[derive(Default)]
struct ShadowName(String);

impl FromStr for ShadowName {
    type Err = &'static str;

    /// AWS IoT API Reference, `UpdateThingShadow`, `shadowName`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "$:_-".contains(c);
        if (1..=64).contains(&text.len()) && text.chars().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 64 letters, digits, `$`, `:`, `_` or `-`")
        }
    }
}

#[derive(Default)]
struct Percent(f64);

impl FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
        percent.map(Self).ok_or("must be a number that is not negative")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<IngestConfig, ConfigError> {
        let lookup =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        IngestConfig::from_lookup(lookup)
    }

    const REQUIRED: [(&str, &str); 4] = [
        ("TIDEGATE_READINGS_TABLE", "r"),
        ("TIDEGATE_DEVICES_TABLE", "d"),
        ("TIDEGATE_BUCKET", "b"),
        ("TIDEGATE_CONFIG_TABLE", "c"),
    ];

    #[test]
    fn what_is_not_set_has_its_default() {
        let config = read(&REQUIRED).unwrap();
        assert_eq!(config.retention_days, Some(30));
        assert_eq!(config.settings.identity.client_id, ClientId::Match);
        assert!(config.settings.identity.payload_identity.is_none());
        assert_eq!(config.settings.identity.layouts, Layouts::default());
        assert_eq!(config.settings.time, TimePolicy::default());
        assert_eq!(config.stage, "dev");
    }

    #[test]
    fn what_is_set_counts() {
        let set = [
            ("TIDEGATE_RETENTION_DAYS", "0"),
            ("TIDEGATE_CLIENT_ID", "any"),
            ("TIDEGATE_PAYLOAD_IDENTITY_FILTER", "iot/#"),
            ("TIDEGATE_TIME_MAX_AGE_DAYS", "7"),
            ("TIDEGATE_TIME_OUTSIDE", "quarantine"),
            ("TIDEGATE_TIME_ZONE", "Europe/Berlin"),
        ];
        let config = read(&[&REQUIRED[..], &set[..]].concat()).unwrap();
        assert_eq!(config.retention_days, None);
        assert_eq!(config.settings.identity.client_id, ClientId::Any);
        assert!(config.settings.identity.payload_identity.unwrap().matches("iot/x"));
        assert_eq!(config.settings.time.max_age_micros, 7 * 86_400_000_000);
        assert_eq!(config.settings.time.outside, Outside::Quarantine);
        assert_eq!(config.settings.time.zone.unwrap().to_string(), "Europe/Berlin");
    }

    #[test]
    fn layouts_have_to_go_together() {
        let with = |set: &[(&str, &str)]| read(&[&REQUIRED[..], set].concat());
        let config = with(&[
            ("TIDEGATE_LAYOUT", "N/{device}/{metric...}"),
            ("TIDEGATE_LAYOUT_3", "factory/{site}/{device}/{metric}"),
            ("TIDEGATE_LAYOUT_SITE", "boats"),
            ("TIDEGATE_LAYOUT_3_IGNORE", "factory/+/log/#"),
        ]);
        let layouts = config.unwrap().settings.identity.layouts;
        let texts: Vec<String> = layouts.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["N/{device}/{metric...}", "factory/{site}/{device}/{metric}"]);
        assert_eq!(layouts.site(), "boats");
        assert!(layouts.ignores("factory/p/log/x"));
        let check = |set: &[(&str, &str)], expected: &str| {
            let error = with(set).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            &[("TIDEGATE_LAYOUT_2", "dt/{site}/{prefix}/{device}")],
            "dt/{site}/{device}/{stream} and dt/{site}/{prefix}/{device} both match dt/plant-1/pump-7/state",
        );
        check(&[("TIDEGATE_PAYLOAD_IDENTITY_FILTER", "dt/#")], "both match dt/plant-1/pump-7/state");
        check(&[("TIDEGATE_LAYOUT_IGNORE", "dt/#")], "would ignore all topics");
        let two = [("TIDEGATE_LAYOUT_2", "f/{device}"), ("TIDEGATE_LAYOUT_IGNORE", "f/announce/x")];
        check(&two, "begins with the same level as f/{device}");
        check(&[("TIDEGATE_PAYLOAD_IDENTITY_FILTER", "iot/+/up")], "`+` may stand only before");
    }

    #[test]
    fn rates_are_read_as_eventbridge_writes_them() {
        let check = |text: &str, expected: Option<i64>| {
            let minutes = text.parse::<RateSetting>().ok().map(|rate| rate.0 / 60_000_000);
            assert_eq!(minutes, expected, "{text}");
        };
        check("rate(1 minute)", Some(1));
        check("rate(5 minutes)", Some(5));
        check("rate(2 hours)", Some(120));
        check("rate(1 day)", Some(1_440));
        check("rate(0 minutes)", None);
        check("rate(-1 minutes)", None);
        check("rate(1.5 minutes)", None);
        check("rate(99999 minutes)", None);
        check("rate(1 week)", None);
        check("rate(minute)", None);
        check("cron(0 12 * * ? *)", None);
        check("", None);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let set = [
            ("TIDEGATE_READINGS_TABLE", ""),
            ("TIDEGATE_RETENTION_DAYS", "a month"),
            ("TIDEGATE_CLIENT_ID", "maybe"),
            ("TIDEGATE_PAYLOAD_IDENTITY_FILTER", "alerts/#"),
            ("TIDEGATE_LAYOUT", "dt/{site}"),
            ("TIDEGATE_LAYOUT_2", "{device}"),
            ("TIDEGATE_LAYOUT_3", "a/{device}/{metric...}/b"),
            ("TIDEGATE_LAYOUT_SITE", "a/b"),
            ("TIDEGATE_LAYOUT_IGNORE", "#"),
            ("TIDEGATE_LAYOUT_2_IGNORE", "alerts/#"),
            ("TIDEGATE_LAYOUT_3_IGNORE", "a/b*"),
            ("TIDEGATE_TIME_MAX_AGE_DAYS", "36501"),
            ("TIDEGATE_TIME_MAX_AHEAD_SECONDS", "soon"),
            ("TIDEGATE_TIME_OUTSIDE", "drop"),
            ("TIDEGATE_TIME_ZONE", "Mars"),
            ("TIDEGATE_SPARKPLUG_REORDER_SECONDS", "a while"),
            ("TIDEGATE_CONFIG_CACHE_SECONDS", "3601"),
        ];
        let error = read(&set).unwrap_err().to_string();
        let is_wrong = |v: &&Variable| v.name != "TIDEGATE_STAGE" && v.functions.contains(&"ingest");
        for variable in REGISTRY.iter().filter(is_wrong) {
            assert!(error.contains(variable.name), "{} is missing in: {error}", variable.name);
        }
    }

    #[test]
    fn what_a_shadow_is_kept_by_has_bounds() {
        let check = |name: &str, value: &str, is_valid: bool| {
            let lookup = |asked: &str| match asked {
                "TIDEGATE_DEVICES_TABLE" => Some("devices".to_owned()),
                "TIDEGATE_SHADOW_QUEUE_URL" => Some("https://sqs/nudges".to_owned()),
                "TIDEGATE_CONFIG_TABLE" => Some("config".to_owned()),
                _ => Some(value.to_owned()).filter(|_| asked == format!("TIDEGATE_SHADOW_{name}")),
            };
            let outcome = ShadowConfig::from_lookup(lookup);
            assert_eq!(outcome.is_ok(), is_valid, "{name} = {value}: {outcome:?}");
        };
        check("NAME", "", true);
        check("NAME", "tele:metry_2-$", true);
        check("NAME", "a/b", false);
        check("NAME", &"n".repeat(65), false);
        check("DEADBAND_PERCENT", "0", true);
        check("DEADBAND_PERCENT", "0.25", true);
        check("DEADBAND_PERCENT", "-1", false);
        check("DEADBAND_PERCENT", "NaN", false);
        check("DEADBAND_PERCENT", "inf", false);
        check("MIN_INTERVAL_SECONDS", "0", true);
        check("MIN_INTERVAL_SECONDS", "900", true);
        check("MIN_INTERVAL_SECONDS", "901", false);
        check("MIN_INTERVAL_SECONDS", "1.5", false);
        let nothing = ShadowConfig::from_lookup(|_| None).unwrap_err().to_string();
        for name in ["TIDEGATE_DEVICES_TABLE", "TIDEGATE_SHADOW_QUEUE_URL", "TIDEGATE_CONFIG_TABLE"] {
            assert!(nothing.contains(name), "{name} is missing in: {nothing}");
        }
    }
}
