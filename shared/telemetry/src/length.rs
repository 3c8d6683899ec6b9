//! Lengths of time as people write them in a rule: `30s`, `5m`, `1h 30m`.

use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, in microseconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Length(pub i64);

impl Length {
    /// Whether it is no time at all.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

/// jiff's "friendly" format, which reads back.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", SignedDuration::from_micros(self.0))
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed: Option<SignedDuration> =
            text.parse().ok().filter(|length: &SignedDuration| !length.is_negative());
        let micros = parsed.and_then(|length| i64::try_from(length.as_micros()).ok());
        micros.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is no length of time; write it as 30s, 5m or 1h 30m"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_people_write_them() {
        let check = |text: &str, expected: Option<i64>| {
            let read = serde_json::from_value::<Length>(serde_json::json!(text)).ok();
            assert_eq!(read, expected.map(Length), "{text}");
            if let Some(length) = read {
                assert_eq!(serde_json::from_value::<Length>(serde_json::json!(length)).unwrap(), length);
            }
        };
        check("30s", Some(30_000_000));
        check("1h 30m", Some(5_400_000_000));
        check("250ms", Some(250_000));
        check("24h", Some(86_400_000_000));
        check("0s", Some(0));
        check("-5s", None);
        check("5", None);
        check("soon", None);
        check("", None);
    }
}
