//! Units at the end of names: `temperature_F`, `pressure_hPa`, `flow_m3_h`, `energykWh`, `tC`.
//!
//! A name is somebody's, and taking its end off for a unit that it is not would be worse than leaving one on. A unit is
//! taken whole or not at all: what is left is a name, and no lone prefix. Short ends count only where the rest of the
//! name says what is measured, and a letter alone is a phase after an electrical quantity: `current_a`.

use std::sync::Arc;

use super::conversion::Conversion;
use super::quantity::{self, Quantity, QuantitySet};
use super::spelling::{Dialect, Found, Meant, find, normalised, readings};

/// Ends that are units whatever stands before them, in lower case.
const TELLING: [&str; 52] = [
    "degc",
    "degf",
    "celsius",
    "fahrenheit",
    "hpa",
    "kpa",
    "mpa",
    "mbar",
    "psi",
    "mmhg",
    "inhg",
    "mmh2o",
    "mv",
    "kv",
    "kw",
    "mw",
    "wh",
    "kwh",
    "mwh",
    "gwh",
    "kva",
    "kvar",
    "kvarh",
    "kvah",
    "mah",
    "ppm",
    "ppb",
    "lux",
    "lx",
    "klx",
    "kmh",
    "kph",
    "mph",
    "mps",
    "m3h",
    "lpm",
    "gpm",
    "cfm",
    "dbm",
    "hz",
    "khz",
    "mhz",
    "ghz",
    "rpm",
    "mm",
    "cm",
    "km",
    "kg",
    "pct",
    "percent",
    "ohm",
    "ohms",
];

/// Ends that are units only where the rest of the name measures that, in lower case.
const FITTING: [&str; 31] = [
    "c", "f", "k", "v", "volts", "a", "ma", "ua", "na", "amps", "w", "watts", "j", "kj", "mj", "pa", "bar",
    "m", "ft", "in", "g", "lb", "l", "s", "sec", "ms", "min", "h", "rh", "m2", "m3",
];

/// Compounds without a figure that are units whatever stands before them, in lower case.
const TELLING_COMPOUNDS: [&str; 9] =
    ["km/h", "mm/h", "mi/h", "us/cm", "ms/cm", "ds/m", "mg/l", "ug/l", "wh/km"];

/// How an end is spelt elsewhere.
const SPELT: [(&str, &str); 19] = [
    ("c", "Cel"),
    ("f", "degF"),
    ("k", "K"),
    ("degc", "Cel"),
    ("celsius", "Cel"),
    ("fahrenheit", "degF"),
    ("lux", "lx"),
    ("mps", "m/s"),
    ("kmh", "km/h"),
    ("kph", "km/h"),
    ("m3h", "m3/h"),
    ("percent", "%"),
    ("pct", "%"),
    ("rh", "%RH"),
    ("ohms", "Ohm"),
    ("volts", "V"),
    ("amps", "A"),
    ("watts", "W"),
    ("sec", "s"),
];

/// What else says which quantity a unit of the second word may have: gas and water come in `m3` and `l/min`.
const HINTS: [(&str, &[&str]); 3] = [
    ("volume", &["gas", "water", "total", "consumption", "usage"]),
    ("volume flow", &["gas", "water", "air", "rate", "consumption"]),
    ("speed", &["wind", "gust"]),
];

/// Letters by which the phases and conductors of a mains are told apart.
const PHASES: &str = "abcnrstuvw";

/// Quantities that are measured of each phase.
const OF_PHASES: [&str; 8] = [
    "voltage",
    "current",
    "power",
    "energy",
    "frequency",
    "apparent power",
    "reactive power",
    "electric charge",
];

/// Words that say that a name is about a quantity, and is none of its measurements.
const ABOUT: [&str; 20] = [
    "factor", "status", "state", "alarm", "alert", "mode", "unit", "units", "source", "count", "id", "name",
    "type", "enabled", "error", "errors", "quality", "valid", "ok", "percent",
];

/// Times whose `min` is minutes, and no minimum.
const TIMES_IN_MINUTES: [&str; 4] = ["duration", "uptime", "runtime", "elapsed"];

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
    let named = Named { name, last_level };
    named.compound().or_else(|| named.separated()).or_else(|| named.camel())
}

/// A name whose end may be a unit.
#[derive(Clone, Copy)]
struct Named<'a> {
    name: &'a str,
    last_level: usize,
}

/// Whether an end is a unit by itself, or only if the rest of the name measures that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    Telling,
    Fitting,
}

impl<'a> Named<'a> {
    fn level(self) -> &'a str {
        self.name.get(self.last_level..).unwrap_or_default()
    }

    /// The name up to `at` within its last level, without what parts it from its end.
    fn stem(self, at: usize) -> Option<&'a str> {
        let level = self.level().get(..at)?.trim_end_matches(is_separator);
        let stem = self.name.get(..self.last_level + level.len())?;
        (!level.is_empty()).then_some(stem)
    }

    /// `flow_m3_h`, `speed_km_per_h`, `temp_deg_c`.
    fn compound(self) -> Option<Suffix<'a>> {
        let level = self.level();
        let (before, last) = level.rsplit_once(is_separator)?;
        let (before, first) = match before.rsplit_once(is_separator) {
            Some((rest, "per")) => rest.rsplit_once(is_separator)?,
            Some(parts) => parts,
            None => return None,
        };
        let stem = self.stem(before.len())?;
        if first.eq_ignore_ascii_case("deg") {
            let end = format!("deg{last}");
            return self.cut(stem, &end, Strength::Telling).filter(|_| last.len() == 1);
        }
        let end = format!("{first}/{last}");
        let end = normalised(&end);
        let lower = end.to_ascii_lowercase();
        let has_figure = end.bytes().any(|byte| byte.is_ascii_digit());
        let is_telling = has_figure || TELLING_COMPOUNDS.contains(&&*lower);
        self.cut(stem, &end, if is_telling { Strength::Telling } else { Strength::Fitting })
    }

    /// `pressure_hPa`, `temp-k`.
    fn separated(self) -> Option<Suffix<'a>> {
        let level = self.level();
        let (before, end) = level.rsplit_once(is_separator)?;
        let stem = self.stem(before.len())?;
        let strength = strength_of(end)?;
        // `energy_k_Wh`: a prefix is part of the unit, and no part of a name.
        let last_word = before.rsplit(is_separator).next().unwrap_or_default();
        let is_apart = last_word.chars().count() == 1 && !readings(&format!("{last_word}{end}")).is_empty();
        self.cut(stem, end, strength).filter(|_| !is_apart)
    }

    /// `outdoorTempF`, `energykWh`, `tempDegC`: where a capital follows a small letter, and one letter before that.
    fn camel(self) -> Option<Suffix<'a>> {
        let level = self.level();
        let begin = level.rfind(is_separator).map_or(0, |at| at + 1);
        let mut capitals = capitals(level).filter(|at| *at > begin).collect::<Vec<_>>();
        let last = capitals.pop()?;
        let longer = capitals.pop().and_then(|at| self.camel_at(begin, at));
        longer.or_else(|| self.camel_at(begin, last))
    }

    fn camel_at(self, begin: usize, at: usize) -> Option<Suffix<'a>> {
        let level = self.level();
        let (before, end) = (level.get(begin..at)?, level.get(at..)?);
        let small = before.chars().next_back()?;
        let prefix_at = at - small.len_utf8();
        let prefixed = level.get(prefix_at..)?;
        let may_be_prefix = readings(prefixed).iter().any(|reading| reading.prefix.is_some());
        if may_be_prefix && prefix_at > begin {
            let whole = self.stem(prefix_at).and_then(|stem| self.cut(stem, prefixed, Strength::Fitting));
            if whole.is_some() {
                return whole;
            }
        }
        // `pressure_kBar`: what is left of the last word is a prefix.
        if before.chars().count() == 1 && begin > 0 {
            return None;
        }
        // `clockHz` is Hz of a clock, or kHz of a cloc.
        let strength = strength_of_word(end)?;
        let strength = if may_be_prefix { Strength::Fitting } else { strength };
        // Camel case makes every first letter a capital: `voltageMV` is as likely mV.
        let is_capital = end.starts_with('M') && !end.bytes().any(|byte| byte.is_ascii_lowercase());
        if is_capital && readings(end).iter().any(|reading| reading.prefix.is_some()) {
            return None;
        }
        self.cut(self.stem(at)?, end, strength)
    }

    /// The unit that `end` is of the name `stem`.
    fn cut(self, stem: &'a str, end: &str, strength: Strength) -> Option<Suffix<'a>> {
        let measured = quantity_of_stem(stem, self.last_level);
        let lower = end.to_ascii_lowercase();
        if is_phase(&lower, measured) || self.is_shouted_mega(end) {
            return None;
        }
        if lower == "min" && !TIMES_IN_MINUTES.contains(&&*last_word(stem)) {
            return None;
        }
        let spelt = SPELT.iter().find(|(known, _)| *known == lower).map_or(end, |(_, unit)| *unit);
        let Meant { found, reading, .. } = find(spelt, Dialect::Written, measured);
        let Found::Unit(quantity, conversion) = found else { return None };
        let fits = measured == Some(quantity) || (measured.is_none() && is_hinted(stem, &lower, quantity));
        let contradicts = measured.is_some() && !fits && spelt != "%";
        if !fits && (strength == Strength::Fitting || contradicts) {
            return None;
        }
        let unit_sent = if *conversion.unit == *"%RH" {
            Arc::from("%RH")
        } else {
            reading.map_or_else(|| Arc::from(spelt), |reading| reading.spelt().into())
        };
        Some(Suffix { stem, quantity: Some(quantity), conversion, unit_sent })
    }

    /// `BATTERY_MV`: in a name of capitals, a capital M is no mega.
    fn is_shouted_mega(self, end: &str) -> bool {
        let is_shouted = !self.level().chars().any(char::is_lowercase);
        is_shouted && readings(end).iter().any(|reading| reading.prefix == Some('M'))
    }
}

fn is_separator(letter: char) -> bool {
    matches!(letter, '_' | '-')
}

fn strength_of_word(end: &str) -> Option<Strength> {
    let lower = end.to_ascii_lowercase();
    if TELLING.contains(&&*lower) {
        return Some(Strength::Telling);
    }
    (FITTING.contains(&&*lower) || SPELT.iter().any(|(known, _)| *known == lower))
        .then_some(Strength::Fitting)
}

/// As [`strength_of_word`]; and a unit with its prefix is one where a capital tells it from a word: `kOhm`, `nA`.
fn strength_of(end: &str) -> Option<Strength> {
    let end = &*normalised(end);
    let is_prefixed = || readings(end).iter().any(|reading| reading.prefix.is_some());
    let has_capital = end.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_telling = || (has_capital && is_prefixed()).then_some(Strength::Telling);
    strength_of_word(end)
        .filter(|strength| *strength == Strength::Telling)
        .or_else(is_telling)
        .or_else(|| strength_of_word(end))
}

fn is_phase(end: &str, measured: Option<&Quantity>) -> bool {
    let is_letter = end.len() == 1 && PHASES.contains(end);
    is_letter && measured.is_some_and(|measured| OF_PHASES.contains(&measured.name))
}

/// Whether the last word of the stem says that `end` is a unit of `quantity`. A letter alone is too little.
fn is_hinted(stem: &str, end: &str, quantity: &Quantity) -> bool {
    let hints = HINTS.iter().find(|(name, _)| *name == quantity.name).map(|(_, words)| words);
    end.len() > 1 && hints.is_some_and(|hints| hints.contains(&&*last_word(stem)))
}

fn last_word(stem: &str) -> String {
    words(stem).pop().unwrap_or_default()
}

/// Where in a level a capital follows a small letter.
fn capitals(level: &str) -> impl Iterator<Item = usize> {
    let letters = level.char_indices().zip(level.chars().skip(1));
    letters
        .filter(|((_, before), letter)| before.is_lowercase() && letter.is_uppercase())
        .map(|((at, before), _)| at + before.len_utf8())
}

fn quantity_of_stem(stem: &str, last_level: usize) -> Option<&'static Quantity> {
    let level = stem.get(last_level..)?;
    // `tC` and `t_f`, which nothing but a temperature is.
    let level = if level.eq_ignore_ascii_case("t") { "temperature" } else { level };
    quantity_of_level(level)
}

/// Whether a name says that a probe is on a 1-Wire bus, by its type or by its address, whose family code is 28.
pub(crate) fn is_one_wire(name: &str) -> bool {
    const WORDS: [&str; 9] =
        ["ds18b20", "ds18x20", "ds18s20", "ds1820", "ds1822", "onewire", "1wire", "w1therm", "dallas"];
    let has_word = |level: &str| {
        let plain: String = level.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
        WORDS.iter().any(|word| plain.to_ascii_lowercase().contains(word))
    };
    let is_address = |level: &str| {
        let digits = level.strip_prefix("28").map(|rest| rest.trim_start_matches(['-', '.', '_', ':']));
        digits.is_some_and(|digits| {
            digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
        })
    };
    name.split('.').any(|level| has_word(level) || level.split('_').any(is_address) || is_address(level))
        || is_address(name)
}

/// What a name says that it measures: by its last level, or else by the one before.
pub(crate) fn quantity_of_name(name: &str) -> Option<&'static Quantity> {
    name.rsplit('.').take(2).find_map(quantity_of_level)
}

/// All quantities that the words of a name speak of.
pub(crate) fn quantities_of_name(name: &str) -> QuantitySet {
    let mut set = QuantitySet::default();
    let levels = name.split('.');
    levels
        .flat_map(words)
        .filter_map(|word| quantity::of_word(&word))
        .for_each(|quantity| set.insert(quantity));
    set
}

fn quantity_of_level(level: &str) -> Option<&'static Quantity> {
    let words = words(level);
    if words.len() > 1 && words.iter().any(|word| ABOUT.contains(&word.as_str())) {
        return None;
    }
    words.iter().rev().find_map(|word| quantity::of_word(word))
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

    fn check(name: &str, expected: Option<(&str, &str)>) {
        let found = of_name(name).map(|suffix| (suffix.stem.to_owned(), suffix.unit_sent.to_string()));
        let found = found.as_ref().map(|(stem, unit)| (stem.as_str(), unit.as_str()));
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn units_at_the_end_of_names() {
        check("temperature_F", Some(("temperature", "degF")));
        check("temperature_c", Some(("temperature", "Cel")));
        check("outdoorTempF", Some(("outdoorTemp", "degF")));
        check("temp-k", Some(("temp", "K")));
        check("tC", Some(("t", "Cel")));
        check("temperature.tF", Some(("temperature.t", "degF")));
        check("temp_deg_c", Some(("temp", "Cel")));
        check("tempDegF", Some(("temp", "degF")));
        check("pressure_hPa", Some(("pressure", "hPa")));
        check("sea_level_hpa", Some(("sea_level", "hPa")));
        check("battery.voltage_mV", Some(("battery.voltage", "mV")));
        check("batt_mv", Some(("batt", "mV")));
        check("energy_kWh", Some(("energy", "kWh")));
        check("current_ma", Some(("current", "mA")));
        check("co2_ppm", Some(("co2", "ppm")));
        check("wind_speed_kmh", Some(("wind_speed", "km/h")));
        check("humidity_pct", Some(("humidity", "%RH")));
        check("humidity_rh", Some(("humidity", "%RH")));
        check("battery_percent", Some(("battery", "%")));
        check("distance_cm", Some(("distance", "cm")));
        check("uptime_s", Some(("uptime", "s")));
        check("uptime_min", Some(("uptime", "min")));
        check("room_temperatureC", Some(("room_temperature", "Cel")));
        check("rssi_dbm", Some(("rssi", "dBm")));
        check("voltage_volts", Some(("voltage", "V")));
        check("fanHz", Some(("fan", "Hz")));
    }

    #[test]
    fn what_only_looks_like_a_unit_stays_on_the_name() {
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
            "interval_min",
            "latency_min",
            "power_factor",
            "config_v",
            "hw_v",
            "mV",
            "_F",
            "F",
            "C",
            "temperature",
            "temperature_max",
            "current_v",
            "pressure_c",
            "",
            "_",
            "a_",
            ".",
            "total_w",
            "vpn_in",
            "motor_m3",
            "pump_l_min",
            "solar_uv",
            "index_UV",
            "lora_gw",
            "acceleration_g",
            "zone_a_m3",
            "power_w_m2",
            "water_ph",
            "_kWh",
            "m3_h",
            "per_h",
            "_per_h",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn a_prefix_is_never_left_on_a_name() {
        check("energykWh", Some(("energy", "kWh")));
        check("insulation_resistance_kOhm", Some(("insulation_resistance", "kOhm")));
        check("insulation_resistance_kΩ", Some(("insulation_resistance", "kOhm")));
        check("standby_current_nA", Some(("standby_current", "nA")));
        check("frequencykHz", Some(("frequency", "kHz")));
        check("bridge_uV", Some(("bridge", "uV")));
        check("bridge_µV", Some(("bridge", "uV")));
        check("solar_uW", Some(("solar", "uW")));
        check("fault_kA", Some(("fault", "kA")));
        check("shot_kJ", Some(("shot", "kJ")));
        check("pulse_mJ", Some(("pulse", "mJ")));
        check("pressurehPa", Some(("pressure", "hPa")));
        check("standbyCurrentnA", Some(("standbyCurrent", "nA")));
        for name in [
            "temperature_dC",
            "voltage_dV",
            "gridkWh",
            "loadmA",
            "clockHz",
            "temperature_mC",
            "pressure_kBar",
            "energy_k_Wh",
            "pulsemJ",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn a_letter_after_an_electrical_quantity_is_a_phase() {
        for quantity in
            ["voltage", "current", "power", "energy", "frequency", "battery_voltage", "total_power"]
        {
            for phase in "abcnrstuvwABCNRSTUVW".chars() {
                check(&format!("{quantity}_{phase}"), None);
                check(&format!("{quantity}-{phase}"), None);
            }
        }
        for name in ["voltageV", "currentA", "powerW", "meter.voltageV"] {
            check(name, None);
        }
    }

    #[test]
    fn a_prefix_of_a_name_is_read_as_it_is_written() {
        check("current_power_mw", Some(("current_power", "mW")));
        check("today_mwh", Some(("today", "mWh")));
        check("grid_MW", Some(("grid", "MW")));
        check("grid_MWh", Some(("grid", "MWh")));
        check("cell_mOhm", Some(("cell", "mOhm")));
        check("radio_MHz", Some(("radio", "MHz")));
        check("load_MPa", Some(("load", "MPa")));
        check("energyMWh", Some(("energy", "MWh")));
        check("energyKwh", Some(("energy", "kWh")));
        // A capital that camel case or a name of capitals makes says nothing, nor do megas in lower case.
        for name in [
            "batteryMv",
            "voltageMV",
            "powerMW",
            "BATTERY_VOLTAGE_MV",
            "POWER_MW",
            "UPTIME_MS",
            "radio_mhz",
            "load_mpa",
        ] {
            check(name, None);
        }
        check("POWER_KW", Some(("POWER", "kW")));
    }

    #[test]
    fn compounds_at_the_end_of_names() {
        check("volume_m3", Some(("volume", "m3")));
        check("gas_m3", Some(("gas", "m3")));
        check("flow_m3_h", Some(("flow", "m3/h")));
        check("pump_m3_h", Some(("pump", "m3/h")));
        check("pump_m3h", Some(("pump", "m3/h")));
        check("flow_l_min", Some(("flow", "l/min")));
        check("water_l_min", Some(("water", "l/min")));
        check("flow_l_per_min", Some(("flow", "l/min")));
        check("speed_km_h", Some(("speed", "km/h")));
        check("wind_km_h", Some(("wind", "km/h")));
        check("wind_m_s", Some(("wind", "m/s")));
        check("rain_mm_h", Some(("rain", "mm/h")));
        check("outdoor_klx", Some(("outdoor", "klx")));
        check("pm25_ug_m3", Some(("pm25", "ug/m3")));
        check("dust_µg_m³", Some(("dust", "ug/m3")));
        check("solar_w_m2", Some(("solar", "W/m2")));
        check("solar_W_m2", Some(("solar", "W/m2")));
        check("accel_m_s2", Some(("accel", "m/s2")));
        check("water_us_cm", Some(("water", "uS/cm")));
    }

    #[test]
    fn one_wire_probes_are_known_by_type_or_address() {
        for name in [
            "DS18B20.Temperature",
            "ds18b20-1.t",
            "onewire",
            "one_wire_temp",
            "1-wire.x",
            "28-0316a2795bff",
            "probe.28FF641E8216C30E",
            "28.0316a2795bff",
            "temp_28ff641e8216c30e",
            "dallas_1",
        ] {
            assert!(is_one_wire(name), "{name}");
        }
        for name in ["temperature", "28", "28-1", "zone28", "2800000", "oven.temp", "28.5"] {
            assert!(!is_one_wire(name), "{name}");
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
