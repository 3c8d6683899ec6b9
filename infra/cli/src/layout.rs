//! `tidegate layout`: which topics a fleet publishes on, without any cloud.

use std::fmt::Write as _;
use std::sync::Arc;

use telemetry::{
    ClientId, FleetLayout, IdentityRules, LayoutSite, Layouts, LayoutsError, Level, Micros, Profiles,
    Settings, TopicFilter, TopicLayout,
};

use crate::console::print;
use crate::decode::{self, readings};
use crate::error::{Error, Result};
use crate::query::{Line, json_lines};

/// When the example arrives: any time will do.
const RECEIVED: Micros = Micros(1_795_417_200_250_000);

/// Layouts with what is ignored beside each: beside the layout that begins with the same level, where there is one.
///
/// # Errors
/// If there are more filters than layouts.
pub fn fleets(layouts: Vec<TopicLayout>, ignored: Vec<TopicFilter>) -> Result<Vec<FleetLayout>> {
    let mut fleets: Vec<FleetLayout> = layouts.into_iter().map(FleetLayout::from).collect();
    let (own, other): (Vec<_>, Vec<_>) = ignored
        .into_iter()
        .partition(|filter| fleets.iter().any(|fleet| first_level(&fleet.layout) == filter.levels().next()));
    for filter in own.into_iter().chain(other) {
        let is_own = |fleet: &FleetLayout| first_level(&fleet.layout) == filter.levels().next();
        let free = |fleet: &FleetLayout| fleet.ignored.is_none();
        let place = fleets.iter().position(|fleet| is_own(fleet) && free(fleet));
        let place = place.or_else(|| fleets.iter().position(free));
        let place = place
            .ok_or_else(|| Error::problem(format!("{filter} is one filter too many: a layout takes one")))?;
        fleets[place].ignored = Some(filter);
    }
    Ok(fleets)
}

fn first_level(layout: &TopicLayout) -> Option<&str> {
    match layout.levels().first() {
        Some(Level::Literal(text)) => Some(text),
        _ => None,
    }
}

/// Says of each layout whether it is one, and of all of them whether they go together, with what is ignored and with topics
/// whose payloads name the device. Returns whether all is well.
///
/// # Errors
/// If it cannot be printed, or if there are more filters than layouts.
pub fn check(
    texts: &[String],
    ignored: Vec<TopicFilter>,
    payload_identity: Option<&TopicFilter>,
) -> Result<bool> {
    let (text, are_good) = checked(texts, ignored, payload_identity)?;
    print(&text)?;
    Ok(are_good)
}

fn checked(
    texts: &[String],
    ignored: Vec<TopicFilter>,
    payload_identity: Option<&TopicFilter>,
) -> Result<(String, bool)> {
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
    // What cannot be read may be what a filter belongs to.
    if layouts.len() < texts.len() {
        return Ok((lines, false));
    }
    let together = Layouts::new(fleets(layouts, ignored)?, LayoutSite::default(), payload_identity);
    for problem in together.as_ref().err().into_iter().flat_map(LayoutsError::problems) {
        let _ = writeln!(lines, "{problem}");
    }
    Ok((lines, together.is_ok()))
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
    let layouts = Layouts::new(vec![layout.clone().into()], site, None);
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
        type Filters<'a> = (&'a [&'a str], Option<&'a str>);
        let check = |texts: &[&str], (ignored, payload): Filters<'_>, expected: &[&str], is_good: bool| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let ignored = ignored.iter().map(|text| text.parse().unwrap()).collect();
            let payload = payload.map(|text| text.parse().unwrap());
            let (text, are_good) = checked(&texts, ignored, payload.as_ref()).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!((lines.len(), are_good), (expected.len(), is_good), "{text}");
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.contains(expected), "{line}");
            }
        };
        let none: Filters<'_> = (&[], None);
        check(&["N/{device}/{metric...}"], none, &["good, such as N/pump-7/motor/temperature"], true);
        check(
            &["{site}/{site}", "f/{device}/t"],
            none,
            &["no {device}", "{site} stands more than once", "first level", "f/{device}/t: good"],
            false,
        );
        check(
            &["f/{device}/t", "f/{device}/{metric}"],
            none,
            &["good", "good", "both match f/pump-7/t"],
            false,
        );
        check(
            &["a/{device}", "b/{device}", "c/{device}", "d/{device}"],
            none,
            &["a", "b", "c", "d", "4 layouts"],
            false,
        );
        let two = ["a/{device}", "b/{device}"];
        check(&two, (&["b/x/#", "c/#"], Some("iot/#")), &["good", "good"], true);
        check(&two, (&["b/#"], None), &["good", "good", "b/# would ignore all topics of b/{device}"], false);
        check(&two, (&[], Some("a/x/y/#")), &["good", "good", "begin with the same level"], false);
        check(&two, (&["iot/x"], Some("iot/#")), &["good", "good", "both match iot/x"], false);
        let same = ["a/{device}/x", "a/{device}/y"];
        check(&same, (&["a/announce"], None), &["good", "good", "begins with the same level as"], false);
        let texts: Vec<String> = two.iter().map(|text| (*text).to_owned()).collect();
        let many = ["c", "d", "e"].map(|text| text.parse().unwrap()).to_vec();
        assert!(checked(&texts, many, None).unwrap_err().report().contains("too many"));
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
