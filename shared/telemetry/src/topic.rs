//! Who sent a message: read from the topic and the client id, as the broker vouches for both.
//!
//! A device id says how its device became known, and no two ways meet in one id:
//!
//! | identity | device id | who vouches for it |
//! |---|---|---|
//! | topic | `{site}/{device}` | the broker: the policy ties the topic's levels to the thing, and the client id is the same |
//! | relayed, with [`ClientId::Any`] | `{site}/{device}` | the broker for the gateway that published it and, where the policy has it, for the site |
//! | behind a gateway, or a Sparkplug node | `{site}/{gateway}::{name}` | the broker for the gateway, the gateway for the name |
//! | payload | `payload::{first level}/{device_id}` | no one: any client that may publish on the topics that were opted into this |
//!
//! No site and no device that a topic names has `::` or ends with `:`, so the first `::` of an id parts what the broker
//! vouches for from what a payload says.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::limits::MAX_TOPIC_LEVEL_BYTES;
use crate::reject::Reject;
use crate::sparkplug;
use crate::topic_layout::Layouts;

/// First levels of the topics that the stack uses itself: what stands below them is no fleet's.
const OF_THE_STACK: [&str; 5] = ["alerts", "cmd", "live", sparkplug::NAMESPACE, "$aws"];
/// What stands between a gateway and a device behind it in that device's name. No gateway's name has it, so that no two
/// devices are one.
pub(crate) const JOINT: &str = "::";
/// What the sites of devices begin with that a payload names.
pub(crate) const PAYLOAD_SITE: &str = "payload::";
/// What AWS IoT Core reports as the client id of a publish that came over HTTPS.
const NO_CLIENT: &str = "n/a";

/// A topic, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) site: Cow<'a, str>,
    /// `None` on a topic whose payload names the device.
    pub(crate) device: Option<Cow<'a, str>>,
    /// What begins the names of its metrics, and names a bare value; empty where the topic names no metric.
    pub(crate) stem: String,
    /// The level that may name the format.
    pub(crate) stream: Option<&'a str>,
    /// What it says beside that where it is one of Sparkplug.
    pub(crate) sparkplug: Option<sparkplug::Address<'a>>,
}

impl Address<'_> {
    /// The id of the device, where the topic names one.
    pub(crate) fn device_id(&self) -> Option<String> {
        self.device.as_ref().map(|device| format!("{}/{device}", self.site))
    }
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
    /// Check of the client id on topics of layouts and of Sparkplug.
    pub client_id: ClientId,
    /// Topics, opted into, whose payloads name the device in `device_id`. Such devices have a site of their own.
    pub payload_identity: Option<TopicFilter>,
    /// Layouts of the topics that name the device, and topics that are ignored.
    pub layouts: Layouts,
}

impl IdentityRules {
    /// Site and device of a message on `topic`: one of a layout, of Sparkplug, or one that the payload's identity was opted
    /// into. `None`: its messages are ignored.
    pub(crate) fn address<'a>(&self, topic: &'a str) -> Result<Option<Address<'a>>, Reject> {
        let topic = without_basic_ingest(topic);
        if self.layouts.ignores(topic) {
            return Ok(None);
        }
        if let Some(address) = sparkplug::Address::read(topic) {
            let address = address?;
            let (site, device) = (address.group.into(), Some(address.name().into()));
            let (stem, stream) = (String::new(), None);
            return Ok(Some(Address { site, device, stem, stream, sparkplug: Some(address) }));
        }
        if let Some(read) = self.layouts.read(topic) {
            let read = read?;
            let site = match read.site {
                Some(site) => site.into(),
                None => self.layouts.site().to_owned().into(),
            };
            let device = Some(read.device.into());
            let (stem, stream) = (read.stem, read.stream);
            return Ok(Some(Address { site, device, stem, stream, sparkplug: None }));
        }
        self.payload_address(topic).map(Some)
    }

    /// Whether messages on `topic` are ignored.
    pub fn ignores(&self, topic: &str) -> bool {
        self.layouts.ignores(without_basic_ingest(topic))
    }

    fn payload_address<'a>(&self, topic: &'a str) -> Result<Address<'a>, Reject> {
        match &self.payload_identity {
            Some(filter) if filter.matches(topic) => {
                let first = check_name(topic.split('/').next().unwrap_or_default(), "site")?;
                let site = [PAYLOAD_SITE, first].concat().into();
                let (stem, stream) = (String::new(), topic.rsplit('/').next());
                Ok(Address { site, device: None, stem, stream, sparkplug: None })
            }
            _ => Err(Reject::Topic),
        }
    }

    /// Who `client` is to the device that a topic names.
    ///
    /// # Errors
    /// If it is another one, and none may publish for the device.
    pub(crate) fn check_client(&self, client: Option<&str>, device: &str) -> Result<Publisher, Reject> {
        let client = client.filter(|client| !is_no_client(client));
        match (client, self.client_id) {
            (Some(client), _) if client == device => Ok(Publisher::Itself),
            (Some(_), ClientId::Match) => Err(Reject::Client),
            // The policies of the stack let a client without a name publish for no device but its own.
            (None, ClientId::Match) => Ok(Publisher::Itself),
            // Where gateways publish, a message without a client may be a gateway's.
            (Some(_) | None, ClientId::Any) => Ok(Publisher::Another),
        }
    }
}

/// Who published a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Publisher {
    /// The device that the topic names, as far as is known: a publish over HTTPS has no client.
    #[default]
    Itself,
    /// A client of another name, or where gateways may publish, one without a name.
    Another,
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

/// The name of a device behind a gateway.
pub(crate) fn name_behind(gateway: &str, name: &str) -> String {
    [gateway, JOINT, name].concat()
}

/// A level of a topic, or a `device_id`, that may become part of a key.
pub(crate) fn check_name<'a>(name: &'a str, what: &'static str) -> Result<&'a str, Reject> {
    let is_forbidden = |c: char| c.is_control() || matches!(c, '/' | '+' | '#');
    if name.is_empty() || name.len() > MAX_TOPIC_LEVEL_BYTES || name.contains(is_forbidden) {
        return Err(Reject::Name(what));
    }
    Ok(name)
}

/// As [`check_name`], of a site, a device or a gateway as the broker knows it, or a `device_id`: what parts them from the
/// names of others must not stand in them.
pub(crate) fn check_broker_name<'a>(name: &'a str, what: &'static str) -> Result<&'a str, Reject> {
    check_name(name, what)?;
    if name.contains(JOINT) || name.ends_with(':') { Err(Reject::Joint(what)) } else { Ok(name) }
}

/// Whether topics that begin with this level are the stack's own.
pub(crate) fn is_of_the_stack(first: &str) -> bool {
    OF_THE_STACK.contains(&first)
}

/// What is wrong with a text that is to stand for itself in a topic filter, a policy and the SQL of a rule alike.
pub(crate) fn literal_problem(text: &str) -> Option<&'static str> {
    // The patterns of the template's parameters say the same.
    let is_forbidden = |c: char| !c.is_ascii_graphic() || "*?$+#{}'\"\\".contains(c);
    match text {
        "" => Some("is empty"),
        _ if text.contains(is_forbidden) => {
            Some("has a blank, a quote, one of * ? $ + # { } \\, or a character that is not of ASCII")
        }
        _ if text.len() > MAX_TOPIC_LEVEL_BYTES => Some("is too long"),
        _ => None,
    }
}

/// An MQTT topic filter: `+` stands for one level, a closing `#` for any number
/// (MQTT 3.1.1, section 4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFilter(String);

impl TopicFilter {
    /// A filter of topics whose payloads name the device. A policy's star spans slashes: what stands for `+` in it permits
    /// deeper topics, so that `+` stands only where a closing `#` selects these.
    ///
    /// # Errors
    /// Why it is none.
    pub fn of_payload_identity(text: &str) -> Result<Self, TopicFilterError> {
        let filter = Self::of_a_fleet(text)?;
        let mut rest = filter.levels().skip_while(|level| *level != "+").skip_while(|level| *level == "+");
        let is_selected = matches!((rest.next(), rest.next()), (Some("#"), None)) || !text.contains('+');
        drop(rest);
        if is_selected { Ok(filter) } else { Err(TopicFilterError::Deeper) }
    }

    /// A filter of topics that are ignored. In a policy its `+` is the name of the client's thing.
    ///
    /// # Errors
    /// Why it is none.
    pub fn of_ignored(text: &str) -> Result<Self, TopicFilterError> {
        let filter = Self::of_a_fleet(text)?;
        let has_one = filter.levels().filter(|level| *level == "+").count() <= 1;
        if has_one { Ok(filter) } else { Err(TopicFilterError::Several) }
    }

    /// A filter that becomes the topics of a device policy: its first level is a text, and none that the stack uses.
    fn of_a_fleet(text: &str) -> Result<Self, TopicFilterError> {
        let filter: Self = text.parse()?;
        let is_wild = |level: &str| matches!(level, "+" | "#");
        let mut literals = filter.levels().filter(|level| !is_wild(level));
        let problem = match filter.levels().next() {
            Some(first) if is_wild(first) => Some(TopicFilterError::First),
            Some(first) if is_of_the_stack(first) => Some(TopicFilterError::OfTheStack),
            _ => literals.find_map(literal_problem).map(TopicFilterError::Literal),
        };
        drop(literals);
        problem.map_or(Ok(filter), Err)
    }

    /// The filter of these levels, which are texts, `+`, or a closing `#`.
    pub(crate) fn of_levels<'a>(levels: impl Iterator<Item = &'a str>) -> Self {
        Self(levels.collect::<Vec<_>>().join("/"))
    }

    /// Its levels.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether a message on `topic` is one that this filter subscribes to.
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for pattern in self.levels() {
            match (pattern, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (pattern, Some(level)) if pattern == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// How many levels its topics have at most; `None`: as many as any.
    pub(crate) fn most_levels(&self) -> Option<usize> {
        (!self.0.ends_with('#')).then(|| self.0.split('/').count())
    }

    /// How much it says, in characters that are no wildcards.
    pub(crate) fn weight(&self) -> usize {
        self.0.chars().filter(|c| !matches!(c, '+' | '#' | '/')).count()
    }
}

/// Why a text is no topic filter, or none of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicFilterError {
    /// Not as MQTT has it.
    #[error("not a topic filter: '#' may only be the last level, '+' and '#' must be levels of their own")]
    Syntax,
    /// The first level is a wildcard.
    #[error("the first level has to be a text: any other would match all topics")]
    First,
    /// The first level is one of the stack's own topics.
    #[error("topics below alerts/, cmd/, live/, spBv1.0/ and $aws/ are the stack's own")]
    OfTheStack,
    /// A policy would permit topics that are deeper than it.
    #[error(
        "`+` may stand only before other `+` and a closing `#`: a policy permits deeper topics, which it would not select"
    )]
    Deeper,
    /// Several levels are a `+`.
    #[error("`+` may stand once: it stands for the name of the client's thing")]
    Several,
    /// A level cannot stand in a policy.
    #[error("a level of it {0}")]
    Literal(&'static str),
}

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
        if is_valid { Ok(Self(text.to_owned())) } else { Err(TopicFilterError::Syntax) }
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
    use crate::topic_layout::FleetLayout;

    #[test]
    fn the_device_is_in_the_topic() {
        let rules = IdentityRules { payload_identity: Some("iot/#".parse().unwrap()), ..Default::default() };
        let check = |topic: &str, expected: Result<(&str, Option<&str>), Reject>| {
            let found = rules.address(topic).map(|address| address.expect("none is ignored"));
            let found = found.as_ref().map(|address| (&*address.site, address.device.as_deref()));
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
        check("iot/anything/else", Ok(("payload::iot", None)));
        check("dt/plant-1/line-3::pump-7/state", Err(Reject::Joint("device")));
        check("dt/plant-1/pump:/state", Err(Reject::Joint("device")));
        check("dt/payload::iot/sensor_1/state", Err(Reject::Joint("site")));
        check("spBv1.0/payload::iot/NDATA/sensor_1", Err(Reject::Joint("group")));
        check("other/anything", Err(Reject::Topic));
    }

    #[test]
    fn a_client_speaks_for_itself_unless_gateways_are_allowed() {
        let check = |client_id: ClientId, client: Option<&str>, expected: Result<Publisher, Reject>| {
            let rules = IdentityRules { client_id, ..IdentityRules::default() };
            assert_eq!(rules.check_client(client, "pump-7"), expected, "{client:?}");
        };
        for client_id in [ClientId::Match, ClientId::Any] {
            check(client_id, Some("pump-7"), Ok(Publisher::Itself));
        }
        for unnamed in [None, Some("N/A"), Some("")] {
            check(ClientId::Match, unnamed, Ok(Publisher::Itself));
            // It may be a gateway's.
            check(ClientId::Any, unnamed, Ok(Publisher::Another));
        }
        check(ClientId::Match, Some("pump-8"), Err(Reject::Client));
        check(ClientId::Any, Some("gateway"), Ok(Publisher::Another));
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
            assert_eq!(refused.parse::<TopicFilter>(), Err(TopicFilterError::Syntax), "{refused}");
        }
    }

    #[test]
    fn a_filter_of_a_fleet_grants_nothing_of_the_stack() {
        let check = |filter: &str, expected: Option<TopicFilterError>| {
            assert_eq!(TopicFilter::of_a_fleet(filter).err(), expected, "{filter}");
        };
        for valid in ["iot/#", "iot", "iot/+/state", "iot/+/+", "dt/#", "shellies/announce", "alerts2/#"] {
            check(valid, None);
        }
        for own in ["alerts/#", "cmd/x", "live/+/x", "spBv1.0/#", "$aws/things/#", "alerts"] {
            check(own, Some(TopicFilterError::OfTheStack));
        }
        for wild in ["#", "+/#", "+"] {
            check(wild, Some(TopicFilterError::First));
        }
        for text in ["*/#", "dt*/#", "iot/a?/#", "iot/$x", "iot//x", "io t/#", "iot'/#", "iot/\u{e9}"] {
            assert!(matches!(TopicFilter::of_a_fleet(text), Err(TopicFilterError::Literal(_))), "{text}");
        }
        check("iot/#/x", Some(TopicFilterError::Syntax));
    }

    /// The policy has `iot/*/up` for `iot/+/up`, which is `iot/a/b/up`, too.
    #[test]
    fn a_filter_selects_all_that_its_policy_permits() {
        for valid in ["iot", "iot/#", "iot/a/#", "iot/+/#", "iot/a/+/+/#"] {
            assert!(TopicFilter::of_payload_identity(valid).is_ok(), "{valid}");
        }
        for deeper in ["iot/+", "iot/+/up", "iot/+/up/#", "iot/+/a/+/#", "iot/a/+/+"] {
            let refused = TopicFilter::of_payload_identity(deeper);
            assert_eq!(refused, Err(TopicFilterError::Deeper), "{deeper}");
        }
        assert!(TopicFilter::of_ignored("iot/+/up").is_ok());
        assert_eq!(TopicFilter::of_ignored("iot/+/+"), Err(TopicFilterError::Several));
    }

    #[test]
    fn ignored_topics_are_ignored_before_anything_else() {
        let fleet = |layout: &str, ignored: &str| FleetLayout {
            layout: layout.parse().unwrap(),
            ignored: Some(ignored.parse().unwrap()),
        };
        let layouts = vec![
            fleet("shellies/{device}/{metric...}", "shellies/+/online"),
            fleet("zigbee2mqtt/{device}", "zigbee2mqtt/bridge/#"),
        ];
        let layouts = Layouts::new(layouts, "home".parse().unwrap(), None).unwrap();
        let rules = IdentityRules { layouts, ..IdentityRules::default() };
        assert_eq!(rules.address("zigbee2mqtt/bridge/state"), Ok(None));
        assert_eq!(rules.address("shellies/a::b/online"), Ok(None));
        assert_eq!(rules.address("shellies/command"), Err(Reject::Topic));
        assert_eq!(
            rules.address("dt/plant-1/pump-7/state"),
            Err(Reject::Topic),
            "it is no layout of this one"
        );
        let found = rules.address("$aws/rules/r/shellies/plug-1/relay/0").unwrap().unwrap();
        assert_eq!((found.device_id().as_deref(), &*found.stem), (Some("home/plug-1"), "relay.0"));
    }
}
