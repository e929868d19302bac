//! Uploads: a stored file becomes a source and a task. Each way in ends here.

use crate::app::App;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::{RecipeChoice, check_names};
use crate::uninterrupted::uninterrupted;
use crate::{Error, NewFile, file_name, plans, tasks};
use anyhow::Context as _;
use domain::UserId;
use entity::{source, task};
use serde::Serialize;

/// A received file with the recipe for it.
pub struct Upload {
    /// The file name as given by the user.
    pub given_name: String,
    /// The stored file.
    pub source: NewFile,
    /// The recipe to use.
    pub choice: RecipeChoice,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// Creates the rows of an upload in one transaction and wakes a worker. If the transaction fails, the file is removed.
/// Dropping the future does not stop it: a client that disconnects now may have a task.
///
/// # Errors
/// `recipe_invalid`, `task_too_large`, `idempotency_key_in_use`; `unavailable` when it is unknown if the task exists.
pub async fn finish<R: Serialize + Send + Sync + 'static>(
    app: &App,
    user: UserId,
    upload: Upload,
    guard: KeyGuard,
    reply: fn(&task::Model) -> R,
) -> Result<R, Error> {
    let app = app.clone();
    uninterrupted(async move { create(&app, user, upload, &guard, reply).await }).await
}

async fn create<R: Serialize>(
    app: &App,
    user: UserId,
    upload: Upload,
    guard: &KeyGuard,
    reply: fn(&task::Model) -> R,
) -> Result<R, Error> {
    let Upload {
        given_name,
        source: file,
        choice,
        fingerprint,
    } = upload;
    let new_source = source::New {
        key: file.key(),
        bytes: file.stored().bytes,
        sha256: file.stored().sha256.clone(),
    };
    let sha256 = new_source.sha256.clone();
    let checked = async {
        let resolved = choice.resolve(&app.settings.default_preset)?;
        // If the account has uploaded the same bytes before, their probe is known.
        let probe = source::known_probe(&app.db, user, &sha256).await?;
        plans::check_task_size(app, user, &resolved.recipe, probe.as_ref()).await?;
        Ok::<_, Error>(resolved)
    };
    let written = async {
        // Planned before the transaction, which holds a lock on the row of the account.
        let resolved = checked.await?;
        entity::user::write(&app.db, user, async |db| {
            check_names(db, user, &resolved.recipe).await?;
            let stored = source::create(db, user, new_source).await?;
            let new = task::New {
                source_id: stored.id,
                display_name: file_name::display(&given_name),
                safe_name: file_name::safe(&given_name),
                preset: resolved.preset,
                recipe: serde_json::to_value(resolved.recipe).context("failed to serialize a recipe")?,
            };
            let task = task::create(db, user, new).await?;
            let reply = reply(&task);
            guard.store_reply(db, &fingerprint, &reply).await?;
            Ok::<_, Error>((task, reply))
        })
        .await
    };
    let (task, reply) = file.commit(written).await?;
    tracing::info!(task.id = task.id, "uploaded");
    tasks::wake(app, &task).await;
    Ok(reply)
}
