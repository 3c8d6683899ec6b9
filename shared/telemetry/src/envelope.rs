//! The envelope: what the rule's SQL puts around a payload.
//!
//! ```json
//! {"payload": "eyJ0ZW1wZXJhdHVyZSI6IDIyLjV9", "topic": "dt/plant-1/pump-7/state", "client": "pump-7",
//!  "principal": "a3b1…", "received": 1795417200250, "trace": "b5e0c1f0-…"}
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::delivery::Delivery;
use crate::reject::Reject;
use crate::scalar::Scalar;
use crate::time::Micros;

/// One message in the fields that the rule's SQL gives it, borrowed from the record's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The published bytes, in base64.
    pub payload: Cow<'a, str>,
    /// The topic it was published on.
    pub topic: Cow<'a, str>,
    /// The MQTT client id, where there is one.
    pub client: Option<Cow<'a, str>>,
    /// What authenticated the client: a certificate's fingerprint, or an IAM principal.
    pub principal: Option<Cow<'a, str>>,
    /// The MQTT 5 content type, where the publisher gave one.
    pub content_type: Option<Cow<'a, str>>,
    /// When the broker received it; to the millisecond.
    pub received: Micros,
    /// AWS IoT's id of this delivery of the message.
    pub trace: Option<Cow<'a, str>>,
    /// What the source of the event calls the record, which stands for the trace where there is none: publishes over
    /// HTTP have none. A message that is brought back from the quarantine has it in its envelope.
    pub record: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Reads the text of a record. Fields unknown or of another type are passed over.
    ///
    /// # Errors
    /// [`Reject::Envelope`] if it is no JSON object, [`Reject::EnvelopeField`] if `payload`, `topic`
    /// or `received` is missing, [`Reject::Received`] if the time is none.
    pub fn parse(text: &'a str) -> Result<Self, Reject> {
        let mut fields = Fields::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let outcome = deserializer.deserialize_map(Fill(&mut fields)).and_then(|()| deserializer.end());
        outcome.map_err(|error| Reject::Envelope(position_only(&error)))?;
        let received = fields.received.ok_or(Reject::EnvelopeField("received"))?;
        Ok(Self {
            payload: fields.payload.ok_or(Reject::EnvelopeField("payload"))?,
            topic: fields.topic.ok_or(Reject::EnvelopeField("topic"))?,
            client: fields.client,
            principal: fields.principal,
            content_type: fields.content_type,
            received: Micros::from_millis(received).ok_or(Reject::Received)?,
            trace: fields.trace,
            record: fields.record,
        })
    }

    /// Which delivery of the message it is.
    pub fn delivery(&self) -> Delivery {
        Delivery::new(self.trace.as_deref().or(self.record.as_deref()).unwrap_or_default())
    }

    /// Appends the published bytes to `bytes`.
    ///
    /// # Errors
    /// [`Reject::Base64`] if the payload is not base64; `bytes` is then as it was.
    pub fn decode_payload(&self, bytes: &mut Vec<u8>) -> Result<(), Reject> {
        let before = bytes.len();
        let decoded = base64_simd::STANDARD.decode_append(self.payload.as_bytes(), bytes);
        decoded.map(drop).map_err(|_| {
            bytes.truncate(before);
            Reject::Base64
        })
    }
}

/// Where a JSON text goes wrong, without what stands there: that may be the device's own words.
fn position_only(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

#[derive(Default)]
struct Fields<'a> {
    payload: Option<Cow<'a, str>>,
    topic: Option<Cow<'a, str>>,
    client: Option<Cow<'a, str>>,
    principal: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
    received: Option<i64>,
    trace: Option<Cow<'a, str>>,
    record: Option<Cow<'a, str>>,
}

/// Fills fields where they are: they are large to move.
struct Fill<'f, 'a>(&'f mut Fields<'a>);

impl<'de> Visitor<'de> for Fill<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(fields) = self;
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            match key.text().as_deref() {
                Some("payload") => fields.payload = map.next_value::<Scalar<'de>>()?.text(),
                Some("topic") => fields.topic = map.next_value::<Scalar<'de>>()?.text(),
                Some("client") => fields.client = map.next_value::<Scalar<'de>>()?.text(),
                Some("content_type") => fields.content_type = map.next_value::<Scalar<'de>>()?.text(),
                Some("principal") => fields.principal = map.next_value::<Scalar<'de>>()?.text(),
                Some("received") => fields.received = map.next_value::<Scalar<'de>>()?.integer(),
                Some("trace") => fields.trace = map.next_value::<Scalar<'de>>()?.text(),
                Some("record") => fields.record = map.next_value::<Scalar<'de>>()?.text(),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_rule_makes() {
        let text = r#"{"payload":"e30=","topic":"dt\/a\/b\/c","client":"b","principal":"p","received":1795417200250,
                       "trace":"t","future":{"field":[1]}}"#;
        let envelope = Envelope::parse(text).unwrap();
        assert_eq!(envelope.topic, "dt/a/b/c");
        assert_eq!(envelope.client.as_deref(), Some("b"));
        assert_eq!(envelope.received, Micros(1_795_417_200_250_000));
        let mut bytes = b"before ".to_vec();
        envelope.decode_payload(&mut bytes).unwrap();
        assert_eq!(bytes, b"before {}");
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |text: &str, expected: Reject| assert_eq!(Envelope::parse(text), Err(expected), "{text}");
        check(r#"{"topic":"dt/a/b/c","received":1795417200250}"#, Reject::EnvelopeField("payload"));
        check(
            r#"{"payload":17,"topic":"dt/a/b/c","received":1795417200250}"#,
            Reject::EnvelopeField("payload"),
        );
        check(r#"{"payload":"","received":1795417200250}"#, Reject::EnvelopeField("topic"));
        check(r#"{"payload":"","topic":"dt/a/b/c"}"#, Reject::EnvelopeField("received"));
        check(r#"{"payload":"","topic":"dt/a/b/c","received":12}"#, Reject::Received);
        check(r#"{"payload":"#, Reject::Envelope("line 1, column 11".into()));
        check("[]", Reject::Envelope("line 1, column 0".into()));
        check("", Reject::Envelope("line 1, column 0".into()));
    }

    #[test]
    fn a_payload_that_is_not_base64_leaves_the_buffer_as_it_was() {
        let envelope = Envelope::parse(r#"{"payload":"e30","topic":"","received":1795417200250}"#).unwrap();
        let mut bytes = b"before".to_vec();
        assert_eq!(envelope.decode_payload(&mut bytes), Err(Reject::Base64));
        assert_eq!(bytes, b"before");
    }
}
