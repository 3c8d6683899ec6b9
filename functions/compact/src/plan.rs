//! What a list of keys says of each hour: pure.

use cloud::objects::Listed;
use lake::{Hour, Key, Name};
use telemetry::Micros;

/// An hour that was compacted is rewritten when what came since has at least this part of its bytes: then a byte that
/// arrives has no more than 8 others written again, and a query reads no more than an eighth of an hour unsorted.
const LATE_SHARE: u64 = 8;
/// An hour is rewritten for however little once its oldest late object has this age: small objects do not pile up for
/// ever, and an hour is rewritten once a day at most for what is too small to count.
const LATE_AGE_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// An object of the lake, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key, taken apart.
    pub key: Key,
    /// Its size.
    pub bytes: u64,
    /// When it was written.
    pub modified: Micros,
}

/// The objects of one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourObjects {
    /// The hour.
    pub hour: Hour,
    /// Written by `archive`.
    pub archived: Vec<Object>,
    /// Written by `compact`.
    pub compacted: Vec<Object>,
}

impl HourObjects {
    fn new(hour: Hour) -> Self {
        Self { hour, archived: Vec::new(), compacted: Vec::new() }
    }

    /// Whether the hour is over for long enough.
    pub fn is_closed(&self, now: Micros, after_minutes: u32) -> bool {
        now.0 >= self.hour.end().0.saturating_add(i64::from(after_minutes) * 60_000_000)
    }

    /// Whether nothing came since it was compacted; a lone object is sorted and has each reading once.
    pub fn is_settled(&self) -> bool {
        self.archived.len() + self.compacted.len() <= 1
            || (self.archived.is_empty() && is_one_set(self.compacted.iter().map(|object| &object.key)))
    }

    /// Whether what came is reason enough to compact the hour now: rewriting costs what the whole hour has, and late
    /// readings may come in any number of small messages.
    pub fn is_due(&self, now: Micros) -> bool {
        // It was never compacted, or what was begun has to be finished.
        if self.compacted.is_empty() || !is_one_set(self.compacted.iter().map(|object| &object.key)) {
            return true;
        }
        // What is there from before the set is in it, and was to be deleted. S3 dates objects in whole seconds.
        let is_left = |object: &Object| self.compacted.iter().all(|part| object.modified <= part.modified);
        let bytes = |objects: &[Object]| objects.iter().map(|object| object.bytes).sum::<u64>();
        let is_old = |object: &Object| now.0.saturating_sub(object.modified.0) >= LATE_AGE_MICROS;
        bytes(&self.archived).saturating_mul(LATE_SHARE) >= bytes(&self.compacted)
            || self.archived.iter().any(|object| is_old(object) || is_left(object))
    }

    /// The generation of a compaction that makes this set: the one that has been begun already, or the next,
    /// whose names sort behind all that there are.
    pub fn generation_of(&self, set: &str, parts: u32) -> u32 {
        let is_begun = |object: &&Object| matches!(&object.key.name, Name::Compacted { set: known, parts: of, .. } if known == set && *of == parts);
        // The last alone: an earlier one's names would sort before what they replace.
        let begun = self.compacted.last().filter(is_begun).map(|object| &object.key.name);
        if let Some(Name::Compacted { generation, .. }) = begun {
            return *generation;
        }
        let generations = self.compacted.iter().map(|object| match object.key.name {
            Name::Compacted { generation, .. } => generation,
            Name::Archived { .. } => 0,
        });
        generations.max().unwrap_or(0).saturating_add(1)
    }
}

/// Whether these are the objects of one compaction, all of them: not the rest of one that was cut off, nor the
/// outcome of two at one time.
pub fn is_one_set<'a>(keys: impl Iterator<Item = &'a Key>) -> bool {
    let id = |key: &Key| match &key.name {
        Name::Compacted { generation, set, parts, .. } => Some((*generation, set.clone(), *parts)),
        Name::Archived { .. } => None,
    };
    let ids: Vec<_> = keys.map(id).collect();
    match ids.first() {
        None => true,
        Some(first) => {
            ids.iter().all(|id| id == first) && first.as_ref().is_some_and(|id| ids.len() == id.2 as usize)
        }
    }
}

/// Groups a list, whose keys come in order, into hours.
#[derive(Debug, Default)]
pub struct Hours {
    current: Option<HourObjects>,
    /// Keys below the lake's prefix that are none of the lake's.
    pub foreign: Named,
}

/// Counts keys, and keeps the first of them to be named in a log line, of what may be thousands.
#[derive(Debug, Default)]
pub struct Named {
    /// All of them.
    pub count: usize,
    /// The first.
    pub keys: Vec<String>,
}

impl Named {
    /// Most keys that are kept.
    pub const MAX: usize = 20;

    /// Counts one more.
    pub fn add(&mut self, key: &str) {
        self.count += 1;
        if self.keys.len() < Self::MAX {
            self.keys.push(key.to_owned());
        }
    }
}

impl Hours {
    /// Takes the next key; returns the hour that it ends.
    pub fn push(&mut self, listed: &Listed) -> Option<HourObjects> {
        let Some(key) = Key::parse(&listed.key) else {
            self.foreign.add(&listed.key);
            return None;
        };
        let is_other = self.current.as_ref().is_none_or(|current| current.hour != key.hour);
        let ended = if is_other { self.current.replace(HourObjects::new(key.hour)) } else { None };
        if let Some(current) = &mut self.current {
            let objects = match key.name {
                Name::Archived { .. } => &mut current.archived,
                Name::Compacted { .. } => &mut current.compacted,
            };
            objects.push(Object { key, bytes: listed.bytes, modified: listed.modified });
        }
        ended
    }

    /// The last hour.
    pub fn finish(&mut self) -> Option<HourObjects> {
        self.current.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T07:00:00Z.
    const SEVEN: Micros = Micros(1_795_417_200_000_000);

    fn archived(hour: Hour, number: i64) -> String {
        let name = Name::Archived { first: hour.start().plus(number), digest: format!("{number:016x}") };
        Key { hour, name }.to_string()
    }

    fn compacted(hour: Hour, generation: u32, set: u64, part: u32, parts: u32) -> String {
        Key { hour, name: Name::Compacted { generation, set: format!("{set:016x}"), part, parts } }
            .to_string()
    }

    fn hours(keys: &[String]) -> (Vec<HourObjects>, usize) {
        let mut hours = Hours::default();
        let listed = |key: &String| Listed { key: key.clone(), bytes: 7, modified: SEVEN };
        let mut found: Vec<HourObjects> = keys.iter().filter_map(|key| hours.push(&listed(key))).collect();
        found.extend(hours.finish());
        (found, hours.foreign.count)
    }

    #[test]
    fn keys_are_grouped_by_hour_and_strangers_left_alone() {
        let (seven, eight) = (Hour::of(SEVEN), Hour::of(SEVEN).next());
        let keys = [
            archived(seven, 1),
            archived(seven, 2),
            compacted(seven, 3, 1, 1, 1),
            format!("{}part-0.parquet", seven.prefix()),
            archived(eight, 1),
        ];
        let (found, foreign) = hours(&keys);
        assert_eq!(foreign, 1);
        let sizes: Vec<_> =
            found.iter().map(|hour| (hour.hour, hour.archived.len(), hour.compacted.len())).collect();
        assert_eq!(sizes, [(seven, 2, 1), (eight, 1, 0)]);
        let set = format!("{:016x}", 1);
        assert_eq!((found[0].generation_of("other", 1), found[1].generation_of("other", 1)), (4, 1));
        assert_eq!(found[0].generation_of(&set, 1), 3, "that is what the object there says it is part of");
        assert_eq!(found[0].generation_of(&set, 2), 4);
    }

    #[test]
    fn the_names_tell_whether_an_hour_has_changed() {
        let hour = Hour::of(SEVEN);
        let check = |keys: &[String], is_settled: bool| {
            assert_eq!(hours(keys).0[0].is_settled(), is_settled, "{keys:?}");
        };
        check(&[archived(hour, 1)], true);
        check(&[archived(hour, 1), archived(hour, 2)], false);
        check(&[compacted(hour, 1, 1, 1, 1)], true);
        check(&[compacted(hour, 1, 1, 1, 2), compacted(hour, 1, 1, 2, 2)], true);
        check(&[archived(hour, 1), compacted(hour, 1, 1, 1, 1)], false);
        // Two at one time, one that was cut off while it wrote, and one while it deleted.
        check(&[compacted(hour, 1, 1, 1, 1), compacted(hour, 1, 2, 1, 1)], false);
        check(&[compacted(hour, 1, 1, 1, 3), compacted(hour, 1, 1, 2, 3)], false);
        check(&[compacted(hour, 1, 1, 1, 1), compacted(hour, 2, 2, 1, 1)], false);
    }

    #[test]
    fn a_compacted_hour_is_rewritten_for_enough_or_for_old_readings() {
        let hour = Hour::of(SEVEN);
        let object = |key: String, bytes: u64, hours_ago: i64| Object {
            key: Key::parse(&key).unwrap(),
            bytes,
            modified: SEVEN.plus(-hours_ago * 3_600_000_000),
        };
        let late = |bytes, hours_ago| object(archived(hour, 1), bytes, hours_ago);
        let part = |part| object(compacted(hour, 1, 1, part, 2), 400, 48);
        let check = |archived: &[Object], compacted: Vec<Object>, is_due: bool| {
            let hour = HourObjects { hour, archived: archived.to_vec(), compacted };
            assert_eq!(hour.is_due(SEVEN), is_due, "{hour:?}");
        };
        let whole = || vec![part(1), part(2)];
        check(&[late(99, 23)], whole(), false);
        check(&[late(100, 0)], whole(), true);
        check(&[late(50, 0), late(49, 1)], whole(), false);
        check(&[late(50, 0), late(50, 1)], whole(), true);
        check(&[late(1, 0), late(1, 24)], whole(), true);
        // Whatever an earlier run has left is put right at once: objects that the set has been made of, …
        check(&[late(1, 48)], whole(), true);
        check(&[late(1, 0), late(1, 50)], whole(), true);
        let one_part_later = || vec![part(1), object(compacted(hour, 1, 1, 2, 2), 400, 20)];
        check(&[late(1, 22)], one_part_later(), false);
        // … or a set that is not whole.
        check(&[late(1, 0)], vec![part(1)], true);
        check(&[late(1, 0)], Vec::new(), true);
    }

    #[test]
    fn an_hour_is_closed_a_while_after_its_end() {
        let hour = HourObjects::new(Hour::of(SEVEN));
        let end = hour.hour.end().0;
        assert!(!hour.is_closed(SEVEN, 0));
        assert!(hour.is_closed(Micros(end), 0));
        assert!(!hour.is_closed(Micros(end + 15 * 60_000_000 - 1), 15));
        assert!(hour.is_closed(Micros(end + 15 * 60_000_000), 15));
    }
}
