//! Sessions of a Sparkplug edge node, as any node may send them.

#![no_main]

libfuzzer_sys::fuzz_target!(|messages: &[u8]| tidegate_fuzz::decode_session(messages));
