//! What is known of Sparkplug's edge nodes, in the config table: a partition for each node.
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `kind` | S, partition key | `sparkplug/{group}/{node}` |
//! | `name` | S, sort key | `state`, or `birth/{when it arrived, in µs}` and `birth/{when}/{device}` |
//! | `document` | S | it as JSON, as [`Node`] writes it |
//! | `revision` | N, of the state only | how often it has been stored |
//! | `updated` | N | when, µs since 1970 |

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt as _};
use telemetry::Micros;
use telemetry::sparkplug::{Node, NodeChanges, NodeId};

use crate::conditional::{Stored, conditional};
use crate::documents::items_of_kind;
use crate::error::{Error, chain};
use crate::readings::MAX_IN_FLIGHT;
use crate::retry::{Deadline, until};

/// The sort key of a node's state.
const STATE: &str = "state";

/// Reads and writes what is known of edge nodes.
#[derive(Debug, Clone)]
pub struct StoredNodes {
    client: Client,
    table: String,
}

impl StoredNodes {
    /// In the config table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// What is known of a node, strongly consistent. Of one whose state cannot be read nothing is, and what is stored of
    /// it next replaces that.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn load(&self, id: &NodeId, deadline: Deadline) -> Result<Node, Error> {
        let mut documents: Vec<(String, String)> = Vec::new();
        let mut revision = 0;
        for item in items_of_kind(&self.client, &self.table, &kind(id), deadline).await? {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            let number = item.get("revision").and_then(|value| value.as_n().ok()?.parse().ok());
            revision = number.unwrap_or(revision);
            documents.extend(text("name").zip(text("document")));
        }
        let (states, births): (Vec<_>, Vec<_>) = documents.into_iter().partition(|(name, _)| name == STATE);
        let Some((_, state)) = states.first() else { return Ok(Node::unknown(revision)) };
        let births = births.iter().map(|(name, document)| (&**name, &**document));
        Ok(Node::from_stored(revision, state, births).unwrap_or_else(|| {
            tracing::error!(revision, "what is stored of a Sparkplug node cannot be read; it is begun anew");
            Node::unknown(revision)
        }))
    }

    /// Stores what has changed of a node, if nobody else has since it was read: first the births, which count when the
    /// state does that speaks of them. Under one name there is never another birth, so nothing is overwritten that
    /// somebody else goes by. What is outdated goes last; what is left of it is found when the node is read next.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn store(
        &self,
        id: &NodeId,
        changes: &NodeChanges,
        now: Micros,
        deadline: Deadline,
    ) -> Result<Stored, Error> {
        let births = changes.births.iter();
        let puts = births.map(|(name, document)| self.put(id, name, document, None, now, deadline));
        let mut puts = stream::iter(puts).buffer_unordered(MAX_IN_FLIGHT);
        while let Some(outcome) = puts.next().await {
            outcome?;
        }
        let state = self.put(id, STATE, &changes.state, Some(changes.revision), now, deadline).await;
        let stored = conditional(state)?;
        if stored == Stored::Done {
            let deletes = changes.outdated.iter().map(|name| self.delete(id, name, deadline));
            let mut deletes = stream::iter(deletes).buffer_unordered(MAX_IN_FLIGHT);
            while let Some(outcome) = deletes.next().await {
                if let Err(error) = outcome {
                    tracing::warn!(error = chain(&error), "an outdated birth of a Sparkplug node is left");
                }
            }
        }
        Ok(stored)
    }

    async fn delete(&self, id: &NodeId, name: &str, deadline: Deadline) -> Result<(), Error> {
        until("DeleteItem", deadline, async || {
            let delete = self.client.delete_item().table_name(&self.table);
            let delete = delete.key("kind", AttributeValue::S(kind(id)));
            let delete = delete.key("name", AttributeValue::S(name.to_owned()));
            Box::pin(delete.send()).await.map(drop).map_err(|error| Error::from_sdk("DeleteItem", error))
        })
        .await
    }

    /// `revision`: that of the item that it replaces, which is 0 where there is none.
    async fn put(
        &self,
        id: &NodeId,
        name: &str,
        document: &str,
        revision: Option<i64>,
        now: Micros,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        until("PutItem", deadline, async || {
            let put = self.client.put_item().table_name(&self.table);
            let put = put.item("kind", AttributeValue::S(kind(id)));
            let put = put.item("name", AttributeValue::S(name.to_owned()));
            let put = put.item("document", AttributeValue::S(document.to_owned()));
            let put = put.item("updated", number(now.0));
            let put = match revision {
                None => put,
                Some(0) => {
                    put.item("revision", number(1)).condition_expression("attribute_not_exists(revision)")
                }
                Some(revision) => put
                    .item("revision", number(revision + 1))
                    .condition_expression("revision = :revision")
                    .expression_attribute_values(":revision", number(revision)),
            };
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutItem", error))
        })
        .await
    }
}

fn kind(id: &NodeId) -> String {
    format!("sparkplug/{id}")
}
