//! Which names a profile speaks of, and what they become.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names as they are decoded, nested ones joined by dots: `*` stands for any run of characters within a level, once in
/// each; `**` as the first level for any number of levels, none among them. A JSON pointer (RFC 6901) is another way to
/// write the same: `/ENERGY/Power` is `ENERGY.Power`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern {
    text: String,
    /// Whether any levels may stand before these.
    is_at_any_depth: bool,
    levels: Vec<Level>,
    /// Dots of a name, or of its end, that the levels stand for.
    dots: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Exact(String),
    /// What stands before and after the star.
    Star(String, String),
}

impl TryFrom<String> for NamePattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut levels = levels_of(&text);
        let is_at_any_depth = levels.first().is_some_and(|first| first == ANY_DEPTH);
        if is_at_any_depth {
            levels.remove(0);
        }
        if levels.is_empty() {
            return Err("a name pattern is more than **");
        }
        if levels.iter().any(String::is_empty) {
            return Err("a name pattern has an empty level");
        }
        let level = |level: String| match level.split_once('*') {
            Some((_, after)) if after.contains('*') => Err("a level of a name pattern has more than one *"),
            Some((before, after)) => Ok(Level::Star(before.to_owned(), after.to_owned())),
            None => Ok(Level::Exact(level)),
        };
        let levels = levels.into_iter().map(level).collect::<Result<Vec<_>, _>>()?;
        let dots = levels.len() - 1 + levels.iter().map(Level::dots).sum::<usize>();
        Ok(Self { text, is_at_any_depth, levels, dots })
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.text
    }
}

/// The level that stands for any number of levels.
const ANY_DEPTH: &str = "**";

/// The levels of a name, or of a JSON pointer.
pub(super) fn levels_of(text: &str) -> Vec<String> {
    match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(unescape).collect(),
        None => text.split('.').map(str::to_owned).collect(),
    }
}

/// RFC 6901, section 4.
pub(super) fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

impl NamePattern {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The last level; `None` if it may be several.
    pub(crate) fn last_name(&self) -> Option<&str> {
        match self.levels.last()? {
            Level::Exact(name) => Some(name),
            Level::Star(..) => None,
        }
    }

    /// The only name that it stands for; `None` if there may be several.
    pub(crate) fn only_name(&self) -> Option<&str> {
        (self.stars() == 0 && !self.is_at_any_depth && !self.text.starts_with('/')).then_some(&*self.text)
    }

    /// Whether it stands for more than one name.
    pub(crate) fn may_be_several(&self) -> bool {
        self.stars() > 0 || self.is_at_any_depth
    }

    /// How many stars it has.
    pub(crate) fn stars(&self) -> usize {
        self.levels.iter().filter(|level| matches!(level, Level::Star(..))).count()
    }

    /// Whether it stands for names of any depth.
    pub(super) fn is_at_any_depth(&self) -> bool {
        self.is_at_any_depth
    }

    /// Names of the pattern that stand for all of them: `fresh`, a character that no pattern has, for each star, and one
    /// for each number of levels before, up to `depth`. Another pattern that matches each of them matches whatever this
    /// one does: what it has before and after its own stars does not reach beyond what this one has there.
    pub(super) fn witnesses(&self, fresh: char, depth: usize) -> Vec<String> {
        let level = |level: &Level| match level {
            Level::Exact(exact) => exact.clone(),
            Level::Star(before, after) => format!("{before}{fresh}{after}"),
        };
        let name = self.levels.iter().map(level).collect::<Vec<_>>().join(".");
        let depths = if self.is_at_any_depth { depth } else { 0 };
        (0..=depths).map(|count| format!("{fresh}.").repeat(count) + &name).collect()
    }

    /// How many levels its names have at least.
    pub(super) fn least_levels(&self) -> usize {
        self.dots + 1
    }

    /// Whether these patterns together match all names that this one does.
    pub(super) fn is_covered_by(&self, others: &[&Self]) -> bool {
        let depth = others.iter().map(|other| other.least_levels()).max().unwrap_or_default();
        let fresh = fresh(&others.iter().map(|other| &*other.text).chain([&*self.text]));
        let is_met = |name: &String| others.iter().any(|other| other.matches(name));
        self.witnesses(fresh, depth).iter().all(is_met)
    }

    /// Whether it matches all names that `other` does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.is_covered_by(&[self])
    }

    /// Whether some name is of both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (one, two) = (self.dotless_levels(), other.dotless_levels());
        let has_same_depth = match (self.is_at_any_depth, other.is_at_any_depth) {
            (true, true) => true,
            (true, false) => one.len() <= two.len(),
            (false, true) => two.len() <= one.len(),
            (false, false) => one.len() == two.len(),
        };
        has_same_depth && one.iter().rev().zip(two.iter().rev()).all(|(one, two)| one.meets(two))
    }

    /// Its levels, those that have dots themselves as several.
    fn dotless_levels(&self) -> Vec<Level> {
        let exact =
            |text: &str| text.split('.').map(|level| Level::Exact(level.to_owned())).collect::<Vec<_>>();
        let levels = self.levels.iter().flat_map(|level| match level {
            Level::Exact(text) => exact(text),
            Level::Star(before, after) => {
                let (outer, before) = before
                    .rsplit_once('.')
                    .map_or((None, &**before), |(outer, before)| (Some(outer), before));
                let (after, inner) =
                    after.split_once('.').map_or((&**after, None), |(after, inner)| (after, Some(inner)));
                let star = Level::Star(before.to_owned(), after.to_owned());
                outer
                    .map(exact)
                    .into_iter()
                    .flatten()
                    .chain([star])
                    .chain(inner.map(exact).into_iter().flatten())
                    .collect()
            }
        });
        levels.collect()
    }

    /// The template that gives each name back, with `{1}` for the first star; `None` where none can.
    pub(super) fn identity(&self) -> Option<String> {
        if self.is_at_any_depth || self.text.contains(['{', '}']) {
            return None;
        }
        let mut stars = 0;
        let mut level = |level: &Level| match level {
            Level::Exact(exact) => exact.clone(),
            Level::Star(before, after) => {
                stars += 1;
                format!("{before}{{{stars}}}{after}")
            }
        };
        Some(self.levels.iter().map(&mut level).collect::<Vec<_>>().join("."))
    }

    /// What the stars stand for in `name`; `None` if it is none of these names. Each level of the pattern is as many
    /// of the name as it has dots itself, so that a pointer finds names with dots in them.
    pub(crate) fn captures<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let mut captures = Vec::new();
        self.each_star(name, |star| captures.push(star)).then_some(captures)
    }

    /// Whether `name` is one of these names.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.each_star(name, |_| ())
    }

    /// Whether `name` is one of these names; what the stars stand for goes to `take`, as far as it fits.
    fn each_star<'n>(&self, name: &'n str, mut take: impl FnMut(&'n str)) -> bool {
        // Most patterns have another number of levels, which is told at once.
        let Some(before) = name.bytes().filter(|byte| *byte == b'.').count().checked_sub(self.dots) else {
            return false;
        };
        if before > 0 && !self.is_at_any_depth {
            return false;
        }
        let mut begins = name.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(dot, _)| dot + 1);
        let begin = if before == 0 { 0 } else { begins.nth(before - 1).unwrap_or_default() };
        let mut rest = name.get(begin..);
        for level in &self.levels {
            let Some(text) = rest else { return false };
            let mut ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
            let end = ends.nth(level.dots()).map_or(text.len(), |(end, _)| end);
            let part = &text[..end];
            rest = text.get(end + 1..);
            match level {
                Level::Exact(exact) if exact == part => {}
                Level::Exact(_) => return false,
                Level::Star(before, after) => {
                    let star = part.strip_prefix(&**before).and_then(|part| part.strip_suffix(&**after));
                    let Some(star) = star else { return false };
                    take(star);
                }
            }
        }
        rest.is_none()
    }
}

/// A character that none of these texts has.
pub(super) fn fresh<'t>(texts: &(impl Iterator<Item = &'t str> + Clone)) -> char {
    let is_free = |c: &char| texts.clone().all(|text| !text.contains(*c));
    ('\u{e000}'..='\u{f8ff}').find(is_free).unwrap_or('\u{f8ff}')
}

impl Level {
    /// Whether some text is of both.
    fn meets(&self, other: &Self) -> bool {
        let fits = |exact: &str, before: &str, after: &str| {
            exact.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
        };
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Exact(exact), Self::Star(before, after))
            | (Self::Star(before, after), Self::Exact(exact)) => fits(exact, before, after),
            (Self::Star(before, after), Self::Star(other_before, other_after)) => {
                (before.starts_with(&**other_before) || other_before.starts_with(&**before))
                    && (after.ends_with(&**other_after) || other_after.ends_with(&**after))
            }
        }
    }

    /// Dots in the level itself, which only a pointer can have.
    fn dots(&self) -> usize {
        let dots = |text: &str| text.bytes().filter(|byte| *byte == b'.').count();
        match self {
            Self::Exact(exact) => dots(exact),
            Self::Star(before, after) => dots(before) + dots(after),
        }
    }
}

/// What a name becomes: `{1}` stands for what the first star of the pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The place of a star, from 0.
    Star(usize),
    /// Any run of characters within a level.
    Any,
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Star(star) => write!(f, "{{{}}}", star + 1),
            Piece::Any => f.write_str("*"),
        })
    }
}

impl NameTemplate {
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn new(text: &str, stars: usize) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (number, after) = after.split_once('}').ok_or("has a { without its }")?;
            let star = number.parse::<usize>().ok().filter(|number| (1..=stars).contains(number));
            let star = star.ok_or_else(|| format!("{{{number}}} is none of the {stars} stars in `from`"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Star(star - 1));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if pieces.is_empty() { Err("is empty".to_owned()) } else { Ok(Self(pieces)) }
    }

    /// As [`NameTemplate::new`], of a pattern: `*` stands for any run of characters within a level.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(super) fn with_wildcards(text: &str, stars: usize) -> Result<Self, String> {
        let Self(pieces) = Self::new(text, stars)?;
        let split = |piece: Piece| match piece {
            Piece::Text(text) => {
                let mut parts = Vec::new();
                for (number, part) in text.split('*').enumerate() {
                    if number > 0 {
                        parts.push(Piece::Any);
                    }
                    if !part.is_empty() {
                        parts.push(Piece::Text(part.to_owned()));
                    }
                }
                parts
            }
            piece => vec![piece],
        };
        let template = Self(pieces.into_iter().flat_map(split).collect());
        let example = template.fill(&vec!["x"; stars]);
        NamePattern::try_from(example)?;
        Ok(template)
    }

    /// Whether what this star stands for is part of it.
    pub(super) fn uses(&self, star: usize) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Star(known) if *known == star))
    }

    /// Whether it has more than stars.
    pub(super) fn has_text(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The name for what the stars stand for.
    pub(crate) fn fill(&self, captures: &[&str]) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Star(star) => captures.get(*star).copied().unwrap_or_default().to_owned(),
            Piece::Any => "*".to_owned(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Whether `metric` may have come out of it. Each text between stars is taken where it first fits, the last at the
    /// end, which finds a fit if there is one.
    pub(crate) fn makes(&self, metric: &str) -> bool {
        let mut rest = metric;
        let mut after_star = false;
        let last = self.0.len().saturating_sub(1);
        for (number, piece) in self.0.iter().enumerate() {
            let Piece::Text(text) = piece else {
                after_star = true;
                continue;
            };
            let found = match (after_star, number == last) {
                (true, true) => rest.ends_with(&**text).then(|| rest.len() - text.len()),
                (true, false) => rest.find(&**text),
                (false, _) => rest.starts_with(&**text).then_some(0),
            };
            let Some(place) = found else { return false };
            rest = rest.get(place + text.len()..).unwrap_or_default();
            after_star = false;
        }
        after_star || rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn patterns_cover_others_level_by_level() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(pattern(a).covers(&pattern(b)), expected, "{a} {b}");
        };
        check("*", "a", true);
        check("a", "*", false);
        check("a*", "ab*c", true);
        check("ab*", "a*", false);
        check("a*a", "a", false);
        check("*.t", "x.t", true);
        check("*", "a.b", false);
        check("**.t", "a.*.t", true);
        check("**.t", "**.a.t", true);
        check("**.a.t", "**.t", false);
        check("*.t", "**.t", false);
        check("/a.b/*", "a.b.*", true);
        check("/a.b*/*", "a.*.c", false);
        check("a.*.*", "/a.b*/*", true);
        let many = [pattern("t"), pattern("**.*.t"), pattern("u")];
        assert!(pattern("**.t").is_covered_by(&many.iter().collect::<Vec<_>>()));
        assert!(!pattern("**.t").is_covered_by(&[&many[1], &many[2]]));
    }

    const LEVELS: [&str; 8] = ["a", "b", "*", "a*", "*b", "a*b", "ab", "*a"];

    fn patterns() -> impl Strategy<Value = NamePattern> {
        (any::<bool>(), proptest::collection::vec(select(&LEVELS[..]), 1..4)).prop_map(|(is_deep, levels)| {
            pattern(&format!("{}{}", if is_deep { "**." } else { "" }, levels.join(".")))
        })
    }

    proptest! {
        /// All names of up to four levels out of six texts: whether patterns cover another is what they show.
        #[test]
        fn a_pattern_is_covered_if_all_its_names_are_matched(one in patterns(), others in proptest::collection::vec(patterns(), 1..3)) {
            let others: Vec<_> = others.iter().collect();
            let mut met = false;
            let mut names: Vec<String> = vec![String::new()];
            let mut shown = true;
            for _ in 0..4 {
                let texts = ["a", "b", "ab", "x", "axb", "bxa", "axa", "xb", "bx", "xa", "ax"];
                names = names.iter().flat_map(|name| texts.map(|text| format!("{name}{}{text}", if name.is_empty() { "" } else { "." }))).collect();
                met |= names.iter().any(|name| one.matches(name) && others[0].matches(name));
                let is_missed = |name: &&String| one.matches(name) && !others.iter().any(|other| other.matches(name));
                shown &= !names.iter().any(|name| is_missed(&name));
            }
            prop_assert_eq!(one.is_covered_by(&others), shown);
            prop_assert_eq!(one.meets(others[0]), met);
        }
    }

    #[test]
    fn patterns_match_level_by_level() {
        let check = |pattern: &str, name: &str, expected: Option<&[&str]>| {
            let pattern = NamePattern::try_from(pattern.to_owned()).unwrap();
            assert_eq!(pattern.captures(name).as_deref(), expected, "{pattern:?} {name}");
        };
        check("temperature", "temperature", Some(&[]));
        check("temperature", "temperature.value", None);
        check("*.Temperature", "DS18B20.Temperature", Some(&["DS18B20"]));
        check("*.Temperature", "a.b.Temperature", None);
        check("switch:*.aenergy.total", "switch:0.aenergy.total", Some(&["0"]));
        check("/ENERGY/Power", "ENERGY.Power", Some(&[]));
        check("/a~1b/*", "a/b.c", Some(&["c"]));
        check("/uplink.port/x", "uplink.port.x", Some(&[]));
        check("a.*.b.*", "a.1.b.2", Some(&["1", "2"]));
        check("a", "", None);
        check("**.v", "v", Some(&[]));
        check("**.v", "a.b.v", Some(&[]));
        check("**.v", "a.bv", None);
        check("**.data.*", "x.data.7", Some(&["7"]));
        check("**.data.*", "data", None);
        check("/**/a~1b", "x.a/b", Some(&[]));
        for bad in ["", "a..b", "/", "a.**", "a.b*c*", "**", "**."] {
            assert!(NamePattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn templates_are_filled_with_what_the_stars_stand_for() {
        let template = NameTemplate::new("{2}.power.{1}", 2).unwrap();
        assert_eq!(template.fill(&["a", "b"]), "b.power.a");
        assert!(template.makes("b.power.a") && !template.makes("b.energy.a"));
        assert!(NameTemplate::new("power", 0).unwrap().makes("power"));
        assert!(!NameTemplate::new("power", 0).unwrap().makes("powers"));
        assert!(NameTemplate::new("{1}.x", 1).unwrap().makes("a.x.x"));
        assert!(NameTemplate::new("a{1}b{1}", 1).unwrap().makes("axbb"));
        assert!(!NameTemplate::new("a{1}b", 1).unwrap().makes("ac"));
        for bad in ["", "{", "{0}", "{3}", "{x}"] {
            assert!(NameTemplate::new(bad, 2).is_err(), "{bad}");
        }
    }
}
