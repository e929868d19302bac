//! Removal of stored files whose keys are on the trash list (`entity::trash`).

use crate::app::Core;
use entity::{DbErr, trash};
use storage::Target;

/// Removes a file or a set of files, then takes its key off the trash list. If one of the two fails, the key stays on
/// the list, and the background task `trash` removes the file later.
pub(crate) async fn remove_listed(app: &Core, key: &str) {
    if remove(app, key).await
        && let Err(error) = unlist(app, key).await
    {
        tracing::warn!(%error, key, "failed to take a file off the trash list");
    }
}

/// Removes a file or a set of files that stays on the trash list. Returns `false` if that fails.
pub(crate) async fn remove(app: &Core, key: &str) -> bool {
    let Ok(target) = Target::parse(key) else { return false };
    let removed = app.storage.remove(&target).await.map_err(anyhow::Error::from);
    if let Err(error) = &removed {
        tracing::warn!(
            error = format!("{error:#}"),
            key,
            "failed to remove a file; it stays on the trash list"
        );
    }
    removed.is_ok()
}

/// Takes the key of a file that was not stored, or is removed, off the trash list.
///
/// # Errors
/// Those of the query.
pub(crate) async fn unlist(app: &Core, key: &str) -> Result<(), DbErr> {
    app.with_timeout(trash::remove_key(&app.db, key)).await
}
