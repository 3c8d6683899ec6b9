//! The events that invoke `ingest`: SQS, Kinesis, Kafka, a rule.

#![no_main]

// By its file: the crate of the function would bring the AWS SDK along.
#[path = "../../../functions/ingest/src/event.rs"]
#[allow(dead_code, reason = "the function uses more of it")]
mod event;
#[path = "../../../functions/ingest/src/counted.rs"]
mod counted;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(event) = event::Event::parse(text, "request-1") else { return };
    assert_eq!(event.received, event.records.len());
    for record in &event.records {
        if let Ok(text) = &record.envelope {
            let _ = telemetry::Envelope::parse(text);
        }
    }
});
