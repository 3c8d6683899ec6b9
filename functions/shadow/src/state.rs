//! What an item of the devices table says of a device, and what its shadow was last told.
//!
//! Read of an item, each attribute where there is one that can be read:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `latest` | M | the latest value of each metric (`shared/telemetry/src/device.rs`) |
//! | `profile` | S | the name of the profile that its messages are read by |
//! | `identity` | S | how it is known that they are its own; absent where topic and client say it |
//! | `presence` | M | `online` (BOOL) and `since` (N, µs since 1970); more is passed over |
//! | `alert` | M | the worst standing alert: `rule`, `severity`, `state`, `id` (S), `since` (N); absent when nothing stands |
//!
//! and written, by this function alone:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `shadow` | M | what the shadow shows as far as this function knows, by the members below |
//! | `shadow.at` | N | when the last update was sent, µs since 1970 |
//! | `shadow.metrics` | M | per metric a map of `v`, its value (N, S or BOOL), and `u` and `q` (S), unit and quality where they say something; or NULL |
//! | `shadow.connection` | M | `online` and `since` as above; absent where the shadow shows none; or NULL |
//! | `shadow.alert` | M | as the attribute `alert`; absent where the shadow shows none; or NULL |
//!
//! NULL is doubt: an update may have been sent that was never noted, so that nobody knows what the shadow
//! shows; the next update tells it. What cannot be read counts as that.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use telemetry::attribute::{Attribute, Item};
use telemetry::{DeviceId, Identity, Metric, Micros, Quality, Seq, Value};

/// A device, as its item has it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// The device.
    pub device: DeviceId,
    /// The name of the profile that its messages are read by.
    pub profile: Option<Arc<str>>,
    /// How it is known that they are its own.
    pub identity: Identity,
    /// The latest of each metric.
    pub metrics: BTreeMap<Metric, Latest>,
    /// Whether it is connected, where that is known.
    pub connection: Option<Connection>,
    /// The worst alert that stands.
    pub alert: Option<Alert>,
    /// What its shadow shows.
    pub shown: Shown,
}

/// The latest of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// When it was measured.
    pub at: Micros,
    /// What tells it apart from others of this time.
    pub seq: Seq,
    /// What was measured.
    pub measured: Measured,
}

/// What is measured of a metric, its time aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: Value,
    /// Its unit, where one is known.
    pub unit: Option<Arc<str>>,
    /// How far to trust it.
    pub quality: Quality,
}

/// Whether a device is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// It is.
    pub online: bool,
    /// Since when it is, or is not.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub since: Option<Micros>,
}

/// An alert, as far as its attribute tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Alert {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    since: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// What a shadow shows, as far as is known. [`None`] is doubt, which no state of a device equals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// When the last update was sent; none: never, and everything is in doubt.
    pub at: Option<Micros>,
    /// The metrics that it shows.
    pub metrics: BTreeMap<Metric, Option<Measured>>,
    /// The connection that it shows, if any.
    pub connection: Option<Option<Connection>>,
    /// The alert that it shows, if any.
    pub alert: Option<Option<Alert>>,
}

/// A part of a shadow that is sent, or not, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part<'a> {
    /// The metric of that name.
    Metric(&'a Metric),
    /// `connection`.
    Connection,
    /// `alert`.
    Alert,
}

impl DeviceState {
    /// Reads an item, leniently; `None` if it has no device, and so is none of the devices table.
    pub fn from_item(item: &Item) -> Option<Self> {
        let member = |name: &str| item.get(name)?.as_m();
        let metrics = member("latest").into_iter().flatten();
        let metrics = metrics
            .filter_map(|(name, stored)| Some((name.as_str().into(), Latest::from_attribute(stored)?)));
        Some(Self {
            device: DeviceId::from_stored(item.get("device")?.as_s()?),
            profile: item.get("profile").and_then(Attribute::as_s).map(Into::into),
            identity: Identity::from_stored(item.get("identity").and_then(Attribute::as_s)),
            metrics: metrics.collect(),
            connection: member("presence").and_then(Connection::from_members),
            alert: member("alert").and_then(Alert::from_members),
            shown: member("shadow").and_then(Shown::from_members).unwrap_or_default(),
        })
    }

    /// Whether there is nothing that a shadow could show.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.connection.is_none() && self.alert.is_none()
    }
}

impl Latest {
    /// Its place in time, by which the newest is known.
    pub fn instant(&self) -> (Micros, Seq) {
        (self.at, self.seq)
    }

    fn from_attribute(stored: &Attribute) -> Option<Self> {
        let stored = stored.as_m()?;
        Some(Self {
            at: Micros(stored.get("at")?.as_i64()?),
            seq: match stored.get("seq") {
                Some(seq) => Seq(seq.as_i64()?.try_into().ok()?),
                None => Seq::default(),
            },
            measured: Measured::from_members(stored, "value", "unit", "quality")?,
        })
    }
}

impl Measured {
    fn from_members(members: &Item, value: &str, unit: &str, quality: &str) -> Option<Self> {
        Some(Self {
            value: members.get(value)?.as_value()?,
            unit: members.get(unit).and_then(Attribute::as_s).map(Into::into),
            quality: match members.get(quality) {
                Some(word) => Quality::from_word(word.as_s()?)?,
                None => Quality::Good,
            },
        })
    }

    fn to_attribute(&self) -> Attribute {
        let value = match &self.value {
            Value::Float(_) | Value::Integer(_) => Attribute::N(self.value.to_string()),
            Value::Boolean(flag) => Attribute::Bool(*flag),
            Value::Text(text) => Attribute::S(text.to_string()),
        };
        let quality = Some(self.quality).filter(|quality| *quality != Quality::Good);
        members([
            ("v", Some(value)),
            ("u", self.unit.as_deref().map(text)),
            ("q", quality.map(|quality| text(quality.as_str()))),
        ])
    }
}

impl Connection {
    fn from_members(members: &Item) -> Option<Self> {
        match members.get("online")? {
            Attribute::Bool(online) => Some(Self { online: *online, since: time(members, "since") }),
            _ => None,
        }
    }

    fn to_attribute(&self) -> Attribute {
        members([("online", Some(Attribute::Bool(self.online))), ("since", self.since.map(number))])
    }
}

impl Alert {
    fn from_members(members: &Item) -> Option<Self> {
        let word = |name: &str| Some(members.get(name)?.as_s()?.to_owned());
        let alert = Self {
            rule: word("rule"),
            severity: word("severity"),
            state: word("state"),
            since: time(members, "since"),
            id: word("id"),
        };
        Some(alert).filter(|alert| *alert != Self::default())
    }

    fn to_attribute(&self) -> Attribute {
        let word = |word: &Option<String>| word.as_deref().map(text);
        members([
            ("rule", word(&self.rule)),
            ("severity", word(&self.severity)),
            ("state", word(&self.state)),
            ("since", self.since.map(number)),
            ("id", word(&self.id)),
        ])
    }
}

impl Shown {
    fn from_members(members: &Item) -> Option<Self> {
        let at = members.get("at")?.as_i64().map(Micros)?;
        let metrics = members.get("metrics").and_then(Attribute::as_m).into_iter().flatten();
        let measured = |stored: &Attribute| Measured::from_members(stored.as_m()?, "v", "u", "q");
        Some(Self {
            at: Some(at),
            metrics: metrics.map(|(name, stored)| (name.as_str().into(), measured(stored))).collect(),
            connection: known(members.get("connection"), Connection::from_members),
            alert: known(members.get("alert"), Alert::from_members),
        })
    }

    /// The attribute `shadow` that says this.
    pub fn to_attribute(&self) -> Attribute {
        let doubt = Attribute::Null(true);
        let metric = |(name, measured): (&Metric, &Option<Measured>)| {
            let attribute = measured.as_ref().map_or_else(|| doubt.clone(), Measured::to_attribute);
            (name.to_string(), attribute)
        };
        let connection = self.connection.as_ref().map(|shown| shown.as_ref().map(Connection::to_attribute));
        let alert = self.alert.as_ref().map(|shown| shown.as_ref().map(Alert::to_attribute));
        members([
            ("at", self.at.map(number)),
            ("metrics", Some(Attribute::M(self.metrics.iter().map(metric).collect()))),
            ("connection", connection.unwrap_or_else(|| Some(doubt.clone()))),
            ("alert", alert.unwrap_or_else(|| Some(doubt.clone()))),
        ])
    }

    /// Whether both say the same of a part.
    pub fn agrees_on(&self, other: &Self, part: Part<'_>) -> bool {
        match part {
            Part::Metric(name) => self.metrics.get(name) == other.metrics.get(name),
            Part::Connection => self.connection == other.connection,
            Part::Alert => self.alert == other.alert,
        }
    }

    /// Puts a part in doubt.
    pub fn doubt(&mut self, part: Part<'_>) {
        match part {
            Part::Metric(name) => drop(self.metrics.insert(name.clone(), None)),
            Part::Connection => self.connection = None,
            Part::Alert => self.alert = None,
        }
    }
}

/// What an attribute of `shadow` tells: nothing is shown where it is absent, and doubt where it cannot be read.
fn known<T>(stored: Option<&Attribute>, read: impl Fn(&Item) -> Option<T>) -> Option<Option<T>> {
    match stored {
        None => Some(None),
        Some(stored) => stored.as_m().and_then(read).map(Some),
    }
}

fn members<const N: usize>(members: [(&str, Option<Attribute>); N]) -> Attribute {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Attribute::M(present.collect())
}

fn text(text: &str) -> Attribute {
    Attribute::S(text.to_owned())
}

fn number(at: Micros) -> Attribute {
    Attribute::N(at.0.to_string())
}

fn time(members: &Item, name: &str) -> Option<Micros> {
    members.get(name)?.as_i64().map(Micros)
}

fn as_text<S: Serializer>(at: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use telemetry::attribute::read_item;

    use super::*;

    /// 2026-11-23T07:00:00.25Z.
    const AT: Micros = Micros(1_795_417_200_250_000);

    fn measured(value: Value, unit: Option<&str>, quality: Quality) -> Measured {
        Measured { value, unit: unit.map(Into::into), quality }
    }

    #[test]
    fn an_item_is_read_as_its_writers_document_it() {
        let item = r#"{
            "device": {"S": "plant-1/pump-7"}, "rev": {"N": "3"}, "tags": {"SS": ["x"]},
            "latest": {"M": {
                "temperature": {"M": {"value": {"N": "22.5"}, "at": {"N": "1795417200250000"}, "received": {"N": "1"}, "source": {"S": "device"}, "unit": {"S": "Cel"}, "quality": {"S": "uncertain"}}},
                "ok": {"M": {"value": {"BOOL": true}, "at": {"N": "1795417200250000"}, "seq": {"N": "4611686018427387903"}, "revision": {"N": "5"}}},
                "oddest": {"M": {"value": {"BOOL": true}, "at": {"N": "1795417200250000"}, "seq": {"N": "-1"}}},
                "odd": {"M": {"value": {"SS": ["x"]}, "at": {"N": "1795417200250000"}}},
                "odder": {"S": "x"}}},
            "presence": {"M": {"online": {"BOOL": true}, "since": {"N": "1795417200250000"}, "session": {"S": "s"}, "version": {"N": "2"}}},
            "alert": {"M": {"rule": {"S": "hot"}, "severity": {"S": "critical"}, "since": {"N": "1795417200250000"}}}}"#;
        let state = DeviceState::from_item(&read_item(item).unwrap()).unwrap();
        assert_eq!(state.device.as_str(), "plant-1/pump-7");
        let expected = [
            ("ok", (1 << 62) - 1, measured(Value::Boolean(true), None, Quality::Good)),
            ("temperature", 0, measured(Value::Float(22.5), Some("Cel"), Quality::Uncertain)),
        ];
        let expected = expected
            .map(|(name, seq, measured)| (Metric::from(name), Latest { at: AT, seq: Seq(seq), measured }));
        assert_eq!(state.metrics, BTreeMap::from(expected));
        assert_eq!(state.connection, Some(Connection { online: true, since: Some(AT) }));
        assert_eq!(
            serde_json::to_string(&state.alert).unwrap(),
            r#"{"rule":"hot","severity":"critical","since":"2026-11-23T07:00:00.25Z"}"#
        );
        assert_eq!(state.shown, Shown::default());
        let bare = DeviceState::from_item(&read_item(r#"{"device": {"S": "s/a"}}"#).unwrap()).unwrap();
        assert!(bare.is_empty());
        assert_eq!(DeviceState::from_item(&Item::new()), None);
    }

    #[test]
    fn what_was_sent_reads_back() {
        let alert = Alert { rule: Some("hot".into()), since: Some(AT), ..Alert::default() };
        let check = |shown: Shown| {
            let item = BTreeMap::from([
                ("device".to_owned(), text("s/a")),
                ("shadow".to_owned(), shown.to_attribute()),
            ]);
            let json = serde_json::to_string(&item).unwrap();
            let read = DeviceState::from_item(&read_item(&json).unwrap()).unwrap();
            assert_eq!(read.shown, shown, "{json}");
        };
        let values = [
            Value::Float(0.1),
            Value::Float(1e125),
            Value::Integer(i128::from(u64::MAX)),
            Value::Integer(i128::from(i64::MIN)),
            Value::Boolean(false),
            Value::Text("\u{1f600} \"".into()),
            Value::Text("".into()),
        ];
        let metrics = values.into_iter().zip('a'..).map(|(value, name)| {
            (name.to_string().as_str().into(), Some(measured(value, Some("Cel"), Quality::Bad)))
        });
        let all = Shown {
            at: Some(AT),
            metrics: metrics.collect(),
            connection: Some(Some(Connection { online: false, since: None })),
            alert: Some(Some(alert)),
        };
        check(Shown { connection: Some(None), alert: Some(None), ..all.clone() });
        let mut doubted = all.clone();
        doubted.doubt(Part::Metric(&"a".into()));
        doubted.doubt(Part::Connection);
        doubted.doubt(Part::Alert);
        assert!(["a"].iter().all(|name| doubted.metrics[*name].is_none()));
        check(doubted);
        check(all);
    }
}
