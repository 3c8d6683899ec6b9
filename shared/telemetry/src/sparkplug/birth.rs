//! What births say of the metrics: names, datatypes and units, which later messages leave out.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::message::{Metric, PropertyValue, Value};
use crate::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES};
use crate::reject::Reject;

/// Longest document of a birth, in bytes: an item of DynamoDB has no more than 400 KB.
const MAX_DOCUMENT_BYTES: usize = 350_000;

/// The metrics of a node or a device.
#[derive(Debug, Default)]
pub(super) struct Birth {
    /// It as it is stored.
    document: String,
    metrics: Vec<Known>,
    by_alias: HashMap<u64, usize, RandomState>,
    by_path: HashMap<Box<str>, usize, RandomState>,
}

/// A metric, as its birth has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Its name, levels joined by dots.
    #[serde(rename = "name")]
    pub(super) path: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alias: Option<u64>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(super) datatype: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<Arc<str>>,
}

/// A birth as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    metrics: Vec<Known>,
}

impl Birth {
    /// What the metrics of a birth say.
    ///
    /// # Errors
    /// If a name is none, if one name or alias stands for two, or if there are more than can be kept.
    pub(super) fn of(metrics: &[Metric]) -> Result<Self, Reject> {
        let mut known = Vec::with_capacity(metrics.len());
        collect(metrics, "", MAX_DEPTH, &mut known)?;
        let document = Document { metrics: known };
        #[expect(clippy::expect_used, reason = "maps with text keys, written to memory: nothing can fail")]
        let text = serde_json::to_string(&document).expect("a birth is JSON");
        let birth = Self::of_known(document.metrics, text);
        if birth.by_alias.len() < birth.metrics.iter().filter(|known| known.alias.is_some()).count() {
            return Err(Reject::NotSparkplug("a birth gives one alias to two metrics"));
        }
        if birth.by_path.len() < birth.metrics.len() {
            return Err(Reject::NotSparkplug(
                "a birth has two metrics of one name, levels parted by '/' or '.'",
            ));
        }
        if birth.document.len() > MAX_DOCUMENT_BYTES {
            return Err(Reject::NotSparkplug("a birth has more names than can be kept"));
        }
        Ok(birth)
    }

    fn of_known(metrics: Vec<Known>, document: String) -> Self {
        let places = || metrics.iter().enumerate();
        let by_alias = places().filter_map(|(place, known)| Some((known.alias?, place))).collect();
        let by_path = places().map(|(place, known)| (known.path.clone(), place)).collect();
        Self { document, metrics, by_alias, by_path }
    }

    /// Reads it as it is stored.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let document: Document = serde_json::from_str(text).ok()?;
        Some(Self::of_known(document.metrics, text.to_owned()))
    }

    /// It as it is stored.
    pub(super) fn to_json(&self) -> String {
        self.document.clone()
    }

    pub(super) fn by_alias(&self, alias: u64) -> Option<&Known> {
        self.by_alias.get(&alias).map(|place| &self.metrics[*place])
    }

    pub(super) fn by_path(&self, path: &str) -> Option<&Known> {
        self.by_path.get(path).map(|place| &self.metrics[*place])
    }

    /// How long it is as it is stored, in bytes.
    pub(super) fn size(&self) -> usize {
        self.document.len()
    }
}

/// Adds `metrics`, and those within their templates, whose names begin with `prefix`.
fn collect(metrics: &[Metric], prefix: &str, depth: usize, known: &mut Vec<Known>) -> Result<(), Reject> {
    let depth = depth.checked_sub(1).ok_or(Reject::Depth)?;
    for metric in metrics {
        let name = metric.name.as_deref().unwrap_or_default();
        let mut path = String::with_capacity(prefix.len() + name.len());
        extend_path(&mut path, prefix, name)?;
        if let Some(Value::Template(template)) = &metric.value {
            collect(&template.metrics, &path, depth, known)?;
        }
        if known.len() == MAX_SAMPLES {
            return Err(Reject::Samples);
        }
        known.push(Known {
            alias: metric.alias,
            datatype: metric.datatype,
            unit: unit_of(metric).map(Arc::from),
            path: path.into(),
        });
    }
    Ok(())
}

/// Makes `path` the metric that a name becomes: its levels, which Sparkplug parts by slashes, joined by dots as all
/// nested names are.
pub(super) fn extend_path(path: &mut String, prefix: &str, name: &str) -> Result<(), Reject> {
    if name.is_empty() {
        return Err(Reject::EmptyName);
    }
    path.push_str(prefix);
    if !prefix.is_empty() {
        path.push('.');
    }
    if path.len() + name.len() > MAX_NAME_BYTES {
        return Err(Reject::LongName);
    }
    path.extend(name.chars().map(|c| if c == '/' { '.' } else { c }));
    Ok(())
}

/// The unit that a metric's properties say: the name of the property is Ignition's, and what others follow.
pub(super) fn unit_of(metric: &Metric) -> Option<&str> {
    match metric.property("engUnit")? {
        PropertyValue::String(unit) => Some(unit).filter(|unit| !unit.is_empty()).map(String::as_str),
        PropertyValue::Int(_) | PropertyValue::Long(_) => None,
    }
}
