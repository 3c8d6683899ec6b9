//! Writes on condition that nobody else has written since.

use crate::error::Error;

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Done,
    /// Somebody else has written since it was read: read again.
    Overtaken,
}

/// What the outcome of a conditional write says. A write whose answer was lost is sent again, and then reads as
/// overtaken, by itself: whoever reads again finds what he wrote.
pub(crate) fn conditional(outcome: Result<(), Error>) -> Result<Stored, Error> {
    match outcome {
        Ok(()) => Ok(Stored::Done),
        Err(error) if error.code == "ConditionalCheckFailedException" => Ok(Stored::Overtaken),
        Err(error) => Err(error),
    }
}
