//! A rolling restart: two backends behind nginx are restarted one after the other, and no request of a client fails.

use crate::nginx::Nginx;
use reqwest::{Client, Method};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tests::port::free_address;
use tests::server::Server;
use tests::{Caller, SECRET, TestApp};
use tokio::time::sleep;

/// An address, and the backend process that listens there.
struct Backend<'a> {
    app: &'a TestApp,
    address: String,
    process: Server,
}

impl<'a> Backend<'a> {
    async fn start(app: &'a TestApp) -> Self {
        let address = free_address().to_string();
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

    /// Stops the process with SIGTERM, as an orchestrator does, and starts a new one at the same address.
    async fn restart(&mut self) {
        self.process.signal("-TERM");
        let mut was_unready = false;
        while !self.process.has_ended() {
            let ready = reqwest::get(format!("{}/readyz", self.url())).await;
            was_unready |= ready.is_ok_and(|reply| reply.status() == 503);
            sleep(Duration::from_millis(100)).await;
        }
        assert!(was_unready, "/readyz never answered 503 during the stop");
        assert!(self.process.ended().await.success(), "{}", self.process.log());
        self.process = Self::process(self.app, &self.address);
        self.process.ready().await;
    }
}

/// Sends requests one after the other until `is_running` is false; returns the failures.
async fn send_requests(
    url: String,
    token: String,
    number: usize,
    is_running: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Vec<String> {
    // Each request has a connection of its own: on a reused connection the client library would repeat failed requests.
    let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let (mut failed, mut round) = (Vec::new(), 0);
    while is_running.load(Ordering::Relaxed) {
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
            sent.fetch_add(1, Ordering::Relaxed);
            // nginx limits an address to 50 requests per second.
            sleep(Duration::from_millis(150)).await;
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backends_are_restarted_in_turn_and_no_request_fails() {
    let app = TestApp::idle().await;
    let (mut first, mut second) = (Backend::start(&app).await, Backend::start(&app).await);
    let nginx = Nginx::in_front_of_all(&[&first.url(), &second.url()], app.directory.path());
    nginx.ready().await;
    let caller = Caller::sign_up(&nginx.url).await;
    let (is_running, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (url, token) = (nginx.url.clone(), caller.token.clone());
            tokio::spawn(send_requests(url, token, number, is_running.clone(), sent.clone()))
        })
        .collect();
    for backend in [&mut first, &mut second] {
        backend.restart().await;
        // Both backends serve requests before the next one stops.
        let enough = sent.load(Ordering::Relaxed) + 24;
        while sent.load(Ordering::Relaxed) < enough {
            sleep(Duration::from_millis(20)).await;
        }
    }
    is_running.store(false, Ordering::Relaxed);
    let mut failed = Vec::new();
    for client in clients {
        failed.extend(client.await.unwrap());
    }
    let sent = sent.load(Ordering::Relaxed);
    println!("{sent} requests, {} failed", failed.len());
    assert!(sent > 50, "{sent} requests");
    assert!(failed.is_empty(), "{} of {sent}: {failed:#?}", failed.len());
}
