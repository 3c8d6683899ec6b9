//! S3, path style: PutObject (with `If-None-Match: *` and aws-chunked bodies), GetObject (with `Range`), HEAD,
//! ListObjectsV2 and DeleteObjects. Every bucket exists.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use hyper::{HeaderMap, Method, Request, StatusCode};
use telemetry::Micros;

use super::encoding::{escape, named, percent_decode, query, unescape};
use super::{Answer, Operation, State, Storage};

/// The most keys in one page of a list (ListObjectsV2, `MaxKeys`).
const PAGE: usize = 1_000;

/// An object as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The content.
    pub body: Bytes,
    /// `content-type`, if any came along.
    pub content_type: Option<String>,
    /// `x-amz-meta-…`: user metadata by the rest of the name.
    pub metadata: BTreeMap<String, String>,
    /// When it was put.
    pub modified: Micros,
}

impl Object {
    fn of(request: &Request<Bytes>, body: Bytes) -> Self {
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let metadata = request
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), text(value)))
            })
            .collect();
        let content_type = request.headers().get("content-type").map(text);
        Self { body, content_type, metadata, modified: now() }
    }

    fn content_type(&self) -> String {
        self.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
    }

    /// An opaque tag of the content. Not an MD5, which clients must not count on anyway.
    fn etag(&self) -> String {
        let start = 0xcbf2_9ce4_8422_2325_u64;
        let hash = self
            .body
            .iter()
            .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        format!("\"{hash:016x}{:016x}\"", self.body.len())
    }
}

/// The most keys in one request to delete (DeleteObjects).
const MAX_DELETE_KEYS: usize = 1_000;

/// Objects by bucket and key.
#[derive(Debug)]
pub(super) struct Objects {
    objects: BTreeMap<(String, String), Object>,
    page: usize,
}

impl Default for Objects {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), page: PAGE }
    }
}

impl Objects {
    pub(super) fn get(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.objects.get(&(bucket.to_owned(), key.to_owned()))
    }

    pub(super) fn keys(&self, bucket: &str) -> Vec<String> {
        self.after(bucket, "").map(|(key, _)| key.to_owned()).collect()
    }

    pub(super) fn insert(&mut self, bucket: &str, key: &str, body: Bytes) {
        let object = Object { body, content_type: None, metadata: BTreeMap::new(), modified: now() };
        self.objects.insert((bucket.to_owned(), key.to_owned()), object);
    }

    pub(super) fn remove(&mut self, bucket: &str, key: &str) {
        self.objects.remove(&(bucket.to_owned(), key.to_owned()));
    }

    pub(super) fn set_modified(&mut self, bucket: &str, key: &str, modified: Micros) {
        if let Some(object) = self.objects.get_mut(&(bucket.to_owned(), key.to_owned())) {
            object.modified = modified;
        }
    }

    pub(super) fn set_page(&mut self, keys: usize) {
        self.page = keys.min(PAGE);
    }

    /// Objects of a bucket whose keys come after `start`.
    fn after<'a>(&'a self, bucket: &'a str, start: &str) -> impl Iterator<Item = (&'a str, &'a Object)> {
        let from = (bucket.to_owned(), start.to_owned());
        self.objects
            .range((Bound::Excluded(from), Bound::Unbounded))
            .take_while(move |((its, _), _)| its == bucket)
            .map(|((_, key), object)| (key.as_str(), object))
    }
}

fn now() -> Micros {
    let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// Whether a path names an object, not just a bucket.
pub(super) fn has_key(path: &str) -> bool {
    let (bucket, key) = split(path);
    !bucket.is_empty() && !key.is_empty()
}

fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

pub(super) fn answer(
    state: &mut State,
    storage: Storage,
    operation: Operation,
    request: &Request<Bytes>,
) -> Answer {
    let (bucket, key) = split(request.uri().path());
    let (bucket, key) = (percent_decode(bucket), percent_decode(key));
    match operation {
        Operation::PutObject => put(state, storage, request, bucket, key),
        Operation::GetObject => get(state, request, &bucket, &key),
        Operation::DeleteObjects => delete(state, request.body(), &bucket),
        _ => list(state, &query(request), &bucket),
    }
}

fn put(state: &mut State, storage: Storage, request: &Request<Bytes>, bucket: String, key: String) -> Answer {
    let Some(body) = content(request) else {
        return error(StatusCode::BAD_REQUEST, "IncompleteBody", "The aws-chunked body cannot be read");
    };
    let if_absent = request.headers().get("if-none-match").is_some_and(|value| value == "*");
    if if_absent && state.objects.get(&bucket, &key).is_some() {
        let message = "At least one of the pre-conditions you specified did not hold";
        return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message);
    }
    state.count(Operation::PutObject).items += 1;
    let answer = Answer::new(StatusCode::OK, "application/xml", Bytes::new());
    if storage == Storage::Discard {
        return answer.with("etag", "\"discarded\"");
    }
    let object = Object::of(request, body);
    let etag = object.etag();
    state.objects.objects.insert((bucket, key), object);
    answer.with("etag", etag)
}

fn get(state: &mut State, request: &Request<Bytes>, bucket: &str, key: &str) -> Answer {
    let Some(object) = state.objects.get(bucket, key).cloned() else {
        return error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.");
    };
    state.count(Operation::GetObject).items += 1;
    let size = object.body.len();
    if request.method() == Method::HEAD {
        let answer = Answer::new(StatusCode::OK, object.content_type(), Bytes::new());
        return answer.with("content-length", size.to_string()).with("etag", object.etag());
    }
    let range = match range(request.headers(), size) {
        Ok(range) => range,
        Err(answer) => return *answer,
    };
    let body = object.body.slice(range.clone());
    let status = if body.len() < size { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut answer = Answer::new(status, object.content_type(), body).with("etag", object.etag());
    if status == StatusCode::PARTIAL_CONTENT {
        answer = answer.with("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    object
        .metadata
        .into_iter()
        .fold(answer, |answer, (name, value)| answer.with(format!("x-amz-meta-{name}"), value))
}

/// The bytes asked for: `bytes=a-b`, `bytes=a-` or `bytes=-n`; all of them without a range.
fn range(headers: &HeaderMap, size: usize) -> Result<std::ops::Range<usize>, Box<Answer>> {
    let asked = headers.get("range").and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')) else { return Ok(0..size) };
    let range = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), Some(last)) => first..size.min(last.saturating_add(1)),
        (Some(first), None) => first..size,
        (None, Some(count)) => size.saturating_sub(count)..size,
        (None, None) => 0..size,
    };
    if range.is_empty() {
        let message = "The requested range is not satisfiable";
        return Err(Box::new(error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message)));
    }
    Ok(range)
}

fn list(state: &mut State, query: &[(String, String)], bucket: &str) -> Answer {
    let named = |name: &str| named(query, name).unwrap_or_default();
    if named("list-type") != "2" || !named("delimiter").is_empty() {
        let message = "the fake lists with ListObjectsV2 and without a delimiter only";
        return error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message);
    }
    let prefix = named("prefix");
    let limit = named("max-keys").parse().unwrap_or(PAGE).min(state.objects.page);
    let start = named("continuation-token").max(named("start-after"));
    let mut found = state.objects.after(bucket, start).filter(|(key, _)| key.starts_with(prefix));
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let truncated = found.next().is_some();
    let xml = list_xml(bucket, prefix, &page, truncated);
    let keys = page.len() as u64;
    drop(found);
    state.count(Operation::ListObjects).items += keys;
    Answer::new(StatusCode::OK, "application/xml", xml)
}

/// Whether a request asks to delete objects: `POST /bucket?delete`.
pub(super) fn is_delete(request: &Request<Bytes>) -> bool {
    !has_key(request.uri().path()) && query(request).iter().any(|(name, _)| name == "delete")
}

/// Deletes each key that the request names; one that is not there counts as deleted.
fn delete(state: &mut State, body: &Bytes, bucket: &str) -> Answer {
    let body = String::from_utf8_lossy(body);
    let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    let keys: Vec<String> = keys.map(|(key, _)| unescape(key)).collect();
    if keys.is_empty() || keys.len() > MAX_DELETE_KEYS {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        return error(StatusCode::BAD_REQUEST, "MalformedXML", message);
    }
    let is_quiet = body.contains("<Quiet>true</Quiet>");
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        .to_owned();
    for key in keys {
        if state.faults.deletes.next() {
            state.count(Operation::DeleteObjects).returned += 1;
            let (key, code) = (escape(&key), state.faults.delete_code);
            let _ = write!(
                xml,
                "<Error><Key>{key}</Key><Code>{code}</Code><Message>as the test wants</Message></Error>"
            );
            continue;
        }
        state.count(Operation::DeleteObjects).items += 1;
        if !is_quiet {
            let _ = write!(xml, "<Deleted><Key>{}</Key></Deleted>", escape(&key));
        }
        state.objects.remove(bucket, &key);
    }
    Answer::new(StatusCode::OK, "application/xml", xml + "</DeleteResult>")
}

/// One page; the continuation token is its last key.
fn list_xml(bucket: &str, prefix: &str, page: &[(&str, &Object)], truncated: bool) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><IsTruncated>{truncated}</IsTruncated>",
        escape(bucket),
        escape(prefix),
        page.len(),
    );
    for (key, object) in page {
        // Writing to a string cannot fail.
        let _ = write!(
            xml,
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            escape(key),
            Micros(object.modified.0 / 1_000_000 * 1_000_000),
            escape(&object.etag()),
            object.body.len(),
        );
    }
    if let (true, Some((last, _))) = (truncated, page.last()) {
        let _ = write!(xml, "<NextContinuationToken>{}</NextContinuationToken>", escape(last));
    }
    xml + "</ListBucketResult>"
}

/// An error as S3 writes it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let message = escape(message);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>FAKE</RequestId><HostId>fake</HostId></Error>"
    );
    Answer::new(status, "application/xml", body)
}

/// The object's bytes. SDKs send a streamed body as `aws-chunked`: `<hex size>[;signature]CRLF<bytes>CRLF…0CRLF` and
/// trailers.
fn content(request: &Request<Bytes>) -> Option<Bytes> {
    let encoding = request.headers().get("content-encoding").and_then(|value| value.to_str().ok());
    if !encoding.is_some_and(|encoding| encoding.contains("aws-chunked")) {
        return Some(request.body().clone());
    }
    let mut rest = request.body().as_ref();
    let mut content = BytesMut::new();
    loop {
        let line_end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some(content.freeze());
        }
        content.extend_from_slice(rest.get(line_end + 2..line_end + 2 + size)?);
        rest = rest.get(line_end + 4 + size..)?;
    }
}
