//! Layouts for any fleet: what is written is read, and no payload makes a device that a topic can name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use telemetry::sparkplug::NodeId;
use telemetry::{
    Decoder, Envelope, Format, Identity, IdentityRules, Layouts, Level, Micros, Profile, Profiles, Reading,
    Settings, TopicFilter, TopicLayout,
};

const LEVELS: [&str; 12] = [
    "{site}",
    "{device}",
    "{stream}",
    "{metric}",
    "{metric...}",
    "{prefix}",
    "+",
    "dt",
    "factory",
    "a",
    "temperature",
    "{other}",
];

/// Texts of layouts, most of which are valid.
fn layout_text() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(select(&LEVELS[..11]), 0..4);
    let valid = (
        select(&["dt", "factory", "N"][..]),
        words.clone(),
        words,
        select(&["{metric...}", "{metric}", "x"][..]),
    );
    let valid = valid.prop_map(|(first, before, after, last)| {
        let words = [vec![first], before, vec!["{device}"], after, vec![last]].concat();
        // Words that may stand once do.
        let mut seen = BTreeSet::new();
        let last_place = words.len() - 1;
        let words = words.iter().enumerate().filter(|(place, word)| match **word {
            "{metric...}" | "{metric}" if *place < last_place => false,
            "{prefix}" | "+" => true,
            word => !word.starts_with('{') || seen.insert(word),
        });
        words.map(|(_, word)| *word).collect::<Vec<_>>().join("/")
    });
    let any = prop::collection::vec(select(&LEVELS[..]), 0..10).prop_map(|levels| levels.join("/"));
    prop_oneof![4 => valid, 1 => any, 1 => "\\PC{0,20}"]
}

fn layout() -> impl Strategy<Value = TopicLayout> {
    layout_text().prop_filter_map("it is no layout", |text| text.parse().ok())
}

/// What a level of a topic may be, and what it had better not be.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9_.-]{1,12}",
        // Few, so that they meet where what parts them does.
        4 => "[a:]{1,4}",
        1 => select(&["payload::iot", "main", "plant-1", "gw-1", "gw-2", "gw-1::a", "::", "dt"][..]).prop_map(str::to_owned),
    ]
}

fn envelope(topic: &str, payload: &[u8]) -> Envelope<'static> {
    Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: topic.to_owned().into(),
        client: None,
        principal: None,
        content_type: None,
        received: Micros(1_795_417_200_250_000),
        trace: None,
        record: None,
    }
}

/// The settings of a fleet with these layouts, and with topics whose payloads name the device.
fn settings(layouts: Vec<TopicLayout>, site: &str) -> Settings {
    let payload_identity: Option<TopicFilter> = Some("iot/#".parse().unwrap());
    let layouts = Layouts::new(
        layouts.into_iter().map(Into::into).collect(),
        site.parse().unwrap(),
        payload_identity.as_ref(),
    )
    .unwrap();
    Settings {
        identity: IdentityRules { payload_identity, layouts, ..IdentityRules::default() },
        ..Settings::default()
    }
}

/// What stands in a level of a topic, by a list of names.
fn filler(names: Vec<String>) -> impl FnMut(&Level) -> String {
    let mut names = names.into_iter().cycle();
    move |level| {
        let name = names.next().unwrap();
        // One level or several.
        if *level == Level::Metrics && name.len().is_multiple_of(2) {
            format!("{name}/{}", names.next().unwrap())
        } else {
            name
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_layout_that_prints_as_it_was_or_has_a_reason(text in layout_text()) {
        match text.parse::<TopicLayout>() {
            Ok(layout) => {
                prop_assert_eq!(layout.to_string(), text);
                prop_assert!(layout.rule_filter().matches(&layout.example()));
                prop_assert!(layout.read(&layout.example()).is_some_and(|read| read.is_ok()));
            }
            Err(error) => prop_assert!(!error.problems().is_empty()),
        }
    }

    #[test]
    fn a_topic_made_of_names_says_these_names(
        layout in layout(),
        names in prop::collection::vec("[a-zA-Z0-9_-]{1,12}", 9),
    ) {
        let mut fill = filler(names);
        let (mut site, mut device, mut stream) = (None, None, None);
        let (mut prefixes, mut metric) = (Vec::new(), Vec::new());
        let topic = layout.render(|level| {
            let name = fill(level);
            match level {
                Level::Site => site = Some(name.clone()),
                Level::Device => device = Some(name.clone()),
                Level::Stream => stream = Some(name.clone()),
                Level::Prefix => prefixes.push(name.clone()),
                Level::Metric | Level::Metrics => metric.push(name.replace('/', ".")),
                Level::Dropped | Level::Literal(_) => {}
            }
            name
        });
        if stream.is_none() && metric.is_empty() {
            let after = layout.levels().iter().skip_while(|level| **level != Level::Device);
            metric.extend(after.filter_map(|level| match level {
                Level::Literal(text) => Some(text.to_string()),
                _ => None,
            }));
        }
        let read = layout.read(&topic).unwrap().unwrap();
        prop_assert_eq!(read.site, site.as_deref());
        prop_assert_eq!(Some(read.device), device.as_deref());
        prop_assert_eq!(read.stream, stream.as_deref());
        prop_assert_eq!(read.stem, [prefixes, metric].concat().join("."));
        prop_assert!(layout.rule_filter().matches(&topic));
    }

    /// The rule may select the topic that ends before `{metric...}`, which is of no layout, and no other topic beside.
    #[test]
    fn the_rule_selects_the_topics_of_the_layout(layout in layout(), levels in prop::collection::vec(select(&["dt", "factory", "N", "a", "x", "b"][..]), 1..9)) {
        let topic = levels.join("/");
        let is_of_layout = layout.read(&topic).is_some();
        let is_selected = layout.rule_filter().matches(&topic);
        let is_short = layout.is_open() && levels.len() + 1 == layout.levels().len();
        prop_assert_eq!(is_of_layout, is_selected && !is_short, "{} {}", layout, topic);
    }

    #[test]
    fn two_layouts_are_refused_if_their_rules_select_one_topic(a in layout(), b in layout()) {
        let filters = [&a, &b].map(TopicLayout::rule_filter);
        let together = Layouts::new(vec![a.clone().into(), b.clone().into()], "main".parse().unwrap(), None);
        match telemetry::common_topic(&filters[0], &filters[1]) {
            Some(topic) => {
                prop_assert!(filters.iter().all(|filter| filter.matches(&topic)), "{a} {b}: {topic}");
                let error = together.unwrap_err();
                let named = error.problems().iter().find_map(|problem| problem.split("both match ").nth(1));
                let named = named.and_then(|rest| rest.split(',').next());
                let named = named.unwrap().to_owned();
                prop_assert!(filters.iter().all(|filter| filter.matches(&named)), "{a} {b}: {named}");
            }
            // Below one first level the policies of one may refuse what is deeper.
            None => {
                let reach = |layout: &TopicLayout| (layout.is_open(), layout.levels().len());
                // So do those of an open layout, whose stars would permit what is of the other.
                let is_wide = |layout: &TopicLayout| {
                    let device = layout.levels().iter().position(|level| *level == Level::Device).unwrap();
                    let after = &layout.levels()[device..];
                    layout.is_open() && after.iter().any(|level| matches!(level, Level::Literal(_)))
                };
                let may_refuse = a.levels()[0] == b.levels()[0]
                    && (reach(&a) != reach(&b) || is_wide(&a) || is_wide(&b));
                prop_assert!(together.is_ok() || may_refuse, "{a} {b}");
            }
        }
    }
}

/// Profiles of gateways: each way in which a payload names devices, on topics of its own.
fn gateways() -> Arc<Profiles> {
    let profile = |name: &str, gateway: &str| {
        let text =
            format!("name = \"{name}\"\ntopics = \"+/+/+/{name}\"\ndevices = \"*/*\"\ngateway = {gateway}");
        Arc::new(Profile::from_toml(&text).unwrap())
    };
    let all = [("members", "\"members\""), ("member", "\"id\""), ("senml", "true"), ("lorawan", "true")];
    Arc::new(all.map(|(name, gateway)| profile(name, gateway)).into_iter().collect())
}

/// A payload that names `name`, of the kind that the stream says.
fn naming(stream: &str, name: &str) -> Vec<u8> {
    use serde_json::json;
    let eui = format!("{:0>16}", name.bytes().map(|b| format!("{b:02x}")).collect::<String>());
    match stream {
        "members" => json!({name: {"t": 1}}),
        "member" => json!({"id": name, "t": 1}),
        "senml" => json!([{"bn": format!("{name}/"), "n": "t", "v": 1}]),
        "lorawan" => json!({"deviceInfo": {"devEui": &eui[..16]}, "object": {"t": 1}}),
        _ => json!({"device_id": name, "t": 1}),
    }
    .to_string()
    .into_bytes()
}

fn decode(
    decoder: &mut Decoder,
    topic: &str,
    payload: &[u8],
) -> Option<(Vec<Reading>, Option<Format>, Vec<Identity>)> {
    let mut readings = Vec::new();
    let decoded = decoder.decode(&envelope(topic, payload), &mut readings).ok()?;
    let identities = readings.iter().map(|reading| decoded.identity(&reading.device)).collect();
    Some((readings, decoded.format, identities))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_payload_makes_a_device_that_a_topic_or_another_gateway_can_have(
        gateway in name(),
        site in name(),
        layout_site in select(&["main", "plant-1", "iot", "gw-1"][..]),
        sent in name(),
        stream in select(&["members", "member", "senml", "lorawan", "json"][..]),
        other_site in prop::option::of(name()),
        other in name(),
        other_sent in name(),
    ) {
        let other_site = other_site.unwrap_or_else(|| site.clone());
        let layouts = vec!["dt/{site}/{device}/{stream}".parse().unwrap(), "s/{device}/t".parse().unwrap()];
        let mut decoder = Decoder::new(settings(layouts, layout_site), gateways());
        let from_gateway = decode(&mut decoder, &format!("dt/{site}/{gateway}/{stream}"), &naming(stream, &sent));
        let from_payload = decode(&mut decoder, &format!("iot/{site}/{stream}"), &naming("json", &sent));
        let by_topic = [format!("dt/{other_site}/{other}/state"), format!("s/{other}/t")];
        let by_topic = by_topic.map(|topic| decode(&mut decoder, &topic, br#"{"t": 1}"#));
        let node = NodeId::of_topic(&format!("spBv1.0/{other_site}/NBIRTH/{other}"));
        let nodes = node.iter().map(|node| node.as_str().to_owned());
        let by_topic = by_topic.into_iter().flatten().flat_map(|(readings, ..)| readings);
        let by_topic: BTreeSet<String> = by_topic.map(|reading| reading.device.to_string()).chain(nodes).collect();

        let own = format!("{site}/{gateway}");
        for ((readings, _, identities), own) in [(&from_gateway, Some(&*own)), (&from_payload, None)]
            .into_iter()
            .filter_map(|(decoded, own)| Some((decoded.as_ref()?, own)))
        {
            for (reading, identity) in readings.iter().zip(identities) {
                let device = reading.device.as_str();
                let is_own = own == Some(device);
                prop_assert_eq!(identity.is_of_a_thing(), is_own, "{}", device);
                // A payload that names no device is of the one that its topic names.
                prop_assert_eq!(is_own, own.is_some() && stream == "json");
                prop_assert!(is_own || !by_topic.contains(device), "{}", device);
            }
        }
        // Another gateway, whatever it names, is never taken for this one.
        let from_other = decode(&mut decoder, &format!("dt/{other_site}/{other}/{stream}"), &naming(stream, &other_sent));
        if let (Some((ours, ..)), Some((theirs, ..))) = (&from_gateway, &from_other)
            && (&site, &gateway) != (&other_site, &other)
        {
            let ours: BTreeSet<_> = ours.iter().map(|reading| &reading.device).collect();
            prop_assert!(theirs.iter().all(|reading| !ours.contains(&reading.device)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However a text is cut into gateway and name, at most one cut makes a device of it.
    #[test]
    fn no_two_gateways_meet_in_one_text(text in "[a:]{3,9}") {
        let mut decoder = Decoder::new(settings(vec![TopicLayout::default()], "main"), gateways());
        let cuts = (0..text.len() - 1).filter(|at| text[*at..].starts_with("::"));
        let made = cuts.filter_map(|at| {
            let (gateway, name) = (&text[..at], &text[at + 2..]);
            decode(&mut decoder, &format!("dt/p/{gateway}/member"), &naming("member", name))
        });
        let devices: Vec<String> =
            made.flat_map(|(readings, ..)| readings).map(|reading| reading.device.to_string()).collect();
        prop_assert!(devices.len() <= 1, "{devices:?}");
    }
}

/// The properties above would hold of refusals alone: these are read.
#[test]
fn every_identity_path_makes_devices() {
    let mut decoder = Decoder::new(settings(vec![TopicLayout::default()], "main"), gateways());
    let mut check = |topic: &str, stream: &str, expected: &str, identity: Identity| {
        let (readings, _, identities) = decode(&mut decoder, topic, &naming(stream, "pump-7")).unwrap();
        assert!(readings.iter().all(|reading| reading.device.as_str() == expected), "{topic}: {readings:?}");
        assert!(!readings.is_empty() && identities.iter().all(|found| *found == identity), "{topic}");
    };
    check("dt/p/gw/members", "members", "p/gw::pump-7", Identity::Gateway);
    check("dt/p/gw/member", "member", "p/gw::pump-7", Identity::Gateway);
    check("dt/p/gw/senml", "senml", "p/gw::pump-7", Identity::Gateway);
    check("dt/p/gw/lorawan", "lorawan", "p/gw::000070756d702d37", Identity::Gateway);
    check("iot/x", "json", "payload::iot/pump-7", Identity::Payload);
    check("dt/p/pump-7/json", "json", "p/pump-7", Identity::Topic);
}
