//! DynamoDB's JSON 1.0 protocol: what a request may be, what it does to the tables, how the answer reads.
//!
//! Each write is planned (read, validated as a whole) before anything is done, as on DynamoDB, where a request with
//! one bad item writes none. Quotas: "BatchWriteItem", "BatchExecuteStatement" and "BatchStatementRequest" in the
//! API reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hyper::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::faults::StatementFault;
use super::item::{self, Item, Measured};
use super::partiql::{self, Condition, Expression, Failure, Path, Statement};
use super::{Answer, Operation, State, Storage};

/// Writes in one request.
const BATCH_LIMIT: usize = 25;
/// Bytes of one request.
const REQUEST_LIMIT: usize = 16 * 1024 * 1024;
/// Characters of one statement.
const STATEMENT_LIMIT: usize = 8_192;
/// Bytes of items that one page of a Query holds.
const PAGE_LIMIT: usize = 1024 * 1024;

/// A request refused as a whole.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, message: message.into() }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new("com.amazon.coral.validate#ValidationException", message)
    }

    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new("com.amazon.coral.service#SerializationException", message)
    }

    pub(super) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new("com.amazon.coral.service#UnknownOperationException", message)
    }

    pub(super) fn throttled() -> Self {
        Self::new(
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
             provisioning level with the UpdateTable API.",
        )
    }

    pub(super) fn internal() -> Self {
        let refusal =
            Self::new("com.amazonaws.dynamodb.v20120810#InternalServerError", "Internal server error");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..refusal }
    }

    fn no_table() -> Self {
        Self::new(
            "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            "Requested resource not found",
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::validation(failure.message)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body = json!({ "__type": refusal.kind, "message": refusal.message }).to_string();
        Self::new(refusal.status, CONTENT_TYPE, body)
    }
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The names of a table's key attributes, both strings.
#[derive(Clone, Debug)]
pub(super) struct KeySchema {
    pub(super) partition: String,
    pub(super) sort: Option<String>,
}

/// The key of an item; `sort` is empty where the table has no sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Value of the partition key.
    pub partition: String,
    /// Value of the sort key.
    pub sort: String,
}

#[derive(Debug)]
struct Table {
    schema: KeySchema,
    items: BTreeMap<Key, Item>,
}

/// All tables by name.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<String, Table>);

impl Tables {
    pub(super) fn create(&mut self, name: &str, partition: &str, sort: Option<&str>) {
        let schema = KeySchema { partition: partition.to_owned(), sort: sort.map(str::to_owned) };
        self.0.insert(name.to_owned(), Table { schema, items: BTreeMap::new() });
    }

    pub(super) fn items(&self, table: &str) -> Vec<Item> {
        self.0.get(table).map(|table| table.items.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn put(&mut self, table: &str, item: Item) -> Result<(), Refusal> {
        let table = self.table_mut(table)?;
        let measured = item::measure(&Value::Object(item.clone()).to_string(), &table.schema)?;
        table.items.insert(measured.key, item);
        Ok(())
    }

    fn table(&self, name: &str) -> Result<&Table, Refusal> {
        self.0.get(name).ok_or_else(Refusal::no_table)
    }

    fn table_mut(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        self.0.get_mut(name).ok_or_else(Refusal::no_table)
    }
}

pub(super) fn answer(state: &mut State, storage: Storage, operation: Operation, body: &[u8]) -> Answer {
    if body.len() > REQUEST_LIMIT {
        // The limit is documented, the answer beyond it is not.
        let refusal =
            Refusal::new("com.amazon.coral.service#RequestEntityTooLargeException", "Request too large");
        return Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, ..refusal }.into();
    }
    let outcome = match operation {
        Operation::BatchWriteItem => batch_write(state, storage, body),
        Operation::BatchExecuteStatement => batch_execute(state, storage, body),
        Operation::Query => query(state, body),
        _ => get_item(state, body),
    };
    outcome.map_or_else(Answer::from, |body| Answer::new(StatusCode::OK, CONTENT_TYPE, body))
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::serialization(error.to_string()))
}

/// JSON of an answer; `Refusal` if it could not be written, which only a map with odd keys cannot.
fn write<T: Serialize>(answer: &T) -> Result<String, Refusal> {
    serde_json::to_string(answer).map_err(|error| Refusal::serialization(error.to_string()))
}

fn wants_capacity(asked: Option<&str>) -> bool {
    matches!(asked, Some("TOTAL" | "INDEXES"))
}

/// `ConsumedCapacity`, one entry for each table.
fn capacity(units: &BTreeMap<String, u64>) -> Vec<Value> {
    units.iter().map(|(table, units)| json!({ "TableName": table, "CapacityUnits": units })).collect()
}

// BatchWriteItem

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchWriteInput<'b> {
    #[serde(borrow)]
    request_items: Option<BTreeMap<String, Vec<WriteRequest<'b>>>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest<'b> {
    #[serde(borrow)]
    put_request: Option<PutRequest<'b>>,
}

/// The item stays text: it is measured in one pass, kept only under [`Storage::Keep`], and handed back as it came.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest<'b> {
    #[serde(borrow)]
    item: &'b RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchWriteOutput<'b> {
    unprocessed_items: BTreeMap<String, Vec<WriteRequest<'b>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<Value>>,
}

struct Put<'b> {
    table: String,
    request: PutRequest<'b>,
    measured: Measured,
}

fn batch_write(state: &mut State, storage: Storage, body: &[u8]) -> Result<String, Refusal> {
    let input: BatchWriteInput<'_> = read(body)?;
    let puts = plan_puts(&state.tables, input.request_items.unwrap_or_default())?;
    let (unprocessed, puts): (Vec<_>, Vec<_>) =
        puts.into_iter().partition(|_| state.faults.unprocessed.next());
    if puts.is_empty() {
        state.count(Operation::BatchWriteItem).returned += unprocessed.len() as u64;
        return Err(Refusal::throttled());
    }
    let mut units = BTreeMap::new();
    let written = puts.len() as u64;
    for put in puts {
        let (table, taken) = execute_put(state, storage, put)?;
        *units.entry(table).or_insert(0) += taken;
    }
    let counters = state.count(Operation::BatchWriteItem);
    counters.items += written;
    counters.returned += unprocessed.len() as u64;
    counters.write_units += units.values().sum::<u64>();
    let mut unprocessed_items = BTreeMap::<_, Vec<_>>::new();
    for put in unprocessed {
        unprocessed_items.entry(put.table).or_default().push(WriteRequest { put_request: Some(put.request) });
    }
    let wanted = wants_capacity(input.return_consumed_capacity.as_deref());
    write(&BatchWriteOutput { unprocessed_items, consumed_capacity: wanted.then(|| capacity(&units)) })
}

/// Validates a request as a whole.
fn plan_puts<'b>(
    tables: &Tables,
    requests: BTreeMap<String, Vec<WriteRequest<'b>>>,
) -> Result<Vec<Put<'b>>, Refusal> {
    if requests.is_empty() || requests.values().any(Vec::is_empty) {
        return Err(Refusal::validation(
            "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Member must have \
             length greater than or equal to 1",
        ));
    }
    if requests.values().map(Vec::len).sum::<usize>() > BATCH_LIMIT {
        return Err(Refusal::validation("Too many items requested for the BatchWriteItem call"));
    }
    let mut puts = Vec::with_capacity(BATCH_LIMIT);
    for (table, writes) in requests {
        let schema = &tables.table(&table)?.schema;
        for write in writes {
            let message = "Supplied AttributeValue has no put; the fake does not delete";
            let request = write.put_request.ok_or_else(|| Refusal::validation(message))?;
            let measured = item::measure(request.item.get(), schema)?;
            puts.push(Put { table: table.clone(), request, measured });
        }
    }
    refuse_duplicates(puts.iter().map(|put| (put.table.as_str(), &put.measured.key)))?;
    Ok(puts)
}

fn refuse_duplicates<'k>(keys: impl Iterator<Item = (&'k str, &'k Key)>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Refusal::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(())
}

/// Writes one item; returns its table and the write units taken.
fn execute_put(state: &mut State, storage: Storage, put: Put<'_>) -> Result<(String, u64), Refusal> {
    let mut units = item::write_units(put.measured.bytes);
    if storage == Storage::Keep {
        let item: Item = read(put.request.item.get().as_bytes())?;
        let replaced = state.tables.table_mut(&put.table)?.items.insert(put.measured.key, item);
        units = replaced.map_or(units, |old| units.max(item::write_units(item::item_size(&old))));
    }
    Ok((put.table, units))
}

// BatchExecuteStatement

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

fn batch_execute(state: &mut State, storage: Storage, body: &[u8]) -> Result<String, Refusal> {
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
    let written = updated.and_then(|item| Ok((partiql::check_size(&item, &table.schema)?, item)));
    // A failed condition takes what the standing item takes.
    *units +=
        standing_units(standing).max(written.as_ref().map_or(0, |(bytes, _)| item::write_units(*bytes)));
    table.items.insert(key, written?.1);
    Ok(())
}

fn standing_units(item: Option<&Item>) -> u64 {
    item.map_or(1, |item| item::write_units(item::item_size(item)))
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
    partiql::assign(item, assignments, schema)
}

// Reads

/// The parts of a Query or GetItem that the fake understands, and those it must not overlook.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadInput {
    table_name: String,
    #[serde(default)]
    key: Map<String, Value>,
    #[serde(default)]
    key_condition_expression: String,
    #[serde(default)]
    expression_attribute_names: Map<String, Value>,
    #[serde(default)]
    expression_attribute_values: Map<String, Value>,
    scan_index_forward: Option<bool>,
    limit: Option<usize>,
    exclusive_start_key: Option<Map<String, Value>>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    index_name: Option<String>,
}

impl ReadInput {
    fn check(&self) -> Result<(), Refusal> {
        let unknown = [&self.filter_expression, &self.projection_expression, &self.index_name];
        if unknown.into_iter().any(Option::is_some) {
            return Err(Refusal::validation("the fake knows no filters, projections or indexes"));
        }
        Ok(())
    }
}

/// The key in a map that holds exactly a table's key attributes.
fn exact_key(map: &Map<String, Value>, schema: &KeySchema) -> Result<Key, Refusal> {
    let measured = item::measure(&Value::Object(map.clone()).to_string(), schema)?;
    if map.len() == 1 + usize::from(schema.sort.is_some()) {
        return Ok(measured.key);
    }
    Err(Refusal::validation("The provided key element does not match the schema"))
}

fn get_item(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let input: ReadInput = read(body)?;
    input.check()?;
    let table = state.tables.table(&input.table_name)?;
    let found = table.items.get(&exact_key(&input.key, &table.schema)?).cloned();
    state.count(Operation::GetItem).items += u64::from(found.is_some());
    Ok(found.map_or_else(|| json!({}), |item| json!({ "Item": item })).to_string())
}

fn query(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let input: ReadInput = read(body)?;
    input.check()?;
    let table = state.tables.table(&input.table_name)?;
    let (names, values) = (&input.expression_attribute_names, &input.expression_attribute_values);
    let condition =
        partiql::parse_key_condition(&input.key_condition_expression, names, values, &table.schema)?;
    let start = input.exclusive_start_key.as_ref().map(|key| exact_key(key, &table.schema)).transpose()?;
    let forward = input.scan_index_forward.unwrap_or(true);
    let matching = table.items.iter().filter(|(key, _)| meets(key, &condition));
    let matching: Box<dyn Iterator<Item = _>> =
        if forward { Box::new(matching) } else { Box::new(matching.rev()) };
    let beyond = matching.skip_while(|(key, _)| match &start {
        Some(start) if forward => *key <= start,
        Some(start) => *key >= start,
        None => false,
    });
    let (page, last) = page(beyond, input.limit.unwrap_or(usize::MAX));
    let mut output = json!({ "Items": page, "Count": page.len(), "ScannedCount": page.len() });
    if let Some(last) = last {
        output["LastEvaluatedKey"] = key_json(last, &table.schema);
    }
    let items = page.len() as u64;
    let output = output.to_string();
    state.count(Operation::Query).items += items;
    Ok(output)
}

fn meets(key: &Key, condition: &partiql::KeyCondition) -> bool {
    key.partition == condition.partition
        && condition.bounds.iter().all(|(operator, bound)| match operator.as_str() {
            "=" => key.sort == *bound,
            "<" => key.sort < *bound,
            "<=" => key.sort <= *bound,
            ">" => key.sort > *bound,
            _ => key.sort >= *bound,
        })
}

/// One page: up to `limit` items or 1 MB, and the key it stopped at if it stopped early.
fn page<'t>(
    items: impl Iterator<Item = (&'t Key, &'t Item)>,
    limit: usize,
) -> (Vec<&'t Item>, Option<&'t Key>) {
    let mut page = Vec::new();
    let mut bytes = 0;
    for (key, item) in items {
        page.push(item);
        bytes += item::item_size(item);
        if page.len() >= limit || bytes >= PAGE_LIMIT {
            return (page, Some(key));
        }
    }
    (page, None)
}

fn key_json(key: &Key, schema: &KeySchema) -> Value {
    let mut json = Map::new();
    json.insert(schema.partition.clone(), json!({ "S": key.partition }));
    if let Some(sort) = &schema.sort {
        json.insert(sort.clone(), json!({ "S": key.sort }));
    }
    Value::Object(json)
}
