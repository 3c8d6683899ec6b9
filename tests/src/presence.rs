//! The function `presence` as a process, between the Runtime API's driver and the fake of AWS.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::Presence as Stored;

use crate::events::{RECEIVED, sqs};
use crate::fake_aws::{FakeAws, Storage};
use crate::functions::{binary, credentials, metrics};
use crate::runtime_api::{Function, Outcome};

/// The devices table of the fake.
pub const DEVICES: &str = "devices";
/// Its index of names.
pub const BY_NAME: &str = "by-name";
/// The queue of commands to `alert`.
pub const ALERT_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/alert";
const CONFIG: &str = "config";
/// The event of the schedule.
const SCHEDULE: &str = r#"{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;

/// A running `presence` and the fake that it works on.
#[derive(Debug)]
pub struct Presence {
    /// The fake.
    pub aws: FakeAws,
    /// The process.
    pub function: Function,
    invocations: usize,
}

/// What an invocation counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages in the event.
    pub received: u64,
    /// Messages that say what is stored now.
    pub applied: u64,
    /// Messages that said nothing new.
    pub outdated: u64,
    /// Messages of clients that are no device.
    pub unknown: u64,
    /// Messages handed back.
    pub handed_back: u64,
}

/// What a look for silent devices counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Devices looked at.
    pub devices: u64,
    /// Silent ones, by rule.
    pub silent: u64,
    /// Commands sent.
    pub sent: u64,
    /// Commands that could not be sent.
    pub failed: u64,
    /// 1 if there was no time for all.
    pub cut_short: u64,
}

impl Presence {
    /// Starts the debug binary beside a fake with an empty devices table.
    ///
    /// # Errors
    /// If either cannot be started; the binary has to be built before (`cargo build -p presence`).
    pub async fn start() -> io::Result<Self> {
        let aws = FakeAws::start(Storage::Keep)?;
        aws.create_table(DEVICES, "device", None);
        Self::beside(aws).await
    }

    /// As [`Presence::start`], beside a fake that has a devices table.
    ///
    /// # Errors
    /// If the function cannot be started.
    pub async fn beside(aws: FakeAws) -> io::Result<Self> {
        aws.create_index(DEVICES, BY_NAME, "name", None);
        aws.create_table(CONFIG, "kind", Some("name"));
        let function = start_function(&aws.endpoint()).await?;
        Ok(Self { aws, function, invocations: 0 })
    }

    /// Kills the process and starts another beside the same fake.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.function.kill();
        self.function = start_function(&self.aws.endpoint()).await?;
        self.invocations = 0;
        Ok(())
    }

    /// Invokes with `event`; returns the answer's JSON, or the error's type.
    ///
    /// # Errors
    /// If the harness fails, or the answer is not JSON.
    pub async fn invoke(&mut self, event: &str, time: Duration) -> io::Result<Result<Value, String>> {
        self.invocations += 1;
        match self.function.invoke(event.to_owned(), time).await?.outcome {
            Outcome::Response(answer) => Ok(Ok(serde_json::from_slice(&answer)?)),
            Outcome::Error { error_type, .. } => Ok(Err(error_type)),
        }
    }

    /// Looks for silent devices; returns the answer's JSON, or the error's type.
    ///
    /// # Errors
    /// As [`Presence::invoke`].
    pub async fn look(&mut self, time: Duration) -> io::Result<Result<Value, String>> {
        self.invoke(SCHEDULE, time).await
    }

    /// The metric line of the last invocation.
    ///
    /// # Errors
    /// If it has written none.
    pub async fn metrics(&self) -> io::Result<Value> {
        metrics(&self.function, self.invocations).await
    }

    /// The counts of the last invocation, which was of messages.
    ///
    /// # Errors
    /// If it has written none.
    pub async fn counts(&self) -> io::Result<Counts> {
        let line = self.metrics().await?;
        let count = |name: &str| line[name].as_u64().unwrap_or(u64::MAX);
        Ok(Counts {
            received: count("Received"),
            applied: count("Applied"),
            outdated: count("Outdated"),
            unknown: count("Unknown"),
            handed_back: count("HandedBack"),
        })
    }

    /// The counts of the last invocation, which was a look for silent devices.
    ///
    /// # Errors
    /// If it has written none.
    pub async fn looked(&self) -> io::Result<Looked> {
        let line = self.metrics().await?;
        let count = |name: &str| line[name].as_u64().unwrap_or(u64::MAX);
        Ok(Looked {
            devices: count("Devices"),
            silent: count("Silent"),
            sent: count("Sent"),
            failed: count("Failed"),
            cut_short: count("CutShort"),
        })
    }

    /// Stores a rule, in TOML.
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
    /// If the fake does not take it.
    pub fn put_document(&self, name: &str, document: &str) -> io::Result<()> {
        let item = json!({
            "kind": {"S": "alert-rule"}, "name": {"S": name}, "document": {"S": document}, "updated": {"N": "1"}
        });
        self.aws.put_item(CONFIG, serde_json::from_value(item)?).map_err(io::Error::other)
    }

    /// The commands to `alert` so far.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let sent = self.aws.sent().into_iter().filter(|sent| sent.queue_url == ALERT_QUEUE);
        sent.map(|sent| sent.body).collect()
    }

    /// Stores a device as `ingest` does when it is new, `last_seen` in milliseconds since 1970.
    ///
    /// # Errors
    /// If the fake does not take it.
    pub fn add_device(&self, device: &str, last_seen: i64) -> io::Result<()> {
        let name = device.rsplit('/').next().unwrap_or(device);
        let seen = (last_seen * 1_000).to_string();
        let item = json!({
            "device": {"S": device}, "name": {"S": name}, "latest": {"M": {}}, "last_at": {"N": seen},
            "first_seen": {"N": seen}, "last_seen": {"N": seen}, "rev": {"N": "1"},
        });
        self.put_device(item)
    }

    /// Stores an item of the devices table.
    ///
    /// # Errors
    /// If the fake does not take it.
    pub fn put_device(&self, item: Value) -> io::Result<()> {
        self.aws.put_item(DEVICES, serde_json::from_value(item)?).map_err(io::Error::other)
    }

    /// What is stored of each device.
    ///
    /// # Errors
    /// If an item is none of the devices table.
    pub fn stored(&self) -> io::Result<BTreeMap<String, Option<Stored>>> {
        let of_item = |item| {
            let item: telemetry::attribute::Item = serde_json::from_value(Value::Object(item))?;
            let device = item.get("device").and_then(|device| device.as_s());
            let device = device.ok_or_else(|| io::Error::other("an item without a device"))?;
            Ok((device.to_owned(), Stored::from_item(&item)))
        };
        self.aws.items(DEVICES).into_iter().map(of_item).collect()
    }
}

async fn start_function(endpoint: &str) -> io::Result<Function> {
    let of_the_template = [
        ("TIDEGATE_DEVICES_TABLE", DEVICES),
        ("TIDEGATE_CONFIG_TABLE", CONFIG),
        ("TIDEGATE_ALERT_QUEUE_URL", ALERT_QUEUE),
        ("MIMALLOC_ALLOW_THP", "0"),
    ];
    let environment = [&credentials(endpoint)[..], &of_the_template[..]].concat();
    Function::start(binary("presence", "debug")?, &environment).await
}

/// An event of the broker in the envelope that the rule's SQL makes: `connected` or `disconnected`, so many seconds
/// after [`RECEIVED`], of the session with this version.
#[must_use]
pub fn lifecycle(event_type: &str, client: &str, second: i64, version: i64) -> String {
    let at = RECEIVED + second * 1_000;
    let mut event = json!({
        "clientId": client,
        "timestamp": at,
        "eventType": event_type,
        "sessionIdentifier": format!("session-{version}"),
        "principalIdentifier": "a3b1c0d1e2f3",
        "versionNumber": version,
    });
    if event_type == "disconnected" {
        event["clientInitiatedDisconnect"] = json!(false);
        event["disconnectReason"] = json!("CONNECTION_LOST");
    }
    json!({
        "payload": base64_simd::STANDARD.encode_to_string(event.to_string()),
        "topic": format!("$aws/events/presence/{event_type}/{client}"),
        "client": "n/a",
        "received": at + 20,
    })
    .to_string()
}

/// An SQS event of messages that have been received so many times.
///
/// # Errors
/// If a body is no text.
pub fn received(bodies: &[String], times: u32) -> io::Result<String> {
    let mut event: Value = serde_json::from_str(&sqs(bodies))?;
    for record in event["Records"].as_array_mut().into_iter().flatten() {
        record["attributes"]["ApproximateReceiveCount"] = json!(times.to_string());
    }
    Ok(event.to_string())
}
