//! The function `alert`: judges readings by alert rules.

use alert_function::handler::{Deps, handle};
use alert_function::{Kinds, RuleSource};
use cloud::alerts::{AlertNotes, Alerts};
use cloud::broker::Broker;
use cloud::config::AlertConfig;
use cloud::device_profiles::DeviceProfiles;
use cloud::devices::Devices;
use cloud::documents::Documents;
use cloud::lambda::{self, RuntimeError};
use cloud::notifications::Notifications;
use cloud::profiles::ProfileSource;
use cloud::readings::Readings;
use cloud::rules::Rules;
use cloud::{clients, sdk};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let config: AlertConfig = lambda::configured()?;
    let aws = clients::in_lambda().await;
    let dynamodb = sdk::dynamodb::Client::new(&aws);
    let deps = Deps {
        alerts: Alerts::new(dynamodb.clone(), &config.alerts_table),
        rules: RuleSource::new(Rules::new(dynamodb.clone(), &config.config_table), config.config_cache),
        kinds: Kinds::new(
            DeviceProfiles::new(dynamodb.clone(), &config.devices_table),
            ProfileSource::new(Documents::new(dynamodb.clone(), &config.config_table), config.config_cache),
            config.config_cache,
        ),
        readings: Readings::new(dynamodb.clone(), &config.readings_table),
        devices: Devices::new(dynamodb.clone(), &config.devices_table),
        notes: AlertNotes::new(dynamodb, &config.devices_table),
        broker: Broker::new(sdk::iotdata::Client::new(&aws)),
        notifications: config
            .topic_arn
            .as_ref()
            .map(|arn| Notifications::new(sdk::sns::Client::new(&aws), arn)),
        memory: Default::default(),
        config,
    };
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
