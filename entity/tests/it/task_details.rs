//! Tasks with source and outputs, requested by many clients at once.

use crate::seed::{an_output, claimed, database, new_task, proxy_before_postgres, succeed};
use background::Background;
use domain::{TaskId, UserId};
use entity::output;
use entity::task::{self, Model, TaskLoader, TaskStatus};
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

#[tokio::test]
async fn concurrent_requests_get_the_tasks_of_their_own_account_only() {
    let (mut db, _directory) = database("details").await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(new_task(&db).await);
    }
    finish(&db, &tasks[1]).await;
    let queries = Arc::new(AtomicUsize::new(0));
    let counted = queries.clone();
    db.set_metric_callback(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let loader = TaskLoader::start(db, Background::default());
    // Each owner requests each task, and one that does not exist, three times.
    let ids: Vec<_> = tasks.iter().map(Model::task_id).chain([TaskId(i64::MAX)]).collect();
    let pairs = tasks.iter().flat_map(|task| ids.iter().map(|id| (task.owner(), *id)));
    let requests: Vec<(UserId, TaskId)> = pairs.cycle().take(5 * 6 * 3).collect();
    let replies = join_all(requests.iter().map(|(user, id)| loader.load(*user, *id))).await;
    for ((user, id), reply) in requests.iter().zip(replies) {
        let own = tasks.iter().find(|task| task.task_id() == *id && task.owner() == *user);
        let reply = reply.unwrap();
        assert_eq!(reply.as_ref().map(|whole| whole.task.id), own.map(|task| task.id));
        let Some(whole) = reply else { continue };
        assert_eq!(whole.task.user_id, user.0);
        assert_eq!(whole.source.id, whole.task.source_id);
        let names: Vec<_> = whole.outputs.iter().map(|output| output.name.as_str()).collect();
        let expected: &[&str] = if *id == tasks[1].task_id() {
            &["video.mp4", "poster.jpg"]
        } else {
            &[]
        };
        assert_eq!(names, expected);
    }
    assert_eq!(
        queries.load(Ordering::Relaxed),
        2,
        "90 concurrent requests, at most 64 in a query"
    );
}

#[tokio::test]
async fn a_reply_is_never_older_than_its_request() {
    let (db, _directory) = database("details_fresh").await;
    let task = new_task(&db).await;
    let loader = TaskLoader::start(db.clone(), Background::default());
    let request = || loader.load(task.owner(), task.task_id());
    let status = async || request().await.unwrap().map(|whole| whole.task.status);
    assert_eq!(status().await, Some(TaskStatus::Uploaded));
    finish(&db, &task).await;
    // A client that disconnects before the reply does not disturb the others.
    let mut gone = Box::pin(request());
    assert!(futures::poll!(gone.as_mut()).is_pending());
    drop(gone);
    assert_eq!(status().await, Some(TaskStatus::Processed));
    entity::write(&db, async |db| task::remove(db, &task).await)
        .await
        .unwrap();
    assert_eq!(status().await, None);
}

#[tokio::test]
async fn concurrent_requests_all_get_the_error_of_an_unavailable_database() {
    let (db, _directory) = database("details_unavailable").await;
    let task = new_task(&db).await;
    let loader = TaskLoader::start(db.clone(), Background::default());
    db.close_by_ref().await.unwrap();
    let replies = join_all((0..3).map(|_| loader.load(task.owner(), task.task_id()))).await;
    for reply in replies {
        assert!(entity::is_unavailable(&reply.unwrap_err()));
    }
}

#[tokio::test]
async fn connections_that_no_longer_reply_are_closed() {
    let Some(mut proxy) = proxy_before_postgres("details_silent").await else {
        return println!("SKIPPED: SQLite has no network");
    };
    let db = entity::connect(&proxy.url, 2).await.unwrap();
    migration::run(&db).await.unwrap();
    let task = new_task(&db).await;
    let loader = TaskLoader::start(db, Background::default());
    let request = async || loader.load(task.owner(), task.task_id()).await;
    assert!(request().await.unwrap().is_some());
    proxy.stop_forwarding();
    // The query has a timeout of five seconds, and so has the ping when the connection returns to the pool.
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
    assert!(refused > 0 && found.is_some());
    println!(
        "replied again {:.1} s after the connections became silent",
        begun.elapsed().as_secs_f64()
    );
}

async fn finish(db: &entity::DatabaseConnection, task: &Model) {
    let claim = claimed(db, task.task_id()).await.claim();
    let poster = output::New {
        name: "poster.jpg".to_owned(),
        ..an_output("outputs/1/1/poster.jpg")
    };
    let outputs = vec![an_output("outputs/1/1/video.mp4"), poster];
    assert!(succeed(db, claim, outputs).await);
}
