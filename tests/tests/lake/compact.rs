//! What becomes of a closed hour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use lake::{Hour, Key, Name};
use serde_json::json;
use telemetry::{Micros, Reading};
use tests::fake_aws::{Fault, Operation, Pick};
use tests::lake::{BUCKET, Contents, Lake};

use crate::{MINUTE, SEVEN, archived, assert_holds, assert_holds_once, by_identity, put, reading, readings};

#[tokio::test]
async fn a_closed_hour_becomes_one_object_and_an_open_one_waits() {
    let mut lake = Lake::start().unwrap();
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let open: Vec<Reading> = (0..2).map(|n| reading(0, now + n, 1)).collect();
    put(&lake.aws, &open[..1], 1);
    put(&lake.aws, &open[1..], 2);
    let all = readings(0, 60);
    for (digest, batch) in (10..).zip(all.chunks(9)) {
        put(&lake.aws, batch, digest);
    }
    let summary = lake.compact().await.unwrap().unwrap();
    assert_eq!((&summary["hours"], &summary["replaced"]), (&json!(1), &json!(20)));
    let objects = Contents::of(&lake.aws).objects;
    assert_eq!(objects.len(), 3, "{objects:?}");
    assert_holds_once(&lake, &[&all[..], &open[..]].concat());
    // Again, nothing has changed: not a single object is read or written.
    lake.aws.reset_counters();
    let summary = lake.compact().await.unwrap().unwrap();
    assert_eq!(summary["hours"], 0);
    assert_eq!(lake.aws.counters(Operation::GetObject).requests, 0);
    assert_eq!(Contents::of(&lake.aws).objects, objects);
}

#[tokio::test]
async fn late_readings_are_compacted_into_their_hour_and_the_later_received_stands() {
    let mut lake = Lake::start().unwrap();
    let mut all = readings(0, 20);
    put(&lake.aws, &all[..30], 1);
    put(&lake.aws, &all[30..], 2);
    lake.compact().await.unwrap().unwrap();
    let mut late = readings(20, 22);
    let mut corrected = all[5].clone();
    corrected.value = telemetry::Value::Float(99.5);
    corrected.received = Micros(corrected.received.0 + 3_600_000_000);
    let mut outdated = all[7].clone();
    outdated.value = telemetry::Value::Float(-99.5);
    outdated.received = Micros(outdated.received.0 - 1);
    // As when a batch is archived again in other pieces.
    late.extend([corrected.clone(), outdated, all[9].clone()]);
    put(&lake.aws, &late, 3);
    let summary = lake.compact().await.unwrap().unwrap();
    assert_eq!(summary["replaced"], 2);
    let metrics = lake.compact_metrics().await.unwrap();
    assert_eq!((&metrics["DuplicatesEqual"], &metrics["DuplicatesDifferent"]), (&json!(1), &json!(2)));
    all[5] = corrected;
    all.extend(readings(20, 22));
    assert_holds_once(&lake, &all);
    let objects = Contents::of(&lake.aws).objects;
    assert!(objects[0].contains("/compacted-000002-"), "{objects:?}");
}

/// Looks at the lake after each of the next requests that change it, as a query might.
fn watch(lake: &Lake, expected: &[Reading]) -> Arc<Mutex<Vec<usize>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for operation in [Operation::PutObject, Operation::DeleteObjects] {
        for nth in 1..=20 {
            let (expected, seen) = (by_identity(expected.to_vec()), Arc::clone(&seen));
            lake.aws.after_next(operation, nth, move |aws| {
                let contents = Contents::of(aws);
                let is_whole = by_identity(contents.standing()) == expected;
                seen.lock().unwrap().push(if is_whole { contents.rows.len() } else { 0 });
            });
        }
    }
    seen
}

#[tokio::test]
async fn no_query_misses_a_row_at_any_moment_of_a_swap() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 60);
    for (digest, batch) in (10..).zip(all.chunks(9)) {
        put(&lake.aws, batch, digest);
    }
    let seen = watch(&lake, &all);
    lake.compact().await.unwrap().unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, [2 * all.len(), all.len()], "all of it twice for a moment, then once");
}

#[tokio::test]
async fn a_compaction_that_cannot_delete_is_finished_by_the_next() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 30);
    for (digest, batch) in (10..).zip(all.chunks(9)) {
        put(&lake.aws, batch, digest);
    }
    // As when it is killed between the two: the new object is there, and the old ones.
    lake.aws.after_next(Operation::PutObject, 1, |aws| {
        aws.fail_next(Operation::DeleteObjects, Fault::DropConnection, 1_000);
    });
    let pid = lake.compact_process().await.unwrap().pid();
    let watcher = lake.aws.handle();
    let killer = tokio::spawn(async move {
        while watcher.counters(Operation::DeleteObjects).requests == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    });
    assert_eq!(lake.compact().await.unwrap(), Err("Runtime.ExitError".to_owned()));
    killer.await.unwrap();
    lake.kill();
    lake.aws.clear_faults();
    assert_holds(&lake, &all);
    assert!(Contents::of(&lake.aws).objects.len() > 1);
    // Some of the old ones refuse to go for a while.
    lake.aws.fail_deletes(Pick::EveryKth(3), "InternalError");
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &all);
    assert_eq!(Contents::of(&lake.aws).objects.len(), 1);
}

#[tokio::test]
async fn while_s3_refuses_writes_nothing_is_deleted() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 30);
    put(&lake.aws, &all[..20], 1);
    put(&lake.aws, &all[20..], 2);
    let before = Contents::of(&lake.aws);
    let handle = lake.aws.handle();
    lake.aws.fail_next(Operation::PutObject, Fault::Throttle, 1_000_000);
    let compacting = lake.compact();
    let ending = async {
        while handle.counters(Operation::PutObject).requests < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let deletes = handle.counters(Operation::DeleteObjects).requests;
        handle.clear_faults();
        deletes
    };
    let (summary, deletes) = tokio::join!(compacting, ending);
    assert_eq!(deletes, 0, "not before the write");
    assert_eq!(summary.unwrap().unwrap()["hours"], 1);
    assert_eq!(by_identity(Contents::of(&lake.aws).rows), by_identity(before.rows));
}

#[tokio::test]
async fn hours_that_there_is_no_time_for_stay_as_they_are_and_are_counted() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 120);
    for (digest, batch) in (10..).zip(all.chunks(36)) {
        put(&lake.aws, batch, digest);
    }
    let before = Contents::of(&lake.aws);
    let summary = lake.compact_within(Duration::from_secs(20)).await.unwrap().unwrap();
    assert_eq!((&summary["hours"], &summary["cut_short"]), (&json!(0), &json!(2)));
    assert_eq!(lake.compact_metrics().await.unwrap()["CutShort"], 2);
    assert_eq!(Contents::of(&lake.aws), before);
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &all);
}

#[tokio::test]
async fn objects_that_come_while_it_runs_are_kept_for_the_next_run() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 40);
    put(&lake.aws, &all[..30], 1);
    put(&lake.aws, &all[30..60], 2);
    let (late, later) = (all[60..90].to_vec(), all[90..].to_vec());
    lake.aws.after_next(Operation::GetObject, 1, move |aws| drop(put(aws, &late, 3)));
    lake.aws.after_next(Operation::PutObject, 1, move |aws| drop(put(aws, &later, 4)));
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &all);
    assert_eq!(Contents::of(&lake.aws).objects.len(), 3);
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &all);
    assert_eq!(Contents::of(&lake.aws).objects.len(), 1);
}

#[tokio::test]
async fn two_compactions_at_one_time_lose_nothing_and_the_next_heals_what_they_doubled() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 40);
    put(&lake.aws, &all[..60], 1);
    put(&lake.aws, &all[60..90], 2);
    // What another run, which had seen one object more, does between this one's reads and its write.
    let (key, body) = archived(&all, 0);
    let of_another = Key {
        hour: Key::parse(&key).unwrap().hour,
        name: Name::Compacted { generation: 1, set: "00000000000000ff".to_owned(), part: 1, parts: 1 },
    };
    lake.aws.after_next(Operation::GetObject, 2, move |aws| {
        aws.put_object(BUCKET, &of_another.to_string(), body);
    });
    lake.compact().await.unwrap().unwrap();
    assert_holds(&lake, &all);
    assert!(Contents::of(&lake.aws).rows.len() > all.len());
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &all);
    // One whose objects are gone before it has read them leaves the hour to the other.
    put(&lake.aws, &all[..3], 7);
    lake.aws.set_list_page(1_000);
    lake.aws.after_next(Operation::ListObjects, 1, |aws| {
        for key in aws.object_keys(BUCKET) {
            aws.remove_object(BUCKET, &key);
        }
    });
    let summary = lake.compact().await.unwrap().unwrap();
    assert_eq!((&summary["overtaken"], &summary["hours"]), (&json!(1), &json!(0)));
    assert_eq!(Contents::of(&lake.aws).objects.len(), 0, "and writes nothing");
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_ours_is_named_and_never_deleted() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 40);
    put(&lake.aws, &all[..60], 1);
    put(&lake.aws, &all[60..], 2);
    let (truncated, body) = archived(&all[..9], 3);
    lake.aws.put_object(BUCKET, &truncated, body.slice(..body.len() / 2));
    let empty = archived(&all[..9], 4).0;
    lake.aws.put_object(BUCKET, &empty, Bytes::new());
    // Of a later version, and Parquet that somebody else wrote under a name of the lake's.
    let (newer, body) = archived(&all[..9], 5);
    lake.aws.put_object(
        BUCKET,
        &newer,
        patched(&body, b"tidegate.version\x18\x013", b"tidegate.version\x18\x019"),
    );
    let (unversioned, body) = archived(&all[..9], 6);
    lake.aws.put_object(BUCKET, &unversioned, patched(&body, b"tidegate.version", b"anybody's.version"));
    let foreign = format!("{}part-0000.snappy.parquet", Hour::of(Micros(SEVEN)).prefix());
    lake.aws.put_object(BUCKET, &foreign, Bytes::from_static(b"PAR1 of somebody else"));
    let outcome = lake.compact().await.unwrap().unwrap();
    assert_eq!(
        (&outcome["hours"], &outcome["unreadable"], &outcome["foreign"]),
        (&json!(1), &json!(4), &json!(1))
    );
    assert_eq!(outcome["unreadable_keys"], json!([truncated, empty, newer, unversioned]));
    assert_eq!(outcome["foreign_keys"], json!([foreign]));
    let metrics = lake.compact_metrics().await.unwrap();
    assert_eq!((&metrics["Unreadable"], &metrics["Foreign"]), (&json!(4), &json!(1)));
    let keys = lake.aws.object_keys(BUCKET);
    let left = [&truncated, &empty, &newer, &unversioned, &foreign];
    assert!(left.into_iter().all(|key| keys.contains(key)), "{keys:?}");
    // The later version can be read, by this program too; it is only not written anew.
    lake.aws.remove_object(BUCKET, &newer);
    assert_holds_once(&lake, &all);
    // The next run looks at them again, and does not write the rest anew.
    lake.aws.reset_counters();
    let outcome = lake.compact().await.unwrap().unwrap();
    assert_eq!((&outcome["hours"], &outcome["unreadable"]), (&json!(0), &json!(3)));
    assert_eq!(lake.aws.counters(Operation::GetObject).requests, 3);
    assert_eq!(lake.aws.counters(Operation::PutObject).requests, 0);
}

/// A file with `from` in its footer replaced by as many bytes of `to`.
fn patched(file: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let place = file.windows(from.len()).rposition(|window| window == from).unwrap();
    let mut patched = file.to_vec();
    patched[place..place + from.len()].copy_from_slice(&to[..from.len()]);
    patched.into()
}

#[tokio::test]
async fn an_unreadable_part_of_a_compacted_hour_does_not_have_the_rest_written_again() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 40);
    let hour = Hour::of(Micros(SEVEN));
    let part = |generation, set: u64, part, parts| {
        Key { hour, name: Name::Compacted { generation, set: format!("{set:016x}"), part, parts } }
            .to_string()
    };
    lake.aws.put_object(BUCKET, &part(2, 7, 1, 2), archived(&all[..60], 0).1);
    lake.aws.put_object(BUCKET, &part(2, 7, 2, 2), archived(&all[60..], 0).1);
    let broken = part(1, 5, 1, 1);
    lake.aws.put_object(BUCKET, &broken, Bytes::from_static(b"PAR1"));
    let keys = lake.aws.object_keys(BUCKET);
    let outcome = lake.compact().await.unwrap().unwrap();
    assert_eq!((&outcome["hours"], &outcome["unreadable_keys"]), (&json!(0), &json!([broken])));
    assert_eq!(lake.aws.object_keys(BUCKET), keys);
}

#[tokio::test]
async fn where_deletes_are_refused_for_good_there_is_one_copy_more_and_not_one_each_run() {
    let mut lake = Lake::start().unwrap();
    let all = readings(0, 40);
    put(&lake.aws, &all[..60], 1);
    put(&lake.aws, &all[60..], 2);
    lake.aws.fail_deletes(Pick::EveryKth(1), "AccessDenied");
    for _ in 0..3 {
        assert_eq!(lake.compact().await.unwrap(), Err("Tidegate.NotCompacted".to_owned()));
        assert_eq!(Contents::of(&lake.aws).objects.len(), 3);
        assert_holds(&lake, &all);
    }
    assert!(
        lake.aws.counters(Operation::DeleteObjects).requests <= 3,
        "a refusal for good is not tried again"
    );
    lake.aws.clear_faults();
    lake.compact().await.unwrap().unwrap();
    assert_holds_once(&lake, &all);
    assert_eq!(Contents::of(&lake.aws).objects.len(), 1);
}

#[tokio::test]
async fn an_hour_is_told_from_the_next_across_pages_of_the_list() {
    let mut lake = Lake::start().unwrap();
    lake.aws.set_list_page(3);
    let all = readings(0, 240);
    for (digest, batch) in (10..).zip(all.chunks(36)) {
        put(&lake.aws, batch, digest);
    }
    let summary = lake.compact().await.unwrap().unwrap();
    assert_eq!((&summary["hours"], &summary["replaced"]), (&json!(4), &json!(20)));
    assert_holds_once(&lake, &all);
    assert_eq!(Contents::of(&lake.aws).objects.len(), 4);
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

/// An hour as it was compacted two days ago: values that do not repeat, so that it is large beside what comes late.
fn put_compacted(lake: &Lake, hour: i64) -> Vec<Reading> {
    let start = SEVEN + hour * 60 * MINUTE;
    let noise = |n: i64| ((n + hour * 7_919) as f64).sin();
    let readings: Vec<Reading> = (0..9_000).map(|n| reading(0, start + n * 1_000, noise(n))).collect();
    let key = Key {
        hour: Hour::of(Micros(start)),
        name: Name::Compacted { generation: 1, set: "00000000000000aa".to_owned(), part: 1, parts: 1 },
    };
    lake.aws.put_object(BUCKET, &key.to_string(), archived(&readings, 0).1);
    lake.aws.set_modified(BUCKET, &key.to_string(), Micros(now() - 48 * 60 * MINUTE));
    readings
}

/// The lake's objects and their sizes.
fn sizes(lake: &Lake) -> BTreeMap<String, usize> {
    let keys = lake.aws.object_keys(BUCKET).into_iter();
    keys.map(|key| (key.clone(), lake.aws.object(BUCKET, &key).unwrap().body.len())).collect()
}

#[tokio::test]
async fn a_trickle_of_late_readings_costs_in_proportion_to_itself() {
    const HOURS: i64 = 4;
    const RUNS: u64 = 30;
    let mut lake = Lake::start().unwrap();
    let mut all: Vec<Reading> = (0..HOURS).flat_map(|hour| put_compacted(&lake, hour)).collect();
    let (mut arrived, mut rewritten, mut deferred) = (0, 0, 0);
    let began = now() - 12 * 60 * MINUTE;
    for run in 1..=RUNS {
        // What comes late does so after the run before, and not in the same second.
        let comes = Micros(began + i64::try_from(run).unwrap() * MINUTE);
        for hour in 0..HOURS {
            let at = SEVEN + hour * 60 * MINUTE + i64::try_from(run).unwrap();
            let late = reading(1, at, run as f64);
            let key = put(&lake.aws, std::slice::from_ref(&late), run);
            lake.aws.set_modified(BUCKET, &key, comes);
            arrived += lake.aws.object(BUCKET, &key).unwrap().body.len();
            all.push(late);
        }
        let before = sizes(&lake);
        let summary = lake.compact().await.unwrap().unwrap();
        deferred += summary["deferred"].as_u64().unwrap();
        for (key, bytes) in sizes(&lake).into_iter().filter(|(key, _)| !before.contains_key(key)) {
            lake.aws.set_modified(BUCKET, &key, comes.plus(MINUTE / 2));
            rewritten += bytes;
        }
    }
    assert_holds_once(&lake, &all);
    assert!(deferred > 0 && rewritten > 0, "{deferred} deferred, {rewritten} rewritten");
    // A byte that arrives is written once, and at most 8 of its hour with it.
    assert!(rewritten <= 9 * arrived, "{rewritten} bytes were rewritten for {arrived} that arrived");
}

#[tokio::test]
async fn late_readings_that_are_too_few_are_compacted_after_a_day() {
    let mut lake = Lake::start().unwrap();
    let mut all = put_compacted(&lake, 0);
    let late = [reading(1, SEVEN, 1), reading(1, SEVEN + 1, 2)];
    let keys = [put(&lake.aws, &late[..1], 1), put(&lake.aws, &late[1..], 2)];
    all.extend(late);
    let now = now();
    let check = async |lake: &mut Lake, hours: usize, objects: usize| {
        let summary = lake.compact().await.unwrap().unwrap();
        assert_eq!(summary["hours"], hours);
        assert_holds_once(lake, &all);
        assert_eq!(Contents::of(&lake.aws).objects.len(), objects);
    };
    lake.aws.set_modified(BUCKET, &keys[0], Micros(now - 23 * 60 * MINUTE));
    check(&mut lake, 0, 3).await;
    lake.aws.set_modified(BUCKET, &keys[0], Micros(now - 25 * 60 * MINUTE));
    check(&mut lake, 1, 1).await;
}

#[tokio::test]
async fn what_a_compaction_has_left_undeleted_goes_with_the_next_run_however_little_it_is() {
    let mut lake = Lake::start().unwrap();
    let all = put_compacted(&lake, 0);
    let key = put(&lake.aws, &all[..1], 1);
    let written = Micros(now() - 60 * MINUTE);
    for key in lake.aws.object_keys(BUCKET) {
        lake.aws.set_modified(BUCKET, &key, written);
    }
    lake.aws.set_modified(BUCKET, &key, written.plus(-1));
    assert_eq!(lake.compact().await.unwrap().unwrap()["hours"], 1);
    assert_holds_once(&lake, &all);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_does_not_make_its_hour_due_at_every_run() {
    let mut lake = Lake::start().unwrap();
    let mut all = put_compacted(&lake, 0);
    let (broken, body) = archived(&all[..9], 3);
    lake.aws.put_object(BUCKET, &broken, body.slice(..body.len() / 2));
    lake.aws.set_modified(BUCKET, &broken, Micros(0));
    all.push(reading(1, SEVEN, 1));
    put(&lake.aws, &all[all.len() - 1..], 1);
    lake.aws.reset_counters();
    let summary = lake.compact().await.unwrap().unwrap();
    let counts = ["hours", "deferred", "unreadable"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [0, 1, 1]);
    assert_eq!(lake.aws.counters(Operation::GetObject).requests, 2, "the hour itself is not read");
    assert_holds_once(&lake, &all);
}
