//! One step of a worker on an import.

use super::due::{DueImport, Failure, Progress, caught};
use super::{apply, ending, lookup, stage};
use crate::lookups::Lookups;
use crate::{Error, Refusal};
use domain::Code;
use entity::import::Status;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause while an import only waits for files that are being fetched.
const WAIT_PAUSE: Duration = Duration::from_secs(1);
/// First pause after a step that failed for a reason that may pass; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// Steps that failed in a row after which the import fails. They take more than an hour.
const MAX_FAILURES: i32 = 20;

impl DueImport {
    /// Reads the file, or looks up some rows and lets some have their effect; then releases the import. `stop` ends it
    /// early.
    ///
    /// # Errors
    /// Errors of the database after which the step is not recorded. The import is due again when its lease has ended.
    pub async fn step(self, lookups: Option<&Lookups>, stop: &CancellationToken) -> Result<(), Error> {
        let id = self.import.id;
        let (pause, failures) = match caught(Box::pin(self.work(lookups, stop))).await {
            Ok(Progress::Some) => (Duration::ZERO, 0),
            Ok(Progress::Waits) => (WAIT_PAUSE, 0),
            Err(Failure::Lost | Failure::Stopped) => (Duration::ZERO, self.import.failures),
            Err(Failure::File(refusal)) => return self.fail(refusal).await,
            Err(Failure::Ours(error)) if self.import.failures >= MAX_FAILURES => {
                tracing::error!(import = id, ?error, "a step of an import failed");
                return self.fail(Refusal::new(Code::Internal)).await;
            }
            Err(Failure::Ours(error)) => {
                let failures = self.import.failures.saturating_add(1);
                tracing::warn!(
                    import = id,
                    ?error,
                    failures,
                    "a step of an import failed; retrying later"
                );
                let doubled = PAUSE * 2_u32.saturating_pow(failures.unsigned_abs() - 1);
                (doubled.min(PAUSE_MAX), failures)
            }
        };
        let released = self.lease.release(&self.app.db, pause, failures);
        Ok(self.app.with_timeout(released).await?)
    }

    /// Ends the import with an error.
    async fn fail(&self, refusal: Refusal) -> Result<(), Error> {
        let (code, detail) = (refusal.code.as_str(), refusal.detail.unwrap_or_default());
        tracing::info!(import = self.import.id, code, "an import failed");
        let failed = entity::write(&self.app.db, async |db| {
            if self.lease.fail(db, code, &detail).await? {
                ending::append_event(db, self.import.id).await?;
            }
            Ok::<_, Error>(())
        });
        self.app.with_timeout(failed).await
    }

    async fn work(&self, lookups: Option<&Lookups>, stop: &CancellationToken) -> Result<Progress, Failure> {
        if !self.import.is_staged && self.import.status != Status::Canceled {
            stage::run(&self.app, self, stop).await?;
            return Ok(Progress::Some);
        }
        let looked_up = lookup::run(&self.app, self, lookups, stop).await?;
        let progress = apply::run(&self.app, self, looked_up.up_to, stop).await?;
        let finished = entity::write(&self.app.db, async |db| {
            let has_ended = self.lease.finish(db).await?;
            if has_ended && !self.import.is_dry_run {
                entity::dataset::publish(db, self.import.id).await?;
            }
            if has_ended {
                ending::append_event(db, self.import.id).await?;
            }
            Ok::<_, Error>(has_ended)
        });
        if self.app.with_timeout(finished).await? {
            tracing::info!(import = self.import.id, "an import has ended");
        }
        Ok(if looked_up.has_more { Progress::Some } else { progress })
    }
}
