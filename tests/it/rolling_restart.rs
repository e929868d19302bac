//! Two real backends behind the real nginx, restarted in turn while clients that never repeat a request call.

use crate::nginx::Nginx;
use reqwest::{Client, Method};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tests::server::Server;
use tests::{Caller, SECRET, TestApp};
use tokio::time::sleep;

/// A place for a backend, and the process that has it.
struct Backend<'a> {
    app: &'a TestApp,
    address: String,
    process: Server,
}

impl<'a> Backend<'a> {
    async fn start(app: &'a TestApp) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let process = Self::process(app, &address);
        let mut backend = Self { app, address, process };
        backend.process.ready().await;
        backend
    }

    fn process(app: &TestApp, address: &str) -> Server {
        let mut environment = app.environment.clone();
        environment.extend([
            ("RUSHES_LISTEN", address.to_owned()),
            (
                "RUSHES_DATA_DIR",
                app.directory.path().join(address).display().to_string(),
            ),
            ("RUSHES_JWT_SECRET", SECRET.to_owned()),
            ("RUSHES_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ]);
        Server::start_in("backend", app.directory.path(), &environment)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it as an orchestrator does, and starts its successor.
    async fn restart(&mut self) {
        self.process.signal("-TERM");
        let mut was_unready = false;
        while !self.process.has_ended() {
            let ready = reqwest::get(format!("{}/readyz", self.url())).await;
            was_unready |= ready.is_ok_and(|reply| reply.status() == 503);
            sleep(Duration::from_millis(100)).await;
        }
        assert!(was_unready, "it never said that it is not ready");
        assert!(self.process.ended().await.success(), "{}", self.process.log());
        self.process = Self::process(self.app, &self.address);
        self.process.ready().await;
    }
}

/// Calls in a row, each on a connection of its own, until told to end; returns what failed.
async fn call(
    url: String,
    token: String,
    number: usize,
    goes_on: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> Vec<String> {
    // A connection that is used again would hide from us, or repeat, what failed.
    let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let (mut failed, mut round) = (Vec::new(), 0);
    while goes_on.load(Ordering::Relaxed) {
        round += 1;
        let name = format!("p-{number}-{round}");
        let recipe = json!({ "outputs": [{ "kind": "mp4" }] });
        let preset = json!({ "name": name, "recipe": recipe });
        let part = reqwest::multipart::Part::bytes(tests::MP4).file_name("clip.mp4");
        let upload = reqwest::multipart::Form::new().part("file", part);
        let request = |method, path: &str| client.request(method, format!("{url}{path}")).bearer_auth(&token);
        for (request, expected) in [
            (request(Method::GET, "/api/tasks?max=1"), 200),
            (request(Method::POST, "/api/presets").json(&preset), 201),
            (request(Method::DELETE, &format!("/api/presets/{name}")), 200),
            (request(Method::POST, "/api/tasks").multipart(upload), 201),
        ] {
            match request.send().await {
                Ok(reply) if reply.status() == expected => {}
                Ok(reply) => failed.push(format!("{}: {}", reply.status(), reply.text().await.unwrap())),
                Err(error) => failed.push(format!("{error:?}")),
            }
            done.fetch_add(1, Ordering::Relaxed);
            // nginx lets 50 requests a second of one address through.
            sleep(Duration::from_millis(150)).await;
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backends_are_restarted_in_turn_and_no_request_fails() {
    let app = TestApp::idle().await;
    let (mut first, mut second) = (Backend::start(&app).await, Backend::start(&app).await);
    let nginx = Nginx::before_all(&[&first.url(), &second.url()], app.directory.path());
    nginx.ready().await;
    let caller = Caller::sign_up(&nginx.url).await;
    let (goes_on, done) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (url, token) = (nginx.url.clone(), caller.token.clone());
            tokio::spawn(call(url, token, number, goes_on.clone(), done.clone()))
        })
        .collect();
    for backend in [&mut first, &mut second] {
        backend.restart().await;
        // Both serve before the other one stops.
        let enough = done.load(Ordering::Relaxed) + 24;
        while done.load(Ordering::Relaxed) < enough {
            sleep(Duration::from_millis(20)).await;
        }
    }
    goes_on.store(false, Ordering::Relaxed);
    let mut failed = Vec::new();
    for client in clients {
        failed.extend(client.await.unwrap());
    }
    let done = done.load(Ordering::Relaxed);
    println!("{done} requests, {} failed", failed.len());
    assert!(done > 50, "{done} requests");
    assert!(failed.is_empty(), "{} of {done}: {failed:#?}", failed.len());
}
