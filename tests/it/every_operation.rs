//! Every operation of the API's own description, and who may call it: a bad token opens none of them, and nobody gets
//! at a row of somebody else. A new operation is a line in [`OPERATIONS`], a new way to spoil a token one in
//! `tokens.rs`, and what belongs to an account in a new way a [`Kind`] in `rows.rs`.

mod rows;
mod tokens;

use About::{Account, Everybody, Row};
use Body::{Image, Json, Nothing, Upload};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use rows::Kind::{self, Canceled, Output, Processed, Waiting};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::{MP4, Reply, TestApp};

/// What an operation is about, which decides who may call it.
#[derive(Clone, Copy)]
enum About {
    /// Nothing of anybody: it asks for no token, because …
    Everybody(&'static str),
    /// What the account of the token has.
    Account,
    /// The one row that the path names.
    Row(Kind),
}

/// What is sent.
#[derive(Clone, Copy)]
enum Body {
    Nothing,
    Json(&'static str),
    Upload,
    Image,
}

/// The sound of a file without pictures.
const PLAN: &str = r#"{"preset":"audio","source":{"container":"wav","bytes":9000,"duration_us":1000000,"start_us":0,"streams":[
    {"index":0,"codec":"pcm_s16le","decodable":true,"default":true,"language":null,
    "kind":{"audio":{"sample_rate_hz":44100,"channels":1,"duration_us":null}}}]}}"#;

/// How each operation is called so that the right account succeeds.
const OPERATIONS: &[(&str, About, Body)] = &[
    ("POST /api/auth/signup", Everybody("an account begins here"), Json("{}")),
    ("POST /api/auth/login", Everybody("a token begins here"), Json("{}")),
    ("GET /api/auth/signup/ping", Everybody("it only answers"), Nothing),
    ("GET /api/auth/login/ping", Everybody("it only answers"), Nothing),
    ("GET /api/tasks", Account, Nothing),
    ("POST /api/tasks", Account, Upload),
    ("GET /api/tasks/{id}", Row(Processed), Nothing),
    ("DELETE /api/tasks/{id}", Row(Waiting), Nothing),
    ("POST /api/tasks/{id}/cancel", Row(Waiting), Nothing),
    ("POST /api/tasks/{id}/retry", Row(Canceled), Nothing),
    ("GET /api/tasks/{id}/report", Row(Processed), Nothing),
    ("POST /api/plan", Account, Json(PLAN)),
    (
        "GET /api/video/download/{year}/{month}/{day}/{name}",
        Row(Output),
        Nothing,
    ),
    (
        "GET /api/video/play/{token}/{year}/{month}/{day}/{name}/{output}/{file}",
        Row(Kind::Stream),
        Nothing,
    ),
    ("GET /api/images", Account, Nothing),
    ("POST /api/images", Account, Image),
    ("GET /api/images/{name}", Row(Kind::Image), Nothing),
    ("DELETE /api/images/{name}", Row(Kind::Image), Nothing),
    ("GET /api/presets", Account, Nothing),
    (
        "POST /api/presets",
        Account,
        Json(r#"{"name":"mine","recipe":{"outputs":[{"kind":"mp4"}]}}"#),
    ),
    ("GET /api/presets/{name}", Row(Kind::Preset), Nothing),
    (
        "PUT /api/presets/{name}",
        Row(Kind::Preset),
        Json(r#"{"recipe":{"outputs":[{"kind":"mp4"}]}}"#),
    ),
    ("DELETE /api/presets/{name}", Row(Kind::Preset), Nothing),
    ("GET /api/health", Everybody("people on call ask it"), Nothing),
    ("GET /livez", Everybody("supervisors ask it"), Nothing),
    ("GET /readyz", Everybody("load balancers ask it"), Nothing),
    ("GET /metrics", Everybody("Prometheus asks it; nginx hides it"), Nothing),
    ("GET /ping", Everybody("it only answers"), Nothing),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_description_has_a_row_here_and_every_row_an_operation() {
    let described = described(&TestApp::idle().await).await;
    let rows: BTreeMap<&str, About> = OPERATIONS.iter().map(|(name, about, _)| (*name, *about)).collect();
    assert_eq!(rows.len(), OPERATIONS.len(), "an operation has two rows");
    let names: BTreeSet<&str> = described
        .keys()
        .map(String::as_str)
        .chain(rows.keys().copied())
        .collect();
    let wrong = names
        .into_iter()
        .filter_map(|name| match (rows.get(name), described.get(name)) {
            (None, _) => Some(format!("{name}: has no row in tests/it/every_operation.rs")),
            (_, None) => Some(format!(
                "{name}: is in tests/it/every_operation.rs but not in the description"
            )),
            (Some(Everybody(_)), Some(Door::Open)) => None,
            (Some(Everybody(_)), _) | (_, Some(Door::Open)) => Some(format!(
                "{name}: is for everybody here or in the description, not in both"
            )),
            (Some(about), _) if name.contains('{') != matches!(about, Row(_)) => {
                Some(format!("{name}: is about one row here or in its path, not in both"))
            }
            _ => None,
        });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_everybody_asks_nobody_for_a_token() {
    let app = TestApp::idle().await;
    for (operation, about, body) in OPERATIONS {
        let Everybody(why) = about else { continue };
        for token in [None, Some("Bearer a.b.c")] {
            let reply = call(&app, operation, *body, &[], token).await;
            assert_ne!(reply.status, 401, "{operation}: {why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_opens_no_operation_and_changes_nothing() {
    let app = TestApp::idle().await;
    let described = described(&app).await;
    let (owner, gone) = (app.caller().await, app.caller().await);
    let delete = format!("delete from users where username = '{}'", gone.username);
    app.db.execute_unprepared(&delete).await.unwrap();
    let spoiled = tokens::bad(&owner.token, &gone.token);
    for (operation, about, body) in OPERATIONS {
        let (path, absent) = match about {
            Everybody(_) => continue,
            Account => (Vec::new(), ""),
            Row(kind) => (kind.make(&app, &owner).await, kind.absent().1),
        };
        let before = app.everything().await;
        assert!(before.iter().any(|line| line.contains(&owner.username)), "{before:?}");
        for bad in &spoiled {
            let reply = call(&app, operation, *body, &path, bad.header.as_deref()).await;
            // Without a token there are things for everybody; where a signed link will do, a caller with neither is told that
            // there is no such thing.
            let expected = match (described[*operation], &bad.header, about) {
                (Door::Either, None, Account) => (200, ""),
                (Door::Either, None, _) => (404, absent),
                _ => (401, bad.code),
            };
            let case = format!("{operation}, a token {}", bad.what);
            assert_eq!((reply.status, reply.code()), expected, "{case}");
            if reply.status == 401 {
                assert_eq!(reply.body["msg"], reply.body["message"], "{case}");
                assert!(reply.header("www-authenticate").starts_with("Bearer"), "{case}");
            }
            assert_eq!(app.everything().await, before, "{case}");
        }
        let good = format!("Bearer {}", tokens::remade(&owner.token));
        let reply = call(&app, operation, *body, &path, Some(&good)).await;
        assert!((200..300).contains(&reply.status), "{operation}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_account_is_as_if_it_were_not_there() {
    let app = TestApp::idle().await;
    let (owner, other) = (app.caller().await, app.caller().await);
    let (ours, theirs) = (format!("Bearer {}", owner.token), format!("Bearer {}", other.token));
    for (operation, about, body) in OPERATIONS {
        match about {
            Everybody(_) => {}
            Account => {
                Processed.make(&app, &owner).await;
                let reply = call(&app, operation, *body, &[], Some(&theirs)).await;
                assert!((200..300).contains(&reply.status), "{operation}: {reply:?}");
                assert!(
                    !reply.body.to_string().contains(&owner.username),
                    "{operation}: {reply:?}"
                );
            }
            Row(kind) => {
                let (path, (absent, code)) = (kind.make(&app, &owner).await, kind.absent());
                let before = app.everything().await;
                let refused = call(&app, operation, *body, &path, Some(&theirs)).await;
                assert_eq!((refused.status, refused.code()), (404, code), "{operation}");
                for token in [&theirs, &ours] {
                    let missing = call(&app, operation, *body, &absent, Some(token)).await;
                    assert_eq!(visible(&refused), visible(&missing), "{operation}");
                }
                assert_eq!(app.everything().await, before, "{operation}");
            }
        }
    }
    let own = call(&app, "GET /api/tasks", Nothing, &[], Some(&ours)).await;
    assert!(
        own.body.to_string().contains(&owner.username),
        "a list names its owner: {own:?}"
    );
}

/// What the description says of tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Either,
    Token,
}

async fn described(app: &TestApp) -> BTreeMap<String, Door> {
    let document = app.stranger().get("/api/openapi.json").await.body;
    let mut described = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let door = match operation["security"].as_array() {
                None => panic!("{method} {path} does not say who may call it"),
                Some(ways) if ways.is_empty() => Door::Open,
                Some(ways) if ways.contains(&json!({})) => Door::Either,
                Some(_) => Door::Token,
            };
            described.insert(format!("{} {path}", method.to_uppercase()), door);
        }
    }
    described
}

/// Calls an operation with these values in the places of its path and this header `Authorization`.
async fn call(app: &TestApp, operation: &str, body: Body, values: &[String], token: Option<&str>) -> Reply {
    let (method, path) = operation.split_once(' ').unwrap();
    let mut values = values.iter().map(String::as_str);
    let parts = path.split('/').map(|part| {
        if part.starts_with('{') {
            values.next().unwrap()
        } else {
            part
        }
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let mut request = app.stranger().request(method.parse::<Method>().unwrap(), &path);
    request = match body {
        Nothing => request,
        Json(text) => request.header("content-type", "application/json").body(text),
        Upload => request.multipart(Form::new().part("file", Part::bytes(MP4).file_name("clip.mp4"))),
        Image => request.multipart(tests::image_form("mine", tests::PNG.to_vec())),
    };
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    Reply::read(request.send().await.unwrap()).await
}

/// What a caller sees of a reply, but for what is new in each.
fn visible(reply: &Reply) -> (u16, BTreeMap<String, String>, Value) {
    let mut headers: BTreeMap<_, _> = reply
        .headers
        .keys()
        .map(|name| (name.to_string(), reply.header(name.as_str()).to_owned()))
        .collect();
    let mut body = reply.body.clone();
    for name in ["date", "x-request-id"] {
        headers.remove(name);
    }
    body["request_id"].take();
    (reply.status, headers, body)
}
