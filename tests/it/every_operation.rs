//! Authorization of every operation in the OpenAPI document: an invalid token is refused, and the resources of another
//! account are not found. A new operation needs a line in `table.rs`, a new kind of invalid token one in
//! `tokens.rs`, and a new kind of resource a `Kind` in `rows.rs`.

mod guests;
mod rows;
mod table;
mod tokens;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use rows::Kind::Processed;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use table::Access::{Account, Named, Public, Resource};
use table::Body::{Bytes, Image, Json, Manifest, Nothing, Raw, Rows, Search, Tus, Upload};
use table::{Access, Body, OPERATIONS};
use tests::{MP4, Reply, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_exactly_the_operations_of_the_openapi_document() {
    let described = described(&TestApp::idle_with_bucket().await).await;
    let rows: BTreeMap<&str, Access> = OPERATIONS.iter().map(|(name, access, _)| (*name, *access)).collect();
    assert_eq!(rows.len(), OPERATIONS.len(), "an operation is in the table twice");
    let names: BTreeSet<&str> = described
        .keys()
        .map(String::as_str)
        .chain(rows.keys().copied())
        .collect();
    let wrong = names
        .into_iter()
        .filter_map(|name| match (rows.get(name), described.get(name)) {
            (None, _) => Some(format!("{name}: is not in OPERATIONS")),
            (_, None) => Some(format!("{name}: is in OPERATIONS but not in the OpenAPI document")),
            (Some(Public(_)), Some(Security::None)) => None,
            (Some(Public(_)), _) | (_, Some(Security::None)) => Some(format!(
                "{name}: OPERATIONS and the OpenAPI document disagree if it is public"
            )),
            (Some(access @ (Account | Resource(_))), _) if name.contains('{') != matches!(access, Resource(_)) => Some(
                format!("{name}: OPERATIONS and its path disagree if it is about one resource"),
            ),
            _ => None,
        });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn public_operations_ignore_a_missing_or_invalid_token() {
    let app = TestApp::idle_with_bucket().await;
    for (operation, access, body) in OPERATIONS {
        let Public(reason) = access else { continue };
        for token in [None, Some("Bearer a.b.c")] {
            let reply = call(&app, operation, *body, &[], token).await;
            assert_ne!(reply.status, 401, "{operation}: {reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_token_is_refused_by_every_operation_and_changes_nothing() {
    let app = TestApp::idle_with_bucket().await;
    let described = described(&app).await;
    let (owner, deleted) = (app.caller().await, app.caller().await);
    let delete = format!("delete from users where username = '{}'", deleted.username);
    app.db.execute_unprepared(&delete).await.unwrap();
    let invalid_tokens = tokens::invalid(&owner.token, &deleted.token);
    for (operation, access, body) in OPERATIONS {
        let (path, absent) = match access {
            Public(_) => continue,
            Account => (Vec::new(), ""),
            Named(name) => (vec![(*name).to_owned()], ""),
            Resource(kind) => (kind.make(&app, &owner).await, kind.absent().1),
        };
        let before = app.snapshot().await;
        assert!(before.iter().any(|line| line.contains(&owner.username)), "{before:?}");
        for invalid in &invalid_tokens {
            let reply = call(&app, operation, *body, &path, invalid.header.as_deref()).await;
            // The list of presets is shorter without a token. A download without a token and without a signature is not
            // found, so that it does not reveal which files exist.
            let expected = match (described[*operation], &invalid.header, access) {
                (Security::Optional, None, Account) => (200, ""),
                (Security::Optional, None, _) => (404, absent),
                _ => (401, invalid.code),
            };
            let case = format!("{operation}, a token {}", invalid.defect);
            if operation.starts_with("HEAD") {
                assert_eq!(reply.status, expected.0, "{case}");
                continue;
            }
            assert_eq!((reply.status, reply.code()), expected, "{case}");
            if reply.status == 401 {
                assert_eq!(reply.body["msg"], reply.body["message"], "{case}");
                assert!(reply.header("www-authenticate").starts_with("Bearer"), "{case}");
            }
            assert_eq!(app.snapshot().await, before, "{case}");
        }
        let valid = format!("Bearer {}", tokens::signed_again(&owner.token));
        let reply = call(&app, operation, *body, &path, Some(&valid)).await;
        assert!((200..300).contains(&reply.status), "{operation}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_of_another_account_gets_the_reply_of_one_that_does_not_exist() {
    let app = TestApp::idle_with_bucket().await;
    let (owner, other) = (app.caller().await, app.caller().await);
    let (owners, others) = (format!("Bearer {}", owner.token), format!("Bearer {}", other.token));
    for (operation, access, body) in OPERATIONS {
        match access {
            Public(_) => {}
            Account | Named(_) => {
                Processed.make(&app, &owner).await;
                let path = match access {
                    Named(name) => vec![(*name).to_owned()],
                    _ => Vec::new(),
                };
                let reply = call(&app, operation, *body, &path, Some(&others)).await;
                assert!((200..300).contains(&reply.status), "{operation}: {reply:?}");
                assert!(
                    !reply.body.to_string().contains(&owner.username),
                    "{operation}: {reply:?}"
                );
            }
            Resource(kind) => {
                let (path, (absent, code)) = (kind.make(&app, &owner).await, kind.absent());
                let before = app.snapshot().await;
                let refused = call(&app, operation, *body, &path, Some(&others)).await;
                let code = if operation.starts_with("HEAD") { "" } else { code };
                assert_eq!((refused.status, refused.code()), (404, code), "{operation}");
                for token in [&others, &owners] {
                    let missing = call(&app, operation, *body, &absent, Some(token)).await;
                    assert_eq!(comparable(&refused), comparable(&missing), "{operation}");
                }
                assert_eq!(app.snapshot().await, before, "{operation}");
            }
        }
    }
    let own = call(&app, "GET /api/tasks", Nothing, &[], Some(&owners)).await;
    assert!(
        own.body.to_string().contains(&owner.username),
        "the list contains the resources of the owner: {own:?}"
    );
}

/// The security requirement of an operation in the OpenAPI document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    None,
    Optional,
    Token,
}

/// The operations of the OpenAPI document.
async fn described(app: &TestApp) -> BTreeMap<String, Security> {
    let document = app.anonymous().get("/api/openapi.json").await.body;
    let mut described = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let security = match operation["security"].as_array() {
                None => panic!("{method} {path} has no security requirement"),
                Some(schemes) if schemes.is_empty() => Security::None,
                Some(schemes) if schemes.contains(&json!({})) => Security::Optional,
                Some(_) => Security::Token,
            };
            described.insert(format!("{} {path}", method.to_uppercase()), security);
        }
    }
    described
}

/// Calls an operation with these values of its path parameters and this header `Authorization`.
async fn call(app: &TestApp, operation: &str, body: Body, values: &[String], token: Option<&str>) -> Reply {
    let (method, path) = operation.split_once(' ').unwrap();
    let mut values = values.iter().map(String::as_str);
    let parts = path.split('/').map(|part| {
        if part.starts_with('{') {
            values.next().unwrap_or("absent")
        } else {
            part
        }
    });
    let mut path = parts.collect::<Vec<_>>().join("/");
    if matches!(body, Search) {
        path.push_str("?q=clip");
    }
    let mut request = app.anonymous().request(method.parse::<Method>().unwrap(), &path);
    request = match body {
        Nothing | Search => request,
        Json(text) => request.header("content-type", "application/json").body(text),
        Upload => request.multipart(Form::new().part("file", Part::bytes(MP4).file_name("clip.mp4"))),
        Image => request.multipart(tests::image_form("mine", tests::PNG.to_vec())),
        Tus => request.header("tus-resumable", "1.0.0").header("upload-length", 1_000),
        Raw => request.body(MP4),
        Manifest => request.multipart(crate::imports::form(
            "videos",
            "points.csv",
            "source_url\nhttps://a.example/b.mp4\n",
        )),
        Rows => {
            let file = Part::bytes(b"t,r,v,w\n2015-01-01,c,1,w\n").file_name("rows.csv");
            request.multipart(Form::new().part("file", file))
        }
        Bytes => {
            let request = request.header("tus-resumable", "1.0.0").header("upload-offset", 0);
            request
                .header("content-type", "application/offset+octet-stream")
                .body(MP4)
        }
    };
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let response = request.send().await.unwrap();
    let reply = Reply::head(&response);
    match reply.header("content-type") {
        "text/event-stream" => reply,
        _ => Reply::read(response).await,
    }
}

/// A reply without the request id and the date, which differ in each.
fn comparable(reply: &Reply) -> (u16, BTreeMap<String, String>, Value) {
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
