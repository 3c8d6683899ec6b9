//! The function `archive`: readings become Parquet in S3.

use archive::handler::{Deps, handle};
use cloud::config::ArchiveConfig;
use cloud::lambda::{self, RuntimeError};
use cloud::objects::Bucket;
use cloud::{clients, sdk};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    let lookup = |name: &str| std::env::var(name).ok();
    lambda::init_logging(lookup("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let config =
        ArchiveConfig::from_lookup(lookup).inspect_err(|error| tracing::error!(%error, "not configured"))?;
    let aws = clients::in_lambda().await;
    let deps = Deps::new(Bucket::new(sdk::s3::Client::new(&aws), &config.bucket), config.stage);
    lambda::run(async |event: &str, invocation| handle(event, &invocation, &deps).await).await
}
