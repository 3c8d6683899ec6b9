//! What the command says when it does not succeed.

use std::error::Error as StdError;
use std::fmt;

/// What the exit code tells a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The question was asked, and the answer is no.
    Negative,
    /// It could not be asked: wrong usage, something missing on this machine, a service that failed.
    Problem,
    /// Somebody pressed Ctrl-C or ended the process.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Negative => 1,
            Self::Problem => 2,
            Self::Interrupted => 130,
        }
    }
}

/// One sentence, what caused it, and where there is more to read.
#[derive(Debug)]
pub struct Error {
    /// What the exit code tells.
    pub kind: Kind,
    sentence: String,
    /// The last relevant lines of a log, and where it is.
    details: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Something is missing or does not work.
    pub fn problem(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Problem, sentence: sentence.into(), details: Vec::new(), source: None }
    }

    /// The answer is no.
    pub fn negative(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Negative, ..Self::problem(sentence) }
    }

    /// The process was asked to end.
    pub fn interrupted() -> Self {
        Self {
            kind: Kind::Interrupted,
            ..Self::problem("interrupted; nothing that this call started still runs")
        }
    }

    /// The same, caused by `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, with lines to read below the sentence.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// The sentence with its causes, then the lines below it.
    pub fn report(&self) -> String {
        let mut report = format!("tidegate: {self}");
        let mut said = self.sentence.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Many errors repeat their source in their own text.
            let text = error.to_string();
            if !said.contains(&text) {
                report = format!("{report}: {text}");
                said = text;
            }
            cause = error.source();
        }
        for line in &self.details {
            report.push_str("\n  ");
            report.push_str(line);
        }
        report
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Gives a failure its sentence.
pub(crate) trait Context<T> {
    /// The failure becomes the cause of a problem that `sentence` describes.
    fn or_problem<S: Into<String>>(self, sentence: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for Result<T, E> {
    fn or_problem<S: Into<String>>(self, sentence: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::problem(sentence()).caused_by(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error =
            Error::problem("cannot read x").caused_by(Error::problem("layer: no such file").caused_by(inner));
        assert_eq!(error.report(), "tidegate: cannot read x: layer: no such file");
        assert_eq!(error.kind.exit_code(), 2);
    }

    #[test]
    fn details_stand_below() {
        let error = Error::negative("it failed").with_details(vec!["one".into(), "two".into()]);
        assert_eq!(error.report(), "tidegate: it failed\n  one\n  two");
        assert_eq!(error.kind.exit_code(), 1);
    }
}
