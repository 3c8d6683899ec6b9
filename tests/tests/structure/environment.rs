//! The template's environment variables and the registry that the functions read.

use std::collections::{BTreeMap, BTreeSet};

use cloud::config::{Config, REGISTRY};
use serde_json::Value;

use crate::deployment::{Deployment, TEMPLATE};

/// Variables that libraries read, before `main` or behind its back; the code knows nothing of them.
const OF_LIBRARIES: [&str; 1] = ["MIMALLOC_ALLOW_THP"];

/// The environment of each function, by logical id, without what is a library's. What is known only
/// once it is deployed stands as `(deployed)`.
fn environments(deployment: &Deployment) -> BTreeMap<&str, BTreeMap<String, String>> {
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
    deployment.of_type("AWS::Serverless::Function").map(|(id, function)| (id, variables(function))).collect()
}

#[test]
fn the_template_sets_the_variables_of_the_registry() {
    let known: BTreeSet<&str> = REGISTRY.iter().map(|variable| variable.name).collect();
    for deployment in Deployment::all() {
        let mut set_somewhere = BTreeSet::new();
        for (id, environment) in environments(&deployment) {
            let set: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
            let unknown: Vec<_> = set.difference(&known).collect();
            assert!(unknown.is_empty(), "{id} is given what nobody reads: {unknown:?}");
            for variable in REGISTRY.iter().filter(|variable| variable.default.is_none()) {
                assert!(set.contains(variable.name), "{id} is not given {}", variable.name);
            }
            set_somewhere.extend(environment.into_keys());
        }
        let set_somewhere: BTreeSet<&str> = set_somewhere.iter().map(String::as_str).collect();
        assert_eq!(
            set_somewhere, known,
            "a variable that the template does not set cannot be set by who deploys it"
        );
    }
}

#[test]
fn parameters_and_registry_have_the_same_defaults() {
    for environment in environments(&Deployment::with(&[])).into_values() {
        for variable in REGISTRY {
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
        ("PayloadIdentityFilter".into(), "legacy/+/up".into()),
        ("Stage".into(), "production1".into()),
    ];
    for (name, parameter) in TEMPLATE["Parameters"].as_object().unwrap() {
        let values = ["AllowedValues", "MinValue", "MaxValue"].map(|limit| parameter[limit].clone());
        for value in values.iter().flat_map(crate::deployment::list) {
            choices.push((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    for (name, value) in choices {
        for environment in environments(&Deployment::with(&[(&name, &value)])).into_values() {
            let config = Config::from_lookup(|variable| environment.get(variable).cloned());
            assert!(config.is_ok(), "{name} = {value}: {config:?}");
        }
    }
}
