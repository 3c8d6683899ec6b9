//! Payloads in the format `bytes`, as any device may send them.

#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| tidegate_fuzz::decode(payload, "bytes"));
