//! Two transactions of one account in each order: the first waits before its commit until the second has finished or waits
//! for a lock of the first. Afterwards rows and files agree, and neither met an error.

mod stage;

use crate::seed::{database, server};
use entity::{DatabaseConnection, DbErr};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use stage::{Stage, Verb};
use std::time::Duration;
use tokio::sync::oneshot;

/// Each of these transactions first, and each of all others second.
async fn each_after(firsts: &[Verb]) {
    let name = format!("races_{:?}", firsts[0]).to_lowercase();
    let (db, _directory) = database(&name).await;
    for &first in firsts {
        for second in Verb::ALL {
            let stage = Stage::set(&db).await;
            let told = both(&db, &stage, first, second).await;
            let story = format!("{first:?}, then {second:?}: {told:?}");
            for told in told {
                assert!(told.as_ref().map_or_else(entity::is_duplicate, |()| true), "{story}");
            }
            stage.check(&db, &story).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_makes_or_ends_tasks_and_another_transaction_neither_fail_nor_lose_a_file() {
    each_after(&[Verb::Create, Verb::Retry, Verb::Cancel]).await;
}

#[tokio::test]
async fn a_client_that_removes_tasks_and_another_transaction_neither_fail_nor_lose_a_file() {
    each_after(&[Verb::RemoveDone, Verb::RemoveEnded, Verb::RemoveWorking]).await;
}

#[tokio::test]
async fn the_end_of_an_attempt_and_another_transaction_neither_fail_nor_lose_a_file() {
    each_after(&[Verb::Succeed, Verb::Reuse, Verb::Fail, Verb::Sweep]).await;
}

#[tokio::test]
async fn a_change_of_images_or_presets_and_another_transaction_neither_fail_nor_lose_a_file() {
    let firsts = [
        Verb::CreateImage,
        Verb::RemoveFreeImage,
        Verb::RemoveUsedImage,
        Verb::CreatePreset,
    ];
    each_after(&firsts).await;
}

#[tokio::test]
async fn a_removal_that_waits_for_the_end_of_a_task_takes_its_new_outputs_along() {
    let (db, _directory) = database("races_settle").await;
    for [first, second] in [
        [Verb::Succeed, Verb::RemoveWorking],
        [Verb::RemoveWorking, Verb::Succeed],
    ] {
        let stage = Stage::set(&db).await;
        for told in both(&db, &stage, first, second).await {
            told.unwrap();
        }
        assert!(stage.outputs_are_trash(&db).await, "{first:?}, then {second:?}");
    }
}

/// Runs both, the second while the first holds its locks.
async fn both(db: &DatabaseConnection, stage: &Stage, first: Verb, second: Verb) -> [Result<(), DbErr>; 2] {
    let (done, ready) = oneshot::channel();
    let (go, may_go) = oneshot::channel::<()>();
    let first = entity::write(db, async |db| {
        let told = stage.run(first, db).await;
        // The other side is gone when the test has failed.
        let _ = done.send(());
        let _ = may_go.await;
        told
    });
    let second = async {
        ready.await.unwrap();
        let second = entity::write(db, async |db| stage.run(second, db).await);
        let mut second = Box::pin(second);
        let told = tokio::select! {
            told = &mut second => Some(told),
            () = blocked(db) => None,
        };
        go.send(()).unwrap();
        match told {
            Some(told) => told,
            None => second.await,
        }
    };
    let (first, second) = tokio::join!(first, second);
    [first, second]
}

/// Returns when a transaction waits for a lock. SQLite does not tell: the second has had time to begin.
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
