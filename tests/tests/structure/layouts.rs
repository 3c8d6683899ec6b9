//! Topic layouts: what the template makes of them for the broker.
//!
//! A device may publish just what its layout's rules select, under its own name. Checked by a simulator of AWS IoT, for
//! topics that are made from the rendered policies.

use std::collections::BTreeSet;

use serde_json::Value;
use telemetry::{ClientId, LayoutSite, Layouts, TopicFilter, TopicLayout};
use tests::cloudformation::{ACCOUNT, Resolver};
use tests::iot::{Parent, Policy, Rule, Thing, filter_matches, of_account};
use tests::pattern::Pattern;

use crate::deployment::TEMPLATE;
use crate::read;

/// Layouts that have to work by parameters alone, each with what such a fleet publishes besides.
const EXAMPLES: [(&str, &str); 8] = [
    ("dt/{site}/{device}/{stream}", ""),
    ("factory/{site}/{prefix}/{device}/{metric}", ""),
    ("sensors/{device}/temperature", "sensors/+/status"),
    ("N/{device}/{metric...}", ""),
    ("homie/5/{device}/{metric...}", ""),
    ("shellies/{device}/{metric...}", "shellies/announce"),
    ("zigbee2mqtt/{device}", "zigbee2mqtt/bridge/#"),
    ("tele/{device}/SENSOR", "tele/+/STATE"),
];

/// What stands in place of a wildcard: a level, none, several, the word of the urgent path, another device's topic.
const FILLS: [&str; 5] = ["x", "L/pump-8/x", "urgent", "", "x/y"];

/// What the template makes of one layout, as the second of a stack whose first is the default.
struct Rendered {
    layout: String,
    ignored: String,
    devices: Policy,
    gateways: Policy,
    /// Rules of all layouts of the stack.
    rules: Vec<Rule>,
    partition_key: String,
}

fn resolver(parameters: &[(&str, &str)]) -> Resolver<'static> {
    Resolver::new(&TEMPLATE, parameters).in_account(&ACCOUNT)
}

fn properties(resolver: &Resolver<'_>, id: &str) -> Value {
    resolver.resolve(&TEMPLATE["Resources"][id]["Properties"]).unwrap()
}

fn policy(resolver: &Resolver<'_>, id: &str) -> Policy {
    Policy::read(&properties(resolver, id)["PolicyDocument"])
}

/// The rules that select from topics of fleets.
fn rules(resolver: &Resolver<'_>) -> Vec<Rule> {
    let resources = TEMPLATE["Resources"].as_object().unwrap().iter();
    let rules = resources.filter(|(id, resource)| {
        let of_layouts = ["TelemetryRule", "UrgentRule", "IgnoreRule", "DeeperRule", "PayloadIdentityRule"];
        resource["Type"] == "AWS::IoT::TopicRule"
            && of_layouts.iter().any(|name| id.starts_with(name))
            && resolver.is_deployed(resource)
    });
    rules.map(|(id, _)| Rule::read(&properties(resolver, id))).collect()
}

impl Rendered {
    /// `number` is that of the layout's parameter.
    fn new(number: usize, layout: &str, ignored: &str) -> Self {
        let suffix = if number == 1 { String::new() } else { number.to_string() };
        let parameters = [(format!("Layout{suffix}"), layout), (format!("Layout{suffix}Ignore"), ignored)];
        let mut parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        parameters.extend([("ClientId", "any"), ("Buffer", "kinesis")]);
        let resolver = resolver(&parameters);
        let rule = properties(&resolver, &format!("TelemetryRule{suffix}"));
        let key = &rule["TopicRulePayload"]["Actions"][0]["Kinesis"]["PartitionKey"];
        Self {
            layout: layout.to_owned(),
            ignored: ignored.to_owned(),
            devices: policy(&resolver, &format!("DevicePolicy{suffix}")),
            gateways: policy(&resolver, &format!("GatewayPolicy{suffix}")),
            rules: rules(&resolver),
            partition_key: key.as_str().unwrap().to_owned(),
        }
    }

    fn levels(&self) -> Vec<&str> {
        self.layout.split('/').collect()
    }

    fn place(&self, word: &str) -> Option<usize> {
        self.levels().iter().position(|level| *level == word)
    }

    /// Whether it has any depth, and a level after the device that is a text.
    fn has_text_after_device(&self) -> bool {
        let device = self.place("{device}").unwrap();
        let is_text = |level: &&str| !level.starts_with('{') && *level != "+";
        self.layout.ends_with("...}") && self.levels()[device..].iter().any(is_text)
    }

    /// Whether it is a topic of the layout, under a name and of a site.
    fn is_of(&self, topic: &str, site: &str, device: &str) -> bool {
        let filter: Vec<&str> = self
            .levels()
            .iter()
            .map(|level| match *level {
                "{site}" => site,
                "{device}" => device,
                "{metric...}" => "#",
                level if level.starts_with('{') => "+",
                level => level,
            })
            .collect();
        filter_matches(&filter.join("/"), topic, Parent::Passed)
    }

    fn is_ignored(&self, topic: &str) -> bool {
        !self.ignored.is_empty() && filter_matches(&self.ignored, topic, Parent::Matched)
    }

    /// Rules that select a topic.
    fn selecting(&self, topic: &str, parent: Parent) -> Vec<&str> {
        let selecting = self.rules.iter().filter(|rule| rule.selects(topic, parent));
        selecting.map(|rule| rule.name.as_str()).collect()
    }
}

/// Topics of all that a policy allows, and of what is near: one level more or less, of another device or site.
fn topics(policy: &Policy, thing: &Thing) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    let allowed = policy.0.iter().filter(|statement| !statement.is_deny);
    for resource in allowed.flat_map(|statement| &statement.resources) {
        let Some(pattern) = of_account(resource).strip_prefix("topic/") else { continue };
        for (name, site) in [("pump-7", "plant-1"), ("pump-8", "plant-1"), ("pump-7", "plant-2")] {
            let pattern = pattern
                .replace(
                    "${iot:Connection.Thing.ThingName}",
                    if thing.name == "pump-7" { name } else { &thing.name },
                )
                .replace("${iot:Connection.Thing.Attributes[site]}", site);
            for topic in filled(&pattern) {
                topics.insert(format!("{topic}/z"));
                topics.extend(topic.rsplit_once('/').map(|(shorter, _)| shorter.to_owned()));
                topics.insert(topic);
            }
        }
    }
    topics
}

/// The texts that a pattern becomes with something in place of each star. Of those with many stars there would be too many.
fn filled(pattern: &str) -> Vec<String> {
    let fills = if pattern.matches('*').count() > 2 { &FILLS[..3] } else { &FILLS };
    fill(pattern, fills)
}

fn fill(pattern: &str, fills: &[&str]) -> Vec<String> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.to_owned()] };
    let rest = fill(after, fills);
    fills.iter().flat_map(|fill| rest.iter().map(move |rest| format!("{before}{fill}{rest}"))).collect()
}

/// Whom a client may publish for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Device,
    Gateway,
}

/// Asserts that policies and rules of a layout agree.
fn check(rendered: &Rendered) {
    let (device, gateway) = (Thing::at("plant-1", "pump-7"), Thing::at("plant-1", "gateway"));
    let clients =
        [(Client::Device, &rendered.devices, device), (Client::Gateway, &rendered.gateways, gateway)];
    for (client, policy, thing) in clients {
        let mut all = topics(policy, &thing);
        let plain: Vec<&String> = all.iter().filter(|topic| !topic.starts_with('$')).collect();
        let on_rules: Vec<String> = OWN_RULES
            .iter()
            .flat_map(|rule| plain.iter().map(move |topic| format!("{rule}{topic}")))
            .collect();
        all.extend(on_rules);
        for topic in &all {
            check_topic(rendered, client, policy.may_publish(&thing, topic), topic);
        }
    }
}

/// What stands before the topics of the second layout in Basic Ingest.
const OWN_RULES: [&str; 2] = ["$aws/rules/tidegate_dev_telemetry_2/", "$aws/rules/tidegate_dev_urgent_2/"];

fn check_topic(rendered: &Rendered, client: Client, is_permitted: bool, topic: &str) {
    let who = if client == Client::Device { "a device" } else { "a gateway" };
    let place = format!("{} ignoring {:?}: {who} on {topic}", rendered.layout, rendered.ignored);
    let bare = OWN_RULES.iter().find_map(|prefix| topic.strip_prefix(prefix)).unwrap_or(topic);
    if is_permitted {
        for parent in [Parent::Matched, Parent::Passed] {
            let selecting = rendered.selecting(topic, parent);
            let count = |kinds: [&str; 2]| {
                selecting.iter().filter(|rule| kinds.iter().any(|kind| rule.contains(kind))).count()
            };
            let (by_layout, besides) = (count(["telemetry", "urgent"]), count(["ignore", "deeper"]));
            // What is ignored may also be of the layout. A gateway may publish any text for a device, slashes among it;
            // where a layout of any depth has a text after the device, no rule selects that.
            let is_counted = by_layout + besides == 1
                || rendered.is_ignored(bare) && (by_layout, besides) == (1, 1)
                || client == Client::Gateway && selecting.is_empty() && rendered.has_text_after_device();
            assert!(is_counted, "permitted, and selected by {selecting:?}: {place}");
        }
    }
    let name = if client == Client::Device { "pump-7" } else { "+" };
    let is_own = rendered.is_of(bare, "plant-1", name);
    let selecting = rendered.selecting(topic, Parent::Passed);
    let is_by_layout = selecting.iter().any(|rule| rule.contains("telemetry") || rule.contains("urgent"));
    if is_by_layout && is_own {
        assert!(is_permitted, "selected by {selecting:?}, and not permitted: {place}");
    }
    if is_by_layout && is_permitted && !rendered.is_ignored(bare) {
        assert!(is_own, "under another's name, or of another site: {place}");
    }
}

/// Layouts of up to five levels that the parameter takes.
fn small_layouts() -> Vec<String> {
    let words = ["t", "+", "{site}", "{device}", "{stream}", "{metric}", "{prefix}", "{metric...}"];
    let mut layouts = Vec::new();
    let mut longer = vec!["f".to_owned()];
    for _ in 2..=5 {
        longer = longer
            .iter()
            .filter(|text| !text.ends_with("...}"))
            .flat_map(|text| words.iter().map(move |word| format!("{text}/{word}")))
            .collect();
        layouts.extend(longer.iter().filter(|text| is_layout(text)).cloned());
    }
    layouts
}

/// The grammar, as far as [`small_layouts`] could break it.
fn is_layout(text: &str) -> bool {
    let count = |word: &str| text.matches(word).count();
    // A policy's star spans slashes: with a text after it, it would permit what no rule selects, with a name another's.
    let follows_wild = ["+", "{prefix}", "{stream}"]
        .iter()
        .any(|wild| ["t", "{site}", "{device}"].iter().any(|word| text.contains(&format!("{wild}/{word}"))));
    let is_open = text.ends_with("{metric...}");
    let is_site_last = text.find("{site}") > text.find("{device}");
    count("{device}") == 1
        && ["{site}", "{stream}", "{metric"].iter().all(|word| count(word) <= 1)
        && !(is_open && (follows_wild || is_site_last))
}

/// Layouts of up to eight levels.
const LONG: [&str; 4] = [
    "a/b/c/d/e/f/g/{device}",
    "a/{site}/{prefix}/{prefix}/{device}/x/{metric}/{stream}",
    "a/x/{site}/{device}/y/{prefix}/+/{metric...}",
    "a/{prefix}/b/+/c/{device}/d",
];

#[test]
fn the_examples_permit_what_they_select() {
    for (layout, ignored) in EXAMPLES.into_iter().filter(|(layout, _)| !layout.starts_with("dt/")) {
        check(&Rendered::new(2, layout, ignored));
        check(&Rendered::new(2, layout, ""));
    }
}

#[test]
fn any_layout_permits_what_it_selects() {
    let layouts = small_layouts();
    assert!(layouts.len() > 500, "{}", layouts.len());
    // All of up to four levels, and some of five.
    let some = layouts
        .iter()
        .enumerate()
        .filter(|(place, layout)| layout.matches('/').count() < 4 || place % 4 == 0);
    for layout in some.map(|(_, layout)| layout.as_str()).chain(LONG) {
        check(&Rendered::new(2, layout, ""));
    }
}

#[test]
fn what_is_ignored_is_permitted_and_selected_with_any_layout() {
    let layouts = small_layouts();
    let some = layouts.iter().enumerate().filter(|(place, layout)| match layout.matches('/').count() {
        0..3 => true,
        3 => place % 2 == 0,
        _ => false,
    });
    for (_, layout) in some {
        for ignored in ["f/bridge/#", "f/announce", "f/+/state", "g/a/b/c/d/#"] {
            check(&Rendered::new(2, layout, ignored));
        }
    }
}

#[test]
fn one_device_is_one_shard() {
    for layout in small_layouts().iter().map(String::as_str).chain(LONG) {
        let rendered = Rendered::new(2, layout, "");
        let level = rendered.place("{device}").unwrap() + 1;
        assert_eq!(rendered.partition_key, format!("${{topic({level})}}"), "{layout}");
    }
}

#[test]
fn urgent_messages_have_a_path_where_a_layout_of_fixed_depth_has_a_stream() {
    for layout in small_layouts() {
        let rendered = Rendered::new(2, &layout, "");
        // A layout of any depth has none: a policy could not hold the level in its place.
        let stream = rendered.place("{stream}").filter(|_| !layout.ends_with("/{metric...}"));
        let urgent = rendered.rules.iter().any(|rule| rule.name == "tidegate_dev_urgent_2");
        assert_eq!(urgent, stream.is_some(), "{layout}");
        let topic = layout
            .replace("{stream}", "urgent")
            .replace("{device}", "pump-7")
            .replace(['{', '}', '+'], "")
            .replace("...", "");
        let expected = if stream.is_some() { "tidegate_dev_urgent_2" } else { "tidegate_dev_telemetry_2" };
        assert_eq!(rendered.selecting(&topic, Parent::Passed), [expected], "{layout}: {topic}");
    }
}

/// Topics that are not of a layout that begins with `f`.
const OF_OTHERS: [&str; 16] = [
    "alerts/plant-1/pump-7/hot/ack",
    "alerts/plant-1/pump-7/hot",
    "alerts/f",
    "cmd/plant-1/pump-7",
    "live/plant-1/pump-7",
    "spBv1.0/plant-1/NDATA/pump-7",
    "dt/plant-1/pump-7/state",
    "g/plant-1/pump-7/state",
    "iot/pump-7",
    "pump-7",
    "$aws/things/pump-7/shadow/update",
    "$aws/things/pump-7/shadow/name/telemetry/get",
    "$aws/things/pump-7/shadow/name/telemetry/update",
    "$aws/rules/tidegate_dev_telemetry/dt/plant-1/pump-7/state",
    "$aws/rules/tidegate_dev_acknowledge/alerts/plant-1/pump-7/hot/ack",
    "$aws/rules/tidegate_dev_payload_identity/iot/x",
];

#[test]
fn a_policy_grants_nothing_but_its_layout() {
    let layouts = small_layouts();
    for layout in layouts.iter().map(String::as_str).chain(["f/{device}"]) {
        let rendered = Rendered::new(2, layout, "f/bridge/#");
        for (policy, name) in [(&rendered.devices, "pump-7"), (&rendered.gateways, "gateway")] {
            let thing = Thing::at("plant-1", name);
            for topic in OF_OTHERS {
                for (action, kind) in
                    [("iot:Publish", "topic"), ("iot:Receive", "topic"), ("iot:Subscribe", "topicfilter")]
                {
                    let resource = format!("{kind}/{topic}");
                    assert!(!policy.allows(&thing, action, &resource), "{layout}: {name} {action} {topic}");
                }
            }
            // Whatever stars may become: each grant begins with texts of the layout's own.
            for statement in policy.0.iter().filter(|statement| !statement.is_deny) {
                for resource in &statement.resources {
                    let begins =
                        ["", "$aws/rules/tidegate_dev_telemetry_2/", "$aws/rules/tidegate_dev_urgent_2/"]
                            .iter()
                            .any(|prefix| of_account(resource).starts_with(&format!("topic/{prefix}f/")));
                    let connects = of_account(resource) == "client/${iot:Connection.Thing.ThingName}"
                        && statement.actions == ["iot:Connect"];
                    assert!(
                        connects || begins && statement.actions == ["iot:Publish"],
                        "{layout}: {resource}"
                    );
                }
            }
        }
    }
}

/// Two layouts of one stack, with the policies of each and the rules of both.
struct Pair {
    layouts: [String; 2],
    /// Of devices and of gateways, by layout.
    policies: [[Policy; 2]; 2],
    rules: Vec<Rule>,
}

impl Pair {
    fn new(first: &str, second: &str) -> Self {
        let resolver = resolver(&[("Layout2", first), ("Layout3", second), ("ClientId", "any")]);
        let policies = ["2", "3"].map(|number| {
            ["DevicePolicy", "GatewayPolicy"].map(|kind| policy(&resolver, &format!("{kind}{number}")))
        });
        let rules = rules(&resolver);
        Self { layouts: [first, second].map(str::to_owned), policies, rules }
    }

    /// Whether a rule of the first or of the second layout selects a topic.
    fn selects(&self, place: usize, topic: &str) -> bool {
        let suffix = ["_2", "_3"][place];
        self.rules.iter().any(|rule| rule.name.ends_with(suffix) && rule.selects(topic, Parent::Passed))
    }

    /// Topics of all that a policy allows, with texts of either layout where a star stands.
    fn topics(policy: &Policy, thing: &Thing) -> BTreeSet<String> {
        let allowed = policy.0.iter().filter(|statement| !statement.is_deny);
        let patterns = allowed
            .flat_map(|statement| &statement.resources)
            .filter_map(|resource| of_account(resource).strip_prefix("topic/"));
        let own = |pattern: &str| {
            let named = pattern.replace("${iot:Connection.Thing.ThingName}", &thing.name);
            named.replace("${iot:Connection.Thing.Attributes[site]}", &thing.attributes["site"])
        };
        patterns.flat_map(|pattern| fill(&own(pattern), &["x", "t", "t/x", "u/x"])).collect()
    }

    /// Asserts that no policy of one permits or refuses what is of the other alone.
    fn check(&self) {
        let things = [Thing::at("plant-1", "pump-7"), Thing::at("plant-1", "gateway")];
        let policies = self.policies.iter().flat_map(|policies| policies.iter().zip(&things));
        let topics: BTreeSet<String> =
            policies.flat_map(|(policy, thing)| Self::topics(policy, thing)).collect();
        for topic in &topics {
            for (own, other) in [(0, 1), (1, 0)] {
                if self.selects(own, topic) || !self.selects(other, topic) {
                    continue;
                }
                for (policy, thing) in self.policies[own].iter().zip(&things) {
                    let place = format!(
                        "{} beside {}: {} on {topic}",
                        self.layouts[own], self.layouts[other], thing.name
                    );
                    assert!(!policy.may_publish(thing, topic), "permitted: {place}");
                    assert!(!policy.refuses_publish(thing, topic), "refused: {place}");
                }
            }
        }
    }
}

/// Whether ingest starts with these layouts.
fn go_together(first: &str, second: &str) -> bool {
    let layouts = [first, second].map(|text| text.parse::<TopicLayout>().unwrap().into());
    Layouts::new(layouts.to_vec(), "main".parse().unwrap(), None).is_ok()
}

#[test]
fn layouts_that_go_together_leave_the_topics_of_each_other_alone() {
    let layouts = small_layouts();
    let some = |nth: usize| {
        layouts.iter().enumerate().filter_map(move |(place, layout)| {
            let is_short = layout.matches('/').count() < 3;
            (is_short || place % nth == 0).then_some(layout)
        })
    };
    let mut count = 0;
    for first in some(7) {
        // Another text, so that some pairs share no topic.
        for second in some(11).map(|layout| layout.replace("/t", "/u")) {
            if go_together(first, &second) {
                Pair::new(first, &second).check();
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
    // What each refusal is for.
    for (first, second) in [
        ("f/{device}/t/{metric...}", "f/{site}/u/{device}/{metric...}"),
        ("f/{device}/t", "f/{device}/air/{metric}"),
        ("f/{site}/{device}/t", "f/a/{device}/b/{metric...}"),
    ] {
        assert!(!go_together(first, second), "{first} {second}");
        let pair = std::panic::catch_unwind(|| Pair::new(first, second).check());
        assert!(pair.is_err(), "{first} and {second} could go together");
    }
}

/// Policies name the rules of their own layout.
#[test]
fn no_policy_refuses_what_is_sent_to_the_rules_of_another_layout() {
    let resolver = resolver(&[
        ("Layout", "dt/{site}/{device}/{stream}"),
        ("Layout2", "N/{device}/{metric...}"),
        ("PayloadIdentityFilter", "iot/#"),
        ("ClientId", "any"),
    ]);
    let thing = Thing::at("plant-1", "pump-7");
    for topic in [
        "$aws/rules/tidegate_dev_telemetry_2/N/pump-7/dt/a/b/c/d",
        "$aws/rules/tidegate_dev_payload_identity/iot/dt/a/b/c/d/e",
    ] {
        for id in ["DevicePolicy", "GatewayPolicy"] {
            assert!(!policy(&resolver, id).refuses_publish(&thing, topic), "{id}: {topic}");
        }
    }
    let own = policy(&resolver, "DevicePolicy");
    for rule in ["telemetry", "urgent"] {
        let deeper = format!("$aws/rules/tidegate_dev_{rule}/dt/plant-1/pump-7/a/b");
        assert!(own.refuses_publish(&thing, &deeper), "{deeper}");
    }
}

/// The alerts of a device are below its site, which is LayoutSite where its layout has none.
#[test]
fn a_device_hears_its_alerts_whether_its_layout_has_a_site_or_not() {
    let pump = Thing::at("plant-1", "pump-7");
    let nowhere = Thing { name: "pump-7".to_owned(), attributes: [].into() };
    let check = |parameters: &[(&str, &str)], thing: &Thing, site: &str, expected: bool| {
        let policy = policy(&resolver(parameters), "DeviceAnswersPolicy");
        for device in ["pump-7", "pump-8"] {
            let expected = expected && device == "pump-7";
            for (action, resource) in [
                ("iot:Subscribe", format!("topicfilter/alerts/{site}/{device}/+")),
                ("iot:Receive", format!("topic/alerts/{site}/{device}/hot")),
                ("iot:Publish", format!("topic/alerts/{site}/{device}/hot/ack")),
            ] {
                let found = policy.allows(thing, action, &resource);
                assert_eq!(found, expected, "{parameters:?}: {action} {resource}");
            }
        }
        for topic in ["alerts/plant-1/pump-7/hot", "alerts/boat/pump-7/hot"] {
            assert!(!policy.may_publish(thing, topic), "{topic}");
        }
    };
    check(&[], &pump, "plant-1", true);
    check(&[], &pump, "main", false);
    check(&[("LayoutSite", "boat")], &pump, "boat", false);
    let factory = ("Layout2", "factory/{site}/{device}/{metric}");
    check(&[factory, ("LayoutSite", "boat")], &pump, "boat", false);
    for number in ["Layout", "Layout2", "Layout3"] {
        let parameters = [(number, "N/{device}/{metric...}"), ("LayoutSite", "boat")];
        check(&parameters, &nowhere, "boat", true);
        check(&parameters, &nowhere, "plant-1", false);
        check(&parameters, &pump, "plant-1", true);
    }
}

/// What a policy permits by a filter for identity in the payload, its rule selects.
#[test]
fn a_filter_of_payload_identity_permits_what_its_rule_selects() {
    let thing = Thing::at("plant-1", "pump-7");
    let levels = ["iot", "x", "+", "#"];
    let mut filters = vec!["iot".to_owned()];
    let mut longer = filters.clone();
    for _ in 0..3 {
        longer = longer.iter().flat_map(|text| levels.map(|level| format!("{text}/{level}"))).collect();
        filters.extend(longer.clone());
    }
    let filters: Vec<String> =
        filters.into_iter().filter(|text| TopicFilter::of_payload_identity(text).is_ok()).collect();
    assert!(filters.len() > 20, "{filters:?}");
    for filter in &filters {
        let resolver = resolver(&[("PayloadIdentityFilter", filter)]);
        let (policy, rules) = (policy(&resolver, "DevicePolicy"), rules(&resolver));
        let mut permitted = 0;
        for topic in topics(&policy, &thing).iter().filter(|topic| topic.contains("iot")) {
            if policy.may_publish(&thing, topic) {
                let is_selected = rules.iter().any(|rule| rule.selects(topic, Parent::Passed));
                assert!(is_selected, "{filter} permits {topic}, and no rule selects it");
                permitted += 1;
            }
        }
        assert!(permitted > 0, "{filter}");
    }
}

#[test]
fn the_device_policy_of_the_default_layout_grants_nothing_else() {
    let thing = Thing::at("plant-1", "pump-7");
    let resolver = resolver(&[("PayloadIdentityFilter", "iot/data/+/#")]);
    let policy = policy(&resolver, "DevicePolicy");
    for topic in OF_OTHERS.iter().filter(|topic| !topic.contains("dt/")) {
        assert!(!policy.may_publish(&thing, topic), "{topic}");
    }
    for topic in ["dt/plant-1/pump-7/state", "dt/plant-1/pump-7/urgent", "iot/data/x/y"] {
        assert!(policy.may_publish(&thing, topic), "{topic}");
    }
    for topic in
        ["dt/plant-1/pump-8/state", "dt/plant-2/pump-7/state", "dt/plant-1/pump-7/a/b", "dt/plant-1/pump-7"]
    {
        assert!(!policy.may_publish(&thing, topic), "{topic}");
    }
    let nowhere = Thing { name: "pump-7".to_owned(), attributes: [].into() };
    assert!(!policy.may_publish(&nowhere, "dt/plant-1/pump-7/state"), "its site is not known");
}

#[test]
fn each_of_the_three_layouts_is_treated_alike() {
    for (layout, ignored) in EXAMPLES {
        let without_number = |number: usize| {
            let rendered = Rendered::new(number, layout, ignored);
            let rules = rendered.rules.iter().filter(|rule| match number {
                1 => !rule.name.ends_with(char::is_numeric),
                _ => rule.name.ends_with(&format!("_{number}")),
            });
            let rules: Vec<String> = rules.map(|rule| format!("{rule:?}")).collect();
            let policies = format!("{:?} {:?}", rendered.devices, rendered.gateways);
            format!("{policies} {rules:?} {}", rendered.partition_key).replace(&format!("_{number}"), "")
        };
        let first = without_number(1);
        // The default layout is the first of the stack already.
        for number in [2, 3] {
            assert_eq!(without_number(number), first, "{layout} as layout {number}");
        }
    }
}

#[test]
fn a_topic_filter_narrows_the_default_layout_only() {
    let filters = |parameters: &[(&str, &str)]| -> Vec<String> {
        rules(&resolver(parameters)).into_iter().map(|rule| rule.filter).collect()
    };
    assert_eq!(filters(&[]), ["dt/+/+/+"; 2]);
    assert_eq!(filters(&[("TopicFilter", "dt/plant-1/+/+")]), ["dt/plant-1/+/+"; 2]);
    let other = [("TopicFilter", "dt/plant-1/+/+"), ("Layout", "N/{device}/{metric...}")];
    assert_eq!(filters(&other), ["N/+/#"]);
    // What is deeper, by the levels that say where it comes from.
    let deeper =
        |filter: &str| filters(&[("TopicFilter", filter), ("LayoutIgnore", "dt/+/log/#")]).swap_remove(0);
    assert_eq!(deeper("dt/+/+/+"), "dt/+/+/+/#");
    assert_eq!(deeper("dt/plant-1/+/state"), "dt/plant-1/+/+/#");
}

#[test]
fn the_code_says_of_a_layout_what_the_template_makes_of_it() {
    for text in small_layouts().iter().map(String::as_str).chain(LONG) {
        let layout: TopicLayout = text.parse().unwrap();
        let rendered = Rendered::new(2, text, "");
        let rule = rendered.rules.iter().find(|rule| rule.name == "tidegate_dev_telemetry_2").unwrap();
        assert_eq!(rule.filter, layout.rule_filter().to_string(), "{text}");
        let policies = [(ClientId::Match, &rendered.devices), (ClientId::Any, &rendered.gateways)];
        for (client_id, policy) in policies {
            let said = layout.policy(client_id);
            let has = |is_deny: bool, topics: &str| {
                let statements = policy.0.iter().filter(|statement| statement.is_deny == is_deny);
                let resources: Vec<&str> = statements
                    .flat_map(|statement| &statement.resources)
                    .filter_map(|resource| of_account(resource).strip_prefix("topic/"))
                    .filter(|topics| !topics.starts_with('$'))
                    .collect();
                resources == [topics].into_iter().filter(|topics| !topics.is_empty()).collect::<Vec<_>>()
            };
            assert!(has(false, &said.allow), "{text}: allows {}", said.allow);
            assert!(has(true, said.deny.as_deref().unwrap_or_default()), "{text}: denies {:?}", said.deny);
        }
    }
}

#[test]
fn the_page_says_what_becomes_of_the_examples() {
    let page = read("docs/topics.md");
    let (_, table) = page.split_once("<!-- layouts -->").unwrap();
    let (table, _) = table.split_once("<!-- /layouts -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut seen = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let layout: TopicLayout = cells[0].parse().unwrap();
        let policy = layout.policy(ClientId::Match);
        let allow = policy
            .allow
            .replace("${iot:Connection.Thing.Attributes[site]}", "SITE")
            .replace("${iot:Connection.Thing.ThingName}", "THING");
        let expected = [layout.rule_filter().to_string(), allow, policy.deny.unwrap_or_default()];
        assert_eq!(cells[1..], expected, "{row}");
        seen.insert(cells[0].to_owned());
    }
    for (layout, _) in EXAMPLES.into_iter().filter(|(layout, _)| !layout.starts_with("tele/")) {
        assert!(seen.contains(layout), "{layout} is not in the table");
    }
}

/// Parameters on the page, each as `Name=value`.
#[test]
fn the_pages_parameters_make_a_stack() {
    let mut count = 0;
    for document in ["docs/topics.md", "README.md"] {
        let page = read(document);
        let texts = page.lines().filter(|line| line.contains("Layout=") || line.contains("Layout2="));
        for line in texts {
            let words =
                line.split(['`', ' ', '\'', '"', ',', '[', ']']).filter(|word| !word.starts_with('|'));
            let parameters: Vec<(&str, &str)> = words
                .filter_map(|word| word.split_once('='))
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
                .collect();
            for (name, value) in parameters.iter().filter(|(name, _)| {
                name.starts_with("Layout") && !name.ends_with("Ignore") && *name != "LayoutSite"
            }) {
                assert!(value.parse::<TopicLayout>().is_ok(), "{name}={value}");
                count += 1;
            }
            rules(&resolver(&parameters));
        }
    }
    assert!(count >= 7, "{count}");
}

/// The pattern of a parameter.
fn pattern(parameter: &str) -> Pattern {
    Pattern::read(TEMPLATE["Parameters"][parameter]["AllowedPattern"].as_str().unwrap())
}

/// Characters of ASCII, and some that other languages take for blanks, for ends of lines or for letters.
fn characters() -> impl Iterator<Item = char> {
    let others = "\u{80}\u{85}\u{a0}\u{ad}\u{e9}\u{130}\u{1680}\u{2000}\u{200b}\u{2028}\u{2029}\u{202f}\u{3000}\u{feff}\u{ff03}\u{1f600}";
    (0..=0x7f_u8).map(char::from).chain(others.chars())
}

/// All texts of up to so many of these levels.
fn texts(levels: &[&str], most: usize) -> Vec<String> {
    let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
    let mut longer = all.clone();
    for _ in 1..most {
        longer = longer
            .iter()
            .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")))
            .collect();
        all.extend(longer.clone());
    }
    all
}

/// What the template takes, starts ingest; and what ingest takes, can be deployed.
#[test]
fn template_and_code_take_the_same_texts() {
    let check = |parameter: &str, texts: &[String], takes: &dyn Fn(&str) -> bool| {
        let pattern = pattern(parameter);
        let mut taken = 0;
        for text in texts {
            assert_eq!(pattern.matches(text), takes(text), "{parameter}={text:?}");
            taken += usize::from(takes(text));
        }
        assert!(taken > 0 && taken < texts.len(), "{parameter}: {taken} of {}", texts.len());
    };
    let with = |around: &[&str]| -> Vec<String> {
        let one = |c: char| around.iter().map(move |text| text.replace('_', &c.to_string()));
        characters().flat_map(one).collect()
    };

    let is_layout = |text: &str| text.parse::<TopicLayout>().is_ok();
    let mut layouts = with(&["_/{device}", "f_/{device}", "f/_/{device}", "f/x_y/{device}/{metric...}"]);
    let words = [
        "t",
        "+",
        "{site}",
        "{device}",
        "{stream}",
        "{metric}",
        "{prefix}",
        "{metric...}",
        "{other}",
        "",
        "#",
    ];
    layouts.extend(texts(&words, 3).into_iter().map(|text| format!("f/{text}")));
    layouts.extend(small_layouts());
    layouts.extend(
        ["alerts", "cmd", "live", "spBv1.0", "$aws", "alerts2"].map(|first| format!("{first}/{{device}}")),
    );
    layouts.extend((5..8).map(|count| format!("f/{}/{{device}}", vec!["x"; count].join("/"))));
    for parameter in ["Layout", "Layout2", "Layout3"] {
        check(parameter, &layouts, &is_layout);
    }

    // An empty text is none.
    let is_ignored = |text: &str| text.is_empty() || TopicFilter::of_ignored(text).is_ok();
    let mut ignored = with(&["_", "f_", "f/_", "f/_/#"]);
    ignored.extend(texts(&["f", "alerts", "+", "#", "", "x+"], 4));
    for parameter in ["LayoutIgnore", "Layout2Ignore", "Layout3Ignore"] {
        check(parameter, &ignored, &is_ignored);
    }

    // The template keeps the default layout's first level free, and all of Sparkplug's.
    let is_payload_identity = |text: &str| {
        let is_free = text.split('/').next() != Some("dt");
        text.is_empty() || is_free && TopicFilter::of_payload_identity(text).is_ok()
    };
    let mut filters = with(&["_", "iot_", "iot/_", "iot/_/+/#"]);
    filters.extend(texts(&["iot", "alerts", "dt", "+", "#", "", "x+"], 4));
    check("PayloadIdentityFilter", &filters, &is_payload_identity);

    let is_site = |text: &str| text.parse::<LayoutSite>().is_ok();
    check("LayoutSite", &[with(&["_", "a_", "a_b"]), texts(&["a", ""], 2)].concat(), &is_site);
}
