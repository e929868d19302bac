//! Workers whose Redis forgets everything or whose database falls silent: tasks go on.

use futures::future::{join, join_all};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tests::clip::{Clip, SLOW};
use tests::server::Server;
use tests::{Caller, TestApp};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[path = "../../entity/tests/it/proxy.rs"]
mod proxy;
#[path = "../../queue/tests/it/redis_server.rs"]
mod redis_server;

use proxy::Proxy;
use redis_server::RedisServer;

/// The documented bound for the first claim.
const PROMISED: Duration = Duration::from_secs(2);

/// Longer, since the machine may be busy for a moment: a worker that did not look by itself
/// would come after the five seconds of the sweeper or the minute of the queue at the earliest.
const SOON: Duration = Duration::from_secs(5);

const POSTER: &str = r#"{ "outputs": [{ "kind": "poster" }] }"#;

/// A short clip whose length differs in each round, so that no task reuses the outputs of an earlier one.
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

#[tokio::test(flavor = "multi_thread")]
async fn workers_claim_at_once_after_redis_has_forgotten_everything_and_while_it_is_away() {
    let Some(mut redis) = RedisServer::start() else { return };
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let mut environment = app.environment.clone();
    environment.retain(|(name, _)| *name != "REDIS_URL");
    environment.push(("REDIS_URL", redis.url()));
    let _worker = Server::within("worker", directory, &environment);
    let mut claims = Vec::new();
    for round in 0_u32..14 {
        let source = source_of(round, directory);
        match round {
            0 => {}
            11 => redis.start_again(),
            12 => redis.kill(),
            13 => {
                redis.start_again();
                redis.hang();
            }
            _ => redis.ask::<()>(&["FLUSHALL"]).await,
        }
        let begun = Instant::now();
        let id = caller.task(&source, &[("recipe", POSTER)]).await;
        caller.until(id, |task| task["attempt"].as_u64() == Some(1)).await;
        claims.push(begun.elapsed());
        assert_eq!(caller.ended(id).await["status"], "processed");
    }
    println!("claimed after {claims:?}");
    // The first of all waits for the process to start.
    claims.remove(0);
    claims.sort_unstable();
    assert!(claims[claims.len() / 2] < PROMISED, "{claims:?}");
    assert!(*claims.last().unwrap() < SOON, "{claims:?}");
}

/// The service without a worker, its Postgres behind a network that can fall silent, and the settings of a worker there;
/// `None`, said aloud, on SQLite.
async fn behind_a_network() -> Option<(TestApp, Proxy, Vec<(&'static str, String)>)> {
    let app = TestApp::idle().await;
    let mut environment = app.environment.clone();
    let url = environment
        .iter()
        .find(|(name, _)| *name == "DATABASE_URL")
        .unwrap()
        .1
        .clone();
    if !url.starts_with("postgres") {
        println!("SKIPPED: this is about Postgres");
        return None;
    }
    let network = Proxy::before(&url).await;
    environment.retain(|(name, _)| *name != "DATABASE_URL");
    environment.push(("DATABASE_URL", network.url.clone()));
    environment.push(("RUSHES_WORKERS", "1".to_owned()));
    Some((app, network, environment))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_and_a_stop_are_written_although_postgres_fell_silent() {
    let Some((app, mut network, environment)) = behind_a_network().await else {
        return;
    };
    let caller = app.caller().await;
    let directory = app.directory.path();
    let worker = Server::within("worker", directory, &environment);
    // It takes longer than the 20 s that a worker has for its tasks when it is stopped.
    let source = Clip {
        seconds: 240.0,
        ..Clip::slow()
    };
    let source = source.make(directory);
    let id = caller.task(&source, &[("recipe", SLOW)]).await;
    let is_at_work = |task: &serde_json::Value| task["progress"]["percent"].as_u64() > Some(5);
    caller.until(id, is_at_work).await;
    network.fall_silent();
    // Its media children are killed: the try fails.
    let pid = worker.id().to_string();
    assert!(
        Command::new("pkill")
            .args(["-KILL", "-P", &pid])
            .status()
            .unwrap()
            .success()
    );
    caller.until(id, |task| task["failures"] == 1).await;
    caller.until(id, |task| task["attempt"] == 2 && is_at_work(task)).await;
    network.fall_silent();
    assert!(worker.stop().await.success());
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    assert_eq!(
        (&task["status"], &task["failures"]),
        (&"uploaded".into(), &1.into()),
        "{task}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_postgres_does_not_hold_the_slots_of_a_worker() {
    let Some((app, mut network, environment)) = behind_a_network().await else {
        return;
    };
    let caller = app.caller().await;
    let directory = app.directory.path();
    let _worker = Server::within("worker", directory, &environment);
    for round in 0_u32..4 {
        let source = source_of(round, directory);
        let begun = Instant::now();
        let id = caller.task(&source, &[("recipe", POSTER)]).await;
        if round % 2 == 1 {
            // In the middle of the work: what was asked is never answered.
            caller.until(id, |task| task["attempt"].as_u64() >= Some(1)).await;
        }
        network.fall_silent();
        let task = caller.ended(id).await;
        assert_eq!(task["status"], "processed", "{task}");
        assert_eq!(task["failures"], 0, "{task}");
        println!(
            "processed {:.1} s after the connections fell silent",
            begun.elapsed().as_secs_f64()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_answered_although_postgres_fell_silent_in_the_middle_of_their_queries() {
    let Some((app, mut network, mut environment)) = behind_a_network().await else {
        return;
    };
    let directory = app.directory.path();
    environment.push(("RUSHES_JWT_SECRET", "0123456789abcdef0123456789abcdef".to_owned()));
    let mut server = Server::within("backend", directory, &environment);
    server.ready().await;
    let caller = &Caller::sign_up(&server.url).await;
    let own = json!({ "name": "own", "recipe": { "outputs": [{ "kind": "poster" }] } });
    assert_eq!(caller.post("/api/presets", &own).await.status, 201);
    let source = &std::fs::read(source_of(0, directory)).unwrap();
    let answered = &AtomicU32::new(0);
    // Each is sent over and over until the connections have fallen silent, so that some stand in each of their queries then.
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
        network.fall_silent();
        is_silent.cancel();
    };
    // Thirty seconds for a query, and half a minute for a busy machine.
    let all = timeout(Duration::from_secs(60), join(join_all(clients), silence)).await;
    let codes = all.expect("an upload has not been answered").0.concat();
    assert!(codes.iter().all(|code| [201, 503].contains(code)), "{codes:?}");
    assert!(codes.contains(&503), "the silence met no query");
}
