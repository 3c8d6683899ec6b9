//! Names that come from a topic: the `topic_name` of a profile.

/// What the levels of a topic make of a name: `{4}` stands for the fourth level, `{4...}` for it and all that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// A level, from 0.
    Level(usize),
    /// All levels from this one.
    From(usize),
}

impl TopicName {
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (level, after) = after.split_once('}').ok_or("`topic_name` has a { without its }")?;
            let (number, is_open) = match level.strip_suffix("...") {
                Some(number) => (number, true),
                None => (level, false),
            };
            let number = number.parse::<usize>().ok().filter(|number| (1..=8).contains(number));
            let place = number.ok_or_else(|| {
                format!("`topic_name`: {{{level}}} is no level of a topic; write {{1}} to {{8}}, or {{4...}}")
            })?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(if is_open { Piece::From(place - 1) } else { Piece::Level(place - 1) });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        if pieces.is_empty() { Err("`topic_name` is empty".to_owned()) } else { Ok(Self(pieces)) }
    }

    /// How many levels a topic has at least that it makes a name of.
    pub(super) fn least_levels(&self) -> usize {
        let levels = self.0.iter().map(|piece| match piece {
            Piece::Text(_) => 0,
            Piece::Level(place) | Piece::From(place) => place + 1,
        });
        levels.max().unwrap_or_default()
    }

    /// The name for a topic; `None` if it lacks one of the levels.
    pub(crate) fn fill(&self, topic: &str) -> Option<String> {
        let levels: Vec<&str> = topic.split('/').collect();
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Level(place) => name.push_str(levels.get(*place)?),
                Piece::From(place) => {
                    name.push_str(&levels.get(*place..).filter(|rest| !rest.is_empty())?.join("."));
                }
            }
        }
        (!name.is_empty()).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_a_topic_make_a_name() {
        let check = |text: &str, topic: &str, expected: Option<&str>| {
            assert_eq!(TopicName::new(text).unwrap().fill(topic).as_deref(), expected, "{text} {topic}");
        };
        check("{4}", "dt/s/d/temperature", Some("temperature"));
        check("{3...}", "a/b/c/d", Some("c.d"));
        check("x-{1}.{2}", "a/b", Some("x-a.b"));
        check("{3}", "a/b", None);
        check("{3...}", "a/b", None);
        check("{2}", "a//c", None);
        for bad in ["", "{", "{0}", "{9}", "{x}", "{4..}"] {
            assert!(TopicName::new(bad).is_err(), "{bad}");
        }
    }
}
