//! Races between two transactions of one account, for all pairs in both orders. The first transaction waits before its
//! commit until the second has finished or waits for a lock. Afterwards rows and files must agree, and neither
//! transaction may have failed.

mod fixture;

use crate::seed::{database, server};
use entity::{DatabaseConnection, DbErr};
use fixture::{Fixture, Operation};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::time::Duration;
use tokio::sync::oneshot;

/// Runs each of `firsts` against each operation as the second.
async fn race_each(firsts: &[Operation]) {
    let name = format!("races_{:?}", firsts[0]).to_lowercase();
    let (db, _directory) = database(&name).await;
    for &first in firsts {
        for second in Operation::ALL {
            let fixture = Fixture::create(&db).await;
            let results = race(&db, &fixture, first, second).await;
            let case = format!("{first:?}, then {second:?}: {results:?}");
            for result in results {
                assert!(result.as_ref().map_or_else(entity::is_duplicate, |()| true), "{case}");
            }
            fixture.check(&db, &case).await;
        }
    }
}

#[tokio::test]
async fn creating_and_canceling_tasks_races_without_errors_or_lost_files() {
    race_each(&[Operation::Create, Operation::Retry, Operation::Cancel]).await;
}

#[tokio::test]
async fn removing_tasks_races_without_errors_or_lost_files() {
    race_each(&[
        Operation::RemoveProcessed,
        Operation::RemoveCanceled,
        Operation::RemoveProcessing,
    ])
    .await;
}

#[tokio::test]
async fn ending_an_attempt_races_without_errors_or_lost_files() {
    race_each(&[Operation::Succeed, Operation::Reuse, Operation::Fail, Operation::Sweep]).await;
}

#[tokio::test]
async fn changing_images_and_presets_races_without_errors_or_lost_files() {
    let firsts = [
        Operation::CreateImage,
        Operation::RemoveFreeImage,
        Operation::RemoveUsedImage,
        Operation::CreatePreset,
    ];
    race_each(&firsts).await;
}

#[tokio::test]
async fn a_removal_that_waits_for_the_end_of_an_attempt_removes_the_new_outputs() {
    let (db, _directory) = database("races_succeed").await;
    for [first, second] in [
        [Operation::Succeed, Operation::RemoveProcessing],
        [Operation::RemoveProcessing, Operation::Succeed],
    ] {
        let fixture = Fixture::create(&db).await;
        for result in race(&db, &fixture, first, second).await {
            result.unwrap();
        }
        assert!(fixture.outputs_are_trash(&db).await, "{first:?}, then {second:?}");
    }
}

/// Runs both operations, the second while the first holds its locks.
async fn race(
    db: &DatabaseConnection,
    fixture: &Fixture,
    first: Operation,
    second: Operation,
) -> [Result<(), DbErr>; 2] {
    let (has_locks, locked) = oneshot::channel();
    let (allow_commit, may_commit) = oneshot::channel::<()>();
    let first = entity::write(db, async |db| {
        let result = fixture.run(first, db).await;
        // Both fail only if the test has failed and dropped the other ends.
        let _ = has_locks.send(());
        let _ = may_commit.await;
        result
    });
    let second = async {
        locked.await.unwrap();
        let second = entity::write(db, async |db| fixture.run(second, db).await);
        let mut second = Box::pin(second);
        let result = tokio::select! {
            result = &mut second => Some(result),
            () = blocked(db) => None,
        };
        allow_commit.send(()).unwrap();
        match result {
            Some(result) => result,
            None => second.await,
        }
    };
    let (first, second) = tokio::join!(first, second);
    [first, second]
}

/// Returns when a transaction waits for a lock. SQLite does not report that, so the second one is given time to begin.
async fn blocked(db: &DatabaseConnection) {
    if server().is_none() {
        return tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waiting =
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = Statement::from_string(DbBackend::Postgres, waiting);
    loop {
        let row = db.query_one_raw(waiting.clone()).await.unwrap().unwrap();
        if row.try_get::<i64>("", "n").unwrap() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
