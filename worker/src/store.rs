//! Finished files into storage, and unfinished ones out of it.

use crate::Env;
use domain::plan::{Content, PlannedOutput};
use domain::protocol::Checked;
use domain::{Code, Failure, FailureKind, Plan};
use entity::task::{Claim, Model};
use entity::{output, trash};
use std::path::Path;
use std::time::Duration;
use storage::{FileName, Key, Stored};

/// A stored output that no row names after this long is removed by the sweeper.
const UNNAMED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How often a transfer is tried before the attempt counts as failed.
const TRIES: u32 = 4;

/// Stores every output of an attempt under the attempt's own keys; nothing of it is visible yet.
pub(crate) async fn store(
    env: &Env,
    task: &Model,
    plan: &Plan,
    checked: &[Checked],
    directory: &Path,
) -> Result<Vec<output::New>, Failure> {
    let claim = Claim::of(task);
    let mut stored = Vec::with_capacity(plan.outputs.len());
    let keys = keys(plan, claim)?;
    let listed: Vec<String> = keys.iter().map(ToString::to_string).collect();
    trash::put(&env.db, &listed, UNNAMED_FOR).await.map_err(|error| {
        tracing::warn!(%error, "failed to announce outputs");
        Failure::new(
            FailureKind::Infrastructure,
            Code::Unavailable,
            "the database did not answer",
        )
    })?;
    for ((planned, checked), key) in plan.outputs.iter().zip(checked).zip(&keys) {
        let file = transfer(env, key, &directory.join(&planned.file)).await?;
        stored.push(row(planned, checked, key, file));
    }
    Ok(stored)
}

fn keys(plan: &Plan, claim: Claim) -> Result<Vec<Key>, Failure> {
    let key = |planned: &PlannedOutput| {
        FileName::parse(&planned.file).map(|name| Key::output(claim.task, claim.attempt, &name))
    };
    let keys: Result<_, _> = plan.outputs.iter().map(key).collect();
    keys.map_err(|error| Failure::new(FailureKind::Unsupported, Code::Internal, error.to_string()))
}

/// Stores one file, trying again: making it cost far more than moving it.
async fn transfer(env: &Env, key: &Key, path: &Path) -> Result<Stored, Failure> {
    let mut pause = Duration::from_millis(500);
    for _ in 1..TRIES {
        match env.storage.adopt(key, path).await {
            Ok(stored) => return Ok(stored),
            Err(error) => tracing::warn!(%error, %key, "failed to store an output, trying again"),
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    env.storage
        .adopt(key, path)
        .await
        .map_err(|error| failure(&error, FailureKind::Transfer))
}

fn row(planned: &PlannedOutput, checked: &Checked, key: &Key, stored: Stored) -> output::New {
    let size = planned.content.size();
    let moves = !matches!(planned.content, Content::Poster { .. } | Content::Sprite { .. });
    let length_us = checked.probe().map(|probe| probe.duration_us).filter(|_| moves);
    output::New {
        name: planned.file.clone(),
        kind: planned.content.kind(),
        media_type: planned.content.media_type(),
        key: key.to_string(),
        bytes: stored.bytes,
        sha256: stored.sha256,
        width_px: size.map(|size| size.width_px),
        height_px: size.map(|size| size.height_px),
        duration_ms: length_us.map(|us| (us + 500) / 1_000),
        entry: planned.content.entry(),
    }
}

/// Removes what an attempt stored and no row names. What cannot be removed now is on the trash list.
pub(crate) async fn discard(env: &Env, claim: Claim) {
    let prefix = Key::attempt_prefix(claim.task, claim.attempt);
    if let Err(error) = env.storage.delete_prefix(&prefix).await {
        tracing::warn!(%error, "failed to discard outputs; the sweeper will");
    }
}

/// A storage error as a failure of the given class; a full disk has a code of its own.
pub(crate) fn failure(error: &storage::Error, kind: FailureKind) -> Failure {
    tracing::warn!(%error, "storage failed");
    let code = match error {
        storage::Error::Full { .. } => Code::StorageFull,
        storage::Error::NotFound { .. }
        | storage::Error::OutOfRange { .. }
        | storage::Error::Unavailable { .. }
        | storage::Error::LocalFile { .. }
        | storage::Error::BadUrl { .. } => Code::StorageFailed,
    };
    Failure::new(kind, code, "a file could not be read or stored")
}
