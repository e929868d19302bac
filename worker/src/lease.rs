//! Owning a task: beats while the work goes on, and the one write at its end.

use crate::process_task::Done;
use crate::{Env, store};
use domain::protocol::Progress;
use domain::{Failure, FailureKind, TaskId};
use entity::task::{Claim, LEASE, Model};
use entity::trace::Findings;
use entity::{DatabaseConnection, DatabaseTransaction, DbErr, cost, in_time};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How an attempt ended.
pub(crate) enum Ended {
    /// Every output is verified and stored.
    Done(Box<Done>),
    /// An earlier task had made the same; the row says so already.
    Reused(TaskId),
    /// It did not work out; what is known of it.
    Failed(Failure, Findings),
    /// It was canceled, or the lease ran out: the row belongs to somebody else.
    Lost,
    /// The worker shuts down.
    Released,
}

/// A row write a second at most while the work moves; at least every second one, so that a cancel is seen.
const TICK: Duration = Duration::from_secs(1);
const SILENT_TICKS: u32 = 2;

/// How long a query may take before it is given up and asked again; several fit into a lease.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Renews the lease and shows progress; returns when the claim is lost. A database that is away is waited for as long
/// as the lease can still be ours.
pub(crate) async fn hold(db: &DatabaseConnection, claim: Claim, mut progress: watch::Receiver<Progress>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut held_at, mut silent) = (Instant::now(), 0);
    loop {
        ticks.tick().await;
        silent += 1;
        let moved = progress.has_changed().unwrap_or(false);
        if !moved && silent < SILENT_TICKS {
            continue;
        }
        silent = 0;
        let shown = moved
            .then(|| serde_json::to_value(&*progress.borrow_and_update()).ok())
            .flatten();
        let begun = Instant::now();
        match in_time(ANSWER_WITHIN, claim.beat(db, shown)).await {
            Ok(true) => held_at = begun,
            Ok(false) => return tracing::info!("the claim is gone: canceled, removed, or taken over"),
            Err(error) if held_at.elapsed() > LEASE => {
                return tracing::warn!(%error, "the lease ran out while the database was away");
            }
            Err(error) => tracing::warn!(%error, "failed to renew the lease"),
        }
    }
}

/// How long a worker claims nothing in place of a task that could not be tried.
const SHORTAGE: Duration = Duration::from_secs(2);

/// How long a finished attempt waits for a database that is away.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Writes the end of an attempt. What was stored and is not named is removed; where nobody knows whether it is named, the
/// trash list does.
pub(crate) async fn settle(env: &Env, task: &Model, ended: Ended, took: Duration) {
    let claim = Claim::of(task);
    let begun = Instant::now();
    let mut pause = Duration::from_millis(200);
    let held = loop {
        match write(env, task, &ended).await {
            Ok(held) => break held,
            Err(error) if begun.elapsed() > PATIENCE => {
                return tracing::error!(%error, "gave up settling; the sweeper will find the task");
            }
            Err(error) => tracing::warn!(%error, "failed to settle, trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    };
    tell(&ended, held, took);
    if held && matches!(&ended, Ended::Failed(failure, _) if failure.kind == FailureKind::Postponed) {
        // The slot stays taken: each task that waits would only run into the same shortage.
        tokio::time::sleep(SHORTAGE).await;
    }
    if !held || !matches!(ended, Ended::Done(_) | Ended::Reused(_)) {
        store::discard(env, claim).await;
    }
}

async fn write(env: &Env, task: &Model, ended: &Ended) -> Result<bool, DbErr> {
    let claim = Claim::of(task);
    let written = async {
        match ended {
            Ended::Done(done) => {
                let Done { made, cost } = done.as_ref();
                let written = async |db: &DatabaseTransaction| {
                    let held = claim.succeed(db, made.clone()).await?;
                    if let (true, Some((class, sample))) = (held, cost) {
                        cost::record(db, class, sample).await?;
                    }
                    // A try before this one may have come through, and only its answer not.
                    Ok(held || claim.has_succeeded(db).await?)
                };
                entity::write(&env.db, written).await
            }
            Ended::Failed(failure, findings) => {
                let retry = retry_after(task, failure.kind);
                if let (FailureKind::Postponed, Some(delay)) = (failure.kind, retry) {
                    return claim.release(&env.db, delay).await;
                }
                let told = with_earlier_failures(task, failure);
                entity::write(&env.db, async |db| claim.fail(db, &told, retry, findings).await).await
            }
            Ended::Reused(_) => Ok(true),
            Ended::Lost => Ok(false),
            Ended::Released => claim.release(&env.db, Duration::ZERO).await,
        }
    };
    in_time(ANSWER_WITHIN, written).await
}

fn retry_after(task: &Model, kind: FailureKind) -> Option<Duration> {
    let failures = u32::try_from(task.failures).unwrap_or(u32::MAX).saturating_add(1);
    // Spread by id and attempt: neighbors that failed together do not come back together.
    let jitter = (task.id.unsigned_abs() * 7_919 + task.attempt.unsigned_abs() as u64 * 104_729) % 1_001;
    kind.retry_after(failures, u16::try_from(jitter).unwrap_or_default())
}

/// The failure of a try, with the earlier tries of the task that failed for another reason: trouble with storage or database must
/// not hide what is wrong with the source.
fn with_earlier_failures(task: &Model, failure: &Failure) -> Failure {
    const EARLIER: &str = "; an earlier try: ";
    let mut told = failure.clone();
    let Some(code) = &task.error_code else { return told };
    let detail = task.error_detail.as_deref().unwrap_or_default();
    if code != failure.code.as_str() {
        told.detail = format!("{}{EARLIER}{code}: {detail}", failure.detail);
    } else if let Some((_, before)) = detail.split_once(EARLIER) {
        told.detail = format!("{}{EARLIER}{before}", failure.detail);
    }
    told
}

fn tell(ended: &Ended, held: bool, took: Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match ended {
        Ended::Done(_) if held => tracing::info!(took_ms, "processed"),
        Ended::Done(_) => tracing::warn!(took_ms, "done, but the claim was lost; the work is discarded"),
        Ended::Reused(earlier) => tracing::info!(took_ms, earlier = earlier.0, "processed before"),
        Ended::Failed(failure, _) if !held => {
            tracing::info!(
                took_ms,
                detail = failure.detail,
                "failed, but the claim was lost or the task removed"
            );
        }
        Ended::Failed(failure, _) if failure.kind == FailureKind::Postponed => {
            tracing::warn!(took_ms, detail = failure.detail, "given back: it could not be tried");
        }
        Ended::Failed(failure, _) => {
            metrics::counter!("rushes_task_failures_total", "code" => failure.code.as_str()).increment(1);
            tracing::warn!(took_ms, code = failure.code.as_str(), detail = failure.detail, "failed");
        }
        Ended::Lost => tracing::info!(took_ms, "stopped"),
        Ended::Released => tracing::info!(took_ms, "given back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::ChildSettings;
    use crate::{Scratch, Settings};
    use domain::account::{Email, Username};
    use domain::protocol::{Depth, SandboxMode};
    use domain::{ClaimPolicy, Code, Limits};
    use entity::{output, source, task, user};
    use queue::Queue;
    use std::path::Path;
    use storage::{FileName, Key, Storage};

    async fn env(home: &Path) -> Env {
        let db = format!("sqlite://{}/test.db", home.display());
        let db = entity::connect(&db, 2).await.unwrap();
        migration::run(&db).await.unwrap();
        let files = format!("file://{}/objects", home.display());
        let settings = Settings {
            tasks: 1,
            threads: 1,
            limits: Limits::default(),
            sandbox: SandboxMode::BestEffort,
            depth: Depth::Fast,
            child_memory_bytes: 1 << 30,
            child: ChildSettings::new("/bin/false".into()),
            grace: Duration::ZERO,
        };
        Env::new(
            db,
            Storage::open(&files, None).await.unwrap(),
            Queue::in_memory(),
            Scratch::open(&home.join("scratch")).unwrap(),
            settings,
        )
    }

    /// A task that is worked on, for the first time.
    async fn claimed(env: &Env) -> Model {
        let (name, email) = (
            Username::parse("ana").unwrap(),
            Email::parse("ana@example.com").unwrap(),
        );
        let made = entity::write(&env.db, async |db| {
            let owner = user::create(db, &name, &email, "hash".to_owned()).await?;
            let source = source::New {
                key: "sources/1".to_owned(),
                bytes: 1,
                sha256: "ab".repeat(32),
            };
            let source = source::create(db, owner.user_id(), source).await?;
            let new = task::New {
                source_id: source.id,
                display_name: "a.mp4".to_owned(),
                safe_name: "a.mp4".to_owned(),
                preset: None,
                recipe: serde_json::json!({"outputs": [{"kind": "mp4"}]}),
            };
            task::create(db, owner.user_id(), new).await
        });
        made.await.unwrap();
        let next = task::claim_next(&env.db, ClaimPolicy::default(), env.scratch.worker());
        next.await.unwrap().unwrap()
    }

    fn done(key: &Key) -> Ended {
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
        let made = task::Made {
            outputs: vec![output],
            findings: Findings {
                report: serde_json::Value::Null,
                plan: None,
            },
            fingerprint: "f".to_owned(),
        };
        Ended::Done(Box::new(Done { made, cost: None }))
    }

    async fn stored(env: &Env, claim: Claim, home: &Path) -> Key {
        let key = Key::output(claim.task, claim.attempt, &FileName::parse("video.mp4").unwrap());
        let file = home.join("made");
        std::fs::write(&file, "film").unwrap();
        env.storage.adopt(&key, &file).await.unwrap();
        key
    }

    #[tokio::test]
    async fn an_end_that_is_written_twice_because_its_answer_got_lost_keeps_its_files() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path()).await;
        let task = claimed(&env).await;
        let key = stored(&env, Claim::of(&task), home.path()).await;
        let there = async || env.storage.head(&key).await.unwrap().is_some();
        for _ in 0..2 {
            settle(&env, &task, done(&key), Duration::ZERO).await;
            assert!(there().await);
        }
        let outputs = output::of_task(&env.db, task.id).await.unwrap();
        assert_eq!(outputs.len(), 1, "named once");
    }

    #[tokio::test]
    async fn the_files_of_an_attempt_that_lost_its_claim_go() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path()).await;
        let task = claimed(&env).await;
        let key = stored(&env, Claim::of(&task), home.path()).await;
        entity::write(&env.db, async |db| task::cancel(db, task.owner(), task.task_id()).await)
            .await
            .unwrap();
        settle(&env, &task, done(&key), Duration::ZERO).await;
        assert!(env.storage.head(&key).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn trouble_with_the_store_does_not_hide_that_the_source_ended_its_child() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path()).await;
        let first = claimed(&env).await;
        let crash = (Code::MediaCrash, "signal 11");
        let store = (Code::Internal, "the storage is away");
        let full = (Code::StorageFull, "no room");
        for (reasons, code, detail) in [
            (
                [crash, store, store, store].as_slice(),
                Code::Internal,
                "the storage is away; an earlier try: media_crash: signal 11",
            ),
            (
                &[store, crash],
                Code::MediaCrash,
                "signal 11; an earlier try: internal: the storage is away",
            ),
            (
                &[crash, full, store],
                Code::Internal,
                "the storage is away; an earlier try: storage_full: no room; an earlier try: media_crash: signal 11",
            ),
            (&[store, store], Code::Internal, "the storage is away"),
        ] {
            let mut task = first.clone();
            for (code, detail) in reasons {
                let failure = Failure::new(FailureKind::Infrastructure, *code, *detail);
                let told = with_earlier_failures(&task, &failure);
                (task.error_code, task.error_detail) = (Some(told.code.as_str().to_owned()), Some(told.detail));
            }
            assert_eq!(
                (task.error_code.as_deref(), task.error_detail.as_deref()),
                (Some(code.as_str()), Some(detail)),
                "{reasons:?}"
            );
        }
    }
}
