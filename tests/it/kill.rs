//! Processes and media children that are killed at random while clients work: no acknowledged change is lost.
//! `tests/campaign kill` runs the test for longer.

use crate::consistency;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::port::free_address;
use tests::random::Random;
use tests::server::Server;
use tests::{Caller, SECRET, TestApp};
use tokio::time::sleep;

/// Seed and duration in `./test`.
const DEFAULT_SEED: u64 = 1;
const DEFAULT_SECONDS: u64 = 12;
const CLIENTS: u64 = 3;

/// The ids of tasks in acknowledged requests, and in requests to cancel.
#[derive(Debug, Default)]
struct Acknowledged {
    created: Vec<i64>,
    canceled: Vec<i64>,
    /// Tasks that a client has tried to cancel. The reply may be lost.
    cancel_requested: Vec<i64>,
    removed: Vec<i64>,
}

/// A process that is started again after each kill.
struct Victim {
    role: &'static str,
    home: PathBuf,
    environment: Vec<(&'static str, String)>,
    process: Server,
}

impl Victim {
    fn start(role: &'static str, directory: &Path, environment: Vec<(&'static str, String)>) -> Self {
        let home = directory.join(role);
        std::fs::create_dir_all(&home).unwrap();
        let process = Server::start_in(role, &home, &environment);
        Self {
            role,
            home,
            environment,
            process,
        }
    }

    /// Kills the process and starts it again with the same data directory.
    async fn kill(&mut self) {
        self.process.signal("-KILL");
        self.process.ended().await;
        self.process = Server::start_in(self.role, &self.home, &self.environment);
    }

    /// Kills a random media child or the fork server, if there is one.
    fn kill_a_child(&self, random: &mut Random) {
        let mut processes = children(&self.process.id().to_string());
        let of_server: Vec<String> = processes.iter().flat_map(|server| children(server)).collect();
        processes.extend(of_server);
        if let Some(process) = processes.get(random.below(processes.len())) {
            // It may have ended by itself.
            let _ = std::process::Command::new("kill").args(["-KILL", process]).status();
        }
    }
}

/// The children of a process. The kernel lists them by the thread that started them.
pub(crate) fn children(process: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_processes_at_random_loses_no_acknowledged_change() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = number("TEST_CAMPAIGN_SEED").unwrap_or(DEFAULT_SEED);
    let time = Duration::from_secs(number("TEST_CAMPAIGN_SECONDS").unwrap_or(DEFAULT_SECONDS));
    let mut random = Random::new(seed);
    // The API in the process of the test is never killed. At the end it is asked for the state of each task.
    let app = TestApp::idle().await;
    let observer = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    environment.push(("RUSHES_WORKERS", "2".to_owned()));
    let listen = free_address().to_string();
    let mut api_environment = environment.clone();
    api_environment.push(("RUSHES_LISTEN", listen.clone()));
    let mut victims = [
        Victim::start("up", app.directory.path(), api_environment),
        Victim::start("worker", app.directory.path(), environment),
    ];
    let mut caller = observer.clone();
    caller.url = format!("http://{listen}");

    let (until, acknowledged) = (Instant::now() + time, Arc::new(Mutex::new(Acknowledged::default())));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = Client {
                caller: caller.clone(),
                clip: std::fs::read(&clip).unwrap(),
                number,
                acknowledged: acknowledged.clone(),
            };
            tokio::spawn(client.work(until, Random::new(seed.wrapping_add(number + 1))))
        })
        .collect();
    let mut kills = [0; 3];
    while Instant::now() < until {
        sleep(Duration::from_millis(500 + random.below(2_500) as u64)).await;
        // Each kind once, then at random.
        let kind = kills
            .iter()
            .position(|count| *count == 0)
            .unwrap_or_else(|| random.below(3));
        match kind {
            0 | 1 => victims[kind].kill().await,
            _ => victims[random.below(2)].kill_a_child(&mut random),
        }
        kills[kind] += 1;
    }
    for client in clients {
        client.await.unwrap();
    }
    let acknowledged = Arc::into_inner(acknowledged).unwrap().into_inner().unwrap();
    let results = check_tasks(&observer, &acknowledged).await;
    for victim in victims {
        drop(victim.process);
    }
    consistency::check_files(&app).await;
    // One task for each idempotency key, although requests were repeated.
    let snapshot = app.snapshot().await;
    let rows = snapshot.iter().filter(|line| line.starts_with("tasks: ")).count();
    assert_eq!(rows, acknowledged.created.len() - acknowledged.removed.len());
    println!(
        "seed {seed}, {} s: killed API, worker, children {kills:?}; {} tasks: {results:?}",
        time.as_secs(),
        acknowledged.created.len()
    );
    assert!(!acknowledged.created.is_empty(), "no task was created");
    assert!(kills.iter().all(|count| *count > 0), "{kills:?}");
    assert!(
        results.keys().any(|result| result.starts_with("processed")),
        "{results:?}"
    );
}

/// A client that uploads, cancels and removes, and repeats requests without a reply.
struct Client {
    caller: Caller,
    clip: Vec<u8>,
    number: u64,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Client {
    async fn work(self, until: Instant, mut random: Random) {
        let mut round = 0;
        while Instant::now() < until {
            round += 1;
            let id = self.create(round).await;
            self.acknowledged.lock().unwrap().created.push(id);
            sleep(Duration::from_millis(random.below(400) as u64)).await;
            match random.below(6) {
                0 => self.cancel(id).await,
                1 => self.remove(id).await,
                _ => {}
            }
        }
    }

    /// Repeats a request until it gets a definite reply. Replies that a service may give while parts of it are down are
    /// not definite.
    async fn send(&self, request: impl Fn() -> reqwest::RequestBuilder) -> (u16, serde_json::Value) {
        let begun = Instant::now();
        loop {
            if let Ok(reply) = request().timeout(Duration::from_secs(20)).send().await {
                let status = reply.status().as_u16();
                // 409: the process that held the idempotency key was killed, and the lease has not expired.
                let body = reply.json().await.unwrap_or_default();
                match status {
                    503 | 409 if body_code(&body) != "task_finished" => {}
                    500.. => panic!("{status}: {body}"),
                    _ => return (status, body),
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "no answer for 90 s");
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn create(&self, round: u64) -> i64 {
        let key = format!("{}-{round}", self.number);
        // Another timestamp for each task, so that no outputs are reused.
        let at_ms = (self.number * 331 + round * 7) % 1_900;
        let recipe = json!({ "outputs": [{ "kind": "poster", "at_ms": at_ms }, { "kind": "gif" }] }).to_string();
        let request = || {
            let file = Part::bytes(self.clip.clone()).file_name("clip.mp4");
            let form = Form::new().part("file", file).text("recipe", recipe.clone());
            let request = self.caller.request(Method::POST, "/api/tasks");
            request.header("idempotency-key", &key).multipart(form)
        };
        let (status, body) = self.send(request).await;
        assert_eq!(status, 201, "{body}");
        body["task_id"].as_i64().unwrap()
    }

    async fn cancel(&self, id: i64) {
        let path = format!("/api/tasks/{id}/cancel");
        self.acknowledged.lock().unwrap().cancel_requested.push(id);
        let (status, body) = self.send(|| self.caller.request(Method::POST, &path)).await;
        match status {
            200 => self.acknowledged.lock().unwrap().canceled.push(id),
            // Already finished, possibly canceled by an earlier request whose reply was lost.
            409 => {}
            _ => panic!("{status}: {body}"),
        }
    }

    async fn remove(&self, id: i64) {
        let path = format!("/api/tasks/{id}");
        let (status, body) = self.send(|| self.caller.request(Method::DELETE, &path)).await;
        // 404 if the task was removed by an earlier request whose reply was lost.
        assert!([200, 404].contains(&status), "{status}: {body}");
        self.acknowledged.lock().unwrap().removed.push(id);
    }
}

fn body_code(body: &serde_json::Value) -> &str {
    body["code"].as_str().unwrap_or_default()
}

/// Compares the tasks with the acknowledged requests. Returns the number of tasks by status and code.
async fn check_tasks(observer: &Caller, acknowledged: &Acknowledged) -> std::collections::BTreeMap<String, usize> {
    let mut results = std::collections::BTreeMap::<String, usize>::new();
    for id in &acknowledged.created {
        if acknowledged.removed.contains(id) {
            assert_eq!(
                observer.get(&format!("/api/tasks/{id}")).await.status,
                404,
                "{id} exists again"
            );
            *results.entry("removed".to_owned()).or_default() += 1;
            continue;
        }
        let task = observer.ended(*id).await;
        let code = task["error"]["code"].as_str().unwrap_or_default();
        match task["status"].as_str().unwrap() {
            "processed" => {
                for link in task["download"].as_array().unwrap() {
                    assert!(!observer.download(link.as_str().unwrap()).await.is_empty());
                }
            }
            "canceled" => assert!(acknowledged.cancel_requested.contains(id), "{task}"),
            // Its worker or child was killed too often.
            "failed" => assert!(
                ["worker_crash", "media_killed", "media_crash", "internal"].contains(&code),
                "{task}"
            ),
            other => panic!("{other}: {task}"),
        }
        *results
            .entry(format!("{} {code}", task["status"].as_str().unwrap()))
            .or_default() += 1;
    }
    for id in &acknowledged.canceled {
        let task = observer.get(&format!("/api/tasks/{id}")).await;
        assert_eq!(task.body["status"], "canceled", "{task:?}");
    }
    results
}
