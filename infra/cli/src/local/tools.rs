//! The checkout, and the pinned tools that it installs for itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::process::{Group, command};
use crate::console::Progress;
use crate::error::{Context as _, Error, Result};

/// A checkout of Tidegate: the local cloud is built from it.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The folder of `template.yaml`.
    pub root: PathBuf,
}

impl Checkout {
    /// The checkout that the current folder lies in.
    ///
    /// # Errors
    /// If it lies in none.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().or_problem(|| "cannot tell the current folder")?;
        let is_root = |folder: &&Path| {
            folder.join("template.yaml").is_file() && folder.join("infra/local/install.sh").is_file()
        };
        match here.ancestors().find(is_root) {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Error::problem(
                "this is no checkout of Tidegate; the local cloud is built from one, so run this inside it",
            )),
        }
    }

    /// Where the tools are, below the checkout.
    fn local(&self) -> PathBuf {
        self.root.join(".local")
    }

    /// The folder of `sam` and `cargo-lambda`.
    pub fn sam_bin(&self) -> PathBuf {
        self.local().join("venv-sam/bin")
    }

    /// The Python that runs MiniStack.
    pub(crate) fn ministack_python(&self) -> PathBuf {
        self.local().join("venv-ministack/bin/python")
    }

    /// Installs the tools, or finds them installed.
    ///
    /// # Errors
    /// The sentence of `install.sh`, such as: no network.
    pub async fn install(&self) -> Result<()> {
        let progress = Progress::start("installing the local cloud's tools");
        let mut install = command("bash");
        install.arg(self.root.join("infra/local/install.sh")).env("TIDEGATE_LOCAL_DIR", self.local());
        install.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            install.spawn().or_problem(|| "cannot start bash, which infra/local/install.sh needs")?;
        let group = Group::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let tell = async {
            let Some(out) = out else { return };
            let mut lines = BufReader::new(out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                progress.say(&format!("  {line}"));
            }
        };
        let complaints = async {
            let mut text = Vec::new();
            if let Some(mut err) = err {
                let _ = err.read_to_end(&mut text).await;
            }
            String::from_utf8_lossy(&text).into_owned()
        };
        let all = async { tokio::join!(tell, complaints, child.wait()) };
        let ((), complaints, status) = progress.watch(String::new, all).await;
        group.release();
        if status.or_problem(|| "cannot wait for infra/local/install.sh")?.success() {
            progress.finish("");
            return Ok(());
        }
        Err(explain(&complaints))
    }
}

/// The script says what is wrong in its last line, `error: …`.
fn explain(complaints: &str) -> Error {
    let sentence = complaints.lines().rev().find_map(|line| line.strip_prefix("error: "));
    match sentence {
        Some(sentence) => Error::problem(sentence),
        None => Error::problem("infra/local/install.sh failed")
            .with_details(complaints.lines().rev().take(5).map(str::to_owned).collect()),
    }
}
