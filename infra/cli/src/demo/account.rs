//! What has become of each message, told by its content: counters can agree and still be wrong. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use telemetry::{DeviceId, Micros, Reading, Seq, Value};

use super::plan::{Expected, Record, SEQ, Script};

/// All that was found after the messages were published.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// What the readings table has of each device, each identity once.
    pub(crate) readings: HashMap<DeviceId, Vec<Reading>>,
    /// What the quarantine has.
    pub(crate) quarantined: Vec<Quarantined>,
    /// What still lies in a queue.
    pub(crate) queued: Vec<Queued>,
}

/// A line in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quarantined {
    /// Its id: a line may stand in two objects if its batch came twice.
    pub(crate) id: String,
    /// Kind of reason.
    pub(crate) code: String,
    /// Why.
    pub(crate) reason: String,
    /// Where it was published.
    pub(crate) topic: String,
    /// What was published.
    pub(crate) payload: Vec<u8>,
}

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    /// Which queue.
    pub(crate) queue: &'static str,
    /// Where it was published.
    pub(crate) topic: String,
    /// What was published.
    pub(crate) payload: Vec<u8>,
}

/// The sum of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Messages that the broker acknowledged.
    pub(crate) published: usize,
    /// Messages all of whose readings are stored, with the right values.
    pub(crate) stored: usize,
    /// Their readings.
    pub(crate) readings: usize,
    /// Messages in quarantine.
    pub(crate) quarantined: usize,
    /// Messages in a queue.
    pub(crate) in_flight: BTreeMap<&'static str, usize>,
    /// Messages that are nowhere.
    pub(crate) lost: usize,
    /// Which: topic and number.
    pub(crate) missing: Vec<(String, i64)>,
    /// Readings and quarantined messages beyond those that belong to a message.
    pub(crate) surplus: usize,
    /// Messages that came to an end, and not to theirs: a sentence and how many.
    pub(crate) astray: BTreeMap<String, usize>,
    /// Why messages are in quarantine: code and reason, and how many.
    pub(crate) reasons: BTreeMap<(String, String), usize>,
}

impl Account {
    /// Messages that have come to an end.
    pub(crate) fn settled(&self) -> usize {
        self.stored + self.quarantined
    }

    /// Whether nothing is left to wait for.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled() == self.published
    }

    /// Whether every message is where it belongs, once.
    pub(crate) fn is_good(&self) -> bool {
        self.is_settled() && self.surplus == 0 && self.astray.is_empty()
    }

    /// Messages in a queue.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.values().sum()
    }
}

/// Looks for each message of `scripts` in the evidence.
pub(crate) fn account(scripts: &[Script], evidence: &Evidence) -> Account {
    let mut account = Account::default();
    let mut seen = HashSet::new();
    let lines = evidence.quarantined.iter().filter(|line| seen.insert(&line.id));
    let mut quarantine = ByContent::new(lines.map(|line| (&line.topic, &line.payload, line)));
    let mut queued =
        ByContent::new(evidence.queued.iter().map(|found| (&found.topic, &found.payload, found.queue)));
    for script in scripts {
        let device = DeviceId::from_stored(script.device());
        let readings = evidence.readings.get(&device).map_or(&[][..], Vec::as_slice);
        let found = Found::new(readings);
        let mut claimed = 0;
        for message in &script.messages {
            account.published += 1;
            let topic = script.topic(message.stream);
            let stored = match &message.expected {
                Expected::Stored(records) if found.has_all(message.seq, records) => Some(records),
                _ => None,
            };
            if let Some(records) = stored {
                account.stored += 1;
                claimed += records.iter().map(|record| record.values.len()).sum::<usize>();
            } else if let Some(line) = quarantine.take(&topic, &message.payload) {
                account.add_quarantined(&message.expected, line);
            } else if let Some(queue) = queued.take(&topic, &message.payload) {
                *account.in_flight.entry(queue).or_default() += 1;
            } else {
                account.lost += 1;
                account.missing.push((topic, message.seq));
            }
        }
        account.readings += claimed;
        account.surplus += readings.len().saturating_sub(claimed);
    }
    account.surplus += quarantine.left();
    account
}

impl Account {
    fn add_quarantined(&mut self, expected: &Expected, line: &Quarantined) {
        self.quarantined += 1;
        *self.reasons.entry((line.code.clone(), line.reason.clone())).or_default() += 1;
        let astray = match expected {
            Expected::Stored(_) => format!("were to be stored, and are in quarantine: {}", line.reason),
            Expected::Quarantined(code) if *code != line.code => {
                format!("are in quarantine as `{}`, and were meant as `{code}`", line.code)
            }
            Expected::Quarantined(_) => return,
        };
        *self.astray.entry(astray).or_default() += 1;
    }
}

/// Finds by topic and payload, to be taken one by one: an empty payload may be published twice.
struct ByContent<'a, T>(HashMap<&'a str, HashMap<&'a [u8], Vec<T>>>);

impl<'a, T> ByContent<'a, T> {
    fn new(finds: impl Iterator<Item = (&'a String, &'a Vec<u8>, T)>) -> Self {
        let mut by_content = Self(HashMap::new());
        for (topic, payload, find) in finds {
            by_content.0.entry(topic).or_default().entry(payload).or_default().push(find);
        }
        by_content
    }

    fn take(&mut self, topic: &str, payload: &[u8]) -> Option<T> {
        self.0.get_mut(topic)?.get_mut(payload)?.pop()
    }

    fn left(&self) -> usize {
        self.0.values().flat_map(HashMap::values).map(Vec::len).sum()
    }
}

/// What a record's readings share: their time, and what tells it apart.
type Instant = (Micros, Seq);

/// A device's readings, by what tells them apart.
struct Found<'a> {
    values: HashMap<(Instant, &'a str), &'a Value>,
    /// For each message, the instants of its records, in order.
    instants: HashMap<i128, Vec<Instant>>,
}

impl<'a> Found<'a> {
    fn new(readings: &'a [Reading]) -> Self {
        let mut values = HashMap::new();
        let mut instants: HashMap<i128, Vec<Instant>> = HashMap::new();
        for reading in readings {
            values.insert((reading.instant(), &*reading.metric), &reading.value);
            if let (SEQ, Value::Integer(seq)) = (&*reading.metric, &reading.value) {
                instants.entry(*seq).or_default().push(reading.instant());
            }
        }
        instants.values_mut().for_each(|instants| instants.sort_unstable());
        Self { values, instants }
    }

    fn has_all(&self, seq: i64, records: &[Record]) -> bool {
        let Some(instants) = self.instants.get(&seq.into()) else { return false };
        let mut arrivals = instants.iter();
        records.iter().all(|record| {
            let instant = match record.at {
                Some(at) => instants.iter().find(|(known, _)| *known == at),
                None => arrivals.next(),
            };
            let has = |instant: Instant, (metric, value): &(&str, Value)| {
                self.values.get(&(instant, *metric)) == Some(&value)
            };
            instant.is_some_and(|instant| record.values.iter().all(|value| has(*instant, value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::deliver;
    use crate::demo::plan::{Scale, plan};

    const START: Micros = Micros(1_795_417_200_250_000);

    /// What a faultless pipeline leaves of these messages.
    fn faultless(scripts: &[Script]) -> Evidence {
        let mut evidence = Evidence::default();
        for script in scripts {
            for message in &script.messages {
                let received = START.plus(i64::try_from(message.after.as_micros()).unwrap());
                match deliver(script, message, received) {
                    Ok(readings) => {
                        evidence
                            .readings
                            .entry(DeviceId::from_stored(script.device()))
                            .or_default()
                            .extend(readings);
                    }
                    Err(reject) => evidence.quarantined.push(Quarantined {
                        id: format!("{} {}", script.name, message.seq),
                        code: reject.code().to_owned(),
                        reason: reject.to_string(),
                        topic: script.topic(message.stream),
                        payload: message.payload.clone(),
                    }),
                }
            }
        }
        evidence
    }

    fn scripts() -> Vec<Script> {
        plan(Scale { devices: 4, rate: 5, seconds: 20 }, START, 3)
    }

    #[test]
    fn a_faultless_pipeline_is_good() {
        let scripts = scripts();
        let account = account(&scripts, &faultless(&scripts));
        assert!(account.is_good(), "{account:?}");
        assert_eq!((account.published, account.lost, account.in_flight()), (400, 0, 0));
        assert!(account.quarantined > 30 && account.stored > 300, "{account:?}");
    }

    #[test]
    fn nothing_found_is_all_lost() {
        let account = account(&scripts(), &Evidence::default());
        assert_eq!((account.lost, account.settled()), (400, 0));
    }

    #[test]
    fn each_fault_shows() {
        let scripts = scripts();
        let check = |what: &str, spoil: fn(&mut Evidence), is_seen: fn(&Account) -> bool| {
            let mut evidence = faultless(&scripts);
            spoil(&mut evidence);
            let account = account(&scripts, &evidence);
            assert!(is_seen(&account) && !account.is_good(), "{what}: {account:?}");
        };
        check(
            "a reading is missing",
            |evidence| {
                drop(evidence.readings.get_mut(&DeviceId::from_stored("plant-1/pump-1")).unwrap().pop());
            },
            |account| account.lost == 1 && account.surplus > 0,
        );
        check(
            "a value is another",
            |evidence| evidence.readings.values_mut().next().unwrap()[0].value = Value::Integer(-1),
            |account| account.lost == 1,
        );
        check(
            "a message without a time is stored at two times",
            |evidence| {
                let readings = evidence.readings.get_mut(&DeviceId::from_stored("plant-2/valve-4")).unwrap();
                let again = Reading { at: readings[0].at.plus(1), ..readings[0].clone() };
                readings.push(again);
            },
            |account| account.lost == 0 && account.surplus == 1,
        );
        check(
            "a quarantined message is lost",
            |evidence| drop(evidence.quarantined.pop()),
            |account| account.lost == 1,
        );
        check(
            "a quarantined message lies in the error queue",
            |evidence| {
                let Quarantined { topic, payload, .. } = evidence.quarantined.pop().unwrap();
                evidence.queued.push(Queued { queue: "error queue", topic, payload });
            },
            |account| account.lost == 0 && account.in_flight["error queue"] == 1,
        );
        check(
            "a quarantined message is there twice",
            |evidence| {
                let again = Quarantined { id: "another".into(), ..evidence.quarantined[0].clone() };
                evidence.quarantined.push(again);
            },
            |account| account.surplus == 1,
        );
        check(
            "the reason is another",
            |evidence| evidence.quarantined[0].code = "topic".into(),
            |account| account.astray.len() == 1,
        );
    }

    #[test]
    fn a_line_written_twice_counts_once() {
        let scripts = scripts();
        let mut evidence = faultless(&scripts);
        evidence.quarantined.push(evidence.quarantined[0].clone());
        assert!(account(&scripts, &evidence).is_good());
    }
}
