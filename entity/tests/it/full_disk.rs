//! A SQLite database on a full disk, and its connections afterwards.

use crate::seed::{database, new_task, server};
use crate::skip;
use entity::{DatabaseConnection, DbErr, is_full, trash, write};
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::time::Duration;

/// Limits the number of pages of the database file, for the only connection.
async fn limit_pages(db: &DatabaseConnection, max: u32) {
    let limit = format!("PRAGMA max_page_count = {max}");
    db.execute_unprepared(&limit).await.unwrap();
}

async fn put(db: &DatabaseConnection, key: &str, bytes: usize) -> Result<(), DbErr> {
    let keys = [key.to_owned() + &"x".repeat(bytes)];
    write(db, async |db| trash::add_keys(db, &keys, Duration::ZERO).await).await
}

#[tokio::test]
async fn after_a_full_disk_transactions_are_committed_again() {
    if server().is_some() {
        return skip::other_setup("tests/it/full_disk.rs covers Postgres");
    }
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/test.db", directory.path().display());
    // One connection, so that the next transaction uses the one that has failed.
    let db = entity::connect(&url, 1).await.unwrap();
    migration::run(&db).await.unwrap();
    for round in 0..3 {
        limit_pages(&db, 1).await;
        for _ in 0..3 {
            let error = put(&db, "refused", 1 << 20).await.unwrap_err();
            assert!(is_full(&error), "{error:?}");
            limit_pages(&db, 1).await;
        }
        let single = trash::add_keys(&db, &["single".to_owned() + &"x".repeat(1 << 20)], Duration::ZERO).await;
        assert!(is_full(&single.unwrap_err()));
        limit_pages(&db, 1_000_000).await;
        put(&db, &format!("accepted {round}"), 0).await.unwrap();
        // Another connection sees committed rows only.
        let other = entity::connect(&url, 1).await.unwrap();
        let seen = trash::due(&other, 100).await.unwrap();
        assert_eq!(seen.len(), round + 1, "{seen:?}");
        assert!(seen.iter().all(|key| key.starts_with("accepted")), "{seen:?}");
        new_task(&other).await;
    }
}

#[tokio::test]
async fn a_connection_inside_a_transaction_is_not_reused() {
    if server().is_some() {
        return skip::other_setup("Postgres reports the state of its transaction");
    }
    let (db, _directory) = database("transactions_left_open").await;
    // Raw SQL: sqlx does not notice this transaction.
    for _ in 0..8 {
        db.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    }
    put(&db, "accepted", 0).await.unwrap();
    // The reverse: sqlx assumes a transaction that has ended, as after a rollback by SQLite itself.
    let transaction = db.begin().await.unwrap();
    transaction.execute_unprepared("ROLLBACK").await.unwrap();
    drop(transaction);
    put(&db, "accepted, too", 0).await.unwrap();
    let unfinished = write(&db, async |db| {
        trash::add_keys(db, &["refused".to_owned()], Duration::ZERO).await?;
        db.execute_unprepared("ROLLBACK").await
    });
    assert!(unfinished.await.is_err(), "nothing was committed");
    assert_eq!(trash::due(&db, 100).await.unwrap(), ["accepted", "accepted, too"]);
}
