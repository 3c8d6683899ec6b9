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

/// How much two times of the broker's clock may be the wrong way round, in microseconds.
const CLOCK_SKEW: i64 = 1_000_000;

/// Most devices behind a node, and most bytes of their names: all sessions that are remembered stay below the 400 KB of
/// an item, whatever characters the names have.
const MAX_DEVICES: usize = 500;
const MAX_DEVICE_NAMES_BYTES: usize = 16 * 1024;

/// How many births of a device are remembered, so that what comes late or again is read as it was.
const MAX_LIVES: usize = 2;

/// Most bytes of the births of a session: all of a node's are read when a process first hears of it.
const MAX_BIRTHS_BYTES: usize = 2 * 1024 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// When its birth arrived.
    pub(super) born: Micros,
    /// What its birth and its death have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bd_seq: Option<u64>,
    /// The newest message.
    last: Arrived,
    /// Those that have not come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Missing>,
    /// From when on nothing can be taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    /// The lives of its devices, the newest last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    devices: BTreeMap<Box<str>, Vec<Life>>,
    /// `None` if it is not known any more.
    #[serde(skip)]
    pub(super) birth: Option<Arc<Birth>>,
    /// Lives that are remembered no longer.
    #[serde(skip)]
    outdated: Vec<(Box<str>, Micros)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Arrived {
    seq: u8,
    at: Micros,
}

/// A message that has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Missing {
    seq: u8,
    /// When the message before it arrived.
    after: Micros,
    /// When a later one showed that it is missing.
    since: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    at: Micros,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cause {
    /// The broker lost the node, or its next birth could not be read.
    Death,
    /// A message is missing for good.
    Gap,
}

/// A device behind the node, from a birth to its death.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Life {
    born: Micros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    died: Option<Micros>,
    /// `None` if it is not known any more.
    #[serde(skip)]
    birth: Option<Arc<Birth>>,
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
            birth: Some(birth),
            outdated: Vec::new(),
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

    /// Whether it ended at this time.
    pub(super) fn ended(&self, at: Micros) -> bool {
        self.end.is_some_and(|end| end.at == at)
    }

    /// Takes notice of a message, and returns whether it is news. One that is missing may come until a later message
    /// arrives `patience` microseconds after it was missed.
    ///
    /// # Errors
    /// If it cannot be taken: the session is over, or it shows that another is missing for good.
    pub(super) fn take(&mut self, seq: u8, at: Micros, patience: i64) -> Result<bool, Reject> {
        self.check(at)?;
        let next = self.next();
        let is_late = at < self.last.at;
        let is_missed = |missing: &Missing| missing.seq == seq && missing.after.plus(-CLOCK_SKEW) <= at;
        if seq != next
            && let Some(place) = self.missing.iter().position(is_missed)
        {
            self.missing.remove(place);
            return Ok(true);
        }
        // How far it lies ahead of the one that is next; what lies far ahead lies behind.
        let ahead = usize::from(seq.wrapping_sub(next));
        let is_ahead = ahead < MAX_MISSING;
        let is_next = seq == next && at.plus(CLOCK_SKEW) >= self.last.at;
        let comes_again = (is_late && !is_next) || (at == self.last.at && !is_ahead) || seq == self.last.seq;
        if comes_again {
            return Ok(false);
        }
        let is_missed_for_good = self.missing.iter().any(|missing| missing.since.plus(patience) < at);
        let is_too_much =
            !is_ahead || self.missing.len() + ahead > MAX_MISSING || (ahead > 0 && patience == 0);
        if is_missed_for_good || is_too_much {
            self.end = Some(End { at, cause: Cause::Gap });
            return Err(Reject::SparkplugGap);
        }
        let missing = |place: usize| {
            #[expect(clippy::cast_possible_truncation, reason = "below MAX_MISSING")]
            let seq = next.wrapping_add(place as u8);
            Missing { seq, after: self.last.at, since: at }
        };
        self.missing.extend((0..ahead).map(missing));
        self.last = Arrived { seq, at: self.last.at.max(at) };
        Ok(true)
    }

    /// Ends it, and returns which devices were there.
    pub(super) fn die(&mut self, at: Micros) -> Vec<Box<str>> {
        if self.end.is_none_or(|end| at < end.at) {
            self.end = Some(End { at, cause: Cause::Death });
        }
        let alive = self.devices.iter().filter(|(_, lives)| life_at(lives, at).is_some());
        alive.map(|(name, _)| name.clone()).collect()
    }

    /// The birth of the device `name`, if it is there at this time.
    pub(super) fn device(&self, name: &str, at: Micros) -> Result<&Option<Arc<Birth>>, Reject> {
        let life = self.devices.get(name).and_then(|lives| life_at(lives, at));
        life.map(|life| &life.birth).ok_or(Reject::SparkplugUnborn("its device"))
    }

    /// A device is born; returns whether that is news.
    pub(super) fn bear(&mut self, name: &str, birth: Arc<Birth>, at: Micros) -> Result<bool, Reject> {
        let lives = self.devices.get(name);
        if lives.is_some_and(|lives| lives.iter().any(|life| life.born == at)) {
            return Ok(false);
        }
        let names: usize = self.devices.keys().map(|name| name.len()).sum();
        let has_room = self.devices.len() < MAX_DEVICES && names + name.len() <= MAX_DEVICE_NAMES_BYTES;
        if (lives.is_none() && !has_room) || self.size() + birth.size() > MAX_BIRTHS_BYTES {
            return Err(Reject::NotSparkplug(
                "its edge node has more devices than can be kept: 500, 16 KB of names, or 2 MB of births",
            ));
        }
        let lives = self.devices.entry(name.into()).or_default();
        let place = lives.partition_point(|life| life.born < at);
        lives.insert(place, Life { born: at, died: None, birth: Some(birth) });
        if lives.len() > MAX_LIVES {
            self.outdated.push((name.into(), lives.remove(0).born));
        }
        Ok(true)
    }

    /// A device is there no longer; returns whether that is news.
    pub(super) fn bury(&mut self, name: &str, at: Micros) -> bool {
        let mut lives = self.devices.get_mut(name).into_iter().flatten();
        let Some(life) = lives.rfind(|life| life.born <= at && life.died.is_none_or(|died| at < died)) else {
            return false;
        };
        life.died = Some(at);
        true
    }

    /// The births that are known of it: of which device, of when, and what they say.
    pub(super) fn births(&self) -> impl Iterator<Item = (Option<&str>, Micros, Option<&Arc<Birth>>)> {
        let of_devices = self.devices.iter().flat_map(|(name, lives)| {
            lives.iter().map(move |life| (Some(&**name), life.born, life.birth.as_ref()))
        });
        std::iter::once((None, self.born, self.birth.as_ref())).chain(of_devices)
    }

    /// As [`Session::births`], to be set.
    pub(super) fn births_mut(
        &mut self,
    ) -> impl Iterator<Item = (Option<&str>, Micros, &mut Option<Arc<Birth>>)> {
        let of_devices = self.devices.iter_mut().flat_map(|(name, lives)| {
            lives.iter_mut().map(move |life| (Some(&**name), life.born, &mut life.birth))
        });
        std::iter::once((None, self.born, &mut self.birth)).chain(of_devices)
    }

    /// The lives that are remembered no longer, of which device and of when; they are told once.
    pub(super) fn take_outdated(&mut self) -> Vec<(Box<str>, Micros)> {
        std::mem::take(&mut self.outdated)
    }

    /// How much is remembered of it, about, in bytes.
    pub(super) fn size(&self) -> usize {
        let births = self.births().filter_map(|(_, _, birth)| birth).map(|birth| birth.size());
        births.sum::<usize>() + 256 * self.devices.len()
    }
}

/// The life of a device that there was at this time.
fn life_at(lives: &[Life], at: Micros) -> Option<&Life> {
    let life = lives.iter().rfind(|life| life.born <= at)?;
    life.died.is_none_or(|died| at < died).then_some(life)
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
                    Ok(true)
                }
            };
            told.push(match outcome {
                Ok(_) => "+",
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
    fn clocks_may_be_the_wrong_way_round() {
        assert_eq!(run(0, "1@1 2@0.9 3@1.1 4@2"), "+ + + +");
        assert_eq!(run(30, "1@1 3@1.1 2@0.9 4@50"), "+ + + +");
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
        assert!(session.bury("pump", Micros(7)));
        assert!(!session.bury("pump", Micros(7)), "delivered again");
        assert!(session.device("pump", Micros(6)).is_ok(), "late");
        assert!(session.device("pump", Micros(7)).is_err());
        assert_eq!(session.die(Micros(9)), Vec::<Box<str>>::new());
        assert_eq!(session.die(Micros(6)), [Box::from("pump")]);
        // Born again, and what comes late is of the life before.
        let birth = Arc::new(Birth::default());
        assert_eq!(session.bear("pump", Arc::clone(&birth), Micros(20)), Ok(true));
        let is_its = |session: &Session, at| {
            session.device("pump", at).is_ok_and(|own| Arc::ptr_eq(own.as_ref().unwrap(), &birth))
        };
        assert!(is_its(&session, Micros(20)) && !is_its(&session, Micros(6)));
        assert!(session.device("pump", Micros(10)).is_err());
        session.bear("pump", Arc::default(), Micros(30)).unwrap();
        assert_eq!(session.take_outdated(), [(Box::from("pump"), Micros(2))]);
    }

    #[test]
    fn what_is_kept_of_devices_is_bounded() {
        let mut session = Session::begin(Arc::default(), 0, None, Micros(0));
        let now = 1_795_417_200_000_000;
        // Each of these is two characters of JSON.
        let name = |number: usize| format!("{number:03}{}", "\"".repeat(29));
        for number in 0..MAX_DEVICES {
            for life in 0..3 {
                assert_eq!(session.bear(&name(number), Arc::default(), Micros(now + life)), Ok(true));
            }
            session.bury(&name(number), Micros(now + 1));
            session.bury(&name(number), Micros(now + 9));
        }
        assert!(session.bear("one more", Arc::default(), Micros(now)).is_err());
        session.missing = vec![Missing { seq: 200, after: Micros(now), since: Micros(now) }; MAX_MISSING];
        let text = serde_json::to_string(&session).unwrap();
        let most = 390_000 / super::super::node::MAX_SESSIONS;
        assert!(text.len() < most, "{} bytes, and {most} are its share of an item", text.len());
        let mut session = Session::begin(Arc::default(), 0, None, Micros(0));
        let name = |number: usize| format!("{number:03}{}", "x".repeat(122));
        let taken =
            (0..1_000).filter(|number| session.bear(&name(*number), Arc::default(), Micros(2)).is_ok());
        assert_eq!(taken.count(), MAX_DEVICE_NAMES_BYTES / 125);
    }
}
