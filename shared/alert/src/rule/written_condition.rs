//! A rule's condition as people write it, and what can be wrong with it.

use serde::{Deserialize, Serialize};
use telemetry::limits::MAX_TEXT_BYTES;
use telemetry::{Metric, Value};

use crate::anomaly::Settings;
use crate::condition::{Condition, Input, Leaf, Question, Test};
use telemetry::Length;

/// Deepest nesting of `all` and `any`.
const MAX_DEPTH: usize = 4;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConditionFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<Vec<ConditionFields>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    any: Option<Vec<ConditionFields>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anomaly: Option<Settings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    equals: Option<Literal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<Length>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_intervals: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clear: Option<Clear>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateFields {
    per: Length,
    over: Length,
}

/// A value to compare with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "`equals` is a number, a truth value or a text")]
enum Literal {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// Two numbers. Not a tuple: of a list that is too long, TOML's parser would take the first two.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "[f64; 2]")]
struct Range(f64, f64);

impl TryFrom<Vec<f64>> for Range {
    type Error = &'static str;

    fn try_from(numbers: Vec<f64>) -> Result<Self, Self::Error> {
        match numbers[..] {
            [low, high] => Ok(Self(low, high)),
            _ => Err("a range is two numbers, [low, high]"),
        }
    }
}

impl From<Range> for [f64; 2] {
    fn from(Range(low, high): Range) -> Self {
        [low, high]
    }
}

/// Where a condition stops to hold: a level, or a range.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "`clear` is a level, or a range [low, high]")]
enum Clear {
    Level(f64),
    Range(Range),
}

impl ConditionFields {
    /// The keys that ask something; exactly one of them has to be there.
    fn questions(&self) -> Vec<&'static str> {
        [
            ("all", self.all.is_some()),
            ("any", self.any.is_some()),
            ("above", self.above.is_some()),
            ("below", self.below.is_some()),
            ("outside", self.outside.is_some()),
            ("inside", self.inside.is_some()),
            ("equals", self.equals.is_some()),
            ("silent", self.silent.is_some()),
            ("silent_intervals", self.silent_intervals.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_there)| is_there.then_some(key))
        .collect()
    }
}

/// Reads a condition at `path`; what is wrong is added to `problems`.
pub(super) fn read_condition(
    fields: &ConditionFields,
    path: &str,
    depth: usize,
    leaves: &mut Vec<Leaf>,
    problems: &mut Vec<String>,
) -> Option<Condition> {
    let questions = fields.questions();
    if questions.len() != 1 {
        let found = if questions.is_empty() { "none".to_owned() } else { questions.join(", ") };
        problems.push(format!(
            "`{path}` needs exactly one of above, below, outside, inside, equals, silent, silent_intervals, all and any; it has {found}"
        ));
        return None;
    }
    let nested = match (&fields.all, &fields.any) {
        (Some(all), _) => Some((all, "all")),
        (_, Some(any)) => Some((any, "any")),
        (None, None) => None,
    };
    let Some((members, word)) = nested else { return read_leaf(fields, path, leaves, problems) };
    if members.is_empty() || depth > MAX_DEPTH {
        problems.push(format!("`{path}.{word}` must have members, and be nested at most {MAX_DEPTH} deep"));
        return None;
    }
    let is_of_a_leaf = fields.metric.is_some()
        || fields.unit.is_some()
        || fields.clear.is_some()
        || fields.rate.is_some()
        || fields.anomaly.is_some();
    if is_of_a_leaf {
        problems.push(format!(
            "`{path}`: metric, unit, clear, rate and anomaly belong into the members of `{word}`"
        ));
    }
    let members = members.iter().enumerate().map(|(index, member)| {
        read_condition(member, &format!("{path}.{word}[{index}]"), depth + 1, leaves, problems)
    });
    // All are read before any is given up, so that all problems are found.
    let members: Vec<Option<Condition>> = members.collect();
    let members = members.into_iter().collect::<Option<Vec<_>>>()?;
    Some(if word == "all" { Condition::All(members) } else { Condition::Any(members) })
}

fn read_leaf(
    fields: &ConditionFields,
    path: &str,
    leaves: &mut Vec<Leaf>,
    problems: &mut Vec<String>,
) -> Option<Condition> {
    let before = problems.len();
    let question = read_question(fields, path, problems);
    let is_bad_text = |text: &String| text.is_empty() || text.len() > 256 || text.contains(char::is_control);
    match &fields.metric {
        None if fields.silent.is_none() && fields.silent_intervals.is_none() => {
            problems.push(format!("`{path}.metric` is missing; only `silent` may ask for any metric"));
        }
        Some(metric) if is_bad_text(metric) => {
            problems.push(format!("`{path}.metric` must be a name of 1 to 256 bytes"));
        }
        _ => {}
    }
    if fields.unit.is_some() && fields.metric.is_none() {
        problems.push(format!("`{path}.unit` goes with a metric"));
    } else if fields.unit.as_ref().is_some_and(is_bad_text) {
        problems.push(format!("`{path}.unit` must be a unit as devices send it, such as Cel"));
    }
    if problems.len() > before {
        return None;
    }
    let metric = fields.metric.as_deref().map(Metric::from);
    leaves.push(Leaf { metric, unit: fields.unit.as_deref().map(Into::into), question: question? });
    Some(Condition::Leaf(leaves.len() - 1))
}

fn read_question(fields: &ConditionFields, path: &str, problems: &mut Vec<String>) -> Option<Question> {
    if let Some(after) = fields.silent {
        if after.is_zero() || fields.clear.is_some() || fields.rate.is_some() || fields.anomaly.is_some() {
            problems.push(format!("`{path}.silent` needs a time, and neither clear, rate nor anomaly"));
        }
        return Some(Question::Silent(after));
    }
    if let Some(intervals) = fields.silent_intervals {
        if intervals == 0 || fields.clear.is_some() || fields.rate.is_some() || fields.anomaly.is_some() {
            problems.push(format!(
                "`{path}.silent_intervals` needs a number above 0, and neither clear, rate nor anomaly"
            ));
        }
        return Some(Question::SilentIntervals(intervals));
    }
    if let Some(literal) = &fields.equals {
        if fields.clear.is_some() || fields.rate.is_some() || fields.anomaly.is_some() {
            problems.push(format!("`{path}.equals` goes with neither clear, rate nor anomaly"));
        }
        return match literal_value(literal) {
            Some(value) => Some(Question::Equals(value)),
            None => {
                problems.push(format!("`{path}.equals` is no value that a reading can have"));
                None
            }
        };
    }
    let input = read_input(fields, path, problems);
    let test = match read_test(fields) {
        Ok(test) => test,
        Err(problem) => {
            problems.push(format!("`{path}`: {problem}"));
            return None;
        }
    };
    Some(Question::Number { input, test })
}

fn read_input(fields: &ConditionFields, path: &str, problems: &mut Vec<String>) -> Input {
    match (&fields.rate, &fields.anomaly) {
        (Some(_), Some(_)) => {
            problems.push(format!("`{path}` has both rate and anomaly; choose one"));
            Input::Value
        }
        (Some(rate), None) => {
            if rate.per.is_zero() || rate.over.is_zero() {
                problems.push(format!("`{path}.rate` needs times longer than none"));
            }
            Input::Rate { per: rate.per, over: rate.over }
        }
        (None, Some(settings)) => {
            if fields.above.is_none() {
                problems.push(format!("`{path}.anomaly` is a score that is never negative: use above"));
            }
            if let Err(problem) = settings.check() {
                problems.push(format!("`{path}.anomaly`: {problem}"));
            }
            Input::Anomaly(settings.clone())
        }
        (None, None) => Input::Value,
    }
}

/// The level or range of a test, with its clear level on the right side.
fn read_test(fields: &ConditionFields) -> Result<Test, String> {
    let level_of = |level: f64| match fields.clear {
        None => Ok(level),
        Some(Clear::Level(clear)) => Ok(clear),
        Some(Clear::Range(_)) => Err("`clear` has to be one level, as the level itself is".to_owned()),
    };
    let range_of = |range: (f64, f64)| match fields.clear {
        None => Ok(range),
        Some(Clear::Range(Range(from, to))) => Ok((from, to)),
        Some(Clear::Level(_)) => {
            Err("`clear` has to be a range [low, high], as the range itself is".to_owned())
        }
    };
    let test = if let Some(level) = fields.above {
        let clear = level_of(level)?;
        if clear > level {
            return Err(format!(
                "`clear` is {clear}, but an alert above {level} can only clear at {level} or below"
            ));
        }
        Test::Above { level, clear }
    } else if let Some(level) = fields.below {
        let clear = level_of(level)?;
        if clear < level {
            return Err(format!(
                "`clear` is {clear}, but an alert below {level} can only clear at {level} or above"
            ));
        }
        Test::Below { level, clear }
    } else if let Some(Range(low, high)) = fields.outside {
        let range = (low, high);
        let clear = range_of(range)?;
        if range.0 > range.1 || !(range.0 <= clear.0 && clear.0 <= clear.1 && clear.1 <= range.1) {
            return Err("`outside` needs [low, high], and a `clear` range within it".to_owned());
        }
        Test::Outside { range, clear }
    } else if let Some(Range(low, high)) = fields.inside {
        let range = (low, high);
        let clear = range_of(range)?;
        if range.0 > range.1 || !(clear.0 <= range.0 && range.1 <= clear.1) {
            return Err("`inside` needs [low, high], and a `clear` range around it".to_owned());
        }
        Test::Inside { range, clear }
    } else {
        return Err("there is no level".to_owned());
    };
    let numbers = match test {
        Test::Above { level, clear } | Test::Below { level, clear } => [level, clear, 0.0, 0.0],
        Test::Outside { range, clear } | Test::Inside { range, clear } => {
            [range.0, range.1, clear.0, clear.1]
        }
    };
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(test)
    } else {
        Err("levels must be finite".to_owned())
    }
}

fn literal_value(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Boolean(flag) => Some(Value::Boolean(*flag)),
        Literal::Integer(number) => Some(Value::Integer((*number).into())),
        Literal::Float(number) => Value::from_f64(*number),
        Literal::Text(text) if text.len() > MAX_TEXT_BYTES => None,
        Literal::Text(text) => Some(Value::Text(text.as_str().into())),
    }
}
