//! Processes: start, kill, restart, settings, sandbox and sweeper.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tests::clip::{Clip, SLOW};
use tests::port::free_address;
use tests::server::Server;
use tests::{TestApp, executable, media_executable};

#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_a_killed_worker_is_processed_once_after_its_restart() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let source = Clip::slow().make(directory);
    let first = Server::start_in("worker", directory, &app.environment);
    let id = caller.task(&source, &[("recipe", SLOW)]).await;
    caller
        .until(id, |task| task["progress"]["percent"].as_u64() > Some(5))
        .await;
    first.end("-KILL").await;
    let begun = Instant::now();
    let _second = Server::start_in("worker", directory, &app.environment);
    caller.until(id, |task| task["attempt"].as_u64() == Some(2)).await;
    // The restarted worker has the same name, so it takes its tasks back without waiting for the lease to expire.
    println!("claimed again {:.1} s after the kill", begun.elapsed().as_secs_f64());
    assert!(begun.elapsed() < entity::lease::LEASE / 2, "{:?}", begun.elapsed());
    let task = caller.ended(id).await;
    assert_eq!(task["status"], "processed", "{task}");
    assert_eq!((&task["attempt"], &task["failures"]), (&2.into(), &1.into()));
    println!("processed {:.1} s after the kill", begun.elapsed().as_secs_f64());
    assert_eq!(
        app.stored_files().len(),
        2,
        "one source, one output: {:?}",
        app.stored_files()
    );
    assert_eq!(
        tests::event_types(&app.db, id).await,
        ["task.created", "task.processed"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn up_needs_no_settings_and_stops_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in("up", directory.path(), &[]);
    server.ready().await;
    let url = server.url.clone();
    let caller = tests::Caller::sign_up(&url).await;
    let task = caller.processed(&Clip::default().make(directory.path()), &[]).await;
    assert_eq!(
        task["report"]["warnings"],
        json!([]),
        "the sandbox is complete, and there are no other warnings"
    );
    let health = caller.get("/api/health").await.body;
    assert_eq!(health["status"], "healthy", "{health}");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.id())).unwrap();
    assert!(
        maps.contains("libc.so") && !maps.contains("libav"),
        "FFmpeg is in the memory of the API: {maps}"
    );
    let metrics = reqwest::get(format!("{url}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for name in [
        "rushes_tasks{status=\"processed\"} 1",
        "rushes_task_wait_seconds",
        "rushes_task_run_seconds",
        "rushes_realtime_factor",
        "rushes_child_starts_total",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert!(server.stop().await.success(), "{}", log(directory.path()));
    let log = log(directory.path());
    let line = log.lines().find(|line| line.contains("\"processed\"")).expect(&log);
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["span"]["task.id"], &line["span"]["attempt"]),
        (&task["id"], &1.into()),
        "{line}"
    );
    use std::os::unix::fs::PermissionsExt;
    for key in ["data/jwt_secret", "data/sealing_key"] {
        let key = std::fs::metadata(directory.path().join(key)).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_redis_claims_tasks_by_polling() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let mut environment = app.environment.clone();
    environment.retain(|(name, _)| *name != "REDIS_URL");
    environment.push(("REDIS_URL", "redis://127.0.0.1:1/".to_owned()));
    let _worker = Server::start_in("worker", app.directory.path(), &environment);
    let clip = Clip::default().make(app.directory.path());
    let poster = json!({ "outputs": [{ "kind": "poster" }] }).to_string();
    // The first task waits for the start of the process.
    caller.processed(&clip, &[("recipe", &poster)]).await;
    let mut waits = Vec::new();
    for at_ms in [100, 200, 300, 400] {
        let recipe = json!({ "outputs": [{ "kind": "poster", "at_ms": at_ms }] }).to_string();
        let begun = Instant::now();
        let id = caller.task(&clip, &[("recipe", &recipe)]).await;
        caller.until(id, |task| !task["started_at"].is_null()).await;
        waits.push(begun.elapsed());
        caller.ended(id).await;
    }
    println!("claimed after {waits:?} without Redis");
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(10)), "{waits:?}");
}

#[test]
fn without_the_required_sandbox_no_process_starts() {
    let no_landlock = OldKernel {
        sandbox: "require",
        missing_call: libc::SYS_landlock_create_ruleset,
    };
    let required = "RUSHES_SANDBOX=require, but media children cannot enter the whole sandbox on this machine";
    for (role, kernel, expected) in [
        ("worker", no_landlock, [required, "landlock: false, seccomp: true"]),
        ("up", no_landlock, [required, "landlock: false, seccomp: true"]),
        // Without this call no child works at all.
        (
            "up",
            OldKernel {
                sandbox: "best-effort",
                missing_call: libc::SYS_capset,
            },
            ["media children cannot work on this machine", "limits could not be set"],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = kernel.run(role, directory.path());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{role}: {text}");
        let last = text.lines().last().unwrap();
        assert!(expected.iter().all(|words| last.contains(words)), "{role}: {text}");
    }
}

/// A kernel that lacks a system call.
#[derive(Clone, Copy)]
struct OldKernel {
    /// `RUSHES_SANDBOX`.
    sandbox: &'static str,
    missing_call: i64,
}

impl OldKernel {
    /// Runs a role until it ends. The call fails with ENOSYS.
    fn run(self, role: &str, directory: &Path) -> Output {
        let mut command = Command::new(executable());
        command
            .arg(role)
            .env_clear()
            .env("RUSHES_SANDBOX", self.sandbox)
            .env("RUSHES_LISTEN", "127.0.0.1:0")
            .env("RUSHES_DATA_DIR", directory.join("data"));
        let calls = BTreeMap::from([(self.missing_call, vec![])]);
        let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, absent, architecture).unwrap();
        let filter: BpfProgram = filter.try_into().unwrap();
        // A filter applies to a thread and its children and cannot be removed, so it gets a thread of its own.
        let run = move || {
            seccompiler::apply_filter(&filter).unwrap();
            command.output().unwrap()
        };
        std::thread::spawn(run).join().unwrap()
    }
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("process.log")).unwrap_or_default()
}

#[test]
fn only_rushes_media_links_ffmpeg() {
    let needed = |executable: &Path| {
        let output = Command::new("readelf").arg("-d").arg(executable).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("libc.so.6"), "{text}");
        text
    };
    let service = needed(&executable());
    assert!(!service.contains("[libav") && !service.contains("[libsw"), "{service}");
    assert!(needed(&media_executable()).contains("[libavcodec"));
}

#[test]
fn an_invalid_setting_prevents_the_start_and_is_named() {
    let refused = |role: &str, name: &'static str, value: &str| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(executable());
        command
            .arg(role)
            .env_clear()
            .env("RUSHES_DATA_DIR", directory.path().join("data"));
        let output = command.env(name, value).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {text}");
        assert!(text.contains(name) && text.contains("accepted"), "{text}");
    };
    refused("up", "RUSHES_LISTEN", "everywhere");
    refused("up", "RUSHES_PUBLIC_URL", "ftp://example.com");
    refused("up", "DATABASE_URL", "mysql://localhost/x");
    refused("up", "REDIS_URL", "localhost:6379");
    refused("up", "STORAGE_URL", "/srv/files");
    refused("up", "RUSHES_JWT_SECRET", "short");
    refused("up", "RUSHES_DEFAULT_PRESET", "nope");
    refused("up", "RUSHES_LANGUAGE", "fr");
    refused("up", "RUSHES_WORKERS", "0");
    refused("worker", "RUSHES_SANDBOX", "no");
    refused("worker", "RUSHES_VERIFY", "twice");
    refused("up", "RUSHES_MAX_UPLOAD_BYTES", "5G");
    refused("up", "RUSHES_MAX_DURATION_S", "0");
    refused("up", "RUSHES_TRUSTED_PROXIES", "everyone");
    refused("up", "RUSHES_LOG", "worker=loud");
    refused("up", "RUSHES_PASSWORD_POLICY", "none");
    refused("backend", "RUSHES_JWT_SECRET", "");
    refused("worker", "RUSHES_SEALING_KEY", "short");
}

#[test]
fn a_process_that_starts_without_its_database_says_so_and_ends_so_that_its_supervisor_tries_again() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("postgres://rushes:secret-word@{}/rushes", free_address());
    for role in ["up", "backend", "worker"] {
        let mut command = Command::new(executable());
        command
            .arg(role)
            .env_clear()
            .env("RUSHES_DATA_DIR", directory.path().join(role));
        command
            .env("DATABASE_URL", &url)
            .env("RUSHES_JWT_SECRET", tests::SECRET);
        command.env("STORAGE_URL", format!("file://{}", directory.path().display()));
        let (begun, output) = (Instant::now(), command.output().unwrap());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{role}: {text}");
        assert!(text.contains("failed to connect to DATABASE_URL"), "{role}: {text}");
        assert!(!text.contains("secret-word"), "{role}: {text}");
        println!("{role} ended after {:?}: {text}", begun.elapsed());
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{role}: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_keys_and_trash_are_removed_and_nothing_else() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let upload = async |key: &str| {
        let form = reqwest::multipart::Form::new();
        let file = reqwest::multipart::Part::bytes(tests::MP4).file_name("clip.mp4");
        let request = caller.request(reqwest::Method::POST, "/api/tasks");
        let request = request
            .header("idempotency-key", key)
            .multipart(form.part("file", file));
        assert_eq!(request.send().await.unwrap().status(), 201);
    };
    upload("yesterday").await;
    let past = "UPDATE idempotency_keys SET until_ms = 1";
    sea_orm::ConnectionTrait::execute_unprepared(&app.db, past)
        .await
        .unwrap();
    upload("today").await;
    let orphan = storage::Key::source(uuid::Uuid::new_v4());
    let bytes = futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(tests::MP4))]);
    app.storage.put_stream(&orphan, bytes, None, 1_000).await.unwrap();
    let due = Duration::ZERO;
    entity::trash::add_keys(&app.db, &[orphan.to_string()], due)
        .await
        .unwrap();

    let _worker = Server::start_in("worker", app.directory.path(), &app.environment);
    let begun = Instant::now();
    loop {
        let snapshot = app.snapshot().await;
        let kept = |table: &str| snapshot.iter().filter(|line| line.starts_with(table)).count();
        let orphaned = snapshot.iter().any(|line| line.contains(&orphan.to_string()));
        if !orphaned && kept("idempotency_keys: ") == 1 {
            assert_eq!((app.stored_files().len(), kept("sources: ")), (2, 2), "{snapshot:#?}");
            assert!(snapshot.iter().any(|line| line.contains("today")));
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{snapshot:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
