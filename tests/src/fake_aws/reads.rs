//! GetItem, BatchGetItem, Query and Scan. Read units are not counted, and every read is as good as a consistent one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::condition::KeyCondition;
use super::document::{self, Path};
use super::dynamodb::{Refusal, read, write};
use super::expression::{self, Attributes, Names, Values};
use super::item::{self, Item};
use super::tables::{Key, Tables, View};
use super::{Operation, State};

/// Bytes of items that one page of a Query or Scan reads ("Query", "Scan" in the API reference).
const PAGE_LIMIT: usize = 1024 * 1024;
/// Keys and bytes of one BatchGetItem (the same, "BatchGetItem").
const KEY_LIMIT: usize = 100;
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// Segments of a Scan (the same, "Scan").
const SEGMENTS: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// A GetItem, Query or Scan, as far as the fake understands it: members it does not know are refused, filters among
/// them, where DynamoDB would act on them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReadInput {
    table_name: String,
    index_name: Option<String>,
    #[serde(default)]
    key: Map<String, Value>,
    #[serde(default)]
    key_condition_expression: String,
    projection_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<Values>,
    consistent_read: Option<bool>,
    scan_index_forward: Option<bool>,
    limit: Option<usize>,
    exclusive_start_key: Option<Map<String, Value>>,
    segment: Option<u32>,
    total_segments: Option<u32>,
    filter_expression: Option<String>,
    select: Option<String>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
}

impl ReadInput {
    fn check(&self) -> Result<(), Refusal> {
        if self.filter_expression.is_some() || self.select.is_some() {
            return Err(Refusal::validation("the fake knows no filters and no Select"));
        }
        if self.limit == Some(0) {
            return Err(Refusal::validation(
                "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1",
            ));
        }
        if self.index_name.is_some() && self.consistent_read == Some(true) {
            return Err(Refusal::validation(
                "Consistent reads are not supported on global secondary indexes",
            ));
        }
        Ok(())
    }

    fn attributes(&mut self) -> Result<Attributes, Refusal> {
        Attributes::new(self.expression_attribute_names.take(), self.expression_attribute_values.take())
    }
}

/// What of an item is asked for.
struct Projection(Option<Vec<Path>>);

impl Projection {
    fn parse(expression: Option<&str>, attributes: &mut Attributes) -> Result<Self, Refusal> {
        Ok(Self(expression.map(|text| expression::projection(text, attributes)).transpose()?))
    }

    fn of(&self, item: &Item) -> Item {
        self.0.as_ref().map_or_else(|| item.clone(), |paths| document::project(item, paths))
    }
}

pub(super) fn get_item(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let mut input: ReadInput = read(body)?;
    input.check()?;
    let mut attributes = input.attributes()?;
    let projection = Projection::parse(input.projection_expression.as_deref(), &mut attributes)?;
    attributes.finish()?;
    let table = state.tables.table(&input.table_name)?;
    let found = table.items.get(&table.exact_key(&input.key)?).map(|item| projection.of(item));
    state.count(Operation::GetItem).items += u64::from(found.is_some());
    Ok(found.map_or_else(|| json!({}), |item| json!({ "Item": item })).to_string())
}

// BatchGetItem

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGetInput {
    #[serde(default)]
    request_items: BTreeMap<String, KeysOfTable>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
}

/// The keys asked of one table; those that are left unprocessed come back in the same form.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeysOfTable {
    keys: Vec<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression_attribute_names: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent_read: Option<bool>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetOutput {
    responses: BTreeMap<String, Vec<Item>>,
    unprocessed_keys: BTreeMap<String, KeysOfTable>,
}

/// A table of a request that has been found valid.
struct Get {
    table: String,
    keys: BTreeMap<Key, Map<String, Value>>,
    asked: KeysOfTable,
    projection: Projection,
}

pub(super) fn batch_get_item(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let input: BatchGetInput = read(body)?;
    let gets = plan_gets(&state.tables, input.request_items)?;
    let mut output = BatchGetOutput::default();
    let (mut processed, mut unprocessed, mut found, mut bytes) = (0, 0, 0, 0);
    for Get { table, keys, asked, projection } in gets {
        let mut left = Vec::new();
        let items = output.responses.entry(table.clone()).or_default();
        for (key, asked) in keys {
            let item = state.tables.table(&table)?.items.get(&key);
            let size = item.map_or(0, item::item_size);
            if state.faults.unprocessed_keys.next() || bytes + size > ANSWER_LIMIT {
                left.push(asked);
                continue;
            }
            (processed, bytes) = (processed + 1, bytes + size);
            items.extend(item.map(|item| projection.of(item)));
        }
        (found, unprocessed) = (found + items.len() as u64, unprocessed + left.len() as u64);
        if !left.is_empty() {
            output.unprocessed_keys.insert(table, KeysOfTable { keys: left, ..asked });
        }
    }
    let counters = state.count(Operation::BatchGetItem);
    counters.returned += unprocessed;
    if processed == 0 {
        return Err(Refusal::throttled());
    }
    counters.items += found;
    write(&output)
}

/// Validates a request as a whole. Items come in the order of their keys, not in that of the request, since DynamoDB
/// promises none.
fn plan_gets(tables: &Tables, requests: BTreeMap<String, KeysOfTable>) -> Result<Vec<Get>, Refusal> {
    if requests.is_empty() || requests.values().any(|request| request.keys.is_empty()) {
        return Err(Refusal::validation(
            "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Member must have \
             length greater than or equal to 1",
        ));
    }
    if requests.values().map(|request| request.keys.len()).sum::<usize>() > KEY_LIMIT {
        return Err(Refusal::validation("Too many items requested for the BatchGetItem call"));
    }
    requests.into_iter().map(|(table, asked)| plan_get(tables, table, asked)).collect()
}

fn plan_get(tables: &Tables, table: String, asked: KeysOfTable) -> Result<Get, Refusal> {
    let mut attributes = Attributes::new(asked.expression_attribute_names.clone(), None)?;
    let projection = Projection::parse(asked.projection_expression.as_deref(), &mut attributes)?;
    attributes.finish()?;
    let named = tables.table(&table)?;
    let mut keys = BTreeMap::new();
    for key in &asked.keys {
        if keys.insert(named.exact_key(key)?, key.clone()).is_some() {
            return Err(Refusal::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(Get { table, keys, asked, projection })
}

// Query and Scan

pub(super) fn query(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let mut input: ReadInput = read(body)?;
    input.check()?;
    let mut attributes = input.attributes()?;
    let view = state.tables.table(&input.table_name)?.view(input.index_name.as_deref())?;
    let condition = KeyCondition::parse(&input.key_condition_expression, &mut attributes, view.schema())?;
    let projection = Projection::parse(input.projection_expression.as_deref(), &mut attributes)?;
    attributes.finish()?;
    let mut found = view.partition(&condition.partition);
    found.retain(|(_, item)| condition.holds(item));
    let is_forward = input.scan_index_forward.unwrap_or(true);
    if !is_forward {
        found.reverse();
    }
    if let Some(start) = &input.exclusive_start_key {
        let key = view.key_of(start)?;
        let passed = if is_forward { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
        found.retain(|found| view.compare(*found, (&key, start)) == passed);
    }
    let (items, output) = page(&view, &found, &input, &projection);
    state.count(Operation::Query).items += items;
    Ok(output)
}

/// Reads a table in the order of its keys, where DynamoDB has one of its own. A partition belongs to the segment that a
/// hash of its key says.
pub(super) fn scan(state: &mut State, body: &[u8]) -> Result<String, Refusal> {
    let mut input: ReadInput = read(body)?;
    input.check()?;
    if input.index_name.is_some() {
        return Err(Refusal::validation("the fake scans tables only"));
    }
    let (segment, segments) = segment(&input)?;
    let mut attributes = input.attributes()?;
    let view = state.tables.table(&input.table_name)?.view(None)?;
    let projection = Projection::parse(input.projection_expression.as_deref(), &mut attributes)?;
    attributes.finish()?;
    let belongs = |key: &Key| segment_of(&key.partition, segments) == segment;
    let start = input.exclusive_start_key.as_ref().map(|start| view.key_of(start)).transpose()?;
    if start.as_ref().is_some_and(|start| !belongs(start)) {
        return Err(Refusal::validation(
            "The provided Exclusive start key does not map to the provided Segment and TotalSegments values",
        ));
    }
    let found = view.table.items.iter().filter(|(key, _)| belongs(key));
    let found: Vec<_> = found.filter(|(key, _)| start.as_ref().is_none_or(|start| *key > start)).collect();
    let (items, output) = page(&view, &found, &input, &projection);
    state.count(Operation::Scan).items += items;
    Ok(output)
}

/// Segment and number of segments asked for; one of one without.
fn segment(input: &ReadInput) -> Result<(u32, u32), Refusal> {
    let missing = |missing: &str, present: &str| {
        Err(Refusal::validation(format!(
            "The {missing} parameter is required but was not present in the request when parameter {present} is present"
        )))
    };
    match (input.segment, input.total_segments) {
        (None, None) => Ok((0, 1)),
        (Some(_), None) => missing("TotalSegments", "Segment"),
        (None, Some(_)) => missing("Segment", "TotalSegments"),
        (Some(_), Some(total)) if !SEGMENTS.contains(&total) => Err(Refusal::validation(format!(
            "1 validation error detected: Value '{total}' at 'totalSegments' failed to satisfy constraint: Member must \
             have value between 1 and 1000000"
        ))),
        (Some(segment), Some(total)) if segment >= total => Err(Refusal::validation(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is \
             not less than TotalSegments: {total}"
        ))),
        (Some(segment), Some(total)) => Ok((segment, total)),
    }
}

fn segment_of(partition: &str, segments: u32) -> u32 {
    let hash = partition.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    hash % segments
}

/// One page: up to `Limit` items or 1 MB, and where it stopped if it stopped early; at the limit also where nothing
/// follows, as DynamoDB does. Returns how many items it has.
fn page(
    view: &View<'_>,
    found: &[(&Key, &Item)],
    input: &ReadInput,
    projection: &Projection,
) -> (u64, String) {
    let mut items = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for (key, item) in found {
        items.push(projection.of(item));
        bytes += item::item_size(item);
        if items.len() >= input.limit.unwrap_or(usize::MAX) || bytes >= PAGE_LIMIT {
            last = Some(view.position(key, item));
            break;
        }
    }
    let count = items.len();
    let mut output = json!({ "Items": items, "Count": count, "ScannedCount": count });
    if let Some(last) = last {
        output["LastEvaluatedKey"] = last.into();
    }
    (count as u64, output.to_string())
}
