//! Two layouts in one stack: a Victron-like fleet and a factory, over mutual TLS.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::cloudformation::Resolver;
use tidegate::fleet::Connection;

use crate::stack::{PATIENCE, Stack, checkout, now};

const NAME: &str = "tidegate-layouts";
const STAGE: &str = "layouts";
const PARAMETERS: [(&str, &str); 5] = [
    ("Stage", STAGE),
    ("Layout", "factory/{site}/{prefix}/{device}/{metric}"),
    ("Layout2", "N/{device}/{metric...}"),
    ("Layout2Ignore", "N/announce"),
    ("LayoutSite", "boat"),
];

/// Waits until a device has readings of just these metrics, each with one value.
async fn wait_for(stack: &Stack, device: &str, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(metric, value)| ((*metric).to_owned(), (*value).to_owned())).collect();
    let started = Instant::now();
    loop {
        let readings = stack.readings(device).await;
        let found: BTreeMap<String, String> =
            readings.iter().map(|reading| (reading.metric.to_string(), reading.value.to_string())).collect();
        if found == expected && readings.len() == expected.len() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{device} has {readings:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn publish(connection: &mut Connection, topic: String, payload: &str) {
    connection.publish(&topic, payload.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn two_fleets_publish_as_they_always_did() {
    let mut stack = Stack::open().await;
    stack.deploy(NAME, &PARAMETERS).await;
    the_stack_is_what_the_tests_make_of_the_template(&stack).await;

    let (pump, mut connection) = stack.connect_as(&["DevicePolicyName"], "pump").await;
    let name = pump.strip_prefix("lab/").unwrap();
    publish(&mut connection, format!("factory/lab/line-3/{name}/temperature"), "21.5").await;
    publish(&mut connection, format!("factory/lab/line-3/{name}/running"), "true").await;
    wait_for(&stack, &pump, &[("line-3.temperature", "21.5"), ("line-3.running", "true")]).await;

    let (venus, mut connection) = stack.connect_as(&["DevicePolicy2Name"], "venus").await;
    let name = venus.strip_prefix("lab/").unwrap();
    // Permitted, and ignored.
    publish(&mut connection, "N/announce".to_owned(), r#"{"portalId": "c0619ab1"}"#).await;
    publish(&mut connection, format!("N/{name}/battery/0/Soc"), r#"{"value": 75.3}"#).await;
    publish(&mut connection, format!("N/{name}/system/0/Dc/Pv/Power"), r#"{"value": 120}"#).await;
    let basic_ingest = format!("$aws/rules/{}/N/{name}/vebus/257/Mode", stack.outputs["TelemetryRule2Name"]);
    publish(&mut connection, basic_ingest, r#"{"value": 3}"#).await;
    let expected = [("battery.0.Soc", "75.3"), ("system.0.Dc.Pv.Power", "120"), ("vebus.257.Mode", "3")];
    wait_for(&stack, &format!("boat/{name}"), &expected).await;
    assert_eq!(stack.quarantined(name).await, Vec::<Value>::new());

    // The broker ends a connection that publishes what its policy does not permit.
    for (policy, topics) in [
        (
            "DevicePolicyName",
            ["factory/lab/line-3/other/temperature", "N/NAME/battery/0/Soc", "dt/lab/NAME/state"],
        ),
        ("DevicePolicy2Name", ["N/other/battery/0/Soc", "N/NAME", "factory/lab/line-3/NAME/temperature"]),
    ] {
        for topic in topics {
            let (device, mut connection) = stack.connect_as(&[policy], "denied").await;
            let name = device.strip_prefix("lab/").unwrap();
            let denied = connection.publish(&topic.replace("NAME", name), b"21.5").await;
            assert!(denied.is_err(), "{policy} permits {topic}");
            assert_eq!(stack.readings(&device).await, []);
        }
    }
}

#[tokio::test]
async fn one_bridge_publishes_for_all_and_others_for_themselves() {
    let mut stack = Stack::open().await;
    let parameters = [
        ("Stage", "bridge"),
        ("Layout", "zigbee2mqtt/{device}"),
        ("LayoutIgnore", "zigbee2mqtt/bridge/#"),
        ("Layout2", "sensors/{device}/temperature"),
        ("Layout3", "shellies/{device}/{metric...}"),
        ("Layout3Ignore", "shellies/announce"),
        ("LayoutSite", "home"),
        ("ClientId", "any"),
    ];
    stack.deploy("tidegate-bridge", &parameters).await;

    let (bridge, mut connection) = stack.connect_as(&["GatewayPolicyName"], "bridge").await;
    let lamp = format!("lamp-{}", now().0);
    publish(&mut connection, "zigbee2mqtt/bridge/state".to_owned(), r#"{"state": "online"}"#).await;
    publish(&mut connection, format!("zigbee2mqtt/{lamp}"), r#"{"state": "ON", "brightness": 254}"#).await;
    wait_for(&stack, &format!("home/{lamp}"), &[("state", "ON"), ("brightness", "254")]).await;
    assert_eq!(stack.quarantined(bridge.strip_prefix("lab/").unwrap()).await, Vec::<Value>::new());

    let (probe, mut connection) = stack.connect_as(&["DevicePolicy2Name"], "probe").await;
    let name = probe.strip_prefix("lab/").unwrap();
    publish(&mut connection, format!("sensors/{name}/temperature"), "20.5").await;
    wait_for(&stack, &format!("home/{name}"), &[("temperature", "20.5")]).await;

    let (plug, mut connection) = stack.connect_as(&["DevicePolicy3Name"], "plug").await;
    let name = plug.strip_prefix("lab/").unwrap();
    publish(&mut connection, "shellies/announce".to_owned(), r#"{"id": "plug"}"#).await;
    publish(&mut connection, format!("shellies/{name}/relay/0/power"), "21.5").await;
    publish(&mut connection, format!("shellies/{name}/relay/0"), "on").await;
    let expected = [("relay.0.power", "21.5"), ("relay.0", "on")];
    wait_for(&stack, &format!("home/{name}"), &expected).await;
    assert_eq!(stack.quarantined(name).await, Vec::<Value>::new());

    for (policy, topic) in [
        ("GatewayPolicyName", "shellies/other/relay/0"),
        ("GatewayPolicyName", "alerts/home/lamp/hot"),
        ("DevicePolicy2Name", "sensors/other/temperature"),
        ("DevicePolicy3Name", "shellies/other/relay/0/power"),
    ] {
        let (_, mut connection) = stack.connect_as(&[policy], "denied").await;
        assert!(connection.publish(topic, b"21.5").await.is_err(), "{policy} permits {topic}");
    }
}

/// Asserts that policies and rules are deployed as [`Resolver`] makes them: what holds them together is a test on that.
async fn the_stack_is_what_the_tests_make_of_the_template(stack: &Stack) {
    let text = std::fs::read_to_string(checkout().join("template.yaml")).unwrap();
    let template = tests::template::read(&text);
    let parameters: Vec<(&str, &str)> = PARAMETERS.into_iter().chain([("OnAws", "false")]).collect();
    let account =
        [("AWS::Partition", "aws"), ("AWS::Region", &stack.cloud.region), ("AWS::AccountId", "000000000000")];
    let resolver = Resolver::new(&template, &parameters).in_account(&account);
    let (mut policies, mut rules) = (0, 0);
    for resource in template["Resources"].as_object().unwrap().values() {
        if !resolver.is_deployed(resource) {
            continue;
        }
        let properties = || resolver.resolve(&resource["Properties"]).unwrap();
        if resource["Type"] == "AWS::IoT::Policy" {
            let properties = properties();
            let name = properties["PolicyName"].as_str().unwrap();
            let found = stack.clients.iot.get_policy().policy_name(name).send().await.unwrap();
            let document: Value = serde_json::from_str(found.policy_document().unwrap()).unwrap();
            assert_eq!(document, properties["PolicyDocument"], "{name}");
            policies += 1;
        } else if resource["Type"] == "AWS::IoT::TopicRule" {
            let properties = properties();
            let name = properties["RuleName"].as_str().unwrap();
            let found = stack.clients.iot.get_topic_rule().rule_name(name).send().await.unwrap();
            let sql = found.rule().unwrap().sql().unwrap();
            assert_eq!(sql.trim(), properties["TopicRulePayload"]["Sql"].as_str().unwrap().trim(), "{name}");
            rules += 1;
        }
    }
    assert!(policies >= 4 && rules >= 5, "{policies} policies, {rules} rules");
}

/// What the parameters take, and what they refuse.
const VALUES: [(&str, &[&str], &[&str]); 4] = [
    (
        "Layout",
        &[
            "factory/{site}/{prefix}/{device}/{metric}",
            "sensors/{device}/temperature",
            "N/{device}/{metric...}",
            "homie/5/{device}/{metric...}",
            "zigbee2mqtt/{device}",
            "a/b/c/d/e/f/g/{device}",
            "a/{site}/{device}/+/{prefix}/{metric...}",
        ],
        &[
            "",
            "alerts/{device}",
            "cmd/{device}",
            "live/{device}",
            "spBv1.0/{device}",
            "$aws/{device}",
            "{device}/x",
            "+/{device}",
            "a/b",
            "a/{device}/{device}",
            "a/{device}/{metric}/{metric...}",
            "a/{metric...}/{device}",
            "a/+/{device}/{metric...}",
            "a/{device}/{prefix}/b/{metric...}",
            "a/{device}/{site}/{metric...}",
            "a/b/c/d/e/f/g/h/{device}",
            "a//{device}",
            "a*/{device}",
            "a/{devices}",
            "a/{device}x",
            "a/{device}/#",
            "a'/{device}",
        ],
    ),
    ("Layout3", &["", "shellies/{device}/{metric...}"], &["alerts/{device}", "a/b"]),
    (
        "LayoutIgnore",
        &["", "zigbee2mqtt/bridge/#", "shellies/announce", "tele/+/STATE"],
        &["#", "+/a", "a/+/+", "alerts/#", "a/#/b", "a*/#", "$aws/x"],
    ),
    (
        "PayloadIdentityFilter",
        &["", "iot/#", "iot/+/#", "legacy/up"],
        &[
            "alerts/#",
            "*/#",
            "dt*/#",
            "dt/#",
            "a/?",
            "a/$x",
            "spBv1.0/#",
            "cmd/#",
            "live/x",
            "+/x",
            "#",
            "iot/+/up",
            "iot/+",
        ],
    ),
];

/// The parameters alone, as a stack with next to nothing in it.
#[tokio::test]
async fn parameters_take_layouts_and_refuse_what_would_grant_too_much() {
    let stack = Stack::open().await;
    let text = std::fs::read_to_string(checkout().join("template.yaml")).unwrap();
    let template = tests::template::read(&text);
    for (parameter, good, bad) in VALUES {
        let values = good.iter().map(|value| (*value, true)).chain(bad.iter().map(|value| (*value, false)));
        for (count, (value, is_good)) in values.enumerate() {
            let mut declared = template["Parameters"][parameter].clone();
            declared["Default"] = value.into();
            let body = serde_json::json!({
                "Parameters": {parameter: declared},
                "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
            });
            let name = format!("{parameter}-{count}-{}", now().0);
            let create = stack.clients.cloudformation.create_stack().stack_name(&name);
            let created = create.template_body(body.to_string()).send().await;
            assert_eq!(created.is_ok(), is_good, "{parameter} = {value:?}");
            if is_good {
                stack.clients.cloudformation.delete_stack().stack_name(&name).send().await.unwrap();
            }
        }
    }
}
