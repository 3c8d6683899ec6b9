//! One record of an event becomes readings, or a line of the quarantine.

use telemetry::{Decoded, Decoder, DeviceId, Envelope, HourBound, Reading, Reject};

use crate::event::{Position, Record};
use crate::quarantine_line::Quarantined;

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
    /// The profile that it was read by, and the format.
    pub decoded: Decoded,
    /// The hash of its delivery.
    pub delivery: u64,
    /// Bytes of its payload, as published.
    pub bytes: usize,
}

/// Reads messages.
#[derive(Debug)]
pub struct Reader<'d> {
    decoder: &'d mut Decoder,
    hours: HourBound,
}

impl<'d> Reader<'d> {
    /// Reads by `decoder`. A message may have times in as many hours as `hours` says.
    pub fn new(decoder: &'d mut Decoder, hours: HourBound) -> Self {
        Self { decoder, hours }
    }

    /// The device whose message one on `topic` is, where the topic alone says it.
    pub(crate) fn sender(&mut self, topic: &str) -> Option<DeviceId> {
        self.decoder.sender(topic)
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
            self.hours.check(&readings[before..])?;
            Ok(Origin {
                decoded,
                delivery: envelope.delivery().hash48(),
                bytes: payload_bytes(&envelope.payload),
            })
        });
        match checked {
            Ok(origin) => Message::Read(origin),
            Err(reject) => {
                readings.truncate(before);
                let member = self.decoder.refused_member();
                Message::Quarantined(Quarantined::message(envelope, text, &reject, member))
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
}
