//! What senders say of the quality of a value that stands beside it.

use crate::profile::QualityCodes;
use crate::reading::{Quality, Value};

/// The quality that a member called `name` says; `None` if it says none that is known.
///
/// - `good`, `uncertain` or `bad`, and true or false (Kepware's IoT Gateway);
/// - under `qc`: the two bits of PROFIBUS and OPC that Siemens' Industrial Edge sends, 0 bad, 1 uncertain, 2 and 3 good;
/// - else a code of OPC or Sparkplug: 192 good, 64 or 500 uncertain, 0 bad.
///
/// Where the profile says what the `codes` mean, they mean that.
pub(super) fn of_sender(name: &str, value: &Value, codes: Option<&QualityCodes>) -> Option<Quality> {
    if let Some(codes) = codes {
        return codes.read(value);
    }
    let is_two_bits = name.rsplit('.').next().is_some_and(|level| level.eq_ignore_ascii_case("qc"));
    match value {
        Value::Boolean(true) => Some(Quality::Good),
        Value::Boolean(false) => Some(Quality::Bad),
        Value::Integer(0) => Some(Quality::Bad),
        Value::Integer(1) if is_two_bits => Some(Quality::Uncertain),
        Value::Integer(2 | 3) if is_two_bits => Some(Quality::Good),
        Value::Integer(192) => Some(Quality::Good),
        Value::Integer(64 | 500) => Some(Quality::Uncertain),
        Value::Text(text) => Quality::from_word(&text.to_ascii_lowercase()),
        Value::Integer(_) | Value::Float(_) => None,
    }
}
