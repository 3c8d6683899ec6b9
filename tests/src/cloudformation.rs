//! CloudFormation's intrinsic functions, as far as the template uses them.
//!
//! Source: AWS CloudFormation User Guide, "Intrinsic function reference". An end-to-end test compares what this makes of
//! policies and rules with what the local cloud has deployed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What CloudFormation says of an account; the longest names that AWS has.
pub const ACCOUNT: [(&str, &str); 3] =
    [("AWS::Partition", "aws-us-gov"), ("AWS::Region", "us-gov-west-1"), ("AWS::AccountId", "123456789012")];

/// A template with values for its parameters: conditions decided, functions resolved.
#[derive(Debug, Clone)]
pub struct Resolver<'a> {
    template: &'a Value,
    values: BTreeMap<String, Value>,
}

impl<'a> Resolver<'a> {
    /// `template` as JSON with these parameters; the others have their defaults. Pseudo parameters stay as they are.
    ///
    /// # Panics
    /// If the template does not have one of the parameters.
    pub fn new(template: &'a Value, parameters: &[(&str, &str)]) -> Self {
        let declared = template["Parameters"].as_object().unwrap();
        let defaults = declared.iter().map(|(name, parameter)| (name.clone(), parameter["Default"].clone()));
        let mut values: BTreeMap<String, Value> = defaults.collect();
        for (name, value) in parameters {
            let is_declared = values.insert((*name).to_owned(), json!(value)).is_some();
            assert!(is_declared, "the template has no parameter {name}");
        }
        Self { template, values }
    }

    /// The same, with pseudo parameters resolved, such as [`ACCOUNT`].
    #[must_use]
    pub fn in_account(mut self, pseudo: &[(&str, &str)]) -> Self {
        self.values.extend(pseudo.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        self
    }

    /// Whether a resource or an output is deployed.
    pub fn is_deployed(&self, entry: &Value) -> bool {
        entry.get("Condition").is_none_or(|name| self.holds(name.as_str().unwrap()))
    }

    /// Whether the condition of this name holds.
    ///
    /// # Panics
    /// If there is none.
    pub fn holds(&self, condition: &str) -> bool {
        let conditions = &self.template["Conditions"];
        self.decide(conditions.get(condition).unwrap_or_else(|| panic!("no condition {condition}")))
    }

    fn decide(&self, condition: &Value) -> bool {
        let (function, argument) = single(condition).unwrap();
        match function {
            "Condition" => self.holds(argument.as_str().unwrap()),
            "Fn::Not" => !self.decide(&argument[0]),
            "Fn::And" => parts(argument).iter().all(|part| self.decide(part)),
            "Fn::Or" => parts(argument).iter().any(|part| self.decide(part)),
            "Fn::Equals" => self.resolve(&argument[0]) == self.resolve(&argument[1]),
            other => panic!("{other} decides nothing"),
        }
    }

    /// The value as deployed; `None` for `AWS::NoValue`.
    ///
    /// # Panics
    /// If CloudFormation would refuse the template.
    pub fn resolve(&self, value: &Value) -> Option<Value> {
        if let Some((function, argument)) = single(value) {
            match function {
                "Ref" if argument == "AWS::NoValue" => return None,
                "Ref" => {
                    let known = argument.as_str().and_then(|name| self.values.get(name));
                    return Some(known.unwrap_or(value).clone());
                }
                "Fn::If" => {
                    let branch = if self.holds(argument[0].as_str().unwrap()) { 1 } else { 2 };
                    return self.resolve(&argument[branch]);
                }
                "Fn::Sub" => return Some(self.substitute(argument)),
                "Fn::Join" => return Some(self.join(argument)),
                "Fn::Split" => return Some(self.split(argument)),
                "Fn::Select" => {
                    let list = self.resolve(&argument[1]).unwrap();
                    let index = usize::try_from(argument[0].as_u64().unwrap()).unwrap();
                    let element = list.as_array().unwrap().get(index);
                    return Some(
                        element.unwrap_or_else(|| panic!("nothing stands at {index} of {list}")).clone(),
                    );
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

    fn join(&self, argument: &Value) -> Value {
        let parts = self.resolve(&argument[1]).unwrap();
        let parts: Vec<&str> = parts.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        json!(parts.join(argument[0].as_str().unwrap()))
    }

    /// A text that has variables yet is split into such texts.
    fn split(&self, argument: &Value) -> Value {
        let source = self.resolve(&argument[1]).unwrap();
        let is_open = source.get("Fn::Sub").is_some();
        let text = if is_open { &source["Fn::Sub"] } else { &source };
        let parts = text.as_str().unwrap().split(argument[0].as_str().unwrap());
        if is_open { parts.map(as_text).collect() } else { parts.collect() }
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
            let value = match known.or_else(|| self.values.get(name).cloned()) {
                Some(Value::String(value)) => value,
                Some(Value::Number(value)) => value.to_string(),
                Some(other) => panic!("{name} is {other}, no text"),
                None => continue,
            };
            // What is put in is not looked at again.
            text = text.replace(&format!("${{{name}}}"), &value.replace("${", "${!"));
        }
        as_text(&text)
    }
}

/// The parts of `Fn::And` and `Fn::Or`, of which CloudFormation takes 2 to 10.
fn parts(argument: &Value) -> &[Value] {
    let parts = argument.as_array().unwrap();
    assert!((2..=10).contains(&parts.len()), "{} parts of a condition: {argument}", parts.len());
    parts
}

/// A text for `Fn::Sub`; as a text, where it has no variables.
fn as_text(text: &str) -> Value {
    let is_known = variables(text).next().is_none();
    if is_known { json!(text.replace("${!", "${")) } else { json!({ "Fn::Sub": text }) }
}

/// What stands between `${` and `}` in a text for `Fn::Sub`; `${!…}` is left to whoever reads the result.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("${").skip(1).filter_map(|part| part.split_once('}'));
    parts.map(|(name, _)| name).filter(|name| !name.starts_with('!'))
}

/// The only member of an object that has one: an intrinsic function and its argument, if it is one.
fn single(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, argument)| (name.as_str(), argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(function: &Value, expected: impl Into<Option<Value>>) {
        let template = json!({
            "Parameters": {"Text": {"Default": "a/{b}/c"}, "Empty": {"Default": ""}},
            "Conditions": {
                "IsText": {"Fn::Equals": [{"Ref": "Text"}, {"Fn::Join": ["/", ["a", "{b}", "c"]]}]},
                "IsEmpty": {"Fn::And": [{"Condition": "IsText"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Empty"}, ""]}]}]},
            },
        });
        let resolved = Resolver::new(&template, &[]).in_account(&ACCOUNT).resolve(function);
        assert_eq!(resolved, expected.into(), "{function}");
    }

    #[test]
    fn functions_are_resolved_as_cloudformation_does() {
        let split = json!({"Fn::Split": ["/", {"Ref": "Text"}]});
        check(&split, json!(["a", "{b}", "c"]));
        check(&json!({"Fn::Split": ["?", {"Ref": "Text"}]}), json!(["a/{b}/c"]));
        check(&json!({"Fn::Split": ["/", {"Ref": "Empty"}]}), json!([""]));
        check(&json!({"Fn::Select": [2, split]}), json!("c"));
        check(&json!({"Fn::Join": ["+", {"Fn::Split": ["{b}", {"Ref": "Text"}]}]}), json!("a/+/c"));
        check(&json!({"Fn::If": ["IsText", "yes", "no"]}), json!("yes"));
        check(&json!({"Fn::If": ["IsEmpty", "yes", {"Ref": "AWS::NoValue"}]}), None);
        check(&json!([1, {"Ref": "AWS::NoValue"}, 2]), json!([1, 2]));
        check(
            &json!({"Fn::Sub": "${Text} ${!Text} ${AWS::AccountId}"}),
            json!("a/{b}/c ${Text} 123456789012"),
        );
        // What is put in is not substituted again.
        check(&json!({"Fn::Sub": ["${X}", {"X": "${Text}"}]}), json!("${Text}"));
        check(&json!({"Fn::Sub": "${Queue.Arn}/${Text}"}), json!({"Fn::Sub": "${Queue.Arn}/a/{b}/c"}));
        check(
            &json!({"Fn::Split": [" ", {"Fn::Sub": "${Queue.Arn} ${Text}"}]}),
            json!([{"Fn::Sub": "${Queue.Arn}"}, "a/{b}/c"]),
        );
    }
}
