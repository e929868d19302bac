//! Database connections that stop answering: tasks are still processed, and uploads are answered.

use futures::future::{join, join_all};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tests::clip::{Clip, SLOW};
use tests::server::Server;
use tests::{Caller, TestApp, skip};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[path = "../../entity/tests/it/proxy.rs"]
pub(crate) mod proxy;

use proxy::Proxy;

const POSTER: &str = r#"{ "outputs": [{ "kind": "poster" }] }"#;

/// A short clip. Its duration differs in each round, so that no task reuses outputs of an earlier one.
fn source_of(round: u32, directory: &Path) -> PathBuf {
    let clip = Clip {
        width: 96,
        height: 64,
        seconds: 0.2 + 0.04 * f64::from(round),
        sound: false,
        ..Clip::default()
    };
    clip.make(directory)
}

/// A service without a worker, a proxy in front of its Postgres that can stop forwarding, and the settings of a process
/// that connects through the proxy. Returns `None` and prints why on SQLite.
pub(crate) async fn with_proxy() -> Option<(TestApp, Proxy, Vec<(&'static str, String)>)> {
    let app = TestApp::idle().await;
    let mut environment = app.environment.clone();
    let url = environment
        .iter()
        .find(|(name, _)| *name == "DATABASE_URL")
        .unwrap()
        .1
        .clone();
    if !url.starts_with("postgres") {
        skip::other_setup("SQLite has no connections that stop answering");
        return None;
    }
    let proxy = Proxy::in_front_of(&url).await;
    environment.retain(|(name, _)| *name != "DATABASE_URL");
    environment.push(("DATABASE_URL", proxy.url.clone()));
    environment.push(("RUSHES_WORKERS", "1".to_owned()));
    Some((app, proxy, environment))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_and_a_release_are_written_after_connections_to_postgres_stopped_answering() {
    let Some((app, mut proxy, environment)) = with_proxy().await else {
        return;
    };
    let caller = app.caller().await;
    let directory = app.directory.path();
    let worker = Server::start_in("worker", directory, &environment);
    // The task takes longer than the 20 s that a stopping worker waits for it.
    let source = Clip {
        seconds: 240.0,
        ..Clip::slow()
    };
    let source = source.make(directory);
    let id = caller.task(&source, &[("recipe", SLOW)]).await;
    let is_transcoding = |task: &serde_json::Value| task["progress"]["percent"].as_u64() > Some(5);
    caller.until(id, is_transcoding).await;
    proxy.stop_forwarding();
    // Killing the fork server, and with it the media child, makes the attempt fail.
    let pid = worker.id().to_string();
    assert!(
        Command::new("pkill")
            .args(["-KILL", "-P", &pid])
            .status()
            .unwrap()
            .success()
    );
    caller.until(id, |task| task["failures"] == 1).await;
    caller
        .until(id, |task| task["attempt"] == 2 && is_transcoding(task))
        .await;
    proxy.stop_forwarding();
    assert!(worker.stop().await.success());
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    assert_eq!(
        (&task["status"], &task["failures"]),
        (&"uploaded".into(), &1.into()),
        "{task}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stop_answering_do_not_block_the_slots_of_a_worker() {
    let Some((app, mut proxy, environment)) = with_proxy().await else {
        return;
    };
    let caller = app.caller().await;
    let directory = app.directory.path();
    let _worker = Server::start_in("worker", directory, &environment);
    for round in 0_u32..4 {
        let source = source_of(round, directory);
        let begun = Instant::now();
        let id = caller.task(&source, &[("recipe", POSTER)]).await;
        if round % 2 == 1 {
            // During the work, so that a query gets no answer.
            caller.until(id, |task| task["attempt"].as_u64() >= Some(1)).await;
        }
        proxy.stop_forwarding();
        let task = caller.ended(id).await;
        assert_eq!(task["status"], "processed", "{task}");
        assert_eq!(task["failures"], 0, "{task}");
        println!(
            "processed {:.1} s after the connections stopped answering",
            begun.elapsed().as_secs_f64()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_get_a_reply_although_postgres_stopped_answering_during_their_queries() {
    let Some((app, mut proxy, mut environment)) = with_proxy().await else {
        return;
    };
    let directory = app.directory.path();
    environment.push(("RUSHES_JWT_SECRET", "0123456789abcdef0123456789abcdef".to_owned()));
    let mut server = Server::start_in("backend", directory, &environment);
    server.ready().await;
    let caller = &Caller::sign_up(&server.url).await;
    let own = json!({ "name": "own", "recipe": { "outputs": [{ "kind": "poster" }] } });
    assert_eq!(caller.post("/api/presets", &own).await.status, 201);
    let source = &std::fs::read(source_of(0, directory)).unwrap();
    let answered = &AtomicU32::new(0);
    // Clients repeat the upload until the connections stop answering, so that some uploads are then in each of their
    // queries.
    let is_silent = &CancellationToken::new();
    let clients = (0..24).map(|_| async move {
        let mut codes = Vec::new();
        while !is_silent.is_cancelled() {
            let upload = caller.upload("clip.mp4", source.clone(), &[("preset", "own")]).await;
            answered.fetch_add(1, Ordering::Relaxed);
            codes.push(upload.status);
        }
        codes
    });
    let silence = async {
        while answered.load(Ordering::Relaxed) < 48 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.stop_forwarding();
        is_silent.cancel();
    };
    // A query times out after 30 s; 30 s more for a machine under load.
    let all = timeout(Duration::from_secs(60), join(join_all(clients), silence)).await;
    let codes = all.expect("an upload has not been answered").0.concat();
    assert!(codes.iter().all(|code| [201, 503].contains(code)), "{codes:?}");
    assert!(codes.contains(&503), "no query was in progress");
}
