//! The alert rules in the config table.
//!
//! An item of the config table, in DynamoDB's terms:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `kind` | S, partition key | `alert-rule` |
//! | `name` | S, sort key | the rule's name |
//! | `document` | S | the rule as JSON, checked when it was written |
//! | `updated` | N | when it was written, µs since 1970 |

use std::sync::Arc;

use alert::Rule;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use telemetry::Micros;

use crate::error::Error;
use crate::retry::{Deadline, until};

const KIND: &str = "alert-rule";

/// Reads and writes alert rules.
#[derive(Debug, Clone)]
pub struct Rules {
    client: Client,
    table: String,
}

/// What the table holds.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The rules that can be read, and when each was written.
    pub rules: Vec<(Arc<Rule>, Micros)>,
    /// Names of those that cannot, and why: written by hand, or by a later version.
    pub broken: Vec<(String, String)>,
}

impl Rules {
    /// The config table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// All rules, in the order of their names.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline. A rule that cannot be read is no error.
    pub async fn load(&self, deadline: Deadline) -> Result<Loaded, Error> {
        let mut loaded = Loaded::default();
        let mut start = None;
        loop {
            let page = until("Query", deadline, async || {
                let query = self.client.query().table_name(&self.table).consistent_read(true);
                let query = query
                    .key_condition_expression("#kind = :kind")
                    .expression_attribute_names("#kind", "kind");
                let query = query.expression_attribute_values(":kind", AttributeValue::S(KIND.to_owned()));
                let query = query.set_exclusive_start_key(start.clone());
                Box::pin(query.send()).await.map_err(|error| Error::from_sdk("Query", error))
            });
            let page = page.await?;
            for item in page.items() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
                let name = text("name").cloned().unwrap_or_default();
                let updated = item.get("updated").and_then(|value| value.as_n().ok()?.parse().ok());
                match text("document").map(|document| Rule::from_json(document)) {
                    Some(Ok(rule)) if *rule.name == *name => {
                        loaded.rules.push((Arc::new(rule), Micros(updated.unwrap_or_default())));
                    }
                    Some(Err(error)) => loaded.broken.push((name, error.to_string())),
                    Some(Ok(_)) => loaded.broken.push((name, "the document is of another rule".to_owned())),
                    None => loaded.broken.push((name, "there is no document".to_owned())),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(loaded);
            }
        }
    }

    /// Stores a rule in place of what has its name.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn put(&self, rule: &Rule, now: Micros, deadline: Deadline) -> Result<(), Error> {
        until("PutItem", deadline, async || {
            let put = self.client.put_item().table_name(&self.table);
            let put = put.item("kind", AttributeValue::S(KIND.to_owned()));
            let put = put.item("name", AttributeValue::S(rule.name.to_string()));
            let put = put.item("document", AttributeValue::S(rule.to_json().to_owned()));
            let put = put.item("updated", AttributeValue::N(now.0.to_string()));
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutItem", error))
        })
        .await
    }

    /// Removes a rule; returns whether there was one.
    ///
    /// # Errors
    /// If DynamoDB refuses, or the time is over.
    pub async fn delete(&self, name: &str, deadline: Deadline) -> Result<bool, Error> {
        until("DeleteItem", deadline, async || {
            let delete = self.client.delete_item().table_name(&self.table);
            let delete = delete.key("kind", AttributeValue::S(KIND.to_owned()));
            let delete = delete.key("name", AttributeValue::S(name.to_owned()));
            let delete = delete.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
            let output =
                Box::pin(delete.send()).await.map_err(|error| Error::from_sdk("DeleteItem", error))?;
            Ok(output.attributes.is_some_and(|item| !item.is_empty()))
        })
        .await
    }
}
