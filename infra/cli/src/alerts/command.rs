//! `tidegate alerts ack`, `shelve` and `unshelve`: commands to the function `alert`, over its queue.
//!
//! The function alone writes the alerts table. So what cannot work is refused here, before anything is sent, and what
//! has been sent is waited for.

use std::time::Duration;

use alert::{DeviceAlerts, MAX_SHELF_MICROS, Phase, Refusal, Rule};
use cloud::queue::{Delayed, Queue};
use serde::Serialize;
use telemetry::{DeviceId, Length, Micros};
use tokio::time::{Instant, sleep};

use super::list::{row_of, table};
use super::{Stack, now};
use crate::aws::patience;
use crate::console::{note, print};
use crate::error::{Context as _, Error, Result};
use crate::query::{When, device_named};
use crate::target::Target;

/// How long a command is waited for.
const WAIT: Duration = Duration::from_secs(15);
/// How often the item is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// What somebody wants of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To say that he knows of it.
    Acknowledge,
    /// Not to be told of it until a time.
    Shelve(End),
    /// To be told of it again.
    Unshelve,
}

/// When a shelf ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// So long from now.
    In(Length),
    /// At a time.
    At(When),
    /// Nobody has said.
    Never,
}

/// Sends a wish to the function `alert`, and prints what the alert has become.
///
/// # Errors
/// If it cannot work, is not sent, or nothing has happened within 15 seconds.
pub async fn command(target: &Target, device: &str, rule: &str, wish: Wish, by: &str) -> Result<()> {
    let device = device_named(device)?;
    let stack = Stack::open(target).await?;
    let rule = stack.rule_about(rule, &device)?;
    let alerts = stack.of(&device).await?;
    if alerts.is_none() {
        stack.check_is_known(&device).await?;
    }
    let alerts = alerts.unwrap_or_else(|| DeviceAlerts::new(device.clone()));
    let wanted = wanted(wish, now())?;
    match answer(&wanted, rule, &alerts) {
        Ok(Answer::Send) => {}
        Ok(Answer::IsSoAlready) => {
            note("it is acknowledged already");
            return show(&stack, &alerts, rule);
        }
        Err(refusal) => return Err(refused(refusal, rule, &alerts)),
    }
    send(&stack, &wanted.body(&device, rule, by, now())?).await?;
    match wait(&stack, &device, rule, &wanted).await? {
        Some(alerts) => show(&stack, &alerts, rule),
        None => Err(Error::problem(format!(
            "the command is sent, but nothing has happened within {} s; look again with `tidegate alerts show {device} {}`",
            WAIT.as_secs(),
            rule.name
        ))),
    }
}

/// A wish with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Acknowledge,
    Shelve { until: Micros },
    Unshelve,
}

fn wanted(wish: Wish, now: Micros) -> Result<Wanted> {
    let until = match wish {
        Wish::Acknowledge => return Ok(Wanted::Acknowledge),
        Wish::Unshelve => return Ok(Wanted::Unshelve),
        Wish::Shelve(End::Never) => {
            return Err(Error::negative("an alert is not shelved for ever: say --for 2h, or --until a time"));
        }
        Wish::Shelve(End::In(length)) => now.plus(length.0),
        Wish::Shelve(End::At(when)) => when.micros(jiff::Timestamp::now()),
    };
    if until <= now {
        return Err(Error::negative(format!("{}: {until} has passed", Refusal::NoEnd)));
    }
    if until.0 - now.0 > MAX_SHELF_MICROS {
        return Err(Error::negative(format!("{}: {until} is too far", Refusal::NoEnd)));
    }
    Ok(Wanted::Shelve { until })
}

/// Whether a wish has to be sent.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Send,
    IsSoAlready,
}

/// What the function would say, as far as can be seen from what is stored.
fn answer(wanted: &Wanted, rule: &Rule, alerts: &DeviceAlerts) -> Result<Answer, Refusal> {
    match wanted {
        Wanted::Acknowledge => match phase(alerts, rule) {
            Phase::Active | Phase::Latched => Ok(Answer::Send),
            Phase::Acknowledged => Ok(Answer::IsSoAlready),
            Phase::Normal | Phase::Pending | Phase::Cleared => Err(Refusal::NotStanding),
        },
        Wanted::Shelve { .. } => Ok(Answer::Send),
        Wanted::Unshelve if alerts.shelves().contains_key(&rule.name) => Ok(Answer::Send),
        Wanted::Unshelve => Err(Refusal::NotShelved),
    }
}

/// Whether what was wanted has come about.
fn is_done(wanted: &Wanted, rule: &Rule, alerts: &DeviceAlerts) -> bool {
    match wanted {
        // It may also have cleared by itself meanwhile.
        Wanted::Acknowledge => !matches!(phase(alerts, rule), Phase::Active | Phase::Latched),
        Wanted::Shelve { until } => {
            alerts.shelves().get(&rule.name).is_some_and(|shelf| shelf.until == *until)
        }
        Wanted::Unshelve => !alerts.shelves().contains_key(&rule.name),
    }
}

fn phase(alerts: &DeviceAlerts, rule: &Rule) -> Phase {
    alerts.track(&rule.name).map_or(Phase::Normal, alert::Track::phase)
}

fn refused(refusal: Refusal, rule: &Rule, alerts: &DeviceAlerts) -> Error {
    let (name, device) = (&rule.name, &alerts.device);
    Error::negative(format!("{name} on {device} is {}: {refusal}", phase(alerts, rule).as_str()))
}

/// A message as the function reads it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Body<'a> {
    /// `sent` says of which raise it can be: µs since 1970.
    Acknowledge {
        device: &'a str,
        rule: &'a str,
        by: &'a str,
        sent: i64,
    },
    Shelve {
        device: &'a str,
        rule: &'a str,
        until: i64,
        by: &'a str,
    },
    Unshelve {
        device: &'a str,
        rule: &'a str,
        by: &'a str,
    },
}

impl Wanted {
    fn body(&self, device: &DeviceId, rule: &Rule, by: &str, sent: Micros) -> Result<String> {
        let (device, rule) = (device.as_str(), &*rule.name);
        let body = match *self {
            Self::Acknowledge => Body::Acknowledge { device, rule, by, sent: sent.0 },
            Self::Shelve { until } => Body::Shelve { device, rule, until: until.0, by },
            Self::Unshelve => Body::Unshelve { device, rule, by },
        };
        serde_json::to_string(&body).or_problem(|| "cannot write JSON")
    }
}

async fn send(stack: &Stack, body: &str) -> Result<()> {
    let queue = Queue::new(stack.source.clients.sqs.clone(), stack.source.alert_queue()?);
    let unsent = queue.send(&[Delayed { body: body.to_owned(), seconds: 0 }], patience()).await;
    if unsent.left.is_empty() {
        return Ok(());
    }
    let problem = Error::problem("the command could not be sent");
    Err(match unsent.error {
        Some(error) => problem.caused_by(error),
        None => problem,
    })
}

/// Looks at the item until what was wanted has come about; `None` if it does not in time.
async fn wait(
    stack: &Stack,
    device: &DeviceId,
    rule: &Rule,
    wanted: &Wanted,
) -> Result<Option<DeviceAlerts>> {
    let until = Instant::now() + WAIT;
    while Instant::now() < until {
        sleep(LOOK).await;
        if let Some(alerts) = stack.of(device).await?.filter(|alerts| is_done(wanted, rule, alerts)) {
            return Ok(Some(alerts));
        }
    }
    Ok(None)
}

fn show(stack: &Stack, alerts: &DeviceAlerts, rule: &Rule) -> Result<()> {
    match row_of(alerts, &rule.name, now()) {
        Some(row) => print(&table(&[row], &stack.rules)),
        None => print(&format!("{} on {}: {}\n", rule.name, alerts.device, phase(alerts, rule).as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::explain::tests::{hot, judged};

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn what_cannot_work_is_refused_before_it_is_sent() {
        let check = |values: &[i128], wanted: Wanted, expected: Result<Answer, Refusal>| {
            let (alerts, _) = judged(&[hot()], values);
            assert_eq!(answer(&wanted, &hot(), &alerts), expected, "{values:?} {wanted:?}");
        };
        check(&[60], Wanted::Acknowledge, Ok(Answer::Send));
        check(&[20], Wanted::Acknowledge, Err(Refusal::NotStanding));
        check(&[60, 20], Wanted::Acknowledge, Err(Refusal::NotStanding));
        check(&[20], Wanted::Shelve { until: Micros(1) }, Ok(Answer::Send));
        check(&[60], Wanted::Unshelve, Err(Refusal::NotShelved));
    }

    #[test]
    fn a_wish_is_waited_for_until_it_has_come_about() {
        let (mut alerts, now) = judged(&[hot()], &[60]);
        let shelve = Wanted::Shelve { until: now.plus(HOUR) };
        let is = |alerts: &DeviceAlerts| {
            [Wanted::Acknowledge, shelve, Wanted::Unshelve].map(|wanted| is_done(&wanted, &hot(), alerts))
        };
        assert_eq!(is(&alerts), [false, false, true]);
        alerts.shelve(&hot(), now.plus(HOUR), "n", now).unwrap();
        assert_eq!(is(&alerts), [false, true, false]);
        assert_eq!(answer(&Wanted::Unshelve, &hot(), &alerts), Ok(Answer::Send));
        alerts.acknowledge(&hot(), "n", now).unwrap();
        assert_eq!(is(&alerts), [true, true, false]);
        assert_eq!(answer(&Wanted::Acknowledge, &hot(), &alerts), Ok(Answer::IsSoAlready));
    }

    #[test]
    fn a_shelf_has_an_end_that_lies_ahead_and_not_far() {
        let check = |end: End, expected: Option<i64>| {
            let wanted = wanted(Wish::Shelve(end), Micros(0)).ok();
            assert_eq!(wanted, expected.map(|until| Wanted::Shelve { until: Micros(until) }), "{end:?}");
        };
        check(End::In(Length(2 * HOUR)), Some(2 * HOUR));
        check(End::At(When::At(Micros(HOUR))), Some(HOUR));
        check(End::In(Length(30 * 24 * HOUR)), Some(30 * 24 * HOUR));
        check(End::In(Length(30 * 24 * HOUR + 1)), None);
        check(End::In(Length(0)), None);
        check(End::In(Length(i64::MAX)), None);
        check(End::At(When::At(Micros(-1))), None);
        check(End::Never, None);
    }

    #[test]
    fn messages_are_what_the_function_reads() {
        let check = |wanted: Wanted, expected: &str| {
            let device = DeviceId::from_stored("a/b");
            assert_eq!(wanted.body(&device, &hot(), "n", Micros(5)).unwrap(), expected);
        };
        check(Wanted::Acknowledge, r#"{"acknowledge":{"device":"a/b","rule":"hot","by":"n","sent":5}}"#);
        check(
            Wanted::Shelve { until: Micros(7) },
            r#"{"shelve":{"device":"a/b","rule":"hot","until":7,"by":"n"}}"#,
        );
        check(Wanted::Unshelve, r#"{"unshelve":{"device":"a/b","rule":"hot","by":"n"}}"#);
    }
}
