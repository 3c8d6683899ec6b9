//! Units at the end of names: `temperature_F`, `pressure_hPa`, `tC`.
//!
//! A name is somebody's, and taking its end off for a unit that it is not would be worse than leaving one on: short
//! ends count only where the rest of the name says what is measured.

use std::sync::Arc;

use super::conversion::Conversion;
use super::quantity::{Dialect, QUANTITIES, Quantity, spelt};

/// Ends that are units whatever stands before them, in lower case, and how they are spelt.
const TELLING: [(&str, &str); 44] = [
    ("degc", "Cel"),
    ("degf", "degF"),
    ("celsius", "Cel"),
    ("fahrenheit", "degF"),
    ("hpa", "hPa"),
    ("kpa", "kPa"),
    ("mpa", "MPa"),
    ("mbar", "mbar"),
    ("psi", "psi"),
    ("mmhg", "mmHg"),
    ("inhg", "inHg"),
    ("mv", "mV"),
    ("kv", "kV"),
    ("kw", "kW"),
    ("mw", "mW"),
    ("wh", "Wh"),
    ("kwh", "kWh"),
    ("mwh", "MWh"),
    ("kva", "kVA"),
    ("kvar", "kvar"),
    ("kvarh", "kvarh"),
    ("mah", "mAh"),
    ("ppm", "ppm"),
    ("ppb", "ppb"),
    ("lux", "lx"),
    ("lx", "lx"),
    ("kmh", "km/h"),
    ("kph", "km/h"),
    ("mph", "mph"),
    ("mps", "m/s"),
    ("dbm", "dBm"),
    ("hz", "Hz"),
    ("khz", "kHz"),
    ("mhz", "MHz"),
    ("ghz", "GHz"),
    ("rpm", "rpm"),
    ("mm", "mm"),
    ("cm", "cm"),
    ("km", "km"),
    ("kg", "kg"),
    ("pct", "%"),
    ("percent", "%"),
    ("ohm", "Ohm"),
    ("ohms", "Ohm"),
];

/// Ends that are units only where the rest of the name measures that, in lower case, and how they are spelt.
const FITTING: [(&str, &str); 26] = [
    ("c", "Cel"),
    ("f", "degF"),
    ("k", "K"),
    ("v", "V"),
    ("volts", "V"),
    ("a", "A"),
    ("ma", "mA"),
    ("ua", "uA"),
    ("amps", "A"),
    ("w", "W"),
    ("watts", "W"),
    ("j", "J"),
    ("pa", "Pa"),
    ("bar", "bar"),
    ("m", "m"),
    ("ft", "ft"),
    ("in", "in"),
    ("g", "g"),
    ("lb", "lb"),
    ("l", "l"),
    ("s", "s"),
    ("sec", "s"),
    ("ms", "ms"),
    ("min", "min"),
    ("h", "h"),
    ("rh", "%RH"),
];

/// Words that say that a name is about a quantity, and is none of its measurements.
const ABOUT: [&str; 20] = [
    "factor", "status", "state", "alarm", "alert", "mode", "unit", "units", "source", "count", "id", "name",
    "type", "enabled", "error", "errors", "quality", "valid", "ok", "percent",
];

/// A unit that is part of a name.
#[derive(Debug)]
pub(crate) struct Suffix<'a> {
    /// The name without it.
    pub(crate) stem: &'a str,
    pub(crate) quantity: Option<&'static Quantity>,
    pub(crate) conversion: Conversion,
    /// As it is spelt elsewhere.
    pub(crate) unit_sent: Arc<str>,
}

/// The unit at the end of a name.
pub(crate) fn of_name(name: &str) -> Option<Suffix<'_>> {
    let last_level = name.rfind('.').map_or(0, |dot| dot + 1);
    let level = name.get(last_level..)?;
    let ends = [level.rfind(['_', '-']), last_capital(level)];
    let mut ends = ends.into_iter().flatten().filter(|at| *at > 0);
    ends.find_map(|at| cut(name, last_level, last_level + at))
}

/// The unit that a name has from `at` on.
fn cut(name: &str, last_level: usize, at: usize) -> Option<Suffix<'_>> {
    let (stem, end) = (name.get(..at)?, name.get(at..)?.trim_start_matches(['_', '-']));
    let end = end.to_lowercase();
    let measured = quantity_of_stem(stem, last_level);
    let known =
        |ends: &[(&str, &'static str)]| ends.iter().find(|(known, _)| *known == end).map(|(_, unit)| *unit);
    let unit = match (known(&TELLING), measured) {
        (Some("%"), Some(quantity)) if quantity.is_humidity() => "%RH",
        (Some(unit), _) => unit,
        (None, _) => known(&FITTING)?,
    };
    let (quantity, meaning) = spelt(unit, Dialect::Written)?;
    let fits = measured.is_some_and(|measured| measured == quantity);
    let contradicts = measured.is_some() && !fits;
    let may_stand_alone = known(&TELLING).is_some() && !(contradicts && unit != "%");
    if !fits && !may_stand_alone {
        return None;
    }
    Some(Suffix {
        stem,
        quantity: Some(quantity),
        conversion: Conversion::of(quantity, meaning)?,
        unit_sent: Arc::from(unit),
    })
}

/// Where the last word of a level begins that a capital after a small letter begins.
fn last_capital(level: &str) -> Option<usize> {
    level
        .char_indices()
        .zip(level.chars().skip(1))
        .filter(|((_, before), letter)| before.is_lowercase() && letter.is_uppercase())
        .map(|((at, before), _)| at + before.len_utf8())
        .last()
}

fn quantity_of_stem(stem: &str, last_level: usize) -> Option<&'static Quantity> {
    let level = stem.get(last_level..)?;
    // `tC` and `t_f`, which nothing but a temperature is.
    let level = if level.eq_ignore_ascii_case("t") { "temperature" } else { level };
    quantity_of_level(level)
}

/// What a name says that it measures: by its last level, or else by the one before.
pub(crate) fn quantity_of_name(name: &str) -> Option<&'static Quantity> {
    name.rsplit('.').take(2).find_map(quantity_of_level)
}

fn quantity_of_level(level: &str) -> Option<&'static Quantity> {
    let words = words(level);
    if words.len() > 1 && words.iter().any(|word| ABOUT.contains(&word.as_str())) {
        return None;
    }
    let of_word = |word: &String| QUANTITIES.iter().find(|quantity| quantity.words.contains(&word.as_str()));
    words.iter().rev().find_map(of_word)
}

/// The words of a level in lower case, without their numbers: `outdoorTemp_2` is `outdoor`, `temp`.
fn words(level: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lowercase = false;
    for letter in level.chars() {
        let begins = !letter.is_alphabetic() || (was_lowercase && letter.is_uppercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        was_lowercase = letter.is_lowercase();
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_at_the_end_of_names() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            let found = of_name(name).map(|suffix| (suffix.stem.to_owned(), suffix.unit_sent.to_string()));
            let found = found.as_ref().map(|(stem, unit)| (stem.as_str(), unit.as_str()));
            assert_eq!(found, expected, "{name}");
        };
        check("temperature_F", Some(("temperature", "degF")));
        check("temperature_c", Some(("temperature", "Cel")));
        check("outdoorTempF", Some(("outdoorTemp", "degF")));
        check("temp-k", Some(("temp", "K")));
        check("tC", Some(("t", "Cel")));
        check("temperature.tF", Some(("temperature.t", "degF")));
        check("pressure_hPa", Some(("pressure", "hPa")));
        check("sea_level_hpa", Some(("sea_level", "hPa")));
        check("battery.voltage_mV", Some(("battery.voltage", "mV")));
        check("batt_mv", Some(("batt", "mV")));
        check("voltage_v", Some(("voltage", "V")));
        check("energy_kWh", Some(("energy", "kWh")));
        check("power_w", Some(("power", "W")));
        check("current_ma", Some(("current", "mA")));
        check("co2_ppm", Some(("co2", "ppm")));
        check("wind_speed_kmh", Some(("wind_speed", "km/h")));
        check("humidity_pct", Some(("humidity", "%RH")));
        check("battery_percent", Some(("battery", "%")));
        check("distance_cm", Some(("distance", "cm")));
        check("uptime_s", Some(("uptime", "s")));
        check("room_temperatureC", Some(("room_temperature", "Cel")));
        check("rssi_dbm", Some(("rssi", "dBm")));
        // What only looks like one.
        for name in [
            "phase_a",
            "phase_c",
            "status_c",
            "tool_f",
            "pump_a",
            "plan_b",
            "x_m",
            "gyro_s",
            "ts_ms",
            "door_min",
            "temp_min",
            "humidity_min",
            "power_factor",
            "config_v",
            "hw_v",
            "mV",
            "_F",
            "F",
            "C",
            "temperature",
            "temperature_max",
            "voltage_a",
            "current_v",
            "pressure_c",
            "",
            "_",
            "a_",
            ".",
            "total_w",
            "vpn_in",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn names_say_what_they_measure() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(quantity_of_name(name).map(|quantity| quantity.name), expected, "{name}");
        };
        check("temperature", Some("temperature"));
        check("outdoorTemp_2", Some("temperature"));
        check("DS18B20.Temperature", Some("temperature"));
        check("temperature.value", Some("temperature"));
        check("RH", Some("humidity"));
        check("current_temperature", Some("temperature"));
        check("battery.voltage", Some("voltage"));
        check("power_factor", None);
        check("temperature_status", None);
        check("firmware", None);
        check("t", None);
    }
}
