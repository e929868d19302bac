//! Prometheus metrics: present from the start, described, and documented in `docs/OPERATIONS.md`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{SECRET, TestApp};

/// Starts a role and returns its first metrics.
async fn first_metrics(role: &str, app: &TestApp) -> String {
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    environment.push(("RUSHES_WORKERS", "3".to_owned()));
    let process = Server::start_in(role, app.directory.path(), &environment);
    let (url, begun) = (format!("{}/metrics", process.url), Instant::now());
    loop {
        if let Ok(reply) = reqwest::get(&url).await {
            return reply.text().await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("{series} is not in\n{metrics}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_exist_before_their_first_event_and_have_descriptions() {
    let app = TestApp::idle().await;
    let api = [
        "rushes_logins_total{outcome=\"accepted\"}",
        "rushes_logins_total{outcome=\"refused\"}",
        "rushes_logins_total{outcome=\"slowed_down\"}",
        "rushes_upload_bytes_total",
    ];
    let worker = [
        "rushes_leases_expired_total",
        "rushes_task_failures_total{code=\"source_damaged\"}",
        "rushes_task_failures_total{code=\"internal\"}",
        "rushes_tasks_postponed_total",
        "rushes_worker_slots_busy",
    ];
    for (role, present, absent) in [
        ("up", [&api[..], &worker].concat(), &[][..]),
        ("backend", api.to_vec(), &worker[..]),
        ("worker", worker.to_vec(), &api[..]),
    ] {
        let metrics = first_metrics(role, &app).await;
        for series in present
            .iter()
            .chain(&["rushes_storage_errors_total{operation=\"write\",reason=\"full\"}"])
        {
            assert!(value(&metrics, series).abs() < f64::EPSILON, "{role}: {series}");
        }
        for series in absent {
            assert!(!metrics.contains(series), "{role} exports {series}");
        }
        for series in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            assert!(value(&metrics, series) >= 0.0, "{role}: {series}");
        }
        let build = format!(
            "rushes_build_info{{version=\"{}\",role=\"{role}\"}}",
            env!("CARGO_PKG_VERSION")
        );
        assert!((value(&metrics, &build) - 1.0).abs() < f64::EPSILON, "{role}");
        assert!(
            value(&metrics, "rushes_disk_free_bytes{directory=\"data\"}") > 0.0,
            "{role}"
        );
        if role != "backend" {
            assert!(
                (value(&metrics, "rushes_worker_slots") - 3.0).abs() < f64::EPSILON,
                "{role}"
            );
            assert!(
                value(&metrics, "rushes_disk_free_bytes{directory=\"scratch\"}") > 0.0,
                "{role}"
            );
        }
        let names = |word: &str| -> BTreeSet<String> {
            let lines = metrics.lines().filter_map(|line| line.strip_prefix(word));
            lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
        };
        let undescribed: Vec<_> = names("# TYPE ").difference(&names("# HELP ")).cloned().collect();
        assert!(undescribed.is_empty(), "{role}: {undescribed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_waiting_task_is_exported() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let metrics = async || {
        reqwest::get(format!("{}/metrics", app.url))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert!(value(&metrics().await, "rushes_oldest_waiting_task_seconds").abs() < f64::EPSILON);
    let id = caller.upload("clip.mp4", tests::MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let long_ago = format!("UPDATE tasks SET timestamp = '2026-01-01 00:00:00+00:00' WHERE id = {id}");
    sea_orm::ConnectionTrait::execute_unprepared(&app.db, &long_ago)
        .await
        .unwrap();
    assert!(value(&metrics().await, "rushes_oldest_waiting_task_seconds") > 3_600.0);
    // A task that is due later, as before a retry, does not wait for a worker.
    let later = format!("UPDATE tasks SET run_at_ms = {} WHERE id = {id}", i64::MAX / 2);
    sea_orm::ConnectionTrait::execute_unprepared(&app.db, &later)
        .await
        .unwrap();
    assert!(value(&metrics().await, "rushes_oldest_waiting_task_seconds").abs() < f64::EPSILON);
}

/// Names of metrics in a text.
fn names(text: &str, into: &mut BTreeSet<String>) {
    for (at, _) in text.match_indices("rushes_") {
        let name: String = text[at..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect();
        into.insert(name);
    }
}

#[test]
fn every_metric_is_described_and_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let mut recorded = BTreeSet::new();
    for directory in [
        "backend/src",
        "worker/src",
        "storage/src",
        "entity/src",
        "queue/src",
        "rushes/src",
    ] {
        let mut left = vec![root.join(directory)];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for kind in ["counter!(", "gauge!(", "histogram!("] {
                for (at, _) in text.match_indices(kind) {
                    let argument = text[at + kind.len()..].trim_start();
                    if let Some(quoted) = argument.strip_prefix('"') {
                        recorded.insert(quoted.split('"').next().unwrap().to_owned());
                    }
                }
            }
        }
    }
    assert!(recorded.len() > 10, "{recorded:?}");
    let (mut described, mut documented) = (BTreeSet::new(), BTreeSet::new());
    names(&read("rushes/src/telemetry/meters.rs"), &mut described);
    names(&read("docs/OPERATIONS.md"), &mut documented);
    for name in &recorded {
        assert!(
            described.contains(name),
            "{name} has no help text in rushes/src/telemetry/meters.rs"
        );
        assert!(documented.contains(name), "{name} is not in docs/OPERATIONS.md");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_that_have_not_ended_are_counted_with_the_age_of_the_oldest() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let metrics = async || {
        let reply = reqwest::get(format!("{}/metrics", app.url)).await.unwrap();
        reply.text().await.unwrap()
    };
    let received = "rushes_imports{status=\"received\"}";
    let before = metrics().await;
    for series in [received, "rushes_oldest_import_seconds"] {
        assert!(value(&before, series).abs() < f64::EPSILON, "{series}");
    }
    let form = crate::imports::form("metadata", "a.csv", "video_id,title\n1,x\n");
    let id = crate::imports::send(&caller, form).await.body["id"].clone();
    let long_ago = format!("UPDATE imports SET created_at = '2026-01-01 00:00:00+00:00' WHERE id = {id}");
    sea_orm::ConnectionTrait::execute_unprepared(&app.db, &long_ago)
        .await
        .unwrap();
    let open = metrics().await;
    assert!((value(&open, received) - 1.0).abs() < f64::EPSILON, "{open}");
    assert!(value(&open, "rushes_oldest_import_seconds") > 3_600.0);
    let canceled = caller
        .post(&format!("/api/imports/{id}/cancel"), &serde_json::Value::Null)
        .await;
    assert_eq!(canceled.status, 200, "{canceled:?}");
    let ended = metrics().await;
    for series in [received, "rushes_oldest_import_seconds"] {
        assert!(value(&ended, series).abs() < f64::EPSILON, "{series}");
    }
}
