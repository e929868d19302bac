//! A catalog that cannot be written: changes are acknowledged without waiting for it, and it follows again afterwards.
//! A catalog that has videos which the database has no more.

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, MP4, Reply, SmallDisk, TestApp};

/// A change waits for the catalog for up to a second.
const WAIT: Duration = Duration::from_secs(1);

/// For the catalog to be filled and to follow again, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

async fn rename(caller: &Caller, video: i64, title: &str) -> Duration {
    let request = caller.request(Method::PATCH, &format!("/api/videos/{video}"));
    let begun = Instant::now();
    let reply = Reply::read(request.json(&json!({ "title": title })).send().await.unwrap()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    begun.elapsed()
}

/// Uploads, changes and removals; returns the shortest time of each kind, which a busy machine does not lengthen.
async fn shortest_times(caller: &Caller) -> Vec<Duration> {
    let (mut uploads, mut changes, mut removals) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..4 {
        let begun = Instant::now();
        let reply = caller.upload("clip.mp4", MP4.to_vec(), &[]).await;
        uploads.push(begun.elapsed());
        assert_eq!(reply.status, 201, "{reply:?}");
        let video = reply.body["video_id"].as_i64().unwrap();
        changes.push(rename(caller, video, &format!("clip {number}")).await);
        let begun = Instant::now();
        assert_eq!(caller.delete(&format!("/api/videos/{video}")).await.status, 204);
        removals.push(begun.elapsed());
    }
    [uploads, changes, removals]
        .into_iter()
        .map(|times| times.into_iter().min().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_catalog_whose_directory_cannot_be_created() {
    // A directory below a file.
    let app = TestApp::idle_with(|config| {
        let file = config.catalog_dir.with_extension("file");
        std::fs::write(&file, b"").unwrap();
        config.catalog_dir = file.join("catalog");
    })
    .await;
    let caller = app.caller().await;
    let list = caller.get("/api/videos").await;
    assert_eq!((list.status, list.code()), (503, "catalog_filling"));
    let times = shortest_times(&caller).await;
    println!("upload, change, removal: {times:?}");
    assert!(times.iter().all(|time| *time < WAIT / 2), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_catalog_on_a_full_disk_and_it_follows_when_there_is_space_again() {
    let Some(disk) = SmallDisk::mount(1) else { return };
    let app = TestApp::idle().await;
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_CATALOG_DIR", disk.path().display().to_string()));
    environment.push(("RUSHES_JWT_SECRET", tests::SECRET.to_owned()));
    let mut backend = Server::start_in("backend", app.directory.path(), &environment);
    backend.ready().await;
    let mut caller = app.caller().await;
    caller.url.clone_from(&backend.url);
    let titled = async |title: &str| {
        let list = caller.get("/api/videos").await;
        let videos = list.body["data"].as_array().cloned().unwrap_or_default();
        list.status == 200 && videos.iter().any(|video| video["title"] == title)
    };
    let begun = Instant::now();
    let upload = caller.upload("first.mp4", MP4.to_vec(), &[]).await;
    let video = upload.body["video_id"].as_i64().unwrap();
    while !titled("first").await {
        assert!(begun.elapsed() < LIMIT, "{}", backend.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Fills the pages that are free in the files of the catalog as well.
    let mut number = 0;
    loop {
        disk.fill();
        number += 1;
        rename(&caller, video, &format!("title {number}")).await;
        if !titled(&format!("title {number}")).await {
            break;
        }
        assert!(number < 2_000, "the disk was never full");
    }
    let times = shortest_times(&caller).await;
    println!("full after {number} changes; upload, change, removal: {times:?}");
    assert!(times.iter().all(|time| *time < WAIT / 2), "{times:?}");
    // What was known before is still answered.
    assert_eq!(caller.get("/api/videos").await.status, 200);
    disk.free();
    let begun = Instant::now();
    rename(&caller, video, "last").await;
    while !titled("last").await {
        assert!(begun.elapsed() < LIMIT, "{}", backend.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_that_was_deleted_without_a_row_in_the_log_disappears() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let mut videos = Vec::new();
    for name in ["kept.mp4", "deleted.mp4", "kept too.mp4"] {
        let upload = caller.upload(name, MP4.to_vec(), &[]).await;
        videos.push(upload.body["video_id"].as_i64().unwrap());
    }
    // A process of a version without the library deletes the last task of a source, then the source.
    let source = format!("SELECT source_id FROM videos WHERE id = {}", videos[1]);
    for statement in [
        format!("DELETE FROM tasks WHERE source_id = ({source})"),
        format!("DELETE FROM sources WHERE id = ({source})"),
    ] {
        app.db.execute_unprepared(&statement).await.unwrap();
    }
    let begun = Instant::now();
    loop {
        let list = caller.get("/api/videos").await;
        let mut titles: Vec<_> = list.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|video| video["title"].clone())
            .collect();
        titles.sort_by_key(ToString::to_string);
        // JSON texts end in a quotation mark, which is after a space.
        if titles == ["kept too", "kept"] {
            break;
        }
        assert_eq!(titles.len(), 3, "{titles:?}");
        assert!(begun.elapsed() < LIMIT, "the video is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
