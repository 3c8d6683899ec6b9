//! Where the data is that a question is about: the local cloud, or a stack or table on AWS.

use std::collections::BTreeMap;
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

/// Clients, and the outputs of the stack as far as they are known.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) clients: Clients,
    outputs: BTreeMap<String, String>,
}

/// Which table `--table` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableOf {
    Readings,
    Devices,
}

impl TableOf {
    /// The output of a stack that names it.
    fn output(self) -> &'static str {
        match self {
            Self::Readings => "ReadingsTableName",
            Self::Devices => "DevicesTableName",
        }
    }
}

impl Target {
    /// A stack or table on AWS if one is named, else the local cloud.
    pub(crate) async fn open(&self, table_of: TableOf) -> Result<Source> {
        if let Some(table) = &self.table {
            let outputs = BTreeMap::from([(table_of.output().to_owned(), table.clone())]);
            return Ok(Source { clients: Clients::on_aws().await?, outputs });
        }
        self.open_stack().await
    }

    /// The stack on AWS that is named, else the local cloud.
    pub(crate) async fn open_stack(&self) -> Result<Source> {
        if let Some(stack) = &self.stack {
            let clients = Clients::on_aws().await?;
            let outputs = clients.outputs(stack).await?;
            return Ok(Source { clients, outputs });
        }
        let cloud = self.local()?;
        Ok(Source { clients: cloud.clients().await, outputs: cloud.outputs })
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
        self.output(TableOf::Readings.output())
    }

    pub(crate) fn devices(&self) -> Result<&str> {
        self.output(TableOf::Devices.output())
    }

    pub(crate) fn bucket(&self) -> Result<&str> {
        self.output("BucketName")
    }

    /// The table of what operators edit: alert rules.
    pub(crate) fn config(&self) -> Result<&str> {
        self.output("ConfigTableName")
    }

    pub(crate) fn alerts(&self) -> Result<&str> {
        self.output("AlertsTableName")
    }

    /// The URL of the queue that the function `alert` takes commands from.
    pub(crate) fn alert_queue(&self) -> Result<&str> {
        self.output("AlertQueueUrl")
    }

    /// The devices table, if it is known.
    pub(crate) fn known_devices(&self) -> Option<&str> {
        self.outputs.get(TableOf::Devices.output()).map(String::as_str)
    }

    fn output(&self, name: &str) -> Result<&str> {
        let found = self.outputs.get(name).map(String::as_str);
        found.ok_or_else(|| {
            Error::problem(format!("the stack has no output {name}; is it one of Tidegate's?"))
        })
    }
}
