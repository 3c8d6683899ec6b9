//! The whole function: the release binary under the Runtime API's driver, between a real event and
//! the answering fake of DynamoDB and S3. Prints what the README quotes.
//!
//! These machines slow down for seconds at a time, unseen from inside. So a fixed piece of work is
//! timed around each run; a run beside a probe more than a fifth above the best is dropped, and the
//! median of the rest is what counts.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends where its set-up is wrong"
)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tests::events::{RECEIVED, envelope, sqs};
use tests::fake_aws::{FakeAws, Operation, Storage};
use tests::functions::binary;
use tests::ingest::{CONFIG, DEVICES, READINGS, environment};
use tests::runtime_api::{Function, Outcome};

const FLEET: usize = 1_000;
const READINGS_PER_MESSAGE: usize = 4;
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("machine: {}", machine());
    let size = std::fs::metadata(binary("ingest", "release").unwrap()).unwrap().len();
    println!("binary: {:.1} MB, {:.1} MB zipped (limit: 6)", megabytes(size), megabytes(zipped()));
    starts().await;
    println!();
    println!("batches of SQS messages with {READINGS_PER_MESSAGE} readings, from {FLEET} devices:");
    println!("{}", Batch::heading());
    for (messages, per_device) in [(10, 1), (100, 1), (1_000, 1), (1_000, 5), (5_000, 5)] {
        println!("{}", measure(messages, per_device).await);
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("?", |(_, m)| m);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}

/// A zip's one file is deflated, as gzip does it.
fn zipped() -> u64 {
    let gzip = std::process::Command::new("gzip")
        .arg("-9c")
        .arg(binary("ingest", "release").unwrap())
        .output()
        .unwrap();
    gzip.stdout.len() as u64
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Starts the process again and again, over plain and over TLS endpoints.
async fn starts() {
    for is_tls in [false, true] {
        let aws = fake(is_tls);
        let (mut start, mut start_cpu, mut first, mut first_cpu, mut second_cpu) =
            (vec![], vec![], vec![], vec![], vec![]);
        for run in 0..25 {
            let mut function = start_function(&aws).await;
            start.push(function.start_to_first_poll());
            start_cpu.push(function.cpu_at_first_poll());
            let mut invoke = async |number| {
                let before = function.cpu_time().unwrap();
                let latency = invoke(&mut function, event(10, 1, number)).await;
                (latency, function.cpu_time().unwrap() - before)
            };
            let (latency, cpu) = invoke(3 * run).await;
            first.push(latency);
            first_cpu.push(cpu);
            invoke(3 * run + 1).await;
            second_cpu.push(invoke(3 * run + 2).await.1);
        }
        let kind = if is_tls { "over TLS" } else { "plain" };
        println!(
            "start ({kind}): {} to the first poll, {} of CPU; first invocation {} of CPU ({} latency), later ones {}: {} extra",
            millis(median(&mut start)),
            millis(median(&mut start_cpu)),
            millis(median(&mut first_cpu)),
            millis(median(&mut first)),
            millis(median(&mut second_cpu)),
            millis(median(&mut first_cpu).saturating_sub(median(&mut second_cpu))),
        );
    }
}

fn fake(is_tls: bool) -> FakeAws {
    let aws =
        if is_tls { FakeAws::start_tls(Storage::Discard) } else { FakeAws::start(Storage::Discard) }.unwrap();
    aws.create_table(READINGS, "device", Some("span"));
    aws.create_table(DEVICES, "device", None);
    aws.create_table(CONFIG, "kind", Some("name"));
    aws
}

async fn start_function(aws: &FakeAws) -> Function {
    let endpoint = aws.endpoint();
    let bundle = aws.certificate_bundle().map(|path| path.display().to_string());
    let trust = bundle.as_deref().map(|path| ("SSL_CERT_FILE", path));
    let environment: Vec<_> = environment(&endpoint).into_iter().chain(trust).collect();
    Function::start(binary("ingest", "release").unwrap(), &environment).await.unwrap()
}

async fn invoke(function: &mut Function, event: String) -> Duration {
    let invocation = function.invoke(event, DEADLINE).await.unwrap();
    match invocation.outcome {
        Outcome::Response(answer) if &answer[..] == br#"{"batchItemFailures":[]}"# => invocation.latency,
        outcome => panic!("not all is stored: {outcome:?}"),
    }
}

/// The `number`-th batch: each device in it sends `per_device` messages, 10 s apart.
fn event(messages: usize, per_device: usize, number: usize) -> String {
    let devices = messages / per_device;
    let message = |index: usize| {
        let device = (number * devices + index % devices) % FLEET;
        let millis = RECEIVED + ((number * per_device + index / devices) * 10_000 + device) as i64;
        let payload = format!(
            concat!(
                r#"{{"ts":{},"temperature":{:.2},"humidity":{:.1},"pressure":{},"battery":{:.3},"firmware":null,"#,
                r#""location":null,"maintenance_due":null,"operator_note":null,"calibrated_at":null,"spare":null}}"#
            ),
            millis - 200,
            20.0 + index as f64 / 1_000.0,
            40.0 + (index % 100) as f64 / 10.0,
            101_325 + index,
            3.7 - index as f64 / 10_000.0,
        );
        envelope(&format!("plant-1/device-{device:04}"), millis, payload.as_bytes())
    };
    sqs(&(0..messages).map(message).collect::<Vec<_>>())
}

struct Batch {
    messages: usize,
    per_device: usize,
    cpu: Duration,
    best_cpu: Duration,
    p50: Duration,
    p99: Duration,
    peak_memory: u64,
    requests: f64,
    write_units: f64,
    kept: usize,
    runs: usize,
}

async fn measure(messages: usize, per_device: usize) -> Batch {
    let aws = fake(false);
    let mut function = start_function(&aws).await;
    let runs = (20_000 / messages).clamp(30, 200);
    for number in 0..5 {
        invoke(&mut function, event(messages, per_device, number)).await;
    }
    aws.reset_counters();
    let mut samples = Vec::with_capacity(runs);
    for number in 5..5 + runs {
        let event = event(messages, per_device, number);
        let (probe, before) = (probe(), function.cpu_time().unwrap());
        let latency = invoke(&mut function, event).await;
        let cpu = function.cpu_time().unwrap() - before;
        samples.push((probe.max(self::probe()), cpu, latency));
    }
    let thousands = (runs * messages * READINGS_PER_MESSAGE) as f64 / 1_000.0;
    let operations = [Operation::BatchWriteItem, Operation::BatchExecuteStatement].map(|op| aws.counters(op));
    let best = samples.iter().map(|sample| sample.0).min().unwrap();
    let mut latencies: Vec<Duration> = samples.iter().map(|sample| sample.2).collect();
    samples.retain(|sample| sample.0 < best * 6 / 5);
    latencies.sort_unstable();
    Batch {
        messages,
        per_device,
        cpu: median(&mut samples.iter().map(|sample| sample.1).collect::<Vec<_>>()),
        best_cpu: samples.iter().map(|sample| sample.1).min().unwrap(),
        p50: latencies[latencies.len() / 2],
        p99: latencies[latencies.len() * 99 / 100],
        peak_memory: function.peak_memory().unwrap(),
        requests: operations.iter().map(|counters| counters.requests).sum::<u64>() as f64 / thousands,
        write_units: operations.iter().map(|counters| counters.write_units).sum::<u64>() as f64 / thousands,
        kept: samples.len(),
        runs,
    }
}

/// How long a fixed piece of work takes now.
fn probe() -> Duration {
    let started = Instant::now();
    let mut state = 0_u64;
    for number in 0..400_000_u64 {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number));
    }
    started.elapsed()
}

fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

impl Batch {
    fn heading() -> String {
        "| messages | per device | CPU per 1,000 readings | best run | requests per 1,000 | write units per 1,000 | peak memory | p50 | p99 | runs kept |\n\
         |---|---|---|---|---|---|---|---|---|---|"
            .to_owned()
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let readings = (self.messages * READINGS_PER_MESSAGE) as f64;
        let mut cells = String::new();
        let _ = write!(cells, "| {} | {} ", self.messages, self.per_device);
        let per_thousand = |cpu: Duration| cpu.as_secs_f64() * 1e6 / readings;
        let _ = write!(cells, "| {:.2} ms | {:.2} ms ", per_thousand(self.cpu), per_thousand(self.best_cpu));
        let _ = write!(cells, "| {:.1} | {:.0} ", self.requests, self.write_units);
        let _ = write!(cells, "| {:.0} MB ", megabytes(self.peak_memory));
        let _ =
            write!(cells, "| {} | {} | {} of {} |", millis(self.p50), millis(self.p99), self.kept, self.runs);
        f.write_str(&cells)
    }
}
