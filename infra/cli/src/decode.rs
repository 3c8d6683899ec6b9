//! `tidegate decode`: what a payload would become, offline.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use telemetry::{
    Decoder, DeviceId, Envelope, HourBound, Micros, Profile, Profiles, Reading, Reject, Settings, pack,
    standing,
};

use crate::console::{note, print};
use crate::error::{Context as _, Error, Result};
use crate::query::{Line, json_lines};

/// What `decode` is asked.
#[derive(Debug)]
pub struct Question {
    /// The topic that it would be published on.
    pub topic: String,
    /// The client id; `None`: the broker knows none, as of a publish over HTTPS.
    pub client: Option<String>,
    /// When the broker would receive it.
    pub received: Micros,
    /// The MQTT 5 content type, if it would have one.
    pub content_type: Option<String>,
    /// How messages are read.
    pub settings: Settings,
    /// Profiles to read it by, where they fit.
    pub profiles: Vec<Arc<Profile>>,
    /// Topics and payloads' files of messages before it: what a Sparkplug message means depends on them.
    pub after: Vec<(String, PathBuf)>,
}

/// Reads the payload from the file `path`, or from standard input if it is `-`; prints its
/// readings, or why there are none. Returns whether there are any.
///
/// # Errors
/// If the file cannot be read.
pub fn decode(question: &Question, path: &Path) -> Result<bool> {
    let (text, is_accepted) = render(question, &read(path)?)?;
    print(&text)?;
    Ok(is_accepted)
}

/// The bytes of a file, or of standard input if its name is `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).or_problem(|| "cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::problem(format!("there is no file {}", path.display())),
        _ => Error::problem(format!("cannot read {}", path.display())).caused_by(error),
    })
}

fn render(question: &Question, payload: &[u8]) -> Result<(String, bool)> {
    let profiles: Arc<Profiles> = Arc::new(question.profiles.iter().cloned().collect());
    if let Some(line) = which_profile(&profiles, &question.topic, &question.settings) {
        note(&line);
    }
    if question.settings.identity.ignores(&question.topic) {
        note(&format!("messages on {} are ignored, and counted", question.topic));
    }
    match readings(question, profiles, payload)? {
        Ok(readings) => Ok((json_lines(readings.iter().map(Line::of))?, true)),
        Err(refused) => {
            if refused.reject.asks_for_birth() {
                note("give the births before it: --after spBv1.0/{group}/NBIRTH/{node}=FILE");
            }
            Ok((json_lines([Rejected::new(&refused, &question.topic)])?, false))
        }
    }
}

/// The readings that `payload` would be stored as, in the order in which they are read back; or why there are none.
///
/// # Errors
/// If the file of an earlier message cannot be read.
pub fn readings(
    question: &Question,
    profiles: Arc<Profiles>,
    payload: &[u8],
) -> Result<std::result::Result<Vec<Reading>, Refused>> {
    let (topic, client) = (&question.topic, question.client.as_deref());
    let mut decoder = Decoder::new(question.settings.clone(), profiles);
    let count = i64::try_from(question.after.len()).unwrap_or(i64::MAX);
    for ((topic, file), place) in question.after.iter().zip(0..) {
        // A millisecond apart, the last of them one before the message.
        let received = question.received.plus((place - count) * 1_000);
        let earlier = read(file)?;
        if let Err(reject) = decoder.decode(&published(topic, client, &earlier, received), &mut Vec::new()) {
            note(&format!("{}, which came before, is refused: {reject}", file.display()));
        }
    }
    let envelope = Envelope {
        content_type: question.content_type.as_deref().map(Into::into),
        ..published(topic, client, payload, question.received)
    };
    let mut decoded = Vec::new();
    let checked = decoder
        .decode(&envelope, &mut decoded)
        .and_then(|_| HourBound::of(&question.settings.time).check(&decoded));
    let refused = |reject| Refused { reject, member: decoder.refused_member().map(str::to_owned) };
    Ok(checked.map_err(refused).map(|()| as_stored(decoded)))
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reject: Reject,
    /// The member of the payload that is at fault, as far as it is known.
    pub member: Option<String>,
}

/// What a reader of the table gets of these readings: device by device, in the order of their times.
fn as_stored(readings: Vec<Reading>) -> Vec<Reading> {
    let mut devices: BTreeMap<DeviceId, Vec<Reading>> = BTreeMap::new();
    for span in pack(readings) {
        devices.entry(span.device().clone()).or_default().extend(span.readings());
    }
    devices.into_values().flat_map(standing).collect()
}

fn published<'a>(topic: &'a str, client: Option<&'a str>, payload: &[u8], received: Micros) -> Envelope<'a> {
    Envelope {
        payload: base64_simd::STANDARD.encode_to_string(payload).into(),
        topic: topic.into(),
        client: client.map(Into::into),
        principal: None,
        content_type: None,
        received,
        trace: None,
        record: None,
    }
}

/// What is to be said of the profiles that were given: nothing where the only one fits.
fn which_profile(profiles: &Profiles, topic: &str, settings: &Settings) -> Option<String> {
    let given = profiles.iter().count();
    match profiles.of_message(topic, &settings.identity) {
        _ if given == 0 => None,
        Some(_) if given == 1 => None,
        Some(profile) => {
            Some(format!("it is read by the profile {}, whose patterns say most of it", profile.name))
        }
        None => {
            let which = profiles.iter().map(|profile| &*profile.name).collect::<Vec<_>>().join(", ");
            Some(format!(
                "it is read without a profile: neither topics nor devices of {which} are those of {topic}"
            ))
        }
    }
}

#[derive(Serialize)]
struct Rejected<'a> {
    rejected: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    topic: &'a str,
}

impl<'a> Rejected<'a> {
    fn new(refused: &Refused, topic: &'a str) -> Self {
        let Refused { reject, member } = refused;
        Self { rejected: reject.to_string(), code: reject.code(), member: member.clone(), topic }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(topic: &str) -> Question {
        Question {
            topic: topic.into(),
            client: None,
            received: Micros(1_795_417_200_250_000),
            content_type: None,
            settings: Settings::default(),
            profiles: Vec::new(),
            after: Vec::new(),
        }
    }

    #[test]
    fn readings_are_lines() {
        let (text, is_accepted) =
            render(&question("dt/plant-1/pump-7/state"), br#"{"a": 1, "b": true}"#).unwrap();
        assert!(is_accepted);
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"device":"plant-1/pump-7","metric":"a","at":"2026-11-23T07:00:00.25Z","value":1,"unit":null,"time_source":"arrival","quality":"good","seq":"565253044980776960"}"#
        );
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_refusal_is_a_line_too() {
        let (text, is_accepted) = render(&question("elsewhere"), b"{}").unwrap();
        assert!(!is_accepted);
        assert_eq!(
            text,
            "{\"rejected\":\"the topic fits no layout; unless the deployment sets others, that is dt/{site}/{device}/{stream}\",\"code\":\"topic\",\"topic\":\"elsewhere\"}\n"
        );
    }

    #[test]
    fn a_topic_is_read_by_the_layouts_that_are_given() {
        let layouts = ["factory/{site}/{prefix}/{device}/{metric}", "shellies/{device}/{metric...}"];
        let layouts = layouts.map(|text| text.parse().unwrap()).to_vec();
        let fleets = crate::layout::fleets(layouts, vec!["shellies/announce".parse().unwrap()]).unwrap();
        let layouts = telemetry::Layouts::new(fleets, "home".parse().unwrap(), None).unwrap();
        let identity = telemetry::IdentityRules { layouts, ..Default::default() };
        let settings = Settings { identity, ..Settings::default() };
        let check = |topic: &str, expected: &str| {
            let question = Question { settings: settings.clone(), ..question(topic) };
            let (text, _) = render(&question, br#"{"a": 1}"#).unwrap();
            assert!(text.contains(expected) && text.is_empty() == expected.is_empty(), "{topic}: {text}");
        };
        check("factory/plant-1/line-3/pump-7/state", "\"device\":\"plant-1/pump-7\"");
        check("shellies/plug-1/relay/0", "\"device\":\"home/plug-1\"");
        check("shellies/announce", "");
        check("dt/plant-1/pump-7/state", "\"code\":\"topic\"");
    }

    #[test]
    fn a_profile_is_used_where_it_fits_and_missed_aloud_where_not() {
        let profile = |name: &str, devices: &str| {
            let text = format!(
                "name = \"{name}\"\ndevices = \"{devices}\"\n[[metric]]\nfrom = \"a\"\nname = \"b\"\nscale = 2"
            );
            Arc::new(Profile::from_toml(&text).unwrap())
        };
        let check = |profiles: Vec<Arc<Profile>>, metric: &str, said: Option<&str>| {
            let question = Question { profiles: profiles.clone(), ..question("dt/plant-1/pump-7/state") };
            let known: Profiles = profiles.into_iter().collect();
            let line = which_profile(&known, &question.topic, &question.settings);
            let is_said = match said {
                Some(said) => line.as_ref().is_some_and(|line| line.contains(said)),
                None => line.is_none(),
            };
            assert!(is_said, "{line:?}");
            let (text, _) = render(&question, br#"{"a": 1}"#).unwrap();
            assert!(text.contains(metric), "{text}");
        };
        check(vec![], "\"metric\":\"a\"", None);
        check(
            vec![profile("p", "*/pump-*")],
            "\"metric\":\"b\",\"at\":\"2026-11-23T07:00:00.25Z\",\"value\":2",
            None,
        );
        check(vec![profile("p", "*/fan-*")], "\"metric\":\"a\"", Some("without a profile"));
        check(vec![profile("p", "*/pump-*"), profile("q", "*/*")], "\"metric\":\"b\"", Some("the profile p"));
    }
}
