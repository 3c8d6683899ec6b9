//! The changes of a table that invoke `archive`, `alert` and `shadow`, and the spans in them.

#![no_main]

use cloud::stream;
use serde_json::value::RawValue;
use telemetry::StoredSpan;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = stream::parse::<&RawValue>(text);
    let _ = stream::parse::<StoredSpan>(text);
    let _ = StoredSpan::from_json(text);
});
