//! Connections: bounded in number and in time, and ended at a shutdown without losing a request.
//!
//! *Time.* A connection without a request in progress is closed after [`Serving::head_within`] when it never had one, and
//! after [`Serving::idle_for`] otherwise. This one rule covers a client that sends nothing, half a request line, half an
//! HTTP/2 preface, headers byte by byte, and one that keeps a connection and does not use it. hyper's own limit begins
//! only when the protocol is known. A client that does not take its reply is closed after [`Serving::taken_within`].
//!
//! *Number.* At most [`Serving::connections`] are open; each may need two more descriptors for storage. When all are
//! taken, the connection that has waited longest without a request makes room for the next one, or else the one whose client
//! has not taken its replies for longest, so that silent connections cannot keep others out. Rejected: to stop accepting until
//! one ends, because 1,000 silent connections then cost everyone the whole limit of time. One request at a time is each
//! connection's own; those that HTTP/2 allows besides come from a pool for all, so that a few connections with many requests
//! delay only themselves.
//!
//! *Shutdown.* For [`Serving::stop_delay`] everything goes on, but each reply says `Connection: close`, so that a proxy
//! empties its pool of connections, and `/readyz` answers 503. Then the listener takes over what the kernel has already
//! accepted and closes. A connection that has not had a request yet gets two seconds for its first, because a proxy may
//! have sent it already; requests in progress get 25 s.

mod bare;
mod seat;
mod socket;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use background::Background;
use domain::Language;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use seat::{Held, Seat, Seats};
use socket::Socket;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Most bytes of a connection that wait to be looked at; heads of requests must fit.
pub(crate) const READ_BYTES: u32 = 128 << 10;
/// Most requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 32;
/// So many connections share one request beyond the first of each.
const CONNECTIONS_PER_FURTHER: usize = 4;
/// How long requests in progress may go on after the listener closed.
const DRAIN_WITHIN: Duration = Duration::from_secs(25);
/// How long a connection without any request yet may wait for its first one after the listener closed.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(2);
/// The pause after an error of `accept`, which doubles up to the second value.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How a listener serves.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Most connections at a time.
    pub connections: usize,
    /// How long a new connection may take until the head of its first request has come.
    pub head_within: Duration,
    /// How long a connection may be without a request after the first one; longer than nginx keeps its own.
    pub idle_for: Duration,
    /// How long a client may take no byte of a reply that is ready.
    pub taken_within: Duration,
    /// How long requests are still accepted after the shutdown began.
    pub stop_delay: Duration,
    /// Language of the replies to what is no request.
    pub language: Language,
}

impl Default for Serving {
    /// 1,024 connections, 15 s, 75 s, 300 s, no delay, Spanish.
    fn default() -> Self {
        Self {
            connections: 1_024,
            head_within: Duration::from_secs(15),
            idle_for: Duration::from_secs(75),
            taken_within: Duration::from_secs(300),
            stop_delay: Duration::ZERO,
            language: Language::default(),
        }
    }
}

/// Serves the router until `shutdown`, then for [`Serving::stop_delay`], and lets requests in progress end. Its loop is
/// the background task `listener`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    serving: Serving,
    shutdown: CancellationToken,
    background: Background,
) {
    let house = House::new(router, serving);
    let until = async {
        shutdown.cancelled().await;
        house.stopping.cancel();
        tokio::time::sleep(serving.stop_delay).await;
    };
    tokio::select! {
        () = background.keep("listener", || house.accept(&listener)) => {}
        () = until => {}
    }
    house.take_over(listener);
    house.draining.cancel();
    house.tracker.close();
    if tokio::time::timeout(DRAIN_WITHIN, house.tracker.wait()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

/// Everything that the connections of one listener share. Cheap to clone.
#[derive(Clone)]
struct House {
    router: Router,
    serving: Serving,
    protocols: Arc<Builder<TokioExecutor>>,
    seats: Seats,
    /// Requests beyond the first of each connection.
    further: Arc<Semaphore>,
    tracker: TaskTracker,
    /// The shutdown has begun: replies end their connections.
    stopping: CancellationToken,
    /// The listener is closed.
    draining: CancellationToken,
}

impl House {
    fn new(router: Router, serving: Serving) -> Self {
        let mut protocols = Builder::new(TokioExecutor::new());
        protocols
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(READ_BYTES as usize);
        protocols
            .http2()
            .timer(TokioTimer::new())
            // Beyond it the reply has no body; `trail::with_small_head` refuses half of it with problem details.
            .max_header_list_size(2 * READ_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(serving.idle_for);
        Self {
            router,
            serving,
            protocols: Arc::new(protocols),
            seats: Seats::new(serving.connections),
            further: Arc::new(Semaphore::new((serving.connections / CONNECTIONS_PER_FURTHER).max(1))),
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            draining: CancellationToken::new(),
        }
    }

    /// Accepts for ever.
    async fn accept(&self, listener: &TcpListener) {
        let mut pause = ACCEPT_PAUSE;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSE;
                    let permit = self.seats.free().await;
                    self.attend(stream, peer, permit);
                }
                Err(error) if is_of_the_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    // Out of descriptors or memory: those in use come back.
                    tracing::warn!(%error, "failed to accept a connection");
                    metrics::counter!("rushes_accept_errors_total").increment(1);
                    tokio::time::sleep(pause).await;
                    pause = ACCEPT_PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    /// Closes the listener. The kernel has completed connections that nobody has accepted yet; it would reset them.
    fn take_over(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let (Ok(stream), Some(permit)) = (stream, self.seats.try_free()) {
                self.attend(stream, peer, permit);
            }
        }
    }

    fn attend(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Small replies leave at once.
        let _ = stream.set_nodelay(true);
        let (house, (seat, place)) = (self.clone(), self.seats.take(permit));
        self.tracker.spawn(async move {
            let _place = place;
            let limits = (
                house.serving.head_within,
                house.serving.idle_for,
                house.serving.taken_within,
            );
            tokio::select! {
                () = house.converse(stream, peer, &seat) => {}
                why = seat.overdue(limits) => tracing::debug!(why, "closed a connection"),
            }
        });
    }

    /// Serves one connection to its end.
    async fn converse(&self, stream: TcpStream, peer: SocketAddr, seat: &Arc<Seat>) {
        let (house, begun) = (self.clone(), seat.clone());
        let service = tower::service_fn(move |request: axum::http::Request<_>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            // Before this returns: what hyper writes without a request is its own.
            let held = begun.begin();
            house.clone().answer(request, held)
        });
        let socket = TokioIo::new(Socket::new(stream, seat.clone(), self.serving.language));
        let connection = self
            .protocols
            .serve_connection(socket, TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let drained = async {
            self.draining.cancelled().await;
            let _ = tokio::time::timeout(FIRST_REQUEST_WITHIN, seat.first_request()).await;
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drained => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended badly");
        }
    }

    async fn answer(self, request: Request, held: Held) -> Result<axum::http::Response<Body>, Infallible> {
        let is_http1 = request.version() < Version::HTTP_2;
        let permit = if held.is_first() {
            None
        } else {
            let permit = self.further.acquire_owned().await;
            Some(permit.expect("the semaphore is never closed"))
        };
        let Ok(mut response) = self.router.oneshot(request).await;
        if is_http1 && self.stopping.is_cancelled() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Body::new(held.with(body, permit))))
    }
}

/// Errors that `accept` reports for a connection that failed while it waited; the next one is not affected (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
