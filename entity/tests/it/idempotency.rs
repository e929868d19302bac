//! Keys of requests that make something.

use crate::seed::{database, new_task, proxy_before_postgres};
use domain::UserId;
use entity::DatabaseConnection;
use entity::idempotency::{self, Done, Hold, Turn};
use sea_orm::ConnectionTrait;

fn hold(user: UserId, key: &str, holder: &str) -> Hold {
    Hold::new(user, key.to_owned(), holder.to_owned())
}

async fn take(db: &DatabaseConnection, user: UserId, key: &str, holder: &str) -> Turn {
    hold(user, key, holder).take(db).await.unwrap()
}

async fn first(db: &DatabaseConnection, user: UserId, key: &str, holder: &str) -> Hold {
    let hold = hold(user, key, holder);
    assert_eq!(hold.take(db).await.unwrap(), Turn::First);
    hold
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
        let holds: Vec<_> = (0..8).map(|number| hold(user, key, &number.to_string())).collect();
        let turns = futures::future::try_join_all(holds.iter().map(|hold| hold.take(&db)));
        let turns = turns.await.unwrap();
        let firsts = turns.iter().filter(|turn| **turn == Turn::First).count();
        let others = turns.iter().filter(|turn| **turn == Turn::Other).count();
        assert_eq!((firsts, others), (1, 7), "{key}");
    }
}

#[tokio::test]
async fn a_request_that_is_only_late_finds_its_key_as_long_as_nobody_wants_it() {
    let (db, _directory) = database("idempotency_late").await;
    let user = new_task(&db).await.owner();
    let late = first(&db, user, "k", "1").await;
    let ago = |minutes: i64| {
        let moment = chrono::Utc::now().timestamp_millis() - minutes * 60_000;
        format!("UPDATE idempotency_keys SET until_ms = {moment}")
    };
    db.execute_unprepared(&ago(60)).await.unwrap();
    assert_eq!(idempotency::forget(&db).await.unwrap(), 0);
    assert!(late.beat(&db).await.unwrap() && late.finish(&db, done("late")).await.unwrap());
    db.execute_unprepared(&ago(1)).await.unwrap();
    assert_eq!(idempotency::forget(&db).await.unwrap(), 1, "a reply whose day is over");
    first(&db, user, "k", "2").await;
    db.execute_unprepared(&ago(25 * 60)).await.unwrap();
    assert_eq!(
        idempotency::forget(&db).await.unwrap(),
        1,
        "a request that never came back"
    );
}

#[tokio::test]
async fn of_an_account_the_latest_replies_are_kept_and_no_more() {
    let (db, _directory) = database("idempotency_most").await;
    let (many, few) = (new_task(&db).await.owner(), new_task(&db).await.owner());
    let until = chrono::Utc::now().timestamp_millis() + 3_600_000;
    let kept = i64::try_from(idempotency::KEPT_MOST).unwrap();
    let numbers: Vec<_> = (0..kept + 3).collect();
    for numbers in numbers.chunks(1_000) {
        let row = |number: &i64| format!("({many}, 'key-{number}', '1', {}, 'a', 'b')", until + number);
        let rows: Vec<_> = numbers.iter().map(row).collect();
        let columns = "user_id, key, holder, until_ms, request, reply";
        let insert = format!("INSERT INTO idempotency_keys ({columns}) VALUES {}", rows.join(", "));
        db.execute_unprepared(&insert).await.unwrap();
    }
    let held = first(&db, many, "at work", "2").await;
    let other = first(&db, few, "k", "3").await;
    assert!(other.finish(&db, done("other")).await.unwrap());
    assert_eq!(idempotency::forget(&db).await.unwrap(), 3);
    assert_eq!(take(&db, few, "k", "4").await, Turn::Done(done("other")));
    assert!(matches!(take(&db, many, "key-3", "5").await, Turn::Done(_)));
    first(&db, many, "key-2", "6").await;
    assert!(held.beat(&db).await.unwrap(), "a request at work keeps its key");
}

#[tokio::test]
async fn a_reply_that_is_being_committed_is_neither_released_nor_taken() {
    let (db, _directory) = database("idempotency_commit").await;
    let user = new_task(&db).await.owner();
    for key in ["a", "b"] {
        let hold = first(&db, user, key, "1").await;
        let (sender, finished) = tokio::sync::oneshot::channel();
        let committing = entity::write(&db, async |db| {
            assert!(hold.finish(db, done(key)).await.unwrap());
            sender.send(()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Ok::<_, entity::DbErr>(())
        });
        let meanwhile = async {
            finished.await.unwrap();
            if key == "a" {
                hold.release(&db).await.unwrap();
            }
            take(&db, user, key, "2").await
        };
        let (committed, turn) = tokio::join!(committing, meanwhile);
        committed.unwrap();
        assert_eq!(turn, Turn::Done(done(key)), "{key}");
    }
}

#[tokio::test]
async fn a_machine_that_vanishes_in_a_transaction_locks_its_rows_for_half_a_minute_only() {
    let Some(mut proxy) = proxy_before_postgres("idempotency_vanished").await else {
        return println!("SKIPPED: SQLite has no machines that vanish");
    };
    let vanished = entity::connect(&proxy.url, 4).await.unwrap();
    migration::run(&vanished).await.unwrap();
    let user = new_task(&vanished).await.owner();
    let hold = first(&vanished, user, "k", "1").await;
    let (sender, finished) = tokio::sync::oneshot::channel();
    let committing = tokio::spawn(async move {
        let written = entity::write(&vanished, async |db| {
            assert!(hold.finish(db, done("never seen")).await.unwrap());
            sender.send(()).unwrap();
            std::future::pending::<Result<(), entity::DbErr>>().await
        });
        written.await
    });
    finished.await.unwrap();
    proxy.fall_silent();
    let other = entity::connect(&proxy.url, 4).await.unwrap();
    let begun = std::time::Instant::now();
    let turn = take(&other, user, "k", "2").await;
    println!("another one knew after {:.1} s", begun.elapsed().as_secs_f64());
    assert!(
        begun.elapsed().as_secs() < 60 && turn != Turn::Done(done("never seen")),
        "{turn:?}"
    );
    committing.abort();
}
