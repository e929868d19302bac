//! Which connections there are, and what each of them waits for.

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

/// A connection that is younger is not closed to make room: the head of its request may be on its way.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// A connection whose client has taken nothing of any reply for so long may be closed to make room.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// How often a full house looks for a connection that can make room.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a connection with a request in progress is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(15);

/// All connections of a listener. Cheap to clone.
#[derive(Clone)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Arc<Seat>>,
}

/// One connection.
pub(super) struct Seat {
    state: Mutex<State>,
    first_request: Notify,
    gives_way: CancellationToken,
}

struct State {
    waiting_since: Instant,
    had_request: bool,
    next: u64,
    /// Requests in progress, and since when the client has not taken what is ready of each reply.
    requests: BTreeMap<u64, Option<Instant>>,
    /// Whether all that was written belongs to replies that have ended.
    is_quiet: bool,
}

/// The place of a connection, given back with this value.
pub(super) struct Place {
    number: u64,
    taken: Arc<Mutex<Taken>>,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            taken: Arc::default(),
        }
    }

    /// A place for a connection; when all are taken, the longest without a request is closed, or else the one that has
    /// stalled longest.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        loop {
            if let Some(permit) = self.try_free() {
                return permit;
            }
            self.make_room();
            let freed = tokio::time::timeout(LOOK_EVERY, self.free.clone().acquire_owned()).await;
            if let Ok(permit) = freed {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    pub(super) fn try_free(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// Records a connection for as long as it keeps its place.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit) -> (Arc<Seat>, Place) {
        let mut taken = lock(&self.taken);
        taken.next += 1;
        let (number, seat) = (taken.next, Arc::new(Seat::new()));
        taken.seats.insert(number, seat.clone());
        let place = Place {
            number,
            taken: self.taken.clone(),
            _permit: permit,
        };
        (seat, place)
    }

    /// Those that never had a request go first: a proxy may be about to use one that had.
    fn make_room(&self) {
        let taken = lock(&self.taken);
        let waiting = taken.seats.values().filter_map(|seat| {
            let state = lock(&seat.state);
            let order = (state.stalled_since().is_some(), state.had_request, state.since());
            (state.can_give_way() && !seat.gives_way.is_cancelled()).then_some((order, seat))
        });
        if let Some((_, seat)) = waiting.min_by_key(|(order, _)| *order) {
            metrics::counter!("rushes_connections_evicted_total").increment(1);
            seat.gives_way.cancel();
        }
    }
}

impl Seat {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting_since: Instant::now(),
                had_request: false,
                next: 0,
                requests: BTreeMap::new(),
                is_quiet: true,
            }),
            first_request: Notify::new(),
            gives_way: CancellationToken::new(),
        }
    }

    /// Records that a request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> Held {
        let mut state = lock(&self.state);
        state.next += 1;
        let number = state.next;
        let is_first = state.requests.is_empty();
        state.requests.insert(number, None);
        (state.had_request, state.is_quiet) = (true, false);
        drop(state);
        self.first_request.notify_one();
        Held {
            seat: self.clone(),
            number,
            is_first,
        }
    }

    /// Waits until there has been a request.
    pub(super) async fn first_request(&self) {
        let begun = self.first_request.notified();
        if !lock(&self.state).had_request {
            begun.await;
        }
    }

    /// Records that everything was written that hyper had to write.
    pub(super) fn flushed(&self) {
        let mut state = lock(&self.state);
        state.is_quiet |= state.requests.is_empty();
    }

    /// Whether no reply is under way, not even its last bytes.
    pub(super) fn is_quiet(&self) -> bool {
        lock(&self.state).is_quiet
    }

    /// Returns when the connection has waited for too long or must make room, and why. The limits: for the first
    /// request, for another one, and for a client to take a reply.
    pub(super) async fn overdue(&self, limits: (Duration, Duration, Duration)) -> &'static str {
        loop {
            let (until, why) = self.next_look(limits);
            if until <= Instant::now() {
                return why;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.gives_way.cancelled() => {
                    if self.may_close() {
                        return "made room for another connection";
                    }
                    // Its request came just now.
                    sleep_until(until).await;
                }
            }
        }
    }

    fn may_close(&self) -> bool {
        let state = lock(&self.state);
        state.requests.is_empty() || state.can_give_way()
    }

    fn next_look(
        &self,
        (head_within, idle_for, taken_within): (Duration, Duration, Duration),
    ) -> (Instant, &'static str) {
        let state = lock(&self.state);
        if state.requests.is_empty() {
            let (limit, why) = if state.had_request {
                (idle_for, "idle for too long")
            } else {
                (head_within, "no request came in time")
            };
            return (state.waiting_since + limit, why);
        }
        let stalled = state.requests.values().flatten().min();
        let check = Instant::now() + CHECK_EVERY.min(taken_within);
        stalled.map_or((check, ""), |since| {
            let until = *since + taken_within;
            (
                until.min(check),
                if until <= check {
                    "the client does not take its reply"
                } else {
                    ""
                },
            )
        })
    }
}

impl State {
    /// Since when the client has not taken anything of any reply; `None` when there is no request, or one is at work.
    fn stalled_since(&self) -> Option<Instant> {
        let since = self.requests.values().copied().collect::<Option<Vec<_>>>()?;
        since.into_iter().max()
    }

    /// Since when nothing has happened.
    fn since(&self) -> Instant {
        self.stalled_since().unwrap_or(self.waiting_since)
    }

    fn can_give_way(&self) -> bool {
        match self.stalled_since() {
            Some(since) => since.elapsed() > STALLED_AFTER,
            None => self.requests.is_empty() && self.waiting_since.elapsed() > SETTLED_AFTER,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).seats.remove(&self.number);
    }
}

/// A request in progress; ends with its value.
pub(super) struct Held {
    seat: Arc<Seat>,
    number: u64,
    is_first: bool,
}

impl Held {
    /// Whether it began while no other request of its connection was in progress.
    pub(super) const fn is_first(&self) -> bool {
        self.is_first
    }

    /// The body of the reply, which ends the request when it has been sent or given up.
    pub(super) fn with(self, body: Body, permit: Option<OwnedSemaphorePermit>) -> HeldBody {
        HeldBody {
            body,
            held: self,
            _permit: permit,
        }
    }

    fn ready(&self, since: Option<Instant>) {
        lock(&self.seat.state).requests.insert(self.number, since);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = lock(&self.seat.state);
        state.requests.remove(&self.number);
        state.waiting_since = Instant::now();
    }
}

/// The body of a reply, of which it is known since when nobody has asked for more.
pub(super) struct HeldBody {
    body: Body,
    held: Held,
    _permit: Option<OwnedSemaphorePermit>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.held.ready(polled.is_ready().then(Instant::now));
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
