//! What operators write in TOML files, and the config table holds as JSON: alert rules and profiles.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alert::Rule;
use cloud::documents::{Document, Documents, Loaded};
use telemetry::{Micros, Problem, Profile};

use crate::aws::patience;
use crate::console::{note, print};
use crate::decode::read;
use crate::error::{Context as _, Error, Result};
use crate::target::{Source, Target};

/// A kind of document, as people write it.
pub(crate) trait Written: Document {
    /// What people call it.
    const WORD: &'static str;
    /// The command that is about such documents.
    const COMMAND: &'static str;
    /// What it means if a stored one cannot be read.
    const IF_UNREADABLE: &'static str;

    /// Reads it as people write it, with what is to be warned of.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn from_toml(text: &str) -> Result<(Self, Vec<String>), Vec<String>>;

    /// What it does, in lines of words.
    fn summary(&self) -> Vec<String>;
}

impl Written for Rule {
    const WORD: &'static str = "rule";
    const COMMAND: &'static str = "alert-rule";
    const IF_UNREADABLE: &'static str = "nothing is judged by it";

    fn from_toml(text: &str) -> Result<(Self, Vec<String>), Vec<String>> {
        match Self::from_toml(text) {
            Ok(rule) => Ok((rule, Vec::new())),
            Err(error) => Err(error.problems().to_vec()),
        }
    }

    fn summary(&self) -> Vec<String> {
        crate::alerts::summary(self).into()
    }
}

impl Written for Profile {
    const WORD: &'static str = "profile";
    const COMMAND: &'static str = "profile";
    const IF_UNREADABLE: &'static str = "the functions go by the last that they could read";

    fn from_toml(text: &str) -> Result<(Self, Vec<String>), Vec<String>> {
        let lines = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect();
        match Self::check_toml(text) {
            Ok((profile, warnings)) => Ok((profile, lines(&warnings))),
            Err(error) => Err(lines(error.problems())),
        }
    }

    fn summary(&self) -> Vec<String> {
        self.summary()
    }
}

/// A file, and the document in it or all that is wrong with it.
struct Checked<T> {
    file: PathBuf,
    document: Result<T, Vec<String>>,
    /// What of a good one can have no effect, or collides.
    warnings: Vec<String>,
}

/// Says of each file what the document in it does, or what is wrong with it. Returns whether all are good.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn check<T: Written>(files: &[PathBuf]) -> Result<bool> {
    let checked = check_files::<T>(files)?;
    let mut text = String::new();
    for Checked { file, document, warnings } in &checked {
        let mut lines = match document {
            Ok(document) => {
                let lines = document.summary().into_iter().map(|line| format!("\n  {line}"));
                vec![format!("valid: {}{}", document.name(), lines.collect::<String>())]
            }
            Err(problems) => problems.clone(),
        };
        lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
        for line in lines {
            text.push_str(&format!("{}: {line}\n", file.display()));
        }
    }
    print(&text)?;
    Ok(checked.iter().all(|checked| checked.document.is_ok()))
}

/// The documents of files, if all of them are valid.
///
/// # Errors
/// If one is not, with all that is wrong.
pub(crate) fn good<T: Written>(files: &[PathBuf]) -> Result<Vec<T>> {
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for Checked { file, document, warnings } in check_files(files)? {
        for warning in warnings {
            note(&format!("{}: warning: {warning}", file.display()));
        }
        match document {
            Ok(document) => good.push(document),
            Err(found) => {
                problems.extend(found.iter().map(|problem| format!("{}: {problem}", file.display())));
            }
        }
    }
    if problems.is_empty() {
        return Ok(good);
    }
    let sentence = format!("nothing is done, because not all {}s are valid", T::WORD);
    Err(Error::negative(sentence).with_details(problems))
}

/// The document in a file.
///
/// # Errors
/// If it is not valid.
pub(crate) fn good_one<T: Written>(file: &Path) -> Result<T> {
    let mut documents = good(&[file.to_owned()])?;
    documents.pop().ok_or_else(|| Error::negative(format!("there is no {}", T::WORD)))
}

fn check_files<T: Written>(files: &[PathBuf]) -> Result<Vec<Checked<T>>> {
    let mut checked: Vec<Checked<T>> = Vec::new();
    for file in files {
        let mut warnings = Vec::new();
        let document = read_toml::<T>(&read(file)?).and_then(|(document, found)| {
            warnings = found;
            let is_twin = |other: &&Checked<T>| {
                other.document.as_ref().is_ok_and(|other| other.name() == document.name())
            };
            match checked.iter().find(is_twin) {
                Some(twin) => {
                    Err(vec![format!("the name {} is that of {}, too", document.name(), twin.file.display())])
                }
                None => Ok(document),
            }
        });
        checked.push(Checked { file: file.clone(), document, warnings });
    }
    Ok(checked)
}

fn read_toml<T: Written>(bytes: &[u8]) -> Result<(T, Vec<String>), Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| vec!["is not UTF-8 text".to_owned()])?;
    <T as Written>::from_toml(text)
}

/// The table that documents of this kind are stored in.
///
/// # Errors
/// If the stack does not name it.
pub(crate) fn store<T: Document>(source: &Source) -> Result<Documents<T>> {
    Ok(Documents::new(source.clients.dynamodb.clone(), source.config()?))
}

/// Stores documents in place of those that have their names.
///
/// # Errors
/// If one cannot be stored.
pub(crate) async fn put<T: Written>(source: &Source, documents: &[T], now: Micros) -> Result<()> {
    let table = store::<T>(source)?;
    for document in documents {
        let name = document.name();
        table.put(document, now, patience()).await.or_problem(|| format!("cannot store {name}"))?;
        print(&format!("{name}: stored\n"))?;
    }
    note(&format!("the functions take up a changed {} within a minute", T::WORD));
    Ok(())
}

/// All stored documents of this kind; says which cannot be read.
///
/// # Errors
/// If the table cannot be read.
pub(crate) async fn load<T: Written>(source: &Source) -> Result<Loaded<T>> {
    let loaded = store::<T>(source)?.load(patience()).await.or_problem(|| "cannot read the config table")?;
    for (name, problem) in &loaded.broken {
        note(&format!("the stored {} {name} cannot be read, and {}: {problem}", T::WORD, T::IF_UNREADABLE));
    }
    Ok(loaded)
}

/// As [`load`], to list them: those that can be read, and a word if there is none.
///
/// # Errors
/// If the table cannot be read.
pub(crate) async fn list<T: Written>(source: &Source) -> Result<Vec<(Arc<T>, Micros)>> {
    let good = load::<T>(source).await?.good;
    if good.is_empty() {
        note(&format!("there is no {} yet; `tidegate {} put FILE` stores one", T::WORD, T::COMMAND));
    }
    Ok(good)
}

/// Prints a document as it is stored.
///
/// # Errors
/// If there is none of this name, or it cannot be read.
pub(crate) async fn show<T: Written>(target: &Target, name: &str) -> Result<()> {
    let source = target.open_stack().await?;
    let loaded = load::<T>(&source).await?;
    let document = loaded.good.iter().find(|(document, _)| document.name() == name);
    match (document, loaded.broken.iter().find(|(broken, _)| broken == name)) {
        (Some((document, _)), _) => print(&pretty(&**document)?),
        (None, Some(_)) => Err(unreadable::<T>(name)),
        (None, None) => Err(unknown::<T>(name)),
    }
}

/// Removes documents; `consequence` is said then.
///
/// # Errors
/// If one of them does not exist; the others are removed.
pub(crate) async fn delete<T: Written>(target: &Target, names: &[String], consequence: &str) -> Result<()> {
    let source = target.open_stack().await?;
    let table = store::<T>(&source)?;
    let mut missing = None;
    for name in names {
        if table.delete(name, patience()).await.or_problem(|| format!("cannot delete {name}"))? {
            print(&format!("{name}: deleted\n"))?;
        } else {
            missing.get_or_insert_with(|| unknown::<T>(name));
            note(&format!("{name}: there is no such {}", T::WORD));
        }
    }
    note(consequence);
    missing.map_or(Ok(()), Err)
}

/// A document as it is stored, for a line of JSON.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn stored(document: &impl Document) -> Result<serde_json::Value> {
    serde_json::from_str(document.to_json()).or_problem(|| "cannot read the stored JSON")
}

/// What is wrong with it has been said.
pub(crate) fn unreadable<T: Written>(name: &str) -> Error {
    Error::negative(format!("the stored {} {name} cannot be read", T::WORD))
}

pub(crate) fn unknown<T: Written>(name: &str) -> Error {
    let (word, command) = (T::WORD, T::COMMAND);
    Error::negative(format!(
        "there is no {word} {name}; `tidegate {command} list` lists those that there are"
    ))
}

fn pretty(document: &impl Document) -> Result<String> {
    serde_json::to_string_pretty(&stored(document)?).or_problem(|| "cannot write JSON")
}
