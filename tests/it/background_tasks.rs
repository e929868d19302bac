//! Background tasks that panic: they are restarted, health shows it, and repeated panics make the service unready.

use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::{Caller, TestApp};

/// Waits until a condition holds, for at most a minute.
async fn until(name: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{name}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_panic_in_any_background_task_the_service_works_and_health_shows_it() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let names: Vec<_> = app.background.tasks().iter().map(|task| task.name).collect();
    let mut expected = vec![
        "datasets",
        "events",
        "fetches",
        "guest-uploads",
        "idempotency-keys",
        "import-retention",
        "imports",
        "library",
        "listener",
        "searches",
        "shutdown-timer",
        "sweeper",
        "trash",
        "uploads",
        "videos",
        "webhooks",
        "worker",
    ];
    if app.environment.iter().any(|(name, _)| *name == "REDIS_URL") {
        expected.extend(["updates", "wakeups"]);
        expected.sort_unstable();
    }
    assert_eq!(names, expected);
    for name in names {
        app.background.panic_in(name);
        until(name, async || {
            let health = Caller::anonymous(&app.url).get("/api/health").await;
            assert_eq!((health.status, &health.body["status"]), (200, &"healthy".into()));
            let tasks = health.body["background"].as_array().unwrap();
            let task = tasks.iter().find(|task| task["name"] == name).unwrap();
            task["panics"] == 1 && task["state"] == "running"
        })
        .await;
        let recipe = format!(r#"{{"outputs":[{{"kind":"poster","at_ms":{}}}]}}"#, name.len() * 10);
        let id = caller.task(&clip, &[("recipe", &recipe)]).await;
        let task = caller.ended(id).await;
        assert_eq!(task["status"], "processed", "after a panic in {name}: {task}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_task_that_panics_again_and_again_makes_the_service_unready() {
    let app = TestApp::start().await;
    let caller = app.anonymous();
    for count in 1..=3 {
        app.background.panic_in("sweeper");
        until("the sweeper panics", async || {
            let tasks = app.background.tasks();
            tasks.iter().any(|task| task.name == "sweeper" && task.panics == count)
        })
        .await;
    }
    let (ready, health, live) = (
        caller.get("/readyz").await,
        caller.get("/api/health").await,
        caller.get("/livez").await,
    );
    assert_eq!((ready.status, &ready.body["background"]), (503, &false.into()));
    assert_eq!((health.status, &health.body["status"]), (503, &"unhealthy".into()));
    assert_eq!(live.status, 200);
}
