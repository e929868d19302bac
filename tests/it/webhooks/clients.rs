//! Signatures, checked by the packages `standardwebhooks` of npm and `PyPI`.

use super::{new_task, service, webhook};
use crate::clients::{run, sources, tools};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use tests::receiver::{Received, Receiver};

/// Verifies messages with both packages and each secret.
async fn verify(directory: &Path, tools: &Path, received: &[Received], secrets: &[&str]) {
    let messages: Vec<_> = received
        .iter()
        .map(|one| json!({ "headers": one.headers, "body": one.body }))
        .collect();
    let file = directory.join("messages.json");
    std::fs::write(&file, serde_json::to_vec(&messages).unwrap()).unwrap();
    let file = file.display().to_string();
    let module = tools
        .join("node_modules/standardwebhooks/dist/index.js")
        .display()
        .to_string();
    let script = |name: &str| sources().join(name).display().to_string();
    let (javascript, python) = (script("webhook.mjs"), script("webhook.py"));
    run(
        directory,
        Path::new("node"),
        &[&[javascript.as_str(), &module, &file], secrets].concat(),
    )
    .await;
    run(
        directory,
        &tools.join("venv/bin/python"),
        &[&[python.as_str(), &file], secrets].concat(),
    )
    .await;
}

fn signatures(message: &Received) -> usize {
    message.headers["webhook-signature"].split(' ').count()
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_valid_for_the_published_packages_also_after_a_rotation() {
    let Some(tools) = tools() else { return };
    let app = service().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let receiver = Receiver::start().await;
    let created = webhook(&caller, &receiver.url, &["video.created", "task.created"]).await;
    let first = created["secret"].as_str().unwrap();
    new_task(&caller, &[]).await;
    let received = receiver.until(2).await;
    assert!(received.iter().all(|one| signatures(one) == 1), "{received:?}");
    verify(directory, &tools, &received, &[first]).await;

    let path = format!("/api/webhooks/{}", created["id"]);
    let rotated = caller.post(&format!("{path}/secret/rotate"), &json!({})).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let second = rotated.body["secret"].as_str().unwrap();
    assert!(second != first && rotated.body["previous_secret_expires_at"].is_string());
    new_task(&caller, &[]).await;
    let received = receiver.until(4).await.split_off(2);
    assert!(received.iter().all(|one| signatures(one) == 2), "{received:?}");
    verify(directory, &tools, &received, &[first, second]).await;

    // A day later.
    let expired = "UPDATE webhook_endpoints SET previous_until = '2026-01-01 00:00:00+00:00'";
    sea_orm::ConnectionTrait::execute_unprepared(&app.db, expired)
        .await
        .unwrap();
    assert!(caller.get(&path).await.body["previous_secret_expires_at"].is_null());
    new_task(&caller, &[]).await;
    let received = receiver.until(6).await.split_off(4);
    assert!(received.iter().all(|one| signatures(one) == 1), "{received:?}");
    verify(directory, &tools, &received, &[second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_the_url_of_a_task_are_signed_with_the_secret_of_the_account() {
    let Some(tools) = tools() else { return };
    let app = service().await;
    let caller = app.caller().await;
    let receiver = Receiver::start().await;
    let secret = async |path: &str, method| {
        let reply = caller.request(method, path).send().await.unwrap();
        let body: BTreeMap<String, Option<String>> = reply.json().await.unwrap();
        body["secret"].clone().unwrap()
    };
    new_task(&caller, &[("webhook_url", &receiver.url)]).await;
    let received = receiver.until(1).await;
    let first = secret("/api/webhooks/secret", reqwest::Method::GET).await;
    verify(app.directory.path(), &tools, &received, &[&first]).await;
    let second = secret("/api/webhooks/secret/rotate", reqwest::Method::POST).await;
    assert_eq!(secret("/api/webhooks/secret", reqwest::Method::GET).await, second);
    let before = receiver.received().len();
    new_task(&caller, &[("webhook_url", &receiver.url)]).await;
    let received = receiver.until(before + 2).await.split_off(before + 1);
    verify(app.directory.path(), &tools, &received, &[&first, &second]).await;
    assert_eq!(
        caller.get("/api/webhooks").await.body["data"],
        json!([]),
        "it is no webhook"
    );
}
