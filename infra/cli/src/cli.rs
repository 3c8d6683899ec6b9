//! The command line.

mod alerts;
mod layout;
mod profiles;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use telemetry::sparkplug::SparkplugPolicy;
use telemetry::{
    ClientId, IdentityRules, LayoutSite, Layouts, Micros, Outside, Settings, TimePolicy, TopicFilter,
    TopicLayout, Zone,
};
use tidegate::aws::LOCAL_USER;
use tidegate::console::{note, print};
use tidegate::hints::{Hints, columns};
use tidegate::local::{Checkout, Cloud, Ports, Profile};
use tidegate::query::When;
use tidegate::{Error, Result, Target, decode, demo, lake, local, query};

use self::alerts::{AlertRuleCommand, AlertsCommand};
use self::layout::LayoutCommand;
use self::profiles::ProfileCommand;

/// Tidegate: MQTT telemetry as trustworthy data in your own AWS account.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the local cloud up, with the stack deployed to it
    Up(UpArgs),
    /// End the local cloud
    Down(DirArgs),
    /// Print what a shell must export to talk to the local cloud, and to run its function: eval "$(tidegate env)"
    Env(DirArgs),
    /// Let a fleet of devices publish, and account for every message
    Demo(DemoArgs),
    /// List the devices with their latest values
    Devices(DevicesArgs),
    /// Print readings of a device
    Query(QueryArgs),
    /// Look into the lake: what there is, whether it is complete, and some of it to take along
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Check, store, try and remove alert rules
    #[command(subcommand)]
    AlertRule(AlertRuleCommand),
    /// See what stands, why, and say that you know
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// Check, store, learn and remove profiles: what is known of a kind of device
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Check and show topic layouts: where site, device and metric stand in a fleet's topics, without any cloud
    #[command(subcommand)]
    Layout(LayoutCommand),
    /// Show what a payload would become, without any cloud
    Decode(DecodeArgs),
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Folder of the local cloud [default: .local/cloud in the checkout]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Port of the AWS services [default: a free one]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Port of MQTT with mutual TLS [default: a free one]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    mqtt_port: Option<u16>,
    /// Name of the stack
    #[arg(long, default_value = "tidegate")]
    stack: String,
    /// Build the functions as for AWS, which takes some minutes
    #[arg(long)]
    release: bool,
}

#[derive(Debug, Args)]
struct DirArgs {
    /// Folder of the local cloud [default: .local/cloud in the checkout]
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// How long the devices publish
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// How many devices
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=500))]
    devices: u32,
    /// Messages of each device in a second
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    rate: u32,
    /// Leave a local cloud running that the demo has brought up
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    up: UpArgs,
}

#[derive(Debug, Args)]
struct TargetArgs {
    /// Folder of the local cloud [default: .local/cloud in the checkout]
    #[arg(long, conflicts_with_all = ["stack", "table"])]
    dir: Option<PathBuf>,
    /// A stack on AWS, instead of the local cloud
    #[arg(long, conflicts_with = "table")]
    stack: Option<String>,
    /// A table on AWS, instead of the local cloud
    #[arg(long)]
    table: Option<String>,
}

#[derive(Debug, Args)]
struct DevicesArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Debug, Args)]
struct QueryArgs {
    /// The device, as {site}/{device}
    device: String,
    /// First time: RFC 3339, or some time ago such as -15m, -2h, -1d
    #[arg(long, default_value = "-1h", allow_hyphen_values = true)]
    from: When,
    /// Last time: as --from, or `now`
    #[arg(long, default_value = "now", allow_hyphen_values = true)]
    to: When,
    /// Only this metric
    #[arg(long)]
    metric: Option<String>,
    /// Only the newest so many readings
    #[arg(long)]
    limit: Option<usize>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Debug, Subcommand)]
enum LakeCommand {
    /// Objects, rows, bytes and sizes, day by day
    Ls(LakeLsArgs),
    /// Count a day again: rows in the lake against readings in DynamoDB, missing and duplicate ones by name
    Verify(LakeVerifyArgs),
    /// Write a device's readings of some time as CSV or Parquet
    Export(LakeExportArgs),
}

#[derive(Debug, Args)]
struct StackArgs {
    /// Folder of the local cloud [default: .local/cloud in the checkout]
    #[arg(long, conflicts_with = "stack")]
    dir: Option<PathBuf>,
    /// A stack on AWS, instead of the local cloud
    #[arg(long)]
    stack: Option<String>,
}

#[derive(Debug, Args)]
struct LakeLsArgs {
    /// Only this day, as 2026-11-23
    #[arg(long, value_parser = day)]
    day: Option<String>,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
struct LakeVerifyArgs {
    /// The day in UTC, as 2026-11-23, or `today`
    #[arg(default_value = "today", value_parser = day)]
    day: String,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
struct LakeExportArgs {
    /// The device, as {site}/{device}
    device: String,
    /// First time: RFC 3339, or some time ago such as -15m, -2h, -1d
    #[arg(long, default_value = "-1d", allow_hyphen_values = true)]
    from: When,
    /// Last time: as --from, or `now`
    #[arg(long, default_value = "now", allow_hyphen_values = true)]
    to: When,
    /// What to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    format: ExportFormat,
    /// The file to write; CSV goes to standard output without one
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    Csv,
    Parquet,
}

fn day(text: &str) -> Result<String, &'static str> {
    if text == "today" {
        return Ok(Micros(Timestamp::now().as_microsecond()).day());
    }
    let at = Micros::from_rfc3339(&format!("{text}T00:00:00Z"));
    at.filter(|at| at.day() == text).map(Micros::day).ok_or("expected a day such as 2026-11-23")
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Args)]
struct DecodeArgs {
    /// The topic it is published on, such as dt/plant-1/pump-7/state
    #[arg(long)]
    topic: String,
    /// The MQTT client id that publishes it
    #[arg(long)]
    client: Option<String>,
    /// When the broker receives it, in RFC 3339 [default: now]
    #[arg(long, value_parser = received)]
    received: Option<Micros>,
    /// Topics, such as iot/#, whose payloads name the device
    #[arg(long, value_name = "FILTER", value_parser = TopicFilter::of_payload_identity)]
    payload_identity: Option<TopicFilter>,
    /// Layout of the topics that name the device; may be given up to three times [default: dt/{site}/{device}/{stream}]
    #[arg(long = "layout", value_name = "TEXT")]
    layouts: Vec<TopicLayout>,
    /// Site of the devices whose layout has no {site}
    #[arg(long, value_name = "SITE", default_value_t = LayoutSite::default())]
    layout_site: LayoutSite,
    /// Topics, such as shellies/announce, whose messages are ignored; may be given once for each layout
    #[arg(long = "layout-ignore", value_name = "FILTER", value_parser = TopicFilter::of_ignored)]
    ignored: Vec<TopicFilter>,
    /// Let any client publish for any device
    #[arg(long)]
    any_client: bool,
    /// Its MQTT 5 content type, such as application/senml+json
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Zone of times without one, such as Europe/Berlin [default: none, they are texts]
    #[arg(long)]
    zone: Option<Zone>,
    /// How old a reading may be that keeps its own time, in days
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    max_age_days: u16,
    /// What becomes of a message whose time is not accepted
    #[arg(long, value_enum, default_value_t = OutsideArg::Arrival)]
    time_outside: OutsideArg,
    /// A profile to read it by, if its patterns fit; may be given several times
    #[arg(long = "profile", value_name = "FILE")]
    profiles: Vec<PathBuf>,
    /// A Sparkplug message that came before, such as the birth that says what it means; may be given several times
    #[arg(long, value_name = "TOPIC=FILE", value_parser = earlier)]
    after: Vec<(String, PathBuf)>,
    /// How long a Sparkplug message may come after later ones of its edge node, in seconds: that of the deployment
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=3600))]
    sparkplug_reorder_seconds: u16,
    /// The payload as published; `-` is standard input
    file: PathBuf,
}

fn earlier(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (topic, file) = text.split_once('=').ok_or("expected a topic, =, and a file")?;
    Ok((topic.to_owned(), file.into()))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OutsideArg {
    /// Its readings get the time of their arrival
    Arrival,
    /// It is refused
    Quarantine,
}

fn received(text: &str) -> Result<Micros, &'static str> {
    Micros::from_rfc3339(text).ok_or("expected a time such as 2026-11-23T07:00:00Z")
}

impl Cli {
    /// Runs the command that was given.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Up(args) => up(&args.options()?).await?,
            Command::Down(args) => down(args.dir).await?,
            Command::Env(args) => print(&exports(&Target { dir: args.dir, ..Target::default() }.local()?)?)?,
            Command::Demo(args) => {
                let options = args.options()?;
                let hints = Hints::new(program(), &options.up.dir);
                demo::run(&options, &hints).await?;
            }
            Command::Devices(args) => query::devices(&args.target.into(), args.json).await?,
            Command::Query(args) => {
                let (target, question) = args.split();
                query::query(&target, &question).await?;
            }
            Command::Lake(command) => command.run().await?,
            Command::AlertRule(command) => return command.run().await,
            Command::Alerts(command) => command.run().await?,
            Command::Profile(command) => return command.run().await,
            Command::Layout(command) => return command.run(),
            Command::Decode(args) => {
                let file = args.file.clone();
                let is_accepted = decode::decode(&args.question()?, &file)?;
                return Ok(if is_accepted { ExitCode::SUCCESS } else { ExitCode::from(1) });
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl LakeCommand {
    async fn run(self) -> Result<()> {
        match self {
            Self::Ls(args) => lake::list(&args.stack.into(), args.day.as_deref()).await,
            Self::Verify(args) => lake::verify(&args.stack.into(), &args.day).await,
            Self::Export(args) => {
                let format = match args.format {
                    ExportFormat::Csv => lake::Format::Csv,
                    ExportFormat::Parquet => lake::Format::Parquet,
                };
                let range = (args.from, args.to);
                lake::export(&args.stack.into(), &args.device, range, format, args.out.as_deref()).await
            }
        }
    }
}

impl From<StackArgs> for Target {
    fn from(args: StackArgs) -> Self {
        Self { dir: args.dir, stack: args.stack, table: None }
    }
}

async fn up(options: &local::Options) -> Result<()> {
    let up = local::up(options).await?;
    let cloud = &up.cloud;
    let hints = Hints::new(program(), &options.dir);
    note(match (up.is_started, up.is_deployed) {
        (true, _) => "the local cloud is up",
        (false, true) => "the local cloud was up already; what has changed is deployed to it",
        (false, false) => "the local cloud is up already, and nothing has changed",
    });
    print(&how_to_go_on(cloud, &hints))
}

fn how_to_go_on(cloud: &Cloud, hints: &Hints) -> String {
    let Cloud { endpoint, mqtt_host, mqtt_port, region, .. } = cloud;
    let (ca, env) = (cloud.ca.display(), hints.tidegate("env"));
    let function = cloud.outputs.get("IngestFunctionName").map_or("…", String::as_str);
    let next = columns(&[
        (hints.make("demo"), "a fleet publishes to this cloud"),
        (hints.tidegate("devices"), "the devices and their latest values"),
        (hints.tidegate("lake ls"), "the readings as Parquet in S3"),
        (format!("aws logs tail /aws/lambda/{function}"), "what the function logs"),
        (hints.make("down"), "ends the cloud"),
    ]);
    format!(
        "
AWS services       {endpoint}
MQTT, mutual TLS   {mqtt_host}:{mqtt_port}, CA in {ca}

For the AWS CLI and SAM, in your shell (all of it, and more: eval \"$({env})\"):

  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={region}
  export AWS_ACCESS_KEY_ID={LOCAL_USER} AWS_SECRET_ACCESS_KEY={LOCAL_USER}

What to try next:

{next}"
    )
}

async fn down(dir: Option<PathBuf>) -> Result<()> {
    let was_up = local::down(&dir_or_default(dir)?).await?;
    note(if was_up { "the local cloud is down" } else { "no local cloud is up" });
    Ok(())
}

/// What the AWS CLI, SAM and `cargo lambda watch` need: the way to the local cloud, and the
/// variables that the template gives the function.
fn exports(cloud: &Cloud) -> Result<String> {
    let mut lines = String::new();
    for (name, value) in cloud.environment()? {
        let quoted = value.replace('\'', r"'\''");
        let _ = writeln!(lines, "export {name}='{quoted}'");
    }
    // Behind the user's own: cargo-lambda and sam, for whoever has none.
    if let Ok(checkout) = Checkout::find() {
        let _ = writeln!(lines, "export PATH=\"$PATH\":'{}'", checkout.sam_bin().display());
    }
    Ok(lines)
}

fn dir_or_default(dir: Option<PathBuf>) -> Result<PathBuf> {
    dir.map_or_else(local::default_dir, Ok)
}

/// As the user called it, for commands to copy.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "tidegate".to_owned())
}

impl UpArgs {
    fn options(self) -> Result<local::Options> {
        Ok(local::Options {
            dir: dir_or_default(self.dir)?,
            ports: Ports { http: self.port, mqtt: self.mqtt_port },
            stack: self.stack,
            profile: if self.release { Profile::Release } else { Profile::Dev },
        })
    }
}

impl DemoArgs {
    fn options(self) -> Result<demo::Options> {
        let scale = demo::Scale { devices: self.devices, rate: self.rate, seconds: self.seconds };
        Ok(demo::Options { up: self.up.options()?, scale, keep: self.keep })
    }
}

impl QueryArgs {
    fn split(self) -> (Target, query::Question) {
        let format = match self.format {
            Format::Table => query::Format::Table,
            Format::Json => query::Format::Json,
            Format::Csv => query::Format::Csv,
        };
        let Self { device, from, to, metric, limit, target, .. } = self;
        (target.into(), query::Question { device, from, to, metric, limit, format })
    }
}

impl From<TargetArgs> for Target {
    fn from(args: TargetArgs) -> Self {
        Self { dir: args.dir, stack: args.stack, table: args.table }
    }
}

impl DecodeArgs {
    fn question(self) -> Result<decode::Question> {
        let client_id = if self.any_client { ClientId::Any } else { ClientId::Match };
        let outside = match self.time_outside {
            OutsideArg::Arrival => Outside::Arrival,
            OutsideArg::Quarantine => Outside::Quarantine,
        };
        let max_age_micros = i64::from(self.max_age_days) * 86_400 * 1_000_000;
        let given = if self.layouts.is_empty() { vec![TopicLayout::default()] } else { self.layouts };
        let fleets = tidegate::layout::fleets(given, self.ignored)?;
        let layouts = Layouts::new(fleets, self.layout_site, self.payload_identity.as_ref());
        let layouts = layouts.map_err(|error| Error::problem(error.to_string()))?;
        Ok(decode::Question {
            topic: self.topic,
            client: self.client,
            received: self.received.unwrap_or_else(|| Micros(Timestamp::now().as_microsecond())),
            content_type: self.content_type,
            settings: Settings {
                identity: IdentityRules { client_id, payload_identity: self.payload_identity, layouts },
                time: TimePolicy { zone: self.zone, max_age_micros, outside, ..TimePolicy::default() },
                sparkplug: SparkplugPolicy {
                    patience_micros: i64::from(self.sparkplug_reorder_seconds) * 1_000_000,
                },
            },
            after: self.after,
            profiles: tidegate::profiles::read(&self.profiles)?,
        })
    }
}
