//! `tidegate lake export`: a device's readings of some time, as CSV or Parquet.

use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use lake::{Columns, encode};
use telemetry::{Micros, Reading, pack, standing};

use super::{Lake, hours};
use crate::console::{note, print};
use crate::error::{Context as _, Error, Result};
use crate::query::{When, csv, device_named};
use crate::target::Target;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, as `tidegate query --format csv` prints it.
    Csv,
    /// In the lake's schema.
    Parquet,
}

/// Writes a device's readings from `from` to `to`, both inclusive, to `file`, or CSV to standard output.
///
/// # Errors
/// If the lake cannot be read, or the file not written.
pub async fn export(
    target: &Target,
    device: &str,
    (from, to): (When, When),
    format: Format,
    file: Option<&Path>,
) -> Result<()> {
    let device = device_named(device)?;
    if format == Format::Parquet && file.is_none() {
        return Err(Error::problem("Parquet is not for a terminal: name a file with --out"));
    }
    let now = Timestamp::now();
    let (from, to) = (from.micros(now), to.micros(now));
    let lake = Lake::of(&target.open_stack().await?)?;
    let mut found: Vec<Reading> = Vec::new();
    for hour in hours(from, to) {
        for fetched in lake.hour(hour).await? {
            match fetched.columns {
                Ok(columns) => found.extend(
                    columns
                        .readings()
                        .filter(|reading| reading.device == device && (from..=to).contains(&reading.at)),
                ),
                Err(error) => note(&format!("left out, because it cannot be read: {}: {error}", fetched.key)),
            }
        }
    }
    let found = standing(found);
    if found.is_empty() {
        note(&format!("the lake has no readings of {device} from {from} to {to}"));
    }
    match format {
        Format::Csv => match file {
            Some(file) => write(file, csv(&found).as_bytes(), found.len()),
            None => print(&csv(&found)),
        },
        Format::Parquet => write(file.unwrap_or(Path::new("")), &parquet(found.clone())?, found.len()),
    }
}

fn parquet(readings: Vec<Reading>) -> Result<Vec<u8>> {
    let mut columns = Columns::default();
    for span in pack(readings) {
        columns.push_span(&span, i64::MIN, i64::MAX);
    }
    let file = encode(&columns).or_problem(|| "cannot encode the readings")?;
    file.map(|file| file.to_vec()).ok_or_else(|| Error::negative("there is nothing to write"))
}

fn write(file: &Path, bytes: &[u8], readings: usize) -> Result<()> {
    let sentence = || format!("cannot write {}", file.display());
    std::fs::File::create(file).and_then(|mut open| open.write_all(bytes)).or_problem(sentence)?;
    note(&format!("{readings} readings in {}", file.display()));
    Ok(())
}

/// The first and the last microsecond of a day, as `2026-11-23`.
pub(super) fn day_range(day: &str) -> Result<(Micros, Micros)> {
    let first = Micros::from_rfc3339(&format!("{day}T00:00:00Z"));
    let first =
        first.ok_or_else(|| Error::problem(format!("a day is written 2026-11-23, and {day:?} is not")))?;
    Ok((first, first.plus(86_400 * 1_000_000 - 1)))
}
