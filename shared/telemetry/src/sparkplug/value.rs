//! What Sparkplug's values mean: protobuf has unsigned integers only, and the datatype says what stands in them
//! (Sparkplug 3.0.0, 6.4.16, "Data types").

use crate::limits::{MAX_SAMPLES, MAX_TEXT_BYTES};
use crate::reading::{Quality, Value};
use crate::reject::Reject;
use crate::time::Micros;

/// A value, and what it says itself of how far it can be trusted.
pub(super) type Measured = (Value, Quality);

/// The datatypes by number.
pub(super) mod datatype {
    pub(super) const INT8: u32 = 1;
    pub(super) const INT16: u32 = 2;
    pub(super) const INT32: u32 = 3;
    pub(super) const INT64: u32 = 4;
    pub(in super::super) const BOOLEAN: u32 = 11;
    pub(super) const DATE_TIME: u32 = 13;
    pub(super) const INT8_ARRAY: u32 = 22;
    pub(super) const INT16_ARRAY: u32 = 23;
    pub(super) const INT32_ARRAY: u32 = 24;
    pub(super) const INT64_ARRAY: u32 = 25;
    pub(super) const UINT8_ARRAY: u32 = 26;
    pub(super) const UINT16_ARRAY: u32 = 27;
    pub(super) const UINT32_ARRAY: u32 = 28;
    pub(super) const UINT64_ARRAY: u32 = 29;
    pub(super) const FLOAT_ARRAY: u32 = 30;
    pub(super) const DOUBLE_ARRAY: u32 = 31;
    pub(super) const BOOLEAN_ARRAY: u32 = 32;
    pub(super) const STRING_ARRAY: u32 = 33;
    pub(super) const DATE_TIME_ARRAY: u32 = 34;
}

/// An integer of a datatype. Signed ones are two's complement in the width of the type: encoders differ in whether they
/// extend the sign beyond it, so what lies beyond is left out.
pub(super) fn integer(bits: u64, datatype: u32) -> Measured {
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "two's complement")]
    let number: i128 = match datatype {
        datatype::INT8 => (bits as i8).into(),
        datatype::INT16 => (bits as i16).into(),
        datatype::INT32 => (bits as i32).into(),
        datatype::INT64 => (bits as i64).into(),
        datatype::BOOLEAN => return good(Value::Boolean(bits != 0)),
        datatype::DATE_TIME => return good(date_time(bits)),
        _ => bits.into(),
    };
    good(Value::Integer(number))
}

/// Milliseconds since 1970, as RFC 3339 text; a count that no calendar has, as the count.
fn date_time(millis: u64) -> Value {
    let at = i64::try_from(millis).ok().and_then(|millis| millis.checked_mul(1_000)).map(Micros);
    match at.filter(|at| at.has_date()) {
        Some(at) => Value::Text(at.to_string().into()),
        None => Value::Integer(millis.into()),
    }
}

pub(super) fn float(number: f32) -> Measured {
    Value::from_any_f32(number).unwrap_or_else(|| Value::from_every_f64(number.into()))
}

pub(super) fn double(number: f64) -> Measured {
    Value::from_every_f64(number)
}

pub(super) fn text(text: &str) -> Result<Measured, Reject> {
    if text.len() > MAX_TEXT_BYTES { Err(Reject::LongText) } else { Ok(good(Value::Text(text.into()))) }
}

/// Bytes that are no array, as base64 text.
pub(super) fn bytes(bytes: &[u8]) -> Result<Measured, Reject> {
    if base64_simd::STANDARD.encoded_length(bytes.len()) > MAX_TEXT_BYTES {
        return Err(Reject::LongText);
    }
    Ok(good(Value::Text(base64_simd::STANDARD.encode_to_string(bytes).into())))
}

/// The elements of an array, packed into bytes, little-endian (6.4.16.4, "Array types"); `None` if the datatype is that
/// of no array.
///
/// # Errors
/// If the bytes are not whole elements, or one of them is no value.
pub(super) fn array(bytes: &[u8], datatype: u32) -> Result<Option<Vec<Measured>>, Reject> {
    let elements = match datatype {
        datatype::INT8_ARRAY => integers::<1>(bytes, datatype::INT8),
        datatype::INT16_ARRAY => integers::<2>(bytes, datatype::INT16),
        datatype::INT32_ARRAY => integers::<4>(bytes, datatype::INT32),
        datatype::INT64_ARRAY => integers::<8>(bytes, datatype::INT64),
        datatype::UINT8_ARRAY => integers::<1>(bytes, 0),
        datatype::UINT16_ARRAY => integers::<2>(bytes, 0),
        datatype::UINT32_ARRAY => integers::<4>(bytes, 0),
        datatype::UINT64_ARRAY => integers::<8>(bytes, 0),
        datatype::DATE_TIME_ARRAY => integers::<8>(bytes, datatype::DATE_TIME),
        datatype::FLOAT_ARRAY => elements(bytes, |element| float(f32::from_le_bytes(element))),
        datatype::DOUBLE_ARRAY => elements(bytes, |element| double(f64::from_le_bytes(element))),
        datatype::BOOLEAN_ARRAY => booleans(bytes),
        datatype::STRING_ARRAY => texts(bytes),
        _ => return Ok(None),
    };
    elements.map(Some)
}

fn integers<const WIDTH: usize>(bytes: &[u8], datatype: u32) -> Result<Vec<Measured>, Reject> {
    elements(bytes, |element: [u8; WIDTH]| {
        let mut wide = [0; 8];
        wide[..WIDTH].copy_from_slice(&element);
        integer(u64::from_le_bytes(wide), datatype)
    })
}

fn elements<const WIDTH: usize>(
    bytes: &[u8],
    read: impl FnMut([u8; WIDTH]) -> Measured,
) -> Result<Vec<Measured>, Reject> {
    let (whole, rest) = bytes.as_chunks::<WIDTH>();
    if whole.len() > MAX_SAMPLES {
        return Err(Reject::Samples);
    }
    if rest.is_empty() { Ok(whole.iter().copied().map(read).collect()) } else { Err(BROKEN_ARRAY) }
}

const BROKEN_ARRAY: Reject = Reject::NotSparkplug("an array's bytes are not whole elements");

/// How many there are in 32 bits, then a bit for each, the highest of a byte first.
fn booleans(bytes: &[u8]) -> Result<Vec<Measured>, Reject> {
    let (count, bits) = bytes.split_first_chunk().ok_or(BROKEN_ARRAY)?;
    let count = u32::from_le_bytes(*count) as usize;
    if bits.len() != count.div_ceil(8) {
        return Err(BROKEN_ARRAY);
    }
    if count > MAX_SAMPLES {
        return Err(Reject::Samples);
    }
    let bit = |place: usize| good(Value::Boolean(bits[place / 8] << (place % 8) & 0x80 != 0));
    Ok((0..count).map(bit).collect())
}

/// Each ends with a byte of zero.
fn texts(bytes: &[u8]) -> Result<Vec<Measured>, Reject> {
    let Some(bytes) = bytes.strip_suffix(&[0]) else {
        return if bytes.is_empty() { Ok(Vec::new()) } else { Err(BROKEN_ARRAY) };
    };
    let one = |bytes: &[u8]| {
        text(std::str::from_utf8(bytes).map_err(|_| Reject::NotSparkplug("a text is not UTF-8"))?)
    };
    let texts = bytes.split(|byte| *byte == 0);
    // One more than may be, which is refused when it is added.
    texts.take(MAX_SAMPLES + 1).map(one).collect()
}

fn good(value: Value) -> Measured {
    (value, Quality::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(values: &[Measured]) -> String {
        values.iter().map(|(value, _)| value.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn integers_are_twos_complement_in_the_width_of_their_type() {
        let check = |bits: u64, datatype: u32, expected: &str| {
            assert_eq!(show(&[integer(bits, datatype)]), expected, "{bits:#x} {datatype}");
        };
        // Int8: -1 as encoders write it, sign-extended or not.
        check(0xff, 1, "-1");
        check(0xffff_ffff, 1, "-1");
        check(0x7f, 1, "127");
        check(0x8000, 2, "-32768");
        check(0xffff_8000, 2, "-32768");
        check(0xffff_ffff, 3, "-1");
        check(u64::MAX, 3, "-1");
        check(u64::MAX, 4, "-1");
        check(1 << 63, 4, "-9223372036854775808");
        check(0xff, 5, "255");
        check(0xffff_ffff, 7, "4294967295");
        check(u64::MAX, 8, "18446744073709551615");
        check(1, 11, "true");
        check(1_700_000_000_123, 13, "2023-11-14T22:13:20.123Z");
        check(u64::MAX, 13, "18446744073709551615");
        check(7, 0, "7");
        check(7, 999, "7");
    }

    #[test]
    fn arrays_are_little_endian_and_whole() {
        let check = |bytes: &[u8], datatype: u32, expected: Result<Option<&str>, Reject>| {
            let found = array(bytes, datatype).map(|elements| elements.map(|elements| show(&elements)));
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                expected.as_ref().copied(),
                "{datatype} {bytes:x?}"
            );
        };
        check(&[0xff, 2], 22, Ok(Some("-1 2")));
        check(&[0xfe, 0xff, 1, 0], 23, Ok(Some("-2 1")));
        check(&[0xff, 0xff, 0xff, 0xff], 24, Ok(Some("-1")));
        check(&[0xff; 8], 25, Ok(Some("-1")));
        check(&[0xff], 26, Ok(Some("255")));
        check(&[0xff, 0xff], 27, Ok(Some("65535")));
        check(&[0xff; 4], 28, Ok(Some("4294967295")));
        check(&[0xff; 8], 29, Ok(Some("18446744073709551615")));
        check(&[0, 0, 0xc0, 0x3f], 30, Ok(Some("1.5")));
        check(&[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], 31, Ok(Some("1.5")));
        check(
            &[10, 0, 0, 0, 0b1010_0000, 0b0100_0000],
            32,
            Ok(Some("true false true false false false false false false true")),
        );
        check(b"ab\0\0c\0", 33, Ok(Some("ab  c")));
        check(&[0x7b, 0x68, 0xe5, 0xcf, 0x8b, 1, 0, 0], 34, Ok(Some("2023-11-14T22:13:20.123Z")));
        check(&[], 25, Ok(Some("")));
        check(&[], 33, Ok(Some("")));
        check(&[1, 2], 17, Ok(None));
        for (bytes, datatype) in
            [(&[1][..], 23), (&[1; 7], 31), (&[1, 0, 0], 32), (&[9, 0, 0, 0, 1], 32), (b"a", 33)]
        {
            check(bytes, datatype, Err(BROKEN_ARRAY));
        }
        check(&[0xff, 0], 33, Err(Reject::NotSparkplug("a text is not UTF-8")));
    }
}
