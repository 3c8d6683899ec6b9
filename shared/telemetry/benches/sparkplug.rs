//! What Sparkplug edge nodes send, one core, from a record's text to readings: data of about 200 bytes, by alias, after the
//! births; and the births.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where its input is wrong"
)]

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use telemetry::{Decoder, Envelope, Reading, Settings};

// The function's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NODES: usize = 1_000;
const MESSAGES_OF_A_NODE: usize = 5;
const METRICS: u64 = 11;

fn main() {
    println!(
        "{MESSAGES_OF_A_NODE} messages of {} bytes and {METRICS} readings from each of {NODES} nodes, whose births have {} bytes",
        data(1).len(),
        birth().len(),
    );
    divan::main();
}

/// A metric of each alias: a double and its time.
fn data(seq: u64) -> Vec<u8> {
    let metric = |alias: u64| {
        let value = [&[13 << 3 | 1][..], &(20.0 + alias as f64 / 8.0).to_le_bytes()].concat();
        bytes(2, &[field(2, alias), value].concat())
    };
    payload(seq, (1..=METRICS).flat_map(metric).collect())
}

fn birth() -> Vec<u8> {
    let unit = bytes(9, &[bytes(1, b"engUnit"), bytes(2, &bytes(8, b"degC"))].concat());
    let metric = |alias: u64| {
        let name = format!("Line 3/Zone {alias}/Temperature");
        let value = [&[13 << 3 | 1][..], &20_f64.to_le_bytes()].concat();
        let parts = [bytes(1, name.as_bytes()), field(2, alias), field(4, 10), unit.clone(), value];
        bytes(2, &parts.concat())
    };
    payload(0, (1..=METRICS).flat_map(metric).collect())
}

fn payload(seq: u64, metrics: Vec<u8>) -> Vec<u8> {
    [field(1, 1_700_000_000_000 + seq), metrics, field(3, seq)].concat()
}

fn field(tag: u64, number: u64) -> Vec<u8> {
    [varint(tag << 3), varint(number)].concat()
}

fn bytes(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [&varint(tag << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn record(kind: &str, node: usize, seq: usize, payload: &[u8]) -> String {
    format!(
        r#"{{"payload":"{}","topic":"spBv1.0/plant-1/{kind}/node-{node:04}","client":"node-{node:04}","principal":"a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3abcd","received":{},"trace":"b5e0c1f0-1a2b-3c4d-5e6f-7a8b9c{node:06}"}}"#,
        base64_simd::STANDARD.encode_to_string(payload),
        1_700_000_000_250_u64 + seq as u64 * 1_000,
    )
}

fn decode(decoder: &mut Decoder, records: &[String]) -> usize {
    let mut readings: Vec<Reading> = Vec::new();
    let mut decoded = 0;
    for record in records {
        let envelope = Envelope::parse(record).expect("made above");
        readings.clear();
        decoder.decode(&envelope, &mut readings).expect("made above");
        decoded += readings.len();
    }
    decoded
}

fn births() -> Vec<String> {
    (0..NODES).map(|node| record("NBIRTH", node, 0, &birth())).collect()
}

fn new_decoder() -> Decoder {
    Decoder::new(Settings::default(), Arc::default())
}

#[divan::bench]
fn data_of_11_readings(bencher: Bencher<'_, '_>) {
    let births = births();
    let records: Vec<String> = (1..=MESSAGES_OF_A_NODE)
        .flat_map(|seq| (0..NODES).map(move |node| record("NDATA", node, seq, &data(seq as u64))))
        .collect();
    let after_births = || {
        let mut decoder = new_decoder();
        decode(&mut decoder, &births);
        decoder
    };
    bencher
        .counter(ItemsCount::new(records.len()))
        .with_inputs(after_births)
        .bench_local_values(|mut decoder| decode(&mut decoder, &records));
}

#[divan::bench]
fn births_of_11_metrics(bencher: Bencher<'_, '_>) {
    let births = births();
    bencher
        .counter(ItemsCount::new(births.len()))
        .with_inputs(new_decoder)
        .bench_local_values(|mut decoder| decode(&mut decoder, &births));
}
