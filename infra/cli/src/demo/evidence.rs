//! Gathers what has become of the demo's messages: readings, quarantine, queues.

use std::collections::HashMap;

use cloud::quarantine::PREFIX;
use cloud::readings::Readings;
use cloud::sdk::s3;
use serde::Deserialize;
use serde_json::Value as Json;
use telemetry::{DeviceId, Envelope, Micros};

use super::account::{Evidence, Quarantined, Queued};
use super::plan::Script;
use crate::aws::{Clients, patience};
use crate::error::{Context as _, Error, Result};
use crate::local::{Cloud, http};

/// The queues that a message may lie in, by the stack's outputs.
const QUEUES: [(&str, &str); 3] = [
    ("TelemetryQueueUrl", "telemetry queue"),
    ("TelemetryDeadLetterQueueUrl", "dead-letter queue"),
    ("ErrorQueueUrl", "error queue"),
];

/// Where to look. Objects in quarantine never change, so each is fetched once.
pub(crate) struct Investigator<'a> {
    cloud: &'a Cloud,
    readings: Readings,
    s3: s3::Client,
    bucket: &'a str,
    /// Messages received earlier are an earlier demo's.
    since: Micros,
    objects: HashMap<String, Vec<Quarantined>>,
}

impl<'a> Investigator<'a> {
    pub(crate) fn new(cloud: &'a Cloud, clients: &Clients, since: Micros) -> Result<Self> {
        Ok(Self {
            cloud,
            readings: Readings::new(clients.dynamodb.clone(), cloud.output("ReadingsTableName")?),
            s3: clients.s3.clone(),
            bucket: cloud.output("BucketName")?,
            since,
            objects: HashMap::new(),
        })
    }

    /// All that there is to find now.
    pub(crate) async fn gather(&mut self, scripts: &[Script]) -> Result<Evidence> {
        // Queues first: what leaves a queue meanwhile is found where it went.
        let queued = self.queued().await?;
        let quarantined = self.quarantined().await?;
        let mut readings = HashMap::new();
        for script in scripts {
            let device = DeviceId::from_stored(script.device());
            let found = self.readings.query(&device, self.since, Micros(i64::MAX), patience()).await;
            readings.insert(device, found.or_problem(|| "cannot read the stored readings")?);
        }
        Ok(Evidence { readings, quarantined, queued })
    }

    async fn quarantined(&mut self) -> Result<Vec<Quarantined>> {
        let sentence = || "cannot read the quarantine";
        let mut pages = self.s3.list_objects_v2().bucket(self.bucket).prefix(PREFIX).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.or_problem(sentence)?;
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        for key in keys.into_iter().filter(|key| !self.objects.contains_key(key)).collect::<Vec<_>>() {
            let object =
                self.s3.get_object().bucket(self.bucket).key(&key).send().await.or_problem(sentence)?;
            let bytes = object.body.collect().await.or_problem(sentence)?.into_bytes();
            let text = String::from_utf8_lossy(&bytes);
            let lines = text.lines().map(|line| read_line(line, self.since)).collect::<Result<Vec<_>>>()?;
            self.objects.insert(key, lines.into_iter().flatten().collect());
        }
        Ok(self.objects.values().flatten().cloned().collect())
    }

    /// MiniStack shows all queues without receiving from them.
    async fn queued(&self) -> Result<Vec<Queued>> {
        let answer = http::get(self.cloud.port()?, "/_ministack/sqs/messages").await?;
        let accounts: Json =
            serde_json::from_slice(&answer).or_problem(|| "cannot understand what the queues hold")?;
        let mut queued = Vec::new();
        for (output, name) in QUEUES {
            let Some(url) = self.cloud.outputs.get(output) else { continue };
            let bodies = messages_of(&accounts, url).filter_map(|message| message["Body"].as_str());
            queued.extend(bodies.filter_map(|body| read_queued(body, name)));
        }
        Ok(queued)
    }
}

/// `{"messages": {account: {region: {queue URL: [message, …]}}}}`
fn messages_of<'a>(accounts: &'a Json, url: &'a str) -> impl Iterator<Item = &'a Json> {
    let regions = accounts["messages"].as_object().into_iter().flat_map(|accounts| accounts.values());
    let queues = regions.filter_map(Json::as_object).flat_map(|regions| regions.values());
    let of_url = queues.filter_map(move |queues| queues.get(url)?.as_array());
    of_url.flatten()
}

/// One line of an object in quarantine; `None` if it was received before `since`, or was no message.
fn read_line(line: &str, since: Micros) -> Result<Option<Quarantined>> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        code: String,
        reason: String,
        topic: Option<String>,
        payload: Option<String>,
        received: Option<String>,
    }
    let line: Line =
        serde_json::from_str(line).or_problem(|| "the quarantine holds a line that is no JSON object")?;
    let (Some(topic), Some(payload), Some(received)) = (line.topic, line.payload, line.received) else {
        return Ok(None);
    };
    let payload = from_base64(&payload)
        .ok_or_else(|| Error::problem("the quarantine holds a payload that is not base64"))?;
    let is_ours = Micros::from_rfc3339(&received).is_some_and(|received| received >= since);
    Ok(is_ours.then_some(Quarantined { id: line.id, code: line.code, reason: line.reason, topic, payload }))
}

/// The message in a queue: in the rule's envelope, in an invocation that failed, or in a rule's error message.
fn read_queued(body: &str, queue: &'static str) -> Option<Queued> {
    if let Ok(envelope) = Envelope::parse(body) {
        return Some(Queued {
            queue,
            topic: envelope.topic.into_owned(),
            payload: from_base64(&envelope.payload)?,
        });
    }
    let wrapper: Json = serde_json::from_str(body).ok()?;
    if let Some(request) = wrapper.get("requestPayload") {
        return read_queued(&request.to_string(), queue);
    }
    let payload = from_base64(wrapper["base64OriginalPayload"].as_str()?)?;
    Some(Queued { queue, topic: wrapper["topic"].as_str()?.to_owned(), payload })
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_in_every_wrapping() {
        let envelope = r#"{"payload":"e30=","topic":"dt/a/b/c","client":"b","received":1795417200250}"#;
        let expected = Some(Queued { queue: "q", topic: "dt/a/b/c".into(), payload: b"{}".to_vec() });
        assert_eq!(read_queued(envelope, "q"), expected);
        assert_eq!(
            read_queued(&format!(r#"{{"version":"1.0","requestPayload":{envelope}}}"#), "q"),
            expected
        );
        let rule_error =
            r#"{"ruleName":"r","topic":"dt/a/b/c","base64OriginalPayload":"e30=","failures":[]}"#;
        assert_eq!(read_queued(rule_error, "q"), expected);
        assert_eq!(read_queued("what?", "q"), None);
    }

    #[test]
    fn only_lines_of_this_run_count() {
        let line = r#"{"id":"1","code":"empty","reason":"the payload is empty","topic":"dt/a/b/c","payload":"","received":"2026-11-23T07:00:00.25Z"}"#;
        assert!(read_line(line, Micros(1_795_417_200_250_000)).unwrap().is_some());
        assert!(read_line(line, Micros(1_795_417_200_250_001)).unwrap().is_none());
        assert!(read_line("{", Micros(0)).is_err());
    }

    #[test]
    fn queues_are_found_by_their_url() {
        let answer: Json = serde_json::from_str(
            r#"{"messages":{"0":{"us-east-1":{"http://q/1":[{"Body":"a"}],"http://q/2":[]}}}}"#,
        )
        .unwrap();
        assert_eq!(messages_of(&answer, "http://q/1").count(), 1);
        assert_eq!(messages_of(&answer, "http://q/2").count(), 0);
        assert_eq!(messages_of(&answer, "http://q/3").count(), 0);
    }
}
