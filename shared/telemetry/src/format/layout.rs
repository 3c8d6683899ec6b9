//! Bare bytes, read as the device's profile lays them out.

use super::{Context, lpp};
use crate::names::Role;
use crate::profile::{Field, FieldType, Layout};
use crate::reading::{Quality, Value};
use crate::reject::Reject;
use crate::sample::{Payload, Sample};
use crate::unit::{self, Dialect};

/// Adds the samples of `bytes`, which came on `port` if there are ports, to `payload`.
pub(super) fn decode(
    bytes: &[u8],
    port: Option<u8>,
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<(), Reject> {
    if bytes.is_empty() {
        return Err(Reject::Empty);
    }
    match context.profile.and_then(|profile| profile.layout.as_ref()) {
        Some(Layout::CayenneLpp) => lpp::decode(bytes, context, payload)?,
        Some(Layout::Fields(fields)) => read_fields(fields, bytes, port, context, payload)?,
        None => return Err(Reject::NoLayout("them")),
    }
    take_time(context, &mut payload.samples);
    Ok(())
}

fn read_fields(
    fields: &[Field],
    bytes: &[u8],
    port: Option<u8>,
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<(), Reject> {
    for field in fields.iter().filter(|field| field.port.is_none() || field.port == port) {
        let (value, quality) = read(field, bytes)?;
        let name = context.names.get(&field.name, context.profile);
        let unit = field.unit.as_ref().map(|unit| (unit.clone(), Dialect::Written));
        payload.samples.push(Sample { unit, quality, ..Sample::new(name, value, 0) });
    }
    if payload.samples.is_empty() { Err(Reject::NoLayout("those of this port")) } else { Ok(()) }
}

/// The value of one field.
fn read(field: &Field, bytes: &[u8]) -> Result<(Value, Quality), Reject> {
    let end = field.offset.saturating_add(field.kind.size());
    let place = bytes.get(field.offset..end).ok_or(Reject::ShortBytes(field.offset))?;
    let all = unsigned(place, field.is_little_endian);
    // The bits of the field, at the upper end of 64.
    let upper = all.unbounded_shr(field.shift).unbounded_shl(64_u32.saturating_sub(field.bits));
    let down = 64_u32.saturating_sub(field.bits);
    let integer = match field.kind {
        FieldType::Bool => return Ok((Value::Boolean(upper != 0), Quality::Good)),
        FieldType::F32 => return Ok(scaled(field, shortest(f32::from_bits(all as u32)))),
        FieldType::F64 => return Ok(scaled(field, f64::from_bits(all))),
        FieldType::I8 | FieldType::I16 | FieldType::I24 | FieldType::I32 | FieldType::I64 => {
            i128::from(upper.cast_signed().unbounded_shr(down))
        }
        FieldType::U8 | FieldType::U16 | FieldType::U24 | FieldType::U32 | FieldType::U64 => {
            i128::from(upper.unbounded_shr(down))
        }
    };
    if field.scale == 1.0 && field.add == 0.0 {
        return Ok((Value::Integer(integer), Quality::Good));
    }
    Ok(scaled(field, integer as f64))
}

/// The number of up to eight bytes.
pub(super) fn unsigned(bytes: &[u8], is_little_endian: bool) -> u64 {
    let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if is_little_endian { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) }
}

/// The double whose shortest decimal is that of a float of 32 bits: what was measured as `22.1` is `22.1`.
fn shortest(number: f32) -> f64 {
    if !number.is_finite() {
        return f64::from(number);
    }
    zmij::Buffer::new().format_finite(number).parse().unwrap_or(f64::from(number))
}

/// The number that a field means. One that cannot be stored is a text of bad quality.
fn scaled(field: &Field, number: f64) -> (Value, Quality) {
    let result = match (whole_reciprocal(field.scale), field.add == 0.0) {
        // The nearest double to the decimal that is meant: a thousandth of 3062 is 3.062, times 0.001 it is not.
        (Some(divisor), true) => number / divisor,
        (Some(divisor), false) => unit::rounded(number / divisor + field.add),
        (None, _) => unit::rounded(number * field.scale + field.add),
    };
    // What comes out as infinite was not sent as such: the number as it was sent.
    let is_lost = number.is_finite() && !result.is_finite();
    let (value, quality) = Value::from_every_f64(if is_lost { number } else { result });
    (value, if is_lost { Quality::Bad } else { quality })
}

/// The whole number that `scale` is one over, if there is one.
fn whole_reciprocal(scale: f64) -> Option<f64> {
    let divisor = scale.recip().round();
    (divisor.recip() == scale).then_some(divisor)
}

/// The sample whose name is that of a time, by the profile or as usual, is the time of the others, if its value is one.
fn take_time(context: &Context<'_>, samples: &mut Vec<Sample>) {
    let time = |(place, sample): (usize, &Sample)| match sample.name.role {
        Some(Role::Time(rank)) => Some((rank, place, context.clock.read(&sample.value)?)),
        _ => None,
    };
    let best = samples.iter().enumerate().filter_map(time).min_by_key(|(rank, ..)| *rank);
    let Some((_, place, at)) = best else { return };
    samples.remove(place);
    for sample in samples {
        sample.time = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::Format;
    use super::super::testing::{read as read_payload, show};
    use super::*;
    use crate::profile::Profile;

    fn profile(fields: &str) -> Profile {
        let text = format!("name = \"p\"\ndevices = \"*/*\"\nformat = \"bytes\"\n{fields}");
        Profile::from_toml(&text).unwrap()
    }

    fn show_bytes(fields: &str, bytes: &[u8]) -> Result<String, Reject> {
        show(Format::Bytes, bytes, Some(&profile(fields)))
    }

    #[test]
    fn every_type_is_read_at_its_place() {
        let check = |field: &str, bytes: &[u8], expected: &str| {
            let fields = format!("[[field]]\nname = \"a\"\n{field}");
            assert_eq!(show_bytes(&fields, bytes).as_deref(), Ok(expected), "{field}");
        };
        check("offset = 1\ntype = \"u8\"", &[0, 0xff], "a=255@-");
        check("offset = 0\ntype = \"i8\"", &[0xff], "a=-1@-");
        check("offset = 0\ntype = \"u16\"", &[1, 2], "a=258@-");
        check("offset = 0\ntype = \"u16\"\nendian = \"little\"", &[1, 2], "a=513@-");
        check("offset = 0\ntype = \"i16\"\nendian = \"little\"", &[0xfe, 0xff], "a=-2@-");
        check("offset = 0\ntype = \"u24\"", &[1, 0, 0], "a=65536@-");
        check("offset = 0\ntype = \"i24\"", &[0x80, 0, 0], "a=-8388608@-");
        check("offset = 0\ntype = \"u32\"", &[0xff; 4], "a=4294967295@-");
        check("offset = 0\ntype = \"i32\"", &[0xff; 4], "a=-1@-");
        check("offset = 0\ntype = \"u64\"", &[0xff; 8], "a=18446744073709551615@-");
        check("offset = 0\ntype = \"i64\"", &[0x80, 0, 0, 0, 0, 0, 0, 0], "a=-9223372036854775808@-");
        check("offset = 0\ntype = \"f32\"", &22.1_f32.to_be_bytes(), "a=22.1@-");
        check("offset = 0\ntype = \"f64\"\nendian = \"little\"", &(-0.5_f64).to_le_bytes(), "a=-0.5@-");
        check("offset = 0\ntype = \"f32\"", &f32::NAN.to_be_bytes(), "a=NaN@-");
        check("offset = 0\ntype = \"f32\"\nscale = 2", &f32::INFINITY.to_be_bytes(), "a=Infinity@-");
        check("offset = 0\ntype = \"bool\"", &[0xfe], "a=false@-");
        check("offset = 0\ntype = \"bool\"\nshift = 7", &[0x80], "a=true@-");
        check("offset = 0\ntype = \"u16\"\nshift = 14", &[0xcb, 0xf6], "a=3@-");
        check("offset = 0\ntype = \"u16\"\nbits = 14", &[0xcb, 0xf6], "a=3062@-");
        check("offset = 0\ntype = \"u8\"\nshift = 2\nbits = 3", &[0b0001_1000], "a=6@-");
        check("offset = 0\ntype = \"i8\"\nshift = 2\nbits = 3", &[0b0001_1000], "a=-2@-");
        check("offset = 0\ntype = \"i16\"\nscale = 0.5\nadd = -40", &[0, 3], "a=-38.5@-");
        check("offset = 0\ntype = \"u8\"\nscale = 0.5", &[4], "a=2@-");
        check("offset = 0\ntype = \"u16\"\nscale = 0.001", &[0x0b, 0xf6], "a=3.062@-");
        check("offset = 0\ntype = \"i16\"\nscale = -0.1", &[0x0b, 0xf6], "a=-306.2@-");
        check("offset = 0\ntype = \"f32\"\nscale = 1e-10", &0.0_f32.to_be_bytes(), "a=0@-");
    }

    #[test]
    fn a_payload_has_all_fields_or_is_refused() {
        let fields = "[[field]]\nname = \"a\"\noffset = 0\ntype = \"u16\"\n[[field]]\nname = \"b\"\noffset = 2\ntype = \"u24\"";
        assert_eq!(show_bytes(fields, &[0, 1, 0, 0, 2, 9]).as_deref(), Ok("a=1@- b=2@-"));
        assert_eq!(show_bytes(fields, &[0, 1, 0, 0]), Err(Reject::ShortBytes(2)));
        assert_eq!(show_bytes(fields, &[]), Err(Reject::Empty));
        assert_eq!(show(Format::Bytes, &[1], None), Err(Reject::NoLayout("them")));
        let large = "[[field]]\nname = \"a\"\noffset = 0\ntype = \"f64\"\nscale = 1e300";
        assert_eq!(show_bytes(large, &1e100_f64.to_be_bytes()).as_deref(), Ok("a=1e+100@-"));
        let beside = "[[field]]\nname = \"a\"\noffset = 0\ntype = \"f64\"\n[[field]]\nname = \"b\"\noffset = 8\ntype = \"u8\"";
        assert_eq!(
            show_bytes(beside, &[&1e300_f64.to_be_bytes()[..], &[7]].concat()).as_deref(),
            Ok("a=1e300@- b=7@-")
        );
        assert_eq!(
            read(&field(FieldType::F64, 0, false, (0, 64)), &1e300_f64.to_be_bytes()).unwrap().1,
            Quality::Bad
        );
    }

    #[test]
    fn a_field_may_be_the_time() {
        let fields = "[[field]]\nname = \"ts\"\noffset = 0\ntype = \"u32\"\n[[field]]\nname = \"a\"\noffset = 4\ntype = \"u8\"";
        let bytes = [1_700_000_007_u32.to_be_bytes().as_slice(), &[5]].concat();
        assert_eq!(show_bytes(fields, &bytes).as_deref(), Ok("a=5@7"));
        // What is no time stays a sample.
        assert_eq!(show_bytes(fields, &[0, 0, 0, 9, 5]).as_deref(), Ok("ts=9@- a=5@-"));
        let named =
            format!("[time]\nfield = \"when\"\nunit = \"s\"\n{}", fields.replace("\"ts\"", "\"when\""));
        assert_eq!(show_bytes(&named, &bytes).as_deref(), Ok("a=5@7"));
    }

    /// The first valid data of Ruuvi's test vectors (docs.ruuvi.com, "Data format 5 (RAWv2)").
    #[test]
    fn ruuvi_tags_are_read_by_their_table() {
        let bytes = [
            0x05, 0x12, 0xfc, 0x53, 0x94, 0xc3, 0x7c, 0x00, 0x04, 0xff, 0xfc, 0x04, 0x0c, 0xac, 0x36, 0x42,
            0x00, 0xcd, 0xcb, 0xb8, 0x33, 0x4c, 0x88, 0x4f,
        ];
        let field = |name: &str, rest: &str| format!("[[field]]\nname = \"{name}\"\n{rest}\n");
        let fields = [
            field("temperature", "offset = 1\ntype = \"i16\"\nscale = 0.005"),
            field("humidity", "offset = 3\ntype = \"u16\"\nscale = 0.0025"),
            field("pressure", "offset = 5\ntype = \"u16\"\nadd = 50000"),
            field("x", "offset = 7\ntype = \"i16\"\nscale = 0.001"),
            field("y", "offset = 9\ntype = \"i16\"\nscale = 0.001"),
            field("z", "offset = 11\ntype = \"i16\"\nscale = 0.001"),
            field("voltage", "offset = 13\ntype = \"u16\"\nshift = 5\nadd = 1600"),
            field("tx_power", "offset = 13\ntype = \"u16\"\nbits = 5\nscale = 2\nadd = -40"),
            field("movements", "offset = 15\ntype = \"u8\""),
            field("sequence", "offset = 16\ntype = \"u16\""),
        ];
        let expected = "temperature=24.3@- humidity=53.49@- pressure=100044@- x=0.004@- y=-0.004@- z=1.036@- \
                        voltage=2977@- tx_power=4@- movements=66@- sequence=205@-";
        assert_eq!(show_bytes(&fields.concat(), &bytes).as_deref(), Ok(expected));
    }

    const INTEGERS: [(FieldType, bool); 10] = [
        (FieldType::U8, false),
        (FieldType::I8, true),
        (FieldType::U16, false),
        (FieldType::I16, true),
        (FieldType::U24, false),
        (FieldType::I24, true),
        (FieldType::U32, false),
        (FieldType::I32, true),
        (FieldType::U64, false),
        (FieldType::I64, true),
    ];

    fn field(kind: FieldType, offset: usize, is_little_endian: bool, (shift, bits): (u32, u32)) -> Field {
        let (name, scale, add) = ("a".into(), 1.0, 0.0);
        Field { name, port: None, offset, kind, is_little_endian, shift, bits, scale, add, unit: None }
    }

    proptest! {
        #[test]
        fn what_is_written_by_a_layout_is_read_by_it(
            (kind, is_signed) in select(&INTEGERS[..]),
            any_number in any::<i64>(),
            offset in 0..20_usize,
            is_little_endian in any::<bool>(),
            place in (any::<u32>(), any::<u32>()),
            background in any::<u64>(),
        ) {
            let size = kind.size();
            let all = size as u32 * 8;
            let shift = place.0 % all;
            let bits = 1 + place.1 % (all - shift);
            // A number of so many bits, and those bits among others.
            let mask = u128::from(u64::MAX) >> (64 - bits);
            let pattern = any_number as u128 & mask;
            let is_negative = is_signed && pattern >> (bits - 1) == 1;
            let number = if is_negative { pattern as i128 - (mask as i128 + 1) } else { pattern as i128 };
            let whole = (u128::from(background) & !(mask << shift)) | (pattern << shift);
            let mut bytes = vec![0xa5; offset + size];
            for (index, byte) in bytes[offset..].iter_mut().enumerate() {
                let place = if is_little_endian { index } else { size - 1 - index };
                *byte = (whole >> (8 * place)) as u8;
            }
            let field = field(kind, offset, is_little_endian, (shift, bits));
            prop_assert_eq!(read(&field, &bytes), Ok((Value::Integer(number), Quality::Good)));
            bytes.pop();
            prop_assert_eq!(read(&field, &bytes), Err(Reject::ShortBytes(offset)));
        }

        #[test]
        fn floats_are_read_as_they_were_written(number in any::<f64>(), single in any::<f32>()) {
            let double = read(&field(FieldType::F64, 0, true, (0, 64)), &number.to_le_bytes());
            match Value::from_any_f64(number) {
                Some(value) => prop_assert_eq!(double, Ok(value)),
                None => prop_assert_eq!(double, Ok((Value::Text(format!("{number:e}").into()), Quality::Bad))),
            }
            let read = read(&field(FieldType::F32, 0, false, (0, 32)), &single.to_be_bytes());
            if let Ok((Value::Float(read), Quality::Good)) = read {
                prop_assert_eq!(read as f32, single);
                prop_assert_eq!(read.to_string().len(), single.to_string().len());
            }
        }

        #[test]
        fn any_bytes_are_samples_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let fields = "[[field]]\nname = \"ts\"\noffset = 3\ntype = \"u64\"\n[[field]]\nname = \"b\"\noffset = 9\ntype = \"f64\"\nscale = -7e9";
            let outcome = read_payload(Format::Bytes, &bytes, Some(&profile(fields)));
            prop_assert!(outcome.is_ok() || bytes.len() < 17);
        }
    }
}
