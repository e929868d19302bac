//! The HTTP server: limits on the number and the age of connections, and graceful shutdown.
//!
//! *Timeouts.* A connection without a request in progress is closed after [`ServerConfig::first_request_timeout`] when
//! it never had a request, and after [`ServerConfig::keep_alive_timeout`] otherwise. This one rule covers clients that
//! send nothing, half a request line, half an HTTP/2 preface or headers byte by byte, and unused keep-alive
//! connections. hyper's own header timeout is not enough, because it starts only when the protocol is known. A
//! connection whose client does not read its reply is closed after [`ServerConfig::stalled_reply_timeout`].
//!
//! *Connection limit.* At most [`ServerConfig::max_connections`] are open; each may need two more file descriptors for
//! storage. When the limit is reached, a new connection evicts the one that has been without a request for longest, or
//! else the one whose client has not read its replies for longest, so that silent connections cannot lock others out.
//! Rejected: to stop accepting until a connection ends, because 1,000 silent connections would then block the service
//! for a whole timeout.
//!
//! *Concurrent requests.* Each connection may always have one request in progress. The further concurrent requests of
//! HTTP/2 share one semaphore, so that a few connections with many streams delay only themselves.
//!
//! *Shutdown.* During [`ServerConfig::shutdown_delay`] the server works as before, but `/readyz` answers 503 and each
//! HTTP/1.1 reply says `Connection: close`, so that proxies empty their connection pools. Then the server accepts what
//! is left in the kernel's backlog and closes the listener. A connection without a request so far gets 2 s for its
//! first one, because a proxy may have sent it already. Requests in progress get 25 s.

mod connections;
mod malformed_request;
mod socket;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use background::Background;
use connections::{Connection, Connections, RequestGuard, Timeouts};
use domain::Language;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket::Socket;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Size of the read buffer of a connection in bytes; the head of a request must fit into it.
pub(crate) const READ_BYTES: u32 = 128 << 10;
/// Maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 32;
/// Maximum number of connections that wait to be accepted; the kernel allows at most `net.core.somaxconn`. The default
/// of the standard library, 128, overflows when many clients connect at once. The others wait for a retransmission.
const BACKLOG: u32 = 4_096;
/// Number of connections per permit of the shared semaphore for further concurrent requests.
const CONNECTIONS_PER_FURTHER: usize = 4;
/// Time for requests in progress after the listener was closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
/// Time for the first request of a connection after the listener was closed.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// First pause after an error of `accept`; it doubles up to [`ACCEPT_PAUSE_MAX`].
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// An extension of a reply that lasts until the client leaves. It takes no permit for concurrent requests, because it
/// would keep it; the handler has a limit of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongReply;

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Time for the head of the first request of a connection.
    pub first_request_timeout: Duration,
    /// Keep-alive timeout: time without a request after the first one. Longer than nginx keeps its upstream
    /// connections.
    pub keep_alive_timeout: Duration,
    /// Time for which a client may read no byte of a reply that is ready.
    pub stalled_reply_timeout: Duration,
    /// Time for which requests are still accepted after the shutdown began.
    pub shutdown_delay: Duration,
    /// Language of replies to bytes that are not a valid request.
    pub language: Language,
}

impl Default for ServerConfig {
    /// 1,024 connections, 15 s, 75 s, 300 s, no delay, Spanish.
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            first_request_timeout: Duration::from_secs(15),
            keep_alive_timeout: Duration::from_secs(75),
            stalled_reply_timeout: Duration::from_secs(300),
            shutdown_delay: Duration::ZERO,
            language: Language::default(),
        }
    }
}

/// Listens on an address.
///
/// # Errors
/// The address is in use or not allowed.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // The next process may listen while connections of this one are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the router until `shutdown` and [`ServerConfig::shutdown_delay`] have passed, then waits for requests in
/// progress. The accept loop is the background task `listener`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServerConfig,
    shutdown: CancellationToken,
    background: Background,
) {
    let server = Server::new(router, config);
    let stopped = async {
        shutdown.cancelled().await;
        server.stopping.cancel();
        tokio::time::sleep(config.shutdown_delay).await;
    };
    tokio::select! {
        () = background.supervise("listener", || server.accept(&listener)) => {}
        () = stopped => {}
    }
    server.drain_backlog(listener);
    server.draining.cancel();
    server.tracker.close();
    if tokio::time::timeout(DRAIN_TIMEOUT, server.tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!("requests were still in progress when the shutdown timed out");
    }
}

/// The state that all connections of a listener share. Cheap to clone.
#[derive(Clone)]
struct Server {
    router: Router,
    config: ServerConfig,
    protocols: Arc<Builder<TokioExecutor>>,
    connections: Connections,
    /// Permits for concurrent requests beyond the first of each connection.
    further: Arc<Semaphore>,
    tracker: TaskTracker,
    /// The shutdown has begun: HTTP/1.1 replies say `Connection: close`.
    stopping: CancellationToken,
    /// The listener is closed.
    draining: CancellationToken,
}

impl Server {
    fn new(router: Router, config: ServerConfig) -> Self {
        let mut protocols = Builder::new(TokioExecutor::new());
        protocols
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(READ_BYTES as usize);
        protocols
            .http2()
            .timer(TokioTimer::new())
            // hyper answers a longer list without a body. `request_guards::check_head` refuses lists of half that
            // size with problem details, so clients rarely meet this limit.
            .max_header_list_size(2 * READ_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(config.keep_alive_timeout);
        Self {
            router,
            config,
            protocols: Arc::new(protocols),
            connections: Connections::new(config.max_connections),
            further: Arc::new(Semaphore::new(
                (config.max_connections / CONNECTIONS_PER_FURTHER).max(1),
            )),
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            draining: CancellationToken::new(),
        }
    }

    /// Accepts connections until it is dropped.
    async fn accept(&self, listener: &TcpListener) {
        let mut pause = ACCEPT_PAUSE;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSE;
                    let permit = self.connections.acquire().await;
                    self.spawn(stream, peer, permit);
                }
                Err(error) if is_connection_error(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    // Out of file descriptors or memory: retry when open connections have ended.
                    tracing::warn!(%error, "failed to accept a connection");
                    metrics::counter!("rushes_accept_errors_total").increment(1);
                    tokio::time::sleep(pause).await;
                    pause = ACCEPT_PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    /// Accepts the connections in the kernel's backlog, then closes the listener. Closing it first would reset them.
    fn drain_backlog(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let (Ok(stream), Some(permit)) = (stream, self.connections.try_acquire()) {
                self.spawn(stream, peer, permit);
            }
        }
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Without Nagle's algorithm, which would delay small replies.
        let _ = stream.set_nodelay(true);
        let (server, (connection, slot)) = (self.clone(), self.connections.register(permit));
        self.tracker.spawn(async move {
            let _slot = slot;
            let timeouts = Timeouts {
                first_request: server.config.first_request_timeout,
                idle: server.config.keep_alive_timeout,
                stalled: server.config.stalled_reply_timeout,
            };
            tokio::select! {
                () = server.serve_connection(stream, peer, &connection) => {}
                reason = connection.expired(timeouts) => tracing::debug!(reason, "closed a connection"),
            }
        });
    }

    /// Serves one connection to its end.
    async fn serve_connection(&self, stream: TcpStream, peer: SocketAddr, tracked: &Arc<Connection>) {
        let (server, connection) = (self.clone(), tracked.clone());
        let service = tower::service_fn(move |request: axum::http::Request<_>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            // Registered before the future is polled: `Socket` takes bytes that are written without a request for a
            // reply of hyper itself.
            let guard = connection.begin_request();
            server.clone().answer(request, guard)
        });
        let socket = TokioIo::new(Socket::new(stream, tracked.clone(), self.config.language));
        let connection = self
            .protocols
            .serve_connection(socket, TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let drained = async {
            self.draining.cancelled().await;
            let _ = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, tracked.first_request()).await;
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drained => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended with an error");
        }
    }

    /// Runs the router for one request; the guard ends with the body of the reply.
    async fn answer(self, request: Request, guard: RequestGuard) -> Result<axum::http::Response<Body>, Infallible> {
        let is_http1 = request.version() < Version::HTTP_2;
        let permit = if guard.is_first() {
            None
        } else {
            let permit = self.further.acquire_owned().await;
            Some(permit.expect("the semaphore is never closed"))
        };
        let Ok(mut response) = self.router.oneshot(request).await;
        let permit = permit.filter(|_| response.extensions().get::<LongReply>().is_none());
        if is_http1 && self.stopping.is_cancelled() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Body::new(guard.track(body, permit))))
    }
}

/// Returns `true` if an error of `accept` concerns only the connection that failed in the backlog (accept(2)).
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
