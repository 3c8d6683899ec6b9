//! Nudges: by a message that SQS keeps back, the function reminds itself of a device whose update has to wait.

use std::borrow::Cow;
use std::collections::HashMap;

use cloud::config::MAX_DELAY_SECONDS;
use cloud::queue::Delayed;
use serde::{Deserialize, Serialize};
use telemetry::{DeviceId, Micros};

/// Most devices that are remembered: some 100 bytes each.
const MAX_REMEMBERED: usize = 20_000;
/// How much later than due a nudge comes, in microseconds: clocks differ, and one that comes too early is for nothing.
const LATER: i64 = 500_000;
const SECOND: i64 = 1_000_000;

/// What a nudge says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Nudge<'a> {
    /// The device that is to be looked at again, as `{site}/{device}`.
    #[serde(borrow)]
    pub device: Cow<'a, str>,
}

/// The message that brings a device again when its update is due.
pub fn nudge(device: &DeviceId, due: Micros, now: Micros) -> Delayed {
    let micros = due.0.saturating_sub(now.0).saturating_add(LATER).max(0);
    let seconds = u32::try_from(micros.saturating_add(SECOND - 1) / SECOND).unwrap_or(u32::MAX);
    #[expect(clippy::expect_used, reason = "a map with text keys, written to memory: nothing can fail")]
    let body = serde_json::to_string(&Nudge { device: device.as_str().into() }).expect("a nudge is JSON");
    Delayed { body, seconds: seconds.min(MAX_DELAY_SECONDS) }
}

/// The nudges that this process has sent, by the time they were sent for: a device that changes all the time costs one
/// message an interval. To forget is harmless: it costs a message more.
#[derive(Debug, Default)]
pub struct UnderWay(HashMap<DeviceId, Micros>);

impl UnderWay {
    /// Whether a nudge was sent for this device and time.
    pub fn has(&self, device: &DeviceId, due: Micros) -> bool {
        self.0.get(device) == Some(&due)
    }

    /// Notes that a nudge was sent. Where there are too many, those whose time has passed are forgotten, and if that
    /// is not enough, all.
    pub fn add(&mut self, device: DeviceId, due: Micros, now: Micros) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.retain(|_, due| *due > now);
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(device, due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: usize) -> DeviceId {
        DeviceId::from_stored(format!("s/{name}"))
    }

    #[test]
    fn a_nudge_comes_when_the_update_is_due() {
        let check = |due: i64, seconds: u32| {
            let sent = nudge(&DeviceId::from_stored("s/\"x"), Micros(due), Micros(0));
            assert_eq!(sent, Delayed { body: r#"{"device":"s/\"x"}"#.to_owned(), seconds }, "{due}");
        };
        check(1, 1);
        check(500_000, 1);
        check(500_001, 2);
        check(10_000_000, 11);
        check(900_000_000, 900);
        check(i64::MAX, 900);
        check(-5_000_000, 0);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut under_way = UnderWay::default();
        for name in 0..MAX_REMEMBERED {
            under_way.add(device(name), Micros(if name % 2 == 0 { 100 } else { 200 }), Micros(0));
        }
        assert!(under_way.has(&device(0), Micros(100)) && !under_way.has(&device(0), Micros(101)));
        under_way.add(device(MAX_REMEMBERED), Micros(300), Micros(150));
        assert_eq!(under_way.0.len(), MAX_REMEMBERED / 2 + 1, "what has passed is forgotten");
        assert!(under_way.has(&device(1), Micros(200)));
        for name in 0..2 * MAX_REMEMBERED {
            under_way.add(device(name), Micros(400), Micros(150));
            assert!(under_way.has(&device(name), Micros(400)));
            assert!(under_way.0.len() <= MAX_REMEMBERED);
        }
    }
}
