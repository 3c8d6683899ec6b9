//! Which of two readings of one time replaces the other, wherever processes meet: the present state of a device beside
//! several writers, and the revisions of profiles that decide it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use cloud::documents::Documents;
use cloud::retry::Deadline;
use serde_json::{Value, json};
use telemetry::{Latest, Micros, Profile};
use tests::events::{RECEIVED, envelope, sqs};
use tests::fake_aws::{FakeAws, Fault, Operation, Storage};
use tests::functions::all_well;
use tests::ingest::{CONFIG, Ingest};
use tidegate::aws::Clients;

const ENOUGH: Duration = Duration::from_secs(30);

/// A message of the one device, so many seconds after the first.
fn message(received: i64, payload: &Value) -> String {
    sqs(&[envelope("plant/pump-1", RECEIVED + received * 1_000, payload.to_string().as_bytes())])
}

/// The state after two processes have stored a message each, the first one's first.
async fn state_after(first: &str, second: &str) -> Latest {
    let mut ingest = Ingest::start().await.unwrap();
    let mut other = ingest.beside().await.unwrap();
    assert_eq!(ingest.invoke(first, ENOUGH).await.unwrap(), all_well());
    assert_eq!(other.invoke(second, ENOUGH).await.unwrap(), all_well());
    let [state] = <[Latest; 1]>::try_from(ingest.devices().unwrap()).unwrap();
    state
}

#[tokio::test]
async fn of_readings_of_one_time_the_same_one_is_shown_whoever_writes_last() {
    let at = RECEIVED - 1_000;
    let check = async |a: &str, b: &str, expected: &[(&str, i64)]| {
        let state = state_after(a, b).await;
        assert_eq!(state_after(b, a).await, state);
        let shown: Vec<(&str, String)> =
            state.metrics.iter().map(|(metric, reading)| (&**metric, reading.value.to_string())).collect();
        let expected: Vec<(&str, String)> =
            expected.iter().map(|(metric, value)| (*metric, value.to_string())).collect();
        assert_eq!(shown, expected);
    };
    // Received later.
    let of = |received: i64, value: i64| message(received, &json!({"ts": at, "x": value}));
    check(&of(0, 7), &of(5, 3), &[("x", 3)]).await;
    // Received at once: the greater value.
    check(&of(0, 7), &of(0, 3), &[("x", 7)]).await;
    // Of another metric as well, which only one of them has.
    let both = message(5, &json!({"ts": at, "x": 3, "y": 1}));
    check(&of(0, 7), &both, &[("x", 3), ("y", 1)]).await;
    // Two of one time in one message: the second is the later one, whatever is received afterwards.
    let two = message(0, &json!([{"ts": at, "x": 7}, {"ts": at, "x": 8}]));
    check(&two, &of(5, 3), &[("x", 8)]).await;
}

#[tokio::test]
async fn the_first_message_is_the_first_whoever_writes_last() {
    let of = |at: i64, received: i64| {
        let payload = json!({"ts": RECEIVED + at, "x": at}).to_string();
        envelope("plant/pump-1", RECEIVED + received * 1_000, payload.as_bytes())
    };
    // All of the second batch is newer than the first, and one of its messages was received before it.
    let (one, two) = (sqs(&[of(1, 10)]), sqs(&[of(2, 5), of(3, 15)]));
    let state = state_after(&one, &two).await;
    assert_eq!(state.first_seen.0 / 1_000, RECEIVED + 5_000);
    assert_eq!(state_after(&two, &one).await, state);
}

#[tokio::test]
async fn what_an_older_profile_made_of_a_message_never_replaces_what_a_newer_one_made_of_it() {
    let profile = |scale: u32| {
        let toml =
            format!("name = \"pump\"\ndevices = \"plant/*\"\n[[metric]]\nfrom = \"x\"\nscale = {scale}\n");
        Profile::from_toml(&toml).unwrap()
    };
    let warm = message(-60, &json!({"ts": RECEIVED - 60_000, "x": 0}));
    let text = message(0, &json!({"ts": RECEIVED, "x": 1}));
    let mut states = Vec::new();
    for is_older_last in [false, true] {
        let mut ingest = Ingest::start().await.unwrap();
        let table = profiles(&ingest.aws).await;
        let older = table.put(&profile(10), Micros(1_000), deadline()).await.unwrap();
        // This process has read the older profile, and goes by it for a while.
        assert_eq!(ingest.invoke(&warm, ENOUGH).await.unwrap(), all_well());
        let newer = table.put(&profile(2), Micros(999), deadline()).await.unwrap();
        assert!(newer > older, "the clock of who wrote it was slow");
        let mut other = ingest.beside().await.unwrap();
        if is_older_last {
            assert_eq!(other.invoke(&text, ENOUGH).await.unwrap(), all_well());
            assert_eq!(ingest.invoke(&text, ENOUGH).await.unwrap(), all_well());
        } else {
            assert_eq!(ingest.invoke(&text, ENOUGH).await.unwrap(), all_well());
            assert_eq!(other.invoke(&text, ENOUGH).await.unwrap(), all_well());
        }
        let shown = ingest.devices().unwrap()[0].metrics["x"].clone();
        assert_eq!((shown.value.to_string().as_str(), shown.revision), ("2", newer));
        let stored = ingest.readings().unwrap();
        let stored = stored.iter().find(|reading| reading.at == shown.at).unwrap();
        assert_eq!(*stored, shown, "the table's readers see the same");
        states.push(ingest.devices().unwrap());
    }
    assert_eq!(states[0], states[1]);
}

async fn profiles(aws: &FakeAws) -> Documents<Profile> {
    let clients = Clients::local(&aws.endpoint(), "us-east-1").await;
    Documents::new(clients.dynamodb, CONFIG)
}

fn with_config() -> FakeAws {
    let aws = FakeAws::start(Storage::Keep).unwrap();
    aws.create_table(CONFIG, "kind", Some("name"));
    aws
}

fn deadline() -> Deadline {
    Deadline::after(ENOUGH)
}

/// One of many versions of a profile.
fn version(number: usize) -> Profile {
    let toml = format!("name = \"pump\"\ndevices = \"plant-{number}/*\"\n");
    Profile::from_toml(&toml).unwrap()
}

/// The document in the table, and its revision.
async fn stored(table: &Documents<Profile>) -> (String, Micros) {
    let loaded = table.load(deadline()).await.unwrap();
    let [(profile, updated)] = &loaded.good[..] else { panic!("{loaded:?}") };
    (profile.to_json().to_owned(), *updated)
}

#[tokio::test]
async fn a_profile_that_is_put_has_a_greater_revision_than_what_it_replaces() {
    let aws = with_config();
    let table = profiles(&aws).await;
    let check = async |number: usize, now: i64, expected: i64| {
        let updated = table.put(&version(number), Micros(now), deadline()).await.unwrap();
        assert_eq!(updated, Micros(expected), "at {now}");
        assert_eq!(stored(&table).await, (version(number).to_json().to_owned(), updated));
    };
    check(0, 1_000, 1_000).await;
    check(1, 2_000, 2_000).await;
    // The same microsecond, a clock that is slow, and one that has been put right.
    check(2, 2_000, 2_001).await;
    check(3, 500, 2_002).await;
    check(4, 3_000, 3_000).await;
    // The answer was lost, and the request is sent again.
    check(4, 3_000, 3_000).await;
    // The same document put once more is a revision of its own: messages that are processed again go by it.
    check(4, 3_001, 3_001).await;
    check(4, 3_000, 3_002).await;
    // One that is not there has no revision to exceed.
    assert!(table.delete("pump", deadline()).await.unwrap());
    check(5, 700, 700).await;
}

#[tokio::test]
async fn operators_who_put_a_profile_at_one_time_each_get_a_revision() {
    let aws = with_config();
    let table = profiles(&aws).await;
    aws.fail_next(Operation::PutItem, Fault::Throttle, 2);
    let operators = tokio::task::LocalSet::new();
    let _entered = operators.enter();
    let puts: Vec<_> = (0..8)
        .map(|number| {
            let table = table.clone();
            tokio::task::spawn_local(async move {
                let updated = table.put(&version(number), Micros(1_000), deadline()).await.unwrap();
                (updated, number)
            })
        })
        .collect();
    operators.await;
    let mut revisions = BTreeSet::new();
    for put in puts {
        revisions.insert(put.await.unwrap());
    }
    let distinct: BTreeSet<Micros> = revisions.iter().map(|(updated, _)| *updated).collect();
    assert_eq!(distinct.len(), 8, "{revisions:?}");
    let (greatest, number) = *revisions.last().unwrap();
    assert_eq!(stored(&table).await, (version(number).to_json().to_owned(), greatest));
}
