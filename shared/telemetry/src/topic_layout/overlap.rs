//! Topics that two filters both match: what both rules select would be stored twice.

use super::{TopicLayout, example_of};
use crate::topic::TopicFilter;

/// A topic that both filters match; `None` if there is none.
pub fn common_topic(a: &TopicFilter, b: &TopicFilter) -> Option<String> {
    common(&words(a), &words(b))
}

/// A topic that the rules of both layouts select.
pub(super) fn common_topic_of_layouts(a: &TopicLayout, b: &TopicLayout) -> Option<String> {
    common(&words_of_layout(a), &words_of_layout(b))
}

/// A topic that the rule of a layout and another filter both select.
pub(super) fn common_topic_with_filter(layout: &TopicLayout, filter: &TopicFilter) -> Option<String> {
    common(&words_of_layout(layout), &words(filter))
}

/// Whether a filter matches every topic that the rule of a layout selects.
pub(super) fn covers(filter: &TopicFilter, layout: &TopicLayout) -> bool {
    let (wide, narrow) = (words(filter), words_of_layout(layout));
    let (mut wide, mut narrow) = (wide.iter(), narrow.iter());
    loop {
        match (wide.next(), narrow.next()) {
            (Some(Word::Rest(_)), _) | (None, None) => return true,
            (Some(Word::Any(_)), Some(Word::Any(_) | Word::Literal(_))) => {}
            (Some(Word::Literal(a)), Some(Word::Literal(b))) if a == b => {}
            _ => return false,
        }
    }
}

/// A level of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Literal(String),
    /// One level, for example this.
    Any(String),
    /// Any number of levels, for example these.
    Rest(String),
}

impl Word {
    fn text(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Any(text) | Self::Rest(text) => text,
        }
    }
}

fn words(filter: &TopicFilter) -> Vec<Word> {
    filter.levels().map(|level| word(level, "x".to_owned())).collect()
}

/// The words of a layout's rule, with the levels of its example.
fn words_of_layout(layout: &TopicLayout) -> Vec<Word> {
    let filter = layout.rule_filter();
    let examples = layout.levels().iter().map(example_of);
    filter.levels().zip(examples).map(|(level, example)| word(level, example)).collect()
}

fn word(level: &str, example: String) -> Word {
    match level {
        "+" => Word::Any(example),
        "#" => Word::Rest(example),
        literal => Word::Literal(literal.to_owned()),
    }
}

/// A literal stands against a literal, `+` gives way to whatever stands against it, and a closing `#` to all levels that the
/// other has left, also to none.
fn common(a: &[Word], b: &[Word]) -> Option<String> {
    let mut topic: Vec<&str> = Vec::new();
    for place in 0..=a.len().max(b.len()) {
        match (a.get(place), b.get(place)) {
            (Some(_), Some(Word::Rest(_))) => {
                topic.extend(a[place..].iter().map(Word::text));
                break;
            }
            (Some(Word::Rest(_)), Some(_)) => {
                topic.extend(b[place..].iter().map(Word::text));
                break;
            }
            (None | Some(Word::Rest(_)), None) | (None, Some(Word::Rest(_))) => break,
            (Some(Word::Literal(a)), Some(Word::Literal(b))) if a != b => return None,
            (Some(Word::Any(_)), Some(Word::Literal(text)))
            | (Some(Word::Literal(text) | Word::Any(text)), Some(_)) => {
                topic.push(text);
            }
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
    Some(topic.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        text.parse().unwrap()
    }

    /// All filters of up to three levels over two literals.
    fn filters() -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut open = vec![String::new()];
        for _ in 0..3 {
            let longer = |text: &String| {
                let join = if text.is_empty() { "" } else { "/" };
                ["a", "b", "+", "#"].map(|level| format!("{text}{join}{level}"))
            };
            let made: Vec<String> = open.iter().flat_map(longer).collect();
            open = made.iter().filter(|text| !text.ends_with('#')).cloned().collect();
            all.extend(made);
        }
        all
    }

    /// All topics of up to four levels over these literals and one that no filter has.
    fn topics() -> Vec<String> {
        let mut all: Vec<String> = ["a", "b", "x"].map(str::to_owned).to_vec();
        let mut last = all.clone();
        for _ in 0..3 {
            last =
                last.iter().flat_map(|text| ["a", "b", "x"].map(|level| format!("{text}/{level}"))).collect();
            all.extend(last.clone());
        }
        all
    }

    #[test]
    fn a_common_topic_is_found_where_there_is_one() {
        let (filters, topics) = (filters(), topics());
        for a in &filters {
            let of_a: Vec<&String> = topics.iter().filter(|topic| filter(a).matches(topic)).collect();
            for b in &filters {
                let is_shared = of_a.iter().any(|topic| filter(b).matches(topic));
                let common = common_topic(&filter(a), &filter(b));
                assert_eq!(common.is_some(), is_shared, "{a} {b}");
                if let Some(common) = common {
                    assert!(filter(a).matches(&common) && filter(b).matches(&common), "{a} {b}: {common}");
                }
            }
        }
    }

    #[test]
    fn a_filter_covers_a_layout_if_it_matches_all_of_its_topics() {
        let topics = topics();
        for text in
            ["a/{device}", "a/{device}/b", "a/{device}/{metric}", "a/{device}/{metric...}", "a/b/{device}"]
        {
            let layout: TopicLayout = text.parse().unwrap();
            let of_layout: Vec<&String> =
                topics.iter().filter(|topic| layout.rule_filter().matches(topic)).collect();
            for wide in filters() {
                let is_wider = of_layout.iter().all(|topic| filter(&wide).matches(topic));
                // Topics of four levels cannot tell a third + from a #.
                let expected = is_wider && (!layout.is_open() || wide.ends_with('#'));
                assert_eq!(covers(&filter(&wide), &layout), expected, "{wide} {text}");
            }
        }
    }
}
