//! Which devices have been silent for longer than a rule allows, and when to say so.

use std::sync::Arc;

use alert::Rule;
use cloud::heard::{Asked, Heard};
use telemetry::{Metric, Micros, Profile, Profiles};

/// After so many periods of silence it is told once in so many, not rarer still.
const RAREST: i64 = 64;

/// What rules wait for in silence.
#[derive(Debug, Default)]
pub struct Watch {
    rules: Vec<Arc<Rule>>,
    metrics: Vec<Metric>,
    /// What is known of kinds of devices, where a rule goes by it.
    profiles: Arc<Profiles>,
}

/// A silent device, by one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent<'a> {
    /// The name of the rule.
    pub rule: &'a str,
    /// Whether to tell of it now.
    pub is_due: bool,
}

impl Watch {
    /// Of all rules, what those that ask for silence ask for.
    pub fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let mut watch = Self::default();
        for rule in rules {
            if rule.asks_for_silence() {
                watch.metrics.extend(rule.silent_metrics().cloned());
                watch.rules.push(rule);
            }
        }
        watch.metrics.sort_unstable();
        watch.metrics.dedup();
        watch
    }

    /// Whether no rule asks for silence.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether it has to be known which profile a device is of.
    pub fn needs_profiles(&self) -> bool {
        self.rules.iter().any(|rule| rule.needs_profile())
    }

    /// The same, with what is known of kinds of devices.
    #[must_use]
    pub fn with_profiles(self, profiles: Arc<Profiles>) -> Self {
        Self { profiles, ..self }
    }

    /// What has to be read of a device.
    pub fn asked(&self) -> Asked<'_> {
        Asked { metrics: &self.metrics, profile: self.needs_profiles() }
    }

    /// The profile that a device is of: by which its messages are read, else the one that its id fits.
    fn profile_of(&self, heard: &Heard) -> Option<&Profile> {
        let named = heard.profile.as_ref().and_then(|name| self.profiles.get(name));
        named.or_else(|| self.profiles.of_device(&heard.device)).map(|profile| &**profile)
    }

    /// By which rules a device is silent at `now`, when it is looked at once in every `period_micros`. A metric that the
    /// device never had is not silent.
    pub fn look<'a>(
        &'a self,
        heard: &'a Heard,
        now: Micros,
        period_micros: i64,
    ) -> impl Iterator<Item = Silent<'a>> + 'a {
        let profile = self.profile_of(heard);
        let name = heard.profile.as_deref().or(profile.map(|profile| &*profile.name));
        let interval = profile.and_then(|profile| profile.interval);
        let rules = self.rules.iter().filter(move |rule| rule.is_about(&heard.device, name));
        rules.filter_map(move |rule| {
            let beyond = rule.silences(interval).filter_map(|silence| {
                let last = match silence.metric {
                    None => heard.last_seen,
                    Some(metric) => *heard.metrics.get(metric)?,
                };
                let quiet = now.0.saturating_sub(last.0);
                Some(quiet.saturating_sub(silence.after_micros)).filter(|beyond| *beyond > 0)
            });
            let turns = beyond.map(|beyond| is_turn(beyond, period_micros));
            let is_due = turns.reduce(|one, other| one || other)?;
            Some(Silent { rule: &rule.name, is_due })
        })
    }
}

/// Whether to tell of a silence that has lasted `beyond` what is allowed: in the first and second period, then after
/// pauses twice as long each time, up to [`RAREST`] periods. Nothing is remembered between two looks, and yet a device
/// that is dead for good costs little, and a command that got lost is repeated.
fn is_turn(beyond: i64, period_micros: i64) -> bool {
    let period = beyond / period_micros.max(1) + 1;
    period.count_ones() == 1 || period % RAREST == 0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use telemetry::DeviceId;

    use super::*;

    const NOON: i64 = 1_795_435_200_000_000;
    const MINUTE: i64 = 60_000_000;

    fn rule(name: &str, more: &str, condition: &str) -> Arc<Rule> {
        let text = format!(
            "name = \"{name}\"\nseverity = \"warning\"\nmessage = \"it is silent\"\n{more}\n[condition]\n{condition}\n"
        );
        Arc::new(Rule::from_toml(&text).unwrap())
    }

    /// Heard of so many minutes before noon, and likewise of metrics.
    fn heard(device: &str, minutes: i64, metrics: &[(&str, i64)]) -> Heard {
        let before = |minutes: i64| Micros(NOON - minutes * MINUTE);
        Heard {
            device: DeviceId::from_stored(device),
            last_seen: before(minutes),
            profile: None,
            metrics: metrics
                .iter()
                .map(|(name, minutes)| ((*name).to_owned(), before(*minutes)))
                .collect::<HashMap<_, _>>(),
        }
    }

    #[test]
    fn a_device_is_silent_for_longer_than_a_rule_allows() {
        let watch = Watch::new([
            rule("any", "", r#"silent = "10m""#),
            rule("later", "for = \"5m\"", r#"silent = "10m""#),
            rule("flow", "devices = \"north/*\"", "metric = \"flow\"\nsilent = \"3m\""),
            rule("hot", "", "metric = \"temperature\"\nabove = 50"),
        ]);
        assert_eq!(watch.asked().metrics.iter().map(|metric| &**metric).collect::<Vec<_>>(), ["flow"]);
        let check = |heard: &Heard, expected: &[&str]| {
            let silent: Vec<&str> =
                watch.look(heard, Micros(NOON), MINUTE).map(|silent| silent.rule).collect();
            assert_eq!(silent, expected, "{heard:?}");
        };
        check(&heard("north/a", 0, &[]), &[]);
        check(&heard("north/a", 10, &[]), &[]);
        check(&heard("north/a", 11, &[]), &["any"]);
        check(&heard("north/a", 16, &[]), &["any", "later"]);
        check(&heard("north/a", 0, &[("flow", 3)]), &[]);
        check(&heard("north/a", 0, &[("flow", 4), ("temperature", 90)]), &["flow"]);
        check(&heard("south/a", 0, &[("flow", 4)]), &[]);
        check(&heard("north/a", 12, &[("flow", 40)]), &["any", "flow"]);
        check(&heard("north/a", -5, &[("flow", -5)]), &[]);
        let never = Heard { last_seen: Micros(i64::MIN), ..heard("south/a", 0, &[]) };
        check(&never, &["any", "later"]);
    }

    #[test]
    fn a_profile_says_how_long_silence_is() {
        let profile = |name: &str, rest: &str| {
            Arc::new(Profile::from_toml(&format!("name = \"{name}\"\n{rest}")).unwrap())
        };
        let profiles: Profiles = [
            profile("slow", "topics = \"dt/+/+/slow\"\ninterval = \"30m\""),
            profile("pump", "devices = \"*/pump-*\"\ninterval = \"5m\""),
            profile("timeless", "topics = \"dt/+/+/timeless\""),
        ]
        .into_iter()
        .collect();
        let rules = [
            rule("three", "", "silent_intervals = 3"),
            rule("flow", "", "metric = \"flow\"\nsilent_intervals = 1"),
            rule("slow", "profile = \"slow\"", r#"silent = "10m""#),
        ];
        let watch = Watch::new(rules).with_profiles(Arc::new(profiles));
        assert!(watch.needs_profiles() && watch.asked().profile);
        let check = |device: &str, profile: Option<&str>, minutes: i64, expected: &[&str]| {
            let heard =
                Heard { profile: profile.map(str::to_owned), ..heard(device, minutes, &[("flow", minutes)]) };
            let silent: Vec<&str> =
                watch.look(&heard, Micros(NOON), MINUTE).map(|silent| silent.rule).collect();
            assert_eq!(silent, expected, "{heard:?}");
        };
        check("north/a", None, 600, &[]);
        check("north/a", Some("timeless"), 600, &[]);
        check("north/a", Some("gone"), 600, &[]);
        check("north/a", Some("slow"), 9, &[]);
        check("north/a", Some("slow"), 31, &["flow", "slow"]);
        check("north/a", Some("slow"), 91, &["three", "flow", "slow"]);
        check("north/pump-7", None, 4, &[]);
        check("north/pump-7", None, 6, &["flow"]);
        check("north/pump-7", None, 16, &["three", "flow"]);
        // What its messages are read by goes before what its id fits.
        check("north/pump-7", Some("slow"), 16, &["slow"]);
    }

    #[test]
    fn rules_without_silence_are_nothing_to_watch() {
        assert!(Watch::new([]).is_empty());
        assert!(Watch::new([rule("hot", "", "metric = \"temperature\"\nabove = 50")]).is_empty());
        assert!(!Watch::new([rule("any", "", r#"silent = "10m""#)]).is_empty());
    }

    #[test]
    fn a_silence_is_told_rarer_and_rarer_but_never_for_the_last_time() {
        let watch = Watch::new([rule("any", "", r#"silent = "10m""#)]);
        let heard = heard("north/a", 0, &[]);
        let told = |minute: i64| {
            let now = Micros(NOON + (10 + minute) * MINUTE + 1);
            let silent: Vec<_> = watch.look(&heard, now, MINUTE).collect();
            assert_eq!(silent.len(), 1, "it is silent in minute {minute}");
            silent[0].is_due
        };
        let minutes: Vec<i64> = (0..300).filter(|minute| told(*minute)).collect();
        assert_eq!(minutes, [0, 1, 3, 7, 15, 31, 63, 127, 191, 255]);
    }

    #[test]
    fn a_look_that_comes_a_little_late_misses_no_silence() {
        for second in 1..120 {
            assert!(
                is_turn(second * 1_000_000, MINUTE),
                "the first look, {second} s after the silence is too long"
            );
        }
    }
}
