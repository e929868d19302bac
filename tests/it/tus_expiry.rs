//! Resumable uploads that are not continued, and a disk that is full.

use crate::tus::{source_of, video};
use sea_orm::ConnectionTrait;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, SmallDisk, TestApp, Tus};

/// The number of stored files that are no outputs.
fn sources(app: &TestApp) -> usize {
    let files = app.stored_files();
    let is_source = |file: &&PathBuf| !file.components().any(|part| part.as_os_str() == "outputs");
    files.iter().filter(is_source).count()
}

/// Runs a worker until expired uploads and their files are removed and this number of sources is left.
pub(crate) async fn wait_until_removed(app: &TestApp, left: usize) {
    // The background tasks remove at once when they start, the files one round after the rows.
    let begun = Instant::now();
    let is_left =
        |line: &String| line.starts_with("uploads:") || line.starts_with("trash:") || line.contains("/uploads/");
    while app.snapshot().await.iter().any(is_left) || sources(app) > left {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:#?}", app.snapshot().await);
        let mut worker = Server::start_in("worker", app.directory.path(), &app.environment);
        worker.ready().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_not_continued_expire_and_leave_nothing() {
    let mut app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 7_000_000);
    let mut paths = Vec::new();
    for end in [0, 1_000, 6_000_000, bytes.len()] {
        let path = tus.create("clip.mp4", bytes.len()).await;
        if end > 0 {
            assert_eq!(tus.send(&path, 0, bytes[..end].to_vec()).await.status, 204);
        }
        paths.push(path);
    }
    let used = tus.create("clip.mp4", bytes.len()).await;
    assert_eq!(tus.send(&used, 0, bytes.clone()).await.status, 204);
    let task = tus.task(&used).await.body["task_id"].as_i64().unwrap();
    app.db
        .execute_unprepared("UPDATE uploads SET expires_at_ms = 1")
        .await
        .unwrap();
    for path in paths.iter().chain([&used]) {
        assert_eq!(tus.head(path).await.status, 404);
        assert_eq!(tus.send(path, 0, vec![1]).await.status, 404);
        assert_eq!(tus.task(path).await.status, 404);
    }
    wait_until_removed(&app, 1).await;
    assert!(source_of(&app, task).await == bytes, "the file of a task stays");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_refused_and_the_offset_stays_true() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let home = tempfile::tempdir().unwrap();
    let environment = [
        ("RUSHES_DATA_DIR", home.path().join("data").display().to_string()),
        ("STORAGE_URL", format!("file://{}/objects", disk.path().display())),
    ];
    let mut server = Server::start("up", &home.path().join("log"), &environment);
    server.ready().await;
    let tus = Tus::of(Caller::sign_up(&server.url).await);
    let app = TestApp::idle().await;
    let bytes = video(&app, 12_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    assert_eq!(tus.send(&path, 0, bytes[..2_000_000].to_vec()).await.status, 204);
    disk.fill();
    for _ in 0..3 {
        let full = tus.send(&path, 2_000_000, bytes[2_000_000..].to_vec()).await;
        assert_eq!((full.status, full.code()), (507, "storage_full"));
        assert_eq!(tus.offset(&path).await, 2_000_000);
    }
    disk.free();
    server.signal("-KILL");
    server.ended().await;
    let mut server = Server::start("up", &home.path().join("log"), &environment);
    server.ready().await;
    let mut tus = tus;
    tus.caller.url.clone_from(&server.url);
    assert_eq!(tus.offset(&path).await, 2_000_000);
    assert_eq!(
        tus.send(&path, 2_000_000, bytes[2_000_000..].to_vec()).await.status,
        204
    );
    let created = tus.task(&path).await;
    assert_eq!(created.status, 201, "{created:?}");
    let stored = std::fs::read_dir(disk.path().join("objects/sources")).unwrap();
    let stored: Vec<PathBuf> = stored.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(stored.len(), 1);
    assert!(std::fs::read(&stored[0]).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fills_the_disk_leaves_the_database_space_for_its_removal() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let home = tempfile::tempdir().unwrap();
    let environment = [("RUSHES_DATA_DIR", disk.path().join("data").display().to_string())];
    let mut server = Server::start("up", &home.path().join("log"), &environment);
    server.ready().await;
    let tus = Tus::of(Caller::sign_up(&server.url).await);
    let app = TestApp::idle().await;
    let bytes = video(&app, 100_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    let mut piece = 16_000_000;
    while piece > 1_000 {
        let offset = tus.offset(&path).await;
        let sent = tus.send(&path, offset, bytes[offset..offset + piece].to_vec()).await;
        assert!([204, 507].contains(&sent.status), "{sent:?}");
        if sent.status == 507 {
            piece /= 2;
        }
    }
    assert!(tus.offset(&path).await > 30_000_000, "most of the disk can be used");
    assert_eq!(tus.remove(&path).await, 204);
    let next = tus.create("clip.mp4", 20_000_000).await;
    assert_eq!(tus.send(&next, 0, bytes[..20_000_000].to_vec()).await.status, 204);
}
