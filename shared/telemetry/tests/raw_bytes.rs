//! Bare bytes that begin as compressed payloads do are the numbers that they are.

use std::sync::Arc;

use telemetry::{Decoder, Envelope, Profile, Profiles, Settings, Value};

const PROFILE: &str = "name = \"p\"\ndevices = \"*/*\"\nformat = \"bytes\"\n\
                       [[field]]\nname = \"raw\"\noffset = 0\ntype = \"u32\"";

#[test]
fn bare_bytes_are_not_expanded() {
    let profiles: Profiles = [Arc::new(Profile::from_toml(PROFILE).unwrap())].into_iter().collect();
    let mut decoder = Decoder::new(Settings::default(), Arc::new(profiles));
    let mut check = |bytes: [u8; 4]| {
        let payload = base64_simd::STANDARD.encode_to_string(bytes);
        let record = format!(
            r#"{{"payload": "{payload}", "topic": "dt/s/d/up", "client": "d", "received": 1795417200250}}"#
        );
        let mut readings = Vec::new();
        let outcome = decoder.decode(&Envelope::parse(&record).unwrap(), &mut readings);
        assert!(outcome.is_ok(), "{bytes:02x?}: {outcome:?}");
        assert_eq!(readings[0].value, Value::Integer(u32::from_be_bytes(bytes).into()), "{bytes:02x?}");
    };
    check([0x78, 0x9c, 0, 1]);
    check([0x78, 0x01, 0, 1]);
    check([0x78, 0x5e, 0, 1]);
    check([0x78, 0xda, 0, 1]);
    check([0x1f, 0x8b, 0x08, 0]);
    check([0x28, 0xb5, 0x2f, 0xfd]);
}
