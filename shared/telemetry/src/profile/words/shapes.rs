//! What stands at a place, in words.

use super::word;
use crate::profile::{
    Anchor, Columns, Encoding, Interval, MemberPath, NamePattern, NamePiece, Others, Records, Series,
    ShapeKind, ShapeRule,
};

/// What a shape does, in a sentence.
pub(super) fn shape(rule: &ShapeRule) -> String {
    let at = rule.at.as_ref().map_or("the payload", NamePattern::as_str);
    let what = match &rule.kind {
        ShapeKind::Records(records) => self::records(records),
        ShapeKind::Series(series) => self::series(series),
        ShapeKind::Rows(Columns::Named(names)) => format!("rows of {}, each a record", columns(names)),
        ShapeKind::Rows(Columns::Member(member)) => {
            format!("rows whose names {} beside them lists, each a record", path(member))
        }
        ShapeKind::List { separator, into } => list(separator.as_deref(), into),
        ShapeKind::Pairs { separator, equals, end, others } => {
            let end = end.as_ref().map(|end| format!(", each closed by {end:?}")).unwrap_or_default();
            let rest = match others {
                Others::Keep => "parts without a name are numbered",
                Others::Ignore => "parts without a name are left out",
            };
            format!(
                "a text of names and values: {equals:?} between the two, {separator:?} between pairs{end}; {rest}"
            )
        }
        ShapeKind::Number { decimal } => {
            let decimal = if *decimal == ',' { ", with a decimal comma" } else { "" };
            format!("a number in a text, perhaps with its unit{decimal}")
        }
        ShapeKind::Document(encoding) => format!("a document in a text{}", encoded(*encoding)),
        ShapeKind::Fields(encoding) => {
            format!("bytes in a text{}, read by `payload` or `[[field]]`", encoded(Some(*encoding)))
        }
    };
    let under = match rule.under.as_deref() {
        None => String::new(),
        Some("") => "; its names begin anew".to_owned(),
        Some(under) => format!("; its names begin with {under}"),
    };
    format!("{at} is {what}{under}")
}

fn encoded(encoding: Option<Encoding>) -> String {
    encoding.map(|encoding| format!(" of {}", word(&encoding))).unwrap_or_default()
}

fn path(member: &MemberPath) -> String {
    member.0.join(".")
}

fn columns(names: &[Box<str>]) -> String {
    let name = |name: &str| if name.is_empty() { "(left out)".to_owned() } else { name.to_owned() };
    names.iter().map(|text| name(text)).collect::<Vec<_>>().join(", ")
}

fn list(separator: Option<&str>, into: &[Box<str>]) -> String {
    let parted =
        separator.map(|separator| format!(", or a text that {separator:?} parts")).unwrap_or_default();
    let names = if into.is_empty() { "numbered".to_owned() } else { format!("called {}", columns(into)) };
    format!("a list of values{parted}, {names}")
}

fn records(records: &Records) -> String {
    let name: String = records
        .name
        .0
        .iter()
        .map(|piece| match piece {
            NamePiece::Text(text) => text.to_string(),
            NamePiece::Member(member) => format!("{{{}}}", path(member)),
            NamePiece::Own => "{}".to_owned(),
            NamePiece::Place => "{.}".to_owned(),
        })
        .collect();
    let mut said = vec![format!("records called {name}")];
    said.push(match &*records.value {
        [] => "whose other members are values".to_owned(),
        [one] => format!("whose value is {}", path(one)),
        several => {
            format!("whose value is the first of {}", several.iter().map(path).collect::<Vec<_>>().join(", "))
        }
    });
    let beside = [("unit", &records.unit), ("quality", &records.quality), ("time", &records.time)];
    said.extend(
        beside.iter().filter_map(|(what, member)| Some(format!("{what} {}", path(member.as_ref()?)))),
    );
    if records.others == Others::Ignore {
        said.push("the rest is left out".to_owned());
    }
    said.join(", ")
}

fn series(series: &Series) -> String {
    let apart = match &series.interval {
        Interval::Micros(micros) => format!("{} s apart", micros / 1e6),
        Interval::Member { name, unit } => format!("as far apart as {} says, in {}", path(name), word(unit)),
        Interval::Rate(name) => format!("of which {} says how many are a second", path(name)),
    };
    let anchor = match series.anchor {
        Anchor::First => "the first",
        Anchor::Last => "the last",
    };
    format!("a series of values {apart}; {anchor} has the record's time")
}
