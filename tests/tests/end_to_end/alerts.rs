//! The pipeline speaks back: alerts, shadows, presence.

use std::time::Duration;

use alert::Rule;
use cloud::retry::Deadline;
use cloud::rules::Rules;
use serde_json::{Value, json};
use tests::events::envelope;
use tidegate::fleet::{Connection, Received};
use tokio::time::{Instant, sleep, timeout};

use crate::stack::{PATIENCE, Stack, now};

/// How long an alert may take on the urgent stream, which ingest gets without a buffer.
const URGENT: Duration = Duration::from_secs(3);
/// How long it may take through the buffer.
const BATCHED: Duration = Duration::from_secs(5);

/// Stores a rule that is about one device alone, and waits until the function has taken it up.
async fn put_rule(stack: &Stack, device: &str, name: &str, rest: &str) {
    let text = format!(
        "name = \"{name}\"\nseverity = \"critical\"\nmessage = \"look at it\"\ndevices = \"{device}\"\n{rest}"
    );
    let rules = Rules::new(stack.clients.dynamodb.clone(), &stack.outputs["ConfigTableName"]);
    rules.put(&Rule::from_toml(&text).unwrap(), now(), Deadline::after(PATIENCE)).await.unwrap();
    // The local cloud is deployed with a second.
    sleep(Duration::from_millis(1_500)).await;
}

fn temperature(value: f64) -> String {
    json!({"ts": now().0 / 1_000, "temperature": value}).to_string()
}

/// The next document on an alert's topic; an empty one is null.
async fn hear(watcher: &mut Connection, patience: Duration) -> (Received, Value) {
    let received = watcher.receive(patience).await.expect("nothing was published");
    let document = serde_json::from_slice(&received.payload).unwrap_or_default();
    (received, document)
}

#[tokio::test]
async fn an_alert_is_heard_acknowledged_and_cleared() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("oven").await;
    let mut watcher = stack.connect_operator().await;
    let rule = format!("hot-{}", device.replace('/', "-"));
    put_rule(&stack, &device, &rule, "condition = { metric = \"temperature\", above = 50, clear = 45 }")
        .await;
    let topic = format!("alerts/{device}/{rule}");
    watcher.subscribe(&format!("alerts/{device}/{rule}")).await.unwrap();

    connection.publish(&format!("dt/{device}/urgent"), temperature(55.5).as_bytes()).await.unwrap();
    let (received, active) = hear(&mut watcher, URGENT).await;
    assert_eq!((received.topic.as_str(), &active["state"]), (topic.as_str(), &json!("active")), "{active}");
    assert_eq!(
        (&active["value"], &active["threshold"]["level"], &active["device"], &active["severity"]),
        (&json!(55.5), &json!("50"), &json!(device), &json!("critical"))
    );
    assert_eq!(active["evidence"][0]["readings"][0]["value"], 55.5, "{active}");

    connection.publish(&format!("{topic}/ack"), b"").await.unwrap();
    let (_, acknowledged) = hear(&mut watcher, BATCHED).await;
    assert_eq!(
        (&acknowledged["state"], &acknowledged["previous"], &acknowledged["by"]),
        (&json!("acknowledged"), &json!("active"), &json!(device.split('/').next_back())),
        "{acknowledged}"
    );

    // Within the band nothing changes.
    connection.publish(&format!("dt/{device}/state"), temperature(47.0).as_bytes()).await.unwrap();
    connection.publish(&format!("dt/{device}/state"), temperature(40.0).as_bytes()).await.unwrap();
    let (_, cleared) = hear(&mut watcher, BATCHED).await;
    assert_eq!((&cleared["state"], &cleared["value"]), (&json!("cleared"), &json!(40)), "{cleared}");
    assert_ne!(active["id"], cleared["id"]);

    // Whoever comes later sees what stands.
    let mut later = stack.connect_operator().await;
    later.subscribe(&topic).await.unwrap();
    let (received, retained) = hear(&mut later, BATCHED).await;
    assert!(received.is_retained);
    assert_eq!(retained, cleared);

    // An acknowledgement of what does not stand is answered.
    watcher.subscribe(&format!("{topic}/ack/rejected")).await.unwrap();
    connection.publish(&format!("{topic}/ack"), b"").await.unwrap();
    let (received, rejected) = hear(&mut watcher, BATCHED).await;
    assert_eq!(received.topic, format!("{topic}/ack/rejected"));
    assert_eq!(rejected["reason"], "the alert does not stand");
}

#[tokio::test]
async fn an_alert_through_the_buffer_is_heard_within_five_seconds() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("kiln").await;
    let mut watcher = stack.connect_operator().await;
    let rule = format!("hot-{}", device.replace('/', "-"));
    put_rule(&stack, &device, &rule, "condition = { metric = \"temperature\", above = 50, clear = 45 }")
        .await;
    watcher.subscribe(&format!("alerts/{device}/{rule}")).await.unwrap();
    connection.publish(&format!("dt/{device}/state"), temperature(51.0).as_bytes()).await.unwrap();
    let (_, active) = hear(&mut watcher, BATCHED).await;
    assert_eq!(active["state"], "active");
}

#[tokio::test]
async fn a_reading_that_comes_late_takes_an_alert_back() {
    let stack = Stack::open().await;
    let (device, _connection) = stack.connect("late").await;
    let mut watcher = stack.connect_operator().await;
    let rule = format!("hot-{}", device.replace('/', "-"));
    put_rule(&stack, &device, &rule, "for = \"10s\"\ncondition = { metric = \"temperature\", above = 50 }")
        .await;
    watcher.subscribe(&format!("alerts/{device}/{rule}")).await.unwrap();
    let start = now().0 / 1_000 - 30_000;
    let send = async |after: i64, value: f64| {
        let payload = json!({"ts": start + after, "temperature": value}).to_string();
        let body = envelope(&device, now().0 / 1_000, payload.as_bytes());
        let queue = stack.sqs().await;
        queue
            .send_message()
            .queue_url(&stack.outputs["TelemetryQueueUrl"])
            .message_body(body)
            .send()
            .await
            .unwrap();
    };
    send(0, 60.0).await;
    send(10_000, 60.0).await;
    let (_, active) = hear(&mut watcher, BATCHED).await;
    assert_eq!(active["state"], "active", "{active}");
    send(5_000, 20.0).await;
    let (_, correction) = hear(&mut watcher, BATCHED).await;
    assert_eq!(correction["corrects"], json!([active["id"]]), "{correction}");
    assert_eq!((&correction["state"], &correction["cause"]), (&json!("pending"), &json!("correction")));
}

#[tokio::test]
async fn silence_raises_and_data_clears() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("quiet").await;
    let mut watcher = stack.connect_operator().await;
    let rule = format!("silent-{}", device.replace('/', "-"));
    put_rule(&stack, &device, &rule, "condition = { silent = \"3s\" }").await;
    watcher.subscribe(&format!("alerts/{device}/{rule}")).await.unwrap();
    connection.publish(&format!("dt/{device}/urgent"), temperature(20.0).as_bytes()).await.unwrap();
    let started = Instant::now();
    let raised = loop {
        // As the schedule does it every minute.
        stack
            .cloud
            .invoke("PresenceFunctionName", r#"{"source": "aws.events", "detail-type": "Scheduled Event"}"#)
            .await
            .unwrap();
        if let Ok(heard) = timeout(Duration::from_secs(2), hear(&mut watcher, PATIENCE)).await {
            break heard.1;
        }
        assert!(started.elapsed() < PATIENCE, "nobody noticed that the device is silent");
    };
    assert!(started.elapsed() > Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(
        (&raised["state"], &raised["threshold"]["test"]),
        (&json!("active"), &json!("silent")),
        "{raised}"
    );
    connection.publish(&format!("dt/{device}/urgent"), temperature(21.0).as_bytes()).await.unwrap();
    let (_, cleared) = hear(&mut watcher, URGENT).await;
    assert_eq!(cleared["state"], "cleared", "{cleared}");
}

/// The shadow `telemetry` of a device's thing, once what it reports is as wanted.
async fn shadow(stack: &Stack, device: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let thing = device.split('/').next_back().unwrap();
    let shadows = stack.shadows().await;
    let started = Instant::now();
    loop {
        let get = shadows.get_thing_shadow().thing_name(thing).shadow_name("telemetry").send().await;
        let document: Value = match get {
            Ok(output) => serde_json::from_slice(output.payload().unwrap().as_ref()).unwrap(),
            Err(_) => Value::Null,
        };
        if wanted(&document["state"]["reported"]) {
            return document;
        }
        assert!(started.elapsed() < PATIENCE, "the shadow of {device} is {document}");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn the_shadow_shows_values_connection_and_alert_and_leaves_what_is_desired() {
    let stack = Stack::open().await;
    let (device, mut connection) = stack.connect("shown").await;
    let rule = format!("hot-{}", device.replace('/', "-"));
    put_rule(&stack, &device, &rule, "condition = { metric = \"temperature\", above = 50, clear = 45 }")
        .await;
    let desired = json!({"state": {"desired": {"target": 21}}}).to_string();
    let thing = device.split('/').next_back().unwrap();
    let update = stack.shadows().await.update_thing_shadow().thing_name(thing).shadow_name("telemetry");
    update.payload(desired.into_bytes().into()).send().await.unwrap();

    connection.publish(&format!("dt/{device}/urgent"), temperature(20.0).as_bytes()).await.unwrap();
    let shown = shadow(&stack, &device, |reported| reported["metrics"]["temperature"]["value"] == 20).await;
    assert_eq!(shown["state"]["reported"]["metrics"]["temperature"]["quality"], "good", "{shown}");
    shadow(&stack, &device, |reported| reported["connection"]["online"] == true).await;

    connection.publish(&format!("dt/{device}/urgent"), temperature(70.0).as_bytes()).await.unwrap();
    let hot = shadow(&stack, &device, |reported| {
        reported["metrics"]["temperature"]["value"] == 70 && reported["alert"]["rule"] == rule.as_str()
    });
    let hot = hot.await;
    assert_eq!(hot["state"]["reported"]["alert"]["severity"], "critical", "{hot}");
    assert_eq!(hot["state"]["desired"], json!({"target": 21}), "what users desire is theirs");

    connection.publish(&format!("dt/{device}/urgent"), temperature(30.0).as_bytes()).await.unwrap();
    shadow(&stack, &device, |reported| {
        reported["metrics"]["temperature"]["value"] == 30 && reported["alert"].is_null()
    })
    .await;
    // The connection breaks: the broker says so, not the device.
    drop(connection);
    shadow(&stack, &device, |reported| reported["connection"]["online"] == false).await;
}
