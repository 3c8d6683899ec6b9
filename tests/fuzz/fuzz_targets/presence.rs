//! What invokes `presence`: the broker's events of connections, from its queue.

#![no_main]

use cloud::messages::Event;

// By its file: the crate of the function would bring the AWS SDK along.
#[path = "../../../functions/presence/src/plan.rs"]
#[allow(dead_code, reason = "the function uses more of it")]
mod plan;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(Event::Messages(messages)) = Event::parse(text) else { return };
    let plan = plan::Plan::new(&messages);
    let of_clients = plan.clients.values().map(|client| client.messages.len()).sum::<usize>();
    assert_eq!(of_clients + plan.foreign + plan.unreadable.len(), messages.len(), "a message is left out");
});
