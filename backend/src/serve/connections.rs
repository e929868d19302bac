//! The registry of open connections: the limit on their number, their timeouts, and the choice of the connection to
//! evict.
//!
//! Each connection records its requests in progress, and for each reply the time at which the part that the client has
//! not read became ready. All decisions follow from these facts: a connection is idle (no request), busy (a handler
//! works), or stalled (replies are ready and the client reads none of them). Idle and stalled connections may be
//! closed; busy ones never are.

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Minimum idle time before eviction: the head of a request may be on its way.
const EVICT_IDLE_AFTER: Duration = Duration::from_millis(500);
/// Minimum stalled time before eviction.
const EVICT_STALLED_AFTER: Duration = Duration::from_secs(10);
/// Interval of the search for a connection to evict while the limit is reached.
const EVICT_EVERY: Duration = Duration::from_millis(50);
/// Interval of checks on a connection with a request in progress.
const CHECK_EVERY: Duration = Duration::from_secs(15);

/// Timeouts of a connection.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    /// Time for the first request.
    pub(super) first_request: Duration,
    /// Time without a request after the first one.
    pub(super) idle: Duration,
    /// Time for which a client may read no byte of a reply that is ready.
    pub(super) stalled: Duration,
}

/// All connections of a listener. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    free: Arc<Semaphore>,
    open: Arc<Mutex<OpenConnections>>,
}

#[derive(Default)]
struct OpenConnections {
    /// Number of the latest connection.
    latest: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

/// An open connection.
pub(super) struct Connection {
    state: Mutex<ConnectionState>,
    first_request: Notify,
    evicted: CancellationToken,
}

struct ConnectionState {
    /// Time of the accept or of the end of the latest request.
    idle_since: Instant,
    had_request: bool,
    /// Number of the latest request.
    latest: u64,
    /// Requests in progress by number, each with the time at which a part of its reply became ready; `None` while the
    /// handler works.
    requests: BTreeMap<u64, Option<Instant>>,
    /// No request is in progress and all replies have been flushed.
    is_quiet: bool,
}

/// The slot of a connection under the limit. Dropping it frees the slot.
pub(super) struct ConnectionSlot {
    number: u64,
    open: Arc<Mutex<OpenConnections>>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            open: Arc::default(),
        }
    }

    /// Waits for a free slot. While there is none, evicts connections.
    pub(super) async fn acquire(&self) -> OwnedSemaphorePermit {
        loop {
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            self.evict_one();
            let freed = tokio::time::timeout(EVICT_EVERY, self.free.clone().acquire_owned()).await;
            if let Ok(permit) = freed {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    /// Takes a slot if one is free.
    pub(super) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// Registers a connection until its slot is dropped.
    pub(super) fn register(&self, permit: OwnedSemaphorePermit) -> (Arc<Connection>, ConnectionSlot) {
        let mut open = lock(&self.open);
        open.latest += 1;
        let (number, connection) = (open.latest, Arc::new(Connection::new()));
        open.connections.insert(number, connection.clone());
        let slot = ConnectionSlot {
            number,
            open: self.open.clone(),
            _permit: permit,
        };
        (connection, slot)
    }

    /// Evicts one connection: idle ones before stalled ones, those that never had a request before others (a proxy may
    /// be about to reuse its connection), then the one that has been idle or stalled for longest.
    fn evict_one(&self) {
        let open = lock(&self.open);
        let candidates = open.connections.values().filter_map(|connection| {
            let state = lock(&connection.state);
            let order = (
                state.stalled_since().is_some(),
                state.had_request,
                state.inactive_since(),
            );
            (state.is_evictable() && !connection.evicted.is_cancelled()).then_some((order, connection))
        });
        if let Some((_, connection)) = candidates.min_by_key(|(order, _)| *order) {
            metrics::counter!("rushes_connections_evicted_total").increment(1);
            connection.evicted.cancel();
        }
    }
}

impl Connection {
    fn new() -> Self {
        Self {
            state: Mutex::new(ConnectionState {
                idle_since: Instant::now(),
                had_request: false,
                latest: 0,
                requests: BTreeMap::new(),
                is_quiet: true,
            }),
            first_request: Notify::new(),
            evicted: CancellationToken::new(),
        }
    }

    /// Registers a request until the guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        let mut state = lock(&self.state);
        state.latest += 1;
        let number = state.latest;
        let is_first = state.requests.is_empty();
        state.requests.insert(number, None);
        (state.had_request, state.is_quiet) = (true, false);
        drop(state);
        self.first_request.notify_one();
        RequestGuard {
            connection: self.clone(),
            number,
            is_first,
        }
    }

    /// Waits for the first request of the connection; returns at once when there has been one.
    pub(super) async fn first_request(&self) {
        let begun = self.first_request.notified();
        if !lock(&self.state).had_request {
            begun.await;
        }
    }

    /// Records that hyper has written and flushed all it had to write.
    pub(super) fn flushed(&self) {
        let mut state = lock(&self.state);
        state.is_quiet |= state.requests.is_empty();
    }

    /// Returns `true` if no byte of a reply can be in progress: there is no request, and all replies have been flushed.
    pub(super) fn is_quiet(&self) -> bool {
        lock(&self.state).is_quiet
    }

    /// Waits until a timeout has passed or the connection is evicted. Returns the reason for the log.
    pub(super) async fn expired(&self, timeouts: Timeouts) -> &'static str {
        loop {
            let (until, reason) = self.next_check(timeouts);
            if until <= Instant::now() {
                return reason;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.evicted.cancelled() => {
                    if self.may_close() {
                        return "evicted for another connection";
                    }
                    // A request began after the eviction was decided.
                    sleep_until(until).await;
                }
            }
        }
    }

    fn may_close(&self) -> bool {
        let state = lock(&self.state);
        state.requests.is_empty() || state.is_evictable()
    }

    /// The time of the next check, and the reason to close the connection if nothing happens until then. An empty
    /// reason means to check again, because a request in progress may stall later.
    fn next_check(&self, timeouts: Timeouts) -> (Instant, &'static str) {
        let state = lock(&self.state);
        if state.requests.is_empty() {
            let (timeout, reason) = if state.had_request {
                (timeouts.idle, "idle timeout")
            } else {
                (timeouts.first_request, "no request in time")
            };
            return (state.idle_since + timeout, reason);
        }
        let stalled = state.requests.values().flatten().min();
        let check = Instant::now() + CHECK_EVERY.min(timeouts.stalled);
        stalled.map_or((check, ""), |since| {
            let until = *since + timeouts.stalled;
            (
                until.min(check),
                if until <= check {
                    "the client does not read its reply"
                } else {
                    ""
                },
            )
        })
    }
}

impl ConnectionState {
    /// Time at which the connection stalled: the client has read nothing of any reply after it. `None` when there is no
    /// request or a handler is working.
    fn stalled_since(&self) -> Option<Instant> {
        let since = self.requests.values().copied().collect::<Option<Vec<_>>>()?;
        since.into_iter().max()
    }

    /// Time at which the connection stalled or became idle.
    fn inactive_since(&self) -> Instant {
        self.stalled_since().unwrap_or(self.idle_since)
    }

    fn is_evictable(&self) -> bool {
        match self.stalled_since() {
            Some(since) => since.elapsed() > EVICT_STALLED_AFTER,
            None => self.requests.is_empty() && self.idle_since.elapsed() > EVICT_IDLE_AFTER,
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.open).connections.remove(&self.number);
    }
}

/// A request in progress. Dropping it ends the request.
pub(super) struct RequestGuard {
    connection: Arc<Connection>,
    number: u64,
    is_first: bool,
}

impl RequestGuard {
    /// Returns `true` if the connection had no other request in progress when this one began.
    pub(super) const fn is_first(&self) -> bool {
        self.is_first
    }

    /// Wraps the body of the reply. The request ends, and its permit is released, when the body is dropped: after its
    /// last byte was sent or the connection failed.
    pub(super) fn track(self, body: Body, permit: Option<OwnedSemaphorePermit>) -> TrackedBody {
        TrackedBody {
            body,
            guard: self,
            _permit: permit,
        }
    }

    /// Records the time at which a part of the reply became ready; `None` while the handler produces the next part.
    fn set_ready_since(&self, since: Option<Instant>) {
        lock(&self.connection.state).requests.insert(self.number, since);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.connection.state);
        state.requests.remove(&self.number);
        state.idle_since = Instant::now();
    }
}

/// The body of a reply that records when hyper last took a part of it. hyper asks for the next part when the client has
/// read enough of the previous ones, so the latest poll is the time of the latest read.
pub(super) struct TrackedBody {
    body: Body,
    guard: RequestGuard,
    _permit: Option<OwnedSemaphorePermit>,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.guard.set_ready_since(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
