//! What the expressions of DynamoDB's own API are made of: tokens, paths, and the names (`#n`) and values (`:v`) that a
//! request gives beside them ("Expressions in DynamoDB" in the developer guide).
//!
//! Documented: the 4 KB of an expression, the reserved words, and that names and values begin with `#` and `:`.
//! The wording of the refusals, and that an unused name or value is one, is what DynamoDB is known to answer; the
//! documentation does not give it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::{self, Path};
use super::dynamodb::Refusal;
use super::item;
use super::reserved::is_reserved;

/// Bytes of one expression ("Service, account, and table quotas").
const EXPRESSION_LIMIT: usize = 4 * 1024;
/// How deep parts of an expression may lie in each other here; DynamoDB's own bound is on operators, and not named for
/// conditions.
const DEPTH_LIMIT: usize = 64;

/// `ExpressionAttributeNames` of a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Names(BTreeMap<String, String>);

/// `ExpressionAttributeValues` of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Values(Map<String, Value>);

/// The names and values of one request, and which of them its expressions have used.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    names: BTreeMap<String, String>,
    values: Map<String, Value>,
    used: BTreeSet<String>,
}

impl Attributes {
    /// Checks the names and values by themselves.
    pub(super) fn new(names: Option<Names>, values: Option<Values>) -> Result<Self, Refusal> {
        let empty = |what: &str| Refusal::validation(format!("{what} must not be empty"));
        if names.as_ref().is_some_and(|names| names.0.is_empty()) {
            return Err(empty("ExpressionAttributeNames"));
        }
        if values.as_ref().is_some_and(|values| values.0.is_empty()) {
            return Err(empty("ExpressionAttributeValues"));
        }
        let names = names.map(|names| names.0).unwrap_or_default();
        let values = values.map(|values| values.0).unwrap_or_default();
        for name in names.keys() {
            check_prefix("ExpressionAttributeNames", name, '#')?;
        }
        for (name, value) in &values {
            check_prefix("ExpressionAttributeValues", name, ':')?;
            if let Some(problem) = item::value_problem(value) {
                let message =
                    format!("ExpressionAttributeValues contains invalid value: {problem} for key {name}");
                return Err(Refusal::validation(message));
            }
        }
        Ok(Self { names, values, used: BTreeSet::new() })
    }

    /// Refuses names and values that no expression has used.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        check_used("ExpressionAttributeNames", self.names.keys(), &self.used)?;
        check_used("ExpressionAttributeValues", self.values.keys(), &self.used)
    }

    fn name(&mut self, what: &str, alias: &str) -> Result<String, Refusal> {
        self.used.insert(alias.to_owned());
        self.names.get(alias).cloned().ok_or_else(|| {
            invalid(
                what,
                &format!(
                    "An expression attribute name used in the document path is not defined; attribute name: {alias}"
                ),
            )
        })
    }

    fn value(&mut self, what: &str, placeholder: &str) -> Result<Value, Refusal> {
        self.used.insert(placeholder.to_owned());
        self.values.get(placeholder).cloned().ok_or_else(|| {
            invalid(
                what,
                &format!(
                    "An expression attribute value used in expression is not defined; attribute value: {placeholder}"
                ),
            )
        })
    }
}

fn check_prefix(what: &str, name: &str, prefix: char) -> Result<(), Refusal> {
    let rest = name.strip_prefix(prefix).unwrap_or_default();
    if !rest.is_empty() && rest.chars().all(is_name) {
        return Ok(());
    }
    Err(Refusal::validation(format!("{what} contains invalid key: Syntax error; key: \"{name}\"")))
}

fn check_used<'n>(
    what: &str,
    names: impl Iterator<Item = &'n String>,
    used: &BTreeSet<String>,
) -> Result<(), Refusal> {
    let unused: Vec<_> = names.filter(|name| !used.contains(*name)).map(String::as_str).collect();
    if unused.is_empty() {
        return Ok(());
    }
    let unused = unused.join(", ");
    Err(Refusal::validation(format!("Value provided in {what} unused in expressions: keys: {{{unused}}}")))
}

fn invalid(what: &str, message: &str) -> Refusal {
    Refusal::validation(format!("Invalid {what}: {message}"))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A value of the request, or a place in the item.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Path(Path),
    Value(Value),
}

impl Operand {
    /// The value, if the item has it.
    pub(super) fn of<'v>(&'v self, item: &'v item::Item) -> Option<&'v Value> {
        match self {
            Self::Path(path) => document::lookup(item, path),
            Self::Value(value) => Some(value),
        }
    }
}

/// Reads one expression, token by token.
pub(super) struct Reader<'a> {
    /// The expression's name in the request, for refusals.
    what: &'static str,
    tokens: Vec<String>,
    position: usize,
    depth: usize,
    attributes: &'a mut Attributes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        what: &'static str,
        expression: &str,
        attributes: &'a mut Attributes,
    ) -> Result<Self, Refusal> {
        if expression.len() > EXPRESSION_LIMIT {
            let message = "Expression size has exceeded the maximum allowed size; expression size:";
            return Err(invalid(what, &format!("{message} {}", expression.len())));
        }
        let tokens = tokens(expression);
        if tokens.is_empty() {
            return Err(invalid(what, "The expression can not be empty;"));
        }
        Ok(Self { what, tokens, position: 0, depth: 0, attributes })
    }

    /// Reads the expression to its end by `parse`.
    pub(super) fn whole<T>(
        mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let parsed = parse(&mut self)?;
        if self.peek().is_some() { Err(self.unexpected()) } else { Ok(parsed) }
    }

    /// Reads a part that may hold further parts of its own kind.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.refused("the fake reads no expression that is nested so deep"));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    pub(super) fn peek(&self) -> Option<&str> {
        self.tokens.get(self.position).map(String::as_str)
    }

    /// Whether the token after the next is this one.
    pub(super) fn follows(&self, token: &str) -> bool {
        self.tokens.get(self.position + 1).is_some_and(|next| next == token)
    }

    /// Whether the group that begins with the next token holds another and nothing else: `((…))`.
    pub(super) fn is_doubled_group(&self) -> bool {
        let inner = self.end_of_group(self.position + 1);
        inner.is_some_and(|inner| self.end_of_group(self.position) == Some(inner + 1))
    }

    /// Where the group that begins at `start` is closed; `None` where none begins, or none ends.
    fn end_of_group(&self, start: usize) -> Option<usize> {
        let mut open = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(start) {
            match token.as_str() {
                "(" => open += 1,
                ")" => open = open.checked_sub(1)?,
                _ => {}
            }
            if open == 0 {
                return (index > start).then_some(index);
            }
        }
        None
    }

    /// Passes over the next token.
    pub(super) fn skip(&mut self) {
        self.position += 1;
    }

    pub(super) fn refused(&self, message: &str) -> Refusal {
        invalid(self.what, message)
    }

    pub(super) fn unexpected(&self) -> Refusal {
        let token = self.peek().unwrap_or("<EOF>");
        let near = &self.tokens[self.position.saturating_sub(1)..self.tokens.len().min(self.position + 2)];
        self.refused(&format!("Syntax error; token: \"{token}\", near: \"{}\"", near.join(" ")))
    }

    /// Takes the token if it comes next; keywords in any case.
    pub(super) fn take(&mut self, token: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(token));
        self.position += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), Refusal> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Takes one of these tokens.
    pub(super) fn one_of<'t>(&mut self, tokens: &[&'t str]) -> Option<&'t str> {
        tokens.iter().find(|token| self.take(token)).copied()
    }

    /// A list of at least one, with commas between.
    pub(super) fn list<T>(
        &mut self,
        parse: impl Fn(&mut Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let mut list = vec![parse(self)?];
        while self.take(",") {
            list.push(parse(self)?);
        }
        Ok(list)
    }

    /// Names with dots between. DynamoDB's `[n]`, an element of a list, the fake does not know.
    pub(super) fn path(&mut self) -> Result<Path, Refusal> {
        let mut path = vec![self.name()?];
        while self.take(".") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<String, Refusal> {
        let token = self.peek().unwrap_or_default().to_owned();
        if token.starts_with('#') {
            self.position += 1;
            return self.attributes.name(self.what, &token);
        }
        if !token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            return Err(self.unexpected());
        }
        if is_reserved(&token) {
            let message = format!("Attribute name is a reserved keyword; reserved keyword: {token}");
            return Err(self.refused(&message));
        }
        self.position += 1;
        Ok(token)
    }

    pub(super) fn value(&mut self) -> Result<Value, Refusal> {
        let token = self.peek().unwrap_or_default().to_owned();
        if !token.starts_with(':') {
            return Err(self.unexpected());
        }
        self.position += 1;
        self.attributes.value(self.what, &token)
    }

    pub(super) fn operand(&mut self) -> Result<Operand, Refusal> {
        if self.peek().is_some_and(|token| token.starts_with(':')) {
            return Ok(Operand::Value(self.value()?));
        }
        Ok(Operand::Path(self.path()?))
    }

    /// Refuses a value of the request that an operator or function cannot take. What lies in the item is not known
    /// here: there, a wrong type makes a condition false.
    pub(super) fn check_type(&self, of: &str, operand: &Operand, allowed: &[&str]) -> Result<(), Refusal> {
        match operand {
            Operand::Value(value) if !allowed.contains(&document::kind(value)) => {
                let kind = document::kind(value);
                let message = "Incorrect operand type for operator or function; operator or function:";
                Err(self.refused(&format!("{message} {of}, operand type: {kind}")))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a `ProjectionExpression`: paths with commas between.
pub(super) fn projection(expression: &str, attributes: &mut Attributes) -> Result<Vec<Path>, Refusal> {
    let reader = Reader::new("ProjectionExpression", expression, attributes)?;
    let paths = reader.whole(|reader| reader.list(Reader::path))?;
    document::check_overlap(&paths.iter().collect::<Vec<_>>())?;
    Ok(paths)
}

/// Cuts an expression into words (`name`, `#name`, `:name`) and symbols.
fn tokens(expression: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' | ':' => 1 + word_length(&rest[1..]),
            _ if is_name(first) => word_length(rest),
            _ if ["<=", ">=", "<>"].iter().any(|symbol| rest.starts_with(symbol)) => 2,
            _ => first.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}
