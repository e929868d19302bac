//! The folder to watch.

use super::environment::{BadSetting, Bounds, Environment, bad};
use super::role::Role;
use std::path::PathBuf;
use std::time::Duration;
use storage::S3Credentials;

const SETTLE_DEFAULT_S: u64 = 10;
const SETTLE_MAX_S: u64 = 3_600;

/// A folder to watch, and what becomes of its files.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// A directory or `s3://…`; empty until the command line has told it.
    pub place: String,
    /// The preset of the tasks, unless there is a recipe.
    pub preset: String,
    /// The file with the recipe of the tasks.
    pub recipe: Option<PathBuf>,
    /// The e-mail address of the account of the tasks; `None` for the only account.
    pub user: Option<String>,
    /// Time for which a file must not change before it is taken.
    pub settle: Duration,
    /// Credentials of a bucket.
    pub s3: Option<S3Credentials>,
}

/// The settings `RUSHES_WATCH…`; `None` if there is no folder. The subcommand `watch` names it itself.
pub(super) fn watch(env: &Environment<'_>, role: Role) -> Result<Option<WatchSettings>, BadSetting> {
    let place = env.text("RUSHES_WATCH")?;
    let settle = env.number(
        "RUSHES_WATCH_SETTLE_S",
        &Bounds::up_to(SETTLE_MAX_S, "seconds"),
        SETTLE_DEFAULT_S,
    )?;
    let s3 = keys(env)?;
    if place.is_none() && role != Role::Watch {
        return Ok(None);
    }
    Ok(Some(WatchSettings {
        place: place.unwrap_or_default(),
        preset: env.text("RUSHES_WATCH_PRESET")?.unwrap_or_else(|| "web".to_owned()),
        recipe: None,
        user: env.text("RUSHES_WATCH_USER")?,
        settle: Duration::from_secs(settle),
        s3,
    }))
}

/// The credentials of a watched bucket: its own, or those of the storage.
fn keys(env: &Environment<'_>) -> Result<Option<S3Credentials>, BadSetting> {
    const NAMES: [&str; 2] = ["RUSHES_WATCH_ACCESS_KEY_ID", "RUSHES_WATCH_SECRET_ACCESS_KEY"];
    let pair = |[id, secret]: [&'static str; 2]| Ok((env.text(id)?, env.text(secret)?));
    let keys = match pair(NAMES)? {
        (None, None) => pair(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])?,
        (Some(_), None) => return Err(bad(NAMES[1], "not set", "the secret of RUSHES_WATCH_ACCESS_KEY_ID")),
        (None, Some(_)) => return Err(bad(NAMES[0], "not set", "the access key of the watched bucket")),
        own => own,
    };
    Ok(match keys {
        (Some(access_key_id), Some(secret_access_key)) => Some(S3Credentials {
            access_key_id,
            secret_access_key,
        }),
        _ => None,
    })
}
