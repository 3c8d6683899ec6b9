//! What AWS IoT Core makes of policies and rules, as far as the template uses them.
//!
//! Source: AWS IoT Core Developer Guide, "AWS IoT Core policies", "AWS IoT SQL reference", "Basic Ingest". The local cloud does not
//! know the attributes of things in policies, and takes publishes that no rule selects as AWS does: in silence.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::Value;

/// The prefix of topics that reach one rule, around the broker.
const BASIC_INGEST: &str = "$aws/rules/";

/// Who connects: a thing with its certificate.
#[derive(Debug, Clone)]
pub struct Thing {
    /// Its name, which is its client id.
    pub name: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

impl Thing {
    /// A thing with the attribute `site`.
    pub fn at(site: &str, name: &str) -> Self {
        Self { name: name.to_owned(), attributes: [("site".to_owned(), site.to_owned())].into() }
    }

    /// The value of a policy variable; `None` if it has none.
    ///
    /// # Panics
    /// If it is a variable that no policy of the template has.
    fn variable(&self, name: &str) -> Option<&str> {
        match name {
            "iot:Connection.Thing.ThingName" | "iot:ClientId" => Some(&self.name),
            "iot:Connection.Thing.IsAttached" => Some("true"),
            _ => {
                let attribute = name.strip_prefix("iot:Connection.Thing.Attributes[");
                let attribute = attribute.and_then(|rest| rest.strip_suffix(']'));
                let attribute = attribute.unwrap_or_else(|| panic!("{name} is no variable of AWS IoT"));
                self.attributes.get(attribute).map(String::as_str)
            }
        }
    }
}

/// One statement of a policy.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Whether it refuses what it matches, whatever else allows it.
    pub is_deny: bool,
    /// Its actions, such as `iot:Publish`.
    pub actions: Vec<String>,
    /// Its resources, with wildcards and variables.
    pub resources: Vec<String>,
    condition: Value,
}

/// A policy's document.
#[derive(Debug, Clone)]
pub struct Policy(pub Vec<Statement>);

impl Policy {
    /// Reads a document whose functions CloudFormation has resolved.
    ///
    /// # Panics
    /// If it is none.
    pub fn read(document: &Value) -> Self {
        let texts = |value: &Value| match value {
            Value::String(one) => vec![one.clone()],
            several => {
                several.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
            }
        };
        let statements = document["Statement"].as_array().unwrap().iter();
        Self(
            statements
                .map(|statement| Statement {
                    is_deny: match statement["Effect"].as_str().unwrap() {
                        "Allow" => false,
                        "Deny" => true,
                        other => panic!("{other} is no effect"),
                    },
                    actions: texts(&statement["Action"]),
                    resources: texts(&statement["Resource"]),
                    condition: statement["Condition"].clone(),
                })
                .collect(),
        )
    }

    /// Whether `thing` may do `action` to what `resource` names after the account: `topic/dt/plant-1/pump-7/state`.
    /// What nothing allows is refused, and so is what anything denies.
    pub fn allows(&self, thing: &Thing, action: &str, resource: &str) -> bool {
        let matches = |statement: &&Statement| statement.matches(thing, action, resource);
        let mut matching = self.0.iter().filter(matches).peekable();
        matching.peek().is_some() && matching.all(|statement| !statement.is_deny)
    }

    /// Whether a statement refuses `thing` to publish on `topic`, whatever other policies allow.
    pub fn refuses_publish(&self, thing: &Thing, topic: &str) -> bool {
        let resource = format!("topic/{topic}");
        let mut denies = self.0.iter().filter(|statement| statement.is_deny);
        denies.any(|statement| statement.matches(thing, "iot:Publish", &resource))
    }

    /// Whether `thing` may publish on `topic`.
    pub fn may_publish(&self, thing: &Thing, topic: &str) -> bool {
        self.allows(thing, "iot:Publish", &format!("topic/{topic}"))
    }
}

impl Statement {
    fn matches(&self, thing: &Thing, action: &str, resource: &str) -> bool {
        self.actions.iter().any(|known| known == action)
            && self.resources.iter().any(|pattern| matches(of_account(pattern), resource, thing))
            && holds(&self.condition, thing)
    }
}

/// What stands after the account's number in an ARN.
pub fn of_account(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or_else(|| panic!("{arn} is no ARN"))
}

/// Conditions as far as the template has them.
fn holds(condition: &Value, thing: &Thing) -> bool {
    let Some(operators) = condition.as_object() else { return true };
    operators.iter().all(|(operator, keys)| {
        assert_eq!(operator, "Bool", "an operator that this simulator does not know");
        keys.as_object().unwrap().iter().all(|(key, expected)| {
            let expected = expected
                .as_bool()
                .map_or_else(|| expected.as_str().unwrap().to_owned(), |flag| flag.to_string());
            thing.variable(key) == Some(&expected)
        })
    })
}

/// A part of a pattern.
enum Part {
    /// `*`: any number of characters, slashes among them.
    Any,
    /// `?`: one character, of any kind.
    One,
    /// A character that stands for itself, `+` and `#` among them.
    Itself(char),
}

/// Whether a resource matches a pattern. A variable that has no value matches nothing; one that has is taken literally.
fn matches(pattern: &str, text: &str, thing: &Thing) -> bool {
    let literal = [pattern.find("${"), pattern.find(['*', '?'])].into_iter().flatten().min();
    if !text.starts_with(&pattern[..literal.unwrap_or(pattern.len())]) {
        return false;
    }
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        if let Some((name, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            let Some(value) = thing.variable(name) else { return false };
            parts.extend(value.chars().map(Part::Itself));
            rest = after;
            continue;
        }
        parts.push(match character {
            '*' => Part::Any,
            '?' => Part::One,
            character => Part::Itself(character),
        });
        rest = &rest[character.len_utf8()..];
    }
    let text: Vec<char> = text.chars().collect();
    let (mut part, mut at) = (0, 0);
    // The last star, and where the text goes on after what it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match parts.get(part) {
            Some(Part::Any) => {
                star = Some((part, at));
                part += 1;
            }
            Some(Part::One) => (part, at) = (part + 1, at + 1),
            Some(Part::Itself(character)) if *character == text[at] => (part, at) = (part + 1, at + 1),
            _ => match star {
                Some((place, after)) => {
                    star = Some((place, after + 1));
                    (part, at) = (place + 1, after + 1);
                }
                None => return false,
            },
        }
    }
    parts[part..].iter().all(|part| matches!(part, Part::Any))
}

/// Whether a filter's closing `#` matches the level before it: MQTT says so, and AWS's documents do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// `a/#` matches `a`.
    Matched,
    /// It does not.
    Passed,
}

/// A rule that selects messages.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, which Basic Ingest uses.
    pub name: String,
    /// The filter after `FROM`.
    pub filter: String,
    condition: Option<String>,
}

impl Rule {
    /// Reads a rule whose functions CloudFormation has resolved.
    ///
    /// # Panics
    /// If its SQL has no `FROM`.
    pub fn read(properties: &Value) -> Self {
        let sql = properties["TopicRulePayload"]["Sql"].as_str().unwrap();
        let (_, rest) = sql.split_once("FROM '").unwrap();
        let (filter, rest) = rest.split_once('\'').unwrap();
        let condition = rest.trim().strip_prefix("WHERE ").map(str::to_owned);
        assert!(condition.is_some() || rest.trim().is_empty(), "{rest} after FROM");
        Self {
            name: properties["RuleName"].as_str().unwrap().to_owned(),
            filter: filter.to_owned(),
            condition,
        }
    }

    /// Whether it selects a message that was published on `topic`. On a topic of Basic Ingest only the rule that it
    /// names can, and only where its `FROM` matches the rest.
    ///
    /// # Panics
    /// If its condition has an expression that this simulator does not know.
    pub fn selects(&self, topic: &str, parent: Parent) -> bool {
        let topic = match topic.strip_prefix(BASIC_INGEST).and_then(|rest| rest.split_once('/')) {
            Some((name, topic)) if name == self.name => topic,
            Some(_) => return false,
            None => topic,
        };
        filter_matches(&self.filter, topic, parent)
            && self.condition.as_deref().is_none_or(|condition| decide(condition, topic) == Some(true))
    }
}

/// Whether a topic filter matches a topic.
pub fn filter_matches(filter: &str, topic: &str, parent: Parent) -> bool {
    let mut levels = topic.split('/');
    for pattern in filter.split('/') {
        match (pattern, levels.next()) {
            ("#", level) => return level.is_some() || parent == Parent::Matched,
            ("+", Some(_)) => {}
            (pattern, Some(level)) if pattern == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A condition of SQL; `None` where it is undefined.
fn decide(condition: &str, topic: &str) -> Option<bool> {
    if let Some((left, right)) = condition.split_once(" OR ") {
        return match (decide(left, topic), decide(right, topic)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
    }
    let condition = condition.trim();
    if let Some(rest) = condition.strip_prefix("NOT ") {
        return decide(rest, topic).map(|holds| !holds);
    }
    // At least so many slashes: `regexp_matches(topic(), '^([^/]*/){3}')`.
    let slashes = condition
        .strip_prefix("regexp_matches(topic(), '^([^/]*/){")
        .and_then(|rest| rest.strip_suffix("}')"));
    if let Some(least) = slashes {
        return Some(topic.matches('/').count() >= least.parse().unwrap());
    }
    let (level, rest) = condition.strip_prefix("topic(").and_then(|rest| rest.split_once(") ")).unwrap();
    let (operator, value) = rest.split_once(' ').unwrap();
    let value = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap();
    let found = topic.split('/').nth(level.parse::<usize>().unwrap() - 1)?;
    match operator {
        "=" => Some(found == value),
        "<>" => Some(found != value),
        other => panic!("{other} is an operator that this simulator does not know"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arn(resource: &str) -> String {
        format!("arn:aws:iot:us-east-1:123456789012:{resource}")
    }

    #[test]
    fn policies_match_as_aws_says() {
        let check = |pattern: &str, topic: &str, expected: bool| {
            let document = json!({"Statement": [
                {"Effect": "Allow", "Action": "iot:Publish", "Resource": arn(&format!("topic/{pattern}"))},
            ]});
            let thing = Thing::at("plant-1", "pump-7");
            assert_eq!(Policy::read(&document).may_publish(&thing, topic), expected, "{pattern} {topic}");
        };
        check("a/b", "a/b", true);
        check("a/*", "a/b/c", true);
        check("a/*", "a/", true);
        check("a/*", "a", false);
        check("a/*/c", "a/b/b/c", true);
        check("a/*/c", "a/c", false);
        check("a/?", "a/b", true);
        check("a/?", "a//", true);
        check("a/?", "a/bc", false);
        // Wildcards of MQTT are none here.
        check("a/+", "a/b", false);
        check("a/+", "a/+", true);
        check("a/#", "a/b", false);
        check("${iot:Connection.Thing.ThingName}/*", "pump-7/x", true);
        check("${iot:Connection.Thing.ThingName}/*", "pump-8/x", false);
        check("${iot:Connection.Thing.Attributes[site]}/x", "plant-1/x", true);
        check("${iot:Connection.Thing.Attributes[line]}/x", "/x", false);
        check("*/${iot:Connection.Thing.ThingName}/*", "L/pump-8/x/pump-7/y", true);
    }

    #[test]
    fn a_deny_wins_and_nothing_is_allowed_that_no_statement_allows() {
        let document = json!({"Statement": [
            {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": [arn("topic/a/*"), arn("topic/b")],
             "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": true}}},
            {"Effect": "Deny", "Action": "iot:Publish", "Resource": arn("topic/a/*/*")},
        ]});
        let (policy, thing) = (Policy::read(&document), Thing::at("plant-1", "pump-7"));
        assert!(policy.may_publish(&thing, "a/x") && policy.may_publish(&thing, "b"));
        assert!(!policy.may_publish(&thing, "a/x/y") && !policy.may_publish(&thing, "c"));
        assert!(policy.allows(&thing, "iot:Receive", "topic/a/x/y"));
        assert!(!policy.allows(&thing, "iot:Subscribe", "topic/a/x"));
    }

    #[test]
    fn rules_select_as_aws_says() {
        let check = |from: &str, topic: &str, expected: [bool; 2]| {
            let rule = Rule::read(
                &json!({"RuleName": "r", "TopicRulePayload": {"Sql": format!("SELECT * {from}\n")}}),
            );
            let found = [Parent::Matched, Parent::Passed].map(|parent| rule.selects(topic, parent));
            assert_eq!(found, expected, "{from} {topic}");
        };
        check("FROM 'a/+'", "a/b", [true; 2]);
        check("FROM 'a/+'", "a/b/c", [false; 2]);
        check("FROM 'a/+/#'", "a/b/c/d", [true; 2]);
        check("FROM 'a/+/#'", "a/b", [true, false]);
        check("FROM 'a/+'", "$aws/rules/r/a/b", [true; 2]);
        check("FROM 'a/+'", "$aws/rules/s/a/b", [false; 2]);
        check("FROM 'a/+'", "$aws/rules/r/b/b", [false; 2]);
        check("FROM 'a/+' WHERE topic(2) <> 'urgent'", "a/b", [true; 2]);
        check("FROM 'a/+' WHERE topic(2) <> 'urgent'", "a/urgent", [false; 2]);
        check("FROM 'a/+' WHERE topic(2) = 'urgent'", "a/urgent", [true; 2]);
        check("FROM 'a/+' WHERE topic(3) <> 'urgent'", "a/b", [false; 2]);
        check("FROM 'a/#' WHERE regexp_matches(topic(), '^([^/]*/){2}')", "a/b/c", [true; 2]);
        check("FROM 'a/#' WHERE regexp_matches(topic(), '^([^/]*/){2}')", "a/b", [false; 2]);
        let condition = "FROM 'a/#' WHERE topic(1) <> 'a' OR NOT regexp_matches(topic(), '^([^/]*/){2}')";
        check(condition, "a/b", [true; 2]);
        check(condition, "a/b/c", [false; 2]);
    }
}
