//! Removal of imports and of their rows. `entity::import` removes them some at a time.

use super::show;
use crate::Error;
use crate::app::Core;
use domain::{Code, UserId};
use entity::import;
use std::time::Duration;

/// Time for which the rows and the file of an import are kept after its end.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// Rows that are removed at once.
const ROWS: u64 = 5_000;

/// Removes an import that has ended, with its rows and its file. What its rows have created stays.
///
/// # Errors
/// `import_not_found`, `import_unfinished`.
pub async fn remove(app: &Core, user: UserId, id: i64) -> Result<(), Error> {
    let removed = entity::user::write(&app.db, user, async |db| import::remove(db, user, id).await);
    if app.with_timeout(removed).await? {
        return Ok(());
    }
    // Another request may have removed it.
    show(app, user, id).await?;
    Err(Code::ImportUnfinished.into())
}

/// Removes some rows of an import that its owner has removed, or that ended 30 days ago. Returns `false` if there is
/// none.
///
/// # Errors
/// Errors of the database.
pub async fn remove_some(app: &Core) -> Result<bool, Error> {
    let Some(import) = app.with_timeout(import::removable(&app.db)).await? else {
        return expire_one(app).await;
    };
    if app.with_timeout(import.remove_rows(&app.db, ROWS)).await? == 0 {
        let finished = entity::write(&app.db, async |db| import.finish(db).await);
        app.with_timeout(finished).await?;
    }
    Ok(true)
}

/// Marks an import that ended 30 days ago. Returns `false` if there is none.
async fn expire_one(app: &Core) -> Result<bool, Error> {
    let outdated = app.with_timeout(import::outdated(&app.db, KEPT_FOR)).await?;
    let Some((id, owner)) = outdated else { return Ok(false) };
    let expired = entity::user::write(&app.db, owner, async |db| import::expire(db, id).await);
    app.with_timeout(expired).await?;
    Ok(true)
}
