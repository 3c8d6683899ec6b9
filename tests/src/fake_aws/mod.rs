//! An in-process fake of the AWS services the functions call: DynamoDB and SQS (JSON 1.0), S3 (path style), SNS (query
//! protocol) and the IoT data plane, all on one port of 127.0.0.1. Signatures are not checked.
//!
//! It refuses what AWS refuses, counts what a test wants to know, and fails when told to ([`Handle::fail_next`] and
//! its neighbours, at any time). With [`Storage::Discard`] it is fast enough to stand behind a bench.

mod batch_write;
mod condition;
mod document;
mod dynamodb;
mod encoding;
mod expression;
mod faults;
mod iot;
mod item;
mod operation;
mod partiql;
mod reads;
mod reserved;
mod s3;
mod shadows;
mod sns;
mod sqs;
mod statements;
mod tables;
mod update;
mod writes;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode};
use telemetry::Micros;

use crate::server::{Dropped, Server};
use crate::tls::Authority;
use faults::{FaultPlan, Picker};
use operation::Service;

pub use faults::{Fault, Pick, StatementFault};
pub use iot::Published;
pub use item::{Item, item_size};
pub use operation::Operation;
pub use s3::Object;
pub use shadows::ShadowUpdate;
pub use sns::Notified;
pub use sqs::Sent;
pub use tables::Key;

/// What becomes of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// For benches: requests, items, bytes and write units are counted, nothing is kept of batches. Puts are measured
    /// and validated as in [`Storage::Keep`], but no tree is built; every statement succeeds unread, as one write unit
    /// (right while the device's item stays below 1 KB); reads find only what calls for single items have written.
    Discard,
    /// For tests: items, objects and publishes are kept and can be read back.
    Keep,
}

/// What one operation has been asked and has done since the start or [`Handle::reset_counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests received, refused ones too.
    pub requests: u64,
    /// Requests refused: planned faults and what AWS would refuse.
    pub refused: u64,
    /// Items, objects or messages written, or read.
    pub items: u64,
    /// Items left unprocessed and statements failed, in requests that succeeded.
    pub returned: u64,
    /// DynamoDB write units: a put takes its size in KB (1,024 bytes) rounded up, over the larger of the old and the
    /// new item; so does an update. A failed condition takes what the standing item takes, at least 1.
    pub write_units: u64,
    /// Bytes of request bodies.
    pub bytes: u64,
}

/// The running fake. Dropping it ends the server.
#[derive(Debug)]
pub struct FakeAws {
    handle: Handle,
    server: Server,
    authority: Option<Authority>,
}

impl FakeAws {
    /// Starts it on a free port. DynamoDB tables have to be created ([`Handle::create_table`]); buckets do not.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start(storage: Storage) -> io::Result<Self> {
        let handle = Handle { storage, state: Arc::default() };
        let answering = handle.clone();
        let server = Server::start("fake-aws", move |request| answer(answering.clone(), request))?;
        Ok(Self { handle, server, authority: None })
    }

    /// As [`FakeAws::start`], over TLS with a certificate of its own authority.
    ///
    /// # Errors
    /// As [`FakeAws::start`], and when no certificate can be made.
    pub fn start_tls(storage: Storage) -> io::Result<Self> {
        let (authority, acceptor) = Authority::new()?;
        let handle = Handle { storage, state: Arc::default() };
        let answering = handle.clone();
        let answer = move |request| answer(answering.clone(), request);
        let server = Server::start_with("fake-aws", Some(acceptor), answer)?;
        Ok(Self { handle, server, authority: Some(authority) })
    }

    /// The base URL, for `AWS_ENDPOINT_URL`: `http://127.0.0.1:<port>`, or `https`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address())
    }

    /// Over TLS, the file of root certificates to trust, for `SSL_CERT_FILE`.
    #[must_use]
    pub fn certificate_bundle(&self) -> Option<&Path> {
        self.authority.as_ref().map(Authority::bundle)
    }

    /// A handle that can be moved to another task; `FakeAws` itself offers the same methods.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for FakeAws {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

#[derive(Debug, Default)]
struct State {
    counters: [Counters; Operation::COUNT],
    faults: FaultPlan,
    tables: tables::Tables,
    objects: s3::Objects,
    published: Vec<Published>,
    retained: BTreeMap<String, Bytes>,
    shadows: shadows::Shadows,
    sent: Vec<Sent>,
    notified: Vec<Notified>,
    hooks: Hooks,
    serial: u64,
}

type Hook = Box<dyn FnOnce(&Handle) + Send>;

/// What a test wants done in the middle: after the so-many-th next request of an operation.
#[derive(Default)]
struct Hooks(Vec<(Operation, u64, Hook)>);

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}

impl Hooks {
    /// Counts a request of `operation`; returns what is due after it.
    fn due(&mut self, operation: Operation) -> Vec<Hook> {
        for (of, after, _) in &mut self.0 {
            *after -= u64::from(*of == operation);
        }
        self.0.extract_if(.., |(_, after, _)| *after == 0).map(|(_, _, hook)| hook).collect()
    }
}

impl State {
    fn count(&mut self, operation: Operation) -> &mut Counters {
        &mut self.counters[operation.index()]
    }
}

/// Plans faults and reads what happened, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    storage: Storage,
    state: Arc<Mutex<State>>,
}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A handler that panicked has failed its test; the numbers are still good to print.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails the next `times` requests of `operation`. Calls queue up: the faults of the first call come first.
    ///
    /// # Panics
    /// When AWS has no such fault for the operation.
    pub fn fail_next(&self, operation: Operation, fault: Fault, times: u64) {
        let fits = fault != Fault::Conflict || operation == Operation::UpdateThingShadow;
        assert!(fits, "only an update of a shadow meets a conflict");
        self.lock().faults.fail_next(operation, fault, times);
    }

    /// Waits this long before each answer of `operation`.
    pub fn set_latency(&self, operation: Operation, latency: Duration) {
        self.lock().faults.set_latency(operation, latency);
    }

    /// Hands these puts of BatchWriteItem back as `UnprocessedItems`. As on AWS, a request of which nothing at all is
    /// processed is answered with `ProvisionedThroughputExceededException` instead.
    pub fn leave_unprocessed(&self, pick: Pick) {
        self.lock().faults.unprocessed = Picker::new(pick);
    }

    /// Hands these keys of BatchGetItem back as `UnprocessedKeys`. As on AWS, a request of which nothing at all is
    /// processed is answered with `ProvisionedThroughputExceededException` instead.
    pub fn leave_unprocessed_keys(&self, pick: Pick) {
        self.lock().faults.unprocessed_keys = Picker::new(pick);
    }

    /// Fails these statements of BatchExecuteStatement.
    pub fn fail_statements(&self, pick: Pick, fault: StatementFault) {
        let faults = &mut self.lock().faults;
        faults.statements = Picker::new(pick);
        faults.statement_fault = Some(fault);
    }

    /// Forgets all planned faults and latencies.
    pub fn clear_faults(&self) {
        self.lock().faults = FaultPlan::default();
    }

    /// What `operation` has done so far.
    #[must_use]
    pub fn counters(&self, operation: Operation) -> Counters {
        self.lock().counters[operation.index()]
    }

    /// Sets all counters to zero.
    pub fn reset_counters(&self) {
        self.lock().counters = Default::default();
    }

    /// One object of S3.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.lock().objects.get(bucket, key).cloned()
    }

    /// Writes an object without a request, to prepare a test; it is kept under [`Storage::Discard`] too.
    pub fn put_object(&self, bucket: &str, key: &str, body: Bytes) {
        self.lock().objects.insert(bucket, key, body);
    }

    /// Removes an object without a request, as somebody else may at any time.
    pub fn remove_object(&self, bucket: &str, key: &str) {
        self.lock().objects.remove(bucket, key);
    }

    /// Dates an object as if it had been written at another time.
    pub fn set_modified(&self, bucket: &str, key: &str, modified: Micros) {
        self.lock().objects.set_modified(bucket, key, modified);
    }

    /// Fails these keys of DeleteObjects, each with this code in an answer that is a success.
    pub fn fail_deletes(&self, pick: Pick, code: &'static str) {
        let faults = &mut self.lock().faults;
        (faults.deletes, faults.delete_code) = (Picker::new(pick), code);
    }

    /// Lists at most so many keys in a page.
    pub fn set_list_page(&self, keys: usize) {
        self.lock().objects.set_page(keys);
    }

    /// Calls `hook` once, right after the `nth` next request (from 1) of `operation` was carried out.
    pub fn after_next(&self, operation: Operation, nth: u64, hook: impl FnOnce(&Handle) + Send + 'static) {
        assert!(nth > 0, "requests are counted from 1");
        self.lock().hooks.0.push((operation, nth, Box::new(hook)));
    }

    /// The keys of a bucket, sorted.
    #[must_use]
    pub fn object_keys(&self, bucket: &str) -> Vec<String> {
        self.lock().objects.keys(bucket)
    }

    /// Counts the request in; returns how long to wait and the fault that is due.
    fn receive(&self, operation: Operation, bytes: usize) -> (Duration, Option<Fault>, u64) {
        let mut state = self.lock();
        let fault = state.faults.take(operation);
        let counters = state.count(operation);
        counters.requests += 1;
        counters.bytes += bytes as u64;
        counters.refused += u64::from(fault.is_some());
        state.serial += 1;
        (state.faults.latency(operation), fault, state.serial)
    }
}

/// An answer before the headers that all answers carry.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: Cow<'static, str>,
    headers: Vec<(Cow<'static, str>, String)>,
    body: Bytes,
}

impl Answer {
    fn new(status: StatusCode, content_type: impl Into<Cow<'static, str>>, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: content_type.into(), headers: Vec::new(), body: body.into() }
    }

    fn with(mut self, header: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((header.into(), value.into()));
        self
    }

    fn into_response(self, serial: u64) -> Response<Full<Bytes>> {
        let id = format!("FAKE{serial:048}");
        let mut response = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type.as_ref())
            .header("x-amzn-requestid", &id)
            .header("x-amz-request-id", &id);
        for (name, value) in self.headers {
            response = response.header(name.as_ref(), value);
        }
        // Only a header value with control characters cannot be sent; that is a bug of the test, and it shows.
        response.body(Full::new(self.body)).unwrap_or_else(|_| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

async fn answer(handle: Handle, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, Dropped> {
    let Some(operation) = Operation::of(&request) else {
        return Ok(unknown_operation(&request).into_response(0));
    };
    let (latency, fault, serial) = handle.receive(operation, request.body().len());
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let answer = match fault {
        Some(Fault::DropConnection) => return Err(Dropped),
        Some(Fault::Throttle) => throttled(operation),
        Some(Fault::InternalError) => failed(operation),
        Some(Fault::Conflict) => shadows::conflict(),
        None => handle.perform(operation, &request),
    };
    Ok(answer.into_response(serial))
}

impl Handle {
    fn perform(&self, operation: Operation, request: &Request<Bytes>) -> Answer {
        let mut state = self.lock();
        let answer = match operation.service() {
            Service::DynamoDb => dynamodb::answer(&mut state, self.storage, operation, request.body()),
            Service::S3 => s3::answer(&mut state, self.storage, operation, request),
            Service::Iot if operation == Operation::Publish => {
                iot::publish(&mut state, self.storage, request)
            }
            Service::Iot => shadows::answer(&mut state, operation, request),
            Service::Sqs => sqs::answer(&mut state, self.storage, operation, request.body()),
            Service::Sns => sns::answer(&mut state, self.storage, request.body()),
        };
        state.count(operation).refused += u64::from(answer.status.is_client_error());
        let hooks = state.hooks.due(operation);
        drop(state);
        hooks.into_iter().for_each(|hook| hook(self));
        answer
    }
}

fn throttled(operation: Operation) -> Answer {
    match operation.service() {
        Service::DynamoDb => dynamodb::Refusal::throttled().into(),
        Service::S3 => {
            s3::error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
        }
        Service::Iot => iot::error(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", "Rate exceeded"),
        Service::Sqs => sqs::Refusal::throttled().into(),
        Service::Sns => sns::error(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded"),
    }
}

fn failed(operation: Operation) -> Answer {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    match operation.service() {
        Service::DynamoDb => dynamodb::Refusal::internal().into(),
        Service::S3 => {
            s3::error(status, "InternalError", "We encountered an internal error. Please try again.")
        }
        Service::Iot => iot::error(status, "InternalFailureException", "Internal failure"),
        Service::Sqs => sqs::Refusal::internal().into(),
        Service::Sns => sns::error(status, "InternalError", "Internal failure"),
    }
}

fn unknown_operation(request: &Request<Bytes>) -> Answer {
    let target = request.headers().get("x-amz-target").map(|value| String::from_utf8_lossy(value.as_bytes()));
    let message = format!("the fake does not answer {} {} {target:?}", request.method(), request.uri());
    if target.is_some() {
        return dynamodb::Refusal::unknown_operation(message).into();
    }
    if sns::is_query(request) {
        return sns::error(StatusCode::BAD_REQUEST, "InvalidAction", &message);
    }
    s3::error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &message)
}
