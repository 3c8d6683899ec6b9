//! The function `ingest` as a process, between the Runtime API's driver and the fake of AWS.

use std::io;
use std::time::Duration;

use serde_json::Value;
use telemetry::{Latest, Reading, Span, standing};

use crate::fake_aws::{FakeAws, Item, Storage};
use crate::functions::{binary, credentials, metrics};
use crate::runtime_api::{Function, Outcome};

/// The readings table of the fake.
pub const READINGS: &str = "readings";
/// The devices table of the fake.
pub const DEVICES: &str = "devices";
/// The config table of the fake.
pub const CONFIG: &str = "config";
/// The bucket of the fake.
pub const BUCKET: &str = "bucket";

/// A running `ingest` and the fake that it writes to.
#[derive(Debug)]
pub struct Ingest {
    /// The fake.
    pub aws: FakeAws,
    /// The process.
    pub function: Function,
}

/// What an invocation counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages in the event.
    pub received: u64,
    /// Messages stored.
    pub stored: u64,
    /// Messages quarantined.
    pub quarantined: u64,
    /// Messages of which a profile ignores everything.
    pub ignored: u64,
    /// Messages handed back.
    pub handed_back: u64,
}

impl Ingest {
    /// Starts the debug binary beside an empty fake.
    ///
    /// # Errors
    /// If either cannot be started; the binary has to be built before (`cargo build -p ingest`).
    pub async fn start() -> io::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Ingest::start`], with more environment variables.
    ///
    /// # Errors
    /// As [`Ingest::start`].
    pub async fn start_with(more: &[(&str, &str)]) -> io::Result<Self> {
        let aws = FakeAws::start(Storage::Keep)?;
        create_tables(&aws);
        let function = start_function(&aws, more).await?;
        Ok(Self { aws, function })
    }

    /// As [`Ingest::start`], with no more memory than Lambda would give it.
    ///
    /// # Errors
    /// As [`Ingest::start`].
    pub async fn start_within(megabytes: usize) -> io::Result<Self> {
        let aws = FakeAws::start(Storage::Keep)?;
        create_tables(&aws);
        // The limit of data, not of addresses: an allocator reserves more of those than it uses.
        let script = format!("ulimit -d {}; exec \"$0\"", megabytes * 1024);
        let path = binary("ingest", "debug")?;
        let arguments = ["-c", &script, path.to_str().ok_or_else(|| io::Error::other("a path of UTF-8"))?];
        let endpoint = aws.endpoint();
        let function = Function::start_with_arguments("/bin/sh", &arguments, &environment(&endpoint)).await?;
        Ok(Self { aws, function })
    }

    /// Stores a document as the profile of this name.
    ///
    /// # Errors
    /// If the fake refuses.
    pub fn put_profile(&self, name: &str, document: &str) -> io::Result<()> {
        let item = serde_json::json!({"kind": {"S": "profile"}, "name": {"S": name}, "document": {"S": document}, "updated": {"N": "1"}});
        let item = serde_json::from_value(item)?;
        self.aws.put_item(CONFIG, item).map_err(io::Error::other)
    }

    /// Another process beside the same fake.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn beside(&self) -> io::Result<Process> {
        Ok(Process(start_function(&self.aws, &[]).await?))
    }

    /// Kills the process and starts another beside the same fake.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.restart_with(&[]).await
    }

    /// As [`Ingest::restart`], with more environment variables.
    ///
    /// # Errors
    /// As [`Ingest::restart`].
    pub async fn restart_with(&mut self, more: &[(&str, &str)]) -> io::Result<()> {
        self.function.kill();
        self.function = start_function(&self.aws, more).await?;
        Ok(())
    }

    /// Invokes with `event`; returns the answer's JSON, or the error's type.
    ///
    /// # Errors
    /// If the harness fails, or the answer is not JSON.
    pub async fn invoke(&mut self, event: &str, deadline: Duration) -> io::Result<Result<Value, String>> {
        invoke(&mut self.function, event, deadline).await
    }

    /// The counts of the invocation with this number, from 1, as its metrics have them.
    ///
    /// # Errors
    /// If the invocation has written none.
    pub async fn counts(&self, invocation: usize) -> io::Result<Counts> {
        let line = metrics(&self.function, invocation).await?;
        let count = |name: &str| line[name].as_u64().unwrap_or(u64::MAX);
        Ok(Counts {
            received: count("Received"),
            stored: count("Stored"),
            quarantined: count("Quarantined"),
            ignored: count("Ignored"),
            handed_back: count("HandedBack"),
        })
    }

    /// All stored readings as a reader gets them: each identity once, by device, time and metric.
    ///
    /// # Errors
    /// If an item is no span.
    pub fn readings(&self) -> io::Result<Vec<Reading>> {
        let mut readings = Vec::new();
        for item in self.aws.items(READINGS) {
            readings.extend(Span::from_item(&attributes(item)?).map_err(io::Error::other)?.readings());
        }
        readings.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(readings
            .chunk_by(|a, b| a.device == b.device)
            .flat_map(|group| standing(group.to_vec()))
            .collect())
    }

    /// The state of every device.
    ///
    /// # Errors
    /// If an item is none.
    pub fn devices(&self) -> io::Result<Vec<Latest>> {
        let state =
            |item| Latest::from_item(&attributes(item)?).ok_or_else(|| io::Error::other("no device item"));
        self.aws.items(DEVICES).into_iter().map(state).collect()
    }

    /// The lines of all quarantined messages.
    ///
    /// # Errors
    /// If an object is not JSON lines.
    pub fn quarantined(&self) -> io::Result<Vec<Value>> {
        let mut lines = Vec::new();
        for key in self.aws.object_keys(BUCKET) {
            let object =
                self.aws.object(BUCKET, &key).ok_or_else(|| io::Error::other("listed, but not there"))?;
            for line in object.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                lines.push(serde_json::from_slice(line)?);
            }
        }
        Ok(lines)
    }
}

/// Another process of the function.
#[derive(Debug)]
pub struct Process(Function);

impl Process {
    /// As [`Ingest::invoke`].
    ///
    /// # Errors
    /// As [`Ingest::invoke`].
    pub async fn invoke(&mut self, event: &str, deadline: Duration) -> io::Result<Result<Value, String>> {
        invoke(&mut self.0, event, deadline).await
    }
}

async fn invoke(
    function: &mut Function,
    event: &str,
    deadline: Duration,
) -> io::Result<Result<Value, String>> {
    match function.invoke(event.to_owned(), deadline).await?.outcome {
        Outcome::Response(answer) => Ok(Ok(serde_json::from_slice(&answer)?)),
        Outcome::Error { error_type, .. } => Ok(Err(error_type)),
    }
}

fn attributes(item: Item) -> io::Result<telemetry::attribute::Item> {
    Ok(serde_json::from_value(Value::Object(item))?)
}

fn create_tables(aws: &FakeAws) {
    aws.create_table(READINGS, "device", Some("span"));
    aws.create_table(DEVICES, "device", None);
    aws.create_table(CONFIG, "kind", Some("name"));
}

async fn start_function(aws: &FakeAws, more: &[(&str, &str)]) -> io::Result<Function> {
    let endpoint = aws.endpoint();
    let environment = [&environment(&endpoint)[..], more].concat();
    Function::start(binary("ingest", "debug")?, &environment).await
}

/// The environment of the function beside an AWS at `endpoint`.
#[must_use]
pub fn environment(endpoint: &str) -> [(&'static str, &str); 9] {
    let [endpoint, region, key, secret] = credentials(endpoint);
    [
        endpoint,
        region,
        key,
        secret,
        ("TIDEGATE_READINGS_TABLE", READINGS),
        ("TIDEGATE_DEVICES_TABLE", DEVICES),
        ("TIDEGATE_CONFIG_TABLE", CONFIG),
        ("TIDEGATE_BUCKET", BUCKET),
        // As the template sets it.
        ("MIMALLOC_ALLOW_THP", "0"),
    ]
}
