//! An edge node that speaks Sparkplug B, with one device behind it. It writes protobuf by itself (Protocol Buffers,
//! "Encoding"), so that what is read is not read by what wrote it.

use serde_json::json;

/// The datatypes that it uses (Sparkplug 3.0.0, 6.4.16).
const INT64: u64 = 4;
const DOUBLE: u64 = 10;

/// A node `{group}/{node}` with the metrics `Temperature` (alias 1, degC), and `Speed` (alias 2, rpm) of its device `pump`.
#[derive(Debug, Clone)]
pub struct EdgeNode {
    group: String,
    node: String,
    seq: u64,
    bd_seq: u64,
}

/// A message of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// It in the envelope that the rule's SQL makes, having arrived at `received`, in milliseconds since 1970.
    #[must_use]
    pub fn envelope(&self, received: i64) -> String {
        let client = self.topic.split('/').nth(3).unwrap_or_default();
        json!({
            "payload": base64_simd::STANDARD.encode_to_string(&self.payload),
            "topic": self.topic,
            "client": client,
            "received": received,
            "trace": format!("b5e0c1f0-1a2b-3c4d-5e6f-{:012x}", received & 0xffff_ffff_ffff),
        })
        .to_string()
    }
}

impl EdgeNode {
    /// A node that is not connected.
    #[must_use]
    pub fn new(group: &str, node: &str) -> Self {
        Self { group: group.to_owned(), node: node.to_owned(), seq: 0, bd_seq: 0 }
    }

    /// Connects: the births of node and device, at a time in milliseconds since 1970.
    #[must_use]
    pub fn births(&mut self, at: i64) -> [Message; 2] {
        self.seq = 0;
        self.bd_seq += 1;
        let temperature = [metric("Temperature", 1, DOUBLE, at), unit("degC"), double(20.5)].concat();
        let node = self.message("NBIRTH", "", at, &[bd_seq(self.bd_seq), temperature]);
        let speed = [metric("Speed", 2, DOUBLE, at), unit("rpm"), double(900.0)].concat();
        [node, self.message("DBIRTH", "/pump", at, &[speed])]
    }

    /// A temperature, by its alias.
    #[must_use]
    pub fn temperature(&mut self, celsius: f64, at: i64) -> Message {
        self.message("NDATA", "", at, &[[field(2, 1), double(celsius)].concat()])
    }

    /// The speed of the device, by its alias.
    #[must_use]
    pub fn speed(&mut self, rpm: f64, at: i64) -> Message {
        self.message("DDATA", "/pump", at, &[[field(2, 2), double(rpm)].concat()])
    }

    /// What the broker says of it when it is gone.
    #[must_use]
    pub fn will(&self) -> Message {
        Message { topic: self.topic("NDEATH", ""), payload: bytes(2, &bd_seq(self.bd_seq)) }
    }

    fn topic(&self, kind: &str, device: &str) -> String {
        format!("spBv1.0/{}/{kind}/{}{device}", self.group, self.node)
    }

    fn message(&mut self, kind: &str, device: &str, at: i64, metrics: &[Vec<u8>]) -> Message {
        let mut payload = field(1, at.cast_unsigned());
        metrics.iter().for_each(|metric| payload.extend(bytes(2, metric)));
        payload.extend(field(3, self.seq));
        self.seq = (self.seq + 1) % 256;
        Message { topic: self.topic(kind, device), payload }
    }
}

fn bd_seq(number: u64) -> Vec<u8> {
    [bytes(1, b"bdSeq"), field(4, INT64), field(11, number)].concat()
}

fn metric(name: &str, alias: u64, datatype: u64, at: i64) -> Vec<u8> {
    [bytes(1, name.as_bytes()), field(2, alias), field(3, at.cast_unsigned()), field(4, datatype)].concat()
}

/// The properties of a metric: `engUnit`, of the type String.
fn unit(unit: &str) -> Vec<u8> {
    let value = [field(1, 12), bytes(8, unit.as_bytes())].concat();
    bytes(9, &[bytes(1, b"engUnit"), bytes(2, &value)].concat())
}

fn double(number: f64) -> Vec<u8> {
    [&[13 << 3 | 1][..], &number.to_le_bytes()].concat()
}

fn field(tag: u64, number: u64) -> Vec<u8> {
    [varint(tag << 3), varint(number)].concat()
}

fn bytes(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [&varint(tag << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
