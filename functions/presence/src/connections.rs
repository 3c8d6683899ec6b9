//! Carries out the plan for a batch of lifecycle events, and answers for every message of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloud::Error as CloudError;
use cloud::error::chain;
use cloud::lambda::{Invocation, emit};
use cloud::metrics::MetricLine;
use cloud::presence::{Presences, Updated};
use cloud::retry::Deadline;
use cloud::stream::Answer;
use futures_util::stream::{self, StreamExt as _};
use telemetry::DeviceId;

use crate::handler::Deps;
use crate::plan::{Client, Outcome, Plan, Settled};
use cloud::messages::{Message, hand_back};

/// Clients looked up at once: an index takes one name to a request.
const MAX_IN_FLIGHT: usize = 8;

/// Stores what the messages say.
pub async fn apply(messages: &[Message<'_>], invocation: &Invocation, deps: &Deps) -> Answer {
    let plan = Plan::new(messages);
    let mut errors = Vec::new();
    let found = devices_of(&plan.clients, &deps.presences, invocation.deadline, &mut errors).await;
    let updates = found.iter().flat_map(|(client, devices)| {
        let presence = &plan.clients[client].presence;
        devices.iter().map(|device| (device.clone(), presence.clone()))
    });
    let updated = deps.presences.update(updates.collect(), invocation.deadline).await;
    let outcomes = outcomes(found, &updated);
    errors.extend(updated.error);
    let settled = plan.settle(&outcomes);
    report(&plan, &settled, &errors, deps, invocation);
    hand_back(settled.handed_back)
}

/// The devices of each client; clients that could not be looked up are left out.
async fn devices_of(
    clients: &BTreeMap<Arc<str>, Client<'_>>,
    presences: &Presences,
    deadline: Deadline,
    errors: &mut Vec<CloudError>,
) -> BTreeMap<Arc<str>, Vec<DeviceId>> {
    let lookups = clients.keys().map(async |client| (client, presences.devices_of(client, deadline).await));
    let mut lookups = stream::iter(lookups).buffer_unordered(MAX_IN_FLIGHT);
    let mut found = BTreeMap::new();
    while let Some((client, devices)) = lookups.next().await {
        match devices {
            Ok(devices) => drop(found.insert(Arc::clone(client), devices)),
            Err(error) => errors.push(error),
        }
    }
    found
}

/// What became of each client, by what became of the devices that are called by its id.
fn outcomes(found: BTreeMap<Arc<str>, Vec<DeviceId>>, updated: &Updated) -> BTreeMap<Arc<str>, Outcome> {
    let [applied, outdated, left] = [&updated.applied, &updated.outdated, &updated.left]
        .map(|devices| devices.iter().collect::<BTreeSet<_>>());
    let outcome = |devices: &[DeviceId]| {
        let any_is = |those: &BTreeSet<&DeviceId>| devices.iter().any(|device| those.contains(device));
        // A client that moved from one site to another has two devices: a fault with either is one.
        match () {
            () if any_is(&left) => Outcome::Failed,
            () if any_is(&applied) => Outcome::Applied,
            () if any_is(&outdated) => Outcome::Outdated,
            () => Outcome::NoDevice,
        }
    };
    found.into_iter().map(|(client, devices)| (client, outcome(&devices))).collect()
}

/// The one place where a batch's counts and errors go out.
fn report(
    plan: &Plan<'_>,
    settled: &Settled<'_>,
    errors: &[CloudError],
    deps: &Deps,
    invocation: &Invocation,
) {
    let request_id = &invocation.request_id;
    for error in errors {
        tracing::warn!(request_id, error = chain(error), "a request to AWS failed");
    }
    if let Some((_, first)) = plan.unreadable.first() {
        tracing::error!(
            request_id,
            messages = plan.unreadable.len(),
            first = %first,
            "messages are no events of connections; they end in the dead-letter queue"
        );
    }
    let dimensions = vec![("Stage", deps.config.stage.clone()), ("Function", "presence".to_owned())];
    let line = MetricLine::new(dimensions)
        .count("Received", settled.received())
        .count("Applied", settled.applied)
        .count("Outdated", settled.outdated)
        .count("Unknown", settled.unknown)
        .count("HandedBack", settled.handed_back.len())
        .property("request_id", request_id);
    emit(&line);
}
