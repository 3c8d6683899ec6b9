//! What touches AWS: configuration, clients, tables, objects, retries, metrics, the runtime's glue.
//!
//! The only crate that names an AWS SDK. A feature per service: a function links what it uses.

#[cfg(feature = "alerts")]
pub mod alerts;
#[cfg(feature = "dynamodb")]
mod attribute;
#[cfg(feature = "dynamodb")]
mod body;
#[cfg(feature = "iotdata")]
pub mod broker;
pub mod clients;
#[cfg(feature = "dynamodb")]
pub mod conditional;
pub mod config;
#[cfg(feature = "dynamodb")]
pub mod device_items;
#[cfg(feature = "dynamodb")]
pub mod device_profiles;
#[cfg(feature = "dynamodb")]
pub mod device_shadows;
#[cfg(feature = "dynamodb")]
pub mod devices;
#[cfg(feature = "dynamodb")]
pub mod documents;
pub mod error;
#[cfg(feature = "dynamodb")]
pub mod heard;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod messages;
pub mod metrics;
#[cfg(feature = "sns")]
pub mod notifications;
#[cfg(feature = "s3")]
pub mod objects;
#[cfg(feature = "dynamodb")]
pub mod presence;
#[cfg(feature = "dynamodb")]
pub mod profiles;
#[cfg(feature = "s3")]
pub mod quarantine;
#[cfg(feature = "sqs")]
pub mod queue;
#[cfg(feature = "dynamodb")]
pub mod readings;
pub mod retry;
#[cfg(feature = "alerts")]
pub mod rules;
#[cfg(feature = "iotdata")]
pub mod shadows;
#[cfg(feature = "dynamodb")]
pub mod sparkplug;
pub mod stream;

pub use error::Error;

/// The SDK crates, for whoever sets up what the pipeline does not: the local cloud and the tests.
pub mod sdk {
    pub use aws_config::SdkConfig;
    #[cfg(feature = "cloudformation")]
    pub use aws_sdk_cloudformation as cloudformation;
    #[cfg(feature = "dynamodb")]
    pub use aws_sdk_dynamodb as dynamodb;
    #[cfg(feature = "iot")]
    pub use aws_sdk_iot as iot;
    #[cfg(feature = "iotdata")]
    pub use aws_sdk_iotdataplane as iotdata;
    #[cfg(feature = "kinesis")]
    pub use aws_sdk_kinesis as kinesis;
    #[cfg(feature = "s3")]
    pub use aws_sdk_s3 as s3;
    #[cfg(feature = "sns")]
    pub use aws_sdk_sns as sns;
    #[cfg(feature = "sqs")]
    pub use aws_sdk_sqs as sqs;
}
