//! Cayenne LPP: values one after the other, each with its channel and its type in a byte before it.
//!
//! The types are those of myDevices' "Cayenne Low Power Payload" and those that the library `CayenneLPP` of Electronic
//! Cats added to them; each has its length, big-endian. A sample's name is the type's, as The Things Stack's formatter
//! has it, and its channel: `temperature_3`, `gps_1.latitude`. So one profile fits a node, whoever decodes it.

use std::sync::{Arc, LazyLock};

use super::Context;
use super::layout::unsigned;
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
    let mut count = 0;
    let mut rest = bytes;
    while let Some((channel, after)) = rest.split_first() {
        let at = bytes.len() - rest.len();
        let (code, values) = after.split_first().ok_or(Reject::ShortBytes(at))?;
        let kind = kind(*code).ok_or(Reject::NotLpp(at))?;
        count += 1;
        rest = kind.read((*channel, count), values, context, payload)?.ok_or(Reject::ShortBytes(at))?;
    }
    Ok(())
}

impl Kind {
    /// Adds the samples of a value that `bytes` begin with, the `count`th of the payload, and returns what comes after
    /// it; `None` if they end in it.
    fn read<'b>(
        &self,
        (channel, count): (u8, u32),
        bytes: &'b [u8],
        context: &mut Context<'_>,
        payload: &mut Payload,
    ) -> Result<Option<&'b [u8]>, Reject> {
        let mut rest = bytes;
        for (place, part) in (0_u8..).zip(&self.parts) {
            let Some((sent, after)) = rest.split_at_checked(part.size) else { return Ok(None) };
            rest = after;
            if payload.samples.len() == MAX_SAMPLES {
                return Err(Reject::Samples);
            }
            let number = u32::from_be_bytes([0, self.code, channel, place]);
            let text = || format!("{}_{channel}{}", self.name, part.suffix);
            let name = context.names.get_numbered(number, text, context.profile);
            let unit = part.unit.as_ref().map(|unit| (Arc::clone(unit), Dialect::Senml));
            let sample = Sample { unit, element: count, ..Sample::new(name, part.value(sent)?, 0) };
            payload.samples.push(sample);
        }
        Ok(Some(rest))
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::Format;
    use super::super::testing::{read, show};
    use super::*;
    use crate::profile::Profile;

    fn profile(more: &str) -> Profile {
        let text = format!("name = \"p\"\ndevices = \"*/*\"\npayload = \"cayenne-lpp\"\n{more}");
        Profile::from_toml(&text).unwrap()
    }

    fn show_lpp(bytes: &[u8]) -> Result<String, Reject> {
        show(Format::Bytes, bytes, Some(&profile("")))
    }

    #[test]
    fn types_are_in_order() {
        assert!(KINDS.is_sorted_by_key(|kind| kind.code));
    }

    /// The examples of myDevices' "Cayenne Low Power Payload": two temperatures, a temperature below zero and an
    /// acceleration, a place.
    #[test]
    fn documented_examples() {
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(show_lpp(bytes).as_deref(), Ok(expected), "{bytes:x?}");
        };
        check(
            &[0x03, 0x67, 0x01, 0x10, 0x05, 0x67, 0x00, 0xff],
            "temperature_3=27.2[Cel]@- temperature_5=25.5[Cel]@-",
        );
        check(
            &[0x01, 0x67, 0xff, 0xd7, 0x06, 0x71, 0x04, 0xd2, 0xfb, 0x2e, 0x00, 0x00],
            "temperature_1=-4.1[Cel]@- accelerometer_6.x=1.234@- accelerometer_6.y=-1.234@- accelerometer_6.z=0@-",
        );
        check(
            &[0x01, 0x88, 0x06, 0x76, 0x5f, 0xf2, 0x96, 0x0a, 0x00, 0x03, 0xe8],
            "gps_1.latitude=42.3519[lat]@- gps_1.longitude=-87.9094[lon]@- gps_1.altitude=10[m]@-",
        );
    }

    #[test]
    fn every_type_has_its_length_scale_and_unit() {
        let check = |code: u8, value: &[u8], expected: &str| {
            let bytes = [&[7, code], value, &[8, 0, 1]].concat();
            let expected = format!("{expected} digital_in_8=1@-");
            assert_eq!(show_lpp(&bytes).as_deref(), Ok(&*expected), "{code}");
        };
        check(0, &[1], "digital_in_7=1@-");
        check(1, &[0xff], "digital_out_7=255@-");
        check(2, &[0xff, 0x9c], "analog_in_7=-1@-");
        check(3, &[0x01, 0x28], "analog_out_7=2.96@-");
        check(100, &[0xff, 0xff, 0xff, 0xff], "generic_7=4294967295@-");
        check(101, &[0xff, 0xff], "luminosity_7=65535[lx]@-");
        check(102, &[0], "presence_7=0@-");
        check(103, &[0x01, 0x10], "temperature_7=27.2[Cel]@-");
        check(104, &[93], "relative_humidity_7=46.5[%RH]@-");
        check(115, &[0x27, 0x94], "barometric_pressure_7=1013.2[hPa]@-");
        check(116, &[0x9c, 0x40], "voltage_7=400[V]@-");
        check(117, &[0xff, 0xff], "current_7=65.535[A]@-");
        check(118, &[0, 0, 0, 50], "frequency_7=50[Hz]@-");
        check(120, &[100], "percentage_7=100[%]@-");
        check(121, &[0xff, 0xff], "altitude_7=-1[m]@-");
        check(125, &[0x02, 0x58], "concentration_7=600[ppm]@-");
        check(128, &[0x0b, 0xb8], "power_7=3000[W]@-");
        check(130, &[0, 0, 0x04, 0xd2], "distance_7=1.234[m]@-");
        check(131, &[0, 0, 0x04, 0xd2], "energy_7=1.234[kWh]@-");
        check(132, &[0x01, 0x67], "direction_7=359[deg]@-");
        check(133, &[0, 0, 0, 1], "unix_time_7=1@-");
        check(
            134,
            &[0, 50, 0xfb, 0x37, 0, 0],
            "gyrometer_7.x=0.5@- gyrometer_7.y=-12.25@- gyrometer_7.z=0@-",
        );
        check(135, &[1, 2, 255], "colour_7.r=1@- colour_7.g=2@- colour_7.b=255@-");
        check(142, &[1], "switch_7=1@-");
    }

    #[test]
    fn a_value_that_comes_again_is_another_sample() {
        let shown = show_lpp(&[1, 102, 0, 2, 102, 9, 1, 102, 1, 1, 0, 4]);
        assert_eq!(shown.as_deref(), Ok("presence_1=0@- presence_2=9@- presence_1=1@- digital_in_1=4@-"));
    }

    #[test]
    fn a_profile_says_which_value_is_the_time() {
        let time = 1_700_000_005_u32.to_be_bytes();
        let bytes = [&[1, 102, 1, 2, 133], &time[..]].concat();
        assert_eq!(show_lpp(&bytes).as_deref(), Ok("presence_1=1@- unix_time_2=1700000005@-"));
        let profile = profile("time.field = \"unix_time_2\"");
        assert_eq!(show(Format::Bytes, &bytes, Some(&profile)).as_deref(), Ok("presence_1=1@5"));
    }

    #[test]
    fn what_is_no_lpp_is_refused_whole() {
        let check = |bytes: &[u8], expected: Reject| {
            assert_eq!(show_lpp(bytes), Err(expected), "{bytes:x?}");
        };
        check(&[], Reject::Empty);
        check(&[1], Reject::ShortBytes(0));
        check(&[1, 102], Reject::ShortBytes(0));
        check(&[1, 102, 0, 3, 103, 1], Reject::ShortBytes(3));
        check(&[1, 102, 0, 1, 136, 0, 0, 0, 0, 0, 0, 0, 0], Reject::ShortBytes(3));
        check(&[1, 102, 0, 1, 240, 1, 1], Reject::NotLpp(3));
        check(&[1, 255], Reject::NotLpp(0));
        check(&[1, 0, 0].repeat(MAX_SAMPLES + 1), Reject::Samples);
    }

    /// A value of some type on some channel, as bytes and as it is to be shown.
    fn value() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
        (any::<u8>(), any::<Index>(), any::<[i64; 3]>()).prop_map(|(channel, kind, numbers)| {
            let kind = kind.get(&KINDS);
            let (mut bytes, mut shown) = (vec![channel, kind.code], Vec::new());
            for (part, number) in kind.parts.iter().zip(numbers) {
                let sent = &number.to_be_bytes()[8 - part.size..];
                bytes.extend(sent);
                let range = 1_i64 << (8 * part.size);
                let number = number.rem_euclid(range);
                let number = if part.is_signed && number >= range / 2 { number - range } else { number };
                let value = Value::from_f64(number as f64 / part.divisor).unwrap();
                shown.push(format!("{}_{channel}{}={value}", kind.name, part.suffix));
            }
            (bytes, shown)
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(values in proptest::collection::vec(value(), 1..30)) {
            let (bytes, shown): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let payload = read(Format::Bytes, &bytes.concat(), Some(&profile(""))).unwrap();
            let samples = payload.samples.iter().map(|sample| format!("{}={}", sample.name.sent, sample.value));
            prop_assert_eq!(samples.collect::<Vec<_>>(), shown.concat());
        }

        #[test]
        fn any_bytes_are_samples_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            match read(Format::Bytes, &bytes, Some(&profile(""))) {
                Ok(payload) => prop_assert!(!payload.samples.is_empty()),
                Err(reject) => prop_assert!(matches!(
                    reject,
                    Reject::Empty | Reject::ShortBytes(_) | Reject::NotLpp(_)
                )),
            }
        }
    }
}
