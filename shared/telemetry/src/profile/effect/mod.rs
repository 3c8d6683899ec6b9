//! What of a profile can have no effect on any payload, or collides: what `check` warns of.
//!
//! A warning is certain as far as names are decoded to their places; where the profile alone cannot know, there is none.
//! Patterns are compared by names that stand for all that they match ([`NamePattern::is_covered_by`]).

mod bytes;
mod metrics;
mod roles;
mod shapes;

use super::written::{Problems, ProfileFields, Step, Texts};
use super::{NamePattern, Profile};

/// What is to be warned of.
pub(super) fn warnings(profile: &Profile) -> Problems {
    let mut problems = Problems::default();
    // It is what the profile was made of.
    let Ok(fields) = serde_json::from_str::<ProfileFields>(&profile.document) else { return problems };
    repeated("topics", &fields.topics, &mut problems);
    repeated("devices", &fields.devices, &mut problems);
    for (index, leniency) in profile.lenient.iter().enumerate() {
        if profile.lenient.get(..index).is_some_and(|before| before.contains(leniency)) {
            let path = [Step::Key("lenient"), Step::Index(index)];
            problems.add(&path, "`lenient`: this word stands here twice: leave one out");
        }
    }
    topic_name(profile, &mut problems);
    covered("ignore", &profile.ignore, &mut problems);
    covered("documents", &profile.documents, &mut problems);
    roles::warn(profile, &fields, &mut problems);
    shapes::warn(profile, &mut problems);
    metrics::warn(profile, &fields, &mut problems);
    bytes::warn(profile, &fields, &mut problems);
    problems
}

/// A text that stands in a list before.
fn repeated(key: &'static str, texts: &Texts, problems: &mut Problems) {
    for (index, text) in texts.0.iter().enumerate() {
        if texts.0[..index].contains(text) {
            problems.add(
                &[Step::Key(key), Step::Index(index)],
                format!("`{key}`: {text} stands here twice: leave one out"),
            );
        }
    }
}

/// A pattern of which others find all names; of two that find the same the second.
fn covered(key: &'static str, patterns: &[NamePattern], problems: &mut Problems) {
    let mut left: Vec<usize> = (0..patterns.len()).collect();
    let mut found = Vec::new();
    for (index, pattern) in patterns.iter().enumerate().rev() {
        let others: Vec<&NamePattern> =
            left.iter().filter(|other| **other != index).map(|other| &patterns[*other]).collect();
        if !others.is_empty() && pattern.is_covered_by(&others) {
            left.retain(|other| *other != index);
            found.push((index, covering(pattern, &others)));
        }
    }
    for (index, cover) in found.into_iter().rev() {
        let text = format!("`{key}`: {cover} finds all that {} does: leave it out", patterns[index].as_str());
        problems.add(&[Step::Key(key), Step::Index(index)], text);
    }
}

/// Which of these patterns finds all names of another, in words.
fn covering(pattern: &NamePattern, others: &[&NamePattern]) -> String {
    match others.iter().find(|other| other.covers(pattern)) {
        Some(other) => other.as_str().to_owned(),
        None => {
            let texts = others.iter().map(|other| other.as_str()).collect::<Vec<_>>();
            format!("one of {}", texts.join(", "))
        }
    }
}

/// A level that no topic has which the profile is for.
fn topic_name(profile: &Profile, problems: &mut Problems) {
    let Some(name) = &profile.topic_name else { return };
    let most = profile.topics.iter().map(|topic| topic.most_levels()).collect::<Option<Vec<_>>>();
    let Some(most) = most.and_then(|most| most.into_iter().max()) else { return };
    if name.least_levels() > most {
        let text = format!(
            "`topic_name` needs a topic of {} levels, and those of `topics` have {most}: name a level that they have",
            name.least_levels()
        );
        problems.add(&[Step::Key("topic_name")], text);
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::Profile;

    /// The warnings of a profile that begins with two good lines.
    fn warnings(rest: &str) -> Vec<(Option<usize>, String)> {
        let text = format!("name = \"p\"\ndevices = \"*/*\"\n{rest}");
        let (_, warnings) = Profile::check_toml(&text).unwrap_or_else(|error| panic!("{rest}: {error}"));
        warnings.into_iter().map(|warning| (warning.line, warning.text)).collect()
    }

    fn check(rest: &str, line: usize, reason: &str) {
        let found = warnings(rest);
        let is_told = |(at, text): &(Option<usize>, String)| *at == Some(line) && text.contains(reason);
        assert!(found.len() == 1 && found.iter().all(is_told), "{rest}: {found:#?}");
    }

    fn check_none(rest: &str) {
        assert_eq!(warnings(rest), [], "{rest}");
    }

    const FIELDS: &str = "[[field]]\nname = \"n\"\noffset = 0\ntype = \"u8\"\n";

    #[test]
    fn lists_are_warned_of_what_others_find() {
        check("topics = [\"a/b\", \"a/b\"]", 3, "stands here twice");
        check("ignore = [\"a\",\n\"*\"]", 3, "* finds all that a does");
        check("documents = [\"**.b\",\n\"a.*\",\n\"/x/b\"]", 5, "**.b finds all that /x/b does");
        check("ignore = [\"a\",\n\"a\"]", 4, "a finds all that a does");
        check_none("ignore = [\"a.b\", \"a.*c\"]");
        check(
            "topics = \"a/+\"\ntopic_name = \"{3}\"",
            4,
            "needs a topic of 3 levels, and those of `topics` have 2",
        );
        check_none("topics = [\"a/+\", \"b/#\"]\ntopic_name = \"{3}\"");
    }

    #[test]
    fn a_member_is_one_thing_only() {
        check(
            "time.field = [\"*\",\n\"ts\"]",
            4,
            "ts is never looked at: its members are what * says before",
        );
        check("gateway = \"id\"\ntime.field = \"id\"", 3, "id is never the name of a device");
        check("[time]\njoin = [\"d\", \"d\"]", 4, "d is never a part of a time");
        check("[time]\nfield = \"t\"\nfraction = \"t\"\nfraction_unit = \"ms\"", 5, "never the fraction");
        check("[time]\nfield = \"q\"\n[quality]\nfield = \"q\"", 6, "q says nothing as a quality");
        check("[time]\nformat = [\"%Y%m%d%H%M%S\", \"%Y%m%d%H%M%S\"]", 4, "stands here twice");
        check_none("time.field = [\"a\", \"*\"]\nquality.field = \"b.q\"");
        // Texts that no format reads are read as usual: the zone is of use.
        check_none("[time]\nzone = \"Europe/Berlin\"\nformat = \"%Y%m%d%H%M%S%z\"");
    }

    fn metric(keys: &str) -> String {
        format!("[[metric]]\n{}\n", keys.replace("; ", "\n"))
    }

    #[test]
    fn metrics_that_nothing_reaches_are_found() {
        let first = metric("from = \"*.t\"; unit = \"Cel\"");
        check(
            &format!("{first}{}", metric("from = \"a.t\"; unit = \"K\"")),
            7,
            "no name reaches a.t: *.t stands before it",
        );
        let same = metric("from = \"*.*\"; unit = \"Cel\"");
        check(&format!("{first}{same}"), 4, "*.* says of *.t what this rule does");
        check_none(&format!("{first}{}", metric("from = \"a.t.b\"; unit = \"K\"")));
        // A deadband is looked up by the metric alone.
        check_none(&format!("{first}{}", metric("from = \"a.t\"; deadband = 1")));
        check(&format!("ignore = \"*.t\"\n{first}"), 5, "becomes no reading: *.t of `ignore` leaves it out");
        check(&metric("from = [\"a*\",\n\"ab*\"]; scale = 2"), 5, "no name reaches ab*");
        check(&metric("from = \"a\""), 4, "says nothing of it");
        check_none(&metric("from = \"temperature_F\""));
        check_none(&metric("from = \"*\""));
        check_none(&format!("{}{first}", metric("from = \"a.t\"")));
    }

    #[test]
    fn names_that_merge_are_found() {
        check(
            &metric("from = \"*.a.*\"; name = \"{2}\""),
            5,
            "what star 1 of *.a.* stands for is no part of it",
        );
        check(&metric("from = \"**.a\"; name = \"x\""), 5, "**.a finds names at several places");
        let one = metric("from = \"a\"; name = \"x\"");
        check(&format!("{one}{}", metric("from = \"b\"; name = \"x\"")), 8, "a, b all become x");
        check(&format!("{one}{}", metric("from = \"x\"; unit = \"V\"")), 7, "a, x all become x");
        let star = metric("from = \"*.a\"; name = \"{1}\"");
        check(&format!("{star}{}", metric("from = \"*.b\"; name = \"{1}\"")), 8, "*.a, *.b all become {1}");
        check_none(&metric("from = [\"a\", \"b\"]; name = \"x\""));
        check_none(&metric("from = [\"x\", \"b\"]; name = \"x\""));
        let in_units = |one: &str, other: &str| {
            let one = metric(&format!("from = \"a\"; name = \"x\"; unit = \"{one}\""));
            one + &metric(&format!("from = \"b\"; name = \"x\"; unit = \"{other}\""))
        };
        check_none(&in_units("Cel", "degF"));
        check(&in_units("Cel", "Cel"), 9, "a, b all become x");
        check(&in_units("Cel", "V"), 9, "a, b all become x");
        let map = metric("from = \"b\"; name = \"x\"; map = { ON = true }");
        check_none(&format!("{one}{map}"));
        let suffix = metric("from = \"*_c\"; name = \"{1}\"; unit = \"Cel\"");
        check_none(&format!("{suffix}{}", metric("from = \"*_v\"; name = \"{1}\"; unit = \"V\"")));
        check(&metric("from = \"a\"; name = \"a\""), 5, "how it is called anyway");
    }

    #[test]
    fn units_that_are_none_are_found() {
        let of = |source: &str| metric(&format!("from = \"*.v\"; unit_from = \"{source}\""));
        check(
            &format!("time.field = \"*.u\"\n{}", of("{1}.u")),
            6,
            "`unit_from` {1}.u is never a unit: the profile says by *.u",
        );
        check(&format!("documents = \"u\"\n{}", of("u")), 6, "is never a unit");
        check(&format!("[[shape]]\nat = \"u\"\nas = \"pairs\"\n{}", of("u")), 8, "is never a unit");
        check_none(&format!("time.field = \"a.u\"\n{}", of("{1}.u")));
        // What is left out says a unit nevertheless.
        check_none(&format!("ignore = \"u\"\n{}", of("u")));
        check_none(&format!("topic_name = \"{{4}}\"\ntime.field = \"u\"\n{}", of("u")));
    }

    #[test]
    fn keys_that_change_nothing_are_found() {
        check(&metric("from = \"a\"; unit = \"V\"; scale = 1"), 6, "changes nothing");
        check(&metric("from = \"a\"; unit = \"V\"; offset = 0"), 6, "changes nothing");
        check(&metric("from = \"a\"; type = \"text\"; range = [0, 1]"), 6, "`range` is of numbers");
        check(&metric("from = \"a\"; type = \"boolean\"; sentinels = [0]"), 6, "`sentinels` is of numbers");
        check(&metric("from = \"a\"; map = { ON = \"ON\", \"7\" = \"7\" }"), 5, "\"ON\" stands for itself");
        check(
            &metric("from = \"a\"; map = { \"7\" = \"x\" }; sentinels = [7]"),
            6,
            "no value is 7, as `map` says",
        );
        let of_document = metric("from = \"a\"; map = { ON = 1 }");
        check(&format!("documents = \"a\"\n{of_document}"), 6, "no value is \"ON\" here");
        check_none(&metric("from = \"a\"; map = { \"007\" = 1 }"));
        check_none(&format!("numbers_as_text = true\n{}", metric("from = \"a\"; map = { \"007\" = 1 }")));
        let number = "[[shape]]\nat = \"*\"\nas = \"number\"\n";
        check(
            &format!("{number}{}", metric("from = \"a\"; map = { \"007\" = 1 }")),
            8,
            "no value is \"007\" here",
        );
        check_none(&format!("{number}{}", metric("from = \"a\"; map = { \"7\" = 1, ON = true }")));
        let bytes = format!("format = \"bytes\"\n{}", metric("from = \"n\"; map = { ON = 1 }"));
        check(&format!("{bytes}{FIELDS}"), 6, "no value is \"ON\" here");
    }

    fn shape(keys: &str) -> String {
        format!("[[shape]]\n{}\n", keys.replace("; ", "\n"))
    }

    #[test]
    fn shapes_that_read_nothing_are_found() {
        let check_two = |one: &str, other: &str, reason: &str| {
            let profile = format!("{}{}", shape(one), shape(other));
            let line = 3 + one.matches("; ").count() + 3;
            match reason {
                "" => check_none(&profile),
                reason => check(&profile, line, reason),
            }
        };
        let rows = "at = \"l\"; as = \"rows\"; columns = [\"id\"]";
        let both = format!("{}{}", shape(rows), shape("at = \"*\"; as = \"rows\"; columns = [\"id\"]"));
        check(&both, 4, "* reads what stands at l as this shape does");
        let under = format!(
            "{}{}",
            shape(&format!("{rows}; under = \"x\"")),
            shape("at = \"l\"; as = \"records\"; name = \"{id}\"")
        );
        check(&under, 7, "`under` is of no use");
        let document = shape("at = \"l\"; as = \"document\"");
        assert_eq!(warnings(&format!("documents = \"*\"\n{document}")).len(), 1);
        let left = "nothing is left to read at";
        let records = "at = \"l\"; as = \"records\"; name = \"{id}\"";
        check_two(records, "at = \"l\"; as = \"rows\"; columns = [\"a\"]", left);
        check_two("at = \"l\"; as = \"rows\"; columns = [\"id\"]", records, "");
        check_two("at = \"*\"; as = \"pairs\"", "at = \"l\"; as = \"number\"", left);
        check_two("at = \"l\"; as = \"pairs\"", "at = \"l\"; as = \"records\"; name = \"{}\"", "");
        check_two(
            "at = \"*\"; as = \"number\"",
            "at = \"l\"; as = \"number\"",
            "are read by the shape before",
        );
        check_two("at = \"l\"; as = \"number\"", "at = \"l\"; as = \"number\"; decimal = \",\"", "");
        check_two("at = \"l\"; as = \"document\"", "at = \"l\"; as = \"number\"", "");
        check_two("at = \"l\"; as = \"list\"; into = [\"a\"]", "at = \"l\"; as = \"series\"; rate = 1", left);
        check_two(
            "at = \"*\"; as = \"series\"; rate = 2",
            "at = \"l\"; as = \"series\"; rate = 1",
            "is described before",
        );
        // A member may have a dot in its name.
        check_two("at = \"l\"; as = \"document\"; under = \"\"", "at = \"l.a\"; as = \"number\"", "");
        check_two(
            "at = \"o.a\"; as = \"rows\"; columns_from = \"c\"",
            "at = \"o.b\"; as = \"rows\"; columns_from = \"c\"",
            "",
        );
        check_two(
            "at = \"*.a\"; as = \"rows\"; columns_from = \"c\"",
            "at = \"o.a\"; as = \"rows\"; columns_from = \"c\"",
            "are named by the shape before",
        );
        check_two(
            "at = \"o.a\"; as = \"rows\"; columns_from = \"c\"",
            "at = \"p.b\"; as = \"rows\"; columns_from = \"c\"",
            "",
        );
        check(
            &format!("format = \"senml\"\n{}", shape("at = \"l\"; as = \"number\"")),
            6,
            "no places to describe",
        );
        check(&shape("as = \"pairs\"; separator = \"\\n\""), 5, "several lines");
        check_none(&format!("format = \"text\"\n{}", shape("as = \"pairs\"; separator = \"\\n\"")));
        check_none(&shape("as = \"pairs\""));
        check(
            &format!("documents = \"a\"\n{}", shape("at = \"*\"; as = \"pairs\"")),
            3,
            "[[shape]] at * reads these texts",
        );
    }

    #[test]
    fn what_is_left_out_is_found() {
        let number = shape("at = \"b.x\"; as = \"number\"");
        check(&format!("ignore = \"*.x\"\n{number}"), 5, "the numbers at b.x are left out by *.x");
        // What is left out may be a time nevertheless.
        check_none(&format!("ignore = \"*.x\"\ntime.field = \"b.x\"\n{number}"));
        check_none(&format!("ignore = \"**.ts\"\n{}", shape("at = \"ts\"; as = \"number\"")));
        check_none(&format!("ignore = \"**.*\"\n{}", shape("at = \"*\"; as = \"number\"")));
        check(&format!("ignore = \"*\"\n{FIELDS}"), 5, "the field n is left out by * of `ignore`");
        check_none(&format!("ignore = \"n\"\ntime.field = \"n\"\n{FIELDS}"));
        check_none(&format!(
            "ignore = \"n\"\n{}{FIELDS}",
            shape("at = \"d\"; as = \"fields\"; encoding = \"hex\"")
        ));
        let json = format!(
            "format = \"json\"\n{}{FIELDS}",
            shape("at = \"d\"; as = \"fields\"; encoding = \"hex\"")
        );
        check(&format!("{json}port = 2"), 12, "only uplinks have a `port`");
        let bytes = format!("format = \"bytes\"\nignore = \"x.y\"\n{FIELDS}");
        check(&bytes, 4, "no [[field]] is called x.y");
        check(
            &format!("format = \"bytes\"\n{FIELDS}{}", metric("from = \"m\"; unit = \"V\"")),
            9,
            "no [[field]] is called m",
        );
        check_none(&format!("format = \"bytes\"\n{FIELDS}{}", metric("from = \"x.n\"; unit = \"V\"")));
        let of_text = metric("from = \"n\"; unit_from = \"u\"");
        check(&format!("format = \"bytes\"\n{FIELDS}{of_text}"), 10, "bytes have none");
        check(&format!("{FIELDS}scale = 1"), 7, "changes nothing");
        check(&format!("{FIELDS}add = 0"), 7, "changes nothing");
    }
}
