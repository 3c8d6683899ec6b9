//! What is stored of a device's alerts.
//!
//! An item of the alerts table, in DynamoDB's terms:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `device` | S, partition key | `{site}/{device}` |
//! | `alerts` | M | per rule what has been told last: `state`, `severity`, `message`, `id` (S), `since`, `at` (N, µs since 1970, the readings' time), `published` (N, µs, the clock's) |
//! | `shelves` | M | per rule `until` (N, µs) and `by` (S) |
//! | `tracks` | S | the functions' working memory, JSON: per rule the state, the samples that may be judged again, and the last transitions |
//! | `outbox` | L of M | what is still to be published, in order: `rule`, `id` and `payload` (S; empty: what is retained is to be removed) |
//! | `standing` | S | left out where nothing is told, pending, shelved or to be published; else one of 16 letters, the partition key of the index `standing` |
//! | `rev` | N | how often the item was written |

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use telemetry::attribute::{Attribute, Item};
use telemetry::{DeviceId, Micros};

use super::{DeviceAlerts, Outgoing, Shelf, Told};
use crate::document;
use crate::rule::{Rule, Severity};
use crate::set::RuleSet;
use crate::track::Track;

/// Most that the tracks of a device may take in its item, in bytes of JSON. Beyond it, less is kept to be judged again.
const MAX_TRACKS_BYTES: usize = 160 * 1024;

/// An item of the alerts table that cannot be read; names the attribute at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute `{0}` of an item of the alerts table is missing or not as this version writes it")]
pub struct ItemError(pub &'static str);

impl DeviceAlerts {
    /// The item to store, as of `rev + 1`.
    pub fn to_item(&mut self, rules: &RuleSet) -> Item {
        let tracks = self.tracks_json(rules);
        let text = |text: &str| Attribute::S(text.to_owned());
        let number = |micros: Micros| Attribute::N(micros.0.to_string());
        let told = |told: &Told| {
            Attribute::M(Item::from([
                ("state".to_owned(), text(&told.state)),
                ("severity".to_owned(), text(told.severity.as_str())),
                ("message".to_owned(), text(&told.message)),
                ("id".to_owned(), text(&told.id)),
                ("since".to_owned(), number(told.since)),
                ("at".to_owned(), number(told.at)),
                ("published".to_owned(), number(told.published)),
            ]))
        };
        let shelf = |shelf: &Shelf| {
            Attribute::M(Item::from([
                ("until".to_owned(), number(shelf.until)),
                ("by".to_owned(), text(&shelf.by)),
            ]))
        };
        let outgoing = |outgoing: &Outgoing| {
            Attribute::M(Item::from([
                ("rule".to_owned(), text(&outgoing.rule)),
                ("id".to_owned(), text(&outgoing.id)),
                ("payload".to_owned(), text(&outgoing.payload)),
            ]))
        };
        let mut item = Item::from([
            ("device".to_owned(), text(self.device.as_str())),
            ("rev".to_owned(), Attribute::N(self.rev.saturating_add(1).to_string())),
            ("tracks".to_owned(), Attribute::S(tracks)),
        ]);
        if !self.told.is_empty() {
            let alerts = self.told.iter().map(|(rule, entry)| (rule.to_string(), told(entry))).collect();
            item.insert("alerts".to_owned(), Attribute::M(alerts));
        }
        if !self.shelves.is_empty() {
            let shelves = self.shelves.iter().map(|(rule, entry)| (rule.to_string(), shelf(entry))).collect();
            item.insert("shelves".to_owned(), Attribute::M(shelves));
        }
        if !self.outbox.is_empty() {
            item.insert("outbox".to_owned(), Attribute::L(self.outbox.iter().map(outgoing).collect()));
        }
        if !(self.is_over() && self.outbox.is_empty()) {
            item.insert("standing".to_owned(), text(shard(&self.device)));
        }
        item
    }

    /// The tracks that say something, as JSON; less of each where they are too much together.
    fn tracks_json(&mut self, rules: &RuleSet) -> String {
        type Lessen = fn(&mut Track, &Rule);
        let lessen: [Lessen; 5] = [
            |track, rule| track.fold(rule, usize::MAX),
            |track, rule| track.fold(rule, 64),
            |track, rule| track.fold(rule, 0),
            Track::thin_out,
            Track::keep_outline,
        ];
        let mut json = String::new();
        for less in lessen {
            for (name, track) in &mut self.tracks {
                if let Some(rule) = rules.get(name) {
                    less(track, rule);
                }
            }
            let kept: BTreeMap<_, _> = self.tracks.iter().filter(|(_, track)| !track.is_plain()).collect();
            json = serde_json::to_string(&kept).unwrap_or_default();
            if json.len() <= MAX_TRACKS_BYTES {
                break;
            }
        }
        json
    }

    /// Reads an item, for the rules as they are now.
    ///
    /// # Errors
    /// If it is none. A track that cannot be read is begun anew: what is told stays told until readings say otherwise.
    pub fn from_item(item: &Item, rules: &RuleSet) -> Result<Self, ItemError> {
        let device = item.get("device").and_then(Attribute::as_s).ok_or(ItemError("device"))?;
        let rev = item.get("rev").and_then(Attribute::as_i64).ok_or(ItemError("rev"))?;
        let mut alerts = Self { rev, ..Self::new(DeviceId::from_stored(device)) };
        alerts.told = map(item, "alerts", told_from)?;
        alerts.shelves = map(item, "shelves", shelf_from)?;
        if let Some(outbox) = item.get("outbox") {
            let outbox =
                outbox.as_l().ok_or(ItemError("outbox"))?.iter().map(outgoing_from).collect::<Option<_>>();
            alerts.outbox = outbox.ok_or(ItemError("outbox"))?;
        }
        let tracks = item.get("tracks").and_then(Attribute::as_s).ok_or(ItemError("tracks"))?;
        let tracks: BTreeMap<Arc<str>, &RawValue> =
            serde_json::from_str(tracks).map_err(|_| ItemError("tracks"))?;
        for (name, track) in tracks {
            let Ok(track) = serde_json::from_str::<Track>(track.get()) else { continue };
            let track = match rules.get(&name) {
                Some(rule) => track.ready(rule),
                // What a rule that has gone had raised is tidied up, not judged; and it may only be new to this process.
                None => track,
            };
            alerts.tracks.insert(name, track);
        }
        for (name, told) in &alerts.told {
            if let (Some(rule), Some(phase)) = (rules.get(name), document::standing_phase(&told.state))
                && !alerts.tracks.contains_key(name)
            {
                alerts.tracks.insert(name.clone(), Track::standing(rule, phase, told.since, told.at));
            }
        }
        let newest = alerts.tracks.values().map(Track::newest).max();
        alerts.stored_at = newest.unwrap_or(alerts.stored_at);
        Ok(alerts)
    }
}

fn map<T>(
    item: &Item,
    name: &'static str,
    read: impl Fn(&Item) -> Option<T>,
) -> Result<BTreeMap<Arc<str>, T>, ItemError> {
    let Some(attribute) = item.get(name) else { return Ok(BTreeMap::new()) };
    let entries = attribute.as_m().ok_or(ItemError(name))?.iter();
    let entries = entries.map(|(rule, entry)| Some((Arc::from(rule.as_str()), read(entry.as_m()?)?)));
    entries.collect::<Option<_>>().ok_or(ItemError(name))
}

fn told_from(item: &Item) -> Option<Told> {
    let text = |name: &str| item.get(name)?.as_s().map(str::to_owned);
    let micros = |name: &str| item.get(name)?.as_i64().map(Micros);
    Some(Told {
        state: text("state")?,
        severity: Severity::from_word(&text("severity")?)?,
        message: text("message")?,
        id: text("id")?,
        since: micros("since")?,
        at: micros("at")?,
        published: micros("published")?,
    })
}

fn shelf_from(item: &Item) -> Option<Shelf> {
    let until = item.get("until")?.as_i64().map(Micros)?;
    Some(Shelf { until, by: item.get("by")?.as_s()?.to_owned() })
}

fn outgoing_from(attribute: &Attribute) -> Option<Outgoing> {
    let item = attribute.as_m()?;
    let text = |name: &str| item.get(name)?.as_s();
    Some(Outgoing {
        rule: text("rule")?.into(),
        id: text("id")?.to_owned(),
        payload: text("payload")?.to_owned(),
    })
}

/// The partitions of the index of what stands: enough that a storm of alerts is not held up by one of them, and few
/// enough to look through every minute.
pub const SHARDS: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

fn shard(device: &DeviceId) -> &'static str {
    SHARDS[usize::from(Sha256::digest(device.as_str())[0] % 16)]
}
