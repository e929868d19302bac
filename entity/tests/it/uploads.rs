//! Resumable uploads: leases, takeover, and the hand-over of the file to a task.

use crate::seed::{database, new_task};
use domain::UserId;
use entity::upload::{self, Checkpoint, Ownership, UploadLease};
use entity::{DatabaseConnection, DbErr};
use sea_orm::ConnectionTrait;
use std::time::Duration;

const TTL: Duration = Duration::from_hours(1);

async fn new_upload(db: &DatabaseConnection, user: UserId, id: &str) -> upload::Model {
    let new = upload::New {
        id: id.to_owned(),
        key: format!("sources/{id}"),
        file_name: "clip.mp4".to_owned(),
        metadata: String::new(),
        length_bytes: Some(10),
        presigned: false,
        fetched: false,
        multipart_id: Some("m".to_owned()),
        part_bytes: 5,
        guest: None,
        purpose: domain::UploadPurpose::Video,
    };
    let created = entity::write(db, async |db| upload::create(db, user, &new, TTL).await);
    created.await.unwrap()
}

fn lease(id: &str, holder: &str) -> UploadLease {
    UploadLease::new(id.to_owned(), holder.to_owned())
}

/// Records bytes and the parts of a multipart upload.
async fn record(db: &DatabaseConnection, lease: &UploadLease, bytes: u64, parts: &[&str]) -> bool {
    let number = |index: usize| u32::try_from(index).unwrap();
    let parts = parts
        .iter()
        .enumerate()
        .map(|(index, part)| (number(index), (*part).to_owned()));
    let progress = Checkpoint {
        received_bytes: bytes,
        hash_state: "ab".to_owned(),
        parts: parts.collect(),
        tail_key: None,
    };
    let written = entity::write(db, async |db| lease.checkpoint(db, &progress, TTL).await);
    written.await.unwrap()
}

async fn attach(db: &DatabaseConnection, lease: &UploadLease, task: i64) -> bool {
    let attached: Result<bool, DbErr> = entity::write(db, async |db| lease.attach(db, task).await).await;
    attached.unwrap()
}

#[tokio::test]
async fn a_request_that_was_replaced_changes_nothing() {
    let (db, _directory) = database("uploads").await;
    let owner = new_task(&db).await.owner();
    new_upload(&db, owner, "a").await;
    let (first, second) = (lease("a", "1"), lease("a", "2"));
    assert!(first.take(&db, None).await.unwrap().is_some());
    assert!(second.take(&db, None).await.unwrap().is_none(), "it is held");
    assert_eq!(first.state(&db).await.unwrap(), Ownership::Held);
    let seen = second.ask(&db).await.unwrap().unwrap();
    assert_eq!(first.state(&db).await.unwrap(), Ownership::Wanted);
    assert!(record(&db, &first, 5, &["p"]).await);
    db.execute_unprepared("UPDATE uploads SET until_ms = until_ms + 1")
        .await
        .unwrap();
    let refused = second.take(&db, Some(&seen)).await.unwrap();
    assert!(refused.is_none(), "the holder has renewed its lease");
    let seen = second.ask(&db).await.unwrap().unwrap();
    let taken = second.take(&db, Some(&seen)).await.unwrap().unwrap();
    assert!(
        lease("a", "3").take(&db, Some(&seen)).await.unwrap().is_none(),
        "another newcomer was faster"
    );
    assert!(
        lease("z", "3").ask(&db).await.unwrap().is_none(),
        "there is no such upload"
    );
    assert_eq!((taken.received(), taken.claimant, taken.replaced), (5, None, true));
    assert_eq!(first.state(&db).await.unwrap(), Ownership::Lost);
    assert!(!record(&db, &first, 9, &["q"]).await);
    assert!(!first.renew(&db).await.unwrap() && !first.set_length(&db, 7).await.unwrap());
    assert!(!first.complete(&db, "ab").await.unwrap());
    assert!(!entity::write(&db, async |db| first.delete(db).await).await.unwrap());
    first.release(&db).await.unwrap();
    assert_eq!(second.state(&db).await.unwrap(), Ownership::Held);
    assert_eq!(upload::parts(&db, "a").await.unwrap(), ["p"]);
    let row = upload::of_user(&db, owner, "a").await.unwrap().unwrap();
    assert_eq!((row.received(), row.length(), row.sha256), (5, Some(10), None));

    second.release(&db).await.unwrap();
    let taken = first.take(&db, None).await.unwrap().expect("it is free");
    assert!(taken.replaced, "until the file is moved");
    let moved = entity::write(&db, async |db| first.move_to(db, "b", Some("m")).await);
    assert!(moved.await.unwrap());
    first.release(&db).await.unwrap();
    let taken = first.take(&db, None).await.unwrap().unwrap();
    assert_eq!((taken.key.as_str(), taken.replaced), ("b", false));
    db.execute_unprepared("UPDATE uploads SET until_ms = 1").await.unwrap();
    assert!(second.take(&db, None).await.unwrap().is_some(), "its lease has ended");
}

#[tokio::test]
async fn a_file_is_handed_over_once_and_only_when_it_is_complete() {
    let (db, _directory) = database("uploads").await;
    let task = new_task(&db).await;
    let (owner, other) = (task.owner(), new_task(&db).await.owner());
    new_upload(&db, owner, "a").await;
    assert!(upload::of_user(&db, other, "a").await.unwrap().is_none());
    assert_eq!(upload::count_open(&db, owner, false).await.unwrap(), 1);
    let lease = lease("a", "1");
    lease.take(&db, None).await.unwrap().unwrap();
    assert!(record(&db, &lease, 10, &["p", "q"]).await);
    assert!(!attach(&db, &lease, task.id).await, "it is not complete");
    assert!(lease.complete(&db, "abc").await.unwrap());
    assert!(attach(&db, &lease, task.id).await);
    assert!(!attach(&db, &lease, task.id).await, "it is released");
    lease.take(&db, None).await.unwrap().unwrap();
    assert!(!attach(&db, &lease, task.id).await, "it has a task");
    assert_eq!(upload::count_open(&db, owner, false).await.unwrap(), 0);
}

#[tokio::test]
async fn an_upload_that_begins_again_has_a_file_that_no_replaced_request_knows() {
    let (db, _directory) = database("uploads").await;
    let owner = new_task(&db).await.owner();
    new_upload(&db, owner, "a").await;
    let first = lease("a", "1");
    first.take(&db, None).await.unwrap().unwrap();
    db.execute_unprepared("UPDATE uploads SET replaced = (1 = 1)")
        .await
        .unwrap();
    let empty = upload::EmptyFile {
        key: "c".to_owned(),
        multipart_id: None,
        part_bytes: 0,
    };
    let again = entity::write(&db, async |db| first.begin_again(db, &empty).await);
    assert!(again.await.unwrap());
    let row = upload::of_user(&db, owner, "a").await.unwrap().unwrap();
    assert_eq!(
        (row.key.as_str(), row.replaced),
        ("c", false),
        "no other request knows the new file"
    );
}

#[tokio::test]
async fn files_to_which_a_replaced_request_may_write_are_removed_again_later() {
    let (db, _directory) = database("uploads").await;
    let owner = new_task(&db).await.owner();
    for id in ["a", "b"] {
        new_upload(&db, owner, id).await;
    }
    lease("a", "1").take(&db, None).await.unwrap().unwrap();
    let dead = "UPDATE uploads SET expires_at_ms = 1, until_ms = 1";
    db.execute_unprepared(dead).await.unwrap();
    for expired in upload::expired(&db, "sweeper", 10).await.unwrap() {
        expired.delete(&db).await.unwrap();
    }
    let due = entity::trash::due(&db, 10).await.unwrap();
    assert_eq!(due, ["sources/b", "uploads/b/"]);
    db.execute_unprepared("UPDATE trash SET due_at_ms = due_at_ms - 3600000")
        .await
        .unwrap();
    assert_eq!(entity::trash::due(&db, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn an_expired_upload_is_taken_once_and_deleted_with_its_parts_and_files() {
    let (db, _directory) = database("uploads").await;
    let owner = new_task(&db).await.owner();
    for id in ["a", "b", "c"] {
        new_upload(&db, owner, id).await;
    }
    let held = lease("b", "1");
    for lease in [&lease("a", "1"), &held] {
        lease.take(&db, None).await.unwrap().unwrap();
        assert!(record(&db, lease, 5, &["p"]).await);
    }
    lease("a", "1").release(&db).await.unwrap();
    db.execute_unprepared("UPDATE uploads SET expires_at_ms = 1 WHERE id <> 'c'")
        .await
        .unwrap();
    assert!(upload::of_user(&db, owner, "a").await.unwrap().is_none());
    assert!(!upload::extend(&db, "a", TTL).await.unwrap(), "its time is over");
    assert!(upload::extend(&db, "c", TTL).await.unwrap());
    let expired = upload::expired(&db, "sweeper", 10).await.unwrap();
    assert_eq!(expired.len(), 1, "b is held, c has time");
    assert!(upload::expired(&db, "other", 10).await.unwrap().is_empty());
    assert_eq!(expired[0].upload.id, "a");
    expired[0].delete(&db).await.unwrap();
    assert!(upload::parts(&db, "a").await.unwrap().is_empty());
    let due = entity::trash::due(&db, 10).await.unwrap();
    assert_eq!(due, ["sources/a", "uploads/a/"]);
}
