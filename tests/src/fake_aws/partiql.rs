//! The few PartiQL statements that the functions send, read by a small tokenizer and a descending parser, so that a
//! statement may be written with other spaces, cases or clause orders and is still understood:
//!
//! ```text
//! UPDATE "T" SET path = expr [, path = expr | SET path = expr]… WHERE path op expr [AND path op expr]…
//! INSERT INTO "T" VALUE {'name': value, …}
//!
//! path  a word or a double-quoted name (a `"` inside doubled), more of them after dots
//! expr  value, path, or path + value and path - value
//! value ?, number, 'text', true, false, null, [value, …], {'name': value, …}
//! op    = <> < <= > >=
//! ```
//!
//! Anything else is refused. Comma-separated assignments and `x = x + 1` are used in AWS's own examples
//! ("PartiQL update statements", "Running batch operations with PartiQL").

use std::cmp::Ordering;
use std::str::Chars;

use serde_json::{Map, Value, json};

use super::document::{self, Path, compare, lookup, text};
use super::dynamodb::Refusal;
use super::item::Item;
use super::tables::{Key, KeySchema};

/// Why one statement fails, as `Responses[n].Error` of a BatchExecuteStatement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The standing item, where the statement asked for it.
    pub(super) item: Option<Item>,
}

impl Failure {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), item: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::invalid(refusal.to_string())
    }
}

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A word: keyword or plain name.
    Word(String),
    /// A double-quoted name.
    Quoted(String),
    /// A single-quoted text.
    Text(String),
    /// A number as written, without sign.
    Number(String),
    /// `<=`, `>=`, `<>`, or one other character.
    Symbol(String),
}

/// Cuts a statement into tokens.
fn tokens(statement: &str) -> Result<Vec<Token>, Failure> {
    let mut tokens = Vec::new();
    let mut rest = statement.chars();
    while let Some(first) = rest.clone().next() {
        match first {
            _ if first.is_whitespace() => drop(rest.next()),
            '"' | '\'' => tokens.push(quoted(&mut rest)?),
            _ if first.is_ascii_digit() => {
                tokens.push(Token::Number(run(&mut rest, |c| c.is_ascii_alphanumeric() || c == '.')));
            }
            _ if is_name(first) => tokens.push(Token::Word(run(&mut rest, is_name))),
            _ => tokens.push(symbol(&mut rest)),
        }
    }
    Ok(tokens)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn run(rest: &mut Chars<'_>, belongs: impl Fn(char) -> bool) -> String {
    let text = rest.as_str();
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    *rest = text[end..].chars();
    text[..end].to_owned()
}

fn quoted(rest: &mut Chars<'_>) -> Result<Token, Failure> {
    let quote = rest.next();
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if Some(c) != quote {
            text.push(c);
        } else if rest.clone().next() == quote {
            text.extend(rest.next());
        } else {
            return Ok(if quote == Some('"') { Token::Quoted(text) } else { Token::Text(text) });
        }
    }
    Err(Failure::invalid("Statement wasn't well formed, can't be processed: Unterminated quote"))
}

fn symbol(rest: &mut Chars<'_>) -> Token {
    let text = rest.as_str();
    let long = ["<=", ">=", "<>"].into_iter().find(|long| text.starts_with(long));
    let length = long.map_or_else(|| text.chars().next().map_or(0, char::len_utf8), str::len);
    *rest = text[length..].chars();
    Token::Symbol(text[..length].to_owned())
}

/// What is written or compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// A value in DynamoDB JSON.
    Value(Value),
    Path(Path),
    /// Sum of two numbers, or their difference.
    Sum {
        left: Box<Expression>,
        right: Box<Expression>,
        negative: bool,
    },
}

/// `path op expression`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) path: Path,
    pub(super) operator: String,
    pub(super) than: Expression,
}

/// A statement with its parameters filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Update { table: String, assignments: Vec<(Path, Expression)>, conditions: Vec<Condition> },
    Insert { table: String, item: Item },
}

/// Reads a statement; each `?` takes the next of `parameters` (DynamoDB JSON).
pub(super) fn parse(statement: &str, parameters: &[Value]) -> Result<Statement, Failure> {
    let mut parser = Parser { tokens: tokens(statement)?, position: 0, parameters: parameters.iter() };
    let statement = match () {
        () if parser.keyword("UPDATE") => parser.update()?,
        () if parser.keyword("INSERT") => parser.insert()?,
        () => return Err(parser.unexpected()),
    };
    parser.symbol(";");
    if parser.peek().is_some() {
        return Err(parser.unexpected());
    }
    if parser.parameters.next().is_some() {
        return Err(parameter_count());
    }
    Ok(statement)
}

fn parameter_count() -> Failure {
    Failure::invalid("Number of parameters in request and statement don't match.")
}

struct Parser<'p> {
    tokens: Vec<Token>,
    position: usize,
    parameters: std::slice::Iter<'p, Value>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).cloned();
        self.position += 1;
        token
    }

    fn unexpected(&self) -> Failure {
        let found = self.peek().map_or_else(|| "end of statement".to_owned(), |token| format!("{token:?}"));
        Failure::invalid(format!("Statement wasn't well formed, can't be processed: Unexpected {found}"))
    }

    /// Takes the keyword if it comes next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.position += usize::from(found);
        found
    }

    /// Takes the symbol if it comes next.
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(next)) if next == symbol);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, found: bool) -> Result<(), Failure> {
        if found { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<(), Failure> {
        let found = self.keyword(keyword);
        self.expect(found)
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), Failure> {
        let found = self.symbol(symbol);
        self.expect(found)
    }

    fn name(&mut self) -> Result<String, Failure> {
        match self.peek().cloned() {
            Some(Token::Word(name) | Token::Quoted(name)) => {
                self.position += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn update(&mut self) -> Result<Statement, Failure> {
        let table = self.name()?;
        self.expect_keyword("SET")?;
        let mut assignments = Vec::new();
        loop {
            let path = self.path()?;
            self.expect_symbol("=")?;
            assignments.push((path, self.expression()?));
            if !(self.symbol(",") || self.keyword("SET")) {
                break;
            }
        }
        self.expect_keyword("WHERE")?;
        let mut conditions = vec![self.condition()?];
        while self.keyword("AND") {
            conditions.push(self.condition()?);
        }
        Ok(Statement::Update { table, assignments, conditions })
    }

    fn insert(&mut self) -> Result<Statement, Failure> {
        self.expect_keyword("INTO")?;
        let table = self.name()?;
        self.expect_keyword("VALUE")?;
        self.expect_symbol("{")?;
        let item = self.members()?;
        Ok(Statement::Insert { table, item })
    }

    fn path(&mut self) -> Result<Path, Failure> {
        let mut path = vec![self.name()?];
        while self.symbol(".") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    fn condition(&mut self) -> Result<Condition, Failure> {
        let path = self.path()?;
        match self.next() {
            Some(Token::Symbol(operator))
                if matches!(operator.as_str(), "=" | "<>" | "<" | "<=" | ">" | ">=") =>
            {
                Ok(Condition { path, operator, than: self.expression()? })
            }
            _ => {
                self.position -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, Failure> {
        let left = self.term()?;
        let negative = self.symbol("-");
        if !negative && !self.symbol("+") {
            return Ok(left);
        }
        Ok(Expression::Sum { left: Box::new(left), right: Box::new(self.term()?), negative })
    }

    fn term(&mut self) -> Result<Expression, Failure> {
        let literal = matches!(self.peek(), Some(Token::Word(word)) if constant(word).is_some());
        match self.peek() {
            Some(Token::Word(_) | Token::Quoted(_)) if !literal => Ok(Expression::Path(self.path()?)),
            _ => Ok(Expression::Value(self.value()?)),
        }
    }

    fn value(&mut self) -> Result<Value, Failure> {
        let negative = self.symbol("-");
        match self.next() {
            Some(Token::Number(number)) if negative => Ok(json!({ "N": format!("-{number}") })),
            Some(Token::Number(number)) => Ok(json!({ "N": number })),
            Some(Token::Text(text)) => Ok(json!({ "S": text })),
            Some(Token::Symbol(symbol)) if symbol == "?" => {
                self.parameters.next().cloned().ok_or_else(parameter_count)
            }
            Some(Token::Symbol(symbol)) if symbol == "{" => Ok(json!({ "M": self.members()? })),
            Some(Token::Symbol(symbol)) if symbol == "[" => Ok(json!({ "L": self.elements()? })),
            Some(Token::Word(word)) if let Some(value) = constant(&word) => Ok(value),
            _ => {
                self.position -= 1;
                Err(self.unexpected())
            }
        }
    }

    /// The rest of `{'name': value, …}`.
    fn members(&mut self) -> Result<Map<String, Value>, Failure> {
        let mut members = Map::new();
        while !self.symbol("}") {
            let name = match self.next() {
                Some(Token::Text(name) | Token::Quoted(name)) => name,
                _ => return Err(self.unexpected()),
            };
            self.expect_symbol(":")?;
            let value = self.value()?;
            members.insert(name, value);
            if !self.symbol(",") {
                self.expect_symbol("}")?;
                break;
            }
        }
        Ok(members)
    }

    /// The rest of `[value, …]`.
    fn elements(&mut self) -> Result<Vec<Value>, Failure> {
        let mut elements = Vec::new();
        while !self.symbol("]") {
            elements.push(self.value()?);
            if !self.symbol(",") {
                self.expect_symbol("]")?;
                break;
            }
        }
        Ok(elements)
    }
}

fn constant(word: &str) -> Option<Value> {
    match word.to_ascii_lowercase().as_str() {
        "true" => Some(json!({ "BOOL": true })),
        "false" => Some(json!({ "BOOL": false })),
        "null" => Some(json!({ "NULL": true })),
        _ => None,
    }
}

impl Statement {
    pub(super) fn table(&self) -> &str {
        match self {
            Self::Update { table, .. } | Self::Insert { table, .. } => table,
        }
    }

    /// The one item that the statement is about.
    pub(super) fn key(&self, schema: &KeySchema) -> Result<Key, Failure> {
        let attribute = |name: &str| match self {
            Self::Insert { item, .. } => item.get(name).and_then(|value| text(value).map(str::to_owned)),
            Self::Update { conditions, .. } => conditions.iter().find_map(|condition| condition.fixes(name)),
        };
        let sort = schema.sort.as_deref().map_or(Some(String::new()), &attribute);
        match (attribute(&schema.partition), sort) {
            (Some(partition), Some(sort)) => Ok(Key { partition, sort }),
            _ => Err(Failure::invalid(
                "Where clause does not contain a mandatory equality on all key attributes",
            )),
        }
    }
}

impl Condition {
    /// The text to which `path = 'text'` ties the attribute `name`.
    fn fixes(&self, name: &str) -> Option<String> {
        match &self.than {
            Expression::Value(value) if self.operator == "=" && self.path == [name] => {
                text(value).map(str::to_owned)
            }
            _ => None,
        }
    }

    /// Whether the item meets it. What is missing or of another type meets nothing but `<>`, as in DynamoDB.
    pub(super) fn holds(&self, item: &Item) -> bool {
        let (Some(left), Ok(right)) = (lookup(item, &self.path), evaluate(&self.than, item)) else {
            return false;
        };
        let order = compare(left, &right);
        match self.operator.as_str() {
            "=" => order == Some(Ordering::Equal),
            "<>" => order != Some(Ordering::Equal),
            "<" => order == Some(Ordering::Less),
            "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            ">" => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

fn evaluate(expression: &Expression, item: &Item) -> Result<Value, Refusal> {
    match expression {
        Expression::Value(value) => Ok(value.clone()),
        Expression::Path(path) => document::read(item, path),
        Expression::Sum { left, right, negative } => {
            document::add(&evaluate(left, item)?, &evaluate(right, item)?, *negative)
        }
    }
}

/// The item after an update's assignments. All right-hand sides see the item as it was.
pub(super) fn assign(
    item: &Item,
    assignments: &[(Path, Expression)],
    schema: &KeySchema,
) -> Result<Item, Refusal> {
    let targets: Vec<_> = assignments.iter().map(|(path, _)| path).collect();
    document::check_targets(&targets, schema)?;
    let mut updated = item.clone();
    for (path, expression) in assignments {
        document::set(&mut updated, path, evaluate(expression, item)?)?;
    }
    Ok(updated)
}
