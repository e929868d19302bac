//! Transactions that Postgres aborts.

use crate::seed::{database, server};
use crate::skip;
use entity::{DbErr, is_unavailable, write};
use sea_orm::ConnectionTrait;
use std::time::Duration;

#[tokio::test]
async fn an_idle_transaction_that_was_aborted_can_be_retried() {
    if server().is_none() {
        return skip::other_setup("SQLite aborts no idle transactions");
    }
    let (db, _directory) = database("transactions_idle").await;
    let late = write(&db, async |db| {
        let limit = "SET LOCAL idle_in_transaction_session_timeout = '100ms'";
        db.execute_unprepared(limit).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        db.execute_unprepared("SELECT 1").await
    });
    let error: DbErr = late.await.unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    entity::ready(&db).await.unwrap();
}

#[tokio::test]
async fn the_victim_of_a_deadlock_can_be_retried() {
    if server().is_none() {
        return skip::other_setup("SQLite has one writer at a time");
    }
    let (db, _directory) = database("transactions_deadlock").await;
    let rows = "INSERT INTO trash (key, due_at_ms) VALUES ('a', 1), ('b', 1)";
    db.execute_unprepared(rows).await.unwrap();
    let touch = async |first: &str, second: &str| {
        write(&db, async |db| {
            for key in [first, second] {
                let update = format!("UPDATE trash SET due_at_ms = 2 WHERE key = '{key}'");
                db.execute_unprepared(&update).await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok::<_, DbErr>(())
        })
        .await
    };
    let (one, other) = tokio::join!(touch("a", "b"), touch("b", "a"));
    let ((Err(error), Ok(())) | (Ok(()), Err(error))) = (one, other) else {
        panic!("both or neither");
    };
    assert!(is_unavailable(&error), "{error:?}");
}
