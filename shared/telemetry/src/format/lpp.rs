//! Cayenne LPP: values one after the other, each with its channel and its type in a byte before it.
//!
//! The types are those of myDevices' "Cayenne Low Power Payload" and those that the library `CayenneLPP` of Electronic
//! Cats added to them; each has its length, big-endian. A sample's name is the type's, as The Things Stack's formatter
//! has it, and its channel: `temperature_3`, `gps_1.latitude`. So one profile fits a node, whoever decodes it.

use std::sync::{Arc, LazyLock};

use super::Context;
use super::layout::unsigned;
use super::records::number_pairs;
use crate::limits::MAX_SAMPLES;
use crate::reading::Value;
use crate::reject::Reject;
use crate::sample::{Payload, Sample};
use crate::unit::Dialect;

/// A number of a type.
struct Part {
    /// What it adds to the name.
    suffix: &'static str,
    size: usize,
    is_signed: bool,
    /// How many of what is sent are one of the unit.
    divisor: f64,
    unit: Option<Arc<str>>,
}

/// A type.
struct Kind {
    code: u8,
    name: &'static str,
    parts: Vec<Part>,
}

fn part(suffix: &'static str, size: usize, is_signed: bool, divisor: f64, unit: &str) -> Part {
    let unit = (!unit.is_empty()).then(|| Arc::from(unit));
    Part { suffix, size, is_signed, divisor, unit }
}

/// A type of one number without a sign.
fn unsigned_kind(code: u8, name: &'static str, size: usize, divisor: f64, unit: &str) -> Kind {
    Kind { code, name, parts: vec![part("", size, false, divisor, unit)] }
}

/// A type of one number with a sign.
fn signed_kind(code: u8, name: &'static str, size: usize, divisor: f64, unit: &str) -> Kind {
    Kind { code, name, parts: vec![part("", size, true, divisor, unit)] }
}

/// A type of several numbers.
fn compound_kind(code: u8, name: &'static str, parts: impl Into<Vec<Part>>) -> Kind {
    Kind { code, name, parts: parts.into() }
}

/// Accelerations are sent in g and rotations in degrees a second, for which SenML has no words: they have no unit, and
/// a profile gives them one.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    vec![
        unsigned_kind(0, "digital_in", 1, 1.0, ""),
        unsigned_kind(1, "digital_out", 1, 1.0, ""),
        signed_kind(2, "analog_in", 2, 100.0, ""),
        signed_kind(3, "analog_out", 2, 100.0, ""),
        unsigned_kind(100, "generic", 4, 1.0, ""),
        unsigned_kind(101, "luminosity", 2, 1.0, "lx"),
        unsigned_kind(102, "presence", 1, 1.0, ""),
        signed_kind(103, "temperature", 2, 10.0, "Cel"),
        unsigned_kind(104, "relative_humidity", 1, 2.0, "%RH"),
        compound_kind(113, "accelerometer", [".x", ".y", ".z"].map(|axis| part(axis, 2, true, 1_000.0, ""))),
        unsigned_kind(115, "barometric_pressure", 2, 10.0, "hPa"),
        unsigned_kind(116, "voltage", 2, 100.0, "V"),
        unsigned_kind(117, "current", 2, 1_000.0, "A"),
        unsigned_kind(118, "frequency", 4, 1.0, "Hz"),
        unsigned_kind(120, "percentage", 1, 1.0, "%"),
        signed_kind(121, "altitude", 2, 1.0, "m"),
        unsigned_kind(125, "concentration", 2, 1.0, "ppm"),
        unsigned_kind(128, "power", 2, 1.0, "W"),
        unsigned_kind(130, "distance", 4, 1_000.0, "m"),
        unsigned_kind(131, "energy", 4, 1_000.0, "kWh"),
        unsigned_kind(132, "direction", 2, 1.0, "deg"),
        unsigned_kind(133, "unix_time", 4, 1.0, ""),
        compound_kind(134, "gyrometer", [".x", ".y", ".z"].map(|axis| part(axis, 2, true, 100.0, ""))),
        compound_kind(135, "colour", [".r", ".g", ".b"].map(|colour| part(colour, 1, false, 1.0, ""))),
        compound_kind(
            136,
            "gps",
            [
                part(".latitude", 3, true, 10_000.0, "lat"),
                part(".longitude", 3, true, 10_000.0, "lon"),
                part(".altitude", 3, true, 100.0, "m"),
            ],
        ),
        unsigned_kind(142, "switch", 1, 1.0, ""),
    ]
});

fn kind(code: u8) -> Option<&'static Kind> {
    let place = KINDS.binary_search_by_key(&code, |kind| kind.code).ok()?;
    KINDS.get(place)
}

/// Adds the samples of `bytes` to `payload`. A channel that sends a type twice sends two samples.
pub(super) fn decode(bytes: &[u8], context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
    let mut path = std::mem::take(&mut payload.path);
    let outcome = read_values(bytes, &mut path, context, payload);
    payload.path = path;
    if outcome? {
        number_pairs(&mut payload.samples);
    }
    Ok(())
}

/// Returns whether a channel comes more than once.
fn read_values(
    bytes: &[u8],
    path: &mut String,
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<bool, Reject> {
    let mut seen = [false; 256];
    let mut comes_again = false;
    let mut rest = bytes;
    while let Some((channel, after)) = rest.split_first() {
        let at = bytes.len() - rest.len();
        let (code, mut values) = after.split_first().ok_or(Reject::ShortBytes(at))?;
        let kind = kind(*code).ok_or(Reject::NotLpp(at))?;
        for part in &kind.parts {
            let (sent, others) = values.split_at_checked(part.size).ok_or(Reject::ShortBytes(at))?;
            values = others;
            if payload.samples.len() == MAX_SAMPLES {
                return Err(Reject::Samples);
            }
            path.clear();
            path.extend([kind.name, "_", itoa::Buffer::new().format(*channel), part.suffix]);
            let name = context.names.get(path, context.profile);
            let unit = part.unit.as_ref().map(|unit| (Arc::clone(unit), Dialect::Senml));
            payload.samples.push(Sample { unit, ..Sample::new(name, part.value(sent)?, 0) });
        }
        if let Some(seen) = seen.get_mut(usize::from(*channel)) {
            comes_again |= std::mem::replace(seen, true);
        }
        rest = values;
    }
    Ok(comes_again)
}

impl Part {
    fn value(&self, sent: &[u8]) -> Result<Value, Reject> {
        let spare = 64 - 8 * u32::try_from(sent.len().min(8)).unwrap_or(8);
        let upper = unsigned(sent, false).unbounded_shl(spare);
        let number = if self.is_signed {
            upper.cast_signed().unbounded_shr(spare)
        } else {
            upper.unbounded_shr(spare).cast_signed()
        };
        if self.divisor == 1.0 {
            return Ok(Value::Integer(number.into()));
        }
        // At most 32 bits, and powers of ten: the nearest double to the decimal that is meant.
        Value::from_f64(number as f64 / self.divisor).ok_or(Reject::NumberRange)
    }
}
