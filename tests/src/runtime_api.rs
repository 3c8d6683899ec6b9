//! Starts a Lambda binary under the Lambda Runtime API (version 2018-06-01), hands it events one at a time and takes
//! its answers, as Lambda does with one execution environment.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use std::time::Duration;
//! use tests::runtime_api::{Function, Outcome};
//!
//! let mut ingest = Function::start("target/release/ingest", &[("READINGS_TABLE", "readings")]).await?;
//! let invocation = ingest.invoke(r#"{"Records":[]}"#, Duration::from_secs(3)).await?;
//! assert!(matches!(invocation.outcome, Outcome::Response(_)));
//! # Ok(())
//! # }
//! ```

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::process;
use crate::server::Server;

/// How long a function may take from start to its first poll: what Lambda gives (10 s, "Init phase").
const START_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked whether the process is still there.
const WATCH_INTERVAL: Duration = Duration::from_millis(10);
const API: &str = "/2018-06-01/runtime/";
const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:under-test";
const TRACE_ID: &str = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";

/// What the environment of a function always has, as Lambda sets it; [`Function::start`]'s values come on top.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "under-test"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/under-test"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0123456789abcdef"),
    ("TZ", ":UTC"),
];

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's answer, byte for byte.
    Response(Bytes),
    /// The function reported an error; or it ended (`Runtime.ExitError`) or ran out of time (`Sandbox.Timedout`),
    /// which Lambda reports by these names.
    Error {
        /// `errorType`.
        error_type: String,
        /// `errorMessage`.
        message: String,
    },
}

/// An invocation's outcome and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// How it ended.
    pub outcome: Outcome,
    /// From handing out the event to the arrival of the whole answer.
    pub latency: Duration,
}

/// A running function. Dropping it kills the process.
#[derive(Debug)]
pub struct Function {
    child: Child,
    exit: Option<ExitStatus>,
    start_to_first_poll: Duration,
    cpu_at_first_poll: Duration,
    events: mpsc::UnboundedSender<Event>,
    answers: mpsc::UnboundedReceiver<Answer>,
    invocations: u64,
    stdout: Lines,
    stderr: Lines,
    // Dropped last: its open long poll ends when the process does.
    _server: Server,
}

impl Function {
    /// Starts `binary` with nothing but these environment variables and those of Lambda, and waits for its first
    /// poll.
    ///
    /// # Errors
    /// When the binary cannot be started, ends or reports an error before it polls, or takes longer than the 10 s
    /// that Lambda gives it. The message has what it wrote to stderr.
    pub async fn start(binary: impl AsRef<OsStr>, environment: &[(&str, &str)]) -> io::Result<Self> {
        Self::start_with_arguments(binary, &[], environment).await
    }

    /// As [`Function::start`], with command-line arguments: for interpreters and test binaries.
    ///
    /// # Errors
    /// As [`Function::start`].
    pub async fn start_with_arguments(
        binary: impl AsRef<OsStr>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> io::Result<Self> {
        let (events, to_poll) = mpsc::unbounded_channel();
        let (to_test, mut answers) = mpsc::unbounded_channel();
        let api = Arc::new(Api {
            events: tokio::sync::Mutex::new(to_poll),
            answers: to_test,
            polled: OnceLock::new(),
        });
        let serving = Arc::clone(&api);
        let server = Server::start("runtime-api", move |request| {
            let api = Arc::clone(&serving);
            async move { Ok(api.answer(request).await) }
        })?;
        let mut command = command(binary.as_ref(), arguments, environment, server.address());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let (stdout, stderr) = (Lines::follow(child.stdout.take()), Lines::follow(child.stderr.take()));
        if let Err(error) = first_poll(&mut child, &mut answers, started).await {
            end(&mut child);
            return Err(io::Error::new(error.kind(), format!("{error}; stderr: {:?}", stderr.all())));
        }
        let polled = api.polled.get().copied().unwrap_or_else(Instant::now);
        Ok(Self {
            start_to_first_poll: polled.duration_since(started),
            cpu_at_first_poll: process::cpu_time(child.id())?,
            child,
            exit: None,
            events,
            answers,
            invocations: 0,
            stdout,
            stderr,
            _server: server,
        })
    }

    /// Hands out one event and waits for its answer. The event is served from these bytes without a copy. The
    /// function sees `deadline` as the time it has; when it is over the process is killed, as Lambda does.
    ///
    /// # Errors
    /// When the harness itself fails. What the function does wrong is an [`Outcome`].
    pub async fn invoke(&mut self, event: impl Into<Bytes>, deadline: Duration) -> io::Result<Invocation> {
        self.invocations += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.invocations);
        let ends = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)? + deadline;
        let event = Event { id: id.clone(), deadline_ms: ends.as_millis(), body: event.into() };
        let handed_out = Instant::now();
        // Fails when the server's thread has gone, which shows below as no answer.
        let _ = self.events.send(event);
        let end = tokio::select! {
            answer = answer_to(&mut self.answers, &id) => Ok(answer),
            exit = watch(&mut self.child) => Err(Some(exit?)),
            () = tokio::time::sleep(deadline) => Err(None),
        };
        let failure = match end {
            Ok(Some(answer)) => {
                let latency = answer.at.duration_since(handed_out);
                return Ok(Invocation { outcome: answer.outcome, latency });
            }
            Ok(None) => return Err(io::Error::other("the Runtime API's server has ended")),
            Err(Some(exit)) => exit_error(&id, exit),
            Err(None) => {
                self.kill();
                timed_out(&id, deadline)
            }
        };
        Ok(Invocation { outcome: failure, latency: handed_out.elapsed() })
    }

    /// From starting the process to the arrival of its first poll.
    #[must_use]
    pub fn start_to_first_poll(&self) -> Duration {
        self.start_to_first_poll
    }

    /// CPU time, user and system, that the process had used by its first poll.
    #[must_use]
    pub fn cpu_at_first_poll(&self) -> Duration {
        self.cpu_at_first_poll
    }

    /// CPU time, user and system, of the process so far, to the nanosecond.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        process::cpu_time(self.child.id())
    }

    /// The most memory the process has had resident (`VmHWM`), in bytes.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn peak_memory(&self) -> io::Result<u64> {
        process::peak_memory(self.child.id())
    }

    /// The lines written to stdout so far. A line arrives shortly after it was written, maybe after the answer that
    /// it precedes.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.get()
    }

    /// The lines written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.get()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once (SIGKILL) and reaps it; does nothing when it has ended already.
    pub fn kill(&mut self) {
        if self.exit.is_none() {
            self.exit = end(&mut self.child);
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(binary: &OsStr, arguments: &[&str], environment: &[(&str, &str)], api: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .envs(environment.iter().copied())
        .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Kills and reaps. `Child` knows whether it was reaped, so that a reused process id is never hit.
fn end(child: &mut Child) -> Option<ExitStatus> {
    // Fails only when it has ended by itself.
    let _ = child.kill();
    child.wait().ok()
}

/// Returns once the process has ended.
async fn watch(child: &mut Child) -> io::Result<ExitStatus> {
    loop {
        if let Some(exit) = child.try_wait()? {
            return Ok(exit);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

async fn first_poll(
    child: &mut Child,
    answers: &mut mpsc::UnboundedReceiver<Answer>,
    started: Instant,
) -> io::Result<()> {
    let limit = tokio::time::Instant::from_std(started + START_LIMIT);
    tokio::select! {
        biased;
        first = answers.recv() => match first {
            Some(Answer { outcome: Outcome::Response(_), .. }) => Ok(()),
            failure => Err(io::Error::other(format!("the function failed to start: {failure:?}"))),
        },
        exit = watch(child) => Err(io::Error::other(format!("the function ended before its first poll: {}", exit?))),
        () = tokio::time::sleep_until(limit) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the function did not poll within 10 s"))
        }
    }
}

/// The answer to this invocation; late answers to others are dropped, as by Lambda.
async fn answer_to(answers: &mut mpsc::UnboundedReceiver<Answer>, id: &str) -> Option<Answer> {
    loop {
        let answer = answers.recv().await?;
        if answer.id == id {
            return Some(answer);
        }
    }
}

fn exit_error(id: &str, exit: ExitStatus) -> Outcome {
    let message = format!("RequestId: {id} Error: Runtime exited with {exit}");
    Outcome::Error { error_type: "Runtime.ExitError".to_owned(), message }
}

fn timed_out(id: &str, deadline: Duration) -> Outcome {
    let message =
        format!("RequestId: {id} Error: Task timed out after {:.2} seconds", deadline.as_secs_f64());
    Outcome::Error { error_type: "Sandbox.Timedout".to_owned(), message }
}

/// Lines of a pipe, read by a thread so that the pipe never fills up.
#[derive(Debug, Default)]
struct Lines {
    read: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Lines {
    fn follow(pipe: Option<impl Read + Send + 'static>) -> Self {
        let read = Arc::<Mutex<Vec<String>>>::default();
        let reading = Arc::clone(&read);
        // Ends with the pipe, that is with the process.
        let reader = pipe.map(|pipe| {
            thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    reading.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        Self { read, reader }
    }

    /// All that a process has written that has ended.
    fn all(self) -> Vec<String> {
        if let Some(reader) = self.reader {
            // It panics no more than the lines below.
            let _ = reader.join();
        }
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn get(&self) -> Vec<String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
struct Event {
    id: String,
    /// Milliseconds since 1970.
    deadline_ms: u128,
    body: Bytes,
}

/// What the function said; the first poll is an empty response to the invocation "".
#[derive(Debug)]
struct Answer {
    id: String,
    outcome: Outcome,
    at: Instant,
}

/// The server's side of the Runtime API.
struct Api {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    answers: mpsc::UnboundedSender<Answer>,
    polled: OnceLock<Instant>,
}

/// The body of an error report.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorReport {
    error_type: String,
    error_message: String,
}

impl Api {
    async fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let at = Instant::now();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(API).unwrap_or_default();
        match (&parts.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next(at).await,
            (&Method::POST, ["invocation", id, "response"]) => self.take(id, Outcome::Response(body), at),
            (&Method::POST, ["invocation", id, "error"]) => self.take(id, error_outcome(&body), at),
            (&Method::POST, ["init", "error"]) => self.take("", error_outcome(&body), at),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn next(&self, at: Instant) -> Response<Full<Bytes>> {
        if self.polled.set(at).is_ok() {
            self.take("", Outcome::Response(Bytes::new()), at);
        }
        let Some(event) = self.events.lock().await.recv().await else {
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", event.id)
            .header("lambda-runtime-deadline-ms", event.deadline_ms.to_string())
            .header("lambda-runtime-invoked-function-arn", ARN)
            .header("lambda-runtime-trace-id", TRACE_ID)
            .body(Full::new(event.body));
        response.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn take(&self, id: &str, outcome: Outcome, at: Instant) -> Response<Full<Bytes>> {
        // Nobody waits any more when the function was dropped.
        let _ = self.answers.send(Answer { id: id.to_owned(), outcome, at });
        status(StatusCode::ACCEPTED)
    }
}

fn error_outcome(body: &[u8]) -> Outcome {
    let report: ErrorReport = serde_json::from_slice(body).unwrap_or_default();
    Outcome::Error { error_type: report.error_type, message: report.error_message }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
