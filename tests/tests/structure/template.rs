//! What `template.yaml` promises whoever deploys it, whatever the parameters.

use std::collections::BTreeSet;

use cloud::presence::BY_NAME_INDEX;
use cloud::quarantine::PREFIX;
use serde_json::{Value, json};
use telemetry::{Envelope, Micros, Reading, Span, pack};

use crate::deployment::{Deployment, arn, list, target_id, variables};

/// The longest that SQS keeps a message, in seconds.
const FOURTEEN_DAYS: i64 = 14 * 86_400;

#[test]
fn nothing_refers_to_what_is_not_deployed() {
    fn check(value: &Value, deployment: &Deployment, place: &str) {
        let is_deployed = |id: &str| deployment.resources.contains_key(id) || id.starts_with("AWS::");
        if let Some(id) = target_id(value) {
            assert!(is_deployed(id), "{place} refers to {id}: {}", deployment.name);
        }
        for variable in value["Fn::Sub"].as_str().into_iter().flat_map(variables) {
            let id = variable.split('.').next().unwrap_or_default();
            assert!(is_deployed(id), "{place} refers to {variable}: {}", deployment.name);
        }
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| check(element, deployment, place)),
            Value::Object(members) => members.values().for_each(|member| check(member, deployment, place)),
            _ => {}
        }
    }
    for deployment in Deployment::all() {
        for (id, entry) in deployment.resources.iter().chain(&deployment.outputs) {
            check(entry, &deployment, id);
        }
    }
}

// ── What fails is kept, and seen ──

/// Queues that hold what somebody has given up: dead letters, failed rule actions, failed invocations.
fn queues_of_failures(deployment: &Deployment) -> BTreeSet<&str> {
    let dead_letters = deployment
        .of_type("AWS::SQS::Queue")
        .map(|(_, queue)| &queue["RedrivePolicy"]["deadLetterTargetArn"]);
    let rules = deployment.of_type("AWS::IoT::TopicRule");
    let errors = rules.map(|(_, rule)| &rule["TopicRulePayload"]["ErrorAction"]["Sqs"]["QueueUrl"]);
    let functions = deployment.of_type("AWS::Serverless::Function");
    let failures = functions
        .map(|(_, function)| &function["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"]);
    let mappings = deployment.of_type("AWS::Lambda::EventSourceMapping");
    let batches = mappings.map(|(_, mapping)| &mapping["DestinationConfig"]["OnFailure"]["Destination"]);
    let targets = dead_letters.chain(errors).chain(failures).chain(batches).filter_map(target_id);
    targets.filter(|id| deployment.resources[*id]["Type"] == "AWS::SQS::Queue").collect()
}

#[test]
fn the_first_message_in_a_queue_of_failures_raises_an_alarm() {
    for deployment in Deployment::all() {
        let queues = queues_of_failures(&deployment);
        assert!(!queues.is_empty(), "{}", deployment.name);
        for id in queues {
            let name = json!([{"Name": "QueueName", "Value": {"Fn::GetAtt": [id, "QueueName"]}}]);
            let is_its_alarm = |alarm: &Value| {
                alarm["Namespace"] == "AWS/SQS"
                    && alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
                    && alarm["Dimensions"] == name
                    && alarm["ComparisonOperator"] == "GreaterThanThreshold"
                    && alarm["Threshold"] == 0
                    && alarm["EvaluationPeriods"] == 1
            };
            let has_alarm =
                deployment.of_type("AWS::CloudWatch::Alarm").any(|(_, alarm)| is_its_alarm(alarm));
            assert!(has_alarm, "no alarm tells of messages in {id}: {}", deployment.name);
            let kept = &deployment.resources[id]["Properties"]["MessageRetentionPeriod"];
            assert_eq!(kept, FOURTEEN_DAYS, "{id} keeps what failed as long as it can");
        }
    }
}

#[test]
fn every_alarm_goes_where_the_operator_says() {
    let topic = "arn:aws:sns:eu-central-1:123456789012:on-call";
    for buffer in ["sqs", "kinesis"] {
        let deployment = Deployment::with(&[("AlarmTopicArn", topic), ("Buffer", buffer)]);
        for (id, alarm) in deployment.of_type("AWS::CloudWatch::Alarm") {
            assert_eq!(alarm["AlarmActions"], json!([topic]), "{id}");
        }
    }
}

#[test]
fn every_function_has_alarms_on_errors_and_throttles() {
    for deployment in Deployment::all() {
        for (id, _) in deployment.of_type("AWS::Serverless::Function") {
            for metric in ["Errors", "Throttles"] {
                let dimensions = json!([{"Name": "FunctionName", "Value": {"Ref": id}}]);
                let has_alarm = deployment
                    .of_type("AWS::CloudWatch::Alarm")
                    .any(|(_, alarm)| alarm["MetricName"] == metric && alarm["Dimensions"] == dimensions);
                assert!(has_alarm, "{id}: {metric}");
            }
        }
    }
}

#[test]
fn every_rule_may_do_what_it_does_and_keeps_what_it_cannot() {
    for deployment in Deployment::all() {
        assert!(deployment.of_type("AWS::IoT::TopicRule").count() >= 2, "{}", deployment.name);
        for (id, rule) in deployment.of_type("AWS::IoT::TopicRule") {
            let rule = &rule["TopicRulePayload"];
            let actions = list(&rule["Actions"]);
            assert_eq!(actions.len(), 1, "{id}: an error action cannot tell which of several actions failed");
            check_action(&deployment, id, actions[0]);
            let error_queue = target_id(&rule["ErrorAction"]["Sqs"]["QueueUrl"]);
            assert!(error_queue.is_some(), "{id} has no error action");
            assert_ne!(error_queue, target_id(&actions[0]["Sqs"]["QueueUrl"]), "{id}");
            check_action(&deployment, id, &rule["ErrorAction"]);
        }
    }
}

/// Asserts that the rule `id` is allowed its action.
fn check_action(deployment: &Deployment, id: &str, action: &Value) {
    let place = format!("{id}: {action} ({})", deployment.name);
    let (kind, action) = action.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "Sqs" => {
            let queue = arn(deployment.target(&action["QueueUrl"]).0);
            assert!(role_allows(deployment, &action["RoleArn"], "sqs:SendMessage", &queue), "{place}");
            assert_eq!(action["UseBase64"], false, "the function reads JSON from SQS: {place}");
        }
        "Kinesis" => {
            let stream = arn(deployment.target(&action["StreamName"]).0);
            assert!(role_allows(deployment, &action["RoleArn"], "kinesis:PutRecord", &stream), "{place}");
            let key = action["PartitionKey"].as_str().unwrap();
            assert!(
                ["${topic(3)}", "${clientid()}"].contains(&key),
                "order is a device's, not a stream's: {place}"
            );
        }
        "Lambda" => {
            let is_permitted = deployment.of_type("AWS::Lambda::Permission").any(|(_, permission)| {
                permission["Principal"] == "iot.amazonaws.com"
                    && permission["FunctionName"] == action["FunctionArn"]
                    && permission["SourceArn"] == arn(id)
            });
            assert!(is_permitted, "{place}");
            let (function_id, function) = deployment.target(&action["FunctionArn"]);
            check_asynchronous(deployment, function_id, function);
        }
        other => panic!("{other} is an action that this test does not know: {place}"),
    }
}

/// A function that is invoked asynchronously loses a message after its retries, unless it has somewhere to put it.
fn check_asynchronous(deployment: &Deployment, id: &str, function: &Value) {
    let config = &function["EventInvokeConfig"];
    assert!(config["MaximumRetryAttempts"].is_i64() && config["MaximumEventAgeInSeconds"].is_i64(), "{id}");
    let destination = &config["DestinationConfig"]["OnFailure"]["Destination"];
    deployment.target(destination);
    assert!(role_allows(deployment, &function["Role"], "sqs:SendMessage", destination), "{id}");
}

#[test]
fn every_event_source_reports_single_failures_and_gives_up_into_safety() {
    for deployment in Deployment::all() {
        let mappings: Vec<_> = deployment.of_type("AWS::Lambda::EventSourceMapping").collect();
        let readers_of = |source: &str| -> Vec<&str> {
            let readers = mappings.iter().filter(|(_, m)| target_id(&m["EventSourceArn"]) == Some(source));
            readers.map(|(_, mapping)| target_id(&mapping["FunctionName"]).unwrap()).collect()
        };
        let of_the_buffer = ["TelemetryQueue", "TelemetryStream"].map(readers_of).concat();
        assert_eq!(of_the_buffer, ["IngestFunction"], "one buffer, one mapping: {}", deployment.name);
        // A stream of a table should have at most two readers.
        assert_eq!(readers_of("ReadingsTable"), ["AlertFunction", "ArchiveFunction"], "{}", deployment.name);
        assert_eq!(readers_of("DevicesTable"), ["ShadowFunction"], "{}", deployment.name);
        assert_eq!(readers_of("ShadowNudgeQueue"), ["ShadowFunction"], "{}", deployment.name);
        for (id, mapping) in mappings {
            assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{id}");
            let (_, function) = deployment.target(&mapping["FunctionName"]);
            let (source_id, source) = deployment.target(&mapping["EventSourceArn"]);
            match deployment.resources[source_id]["Type"].as_str().unwrap() {
                "AWS::SQS::Queue" => check_queue(&deployment, source_id, source, function),
                "AWS::Kinesis::Stream" => {
                    let kept = source["RetentionPeriodHours"].as_i64().unwrap();
                    check_stream(&deployment, id, mapping, kept, function);
                }
                "AWS::DynamoDB::Table" => {
                    assert_eq!(mapping["EventSourceArn"]["Fn::GetAtt"][1], "StreamArn", "{id}");
                    check_stream(&deployment, id, mapping, TABLE_STREAM_HOURS, function);
                    check_reader(&deployment, id, source_id, function);
                }
                other => panic!("{id} reads {other}, which this test does not know"),
            }
        }
        for (id, function) in deployment.of_type("AWS::Serverless::Function") {
            assert!(
                function["Events"].is_null(),
                "{id}: a mapping is a resource of its own, where this test sees it"
            );
        }
    }
}

fn check_queue(deployment: &Deployment, id: &str, queue: &Value, function: &Value) {
    let visibility = queue["VisibilityTimeout"].as_i64().unwrap();
    let timeout = function["Timeout"].as_i64().unwrap();
    assert!(visibility >= 6 * timeout, "{id}: {visibility} s, and the function may take {timeout} s");
    // AWS Lambda Developer Guide, "Using Lambda with Amazon SQS": at least 5, because throttling counts.
    let receives = queue["RedrivePolicy"]["maxReceiveCount"].as_i64().unwrap();
    assert!((5..=1_000).contains(&receives), "{id} gives up after {receives}");
    let (dead_letters, _) = deployment.target(&queue["RedrivePolicy"]["deadLetterTargetArn"]);
    assert_ne!(dead_letters, id);
    for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] {
        assert!(role_allows(deployment, &function["Role"], action, &arn(id)), "{id}: {action}");
    }
}

/// How long a table's stream keeps a change (Amazon DynamoDB Developer Guide, "Change data capture for DynamoDB Streams").
const TABLE_STREAM_HOURS: i64 = 24;

/// Asserts that the function may read the table's stream.
fn check_reader(deployment: &Deployment, id: &str, table: &str, function: &Value) {
    let stream = json!({"Fn::Sub": format!("${{{table}.Arn}}/stream/*")});
    for action in ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"] {
        let action = format!("dynamodb:{action}");
        assert!(role_allows(deployment, &function["Role"], &action, &stream), "{id}: {action}");
    }
}

fn check_stream(deployment: &Deployment, id: &str, mapping: &Value, kept_hours: i64, function: &Value) {
    let retries = mapping["MaximumRetryAttempts"].as_i64().unwrap();
    // -1 leaves it to the age, which is checked next.
    assert!((-1..=10_000).contains(&retries), "{id}: {retries}");
    let age = mapping["MaximumRecordAgeInSeconds"].as_i64().unwrap();
    let kept = kept_hours * 3_600;
    assert!(
        (60..kept).contains(&age),
        "{id} gives a record up after {age} s, and the stream drops it after {kept} s"
    );
    assert_eq!(mapping["BisectBatchOnFunctionError"], true, "{id}");
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON", "{id} skips what arrives while it is set up");
    let (bucket, _) = deployment.target(&mapping["DestinationConfig"]["OnFailure"]["Destination"]);
    assert_eq!(
        deployment.resources[bucket]["Type"], "AWS::S3::Bucket",
        "{id}: only a bucket gets the records themselves"
    );
    let objects = json!({"Fn::Sub": format!("${{{bucket}.Arn}}/aws/lambda/*")});
    assert!(
        role_allows(deployment, &function["Role"], "s3:PutObject", &objects),
        "{id}: where Lambda puts them"
    );
}

// ── What is stored is safe ──

#[test]
fn the_bucket_is_private_encrypted_versioned_and_tidied() {
    for deployment in Deployment::all_on_aws() {
        assert!(deployment.of_type("AWS::S3::Bucket").next().is_some());
        for (id, bucket) in deployment.of_type("AWS::S3::Bucket") {
            for access in
                ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
            {
                assert_eq!(bucket["PublicAccessBlockConfiguration"][access], true, "{id}: {access}");
            }
            let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
            assert!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"].is_string(), "{id}");
            assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled", "{id}");
            let rules = list(&bucket["LifecycleConfiguration"]["Rules"]);
            assert!(rules.iter().all(|rule| rule["Status"] == "Enabled"), "{id}");
            let expires = |prefix: &str| {
                rules.iter().any(|rule| rule["Prefix"] == prefix && !rule["ExpirationInDays"].is_null())
            };
            assert!(expires(PREFIX) && expires("aws/lambda/"), "{id}");
            let drops_old = |rule: &&Value| {
                rule["Prefix"].is_null() && rule["NoncurrentVersionExpiration"]["NoncurrentDays"].is_i64()
            };
            assert!(rules.iter().any(drops_old), "{id}: versions that are replaced stay for ever");
            let refuses_plain_http = |policy: &Value| {
                policy["Bucket"] == json!({"Ref": id})
                    && list(&policy["PolicyDocument"]["Statement"]).into_iter().any(|statement| {
                        statement["Effect"] == "Deny"
                            && statement["Principal"] == "*"
                            && statement["Action"] == "s3:*"
                            && statement["Resource"]
                                == json!([arn(id), {"Fn::Sub": format!("${{{id}.Arn}}/*")}])
                            && statement["Condition"] == json!({"Bool": {"aws:SecureTransport": false}})
                    })
            };
            let has_policy =
                deployment.of_type("AWS::S3::BucketPolicy").any(|(_, policy)| refuses_plain_http(policy));
            assert!(has_policy, "{id} takes plain HTTP");
        }
    }
}

#[test]
fn the_tables_are_encrypted_recoverable_and_what_the_code_expects() {
    let reading = Reading {
        device: telemetry::DeviceId::from_stored("plant-1/pump-7"),
        metric: "x".into(),
        at: Micros(1_795_417_200_000_000),
        received: Micros(1_795_417_200_000_000),
        value: telemetry::Value::Integer(1),
        unit: None,
        quality: telemetry::Quality::Good,
        time_source: telemetry::TimeSource::Device,
    };
    let spans: Vec<Span> = pack(vec![reading]);
    let span: Value = serde_json::from_str(&spans[0].to_item(Some(30)).json).unwrap();
    let key = |table: &Value| -> Vec<String> {
        let names = list(&table["KeySchema"])
            .into_iter()
            .map(|key| key["AttributeName"].as_str().unwrap().to_owned());
        names.collect()
    };
    for deployment in Deployment::all() {
        for (id, table) in deployment.of_type("AWS::DynamoDB::Table") {
            assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{id}");
            assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{id}");
            assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{id}");
            assert_ne!(deployment.resources[id]["DeletionPolicy"], "Delete", "{id}");
            assert_eq!(deployment.resources[id]["UpdateReplacePolicy"], "Retain", "{id}");
        }
        let [readings, devices] = ["ReadingsTable", "DevicesTable"]
            .map(|id| &deployment.resources.get(id).unwrap_or_else(|| panic!("no {id}"))["Properties"]);
        assert_eq!(key(readings), ["device", "span"]);
        assert!(key(readings).iter().all(|name| span[name]["S"].is_string()), "a span has its key: {span}");
        assert_eq!(readings["TimeToLiveSpecification"], json!({"AttributeName": "expires", "Enabled": true}));
        assert!(span["expires"]["N"].is_string(), "a span says when it goes: {span}");
        assert_eq!(readings["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
        assert_eq!(key(devices), ["device"]);
        let indexes = list(&devices["GlobalSecondaryIndexes"]);
        assert_eq!(indexes.len(), 1, "each index is a write more for each device that it shows");
        assert_eq!(
            (&indexes[0]["IndexName"], key(indexes[0])),
            (&json!(BY_NAME_INDEX), vec!["name".to_owned()])
        );
        assert_eq!(indexes[0]["Projection"]["ProjectionType"], "KEYS_ONLY");
        assert_eq!(devices["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    }
}

#[test]
fn queues_and_streams_are_encrypted() {
    for deployment in Deployment::all() {
        for (id, queue) in deployment.of_type("AWS::SQS::Queue") {
            assert_eq!(queue["SqsManagedSseEnabled"], true, "{id}");
        }
        for (id, stream) in deployment.of_type("AWS::Kinesis::Stream") {
            assert_eq!(stream["StreamEncryption"]["EncryptionType"], "KMS", "{id}");
        }
    }
}

// ── Who may do what ──

/// The statements of a role's own policies.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = list(&role["Policies"]).into_iter();
    policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).collect()
}

/// Whether the role that `reference` points to allows `action` on `resource`, by name.
fn role_allows(deployment: &Deployment, reference: &Value, action: &str, resource: &Value) -> bool {
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
                        || is_the_topic_of_alerts(statement, resource);
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

/// The most characters of an AWS IoT policy's document, white space not counted ("AWS IoT Core endpoints and quotas").
const MAX_IOT_POLICY_CHARS: usize = 2_048;

#[test]
fn aws_iot_takes_each_policy() {
    let mut deployments = Deployment::all();
    let longest =
        [("Stage", "sixteenletters16"), ("ShadowName", "telemetry"), ("PayloadIdentityFilter", "iot/+/+/#")];
    deployments.push(Deployment::with(&longest));
    for deployment in deployments {
        for (id, policy) in deployment.of_type("AWS::IoT::Policy") {
            let document = written_out(&policy["PolicyDocument"]).to_string();
            let chars = document.chars().filter(|c| !c.is_whitespace()).count();
            assert!(chars <= MAX_IOT_POLICY_CHARS, "{id} has {chars} characters ({})", deployment.name);
        }
    }
}

/// A value as CloudFormation writes it, with names as long as AWS has them.
fn written_out(value: &Value) -> Value {
    match value {
        Value::Object(members) if members.len() == 1 && members.contains_key("Fn::Sub") => {
            let text = match &members["Fn::Sub"] {
                Value::Array(parts) => {
                    let mut text = parts[0].as_str().unwrap().to_owned();
                    for (name, value) in parts[1].as_object().unwrap() {
                        text = text.replace(&format!("${{{name}}}"), value.as_str().unwrap_or("iot/*/*/*"));
                    }
                    text
                }
                text => text.as_str().unwrap().to_owned(),
            };
            let names = [
                ("${AWS::Partition}", "aws"),
                ("${AWS::Region}", "ap-northeast-1"),
                ("${AWS::AccountId}", "123456789012"),
                ("${!", "${"),
            ];
            json!(names.iter().fold(text, |text, (name, value)| text.replace(name, value)))
        }
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), written_out(value))).collect()
        }
        Value::Array(elements) => elements.iter().map(written_out).collect(),
        other => other.clone(),
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
                "AlertFunction" => &["dynamodb:GetItem", "dynamodb:UpdateItem"],
                _ => &[],
            };
            assert_eq!(actions, expected, "{id}");
        }
    }
}

#[test]
fn a_device_speaks_for_itself_and_to_rules_that_exist() {
    for deployment in Deployment::all() {
        // No device may publish what only the broker says; and an acknowledgement is for whoever hears alerts, too.
        let is_of_devices = |rule: &Value| {
            let filter = Sql::parse(sql_of(rule)).filter;
            !filter.starts_with("$aws/") && !filter.starts_with("alerts/")
        };
        let rules = deployment.of_type("AWS::IoT::TopicRule").filter(|(_, rule)| is_of_devices(rule));
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
                    if let Some((_, rest)) = resource.split_once("$aws/rules/") {
                        named.insert(rest.split('/').next().unwrap().to_owned());
                    }
                    let is_own = resource.contains("/${!iot:Connection.Thing.ThingName}");
                    let may_be_others = statement["Effect"] == "Deny"
                        || statement["Sid"] == "PublishWithIdentityInThePayload";
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
                    allowed.insert(format!("{} {kind}{topic}", statement["Action"].as_str().unwrap()));
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

// ── How it runs ──

#[test]
fn functions_run_on_arm_unless_told_otherwise() {
    let architectures = |deployment: &Deployment| -> Vec<Value> {
        deployment
            .of_type("AWS::Serverless::Function")
            .map(|(_, function)| function["Architectures"].clone())
            .collect()
    };
    for found in architectures(&Deployment::with(&[])) {
        assert_eq!(found, json!(["arm64"]));
    }
    for found in architectures(&Deployment::with(&[("Architecture", "x86_64")])) {
        assert_eq!(found, json!(["x86_64"]));
    }
}

#[test]
fn every_log_is_kept_for_a_while_and_not_for_ever() {
    for deployment in Deployment::all() {
        for (id, function) in deployment.of_type("AWS::Serverless::Function") {
            let (group_id, group) = deployment.target(&function["LoggingConfig"]["LogGroup"]);
            assert!(group["RetentionInDays"].as_i64().is_some_and(|days| days > 0), "{id}");
            for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
                assert!(
                    role_allows(&deployment, &function["Role"], action, &arn(group_id)),
                    "{id}: {action}"
                );
            }
        }
    }
}

// ── Rules ──

/// The SQL of a rule.
fn sql_of(rule: &Value) -> &str {
    rule["TopicRulePayload"]["Sql"].as_str().unwrap()
}

/// `SELECT … FROM '…' [WHERE …]`, taken apart: expressions by alias, filter, condition.
struct Sql<'a> {
    selected: Vec<(&'a str, &'a str)>,
    filter: &'a str,
    condition: Option<&'a str>,
}

impl<'a> Sql<'a> {
    fn parse(sql: &'a str) -> Self {
        let sql = sql.trim();
        let (select, rest) = sql.strip_prefix("SELECT ").unwrap().split_once("FROM ").unwrap();
        let (filter, condition) = match rest.split_once("WHERE ") {
            Some((filter, condition)) => (filter, Some(condition.trim())),
            None => (rest, None),
        };
        let selected = select.split(",\n").map(|column| {
            let (expression, alias) = column.trim().rsplit_once(" AS ").unwrap();
            (alias, expression)
        });
        Self { selected: selected.collect(), filter: filter.trim().trim_matches('\''), condition }
    }
}

/// What AWS IoT puts in place of an expression, for a message of pump-7.
fn evaluated(expression: &str) -> Value {
    match expression {
        "encode(*, 'base64')" => json!("eyJ4IjoxfQ=="),
        "topic()" => json!("dt/plant-1/pump-7/state"),
        "clientid()" => json!("pump-7"),
        "principal()" => json!("a3b1"),
        "timestamp()" => json!(1_795_417_200_250_i64),
        "traceid()" => json!("b5e0c1f0"),
        other => panic!("{other} is an expression that this test does not know"),
    }
}

#[test]
fn every_rule_makes_the_envelope_that_the_functions_read() {
    for deployment in Deployment::all() {
        for (id, rule) in deployment.of_type("AWS::IoT::TopicRule") {
            let version = &rule["TopicRulePayload"]["AwsIotSqlVersion"];
            assert_eq!(version, "2016-03-23", "{id}: encode() needs it");
            let sql = Sql::parse(sql_of(rule));
            let columns =
                sql.selected.iter().map(|(alias, expression)| ((*alias).to_owned(), evaluated(expression)));
            let envelope = Value::Object(columns.collect());
            let text = envelope.to_string();
            let expected = Envelope {
                payload: "eyJ4IjoxfQ==".into(),
                topic: "dt/plant-1/pump-7/state".into(),
                client: Some("pump-7".into()),
                principal: Some("a3b1".into()),
                received: Micros(1_795_417_200_250_000),
                trace: Some("b5e0c1f0".into()),
            };
            assert_eq!(Envelope::parse(&text), Ok(expected), "{id}");
            assert_eq!(sql.selected.len(), 6, "{id} selects what nobody reads: {envelope}");
        }
    }
}

#[test]
fn every_message_on_a_telemetry_topic_is_taken_by_one_rule() {
    for deployment in Deployment::all() {
        let sql = |id: &str| sql_of(&deployment.resources[id]["Properties"]);
        let (telemetry, urgent) = (Sql::parse(sql("TelemetryRule")), Sql::parse(sql("UrgentRule")));
        assert_eq!(telemetry.filter, urgent.filter);
        assert_eq!(telemetry.condition, Some("topic(4) <> 'urgent'"));
        assert_eq!(urgent.condition, Some("topic(4) = 'urgent'"));
    }
}
