//! The quarantine: whoever mends what was wrong has to have the messages whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use telemetry::{Decoder, Envelope, Micros, Settings};

use crate::Recording;
use crate::config::profiles;

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
                let outcome = decoder.decode(&envelope, &mut readings);
                assert!(outcome.is_ok() || readings.is_empty(), "{line}");
            }
        }
        for body in [&b"{\"seq\": NaN}"[..], b"\xff\xfe", b"no envelope at all"] {
            assert!(bodies.contains(body), "{} is lost", String::from_utf8_lossy(body));
        }
    }
}
