//! What people write for the functions to go by: alert rules and profiles, in the config table. Beside them lies what
//! [`sparkplug`](crate::sparkplug) keeps there.
//!
//! An item of the config table, in DynamoDB's terms:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `kind` | S, partition key | `alert-rule` or `profile` |
//! | `name` | S, sort key | the document's name |
//! | `document` | S | it as JSON, checked when it was written |
//! | `updated` | N | when it was written, µs since 1970; at least 1 more than that of the document that it replaced, whatever the operators' clocks say. Of a profile this is the revision: it decides which of two readings of one identity replaces the other, so no document has the revision of one that it replaced. A delete keeps no revision: a document that is put after it begins anew with the operator's clock |

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use telemetry::Micros;

use crate::conditional::{Stored, conditional};
use crate::error::Error;
use crate::retry::{Deadline, until};

/// Tries against other operators who store the same document.
const MAX_TRIES: usize = 20;

/// A kind of document.
pub trait Document: Sized {
    /// The partition that documents of this kind are in.
    const KIND: &'static str;

    /// Its name.
    fn name(&self) -> &str;

    /// It as it is stored.
    fn to_json(&self) -> &str;

    /// Reads it as it is stored.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_json(text: &str) -> Result<Self, String>;
}

/// Reads and writes documents of one kind.
pub struct Documents<T> {
    client: Client,
    table: String,
    kind: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Documents<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("table", &self.table).finish_non_exhaustive()
    }
}

impl<T> Clone for Documents<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), table: self.table.clone(), kind: PhantomData }
    }
}

/// What the table holds of one kind.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The documents that can be read, and when each was written.
    pub good: Vec<(Arc<T>, Micros)>,
    /// Names of those that cannot, and why: written by hand, or by a later version.
    pub broken: Vec<(String, String)>,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self { good: Vec::new(), broken: Vec::new() }
    }
}

/// All items of the config table that are of a kind, strongly consistent, in the order of their names.
///
/// # Errors
/// If the table cannot be read until the deadline.
pub(crate) async fn items_of_kind(
    client: &Client,
    table: &str,
    kind: &str,
    deadline: Deadline,
) -> Result<Vec<HashMap<String, AttributeValue>>, Error> {
    let (mut items, mut start) = (Vec::new(), None);
    loop {
        let page = until("Query", deadline, async || {
            let query = client.query().table_name(table).consistent_read(true);
            let query =
                query.key_condition_expression("#kind = :kind").expression_attribute_names("#kind", "kind");
            let query = query.expression_attribute_values(":kind", AttributeValue::S(kind.to_owned()));
            let query = query.set_exclusive_start_key(start.clone());
            Box::pin(query.send()).await.map_err(|error| Error::from_sdk("Query", error))
        });
        let page = page.await?;
        items.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(items);
        }
    }
}

impl<T: Document> Documents<T> {
    /// The config table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), kind: PhantomData }
    }

    /// All of this kind, in the order of their names.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline. A document that cannot be read is no error.
    pub async fn load(&self, deadline: Deadline) -> Result<Loaded<T>, Error> {
        let mut loaded = Loaded::default();
        for item in items_of_kind(&self.client, &self.table, T::KIND, deadline).await? {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            let name = text("name").cloned().unwrap_or_default();
            let updated = item.get("updated").and_then(|value| value.as_n().ok()?.parse().ok());
            match text("document").map(|document| T::from_json(document)) {
                Some(Ok(known)) if known.name() == name => {
                    loaded.good.push((Arc::new(known), Micros(updated.unwrap_or_default())));
                }
                Some(Err(error)) => loaded.broken.push((name, error)),
                Some(Ok(_)) => loaded.broken.push((name, "the document has another name".to_owned())),
                None => loaded.broken.push((name, "there is no document".to_owned())),
            }
        }
        Ok(loaded)
    }

    /// Stores a document in place of what has its name. Returns its `updated`: `now`, or where the stored document has
    /// that or a later time, 1 µs more than that. Of writers at one time each stores a revision of its own, the last one
    /// the greatest.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn put(&self, document: &T, now: Micros, deadline: Deadline) -> Result<Micros, Error> {
        let mut updated = now;
        for _ in 0..MAX_TRIES {
            if self.put_newer(document, updated, deadline).await? == Stored::Done {
                return Ok(updated);
            }
            // The stored document is as new or newer: this one is to be newer still.
            if let Some((stored, stored_updated)) = self.stored(document.name(), deadline).await? {
                if stored_updated == updated && stored == document.to_json() {
                    // A write whose answer was lost: it is there.
                    return Ok(updated);
                }
                updated = now.max(stored_updated.plus(1));
            }
        }
        Err(Error::overtaken("PutItem"))
    }

    /// Stores a document on condition that what has its name is older.
    async fn put_newer(&self, document: &T, updated: Micros, deadline: Deadline) -> Result<Stored, Error> {
        let outcome = until("PutItem", deadline, async || {
            let put = self.client.put_item().table_name(&self.table);
            let put = put.item("kind", AttributeValue::S(T::KIND.to_owned()));
            let put = put.item("name", AttributeValue::S(document.name().to_owned()));
            let put = put.item("document", AttributeValue::S(document.to_json().to_owned()));
            let put = put.item("updated", AttributeValue::N(updated.0.to_string()));
            let put = put.condition_expression("attribute_not_exists(#updated) OR #updated < :updated");
            let put = put.expression_attribute_names("#updated", "updated");
            let put = put.expression_attribute_values(":updated", AttributeValue::N(updated.0.to_string()));
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutItem", error))
        });
        conditional(outcome.await)
    }

    /// A stored document, and when it was written.
    async fn stored(&self, name: &str, deadline: Deadline) -> Result<Option<(String, Micros)>, Error> {
        let output = until("GetItem", deadline, async || {
            let get = self.client.get_item().table_name(&self.table).consistent_read(true);
            let get = get.key("kind", AttributeValue::S(T::KIND.to_owned()));
            let get = get.key("name", AttributeValue::S(name.to_owned()));
            Box::pin(get.send()).await.map_err(|error| Error::from_sdk("GetItem", error))
        });
        let Some(item) = output.await?.item else { return Ok(None) };
        let updated = item.get("updated").and_then(|value| value.as_n().ok()?.parse().ok());
        let updated = updated.ok_or_else(|| Error::of_item("GetItem", "`updated` is no time"))?;
        let document = item.get("document").and_then(|value| value.as_s().ok().cloned());
        Ok(Some((document.unwrap_or_default(), Micros(updated))))
    }

    /// Removes a document; returns whether there was one.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn delete(&self, name: &str, deadline: Deadline) -> Result<bool, Error> {
        until("DeleteItem", deadline, async || {
            let delete = self.client.delete_item().table_name(&self.table);
            let delete = delete.key("kind", AttributeValue::S(T::KIND.to_owned()));
            let delete = delete.key("name", AttributeValue::S(name.to_owned()));
            let delete = delete.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
            let output =
                Box::pin(delete.send()).await.map_err(|error| Error::from_sdk("DeleteItem", error))?;
            Ok(output.attributes.is_some_and(|item| !item.is_empty()))
        })
        .await
    }
}
