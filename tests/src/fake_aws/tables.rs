//! Tables, their global secondary indexes, and the keys of both.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Handle;
use super::document::{self, compare};
use super::dynamodb::Refusal;
use super::item::{self, Item, Measured};

/// The names of the key attributes of a table (both strings) or of an index.
#[derive(Clone, Debug)]
pub(super) struct KeySchema {
    pub(super) partition: String,
    pub(super) sort: Option<String>,
}

impl KeySchema {
    fn new(partition: &str, sort: Option<&str>) -> Self {
        Self { partition: partition.to_owned(), sort: sort.map(str::to_owned) }
    }

    /// The partition key's name, then the sort key's.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.partition.as_str()).chain(self.sort.as_deref())
    }
}

/// The key of an item; `sort` is empty where the table has no sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Value of the partition key.
    pub partition: String,
    /// Value of the sort key.
    pub sort: String,
}

/// A table and what it holds.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) schema: KeySchema,
    pub(super) items: BTreeMap<Key, Item>,
    indexes: BTreeMap<String, KeySchema>,
}

impl Table {
    /// Measures and checks an item (JSON text) that is to be written.
    pub(super) fn measure(&self, json: &str) -> Result<Measured, Refusal> {
        let measured = item::measure(json, &self.schema)?;
        if !self.indexes.is_empty() {
            let item =
                serde_json::from_str(json).map_err(|error| Refusal::serialization(error.to_string()))?;
            self.check_index_keys(&item)?;
        }
        Ok(measured)
    }

    /// As [`Table::measure`], of an item that is a tree already.
    pub(super) fn measure_item(&self, item: &Item) -> Result<Measured, Refusal> {
        self.measure(&Value::Object(item.clone()).to_string())
    }

    /// An item may lack an index's key; one of another type or an empty one is refused, as on DynamoDB. There, the
    /// table's definition says the type; here, partition keys are strings, sort keys strings or numbers.
    fn check_index_keys(&self, item: &Item) -> Result<(), Refusal> {
        for (index, schema) in &self.indexes {
            for name in schema.names() {
                let Some(value) = item.get(name) else { continue };
                let number_allowed = Some(name) == schema.sort.as_deref();
                check_index_key(index, name, value, number_allowed)?;
            }
        }
        Ok(())
    }

    /// The key in a map that holds exactly the table's key attributes.
    pub(super) fn exact_key(&self, map: &Map<String, Value>) -> Result<Key, Refusal> {
        let measured = item::measure(&Value::Object(map.clone()).to_string(), &self.schema)?;
        if map.len() == self.schema.names().count() {
            return Ok(measured.key);
        }
        Err(Refusal::validation("The provided key element does not match the schema"))
    }

    pub(super) fn key_json(&self, key: &Key) -> Map<String, Value> {
        let values = [&key.partition, &key.sort];
        self.schema
            .names()
            .zip(values)
            .map(|(name, value)| (name.to_owned(), json!({ "S": value })))
            .collect()
    }

    /// The table itself, or the index of that name, as something to be queried.
    pub(super) fn view(&self, index: Option<&str>) -> Result<View<'_>, Refusal> {
        let index = index.map(|name| {
            let message = format!("The table does not have the specified index: {name}");
            self.indexes.get(name).ok_or_else(|| Refusal::validation(message))
        });
        Ok(View { table: self, index: index.transpose()? })
    }
}

fn check_index_key(index: &str, name: &str, value: &Value, number_allowed: bool) -> Result<(), Refusal> {
    match document::text(value) {
        Some("") => Err(Refusal::validation(format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. \
             The AttributeValue for a key attribute cannot contain an empty string value. IndexName: {index}, \
             IndexKey: {name}"
        ))),
        Some(_) => Ok(()),
        None if number_allowed && value.get("N").is_some() => Ok(()),
        None => Err(Refusal::validation(format!(
            "One or more parameter values were invalid: Type mismatch for Index Key {name} Expected: S Actual: {} \
             IndexName: {index}",
            document::kind(value)
        ))),
    }
}

/// A table, or one of its indexes, in the order in which it is read. An index is sparse: an item without one of the
/// index's key attributes is not in it. It projects all attributes, and it is never behind the table, as those of
/// DynamoDB may be for a moment.
#[derive(Clone, Copy)]
pub(super) struct View<'t> {
    pub(super) table: &'t Table,
    index: Option<&'t KeySchema>,
}

impl<'t> View<'t> {
    pub(super) fn schema(&self) -> &'t KeySchema {
        self.index.unwrap_or(&self.table.schema)
    }

    /// The items of one partition by the sort key. DynamoDB promises no order among items of an index that have the
    /// same sort key; here, the table's key decides.
    pub(super) fn partition(&self, partition: &str) -> Vec<(&'t Key, &'t Item)> {
        let Some(schema) = self.index else {
            let first = Key { partition: partition.to_owned(), sort: String::new() };
            let items = self.table.items.range(first..);
            return items.take_while(|(key, _)| key.partition == partition).collect();
        };
        let belongs = |item: &Item| {
            item.get(&schema.partition).and_then(document::text) == Some(partition)
                && schema.names().all(|name| item.contains_key(name))
        };
        let mut items: Vec<_> = self.table.items.iter().filter(|(_, item)| belongs(item)).collect();
        items.sort_by(|left, right| self.compare(*left, *right));
        items
    }

    /// Orders items of one partition.
    pub(super) fn compare(&self, left: (&Key, &Item), right: (&Key, &Item)) -> Ordering {
        let name = self.index.and_then(|schema| schema.sort.as_deref());
        let values = name.and_then(|name| left.1.get(name).zip(right.1.get(name)));
        // Strings and numbers in one index, which DynamoDB has not, must not spoil the order.
        let by_index = values.map_or(Ordering::Equal, |(left, right)| {
            compare(left, right).unwrap_or_else(|| document::kind(left).cmp(document::kind(right)))
        });
        by_index.then_with(|| left.0.cmp(right.0))
    }

    /// The attributes by which a page says where it stopped: the table's key and the index's.
    pub(super) fn position(&self, key: &Key, item: &Item) -> Map<String, Value> {
        let mut position = self.table.key_json(key);
        for name in self.index.into_iter().flat_map(KeySchema::names) {
            position.extend(item.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        position
    }

    /// The table's key in such a position, which must have just those attributes.
    pub(super) fn key_of(&self, position: &Map<String, Value>) -> Result<Key, Refusal> {
        let is_index_key =
            |name: &String| self.index.is_some_and(|index| index.names().any(|key| key == name));
        let is_table_key = |name: &String| self.table.schema.names().any(|key| key == name);
        let complete = self.index.is_none_or(|index| index.names().all(|name| position.contains_key(name)));
        let own = position.iter().filter(|(name, _)| is_table_key(name) || !is_index_key(name));
        let own = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        match self.table.exact_key(&own) {
            Ok(key) if complete => Ok(key),
            _ => Err(Refusal::validation("The provided starting key is invalid")),
        }
    }
}

/// All tables by name.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<String, Table>);

impl Tables {
    fn create(&mut self, name: &str, schema: KeySchema) {
        let table = Table { schema, items: BTreeMap::new(), indexes: BTreeMap::new() };
        self.0.insert(name.to_owned(), table);
    }

    fn items(&self, table: &str) -> Vec<Item> {
        self.0.get(table).map(|table| table.items.values().cloned().collect()).unwrap_or_default()
    }

    fn put(&mut self, table: &str, item: Item) -> Result<(), Refusal> {
        let table = self.table_mut(table)?;
        let measured = table.measure_item(&item)?;
        table.items.insert(measured.key, item);
        Ok(())
    }

    pub(super) fn table(&self, name: &str) -> Result<&Table, Refusal> {
        self.0.get(name).ok_or_else(Refusal::no_table)
    }

    pub(super) fn table_mut(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        self.0.get_mut(name).ok_or_else(Refusal::no_table)
    }
}

impl Handle {
    /// Creates a table with a string partition key and, if named, a string sort key. Calls that name another table
    /// get `ResourceNotFoundException`.
    pub fn create_table(&self, name: &str, partition: &str, sort: Option<&str>) {
        self.lock().tables.create(name, KeySchema::new(partition, sort));
    }

    /// Gives a table a global secondary index: items that have its key attributes (a string, and a string or a number
    /// to sort by) can be queried by them, with all their attributes.
    ///
    /// # Panics
    /// When there is no such table.
    pub fn create_index(&self, table: &str, index: &str, partition: &str, sort: Option<&str>) {
        let mut state = self.lock();
        let table = state.tables.0.get_mut(table);
        assert!(table.is_some(), "an index needs a table");
        if let Some(table) = table {
            table.indexes.insert(index.to_owned(), KeySchema::new(partition, sort));
        }
    }

    /// All items of a table in the order of their keys, as DynamoDB JSON (`{"device": {"S": "…"}, …}`). Empty for an
    /// unknown table, and under [`Storage::Discard`](super::Storage::Discard) without what batches write.
    #[must_use]
    pub fn items(&self, table: &str) -> Vec<Item> {
        self.lock().tables.items(table)
    }

    /// Writes an item without a request, to prepare a test. `Err` says what DynamoDB would not take.
    ///
    /// # Errors
    /// When the table is unknown or the item is one that DynamoDB refuses.
    pub fn put_item(&self, table: &str, item: Item) -> Result<(), String> {
        self.lock().tables.put(table, item).map_err(|refusal| refusal.to_string())
    }

    /// Removes an item without a request, as somebody else may at any time; `sort` is empty where the table has no
    /// sort key.
    pub fn remove_item(&self, table: &str, partition: &str, sort: &str) {
        let key = Key { partition: partition.to_owned(), sort: sort.to_owned() };
        if let Ok(table) = self.lock().tables.table_mut(table) {
            table.items.remove(&key);
        }
    }
}
