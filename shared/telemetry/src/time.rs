//! Points in time, and how devices write them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// 2000-01-01T00:00:00Z. An earlier time is a clock that was never set.
const EARLIEST: Micros = Micros(946_684_800_000_000);
/// 2100-01-01T00:00:00Z, exclusive.
const LATEST: Micros = Micros(4_102_444_800_000_000);

/// Length of `2026-11-23T07:00Z`: seconds may be left out.
const MINUTES_AND_ZONE: usize = 17;

/// How many microseconds one unit of an epoch count is worth, by its magnitude. The accepted
/// years (2000 to 2100) are too few for the four ranges to meet, so a number belongs to one at most.
const EPOCH_UNITS: [EpochUnit; 4] = [
    EpochUnit { multiply: 1_000_000, divide: 1 },
    EpochUnit { multiply: 1_000, divide: 1 },
    EpochUnit { multiply: 1, divide: 1 },
    EpochUnit { multiply: 1, divide: 1_000 },
];

struct EpochUnit {
    multiply: i64,
    divide: i64,
}

impl Micros {
    /// From milliseconds since the epoch, the unit of AWS IoT's `timestamp()`.
    /// `None` outside 2000 to 2100.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000).map(Self).filter(|at| at.is_plausible())
    }

    /// From a count of seconds, milliseconds, microseconds or nanoseconds since the epoch, told
    /// apart by magnitude. `None` if no unit puts it between 2000 and 2100.
    pub fn from_epoch(count: i128) -> Option<Self> {
        // The latest time is one of 64 bits in the finest unit, too.
        let count = i64::try_from(count).ok()?;
        EPOCH_UNITS.iter().find_map(|unit| {
            let micros = count.checked_mul(unit.multiply)? / unit.divide;
            Some(Self(micros)).filter(|at| at.is_plausible())
        })
    }

    /// As [`Micros::from_epoch`], for a count with a fraction; rounded to the microsecond.
    pub fn from_epoch_fraction(count: f64) -> Option<Self> {
        EPOCH_UNITS.iter().find_map(|unit| {
            #[expect(clippy::cast_precision_loss, reason = "powers of ten up to a million are exact")]
            let micros = (count * unit.multiply as f64 / unit.divide as f64).round();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast saturates, and is_plausible refuses that"
            )]
            Some(Self(micros as i64)).filter(|at| at.is_plausible())
        })
    }

    /// From RFC 3339 text, such as `2026-11-23T07:00:00.25Z`; a zone is required.
    /// `None` if it is not that, or outside 2000 to 2100.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        Self::from_any_rfc3339(text).filter(|at| at.is_plausible())
    }

    /// As [`Micros::from_rfc3339`], in whatever year.
    pub(crate) fn from_any_rfc3339(text: &str) -> Option<Self> {
        // jiff reads more than RFC 3339: this keeps text such as `20261123` a text.
        let looks_right =
            text.len() >= MINUTES_AND_ZONE && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        if !looks_right {
            return None;
        }
        let timestamp: Timestamp = text.parse().ok()?;
        Some(Self(timestamp.as_microsecond()))
    }

    /// Whether a calendar of four-digit years has it.
    pub(crate) fn has_date(self) -> bool {
        Timestamp::from_microsecond(self.0).is_ok()
    }

    /// Whether it lies between 2000 and 2100.
    pub fn is_plausible(self) -> bool {
        (EARLIEST..LATEST).contains(&self)
    }

    /// This time, `micros` later.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The day in UTC, as `2026-11-23`: the partition of quarantine and lake.
    pub fn day(self) -> String {
        self.to_string().split('T').next().unwrap_or_default().to_owned()
    }
}

/// RFC 3339 in UTC, with as many decimals as it needs.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{}µs", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_units_are_told_apart_by_magnitude() {
        let at = Some(Micros(1_700_000_000_123_456));
        let check = |count: i128, expected: Option<Micros>| {
            assert_eq!(Micros::from_epoch(count), expected, "{count}");
        };
        check(1_700_000_000, Some(Micros(1_700_000_000_000_000)));
        check(1_700_000_000_123, Some(Micros(1_700_000_000_123_000)));
        check(1_700_000_000_123_456, at);
        check(1_700_000_000_123_456_789, at);
        check(946_684_800, Some(EARLIEST));
        check(946_684_799, None);
        check(4_102_444_799, Some(Micros(4_102_444_799_000_000)));
        check(4_102_444_800, None);
        check(4_102_444_799_999_999_999, Some(Micros(4_102_444_799_999_999)));
        check(0, None);
        check(-1_700_000_000, None);
        check(22, None);
        check(i128::MAX, None);
        check(i128::MIN, None);
    }

    #[test]
    fn epoch_fractions_round_to_the_microsecond() {
        let check = |count: f64, expected: Option<i64>| {
            assert_eq!(Micros::from_epoch_fraction(count), expected.map(Micros), "{count}");
        };
        check(1_700_000_000.123_456, Some(1_700_000_000_123_456));
        check(1_700_000_000_123.5, Some(1_700_000_000_123_500));
        check(22.5, None);
        check(f64::NAN, None);
        check(f64::INFINITY, None);
        check(-1e300, None);
    }

    #[test]
    fn rfc_3339_needs_a_zone() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(Micros::from_rfc3339(text), expected.map(Micros), "{text}");
        };
        check("2026-11-23T07:00:00Z", Some(1_795_417_200_000_000));
        check("2026-11-23T08:00:00.250+01:00", Some(1_795_417_200_250_000));
        check("2026-11-23 07:00:00.000001Z", Some(1_795_417_200_000_001));
        check("2026-11-23T07:00:00", None);
        check("2026-11-23", None);
        check("20261123T070000Z00000", None);
        check("1970-01-01T00:00:00Z", None);
        check("yesterday, about noon", None);
        check("ééééééééééééééééééééé", None);
        check("", None);
    }

    #[test]
    fn days_are_in_utc() {
        assert_eq!(Micros(1_795_417_200_250_000).to_string(), "2026-11-23T07:00:00.25Z");
        assert_eq!(Micros(1_795_417_200_250_000).day(), "2026-11-23");
    }
}
