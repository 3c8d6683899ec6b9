//! Conditions: which items a write may replace (`ConditionExpression`), and which a query finds
//! (`KeyConditionExpression`). The grammar and the order of evaluation (NOT before AND before OR) are documented
//! ("Condition and filter expressions, operators, and functions"):
//!
//! ```text
//! condition  attribute_exists(path) | attribute_not_exists(path) | begins_with(path, operand)
//!            | operand op operand | NOT condition | condition AND condition | condition OR condition | (condition)
//! operand    path | :value
//! op         = <> < <= > >=
//! ```
//!
//! Not documented, but known of DynamoDB: what is missing is unequal to everything and meets no other comparison; values
//! of different types are unequal and meet no other comparison; parentheses in parentheses are refused as redundant.
//! Functions and operators beyond these (IN, BETWEEN, contains, size, attribute_type) are refused.

use std::cmp::Ordering;

use serde_json::Value;

use super::document::{Path, compare, lookup, text};
use super::dynamodb::Refusal;
use super::expression::{Attributes, Operand, Reader};
use super::item::Item;
use super::tables::KeySchema;

const OPERATORS: [&str; 6] = ["=", "<>", "<=", ">=", "<", ">"];
/// The types that have an order here; on DynamoDB, binaries have one as well.
const ORDERED: [&str; 2] = ["S", "N"];

/// What must hold of an item.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Exists(Path),
    BeginsWith(Operand, Operand),
    Compare(Operand, &'static str, Operand),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

impl Condition {
    /// Reads a `ConditionExpression`.
    pub(super) fn parse(expression: &str, attributes: &mut Attributes) -> Result<Self, Refusal> {
        Reader::new("ConditionExpression", expression, attributes)?.whole(any)
    }

    /// Whether it holds; an item that is not there is one without attributes.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Exists(path) => lookup(item, path).is_some(),
            Self::BeginsWith(operand, prefix) => {
                let texts = operand.of(item).and_then(text).zip(prefix.of(item).and_then(text));
                texts.is_some_and(|(text, prefix)| text.starts_with(prefix))
            }
            Self::Compare(left, operator, right) => meets(
                left.of(item).zip(right.of(item)).and_then(|(left, right)| compare(left, right)),
                operator,
            ),
            Self::Not(condition) => !condition.holds(item),
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
        }
    }
}

/// Whether two values in this order meet `left operator right`; `None` is values that have no order.
fn meets(order: Option<Ordering>, operator: &str) -> bool {
    match operator {
        "=" => order == Some(Ordering::Equal),
        "<>" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn any(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    let mut condition = all(reader)?;
    while reader.take("OR") {
        condition = Condition::Or(Box::new(condition), Box::new(all(reader)?));
    }
    Ok(condition)
}

fn all(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    let mut condition = one(reader)?;
    while reader.take("AND") {
        condition = Condition::And(Box::new(condition), Box::new(one(reader)?));
    }
    Ok(condition)
}

fn one(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    if reader.take("NOT") {
        return Ok(Condition::Not(Box::new(reader.nested(one)?)));
    }
    if reader.peek() == Some("(") {
        return reader.nested(parenthesized);
    }
    if reader.follows("(") {
        return function(reader);
    }
    comparison(reader)
}

fn parenthesized(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    if reader.is_doubled_group() {
        return Err(reader.refused("The expression has redundant parentheses;"));
    }
    reader.expect("(")?;
    let condition = any(reader)?;
    reader.expect(")")?;
    Ok(condition)
}

fn function(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    // The names of functions are case-sensitive (documented).
    let name = reader.peek().unwrap_or_default().to_owned();
    match name.as_str() {
        "attribute_exists" => existence(reader),
        "attribute_not_exists" => Ok(Condition::Not(Box::new(existence(reader)?))),
        "begins_with" => {
            let (path, prefix) = begins_with(reader)?;
            Ok(Condition::BeginsWith(path, prefix))
        }
        _ => Err(reader
            .refused(&format!("Invalid function name; function: {name} (or the fake does not know it)"))),
    }
}

fn existence(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    let name = reader.peek().unwrap_or_default().to_owned();
    arguments(reader, |reader| match reader.operand()? {
        Operand::Path(path) => Ok(Condition::Exists(path)),
        Operand::Value(_) => {
            let message = "Operator or function requires a document path; operator or function:";
            Err(reader.refused(&format!("{message} {name}")))
        }
    })
}

fn begins_with(reader: &mut Reader<'_>) -> Result<(Operand, Operand), Refusal> {
    arguments(reader, |reader| {
        let operand = reader.operand()?;
        reader.expect(",")?;
        let prefix = reader.operand()?;
        // DynamoDB takes binaries as well.
        reader.check_type("begins_with", &operand, &["S"])?;
        reader.check_type("begins_with", &prefix, &["S"])?;
        Ok((operand, prefix))
    })
}

/// Takes a function's name and, in parentheses, what `parse` reads.
fn arguments<T>(
    reader: &mut Reader<'_>,
    parse: impl FnOnce(&mut Reader<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    reader.skip();
    reader.expect("(")?;
    let parsed = parse(reader)?;
    reader.expect(")")?;
    Ok(parsed)
}

fn comparison(reader: &mut Reader<'_>) -> Result<Condition, Refusal> {
    let left = reader.operand()?;
    let Some(operator) = reader.one_of(&OPERATORS) else { return Err(reader.unexpected()) };
    let right = reader.operand()?;
    if !matches!(operator, "=" | "<>") {
        reader.check_type(operator, &left, &ORDERED)?;
        reader.check_type(operator, &right, &ORDERED)?;
    }
    Ok(Condition::Compare(left, operator, right))
}

/// What a Query's key condition asks for.
#[derive(Clone, Debug)]
pub(super) struct KeyCondition {
    pub(super) partition: String,
    /// What the sort key must meet, all of it.
    sort: Vec<Condition>,
}

impl KeyCondition {
    /// Reads `partition = :v [AND sort op :v | AND sort BETWEEN :a AND :b | AND begins_with(sort, :v)]`, in either
    /// order. DynamoDB takes one condition for each key, and so does this.
    pub(super) fn parse(
        expression: &str,
        attributes: &mut Attributes,
        schema: &KeySchema,
    ) -> Result<Self, Refusal> {
        let reader = Reader::new("KeyConditionExpression", expression, attributes)?;
        let mut conditions = reader.whole(|reader| {
            let mut conditions = vec![key_condition(reader)?];
            while reader.take("AND") {
                conditions.push(key_condition(reader)?);
            }
            Ok(conditions)
        })?;
        let of_partition: Vec<_> =
            conditions.extract_if(.., |condition| condition.name == schema.partition).collect();
        let ([partition], [] | [_]) = (of_partition.as_slice(), conditions.as_slice()) else {
            return Err(Refusal::validation(
                "Query condition missed key schema element, or more than one condition for a key",
            ));
        };
        if conditions.iter().any(|condition| Some(&condition.name) != schema.sort.as_ref()) {
            return Err(Refusal::validation("Query key condition not supported"));
        }
        let partition = partition.equals().ok_or_else(|| {
            Refusal::validation(
                "Query key condition not supported, or the condition's type does not match the schema's",
            )
        })?;
        Ok(Self {
            partition,
            sort: conditions.into_iter().flat_map(|condition| condition.conditions).collect(),
        })
    }

    pub(super) fn holds(&self, item: &Item) -> bool {
        self.sort.iter().all(|condition| condition.holds(item))
    }
}

/// Conditions on one key attribute.
struct OfKey {
    name: String,
    conditions: Vec<Condition>,
}

impl OfKey {
    /// The text that the key must be, if that is all that is asked.
    fn equals(&self) -> Option<String> {
        match self.conditions.as_slice() {
            [Condition::Compare(_, "=", Operand::Value(value))] => text(value).map(str::to_owned),
            _ => None,
        }
    }
}

fn key_condition(reader: &mut Reader<'_>) -> Result<OfKey, Refusal> {
    if reader.peek() == Some("begins_with") && reader.follows("(") {
        let (operand, prefix) = begins_with(reader)?;
        let Operand::Path(path) = &operand else { return Err(reader.unexpected()) };
        return Ok(OfKey { name: path.join("."), conditions: vec![Condition::BeginsWith(operand, prefix)] });
    }
    let path = reader.path()?;
    let compare = |operator, value: Value| {
        Condition::Compare(Operand::Path(path.clone()), operator, Operand::Value(value))
    };
    let conditions = if reader.take("BETWEEN") {
        let low = reader.value()?;
        reader.expect("AND")?;
        vec![compare(">=", low), compare("<=", reader.value()?)]
    } else {
        let operator = reader.one_of(&OPERATORS).filter(|operator| *operator != "<>");
        let Some(operator) = operator else { return Err(reader.unexpected()) };
        vec![compare(operator, reader.value()?)]
    };
    Ok(OfKey { name: path.join("."), conditions })
}
