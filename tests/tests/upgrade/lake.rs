//! The lake: Parquet objects, and what compaction makes of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lake::{Columns, Hour, Key, Merge, Name, Reader};
use serde_json::Value;
use telemetry::Reading;
use tests::lake::{BUCKET, Contents, Lake};

use crate::Recording;
use crate::said::{Said, assert_same, identity, of_reading, of_row, recorded};

/// The objects of a recording, by key.
fn objects(recording: &Recording) -> BTreeMap<String, Bytes> {
    recording.files("lake", "readings").into_iter().map(|(key, body)| (key, body.into())).collect()
}

/// Asserts that these are the readings that stood, each once, whatever their order.
fn assert_stand(found: impl IntoIterator<Item = Reading>, recording: &Recording) {
    let mut found: Vec<Said> = found.into_iter().map(|reading| of_reading(&reading)).collect();
    let mut expected: Vec<Said> = recorded(recording).into_values().flatten().collect();
    found.sort_by_cached_key(identity);
    expected.sort_by_cached_key(identity);
    assert_same(&found, &expected, "the lake");
}

#[test]
fn every_object_has_the_rows_that_other_engines_found() {
    for recording in Recording::all() {
        let mut rows: BTreeMap<String, Vec<Said>> = BTreeMap::new();
        for row in recording.lines("lake.jsonl") {
            rows.entry(row["object"].as_str().unwrap().to_owned()).or_default().push(of_row(&row));
        }
        let objects = objects(&recording);
        assert_eq!(objects.keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>());
        for (key, body) in objects {
            assert!(Key::parse(&key).is_some(), "{key} is taken for somebody else's");
            let reader = Reader::open(body).unwrap_or_else(|error| panic!("{key}: {error}"));
            reader.check_rewritable().unwrap();
            assert_eq!(reader.rows(), rows[&key].len(), "{key}");
            let found: Vec<Said> = reader.read_all().unwrap().readings().map(|r| of_reading(&r)).collect();
            assert_same(&found, &rows[&key], &key);
        }
    }
}

#[test]
fn merging_old_objects_keeps_every_reading_once() {
    for recording in Recording::all() {
        let readers = objects(&recording).into_values().map(|body| Reader::open(body).unwrap());
        let mut merge = Merge::new(readers).unwrap();
        let (mut columns, mut merged) = (Columns::default(), Vec::new());
        while merge.next(100, &mut columns).unwrap() {
            merged.extend(columns.readings());
        }
        assert_eq!(merge.read(), recording.lines("lake.jsonl").len());
        assert_stand(merged, &recording);
    }
}

/// The hours that have archived objects beside compacted ones.
fn with_both<'a>(keys: impl Iterator<Item = &'a String>) -> BTreeSet<Hour> {
    let mut compacted: BTreeMap<Hour, BTreeSet<bool>> = BTreeMap::new();
    for key in keys.map(|key| Key::parse(key).unwrap()) {
        compacted.entry(key.hour).or_default().insert(matches!(key.name, Name::Compacted { .. }));
    }
    let hours = compacted.into_iter().filter(|(_, kinds)| kinds.len() == 2);
    let hours: BTreeSet<Hour> = hours.map(|(hour, _)| hour).collect();
    assert!(!hours.is_empty());
    hours
}

/// The function itself, on a bucket with the old objects: archived ones, compacted ones, and hours that have both.
#[tokio::test]
async fn compaction_replaces_old_objects_and_keeps_every_reading() {
    for recording in Recording::all() {
        let mut lake = Lake::start().unwrap();
        let objects = objects(&recording);
        for (key, body) in &objects {
            lake.aws.put_object(BUCKET, key, body.clone());
        }
        let summary: Value = lake.compact().await.unwrap().unwrap();
        assert_eq!((&summary["unreadable"], &summary["foreign"]), (&0.into(), &0.into()), "{summary}");
        let contents = Contents::of(&lake.aws);
        for hour in with_both(objects.keys()) {
            let now = contents.objects.iter().filter(|key| Key::parse(key).unwrap().hour == hour);
            assert_eq!(now.count(), 1, "{hour}: {:?}", contents.objects);
        }
        assert_stand(contents.rows, &recording);
    }
}
