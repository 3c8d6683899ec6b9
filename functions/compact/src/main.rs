//! The function `compact`: many small objects of the lake become few large ones.

use cloud::config::CompactConfig;
use cloud::lambda::{self, RuntimeError};
use cloud::objects::Bucket;
use cloud::{clients, sdk};
use compact::handler::{Deps, handle};
use compact::sorter::remove_leftovers;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RuntimeError> {
    let config: CompactConfig = lambda::configured()?;
    remove_leftovers(&std::env::temp_dir());
    let aws = clients::in_lambda().await;
    let bucket = Bucket::new(sdk::s3::Client::new(&aws), &config.bucket);
    let deps = Deps::new(bucket, config);
    lambda::run(async |_: &str, invocation| handle(&invocation, &deps).await).await
}
