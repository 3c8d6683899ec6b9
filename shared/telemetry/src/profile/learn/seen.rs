//! What was seen of each metric, and the rule that is made of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use super::times::Times;
use super::{MAX_RULES, Sent, pattern_of, quoted, stem};
use crate::format::shape::unit_of_number;
use crate::names::Name;
use crate::profile::NamePattern;
use crate::reading::Value;
use crate::sample::Sample;
use crate::unit;

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
}

/// What was seen of each metric: rules for those that messages say more of than their names, and of the others a list.
pub(super) fn metrics(samples: &[Sent], times: &Times) -> String {
    let metrics = seen(samples, times);
    let mut text = String::new();
    for (pattern, body) in rules(&metrics) {
        let _ = write!(text, "\n[[metric]]\nfrom = {}\n{body}", quoted(&pattern));
    }
    if metrics.is_empty() {
        return text;
    }
    text.push_str("\n# Its names. A [[metric]] gives one a `name`, a `unit`, a `range` and more; `ignore` leaves it out.\n");
    for metric in metrics.iter().take(MAX_RULES) {
        text.push_str(&metric.line());
    }
    if metrics.len() > MAX_RULES {
        let _ = writeln!(text, "# There are {} names more.", metrics.len() - MAX_RULES);
    }
    text
}

/// What was seen of each metric, in the order of their first samples.
fn seen(samples: &[Sent], times: &Times) -> Vec<Seen> {
    let samples = samples.iter().map(|(_, sample)| sample).filter(|sample| !times.is_in(&sample.name.sent));
    let samples: Vec<&Sample> = samples.collect();
    let patterns = patterns(&samples);
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut metrics: Vec<Seen> = Vec::new();
    for sample in samples {
        let Some(from) = patterns.get(&*sample.name.decoded) else { continue };
        let place = *places.entry(from).or_insert_with(|| {
            metrics.push(Seen::new(from.clone(), sample));
            metrics.len() - 1
        });
        if let Some(seen) = metrics.get_mut(place) {
            seen.add(sample);
        }
    }
    metrics
}

/// Of each name the pattern of those that are alike: whose levels differ in a number, or that have the same levels below
/// another first one.
fn patterns(samples: &[&Sample]) -> HashMap<String, String> {
    let mut numeric: BTreeMap<&str, bool> = BTreeMap::new();
    for sample in samples {
        let is_number = matches!(sample.value, Value::Integer(_) | Value::Float(_));
        *numeric.entry(&sample.name.decoded).or_insert(true) &= is_number;
    }
    let mut patterns: HashMap<String, String> = HashMap::new();
    let mut group = |key: &dyn Fn(&str, bool) -> Option<String>| {
        let mut alike: BTreeMap<(String, bool), BTreeSet<String>> = BTreeMap::new();
        for (name, is_number) in &numeric {
            let known = patterns.get(*name).cloned().unwrap_or_else(|| (*name).to_owned());
            if let Some(key) = key(&known, *is_number) {
                alike.entry((key, *is_number)).or_default().insert(known);
            }
        }
        for (name, is_number) in &numeric {
            let known = patterns.get(*name).cloned().unwrap_or_else(|| (*name).to_owned());
            let key = key(&known, *is_number)
                .filter(|key| alike.get(&(key.clone(), *is_number)).is_some_and(|names| names.len() > 1));
            patterns.insert((*name).to_owned(), key.unwrap_or(known));
        }
    };
    group(&|name, is_number| Some(starred(name, is_number)));
    group(&|name, _| Some(format!("*.{}", name.split_once('.')?.1)));
    patterns
}

/// Rules of values that are truth values in other words, and of names that would merge without the unit in them; the
/// narrower ones first.
fn rules(metrics: &[Seen]) -> Vec<(String, String)> {
    let is_named = |seen: &Seen, metric: &str| *seen.known.metric == *metric && seen.known.unit.is_none();
    let unit = |seen: &Seen| {
        let unit = seen.known.unit.as_ref()?;
        let other = metrics.iter().find(|other| is_named(other, &seen.known.metric))?;
        let unit = quoted(&unit.sent);
        Some(format!("# Without its unit it would be called as {} is.\nunit = {unit}\n", quoted(&other.from)))
    };
    let found = metrics
        .iter()
        .filter_map(|seen| Some((pattern_of(&seen.from)?, seen.meaning().or_else(|| unit(seen))?)));
    let found: Vec<(String, String)> = found.collect();
    let pattern = |text: &str| NamePattern::try_from(text.to_owned()).ok();
    let is_said = |place: usize| {
        found.iter().enumerate().any(|(other, (text, body))| {
            let is_same = other != place && *body == found[place].1;
            is_same
                && pattern(text).zip(pattern(&found[place].0)).is_some_and(|(wide, one)| wide.covers(&one))
        })
    };
    let mut rules: Vec<_> =
        (0..found.len()).filter(|place| !is_said(*place)).map(|place| found[place].clone()).collect();
    rules.sort_by_key(|(text, _)| pattern(text).map_or(0, |pattern| pattern.stars()));
    rules.truncate(MAX_RULES);
    rules
}

/// A name with a star in place of each number that is a level, or ends one after a mark; of what is no number, after
/// letters, too: `POWER1`.
fn starred(name: &str, is_number: bool) -> String {
    let level = |level: &str| {
        let stem = stem(level);
        let is_marked = stem.is_empty() || stem.ends_with([':', '-', '_']) || !is_number;
        let is_numbered = stem.len() < level.len() && is_marked && !stem.contains('*');
        if is_numbered { format!("{stem}*") } else { level.to_owned() }
    };
    name.split('.').map(level).collect::<Vec<_>>().join(".")
}

/// Pairs of words for true and false. Of those that are not certain the truth is a matter of taste.
const PAIRS: [(&str, &str, bool); 8] = [
    ("ON", "OFF", true),
    ("On", "Off", true),
    ("on", "off", true),
    ("YES", "NO", true),
    ("yes", "no", true),
    ("OPEN", "CLOSED", false),
    ("open", "closed", false),
    ("Online", "Offline", false),
];

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
        }
    }

    fn add(&mut self, sample: &Sample) {
        self.count += 1;
        self.names.insert(Arc::clone(&sample.name.decoded));
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

    /// What its values stand for, if they are truth values in other words.
    fn meaning(&self) -> Option<String> {
        let is_word = |text: &Arc<str>| ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(text));
        if self.are_texts() && self.texts.iter().all(is_word) {
            return Some("type = \"boolean\"\n".to_owned());
        }
        let (map, is_certain) = self.map()?;
        is_certain.then(|| format!("{map}\n"))
    }

    /// Whether it has texts, and nothing else.
    fn are_texts(&self) -> bool {
        self.range.is_none() && !self.has_truth && !self.texts.is_empty()
    }

    /// The map of a pair of words, and whether it is certain which is true.
    fn map(&self) -> Option<(String, bool)> {
        let is_of = |(yes, no, _): &&(&str, &str, bool)| {
            self.texts.iter().all(|text| **text == **yes || **text == **no)
        };
        let (yes, no, is_certain) = PAIRS.iter().find(is_of).filter(|_| self.are_texts())?;
        Some((format!("map = {{ {yes} = true, {no} = false }}"), *is_certain))
    }

    /// A comment about it: its pattern, its values, and what may be said of it.
    fn line(&self) -> String {
        let Some(pattern) = pattern_of(&self.from) else {
            return format!("# No pattern can name {}.\n", quoted(&self.from));
        };
        let count = format!("{} value{}", self.count, if self.count == 1 { "" } else { "s" });
        let mut said =
            vec![if self.names.len() > 1 { format!("{} names, {count}", self.names.len()) } else { count }];
        if let Some((low, high)) = self.range {
            said.push(match low == high {
                true => format!("always {}", number(low)),
                false => format!("from {} to {}", number(low), number(high)),
            });
        }
        if self.has_truth {
            said.push("true or false".to_owned());
        }
        if !self.texts.is_empty() {
            said.push(self.texts_seen());
        }
        said.extend(self.unit_seen());
        format!("#   {}: {}\n", quoted(&pattern), said.join("; "))
    }

    fn texts_seen(&self) -> String {
        let shown = self.texts.iter().take(MAX_TEXTS).map(|text| quoted(text)).collect::<Vec<_>>();
        let more = if self.texts.len() > MAX_TEXTS { ", …" } else { "" };
        let is_unit = |text: &str| text.is_empty() || unit::check(text).is_ok();
        let has_unit =
            |decimal| self.texts.iter().all(|text| unit_of_number(text, decimal).is_some_and(is_unit));
        let hint = match self.map() {
            Some((map, false)) => format!(", perhaps {map}"),
            Some((_, true)) => String::new(),
            None if self.are_numbers => ", which `numbers_as_text = true` makes numbers of".to_owned(),
            None if has_unit('.') => ", numbers with units: a [[shape]] `as = \"number\"`".to_owned(),
            None if has_unit(',') => {
                ", numbers: a [[shape]] `as = \"number\"` with `decimal = \",\"`".to_owned()
            }
            None => String::new(),
        };
        format!("texts: {}{more}{hint}", shown.join(", "))
    }

    fn unit_seen(&self) -> Option<String> {
        if let Some(unit) = &self.unit {
            return Some(format!("its messages say the unit {}", quoted(unit)));
        }
        match (&self.known.unit, self.known.quantity, self.range) {
            (Some(unit), ..) => Some(format!("its name says the unit {}", quoted(&unit.sent))),
            (None, Some(quantity), Some(_)) => Some(format!("{}: unit = \"…\"", quantity.name)),
            (None, ..) => None,
        }
    }
}

/// As TOML writes a number.
fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 { format!("{number:.0}") } else { format!("{number:?}") }
}
