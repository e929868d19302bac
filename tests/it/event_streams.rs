//! Streams of events in several processes: kills, shutdown, Redis, nginx, and clients that do not read.

use crate::clients::{sources, tools};
use crate::nginx::Nginx;
use crate::redis_server::RedisServer;
use entity::event;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::event_stream::EventStream;
use tests::server::Server;
use tests::{Caller, MP4, SECRET, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// A backend that shares database, files and queue with the app.
async fn backend(app: &TestApp, name: &str) -> Server {
    let directory = app.directory.path().join(name);
    std::fs::create_dir(&directory).unwrap();
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    environment.push(("RUSHES_TRUSTED_PROXIES", "127.0.0.1".to_owned()));
    let mut backend = Server::start_in("backend", &directory, &environment);
    backend.ready().await;
    backend
}

async fn upload(caller: &Caller) {
    let reply = caller.upload("clip.mp4", MP4.to_vec(), &[]).await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

/// The events of an account as the list has them.
async fn all(caller: &Caller) -> Vec<Value> {
    let list = caller.get("/api/events").await.body;
    list["data"].as_array().unwrap().clone()
}

fn at(caller: &Caller, url: &str) -> Caller {
    let mut caller = caller.clone();
    url.clone_into(&mut caller.url);
    caller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_moves_between_killed_backends_gets_each_event_once() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    // Until the last round has ended: each round needs new events.
    let is_running = Arc::new(AtomicBool::new(true));
    let writer = tokio::spawn({
        let (caller, is_running) = (caller.clone(), is_running.clone());
        async move {
            while is_running.load(Ordering::Relaxed) {
                upload(&caller).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let (mut seen, mut last_id) = (Vec::new(), "0".to_owned());
    for round in 0..3 {
        let mut server = backend(&app, &format!("backend-{round}")).await;
        let mut stream = EventStream::resume(&at(&caller, &server.url), &last_id).await;
        for _ in 0..15 {
            seen.push(stream.event().await);
        }
        server.signal("-KILL");
        // What was on its way when the process died may arrive, or may not.
        while let Some(message) = stream.next().await {
            seen.extend((message.event == "message").then_some(message.data));
        }
        last_id.clone_from(&stream.last_id);
        let _ = server.ended().await;
    }
    is_running.store(false, Ordering::Relaxed);
    writer.await.unwrap();
    let expected = all(&caller).await;
    assert!(expected.len() >= 45, "{}", expected.len());
    let mut stream = EventStream::resume(&caller, &last_id).await;
    while seen.len() < expected.len() {
        seen.push(stream.event().await);
    }
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_follow_changes_of_other_processes_while_redis_is_lost_and_back() {
    let Some(mut redis) = RedisServer::start() else { return };
    let mut app = TestApp::idle().await;
    app.environment.retain(|(name, _)| *name != "REDIS_URL");
    app.environment.push(("REDIS_URL", redis.url()));
    let caller = app.caller().await;
    let server = backend(&app, "backend").await;
    let mut stream = EventStream::open(&at(&caller, &server.url), "").await;
    let mut times = Vec::new();
    for round in 0..3 {
        match round {
            1 => redis.kill(),
            2 => redis.restart(),
            _ => {}
        }
        let begun = Instant::now();
        upload(&caller).await;
        assert_eq!(stream.types(2).await, ["video.created", "task.created"]);
        times.push(begun.elapsed());
    }
    println!("from the upload to the event: {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_messages_on_at_once_and_a_stopped_backend_is_replaced_by_the_other() {
    let app = TestApp::idle().await;
    let (mut first, second) = (backend(&app, "first").await, backend(&app, "second").await);
    let nginx = Nginx::in_front_of_all(&[&first.url, &second.url], app.directory.path());
    nginx.ready().await;
    let caller = Caller::sign_up(&nginx.url).await;
    let mut streams = [
        EventStream::open(&caller, "").await,
        EventStream::open(&caller, "").await,
    ];
    let ticket = caller.post("/api/events/tickets", &Value::Null).await.body["ticket"].take();
    let ticket = ticket.as_str().unwrap();
    upload(&caller).await;
    for stream in &mut streams {
        assert_eq!(stream.types(2).await, ["video.created", "task.created"]);
    }
    first.signal("-TERM");
    upload(&caller).await;
    for stream in &mut streams {
        let mut types = Vec::new();
        while types.len() < 2 {
            match stream.next().await {
                Some(message) => types.push(message.data["type"].as_str().unwrap().to_owned()),
                None => {
                    tokio::time::sleep(Duration::from_millis(stream.retry.unwrap())).await;
                    *stream = EventStream::resume(&caller, &stream.last_id).await;
                }
            }
        }
        assert_eq!(types, ["video.created", "task.created"]);
    }
    let _ = first.ended().await;
    let _open = EventStream::open(&Caller::anonymous(&nginx.url), &format!("?ticket={ticket}")).await;
    let logs = ["access.log", "error.log"]
        .map(|name| std::fs::read_to_string(app.directory.path().join("nginx").join(name)).unwrap());
    assert!(logs.iter().all(|log| !log.contains("ticket=")), "{logs:?}");
}

/// Appends many events to the account.
async fn flood(app: &TestApp, task: i64, count: usize) {
    for _ in 0..count / 500 {
        let appended = entity::write(&app.db, async |db| {
            let event = event::New::of_task(db, domain::EventType::TaskCreated, domain::TaskId(task)).await?;
            event::append(db, vec![event; 500]).await
        });
        appended.await.unwrap();
    }
}

async fn has_dropped_a_stream(app: &TestApp) -> bool {
    let metrics = app.anonymous().request(reqwest::Method::GET, "/metrics");
    let text = metrics.send().await.unwrap().text().await.unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("rushes_event_streams_dropped_total"));
    line.is_some_and(|line| !line.ends_with(" 0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_loses_its_stream_but_no_event_and_delays_no_one() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    upload(&caller).await;
    let task = caller.get("/api/tasks").await.body["data"][0]["id"].as_i64().unwrap();
    let host = app.url.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut slow = socket.connect(host.parse().unwrap()).await.unwrap();
    let request = format!(
        "GET /api/events/stream?after=0 HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        caller.token
    );
    slow.write_all(request.as_bytes()).await.unwrap();
    let other = app.caller().await;
    let mut others = EventStream::open(&other, "").await;
    let begun = Instant::now();
    while !has_dropped_a_stream(&app).await {
        flood(&app, task, 2_000).await;
        assert!(
            begun.elapsed() < Duration::from_secs(100),
            "the slow stream is still open"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    upload(&other).await;
    assert_eq!(others.types(2).await, ["video.created", "task.created"]);
    let first = event::after(&app.db, 0, 1).await.unwrap().remove(0);
    let of_caller = async |after: i64| {
        let mut events = event::after(&app.db, after, 1_000_000).await.unwrap();
        events.retain(|event| event.user_id == first.user_id);
        events
    };
    let count = of_caller(0).await.len();
    println!("dropped after {count} events");
    // The rest of the stream, then its end.
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(60), slow.read_to_string(&mut text)).await;
    read.expect("the stream ends").ok();
    let ids: Vec<i64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: ")?.parse().ok())
        .collect();
    assert!(ids.is_sorted(), "in order");
    let last = ids.last().unwrap();
    let mut stream = EventStream::resume(&caller, &last.to_string()).await;
    let rest = of_caller(*last).await;
    // The first id is that of the start.
    assert_eq!(ids.len() - 1 + rest.len(), count);
    let (mut next, mut id) = (rest.iter(), stream.last_id.clone());
    let end = rest.last().map_or_else(|| id.clone(), |event| event.id.to_string());
    while id != end {
        match stream.next().await {
            Some(message) => {
                assert_eq!(message.data["id"], next.next().unwrap().id);
                id = message.id;
            }
            // The flood may have outrun this stream too, while it read the earlier events.
            None => stream = EventStream::resume(&caller, &id).await,
        }
    }
    assert!(next.next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_goes_on_by_itself_when_a_killed_server_is_started_again() {
    let Some(tools) = tools() else { return };
    let mut app = TestApp::idle().await;
    let caller = app.caller().await;
    app.environment
        .push(("RUSHES_LISTEN", tests::port::free_address().to_string()));
    let mut server = backend(&app, "first").await;
    upload(&caller).await;
    let module = tools.join("node_modules/eventsource/dist/index.js");
    let client = tokio::process::Command::new("node")
        .arg(sources().join("event_source.mjs"))
        .args([module.to_str().unwrap(), &server.url, &caller.token, "4"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while server.metric("rushes_event_streams ").await < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the client does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.signal("-KILL");
    let _ = server.ended().await;
    upload(&caller).await;
    let _server = backend(&app, "second").await;
    let output = tokio::time::timeout(Duration::from_secs(60), client.wait_with_output());
    let output = output.await.expect("the client ends").unwrap();
    assert!(output.status.success(), "{output:?}");
    let types = String::from_utf8(output.stdout).unwrap();
    let expected = ["video.created", "task.created", "video.created", "task.created"];
    assert_eq!(types.lines().collect::<Vec<_>>(), expected);
}
