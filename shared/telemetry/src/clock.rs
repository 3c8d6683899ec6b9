//! Which time a reading gets: what devices write, what is accepted of it, and what is made of the rest.
//!
//! | what was sent | the reading's time |
//! |---|---|
//! | a time in the accepted range around the arrival | that time |
//! | none | the arrival |
//! | a date and hour without a zone | read in the zone of the profile, else of the policy; without either it is no time, and stays a text |
//! | a counter of 32 bits that has run over | the round that lies nearest to the arrival |
//! | a time before 2001, of a clock that begins anew when the device is switched on | the newest of the message gets the arrival time, the others keep their distance to it |
//! | any other time outside of the range | the arrival; or the message is refused, as the policy says |

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use crate::profile::{EpochUnit, TimeField};
use crate::reading::{Correction, CorrectionReason, TimeSource, Value};
use crate::reject::Reject;
use crate::sample::{Basis, SentTime};
use crate::time::Micros;

/// 2001-01-01T00:00:00Z. Clocks without a battery begin in 1970, 1980 or 2000 when they are switched on.
const CLOCK_WAS_SET: Micros = Micros(978_307_200_000_000);
const DAY: i64 = 86_400 * 1_000_000;

/// What is accepted of devices' clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimePolicy {
    /// How long before its arrival a reading may have been measured, in microseconds.
    pub max_age_micros: i64,
    /// How long after its arrival, by the device's clock, in microseconds.
    pub max_ahead_micros: i64,
    /// What becomes of the rest.
    pub outside: Outside,
    /// The zone of times that are written without one; `None`: they are texts.
    pub zone: Option<Zone>,
}

impl Default for TimePolicy {
    fn default() -> Self {
        Self {
            max_age_micros: 30 * DAY,
            max_ahead_micros: 10 * 60 * 1_000_000,
            outside: Outside::Arrival,
            zone: None,
        }
    }
}

/// What becomes of a message whose time is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outside {
    /// Its readings get the arrival time, and say what time was sent.
    #[default]
    Arrival,
    /// It is refused, and kept in the quarantine.
    Quarantine,
}

/// A time zone: `UTC`, `+02:00`, or a name of the IANA database such as `Europe/Berlin`, of which a copy is built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// A text that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone: write UTC, an offset such as +02:00, or a name such as Europe/Berlin")]
pub struct ZoneError;

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let zone = match offset_seconds(text) {
            Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| ZoneError)?),
            None => TimeZoneDatabase::bundled().get(text).map_err(|_| ZoneError)?,
        };
        Ok(Self { name: text.to_owned(), zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// `+02:00`, in seconds.
fn offset_seconds(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |digits: &str, below: i32| {
        let is_written = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i32>().ok().filter(|number| is_written && *number < below)
    };
    Some(sign * (number(hours, 24)? * 3_600 + number(minutes, 60)? * 60))
}

impl Zone {
    /// The point in time of a date and hour here, given as if it were UTC. Where clocks are set back, the earlier of
    /// the two; where they are set forward, as if they had not been yet.
    fn resolve(&self, local: Micros) -> Option<Micros> {
        let local = Timestamp::from_microsecond(local.0).ok()?.to_zoned(TimeZone::UTC).datetime();
        let at = self.zone.to_zoned(local).ok()?.timestamp();
        Some(Micros(at.as_microsecond()))
    }
}

/// The clocks that matter to one message.
pub(crate) struct Clock<'a> {
    /// When the broker received it, to the millisecond.
    pub(crate) received: Micros,
    /// AWS IoT's id of this delivery.
    pub(crate) trace: Option<&'a str>,
    pub(crate) policy: &'a TimePolicy,
    /// What the profile says of its times.
    pub(crate) field: Option<&'a TimeField>,
}

/// A time that a reading gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) at: Micros,
    pub(crate) source: TimeSource,
    pub(crate) correction: Option<Box<Correction>>,
}

impl Clock<'_> {
    /// The time of readings that have none: the broker's millisecond, with the microseconds taken from the trace id, so
    /// that two messages of one millisecond remain two readings; each further record of a message is a microsecond
    /// later. The same delivery always gets the same time.
    pub(crate) fn arrival(&self, record: u32) -> Micros {
        let micros = self.trace.map_or(0, |trace| fnv1a(trace.as_bytes()) % 1_000);
        #[expect(clippy::cast_possible_wrap, reason = "below 1,000")]
        self.received.plus(micros as i64 + i64::from(record))
    }

    /// A value that stands where a time may stand; `None` if it is none.
    pub(crate) fn read(&self, value: &Value) -> Option<SentTime> {
        match value {
            Value::Integer(count) => self.read_count(*count),
            Value::Float(count) => self.read_fraction(*count),
            Value::Text(text) => self.read_text(text),
            Value::Boolean(_) => None,
        }
    }

    fn read_count(&self, count: i128) -> Option<SentTime> {
        if let Some(unit) = self.field.and_then(|field| field.unit) {
            let micros =
                i64::try_from(count.checked_mul(unit.multiply().into())? / i128::from(unit.divide())).ok()?;
            return Some(self.of_unit(Micros(micros), unit));
        }
        if let Some(at) = Micros::from_epoch(count) {
            return Some(SentTime::of_device(at));
        }
        // A counter of seconds that has run over is a small or negative number, and looks like any other: it is taken
        // for a time only if it is one of just now.
        let seconds = i64::try_from(count).ok().filter(|count| (-(1 << 31)..1 << 32).contains(count))?;
        let sent = SentTime {
            basis: Basis::Wrapping(EpochUnit::Seconds),
            ..SentTime::of_device(Micros(seconds * 1_000_000))
        };
        let has_run_over = self.unwrap(sent.at, EpochUnit::Seconds);
        (has_run_over != sent.at && self.accepts(has_run_over)).then_some(sent)
    }

    fn read_fraction(&self, count: f64) -> Option<SentTime> {
        let Some(unit) = self.field.and_then(|field| field.unit) else {
            return Micros::from_epoch_fraction(count).map(SentTime::of_device);
        };
        #[expect(clippy::cast_precision_loss, reason = "powers of ten up to a million are exact")]
        let micros = (count * unit.multiply() as f64 / unit.divide() as f64).round();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast saturates, and such a time is not accepted"
        )]
        Some(self.of_unit(Micros(micros as i64), unit))
    }

    fn of_unit(&self, at: Micros, unit: EpochUnit) -> SentTime {
        let wraps = self.field.is_some_and(|field| field.is_32_bit);
        let basis = if wraps { Basis::Wrapping(unit) } else { Basis::Epoch };
        SentTime { basis, ..SentTime::of_device(at) }
    }

    fn read_text(&self, text: &str) -> Option<SentTime> {
        if let Some(at) = Micros::from_any_rfc3339(text) {
            return Some(SentTime::of_device(at));
        }
        // Where it is said what is counted, a count may be written as text.
        if self.field.is_some_and(|field| field.unit.is_some())
            && let Ok(count) = text.parse()
        {
            return self.read_count(count);
        }
        // Without a zone to read it in, it is no time.
        self.zone()?;
        let looks_right = text.len() >= 16 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        let local: DateTime = text.parse().ok().filter(|_| looks_right)?;
        let at = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(SentTime { basis: Basis::Local, ..SentTime::of_device(Micros(at.as_microsecond())) })
    }

    fn zone(&self) -> Option<&Zone> {
        self.field.and_then(|field| field.zone.as_ref()).or(self.policy.zone.as_ref())
    }

    /// The round of a counter that lies nearest before the latest accepted time.
    fn unwrap(&self, at: Micros, unit: EpochUnit) -> Micros {
        let round = unit.round_of_32_bits();
        let latest = self.received.plus(self.policy.max_ahead_micros);
        let rounds = latest.0.saturating_sub(at.0).div_euclid(round).max(0);
        at.plus(rounds.saturating_mul(round))
    }

    /// Whether the policy takes a time as it is.
    pub(crate) fn accepts(&self, at: Micros) -> bool {
        at.is_plausible()
            && at >= self.received.plus(-self.policy.max_age_micros)
            && at <= self.received.plus(self.policy.max_ahead_micros)
    }

    /// Whether a time is that of a clock which began when the device was switched on.
    pub(crate) fn is_since_boot(sent: &SentTime) -> bool {
        sent.basis == Basis::Epoch && sent.at < CLOCK_WAS_SET
    }

    /// The time that a reading gets. `newest_since_boot`: the newest of the message's times that are such;
    /// `record`: keeps records apart that get the arrival time.
    ///
    /// # Errors
    /// [`Reject::TimeRange`] if the time is not accepted, and the policy is to refuse.
    #[inline]
    pub(crate) fn settle(
        &self,
        sent: Option<SentTime>,
        newest_since_boot: Option<Micros>,
        record: u32,
    ) -> Result<Settled, Reject> {
        match sent {
            Some(SentTime { at, source, basis: Basis::Epoch }) if self.accepts(at) => {
                Ok(Settled { at, source, correction: None })
            }
            Some(sent) => self.correct(sent, newest_since_boot, record),
            None => Ok(Settled { at: self.arrival(record), source: TimeSource::Arrival, correction: None }),
        }
    }

    /// What is made of a time that cannot be taken as it is.
    fn correct(
        &self,
        sent: SentTime,
        newest_since_boot: Option<Micros>,
        record: u32,
    ) -> Result<Settled, Reject> {
        let corrected = |reason| Some(Box::new(Correction { reason, sent: sent.at }));
        let (at, correction) = match sent.basis {
            Basis::Epoch => (sent.at, None),
            Basis::Local => {
                let at = self.zone().and_then(|zone| zone.resolve(sent.at)).unwrap_or(sent.at);
                (at, corrected(CorrectionReason::Zone))
            }
            Basis::Wrapping(unit) => {
                let at = self.unwrap(sent.at, unit);
                (at, if at == sent.at { None } else { corrected(CorrectionReason::Wrap) })
            }
        };
        if self.accepts(at) {
            return Ok(Settled { at, source: sent.source, correction });
        }
        if let Some(newest) = newest_since_boot.filter(|_| Self::is_since_boot(&sent)) {
            let distance = newest.0.saturating_sub(sent.at.0);
            if distance <= self.policy.max_age_micros {
                let correction = corrected(CorrectionReason::Boot);
                return Ok(Settled {
                    at: self.arrival(0).plus(-distance),
                    source: TimeSource::Arrival,
                    correction,
                });
            }
        }
        match self.policy.outside {
            Outside::Quarantine => Err(Reject::TimeRange),
            Outside::Arrival => Ok(Settled {
                at: self.arrival(record),
                source: TimeSource::Arrival,
                correction: corrected(CorrectionReason::Outside),
            }),
        }
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; parameters of draft-eastlake-fnv).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T07:00:00Z.
    const ARRIVAL: Micros = Micros(1_795_417_200_000_000);
    const SECOND: i64 = 1_000_000;

    /// What becomes of a value where a time may stand, as `{seconds after the arrival} {source} {correction}`.
    fn settle(policy: &TimePolicy, field: &TimeField, value: &Value) -> Option<String> {
        let clock = Clock { received: ARRIVAL, trace: None, policy, field: Some(field) };
        let sent = clock.read(value)?;
        let newest = Some(sent.at).filter(|_| Clock::is_since_boot(&sent));
        Some(match clock.settle(Some(sent), newest, 0) {
            Ok(settled) => {
                let after = (settled.at.0 - ARRIVAL.0) as f64 / SECOND as f64;
                let correction =
                    settled.correction.as_ref().map_or("-", |correction| correction.reason.as_str());
                assert!(settled.correction.as_ref().is_none_or(|correction| correction.sent == sent.at));
                format!("{after} {} {correction}", settled.source)
            }
            Err(reject) => reject.code().to_owned(),
        })
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn seconds(after: i64) -> Value {
        Value::Integer((ARRIVAL.0 / SECOND + after).into())
    }

    #[test]
    fn times_in_the_accepted_range_are_taken_and_others_are_not() {
        let check = |value: Value, expected: Option<&str>| {
            let outcome = settle(&TimePolicy::default(), &TimeField::default(), &value);
            assert_eq!(outcome.as_deref(), expected, "{value}");
        };
        check(seconds(0), Some("0 device -"));
        check(seconds(600), Some("600 device -"));
        check(seconds(601), Some("0 arrival outside"));
        check(seconds(-30 * 86_400), Some("-2592000 device -"));
        check(seconds(-30 * 86_400 - 1), Some("0 arrival outside"));
        check(text("2026-11-23T07:00:00.000001Z"), Some("0.000001 device -"));
        check(text("2026-11-23T08:00:01+01:00"), Some("1 device -"));
        check(text("2099-01-01T00:00:00Z"), Some("0 arrival outside"));
        check(text("1970-01-01T00:01:00Z"), Some("0 arrival boot"));
        check(text("2000-01-01T00:00:07Z"), Some("0 arrival boot"));
        check(text("2026-11-23T07:00:00"), None);
        check(text("soon"), None);
        check(Value::Integer(12), None);
        check(Value::Boolean(true), None);
    }

    #[test]
    fn a_policy_may_refuse_and_have_a_zone() {
        let policy = TimePolicy {
            outside: Outside::Quarantine,
            zone: Some("Europe/Berlin".parse().unwrap()),
            ..TimePolicy::default()
        };
        let check = |value: Value, expected: Option<&str>| {
            assert_eq!(settle(&policy, &TimeField::default(), &value).as_deref(), expected, "{value}");
        };
        check(seconds(601), Some("time"));
        check(text("2026-11-23T08:00:00"), Some("0 device zone"));
        check(text("2026-11-23 08:00:00.5"), Some("0.5 device zone"));
        check(text("2026-11-23"), None);
        // Clocks are set back: the first of the two hours.
        check(text("2026-10-25T02:30:00"), Some("-2529000 device zone"));
        check(text("2025-11-23T08:00:00"), Some("time"));
        check(text("1970-01-01T00:01:00Z"), Some("0 arrival boot"));
    }

    #[test]
    fn a_profile_says_what_a_number_counts() {
        let field = |unit, is_32_bit| TimeField { unit: Some(unit), is_32_bit, ..TimeField::default() };
        let check = |field: &TimeField, count: i64, expected: &str| {
            let outcome = settle(&TimePolicy::default(), field, &Value::Integer(count.into()));
            assert_eq!(outcome.as_deref(), Some(expected), "{field:?} {count}");
        };
        let arrival_millis = ARRIVAL.0 / 1_000;
        check(&field(EpochUnit::Millis, false), arrival_millis + 1, "0.001 device -");
        check(&field(EpochUnit::Seconds, false), 12, "0 arrival boot");
        check(&field(EpochUnit::Millis, true), arrival_millis % (1 << 32), "0 device wrap");
        check(&field(EpochUnit::Seconds, true), ARRIVAL.0 / SECOND, "0 device -");
        check(&field(EpochUnit::Nanos, false), 1, "0 arrival boot");
        check(&field(EpochUnit::Seconds, false), i64::MAX / SECOND, "0 arrival outside");
        // As text only where it is said what is counted.
        let written = text(&(ARRIVAL.0 / SECOND + 1).to_string());
        let of_text = |field: &TimeField| settle(&TimePolicy::default(), field, &written);
        assert_eq!(of_text(&field(EpochUnit::Seconds, false)).as_deref(), Some("1 device -"));
        assert_eq!(of_text(&TimeField::default()), None);
    }

    #[test]
    fn a_counter_of_32_bits_that_has_run_over_is_known_after_2038() {
        // 2040-01-01T00:00:00Z as a signed counter of 32 bits shows it.
        let arrival = Micros(2_208_988_800 * SECOND);
        let shown = Value::Integer((2_208_988_800_i64 - (1 << 32)).into());
        let clock = Clock { received: arrival, trace: None, policy: &TimePolicy::default(), field: None };
        let settled = clock.settle(clock.read(&shown), None, 0).unwrap();
        assert_eq!((settled.at, settled.source), (arrival, TimeSource::Device));
        assert_eq!(settled.correction.map(|correction| correction.reason), Some(CorrectionReason::Wrap));
    }

    #[test]
    fn times_since_boot_keep_their_distances() {
        let clock = Clock { received: ARRIVAL, trace: None, policy: &TimePolicy::default(), field: None };
        let since_boot = |seconds: i64| SentTime::of_device(Micros(seconds * SECOND));
        let settle = |seconds| clock.settle(Some(since_boot(seconds)), Some(Micros(90 * SECOND)), 5).unwrap();
        assert_eq!(settle(90).at, ARRIVAL);
        assert_eq!(settle(30).at, ARRIVAL.plus(-60 * SECOND));
        assert_eq!(settle(30).correction.map(|correction| correction.sent), Some(Micros(30 * SECOND)));
    }

    #[test]
    fn records_without_a_time_are_a_microsecond_apart() {
        let clock = Clock { received: ARRIVAL, trace: None, policy: &TimePolicy::default(), field: None };
        let settled = clock.settle(None, None, 3).unwrap();
        assert_eq!((settled.at, settled.source), (ARRIVAL.plus(3), TimeSource::Arrival));
    }

    #[test]
    fn zones_are_names_or_offsets() {
        for zone in ["UTC", "+02:00", "-09:30", "Europe/Berlin", "America/St_Johns"] {
            assert_eq!(zone.parse::<Zone>().unwrap().to_string(), zone);
        }
        for bad in ["", "+2", "+25:00", "+02:60", "+aa:bb", "Mars/Olympus", "02:00", "+\u{e9}2:00"] {
            assert_eq!(bad.parse::<Zone>(), Err(ZoneError), "{bad}");
        }
    }
}
