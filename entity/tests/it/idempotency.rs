//! Keys of requests that make something.

use crate::seed::{database, new_task};
use domain::UserId;
use entity::DatabaseConnection;
use entity::idempotency::{self, Done, Hold, Turn};
use sea_orm::ConnectionTrait;

async fn take(db: &DatabaseConnection, user: UserId, key: &str, holder: &str) -> Turn {
    idempotency::take(db, user, key, holder.to_owned()).await.unwrap()
}

async fn first(db: &DatabaseConnection, user: UserId, key: &str, holder: &str) -> Hold {
    match take(db, user, key, holder).await {
        Turn::First(hold) => hold,
        other => panic!("{other:?}"),
    }
}

fn done(reply: &str) -> Done {
    Done {
        request: "POST /api/things".to_owned(),
        reply: reply.to_owned(),
    }
}

/// Time passes: whatever is under a lease, or kept, has been for too long.
async fn wait(db: &DatabaseConnection) {
    let past = "UPDATE idempotency_keys SET until_ms = 1";
    db.execute_unprepared(past).await.unwrap();
}

#[tokio::test]
async fn the_first_with_a_key_leaves_its_reply_to_the_others_of_its_account() {
    let (db, _directory) = database("idempotency").await;
    let (ana, eva) = (new_task(&db).await.owner(), new_task(&db).await.owner());
    let hold = first(&db, ana, "k", "1").await;
    assert_eq!(take(&db, ana, "k", "2").await, Turn::Other);
    first(&db, ana, "other key", "3").await;
    first(&db, eva, "k", "4").await;

    assert!(hold.beat(&db).await.unwrap() && hold.finish(&db, done("{ \"a\":1}")).await.unwrap());
    assert_eq!(take(&db, ana, "k", "5").await, Turn::Done(done("{ \"a\":1}")));
    assert_eq!(take(&db, eva, "k", "6").await, Turn::Other);
    hold.release(&db).await.unwrap();
    assert_eq!(
        take(&db, ana, "k", "7").await,
        Turn::Done(done("{ \"a\":1}")),
        "a kept reply stays"
    );

    assert_eq!(idempotency::forget(&db).await.unwrap(), 0);
    wait(&db).await;
    first(&db, ana, "k", "8").await;
    assert_eq!(
        idempotency::forget(&db).await.unwrap(),
        2,
        "all but the one taken again"
    );
    assert_eq!(take(&db, ana, "k", "9").await, Turn::Other);
}

#[tokio::test]
async fn a_key_whose_holder_vanished_is_taken_and_the_late_holder_writes_nothing() {
    let (db, _directory) = database("idempotency_lease").await;
    let user = new_task(&db).await.owner();
    let late = first(&db, user, "k", "1").await;
    wait(&db).await;
    let hold = first(&db, user, "k", "2").await;
    assert!(!late.beat(&db).await.unwrap() && !late.finish(&db, done("late")).await.unwrap());
    late.release(&db).await.unwrap();
    assert_eq!(take(&db, user, "k", "3").await, Turn::Other);
    hold.release(&db).await.unwrap();
    first(&db, user, "k", "4").await;
}

#[tokio::test]
async fn of_many_who_come_at_once_one_is_the_first() {
    let (db, _directory) = database("idempotency_race").await;
    let user = new_task(&db).await.owner();
    for key in ["a", "b", "c", "d", "e"] {
        let turns = (0..8).map(|number| idempotency::take(&db, user, key, number.to_string()));
        let turns = futures::future::try_join_all(turns).await.unwrap();
        let firsts = turns.iter().filter(|turn| matches!(turn, Turn::First(_))).count();
        let others = turns.iter().filter(|turn| **turn == Turn::Other).count();
        assert_eq!((firsts, others), (1, 7), "{key}");
    }
}
