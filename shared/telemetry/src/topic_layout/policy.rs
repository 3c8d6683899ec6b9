//! What the template makes a policy of: the topics that a layout lets a client publish on.

use super::{Level, TopicLayout};
use crate::topic::ClientId;

/// Stands for the attribute `site` of the client's thing (AWS IoT Core Developer Guide, "Thing policy variables").
const SITE_VARIABLE: &str = "${iot:Connection.Thing.Attributes[site]}";
/// Stands for the name of the client's thing.
const DEVICE_VARIABLE: &str = "${iot:Connection.Thing.ThingName}";

/// Topics as the resources of a policy have them: `*` stands for any text, slashes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTopics {
    /// What it permits.
    pub allow: String,
    /// What it refuses: topics that are deeper than the layout, which the `*` of `allow` would reach and no rule selects.
    /// The template leaves this out where other topics are permitted to be ignored.
    pub deny: Option<String>,
}

impl TopicLayout {
    /// The topics of the policy: for devices that publish for themselves, or of gateways that publish for any device.
    pub fn policy(&self, client_id: ClientId) -> PolicyTopics {
        let allow = self.render(|level| {
            let text = match (level, client_id) {
                (Level::Site, _) => SITE_VARIABLE,
                (Level::Device, ClientId::Match) => DEVICE_VARIABLE,
                _ => "*",
            };
            text.to_owned()
        });
        let is_wild = allow.contains('*');
        let first = self.levels().first().map(ToString::to_string).unwrap_or_default();
        let deny = (is_wild && !self.is_open()).then(|| first + &"/*".repeat(self.levels().len()));
        PolicyTopics { allow, deny }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_permits_what_the_rule_selects_and_nothing_deeper() {
        let check = |text: &str, client_id: ClientId, allow: &str, deny: Option<&str>| {
            let policy = text.parse::<TopicLayout>().unwrap().policy(client_id);
            let expected = allow.replace("SITE", SITE_VARIABLE).replace("DEVICE", DEVICE_VARIABLE);
            assert_eq!((policy.allow, policy.deny.as_deref()), (expected, deny), "{text}");
        };
        use ClientId::{Any, Match};
        check("dt/{site}/{device}/{stream}", Match, "dt/SITE/DEVICE/*", Some("dt/*/*/*/*"));
        check("f/{site}/{prefix}/{device}/{metric}", Match, "f/SITE/*/DEVICE/*", Some("f/*/*/*/*/*"));
        check("sensors/{device}/temperature", Match, "sensors/DEVICE/temperature", None);
        check("sensors/{device}/temperature", Any, "sensors/*/temperature", Some("sensors/*/*/*"));
        check("homie/5/{device}/{metric...}", Match, "homie/5/DEVICE/*", None);
        check("x/+/{device}", Match, "x/*/DEVICE", Some("x/*/*/*"));
        check("zigbee2mqtt/{device}", Any, "zigbee2mqtt/*", Some("zigbee2mqtt/*/*"));
    }
}
