//! The calls that the fake answers, and how they are told apart.

use bytes::Bytes;
use hyper::{Method, Request};

use super::{s3, shadows, sns};

/// The calls that the fake answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// DynamoDB: up to 25 puts.
    BatchWriteItem,
    /// DynamoDB: up to 25 PartiQL statements.
    BatchExecuteStatement,
    /// DynamoDB: write one item, on a condition.
    PutItem,
    /// DynamoDB: change one item, on a condition.
    UpdateItem,
    /// DynamoDB: delete one item, on a condition.
    DeleteItem,
    /// DynamoDB: the items of one partition of a table or an index, by a range of the sort key.
    Query,
    /// DynamoDB: all items of a table, or of a segment of it.
    Scan,
    /// DynamoDB: one item.
    GetItem,
    /// DynamoDB: up to 100 items.
    BatchGetItem,
    /// S3: write an object.
    PutObject,
    /// S3: read an object (GET or HEAD, `Range` too).
    GetObject,
    /// S3: list a bucket, version 2.
    ListObjects,
    /// S3: delete up to 1,000 objects.
    DeleteObjects,
    /// IoT data plane: publish to a topic.
    Publish,
    /// IoT data plane: merge into a device's shadow.
    UpdateThingShadow,
    /// IoT data plane: read a device's shadow.
    GetThingShadow,
    /// SQS: one message.
    SendMessage,
    /// SQS: up to 10 messages.
    SendMessageBatch,
    /// SNS: publish to a topic (there, this is `Publish` as well).
    Notify,
}

impl Operation {
    pub(super) const COUNT: usize = 19;

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    pub(super) fn of(request: &Request<Bytes>) -> Option<Self> {
        if let Some(target) = request.headers().get("x-amz-target") {
            return Self::of_target(target.to_str().ok()?);
        }
        let path = request.uri().path();
        match *request.method() {
            Method::POST if path.starts_with("/topics/") => Some(Self::Publish),
            Method::POST if shadows::is_shadow(path) => Some(Self::UpdateThingShadow),
            Method::GET if shadows::is_shadow(path) => Some(Self::GetThingShadow),
            Method::POST if sns::is_publish(request) => Some(Self::Notify),
            Method::POST if s3::is_delete(request) => Some(Self::DeleteObjects),
            Method::PUT if s3::has_key(path) => Some(Self::PutObject),
            Method::GET | Method::HEAD if s3::has_key(path) => Some(Self::GetObject),
            Method::GET => Some(Self::ListObjects),
            _ => None,
        }
    }

    fn of_target(target: &str) -> Option<Self> {
        match target {
            "AmazonSQS.SendMessage" => return Some(Self::SendMessage),
            "AmazonSQS.SendMessageBatch" => return Some(Self::SendMessageBatch),
            _ => {}
        }
        match target.strip_prefix("DynamoDB_20120810.")? {
            "BatchWriteItem" => Some(Self::BatchWriteItem),
            "BatchExecuteStatement" => Some(Self::BatchExecuteStatement),
            "PutItem" => Some(Self::PutItem),
            "UpdateItem" => Some(Self::UpdateItem),
            "DeleteItem" => Some(Self::DeleteItem),
            "Query" => Some(Self::Query),
            "Scan" => Some(Self::Scan),
            "GetItem" => Some(Self::GetItem),
            "BatchGetItem" => Some(Self::BatchGetItem),
            _ => None,
        }
    }

    pub(super) fn service(self) -> Service {
        match self {
            Self::BatchWriteItem
            | Self::BatchExecuteStatement
            | Self::PutItem
            | Self::UpdateItem
            | Self::DeleteItem
            | Self::Query
            | Self::Scan
            | Self::GetItem
            | Self::BatchGetItem => Service::DynamoDb,
            Self::PutObject | Self::GetObject | Self::ListObjects | Self::DeleteObjects => Service::S3,
            Self::Publish | Self::UpdateThingShadow | Self::GetThingShadow => Service::Iot,
            Self::SendMessage | Self::SendMessageBatch => Service::Sqs,
            Self::Notify => Service::Sns,
        }
    }
}

/// Who answers.
#[derive(Clone, Copy)]
pub(super) enum Service {
    DynamoDb,
    S3,
    Iot,
    Sqs,
    Sns,
}
