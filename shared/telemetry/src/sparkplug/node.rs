//! What is known of an edge node: its sessions of late, and what their births say.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::birth::Birth;
use super::message::{self, Value};
use super::samples::BIRTH_DEATH_NUMBER;
use super::session::Session;
use super::topic::Kind;
use crate::reject::Reject;
use crate::time::Micros;

/// Least time between two requests for a birth, in microseconds.
const ASK_EVERY: i64 = 60 * 1_000_000;

/// How many sessions are remembered, so that what comes late or again is read as it was.
pub(super) const MAX_SESSIONS: usize = 4;

/// What is known of an edge node.
#[derive(Debug, Default)]
pub struct Node {
    state: State,
    /// How often it has been stored.
    revision: i64,
    is_changed: bool,
    /// The births that are to be stored.
    unsaved: BTreeSet<String>,
    /// The names of births that are stored and that no session has any more.
    outdated: BTreeSet<String>,
    /// Whether a message came that cannot be read without another birth.
    lacks_birth: bool,
}

/// What is stored beside the births.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The newest first.
    sessions: Vec<Session>,
    /// When it was last asked for a birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Micros>,
}

/// What has changed of a node, to be stored: the births, then the state, which speaks of them; then what is outdated
/// may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChanges {
    /// How often it had been stored.
    pub revision: i64,
    /// Births, each with its name. Under one name there is never another.
    pub births: Vec<(String, String)>,
    /// The rest.
    pub state: String,
    /// Names of births that are of no use any more.
    pub outdated: Vec<String>,
}

/// A message, as the topic and the broker tell of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) kind: Kind,
    pub(super) device: Option<&'a str>,
    pub(super) at: Micros,
    /// What is wrong with its content, if anything is. Its number counts nevertheless.
    pub(super) fault: Option<&'static str>,
}

impl Arrival<'_> {
    fn check(&self) -> Result<(), Reject> {
        self.fault.map_or(Ok(()), |fault| Err(Reject::NotSparkplug(fault)))
    }

    fn birth(&self, message: &message::Payload) -> Result<Arc<Birth>, Reject> {
        self.check()?;
        Ok(Arc::new(Birth::of(&message.metrics)?))
    }
}

/// A message that is taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// It says values.
    Data(Arc<Birth>),
    /// It says values, and that who sent it is there.
    Birth(Arc<Birth>),
    /// It says that the node, or these of its devices, are there no longer.
    Death { of_node: bool, of_devices: Vec<Box<str>> },
}

impl Node {
    /// Reads a node as it is stored, with its births by name. `None` if it is not what a node is stored as.
    pub fn from_stored<'a>(
        revision: i64,
        state: &str,
        births: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<Self> {
        let mut state: State = serde_json::from_str(state).ok()?;
        let mut stored: HashMap<&str, &str> = births.into_iter().collect();
        for session in &mut state.sessions {
            for (device, born, birth) in session.births_mut() {
                let document = stored.remove(&*birth_name(born, device));
                *birth = document.and_then(Birth::from_json).map(Arc::new);
            }
        }
        // What is younger than the oldest session may be a birth that another process is about to speak of.
        let oldest = state.sessions.last().map_or(i64::MIN, |session| session.born.0);
        let is_outdated = |name: &&str| born_of(name).is_some_and(|born| born < oldest);
        let outdated = stored.into_keys().filter(is_outdated).map(str::to_owned).collect();
        Some(Self { state, revision, outdated, ..Self::default() })
    }

    /// A node of which nothing is stored, or nothing that can be read: what is stored next replaces it.
    pub fn unknown(revision: i64) -> Self {
        Self { revision, ..Self::default() }
    }

    /// What is to be stored of it, if anything is.
    pub fn changes(&self) -> Option<NodeChanges> {
        if !self.is_changed {
            return None;
        }
        let mut births = Vec::new();
        for session in &self.state.sessions {
            for (device, born, birth) in session.births() {
                let name = birth_name(born, device);
                if let Some(birth) = birth.filter(|_| self.unsaved.contains(&name)) {
                    births.push((name, birth.to_json()));
                }
            }
        }
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        let state = serde_json::to_string(&self.state).expect("a state is JSON");
        let outdated = self.outdated.iter().cloned().collect();
        Some(NodeChanges { revision: self.revision, births, state, outdated })
    }

    /// Whether there is anything to be stored.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Takes notice that its changes, if there are any, are stored.
    pub fn saved(&mut self) {
        self.revision += i64::from(self.is_changed);
        self.is_changed = false;
        self.unsaved.clear();
        self.outdated.clear();
    }

    /// Whether a message came that cannot be read without a birth, and none has come since.
    pub fn lacks_birth(&self) -> bool {
        self.lacks_birth
    }

    /// Whether it is to be asked for a birth now: it lacks one, and the last time it was asked is a minute ago. Takes
    /// notice that it will be.
    pub fn ask_for_birth(&mut self, now: Micros) -> bool {
        let is_time =
            self.state.asked.is_none_or(|asked| now.0.abs_diff(asked.0) >= ASK_EVERY.unsigned_abs());
        let is_to_be_asked = std::mem::take(&mut self.lacks_birth) && is_time;
        if is_to_be_asked {
            self.state.asked = Some(now);
            self.is_changed = true;
        }
        is_to_be_asked
    }

    /// Whether it was asked at this time, the last time.
    pub fn was_asked(&self, at: Micros) -> bool {
        self.state.asked == Some(at)
    }

    /// The number of its next message.
    pub(super) fn next(&self) -> Option<u8> {
        self.state.sessions.first().map(Session::next)
    }

    /// How much is remembered of it, about, in bytes.
    pub(super) fn size(&self) -> usize {
        self.state.sessions.iter().map(Session::size).sum()
    }

    /// Takes a message, of which nothing has been read but what it says of the session.
    pub(super) fn take(
        &mut self,
        arrival: Arrival<'_>,
        message: &message::Payload,
        patience: i64,
    ) -> Result<Taken, Reject> {
        match arrival.kind {
            Kind::NodeBirth => self.take_birth(arrival, message),
            Kind::NodeDeath => self.take_death(arrival, message),
            _ => self.take_numbered(arrival, message, patience),
        }
    }

    /// Takes notice that a message could not be read for want of a birth. One of an earlier session has had its birth.
    pub(super) fn note(&mut self, reject: &Reject, at: Micros) {
        let is_of_now = self.state.sessions.first().is_none_or(|current| current.born <= at);
        self.lacks_birth |= reject.asks_for_birth() && is_of_now;
    }

    fn take_birth(&mut self, arrival: Arrival<'_>, message: &message::Payload) -> Result<Taken, Reject> {
        let at = arrival.at;
        let birth = arrival.birth(message).and_then(|birth| Ok((birth, seq_of(message)?)));
        let (birth, seq) = match birth {
            Ok(birth) => birth,
            Err(reject) => {
                // What comes after it is not to be read by the birth before it.
                if let Some(session) = self.session_at(at) {
                    session.die(at);
                    self.is_changed = true;
                }
                return Err(reject);
            }
        };
        let place = self.state.sessions.partition_point(|session| session.born > at);
        if self.state.sessions.get(place).is_some_and(|session| session.born == at) {
            return Ok(Taken::Birth(birth));
        }
        if place == 0 {
            self.lacks_birth = false;
        }
        let session = Session::begin(Arc::clone(&birth), seq, bd_seq_of(message), at);
        self.state.sessions.insert(place, session);
        self.unsaved.insert(birth_name(at, None));
        for old in self.state.sessions.drain(MAX_SESSIONS.min(self.state.sessions.len())..) {
            self.outdated.extend(old.births().map(|(device, born, _)| birth_name(born, device)));
        }
        self.is_changed = true;
        Ok(Taken::Birth(birth))
    }

    /// A will says which session it is the end of. One that comes when the node has begun another ends the old one only.
    fn take_death(&mut self, arrival: Arrival<'_>, message: &message::Payload) -> Result<Taken, Reject> {
        arrival.check()?;
        let (at, bd_seq) = (arrival.at, bd_seq_of(message));
        let mut before = self.state.sessions.iter_mut().filter(|session| session.born <= at).peekable();
        if before.peek().is_none() {
            return Ok(Taken::Death { of_node: true, of_devices: Vec::new() });
        }
        let is_its =
            |session: &&mut Session| bd_seq.is_none() || session.bd_seq.is_none_or(|own| Some(own) == bd_seq);
        let Some(session) = before.find(is_its) else {
            return Ok(Taken::Death { of_node: false, of_devices: Vec::new() });
        };
        let of_devices = session.die(at);
        let born = session.born;
        self.is_changed = true;
        // Whoever has been born again is there.
        let of_node = self.session_at(at).is_some_and(|newest| newest.born == born);
        Ok(Taken::Death { of_node, of_devices: if of_node { of_devices } else { Vec::new() } })
    }

    fn take_numbered(
        &mut self,
        arrival: Arrival<'_>,
        message: &message::Payload,
        patience: i64,
    ) -> Result<Taken, Reject> {
        let at = arrival.at;
        let seq = seq_of(message).map_err(|reject| arrival.check().err().unwrap_or(reject))?;
        let newest = self.state.sessions.first().map(|session| session.born);
        let session = self.session_at(at).ok_or(Reject::SparkplugUnborn("its edge node"))?;
        let mut is_changed = false;
        let outcome = if newest == Some(session.born) {
            session.take(seq, at, patience).map(|is_news| is_changed = is_news)
        } else {
            session.check(at)
        };
        // A session that is over because of this message is news as well.
        is_changed |= outcome.is_err() && session.ended(at);
        let device = arrival.device.unwrap_or_default();
        let mut names = Vec::new();
        let taken = outcome.and_then(|()| match arrival.kind {
            Kind::NodeData => {
                arrival.check()?;
                session.birth.clone().map(Taken::Data).ok_or(Reject::SparkplugAlias)
            }
            Kind::DeviceData => {
                arrival.check()?;
                session.device(device, at)?.clone().map(Taken::Data).ok_or(Reject::SparkplugAlias)
            }
            Kind::DeviceDeath => {
                is_changed |= session.bury(device, at);
                Ok(Taken::Death { of_node: false, of_devices: vec![device.into()] })
            }
            _ => match arrival.birth(message).and_then(|birth| {
                let is_news = session.bear(device, Arc::clone(&birth), at)?;
                Ok((birth, is_news))
            }) {
                Ok((birth, is_news)) => {
                    if is_news {
                        names.push(birth_name(at, Some(device)));
                    }
                    is_changed |= is_news;
                    Ok(Taken::Birth(birth))
                }
                Err(reject) => {
                    // As in `take_birth`.
                    is_changed |= session.bury(device, at);
                    Err(reject)
                }
            },
        });
        let outdated = session.take_outdated();
        self.outdated.extend(outdated.into_iter().map(|(device, born)| birth_name(born, Some(&device))));
        self.unsaved.extend(names);
        self.is_changed |= is_changed;
        taken
    }

    /// The session that a message of this time belongs to.
    fn session_at(&mut self, at: Micros) -> Option<&mut Session> {
        self.state.sessions.iter_mut().find(|session| session.born <= at)
    }
}

/// The name that a birth is stored under.
fn birth_name(born: Micros, device: Option<&str>) -> String {
    device.map_or_else(|| format!("birth/{}", born.0), |device| format!("birth/{}/{device}", born.0))
}

/// When the birth of this name arrived, in microseconds.
fn born_of(name: &str) -> Option<i64> {
    name.strip_prefix("birth/")?.split('/').next()?.parse().ok()
}

fn seq_of(message: &message::Payload) -> Result<u8, Reject> {
    let seq = message.seq.and_then(|seq| u8::try_from(seq).ok());
    seq.ok_or(Reject::NotSparkplug("it has no sequence number from 0 to 255"))
}

fn bd_seq_of(message: &message::Payload) -> Option<u64> {
    let metric = message.metrics.iter().find(|metric| metric.name.as_deref() == Some(BIRTH_DEATH_NUMBER))?;
    match metric.value {
        Some(Value::Int(number)) => Some(number.into()),
        Some(Value::Long(number)) => Some(number),
        _ => None,
    }
}
