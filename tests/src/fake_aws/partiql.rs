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

use super::dynamodb::{Key, KeySchema};
use super::item::{self, Item};

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

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
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
pub(super) fn tokens(statement: &str) -> Result<Vec<Token>, Failure> {
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

/// Names from the item down to a value in nested maps.
pub(super) type Path = Vec<String>;

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

fn text(value: &Value) -> Option<&str> {
    value.get("S")?.as_str()
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

/// Orders two values in DynamoDB JSON; `None` where they differ in type or only in being unequal.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    let number = |value: &Value| value.get("N").and_then(Value::as_str).map(str::to_owned);
    if let (Some(left), Some(right)) = (text(left), text(right)) {
        return Some(left.as_bytes().cmp(right.as_bytes()));
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return match (left.parse::<i128>(), right.parse::<i128>()) {
            (Ok(left), Ok(right)) => Some(left.cmp(&right)),
            _ => left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?),
        };
    }
    (left == right).then_some(Ordering::Equal)
}

fn lookup<'i>(item: &'i Item, path: &[String]) -> Option<&'i Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(item.get(first)?, |value, name| value.get("M")?.get(name))
}

fn evaluate(expression: &Expression, item: &Item) -> Result<Value, Failure> {
    match expression {
        Expression::Value(value) => Ok(value.clone()),
        Expression::Path(path) => lookup(item, path).cloned().ok_or_else(|| {
            Failure::invalid("The provided expression refers to an attribute that does not exist in the item")
        }),
        Expression::Sum { left, right, negative } => {
            add(&evaluate(left, item)?, &evaluate(right, item)?, *negative).ok_or_else(|| {
                Failure::invalid("An operand in the update expression has an incorrect data type")
            })
        }
    }
}

/// Adds two numbers: exactly when both are whole, in doubles otherwise (DynamoDB has 38 decimal digits there).
fn add(left: &Value, right: &Value, negative: bool) -> Option<Value> {
    let (left, right) = (left.get("N")?.as_str()?, right.get("N")?.as_str()?);
    let sum = match (left.parse::<i128>(), right.parse::<i128>()) {
        (Ok(left), Ok(right)) => {
            (if negative { left.checked_sub(right) } else { left.checked_add(right) })?.to_string()
        }
        _ => {
            let (left, right) = (left.parse::<f64>().ok()?, right.parse::<f64>().ok()?);
            (if negative { left - right } else { left + right }).to_string()
        }
    };
    Some(json!({ "N": sum }))
}

/// The item after an update's assignments. All right-hand sides see the item as it was.
pub(super) fn assign(
    item: &Item,
    assignments: &[(Path, Expression)],
    schema: &KeySchema,
) -> Result<Item, Failure> {
    check_paths(assignments, schema)?;
    let mut updated = item.clone();
    for (path, expression) in assignments {
        let value = evaluate(expression, item)?;
        set(&mut updated, path, value)?;
    }
    Ok(updated)
}

fn check_paths(assignments: &[(Path, Expression)], schema: &KeySchema) -> Result<(), Failure> {
    for (index, (path, _)) in assignments.iter().enumerate() {
        let [name, ..] = path.as_slice() else { continue };
        if *name == schema.partition || Some(name) == schema.sort.as_ref() {
            let message = format!("Cannot update attribute {name}. This attribute is part of the key");
            return Err(Failure::invalid(message));
        }
        let overlaps = |(other, _): &(Path, Expression)| other.starts_with(path) || path.starts_with(other);
        if assignments[..index].iter().any(overlaps) {
            return Err(Failure::invalid(
                "Two document paths overlap with each other; must remove or rewrite one",
            ));
        }
    }
    Ok(())
}

fn set(item: &mut Item, path: &[String], value: Value) -> Result<(), Failure> {
    let no_parent =
        || Failure::invalid("The document path provided in the update expression is invalid for update");
    let Some((last, parents)) = path.split_last() else { return Err(no_parent()) };
    let mut map = item;
    for name in parents {
        let child = map.get_mut(name).and_then(|value| value.get_mut("M")?.as_object_mut());
        map = child.ok_or_else(no_parent)?;
    }
    map.insert(last.clone(), value);
    Ok(())
}

/// What a Query's key condition asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyCondition {
    pub(super) partition: String,
    /// Bounds on the sort key: operator (`=`, `<`, `<=`, `>`, `>=`) and text.
    pub(super) bounds: Vec<(String, String)>,
}

/// Reads `device = :d [AND span op :s | AND span BETWEEN :a AND :b]`, names possibly as `#n`.
pub(super) fn parse_key_condition(
    text: &str,
    names: &Map<String, Value>,
    values: &Map<String, Value>,
    schema: &KeySchema,
) -> Result<KeyCondition, Failure> {
    let parser = Parser { tokens: tokens(text)?, position: 0, parameters: [].iter() };
    let mut reader = KeyConditionReader { parser, names, values };
    let mut condition = KeyCondition { partition: String::new(), bounds: Vec::new() };
    let mut partitions = 0;
    loop {
        let bounds = reader.comparison()?;
        for (name, operator, value) in bounds {
            if name == schema.partition && operator == "=" {
                partitions += 1;
                condition.partition = value;
            } else if Some(&name) == schema.sort.as_ref() {
                condition.bounds.push((operator, value));
            } else {
                return Err(Failure::invalid("Query key condition not supported"));
            }
        }
        if !reader.parser.keyword("AND") {
            break;
        }
    }
    if reader.parser.peek().is_some() {
        return Err(reader.parser.unexpected());
    }
    if partitions != 1 {
        return Err(Failure::invalid("Query condition missed key schema element"));
    }
    Ok(condition)
}

struct KeyConditionReader<'a> {
    parser: Parser<'static>,
    names: &'a Map<String, Value>,
    values: &'a Map<String, Value>,
}

impl KeyConditionReader<'_> {
    fn comparison(&mut self) -> Result<Vec<(String, String, String)>, Failure> {
        let name = self.name()?;
        if self.parser.keyword("BETWEEN") {
            let low = self.value()?;
            self.parser.expect_keyword("AND")?;
            let high = self.value()?;
            return Ok(vec![(name.clone(), ">=".to_owned(), low), (name, "<=".to_owned(), high)]);
        }
        match self.parser.next() {
            Some(Token::Symbol(operator)) if matches!(operator.as_str(), "=" | "<" | "<=" | ">" | ">=") => {
                Ok(vec![(name, operator, self.value()?)])
            }
            _ => Err(Failure::invalid(
                "Invalid KeyConditionExpression: the fake knows comparisons and BETWEEN only",
            )),
        }
    }

    fn name(&mut self) -> Result<String, Failure> {
        let alias = self.parser.symbol("#");
        let name = self.parser.name()?;
        if !alias {
            return Ok(name);
        }
        let found = self.names.get(&format!("#{name}")).and_then(Value::as_str);
        found.map(str::to_owned).ok_or_else(|| undefined("name", &name))
    }

    fn value(&mut self) -> Result<String, Failure> {
        self.parser.expect_symbol(":")?;
        let name = self.parser.name()?;
        let found = self.values.get(&format!(":{name}")).and_then(text);
        found.map(str::to_owned).ok_or_else(|| undefined("value", &name))
    }
}

fn undefined(what: &str, name: &str) -> Failure {
    Failure::invalid(format!(
        "An expression attribute {what} used in expression is not defined; attribute: {name}"
    ))
}

/// Whether an item that an update made is one that DynamoDB would hold.
pub(super) fn check_size(item: &Item, schema: &KeySchema) -> Result<usize, Failure> {
    let json = Value::Object(item.clone()).to_string();
    item::measure(&json, schema)
        .map(|measured| measured.bytes)
        .map_err(|refusal| Failure::invalid(refusal.to_string()))
}
