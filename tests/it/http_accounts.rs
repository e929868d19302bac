//! Throttling of logins and sign-ups, and validation of their fields.

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;
use tests::{Caller, Reply, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn too_many_attempts_from_one_address_are_refused_for_a_while() {
    let app = TestApp::idle_with(|config| {
        config.app.throttle.network.burst = 3;
        config.app.throttle.network.refill = Duration::from_secs(30);
    })
    .await;
    let caller = app.anonymous();
    let attempt = json!({ "username": "ana", "password": "wrong wrong" });
    for _ in 0..3 {
        assert_eq!(caller.post("/api/auth/login", &attempt).await.status, 401);
    }
    let reply = caller.post("/api/auth/login", &attempt).await;
    assert_eq!((reply.status, reply.code()), (429, "rate_limited"));
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    // The header is only trusted from a proxy.
    let forged = caller
        .request(Method::POST, "/api/auth/login")
        .header("x-forwarded-for", "203.0.113.7")
        .json(&attempt);
    assert_eq!(forged.send().await.unwrap().status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_too_many_failed_logins_accepts_logins_again_after_a_pause() {
    let app = TestApp::idle_with(|config| {
        config.app.throttle.account_failures = 2;
        config.app.throttle.account_wait = Duration::from_secs(1);
        config.app.throttle.account_wait_max = Duration::from_secs(1);
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

/// A login through a proxy, from this client address.
async fn login_from(client: &Caller, address: &str, username: &str, password: &str) -> Reply {
    let request = client
        .request(Method::POST, "/api/auth/login")
        .header("x-forwarded-for", address)
        .json(&json!({ "username": username, "password": password }));
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_from_one_network_do_not_block_other_networks() {
    let app = TestApp::idle_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.app.throttle.account_failures = 2;
        config.app.throttle.account_wait = Duration::from_secs(60);
    })
    .await;
    let owner = app.caller().await.username;
    let client = app.anonymous();
    for host in 1..=20 {
        for _ in 0..4 {
            let guess = login_from(&client, "203.0.113.9", &owner, "wrong wrong").await;
            assert!(matches!(guess.status, 401 | 429), "{guess:?}");
        }
        let delayed = login_from(&client, "203.0.113.9", &owner, "123abc456").await;
        assert_eq!(delayed.code(), "rate_limited", "the network of the guesses is blocked");
        let right = login_from(&client, &format!("2001:db8:0:{host}::1"), &owner, "123abc456").await;
        assert_eq!(right.status, 200, "{right:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_from_many_networks_are_limited_and_the_owner_can_log_in_from_a_known_network() {
    let app = TestApp::idle_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.app.throttle.account.burst = 5;
        config.app.throttle.account.refill = Duration::from_secs(3_600);
    })
    .await;
    // The account is known at 127.0.0.1, where it signed up, and at a second address.
    let owner = app.caller().await.username;
    let client = app.anonymous();
    assert_eq!(
        login_from(&client, "198.51.100.7", &owner, "123abc456").await.status,
        200
    );
    for name in [owner.as_str(), "nobody"] {
        let mut statuses = Vec::new();
        for host in 1..=8 {
            statuses.push(
                login_from(&client, &format!("203.0.113.{host}"), name, "wrong wrong")
                    .await
                    .status,
            );
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429], "{name}");
    }
    for known in ["198.51.100.7", "127.0.0.1"] {
        assert_eq!(
            login_from(&client, known, &owner, "123abc456").await.status,
            200,
            "{known}"
        );
    }
    let unknown = login_from(&client, "198.51.100.8", &owner, "123abc456").await;
    assert_eq!(unknown.code(), "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_password_checks_does_not_block_logins_from_a_known_network() {
    let app = TestApp::idle_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let owner = app.caller().await.username;
    let client = app.anonymous();
    let flood = (0..200).map(|n| {
        let (client, name, address) = (&client, format!("u{n}"), format!("10.0.0.{n}"));
        async move { login_from(client, &address, &name, "wrong wrong").await.status }
    });
    let right = async {
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(login_from(&client, "127.0.0.1", &owner, "123abc456").await.status);
        }
        statuses
    };
    let (flooded, right) = tokio::join!(futures::future::join_all(flood), right);
    assert!(flooded.contains(&429), "200 requests at once exceed the queue");
    assert_eq!(right, [200; 5], "neither 429 nor 503");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ups_from_one_network_are_limited_separately_from_logins() {
    let app = TestApp::idle_with(|config| {
        config.app.throttle.network.burst = 2;
        config.app.throttle.network.refill = Duration::from_secs(3_600);
    })
    .await;
    let owner = app.caller().await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let form =
            json!({ "username": owner.username, "password1": "123abc456", "password2": "123abc456", "email": "a@b.c" });
        statuses.push(app.anonymous().post("/api/auth/signup", &form).await.status);
    }
    assert_eq!(statuses, [400, 429], "the name is taken, then the limit is reached");
    let login = json!({ "username": owner.username, "password": "123abc456" });
    assert_eq!(owner.post("/api/auth/login", &login).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_password_is_refused_by_the_strict_policy() {
    let app = TestApp::idle_with(|config| config.app.password_policy = backend::PasswordPolicy::Strict).await;
    let caller = app.anonymous();
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
async fn sign_up_reports_the_invalid_fields() {
    let app = TestApp::idle().await;
    let caller = app.anonymous();
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
    assert_eq!(reply.code(), "request_invalid", "an array is not accepted as an object");
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
        "the name is checked first"
    );
    let spaces =
        json!({ "username": "spaces", "password1": "        ", "password2": "        ", "email": "s@example.com" });
    assert_eq!(
        caller.post("/api/auth/signup", &spaces).await.status,
        201,
        "a password may consist of spaces"
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
async fn the_token_of_a_deleted_account_is_refused() {
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
async fn a_flood_of_logins_is_refused_with_retry_after() {
    let app = TestApp::idle_with(|config| config.app.throttle.network.burst = 100_000).await;
    let caller = app.anonymous();
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
    assert!(!busy.is_empty(), "400 requests at once exceed the queue");
    assert!(
        busy.iter()
            .all(|reply| reply.header("retry-after").parse::<u64>().is_ok_and(|wait| wait >= 1))
    );
    let other = replies.iter().find(|reply| !matches!(reply.status, 401 | 429));
    assert!(other.is_none(), "{other:?}");
}
