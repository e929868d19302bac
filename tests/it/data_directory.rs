//! A data directory that is removed while the service runs, and one that is already in use.

use serde_json::json;
use std::process::Command;
use std::time::Duration;
use tests::server::Server;
use tests::{Caller, Reply, executable};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_files_are_removed_refuses_requests_and_ends() {
    for removed in ["", "rushes.db", "rushes.db-wal", "lock", "objects"] {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let mut service = Server::up(&data).await;
        let caller = Caller::sign_up(&service.url).await;
        let path = data.join(removed);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let preset = json!({ "name": "lost", "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let request = caller.request(reqwest::Method::POST, "/api/presets").json(&preset);
        // The process may have ended already.
        if let Ok(response) = request.timeout(Duration::from_secs(30)).send().await {
            let reply = Reply::read(response).await;
            assert_eq!(
                (reply.status, reply.code()),
                (503, "unavailable"),
                "{removed}: {reply:?}"
            );
        }
        let status = service.ended().await;
        assert_eq!(status.code(), Some(1), "{removed}: {}", service.log());
        let expected = "was removed or replaced while the service runs";
        assert!(service.log().contains(expected), "{removed}: {}", service.log());
    }
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
            .env("RUSHES_JWT_SECRET", tests::SECRET)
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
