//! The function `shadow` as a process, with a model of the devices table's stream before it: every write of an item is a
//! record, the function's own too, and what is handed back is delivered again.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::events::{dynamodb_stream, sqs};
use crate::fake_aws::{FakeAws, Item, Storage};
use crate::functions::{binary, credentials, metrics};
use crate::runtime_api::{Function, Outcome};

/// The devices table of the fake.
pub const DEVICES: &str = "devices";
/// The table of profiles of the fake.
pub const CONFIG: &str = "config";
/// The shadow's name.
pub const NAME: &str = "telemetry";
/// The queue of nudges.
pub const QUEUE: &str = "http://sqs.local/123456789012/nudges";
/// What the function has unless a test says otherwise.
const TIME: Duration = Duration::from_secs(30);
/// Number of an event's first record, as [`dynamodb_stream`] counts them.
const FIRST_RECORD: usize = 100;

/// A running `shadow`, the fake beside it, and the stream and the queue before it.
#[derive(Debug)]
pub struct Shadow {
    /// The fake.
    pub aws: FakeAws,
    environment: Vec<(&'static str, String)>,
    function: Option<Function>,
    invocations: usize,
    /// Images of items, in the order of the writes; none is a removal.
    stream: Vec<Option<String>>,
    delivered: usize,
    seen: BTreeMap<String, Item>,
    nudged: usize,
    waiting: Vec<(Instant, String)>,
}

/// What an invocation counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "the names of the metrics")]
pub struct Counts {
    pub received: u64,
    pub sent: u64,
    pub suppressed: u64,
    pub deferred: u64,
    pub failed: u64,
    pub handed_back: u64,
    pub nudged: u64,
    pub updates: u64,
    pub no_thing: u64,
    pub trimmed: u64,
}

impl Counts {
    fn adds_up(self) -> bool {
        let Self { sent, suppressed, deferred, failed, handed_back, nudged, .. } = self;
        self.received == sent + suppressed + deferred + failed + handed_back + nudged
    }
}

impl Shadow {
    /// Beside an empty devices table; updates have no deadband, and are not limited in time. The debug binary has to
    /// be built before (`cargo build -p shadow`).
    ///
    /// # Errors
    /// If the fake cannot be started.
    pub fn start() -> io::Result<Self> {
        Self::with("0", "0")
    }

    /// With a deadband in percent, and least so many seconds between two updates of a shadow.
    ///
    /// # Errors
    /// As [`Shadow::start`].
    pub fn with(deadband: &str, interval: &str) -> io::Result<Self> {
        let aws = FakeAws::start(Storage::Keep)?;
        aws.create_table(DEVICES, "device", None);
        aws.create_table(CONFIG, "kind", Some("name"));
        let environment = [
            ("TIDEGATE_DEVICES_TABLE", DEVICES),
            ("TIDEGATE_SHADOW_NAME", NAME),
            ("TIDEGATE_SHADOW_QUEUE_URL", QUEUE),
            ("TIDEGATE_CONFIG_TABLE", CONFIG),
            ("TIDEGATE_CONFIG_CACHE_SECONDS", "0"),
            ("TIDEGATE_SHADOW_DEADBAND_PERCENT", deadband),
            ("TIDEGATE_SHADOW_MIN_INTERVAL_SECONDS", interval),
            ("MIMALLOC_ALLOW_THP", "0"),
        ];
        Ok(Self {
            aws,
            environment: environment.map(|(name, value)| (name, value.to_owned())).into(),
            function: None,
            invocations: 0,
            stream: Vec::new(),
            delivered: 0,
            seen: BTreeMap::new(),
            nudged: 0,
            waiting: Vec::new(),
        })
    }

    /// The process, started if it does not run.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn process(&mut self) -> io::Result<&mut Function> {
        let function = match self.function.take() {
            Some(function) => function,
            None => {
                self.invocations = 0;
                let endpoint = self.aws.endpoint();
                let own = self.environment.iter().map(|(name, value)| (*name, value.as_str()));
                let environment: Vec<_> = credentials(&endpoint).into_iter().chain(own).collect();
                Function::start(binary("shadow", "debug")?, &environment).await?
            }
        };
        Ok(self.function.insert(function))
    }

    /// Kills the process; the next invocation starts it anew.
    pub fn kill(&mut self) {
        self.function = None;
    }

    /// The item of a device, empty but for its key if there is none.
    #[must_use]
    pub fn item(&self, device: &str) -> Item {
        let items = self.aws.items(DEVICES).into_iter();
        let mut found = items.filter(|item| item["device"]["S"] == device);
        found.next().unwrap_or_else(|| Item::from_iter([("device".to_owned(), json!({"S": device}))]))
    }

    /// Writes an attribute of a device, or removes it; makes the device if there is none.
    ///
    /// # Errors
    /// If DynamoDB would not take it.
    pub fn write(&mut self, device: &str, attribute: &str, value: Option<Value>) -> io::Result<()> {
        let mut item = self.item(device);
        match value {
            Some(value) => drop(item.insert(attribute.to_owned(), value)),
            None => drop(item.remove(attribute)),
        }
        self.aws.put_item(DEVICES, item).map_err(io::Error::other)?;
        self.follow();
        Ok(())
    }

    /// Writes the latest of a metric; `value` is in DynamoDB's JSON, `at` in µs since 1970.
    ///
    /// # Errors
    /// As [`Shadow::write`].
    pub fn measure(&mut self, device: &str, metric: &str, value: &Value, at: i64) -> io::Result<()> {
        let mut latest = self.item(device).remove("latest").unwrap_or_else(|| json!({"M": {}}));
        let at = json!({"N": at.to_string()});
        latest["M"][metric] =
            json!({"M": {"value": value, "at": at, "received": at, "source": {"S": "device"}}});
        self.write(device, "latest", Some(latest))
    }

    /// Adds a record without a write: what a stream may hold that the table no longer has.
    pub fn push_record(&mut self, image: Option<String>) {
        self.stream.push(image);
    }

    /// Takes up what was written since: by the function, or by a test behind its back.
    pub fn follow(&mut self) {
        for item in self.aws.items(DEVICES) {
            let device = item["device"]["S"].as_str().unwrap_or_default().to_owned();
            if self.seen.get(&device) != Some(&item) {
                self.stream.push(Some(Value::Object(item.clone()).to_string()));
                self.seen.insert(device, item);
            }
        }
        for message in self.aws.sent().into_iter().skip(self.nudged) {
            self.nudged += 1;
            let delay = Duration::from_secs(message.delay_seconds.into());
            self.waiting.push((Instant::now() + delay, message.body));
        }
    }

    /// Invokes with any event; returns the answer, or the error's type. Asserts that the counts add up.
    ///
    /// # Errors
    /// If the harness fails.
    ///
    /// # Panics
    /// If they do not.
    pub async fn invoke(&mut self, event: String, time: Duration) -> io::Result<Result<Value, String>> {
        let outcome = self.process().await?.invoke(event, time).await?.outcome;
        self.invocations += 1;
        self.follow();
        match outcome {
            Outcome::Response(answer) => {
                let counts = self.counts().await?;
                assert!(counts.adds_up(), "{counts:?}");
                Ok(Ok(serde_json::from_slice(&answer)?))
            }
            Outcome::Error { error_type, .. } => {
                // No metrics of this one; and the process may be gone.
                self.invocations -= 1;
                if error_type == "Runtime.ExitError" {
                    self.kill();
                }
                Ok(Err(error_type))
            }
        }
    }

    /// What the last invocation that answered has counted.
    ///
    /// # Errors
    /// If it wrote nothing.
    pub async fn counts(&self) -> io::Result<Counts> {
        let function = self.function.as_ref().ok_or_else(|| io::Error::other("it does not run"))?;
        Ok(serde_json::from_value(metrics(function, self.invocations).await?)?)
    }

    /// Delivers all of the stream that is not delivered yet, in one event, and goes on from where the answer says;
    /// after an error, from where it was. Returns the counts, or the error's type.
    ///
    /// # Errors
    /// If the harness fails.
    pub async fn deliver(&mut self) -> io::Result<Result<Counts, String>> {
        self.deliver_within(TIME).await
    }

    /// As [`Shadow::deliver`], with less time.
    ///
    /// # Errors
    /// As [`Shadow::deliver`].
    pub async fn deliver_within(&mut self, time: Duration) -> io::Result<Result<Counts, String>> {
        let begins = self.delivered;
        let ends = self.stream.len();
        let event = dynamodb_stream(self.stream[begins..ends].iter().map(Option::as_deref));
        let answer = match self.invoke(event, time).await? {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        self.delivered = match answer["batchItemFailures"][0]["itemIdentifier"].as_str() {
            None => ends,
            Some(number) => {
                let index: usize = number[number.len() - 6..].parse().map_err(io::Error::other)?;
                begins + index - FIRST_RECORD
            }
        };
        Ok(Ok(self.counts().await?))
    }

    /// Records that are not delivered yet.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.stream.len() - self.delivered
    }

    /// Has the stream deliver what was delivered before, from the record with this number on.
    pub fn rewind(&mut self, to: usize) {
        self.delivered = to;
    }

    /// How many nudges the queue holds.
    #[must_use]
    pub fn nudges(&self) -> usize {
        self.waiting.len()
    }

    /// Delivers the nudges that have been kept back long enough; returns how many.
    ///
    /// # Errors
    /// If the harness fails, or the function.
    pub async fn deliver_nudges(&mut self) -> io::Result<usize> {
        let now = Instant::now();
        let (come, left): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|(at, _)| *at <= now);
        self.waiting = left;
        let bodies: Vec<String> = come.into_iter().map(|(_, body)| body).collect();
        for batch in bodies.chunks(10) {
            let answer = self.invoke(sqs(batch), TIME).await?.map_err(io::Error::other)?;
            assert_eq!(answer, json!({"batchItemFailures": []}));
        }
        Ok(bodies.len())
    }

    /// Delivers until neither stream nor queue hold anything.
    ///
    /// # Errors
    /// If the harness fails, or the function.
    pub async fn settle(&mut self) -> io::Result<()> {
        while self.undelivered() > 0 || self.nudges() > 0 {
            if self.undelivered() > 0 {
                self.deliver().await?.map_err(io::Error::other)?;
            } else if self.deliver_nudges().await? == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// The reported state of a thing's shadow; null if there is none.
    #[must_use]
    pub fn reported(&self, thing: &str) -> Value {
        self.aws.shadow(thing, NAME).map_or(Value::Null, |shadow| shadow["state"]["reported"].clone())
    }

    /// The value that a thing's shadow shows of a metric; null if there is none.
    #[must_use]
    pub fn value(&self, thing: &str, metric: &str) -> Value {
        self.reported(thing)["metrics"][metric]["value"].clone()
    }
}
