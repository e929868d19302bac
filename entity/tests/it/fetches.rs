//! Fetched uploads: which are due, and writes of a process that has lost the upload.

use crate::seed::{database, new_user};
use domain::{UploadStatus, UserId};
use entity::DatabaseConnection;
use entity::fetch::{self, Postponed};
use entity::upload::{self, Checkpoint, EmptyFile, UploadLease};
use std::time::Duration;

const TTL: Duration = Duration::from_hours(1);

async fn new_fetch(db: &DatabaseConnection, user: UserId, id: &str) -> UploadLease {
    let upload = upload::New {
        id: id.to_owned(),
        key: format!("sources/{id}"),
        file_name: "clip.mp4".to_owned(),
        metadata: String::new(),
        length_bytes: None,
        presigned: false,
        fetched: true,
        multipart_id: Some("m".to_owned()),
        part_bytes: 5,
        guest: None,
        purpose: domain::UploadPurpose::Video,
    };
    let fetch = fetch::New {
        request: r#"{"url": "https://example.com/clip.mp4"}"#.to_owned(),
        preset: Some("web".to_owned()),
        recipe: "{}".parse().unwrap(),
        webhook_url: None,
        timeout: TTL,
    };
    let created = entity::write(db, async |db| {
        upload::create(db, user, &upload, TTL).await?;
        fetch::create(db, id, &fetch).await
    });
    created.await.unwrap();
    UploadLease::new(id.to_owned(), "first".to_owned())
}

async fn due(db: &DatabaseConnection) -> Vec<String> {
    let due = fetch::due(db, 10, 2).await.unwrap();
    due.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn a_fetch_is_due_until_it_is_held_postponed_or_failed() {
    let (db, _directory) = database("fetches").await;
    let user = new_user(&db).await;
    let lease = new_fetch(&db, user, "a").await;
    assert_eq!(due(&db).await, ["a"]);
    assert!(fetch::remaining(&db, "a").await.unwrap() > TTL / 2);
    let later = Postponed {
        most_bytes: 7,
        failures: 3,
        delay: TTL,
    };
    assert!(!lease.postpone_fetch(&db, later).await.unwrap(), "it is not held");
    assert!(lease.take(&db, None).await.unwrap().is_some());
    assert!(due(&db).await.is_empty(), "it is held");
    lease.release(&db).await.unwrap();
    assert_eq!(due(&db).await, ["a"]);

    lease.take(&db, None).await.unwrap();
    assert!(lease.postpone_fetch(&db, later).await.unwrap());
    lease.release(&db).await.unwrap();
    assert!(due(&db).await.is_empty(), "it is postponed");
    let postponed = fetch::of_upload(&db, "a").await.unwrap().unwrap();
    assert_eq!((postponed.most_bytes, postponed.failures), (7, 3));

    let lease = new_fetch(&db, user, "b").await;
    lease.take(&db, None).await.unwrap();
    assert!(lease.fail_fetch(&db, "source_url_status", "404").await.unwrap());
    let (failed, fetch) = (upload::of_user(&db, user, "b").await, fetch::of_upload(&db, "b").await);
    let status = failed.unwrap().unwrap().status(fetch.unwrap().as_ref());
    assert_eq!(status, UploadStatus::Failed);
    lease.release(&db).await.unwrap();
    assert!(due(&db).await.is_empty(), "it has failed");
    let failed = fetch::of_upload(&db, "b").await.unwrap().unwrap();
    assert_eq!(
        (failed.error_code.as_deref(), failed.request.as_str()),
        (Some("source_url_status"), "")
    );
    assert!(!format!("{failed:?}").contains("example.com"));
}

#[tokio::test]
async fn an_upload_that_begins_again_has_a_new_file_and_no_parts() {
    let (db, _directory) = database("fetches_again").await;
    let user = new_user(&db).await;
    let lease = new_fetch(&db, user, "a").await;
    lease.take(&db, None).await.unwrap();
    let progress = Checkpoint {
        received_bytes: 5,
        hash_state: "ab".to_owned(),
        parts: vec![(0, "p".to_owned())],
        tail_key: Some("tail".to_owned()),
    };
    let recorded = entity::write(&db, async |db| lease.checkpoint(db, &progress, TTL).await);
    assert!(recorded.await.unwrap() && lease.set_length(&db, 9).await.unwrap());
    let file = EmptyFile {
        key: "sources/new".to_owned(),
        multipart_id: None,
        part_bytes: 0,
    };
    let other = UploadLease::new("a".to_owned(), "other".to_owned());
    let begin_again = async |lease: &UploadLease| {
        let written = entity::write(&db, async |db| lease.begin_again(db, &file).await);
        written.await.unwrap()
    };
    assert!(!begin_again(&other).await, "it is held by another process");
    assert!(begin_again(&lease).await);
    let row = upload::of_user(&db, user, "a").await.unwrap().unwrap();
    assert_eq!(
        (row.key.as_str(), row.received(), row.length()),
        ("sources/new", 0, None)
    );
    assert_eq!((row.hash_state, row.tail_key, row.multipart_id), (None, None, None));
    assert!(upload::parts(&db, "a").await.unwrap().is_empty());
    assert!(lease.set_validator(&db, Some("\"v\"")).await.unwrap());
    assert!(!other.set_validator(&db, None).await.unwrap());
}

#[tokio::test]
async fn an_account_with_enough_fetches_in_progress_waits_and_others_do_not() {
    let (db, _directory) = database("fetches_fair").await;
    let (ana, ben) = (new_user(&db).await, new_user(&db).await);
    let mut leases = Vec::new();
    for id in ["a", "b", "c"] {
        leases.push(new_fetch(&db, ana, id).await);
    }
    new_fetch(&db, ben, "d").await;
    for lease in &leases[..2] {
        assert!(lease.take(&db, None).await.unwrap().is_some());
    }
    assert_eq!(due(&db).await, ["d"]);
    leases[0].release(&db).await.unwrap();
    assert_eq!(
        due(&db).await,
        ["d", "a", "c"],
        "first the account with fewer in progress"
    );
}
