//! Items of DynamoDB as they travel: their size by AWS's rules, their keys, and what DynamoDB refuses in them, all
//! found in one pass over the JSON without building a tree.
//!
//! Size rules: "DynamoDB Item sizes and formats" in the developer guide. The length of a number is given there only
//! approximately: one byte for two significant digits, and one more (another for a minus sign).

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::dynamodb::Refusal;
use super::tables::{Key, KeySchema};

/// An item as DynamoDB JSON: attribute name to `{"<type>": <value>}`.
pub type Item = Map<String, Value>;

/// The largest item, in bytes, by the size rules ("Service, account, and table quotas").
const ITEM_LIMIT: usize = 400 * 1024;
/// The longest partition key and sort key, in bytes (the same page).
const PARTITION_LIMIT: usize = 2_048;
const SORT_LIMIT: usize = 1_024;
/// How deep lists and maps may lie in each other (the same page).
const DEPTH_LIMIT: usize = 32;
/// Significant digits of a number, and its powers of ten ("Supported data types").
const DIGIT_LIMIT: usize = 38;
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// What an item weighs and where it belongs.
#[derive(Debug)]
pub(super) struct Measured {
    /// Size in bytes by DynamoDB's rules.
    pub(super) bytes: usize,
    pub(super) key: Key,
}

/// Measures and checks an item as JSON text (`{"device":{"S":"…"},…}`).
pub(super) fn measure(json: &str, schema: &KeySchema) -> Result<Measured, Refusal> {
    let mut scan = Scan::new(Some(schema));
    let mut deserializer = serde_json::Deserializer::from_str(json);
    AttributesSeed { scan: &mut scan, depth: 0 }
        .deserialize(&mut deserializer)
        .map_err(|error| Refusal::serialization(error.to_string()))?;
    scan.finish(schema)
}

/// The size of an item in bytes by DynamoDB's rules. An attribute that DynamoDB would refuse counts as far as it
/// can be read.
#[must_use]
pub fn item_size(item: &Item) -> usize {
    let mut scan = Scan::new(None);
    // What cannot be read has been refused when it was written.
    let _ = AttributesSeed { scan: &mut scan, depth: 0 }.deserialize(item);
    scan.bytes
}

/// Why DynamoDB refuses an attribute value, if it does.
pub(super) fn value_problem(value: &Value) -> Option<String> {
    let mut scan = Scan::new(None);
    let seed = ValueSeed { scan: &mut scan, depth: 0, role: Role::Plain };
    let unread = seed.deserialize(value).err().map(|error| error.to_string());
    scan.problem.or(unread)
}

/// Write units of an item of this size: its KB (1,024 bytes), rounded up.
pub(super) fn write_units(bytes: usize) -> u64 {
    (bytes.div_ceil(1_024) as u64).max(1)
}

/// The length of a number by the size rules, or why DynamoDB refuses it.
pub(super) fn number_size(text: &str) -> Result<usize, String> {
    let not_a_number = || format!("The parameter cannot be converted to a numeric value: {text}");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| not_a_number())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|digit| digit.is_ascii_digit()) {
        return Err(not_a_number());
    }
    let Some(first) = digits().position(|digit| digit != b'0') else { return Ok(1) };
    let last = digits().enumerate().filter(|(_, digit)| *digit != b'0').map(|(index, _)| index).last();
    let significant = last.unwrap_or(first) - first + 1;
    check_magnitude(significant, (whole.len() as i64 - first as i64 - 1).saturating_add(exponent))?;
    Ok(significant.div_ceil(2) + 1 + usize::from(text.starts_with('-')))
}

fn check_magnitude(significant: usize, power: i64) -> Result<(), String> {
    let refused = if significant > DIGIT_LIMIT {
        "Attempting to store more than 38 significant digits in a Number"
    } else if power > *EXPONENTS.end() {
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    } else if power < *EXPONENTS.start() {
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    } else {
        return Ok(());
    };
    Err(refused.to_owned())
}

/// What has been seen of an item so far.
struct Scan<'s> {
    schema: Option<&'s KeySchema>,
    bytes: usize,
    partition: Option<String>,
    sort: Option<String>,
    problem: Option<String>,
}

impl<'s> Scan<'s> {
    fn new(schema: Option<&'s KeySchema>) -> Self {
        Self { schema, bytes: 0, partition: None, sort: None, problem: None }
    }

    /// Notes why the item is refused; the first reason counts.
    fn refuse(&mut self, problem: impl Into<String>) {
        self.problem.get_or_insert_with(|| problem.into());
    }

    fn role(&self, name: &str, depth: usize) -> Role {
        match self.schema {
            Some(schema) if depth == 0 && name == schema.partition => Role::Partition,
            Some(schema) if depth == 0 && Some(name) == schema.sort.as_deref() => Role::Sort,
            _ => Role::Plain,
        }
    }

    fn finish(mut self, schema: &KeySchema) -> Result<Measured, Refusal> {
        if self.bytes > ITEM_LIMIT {
            self.refuse("Item size has exceeded the maximum allowed size");
        }
        if let Some(problem) = self.problem {
            return Err(Refusal::validation(problem));
        }
        let sort = if schema.sort.is_some() { self.sort } else { Some(String::new()) };
        match (self.partition, sort) {
            (Some(partition), Some(sort)) => Ok(Measured { bytes: self.bytes, key: Key { partition, sort } }),
            _ => Err(Refusal::validation("The provided key element does not match the schema")),
        }
    }

    /// Adds a text; if it is a key, remembers it.
    fn text(&mut self, text: &str, role: Role) {
        self.bytes += text.len();
        let (place, limit) = match role {
            Role::Plain => return,
            Role::Partition => (&mut self.partition, PARTITION_LIMIT),
            Role::Sort => (&mut self.sort, SORT_LIMIT),
        };
        *place = Some(text.to_owned());
        if text.is_empty() {
            self.refuse(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty string value.",
            );
        } else if text.len() > limit {
            self.refuse(format!(
                "One or more parameter values were invalid: Size of a key exceeds {limit} bytes"
            ));
        }
    }

    fn number(&mut self, text: &str) {
        match number_size(text) {
            Ok(size) => self.bytes += size,
            Err(problem) => self.refuse(problem),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    Partition,
    Sort,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Binary,
    Flag,
    List,
    Map,
    Texts,
    Numbers,
    Binaries,
    Unknown,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "S" => Self::Text,
            "N" => Self::Number,
            "B" => Self::Binary,
            "BOOL" | "NULL" => Self::Flag,
            "L" => Self::List,
            "M" => Self::Map,
            "SS" => Self::Texts,
            "NS" => Self::Numbers,
            "BS" => Self::Binaries,
            _ => Self::Unknown,
        }
    }

    /// What a set of this kind holds.
    fn member(self) -> Self {
        match self {
            Self::Texts => Self::Text,
            Self::Numbers => Self::Number,
            _ => Self::Binary,
        }
    }
}

/// Looks at a string without keeping it.
struct StrSeed<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for StrSeed<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for StrSeed<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// The attributes of an item (`depth` 0) or of a map.
struct AttributesSeed<'a, 's> {
    scan: &'a mut Scan<'s>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AttributesSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attribute values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { scan, depth } = self;
        if depth > DEPTH_LIMIT {
            scan.refuse("Nesting Levels have exceeded supported limits");
        }
        let overhead = usize::from(depth > 0);
        loop {
            let name = map.next_key_seed(StrSeed(|name: &str| (name.len(), scan.role(name, depth))))?;
            let Some((length, role)) = name else { return Ok(()) };
            scan.bytes += length + overhead;
            map.next_value_seed(ValueSeed { scan: &mut *scan, depth, role })?;
        }
    }
}

/// One attribute value, `{"<type>": <value>}`.
struct ValueSeed<'a, 's> {
    scan: &'a mut Scan<'s>,
    depth: usize,
    role: Role,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { scan, depth, role } = self;
        let mut kinds = 0;
        while let Some(kind) = map.next_key_seed(StrSeed(Kind::of))? {
            kinds += 1;
            if role != Role::Plain && kind != Kind::Text {
                scan.refuse("One or more parameter values were invalid: Type mismatch for key");
            }
            map.next_value_seed(ContentSeed { scan: &mut *scan, depth, role, kind })?;
        }
        if kinds != 1 {
            scan.refuse("Supplied AttributeValue must contain exactly one of the supported datatypes");
        }
        Ok(())
    }
}

/// What lies behind the type of an attribute value.
struct ContentSeed<'a, 's> {
    scan: &'a mut Scan<'s>,
    depth: usize,
    role: Role,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for ContentSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { scan, depth, role, kind } = self;
        match kind {
            Kind::Text => StrSeed(|text: &str| scan.text(text, role)).deserialize(deserializer),
            Kind::Number => StrSeed(|text: &str| scan.number(text)).deserialize(deserializer),
            Kind::Binary => {
                StrSeed(|text: &str| scan.bytes += decoded_length(text)).deserialize(deserializer)
            }
            Kind::Flag => {
                scan.bytes += 1;
                IgnoredAny::deserialize(deserializer).map(|_| ())
            }
            Kind::Map => {
                scan.bytes += 3;
                AttributesSeed { scan, depth: depth + 1 }.deserialize(deserializer)
            }
            Kind::List => {
                scan.bytes += 3;
                deserializer.deserialize_seq(ElementsVisitor { scan, depth: depth + 1, kind })
            }
            Kind::Texts | Kind::Numbers | Kind::Binaries => {
                deserializer.deserialize_seq(ElementsVisitor { scan, depth, kind })
            }
            Kind::Unknown => {
                scan.refuse(
                    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                );
                IgnoredAny::deserialize(deserializer).map(|_| ())
            }
        }
    }
}

/// Length of base64 text once decoded.
fn decoded_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// The elements of a list or a set.
struct ElementsVisitor<'a, 's> {
    scan: &'a mut Scan<'s>,
    depth: usize,
    kind: Kind,
}

impl<'de> Visitor<'de> for ElementsVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or set of attribute values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { scan, depth, kind } = self;
        if depth > DEPTH_LIMIT {
            scan.refuse("Nesting Levels have exceeded supported limits");
        }
        let role = Role::Plain;
        if kind == Kind::List {
            while seq.next_element_seed(ValueSeed { scan: &mut *scan, depth, role })?.is_some() {
                scan.bytes += 1;
            }
            return Ok(());
        }
        let kind = kind.member();
        let mut members = 0;
        while seq.next_element_seed(ContentSeed { scan: &mut *scan, depth, role, kind })?.is_some() {
            members += 1;
        }
        if members == 0 {
            scan.refuse("One or more parameter values were invalid: An set may not be empty");
        }
        Ok(())
    }
}
