//! Where objects lie: `readings/day=2026-11-23/hour=07/…`, the partitions that every engine knows as Hive's.
//!
//! The order of the names matters. A query lists an hour page by page while it may be compacted; whatever
//! replaces an object therefore sorts behind it (digits before `c`, a generation before the next), so that
//! a list which passes over the new name still has the old one.

use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use telemetry::Micros;

/// The prefix of all objects of the lake.
pub const PREFIX: &str = "readings/";
/// Hex digits of a digest in a name: 64 bits, to keep apart the objects of one hour.
const DIGEST_HEX_DIGITS: usize = 16;
const HOUR_MICROS: i64 = 3_600 * 1_000_000;

/// An hour of event time: a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour that a time lies in.
    pub fn of(at: Micros) -> Self {
        Self(at.0.div_euclid(HOUR_MICROS))
    }

    /// When it begins.
    pub fn start(self) -> Micros {
        Micros(self.0 * HOUR_MICROS)
    }

    /// When it ends: the start of the next.
    pub fn end(self) -> Micros {
        Micros((self.0 + 1) * HOUR_MICROS)
    }

    /// The next hour.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// `readings/day=2026-11-23/hour=07/`.
    pub fn prefix(self) -> String {
        let day = self.start().day();
        format!("{PREFIX}day={day}/hour={:02}/", self.0.rem_euclid(24))
    }

    /// `readings/day=2026-11-23/`, with all hours of a day below it.
    pub fn day_prefix(day: &str) -> String {
        format!("{PREFIX}day={day}/")
    }

    fn from_prefix(prefix: &str) -> Option<Self> {
        let (day, hour) = prefix.strip_prefix(PREFIX)?.strip_prefix("day=")?.split_once("/hour=")?;
        let start = Micros::from_rfc3339(&format!("{day}T{}:00:00Z", hour.strip_suffix('/')?))?;
        Some(Self::of(start)).filter(|found| found.prefix() == prefix)
    }
}

/// `2026-11-23 07:00`.
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02}:00", self.start().day(), self.0.rem_euclid(24))
    }
}

/// An object of the lake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its partition.
    pub hour: Hour,
    /// What it is.
    pub name: Name,
}

/// The last part of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Written by `archive`.
    Archived {
        /// Time of the first reading of the spans in it.
        first: Micros,
        /// Digest of the spans' keys.
        digest: String,
    },
    /// Written by `compact`.
    Compacted {
        /// Counts how often the hour was compacted.
        generation: u32,
        /// Digest over all parts of one compaction.
        set: String,
        /// Its place among them, from 1.
        part: u32,
        /// How many there are.
        parts: u32,
    },
}

impl Key {
    /// Takes a key apart; `None` if it is none of the lake's.
    pub fn parse(key: &str) -> Option<Self> {
        let (prefix, name) = key.split_at(key.rfind('/')? + 1);
        let hour = Hour::from_prefix(prefix)?;
        let stem = name.strip_suffix(".parquet")?;
        let name = match stem.strip_prefix("compacted-") {
            Some(rest) => {
                let mut fields = rest.split('-');
                let mut field = || fields.next();
                let (generation, set, part) = (field()?, field()?, field()?);
                let (of, parts) = (field()?, field()?);
                (of == "of").then_some(())?;
                Name::Compacted {
                    generation: generation.parse().ok()?,
                    set: set.to_owned(),
                    part: part.parse().ok()?,
                    parts: parts.parse().ok()?,
                }
            }
            None => {
                let (first, digest) = stem.split_once('-')?;
                Name::Archived { first: Micros(first.parse().ok()?), digest: digest.to_owned() }
            }
        };
        // Whatever reads in another way than it is written is somebody else's.
        Some(Self { hour, name }).filter(|parsed| parsed.to_string() == key && parsed.has_digest())
    }

    fn has_digest(&self) -> bool {
        let (Name::Archived { digest, .. } | Name::Compacted { set: digest, .. }) = &self.name;
        digest.len() == DIGEST_HEX_DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hour.prefix())?;
        match &self.name {
            Name::Archived { first, digest } => write!(f, "{:016}-{digest}.parquet", first.0),
            Name::Compacted { generation, set, part, parts } => {
                write!(f, "compacted-{generation:06}-{set}-{part:04}-of-{parts:04}.parquet")
            }
        }
    }
}

/// A digest that grows: for spans' keys, or a file's bytes.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Takes in the next part.
    pub fn update(&mut self, part: &[u8]) {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// 16 hex digits.
    pub fn finish(self) -> String {
        self.0.finalize()[..DIGEST_HEX_DIGITS / 2].iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Micros = Micros(1_795_417_200_250_000);

    #[test]
    fn hours_are_of_event_time_in_utc() {
        let hour = Hour::of(AT);
        assert_eq!(hour.prefix(), "readings/day=2026-11-23/hour=07/");
        assert_eq!(hour.to_string(), "2026-11-23 07:00");
        assert_eq!(Hour::of(Micros(hour.end().0 - 1)), hour);
        assert_eq!(Hour::of(hour.end()), hour.next());
        assert_eq!(Hour::of(Micros(-1)).next(), Hour::of(Micros(0)));
    }

    #[test]
    fn keys_read_back_and_what_is_not_ours_does_not() {
        let archived = Key {
            hour: Hour::of(AT),
            name: Name::Archived { first: AT, digest: "0123456789abcdef".to_owned() },
        };
        let compacted = |generation| Key {
            hour: Hour::of(AT),
            name: Name::Compacted { generation, set: "0123456789abcdef".to_owned(), part: 1, parts: 2 },
        };
        for key in [&archived, &compacted(1), &compacted(123_456)] {
            assert_eq!(Key::parse(&key.to_string()).as_ref(), Some(key));
        }
        assert!(archived.to_string() < compacted(1).to_string(), "a list passes what is replaced first");
        assert!(compacted(1).to_string() < compacted(2).to_string());
        let prefix = Hour::of(AT).prefix();
        for foreign in [
            "readings/x.parquet",
            "readings/day=2026-11-23/hour=7/1795417200250000-0123456789abcdef.parquet",
            "readings/day=2026-11-23/hour=24/1795417200250000-0123456789abcdef.parquet",
            &format!("{prefix}part-0000.parquet"),
            &format!("{prefix}1795417200250000-0123456789abcdeg.parquet"),
            &format!("{prefix}1795417200250000-0123.parquet"),
            &format!("{prefix}+795417200250000-0123456789abcdef.parquet"),
            &format!("{prefix}compacted-1-0123456789abcdef-0001-of-0002.parquet"),
            &format!("{prefix}compacted-000001-0123456789abcdef-0001-0002.parquet"),
            &format!("{prefix}sub/1795417200250000-0123456789abcdef.parquet"),
            "",
        ] {
            assert_eq!(Key::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn fingerprints_know_where_parts_end() {
        let of = |parts: &[&str]| {
            let mut fingerprint = Fingerprint::default();
            parts.iter().for_each(|part| fingerprint.update(part.as_bytes()));
            fingerprint.finish()
        };
        assert_eq!(of(&["ab", "c"]).len(), 16);
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
