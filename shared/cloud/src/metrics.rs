//! Metrics in CloudWatch's embedded format: a log line that CloudWatch turns into metrics, so that
//! counting costs no request.
//!
//! Format: Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tidegate";

/// One line of metrics, all of them counts.
#[derive(Debug, Clone)]
pub struct MetricLine {
    dimensions: Vec<(&'static str, String)>,
    counts: Vec<(&'static str, u64)>,
    properties: Map<String, Value>,
}

impl MetricLine {
    /// A line with these dimensions: keep them few, each combination is a metric that costs.
    pub fn new(dimensions: Vec<(&'static str, String)>) -> Self {
        Self { dimensions, counts: Vec::new(), properties: Map::new() }
    }

    /// Adds a count.
    #[must_use]
    pub fn count(mut self, name: &'static str, count: usize) -> Self {
        self.counts.push((name, count.try_into().unwrap_or(u64::MAX)));
        self
    }

    /// Adds a field to search by, which becomes no metric.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Serialize) -> Self {
        self.properties.insert(name.to_owned(), json!(value));
        self
    }

    /// The line, without its line end. `now_millis` is the time in milliseconds since 1970.
    pub fn to_json(&self, now_millis: u64) -> String {
        let names: Vec<&str> = self.dimensions.iter().map(|(name, _)| *name).collect();
        let metrics: Vec<Value> =
            self.counts.iter().map(|(name, _)| json!({"Name": name, "Unit": "Count"})).collect();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics});
        let mut line = self.properties.clone();
        line.extend(self.dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        line.extend(self.counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))));
        line.insert("_aws".to_owned(), json!({"Timestamp": now_millis, "CloudWatchMetrics": [directive]}));
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let line =
            MetricLine::new(vec![("Stage", "dev".into())]).count("Received", 3).property("request", "r-1");
        let expected = json!({
            "_aws": {
                "Timestamp": 1_795_417_200_250_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Tidegate", "Dimensions": [["Stage"]], "Metrics": [{"Name": "Received", "Unit": "Count"}]
                }]
            },
            "Stage": "dev", "Received": 3, "request": "r-1"
        });
        assert_eq!(serde_json::from_str::<Value>(&line.to_json(1_795_417_200_250)).unwrap(), expected);
    }
}
