//! Samples become readings: canonical units, known sentinels, plausible ranges, and times that are accepted.

use std::sync::Arc;

use crate::clock::Clock;
use crate::distinct::tell_apart;
use crate::limits::MAX_UNIT_BYTES;
use crate::measure::measure;
use crate::profile::Profile;
use crate::reading::{DeviceId, Metric, Reading, Value};
use crate::reject::Reject;
use crate::repeated_hour;
use crate::sample::Sample;
use crate::time::Micros;
use crate::unit::Units;

/// What the samples of one message have in common.
pub(crate) struct Message<'a> {
    pub(crate) clock: &'a Clock<'a>,
    pub(crate) profile: Option<&'a Profile>,
    /// When that profile was put; 0 without one.
    pub(crate) revision: Micros,
}

/// Appends the readings that `samples` make. They are of `device`, or of those that it speaks for, which `device_of`
/// finds.
///
/// # Errors
/// Why the message is refused, and for which metric; readings may have been appended before.
pub(crate) fn normalise(
    samples: &mut Vec<Sample>,
    message: &Message<'_>,
    units: &mut Units,
    device: &DeviceId,
    mut device_of: impl FnMut(&str) -> DeviceId,
    readings: &mut Vec<Reading>,
) -> Result<(), (Reject, Metric)> {
    let clock = message.clock;
    let records = samples.iter().map(|sample| sample.record).max().unwrap_or(0) + 1;
    if samples.iter().any(|sample| sample.name.is_ignored) {
        samples.retain(|sample| !sample.name.is_ignored);
    }
    repeated_hour::resolve(samples, clock.received);
    let since_boot = samples.iter().filter_map(|sample| sample.time).filter(Clock::is_since_boot);
    let newest_since_boot = since_boot.map(|sent| sent.at).max();
    let first = readings.len();
    readings.reserve(samples.len());
    // Samples stay where they are, and texts are taken out of them: they are large to move.
    for sample in samples.iter_mut() {
        let name = &*sample.name;
        let refuse = |reject| (reject, Arc::clone(&name.sent));
        let time = clock.reading_time(sample.time, newest_since_boot, sample.record).map_err(refuse)?;
        readings.push(Reading {
            device: sample.device.as_deref().map_or_else(|| device.clone(), &mut device_of),
            metric: Arc::clone(&name.metric),
            at: time.at,
            seq: time.seq,
            received: clock.received_exactly(),
            revision: message.revision,
            value: take(&mut sample.value),
            unit: None,
            quality: sample.quality,
            time_source: time.source,
            correction: time.correction,
        });
        let Some(reading) = readings.last_mut() else { continue };
        let unit = sample.unit.as_ref();
        if unit.is_some_and(|(text, _)| text.len() > MAX_UNIT_BYTES) {
            return Err(refuse(Reject::LongUnit));
        }
        measure(reading, name, unit, message.profile, units);
    }
    let outcome = tell_apart(readings, first, samples, records);
    samples.clear();
    outcome.map_err(|metric| (Reject::Ambiguous, metric))
}

/// Takes a text out; a number stays, so that it can be looked at later.
fn take(value: &mut Value) -> Value {
    match value {
        Value::Text(_) => std::mem::replace(value, Value::Boolean(false)),
        number => number.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::{Decoder, Settings};
    use crate::envelope::Envelope;
    use crate::reading::Quality;

    /// Each reading as `metric=value unit`, with `<sent` where it was sent in another unit, `?` if it is uncertain and
    /// `!` if it is bad.
    fn show(profile: &str, payload: &str) -> Result<String, Reject> {
        let profiles = match profile {
            "" => Vec::new(),
            text => {
                vec![Arc::new(
                    Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\n{text}")).unwrap(),
                )]
            }
        };
        let envelope = Envelope {
            payload: base64_simd::STANDARD.encode_to_string(payload).into(),
            topic: "dt/s/d/state".into(),
            client: None,
            principal: None,
            content_type: None,
            received: Micros(1_795_417_200_000_000),
            trace: None,
            record: None,
        };
        let mut readings = Vec::new();
        Decoder::new(Settings::default(), Arc::new(profiles.into_iter().collect()))
            .decode(&envelope, &mut readings)?;
        let words = readings.iter().map(|reading| {
            let unit = reading.unit.as_ref().map_or(String::new(), |unit| {
                let sent = unit.sent().map(|sent| format!("<{sent}")).unwrap_or_default();
                format!(" {}{sent}", unit.as_str())
            });
            let quality = match reading.quality {
                Quality::Good => "",
                Quality::Uncertain => "?",
                Quality::Bad => "!",
            };
            format!("{}={}{unit}{quality}", reading.metric, reading.value)
        });
        Ok(words.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn units_come_from_names_from_beside_the_value_and_from_profiles() {
        let check = |profile: &str, payload: &str, expected: &str| {
            assert_eq!(show(profile, payload).as_deref(), Ok(expected), "{profile} {payload}");
        };
        check("", r#"{"temperature_F": 72.5, "humidity": 40}"#, "temperature=22.5 Cel<degF, humidity=40");
        check("", r#"{"temperature": {"value": 72.5, "unit": "°F"}}"#, "temperature=22.5 Cel<°F");
        check("", r#"{"temp": 72.5, "TempUnit": "F", "rssi": -70}"#, "temp=22.5 Cel<F, rssi=-70");
        check("", r#"{"humidity": {"value": 40, "unit": "%"}}"#, "humidity=40 %RH<%");
        check("", r#"{"x": {"value": 4, "unit": "widgets"}}"#, "x=4 widgets");
        check("", r#"{"temperature": {"tC": 20, "tF": 68}}"#, "temperature.t=20 Cel");
        check("", r#"{"temperature": 20, "temperature_F": 68.2}"#, "temperature=20.1111111111111 Cel<degF");
        check(
            "[[metric]]\nfrom = \"t\"\nname = \"temperature\"\nunit = \"degF\"",
            r#"{"t": 50}"#,
            "temperature=10 Cel<degF",
        );
        check("[[metric]]\nfrom = \"t\"\nunit_from = \"u\"", r#"{"t": 50, "u": "F"}"#, "t=10 Cel<F");
        check(
            "[[metric]]\nfrom = \"t\"\nscale = 0.1\noffset = -40\nunit = \"Cel\"",
            r#"{"t": 625}"#,
            "t=22.5 Cel",
        );
        check(
            "numbers_as_text = true",
            r#"{"a": "22.50", "b": "-7", "c": "x", "d": ""}"#,
            "a=22.5, b=-7, c=x, d=",
        );
    }

    #[test]
    fn what_a_profile_ignores_is_no_reading() {
        assert_eq!(show("ignore = \"x\"", r#"{"x": 1, "y": 2}"#).as_deref(), Ok("y=2"));
        assert_eq!(show("ignore = \"x\"", r#"{"x": 1}"#).as_deref(), Ok(""));
    }
}
