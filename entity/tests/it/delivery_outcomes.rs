//! Outcomes of attempts while the account changes, disables and removes its endpoints.

use crate::deliveries::{claim_all, dispatch_all, endpoint, listed, settle};
use crate::seed::{database, event_types, new_user, task_of};
use domain::{DeliveryStatus, UserId};
use entity::delivery::{self, Claimed, Outcome, Settled};
use entity::webhook::{self, Change};
use entity::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use serde_json::json;
use std::time::Duration;

/// Number of rounds of each worker and of each client.
const ROUNDS: usize = 60;
const GONE: Outcome = Outcome::Gone {
    pause: Some(Duration::ZERO),
};
const FAILED: Outcome = Outcome::Failed {
    error: "status",
    pause: Some(Duration::ZERO),
};

/// Changes an endpoint as a request does. Returns `false` if it was removed.
async fn update(db: &DatabaseConnection, id: i64, change: Change) -> Result<bool, DbErr> {
    entity::write(db, async |db| {
        let url = change.url.clone();
        let Some(changed) = webhook::update(db, id, change).await? else {
            return Ok(false);
        };
        if changed.disabled_at.is_some() {
            delivery::end_waiting(db, id, None).await?;
        } else if let Some(url) = url {
            delivery::set_url_of_waiting(db, id, &url).await?;
        }
        Ok(true)
    })
    .await
}

fn url(url: &str) -> Change {
    Change {
        url: Some(url.to_owned()),
        ..Change::default()
    }
}

fn enabled(enabled: bool) -> Change {
    Change {
        enabled: Some(enabled),
        ..Change::default()
    }
}

async fn reason(db: &DatabaseConnection, owner: UserId, id: i64) -> Option<String> {
    let found = webhook::of_user(db, owner, id).await.unwrap();
    found.unwrap().disabled_reason
}

#[tokio::test]
async fn a_late_410_of_an_old_url_disables_nothing_and_its_message_goes_to_the_new_one() {
    let (db, _directory) = database("outcomes_late_410").await;
    let owner = new_user(&db).await;
    let endpoint = endpoint(&db, owner, &[]).await;
    for _ in 0..2 {
        task_of(&db, owner).await;
    }
    dispatch_all(&db).await;
    let claimed = claim_all(&db).await;
    assert_eq!(claimed.len(), 2);
    let new = "https://new.example.com/";
    assert!(update(&db, endpoint.id, url(new)).await.unwrap());
    settle(&db, &claimed[0], GONE).await;
    settle(&db, &claimed[1], FAILED).await;
    assert_eq!(reason(&db, owner, endpoint.id).await, None);
    let again = claim_all(&db).await;
    assert!(
        again.len() == 2 && again.iter().all(|one| one.delivery.url == new),
        "{again:?}"
    );
    assert_eq!(again[0].endpoint.failing_since, None, "the old URL has failed");
    settle(&db, &again[0], GONE).await;
    assert_eq!(reason(&db, owner, endpoint.id).await.as_deref(), Some("gone"));
    let ended = listed(&db, owner).await;
    assert!(
        ended.iter().all(|one| one.status() == DeliveryStatus::Failed),
        "{ended:?}"
    );
    settle(&db, &again[1], FAILED).await;
    assert!(claim_all(&db).await.is_empty(), "one that is being sent has ended too");
    assert_eq!(dispatch_all(&db).await, 0, "of the event that it is disabled");
}

#[tokio::test]
async fn an_endpoint_that_was_enabled_again_begins_anew() {
    let (db, _directory) = database("outcomes_enabled").await;
    let owner = new_user(&db).await;
    let endpoint = endpoint(&db, owner, &[]).await;
    task_of(&db, owner).await;
    dispatch_all(&db).await;
    settle(&db, &claim_all(&db).await[0], FAILED).await;
    let long_ago = "UPDATE webhook_endpoints SET failing_since = '2026-01-01 00:00:00+00:00'";
    db.execute_unprepared(long_ago).await.unwrap();
    settle(&db, &claim_all(&db).await[0], FAILED).await;
    assert_eq!(reason(&db, owner, endpoint.id).await.as_deref(), Some("failing"));
    assert!(update(&db, endpoint.id, enabled(true)).await.unwrap());
    let task = task_of(&db, owner).await;
    dispatch_all(&db).await;
    let claimed = claim_all(&db).await;
    assert_eq!((claimed.len(), claimed[0].delivery.task_id), (1, Some(task.id)));
    settle(&db, &claimed[0], FAILED).await;
    assert_eq!(reason(&db, owner, endpoint.id).await, None);
    assert_eq!(event_types(&db, task.id).await, ["task.created"]);
}

/// A worker that sends messages, of which few are answered with 410.
async fn work(db: DatabaseConnection) -> Result<(), DbErr> {
    for _ in 0..ROUNDS {
        delivery::dispatch(&db).await?;
        let due = delivery::due(&db, &[], 60).await?;
        let claimed = delivery::claim(&db, due.into_iter().map(|(id, _)| id).collect()).await?;
        let settled = |(number, claimed): (usize, Claimed)| Settled {
            claimed,
            status_code: None,
            outcome: match number % 31 {
                30 => GONE,
                even if even % 2 == 0 => FAILED,
                odd if odd % 3 == 0 => Outcome::Released,
                _ => Outcome::Delivered,
            },
        };
        let settled: Vec<_> = claimed.into_iter().enumerate().map(settled).collect();
        entity::write(&db, async |db| delivery::settle(db, &settled).await).await?;
        delivery::end_overdue(&db, Duration::ZERO, 2).await?;
    }
    Ok(())
}

/// Requests that change endpoints and send messages.
async fn request(db: DatabaseConnection, owner: UserId, ids: Vec<i64>) -> Result<(), DbErr> {
    for number in 0..ROUNDS {
        let removed = endpoint(&db, owner, &[]).await.id;
        for &id in ids.iter().chain([&removed]) {
            let change = match number % 3 {
                0 => enabled(true),
                1 => url(&format!("https://hooks.example.com/{number}")),
                _ => enabled(false),
            };
            update(&db, id, change).await?;
            entity::write(&db, async |db| send(db, id).await).await?;
        }
        task_of(&db, owner).await;
        webhook::remove(&db, removed).await?;
    }
    Ok(())
}

/// Sends new messages to an endpoint if it is enabled, and the first of them again.
async fn send(db: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
    let endpoint = webhook::lock(db, [id]).await?.remove(0);
    if endpoint.disabled_at.is_some() {
        return Ok(());
    }
    let data = serde_json::value::to_raw_value(&json!({})).unwrap();
    let first = delivery::create(db, &endpoint, "webhook.test", &data).await?;
    for _ in 0..10 {
        delivery::create(db, &endpoint, "webhook.test", &data).await?;
    }
    delivery::send_again(db, &first.id, &first.url).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_requests_at_once_fail_nothing_and_what_waits_has_the_url_of_an_enabled_endpoint() {
    let (db, _directory) = database("outcomes_storm").await;
    let owner = new_user(&db).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(endpoint(&db, owner, &[]).await.id);
    }
    let reversed = ids.iter().rev().copied().collect();
    let running = [
        tokio::spawn(work(db.clone())),
        tokio::spawn(work(db.clone())),
        tokio::spawn(request(db.clone(), owner, ids.clone())),
        tokio::spawn(request(db.clone(), owner, reversed)),
    ];
    for running in running {
        running.await.unwrap().unwrap();
    }
    for waiting in listed(&db, owner)
        .await
        .into_iter()
        .filter(|one| one.run_at_ms.is_some())
    {
        let endpoint = webhook::of_user(&db, owner, waiting.endpoint_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (endpoint.disabled_at, Some(&waiting.url)),
            (None, endpoint.url.as_ref())
        );
    }
    for id in ids {
        assert!(webhook::remove(&db, id).await.unwrap());
    }
    assert_eq!(listed(&db, owner).await, []);
}
