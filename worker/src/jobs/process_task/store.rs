//! Moves outputs from the scratch directory to storage, and removes those of unfinished attempts.
//!
//! *Problem.* Storage and database cannot commit together. A file that was stored, and whose row was never written,
//! must not stay forever.
//!
//! *Mechanism.* Before the first byte is stored, [`announce`] puts the keys of all outputs on the trash list, due in 24
//! hours. The transaction that names the outputs takes them off the list. Keys contain task and attempt, so two
//! attempts never write the same file.
//!
//! *Invariants.* A file in storage is named by a row or is on the trash list. No client sees an output before its row.

use crate::database::{OUTAGE_TIMEOUT, QUERY_TIMEOUT};
use crate::env::Env;
use crate::failure::{self, internal, invalid_output, postponed};
use domain::plan::{Content, PlannedOutput};
use domain::protocol::OutputFacts;
use domain::{Failure, Plan};
use entity::task::{Claim, Claimed};
use entity::{output, trash, with_timeout};
use futures::{StreamExt, TryStreamExt, stream};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::{FileName, Key, Stored, Target};

/// Time until the trash list removes a stored output that no row names.
const UNNAMED_TTL: Duration = Duration::from_secs(24 * 3_600);

/// Pause between two tries of a query while the database is away.
const QUERY_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Number of tries to store a file.
const UPLOAD_TRIES: u32 = 4;
/// First pause between two tries; each further one is three times as long.
const UPLOAD_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Number of files of a set that are stored at the same time.
const CONCURRENT_UPLOADS: usize = 8;
/// Maximum number of files of a set: 8 rungs of 4 hours in segments of one second.
const FILES_MAX: usize = 150_000;

/// Chooses the keys of all outputs and puts them on the trash list, until a row names them.
pub(crate) async fn announce(env: &Env, task: &Claimed, plan: &Plan) -> Result<Vec<Target>, Failure> {
    let targets = plan.outputs.iter().map(|planned| target(planned, task.claim()));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<String> = targets.iter().map(key).collect();
    let started = Instant::now();
    // Waiting costs less than rendering again. If the lease expires in this time, the attempt is dropped.
    while let Err(error) = with_timeout(QUERY_TIMEOUT, trash::add_keys(&env.db, &keys, UNNAMED_TTL)).await {
        tracing::warn!(%error, "failed to put the keys of new outputs on the trash list");
        if started.elapsed() > OUTAGE_TIMEOUT {
            return Err(postponed("the database did not answer"));
        }
        tokio::time::sleep(QUERY_RETRY_PAUSE).await;
    }
    Ok(targets)
}

/// Stores all outputs of an attempt under the announced keys; returns their rows, which are not written yet.
pub(crate) async fn store(
    env: &Env,
    targets: &[Target],
    plan: &Plan,
    checked: &[OutputFacts],
    directory: &Path,
) -> Result<Vec<output::New>, Failure> {
    let mut rows = Vec::with_capacity(plan.outputs.len());
    for ((planned, checked), target) in plan.outputs.iter().zip(checked).zip(targets) {
        let path = directory.join(&planned.file);
        let stored = match target {
            Target::Object(key) => store_file(env, key, &path).await?,
            Target::Set(_) => store_set(env, target, planned.content.entry(), path).await?,
        };
        rows.push(row(planned, checked, target, stored));
    }
    Ok(rows)
}

fn target(planned: &PlannedOutput, claim: Claim) -> Result<Target, Failure> {
    let name = FileName::parse(&planned.file).map_err(|error| invalid_output(&error))?;
    Ok(match planned.content.entry() {
        Some(_) => Target::Set(Key::output_set(claim.task(), claim.attempt(), &name)),
        None => Target::Object(Key::output(claim.task(), claim.attempt(), &name)),
    })
}

fn key(target: &Target) -> String {
    match target {
        Target::Object(key) => key.to_string(),
        Target::Set(prefix) => prefix.to_string(),
    }
}

/// Stores all files of a set. Returns their total size, and the hash of the entry file.
async fn store_set(env: &Env, target: &Target, entry: Option<&str>, directory: PathBuf) -> Result<Stored, Failure> {
    let Target::Set(prefix) = target else {
        return Err(invalid_output(&"a set without a prefix"));
    };
    let listed = tokio::task::spawn_blocking(move || list_set(&directory)).await;
    let files = listed.map_err(|error| internal(&error))??;
    let uploads = files.into_iter().map(async |(name, path)| {
        let key = prefix.file(&name).map_err(|error| invalid_output(&error))?;
        let stored = store_file(env, &key, &path).await?;
        Ok::<_, Failure>((name, stored))
    });
    let stored: Vec<_> = stream::iter(uploads)
        .buffer_unordered(CONCURRENT_UPLOADS)
        .try_collect()
        .await?;
    let (_, entry) = stored
        .iter()
        .find(|(name, _)| Some(name.as_str()) == entry)
        .ok_or_else(|| invalid_output(&"a set without its entry file"))?;
    Ok(Stored {
        bytes: stored.iter().map(|(_, file)| file.bytes).sum(),
        sha256: entry.sha256.clone(),
    })
}

/// Lists the files of a set. A child that was taken over may have written anything here, so every entry must be a
/// regular file with a valid name. In particular, a symbolic link would publish a file of this machine.
pub(super) fn list_set(directory: &Path) -> Result<Vec<(FileName, PathBuf)>, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| match domain::is_exhaustion(&error) {
        true => failure::io(&error),
        false => invalid_output(&error),
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failure::io(&error))?;
        let file_type = entry.file_type().map_err(|error| failure::io(&error))?;
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| FileName::parse(name).ok());
        match name {
            Some(name) if file_type.is_file() && files.len() < FILES_MAX => files.push((name, entry.path())),
            _ => return Err(invalid_output(&"an unexpected entry in the directory of a set")),
        }
    }
    Ok(files)
}

/// Stores one file, with retries, because rendering it again costs far more.
async fn store_file(env: &Env, key: &Key, path: &Path) -> Result<Stored, Failure> {
    let mut pause = UPLOAD_RETRY_PAUSE;
    for _ in 1..UPLOAD_TRIES {
        match env.storage.put_file(key, path).await {
            Ok(stored) => return Ok(stored),
            Err(error) => tracing::warn!(%error, %key, "failed to store an output; retrying"),
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    env.storage
        .put_file(key, path)
        .await
        .map_err(|error| failure::storage(&error))
}

fn row(planned: &PlannedOutput, checked: &OutputFacts, target: &Target, stored: Stored) -> output::New {
    let size = planned.content.size();
    let has_duration = !matches!(planned.content, Content::Poster { .. } | Content::Sprite { .. });
    let duration_us = checked.probe().map(|probe| probe.duration_us).filter(|_| has_duration);
    output::New {
        name: planned.file.clone(),
        kind: planned.content.kind(),
        media_type: planned.content.media_type(),
        key: key(target),
        bytes: stored.bytes,
        sha256: stored.sha256,
        width_px: size.map(|size| size.width_px),
        height_px: size.map(|size| size.height_px),
        // Rounded to the nearest millisecond.
        duration_ms: duration_us.map(|us| (us + 500) / 1_000),
        entry: planned.content.entry(),
    }
}

/// Removes the stored outputs of an attempt. The trash list removes those that cannot be removed now.
pub(crate) async fn discard(env: &Env, claim: Claim) {
    let prefix = Key::attempt_prefix(claim.task(), claim.attempt());
    if let Err(error) = env.storage.delete_prefix(&prefix).await {
        tracing::warn!(%error, "failed to remove the outputs of an attempt; they stay on the trash list");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Code;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_set_contains_only_regular_files_with_valid_names() {
        let home = tempfile::tempdir().unwrap();
        let set = home.path().join("hls");
        fs::create_dir(&set).unwrap();
        fs::write(set.join("master.m3u8"), "#EXTM3U").unwrap();
        fs::write(set.join("720p-0001.m4s"), "x").unwrap();
        assert_eq!(list_set(&set).unwrap().len(), 2);
        let refused = |create: &dyn Fn(&Path)| {
            let path = set.join("unexpected");
            create(&path);
            let code = list_set(&set).unwrap_err().code;
            fs::remove_dir(&path).or_else(|_| fs::remove_file(&path)).unwrap();
            code
        };
        assert_eq!(
            refused(&|path| symlink("/etc/passwd", path).unwrap()),
            Code::OutputInvalid
        );
        assert_eq!(refused(&|path| fs::create_dir(path).unwrap()), Code::OutputInvalid);
        fs::write(set.join(".hidden"), "x").unwrap();
        assert_eq!(list_set(&set).unwrap_err().code, Code::OutputInvalid);
        assert_eq!(
            list_set(&home.path().join("absent")).unwrap_err().code,
            Code::OutputInvalid
        );
    }
}
