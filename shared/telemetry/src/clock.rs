//! Which time a reading gets: what devices write, what is accepted of it, and what is made of the rest.
//!
//! | what was sent | the reading's time |
//! |---|---|
//! | a time in the accepted range around the arrival | that time |
//! | none | the arrival |
//! | a date and hour without a zone | read in the zone of the profile, else of the policy; without either it is no time, and stays a text. In the hour that comes twice when clocks are set back, what [`repeated_hour`](crate::repeated_hour) says |
//! | a counter of 32 bits that has run over | the round that lies nearest to the arrival |
//! | a time before 2001, of a clock that begins anew when the device is switched on | the newest of the message gets the arrival time, the others keep their distance to it |
//! | any other time outside of the range | the arrival; or the message is refused, as the policy says |

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use crate::delivery::Delivery;
use crate::profile::{EpochUnit, TimeField};
use crate::reading::{Correction, CorrectionReason, Seq, TimeSource, Value};
use crate::reject::Reject;
use crate::sample::{Basis, SentTime};
use crate::time::Micros;
use crate::time_format::Written;

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

/// A date and time of day, as if it were UTC.
fn as_if_utc(local: DateTime) -> Option<Micros> {
    let shown = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Micros(shown.as_microsecond()))
}

/// `+02:00`, in seconds.
pub(crate) fn offset_seconds(text: &str) -> Option<i32> {
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
    /// How many seconds this place is ahead of UTC on a date and hour: before and after clocks are set back, where that
    /// happens then, else twice the same. Where clocks are set forward, it is as if they had not been yet.
    fn ahead(&self, local: DateTime) -> (i32, i32) {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Fold { before, after } => (before.seconds(), after.seconds()),
            AmbiguousOffset::Unambiguous { offset } => (offset.seconds(), offset.seconds()),
            AmbiguousOffset::Gap { before, .. } => (before.seconds(), before.seconds()),
        }
    }
}

/// The clocks that matter to one message.
#[derive(Clone, Copy)]
pub(crate) struct Clock<'a> {
    /// When the broker received it, to the millisecond.
    pub(crate) received: Micros,
    /// Which delivery of the message it is.
    pub(crate) delivery: Delivery,
    pub(crate) policy: &'a TimePolicy,
    /// What the profile says of its times.
    pub(crate) field: Option<&'a TimeField>,
}

/// The time that a reading gets, and with it its place among others of that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadingTime {
    pub(crate) at: Micros,
    pub(crate) seq: Seq,
    pub(crate) source: TimeSource,
    pub(crate) correction: Option<Box<Correction>>,
}

impl Clock<'_> {
    /// When the broker received the message, with the microseconds of this delivery: rarely the same for two messages.
    pub(crate) fn received_exactly(&self) -> Micros {
        self.received.plus(self.delivery.sub_millis())
    }

    /// The time of readings whose time counts from the arrival, `after` of it in microseconds: the broker's millisecond
    /// is shared by others, so the delivery and the place of the record tell the reading apart.
    fn time_of_arrival(&self, after: i64, record: u32, source: TimeSource) -> ReadingTime {
        ReadingTime {
            at: self.received.plus(after),
            seq: Seq::of_delivery(self.delivery, record),
            source,
            correction: None,
        }
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
        if let Some(written) = self.read_written(|| count.to_string().into()) {
            return Some(written);
        }
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

    /// A time in one of the layouts that the profile writes down.
    fn read_written<'t>(&self, text: impl FnOnce() -> Cow<'t, str>) -> Option<SentTime> {
        let field = self.field.filter(|field| !field.formats.is_empty())?;
        let text = text();
        let written = field.formats.iter().find_map(|format| format.read(&text, &field.zone_marks))?;
        match written {
            Written::Local(local) => self.of_local(local),
            Written::At(local, ahead) => {
                let at = as_if_utc(local)?.plus(i64::from(ahead) * -1_000_000);
                Some(SentTime::of_device(at))
            }
        }
    }

    /// A date and time of day in the zone of the device; `None` where none is known.
    fn of_local(&self, local: DateTime) -> Option<SentTime> {
        let (before, after) = self.zone()?.ahead(local);
        let basis = Basis::Local { before, after };
        Some(SentTime { basis, ..SentTime::of_device(as_if_utc(local)?) })
    }

    fn read_text(&self, text: &str) -> Option<SentTime> {
        let text = text.trim();
        if let Some(written) = self.read_written(|| text.into()) {
            return Some(written);
        }
        if let Some(at) = Micros::from_any_rfc3339(text) {
            return Some(SentTime::of_device(at));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) {
            return self.read_count_in_text(text);
        }
        let looks_right = text.len() >= 16 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        // Without a zone to read it in, it is no time.
        self.zone().filter(|_| looks_right)?;
        self.of_local(text.parse().ok()?)
    }

    /// A count since 1970 that is written as text, perhaps with a fraction. Where the profile does not say what is
    /// counted, small numbers are none: they could count anything.
    fn read_count_in_text(&self, text: &str) -> Option<SentTime> {
        let has_unit = self.field.is_some_and(|field| field.unit.is_some());
        match text.parse::<i128>() {
            Ok(count) if has_unit => self.read_count(count),
            Ok(count) => Micros::from_epoch(count).map(SentTime::of_device),
            Err(_) => self.read_fraction(text.parse().ok()?),
        }
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

    /// The time that a reading of the record at place `record` gets. `newest_since_boot`: the newest of the message's
    /// times that are such.
    ///
    /// # Errors
    /// [`Reject::TimeRange`] if the time is not accepted, and the policy is to refuse.
    #[inline]
    pub(crate) fn reading_time(
        &self,
        sent: Option<SentTime>,
        newest_since_boot: Option<Micros>,
        record: u32,
    ) -> Result<ReadingTime, Reject> {
        match sent {
            Some(SentTime { at, source, basis: Basis::Epoch }) if self.accepts(at) => {
                Ok(ReadingTime { at, seq: self.seq_of_time(at), source, correction: None })
            }
            Some(sent) => self.correct(sent, newest_since_boot, record),
            None => Ok(self.time_of_arrival(0, record, TimeSource::Arrival)),
        }
    }

    /// What tells apart a reading with a time of its own: nothing, unless the profile says that times of its devices come
    /// again, and are kept.
    fn seq_of_time(&self, at: Micros) -> Seq {
        let keeps = self.field.and_then(|field| field.kept_resolution);
        match keeps.filter(|resolution| at.0.rem_euclid(*resolution) == 0) {
            Some(_) => Seq::of_delivery(self.delivery, 0),
            None => Seq::default(),
        }
    }

    /// What is made of a time that cannot be taken as it is.
    fn correct(
        &self,
        sent: SentTime,
        newest_since_boot: Option<Micros>,
        record: u32,
    ) -> Result<ReadingTime, Reject> {
        let corrected = |reason| Some(Box::new(Correction { reason, sent: sent.at }));
        let (at, correction) = match sent.basis {
            Basis::Epoch => (sent.at, None),
            // Where two hours may be meant, it has been decided which.
            Basis::Local { before, .. } => {
                (sent.at.plus(i64::from(before) * -1_000_000), corrected(CorrectionReason::Zone))
            }
            Basis::Wrapping(unit) => {
                let at = self.unwrap(sent.at, unit);
                (at, if at == sent.at { None } else { corrected(CorrectionReason::Wrap) })
            }
            Basis::Arrival if self.accepts(sent.at) => {
                let after = sent.at.0.saturating_sub(self.received.0);
                return Ok(self.time_of_arrival(after, record, sent.source));
            }
            Basis::Arrival => (sent.at, None),
        };
        if self.accepts(at) {
            return Ok(ReadingTime { at, seq: self.seq_of_time(at), source: sent.source, correction });
        }
        if let Some(newest) = newest_since_boot.filter(|_| Self::is_since_boot(&sent)) {
            let distance = newest.0.saturating_sub(sent.at.0);
            if distance <= self.policy.max_age_micros {
                let time = self.time_of_arrival(-distance, record, TimeSource::Arrival);
                return Ok(ReadingTime { correction: corrected(CorrectionReason::Boot), ..time });
            }
        }
        match self.policy.outside {
            Outside::Quarantine => Err(Reject::TimeRange),
            Outside::Arrival => Ok(ReadingTime {
                correction: corrected(CorrectionReason::Outside),
                ..self.time_of_arrival(0, record, TimeSource::Arrival)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T07:00:00Z.
    const ARRIVAL: Micros = Micros(1_795_417_200_000_000);
    const SECOND: i64 = 1_000_000;

    /// What becomes of a value where a time may stand, as `{seconds after the arrival} {source} {correction}`.
    fn settle(policy: &TimePolicy, field: &TimeField, value: &Value) -> Option<String> {
        let clock = Clock { received: ARRIVAL, delivery: Delivery::new(""), policy, field: Some(field) };
        let sent = clock.read(value)?;
        let newest = Some(sent.at).filter(|_| Clock::is_since_boot(&sent));
        Some(match clock.reading_time(Some(sent), newest, 0) {
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
        check(text("2026-11-23T07:00Z"), Some("0 device -"));
        check(text(" 2026-11-23 07:01+00:00 "), Some("60 device -"));
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
        // As text, too; what could count anything only where it is said what it counts.
        let of_text = |field: &TimeField, count: &str| settle(&TimePolicy::default(), field, &text(count));
        let second = ARRIVAL.0 / SECOND + 1;
        for field in [field(EpochUnit::Seconds, false), TimeField::default()] {
            assert_eq!(of_text(&field, &second.to_string()).as_deref(), Some("1 device -"));
            assert_eq!(of_text(&field, &format!(" {second}.25 ")).as_deref(), Some("1.25 device -"));
        }
        assert_eq!(of_text(&field(EpochUnit::Seconds, false), "7").as_deref(), Some("0 arrival boot"));
        assert_eq!(of_text(&TimeField::default(), "7"), None);
        assert_eq!(of_text(&TimeField::default(), "2026-11-23"), None);
    }

    #[test]
    fn a_counter_of_32_bits_that_has_run_over_is_known_after_2038() {
        // 2040-01-01T00:00:00Z as a signed counter of 32 bits shows it.
        let arrival = Micros(2_208_988_800 * SECOND);
        let shown = Value::Integer((2_208_988_800_i64 - (1 << 32)).into());
        let clock = Clock {
            received: arrival,
            delivery: Delivery::new(""),
            policy: &TimePolicy::default(),
            field: None,
        };
        let settled = clock.reading_time(clock.read(&shown), None, 0).unwrap();
        assert_eq!((settled.at, settled.source), (arrival, TimeSource::Device));
        assert_eq!(settled.correction.map(|correction| correction.reason), Some(CorrectionReason::Wrap));
    }

    #[test]
    fn times_since_boot_keep_their_distances() {
        let clock = Clock {
            received: ARRIVAL,
            delivery: Delivery::new(""),
            policy: &TimePolicy::default(),
            field: None,
        };
        let since_boot = |seconds: i64| SentTime::of_device(Micros(seconds * SECOND));
        let settle =
            |seconds| clock.reading_time(Some(since_boot(seconds)), Some(Micros(90 * SECOND)), 5).unwrap();
        assert_eq!(settle(90).at, ARRIVAL);
        assert_eq!(settle(30).at, ARRIVAL.plus(-60 * SECOND));
        assert_eq!(settle(30).correction.map(|correction| correction.sent), Some(Micros(30 * SECOND)));
    }

    #[test]
    fn readings_of_the_arrival_are_told_apart_by_delivery_and_record() {
        let clock = Clock {
            received: ARRIVAL,
            delivery: Delivery::new(""),
            policy: &TimePolicy::default(),
            field: None,
        };
        let time = |sent, record| clock.reading_time(sent, None, record).unwrap();
        let none = time(None, 3);
        assert_eq!((none.at, none.source), (ARRIVAL, TimeSource::Arrival));
        assert_eq!(none.seq, Seq(Delivery::new("").hash48() * 16_384 + 3));
        let outside = time(Some(SentTime::of_device(Micros(0).plus(4_000_000_000_000_000))), 3);
        assert_eq!((outside.at, outside.seq), (none.at, none.seq));
        let other = Clock { delivery: Delivery::new("another"), ..clock };
        assert_ne!(other.reading_time(None, None, 3).unwrap().seq, none.seq);
        // A time of its own needs no more, unless the profile says so, and it is one that comes again.
        let at =
            |micros| other.reading_time(Some(SentTime::of_device(ARRIVAL.plus(micros))), None, 3).unwrap();
        assert_eq!((at(0).seq, at(0).at), (Seq::default(), ARRIVAL));
        let field = TimeField { kept_resolution: Some(SECOND), ..TimeField::default() };
        let keeping = Clock { field: Some(&field), ..other };
        let at =
            |micros| keeping.reading_time(Some(SentTime::of_device(ARRIVAL.plus(micros))), None, 3).unwrap();
        assert_eq!(at(0).seq, Seq::of_delivery(keeping.delivery, 0));
        assert_eq!(at(500_000).seq, Seq::default());
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
