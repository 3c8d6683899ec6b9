//! The template as CloudFormation would deploy it: its YAML, with parameters put in and conditions decided.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::read;

/// `template.yaml` as JSON, its short tags in the long form (`!GetAtt A.B` as `{"Fn::GetAtt": ["A", "B"]}`).
pub(crate) static TEMPLATE: LazyLock<Value> = LazyLock::new(|| tests::template::read(&read("template.yaml")));

/// One choice of parameters, and what it deploys.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// The parameters that are not at their defaults.
    pub(crate) name: String,
    /// Resources by logical id, those whose condition does not hold left out.
    pub(crate) resources: BTreeMap<String, Value>,
    /// Outputs, likewise.
    pub(crate) outputs: BTreeMap<String, Value>,
}

impl Deployment {
    /// What these parameters deploy; the others have their defaults.
    pub(crate) fn with(parameters: &[(&str, &str)]) -> Self {
        let resolver = Resolver::new(parameters);
        let deployed = |section: &str| -> BTreeMap<String, Value> {
            let entries = TEMPLATE[section].as_object().unwrap().iter();
            let entries = entries.filter(|(_, entry)| resolver.is_deployed(entry));
            entries.map(|(id, entry)| (id.clone(), resolver.resolve(entry).unwrap())).collect()
        };
        let mut resources = deployed("Resources");
        let of_all_functions = resolver.resolve(&TEMPLATE["Globals"]["Function"]).unwrap();
        for resource in
            resources.values_mut().filter(|resource| resource["Type"] == "AWS::Serverless::Function")
        {
            for (property, value) in of_all_functions.as_object().unwrap() {
                let own = resource["Properties"].as_object_mut().unwrap();
                own.entry(property.clone()).or_insert_with(|| value.clone());
            }
        }
        Self { name: format!("{parameters:?}"), resources, outputs: deployed("Outputs") }
    }

    /// Every way in which the switches of the template can stand: buffer, topics that are opted into, AWS or local.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for buffer in ["sqs", "kinesis"] {
            for (filter, sparkplug) in [("", ""), ("iot/+/data/#", "spBv1.0/#")] {
                for on_aws in ["true", "false"] {
                    all.push(Self::with(&[
                        ("Buffer", buffer),
                        ("PayloadIdentityFilter", filter),
                        ("SparkplugFilter", sparkplug),
                        ("OnAws", on_aws),
                    ]));
                }
            }
        }
        all
    }

    /// As [`Self::all`], on AWS only.
    pub(crate) fn all_on_aws() -> Vec<Self> {
        Self::all()
            .into_iter()
            .filter(|deployment| deployment.name.contains(r#"("OnAws", "true")"#))
            .collect()
    }

    /// Logical ids and properties of the resources of one type, such as `AWS::SQS::Queue`.
    pub(crate) fn of_type<'a>(
        &'a self,
        resource_type: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let resources = self.resources.iter().filter(move |(_, resource)| resource["Type"] == resource_type);
        resources.map(|(id, resource)| (id.as_str(), &resource["Properties"]))
    }

    /// The properties of the resource that `reference` (a `Ref` or `GetAtt`) points to.
    pub(crate) fn target(&self, reference: &Value) -> (&str, &Value) {
        let id = target_id(reference).unwrap_or_else(|| panic!("{reference} is no reference: {}", self.name));
        let found = self.resources.get_key_value(id);
        let (id, resource) = found.unwrap_or_else(|| panic!("{id} is not deployed: {}", self.name));
        (id, &resource["Properties"])
    }
}

/// The logical id in `{"Ref": id}` or `{"Fn::GetAtt": [id, …]}`.
pub(crate) fn target_id(reference: &Value) -> Option<&str> {
    reference["Ref"].as_str().or_else(|| reference["Fn::GetAtt"][0].as_str())
}

/// `{"Fn::GetAtt": [id, "Arn"]}`.
pub(crate) fn arn(id: &str) -> Value {
    json!({ "Fn::GetAtt": [id, "Arn"] })
}

/// A list, or the one value that stands for a list of it.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(elements) => elements.iter().collect(),
        one => vec![one],
    }
}

/// What stands between `${` and `}` in a text for `Fn::Sub`; `${!…}` is left to whoever reads the result.
pub(crate) fn variables(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("${").skip(1).filter_map(|part| part.split_once('}'));
    parts.map(|(name, _)| name).filter(|name| !name.starts_with('!'))
}

/// Puts parameters in and decides conditions.
struct Resolver {
    parameters: BTreeMap<String, Value>,
}

impl Resolver {
    fn new(parameters: &[(&str, &str)]) -> Self {
        let declared = TEMPLATE["Parameters"].as_object().unwrap();
        let defaults = declared.iter().map(|(name, parameter)| (name.clone(), parameter["Default"].clone()));
        let mut values: BTreeMap<String, Value> = defaults.collect();
        for (name, value) in parameters {
            let is_declared = values.insert((*name).to_owned(), json!(value)).is_some();
            assert!(is_declared, "the template has no parameter {name}");
        }
        Self { parameters: values }
    }

    fn is_deployed(&self, entry: &Value) -> bool {
        entry.get("Condition").is_none_or(|name| self.holds(name.as_str().unwrap()))
    }

    fn holds(&self, condition: &str) -> bool {
        self.decide(
            TEMPLATE["Conditions"].get(condition).unwrap_or_else(|| panic!("no condition {condition}")),
        )
    }

    fn decide(&self, condition: &Value) -> bool {
        let (function, argument) = single(condition).unwrap();
        match function {
            "Condition" => self.holds(argument.as_str().unwrap()),
            "Fn::Not" => !self.decide(&argument[0]),
            "Fn::And" => list(argument).into_iter().all(|part| self.decide(part)),
            "Fn::Or" => list(argument).into_iter().any(|part| self.decide(part)),
            "Fn::Equals" => self.resolve(&argument[0]) == self.resolve(&argument[1]),
            other => panic!("{other} decides nothing"),
        }
    }

    /// The value as deployed; `None` for `AWS::NoValue`.
    fn resolve(&self, value: &Value) -> Option<Value> {
        if let Some((function, argument)) = single(value) {
            match function {
                "Ref" if argument == "AWS::NoValue" => return None,
                "Ref" => {
                    let parameter = argument.as_str().and_then(|name| self.parameters.get(name));
                    return Some(parameter.unwrap_or(value).clone());
                }
                "Fn::If" => {
                    let branch = if self.holds(argument[0].as_str().unwrap()) { 1 } else { 2 };
                    return self.resolve(&argument[branch]);
                }
                "Fn::Sub" => return Some(self.substitute(argument)),
                "Fn::Join" => {
                    let parts = self.resolve(&argument[1])?;
                    let parts: Vec<&str> =
                        list(&parts).into_iter().map(|part| part.as_str().unwrap()).collect();
                    return Some(json!(parts.join(argument[0].as_str().unwrap())));
                }
                "Fn::Split" => {
                    let text = self.resolve(&argument[1])?;
                    let parts = text.as_str().unwrap().split(argument[0].as_str().unwrap());
                    return Some(parts.collect());
                }
                _ => {}
            }
        }
        Some(match value {
            Value::Array(elements) => elements.iter().filter_map(|element| self.resolve(element)).collect(),
            Value::Object(members) => {
                let members =
                    members.iter().filter_map(|(name, member)| Some((name.clone(), self.resolve(member)?)));
                Value::Object(members.collect::<Map<String, Value>>())
            }
            scalar => scalar.clone(),
        })
    }

    /// `Fn::Sub`, as far as its variables are known: a text, or a `Fn::Sub` with the variables that are left.
    fn substitute(&self, argument: &Value) -> Value {
        let (text, own) = match argument {
            Value::Array(parts) => (&parts[0], &parts[1]),
            text => (text, &Value::Null),
        };
        let mut text = text.as_str().unwrap().to_owned();
        for name in variables(&text.clone()) {
            let known = own.get(name).and_then(|value| self.resolve(value));
            let value = match known.or_else(|| self.parameters.get(name).cloned()) {
                Some(Value::String(value)) => value,
                Some(Value::Number(value)) => value.to_string(),
                Some(other) => panic!("{name} is {other}, no text"),
                None => continue,
            };
            // What is put in is not looked at again.
            text = text.replace(&format!("${{{name}}}"), &value.replace("${", "${!"));
        }
        let is_known = variables(&text).next().is_none();
        if is_known { json!(text.replace("${!", "${")) } else { json!({ "Fn::Sub": text }) }
    }
}

/// The only member of an object that has one: an intrinsic function and its argument, if it is one.
fn single(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, argument)| (name.as_str(), argument))
}
