//! Update expressions ("Using update expressions in DynamoDB"):
//!
//! ```text
//! SET path = sum [, …]  REMOVE path [, …]      each clause once, in either order
//! sum     source | source + source | source - source
//! source  :value | path | if_not_exists(path, source)
//! ```
//!
//! Documented: the grammar, that all right-hand sides see the item as it was, and that REMOVE of what is not there does
//! nothing. Known of DynamoDB only: that a path whose parent is missing is refused, in REMOVE too. ADD, DELETE and
//! list_append are refused, being unknown here.

use serde_json::Value;

use super::document::{self, Path};
use super::dynamodb::Refusal;
use super::expression::{Attributes, Operand, Reader};
use super::item::Item;
use super::tables::KeySchema;

/// What becomes of an item.
#[derive(Clone, Debug, Default)]
pub(super) struct Update {
    sets: Vec<(Path, Sum)>,
    removes: Vec<Path>,
}

/// One source, or two added or subtracted.
#[derive(Clone, Debug)]
struct Sum {
    left: Source,
    right: Option<(&'static str, Source)>,
}

#[derive(Clone, Debug)]
enum Source {
    Operand(Operand),
    IfNotExists(Path, Box<Source>),
}

impl Update {
    /// Reads an `UpdateExpression`.
    pub(super) fn parse(
        expression: &str,
        attributes: &mut Attributes,
        schema: &KeySchema,
    ) -> Result<Self, Refusal> {
        let update = Reader::new("UpdateExpression", expression, attributes)?.whole(clauses)?;
        let targets: Vec<_> = update.sets.iter().map(|(path, _)| path).chain(&update.removes).collect();
        document::check_targets(&targets, schema)?;
        Ok(update)
    }

    /// The item afterwards. Where none stands, one is made of its key, and there is nothing to remove.
    pub(super) fn apply(&self, standing: Option<&Item>, key: &Item) -> Result<Item, Refusal> {
        let item = standing.unwrap_or(key);
        let mut updated = item.clone();
        for (path, sum) in &self.sets {
            document::set(&mut updated, path, sum.of(item)?)?;
        }
        for path in self.removes.iter().filter(|_| standing.is_some()) {
            document::remove(&mut updated, path)?;
        }
        Ok(updated)
    }
}

impl Sum {
    fn of(&self, item: &Item) -> Result<Value, Refusal> {
        let left = self.left.of(item)?;
        match &self.right {
            Some((sign, right)) => document::add(&left, &right.of(item)?, *sign == "-"),
            None => Ok(left),
        }
    }
}

impl Source {
    fn of(&self, item: &Item) -> Result<Value, Refusal> {
        match self {
            Self::Operand(Operand::Value(value)) => Ok(value.clone()),
            Self::Operand(Operand::Path(path)) => document::read(item, path),
            Self::IfNotExists(path, otherwise) => match document::lookup(item, path) {
                Some(value) => Ok(value.clone()),
                None => otherwise.of(item),
            },
        }
    }
}

fn clauses(reader: &mut Reader<'_>) -> Result<Update, Refusal> {
    let mut update = Update::default();
    while let Some(clause) = reader.one_of(&["SET", "REMOVE"]) {
        let is_first = if clause == "SET" { update.sets.is_empty() } else { update.removes.is_empty() };
        if !is_first {
            let message = format!("The \"{clause}\" section can only be used once in an update expression;");
            return Err(reader.refused(&message));
        }
        match clause {
            "SET" => update.sets = reader.list(assignment)?,
            _ => update.removes = reader.list(Reader::path)?,
        }
    }
    Ok(update)
}

fn assignment(reader: &mut Reader<'_>) -> Result<(Path, Sum), Refusal> {
    let path = reader.path()?;
    reader.expect("=")?;
    let left = source(reader)?;
    let Some(sign) = reader.one_of(&["+", "-"]) else { return Ok((path, Sum { left, right: None })) };
    let right = source(reader)?;
    check_number(reader, sign, &left)?;
    check_number(reader, sign, &right)?;
    Ok((path, Sum { left, right: Some((sign, right)) }))
}

fn check_number(reader: &Reader<'_>, sign: &str, source: &Source) -> Result<(), Refusal> {
    match source {
        Source::Operand(operand) => reader.check_type(sign, operand, &["N"]),
        Source::IfNotExists(_, otherwise) => check_number(reader, sign, otherwise),
    }
}

fn source(reader: &mut Reader<'_>) -> Result<Source, Refusal> {
    if !reader.follows("(") {
        return Ok(Source::Operand(reader.operand()?));
    }
    if reader.peek() != Some("if_not_exists") {
        return Err(reader.unexpected());
    }
    reader.skip();
    reader.expect("(")?;
    let path = reader.path()?;
    reader.expect(",")?;
    let otherwise = reader.nested(source)?;
    reader.expect(")")?;
    Ok(Source::IfNotExists(path, Box::new(otherwise)))
}
