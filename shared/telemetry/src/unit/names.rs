//! What the words of a metric's name say that it measures.

use super::quantity::{self, Quantity, QuantitySet};

/// Words that say that a name is about a quantity, and is none of its measurements.
const ABOUT: [&str; 20] = [
    "factor", "status", "state", "alarm", "alert", "mode", "unit", "units", "source", "count", "id", "name",
    "type", "enabled", "error", "errors", "quality", "valid", "ok", "percent",
];

/// Words after a quantity that make another one of it.
const DERIVED: [&str; 16] = [
    "sum", "integral", "rate", "gradient", "drift", "offset", "change", "slope", "trend", "ratio", "level",
    "index", "time", "position", "price", "cost",
];

/// Words after `current` that leave it an electric one. Before others it is an adjective.
const OF_CURRENT: [&str; 18] = [
    "phase", "rms", "max", "min", "avg", "average", "mean", "total", "in", "out", "input", "output", "dc",
    "ac", "value", "raw", "sensor", "neutral",
];

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

/// Whether a name may measure something else than the quantity of which it speaks: `altitude_rate` is a speed,
/// `frequency_drift` a ratio, `power.sum` an energy, and `current_level` is the level of now.
pub(crate) fn may_be_another(name: &str) -> bool {
    let levels: Vec<&str> = name.rsplit('.').take(2).collect();
    let words: Vec<String> = levels.iter().rev().flat_map(|level| words(level)).collect();
    let place = words.iter().rposition(|word| quantity::of_word(word).is_some());
    let after = place.and_then(|place| words.get(place + 1..)).unwrap_or_default();
    let is_now = place.and_then(|place| words.get(place)).is_some_and(|word| word == "current");
    let is_of_current = |word: &String| word.len() == 1 || OF_CURRENT.contains(&word.as_str());
    after.iter().any(|word| DERIVED.contains(&word.as_str())) || (is_now && !after.iter().all(is_of_current))
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

pub(super) fn quantity_of_level(level: &str) -> Option<&'static Quantity> {
    let words = words(level);
    if words.len() > 1 && words.iter().any(|word| ABOUT.contains(&word.as_str())) {
        return None;
    }
    words.iter().rev().find_map(|word| quantity::of_word(word))
}

/// The words of a level in lower case, without their numbers: `outdoorTemp_2` is `outdoor`, `temp`.
pub(super) fn words(level: &str) -> Vec<String> {
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
    fn some_words_make_another_quantity_of_one() {
        for name in [
            "altitude_rate",
            "frequency_drift",
            "current_level",
            "current_heating_setpoint",
            "power.sum",
            "x.current_position",
        ] {
            assert!(may_be_another(name), "{name}");
        }
        for name in [
            "altitude",
            "current",
            "current_a",
            "phase.current_max",
            "pressure.value",
            "x",
            "temperature_indoor",
        ] {
            assert!(!may_be_another(name), "{name}");
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
