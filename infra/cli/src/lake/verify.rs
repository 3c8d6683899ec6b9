//! `tidegate lake verify`: a day's readings in the lake against those in DynamoDB, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cloud::devices::Devices;
use cloud::readings::Readings;
use jiff::{SignedDuration, Timestamp};
use lake::Hour;
use telemetry::{DeviceId, Metric, Micros, Reading, Seq, standing};

use super::export::day_range;
use super::{Lake, hours};
use crate::aws::patience;
use crate::console::{note, print};
use crate::error::{Context as _, Error, Result};
use crate::table::Table;
use crate::target::Target;

/// What was received so recently may be on its way through the archive's window.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(15);
/// Identities named of each kind, of what may be thousands.
const NAMED: usize = 20;

/// What differs between the two.
#[derive(Debug, Default)]
struct Outcome {
    rows: usize,
    identities: usize,
    in_dynamodb: usize,
    /// In DynamoDB, and not in the lake.
    missing: Vec<String>,
    /// The same, received a short while ago.
    on_their_way: usize,
    /// In the lake with another value than in DynamoDB.
    different: Vec<String>,
    /// In the lake more than once, until the hour is compacted.
    duplicate: Vec<String>,
    /// In the lake only: DynamoDB keeps readings for a while, the lake for ever.
    lake_only: usize,
    /// Objects of the lake.
    unreadable: Vec<String>,
}

/// Counts a day again, in UTC, and prints what is missing or there twice, by name.
///
/// # Errors
/// If the two cannot be read; or, as a negative answer, if a reading is missing or different, or an object unreadable.
pub async fn verify(target: &Target, day: &str) -> Result<()> {
    let (from, to) = day_range(day)?;
    let source = target.open_stack().await?;
    let lake = Lake::of(&source)?;
    let table = Readings::new(source.clients.dynamodb.clone(), source.readings()?);
    let devices = Devices::new(source.clients.dynamodb.clone(), source.devices()?);
    let devices = devices.list(patience()).await.or_problem(|| "cannot read the devices table")?;
    let devices: Vec<DeviceId> = devices.into_iter().map(|latest| latest.device).collect();
    let now = Timestamp::now();
    let settled = Micros(now.saturating_sub(ON_ITS_WAY).unwrap_or(now).as_microsecond());
    let mut outcome = Outcome::default();
    for hour in hours(from, to) {
        let mut stored = BTreeMap::new();
        for device in &devices {
            let readings = table.query(device, hour.start(), Micros(hour.end().0 - 1), patience()).await;
            stored.insert(device.clone(), readings.or_problem(|| "cannot read the readings table")?);
        }
        let in_lake = in_lake(&lake, hour, &mut outcome.unreadable).await?;
        outcome.compare(in_lake, stored, settled);
    }
    print(&outcome.render(day))?;
    if outcome.is_good() {
        note("every reading of that day that DynamoDB has is in the lake");
        Ok(())
    } else {
        Err(Error::negative(format!(
            "of {day}, {} readings are missing in the lake, {} are different there, and {} objects cannot be read",
            outcome.missing.len(),
            outcome.different.len(),
            outcome.unreadable.len()
        )))
    }
}

/// The rows of an hour, by device.
async fn in_lake(
    lake: &Lake,
    hour: Hour,
    unreadable: &mut Vec<String>,
) -> Result<BTreeMap<DeviceId, Vec<Reading>>> {
    let mut rows: BTreeMap<DeviceId, Vec<Reading>> = BTreeMap::new();
    for fetched in lake.hour(hour).await? {
        match fetched.columns {
            Ok(columns) => {
                for reading in columns.readings() {
                    rows.entry(reading.device.clone()).or_default().push(reading);
                }
            }
            Err(error) => unreadable.push(format!("{}: {error}", fetched.key)),
        }
    }
    Ok(rows)
}

fn name(reading: &Reading) -> String {
    let seq = if reading.seq.is_none() { String::new() } else { format!(" seq {}", reading.seq) };
    format!("{} {} {}{seq}", reading.device, reading.metric, reading.at)
}

/// What identifies it among the readings of its device.
fn identity(reading: &Reading) -> (Metric, (Micros, Seq)) {
    (reading.metric.clone(), reading.instant())
}

impl Outcome {
    /// One hour: the lake's rows, and what DynamoDB has.
    fn compare(
        &mut self,
        mut lake: BTreeMap<DeviceId, Vec<Reading>>,
        stored: BTreeMap<DeviceId, Vec<Reading>>,
        settled: Micros,
    ) {
        for (device, stored) in stored {
            let rows = lake.remove(&device).unwrap_or_default();
            self.in_dynamodb += stored.len();
            let lake = self.count(rows);
            let known: BTreeMap<_, &Reading> =
                lake.iter().map(|reading| (identity(reading), reading)).collect();
            for reading in &stored {
                match known.get(&identity(reading)) {
                    Some(found) if found.value == reading.value && found.unit == reading.unit => {}
                    // Of two values for one identity the later received replaces the other, and may not be in the lake yet.
                    _ if reading.received > settled => self.on_their_way += 1,
                    Some(_) => self.different.push(name(reading)),
                    None => self.missing.push(name(reading)),
                }
            }
            let stored: BTreeSet<_> = stored.iter().map(identity).collect();
            self.lake_only += known.keys().filter(|identity| !stored.contains(*identity)).count();
        }
        for rows in lake.into_values() {
            self.lake_only += self.count(rows).len();
        }
    }

    /// Counts a device's rows and names those that are there twice; returns each identity once.
    fn count(&mut self, rows: Vec<Reading>) -> Vec<Reading> {
        self.rows += rows.len();
        let mut seen = BTreeSet::new();
        for row in &rows {
            if !seen.insert(identity(row)) {
                self.duplicate.push(name(row));
            }
        }
        let standing = standing(rows);
        self.identities += standing.len();
        standing
    }

    fn is_good(&self) -> bool {
        self.missing.is_empty() && self.different.is_empty() && self.unreadable.is_empty()
    }

    fn render(&self, day: &str) -> String {
        let mut table = Table::new(["", "readings"]);
        let mut row = |name: &str, count: usize| table.push([name.to_owned(), count.to_string()]);
        row("rows in the lake", self.rows);
        row("identities among them", self.identities);
        row("in DynamoDB", self.in_dynamodb);
        row("in the lake only", self.lake_only);
        row("on their way", self.on_their_way);
        row("twice in the lake", self.duplicate.len());
        row("missing in the lake", self.missing.len());
        row("different in the lake", self.different.len());
        let mut text = format!("{day}, UTC\n\n{}", table.render());
        for (kind, names) in [
            ("missing", &self.missing),
            ("different", &self.different),
            ("twice", &self.duplicate),
            ("unreadable object", &self.unreadable),
        ] {
            for name in names.iter().take(NAMED) {
                let _ = writeln!(text, "{kind}: {name}");
            }
            if names.len() > NAMED {
                let _ = writeln!(text, "{kind}: … and {} more", names.len() - NAMED);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use telemetry::{Quality, TimeSource, Value};

    use super::*;

    fn reading(metric: &str, at: i64, value: i128) -> Reading {
        Reading {
            device: DeviceId::from_stored("plant-1/pump-7"),
            metric: metric.into(),
            at: Micros(at),
            received: Micros(at),
            value: Value::Integer(value),
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        }
    }

    #[test]
    fn what_is_missing_different_or_twice_is_named() {
        let by_device =
            |readings: &[Reading]| BTreeMap::from([(readings[0].device.clone(), readings.to_vec())]);
        let stored = [reading("a", 1, 1), reading("a", 2, 2), reading("a", 3, 3), reading("a", 900, 4)];
        let numbered = |seq| Reading { seq: Seq(seq), ..reading("a", 900, 5) };
        let stored = [&stored[..], &[Reading { received: Micros(1), ..numbered(8) }]].concat();
        let lake = [
            reading("a", 1, 1),
            reading("a", 1, 1),
            reading("a", 2, 7),
            reading("b", 1, 1),
            numbered(7),
            numbered(7),
        ];
        let mut outcome = Outcome::default();
        outcome.compare(by_device(&lake), by_device(&stored), Micros(500));
        assert_eq!((outcome.rows, outcome.identities, outcome.in_dynamodb), (6, 4, 5));
        assert_eq!((outcome.on_their_way, outcome.lake_only), (1, 2));
        let missing = [
            "plant-1/pump-7 a 1970-01-01T00:00:00.000003Z",
            "plant-1/pump-7 a 1970-01-01T00:00:00.0009Z seq 8",
        ];
        assert_eq!(outcome.missing, missing);
        assert_eq!(outcome.different, ["plant-1/pump-7 a 1970-01-01T00:00:00.000002Z"]);
        let duplicate = [
            "plant-1/pump-7 a 1970-01-01T00:00:00.000001Z",
            "plant-1/pump-7 a 1970-01-01T00:00:00.0009Z seq 7",
        ];
        assert_eq!(outcome.duplicate, duplicate);
        assert!(!outcome.is_good());
        let text = outcome.render("2026-11-23");
        assert!(text.contains("missing: plant-1/pump-7 a") && text.contains("twice in the lake"), "{text}");
    }
}
