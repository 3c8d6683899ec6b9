//! Quantities of electricity, of signals and data, and shares of a whole.

use super::{OWNER, PLAIN, SHARER, times, ucum};
use crate::unit::quantity::{Quantity, UnitRow};

pub(super) static QUANTITIES: [Quantity; 28] = [
    Quantity {
        name: "voltage",
        unit: "V",
        ucum: Some("V"),
        words: &["voltage", "volt", "volts", "vbat", "vbatt", "vcc"],
        also: &["share", "level"],
        units: &[ucum("V", "numkM", &["V"]), ucum("V", "", &["v", "volt", "volts"])],
        ..OWNER
    },
    Quantity {
        name: "current",
        unit: "A",
        ucum: Some("A"),
        words: &["current", "amps", "ampere"],
        also: &["share", "level"],
        units: &[
            ucum("A", "pnumkM", &["A"]),
            ucum("A", "", &["amp", "amps", "ampere"]),
            ucum("A", "", &["a"]).where_named(),
        ],
        ..OWNER
    },
    Quantity {
        name: "power",
        unit: "W",
        ucum: Some("W"),
        words: &["power", "watt", "watts"],
        also: &["apparent power", "reactive power", "signal power", "level", "share", "ratio"],
        units: &[
            ucum("W", "pnumkMGT", &["W"]),
            ucum("W", "", &["w", "watt", "watts"]),
            ucum("[HP]", "", &["hp"]),
        ],
        ..OWNER
    },
    Quantity { name: "apparent power", unit: "VA", units: &[times(1.0, "mkMG", &["VA"])], ..PLAIN },
    Quantity { name: "reactive power", unit: "var", units: &[times(1.0, "mkMG", &["var", "VAr"])], ..PLAIN },
    Quantity {
        name: "energy",
        unit: "J",
        ucum: Some("J"),
        words: &["energy"],
        also: &["apparent energy", "reactive energy", "share", "ratio"],
        units: &[
            ucum("J", "numkMGT", &["J"]),
            ucum("J", "", &["j", "joule", "joules"]),
            ucum("W.h", "numkMGT", &["Wh", "W.h"]),
            ucum("W.s", "mkM", &["Ws", "W.s"]),
            ucum("cal", "k", &["cal"]),
            ucum("[Btu]", "", &["BTU"]),
        ],
        ..SHARER
    },
    Quantity {
        name: "apparent energy",
        unit: "VAs",
        units: &[times(1.0, "k", &["VAs"]), times(3600.0, "kMG", &["VAh"])],
        ..PLAIN
    },
    Quantity {
        name: "reactive energy",
        unit: "vars",
        units: &[times(1.0, "k", &["vars"]), times(3600.0, "kMG", &["varh", "VArh"])],
        ..PLAIN
    },
    Quantity {
        name: "energy per distance",
        unit: "J/m",
        ucum: Some("J/m"),
        units: &[ucum("J/m", "kM", &["J/m"]), ucum("W.h/km", "k", &["Wh/km"])],
        ..PLAIN
    },
    Quantity {
        name: "electric charge",
        unit: "C",
        ucum: Some("C"),
        words: &["charge"],
        also: &["share", "ratio", "current", "power", "energy", "voltage", "battery level", "time"],
        units: &[
            ucum("A.h", "umk", &["Ah", "A.h"]),
            ucum("A.s", "m", &["As", "A.s"]),
            ucum("C", "", &["coulomb"]),
        ],
        ..OWNER
    },
    Quantity {
        name: "capacitance",
        unit: "F",
        ucum: Some("F"),
        words: &["capacitance"],
        units: &[ucum("F", "pnu", &["F"]).only_prefixed(), ucum("F", "", &["farad"])],
        ..OWNER
    },
    Quantity {
        name: "resistance",
        unit: "Ohm",
        ucum: Some("Ohm"),
        words: &["resistance", "impedance"],
        units: &[ucum("Ohm", "numkMG", &["Ohm", "ohm", "Ohms", "ohms"])],
        ..OWNER
    },
    Quantity {
        name: "conductance",
        unit: "S",
        ucum: Some("S"),
        words: &["conductance"],
        units: &[ucum("S", "num", &["S"])],
        ..OWNER
    },
    Quantity {
        name: "conductivity",
        unit: "S/m",
        ucum: Some("S/m"),
        words: &["conductivity"],
        also: &["concentration"],
        units: &[ucum("S/m", "numdkM", &["S/m"]), ucum("S/cm", "num", &["S/cm"])],
        ..OWNER
    },
    Quantity {
        name: "magnetic flux",
        unit: "Wb",
        ucum: Some("Wb"),
        units: &[ucum("Wb", "num", &["Wb"])],
        ..OWNER
    },
    Quantity {
        name: "magnetic flux density",
        unit: "T",
        ucum: Some("T"),
        words: &["magnetometer"],
        units: &[ucum("T", "pnum", &["T"])],
        ..OWNER
    },
    Quantity {
        name: "inductance",
        unit: "H",
        ucum: Some("H"),
        words: &["inductance"],
        units: &[ucum("H", "num", &["H"])],
        ..OWNER
    },
    Quantity {
        name: "frequency",
        unit: "Hz",
        ucum: Some("Hz"),
        words: &["frequency", "freq"],
        also: &["rate", "heart rate", "share", "ratio"],
        units: &[ucum("Hz", "umkMGT", &["Hz"]), ucum("Hz", "", &["1/s"]).where_named()],
        ..PLAIN
    },
    Quantity {
        name: "signal power",
        unit: "dBm",
        words: &["rssi", "rsrp"],
        also: &["level", "share", "ratio", "power"],
        possible: Some((-250.0, 250.0)),
        units: &[times(1.0, "", &["dBm"]), UnitRow::linear(1.0, 30.0, "", &["dBW"])],
        ..PLAIN
    },
    Quantity {
        name: "level",
        unit: "dB",
        words: &["snr"],
        also: &["ratio", "share", "signal power"],
        possible: Some((-250.0, 250.0)),
        units: &[times(1.0, "", &["dB", "db"])],
        ..PLAIN
    },
    Quantity {
        name: "sound pressure level",
        unit: "Bspl",
        units: &[times(1.0, "", &["Bspl"]), times(0.1, "", &["dBSPL"])],
        ..PLAIN
    },
    Quantity {
        name: "share",
        unit: "%",
        words: &["battery", "soc"],
        also: &["*"],
        possible: Some((-100.0, 1000.0)),
        units: &[times(1.0, "", &["%", "percent", "pct"])],
        ..PLAIN
    },
    Quantity {
        name: "ratio",
        unit: "/",
        units: &[times(1.0, "", &["/"]), times(0.01, "", &["/100"]), times(0.001, "", &["/1000"])],
        ..PLAIN
    },
    Quantity { name: "battery level", unit: "%EL", units: &[times(1.0, "", &["%EL"])], ..PLAIN },
    Quantity { name: "remaining battery time", unit: "EL", units: &[times(1.0, "", &["EL"])], ..PLAIN },
    Quantity {
        name: "count",
        unit: "count",
        words: &["count", "counter"],
        also: &["*"],
        units: &[times(1.0, "", &["count", "counts", "pcs", "{count}"])],
        ..PLAIN
    },
    Quantity {
        name: "data",
        unit: "B",
        units: &[
            times(1.0, "kMGT", &["B", "By"]),
            times(1.0, "", &["byte", "bytes"]),
            times(0.125, "kMGT", &["bit"]),
            times(1024.0, "", &["KiB", "KiBy"]),
            times(1048576.0, "", &["MiB", "MiBy"]),
            times(1073741824.0, "", &["GiB", "GiBy"]),
        ],
        ..PLAIN
    },
    Quantity {
        name: "data rate",
        unit: "bit/s",
        words: &["bitrate"],
        units: &[times(1.0, "kMGT", &["bit/s", "bps"]), times(8.0, "kMGT", &["B/s", "Bps"])],
        ..PLAIN
    },
];
