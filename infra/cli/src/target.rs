//! Where the data is that a question is about: the local cloud, or a stack or table on AWS.

use std::path::PathBuf;

use crate::aws::Clients;
use crate::error::{Error, Result};
use crate::local;

/// What the user named.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Folder of a local cloud.
    pub dir: Option<PathBuf>,
    /// A stack on AWS.
    pub stack: Option<String>,
    /// A table on AWS.
    pub table: Option<String>,
}

/// Clients, and the tables as far as they are known.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) clients: Clients,
    readings: Option<String>,
    devices: Option<String>,
    bucket: Option<String>,
}

/// Which table `--table` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableOf {
    Readings,
    Devices,
}

impl Target {
    /// A stack or table on AWS if one is named, else the local cloud.
    pub(crate) async fn open(&self, table_of: TableOf) -> Result<Source> {
        if let Some(table) = &self.table {
            let only = |wanted: TableOf| (table_of == wanted).then(|| table.clone());
            let (readings, devices) = (only(TableOf::Readings), only(TableOf::Devices));
            return Ok(Source { clients: Clients::on_aws().await?, readings, devices, bucket: None });
        }
        self.open_stack().await
    }

    /// The stack on AWS that is named, else the local cloud.
    pub(crate) async fn open_stack(&self) -> Result<Source> {
        let (clients, mut outputs) = if let Some(stack) = &self.stack {
            let clients = Clients::on_aws().await?;
            let outputs = clients.outputs(stack).await?;
            (clients, outputs)
        } else {
            let cloud = self.local()?;
            (cloud.clients().await, cloud.outputs)
        };
        let mut output = |name: &str| outputs.remove(name);
        let (readings, devices) = (output("ReadingsTableName"), output("DevicesTableName"));
        Ok(Source { clients, readings, devices, bucket: output("BucketName") })
    }

    /// The local cloud that is meant.
    ///
    /// # Errors
    /// If it is not up.
    pub fn local(&self) -> Result<local::Cloud> {
        let dir = self.dir.clone().or_else(|| local::default_dir().ok());
        match dir.as_deref().map(local::running).transpose()?.flatten() {
            Some(cloud) => Ok(cloud),
            None => Err(Error::problem(
                "no local cloud is up: start one with `make up`, or name a stack on AWS with --stack",
            )),
        }
    }
}

impl Source {
    pub(crate) fn readings(&self) -> Result<&str> {
        self.readings.as_deref().ok_or_else(|| {
            Error::problem("the stack has no output ReadingsTableName; is it one of Tidegate's?")
        })
    }

    pub(crate) fn devices(&self) -> Result<&str> {
        self.known_devices().ok_or_else(|| {
            Error::problem("the stack has no output DevicesTableName; is it one of Tidegate's?")
        })
    }

    pub(crate) fn bucket(&self) -> Result<&str> {
        self.bucket
            .as_deref()
            .ok_or_else(|| Error::problem("the stack has no output BucketName; is it one of Tidegate's?"))
    }

    /// The devices table, if it is known.
    pub(crate) fn known_devices(&self) -> Option<&str> {
        self.devices.as_deref()
    }
}
