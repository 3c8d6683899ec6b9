//! Tells the triggers apart.

use cloud::Error as CloudError;
use cloud::config::PresenceConfig;
use cloud::heard::LastHeard;
use cloud::lambda::{Invocation, ReportedError};
use cloud::presence::Presences;
use cloud::profiles::ProfileSource;
use cloud::queue::Queue;
use cloud::rules::Rules;
use cloud::stream::Answer;
use thiserror::Error;

use crate::{connections, sweep};
use cloud::messages::{Event, UnknownEvent};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// Whether devices are connected.
    pub presences: Presences,
    /// When they were last heard of.
    pub last_heard: LastHeard,
    /// What silence is asked for.
    pub rules: Rules,
    /// How often devices send.
    pub profiles: ProfileSource,
    /// Whom to tell of it.
    pub alert_queue: Queue,
    /// The rest.
    pub config: PresenceConfig,
}

/// Why an invocation fails as a whole.
#[derive(Debug, Error)]
pub enum HandlerError {
    /// The event is none that can be taken apart.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// Without rules, and the profiles that they go by, nobody is looked for.
    #[error("the rules or profiles could not be read; silent devices are looked for again soon")]
    RulesNotRead(#[source] CloudError),
    /// Some devices were not looked at.
    #[error("the devices could not be read; silent ones are looked for again soon")]
    DevicesNotRead(#[source] CloudError),
    /// Some silent devices were not told of; the log says why.
    #[error("{0} silent devices could not be told of; they are looked for again soon")]
    NotSent(usize),
}

impl ReportedError for HandlerError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEvent(_) => "Tidegate.UnknownEvent",
            Self::RulesNotRead(_) | Self::DevicesNotRead(_) => "Tidegate.NotRead",
            Self::NotSent(_) => "Tidegate.NotSent",
        }
    }
}

/// Does what the event asks for.
///
/// # Errors
/// If the event is of no known shape, or a look for silent devices has failed.
pub async fn handle(event: &str, invocation: &Invocation, deps: &Deps) -> Result<Answer, HandlerError> {
    match Event::parse(event)? {
        Event::Messages(messages) => Ok(connections::apply(&messages, invocation, deps).await),
        Event::Schedule => sweep::sweep(invocation, deps).await.map(|()| Answer::default()),
    }
}
