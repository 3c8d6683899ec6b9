//! Where the times of messages stand, and how they are written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::civil::DateTime;

use super::{MAX_AGE, MAX_AHEAD, Sent, pattern_of, quoted};
use crate::names::TIME_NAMES;
use crate::reading::Value;
use crate::time::Micros;

/// Where its times stand.
#[derive(Default)]
pub(super) struct Times {
    /// The name, and what its values are.
    field: Option<(Arc<str>, Written)>,
    /// Whether it is taken for a time without a word.
    is_known: bool,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Written {
    Epoch(&'static str),
    Text,
    /// Without a zone.
    Local,
}

impl Times {
    /// `plain`: the samples as they are read without a profile; `all`: with those that are times.
    pub(super) fn find(plain: &[Sent], all: &[Sent], received: Micros) -> Self {
        let mut candidates: BTreeMap<Arc<str>, Option<Written>> = BTreeMap::new();
        for (_, sample) in all {
            let written = written(&sample.value, received);
            let known = candidates.entry(Arc::clone(&sample.name.sent)).or_insert(written);
            if *known != written {
                *known = None;
            }
        }
        // Of each message all samples, or none: a time that only some of them get is still to be named.
        let messages = || plain.chunk_by(|(a, _), (b, _)| a == b);
        let has_time = |(_, sample): &Sent| sample.time.is_some();
        let is_known = plain.iter().any(has_time)
            && messages().all(|message| message.iter().all(has_time) || !message.iter().any(has_time));
        let candidates =
            candidates.into_iter().filter_map(|(name, written)| Some((rank(&name), name, written?)));
        let mut candidates: Vec<_> = candidates.filter(|(rank, ..)| !is_known || rank.is_some()).collect();
        candidates.sort_by_key(|(rank, name, written)| {
            (rank.unwrap_or(usize::MAX), *written == Written::Local, name.len())
        });
        let field = candidates.into_iter().next().map(|(_, name, written)| (name, written));
        Self { field, is_known }
    }

    pub(super) fn render(&self) -> String {
        let Some((name, written)) = &self.field else {
            return if self.is_known {
                String::new()
            } else {
                "\n# No time was found: readings get the time of their arrival.\n".to_owned()
            };
        };
        if self.is_known {
            return format!("\n# Its times stand in {}, which needs no word.\n", quoted(name));
        }
        let mut text = "\n[time]\n".to_owned();
        let needs_word = rank(name).is_none() || name.contains('.');
        if let Some(pattern) = pattern_of(name).filter(|_| needs_word) {
            let _ = writeln!(text, "field = {}", quoted(&pattern));
        }
        match written {
            Written::Epoch(unit) => drop(writeln!(text, "# unit = \"{unit}\"")),
            Written::Local => text.push_str("# They are written without a zone, and are texts until you say which it is.\n# zone = \"Europe/Berlin\"\n"),
            Written::Text => {}
        }
        text
    }

    pub(super) fn is_in(&self, name: &str) -> bool {
        self.field.as_ref().is_some_and(|(field, _)| **field == *name)
    }
}

/// Whether a member of a document is a time of the last years.
pub(super) fn looks_like_time(value: &serde_json::Value, received: Micros) -> bool {
    let value = match value {
        serde_json::Value::String(text) => Value::Text(text.as_str().into()),
        serde_json::Value::Number(number) => {
            match (number.as_i64(), number.as_f64().and_then(Value::from_f64)) {
                (Some(count), _) => Value::Integer(count.into()),
                (None, Some(count)) => count,
                (None, None) => return false,
            }
        }
        _ => return false,
    };
    written(&value, received).is_some()
}

/// How telling a name is, if it is one that times stand under.
fn rank(name: &str) -> Option<usize> {
    let last = name.rsplit('.').next()?;
    TIME_NAMES.iter().position(|known| known.eq_ignore_ascii_case(last))
}

/// How a value is written, if it is a time of the last years.
fn written(value: &Value, received: Micros) -> Option<Written> {
    let is_recent = |at: &Micros| *at >= received.plus(-MAX_AGE) && *at <= received.plus(MAX_AHEAD);
    match value {
        Value::Text(text) if Micros::from_rfc3339(text).is_some() => Some(Written::Text),
        Value::Text(text) => {
            let is_local = text.len() >= 16 && text.contains('-') && text.contains(':');
            (is_local && text.parse::<DateTime>().is_ok()).then_some(Written::Local)
        }
        Value::Integer(count) => {
            let at = Micros::from_epoch(*count).filter(is_recent)?;
            Some(Written::Epoch(epoch_unit(at, *count as f64)))
        }
        Value::Float(count) => {
            let at = Micros::from_epoch_fraction(*count).filter(is_recent)?;
            Some(Written::Epoch(epoch_unit(at, *count)))
        }
        Value::Boolean(_) => None,
    }
}

/// What a count has counted to come to this time.
fn epoch_unit(at: Micros, count: f64) -> &'static str {
    let per_second = count / (at.0 as f64 / 1e6);
    match per_second {
        ..10.0 => "s",
        ..10_000.0 => "ms",
        ..10_000_000.0 => "us",
        _ => "ns",
    }
}
