//! Faults of Redis: it loses its data, is restarted empty, is down, or does not answer. Uploads are answered at once,
//! due tasks are claimed within 2 s, and throughput does not fall.

use crate::redis_server::RedisServer;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::server::Server;
use tests::{Caller, SECRET, TestApp};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The documented time within which a due task is claimed.
const CLAIMED_WITHIN: Duration = Duration::from_secs(2);
/// The timeout of a command. Each upload that waits for a silent Redis takes longer; others do only on a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

const POSTER: &str = r#"{ "outputs": [{ "kind": "poster" }] }"#;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Wiped,
    RestartedEmpty,
    Down,
    Silent,
}

/// A backend and a worker process that share a Redis of their own, and an API without Redis for the observer.
struct Service {
    app: TestApp,
    caller: Caller,
    observer: Caller,
    _processes: [Server; 2],
}

impl Service {
    async fn start(redis: &RedisServer) -> Self {
        let app = TestApp::idle().await;
        let mut environment = app.environment.clone();
        environment.retain(|(name, _)| *name != "REDIS_URL");
        environment.extend([
            ("REDIS_URL", redis.url()),
            ("RUSHES_JWT_SECRET", SECRET.to_owned()),
            ("RUSHES_WORKERS", "2".to_owned()),
        ]);
        let start = |role| {
            let home = app.directory.path().join(role);
            std::fs::create_dir(&home).unwrap();
            Server::start_in(role, &home, &environment)
        };
        let mut processes = ["backend", "worker"].map(start);
        processes[0].ready().await;
        let caller = Caller::sign_up(&processes[0].url).await;
        let mut observer = caller.clone();
        observer.url.clone_from(&app.url);
        Self {
            app,
            caller,
            observer,
            _processes: processes,
        }
    }

    /// Uploads a file and waits until its task is processed. Returns the time of the upload and the task.
    async fn process(&self, source: &Path) -> (Duration, Value) {
        let begun = Instant::now();
        let id = self.caller.task(source, &[("recipe", POSTER)]).await;
        let uploaded = begun.elapsed();
        let task = self.observer.ended(id).await;
        assert_eq!(task["status"], "processed", "{task}");
        (uploaded, task)
    }
}

async fn cause(fault: Fault, redis: &mut RedisServer) {
    match fault {
        Fault::Wiped => redis.command::<()>(&["FLUSHALL"]).await,
        Fault::RestartedEmpty => redis.restart(),
        Fault::Down => redis.kill(),
        Fault::Silent => redis.stop_answering(),
    }
}

/// A short clip. Its duration depends on the number, so that no task reuses outputs of an earlier one.
fn source(number: u32, directory: &Path) -> PathBuf {
    let clip = Clip {
        width: 96,
        height: 64,
        seconds: 0.2 + 0.04 * f64::from(number),
        sound: false,
        ..Clip::default()
    };
    clip.make(directory)
}

/// The time of the latest claim of a task.
pub(crate) fn started_at(task: &Value) -> DateTime<Utc> {
    task["started_at"].as_str().unwrap().parse().unwrap()
}

/// The time from the creation of a task to its claim.
fn waited(task: &Value) -> Duration {
    let created: DateTime<Utc> = task["created_at"].as_str().unwrap().parse().unwrap();
    (started_at(task) - created).to_std().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_task_after_a_fault_of_redis_is_answered_at_once_and_claimed_within_2_s() {
    let Some(mut redis) = RedisServer::start() else { return };
    let service = Service::start(&redis).await;
    let directory = service.app.directory.path();
    // The first upload and the first claim include the start of the processes.
    service.process(&source(0, directory)).await;
    let others = [
        Fault::RestartedEmpty,
        Fault::Down,
        Fault::RestartedEmpty,
        Fault::Silent,
        Fault::Silent,
        Fault::Silent,
        Fault::RestartedEmpty,
    ];
    let mut samples = Vec::new();
    for (number, fault) in (1..).zip([Fault::Wiped; 10].into_iter().chain(others)) {
        let source = source(number, directory);
        cause(fault, &mut redis).await;
        let (uploaded, task) = service.process(&source).await;
        samples.push((fault, uploaded, waited(&task)));
    }
    println!("fault, time of the upload, time until the claim: {samples:?}");
    let silent = samples.iter().filter(|(fault, ..)| matches!(fault, Fault::Silent));
    let shortest = silent.map(|(_, uploaded, _)| *uploaded).min().unwrap();
    assert!(shortest < RESPONSE_TIMEOUT, "uploads wait for Redis: {samples:?}");
    for (fault, _, waited) in samples {
        assert!(waited < CLAIMED_WITHIN, "{fault:?}: claimed after {waited:?}");
    }
}

/// Clients of each service that upload the next file as soon as one is processed; more than the worker has slots.
const CLIENTS: usize = 6;
const WINDOW: Duration = Duration::from_secs(5);
/// Time between a fault and the window after it, which ends 10 s after the fault.
const PAUSE: Duration = Duration::from_secs(5);
/// Minimum throughput after a fault, as a ratio of that before.
const MIN_RATIO: f64 = 0.95;
/// Even the ratio to another service varies by more than 5 % between short windows, so a fault is repeated before it
/// counts as a failure. A service that waits for Redis is slower each time.
const MAX_ATTEMPTS: usize = 6;

/// Keeps a service busy until it is dropped, and counts the processed tasks.
struct Load {
    processed: Arc<AtomicU32>,
    _clients: JoinSet<()>,
}

impl Load {
    fn on(service: &Arc<Service>, source: &Path) -> Self {
        let (processed, mut clients) = (Arc::<AtomicU32>::default(), JoinSet::new());
        for _ in 0..CLIENTS {
            let (service, source, processed) = (service.clone(), source.to_owned(), processed.clone());
            clients.spawn(async move {
                loop {
                    service.process(&source).await;
                    processed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self {
            processed,
            _clients: clients,
        }
    }
}

/// The number of tasks that each load processes in a window.
async fn throughput(loads: &[Load; 2]) -> [f64; 2] {
    let processed = || loads.each_ref().map(|load| load.processed.load(Ordering::Relaxed));
    let before = processed();
    sleep(WINDOW).await;
    let after = processed();
    [0, 1].map(|load| f64::from(after[load] - before[load]))
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_10_s_after_a_fault_of_redis_is_that_before() {
    let (Some(mut redis), Some(healthy)) = (RedisServer::start(), RedisServer::start()) else {
        return;
    };
    // The second service has a healthy Redis. It shows the pace of the machine in each window.
    let services = [Service::start(&redis).await, Service::start(&healthy).await].map(Arc::new);
    let source = source(0, services[0].app.directory.path());
    for service in &services {
        service.process(&source).await;
    }
    let loads = services.each_ref().map(|service| Load::on(service, &source));
    for fault in [Fault::Wiped, Fault::RestartedEmpty, Fault::Down, Fault::Silent] {
        let mut ratios = Vec::new();
        while ratios.last().is_none_or(|ratio| *ratio < MIN_RATIO) {
            assert!(ratios.len() < MAX_ATTEMPTS, "{fault:?}: {ratios:?}");
            let before = throughput(&loads).await;
            cause(fault, &mut redis).await;
            sleep(PAUSE).await;
            let after = throughput(&loads).await;
            assert!(before[0] > 0.0 && after[1] > 0.0, "{before:?}, {after:?}");
            println!("{fault:?}: {before:?} tasks before, {after:?} after, with a healthy Redis as the second");
            ratios.push(after[0] / before[0] / (after[1] / before[1]));
            if matches!(fault, Fault::Down | Fault::Silent) {
                redis.restart();
                sleep(PAUSE).await;
            }
        }
        println!("{fault:?}: throughput after ÷ before {ratios:?}");
    }
}
