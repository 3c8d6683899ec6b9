//! The function `ingest`: messages become readings in DynamoDB.

use cloud::broker::Broker;
use cloud::config::IngestConfig;
use cloud::devices::Devices;
use cloud::documents::Documents;
use cloud::lambda::{self, RuntimeError};
use cloud::objects::Bucket;
use cloud::profiles::ProfileSource;
use cloud::quarantine::Quarantine;
use cloud::readings::Readings;
use cloud::sparkplug::StoredNodes;
use cloud::{clients, sdk};
use ingest::handler::{Deps, handle};
use ingest::sparkplug::Sparkplug;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let config: IngestConfig = lambda::configured()?;
    let aws = clients::in_lambda().await;
    let dynamodb = sdk::dynamodb::Client::new(&aws);
    let deps = Deps::new(
        Readings::new(dynamodb.clone(), &config.readings_table),
        Devices::new(dynamodb.clone(), &config.devices_table),
        Quarantine::new(Bucket::new(sdk::s3::Client::new(&aws), &config.bucket)),
        ProfileSource::new(Documents::new(dynamodb.clone(), &config.config_table), config.config_cache),
        Sparkplug::new(
            StoredNodes::new(dynamodb, &config.config_table),
            Broker::new(sdk::iotdata::Client::new(&aws)),
        ),
        config,
    );
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
