//! Workers that are killed and never start again: another worker takes over all of their tasks.

use crate::redis_faults::started_at;
use chrono::Utc;
use std::time::Duration;
use tests::TestApp;
use tests::clip::{Clip, SLOW};
use tests::server::Server;
use tokio::time::sleep;

/// The documented time within which 95 % of the tasks of a killed worker are claimed again: the lease of 30 s, a sweep
/// every 5 s, a claim within 2 s, and 8 s for a machine under load.
const CLAIMED_WITHIN: Duration = Duration::from_secs(45);
const KILLED: usize = 4;
const SLOTS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_killed_workers_are_claimed_by_another_worker_within_45_s() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let clip = |name: &str, seconds: f64| {
        let home = directory.join(name);
        std::fs::create_dir(&home).unwrap();
        let clip = Clip {
            seconds,
            ..Clip::slow()
        };
        clip.make(&home)
    };
    // No task with the long clip ends before its worker is killed: later ones would be done with its outputs.
    let (long, short) = (clip("long", 400.0), clip("short", 40.0));
    let worker = |name: &str, slots: usize| {
        let home = directory.join(name);
        std::fs::create_dir(&home).unwrap();
        let mut environment = app.environment.clone();
        environment.push(("RUSHES_WORKERS", slots.to_string()));
        Server::start_in("worker", &home, &environment)
    };
    let mut workers = Vec::new();
    for number in 0..KILLED {
        // The earlier workers have no free slot, so these tasks are for this one.
        let process = worker(&format!("killed-{number}"), SLOTS);
        let mut tasks = Vec::new();
        for slot in 0..SLOTS {
            let is_last = (number, slot) == (KILLED - 1, SLOTS - 1);
            let source = if is_last { &short } else { &long };
            tasks.push(caller.task(source, &[("recipe", SLOW)]).await);
        }
        for task in &tasks {
            caller.until(*task, |task| task["status"] == "processing").await;
        }
        workers.push((process, tasks));
    }
    let _other = worker("other", KILLED * SLOTS);
    let mut killed = Vec::new();
    for (process, tasks) in workers {
        // At different times of the interval of the sweeper.
        sleep(Duration::from_millis(1_300)).await;
        process.end("-KILL").await;
        let at = Utc::now();
        killed.extend(tasks.into_iter().map(|task| (task, at)));
    }
    let claimed = killed.iter().map(async |(task, at)| {
        let task = caller.until(*task, |task| task["attempt"] == 2).await;
        (started_at(&task) - at).to_std().unwrap()
    });
    let mut waited = futures::future::join_all(claimed).await;
    waited.sort_unstable();
    // Nearest rank.
    let p95 = waited[(waited.len() * 95).div_ceil(100) - 1];
    println!("claimed after {waited:?}; 95 % within {p95:?}");
    assert!(p95 < CLAIMED_WITHIN, "{waited:?}");
    let (last, others) = killed.split_last().unwrap();
    for (task, _) in others {
        let canceled = caller
            .post(&format!("/api/tasks/{task}/cancel"), &serde_json::json!({}))
            .await;
        assert_eq!(canceled.status, 200, "{canceled:?}");
    }
    let task = caller.ended(last.0).await;
    assert_eq!(
        (&task["status"], &task["attempt"], &task["failures"]),
        (&"processed".into(), &2.into(), &1.into()),
        "{task}"
    );
}
