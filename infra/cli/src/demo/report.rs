//! What the demo says in the end.

use std::fmt::Write as _;

use telemetry::Micros;

use super::account::{Account, Evidence};
use super::staging::Performance;
use crate::hints::{Hints, columns};
use crate::table::Table;

/// Stored readings shown of each device.
const SHOWN_READINGS: usize = 3;

/// Metrics shown of a shadow.
const SHOWN_METRICS: usize = 4;

/// Lost messages named, of what may be thousands.
const SHOWN_MISSING: usize = 10;

/// The table, some readings, the reasons in quarantine, and how to look further.
pub(crate) fn render(
    account: &Account,
    evidence: &Evidence,
    performance: &Performance,
    hints: &Hints,
    stays: bool,
) -> String {
    let mut text = format!("\n{}", sums(account));
    for (sentence, count) in &account.astray {
        let _ = writeln!(text, "{count} messages {sentence}");
    }
    for (topic, seq) in account.missing.iter().take(SHOWN_MISSING) {
        let _ = writeln!(text, "lost: message {seq} on {topic}");
    }
    let _ = write!(text, "\nThe last readings stored of each device:\n\n{}", readings(evidence));
    let _ = write!(text, "\nWhat is in quarantine, and why:\n\n{}", reasons(account));
    let _ = write!(
        text,
        "\nAlerts, as somebody heard them who listens over MQTT (silence is looked for, here once and on AWS every minute):\n\n{}",
        alerts(performance)
    );
    let _ = write!(text, "\nWhat the devices' shadows show:\n\n{}", shadows(performance));
    let _ = write!(text, "\n{}", further(evidence, hints, stays));
    text
}

/// The one sentence that tells why the demo has failed.
pub(crate) fn verdict(account: &Account) -> String {
    if account.is_settled() {
        "every message arrived, but not all of them as they should have: see above".to_owned()
    } else {
        format!(
            "of {} messages {} are still in flight and {} are lost",
            account.published,
            account.in_flight(),
            account.lost
        )
    }
}

fn sums(account: &Account) -> String {
    let mut table = Table::new(["", "messages", "readings"]);
    let mut row = |name: &str, messages: usize, readings: Option<usize>| {
        table.push([
            name.to_owned(),
            messages.to_string(),
            readings.map_or(String::new(), |count| count.to_string()),
        ]);
    };
    row("published", account.published, None);
    row("stored", account.stored, Some(account.readings));
    row("quarantined", account.quarantined, None);
    row("still in flight", account.in_flight(), None);
    for (queue, count) in &account.in_flight {
        row(&format!("  {queue}"), *count, None);
    }
    row("lost", account.lost, None);
    row("stored twice", 0, Some(account.surplus));
    table.render()
}

fn readings(evidence: &Evidence) -> String {
    let mut table = Table::new(["device", "at", "metric", "value", "time from"]);
    let mut devices: Vec<_> = evidence.readings.iter().collect();
    devices.sort_by_key(|(device, _)| *device);
    for (device, readings) in devices {
        for reading in &readings[readings.len().saturating_sub(SHOWN_READINGS)..] {
            let (at, value) = (reading.at.to_string(), reading.value.to_string());
            table.push([
                device.to_string(),
                at,
                reading.metric.to_string(),
                value,
                reading.time_source.to_string(),
            ]);
        }
    }
    table.render()
}

fn reasons(account: &Account) -> String {
    let mut table = Table::new(["messages", "code", "reason"]);
    for ((code, reason), count) in &account.reasons {
        table.push([count.to_string(), code.clone(), reason.clone()]);
    }
    table.render()
}

fn alerts(performance: &Performance) -> String {
    let mut table = Table::new(["device", "alert", "state", "value", "at", "heard after"]);
    for heard in &performance.heard {
        let text = |name: &str| heard.document[name].as_str().unwrap_or_default().to_owned();
        let at = Micros::from_rfc3339(&text("at")).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "seconds with a decimal")]
        let seconds = (heard.at.0 - at.0) as f64 / 1e6;
        let value = &heard.document["value"];
        table.push([
            text("device"),
            text("rule"),
            text("state"),
            if value.is_null() { String::new() } else { value.to_string() },
            text("at"),
            format!("{seconds:.1} s"),
        ]);
    }
    table.render()
}

fn shadows(performance: &Performance) -> String {
    let mut table = Table::new(["device", "connected", "alert", "metrics"]);
    for (device, shadow) in &performance.shadows {
        let connected = match shadow["connection"]["online"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let alert = shadow["alert"]["rule"].as_str().unwrap_or_default();
        let metrics = shadow["metrics"].as_object();
        let shown = metrics.into_iter().flatten().take(SHOWN_METRICS);
        let shown: Vec<String> = shown
            .map(|(name, metric)| format!("{name} {}", shortened(&metric["value"].to_string())))
            .collect();
        let more = metrics.map_or(0, serde_json::Map::len).saturating_sub(SHOWN_METRICS);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        table.push([device.clone(), connected.to_owned(), alert.to_owned(), shown.join(", ") + &more]);
    }
    table.render()
}

fn shortened(text: &str) -> String {
    text.chars().take(24).collect()
}

fn further(evidence: &Evidence, hints: &Hints, stays: bool) -> String {
    let device = evidence.readings.keys().min().map_or_else(String::new, ToString::to_string);
    let mut rows = Vec::new();
    if !stays {
        rows.push((hints.make("up"), "a local cloud that stays; then the demo again:"));
        rows.push((hints.make("demo"), ""));
    }
    rows.push((hints.tidegate("devices"), "the devices and their latest values"));
    rows.push((hints.tidegate(&format!("query {device} --from -15m")), "what one of them has sent"));
    rows.push((
        hints.tidegate(&format!("query {device} --metric seq --format json")),
        "one metric, for scripts",
    ));
    rows.push((hints.tidegate("lake ls"), "the same readings as Parquet in S3"));
    rows.push((hints.tidegate("lake verify today"), "whether they are all there"));
    rows.push((hints.tidegate("alerts list --all"), "what stands, and what has cleared"));
    rows.push((hints.tidegate("alerts explain plant-1/furnace-1 demo-furnace-hot"), "how it came to this"));
    rows.push((hints.make("down"), "ends the local cloud"));
    format!("To look further:\n\n{}", columns(&rows))
}
