//! The readings table: spans.

use std::time::Duration;

use cloud::readings::Readings;
use cloud::retry::Deadline;
use telemetry::{DeviceId, Micros, Reading, Span, StoredSpan, standing};
use tests::fake_aws::{FakeAws, Storage};
use tidegate::aws::Clients;

use crate::said::{Said, assert_same, of_reading, recorded};
use crate::{Recording, attributes, n, s};

const PATIENCE: Duration = Duration::from_secs(30);
/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

fn said(readings: &[Reading]) -> Vec<Said> {
    readings.iter().map(of_reading).collect()
}

#[test]
fn every_reading_of_every_span_is_what_it_was() {
    for recording in Recording::all() {
        let mut readings = Vec::new();
        for (item, text) in
            recording.items("readings").iter().zip(recording.text("tables/readings.jsonl").lines())
        {
            let key = s(item, "span");
            let stored = StoredSpan::from_json(text).unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!((stored.span.device().as_str(), &*stored.key), (s(item, "device"), key));
            assert_eq!(i64::try_from(stored.span.len()).unwrap(), n(&item["n"]), "{key}");
            // As a stream brings it, and as a query does.
            assert_eq!(Span::from_item(&attributes(item)).unwrap(), stored.span, "{key}");
            readings.extend(stored.span.readings());
        }
        for (device, expected) in recorded(&recording) {
            let of_device = readings.iter().filter(|reading| reading.device.as_str() == device).cloned();
            assert_same(&said(&standing(of_device.collect())), &expected, &device);
        }
    }
}

#[tokio::test]
async fn queries_find_what_they_found() {
    for recording in Recording::all() {
        let aws = FakeAws::start(Storage::Keep).unwrap();
        aws.create_table("readings", "device", Some("span"));
        recording.put(&aws, "readings");
        let clients = Clients::local(&aws.endpoint(), "us-east-1").await;
        let table = Readings::new(clients.dynamodb, "readings");
        let query = async |device: &str, from: Micros, to: Micros| {
            let device = DeviceId::from_stored(device);
            said(&table.query(&device, from, to, Deadline::after(PATIENCE)).await.unwrap())
        };
        for (device, expected) in recorded(&recording) {
            let at = |said: &Said| Micros(said["at"].as_i64().unwrap());
            let (first, last) = (at(&expected[0]), at(expected.last().unwrap()));
            assert_same(&query(&device, first, last).await, &expected, &device);
            // The last minute alone lies in a span that may have begun long before.
            let from = last.plus(-MINUTE);
            let recent: Vec<Said> = expected.into_iter().filter(|said| at(said) >= from).collect();
            assert_same(&query(&device, from, last).await, &recent, &device);
        }
    }
}
