//! How many hours one message may have times in.

use crate::clock::TimePolicy;
use crate::limits::MAX_HOURS_OF_MESSAGE;
use crate::reading::Reading;
use crate::reject::Reject;

const HOUR_MICROS: i64 = 3_600 * 1_000_000;

/// The most different hours that one message may have times in: each becomes a span, and an object of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourBound(usize);

impl HourBound {
    /// The hours of the age that is accepted, up to [`MAX_HOURS_OF_MESSAGE`], those ahead, and the two that the ends of
    /// the range cut.
    pub fn of(policy: &TimePolicy) -> Self {
        let hours = |micros: i64| usize::try_from(micros / HOUR_MICROS).unwrap_or_default();
        Self(hours(policy.max_age_micros).min(MAX_HOURS_OF_MESSAGE) + hours(policy.max_ahead_micros) + 2)
    }

    /// Checks the readings of one message.
    ///
    /// # Errors
    /// [`Reject::Hours`] if they have times in more hours.
    pub fn check(self, readings: &[Reading]) -> Result<(), Reject> {
        if readings.len() <= self.0 {
            return Ok(());
        }
        let hour = |reading: &Reading| reading.at.0.div_euclid(HOUR_MICROS);
        let mut hours: Vec<i64> = readings.iter().map(hour).collect();
        hours.sort_unstable();
        hours.dedup();
        if hours.len() > self.0 { Err(Reject::Hours(self.0)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::*;
    use crate::decoder::{Decoder, Settings};
    use crate::envelope::Envelope;

    #[test]
    fn the_bound_follows_the_accepted_age_up_to_a_year() {
        let check = |days: i64, ahead_seconds: i64, expected: usize| {
            let policy = TimePolicy {
                max_age_micros: days * 24 * HOUR_MICROS,
                max_ahead_micros: ahead_seconds * 1_000_000,
                ..TimePolicy::default()
            };
            assert_eq!(HourBound::of(&policy), HourBound(expected), "{days} days");
        };
        check(30, 600, 722);
        check(0, 0, 2);
        check(366, 7_200, 24 * 366 + 4);
        check(36_500, 600, 24 * 366 + 2);
    }

    #[test]
    fn a_months_hours_are_taken_and_more_than_a_years_are_not() {
        const NOW: i64 = 1_795_417_200_000;
        let check = |hours: i64, max_days: i64, expected: Result<(), Reject>| {
            let record = |hour: i64| format!(r#"{{"ts":{},"x":1}}"#, NOW - hour * 3_600_000);
            let records: Vec<String> = (0..hours).map(record).collect();
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(format!("[{}]", records.join(",")).as_bytes()).unwrap();
            let payload = base64_simd::STANDARD.encode_to_string(gzip.finish().unwrap());
            let text = format!(r#"{{"payload":"{payload}","topic":"dt/a/b/c","received":{NOW}}}"#);
            let time = TimePolicy { max_age_micros: max_days * 24 * HOUR_MICROS, ..TimePolicy::default() };
            let bound = HourBound::of(&time);
            let mut decoder = Decoder::new(Settings { time, ..Settings::default() }, Arc::default());
            let mut readings = Vec::new();
            decoder.decode(&Envelope::parse(&text).unwrap(), &mut readings).unwrap();
            assert_eq!(bound.check(&readings), expected, "{hours} hours of {max_days} days");
        };
        check(720, 30, Ok(()));
        // Older ones get their arrival time, and make no hour of their own.
        check(900, 30, Ok(()));
        check(24 * 366, 36_500, Ok(()));
        check(24 * 366 + 3, 36_500, Err(Reject::Hours(24 * 366 + 2)));
    }
}
