//! Events: lists, and streams of what happens to the tasks and videos of an account.
//!
//! *Problem.* Many clients want to learn of each change at once, in any process, without a gap and without a repeat
//! when they connect again elsewhere. A query per client every second would be the load that streams are meant to save.
//!
//! *Mechanism.* The table `events` is a log (`entity::event`): the id of an event is the cursor of a client. One
//! background task per process ([`EventStreams::follow`]) reads the rows of all accounts after its position, with one
//! query, and hands each event to the streams of its account ([`EventStream`]). It reads soon after an update of a task
//! (`queue::Updates`), and every half second without one.
//!
//! ```text
//!  commit ─► events ◄── one query per process ── follow() ─► queue of each stream of the account ─► client
//!               ▲                                   ▲
//!               └── rows after Last-Event-ID, once ─┼───────── EventStream::next()
//!  commit ─► update of a task (a hint) ─────────────┘
//! ```
//!
//! *Invariants.*
//! - A stream that begins after a cursor registers first, at the position of the follower. It reads the rows from the
//!   cursor up to this position itself, and gets all later ones from the follower. So none is missed or doubled.
//! - A queue is bounded. A client that does not read fast enough loses its stream, not an event: it connects again with
//!   the id of the last event that it has read.
//! - Progress is in no table. It is read from the rows of tasks after their updates, at most once a second for each
//!   task, and is left out while the queue of a stream is half full.
//!
//! *Rejected.* `LISTEN` of Postgres: SQLite has nothing like it, and it needs a connection of its own. Events in the
//! messages of Redis: a second truth, which is lost with Redis.

mod cursor;
mod follower;
mod registry;
mod stream;

pub use registry::{EventStreams, Message};
pub use stream::EventStream;

use crate::Error;
use cursor::check_cursor;
use domain::UserId;
use entity::DatabaseConnection;
use entity::event::{self, Range};

/// Maximum number of events on a page.
pub const PAGE_MAX: u64 = 1_000;

/// A page of events.
#[derive(Debug)]
pub struct EventPage {
    /// The events in order.
    pub events: Vec<event::Model>,
    /// The position of the page: all events up to it are on this page or on earlier ones.
    pub next: i64,
    /// More events follow.
    pub has_more: bool,
}

/// The events of an account after a position, at most [`PAGE_MAX`]. 0 is the position before all events.
///
/// # Errors
/// `cursor_expired`; those of the query.
pub async fn list(db: &DatabaseConnection, account: UserId, after: i64, limit: u64) -> Result<EventPage, Error> {
    let limit = limit.clamp(1, PAGE_MAX);
    let ends = event::ends(db).await?;
    check_cursor(ends, after)?;
    let range = Range {
        after,
        until: ends.newest,
    };
    let mut events = event::of_user(db, account, range, limit + 1).await?;
    let has_more = events.len() as u64 > limit;
    events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = events.last().filter(|_| has_more);
    Ok(EventPage {
        // Up to date also when the events of other accounts are the newest, so that the cursor does not expire.
        next: last.map_or(ends.newest, |last| last.id),
        events,
        has_more,
    })
}
