//! Profiles as people write them, and as they are stored: what is good reads back.

#![no_main]

use telemetry::Profile;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Profile::from_json(text);
    if let Ok((profile, _)) = Profile::check_toml(text) {
        let again = Profile::from_json(profile.to_json()).expect("a good profile reads back");
        assert_eq!(again, profile);
    }
});
