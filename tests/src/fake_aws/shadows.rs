//! Device shadows over REST: UpdateThingShadow and GetThingShadow, of named shadows and the classic one (without name).
//!
//! Documented ("Device Shadow service documents", "Device Shadow error messages", "AWS IoT Core endpoints and quotas"):
//! how updates merge, that `null` deletes, that arrays are replaced whole and hold no `null`, versions, the 8 KB that
//! metadata do not count to, the levels of the document, and all refusals but these guesses: sizes are those of the
//! state written as compact JSON, after merging; a thing without a shadow stands at version 0; what is empty once merged
//! stays, except the sections. `delta` is not computed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde_json::{Map, Value, json};

use super::encoding::{named, percent_decode, query};
use super::iot::error;
use super::{Answer, Handle, Operation, State};

/// Bytes of a shadow's state.
const STATE_LIMIT: usize = 8 * 1024;
/// Levels of `desired` and of `reported`.
const LEVEL_LIMIT: usize = 8;
/// Bytes of a client token.
const TOKEN_LIMIT: usize = 64;
/// Characters of a thing's and of a shadow's name.
const THING_LIMIT: usize = 128;
const NAME_LIMIT: usize = 64;
/// When everything happens here, in seconds since 1970: tests are to look at what is written, not at when.
const TIMESTAMP: u64 = 1_767_225_600;

/// An update of a shadow that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowUpdate {
    /// The thing.
    pub thing: String,
    /// The shadow; empty for the classic one.
    pub name: String,
    /// The request as it was sent.
    pub payload: Value,
}

/// A shadow's `desired` and `reported`, and how often it was written.
#[derive(Clone, Debug, Default)]
struct Shadow {
    state: Map<String, Value>,
    version: u64,
}

/// Things, and their shadows by thing and name.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    things: BTreeSet<String>,
    shadows: BTreeMap<(String, String), Shadow>,
    updates: Vec<ShadowUpdate>,
}

impl Handle {
    /// Registers a thing. Shadows of others are answered with `ResourceNotFoundException`.
    ///
    /// # Panics
    /// When AWS would not take the name.
    pub fn create_thing(&self, name: &str) {
        assert!(is_name(name, THING_LIMIT, ":_-"), "no name for a thing: {name}");
        self.lock().shadows.things.insert(name.to_owned());
    }

    /// A shadow (the classic one has the name `""`): `{"state": {"reported": …, "desired": …}, "version": n}`, without
    /// the sections that are empty.
    #[must_use]
    pub fn shadow(&self, thing: &str, name: &str) -> Option<Value> {
        let state = self.lock();
        let shadow = state.shadows.shadows.get(&(thing.to_owned(), name.to_owned()))?;
        Some(json!({ "state": shadow.state, "version": shadow.version }))
    }

    /// The updates accepted so far, in order.
    #[must_use]
    pub fn shadow_updates(&self) -> Vec<ShadowUpdate> {
        self.lock().shadows.updates.clone()
    }
}

/// Whether a path is that of a thing's shadow.
pub(super) fn is_shadow(path: &str) -> bool {
    thing(path).is_some()
}

fn thing(path: &str) -> Option<&str> {
    path.strip_prefix("/things/")?
        .strip_suffix("/shadow")
        .filter(|thing| !thing.is_empty() && !thing.contains('/'))
}

fn is_name(name: &str, limit: usize, symbols: &str) -> bool {
    (1..=limit).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || symbols.contains(c))
}

pub(super) fn answer(state: &mut State, operation: Operation, request: &Request<Bytes>) -> Answer {
    let answered = address(&state.shadows, request).and_then(|(thing, name)| {
        if operation == Operation::GetThingShadow {
            return state.shadows.get(&thing, &name);
        }
        state.shadows.update(thing, name, request.body())
    });
    match answered {
        Ok(document) => {
            state.count(operation).items += 1;
            Answer::new(StatusCode::OK, "application/json", document.to_string())
        }
        Err(refusal) => refusal.into(),
    }
}

/// A request that is not accepted.
#[derive(Debug)]
struct Refusal(StatusCode, &'static str, String);

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "InvalidRequestException", message.into())
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, "ResourceNotFoundException", message.into())
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal(status, kind, message): Refusal) -> Self {
        error(status, kind, &message)
    }
}

/// A planned or a real conflict of versions.
pub(super) fn conflict() -> Answer {
    error(StatusCode::CONFLICT, "ConflictException", "Version conflict")
}

/// The thing and the shadow's name.
fn address(shadows: &Shadows, request: &Request<Bytes>) -> Result<(String, String), Refusal> {
    let thing = percent_decode(thing(request.uri().path()).unwrap_or_default());
    let query = query(request);
    let name = named(&query, "name");
    if !is_name(&thing, THING_LIMIT, ":_-") {
        return Err(Refusal::invalid("Invalid thing name"));
    }
    if name.is_some_and(|name| !is_name(name, NAME_LIMIT, "$:_-")) {
        return Err(Refusal::invalid("Invalid shadow name"));
    }
    if !shadows.things.contains(&thing) {
        return Err(Refusal::not_found("Thing not found"));
    }
    Ok((thing, name.unwrap_or_default().to_owned()))
}

impl Shadows {
    fn get(&self, thing: &str, name: &str) -> Result<Value, Refusal> {
        let shadow = self.shadows.get(&(thing.to_owned(), name.to_owned()));
        let shadow =
            shadow.ok_or_else(|| Refusal::not_found(format!("No shadow exists with name: '{name}'")))?;
        Ok(json!({
            "state": shadow.state, "metadata": metadata(&Value::Object(shadow.state.clone())),
            "version": shadow.version, "timestamp": TIMESTAMP,
        }))
    }

    /// Merges an update into its shadow; returns the accepted document.
    fn update(&mut self, thing: String, name: String, payload: &[u8]) -> Result<Value, Refusal> {
        let request = Update::parse(payload)?;
        let address = (thing.clone(), name.clone());
        let mut shadow = self.shadows.get(&address).cloned().unwrap_or_default();
        if request.version.is_some_and(|version| version != shadow.version) {
            return Err(Refusal(StatusCode::CONFLICT, "ConflictException", "Version conflict".to_owned()));
        }
        merge(&mut shadow.state, &request.state);
        shadow.state.retain(|_, section| section.as_object().is_some_and(|section| !section.is_empty()));
        if Value::Object(shadow.state.clone()).to_string().len() > STATE_LIMIT {
            return Err(Refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException",
                "The payload exceeds the maximum size allowed".to_owned(),
            ));
        }
        shadow.version += 1;
        let mut accepted = json!({
            "state": request.state, "metadata": metadata(&Value::Object(request.state.clone())),
            "version": shadow.version, "timestamp": TIMESTAMP,
        });
        if let Some(token) = request.payload.get("clientToken") {
            accepted["clientToken"] = token.clone();
        }
        self.shadows.insert(address, shadow);
        self.updates.push(ShadowUpdate { thing, name, payload: request.payload });
        Ok(accepted)
    }
}

/// A request that has been found valid.
struct Update {
    state: Map<String, Value>,
    version: Option<u64>,
    payload: Value,
}

impl Update {
    fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(payload).map_err(|_| {
            let message = "Unsupported documented encoding; supported encoding is UTF-8";
            Refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedDocumentEncodingException",
                message.to_owned(),
            )
        })?;
        let payload: Value = serde_json::from_str(text).map_err(|_| Refusal::invalid("Invalid JSON"))?;
        let state = payload.get("state").ok_or_else(|| Refusal::invalid("Missing required node: state"))?;
        let state = state.as_object().ok_or_else(|| Refusal::invalid("State node must be an object"))?;
        check_state(state)?;
        let version = payload
            .get("version")
            .map(|version| version.as_u64().ok_or_else(|| Refusal::invalid("Invalid version")));
        let token = payload.get("clientToken");
        if token.is_some_and(|token| token.as_str().is_none_or(|token| token.len() > TOKEN_LIMIT)) {
            return Err(Refusal::invalid("Invalid clientToken"));
        }
        Ok(Self { state: state.clone(), version: version.transpose()?, payload })
    }
}

fn check_state(state: &Map<String, Value>) -> Result<(), Refusal> {
    for (section, content) in state {
        let title = match section.as_str() {
            "desired" => "Desired",
            "reported" => "Reported",
            _ => return Err(Refusal::invalid(format!("State contains an invalid node: '{section}'"))),
        };
        if !(content.is_object() || content.is_null()) {
            return Err(Refusal::invalid(format!("{title} node must be an object")));
        }
        if levels(content) > LEVEL_LIMIT {
            let message = format!("JSON contains too many levels of nesting; maximum is {LEVEL_LIMIT}");
            return Err(Refusal::invalid(message));
        }
        if has_null_in_array(content) {
            return Err(Refusal::invalid("State contains an invalid node: an array with null"));
        }
    }
    Ok(())
}

/// How many names lead to the deepest value. That a list is a level like a map is a guess, and the strict one.
fn levels(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(|member| 1 + levels(member)).max().unwrap_or(0),
        Value::Array(elements) => elements.iter().map(|element| 1 + levels(element)).max().unwrap_or(0),
        _ => 0,
    }
}

fn has_null_in_array(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(has_null_in_array),
        Value::Array(elements) => {
            elements.iter().any(|element| element.is_null() || has_null_in_array(element))
        }
        _ => false,
    }
}

/// Writes members over those that stand; `null` deletes.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        match value {
            Value::Null => drop(into.remove(name)),
            Value::Object(members) => {
                let standing = into.entry(name).or_insert_with(|| json!({}));
                if !standing.is_object() {
                    *standing = json!({});
                }
                if let Some(standing) = standing.as_object_mut() {
                    merge(standing, members);
                }
            }
            _ => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

/// When each value was written, in the shape of the state.
fn metadata(state: &Value) -> Value {
    match state {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), metadata(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(elements) => elements.iter().map(metadata).collect(),
        _ => json!({ "timestamp": TIMESTAMP }),
    }
}
