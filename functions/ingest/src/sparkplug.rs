//! Sparkplug's messages of an event: decoded in the order of their sessions, with what other processes know of the nodes.
//!
//! What a node's messages mean depends on those before them. So what is known of a node is stored before its readings
//! are, on condition that nobody else has stored what he knows; if somebody has, the node's messages are decoded again
//! on top of that. Where a birth may be under way in another process, as births come in bursts, they wait a little for it.
//! Where a process dies in between, the messages come again, are known to be late, and become the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use cloud::Error as CloudError;
use cloud::broker::Broker;
use cloud::conditional::Stored;
use cloud::error::chain;
use cloud::lambda::Invocation;
use cloud::readings::MAX_IN_FLIGHT;
use cloud::sparkplug::StoredNodes;
use futures_util::stream::{self, StreamExt as _};
use telemetry::sparkplug::{Header, NAMESPACE, Node, NodeId, ask_for_birth};
use telemetry::{Decoder, Envelope};
use tokio::time::sleep;

use crate::event::{Event, Record};
use crate::plan::{Outcome, decode_envelope};

/// How long messages wait for a birth that another process may be about to store, and how often they look.
const WAIT_FOR_BIRTH: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is known of nodes, and where they are asked for more.
#[derive(Debug)]
pub struct Sparkplug {
    nodes: StoredNodes,
    broker: Broker,
}

/// What became of an event's Sparkplug messages.
#[derive(Debug, Default)]
pub struct Settled {
    /// By the place of its record in the event.
    pub outcomes: BTreeMap<usize, Outcome>,
    /// How many nodes were asked for their births.
    pub requests: usize,
    /// Why messages are handed back: what is known of their nodes could not be read or stored.
    pub errors: Vec<CloudError>,
}

/// A message and the place of its record in the event.
struct Message<'e> {
    place: usize,
    text: &'e str,
    envelope: Envelope<'e>,
    header: Option<Header>,
}

impl Sparkplug {
    /// Nodes as `nodes` keeps them, which are asked for births through `broker`.
    pub fn new(nodes: StoredNodes, broker: Broker) -> Self {
        Self { nodes, broker }
    }

    /// Decodes the Sparkplug messages of an event, and stores what they say of their nodes. Where that fails until the
    /// deadline, the node's messages are handed back, and nobody else's.
    pub async fn settle(
        &self,
        event: &Event<'_>,
        decoder: &RefCell<Decoder>,
        invocation: &Invocation,
    ) -> Settled {
        let nodes = by_node(&event.records);
        let mut settled = Settled::default();
        let patience = if event.source.may_reorder() { WAIT_FOR_BIRTH } else { Duration::ZERO };
        let works = nodes.into_iter().map(async |(id, messages)| {
            let places: Vec<usize> = messages.iter().map(|message| message.place).collect();
            (places, self.settle_node(&id, messages, patience, decoder, invocation).await)
        });
        let mut works = stream::iter(works).buffer_unordered(MAX_IN_FLIGHT);
        while let Some((places, work)) = works.next().await {
            match work {
                Ok((outcomes, is_asked)) => {
                    settled.outcomes.extend(outcomes);
                    settled.requests += usize::from(is_asked);
                }
                Err(error) => {
                    settled.outcomes.extend(places.into_iter().map(|place| (place, Outcome::HandedBack)));
                    settled.errors.push(error);
                }
            }
        }
        decoder.borrow_mut().nodes().forget_if_many();
        settled
    }

    /// Returns what became of a node's messages, and whether it was asked for its births.
    async fn settle_node(
        &self,
        id: &NodeId,
        mut messages: Vec<Message<'_>>,
        patience: Duration,
        decoder: &RefCell<Decoder>,
        invocation: &Invocation,
    ) -> Result<(Vec<(usize, Outcome)>, bool), CloudError> {
        let mut is_fresh = false;
        if !decoder.borrow_mut().nodes().knows(id) {
            self.load(id, decoder, invocation).await?;
            is_fresh = true;
        }
        messages.sort_by_key(|message| message.envelope.received);
        let patience = invocation.deadline.sooner(patience);
        let mut was_asked = false;
        loop {
            let outcomes = decode(id, &mut messages, &mut decoder.borrow_mut());
            let (lacks_birth, is_changed) =
                with_node(id, decoder, |node| (node.lacks_birth(), node.is_changed()));
            // What is remembered may be behind what others have stored; what changes it finds that out when it is stored.
            let is_doubtful = !is_fresh && (lacks_birth || !is_changed);
            let may_come = lacks_birth && !patience.has_passed();
            if is_doubtful || may_come {
                if is_fresh {
                    sleep(LOOK_EVERY).await;
                }
                self.load(id, decoder, invocation).await?;
                is_fresh = true;
                continue;
            }
            was_asked |= with_node(id, decoder, |node| node.ask_for_birth(invocation.began));
            let stored = match with_node(id, decoder, |node| node.changes()) {
                Some(changes) => self.nodes.store(id, &changes, invocation.began, invocation.deadline).await,
                None => Ok(Stored::Done),
            };
            match stored {
                Ok(Stored::Done) => {
                    with_node(id, decoder, Node::saved);
                    if was_asked {
                        self.ask(id, invocation).await;
                    }
                    return Ok((outcomes, was_asked));
                }
                Ok(Stored::Overtaken) => {
                    self.load(id, decoder, invocation).await?;
                    is_fresh = true;
                    // By itself, where the answer to what it stored was lost; then it has to ask as well.
                    was_asked &= with_node(id, decoder, |node| node.was_asked(invocation.began));
                }
                Err(error) => {
                    // What is remembered here would be ahead of what is stored.
                    decoder.borrow_mut().nodes().forget(id);
                    return Err(error);
                }
            }
        }
    }

    async fn load(
        &self,
        id: &NodeId,
        decoder: &RefCell<Decoder>,
        invocation: &Invocation,
    ) -> Result<(), CloudError> {
        // Forgotten first: what could not be read again is not to be gone by.
        decoder.borrow_mut().nodes().forget(id);
        let node = self.nodes.load(id, invocation.deadline).await?;
        decoder.borrow_mut().nodes().insert(id.clone(), node);
        Ok(())
    }

    /// A request that is lost is made again in a minute, when the next message needs it.
    async fn ask(&self, id: &NodeId, invocation: &Invocation) {
        let command = ask_for_birth(invocation.began);
        let outcome = self.broker.command(&id.command_topic(), &command, invocation.deadline).await;
        if let Err(error) = outcome {
            tracing::warn!(
                request_id = invocation.request_id,
                error = chain(&error),
                "a Sparkplug node could not be asked for its births"
            );
        }
    }
}

/// What is said of a node; of one that has been forgotten, what is said of one that nothing is known of.
fn with_node<T>(id: &NodeId, decoder: &RefCell<Decoder>, say: impl FnOnce(&mut Node) -> T) -> T {
    let mut decoder = decoder.borrow_mut();
    match decoder.nodes().get_mut(id) {
        Some(node) => say(node),
        None => say(&mut Node::default()),
    }
}

/// The event's messages that are of nodes, by node.
fn by_node<'e>(records: &'e [Record<'_>]) -> BTreeMap<NodeId, Vec<Message<'e>>> {
    let mut nodes: BTreeMap<NodeId, Vec<Message<'e>>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        // Most events have none, and reading each envelope twice would cost them.
        let Ok(text) = record.envelope.as_ref() else { continue };
        if !text.contains(NAMESPACE) {
            continue;
        }
        let Ok(envelope) = Envelope::parse(text) else { continue };
        let Some(id) = NodeId::of_topic(&envelope.topic) else { continue };
        let mut bytes = Vec::new();
        let header =
            envelope.decode_payload(&mut bytes).ok().and_then(|()| Header::read(&envelope.topic, &bytes));
        nodes.entry(id).or_default().push(Message { place, text, envelope, header });
    }
    nodes
}

/// Decodes messages that are in the order of their arrival.
fn decode(id: &NodeId, messages: &mut [Message<'_>], decoder: &mut Decoder) -> Vec<(usize, Outcome)> {
    let mut outcomes = Vec::with_capacity(messages.len());
    for of_one_time in messages.chunk_by_mut(|a, b| a.envelope.received == b.envelope.received) {
        decoder.nodes().sort(id, of_one_time, |message| message.header);
        outcomes.extend(of_one_time.iter().map(|message| {
            let mut readings = Vec::new();
            let decoded = decode_envelope(&message.envelope, message.text, decoder, &mut readings);
            let outcome = match decoded {
                Ok(profile) => Outcome::Read(readings, profile),
                Err(quarantined) => Outcome::Quarantined(quarantined),
            };
            (message.place, outcome)
        }));
    }
    outcomes
}
