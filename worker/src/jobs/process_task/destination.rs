//! Writes the outputs of an attempt to the bucket of the customer that the recipe names.
//!
//! *Order.* The outputs are written after their verification and before they are stored, because storing moves the
//! files. The task is processed only if both have succeeded, so a client that sees `processed` finds the files.
//!
//! *Invariants.* The keys depend on the task, not on the attempt: an attempt that follows a killed one writes the same
//! keys again, so there is never a second copy. Each file is read again after it was written
//! ([`storage::Destination`]).

use super::store::list_set;
use crate::env::Env;
use crate::failure::{self, internal, invalid_output};
use app::credentials;
use domain::plan::PlannedOutput;
use domain::recipe::{Destination, DestinationValues};
use domain::report::WrittenOutput;
use domain::{Code, Failure, Plan, media_type_of_file};
use entity::credential;
use entity::task::Claimed;
use futures::{StreamExt, TryStreamExt, stream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::{BucketAddress, DestinationError, DestinationFile, S3Credentials, Stored};
use tokio::time::{Instant, timeout_at};

/// Number of tries to write a file. Each has further tries of single requests.
const TRIES: u32 = 3;
/// First pause between two tries; each further one is three times as long.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Number of files of a set that are written at the same time.
const CONCURRENT_FILES: usize = 4;

/// Time for all files of a task, on top of the time by [`SLOWEST_RATE`]. A server that answers each request late may
/// not hold a place of the worker for hours.
const GRACE: Duration = Duration::from_secs(300);
/// Bytes in a second in which a file is sent and read again, at least: 1 Mbit/s.
const SLOWEST_RATE: u64 = 128 << 10;

/// The bucket of a task, and the keys of its files.
pub(super) struct DestinationWriter<'a> {
    bucket: storage::Destination,
    /// Time at which the first file was begun.
    begun: Instant,
    /// Bytes of the files so far, the present ones included.
    bytes: AtomicU64,
    destination: &'a Destination,
    values: DestinationValues,
}

impl<'a> DestinationWriter<'a> {
    /// The writer of a task with a credential of its account.
    pub(super) fn new(
        env: &Env,
        task: &Claimed,
        destination: &'a Destination,
        credential: &credential::Model,
    ) -> Result<Self, Failure> {
        let secret_access_key = credentials::secret(&env.uploads, task.owner(), credential);
        // Another worker may have the key.
        let secret_access_key = secret_access_key.map_err(|error| {
            tracing::error!(?error, credential = credential.name, "failed to decrypt a credential");
            let detail = format!("{}: the credential cannot be decrypted", credential.name);
            Failure::new(Code::SealingUnavailable, detail)
        })?;
        let address = BucketAddress {
            endpoint: credential.endpoint.clone(),
            region: credential.region.clone(),
            bucket: destination.url.bucket().to_owned(),
        };
        let keys = S3Credentials {
            access_key_id: credential.access_key_id.clone(),
            secret_access_key,
        };
        Ok(Self {
            bucket: storage::Destination::new(address, keys, env.client.clone()),
            begun: Instant::now(),
            bytes: AtomicU64::new(0),
            destination,
            values: DestinationValues {
                task: task.task_id(),
                date: task.timestamp.format("%Y-%m-%d").to_string(),
                source: task.display_name.clone(),
            },
        })
    }

    /// Writes all outputs of a plan from the scratch directory.
    pub(super) async fn write(mut self, plan: &Plan, directory: &Path) -> Result<Vec<WrittenOutput>, Failure> {
        self.begun = Instant::now();
        let mut written = Vec::with_capacity(plan.outputs.len());
        for planned in &plan.outputs {
            let path = directory.join(&planned.file);
            written.push(match planned.content.entry() {
                Some(entry) => self.write_set(planned, entry, &path).await?,
                None => {
                    let media_type = planned.content.media_type();
                    let stored = self.write_file(&planned.file, media_type, &path).await?;
                    self.written(planned, &planned.file, &[&stored], &stored)
                }
            });
        }
        Ok(written)
    }

    async fn write_set(&self, planned: &PlannedOutput, entry: &str, path: &Path) -> Result<WrittenOutput, Failure> {
        let directory = path.to_owned();
        let listed = tokio::task::spawn_blocking(move || list_set(&directory)).await;
        let files = listed.map_err(|error| internal(&error))??;
        // Players that find the entry file find all others.
        let (entries, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name.as_str() == entry);
        let write = async |(name, path): (storage::FileName, std::path::PathBuf)| {
            let media_type = media_type_of_file(name.as_str());
            self.write_file(&format!("{}/{name}", planned.file), media_type, &path)
                .await
        };
        let mut stored: Vec<Stored> = stream::iter(others.into_iter().map(&write))
            .buffer_unordered(CONCURRENT_FILES)
            .try_collect()
            .await?;
        let entry_file = entries.into_iter().next();
        let entry_file = write(entry_file.ok_or_else(|| invalid_output(&"a set without its entry file"))?).await?;
        stored.push(entry_file.clone());
        let all: Vec<&Stored> = stored.iter().collect();
        Ok(self.written(planned, &format!("{}/{entry}", planned.file), &all, &entry_file))
    }

    /// Writes one file in the time that the files so far may take.
    async fn write_file(&self, name: &str, media_type: &str, local: &Path) -> Result<Stored, Failure> {
        let metadata = tokio::fs::symlink_metadata(local)
            .await
            .map_err(|error| failure::io(&error))?;
        let bytes = metadata.len() + self.bytes.fetch_add(metadata.len(), Ordering::Relaxed);
        let limit = GRACE + Duration::from_secs(bytes / SLOWEST_RATE);
        let written = timeout_at(self.begun + limit, self.try_write_file(name, media_type, local)).await;
        written.unwrap_or_else(|_| {
            let detail = format!("the files did not arrive within {} s", limit.as_secs());
            Err(Failure::new(Code::DestinationUnreachable, detail))
        })
    }

    /// Writes one file, with retries, because rendering it again costs far more.
    async fn try_write_file(&self, name: &str, media_type: &str, local: &Path) -> Result<Stored, Failure> {
        let key = self.destination.url.key(&self.values, name);
        let file = DestinationFile {
            key: &key,
            local,
            media_type,
        };
        let mut pause = RETRY_PAUSE;
        for _ in 1..TRIES {
            match self.bucket.write(file).await {
                Err(DestinationError::Unreachable(reason) | DestinationError::Mismatch(reason)) => {
                    tracing::warn!(reason, key, "failed to write an output to its destination; retrying");
                }
                done => return done.map_err(|error| failure_of(&error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 3;
        }
        self.bucket.write(file).await.map_err(|error| failure_of(&error))
    }

    fn written(&self, planned: &PlannedOutput, main: &str, files: &[&Stored], main_file: &Stored) -> WrittenOutput {
        let (bucket, key) = (
            self.destination.url.bucket(),
            self.destination.url.key(&self.values, main),
        );
        WrittenOutput {
            output: planned.file.clone(),
            url: format!("s3://{bucket}/{key}"),
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
            sha256: main_file.sha256.clone(),
        }
    }
}

fn failure_of(error: &DestinationError) -> Failure {
    let code = match error {
        DestinationError::Forbidden => Code::DestinationForbidden,
        DestinationError::Unreachable(_) => Code::DestinationUnreachable,
        DestinationError::Refused(_) => Code::DestinationRefused,
        DestinationError::Mismatch(_) => Code::DestinationMismatch,
        DestinationError::LocalFile(error) => return failure::io(error),
    };
    tracing::warn!(%error, "failed to write an output to its destination");
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::TaskId;
    use std::net::TcpListener;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_replies_holds_a_task_for_a_limited_time() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = BucketAddress {
            endpoint: format!("http://{}", server.local_addr().unwrap()),
            region: "us-east-1".to_owned(),
            bucket: "media".to_owned(),
        };
        let keys = S3Credentials {
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let policy = "127.0.0.1/32".parse().unwrap();
        let destination = Destination {
            url: "s3://media/{task_id}.jpg".parse().unwrap(),
            credential: "media".parse().unwrap(),
        };
        let writer = DestinationWriter {
            bucket: storage::Destination::new(address, keys, outbound::Client::new(policy).unwrap()),
            begun: Instant::now(),
            bytes: AtomicU64::new(0),
            destination: &destination,
            values: DestinationValues {
                task: TaskId(1),
                date: "2026-01-01".to_owned(),
                source: "clip.mp4".to_owned(),
            },
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = writer
            .write_file("poster.jpg", "image/jpeg", file.path())
            .await
            .unwrap_err();
        assert_eq!(failure.code, Code::DestinationUnreachable, "{failure}");
        assert!(
            writer.begun.elapsed() <= GRACE + Duration::from_secs(1),
            "{:?}",
            writer.begun.elapsed()
        );
    }
}
