//! What was seen of each metric, and the rule that is made of it.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use super::times::Times;
use super::{Sent, pattern_of, quoted, stem};
use crate::names::Name;
use crate::reading::Value;
use crate::sample::Sample;

/// Most texts of a metric that are shown.
const MAX_TEXTS: usize = 4;

/// What was seen of a metric, or of several whose names differ in a number.
pub(super) struct Seen {
    /// The name, a star for the number.
    from: String,
    /// One of the names.
    known: Rc<Name>,
    names: BTreeSet<Arc<str>>,
    count: usize,
    range: Option<(f64, f64)>,
    texts: BTreeSet<Arc<str>>,
    /// Whether all its texts are numbers.
    are_numbers: bool,
    has_truth: bool,
    /// The unit that stood beside a value.
    unit: Option<Arc<str>>,
    /// Whether the name without its unit is that of another.
    is_double: bool,
}

/// What was seen of each metric, in the order of their first samples.
pub(super) fn metrics(samples: &[Sent], times: &Times) -> Vec<Seen> {
    let samples = samples.iter().map(|(_, sample)| sample).filter(|sample| !times.is_in(&sample.name.sent));
    let samples: Vec<&Sample> = samples.collect();
    let mut alike: HashMap<String, BTreeSet<&str>> = HashMap::new();
    for sample in &samples {
        alike.entry(starred(&sample.name.sent)).or_default().insert(&sample.name.sent);
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut metrics: Vec<Seen> = Vec::new();
    for sample in samples {
        let starred = starred(&sample.name.sent);
        let is_list = alike.get(&starred).is_some_and(|names| names.len() > 1);
        let from = if is_list { starred } else { sample.name.sent.to_string() };
        let place = *places.entry(from.clone()).or_insert_with(|| {
            metrics.push(Seen::new(from, sample));
            metrics.len() - 1
        });
        if let Some(seen) = metrics.get_mut(place) {
            seen.add(sample);
        }
    }
    let mut taken: BTreeSet<Arc<str>> = metrics
        .iter()
        .filter(|seen| seen.known.unit.is_none())
        .map(|seen| Arc::clone(&seen.known.metric))
        .collect();
    for seen in metrics.iter_mut().filter(|seen| seen.known.unit.is_some()) {
        seen.is_double = !taken.insert(Arc::clone(&seen.known.metric));
    }
    metrics
}

/// A name with a star in place of each number that is a level, or ends one after a colon.
fn starred(name: &str) -> String {
    let level = |level: &str| {
        let stem = stem(level);
        let is_numbered = stem.len() < level.len() && (stem.is_empty() || stem.ends_with(':'));
        if is_numbered { format!("{stem}*") } else { level.to_owned() }
    };
    name.split('.').map(level).collect::<Vec<_>>().join(".")
}

impl Seen {
    fn new(from: String, sample: &Sample) -> Self {
        Self {
            from,
            known: Rc::clone(&sample.name),
            names: BTreeSet::new(),
            count: 0,
            range: None,
            texts: BTreeSet::new(),
            are_numbers: true,
            has_truth: false,
            unit: None,
            is_double: false,
        }
    }

    fn add(&mut self, sample: &Sample) {
        self.count += 1;
        self.names.insert(Arc::clone(&sample.name.sent));
        if let Some((unit, _)) = &sample.unit {
            self.unit = Some(Arc::clone(unit));
        }
        match &sample.value {
            Value::Float(number) => self.widen(*number),
            Value::Integer(number) => self.widen(*number as f64),
            Value::Boolean(_) => self.has_truth = true,
            Value::Text(text) => {
                self.are_numbers &= text.trim().parse::<f64>().is_ok_and(f64::is_finite);
                if self.texts.len() <= MAX_TEXTS {
                    self.texts.insert(Arc::clone(text));
                }
            }
        }
    }

    fn widen(&mut self, number: f64) {
        let (low, high) = self.range.unwrap_or((number, number));
        self.range = Some((low.min(number), high.max(number)));
    }

    /// Its rule, with what is a guess commented out. What is no number needs none, and is a comment altogether.
    pub(super) fn render(&self) -> String {
        let Some(pattern) = pattern_of(&self.from) else {
            return format!("\n# No pattern can name {}.\n", quoted(&self.from));
        };
        let mut text = format!("\n{}", self.remark());
        let Some((low, high)) = self.range else {
            let _ = write!(text, "# [[metric]]\n# from = {}\n", quoted(&pattern));
            return text;
        };
        let _ = write!(text, "[[metric]]\nfrom = {}\n", quoted(&pattern));
        text.push_str(&self.unit_lines());
        let _ = writeln!(text, "# range = [{}, {}]", number(low), number(high));
        text
    }

    fn remark(&self) -> String {
        let mut said = vec![if self.names.len() > 1 {
            format!("{} names, {} values", self.names.len(), self.count)
        } else {
            format!("{} value{}", self.count, if self.count == 1 { "" } else { "s" })
        }];
        if self.has_truth {
            said.push("true or false".to_owned());
        }
        if !self.texts.is_empty() {
            let shown = self.texts.iter().take(MAX_TEXTS).map(|text| quoted(text)).collect::<Vec<_>>();
            let more = if self.texts.len() > MAX_TEXTS { ", …" } else { "" };
            let numbers =
                if self.are_numbers { ", which `numbers_as_text = true` makes numbers of" } else { "" };
            said.push(format!("texts: {}{more}{numbers}", shown.join(", ")));
        }
        format!("# {}\n", said.join("; "))
    }

    fn unit_lines(&self) -> String {
        if let Some(unit) = &self.unit {
            return format!("# Its messages say the unit: {}\n", quoted(unit));
        }
        match (&self.known.unit, self.known.quantity) {
            (Some(unit), _) if !self.is_double && self.names.len() == 1 => {
                format!("name = {}\nunit = {}\n", quoted(&self.known.metric), quoted(&unit.sent))
            }
            (Some(unit), _) => format!("unit = {}\n", quoted(&unit.sent)),
            (None, Some(quantity)) => format!("# unit = \"…\" # of {}\n", quantity.name),
            (None, None) => "# unit = \"…\"\n".to_owned(),
        }
    }
}

/// As TOML writes a number.
fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 { format!("{number:.0}") } else { format!("{number:?}") }
}
