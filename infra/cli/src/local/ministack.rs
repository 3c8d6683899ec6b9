//! MiniStack: started in a session of its own, found again by its process, ended with all that it started.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::http;
use super::process::{Group, ProcessId, command, excerpt, log_files};
use super::state;
use super::tools::Checkout;
use crate::aws::LOCAL_USER;
use crate::console::Progress;
use crate::error::{Context as _, Error, Result};

/// The region that the local cloud is said to be in.
pub(crate) const REGION: &str = "us-east-1";
/// Start-up takes half a second on a quiet machine.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// `setsid`, which Rust cannot call without `unsafe`: Ctrl-C in the terminal reaches no other session.
const DETACH: &str =
    "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, '-m', 'ministack'])";
/// What a run has in its folder, logs and build aside. The fleet goes too: another MiniStack has another CA.
const FOLDERS: [&str; 4] = ["tmp", "state", "s3", FLEET];
/// Folder of the devices' certificates.
pub(crate) const FLEET: &str = "fleet";

/// A MiniStack that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ministack {
    /// Its process.
    pub process: ProcessId,
    /// Port of all AWS services, over HTTP.
    pub port: u16,
    /// Port of MQTT over mutual TLS.
    pub mqtt_port: u16,
}

/// The ports that the user asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Of all AWS services; `None`: a free one.
    pub http: Option<u16>,
    /// Of MQTT; `None`: a free one.
    pub mqtt: Option<u16>,
}

impl Ministack {
    /// Starts one with its files below `dir`, and waits until it is ready. Until the returned guard
    /// is released, dropping it ends the process.
    pub(crate) async fn start(checkout: &Checkout, dir: &Path, ports: Ports) -> Result<(Self, Group)> {
        let (port, mqtt_port) = choose_ports(ports)?;
        let progress = Progress::start("starting the local cloud");
        let log = dir.join("ministack.log");
        let mut child = spawn(checkout, dir, &log, port, mqtt_port)?;
        let group = Group::of(&child);
        progress.watch(String::new, wait_until_ready(&mut child, port, &log)).await?;
        let process = ProcessId::of(&child).ok_or_else(|| not_started(&log))?;
        progress.finish(&format!("http://127.0.0.1:{port}, MQTT on port {mqtt_port}"));
        Ok((Self { process, port, mqtt_port }, group))
    }

    /// Where AWS clients find it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether it runs and answers.
    pub(crate) async fn is_up(&self) -> bool {
        self.process.is_alive() && http::get(self.port, "/_ministack/ready").await.is_ok()
    }
}

/// Removes what an earlier MiniStack left.
pub(crate) fn clear(dir: &Path) -> Result<()> {
    FOLDERS.iter().try_for_each(|folder| state::remove_dir(&dir.join(folder)))
}

impl Ports {
    /// Whether those that were asked for are free.
    pub(crate) fn check(self) -> Result<()> {
        choose_ports(self).map(drop)
    }
}

/// Both ports are held until both are known, so that they differ.
fn choose_ports(ports: Ports) -> Result<(u16, u16)> {
    let http = bind(ports.http, "--port", Ipv4Addr::LOCALHOST)?;
    // MiniStack binds this one on all interfaces.
    let mqtt = bind(ports.mqtt, "--mqtt-port", Ipv4Addr::UNSPECIFIED)?;
    let number = |listener: TcpListener| listener.local_addr().map(|address| address.port());
    Ok((
        number(http).or_problem(|| "cannot find a free port")?,
        number(mqtt).or_problem(|| "cannot find a free port")?,
    ))
}

/// The port that was asked for, if it is free; else any free one.
fn bind(asked: Option<u16>, option: &str, address: Ipv4Addr) -> Result<TcpListener> {
    match (TcpListener::bind((address, asked.unwrap_or(0))), asked) {
        (Ok(listener), _) => Ok(listener),
        (Err(error), Some(port)) if error.kind() == std::io::ErrorKind::AddrInUse => Err(Error::problem(
            format!("port {port} is in use; free it, or leave out {option} to get a free one"),
        )),
        (Err(error), Some(port)) => {
            Err(Error::problem(format!("cannot listen on port {port}")).caused_by(error))
        }
        (Err(error), None) => Err(Error::problem("cannot find a free port").caused_by(error)),
    }
}

fn spawn(checkout: &Checkout, dir: &Path, log: &Path, port: u16, mqtt_port: u16) -> Result<Child> {
    clear(dir)?;
    for folder in FOLDERS {
        std::fs::create_dir_all(dir.join(folder))
            .or_problem(|| format!("cannot create {}", dir.join(folder).display()))?;
    }
    let (out, err) = log_files(log)?;
    let mut ministack = command(checkout.ministack_python());
    ministack.args(["-c", DETACH]).stdout(out).stderr(err).current_dir(dir);
    ministack.env("GATEWAY_PORT", port.to_string()).env("IOT_MTLS_PORT", mqtt_port.to_string());
    ministack.env("BIND_HOST", "127.0.0.1").env("SFTP_ENABLED", "0").env("PYTHONUNBUFFERED", "1");
    // Inherited by the functions. An address instead of a name makes the SDK put buckets into the path.
    ministack.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
    ministack.envs(credentials()).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    ministack
        .env("TMPDIR", dir.join("tmp"))
        .env("STATE_DIR", dir.join("state"))
        .env("S3_DATA_DIR", dir.join("s3"));
    ministack.env("LAMBDA_WARM_TTL_SECONDS", "60");
    // Functions have the rights of their roles, devices those of their policies, and no more.
    ministack.env("AUTH", "true");
    ministack.spawn().or_problem(|| format!("cannot start {}", checkout.ministack_python().display()))
}

/// The one user of the local cloud, for a child process.
pub(crate) fn credentials() -> [(&'static str, &'static str); 5] {
    [
        ("AWS_ACCESS_KEY_ID", LOCAL_USER),
        ("AWS_SECRET_ACCESS_KEY", LOCAL_USER),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
}

async fn wait_until_ready(child: &mut Child, port: u16, log: &Path) -> Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if let Ok(Some(_)) = child.try_wait() {
            return Err(not_started(log));
        }
        if let Ok(answer) = http::get(port, "/_ministack/ready").await {
            return check_mqtt(&answer, log);
        }
        if Instant::now() >= deadline {
            let sentence = format!("the local cloud was not ready after {} s", START_PATIENCE.as_secs());
            return Err(Error::problem(sentence).with_details(excerpt(log)));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// `/_ministack/ready` is 200 even where the MQTT listener could not be set up.
fn check_mqtt(answer: &[u8], log: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Ready {
        iot_mtls: String,
    }
    match serde_json::from_slice(answer) {
        Ok(Ready { iot_mtls }) if iot_mtls == "listening" => Ok(()),
        _ => {
            Err(Error::problem("the local cloud came up without its MQTT broker").with_details(excerpt(log)))
        }
    }
}

fn not_started(log: &Path) -> Error {
    Error::problem("the local cloud ended while it started").with_details(excerpt(log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_said_in_a_sentence() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = choose_ports(Ports { http: Some(port), mqtt: None }).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("port {port} is in use; free it, or leave out --port to get a free one")
        );
        let (http, mqtt) = choose_ports(Ports::default()).unwrap();
        assert!(http != port && mqtt != port && http != mqtt);
    }
}
