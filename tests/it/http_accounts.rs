//! Accounts at the edge: what guessing meets, and which fields and tokens are refused.

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;
use tests::{Reply, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_too_often_has_to_wait() {
    let app = TestApp::idle_with(|config| {
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
    let app = TestApp::idle_with(|config| {
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
    let app = TestApp::idle_with(|config| config.password_policy = backend::PasswordPolicy::Strict).await;
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
    let app = TestApp::idle().await;
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
        ("request_invalid", vec!["username".to_owned()])
    );
    assert_eq!(reply.body["errors"][0]["detail"], "5; accepted: a string");
    let list = json!(["ana", "123abc456", "123abc456", "a@b.c"]);
    let reply = caller.post("/api/auth/signup", &list).await;
    assert_eq!(
        reply.code(),
        "request_invalid",
        "the fields of an object in their order are none"
    );
    let form = |username: &str, email: &str| json!({ "username": username, "password1": "123abc456", "password2": "123abc456", "email": email });
    let reply = caller.post("/api/auth/signup", &form("ana", "no address")).await;
    assert_eq!(
        (reply.code(), fields(&reply)),
        ("email_invalid", vec!["email".to_owned()])
    );
    let taken = app.caller().await.username;
    assert_eq!(
        caller
            .post("/api/auth/signup", &form(&taken, "no address"))
            .await
            .code(),
        "username_taken",
        "the name comes first"
    );
    let spaces =
        json!({ "username": "spaces", "password1": "        ", "password2": "        ", "email": "s@example.com" });
    assert_eq!(
        caller.post("/api/auth/signup", &spaces).await.status,
        201,
        "any characters"
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
    let app = TestApp::idle().await;
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
async fn a_login_flood_is_answered_with_a_time_to_come_back() {
    let app = TestApp::idle_with(|config| config.throttle.address_burst = 100_000).await;
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
