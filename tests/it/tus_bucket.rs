//! Objects that a resumable upload leaves in a bucket between its requests.

use crate::tus::{source_of, video};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::path::PathBuf;
use tests::{TestApp, Tus};

/// The stored files below `uploads/`.
fn tails(app: &TestApp) -> Vec<PathBuf> {
    let mut files = app.stored_files();
    files.retain(|file| file.components().any(|part| part.as_os_str() == "uploads"));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_a_bucket_has_at_most_one_tail_after_any_number_of_requests() {
    let app = TestApp::idle_with_bucket().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 12_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    let mut sent = 0;
    for (end, count) in [
        (0, 0),
        (1, 1),
        (5_000, 1),
        (300_000, 1),
        (7_000_000, 1),
        (2 * (5 << 20), 0),
        (11_000_000, 1),
    ] {
        assert_eq!(tus.send(&path, sent, bytes[sent..end].to_vec()).await.status, 204);
        let before = tails(&app);
        assert_eq!(before.len(), count, "{end}: {before:?}");
        assert_eq!(tus.send(&path, end, Vec::new()).await.status, 204);
        assert_eq!(tails(&app), before, "a request without bytes stores nothing");
        sent = end;
    }
    assert_eq!(tus.send(&path, sent, bytes[sent..].to_vec()).await.status, 204);
    assert_eq!(tails(&app), Vec::<PathBuf>::new());
    let task = tus.task(&path).await.body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_holder_was_replaced_is_copied_and_its_old_files_are_removed_later() {
    let app = TestApp::idle_with_bucket().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 12_000_000);
    for sent in [1_000, 6_000_000] {
        let path = tus.create("clip.mp4", bytes.len()).await;
        assert_eq!(tus.send(&path, 0, bytes[..sent].to_vec()).await.status, 204);
        let before = upload(&app).await;
        replace_holder(&app).await;
        assert_eq!(tus.send(&path, sent, bytes[sent..7_000_000].to_vec()).await.status, 204);
        let after = upload(&app).await;
        assert_ne!(after.key, before.key);
        assert!(!after.replaced);
        assert_eq!(trash(&app).await, before.files());
        assert_eq!(
            tus.send(&path, 7_000_000, bytes[7_000_000..].to_vec()).await.status,
            204
        );
        let task = tus.task(&path).await.body["task_id"].as_i64().unwrap();
        assert!(source_of(&app, task).await == bytes);
        assert_eq!(tus.remove(&path).await, 204);
        app.db.execute_unprepared("DELETE FROM trash").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_replaced_holder_may_write_again_stay_on_the_trash_list_after_a_removal() {
    let app = TestApp::idle_with_bucket().await;
    let tus = Tus::of(app.caller().await);
    let path = tus.create("clip.mp4", 12_000_000).await;
    let bytes = video(&app, 6_000_000);
    assert_eq!(tus.send(&path, 0, bytes).await.status, 204);
    let files = upload(&app).await.files();
    replace_holder(&app).await;
    assert_eq!(tus.remove(&path).await, 204);
    assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
    assert_eq!(trash(&app).await, files);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_parts_the_bucket_has_aborted_is_not_found() {
    let app = TestApp::idle_with_bucket().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 20_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    assert_eq!(tus.send(&path, 0, bytes[..6_000_000].to_vec()).await.status, 204);
    let row = upload(&app).await;
    let key = storage::Key::parse(&row.key).unwrap();
    app.storage.abort_multipart(&key, row.open_multipart()).await.unwrap();
    let gone = tus.send(&path, 6_000_000, bytes[6_000_000..].to_vec()).await;
    assert_eq!((gone.status, gone.code()), (404, "upload_not_found"), "{gone:?}");
}

/// The only upload that is no task yet.
async fn upload(app: &TestApp) -> entity::upload::Model {
    let open = entity::upload::Entity::find().filter(entity::upload::Column::TaskId.is_null());
    open.one(&app.db).await.unwrap().unwrap()
}

/// Marks the upload as one whose holder was replaced without releasing it.
async fn replace_holder(app: &TestApp) {
    let replaced = "UPDATE uploads SET replaced = (1 = 1)";
    app.db.execute_unprepared(replaced).await.unwrap();
}

/// The keys on the trash list, in order.
async fn trash(app: &TestApp) -> Vec<String> {
    let rows = entity::trash::Entity::find().all(&app.db).await.unwrap();
    let mut keys: Vec<_> = rows.into_iter().map(|row| row.key).collect();
    keys.sort();
    keys
}
