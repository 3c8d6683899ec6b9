//! The template: an update changes a stack, and replaces nothing that holds data.

use std::fs;

use serde_json::Value;
use tests::template::read;

use crate::{Recording, upgrade};

/// Types of what holds data or messages, and the properties that CloudFormation cannot change without replacing the
/// resource (AWS CloudFormation Template Reference, "Update requires: Replacement").
const STATEFUL: [(&str, &[&str]); 6] = [
    (
        "AWS::DynamoDB::Table",
        &["TableName", "KeySchema", "LocalSecondaryIndexes", "ImportSourceSpecification"],
    ),
    ("AWS::S3::Bucket", &["BucketName", "BucketNamePrefix", "BucketNamespace", "ObjectLockEnabled"]),
    ("AWS::SQS::Queue", &["QueueName", "FifoQueue"]),
    ("AWS::Kinesis::Stream", &["Name"]),
    ("AWS::Glue::Database", &["CatalogId", "DatabaseName", "DatabaseInput/Name"]),
    ("AWS::Glue::Table", &["CatalogId", "DatabaseName", "TableInput/Name"]),
];

/// Types of what others know by its name, and the property that is the name: devices publish to rules by their names,
/// operators attach policies, scripts invoke functions.
const NAMED: [(&str, &str); 5] = [
    ("AWS::IoT::TopicRule", "RuleName"),
    ("AWS::IoT::Policy", "PolicyName"),
    ("AWS::Serverless::Function", "FunctionName"),
    ("AWS::Athena::WorkGroup", "Name"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
];

/// Parameters that take less than they took, and why an update may be refused.
const NARROWED: [(&str, &str); 1] = [(
    "PayloadIdentityFilter",
    "first levels that the stack uses, and `* ? $`, let devices publish alerts, or on topics of things; a `+` before a text permits what no rule selects; a policy has 2,048 characters",
)];

/// The template of a recording, and the present one.
fn templates(recording: &Recording) -> (Value, Value) {
    let present = fs::read_to_string(upgrade().join("../../template.yaml")).unwrap();
    (read(&recording.text("template.yaml")), read(&present))
}

/// The members of a section, each beside the one of the same name now.
fn compared(recording: &Recording, section: &str) -> Vec<(String, Value, Value)> {
    let (before, now) = templates(recording);
    let entries = before[section].as_object().unwrap().iter();
    entries.map(|(name, entry)| (name.clone(), entry.clone(), now[section][name].clone())).collect()
}

#[test]
fn every_parameter_is_there_and_takes_what_it_took() {
    for recording in Recording::all() {
        for (name, before, now) in compared(&recording, "Parameters") {
            assert!(!now.is_null(), "{name} is gone: `sam deploy` of an owner who sets it fails");
            assert_eq!(before["Type"], now["Type"], "{name}");
            assert_eq!(before["Default"], now["Default"], "{name}: stacks that left it alone would change");
            // A stack keeps its values in an update, and CloudFormation checks them again.
            let values = |parameter: &Value| parameter["AllowedValues"].as_array().cloned();
            match (values(&before), values(&now)) {
                (Some(before), Some(now)) => {
                    assert!(before.iter().all(|value| now.contains(value)), "{name}");
                }
                (None, now) => assert_eq!(now, None, "{name} takes fewer values"),
                (Some(_), None) => {}
            }
            let bound = |parameter: &Value, bound: &str, none: i64| {
                parameter.get(bound).map_or(none, |bound| bound.as_i64().unwrap())
            };
            for least in ["MinValue", "MinLength"] {
                assert!(bound(&now, least, i64::MIN) <= bound(&before, least, i64::MIN), "{least} of {name}");
            }
            let is_narrowed = NARROWED.iter().any(|(narrowed, _)| *narrowed == name);
            for most in ["MaxValue", "MaxLength"] {
                let is_kept = bound(&now, most, i64::MAX) >= bound(&before, most, i64::MAX);
                assert!(is_kept || is_narrowed, "{most} of {name}");
            }
            // Whether one pattern takes what another took cannot be told; that there is none any more takes all.
            let pattern = &now["AllowedPattern"];
            let is_kept = pattern.is_null() || *pattern == before["AllowedPattern"];
            assert!(is_kept != is_narrowed, "the pattern of {name}");
        }
    }
}

#[test]
fn every_new_parameter_has_a_default() {
    for recording in Recording::all() {
        let (before, now) = templates(&recording);
        for (name, parameter) in now["Parameters"].as_object().unwrap() {
            let is_new = before["Parameters"][name].is_null();
            assert!(
                !is_new || !parameter["Default"].is_null(),
                "{name}: `sam deploy` of an owner who never set it fails"
            );
        }
    }
}

#[test]
fn nothing_that_holds_data_is_replaced_or_deleted() {
    for recording in Recording::all() {
        let mut count = 0;
        for (id, before, now) in compared(&recording, "Resources") {
            let Some((_, fixed)) = STATEFUL.iter().find(|(kind, _)| before["Type"] == *kind) else {
                continue;
            };
            count += 1;
            for member in ["Type", "Condition", "DeletionPolicy", "UpdateReplacePolicy"] {
                assert_eq!(before[member], now[member], "{member} of {id}: its data would be lost");
            }
            for path in *fixed {
                let property = |resource: &Value| {
                    path.split('/').fold(resource["Properties"].clone(), |value, name| value[name].clone())
                };
                assert_eq!(
                    property(&before),
                    property(&now),
                    "{path} of {id}: a new one would take its place"
                );
            }
            if before["Type"] == "AWS::DynamoDB::Table" {
                check_table(&id, &before["Properties"], &now["Properties"]);
            }
        }
        assert!(count > 0);
    }
}

/// What DynamoDB does not do to a table in one update.
fn check_table(id: &str, before: &Value, now: &Value) {
    let indexes = |table: &Value| -> Vec<Value> {
        table["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default()
    };
    let (before_indexes, now_indexes) = (indexes(before), indexes(now));
    for index in &before_indexes {
        assert!(
            now_indexes.contains(index),
            "{id}: functions of before still query {index} during the update"
        );
    }
    assert!(now_indexes.len() <= before_indexes.len() + 1, "{id}: one update creates one index");
    let stream = |table: &Value| table["StreamSpecification"]["StreamViewType"].clone();
    if !stream(before).is_null() {
        assert_eq!(
            stream(before),
            stream(now),
            "{id}: another view is another stream, and what waits in this one is lost"
        );
    }
    let types = |table: &Value| table["AttributeDefinitions"].as_array().cloned().unwrap_or_default();
    assert!(types(before).iter().all(|attribute| types(now).contains(attribute)), "{id}");
    let ttl = "TimeToLiveSpecification";
    assert_eq!(before[ttl], now[ttl], "{id}: items that are stored expire by this attribute");
}

#[test]
fn what_others_know_by_name_keeps_its_name() {
    for recording in Recording::all() {
        for (id, before, now) in compared(&recording, "Resources") {
            let Some((_, name)) = NAMED.iter().find(|(kind, _)| before["Type"] == *kind) else { continue };
            assert_eq!(before["Type"], now["Type"], "{id}");
            assert_eq!(before["Properties"][name], now["Properties"][name], "{id}");
        }
        for (name, _, now) in compared(&recording, "Outputs") {
            assert!(
                !now.is_null(),
                "the output {name} is gone: scripts ask for it, and the command of before"
            );
        }
    }
}
