//! Payloads whose format their bytes have to show, compressed ones among them.

#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| tidegate_fuzz::decode(payload, "state"));
