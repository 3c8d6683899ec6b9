//! What all targets that decode payloads share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use telemetry::limits::{MAX_NAME_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use telemetry::{Decoder, Envelope, Micros, Profile, Settings, Value};

/// 2026-11-23T07:00:00Z.
const RECEIVED: Micros = Micros(1_795_417_200_000_000);

/// A profile that makes use of all that a profile may say of these payloads.
const PROFILES: &str = include_str!("profile.toml");

/// Decodes `payload` as a device's message whose topic ends in `stream`, without a profile and with one; what becomes of
/// it has to keep the limits, and be the same again.
pub fn decode(payload: &[u8], stream: &str) {
    thread_local! {
        static DECODERS: RefCell<HashMap<bool, Decoder>> = RefCell::default();
    }
    for has_profile in [false, true] {
        let profiles = || {
            let profile = Profile::from_toml(PROFILES).expect("a good profile");
            Arc::new(has_profile.then(|| Arc::new(profile)).into_iter().collect())
        };
        DECODERS.with_borrow_mut(|decoders| {
            let decoder =
                decoders.entry(has_profile).or_insert_with(|| Decoder::new(Settings::default(), profiles()));
            let first = decode_once(decoder, payload, stream);
            assert_eq!(first, decode_once(decoder, payload, stream), "the same bytes become something else");
        });
    }
}

fn decode_once(
    decoder: &mut Decoder,
    payload: &[u8],
    stream: &str,
) -> Result<Vec<telemetry::Reading>, telemetry::Reject> {
    let envelope = Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: format!("dt/s/d/{stream}").into(),
        client: None,
        principal: None,
        content_type: None,
        received: RECEIVED,
        trace: None,
    };
    let mut readings = Vec::new();
    let outcome = decoder.decode(&envelope, &mut readings);
    assert!(outcome.is_ok() || readings.is_empty(), "a refused message has left readings");
    assert!(readings.len() <= MAX_SAMPLES);
    for reading in &readings {
        assert!((1..=MAX_NAME_BYTES).contains(&reading.metric.len()));
        assert!(reading.at.is_plausible());
        match &reading.value {
            Value::Float(number) => assert_eq!(Value::from_f64(*number).as_ref(), Some(&reading.value)),
            Value::Text(text) => assert!(text.len() <= MAX_TEXT_BYTES),
            Value::Integer(_) | Value::Boolean(_) => {}
        }
    }
    outcome.map(|_| readings)
}
