//! Sessions of Sparkplug beside what their messages become, in `tests/sparkplug/{session}/`. The file `messages` has a
//! line for each, in order: the file of its bytes, in hexadecimals, and its topic. They arrive a second apart, and what
//! is refused is called `bad`. The bytes were written by Google's protobuf from Eclipse Tahu's schema.
//!
//! `UPDATE_GOLDENS=1 cargo test -p tests --test sparkplug` writes the goldens anew: read the difference.

use std::fs;
use std::path::PathBuf;

use telemetry::{Decoder, Envelope, Micros};
use tests::goldens::{GOLDEN, difference, from_hex, render};

/// 2026-11-23T07:00:00.25Z.
const RECEIVED: Micros = Micros(1_795_417_200_250_000);

#[test]
fn every_message_of_a_session_becomes_what_its_golden_says() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "sparkplug"].iter().collect();
    let mut differences = Vec::new();
    for session in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let mut decoder = Decoder::default();
        let lines = fs::read_to_string(session.join("messages")).unwrap();
        for (place, line) in lines.lines().enumerate() {
            let (name, topic) = line.split_once(' ').unwrap();
            let payload = from_hex(&fs::read(session.join(name)).unwrap());
            let envelope = Envelope {
                payload: base64_simd::STANDARD.encode_to_string(&payload).into(),
                topic: topic.into(),
                client: None,
                principal: None,
                content_type: None,
                received: RECEIVED.plus(place as i64 * 1_000_000),
                trace: None,
                record: None,
            };
            let mut readings = Vec::new();
            let outcome = decoder.decode(&envelope, &mut readings).map(|_| readings);
            assert_eq!(outcome.is_err(), name.contains("bad"), "{name}: {outcome:?}");
            differences.extend(difference(&session.join(format!("{name}{GOLDEN}")), &render(outcome)));
        }
        let files = fs::read_dir(&session).unwrap().count();
        assert_eq!(
            files,
            2 * lines.lines().count() + 1,
            "{} has files that nothing names",
            session.display()
        );
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
