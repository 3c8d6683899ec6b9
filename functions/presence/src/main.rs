//! The function `presence`: who is there.

use std::time::Duration;

use cloud::config::PresenceConfig;
use cloud::documents::Documents;
use cloud::heard::LastHeard;
use cloud::lambda::{self, RuntimeError};
use cloud::presence::Presences;
use cloud::profiles::ProfileSource;
use cloud::queue::Queue;
use cloud::rules::Rules;
use cloud::{clients, sdk};
use presence::handler::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let config: PresenceConfig = lambda::configured()?;
    let aws = clients::in_lambda().await;
    let dynamodb = sdk::dynamodb::Client::new(&aws);
    let deps = Deps {
        presences: Presences::new(dynamodb.clone(), &config.devices_table),
        last_heard: LastHeard::new(dynamodb.clone(), &config.devices_table),
        rules: Rules::new(dynamodb.clone(), &config.config_table),
        // Read at each look, as the rules are.
        profiles: ProfileSource::new(Documents::new(dynamodb, &config.config_table), Duration::ZERO),
        alert_queue: Queue::new(sdk::sqs::Client::new(&aws), &config.alert_queue_url),
        config,
    };
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
