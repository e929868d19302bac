//! The log of changes to the library: order, positions, deletion of old rows.

use crate::seed::{database, server};
use crate::skip;
use entity::library_change::{Following, Position, Subject, after, append, newest, trim};
use entity::{DatabaseConnection, write};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Number of rows that one writer appends, and of writers.
const APPENDS: i64 = 60;
const WRITERS: i64 = 4;

/// The ids of the subjects after a position, which moves to the last row.
async fn follow(db: &DatabaseConnection, position: &mut Position) -> Vec<i64> {
    let Following::Rows(rows) = after(db, *position, 1_000).await.unwrap() else {
        panic!("the position is lost");
    };
    let ids = rows.iter().map(|row| row.subject_id).collect();
    if let Some(last) = rows.last() {
        *position = last.position();
    }
    ids
}

/// The position before the changes of a test.
async fn start(db: &DatabaseConnection) -> Position {
    write(db, async |db| newest(db).await).await.unwrap()
}

/// Appends without the lock, as an ordinary table is written.
async fn append_unlocked(db: &impl ConnectionTrait, id: i64) {
    let insert =
        format!("INSERT INTO library_changes (subject, subject_id, token, at_ms) VALUES ('video', {id}, {id}, 0)");
    let insert = Statement::from_string(db.get_database_backend(), insert);
    db.execute_raw(insert).await.unwrap();
}

#[tokio::test]
async fn a_reader_by_position_misses_a_row_that_was_appended_without_the_lock() {
    if server().is_none() {
        return skip::other_setup("SQLite has one writer at a time");
    }
    let (db, _directory) = database("unlocked_log").await;
    let mut position = start(&db).await;
    let slow = db.begin().await.unwrap();
    append_unlocked(&slow, 1).await;
    append_unlocked(&db, 2).await;
    assert_eq!(follow(&db, &mut position).await, [2]);
    slow.commit().await.unwrap();
    assert_eq!(follow(&db, &mut position).await, [0_i64; 0], "row 1 would be found now");
}

#[tokio::test]
async fn an_append_waits_for_the_commit_of_the_one_before() {
    if server().is_none() {
        return skip::other_setup("SQLite has one writer at a time");
    }
    let (db, _directory) = database("locked_log").await;
    let mut position = start(&db).await;
    let slow = db.begin().await.unwrap();
    append(&slow, &[Subject::Video(1)]).await.unwrap();
    let fast = tokio::spawn({
        let db = db.clone();
        async move { write(&db, async |db| append(db, &[Subject::Video(2)]).await).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!fast.is_finished(), "the second append overtook the first");
    assert!(follow(&db, &mut position).await.is_empty());
    slow.commit().await.unwrap();
    fast.await.unwrap().unwrap();
    assert_eq!(follow(&db, &mut position).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_several_writers_sees_every_row_once_and_in_order() {
    let (db, _directory) = database("log_writers").await;
    let are_done = Arc::new(AtomicBool::new(false));
    let first = start(&db).await;
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
    let writers = (0..WRITERS).map(|writer| {
        let db = db.clone();
        tokio::spawn(async move {
            for at in 0..APPENDS {
                let subject = Subject::Video(writer * APPENDS + at);
                write(&db, async |db| append(db, &[subject]).await).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    are_done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    assert_eq!(
        seen.len(),
        usize::try_from(WRITERS * APPENDS).unwrap(),
        "a row was seen twice or missed"
    );
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    for writer in 0..WRITERS {
        let of_writer: Vec<_> = seen.iter().filter(|id| **id / APPENDS == writer).collect();
        assert!(of_writer.is_sorted(), "the rows of a writer are out of order");
    }
}

#[tokio::test]
async fn a_position_is_lost_when_its_row_is_deleted_or_belongs_to_another_database() {
    let (db, _directory) = database("log_positions").await;
    let appended = |id| write(&db, async move |db| append(db, &[Subject::Account(id)]).await);
    let before = start(&db).await;
    appended(1).await.unwrap();
    appended(2).await.unwrap();
    let Following::Rows(rows) = after(&db, before, 1).await.unwrap() else {
        panic!("the log begins with a row");
    };
    let first = rows[0].position();
    assert_eq!(follow(&db, &mut { first }).await, [2]);
    let elsewhere = Position {
        token: first.token + 1,
        ..first
    };
    assert_eq!(after(&db, elsewhere, 9).await.unwrap(), Following::Lost);
    let future = Position { seq: 99, ..first };
    assert_eq!(after(&db, future, 9).await.unwrap(), Following::Lost);

    assert_eq!(trim(&db, Duration::from_secs(60)).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(trim(&db, Duration::ZERO).await.unwrap(), 2, "the newest old row stays");
    assert_eq!(after(&db, first, 9).await.unwrap(), Following::Lost);
    let end = start(&db).await;
    // A reader at the end stays there when newer rows follow and old ones are deleted.
    assert_eq!(appended(3).await.unwrap(), end.seq + 1, "numbers are not used again");
    assert_eq!(trim(&db, Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(follow(&db, &mut { end }).await, [3]);
}
