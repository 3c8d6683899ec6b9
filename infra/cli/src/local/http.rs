//! Questions to MiniStack itself, which no AWS client asks.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::aws::LOCAL_USER;
use crate::error::{Context as _, Error, Result};

/// MiniStack answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GET http://127.0.0.1:{port}{path}`, if it is answered with 200.
pub(crate) async fn get(port: u16, path: &str) -> Result<Bytes> {
    ask(port, Method::GET, path, Bytes::new()).await
}

/// `POST http://127.0.0.1:{port}{path}`, if it is answered with 200.
pub(crate) async fn post(port: u16, path: &str, body: &str) -> Result<Bytes> {
    ask(port, Method::POST, path, Bytes::copy_from_slice(body.as_bytes())).await
}

async fn ask(port: u16, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
    let sentence = || format!("the local cloud did not answer {path}");
    match timeout(PATIENCE, exchange(port, method, path, body)).await {
        Ok(answer) => answer.or_problem(sentence),
        Err(_) => Err(Error::problem(sentence())),
    }
}

/// MiniStack asks who it is, and does not check the signature.
fn as_local_user() -> String {
    let scope = "20260101/us-east-1/lambda/aws4_request";
    format!("AWS4-HMAC-SHA256 Credential={LOCAL_USER}/{scope}, SignedHeaders=host, Signature=0")
}

async fn exchange(
    port: u16,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path).header("host", format!("127.0.0.1:{port}"));
    let request = request.header("authorization", as_local_user());
    let request = request.body(Full::new(body))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status == 200 { Ok(body) } else { Err(format!("status {status}").into()) }
    };
    tokio::select! {
        answer = answer => answer,
        // The connection only ends before the answer if it broke.
        Err(error) = connection => Err(error.into()),
    }
}
