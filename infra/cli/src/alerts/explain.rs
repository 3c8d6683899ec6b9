//! `tidegate alerts show` and `tidegate alerts explain`: what was told of an alert, and how it came about.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use alert::{DeviceAlerts, Evidence, Phase, Rule, Seen, Threshold, Track, Transition};
use cloud::devices::Devices;
use telemetry::{DeviceId, Latest, Micros};

use super::words::{self, ago};
use super::{Stack, is_gone, now};
use crate::aws::patience;
use crate::console::print;
use crate::error::{Context as _, Error, Result};
use crate::hints::columns;
use crate::query::{device_named, value_with_unit};
use crate::table::{Table, printable};
use crate::target::Target;

/// Transitions that `show` prints.
const MAX_SHOWN: usize = 10;

/// Prints what was told last of a device's alerts, or of one of them, with its shelf and its last transitions.
///
/// # Errors
/// If nothing is known of it, or it cannot be read.
pub async fn show(target: &Target, device: &str, rule: Option<&str>) -> Result<()> {
    let device = device_named(device)?;
    let stack = Stack::open(target).await?;
    let Some(alerts) = stack.of(&device).await? else {
        stack.check_is_known(&device).await?;
        return Err(Error::negative(format!("nothing has been told of {device}, and nothing is shelved")));
    };
    let names: BTreeSet<&Arc<str>> =
        alerts.told().keys().chain(alerts.shelves().keys()).chain(alerts.rules()).collect();
    let names: Vec<&Arc<str>> =
        names.into_iter().filter(|name| rule.is_none_or(|rule| ***name == *rule)).collect();
    if names.is_empty() {
        let rule = rule.map_or(String::new(), |rule| format!(" by the rule {rule}"));
        return Err(Error::negative(format!(
            "nothing has been told of {device}{rule}, and nothing is shelved"
        )));
    }
    let shown = names.into_iter().map(|name| shown(&alerts, name, stack.rules.get(name).map(Arc::as_ref)));
    print(&shown.collect::<Vec<_>>().join("\n"))
}

/// Prints how an alert came to stand as it does.
///
/// # Errors
/// If there is no such rule or device, or it cannot be read.
pub async fn explain(target: &Target, device: &str, rule: &str) -> Result<()> {
    let device = device_named(device)?;
    let stack = Stack::open(target).await?;
    let alerts = stack.of(&device).await?;
    // What a rule that has gone had raised can still be explained, as far as it does not need the rule.
    if is_gone(rule, &stack.rules) && alerts.as_ref().is_some_and(|alerts| is_known(alerts, rule)) {
        let text = alerts.map_or(String::new(), |alerts| shown(&alerts, rule, None));
        return print(&format!(
            "There is no rule {rule} any more; what it had raised is cleared soon.\n\n{text}"
        ));
    }
    let rule = stack.rule_about(rule, &device)?;
    let devices = Devices::new(stack.source.clients.dynamodb.clone(), stack.source.devices()?);
    let latest = devices.get(&device, patience()).await.or_problem(|| "cannot read the devices table")?;
    if latest.is_none() && alerts.is_none() {
        stack.check_is_known(&device).await?;
    }
    let alerts = alerts.unwrap_or_else(|| DeviceAlerts::new(device.clone()));
    print(&explanation(rule, &device, &alerts, latest.as_ref(), now()))
}

fn is_known(alerts: &DeviceAlerts, rule: &str) -> bool {
    alerts.told().contains_key(rule) || alerts.shelves().contains_key(rule) || alerts.track(rule).is_some()
}

/// All that was told last of an alert.
fn shown(alerts: &DeviceAlerts, name: &str, rule: Option<&Rule>) -> String {
    let mut fields = vec![("device", alerts.device.to_string()), ("rule", name.to_owned())];
    if let Some(told) = alerts.told().get(name) {
        fields.extend([
            ("severity", told.severity.to_string()),
            ("message", told.message.clone()),
            ("told", told.state.clone()),
            ("since", told.since.to_string()),
            ("at", told.at.to_string()),
            ("published", told.published.to_string()),
            ("id", told.id.clone()),
        ]);
    }
    if let Some(shelf) = alerts.shelves().get(name) {
        fields.push(("shelved", format!("until {} by {}", shelf.until, shelf.by)));
    }
    let track = alerts.track(name);
    if let Some(track) = track {
        fields.push(("state", track.phase().as_str().to_owned()));
    }
    let waiting = alerts.outbox().iter().filter(|outgoing| *outgoing.rule == *name).count();
    if waiting > 0 {
        fields.push(("to publish", waiting.to_string()));
    }
    let mut text: String =
        fields.iter().map(|(name, value)| format!("{name:<10}  {}\n", printable(value))).collect();
    let transitions: Vec<&Transition> = track.into_iter().flat_map(Track::history).collect();
    let newest = &transitions[transitions.len().saturating_sub(MAX_SHOWN)..];
    if !newest.is_empty() {
        let _ = write!(text, "\n{}", transition_table(newest, rule));
    }
    text
}

fn transition_table(transitions: &[&Transition], rule: Option<&Rule>) -> String {
    let mut table = Table::new(["at", "from", "", "to", "by", "value", "threshold", "told"]);
    for transition in transitions {
        let decisive = rule.and_then(|rule| words::decisive(rule, transition));
        let threshold = decisive.map(|(leaf, _)| leaf.threshold());
        table.push([
            words::instant(transition.at, transition.seq),
            transition.from.as_str().to_owned(),
            "→".to_owned(),
            transition.to.as_str().to_owned(),
            words::cause(transition).to_owned(),
            decisive.map_or(String::new(), |(_, evidence)| words::compared(evidence)),
            threshold.map_or(String::new(), |Threshold { test, level }| format!("{test} {level}")),
            words::telling(transition).to_owned(),
        ]);
    }
    table.render()
}

/// For somebody at three in the morning: what it is, since when, and why.
fn explanation(
    rule: &Rule,
    device: &DeviceId,
    alerts: &DeviceAlerts,
    latest: Option<&Latest>,
    now: Micros,
) -> String {
    let track = alerts.track(&rule.name);
    let mut text = format!("{} on {device}: {}, {}\n\n", rule.name, rule.severity, rule.message);
    let facts = [
        ("raises".to_owned(), format!("when {}", words::raises(rule))),
        ("clears".to_owned(), words::clears(rule)),
        ("now".to_owned(), present(track, now)),
        ("told".to_owned(), told(alerts, &rule.name, now)),
        ("shelf".to_owned(), shelf(alerts, &rule.name, now)),
        ("latest".to_owned(), latest_of(rule, latest, now)),
    ];
    let facts: Vec<(String, &str)> = facts.iter().map(|(name, fact)| (name.clone(), fact.as_str())).collect();
    text.push_str(&columns(&facts));
    let transitions: Vec<&Transition> = track.into_iter().flat_map(Track::history).collect();
    if transitions.is_empty() {
        text.push_str(if track.is_some_and(|track| track.phase() != Phase::Normal) {
            "\nHow it came to this is not known any more: the rule has been changed since.\n"
        } else {
            "\nNothing has happened that would have to be remembered.\n"
        });
    } else {
        text.push_str("\nHow it came to this, in the readings' own time; the last step decides:\n");
        transitions.iter().for_each(|transition| step(&mut text, rule, transition));
    }
    if let Some(track) = track {
        text.push_str(&settled(track));
    }
    text
}

fn present(track: Option<&Track>, now: Micros) -> String {
    let Some(track) = track else { return "normal, as far as is known".to_owned() };
    let machine = track.machine();
    let unstable =
        if machine.is_unstable() { "; changes too often, and is told again once it is stable" } else { "" };
    let since = machine.since();
    if since.is_plausible() {
        format!("{} since {since} ({}){unstable}", track.phase().as_str(), ago(since, now))
    } else {
        format!("{}{unstable}", track.phase().as_str())
    }
}

fn told(alerts: &DeviceAlerts, rule: &str, now: Micros) -> String {
    let waiting = alerts.outbox().iter().any(|outgoing| *outgoing.rule == *rule);
    let waiting = if waiting { ", waits to be published" } else { "" };
    alerts.told().get(rule).map_or_else(
        || "nothing".to_owned(),
        |told| {
            format!(
                "{} at {} ({}){waiting}, id {}",
                told.state,
                told.published,
                ago(told.published, now),
                told.id
            )
        },
    )
}

fn shelf(alerts: &DeviceAlerts, rule: &str, now: Micros) -> String {
    alerts.shelves().get(rule).map_or_else(
        || "not shelved".to_owned(),
        |shelf| {
            let over = if shelf.until <= now { ", which is over" } else { ": until then nothing is told" };
            printable(&format!("shelved by {} until {}{over}", shelf.by, shelf.until))
        },
    )
}

/// The newest readings of the rule's metrics, or of any where it asks for any.
fn latest_of(rule: &Rule, latest: Option<&Latest>, now: Micros) -> String {
    let Some(latest) = latest else { return "the device has not been heard".to_owned() };
    let mut readings = Vec::new();
    for metric in &rule.metrics {
        let newest = || alert::newest(latest.metrics.values(), i64::MAX);
        let reading = metric.as_ref().map_or_else(newest, |metric| latest.metrics.get(metric));
        readings.push(match (reading, metric) {
            (Some(reading), _) => {
                let value = value_with_unit(reading);
                printable(&format!("{} {value} at {} ({})", reading.metric, reading.at, ago(reading.at, now)))
            }
            (None, metric) => format!("no {}", metric.as_deref().unwrap_or("reading")),
        });
    }
    readings.join("; ")
}

/// One step, and what each question of the rule had for an answer.
fn step(text: &mut String, rule: &Rule, transition: &Transition) {
    let Transition { at, seq, from, to, .. } = transition;
    let instant = words::instant(*at, *seq);
    let (cause, telling) = (words::cause(transition), words::telling(transition));
    let _ = writeln!(text, "\n  {instant}  {} → {}, {cause}; {telling}", from.as_str(), to.as_str());
    if transition.evidence.is_empty() {
        text.push_str("      by the rule as it was before it was changed\n");
    }
    for evidence in &transition.evidence {
        let holds = if evidence.holds { "yes" } else { "no " };
        let question = rule.leaves.get(evidence.leaf).map(words::question);
        let question = question.unwrap_or_else(|| "a question of the rule as it was before".to_owned());
        let _ = writeln!(text, "      {holds}  {question}: {}", readings(evidence));
    }
    if matches!(to, Phase::Active) && transition.since != *at {
        let _ = writeln!(text, "      raised at {}", transition.since);
    }
}

/// The readings that a question was answered by.
fn readings(evidence: &Evidence) -> String {
    let seen = |seen: &Seen| {
        let value = words::with_unit(&seen.value, seen.unit.as_deref());
        format!("{value} at {}", words::instant(seen.at, seen.seq))
    };
    let last = evidence.last.as_ref().map_or_else(|| "no reading".to_owned(), seen);
    let number = evidence.number.map_or(String::new(), |number| format!("{number:.3}, from "));
    let turned =
        evidence.turned.as_ref().map_or(String::new(), |turned| format!(", so since {}", seen(turned)));
    format!("{number}{last}{turned}")
}

/// How far it is judged, and what is too late for it.
fn settled(track: &Track) -> String {
    if !track.cutoff().is_plausible() {
        return "\nNothing is settled yet: whatever comes is judged.\n".to_owned();
    }
    let late = match track.late() {
        0 => "none was".to_owned(),
        1 => "1 was".to_owned(),
        late => format!("{late} were"),
    };
    format!(
        "\nJudged up to {}. Settled up to {}: a reading from before then that comes now is too late to be judged; so far {late}.\n",
        words::time(track.newest()),
        track.cutoff()
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alert::Feed;
    use telemetry::{Quality, Reading, TimeSource, Value, pack};

    /// 2026-11-23T07:00:00Z.
    const START: Micros = Micros(1_795_417_200_000_000);
    const SECOND: i64 = 1_000_000;
    const LATENESS: i64 = 120 * SECOND;

    pub(crate) fn rule(name: &str, severity: &str, more: &str) -> Rule {
        let toml = format!("name = \"{name}\"\nseverity = \"{severity}\"\nmessage = \"m\"\n{more}");
        Rule::from_toml(&toml).unwrap()
    }

    pub(crate) fn hot() -> Rule {
        rule("hot", "critical", "condition = { metric = \"t\", above = 50, clear = 45, unit = \"Cel\" }")
    }

    fn reading(at: Micros, value: i128) -> Reading {
        Reading {
            device: DeviceId::from_stored("a/b"),
            metric: "t".into(),
            at,
            received: at,
            value: Value::Integer(value),
            unit: Some("Cel".into()),
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        }
    }

    /// The alerts of `a/b` after readings of `t`, a second apart, and the time of the first.
    pub(crate) fn judged(rules: &[Rule], values: &[i128]) -> (DeviceAlerts, Micros) {
        let mut alerts = DeviceAlerts::new(DeviceId::from_stored("a/b"));
        for (second, value) in (0..).zip(values) {
            let at = START.plus(second * SECOND);
            let spans = pack(vec![reading(at, *value)]);
            for rule in rules {
                let samples = Feed::new(rule, &spans, LATENESS).samples;
                alerts.judge(rule, samples, LATENESS, at);
            }
        }
        (alerts, START)
    }

    #[test]
    fn an_explanation_says_what_it_is_since_when_and_why() {
        let rule = rule(
            "hot",
            "critical",
            "for = \"2s\"\ncondition = { metric = \"t\", above = 50, clear = 45, unit = \"Cel\" }",
        );
        let (alerts, _) = judged(std::slice::from_ref(&rule), &[20, 51, 52, 53]);
        let latest = reading(START.plus(3 * SECOND), 53);
        let metrics = [(latest.metric.clone(), latest)].into();
        let latest = Latest {
            device: alerts.device.clone(),
            metrics,
            first_seen: START,
            last_seen: START,
            profile: None,
            identity: telemetry::Identity::Topic,
        };
        let id = alerts.told()["hot"].id.clone();
        let text = explanation(&rule, &alerts.device, &alerts, Some(&latest), START.plus(63 * SECOND));
        let expected = format!(
            "hot on a/b: critical, m

  raises  when t above 50 Cel (until at 45 or below), for 2s
  clears  as soon as that is over
  now     active since 2026-11-23T07:00:03Z (1m ago)
  told    active at 2026-11-23T07:00:03Z (1m ago), waits to be published, id {id}
  shelf   not shelved
  latest  t 53 Cel at 2026-11-23T07:00:03Z (1m ago)

How it came to this, in the readings' own time; the last step decides:

  2026-11-23T07:00:01Z  normal → pending, the condition; not told
      yes  t above 50 Cel (until at 45 or below): 51 Cel at 2026-11-23T07:00:01Z

  2026-11-23T07:00:03Z  pending → active, the condition; told
      yes  t above 50 Cel (until at 45 or below): 53 Cel at 2026-11-23T07:00:03Z, so since 51 Cel at 2026-11-23T07:00:01Z

Judged up to 2026-11-23T07:00:03Z. Settled up to 2026-11-23T06:58:03Z: a reading from before then that comes now is too late to be judged; so far none was.
"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_rule_that_has_changed_does_not_hinder_the_explanation_of_what_was() {
        let both = rule(
            "hot",
            "critical",
            "condition = { all = [{ metric = \"t\", above = 50 }, { metric = \"t\", below = 99 }] }",
        );
        let (mut alerts, _) = judged(std::slice::from_ref(&both), &[20, 60]);
        let old = alert::RuleSet::new([Arc::new(both)]);
        let item = alerts.to_item(&old);
        let new = alert::RuleSet::new([Arc::new(hot())]);
        let alerts = DeviceAlerts::from_item(&item, &new).unwrap();
        let text = explanation(&hot(), &alerts.device, &alerts, None, START);
        assert!(text.contains("not known any more: the rule has been changed since"), "{text}");
        assert!(text.contains("now     active since 2026-11-23T07:00:01Z"), "{text}");
        assert!(shown(&alerts, "hot", Some(&hot())).contains("active"));
        assert!(shown(&alerts, "hot", None).contains("active"));
    }

    #[test]
    fn nothing_is_explained_as_nothing() {
        let alerts = DeviceAlerts::new(DeviceId::from_stored("a/b"));
        let text = explanation(&hot(), &alerts.device, &alerts, None, START);
        assert!(text.contains("now     normal, as far as is known"), "{text}");
        assert!(text.contains("Nothing has happened"), "{text}");
    }
}
