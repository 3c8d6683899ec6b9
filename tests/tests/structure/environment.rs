//! The template's environment variables and the registry that the functions read.

use std::collections::{BTreeMap, BTreeSet};

use cloud::config::{
    AlertConfig, ArchiveConfig, CompactConfig, Configuration as _, IngestConfig, PresenceConfig, REGISTRY,
    ShadowConfig, Variable,
};
use serde_json::Value;

use crate::deployment::{Deployment, TEMPLATE};

/// Variables that libraries read, before `main` or behind its back; the code knows nothing of them.
const OF_LIBRARIES: [&str; 1] = ["MIMALLOC_ALLOW_THP"];

/// The environment of each function, by the function's name, without what is a library's. What is known only
/// once it is deployed stands as `(deployed)`.
fn environments(deployment: &Deployment) -> BTreeMap<String, BTreeMap<String, String>> {
    let value = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => "(deployed)".to_owned(),
    };
    let variables = |function: &Value| {
        let variables = function["Environment"]["Variables"].as_object().unwrap().iter();
        let variables = variables.filter(|(name, _)| !OF_LIBRARIES.contains(&name.as_str()));
        variables.map(|(name, text)| (name.clone(), value(text))).collect()
    };
    let name = |function: &Value| function["CodeUri"].as_str().unwrap().replace("functions/", "");
    let functions = deployment.of_type("AWS::Serverless::Function");
    functions.map(|(_, function)| (name(function), variables(function))).collect()
}

#[test]
fn the_template_sets_the_variables_of_the_registry() {
    for deployment in Deployment::all() {
        let environments = environments(&deployment);
        for variable in REGISTRY {
            for function in variable.functions {
                assert!(environments.contains_key(*function), "{} is read by {function}", variable.name);
            }
        }
        for (function, environment) in environments {
            let set: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
            let is_read = |variable: &&Variable| variable.functions.contains(&function.as_str());
            let read: BTreeSet<&str> =
                REGISTRY.iter().filter(is_read).map(|variable| variable.name).collect();
            assert_eq!(set, read, "{function}: what the template sets, and what it reads");
        }
    }
}

#[test]
fn variables_are_texts() {
    fn has_number(value: &Value) -> bool {
        match value {
            Value::Number(_) => true,
            Value::Array(elements) => elements.iter().any(has_number),
            Value::Object(members) => members.values().any(has_number),
            _ => false,
        }
    }
    for (id, resource) in TEMPLATE["Resources"].as_object().unwrap() {
        let variables = resource["Properties"]["Environment"]["Variables"].as_object();
        for (name, value) in variables.into_iter().flatten() {
            // CloudFormation makes a text of a number; the local cloud cannot start a function with one.
            assert!(!has_number(value), "{id}: {name} is {value}");
        }
    }
}

#[test]
fn parameters_and_registry_have_the_same_defaults() {
    for (function, environment) in environments(&Deployment::with(&[])) {
        for variable in REGISTRY.iter().filter(|variable| variable.functions.contains(&function.as_str())) {
            if let Some(default) = variable.default {
                assert_eq!(environment[variable.name], default, "{}", variable.name);
            }
        }
    }
}

#[test]
fn every_value_that_a_parameter_allows_starts_the_functions() {
    let mut choices: Vec<(String, String)> = vec![
        ("PayloadIdentityFilter".into(), "iot/#".into()),
        ("PayloadIdentityFilter".into(), "legacy/+/#".into()),
        ("Stage".into(), "production1".into()),
        ("Layout".into(), "N/{device}/{metric...}".into()),
        ("Layout2".into(), "factory/{site}/{prefix}/{device}/{metric}".into()),
        ("Layout3".into(), "zigbee2mqtt/{device}".into()),
        ("LayoutSite".into(), "plant-1".into()),
        ("LayoutIgnore".into(), "tele/+/STATE".into()),
        ("Layout2Ignore".into(), "shellies/announce".into()),
        ("Layout3Ignore".into(), "zigbee2mqtt/bridge/#".into()),
    ];
    for (name, parameter) in TEMPLATE["Parameters"].as_object().unwrap() {
        let values = ["AllowedValues", "MinValue", "MaxValue"].map(|limit| parameter[limit].clone());
        for value in values.iter().flat_map(crate::deployment::list) {
            choices.push((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    for (name, value) in choices {
        for (function, environment) in environments(&Deployment::with(&[(&name, &value)])) {
            let lookup = |variable: &str| environment.get(variable).cloned();
            let problem = match function.as_str() {
                "ingest" => IngestConfig::from_lookup(lookup).err(),
                "archive" => ArchiveConfig::from_lookup(lookup).err(),
                "compact" => CompactConfig::from_lookup(lookup).err(),
                "shadow" => ShadowConfig::from_lookup(lookup).err(),
                "presence" => PresenceConfig::from_lookup(lookup).err(),
                "alert" => AlertConfig::from_lookup(lookup).err(),
                other => panic!("{other} has no configuration"),
            };
            assert_eq!(problem, None, "{function}, {name} = {value}");
        }
    }
}
