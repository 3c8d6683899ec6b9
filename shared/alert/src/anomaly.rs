//! Placeholder until the branch `anomaly` is merged.

use serde::{Deserialize, Serialize};
use telemetry::Micros;

/// Settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

impl Settings {
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Estimator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimator {}

impl Estimator {
    /// New.
    pub fn new(_: &Settings) -> Self {
        Self {}
    }
    /// Score.
    pub fn score(&self, _: &Settings, _: Micros, _: f64) -> Option<f64> {
        None
    }
    /// Learn.
    pub fn learn(&mut self, _: &Settings, _: Micros, _: f64) {}
}
