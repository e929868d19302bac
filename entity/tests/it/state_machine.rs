//! The state machine of a task.

use crate::seed::{an_output, claim_next, claimed, database, event_types, made, new_task, succeed};
use domain::{ClaimPolicy, Code, Failure, Status, TaskId, UserId, WorkerId};
use entity::task::{self, TaskStatus};
use entity::trace::AttemptRecord;
use entity::{DatabaseConnection, output, trash};
use sea_orm::ConnectionTrait;
use std::time::Duration;

async fn status(db: &DatabaseConnection, id: TaskId) -> Status {
    task::by_id(db, id).await.unwrap().unwrap().status.into()
}

async fn expire_lease(db: &DatabaseConnection) {
    db.execute_unprepared("UPDATE tasks SET lease_until_ms = 1 WHERE status = 'processing'")
        .await
        .unwrap();
}

async fn make_due(db: &DatabaseConnection) {
    db.execute_unprepared("UPDATE tasks SET run_at_ms = 0").await.unwrap();
}

async fn cancel(db: &DatabaseConnection, user: UserId, id: TaskId) -> Option<task::Model> {
    let canceled = entity::write(db, async |db| task::cancel(db, user, id).await);
    canceled.await.unwrap()
}

async fn sweep(db: &DatabaseConnection) -> task::Swept {
    entity::write(db, async |db| task::sweep(db).await).await.unwrap()
}

#[tokio::test]
async fn a_task_is_claimed_by_one_worker_only() {
    let (db, _directory) = database("claimed").await;
    let id = new_task(&db).await.task_id();
    let claims = (0..8).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { claim_next(&db).await })
    });
    let claims = futures::future::join_all(claims).await;
    let claims: Vec<_> = claims.into_iter().filter_map(|claim| claim.unwrap()).collect();
    assert_eq!(
        claims.iter().map(|task| task.attempt).collect::<Vec<_>>(),
        [1],
        "one of eight"
    );
    assert_eq!(status(&db, id).await, Status::Processing);
}

#[tokio::test]
async fn outputs_are_published_once_together_with_the_status_processed() {
    let (db, _directory) = database("once").await;
    let task = new_task(&db).await;
    assert!(task.file_path.ends_with(&format!("/{}_d_a_1.mov", task.id)));
    let claim = claimed(&db, task.task_id()).await.claim();
    trash::add_keys(&db, &["outputs/1/1/video.mp4".to_owned()], Duration::ZERO)
        .await
        .unwrap();
    let complete = async || {
        let outputs = vec![an_output("outputs/1/1/video.mp4")];
        succeed(&db, claim, outputs).await
    };
    assert!(complete().await);
    assert!(!complete().await, "the claim has ended");
    assert_eq!(output::of_task(&db, task.id).await.unwrap().len(), 1);
    assert_eq!(trash::due(&db, 9).await.unwrap(), Vec::<String>::new());
    assert_eq!(event_types(&db, task.id).await, ["task.created", "task.processed"]);
}

#[tokio::test]
async fn a_worker_whose_lease_expired_cannot_write() {
    let (db, _directory) = database("late").await;
    let id = new_task(&db).await.task_id();
    let stalled = claimed(&db, id).await.claim();
    expire_lease(&db).await;
    let swept = sweep(&db).await;
    assert_eq!((swept.returned.len(), swept.failed.len()), (1, 0));
    let second = claimed(&db, id).await.claim();
    assert_eq!(second.attempt(), 2);
    assert!(!stalled.renew(&db, None).await.unwrap());
    assert!(
        !entity::write(&db, async |db| stalled.succeed(db, made(vec![an_output("k")])).await)
            .await
            .unwrap()
    );
    let failure = Failure::new(Code::NotMedia, "x");
    assert!(
        !entity::write(&db, async |db| stalled
            .fail(db, &failure, None, &AttemptRecord::default())
            .await)
        .await
        .unwrap()
    );
    assert!(!stalled.release(&db, Duration::ZERO).await.unwrap());
    assert!(
        second
            .renew(&db, Some(serde_json::json!({"percent": 3})))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn the_third_lost_worker_ends_the_task_as_failed() {
    let (db, _directory) = database("vanish").await;
    let id = new_task(&db).await.task_id();
    for expected in [Status::Uploaded, Status::Uploaded, Status::Failed] {
        claimed(&db, id).await;
        expire_lease(&db).await;
        sweep(&db).await;
        assert_eq!(status(&db, id).await, expected);
    }
    let task = task::by_id(&db, id).await.unwrap().unwrap();
    assert_eq!((task::error_code(&task), task.failures), (Some(Code::WorkerCrash), 3));
    assert!(claim_next(&db).await.is_none(), "a final status never changes");
}

#[tokio::test]
async fn a_lost_worker_does_not_hide_the_failure_of_an_earlier_attempt() {
    let (db, _directory) = database("earlier").await;
    let id = new_task(&db).await.task_id();
    let detail = async || {
        let task = task::by_id(&db, id).await.unwrap().unwrap();
        (task.error_code.unwrap(), task.error_detail.unwrap())
    };
    let claim = claimed(&db, id).await.claim();
    let crash = Failure::new(Code::MediaCrash, "the media child crashed");
    let record = AttemptRecord::default();
    let failed = entity::write(&db, async |db| {
        claim.fail(db, &crash, Some(Duration::ZERO), &record).await
    });
    assert!(failed.await.unwrap());
    let lost =
        "the worker stopped without reporting a result; an earlier attempt: media_crash: the media child crashed";
    for _ in 0..2 {
        make_due(&db).await;
        claimed(&db, id).await;
        expire_lease(&db).await;
        sweep(&db).await;
        assert_eq!(detail().await, ("worker_crash".to_owned(), lost.to_owned()));
    }
}

#[tokio::test]
async fn a_retry_is_delayed_and_a_release_counts_no_failure() {
    let (db, _directory) = database("retry").await;
    let id = new_task(&db).await.task_id();
    let claim = claimed(&db, id).await.claim();
    assert!(claim.release(&db, Duration::from_secs(60)).await.unwrap());
    assert!(claim_next(&db).await.is_none(), "not due yet");
    make_due(&db).await;
    let claim = claimed(&db, id).await.claim();
    let failure = Failure::new(Code::StorageFailed, "bucket away");
    let later = Some(Duration::from_secs(60));
    let failed = entity::write(&db, async |db| {
        claim.fail(db, &failure, later, &AttemptRecord::default()).await
    });
    assert!(failed.await.unwrap());
    let row = task::by_id(&db, id).await.unwrap().unwrap();
    assert_eq!((row.status, row.failures, row.attempt), (TaskStatus::Uploaded, 1, 2));
    assert!(claim_next(&db).await.is_none(), "not due yet");
}

#[tokio::test]
async fn a_canceled_task_is_not_retried() {
    let (db, _directory) = database("canceled").await;
    let task = new_task(&db).await;
    let claim = claimed(&db, task.task_id()).await.claim();
    assert!(
        cancel(&db, UserId(-1), task.task_id()).await.is_none(),
        "the task of another account"
    );
    assert!(cancel(&db, task.owner(), task.task_id()).await.is_some());
    assert!(
        !claim.renew(&db, None).await.unwrap(),
        "the worker learns of it with its next renewal"
    );
    expire_lease(&db).await;
    assert_eq!(sweep(&db).await, task::Swept::default());
    assert!(
        cancel(&db, task.owner(), task.task_id()).await.is_none(),
        "already final"
    );
    assert_eq!(status(&db, task.task_id()).await, Status::Canceled);
}

#[tokio::test]
async fn a_restarted_process_reclaims_the_tasks_of_its_predecessor() {
    let (db, _directory) = database("restarted").await;
    let (lost, kept) = (new_task(&db).await, new_task(&db).await);
    let policy = ClaimPolicy::default();
    let (dead, alive) = (WorkerId("dead".to_owned()), WorkerId("alive".to_owned()));
    let first = task::claim_next(&db, policy, &dead).await.unwrap().unwrap();
    let second = task::claim_next(&db, policy, &alive).await.unwrap().unwrap();
    assert_eq!((first.id, second.id), (lost.id, kept.id));
    let reclaimed = entity::write(&db, async |db| task::return_tasks_of(db, &[dead]).await)
        .await
        .unwrap();
    assert_eq!((reclaimed.returned.len(), reclaimed.failed.len()), (1, 0));
    assert_eq!(status(&db, kept.task_id()).await, Status::Processing);
    let again = task::claim_next(&db, policy, &alive).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempt, again.failures), (lost.id, 2, 1));
}

#[tokio::test]
async fn a_claim_whose_reply_was_lost_is_released_without_a_failure() {
    let (db, _directory) = database("lost_reply").await;
    let (known, lost, others) = (new_task(&db).await, new_task(&db).await, new_task(&db).await);
    let (policy, worker) = (ClaimPolicy::default(), WorkerId("this".to_owned()));
    let held = task::claim_next(&db, policy, &worker).await.unwrap().unwrap().claim();
    task::claim_next(&db, policy, &worker).await.unwrap().unwrap();
    let other = WorkerId("other".to_owned());
    task::claim_next(&db, policy, &other).await.unwrap().unwrap();
    assert_eq!(task::release_unknown(&db, &worker, &[held]).await.unwrap(), 1);
    assert_eq!(status(&db, known.task_id()).await, Status::Processing);
    assert_eq!(status(&db, others.task_id()).await, Status::Processing);
    let back = task::by_id(&db, lost.task_id()).await.unwrap().unwrap();
    assert_eq!((back.status, back.failures), (TaskStatus::Uploaded, 0));
}
