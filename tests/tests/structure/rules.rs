//! What the IoT rules select, and what they make of it.

use serde_json::{Value, json};
use telemetry::sparkplug::NodeId;
use telemetry::{Envelope, Micros};

use crate::deployment::Deployment;

/// The SQL of a rule.
pub(crate) fn sql_of(rule: &Value) -> &str {
    rule["TopicRulePayload"]["Sql"].as_str().unwrap()
}

/// `SELECT … FROM '…' [WHERE …]`, taken apart: expressions by alias, filter, condition.
pub(crate) struct Sql<'a> {
    selected: Vec<(&'a str, &'a str)>,
    pub(crate) filter: &'a str,
    condition: Option<&'a str>,
}

impl<'a> Sql<'a> {
    pub(crate) fn parse(sql: &'a str) -> Self {
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

    fn selects(&self, alias: &str) -> bool {
        self.selected.iter().any(|(known, _)| *known == alias)
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
        "get_mqtt_property('content_type')" => json!("application/json"),
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
                record: None,
                content_type: sql.selects("content_type").then(|| "application/json".into()),
            };
            assert_eq!(Envelope::parse(&text), Ok(expected), "{id}");
            let read = 6 + usize::from(sql.selects("content_type"));
            assert_eq!(sql.selected.len(), read, "{id} selects what nobody reads: {envelope}");
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

#[test]
fn sparkplugs_rule_takes_what_nodes_send_and_keeps_each_in_order() {
    let deployments = Deployment::all().into_iter().filter(|deployment| {
        deployment.resources.contains_key("SparkplugRule") && deployment.name.contains(r#"("OnAws", "true")"#)
    });
    for deployment in deployments {
        let rule = &deployment.resources["SparkplugRule"]["Properties"];
        let sql = Sql::parse(sql_of(rule));
        assert_eq!(sql.filter, "spBv1.0/#");
        assert_eq!(sql.condition, Some("regexp_matches(topic(3), '^[ND](BIRTH|DEATH|DATA)$')"));
        for kind in ["NBIRTH", "NDEATH", "NDATA", "NCMD", "DBIRTH", "DDEATH", "DDATA", "DCMD"] {
            let device = if kind.starts_with('D') { "/d" } else { "" };
            let is_read = NodeId::of_topic(&format!("spBv1.0/g/{kind}/n{device}")).is_some();
            assert_eq!(is_read, !kind.ends_with("CMD"), "{kind}");
        }
        // Whatever the buffer of the rest is.
        let action = &rule["TopicRulePayload"]["Actions"][0]["Kinesis"];
        assert_eq!(action["PartitionKey"], "${topic(2)}/${topic(4)}", "{}", deployment.name);
    }
}
