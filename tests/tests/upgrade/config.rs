//! The config table: alert rules, profiles, and what is known of Sparkplug's edge nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use alert::{Rule, RuleSet};
use serde_json::{Map, Value};
use telemetry::sparkplug::{Node, NodeId};
use telemetry::{Decoder, Envelope, Identity, Micros, Profile, Profiles, Reading};
use tests::events::kinesis;
use tests::functions::all_well;
use tests::ingest::{CONFIG, DEVICES, Ingest};
use tests::sparkplug::{EdgeNode, Message};

use crate::devices::{ENOUGH, state_of};
use crate::{Recording, n, s};

/// The stored documents of a kind by name.
fn documents(recording: &Recording, kind: &str) -> BTreeMap<String, String> {
    let items = recording.items("config").into_iter().filter(|item| s(item, "kind") == kind);
    let documents = items.map(|item| (s(&item, "name").to_owned(), s(&item, "document").to_owned()));
    let documents: BTreeMap<_, _> = documents.collect();
    assert!(!documents.is_empty(), "no {kind}");
    documents
}

/// The rules of a recording's stack.
pub(crate) fn rules(recording: &Recording) -> RuleSet {
    let rules = documents(recording, "alert-rule").into_values();
    RuleSet::new(rules.map(|document| Arc::new(Rule::from_json(&document).unwrap())))
}

/// Its profiles.
pub(crate) fn profiles(recording: &Recording) -> Profiles {
    let profiles = documents(recording, "profile").into_values();
    profiles.map(|document| Arc::new(Profile::from_json(&document).unwrap())).collect()
}

#[test]
fn every_rule_is_the_rule_that_it_was() {
    for recording in Recording::all() {
        for (name, document) in documents(&recording, "alert-rule") {
            let stored = Rule::from_json(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(*stored.name, *name);
            // An owner puts the same file again.
            let written = Rule::from_toml(&recording.text(&format!("rules/{name}.toml"))).unwrap();
            assert_eq!(stored, written, "{name}");
            // Another digest is another rule: what devices were on the way to would begin anew.
            assert_eq!(stored.to_json(), document, "{name}");
        }
    }
}

#[test]
fn every_profile_is_the_profile_that_it_was() {
    for recording in Recording::all() {
        for (name, document) in documents(&recording, "profile") {
            let stored = Profile::from_json(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(*stored.name, *name);
            let written = Profile::from_toml(&recording.text(&format!("profiles/{name}.toml")));
            if stored.gateway.is_some() && stored.devices.is_empty() {
                // Such a file is put again only once it names its gateways; what is stored of it is read on.
                let error = written.expect_err(&name);
                assert_eq!(error.problems().len(), 1, "{name}: {error}");
                assert!(error.to_string().contains("names its gateways in `devices`"), "{name}: {error}");
            } else {
                assert_eq!(stored, written.unwrap(), "{name}");
            }
        }
    }
}

/// What is known of the nodes of a recording, by their names, and when each was stored.
pub(crate) fn nodes(recording: &Recording) -> BTreeMap<String, (Node, Micros)> {
    let items = recording.items("config");
    let items = items.iter().filter(|item| s(item, "kind").starts_with("sparkplug/"));
    let (states, births): (Vec<_>, Vec<_>) = items.partition(|item| s(item, "name") == "state");
    assert!(!states.is_empty() && !births.is_empty());
    let node = |state: &Map<String, Value>| {
        let births = births.iter().filter(|birth| birth["kind"] == state["kind"]);
        let births: Vec<_> = births.map(|birth| (s(birth, "name"), s(birth, "document"))).collect();
        let node = Node::from_stored(n(&state["revision"]), s(state, "document"), births.iter().copied());
        let id = s(state, "kind").split_once('/').unwrap().1;
        let node = node.unwrap_or_else(|| panic!("what is stored of {id} cannot be read"));
        (id.to_owned(), (node, Micros(n(&state["updated"]))))
    };
    states.into_iter().map(node).collect()
}

/// The messages that the node `lab/line-1` sends next, from a time in milliseconds on.
fn next_messages(at: i64) -> [Message; 3] {
    let mut node = EdgeNode::new("lab", "line-1");
    // Those that it has sent, to count as it does.
    let _sent =
        (node.births(at), node.temperature(21.5, at), node.speed(60.0, at), node.temperature(22.5, at));
    [node.temperature(23.5, at), node.speed(90.0, at + 1), node.will()]
}

#[test]
fn every_edge_node_is_known() {
    for recording in Recording::all() {
        for (id, (node, _)) in nodes(&recording) {
            assert_eq!(node.changes(), None, "{id} would be written anew");
        }
    }
}

/// What comes of the next messages: device, metric, value and unit.
const NEXT: [(&str, &str, &str, &str); 4] = [
    ("lab/line-1", "Temperature", "23.5", "Cel"),
    ("lab/line-1", "sparkplug.online", "false", ""),
    ("lab/line-1::pump", "Speed", "90", "1/min"),
    ("lab/line-1::pump", "sparkplug.online", "false", ""),
];

/// They have aliases alone, and the will is of the session that began before the update.
#[test]
fn births_that_are_stored_explain_what_comes_next() {
    let (node, stored) = nodes(&Recording::first()).remove("lab/line-1").unwrap();
    let at = stored.0 / 1_000 + 5_000;
    let (mut decoder, mut readings) = (Decoder::default(), Vec::new());
    let messages = next_messages(at);
    decoder.nodes().insert(NodeId::of_topic(&messages[0].topic).unwrap(), node);
    for message in &messages {
        decoder.decode(&Envelope::parse(&message.envelope(at)).unwrap(), &mut readings).unwrap();
    }
    let unit = |reading: &Reading| reading.unit.as_deref().unwrap_or_default().to_owned();
    let mut found: Vec<_> = readings
        .iter()
        .map(|r| (r.device.to_string(), r.metric.to_string(), r.value.to_string(), unit(r)))
        .collect();
    found.sort();
    assert_eq!(found, NEXT.map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into())));
}

/// The function itself neither quarantines them nor asks the node for its births.
#[tokio::test]
async fn an_edge_node_need_not_be_born_again() {
    let recording = Recording::first();
    let mut ingest = Ingest::start().await.unwrap();
    recording.put(&ingest.aws, CONFIG);
    recording.put(&ingest.aws, DEVICES);
    let at = nodes(&recording)["lab/line-1"].1.0 / 1_000 + 5_000;
    let envelopes: Vec<String> =
        next_messages(at).iter().zip(at..).map(|(message, received)| message.envelope(received)).collect();
    let answer = ingest.invoke(&kinesis(&envelopes), ENOUGH).await.unwrap();
    assert_eq!(answer, all_well());

    assert_eq!(ingest.quarantined().unwrap(), Vec::<Value>::new());
    assert!(ingest.aws.published().is_empty(), "it is asked for its births");
    for (device, metric, value, _) in NEXT {
        let state = state_of(&ingest, device);
        assert_eq!(state.metrics[metric].value.to_string(), value, "{device} {metric}");
        let is_behind_a_node = state.identity == Identity::Sparkplug;
        assert_eq!(
            is_behind_a_node,
            device.contains("::"),
            "{device} keeps its id, and says from now on how it is known"
        );
    }
}
