//! How every client is set up.

use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may take; a request that took longer is sent again while the deadline lasts.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The set-up of a function: credentials and region from the environment that Lambda provides, not
/// from the chain that looks in files and asks the network; endpoints from `AWS_ENDPOINT_URL…`.
pub async fn in_lambda() -> SdkConfig {
    loader()
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .load()
        .await
}

/// The set-up of a tool on somebody's machine: the SDK's whole chain, profiles included.
pub async fn on_a_machine() -> SdkConfig {
    loader().load().await
}

fn loader() -> ConfigLoader {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(timeouts)
        // Retries are this crate's own: see `retry`.
        .retry_config(RetryConfig::disabled())
        // The read timeout bounds a stalled answer, and no body here is streamed.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// One connection pool for all services. TLS by ring: no entropy gathering at start.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
