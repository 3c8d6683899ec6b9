//! BatchWriteItem: up to 25 puts. The one call of which a bench makes thousands: an item stays text until it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::dynamodb::{BATCH_LIMIT, Refusal, capacity, read, refuse_duplicates, wants_capacity, write};
use super::item::{self, Item, Measured};
use super::tables::Tables;
use super::{Operation, State, Storage};

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

pub(super) fn batch_write(state: &mut State, storage: Storage, body: &[u8]) -> Result<String, Refusal> {
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
        let target = tables.table(&table)?;
        for write in writes {
            let message = "Supplied AttributeValue has no put; the fake does not delete";
            let request = write.put_request.ok_or_else(|| Refusal::validation(message))?;
            let measured = target.measure(request.item.get())?;
            puts.push(Put { table: table.clone(), request, measured });
        }
    }
    refuse_duplicates(puts.iter().map(|put| (put.table.as_str(), &put.measured.key)))?;
    Ok(puts)
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
