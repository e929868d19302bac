//! The write that ends an attempt.
//!
//! [`settle`] writes the [`Outcome`] of an attempt into its row, in one transaction and only while the claim holds. It
//! retries for [`OUTAGE_TIMEOUT`] when the database is away; after that the lease expires, and the sweeper returns the
//! task. Files that were stored and that the row does not name are removed. When it is unknown if the row names them,
//! they stay: the trash list removes them later unless a row names them.

use super::outcome::{Outcome, Rendered};
use super::store;
use crate::database::{OUTAGE_TIMEOUT, QUERY_TIMEOUT};
use crate::env::Env;
use domain::{Failure, FailureClass};
use entity::task::{Claimed, EARLIER_ATTEMPT, Model, append_processed};
use entity::{DatabaseTransaction, DbErr, cost, with_timeout};
use std::time::{Duration, Instant};

/// First pause before a retry; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Time for which a postponed task keeps its slot of the worker.
const POSTPONED_PAUSE: Duration = Duration::from_secs(2);

/// Writes the outcome of an attempt, publishes and logs it, and removes files that no row names.
pub(crate) async fn settle(env: &Env, task: &Claimed, outcome: Outcome, duration: Duration) {
    let claim = task.claim();
    let started = Instant::now();
    let mut pause = RETRY_PAUSE;
    let was_held = loop {
        match write(env, task, &outcome).await {
            Ok(was_held) => break was_held,
            Err(error) if started.elapsed() > OUTAGE_TIMEOUT => {
                return tracing::error!(%error, "failed to write the outcome; the sweeper will return the task");
            }
            Err(error) => tracing::warn!(%error, "failed to write the outcome; retrying"),
        }
        tokio::time::sleep(pause).await;
        pause = RETRY_PAUSE_MAX.min(pause * 2);
    };
    log(&outcome, was_held, duration);
    // Also when the claim was lost: an earlier try may have been committed without an acknowledgment.
    env.queue.publish_update(task.owner(), task.task_id());
    if was_held && matches!(&outcome, Outcome::Failed(failure, _) if failure.class() == FailureClass::Postponed) {
        // The next task would fail for the same lack of resources, so the slot stays taken for a moment.
        tokio::time::sleep(POSTPONED_PAUSE).await;
    }
    if !was_held || !matches!(outcome, Outcome::Rendered(_) | Outcome::Reused(_)) {
        store::discard(env, claim).await;
    }
}

/// Writes the outcome. `false` when the claim was lost before.
async fn write(env: &Env, task: &Claimed, outcome: &Outcome) -> Result<bool, DbErr> {
    let claim = task.claim();
    let write = async {
        match outcome {
            Outcome::Rendered(rendered) => {
                let Rendered { result, cost } = rendered.as_ref();
                let succeed = async |db: &DatabaseTransaction| {
                    let was_held = claim.succeed(db, result.clone()).await?;
                    if let (true, Some(cost)) = (was_held, cost) {
                        cost::record(db, &cost.class, &cost.sample).await?;
                    }
                    if was_held {
                        append_processed(db, task).await?;
                    }
                    // An earlier try may have been committed although its acknowledgment was lost.
                    Ok(was_held || claim.has_succeeded(db).await?)
                };
                entity::write(&env.db, succeed).await
            }
            Outcome::Failed(failure, report) => {
                let retry = retry_after(task, failure.class());
                if let (FailureClass::Postponed, Some(delay)) = (failure.class(), retry) {
                    return claim.release(&env.db, delay).await;
                }
                let failure = with_earlier_failures(task, failure);
                entity::write(&env.db, async |db| claim.fail(db, &failure, retry, report).await).await
            }
            Outcome::Reused(_) => Ok(true),
            Outcome::Lost => Ok(false),
            Outcome::Released => claim.release(&env.db, Duration::ZERO).await,
        }
    };
    with_timeout(QUERY_TIMEOUT, write).await
}

/// Delay of the next attempt; `None` when this was the last one.
fn retry_after(task: &Model, class: FailureClass) -> Option<Duration> {
    let failures = u32::try_from(task.failures).unwrap_or(u32::MAX).saturating_add(1);
    // Derived from task and attempt: tasks that failed at the same time are not retried at the same time.
    let jitter = (task.id.unsigned_abs() * 7_919 + task.attempt.unsigned_abs() as u64 * 104_729) % 1_001;
    class.retry_after(failures, u16::try_from(jitter).unwrap_or_default())
}

/// Appends the failures of earlier attempts with other codes to the detail. Without them, a failure of storage or
/// database in the last attempt would hide a problem of the source.
fn with_earlier_failures(task: &Model, failure: &Failure) -> Failure {
    let mut failure = failure.clone();
    let Some(code) = &task.error_code else { return failure };
    let detail = task.error_detail.as_deref().unwrap_or_default();
    if code != failure.code.as_str() {
        failure.detail = format!("{}{EARLIER_ATTEMPT}{code}: {detail}", failure.detail);
    } else if let Some((_, earlier)) = detail.split_once(EARLIER_ATTEMPT) {
        failure.detail = format!("{}{EARLIER_ATTEMPT}{earlier}", failure.detail);
    }
    failure
}

fn log(outcome: &Outcome, was_held: bool, duration: Duration) {
    let took_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Outcome::Rendered(_) if was_held => tracing::info!(took_ms, "processed"),
        Outcome::Rendered(_) => tracing::warn!(took_ms, "rendered, but the claim was lost; the outputs are discarded"),
        Outcome::Reused(earlier) => {
            tracing::info!(took_ms, earlier = earlier.0, "reused the outputs of an earlier task");
        }
        Outcome::Failed(failure, _) if !was_held => {
            tracing::info!(
                took_ms,
                detail = failure.detail,
                "failed, but the claim was lost or the task removed"
            );
        }
        Outcome::Failed(failure, _) if failure.class() == FailureClass::Postponed => {
            metrics::counter!("rushes_tasks_postponed_total").increment(1);
            tracing::warn!(took_ms, detail = failure.detail, "postponed: out of resources");
        }
        Outcome::Failed(failure, _) => {
            metrics::counter!("rushes_task_failures_total", "code" => failure.code.as_str()).increment(1);
            tracing::warn!(took_ms, code = failure.code.as_str(), detail = failure.detail, "failed");
        }
        Outcome::Lost => tracing::info!(took_ms, "stopped, because the claim was lost"),
        Outcome::Released => tracing::info!(took_ms, "released for another worker"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{claimed, env};
    use super::*;
    use domain::{Code, TaskReport};
    use entity::task::Claim;
    use entity::trace::AttemptRecord;
    use entity::{output, task};
    use std::path::Path;
    use storage::{FileName, Key};

    fn rendered(key: &Key) -> Outcome {
        let output = output::New {
            name: "video.mp4".to_owned(),
            kind: "mp4",
            media_type: "video/mp4",
            key: key.to_string(),
            bytes: 4,
            sha256: "cd".repeat(32),
            width_px: None,
            height_px: None,
            duration_ms: None,
            entry: None,
        };
        let result = task::AttemptResult {
            outputs: vec![output],
            record: AttemptRecord {
                report: TaskReport::default(),
                plan: None,
            },
            fingerprint: "f".to_owned(),
        };
        Outcome::Rendered(Box::new(Rendered { result, cost: None }))
    }

    /// Stores a file as an output of the attempt.
    async fn store_output(env: &Env, claim: Claim, home: &Path) -> Key {
        let key = Key::output(claim.task(), claim.attempt(), &FileName::parse("video.mp4").unwrap());
        let file = home.join("output");
        std::fs::write(&file, "data").unwrap();
        env.storage.put_file(&key, &file).await.unwrap();
        key
    }

    #[tokio::test]
    async fn an_outcome_that_is_written_twice_keeps_its_files() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path()).await;
        let task = claimed(&env).await;
        let key = store_output(&env, task.claim(), home.path()).await;
        let exists = async || env.storage.head(&key).await.unwrap().is_some();
        for _ in 0..2 {
            settle(&env, &task, rendered(&key), Duration::ZERO).await;
            assert!(exists().await);
        }
        let outputs = output::of_task(&env.db, task.id).await.unwrap();
        assert_eq!(outputs.len(), 1, "the row of the output exists once");
    }

    #[tokio::test]
    async fn the_files_of_an_attempt_that_lost_its_claim_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path()).await;
        let task = claimed(&env).await;
        let key = store_output(&env, task.claim(), home.path()).await;
        entity::write(&env.db, async |db| task::cancel(db, task.owner(), task.task_id()).await)
            .await
            .unwrap();
        settle(&env, &task, rendered(&key), Duration::ZERO).await;
        assert!(env.storage.head(&key).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_later_failure_of_storage_does_not_hide_a_crash_of_the_media_child() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path()).await;
        let first = claimed(&env).await;
        let crash = (Code::MediaCrash, "it crashed");
        let store = (Code::Internal, "storage is away");
        let full = (Code::StorageFull, "no space");
        for (failures, code, detail) in [
            (
                [crash, store, store, store].as_slice(),
                Code::Internal,
                "storage is away; an earlier attempt: media_crash: it crashed",
            ),
            (
                &[store, crash],
                Code::MediaCrash,
                "it crashed; an earlier attempt: internal: storage is away",
            ),
            (
                &[crash, full, store],
                Code::Internal,
                "storage is away; an earlier attempt: storage_full: no space; an earlier attempt: media_crash: it crashed",
            ),
            (&[store, store], Code::Internal, "storage is away"),
        ] {
            let mut task = (*first).clone();
            for (code, detail) in failures {
                let failure = Failure::new(*code, *detail);
                let failure = with_earlier_failures(&task, &failure);
                (task.error_code, task.error_detail) = (Some(failure.code.as_str().to_owned()), Some(failure.detail));
            }
            assert_eq!(
                (task.error_code.as_deref(), task.error_detail.as_deref()),
                (Some(code.as_str()), Some(detail)),
                "{failures:?}"
            );
        }
    }
}
