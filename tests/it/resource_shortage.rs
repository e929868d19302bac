//! Shortages of resources: a worker or a media child without free descriptors, storage without space for outputs, and
//! the CPU priority of server threads. Tasks wait or are retried.

use crate::full_disk::{Full, Setup};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::clip::{Clip, SLOW};
use tests::server::Server;
use tests::{Caller, TestApp};

const POSTER: &str = r#"{ "outputs": [{ "kind": "poster" }] }"#;

fn clip(seconds: f64, directory: &Path) -> PathBuf {
    let clip = Clip {
        seconds,
        ..Clip::default()
    };
    clip.make(directory)
}

/// Limits the descriptors of a running process (prlimit(1)). Open descriptors stay open.
fn limit_descriptors(process: &Server, max: u32) {
    let id = process.id().to_string();
    let mut limit = Command::new("prlimit");
    limit.args(["--pid", &id, &format!("--nofile={max}:")]);
    assert!(limit.status().unwrap().success());
}

/// Asserts that a task is processed without a failure.
async fn check_processed_without_failure(caller: &Caller, task: i64) {
    let task = caller.ended(task).await;
    assert_eq!(
        (&task["status"], &task["failures"]),
        (&"processed".into(), &0.into()),
        "{task}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_a_worker_without_free_descriptors_is_released_without_a_failure() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let worker = Server::start_in("worker", directory, &app.environment);
    // After this task the worker has its connections.
    caller.processed(&clip(0.2, directory), &[("recipe", POSTER)]).await;
    limit_descriptors(&worker, 8);
    let task = caller.task(&clip(0.24, directory), &[("recipe", POSTER)]).await;
    worker.logged("postponed: out of resources").await;
    let waiting = caller.get(&format!("/api/tasks/{task}")).await.body;
    assert_eq!(waiting["failures"], 0, "{waiting}");
    limit_descriptors(&worker, 1_024);
    check_processed_without_failure(&caller, task).await;
    assert!(worker.stop().await.success());
}

/// The process that starts the media children of a worker.
fn fork_server(worker: &Server) -> u32 {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let is_child_of_worker = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, fields)| fields.split(' ').nth(1)?.parse().ok());
        parent == Some(worker.id())
    };
    let mut servers = ids.filter(is_child_of_worker);
    servers.next().expect("the worker has started a media child")
}

/// Lowers the limit of descriptors of a process and of its later children for good (prlimit(1)).
fn lower_hard_limit(process: u32, max: u32) {
    let mut limit = Command::new("prlimit");
    limit.args(["--pid", &process.to_string(), &format!("--nofile={max}:{max}")]);
    assert!(limit.status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_media_child_has_no_free_descriptors_is_released_without_a_failure() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let worker = Server::start_in("worker", directory, &app.environment);
    caller.processed(&clip(0.2, directory), &[("recipe", POSTER)]).await;
    let fork_server = fork_server(&worker);
    lower_hard_limit(fork_server, 6);
    let task = caller.task(&clip(0.28, directory), &[("recipe", POSTER)]).await;
    worker.logged("postponed: out of resources").await;
    let waiting = caller.get(&format!("/api/tasks/{task}")).await.body;
    assert_eq!(waiting["failures"], 0, "{waiting}");
    // The worker starts another one, with its own limits.
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-KILL", &fork_server.to_string()])
            .status()
            .unwrap()
            .success()
    );
    check_processed_without_failure(&caller, task).await;
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_space_for_its_outputs_is_retried_and_leaves_no_files_of_the_first_attempt() {
    let Some(setup) = Setup::create(Full::Files) else {
        return;
    };
    let server = setup.start().await;
    let caller = Caller::sign_up(&server.url).await;
    let home = tempfile::tempdir().unwrap();
    let task = caller.task(&Clip::slow().make(home.path()), &[("recipe", SLOW)]).await;
    let is_transcoding = |task: &serde_json::Value| task["progress"]["percent"].as_u64() > Some(5);
    caller.until(task, is_transcoding).await;
    setup.disk.fill();
    server.logged(r#""code":"storage_full""#).await;
    let full = server.metric(r#"rushes_storage_errors_total{operation="write",reason="full"}"#);
    assert!(full.await > 0.0);
    setup.disk.free();
    let task = caller.ended(task).await;
    assert_eq!(task["status"], "processed", "{task}");
    let id = task["id"].as_i64().unwrap();
    let attempts = std::fs::read_dir(setup.objects.join(format!("outputs/{id}"))).unwrap();
    let attempts: Vec<_> = attempts.map(|attempt| attempt.unwrap().file_name()).collect();
    assert_eq!(
        attempts,
        [task["attempt"].to_string().as_str()],
        "only files of the successful attempt"
    );
    assert!(server.stop().await.success());
}

/// The niceness of every thread of a process (`proc_pid_stat(5)`, field 19).
fn niceness(process: u32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok());
    stats
        // The name in parentheses may contain spaces; the state after it is field 3.
        .map(|stat| stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn server_threads_keep_their_priority_after_password_checks_and_tasks() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::up(&home.path().join("data")).await;
    let caller = Caller::sign_up(&server.url).await;
    caller.processed(&clip(0.2, home.path()), &[("recipe", POSTER)]).await;
    let own = niceness(std::process::id())[0];
    let threads = niceness(server.id());
    assert!(
        threads.len() > 2 && threads.iter().all(|niceness| *niceness == own),
        "{threads:?}"
    );
    assert!(server.stop().await.success());
}
