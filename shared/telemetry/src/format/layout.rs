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
        FieldType::F32 => return scaled(field, shortest(f32::from_bits(all as u32))),
        FieldType::F64 => return scaled(field, f64::from_bits(all)),
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
    scaled(field, integer as f64)
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

fn scaled(field: &Field, number: f64) -> Result<(Value, Quality), Reject> {
    let is_as_sent = field.scale == 1.0 && field.add == 0.0;
    let number = if is_as_sent { number } else { unit::rounded(number * field.scale + field.add) };
    Value::from_any_f64(number).ok_or(Reject::NumberRange)
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
