//! `tidegate layout`: which topics a fleet publishes on, without any cloud.

use std::fmt::Write as _;
use std::sync::Arc;

use telemetry::{
    ClientId, IdentityRules, LayoutSite, Layouts, Level, Micros, Profiles, Settings, TopicLayout,
};

use crate::console::print;
use crate::decode::{self, readings};
use crate::error::{Error, Result};
use crate::query::{Line, json_lines};

/// When the example arrives: any time will do.
const RECEIVED: Micros = Micros(1_795_417_200_250_000);

/// Says of each layout whether it is one, and of all of them whether they go together. Returns whether all is well.
///
/// # Errors
/// If it cannot be printed.
pub fn check(texts: &[String]) -> Result<bool> {
    let (text, are_good) = checked(texts);
    print(&text)?;
    Ok(are_good)
}

fn checked(texts: &[String]) -> (String, bool) {
    let (mut lines, mut layouts) = (String::new(), Vec::new());
    for text in texts {
        match text.parse::<TopicLayout>() {
            Ok(layout) => {
                let _ = writeln!(lines, "{text}: good, such as {}", layout.example());
                layouts.push(layout);
            }
            Err(error) => {
                for problem in error.problems() {
                    let _ = writeln!(lines, "{text}: {problem}");
                }
            }
        }
    }
    let mut are_good = layouts.len() == texts.len();
    if let Err(error) = Layouts::new(layouts, Vec::new(), LayoutSite::default(), None) {
        are_good = false;
        for problem in error.problems() {
            let _ = writeln!(lines, "{problem}");
        }
    }
    (lines, are_good)
}

/// Prints what becomes of a layout: the filter of its rule, the topics of its policy, an example and what that says.
///
/// # Errors
/// If the text is no layout.
pub fn show(text: &str, site: LayoutSite, client_id: ClientId) -> Result<()> {
    print(&shown(text, site, client_id)?)
}

fn shown(text: &str, site: LayoutSite, client_id: ClientId) -> Result<String> {
    let layout: TopicLayout =
        text.parse().map_err(|error| Error::problem(format!("{text} is no layout: {error}")))?;
    let topic = layout.example();
    let read = layout.read(&topic).and_then(std::result::Result::ok);
    let read = read.ok_or_else(|| Error::problem(format!("{text} does not match its example {topic}")))?;
    let device = format!("{}/{}", read.site.unwrap_or(site.as_str()), read.device);
    let policy = layout.policy(client_id);
    let deny = policy.deny.unwrap_or_else(|| "nothing".to_owned());
    let urgent = match read.stream {
        Some(_) if layout.is_open() => "none: {metric...} ends the layout".to_owned(),
        Some(_) => layout.render(|level| if *level == Level::Stream { "urgent".into() } else { "+".into() }),
        None => "none: the layout has no {stream}".to_owned(),
    };
    let names = if read.stem.is_empty() { "as the payload has them" } else { read.stem.as_str() };
    let rule = layout.rule_filter();
    let payload = if read.stem.is_empty() { r#"{"temperature": 21.5}"# } else { "21.5" };
    let decoded = decoded(&layout, site, &topic, payload)?;
    Ok(format!(
        "rule           {rule}
urgent         {urgent}
policy allows  {allow}
policy denies  {deny}
example        {topic}
  device       {device}
  metrics      {names}
  {payload} becomes
{decoded}",
        allow = policy.allow,
    ))
}

/// What a payload on a topic becomes, or why there is nothing, as lines of JSON.
fn decoded(layout: &TopicLayout, site: LayoutSite, topic: &str, payload: &str) -> Result<String> {
    let layouts = Layouts::new(vec![layout.clone()], Vec::new(), site, None);
    let layouts = layouts.map_err(|error| Error::problem(error.to_string()))?;
    let question = decode::Question {
        topic: topic.to_owned(),
        client: None,
        received: RECEIVED,
        content_type: None,
        settings: Settings {
            identity: IdentityRules { layouts, ..IdentityRules::default() },
            ..Settings::default()
        },
        profiles: Vec::new(),
        after: Vec::new(),
    };
    match readings(&question, Arc::new(Profiles::default()), payload.as_bytes())? {
        Ok(readings) => json_lines(readings.iter().map(Line::of)),
        Err(refused) => Ok(format!("nothing: {}\n", refused.reject)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_said_at_once() {
        let check = |texts: &[&str], expected: &[&str], is_good: bool| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let (text, are_good) = checked(&texts);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!((lines.len(), are_good), (expected.len(), is_good), "{text}");
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.contains(expected), "{line}");
            }
        };
        check(&["N/{device}/{metric...}"], &["good, such as N/pump-7/motor/temperature"], true);
        check(
            &["{site}/{site}", "f/{device}/t"],
            &["no {device}", "{site} stands more than once", "first level", "f/{device}/t: good"],
            false,
        );
        check(&["f/{device}/t", "f/{device}/{metric}"], &["good", "good", "both match f/pump-7/t"], false);
        check(
            &["a/{device}", "b/{device}", "c/{device}", "d/{device}"],
            &["a", "b", "c", "d", "4 layouts"],
            false,
        );
    }

    #[test]
    fn a_layout_is_shown_as_the_template_makes_it() {
        let shown = |text: &str, client_id| shown(text, "home".parse().unwrap(), client_id);
        let text = shown("dt/{site}/{device}/{stream}", ClientId::Match).unwrap();
        let expected = "rule           dt/+/+/+
urgent         dt/+/+/urgent
policy allows  dt/${iot:Connection.Thing.Attributes[site]}/${iot:Connection.Thing.ThingName}/*
policy denies  dt/*/*/*/*
example        dt/plant-1/pump-7/state
  device       plant-1/pump-7
  metrics      as the payload has them
  {\"temperature\": 21.5} becomes
{\"device\":\"plant-1/pump-7\",\"metric\":\"temperature\",";
        assert!(text.starts_with(expected), "{text}");
        let text = shown("shellies/{device}/{metric...}", ClientId::Any).unwrap();
        let expected = "rule           shellies/+/#
urgent         none: the layout has no {stream}
policy allows  shellies/*/*
policy denies  nothing
example        shellies/pump-7/motor/temperature
  device       home/pump-7
  metrics      motor.temperature
  21.5 becomes
{\"device\":\"home/pump-7\",\"metric\":\"motor.temperature\",";
        assert!(text.starts_with(expected), "{text}");
        let error = shown("f/{metric}", ClientId::Match).unwrap_err().report();
        assert!(error.contains("f/{metric} is no layout: there is no {device}"), "{error}");
    }
}
