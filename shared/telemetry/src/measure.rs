//! What a value as sent measures: scaled, in the canonical unit, and how far it can be trusted.

use std::sync::Arc;

use crate::names::Name;
use crate::profile::MetricRule;
use crate::reading::{Quality, Reading, Unit, Value};
use crate::unit::{self, Dialect, Quantity, Units};

/// Makes of the value as sent the value that it means. A unit that contradicts what the name or the profile says stays
/// as sent, and its value, scaled where the profile says so, is not converted and uncertain. What is no number, or none that can be stored, keeps the unit
/// that stood beside it. `reads_texts`: texts are meant as numbers, as the profile says.
pub(crate) fn measure(
    reading: &mut Reading,
    name: &Name,
    unit: Option<&(Arc<str>, Dialect)>,
    reads_texts: bool,
    units: &mut Units,
) {
    let Some(sent) = reading.value.as_f64() else {
        let is_meant_as_number = reads_texts || unit.is_some() || name.unit.is_some();
        if is_meant_as_number && is_word_for_no_number(&reading.value) {
            reading.quality = Quality::Bad;
        }
        reading.unit = unit.map(|(text, _)| Unit::new(text, None));
        return;
    };
    if unit.is_none() && name.unit.is_none() && name.rule.is_none() {
        let number = Numbers { sent, canonical: sent };
        reading.quality = reading.quality.max(doubt(number, name.quantity, name));
        return;
    }
    let as_sent = reading.value.clone();
    if convert(reading, name, unit, units, sent).is_none() {
        // As binary formats do with what cannot be stored: the text, and never good.
        reading.value = Value::Text(as_sent.to_string().into());
        reading.quality = Quality::Bad;
        reading.unit = unit.map(|(text, _)| Unit::new(text, None));
    }
}

/// Scales and converts a number; `None` if what comes out cannot be stored.
fn convert(
    reading: &mut Reading,
    name: &Name,
    unit: Option<&(Arc<str>, Dialect)>,
    units: &mut Units,
    sent: f64,
) -> Option<()> {
    if let Some(rule) = name.rule.as_deref().filter(|rule| rule.is_scaled()) {
        reading.value = Value::from_f64(unit::rounded(sent * rule.scale + rule.offset))?;
    }
    let mut quantity = name.quantity;
    if let Some((text, dialect)) = unit {
        let known = units.get(text, *dialect, name.quantity);
        if known.contradicts(name.measured) {
            reading.unit = Some(known.as_sent.clone());
            reading.quality = reading.quality.max(Quality::Uncertain);
            return Some(());
        }
        quantity = known.quantity.or(quantity);
        reading.value = known.conversion.apply(&reading.value)?;
        reading.unit = Some(known.unit.clone());
    } else if let Some(unit) = &name.unit {
        reading.value = unit.conversion.apply(&reading.value)?;
        reading.unit = Some(unit.unit.clone());
    }
    let canonical = reading.value.as_f64().unwrap_or(sent);
    reading.quality = reading.quality.max(doubt(Numbers { sent, canonical }, quantity, name));
    Some(())
}

/// Whether a text is what C and Python write of a number that is none: `NaN`, `-nan`, `inf`, `-Infinity`.
fn is_word_for_no_number(value: &Value) -> bool {
    let Value::Text(text) = value else { return false };
    let word = text.trim().trim_start_matches(['+', '-']);
    ["nan", "inf", "infinity"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Makes a number of a text that is one.
pub(crate) fn read_number(value: &mut Value) {
    let Value::Text(text) = &*value else { return };
    if let Some(number) = number_of_text(text) {
        *value = number;
    }
}

/// The number that a text is; `None` if it is none.
pub(crate) fn number_of_text(text: &str) -> Option<Value> {
    let text = text.trim();
    let is_written =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    Value::from_digits(text).filter(|_| is_written)
}

/// One number, as it was sent and in the canonical unit.
#[derive(Clone, Copy)]
struct Numbers {
    sent: f64,
    canonical: f64,
}

/// How far a number can be trusted, by what is known of sensors, or else by the profile.
fn doubt(number: Numbers, quantity: Option<&'static Quantity>, name: &Name) -> Quality {
    let rule = name.rule.as_deref();
    let is_outside = rule
        .and_then(|rule| rule.range)
        .is_some_and(|(low, high)| number.canonical < low || number.canonical > high);
    if is_outside {
        return Quality::Bad;
    }
    match rule.and_then(|rule| rule.sentinels.as_ref()) {
        Some(sentinels) => {
            let meant = sentinels.iter().filter(|sentinel| sentinel.value == number.sent);
            meant.map(|sentinel| sentinel.quality).max().unwrap_or_default()
        }
        None => known_sentinel(number, quantity, name),
    }
}

/// What sensors send instead of a measurement.
///
/// A DS18B20 says 85 °C before its first conversion, which may also be one, and its drivers say −127 °C where it is not
/// connected (Maxim DS18B20 data sheet, "Power-on reset"; `DEVICE_DISCONNECTED_C` of DallasTemperature).
///
/// Registers of 16 bits say their extremes where there is no value (SunSpec, "not implemented" values), also in tenths
/// and hundredths. Nothing says how wide a number was when it was sent, and a counter passes 65535 on its way: only what
/// the quantity cannot be is bad, and only what a profile scales, or hundredths of a degree, is uncertain.
fn known_sentinel(number: Numbers, quantity: Option<&'static Quantity>, name: &Name) -> Quality {
    let is_temperature = quantity.is_some_and(Quantity::is_temperature);
    match number.canonical {
        85.0 if is_temperature && name.is_one_wire => return Quality::Uncertain,
        -127.0 if is_temperature => return Quality::Bad,
        _ => {}
    }
    if !is_extreme_of_16_bits(number.sent) {
        return Quality::Good;
    }
    if quantity.is_some_and(|quantity| quantity.is_impossible(number.canonical)) {
        return Quality::Bad;
    }
    let is_register = name.rule.as_deref().is_some_and(MetricRule::is_scaled);
    let is_in_parts = is_temperature && number.sent.fract() != 0.0;
    if is_register || is_in_parts { Quality::Uncertain } else { Quality::Good }
}

/// Whether `number` is the highest of 16 bits, or the highest or lowest of 15 and a sign, as it is or in tenths or
/// hundredths.
fn is_extreme_of_16_bits(number: f64) -> bool {
    const EXTREMES: [f64; 9] =
        [65_535.0, 32_767.0, -32_768.0, 6_553.5, 3_276.7, -3_276.8, 655.35, 327.67, -327.68];
    EXTREMES.contains(&number)
}

#[cfg(test)]
mod tests {
    use crate::decoder::{Decoder, Settings};
    use crate::envelope::Envelope;
    use crate::profile::Profile;
    use crate::reading::Quality;
    use crate::reject::Reject;
    use crate::time::Micros;
    use std::sync::Arc;

    /// Each reading as `metric=value unit`, with `<sent` where it was sent in another unit, `?` if it is uncertain and
    /// `!` if it is bad.
    fn show(profile: &str, payload: &str) -> Result<String, Reject> {
        let text = format!("name = \"p\"\ndevices = \"*/*\"\n{profile}");
        let profiles = (!profile.is_empty()).then(|| Arc::new(Profile::from_toml(&text).unwrap()));
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

    fn check(profile: &str, payload: &str, expected: &str) {
        assert_eq!(show(profile, payload).as_deref(), Ok(expected), "{profile} {payload}");
    }

    fn check_beside(name: &str, number: f64, unit: &str, expected: &str) {
        check("", &format!(r#"{{"{name}": {{"value": {number}, "unit": "{unit}"}}}}"#), expected);
    }

    #[test]
    fn units_come_from_names_from_beside_the_value_and_from_profiles() {
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
    fn a_null_says_nothing_of_a_quality() {
        check("", r#"{"temperature": {"value": 22.5, "quality": null}}"#, "temperature=22.5");
        check("", r#"{"x": {"value": 5, "q": null}}"#, "x=5");
        check("", r#"{"x": {"value": 5, "q": false}}"#, "x=5!");
    }

    #[test]
    fn one_measurement_in_two_units_agrees_to_the_last_digit_of_the_coarser() {
        check("", r#"{"tempC": 20, "tempF": 69}"#, "temp=20 Cel");
        check("numbers_as_text = true", r#"{"tempC": "20.1", "tempF": "68.2"}"#, "temp=20.1 Cel");
        for apart in [r#"{"tempC": 20, "tempF": 70}"#, r#"{"tempC": 21, "tempF": 72}"#] {
            assert_eq!(show("", apart), Err(Reject::Ambiguous), "{apart}");
        }
    }

    #[test]
    fn what_a_profile_ignores_is_no_reading() {
        check("ignore = \"x\"", r#"{"x": 1, "y": 2}"#, "y=2");
        check("ignore = \"x\"", r#"{"x": 1}"#, "");
    }

    #[test]
    fn what_cannot_be_a_number_keeps_its_unit_and_is_never_good() {
        check("", r#"{"flow": {"value": "-nan", "unit": "m3/h"}}"#, "flow=-nan m3/h!");
        check("", r#"{"power": {"value": "NaN", "unit": "W"}, "a": "nan"}"#, "power=NaN W!, a=nan");
        check("numbers_as_text = true", r#"{"a": "Inf", "b": "info"}"#, "a=Inf!, b=info");
        check("", r#"{"door": {"value": "open", "unit": "m"}}"#, "door=open m");
        let large = "[[metric]]\nfrom = \"a\"\nscale = 1e100";
        check(large, r#"{"a": 1e100, "b": 1}"#, "a=1e+100!, b=1");
        check("numbers_as_text = true", r#"{"a": "18446744073709551616"}"#, "a=18446744073709551616");
    }

    #[test]
    fn a_unit_that_contradicts_the_name_stays_as_sent_and_is_uncertain() {
        check_beside("acceleration", 1.02, "g", "acceleration=1.02 g?");
        check_beside("pressure", 1013.0, "mb", "pressure=1013 mb?");
        check_beside("temperature", 20.0, "mb", "temperature=20 mb?");
        check_beside("temperature", 20.0, "V", "temperature=20 V?");
        check_beside("temperature", 20.0, "%", "temperature=20 %?");
        check_beside("voltage", 3.0, "PS", "voltage=3 PS?");
        check_beside("frequency", 868.0, "mhz", "frequency=868 mhz?");
        check_beside("distance", 2.0, "kt", "distance=2 kt?");
    }

    #[test]
    fn a_unit_that_does_not_contradict_the_name_is_converted() {
        check_beside("humidity", 40.0, "%", "humidity=40 %RH<%");
        check_beside("battery", 80.0, "%", "battery=80 %");
        check_beside("battery", 3700.0, "mV", "battery=3.7 V<mV");
        check_beside("temperature.current", 21.0, "C", "temperature.current=21 Cel<C");
        check_beside("co2", 0.5, "mg/m3", "co2=500 ug/m3<mg/m3");
        check_beside("fan_speed", 900.0, "rpm", "fan_speed=900 1/min<rpm");
        check_beside("wind_speed", 10.0, "kt", "wind_speed=5.14444444444444 m/s<kt");
        check_beside("flow", 0.5, "m/s", "flow=0.5 m/s");
        check_beside("power", 2.0, "kVA", "power=2000 VA<kVA");
        check_beside("power", 50.0, "%", "power=50 %");
        check_beside("pm25", 0.001, "kg/m3", "pm25=1000000 ug/m3<kg/m3");
        check_beside("density", 5.0, "ug/m3", "density=5e-9 kg/m3<ug/m3");
        check_beside("frequency", 50.0, "1/s", "frequency=50 Hz<1/s");
        check_beside("pressure", 1.0, "pa", "pressure=1 Pa<pa");
        check_beside(
            "current_heating_setpoint",
            70.0,
            "F",
            "current_heating_setpoint=21.1111111111111 Cel<F",
        );
        check_beside("altitude_rate", 2.0, "ft/s", "altitude_rate=0.6096 m/s<ft/s");
    }

    #[test]
    fn an_unknown_unit_says_nothing_about_the_value() {
        check_beside("temperature", 20.0, "widgets", "temperature=20 widgets");
        check_beside("x", 20.0, "mb", "x=20 mb");
        check_beside("x", 20.0, "PS", "x=20 PS");
        check_beside("x", 2.0, "kt", "x=2 kt");
    }

    #[test]
    fn a_unit_that_contradicts_the_profile_stays_as_sent_and_is_uncertain() {
        let profile = "[[metric]]\nfrom = \"p\"\nunit = \"hPa\"\nrange = [300, 1200]";
        let check = |unit: &str, expected: &str| {
            check(profile, &format!(r#"[{{"name": "p", "value": 1, "unit": "{unit}"}}]"#), expected);
        };
        check("bar", "p=100000 Pa<bar");
        check("V", "p=1 V?");
        check("mb", "p=1 mb?");
        check("widgets", "p=1 widgets?");
        let long = format!(r#"[{{"name": "x", "value": 1, "unit": "{}"}}]"#, "u".repeat(65));
        assert_eq!(show("", &long), Err(Reject::LongUnit));
        assert!(show("", &long.replace("uu", "u")).is_ok());
    }

    #[test]
    fn the_unit_of_a_name_with_a_star_stands_beside_the_value() {
        let profile = "[[metric]]\nfrom = \"*.value\"\nname = \"{1}\"\nunit_from = \"{1}.unit\"";
        check(
            profile,
            r#"{"temp": {"value": 68, "unit": "F", "min": 60}, "p": {"value": 1, "unit": "bar", "min": 0}}"#,
            "temp=20 Cel<F, temp.min=60, p=100000 Pa<bar, p.min=0",
        );
        check(profile, r#"{"temp": {"value": 68, "unit": "F"}}"#, "temp=20 Cel<F");
        check(profile, r#"{"temp": {"unit": "F", "min": 60}}"#, "temp.unit=F, temp.min=60");
        check(
            "[[metric]]\nfrom = \"*\"\nunit_from = \"{1}_u\"",
            r#"{"a": 1, "a_u": "kPa", "b": 2, "b_u": "mV"}"#,
            "a=1000 Pa<kPa, b=0.002 V<mV",
        );
        check(
            "[[metric]]\nfrom = \"*.*.v\"\nunit_from = \"{1}.unit\"",
            r#"{"a": {"unit": "bar", "x": {"v": 1}, "y": {"v": 2}}}"#,
            "a.x.v=100000 Pa<bar, a.y.v=200000 Pa<bar",
        );
    }

    #[test]
    fn eighty_five_degrees_are_uncertain_of_one_wire_probes_only() {
        check("", r#"{"temperature": 85.0, "humidity": 85.0}"#, "temperature=85, humidity=85");
        check("", r#"{"oven": {"temp_f": 185}}"#, "oven.temp=85 Cel<degF");
        check("", r#"{"DS18B20": {"Temperature": 85}}"#, "DS18B20.Temperature=85?");
        check("", r#"{"ds18b20-1": {"temp_f": 185}}"#, "ds18b20-1.temp=85 Cel<degF?");
        check("", r#"{"one_wire_temperature": 85}"#, "one_wire_temperature=85?");
        check("", r#"{"28-0316a2795bff": {"temperature": 85}}"#, "28-0316a2795bff.temperature=85?");
        check("", r#"{"temperature": -127}"#, "temperature=-127!");
        let profile = "[[metric]]\nfrom = \"temperature\"\nunit = \"Cel\"";
        check(profile, r#"{"temperature": 85}"#, "temperature=85 Cel");
    }

    #[test]
    fn extremes_of_registers_are_bad_where_the_quantity_cannot_be_that() {
        check("", r#"{"temperature": 32767, "humidity": 65535}"#, "temperature=32767!, humidity=65535!");
        check("", r#"{"temperature": -32768, "lat": 6553.5}"#, "temperature=-32768!, lat=6553.5!");
        check("", r#"{"temperature": -327.68, "soc": 65535}"#, "temperature=-327.68!, soc=65535!");
        check("", r#"{"temperature": 327.67, "rssi": -32768}"#, "temperature=327.67?, rssi=-32768!");
        check("", r#"{"pressure": 65535, "co2": 32767}"#, "pressure=65535, co2=32767");
        check(
            "",
            r#"{"lux": 65535, "power": 32767, "counter": 65535}"#,
            "lux=65535, power=32767, counter=65535",
        );
        check("", r#"{"x": 65535, "y": -32768, "z": 327.67}"#, "x=65535, y=-32768, z=327.67");
        let scaled = "[[metric]]\nfrom = \"x\"\nscale = 0.1";
        check(scaled, r#"{"x": 65535, "y": 65535}"#, "x=6553.5?, y=65535");
    }

    #[test]
    fn a_profile_says_what_is_no_measurement() {
        let ranged = "[[metric]]\nfrom = \"t\"\nunit = \"degF\"\nrange = [-40, 140]";
        check(ranged, r#"{"t": 140}"#, "t=60 Cel<degF");
        check(ranged, r#"{"t": 141}"#, "t=60.5555555555556 Cel<degF!");
        check("[[metric]]\nfrom = \"t\"\nunit = \"Cel\"\nsentinels = []", r#"{"t": 65535}"#, "t=65535 Cel");
        let own = "[[metric]]\nfrom = \"x\"\nscale = 0.1\nsentinels = [999, { value = 0, quality = \"uncertain\" }]";
        check(own, r#"{"x": 999, "y": 1}"#, "x=99.9!, y=1");
        check(own, r#"{"x": 0}"#, "x=0?");
    }

    #[test]
    fn senml_reads_units_as_others_do() {
        let check = |unit: &str, expected: &str| {
            let pack = format!(r#"[{{"n": "x", "u": "{unit}", "v": 1}}]"#);
            check("format = \"senml\"", &pack, expected);
        };
        check("mOhm", "x=0.001 Ohm<mOhm");
        check("MV", "x=1000000 V<MV");
        check("C", "x=1 C");
        check("μS/cm", "x=0.0001 S/m<μS/cm");
        check("mb", "x=1 mb");
        let humidity = r#"[{"n": "humidity", "u": "%", "v": 40}, {"n": "pressure", "u": "V", "v": 1}]"#;
        super::tests::check("format = \"senml\"", humidity, "humidity=40 %RH<%, pressure=1 V?");
    }
}
