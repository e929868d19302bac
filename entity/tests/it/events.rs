//! The log of events: order beside several writers, ends, deletion of old rows.

use crate::seed::{claimed, database, event_types, new_task, server};
use crate::skip;
use domain::EventType;
use entity::event::{self, Ends, New, Range};
use entity::{DatabaseConnection, DbErr, task, write};
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const APPENDS: usize = 40;
const WRITERS: usize = 4;

async fn append(db: &DatabaseConnection, task: &task::Model) {
    let appended = write(db, async |db| {
        let event = New::of_task(db, EventType::TaskCreated, task.task_id()).await?;
        event::append(db, vec![event.clone(), event]).await
    });
    appended.await.unwrap();
}

/// The ids of the events after a position, which moves to the last one.
async fn follow(db: &DatabaseConnection, position: &mut i64) -> Vec<i64> {
    let rows = event::after(db, *position, 1_000).await.unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    *position = ids.last().copied().unwrap_or(*position);
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_several_writers_sees_every_event_once_and_in_order() {
    let (db, _directory) = database("event_writers").await;
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        tasks.push(new_task(&db).await);
    }
    let are_done = Arc::new(AtomicBool::new(false));
    let first = event::ends(&db).await.unwrap().newest;
    let reader = tokio::spawn({
        let (db, are_done) = (db.clone(), Arc::clone(&are_done));
        async move {
            let (mut position, mut seen) = (first, Vec::new());
            loop {
                let is_last = are_done.load(Ordering::SeqCst);
                seen.extend(follow(&db, &mut position).await);
                if is_last {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let writers = tasks.iter().map(|task| {
        let (db, task) = (db.clone(), task.clone());
        tokio::spawn(async move {
            for _ in 0..APPENDS {
                append(&db, &task).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    are_done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    assert_eq!(seen.len(), 2 * WRITERS * APPENDS, "an event was seen twice or missed");
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    assert!(seen.is_sorted());
    let mut of_accounts = Vec::new();
    for task in tasks {
        let range = Range {
            after: first,
            until: *seen.last().unwrap(),
        };
        let events = event::of_user(&db, task.owner(), range, 1_000).await.unwrap();
        assert_eq!(events.len(), 2 * APPENDS);
        assert!(events.is_sorted_by_key(|event| event.id));
        of_accounts.extend(events.iter().map(|event| event.id));
    }
    of_accounts.sort_unstable();
    assert_eq!(of_accounts, seen, "the logs of the accounts are the log");
}

#[tokio::test]
async fn an_event_waits_for_the_commit_of_the_one_before() {
    if server().is_none() {
        return skip::other_setup("SQLite has one writer at a time");
    }
    let (db, _directory) = database("locked_events").await;
    let task = new_task(&db).await;
    let mut position = event::ends(&db).await.unwrap().newest;
    let slow = db.begin().await.unwrap();
    let event = New::of_task(&slow, EventType::TaskCreated, task.task_id())
        .await
        .unwrap();
    event::append(&slow, vec![event]).await.unwrap();
    let fast = tokio::spawn({
        let (db, task) = (db.clone(), task.clone());
        async move { append(&db, &task).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!fast.is_finished(), "the second append overtook the first");
    assert!(follow(&db, &mut position).await.is_empty());
    slow.commit().await.unwrap();
    fast.await.unwrap();
    let ids = follow(&db, &mut position).await;
    assert_eq!((ids.len(), ids.is_sorted()), (3, true));
}

#[tokio::test]
async fn rows_of_the_previous_version_are_skipped_and_events_are_deleted_by_age() {
    let (db, _directory) = database("event_ages").await;
    assert_eq!(event::ends(&db).await.unwrap(), Ends { oldest: 0, newest: 0 });
    let task = new_task(&db).await;
    let first = event::ends(&db).await.unwrap().newest;
    let old = "INSERT INTO events (task_id, attempt, kind, at) VALUES (1, 1, 'processed', '2026-01-01 00:00:00+00:00')";
    db.execute_unprepared(old).await.unwrap();
    let newest = event::ends(&db).await.unwrap().newest;
    assert_eq!(newest, first, "an event with a smaller id may not be visible yet");
    append(&db, &task).await;
    let mut position = 0;
    assert_eq!(follow(&db, &mut position).await.len(), 3);
    let ends = event::ends(&db).await.unwrap();
    assert_eq!((ends.oldest, ends.newest), (first, position));
    for (after, is_kept) in [
        (0, true),
        (first, true),
        (position, true),
        (position + 1, false),
        (-1, false),
    ] {
        assert_eq!(ends.contain(after), is_kept, "{after}");
    }
    assert_eq!(event::trim(&db, Duration::from_secs(60)).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(
        event::trim(&db, Duration::ZERO).await.unwrap(),
        3,
        "the newest row stays"
    );
    let ends = event::ends(&db).await.unwrap();
    assert_eq!((ends.oldest, ends.newest), (position, position));
    assert!(!ends.contain(first));
}

#[tokio::test]
async fn a_change_that_is_rolled_back_has_no_event() {
    let (db, _directory) = database("event_rollback").await;
    let task = new_task(&db).await;
    let canceled = write(&db, async |db| {
        task::cancel(db, task.owner(), task.task_id()).await?;
        Err::<(), _>(DbErr::Custom("by the test".to_owned()))
    });
    canceled.await.unwrap_err();
    assert_eq!(event_types(&db, task.id).await, ["task.created"]);
    claimed(&db, task.task_id()).await;
    assert_eq!(event_types(&db, task.id).await, ["task.created"], "a claim is no event");
}
