//! One session of an edge node, from a birth to the next: whether its messages are all there.
//!
//! A node numbers its messages from 0 to 255 and begins again; they come in that order, each at most once (MQTT's QoS
//! 0), and one that is missing may have been the one that said what the next ones mean. A queue hands them on in any
//! order, though, and more than once. So a message belongs where the broker's clock puts it: it is late if it arrived
//! before the newest that is known, and one that is missing may still come, for as long as the policy says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::birth::Birth;
use crate::reject::Reject;
use crate::time::Micros;

/// How many messages may be missing at a time. Half of the numbers: more, and a number ahead could be one behind.
const MAX_MISSING: usize = 128;

/// Most devices behind a node, and most bytes of their names: two sessions stay below the 400 KB of an item, whatever
/// characters the names have.
const MAX_DEVICES: usize = 1_000;
const MAX_DEVICE_NAMES_BYTES: usize = 48 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// When its birth arrived.
    pub(super) born: Micros,
    /// What its birth and its death have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bd_seq: Option<u64>,
    /// The newest message.
    last: Arrived,
    /// Those that have not come, and since when that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Arrived>,
    /// From when on nothing can be taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    devices: BTreeMap<Box<str>, Device>,
    #[serde(skip)]
    pub(super) birth: Arc<Birth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Arrived {
    seq: u8,
    at: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    at: Micros,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cause {
    /// The broker lost the node.
    Death,
    /// A message is missing for good.
    Gap,
}

/// A device behind the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) born: Micros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    died: Option<Micros>,
    #[serde(skip)]
    pub(super) birth: Arc<Birth>,
}

impl Session {
    /// The session that begins with a birth.
    pub(super) fn begin(birth: Arc<Birth>, seq: u8, bd_seq: Option<u64>, at: Micros) -> Self {
        Self {
            born: at,
            bd_seq,
            last: Arrived { seq, at },
            missing: Vec::new(),
            end: None,
            devices: BTreeMap::new(),
            birth,
        }
    }

    /// The number that is to come next.
    pub(super) fn next(&self) -> u8 {
        self.last.seq.wrapping_add(1)
    }

    /// Whether a message that arrived at this time can be taken.
    pub(super) fn check(&self, at: Micros) -> Result<(), Reject> {
        match self.end.filter(|end| end.at <= at) {
            None => Ok(()),
            Some(End { cause: Cause::Gap, .. }) => Err(Reject::SparkplugGap),
            Some(End { cause: Cause::Death, .. }) => Err(Reject::SparkplugUnborn("its edge node")),
        }
    }

    /// Takes notice of a message. One that is missing may come up to `patience` microseconds after it was missed.
    ///
    /// # Errors
    /// If it cannot be taken: the session is over, or it shows that another is missing for good.
    pub(super) fn take(&mut self, seq: u8, at: Micros, patience: i64) -> Result<(), Reject> {
        self.check(at)?;
        let next = self.next();
        let is_newest = at > self.last.at;
        if seq != next
            && let Some(place) = self.missing.iter().position(|missing| missing.seq == seq)
        {
            self.missing.remove(place);
            self.last.at = self.last.at.max(at);
            return Ok(());
        }
        // How far it lies ahead of the one that is next; what lies far ahead lies behind.
        let ahead = usize::from(seq.wrapping_sub(next));
        let is_ahead = ahead < MAX_MISSING;
        if at < self.last.at || (!is_newest && !is_ahead) || seq == self.last.seq {
            // Late, or delivered again.
            return Ok(());
        }
        let is_missed_for_good = self.missing.iter().any(|missing| missing.at.plus(patience) < at);
        let is_too_much =
            !is_ahead || self.missing.len() + ahead > MAX_MISSING || (ahead > 0 && patience == 0);
        if is_missed_for_good || is_too_much {
            self.end = Some(End { at, cause: Cause::Gap });
            return Err(Reject::SparkplugGap);
        }
        self.missing.extend((0..ahead).map(|place| Arrived { seq: next.wrapping_add(place as u8), at }));
        self.last = Arrived { seq, at };
        Ok(())
    }

    /// Ends it, and returns which devices were there.
    pub(super) fn die(&mut self, at: Micros) -> Vec<Box<str>> {
        if self.end.is_none_or(|end| at < end.at) {
            self.end = Some(End { at, cause: Cause::Death });
        }
        let alive = self.devices.iter().filter(|(_, device)| device.is_alive(at));
        alive.map(|(name, _)| name.clone()).collect()
    }

    /// The device `name`, if it is there at this time.
    pub(super) fn device(&self, name: &str, at: Micros) -> Result<&Device, Reject> {
        let device = self.devices.get(name).filter(|device| device.is_alive(at));
        device.ok_or(Reject::SparkplugUnborn("its device"))
    }

    /// A device is born; returns whether that is news.
    pub(super) fn bear(&mut self, name: &str, birth: Arc<Birth>, at: Micros) -> Result<bool, Reject> {
        let known = self.devices.get(name);
        if known.is_some_and(|known| known.born >= at) {
            return Ok(false);
        }
        let names: usize = self.devices.keys().map(|name| name.len()).sum();
        let has_room = self.devices.len() < MAX_DEVICES && names + name.len() <= MAX_DEVICE_NAMES_BYTES;
        if known.is_none() && !has_room {
            return Err(Reject::NotSparkplug(
                "its edge node has more devices than can be kept: 1,000, or 48 KB of names",
            ));
        }
        self.devices.insert(name.into(), Device { born: at, died: None, birth });
        Ok(true)
    }

    /// A device is there no longer.
    pub(super) fn bury(&mut self, name: &str, at: Micros) {
        if let Some(device) = self.devices.get_mut(name).filter(|device| device.is_alive(at)) {
            device.died = Some(at);
        }
    }

    /// Its devices, for what is kept elsewhere of them.
    pub(super) fn devices(&mut self) -> impl Iterator<Item = (&str, &mut Device)> {
        self.devices.iter_mut().map(|(name, device)| (&**name, device))
    }

    /// A device whether it is there or not.
    pub(super) fn any_device(&self, name: &str) -> Option<&Device> {
        self.devices.get(name)
    }

    /// How many metrics are known of it.
    pub(super) fn metrics(&self) -> usize {
        self.birth.len() + self.devices.values().map(|device| device.birth.len()).sum::<usize>()
    }
}

impl Device {
    fn is_alive(&self, at: Micros) -> bool {
        self.born <= at && self.died.is_none_or(|died| at < died)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// The numbers of messages, `seq@seconds`, and after each `+` if it is taken, `gap` or `dead` if not.
    fn run(patience: i64, messages: &str) -> String {
        let mut session = Session::begin(Arc::default(), 0, None, Micros(0));
        let mut told = Vec::new();
        for message in messages.split_whitespace() {
            let (seq, at) = message.split_once('@').unwrap();
            let at = Micros((at.parse::<f64>().unwrap() * SECOND as f64) as i64);
            let outcome = match seq.parse() {
                Ok(seq) => session.take(seq, at, patience * SECOND),
                Err(_) => {
                    session.die(at);
                    Ok(())
                }
            };
            told.push(match outcome {
                Ok(()) => "+",
                Err(Reject::SparkplugGap) => "gap",
                Err(_) => "dead",
            });
        }
        told.join(" ")
    }

    #[test]
    fn messages_in_order_are_taken() {
        assert_eq!(run(0, "1@1 2@1 3@2"), "+ + +");
        let around: Vec<_> = (1..600).map(|number| format!("{}@{number}", number % 256)).collect();
        assert!(!run(0, &around.join(" ")).contains("gap"));
    }

    #[test]
    fn without_patience_a_gap_ends_the_session_at_once() {
        assert_eq!(run(0, "1@1 3@2 4@3 2@4"), "+ gap gap gap");
        assert_eq!(run(0, "1@1 2@2 1@3"), "+ + gap", "a session whose birth was lost");
        assert_eq!(run(30, "1@1 2@2 1@3"), "+ + gap", "for that there is no patience");
    }

    #[test]
    fn what_is_missing_may_come_for_a_while() {
        assert_eq!(run(30, "1@1 3@2 4@3 2@4 5@40"), "+ + + + +", "by a clock that differs");
        assert_eq!(run(30, "1@1 3@2 4@3 2@1.5 5@40"), "+ + + + +", "late");
        assert_eq!(run(30, "2@1 1@1 3@1 5@1 4@1 6@40"), "+ + + + + +", "all in one millisecond");
        assert_eq!(run(30, "1@1 3@2 4@32 5@33 6@34"), "+ + + gap gap");
        assert_eq!(run(30, "1@1 130@2"), "+ gap", "as many as that have not been lost");
    }

    #[test]
    fn what_comes_again_is_taken_again() {
        assert_eq!(run(0, "1@1 2@2 3@3 1@1 2@2 3@3 4@4"), "+ + + + + + +");
        assert_eq!(run(0, "1@1 1@1.2 2@2"), "+ + +", "published twice");
        // What was not taken is not taken then, either; what was before the gap is.
        assert_eq!(run(0, "1@1 3@3 1@1 3@3 4@4"), "+ gap + gap gap");
        assert_eq!(run(0, "1@1 x@2 2@3 1@1"), "+ + dead +");
    }

    #[test]
    fn a_number_that_is_missing_is_not_the_one_that_comes_next_round() {
        let mut words = vec!["1@1".to_owned(), "3@2".to_owned()];
        words.extend(
            (4..=257).map(|number| format!("{}@{}", number % 256, 2.0 + f64::from(number) / 1_000.0)),
        );
        words.push("2@2.9".to_owned());
        assert!(!run(30, &words.join(" ")).contains("gap"));
        words.push("3@50".to_owned());
        assert!(run(30, &words.join(" ")).ends_with(" gap"), "it is missing still");
    }

    #[test]
    fn devices_live_and_die() {
        let mut session = Session::begin(Arc::default(), 0, None, Micros(0));
        assert!(session.device("pump", Micros(5)).is_err());
        assert_eq!(session.bear("pump", Arc::default(), Micros(2)), Ok(true));
        assert_eq!(session.bear("pump", Arc::default(), Micros(2)), Ok(false), "delivered again");
        assert!(session.device("pump", Micros(1)).is_err(), "before its birth");
        assert!(session.device("pump", Micros(2)).is_ok());
        session.bury("pump", Micros(7));
        assert!(session.device("pump", Micros(6)).is_ok(), "late");
        assert!(session.device("pump", Micros(7)).is_err());
        assert_eq!(session.die(Micros(9)), Vec::<Box<str>>::new());
        assert_eq!(session.die(Micros(6)), [Box::from("pump")]);
        for number in 1..MAX_DEVICES {
            assert_eq!(session.bear(&number.to_string(), Arc::default(), Micros(2)), Ok(true));
        }
        assert!(session.bear("one more", Arc::default(), Micros(2)).is_err());
        let mut session = Session::begin(Arc::default(), 0, None, Micros(0));
        // Each of these is two characters of JSON.
        let name = |number: usize| format!("{number:03}{}", "\"".repeat(122));
        let taken =
            (0..1_000).filter(|number| session.bear(&name(*number), Arc::default(), Micros(2)).is_ok());
        assert_eq!(taken.count(), MAX_DEVICE_NAMES_BYTES / 125);
        assert!(2 * serde_json::to_string(&session).unwrap().len() < 390_000);
    }
}
