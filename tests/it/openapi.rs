//! The description of the API: complete, and believed by the service.

use reqwest::Method;
use serde_json::Value;
use tests::{Options, TestApp};

const OPEN: [&str; 10] = [
    "/api/auth/signup",
    "/api/auth/login",
    "/api/auth/signup/ping",
    "/api/auth/login/ping",
    "/api/health",
    "/api/presets",
    "/ping",
    "/livez",
    "/readyz",
    "/metrics",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_described_and_closed_to_strangers() {
    let app = TestApp::with(Options {
        worker: None,
        ..Options::default()
    })
    .await;
    let stranger = app.stranger();
    let document = stranger.get("/api/openapi.json").await.body;
    let paths = document["paths"].as_object().unwrap();
    for expected in [
        "/api/auth/signup",
        "/api/tasks",
        "/api/tasks/{id}",
        "/api/tasks/{id}/cancel",
        "/api/tasks/{id}/retry",
    ] {
        assert!(paths.contains_key(expected), "{expected}: {:?}", paths.keys());
    }
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            let open = OPEN.contains(&path.as_str());
            let secured = operation["security"].as_array().is_some_and(|list| !list.is_empty());
            let download = path.starts_with("/api/video/download");
            assert_eq!(secured, !open, "{method} {path}");
            if open || download {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{id}", "1");
            for (token, code) in [("", "token_missing"), ("a.b.c", "token_invalid")] {
                let mut caller = stranger.clone();
                caller.token = token.to_owned();
                let reply = caller.request(method.clone(), &path).send().await.unwrap();
                assert_eq!(reply.status(), 401, "{method} {path}");
                assert_eq!(reply.json::<Value>().await.unwrap()["code"], code, "{method} {path}");
            }
        }
    }
}
