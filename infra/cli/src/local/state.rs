//! What a local cloud leaves in its folder for whoever talks to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::http;
use super::ministack::credentials;
use super::sam::STAGE;
use crate::aws::Clients;
use crate::error::{Context as _, Error, Result};
use crate::fleet::Broker;

/// The functions' variables without a default, and the stack's outputs that are their values.
const FUNCTION_RESOURCES: [(&str, &str); 7] = [
    ("TIDEGATE_READINGS_TABLE", "ReadingsTableName"),
    ("TIDEGATE_DEVICES_TABLE", "DevicesTableName"),
    ("TIDEGATE_BUCKET", "BucketName"),
    ("TIDEGATE_ALERTS_TABLE", "AlertsTableName"),
    ("TIDEGATE_CONFIG_TABLE", "ConfigTableName"),
    ("TIDEGATE_ALERT_QUEUE_URL", "AlertQueueUrl"),
    ("TIDEGATE_SHADOW_QUEUE_URL", "ShadowNudgeQueueUrl"),
];

/// A local cloud with the stack deployed, as `cloud.json` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloud {
    /// Process id of MiniStack.
    pub pid: i32,
    /// Where AWS clients find it.
    pub endpoint: String,
    /// Host of the MQTT broker.
    pub mqtt_host: String,
    /// Port of MQTT over mutual TLS.
    pub mqtt_port: u16,
    /// The certificate that signed the broker's, in PEM.
    pub ca: PathBuf,
    /// Region of all requests.
    pub region: String,
    /// Name of the stack.
    pub stack: String,
    /// Fingerprint of what is deployed.
    pub build: String,
    /// Outputs of the stack.
    pub outputs: BTreeMap<String, String>,
}

impl Cloud {
    /// The cloud that `path`, a `cloud.json`, describes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        read(path)?.ok_or_else(|| {
            Error::problem(format!("there is no local cloud: {} does not exist", path.display()))
        })
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// If the stack has no such output.
    pub fn output(&self, name: &str) -> Result<&str> {
        let found = self.outputs.get(name).map(String::as_str);
        found.ok_or_else(|| Error::problem(format!("the stack {} has no output {name}", self.stack)))
    }

    /// The environment of a process that talks to it or runs the function beside it.
    ///
    /// # Errors
    /// If the stack lacks an output.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let mut environment = vec![("AWS_ENDPOINT_URL", self.endpoint.clone())];
        environment.extend(credentials().map(|(name, value)| (name, value.to_owned())));
        environment.push(("TIDEGATE_STAGE", STAGE.to_owned()));
        for (name, output) in FUNCTION_RESOURCES {
            environment.push((name, self.output(output)?.to_owned()));
        }
        Ok(environment)
    }

    /// Clients of it.
    pub async fn clients(&self) -> Clients {
        Clients::local(&self.endpoint, &self.region).await
    }

    /// Invokes a function of the stack, which is named by one of its outputs, and waits for the answer.
    ///
    /// # Errors
    /// If it cannot be invoked, or fails.
    pub async fn invoke(&self, output: &str, event: &str) -> Result<String> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.output(output)?);
        let answer = http::post(self.port()?, &path, event).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The port of its AWS services.
    ///
    /// # Errors
    /// If its endpoint has none.
    pub fn port(&self) -> Result<u16> {
        let port = self.endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| Error::problem(format!("{} has no port", self.endpoint)))
    }

    /// Its MQTT broker.
    ///
    /// # Errors
    /// If the CA's certificate cannot be read.
    pub fn broker(&self) -> Result<Broker> {
        let ca =
            std::fs::read_to_string(&self.ca).or_problem(|| format!("cannot read {}", self.ca.display()))?;
        Ok(Broker { host: self.mqtt_host.clone(), port: self.mqtt_port, ca })
    }
}

/// Reads a file of JSON; `None` if there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .or_problem(|| format!("cannot understand {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::problem(format!("cannot read {}", path.display())).caused_by(error)),
    }
}

/// Writes a file of JSON; whoever reads it meanwhile sees the old one or the new one.
pub(crate) fn write<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    let sentence = || format!("cannot write {}", path.display());
    let json = serde_json::to_string_pretty(content).or_problem(sentence)?;
    let new = path.with_extension("json.new");
    std::fs::write(&new, json + "\n").and_then(|()| std::fs::rename(&new, path)).or_problem(sentence)
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    removed(path, std::fs::remove_dir_all(path))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    removed(path, std::fs::remove_file(path))
}

fn removed(path: &Path, outcome: std::io::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::problem(format!("cannot remove {}", path.display())).caused_by(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_beside_the_local_cloud_has_all_that_it_needs() {
        let required = cloud::config::REGISTRY.iter().filter(|variable| variable.default.is_none());
        for variable in required {
            let is_set = FUNCTION_RESOURCES.iter().any(|(name, _)| *name == variable.name);
            assert!(is_set, "{} is not set by `tidegate env`", variable.name);
        }
    }
}
