//! A database for one test, and the rows that tests start with.

use crate::proxy::Proxy;
use domain::account::{Email, Username};
use domain::{ClaimPolicy, EventType, TaskId, TaskReport, UserId, WorkerId};
use entity::task::{self, Claim, Claimed, Model};
use entity::trace::AttemptRecord;
use entity::{DatabaseConnection, DbErr, event, output, source, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The URL of the Postgres server, if the tests use one.
#[allow(clippy::disallowed_methods, reason = "./test passes the database in the environment")]
pub(crate) fn server() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}

/// A new, migrated database for one test, and its directory.
pub(crate) async fn database(name: &str) -> (DatabaseConnection, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = match server() {
        Some(server) => fresh_postgres(&server, name).await,
        None => format!("sqlite://{}/test.db", directory.path().display()),
    };
    let connection = entity::connect(&url, 4).await.unwrap();
    migration::run(&connection).await.unwrap();
    (connection, directory)
}

/// Creates a database named after the test and this process on the server; returns its URL.
pub(crate) async fn fresh_postgres(server: &str, name: &str) -> String {
    let admin = entity::connect(server, 1).await.unwrap();
    let name = format!("entity_{name}_{}", std::process::id());
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// A proxy in front of a new database; `None` without Postgres.
pub(crate) async fn proxy_before_postgres(name: &str) -> Option<Proxy> {
    Some(Proxy::in_front_of(&fresh_postgres(&server()?, name).await).await)
}

pub(crate) async fn new_task(db: &DatabaseConnection) -> Model {
    let owner = new_user(db).await;
    task_of(db, owner).await
}

pub(crate) async fn new_user(db: &DatabaseConnection) -> UserId {
    let name = Username::parse(&format!("ana{}", next_number())).unwrap();
    let email = Email::parse(&format!("{}@example.com", name.as_str())).unwrap();
    let hash = "hash".to_owned();
    let created = entity::write(db, async |db| user::create(db, &name, &email, hash).await);
    created.await.unwrap().user_id()
}

pub(crate) async fn task_of(db: &DatabaseConnection, owner: UserId) -> Model {
    entity::write(db, async |db| {
        let new = source::New {
            key: format!("sources/{}", next_number()),
            bytes: 7,
            sha256: "ab".repeat(32),
        };
        let source = source::create(db, owner, new).await?;
        let new = task::New {
            source_id: source.id,
            display_name: "día 1.mov".to_owned(),
            safe_name: "d_a_1.mov".to_owned(),
            preset: Some("web".to_owned()),
            recipe: json!({"outputs": [{"kind": "mp4"}]}),
            webhook_url: None,
        };
        let task = task::create(db, owner, new).await?;
        let created = event::New::of_task(db, EventType::TaskCreated, task.task_id()).await?;
        event::append(db, vec![created]).await?;
        Ok::<_, DbErr>(task)
    })
    .await
    .unwrap()
}

/// Claims the next task.
pub(crate) async fn claim_next(db: &DatabaseConnection) -> Option<Claimed> {
    let worker = WorkerId("worker".to_owned());
    task::claim_next(db, ClaimPolicy::default(), &worker).await.unwrap()
}

/// Claims this task. Tasks that are claimed before it are released again.
pub(crate) async fn claimed(db: &DatabaseConnection, id: TaskId) -> Claimed {
    let mut others = Vec::new();
    let claimed = loop {
        let task = claim_next(db).await.expect("the task is not due");
        if task.task_id() == id {
            break task;
        }
        others.push(task.claim());
    };
    for other in others {
        assert!(other.release(db, Duration::ZERO).await.unwrap());
    }
    claimed
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn an_output(key: &str) -> output::New {
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

/// Completes an attempt as a worker does; `false` if the claim is lost.
pub(crate) async fn succeed(db: &DatabaseConnection, claim: Claim, outputs: Vec<output::New>) -> bool {
    let succeeded = entity::write(db, async |db| {
        let was_held = claim.succeed(db, made(outputs)).await?;
        if was_held {
            let task = task::by_id(db, claim.task()).await?;
            task::append_processed(db, &task.expect("the task of a claim")).await?;
        }
        Ok::<_, DbErr>(was_held)
    });
    succeeded.await.unwrap()
}

/// The types of the events of a task, in order.
pub(crate) async fn event_types(db: &DatabaseConnection, task: i64) -> Vec<String> {
    let events = event::Entity::find().filter(event::Column::SubjectId.eq(task));
    let events = events.order_by_asc(event::Column::Id).all(db).await.unwrap();
    let of_task = events.into_iter().filter(|event| event.of_task().is_some());
    of_task.map(|event| event.event_type).collect()
}

pub(crate) fn made(outputs: Vec<output::New>) -> task::AttemptResult {
    task::AttemptResult {
        outputs,
        record: AttemptRecord {
            report: TaskReport {
                cpu_ms: Some(7),
                ..TaskReport::default()
            },
            plan: Some(json!({ "fps": 25 })),
        },
        fingerprint: "f".to_owned(),
    }
}
