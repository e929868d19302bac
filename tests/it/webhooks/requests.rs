//! Requests about webhooks: what is refused, limits, and the list of deliveries.

use super::{patch, permit, webhook};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Reply, TestApp};

const URL: &str = "https://hooks.example.com/in";

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_webhook_is_refused_with_a_code() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let created = webhook(&caller, URL, &["task.failed"]).await;
    let path = format!("/api/webhooks/{}", created["id"]);
    for (body, code) in [
        (json!({ "url": "ftp://hooks.example.com" }), "webhook_url_invalid"),
        (json!({ "url": "hooks.example.com" }), "webhook_url_invalid"),
        (json!({ "url": "https://hooks.example.com/\0" }), "webhook_url_invalid"),
        (
            json!({ "url": "https://hooks.example.com/\r\nX" }),
            "webhook_url_invalid",
        ),
        (
            json!({ "url": "https://me:secret@hooks.example.com" }),
            "webhook_url_invalid",
        ),
        (json!({ "url": "http://127.0.0.1:9" }), "webhook_url_forbidden"),
        (json!({ "url": "http://[::ffff:10.0.0.1]/" }), "webhook_url_forbidden"),
        (
            json!({ "url": "http://169.254.169.254/latest" }),
            "webhook_url_forbidden",
        ),
        (json!({ "url": URL, "event_types": ["task.gone"] }), "request_invalid"),
        (json!({ "url": URL, "event_types": "task.failed" }), "request_invalid"),
        (json!({ "url": URL, "secret": "mine" }), "request_invalid"),
    ] {
        for reply in [
            caller.post("/api/webhooks", &body).await,
            patch(&caller, &path, &body).await,
        ] {
            assert_eq!((reply.status, reply.code()), (400, code), "{body}: {reply:?}");
        }
    }
    assert_eq!(caller.post("/api/webhooks", &json!({})).await.code(), "fields_missing");
    assert_eq!(caller.get(&path).await.body["event_types"], json!(["task.failed"]));
    for url in ["http://127.0.0.1:9", "http://10.1.2.3/"] {
        let form = caller
            .upload("clip.mp4", tests::MP4.to_vec(), &[("webhook_url", url)])
            .await;
        let json = caller
            .post("/api/tasks", &json!({ "source_url": URL, "webhook_url": url }))
            .await;
        let raw = caller
            .request(Method::PUT, &format!("/api/uploads/file?name=a.mp4&webhook_url={url}"))
            .body(tests::MP4);
        let raw = Reply::read(raw.send().await.unwrap()).await;
        for reply in [form, json, raw] {
            assert_eq!(
                (reply.status, reply.code()),
                (400, "webhook_url_forbidden"),
                "{reply:?}"
            );
        }
    }
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_a_limited_number_of_webhooks_and_sees_only_its_own() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    // Its secret for tasks does not count.
    caller.get("/api/webhooks/secret").await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(webhook(&caller, &format!("{URL}/{number}"), &[]).await["id"].clone());
    }
    let refused = caller.post("/api/webhooks", &json!({ "url": URL })).await;
    assert_eq!((refused.status, refused.code()), (409, "webhooks_too_many"));
    let list = caller.get("/api/webhooks").await;
    let listed: Vec<Value> = list.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(listed, ids);
    assert!(!list.body.to_string().contains("whsec_"));
    assert_eq!(
        other.get(&format!("/api/webhooks/{}", ids[0])).await.code(),
        "webhook_not_found"
    );
    assert_eq!(caller.delete(&format!("/api/webhooks/{}", ids[0])).await.status, 200);
    assert_eq!(caller.get(&format!("/api/webhooks/{}", ids[0])).await.status, 404);
    webhook(&caller, URL, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_created_again_with_the_same_key_is_the_same_one() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let send = async || {
        let request = caller
            .request(Method::POST, "/api/webhooks")
            .header("idempotency-key", "k");
        Reply::read(request.json(&json!({ "url": URL })).send().await.unwrap()).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
    assert_eq!(first.body, again.body);
    assert_eq!(
        caller.get("/api/webhooks").await.body["data"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_by_page_and_end_when_their_webhook_is_disabled() {
    let app = TestApp::idle_with(permit).await;
    let caller = app.caller().await;
    let (one, two) = (webhook(&caller, URL, &[]).await, webhook(&caller, URL, &[]).await);
    let mut sent = Vec::new();
    for webhook in [&one, &two, &one] {
        let reply = caller
            .post(&format!("/api/webhooks/{}/test", webhook["id"]), &json!({}))
            .await;
        assert_eq!(reply.status, 202, "{reply:?}");
        sent.insert(0, reply.body["id"].clone());
    }
    let list = async |query: &str| {
        let reply = caller.get(&format!("/api/webhooks/deliveries?{query}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let ids: Vec<_> = reply.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].clone())
            .collect();
        (ids, reply.body["next_cursor"].clone())
    };
    let (first, cursor) = list("max=2").await;
    assert_eq!(first, sent[..2]);
    assert_eq!(
        list(&format!("cursor={}", cursor.as_str().unwrap())).await,
        (sent[2..].to_vec(), Value::Null)
    );
    assert_eq!(list(&format!("webhook_id={}", two["id"])).await.0, sent[1..2]);
    let path = format!("/api/webhooks/{}", one["id"]);
    let disabled = patch(&caller, &path, &json!({ "enabled": false })).await;
    assert_eq!(disabled.body["disabled_reason"], "account", "{disabled:?}");
    assert_eq!(list("status=failed").await.0, [sent[0].clone(), sent[2].clone()]);
    assert_eq!(list("status=pending").await.0, sent[1..2]);
    let failed = caller.get("/api/webhooks/deliveries?status=failed").await.body["data"][0].clone();
    assert_eq!((&failed["error"], &failed["failures"]), (&"disabled".into(), &0.into()));
    for query in ["max=0", "status=sent", "cursor=1", "webhook_id=x"] {
        let refused = caller.get(&format!("/api/webhooks/deliveries?{query}")).await;
        assert_eq!((refused.status, refused.code()), (400, "query_invalid"), "{query}");
    }
}
