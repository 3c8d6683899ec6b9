//! Tells the triggers apart.

use cloud::lambda::{Invocation, ReportedError};
use cloud::presence::Presences;
use cloud::stream::Answer;
use thiserror::Error;

use crate::connections;
use crate::event::{Event, UnknownEvent};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    pub(crate) presences: Presences,
    pub(crate) stage: String,
}

impl Deps {
    /// Where to write, and the stage for the metrics.
    pub fn new(presences: Presences, stage: String) -> Self {
        Self { presences, stage }
    }
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is none that can be taken apart.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
        }
    }
}

/// Does what the event asks for.
///
/// # Errors
/// If the event is of no known shape.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Answer, HandlerError> {
    match Event::parse(event)? {
        Event::Messages(messages) => Ok(connections::apply(&messages, invocation, deps).await),
    }
}
