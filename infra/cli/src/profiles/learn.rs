//! `tidegate profile learn`: a first profile from what a device has sent.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use telemetry::{Captured, Format, Hints, Micros, Profile};

use crate::console::{note, print};
use crate::decode::read;
use crate::error::{Context as _, Error, Result};

/// What `learn` is asked.
#[derive(Debug)]
pub struct Question {
    /// Payloads, one a file or one a line, there perhaps behind their topics.
    pub files: Vec<PathBuf>,
    /// The topic that they came on.
    pub topic: Option<String>,
    /// The name that the profile gets.
    pub name: Option<String>,
    /// The word of their format.
    pub format: Option<String>,
}

/// A message in a file.
struct Found {
    /// The file, and the line or the number of the message in it.
    place: String,
    topic: Option<String>,
    payload: Vec<u8>,
}

/// Prints a profile of the device that has sent the payloads in these files; says which of them it refuses, or loses
/// something of.
///
/// # Errors
/// If a file cannot be read, or no payload can be understood.
pub fn learn(question: &Question) -> Result<()> {
    let mut found = Vec::new();
    for file in &question.files {
        let name = file.display();
        let messages = messages(read(file)?).into_iter().enumerate();
        found.extend(messages.map(|(line, (topic, payload))| Found {
            place: format!("{name}:{}", line + 1),
            topic,
            payload,
        }));
    }
    let format = question.format.as_deref().map(format).transpose()?;
    let name = question.name.clone().unwrap_or_else(|| name_of(question));
    let received = Micros(Timestamp::now().as_microsecond());
    let hints = Hints { name: &name, topic: question.topic.as_deref(), format, received };
    let captured: Vec<Captured<'_>> = found
        .iter()
        .map(|message| Captured { topic: message.topic.as_deref(), payload: &message.payload })
        .collect();
    let place = |number: usize| found.get(number - 1).map_or("", |message| &message.place);
    let learnt = telemetry::learn(&captured, &hints)
        .map_err(|error| Error::negative(format!("{}: {}", place(error.number), error.reject)))?;
    // A name that the user gave may be none; all else is known to be right.
    if let Err(error) = Profile::from_toml(&learnt.text) {
        return Err(Error::negative(error.to_string()));
    }
    print(&learnt.text)?;
    for remark in &learnt.remarks {
        note(&format!("{}: {}", place(remark.number), remark.text));
    }
    note(
        "store it with `tidegate profile put`, once you have read it through; `tidegate decode --profile` tries it",
    );
    Ok(())
}

/// The messages in a file, with their topics where it says them: one a line, if each line is a JSON document by itself, or
/// a topic and a payload as `mosquitto_sub -v` prints them; else the file is one.
fn messages(bytes: Vec<u8>) -> Vec<(Option<String>, Vec<u8>)> {
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    let with_topics: Option<Vec<_>> = lines.iter().map(|line| with_topic(line)).collect();
    if let Some(messages) = with_topics.filter(|messages| messages.len() > 1) {
        return messages;
    }
    let is_document = |line: &&[u8]| line.starts_with(b"{") || line.starts_with(b"[");
    let are_documents = lines
        .iter()
        .all(|line| is_document(line) && serde_json::from_slice::<serde_json::Value>(line).is_ok());
    if lines.len() > 1 && are_documents {
        return lines.into_iter().map(|line| (None, line.to_vec())).collect();
    }
    vec![(None, bytes)]
}

/// A line of a topic of several levels, a blank, and a payload.
fn with_topic(line: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
    let (topic, payload) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let is_topic = topic.contains('/') && !topic.contains(['{', '[', '"']);
    is_topic.then(|| (Some(topic.to_owned()), payload.as_bytes().to_vec()))
}

fn format(word: &str) -> Result<Format> {
    serde_json::from_value(serde_json::Value::from(word)).or_problem(|| format!("{word} is no format"))
}

/// The name of the device in the topic without its number, or that of the first file.
fn name_of(question: &Question) -> String {
    let device = question.topic.as_deref().and_then(|topic| topic.split('/').nth(2));
    let stem = question.files.first().and_then(|file| Path::file_stem(file)).and_then(|stem| stem.to_str());
    let name = device.or(stem).unwrap_or_default().to_lowercase();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(64).collect();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_matches('-');
    if name.is_empty() { "device".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_payload_or_has_one_a_line() {
        let check = |text: &str, expected: &[&str]| {
            let found = messages(text.as_bytes().to_vec());
            let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|(topic, bytes)| {
                    topic.as_ref().map_or(String::new(), |topic| format!("{topic}|")) + &text(bytes)
                })
                .collect();
            assert_eq!(found, expected);
        };
        check("a/b {\"a\": 1}\nc/d ON\n", &["a/b|{\"a\": 1}", "c/d|ON"]);
        check("a/b {\"a\": 1}\nON 1\n", &["a/b {\"a\": 1}\nON 1\n"]);
        check("{\"a\": 1}\n", &["{\"a\": 1}\n"]);
        check("{\"a\": 1}\r\n\n[{\"a\": 2}]\n", &["{\"a\": 1}", "[{\"a\": 2}]"]);
        check("{\n\"a\": 1\n}", &["{\n\"a\": 1\n}"]);
        check("1\n2\n", &["1\n2\n"]);
        check("{\"a\": 1}\n{\"a\": ", &["{\"a\": 1}\n{\"a\": "]);
    }

    #[test]
    fn a_profile_is_named_by_the_device_or_the_file() {
        let check = |topic: Option<&str>, file: &str, expected: &str| {
            let topic = topic.map(str::to_owned);
            let question = Question { files: vec![file.into()], topic, name: None, format: None };
            assert_eq!(name_of(&question), expected);
        };
        check(Some("dt/plant-1/pump-7/state"), "x.json", "pump");
        check(None, "tests/Cold Room.json", "cold-room");
        check(None, "-", "device");
        check(Some("dt/plant-1/1234/state"), "x.json", "device");
    }
}
