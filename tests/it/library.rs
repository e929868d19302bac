//! The library over HTTP: videos of uploads, publication, lists, searches, public files.

use backend::{AppState, Config, ProcessHealth, Secret, Secrets, ServerConfig};
use background::Background;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::{Caller, MP4, Reply, SECRET, TestApp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn send(caller: &Caller, method: Method, path: &str, body: &Value) -> Reply {
    Reply::read(caller.request(method, path).json(body).send().await.unwrap()).await
}

/// Uploads a video; returns the ids of the task and the video.
async fn uploaded(caller: &Caller, name: &str) -> (i64, i64) {
    let reply = caller.upload(name, MP4.to_vec(), &[]).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let id = |field: &str| reply.body[field].as_i64().unwrap();
    (id("id"), id("video_id"))
}

/// Uploads a video whose task is processed; returns the ids of the task and the video.
async fn processed(app: &TestApp, caller: &Caller, name: &str) -> (i64, i64) {
    let (task, video) = uploaded(caller, name).await;
    let files: [(&str, &'static str, &'static str, &'static [u8]); 2] = [
        ("poster.jpg", "poster", "image/jpeg", b"the poster"),
        ("video.mp4", "mp4", "video/mp4", b"the video"),
    ];
    app.finish(task, &files).await;
    (task, video)
}

async fn titles(caller: &Caller, path: &str) -> Vec<String> {
    let reply = caller.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    let data = reply.body["data"].as_array().unwrap();
    data.iter()
        .map(|video| video["title"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_video_is_listed_found_shown_and_played_without_a_token_until_it_is_hidden() {
    let app = TestApp::idle().await;
    let (caller, visitor) = (app.caller().await, app.anonymous());
    let (task, id) = processed(&app, &caller, "El Niño en Piura.mp4").await;
    let own = caller.get(&format!("/api/videos/{id}")).await;
    assert_eq!(
        (own.body["title"].as_str(), own.body["visibility"].as_str()),
        (Some("El Niño en Piura"), Some("private"))
    );
    assert_eq!(own.body["tasks"][0]["id"], task);
    assert_eq!(caller.get(&format!("/api/tasks/{task}")).await.body["video_id"], id);
    assert_eq!(titles(&visitor, "/api/library").await, [""; 0]);
    // The process that has received the upload shows it at once.
    assert_eq!(titles(&caller, "/api/videos/search?q=nino").await, ["El Niño en Piura"]);

    let patch = json!({ "description": "Lluvias", "tags": ["clima", "costa"], "region": "Piura", "external_id": "cms-7", "metadata": { "lat": -5.2 } });
    let patched = send(&caller, Method::PATCH, &format!("/api/videos/{id}"), &patch).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let published = caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    assert_eq!(published.status, 200, "{published:?}");
    assert_eq!(
        (
            published.body["task_id"].as_i64(),
            published.body["visibility"].as_str()
        ),
        (Some(task), Some("public"))
    );

    // The first output is the poster, and a player gets the video.
    for (field, file) in [("playback_url", "video.mp4"), ("poster_url", "poster.jpg")] {
        let url = published.body[field].as_str().unwrap();
        assert!(url.ends_with(&format!("/files/{file}")), "{field}: {url}");
    }
    // The process that has made the change shows it at once.
    assert_eq!(
        titles(&visitor, "/api/library?tag=clima&region=Piura").await,
        ["El Niño en Piura"]
    );
    let found = visitor
        .get("/api/library/search?q=%22el%20nino%22&facets=tags,region")
        .await;
    assert_eq!(found.body["total"], 1, "{found:?}");
    assert_eq!(found.body["data"][0]["highlights"], json!([[0, 7]]));
    assert_eq!(
        found.body["facets"][0]["counts"],
        json!([{ "value": "clima", "count": 1 }, { "value": "costa", "count": 1 }])
    );
    assert_eq!(found.body["freshness"]["degraded"], false);

    let shown = visitor.get(&format!("/api/library/{id}")).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let url = |name: &str| shown.body[name].as_str().unwrap().to_owned();
    assert_eq!(visitor.download(&url("playback_url")).await, b"the video");
    assert_eq!(visitor.download(&url("poster_url")).await, b"the poster");
    let part = visitor
        .request(Method::GET, &url("playback_url"))
        .header("range", "bytes=4-8");
    let part = part.send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.text().await.unwrap().as_str()),
        (206, "video")
    );
    assert_eq!(visitor.get(&url("public_url")).await.body["id"], id);

    let hidden = send(
        &caller,
        Method::POST,
        &format!("/api/videos/{id}/unpublish"),
        &json!({}),
    )
    .await;
    assert_eq!(
        (hidden.status, hidden.body["public_url"].is_null()),
        (200, true),
        "{hidden:?}"
    );
    for path in [format!("/api/library/{id}"), url("public_url"), url("playback_url")] {
        assert_eq!(visitor.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(titles(&visitor, "/api/library").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_video_is_shown_only_at_its_public_address_which_never_changes() {
    let app = TestApp::idle().await;
    let (caller, visitor) = (app.caller().await, app.anonymous());
    let (_, id) = processed(&app, &caller, "talk.mp4").await;
    let path = format!("/api/videos/{id}/publish");
    let unlisted = caller.post(&path, &json!({ "visibility": "unlisted" })).await;
    let url = unlisted.body["public_url"].as_str().unwrap().to_owned();
    assert_eq!(visitor.get(&url).await.body["title"], "talk");
    assert_eq!(
        visitor.get(&format!("/api/library/{id}")).await.code(),
        "video_not_found"
    );
    assert_eq!(titles(&visitor, "/api/library").await, [""; 0]);
    assert_eq!(titles(&visitor, "/api/library/search?q=talk").await, [""; 0]);
    // Publishing it again widens its audience only on request.
    let again = caller.post(&path, &json!({})).await;
    assert_eq!(again.body["visibility"], "unlisted");
    let public = caller.post(&path, &json!({ "visibility": "public" })).await;
    assert_eq!(public.body["public_url"], url);
    assert_eq!(public.body["published_at"], unlisted.body["published_at"]);
}

/// Starts a second API on the database and storage of a service, with its own catalog. Returns its address.
pub(crate) async fn second_api(app: &TestApp, secret: &str) -> String {
    let mut config = Config::new(Secrets {
        current: Secret::new(secret).unwrap(),
        previous: None,
    });
    config.catalog_dir = app.directory.path().join("other");
    let (db, storage, queue) = (app.db.clone(), app.storage.clone(), app.queue.clone());
    let state = AppState::new(db, storage, queue, config, ProcessHealth::default());
    let mut settings = app.environment.iter();
    let (_, database_url) = settings.find(|(name, _)| *name == "DATABASE_URL").unwrap();
    state.follow_logs(entity::connect(database_url, 1).await.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (router, stop) = (backend::router(state), CancellationToken::new());
    tokio::spawn(backend::serve(
        listener,
        router,
        ServerConfig::default(),
        stop,
        Background::default(),
    ));
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_outlives_the_secret_of_the_server() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let (task, id) = processed(&app, &caller, "talk.mp4").await;
    let signed = caller.get(&format!("/api/tasks/{task}")).await.body["download"][0].clone();
    let published = caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    let other = second_api(&app, &format!("other-{SECRET}")).await;
    let there = |url: &Value| url.as_str().unwrap().replace(&app.url, &other);
    let visitor = Caller::anonymous(&other);
    // Until its catalog is filled.
    let begun = Instant::now();
    while visitor.get("/api/library").await.code() == "catalog_filling" {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let shown = visitor.get(&there(&published.body["public_url"])).await;
    assert_eq!((shown.status, &shown.body["id"]), (200, &json!(id)), "{shown:?}");
    for field in ["public_url", "playback_url", "poster_url"] {
        assert_eq!(shown.body[field], there(&published.body[field]), "{field}");
    }
    assert_eq!(
        visitor.download(&there(&published.body["playback_url"])).await,
        b"the video"
    );
    // A signed link belongs to its secret.
    assert_eq!(visitor.get(&there(&signed)).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_played_by_its_public_address() {
    let app = TestApp::idle().await;
    let (caller, visitor) = (app.caller().await, app.anonymous());
    let (task, _) = uploaded(&caller, "stream.mp4").await;
    app.finish_stream(task, &[("master.m3u8", b"#EXTM3U"), ("video-1.m4s", b"segment")])
        .await;
    let published = caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    let url = published.body["playback_url"].as_str().unwrap().to_owned();
    assert!(url.ends_with("/master.m3u8"), "{url}");
    assert_eq!(visitor.download(&url).await, b"#EXTM3U");
    assert_eq!(
        visitor.download(&url.replace("master.m3u8", "video-1.m4s")).await,
        b"segment"
    );
    assert_eq!(
        visitor.get(&url.replace("master.m3u8", "absent.m4s")).await.code(),
        "file_not_found"
    );
    assert_eq!(
        visitor.get(&url.replace("master.m3u8", "..%2f1")).await.code(),
        "file_not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_belongs_to_its_account_and_its_fields_are_checked() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    let (task, id) = processed(&app, &ana, "a.mp4").await;
    let path = format!("/api/videos/{id}");
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        assert_eq!(
            send(&eva, method, &path, &json!({ "title": "mine" })).await.code(),
            "video_not_found"
        );
    }
    assert_eq!(
        eva.post(&format!("{path}/publish"), &json!({})).await.code(),
        "video_not_found"
    );
    assert_eq!(
        eva.post(&format!("/api/tasks/{task}/publish"), &json!({})).await.code(),
        "task_not_found"
    );
    assert_eq!(titles(&eva, "/api/videos").await, [""; 0]);
    assert_eq!(titles(&eva, "/api/videos/search?q=a").await, [""; 0]);

    for (patch, field) in [
        (json!({ "title": "" }), "title"),
        (json!({ "title": null }), "title"),
        (json!({ "title": "x".repeat(201) }), "title"),
        (json!({ "tags": ["a,b"] }), "tags"),
        (json!({ "region": 7 }), "region"),
        (json!({ "metadata": [] }), "metadata"),
        (json!({ "metadata": { "a": "x".repeat(17_000) } }), "metadata"),
        (json!({ "owner": "eva" }), "owner"),
    ] {
        let refused = send(&ana, Method::PATCH, &path, &patch).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "request_invalid"),
            "{patch}: {refused:?}"
        );
        assert_eq!(refused.body["errors"][0]["field"], field, "{patch}: {refused:?}");
    }
    for visibility in [json!(null), json!("private"), json!("all"), json!(7)] {
        let body = json!({ "visibility": visibility });
        let refused = ana.post(&format!("{path}/publish"), &body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "request_invalid"),
            "{refused:?}"
        );
        assert_eq!(refused.body["errors"][0]["field"], "visibility", "{refused:?}");
    }
    for other_form in [format!("/api/videos/0{id}"), format!("/api/videos/+{id}")] {
        assert_eq!(ana.get(&other_form).await.code(), "video_not_found", "{other_form}");
    }
    let ((waiting, second), (other, _)) = (uploaded(&ana, "b.mp4").await, uploaded(&ana, "c.mp4").await);
    let publish = ana.post(&format!("/api/tasks/{waiting}/publish"), &json!({})).await;
    assert_eq!((publish.status, publish.code()), (409, "task_not_processed"));
    let other = ana.post(&format!("{path}/publish"), &json!({ "task_id": other })).await;
    assert_eq!((other.status, other.code()), (404, "task_not_found"));
    for (video, status) in [(id, 200), (second, 409)] {
        let named = send(
            &ana,
            Method::PATCH,
            &format!("/api/videos/{video}"),
            &json!({ "external_id": "x" }),
        )
        .await;
        assert_eq!(named.status, status, "{named:?}");
    }
    let merged = send(
        &ana,
        Method::PATCH,
        &path,
        &json!({ "metadata": { "a": 1, "b": { "c": 2 } } }),
    )
    .await;
    assert_eq!(merged.status, 200);
    let merged = send(
        &ana,
        Method::PATCH,
        &path,
        &json!({ "metadata": { "a": null, "b": { "d": 3 } }, "external_id": null }),
    )
    .await;
    assert_eq!(merged.body["metadata"], json!({ "b": { "c": 2, "d": 3 } }));
    assert_eq!(merged.body["external_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_video_removes_its_tasks_and_files_and_removing_the_last_task_the_video() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let (task, id) = processed(&app, &caller, "a.mp4").await;
    caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    assert_eq!(caller.delete(&format!("/api/videos/{id}")).await.status, 204);
    assert_eq!(caller.get(&format!("/api/tasks/{task}")).await.code(), "task_not_found");
    assert_eq!(titles(&app.anonymous(), "/api/library").await, [""; 0]);
    assert!(app.stored_files().is_empty(), "{:?}", app.stored_files());
    assert_eq!(
        caller.delete(&format!("/api/videos/{id}")).await.code(),
        "video_not_found"
    );

    let (task, id) = processed(&app, &caller, "b.mp4").await;
    caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    assert_eq!(titles(&app.anonymous(), "/api/library").await, ["b"]);
    assert_eq!(caller.delete(&format!("/api/tasks/{task}")).await.status, 200);
    assert_eq!(titles(&app.anonymous(), "/api/library").await, [""; 0]);
    assert_eq!(titles(&caller, "/api/videos").await, [""; 0]);
    assert_eq!(caller.get(&format!("/api/videos/{id}")).await.code(), "video_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_a_cursor_belongs_to_its_query() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    for number in 0..5 {
        let (task, _) = uploaded(&caller, &format!("talk {number}.mp4")).await;
        app.finish(task, &[("video.mp4", "mp4", "video/mp4", b"x")]).await;
        caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    }
    for query in [
        "/api/library?max=2",
        "/api/library/search?q=talk&max=2",
        "/api/videos?max=2&sort=duration",
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = if cursor.is_empty() {
                query.to_owned()
            } else {
                format!("{query}&cursor={cursor}")
            };
            let reply = caller.get(&page).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let data = reply.body["data"].as_array().unwrap();
            seen.extend(data.iter().map(|video| video["title"].as_str().unwrap().to_owned()));
            match reply.body["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["talk 0", "talk 1", "talk 2", "talk 3", "talk 4"], "{query}");
        let other = caller
            .get(&format!("/api/library?max=2&sort=votes&cursor={cursor}"))
            .await;
        assert_eq!((other.status, other.code()), (400, "cursor_invalid"), "{query}");
    }
    let misspelt = caller.get("/api/library/search?q=tolk").await;
    assert_eq!(
        misspelt.body["corrected"],
        json!([{ "word": "tolk", "replacements": ["talk"] }])
    );
    assert_eq!(misspelt.body["total"], 5);
    assert_eq!(titles(&caller, "/api/library/search?q=ta&typing=true").await.len(), 5);
    assert_eq!(titles(&caller, "/api/library/search?q=talk%20-3").await.len(), 4);
    assert_eq!(caller.get("/api/library?max=0").await.code(), "query_invalid");
}
