//! BatchExecuteStatement: up to 25 statements of PartiQL, each of which succeeds or fails alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::document::Path;
use super::dynamodb::{
    BATCH_LIMIT, Refusal, capacity, read, refuse_duplicates, standing_units, wants_capacity,
};
use super::faults::StatementFault;
use super::item::{self, Item};
use super::partiql::{self, Condition, Expression, Failure, Statement};
use super::tables::{Key, KeySchema, Tables};
use super::{Operation, State, Storage};

/// Characters of one statement.
const STATEMENT_LIMIT: usize = 8_192;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchStatementInput<S> {
    statements: Vec<S>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatementInput {
    statement: String,
    #[serde(default)]
    parameters: Option<Vec<Value>>,
    #[serde(default)]
    return_values_on_condition_check_failure: Option<String>,
}

/// A statement that could be read, and the item it is about.
struct Planned {
    statement: Statement,
    key: Key,
    return_item: bool,
}

pub(super) fn batch_execute(state: &mut State, storage: Storage, body: &[u8]) -> Result<String, Refusal> {
    if storage == Storage::Discard {
        let input: BatchStatementInput<IgnoredAny> = read(body)?;
        check_batch(input.statements.len())?;
        let responses = input.statements.iter().map(|_| discard_statement(state)).collect();
        return Ok(statement_output(responses, None));
    }
    let input: BatchStatementInput<StatementInput> = read(body)?;
    check_batch(input.statements.len())?;
    check_statements(&input.statements)?;
    let planned: Vec<_> = input.statements.iter().map(|statement| plan(&state.tables, statement)).collect();
    // That DynamoDB refuses two writes to one item in one batch of statements, as it does in BatchWriteItem, is an
    // assumption; the strict reading is the safe one.
    let keys = planned.iter().flatten().map(|planned| (planned.statement.table(), &planned.key));
    refuse_duplicates(keys)?;
    let mut units = BTreeMap::new();
    let responses = planned.into_iter().map(|planned| respond(state, planned, &mut units)).collect();
    state.count(Operation::BatchExecuteStatement).write_units += units.values().sum::<u64>();
    let wanted = wants_capacity(input.return_consumed_capacity.as_deref());
    Ok(statement_output(responses, wanted.then(|| capacity(&units))))
}

fn check_batch(statements: usize) -> Result<(), Refusal> {
    if (1..=BATCH_LIMIT).contains(&statements) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "1 validation error detected: Value at 'statements' failed to satisfy constraint: Member must have length \
         less than or equal to {BATCH_LIMIT} and greater than or equal to 1"
    )))
}

fn check_statements(statements: &[StatementInput]) -> Result<(), Refusal> {
    let constraint = |of: &str, what: &str| {
        Err(Refusal::validation(format!(
            "1 validation error detected: Value at 'statements.member.{of}' failed to satisfy constraint: Member must \
             have length {what}"
        )))
    };
    for input in statements {
        if !(1..=STATEMENT_LIMIT).contains(&input.statement.chars().count()) {
            return constraint("statement", "between 1 and 8192");
        }
        if input.parameters.as_ref().is_some_and(Vec::is_empty) {
            return constraint("parameters", "greater than or equal to 1");
        }
    }
    Ok(())
}

fn statement_output(responses: Vec<Value>, capacity: Option<Vec<Value>>) -> String {
    let mut output = json!({});
    output["Responses"] = responses.into();
    if let Some(capacity) = capacity {
        output["ConsumedCapacity"] = capacity.into();
    }
    output.to_string()
}

fn failure_response(table: Option<&str>, failure: Failure) -> Value {
    let mut error = json!({ "Code": failure.code, "Message": failure.message });
    if let Some(item) = failure.item {
        error["Item"] = item.into();
    }
    let mut response = json!({ "Error": error });
    if let Some(table) = table {
        response["TableName"] = table.into();
    }
    response
}

fn discard_statement(state: &mut State) -> Value {
    let fault = state.faults.take_statement();
    let counters = state.count(Operation::BatchExecuteStatement);
    // A failed condition takes a unit, too; a throttled statement does not.
    counters.write_units += u64::from(fault != Some(StatementFault::Throttling));
    match fault {
        Some(fault) => {
            counters.returned += 1;
            failure_response(None, planned_failure(fault))
        }
        None => {
            counters.items += 1;
            json!({})
        }
    }
}

fn planned_failure(fault: StatementFault) -> Failure {
    match fault {
        StatementFault::Throttling => {
            Failure::new("ThrottlingError", "Throughput exceeds the current capacity")
        }
        StatementFault::ConditionalCheckFailed => condition_failed(None),
    }
}

fn condition_failed(item: Option<Item>) -> Failure {
    Failure { item, ..Failure::new("ConditionalCheckFailed", "The conditional request failed") }
}

fn plan(tables: &Tables, input: &StatementInput) -> Result<Planned, Failure> {
    let statement = partiql::parse(&input.statement, input.parameters.as_deref().unwrap_or_default())?;
    let table = tables
        .table(statement.table())
        .map_err(|refusal| Failure::new("ResourceNotFound", refusal.to_string()))?;
    let key = statement.key(&table.schema)?;
    let return_item = input.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD");
    Ok(Planned { statement, key, return_item })
}

/// Executes one statement and counts it.
fn respond(state: &mut State, planned: Result<Planned, Failure>, units: &mut BTreeMap<String, u64>) -> Value {
    let table = planned.as_ref().ok().map(|planned| planned.statement.table().to_owned());
    let fault = state.faults.take_statement();
    let outcome = planned.and_then(|planned| {
        let taken = units.entry(planned.statement.table().to_owned()).or_insert(0);
        execute_statement(state, planned, fault, taken)
    });
    let counters = state.count(Operation::BatchExecuteStatement);
    match outcome {
        Ok(()) => {
            counters.items += 1;
            json!({ "TableName": table })
        }
        Err(failure) => {
            counters.returned += 1;
            failure_response(table.as_deref(), failure)
        }
    }
}

fn execute_statement(
    state: &mut State,
    planned: Planned,
    fault: Option<StatementFault>,
    units: &mut u64,
) -> Result<(), Failure> {
    let Planned { statement, key, return_item } = planned;
    let table =
        state.tables.table_mut(statement.table()).map_err(|refusal| Failure::invalid(refusal.to_string()))?;
    let standing = table.items.get(&key);
    match fault {
        Some(StatementFault::ConditionalCheckFailed) => {
            *units += standing_units(standing);
            return Err(condition_failed(standing.filter(|_| return_item).cloned()));
        }
        Some(StatementFault::Throttling) => return Err(planned_failure(StatementFault::Throttling)),
        None => {}
    }
    let updated = match statement {
        Statement::Update { assignments, conditions, .. } => {
            update(standing, &assignments, &conditions, &table.schema, return_item)
        }
        Statement::Insert { .. } if standing.is_some() => {
            Err(Failure::new("DuplicateItem", "Duplicate primary key exists in table"))
        }
        Statement::Insert { item, .. } => Ok(item),
    };
    let written = updated.and_then(|item| Ok((table.measure_item(&item)?.bytes, item)));
    // A failed condition takes what the standing item takes.
    *units +=
        standing_units(standing).max(written.as_ref().map_or(0, |(bytes, _)| item::write_units(*bytes)));
    table.items.insert(key, written?.1);
    Ok(())
}

fn update(
    standing: Option<&Item>,
    assignments: &[(Path, Expression)],
    conditions: &[Condition],
    schema: &KeySchema,
    return_item: bool,
) -> Result<Item, Failure> {
    let Some(item) = standing else { return Err(condition_failed(None)) };
    if !conditions.iter().all(|condition| condition.holds(item)) {
        return Err(condition_failed(return_item.then(|| item.clone())));
    }
    Ok(partiql::assign(item, assignments, schema)?)
}
