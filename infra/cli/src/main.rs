//! The `tidegate` command.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use tidegate::console::note;
use tidegate::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Dropping the unfinished work ends what it started.
    let outcome = tokio::select! {
        outcome = cli.run() => outcome,
        outcome = interrupted() => outcome,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            note(&error.report());
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Waits for Ctrl-C, or a polite end from elsewhere.
async fn interrupted<T>() -> Result<T> {
    let listen =
        |kind| signal(kind).map_err(|error| Error::problem("cannot listen to signals").caused_by(error));
    let (mut interrupt, mut terminate, mut hang_up) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Err(Error::interrupted())
}
