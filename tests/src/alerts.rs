//! The function `alert` as a process, between the Runtime API's driver and the fake of AWS.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::{DeviceId, Micros, Quality, Reading, TimeSource, pack};

use crate::events::dynamodb_stream;
use crate::fake_aws::{FakeAws, Item, Published, Storage};
use crate::functions::{binary, credentials, metrics};
use crate::runtime_api::{Function, Outcome};

/// The alerts table of the fake.
pub const ALERTS: &str = "alerts";
const CONFIG: &str = "config";
const READINGS: &str = "readings";
/// The devices table of the fake.
pub const DEVICES: &str = "devices";
/// As long as the template lets it run.
const TIME: Duration = Duration::from_secs(60);
/// The event of the schedule.
const SCHEDULE: &str = r#"{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;

/// A running `alert` and the fake that it reads and writes.
#[derive(Debug)]
pub struct Alerting {
    /// The fake.
    pub aws: FakeAws,
    /// The process.
    pub function: Function,
    more: Vec<(&'static str, &'static str)>,
    invocations: usize,
}

impl Alerting {
    /// Starts the debug binary beside a fake with these rules, in TOML.
    ///
    /// # Errors
    /// If either cannot be started; the binary has to be built before (`cargo build -p alert-function`).
    pub async fn start(rules: &[&str]) -> io::Result<Self> {
        Self::start_with(rules, &[]).await
    }

    /// As [`Alerting::start`], with more environment variables.
    ///
    /// # Errors
    /// As [`Alerting::start`].
    pub async fn start_with(rules: &[&str], more: &[(&'static str, &'static str)]) -> io::Result<Self> {
        let aws = FakeAws::start(Storage::Keep)?;
        aws.create_table(READINGS, "device", Some("span"));
        aws.create_table(DEVICES, "device", None);
        aws.create_table(ALERTS, "device", None);
        aws.create_index(ALERTS, "standing", "standing", Some("device"));
        aws.create_table(CONFIG, "kind", Some("name"));
        let function = start_function(&aws, more).await?;
        let alerting = Self { aws, function, more: more.to_vec(), invocations: 0 };
        for rule in rules {
            alerting.put_rule(rule)?;
        }
        Ok(alerting)
    }

    /// Stores a rule, in TOML, without a request.
    ///
    /// # Errors
    /// If it is none.
    pub fn put_rule(&self, rule: &str) -> io::Result<()> {
        let rule = alert::Rule::from_toml(rule).map_err(io::Error::other)?;
        self.put_document(&rule.name, rule.to_json())
    }

    /// Stores whatever document under a rule's name.
    ///
    /// # Errors
    /// If the fake refuses.
    pub fn put_document(&self, name: &str, document: &str) -> io::Result<()> {
        let item = json!({"kind": {"S": "alert-rule"}, "name": {"S": name}, "document": {"S": document}, "updated": {"N": "1"}});
        self.aws.put_item(CONFIG, into_item(item)).map_err(io::Error::other)
    }

    /// Stores a document as the profile of this name.
    ///
    /// # Errors
    /// If the fake refuses.
    pub fn put_profile(&self, name: &str, document: &str) -> io::Result<()> {
        let item = json!({"kind": {"S": "profile"}, "name": {"S": name}, "document": {"S": document}, "updated": {"N": "1"}});
        self.aws.put_item(CONFIG, into_item(item)).map_err(io::Error::other)
    }

    /// Notes on a device which profile its messages are read by, as `ingest` does.
    ///
    /// # Errors
    /// If there is no such device, or the fake refuses.
    pub fn note_profile(&self, device: &str, profile: Option<&str>) -> io::Result<()> {
        let mut found = self.aws.items(DEVICES).into_iter().filter(|item| item["device"]["S"] == device);
        let mut item = found.next().ok_or_else(|| io::Error::other("there is no such device"))?;
        match profile {
            Some(name) => drop(item.insert("profile".to_owned(), json!({"S": name}))),
            None => drop(item.remove("profile")),
        }
        self.aws.put_item(DEVICES, item).map_err(io::Error::other)
    }

    /// Removes a rule, as the operators' command does.
    pub fn remove_rule(&self, name: &str) {
        self.aws.remove_item(CONFIG, "alert-rule", name);
    }

    /// Kills the process and starts another beside the same fake.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.function.kill();
        self.function = start_function(&self.aws, &self.more).await?;
        self.invocations = 0;
        Ok(())
    }

    /// Stores readings as `ingest` does, and returns the items for the stream's event.
    ///
    /// # Errors
    /// If the fake refuses.
    pub fn store(&self, readings: &[Reading]) -> io::Result<Vec<String>> {
        let mut items = Vec::new();
        for span in pack(readings.to_vec()) {
            let item = span.to_item(None).json;
            self.aws.put_item(READINGS, serde_json::from_str(&item)?).map_err(io::Error::other)?;
            items.push(item);
        }
        for latest in telemetry::latest(&pack(readings.to_vec())) {
            let metrics = serde_json::to_value(telemetry::latest_attribute(&latest.metrics))?;
            let item = json!({
                "device": {"S": latest.device.as_str()},
                "latest": metrics,
                "last_at": {"N": latest.newest().0.to_string()},
                "first_seen": {"N": latest.first_seen.0.to_string()},
                "last_seen": {"N": latest.last_seen.0.to_string()},
                "rev": {"N": "1"},
            });
            self.aws.put_item(DEVICES, into_item(item)).map_err(io::Error::other)?;
        }
        Ok(items)
    }

    /// Invokes with the stream's event of these items.
    ///
    /// # Errors
    /// If the harness fails.
    pub async fn stream(&mut self, items: &[String]) -> io::Result<Result<Value, String>> {
        self.stream_within(items, TIME).await
    }

    /// As [`Alerting::stream`], with less time.
    ///
    /// # Errors
    /// Likewise.
    pub async fn stream_within(
        &mut self,
        items: &[String],
        time: Duration,
    ) -> io::Result<Result<Value, String>> {
        let event = dynamodb_stream(items.iter().map(|item| Some(item.as_str())));
        self.invoke(event, time).await
    }

    /// Stores readings and brings them by the stream.
    ///
    /// # Errors
    /// If the harness fails.
    pub async fn judge(&mut self, readings: &[Reading]) -> io::Result<Result<Value, String>> {
        let items = self.store(readings)?;
        self.stream(&items).await
    }

    /// Invokes with messages of the command queue.
    ///
    /// # Errors
    /// If the harness fails.
    pub async fn command(&mut self, bodies: &[Value]) -> io::Result<Result<Value, String>> {
        let bodies: Vec<String> = bodies.iter().map(Value::to_string).collect();
        self.invoke(crate::events::sqs(&bodies), TIME).await
    }

    /// Invokes as the schedule does.
    ///
    /// # Errors
    /// If the harness fails.
    pub async fn tidy(&mut self) -> io::Result<Result<Value, String>> {
        self.invoke(SCHEDULE.to_owned(), TIME).await
    }

    async fn invoke(&mut self, event: String, time: Duration) -> io::Result<Result<Value, String>> {
        self.invocations += 1;
        match self.function.invoke(event, time).await?.outcome {
            Outcome::Response(answer) => Ok(Ok(serde_json::from_slice(&answer)?)),
            Outcome::Error { error_type, .. } => Ok(Err(error_type)),
        }
    }

    /// The metric line of the last invocation.
    ///
    /// # Errors
    /// If it wrote none.
    pub async fn metrics(&self) -> io::Result<Value> {
        metrics(&self.function, self.invocations).await
    }

    /// The documents published so far, in order; null where what was retained was removed.
    #[must_use]
    pub fn told(&self) -> Vec<Value> {
        let alerts = self.aws.published().into_iter().filter(|published| published.retain);
        alerts.map(|published| serde_json::from_slice(&published.payload).unwrap_or_default()).collect()
    }

    /// What the broker keeps, by topic: of messages published retained the last stands, an empty one is none.
    #[must_use]
    pub fn retained(&self) -> BTreeMap<String, Value> {
        let mut retained = BTreeMap::new();
        for Published { topic, payload, .. } in
            self.aws.published().into_iter().filter(|message| message.retain)
        {
            match serde_json::from_slice(&payload) {
                Ok(document) => drop(retained.insert(topic, document)),
                Err(_) => drop(retained.remove(&topic)),
            }
        }
        retained
    }

    /// The item of a device in the alerts table.
    #[must_use]
    pub fn item(&self, device: &str) -> Option<Item> {
        self.aws.items(ALERTS).into_iter().find(|item| item["device"]["S"] == device)
    }

    /// What the devices table says of a device's alerts.
    #[must_use]
    pub fn note(&self, device: &str) -> Value {
        let item = self.aws.items(DEVICES).into_iter().find(|item| item["device"]["S"] == device);
        item.and_then(|item| item.get("alert").cloned()).unwrap_or_default()
    }
}

fn into_item(item: Value) -> Item {
    match item {
        Value::Object(item) => item,
        _ => Item::new(),
    }
}

async fn start_function(aws: &FakeAws, more: &[(&str, &str)]) -> io::Result<Function> {
    let endpoint = aws.endpoint();
    let tables = [
        ("TIDEGATE_READINGS_TABLE", READINGS),
        ("TIDEGATE_DEVICES_TABLE", DEVICES),
        ("TIDEGATE_ALERTS_TABLE", ALERTS),
        ("TIDEGATE_CONFIG_TABLE", CONFIG),
        ("TIDEGATE_CONFIG_CACHE_SECONDS", "0"),
        ("MIMALLOC_ALLOW_THP", "0"),
    ];
    let environment = [&credentials(&endpoint)[..], &tables[..], more].concat();
    Function::start(binary("alert", "debug")?, &environment).await
}

/// A reading that the broker received 20 ms after it was measured.
#[must_use]
pub fn reading(device: &str, metric: &str, at: Micros, value: f64) -> Reading {
    Reading {
        device: DeviceId::from_stored(device),
        metric: metric.into(),
        at,
        received: at.plus(20_000),
        value: telemetry::Value::from_f64(value).unwrap_or(telemetry::Value::Integer(0)),
        unit: None,
        quality: Quality::Good,
        seq: telemetry::Seq::default(),
        revision: telemetry::Micros::default(),
        time_source: TimeSource::Device,
        correction: None,
    }
}
