//! Telemetry over MQTT into Parquet, read back by the engines that analysts use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ::lake::{Hour, Key, Name, Reader};
use cloud::objects::Bucket;
use cloud::retry::Deadline;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use telemetry::{Micros, Reading, Value};
use tempfile::TempDir;

use crate::stack::{HOUR, PATIENCE, Stack, checkout, now};

/// What an engine has read: the name of each column's type, and the rows.
#[derive(Debug, Deserialize)]
struct Read {
    types: BTreeMap<String, String>,
    rows: Vec<Vec<Json>>,
}

/// What Athena has answered.
#[derive(Debug, Deserialize)]
struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Json>>,
}

/// A copy of the lake in a folder, as engines read it that do not speak to S3 here.
struct Copy(TempDir);

impl Copy {
    async fn of(stack: &Stack) -> Self {
        let copy = Self(TempDir::new().unwrap());
        for key in keys(stack).await {
            // One that is gone was compacted meanwhile, by another test.
            if let Some(bytes) = bucket(stack).get(&key, Deadline::after(PATIENCE)).await.unwrap() {
                let file = copy.0.path().join(key);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, bytes).unwrap();
            }
        }
        copy
    }

    /// The rows of a device, as `engine` reads them, in the order of metric, time and `seq`.
    fn read(&self, engine: &str, device: &str) -> Read {
        let mut read: Read = self.run(engine, "rows", Some(device), "");
        read.rows.sort_by_key(|row| (row[2].to_string(), row[3].as_i64(), row[SEQ].as_i64()));
        read
    }

    /// The rows of a query.
    fn query(&self, engine: &str, sql: &str) -> Read {
        self.run(engine, "sql", None, sql)
    }

    fn run(&self, engine: &str, what: &str, device: Option<&str>, input: &str) -> Read {
        let environment = if engine == "spark" { "venv-spark" } else { "venv-lake" };
        let mut command = Command::new(checkout().join(".local").join(environment).join("bin/python"));
        command.arg(checkout().join("tests/lake/read.py")).args([engine, what]);
        command.arg(self.0.path().join("readings")).args(device);
        serde_json::from_str(&run(command, input)).unwrap()
    }
}

fn bucket(stack: &Stack) -> Bucket {
    Bucket::new(stack.clients.s3.clone(), &stack.outputs["BucketName"])
}

async fn keys(stack: &Stack) -> BTreeSet<String> {
    let (bucket, deadline) = (bucket(stack), Deadline::after(PATIENCE));
    let listed = bucket.list(::lake::key::PREFIX).all(deadline).await.unwrap();
    listed.into_iter().map(|object| object.key).collect()
}

/// Runs a program to its good end and returns what it prints.
fn run(mut command: Command, input: &str) -> String {
    use std::io::Write as _;
    let shown = format!("{command:?}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A command of the CLI, on the local cloud.
fn tidegate(stack: &Stack, words: &[&str]) -> Command {
    let mut command = Command::new(checkout().join("target/debug/tidegate"));
    command.args(words).arg("--dir").arg(folder(stack));
    command
}

fn folder(stack: &Stack) -> &Path {
    stack.cloud.ca.parent().unwrap()
}

/// A Python with boto3, or a tool of SAM, that speaks to the local cloud.
fn of_sam(stack: &Stack, program: &str) -> Command {
    let mut command = Command::new(checkout().join(".local/venv-sam/bin").join(program));
    command.envs(stack.cloud.environment().unwrap()).env("SAM_CLI_TELEMETRY", "0").current_dir(checkout());
    command
}

fn athena(stack: &Stack, sql: &str) -> Answer {
    let mut command = of_sam(stack, "python");
    command.arg(checkout().join("tests/lake/athena.py"));
    command.args([&stack.outputs["AthenaWorkGroupName"], &stack.outputs["GlueDatabaseName"]]);
    serde_json::from_str(&run(command, sql)).unwrap()
}

/// The place of `seq` in a row.
const SEQ: usize = 14;

/// What the columns promise of a reading, told again without the lake's code; day and hour come from the path.
fn expected(reading: &Reading) -> Vec<Json> {
    let (value, integer, text) = match &reading.value {
        Value::Integer(integer) => {
            let double = *integer as f64;
            let is_exact = double as i128 == *integer;
            let in_64_bits = i64::try_from(*integer).ok();
            let digits = in_64_bits.is_none().then(|| integer.to_string());
            (json!(double), json!(in_64_bits.filter(|_| !is_exact)), json!(digits))
        }
        Value::Float(float) => (json!(float), Json::Null, Json::Null),
        Value::Boolean(flag) => (json!(f64::from(u8::from(*flag))), Json::Null, json!(flag.to_string())),
        Value::Text(text) => (Json::Null, Json::Null, json!(text)),
    };
    let device = reading.device.as_str();
    let at = reading.at.to_string();
    vec![
        json!(device),
        json!(device.split('/').next()),
        json!(reading.metric),
        json!(reading.at.0),
        json!(reading.received.0),
        value,
        integer,
        text,
        json!(reading.unit.as_deref()),
        json!(reading.quality.as_str()),
        json!(reading.time_source.as_str()),
        json!(reading.unit.as_ref().and_then(|unit| unit.sent())),
        json!(reading.correction.as_ref().map(|correction| correction.reason.as_str())),
        json!(reading.correction.as_ref().map(|correction| correction.sent.0)),
        json!(Some(reading.seq.0).filter(|seq| *seq != 0)),
        json!(Some(reading.revision.0).filter(|revision| *revision != 0)),
        json!(at[..10]),
        json!(at[11..13].parse::<u8>().unwrap()),
    ]
}

/// Every kind of reading: two messages with times of their own, in hours that begin at these microseconds, and one
/// without. `number` tells them apart.
fn payloads(number: i64, hours: [i64; 2]) -> [String; 3] {
    let millis = |start: i64| start / 1_000 + 1_000 * number;
    let [first, second] = [millis(hours[0]), millis(hours[1]) + 500];
    let floats = json!({"ts": first, "seq": number, "temperature": 20.25 + number as f64, "beyond": 9_007_199_254_740_993_i64});
    let others = json!({"ts": second, "seq": 100 + number, "largest": u64::MAX, "lowest": i64::MIN + 1, "on": number % 2 == 0, "state": "läuft, 'so'"});
    let timeless = json!({"seq": 200 + number, "battery": {"level": 80}});
    [floats, others, timeless].map(|payload| payload.to_string())
}

/// A device that has sent five times [`payloads`] in two batches, and what of it is in DynamoDB and in the lake too.
async fn device_in_the_lake(stack: &Stack, name: &str, hours_ago: [i64; 2]) -> (String, Vec<Reading>) {
    let (device, mut connection) = stack.connect(name).await;
    // Once: the hour may end while this runs.
    let hours = hours_ago.map(|ago| (now().0 / HOUR - ago) * HOUR);
    let mut seqs = Vec::new();
    for batch in [0..3, 3..5] {
        for number in batch {
            for payload in payloads(number, hours) {
                connection.publish(&format!("dt/{device}/state"), payload.as_bytes()).await.unwrap();
            }
            seqs.extend([number, 100 + number, 200 + number]);
        }
        seqs.sort_unstable();
        stack.wait_for_seqs(&device, &seqs).await;
    }
    connection.close().await;
    let mut stored = stack.readings(&device).await;
    assert_eq!(stored.len(), 5 * (3 + 5 + 2));
    stored.sort_by(|a, b| (&a.metric, a.at, a.seq).cmp(&(&b.metric, b.at, b.seq)));
    let started = Instant::now();
    while in_lake(stack, &device).await < stored.len() {
        assert!(started.elapsed() < PATIENCE, "{device}: not all of its readings come into the lake");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    (device, stored)
}

async fn in_lake(stack: &Stack, device: &str) -> usize {
    let mut count = 0;
    for key in keys(stack).await {
        let Some(file) = bucket(stack).get(&key, Deadline::after(PATIENCE)).await.unwrap() else { continue };
        let columns = Reader::open(file).unwrap().read_all().unwrap();
        count += columns.readings().filter(|reading| reading.device.as_str() == device).count();
    }
    count
}

/// Names of the types, by column, of one that holds each: text, time, double, integer, day and hour.
fn check_types(
    engine: &str,
    types: &BTreeMap<String, String>,
    [text, time, double, integer, day, hour]: [&str; 6],
) {
    for column in
        ["device", "site", "metric", "text", "unit", "quality", "time_source", "unit_sent", "time_correction"]
    {
        assert_eq!(types[column], text, "{engine}: {column}");
    }
    let others = [
        ("at", time),
        ("received", time),
        ("time_sent", time),
        ("value", double),
        ("integer", integer),
        ("seq", integer),
        ("revision", time),
        ("day", day),
        ("hour", hour),
    ];
    for (column, expected) in others {
        assert_eq!(types[column], expected, "{engine}: {column}");
    }
    assert_eq!(types.len(), 18, "{engine}: {types:?}");
}

fn check_engine(copy: &Copy, engine: &str, device: &str, stored: &[Reading]) {
    let read = copy.read(engine, device);
    let rows: Vec<Vec<Json>> = stored.iter().map(expected).collect();
    assert_eq!(read.rows, rows, "{engine}");
    let types = match engine {
        "pyarrow" => ["string", "timestamp[us, tz=UTC]", "double", "int64", "date32[day]", "int32"],
        "duckdb" => ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "DOUBLE", "BIGINT", "DATE", "INTEGER"],
        "polars" => {
            ["String", "Datetime(time_unit='us', time_zone='UTC')", "Float64", "Int64", "Date", "Int64"]
        }
        "spark" => ["string", "timestamp", "double", "bigint", "date", "int"],
        other => panic!("{other} is no engine"),
    };
    check_types(engine, &read.types, types);
}

/// When a metric was first measured.
fn first(stored: &[Reading], metric: &str) -> Micros {
    stored.iter().find(|reading| &*reading.metric == metric).unwrap().at
}

/// Objects of the lake in an hour.
async fn objects(stack: &Stack, hour: Hour) -> Vec<Key> {
    keys(stack).await.iter().filter_map(|key| Key::parse(key)).filter(|key| key.hour == hour).collect()
}

// The only test with readings in closed hours: a compaction would change others' objects beneath them.
#[tokio::test]
async fn every_engine_reads_what_dynamodb_has_before_and_after_compaction() {
    let stack = Stack::open().await;
    let (device, stored) = device_in_the_lake(&stack, "lake", [3, 2]).await;
    let copy = Copy::of(&stack).await;
    for engine in ["pyarrow", "duckdb", "polars"] {
        check_engine(&copy, engine, &device, &stored);
    }

    let closed: BTreeSet<Hour> =
        ["temperature", "state"].map(|metric| Hour::of(first(&stored, metric))).into();
    assert_eq!(closed.len(), 2);
    for &hour in &closed {
        assert!(objects(&stack, hour).await.len() > 1, "the second batch makes a second object");
    }
    let mut invoke = of_sam(&stack, "sam");
    invoke.args(["remote", "invoke", "CompactFunction", "--stack-name", &stack.cloud.stack, "--event", "{}"]);
    run(invoke, "");
    for hour in closed {
        let objects = objects(&stack, hour).await;
        let is_compacted = matches!(objects[..], [Key { name: Name::Compacted { .. }, .. }]);
        assert!(is_compacted, "{objects:?}");
    }
    let copy = Copy::of(&stack).await;
    for engine in ["pyarrow", "duckdb", "polars"] {
        check_engine(&copy, engine, &device, &stored);
    }
}

#[tokio::test]
#[ignore = "Spark is 400 MB: `make lake-interop`"]
async fn spark_reads_what_dynamodb_has_and_answers_the_readmes_query() {
    let stack = Stack::open().await;
    let (device, stored) = device_in_the_lake(&stack, "spark", [0, 0]).await;
    let copy = Copy::of(&stack).await;
    check_engine(&copy, "spark", &device, &stored);
    check_means(&device, &copy.query("spark", &of_readme("spark", &stored)).rows);
}

#[tokio::test]
async fn duckdb_answers_the_readmes_query() {
    let stack = Stack::open().await;
    let (device, stored) = device_in_the_lake(&stack, "duckdb", [0, 0]).await;
    check_means(&device, &Copy::of(&stack).await.query("duckdb", &of_readme("duckdb", &stored)).rows);
}

#[tokio::test]
async fn athena_answers_the_readmes_query_and_the_saved_ones() {
    let stack = Stack::open().await;
    let (device, stored) = device_in_the_lake(&stack, "athena", [0, 0]).await;
    let count = athena(&stack, &format!("SELECT count(*) FROM readings WHERE device = '{device}'"));
    assert_eq!(count.rows, [[json!(stored.len().to_string())]]);
    check_means(&device, &athena(&stack, &of_readme("athena", &stored)).rows);
    let queries = saved_queries();
    assert_eq!(queries.len(), 4);
    for (id, sql) in queries {
        let answer = athena(&stack, &sql);
        assert_eq!(answer.columns[0], "device", "{id}: {sql}");
        let rows = answer.rows.iter().filter(|row| row[0] == device.as_str()).count();
        match id.as_str() {
            "LatestQuery" => assert_eq!(rows, 8, "its metrics"),
            // It sends battery and seq without a time, and is not doubtful.
            "WorstDevicesQuery" => assert_eq!(rows, 1, "{answer:?}"),
            "GapsQuery" => assert_eq!(rows, gaps(&stored), "{answer:?}"),
            // Yesterday it was not there.
            _ => assert_eq!(rows, 0, "{id}"),
        }
    }
}

/// How often one metric was silent for more than ten minutes.
fn gaps(stored: &[Reading]) -> usize {
    let is_gap = |pair: &&[Reading]| {
        pair[0].metric == pair[1].metric && (pair[1].at.0 - pair[0].at.0) / 1_000_000 > 600
    };
    stored.windows(2).filter(is_gap).count()
}

/// The query that the README shows for an engine, about the day on which the temperature was measured.
fn of_readme(engine: &str, stored: &[Reading]) -> String {
    let readme = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let start = format!("<!-- sql: {engine} -->\n```sql\n");
    let (_, rest) = readme.split_once(&start).expect("a block of SQL for each engine");
    let (sql, _) = rest.split_once("```").unwrap();
    assert!(sql.contains("2026-11-23"), "{sql}");
    sql.replace("2026-11-23", &first(stored, "temperature").day())
}

/// What the README asks for: device, metric, hour, mean and count.
fn check_means(device: &str, rows: &[Vec<Json>]) {
    let is_its_temperature = |row: &&Vec<Json>| row[0] == device && row[1] == "temperature";
    let row = rows.iter().find(is_its_temperature).unwrap_or_else(|| panic!("{device}: {rows:?}"));
    let number =
        |value: &Json| value.as_str().map_or_else(|| value.as_f64(), |text| text.parse().ok()).unwrap();
    assert_eq!((number(&row[3]), number(&row[4])), (22.25, 5.0), "{row:?}");
}

/// Logical id and text of the template's saved queries; the local cloud cannot be asked for them.
fn saved_queries() -> Vec<(String, String)> {
    let template = std::fs::read_to_string(checkout().join("template.yaml")).unwrap();
    let template = tests::template::read(&template);
    let resources = template["Resources"].as_object().unwrap().iter();
    let queries = resources.filter(|(_, resource)| resource["Type"] == "AWS::Athena::NamedQuery");
    let text = |query: &Json| query["Properties"]["QueryString"].as_str().unwrap().to_owned();
    queries.map(|(id, query)| (id.clone(), text(query))).collect()
}

#[tokio::test]
async fn the_command_lists_verifies_and_exports_the_lake() {
    let stack = Stack::open().await;
    let (device, stored) = device_in_the_lake(&stack, "command", [0, 0]).await;
    let day = stored.iter().map(|reading| reading.at.to_string()[..10].to_owned()).max().unwrap();
    let listed = run(tidegate(&stack, &["lake", "ls", "--day", &day]), "");
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[0], day, "{listed}");
    assert!(row[1].parse::<usize>().unwrap() >= 1 && row[2].parse::<usize>().unwrap() >= 10, "{listed}");

    let verified = run(tidegate(&stack, &["lake", "verify", &day]), "");
    let count = |name: &str| -> usize {
        let line = verified.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!((count("missing in the lake"), count("different in the lake")), (0, 0), "{verified}");
    assert!(count("identities among them") > 0, "{verified}");

    let soon = Micros(now().0 + HOUR).to_string();
    let range = ["--from", "-2h", "--to", &soon];
    let csv = run(tidegate(&stack, &[&["lake", "export", &device], &range[..]].concat()), "");
    assert_eq!(csv.lines().count(), 1 + stored.len(), "{csv}");
    let file = TempDir::new().unwrap();
    let file = file.path().join("device.parquet");
    let more = ["--format", "parquet", "--out", file.to_str().unwrap()];
    run(tidegate(&stack, &[&["lake", "export", &device], &range[..], &more[..]].concat()), "");
    let columns = Reader::open(std::fs::File::open(&file).unwrap()).unwrap().read_all().unwrap();
    assert_eq!(columns.readings().collect::<Vec<_>>(), stored);
}
