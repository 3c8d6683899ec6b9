//! When devices were last heard of: the devices table, read as a whole, segment by segment.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use telemetry::attribute::{Attribute, Item};
use telemetry::{DeviceId, Metric, Micros};

use crate::attribute::to_item;
use crate::error::Error;
use crate::retry::{Deadline, until};

/// An expression has at most 4 KB (Amazon DynamoDB quotas); beyond so many metrics all of them are asked for.
const MAX_NAMED_METRICS: usize = 100;

/// Reads when devices were last heard of.
#[derive(Debug, Clone)]
pub struct LastHeard {
    client: Client,
    table: String,
}

/// When one device was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The device.
    pub device: DeviceId,
    /// When the broker received its last message.
    pub last_seen: Micros,
    /// The name of the profile that this was read by, if that was asked for and there is one.
    pub profile: Option<String>,
    /// When it received the last reading of each metric, of those that were asked for and the device has.
    pub metrics: HashMap<String, Micros>,
}

/// What is asked for of each device, beside when it was last seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Metrics whose times are read.
    pub metrics: &'a [Metric],
    /// Whether the name of its profile is read.
    pub profile: bool,
}

/// A segment of the table, page by page.
#[derive(Debug)]
pub struct Segment<'a> {
    table: &'a LastHeard,
    asked: Asked<'a>,
    segment: i32,
    segments: i32,
    start: Option<HashMap<String, AttributeValue>>,
    is_done: bool,
}

impl LastHeard {
    /// In the devices table called `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The table in so many segments, to be read at the same time; each device is in one of them.
    pub fn segments<'a>(&'a self, segments: i32, asked: Asked<'a>) -> impl Iterator<Item = Segment<'a>> + 'a {
        let segment =
            move |segment| Segment { table: self, asked, segment, segments, start: None, is_done: false };
        (0..segments).map(segment)
    }
}

impl Segment<'_> {
    /// The next page, eventually consistent; `None` after the last.
    ///
    /// # Errors
    /// If the table cannot be read until the deadline.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<Vec<Heard>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let (projection, names) = projection(self.asked);
        let page = until("Scan", deadline, async || {
            let scan = self.table.client.scan().table_name(&self.table.table);
            let scan = scan.segment(self.segment).total_segments(self.segments);
            let scan = scan.projection_expression(&projection).set_expression_attribute_names(names.clone());
            let scan = scan.set_exclusive_start_key(self.start.clone());
            Box::pin(scan.send()).await.map_err(|error| Error::from_sdk("Scan", error))
        });
        let page = page.await?;
        let devices = page.items().iter().filter_map(|item| Heard::from_item(&to_item(item))).collect();
        self.start = page.last_evaluated_key;
        self.is_done = self.start.is_none();
        Ok(Some(devices))
    }
}

/// What is asked for, and the names in it: of each metric its time alone, since a device may have thousands.
fn projection(asked: Asked<'_>) -> (String, Option<HashMap<String, String>>) {
    let metrics = asked.metrics;
    let mut projection = "device, last_seen".to_owned();
    if asked.profile {
        projection.push_str(", profile");
    }
    if metrics.len() > MAX_NAMED_METRICS {
        projection.push_str(", latest");
        return (projection, None);
    }
    let mut names = HashMap::with_capacity(metrics.len());
    for (index, metric) in metrics.iter().enumerate() {
        let name = format!("#{index}");
        projection.push_str(&format!(", latest.{name}.received"));
        names.insert(name, metric.to_string());
    }
    (projection, Some(names).filter(|names| !names.is_empty()))
}

impl Heard {
    /// `None` for what is no device.
    fn from_item(item: &Item) -> Option<Self> {
        let received = |(metric, latest): (&String, &Attribute)| {
            Some((metric.clone(), Micros(latest.as_m()?.get("received")?.as_i64()?)))
        };
        let latest = item.get("latest").and_then(Attribute::as_m);
        Some(Self {
            device: DeviceId::from_stored(item.get("device")?.as_s()?),
            last_seen: Micros(item.get("last_seen")?.as_i64()?),
            profile: item.get("profile").and_then(Attribute::as_s).map(str::to_owned),
            metrics: latest.into_iter().flatten().filter_map(received).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_read() {
        let metrics = |count: usize| -> Vec<Metric> { (0..count).map(|n| format!("m.{n}").into()).collect() };
        let projection = |metrics: &[Metric]| projection(Asked { metrics, profile: false });
        assert_eq!(projection(&[]), ("device, last_seen".to_owned(), None));
        let with_profile = super::projection(Asked { profile: true, ..Asked::default() });
        assert_eq!(with_profile, ("device, last_seen, profile".to_owned(), None));
        let (text, names) = projection(&metrics(2));
        assert_eq!(text, "device, last_seen, latest.#0.received, latest.#1.received");
        assert_eq!(names.unwrap()["#1"], "m.1");
        let (longest, names) = projection(&metrics(MAX_NAMED_METRICS));
        assert!(longest.len() < 4_096, "{} bytes", longest.len());
        assert_eq!(names.unwrap().len(), MAX_NAMED_METRICS);
        assert_eq!(
            projection(&metrics(MAX_NAMED_METRICS + 1)),
            ("device, last_seen, latest".to_owned(), None)
        );
    }

    #[test]
    fn items_are_read_leniently() {
        let check = |item: &str, expected: Option<(i64, &[(&str, i64)])>| {
            let heard = Heard::from_item(&serde_json::from_str(item).unwrap());
            let expected = expected.map(|(last_seen, metrics)| Heard {
                device: DeviceId::from_stored("s/d"),
                last_seen: Micros(last_seen),
                profile: None,
                metrics: metrics.iter().map(|(name, at)| ((*name).to_owned(), Micros(*at))).collect(),
            });
            assert_eq!(heard, expected, "{item}");
        };
        check(r#"{"device": {"S": "s/d"}, "last_seen": {"N": "5"}}"#, Some((5, &[])));
        check(
            r#"{"device": {"S": "s/d"}, "last_seen": {"N": "5"},
                "latest": {"M": {"a": {"M": {"received": {"N": "3"}}}, "b": {"M": {}}, "c": {"S": "x"}}}}"#,
            Some((5, &[("a", 3)])),
        );
        check(r#"{"device": {"S": "s/d"}}"#, None);
        check(r#"{"last_seen": {"N": "5"}}"#, None);
    }
}
