//! What is known of an edge node: its session, the one before, and what their births say.

use std::collections::BTreeSet;
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

/// What is known of an edge node.
#[derive(Debug, Default)]
pub struct Node {
    state: State,
    /// How often it has been stored.
    revision: i64,
    is_changed: bool,
    /// The births that are to be stored: of which session, and of which device of it.
    unsaved: BTreeSet<(u64, Option<Box<str>>)>,
    /// Whether a message came that cannot be read without another birth.
    lacks_birth: bool,
}

/// What is stored beside the births.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// How many sessions there have been.
    sessions: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<Session>,
    /// Whose messages may still come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Session>,
    /// When it was last asked for a birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Micros>,
}

/// What has changed of a node, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChanges {
    /// How often it had been stored.
    pub revision: i64,
    /// Its births, each with its name.
    pub births: Vec<(String, String)>,
    /// The rest, which counts when they are stored.
    pub state: String,
}

/// A message, as the topic and the broker tell of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) kind: Kind,
    pub(super) device: Option<&'a str>,
    pub(super) at: Micros,
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
    /// Reads a node as it is stored: `births` by name, of which those that do not belong to its sessions are left out.
    /// `None` if it is not what a node is stored as.
    pub fn from_stored<'a>(
        revision: i64,
        state: &str,
        births: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<Self> {
        let mut state: State = serde_json::from_str(state).ok()?;
        let sessions = state.sessions;
        for (name, document) in births {
            for (number, session) in
                [(sessions, state.current.as_mut()), (sessions.wrapping_sub(1), state.previous.as_mut())]
            {
                let Some(session) = session else { continue };
                let (born, birth) = if name == birth_name(number, None) {
                    (session.born, &mut session.birth)
                } else if let Some((_, device)) =
                    session.devices().find(|(device, _)| name == birth_name(number, Some(device)))
                {
                    (device.born, &mut device.birth)
                } else {
                    continue;
                };
                if let Some(stored) = Birth::from_json(document, born) {
                    *birth = Arc::new(stored);
                }
            }
        }
        Some(Self { state, revision, ..Self::default() })
    }

    /// A node of which nothing that is stored can be read.
    pub fn unreadable(revision: i64) -> Self {
        Self { revision, ..Self::default() }
    }

    /// What is to be stored of it, if anything is.
    pub fn changes(&self) -> Option<NodeChanges> {
        if !self.is_changed {
            return None;
        }
        let birth = |(number, device): &(u64, Option<Box<str>>)| {
            let session = match self.state.sessions.checked_sub(*number)? {
                0 => self.state.current.as_ref(),
                1 => self.state.previous.as_ref(),
                _ => None,
            }?;
            let (born, birth) = match device {
                None => (session.born, &session.birth),
                Some(device) => {
                    let device = session.any_device(device)?;
                    (device.born, &device.birth)
                }
            };
            Some((birth_name(*number, device.as_deref()), birth.to_json(born)))
        };
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        let state = serde_json::to_string(&self.state).expect("a state is JSON");
        Some(NodeChanges {
            revision: self.revision,
            births: self.unsaved.iter().filter_map(birth).collect(),
            state,
        })
    }

    /// Takes notice that its changes are stored.
    pub fn saved(&mut self) {
        self.revision += 1;
        self.is_changed = false;
        self.unsaved.clear();
    }

    /// Whether it is to be asked for a birth now: a message came that needs one, and none has come since, and the last
    /// time it was asked is a minute ago. Takes notice that it will be.
    pub fn ask_for_birth(&mut self, now: Micros) -> bool {
        let is_time = self.state.asked.is_none_or(|asked| now.plus(-ASK_EVERY) >= asked || now < asked);
        let is_to_be_asked = std::mem::take(&mut self.lacks_birth) && is_time;
        if is_to_be_asked {
            self.state.asked = Some(now);
            self.is_changed = true;
        }
        is_to_be_asked
    }

    /// Whether a message came that cannot be read without a birth, and none has come since.
    pub fn lacks_birth(&self) -> bool {
        self.lacks_birth
    }

    /// The number of its next message.
    pub(super) fn next(&self) -> Option<u8> {
        self.state.current.as_ref().map(Session::next)
    }

    /// How many metrics are known of it.
    pub(super) fn metrics(&self) -> usize {
        [&self.state.current, &self.state.previous].into_iter().flatten().map(Session::metrics).sum()
    }

    /// Takes a message, of which nothing has been read but what it says of the session.
    pub(super) fn take(
        &mut self,
        arrival: Arrival<'_>,
        message: &message::Payload,
        patience: i64,
    ) -> Result<Taken, Reject> {
        match arrival.kind {
            Kind::NodeBirth => self.take_birth(arrival.at, message),
            Kind::NodeDeath => Ok(self.take_death(arrival.at, message)),
            _ => self.take_numbered(arrival, message, patience),
        }
    }

    /// Takes notice that a message could not be read for want of a birth. One of an earlier session has had its birth.
    pub(super) fn note(&mut self, reject: &Reject, at: Micros) {
        let is_of_now = self.state.current.as_ref().is_none_or(|current| current.born <= at);
        self.lacks_birth |= reject.asks_for_birth() && is_of_now;
    }

    fn take_birth(&mut self, at: Micros, message: &message::Payload) -> Result<Taken, Reject> {
        let birth = Arc::new(Birth::of(&message.metrics)?);
        let is_news = self.state.current.as_ref().is_none_or(|current| current.born < at);
        if is_news {
            let session = Session::begin(Arc::clone(&birth), seq_of(message)?, bd_seq_of(message), at);
            self.state.previous = self.state.current.replace(session);
            self.state.sessions += 1;
            self.unsaved.insert((self.state.sessions, None));
            self.is_changed = true;
            self.lacks_birth = false;
        }
        Ok(Taken::Birth(birth))
    }

    /// A will says which session it is the end of. One that comes when the node has begun another is no news.
    fn take_death(&mut self, at: Micros, message: &message::Payload) -> Taken {
        let bd_seq = bd_seq_of(message);
        let Some(session) = self.session_at(at) else {
            return Taken::Death { of_node: true, of_devices: Vec::new() };
        };
        if bd_seq.is_some() && session.bd_seq.is_some() && bd_seq != session.bd_seq {
            return Taken::Death { of_node: false, of_devices: Vec::new() };
        }
        let of_devices = session.die(at);
        self.is_changed = true;
        Taken::Death { of_node: true, of_devices }
    }

    fn take_numbered(
        &mut self,
        Arrival { kind, device, at }: Arrival<'_>,
        message: &message::Payload,
        patience: i64,
    ) -> Result<Taken, Reject> {
        let seq = seq_of(message)?;
        let number = self.state.sessions;
        let is_current = self.state.current.as_ref().is_some_and(|current| current.born <= at);
        let session = self.session_at(at).ok_or(Reject::SparkplugUnborn("its edge node"))?;
        let outcome = if is_current { session.take(seq, at, patience) } else { session.check(at) };
        let device = device.unwrap_or_default();
        let mut is_born = false;
        let taken = outcome.and_then(|()| match kind {
            Kind::NodeData => Ok(Taken::Data(Arc::clone(&session.birth))),
            Kind::DeviceData => Ok(Taken::Data(Arc::clone(&session.device(device, at)?.birth))),
            Kind::DeviceDeath => {
                session.bury(device, at);
                Ok(Taken::Death { of_node: false, of_devices: vec![device.into()] })
            }
            _ => {
                let birth = Arc::new(Birth::of(&message.metrics)?);
                is_born = session.bear(device, Arc::clone(&birth), at)?;
                Ok(Taken::Birth(birth))
            }
        });
        // Of a message that has come before, this stores the same once more.
        self.is_changed = true;
        if is_born {
            self.unsaved.insert((if is_current { number } else { number - 1 }, Some(device.into())));
        }
        taken
    }

    /// The session that a message of this time belongs to.
    fn session_at(&mut self, at: Micros) -> Option<&mut Session> {
        let sessions = [self.state.current.as_mut(), self.state.previous.as_mut()];
        sessions.into_iter().flatten().find(|session| session.born <= at)
    }
}

/// The name that a birth is stored under. Those of the session before last are where the next ones will be.
fn birth_name(session: u64, device: Option<&str>) -> String {
    let place = session % 2;
    device.map_or_else(|| format!("birth/{place}"), |device| format!("birth/{place}/{device}"))
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
