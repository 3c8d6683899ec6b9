//! The driver of Lambda binaries, against the real `lambda_runtime`.

use std::time::Duration;

use bytes::Bytes;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tests::runtime_api::{Function, Outcome};

/// Not a test: the process that the driver's tests start, this very binary with this function as its only test.
#[test]
#[ignore = "a Lambda function, started by the driver's tests"]
fn function_under_test() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = runtime.block_on(lambda_runtime::run(service_fn(handle)));
}

#[expect(clippy::print_stderr, reason = "a line for the driver to collect")]
async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    eprintln!("event");
    match event["do"].as_str() {
        Some("fail") => Err("it failed".into()),
        Some("panic") => panic!("poison"),
        Some("exit") => std::process::exit(3),
        Some("sleep") => std::future::pending().await,
        Some("environment") => Ok(std::env::vars().map(|(name, value)| (name, Value::from(value))).collect()),
        Some("burn") => {
            let started = std::time::Instant::now();
            while started.elapsed() < Duration::from_millis(50) {}
            Ok(Value::Null)
        }
        _ => Ok(
            json!({ "length": event["text"].as_str().map(str::len), "deadline": context.deadline, "id": context.request_id }),
        ),
    }
}

async fn start_function() -> Function {
    let arguments = ["--exact", "driver::function_under_test", "--ignored", "--nocapture"];
    let binary = std::env::current_exe().unwrap();
    Function::start_with_arguments(binary, &arguments, &[("GREETING", "hello")]).await.unwrap()
}

async fn invoke(function: &mut Function, event: &str) -> Outcome {
    function.invoke(event.to_owned(), Duration::from_secs(5)).await.unwrap().outcome
}

fn response(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Response(body) => serde_json::from_slice(body).unwrap(),
        error @ Outcome::Error { .. } => panic!("{error:?}"),
    }
}

fn error(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Error { error_type, message } => (error_type, message),
        Outcome::Response(body) => panic!("{body:?}"),
    }
}

#[tokio::test]
async fn a_function_answers_under_the_driver() {
    let mut function = start_function().await;
    assert!(function.start_to_first_poll() > Duration::ZERO);
    let environment = response(&invoke(&mut function, r#"{"do":"environment"}"#).await);
    assert_eq!(environment["GREETING"], "hello");
    let own = ["GREETING", "TZ"];
    // The runtime sets the trace id itself.
    let lambda = |name: &str| name.starts_with("AWS_LAMBDA_") || name == "_X_AMZN_TRACE_ID";
    let foreign =
        environment.as_object().unwrap().keys().find(|name| !own.contains(&name.as_str()) && !lambda(name));
    assert_eq!(foreign, None, "nothing of the test's own environment may leak");

    let event = Bytes::from(json!({ "text": "x".repeat(6_000_000) }).to_string());
    let before =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let invocation = function.invoke(event, Duration::from_secs(30)).await.unwrap();
    let answer = response(&invocation.outcome);
    assert_eq!(answer["length"], 6_000_000);
    assert_eq!(answer["id"], "00000000-0000-4000-8000-000000000002");
    assert!((before + 30_000..before + 31_000).contains(&answer["deadline"].as_u64().unwrap()), "{answer}");
    assert!(invocation.latency > Duration::ZERO && invocation.latency < Duration::from_secs(30));
    assert!(function.peak_memory().unwrap() > 6_000_000);
    assert!(function.stderr().contains(&"event".to_owned()));
}

#[tokio::test]
async fn a_function_s_failures_are_outcomes() {
    let mut function = start_function().await;
    assert_eq!(error(invoke(&mut function, r#"{"do":"fail"}"#).await).1, "it failed");
    assert!(error(invoke(&mut function, r#"{"do":"panic"}"#).await).1.contains("poison"));
    assert_eq!(response(&invoke(&mut function, r#"{"text":"still alive"}"#).await)["length"], 11);
    let (kind, message) = error(invoke(&mut function, r#"{"do":"exit"}"#).await);
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.contains("exit status: 3"), "{message}");
    assert_eq!(error(invoke(&mut function, "{}").await).0, "Runtime.ExitError");

    let mut function = start_function().await;
    let late = function.invoke(r#"{"do":"sleep"}"#, Duration::from_millis(100)).await.unwrap();
    assert_eq!(error(late.outcome).0, "Sandbox.Timedout");
    assert!(late.latency >= Duration::from_millis(100));
    assert!(function.cpu_time().is_err(), "the process is gone");
}

#[tokio::test]
async fn cpu_time_is_the_function_s_own() {
    let mut function = start_function().await;
    let before = function.cpu_time().unwrap();
    invoke(&mut function, r#"{"do":"burn"}"#).await;
    let burnt = function.cpu_time().unwrap() - before;
    // Another process may have had the core for a part of the 50 ms.
    assert!((10..200).contains(&burnt.as_millis()), "{burnt:?}");
    let idle = function.cpu_time().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(function.cpu_time().unwrap() - idle < Duration::from_millis(10));
}

#[tokio::test]
async fn a_dropped_function_leaves_no_process() {
    let function = start_function().await;
    let pid = function.pid();
    drop(function);
    assert!(tests::process::cpu_time(pid).is_err());
}

#[tokio::test]
async fn a_function_that_does_not_start_says_why() {
    let failed = Function::start_with_arguments("/bin/sh", &["-c", "echo no table >&2; exit 7"], &[])
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("exit status: 7"), "{failed}");
    assert!(Function::start("/nonexistent", &[]).await.is_err());
}
