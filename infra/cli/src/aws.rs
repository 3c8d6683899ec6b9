//! Clients of a local cloud or of an AWS account.

use std::collections::BTreeMap;
use std::time::Duration;

use cloud::retry::Deadline;
use cloud::sdk::dynamodb::config::retry::RetryConfig;
use cloud::sdk::dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use cloud::sdk::{cloudformation, dynamodb, iot, iotdata, s3, sqs};

use crate::error::{Context as _, Error, Result};

/// The one user of the local cloud: its access key and its secret.
pub const LOCAL_USER: &str = "test";

/// How long a command waits for tables before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A deadline for one question.
pub(crate) fn patience() -> Deadline {
    Deadline::after(PATIENCE)
}

/// A client for each service that the command talks to.
#[derive(Debug, Clone)]
pub struct Clients {
    /// CloudFormation, for the outputs of a stack.
    pub cloudformation: cloudformation::Client,
    /// DynamoDB, for readings, devices, rules and alerts.
    pub dynamodb: dynamodb::Client,
    /// AWS IoT's control plane, to register devices.
    pub iot: iot::Client,
    /// AWS IoT's data plane, for shadows.
    pub iotdata: iotdata::Client,
    /// S3, for the quarantine.
    pub s3: s3::Client,
    /// SQS, for commands to the function `alert`.
    pub sqs: sqs::Client,
}

/// The same settings for each service: their types differ, their methods do not. An endpoint is set
/// for each service alone, so that no `AWS_ENDPOINT_URL_…` of the shell sends a local command elsewhere.
macro_rules! client {
    ($service:ident, $config:expr, $endpoint:expr) => {{
        let mut builder = $service::config::Builder::from($config);
        if let Some(endpoint) = $endpoint {
            builder.set_endpoint_url(Some(str::to_owned(endpoint)));
        }
        // Off for functions, which retry in a way of their own; a tool has only these.
        builder.set_retry_config(Some(RetryConfig::standard()));
        $service::Client::from_conf(builder.build())
    }};
}

macro_rules! clients {
    ($config:expr, $endpoint:expr) => {
        Clients {
            cloudformation: client!(cloudformation, $config, $endpoint),
            dynamodb: client!(dynamodb, $config, $endpoint),
            iot: client!(iot, $config, $endpoint),
            iotdata: client!(iotdata, $config, $endpoint),
            s3: client!(s3, $config, $endpoint),
            sqs: client!(sqs, $config, $endpoint),
        }
    };
}

impl Clients {
    /// Of the local cloud at `endpoint`. Takes nothing from the user's own AWS set-up.
    pub async fn local(endpoint: &str, region: &str) -> Self {
        let credentials = Credentials::new(LOCAL_USER, LOCAL_USER, None, None, "local cloud");
        let config = cloud::clients::in_lambda().await.into_builder();
        let config = config.region(Region::new(region.to_owned()));
        let config = config.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        clients!(&config, Some(endpoint))
    }

    /// Of the account that the SDK's usual chain finds: environment, profile, single sign-on.
    ///
    /// # Errors
    /// If no region is set.
    pub async fn on_aws() -> Result<Self> {
        let config = cloud::clients::on_a_machine().await;
        if config.region().is_none() {
            return Err(Error::problem("no AWS region is set; set AWS_REGION, or `region` in your profile"));
        }
        Ok(clients!(&config, None::<&str>))
    }

    /// The outputs of the stack called `stack`.
    ///
    /// # Errors
    /// If there is none, or it cannot be described.
    pub async fn outputs(&self, stack: &str) -> Result<BTreeMap<String, String>> {
        let described = self.cloudformation.describe_stacks().stack_name(stack).send().await;
        let described = described.or_problem(|| format!("cannot describe the stack {stack}"))?;
        let outputs = described.stacks().iter().flat_map(|stack| stack.outputs());
        Ok(outputs
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
            .collect())
    }
}
