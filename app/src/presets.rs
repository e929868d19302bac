//! Presets of an account. Built-in presets are in `domain::preset`.

use crate::app::App;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::{Error, OnUnique, Refusal};
use domain::recipe::Name;
use domain::{Code, UserId};
use entity::preset;
use serde::Serialize;

/// Maximum number of presets of an account.
const MAX_PRESETS: u64 = 100;

/// A checked new preset.
pub struct NewPreset {
    /// Its name.
    pub name: Name,
    /// Its summary and recipe.
    pub content: preset::Content,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// Creates a preset.
///
/// # Errors
/// `preset_name_taken`, also by a built-in preset; `presets_too_many`, `idempotency_key_in_use`, those of `reply`.
pub async fn create<R: Serialize>(
    app: &App,
    user: UserId,
    new: NewPreset,
    guard: &KeyGuard,
    reply: impl Fn(preset::Model) -> Result<R, Error>,
) -> Result<R, Error> {
    let NewPreset {
        name,
        content,
        fingerprint,
    } = new;
    if domain::preset::find(name.as_str()).is_some() {
        return Err(Code::PresetNameTaken.into());
    }
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        Refusal::unless_below(MAX_PRESETS, preset::count(db, user).await?, Code::PresetsTooMany)?;
        let preset = preset::create(db, user, &name, content).await;
        let reply = reply(preset.on_unique(Code::PresetNameTaken)?)?;
        guard.store_reply(db, &fingerprint, &reply).await?;
        Ok(reply)
    });
    written.await
}

/// Replaces the content of a preset.
///
/// # Errors
/// `preset_not_found` when another request has removed it.
pub async fn replace(app: &App, preset: preset::Model, content: preset::Content) -> Result<preset::Model, Error> {
    let replaced = entity::write(&app.db, async |db| preset::replace(db, preset, content).await);
    replaced.await.map_err(|error| match error {
        entity::DbErr::RecordNotUpdated => Code::PresetNotFound.into(),
        error => Error::from(error),
    })
}

/// Removes a preset.
///
/// # Errors
/// `preset_not_found` when another request has removed it.
pub async fn remove(app: &App, preset: &preset::Model) -> Result<(), Error> {
    let removed = preset::remove(&app.db, preset).await?;
    removed.then_some(()).ok_or_else(|| Code::PresetNotFound.into())
}
