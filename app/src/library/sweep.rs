//! The sweep: removes videos from the catalog that the database no longer has, although the log does not say so.
//!
//! During an upgrade from a version without the library, processes of that version delete tasks and sources, and with
//! them videos, without a row in the log. The catalog is compared with the database page by page, in the order of ids,
//! again and again. An id is never used twice, so a video that is missing in the database stays removed.

use super::Library;
use super::breaker::PROBE_TIMEOUT;
use catalog::{Catalog, Change};
use entity::{DatabaseConnection, video};
use std::time::{Duration, Instant};

/// Videos that are compared at once.
const PAGE: u32 = 5_000;

/// Pause between two pages.
const PAUSE: Duration = Duration::from_secs(10);

/// The place of the sweep in the catalog.
pub(super) struct Sweep {
    after: i64,
    due: Instant,
}

impl Sweep {
    pub(super) fn start() -> Self {
        Self {
            after: 0,
            due: Instant::now() + PAUSE,
        }
    }

    /// Compares the next page if it is due.
    pub(super) async fn step(&mut self, library: &Library, db: &DatabaseConnection) -> Result<(), anyhow::Error> {
        let Some((catalog, _)) = library.0.opened.get().filter(|_| Instant::now() >= self.due) else {
            return Ok(());
        };
        self.due = Instant::now() + PAUSE;
        let ids = catalog.video_ids(self.after, PAGE).await?;
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            self.after = 0;
            return Ok(());
        };
        let present = video::ids_between(db, *first, *last);
        let present = library.probe(PROBE_TIMEOUT, present).await?;
        self.after = *last;
        let is_gone = |id: &i64| present.binary_search(id).is_err();
        remove(catalog, ids.into_iter().filter(is_gone).collect()).await
    }
}

async fn remove(catalog: &Catalog, gone: Vec<i64>) -> Result<(), anyhow::Error> {
    if gone.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        videos = gone.len(),
        "removed videos from the catalog that are not in the database"
    );
    let changes: Vec<_> = gone.into_iter().map(Change::VideoRemoved).collect();
    let position = catalog.position().await?;
    catalog.apply(&changes, position).await?;
    Ok(())
}
