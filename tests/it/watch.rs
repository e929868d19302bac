//! Watched folders with real processes: a directory and a prefix of a bucket, two watchers, and kills at any moment.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::server::Server;
use tests::{Bucket, Caller, TestApp};

/// The settings of a process that watches a folder.
fn settings(app: &TestApp, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut settings = app.environment.clone();
    settings.push(("RUSHES_WATCH_SETTLE_S", "1".to_owned()));
    settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    settings
}

/// Starts a process in a directory of its own.
fn start(app: &TestApp, name: &str, command: &str, settings: &[(&'static str, String)]) -> Server {
    let directory = app.directory.path().join(name);
    fs::create_dir_all(&directory).unwrap();
    Server::start_in(command, &directory, settings)
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

async fn tasks(owner: &Caller) -> Vec<Value> {
    owner.get("/api/tasks").await.body["data"].as_array().unwrap().clone()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(180), "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_watches_a_directory_and_moves_files_by_the_end_of_their_tasks() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let folder = app.directory.path().join("in");
    fs::create_dir(&folder).unwrap();
    let clip = Clip::default().make(app.directory.path());
    let settings = settings(
        &app,
        &[
            ("RUSHES_WATCH", folder.to_str().unwrap()),
            ("RUSHES_WATCH_PRESET", "audio"),
            ("RUSHES_SANDBOX", "best-effort"),
        ],
    );
    let mut worker = Server::start_in("worker", app.directory.path(), &settings);
    worker.ready().await;
    fs::copy(&clip, folder.join("good.mp4")).unwrap();
    let broken = [tests::MP4, &[0; 4_000]].concat();
    fs::write(folder.join("broken.mp4"), broken).unwrap();
    fs::write(folder.join("letter.mp4"), "no media").unwrap();
    until("the files are moved", async || count(&folder) == 2).await;
    assert!(folder.join("done/good.mp4").exists());
    for (name, status) in [("broken.mp4", "failed".into()), ("letter.mp4", Value::Null)] {
        assert!(folder.join("failed").join(name).exists());
        let error = fs::read_to_string(folder.join(format!("failed/{name}.error.json"))).unwrap();
        let error: Value = serde_json::from_str(&error).unwrap();
        assert!(error["code"].is_string(), "{error}");
        assert_eq!(error["status"], status);
    }
    let of_owner = tasks(&owner).await;
    assert_eq!(of_owner.len(), 2);
    assert!(of_owner.iter().all(|task| task["preset"] == "audio"), "{of_owner:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_are_killed_again_and_again_make_one_task_of_each_file() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let folder = app.directory.path().join("in");
    fs::create_dir(&folder).unwrap();
    let settings = settings(&app, &[]);
    let command = format!("watch {}", folder.display());
    let start = |name: &str| start(&app, name, &command, &settings);
    let total = 12;
    for number in 0..total {
        let content = [tests::MP4, &vec![number; 300_000]].concat();
        fs::write(folder.join(format!("{number}.mp4")), content).unwrap();
    }
    let mut other = start("other");
    let (mut ended, begun) = (0, Instant::now());
    for pause_ms in (0_u64..).map(|round| 400 + 370 * (round % 13)) {
        let one = start("one");
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        if pause_ms % 3 == 0 {
            other.signal("-KILL");
            other.ended().await;
            other = start("other");
        }
        one.end("-KILL").await;
        // The lease of a killed process would end after half a minute.
        let free = "UPDATE watched_files SET until_ms = 1";
        sea_orm::ConnectionTrait::execute_unprepared(&app.db, free)
            .await
            .unwrap();
        for task in tasks(&owner).await.iter().filter(|task| task["status"] == "uploaded") {
            app.finish(
                task["id"].as_i64().unwrap(),
                &[("video.mp4", "mp4", "video/mp4", b"video")],
            )
            .await;
            ended += 1;
        }
        if count(&folder.join("done")) == usize::from(total) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "{ended}");
    }
    other.stop().await;
    let of_owner = tasks(&owner).await;
    assert_eq!(of_owner.len(), usize::from(total), "{of_owner:?}");
    assert_eq!((count(&folder), count(&folder.join("failed"))), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_a_bucket_is_watched_and_its_objects_are_moved() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let root = app.directory.path().join("watched");
    fs::create_dir(&root).unwrap();
    let bucket = Bucket::start(&root).await;
    let folder = bucket.directory.join("in box");
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::copy(
        Clip::default().make(app.directory.path()),
        folder.join("clip [1] 50%~.mp4"),
    )
    .unwrap();
    fs::write(folder.join("letter.mp4"), "no media").unwrap();
    fs::write(folder.join("below/other.mp4"), tests::MP4).unwrap();
    fs::write(folder.join("clip.mp4.part"), tests::MP4).unwrap();
    fs::write(bucket.directory.join("outside.mp4"), tests::MP4).unwrap();
    let place = format!(
        "s3://bucket/in%20box?endpoint=http://{}&region=us-east-1",
        bucket.address
    );
    // The bucket has other keys than that of the storage, if there is one.
    let mut settings = settings(&app, &[]);
    for (name, value) in Bucket::settings(bucket.address) {
        match name {
            "AWS_ACCESS_KEY_ID" => settings.push(("RUSHES_WATCH_ACCESS_KEY_ID", value)),
            "AWS_SECRET_ACCESS_KEY" => settings.push(("RUSHES_WATCH_SECRET_ACCESS_KEY", value)),
            _ => {}
        }
    }
    let command = format!("watch '{place}' --preset audio");
    let watchers = ["one", "other"].map(|name| start(&app, name, &command, &settings));
    until("the task exists", async || tasks(&owner).await.len() == 1).await;
    until("the letter is moved", async || {
        folder.join("failed/letter.mp4.error.json").exists()
    })
    .await;
    let task = tasks(&owner).await[0].clone();
    assert_eq!(
        (&task["display_name"], &task["preset"]),
        (&"clip [1] 50%~.mp4".into(), &"audio".into())
    );
    app.finish(
        task["id"].as_i64().unwrap(),
        &[("audio.m4a", "audio", "audio/mp4", b"audio")],
    )
    .await;
    until("the clip is moved", async || {
        folder.join("done/clip [1] 50%~.mp4").exists() && !folder.join("clip [1] 50%~.mp4").exists()
    })
    .await;
    until("the letter is gone", async || !folder.join("letter.mp4").exists()).await;
    assert!(folder.join("below/other.mp4").exists() && bucket.directory.join("outside.mp4").exists());
    assert!(folder.join("clip.mp4.part").exists());
    assert_eq!(tasks(&owner).await.len(), 1);
    for watcher in watchers {
        watcher.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_without_a_folder_or_an_account_does_not_start() {
    let app = TestApp::idle().await;
    let folder = app.directory.path().join("in");
    fs::create_dir(&folder).unwrap();
    let folder = folder.display();
    for (command, reason) in [
        ("watch /absent/folder".to_owned(), "failed to open the folder"),
        (format!("watch {folder} --user bea@example.com"), "bea@example.com"),
        (format!("watch {folder}"), "there is no account yet"),
        ("watch s3://bucket/in".to_owned(), "access key"),
        (
            "watch 's3://bucket/in?endpoint=http://me:hush@127.0.0.1:9'".to_owned(),
            "access key",
        ),
        (
            format!("watch {}/one", app.directory.path().display()),
            "files of Rushes itself",
        ),
    ] {
        let mut settings = settings(&app, &[]);
        if command.contains("s3:") {
            // A storage in a bucket needs the keys, so this one is in a directory.
            settings.retain(|(name, _)| !name.starts_with("AWS_") && *name != "STORAGE_URL");
        }
        let data_dir = app.directory.path().join("one");
        settings.retain(|(name, _)| *name != "RUSHES_DATA_DIR");
        settings.push(("RUSHES_DATA_DIR", data_dir.display().to_string()));
        let mut server = start(&app, "one", &command, &settings);
        assert_eq!(server.ended().await.code(), Some(1), "{command}");
        assert!(server.log().contains(reason), "{command}: {}", server.log());
        assert!(!server.log().contains("hush"), "{command}: {}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_beside_no_service_creates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("in");
    fs::create_dir(&folder).unwrap();
    let mut server = Server::start_in(&format!("watch {}", folder.display()), directory.path(), &[]);
    assert_eq!(server.ended().await.code(), Some(1));
    assert!(server.log().contains("there is no database"), "{}", server.log());
    assert_eq!(
        (count(&folder), directory.path().join("data/rushes.db").exists()),
        (0, false)
    );
}
