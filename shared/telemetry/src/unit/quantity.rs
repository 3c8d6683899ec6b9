//! Which quantities are known, what their canonical units are, and how devices spell units.
//!
//! Canonical units are words of the IANA registry "SenML Units" (RFC 8428, section 12.1; secondary units RFC 8798).
//! Where its unit is not what people read such values in, another of its units is taken: Cel for temperatures (not K),
//! deg for angles (not rad), dBm for signals (not dBW), ug/m3 for dust in the air, which is a quantity of its own beside
//! density. What has the same dimension and another meaning is another quantity: `%` of a battery, of humidity, and `/`.

use Meaning::{Canonical, Linear, Ucum};

use super::conversion::Conversion;

/// Whose words a unit is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// SenML's: `C` is coulomb.
    Senml,
    /// Whatever devices and people write: `C` is degrees Celsius.
    Written,
}

/// Something that can be measured.
#[derive(Debug)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    /// The canonical unit, in SenML's words.
    pub(crate) unit: &'static str,
    /// The same as UCUM's code, where it has one.
    pub(super) ucum: Option<&'static str>,
    /// Words by which a metric's name says that it is this.
    pub(super) words: &'static [&'static str],
    /// What devices write; compared as it is, then without case where only one is like it.
    spellings: &'static [(&'static str, Meaning)],
    /// SenML's words.
    senml: &'static [(&'static str, Meaning)],
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Quantity {}

impl Quantity {
    pub(crate) fn is_temperature(&self) -> bool {
        self.name == "temperature"
    }

    pub(crate) fn is_humidity(&self) -> bool {
        self.name == "humidity"
    }
}

/// What a spelling means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    /// The canonical unit.
    Canonical,
    /// A code of UCUM.
    Ucum(&'static str),
    /// Factor and offset to the canonical unit, where UCUM has no code for one of the two.
    Linear(f64, f64),
}

/// What `text` is spelt for.
pub(super) fn spelt(text: &str, dialect: Dialect) -> Option<(&'static Quantity, Meaning)> {
    let find = |is_it: &dyn Fn(&str) -> bool, dialect: Dialect| {
        let mut found = QUANTITIES.iter().flat_map(|quantity| {
            let spellings = if dialect == Dialect::Senml { quantity.senml } else { quantity.spellings };
            spellings
                .iter()
                .filter(|(spelling, _)| is_it(spelling))
                .map(move |(_, meaning)| (quantity, *meaning))
        });
        let first = found.next()?;
        // Without case `mW` is `MW`: then neither is meant.
        found.all(|other| other == first).then_some(first)
    };
    let exact = |spelling: &str| spelling == text;
    let senml = (dialect == Dialect::Senml).then(|| find(&exact, Dialect::Senml)).flatten();
    senml
        .or_else(|| find(&exact, Dialect::Written))
        .or_else(|| find(&|spelling| spelling.eq_ignore_ascii_case(text), Dialect::Written))
}

/// The quantity that a code of UCUM measures: the first whose canonical unit it can be converted to.
pub(super) fn of_ucum(code: &str) -> Option<(&'static Quantity, Conversion)> {
    // A number alone is a unit to UCUM, and nothing to us.
    if !code.is_ascii() || !code.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    QUANTITIES.iter().find_map(|quantity| Some((quantity, Conversion::of_ucum(quantity, code)?)))
}

/// The README's table of quantities, in Markdown.
pub(crate) fn markdown_table() -> String {
    let row = |quantity: &Quantity| {
        let mut spellings: Vec<&str> = Vec::new();
        let all = quantity.spellings.iter().chain(quantity.senml).map(|(spelling, _)| *spelling);
        for spelling in all.filter(|spelling| *spelling != quantity.unit) {
            if !spellings.contains(&spelling) {
                spellings.push(spelling);
            }
        }
        let spellings: Vec<_> = spellings.iter().map(|spelling| format!("`{spelling}`")).collect();
        format!("| {} | `{}` | {} |\n", quantity.name, quantity.unit, spellings.join(", "))
    };
    let rows: String = QUANTITIES.iter().map(row).collect();
    format!("| quantity | canonical unit | also understood |\n|---|---|---|\n{rows}")
}

pub(super) static QUANTITIES: [Quantity; 62] = [
    Quantity {
        name: "temperature",
        unit: "Cel",
        ucum: Some("Cel"),
        words: &["temperature", "temp", "temperatur"],
        spellings: &[
            ("Cel", Canonical),
            ("C", Canonical),
            ("°C", Canonical),
            ("℃", Canonical),
            ("degC", Canonical),
            ("deg C", Canonical),
            ("celsius", Canonical),
            ("F", Ucum("[degF]")),
            ("°F", Ucum("[degF]")),
            ("℉", Ucum("[degF]")),
            ("degF", Ucum("[degF]")),
            ("deg F", Ucum("[degF]")),
            ("fahrenheit", Ucum("[degF]")),
            ("K", Ucum("K")),
            ("kelvin", Ucum("K")),
        ],
        senml: &[("Cel", Canonical), ("K", Ucum("K"))],
    },
    Quantity {
        name: "humidity",
        unit: "%RH",
        ucum: Some("%"),
        words: &["humidity", "hum", "rh"],
        spellings: &[("%RH", Canonical), ("% RH", Canonical), ("%rH", Canonical), ("RH", Canonical)],
        senml: &[("%RH", Canonical)],
    },
    Quantity {
        name: "pressure",
        unit: "Pa",
        ucum: Some("Pa"),
        words: &["pressure", "barometer", "baro", "barometric"],
        spellings: &[
            ("Pa", Canonical),
            ("hPa", Ucum("hPa")),
            ("kPa", Ucum("kPa")),
            ("MPa", Ucum("MPa")),
            ("mbar", Ucum("mbar")),
            ("bar", Ucum("bar")),
            ("psi", Ucum("[psi]")),
            ("mmHg", Ucum("mm[Hg]")),
            ("inHg", Ucum("[in_i'Hg]")),
            ("atm", Ucum("atm")),
            ("Torr", Ucum("mm[Hg]")),
        ],
        senml: &[("Pa", Canonical), ("hPa", Ucum("hPa"))],
    },
    Quantity {
        name: "voltage",
        unit: "V",
        ucum: Some("V"),
        words: &["voltage", "volt", "volts", "vbat", "vbatt", "vcc"],
        spellings: &[
            ("V", Canonical),
            ("volt", Canonical),
            ("volts", Canonical),
            ("mV", Ucum("mV")),
            ("kV", Ucum("kV")),
            ("uV", Ucum("uV")),
            ("µV", Ucum("uV")),
        ],
        senml: &[("V", Canonical), ("mV", Ucum("mV"))],
    },
    Quantity {
        name: "current",
        unit: "A",
        ucum: Some("A"),
        words: &["current", "amps", "ampere"],
        spellings: &[
            ("A", Canonical),
            ("amp", Canonical),
            ("amps", Canonical),
            ("mA", Ucum("mA")),
            ("uA", Ucum("uA")),
            ("µA", Ucum("uA")),
            ("kA", Ucum("kA")),
        ],
        senml: &[("A", Canonical), ("mA", Ucum("mA"))],
    },
    Quantity {
        name: "power",
        unit: "W",
        ucum: Some("W"),
        words: &["power", "watt", "watts"],
        spellings: &[
            ("W", Canonical),
            ("watt", Canonical),
            ("watts", Canonical),
            ("mW", Ucum("mW")),
            ("kW", Ucum("kW")),
            ("MW", Ucum("MW")),
        ],
        senml: &[("W", Canonical), ("kW", Ucum("kW"))],
    },
    Quantity {
        name: "apparent power",
        unit: "VA",
        ucum: None,
        words: &[],
        spellings: &[("VA", Canonical), ("kVA", Linear(1000.0, 0.0))],
        senml: &[("VA", Canonical), ("kVA", Linear(1000.0, 0.0))],
    },
    Quantity {
        name: "reactive power",
        unit: "var",
        ucum: None,
        words: &[],
        spellings: &[("var", Canonical), ("kvar", Linear(1000.0, 0.0))],
        senml: &[("var", Canonical), ("kvar", Linear(1000.0, 0.0))],
    },
    Quantity {
        name: "energy",
        unit: "J",
        ucum: Some("J"),
        words: &["energy"],
        spellings: &[
            ("J", Canonical),
            ("kJ", Ucum("kJ")),
            ("MJ", Ucum("MJ")),
            ("Wh", Ucum("W.h")),
            ("kWh", Ucum("kW.h")),
            ("MWh", Ucum("MW.h")),
            ("cal", Ucum("cal")),
            ("kcal", Ucum("kcal")),
            ("BTU", Ucum("[Btu]")),
        ],
        senml: &[("J", Canonical), ("Wh", Ucum("W.h")), ("kWh", Ucum("kW.h"))],
    },
    Quantity {
        name: "apparent energy",
        unit: "VAs",
        ucum: None,
        words: &[],
        spellings: &[("VAs", Canonical), ("VAh", Linear(3600.0, 0.0)), ("kVAh", Linear(3600000.0, 0.0))],
        senml: &[("VAs", Canonical), ("kVAh", Linear(3600000.0, 0.0))],
    },
    Quantity {
        name: "reactive energy",
        unit: "vars",
        ucum: None,
        words: &[],
        spellings: &[("vars", Canonical), ("varh", Linear(3600.0, 0.0)), ("kvarh", Linear(3600000.0, 0.0))],
        senml: &[("vars", Canonical), ("varh", Linear(3600.0, 0.0)), ("kvarh", Linear(3600000.0, 0.0))],
    },
    Quantity {
        name: "energy per distance",
        unit: "J/m",
        ucum: Some("J/m"),
        words: &[],
        spellings: &[("J/m", Canonical), ("Wh/km", Ucum("W.h/km")), ("kWh/km", Ucum("kW.h/km"))],
        senml: &[("J/m", Canonical), ("Wh/km", Ucum("W.h/km"))],
    },
    Quantity {
        name: "electric charge",
        unit: "C",
        ucum: Some("C"),
        words: &["charge"],
        spellings: &[("Ah", Ucum("A.h")), ("mAh", Ucum("mA.h")), ("coulomb", Canonical)],
        senml: &[("C", Canonical), ("Ah", Ucum("A.h"))],
    },
    Quantity {
        name: "capacitance",
        unit: "F",
        ucum: Some("F"),
        words: &["capacitance"],
        spellings: &[
            ("farad", Canonical),
            ("uF", Ucum("uF")),
            ("µF", Ucum("uF")),
            ("nF", Ucum("nF")),
            ("pF", Ucum("pF")),
        ],
        senml: &[("F", Canonical)],
    },
    Quantity {
        name: "resistance",
        unit: "Ohm",
        ucum: Some("Ohm"),
        words: &["resistance", "impedance"],
        spellings: &[
            ("Ohm", Canonical),
            ("ohms", Canonical),
            ("Ω", Canonical),
            ("Ω", Canonical),
            ("kOhm", Ucum("kOhm")),
            ("kΩ", Ucum("kOhm")),
            ("kΩ", Ucum("kOhm")),
            ("MOhm", Ucum("MOhm")),
            ("MΩ", Ucum("MOhm")),
            ("MΩ", Ucum("MOhm")),
        ],
        senml: &[("Ohm", Canonical)],
    },
    Quantity {
        name: "conductance",
        unit: "S",
        ucum: Some("S"),
        words: &["conductance"],
        spellings: &[("S", Canonical), ("mS", Ucum("mS")), ("uS", Ucum("uS")), ("µS", Ucum("uS"))],
        senml: &[("S", Canonical)],
    },
    Quantity {
        name: "conductivity",
        unit: "S/m",
        ucum: Some("S/m"),
        words: &["conductivity"],
        spellings: &[
            ("S/m", Canonical),
            ("mS/m", Ucum("mS/m")),
            ("uS/cm", Ucum("uS/cm")),
            ("µS/cm", Ucum("uS/cm")),
            ("us/cm", Ucum("uS/cm")),
            ("mS/cm", Ucum("mS/cm")),
            ("dS/m", Ucum("dS/m")),
        ],
        senml: &[("S/m", Canonical)],
    },
    Quantity {
        name: "magnetic flux",
        unit: "Wb",
        ucum: Some("Wb"),
        words: &[],
        spellings: &[("Wb", Canonical)],
        senml: &[("Wb", Canonical)],
    },
    Quantity {
        name: "magnetic flux density",
        unit: "T",
        ucum: Some("T"),
        words: &["magnetometer"],
        spellings: &[("T", Canonical), ("mT", Ucum("mT")), ("uT", Ucum("uT")), ("µT", Ucum("uT"))],
        senml: &[("T", Canonical)],
    },
    Quantity {
        name: "inductance",
        unit: "H",
        ucum: Some("H"),
        words: &["inductance"],
        spellings: &[("H", Canonical), ("mH", Ucum("mH")), ("uH", Ucum("uH"))],
        senml: &[("H", Canonical)],
    },
    Quantity {
        name: "length",
        unit: "m",
        ucum: Some("m"),
        words: &["distance", "length", "height", "depth", "altitude"],
        spellings: &[
            ("m", Canonical),
            ("mm", Ucum("mm")),
            ("cm", Ucum("cm")),
            ("km", Ucum("km")),
            ("um", Ucum("um")),
            ("µm", Ucum("um")),
            ("in", Ucum("[in_i]")),
            ("inch", Ucum("[in_i]")),
            ("ft", Ucum("[ft_i]")),
            ("feet", Ucum("[ft_i]")),
            ("yd", Ucum("[yd_i]")),
            ("mi", Ucum("[mi_i]")),
        ],
        senml: &[("m", Canonical), ("mm", Ucum("mm")), ("cm", Ucum("cm")), ("km", Ucum("km"))],
    },
    Quantity {
        name: "area",
        unit: "m2",
        ucum: Some("m2"),
        words: &["area"],
        spellings: &[("m2", Canonical), ("m²", Canonical), ("cm2", Ucum("cm2")), ("ha", Ucum("har"))],
        senml: &[("m2", Canonical)],
    },
    Quantity {
        name: "volume",
        unit: "m3",
        ucum: Some("m3"),
        words: &["volume"],
        spellings: &[
            ("m3", Canonical),
            ("m³", Canonical),
            ("l", Ucum("l")),
            ("L", Ucum("l")),
            ("liter", Ucum("l")),
            ("liters", Ucum("l")),
            ("ml", Ucum("ml")),
            ("mL", Ucum("ml")),
            ("hl", Ucum("hl")),
            ("gal", Ucum("[gal_us]")),
            ("ft3", Ucum("[cft_i]")),
            ("ft³", Ucum("[cft_i]")),
        ],
        senml: &[("m3", Canonical), ("l", Ucum("l"))],
    },
    Quantity {
        name: "speed",
        unit: "m/s",
        ucum: Some("m/s"),
        words: &["speed", "velocity"],
        spellings: &[
            ("m/s", Canonical),
            ("km/h", Ucum("km/h")),
            ("kmh", Ucum("km/h")),
            ("kph", Ucum("km/h")),
            ("kmph", Ucum("km/h")),
            ("mph", Ucum("[mi_i]/h")),
            ("kn", Ucum("[kn_i]")),
            ("kt", Ucum("[kn_i]")),
            ("knots", Ucum("[kn_i]")),
            ("mm/h", Ucum("mm/h")),
            ("m/h", Ucum("m/h")),
            ("mm/s", Ucum("mm/s")),
            ("cm/s", Ucum("cm/s")),
            ("ft/s", Ucum("[ft_i]/s")),
        ],
        senml: &[("m/s", Canonical), ("mm/h", Ucum("mm/h")), ("m/h", Ucum("m/h")), ("km/h", Ucum("km/h"))],
    },
    Quantity {
        name: "acceleration",
        unit: "m/s2",
        ucum: Some("m/s2"),
        words: &["acceleration", "accel"],
        spellings: &[
            ("m/s2", Canonical),
            ("m/s²", Canonical),
            ("m/s^2", Canonical),
            ("mg0", Ucum("m[g]")),
            ("g0", Ucum("[g]")),
        ],
        senml: &[("m/s2", Canonical)],
    },
    Quantity {
        name: "volume flow",
        unit: "m3/s",
        ucum: Some("m3/s"),
        words: &["flow", "flowrate"],
        spellings: &[
            ("m3/s", Canonical),
            ("m³/s", Canonical),
            ("l/s", Ucum("l/s")),
            ("L/s", Ucum("l/s")),
            ("l/min", Ucum("l/min")),
            ("L/min", Ucum("l/min")),
            ("lpm", Ucum("l/min")),
            ("l/h", Ucum("l/h")),
            ("L/h", Ucum("l/h")),
            ("m3/h", Ucum("m3/h")),
            ("m³/h", Ucum("m3/h")),
            ("gpm", Ucum("[gal_us]/min")),
        ],
        senml: &[("m3/s", Canonical), ("l/s", Ucum("l/s"))],
    },
    Quantity {
        name: "mass",
        unit: "kg",
        ucum: Some("kg"),
        words: &["mass", "weight"],
        spellings: &[
            ("kg", Canonical),
            ("g", Ucum("g")),
            ("mg", Ucum("mg")),
            ("ug", Ucum("ug")),
            ("µg", Ucum("ug")),
            ("t", Ucum("t")),
            ("lb", Ucum("[lb_av]")),
            ("lbs", Ucum("[lb_av]")),
            ("oz", Ucum("[oz_av]")),
        ],
        senml: &[("kg", Canonical), ("g", Ucum("g"))],
    },
    Quantity {
        name: "density",
        unit: "kg/m3",
        ucum: Some("kg/m3"),
        words: &["density"],
        spellings: &[
            ("kg/m3", Canonical),
            ("kg/m³", Canonical),
            ("g/cm3", Ucum("g/cm3")),
            ("g/l", Ucum("g/l")),
        ],
        senml: &[("kg/m3", Canonical)],
    },
    Quantity {
        name: "mass concentration",
        unit: "ug/m3",
        ucum: Some("ug/m3"),
        words: &["pm"],
        spellings: &[
            ("ug/m3", Canonical),
            ("µg/m3", Canonical),
            ("ug/m³", Canonical),
            ("µg/m³", Canonical),
            ("μg/m3", Canonical),
            ("μg/m³", Canonical),
            ("mg/m3", Ucum("mg/m3")),
            ("mg/m³", Ucum("mg/m3")),
        ],
        senml: &[("ug/m3", Canonical)],
    },
    Quantity {
        name: "concentration",
        unit: "ppm",
        ucum: Some("[ppm]"),
        words: &["co", "tvoc", "voc", "concentration"],
        spellings: &[("ppm", Canonical), ("ppb", Ucum("[ppb]"))],
        senml: &[("ppm", Canonical)],
    },
    Quantity {
        name: "force",
        unit: "N",
        ucum: Some("N"),
        words: &["force"],
        spellings: &[("N", Canonical), ("kN", Ucum("kN"))],
        senml: &[("N", Canonical)],
    },
    Quantity {
        name: "time",
        unit: "s",
        ucum: Some("s"),
        words: &["duration", "uptime", "runtime", "interval", "latency", "elapsed"],
        spellings: &[
            ("s", Canonical),
            ("sec", Canonical),
            ("seconds", Canonical),
            ("ms", Ucum("ms")),
            ("us", Ucum("us")),
            ("µs", Ucum("us")),
            ("min", Ucum("min")),
            ("minutes", Ucum("min")),
            ("h", Ucum("h")),
            ("hours", Ucum("h")),
            ("d", Ucum("d")),
            ("days", Ucum("d")),
        ],
        senml: &[("s", Canonical), ("ms", Ucum("ms")), ("min", Ucum("min")), ("h", Ucum("h"))],
    },
    Quantity {
        name: "frequency",
        unit: "Hz",
        ucum: Some("Hz"),
        words: &["frequency", "freq"],
        spellings: &[("Hz", Canonical), ("kHz", Ucum("kHz")), ("MHz", Ucum("MHz")), ("GHz", Ucum("GHz"))],
        senml: &[("Hz", Canonical), ("MHz", Ucum("MHz"))],
    },
    Quantity {
        name: "rate",
        unit: "1/min",
        ucum: None,
        words: &["rpm"],
        spellings: &[
            ("1/min", Canonical),
            ("rpm", Canonical),
            ("RPM", Canonical),
            ("1/s", Linear(60.0, 0.0)),
        ],
        senml: &[("1/min", Canonical), ("1/s", Linear(60.0, 0.0))],
    },
    Quantity {
        name: "heart rate",
        unit: "beat/min",
        ucum: None,
        words: &[],
        spellings: &[("beat/min", Canonical), ("bpm", Canonical)],
        senml: &[("beat/min", Canonical)],
    },
    Quantity {
        name: "heart beats",
        unit: "beats",
        ucum: None,
        words: &[],
        spellings: &[("beats", Canonical)],
        senml: &[("beats", Canonical)],
    },
    Quantity {
        name: "angle",
        unit: "deg",
        ucum: Some("deg"),
        words: &["angle", "heading", "bearing", "azimuth", "direction", "tilt"],
        spellings: &[("deg", Canonical), ("°", Canonical), ("degrees", Canonical), ("rad", Ucum("rad"))],
        senml: &[("deg", Canonical), ("rad", Ucum("rad"))],
    },
    Quantity {
        name: "solid angle",
        unit: "sr",
        ucum: Some("sr"),
        words: &[],
        spellings: &[("sr", Canonical)],
        senml: &[("sr", Canonical)],
    },
    Quantity {
        name: "latitude",
        unit: "lat",
        ucum: None,
        words: &["latitude", "lat"],
        spellings: &[("lat", Canonical)],
        senml: &[("lat", Canonical)],
    },
    Quantity {
        name: "longitude",
        unit: "lon",
        ucum: None,
        words: &["longitude", "lon", "lng"],
        spellings: &[("lon", Canonical)],
        senml: &[("lon", Canonical)],
    },
    Quantity {
        name: "illuminance",
        unit: "lx",
        ucum: Some("lx"),
        words: &["illuminance", "lux", "brightness"],
        spellings: &[("lx", Canonical), ("lux", Canonical), ("klx", Ucum("klx"))],
        senml: &[("lx", Canonical)],
    },
    Quantity {
        name: "luminous flux",
        unit: "lm",
        ucum: Some("lm"),
        words: &[],
        spellings: &[("lm", Canonical)],
        senml: &[("lm", Canonical)],
    },
    Quantity {
        name: "luminous intensity",
        unit: "cd",
        ucum: Some("cd"),
        words: &[],
        spellings: &[("cd", Canonical)],
        senml: &[("cd", Canonical)],
    },
    Quantity {
        name: "luminance",
        unit: "cd/m2",
        ucum: Some("cd/m2"),
        words: &["luminance"],
        spellings: &[("cd/m2", Canonical), ("cd/m²", Canonical)],
        senml: &[("cd/m2", Canonical)],
    },
    Quantity {
        name: "irradiance",
        unit: "W/m2",
        ucum: Some("W/m2"),
        words: &["irradiance", "radiation"],
        spellings: &[
            ("W/m2", Canonical),
            ("W/m²", Canonical),
            ("mW/cm2", Ucum("mW/cm2")),
            ("uW/cm2", Ucum("uW/cm2")),
            ("µW/cm2", Ucum("uW/cm2")),
        ],
        senml: &[("W/m2", Canonical)],
    },
    Quantity {
        name: "signal power",
        unit: "dBm",
        ucum: None,
        words: &["rssi", "rsrp"],
        spellings: &[("dBm", Canonical), ("dBW", Linear(1.0, 30.0))],
        senml: &[("dBm", Canonical), ("dBW", Linear(1.0, 30.0))],
    },
    Quantity {
        name: "level",
        unit: "dB",
        ucum: None,
        words: &["snr"],
        spellings: &[("dB", Canonical), ("db", Canonical)],
        senml: &[("dB", Canonical)],
    },
    Quantity {
        name: "sound pressure level",
        unit: "Bspl",
        ucum: None,
        words: &[],
        spellings: &[("Bspl", Canonical), ("dBSPL", Linear(0.1, 0.0))],
        senml: &[("Bspl", Canonical)],
    },
    Quantity {
        name: "share",
        unit: "%",
        ucum: None,
        words: &["battery", "soc"],
        spellings: &[("%", Canonical), ("percent", Canonical), ("pct", Canonical)],
        senml: &[("%", Canonical)],
    },
    Quantity {
        name: "ratio",
        unit: "/",
        ucum: None,
        words: &[],
        spellings: &[("/", Canonical), ("/100", Linear(0.01, 0.0)), ("/1000", Linear(0.001, 0.0))],
        senml: &[("/", Canonical), ("/100", Linear(0.01, 0.0)), ("/1000", Linear(0.001, 0.0))],
    },
    Quantity {
        name: "battery level",
        unit: "%EL",
        ucum: None,
        words: &[],
        spellings: &[("%EL", Canonical)],
        senml: &[("%EL", Canonical)],
    },
    Quantity {
        name: "remaining battery time",
        unit: "EL",
        ucum: None,
        words: &[],
        spellings: &[("EL", Canonical)],
        senml: &[("EL", Canonical)],
    },
    Quantity {
        name: "acidity",
        unit: "pH",
        ucum: None,
        words: &["ph"],
        spellings: &[("pH", Canonical)],
        senml: &[("pH", Canonical)],
    },
    Quantity {
        name: "turbidity",
        unit: "NTU",
        ucum: None,
        words: &["turbidity"],
        spellings: &[("NTU", Canonical)],
        senml: &[("NTU", Canonical)],
    },
    Quantity {
        name: "count",
        unit: "count",
        ucum: None,
        words: &["count", "counter"],
        spellings: &[("count", Canonical), ("counts", Canonical), ("pcs", Canonical)],
        senml: &[("count", Canonical)],
    },
    Quantity {
        name: "data",
        unit: "B",
        ucum: Some("By"),
        words: &[],
        spellings: &[
            ("B", Canonical),
            ("byte", Canonical),
            ("bytes", Canonical),
            ("bit", Linear(0.125, 0.0)),
            ("kB", Ucum("kBy")),
            ("KB", Ucum("kBy")),
            ("MB", Ucum("MBy")),
            ("GB", Ucum("GBy")),
            ("KiB", Ucum("KiBy")),
            ("MiB", Ucum("MiBy")),
        ],
        senml: &[("B", Canonical), ("bit", Linear(0.125, 0.0)), ("KiB", Ucum("KiBy")), ("GB", Ucum("GBy"))],
    },
    Quantity {
        name: "data rate",
        unit: "bit/s",
        ucum: None,
        words: &["bitrate"],
        spellings: &[
            ("bit/s", Canonical),
            ("bps", Canonical),
            ("kbit/s", Linear(1000.0, 0.0)),
            ("Mbit/s", Linear(1000000.0, 0.0)),
            ("B/s", Linear(8.0, 0.0)),
            ("kB/s", Linear(8000.0, 0.0)),
            ("MB/s", Linear(8000000.0, 0.0)),
        ],
        senml: &[
            ("bit/s", Canonical),
            ("Mbit/s", Linear(1000000.0, 0.0)),
            ("B/s", Linear(8.0, 0.0)),
            ("MB/s", Linear(8000000.0, 0.0)),
        ],
    },
    Quantity {
        name: "amount of substance",
        unit: "mol",
        ucum: Some("mol"),
        words: &[],
        spellings: &[("mol", Canonical), ("mmol", Ucum("mmol"))],
        senml: &[("mol", Canonical)],
    },
    Quantity {
        name: "catalytic activity",
        unit: "kat",
        ucum: Some("kat"),
        words: &[],
        spellings: &[("kat", Canonical)],
        senml: &[("kat", Canonical)],
    },
    Quantity {
        name: "radioactivity",
        unit: "Bq",
        ucum: Some("Bq"),
        words: &[],
        spellings: &[("Bq", Canonical), ("kBq", Ucum("kBq"))],
        senml: &[("Bq", Canonical)],
    },
    Quantity {
        name: "absorbed dose",
        unit: "Gy",
        ucum: Some("Gy"),
        words: &[],
        spellings: &[("Gy", Canonical)],
        senml: &[("Gy", Canonical)],
    },
    Quantity {
        name: "equivalent dose",
        unit: "Sv",
        ucum: Some("Sv"),
        words: &[],
        spellings: &[("Sv", Canonical), ("mSv", Ucum("mSv")), ("uSv", Ucum("uSv")), ("µSv", Ucum("uSv"))],
        senml: &[("Sv", Canonical)],
    },
];
