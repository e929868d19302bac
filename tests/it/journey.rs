//! The lifecycle of a task: upload, progress, outputs, failure, retry, cancel, removal and shutdown.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::clip::{self, Clip};
use tests::{Caller, Options, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_a_verified_video_and_a_poster() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip::default().make(app.directory.path());
    let task = caller.processed(&source, &[]).await;
    assert_eq!(task["preset"], "web");
    assert_eq!(task["progress"]["percent"], 100);
    assert_eq!(task["source"]["width_px"], 320);
    assert_eq!(task["error"], Value::Null);
    let outputs = task["outputs"].as_array().unwrap();
    let kinds: Vec<_> = outputs.iter().map(|output| output["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["mp4", "poster"]);
    assert_eq!(task["download"].as_array().unwrap().len(), 2);
    for (output, link) in outputs.iter().zip(task["download"].as_array().unwrap()) {
        assert_eq!(&output["url"], link);
        let bytes = caller.download(link.as_str().unwrap()).await;
        assert_eq!(output["bytes"].as_u64().unwrap(), bytes.len() as u64);
        assert_eq!(output["sha256"], sha256(&bytes));
    }
    let facts = clip::ffprobe(task["download"][0].as_str().unwrap());
    assert_eq!(facts["streams"][0]["codec_name"], "h264");
    assert_eq!(facts["streams"][0]["nb_read_packets"], "50");
    assert_eq!(facts["streams"][1]["codec_name"], "aac");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_trims_to_the_frame_and_produces_its_outputs() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip {
        seconds: 4.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let recipe = json!({
        "trim": { "start": "00:00:01.000", "end": 2.5 },
        "outputs": [
            { "kind": "mp4", "name": "small", "max_width_px": 160 },
            { "kind": "audio", "format": "mp3" },
            { "kind": "poster", "at_ms": 500, "format": "png" },
        ],
    });
    let task = caller.processed(&source, &[("recipe", &recipe.to_string())]).await;
    let names: Vec<_> = task["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["small.mp4", "audio.mp3", "poster.png"]);
    assert_eq!(task["outputs"][0]["width_px"], 160);
    let small = clip::ffprobe(task["download"][0].as_str().unwrap());
    // 1.5 s at 25 frames a second is 37.5 frames: the 38 whose time is in [1.0, 2.5).
    let frames: u32 = small["streams"][0]["nb_read_packets"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((37..=38).contains(&frames), "{frames}");
}

/// Creates a task that is processed for longer than any test runs.
async fn slow_task(app: &TestApp, caller: &Caller) -> i64 {
    let source = Clip {
        width: 1280,
        height: 720,
        seconds: 20.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let best = json!({ "outputs": [{ "kind": "mp4", "video": { "speed": "best" } }] });
    caller.task(&source, &[("recipe", &best.to_string())]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_moves_while_the_task_runs() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let id = slow_task(&app, &caller).await;
    let moving = caller
        .until(id, |task| {
            task["progress"]["phase"] == "transcode" && task["progress"]["percent"].as_u64() > Some(0)
        })
        .await;
    assert_eq!(moving["status"], "processing");
    assert!(moving["progress"]["eta_s"].is_u64(), "{moving}");
    assert!(moving["started_at"].is_string());
    let reply = caller.post(&format!("/api/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["status"], "canceled");
    wait_for_media_children(app.directory.path()).await;
    let reply = caller.post(&format!("/api/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!((reply.status, reply.code()), (409, "task_finished"));
}

/// Waits until the media children of a test have ended: at most 5 s after a cancel or a shutdown.
async fn wait_for_media_children(directory: &std::path::Path) {
    let begun = Instant::now();
    while media_children(directory) > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "a media child still runs after 5 s"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The number of media children of a test: processes whose working directory is below `directory`.
fn media_children(directory: &std::path::Path) -> usize {
    let directory = directory.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let cwds = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    cwds.filter(|cwd| cwd.starts_with(&directory)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_task_has_an_error_and_can_be_retried_as_a_new_task() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip::default().make(app.directory.path());
    let late = json!({ "trim": { "start": 60 }, "outputs": [{ "kind": "mp4" }] });
    let task = caller
        .ended(caller.task(&source, &[("recipe", &late.to_string())]).await)
        .await;
    assert_eq!(task["status"], "failed");
    assert_eq!(task["error"]["code"], "trim_outside_source");
    assert_eq!(task["error"]["retryable"], false);
    assert_eq!(task["download"], json!([]));
    let id = task["id"].as_i64().unwrap();
    let reply = caller.post(&format!("/api/tasks/{id}/retry"), &json!({})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let second = reply.body["id"].as_i64().unwrap();
    assert_ne!(second, id);
    assert_eq!(caller.ended(second).await["error"]["code"], "trim_outside_source");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_task_leaves_no_file() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip::default().make(app.directory.path());
    let task = caller.processed(&source, &[]).await;
    assert_eq!(
        app.stored_files().len(),
        3,
        "source, video, poster: {:?}",
        app.stored_files()
    );
    let id = task["id"].as_i64().unwrap();
    let reply = caller.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!((reply.status, reply.message()), (200, "Eliminado"));
    assert_eq!(reply.body["Task"].as_i64(), Some(id));
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(caller.get(&format!("/api/tasks/{id}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_releases_the_task_without_a_failure() {
    let mut app = TestApp::with(Options {
        worker: Some(|settings| settings.shutdown_grace = Duration::from_millis(300)),
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let id = slow_task(&app, &caller).await;
    caller.until(id, |task| task["status"] == "processing").await;
    app.stop().await;
    let row = entity::task::by_id(&app.db, domain::TaskId(id)).await.unwrap().unwrap();
    assert_eq!(domain::Status::from(row.status), domain::Status::Uploaded);
    assert_eq!((row.failures, row.attempt), (0, 1));
    wait_for_media_children(app.directory.path()).await;
}
