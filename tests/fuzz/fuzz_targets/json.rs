//! Payloads in the format `json`, as any device may send them.

#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| tidegate_fuzz::decode(payload, "json"));
