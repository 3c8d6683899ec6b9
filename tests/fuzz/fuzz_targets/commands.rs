//! What invokes `alert`: changes of the readings table, commands and acknowledgements from its queue, its schedule.

#![no_main]

// By its file: the crate of the function would bring the AWS SDK along.
#[path = "../../../functions/alert/src/event.rs"]
#[allow(dead_code, reason = "the function uses more of it")]
mod event;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = event::Event::parse(text);
});
