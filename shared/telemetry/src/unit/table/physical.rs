//! Quantities of the air, of matter, of motion and light.

use super::{OWNER, PLAIN, SHARER, times, ucum};
use crate::unit::quantity::Quantity;

pub(super) static QUANTITIES: [Quantity; 34] = [
    Quantity {
        name: "temperature",
        unit: "Cel",
        ucum: Some("Cel"),
        words: &["temperature", "temp", "temperatur"],
        possible: Some((-273.15, 3000.0)),
        units: &[
            ucum("Cel", "", &["C", "c", "celsius", "degreecelsius", "degreescelsius"]),
            ucum("Cel", "m", &["Cel", "°C", "degC"]),
            ucum(
                "[degF]",
                "",
                &["F", "f", "°F", "degF", "fahrenheit", "degreefahrenheit", "degreesfahrenheit"],
            ),
            ucum("K", "m", &["K"]),
            ucum("K", "", &["kelvin"]),
            ucum("K", "", &["k"]).where_named(),
        ],
        ..OWNER
    },
    Quantity {
        name: "humidity",
        unit: "%RH",
        words: &["humidity", "hum", "rh"],
        also: &["share", "ratio", "density", "mass concentration"],
        possible: Some((0.0, 100.0)),
        units: &[times(1.0, "", &["%RH", "%rH", "RH"]), times(1.0, "", &["%"]).where_named()],
        ..PLAIN
    },
    Quantity {
        name: "pressure",
        unit: "Pa",
        ucum: Some("Pa"),
        words: &["pressure", "barometer", "baro", "barometric"],
        also: &["share", "level", "sound pressure level"],
        units: &[
            ucum("Pa", "umhkMG", &["Pa"]),
            ucum("bar", "um", &["bar"]),
            ucum("[psi]", "", &["psi"]),
            ucum("mm[Hg]", "", &["mmHg", "Torr"]),
            ucum("[in_i'Hg]", "", &["inHg"]),
            ucum("mm[H2O]", "", &["mmH2O"]),
            ucum("cm[H2O]", "", &["cmH2O"]),
            ucum("[in_i'H2O]", "", &["inH2O"]),
            ucum("atm", "", &["atm"]),
            ucum("N/m2", "k", &["N/m2"]),
            ucum("N/mm2", "", &["N/mm2"]),
            ucum("kgf/cm2", "", &["kgf/cm2"]),
        ],
        ..SHARER
    },
    Quantity {
        name: "length",
        unit: "m",
        ucum: Some("m"),
        words: &["distance", "length", "height", "depth", "altitude"],
        also: &["share", "ratio", "time", "data", "angle"],
        units: &[
            ucum("m", "numcdk", &["m"]),
            ucum("[in_i]", "", &["in", "inch"]),
            ucum("[ft_i]", "", &["ft", "feet"]),
            ucum("[yd_i]", "", &["yd"]),
            ucum("[mi_i]", "", &["mi"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "area",
        unit: "m2",
        ucum: Some("m2"),
        words: &["area"],
        units: &[ucum("m2", "mcdk", &["m2"]), ucum("har", "", &["ha"]), ucum("[sft_i]", "", &["ft2"])],
        ..OWNER
    },
    Quantity {
        name: "volume",
        unit: "m3",
        ucum: Some("m3"),
        words: &["volume"],
        also: &["share", "ratio", "level"],
        units: &[
            ucum("m3", "mcd", &["m3"]),
            ucum("l", "umcdhk", &["l", "L"]),
            ucum("l", "", &["liter", "liters", "litre", "litres"]),
            ucum("[gal_us]", "", &["gal"]),
            ucum("[cft_i]", "", &["ft3"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "speed",
        unit: "m/s",
        ucum: Some("m/s"),
        words: &["speed", "velocity"],
        also: &["rate", "frequency", "share", "ratio", "data rate", "volume flow"],
        units: &[
            ucum("m/s", "umck", &["m/s"]),
            ucum("m/s", "", &["mps"]),
            ucum("m/h", "mck", &["m/h"]),
            ucum("km/h", "", &["kmh", "kph", "kmph"]),
            ucum("[mi_i]/h", "", &["mph"]),
            ucum("[kn_i]", "", &["kn", "knot", "knots", "kts"]),
            ucum("[kn_i]", "", &["kt"]).where_named(),
            ucum("[ft_i]/s", "", &["ft/s"]),
            ucum("[in_i]/h", "", &["in/h"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "acceleration",
        unit: "m/s2",
        ucum: Some("m/s2"),
        words: &["acceleration", "accel"],
        units: &[ucum("m/s2", "umc", &["m/s2"]), ucum("[g]", "m", &["g0"])],
        ..OWNER
    },
    Quantity {
        name: "volume flow",
        unit: "m3/s",
        ucum: Some("m3/s"),
        words: &["flow", "flowrate"],
        also: &["speed", "share", "ratio", "rate", "frequency"],
        units: &[
            ucum("m3/s", "", &["m3/s"]),
            ucum("l/s", "m", &["l/s", "L/s"]),
            ucum("l/min", "m", &["l/min", "L/min"]),
            ucum("l/min", "", &["lpm"]),
            ucum("l/h", "m", &["l/h", "L/h"]),
            ucum("m3/h", "", &["m3/h"]),
            ucum("[gal_us]/min", "", &["gpm"]),
            ucum("[cft_i]/min", "", &["cfm"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "mass",
        unit: "kg",
        ucum: Some("kg"),
        words: &["mass", "weight"],
        also: &["force", "share", "ratio"],
        units: &[
            ucum("g", "numk", &["g"]),
            ucum("t", "", &["t"]),
            ucum("[lb_av]", "", &["lb", "lbs"]),
            ucum("[oz_av]", "", &["oz"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "density",
        unit: "kg/m3",
        ucum: Some("kg/m3"),
        words: &["density"],
        also: &["share", "ratio"],
        units: &[
            ucum("kg/m3", "", &["kg/m3"]),
            ucum("g/m3", "", &["g/m3"]),
            ucum("g/cm3", "m", &["g/cm3"]),
            ucum("g/l", "um", &["g/l", "g/L"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "mass concentration",
        unit: "ug/m3",
        ucum: Some("ug/m3"),
        words: &["pm"],
        also: &["*"],
        units: &[ucum("g/m3", "num", &["g/m3"]).only_prefixed()],
        ..PLAIN
    },
    Quantity {
        name: "concentration",
        unit: "ppm",
        words: &["co", "tvoc", "voc", "concentration"],
        also: &["*"],
        units: &[times(1.0, "", &["ppm", "[ppm]"]), times(0.001, "", &["ppb", "[ppb]"])],
        ..PLAIN
    },
    Quantity {
        name: "force",
        unit: "N",
        ucum: Some("N"),
        words: &["force"],
        units: &[ucum("N", "umkM", &["N"]), ucum("[lbf_av]", "", &["lbf"]), ucum("kgf", "", &["kgf"])],
        ..SHARER
    },
    Quantity {
        name: "time",
        unit: "s",
        ucum: Some("s"),
        words: &["duration", "uptime", "runtime", "interval", "latency", "elapsed"],
        units: &[
            ucum("s", "num", &["s"]),
            ucum("s", "", &["sec", "second", "seconds"]),
            ucum("min", "", &["min", "minute", "minutes"]),
            ucum("h", "", &["h", "hr", "hrs", "hour", "hours"]),
            ucum("d", "", &["d", "day", "days"]),
            ucum("wk", "", &["week", "weeks"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "rate",
        unit: "1/min",
        words: &["rpm"],
        also: &["frequency", "share", "ratio"],
        units: &[times(1.0, "", &["1/min", "rpm"]), times(60.0, "", &["1/s"])],
        ..PLAIN
    },
    Quantity {
        name: "heart rate",
        unit: "beat/min",
        units: &[times(1.0, "", &["beat/min", "bpm"])],
        ..PLAIN
    },
    Quantity { name: "heart beats", unit: "beats", units: &[times(1.0, "", &["beats"])], ..PLAIN },
    Quantity {
        name: "angle",
        unit: "deg",
        ucum: Some("deg"),
        words: &["angle", "heading", "bearing", "azimuth", "direction", "tilt"],
        also: &["share", "ratio", "latitude", "longitude"],
        possible: Some((-360.0, 360.0)),
        units: &[ucum("deg", "", &["deg", "°", "degrees"]), ucum("rad", "um", &["rad"])],
        ..OWNER
    },
    Quantity {
        name: "solid angle",
        unit: "sr",
        ucum: Some("sr"),
        units: &[ucum("sr", "", &["sr"])],
        ..PLAIN
    },
    Quantity {
        name: "latitude",
        unit: "lat",
        words: &["latitude", "lat"],
        also: &["angle"],
        possible: Some((-90.0, 90.0)),
        units: &[times(1.0, "", &["lat"])],
        ..PLAIN
    },
    Quantity {
        name: "longitude",
        unit: "lon",
        words: &["longitude", "lon", "lng"],
        also: &["angle"],
        possible: Some((-180.0, 180.0)),
        units: &[times(1.0, "", &["lon"])],
        ..PLAIN
    },
    Quantity {
        name: "illuminance",
        unit: "lx",
        ucum: Some("lx"),
        words: &["illuminance", "lux", "brightness"],
        also: &["luminance", "irradiance", "luminous flux", "luminous intensity", "share", "ratio"],
        units: &[ucum("lx", "mk", &["lx", "lux"])],
        ..OWNER
    },
    Quantity {
        name: "luminous flux",
        unit: "lm",
        ucum: Some("lm"),
        units: &[ucum("lm", "mk", &["lm"])],
        ..OWNER
    },
    Quantity {
        name: "luminous intensity",
        unit: "cd",
        ucum: Some("cd"),
        units: &[ucum("cd", "mk", &["cd"])],
        ..OWNER
    },
    Quantity {
        name: "luminance",
        unit: "cd/m2",
        ucum: Some("cd/m2"),
        words: &["luminance"],
        also: &["illuminance", "share", "ratio"],
        units: &[ucum("cd/m2", "mk", &["cd/m2"])],
        ..OWNER
    },
    Quantity {
        name: "irradiance",
        unit: "W/m2",
        ucum: Some("W/m2"),
        words: &["irradiance", "radiation"],
        also: &["illuminance", "radioactivity", "absorbed dose", "equivalent dose", "rate", "share", "ratio"],
        units: &[ucum("W/m2", "numk", &["W/m2"]), ucum("W/cm2", "numk", &["W/cm2"])],
        ..OWNER
    },
    Quantity {
        name: "acidity",
        unit: "pH",
        words: &["ph"],
        also: &["*"],
        possible: Some((-2.0, 16.0)),
        units: &[times(1.0, "", &["pH"])],
        ..PLAIN
    },
    Quantity {
        name: "turbidity",
        unit: "NTU",
        words: &["turbidity"],
        also: &["*"],
        units: &[times(1.0, "", &["NTU"])],
        ..PLAIN
    },
    Quantity {
        name: "amount of substance",
        unit: "mol",
        ucum: Some("mol"),
        units: &[ucum("mol", "pnumk", &["mol"])],
        ..PLAIN
    },
    Quantity {
        name: "catalytic activity",
        unit: "kat",
        ucum: Some("kat"),
        units: &[ucum("kat", "pnumk", &["kat"])],
        ..PLAIN
    },
    Quantity {
        name: "radioactivity",
        unit: "Bq",
        ucum: Some("Bq"),
        units: &[ucum("Bq", "mkMGT", &["Bq"])],
        ..PLAIN
    },
    Quantity {
        name: "absorbed dose",
        unit: "Gy",
        ucum: Some("Gy"),
        units: &[ucum("Gy", "numck", &["Gy"])],
        ..PLAIN
    },
    Quantity {
        name: "equivalent dose",
        unit: "Sv",
        ucum: Some("Sv"),
        units: &[ucum("Sv", "num", &["Sv"])],
        ..PLAIN
    },
];
