//! Behavior that all routes share: request id, language, security headers, CORS, pagination, and 503 without a
//! database.

use reqwest::Method;
use serde_json::{Value, json};
use tests::TestApp;
use tests::clip::Clip;

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_has_a_request_id_and_the_security_headers() {
    let app = TestApp::idle().await;
    let caller = app.anonymous();
    for path in ["/ping", "/api/nothing", "/api/tasks", "/docs/", "/metrics"] {
        let response = caller
            .request(Method::GET, path)
            .header("x-request-id", "mine-1")
            .send()
            .await
            .unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-request-id"], "mine-1", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(headers.contains_key("content-security-policy"), "{path}");
    }
    let reply = caller.get("/api/nothing").await;
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
    assert_eq!(reply.body["type"], "/docs/errors#route_not_found");
    let strange = caller.request(Method::GET, "/ping").header("x-request-id", "a b\"c");
    assert_ne!(strange.send().await.unwrap().headers()["x-request-id"], "a b\"c");
    let login = caller.post("/api/auth/login", &json!({})).await;
    assert_eq!(login.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_is_that_of_the_request_or_of_the_configuration() {
    for (config, accepted, language, message) in [
        ((|_| {}) as fn(&mut backend::Config), "", "es", "No existe esa ruta"),
        (|_| {}, "en-GB, es;q=0.5", "en", "There is no such route"),
        (|_| {}, "fr", "es", "No existe esa ruta"),
        (
            |config| config.language = domain::Language::En,
            "fr",
            "en",
            "There is no such route",
        ),
        (
            |config| config.language = domain::Language::En,
            "es",
            "es",
            "No existe esa ruta",
        ),
    ] {
        let app = TestApp::idle_with(config).await;
        let request = app
            .anonymous()
            .request(Method::GET, "/nowhere")
            .header("accept-language", accepted);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-language"], language);
        assert_eq!(
            response.json::<Value>().await.unwrap()["message"],
            message,
            "{accepted}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_origins_are_allowed_by_cors() {
    let app = TestApp::idle_with(|config| config.cors_origins = vec!["https://studio.example.com".to_owned()]).await;
    let ask = async |method: Method, origin: &str| {
        let request = app.anonymous().request(method, "/api/tasks").header("origin", origin);
        let response = request
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        response
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let preflight = app.anonymous().request(Method::OPTIONS, "/api/tasks");
    let preflight = preflight.header("origin", "https://studio.example.com");
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .send()
        .await
        .unwrap();
    let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(
        allowed.contains("authorization") && allowed.contains("idempotency-key"),
        "{allowed}"
    );
    for method in [Method::OPTIONS, Method::GET] {
        let allowed = ask(method.clone(), "https://studio.example.com").await;
        assert_eq!(allowed.as_deref(), Some("https://studio.example.com"), "{method}");
        for foreign in [
            "https://evil.example.com",
            "https://studio.example.com.evil.com",
            "http://studio.example.com",
            "null",
        ] {
            assert_eq!(ask(method.clone(), foreign).await, None, "{foreign}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_paginated() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(caller.task(&clip, &[]).await);
    }
    for (order, expected) in [(0, ids.clone()), (1, ids.iter().rev().copied().collect())] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = caller.get(&format!("/api/tasks?max=2&order={order}{cursor}")).await;
            let page = reply.body["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["id"].as_i64().unwrap());
            seen.extend(page);
            let Some(next) = reply.body["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, expected, "order={order}");
    }
    caller.post(&format!("/api/tasks/{}/cancel", ids[0]), &json!({})).await;
    let canceled = caller.get("/api/tasks?status=canceled").await;
    assert_eq!(canceled.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(canceled.body["data"][0]["progress"], json!({ "percent": 0 }));
    for query in ["?status=lost", "?cursor=x", "?max=1&max=2"] {
        assert_eq!(
            caller.get(&format!("/api/tasks{query}")).await.code(),
            "query_invalid",
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_requests_get_503_with_retry_after() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    app.db.close_by_ref().await.unwrap();
    let login = json!({ "username": caller.username, "password": "123abc456" });
    for reply in [
        caller.get("/api/tasks").await,
        caller.get("/api/tasks/1").await,
        caller.delete("/api/tasks/1").await,
        caller.upload("x.mp4", clip, &[]).await,
        caller.post("/api/auth/login", &login).await,
        caller.get("/api/video/download/2026/01/31/1_x.mp4").await,
    ] {
        assert_eq!((reply.status, reply.code()), (503, "unavailable"), "{reply:?}");
        assert!(reply.header("retry-after").parse::<u64>().is_ok());
    }
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    let health = caller.get("/api/health").await;
    assert_eq!(
        (health.status, &health.body["status"], &health.body["database"]),
        (503, &"unhealthy".into(), &"disconnected".into())
    );
    let (ready, live, metrics) = (
        caller.get("/readyz").await,
        caller.get("/livez").await,
        caller.get("/metrics").await,
    );
    assert_eq!((ready.status, live.status, metrics.status), (503, 200, 200));
}
