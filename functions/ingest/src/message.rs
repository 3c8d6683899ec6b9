//! One record of an event becomes readings, or a line of the quarantine.

use std::sync::Arc;

use telemetry::limits::MAX_HOURS_OF_MESSAGE;
use telemetry::{Decoder, Envelope, Reading, Reject, TimePolicy};

use crate::event::{Position, Record};
use crate::quarantine_line::Quarantined;

const HOUR_MICROS: i64 = 3_600 * 1_000_000;

/// What became of a message.
#[derive(Debug)]
pub enum Message {
    /// Readings, which stand beside it.
    Read(Origin),
    /// A line of the quarantine.
    Quarantined(Quarantined),
    /// Nothing: it is to be redelivered.
    HandedBack,
}

/// What is known of a message beside its readings.
#[derive(Debug)]
pub struct Origin {
    /// The profile that it was read by.
    pub profile: Option<Arc<str>>,
    /// The hash of its delivery.
    pub delivery: u64,
    /// Bytes of its payload, as published.
    pub bytes: usize,
}

/// Reads messages.
#[derive(Debug)]
pub struct Reader<'d> {
    decoder: &'d mut Decoder,
    max_hours: usize,
}

impl<'d> Reader<'d> {
    /// Reads by `decoder`, whose messages may have times of up to `max_hours` different hours each.
    pub fn new(decoder: &'d mut Decoder, max_hours: usize) -> Self {
        Self { decoder, max_hours }
    }

    /// Appends the readings of one record to `readings`.
    pub(crate) fn read(&mut self, record: &Record<'_>, readings: &mut Vec<Reading>) -> Message {
        let text = match &record.envelope {
            Ok(text) => text,
            Err(unreadable) => return Message::Quarantined(Quarantined::unreadable(record, unreadable)),
        };
        match envelope(text, &record.position) {
            Ok(envelope) => self.read_envelope(&envelope, text, readings),
            Err(reject) => Message::Quarantined(Quarantined::without_envelope(record, text, &reject)),
        }
    }

    /// As [`Reader::read`], of a record whose envelope has been read from `text`.
    pub(crate) fn read_envelope(
        &mut self,
        envelope: &Envelope<'_>,
        text: &str,
        readings: &mut Vec<Reading>,
    ) -> Message {
        let before = readings.len();
        let decoded = self.decoder.decode(envelope, readings);
        let checked = decoded.and_then(|decoded| {
            check_hours(&readings[before..], self.max_hours)?;
            Ok(Origin {
                profile: decoded.profile,
                delivery: envelope.delivery().hash48(),
                bytes: payload_bytes(&envelope.payload),
            })
        });
        match checked {
            Ok(origin) => Message::Read(origin),
            Err(reject) => {
                readings.truncate(before);
                Message::Quarantined(Quarantined::message(envelope, text, &reject))
            }
        }
    }
}

/// Reads the envelope in the text of the record at `position`, which names the delivery where there is no trace.
pub(crate) fn envelope<'a>(text: &'a str, position: &'a Position<'_>) -> Result<Envelope<'a>, Reject> {
    let mut envelope = Envelope::parse(text)?;
    envelope.trace = envelope.trace.filter(|trace| !trace.is_empty());
    if envelope.trace.is_none() && envelope.record.as_deref().is_none_or(str::is_empty) {
        envelope.record = Some(position.delivery_id());
    }
    Ok(envelope)
}

/// How many bytes a text of base64 stands for.
fn payload_bytes(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

/// The different hours that one message may have times in: those of the accepted age, up to
/// [`MAX_HOURS_OF_MESSAGE`], those ahead, and the two that are cut by the ends of the range.
pub fn max_hours(policy: &TimePolicy) -> usize {
    let hours = |micros: i64| usize::try_from(micros / HOUR_MICROS).unwrap_or_default();
    hours(policy.max_age_micros).min(MAX_HOURS_OF_MESSAGE) + hours(policy.max_ahead_micros) + 2
}

/// Each hour becomes an object of the lake.
fn check_hours(readings: &[Reading], max: usize) -> Result<(), Reject> {
    if readings.len() <= max {
        return Ok(());
    }
    let mut hours: Vec<i64> = readings.iter().map(|reading| reading.at.0.div_euclid(HOUR_MICROS)).collect();
    hours.sort_unstable();
    hours.dedup();
    if hours.len() > max { Err(Reject::Hours(max)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_payload_is_that_before_base64() {
        for length in 0..10 {
            let text = base64_simd::STANDARD.encode_to_string(vec![7; length]);
            assert_eq!(payload_bytes(&text), length, "{text}");
        }
        assert_eq!(payload_bytes("="), 0);
    }

    #[test]
    fn the_hours_of_a_message_follow_the_accepted_age_up_to_a_year() {
        let check = |days: i64, ahead_seconds: i64, expected: usize| {
            let policy = TimePolicy {
                max_age_micros: days * 24 * HOUR_MICROS,
                max_ahead_micros: ahead_seconds * 1_000_000,
                ..TimePolicy::default()
            };
            assert_eq!(max_hours(&policy), expected, "{days} days");
        };
        check(30, 600, 722);
        check(0, 0, 2);
        check(366, 7_200, 24 * 366 + 4);
        check(36_500, 600, 24 * 366 + 2);
    }

    /// A message of `hours` records an hour apart, in a cloud that takes times as old as `max_days`.
    fn read(hours: usize, max_days: i64) -> (Message, usize) {
        const NOW: i64 = 1_795_417_200_000;
        let records: Vec<String> = (0..hours)
            .map(|hour| format!(r#"{{"ts":{},"x":1}}"#, NOW - i64::try_from(hour).unwrap() * 3_600_000))
            .collect();
        let payload = base64_simd::STANDARD.encode_to_string(format!("[{}]", records.join(",")));
        let text =
            format!(r#"{{"payload":"{payload}","topic":"dt/a/b/c","received":{NOW},"trace":"t"}}"#);
        let time = TimePolicy { max_age_micros: max_days * 24 * HOUR_MICROS, ..TimePolicy::default() };
        let max_hours = max_hours(&time);
        let settings = telemetry::Settings { time, ..telemetry::Settings::default() };
        let mut decoder = Decoder::new(settings, Arc::default());
        let mut readings = Vec::new();
        let position = Position::Rule("r");
        let envelope = envelope(&text, &position).unwrap();
        let message = Reader::new(&mut decoder, max_hours).read_envelope(&envelope, &text, &mut readings);
        (message, readings.len())
    }

    #[test]
    fn a_months_hours_are_taken_and_more_than_a_years_are_not() {
        assert!(matches!(read(720, 30), (Message::Read(_), 720)));
        // Older ones get their arrival time, and make no hour of their own.
        assert!(matches!(read(900, 30), (Message::Read(_), 900)));
        assert!(matches!(read(24 * 366, 36_500), (Message::Read(_), _)));
        assert!(matches!(read(24 * 366 + 3, 36_500), (Message::Quarantined(_), 0)));
    }
}
