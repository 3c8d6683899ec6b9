//! Regular expressions as CloudFormation reads `AllowedPattern`, as far as the template uses them.
//!
//! Source: AWS CloudFormation User Guide, "Parameters" (the pattern has to match the whole value); `java.util.regex.Pattern`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// One part of an expression.
#[derive(Debug)]
enum Part {
    /// This character, or any of a class.
    One(Class),
    /// One of these, remembered under a number where it has one.
    Group(Option<usize>, Vec<Vec<Part>>),
    /// What follows has to match one of these, or none.
    Ahead { is_negative: bool, choices: Vec<Vec<Part>> },
    /// What the group of this number has matched.
    Same(usize),
    /// The end of the text.
    End,
    /// At least and at most so often.
    Repeat(Box<Part>, usize, usize),
}

#[derive(Debug)]
enum Class {
    /// Any character but those that end a line.
    NoLineEnd,
    /// One of these ranges.
    In(Vec<(char, char)>),
    /// None of them.
    NotIn(Vec<(char, char)>),
}

impl Class {
    fn has(&self, found: char) -> bool {
        let is_in = |ranges: &[(char, char)]| ranges.iter().any(|(from, to)| (*from..=*to).contains(&found));
        match self {
            Self::NoLineEnd => !"\n\r\u{85}\u{2028}\u{2029}".contains(found),
            Self::In(ranges) => is_in(ranges),
            Self::NotIn(ranges) => !is_in(ranges),
        }
    }
}

/// An expression.
#[derive(Debug)]
pub struct Pattern(Vec<Vec<Part>>);

impl Pattern {
    /// Reads an expression.
    ///
    /// # Panics
    /// If it has a construct that is not known here.
    pub fn read(text: &str) -> Self {
        let mut reader = Reader { rest: text.chars().collect(), at: 0, groups: 0 };
        let choices = reader.choices();
        assert_eq!(reader.at, reader.rest.len(), "{text}: read up to {}", reader.at);
        Self(choices)
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut groups = [None; 10];
        any(&self.0, &text, 0, &mut groups, &mut |at, _| at == text.len())
    }
}

/// From where to where each group has matched.
type Groups = [Option<(usize, usize)>; 10];
/// Whether the rest matches from a place on.
type Rest<'a> = &'a mut dyn FnMut(usize, &mut Groups) -> bool;

fn any(choices: &[Vec<Part>], text: &[char], at: usize, groups: &mut Groups, rest: Rest<'_>) -> bool {
    choices.iter().any(|parts| all(parts, text, at, groups, rest))
}

fn all(parts: &[Part], text: &[char], at: usize, groups: &mut Groups, rest: Rest<'_>) -> bool {
    match parts.split_first() {
        None => rest(at, groups),
        Some((part, more)) => {
            one(part, text, at, groups, &mut |at, groups| all(more, text, at, groups, rest))
        }
    }
}

fn one(part: &Part, text: &[char], at: usize, groups: &mut Groups, rest: Rest<'_>) -> bool {
    match part {
        Part::One(class) => text.get(at).is_some_and(|found| class.has(*found)) && rest(at + 1, groups),
        Part::End => at == text.len() && rest(at, groups),
        Part::Same(number) => {
            let Some((from, to)) = groups[*number] else { return false };
            text[at..].starts_with(&text[from..to]) && rest(at + to - from, groups)
        }
        Part::Ahead { is_negative, choices } => {
            any(choices, text, at, groups, &mut |_, _| true) != *is_negative && rest(at, groups)
        }
        Part::Group(number, choices) => any(choices, text, at, groups, &mut |end, groups| {
            let Some(number) = *number else { return rest(end, groups) };
            let before = groups[number].replace((at, end));
            let has_matched = rest(end, groups);
            if !has_matched {
                groups[number] = before;
            }
            has_matched
        }),
        Part::Repeat(part, least, most) => repeat(part, (*least, *most), text, at, groups, rest),
    }
}

fn repeat(
    part: &Part,
    (least, most): (usize, usize),
    text: &[char],
    at: usize,
    groups: &mut Groups,
    rest: Rest<'_>,
) -> bool {
    let again = most > 0
        && one(part, text, at, groups, &mut |next, groups| {
            // What matches nothing would match it for ever.
            let counts = (least.saturating_sub(1), most.saturating_sub(1));
            next > at && repeat(part, counts, text, next, groups, rest)
        });
    again || least == 0 && rest(at, groups)
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    groups: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> char {
        self.at += 1;
        self.rest[self.at - 1]
    }

    fn take(&mut self, expected: &str) -> bool {
        let is_next = self.rest[self.at..].starts_with(&expected.chars().collect::<Vec<_>>());
        self.at += if is_next { expected.len() } else { 0 };
        is_next
    }

    fn choices(&mut self) -> Vec<Vec<Part>> {
        let mut choices = vec![Vec::new()];
        while let Some(found) = self.peek().filter(|found| *found != ')') {
            if found == '|' {
                self.at += 1;
                choices.push(Vec::new());
                continue;
            }
            let part = self.part();
            let part = self.repeated(part);
            choices.last_mut().unwrap().push(part);
        }
        choices
    }

    fn part(&mut self) -> Part {
        match self.next() {
            '(' => self.group(),
            '[' => Part::One(self.class()),
            '.' => Part::One(Class::NoLineEnd),
            '$' => Part::End,
            '\\' => match self.next() {
                digit if digit.is_ascii_digit() => Part::Same(digit as usize - '0' as usize),
                escaped => Part::One(Class::In(vec![literal(escaped)])),
            },
            found => {
                assert!(!"*+?{^".contains(found), "{found} is not known here");
                Part::One(Class::In(vec![(found, found)]))
            }
        }
    }

    fn group(&mut self) -> Part {
        let is_negative = self.take("?!");
        let is_ahead = is_negative || self.take("?=");
        let is_plain = !is_ahead && self.take("?:");
        let number = (!is_ahead && !is_plain).then(|| {
            self.groups += 1;
            self.groups
        });
        let choices = self.choices();
        assert!(self.take(")"), "a group has no end");
        if is_ahead { Part::Ahead { is_negative, choices } } else { Part::Group(number, choices) }
    }

    fn class(&mut self) -> Class {
        let is_negative = self.take("^");
        let mut ranges = Vec::new();
        loop {
            match self.next() {
                ']' => break,
                '\\' => {
                    let escaped = self.next();
                    ranges.push(literal(escaped));
                }
                from if self.peek() == Some('-') => {
                    self.at += 1;
                    ranges.push((from, self.next()));
                }
                found => {
                    assert_ne!(found, '[', "a class in a class");
                    ranges.push((found, found));
                }
            }
        }
        if is_negative { Class::NotIn(ranges) } else { Class::In(ranges) }
    }

    fn repeated(&mut self, part: Part) -> Part {
        let (least, most) = match self.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                let from = self.at + 1;
                self.at = from + self.rest[from..].iter().position(|found| *found == '}').unwrap();
                let counts: String = self.rest[from..self.at].iter().collect();
                let (least, most) = counts.split_once(',').unwrap();
                (least.parse().unwrap(), most.parse().unwrap())
            }
            _ => return part,
        };
        self.at += 1;
        Part::Repeat(Box::new(part), least, most)
    }
}

/// A character that is escaped for itself.
fn literal(escaped: char) -> (char, char) {
    assert!(escaped.is_ascii_punctuation(), "\\{escaped} is not known here");
    (escaped, escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_java_says() {
        let check = |pattern: &str, matching: &[&str], others: &[&str]| {
            let read = Pattern::read(pattern);
            for text in matching {
                assert!(read.matches(text), "{pattern} {text:?}");
            }
            for text in others {
                assert!(!read.matches(text), "{pattern} {text:?}");
            }
        };
        check("a|bc", &["a", "bc"], &["", "b", "abc"]);
        check("(?:ab)*c?", &["", "ab", "ababc", "c"], &["abb", "cc"]);
        check("[a-c\\-]{1,2}", &["a", "-c"], &["", "d", "abc"]);
        check("[^/]+", &["ab", "\u{85}\n"], &["", "a/b"]);
        check("(?!a|b/)[a-z/]+", &["c", "ba"], &["ab", "b/c"]);
        check("(?=.*x)[a-z]+", &["ax", "x"], &["ab", "x1"]);
        check("(?!.*(a|b)\\1)[abc]*", &["abab", "cc"], &["aa", "cbb"]);
        check("(?=.*y).+", &["xy"], &["\u{2028}y", "\ny"]);
        check("a(?:/|$).*", &["a", "a/b"], &["ab"]);
    }
}
