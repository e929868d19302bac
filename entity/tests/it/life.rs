//! The state machine of a task as stories.

use crate::seed::{an_output, database, made, new_task};
use domain::{Code, Failure, FailureKind, Status, TaskId};
use entity::task::{self, Claim, Model, TaskStatus};
use entity::trace::Findings;
use entity::{DatabaseConnection, event, output, trash};
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

#[tokio::test]
async fn a_task_is_claimed_by_one_worker_only() {
    let (db, _directory) = database("claimed").await;
    let id = new_task(&db).await.task_id();
    let claims = claims_of(&db, id, 8).await;
    assert_eq!(claims.iter().flatten().count(), 1, "one of eight");
    assert_eq!(claims.into_iter().flatten().next().unwrap().attempt, 1);
    assert_eq!(status(&db, id).await, Status::Processing);
}

async fn claims_of(db: &DatabaseConnection, id: TaskId, count: usize) -> Vec<Option<Model>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { task::claim(&db, id).await.unwrap() })
        })
        .collect();
    let mut claims = Vec::new();
    for task in tasks {
        claims.push(task.await.unwrap());
    }
    claims
}

#[tokio::test]
async fn outputs_become_visible_with_processed_and_once() {
    let (db, _directory) = database("once").await;
    let task = new_task(&db).await;
    assert!(task.file_path.ends_with(&format!("/{}_d_a_1.mov", task.id)));
    let claim = Claim::of(&task::claim(&db, task.task_id()).await.unwrap().unwrap());
    trash::put(&db, &["outputs/1/1/video.mp4".to_owned()], Duration::ZERO)
        .await
        .unwrap();
    let settle = async || {
        let outputs = vec![an_output("outputs/1/1/video.mp4")];
        entity::write(&db, async |db| claim.succeed(db, made(outputs)).await)
            .await
            .unwrap()
    };
    assert!(settle().await);
    assert!(!settle().await, "a second settle finds no claim");
    assert_eq!(output::of_task(&db, task.id).await.unwrap().len(), 1);
    assert_eq!(trash::due(&db, 9).await.unwrap(), Vec::<String>::new());
    let kinds: Vec<_> = event::of_task(&db, task.task_id())
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.kind)
        .collect();
    assert_eq!(kinds, ["uploaded", "processed"]);
}

#[tokio::test]
async fn a_worker_that_wakes_up_late_cannot_write() {
    let (db, _directory) = database("late").await;
    let id = new_task(&db).await.task_id();
    let frozen = Claim::of(&task::claim(&db, id).await.unwrap().unwrap());
    expire_lease(&db).await;
    let swept = task::sweep(&db).await.unwrap();
    assert_eq!((swept.returned, swept.given_up), (1, 0));
    let second = Claim::of(&task::claim(&db, id).await.unwrap().unwrap());
    assert_eq!(second.attempt, 2);
    assert!(!frozen.beat(&db, None).await.unwrap());
    assert!(!frozen.succeed(&db, made(vec![an_output("k")])).await.unwrap());
    let failure = Failure::input(Code::NotMedia, "x");
    assert!(!frozen.fail(&db, &failure, None, &Findings::default()).await.unwrap());
    assert!(!frozen.release(&db).await.unwrap());
    assert!(second.beat(&db, Some(serde_json::json!({"percent": 3}))).await.unwrap());
}

#[tokio::test]
async fn a_worker_that_vanishes_three_times_ends_the_task() {
    let (db, _directory) = database("vanish").await;
    let id = new_task(&db).await.task_id();
    for expected in [Status::Uploaded, Status::Uploaded, Status::Failed] {
        task::claim(&db, id).await.unwrap().unwrap();
        expire_lease(&db).await;
        task::sweep(&db).await.unwrap();
        assert_eq!(status(&db, id).await, expected);
    }
    let task = task::by_id(&db, id).await.unwrap().unwrap();
    assert_eq!((task::error_code(&task), task.failures), (Some(Code::WorkerCrash), 3));
    assert!(
        task::claim(&db, id).await.unwrap().is_none(),
        "final states never leave"
    );
}

#[tokio::test]
async fn a_retry_waits_and_a_release_counts_no_failure() {
    let (db, _directory) = database("retry").await;
    let id = new_task(&db).await.task_id();
    let claim = Claim::of(&task::claim(&db, id).await.unwrap().unwrap());
    assert!(claim.release(&db).await.unwrap());
    let claim = Claim::of(&task::claim(&db, id).await.unwrap().unwrap());
    let failure = Failure::new(FailureKind::Infrastructure, Code::StorageFailed, "bucket away");
    assert!(
        claim
            .fail(&db, &failure, Some(Duration::from_secs(60)), &Findings::default())
            .await
            .unwrap()
    );
    let row = task::by_id(&db, id).await.unwrap().unwrap();
    assert_eq!((row.status, row.failures, row.attempt), (TaskStatus::Uploaded, 1, 2));
    assert!(task::claim(&db, id).await.unwrap().is_none(), "not due yet");
    assert!(task::due(&db, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_canceled_task_is_not_retried() {
    let (db, _directory) = database("canceled").await;
    let task = new_task(&db).await;
    let claim = Claim::of(&task::claim(&db, task.task_id()).await.unwrap().unwrap());
    assert!(
        task::cancel(&db, domain::UserId(-1), task.task_id())
            .await
            .unwrap()
            .is_none(),
        "somebody else's"
    );
    assert!(task::cancel(&db, task.owner(), task.task_id()).await.unwrap().is_some());
    assert!(
        !claim.beat(&db, None).await.unwrap(),
        "the worker learns it with its next beat"
    );
    expire_lease(&db).await;
    assert_eq!(task::sweep(&db).await.unwrap(), task::Swept::default());
    assert!(
        task::cancel(&db, task.owner(), task.task_id()).await.unwrap().is_none(),
        "already final"
    );
    assert_eq!(status(&db, task.task_id()).await, Status::Canceled);
}

#[tokio::test]
async fn a_ring_is_repeated_only_when_it_was_lost() {
    let (db, _directory) = database("ring").await;
    let (first, second) = (new_task(&db).await.task_id(), new_task(&db).await.task_id());
    assert_eq!(task::due(&db, 9).await.unwrap(), [first, second]);
    task::mark_rung(&db, &[first]).await.unwrap();
    assert_eq!(task::due(&db, 9).await.unwrap(), [second]);
    db.execute_unprepared("UPDATE tasks SET rung_at_ms = rung_at_ms - 61000")
        .await
        .unwrap();
    assert_eq!(task::due(&db, 1).await.unwrap(), [first]);
}
