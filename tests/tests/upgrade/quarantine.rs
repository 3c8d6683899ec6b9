//! The quarantine: whoever mends what was wrong has to have the messages whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use telemetry::sparkplug::NodeId;
use telemetry::{Decoder, Envelope, Micros, Settings};

use crate::Recording;
use crate::config::{nodes, profiles};

/// Messages, by their ids, that are refused with another code than the recorded one, that code, and why it is right.
const OTHER_CODES: [(&str, &str, &str); 1] = [(
    "8e2313edc5871f5df0d2d1fe7a199f61",
    "sparkplug_unborn",
    "the node died after this message, so its stored session has ended; a message of it was missing before",
)];

#[test]
fn every_message_in_quarantine_can_be_read_and_tried_again() {
    for recording in Recording::all() {
        let mut decoder = Decoder::new(Settings::default(), Arc::new(profiles(&recording)));
        let (mut ids, mut bodies) = (BTreeMap::new(), BTreeSet::new());
        for (key, object) in recording.files("", "quarantine") {
            for line in String::from_utf8(object).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| line[name].as_str();
                assert!(text("reason").is_some() && text("code").is_some(), "{line}");
                assert_eq!(ids.insert(text("id").unwrap().to_owned(), key.clone()), None, "{line}");
                let body =
                    text("payload").or(text("record")).unwrap_or_else(|| panic!("{line} has no message"));
                bodies.insert(base64_simd::STANDARD.decode_to_vec(body).unwrap());
                let (Some(payload), Some(topic)) = (text("payload"), text("topic")) else { continue };
                let received = Micros::from_rfc3339(text("received").unwrap()).unwrap();
                assert!(key.contains(&received.day()), "{key}");
                let record = json!({
                    "payload": payload, "topic": topic, "client": text("client"), "principal": text("principal"),
                    "received": received.0 / 1_000, "trace": text("trace"),
                });
                let record = record.to_string();
                let envelope = Envelope::parse(&record).unwrap_or_else(|error| panic!("{line}: {error}"));
                // A later version may understand it; if not, it says why.
                let mut readings = Vec::new();
                // Each message meets its node as stored: decoding changes what is known of it.
                if let Some(id) = NodeId::of_topic(topic)
                    && let Some((node, _)) = nodes(&recording).remove(id.as_str())
                {
                    decoder.nodes().insert(id, node);
                }
                if let Err(reject) = decoder.decode(&envelope, &mut readings) {
                    assert!(readings.is_empty(), "{line}");
                    let other = OTHER_CODES.iter().find(|(id, ..)| Some(*id) == text("id"));
                    let code = other.map_or(text("code"), |(_, code, _)| Some(*code));
                    assert_eq!(Some(reject.code()), code, "{reject}: {line}");
                }
            }
        }
        for body in [&b"{\"seq\": NaN}"[..], b"\xff\xfe", b"no envelope at all"] {
            assert!(bodies.contains(body), "{} is lost", String::from_utf8_lossy(body));
        }
    }
}
