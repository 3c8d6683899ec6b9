//! Who sent a message: read from the topic and the client id, as the broker vouches for both.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::limits::MAX_TOPIC_LEVEL_BYTES;
use crate::reject::Reject;
use crate::sparkplug;

/// First level of every telemetry topic.
const TELEMETRY: &str = "dt";
/// What AWS IoT Core reports as the client id of a publish that came over HTTPS.
const NO_CLIENT: &str = "n/a";

/// A topic, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) site: &'a str,
    /// `None` on a topic whose payload names the device.
    pub(crate) device: Option<Cow<'a, str>>,
    /// What it says beside that where it is one of Sparkplug.
    pub(crate) sparkplug: Option<sparkplug::Address<'a>>,
}

/// Whether the client id has to be the device that the topic names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientId {
    /// It has to, where the broker knows one. The default: nobody speaks for another device.
    #[default]
    Match,
    /// It need not: gateways publish for the devices behind them, as far as their policy lets them.
    Any,
}

/// How the device of a message is found.
#[derive(Debug, Clone, Default)]
pub struct IdentityRules {
    /// Check of the client id on `dt/…` topics.
    pub client_id: ClientId,
    /// Topics, opted into, whose payloads name the device in `device_id`. Its site is the topic's
    /// first level, so such a device can never be one that is known by its topic.
    pub payload_identity: Option<TopicFilter>,
}

impl IdentityRules {
    /// Site and device of a message on `topic`: `dt/{site}/{device}/{stream}`, a topic of Sparkplug, or one that the
    /// payload's identity was opted into.
    pub(crate) fn address<'a>(&self, topic: &'a str) -> Result<Address<'a>, Reject> {
        let topic = without_basic_ingest(topic);
        if let Some(address) = sparkplug::Address::read(topic) {
            let address = address?;
            let device = Some(address.name().into());
            return Ok(Address { site: address.group, device, sparkplug: Some(address) });
        }
        let mut levels = topic.split('/');
        let site = match levels.next() {
            Some(TELEMETRY) => check_name(levels.next().ok_or(Reject::Topic)?, "site")?,
            first => return self.payload_address(topic, first.unwrap_or_default()),
        };
        let (Some(device), Some(stream), None) = (levels.next(), levels.next(), levels.next()) else {
            return Err(Reject::Topic);
        };
        check_name(device, "device")?;
        check_name(stream, "stream")?;
        Ok(Address { site, device: Some(device.into()), sparkplug: None })
    }

    fn payload_address<'a>(&self, topic: &str, first: &'a str) -> Result<Address<'a>, Reject> {
        match &self.payload_identity {
            Some(filter) if filter.matches(topic) => {
                Ok(Address { site: check_name(first, "site")?, device: None, sparkplug: None })
            }
            _ => Err(Reject::Topic),
        }
    }

    /// Whether `client` may publish for the device that a topic names.
    pub(crate) fn check_client(&self, client: Option<&str>, device: &str) -> Result<(), Reject> {
        match client {
            Some(client)
                if self.client_id == ClientId::Match && client != device && !is_no_client(client) =>
            {
                Err(Reject::Client)
            }
            _ => Ok(()),
        }
    }
}

fn is_no_client(client: &str) -> bool {
    client.is_empty() || client.eq_ignore_ascii_case(NO_CLIENT)
}

/// Basic Ingest topics are `$aws/rules/{rule}/{topic}`; AWS leaves the prefix out of `topic()`.
pub(crate) fn without_basic_ingest(topic: &str) -> &str {
    topic
        .strip_prefix("$aws/rules/")
        .and_then(|rest| rest.split_once('/'))
        .map_or(topic, |(_rule, topic)| topic)
}

/// A level of a topic, or a `device_id`, that may become part of a key.
pub(crate) fn check_name<'a>(name: &'a str, what: &'static str) -> Result<&'a str, Reject> {
    let is_forbidden = |c: char| c.is_control() || matches!(c, '/' | '+' | '#');
    if name.is_empty() || name.len() > MAX_TOPIC_LEVEL_BYTES || name.contains(is_forbidden) {
        return Err(Reject::Name(what));
    }
    Ok(name)
}

/// An MQTT topic filter: `+` stands for one level, a closing `#` for any number
/// (MQTT 3.1.1, section 4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFilter(String);

impl TopicFilter {
    /// Whether a message on `topic` is one that this filter subscribes to.
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for pattern in self.0.split('/') {
            match (pattern, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (pattern, Some(level)) if pattern == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// How much it says, in characters that are no wildcards.
    pub(crate) fn weight(&self) -> usize {
        self.0.chars().filter(|c| !matches!(c, '+' | '#' | '/')).count()
    }
}

/// A text that is no topic filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a topic filter: '#' may only be the last level, '+' and '#' must be levels of their own")]
pub struct TopicFilterError;

impl FromStr for TopicFilter {
    type Err = TopicFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let levels: Vec<&str> = text.split('/').collect();
        let is_valid = !text.is_empty()
            && levels.iter().enumerate().all(|(index, level)| match *level {
                "#" => index + 1 == levels.len(),
                "+" => true,
                level => !level.contains(['+', '#']),
            });
        if is_valid { Ok(Self(text.to_owned())) } else { Err(TopicFilterError) }
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_in_the_topic() {
        let rules = IdentityRules { payload_identity: Some("iot/#".parse().unwrap()), ..Default::default() };
        let check = |topic: &str, expected: Result<(&str, Option<&str>), Reject>| {
            let found = rules.address(topic);
            let found = found.as_ref().map(|address| (address.site, address.device.as_deref()));
            assert_eq!(found, expected.as_ref().copied(), "{topic}");
        };
        check("dt/plant-1/pump-7/state", Ok(("plant-1", Some("pump-7"))));
        check("$aws/rules/tidegate_dev_telemetry/dt/plant-1/pump-7/state", Ok(("plant-1", Some("pump-7"))));
        check("dt/plant-1/pump-7", Err(Reject::Topic));
        check("dt/plant-1/pump-7/state/extra", Err(Reject::Topic));
        check("dt", Err(Reject::Topic));
        check("", Err(Reject::Topic));
        check("dt//pump-7/state", Err(Reject::Name("site")));
        check("dt/plant-1//state", Err(Reject::Name("device")));
        check("dt/plant-1/pump\u{0}7/state", Err(Reject::Name("device")));
        check(&format!("dt/plant-1/{}/state", "p".repeat(129)), Err(Reject::Name("device")));
        check("spBv1.0/plant-1/DDATA/line-3/pump-7", Ok(("plant-1", Some("line-3::pump-7"))));
        check("spBv1.0/plant-1/NCMD/line-3", Err(Reject::SparkplugTopic));
        check("iot/anything/else", Ok(("iot", None)));
        check("other/anything", Err(Reject::Topic));
    }

    #[test]
    fn a_client_speaks_for_itself_unless_gateways_are_allowed() {
        let check = |client_id: ClientId, client: Option<&str>, expected: Result<(), Reject>| {
            let rules = IdentityRules { client_id, payload_identity: None };
            assert_eq!(rules.check_client(client, "pump-7"), expected, "{client:?}");
        };
        check(ClientId::Match, Some("pump-7"), Ok(()));
        check(ClientId::Match, None, Ok(()));
        check(ClientId::Match, Some("N/A"), Ok(()));
        check(ClientId::Match, Some("pump-8"), Err(Reject::Client));
        check(ClientId::Any, Some("gateway"), Ok(()));
        assert_eq!(IdentityRules::default().address("iot/x"), Err(Reject::Topic), "not opted in");
    }

    #[test]
    fn topic_filters_match_as_mqtt_says() {
        let check = |filter: &str, topic: &str, expected: bool| {
            assert_eq!(filter.parse::<TopicFilter>().unwrap().matches(topic), expected, "{filter} {topic}");
        };
        check("iot/#", "iot/a", true);
        check("iot/#", "iot/a/b", true);
        check("iot/#", "iot", true);
        check("iot/#", "iota", false);
        check("iot/+/state", "iot/a/state", true);
        check("iot/+/state", "iot/a/b/state", false);
        check("iot/+", "iot/a/b", false);
        check("iot/+", "iot", false);
        for refused in ["", "iot/#/x", "iot/a+", "a#"] {
            assert_eq!(refused.parse::<TopicFilter>(), Err(TopicFilterError), "{refused}");
        }
    }
}
