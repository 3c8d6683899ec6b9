//! The harness of Tidegate's end-to-end tests and benches.
//!
//! - [`fake_aws`]: an in-process HTTP server that answers the part of DynamoDB, S3 and the IoT data plane that
//!   the functions use, refuses what AWS refuses, and fails on command.
//! - [`runtime_api`]: starts a Lambda binary under the Lambda Runtime API, sends it events and takes its answers.
//! - [`ingest`], [`lake`], [`alerts`], [`presence`] and [`shadow`]: the functions between the two, and [`events`], what they
//!   get; [`functions`], what they share.
//! - [`goldens`]: what messages become, as files; [`sparkplug`]: an edge node that speaks Sparkplug.
//! - [`template`]: a CloudFormation template as JSON; [`cloudformation`]: its functions; [`iot`]: what AWS IoT makes of policies and
//!   rules.
//! - [`process`]: CPU time and peak memory of a running process.
//!
//! What passes here has been seen to work against this fake only. Where the fake follows AWS's documentation and
//! where it is a guess is said at each rule.

pub mod alerts;
pub mod cloudformation;
pub mod events;
pub mod fake_aws;
pub mod functions;
pub mod goldens;
pub mod ingest;
pub mod iot;
pub mod lake;
pub mod pattern;
pub mod presence;
pub mod process;
pub mod runtime_api;
mod server;
pub mod shadow;
pub mod sparkplug;
pub mod template;
mod tls;
