//! Credentials of streams: a token in the header or in a cookie, and tickets.

use super::upload;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use tests::event_stream::EventStream;
use tests::{Reply, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_a_stream_without_a_token_and_nothing_else() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let reply = caller.post("/api/events/tickets", &Value::Null).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, "no-store"),
        "{reply:?}"
    );
    let ticket = reply.body["ticket"].as_str().unwrap();
    let mut stream = EventStream::open(&app.anonymous(), &format!("?ticket={ticket}")).await;
    upload(&caller).await;
    assert_eq!(stream.types(1).await, ["video.created"]);
    let as_token = |path: &str| app.anonymous().request(Method::GET, path).bearer_auth(ticket);
    for path in ["/api/events", "/api/tasks", "/api/events/stream"] {
        let reply = Reply::read(as_token(path).send().await.unwrap()).await;
        assert_eq!((reply.status, reply.code()), (401, "token_invalid"), "{path}");
    }
    for path in [format!("/api/events?ticket={ticket}"), "/api/events/stream".to_owned()] {
        let reply = app.anonymous().get(&path).await;
        assert_eq!((reply.status, reply.code()), (401, "token_missing"), "{path}");
    }
    let path = format!("/api/events/tickets?ticket={ticket}");
    let another = app.anonymous().post(&path, &Value::Null).await;
    assert_eq!((another.status, another.code()), (401, "token_missing"));
    let token = &caller.token;
    for wrong in [token.as_str(), "", "a.b.c"] {
        let reply = app.anonymous().get(&format!("/api/events/stream?ticket={wrong}")).await;
        assert_eq!((reply.status, reply.code()), (401, "token_invalid"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_cookie_opens_a_stream_and_nothing_else() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let with_cookie = |method, path: &str, token: &str| {
        let request = app.anonymous().request(method, path);
        request.header("cookie", format!("theme=dark; rushes_token={token}; other_token=x"))
    };
    let get = |token: &str| with_cookie(Method::GET, "/api/events/stream", token);
    let mut stream = EventStream::of(get(&caller.token).send().await.unwrap()).await;
    upload(&caller).await;
    assert_eq!(stream.types(1).await, ["video.created"]);
    for wrong in ["", "a.b.c"] {
        let reply = Reply::read(get(wrong).send().await.unwrap()).await;
        assert_eq!((reply.status, reply.code()), (401, "token_invalid"), "{wrong}");
    }
    let both = get(&caller.token).bearer_auth("a.b.c").send().await.unwrap();
    assert_eq!(both.status(), 401, "the header is stronger");
    for (method, path) in [
        (Method::GET, "/api/events"),
        (Method::GET, "/api/tasks"),
        (Method::POST, "/api/events/tickets"),
    ] {
        let request = with_cookie(method, path, &caller.token);
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!((reply.status, reply.code()), (401, "token_missing"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_token_expires() {
    let app = TestApp::idle_with(|config| config.token_ttl = Duration::from_secs(6)).await;
    let caller = app.caller().await;
    let ticket = caller.post("/api/events/tickets", &Value::Null).await.body["ticket"].take();
    let path = format!("?ticket={}", ticket.as_str().unwrap());
    let mut streams = [
        EventStream::open(&caller, "").await,
        EventStream::open(&app.anonymous(), &path).await,
    ];
    for stream in &mut streams {
        assert_eq!(stream.next().await, None);
    }
    let reply = caller.get("/api/events/stream").await;
    assert_eq!((reply.status, reply.code()), (401, "token_expired"));
}
