//! Rows of files that are not in their folder any more.

use super::Watcher;
use crate::Error;
use entity::watched_file::{self, Model, State};
use std::time::Duration;
use tokio::time::Instant;

/// Time for which the row of a moved file stays.
const KEEP_MOVED: Duration = Duration::from_hours(90 * 24);
/// Interval between two removals of old rows.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Maximum number of rows that one scan removes.
const FORGET_ROWS: u64 = 1_000;

impl Watcher {
    /// Ends the row of a file whose task has ended, and that was moved, by us or by others.
    pub(super) async fn gone(&self, row: &Model) -> Result<(), Error> {
        let Some(held) = self.take(row.id).await? else {
            return Ok(());
        };
        let db = &self.app.db;
        if held.row.state == State::Found {
            return self.app.with_timeout(held.lease.forget(db)).await.map_err(Error::from);
        }
        self.app.with_timeout(held.lease.moved(db)).await?;
        Ok(())
    }

    /// Removes the rows of files that were moved long ago, and are not in the folder again.
    pub(super) async fn forget_old(&mut self) -> Result<(), Error> {
        if Instant::now() < self.forget_at {
            return Ok(());
        }
        let (app, source) = (&self.app, self.watch.folder.source());
        let rows = watched_file::long_moved(&app.db, source, KEEP_MOVED, FORGET_ROWS);
        let rows = app.with_timeout(rows).await?;
        let gone: Vec<_> = rows.iter().filter(|row| !self.seen.has(row)).collect();
        let ids: Vec<_> = gone.into_iter().map(|row| row.id).collect();
        if ids.is_empty() {
            self.forget_at = Instant::now() + FORGET_EVERY;
            return Ok(());
        }
        let forgotten = watched_file::forget_long_moved(&app.db, ids, KEEP_MOVED);
        app.with_timeout(forgotten).await.map_err(Error::from)
    }
}
