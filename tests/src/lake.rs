//! The functions `archive` and `compact` as processes, on one lake in the fake of S3.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use lake::{Key, LakeError, Reader};
use serde_json::Value;
use telemetry::{Reading, standing};

use crate::fake_aws::{FakeAws, Handle, Storage};
use crate::functions::{binary, credentials, metrics};
use crate::runtime_api::{Function, Outcome};

/// The bucket of the fake.
pub const BUCKET: &str = "bucket";
/// As long as the template lets `compact` run.
const COMPACT_TIME: Duration = Duration::from_secs(900);

/// A fake S3 and the two functions that write to it, each started when it is first needed.
#[derive(Debug)]
pub struct Lake {
    /// The fake.
    pub aws: FakeAws,
    archive: Running,
    compact: Running,
}

/// A function's process, and how often it was invoked.
#[derive(Debug)]
struct Running {
    name: &'static str,
    profile: &'static str,
    process: Option<Function>,
    invocations: usize,
}

impl Running {
    fn new(name: &'static str, profile: &'static str) -> Self {
        Self { name, profile, process: None, invocations: 0 }
    }

    async fn process(&mut self, endpoint: &str) -> io::Result<&mut Function> {
        let function = match self.process.take() {
            Some(function) => function,
            None => {
                self.invocations = 0;
                let of_the_template = [
                    ("TIDEGATE_BUCKET", BUCKET),
                    ("TIDEGATE_COMPACT_AFTER_MINUTES", "15"),
                    ("MIMALLOC_ALLOW_THP", "0"),
                ];
                let environment = [&credentials(endpoint)[..], &of_the_template[..]].concat();
                Function::start(binary(self.name, self.profile)?, &environment).await?
            }
        };
        Ok(self.process.insert(function))
    }

    async fn invoke(
        &mut self,
        endpoint: &str,
        event: Bytes,
        time: Duration,
    ) -> io::Result<Result<Value, String>> {
        let outcome = self.process(endpoint).await?.invoke(event, time).await?.outcome;
        self.invocations += 1;
        match outcome {
            Outcome::Response(answer) => Ok(Ok(serde_json::from_slice(&answer)?)),
            Outcome::Error { error_type, .. } => Ok(Err(error_type)),
        }
    }

    async fn last_metrics(&self) -> io::Result<Value> {
        let function = self.process.as_ref().ok_or_else(|| io::Error::other("it does not run"))?;
        metrics(function, self.invocations).await
    }
}

impl Lake {
    /// An empty lake; the debug binaries have to be built.
    ///
    /// # Errors
    /// If the fake cannot be started.
    pub fn start() -> io::Result<Self> {
        Self::with(Storage::Keep, "debug")
    }

    /// As [`Lake::start`], with what is put over HTTP kept or not, and the binaries of `profile`.
    ///
    /// # Errors
    /// If the fake cannot be started.
    pub fn with(storage: Storage, profile: &'static str) -> io::Result<Self> {
        let (archive, compact) = (Running::new("archive", profile), Running::new("compact", profile));
        Ok(Self { aws: FakeAws::start(storage)?, archive, compact })
    }

    /// Invokes `archive`; returns its answer, or the error's type.
    ///
    /// # Errors
    /// If the harness fails, or the answer is not JSON.
    pub async fn archive(
        &mut self,
        event: impl Into<Bytes>,
        time: Duration,
    ) -> io::Result<Result<Value, String>> {
        self.archive.invoke(&self.aws.endpoint(), event.into(), time).await
    }

    /// Invokes `compact`; returns its summary, or the error's type.
    ///
    /// # Errors
    /// As [`Lake::archive`].
    pub async fn compact(&mut self) -> io::Result<Result<Value, String>> {
        self.compact_within(COMPACT_TIME).await
    }

    /// As [`Lake::compact`], with less time.
    ///
    /// # Errors
    /// As [`Lake::archive`].
    pub async fn compact_within(&mut self, time: Duration) -> io::Result<Result<Value, String>> {
        self.compact.invoke(&self.aws.endpoint(), Bytes::from_static(b"{}"), time).await
    }

    /// The metric line of the last invocation of `archive`.
    ///
    /// # Errors
    /// If it wrote none.
    pub async fn archive_metrics(&self) -> io::Result<Value> {
        self.archive.last_metrics().await
    }

    /// The metric line of the last invocation of `compact`.
    ///
    /// # Errors
    /// If it wrote none.
    pub async fn compact_metrics(&self) -> io::Result<Value> {
        self.compact.last_metrics().await
    }

    /// The process of `archive`, started if it does not run.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn archive_process(&mut self) -> io::Result<&mut Function> {
        self.archive.process(&self.aws.endpoint()).await
    }

    /// The process of `compact`, started if it does not run.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn compact_process(&mut self) -> io::Result<&mut Function> {
        self.compact.process(&self.aws.endpoint()).await
    }

    /// Kills both; the next invocation starts them anew.
    pub fn kill(&mut self) {
        self.archive.process = None;
        self.compact.process = None;
    }
}

/// What the lake holds, as a query sees it at one moment.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Contents {
    /// All rows, in the order of the objects' keys.
    pub rows: Vec<Reading>,
    /// Objects that cannot be read.
    pub unreadable: Vec<String>,
    /// Objects of the lake.
    pub objects: Vec<String>,
}

impl Contents {
    /// Reads all objects of the lake in a fake.
    #[must_use]
    pub fn of(aws: &Handle) -> Self {
        let mut contents = Self::default();
        let keys = aws.object_keys(BUCKET).into_iter().filter(|key| Key::parse(key).is_some());
        for key in keys {
            let rows = aws.object(BUCKET, &key).map(|object| read(object.body));
            match rows {
                Some(Ok(rows)) => contents.rows.extend(rows),
                Some(Err(_)) => contents.unreadable.push(key.clone()),
                None => {}
            }
            contents.objects.push(key);
        }
        contents
    }

    /// The readings that stand, by device, metric and time.
    #[must_use]
    pub fn standing(&self) -> Vec<Reading> {
        let mut by_device: BTreeMap<_, Vec<Reading>> = BTreeMap::new();
        for row in &self.rows {
            by_device.entry(row.device.clone()).or_default().push(row.clone());
        }
        by_device.into_values().flat_map(standing).collect()
    }
}

fn read(file: Bytes) -> Result<Vec<Reading>, LakeError> {
    Ok(Reader::open(file)?.read_all()?.readings().collect())
}
