//! Idempotency keys: leases and stored replies.

use crate::seed::{database, new_task, proxy_before_postgres};
use crate::skip;
use domain::UserId;
use entity::DatabaseConnection;
use entity::idempotency::{self, Acquisition, CompletedRequest, KeyLease};
use sea_orm::ConnectionTrait;

fn new_lease(user: UserId, key: &str, holder: &str) -> KeyLease {
    KeyLease::new(user, key.to_owned(), holder.to_owned())
}

/// Another attempt to take the lease on a key.
async fn take(db: &DatabaseConnection, user: UserId, key: &str, holder: &str) -> Acquisition {
    new_lease(user, key, holder).acquire(db).await.unwrap()
}

/// Takes the lease on a key that is free.
async fn first(db: &DatabaseConnection, user: UserId, key: &str, holder: &str) -> KeyLease {
    let lease = new_lease(user, key, holder);
    assert_eq!(lease.acquire(db).await.unwrap(), Acquisition::Acquired);
    lease
}

/// A request that was executed with this reply.
fn done(reply: &str) -> CompletedRequest {
    CompletedRequest {
        request: "POST /api/things".to_owned(),
        reply: reply.to_owned(),
    }
}

/// Ends all leases and retentions.
async fn expire(db: &DatabaseConnection) {
    let past = "UPDATE idempotency_keys SET until_ms = 1";
    db.execute_unprepared(past).await.unwrap();
}

#[tokio::test]
async fn later_requests_of_the_account_with_the_key_get_the_stored_reply() {
    let (db, _directory) = database("idempotency").await;
    let (ana, eva) = (new_task(&db).await.owner(), new_task(&db).await.owner());
    let lease = first(&db, ana, "k", "1").await;
    assert_eq!(take(&db, ana, "k", "2").await, Acquisition::HeldByOther);
    first(&db, ana, "other key", "3").await;
    first(&db, eva, "k", "4").await;

    assert!(lease.renew(&db).await.unwrap() && lease.store_reply(&db, done("{ \"a\":1}")).await.unwrap());
    assert_eq!(
        take(&db, ana, "k", "5").await,
        Acquisition::Completed(done("{ \"a\":1}"))
    );
    assert_eq!(take(&db, eva, "k", "6").await, Acquisition::HeldByOther);
    lease.release(&db).await.unwrap();
    assert_eq!(
        take(&db, ana, "k", "7").await,
        Acquisition::Completed(done("{ \"a\":1}")),
        "a stored reply stays"
    );

    assert_eq!(idempotency::delete_expired(&db).await.unwrap(), 0);
    expire(&db).await;
    first(&db, ana, "k", "8").await;
    assert_eq!(
        idempotency::delete_expired(&db).await.unwrap(),
        2,
        "all rows but the one that was taken again"
    );
    assert_eq!(take(&db, ana, "k", "9").await, Acquisition::HeldByOther);
}

#[tokio::test]
async fn an_expired_lease_is_taken_over_and_the_former_holder_cannot_write() {
    let (db, _directory) = database("idempotency_lease").await;
    let user = new_task(&db).await.owner();
    let late = first(&db, user, "k", "1").await;
    expire(&db).await;
    let lease = first(&db, user, "k", "2").await;
    assert!(!late.renew(&db).await.unwrap() && !late.store_reply(&db, done("late")).await.unwrap());
    late.release(&db).await.unwrap();
    assert_eq!(take(&db, user, "k", "3").await, Acquisition::HeldByOther);
    lease.release(&db).await.unwrap();
    first(&db, user, "k", "4").await;
}

#[tokio::test]
async fn of_concurrent_requests_exactly_one_takes_the_lease() {
    let (db, _directory) = database("idempotency_race").await;
    let user = new_task(&db).await.owner();
    for key in ["a", "b", "c", "d", "e"] {
        let leases: Vec<_> = (0..8).map(|number| new_lease(user, key, &number.to_string())).collect();
        let turns = futures::future::try_join_all(leases.iter().map(|lease| lease.acquire(&db)));
        let turns = turns.await.unwrap();
        let firsts = turns.iter().filter(|turn| **turn == Acquisition::Acquired).count();
        let others = turns.iter().filter(|turn| **turn == Acquisition::HeldByOther).count();
        assert_eq!((firsts, others), (1, 7), "{key}");
    }
}

#[tokio::test]
async fn a_slow_request_can_store_its_reply_if_no_other_took_its_expired_lease() {
    let (db, _directory) = database("idempotency_late").await;
    let user = new_task(&db).await.owner();
    let late = first(&db, user, "k", "1").await;
    let ago = |minutes: i64| {
        let moment = chrono::Utc::now().timestamp_millis() - minutes * 60_000;
        format!("UPDATE idempotency_keys SET until_ms = {moment}")
    };
    db.execute_unprepared(&ago(60)).await.unwrap();
    assert_eq!(idempotency::delete_expired(&db).await.unwrap(), 0);
    assert!(late.renew(&db).await.unwrap() && late.store_reply(&db, done("late")).await.unwrap());
    db.execute_unprepared(&ago(1)).await.unwrap();
    assert_eq!(
        idempotency::delete_expired(&db).await.unwrap(),
        1,
        "a reply after its retention"
    );
    first(&db, user, "k", "2").await;
    db.execute_unprepared(&ago(25 * 60)).await.unwrap();
    assert_eq!(
        idempotency::delete_expired(&db).await.unwrap(),
        1,
        "a lease that expired a day ago"
    );
}

#[tokio::test]
async fn the_oldest_replies_of_an_account_beyond_the_limit_are_deleted() {
    let (db, _directory) = database("idempotency_most").await;
    let (many, few) = (new_task(&db).await.owner(), new_task(&db).await.owner());
    let until = chrono::Utc::now().timestamp_millis() + 3_600_000;
    let kept = i64::try_from(idempotency::MAX_REPLIES).unwrap();
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
    assert!(other.store_reply(&db, done("other")).await.unwrap());
    assert_eq!(idempotency::delete_expired(&db).await.unwrap(), 3);
    assert_eq!(take(&db, few, "k", "4").await, Acquisition::Completed(done("other")));
    assert!(matches!(take(&db, many, "key-3", "5").await, Acquisition::Completed(_)));
    first(&db, many, "key-2", "6").await;
    assert!(held.renew(&db).await.unwrap(), "leases are not counted or deleted");
}

#[tokio::test]
async fn a_reply_that_is_being_committed_is_neither_released_nor_overwritten() {
    let (db, _directory) = database("idempotency_commit").await;
    let user = new_task(&db).await.owner();
    for key in ["a", "b"] {
        let lease = first(&db, user, key, "1").await;
        let (sender, finished) = tokio::sync::oneshot::channel();
        let committing = entity::write(&db, async |db| {
            assert!(lease.store_reply(db, done(key)).await.unwrap());
            sender.send(()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Ok::<_, entity::DbErr>(())
        });
        let concurrent = async {
            finished.await.unwrap();
            if key == "a" {
                lease.release(&db).await.unwrap();
            }
            take(&db, user, key, "2").await
        };
        let (committed, turn) = tokio::join!(committing, concurrent);
        committed.unwrap();
        assert_eq!(turn, Acquisition::Completed(done(key)), "{key}");
    }
}

#[tokio::test]
async fn row_locks_of_a_dead_machine_last_for_half_a_minute_only() {
    let Some(mut proxy) = proxy_before_postgres("idempotency_vanished").await else {
        return skip::other_setup("SQLite has no network");
    };
    let dead = entity::connect(&proxy.url, 4).await.unwrap();
    migration::run(&dead).await.unwrap();
    let user = new_task(&dead).await.owner();
    let lease = first(&dead, user, "k", "1").await;
    let (sender, finished) = tokio::sync::oneshot::channel();
    let committing = tokio::spawn(async move {
        let written = entity::write(&dead, async |db| {
            assert!(lease.store_reply(db, done("never seen")).await.unwrap());
            sender.send(()).unwrap();
            std::future::pending::<Result<(), entity::DbErr>>().await
        });
        written.await
    });
    finished.await.unwrap();
    proxy.stop_forwarding();
    let other = entity::connect(&proxy.url, 4).await.unwrap();
    let begun = std::time::Instant::now();
    let turn = take(&other, user, "k", "2").await;
    println!(
        "another request was answered after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert!(
        begun.elapsed().as_secs() < 60 && turn != Acquisition::Completed(done("never seen")),
        "{turn:?}"
    );
    committing.abort();
}
