//! Files that a worker fetches from a URL (`POST /api/tasks` with a `source_url`).
//!
//! The setting permits 127.0.0.2, so a host there is one that may be reached, and one at 127.0.0.1 may not.

use crate::tus::{source_of, video};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::file_host::{Answer, FileHost};
use tests::server::Server;
use tests::{Caller, Options, Reply, TestApp, Tus};
use tokio::time::sleep;

const PERMITTED: &str = "127.0.0.2";
const POSTER: &str = r#"{"outputs":[{"kind":"poster"}]}"#;
/// Above two parts of a bucket.
const LENGTH: usize = 24_000_000;
const HALF: usize = 16_000_000;

fn permit(config: &mut backend::Config) {
    config.app.outbound = "127.0.0.2/32".parse().unwrap();
}

async fn service() -> TestApp {
    TestApp::with(Options {
        config: permit,
        ..Options::default()
    })
    .await
}

/// Asks for a file and returns the path of its upload.
async fn fetch(caller: &Caller, url: &str) -> String {
    let recipe: Value = serde_json::from_str(POSTER).unwrap();
    let body = json!({ "source_url": url, "headers": { "X-Api-Key": "s3cret" }, "recipe": recipe });
    let reply = caller.post("/api/tasks", &body).await;
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (202, &"waiting".into()),
        "{reply:?}"
    );
    format!("/api/uploads/{}", reply.body["upload_id"].as_str().unwrap())
}

/// Polls an upload until the condition holds, for at most two minutes.
async fn until(caller: &Caller, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let reply = caller.get(path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        if condition(&reply.body) {
            return reply.body;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "still {}", reply.body);
        sleep(Duration::from_millis(50)).await;
    }
}

async fn task_of(caller: &Caller, path: &str) -> i64 {
    let upload = until(caller, path, |upload| {
        upload["task_id"].is_i64() || upload["status"] == "failed"
    });
    let upload = upload.await;
    assert_eq!(upload["status"], "finished", "{upload}");
    upload["task_id"].as_i64().unwrap()
}

fn is_final(upload: &Value) -> bool {
    upload["status"] == "finished" || upload["status"] == "failed"
}

async fn newest_event(caller: &Caller) -> Value {
    let events = caller.get("/api/events").await.body["data"].take();
    events.as_array().unwrap().last().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_and_becomes_a_processed_video_also_after_a_cut() {
    let app = service().await;
    let caller = app.caller().await;
    let bytes = video(&app, LENGTH);
    let host = FileHost::start(PERMITTED, bytes.clone(), &[Answer::Cut(HALF), Answer::File]).await;
    let path = fetch(&caller, &host.url).await;
    let task = task_of(&caller, &path).await;
    assert!(source_of(&app, task).await == bytes);
    let task = caller.ended(task).await;
    assert_eq!(
        (&task["status"], &task["display_name"]),
        (&"processed".into(), &"mi clip.mp4".into()),
        "{task}"
    );
    let upload = caller.get(&path).await.body;
    assert_eq!(upload["received_bytes"], LENGTH, "{upload}");
    assert_eq!(
        (&upload["length_bytes"], &upload["error"]),
        (&LENGTH.into(), &Value::Null)
    );
    let requests = host.requests();
    assert!(
        requests.len() == 2 && requests[0].contains("x-api-key: s3cret"),
        "{requests:?}"
    );
    assert!(requests[1].contains("range: bytes="), "{requests:?}");
    let id = task["id"].as_i64().unwrap();
    assert_eq!(
        tests::event_types(&app.db, id).await,
        ["task.created", "task.processed"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_a_code_and_is_an_event() {
    let app = service().await;
    let caller = app.caller().await;
    let private = FileHost::start("127.0.0.1", Vec::new(), &[]).await;
    let redirect = format!("302 Found\r\nContent-Length: 0\r\nLocation: {}", private.url).leak();
    let page = b"<!DOCTYPE html><title>Not a video</title>".to_vec();
    for (file, answer, code) in [
        (page, Answer::File, "not_media"),
        (
            Vec::new(),
            Answer::Head("404 Not Found\r\nContent-Length: 0"),
            "source_url_status",
        ),
        (
            Vec::new(),
            Answer::Head("200 OK\r\nContent-Length: 99999999999999"),
            "upload_too_large",
        ),
        (Vec::new(), Answer::Head("200 OK\r\nContent-Length: 0"), "file_empty"),
        (Vec::new(), Answer::Head(redirect), "source_url_forbidden"),
    ] {
        let host = FileHost::start(PERMITTED, file, &[answer]).await;
        let path = fetch(&caller, &host.url).await;
        let upload = until(&caller, &path, is_final).await;
        assert_eq!(
            (&upload["status"], &upload["error"]["code"]),
            (&"failed".into(), &code.into())
        );
        let event = newest_event(&caller).await;
        assert_eq!((&event["type"], &event["data"]), (&"upload.failed".into(), &upload));
        assert_eq!(host.requests().len(), 1, "{code}");
        assert_eq!(Tus::of(caller.clone()).remove(&path).await, 204);
    }
    assert_eq!(private.requests(), Vec::<String>::new());
    assert_eq!(caller.get("/api/tasks").await.body["data"], json!([]));
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_succeed_is_refused_at_once() {
    let app = TestApp::idle_with(permit).await;
    let caller = app.caller().await;
    let private = FileHost::start("127.0.0.1", Vec::new(), &[]).await;
    let url = "https://files.example.com/clip.mp4";
    for (body, status, code) in [
        (json!({ "source_url": private.url }), 400, "source_url_forbidden"),
        (
            json!({ "source_url": "http://169.254.169.254/latest" }),
            400,
            "source_url_forbidden",
        ),
        (
            json!({ "source_url": "http://[::ffff:10.0.0.1]/" }),
            400,
            "source_url_forbidden",
        ),
        (json!({ "source_url": "file:///etc/passwd" }), 400, "source_url_invalid"),
        (
            json!({ "source_url": "http://me:secret@files.example.com/" }),
            400,
            "source_url_invalid",
        ),
        (
            json!({ "source_url": url, "headers": { "Host": "a" } }),
            400,
            "source_headers_invalid",
        ),
        (
            json!({ "source_url": url, "headers": { "A": 1 } }),
            400,
            "request_invalid",
        ),
        (json!({ "source_url": url, "upload_id": "a" }), 400, "request_invalid"),
        (json!({ "upload_id": "a", "headers": {} }), 400, "request_invalid"),
        (json!({ "upload_id": "a", "file_name": "b" }), 400, "request_invalid"),
        (json!({ "source_url": url, "preset": "none" }), 400, "preset_unknown"),
        (
            json!({ "source_url": url, "preset": "web", "recipe": {} }),
            400,
            "preset_and_recipe",
        ),
        (
            json!({ "source_url": url, "recipe": { "outputs": [] } }),
            400,
            "recipe_invalid",
        ),
        (json!({}), 400, "file_missing"),
    ] {
        let reply = caller.post("/api/tasks", &body).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
    }
    assert_eq!(private.requests(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_a_name_an_id_or_a_url_is_no_error_of_the_server() {
    let mut app = service().await;
    let caller = app.caller().await;
    let url = "http://127.0.0.2:9/clip.mp4";
    let named = json!({ "source_url": url, "file_name": "a\u{0}b.mp4" });
    let named = caller.post("/api/tasks", &named).await;
    assert_eq!(
        (named.status, &named.body["file_name"]),
        (202, &"a\u{fffd}b.mp4".into()),
        "{named:?}"
    );
    let encoded = caller
        .post("/api/tasks", &json!({ "source_url": "http://127.0.0.2:9/%00.mp4" }))
        .await;
    assert_eq!(encoded.status, 202, "{encoded:?}");
    for source_url in [format!("\0{url}"), format!("{url}\0"), format!("{url}\0a")] {
        let sent = caller.post("/api/tasks", &json!({ "source_url": source_url })).await;
        assert!([202, 400].contains(&sent.status), "{sent:?}");
    }
    let unknown = caller.post("/api/tasks", &json!({ "upload_id": "a\0" })).await;
    assert_eq!((unknown.status, unknown.code()), (404, "upload_not_found"));
    assert_eq!(caller.get("/api/uploads/a%00").await.status, 404);
    assert_eq!(caller.post("/api/uploads/a%00/parts", &json!({})).await.status, 404);
    let tus = Tus::of(caller);
    // `a\0b.mp4` in base64.
    let creation = tus.request(Method::POST, "/api/uploads").header("upload-length", "9");
    let created = creation.header("upload-metadata", "filename YQBiLm1wNA==").send().await;
    assert_eq!(created.unwrap().status(), 201);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_fetches_the_file_once() {
    let app = service().await;
    let caller = app.caller().await;
    let host = FileHost::start(PERMITTED, video(&app, 1_000_000), &[Answer::File]).await;
    let send = async |url: &str| {
        let request = caller
            .request(Method::POST, "/api/tasks")
            .header("idempotency-key", "k");
        let body = json!({ "source_url": url, "file_name": "other.mp4", "preset": "audio" });
        Reply::read(request.json(&body).send().await.unwrap()).await
    };
    let first = send(&host.url).await;
    assert_eq!(first.status, 202, "{first:?}");
    let path = format!("/api/uploads/{}", first.body["upload_id"].as_str().unwrap());
    let task = task_of(&caller, &path).await;
    let again = send(&host.url).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        send("https://files.example.com/").await.code(),
        "idempotency_key_reused"
    );
    assert_eq!(host.requests().len(), 1);
    let tasks = caller.get("/api/tasks").await.body["data"].take();
    assert_eq!((tasks.as_array().unwrap().len(), &tasks[0]["id"]), (1, &task.into()));
    assert_eq!(tasks[0]["display_name"], "other.mp4");
    caller.ended(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_seen_by_its_account_alone_and_ends_when_it_is_deleted() {
    let app = service().await;
    let caller = app.caller().await;
    let host = FileHost::start(PERMITTED, video(&app, LENGTH), &[Answer::Hang(HALF)]).await;
    let path = fetch(&caller, &host.url).await;
    let upload = until(&caller, &path, |upload| upload["received_bytes"] != 0).await;
    assert_eq!(
        (&upload["status"], &upload["length_bytes"], &upload["task_id"]),
        (&"receiving".into(), &LENGTH.into(), &Value::Null),
        "{upload}"
    );
    let other = app.caller().await;
    assert_eq!(other.get(&path).await.code(), "upload_not_found");
    let tus = Tus::of(caller.clone());
    assert_eq!(tus.head(&path).await.status, 404, "no client can send bytes to it");
    assert_eq!(tus.remove(&path).await, 204);
    assert_eq!(caller.get(&path).await.code(), "upload_not_found");
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(host.requests().len(), 1);
}

/// Ends a worker in the middle of a download. Returns the time that another one needs for the rest.
async fn continued_after(signal: &str) -> Duration {
    let app = TestApp::idle_with(permit).await;
    let caller = app.caller().await;
    let bytes = video(&app, LENGTH);
    let host = FileHost::start(PERMITTED, bytes.clone(), &[Answer::Hang(HALF), Answer::File]).await;
    let worker = |name: &str| {
        let home = app.directory.path().join(name);
        std::fs::create_dir(&home).unwrap();
        let mut environment = app.environment.clone();
        environment.push(("RUSHES_OUTBOUND_ALLOW", "127.0.0.2".to_owned()));
        Server::start_in("worker", &home, &environment)
    };
    let first = worker("first");
    let path = fetch(&caller, &host.url).await;
    let upload = until(&caller, &path, |upload| upload["received_bytes"] != 0).await;
    let received = upload["received_bytes"].as_u64().unwrap();
    first.end(signal).await;
    let (_second, begun) = (worker("second"), Instant::now());
    let task = task_of(&caller, &path).await;
    let waited = begun.elapsed();
    assert!(source_of(&app, task).await == bytes);
    assert_eq!(caller.ended(task).await["status"], "processed");
    let requests = host.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    let from = requests[1].split("range: bytes=").nth(1).unwrap();
    let from: u64 = from.split('-').next().unwrap().parse().unwrap();
    assert!(from >= received, "{from} {received}");
    waited
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_whose_worker_was_killed_is_continued_by_another_one() {
    continued_after("-KILL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_whose_worker_was_stopped_is_continued_at_once() {
    let waited = continued_after("-TERM").await;
    // Less than the lease, which another worker would have to wait for.
    assert!(waited < Duration::from_secs(25), "{waited:?}");
}
