//! The command line of topic layouts.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use telemetry::{ClientId, LayoutSite, TopicFilter};
use tidegate::{Result, layout};

#[derive(Debug, Subcommand)]
pub(super) enum LayoutCommand {
    /// Say what is wrong with layouts, or which topic two of them both match
    Check(CheckArgs),
    /// Show what the template makes of a layout: rule, policy, an example topic and what it decodes to
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Layouts of one deployment, such as 'factory/{site}/{prefix}/{device}/{metric}'
    #[arg(required = true, value_name = "TEXT")]
    layouts: Vec<String>,
    /// Topics, such as shellies/announce, whose messages are ignored; may be given once for each layout
    #[arg(long = "ignore", value_name = "FILTER", value_parser = TopicFilter::of_ignored)]
    ignored: Vec<TopicFilter>,
    /// Topics, such as iot/#, whose payloads name the device
    #[arg(long, value_name = "FILTER", value_parser = TopicFilter::of_payload_identity)]
    payload_identity: Option<TopicFilter>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A layout, such as 'N/{device}/{metric...}'
    #[arg(value_name = "TEXT")]
    layout: String,
    /// Site of the devices, where the layout has no {site}
    #[arg(long, default_value_t = LayoutSite::default())]
    site: LayoutSite,
    /// Whether the client id has to be the device: any is for gateways, which publish for all
    #[arg(long, value_enum, default_value_t = ClientIdArg::Match)]
    client_id: ClientIdArg,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ClientIdArg {
    Match,
    Any,
}

impl LayoutCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Check(args) => {
                let are_good = layout::check(&args.layouts, args.ignored, args.payload_identity.as_ref())?;
                Ok(if are_good { ExitCode::SUCCESS } else { ExitCode::from(1) })
            }
            Self::Show(ShowArgs { layout, site, client_id }) => {
                let client_id = match client_id {
                    ClientIdArg::Match => ClientId::Match,
                    ClientIdArg::Any => ClientId::Any,
                };
                layout::show(&layout, site, client_id)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
