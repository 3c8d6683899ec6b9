//! Metrics become samples.

use std::sync::Arc;

use super::birth::{Birth, extend_path, unit_of};
use super::message::{DataSet, ElementValue, Metric, PropertyValue, Value as Sent};
use super::value::{self, Measured};
use crate::format::Context;
use crate::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES};
use crate::reading::{Quality, TimeSource, Value};
use crate::reject::Reject;
use crate::sample::{Basis, Payload, Sample, SentTime};
use crate::time::Micros;
use crate::unit::Dialect;

/// Metrics that are commands, or the session's own: they say nothing of the world.
const COMMANDS: [&str; 2] = ["Node Control.", "Device Control."];
pub(super) const BIRTH_DEATH_NUMBER: &str = "bdSeq";

/// The property that says how far a value can be trusted (Sparkplug 3.0.0, 6.4.13, "Quality codes").
const QUALITY: &str = "Quality";

/// Adds samples to a payload.
pub(super) struct Writer<'s, 'c> {
    /// What is known of the metrics.
    pub(super) birth: &'s Birth,
    pub(super) context: &'s mut Context<'c>,
    pub(super) payload: &'s mut Payload,
}

/// What holds for a metric, in whatever it is nested.
#[derive(Clone, Default)]
struct Facts {
    time: Option<SentTime>,
    quality: Quality,
    unit: Option<Arc<str>>,
}

impl Writer<'_, '_> {
    /// Adds what `metrics` say, which were sent at `timestamp`, in milliseconds since 1970.
    ///
    /// # Errors
    /// If one of them is not known, or no value.
    pub(super) fn add(&mut self, metrics: &[Metric], timestamp: Option<u64>) -> Result<(), Reject> {
        let facts = Facts { time: timestamp.map(sent_time), ..Facts::default() };
        let mut path = std::mem::take(&mut self.payload.path);
        let outcome = self.add_metrics(metrics, "", &facts, MAX_DEPTH, &mut path);
        self.payload.path = path;
        outcome
    }

    fn add_metrics(
        &mut self,
        metrics: &[Metric],
        prefix: &str,
        outer: &Facts,
        depth: usize,
        path: &mut String,
    ) -> Result<(), Reject> {
        let depth = depth.checked_sub(1).ok_or(Reject::Depth)?;
        let birth = self.birth;
        for metric in metrics {
            let name = metric.name.as_deref().unwrap_or_default();
            path.clear();
            let known = match metric.alias {
                Some(alias) if name.is_empty() => {
                    let known = birth.by_alias(alias).ok_or(Reject::SparkplugAlias)?;
                    path.push_str(&known.path);
                    Some(known)
                }
                _ => {
                    extend_path(path, prefix, name)?;
                    birth.by_path(path)
                }
            };
            if metric.is_null == Some(true) || is_control(path) {
                continue;
            }
            let Some(sent) = &metric.value else { continue };
            let facts = Facts {
                time: metric.timestamp.map(sent_time).or(outer.time),
                quality: outer.quality.max(quality(metric)),
                unit: unit_of(metric).map(Arc::from).or_else(|| known?.unit.clone()),
            };
            if metric.is_historical == Some(true)
                && facts.time.is_none_or(|time| !self.context.clock.accepts(time.at))
            {
                return Err(Reject::TimeRange);
            }
            if let Sent::Template(template) = sent {
                if template.is_definition != Some(true) {
                    let prefix = path.clone();
                    self.add_metrics(&template.metrics, &prefix, &facts, depth, path)?;
                }
                continue;
            }
            if self.is_ignored(path) {
                continue;
            }
            let datatype = metric.datatype.or_else(|| known?.datatype);
            self.add_value(path, sent, datatype, &facts)?;
        }
        Ok(())
    }

    /// What a profile leaves out need not be of a kind that can be stored.
    fn is_ignored(&self, path: &str) -> bool {
        self.context.profile.is_some_and(|profile| profile.ignores(path))
    }

    fn add_value(
        &mut self,
        path: &mut String,
        sent: &Sent,
        datatype: Option<u32>,
        facts: &Facts,
    ) -> Result<(), Reject> {
        // Without its type it cannot be told whether an integer is negative.
        let integer =
            |bits: u64| datatype.map(|datatype| value::integer(bits, datatype)).ok_or(Reject::SparkplugAlias);
        let measured = match sent {
            Sent::Int(bits) => integer((*bits).into())?,
            Sent::Long(bits) => integer(*bits)?,
            Sent::Float(number) => value::float(*number),
            Sent::Double(number) => value::double(*number),
            Sent::Boolean(flag) => (Value::Boolean(*flag), Quality::Good),
            Sent::String(text) => value::text(text)?,
            Sent::Bytes(bytes) => match value::array(bytes, datatype.unwrap_or_default())? {
                Some(elements) => return self.add_array(path, elements, facts),
                None => value::bytes(bytes)?,
            },
            Sent::DataSet(table) => return self.add_table(path, table, facts),
            Sent::Template(_) => return Ok(()),
        };
        self.push(path, measured, facts)
    }

    /// Adds elements under their numbers, as those of every list are.
    fn add_array(&mut self, path: &mut String, elements: Vec<Measured>, facts: &Facts) -> Result<(), Reject> {
        for (place, element) in elements.into_iter().enumerate() {
            self.push_below(path, &place.to_string(), element, facts)?;
        }
        Ok(())
    }

    /// Adds a table's cells as `{name}.{row}.{column}`.
    fn add_table(&mut self, path: &mut String, table: &DataSet, facts: &Facts) -> Result<(), Reject> {
        for (place, row) in table.rows.iter().enumerate() {
            if row.elements.len() > table.columns.len() {
                return Err(Reject::NotSparkplug("a data set has a row of more elements than columns"));
            }
            for (column, element) in row.elements.iter().enumerate() {
                let datatype = table.types.get(column).copied().unwrap_or_default();
                let measured = match &element.value {
                    None => continue,
                    Some(ElementValue::Int(bits)) => value::integer((*bits).into(), datatype),
                    Some(ElementValue::Long(bits)) => value::integer(*bits, datatype),
                    Some(ElementValue::Float(number)) => value::float(*number),
                    Some(ElementValue::Double(number)) => value::double(*number),
                    Some(ElementValue::Boolean(flag)) => (Value::Boolean(*flag), Quality::Good),
                    Some(ElementValue::String(text)) => value::text(text)?,
                };
                let name = format!("{place}.{}", table.columns[column].replace('/', "."));
                self.push_below(path, &name, measured, facts)?;
            }
        }
        Ok(())
    }

    fn push_below(
        &mut self,
        path: &mut String,
        name: &str,
        measured: Measured,
        facts: &Facts,
    ) -> Result<(), Reject> {
        let end = path.len();
        if end + 1 + name.len() > MAX_NAME_BYTES {
            return Err(Reject::LongName);
        }
        path.push('.');
        path.push_str(name);
        let outcome = self.push(path, measured, facts);
        path.truncate(end);
        outcome
    }

    fn push(&mut self, path: &str, (value, quality): Measured, facts: &Facts) -> Result<(), Reject> {
        if self.payload.samples.len() == MAX_SAMPLES {
            return Err(Reject::Samples);
        }
        let name = self.context.names.get(path, self.context.profile);
        let has_unit = matches!(value, Value::Integer(_) | Value::Float(_));
        let unit = facts.unit.clone().filter(|_| has_unit).map(|unit| (unit, Dialect::Written));
        let quality = quality.max(facts.quality);
        // Metrics of one name and time are told apart by their order.
        let element = u32::try_from(self.payload.samples.len() + 1).unwrap_or(u32::MAX);
        let sample = Sample { quality, unit, time: facts.time, element, ..Sample::new(name, value, 0) };
        self.payload.samples.push(sample);
        Ok(())
    }
}

fn is_control(path: &str) -> bool {
    path == BIRTH_DEATH_NUMBER || COMMANDS.iter().any(|command| path.starts_with(command))
}

/// A time in milliseconds since 1970.
fn sent_time(millis: u64) -> SentTime {
    let at = i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1_000);
    SentTime { at: Micros(at), source: TimeSource::Format, basis: Basis::Epoch }
}

/// What the property says: 192 is good, 0 bad, 500 stale, and in between lie those that OPC has beside good.
fn quality(metric: &Metric) -> Quality {
    let code = match metric.property(QUALITY) {
        Some(PropertyValue::Int(code)) => (*code).into(),
        Some(PropertyValue::Long(code)) => *code,
        Some(PropertyValue::String(_)) | None => return Quality::Good,
    };
    match code {
        192..=255 => Quality::Good,
        0..64 => Quality::Bad,
        _ => Quality::Uncertain,
    }
}
