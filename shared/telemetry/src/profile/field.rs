//! What stands where in bytes: the layout that a profile writes down.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::written::{Problems, Step};
use crate::limits::{MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};
use crate::unit;

/// How payloads of bare bytes are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Cayenne LPP.
    CayenneLpp,
    /// Each value at its place.
    Fields(Vec<Field>),
}

/// A value at a fixed place.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The name that it is decoded under.
    pub name: Arc<str>,
    /// The LoRaWAN port of the payloads that have it; `None`: all have it.
    pub port: Option<u8>,
    /// Where its first byte stands, from 0.
    pub offset: usize,
    /// What its bytes are.
    pub kind: FieldType,
    /// Whether its first byte is the lowest.
    pub is_little_endian: bool,
    /// How many bits below it are of others.
    pub shift: u32,
    /// How many bits it has.
    pub bits: u32,
    /// What the number is multiplied by.
    pub scale: f64,
    /// What is added then.
    pub add: f64,
    /// The unit of the number that comes out.
    pub unit: Option<Arc<str>>,
}

/// What the bytes of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "u and i: integers without and with a sign, f: IEEE 754; and their bits")]
pub enum FieldType {
    /// One bit of a byte.
    Bool,
    U8,
    I8,
    U16,
    I16,
    U24,
    I24,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl FieldType {
    /// How many bytes it has.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U24 | Self::I24 => 3,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// How many bits a field of it has, where the profile does not say.
    fn bits(self) -> u32 {
        match self {
            Self::Bool => 1,
            _ => self.all_bits(),
        }
    }

    fn all_bits(self) -> u32 {
        match self.size() {
            1 => 8,
            2 => 16,
            3 => 24,
            4 => 32,
            _ => 64,
        }
    }
}

/// The word for a payload that needs no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PayloadField {
    #[serde(rename = "cayenne-lpp")]
    CayenneLpp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Endian {
    Big,
    Little,
}

/// A `[[field]]` as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldFields {
    pub(super) name: String,
    pub(super) offset: usize,
    #[serde(rename = "type")]
    pub(super) kind: FieldType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) endian: Option<Endian>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shift: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) add: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
}

/// The layout that a profile says, if it says one.
pub(super) fn check_layout(
    payload: Option<PayloadField>,
    fields: &[FieldFields],
    problems: &mut Problems,
) -> Option<Layout> {
    if payload.is_some() && !fields.is_empty() {
        problems.add(&[Step::Key("payload")], "a profile has `payload` or `[[field]]`, not both");
    }
    if payload.is_some() {
        return Some(Layout::CayenneLpp);
    }
    let numbered = fields.iter().enumerate();
    let layout = numbered.map(|(index, field)| check_field(index, field, &fields[..index], problems));
    let layout: Vec<_> = layout.collect();
    (!layout.is_empty()).then_some(Layout::Fields(layout))
}

/// Whether a profile with this layout has fields that are of one port only.
pub(super) fn has_ports(layout: &Layout) -> bool {
    matches!(layout, Layout::Fields(fields) if fields.iter().any(|field| field.port.is_some()))
}

fn check_field(index: usize, fields: &FieldFields, before: &[FieldFields], problems: &mut Problems) -> Field {
    let path = |key| [Step::Key("field"), Step::Index(index), Step::Key(key)];
    if fields.name.is_empty() || fields.name.len() > MAX_NAME_BYTES {
        problems.add(&path("name"), format!("`name` has 1 to {MAX_NAME_BYTES} bytes"));
    }
    let is_beside =
        |other: &FieldFields| other.port.is_some() && fields.port.is_some() && other.port != fields.port;
    if before.iter().any(|other| other.name == fields.name && !is_beside(other)) {
        problems.add(&path("name"), "another field of the same port has this name");
    }
    if fields.offset > MAX_PAYLOAD_BYTES - fields.kind.size() {
        problems.add(
            &path("offset"),
            format!("the field ends beyond the {MAX_PAYLOAD_BYTES} bytes of a payload"),
        );
    }
    check_bits(fields, path, problems);
    check_number(fields, path, problems);
    Field {
        name: fields.name.as_str().into(),
        port: fields.port,
        offset: fields.offset,
        kind: fields.kind,
        is_little_endian: fields.endian == Some(Endian::Little),
        shift: fields.shift.unwrap_or(0),
        bits: fields.bits.unwrap_or_else(|| fields.kind.bits().saturating_sub(fields.shift_of_number())),
        scale: fields.scale.unwrap_or(1.0),
        add: fields.add.unwrap_or(0.0),
        unit: fields.unit.as_deref().map(Arc::from),
    }
}

impl FieldFields {
    /// What a shift takes from the bits of a number.
    fn shift_of_number(&self) -> u32 {
        if self.kind == FieldType::Bool { 0 } else { self.shift.unwrap_or(0) }
    }
}

fn check_bits(fields: &FieldFields, path: impl Fn(&'static str) -> [Step; 3], problems: &mut Problems) {
    let (shift, has) = (fields.shift.unwrap_or(0), fields.kind.all_bits());
    let is_float = matches!(fields.kind, FieldType::F32 | FieldType::F64);
    if is_float && (fields.shift.is_some() || fields.bits.is_some()) {
        return problems.add(&path("type"), "a float has no `shift` and `bits`");
    }
    if fields.kind == FieldType::Bool && fields.bits.is_some() {
        problems.add(&path("bits"), "a `bool` is one bit: `shift` says which");
    }
    if fields.bits == Some(0) {
        problems.add(&path("bits"), "`bits` is not 0");
    }
    let key = if fields.shift.is_some() { "shift" } else { "bits" };
    if shift.saturating_add(fields.bits.unwrap_or(1)) > has {
        problems.add(&path(key), format!("the type has {has} bits, `shift` and `bits` are more"));
    }
}

fn check_number(fields: &FieldFields, path: impl Fn(&'static str) -> [Step; 3], problems: &mut Problems) {
    let is_number = fields.scale.is_some() || fields.add.is_some() || fields.unit.is_some();
    if fields.kind == FieldType::Bool && is_number {
        return problems.add(&path("type"), "a `bool` has no `scale`, `add` and `unit`");
    }
    if fields.scale.is_some_and(|scale| scale == 0.0 || !scale.is_finite()) {
        problems.add(&path("scale"), "`scale` is finite, and not 0");
    }
    if fields.add.is_some_and(|add| !add.is_finite()) {
        problems.add(&path("add"), "`add` is finite");
    }
    if let Some(unit) = &fields.unit {
        problems.take(&path("unit"), unit::check(unit));
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{Layout, Profile};

    fn text(rest: &str) -> String {
        format!("name = \"p\"\ndevices = \"*/*\"\n{rest}")
    }

    #[test]
    fn a_layout_is_stored_as_it_was_written() {
        let check = |rest: &str| {
            let written = Profile::from_toml(&text(rest)).unwrap();
            let stored = Profile::from_json(written.to_json()).unwrap();
            assert_eq!(stored, written);
            assert_eq!(stored.to_json(), written.to_json());
            assert!(stored.layout.is_some());
        };
        check("format = \"bytes\"\npayload = \"cayenne-lpp\"");
        check("payload = \"cayenne-lpp\"");
        check(
            "format = \"lorawan\"\n[[field]]\nname = \"a\"\noffset = 3\ntype = \"u16\"\nport = 2\nendian = \"little\"\n\
             shift = 2\nbits = 14\nscale = 0.01\nadd = -40",
        );
        check("[[field]]\nname = \"a\"\noffset = 0\ntype = \"bool\"\nshift = 7");
    }

    #[test]
    fn what_is_not_written_is_as_usual() {
        let bits = |rest: &str| {
            let profile =
                Profile::from_toml(&text(&format!("[[field]]\nname = \"a\"\noffset = 0\n{rest}"))).unwrap();
            let Some(Layout::Fields(fields)) = profile.layout else { panic!("{rest}") };
            (fields[0].shift, fields[0].bits, fields[0].is_little_endian)
        };
        assert_eq!(bits("type = \"u24\""), (0, 24, false));
        assert_eq!(bits("type = \"i16\"\nshift = 5"), (5, 11, false));
        assert_eq!(bits("type = \"bool\"\nshift = 5"), (5, 1, false));
        assert_eq!(bits("type = \"f64\"\nendian = \"little\""), (0, 64, true));
    }

    #[test]
    fn a_bad_layout_is_refused_with_line_and_reason() {
        let check = |rest: &str, line: usize, reason: &str| {
            let error = Profile::from_toml(&text(rest)).expect_err(rest);
            let problems = error.problems();
            let is_told =
                problems.len() == 1 && problems[0].line == Some(line) && problems[0].text.contains(reason);
            assert!(is_told, "{rest}: {problems:?}");
        };
        check("format = \"bytes\"", 3, "there is neither");
        check("format = \"json\"\npayload = \"cayenne-lpp\"", 3, "are for the formats bytes and lorawan");
        check("payload = \"lpp\"", 3, "unknown variant `lpp`");
        let field = "[[field]]\nname = \"a\"\noffset = 0\n";
        check(&format!("payload = \"cayenne-lpp\"\n{field}type = \"u8\""), 3, "not both");
        check(&format!("format = \"bytes\"\n{field}type = \"u8\"\nport = 2"), 3, "have a `port`");
        check(&format!("{field}type = \"u12\""), 6, "unknown variant `u12`");
        check(&format!("{field}type = \"u8\"\nlength = 1"), 7, "unknown field `length`");
        check(&format!("{field}type = \"u8\"\nport = 256"), 7, "invalid value");
        check(&format!("{field}type = \"u8\"\nendian = \"middle\""), 7, "unknown variant `middle`");
        check("[[field]]\nname = \"a\"\ntype = \"u8\"", 3, "missing field `offset`");
        check("[[field]]\nname = \"a\"\noffset = -1\ntype = \"u8\"", 5, "invalid value");
        check("[[field]]\nname = \"a\"\noffset = 131071\ntype = \"u16\"", 5, "ends beyond");
        check("[[field]]\nname = \"\"\noffset = 0\ntype = \"u16\"", 4, "has 1 to 256 bytes");
        check(&format!("{field}type = \"u8\"\n{field}type = \"u8\""), 8, "has this name");
        check(&format!("{field}type = \"u8\"\n{field}type = \"u8\"\nport = 1"), 8, "has this name");
        check(&format!("{field}type = \"u8\"\nbits = 9"), 7, "the type has 8 bits");
        check(&format!("{field}type = \"u16\"\nbits = 9\nshift = 8"), 8, "the type has 16 bits");
        check(&format!("{field}type = \"u16\"\nshift = 4294967295"), 7, "the type has 16 bits");
        check(&format!("{field}type = \"u16\"\nbits = 0"), 7, "is not 0");
        check(&format!("{field}type = \"bool\"\nshift = 8"), 7, "the type has 8 bits");
        check(&format!("{field}type = \"bool\"\nbits = 1"), 7, "is one bit");
        check(&format!("{field}type = \"bool\"\nscale = 2"), 6, "has no `scale`");
        check(&format!("{field}type = \"f32\"\nbits = 8"), 6, "has no `shift`");
        check(&format!("{field}type = \"u8\"\nscale = 0"), 7, "not 0");
        check(&format!("{field}type = \"u8\"\nscale = nan"), 7, "finite");
        check(&format!("{field}type = \"u8\"\nadd = inf"), 7, "finite");
        check(&format!("{field}type = \"u8\"\nunit = \"no such unit\""), 7, "unit");
    }
}
