//! Whole tasks, asked for by one or by a crowd.

use crate::seed::{an_output, claimed, database, new_task, proxy_before_postgres, succeed};
use background::Background;
use domain::{TaskId, UserId};
use entity::output;
use entity::task::{self, Claim, Desk, Model, TaskStatus};
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

#[tokio::test]
async fn everybody_in_a_crowd_gets_their_own_task_and_nobody_elses() {
    let (mut db, _directory) = database("desk").await;
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
    let desk = Desk::open(db, Background::default());
    // Each owner asks for each task, and for one that there is not, three times.
    let ids: Vec<_> = tasks.iter().map(Model::task_id).chain([TaskId(i64::MAX)]).collect();
    let pairs = tasks.iter().flat_map(|task| ids.iter().map(|id| (task.owner(), *id)));
    let asked: Vec<(UserId, TaskId)> = pairs.cycle().take(5 * 6 * 3).collect();
    let told = join_all(asked.iter().map(|(user, id)| desk.whole(*user, *id))).await;
    for ((user, id), told) in asked.iter().zip(told) {
        let own = tasks.iter().find(|task| task.task_id() == *id && task.owner() == *user);
        let told = told.unwrap();
        assert_eq!(told.as_ref().map(|whole| whole.task.id), own.map(|task| task.id));
        let Some(whole) = told else { continue };
        assert_eq!(whole.task.user_id, user.0);
        assert_eq!(whole.source.id, whole.task.source_id);
        let names: Vec<_> = whole.outputs.iter().map(|output| output.name.as_str()).collect();
        let wanted: &[&str] = if *id == tasks[1].task_id() {
            &["video.mp4", "poster.jpg"]
        } else {
            &[]
        };
        assert_eq!(names, wanted);
    }
    assert_eq!(queries.load(Ordering::Relaxed), 2, "90 who ask at once, 64 a query");
}

#[tokio::test]
async fn nobody_is_told_what_was_before_they_asked() {
    let (db, _directory) = database("desk_after").await;
    let task = new_task(&db).await;
    let desk = Desk::open(db.clone(), Background::default());
    let ask = || desk.whole(task.owner(), task.task_id());
    let status = async || ask().await.unwrap().map(|whole| whole.task.status);
    assert_eq!(status().await, Some(TaskStatus::Uploaded));
    finish(&db, &task).await;
    // Who goes away before the answer is nobody's trouble.
    let mut gone = Box::pin(ask());
    assert!(futures::poll!(gone.as_mut()).is_pending());
    drop(gone);
    assert_eq!(status().await, Some(TaskStatus::Processed));
    entity::write(&db, async |db| task::remove(db, &task).await)
        .await
        .unwrap();
    assert_eq!(status().await, None);
}

#[tokio::test]
async fn a_crowd_is_told_that_the_database_is_away() {
    let (db, _directory) = database("desk_away").await;
    let task = new_task(&db).await;
    let desk = Desk::open(db.clone(), Background::default());
    db.close_by_ref().await.unwrap();
    let told = join_all((0..3).map(|_| desk.whole(task.owner(), task.task_id()))).await;
    for told in told {
        assert!(entity::is_unavailable(&told.unwrap_err()));
    }
}

#[tokio::test]
async fn connections_that_fall_silent_are_given_up() {
    let Some(mut proxy) = proxy_before_postgres("desk_silent").await else {
        return println!("SKIPPED: only a database behind a network falls silent");
    };
    let db = entity::connect(&proxy.url, 2).await.unwrap();
    migration::run(&db).await.unwrap();
    let task = new_task(&db).await;
    let desk = Desk::open(db, Background::default());
    let ask = async || desk.whole(task.owner(), task.task_id()).await;
    assert!(ask().await.unwrap().is_some());
    proxy.fall_silent();
    // A query, and the sign of life that is asked of a connection which is given back, have five seconds each.
    let begun = Instant::now();
    let answers = async {
        let mut refused = 0;
        loop {
            match ask().await {
                Ok(told) => break (refused, told),
                Err(error) => assert!(entity::is_unavailable(&error), "{error}"),
            }
            refused += 1;
        }
    };
    let (refused, told) = timeout(Duration::from_secs(60), answers).await.unwrap();
    assert!(refused > 0 && told.is_some());
    println!(
        "answered again {:.1} s after the silence began",
        begun.elapsed().as_secs_f64()
    );
}

async fn finish(db: &entity::DatabaseConnection, task: &Model) {
    let claim = Claim::of(&claimed(db, task.task_id()).await);
    let poster = output::New {
        name: "poster.jpg".to_owned(),
        ..an_output("outputs/1/1/poster.jpg")
    };
    let outputs = vec![an_output("outputs/1/1/video.mp4"), poster];
    assert!(succeed(db, claim, outputs).await);
}
