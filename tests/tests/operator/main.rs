//! `tidegate alert-rule`, `tidegate alerts` and `tidegate profile`, as an operator types them: without any cloud (`files`,
//! `profiles`), and beside the fake of AWS with the function `alert` behind the queue (`stack`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod files;
mod profiles;
mod stack;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a command has come to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// The standard output of a command that has ended well.
    fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The standard error of a command that has ended with this code.
    fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.err
    }
}

/// Runs `tidegate`, with nothing of the environment but a user's name.
fn tidegate(words: &[&str], input: &[u8]) -> Ran {
    let binary = tests::functions::binary("tidegate", "debug").unwrap();
    let mut command = Command::new(binary);
    command.args(words).env_clear().env("USER", "ada").current_dir(root());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files in a folder of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// The path of a file with this content.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// As [`Files::put`], with a rule about all devices.
    fn put_rule(&self, name: &str, more: &str) -> String {
        let head = format!("name = \"{name}\"\nseverity = \"critical\"\nmessage = \"too hot\"\n");
        self.put(&format!("{name}.toml"), head + more)
    }
}

const HOT: &str = "condition = { metric = \"temperature\", above = 50, clear = 45, unit = \"Cel\" }";
