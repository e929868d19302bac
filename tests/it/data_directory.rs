//! A data directory or a storage directory that is removed while a process runs, and a data directory that is already
//! in use.

use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::clip::{Clip, SLOW};
use tests::server::Server;
use tests::{Caller, SECRET, TestApp, executable};
use tokio::time::sleep;

const LOGGED: &str = "was removed or replaced while the service runs";

/// Time for which a process still answers after it has noticed a removal.
const REFUSED_FOR: Duration = Duration::from_secs(1);

fn remove(path: &Path) {
    if path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    } else {
        std::fs::remove_file(path).unwrap();
    }
}

/// Removes a path, sends requests that write until the process has ended, and asserts their outcomes. Each is refused
/// with 503, beginning with the first one. Only the end of the process may close a connection without a reply.
async fn check_refused_until_the_end(mut service: Server, caller: &Caller, path: &Path) {
    remove(path);
    let (removed, mut refused) = (Instant::now(), 0);
    while !service.has_ended() {
        let preset = json!({ "name": "lost", "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let request = caller.request(reqwest::Method::POST, "/api/presets").json(&preset);
        let reply = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.text().await?))
        };
        match reply.await {
            Ok((status, body)) => {
                assert!(
                    status == 503 && body.contains(r#""code":"unavailable""#),
                    "{path:?}: {status} {body}"
                );
                refused += 1;
            }
            Err(error) => {
                let is_end = refused > 0 && removed.elapsed() >= REFUSED_FOR;
                assert!(
                    is_end,
                    "{path:?}: {error:?} after {refused} replies, {:?}",
                    removed.elapsed()
                );
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(refused > 0, "{path:?}: {}", service.log());
    check_ended(&mut service, path).await;
}

/// Waits until the process has ended and asserts that it says why.
async fn check_ended(process: &mut Server, path: &Path) {
    let status = process.ended().await;
    assert_eq!(status.code(), Some(1), "{path:?}: {}", process.log());
    assert!(process.log().contains(LOGGED), "{path:?}: {}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_files_are_removed_refuses_requests_and_ends() {
    for removed in ["", "rushes.db", "rushes.db-wal", "lock", "objects"] {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let service = Server::up(&data).await;
        let caller = Caller::sign_up(&service.url).await;
        check_refused_until_the_end(service, &caller, &data.join(removed)).await;
    }
}

/// Settings of a process that stores files in a directory: `files` in the directory of the test.
fn with_directory(app: &TestApp) -> Vec<(&'static str, String)> {
    let files = app.directory.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    let mut environment = app.environment.clone();
    environment.retain(|(name, _)| !name.starts_with("AWS_") && *name != "STORAGE_URL");
    environment.extend([
        ("STORAGE_URL", format!("file://{}", files.display())),
        ("RUSHES_JWT_SECRET", SECRET.to_owned()),
    ]);
    environment
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_whose_data_or_storage_directory_is_removed_refuses_requests_and_ends() {
    for removed in ["data", "data/lock", "files"] {
        let app = TestApp::idle().await;
        let home = app.directory.path();
        let mut backend = Server::start_in("backend", home, &with_directory(&app));
        backend.ready().await;
        let caller = Caller::sign_up(&backend.url).await;
        check_refused_until_the_end(backend, &caller, &home.join(removed)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_data_or_storage_directory_is_removed_ends_and_its_task_is_processed_later() {
    let app = TestApp::idle().await;
    let home = app.directory.path();
    let environment = with_directory(&app);
    std::fs::create_dir(home.join("api")).unwrap();
    let mut backend = Server::start_in("backend", &home.join("api"), &environment);
    backend.ready().await;
    let caller = Caller::sign_up(&backend.url).await;
    let start = || Server::start_in("worker", home, &environment);
    let (mut worker, source) = (start(), Clip::slow().make(home));
    worker.ready().await;
    let task = caller.task(&source, &[("recipe", SLOW)]).await;
    let is_transcoding = |task: &serde_json::Value| task["progress"]["percent"].as_u64() > Some(5);
    caller.until(task, is_transcoding).await;
    remove(&home.join("data"));
    check_ended(&mut worker, &home.join("data")).await;
    let mut worker = start();
    let task = caller.ended(task).await;
    assert_eq!(task["status"], "processed", "{task}");
    println!("attempt {}, {} failures", task["attempt"], task["failures"]);
    worker.ready().await;
    drop(backend);
    remove(&home.join("files"));
    check_ended(&mut worker, &home.join("files")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_on_a_data_directory_is_refused_and_the_first_one_continues() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let first = Server::up(&data).await;
    for role in ["up", "backend"] {
        let mut second = Command::new(executable());
        second.arg(role).env_clear().env("RUSHES_DATA_DIR", &data);
        second
            .env("RUSHES_JWT_SECRET", SECRET)
            .env("RUSHES_LISTEN", "127.0.0.1:0");
        let output = second.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{role}: {text}");
        let expected = format!("another rushes runs on RUSHES_DATA_DIR {}", data.display());
        assert!(text.contains(&expected), "{role}: {text}");
    }
    Caller::sign_up(&first.url).await;
    // The kernel releases the lock of a killed process.
    first.end("-KILL").await;
    Server::up(&data).await;
}
