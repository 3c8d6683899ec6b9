//! `tidegate alerts list`: what stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use alert::{DeviceAlerts, Phase, RuleSet, Severity, Told};
use serde::Serialize;
use telemetry::Micros;

use super::{Stack, is_gone, now, words};
use crate::aws::patience;
use crate::console::{note, print};
use crate::error::{Context as _, Result};
use crate::query::json_lines;
use crate::table::Table;
use crate::target::Target;

/// Items that are read at a time, each up to 400 KB.
const MAX_ITEMS: usize = 100;

/// Prints what stands or is shelved, worst first: a table, or one object a line. With `all` also what has cleared and
/// is still told.
///
/// # Errors
/// If it cannot be read.
pub async fn list(target: &Target, all: bool, as_json: bool) -> Result<()> {
    let stack = Stack::open(target).await?;
    let now = now();
    let devices = stack.alerts.standing(patience()).await.or_problem(|| "cannot read the alerts table")?;
    let mut rows = Vec::new();
    for chunk in devices.chunks(MAX_ITEMS) {
        let items =
            stack.alerts.get(chunk, patience()).await.or_problem(|| "cannot read the alerts table")?;
        for (device, item) in items {
            match DeviceAlerts::from_item(&item, &stack.rules) {
                Ok(alerts) => rows.extend(rows_of(&alerts, now)),
                Err(error) => note(&format!("cannot understand what is stored of {device}: {error}")),
            }
        }
    }
    rows.retain(|row| all || row.is_open);
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
    if rows.is_empty() {
        note("nothing stands");
    }
    print(&if as_json { json_lines(rows)? } else { table(&rows, &stack.rules) })
}

/// How an alert stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    device: String,
    rule: String,
    #[serde(skip)]
    rank: Severity,
    severity: &'static str,
    /// Where it stands, whether or not it is shelved.
    state: String,
    unstable: bool,
    shelved_until: Option<String>,
    shelved_by: Option<String>,
    /// When it was raised, in the readings' own time.
    since: String,
    message: String,
    #[serde(skip)]
    is_open: bool,
    #[serde(skip)]
    since_micros: Micros,
}

impl Row {
    fn order(&self) -> impl Ord + '_ {
        (std::cmp::Reverse(self.rank), self.since_micros, &self.device, &self.rule)
    }
}

/// How each alert of a device stands that is told or shelved.
pub(super) fn rows_of(alerts: &DeviceAlerts, now: Micros) -> Vec<Row> {
    let rules: BTreeSet<&Arc<str>> = alerts.told().keys().chain(alerts.shelves().keys()).collect();
    rules.into_iter().filter_map(|rule| row_of(alerts, rule, now)).collect()
}

/// How an alert stands; `None` where nothing is told of it.
pub(super) fn row_of(alerts: &DeviceAlerts, rule: &str, now: Micros) -> Option<Row> {
    let told: &Told = alerts.told().get(rule)?;
    // A shelf whose time is over is taken away within a minute.
    let shelf = alerts.shelves().get(rule).filter(|shelf| shelf.until > now);
    let track = alerts.track(rule);
    let phase = track.map(|track| track.phase());
    let is_open = shelf.is_some() || phase.map_or_else(|| stands(&told.state), Phase::stands);
    // While it is shelved, what is told says nothing of what has been raised meanwhile.
    let last = track.filter(|track| track.phase().stands()).and_then(|track| track.history().next_back());
    let since = last.map_or(told.since, |transition| transition.since);
    Some(Row {
        device: alerts.device.to_string(),
        rule: rule.to_owned(),
        rank: told.severity,
        severity: told.severity.as_str(),
        state: phase.map_or_else(|| told.state.clone(), |phase| phase.as_str().to_owned()),
        unstable: track.is_some_and(|track| track.machine().is_unstable()),
        shelved_until: shelf.map(|shelf| shelf.until.to_string()),
        shelved_by: shelf.map(|shelf| shelf.by.clone()),
        since: since.to_string(),
        message: told.message.clone(),
        is_open,
        since_micros: since,
    })
}

fn stands(state: &str) -> bool {
    [Phase::Active, Phase::Acknowledged, Phase::Latched].iter().any(|phase| phase.as_str() == state)
}

/// The state as people read it.
pub(super) fn state(row: &Row) -> String {
    let unstable = if row.unstable { ", unstable" } else { "" };
    let shelf = row.shelved_until.as_ref().map_or(String::new(), |until| format!(", shelved until {until}"));
    format!("{}{unstable}{shelf}", row.state)
}

pub(super) fn table(rows: &[Row], rules: &RuleSet) -> String {
    let mut table = Table::new(["device", "rule", "severity", "state", "since", "message"]);
    for row in rows {
        let gone = if is_gone(&row.rule, rules) { " (the rule has gone)" } else { "" };
        table.push([
            row.device.clone(),
            format!("{}{gone}", row.rule),
            row.severity.to_owned(),
            state(row),
            words::time(row.since_micros),
            row.message.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::explain::tests::{hot, judged, rule};

    #[test]
    fn what_stands_is_listed_worst_first() {
        let info = rule("cold", "info", "condition = { metric = \"t\", above = 10 }");
        let (mut alerts, start) = judged(&[hot(), info], &[60, 70]);
        let now = start.plus(60_000_000);
        let mut rows = rows_of(&alerts, now);
        rows.sort_by(|a, b| a.order().cmp(&b.order()));
        assert_eq!(
            table(&rows, &RuleSet::new([Arc::new(hot())])),
            "device  rule                      severity  state   since                 message\n\
             a/b     hot                       critical  active  2026-11-23T07:00:00Z  m\n\
             a/b     cold (the rule has gone)  info      active  2026-11-23T07:00:00Z  m\n"
        );
        alerts.shelve(&hot(), now.plus(1_000_000), "n", now).unwrap();
        let shelved = row_of(&alerts, "hot", now).unwrap();
        assert_eq!(state(&shelved), "active, shelved until 2026-11-23T07:01:01Z");
        assert!(shelved.is_open);
        assert_eq!(state(&row_of(&alerts, "hot", now.plus(2_000_000)).unwrap()), "active");
        assert!(row_of(&alerts, "unheard-of", now).is_none());
    }

    #[test]
    fn what_has_cleared_is_told_and_not_open() {
        let (alerts, start) = judged(&[hot()], &[60, 20]);
        let rows = rows_of(&alerts, start);
        assert_eq!((rows[0].state.as_str(), rows[0].is_open), ("cleared", false));
    }
}
