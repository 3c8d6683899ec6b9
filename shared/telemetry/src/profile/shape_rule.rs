//! What stands at a place of a payload, and how it is read: the `[[shape]]` of a profile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name_pattern::levels_of;
use super::written::{Problems, Step, Texts};
use super::{EpochUnit, NamePattern};
use crate::length::Length;
use crate::limits::MAX_NAME_BYTES;

/// Most columns of rows, or names of a list.
const MAX_COLUMNS: usize = 200;

/// How what stands at a place is read.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeRule {
    /// The place, as names are decoded; `None`: the payload itself.
    pub at: Option<NamePattern>,
    /// What the names of what is read begin with, instead of the place's own; empty for nothing.
    pub under: Option<Arc<str>>,
    /// What is read.
    pub kind: ShapeKind,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum ShapeKind {
    /// A list whose elements, or an object whose members, are each a value with its name.
    Records(Box<Records>),
    /// A list of values at even distances of time.
    Series(Series),
    /// A list of lists, whose values have their names by position.
    Rows(Columns),
    /// Several values in a list, or in a text, with names by position.
    List {
        /// What parts the values in a text.
        separator: Option<Box<str>>,
        /// Their names; an empty one leaves a value out, and values beyond are numbered.
        into: Vec<Box<str>>,
    },
    /// Names and values in a text: `T=21.5;H=40`.
    Pairs {
        /// What parts one pair from the next.
        separator: Box<str>,
        /// What parts a name from its value.
        equals: Box<str>,
        /// What a value ends with, and does not belong to it.
        end: Option<Box<str>>,
        /// What becomes of parts without a name.
        others: Others,
    },
    /// A number in a text, perhaps with its unit: `20,6 ℃`.
    Number {
        /// What parts the whole from the fraction.
        decimal: char,
    },
    /// A document in a text.
    Document(Option<Encoding>),
    /// Bytes in a text, read by the profile's `payload` or `[[field]]`.
    Fields(Encoding),
}

/// How bytes stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Base64 (RFC 4648, sections 4 and 5), with or without padding.
    Base64,
    /// Two hexadecimal digits for each byte.
    Hex,
}

/// Which members of an element are its name, its value, and what is said of that.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// The metric's name.
    pub(crate) name: RecordName,
    /// Where the value stands, the first that is there counts; empty: every other member is a value.
    pub(crate) value: Vec<MemberPath>,
    pub(crate) unit: Option<MemberPath>,
    pub(crate) quality: Option<MemberPath>,
    pub(crate) time: Option<MemberPath>,
    /// What becomes of members that are none of these.
    pub(crate) others: Others,
}

/// What becomes of members that a record's rule does not speak of, and of parts of a text that have no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// They are metrics of their own: `{name}.{member}`, or numbered.
    #[default]
    Keep,
    /// They are left out.
    Ignore,
}

/// Values at even distances of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub(crate) interval: Interval,
    /// Which of the values has the record's time.
    pub(crate) anchor: Anchor,
}

/// How far the values of a series are apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Interval {
    /// So many microseconds.
    Micros(f64),
    /// As a member beside the series counts.
    Member { name: MemberPath, unit: EpochUnit },
    /// As a member beside the series says, in values a second.
    Rate(MemberPath),
}

/// Which value of a series has the record's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchor {
    /// The first: the others come after it.
    #[default]
    First,
    /// The last: the others came before it.
    Last,
}

/// The names of a row's values.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// By position; an empty one leaves a value out, and values beyond are numbered.
    Named(Vec<Box<str>>),
    /// As a list beside the rows says.
    Member(MemberPath),
}

/// The way from an object to one of its members, which may be deeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPath(pub(crate) Vec<Box<str>>);

impl MemberPath {
    fn new(text: &str) -> Result<Self, &'static str> {
        let levels = levels_of(text);
        if levels.iter().any(String::is_empty) {
            return Err("the name of a member has an empty level");
        }
        Ok(Self(levels.into_iter().map(String::into_boxed_str).collect()))
    }
}

/// What a record's metric is called: texts, and members of the element. `{}` stands for the name that the element itself
/// has where it is a member of an object, `{.}` for the place of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordName(pub(crate) Vec<NamePiece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamePiece {
    Text(Box<str>),
    Member(MemberPath),
    /// The name of the element itself.
    Own,
    /// The place of the records; the first piece if it is one.
    Place,
}

impl RecordName {
    fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (member, after) = after.split_once('}').ok_or("`name` has a { without its }")?;
            if !before.is_empty() {
                pieces.push(NamePiece::Text(before.into()));
            }
            pieces.push(match member {
                "" => NamePiece::Own,
                "." if pieces.is_empty() => NamePiece::Place,
                "." => return Err("`name`: {.}, the place of the records, stands at its beginning".into()),
                member => NamePiece::Member(MemberPath::new(member)?),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(NamePiece::Text(rest.into()));
        }
        if pieces.iter().all(|piece| matches!(piece, NamePiece::Text(_) | NamePiece::Place)) {
            return Err(
                "`name` names no member in braces, such as {id}, nor {}: all records would have one name"
                    .into(),
            );
        }
        Ok(Self(pieces))
    }
}

/// The kinds, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindField {
    Records,
    Series,
    Rows,
    List,
    Pairs,
    Number,
    Document,
    Fields,
}

/// A `[[shape]]` as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShapeFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(rename = "as")]
    kind: KindField,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    under: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    value: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<Others>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_unit: Option<EpochUnit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<Anchor>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    columns: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    into: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    equals: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
}

impl KindField {
    /// The keys that say something of this kind, beside `at` and `as`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Records => &["name", "value", "unit", "quality", "time", "others"],
            Self::Series => &["interval", "interval_from", "interval_unit", "rate", "rate_from", "anchor"],
            Self::Rows => &["columns", "columns_from", "under"],
            Self::List => &["separator", "into", "under"],
            Self::Pairs => &["separator", "equals", "end", "others", "under"],
            Self::Number => &["decimal"],
            Self::Document => &["encoding", "under"],
            Self::Fields => &["encoding", "under"],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Series => "series",
            Self::Rows => "rows",
            Self::List => "list",
            Self::Pairs => "pairs",
            Self::Number => "number",
            Self::Document => "document",
            Self::Fields => "fields",
        }
    }
}

impl ShapeFields {
    /// The keys that it has, beside `at` and `as`.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("under", self.under.is_some()),
            ("name", self.name.is_some()),
            ("value", !self.value.is_empty()),
            ("unit", self.unit.is_some()),
            ("quality", self.quality.is_some()),
            ("time", self.time.is_some()),
            ("others", self.others.is_some()),
            ("interval", self.interval.is_some()),
            ("interval_from", self.interval_from.is_some()),
            ("interval_unit", self.interval_unit.is_some()),
            ("rate", self.rate.is_some()),
            ("rate_from", self.rate_from.is_some()),
            ("anchor", self.anchor.is_some()),
            ("columns", !self.columns.is_empty()),
            ("columns_from", self.columns_from.is_some()),
            ("separator", self.separator.is_some()),
            ("into", !self.into.is_empty()),
            ("equals", self.equals.is_some()),
            ("end", self.end.is_some()),
            ("decimal", self.decimal.is_some()),
            ("encoding", self.encoding.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_given)| is_given.then_some(key))
    }
}

/// Collects what is wrong with one shape.
struct ShapeProblems<'p> {
    index: usize,
    problems: &'p mut Problems,
}

impl ShapeProblems<'_> {
    fn add(&mut self, key: &'static str, text: impl Into<String>) {
        self.problems.add(&[Step::Key("shape"), Step::Index(self.index), Step::Key(key)], text);
    }

    fn member(&mut self, key: &'static str, text: Option<&str>) -> Option<MemberPath> {
        let outcome = MemberPath::new(text?);
        outcome.map_err(|problem| self.add(key, format!("`{key}`: {problem}"))).ok()
    }

    /// A text that parts others, or what it is by default.
    fn separator(&mut self, key: &'static str, text: Option<&str>, default: &str) -> Box<str> {
        if text.is_some_and(str::is_empty) {
            self.add(key, format!("`{key}` is empty"));
        }
        text.unwrap_or(default).into()
    }

    fn names(&mut self, key: &'static str, names: &Texts) -> Vec<Box<str>> {
        if names.0.len() > MAX_COLUMNS {
            self.add(key, format!("`{key}` has more than {MAX_COLUMNS} names"));
        }
        if names.0.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            self.add(key, format!("a name of `{key}` has more than {MAX_NAME_BYTES} bytes"));
        }
        if !names.is_empty() && names.0.iter().all(String::is_empty) {
            self.add(key, format!("`{key}` leaves everything out"));
        }
        let is_twice = |(place, name): (usize, &String)| !name.is_empty() && names.0[..place].contains(name);
        if names.0.iter().enumerate().any(is_twice) {
            self.add(key, format!("`{key}` has a name twice"));
        }
        names.0.iter().map(|name| name.as_str().into()).collect()
    }
}

/// Reads a shape; notes what is wrong with it. `has_layout`: the profile knows how bytes are read.
pub(super) fn check_shape(
    index: usize,
    fields: &ShapeFields,
    has_layout: bool,
    problems: &mut Problems,
) -> Option<ShapeRule> {
    let mut problems = ShapeProblems { index, problems };
    let kind = fields.kind;
    for key in fields.given().filter(|key| !kind.keys().contains(key)) {
        problems.add(key, format!("`{key}` says nothing of `as = \"{}\"`", kind.word()));
    }
    let at = match fields.at.as_deref().map(|at| NamePattern::try_from(at.to_owned())) {
        Some(Err(problem)) => {
            problems.add("at", format!("`at`: {problem}"));
            return None;
        }
        at => at.and_then(Result::ok),
    };
    let under = fields.under.as_deref();
    if under.is_some_and(|under| {
        under.len() > MAX_NAME_BYTES || under.split('.').any(str::is_empty) && !under.is_empty()
    }) {
        problems.add(
            "under",
            format!("`under` is the beginning of a name of at most {MAX_NAME_BYTES} bytes, or empty"),
        );
    }
    let kind = match kind {
        KindField::Records => ShapeKind::Records(Box::new(check_records(fields, &mut problems)?)),
        KindField::Series => ShapeKind::Series(check_series(fields, &mut problems)?),
        KindField::Rows => ShapeKind::Rows(check_rows(fields, at.is_none(), &mut problems)?),
        KindField::List => ShapeKind::List {
            separator: fields
                .separator
                .as_deref()
                .map(|text| problems.separator("separator", Some(text), ",")),
            into: problems.names("into", &fields.into),
        },
        KindField::Pairs => ShapeKind::Pairs {
            separator: problems.separator("separator", fields.separator.as_deref(), ";"),
            equals: problems.separator("equals", fields.equals.as_deref(), "="),
            end: fields.end.as_deref().map(|text| problems.separator("end", Some(text), "")),
            others: fields.others.unwrap_or_default(),
        },
        KindField::Number => ShapeKind::Number { decimal: check_decimal(fields, &mut problems) },
        KindField::Document => ShapeKind::Document(fields.encoding),
        KindField::Fields => {
            if !has_layout {
                problems.add("as", "`as = \"fields\"` needs `payload` or `[[field]]`, and there is neither");
            }
            if fields.encoding.is_none() {
                problems.add("as", "`as = \"fields\"` needs its `encoding`: base64 or hex");
            }
            ShapeKind::Fields(fields.encoding?)
        }
    };
    if matches!(&kind, ShapeKind::List { separator: None, into } if into.is_empty()) {
        problems.add("as", "`as = \"list\"` needs `into`, names by position, or `separator`, of a text");
    }
    if matches!((&kind, &at), (ShapeKind::Series(_), None)) {
        problems
            .add("as", "`as = \"series\"` needs `at`: the payload has no name that its values could have");
    }
    if let (ShapeKind::Rows(Columns::Member(_)), Some(at)) = (&kind, &at)
        && at.last_name().is_none()
    {
        problems.add("at", "with `columns_from`, the last level of `at` has no star");
    }
    Some(ShapeRule { at, under: under.map(Arc::from), kind })
}

fn check_records(fields: &ShapeFields, problems: &mut ShapeProblems<'_>) -> Option<Records> {
    let Some(name) = fields.name.as_deref() else {
        problems.add("as", "`as = \"records\"` needs `name`, such as \"{id}\"");
        return None;
    };
    let name = RecordName::new(name).map_err(|problem| problems.add("name", problem)).ok();
    let value = fields.value.0.iter().filter_map(|text| problems.member("value", Some(text))).collect();
    Some(Records {
        value,
        unit: problems.member("unit", fields.unit.as_deref()),
        quality: problems.member("quality", fields.quality.as_deref()),
        time: problems.member("time", fields.time.as_deref()),
        others: fields.others.unwrap_or_default(),
        name: name?,
    })
}

fn check_series(fields: &ShapeFields, problems: &mut ShapeProblems<'_>) -> Option<Series> {
    let ways = ["interval", "interval_from", "rate", "rate_from"];
    if fields.given().filter(|key| ways.contains(key)).count() != 1 {
        problems
            .add("as", "`as = \"series\"` has one of `interval`, `interval_from`, `rate` and `rate_from`");
        return None;
    }
    if fields.interval_unit.is_some() != fields.interval_from.is_some() {
        problems.add("as", "`interval_from` and `interval_unit`, which it counts, go together");
    }
    if fields.interval.is_some_and(|interval| interval.is_zero()) {
        problems.add("interval", "`interval` must be longer than nothing");
    }
    if fields.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        problems.add("rate", "`rate`, values a second, is a positive number");
    }
    #[expect(clippy::cast_precision_loss, reason = "an interval of centuries is none")]
    let fixed = fields.interval.map(|interval| interval.0 as f64).or(fields.rate.map(|rate| 1e6 / rate));
    let interval = match fixed {
        Some(micros) => Interval::Micros(micros),
        None => match problems.member("interval_from", fields.interval_from.as_deref()) {
            Some(name) => Interval::Member { name, unit: fields.interval_unit? },
            None => Interval::Rate(problems.member("rate_from", fields.rate_from.as_deref())?),
        },
    };
    Some(Series { interval, anchor: fields.anchor.unwrap_or_default() })
}

fn check_rows(fields: &ShapeFields, is_payload: bool, problems: &mut ShapeProblems<'_>) -> Option<Columns> {
    match (&*fields.columns.0, fields.columns_from.as_deref()) {
        ([], None) | ([_, ..], Some(_)) => {
            problems.add("as", "`as = \"rows\"` has `columns`, or `columns_from`, a list beside the rows");
            None
        }
        ([], from) => {
            if is_payload {
                problems.add("columns_from", "`columns_from` needs `at`: nothing stands beside the payload");
            }
            problems.member("columns_from", from).map(Columns::Member)
        }
        (_, None) => Some(Columns::Named(problems.names("columns", &fields.columns))),
    }
}

fn check_decimal(fields: &ShapeFields, problems: &mut ShapeProblems<'_>) -> char {
    match fields.decimal.as_deref() {
        None | Some(".") => '.',
        Some(",") => ',',
        Some(_) => {
            problems.add("decimal", "`decimal` is \".\" or \",\"");
            '.'
        }
    }
}
