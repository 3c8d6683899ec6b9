//! Tests of the harness itself: what the fake refuses, counts and breaks, and the driver of Lambda binaries against
//! the real `lambda_runtime`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod driver;
mod items;
mod services;

use std::time::Duration;

use cloud::sdk::SdkConfig;
use cloud::sdk::dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use serde_json::{Value, json};
use tests::fake_aws::{FakeAws, Fault, Item, Operation, Pick, StatementFault, Storage, item_size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a raw HTTP/1.1 client sees of an answer.
#[derive(Debug)]
struct Seen {
    status: u16,
    head: String,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The exception's name, as SDKs read it.
    fn exception(&self) -> String {
        self.json()["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned()
    }
}

/// One request on a connection of its own; `None` when it is closed without an answer.
async fn send(fake: &FakeAws, line: &str, headers: &str, body: &[u8]) -> Option<Seen> {
    let mut stream = TcpStream::connect(fake.endpoint().trim_start_matches("http://")).await.unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Seen { status, head: head.to_owned(), body: body.to_owned() })
}

/// The set-up of an SDK client that calls the fake, as functions set theirs up.
async fn sdk(fake: &FakeAws) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "fake");
    let config = cloud::clients::in_lambda().await.into_builder().region(Region::new("eu-central-1"));
    let config = config.credentials_provider(SharedCredentialsProvider::new(credentials));
    config.endpoint_url(fake.endpoint()).build()
}

async fn dynamodb(fake: &FakeAws, operation: &str, body: &Value) -> Seen {
    let headers = format!("x-amz-target: DynamoDB_20120810.{operation}\r\n");
    send(fake, "POST /", &headers, body.to_string().as_bytes()).await.unwrap()
}

fn with_tables(storage: Storage) -> FakeAws {
    let fake = FakeAws::start(storage).unwrap();
    fake.create_table("readings", "device", Some("span"));
    fake.create_table("devices", "device", None);
    fake
}

fn put(span: &str, value: &Value) -> Value {
    json!({ "PutRequest": { "Item": { "device": { "S": "hall/d1" }, "span": { "S": span }, "value": value } } })
}

fn puts(count: usize) -> Value {
    let puts: Vec<_> = (0..count).map(|n| put(&format!("{n:03}"), &json!({ "N": "1" }))).collect();
    json!({ "RequestItems": { "readings": puts } })
}

fn item(value: Value) -> Item {
    serde_json::from_value(value).unwrap()
}

// BatchWriteItem

/// Both kinds of storage must judge alike: a bench that sends what DynamoDB refuses proves nothing.
async fn check_write(body: Value, refused: Option<(&str, &str)>) {
    for storage in [Storage::Keep, Storage::Discard] {
        let fake = with_tables(storage);
        let seen = dynamodb(&fake, "BatchWriteItem", &body).await;
        match refused {
            None => assert_eq!(seen.status, 200, "{storage:?} {body}: {}", seen.body),
            Some((exception, message)) => {
                assert_eq!((seen.status, seen.exception().as_str()), (400, exception), "{storage:?} {body}");
                assert!(seen.json()["message"].as_str().unwrap().contains(message), "{}", seen.body);
                assert_eq!(fake.items("readings"), [], "a refused request writes nothing");
            }
        }
        let refusals = u64::from(refused.is_some());
        assert_eq!(fake.counters(Operation::BatchWriteItem).refused, refusals);
    }
}

async fn check_value(value: Value, refused: Option<&str>) {
    let body = json!({ "RequestItems": { "readings": [put("1", &value)] } });
    check_write(body, refused.map(|message| ("ValidationException", message))).await;
}

#[tokio::test]
async fn write_requests_are_judged_as_a_whole() {
    let one = json!({ "N": "1" });
    let request = |puts: Vec<Value>| json!({ "RequestItems": { "readings": puts } });
    let invalid = |message| Some(("ValidationException", message));
    check_write(puts(25), None).await;
    check_write(puts(26), invalid("Too many items")).await;
    check_write(json!({ "RequestItems": {} }), invalid("length greater than or equal to 1")).await;
    check_write(request(vec![]), invalid("length greater than or equal to 1")).await;
    check_write(request(vec![put("1", &one), put("2", &one), put("1", &json!({}))]), invalid("exactly one"))
        .await;
    check_write(request(vec![put("1", &one), put("2", &one), put("1", &one)]), invalid("duplicates")).await;
    check_write(request(vec![put("", &one)]), invalid("empty string value")).await;
    let no_span = json!({ "PutRequest": { "Item": { "device": { "S": "d" } } } });
    check_write(request(vec![no_span]), invalid("does not match the schema")).await;
    let elsewhere = json!({ "RequestItems": { "nowhere": [put("1", &one)] } });
    check_write(elsewhere, Some(("ResourceNotFoundException", "not found"))).await;
}

#[tokio::test]
async fn values_are_judged_as_dynamodb_does() {
    for number in
        ["0", "-1.5", "1e-130", "9.9E125", "0.00012345678901234567890123456789012345678", "1000000E+119"]
    {
        check_value(json!({ "N": number }), None).await;
        check_value(json!({ "L": [{ "M": { "v": { "N": number } } }] }), None).await;
    }
    for (number, message) in [
        ("", "cannot be converted"),
        ("NaN", "cannot be converted"),
        ("1.2.3", "cannot be converted"),
        ("123456789012345678901234567890123456789", "38 significant digits"),
        ("1e126", "overflow"),
        ("1e-131", "underflow"),
    ] {
        check_value(json!({ "N": number }), Some(message)).await;
        check_value(json!({ "L": [{ "N": number }] }), Some(message)).await;
    }
    // What the keys and the names take.
    let other = "devicehall/d1span1value".len();
    check_value(json!({ "S": "x".repeat(400 * 1024 - other) }), None).await;
    check_value(json!({ "S": "x".repeat(400 * 1024 - other + 1) }), Some("Item size has exceeded")).await;
    check_value(json!({ "X": "1" }), Some("supported datatypes")).await;
    check_value(json!({ "SS": [] }), Some("may not be empty")).await;
}

#[test]
fn item_size_follows_the_documented_rules() {
    let check =
        |value: Value, size: usize| assert_eq!(item_size(&item(json!({ "v": value }))), 1 + size, "{value}");
    check(json!({ "S": "größe" }), 7);
    check(json!({ "BOOL": true }), 1);
    check(json!({ "NULL": true }), 1);
    check(json!({ "B": "aGVsbG8=" }), 5);
    check(json!({ "N": "0" }), 1);
    check(json!({ "N": "1700" }), 2);
    check(json!({ "N": "-21.5" }), 4);
    check(json!({ "L": [] }), 3);
    check(json!({ "L": [{ "S": "ab" }, { "N": "7" }] }), 3 + (2 + 1) + (2 + 1));
    check(json!({ "M": { "at": { "S": "ab" } } }), 3 + 2 + 2 + 1);
    check(json!({ "SS": ["a", "bc"] }), 3);
}

#[tokio::test]
async fn written_items_are_counted_and_kept() {
    let fake = with_tables(Storage::Keep);
    let body = json!({
        "RequestItems": { "readings": [put("2", &json!({ "S": "x".repeat(1024) })), put("1", &json!({ "N": "1" }))] },
        "ReturnConsumedCapacity": "TOTAL",
    });
    let seen = dynamodb(&fake, "BatchWriteItem", &body).await;
    assert!(seen.head.contains("application/x-amz-json-1.0") && seen.head.contains("x-amzn-requestid: "));
    assert_eq!(seen.json()["UnprocessedItems"], json!({}));
    assert_eq!(seen.json()["ConsumedCapacity"], json!([{ "TableName": "readings", "CapacityUnits": 3 }]));
    let counters = fake.counters(Operation::BatchWriteItem);
    assert_eq!((counters.requests, counters.items, counters.write_units), (1, 2, 3));
    assert_eq!(counters.bytes, body.to_string().len() as u64);
    let spans: Vec<_> = fake.items("readings").into_iter().map(|item| item["span"]["S"].clone()).collect();
    assert_eq!(spans, ["1", "2"]);
    // Replacing a larger item costs the larger one's units.
    dynamodb(
        &fake,
        "BatchWriteItem",
        &json!({ "RequestItems": { "readings": [put("2", &json!({ "N": "1" }))] } }),
    )
    .await;
    assert_eq!(fake.counters(Operation::BatchWriteItem).write_units, 5);

    let bench = with_tables(Storage::Discard);
    dynamodb(&bench, "BatchWriteItem", &body).await;
    assert_eq!(bench.counters(Operation::BatchWriteItem), counters);
    assert_eq!(bench.items("readings"), []);
}

// Faults

#[tokio::test]
async fn requests_fail_as_planned() {
    let fake = with_tables(Storage::Keep);
    fake.fail_next(Operation::BatchWriteItem, Fault::Throttle, 2);
    fake.fail_next(Operation::BatchWriteItem, Fault::InternalError, 1);
    fake.fail_next(Operation::BatchWriteItem, Fault::DropConnection, 1);
    for _ in 0..2 {
        let seen = dynamodb(&fake, "BatchWriteItem", &puts(1)).await;
        assert_eq!((seen.status, seen.exception().as_str()), (400, "ProvisionedThroughputExceededException"));
        assert!(seen.head.contains("x-amzn-requestid: "), "{}", seen.head);
    }
    let seen = dynamodb(&fake, "BatchWriteItem", &puts(1)).await;
    assert_eq!((seen.status, seen.exception().as_str()), (500, "InternalServerError"));
    let target = "x-amz-target: DynamoDB_20120810.BatchWriteItem\r\n";
    assert!(send(&fake, "POST /", target, puts(1).to_string().as_bytes()).await.is_none());
    assert_eq!(fake.items("readings"), []);
    assert_eq!(dynamodb(&fake, "BatchWriteItem", &puts(1)).await.status, 200);
    let counters = fake.counters(Operation::BatchWriteItem);
    assert_eq!((counters.requests, counters.refused, counters.items), (5, 4, 1));
}

#[tokio::test]
async fn unprocessed_items_come_back_as_they_were_sent() {
    for storage in [Storage::Keep, Storage::Discard] {
        let fake = with_tables(storage);
        fake.leave_unprocessed(Pick::EveryKth(4));
        let unprocessed =
            dynamodb(&fake, "BatchWriteItem", &puts(10)).await.json()["UnprocessedItems"].take();
        let sent = puts(10)["RequestItems"]["readings"].take();
        assert_eq!(unprocessed, json!({ "readings": [sent[3], sent[7]] }));
        let counters = fake.counters(Operation::BatchWriteItem);
        assert_eq!((counters.items, counters.returned, counters.write_units), (8, 2, 8));
        // A retry is accepted as a request, and counts on along the row: items 11 and 12.
        let retry = dynamodb(&fake, "BatchWriteItem", &json!({ "RequestItems": unprocessed })).await;
        assert_eq!(retry.json()["UnprocessedItems"]["readings"].as_array().unwrap().len(), 1);
        fake.leave_unprocessed(Pick::Fraction(0.3));
        let share =
            dynamodb(&fake, "BatchWriteItem", &puts(20)).await.json()["UnprocessedItems"]["readings"].take();
        assert_eq!(share.as_array().unwrap().len(), 6);
        fake.leave_unprocessed(Pick::Fraction(1.0));
        let none = dynamodb(&fake, "BatchWriteItem", &puts(2)).await;
        assert_eq!(none.exception(), "ProvisionedThroughputExceededException");
    }
}

#[tokio::test]
async fn answers_wait_for_the_planned_latency() {
    let fake = with_tables(Storage::Keep);
    fake.set_latency(Operation::BatchWriteItem, Duration::from_millis(60));
    let started = std::time::Instant::now();
    dynamodb(&fake, "BatchWriteItem", &puts(1)).await;
    assert!(started.elapsed() >= Duration::from_millis(60));
    fake.clear_faults();
}

// BatchExecuteStatement

const SEEN_AT: i64 = 1_000;

/// A fake whose devices table holds one device.
fn with_device() -> FakeAws {
    let fake = with_tables(Storage::Keep);
    let device = json!({
        "device": { "S": "d" }, "last_at": { "N": SEEN_AT.to_string() }, "rev": { "N": "4" },
        "latest": { "M": { "temp": { "N": "20" } } },
    });
    fake.put_item("devices", item(device)).unwrap();
    fake
}

async fn execute(fake: &FakeAws, statements: &[(&str, Value)]) -> Seen {
    let statements: Vec<_> = statements
        .iter()
        .map(|(statement, parameters)| {
            json!({
                "Statement": statement, "Parameters": parameters, "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            })
        })
        .collect();
    dynamodb(fake, "BatchExecuteStatement", &json!({ "Statements": statements })).await
}

/// Runs one statement; `Ok` has the device afterwards, `Err` the code and message.
async fn run(statement: &str, parameters: Value) -> Result<Value, (String, String)> {
    let fake = with_device();
    let response = execute(&fake, &[(statement, parameters)]).await.json()["Responses"][0].take();
    let counters = fake.counters(Operation::BatchExecuteStatement);
    let text = |name: &str| response["Error"][name].as_str().unwrap().to_owned();
    if response["Error"].is_null() {
        assert_eq!((counters.items, counters.returned, counters.write_units), (1, 0, 1));
        return Ok(fake.items("devices").last().unwrap().clone().into());
    }
    assert_eq!((counters.items, counters.returned), (0, 1));
    Err((text("Code"), text("Message")))
}

#[tokio::test]
async fn updates_are_understood_however_they_are_written() {
    let n = |number: i64| json!({ "N": number.to_string() });
    let by_time = json!([n(21), n(2_000), { "S": "d" }, n(2_000)]);
    for statement in [
        r#"UPDATE "devices" SET latest."temp" = ?, last_at = ?, rev = rev + 1 WHERE device = ? AND last_at < ?"#,
        "update devices set latest.temp=?,last_at=?,rev=rev+1 where device=? and last_at<? ;",
        "UPDATE \"devices\"\n SET \"latest\".\"temp\" = ?\n SET last_at = ? SET rev = 1 + rev\n\
         WHERE \"device\" = ? AND last_at < ?",
    ] {
        let device = run(statement, by_time.clone()).await.unwrap();
        assert_eq!(device["latest"]["M"], json!({ "temp": n(21) }), "{statement}");
        assert_eq!((&device["last_at"], &device["rev"]), (&n(2_000), &n(5)), "{statement}");
    }
    let statement =
        r#"UPDATE "devices" SET latest."a ""b"".c" = ?, rev = rev + 1 WHERE device = ? AND rev = ?"#;
    let device = run(statement, json!([{ "S": "x" }, { "S": "d" }, n(4)])).await.unwrap();
    assert_eq!(device["latest"]["M"], json!({ "temp": n(20), "a \"b\".c": { "S": "x" } }));
    let statement =
        "UPDATE devices SET seen = {'n': [1, -2, 'it''s', true, null, ?]} WHERE device = 'd' AND rev >= 4";
    let device = run(statement, json!([n(9)])).await.unwrap();
    let list = json!([n(1), n(-2), { "S": "it's" }, { "BOOL": true }, { "NULL": true }, n(9)]);
    assert_eq!(device["seen"], json!({ "M": { "n": { "L": list } } }));
}

#[tokio::test]
async fn statements_that_dynamodb_would_not_execute_fail_alone() {
    let check = async |statement: &str, parameters: Value, code: &str, message: &str| {
        let (seen_code, seen_message) = run(statement, parameters).await.unwrap_err();
        assert_eq!(seen_code, code, "{statement}: {seen_message}");
        assert!(seen_message.contains(message), "{statement}: {seen_message}");
    };
    let (n, s) = (json!({ "N": "1" }), json!({ "S": "d" }));
    let invalid = "ValidationError";
    let failed = "ConditionalCheckFailed";
    check(
        "UPDATE devices SET a = ? WHERE device = ? AND last_at < ?",
        json!([n, s, n]),
        failed,
        "conditional",
    )
    .await;
    check("UPDATE devices SET a = ? WHERE device = ? AND gone < ?", json!([n, s, n]), failed, "conditional")
        .await;
    check("UPDATE devices SET a = ? WHERE device = 'new'", json!([n]), failed, "conditional").await;
    check("UPDATE devices SET a = ?, b = ? WHERE device = 'd'", json!([n]), invalid, "don't match").await;
    check("UPDATE devices SET a = ? WHERE device = 'd'", json!([n, n]), invalid, "don't match").await;
    check("UPDATE devices SET a = ? WHERE rev = 4", json!([n]), invalid, "mandatory equality").await;
    check("UPDATE devices SET a = ? WHERE device > 'd'", json!([n]), invalid, "mandatory equality").await;
    check("UPDATE devices SET other.\"t\" = ? WHERE device = 'd'", json!([n]), invalid, "document path")
        .await;
    check("UPDATE devices SET a = a + ? WHERE device = 'd'", json!([n]), invalid, "does not exist").await;
    check("UPDATE devices SET rev = rev + ? WHERE device = 'd'", json!([s]), invalid, "incorrect data type")
        .await;
    check("UPDATE devices SET device = ? WHERE device = 'd'", json!([s]), invalid, "part of the key").await;
    check("UPDATE devices SET latest = ?, latest.t = 1 WHERE device = 'd'", json!([s]), invalid, "overlap")
        .await;
    check("UPDATE devices SET a = ? WHERE device = 'd'", json!([{ "N": "x" }]), invalid, "numeric value")
        .await;
    check("UPDATE devices SET a = ? WHERE device = 'd", json!([n]), invalid, "Unterminated").await;
    check("UPDATE devices REMOVE a WHERE device = ?", json!([s]), invalid, "wasn't well formed").await;
    check("UPDATE devices SET a = f(?) WHERE device = 'd'", json!([n]), invalid, "wasn't well formed").await;
    check("DELETE FROM devices WHERE device = ?", json!([s]), invalid, "wasn't well formed").await;
    check("UPDATE gone SET a = ? WHERE device = 'd'", json!([n]), "ResourceNotFound", "not found").await;
    check("INSERT INTO devices VALUE {'device': ?}", json!([s]), "DuplicateItem", "Duplicate primary key")
        .await;
}

#[tokio::test]
async fn responses_come_in_order_and_show_the_standing_item() {
    let fake = with_device();
    let insert = r#"INSERT INTO "devices" VALUE {'device': ?, 'latest': ?, 'rev': 1}"#;
    let late = "UPDATE devices SET rev = rev + 1 WHERE device = ? AND last_at < ?";
    let d = |name: &str| json!({ "S": name });
    let seen = execute(
        &fake,
        &[
            (insert, json!([d("new"), { "M": {} }])),
            (late, json!([d("d"), { "N": "10" }])),
            (late, json!([d("gone"), { "N": "10" }])),
        ],
    )
    .await
    .json();
    assert_eq!(seen["Responses"][0], json!({ "TableName": "devices" }));
    let error = &seen["Responses"][1]["Error"];
    assert_eq!(
        (&error["Code"], &error["Message"]),
        (&json!("ConditionalCheckFailed"), &json!("The conditional request failed"))
    );
    assert_eq!(error["Item"]["last_at"], json!({ "N": "1000" }));
    let error = &seen["Responses"][2]["Error"];
    assert_eq!((&error["Code"], &error["Item"]), (&json!("ConditionalCheckFailed"), &Value::Null));
    assert_eq!(fake.items("devices").len(), 2);
    assert_eq!(fake.counters(Operation::BatchExecuteStatement).write_units, 3);

    let twice =
        execute(&fake, &[(late, json!([d("d"), { "N": "1" }])), (late, json!([d("d"), { "N": "2" }]))]).await;
    assert_eq!((twice.status, twice.exception().as_str()), (400, "ValidationException"));
    let long = format!("UPDATE devices SET {} = 1 WHERE device = 'd'", "a".repeat(8_192));
    assert_eq!(execute(&fake, &[(&long, json!([{ "N": "1" }]))]).await.exception(), "ValidationException");
    assert_eq!(execute(&fake, &[]).await.exception(), "ValidationException");
    assert_eq!(
        execute(&fake, &vec![(late, json!([d("d"), { "N": "1" }])); 26]).await.exception(),
        "ValidationException"
    );
}

#[tokio::test]
async fn statements_fail_as_planned() {
    let statement = "UPDATE devices SET rev = rev + 1 WHERE device = 'd'";
    for (fault, code) in [
        (StatementFault::Throttling, "ThrottlingError"),
        (StatementFault::ConditionalCheckFailed, "ConditionalCheckFailed"),
    ] {
        let fake = with_device();
        fake.fail_statements(Pick::EveryKth(2), fault);
        let mut codes = Vec::new();
        for _ in 0..4 {
            let body = json!({ "Statements": [{ "Statement": statement }] });
            let seen = dynamodb(&fake, "BatchExecuteStatement", &body).await;
            codes.push(seen.json()["Responses"][0]["Error"]["Code"].take());
        }
        assert_eq!(codes, [Value::Null, code.into(), Value::Null, code.into()]);
        assert_eq!(fake.items("devices")[0]["rev"], json!({ "N": "6" }));

        let bench = with_tables(Storage::Discard);
        bench.fail_statements(Pick::EveryKth(3), fault);
        let statements = vec![(statement, json!([])); 6];
        let seen = execute(&bench, &statements).await.json();
        assert_eq!(seen["Responses"][2]["Error"]["Code"], code);
        let counters = bench.counters(Operation::BatchExecuteStatement);
        assert_eq!((counters.items, counters.returned), (4, 2));
    }
}

// Reads

#[tokio::test]
async fn a_query_reads_a_range_of_one_device() {
    let fake = with_tables(Storage::Keep);
    dynamodb(&fake, "BatchWriteItem", &puts(9)).await;
    let other = json!({ "device": { "S": "hall/d2" }, "span": { "S": "003" } });
    fake.put_item("readings", item(other)).unwrap();
    let mut body = json!({
        "TableName": "readings", "KeyConditionExpression": "#d = :d AND span BETWEEN :from AND :to", "Limit": 3,
        "ExpressionAttributeNames": { "#d": "device" },
        "ExpressionAttributeValues": { ":d": { "S": "hall/d1" }, ":from": { "S": "002" }, ":to": { "S": "006" } },
    });
    let spans = |seen: &Value| -> Vec<String> {
        let items = seen["Items"].as_array().unwrap();
        items.iter().map(|item| item["span"]["S"].as_str().unwrap().to_owned()).collect()
    };
    let first = dynamodb(&fake, "Query", &body).await.json();
    assert_eq!(spans(&first), ["002", "003", "004"]);
    body["ExclusiveStartKey"] = first["LastEvaluatedKey"].clone();
    let second = dynamodb(&fake, "Query", &body).await.json();
    assert_eq!(
        (spans(&second), &second["LastEvaluatedKey"]),
        (vec!["005".to_owned(), "006".to_owned()], &Value::Null)
    );
    body["ExclusiveStartKey"] = Value::Null;
    body["ScanIndexForward"] = false.into();
    assert_eq!(spans(&dynamodb(&fake, "Query", &body).await.json()), ["006", "005", "004"]);
    body["FilterExpression"] = "a = :d".into();
    assert_eq!(dynamodb(&fake, "Query", &body).await.exception(), "ValidationException");

    let mut key = json!({ "device": { "S": "hall/d1" }, "span": { "S": "003" } });
    let get = json!({ "TableName": "readings", "Key": key });
    assert_eq!(dynamodb(&fake, "GetItem", &get).await.json()["Item"]["value"], json!({ "N": "1" }));
    key["span"]["S"] = "404".into();
    assert_eq!(dynamodb(&fake, "GetItem", &json!({ "TableName": "readings", "Key": key })).await.body, "{}");
}

// S3 and IoT

#[tokio::test]
async fn objects_are_put_read_and_listed() {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    fake.fail_next(Operation::PutObject, Fault::Throttle, 1);
    let put = async |path: &str, headers: &str, body: &str| {
        send(&fake, &format!("PUT {path}"), headers, body.as_bytes()).await.unwrap()
    };
    let seen = put("/lake/a", "", "x").await;
    assert_eq!((seen.status, seen.body.contains("<Code>SlowDown</Code>")), (503, true));
    let seen = put(
        "/lake/day%3D1/a%26b.parquet?x-id=PutObject",
        "x-amz-meta-n: 7\r\ncontent-type: a/b\r\n",
        "hello",
    )
    .await;
    assert!(seen.status == 200 && seen.head.contains("etag: \""), "{}", seen.head);
    let object = fake.object("lake", "day=1/a&b.parquet").unwrap();
    assert_eq!((object.body.as_ref(), object.metadata["n"].as_str()), (b"hello".as_slice(), "7"));
    assert_eq!(object.content_type.as_deref(), Some("a/b"));
    let chunked = "content-encoding: aws-chunked\r\n";
    put(
        "/lake/day=2/c",
        chunked,
        "3\r\nabc\r\n2;chunk-signature=0\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
    )
    .await;
    assert_eq!(fake.object("lake", "day=2/c").unwrap().body, "abcde");
    assert_eq!(put("/lake/day=2/c", "if-none-match: *\r\n", "again").await.status, 412);

    let get =
        async |path: &str, headers: &str| send(&fake, &format!("GET {path}"), headers, b"").await.unwrap();
    assert_eq!(get("/lake/day=2/c", "").await.body, "abcde");
    let part = get("/lake/day=2/c", "range: bytes=-2\r\n").await;
    assert_eq!((part.status, part.body.as_str()), (206, "de"));
    assert!(part.head.contains("content-range: bytes 3-4/5"), "{}", part.head);
    let missing = get("/lake/nothing", "").await;
    assert_eq!((missing.status, missing.body.contains("<Code>NoSuchKey</Code>")), (404, true));

    let page = get("/lake?list-type=2&prefix=day%3D&max-keys=1", "").await.body;
    assert!(
        page.contains("<Key>day=1/a&amp;b.parquet</Key>") && page.contains("<IsTruncated>true</IsTruncated>")
    );
    let token = "day%3D1%2Fa%26b.parquet";
    let page = get(&format!("/lake/?list-type=2&prefix=day%3D&continuation-token={token}"), "").await.body;
    assert!(
        page.contains("<Key>day=2/c</Key>") && page.contains("<IsTruncated>false</IsTruncated>"),
        "{page}"
    );
    assert_eq!(fake.object_keys("lake"), ["day=1/a&b.parquet", "day=2/c"]);
    assert_eq!(fake.counters(Operation::PutObject).items, 2);
}

#[tokio::test]
async fn publishes_are_recorded() {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    let seen =
        send(&fake, "POST /topics/alerts%2Fhall%2Fd1%2Fhot?qos=1&retain=true", "", b"{}").await.unwrap();
    assert_eq!(seen.status, 200);
    let published = fake.published();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].topic, "alerts/hall/d1/hot");
    assert_eq!(
        (published[0].qos, published[0].retain, published[0].payload.as_ref()),
        (1, true, b"{}".as_slice())
    );
    assert_eq!(
        send(&fake, "POST /topics/a%2Fb%2Fc%2Fd%2Fe%2Ff%2Fg%2Fh%2Fi", "", b"").await.unwrap().status,
        400
    );
    fake.fail_next(Operation::Publish, Fault::Throttle, 1);
    let seen = send(&fake, "POST /topics/a", "", b"").await.unwrap();
    assert!(
        seen.status == 429 && seen.head.contains("x-amzn-errortype: ThrottlingException"),
        "{}",
        seen.head
    );
}
