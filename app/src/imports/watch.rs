//! An import as it changes, for clients that watch it.
//!
//! *Mechanism.* The row of the import is read by its primary key every [`INTERVAL`], and shown if it has changed. A
//! process watches at most 64 imports (`watchers.rs`), so this costs at most 128 such reads a second.
//!
//! *Rejected.* Messages through Redis: a large import changes its counts hundreds of times a second, of which a client
//! wants two.

use super::show;
use crate::Error;
use crate::app::App;
use domain::UserId;
use domain::manifest::ImportStatus;
use entity::import;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

/// Time between two reads.
const INTERVAL: Duration = Duration::from_millis(500);

/// An import that a client watches.
pub struct Watch {
    app: App,
    latest: import::Model,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

/// Watches an import of an account.
///
/// # Errors
/// `import_not_found`; `event_streams_too_many` when the process watches as many as it can.
pub async fn watch(app: &App, user: UserId, id: i64) -> Result<Watch, Error> {
    let place = app.import_watchers.place()?;
    Ok(Watch {
        latest: show(app, user, id).await?,
        app: app.clone(),
        is_first: true,
        _place: place,
    })
}

impl Watch {
    /// The import at once, and then after each change. `None` when it has ended and no row is on its way. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// `import_not_found` when it was removed; errors of the database.
    pub async fn next(&mut self) -> Result<Option<import::Model>, Error> {
        if std::mem::take(&mut self.is_first) {
            return Ok(Some(self.latest.clone()));
        }
        while !self.has_ended() {
            sleep(INTERVAL).await;
            let import = show(&self.app, self.latest.owner(), self.latest.id).await?;
            let has_changed = shown(&import) != shown(&self.latest);
            self.latest = import;
            if has_changed {
                return Ok(Some(self.latest.clone()));
            }
        }
        Ok(None)
    }

    /// The import as it was read last has ended, and no row is on its way.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        ImportStatus::from(self.latest.status).has_ended() && self.latest.working == 0
    }
}

/// The columns that clients see change. The others belong to the lease.
fn shown(import: &import::Model) -> (import::Status, bool, [i64; 11]) {
    let counts = [
        import.rows_read,
        import.byte,
        import.pending,
        import.working,
        import.created,
        import.updated,
        import.duplicate,
        import.error,
        import.lookup_found,
        import.lookup_no_data,
        import.lookup_failed,
    ];
    (import.status, import.is_waiting_for_lookup(), counts)
}
