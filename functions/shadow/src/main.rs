//! The function `shadow`: devices tell their shadows.

use cloud::config::ShadowConfig;
use cloud::device_shadows::DeviceShadows;
use cloud::documents::Documents;
use cloud::lambda::{self, RuntimeError};
use cloud::profiles::ProfileSource;
use cloud::queue::Queue;
use cloud::shadows::Shadows;
use cloud::{clients, sdk};
use shadow::handler::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let config: ShadowConfig = lambda::configured()?;
    let aws = clients::in_lambda().await;
    let dynamodb = sdk::dynamodb::Client::new(&aws);
    let deps = Deps::new(
        DeviceShadows::new(dynamodb.clone(), &config.devices_table),
        Shadows::new(sdk::iotdata::Client::new(&aws), &config.shadow_name),
        Queue::new(sdk::sqs::Client::new(&aws), &config.queue_url),
        ProfileSource::new(Documents::new(dynamodb, &config.config_table), config.config_cache),
        config,
    );
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
