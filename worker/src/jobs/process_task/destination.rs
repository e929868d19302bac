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
use std::time::Duration;
use storage::{BucketAddress, DestinationError, DestinationFile, S3Credentials, Stored};

/// Number of tries to write a file. Each has further tries of single requests.
const TRIES: u32 = 3;
/// First pause between two tries; each further one is three times as long.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Number of files of a set that are written at the same time.
const CONCURRENT_FILES: usize = 4;

/// The bucket of a task, and the keys of its files.
pub(super) struct DestinationWriter<'a> {
    bucket: storage::Destination,
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
        let secret_access_key = secret_access_key.map_err(|error| internal(&format!("{error:?}")))?;
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
            destination,
            values: DestinationValues {
                task: task.task_id(),
                date: task.timestamp.format("%Y-%m-%d").to_string(),
                source: task.display_name.clone(),
            },
        })
    }

    /// Writes all outputs of a plan from the scratch directory.
    pub(super) async fn write(&self, plan: &Plan, directory: &Path) -> Result<Vec<WrittenOutput>, Failure> {
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

    /// Writes one file, with retries, because rendering it again costs far more.
    async fn write_file(&self, name: &str, media_type: &str, local: &Path) -> Result<Stored, Failure> {
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
