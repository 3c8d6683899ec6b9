//! The command line of alert rules and alerts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use telemetry::Length;
use telemetry::Micros;
use tidegate::Result;
use tidegate::alerts::{self, End, Question, Replayed, Wish, rules};
use tidegate::query::When;

use super::StackArgs;

#[derive(Debug, Subcommand)]
pub(super) enum AlertRuleCommand {
    /// Say what the rules in files do, or what is wrong with them, without any cloud
    Check(FilesArgs),
    /// Store rules; of a name that there is already the new one stands
    Put(PutArgs),
    /// List the rules
    List(ListArgs),
    /// Print a rule as it is stored
    Show(NameArgs),
    /// Remove rules; what they had raised is cleared
    Delete(NamesArgs),
    /// Try a rule on readings: what it would have told. Nothing is published
    Test(TestArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// List what stands or is shelved, the worst first
    List(AlertsListArgs),
    /// Print what was told last of a device's alerts, and their last transitions
    Show(ShowArgs),
    /// Explain how an alert came to stand as it does: the rule, the readings, the steps
    Explain(AlertArgs),
    /// Say that you know of an alert
    Ack(WishArgs),
    /// Be told nothing of an alert for a time
    Shelve(ShelveArgs),
    /// Be told of a shelved alert again
    Unshelve(WishArgs),
}

#[derive(Debug, Args)]
pub(super) struct FilesArgs {
    /// Files with a rule each, in TOML; `-` is standard input
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
    /// The rule's name
    name: String,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    /// The rules' names
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The file with the rule, in TOML
    rule: PathBuf,
    /// Readings as `tidegate query` prints them in JSON or CSV, in the order of their arrival; `-` is standard input
    #[arg(long, value_name = "FILE")]
    readings: Option<PathBuf>,
    /// The device, as {site}/{device}: of the file its readings alone; without a file its stored ones
    #[arg(long, required_unless_present = "readings")]
    device: Option<String>,
    /// First time of stored readings: RFC 3339, or some time ago such as -15m, -2h, -1d [default: -1d]
    #[arg(long, allow_hyphen_values = true, conflicts_with = "readings")]
    from: Option<When>,
    /// Last time: as --from, or `now` [default: now]
    #[arg(long, allow_hyphen_values = true, conflicts_with = "readings")]
    to: Option<When>,
    /// For how long readings may come late and be judged again, such as 30s or 5m
    #[arg(long, default_value = "2m", value_parser = length)]
    lateness: Length,
    /// How often the device sends, as its profile says it, for `silent_intervals`
    #[arg(long, value_name = "LENGTH", value_parser = length)]
    interval: Option<Length>,
    /// One JSON object a line, the last with what it came to
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct AlertsListArgs {
    /// Also what has cleared and is still told
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The device, as {site}/{device}
    device: String,
    /// The rule's name [default: all that something is known by]
    rule: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct AlertArgs {
    /// The device, as {site}/{device}
    device: String,
    /// The rule's name
    rule: String,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(super) struct WishArgs {
    #[command(flatten)]
    alert: AlertArgs,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
}

#[derive(Debug, Args)]
pub(super) struct ShelveArgs {
    #[command(flatten)]
    wish: WishArgs,
    /// How long, such as 30m or 2h, at most 30 days
    #[arg(long = "for", value_name = "LENGTH", value_parser = length, conflicts_with = "until")]
    length: Option<Length>,
    /// Until when, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Micros>,
}

/// As lengths are written in rules.
fn length(text: &str) -> Result<Length, String> {
    let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
    Length::deserialize(deserializer).map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<Micros, &'static str> {
    Micros::from_rfc3339(text).ok_or("expected a time such as 2026-11-23T07:00:00Z")
}

impl AlertRuleCommand {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Check(args) => {
                let are_good = rules::check(&args.files)?;
                return Ok(if are_good { ExitCode::SUCCESS } else { ExitCode::from(1) });
            }
            Self::Put(args) => rules::put(&args.stack.into(), &args.files.files).await?,
            Self::List(args) => rules::list(&args.stack.into(), args.json).await?,
            Self::Show(args) => rules::show(&args.stack.into(), &args.name).await?,
            Self::Delete(args) => rules::delete(&args.stack.into(), &args.names).await?,
            Self::Test(args) => {
                let (stack, question) = args.split();
                alerts::backtest(&stack.into(), &question).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl TestArgs {
    fn split(self) -> (StackArgs, Question) {
        let Self { rule, readings, device, from, to, lateness, interval, json, stack } = self;
        let readings = match readings {
            Some(path) => Replayed::File { path, device },
            None => Replayed::Stored {
                // Without a file there is a device: clap has seen to it.
                device: device.unwrap_or_default(),
                from: from.unwrap_or(When::Ago(jiff::SignedDuration::from_hours(24))),
                to: to.unwrap_or(When::Ago(jiff::SignedDuration::ZERO)),
            },
        };
        (stack, Question { rule, readings, lateness, interval, as_json: json })
    }
}

impl AlertsCommand {
    pub(super) async fn run(self) -> Result<()> {
        let (wish, args) = match self {
            Self::List(AlertsListArgs { all, list }) => {
                return alerts::list(&list.stack.into(), all, list.json).await;
            }
            Self::Show(ShowArgs { device, rule, stack }) => {
                return alerts::show(&stack.into(), &device, rule.as_deref()).await;
            }
            Self::Explain(AlertArgs { device, rule, stack }) => {
                return alerts::explain(&stack.into(), &device, &rule).await;
            }
            Self::Ack(args) => (Wish::Acknowledge, args),
            Self::Unshelve(args) => (Wish::Unshelve, args),
            Self::Shelve(ShelveArgs { wish, length, until }) => {
                let until = until.map(|until| End::At(When::At(until)));
                (Wish::Shelve(length.map(End::In).or(until).unwrap_or(End::Never)), wish)
            }
        };
        let WishArgs { alert: AlertArgs { device, rule, stack }, by } = args;
        alerts::command(&stack.into(), &device, &rule, wish, &by).await
    }
}
