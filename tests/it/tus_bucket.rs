//! Objects that a resumable upload leaves in a bucket between its requests.

use crate::tus::{source_of, video};
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
