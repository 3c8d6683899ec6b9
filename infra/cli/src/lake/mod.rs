//! `tidegate lake`: what lies in the lake, whether it is all there, and some of it to take along.

mod export;
mod list;
mod verify;

use bytes::Bytes;
use cloud::objects::{Bucket, Listed};
use futures_util::stream::{self, StreamExt as _};
use lake::{Columns, Hour, Key, LakeError, Reader};
use telemetry::Micros;

pub use export::{Format, export};
pub use list::list;
pub use verify::verify;

use crate::aws::patience;
use crate::error::{Context as _, Error, Result};
use crate::target::Source;

/// Objects on their way at once.
const MAX_IN_FLIGHT: usize = 8;

/// The lake of a stack.
struct Lake {
    bucket: Bucket,
}

/// An object that was fetched: its readings, or why they cannot be read.
struct Fetched {
    key: String,
    columns: Result<Columns, LakeError>,
}

impl Lake {
    fn of(source: &Source) -> Result<Self> {
        Ok(Self { bucket: Bucket::new(source.clients.s3.clone(), source.bucket()?) })
    }

    /// All objects below a prefix of the lake, strangers among them.
    async fn objects(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.bucket.list(prefix).all(patience()).await.or_problem(|| "cannot list the lake")
    }

    /// The objects of an hour that are the lake's own, whole, one after the other.
    async fn hour(&self, hour: Hour) -> Result<Vec<Fetched>> {
        let objects = self.objects(&hour.prefix()).await?;
        let keys = objects.into_iter().map(|object| object.key).filter(|key| Key::parse(key).is_some());
        let gets = keys.map(async |key| {
            let got = self.bucket.get(&key, patience()).await;
            (key, got)
        });
        let mut gets = stream::iter(gets).buffered(MAX_IN_FLIGHT);
        let mut fetched = Vec::new();
        while let Some((key, got)) = gets.next().await {
            // One that is gone meanwhile was compacted; the object in its place comes later in the list.
            let Some(file) = got.or_problem(|| format!("cannot read {key}"))? else {
                return Err(Error::problem(format!(
                    "the hour {hour} is being compacted right now: ask again in a moment"
                )));
            };
            fetched.push(Fetched { key, columns: decode(file) });
        }
        Ok(fetched)
    }
}

fn decode(file: Bytes) -> Result<Columns, LakeError> {
    Reader::open(file)?.read_all()
}

/// The hours from `from` to `to`, both inclusive.
fn hours(from: Micros, to: Micros) -> impl Iterator<Item = Hour> {
    std::iter::successors(Some(Hour::of(from)), |hour| Some(hour.next()))
        .take_while(move |hour| hour.start() <= to)
}
