//! The function `shadow`: devices tell their shadows.

use cloud::config::ShadowConfig;
use cloud::device_shadows::DeviceShadows;
use cloud::lambda::{self, RuntimeError};
use cloud::queue::Queue;
use cloud::shadows::Shadows;
use cloud::{clients, sdk};
use shadow::handler::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    let lookup = |name: &str| std::env::var(name).ok();
    lambda::init_logging(lookup("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let config =
        ShadowConfig::from_lookup(lookup).inspect_err(|error| tracing::error!(%error, "not configured"))?;
    let aws = clients::in_lambda().await;
    let deps = Deps::new(
        DeviceShadows::new(sdk::dynamodb::Client::new(&aws), &config.devices_table),
        Shadows::new(sdk::iotdata::Client::new(&aws), &config.shadow_name),
        Queue::new(sdk::sqs::Client::new(&aws), &config.queue_url),
        config,
    );
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
