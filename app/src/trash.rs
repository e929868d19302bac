//! Removal of stored files whose keys are on the trash list (`entity::trash`).

use crate::app::Core;
use entity::{DbErr, trash};
use storage::Target;

/// Removes a file or a set of files, then takes its key off the trash list. If one of the two fails, the key stays on
/// the list, and the background task `trash` removes the file later.
pub(crate) async fn remove_listed(app: &Core, key: &str) {
    let Ok(target) = Target::parse(key) else { return };
    let removed = async {
        app.storage.remove(&target).await?;
        unlist(app, key).await?;
        Ok::<_, anyhow::Error>(())
    };
    if let Err(error) = removed.await {
        tracing::warn!(
            error = format!("{error:#}"),
            key,
            "failed to remove a file; it stays on the trash list"
        );
    }
}

/// Takes the key of a file that was not stored, or is removed, off the trash list.
///
/// # Errors
/// Those of the query.
pub(crate) async fn unlist(app: &Core, key: &str) -> Result<(), DbErr> {
    app.with_timeout(trash::remove_key(&app.db, key)).await
}
