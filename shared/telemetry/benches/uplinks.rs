//! What radios send, one core, from a record's text to readings: Cayenne LPP and laid-out bytes of about 200 bytes, LPP
//! as short as nodes send it, and The Things Stack's envelope with a decoded object.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where its input is wrong"
)]

use std::fmt::Write as _;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use telemetry::{Decoder, Envelope, Profile, Profiles, Reading, Settings};

// The function's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: usize = 5_000;
const DEVICES: usize = 1_000;

fn main() {
    let length = |make: fn(usize) -> Vec<u8>| make(0).len();
    println!(
        "{MESSAGES} messages from {DEVICES} devices: LPP {} bytes, short LPP {} bytes, layout {} bytes, envelope {} bytes",
        length(lpp),
        length(short_lpp),
        length(laid_out),
        length(uplink),
    );
    divan::main();
}

/// Fourteen places of three numbers and twelve temperatures.
fn lpp(number: usize) -> Vec<u8> {
    let sent = (number as u16).to_be_bytes();
    let place = |channel| [&[channel, 136, 6, 0x76, 0x5f, 0xf2, 0x96, 0x0a, 0], &sent[..]].concat();
    let temperature = |channel| vec![channel, 103, sent[0] & 1, sent[1]];
    let places = (0..14).flat_map(place);
    places.chain((14..26).flat_map(temperature)).collect()
}

/// Four values, as nodes send them.
fn short_lpp(number: usize) -> Vec<u8> {
    let [high, low] = (number as u16).to_be_bytes();
    vec![1, 103, high & 1, low, 2, 104, low, 3, 115, 0x27, low, 4, 2, 1, low]
}

/// Twenty numbers of ten bytes.
fn laid_out(number: usize) -> Vec<u8> {
    (0..20).flat_map(|field| [&(number * field).to_be_bytes()[..], &[1, 2]].concat()).collect()
}

fn uplink(number: usize) -> Vec<u8> {
    format!(
        r#"{{"end_device_ids":{{"device_id":"dev1","application_ids":{{"application_id":"app1"}},"dev_eui":"0004A30B001C0530","dev_addr":"00BCB929"}},"received_at":"2023-11-14T22:13:20.652486204Z","uplink_message":{{"session_key_id":"AXA50tHUGUucKTgoqtGTvA==","f_port":1,"f_cnt":{number},"frm_payload":"gkHKCgQ=","decoded_payload":{{"temperature":{}.5,"humidity":64.5,"pressure":1013.2,"battery":3.6}},"rx_metadata":[{{"gateway_ids":{{"gateway_id":"gtw1","eui":"9C5C8E00001A05C4"}},"time":"2023-11-14T22:13:20.1Z","timestamp":2463457000,"rssi":-75,"channel_rssi":-75,"snr":4.2}}],"settings":{{"data_rate":{{"lora":{{"bandwidth":125000,"spreading_factor":7}}}},"frequency":"868300000"}},"received_at":"2023-11-14T22:13:20.341449163Z"}}}}"#,
        number % 40,
    )
    .into_bytes()
}

fn layout() -> String {
    (0..20).fold(String::new(), |mut text, field| {
        let _ = writeln!(
            text,
            "[[field]]\nname = \"value_{field}\"\noffset = {}\ntype = \"i16\"\nscale = 0.01",
            field * 10 + 6
        );
        text
    })
}

fn run(bencher: Bencher<'_, '_>, format: &str, more: &str, make: fn(usize) -> Vec<u8>) {
    let text = format!("name = \"p\"\ndevices = \"*/*\"\nformat = \"{format}\"\n{more}");
    let profile = Profile::from_toml(&text).expect("written above");
    let profiles: Profiles = std::iter::once(Arc::new(profile)).collect();
    let mut decoder = Decoder::new(Settings::default(), Arc::new(profiles));
    let record = |number: usize| {
        let device = number % DEVICES;
        format!(
            r#"{{"payload":"{}","topic":"dt/plant-1/device-{device:04}/state","client":"device-{device:04}","principal":"a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3a3b1c0d1e2f3abcd","received":{},"trace":"b5e0c1f0-1a2b-3c4d-5e6f-7a8b9c{number:06}"}}"#,
            base64_simd::STANDARD.encode_to_string(make(number)),
            1_700_000_000_250_u64 + (number / DEVICES) as u64 * 10_000,
        )
    };
    let records: Vec<String> = (0..MESSAGES).map(record).collect();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(move || {
        let mut readings: Vec<Reading> = Vec::new();
        let mut decoded = 0;
        for record in &records {
            let envelope = Envelope::parse(record).expect("made above");
            readings.clear();
            decoder.decode(&envelope, &mut readings).expect("made above");
            decoded += readings.len();
        }
        decoded
    });
}

#[divan::bench]
fn lpp_of_54_readings(bencher: Bencher<'_, '_>) {
    run(bencher, "bytes", "payload = \"cayenne-lpp\"", lpp);
}

#[divan::bench]
fn lpp_of_4_readings(bencher: Bencher<'_, '_>) {
    run(bencher, "bytes", "payload = \"cayenne-lpp\"", short_lpp);
}

#[divan::bench]
fn bytes_of_20_fields(bencher: Bencher<'_, '_>) {
    run(bencher, "bytes", &layout(), laid_out);
}

#[divan::bench]
fn lorawan_of_8_readings(bencher: Bencher<'_, '_>) {
    run(bencher, "lorawan", "", uplink);
}
