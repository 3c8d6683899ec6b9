//! Places that profiles describe.

use std::collections::BTreeSet;

use super::{covering, roles};
use crate::format::Format;
use crate::names::is_telling;
use crate::profile::written::{Problems, Step};
use crate::profile::{Columns, NamePattern, Profile, ShapeKind, ShapeRule};

/// What may stand at a place, as far as shapes tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Text,
    /// A number, or a truth value.
    Number,
    List,
    Object,
    /// What lists of lists have become.
    Rows,
}

/// What payloads have.
const SENT: [Form; 4] = [Form::Text, Form::Number, Form::List, Form::Object];

impl ShapeKind {
    /// Whether it reads what stands there in this form.
    fn reads(&self, form: Form) -> bool {
        match (self, form) {
            (Self::Records(_), Form::List | Form::Object | Form::Rows) => true,
            (Self::Series(_) | Self::Rows(_), Form::List) => true,
            (Self::List { into, .. }, Form::List) => !into.is_empty(),
            (Self::List { separator, .. }, Form::Text) => separator.is_some(),
            (Self::Pairs { .. } | Self::Number { .. } | Self::Document(_) | Self::Fields(_), Form::Text) => {
                true
            }
            _ => false,
        }
    }

    /// Whether a text at its place is read as something else, and never as a text.
    fn takes_texts(&self) -> bool {
        match self {
            Self::Fields(_) | Self::Pairs { .. } => true,
            Self::List { separator, .. } => separator.is_some(),
            // A text that is no document stays one.
            Self::Document(_) => false,
            Self::Records(_) | Self::Series(_) | Self::Rows(_) | Self::Number { .. } => false,
        }
    }
}

impl ShapeRule {
    /// What it leaves of this form to the shapes of the same place that come after it.
    fn leaves(&self, form: Form) -> &'static [Form] {
        match (&self.kind, form) {
            (ShapeKind::Records(_) | ShapeKind::Fields(_), form) if self.kind.reads(form) => &[],
            (ShapeKind::Rows(Columns::Named(_)), Form::List) => &[Form::Rows],
            (ShapeKind::List { into, .. }, form) if self.kind.reads(form) && !into.is_empty() => {
                &[Form::Object]
            }
            (ShapeKind::List { .. }, Form::Text) if self.kind.reads(Form::Text) => &[Form::List],
            (ShapeKind::Pairs { .. }, Form::Text) => &[Form::Object],
            // Another beginning of names is another place.
            (ShapeKind::Document(_), Form::Text) if self.under.is_some() => &[],
            (ShapeKind::Document(_), Form::Text) => &SENT,
            (_, Form::Text) => &[Form::Text],
            (_, Form::Number) => &[Form::Number],
            (_, Form::List) => &[Form::List],
            (_, Form::Object) => &[Form::Object],
            (_, Form::Rows) => &[Form::Rows],
        }
    }
}

/// The places at which a text never stays one.
pub(super) fn places_without_texts(profile: &Profile) -> Vec<&NamePattern> {
    profile
        .shapes
        .iter()
        .filter(|shape| shape.kind.takes_texts())
        .filter_map(|shape| shape.at.as_ref())
        .collect()
}

/// Warns of shapes that read nothing.
pub(super) fn warn(profile: &Profile, problems: &mut Problems) {
    let path = |index, key| [Step::Key("shape"), Step::Index(index), Step::Key(key)];
    let has_places = !matches!(profile.format, Some(Format::Senml | Format::Lwm2m | Format::Bytes));
    for (index, shape) in profile.shapes.iter().enumerate() {
        if !has_places {
            problems.add(
                &path(index, "as"),
                "payloads of this `format` have no places to describe: leave it out",
            );
            continue;
        }
        if let Some(problem) = beyond_reach(profile, index, shape) {
            problems.add(&path(index, "at"), problem);
        }
        if let Some(other) = said_again(profile, index, shape) {
            let text = format!(
                "{other} reads what stands at {} as this shape does: leave this one out",
                place(shape)
            );
            problems.add(&path(index, "at"), text);
        }
        if let Some(later) = names_later(profile, index, shape) {
            let text = format!(
                "`under` is of no use, as the shape after it at {} goes on here: say it there",
                place(later)
            );
            problems.add(&path(index, "under"), text);
        }
        if let Some(cover) = left_out(profile, shape) {
            let text = format!(
                "the numbers at {} are left out by {cover} of `ignore`: leave one of the two out",
                place(shape)
            );
            problems.add(&path(index, "at"), text);
        }
        if let (None, None, ShapeKind::Pairs { separator, .. }) = (&shape.at, profile.format, &shape.kind)
            && separator.contains(['\n', '\r'])
        {
            let text = "a payload of several lines is refused as no JSON: say `format = \"text\"`";
            problems.add(&path(index, "separator"), text);
        }
    }
    documents(profile, has_places, problems);
}

/// Documents at places that are read otherwise.
fn documents(profile: &Profile, has_places: bool, problems: &mut Problems) {
    let is_document = |shape: &&ShapeRule| matches!(shape.kind, ShapeKind::Document(None));
    let taken = places_without_texts(profile).into_iter();
    let taken = taken.chain(profile.shapes.iter().filter(is_document).filter_map(|shape| shape.at.as_ref()));
    let taken: Vec<&NamePattern> = taken.collect();
    for (index, document) in profile.documents.iter().enumerate() {
        let path = [Step::Key("documents"), Step::Index(index)];
        if !has_places {
            problems.add(&path, "payloads of this `format` have no documents in texts: leave it out");
        } else if !taken.is_empty() && document.is_covered_by(&taken) {
            let cover = covering(document, &taken);
            problems
                .add(&path, format!("`documents`: the [[shape]] at {cover} reads these texts: leave it out"));
        }
    }
}

/// What reads all places of a shape as it does, where that comes after it and nothing else stands between.
fn said_again<'p>(profile: &'p Profile, index: usize, shape: &ShapeRule) -> Option<&'p str> {
    let meets = |other: &&ShapeRule| match (&shape.at, &other.at) {
        (None, None) => true,
        (Some(one), Some(other)) => one.meets(other),
        (None, Some(_)) | (Some(_), None) => false,
    };
    let later = profile.shapes.get(index + 1..)?.iter().find(meets);
    if let ShapeKind::Document(encoding) = &shape.kind {
        // A document in a document is read once more by a second shape.
        let documents: Vec<&NamePattern> = profile.documents.iter().collect();
        let at =
            shape.at.as_ref().filter(|_| encoding.is_none() && shape.under.is_none() && later.is_none())?;
        let is_alone = profile.shapes.iter().filter(meets).count() == 1;
        return (is_alone && !documents.is_empty() && at.is_covered_by(&documents)).then_some("`documents`");
    }
    let later = later.filter(|later| is_within(shape, later))?;
    let parts_the_same = match (&shape.kind, &later.kind) {
        (ShapeKind::List { separator, into }, ShapeKind::List { separator: later, into: names }) => {
            into.is_empty() && separator == later || separator.is_none() && into == names
        }
        _ => false,
    };
    // Of all but bytes the last shape says under what names they stand.
    let is_under_the_same = !matches!(shape.kind, ShapeKind::Fields(_)) || later.under == shape.under;
    ((later.kind == shape.kind || parts_the_same) && is_under_the_same).then(|| place(later))
}

/// The shape that goes on at all places of a shape which says `under` what names its values stand: the last one does.
fn names_later<'p>(profile: &'p Profile, index: usize, shape: &ShapeRule) -> Option<&'p ShapeRule> {
    shape.under.as_ref()?;
    if matches!(shape.kind, ShapeKind::Document(_) | ShapeKind::Fields(_)) {
        return None;
    }
    let goes_on = |later: &&ShapeRule| !matches!(later.kind, ShapeKind::Series(_)) && is_within(shape, later);
    profile.shapes.get(index + 1..)?.iter().find(goes_on)
}

/// The pattern of `ignore` that leaves out the numbers of a shape, where they say nothing of others either.
fn left_out(profile: &Profile, shape: &ShapeRule) -> Option<String> {
    let at = shape.at.as_ref().filter(|_| matches!(shape.kind, ShapeKind::Number { .. }))?;
    let says_nothing =
        at.last_name().is_some_and(|name| !is_telling(name.rsplit('.').next().unwrap_or(name)));
    let has_role = roles::taken(profile).iter().any(|taken| taken.meets(at));
    let ignore: Vec<&NamePattern> = profile.ignore.iter().collect();
    let is_ignored = profile.topic_name.is_none() && !ignore.is_empty() && at.is_covered_by(&ignore);
    (is_ignored && says_nothing && !has_role).then(|| covering(at, &ignore))
}

fn place(shape: &ShapeRule) -> &str {
    shape.at.as_ref().map_or("the payload itself", NamePattern::as_str)
}

/// Whether all places of `shape` are places of `other`.
fn is_within(shape: &ShapeRule, other: &ShapeRule) -> bool {
    match (&shape.at, &other.at) {
        (None, None) => true,
        (Some(one), Some(other)) => other.covers(one),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Why a shape reads nothing that others of its place leave.
fn beyond_reach(profile: &Profile, index: usize, shape: &ShapeRule) -> Option<String> {
    let here = |other: &&ShapeRule| !std::ptr::eq(*other, shape) && is_within(shape, other);
    let before = profile.shapes.get(..index).unwrap_or_default().iter().filter(here);
    if let ShapeKind::Series(_) = shape.kind
        && let Some(other) = before.clone().find(|other| matches!(other.kind, ShapeKind::Series(_)))
    {
        return Some(format!(
            "the series at {} is described before, at {}: leave one out",
            place(shape),
            place(other)
        ));
    }
    if let ShapeKind::Rows(Columns::Member(header)) = &shape.kind {
        let is_same = |other: &&ShapeRule| matches!(&other.kind, ShapeKind::Rows(Columns::Member(other)) if other == header);
        return before.clone().find(is_same).map(|other| {
            format!(
                "the rows at {} are named by the shape before, at {}: leave one out",
                place(shape),
                place(other)
            )
        });
    }
    if let ShapeKind::Number { decimal } = shape.kind
        && let Some(other) = before
            .clone()
            .find(|other| matches!(other.kind, ShapeKind::Number { decimal: same } if same == decimal))
    {
        return Some(format!(
            "the numbers at {} are read by the shape before, at {}: leave one out",
            place(shape),
            place(other)
        ));
    }
    // A series is looked for when all shapes of its place have been applied.
    let others: Vec<&ShapeRule> = match shape.kind {
        ShapeKind::Series(_) => profile.shapes.iter().filter(here).collect(),
        _ => before.collect(),
    };
    let mut forms = BTreeSet::from(SENT);
    for other in &others {
        forms = forms.into_iter().flat_map(|form| other.leaves(form)).copied().collect();
    }
    if let ShapeKind::Series(_) = shape.kind
        && has_other_name(profile, shape)
    {
        forms.clear();
    }
    // What it does not read itself it puts under another name, if it says so.
    let has_other_name =
        shape.under.is_some() && others.last().is_some_and(|other| other.under != shape.under);
    let is_moved = |form: &Form| has_other_name && matches!(form, Form::List | Form::Object | Form::Rows);
    let is_left = forms.iter().any(|form| shape.kind.reads(*form) || is_moved(form));
    let other = others.last().filter(|_| !is_left)?;
    Some(format!(
        "nothing is left to read at {}: the shape at {} has taken it; leave one of the two out, or change their order",
        place(shape),
        place(other)
    ))
}

/// Whether the last shape at the place of a series puts what stands there under another name.
fn has_other_name(profile: &Profile, series: &ShapeRule) -> bool {
    let meets = |other: &&ShapeRule| {
        let places = series.at.as_ref().zip(other.at.as_ref());
        !matches!(other.kind, ShapeKind::Series(_)) && places.is_some_and(|(one, other)| one.meets(other))
    };
    profile.shapes.iter().rfind(meets).is_some_and(|last| last.under.is_some() && is_within(series, last))
}
