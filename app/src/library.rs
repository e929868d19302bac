//! The library: lists and searches of videos, and the outputs of published ones, answered from the catalog of this
//! process, also while the database is away.
//!
//! *Problem.* Lists and searches must be fast on both databases, and a published video must be shown while the database
//! is restarted. Nothing may be shown for long that its owner has withdrawn in the meantime.
//!
//! *Mechanism.* [`Library::follow`] fills the catalog from the database and applies the log of changes
//! (`entity::library_change`) every quarter of a second. Each of these reads is also the probe of the circuit breaker
//! (`breaker.rs`). All reads of this module use the catalog alone, whether or not the database is there. An answer says
//! how recent it is ([`Freshness`]): all changes until `as_of` are in it.
//!
//! *Bounds.* While the catalog does not follow the database, a change that was committed after `as_of` is missing. If
//! only this process is cut off, this may be the withdrawal of a video or the removal of an account. So answers end
//! after a time: about private videos after [`Bounds::private`], about public ones after [`Bounds::public`].
//!
//! *Own changes.* A change returns its number in the log, and [`Library::wait_for`] waits until it is applied: owners
//! find what they have changed. While the catalog cannot be written, as on a full disk, nothing waits for it.

mod breaker;
mod cursors;
mod details;
mod follower;
mod moment;
mod slot;
mod sweep;

pub use catalog::{Facet, FacetCounts, Hit, Video};
pub use cursors::CursorKeys;
pub use details::{Details, Output, embed_url, facet_name, facet_of, public_url};

use crate::{Error, Refusal};
use breaker::Breaker;
use catalog::Catalog;
use domain::library::{Cursor, Query, Scope};
use domain::search::{Correction, Search};
use domain::{Code, UserId};
use moment::Moment;
use serde::{Deserialize, Serialize};
use slot::Slot;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Maximum time that a reply to a change waits for the catalog. The change is committed by then in any case.
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Age from which an answer counts as degraded, for any cause: the database, or this process.
const STALE: Duration = Duration::from_secs(5);

/// Maximum time that a request waits for the catalog of a process that has just started.
const FILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Time after which a request may find the catalog filled.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The maximum age of answers while the database is away.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For videos of the account that asks; zero switches these answers off.
    pub private: Duration,
    /// For published videos; zero switches these answers off.
    pub public: Duration,
}

impl Default for Bounds {
    /// 15 minutes and 24 hours.
    fn default() -> Self {
        Self {
            private: Duration::from_mins(15),
            public: Duration::from_hours(24),
        }
    }
}

/// The age of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// The catalog does not follow the database, as when it is away.
    pub is_degraded: bool,
    /// All changes until this time are in the answer, in milliseconds since the Unix epoch.
    pub as_of_ms: i64,
    /// The age of the answer.
    pub age: Duration,
}

/// A page of a list.
#[derive(Debug)]
pub struct VideoPage {
    /// The videos in order.
    pub videos: Vec<Video>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// The age of the page.
    pub freshness: Freshness,
}

/// A page of a search.
#[derive(Debug)]
pub struct HitPage {
    /// The videos in order.
    pub hits: Vec<Hit>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Number of videos that match.
    pub total: u32,
    /// There are more than `total`.
    pub total_at_least: bool,
    /// Words that occur nowhere, and those that were searched instead.
    pub corrections: Vec<Correction>,
    /// The facets that were asked for.
    pub facets: Vec<FacetCounts>,
    /// The age of the page.
    pub freshness: Freshness,
}

/// A search with everything that decides about its page.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The words.
    pub search: Search,
    /// Scope, filter, order and size of the page.
    pub query: Query,
    /// The cursor of the page before.
    pub cursor: Option<String>,
    /// The properties to count.
    pub facets: Vec<Facet>,
}

/// The library as one process sees it. Cheap to clone.
#[derive(Clone)]
pub struct Library(Arc<Shared>);

struct Shared {
    /// The directory below which each process has one for its catalog.
    root: PathBuf,
    bounds: Bounds,
    cursors: CursorKeys,
    /// Set when [`Library::follow`] has opened it.
    opened: OnceLock<(Catalog, Slot)>,
    state: watch::Sender<State>,
    breaker: Breaker,
    /// Wakes the follower before its next step.
    wake: Notify,
}

/// The state of the catalog.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// `None` until the catalog is filled.
    applied: Option<Applied>,
    /// No change is applied soon: the latest step of the follower has failed, or it fills a large catalog.
    is_stuck: bool,
}

/// The changes in the catalog.
#[derive(Clone, Copy, Debug)]
struct Applied {
    /// Number of the last change of the log.
    seq: i64,
    /// The time of the read that found no later change.
    complete_at: Moment,
}

impl Library {
    /// A library whose catalog is below this directory, which several processes may share. It answers when
    /// [`Library::follow`] has filled it.
    #[must_use]
    pub fn new(root: PathBuf, bounds: Bounds, cursors: CursorKeys) -> Self {
        Self(Arc::new(Shared {
            root,
            bounds,
            cursors,
            opened: OnceLock::new(),
            state: watch::Sender::default(),
            breaker: Breaker::default(),
            wake: Notify::new(),
        }))
    }

    /// A page of videos.
    ///
    /// # Errors
    /// `cursor_invalid`; `catalog_filling`; `unavailable` when the database is away for too long, or under overload.
    pub async fn list(&self, query: &Query, cursor: Option<&str>) -> Result<VideoPage, Error> {
        let freshness = self.filled(query.scope).await?;
        let cursor = self.read_cursor(cursor)?;
        let page = self.catalog()?.list(query, cursor.as_ref()).await.map_err(refused)?;
        Ok(VideoPage {
            videos: page.videos,
            next_cursor: page.next.and_then(|next| self.0.cursors.sign(&next)),
            freshness,
        })
    }

    /// A page of the videos that match a search, with facets.
    ///
    /// # Errors
    /// As [`Library::list`].
    pub async fn search(&self, request: &SearchRequest) -> Result<HitPage, Error> {
        let began = Instant::now();
        let SearchRequest {
            search,
            query,
            cursor,
            facets,
        } = request;
        let freshness = self.filled(query.scope).await?;
        let cursor = self.read_cursor(cursor.as_deref())?;
        let page = self.catalog()?.search(search, query, cursor.as_ref(), facets).await;
        metrics::histogram!("rushes_library_search_seconds").record(began.elapsed());
        let page = page.map_err(refused)?;
        Ok(HitPage {
            hits: page.hits,
            next_cursor: page.next.and_then(|next| self.0.cursors.sign(&next)),
            total: page.total,
            total_at_least: page.total_at_least,
            corrections: page.corrections,
            facets: page.facets,
            freshness,
        })
    }

    /// A public video.
    ///
    /// # Errors
    /// `video_not_found`; as [`Library::list`].
    pub async fn public_video(&self, id: i64) -> Result<(Video, Freshness), Error> {
        let freshness = self.filled(Scope::Public).await?;
        let found = self.catalog()?.public(id).await.map_err(refused)?;
        Ok((found.ok_or(Code::VideoNotFound)?, freshness))
    }

    /// A public or unlisted video, by the last part of its public address.
    ///
    /// # Errors
    /// As [`Library::public_video`].
    pub async fn video_of_link(&self, public_id: &str) -> Result<(Video, Freshness), Error> {
        let freshness = self.filled(Scope::Public).await?;
        let found = self.catalog()?.of_link(public_id).await.map_err(refused)?;
        Ok((found.ok_or(Code::VideoNotFound)?, freshness))
    }

    /// Returns `true` if the account exists, as far as the catalog knows; for requests while the database is away.
    ///
    /// # Errors
    /// As [`Library::list`].
    pub async fn has_account(&self, account: UserId) -> Result<bool, Error> {
        self.filled(Scope::Account(account)).await?;
        let found = self.catalog()?.account(account).await.map_err(refused)?;
        Ok(found.is_some_and(|account| !account.is_disabled))
    }

    /// Returns `true` while the database is away: the circuit breaker is open.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.0.breaker.is_open()
    }

    /// Returns `true` if the catalog answers.
    #[must_use]
    pub fn is_filled(&self) -> bool {
        self.0.state.borrow().applied.is_some()
    }

    /// Waits until the catalog of this process has applied a change, for at most a second, and not while it is known
    /// that the catalog cannot follow.
    pub async fn wait_for(&self, seq: i64) {
        self.wait_until(|applied| applied.seq >= seq).await;
    }

    /// [`Library::wait_for`] for all changes that are committed by now.
    pub async fn wait_for_newest(&self) {
        let asked = Instant::now();
        self.wait_until(|applied| applied.complete_at.is_after(asked)).await;
    }

    async fn wait_until(&self, is_reached: impl Fn(Applied) -> bool) {
        let mut state = self.0.state.subscribe();
        self.0.wake.notify_one();
        let ends = |state: &State| state.is_stuck || state.applied.is_some_and(&is_reached);
        if tokio::time::timeout(APPLY_TIMEOUT, state.wait_for(ends)).await.is_err() {
            tracing::warn!("the catalog is slow to apply a change");
        }
    }

    /// [`Library::freshness`], after a wait for the catalog of a process that has just started: a small one is filled
    /// in a moment. When a request has waited for nothing, as with a large catalog, the next ones do not wait.
    pub(crate) async fn filled(&self, scope: Scope) -> Result<Freshness, Error> {
        if !self.is_filled() {
            let mut state = self.0.state.subscribe();
            let ends = state.wait_for(|state| state.is_stuck || state.applied.is_some());
            if tokio::time::timeout(FILL_TIMEOUT, ends).await.is_err() && !self.is_filled() {
                self.set_stuck(true);
            }
        }
        self.freshness(scope)
    }

    /// The age of an answer that is given now.
    ///
    /// # Errors
    /// `catalog_filling`; `unavailable` when the database is away for longer than the bound of the scope.
    pub fn freshness(&self, scope: Scope) -> Result<Freshness, Error> {
        let Some(Applied { complete_at, .. }) = self.0.state.borrow().applied else {
            return Err(filling());
        };
        let age = complete_at.age();
        let bound = match scope {
            Scope::Public => self.0.bounds.public,
            Scope::Account(_) => self.0.bounds.private,
        };
        let is_degraded = self.is_degraded() || age > STALE;
        if is_degraded && age >= bound {
            let detail = format!("the catalog has not followed the database for {} s", age.as_secs());
            return Err(Refusal::new(Code::Unavailable).detail(detail).into());
        }
        Ok(Freshness {
            is_degraded,
            as_of_ms: complete_at.ms,
            age,
        })
    }

    fn read_cursor(&self, text: Option<&str>) -> Result<Option<Cursor>, Error> {
        let read = text.map(|text| self.0.cursors.read(text).ok_or_else(cursor_invalid));
        read.transpose()
    }

    fn catalog(&self) -> Result<&Catalog, Error> {
        let opened = self.0.opened.get().ok_or_else(filling)?;
        Ok(&opened.0)
    }
}

fn cursor_invalid() -> Error {
    Refusal::of_field("cursor", Code::CursorInvalid).into()
}

fn filling() -> Error {
    Refusal::new(Code::CatalogFilling).retry_after(RETRY_AFTER).into()
}

fn refused(error: catalog::Error) -> Error {
    match error {
        catalog::Error::NotFilled | catalog::Error::Damaged => filling(),
        catalog::Error::CursorInvalid => cursor_invalid(),
        catalog::Error::Busy | catalog::Error::TooSlow => {
            tracing::warn!(%error, "a query of the catalog was given up");
            Code::Unavailable.into()
        }
        error => Error::Internal(anyhow::Error::new(error).context("a query of the catalog failed")),
    }
}
