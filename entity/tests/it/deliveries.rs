//! Deliveries: one for each event and endpoint, leases, and outcomes of attempts that came too late.

use crate::seed::{database, new_user, task_of};
use domain::{DeliveryStatus, UserId};
use entity::delivery::{self, Claimed, Model, Outcome, Page, Settled};
use entity::webhook::{self, EventTypes};
use entity::{DatabaseConnection, user};
use sea_orm::ConnectionTrait;
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) async fn endpoint(db: &DatabaseConnection, owner: UserId, event_types: &[&str]) -> webhook::Model {
    let new = webhook::New {
        url: "https://hooks.example.com/".to_owned(),
        event_types: EventTypes(event_types.iter().map(|&word| word.to_owned()).collect()),
        secret: "s3cret".to_owned(),
    };
    let created = user::write(db, owner, async |db| webhook::create(db, owner, new).await);
    created.await.unwrap()
}

pub(crate) async fn dispatch_all(db: &DatabaseConnection) -> usize {
    let mut deliveries = 0;
    while delivery::has_events(db).await.unwrap() {
        deliveries += delivery::dispatch(db).await.unwrap().1;
    }
    deliveries
}

pub(crate) async fn listed(db: &DatabaseConnection, owner: UserId) -> Vec<Model> {
    let page = Page {
        limit: 1_000,
        ..Page::default()
    };
    delivery::list(db, owner, page).await.unwrap()
}

pub(crate) async fn claim_all(db: &DatabaseConnection) -> Vec<Claimed> {
    let due = delivery::due(db, &[], 100).await.unwrap();
    delivery::claim(db, due.into_iter().map(|(id, _)| id).collect())
        .await
        .unwrap()
}

pub(crate) async fn settle(db: &DatabaseConnection, claimed: &Claimed, outcome: Outcome) {
    let settled = Settled {
        claimed: claimed.clone(),
        status_code: Some(500),
        outcome,
    };
    let written = entity::write(db, async |db| delivery::settle(db, &[settled]).await);
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_make_one_delivery_of_each_event_for_each_endpoint_that_wants_it() {
    const TASKS: usize = 60;
    let (db, _directory) = database("deliveries_dispatch").await;
    let (owner, other) = (new_user(&db).await, new_user(&db).await);
    task_of(&db, owner).await;
    endpoint(&db, owner, &[]).await;
    endpoint(&db, owner, &["task.created"]).await;
    endpoint(&db, owner, &["task.failed"]).await;
    endpoint(&db, other, &[]).await;
    let workers = (0..3).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let mut deliveries = 0;
            for _ in 0..200 {
                deliveries += dispatch_all(&db).await;
                tokio::task::yield_now().await;
            }
            deliveries
        })
    });
    let workers: Vec<_> = workers.collect();
    for _ in 0..TASKS {
        task_of(&db, owner).await;
    }
    let mut deliveries = 0;
    for worker in workers {
        deliveries += worker.await.unwrap();
    }
    deliveries += dispatch_all(&db).await;
    let listed = listed(&db, owner).await;
    assert_eq!((deliveries, listed.len()), (2 * TASKS, 2 * TASKS));
    let unique: BTreeSet<_> = listed.iter().map(|one| (one.endpoint_id, one.task_id)).collect();
    assert_eq!(unique.len(), 2 * TASKS, "an event was dispatched twice");
}

#[tokio::test]
async fn a_delivery_is_claimed_once_and_again_after_its_lease_and_a_late_outcome_changes_nothing() {
    let (db, _directory) = database("deliveries_lease").await;
    let owner = new_user(&db).await;
    let endpoint = endpoint(&db, owner, &[]).await;
    task_of(&db, owner).await;
    dispatch_all(&db).await;
    assert_eq!(
        delivery::due(&db, &[endpoint.id], 9).await.unwrap(),
        [],
        "its places are taken"
    );
    let first = claim_all(&db).await.remove(0);
    assert_eq!((first.delivery.attempt, first.endpoint.id), (1, endpoint.id));
    assert!(claim_all(&db).await.is_empty(), "it is held");
    // Its lease ends.
    let expire = "UPDATE webhook_deliveries SET run_at_ms = 1 WHERE run_at_ms IS NOT NULL";
    db.execute_unprepared(expire).await.unwrap();
    let second = claim_all(&db).await.remove(0);
    assert_eq!((&second.delivery.id, second.delivery.attempt), (&first.delivery.id, 2));
    settle(&db, &first, Outcome::Delivered).await;
    assert_eq!(
        listed(&db, owner).await[0].status(),
        DeliveryStatus::Pending,
        "too late"
    );
    let later = Outcome::Failed {
        error: "status",
        pause: Some(Duration::from_hours(1)),
    };
    settle(&db, &second, later).await;
    let failed = listed(&db, owner).await.remove(0);
    assert_eq!((failed.failures, failed.status_code), (1, Some(500)));
    assert!(claim_all(&db).await.is_empty(), "it waits");
    let again = entity::write(&db, async |db| delivery::send_again(db, &failed.id, &failed.url).await);
    let again = again.await.unwrap();
    assert_eq!((again.failures, again.status()), (0, DeliveryStatus::Pending));
    let third = claim_all(&db).await.remove(0);
    settle(&db, &third, Outcome::Delivered).await;
    let ended = listed(&db, owner).await.remove(0);
    assert_eq!((ended.status(), ended.error), (DeliveryStatus::Delivered, None));
    assert_eq!(
        delivery::delete_ended(&db, Duration::from_hours(1), 9).await.unwrap(),
        0
    );
    assert_eq!(delivery::delete_ended(&db, Duration::ZERO, 9).await.unwrap(), 1);
}

#[tokio::test]
async fn an_account_has_one_secret_for_tasks_and_no_secret_is_in_debug_output() {
    let (db, _directory) = database("deliveries_secret").await;
    let owner = new_user(&db).await;
    let first = webhook::of_tasks(&db, owner, "s3cret").await.unwrap();
    let again = webhook::of_tasks(&db, owner, "other").await.unwrap();
    assert_eq!((first.id, again.secret.as_str()), (again.id, "s3cret"));
    assert_eq!(
        (
            webhook::count(&db, owner).await.unwrap(),
            webhook::list(&db, owner).await.unwrap()
        ),
        (0, vec![])
    );
    let rotated = entity::write(&db, async |db| {
        webhook::rotate(db, first.id, "n3w", Duration::from_hours(1)).await
    });
    let rotated = rotated.await.unwrap().unwrap();
    assert_eq!(
        (rotated.secret.as_str(), rotated.signing_previous()),
        ("n3w", Some("s3cret"))
    );
    let debug = format!("{rotated:?}");
    assert!(!debug.contains("n3w") && !debug.contains("s3cret"), "{debug}");
}
