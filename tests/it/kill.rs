//! Processes and media children that are killed at random while clients work. `tests/campaign kill` runs it for longer.

use crate::ledger;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::random::Random;
use tests::server::Server;
use tests::{Caller, SECRET, TestApp};
use tokio::time::sleep;

/// What `./test` tries.
const USUAL_SEED: u64 = 1;
const USUAL_SECONDS: u64 = 12;
const CLIENTS: u64 = 3;

/// What clients were told: the ids of tasks, and what became of them on their wish.
#[derive(Debug, Default)]
struct Told {
    created: Vec<i64>,
    canceled: Vec<i64>,
    removed: Vec<i64>,
}

/// One process that is started again whenever it was killed.
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
        let process = Server::within(role, &home, &environment);
        Self {
            role,
            home,
            environment,
            process,
        }
    }

    /// Kills it and starts it again on the same data directory.
    async fn dies(&mut self) {
        self.process.signal("-KILL");
        self.process.ended().await;
        self.process = Server::within(self.role, &self.home, &self.environment);
    }

    /// Kills one of its media children, if it has any.
    fn loses_a_child(&self, random: &mut Random) {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let mut children: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        // Children belong to the thread that started them.
        for thread in std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let more = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            children.extend(more.split_whitespace().map(str::to_owned));
        }
        if let Some(child) = children.get(random.below(children.len())) {
            // It may have ended by itself meanwhile.
            let _ = std::process::Command::new("kill").args(["-KILL", child]).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_at_random_lose_nothing_that_was_acknowledged() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = number("TEST_CAMPAIGN_SEED").unwrap_or(USUAL_SEED);
    let time = Duration::from_secs(number("TEST_CAMPAIGN_SECONDS").unwrap_or(USUAL_SECONDS));
    let mut random = Random::new(seed);
    // Its API is in the process of the test and never dies: it tells what is true.
    let app = TestApp::idle().await;
    let witness = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    environment.push(("RUSHES_WORKERS", "2".to_owned()));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut of_the_api = environment.clone();
    of_the_api.push(("RUSHES_LISTEN", format!("127.0.0.1:{port}")));
    let mut victims = [
        Victim::start("up", app.directory.path(), of_the_api),
        Victim::start("worker", app.directory.path(), environment),
    ];
    let mut caller = witness.clone();
    caller.url = format!("http://127.0.0.1:{port}");

    let (until, told) = (Instant::now() + time, Arc::new(Mutex::new(Told::default())));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|place| {
            let client = Client {
                caller: caller.clone(),
                clip: std::fs::read(&clip).unwrap(),
                place,
                told: told.clone(),
            };
            tokio::spawn(client.work(until, Random::new(seed.wrapping_add(place + 1))))
        })
        .collect();
    let mut kills = [0; 3];
    while Instant::now() < until {
        sleep(Duration::from_millis(500 + random.below(2_500) as u64)).await;
        let what = random.below(3);
        match what {
            0 | 1 => victims[what].dies().await,
            _ => victims[random.below(2)].loses_a_child(&mut random),
        }
        kills[what] += 1;
    }
    for client in clients {
        client.await.unwrap();
    }
    let told = Arc::into_inner(told).unwrap().into_inner().unwrap();
    let ends = account(&witness, &told).await;
    for victim in victims {
        drop(victim.process);
    }
    ledger::check_files(&app).await;
    // One task for each key, however often it was sent.
    let everything = app.everything().await;
    let rows = everything.iter().filter(|line| line.starts_with("tasks: ")).count();
    assert_eq!(rows, told.created.len() - told.removed.len());
    println!(
        "seed {seed}, {} s: killed API, worker, children {kills:?}; {} tasks: {ends:?}",
        time.as_secs(),
        told.created.len()
    );
    assert!(!told.created.is_empty(), "nothing was tried");
}

/// One who uploads, cancels and removes, and sends again what got no answer.
struct Client {
    caller: Caller,
    clip: Vec<u8>,
    place: u64,
    told: Arc<Mutex<Told>>,
}

impl Client {
    async fn work(self, until: Instant, mut random: Random) {
        let mut round = 0;
        while Instant::now() < until {
            round += 1;
            let id = self.create(round).await;
            self.told.lock().unwrap().created.push(id);
            sleep(Duration::from_millis(random.below(400) as u64)).await;
            match random.below(6) {
                0 => self.cancel(id).await,
                1 => self.remove(id).await,
                _ => {}
            }
        }
    }

    /// Asks until there is an answer; the answers that a service may give while parts of it are dead are asked again.
    async fn answer(&self, request: impl Fn() -> reqwest::RequestBuilder) -> (u16, serde_json::Value) {
        let begun = Instant::now();
        loop {
            if let Ok(reply) = request().timeout(Duration::from_secs(20)).send().await {
                let status = reply.status().as_u16();
                // 409: the process that held the key was killed, and its lease runs.
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
        let key = format!("{}-{round}", self.place);
        // Each another moment: nothing is made by another task already.
        let at_ms = (self.place * 331 + round * 7) % 1_900;
        let recipe = json!({ "outputs": [{ "kind": "poster", "at_ms": at_ms }, { "kind": "gif" }] }).to_string();
        let request = || {
            let file = Part::bytes(self.clip.clone()).file_name("clip.mp4");
            let form = Form::new().part("file", file).text("recipe", recipe.clone());
            let request = self.caller.request(Method::POST, "/api/tasks");
            request.header("idempotency-key", &key).multipart(form)
        };
        let (status, body) = self.answer(request).await;
        assert_eq!(status, 201, "{body}");
        body["task_id"].as_i64().unwrap()
    }

    async fn cancel(&self, id: i64) {
        let path = format!("/api/tasks/{id}/cancel");
        let (status, body) = self.answer(|| self.caller.request(Method::POST, &path)).await;
        match status {
            200 => self.told.lock().unwrap().canceled.push(id),
            // Finished, perhaps by the first of two requests.
            409 => {}
            _ => panic!("{status}: {body}"),
        }
    }

    async fn remove(&self, id: i64) {
        let path = format!("/api/tasks/{id}");
        let (status, body) = self.answer(|| self.caller.request(Method::DELETE, &path)).await;
        // 404 to the second of two requests, when the answer to the first got lost.
        assert!([200, 404].contains(&status), "{status}: {body}");
        self.told.lock().unwrap().removed.push(id);
    }
}

fn body_code(body: &serde_json::Value) -> &str {
    body["code"].as_str().unwrap_or_default()
}

/// Compares what is with what was told; how many tasks ended how.
async fn account(witness: &Caller, told: &Told) -> std::collections::BTreeMap<String, usize> {
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for id in &told.created {
        if told.removed.contains(id) {
            assert_eq!(
                witness.get(&format!("/api/tasks/{id}")).await.status,
                404,
                "{id} is back"
            );
            *ends.entry("removed".to_owned()).or_default() += 1;
            continue;
        }
        let task = witness.ended(*id).await;
        let code = task["error"]["code"].as_str().unwrap_or_default();
        match task["status"].as_str().unwrap() {
            "processed" => {
                for link in task["download"].as_array().unwrap() {
                    assert!(!witness.download(link.as_str().unwrap()).await.is_empty());
                }
            }
            "canceled" => assert!(told.canceled.contains(id) || code.is_empty(), "{task}"),
            // It was killed too often.
            "failed" => assert!(
                ["worker_crash", "media_killed", "media_crash", "internal"].contains(&code),
                "{task}"
            ),
            other => panic!("{other}: {task}"),
        }
        *ends
            .entry(format!("{} {code}", task["status"].as_str().unwrap()))
            .or_default() += 1;
    }
    for id in &told.canceled {
        let task = witness.get(&format!("/api/tasks/{id}")).await;
        assert_eq!(task.body["status"], "canceled", "{task:?}");
    }
    ends
}
