//! PutItem, UpdateItem and DeleteItem: one item, on a condition. Write units are those of the table; an index's own are
//! not counted.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::condition::Condition;
use super::dynamodb::{Refusal, read, standing_units, wants_capacity};
use super::expression::{Attributes, Names, Values};
use super::item::{self, Item};
use super::tables::{Key, Table};
use super::update::Update;
use super::{Operation, State};

/// A request, as far as the fake understands it: members it does not know are refused, where DynamoDB would act on them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WriteInput {
    table_name: String,
    item: Option<Item>,
    key: Option<Item>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<Values>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<String>,
}

/// What a write does once its condition holds.
enum Change {
    Put(Item),
    Update(Update, Item),
    Delete,
}

impl Change {
    /// The item that will stand, or that none will.
    fn apply(&self, standing: Option<&Item>) -> Result<Option<Item>, Refusal> {
        match self {
            Self::Put(item) => Ok(Some(item.clone())),
            Self::Update(update, key) => update.apply(standing, key).map(Some),
            Self::Delete => Ok(None),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    Nothing,
    Old,
    New,
}

/// A request that has been read and found valid.
struct Write {
    key: Key,
    condition: Option<Condition>,
    change: Change,
    returns: Returns,
    return_item: bool,
}

pub(super) fn put_item(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let mut input: WriteInput = read(body)?;
    let item = required(input.item.take(), "item")?;
    write(state, Operation::PutItem, input, |table, _| {
        Ok((table.measure_item(&item)?.key, Change::Put(item)))
    })
}

pub(super) fn update_item(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let mut input: WriteInput = read(body)?;
    let key = required(input.key.take(), "key")?;
    let expression = input.update_expression.take();
    write(state, Operation::UpdateItem, input, |table, attributes| {
        let update = expression.map(|expression| Update::parse(&expression, attributes, &table.schema));
        Ok((table.exact_key(&key)?, Change::Update(update.transpose()?.unwrap_or_default(), key)))
    })
}

pub(super) fn delete_item(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let mut input: WriteInput = read(body)?;
    let key = required(input.key.take(), "key")?;
    write(state, Operation::DeleteItem, input, |table, _| Ok((table.exact_key(&key)?, Change::Delete)))
}

fn required(given: Option<Map<String, Value>>, name: &str) -> Result<Item, Refusal> {
    given.ok_or_else(|| {
        Refusal::validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// Plans the write, with the key and the change that `plan` makes of the request, and carries it out.
fn write(
    state: &mut State,
    operation: Operation,
    input: WriteInput,
    plan: impl FnOnce(&Table, &mut Attributes) -> Result<(Key, Change), Refusal>,
) -> Result<String, Refusal> {
    let wants_capacity = wants_capacity(input.return_consumed_capacity.as_deref());
    let table_name = input.table_name.clone();
    let table = state.tables.table_mut(&table_name)?;
    let write = plan_write(table, operation, input, plan)?;
    let (units, outcome) = execute(table, &write);
    let counters = state.count(operation);
    counters.write_units += units;
    let attributes = outcome?;
    counters.items += 1;
    let mut output = json!({});
    if let Some(attributes) = attributes {
        output["Attributes"] = attributes.into();
    }
    if wants_capacity {
        output["ConsumedCapacity"] = json!({ "TableName": table_name, "CapacityUnits": units });
    }
    Ok(output.to_string())
}

fn plan_write(
    table: &Table,
    operation: Operation,
    input: WriteInput,
    plan: impl FnOnce(&Table, &mut Attributes) -> Result<(Key, Change), Refusal>,
) -> Result<Write, Refusal> {
    let returns = returns(input.return_values.as_deref(), operation)?;
    let return_item = match input.return_values_on_condition_check_failure.as_deref() {
        None | Some("NONE") => false,
        Some("ALL_OLD") => true,
        Some(_) => return Err(Refusal::validation("ReturnValuesOnConditionCheckFailure: NONE or ALL_OLD")),
    };
    let mut attributes =
        Attributes::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let (key, change) = plan(table, &mut attributes)?;
    let condition = input.condition_expression.map(|text| Condition::parse(&text, &mut attributes));
    let condition = condition.transpose()?;
    attributes.finish()?;
    Ok(Write { key, condition, change, returns, return_item })
}

/// Only an update can return the new item. DynamoDB's UPDATED_OLD and UPDATED_NEW the fake does not know.
fn returns(asked: Option<&str>, operation: Operation) -> Result<Returns, Refusal> {
    match asked {
        None | Some("NONE") => Ok(Returns::Nothing),
        Some("ALL_OLD") => Ok(Returns::Old),
        Some("ALL_NEW") if operation == Operation::UpdateItem => Ok(Returns::New),
        Some(_) => Err(Refusal::validation("Return values set to invalid value")),
    }
}

/// Carries a write out; returns the units it takes, whatever comes of it, and the attributes to be returned.
fn execute(table: &mut Table, write: &Write) -> (u64, Result<Option<Item>, Refusal>) {
    let standing = table.items.get(&write.key);
    let units = standing_units(standing);
    let nothing = Item::new();
    if !write.condition.as_ref().is_none_or(|condition| condition.holds(standing.unwrap_or(&nothing))) {
        let item = standing.filter(|_| write.return_item).cloned();
        return (units, Err(Refusal::condition_failed(item)));
    }
    let written = write.change.apply(standing).and_then(|item| {
        let bytes = item.as_ref().map(|item| table.measure_item(item)).transpose()?;
        Ok((bytes.map_or(0, |measured| item::write_units(measured.bytes)), item))
    });
    // What is refused for the item it would make takes no units here; DynamoDB does not say.
    let (new_units, item) = match written {
        Ok(written) => written,
        Err(refusal) => return (0, Err(refusal)),
    };
    let new = item.clone();
    let old = match item {
        Some(item) => table.items.insert(write.key.clone(), item),
        None => table.items.remove(&write.key),
    };
    let returned = match write.returns {
        Returns::Nothing => None,
        Returns::Old => old,
        Returns::New => new,
    };
    (units.max(new_units), Ok(returned))
}
