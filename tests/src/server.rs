//! The HTTP/1.1 server under both fakes: one thread with a runtime of its own, so that a busy test does not delay
//! an answer, and a test without a runtime can use it.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long requests that are under way may take once the server is dropped.
const GRACE: Duration = Duration::from_millis(250);

/// The handler gave no answer: the connection is closed without a byte, as by a peer that died.
#[derive(Debug)]
pub(crate) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Dropped>> + Send>>;
type Handler = Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// A running server; dropping it lets open requests finish (for at most [`GRACE`]) and joins its thread.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers each request, its body collected, by `handler`.
    pub(crate) fn start<H, F>(name: &str, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response<Full<Bytes>>, Dropped>> + Send + 'static,
    {
        Self::start_with(name, None, handler)
    }

    /// As [`Server::start`], over TLS where an acceptor is given.
    pub(crate) fn start_with<H, F>(name: &str, tls: Option<TlsAcceptor>, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response<Full<Bytes>>, Dropped>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(accept(listener, tls, handler, stopped)))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread has been printed already, and `drop` may run during another one.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    mut stopped: watch::Receiver<bool>,
) {
    // Fails only outside of a runtime or on a blocking socket, and this is neither.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&handler), stopped.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
    let finished = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, finished).await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    stopped: watch::Receiver<bool>,
) {
    // Without it an answer waits for the client's delayed acknowledgement, up to 40 ms.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, handler, stopped).await,
        // A failed handshake is the client's to see.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, handler, stopped).await;
            }
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Handler,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(|request| async { handler(collect(request).await?).await });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    // A connection's error is the client's to see.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn collect(request: Request<Incoming>) -> Result<Request<Bytes>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    Ok(Request::from_parts(parts, body))
}
