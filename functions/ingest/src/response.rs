//! What each trigger is told.

use std::collections::BTreeMap;

use cloud::stream::lower;
use serde::Serialize;

use crate::event::Position;

/// The answer to SQS, Kinesis and Kafka: which records to deliver again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// Empty if all is well.
    #[serde(rename = "batchItemFailures")]
    pub batch_item_failures: Vec<Failure>,
}

/// One member of `batchItemFailures`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What names the record to its source.
    #[serde(rename = "itemIdentifier")]
    pub item_identifier: ItemIdentifier,
}

/// A message id (SQS), a sequence number (Kinesis), or a partition and offset (Kafka).
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ItemIdentifier {
    /// SQS and Kinesis.
    Id(String),
    /// Kafka (AWS Lambda Developer Guide, "Configuring error handling controls for Kafka event sources").
    Kafka {
        /// `topic-partition`, as the event calls it.
        partition: String,
        /// The offset in it.
        offset: i64,
    },
}

impl Response {
    /// The answer that has the records at `failed` delivered again. A queue wants each of them; a
    /// stream goes on from the lowest position that it is told of, so that one (of each partition)
    /// is all it is told.
    pub fn hand_back<'a>(failed: impl Iterator<Item = &'a Position<'a>>) -> Self {
        let mut messages = Vec::new();
        let mut sequence_number: Option<&str> = None;
        let mut offsets: BTreeMap<&str, i64> = BTreeMap::new();
        for position in failed {
            match position {
                Position::Rule(_) => {}
                Position::Sqs(id) => messages.push(id.to_string()),
                Position::Kinesis { sequence_number: number, .. } => {
                    sequence_number = Some(sequence_number.map_or(number, |lowest| lower(lowest, number)));
                }
                Position::Kafka(partition, offset) => {
                    let lowest = offsets.entry(partition).or_insert(*offset);
                    *lowest = (*lowest).min(*offset);
                }
            }
        }
        let ids = messages.into_iter().chain(sequence_number.map(str::to_owned)).map(ItemIdentifier::Id);
        let offsets = offsets
            .into_iter()
            .map(|(partition, offset)| ItemIdentifier::Kafka { partition: partition.to_owned(), offset });
        Self {
            batch_item_failures: ids
                .chain(offsets)
                .map(|item_identifier| Failure { item_identifier })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_answered_in_its_own_way() {
        let check = |failed: &[Position<'_>], expected: serde_json::Value| {
            let response = serde_json::to_value(Response::hand_back(failed.iter())).unwrap();
            assert_eq!(response, serde_json::json!({"batchItemFailures": expected}));
        };
        let kinesis =
            |number: &'static str| Position::Kinesis { sequence_number: number.into(), event_id: None };
        let kafka = |partition: &'static str, offset| Position::Kafka(partition.into(), offset);
        check(&[], serde_json::json!([]));
        check(&[Position::Rule("request-1")], serde_json::json!([]));
        check(
            &[Position::Sqs("b".into()), Position::Sqs("a".into())],
            serde_json::json!([{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]),
        );
        check(
            &[kinesis("100"), kinesis("99"), kinesis("101")],
            serde_json::json!([{"itemIdentifier": "99"}]),
        );
        check(
            &[kafka("t-1", 7), kafka("t-0", 12), kafka("t-0", 11), kafka("t-1", 8)],
            serde_json::json!([
                {"itemIdentifier": {"partition": "t-0", "offset": 11}},
                {"itemIdentifier": {"partition": "t-1", "offset": 7}}
            ]),
        );
    }
}
