//! What devices write, and what it means.

use proptest::prelude::*;

use super::*;
use crate::reading::Value;

fn find(text: &str, dialect: Dialect) -> Option<(&'static Quantity, Conversion)> {
    match spelling::find(text, dialect, None).found {
        Found::Unit(quantity, conversion) => Some((quantity, conversion)),
        Found::Several | Found::Unknown => None,
    }
}

/// `number` of `text` in the canonical unit, as `{number} {unit}`.
fn convert(number: f64, text: &str, dialect: Dialect) -> Option<String> {
    let (_, conversion) = find(text, dialect)?;
    let value = conversion.apply(&Value::from_f64(number)?)?;
    Some(format!("{value} {}", conversion.unit))
}

#[test]
fn units_as_devices_write_them() {
    let check = |number: f64, text: &str, expected: &str| {
        assert_eq!(convert(number, text, Dialect::Written).as_deref(), Some(expected), "{number} {text}");
    };
    check(72.5, "°F", "22.5 Cel");
    check(32.0, "F", "0 Cel");
    check(-40.0, "degF", "-40 Cel");
    check(212.0, "℉", "100 Cel");
    check(140.0, "°F", "60 Cel");
    check(-459.67, "°F", "-273.15 Cel");
    check(22.5, "C", "22.5 Cel");
    check(22.5, "℃", "22.5 Cel");
    check(22.5, "celsius", "22.5 Cel");
    check(273.15, "K", "0 Cel");
    check(0.0, "Kelvin", "-273.15 Cel");
    check(55.0, "%RH", "55 %RH");
    check(80.0, "%", "80 %");
    check(1013.25, "hPa", "101325 Pa");
    check(1.0, "mbar", "100 Pa");
    check(2.5, "bar", "250000 Pa");
    check(101.3, "kPa", "101300 Pa");
    check(1.0, "MPa", "1000000 Pa");
    check(1.0, "psi", "6894.75729316836 Pa");
    check(760.0, "mmHg", "101324.72 Pa");
    check(1.0, "atm", "101325 Pa");
    check(3300.0, "mV", "3.3 V");
    check(1.5, "kV", "1500 V");
    check(20.0, "mA", "0.02 A");
    check(15.0, "µA", "0.000015 A");
    check(15.0, "uA", "0.000015 A");
    check(1.2, "kW", "1200 W");
    check(3.0, "MW", "3000000 W");
    check(1.0, "kWh", "3600000 J");
    check(1.0, "Wh", "3600 J");
    check(2.0, "MWh", "7200000000 J");
    check(1.0, "kcal", "4184 J");
    check(90.0, "km/h", "25 m/s");
    check(90.0, "kmh", "25 m/s");
    check(10.0, "mph", "4.4704 m/s");
    check(1.0, "kn", "0.514444444444444 m/s");
    check(12.0, "ft", "3.6576 m");
    check(10.0, "in", "0.254 m");
    check(180.0, "cm", "1.8 m");
    check(5.0, "mm", "0.005 m");
    check(3.0, "km", "3000 m");
    check(1.0, "mi", "1609.344 m");
    check(300.0, "lux", "300 lx");
    check(420.0, "ppm", "420 ppm");
    check(500.0, "ppb", "0.5 ppm");
    check(1413.0, "us/cm", "0.1413 S/m");
    check(1413.0, "µS/cm", "0.1413 S/m");
    check(12.88, "mS/cm", "1.288 S/m");
    check(1.0, "dS/m", "0.1 S/m");
    check(2500.0, "g", "2.5 kg");
    check(1.0, "lb", "0.45359237 kg");
    check(1.0, "oz", "0.028349523125 kg");
    check(1.0, "t", "1000 kg");
    check(5.0, "L", "0.005 m3");
    check(250.0, "mL", "0.00025 m3");
    check(1.0, "gal", "0.003785411784 m3");
    check(60.0, "l/min", "0.001 m3/s");
    check(3.6, "m3/h", "0.001 m3/s");
    check(2.0, "min", "120 s");
    check(1.0, "h", "3600 s");
    check(1.0, "d", "86400 s");
    check(250.0, "ms", "0.25 s");
    check(50.0, "µs", "0.00005 s");
    check(868.1, "MHz", "868100000 Hz");
    check(3000.0, "rpm", "3000 1/min");
    check(-70.0, "dBm", "-70 dBm");
    check(4.7, "kOhm", "4700 Ohm");
    check(4.7, "kΩ", "4700 Ohm");
    check(2.0, "kVA", "2000 VA");
    check(1.5, "kvar", "1500 var");
    check(1.0, "kvarh", "3600000 vars");
    check(1.0, "Ah", "3600 C");
    check(500.0, "mAh", "1800 C");
    check(12.0, "µg/m³", "12 ug/m3");
    check(0.5, "mg/m3", "500 ug/m3");
    check(1.0, "uW/cm2", "0.01 W/m2");
    check(2.0, "kB", "2000 B");
    check(1.0, "KiB", "1024 B");
    check(180.0, "°", "180 deg");
    check(50.0, "uT", "0.00005 T");
    // UCUM's own codes, where nothing else is known.
    check(1.0, "m[H2O]", "9806.65 Pa");
    check(2.0, "W.h", "7200 J");
    check(1.0, "[degF]", "-17.2222222222222 Cel");
}

/// RFC 8428, section 12.1, with the later entries of IANA's registry that are known here.
#[test]
fn units_of_senml() {
    let check = |number: f64, text: &str, expected: &str| {
        assert_eq!(convert(number, text, Dialect::Senml).as_deref(), Some(expected), "{number} {text}");
    };
    for unit in [
        "m", "kg", "s", "A", "cd", "mol", "Hz", "sr", "N", "Pa", "J", "W", "C", "V", "F", "Ohm", "S", "Wb",
        "T", "H", "Cel", "lm", "lx", "Bq", "Gy", "Sv", "kat", "m2", "m3", "m/s", "m/s2", "m3/s", "W/m2",
        "cd/m2", "bit/s", "lat", "lon", "pH", "dB", "Bspl", "count", "/", "%", "%RH", "%EL", "EL", "1/min",
        "beat/min", "beats", "S/m", "B", "VA", "VAs", "var", "vars", "J/m", "kg/m3", "deg", "NTU",
    ] {
        check(5.0, unit, &format!("5 {unit}"));
    }
    check(300.0, "K", "26.85 Cel");
    check(500.0, "g", "0.5 kg");
    check(3.0, "l", "0.003 m3");
    check(2.0, "l/s", "0.002 m3/s");
    check(1.0, "rad", "57.2957795130823 deg");
    check(16.0, "bit", "2 B");
    check(1.0, "1/s", "60 1/min");
    check(-10.0, "dBW", "20 dBm");
}

/// RFC 8798, section 3: the secondary units. Scales as there, by way of the canonical unit.
#[test]
fn secondary_units_of_senml() {
    let check = |text: &str, expected: &str| {
        assert_eq!(convert(1.0, text, Dialect::Senml).as_deref(), Some(expected), "{text}");
    };
    check("ms", "0.001 s");
    check("min", "60 s");
    check("h", "3600 s");
    check("MHz", "1000000 Hz");
    check("kW", "1000 W");
    check("kVA", "1000 VA");
    check("kvar", "1000 var");
    check("Ah", "3600 C");
    check("Wh", "3600 J");
    check("kWh", "3600000 J");
    check("varh", "3600 vars");
    check("kvarh", "3600000 vars");
    check("kVAh", "3600000 VAs");
    check("Wh/km", "3.6 J/m");
    check("KiB", "1024 B");
    check("GB", "1000000000 B");
    check("Mbit/s", "1000000 bit/s");
    check("B/s", "8 bit/s");
    check("MB/s", "8000000 bit/s");
    check("mV", "0.001 V");
    check("mA", "0.001 A");
    check("dBm", "1 dBm");
    check("ug/m3", "1 ug/m3");
    check("mm/h", "2.77777777777778e-7 m/s");
    check("m/h", "0.000277777777777778 m/s");
    check("ppm", "1 ppm");
    check("/100", "0.01 /");
    check("/1000", "0.001 /");
    check("hPa", "100 Pa");
    check("mm", "0.001 m");
    check("cm", "0.01 m");
    check("km", "1000 m");
    check("km/h", "0.277777777777778 m/s");
}

#[test]
fn a_word_means_what_its_dialect_says() {
    assert_eq!(convert(1.0, "C", Dialect::Senml).as_deref(), Some("1 C"));
    assert_eq!(convert(1.0, "C", Dialect::Written).as_deref(), Some("1 Cel"));
    assert_eq!(convert(1.0, "F", Dialect::Senml).as_deref(), Some("1 F"));
    for unknown in ["", " ", "widgets", "m/", "((((", "%%", "\u{1f4a5}", &"k".repeat(33)] {
        assert_eq!(convert(1.0, unknown, Dialect::Written), None, "{unknown}");
    }
}

#[test]
fn percent_of_humidity_is_relative_humidity() {
    let mut units = Units::default();
    let humidity = quantity_of_name("humidity");
    assert_eq!(units.get("%", Dialect::Written, humidity).unit, Unit::new("%RH", Some("%")));
    assert_eq!(units.get("%", Dialect::Written, None).unit, Unit::new("%", None));
    assert_eq!(units.get("furlongs", Dialect::Written, None).quantity, None);
    assert_eq!(units.get("furlongs", Dialect::Written, None).unit, Unit::new("furlongs", None));
}

#[test]
fn integers_keep_their_digits() {
    let (_, conversion) = check("Cel").unwrap();
    let large = Value::Integer(9_007_199_254_740_993);
    assert_eq!(conversion.apply(&large), Some(large));
    let (_, conversion) = check("Wh").unwrap();
    let counted = conversion.apply(&Value::Integer(1_000_000_000_000_001));
    assert_eq!(counted, Some(Value::Integer(3_600_000_000_000_003_600)));
    assert_eq!(
        conversion.apply(&Value::Integer(1 << 60)),
        Some(Value::Integer(4_150_517_416_584_649_113_600))
    );
}

#[test]
fn a_bounded_number_of_units_is_remembered() {
    let mut units = Units::default();
    for number in 0..2 * MAX_UNITS {
        units.get(&format!("u{number}"), Dialect::Written, None);
        assert!(units.known.iter().all(|known| known.len() <= MAX_UNITS));
    }
}

proptest! {
    #[test]
    fn any_text_is_a_unit_or_none(text in "\\PC{0,64}", number in any::<f64>()) {
        for dialect in [Dialect::Senml, Dialect::Written] {
            if let (Some((_, conversion)), Some(value)) = (find(&text, dialect), Value::from_f64(number)) {
                conversion.apply(&value);
            }
        }
        of_name(&text);
        quantity_of_name(&text);
    }

    #[test]
    fn pieces_of_units_are_a_unit_or_none(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec!["m", "k", "/", ".", "(", ")", "[", "]", "2", "-1", "10*", "^", "degF", "Hg", "%", "'", "{", "}"]),
            0..16,
        )
    ) {
        find(&pieces.concat(), Dialect::Written);
    }
}

/// `number` of `text` stays as it was sent.
fn stays(text: &str) {
    for dialect in [Dialect::Written, Dialect::Senml] {
        assert_eq!(convert(1.0, text, dialect), None, "{text}");
    }
}

fn becomes(number: f64, text: &str, expected: &str) {
    for dialect in [Dialect::Written, Dialect::Senml] {
        assert_eq!(convert(number, text, dialect).as_deref(), Some(expected), "{number} {text}");
    }
}

#[test]
fn prefixes_mean_what_their_case_says() {
    becomes(35.0, "mOhm", "0.035 Ohm");
    becomes(35.0, "mΩ", "0.035 Ohm");
    becomes(35.0, "m\u{2126}", "0.035 Ohm");
    becomes(35.0, "MΩ", "35000000 Ohm");
    becomes(12.0, "mWh", "43.2 J");
    becomes(3.0, "mJ", "0.003 J");
    becomes(3.0, "MJ", "3000000 J");
    becomes(6.3, "mPa", "0.0063 Pa");
    becomes(6.3, "MPa", "6300000 Pa");
    becomes(6.3, "mHz", "0.0063 Hz");
    becomes(6.3, "MV", "6300000 V");
    becomes(6.3, "MA", "6300000 A");
    becomes(6.3, "pA", "6.3e-12 A");
    becomes(6.3, "umol", "6.3e-6 mol");
    becomes(2.0, "nkat", "2e-9 kat");
    becomes(9.0, "nSv", "9e-9 Sv");
    becomes(3.0, "MBq", "3000000 Bq");
    becomes(5.0, "mN", "0.005 N");
    becomes(2.0, "Mbps", "2000000 bit/s");
    becomes(2.0, "kbit", "250 B");
    // Another case than the table's, where nothing else is meant.
    becomes(1.0, "kwh", "3600000 J");
    becomes(1.0, "KWH", "3600000 J");
    becomes(1.0, "KPA", "1000 Pa");
    becomes(1.0, "HPA", "100 Pa");
    becomes(1.0, "mwh", "3.6 J");
    becomes(1.0, "mv", "0.001 V");
    becomes(1.0, "CELSIUS", "1 Cel");
    becomes(1.0, "Degrees Celsius", "1 Cel");
    becomes(1.0, "LUX", "1 lx");
    becomes(1.0, "ghz", "1000000000 Hz");
}

#[test]
fn what_may_be_several_units_stays_as_sent() {
    for text in [
        "mb", "kb", "Mb", "Gb", "b", "b/s", "Mb/s", "PS", "kt", "MWH", "MHZ", "mhz", "mpa", "MOHM", "MAH",
        "Mg", "ML", "MM", "Mv", "Mwh", "mbps", "G", "M", "k", "a", "Cal", "mC", "mF", "Nm", "NM", "KN", "PA",
        "pa", "Bps/s", "PH", "RAD", "Gal", "MG", "MS", "US",
    ] {
        stays(text);
    }
}

#[test]
fn a_profile_is_told_why_its_unit_is_refused() {
    let refused = |text: &str, reason: &str| {
        let sentence = check(text).unwrap_err();
        assert!(sentence.starts_with(&format!("{text:?} {reason};")), "{sentence}");
    };
    refused("mb", "means several units");
    refused("PS", "means several units");
    refused("MWH", "means several units");
    refused("widgets", "is no unit that is known");
    refused("N.m", "is no unit that is known");
    refused("", "is no unit that is known");
}

#[test]
fn what_ucum_alone_reads_into_a_text_stays_as_sent() {
    for text in [
        "pt", "st", "u", "ar", "pc", "mo", "P", "St", "att", "bpt", "dB[SPL]", "dB[uV]", "B[V]", "Np",
        "[pH]", "[IU]", "[hp'_X]", "[e]", "mol/mol", "10*3", "1",
    ] {
        stays(text);
    }
}

#[test]
fn what_has_no_dimension_is_no_humidity() {
    for text in ["m3/m3", "g/kg", "mg/kg", "umol/mol", "[ppth]", "{widgets}", "l/km", "L/m2", "[pi]", "10*-6"]
    {
        stays(text);
    }
    becomes(400.0, "[ppm]", "400 ppm");
    becomes(400.0, "[ppb]", "0.4 ppm");
    becomes(4.0, "{count}", "4 count");
}

#[test]
fn a_dimension_of_several_quantities_says_none() {
    for text in [
        "N.m", "N·m", "J/kg", "J/m3", "kg.m/s2", "kg/s2", "V.A", "m2/s2", "mol/s", "mol/m3", "mmol/L",
        "uSv/h", "W/m.K", "/s",
    ] {
        stays(text);
    }
    becomes(3.6, "Wh/km", "12.96 J/m");
    becomes(1.0, "W.h", "3600 J");
    becomes(1.0, "[psi]", "6894.75729316836 Pa");
    becomes(1.0, "N/m2", "1 Pa");
}

#[test]
fn signs_powers_and_words_of_devices() {
    for text in ["µS/cm", "μS/cm", "uS/cm"] {
        becomes(1.5, text, "0.00015 S/m");
    }
    for text in ["W/m^2", "W/m2", "W/m²", "W / m²"] {
        becomes(3.0, text, "3 W/m2");
    }
    becomes(2.0, "m^3", "2 m3");
    becomes(2.0, "m^2", "2 m2");
    becomes(2.0, "ft³", "0.056633693184 m3");
    becomes(2.0, "m/s^2", "2 m/s2");
    becomes(2.0, "m·s⁻¹", "2 m/s");
    becomes(2.0, "hr", "7200 s");
    becomes(1.0, "mmH2O", "9.80665 Pa");
    becomes(1.0, "cfm", "0.0004719474432 m3/s");
    becomes(1.0, "hp", "745.69987158227 W");
    becomes(1.0, "lbf", "4.4482216152605 N");
    becomes(24.0, "kWh/d", "1000 W");
    becomes(1.0, "gal/h", "1.05150327333333e-6 m3/s");
    becomes(1.0, "μg/m³", "1 ug/m3");
}

/// The cases beside the repository are a sample of kinds; these are their sizes in this suite's own words.
#[test]
fn a_name_says_the_unit_that_is_meant() {
    let mut units = Units::default();
    let mut check = |text: &str, name: &str, expected: &str| {
        let unit = units.get(text, Dialect::Written, quantity_of_name(name));
        assert_eq!(&*unit.unit, expected, "{name} in {text}");
    };
    check("kt", "wind_speed", "m/s");
    check("kt", "cargo", "kt");
    check("%", "humidity", "%RH");
    check("%", "valve", "%");
    check("a", "current", "A");
    check("k", "temperature", "Cel");
    check("pa", "pressure", "Pa");
    check("1/s", "frequency", "Hz");
    check("1/s", "x", "1/min");
    check("mg/m3", "density", "kg/m3");
    check("mg/l", "pm", "ug/m3");
}

/// What another implementation of UCUM says of a code.
struct Oracle {
    kind: &'static str,
    factor: f64,
    offset: f64,
    /// The exponents of UCUM's base units, and of the mole.
    dimension: (&'static str, &'static str),
}

fn oracle() -> HashMap<&'static str, Oracle> {
    let lines = include_str!("../../tests/ucum/codes.tsv").lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &'static str| {
        let mut fields = line.split('\t');
        let mut next = move || fields.next().unwrap_or_default();
        let (code, kind) = (next(), next());
        let (factor, offset) = (next().parse().unwrap_or(0.0), next().parse().unwrap_or(0.0));
        (code, Oracle { kind, factor, offset, dimension: (next(), next()) })
    };
    lines.map(parse).collect()
}

/// Words that devices and SenML use for something else than UCUM does: Fahrenheit and farad, degree Celsius and coulomb,
/// byte and bel, feet and femtotonnes, miles or kilometres an hour and phots.
fn is_meant_otherwise(code: &str, dialect: Dialect) -> bool {
    let is_byte = code.strip_suffix('B').is_some_and(|prefix| ["", "k", "M", "G", "T"].contains(&prefix));
    is_byte
        || ["ft", "mph", "kph"].contains(&code)
        || (dialect == Dialect::Written && ["C", "F"].contains(&code))
}

/// How many of the canonical unit of `quantity` are one of `said`, and the offset, by the other implementation.
fn said_by(oracle: &HashMap<&str, Oracle>, said: &Oracle, quantity: &Quantity) -> Option<(f64, f64)> {
    let canonical = match quantity.unit {
        "/" => "mol/mol",
        "ppm" => "[ppm]",
        "B" => "By",
        "bit/s" | "1/min" | "%" => quantity.unit,
        _ => quantity.ucum?,
    };
    let canonical = oracle.get(canonical).expect("a canonical unit is in the table");
    let is_line = said.kind == "line" && said.dimension == canonical.dimension;
    is_line.then(|| (said.factor / canonical.factor, (said.offset - canonical.offset) / canonical.factor))
}

/// A bit is a number to UCUM, and so are a byte, a percent and a count: what of them is converted is in the table, and
/// in the test of its spellings.
#[test]
fn conversions_agree_with_another_implementation_of_ucum() {
    let oracle = oracle();
    let agrees = |ours: f64, theirs: f64, scale: f64| (ours - theirs).abs() <= 1e-9 * scale.abs();
    let mut converted = 0;
    for (code, said) in oracle.iter().filter(|(_, said)| said.kind != "none") {
        for dialect in [Dialect::Written, Dialect::Senml]
            .into_iter()
            .filter(|dialect| !is_meant_otherwise(code, *dialect))
        {
            let Some((quantity, conversion)) = find(code, dialect) else { continue };
            if quantity.ucum.is_none() && conversion.factor == 1.0 && conversion.offset == 0.0 {
                continue;
            }
            converted += 1;
            let text = format!("{code} is {conversion:?} of {}", quantity.name);
            let (factor, offset) = said_by(&oracle, said, quantity).expect(&text);
            assert!(agrees(conversion.factor, factor, factor), "{text}, not {factor}");
            assert!(agrees(conversion.offset, offset, offset.abs().max(factor)), "{text}, not {offset}");
        }
    }
    assert!(oracle.len() > 3000 && converted > 1000, "{converted} of {}", oracle.len());
}
