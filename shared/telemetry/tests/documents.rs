//! The examples of `docs/profiles.md`: each profile reads its payload, and what is written last is what comes out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use telemetry::{Decoder, Envelope, Micros, Profile, Quality, Reading, Settings, TimeSource};

const PAGE: &str = include_str!("../../../docs/profiles.md");

/// A profile, a payload and its topic, and what becomes of it.
struct Example<'a> {
    line: usize,
    profile: &'a str,
    topic: &'a str,
    payload: &'a str,
    readings: &'a str,
}

/// The examples of a page: blocks ```` ```toml profile ````, ```` ```payload topic ```` and ```` ```readings ````, in this order.
fn examples(page: &str) -> Vec<Example<'_>> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("\n```") {
        let (head, after) = after.split_once('\n').unwrap();
        let (body, after) = after.split_once("\n```").unwrap();
        let line = page[..page.len() - rest.len() + before.len()].matches('\n').count() + 2;
        blocks.push((line, head, body));
        rest = after;
    }
    blocks
        .chunks(3)
        .map(|blocks| {
            let [(line, "toml profile", profile), (_, head, payload), (_, "readings", readings)] = *blocks
            else {
                panic!("the blocks from line {} on are no profile, payload and readings", blocks[0].0)
            };
            let topic = head.strip_prefix("payload").unwrap().trim();
            let topic = if topic.is_empty() { "dt/plant-1/pump-7/state" } else { topic };
            Example { line, profile, topic, payload, readings }
        })
        .collect()
}

fn shown(reading: &Reading) -> String {
    let unit = reading.unit.as_ref().map(|unit| format!(" {}", unit.as_str())).unwrap_or_default();
    let quality = match reading.quality {
        Quality::Good => "",
        Quality::Uncertain => " uncertain",
        Quality::Bad => " bad",
    };
    let is_sent = !matches!(reading.time_source, TimeSource::Arrival);
    let at = if is_sent { format!(" @{}", reading.at) } else { String::new() };
    format!("{} = {}{unit}{quality}{at}", reading.metric, reading.value)
}

#[test]
fn every_example_of_the_page_is_true() {
    let examples = examples(PAGE);
    let mut wrong = Vec::new();
    assert!(examples.len() > 20, "{} examples", examples.len());
    for Example { line, profile, topic, payload, readings } in examples {
        let profile = format!("name = \"p\"\ndevices = \"*/*\"\n{profile}");
        let profile = Profile::from_toml(&profile).unwrap_or_else(|error| panic!("line {line}: {error}"));
        // What is stored is what was written.
        assert_eq!(Profile::from_json(profile.to_json()).unwrap(), profile, "line {line}");
        let envelope = Envelope {
            payload: base64_simd::STANDARD.encode_to_string(payload).into(),
            topic: topic.into(),
            client: None,
            principal: None,
            content_type: None,
            received: Micros(1_795_417_200_250_000),
            trace: None,
            record: None,
        };
        let mut decoder =
            Decoder::new(Settings::default(), Arc::new([Arc::new(profile)].into_iter().collect()));
        let mut found = Vec::new();
        if let Err(reject) = decoder.decode(&envelope, &mut found) {
            wrong.push(format!("line {line}: {reject}"));
            continue;
        }
        let found: Vec<_> = found.iter().map(shown).collect();
        if found.join("\n") != readings {
            wrong.push(format!("line {line}:\n{}\ninstead of\n{readings}", found.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
