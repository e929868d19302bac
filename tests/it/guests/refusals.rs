//! Links that may not be used, their limits, and their secrets.

use super::{creation, execute, guest, link, session, tasks};
use crate::tus::video;
use crate::tus_expiry::wait_until_removed;
use entity::upload;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tests::{Options, Reply, TestApp, Tus};
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_may_not_be_used_tells_why() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 9, "password": "correct horse"})).await;
    let shown = app.anonymous().get(link["url"].as_str().unwrap()).await;
    assert_eq!(shown.body["password_required"], true);
    for wrong in [json!({}), json!({"password": "battery staple"})] {
        let reply = session(&app, &link, wrong).await;
        assert_eq!((reply.status, reply.code()), (403, "guest_password_wrong"));
    }
    let reply = session(&app, &link, json!({"password": "correct horse"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut guest = Tus::of(app.anonymous());
    guest.caller.token = reply.body["token"].as_str().unwrap().to_owned();
    let path = guest.create("clip.mp4", 1_000).await;
    let renewal = format!("/api/guest/{}/session", link["token"].as_str().unwrap());
    assert_eq!(
        guest.caller.post(&renewal, &json!({})).await.status,
        200,
        "a session is renewed without it"
    );

    let id = &link["id"];
    execute(&app, "UPDATE guest_links SET expires_at_ms = 1").await;
    let (url, correct) = (link["url"].as_str().unwrap(), json!({"password": "correct horse"}));
    for refused in [
        app.anonymous().get(url).await,
        session(&app, &link, correct.clone()).await,
        creation(&guest, 1_000).await,
    ] {
        assert_eq!((refused.status, refused.code()), (410, "guest_link_expired"));
    }
    assert_eq!(guest.head(&path).await.status, 200, "what has begun goes on");

    let patch = async |change: Value| {
        let request = owner
            .request(Method::PATCH, &format!("/api/guest-links/{id}"))
            .json(&change);
        Reply::read(request.send().await.unwrap()).await
    };
    let later = chrono::Utc::now() + chrono::Duration::days(1);
    assert_eq!(
        patch(json!({"expires_at": later, "revoked": true})).await.body["revoked"],
        true
    );
    for refused in [
        app.anonymous().get(url).await,
        session(&app, &link, correct.clone()).await,
        creation(&guest, 1_000).await,
        guest.send(&path, 0, vec![1]).await,
        guest.caller.get(&path).await,
    ] {
        assert_eq!((refused.status, refused.code()), (410, "guest_link_revoked"));
    }
    assert_eq!(
        patch(json!({"revoked": false, "title": "Tuesday"})).await.body["title"],
        "Tuesday"
    );
    assert_eq!(guest.head(&path).await.status, 200);

    assert_eq!(owner.delete(&format!("/api/guest-links/{id}")).await.status, 200);
    let removed = app.anonymous().get(url).await;
    let unknown = ["0".repeat(64), "x".to_owned(), "%FF".to_owned()];
    for token in unknown {
        let reply = app.anonymous().get(&format!("/api/guest/{token}")).await;
        let without_id = |reply: &Reply| {
            let mut body = reply.body.clone();
            body["request_id"].take();
            body["instance"].take();
            (reply.status, body)
        };
        assert_eq!(without_id(&reply), without_id(&removed), "{token}");
        assert_eq!((reply.status, reply.code()), (404, "guest_link_not_found"));
    }
    assert_eq!(
        (guest.head(&path).await.status, creation(&guest, 1_000).await.code()),
        (401, "token_invalid")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_links_are_guessed_as_slowly_as_those_of_accounts() {
    let app = TestApp::with(Options {
        config: |config| config.app.throttle.account_failures = 3,
        worker: None,
        ..Options::default()
    })
    .await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"password": "correct horse"})).await;
    for _ in 0..4 {
        let reply = session(&app, &link, json!({"password": "battery staple"})).await;
        assert_eq!(reply.code(), "guest_password_wrong");
    }
    let reply = session(&app, &link, json!({"password": "correct horse"})).await;
    assert_eq!((reply.status, reply.code()), (429, "rate_limited"));
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_without_a_body_if_the_link_has_no_password() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    for (body, expected) in [(json!({}), 200), (json!({"password": "correct horse"}), 403)] {
        let link = link(&owner, body).await;
        let path = format!("/api/guest/{}/session", link["token"].as_str().unwrap());
        let request = app.anonymous().request(Method::POST, &path);
        let empty = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(empty.status, expected, "{empty:?}");
        let null = app.anonymous().post(&path, &serde_json::Value::Null).await;
        assert_eq!(null.status, expected, "{null:?}");
        let untyped = app.anonymous().request(Method::POST, &path).body("{}");
        let untyped = Reply::read(untyped.send().await.unwrap()).await;
        assert_eq!((untyped.status, untyped.code()), (415, "content_type_unsupported"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_size_of_the_link_is_refused_at_its_beginning_and_at_its_end() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 9, "max_bytes": 2_000_000})).await;
    let guest = guest(&app, &link).await;
    let refused = creation(&guest, 2_000_001).await;
    assert_eq!((refused.status, refused.code()), (413, "upload_too_large"));
    let deferred = guest
        .request(Method::POST, "/api/uploads")
        .header("upload-defer-length", 1);
    let deferred = Reply::read(deferred.send().await.unwrap()).await;
    assert_eq!(deferred.status, 201, "{deferred:?}");
    let path = deferred.header("location").to_owned();
    let bytes = video(&app, 2_000_001);
    let too_long = guest.send(&path, 0, bytes.clone()).await;
    assert_eq!((too_long.status, too_long.code()), (413, "upload_too_large"));
    let told = guest
        .patch(&path, 0, bytes[..1_000].to_vec())
        .header("upload-length", 2_000_001);
    let told = Reply::read(told.send().await.unwrap()).await;
    assert_eq!((told.status, told.code()), (413, "upload_too_large"));
    let fits = video(&app, 2_000_000);
    let last = guest.patch(&path, 0, fits).header("upload-length", 2_000_000);
    assert_eq!(last.send().await.unwrap().status(), 204);
    assert_eq!(tasks(&owner).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_link_is_shown_to_the_request_that_creates_it_and_stored_nowhere() {
    let app = TestApp::idle().await;
    let (owner, other) = (app.caller().await, app.caller().await);
    let request = async || {
        let body = json!({"title": "A", "password": "correct horse"});
        let request = owner
            .request(Method::POST, "/api/guest-links")
            .header("idempotency-key", "a")
            .json(&body);
        Reply::read(request.send().await.unwrap()).await
    };
    let (first, again) = (request().await, request().await);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body["id"]),
        ("true", &first.body["id"])
    );
    assert_eq!(again.body, first.body);
    let token = first.body["token"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    let snapshot = app.snapshot().await;
    assert!(
        !snapshot
            .iter()
            .any(|line| line.contains(token) || line.contains("correct horse")),
        "{snapshot:#?}"
    );
    let listed = owner.get("/api/guest-links").await.body;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert!(listed["data"][0].get("token").is_none(), "{listed}");
    assert_eq!(
        listed["data"][0],
        owner.get(&format!("/api/guest-links/{}", first.body["id"])).await.body
    );
    assert_eq!(other.get("/api/guest-links").await.body["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_link_are_checked() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    for (body, code, field) in [
        (json!({"max_uploads": 0}), "request_invalid", "max_uploads"),
        (json!({"max_uploads": 1_001}), "request_invalid", "max_uploads"),
        (json!({"max_bytes": 0}), "request_invalid", "max_bytes"),
        (json!({"title": "a\nb"}), "request_invalid", "title"),
        (
            json!({"expires_at": "2001-01-01T00:00:00Z"}),
            "request_invalid",
            "expires_at",
        ),
        (json!({"password": "short"}), "password_too_short", "password"),
        (json!({"preset": "absent"}), "preset_unknown", "preset"),
        (json!({"recipe": {"outputs": []}}), "recipe_invalid", "outputs"),
        (json!({"unknown": 1}), "request_invalid", "unknown"),
    ] {
        let reply = owner.post("/api/guest-links", &body).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{body}");
        assert!(reply.body["errors"].to_string().contains(field), "{body}: {reply:?}");
    }
    let both = json!({"preset": "web", "recipe": {"outputs": [{"kind": "mp4"}]}});
    assert_eq!(owner.post("/api/guest-links", &both).await.code(), "preset_and_recipe");
    for _ in 0..100 {
        link(&owner, json!({})).await;
    }
    let reply = owner.post("/api/guest-links", &json!({})).await;
    assert_eq!((reply.status, reply.code()), (409, "guest_links_too_many"));
}

/// A request of which the service has received the first half.
struct Sending {
    chunks: UnboundedSender<io::Result<Vec<u8>>>,
    rest: Vec<u8>,
    request: JoinHandle<reqwest::Result<reqwest::Response>>,
}

impl Sending {
    async fn begin(app: &TestApp, guest: &Tus, path: &str, bytes: &[u8]) -> Self {
        let (chunks, received) = unbounded();
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        chunks.unbounded_send(Ok(first.to_vec())).unwrap();
        let request = guest
            .patch(path, 0, Vec::new())
            .body(reqwest::Body::wrap_stream(received));
        let request = tokio::spawn(request.send());
        let held = || upload::Entity::find().filter(upload::Column::Holder.is_not_null());
        while held().one(&app.db).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let rest = rest.to_vec();
        Self { chunks, rest, request }
    }

    /// Sends the second half and returns the reply.
    async fn end(self) -> Reply {
        self.chunks.unbounded_send(Ok(self.rest)).unwrap();
        drop(self.chunks);
        Reply::read(self.request.await.unwrap().unwrap()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ends_after_its_link_is_revoked_becomes_no_task_until_that_is_undone() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({})).await;
    let guest = guest(&app, &link).await;
    let bytes = video(&app, 1_000_000);
    let path = guest.create("clip.mp4", bytes.len()).await;
    let set_revoked = async |revoked: bool| {
        let request = owner.request(Method::PATCH, &format!("/api/guest-links/{}", link["id"]));
        let changed = request.json(&json!({ "revoked": revoked })).send().await.unwrap();
        assert_eq!(changed.status(), 200);
    };
    let sending = Sending::begin(&app, &guest, &path, &bytes).await;
    set_revoked(true).await;
    let reply = sending.end().await;
    assert_eq!((reply.status, reply.code()), (410, "guest_link_revoked"), "{reply:?}");
    assert!(tasks(&owner).await.is_empty());
    let waiting = async || entity::upload::received_from_guests(&app.db, 9).await.unwrap().len();
    assert_eq!(waiting().await, 0);
    set_revoked(false).await;
    assert_eq!(waiting().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uploads_of_a_removed_link_are_removed_and_one_that_ends_then_is_told_so() {
    let mut app = TestApp::start().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 9})).await;
    let guest = guest(&app, &link).await;
    for _ in 0..3 {
        assert_eq!(creation(&guest, 1_000).await.status, 201);
    }
    let bytes = video(&app, 1_000_000);
    let path = guest.create("clip.mp4", bytes.len()).await;
    let sending = Sending::begin(&app, &guest, &path, &bytes).await;
    assert_eq!(
        owner.delete(&format!("/api/guest-links/{}", link["id"])).await.status,
        200
    );
    let reply = sending.end().await;
    assert_eq!((reply.status, reply.code()), (404, "guest_link_not_found"), "{reply:?}");
    assert!(tasks(&owner).await.is_empty());
    let events = owner.get("/api/events").await.body;
    assert!(events.to_string().contains("upload.failed"), "{events}");
    wait_until_removed(&app, 0).await;
    app.stop().await;
}
