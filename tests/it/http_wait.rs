//! Long polls: `GET /api/tasks/{id}?wait=SECONDS`.

use crate::redis_server::RedisServer;
use entity::task::Claimed;
use futures::future::join_all;
use queue::Queue;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::clip::{Clip, SLOW};
use tests::server::Server;
use tests::{Caller, MP4, Options, Reply, SECRET, TestApp};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

/// Time for a request to arrive before the change that it waits for. A later one is answered all the same.
const ARRIVAL: Duration = Duration::from_millis(200);
/// The time from a change to the reply is shorter with an update, on any machine, in at least one of several rounds.
/// Without one it is the rest of the three seconds between two reads.
const SOON: Duration = Duration::from_millis(1_500);

async fn new_task(caller: &Caller) -> i64 {
    let reply = caller.upload("clip.mp4", MP4.to_vec(), &[]).await;
    reply.body["id"].as_i64().unwrap()
}

/// Sends a request that waits; `etag` may be empty. Returns the reply and the time that it took.
async fn poll(caller: &Caller, id: i64, wait: u32, etag: &str) -> (Reply, Duration) {
    let (path, begun) = (format!("/api/tasks/{id}?wait={wait}"), Instant::now());
    let mut request = caller.request(Method::GET, &path);
    if !etag.is_empty() {
        request = request.header("if-none-match", etag);
    }
    let reply = Reply::read(request.send().await.unwrap()).await;
    (reply, begun.elapsed())
}

/// Polls while a change is made. Returns the reply and the time since the change began.
async fn poll_during(caller: &Caller, id: i64, etag: &str, change: impl Future<Output = ()>) -> (Reply, Duration) {
    let change = async {
        sleep(ARRIVAL).await;
        let begun = Instant::now();
        change.await;
        begun
    };
    let ((reply, _), begun) = tokio::join!(poll(caller, id, 30, etag), change);
    (reply, begun.elapsed())
}

/// The queue as another process sees it: with a connection of its own, where there is Redis.
fn queue_of_another_process(app: &TestApp) -> Queue {
    let url = app.environment.iter().find(|(name, _)| *name == "REDIS_URL");
    url.map_or_else(|| app.queue.clone(), |(_, url)| Queue::redis(url).unwrap())
}

/// Writes the progress of an attempt as a worker does.
async fn progress(app: &TestApp, queue: &Queue, claimed: &Claimed, percent: u8, speed: f32) {
    let progress = domain::protocol::Progress {
        percent,
        speed,
        ..Default::default()
    };
    let written = claimed.claim().renew(&app.db, Some(json!(progress)));
    assert!(written.await.unwrap());
    queue.publish_update(claimed.owner(), claimed.task_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_request_is_answered_after_each_change_of_a_worker() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let worker = queue_of_another_process(&app);
    let id = new_task(&caller).await;
    let (first, _) = poll(&caller, id, 0, "").await;
    assert_eq!(first.body["status"], "uploaded");
    let (mut etag, mut times, mut claimed) = (first.header("etag").to_owned(), Vec::new(), None);
    let claim = async {
        let task = app.claim(id).await;
        worker.publish_update(task.owner(), task.task_id());
        claimed = Some(task);
    };
    let (reply, time) = poll_during(&caller, id, &etag, claim).await;
    let state = |reply: &Reply| (reply.body["status"].clone(), reply.body["progress"]["percent"].clone());
    assert_eq!(state(&reply), (json!("processing"), json!(0)));
    times.push(time);
    let claimed = claimed.unwrap();
    reply.header("etag").clone_into(&mut etag);
    for percent in [10, 11, 50, 99] {
        let change = progress(&app, &worker, &claimed, percent, 1.0);
        // Also relative to the time of the request.
        let known = if percent == 50 { "" } else { &etag };
        let (reply, time) = poll_during(&caller, id, known, change).await;
        assert_eq!(state(&reply), (json!("processing"), json!(percent)));
        reply.header("etag").clone_into(&mut etag);
        times.push(time);
    }
    println!("{times:?}");
    assert!(times.iter().min().unwrap() < &SOON, "{times:?}");
}

/// Without the update at its end, the last wait of this test would not end.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_publishes_that_a_task_has_ended() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let state = async || {
        let found = entity::task::by_id(&app.db, domain::TaskId(id)).await.unwrap();
        found.unwrap()
    };
    let mut subscription = app.queue.subscribe(state().await.owner(), domain::TaskId(id));
    while !domain::Status::from(state().await.status).is_final() {
        let updated = tokio::time::timeout(Duration::from_secs(60), subscription.updated());
        updated.await.expect("an update of the task");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_claimed_again_is_news_at_the_same_percent() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let known = poll(&caller, id, 0, "").await.0.header("etag").to_owned();
    let claimed = app.claim(id).await;
    assert!(claimed.claim().release(&app.db, Duration::ZERO).await.unwrap());
    let (again, time) = poll(&caller, id, 30, &known).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("uploaded")));
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_change_a_waiting_request_is_answered_after_its_time() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let (reply, time) = poll(&caller, id, 1, "").await;
    assert_eq!((reply.status, &reply.body["status"]), (200, &json!("uploaded")));
    assert!(time >= Duration::from_secs(1), "{time:?}");
    let (unchanged, time) = poll(&caller, id, 1, reply.header("etag")).await;
    assert_eq!((unchanged.status, unchanged.body.is_null()), (304, true));
    assert!(time >= Duration::from_secs(1), "{time:?}");
    // A tag of another reply: the client does not know this state.
    let (other, time) = poll(&caller, id, 30, "W/\"0-processing-1-5\"").await;
    assert_eq!(other.status, 200);
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_speed_alone_ends_no_wait() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let claimed = app.claim(id).await;
    progress(&app, &app.queue, &claimed, 10, 1.0).await;
    let (before, _) = poll(&caller, id, 0, "").await;
    progress(&app, &app.queue, &claimed, 10, 2.0).await;
    let (after, time) = poll(&caller, id, 1, before.header("etag")).await;
    assert!(time >= Duration::from_secs(1), "{time:?}");
    // The reply at the end of the time is the current one.
    assert_eq!((after.status, &after.body["progress"]["speed"]), (200, &json!(2.0)));
    assert_ne!(before.header("etag"), after.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_has_ended_and_a_wait_of_zero_are_answered_at_once() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let (waiting, ended) = (new_task(&caller).await, new_task(&caller).await);
    app.finish(ended, &[("video.mp4", "mp4", "video/mp4", b"0123")]).await;
    let (first, time) = poll(&caller, ended, 30, "").await;
    assert_eq!((first.status, &first.body["status"]), (200, &json!("processed")));
    let (again, time_again) = poll(&caller, ended, 30, first.header("etag")).await;
    assert_eq!(again.status, 304);
    let (zero, time_zero) = poll(&caller, waiting, 0, "").await;
    assert_eq!(zero.status, 200);
    for time in [time, time_again, time_zero] {
        assert!(time < Duration::from_secs(10), "{time:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_not_accepted_is_named_with_the_range() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    for (query, value) in [
        ("wait=31", "31"),
        ("wait=-1", "-1"),
        ("wait=1.5", "1.5"),
        ("wait=", ""),
        ("wait=soon", "soon"),
    ] {
        let reply = caller.get(&format!("/api/tasks/{id}?{query}")).await;
        assert_eq!((reply.status, reply.code()), (400, "query_invalid"), "{query}");
        let detail = format!("wait={value}; accepted: whole seconds, 0 to 30");
        assert_eq!(reply.body["detail"], detail);
        assert_eq!(reply.body["errors"][0]["field"], "wait");
    }
    let twice = caller.get(&format!("/api/tasks/{id}?wait=1&wait=2")).await;
    assert_eq!((twice.status, twice.code()), (400, "query_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_and_removal_wake_a_waiting_request() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let (mut cancels, mut removals) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let id = new_task(&caller).await;
        let cancel = async {
            let reply = caller.post(&format!("/api/tasks/{id}/cancel"), &json!({})).await;
            assert_eq!(reply.status, 200);
        };
        let (reply, time) = poll_during(&caller, id, "", cancel).await;
        assert_eq!((reply.status, &reply.body["status"]), (200, &json!("canceled")));
        cancels.push(time);
        let id = new_task(&caller).await;
        let remove = async {
            assert_eq!(caller.delete(&format!("/api/tasks/{id}")).await.status, 200);
        };
        let (reply, time) = poll_during(&caller, id, "", remove).await;
        assert_eq!((reply.status, reply.code()), (404, "task_not_found"));
        removals.push(time);
    }
    println!("{cancels:?} {removals:?}");
    assert!(cancels.iter().min().unwrap() < &SOON, "{cancels:?}");
    assert!(removals.iter().min().unwrap() < &SOON, "{removals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_all_waits() {
    let mut app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let begun = Instant::now();
    let stop = async {
        sleep(ARRIVAL).await;
        app.stop().await;
    };
    let ((reply, _), ()) = tokio::join!(poll(&caller, id, 30, ""), stop);
    assert_eq!((reply.status, &reply.body["status"]), (200, &json!("uploaded")));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_timeout_does_not_cut_a_wait() {
    let app = TestApp::idle_with(|config| config.request_timeout = Duration::from_millis(700)).await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let (reply, time) = poll(&caller, id, 2, "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(time >= Duration::from_secs(2), "{time:?}");
    let head = caller.request(Method::HEAD, &format!("/api/tasks/{id}?wait=2"));
    assert_eq!(head.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_beyond_the_limit_are_answered_at_once_and_a_client_that_leaves_frees_its_place() {
    let mut options = Options {
        worker: None,
        ..Options::default()
    };
    // An eighth may wait, and a quarter of that for one account.
    options.server.max_connections = 64;
    let app = TestApp::with(options).await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let wait = Duration::from_secs(5);
    let replies = join_all((0..4).map(|_| poll(&caller, id, 5, ""))).await;
    assert!(replies.iter().all(|(reply, _)| reply.status == 200));
    let waited = replies.iter().filter(|(_, time)| *time >= wait).count();
    assert_eq!(waited, 2, "{replies:?}");
    let left = join_all((0..2).map(|_| poll(&caller, id, 30, "")));
    assert!(tokio::time::timeout(ARRIVAL, left).await.is_err());
    let begun = Instant::now();
    while poll(&caller, id, 1, "").await.1 < Duration::from_secs(1) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the places are still taken");
        sleep(Duration::from_millis(50)).await;
    }
}

/// hyper notices a closed connection only while it has read no byte of a further request. The place is free after the
/// time of the wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_a_further_request_and_leaves_keeps_its_place_for_its_wait_at_most() {
    let mut options = Options {
        worker: None,
        ..Options::default()
    };
    // One place for an account.
    options.server.max_connections = 32;
    let app = TestApp::with(options).await;
    let caller = app.caller().await;
    let id = new_task(&caller).await;
    let host = app.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /api/tasks/{id}?wait=4 HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\r\nGET /ping HT",
        caller.token
    );
    let begun = Instant::now();
    stream.write_all(request.as_bytes()).await.unwrap();
    sleep(ARRIVAL).await;
    drop(stream);
    while poll(&caller, id, 1, "").await.1 < Duration::from_secs(1) {
        assert!(begun.elapsed() < Duration::from_secs(15), "the place is still taken");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_of_a_backend_follow_a_worker_in_another_process_while_redis_is_lost_and_back() {
    let Some(mut redis) = RedisServer::start() else { return };
    let app = TestApp::idle().await;
    let mut caller = app.caller().await;
    let directory = app.directory.path();
    let mut environment = app.environment.clone();
    environment.retain(|(name, _)| *name != "REDIS_URL");
    environment.push(("REDIS_URL", redis.url()));
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    let mut backend = Server::start_in("backend", directory, &environment);
    backend.ready().await;
    caller.url.clone_from(&backend.url);
    let worker_directory = directory.join("worker");
    std::fs::create_dir(&worker_directory).unwrap();
    let _worker = Server::start_in("worker", &worker_directory, &environment);
    for round in 0_u8..4 {
        match round {
            0 => {}
            1 => redis.command::<()>(&["FLUSHALL"]).await,
            2 => redis.kill(),
            _ => redis.restart(),
        }
        let clip = Clip {
            seconds: 6.0 + f64::from(round),
            ..Clip::slow()
        };
        let id = caller.task(&clip.make(directory), &[("recipe", SLOW)]).await;
        let (mut etag, mut polls) = (String::new(), 0);
        let task = loop {
            let (reply, time) = poll(&caller, id, 30, &etag).await;
            assert!(time < Duration::from_secs(28), "round {round}: {time:?}, {reply:?}");
            polls += 1;
            reply.header("etag").clone_into(&mut etag);
            if reply.status == 200 && !["uploaded", "processing"].contains(&reply.body["status"].as_str().unwrap()) {
                break reply.body;
            }
        };
        println!("round {round}: {polls} polls");
        assert_eq!(task["status"], "processed", "{task}");
    }
    assert_eq!(caller.get("/api/tasks/999999").await.status, 404);
    let log = backend.logged(r#""status":404"#).await;
    let polls: Vec<_> = log
        .lines()
        .filter(|line| line.contains(r#""route":"/api/tasks/{id}""#))
        .collect();
    assert!(polls.len() == 1 && polls[0].contains(r#""status":404"#), "{polls:?}");
}
