//! Messages, and the events in which each trigger delivers them.

use serde_json::{Value, json};

/// Arrival of the first message that tests make: 2026-11-23T07:00:00Z, in milliseconds.
pub const RECEIVED: i64 = 1_795_417_200_000;

/// A message in the envelope that the rule's SQL makes, on `dt/{site}/{device}/state` from the
/// device itself; `device` is `site/device`, `received` milliseconds since 1970.
#[must_use]
pub fn envelope(device: &str, received: i64, payload: &[u8]) -> String {
    let name = device.rsplit('/').next().unwrap_or(device);
    json!({
        "payload": base64_simd::STANDARD.encode_to_string(payload),
        "topic": format!("dt/{device}/state"),
        "client": name,
        "principal": "a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3abcd",
        "received": received,
        "trace": format!("b5e0c1f0-1a2b-3c4d-5e6f-{:012x}", received & 0xffff_ffff_ffff),
    })
    .to_string()
}

/// An SQS event; message ids are `m-0`, `m-1`, ….
#[must_use]
pub fn sqs(bodies: &[String]) -> String {
    let record = |(index, body): (usize, &String)| {
        json!({
            "messageId": format!("m-{index}"),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0aAQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0aAQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": (RECEIVED + 40).to_string(),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": (RECEIVED + 60).to_string(),
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:telemetry",
            "awsRegion": "us-east-1",
        })
    };
    records(bodies, record)
}

/// A Kinesis event; sequence numbers end in 100, 101, ….
#[must_use]
pub fn kinesis(bodies: &[String]) -> String {
    let record = |(index, body): (usize, &String)| {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "device",
                "sequenceNumber": format!("49590338271490256608559692538361571095921575989136{:06}", 100 + index),
                "data": base64_simd::STANDARD.encode_to_string(body),
                "approximateArrivalTimestamp": 1_795_417_200.04,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("shardId-000000000006:4959033827149025660855969253836157109592157598913{index}"),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/ingest",
            "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/telemetry",
        })
    };
    records(bodies, record)
}

/// The event of a DynamoDB stream of new images; sequence numbers end in 100, 101, …. An item is its JSON, in
/// DynamoDB's form with keys; none is a removal by time to live.
#[must_use]
pub fn dynamodb_stream<'a>(items: impl IntoIterator<Item = Option<&'a str>>) -> String {
    const RECORD: &str = concat!(
        r#""eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","#,
        r#""eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/readings/stream/2026-11-23T07:00:00.000","#
    );
    const KEYS: &str =
        r#""Keys":{"device":{"S":"plant-1/pump-7"},"span":{"S":"1795417200000000#0123456789abcdef"}}"#;
    let record = |(index, item): (usize, Option<&str>)| {
        let number = format!("4421584500000000017450439{:06}", 100 + index);
        let (name, image, identity) = match item {
            Some(item) => ("INSERT", format!(r#""NewImage":{item},"#), ""),
            None => {
                let service = r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"#;
                ("REMOVE", String::new(), service)
            }
        };
        // Text, not a tree: events of 6 MB are made in benches, too.
        format!(
            concat!(
                r#"{{"eventID":"{:032x}","eventName":"{}",{}{}"dynamodb":{{"ApproximateCreationDateTime":1795417200,"#,
                r#"{},{}"SequenceNumber":"{}","SizeBytes":500,"StreamViewType":"NEW_IMAGE"}}}}"#
            ),
            index, name, RECORD, identity, KEYS, image, number
        )
    };
    let records: Vec<String> = items.into_iter().enumerate().map(record).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

fn records(bodies: &[String], record: impl Fn((usize, &String)) -> Value) -> String {
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    json!({ "Records": records }).to_string()
}

/// A Kafka event, of MSK or self-managed; records alternate between the partitions `telemetry-0`
/// and `telemetry-1`, with offsets from 15.
#[must_use]
pub fn kafka(bodies: &[String], is_msk: bool) -> String {
    let mut partitions = [Vec::new(), Vec::new()];
    for (index, body) in bodies.iter().enumerate() {
        let records: &mut Vec<Value> = &mut partitions[index % 2];
        records.push(json!({
            "topic": "telemetry",
            "partition": index % 2,
            "offset": 15 + records.len(),
            "timestamp": RECEIVED + 40,
            "timestampType": "CREATE_TIME",
            "value": base64_simd::STANDARD.encode_to_string(body),
            "headers": [],
        }));
    }
    let [first, second] = partitions;
    let mut event = json!({
        "eventSource": if is_msk { "aws:kafka" } else { "SelfManagedKafka" },
        "bootstrapServers": "b-1.demo.kafka.us-east-1.amazonaws.com:9092",
        "records": { "telemetry-0": first, "telemetry-1": second },
    });
    if is_msk {
        event["eventSourceArn"] =
            json!("arn:aws:kafka:us-east-1:123456789012:cluster/demo/e9f754c6-d29a-4430-a7db-958a19fd2c54-4");
    }
    event.to_string()
}
