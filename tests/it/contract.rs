//! The public contract of tasks, downloads and health, as existing clients rely on it.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::process::Command;
use tests::TestApp;
use tests::clip::Clip;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_answers_with_key_and_id_under_each_field_name() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    for (path, field) in [
        ("/api/tasks", "file"),
        ("/api/tasks/", "video"),
        ("/api/tasks", "fileName"),
    ] {
        let part = Part::bytes(clip.clone()).file_name("día.mp4");
        let request = caller
            .request(Method::POST, path)
            .multipart(Form::new().part(field, part));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 201);
        let body: Value = response.json().await.unwrap();
        let id = body["task_id"].as_i64().unwrap();
        let key = body["message"]
            .as_str()
            .unwrap()
            .strip_prefix("Video ")
            .unwrap()
            .strip_suffix(" uploaded")
            .unwrap();
        let today = chrono::Utc::now().format("%Y/%m/%d/");
        assert!(key.starts_with(&format!("{today}{id}_")), "{key}");
        let task = caller.get(&format!("/api/tasks/{id}")).await.body;
        assert_eq!(task["file_path"], key);
        assert_eq!(
            (&task["task_id"], &task["status"], &task["download"]),
            (&id.into(), &"uploaded".into(), &json!([]))
        );
        chrono::DateTime::parse_from_rfc3339(task["timestamp"].as_str().unwrap()).unwrap();
    }
    let reply = app.anonymous().upload("x.mp4", clip, &[]).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_ordered_bounded_and_ignore_a_body() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    assert_eq!(caller.get("/api/tasks").await.body["data"], json!([]));
    let clip = Clip::default().make(app.directory.path());
    let ids = [
        caller.task(&clip, &[]).await,
        caller.task(&clip, &[]).await,
        caller.task(&clip, &[]).await,
    ];
    let listed = async |query: &str| {
        let request = caller.request(Method::GET, &format!("/api/tasks{query}"));
        let body: Value = request
            .json(&json!({ "username": "ignored" }))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?order=1").await, [ids[2], ids[1], ids[0]]);
    assert_eq!(listed("/?max=2&order=0").await, [ids[0], ids[1]]);
    for query in ["?max=0", "?max=-1", "?max=x", "?order=2", "?order=up"] {
        let reply = caller.get(&format!("/api/tasks{query}")).await;
        assert_eq!((reply.status, reply.code()), (400, "query_invalid"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_account_is_not_found() {
    let app = TestApp::idle().await;
    let (owner, other) = (app.caller().await, app.caller().await);
    let id = owner.task(&Clip::default().make(app.directory.path()), &[]).await;
    let not_found = |reply: tests::Reply| assert_eq!((reply.status, reply.message()), (404, "Task not found"));
    for id in [
        id.to_string(),
        "0".to_owned(),
        "abc".to_owned(),
        "99999999999999999999".to_owned(),
    ] {
        not_found(other.get(&format!("/api/tasks/{id}")).await);
        not_found(other.delete(&format!("/api/tasks/{id}/")).await);
        not_found(other.post(&format!("/api/tasks/{id}/cancel"), &json!({})).await);
        not_found(other.post(&format!("/api/tasks/{id}/retry"), &json!({})).await);
    }
    let path = owner.get(&format!("/api/tasks/{id}")).await.body["file_path"].clone();
    let reply = other
        .get(&format!("/api/video/download/{}", path.as_str().unwrap()))
        .await;
    assert_eq!(reply.status, 404);
    assert_eq!(owner.get(&format!("/api/tasks/{id}/")).await.status, 200);
    let reply = owner.post(&format!("/api/tasks/{id}/retry"), &json!({})).await;
    assert_eq!((reply.status, reply.code()), (409, "task_not_retryable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_need_a_signature_or_the_owner_and_serve_ranges() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let task = caller.processed(&Clip::default().make(app.directory.path()), &[]).await;
    let link = task["download"][0].as_str().unwrap();
    assert!(link.starts_with(&app.url), "absolute: {link}");
    let whole = caller.download(link).await;
    let client = reqwest::Client::new();
    let part = client.get(link).header("range", "bytes=10-19").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"],
        format!("bytes 10-19/{}", whole.len()).as_str()
    );
    assert_eq!(part.bytes().await.unwrap(), whole[10..20]);
    let beyond = client
        .get(link)
        .header("range", "bytes=999999999-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.status(), 416);
    let (path, _) = link.split_once('?').unwrap();
    for tampered in [
        path.to_owned(),
        link.replace("signature=", "signature=0"),
        format!("{link}0"),
    ] {
        assert_eq!(client.get(&tampered).send().await.unwrap().status(), 404, "{tampered}");
    }
    let owned = caller.request(Method::GET, path).send().await.unwrap();
    assert_eq!(owned.status(), 200);
    assert!(
        owned.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(
        caller
            .request(Method::GET, path.strip_suffix(".mp4").unwrap())
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_pings_answer() {
    let app = TestApp::idle().await;
    let caller = app.anonymous();
    let reply = caller.get("/api/health").await;
    assert_eq!(
        (reply.status, &reply.body["status"], &reply.body["database"]),
        (200, &"healthy".into(), &"connected".into())
    );
    assert_eq!(caller.get("/ping").await.body, json!({ "message": "Ok" }));
    for path in ["/api/auth/signup/ping", "/api/auth/login/ping/"] {
        assert_eq!(caller.get(path).await.body, json!({ "message": "pong" }));
    }
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/docs/",
        "/api/presets",
    ] {
        assert_eq!(caller.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_tasks_that_operators_query_exist() {
    use sea_orm::{ConnectionTrait, Statement};
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = caller.task(&Clip::default().make(app.directory.path()), &[]).await;
    let query = "select id, user_id, file_path, timestamp, status from tasks;";
    let rows = app
        .db
        .query_all_raw(Statement::from_string(app.db.get_database_backend(), query))
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].try_get::<i64>("", "id").unwrap(), id);
    assert_eq!(rows[0].try_get::<String>("", "status").unwrap(), "uploaded");
}

/// Runs the three curl commands of `docs/COMPATIBILITY.md`: sign-up, login, list of tasks.
#[tokio::test(flavor = "multi_thread")]
async fn the_curl_calls_of_earlier_clients_work_verbatim() {
    let page = include_str!("../../docs/COMPATIBILITY.md");
    let calls: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("curl --location"))
        .collect();
    assert_eq!(calls.len(), 3, "sign-up, login, tasks");
    let app = TestApp::idle().await;
    let mut token = String::new();
    let mut replies = Vec::new();
    for call in calls {
        let call = call
            .replace("http://localhost:8000", &app.url)
            .replace("{TOKEN}", &token);
        let output = Command::new("bash")
            .args(["-c", &format!("{call} --silent --show-error")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        token = reply["token"].as_str().unwrap_or(&token).to_owned();
        replies.push(reply);
    }
    assert_eq!(replies[0]["message"], "Usuario creado");
    assert!(!token.is_empty());
    assert_eq!(replies[2]["data"], json!([]));
}
