//! Puts the play on: rules, an audience that listens over MQTT, and a look at the shadows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alert::Rule;
use cloud::rules::Rules;
use cloud::sdk::iotdata::error::ProvideErrorMetadata as _;
use serde_json::Value as Json;
use telemetry::Micros;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::plan::Script;
use super::staging::{ACTOR, Heard, LOOK, Performance, RULES};
use crate::aws::{Clients, patience};
use crate::console::Progress;
use crate::error::{Context as _, Error, Result};
use crate::fleet::{Connection, Device};
use crate::local::Cloud;

/// How long is waited, when all has been said, for what has to be heard and shown: the broker's events wait for ten
/// seconds, and shadows follow after an interval.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the shadows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The shadow that the stack keeps.
const SHADOW: &str = "telemetry";
/// The event of the schedule that has silent devices looked for.
const SCHEDULE: &str = r#"{"source": "aws.events", "detail-type": "Scheduled Event"}"#;

/// The stage, with its audience.
pub(crate) struct Stage<'a> {
    cloud: &'a Cloud,
    clients: &'a Clients,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Ends with the stage.
    audience: AbortHandle,
}

impl<'a> Stage<'a> {
    /// Stores the rules, and has `watcher` listen.
    pub(crate) async fn set(cloud: &'a Cloud, clients: &'a Clients, watcher: &Device) -> Result<Self> {
        put_rules(cloud, clients).await?;
        let since = now();
        let mut connection = Connection::open(&cloud.broker()?, watcher).await?;
        connection.subscribe(&format!("alerts/{}/{}/+", ACTOR.0, ACTOR.1)).await?;
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let listening = Arc::clone(&heard);
        let audience = tokio::spawn(async move {
            while let Some(received) = connection.receive(Duration::from_secs(3_600)).await {
                let document: Json = serde_json::from_slice(&received.payload).unwrap_or_default();
                let at = document["at"].as_str().and_then(Micros::from_rfc3339);
                // What an earlier demo has left is retained.
                if at.is_some_and(|at| at >= since) {
                    let heard = Heard { document, at: now() };
                    listening.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                }
            }
        });
        Ok(Self { cloud, clients, heard, audience: audience.abort_handle() })
    }

    /// Has silent devices looked for when the actor is silent.
    pub(crate) async fn look_for_silent_devices(&self, start: Instant) -> Result<()> {
        tokio::time::sleep_until(start + LOOK).await;
        self.cloud.invoke("PresenceFunctionName", SCHEDULE).await.map(drop)
    }

    /// What has been heard, and is shown of all devices, once it is as staged or the time is over.
    pub(crate) async fn watch(&self, scripts: &[Script]) -> Result<Performance> {
        let progress = Progress::start("waiting for the alerts and shadows that were staged");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let performance = Performance { heard: self.heard(), shadows: self.shadows(scripts).await? };
            if performance.faults().is_empty() || Instant::now() > deadline {
                progress.finish(if performance.faults().is_empty() {
                    "all as staged"
                } else {
                    "not as staged"
                });
                return Ok(performance);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn shadows(&self, scripts: &[Script]) -> Result<Vec<(String, Json)>> {
        let mut shadows = Vec::new();
        for script in scripts {
            let get = self.clients.iotdata.get_thing_shadow().thing_name(&script.name).shadow_name(SHADOW);
            let reported = match get.send().await {
                Ok(output) => {
                    let payload = output.payload().map(|payload| payload.as_ref()).unwrap_or_default();
                    let document: Json = serde_json::from_slice(payload).unwrap_or_default();
                    document["state"]["reported"].clone()
                }
                Err(error) if error.code() == Some("ResourceNotFoundException") => Json::Null,
                Err(error) => return Err(Error::problem("cannot read a shadow").caused_by(error)),
            };
            shadows.push((script.device(), reported));
        }
        Ok(shadows)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.audience.abort();
    }
}

async fn put_rules(cloud: &Cloud, clients: &Clients) -> Result<()> {
    let rules = Rules::new(clients.dynamodb.clone(), cloud.output("ConfigTableName")?);
    for text in RULES {
        let rule = Rule::from_toml(text).or_problem(|| "a rule of the demo is none")?;
        rules.put(&rule, now(), patience()).await.or_problem(|| "cannot store an alert rule")?;
    }
    Ok(())
}

fn now() -> Micros {
    Micros(jiff::Timestamp::now().as_microsecond())
}
