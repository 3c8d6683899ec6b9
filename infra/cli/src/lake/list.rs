//! `tidegate lake ls`: objects, rows, bytes and sizes, day by day.

use std::collections::BTreeMap;

use cloud::objects::Listed;
use futures_util::stream::{self, StreamExt as _};
use lake::{Footer, Hour, Key};

use super::{Lake, MAX_IN_FLIGHT};
use crate::aws::patience;
use crate::console::{note, print};
use crate::error::{Context as _, Result};
use crate::table::Table;
use crate::target::Target;

/// The sizes that objects are counted by, each up to this many bytes: compaction aims at the last.
const SIZES: [(u64, &str); 4] =
    [(64 << 10, "≤64 KB"), (1 << 20, "≤1 MB"), (16 << 20, "≤16 MB"), (u64::MAX, "larger")];
/// What is fetched of an object at first: its footer is there, but for very large ones.
const TAIL_BYTES: u64 = 64 << 10;

/// What a day holds.
#[derive(Default)]
struct Day {
    objects: usize,
    rows: usize,
    bytes: u64,
    sizes: [usize; SIZES.len()],
    unreadable: Vec<String>,
}

/// What an object's footer tells.
enum Rows {
    Known(usize),
    Unreadable,
    /// It is gone since it was listed: compacted.
    Gone,
}

/// Prints what lies in the lake, all of it or one day.
///
/// # Errors
/// If it cannot be listed or read.
pub async fn list(target: &Target, day: Option<&str>) -> Result<()> {
    let lake = Lake::of(&target.open_stack().await?)?;
    let prefix = day.map_or_else(|| lake::key::PREFIX.to_owned(), Hour::day_prefix);
    let objects = lake.objects(&prefix).await?;
    if objects.is_empty() {
        note("the lake is empty there; archive writes once its batch is full or its window over");
    }
    let mut foreign = Vec::new();
    let mut own = Vec::new();
    for object in objects {
        match Key::parse(&object.key) {
            Some(key) => own.push((key.hour.start().day(), object)),
            None => foreign.push(object.key),
        }
    }
    let mut gone = 0;
    let mut days: BTreeMap<String, Day> = BTreeMap::new();
    let footers = own.into_iter().map(async |(day, object)| (rows(&lake, &object).await, day, object));
    let mut footers = stream::iter(footers).buffered(MAX_IN_FLIGHT);
    while let Some((rows, day, object)) = footers.next().await {
        let day = days.entry(day).or_default();
        match rows? {
            Rows::Gone => {
                gone += 1;
                continue;
            }
            Rows::Known(rows) => day.rows += rows,
            Rows::Unreadable => day.unreadable.push(object.key),
        }
        day.objects += 1;
        day.bytes += object.bytes;
        let size = SIZES.iter().position(|(limit, _)| object.bytes <= *limit).unwrap_or(0);
        day.sizes[size] += 1;
    }
    if gone > 0 {
        note(&format!(
            "{gone} objects were compacted meanwhile, and are missing here: ask again in a moment"
        ));
    }
    print(&render(&days, &foreign))
}

/// Rows of an object, as its footer says.
async fn rows(lake: &Lake, object: &Listed) -> Result<Rows> {
    let mut wanted = TAIL_BYTES.min(object.bytes);
    // S3 refuses a range of nothing.
    while wanted > 0 {
        let tail = lake.bucket.get_tail(&object.key, wanted, patience()).await;
        let Some(tail) = tail.or_problem(|| format!("cannot read {}", object.key))? else {
            return Ok(Rows::Gone);
        };
        match lake::footer(&tail, object.bytes) {
            Ok(Footer::Rows(rows)) => return Ok(Rows::Known(rows)),
            Ok(Footer::Needs(bytes)) if bytes > wanted && bytes <= object.bytes => wanted = bytes,
            _ => break,
        }
    }
    Ok(Rows::Unreadable)
}

fn render(days: &BTreeMap<String, Day>, foreign: &[String]) -> String {
    let header =
        ["day", "objects", "rows", "bytes", "bytes/row"].into_iter().chain(SIZES.map(|(_, name)| name));
    let mut table = Table::new(header.collect::<Vec<_>>());
    for (name, day) in days {
        let per_row =
            if day.rows == 0 { String::new() } else { format!("{:.2}", day.bytes as f64 / day.rows as f64) };
        let mut row =
            vec![name.clone(), day.objects.to_string(), day.rows.to_string(), day.bytes.to_string(), per_row];
        row.extend(day.sizes.map(|count| count.to_string()));
        table.push(row);
    }
    let mut text = table.render();
    for key in days.values().flat_map(|day| &day.unreadable) {
        text.push_str(&format!("unreadable: {key}\n"));
    }
    for key in foreign {
        text.push_str(&format!("none of the lake's: {key}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_row_and_what_cannot_be_read_is_named() {
        let day = Day {
            objects: 2,
            rows: 1_000,
            bytes: 4_500,
            sizes: [2, 0, 0, 0],
            unreadable: vec!["readings/x".to_owned()],
        };
        let days = BTreeMap::from([("2026-11-23".to_owned(), day)]);
        let text = render(&days, &["readings/notes.txt".to_owned()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["2026-11-23", "2", "1000", "4500", "4.50", "2", "0", "0", "0"]
        );
        assert_eq!(lines[2..], ["unreadable: readings/x", "none of the lake's: readings/notes.txt"]);
    }
}
