//! The function `archive`: readings become Parquet in S3.

use archive::handler::{Deps, handle};
use cloud::config::ArchiveConfig;
use cloud::lambda::{self, RuntimeError};
use cloud::objects::Bucket;
use cloud::{clients, sdk};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let config: ArchiveConfig = lambda::configured()?;
    let aws = clients::in_lambda().await;
    let deps = Deps::new(Bucket::new(sdk::s3::Client::new(&aws), &config.bucket), config.stage);
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
