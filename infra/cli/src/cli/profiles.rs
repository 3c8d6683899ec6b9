//! The command line of profiles.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tidegate::{Result, profiles};

use super::StackArgs;

#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// Say what the profiles in files do, or what is wrong with them, without any cloud
    Check(FilesArgs),
    /// Store profiles; of a name that there is already the new one stands
    Put(PutArgs),
    /// List the profiles
    List(ListArgs),
    /// Print a profile as it is stored
    Show(NameArgs),
    /// Remove profiles; what their devices send is read without them
    Delete(NamesArgs),
    /// Write a first profile from what a device has sent, without any cloud
    Learn(LearnArgs),
}

#[derive(Debug, Args)]
pub(super) struct FilesArgs {
    /// Files with a profile each, in TOML; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PutArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// The profile's name
    name: String,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    /// The profiles' names
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// Payloads as published, one a file, or one JSON document a line, or a topic and a payload a line as mosquitto_sub -v
    /// prints them; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The topic that they were published on, such as dt/plant-1/pump-7/state
    #[arg(long)]
    topic: Option<String>,
    /// Name of the profile [default: that of the device in the topic, or of the file]
    #[arg(long)]
    name: Option<String>,
    /// How they are written, as profiles say it [default: as topic and bytes say]
    #[arg(long)]
    format: Option<String>,
}

impl ProfileCommand {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Check(args) => {
                let are_good = profiles::check(&args.files)?;
                return Ok(if are_good { ExitCode::SUCCESS } else { ExitCode::from(1) });
            }
            Self::Put(args) => profiles::put(&args.stack.into(), &args.files.files).await?,
            Self::List(args) => profiles::list(&args.stack.into(), args.json).await?,
            Self::Show(args) => profiles::show(&args.stack.into(), &args.name).await?,
            Self::Delete(args) => profiles::delete(&args.stack.into(), &args.names).await?,
            Self::Learn(LearnArgs { files, topic, name, format }) => {
                profiles::learn(&profiles::Question { files, topic, name, format })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
