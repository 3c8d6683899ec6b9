//! The template as CloudFormation would deploy it: its YAML, with parameters put in and conditions decided.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tests::cloudformation::Resolver;
pub(crate) use tests::cloudformation::variables;

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
        let resolver = Resolver::new(&TEMPLATE, parameters);
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

    /// Every way in which the switches of the template can stand: buffer, topics and layouts that are opted into, AWS or local.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for buffer in ["sqs", "kinesis"] {
            for (filter, sparkplug, client, layout, ignored) in [
                ("", "", "match", "", ""),
                ("iot/+/data/#", "spBv1.0/#", "any", "f/{site}/{prefix}/{device}/{stream}", "f/bridge/#"),
            ] {
                for on_aws in ["true", "false"] {
                    all.push(Self::with(&[
                        ("Buffer", buffer),
                        ("PayloadIdentityFilter", filter),
                        ("SparkplugFilter", sparkplug),
                        ("ClientId", client),
                        ("Layout2", layout),
                        ("Layout2Ignore", ignored),
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
