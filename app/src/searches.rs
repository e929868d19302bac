//! Searches in the background: a client gets a ticket at once, and fetches all hits later.
//!
//! *Problem.* A search of many hits takes many pages. The result must be the same on every server behind a load
//! balancer, must survive a restart, and must be there while the database is away.
//!
//! *Mechanism.* [`create`] stores the request in the object store before the client gets the id. A task of this
//! process follows the cursors of the search and streams the hits into a second object (`result.rs`). [`fetch`] finds
//! the result, or the request without one: then it begins the computation, unless this process has done so. So a
//! ticket ends in a result as long as its owner asks for it, whichever process died.
//!
//! *Invariants.* The account is part of both keys: a ticket of another account is a ticket that does not exist. A
//! result appears whole or not at all. Two processes may compute the same ticket; the last one replaces an equal result
//! or a slightly older one.
//!
//! *Bounds.* A ticket lives for [`LIFETIME`], then a worker removes its objects. An account may have `DAY_MAX`
//! tickets per day, because each may store many hits. `open_tickets.rs` limits those that are not computed yet, and
//! those that a process computes at once. Hits are written and read one page or one line at a time, so memory does not
//! depend on their number.
//!
//! *Rejected.* A table of tickets: it would need the database.

mod open_tickets;
mod result;

pub(crate) use open_tickets::OpenTickets;
pub use result::{FoundHits, Summary};
pub use storage::SearchId;

use crate::library::SearchRequest;
use crate::{App, Error, Refusal};
use anyhow::Context as _;
use bytes::Bytes;
use domain::library::{Filter, PageSize, Query, Scope, Sort};
use domain::search::Search;
use domain::{Code, UserId};
use futures::TryStreamExt;
use open_tickets::{OPEN_MAX, OpenTicket, Opened};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::{Key, PutError};

/// Time for which a ticket can be fetched.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// Maximum number of tickets of an account per day in UTC.
const DAY_MAX: usize = 100;
/// Time after which an account with too many open tickets may have fewer.
const OPEN_RETRY_AFTER: Duration = Duration::from_secs(5);
/// `Retry-After` for an account with too many tickets of this day.
const DAY_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Limit of a stored request. Its texts have 200 characters each.
const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// The state of a ticket.
pub enum Ticket {
    /// The result is not there yet.
    Working,
    /// The result.
    Found(FoundHits),
}

/// The request of a ticket as it is stored. Size and cursor of pages do not matter to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    search: Search,
    scope: Scope,
    filter: Filter,
    sort: Sort,
}

impl Request {
    /// The search of the first page.
    fn first_page(self) -> SearchRequest {
        let page = PageSize::new(PageSize::MAX.into()).unwrap_or_default();
        SearchRequest {
            search: self.search,
            query: Query {
                scope: self.scope,
                filter: self.filter,
                sort: self.sort,
                page,
            },
            cursor: None,
            facets: Vec::new(),
        }
    }
}

/// Stores a search and begins to compute its result. Size, cursor and facets of the search are not used.
///
/// # Errors
/// `rate_limited` for an account with too many tickets; those of a search, and those of the storage.
pub async fn create(app: &App, account: UserId, search: SearchRequest) -> Result<SearchId, Error> {
    let request = Request {
        search: search.search,
        scope: search.query.scope,
        filter: search.query.filter,
        sort: search.query.sort,
    };
    app.library.filled(request.scope).await?;
    let id = SearchId::begin();
    let Opened::Now(open) = app.tickets.open(account, id) else {
        let detail = format!("accepted: up to {OPEN_MAX} searches in the background that are not finished");
        let refusal = Refusal::new(Code::RateLimited).detail(detail);
        return Err(refusal.retry_after(OPEN_RETRY_AFTER).into());
    };
    // Each ticket has up to two objects.
    let day = Key::searches_of_account(account, id);
    if app.storage.count(&day, 2 * DAY_MAX).await? >= 2 * DAY_MAX {
        let detail = format!("accepted: about {DAY_MAX} searches in the background per day");
        let refusal = Refusal::new(Code::RateLimited).detail(detail);
        return Err(refusal.retry_after(DAY_RETRY_AFTER).into());
    }
    let text = serde_json::to_vec(&request).context("a search cannot be written as JSON")?;
    let stream = futures::stream::iter([Ok::<_, Error>(Bytes::from(text))]);
    let key = Key::search_request(account, id);
    let stored = app.storage.put_stream(&key, stream, None, REQUEST_BYTES_MAX).await;
    stored.map_err(of_put)?;
    begin(app, open, request);
    Ok(id)
}

/// Finds the result of a ticket, and computes it if it is missing.
///
/// # Errors
/// `search_expired`; `search_not_found`, also for the ticket of another account; those of a search, when the result is
/// still to be computed and the catalog does not answer; those of the storage.
pub async fn fetch(app: &App, account: UserId, id: SearchId) -> Result<Ticket, Error> {
    if id.age() >= LIFETIME {
        return Err(Code::SearchExpired.into());
    }
    if let Some(found) = FoundHits::open(&app.storage, &Key::search_result(account, id)).await? {
        return Ok(Ticket::Found(found));
    }
    let request = stored_request(app, account, id).await?;
    app.library.filled(request.scope).await?;
    // With too many open tickets, a later fetch begins it.
    if let Opened::Now(open) = app.tickets.open(account, id) {
        begin(app, open, request);
    }
    Ok(Ticket::Working)
}

async fn stored_request(app: &App, account: UserId, id: SearchId) -> Result<Request, Error> {
    let key = Key::search_request(account, id);
    let stream = match app.storage.get_range(&key, 0..REQUEST_BYTES_MAX).await {
        Err(storage::Error::NotFound { .. }) => return Err(Code::SearchNotFound.into()),
        stream => stream?,
    };
    let text: Vec<Bytes> = stream.try_collect().await?;
    let request = serde_json::from_slice(&text.concat()).context("a stored search cannot be read")?;
    Ok(request)
}

/// Computes a ticket in the background.
fn begin(app: &App, open: OpenTicket, request: Request) {
    let app = app.clone();
    tokio::spawn(async move {
        let id = open.id();
        if let Err(error) = compute(&app, &open, request).await {
            tracing::warn!(%id, ?error, "failed to compute a search; it is tried again when it is fetched");
        }
    });
}

async fn compute(app: &App, open: &OpenTicket, request: Request) -> Result<(), Error> {
    let _slot = app.tickets.slot().await;
    let key = Key::search_result(open.account(), open.id());
    // Another process may have computed it while this one waited.
    if app.storage.head(&key).await?.is_some() {
        return Ok(());
    }
    let pages = result::pages(app.library.clone(), request.first_page());
    let stored = app.storage.put_stream(&key, pages, None, result::BYTES_MAX).await;
    stored.map(drop).map_err(of_put)
}

fn of_put(error: PutError<Error>) -> Error {
    match error {
        PutError::Source(error) => error,
        PutError::Storage(error) => error.into(),
        PutError::StorageFull => Code::StorageFull.into(),
        PutError::TooSlow => Code::Unavailable.into(),
        error @ (PutError::TooLarge { .. } | PutError::Empty) => {
            Error::Internal(anyhow::anyhow!("a search cannot be stored: {error:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = Request {
            search: Search::parse("el \"nino\" -coast fl", true).unwrap(),
            scope: Scope::Account(UserId(7)),
            filter: Filter {
                tags: vec!["a".to_owned()],
                min_duration_ms: Some(5),
                ..Filter::default()
            },
            sort: Sort::Relevance,
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    }
}
