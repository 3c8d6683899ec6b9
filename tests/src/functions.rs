//! What all functions have in common for whoever runs them as processes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::runtime_api::Function;

/// How long a test waits for what normally takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The built function called `name`, `debug` or `release`.
///
/// # Errors
/// If it is not built; says how to.
pub fn binary(name: &str, profile: &str) -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    // …/target/{profile}/deps/{test}, or …/target/{profile}/{binary}
    let is_profile = |folder: &&Path| folder.ends_with("debug") || folder.ends_with("release");
    let target = this.ancestors().find(is_profile).and_then(Path::parent);
    let target = target.ok_or_else(|| io::Error::other("not in a target folder"))?;
    let binary = target.join(profile).join(name);
    let flag = if profile == "release" { " --release" } else { "" };
    if binary.exists() {
        Ok(binary)
    } else {
        Err(io::Error::other(format!("{} is not built: cargo build -p {name}{flag}", binary.display())))
    }
}

/// The environment of a function beside an AWS at `endpoint`.
#[must_use]
pub fn credentials(endpoint: &str) -> [(&'static str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
}

/// What an invocation returns that has processed every message: an answer without a partial batch failure.
pub fn all_well() -> Result<Value, String> {
    Ok(json!({"batchItemFailures": []}))
}

/// The metric line of the invocation with this number, from 1.
///
/// # Errors
/// If the invocation has written none.
pub async fn metrics(function: &Function, invocation: usize) -> io::Result<Value> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lines = function.stdout();
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut metrics = parsed.filter(|line| line.get("_aws").is_some());
        if let Some(line) = metrics.nth(invocation - 1) {
            return Ok(line);
        }
        if tokio::time::Instant::now() > until {
            return Err(io::Error::other(format!("no metrics of invocation {invocation} in {lines:?}")));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
