//! Places of guest links: each is taken once, and returned by the upload that is removed without a task.

use crate::seed::{database, new_task, new_user};
use domain::UserId;
use entity::guest_link::{self, Changes};
use entity::upload::{self, Guest, UploadLease};
use entity::{DatabaseConnection, DbErr};
use sea_orm::{ConnectionTrait, JsonValue};
use std::time::Duration;

const TTL: Duration = Duration::from_hours(1);

async fn new_link(db: &DatabaseConnection, user: UserId, max_uploads: i64) -> guest_link::Model {
    let new = guest_link::New {
        token_hash: format!("hash of {user}"),
        title: None,
        max_bytes: 10,
        max_uploads,
        expires_at_ms: i64::MAX / 2,
        password_hash: None,
        preset: None,
        recipe: JsonValue::Null,
    };
    let created = entity::write(db, async |db| guest_link::create(db, user, new).await);
    created.await.unwrap()
}

/// Inserts an upload if the link has a place.
async fn begin(db: &DatabaseConnection, link: &guest_link::Model, id: &str) -> bool {
    let new = upload::New {
        id: id.to_owned(),
        key: format!("sources/{id}"),
        file_name: "clip.mp4".to_owned(),
        metadata: String::new(),
        length_bytes: Some(10),
        presigned: false,
        fetched: false,
        multipart_id: None,
        part_bytes: 0,
        guest: Some(Guest {
            link: link.id,
            session: format!("session of {id}"),
            max_bytes: 10,
        }),
        purpose: domain::UploadPurpose::Video,
    };
    let begun = entity::user::write(db, link.owner(), async |db| {
        let has_place = guest_link::take_place(db, link.id).await?;
        if has_place {
            upload::create(db, link.owner(), &new, TTL).await?;
        }
        Ok::<_, DbErr>(has_place)
    });
    begun.await.unwrap()
}

async fn remove(db: &DatabaseConnection, id: &str) -> bool {
    let lease = UploadLease::new(id.to_owned(), "1".to_owned());
    lease.take(db, None).await.unwrap();
    entity::write(db, async |db| lease.delete(db).await).await.unwrap()
}

async fn places(db: &DatabaseConnection, link: &guest_link::Model) -> i64 {
    guest_link::by_id(db, link.id).await.unwrap().unwrap().uploads
}

#[tokio::test]
async fn places_are_taken_once_and_returned_without_a_task() {
    let (db, _directory) = database("guest_links").await;
    let user = new_user(&db).await;
    let link = new_link(&db, user, 2).await;
    assert!(begin(&db, &link, "a").await && begin(&db, &link, "b").await);
    assert!(!begin(&db, &link, "c").await, "there are two places");
    assert!(remove(&db, "a").await);
    assert!(!remove(&db, "a").await);
    assert_eq!(places(&db, &link).await, 1);
    let task = new_task(&db).await.id;
    let finished = format!("UPDATE uploads SET task_id = {task} WHERE id = 'b'");
    db.execute_unprepared(&finished).await.unwrap();
    assert!(remove(&db, "b").await);
    assert_eq!(places(&db, &link).await, 1, "a task keeps the place");
    assert_eq!(upload::count_open(&db, user, true).await.unwrap(), 0);
}

#[tokio::test]
async fn a_revoked_or_expired_link_has_no_places_and_belongs_to_one_account() {
    let (db, _directory) = database("guest_links_closed").await;
    let (user, other) = (new_user(&db).await, new_user(&db).await);
    let link = new_link(&db, user, 9).await;
    let revoked = |revoked| Changes {
        revoked: Some(revoked),
        ..Changes::default()
    };
    assert!(
        guest_link::update(&db, other, link.id, revoked(true))
            .await
            .unwrap()
            .is_none()
    );
    assert!(guest_link::of_user(&db, other, link.id).await.unwrap().is_none());
    assert!(!guest_link::remove(&db, other, link.id).await.unwrap());
    guest_link::update(&db, user, link.id, revoked(true))
        .await
        .unwrap()
        .unwrap();
    assert!(!begin(&db, &link, "a").await);
    guest_link::update(&db, user, link.id, revoked(false))
        .await
        .unwrap()
        .unwrap();
    assert!(begin(&db, &link, "a").await);
    let expired = Changes {
        expires_at_ms: Some(1),
        ..Changes::default()
    };
    guest_link::update(&db, user, link.id, expired).await.unwrap().unwrap();
    assert!(!begin(&db, &link, "b").await);
    let unchanged = guest_link::update(&db, user, link.id, Changes::default())
        .await
        .unwrap();
    assert_eq!(unchanged.unwrap().uploads, 1);
    let of_other = Guest {
        link: link.id,
        session: "other".to_owned(),
        max_bytes: 10,
    };
    assert!(upload::of_guest(&db, &of_other, "a").await.unwrap().is_none());
    assert!(guest_link::remove(&db, user, link.id).await.unwrap());
    assert!(remove(&db, "a").await, "the link may be gone");
}

#[tokio::test]
async fn received_files_of_guests_wait_for_a_task_or_an_error() {
    let (db, _directory) = database("guest_links_received").await;
    let user = new_user(&db).await;
    let link = new_link(&db, user, 9).await;
    for id in ["a", "b", "c"] {
        assert!(begin(&db, &link, id).await);
    }
    let received = "UPDATE uploads SET received_bytes = 10 WHERE id <> 'c'";
    db.execute_unprepared(received).await.unwrap();
    let waiting = async || {
        let rows = upload::received_from_guests(&db, 9).await.unwrap();
        let mut ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(waiting().await, ["a", "b"]);
    let lease = UploadLease::new("a".to_owned(), "1".to_owned());
    lease.take(&db, None).await.unwrap().unwrap();
    assert_eq!(waiting().await, ["b"], "a is held");
    let fail = async || entity::write(&db, async |db| upload::fail(db, "b", "recipe_invalid", "x").await).await;
    assert!(fail().await.unwrap() && !fail().await.unwrap());
    assert_eq!(waiting().await, Vec::<String>::new());
}
