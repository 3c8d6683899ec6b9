//! The demo: a fleet registers, connects and publishes; then every single message is looked for.

mod account;
mod evidence;
mod plan;
mod report;
mod stage;
mod staging;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use telemetry::Micros;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::aws::Clients;
use crate::console::{Progress, note, print};
use crate::error::{Context as _, Error, Result};
use crate::fleet::{self, Broker, Connection, Device};
use crate::hints::Hints;
use crate::local::{self, Cloud};
use account::{Account, Evidence, account};
use evidence::Investigator;
pub use plan::Scale;
use plan::{Script, plan};
use stage::Stage;
use staging::Performance;

/// How long the pipeline may take to drain.
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);
/// What has not moved for so long, with nothing in a queue, is lost.
const STANDSTILL: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Two messages of a device in one millisecond that have no time of their own could be one reading.
const BREATH: Duration = Duration::from_millis(2);

/// What the demo is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the local cloud is brought up, if it is not.
    pub up: local::Options,
    /// How much is said.
    pub scale: Scale,
    /// Whether a cloud that the demo brought up stays.
    pub keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// If anything does not work, or any message is not where it belongs.
pub async fn run(options: &Options, hints: &Hints) -> Result<()> {
    let dir = options.up.dir.clone();
    let up = local::up(&options.up).await?;
    if !up.is_started {
        note(&format!("using the local cloud that is up: {}", up.cloud.endpoint));
    }
    let stays = !up.is_started || options.keep;
    let guard = TakeDown { dir: (!stays).then(|| dir.clone()) };
    let outcome = publish_and_account(&up.cloud, &dir, options.scale).await;
    guard.finish().await?;
    let (account, evidence, performance) = outcome?;
    print(&report::render(&account, &evidence, &performance, hints, stays))?;
    if !account.is_good() {
        return Err(Error::negative(report::verdict(&account)));
    }
    let faults = performance.faults();
    if faults.is_empty() { Ok(()) } else { Err(Error::negative(faults.join("; "))) }
}

async fn publish_and_account(
    cloud: &Cloud,
    dir: &Path,
    scale: Scale,
) -> Result<(Account, Evidence, Performance)> {
    let clients = cloud.clients().await;
    let folder = dir.join(local::FLEET);
    let watcher = watcher(cloud, &clients, &folder).await?;
    let devices = fleet(cloud, &clients, &folder, scale.devices).await?;
    let connections = connect(&cloud.broker()?, &devices).await?;
    let stage = Stage::set(cloud, &clients, &watcher).await?;
    let start = Micros(jiff::Timestamp::now().as_microsecond());
    // The second is seed enough: it makes two runs differ, and one run repeatable.
    let mut scripts = plan(scale, start, start.0.unsigned_abs() / 1_000_000);
    scripts.push(staging::script(start));
    let look = stage.look_for_silent_devices(Instant::now());
    let (scripts, ()) = tokio::try_join!(publish(connections, scripts), look)?;
    let mut investigator = Investigator::new(cloud, &clients, start_of_millisecond(start))?;
    let (account, evidence) = drain(&mut investigator, &scripts).await?;
    Ok((account, evidence, stage.watch(&scripts).await?))
}

/// The broker's clock shows milliseconds.
fn start_of_millisecond(at: Micros) -> Micros {
    Micros(at.0 / 1_000 * 1_000)
}

/// The devices of `plan` and the one that plays a part, registered now or by an earlier demo on the same cloud.
async fn fleet(cloud: &Cloud, clients: &Clients, folder: &Path, count: u32) -> Result<Vec<Device>> {
    let progress =
        Progress::start(format!("registering {} devices: thing, certificate, policies", count + 1));
    let policies = [cloud.output("DevicePolicyName")?, cloud.output("DeviceAnswersPolicyName")?];
    let mut devices = Vec::new();
    let mut known = 0;
    let actor = (staging::ACTOR.0.to_owned(), staging::ACTOR.1.to_owned());
    for (site, name) in plan::devices(count).chain([actor]) {
        let (device, is_known) = registered(clients, folder, &policies, &site, &name).await?;
        known += usize::from(is_known);
        devices.push(device);
        progress.tick(&format!("{} of {}", devices.len(), count + 1));
    }
    progress.finish(if known == devices.len() { "all known already" } else { "" });
    Ok(devices)
}

/// Somebody who hears all alerts.
async fn watcher(cloud: &Cloud, clients: &Clients, folder: &Path) -> Result<Device> {
    let policies = [cloud.output("OperatorPolicyName")?];
    Ok(registered(clients, folder, &policies, "demo", "demo-watcher").await?.0)
}

/// A device, and whether an earlier demo had registered it.
async fn registered(
    clients: &Clients,
    folder: &Path,
    policies: &[&str],
    site: &str,
    name: &str,
) -> Result<(Device, bool)> {
    let path = folder.join(format!("{name}.json"));
    if let Some(device) = local::read(&path)? {
        return Ok((device, true));
    }
    let device = fleet::register(&clients.iot, policies, site, name).await?;
    save(folder, &path, &device)?;
    Ok((device, false))
}

/// As one file for the next demo, and as the two that other MQTT clients want.
fn save(folder: &Path, path: &Path, device: &Device) -> Result<()> {
    let sentence = || format!("cannot write into {}", folder.display());
    std::fs::create_dir_all(folder).or_problem(sentence)?;
    std::fs::write(folder.join(format!("{}.crt", device.name)), &device.certificate).or_problem(sentence)?;
    std::fs::write(folder.join(format!("{}.key", device.name)), &device.key).or_problem(sentence)?;
    local::write(path, device)
}

async fn connect(broker: &Broker, devices: &[Device]) -> Result<Vec<Connection>> {
    let progress = Progress::start(format!("connecting {} devices over MQTT with mutual TLS", devices.len()));
    let mut connections = Vec::new();
    for device in devices {
        connections.push(Connection::open(broker, device).await?);
        progress.tick(&format!("{} of {}", connections.len(), devices.len()));
    }
    progress.finish("");
    Ok(connections)
}

/// Publishes every message at its time, and waits for each acknowledgement.
async fn publish(connections: Vec<Connection>, scripts: Vec<Script>) -> Result<Vec<Script>> {
    let total: usize = scripts.iter().map(|script| script.messages.len()).sum();
    let progress = Progress::start(format!("publishing {total} messages with QoS 1"));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut speakers = JoinSet::new();
    for (mut connection, script) in connections.into_iter().zip(scripts) {
        let acknowledged = Arc::clone(&acknowledged);
        speakers.spawn(async move {
            for message in &script.messages {
                sleep_until((start + message.after).max(Instant::now() + BREATH)).await;
                connection.publish(&script.topic(message.stream), &message.payload).await?;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            connection.close().await;
            Ok::<Script, Error>(script)
        });
    }
    let detail = || format!("{} acknowledged", acknowledged.load(Ordering::Relaxed));
    let all = async {
        let mut spoken = Vec::new();
        while let Some(joined) = speakers.join_next().await {
            spoken.push(joined.or_problem(|| "a device stopped in the middle")??);
        }
        Ok(spoken)
    };
    let mut spoken: Vec<Script> = progress.watch(detail, all).await?;
    spoken.sort_by(|a, b| (&a.site, &a.name).cmp(&(&b.site, &b.name)));
    progress.finish("all acknowledged");
    Ok(spoken)
}

/// Looks until every message has come to an end, nothing moves any more, or the time is over.
async fn drain(investigator: &mut Investigator<'_>, scripts: &[Script]) -> Result<(Account, Evidence)> {
    let progress = Progress::start("waiting until the pipeline has drained");
    let deadline = Instant::now() + DRAIN_PATIENCE;
    let mut last_move = (0, Instant::now());
    loop {
        let evidence = investigator.gather(scripts).await?;
        let account = account(scripts, &evidence);
        if account.settled() != last_move.0 || account.in_flight() > 0 {
            last_move = (account.settled(), Instant::now());
        }
        let is_over = last_move.1.elapsed() > STANDSTILL || Instant::now() > deadline;
        if account.is_settled() || is_over {
            progress.finish(&format!(
                "{} of {} messages accounted for",
                account.settled(),
                account.published
            ));
            return Ok((account, evidence));
        }
        let (settled, published, in_flight) = (account.settled(), account.published, account.in_flight());
        progress.tick(&format!("{settled} of {published} messages accounted for, {in_flight} in queues"));
        sleep(LOOK_EVERY).await;
    }
}

/// Ends the cloud that the demo brought up, however the demo ends.
struct TakeDown {
    /// `None` if it stays.
    dir: Option<PathBuf>,
}

impl TakeDown {
    async fn finish(mut self) -> Result<()> {
        if let Some(dir) = self.dir.take() {
            local::down(&dir).await?;
            note("the local cloud is down again");
        }
        Ok(())
    }
}

impl Drop for TakeDown {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take()
            && let Err(error) = local::kill(&dir)
        {
            note(&error.report());
        }
    }
}

/// What the function would make of a message that the broker received at `received`.
#[cfg(test)]
fn deliver(
    script: &Script,
    message: &plan::Message,
    received: Micros,
) -> Result<Vec<telemetry::Reading>, telemetry::Reject> {
    let trace = format!("{} {}", script.name, message.seq);
    let envelope = telemetry::Envelope {
        payload: base64_simd::STANDARD.encode_to_string(&message.payload).into(),
        topic: script.topic(message.stream).into(),
        client: Some(script.name.as_str().into()),
        principal: None,
        content_type: None,
        received: start_of_millisecond(received),
        trace: Some(trace.into()),
        record: None,
    };
    let mut readings = Vec::new();
    telemetry::Decoder::default().decode(&envelope, &mut readings).map(|_| readings)
}
