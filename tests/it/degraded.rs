//! The library while the database is away: a backend behind a proxy that stops forwarding to Postgres.

use crate::outages::with_proxy;
use crate::searches::{ask, result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, MP4, Reply, SECRET, TestApp};
use tokio::time::sleep;

/// The documented time from the end of the database to the first answer from the catalog.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// For a busy machine. Without the circuit breaker, a request waits 3 s for a connection.
const RESERVE: Duration = Duration::from_millis(900);

/// Time for a request to go back to the database, with a reserve for a busy machine.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);

/// Uploads and publishes a video through the service that keeps its database. Returns its public address.
pub(crate) async fn publish(app: &TestApp, caller: &Caller) -> String {
    let task = caller.upload("talk.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    app.finish(task, &[("video.mp4", "mp4", "video/mp4", b"the video")])
        .await;
    let video = caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    assert_eq!(video.status, 200, "{video:?}");
    let url = video.body["public_url"].as_str().unwrap();
    url.strip_prefix(&app.url).unwrap().to_owned()
}

/// Repeats a request until the condition holds. Returns the reply.
pub(crate) async fn until(caller: &Caller, path: &str, limit: Duration, condition: impl Fn(&Reply) -> bool) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = caller.get(path).await;
        if condition(&reply) {
            return reply;
        }
        assert!(begun.elapsed() < limit, "{path}: still {reply:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn is_degraded(reply: &Reply) -> bool {
    reply.body["freshness"]["degraded"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_answers_without_its_database_says_so_and_ends_after_its_bounds() {
    let Some((app, mut proxy, mut environment)) = with_proxy().await else {
        return;
    };
    // The private bound passes during the test, the public one does not.
    environment.push(("RUSHES_DEGRADED_PRIVATE_S", "12".to_owned()));
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    environment.push((
        "RUSHES_CATALOG_DIR",
        app.directory.path().join("other").display().to_string(),
    ));
    let mut backend = Server::start_in("backend", app.directory.path(), &environment);
    backend.ready().await;
    let owner = app.caller().await;
    let public = publish(&app, &owner).await;
    let mut caller = owner.clone();
    caller.url.clone_from(&backend.url);
    let paths = [
        "/api/library".to_owned(),
        "/api/library/search?q=talk".to_owned(),
        public.clone(),
        "/api/videos".to_owned(),
    ];
    // The backend has applied the publication.
    until(&caller, &public, RECOVERY, |reply| reply.status == 200).await;

    proxy.go_away();
    let away = Instant::now();
    // No request fails in between, and within the documented time all replies say that the database is away.
    let (public_paths, own_path) = paths.split_at(3);
    let (degraded, own_degraded) = tokio::join!(
        first_degraded(&caller, public_paths, away),
        first_degraded(&caller, own_path, away)
    );
    assert!(degraded < FIRST_ANSWER + RESERVE, "degraded after {degraded:?}");
    // The account is looked up first, which may wait for the database once.
    assert!(own_degraded < FIRST_ANSWER * 2, "degraded after {own_degraded:?}");
    let ticket = ask(&caller, "/api/library/search?q=talk").await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    for path in &paths {
        let reply = caller.get(path).await;
        assert!(reply.status == 200 && is_degraded(&reply), "{path}: {reply:?}");
        assert_eq!(reply.header("rushes-degraded"), "database", "{path}");
        assert_eq!(
            reply.header("cache-status"),
            "rushes-catalog; hit; detail=database-unavailable"
        );
        assert!(reply.header("age").parse::<u64>().unwrap() >= 3, "{path}: {reply:?}");
        assert!(reply.body["freshness"]["age_ms"].as_u64().unwrap() >= 3_000);
    }
    let file = caller
        .download(&format!("{}{public}/files/video.mp4", caller.url))
        .await;
    assert_eq!(file, b"the video");
    let ready = caller.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.body["mode"].as_str()),
        (200, Some("degraded")),
        "{ready:?}"
    );
    assert_eq!(caller.get("/api/health").await.status, 503);
    refuse_writes(&caller).await;
    // The result of a search in the background is kept, and each fetch gets the same.
    let found = result(&caller, ticket.header("location")).await;
    let again = result(&caller, ticket.header("location")).await;
    assert_eq!(
        (found.body["data"][0]["title"].as_str(), &found.body),
        (Some("talk"), &again.body)
    );

    // Private answers end after their bound, public ones go on.
    let ended = |reply: &Reply| reply.status == 503;
    let private = until(&caller, "/api/videos", RECOVERY, ended).await;
    // The age counts from the last answer of the database, which came shortly before.
    assert!(
        away.elapsed() >= Duration::from_secs(11),
        "ended after {:?}",
        away.elapsed()
    );
    assert_eq!((private.code(), private.header("retry-after")), ("unavailable", "2"));
    assert!(is_degraded(&caller.get("/api/library").await));

    proxy.come_back().await;
    until(&caller, "/api/library", RECOVERY, |reply| !is_degraded(reply)).await;
    until(&caller, "/api/tasks", RECOVERY, |reply| reply.status == 200).await;
    assert_eq!(caller.get("/api/videos").await.status, 200);
    // It was computed while the database was away.
    let found = result(&caller, ticket.header("location")).await;
    assert_eq!(found.body["data"][0]["title"], "talk", "{found:?}");
    assert!(is_degraded(&found));
}

/// Reads these paths for some seconds. Every reply is a 200 within the documented time. Returns the time from `away` to
/// the first one that says that the database is away.
async fn first_degraded(caller: &Caller, paths: &[String], away: Instant) -> Duration {
    let mut degraded = None;
    while away.elapsed() < FIRST_ANSWER * 3 {
        for path in paths {
            let begun = Instant::now();
            let reply = caller.get(path).await;
            let (took, at) = (begun.elapsed(), away.elapsed());
            assert_eq!(reply.status, 200, "{path} after {at:?}: {reply:?}");
            assert!(took < FIRST_ANSWER + RESERVE, "{path} took {took:?}");
            if is_degraded(&reply) {
                degraded.get_or_insert(at);
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    degraded.expect("no reply says that the database is away")
}

/// Everything that writes is refused at once, and says when to try again.
async fn refuse_writes(caller: &Caller) {
    for (method, path, body) in [
        (
            Method::POST,
            "/api/auth/login",
            json!({ "username": "a", "password": "b" }),
        ),
        (
            Method::POST,
            "/api/auth/signup",
            json!({ "username": "new", "password1": "123abc456", "password2": "123abc456", "email": "n@example.com" }),
        ),
        (Method::PATCH, "/api/videos/1", json!({ "title": "new" })),
        (Method::POST, "/api/videos/1/publish", json!({})),
        (Method::DELETE, "/api/videos/1", Value::Null),
        (Method::GET, "/api/tasks", Value::Null),
        (Method::DELETE, "/api/tasks/1", Value::Null),
    ] {
        let begun = Instant::now();
        let request = caller.request(method, path).json(&body);
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(
            reply.status,
            StatusCode::SERVICE_UNAVAILABLE.as_u16(),
            "{path}: {reply:?}"
        );
        assert_eq!(
            (reply.code(), reply.header("retry-after")),
            ("unavailable", "2"),
            "{path}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{path} took {:?}",
            begun.elapsed()
        );
    }
    let upload = caller.upload("a.mp4", MP4.to_vec(), &[]).await;
    assert_eq!((upload.status, upload.code()), (503, "unavailable"), "{upload:?}");
}
