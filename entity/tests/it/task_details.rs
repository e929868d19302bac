//! Tasks with source and outputs.

use crate::seed::{an_output, claimed, database, new_task, proxy_before_postgres, succeed};
use crate::skip;
use domain::{TaskId, UserId};
use entity::task::{self, Model};
use entity::{DatabaseConnection, output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Limit of a query of the API (`backend/src/coalesce.rs`).
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A database that counts its statements.
async fn counted(name: &str) -> (DatabaseConnection, tempfile::TempDir, Arc<AtomicUsize>) {
    let (mut db, directory) = database(name).await;
    let statements = Arc::new(AtomicUsize::new(0));
    let counted = statements.clone();
    db.set_metric_callback(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (db, directory, statements)
}

#[tokio::test]
async fn tasks_are_read_with_source_and_outputs_and_for_their_own_account_only() {
    let (db, _directory, statements) = counted("details").await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(new_task(&db).await);
    }
    finish(&db, &tasks[1]).await;
    // Each account wants each task, and one that does not exist.
    let ids: Vec<_> = tasks.iter().map(Model::task_id).chain([TaskId(i64::MAX)]).collect();
    let pairs = tasks.iter().flat_map(|task| ids.iter().map(|id| (task.owner(), *id)));
    let wanted: Vec<(UserId, TaskId)> = pairs.collect();
    statements.store(0, Ordering::Relaxed);
    let found = task::details(&db, &wanted).await.unwrap();
    assert_eq!(statements.load(Ordering::Relaxed), 1);
    assert_eq!(found.len(), tasks.len());
    for task in &tasks {
        let details = &found[&(task.owner(), task.task_id())];
        assert_eq!(details.task.id, task.id);
        assert_eq!(details.source.id, task.source_id);
        let names: Vec<_> = details.outputs.iter().map(|output| output.name.as_str()).collect();
        let expected: &[&str] = if task.id == tasks[1].id {
            &["video.mp4", "poster.jpg"]
        } else {
            &[]
        };
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn tasks_of_others_are_not_read() {
    let (db, _directory, statements) = counted("details_unfinished").await;
    let task = new_task(&db).await;
    statements.store(0, Ordering::Relaxed);
    let found = task::details(&db, &[(task.owner(), task.task_id())]).await.unwrap();
    assert_eq!((found.len(), statements.load(Ordering::Relaxed)), (1, 1));
    assert!(task::details(&db, &[]).await.unwrap().is_empty());
    let stranger = new_task(&db).await.owner();
    let found = task::details(&db, &[(stranger, task.task_id())]).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn connections_that_no_longer_reply_are_closed() {
    let Some(mut proxy) = proxy_before_postgres("details_silent").await else {
        return skip::other_setup("SQLite has no network");
    };
    let db = entity::connect(&proxy.url, 2).await.unwrap();
    migration::run(&db).await.unwrap();
    let task = new_task(&db).await;
    let wanted = [(task.owner(), task.task_id())];
    let request = async || entity::with_timeout(QUERY_TIMEOUT, task::details(&db, &wanted)).await;
    assert_eq!(request().await.unwrap().len(), 1);
    proxy.stop_forwarding();
    // The query has a time limit, and so has the ping when the connection returns to the pool.
    let begun = Instant::now();
    let until_found = async {
        let mut refused = 0;
        loop {
            match request().await {
                Ok(found) => break (refused, found),
                Err(error) => assert!(entity::is_unavailable(&error), "{error}"),
            }
            refused += 1;
        }
    };
    let (refused, found) = timeout(Duration::from_secs(60), until_found).await.unwrap();
    assert!(refused > 0 && found.len() == 1);
    println!(
        "replied again {:.1} s after the connections became silent",
        begun.elapsed().as_secs_f64()
    );
}

async fn finish(db: &DatabaseConnection, task: &Model) {
    let claim = claimed(db, task.task_id()).await.claim();
    let poster = output::New {
        name: "poster.jpg".to_owned(),
        ..an_output("outputs/1/1/poster.jpg")
    };
    let outputs = vec![an_output("outputs/1/1/video.mp4"), poster];
    assert!(succeed(db, claim, outputs).await);
}
