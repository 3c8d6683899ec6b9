//! The local cloud: MiniStack with the real template deployed to it.
//!
//! Its folder holds `cloud.json` for whoever talks to it, `ministack.json` from the moment that
//! MiniStack runs, the build, the fleet's certificates, and logs.

pub(crate) mod http;
mod ministack;
mod process;
mod sam;
mod state;
mod tools;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use cloud::sdk::dynamodb::Client;
use cloud::sdk::dynamodb::types::{TimeToLiveSpecification, TimeToLiveStatus};

pub(crate) use ministack::FLEET;
pub use ministack::{Ministack, Ports};
pub use process::ProcessId;
pub use sam::Profile;
pub use state::Cloud;
pub(crate) use state::{read, write};
pub use tools::Checkout;

use crate::aws::Clients;
use crate::console::note;
use crate::error::{Context as _, Error, Result};
use ministack::{REGION, clear};
use process::Group;
use sam::Sam;

/// What `up` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The local cloud's folder.
    pub dir: PathBuf,
    /// Its ports.
    pub ports: Ports,
    /// Name of the stack.
    pub stack: String,
    /// How the functions are built.
    pub profile: Profile,
}

/// A cloud that is up, and what `up` had to do for it.
#[derive(Debug)]
pub struct Up {
    /// The cloud.
    pub cloud: Cloud,
    /// Whether it was this call that started it.
    pub is_started: bool,
    /// Whether it was this call that deployed what is deployed.
    pub is_deployed: bool,
}

/// The folder of the local cloud that is meant when none is named.
///
/// # Errors
/// If the current folder is in no checkout.
pub fn default_dir() -> Result<PathBuf> {
    Ok(Checkout::find()?.root.join(".local/cloud"))
}

/// The cloud in `dir`, if it runs and its stack is deployed.
///
/// # Errors
/// If its files cannot be read.
pub fn running(dir: &Path) -> Result<Option<Cloud>> {
    let ministack: Option<Ministack> = state::read(&ministack_json(dir))?;
    let is_alive = ministack.is_some_and(|ministack| ministack.process.is_alive());
    if is_alive { state::read(&cloud_json(dir)) } else { Ok(None) }
}

/// Sets up the tools, builds the functions, starts the local cloud if it does not run yet, and
/// deploys what changed. What this call started ends with it, unless it succeeds.
///
/// # Errors
/// What does not work, in a sentence.
pub async fn up(options: &Options) -> Result<Up> {
    if !cfg!(target_os = "linux") {
        return Err(Error::problem(
            "the local cloud runs Lambda binaries as plain processes, which needs Linux",
        ));
    }
    let checkout = Checkout::find()?;
    let dir = create_dir(&options.dir)?;
    let _lock = lock(&dir)?;
    // Before the long steps: whatever would make them useless.
    let running = find(&dir, options).await?;
    if running.is_none() {
        options.ports.check()?;
    }
    checkout.install().await?;
    let sam = Sam { checkout: &checkout, dir: &dir, stack: &options.stack };
    let build = sam.build(options.profile).await?;

    if let Some((ministack, deployed)) = running {
        if let Some(cloud) = deployed.filter(|cloud| cloud.build == build) {
            return Ok(Up { cloud, is_started: false, is_deployed: false });
        }
        let cloud = deploy(&sam, &ministack, build).await?;
        return Ok(Up { cloud, is_started: false, is_deployed: true });
    }
    let mut unfinished = Unfinished { dir: &dir, group: None, is_finished: false };
    let (ministack, group) = Ministack::start(&checkout, &dir, options.ports).await?;
    unfinished.group = Some(group);
    state::write(&ministack_json(&dir), &ministack)?;
    let cloud = deploy(&sam, &ministack, build).await?;
    unfinished.finish();
    Ok(Up { cloud, is_started: true, is_deployed: true })
}

/// A cloud that this call has not yet brought up: dropped, it is gone, logs aside.
struct Unfinished<'a> {
    dir: &'a Path,
    group: Option<Group>,
    is_finished: bool,
}

impl Unfinished<'_> {
    fn finish(mut self) {
        if let Some(group) = self.group.take() {
            group.release();
        }
        self.is_finished = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            drop(self.group.take());
            if let Err(error) = forget(self.dir) {
                note(&error.report());
            }
        }
    }
}

/// Ends the cloud in `dir`. Returns whether there was one.
///
/// # Errors
/// If its files cannot be read or removed.
pub async fn down(dir: &Path) -> Result<bool> {
    if !dir.is_dir() {
        return Ok(false);
    }
    let _lock = lock(dir)?;
    let Some(ministack) = state::read::<Ministack>(&ministack_json(dir))? else { return Ok(false) };
    let was_alive = ministack.process.is_alive();
    ministack.process.end().await;
    forget(dir)?;
    Ok(was_alive)
}

/// As [`down`], at once and without asking: for the end of a process that was told to end.
pub(crate) fn kill(dir: &Path) -> Result<()> {
    if let Some(ministack) = state::read::<Ministack>(&ministack_json(dir))? {
        drop(Group::around(&ministack.process));
    }
    forget(dir)
}

/// The MiniStack of `dir` with what is deployed to it, if it runs and answers; one that runs and
/// does not is ended.
async fn find(dir: &Path, options: &Options) -> Result<Option<(Ministack, Option<Cloud>)>> {
    let Some(ministack) = state::read::<Ministack>(&ministack_json(dir))? else { return Ok(None) };
    if !ministack.is_up().await {
        note("the local cloud has ended or does not answer; starting another one");
        ministack.process.end().await;
        forget(dir)?;
        return Ok(None);
    }
    let cloud = running(dir)?;
    let is_other = |asked: Option<u16>, has: u16| asked.is_some_and(|asked| asked != has);
    let (port, mqtt_port) = (ministack.port, ministack.mqtt_port);
    if is_other(options.ports.http, port) || is_other(options.ports.mqtt, mqtt_port) {
        let sentence = format!(
            "the local cloud is up already, on the ports {port} and {mqtt_port}; `tidegate down` ends it"
        );
        return Err(Error::problem(sentence));
    }
    match &cloud {
        Some(cloud) if cloud.stack != options.stack => {
            let (has, asked) = (&cloud.stack, &options.stack);
            let sentence = format!(
                "the local cloud is up already, with the stack {has} instead of {asked}; `tidegate down` ends it"
            );
            Err(Error::problem(sentence))
        }
        _ => Ok(Some((ministack, cloud))),
    }
}

async fn deploy(sam: &Sam<'_>, ministack: &Ministack, build: String) -> Result<Cloud> {
    // A deployment that fails half-way leaves nothing that looks deployed.
    state::remove(&cloud_json(sam.dir))?;
    sam.deploy(ministack).await?;
    let ca = sam.dir.join("ca.pem");
    let pem = http::get(ministack.port, "/_ministack/iot/ca.pem").await?;
    std::fs::write(&ca, pem).or_problem(|| format!("cannot write {}", ca.display()))?;
    let clients = Clients::local(&ministack.endpoint(), REGION).await;
    let cloud = Cloud {
        pid: ministack.process.pid,
        endpoint: ministack.endpoint(),
        mqtt_host: "127.0.0.1".to_owned(),
        mqtt_port: ministack.mqtt_port,
        ca,
        region: REGION.to_owned(),
        stack: sam.stack.to_owned(),
        build,
        outputs: clients.outputs(sam.stack).await?,
    };
    set_time_to_live(&clients.dynamodb, cloud.output("ReadingsTableName")?).await?;
    state::write(&cloud_json(sam.dir), &cloud)?;
    Ok(cloud)
}

/// What the template says of the readings table and the local CloudFormation passes over.
async fn set_time_to_live(client: &Client, table: &str) -> Result<()> {
    let sentence = || format!("cannot set the time to live of the table {table}");
    let described = client.describe_time_to_live().table_name(table).send().await.or_problem(sentence)?;
    let status = described.time_to_live_description().and_then(|ttl| ttl.time_to_live_status());
    if status == Some(&TimeToLiveStatus::Enabled) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder()
        .attribute_name("expires")
        .enabled(true)
        .build()
        .or_problem(sentence)?;
    let update = client.update_time_to_live().table_name(table).time_to_live_specification(ttl);
    update.send().await.map(drop).or_problem(sentence)
}

/// Removes what a cloud that is no more has left, logs aside.
fn forget(dir: &Path) -> Result<()> {
    // Functions outlive a MiniStack that was killed.
    process::kill_programs_below(&dir.join("tmp"));
    for file in [cloud_json(dir), ministack_json(dir), dir.join("ca.pem"), dir.join("build.toml")] {
        state::remove(&file)?;
    }
    state::remove_dir(&dir.join("build"))?;
    clear(dir)
}

fn cloud_json(dir: &Path) -> PathBuf {
    dir.join("cloud.json")
}

fn ministack_json(dir: &Path) -> PathBuf {
    dir.join("ministack.json")
}

/// The folder with its whole path: child processes run in other folders.
fn create_dir(dir: &Path) -> Result<PathBuf> {
    let sentence = || format!("cannot create the folder {}", dir.display());
    std::fs::create_dir_all(dir).or_problem(sentence)?;
    dir.canonicalize().or_problem(sentence)
}

/// Held while a cloud is brought up or down, and let go by the kernel however the process ends.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let sentence = || format!("cannot lock {}", path.display());
    let file = File::create(&path).or_problem(sentence)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::problem(format!(
            "another `tidegate` brings the cloud in {} up or down right now",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(error).or_problem(sentence),
    }
}
