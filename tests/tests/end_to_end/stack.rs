//! The deployed stack, and what its tests ask of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cloud::readings::Readings;
use cloud::retry::Deadline;
use cloud::sdk::sqs::config::{Credentials, Region, SharedCredentialsProvider};
use cloud::sdk::{SdkConfig, iotdata, kinesis, sqs};
use serde_json::Value;
use telemetry::{DeviceId, Micros, Reading};
use tidegate::aws::Clients;
use tidegate::fleet::{Connection, register};
use tidegate::local::Cloud;

use crate::seqs;

/// Longer than the pipeline ever takes on two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Microseconds of an hour.
pub(crate) const HOUR: i64 = 3_600_000_000;

/// The stack that `make test` has deployed.
pub(crate) struct Stack {
    pub(crate) cloud: Cloud,
    pub(crate) clients: Clients,
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Stack {
    pub(crate) async fn open() -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the local cloud is can only come from outside")]
        let path =
            std::env::var("TIDEGATE_CLOUD").expect("run `make test`, or `make up` and set TIDEGATE_CLOUD");
        // Relative to the checkout: a test runs in its package's folder.
        let cloud = Cloud::read(&checkout().join(path)).unwrap();
        let clients = cloud.clients().await;
        Self { outputs: cloud.outputs.clone(), cloud, clients }
    }

    /// Deploys the same build and template with these parameters as another stack, and goes on with that.
    pub(crate) async fn deploy(&mut self, name: &str, parameters: &[(&str, &str)]) {
        let template = self.cloud.ca.parent().unwrap().join("build/template.yaml");
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        let local = [("OnAws", "false"), ("BatchWindowSeconds", "1"), ("Architecture", architecture)];
        let overrides = parameters.iter().chain(&local).map(|(name, value)| format!("{name}={value}"));
        let output = Command::new(checkout().join(".local/venv-sam/bin/sam"))
            .args(["deploy", "--stack-name", name, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"])
            .args(["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"])
            .arg("--template-file")
            .arg(template)
            .arg("--parameter-overrides")
            .args(overrides)
            .current_dir(checkout())
            .envs([("AWS_ENDPOINT_URL", self.cloud.endpoint.as_str())])
            .envs([("AWS_DEFAULT_REGION", self.cloud.region.as_str()), ("SAM_CLI_TELEMETRY", "0")])
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.outputs = self.clients.outputs(name).await.unwrap();
        // It would answer acknowledgements of the first stack's alerts, which it does not know.
        let disable = self.clients.iot.disable_topic_rule().rule_name(&self.outputs["AcknowledgeRuleName"]);
        disable.send().await.unwrap();
    }

    /// Registers and connects a device whose name no other test and no other run uses.
    pub(crate) async fn connect(&self, name: &str) -> (String, Connection) {
        self.connect_as(&["DevicePolicyName", "DeviceAnswersPolicyName"], name).await
    }

    /// As [`Self::connect`], a Sparkplug edge node.
    pub(crate) async fn connect_node(&self, name: &str) -> (String, Connection) {
        self.connect_as(&["DevicePolicyName", "SparkplugNodePolicyName"], name).await
    }

    /// Registers and connects somebody who may hear all alerts.
    pub(crate) async fn connect_operator(&self) -> Connection {
        self.connect_as(&["OperatorPolicyName"], "operator").await.1
    }

    pub(crate) async fn connect_as(&self, policies: &[&str], name: &str) -> (String, Connection) {
        let name = format!("{name}-{}", now().0);
        let policies: Vec<&str> = policies.iter().map(|output| self.outputs[*output].as_str()).collect();
        let device = register(&self.clients.iot, &policies, "lab", &name).await.unwrap();
        let connection = Connection::open(&self.cloud.broker().unwrap(), &device).await.unwrap();
        (format!("lab/{name}"), connection)
    }

    pub(crate) async fn readings(&self, device: &str) -> Vec<Reading> {
        let table = Readings::new(self.clients.dynamodb.clone(), &self.outputs["ReadingsTableName"]);
        let (from, to) = (Micros(now().0 - 12 * HOUR), Micros(now().0 + HOUR));
        table.query(&DeviceId::from_stored(device), from, to, Deadline::after(PATIENCE)).await.unwrap()
    }

    /// Waits until the device has readings of `seq` with just these values.
    pub(crate) async fn wait_for_seqs(&self, device: &str, expected: &[i64]) -> Vec<Reading> {
        let started = Instant::now();
        loop {
            let readings = self.readings(device).await;
            let seqs = seqs(&readings);
            if seqs == expected {
                return readings;
            }
            assert!(started.elapsed() < PATIENCE, "{device} has {seqs:?}, not {expected:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn sqs(&self) -> sqs::Client {
        sqs::Client::new(&self.config().await)
    }

    pub(crate) async fn kinesis(&self) -> kinesis::Client {
        kinesis::Client::new(&self.config().await)
    }

    pub(crate) async fn shadows(&self) -> iotdata::Client {
        iotdata::Client::new(&self.config().await)
    }

    /// The set-up of clients that the command has no use for.
    async fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "local cloud");
        let config = cloud::clients::in_lambda().await.into_builder();
        let config = config.region(Region::new(self.cloud.region.clone()));
        let config = config.credentials_provider(SharedCredentialsProvider::new(credentials));
        config.endpoint_url(&self.cloud.endpoint).build()
    }

    /// The quarantined messages of a client.
    pub(crate) async fn quarantined(&self, client: &str) -> Vec<Value> {
        let bucket = &self.outputs["BucketName"];
        let list =
            self.clients.s3.list_objects_v2().bucket(bucket).prefix("quarantine/").send().await.unwrap();
        let mut lines = BTreeMap::new();
        for object in list.contents() {
            let get =
                self.clients.s3.get_object().bucket(bucket).key(object.key().unwrap()).send().await.unwrap();
            let bytes = get.body.collect().await.unwrap().into_bytes();
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: Value = serde_json::from_slice(line).unwrap();
                if line["client"] == client {
                    lines.insert(line["id"].as_str().unwrap().to_owned(), line);
                }
            }
        }
        lines.into_values().collect()
    }
}

pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}
