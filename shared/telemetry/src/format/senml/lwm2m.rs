//! LwM2M JSON payloads (OMA LwM2M 1.0, 6.4.4, content format 11543): what SenML was made of.
//!
//! An object has the base name `bn`, perhaps the base time `bt`, and the entries `e`: each a name `n`, perhaps a time `t`,
//! and one of the values `v` (number), `sv` (text), `bv` (truth value) and `ov` (link to an object).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::number::Number;
use super::record::{Field, Record, RecordSeed};
use super::{Labels, Pack};
use crate::format::shape::Key;
use crate::format::{Context, json};
use crate::limits::MAX_SAMPLES;
use crate::reject::Reject;
use crate::sample::Payload;

/// Adds the samples of an LwM2M document to `payload`.
pub(in crate::format) fn decode(
    bytes: &[u8],
    context: &mut Context<'_>,
    payload: &mut Payload,
) -> Result<(), Reject> {
    let document = json::read_bytes(bytes, DocumentSeed)?;
    if document.has_too_many {
        return Err(Reject::Samples);
    }
    let mut pack = Pack::new(Labels::Lwm2m, context, payload);
    let base = Record {
        base_name: document.base_name,
        base_time: document.base_time,
        has_bases_only: true,
        fault: document.fault,
        ..Record::default()
    };
    let outcome = std::iter::once(&base).chain(&document.entries).try_for_each(|record| pack.add(record));
    match pack.finish() {
        Some(reject) if outcome.is_ok() => Err(reject),
        _ => outcome,
    }
}

#[derive(Default)]
struct Document<'de> {
    base_name: Option<Cow<'de, str>>,
    base_time: Option<Number>,
    entries: Vec<Record<'de>>,
    /// Whether there are more entries than a message may have samples.
    has_too_many: bool,
    /// Why it cannot be taken.
    fault: Option<&'static str>,
}

struct DocumentSeed;

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of LwM2M")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document<'de>, A::Error> {
        let mut document = Document::default();
        while let Some(key) = map.next_key_seed(Key)? {
            let is_taken = match &*key {
                "bn" => map.next_value::<Field<'de>>()?.put_text(&mut document.base_name),
                "bt" => map.next_value::<Field<'de>>()?.put_number(&mut document.base_time),
                "e" => {
                    map.next_value_seed(Entries(&mut document))?;
                    true
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    true
                }
            };
            if !is_taken {
                document.fault = Some("has a base name that is no text, or a base time that is no number");
            }
        }
        Ok(document)
    }
}

/// The entries of a document.
struct Entries<'a, 'de>(&'a mut Document<'de>);

impl<'de> DeserializeSeed<'de> for Entries<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(entry) = seq.next_element_seed(RecordSeed(Labels::Lwm2m))? {
            if self.0.entries.len() == MAX_SAMPLES {
                self.0.has_too_many = true;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            self.0.entries.push(entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::format::Format;
    use crate::format::testing::show;
    use crate::reject::Reject;

    #[test]
    fn entries_are_named_by_base_name_and_name() {
        let check = |payload: &str, expected: Result<&str, Reject>| {
            let shown = show(Format::Lwm2m, payload.as_bytes(), None);
            assert_eq!(shown.as_deref(), expected.as_ref().map(|text| *text), "{payload}");
        };
        check(
            r#"{"bn": "/3303/0/", "bt": 1700000000, "e": [{"n": "5700", "v": 20.5}, {"n": "5700", "v": 21, "t": -5}]}"#,
            Ok("3303/0/5700=20.5@0 3303/0/5700=21@-5"),
        );
        check(
            r#"{"e": [{"n": "0/sv", "sv": "x"}, {"n": "1", "bv": true}, {"n": "2", "ov": "10:1"}], "bn": "/3/"}"#,
            Ok("3/0/sv=x@- 3/1=true@- 3/2=10:1@-"),
        );
        check(r#"{"bn": "/3303/0/5700", "e": [{"v": 20.5}]}"#, Ok("3303/0/5700=20.5@-"));
        check(r#"{"bn": "/3303/0/5700", "e": []}"#, Err(Reject::NoValue));
        let many = |count: usize| format!(r#"{{"e": [{}{{"n": "a", "v": 1}}]}}"#, "{},".repeat(count));
        check(&many(9_999), Ok("a=1@-"));
        check(&many(10_000), Err(Reject::Samples));
        let fault = "has a base name that is no text, or a base time that is no number";
        check(r#"{"bn": 7, "e": [{"n": "a", "v": 1}]}"#, Err(Reject::Senml { record: 1, what: fault }));
    }
}
