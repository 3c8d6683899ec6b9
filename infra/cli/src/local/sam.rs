//! SAM: the same `sam build` and `sam deploy` of the same template as for AWS.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::ministack::{Ministack, credentials};
use super::process::{command, path_with, run_logged};
use super::tools::Checkout;
use crate::console::Progress;
use crate::error::{Context as _, Error, Result};

/// The stage that the local stack is deployed as: part of its rules', policy's and function's names.
pub(crate) const STAGE: &str = "local";

/// How the functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// A minute instead of five.
    #[default]
    Dev,
    /// What is deployed to AWS.
    Release,
}

/// `sam`, for the stack of one local cloud.
#[derive(Debug)]
pub(crate) struct Sam<'a> {
    pub(crate) checkout: &'a Checkout,
    pub(crate) dir: &'a Path,
    pub(crate) stack: &'a str,
}

impl Sam<'_> {
    /// Builds the functions. Returns a fingerprint of what would be deployed.
    pub(crate) async fn build(&self, profile: Profile) -> Result<String> {
        let progress = Progress::start("building the functions (minutes at first, then seconds)");
        let mut build = self.sam("build")?;
        build.arg("--template-file").arg(self.checkout.root.join("template.yaml"));
        build
            .arg("--build-dir")
            .arg(self.build_dir())
            .args(["--beta-features", "--parameter-overrides"])
            .args(parameters()?);
        // The local cloud runs on this machine: no zig, which lets a build for another one.
        build.env("CARGO_LAMBDA_COMPILER", "cargo");
        if profile == Profile::Dev {
            build.env("SAM_BUILD_MODE", "debug");
        }
        run_logged(build, &self.dir.join("build.log"), &progress, "the functions could not be built").await?;
        let fingerprint = self.fingerprint()?;
        progress.finish("");
        Ok(fingerprint)
    }

    /// Deploys what was built, or changes what is deployed to it.
    pub(crate) async fn deploy(&self, ministack: &Ministack) -> Result<()> {
        let progress = Progress::start(format!("deploying template.yaml as the stack {}", self.stack));
        let mut deploy = self.sam("deploy")?;
        deploy.arg("--template-file").arg(self.built_template()).args([
            "--stack-name",
            self.stack,
            "--resolve-s3",
        ]);
        deploy.args([
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
        ]);
        deploy.arg("--no-progressbar").arg("--parameter-overrides").args(parameters()?);
        deploy.env("AWS_ENDPOINT_URL", ministack.endpoint()).envs(credentials());
        deploy.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        run_logged(deploy, &self.dir.join("deploy.log"), &progress, "the stack could not be deployed")
            .await?;
        progress.finish("");
        Ok(())
    }

    fn sam(&self, verb: &str) -> Result<Command> {
        // sam leaves folders behind; here they end with the cloud.
        let tmp = self.dir.join("tmp");
        std::fs::create_dir_all(&tmp).or_problem(|| format!("cannot create {}", tmp.display()))?;
        let bin = self.checkout.sam_bin();
        let mut sam = command(bin.join("sam"));
        // sam finds cargo-lambda beside itself, and cargo where the user has it.
        sam.arg(verb).env("PATH", path_with(&bin)).env("SAM_CLI_TELEMETRY", "0").env("PYTHONUNBUFFERED", "1");
        sam.current_dir(&self.checkout.root).env("TMPDIR", tmp);
        Ok(sam)
    }

    fn build_dir(&self) -> PathBuf {
        self.dir.join("build")
    }

    fn built_template(&self) -> PathBuf {
        self.build_dir().join("template.yaml")
    }

    /// Changes when the template, a parameter, the stack's name or a function does.
    fn fingerprint(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        (self.stack, parameters()?).hash(&mut hasher);
        let sentence = || format!("cannot read {}", self.build_dir().display());
        let mut files = vec![self.built_template()];
        for entry in std::fs::read_dir(self.build_dir()).or_problem(sentence)? {
            files.push(entry.or_problem(sentence)?.path().join("bootstrap"));
        }
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            std::fs::read(file).or_problem(sentence)?.hash(&mut hasher);
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}

/// What the local cloud needs to be told of itself; everything else has the template's defaults.
fn parameters() -> Result<[String; 7]> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x86_64",
        "aarch64" => "arm64",
        other => {
            return Err(Error::problem(format!(
                "Lambda has no {other} processors, so the local cloud cannot run here"
            )));
        }
    };
    Ok([
        format!("Stage={STAGE}"),
        format!("Architecture={architecture}"),
        "OnAws=false".to_owned(),
        // Here it costs nothing.
        "SparkplugFilter=spBv1.0/#".to_owned(),
        // Nobody wants to watch a batch fill.
        "BatchWindowSeconds=1".to_owned(),
        // Nor wait for a rule to be taken up, or a shadow to follow.
        "ConfigCacheSeconds=1".to_owned(),
        "ShadowMinIntervalSeconds=2".to_owned(),
    ])
}
