//! Goldens: what messages become, as files that people read. `UPDATE_GOLDENS=1` in the environment writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use serde::Serialize;
use telemetry::{Reading, Reject, Value};

/// How the name of a payload's golden ends.
pub const GOLDEN: &str = ".expected.jsonl";

#[derive(Serialize)]
struct ReadingLine<'a> {
    device: &'a str,
    metric: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<String>,
    value: &'a Value,
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_sent: Option<&'a str>,
    quality: &'a str,
    time_source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correction: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_sent: Option<String>,
}

#[derive(Serialize)]
struct RejectLine {
    rejected: String,
    code: &'static str,
}

fn line(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).unwrap() + "\n"
}

/// What the payload becomes, as its golden has it.
#[must_use]
pub fn render(outcome: Result<Vec<Reading>, Reject>) -> String {
    match outcome {
        Ok(readings) => readings
            .iter()
            .map(|reading| {
                line(&ReadingLine {
                    device: reading.device.as_str(),
                    metric: &reading.metric,
                    at: reading.at.to_string(),
                    seq: (!reading.seq.is_none()).then(|| reading.seq.to_string()),
                    value: &reading.value,
                    unit: reading.unit.as_deref(),
                    unit_sent: reading.unit.as_ref().and_then(|unit| unit.sent()),
                    quality: reading.quality.as_str(),
                    time_source: reading.time_source.as_str(),
                    correction: reading.correction.as_ref().map(|correction| correction.reason.as_str()),
                    time_sent: reading.correction.as_ref().map(|correction| correction.sent.to_string()),
                })
            })
            .collect(),
        Err(reject) => line(&RejectLine { rejected: reject.to_string(), code: reject.code() }),
    }
}

/// How the golden at `path` differs from what a payload becomes, if it does.
#[must_use]
pub fn difference(path: &Path, rendered: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever changes the decoder, not configuration"
    )]
    if std::env::var("UPDATE_GOLDENS").is_ok() && fs::write(path, rendered).is_ok() {
        return None;
    }
    match fs::read_to_string(path) {
        Ok(expected) if expected == rendered => None,
        Ok(expected) => Some(format!("{} becomes\n{rendered}instead of\n{expected}", path.display())),
        Err(error) => Some(format!("{}: {error}; becomes\n{rendered}", path.display())),
    }
}

/// The bytes of a file in hexadecimals.
///
/// # Panics
/// If it has other characters than digits and white space.
#[must_use]
pub fn from_hex(text: &[u8]) -> Vec<u8> {
    let digits = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    let digits: Vec<u8> = digits.map(|byte| char::from(*byte).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
