//! The present state of a device: the latest value of each metric.
//!
//! An item of the devices table, in DynamoDB's terms:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `device` | S, partition key | `{site}/{device}` |
//! | `latest` | M | per metric a map of `value` (N, S or BOOL), `at` and `received` (N, µs since 1970), `source` (S), and `seq`, `revision` (N), `unit`, `unit_sent`, `quality`, `correction` (S) and `time_sent` (N, µs since 1970) where they say something |
//! | `last_at` | N | time of the newest reading of any metric, µs since 1970 |
//! | `first_seen`, `last_seen` | N | when the broker received the first and the last message, µs since 1970 |
//! | `profile` | S | the name of the profile that its last message was read by; what was there stays where none fits |
//! | `identity` | S | how it is known that its readings are its own, where it is not by the topic and the client: `relayed`, `gateway`, `sparkplug` or `payload` ([`Identity`]). It never changes to one that lets more follow |
//! | `rev` | N | how often these were written |
//! | `name` | S | the part of `device` after the slash, written when the item was: the key of the index `by-name` |
//! | `presence` | M | whether the device is connected, which `presence` writes by itself: [`Presence`](crate::Presence) |
//! | `shadow` | M | what the device's shadow was last told; written by the function `shadow` alone, which has the format (`functions/shadow/src/state.rs`) |
//! | `nudged` | N | when the function `shadow` last touched the item so that the stream brings it again, µs since 1970 |

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::attribute::{Attribute, Item, M, N, S, V};
use crate::identity::Identity;
use crate::limits::MAX_LATEST_JSON_BYTES;
use crate::reading::{
    Correction, CorrectionReason, DeviceId, Metric, Quality, Reading, Seq, TimeSource, Unit,
};
use crate::span::Span;
use crate::time::Micros;

/// Readings by metric, each the latest of its metric.
pub type ByMetric = BTreeMap<Metric, Reading>;

/// What a batch says of one device's present state.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// The device.
    pub device: DeviceId,
    /// The newest reading of each metric, by its own time and `seq`; of one identity, the one of the greater
    /// [`Precedence`](crate::Precedence).
    pub metrics: ByMetric,
    /// When the broker received the first message from this device.
    pub first_seen: Micros,
    /// When it received the last.
    pub last_seen: Micros,
    /// The name of the profile that the last message was read by, where it was by one.
    pub profile: Option<Arc<str>>,
    /// How it is known that they are of this device: of its messages, the one that lets least follow. What another client
    /// wrote may be the latest of some metric for ever.
    pub identity: Identity,
}

impl Latest {
    /// Time of the oldest of these readings: all of them are newer than what is stored if this is.
    pub fn oldest(&self) -> Micros {
        self.metrics.values().map(|reading| reading.at).min().unwrap_or_default()
    }

    /// Time of the newest of these readings.
    pub fn newest(&self) -> Micros {
        self.metrics.values().map(|reading| reading.at).max().unwrap_or_default()
    }

    /// Takes over from `other` every metric that is newer there (or missing here), and the wider of
    /// the times seen. Returns whether anything changed. Merging is associative, commutative and
    /// idempotent, so neither order nor repetition of batches matters.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = (self.first_seen, self.last_seen, self.profile.clone(), self.identity);
        // Of two messages of one moment the order of arrival must not matter.
        if (other.last_seen, &other.profile) > (self.last_seen, &self.profile) {
            self.profile.clone_from(&other.profile);
        }
        self.identity = self.identity.max(other.identity);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        let mut has_changed =
            before != (self.first_seen, self.last_seen, self.profile.clone(), self.identity);
        for (metric, theirs) in &other.metrics {
            let is_newer = self.metrics.get(metric).is_none_or(|ours| theirs.is_later_than(ours));
            if is_newer {
                self.metrics.insert(metric.clone(), theirs.clone());
                has_changed = true;
            }
        }
        has_changed
    }

    /// Drops the metrics that have been silent longest until the rest fits an item: a device that
    /// invents names may crowd out its own old ones, and nothing else.
    pub fn trim(&mut self) {
        let size = |metric: &Metric, reading: &Reading| {
            serde_json::to_string(&LatestAttribute(reading)).map_or(0, |json| json.len())
                + 6 * metric.len()
                + 4
        };
        let mut bytes: usize = self.metrics.iter().map(|(metric, reading)| size(metric, reading)).sum();
        if bytes <= MAX_LATEST_JSON_BYTES {
            return;
        }
        let mut by_age: Vec<Metric> = self.metrics.keys().cloned().collect();
        by_age.sort_by_key(|metric| self.metrics[metric].at);
        for metric in &by_age {
            if bytes <= MAX_LATEST_JSON_BYTES {
                break;
            }
            bytes -= self.metrics.remove(metric).map_or(0, |reading| size(metric, &reading));
        }
    }

    /// Reads an item of the devices table; `None` if it is none.
    pub fn from_item(item: &Item) -> Option<Self> {
        let device = DeviceId::from_stored(item.get("device")?.as_s()?);
        let micros = |name: &str| item.get(name)?.as_i64().map(Micros);
        let reading = |(metric, attribute): (&String, &Attribute)| {
            let metric = Metric::from(metric.as_str());
            Some((metric.clone(), read_latest(&device, metric, attribute.as_m()?)?))
        };
        let metrics = item.get("latest")?.as_m()?.iter().map(reading).collect::<Option<_>>()?;
        let (first_seen, last_seen) = (micros("first_seen")?, micros("last_seen")?);
        let profile = item.get("profile").and_then(Attribute::as_s).map(Arc::from);
        let identity = Identity::from_stored(item.get("identity").and_then(Attribute::as_s));
        Some(Self { device, metrics, first_seen, last_seen, profile, identity })
    }
}

fn read_latest(device: &DeviceId, metric: Metric, stored: &Item) -> Option<Reading> {
    let word = |name: &str| stored.get(name).and_then(Attribute::as_s);
    let correction = match word("correction") {
        Some(reason) => Some(Correction {
            reason: CorrectionReason::from_word(reason)?,
            sent: Micros(stored.get("time_sent")?.as_i64()?),
        }),
        None => None,
    };
    Some(Reading {
        device: device.clone(),
        metric,
        at: Micros(stored.get("at")?.as_i64()?),
        seq: Seq(number_or_zero(stored, "seq")?),
        received: Micros(stored.get("received")?.as_i64()?),
        revision: Micros(number_or_zero(stored, "revision")?),
        value: stored.get("value")?.as_value()?,
        unit: word("unit").map(|unit| Unit::new(unit, word("unit_sent"))),
        quality: stored
            .get("quality")
            .map_or(Some(Quality::Good), |word| Quality::from_word(word.as_s()?))?,
        time_source: TimeSource::from_word(stored.get("source")?.as_s()?)?,
        correction: correction.map(Box::new),
    })
}

/// An attribute that is left out where it is 0; `None` if it is no such number.
fn number_or_zero<T: Default + FromStr>(stored: &Item, name: &str) -> Option<T> {
    match stored.get(name) {
        None => Some(T::default()),
        Some(Attribute::N(digits)) => digits.parse().ok(),
        Some(_) => None,
    }
}

/// Writes the map that `latest` holds for one metric.
#[derive(Debug, Clone, Copy)]
pub struct LatestAttribute<'a>(pub &'a Reading);

impl Serialize for LatestAttribute<'_> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        struct Members<'a>(&'a Reading);
        impl Serialize for Members<'_> {
            fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                let reading = self.0;
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("value", &V(&reading.value))?;
                map.serialize_entry("at", &N(reading.at.0))?;
                map.serialize_entry("received", &N(reading.received.0))?;
                map.serialize_entry("source", &S(reading.time_source.as_str()))?;
                if !reading.seq.is_none() {
                    map.serialize_entry("seq", &N(i64::try_from(reading.seq.0).unwrap_or(i64::MAX)))?;
                }
                if reading.revision != Micros::default() {
                    map.serialize_entry("revision", &N(reading.revision.0))?;
                }
                if let Some(unit) = &reading.unit {
                    map.serialize_entry("unit", &S(unit))?;
                }
                if let Some(sent) = reading.unit.as_ref().and_then(Unit::sent) {
                    map.serialize_entry("unit_sent", &S(sent))?;
                }
                if let Some(correction) = &reading.correction {
                    map.serialize_entry("correction", &S(correction.reason.as_str()))?;
                    map.serialize_entry("time_sent", &N(correction.sent.0))?;
                }
                if reading.quality != Quality::Good {
                    map.serialize_entry("quality", &S(reading.quality.as_str()))?;
                }
                map.end()
            }
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("M", &Members(self.0))?;
        map.end()
    }
}

/// Writes the whole of `latest`.
pub fn latest_attribute(metrics: &ByMetric) -> impl Serialize + '_ {
    M(metrics.iter().map(|(metric, reading)| (&**metric, LatestAttribute(reading))))
}

/// The latest values in spans as [`pack`](crate::pack) returns them: one entry per device, in order.
pub fn latest(spans: &[Span]) -> Vec<Latest> {
    spans.chunk_by(|a, b| a.device() == b.device()).map(latest_of_device).collect()
}

fn latest_of_device(spans: &[Span]) -> Latest {
    let mut metrics = ByMetric::new();
    let mut seen = spans[0].received();
    for span in spans {
        for reading in span.latest() {
            // Spans of two revisions may cover the same time.
            if metrics.get(&reading.metric).is_none_or(|known| reading.is_later_than(known)) {
                metrics.insert(reading.metric.clone(), reading);
            }
        }
        let (first, last) = span.received();
        seen = (seen.0.min(first), seen.1.max(last));
    }
    Latest {
        device: spans[0].device().clone(),
        metrics,
        first_seen: seen.0,
        last_seen: seen.1,
        profile: None,
        identity: Identity::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Value;

    fn latest_with(metrics: &[(&str, i64, i64)]) -> Latest {
        let reading = |&(metric, at, received): &(&str, i64, i64)| Reading {
            device: DeviceId::from_stored("s/d"),
            metric: metric.into(),
            at: Micros(at),
            seq: Seq::default(),
            received: Micros(received),
            revision: Micros::default(),
            value: Value::Integer(i128::from(at * 1_000 + received)),
            unit: None,
            quality: Quality::Good,
            time_source: TimeSource::Device,
            correction: None,
        };
        let metrics = metrics.iter().map(|entry| (entry.0.into(), reading(entry))).collect();
        Latest {
            device: DeviceId::from_stored("s/d"),
            metrics,
            first_seen: Micros(1),
            last_seen: Micros(2),
            profile: None,
            identity: Identity::Topic,
        }
    }

    #[test]
    fn an_older_reading_never_replaces_a_newer_one() {
        let check = |stored: &[(&str, i64, i64)], new: &[(&str, i64, i64)], expected: &[(&str, i64, i64)]| {
            let mut merged = latest_with(stored);
            let has_changed = merged.merge(&latest_with(new));
            assert_eq!(merged, latest_with(expected));
            assert_eq!(has_changed, stored != expected);
        };
        check(&[("a", 10, 10)], &[("a", 11, 11)], &[("a", 11, 11)]);
        check(&[("a", 10, 10)], &[("a", 9, 20)], &[("a", 10, 10)]);
        check(&[("a", 10, 10)], &[("a", 10, 11)], &[("a", 10, 11)]);
        check(&[("a", 10, 11)], &[("a", 10, 10)], &[("a", 10, 11)]);
        check(&[("a", 10, 10)], &[("a", 10, 10)], &[("a", 10, 10)]);
        check(&[("a", 10, 10)], &[("b", 5, 5)], &[("a", 10, 10), ("b", 5, 5)]);
    }

    #[test]
    fn the_profile_of_the_last_message_counts() {
        let with = |last_seen: i64, profile: Option<&str>| Latest {
            last_seen: Micros(last_seen),
            profile: profile.map(Into::into),
            ..latest_with(&[])
        };
        for (a, b) in [
            (with(5, Some("a")), with(6, Some("b"))),
            (with(5, Some("a")), with(5, Some("b"))),
            (with(5, Some("a")), with(6, None)),
            (with(5, None), with(5, Some("a"))),
        ] {
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(&b);
            ba.merge(&a);
            assert_eq!(ab, ba);
            assert_eq!(ab.profile, b.profile);
        }
    }

    #[test]
    fn what_another_client_wrote_is_not_undone_by_the_device() {
        let with = |last_seen: i64, identity: Identity| Latest {
            last_seen: Micros(last_seen),
            identity,
            ..latest_with(&[])
        };
        let states = [
            with(5, Identity::Relayed),
            with(6, Identity::Topic),
            with(4, Identity::Topic),
            with(6, Identity::Relayed),
        ];
        for a in &states {
            for b in &states {
                for c in &states {
                    let merged = |states: [&Latest; 3]| {
                        let mut merged = states[0].clone();
                        merged.merge(states[1]);
                        merged.merge(states[2]);
                        merged
                    };
                    let expected = merged([a, b, c]);
                    let is_relayed = [a, b, c].iter().any(|state| state.identity == Identity::Relayed);
                    assert_eq!(expected.identity == Identity::Relayed, is_relayed);
                    for other in [[c, b, a], [b, a, c], [a, c, b]] {
                        assert_eq!(merged(other), expected);
                    }
                    let mut right = b.clone();
                    right.merge(c);
                    let mut grouped = a.clone();
                    grouped.merge(&right);
                    assert_eq!(grouped, expected);
                    assert!(!grouped.merge(&right), "once more changes nothing");
                }
            }
        }
    }

    #[test]
    fn a_state_too_large_loses_what_was_silent_longest() {
        let names: Vec<String> = (0..2_000).map(|number| format!("{number:0>200}")).collect();
        let metrics: Vec<(&str, i64, i64)> =
            names.iter().zip(0..).map(|(name, at)| (name.as_str(), at, at)).collect();
        let mut state = latest_with(&metrics);
        state.trim();
        let json = serde_json::to_string(&latest_attribute(&state.metrics)).unwrap();
        assert!(json.len() <= MAX_LATEST_JSON_BYTES, "{}", json.len());
        assert!(state.metrics.len() > 100, "{}", state.metrics.len());
        assert_eq!(state.newest(), Micros(1_999));
        assert_eq!(state.oldest().0, 2_000 - i64::try_from(state.metrics.len()).unwrap());
    }

    #[test]
    fn items_read_back() {
        let mut state = latest_with(&[("a", 10, 10), ("b.c", 12, 13)]);
        for reading in state.metrics.values_mut().take(1) {
            reading.unit = Some(Unit::new("Cel", Some("degF")));
            (reading.seq, reading.revision) = (Seq(1 << 61), Micros(5));
            reading.correction =
                Some(Box::new(Correction { reason: CorrectionReason::Boot, sent: Micros(7) }));
        }
        (state.profile, state.identity) = (Some("p".into()), Identity::Gateway);
        let latest = serde_json::to_string(&latest_attribute(&state.metrics)).unwrap();
        let item = format!(
            r#"{{"device":{{"S":"s/d"}},"first_seen":{{"N":"1"}},"last_seen":{{"N":"2"}},"profile":{{"S":"p"}},"identity":{{"S":"gateway"}},"latest":{latest}}}"#
        );
        assert_eq!(Latest::from_item(&serde_json::from_str(&item).unwrap()), Some(state));
        assert_eq!(Latest::from_item(&Item::new()), None);
    }
}
