//! `tidegate alert-rule` and `tidegate alerts`: what readings are judged by, how that would have gone, and what stands.

mod backtest;
mod command;
mod explain;
mod fit;
mod list;
mod recorded;
pub mod rules;
mod words;

use std::sync::Arc;

use alert::{DeviceAlerts, Rule, RuleSet};
use cloud::alerts::Alerts;
use cloud::devices::Devices;
use cloud::rules::Loaded;
use jiff::Timestamp;
use telemetry::{DeviceId, Micros};

pub use backtest::{Question, Replayed, backtest};
pub use command::{End, Wish, command};
pub use explain::{explain, show};
pub use list::list;
pub(crate) use words::{count, summary, time};

use crate::aws::patience;
use crate::documents;
use crate::error::{Context as _, Error, Result};
use crate::target::{Source, Target};

/// The alerts of a stack, and the rules that they were raised by.
struct Stack {
    source: Source,
    alerts: Alerts,
    rules: RuleSet,
}

impl Stack {
    async fn open(target: &Target) -> Result<Self> {
        let source = target.open_stack().await?;
        let alerts = Alerts::new(source.clients.dynamodb.clone(), source.alerts()?);
        let Loaded { good, broken } = documents::load(&source).await?;
        let rules = RuleSet::new(good.into_iter().map(|(rule, _updated)| rule));
        let rules = rules.with_unreadable(broken.into_iter().map(|(name, _problem)| name.into()));
        Ok(Self { source, alerts, rules })
    }

    /// The rule of this name, if it is about the device.
    fn rule_about(&self, name: &str, device: &DeviceId) -> Result<&Arc<Rule>> {
        if self.rules.is_unreadable(name) {
            return Err(documents::unreadable::<Rule>(name));
        }
        let rule = self.rules.get(name).ok_or_else(|| documents::unknown::<Rule>(name))?;
        if !rule.matches(device) {
            return Err(Error::negative(format!(
                "the rule {name} is about {}, and not about {device}",
                words::scope(rule)
            )));
        }
        Ok(rule)
    }

    /// What is known of a device's alerts; `None`: nothing.
    async fn of(&self, device: &DeviceId) -> Result<Option<DeviceAlerts>> {
        let items = self.alerts.get(std::slice::from_ref(device), patience()).await;
        let item = items.or_problem(|| "cannot read the alerts table")?.remove(device);
        let alerts = item.map(|item| DeviceAlerts::from_item(&item, &self.rules));
        alerts.transpose().or_problem(|| format!("cannot understand what is stored of {device}"))
    }

    /// An error unless somebody has heard this device.
    async fn check_is_known(&self, device: &DeviceId) -> Result<()> {
        let devices = Devices::new(self.source.clients.dynamodb.clone(), self.source.devices()?);
        match devices.get(device, patience()).await.or_problem(|| "cannot read the devices table")? {
            Some(_) => Ok(()),
            None => Err(Error::negative(format!(
                "there is no device {device}; `tidegate devices` lists those that there are"
            ))),
        }
    }
}

/// Whether a rule has been removed.
fn is_gone(name: &str, rules: &RuleSet) -> bool {
    rules.get(name).is_none() && !rules.is_unreadable(name)
}

fn now() -> Micros {
    Micros(Timestamp::now().as_microsecond())
}
