//! What `template.yaml` promises whoever deploys it, whatever the parameters.

use std::collections::BTreeSet;

use cloud::presence::BY_NAME_INDEX;
use cloud::quarantine::PREFIX;
use serde_json::{Value, json};
use telemetry::{Micros, Reading, Span, pack};

use crate::deployment::{Deployment, arn, list, target_id, variables};
use crate::permissions::role_allows;

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
            let expected = match id {
                "TelemetryRule" => "${topic(3)}",
                "TelemetryRule2" => "${topic(4)}",
                "SparkplugRule" => "${topic(2)}/${topic(4)}",
                _ => "${clientid()}",
            };
            assert_eq!(key, expected, "order is a device's, or a node's, not a stream's: {place}");
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
        let buffers = ["TelemetryQueue", "TelemetryStream"];
        let buffers = buffers.into_iter().filter(|buffer| deployment.resources.contains_key(*buffer));
        let of_the_buffers: Vec<_> = buffers.map(readers_of).collect();
        assert!(!of_the_buffers.is_empty(), "{}", deployment.name);
        for readers in of_the_buffers {
            assert_eq!(readers, ["IngestFunction"], "one buffer, one mapping: {}", deployment.name);
        }
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
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: telemetry::TimeSource::Device,
        correction: None,
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
