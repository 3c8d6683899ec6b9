//! The changes of a table that invoke `archive`, `alert` and `shadow`, and the spans in them.

#![no_main]

// By its file: its crate would bring the AWS SDK along.
#[path = "../../../shared/cloud/src/stream.rs"]
#[allow(dead_code, reason = "the functions use more of it")]
mod stream;

use serde_json::value::RawValue;
use telemetry::StoredSpan;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = stream::parse::<&RawValue>(text);
    let _ = stream::parse::<StoredSpan>(text);
    let _ = StoredSpan::from_json(text);
});
