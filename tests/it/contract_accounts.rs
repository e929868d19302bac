//! The public contract of sign-up, login and tokens, as existing clients rely on it.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Caller, TestApp};

fn sign_up_form(username: &str, password1: &str, password2: &str, email: &str) -> Value {
    json!({ "username": username, "password1": password1, "password2": password2, "email": email })
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up_checks_its_fields_in_the_order_of_the_contract() {
    let app = TestApp::idle().await;
    let caller = app.anonymous();
    let reply = caller
        .post(
            "/api/auth/signup",
            &sign_up_form("ana", "123abc456", "123abc456", "ana@example.com"),
        )
        .await;
    assert_eq!((reply.status, reply.message()), (201, "Usuario creado"));
    for (body, status, message) in [
        (json!({}), 400, "Faltan campos por llenar"),
        (
            json!({ "username": "x", "password1": "a", "password2": "b" }),
            400,
            "Faltan campos por llenar",
        ),
        (
            sign_up_form("ana", "a", "b", "ana@example.com"),
            400,
            "Las contraseñas no coinciden",
        ),
        (
            sign_up_form("ana", "short", "short", "ana@example.com"),
            400,
            "La contraseña debe tener al menos 8 caracteres",
        ),
        (
            sign_up_form("ana", "123abc456", "123abc456", "ana@example.com"),
            400,
            "El usuario ya existe",
        ),
        (
            sign_up_form("eva", "123abc456", "123abc456", "ana@example.com"),
            400,
            "El correo electrónico ya existe",
        ),
    ] {
        for path in ["/api/auth/signup", "/api/auth/signup/"] {
            let reply = caller.post(path, &body).await;
            assert_eq!((reply.status, reply.message()), (status, message), "{body}");
        }
    }
    let english = caller
        .request(Method::POST, "/api/auth/signup")
        .header("accept-language", "en")
        .json(&json!({}));
    assert_eq!(
        english.send().await.unwrap().json::<Value>().await.unwrap()["message"],
        "Some fields are missing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn login_reveals_neither_which_accounts_exist_nor_why_it_failed() {
    let app = TestApp::idle().await;
    let known = app.caller().await;
    let caller = app.anonymous();
    let reply = caller.post("/api/auth/login", &json!({ "username": "x" })).await;
    assert_eq!((reply.status, reply.message()), (400, "Faltan campos por llenar"));
    let mut bodies = Vec::new();
    for username in [known.username.as_str(), "nobody"] {
        let reply = caller
            .post(
                "/api/auth/login",
                &json!({ "username": username, "password": "wrong wrong" }),
            )
            .await;
        assert_eq!(
            (reply.status, reply.message()),
            (401, "Usuario o contraseña incorrectos")
        );
        let mut body = reply.body;
        body["request_id"] = Value::Null;
        bodies.push(body);
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_errors_carry_msg() {
    let app = TestApp::idle().await;
    let mut caller = app.anonymous();
    let reply = caller.get("/api/tasks").await;
    assert_eq!(
        (reply.status, &reply.body["msg"]),
        (401, &"Missing Authorization Header".into())
    );
    caller.token = "not.a.token".to_owned();
    let reply = caller.get("/api/tasks").await;
    assert_eq!((reply.status, reply.code()), (401, "token_invalid"));
    assert_eq!(reply.body["msg"], reply.body["message"]);
    let basic = app
        .anonymous()
        .request(Method::GET, "/api/tasks")
        .header("authorization", "Basic eDp5");
    assert_eq!(basic.send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused_with_its_own_message() {
    let config = |config: &mut backend::Config| config.token_ttl = std::time::Duration::ZERO;
    let app = TestApp::idle_with(config).await;
    let caller = app.caller().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let reply = caller.get("/api/tasks").await;
    assert_eq!(
        (reply.status, &reply.body["msg"]),
        (401, &"Token has expired".into()),
        "{reply:?}"
    );
}

/// Existing clients send `bearer` in different cases.
#[tokio::test(flavor = "multi_thread")]
async fn the_scheme_of_a_token_is_read_in_any_case() {
    let app = TestApp::idle().await;
    let Caller { url, token, .. } = app.caller().await;
    let request = reqwest::Client::new()
        .get(format!("{url}/api/tasks"))
        .header("authorization", format!("bearer {token}"));
    assert_eq!(request.send().await.unwrap().status(), 200);
}
