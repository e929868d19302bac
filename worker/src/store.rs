//! Finished files into storage, and unfinished ones out of it.

use crate::Env;
use crate::lease::{ANSWER_WITHIN, PATIENCE};
use domain::plan::{Content, PlannedOutput};
use domain::protocol::Checked;
use domain::{Code, Failure, FailureKind, Plan};
use entity::task::{Claim, Model};
use entity::{DbErr, in_time, output, trash};
use futures::{StreamExt, TryStreamExt, stream};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};
use storage::{FileName, Key, Stored, Target};

/// A stored output that no row names after this long is removed by the sweeper.
const UNNAMED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How soon a database that is away is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often a transfer is tried before the attempt counts as failed.
const TRIES: u32 = 4;

/// Files of a set that move at a time, and most files of a set: 8 rungs of 4 hours in segments of a second.
const AT_A_TIME: usize = 8;
const MAX_FILES: usize = 150_000;

/// Decides where the outputs of an attempt will lie, and lists these places as trash until a row names them.
pub(crate) async fn announce(env: &Env, task: &Model, plan: &Plan) -> Result<Vec<Target>, Failure> {
    let targets = plan.outputs.iter().map(|planned| target(planned, Claim::of(task)));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let listed: Vec<String> = targets.iter().map(text).collect();
    let begun = Instant::now();
    // To wait costs less than to make it all again; should the lease run out meanwhile, the attempt ends.
    while let Err(error) = in_time(ANSWER_WITHIN, trash::put(&env.db, &listed, UNNAMED_FOR)).await {
        tracing::warn!(%error, "failed to announce outputs");
        if begun.elapsed() > PATIENCE {
            return Err(postponed("the database did not answer"));
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(targets)
}

/// Stores every output of an attempt at the places that were announced; nothing of it is visible yet.
pub(crate) async fn store(
    env: &Env,
    targets: &[Target],
    plan: &Plan,
    checked: &[Checked],
    directory: &Path,
) -> Result<Vec<output::New>, Failure> {
    let mut stored = Vec::with_capacity(plan.outputs.len());
    for ((planned, checked), target) in plan.outputs.iter().zip(checked).zip(targets) {
        let path = directory.join(&planned.file);
        let files = match target {
            Target::Object(key) => transfer(env, key, &path).await?,
            Target::Set(_) => set(env, target, planned.content.entry(), path).await?,
        };
        stored.push(row(planned, checked, target, files));
    }
    Ok(stored)
}

fn target(planned: &PlannedOutput, claim: Claim) -> Result<Target, Failure> {
    let name = FileName::parse(&planned.file).map_err(|error| unsound(&error))?;
    Ok(match planned.content.entry() {
        Some(_) => Target::Set(Key::output_set(claim.task, claim.attempt, &name)),
        None => Target::Object(Key::output(claim.task, claim.attempt, &name)),
    })
}

fn text(target: &Target) -> String {
    match target {
        Target::Object(key) => key.to_string(),
        Target::Set(prefix) => prefix.to_string(),
    }
}

/// Stores every file of a set: all their bytes, and the hash of the file that names the others.
async fn set(env: &Env, target: &Target, entry: Option<&str>, directory: PathBuf) -> Result<Stored, Failure> {
    let Target::Set(prefix) = target else {
        return Err(unsound(&"a set without a prefix"));
    };
    let listed = tokio::task::spawn_blocking(move || list(&directory)).await;
    let files = listed.map_err(|died| trouble(&died))??;
    let moves = files.into_iter().map(async |(name, path)| {
        let key = prefix.file(&name).map_err(|error| unsound(&error))?;
        let stored = transfer(env, &key, &path).await?;
        Ok::<_, Failure>((name, stored))
    });
    let moved: Vec<_> = stream::iter(moves).buffer_unordered(AT_A_TIME).try_collect().await?;
    let hash = moved.iter().find(|(name, _)| Some(name.as_str()) == entry);
    Ok(Stored {
        bytes: moved.iter().map(|(_, stored)| stored.bytes).sum(),
        sha256: hash
            .ok_or_else(|| unsound(&"a set without its entry"))?
            .1
            .sha256
            .clone(),
    })
}

/// The files of a set. A child that was broken into may have left anything here: only plain files with names of ours
/// count, and whatever else there is fails the attempt.
fn list(directory: &Path) -> Result<Vec<(FileName, PathBuf)>, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| match domain::is_exhaustion(&error) {
        true => machine(&error),
        false => unsound(&error),
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| machine(&error))?;
        let kind = entry.file_type().map_err(|error| machine(&error))?;
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| FileName::parse(name).ok());
        match name {
            Some(name) if kind.is_file() && files.len() < MAX_FILES => files.push((name, entry.path())),
            _ => return Err(unsound(&"something foreign lies in a set")),
        }
    }
    Ok(files)
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

fn row(planned: &PlannedOutput, checked: &Checked, target: &Target, stored: Stored) -> output::New {
    let size = planned.content.size();
    let moves = !matches!(planned.content, Content::Poster { .. } | Content::Sprite { .. });
    let length_us = checked.probe().map(|probe| probe.duration_us).filter(|_| moves);
    output::New {
        name: planned.file.clone(),
        kind: planned.content.kind(),
        media_type: planned.content.media_type(),
        key: text(target),
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
    if is_exhausted(error) {
        return postponed("no descriptors or memory left for storage");
    }
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

/// The answer of the database to a query around the work, which may take only so long.
///
/// # Errors
/// [`FailureKind::Postponed`] when the database is away, silent or short of anything; the detail stays in our log.
pub(crate) async fn answer<T>(query: impl Future<Output = Result<T, DbErr>>) -> Result<T, Failure> {
    in_time(ANSWER_WITHIN, query).await.map_err(|error| {
        if entity::is_unavailable(&error) || entity::is_exhausted(&error) {
            tracing::warn!(%error, "the database is away");
            postponed("the database did not answer")
        } else {
            trouble(&error)
        }
    })
}

/// An error of the operating system around the work.
pub(crate) fn machine(error: &io::Error) -> Failure {
    if domain::is_exhaustion(error) {
        tracing::warn!(%error, "the machine has nothing left");
        postponed("no descriptors, processes or memory left")
    } else if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ) {
        tracing::warn!(%error, "the scratch directory is full");
        Failure::new(FailureKind::Infrastructure, Code::StorageFull, "no space for the work")
    } else {
        trouble(error)
    }
}

/// The task was not tried.
fn postponed(detail: &str) -> Failure {
    Failure::new(FailureKind::Postponed, Code::Unavailable, detail)
}

/// Whether an error comes of a shortage of descriptors or memory, however deep it lies.
fn is_exhausted(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let io = cause.downcast_ref::<io::Error>();
        // An error within an error of the system is no source of it.
        if io.is_some_and(|io| domain::is_exhaustion(io) || io.get_ref().is_some_and(|inner| is_exhausted(inner))) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Trouble around the work that is our own fault; the detail stays in our log.
pub(crate) fn trouble(error: &dyn std::fmt::Display) -> Failure {
    tracing::warn!(%error, "trouble around the work");
    Failure::new(FailureKind::Infrastructure, Code::Internal, "trouble around the work")
}

/// What a child left is not what it said.
fn unsound(what: &dyn std::fmt::Display) -> Failure {
    tracing::warn!(%what, "an output is not sound");
    let detail = "an output is not what the report says";
    Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_set_is_made_of_plain_files_with_names_of_ours() {
        let home = tempfile::tempdir().unwrap();
        let set = home.path().join("hls");
        fs::create_dir(&set).unwrap();
        fs::write(set.join("master.m3u8"), "#EXTM3U").unwrap();
        fs::write(set.join("720p-0001.m4s"), "x").unwrap();
        assert_eq!(list(&set).unwrap().len(), 2);
        let refused = |put: &dyn Fn(&Path)| {
            let place = set.join("foreign");
            put(&place);
            let code = list(&set).unwrap_err().code;
            fs::remove_dir(&place).or_else(|_| fs::remove_file(&place)).unwrap();
            code
        };
        assert_eq!(
            refused(&|place| symlink("/etc/passwd", place).unwrap()),
            Code::OutputInvalid
        );
        assert_eq!(refused(&|place| fs::create_dir(place).unwrap()), Code::OutputInvalid);
        fs::write(set.join(".hidden"), "x").unwrap();
        assert_eq!(list(&set).unwrap_err().code, Code::OutputInvalid);
        assert_eq!(list(&home.path().join("absent")).unwrap_err().code, Code::OutputInvalid);
    }
}
