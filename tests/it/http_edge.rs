//! What every request meets: its id, its language, headers, origins, throttles, tokens, pages.

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;
use tests::clip::Clip;
use tests::{Options, Reply, TestApp};

async fn service(config: fn(&mut backend::Config)) -> TestApp {
    TestApp::with(Options { config, worker: None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_carries_its_request_id_and_the_headers_of_the_house() {
    let app = service(|_| {}).await;
    let caller = app.stranger();
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
async fn the_language_is_the_callers_or_that_of_the_installation() {
    for (config, wish, language, message) in [
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
        let app = service(config).await;
        let request = app
            .stranger()
            .request(Method::GET, "/nowhere")
            .header("accept-language", wish);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-language"], language);
        assert_eq!(response.json::<Value>().await.unwrap()["message"], message, "{wish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_named_origins_may_call_from_a_browser() {
    let app = service(|config| config.cors_origins = vec!["https://studio.example.com".to_owned()]).await;
    let ask = async |method: Method, origin: &str| {
        let request = app.stranger().request(method, "/api/tasks").header("origin", origin);
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
async fn an_address_that_tries_too_often_has_to_wait() {
    let app = service(|config| {
        config.throttle.address_burst = 3;
        config.throttle.address_refill = Duration::from_secs(30);
    })
    .await;
    let caller = app.stranger();
    let attempt = json!({ "username": "ana", "password": "wrong wrong" });
    for _ in 0..3 {
        assert_eq!(caller.post("/api/auth/login", &attempt).await.status, 401);
    }
    let reply = caller.post("/api/auth/login", &attempt).await;
    assert_eq!((reply.status, reply.code()), (429, "rate_limited"));
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    // The header is believed from a proxy only.
    let forged = caller
        .request(Method::POST, "/api/auth/login")
        .header("x-forwarded-for", "203.0.113.7")
        .json(&attempt);
    assert_eq!(forged.send().await.unwrap().status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_under_attack_opens_again_by_itself() {
    let app = service(|config| {
        config.throttle.account_failures = 2;
        config.throttle.account_wait = Duration::from_secs(1);
        config.throttle.account_wait_max = Duration::from_secs(1);
    })
    .await;
    let known = app.caller().await;
    for username in [known.username.as_str(), "nobody"] {
        let attempt = json!({ "username": username, "password": "wrong wrong" });
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(known.post("/api/auth/login", &attempt).await.status);
        }
        assert_eq!(
            statuses,
            [401, 401, 401, 429],
            "the same for an account that does not exist"
        );
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let right = json!({ "username": known.username, "password": "123abc456" });
    assert_eq!(known.post("/api/auth/login", &right).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_password_is_refused_where_the_policy_is_strict() {
    let app = service(|config| config.password_policy = backend::PasswordPolicy::Strict).await;
    let caller = app.stranger();
    let form =
        |password: &str| json!({ "username": "ana", "password1": password, "password2": password, "email": "a@b.c" });
    let reply = caller.post("/api/auth/signup", &form("Password1")).await;
    assert_eq!((reply.status, reply.code()), (400, "password_common"));
    assert_eq!(reply.body["errors"][0]["field"], "password1");
    assert_eq!(
        caller
            .post("/api/auth/signup", &form("correct horse battery"))
            .await
            .status,
        201
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up_names_the_wrong_fields() {
    let app = service(|_| {}).await;
    let caller = app.stranger();
    let fields = |reply: &Reply| {
        let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let reply = caller
        .post(
            "/api/auth/signup",
            &json!({ "username": " ", "password1": null, "email": "a@b.c" }),
        )
        .await;
    assert_eq!(
        (reply.code(), fields(&reply)),
        (
            "fields_missing",
            vec!["username".into(), "password1".into(), "password2".into()]
        )
    );
    let reply = caller.post("/api/auth/signup", &json!({ "username": 5 })).await;
    assert_eq!(
        (reply.code(), fields(&reply)),
        ("json_invalid", vec!["username".to_owned()])
    );
    let form = |username: &str, email: &str| json!({ "username": username, "password1": "123abc456", "password2": "123abc456", "email": email });
    let reply = caller.post("/api/auth/signup", &form("ana", "no address")).await;
    assert_eq!(
        (reply.code(), fields(&reply)),
        ("email_invalid", vec!["email".to_owned()])
    );
    let plain = caller
        .request(Method::POST, "/api/auth/signup")
        .body("username=ana")
        .header("content-type", "text/plain");
    assert_eq!(plain.send().await.unwrap().status(), 415);
    let long = form("ana", &"a".repeat(70_000));
    assert_eq!(caller.post("/api/auth/signup", &long).await.code(), "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_deleted_account_is_worth_nothing() {
    let app = service(|_| {}).await;
    let caller = app.caller().await;
    assert_eq!(caller.get("/api/tasks").await.status, 200);
    let delete = format!("delete from users where username = '{}'", caller.username);
    app.db.execute_unprepared(&delete).await.unwrap();
    for path in ["/api/tasks", "/api/tasks/1", "/api/tasks/abc"] {
        let reply = caller.get(path).await;
        assert_eq!((reply.status, reply.code()), (401, "token_invalid"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_pages() {
    let app = service(|_| {}).await;
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
async fn presets_are_listed_with_their_recipes() {
    let app = service(|config| config.default_preset = "idrl".to_owned()).await;
    let list = app.stranger().get("/api/presets").await.body;
    let listed = list["data"].as_array().unwrap();
    let names: Vec<_> = listed.iter().map(|preset| preset["name"].as_str().unwrap()).collect();
    let known: Vec<_> = domain::preset::built_in().iter().map(|preset| preset.name).collect();
    assert_eq!(names, known);
    let defaults: Vec<_> = listed.iter().filter(|preset| preset["default"] == true).collect();
    assert_eq!(defaults.len(), 1);
    assert_eq!(
        (&defaults[0]["name"], &defaults[0]["recipe"]["trim"]["end"]),
        (&json!("idrl"), &json!(16))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_flood_is_answered_with_a_time_to_come_back() {
    let app = service(|config| config.throttle.address_burst = 100_000).await;
    let caller = app.stranger();
    let attempts = (0..400).map(|n| {
        let caller = caller.clone();
        async move {
            caller
                .post(
                    "/api/auth/login",
                    &json!({ "username": format!("u{n}"), "password": "wrong wrong" }),
                )
                .await
        }
    });
    let replies = futures::future::join_all(attempts).await;
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!(!busy.is_empty(), "400 at once are more than can wait");
    assert!(
        busy.iter()
            .all(|reply| reply.header("retry-after").parse::<u64>().is_ok_and(|wait| wait >= 1))
    );
    assert!(replies.iter().all(|reply| matches!(reply.status, 401 | 429)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_service_says_so_and_when_to_come_back() {
    let app = service(|_| {}).await;
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
