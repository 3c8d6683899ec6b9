//! All alerts of one device: what is told of them (`told`), and what is stored (`item`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod item;
mod told;

use std::sync::Arc;

use alert::{DeviceAlerts, Outgoing, Rule, RuleSet, Sample};
use telemetry::{DeviceId, Micros, Quality, Seq, Value};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;
pub(crate) const LATENESS: i64 = 120 * SECOND;
/// 2026-11-23T07:00:00Z.
pub(crate) const START: i64 = 1_795_417_200_000_000;
/// What DynamoDB allows of one item (Amazon DynamoDB quotas), in bytes of its own counting.
pub(crate) const MAX_ITEM_BYTES: usize = 400 * 1024;
/// Samples that the function judges before it looks whether the outbox is full.
pub(crate) const CHUNK: usize = 64;

pub(crate) const LEVEL: &str = r#"condition = { metric = "a", unit = "Cel", above = 50, clear = 45 }"#;

pub(crate) fn rule(name: &str, text: &str) -> Arc<Rule> {
    let severity = if text.contains("severity") { "" } else { "severity = \"warning\"\n" };
    let text = format!("name = \"{name}\"\n{severity}message = \"too hot\"\n{text}");
    Arc::new(Rule::from_toml(&text).unwrap())
}

pub(crate) fn at(second: i64) -> Micros {
    Micros(START + second * SECOND)
}

pub(crate) fn sample(second: i64, value: i64) -> Sample {
    let at = at(second);
    let value = Value::Integer(value.into());
    Sample {
        at,
        seq: Seq::default(),
        received: at,
        revision: Micros::default(),
        metric: 0,
        value,
        unit: Some("Cel".into()),
        quality: Quality::Good,
    }
}

/// One device, told in seconds; the clock says what the readings say unless it is set.
pub(crate) struct Story {
    pub(crate) rules: RuleSet,
    pub(crate) alerts: DeviceAlerts,
    now: Micros,
}

impl Story {
    pub(crate) fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let alerts = DeviceAlerts::new(DeviceId::from_stored("plant-1/pump-7"));
        Self { rules: RuleSet::new(rules), alerts, now: at(0) }
    }

    pub(crate) fn of(text: &str) -> Self {
        Self::new([rule("r", text)])
    }

    pub(crate) fn rule(&self, name: &str) -> Arc<Rule> {
        Arc::clone(self.rules.get(name).unwrap())
    }

    /// Judges samples by the rule `r`, and returns the documents that came of it.
    pub(crate) fn takes(&mut self, samples: &[(i64, i64)]) -> Vec<serde_json::Value> {
        self.judges("r", samples.iter().map(|(second, value)| sample(*second, *value)).collect())
    }

    pub(crate) fn judges(&mut self, name: &str, samples: Vec<Sample>) -> Vec<serde_json::Value> {
        let rule = self.rule(name);
        self.now = samples.iter().map(|sample| sample.at).max().unwrap_or(self.now).max(self.now);
        self.alerts.judge(&rule, samples, LATENESS, self.now);
        self.documents()
    }

    /// What is new in the outbox; `null` where what is retained is removed.
    pub(crate) fn documents(&mut self) -> Vec<serde_json::Value> {
        let read = |outgoing: &Outgoing| match outgoing.payload.as_str() {
            "" => serde_json::Value::Null,
            payload => serde_json::from_str(payload).unwrap(),
        };
        let documents = self.alerts.outbox().iter().map(read).collect();
        self.alerts.sent();
        documents
    }

    pub(crate) fn tidies(&mut self, now: Micros) -> Vec<serde_json::Value> {
        self.now = now;
        self.alerts.tidy(&self.rules, HOUR, now);
        self.documents()
    }

    /// What is stored is read again, by rules that may have changed.
    pub(crate) fn stored(&mut self) {
        let item = self.alerts.to_item(&self.rules);
        let json = serde_json::to_string(&item).unwrap();
        self.alerts = DeviceAlerts::from_item(&serde_json::from_str(&json).unwrap(), &self.rules).unwrap();
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.alerts.told().get("r").map(|told| told.state.as_str())
    }
}

pub(crate) fn words(documents: &[serde_json::Value]) -> Vec<String> {
    let word = |document: &serde_json::Value| match document {
        serde_json::Value::Null => "removed from the broker".to_owned(),
        document => {
            format!("{} {}", document["state"].as_str().unwrap(), document["cause"].as_str().unwrap())
        }
    };
    documents.iter().map(word).collect()
}

/// The only document, without its id.
pub(crate) fn without_id(documents: Vec<serde_json::Value>) -> serde_json::Value {
    let [mut document] = <[serde_json::Value; 1]>::try_from(documents).unwrap();
    let id = document.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 16, "{id}");
    document
}
