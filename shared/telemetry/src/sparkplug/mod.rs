//! Sparkplug B (Eclipse Sparkplug 3.0.0): edge nodes and the devices behind them, whose births say what their later
//! messages mean.
//!
//! ```text
//! topic ─Address─► who, what kind ┐
//!                                 ├─Node::take─► the birth it is read by ─samples─► samples
//! bytes ─message─► payload ───────┘      └─ Reject: a gap, or no birth; the node is to be asked for one
//! ```
//!
//! - A group is a site, an edge node is a device of it, and a device behind it is `{node}::{device}`.
//! - Metrics are samples under their names, levels joined by dots; what is null is none, and neither are commands
//!   (`Node Control/…`) and `bdSeq`. Members of templates, elements of arrays and cells of data sets have names below
//!   that of their metric. Definitions of templates say no values.
//! - Integers are of their datatype's sign and width, date-times are RFC 3339 texts, bytes are base64 texts.
//! - A metric's time is its own, else its payload's. Historical values are readings as any other, and a device's state
//!   goes by their times; one whose time is not accepted refuses its message, as it would be shown as the present.
//! - The property `engUnit` is the unit, in a birth also that of later values; `Quality` is the quality.
//! - Births and deaths are samples too, `sparkplug.online`, at the time of arrival: the will that tells of a node's
//!   death was written when it connected.
//!
//! What is known of nodes is kept by [`Nodes`], and has to be kept for them between one process and the next.

mod birth;
mod message;
mod node;
mod samples;
mod session;
#[cfg(test)]
mod tests;
mod topic;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use prost::Message as _;

use self::message::{Metric, Numbered, Value as SentValue};
use self::node::{Arrival, Taken};
use self::samples::Writer;
use self::value::datatype;
use crate::format::Context;
use crate::reading::Value;
use crate::reject::Reject;
use crate::sample::{Payload, Sample};
use crate::time::Micros;
use crate::topic::{name_behind, without_basic_ingest};

pub use self::node::{Node, NodeChanges};
pub(crate) use self::topic::{Address, Kind};
pub use self::topic::{NAMESPACE, NodeId};

/// The metric that births and deaths set.
const ONLINE: &str = "sparkplug.online";

/// What a compressed payload calls itself: its body is another payload.
const COMPRESSED: &str = "SPBV1.0_COMPRESSED";

/// How much is remembered of nodes, in bytes of their births as they are stored; then all is forgotten, and is to be read
/// again.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// How many nodes are remembered.
const MAX_NODES: usize = 10_000;

/// What is asked of a node's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SparkplugPolicy {
    /// How long a message may be missing before it is missing for good, in microseconds of the broker's clock. 0: it is
    /// as soon as a later one has come. Until then those after it are read, by the births that are known.
    pub patience_micros: i64,
}

/// Whom a message is of, where its topic is one of Sparkplug.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) id: NodeId,
    node: Box<str>,
    device: Option<Box<str>>,
    kind: Kind,
}

impl Sender {
    pub(crate) fn new(address: &Address<'_>) -> Self {
        Self {
            id: address.node(),
            node: address.node.into(),
            device: address.device.map(Box::from),
            kind: address.kind,
        }
    }

    /// The name of the node: who speaks, for itself and for the devices behind it.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }
}

/// The edge nodes of which something is known.
#[derive(Debug, Default)]
pub struct Nodes(HashMap<NodeId, Node, RandomState>);

impl Nodes {
    /// Whether anything is known of a node.
    pub fn knows(&self, id: &NodeId) -> bool {
        self.0.contains_key(id)
    }

    /// What is known of a node.
    pub fn get_mut(&mut self, id: &NodeId) -> Option<&mut Node> {
        self.0.get_mut(id)
    }

    /// Takes over what is known elsewhere of a node.
    pub fn insert(&mut self, id: NodeId, node: Node) {
        self.0.insert(id, node);
    }

    /// Forgets a node.
    pub fn forget(&mut self, id: &NodeId) {
        self.0.remove(id);
    }

    /// Forgets all nodes if they have become many.
    pub fn forget_if_many(&mut self) {
        if self.0.len() > MAX_NODES || self.0.values().map(Node::size).sum::<usize>() > MAX_BYTES {
            self.0.clear();
        }
    }

    /// Reads a message into `payload`, whose previous content is dropped. Nothing need come of it: a device that goes
    /// has no more to say.
    ///
    /// # Errors
    /// Why no sample could be made.
    pub(crate) fn read(
        &mut self,
        sender: &Sender,
        bytes: &[u8],
        policy: &SparkplugPolicy,
        context: &mut Context<'_>,
        payload: &mut Payload,
    ) -> Result<(), Reject> {
        payload.clear();
        context.names.begin_message(context.profile);
        let (message, fault) = match message::Payload::decode(bytes) {
            Ok(message) if message.uuid.as_deref() == Some(COMPRESSED) => {
                (message, Some("its content is compressed"))
            }
            Ok(message) => (message, None),
            Err(_) => {
                let seq = Numbered::decode(bytes).ok().and_then(|numbered| numbered.seq);
                let message = message::Payload { seq, ..message::Payload::default() };
                (message, Some("it is not the protobuf of a payload"))
            }
        };
        let at = context.clock.received;
        let arrival = Arrival { kind: sender.kind, device: sender.device.as_deref(), at, fault };
        let node = self.0.entry(sender.id.clone()).or_default();
        let taken = node.take(arrival, &message, policy.patience_micros);
        let outcome = taken.and_then(|taken| write(&taken, sender, &message, context, payload));
        let outcome = if context.names.has_too_many() { Err(Reject::Names) } else { outcome };
        outcome.inspect_err(|reject| node.note(reject, at))
    }

    /// Puts the messages of one node that arrived in one millisecond into the order in which it sent them: those that go
    /// on with what came before, then its birth, if there is one, and what follows it.
    pub fn sort<T>(&self, id: &NodeId, messages: &mut [T], header: impl Fn(&T) -> Option<Header>) {
        let next = self.0.get(id).and_then(Node::next).unwrap_or_default();
        let distance = |message: &T| {
            let number = header(message).and_then(|header| header.seq).unwrap_or_default();
            number.wrapping_sub(next)
        };
        messages.sort_by_cached_key(distance);
        let is_birth = |message: &T| header(message).is_some_and(|header| header.is_node_birth);
        let Some(place) = messages.iter().position(is_birth) else { return };
        messages[..=place].rotate_right(1);
        let (birth, others) = messages.split_at_mut(1);
        debug_assert!(is_birth(&birth[0]));
        let goes_on = |(place, message): &(usize, &T)| usize::from(distance(message)) == *place;
        let run = others.iter().enumerate().take_while(goes_on).count();
        others[run..].sort_by_cached_key(|message| header(message).and_then(|header| header.seq));
        messages[..=run].rotate_left(1);
    }
}

/// What is read of a message to put it into order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    is_node_birth: bool,
    seq: Option<u8>,
}

impl Header {
    /// That of a message on `topic`; `None` if it is none of Sparkplug.
    pub fn read(topic: &str, bytes: &[u8]) -> Option<Self> {
        let address = Address::read(without_basic_ingest(topic))?.ok()?;
        let seq = Numbered::decode(bytes).ok().and_then(|numbered| numbered.seq?.try_into().ok());
        Some(Self { is_node_birth: address.kind == Kind::NodeBirth, seq })
    }
}

fn write(
    taken: &Taken,
    sender: &Sender,
    message: &message::Payload,
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<(), Reject> {
    let name = context.names.get(ONLINE, context.profile);
    let online = |is_online: bool, device: Option<Arc<str>>| Sample {
        device,
        ..Sample::new(name.clone(), Value::Boolean(is_online), 0)
    };
    let birth = match taken {
        Taken::Death { of_node, of_devices } => {
            if *of_node {
                payload.samples.push(online(false, None));
            }
            let names = of_devices.iter().map(|device| name_behind(&sender.node, device).into());
            payload.samples.extend(names.map(|device| online(false, Some(device))));
            return Ok(());
        }
        Taken::Birth(birth) => {
            payload.samples.push(online(true, None));
            birth
        }
        Taken::Data(birth) => birth,
    };
    Writer { birth, context, payload }.add(&message.metrics, message.timestamp)
}

/// The command that asks a node for its births, sent at `now` (Sparkplug 3.0.0, 6.4.20, "NCMD").
pub fn ask_for_birth(now: Micros) -> Vec<u8> {
    let millis = u64::try_from(now.0 / 1_000).ok();
    let metric = Metric {
        name: Some("Node Control/Rebirth".to_owned()),
        timestamp: millis,
        datatype: Some(datatype::BOOLEAN),
        value: Some(SentValue::Boolean(true)),
        ..Metric::default()
    };
    message::Payload { timestamp: millis, metrics: vec![metric], ..message::Payload::default() }
        .encode_to_vec()
}
