//! DynamoDB's calls for single items, and its reads: what the fake makes of expressions, indexes, pages and segments.

use std::collections::BTreeSet;

use cloud::sdk::dynamodb::Client;
use cloud::sdk::dynamodb::operation::put_item::PutItemError;
use cloud::sdk::dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use cloud::sdk::dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure, Select,
};

use super::*;

/// What stands in the table before each request.
fn alert() -> Value {
    json!({
        "device": { "S": "hall/d1" }, "rule": { "S": "hot" }, "state": { "S": "active" }, "version": { "N": "3" },
        "since": { "N": "1000.5" }, "latched": { "BOOL": true }, "evidence": { "M": { "peak": { "N": "80" } } },
    })
}

fn with_alert() -> FakeAws {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    fake.create_table("alerts", "device", Some("rule"));
    fake.create_index("alerts", "open", "open", Some("since"));
    fake.put_item("alerts", item(alert())).unwrap();
    fake
}

/// A request for the alert `hot`, with members besides.
fn request(members: Value) -> Value {
    let key = json!({ "device": { "S": "hall/d1" }, "rule": { "S": "hot" } });
    with_members(json!({ "TableName": "alerts", "Key": key }), members)
}

fn with_members(mut request: Value, members: Value) -> Value {
    if let (Value::Object(request), Value::Object(members)) = (&mut request, members) {
        request.extend(members);
    }
    request
}

async fn refuse(operation: &str, body: &Value, exception: &str, message: &str) {
    let fake = with_alert();
    let seen = dynamodb(&fake, operation, body).await;
    assert_eq!(
        (seen.status, seen.exception().as_str()),
        (400, exception),
        "{operation} {body}: {}",
        seen.body
    );
    assert!(seen.json()["message"].as_str().unwrap().contains(message), "{body}: {}", seen.body);
    assert_eq!(fake.items("alerts"), [item(alert())], "a refused request changes nothing: {body}");
}

async fn invalid(operation: &str, members: Value, message: &str) {
    refuse(operation, &request(members), "ValidationException", message).await;
}

#[tokio::test]
async fn conditions_hold_as_in_dynamodb() {
    let check = async |condition: &str, value: Value, holds: bool| {
        let fake = with_alert();
        let mut members = json!({ "ConditionExpression": condition });
        if condition.contains("#s") {
            members["ExpressionAttributeNames"] = json!({ "#s": "state" });
        }
        if !value.is_null() {
            members["ExpressionAttributeValues"] = json!({ ":v": value });
        }
        let seen = dynamodb(&fake, "DeleteItem", &request(members)).await;
        assert_eq!(seen.status == 200, holds, "{condition} {value}: {}", seen.body);
        assert!(holds || seen.exception() == "ConditionalCheckFailedException", "{}", seen.body);
        assert_eq!(fake.items("alerts").is_empty(), holds);
    };
    let n = |number: &str| json!({ "N": number });
    let s = |text: &str| json!({ "S": text });
    check("attribute_exists(version)", Value::Null, true).await;
    check("attribute_exists(evidence.peak)", Value::Null, true).await;
    check("attribute_exists(evidence.mean)", Value::Null, false).await;
    check("attribute_not_exists(cleared)", Value::Null, true).await;
    check("attribute_not_exists ( #s )", Value::Null, false).await;
    check("version = :v", n("3"), true).await;
    check("version = :v", n("3.0"), true).await;
    check("version = :v", s("3"), false).await;
    check("version < :v", n("10"), true).await;
    check("since > :v", n("1000"), true).await;
    check("since <= :v", n("1000.5"), true).await;
    check("evidence.peak >= :v", n("81"), false).await;
    check("latched = :v", json!({ "BOOL": true }), true).await;
    check("latched <> :v", json!({ "BOOL": true }), false).await;
    check("#s > :v", s("ack"), true).await;
    check("#s = :v", s("Active"), false).await;
    check("begins_with(#s, :v)", s("act"), true).await;
    check("begins_with(version, :v)", s("3"), false).await;
    // What is missing, or of another type, is unequal and nothing else.
    check("cleared <> :v", n("1"), true).await;
    check("cleared = :v", n("1"), false).await;
    check("cleared < :v", n("1"), false).await;
    check("NOT cleared < :v", n("1"), true).await;
    check("#s <> :v", n("1"), true).await;
    // NOT before AND before OR.
    check("attribute_exists(version) OR attribute_exists(gone) AND version = :v", n("9"), true).await;
    check("(attribute_exists(version) OR attribute_exists(gone)) AND version = :v", n("9"), false).await;
    check("not attribute_exists(gone) and version = :v", n("3"), true).await;
    check("NOT (attribute_exists(gone) OR version = :v)", n("3"), false).await;
    check("(version = :v) OR (attribute_exists(gone))", n("3"), true).await;
    check("((version = :v) OR attribute_exists(gone))", n("3"), true).await;
}

#[tokio::test]
async fn expressions_that_dynamodb_would_not_take_are_refused() {
    let condition = async |condition: &str, message: &str| {
        let values = json!({ ":v": { "N": "1" }, ":b": { "BOOL": true } });
        let mut members = json!({ "ConditionExpression": condition, "ExpressionAttributeValues": values });
        let values = members["ExpressionAttributeValues"].as_object_mut().unwrap();
        values.retain(|name, _| condition.contains(name));
        if values.is_empty() {
            members.as_object_mut().unwrap().remove("ExpressionAttributeValues");
        }
        invalid("DeleteItem", members, message).await;
    };
    condition("", "can not be empty").await;
    condition("version = :v AND", "Syntax error; token: \"<EOF>\"").await;
    condition("version == :v", "Syntax error; token: \"=\"").await;
    condition("version = 3", "Syntax error; token: \"3\"").await;
    condition("version = :v)", "Syntax error; token: \")\"").await;
    condition("(version = :v", "Syntax error").await;
    condition("((version = :v))", "redundant parentheses").await;
    condition("state = :v", "reserved keyword; reserved keyword: state").await;
    condition("attribute_exists(Rule)", "reserved keyword; reserved keyword: Rule").await;
    condition("version = :v AND a = :gone", "not defined; attribute value: :gone").await;
    condition("#gone = :v", "not defined; attribute name: #gone").await;
    condition("version < :b", "operand type: BOOL").await;
    condition("begins_with(version, :v)", "operand type: N").await;
    condition("attribute_exists(:v)", "requires a document path").await;
    condition("contains(version, :v)", "Invalid function name; function: contains").await;
    condition("ATTRIBUTE_EXISTS(version) AND version = :v", "Invalid function name").await;
    condition(&format!("version = :v{}", " ".repeat(4_096)), "maximum allowed size").await;
    condition(&format!("{} version = :v", "NOT ".repeat(100)), "nested so deep").await;

    let both = json!({ ":v": { "N": "1" }, ":w": { "N": "1" } });
    let members = json!({ "ConditionExpression": "version = :v", "ExpressionAttributeValues": both });
    invalid("DeleteItem", members, "ExpressionAttributeValues unused in expressions: keys: {:w}").await;
    let members =
        json!({ "ConditionExpression": "attribute_exists(a)", "ExpressionAttributeNames": { "#a": "a" } });
    invalid("DeleteItem", members, "ExpressionAttributeNames unused in expressions: keys: {#a}").await;
    invalid("DeleteItem", json!({ "ExpressionAttributeValues": {} }), "must not be empty").await;
    invalid("DeleteItem", json!({ "ExpressionAttributeValues": { "v": { "N": "1" } } }), "invalid key").await;
    let members =
        json!({ "ConditionExpression": "a = :v", "ExpressionAttributeValues": { ":v": { "N": "x" } } });
    invalid("DeleteItem", members, "invalid value").await;
}

#[tokio::test]
async fn updates_change_what_they_name() {
    // `expected` is what differs from the alert that stood; null is what is gone.
    let check = async |expression: &str, expected: Value| {
        let fake = with_alert();
        let names = json!({ "#s": "state", "#m": "peak" });
        let values = json!({ ":v": { "N": "2" }, ":t": { "S": "cleared" }, ":m": { "M": {} } });
        let mut members = json!({
            "UpdateExpression": expression, "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        });
        for given in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            let given = members[given].as_object_mut().unwrap();
            given.retain(|name, _| expression.contains(name));
        }
        members.as_object_mut().unwrap().retain(|_, member| *member != json!({}));
        let seen = dynamodb(&fake, "UpdateItem", &request(members)).await;
        let mut alert = item(alert());
        alert.extend(item(expected));
        alert.retain(|_, value| !value.is_null());
        assert_eq!(seen.json()["Attributes"], Value::Object(alert.clone()), "{expression}: {}", seen.body);
        assert_eq!(fake.items("alerts"), [alert]);
    };
    let n = |number: &str| json!({ "N": number });
    check("SET #s = :t", json!({ "state": { "S": "cleared" } })).await;
    check("set version = version + :v, #s=:t", json!({ "version": n("5"), "state": { "S": "cleared" } }))
        .await;
    check("SET version = :v - version", json!({ "version": n("-1") })).await;
    check("SET count_ = if_not_exists(count_, :v) + :v", json!({ "count_": n("4") })).await;
    check("SET version = if_not_exists(version, :v)", json!({ "version": n("3") })).await;
    check("SET evidence.#m = :v", json!({ "evidence": { "M": { "peak": n("2") } } })).await;
    check(
        "SET evidence.minimum = since",
        json!({ "evidence": { "M": { "peak": n("80"), "minimum": n("1000.5") } } }),
    )
    .await;
    check("SET evidence = :m REMOVE latched, gone", json!({ "evidence": { "M": {} }, "latched": null }))
        .await;
    check("REMOVE evidence.#m SET version = :v", json!({ "evidence": { "M": {} }, "version": n("2") })).await;
    // Right-hand sides see the item as it was.
    check("SET version = :v, since = version", json!({ "version": n("2"), "since": n("3") })).await;
}

#[tokio::test]
async fn updates_that_dynamodb_would_not_make_are_refused() {
    let update = async |expression: &str, message: &str| {
        let values =
            json!({ ":v": { "N": "1" }, ":t": { "S": "x" }, ":big": { "S": "x".repeat(400 * 1024) } });
        let mut members = json!({ "UpdateExpression": expression, "ExpressionAttributeValues": values });
        let values = members["ExpressionAttributeValues"].as_object_mut().unwrap();
        values.retain(|name, _| expression.contains(name));
        if values.is_empty() {
            members.as_object_mut().unwrap().remove("ExpressionAttributeValues");
        }
        invalid("UpdateItem", members, message).await;
    };
    update("", "can not be empty").await;
    update("SET", "Syntax error").await;
    update("SET a = :v SET b = :v", "can only be used once").await;
    update("ADD version :v", "Syntax error; token: \"ADD\"").await;
    update("SET a = list_append(a, :v)", "Syntax error").await;
    update("SET a = :v + :v + :v", "Syntax error; token: \"+\"").await;
    update("SET a = :v, a.b = :v", "paths overlap").await;
    update("SET a = :v REMOVE a", "paths overlap").await;
    update("SET device = :t", "part of the key").await;
    update("SET a.b = :v", "document path provided").await;
    update("REMOVE a.b", "document path provided").await;
    update("SET version.b = :v", "document path provided").await;
    update("SET a = b", "does not exist in the item").await;
    update("SET a = version + :t", "operand type: S").await;
    update("SET a = latched + :v", "incorrect data type").await;
    update("SET a = :big", "Item size has exceeded").await;
    update("SET #a = :v", "not defined; attribute name: #a").await;
    update("SET a[0] = :v", "Syntax error; token: \"[\"").await;
}

#[tokio::test]
async fn writes_of_one_item_are_judged() {
    let key = json!({ "device": { "S": "hall/d1" }, "rule": { "S": "hot" } });
    invalid("UpdateItem", json!({ "Key": { "device": { "S": "d" } } }), "does not match the schema").await;
    invalid("DeleteItem", json!({ "Key": alert() }), "does not match the schema").await;
    invalid("UpdateItem", json!({ "ReturnValues": "UPDATED" }), "Return values").await;
    invalid("DeleteItem", json!({ "ReturnValues": "ALL_NEW" }), "Return values").await;
    let put = |item: Value| json!({ "TableName": "alerts", "Item": item });
    refuse("PutItem", &json!({ "TableName": "alerts" }), "ValidationException", "Member must not be null")
        .await;
    refuse("PutItem", &put(json!({ "device": { "S": "d" } })), "ValidationException", "does not match").await;
    let elsewhere = json!({ "TableName": "gone", "Item": key });
    refuse("PutItem", &elsewhere, "ResourceNotFoundException", "not found").await;
    let unknown = json!({ "TableName": "alerts", "Item": key, "Expected": {} });
    refuse("PutItem", &unknown, "SerializationException", "unknown field").await;
    // The key of an index may be missing, but not be empty or of another type, whoever writes it.
    let open = |value: Value| {
        let mut item = alert();
        item["open"] = value;
        item
    };
    let (flag, empty) = (json!({ "BOOL": true }), json!({ "S": "" }));
    refuse("PutItem", &put(open(flag.clone())), "ValidationException", "Type mismatch for Index Key").await;
    refuse("PutItem", &put(open(empty)), "ValidationException", "secondary index key").await;
    let batch = json!({ "RequestItems": { "alerts": [{ "PutRequest": { "Item": open(flag.clone()) } }] } });
    refuse("BatchWriteItem", &batch, "ValidationException", "Type mismatch for Index Key").await;
    let members =
        json!({ "UpdateExpression": "SET open_ = :v", "ExpressionAttributeValues": { ":v": flag } });
    let mut members = request(members);
    members["UpdateExpression"] = "SET #o = :v".into();
    members["ExpressionAttributeNames"] = json!({ "#o": "open" });
    refuse("UpdateItem", &members, "ValidationException", "Type mismatch for Index Key").await;
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[tokio::test]
async fn an_item_is_put_updated_and_deleted_through_the_sdk() {
    let fake = with_alert();
    let client = Client::new(&sdk(&fake).await);
    let put = || {
        let put = client.put_item().table_name("alerts").item("device", s("hall/d2")).item("rule", s("hot"));
        put.item("version", n(1)).condition_expression("attribute_not_exists(device)")
    };
    put().send().await.unwrap();
    let standing = async |put: PutItemFluentBuilder| match put.send().await.unwrap_err().into_service_error()
    {
        PutItemError::ConditionalCheckFailedException(failed) => failed.item,
        other => panic!("{other:?}"),
    };
    let showing = put().return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    assert_eq!(standing(showing).await.unwrap()["version"], n(1));
    assert_eq!(standing(put()).await, None);
    let counters = fake.counters(Operation::PutItem);
    assert_eq!((counters.requests, counters.refused, counters.items, counters.write_units), (3, 2, 1, 3));

    let update = |device: &str, version: i64| {
        let update = client.update_item().table_name("alerts").key("device", s(device)).key("rule", s("hot"));
        let update = update.update_expression("SET #v = if_not_exists(#v, :none) + :one, note = :note");
        let update = update.condition_expression("attribute_not_exists(device) OR #v = :version");
        let update =
            update.expression_attribute_names("#v", "version").expression_attribute_values(":one", n(1));
        let update = update.expression_attribute_values(":none", n(0));
        let update = update.expression_attribute_values(":note", s(&"x".repeat(2_000)));
        update.expression_attribute_values(":version", n(version)).return_values(ReturnValue::AllNew)
    };
    let updated = update("hall/d2", 1).send().await.unwrap();
    assert_eq!(updated.attributes().unwrap()["version"], n(2));
    let created = update("hall/d3", 1).send().await.unwrap();
    assert_eq!(
        (&created.attributes().unwrap()["rule"], &created.attributes().unwrap()["version"]),
        (&s("hot"), &n(1))
    );
    let failed = update("hall/d2", 1).send().await.unwrap_err().into_service_error();
    assert!(failed.is_conditional_check_failed_exception());
    let counters = fake.counters(Operation::UpdateItem);
    // A failed condition takes what the standing item takes.
    assert_eq!((counters.requests, counters.items, counters.write_units), (3, 2, 6));

    let delete = client.delete_item().table_name("alerts").key("device", s("hall/d2")).key("rule", s("hot"));
    let deleted = delete.clone().return_values(ReturnValue::AllOld).send().await.unwrap();
    assert_eq!(deleted.attributes().unwrap()["version"], n(2));
    let nothing = delete.clone().return_values(ReturnValue::AllOld).send().await.unwrap();
    assert_eq!(nothing.attributes(), None);
    assert!(delete.condition_expression("attribute_exists(device)").send().await.is_err());
    let counters = fake.counters(Operation::DeleteItem);
    assert_eq!((counters.requests, counters.items, counters.write_units), (3, 2, 4));
    assert_eq!(fake.items("alerts").len(), 2);
}

#[tokio::test]
async fn one_item_is_read_in_parts() {
    let fake = with_alert();
    let client = Client::new(&sdk(&fake).await);
    let get = client.get_item().table_name("alerts").key("device", s("hall/d1")).key("rule", s("hot"));
    let get = get.consistent_read(true).projection_expression("#s, evidence.#m, gone");
    let get = get.expression_attribute_names("#s", "state").expression_attribute_names("#m", "peak");
    let found = get.clone().send().await.unwrap().item.unwrap();
    let evidence = AttributeValue::M([("peak".to_owned(), n(80))].into());
    assert_eq!(found, [("state".to_owned(), s("active")), ("evidence".to_owned(), evidence)].into());
    assert_eq!(get.clone().key("rule", s("cold")).send().await.unwrap().item, None);
    assert_eq!(fake.counters(Operation::GetItem).items, 1);
    let twice = get.projection_expression("#s, evidence.#m, evidence").send().await.unwrap_err();
    assert!(format!("{twice:?}").contains("paths overlap"), "{twice:?}");
    invalid("GetItem", json!({ "ProjectionExpression": "state" }), "reserved keyword").await;
}

/// A fake with devices, of which every third is in the index.
fn with_devices(count: usize) -> FakeAws {
    let fake = FakeAws::start(Storage::Keep).unwrap();
    fake.create_table("devices", "device", None);
    fake.create_index("devices", "silent", "online", Some("seen"));
    for number in 0..count {
        let mut device = json!({ "device": { "S": format!("hall/d{number:02}") }, "seen": { "N": (100 - number).to_string() } });
        if number % 3 == 0 {
            device["online"] = json!({ "S": "yes" });
        }
        fake.put_item("devices", item(device)).unwrap();
    }
    // Lacks the sort key.
    fake.put_item("devices", item(json!({ "device": { "S": "x" }, "online": { "S": "yes" } }))).unwrap();
    fake
}

#[tokio::test]
async fn an_index_holds_what_has_its_keys_and_is_read_in_pages() {
    let fake = with_devices(20);
    let client = Client::new(&sdk(&fake).await);
    let query = client.query().table_name("devices").index_name("silent").limit(3);
    let query =
        query.key_condition_expression("#o = :yes AND seen < :before").projection_expression("device");
    let query =
        query.expression_attribute_names("#o", "online").expression_attribute_values(":yes", s("yes"));
    let query = query.expression_attribute_values(":before", n(98));
    for is_forward in [true, false] {
        let (mut devices, mut start, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = query.clone().scan_index_forward(is_forward).set_exclusive_start_key(start);
            let page = page.send().await.unwrap();
            devices.extend(page.items().iter().map(|item| item["device"].as_s().unwrap().clone()));
            assert!(page.items().iter().all(|item| item.len() == 1), "only what was asked for");
            (pages, start) = (pages + 1, page.last_evaluated_key);
            let Some(start) = &start else { break };
            let names: BTreeSet<_> = start.keys().map(String::as_str).collect();
            assert_eq!(names, ["device", "online", "seen"].into(), "the table's keys and the index's");
        }
        // By `seen` as a number: 82, 85, … 97.
        let mut expected = ["hall/d18", "hall/d15", "hall/d12", "hall/d09", "hall/d06", "hall/d03"].to_vec();
        if !is_forward {
            expected.reverse();
        }
        assert_eq!((devices, pages), (expected.into_iter().map(str::to_owned).collect(), 3));
    }
    assert_eq!(fake.counters(Operation::Query).items, 12);

    let consistent = query.clone().consistent_read(true).send().await.unwrap_err();
    assert!(
        format!("{consistent:?}").contains("not supported on global secondary indexes"),
        "{consistent:?}"
    );
    let unknown = query.clone().index_name("loud").send().await.unwrap_err();
    assert!(format!("{unknown:?}").contains("does not have the specified index: loud"), "{unknown:?}");
    let elsewhere = query.clone().exclusive_start_key("device", s("hall/d03")).send().await.unwrap_err();
    assert!(format!("{elsewhere:?}").contains("starting key is invalid"), "{elsewhere:?}");
    assert!(query.select(Select::Count).send().await.is_err(), "what the fake does not do it says");
    // What is taken out of the index is no longer found.
    let update = client.update_item().table_name("devices").key("device", s("hall/d03"));
    let update = update.update_expression("REMOVE #o").expression_attribute_names("#o", "online");
    update.send().await.unwrap();
    let query = client.query().table_name("devices").index_name("silent");
    let query = query.key_condition_expression("#o = :yes").expression_attribute_names("#o", "online");
    let found = query.expression_attribute_values(":yes", s("yes")).send().await.unwrap();
    assert_eq!(found.count(), 6);
}

#[tokio::test]
async fn key_conditions_are_judged() {
    let check = async |condition: &str, found: Result<u64, &str>| {
        let fake = with_tables(Storage::Keep);
        dynamodb(&fake, "BatchWriteItem", &puts(20)).await;
        let values = json!({ ":d": { "S": "hall/d1" }, ":a": { "S": "003" }, ":b": { "S": "01" }, ":n": { "N": "1" } });
        let mut body = json!({
            "TableName": "readings", "KeyConditionExpression": condition, "ExpressionAttributeValues": values,
        });
        let values = body["ExpressionAttributeValues"].as_object_mut().unwrap();
        values.retain(|name, _| condition.contains(name));
        let seen = dynamodb(&fake, "Query", &body).await;
        match found {
            Ok(count) => assert_eq!(seen.json()["Count"], count, "{condition}: {}", seen.body),
            Err(message) => assert!(seen.body.contains(message), "{condition}: {}", seen.body),
        }
    };
    check("device = :d", Ok(20)).await;
    check("device = :d AND span <= :a", Ok(4)).await;
    check("span > :a AND device = :d", Ok(16)).await;
    check("device = :d AND begins_with(span, :b)", Ok(10)).await;
    check("device = :d AND span BETWEEN :a AND :b", Ok(7)).await;
    check("span = :a", Err("missed key schema element")).await;
    check("device > :d", Err("not supported")).await;
    check("device = :n", Err("does not match")).await;
    check("device = :d AND span > :a AND span < :b", Err("more than one condition for a key")).await;
    check("device = :d AND value_ = :a", Err("not supported")).await;
    check("device = :d OR span = :a", Err("Syntax error")).await;
    check("device = :d AND span <> :a", Err("Syntax error")).await;
}

#[tokio::test]
async fn a_table_is_scanned_in_segments_and_pages() {
    let fake = with_devices(50);
    let client = Client::new(&sdk(&fake).await);
    let mut devices = Vec::new();
    for segment in 0..4 {
        let (mut start, before) = (None, devices.len());
        loop {
            let scan = client.scan().table_name("devices").segment(segment).total_segments(4).limit(5);
            let scan = scan.projection_expression("device").set_exclusive_start_key(start);
            let page = scan.send().await.unwrap();
            assert!(page.items().len() <= 5);
            devices.extend(page.items().iter().map(|item| item["device"].as_s().unwrap().clone()));
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        assert!(devices.len() > before, "segment {segment} has a share");
    }
    assert_eq!((devices.len(), devices.iter().collect::<BTreeSet<_>>().len()), (51, 51));
    assert_eq!(fake.counters(Operation::Scan).items, 51);
    let whole = client.scan().table_name("devices").send().await.unwrap();
    assert_eq!((whole.items().len(), whole.last_evaluated_key), (51, None));

    let check = async |members: Value, message: &str| {
        let body = with_members(json!({ "TableName": "devices" }), members);
        let seen = dynamodb(&fake, "Scan", &body).await;
        assert!(seen.status == 400 && seen.body.contains(message), "{body}: {}", seen.body);
    };
    check(json!({ "Segment": 0 }), "TotalSegments parameter is required").await;
    check(json!({ "TotalSegments": 2 }), "Segment parameter is required").await;
    check(json!({ "Segment": 2, "TotalSegments": 2 }), "must be less than").await;
    check(json!({ "Segment": 0, "TotalSegments": 0 }), "totalSegments").await;
    check(json!({ "Limit": 0 }), "greater than or equal to 1").await;
    check(json!({ "IndexName": "silent" }), "tables only").await;
    check(json!({ "FilterExpression": "a = b" }), "no filters").await;
    check(json!({ "ExclusiveStartKey": { "seen": { "N": "1" } } }), "starting key is invalid").await;
    let start = json!({ "device": { "S": "hall/d00" } });
    let mut refused = 0;
    for segment in 0..2 {
        let body = json!({ "TableName": "devices", "Segment": segment, "TotalSegments": 2, "ExclusiveStartKey": start });
        refused += u32::from(dynamodb(&fake, "Scan", &body).await.status == 400);
    }
    assert_eq!(refused, 1, "a key belongs to one segment");
}

fn keys(devices: &[&str]) -> KeysAndAttributes {
    let keys = devices.iter().map(|device| [("device".to_owned(), s(device))].into());
    KeysAndAttributes::builder().set_keys(Some(keys.collect())).projection_expression("seen").build().unwrap()
}

#[tokio::test]
async fn items_are_got_in_batches() {
    let fake = with_devices(20);
    let client = Client::new(&sdk(&fake).await);
    let get = client.batch_get_item().request_items("devices", keys(&["hall/d03", "gone", "hall/d01"]));
    let got = get.clone().send().await.unwrap();
    let seen: BTreeSet<_> =
        got.responses().unwrap()["devices"].iter().map(|item| item["seen"].as_n().unwrap()).collect();
    assert_eq!(seen, [&"97".to_owned(), &"99".to_owned()].into());
    assert!(got.unprocessed_keys().unwrap().is_empty());
    let counters = fake.counters(Operation::BatchGetItem);
    assert_eq!((counters.requests, counters.items, counters.returned), (1, 2, 0));

    fake.leave_unprocessed_keys(Pick::EveryKth(3));
    let left = get.clone().send().await.unwrap().unprocessed_keys.unwrap();
    assert_eq!((left["devices"].keys().len(), left["devices"].projection_expression()), (1, Some("seen")));
    assert_eq!(fake.counters(Operation::BatchGetItem).returned, 1);
    fake.leave_unprocessed_keys(Pick::Fraction(1.0));
    let none = get.send().await.unwrap_err().into_service_error();
    assert!(none.is_provisioned_throughput_exceeded_exception(), "{none:?}");
    fake.clear_faults();

    let check = async |items: Value, message: &str| {
        let seen = dynamodb(&fake, "BatchGetItem", &json!({ "RequestItems": items })).await;
        assert_eq!((seen.status, seen.body.contains(message)), (400, true), "{items}: {}", seen.body);
    };
    let keys = |count: usize| -> Vec<_> {
        (0..count).map(|n| json!({ "device": { "S": n.to_string() } })).collect()
    };
    check(json!({}), "length greater than or equal to 1").await;
    check(json!({ "devices": { "Keys": [] } }), "length greater than or equal to 1").await;
    check(json!({ "devices": { "Keys": keys(101) } }), "Too many items").await;
    check(json!({ "devices": { "Keys": [keys(1)[0], keys(1)[0]] } }), "duplicates").await;
    check(json!({ "devices": { "Keys": [{ "seen": { "N": "1" } }] } }), "does not match the schema").await;
    check(json!({ "gone": { "Keys": keys(1) } }), "not found").await;
    let all = json!({ "RequestItems": { "devices": { "Keys": keys(100) } } });
    assert_eq!(dynamodb(&fake, "BatchGetItem", &all).await.json()["Responses"]["devices"], json!([]));
}

#[tokio::test]
async fn a_batch_of_items_ends_at_16_megabytes() {
    let fake = with_tables(Storage::Keep);
    for number in 0..60 {
        let large =
            json!({ "device": { "S": format!("{number:02}") }, "text": { "S": "x".repeat(300 * 1024) } });
        fake.put_item("devices", item(large)).unwrap();
    }
    let keys: Vec<_> = (0..60).map(|n| json!({ "device": { "S": format!("{n:02}") } })).collect();
    let seen = dynamodb(&fake, "BatchGetItem", &json!({ "RequestItems": { "devices": { "Keys": keys } } }))
        .await
        .json();
    let read = seen["Responses"]["devices"].as_array().unwrap().len();
    let left = seen["UnprocessedKeys"]["devices"]["Keys"].as_array().unwrap().len();
    assert_eq!((read, left), (54, 6));
}

#[tokio::test]
async fn every_call_fails_waits_and_hooks_as_planned() {
    let put = json!({ "TableName": "alerts", "Item": alert() });
    let keys = json!({ "device": { "S": "hall/d1" }, "rule": { "S": "hot" } });
    let operations = [
        (Operation::PutItem, "PutItem", put),
        (Operation::UpdateItem, "UpdateItem", request(json!({}))),
        (Operation::DeleteItem, "DeleteItem", request(json!({}))),
        (Operation::GetItem, "GetItem", request(json!({}))),
        (
            Operation::BatchGetItem,
            "BatchGetItem",
            json!({ "RequestItems": { "alerts": { "Keys": [keys] } } }),
        ),
        (Operation::Scan, "Scan", json!({ "TableName": "alerts" })),
    ];
    for (operation, name, body) in operations {
        let fake = with_alert();
        fake.fail_next(operation, Fault::Throttle, 1);
        fake.set_latency(operation, Duration::from_millis(20));
        fake.after_next(operation, 1, |fake| fake.create_table("hooked", "key", None));
        let started = std::time::Instant::now();
        let seen = dynamodb(&fake, name, &body).await;
        assert_eq!(seen.exception(), "ProvisionedThroughputExceededException");
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert!(
            fake.put_item("hooked", item(json!({ "key": { "S": "k" } }))).is_err(),
            "nothing was carried out"
        );
        assert_eq!(dynamodb(&fake, name, &body).await.status, 200, "{name}");
        fake.put_item("hooked", item(json!({ "key": { "S": "k" } }))).unwrap();
        let counters = fake.counters(operation);
        assert_eq!((counters.requests, counters.refused, counters.items), (2, 1, 1), "{name}");
    }
}
