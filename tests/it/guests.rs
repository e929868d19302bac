//! Guest links: uploads without an account, their limits, and what a guest sees.

mod refusals;

use crate::clients::{sources, tools};
use crate::tus::{source_of, video};
use crate::tus_expiry::wait_until_removed;
use futures::future::join_all;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, Reply, TestApp, Tus};
use tokio::process::Command;

/// Creates a link.
pub(crate) async fn link(owner: &Caller, body: Value) -> Value {
    let reply = owner.post("/api/guest-links", &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.body
}

/// The reply to a request for a session.
async fn session(app: &TestApp, link: &Value, body: Value) -> Reply {
    let path = format!("/api/guest/{}/session", link["token"].as_str().unwrap());
    app.anonymous().post(&path, &body).await
}

/// A guest with a session.
pub(crate) async fn guest(app: &TestApp, link: &Value) -> Tus {
    let reply = session(app, link, json!({})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut caller = app.anonymous();
    caller.token = reply.body["token"].as_str().unwrap().to_owned();
    Tus::of(caller)
}

/// The reply to the creation of an upload.
async fn creation(tus: &Tus, length: usize) -> Reply {
    let request = tus
        .request(Method::POST, "/api/uploads")
        .header("upload-length", length);
    Reply::read(request.send().await.unwrap()).await
}

async fn tasks(owner: &Caller) -> Vec<Value> {
    owner.get("/api/tasks").await.body["data"].as_array().unwrap().clone()
}

async fn places(owner: &Caller, link: &Value) -> i64 {
    let link = owner.get(&format!("/api/guest-links/{}", link["id"])).await;
    link.body["uploads"].as_i64().unwrap()
}

async fn execute(app: &TestApp, sql: &str) {
    app.db.execute_unprepared(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_uploads_without_an_account_and_follows_the_task() {
    let app = TestApp::start().await;
    let owner = app.caller().await;
    let recipe = json!({"outputs": [{"kind": "poster"}]});
    let link = link(&owner, json!({"title": "Monday", "max_uploads": 2, "recipe": recipe})).await;
    let url = link["url"].as_str().unwrap();
    assert_eq!(
        url,
        format!("{}/api/guest/{}", app.url, link["token"].as_str().unwrap())
    );
    let shown = app.anonymous().get(url).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let mut shown = shown.body;
    assert_eq!(shown["expires_at"].take(), link["expires_at"]);
    assert_eq!(
        shown,
        json!({"title": "Monday", "max_bytes": 5_u64 << 30, "remaining_uploads": 2, "expires_at": null, "password_required": false})
    );

    let guest = guest(&app, &link).await;
    let bytes = video(&app, 3_000_000);
    let path = guest.create("mi clip.mp4", bytes.len()).await;
    assert_eq!(guest.send(&path, 0, bytes[..1_000_000].to_vec()).await.status, 204);
    assert_eq!(guest.offset(&path).await, 1_000_000);
    assert_eq!(tasks(&owner).await.len(), 0);
    let waiting = guest.caller.get(&path).await.body;
    assert_eq!(
        (&waiting["status"], &waiting["received_bytes"]),
        (&"waiting".into(), &1_000_000.into())
    );
    assert_eq!(
        guest.send(&path, 1_000_000, bytes[1_000_000..].to_vec()).await.status,
        204
    );

    let of_owner = tasks(&owner).await;
    assert_eq!(of_owner.len(), 1, "{of_owner:?}");
    assert_eq!(
        (&of_owner[0]["display_name"], &of_owner[0]["preset"]),
        (&"mi clip.mp4".into(), &Value::Null)
    );
    let task = of_owner[0]["id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
    let begun = Instant::now();
    let done = loop {
        let view = guest.caller.get(&path).await.body;
        if view["task"]["status"] == "processed" {
            break view;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{view}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((&done["status"], &done["task_id"]), (&"finished".into(), &Value::Null));
    assert_eq!(
        done["task"],
        json!({"status": "processed", "progress": {"percent": 100}, "error": null})
    );
    let whole = owner.get(&format!("/api/tasks/{task}")).await.body;
    assert_eq!(whole["outputs"][0]["kind"], "poster", "{whole}");
    let again = guest.send(&path, bytes.len(), Vec::new()).await;
    assert_eq!((again.status, tasks(&owner).await.len()), (204, 1), "{again:?}");
    assert_eq!(guest.remove(&path).await, 204);
    assert_eq!(places(&owner, &link).await, 1, "the place of a task stays taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_race_for_five_places_are_five_and_a_removed_one_returns_its_place() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 5})).await;
    let guest = guest(&app, &link).await;
    let replies = join_all((0..20).map(|_| creation(&guest, 1_000))).await;
    let created: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(created.len(), 5);
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!((refused.status, refused.code()), (409, "guest_link_used_up"));
    }
    assert_eq!(places(&owner, &link).await, 5);
    let path = created[0].header("location").to_owned();
    let removals = join_all((0..3).map(|_| guest.remove(&path))).await;
    assert_eq!(
        removals.iter().filter(|status| **status == 204).count(),
        1,
        "{removals:?}"
    );
    assert_eq!(places(&owner, &link).await, 4);
    assert_eq!(creation(&guest, 1_000).await.status, 201);
    assert_eq!(creation(&guest, 1_000).await.code(), "guest_link_used_up");
    // A file that is no media is removed.
    let path = created[1].header("location").to_owned();
    assert_eq!(guest.send(&path, 0, vec![b'x'; 1_000]).await.code(), "not_media");
    assert_eq!(places(&owner, &link).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_guests_that_expire_return_their_places() {
    let mut app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 3})).await;
    let guest = guest(&app, &link).await;
    let bytes = video(&app, 2_000_000);
    let path = guest.create("clip.mp4", bytes.len()).await;
    assert_eq!(guest.send(&path, 0, bytes).await.status, 204);
    for _ in 0..2 {
        assert_eq!(creation(&guest, 1_000).await.status, 201);
    }
    assert_eq!(places(&owner, &link).await, 3);
    execute(&app, "UPDATE uploads SET expires_at_ms = 1").await;
    wait_until_removed(&app, 1).await;
    assert_eq!(places(&owner, &link).await, 1, "that of the task stays taken");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_the_uploads_of_one_session_alone() {
    let app = TestApp::idle().await;
    let (owner, other) = (app.caller().await, Tus::of(app.caller().await));
    let first = link(&owner, json!({"max_uploads": 9})).await;
    let second = link(&owner, json!({})).await;
    let (a, b, c) = (
        guest(&app, &first).await,
        guest(&app, &first).await,
        guest(&app, &second).await,
    );
    let path = a.create("clip.mp4", 1_000).await;
    let of_owner = Tus::of(owner.clone()).create("clip.mp4", 1_000).await;
    for stranger in [&b, &c, &other] {
        assert_eq!(stranger.head(&path).await.status, 404);
        let shown = stranger.caller.get(&path).await;
        assert_eq!((shown.status, shown.code()), (404, "upload_not_found"));
        assert_eq!(stranger.send(&path, 0, vec![1]).await.code(), "upload_not_found");
        assert_eq!(stranger.remove(&path).await, 404);
        assert_eq!(stranger.head(&of_owner).await.status, 404);
    }
    assert_eq!(a.head(&of_owner).await.status, 404);
    assert_eq!(owner.get(&path).await.status, 200, "the account has it");
    let task = a.task(&path).await;
    assert_eq!((task.status, task.code()), (401, "token_invalid"));

    // A renewed session is the same session.
    let renewal = format!("/api/guest/{}/session", first["token"].as_str().unwrap());
    let mut renewed = a.clone();
    renewed.caller.token = a.caller.post(&renewal, &json!({})).await.body["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(renewed.head(&path).await.status, 200);
    let of_second = format!("/api/guest/{}/session", second["token"].as_str().unwrap());
    renewed.caller.token = a.caller.post(&of_second, &json!({})).await.body["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(renewed.head(&path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_byte_that_is_sent_twice_makes_one_task() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 9})).await;
    let guest = guest(&app, &link).await;
    let bytes = video(&app, 1_000_000);
    for _ in 0..3 {
        let path = guest.create("clip.mp4", bytes.len()).await;
        let sent = join_all((0..3).map(|_| guest.send(&path, 0, bytes.clone()))).await;
        if sent.iter().all(|reply| reply.status != 204) {
            let offset = guest.offset(&path).await;
            assert_eq!(guest.send(&path, offset, bytes[offset..].to_vec()).await.status, 204);
        }
        assert_eq!(guest.caller.get(&path).await.body["status"], "finished");
    }
    assert_eq!(tasks(&owner).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_file_whose_request_failed_becomes_a_task_in_the_background() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({})).await;
    let guest = guest(&app, &link).await;
    let bytes = video(&app, 1_000_000);
    let path = guest.create("clip.mp4", bytes.len()).await;
    // A recipe that cannot be read stands for a process that ends after the last byte.
    let recipe = serde_json::to_string(&link["recipe"]).unwrap().replace('\'', "''");
    execute(&app, "UPDATE guest_links SET recipe = '1'").await;
    assert_eq!(guest.send(&path, 0, bytes.clone()).await.status, 500);
    assert_eq!(guest.offset(&path).await, bytes.len());
    assert_eq!(guest.caller.get(&path).await.body["status"], "complete");
    execute(&app, &format!("UPDATE guest_links SET recipe = '{recipe}'")).await;
    let mut workers = Vec::new();
    for name in ["first", "second"] {
        let directory = app.directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        workers.push(Server::start_in("worker", &directory, &app.environment));
    }
    let begun = Instant::now();
    while tasks(&owner).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(guest.caller.get(&path).await.body["status"], "finished");
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(tasks(&owner).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_is_told_that_all_bytes_are_there_has_a_task() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({})).await;
    let guest = guest(&app, &link).await;
    let bytes = video(&app, 1_000_000);
    let path = guest.create("clip.mp4", bytes.len()).await;
    // As if the request with the last byte had not come to the task yet.
    execute(&app, "UPDATE guest_links SET recipe = '1'").await;
    assert_eq!(guest.send(&path, 0, bytes.clone()).await.status, 500);
    let recipe = serde_json::to_string(&link["recipe"]).unwrap().replace('\'', "''");
    execute(&app, &format!("UPDATE guest_links SET recipe = '{recipe}'")).await;
    assert_eq!(guest.caller.get(&path).await.body["status"], "complete");
    let offsets = join_all((0..8).map(|_| guest.offset(&path))).await;
    assert_eq!(offsets, vec![bytes.len(); 8]);
    let shown = guest.caller.get(&path).await.body;
    assert_eq!(shown["status"], "finished");
    assert_eq!(shown["task"]["status"], "uploaded");
    assert_eq!(tasks(&owner).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_be_no_task_tells_the_guest_and_the_owner_why() {
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    assert_eq!(owner.image("mark", tests::PNG.to_vec()).await.status, 201);
    let recipe = json!({"watermark": {"image": "mark"}, "outputs": [{"kind": "mp4"}]});
    let link = link(&owner, json!({"recipe": recipe})).await;
    let guest = guest(&app, &link).await;
    let bytes = video(&app, 1_000_000);
    let path = guest.create("clip.mp4", bytes.len()).await;
    assert_eq!(owner.delete("/api/images/mark").await.status, 200);
    let refused = guest.send(&path, 0, bytes).await;
    assert_eq!((refused.status, refused.code()), (400, "recipe_invalid"));
    let again = guest.send(&path, 1_000_000, Vec::new()).await;
    assert_eq!(
        (again.status, again.code()),
        (400, "recipe_invalid"),
        "not as if it had succeeded"
    );
    let shown = guest.caller.get(&path).await;
    for reply in [&refused, &again, &shown] {
        assert!(!reply.body.to_string().contains("mark"), "{reply:?}");
    }
    let shown = shown.body;
    assert_eq!(
        (&shown["status"], &shown["error"]["code"]),
        (&"failed".into(), &"recipe_invalid".into())
    );
    let events = owner.get("/api/events").await.body;
    let failed: Vec<_> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "upload.failed")
        .collect();
    assert_eq!(failed.len(), 1, "{events}");
    assert_eq!(failed[0]["data"], owner.get(&path).await.body);
    assert!(failed[0].to_string().contains("mark"), "{failed:?}");
    assert_eq!(guest.remove(&path).await, 204);
    assert_eq!(places(&owner, &link).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_uploads_through_a_link() {
    let Some(tools) = tools() else { return };
    let app = TestApp::idle().await;
    let owner = app.caller().await;
    let link = link(&owner, json!({"max_uploads": 2, "preset": "web"})).await;
    let (bytes, directory) = (video(&app, 3_000_000), app.directory.path());
    std::os::unix::fs::symlink(tools.join("node_modules"), directory.join("node_modules")).unwrap();
    std::fs::write(directory.join("video.mp4"), &bytes).unwrap();
    std::fs::copy(sources().join("guest.mjs"), directory.join("guest.mjs")).unwrap();
    let output = Command::new("node")
        .args(["guest.mjs", link["url"].as_str().unwrap(), "video.mp4"])
        .current_dir(directory)
        .output()
        .await
        .unwrap();
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{printed:?}");
    let of_owner = tasks(&owner).await;
    assert_eq!(of_owner.len(), 2);
    for task in of_owner {
        assert_eq!(task["preset"], "web");
        assert!(source_of(&app, task["id"].as_i64().unwrap()).await == bytes);
    }
    let backend = app.db.get_database_backend();
    let statement = Statement::from_string(backend, "SELECT count(*) FROM uploads WHERE task_id IS NULL");
    let open: i64 = app
        .db
        .query_one_raw(statement)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap();
    assert_eq!(open, 0);
}
