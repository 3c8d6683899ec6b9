//! Sparkplug's messages of an event: decoded in the order of their sessions, with what other processes know of the nodes.
//!
//! What a node's messages mean depends on those before them. So what is known of a node is stored before its readings
//! are, on condition that nobody else has stored what he knows; if somebody has, the node's messages are decoded again
//! on top of that. Where a birth may be under way in another process, as births come in bursts, they wait a little for it.
//! Where a process dies in between, the messages come again, are known to be late, and become the same.

use std::cell::{Cell, RefCell};
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
use telemetry::{Decoder, Envelope, HourBound, Reading};
use tokio::time::sleep;

use crate::chunk::{Pending, ReadBefore};
use crate::message::{Message, Reader, envelope};
use crate::plan::weight;

/// How long messages wait for a birth that another process may be about to store, and how often they look.
const WAIT_FOR_BIRTH: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is known of nodes, and where they are asked for more.
#[derive(Debug)]
pub struct Sparkplug {
    nodes: StoredNodes,
    broker: Broker,
}

/// What became of Sparkplug messages.
#[derive(Debug, Default)]
pub struct NodesRead {
    /// The messages.
    pub messages: ReadBefore,
    /// How many nodes were asked for their births.
    pub requests: usize,
    /// Why messages are handed back: what is known of their nodes could not be read or stored.
    pub errors: Vec<CloudError>,
}

/// A message and the place of its record in the event.
struct NodeMessage<'e> {
    place: usize,
    text: &'e str,
    envelope: Envelope<'e>,
    header: Option<Header>,
}

/// What a message has become, by the place of its record in the event.
type Read = (usize, (Message, Vec<Reading>));

impl Sparkplug {
    /// Nodes as `nodes` keeps them, which are asked for births through `broker`.
    pub fn new(nodes: StoredNodes, broker: Broker) -> Self {
        Self { nodes, broker }
    }

    /// Reads the Sparkplug messages among those that are pending, and stores what they say of their nodes. Where that
    /// fails until the deadline, the node's messages are redelivered, and no others. Messages for which there is no
    /// room any more are read with a later chunk, as if they had come in a later batch.
    pub async fn read(
        &self,
        pending: &Pending<'_>,
        room: &Room,
        decoder: &RefCell<Decoder>,
        invocation: &Invocation,
    ) -> NodesRead {
        let nodes = by_node(pending);
        let mut read = NodesRead::default();
        let patience = if pending.source().may_reorder() { WAIT_FOR_BIRTH } else { Duration::ZERO };
        let works = nodes.into_iter().map(async |(id, messages)| {
            let places: Vec<usize> = messages.iter().map(|message| message.place).collect();
            (places, self.read_node(&id, messages, patience, room, decoder, invocation).await)
        });
        let mut works = stream::iter(works).buffer_unordered(MAX_IN_FLIGHT);
        while let Some((places, work)) = works.next().await {
            match work {
                Ok((messages, is_asked)) => {
                    read.messages.messages.extend(messages);
                    read.requests += usize::from(is_asked);
                }
                Err(error) => {
                    let handed_back = |place| (place, (Message::HandedBack, Vec::new()));
                    read.messages.messages.extend(places.iter().copied().map(handed_back));
                    read.errors.push(error);
                }
            }
            let known = &read.messages.messages;
            let later = places.into_iter().filter(|place| !known.contains_key(place));
            read.messages.later.extend(later);
        }
        decoder.borrow_mut().nodes().forget_if_many();
        read
    }

    /// Returns what became of a node's messages, and whether it was asked for its births. Messages for which there was no
    /// room are missing.
    async fn read_node(
        &self,
        id: &NodeId,
        mut messages: Vec<NodeMessage<'_>>,
        patience: Duration,
        room: &Room,
        decoder: &RefCell<Decoder>,
        invocation: &Invocation,
    ) -> Result<(Vec<Read>, bool), CloudError> {
        if room.is_full() {
            return Ok((Vec::new(), false));
        }
        let mut is_fresh = false;
        if !decoder.borrow_mut().nodes().knows(id) {
            self.load(id, decoder, invocation).await?;
            is_fresh = true;
        }
        messages.sort_by_key(|message| message.envelope.received);
        let patience = invocation.deadline.sooner(patience);
        let mut was_asked = false;
        let mut taken = 0;
        let read = loop {
            // What was read before is dropped; it is read again where others have left room meanwhile.
            room.release(taken);
            let read = read_in_order(id, &mut messages, room, &mut decoder.borrow_mut());
            if read.is_empty() {
                break read;
            }
            taken = weight_of(&read);
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
                    break read;
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
        };
        if was_asked {
            self.ask(id, invocation).await;
        }
        Ok((read, was_asked))
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

/// The pending messages that are of nodes, by node.
fn by_node<'e>(pending: &'e Pending<'_>) -> BTreeMap<NodeId, Vec<NodeMessage<'e>>> {
    let mut nodes: BTreeMap<NodeId, Vec<NodeMessage<'e>>> = BTreeMap::new();
    for (place, record) in pending.records() {
        // Most events have none, and reading each envelope twice would cost them.
        let Ok(text) = record.envelope.as_ref() else { continue };
        if !text.contains(NAMESPACE) {
            continue;
        }
        let Ok(envelope) = envelope(text, &record.position) else { continue };
        let Some(id) = NodeId::of_topic(&envelope.topic) else { continue };
        let mut bytes = Vec::new();
        let header =
            envelope.decode_payload(&mut bytes).ok().and_then(|()| Header::read(&envelope.topic, &bytes));
        nodes.entry(id).or_default().push(NodeMessage { place, text, envelope, header });
    }
    nodes
}

/// Room for readings that the nodes of one chunk share, and the bound on the hours of a message.
#[derive(Debug)]
pub struct Room {
    /// Readings, of which long texts count as several.
    readings: usize,
    taken: Cell<usize>,
    hours: HourBound,
}

impl Room {
    /// Room for so many readings, of messages with times in as many hours each as `hours` says.
    pub fn new(readings: usize, hours: HourBound) -> Self {
        Self { readings, taken: Cell::new(0), hours }
    }

    fn is_full(&self) -> bool {
        self.taken.get() >= self.readings
    }

    fn take(&self, readings: usize) {
        self.taken.set(self.taken.get() + readings);
    }

    fn release(&self, readings: usize) {
        self.taken.set(self.taken.get().saturating_sub(readings));
    }
}

fn weight_of(read: &[Read]) -> usize {
    read.iter().map(|(_, (_, readings))| weight(readings)).sum()
}

/// Reads messages that are in the order of their arrival, until the room is full: none where it is full already. In a
/// chunk in which nothing has been read there is room, so at least one node's messages are read.
fn read_in_order(
    id: &NodeId,
    messages: &mut [NodeMessage<'_>],
    room: &Room,
    decoder: &mut Decoder,
) -> Vec<Read> {
    let mut read = Vec::with_capacity(messages.len());
    for of_one_time in messages.chunk_by_mut(|a, b| a.envelope.received == b.envelope.received) {
        decoder.nodes().sort(id, of_one_time, |message| message.header);
        for message in of_one_time {
            if room.is_full() {
                return read;
            }
            let mut readings = Vec::new();
            let mut reader = Reader::new(decoder, room.hours);
            let became = reader.read_envelope(&message.envelope, message.text, &mut readings);
            room.take(weight(&readings));
            read.push((message.place, (became, readings)));
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use telemetry::TimePolicy;

    use super::*;
    use crate::event::Position;

    /// A field of the wire type LEN (Protocol Buffers, "Encoding").
    fn bytes(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let length = [bytes.len() as u8 & 0x7f | 0x80, (bytes.len() >> 7) as u8];
        [&[tag << 3 | 2], &length[..], bytes].concat()
    }

    /// The text of an NBIRTH with four metrics, each of them a text of so many bytes.
    fn birth(node: &str, text_bytes: usize) -> String {
        let metric = |name: &str| {
            let text = bytes(15, "x".repeat(text_bytes).as_bytes());
            bytes(2, &[bytes(1, name.as_bytes()), vec![4 << 3, 12], text].concat())
        };
        let session = bytes(2, &[bytes(1, b"bdSeq"), vec![4 << 3, 4, 11 << 3, 1]].concat());
        let payload = [session, ["a", "b", "c", "d"].map(metric).concat(), vec![3 << 3, 0]].concat();
        let payload = base64_simd::STANDARD.encode_to_string(payload);
        format!(
            r#"{{"payload":"{payload}","topic":"spBv1.0/plant/NBIRTH/{node}","received":1795417200250,"trace":"{node}"}}"#
        )
    }

    #[test]
    fn long_texts_take_the_room_of_several_readings() {
        let check = |text_bytes: usize, expected: [usize; 2]| {
            let room = Room::new(10, HourBound::of(&TimePolicy::default()));
            let mut decoder = Decoder::default();
            let position = Position::Rule("request-1");
            let read = ["one", "other"].map(|node| {
                let text = birth(node, text_bytes);
                let envelope = envelope(&text, &position).unwrap();
                let id = NodeId::of_topic(&envelope.topic).unwrap();
                let mut messages = [NodeMessage { place: 0, text: &text, envelope, header: None }];
                let read = read_in_order(&id, &mut messages, &room, &mut decoder);
                read.iter().map(|(_, (_, readings))| readings.len()).sum::<usize>()
            });
            assert_eq!(read, expected, "texts of {text_bytes} bytes");
        };
        // Each text, and that the node is there.
        check(1, [5, 5]);
        // Where the room is full, nothing is read.
        check(1_000, [5, 0]);
    }
}
