//! The state machine as stories, on SQLite and, where `TEST_DATABASE_URL` names one, on Postgres.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use domain::account::{Email, Username};
use domain::{Code, Failure, FailureKind, Status, TaskId};
use entity::task::{self, Claim, Model, TaskStatus};
use entity::trace::Findings;
use entity::{DatabaseConnection, Json, cost, event, output, source, trace, trash, user};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::json;
use std::time::Duration;

/// A database of its own for one test, and the directory it lives in.
#[allow(clippy::disallowed_methods, reason = "tests are told their database by ./test")]
async fn database(name: &str) -> (DatabaseConnection, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = match std::env::var("TEST_DATABASE_URL") {
        Ok(server) => fresh_postgres(&server, name).await,
        Err(_) => format!("sqlite://{}/test.db", directory.path().display()),
    };
    let connection = entity::connect(&url, 4).await.unwrap();
    migration::run(&connection).await.unwrap();
    (connection, directory)
}

/// A database named after the test and this process, on the given server.
async fn fresh_postgres(server: &str, name: &str) -> String {
    let admin = entity::connect(server, 1).await.unwrap();
    let name = format!("entity_{name}_{}", std::process::id());
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

async fn new_task(db: &DatabaseConnection) -> Model {
    let name = Username::parse(&format!("ana{}", rand_suffix())).unwrap();
    let email = Email::parse(&format!("{}@example.com", name.as_str())).unwrap();
    let owner = user::create(db, &name, &email, "hash".to_owned())
        .await
        .unwrap()
        .user_id();
    entity::write(db, async |db| {
        let new = source::New {
            key: format!("sources/{}", rand_suffix()),
            bytes: 7,
            sha256: "ab".repeat(32),
        };
        let source = source::create(db, owner, new).await?;
        let new = task::New {
            source_id: source.id,
            display_name: "día 1.mov".to_owned(),
            safe_name: "d_a_1.mov".to_owned(),
            preset: Some("web".to_owned()),
            recipe: serde_json::json!({"outputs": [{"kind": "mp4"}]}),
        };
        task::create(db, owner, new).await
    })
    .await
    .unwrap()
}

fn rand_suffix() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn an_output(key: &str) -> output::New {
    output::New {
        name: "video.mp4".to_owned(),
        kind: "mp4",
        media_type: "video/mp4",
        key: key.to_owned(),
        bytes: 9,
        sha256: "cd".repeat(32),
        width_px: Some(640),
        height_px: Some(360),
        duration_ms: Some(1_000),
        entry: None,
    }
}

fn made(outputs: Vec<output::New>) -> task::Made {
    task::Made {
        outputs,
        findings: Findings {
            report: json!({ "cpu_ms": 7 }),
            plan: Some(json!({ "fps": 25 })),
            log: None,
        },
        fingerprint: "f".to_owned(),
    }
}

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
    let claims = futures(&db, id, 8).await;
    assert_eq!(claims.iter().flatten().count(), 1, "one of eight");
    assert_eq!(claims.into_iter().flatten().next().unwrap().attempt, 1);
    assert_eq!(status(&db, id).await, Status::Processing);
}

async fn futures(db: &DatabaseConnection, id: TaskId, count: usize) -> Vec<Option<Model>> {
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

#[tokio::test]
async fn a_shared_source_goes_with_the_last_task() {
    let (db, _directory) = database("shared").await;
    let first = new_task(&db).await;
    let second = entity::write(&db, async |db| task::again(db, &first).await)
        .await
        .unwrap();
    assert_eq!(
        (second.source_id, second.status),
        (first.source_id, TaskStatus::Uploaded)
    );
    assert!(second.file_path.ends_with(&format!("/{}_d_a_1.mov", second.id)));
    let keys = entity::write(&db, async |db| task::remove(db, &first).await)
        .await
        .unwrap();
    assert!(keys.is_empty(), "the second task still needs the source");
    let keys = entity::write(&db, async |db| task::remove(db, &second).await)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(trash::due(&db, 9).await.unwrap(), keys);
    trash::keep(&db, &keys[0]).await.unwrap();
    assert!(trash::due(&db, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn shared_outputs_go_with_the_last_task_that_names_them() {
    let (db, _directory) = database("reuse").await;
    let claimed = async |task: &Model| Claim::of(&task::claim(&db, task.task_id()).await.unwrap().unwrap());
    let reuse = async |claim: Claim, fingerprint: &str| {
        entity::write(&db, async |db| claim.reuse(db, fingerprint).await)
            .await
            .unwrap()
    };
    let first = new_task(&db).await;
    let claim = claimed(&first).await;
    assert_eq!(reuse(claim, "f").await, None, "nobody has made it yet");
    let outputs = vec![
        an_output("outputs/1/1/video.mp4"),
        output::New {
            name: "hls".to_owned(),
            entry: Some("master.m3u8"),
            ..an_output("outputs/1/1/hls/")
        },
    ];
    assert!(claim.succeed(&db, made(outputs)).await.unwrap());

    let second = entity::write(&db, async |db| task::again(db, &first).await)
        .await
        .unwrap();
    let claim = claimed(&second).await;
    assert_eq!(reuse(claim, "other").await, None);
    assert_eq!(reuse(claim, "f").await, Some(first.task_id()));
    assert_eq!(reuse(claim, "f").await, None, "the claim has ended");
    let whole = task::by_id(&db, second.task_id()).await.unwrap().unwrap();
    assert_eq!(whole.status, TaskStatus::Processed);
    assert_eq!(
        whole.report.unwrap().read::<Json>().unwrap(),
        json!({ "cpu_ms": 7, "reused_from": first.id })
    );
    let trace = trace::of_task(&db, second.id).await.unwrap().unwrap();
    assert_eq!((trace.plan, trace.log), (Some(json!({ "fps": 25 })), None));
    let keys = |outputs: Vec<output::Model>| outputs.into_iter().map(|o| (o.key, o.entry)).collect::<Vec<_>>();
    let (theirs, ours) = (
        output::of_task(&db, first.id).await.unwrap(),
        output::of_task(&db, second.id).await.unwrap(),
    );
    assert_eq!(keys(theirs), keys(ours));

    // Both at once, as two requests would: the files go exactly once.
    let remove = |task: Model| {
        let db = db.clone();
        tokio::spawn(async move {
            entity::write(&db, async |db| task::remove(db, &task).await)
                .await
                .unwrap()
        })
    };
    let (one, other) = (remove(first), remove(second));
    let mut gone = one.await.unwrap();
    gone.extend(other.await.unwrap());
    gone.sort();
    assert_eq!(gone[..2], ["outputs/1/1/hls/", "outputs/1/1/video.mp4"]);
    assert_eq!(gone.len(), 3, "and the source: {gone:?}");
    assert_eq!(trash::due(&db, 9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_neighbor_s_outputs_are_never_reused() {
    let (db, _directory) = database("neighbor").await;
    let (ours, theirs) = (new_task(&db).await, new_task(&db).await);
    let claim = Claim::of(&task::claim(&db, theirs.task_id()).await.unwrap().unwrap());
    assert!(claim.succeed(&db, made(vec![an_output("k")])).await.unwrap());
    let claim = Claim::of(&task::claim(&db, ours.task_id()).await.unwrap().unwrap());
    let reused = entity::write(&db, async |db| claim.reuse(db, "f").await).await.unwrap();
    assert_eq!(reused, None);
}

#[tokio::test]
async fn a_taken_name_and_a_taken_address_are_told_apart() {
    let (db, _directory) = database("taken").await;
    let (name, other) = (Username::parse("eva").unwrap(), Username::parse("eve").unwrap());
    let (mail, second) = (
        Email::parse("eva@example.com").unwrap(),
        Email::parse("eve@example.com").unwrap(),
    );
    user::create(&db, &name, &mail, "h".to_owned()).await.unwrap();
    let code = async |name, mail| user::taken(&user::create(&db, name, mail, "h".to_owned()).await.unwrap_err());
    assert_eq!(code(&name, &second).await, Some(Code::UsernameTaken));
    assert_eq!(code(&other, &mail).await, Some(Code::EmailTaken));
    assert_eq!(
        user::conflict(&db, &other, &mail).await.unwrap(),
        Some(Code::EmailTaken)
    );
}

#[tokio::test]
async fn the_cost_of_the_latest_tasks_of_a_class_is_remembered() {
    use domain::plan::{Cost, Sample};
    let (db, _directory) = database("cost").await;
    let sample = |wall_s: f64| Sample {
        predicted: Cost {
            cpu_s: 1.5,
            wall_s: 1.0,
            bytes: 4e12,
        },
        actual: Cost {
            cpu_s: 2.0,
            wall_s,
            bytes: 3.0,
        },
    };
    for wall_s in [1.0, 2.25, 3.0] {
        cost::record(&db, "mp4", &sample(wall_s)).await.unwrap();
    }
    cost::record(&db, "hls", &sample(9.0)).await.unwrap();
    let learned = async || cost::history(&db, "mp4").await.unwrap();
    assert_eq!(
        learned().await,
        [sample(3.0), sample(2.25), sample(1.0)],
        "the newest first"
    );

    for _ in 0..cost::REMEMBERED - 1 {
        cost::record(&db, "mp4", &sample(4.0)).await.unwrap();
    }
    let (remembered, rows) = (
        usize::try_from(cost::REMEMBERED).unwrap(),
        cost::Entity::find().count(&db).await.unwrap(),
    );
    assert_eq!(
        (learned().await.len(), learned().await.last()),
        (remembered, Some(&sample(3.0)))
    );
    assert_eq!(
        rows,
        cost::REMEMBERED + 1,
        "the older ones are gone, those of other classes stay"
    );
}
