//! The text of a record, as the rule's SQL makes it, and all that follows.

#![no_main]

use telemetry::{Decoder, Envelope};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(envelope) = Envelope::parse(text) {
        let _ = Decoder::default().decode(&envelope, &mut Vec::new());
    }
});
