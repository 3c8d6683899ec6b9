//! Whether a device is connected: what the broker's lifecycle events say, and which of two events stands.
//!
//! An event, as AWS IoT publishes it on `$aws/events/presence/{connected|disconnected}/{client id}` (AWS IoT Core
//! Developer Guide, "Lifecycle events"):
//!
//! ```json
//! {"clientId": "pump-7", "timestamp": 1795417200250, "eventType": "disconnected",
//!  "sessionIdentifier": "a4666d2a7d844ae4ac5d7b38c9cb7967", "principalIdentifier": "…",
//!  "clientInitiatedDisconnect": false, "disconnectReason": "CONNECTION_LOST", "versionNumber": 3}
//! ```
//!
//! The map `presence` in a device's item of the devices table, in DynamoDB's terms:
//!
//! | member | type | meaning |
//! |---|---|---|
//! | `online` | BOOL | whether the device is connected |
//! | `since` | N | online: when its session began; offline: when it was disconnected; µs since 1970, ± 2 minutes |
//! | `reason` | S | offline: one of AWS's words, such as `CONNECTION_LOST`, or `UNKNOWN` |
//! | `session` | S | the broker's id of the session |
//! | `version` | N | the broker's number of the connection |

use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;

use crate::attribute::{Attribute, Item};
use crate::limits::MAX_SESSION_BYTES;
use crate::scalar::Scalar;
use crate::time::Micros;
use crate::topic::check_name;

/// Why AWS IoT says that a connection has ended (the table of "Connect/Disconnect events").
const REASONS: [&str; 13] = [
    "API_INITIATED_DISCONNECT",
    "AUTH_ERROR",
    "CLIENT_ERROR",
    "CLIENT_INITIATED_DISCONNECT",
    "CONNECTION_LOST",
    "CUSTOMAUTH_TTL_EXPIRATION",
    "DUPLICATE_CLIENTID",
    "FORBIDDEN_ACCESS",
    "MQTT_KEEP_ALIVE_TIMEOUT",
    "SERVER_ERROR",
    "SERVER_INITIATED_DISCONNECT",
    "THROTTLED",
    "WEBSOCKET_TTL_EXPIRATION",
];
/// What stands in the place of any other word.
const UNKNOWN: &str = "UNKNOWN";

/// Two events further apart than this, in microseconds, may be of two counts of versions. AWS begins anew at 0 after
/// about an hour of absence, and its times are right to 2 minutes: half an hour is far from both.
const RESET_MICROS: i64 = 30 * 60 * 1_000_000;

/// What one event says of a device, and what the devices table keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether it is connected.
    pub online: bool,
    /// When that began, by the broker's clock: of a connected device, when its present session did. A device that
    /// took its own place (`DUPLICATE_CLIENTID`) has therefore been online since then, not since the session before.
    pub since: Micros,
    /// Why it is not connected: one of AWS's words, or `UNKNOWN`. `None` while it is.
    pub reason: Option<&'static str>,
    /// The broker's id of the session.
    pub session: Arc<str>,
    /// The broker's number of the connection: connect and disconnect share it, and the next connection's is higher,
    /// until the client has been away for about an hour.
    pub version: i64,
}

impl Presence {
    /// Whether this is to stand in place of `stored`. Events come late, twice and out of order; the end of an old
    /// session never makes a device offline that has connected since:
    ///
    /// - of one connection, the end stands and not the beginning, and a repetition changes nothing;
    /// - of two connections, the one with the higher version stands. If that one is older by more than half an hour,
    ///   the broker has begun to count anew, and the newer one stands;
    /// - two sessions with one version are of two such counts too: the later stands.
    pub fn supersedes(&self, stored: &Self) -> bool {
        if self.version == stored.version {
            return if self.session == stored.session {
                stored.online && !self.online
            } else {
                // Of two at the same time the ids decide, so that the order of arrival does not.
                (self.since, &self.session) > (stored.since, &stored.session)
            };
        }
        let later_by = self.since.0.saturating_sub(stored.since.0);
        if self.version > stored.version { later_by >= -RESET_MICROS } else { later_by > RESET_MICROS }
    }

    /// The members of the map `presence`.
    pub fn to_attributes(&self) -> Item {
        let mut members = Item::from([
            ("online".to_owned(), Attribute::Bool(self.online)),
            ("since".to_owned(), Attribute::N(self.since.0.to_string())),
            ("session".to_owned(), Attribute::S(self.session.to_string())),
            ("version".to_owned(), Attribute::N(self.version.to_string())),
        ]);
        if let Some(reason) = self.reason {
            members.insert("reason".to_owned(), Attribute::S(reason.to_owned()));
        }
        members
    }

    /// Reads `presence` of an item of the devices table; `None` if there is none, or none that can be read.
    pub fn from_item(item: &Item) -> Option<Self> {
        Self::from_attributes(item.get("presence")?.as_m()?)
    }

    /// The reverse of [`Presence::to_attributes`].
    pub fn from_attributes(members: &Item) -> Option<Self> {
        let Attribute::Bool(online) = *members.get("online")? else { return None };
        let reason = members.get("reason").and_then(Attribute::as_s);
        Some(Self {
            online,
            since: Micros(members.get("since")?.as_i64()?),
            reason: reason_of(online, reason),
            session: members.get("session")?.as_s()?.into(),
            version: members.get("version")?.as_i64()?,
        })
    }
}

/// The word to keep: whatever stands in an event, it is one of a few.
fn reason_of(online: bool, word: Option<&str>) -> Option<&'static str> {
    let known = || word.and_then(|word| REASONS.into_iter().find(|reason| *reason == word));
    (!online).then(|| known().unwrap_or(UNKNOWN))
}

/// A client has connected, or its connection has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// The client id. A device's is its name: the part of its id after the slash.
    pub client: Arc<str>,
    /// What it says of the client.
    pub presence: Presence,
}

/// Why a text is no lifecycle event. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LifecycleError {
    /// Not a JSON object.
    #[error("the event is not the JSON object that AWS IoT publishes")]
    NotJson,
    /// A field is missing, or holds what it cannot.
    #[error("the event's {0} is missing, or not what AWS IoT writes there")]
    Field(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, default)]
    client_id: Scalar<'a>,
    #[serde(borrow, default)]
    timestamp: Scalar<'a>,
    #[serde(borrow, default)]
    event_type: Scalar<'a>,
    #[serde(borrow, default)]
    session_identifier: Scalar<'a>,
    #[serde(borrow, default)]
    version_number: Scalar<'a>,
    #[serde(borrow, default)]
    disconnect_reason: Scalar<'a>,
}

impl Lifecycle {
    /// Reads the published bytes of an event. Fields that are not needed are passed over.
    ///
    /// # Errors
    /// If they are no JSON object, or a field that is needed is not there.
    pub fn parse(payload: &[u8]) -> Result<Self, LifecycleError> {
        let fields: Fields<'_> = serde_json::from_slice(payload).map_err(|_| LifecycleError::NotJson)?;
        let online = match fields.event_type.text().as_deref() {
            Some("connected") => true,
            Some("disconnected") => false,
            _ => return Err(LifecycleError::Field("eventType")),
        };
        let since = fields.timestamp.integer().and_then(Micros::from_millis);
        let session = fields.session_identifier.text().filter(|session| session.len() <= MAX_SESSION_BYTES);
        let version = fields.version_number.integer().filter(|version| *version >= 0);
        let presence = Presence {
            online,
            since: since.ok_or(LifecycleError::Field("timestamp"))?,
            reason: reason_of(online, fields.disconnect_reason.text().as_deref()),
            session: session.ok_or(LifecycleError::Field("sessionIdentifier"))?.into(),
            version: version.ok_or(LifecycleError::Field("versionNumber"))?,
        };
        let client = fields.client_id.text().ok_or(LifecycleError::Field("clientId"))?;
        Ok(Self { client: client.into(), presence })
    }

    /// Whether the client may be a device: its id can stand in a topic as one level, and so in a device's key.
    pub fn may_be_a_device(&self) -> bool {
        check_name(&self.client, "client").is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_435_200_000_000;
    const MINUTE: i64 = 60_000_000;

    /// `online` or not, at a minute after noon, of a session with a version.
    fn presence(online: bool, minute: i64, session: &str, version: i64) -> Presence {
        let reason = reason_of(online, Some("CONNECTION_LOST"));
        let since = Micros(NOON + minute * MINUTE);
        Presence { online, since, reason, session: session.into(), version }
    }

    #[test]
    fn the_end_of_an_old_session_never_makes_a_device_offline() {
        let on = |minute, session, version| presence(true, minute, session, version);
        let off = |minute, session, version| presence(false, minute, session, version);
        let check = |new: Presence, stored: Presence, expected: bool| {
            assert_eq!(new.supersedes(&stored), expected, "{new:?} over {stored:?}");
            assert!(!(new.supersedes(&stored) && stored.supersedes(&new)), "{new:?} and {stored:?}");
        };
        // One connection.
        check(off(5, "a", 3), on(0, "a", 3), true);
        check(on(0, "a", 3), off(5, "a", 3), false);
        check(on(0, "a", 3), on(0, "a", 3), false);
        check(off(5, "a", 3), off(5, "a", 3), false);
        check(off(-2, "a", 3), on(0, "a", 3), true); // the clocks of two brokers
        check(off(6_000, "a", 3), on(0, "a", 3), true);
        // The next connection of a device that is back within the hour.
        check(on(6, "b", 4), off(5, "a", 3), true);
        check(on(6, "b", 4), on(0, "a", 3), true);
        check(on(0, "a", 3), on(6, "b", 4), false);
        check(off(5, "a", 3), on(6, "b", 4), false);
        // A device that took its own place, its clock a little behind.
        check(off(2, "a", 3), on(0, "b", 4), false);
        check(on(0, "b", 4), off(2, "a", 3), true);
        check(on(0, "b", 4), off(30, "a", 3), true);
        check(off(30, "a", 3), on(0, "b", 4), false);
        // One session over two connections: a persistent one that was resumed.
        check(on(6, "a", 4), off(5, "a", 3), true);
        check(off(5, "a", 3), on(6, "a", 4), false);
        // The count begins anew after an hour of absence; what is left of the old count comes late.
        check(on(65, "b", 0), off(5, "a", 3), true);
        check(on(65, "b", 0), on(0, "a", 3), true);
        check(off(5, "a", 3), on(65, "b", 0), false);
        check(on(0, "a", 3), off(70, "b", 0), false);
        // Exactly half an hour is not yet another count.
        check(on(30, "b", 2), off(0, "a", 3), false);
        check(off(0, "a", 3), on(30, "b", 2), true);
        // Both counts at the same number.
        check(on(65, "b", 0), off(5, "a", 0), true);
        check(off(5, "a", 0), on(65, "b", 0), false);
        check(on(5, "b", 0), off(5, "a", 0), true);
        check(off(5, "a", 0), on(5, "b", 0), false);
    }

    #[test]
    fn times_at_the_end_of_their_range_are_compared() {
        let at = |since, version| Presence { since: Micros(since), ..presence(true, 0, "a", version) };
        assert!(at(i64::MAX, 0).supersedes(&at(i64::MIN, 1)));
        assert!(!at(i64::MIN, 1).supersedes(&at(i64::MAX, 0)));
    }

    #[test]
    fn reads_what_the_broker_publishes() {
        let check = |payload: &str, expected: Presence| {
            let lifecycle = Lifecycle::parse(payload.as_bytes()).unwrap();
            assert_eq!((&*lifecycle.client, &lifecycle.presence), ("pump-7", &expected), "{payload}");
            assert!(lifecycle.may_be_a_device());
        };
        check(
            r#"{"clientId": "pump-7", "timestamp": 1795435200000, "eventType": "connected", "sessionIdentifier": "a",
                "principalIdentifier": "x", "ipAddress": "192.0.2.0", "versionNumber": 0, "future": [{}]}"#,
            presence(true, 0, "a", 0),
        );
        let offline = |reason: &str| {
            format!(
                r#"{{"clientId": "pump-7", "timestamp": 1795435260000, "eventType": "disconnected", "sessionIdentifier": "a",
                    "clientInitiatedDisconnect": false, "disconnectReason": {reason}, "versionNumber": 7}}"#
            )
        };
        check(&offline(r#""CONNECTION_LOST""#), presence(false, 1, "a", 7));
        let unknown = Presence { reason: Some("UNKNOWN"), ..presence(false, 1, "a", 7) };
        check(&offline(r#""a word of its own""#), unknown.clone());
        check(&offline("null"), unknown.clone());
        check(&offline("17"), unknown);
    }

    #[test]
    fn says_what_is_wrong_with_an_event_without_quoting_it() {
        let event = |members: &str| format!("{{{members}}}");
        let good = r#""clientId": "s3cret", "timestamp": 1795435200000, "eventType": "connected", "sessionIdentifier": "a", "versionNumber": 0"#;
        let check = |payload: &str, expected: LifecycleError| {
            let error = Lifecycle::parse(payload.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{payload}");
            assert!(!error.to_string().contains("s3cret"));
        };
        assert!(Lifecycle::parse(event(good).as_bytes()).is_ok());
        check("s3cret", LifecycleError::NotJson);
        check("", LifecycleError::NotJson);
        check("5", LifecycleError::NotJson);
        check("{}", LifecycleError::Field("eventType"));
        check(
            &event(&good.replace(r#""connected""#, r#""connect_failed""#)),
            LifecycleError::Field("eventType"),
        );
        check(&event(&good.replace("1795435200000", "1")), LifecycleError::Field("timestamp"));
        check(&event(&good.replace("1795435200000", r#""s3cret""#)), LifecycleError::Field("timestamp"));
        check(&event(&good.replace(r#""a""#, "5")), LifecycleError::Field("sessionIdentifier"));
        let long = format!("{:?}", "s3cret".repeat(30));
        check(&event(&good.replace(r#""a""#, &long)), LifecycleError::Field("sessionIdentifier"));
        check(&event(&good.replace(": 0", ": -1")), LifecycleError::Field("versionNumber"));
        check(&event(&good.replace(": 0", ": 1.5")), LifecycleError::Field("versionNumber"));
        check(&event(&good.replace(r#""s3cret""#, "null")), LifecycleError::Field("clientId"));
        assert_eq!(Lifecycle::parse(b"\xff\xfe"), Err(LifecycleError::NotJson));
    }

    #[test]
    fn clients_that_can_be_no_device_are_told_apart() {
        let check = |client: &str, expected: bool| {
            let lifecycle = Lifecycle { client: client.into(), presence: presence(true, 0, "a", 0) };
            assert_eq!(lifecycle.may_be_a_device(), expected, "{client}");
        };
        check("pump-7", true);
        check("iotconsole-4b0d04fe", true);
        check("", false);
        check("backend/worker", false);
        check("a\u{0}b", false);
        check(&"x".repeat(129), false);
    }

    #[test]
    fn items_read_back() {
        for presence in [presence(true, 0, "a", 0), presence(false, 3, "b", i64::MAX)] {
            let item = Item::from([("presence".to_owned(), Attribute::M(presence.to_attributes()))]);
            assert_eq!(Presence::from_item(&item), Some(presence));
        }
        let mut members = presence(false, 3, "b", 1).to_attributes();
        members.insert("reason".to_owned(), Attribute::S("a later version's word".to_owned()));
        assert_eq!(Presence::from_attributes(&members).unwrap().reason, Some("UNKNOWN"));
        members.remove("version");
        assert_eq!(Presence::from_attributes(&members), None);
        assert_eq!(Presence::from_item(&Item::new()), None);
    }
}
