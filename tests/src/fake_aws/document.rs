//! Attribute values of an item: how they compare and add, and where they lie in nested maps.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::dynamodb::Refusal;
use super::item::Item;
use super::tables::KeySchema;

/// Names from the item down to a value in nested maps.
pub(super) type Path = Vec<String>;

/// The text of a string.
pub(super) fn text(value: &Value) -> Option<&str> {
    value.get("S")?.as_str()
}

/// The digits of a number.
fn number(value: &Value) -> Option<&str> {
    value.get("N")?.as_str()
}

/// The name of a value's type, as error messages give it.
pub(super) fn kind(value: &Value) -> &str {
    value.as_object().and_then(|value| value.keys().next()).map_or("?", String::as_str)
}

/// Orders two values in DynamoDB JSON; `None` where they differ in type or only in being unequal (binaries, too,
/// which DynamoDB orders). Whole numbers are compared exactly, others as doubles.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (text(left), text(right)) {
        return Some(left.as_bytes().cmp(right.as_bytes()));
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return match (left.parse::<i128>(), right.parse::<i128>()) {
            (Ok(left), Ok(right)) => Some(left.cmp(&right)),
            _ => left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?),
        };
    }
    (left == right).then_some(Ordering::Equal)
}

/// Adds two numbers: exactly when both are whole, in doubles otherwise (DynamoDB has 38 decimal digits there).
pub(super) fn add(left: &Value, right: &Value, negative: bool) -> Result<Value, Refusal> {
    let sum = number(left).zip(number(right)).and_then(|(left, right)| sum(left, right, negative));
    let sum = sum.ok_or_else(|| {
        Refusal::validation("An operand in the update expression has an incorrect data type")
    })?;
    Ok(json!({ "N": sum }))
}

fn sum(left: &str, right: &str, negative: bool) -> Option<String> {
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        let sum = if negative { left.checked_sub(right) } else { left.checked_add(right) };
        return sum.map(|sum| sum.to_string());
    }
    let (left, right) = (left.parse::<f64>().ok()?, right.parse::<f64>().ok()?);
    Some((if negative { left - right } else { left + right }).to_string())
}

/// The value at a path.
pub(super) fn lookup<'i>(item: &'i Item, path: &[String]) -> Option<&'i Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(item.get(first)?, |value, name| value.get("M")?.get(name))
}

/// The value at a path that an update reads.
pub(super) fn read(item: &Item, path: &[String]) -> Result<Value, Refusal> {
    lookup(item, path).cloned().ok_or_else(|| {
        Refusal::validation("The provided expression refers to an attribute that does not exist in the item")
    })
}

/// Writes a value; the maps around it must be there.
pub(super) fn set(item: &mut Item, path: &[String], value: Value) -> Result<(), Refusal> {
    let (last, parent) = parent(item, path)?;
    parent.insert(last.clone(), value);
    Ok(())
}

/// Removes what is at a path, if anything; the maps around it must be there.
pub(super) fn remove(item: &mut Item, path: &[String]) -> Result<(), Refusal> {
    let (last, parent) = parent(item, path)?;
    parent.remove(last);
    Ok(())
}

/// The last name of a path, and the map that it is a name in.
fn parent<'i, 'p>(
    item: &'i mut Item,
    path: &'p [String],
) -> Result<(&'p String, &'i mut Map<String, Value>), Refusal> {
    let no_parent =
        || Refusal::validation("The document path provided in the update expression is invalid for update");
    let (last, parents) = path.split_last().ok_or_else(no_parent)?;
    let mut map = item;
    for name in parents {
        let child = map.get_mut(name).and_then(|value| value.get_mut("M")?.as_object_mut());
        map = child.ok_or_else(no_parent)?;
    }
    Ok((last, map))
}

/// The parts of an item that lie at these paths, in the maps around them. What is not there is left out.
pub(super) fn project(item: &Item, paths: &[Path]) -> Item {
    let mut projected = Item::new();
    for path in paths {
        if let Some(value) = lookup(item, path) {
            insert(&mut projected, path, value.clone());
        }
    }
    projected
}

fn insert(into: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(into.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let parent = into.entry(first).or_insert_with(|| json!({ "M": {} }));
            if let Some(map) = parent.get_mut("M").and_then(Value::as_object_mut) {
                insert(map, rest, value);
            }
        }
    }
}

/// Refuses paths of which one lies in another.
pub(super) fn check_overlap(paths: &[&Path]) -> Result<(), Refusal> {
    for (index, path) in paths.iter().enumerate() {
        if let Some(other) =
            paths[..index].iter().find(|other| other.starts_with(path) || path.starts_with(other))
        {
            return Err(Refusal::validation(format!(
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: \
                 {other:?}, path two: {path:?}"
            )));
        }
    }
    Ok(())
}

/// Refuses what an update may not write: parts of the key, and one place twice.
pub(super) fn check_targets(paths: &[&Path], schema: &KeySchema) -> Result<(), Refusal> {
    let names = paths.iter().filter_map(|path| path.first());
    if let Some(name) = names.into_iter().find(|name| schema.names().any(|key| key == *name)) {
        return Err(Refusal::validation(format!(
            "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the \
             key"
        )));
    }
    check_overlap(paths)
}
