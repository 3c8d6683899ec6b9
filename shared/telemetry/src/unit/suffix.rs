//! Units at the end of names: `temperature_F`, `pressure_hPa`, `flow_m3_h`, `energykWh`, `tC`.
//!
//! A name is somebody's, and taking its end off for a unit that it is not would be worse than leaving one on. A unit is
//! taken whole or not at all: what is left is a name, and no lone prefix. Short ends count only where the rest of the
//! name says what is measured, and a letter alone is a phase after an electrical quantity: `current_a`.

use std::sync::Arc;

use super::conversion::Conversion;
use super::names::{quantity_of_level, words};
use super::quantity::Quantity;
use super::spelling::{Dialect, Found, Meant, find, normalised, readings};

/// Ends that are units whatever stands before them, in lower case.
#[rustfmt::skip]
const TELLING: [&str; 52] = [
    "degc", "degf", "celsius", "fahrenheit", "hpa", "kpa", "mpa", "mbar", "psi", "mmhg", "inhg", "mmh2o",
    "mv", "kv", "kw", "mw", "wh", "kwh", "mwh", "gwh", "kva", "kvar", "kvarh", "kvah", "mah", "ppm",
    "ppb", "lux", "lx", "klx", "kmh", "kph", "mph", "mps", "m3h", "lpm", "gpm", "cfm", "dbm", "hz",
    "khz", "mhz", "ghz", "rpm", "mm", "cm", "km", "kg", "pct", "percent", "ohm", "ohms",
];

/// Ends that are units only where the rest of the name measures that, in lower case.
const FITTING: [&str; 31] = [
    "c", "f", "k", "v", "volts", "a", "ma", "ua", "na", "amps", "w", "watts", "j", "kj", "mj", "pa", "bar",
    "m", "ft", "in", "g", "lb", "l", "s", "sec", "ms", "min", "h", "rh", "m2", "m3",
];

/// Compounds without a figure that are units whatever stands before them, in lower case.
const TELLING_COMPOUNDS: [&str; 9] =
    ["km/h", "mm/h", "mi/h", "us/cm", "ms/cm", "ds/m", "mg/l", "ug/l", "wh/km"];

/// Compounds of which the first half is a letter, and elsewhere as likely a name: `consumption_g_kwh`, but `tank_l_mm`.
const OF_A_LETTER: [&str; 7] = ["g/kwh", "g/mwh", "g/km", "g/kg", "l/km", "l/kwh", "m/km"];

/// Units that are as often words of a name, or its number: `import_in_kwh`, `winding_sec_kv`, `pump_m3_kw`.
const UNITS_IN_NAMES: [&str; 7] = ["in", "min", "sec", "m2", "m3", "pct", "percent"];

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
        // A figure is an exponent where the table has it, as `w_m2`, and else as likely a number: `zone_t_l1`.
        let has_exponent = || {
            let has_figure = end.bytes().any(|byte| byte.is_ascii_digit());
            has_figure && find(&end, Dialect::Written, None).reading.is_some()
        };
        let is_telling = TELLING_COMPOUNDS.contains(&&*lower) || has_exponent();
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
            let stem = self.stem(prefix_at)?;
            let whole = self.cut(stem, prefixed, Strength::Fitting);
            if whole.is_some() || self.is_divisor(stem, prefixed) {
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
        if is_phase(&lower, measured) || self.is_shouted_mega(end) || self.is_divisor(stem, end) {
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

    /// `price_per_kWh`, `consumption_kwh_km`: the last half of a unit, whose first half is at the end of `stem`.
    fn is_divisor(self, stem: &str, end: &str) -> bool {
        let level = stem.get(self.last_level..).unwrap_or_default();
        let word = level.rsplit(is_separator).next().unwrap_or_default();
        let part = capitals(word).last().and_then(|at| word.get(at..));
        let is_unit = |word: &str| match word {
            "per" => true,
            _ if word.len() == 1 => OF_A_LETTER.contains(&&*format!("{word}/{end}").to_ascii_lowercase()),
            _ => {
                let is_name = || UNITS_IN_NAMES.contains(&word) || quantity_of_level(word).is_some();
                strength_of_word(word).is_some() && !is_name()
            }
        };
        [Some(word), part].into_iter().flatten().any(|word| is_unit(&word.to_ascii_lowercase()))
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
    FITTING.contains(&&*lower).then_some(Strength::Fitting)
}

/// As [`strength_of_word`]; and a unit with its prefix is one where a capital tells it from a word: `kOhm`, `nA`.
fn strength_of(end: &str) -> Option<Strength> {
    let end = &*normalised(end);
    let strength = strength_of_word(end);
    let has_capital = end.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_prefixed = || readings(end).iter().any(|reading| reading.prefix.is_some());
    let is_certain = strength == Some(Strength::Telling) || (has_capital && is_prefixed());
    if is_certain { Some(Strength::Telling) } else { strength }
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

#[cfg(test)]
mod tests;
