//! What a learnt profile makes of the messages that it was learnt from.

use std::sync::Arc;

use super::{Captured, Hints};
use crate::clock::TimePolicy;
use crate::decoder::{Decoder, Settings};
use crate::envelope::Envelope;
use crate::format::Format;
use crate::profile::{DevicePattern, Profile};
use crate::reading::{Quality, Reading};
use crate::reject::Reject;

/// What is to be known of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Which message, from 1.
    pub number: usize,
    /// What becomes of it, in a sentence.
    pub text: String,
}

/// Reads each message by the profile. Says which are refused, and why, and which values are lost.
pub(super) fn remarks(messages: &[Captured<'_>], hints: &Hints<'_>, profile: &Profile) -> Vec<Remark> {
    let mut decoder = decoder(Some(profile));
    let mut plain = self::decoder(None);
    let mut remarks = Vec::new();
    for (number, message) in (1..).zip(messages) {
        let mut add = |text: String| remarks.push(Remark { number, text });
        match read(&mut decoder, message, hints) {
            Err((reject, member)) => add(refusal(&reject, member.as_deref())),
            Ok(readings) => {
                let bad = readings.iter().filter(|reading| reading.quality == Quality::Bad).count();
                if bad > 0 {
                    add(format!("{bad} of its values are bad: `tidegate decode` shows which"));
                }
                let before = read(&mut plain, message, hints).map_or(0, |readings| readings.len());
                if readings.len() < before {
                    add(format!(
                        "{} of {before} readings are lost under this profile",
                        before - readings.len()
                    ));
                }
            }
        }
    }
    remarks
}

/// Whether a message is read without any profile.
#[cfg(test)]
pub(super) fn is_readable(message: &Captured<'_>, hints: &Hints<'_>) -> bool {
    read(&mut decoder(None), message, hints).is_ok()
}

/// A reason with what helps.
fn refusal(reject: &Reject, member: Option<&str>) -> String {
    let member = member.map(|member| format!(" at {member}")).unwrap_or_default();
    let remedy = match reject {
        Reject::Ambiguous => "; give them names of their own, or `ignore` one",
        _ => "",
    };
    format!("refused{member}: {reject}{remedy}")
}

fn decoder(profile: Option<&Profile>) -> Decoder {
    let all = profile.and_then(|profile| {
        let devices = vec![DevicePattern::new("*/*").ok()?];
        Some(Arc::new(Profile { devices, topics: Vec::new(), ..profile.clone() }))
    });
    // Messages may be old by now.
    let time = TimePolicy {
        max_age_micros: super::MAX_AGE,
        max_ahead_micros: super::MAX_AHEAD,
        ..TimePolicy::default()
    };
    Decoder::new(Settings { time, ..Settings::default() }, Arc::new(all.into_iter().collect()))
}

/// What a message becomes on a topic of its format.
fn read(
    decoder: &mut Decoder,
    message: &Captured<'_>,
    hints: &Hints<'_>,
) -> Result<Vec<Reading>, (Reject, Option<String>)> {
    let level = match hints.format {
        Some(format) => serde_json::to_value(format).ok().and_then(|word| word.as_str().map(str::to_owned)),
        None => message.topic.or(hints.topic).and_then(|topic| topic.rsplit('/').next()).map(str::to_owned),
    };
    let level =
        level.filter(|level| Format::of_topic_level(level).is_some()).unwrap_or_else(|| "state".to_owned());
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(message.payload).into(),
        topic: format!("dt/site/device/{level}").into(),
        client: None,
        principal: None,
        content_type: None,
        received: hints.received,
        trace: None,
        record: None,
    };
    let mut readings = Vec::new();
    match decoder.decode(&envelope, &mut readings) {
        Ok(_) => Ok(readings),
        Err(reject) => Err((reject, decoder.refused_member().map(str::to_owned))),
    }
}
