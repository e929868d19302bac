//! The files of the latest scan, with what earlier scans have told about each.

use entity::watched_file::{Identity, Model};
use std::collections::HashMap;
use std::time::Duration;
use storage::FolderFile;
use tokio::time::Instant;

/// The longest pause before a file that has failed is tried again: `2^6` seconds.
const PAUSE_MAX_EXPONENT: u32 = 6;

/// A file whose step has failed. It is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The name of the file.
    pub key: String,
    /// The error in one line.
    pub reason: String,
    /// It did not fail for this reason the last time.
    pub(super) is_new: bool,
}

/// The files of a folder by their keys.
#[derive(Default)]
pub(super) struct Seen(HashMap<String, SeenFile>);

struct SeenFile {
    file: FolderFile,
    /// Since when it is as it is.
    since: Instant,
    failure: Option<Failure>,
}

/// The failures of a file since its latest success.
struct Failure {
    count: u32,
    reason: String,
    retry_at: Instant,
}

impl Seen {
    /// Compares a list with that of the scan before. Returns the files that have not changed for `settle`, and are not
    /// in a pause after a failure.
    pub(super) fn look(&mut self, files: Vec<FolderFile>, settle: Duration) -> Vec<FolderFile> {
        let (now, mut stable, mut before) = (Instant::now(), Vec::new(), std::mem::take(&mut self.0));
        for file in files {
            let seen = match before.remove(&file.key).filter(|seen| seen.file == file) {
                Some(seen) => {
                    let is_due = seen.failure.as_ref().is_none_or(|failure| failure.retry_at <= now);
                    if seen.since + settle <= now && is_due {
                        stable.push(file.clone());
                    }
                    seen
                }
                None => SeenFile {
                    file: file.clone(),
                    since: now,
                    failure: None,
                },
            };
            self.0.insert(file.key, seen);
        }
        stable
    }

    /// Returns `true` if the file of a row was in the latest list.
    pub(super) fn has(&self, row: &Model) -> bool {
        let seen = self.0.get(&row.key);
        seen.is_some_and(|seen| identity(&row.source, &seen.file) == row.identity())
    }

    /// Records that the step of a file has succeeded.
    pub(super) fn succeeded(&mut self, key: &str) {
        if let Some(seen) = self.0.get_mut(key) {
            seen.failure = None;
        }
    }

    /// Records that the step of a file has failed, and begins a pause.
    pub(super) fn failed(&mut self, key: &str, reason: String) -> Failed {
        let seen = self.0.get_mut(key);
        let before = seen.as_ref().and_then(|seen| seen.failure.as_ref());
        let (count, is_new) = before.map_or((1, true), |before| (before.count + 1, before.reason != reason));
        if let Some(seen) = seen {
            seen.failure = Some(Failure {
                count,
                reason: reason.clone(),
                retry_at: Instant::now() + Duration::from_secs(1 << count.min(PAUSE_MAX_EXPONENT)),
            });
        }
        Failed {
            key: key.to_owned(),
            reason,
            is_new,
        }
    }
}

/// The identity of a file in a folder.
pub(super) fn identity<'a>(source: &'a str, file: &'a FolderFile) -> Identity<'a> {
    Identity {
        source,
        key: &file.key,
        etag: &file.etag,
        bytes: i64::try_from(file.bytes).unwrap_or(i64::MAX),
    }
}
