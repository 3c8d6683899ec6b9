//! Samples become readings: canonical units, known sentinels, plausible ranges, and times that are accepted.

use std::sync::Arc;

use crate::clock::Clock;
use crate::distinct::tell_apart;
use crate::limits::MAX_UNIT_BYTES;
use crate::names::Name;
use crate::profile::{MetricRule, Profile};
use crate::reading::{DeviceId, Quality, Reading, Value};
use crate::reject::Reject;
use crate::repeated_hour;
use crate::sample::Sample;
use crate::time::Micros;
use crate::unit::{self, Dialect, Quantity, Units};

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
/// Why the message is refused; readings may have been appended before.
pub(crate) fn normalise(
    samples: &mut Vec<Sample>,
    message: &Message<'_>,
    units: &mut Units,
    device: &DeviceId,
    mut device_of: impl FnMut(&str) -> DeviceId,
    readings: &mut Vec<Reading>,
) -> Result<(), Reject> {
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
        let time = clock.reading_time(sample.time, newest_since_boot, sample.record)?;
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
            return Err(Reject::LongUnit);
        }
        measure(reading, name, unit, message.profile, units)?;
    }
    let outcome = tell_apart(readings, first, samples, records);
    samples.clear();
    outcome
}

/// Takes a text out; a number stays, so that it can be looked at later.
fn take(value: &mut Value) -> Value {
    match value {
        Value::Text(_) => std::mem::replace(value, Value::Boolean(false)),
        number => number.clone(),
    }
}

/// Makes of the value as sent the value that it means: scaled, in the canonical unit, and with a quality.
fn measure(
    reading: &mut Reading,
    name: &Name,
    unit: Option<&(Arc<str>, Dialect)>,
    profile: Option<&Profile>,
    units: &mut Units,
) -> Result<(), Reject> {
    if profile.is_some_and(|profile| profile.numbers_as_text) {
        read_number(&mut reading.value);
    }
    let Some(sent) = number_of(&reading.value) else { return Ok(()) };
    let rule = name.rule.as_deref();
    if let Some(rule) = rule.filter(|rule| rule.scale != 1.0 || rule.offset != 0.0) {
        let scaled = unit::rounded(sent * rule.scale + rule.offset);
        reading.value = Value::from_f64(scaled).ok_or(Reject::NumberRange)?;
    }
    let mut quantity = name.quantity;
    if let Some((text, dialect)) = unit {
        let known = units.get(text, *dialect, name.quantity);
        if rule.is_some() && name.unit.is_some() && known.quantity != name.quantity {
            return Err(Reject::Unit);
        }
        quantity = known.quantity.or(quantity);
        reading.value = known.conversion.apply(&reading.value).ok_or(Reject::NumberRange)?;
        reading.unit = Some(known.unit.clone());
    } else if let Some(unit) = &name.unit {
        reading.value = unit.conversion.apply(&reading.value).ok_or(Reject::NumberRange)?;
        reading.unit = Some(unit.unit.clone());
    }
    let canonical = number_of(&reading.value).unwrap_or(sent);
    reading.quality = reading.quality.max(doubt(sent, canonical, quantity, rule));
    Ok(())
}

/// Makes a number of a text that is one.
fn read_number(value: &mut Value) {
    let Value::Text(text) = &*value else { return };
    let text = text.trim();
    let is_written =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let fits = |number: &i128| (i64::MIN.into()..=u64::MAX.into()).contains(number);
    let integer = text.parse().ok().filter(fits).map(Value::Integer);
    let number = integer.or_else(|| Value::from_f64(text.parse().ok()?));
    if let Some(number) = number.filter(|_| is_written) {
        *value = number;
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with sentinels and ranges, which are doubles"
        )]
        Value::Integer(number) => Some(*number as f64),
        Value::Boolean(_) | Value::Text(_) => None,
    }
}

/// How far a number can be trusted, by what is known of sensors, or else by the profile.
fn doubt(
    sent: f64,
    canonical: f64,
    quantity: Option<&'static Quantity>,
    rule: Option<&MetricRule>,
) -> Quality {
    let is_outside =
        rule.and_then(|rule| rule.range).is_some_and(|(low, high)| canonical < low || canonical > high);
    if is_outside {
        return Quality::Bad;
    }
    match rule.and_then(|rule| rule.sentinels.as_ref()) {
        Some(sentinels) => {
            let meant = sentinels.iter().filter(|sentinel| sentinel.value == sent);
            meant.map(|sentinel| sentinel.quality).max().unwrap_or_default()
        }
        None => known_sentinel(sent, canonical, quantity),
    }
}

/// What sensors send instead of a measurement: a DS18B20 says 85 °C before its first conversion (which may also be
/// one) and its drivers say −127 °C where it is not connected (Maxim DS18B20 data sheet, "Power-on reset";
/// `DEVICE_DISCONNECTED_C` of DallasTemperature); registers of 16 bits say their extremes where there is no value
/// (SunSpec, "not implemented" values).
fn known_sentinel(sent: f64, canonical: f64, quantity: Option<&'static Quantity>) -> Quality {
    let is_temperature = quantity.is_some_and(Quantity::is_temperature);
    match (sent, canonical) {
        (_, 85.0) if is_temperature => Quality::Uncertain,
        (_, -127.0) if is_temperature => Quality::Bad,
        (32_767.0 | -32_768.0 | 65_535.0, _) if quantity.is_some() => Quality::Bad,
        (32_767.0 | -32_768.0 | 65_535.0, _) => Quality::Uncertain,
        _ => Quality::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::{Decoder, Settings};
    use crate::envelope::Envelope;

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
    fn a_unit_of_another_quantity_than_the_profile_says_refuses_the_message() {
        let profile = "[[metric]]\nfrom = \"p\"\nunit = \"hPa\"";
        assert_eq!(
            show(profile, r#"[{"name": "p", "value": 1, "unit": "bar"}]"#).as_deref(),
            Ok("p=100000 Pa<bar")
        );
        assert_eq!(show(profile, r#"[{"name": "p", "value": 1, "unit": "V"}]"#), Err(Reject::Unit));
        let long = format!(r#"[{{"name": "x", "value": 1, "unit": "{}"}}]"#, "u".repeat(65));
        assert_eq!(show("", &long), Err(Reject::LongUnit));
        assert!(show("", &long.replace("uu", "u")).is_ok());
    }

    #[test]
    fn what_is_no_measurement_is_kept_and_never_good() {
        let check = |profile: &str, payload: &str, expected: &str| {
            assert_eq!(show(profile, payload).as_deref(), Ok(expected), "{profile} {payload}");
        };
        check("", r#"{"temperature": 85.0, "humidity": 85.0}"#, "temperature=85?, humidity=85");
        check(
            "",
            r#"{"temperature": -127, "outdoor_temperature_F": 185}"#,
            "temperature=-127!, outdoor_temperature=85 Cel<degF?",
        );
        check("", r#"{"temp_f": 185}"#, "temp=85 Cel<degF?");
        check(
            "",
            r#"{"pressure": 32767, "x": 65535, "y": -32768, "z": 32766}"#,
            "pressure=32767!, x=65535?, y=-32768?, z=32766",
        );
        let ranged = "[[metric]]\nfrom = \"t\"\nunit = \"degF\"\nrange = [-40, 140]";
        check(ranged, r#"{"t": 140}"#, "t=60 Cel<degF");
        check(ranged, r#"{"t": 141}"#, "t=60.5555555555556 Cel<degF!");
        check("[[metric]]\nfrom = \"x\"\nsentinels = []", r#"{"x": 65535}"#, "x=65535");
        let own = "[[metric]]\nfrom = \"x\"\nscale = 0.1\nsentinels = [999, { value = 0, quality = \"uncertain\" }]";
        check(own, r#"{"x": 999, "y": 1}"#, "x=99.9!, y=1");
        check(own, r#"{"x": 0}"#, "x=0?");
    }

    #[test]
    fn what_a_profile_ignores_is_no_reading() {
        assert_eq!(show("ignore = \"x\"", r#"{"x": 1, "y": 2}"#).as_deref(), Ok("y=2"));
        assert_eq!(show("ignore = \"x\"", r#"{"x": 1}"#).as_deref(), Ok(""));
    }
}
