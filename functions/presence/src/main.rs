//! The function `presence`: who is there.

use cloud::config::PresenceConfig;
use cloud::heard::LastHeard;
use cloud::lambda::{self, RuntimeError};
use cloud::presence::Presences;
use cloud::queue::Queue;
use cloud::rules::Rules;
use cloud::{clients, sdk};
use presence::handler::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    let lookup = |name: &str| std::env::var(name).ok();
    lambda::init_logging(lookup("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let config =
        PresenceConfig::from_lookup(lookup).inspect_err(|error| tracing::error!(%error, "not configured"))?;
    let aws = clients::in_lambda().await;
    let dynamodb = sdk::dynamodb::Client::new(&aws);
    let deps = Deps {
        presences: Presences::new(dynamodb.clone(), &config.devices_table),
        last_heard: LastHeard::new(dynamodb.clone(), &config.devices_table),
        rules: Rules::new(dynamodb, &config.config_table),
        alert_queue: Queue::new(sdk::sqs::Client::new(&aws), &config.alert_queue_url),
        config,
    };
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
