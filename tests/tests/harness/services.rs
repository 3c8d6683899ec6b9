//! The IoT data plane, SQS and SNS: what the fake takes, refuses, keeps and breaks.

use cloud::sdk::iotdata::primitives::Blob;
use cloud::sdk::sqs::types::SendMessageBatchRequestEntry;
use cloud::sdk::{iotdata, sns, sqs};

use super::*;

// Shadows

fn with_thing() -> FakeAws {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    fake.create_thing("d1");
    fake
}

async fn update(fake: &FakeAws, payload: &str) -> Seen {
    send(fake, "POST /things/d1/shadow?name=telemetry", "", payload.as_bytes()).await.unwrap()
}

fn exception(seen: &Seen) -> (u16, String) {
    let kind = seen.head.lines().find_map(|line| line.strip_prefix("x-amzn-errortype: "));
    (seen.status, kind.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_shadow_is_written_and_read_through_the_sdk() {
    let fake = with_thing();
    let client = iotdata::Client::new(&sdk(&fake).await);
    let get = client.get_thing_shadow().thing_name("d1").shadow_name("telemetry");
    let missing = get.clone().send().await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception(), "{missing:?}");
    let update = |thing: &str, payload: &Value| {
        let update = client.update_thing_shadow().thing_name(thing).shadow_name("telemetry");
        update.payload(Blob::new(payload.to_string()))
    };
    let first = json!({ "state": { "reported": { "temp": { "value": 20.5 } } }, "clientToken": "t" });
    let accepted = update("d1", &first).send().await.unwrap().payload.unwrap();
    let accepted: Value = serde_json::from_slice(accepted.as_ref()).unwrap();
    assert_eq!((&accepted["state"], &accepted["version"]), (&first["state"], &json!(1)));
    assert_eq!((&accepted["clientToken"], accepted["timestamp"].is_u64()), (&json!("t"), true));
    assert!(accepted["metadata"]["reported"]["temp"]["value"]["timestamp"].is_u64());

    let read = get.send().await.unwrap().payload.unwrap();
    let read: Value = serde_json::from_slice(read.as_ref()).unwrap();
    assert_eq!((&read["state"], &read["version"]), (&first["state"], &json!(1)));

    let outdated = json!({ "state": { "reported": { "temp": null } }, "version": 7 });
    let refused = update("d1", &outdated).send().await.unwrap_err().into_service_error();
    assert!(refused.is_conflict_exception(), "{refused:?}");
    fake.fail_next(Operation::UpdateThingShadow, Fault::Conflict, 1);
    let refused = update("d1", &first).send().await.unwrap_err().into_service_error();
    assert!(refused.is_conflict_exception(), "{refused:?}");
    let unknown = update("d2", &first).send().await.unwrap_err();
    assert_eq!(unknown.raw_response().unwrap().status().as_u16(), 404);
    fake.fail_next(Operation::UpdateThingShadow, Fault::Throttle, 1);
    let refused = update("d1", &first).send().await.unwrap_err().into_service_error();
    assert!(refused.is_throttling_exception(), "{refused:?}");

    assert_eq!(fake.shadow("d1", "telemetry").unwrap(), json!({ "state": first["state"], "version": 1 }));
    let updates = fake.shadow_updates();
    assert_eq!((updates.len(), updates[0].thing.as_str(), updates[0].name.as_str()), (1, "d1", "telemetry"));
    assert_eq!(updates[0].payload, first);
    let counters = fake.counters(Operation::UpdateThingShadow);
    assert_eq!((counters.requests, counters.refused, counters.items), (5, 4, 1));
    assert_eq!(fake.counters(Operation::GetThingShadow).items, 1);
}

#[tokio::test]
async fn shadows_merge_as_aws_documents() {
    let check = async |updates: &[Value], state: Value| {
        let fake = with_thing();
        for update_state in updates {
            let seen = update(&fake, &json!({ "state": update_state }).to_string()).await;
            assert_eq!(seen.status, 200, "{update_state}: {}", seen.body);
        }
        let expected = json!({ "state": state, "version": updates.len() });
        assert_eq!(fake.shadow("d1", "telemetry").unwrap(), expected);
    };
    let reported = |content: Value| json!({ "reported": content });
    let first = reported(json!({ "a": { "b": 1, "c": [1, 2] }, "d": "x" }));
    check(
        &[first.clone(), reported(json!({ "a": { "b": 2 } }))],
        reported(json!({ "a": { "b": 2, "c": [1, 2] }, "d": "x" })),
    )
    .await;
    check(
        &[first.clone(), reported(json!({ "a": { "c": [3] }, "d": null, "gone": null }))],
        reported(json!({ "a": { "b": 1, "c": [3] } })),
    )
    .await;
    check(&[first.clone(), reported(json!({ "a": 7 }))], reported(json!({ "a": 7, "d": "x" }))).await;
    check(&[first.clone(), reported(json!({ "d": { "e": 1 } }))], {
        reported(json!({ "a": { "b": 1, "c": [1, 2] }, "d": { "e": 1 } }))
    })
    .await;
    check(&[first.clone(), json!({ "desired": { "on": true } })], {
        json!({ "reported": first["reported"], "desired": { "on": true } })
    })
    .await;
    check(&[first.clone(), reported(Value::Null)], json!({})).await;
    check(&[first, reported(json!({ "a": null, "d": null }))], json!({})).await;
}

#[tokio::test]
async fn updates_that_the_shadow_service_would_not_take_are_refused() {
    let check = async |payload: &str, status: u16, kind: &str, message: &str| {
        let fake = with_thing();
        let seen = update(&fake, payload).await;
        assert_eq!(exception(&seen), (status, kind.to_owned()), "{payload}: {}", seen.body);
        assert!(seen.json()["message"].as_str().unwrap().contains(message), "{payload}: {}", seen.body);
        assert_eq!((fake.shadow("d1", "telemetry"), fake.shadow_updates()), (None, vec![]));
    };
    let invalid = "InvalidRequestException";
    check("{", 400, invalid, "Invalid JSON").await;
    check("{}", 400, invalid, "Missing required node: state").await;
    check(r#"{"state":1}"#, 400, invalid, "State node must be an object").await;
    check(r#"{"state":{"reported":[]}}"#, 400, invalid, "Reported node must be an object").await;
    check(r#"{"state":{"desired":1}}"#, 400, invalid, "Desired node must be an object").await;
    check(r#"{"state":{"delta":{}}}"#, 400, invalid, "invalid node").await;
    check(r#"{"state":{"reported":{"a":[1,null]}}}"#, 400, invalid, "invalid node").await;
    check(r#"{"state":{},"version":"1"}"#, 400, invalid, "Invalid version").await;
    check(r#"{"state":{},"version":1}"#, 409, "ConflictException", "Version conflict").await;
    let token = format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "t".repeat(65));
    check(&token, 400, invalid, "Invalid clientToken").await;
    let nested = |levels: usize| {
        let state = (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        json!({ "state": { "reported": state } }).to_string()
    };
    check(&nested(9), 400, invalid, "too many levels").await;
    assert_eq!(update(&with_thing(), &nested(8)).await.status, 200);
    check(&"[".repeat(10_000), 400, invalid, "Invalid JSON").await;

    // The limit is the merged state's: {"reported":{"a":"…","b":"…"}}.
    let fake = with_thing();
    let part = |name: &str, length: usize| {
        json!({ "state": { "reported": { name: "x".repeat(length) } } }).to_string()
    };
    let frame = r#"{"reported":{"a":"","b":""}}"#.len();
    assert_eq!(update(&fake, &part("a", 4_096)).await.status, 200);
    let seen = update(&fake, &part("b", 4_096 - frame + 1)).await;
    assert_eq!(exception(&seen), (413, "RequestEntityTooLargeException".to_owned()));
    assert_eq!(update(&fake, &part("b", 4_096 - frame)).await.status, 200);
    assert_eq!(fake.shadow("d1", "telemetry").unwrap()["version"], 2);

    let seen = send(&fake, "POST /things/d1/shadow?name=a%2Fb", "", b"{}").await.unwrap();
    assert_eq!(exception(&seen), (400, invalid.to_owned()));
    let seen = send(&fake, "POST /things/hall%2Fd1/shadow", "", b"{}").await.unwrap();
    assert_eq!(exception(&seen), (400, invalid.to_owned()));
    let seen = send(&fake, "POST /things/d1/shadow", "", b"\xff").await.unwrap();
    assert_eq!(exception(&seen), (415, "UnsupportedDocumentEncodingException".to_owned()));
}

#[tokio::test]
async fn the_broker_keeps_what_is_retained() {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    let client = iotdata::Client::new(&sdk(&fake).await);
    let publish = async |payload: &str, retain: bool| {
        let publish = client.publish().topic("alerts/hall/d1/hot").qos(1).retain(retain);
        publish.payload(Blob::new(payload)).send().await.unwrap();
        fake.retained("alerts/hall/d1/hot")
    };
    assert_eq!(publish("passing", false).await, None);
    assert_eq!(publish("active", true).await.unwrap(), "active");
    assert_eq!(publish("cleared", true).await.unwrap(), "cleared");
    assert_eq!(publish("passing", false).await.unwrap(), "cleared");
    assert_eq!(publish("", true).await, None);
    assert_eq!(fake.published().len(), 5);
}

// SQS

const QUEUE: &str = "http://sqs/123456789012/deadlines";

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).delay_seconds(30).build().unwrap()
}

#[tokio::test]
async fn messages_are_sent_through_the_sdk() {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    let client = sqs::Client::new(&sdk(&fake).await);
    let send = client.send_message().queue_url(QUEUE).message_body("one").delay_seconds(900);
    assert!(send.send().await.unwrap().message_id().is_some());
    fake.fail_messages(Pick::EveryKth(2));
    let batch = client.send_message_batch().queue_url(QUEUE);
    let batch = batch.entries(entry("a", "two")).entries(entry("b", "three")).entries(entry("c", "\u{0}"));
    let seen = batch.clone().send().await.unwrap();
    assert_eq!(seen.successful()[0].id(), "a");
    let failed: Vec<_> = seen.failed().iter().map(|entry| (entry.id(), entry.sender_fault())).collect();
    assert_eq!(failed, [("b", false), ("c", true)]);
    let sent: Vec<_> = fake.sent().into_iter().map(|sent| (sent.body, sent.delay_seconds)).collect();
    assert_eq!(sent, [("one".to_owned(), 900), ("two".to_owned(), 30)]);
    assert_eq!(fake.sent()[0].queue_url, QUEUE);
    let counters = fake.counters(Operation::SendMessageBatch);
    assert_eq!((counters.requests, counters.items, counters.returned), (1, 1, 2));

    let twice = batch.clone().entries(entry("a", "four")).send().await.unwrap_err().into_service_error();
    assert!(twice.is_batch_entry_ids_not_distinct(), "{twice:?}");
    fake.fail_next(Operation::SendMessageBatch, Fault::Throttle, 1);
    let throttled = batch.clone().send().await.unwrap_err().into_service_error();
    assert!(throttled.is_request_throttled(), "{throttled:?}");
    fake.fail_next(Operation::SendMessageBatch, Fault::InternalError, 1);
    assert_eq!(batch.send().await.unwrap_err().raw_response().unwrap().status().as_u16(), 500);
    assert_eq!(fake.sent().len(), 2);
}

#[tokio::test]
async fn messages_that_sqs_would_not_take_are_refused() {
    let check = async |operation: &str, members: Value, refused: Option<&str>| {
        let fake = FakeAws::start(Storage::Keep).unwrap();
        let headers = format!("x-amz-target: AmazonSQS.{operation}\r\n");
        let mut body = json!({ "QueueUrl": QUEUE });
        body.as_object_mut().unwrap().extend(item(members));
        let seen = send(&fake, "POST /", &headers, body.to_string().as_bytes()).await.unwrap();
        match refused {
            None => assert_eq!(seen.status, 200, "{}", seen.body),
            Some(exception) => {
                assert_eq!((seen.status, seen.exception().as_str()), (400, exception), "{}", seen.body);
                assert_eq!(fake.sent(), []);
            }
        }
    };
    let one = |body: String, delay: i64| json!({ "MessageBody": body, "DelaySeconds": delay });
    let text = |length: usize| "x".repeat(length);
    check("SendMessage", one(text(1024 * 1024), 0), None).await;
    check("SendMessage", one(text(1024 * 1024 + 1), 0), Some("InvalidParameterValue")).await;
    check("SendMessage", one(text(1), 901), Some("InvalidParameterValue")).await;
    check("SendMessage", one(text(1), -1), Some("InvalidParameterValue")).await;
    check("SendMessage", one(String::new(), 0), Some("MissingParameter")).await;
    check("SendMessage", one("\u{1}".to_owned(), 0), Some("InvalidMessageContents")).await;
    check(
        "SendMessage",
        json!({ "MessageBody": "x", "MessageGroupId": "g" }),
        Some("SerializationException"),
    )
    .await;
    let batch = |entries: usize, length: usize| {
        let entry = |id: usize| json!({ "Id": id.to_string(), "MessageBody": text(length) });
        json!({ "Entries": (0..entries).map(entry).collect::<Vec<_>>() })
    };
    check("SendMessageBatch", batch(10, 1), None).await;
    check("SendMessageBatch", batch(11, 1), Some("TooManyEntriesInBatchRequest")).await;
    check("SendMessageBatch", batch(0, 1), Some("EmptyBatchRequest")).await;
    check("SendMessageBatch", batch(2, 600 * 1024), Some("BatchRequestTooLong")).await;
    let odd = json!({ "Entries": [{ "Id": "a b", "MessageBody": "x" }] });
    check("SendMessageBatch", odd, Some("InvalidBatchEntryId")).await;
    check("ReceiveMessage", json!({}), Some("UnknownOperationException")).await;
}

// SNS

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:alerts";

#[tokio::test]
async fn topics_are_notified_through_the_sdk() {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    let client = sns::Client::new(&sdk(&fake).await);
    let publish = client.publish().topic_arn(TOPIC).message("{\"rule\":\"hot & dry\"}\n+1 größe");
    assert!(publish.clone().send().await.unwrap().message_id().is_some());
    publish.clone().subject("Hall 1: hot").send().await.unwrap();
    let notified = fake.notified();
    assert_eq!((notified[0].topic_arn.as_str(), notified[0].subject.as_deref()), (TOPIC, None));
    assert_eq!(notified[0].message, "{\"rule\":\"hot & dry\"}\n+1 größe");
    assert_eq!(notified[1].subject.as_deref(), Some("Hall 1: hot"));

    let check = async |topic: &str, subject: Option<&str>, message: &str, reason: &str| {
        let publish = client.publish().topic_arn(topic).set_subject(subject.map(str::to_owned));
        let refused = publish.message(message).send().await.unwrap_err().into_service_error();
        assert!(refused.is_invalid_parameter_exception(), "{refused:?}");
        assert!(format!("{refused:?}").contains(reason), "{refused:?}");
    };
    check("alerts", None, "x", "TopicArn").await;
    check(TOPIC, None, "", "Empty message").await;
    check(TOPIC, None, &"x".repeat(256 * 1024 + 1), "Message too long").await;
    check(TOPIC, Some(&"s".repeat(101)), "x", "Subject").await;
    check(TOPIC, Some("größe"), "x", "Subject").await;
    check(TOPIC, Some("two\nlines"), "x", "Subject").await;
    check(TOPIC, Some(" blank first"), "x", "Subject").await;
    let elsewhere = client.publish().phone_number("+491").message("x").send().await.unwrap_err();
    assert!(elsewhere.into_service_error().is_invalid_parameter_exception());

    fake.fail_next(Operation::Notify, Fault::Throttle, 1);
    let throttled = publish.clone().send().await.unwrap_err();
    assert!(format!("{throttled:?}").contains("Throttling"), "{throttled:?}");
    fake.fail_next(Operation::Notify, Fault::InternalError, 1);
    assert!(publish.send().await.unwrap_err().into_service_error().is_internal_error_exception());
    let counters = fake.counters(Operation::Notify);
    assert_eq!((counters.requests, counters.refused, counters.items), (12, 10, 2));
    assert_eq!(fake.notified().len(), 2);
    let list = client.list_topics().send().await.unwrap_err();
    assert!(format!("{list:?}").contains("InvalidAction"), "{list:?}");
}
