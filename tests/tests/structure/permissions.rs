//! Who may do what: roles of functions and rules, policies of devices and operators.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::cloudformation::{ACCOUNT, Resolver};

use crate::deployment::{Deployment, TEMPLATE, arn, list};
use crate::rules::{Sql, sql_of};

/// The statements of a role's own policies.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = list(&role["Policies"]).into_iter();
    policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).collect()
}

/// Whether the role that `reference` points to allows `action` on `resource`, by name.
pub(crate) fn role_allows(
    deployment: &Deployment,
    reference: &Value,
    action: &str,
    resource: &Value,
) -> bool {
    let (_, role) = deployment.target(reference);
    statements(role).into_iter().any(|statement| {
        statement["Effect"] == "Allow"
            && list(&statement["Action"]).contains(&&json!(action))
            && list(&statement["Resource"]).contains(&resource)
    })
}

#[test]
fn no_role_may_do_everything_or_anywhere() {
    for deployment in Deployment::all() {
        let is_local = deployment.name.contains(r#"("OnAws", "false")"#);
        for (id, role) in deployment.of_type("AWS::IAM::Role") {
            assert!(role["ManagedPolicyArns"].is_null(), "{id}: managed policies reach beyond the stack");
            for statement in statements(role) {
                let place = format!("{id}: {statement} ({})", deployment.name);
                assert_eq!(statement["Effect"], "Allow", "{place}");
                for field in ["NotAction", "NotResource"] {
                    assert!(statement[field].is_null(), "{place}");
                }
                assert!(!list(&statement["Action"]).is_empty(), "{place}");
                for action in list(&statement["Action"]) {
                    assert!(!action.as_str().unwrap().contains('*'), "{place}");
                }
                let is_for_the_local_cloud =
                    is_local && statement["Sid"].as_str().is_some_and(|sid| sid.ends_with("Locally"));
                for resource in list(&statement["Resource"]) {
                    let is_known = names_a_resource(resource)
                        || is_the_shadow_of_things(statement, resource)
                        || is_the_topic_of_alerts(statement, resource)
                        || is_the_topic_of_commands(statement, resource);
                    assert!(is_known || is_for_the_local_cloud, "{place}");
                }
            }
        }
        for (id, function) in deployment.of_type("AWS::Serverless::Function") {
            let (_, role) = deployment.target(&function["Role"]);
            let trusted = &role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"];
            assert_eq!(trusted, "lambda.amazonaws.com", "{id}");
            assert!(
                function["Policies"].is_null(),
                "{id}: with a role of its own, SAM would pass these over"
            );
        }
    }
}

/// Whether it is the ARN of a resource of this stack, or begins with one.
fn names_a_resource(resource: &Value) -> bool {
    let begins_with_one =
        |text: &str| text.starts_with("${") && text.contains(".Arn}") && !text.starts_with("${AWS::");
    resource["Fn::GetAtt"][1] == "Arn" || resource["Fn::Sub"].as_str().is_some_and(begins_with_one)
}

/// Things are not of this stack and come and go, so that none can be named; but their shadow is.
fn is_the_shadow_of_things(statement: &Value, resource: &Value) -> bool {
    const THINGS: &str = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:thing/*/";
    let shadow = resource["Fn::Sub"].as_str().and_then(|resource| resource.strip_prefix(THINGS));
    statement["Action"] == "iot:UpdateThingShadow"
        && shadow.is_some_and(|name| !name.is_empty() && !name.contains(['*', '$']))
}

/// Whose alerts there will be is not known; but the first level of their topics is.
fn is_the_topic_of_alerts(statement: &Value, resource: &Value) -> bool {
    let topic = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/alerts/*";
    statement["Action"] == json!(["iot:Publish", "iot:RetainPublish"]) && resource["Fn::Sub"] == topic
}

/// As little is known of which edge nodes there will be.
fn is_the_topic_of_commands(statement: &Value, resource: &Value) -> bool {
    let topic = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/spBv1.0/*/NCMD/*";
    statement["Action"] == "iot:Publish" && resource["Fn::Sub"] == topic
}

/// The most characters of an AWS IoT policy's document, white space not counted ("AWS IoT Core endpoints and quotas").
const MAX_IOT_POLICY_CHARS: usize = 2_048;

#[test]
fn aws_iot_takes_each_policy() {
    // As long as parameters let them be: a layout of one long text is in each policy oftenest. One without a site adds
    // LayoutSite to the policy of answers.
    let layout = |first: &str| format!("{first}{}/{{site}}/{{device}}/{{stream}}", "x".repeat(46));
    let no_site = format!("c{}/{{device}}/{{stream}}", "x".repeat(53));
    let ignored = |first: &str| format!("{first}/{}/+/#", "x".repeat(58));
    let texts = ["a", "b", "c"].map(|first| (layout(first), ignored(first)));
    let longest = [
        ("Stage", "sixteenletters16"),
        ("ShadowName", &"n".repeat(64)),
        ("ClientId", "any"),
        ("SparkplugFilter", "spBv1.0/#"),
        ("PayloadIdentityFilter", &format!("i/{}/+/#", "x".repeat(58))),
        ("LayoutSite", &"s".repeat(48)),
        ("Layout", &texts[0].0),
        ("LayoutIgnore", &texts[0].1),
        ("Layout2", &texts[1].0),
        ("Layout2Ignore", &texts[1].1),
        ("Layout3", &texts[2].0),
        ("Layout3Ignore", &texts[2].1),
    ];
    for (name, value) in &longest[4..] {
        let most = TEMPLATE["Parameters"][name]["MaxLength"].as_u64();
        assert_eq!(most, u64::try_from(value.len()).ok(), "{name} could be longer");
    }
    let mut without_site = longest;
    without_site[10].1 = &no_site;
    assert_eq!((without_site[10].0, no_site.len()), ("Layout3", texts[2].0.len()));
    for parameters in [&longest[..], &without_site[..], &longest[..6], &[]] {
        let resolver = Resolver::new(&TEMPLATE, parameters).in_account(&ACCOUNT);
        let policies =
            TEMPLATE["Resources"].as_object().unwrap().iter().filter(|(_, resource)| {
                resource["Type"] == "AWS::IoT::Policy" && resolver.is_deployed(resource)
            });
        for (id, policy) in policies {
            let document = resolver.resolve(&policy["Properties"]["PolicyDocument"]).unwrap().to_string();
            let chars = document.chars().filter(|c| !c.is_whitespace()).count();
            assert!(chars <= MAX_IOT_POLICY_CHARS, "{id} has {chars} characters");
        }
    }
}

#[test]
fn an_operator_hears_and_acknowledges_alerts_and_nothing_else() {
    for deployment in Deployment::all() {
        let policy = &deployment.resources["OperatorPolicy"]["Properties"]["PolicyDocument"];
        let mut allowed = BTreeSet::new();
        for statement in list(&policy["Statement"]) {
            let resource = statement["Resource"]["Fn::Sub"].as_str().unwrap();
            let (_, resource) = resource.split_once("${AWS::AccountId}:").unwrap();
            allowed.insert(format!("{} {resource}", statement["Action"].as_str().unwrap()));
        }
        let expected = [
            "iot:Connect client/${!iot:Connection.Thing.ThingName}",
            "iot:Publish topic/alerts/*/ack",
            "iot:Receive topic/alerts/*",
            "iot:Subscribe topicfilter/alerts/*",
        ];
        assert_eq!(allowed, expected.map(str::to_owned).into());
    }
}

#[test]
fn a_rules_role_can_be_assumed_for_rules_of_this_account_only() {
    for deployment in Deployment::all() {
        for (id, role) in deployment.of_type("AWS::IAM::Role") {
            for trust in list(&role["AssumeRolePolicyDocument"]["Statement"]) {
                if trust["Principal"]["Service"] == "iot.amazonaws.com" {
                    let account = json!({"aws:SourceAccount": {"Ref": "AWS::AccountId"}});
                    assert_eq!(trust["Condition"]["StringEquals"], account, "{id}");
                }
            }
        }
    }
}

#[test]
fn on_aws_the_devices_table_can_be_written_by_those_who_keep_it_and_nobody_else() {
    for deployment in Deployment::all_on_aws() {
        for (id, function) in deployment.of_type("AWS::Serverless::Function") {
            let (_, role) = deployment.target(&function["Role"]);
            let on_devices =
                statements(role).into_iter().filter(|s| list(&s["Resource"]).contains(&&arn("DevicesTable")));
            let actions: Vec<&Value> = on_devices.flat_map(|statement| list(&statement["Action"])).collect();
            let expected: &[&str] = match id {
                "IngestFunction" => &["dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"],
                "ShadowFunction" => &["dynamodb:BatchGetItem", "dynamodb:UpdateItem"],
                "PresenceFunction" => &["dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:Scan"],
                "AlertFunction" => &["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem"],
                _ => &[],
            };
            assert_eq!(actions, expected, "{id}");
        }
    }
}

#[test]
fn a_device_speaks_for_itself_and_to_rules_that_exist() {
    for deployment in Deployment::all() {
        // No device may publish what only the broker says; and an acknowledgement is for whoever hears alerts, too. Edge
        // nodes publish on Sparkplug's own topics only.
        let is_of_devices = |rule: &Value| {
            let filter = Sql::parse(sql_of(rule)).filter;
            !["$aws/", "alerts/", "spBv1.0/"].iter().any(|first| filter.starts_with(first))
        };
        // What is ignored is published on its topics alone.
        let rules = deployment.of_type("AWS::IoT::TopicRule").filter(|(id, rule)| {
            is_of_devices(rule) && !id.starts_with("IgnoreRule") && !id.starts_with("DeeperRule")
        });
        let rules: BTreeSet<&str> = rules.map(|(_, rule)| rule["RuleName"].as_str().unwrap()).collect();
        let mut named = BTreeSet::new();
        let of_devices = deployment.of_type("AWS::IoT::Policy").filter(|(id, _)| *id != "OperatorPolicy");
        for (id, policy) in of_devices {
            for statement in list(&policy["PolicyDocument"]["Statement"]) {
                assert!(
                    !list(&statement["Action"])
                        .into_iter()
                        .any(|action| action.as_str().unwrap().contains('*')),
                    "{id}"
                );
                for resource in list(&statement["Resource"]) {
                    let resource = resource["Fn::Sub"].as_str().unwrap();
                    let (_, resource) = resource.split_once("${AWS::AccountId}:").unwrap();
                    if statement["Effect"] == "Allow"
                        && let Some((_, rest)) = resource.split_once("$aws/rules/")
                    {
                        named.insert(rest.split('/').next().unwrap().to_owned());
                    }
                    let is_own = resource.contains("/${!iot:Connection.Thing.ThingName}");
                    let may_be_others = statement["Effect"] == "Deny"
                        || id.starts_with("GatewayPolicy")
                        || ["PublishBesides", "PublishWhatIsIgnored"]
                            .iter()
                            .any(|sid| statement["Sid"] == *sid);
                    assert!(is_own || may_be_others, "{id}: {resource}");
                }
            }
        }
        assert_eq!(
            named.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            rules,
            "Basic Ingest: {}",
            deployment.name
        );
    }
}

#[test]
fn a_device_reads_its_shadow_and_never_writes_it() {
    for deployment in Deployment::all() {
        let policy = &deployment.resources["DeviceAnswersPolicy"]["Properties"];
        let (_, function) =
            deployment.of_type("AWS::Serverless::Function").find(|(id, _)| *id == "ShadowFunction").unwrap();
        let name = function["Environment"]["Variables"]["TIDEGATE_SHADOW_NAME"].as_str().unwrap();
        let own = format!("$aws/things/${{!iot:Connection.Thing.ThingName}}/shadow/name/{name}/");
        let mut allowed = BTreeSet::new();
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            for resource in list(&statement["Resource"]) {
                if let Some((kind, rest)) = resource["Fn::Sub"].as_str().unwrap().split_once("$aws/things/") {
                    let (_, kind) = kind.split_once("${AWS::AccountId}:").unwrap();
                    let rest = format!("$aws/things/{rest}");
                    let topic = rest.strip_prefix(&own).unwrap_or_else(|| panic!("{rest} is not its own"));
                    // A subscription is authorized for its filter, all else for its topic.
                    let actions =
                        list(&statement["Action"]).into_iter().map(|action| action.as_str().unwrap());
                    let is_of_kind = |action: &&str| (*action == "iot:Subscribe") == (kind == "topicfilter/");
                    allowed
                        .extend(actions.filter(is_of_kind).map(|action| format!("{action} {kind}{topic}")));
                }
            }
        }
        let expected = [
            "iot:Publish topic/get",
            "iot:Receive topic/get/*",
            "iot:Receive topic/update/delta",
            "iot:Subscribe topicfilter/get/*",
            "iot:Subscribe topicfilter/update/delta",
        ];
        assert_eq!(allowed, expected.map(str::to_owned).into());
    }
}
