//! Connections: accepted, bounded in time while a request begins, and ended in peace at a shutdown.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take over the head of a request, and an idle connection stays open; longer than the 30 s for
/// which nginx keeps its own.
const HEADER_WITHIN: Duration = Duration::from_secs(75);
/// Most bytes of a connection that wait to be looked at; heads of requests must fit.
const READ_BYTES: usize = 128 << 10;
/// How long requests in progress may go on after a shutdown began.
const DRAIN_WITHIN: Duration = Duration::from_secs(25);

/// Serves the router until `shutdown`; then takes no new connection and lets requests in progress end, for 25 s at most.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(READ_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_WITHIN);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => attend(stream, peer, router.clone(), &builder, &connections),
            Err(error) => {
                // Out of descriptors, most likely: those in use come back.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_WITHIN, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time");
    }
}

fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    builder: &Builder<TokioExecutor>,
    connections: &GracefulShutdown,
) {
    // Small replies leave at once.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |request: axum::http::Request<_>| -> Request {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    let watched = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(error, "a connection ended badly");
        }
    });
}
