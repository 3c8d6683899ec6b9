//! Child processes: their environment, their logs, and their end.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::console::Progress;
use crate::error::{Context as _, Error, Result};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end a process that was killed.
const DYING: Duration = Duration::from_secs(2);
/// Lines of a log that stand below an error.
const EXCERPT_LINES: usize = 12;

/// What cargo says while all is well.
const NOISE: [&str; 7] =
    ["Compiling ", "Downloading ", "Downloaded ", "Updating ", "Locking ", "Adding ", "Blocking "];

/// A command that takes nothing from the user's own AWS set-up: no profile, no endpoint, no session token.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let is_ours = |name: &OsStr| {
        ["AWS_", "SAM_", "TIDEGATE_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A process and all that it starts, killed when this is dropped: that is how Ctrl-C and every
/// failure leave nothing running.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<Pid>,
}

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { leader }
    }

    /// That of a process found again.
    pub(crate) fn around(process: &ProcessId) -> Self {
        Self { leader: Pid::from_raw(process.pid).filter(|_| process.is_alive()) }
    }

    /// Lets the processes live.
    pub(crate) fn release(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // A child that has not become a leader yet has no group. What is gone needs no signal.
            let _ = kill_process_group(leader, Signal::KILL);
            let _ = kill_process(leader, Signal::KILL);
            let deadline = std::time::Instant::now() + DYING;
            while start_time(leader.as_raw_nonzero().get()).is_some() && std::time::Instant::now() < deadline
            {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the last thing that the process does, for a moment"
                )]
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Runs `command` with its output in the file `log`.
///
/// # Errors
/// If it cannot be started or fails; `sentence` says so, with the log's last relevant lines below.
pub(crate) async fn run_logged(
    mut command: Command,
    log: &Path,
    progress: &Progress,
    sentence: &str,
) -> Result<()> {
    let (out, err) = log_files(log)?;
    // A group of its own: `sam` starts cargo, which starts rustc, and all of them end together.
    command.stdout(out).stderr(err).process_group(0);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().or_problem(|| format!("cannot start {program}"))?;
    let group = Group::of(&child);
    let status: ExitStatus = progress
        .watch(String::new, child.wait())
        .await
        .or_problem(|| format!("cannot wait for {program}"))?;
    group.release();
    match status.signal() {
        _ if status.success() => Ok(()),
        Some(signal) => {
            Err(Error::problem(format!("{sentence}: {program} was ended from outside, by signal {signal}")))
        }
        None => Err(Error::problem(sentence).with_details(excerpt(log))),
    }
}

/// The same new file, for standard output and for standard error.
pub(crate) fn log_files(log: &Path) -> Result<(File, File)> {
    let sentence = || format!("cannot write {}", log.display());
    let out = File::create(log).or_problem(sentence)?;
    let err = out.try_clone().or_problem(sentence)?;
    Ok((out, err))
}

/// What a person needs of a log: from the first line that speaks of an error, or else its end; and its path.
pub(crate) fn excerpt(log: &Path) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines = relevant(&text);
    lines.push(format!("(all of it: {})", log.display()));
    lines
}

fn relevant(text: &str) -> Vec<String> {
    let is_noise =
        |line: &&str| line.is_empty() || NOISE.iter().any(|word| line.trim_start().starts_with(word));
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !is_noise(line)).collect();
    let is_error = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("error") || line.starts_with("Error") || line.starts_with("ERROR")
    };
    let last = lines.len().saturating_sub(EXCERPT_LINES);
    let first = lines.iter().position(is_error).map_or(last, |first| first.saturating_sub(1));
    lines[first..].iter().take(EXCERPT_LINES).map(|line| (*line).to_owned()).collect()
}

/// A process, named so that no other one can be taken for it: ids are used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The id; also that of its group and session.
    pub pid: i32,
    /// When the kernel started it, in clock ticks since boot.
    pub started: String,
}

impl ProcessId {
    /// The running process with this id.
    pub(crate) fn of(child: &Child) -> Option<Self> {
        let pid = i32::try_from(child.id()?).ok()?;
        Some(Self { pid, started: start_time(pid)? })
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Ends it with its whole group: asks first, kills what is left after some seconds.
    pub(crate) async fn end(&self) {
        let Some(leader) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) else { return };
        let _ = kill_process_group(leader, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while test_kill_process_group(leader).is_ok() {
            if Instant::now() >= deadline {
                let _ = kill_process_group(leader, Signal::KILL);
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Kills every process whose program lies below `folder`.
pub(crate) fn kill_programs_below(folder: &Path) {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let program = std::fs::read_link(entry.path().join("exe"));
        if let (Some(pid), Ok(program)) = (pid, program)
            && program.starts_with(folder)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)); `None` if there is no such process, or it has
/// ended and only waits to be collected.
fn start_time(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; after it come field 3, the state, and the rest.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" { None } else { fields.nth(18).map(str::to_owned) }
}

/// The `PATH` with `first` before everything else.
pub(crate) fn path_with(first: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(first)).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_begins_with_the_error() {
        let log = "one\ntwo\n   Compiling ingest v0.1.0\n\nerror[E0308]: mismatched\n --> here\n";
        assert_eq!(relevant(log), ["two", "error[E0308]: mismatched", " --> here"]);
        let long: String = (0..40).map(|number| format!("{number}\n")).collect();
        assert_eq!(relevant(&long).len(), EXCERPT_LINES);
        assert_eq!(relevant(&long).last().unwrap(), "39");
        assert!(relevant("").is_empty());
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let this = ProcessId { pid, started: start_time(pid).unwrap() };
        assert!(this.is_alive());
        assert!(!ProcessId { started: "1".into(), ..this }.is_alive());
    }

    #[tokio::test]
    async fn a_dropped_group_takes_its_children_along() {
        let mut command = command("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let group = Group::of(&child);
        let mut grandchild = String::new();
        let mut out = tokio::io::BufReader::new(child.stdout.take().unwrap());
        tokio::io::AsyncBufReadExt::read_line(&mut out, &mut grandchild).await.unwrap();
        let grandchild = grandchild.trim().parse().unwrap();
        assert!(start_time(grandchild).is_some());
        drop(group);
        child.wait().await.unwrap();
        while start_time(grandchild).is_some() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}
