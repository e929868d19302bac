//! Downloads: authorization, signed links, conditional requests and ranges. Tasks are finished without a worker.

use entity::trash;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tests::clip::Clip;
use tests::{Caller, TestApp};

const VIDEO: &[u8] = b"0123456789abcdefghij";
const POSTER: &[u8] = b"poster";

/// Creates a processed task with a video and a poster and returns its id.
async fn processed(app: &TestApp, caller: &Caller) -> i64 {
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let reply = caller.upload("día \"1\".mov", clip, &[]).await;
    let id = reply.body["id"].as_i64().unwrap();
    let files = [
        ("video.mp4", "mp4", "video/mp4", VIDEO),
        ("poster.jpg", "poster", "image/jpeg", POSTER),
    ];
    app.finish(id, &files).await;
    id
}

/// The link to an output, by its index.
async fn link(caller: &Caller, id: i64, index: usize) -> String {
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    assert_eq!(task["status"], "processed");
    assert_eq!(task["progress"]["percent"], 100);
    assert_eq!(task["outputs"][index]["url"], task["download"][index]);
    task["download"][index].as_str().unwrap().to_owned()
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_supports_head_ranges_and_conditional_requests() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let url = link(&caller, processed(&app, &caller).await, 0).await;

    let whole = get(&url, &[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(
        (header(&whole, "content-type"), header(&whole, "content-length")),
        ("video/mp4", "20")
    );
    assert_eq!(
        (
            header(&whole, "accept-ranges"),
            header(&whole, "x-content-type-options")
        ),
        ("bytes", "nosniff")
    );
    let disposition = "attachment; filename=\"d_a _1_.mp4\"; filename*=UTF-8''d%C3%ADa%20%221%22.mp4";
    assert_eq!(header(&whole, "content-disposition"), disposition);
    let etag = header(&whole, "etag").to_owned();
    assert_eq!(whole.bytes().await.unwrap(), VIDEO);

    let head = reqwest::Client::new().head(&url).send().await.unwrap();
    assert_eq!(
        (
            head.status().as_u16(),
            header(&head, "content-length"),
            header(&head, "etag")
        ),
        (200, "20", &*etag)
    );

    for (headers, status, range, body) in [
        (vec![("range", "bytes=2-4")], 206, "bytes 2-4/20", "234"),
        (vec![("range", "bytes=-3")], 206, "bytes 17-19/20", "hij"),
        (vec![("range", "bytes=17-")], 206, "bytes 17-19/20", "hij"),
        (vec![("range", "bytes=20-")], 416, "bytes */20", ""),
        (vec![("range", "bytes=0-1,3-4")], 200, "", "0123456789abcdefghij"),
        (
            vec![("range", "bytes=2-4"), ("if-range", &etag)],
            206,
            "bytes 2-4/20",
            "234",
        ),
        (
            vec![("range", "bytes=2-4"), ("if-range", "\"old\"")],
            200,
            "",
            "0123456789abcdefghij",
        ),
        (vec![("if-none-match", &etag)], 304, "", ""),
    ] {
        let response = get(&url, &headers).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, "content-range")),
            (status, range),
            "{headers:?}"
        );
        if status == 416 {
            assert_eq!(response.json::<Value>().await.unwrap()["code"], "range_invalid");
        } else {
            assert_eq!(response.text().await.unwrap(), body, "{headers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_access_to_one_output_only() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let id = processed(&app, &caller).await;
    let (video, poster) = (link(&caller, id, 0).await, link(&caller, id, 1).await);
    let served = get(&poster, &[]).await;
    assert_eq!(
        (served.status().as_u16(), header(&served, "content-type")),
        (200, "image/jpeg")
    );
    assert!(header(&served, "content-disposition").contains("filename*=UTF-8''d%C3%ADa%20%221%22-poster.jpg"));

    let shared = other.request(Method::GET, &video).send().await.unwrap();
    assert_eq!(
        shared.status(),
        200,
        "a shared link works with the token of another account"
    );

    let crossed = video.replace("output=video.mp4", "output=poster.jpg");
    let (path, _) = video.split_once('?').unwrap();
    let elsewhere = video.replace(&format!("/{id}_"), &format!("/{}_", id + 1));
    for refused in [
        crossed,
        elsewhere,
        format!("{path}?signature=x"),
        format!("{path}?output=video.mp4"),
    ] {
        let reply = get(&refused, &[]).await;
        assert_eq!(reply.status(), 404, "{refused}");
        assert_eq!(
            reply.json::<Value>().await.unwrap()["code"],
            "file_not_found",
            "{refused}"
        );
    }
    for (client, query, status) in [
        (&caller, "", 200),
        (&caller, "?output=poster.jpg", 200),
        (&caller, "?output=none", 404),
        (&other, "", 404),
    ] {
        let reply = client
            .request(Method::GET, &format!("{path}{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), status, "{query}");
    }
    let damaged = get(path, &[("authorization", "Bearer a.b.c")]).await;
    assert_eq!(damaged.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_gets_410() {
    let app = TestApp::idle_with(|config| config.link_ttl = Duration::ZERO).await;
    let caller = app.caller().await;
    let id = processed(&app, &caller).await;
    let url = link(&caller, id, 0).await;
    let expired = get(&url, &[]).await;
    assert_eq!(expired.status(), 410);
    assert_eq!(expired.json::<Value>().await.unwrap()["code"], "link_expired");
    let token = format!("Bearer {}", caller.token);
    assert_eq!(
        get(&url, &[("authorization", &token)]).await.status(),
        200,
        "the owner needs no valid link"
    );
    let other = format!("Bearer {}", app.caller().await.token);
    assert_eq!(get(&url, &[("authorization", &other)]).await.status(), 410);
    // A link that was never valid gets 404, not 410.
    let changed = url.replace("signature=", "signature=A");
    assert_eq!(get(&changed, &[]).await.status(), 404);
    assert_eq!(caller.delete(&format!("/api/tasks/{id}")).await.status, 200);
    assert_eq!(get(&url, &[]).await.status(), 404, "the file has been removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_to_an_adaptive_output_is_valid_for_its_duration_and_then_gets_410() {
    let app = TestApp::idle_with(|config| config.link_ttl = Duration::ZERO).await;
    let caller = app.caller().await;
    let id = caller.upload("clip.mp4", tests::MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    app.finish_stream(id, &[("master.m3u8", b"#EXTM3U\n")]).await;
    let url = link(&caller, id, 0).await;
    let expired = get(&url, &[]).await;
    assert_eq!(expired.status(), 410);
    assert_eq!(expired.json::<Value>().await.unwrap()["code"], "link_expired");
    let bad_token = get(&url, &[("authorization", "Bearer a.b.c")]).await;
    assert_eq!(bad_token.status(), 410);

    // A video of four hours, and links with a lifetime of a minute.
    let app = TestApp::idle_with(|config| config.link_ttl = Duration::from_secs(60)).await;
    let caller = app.caller().await;
    let id = caller.upload("clip.mp4", tests::MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    app.finish_stream(id, &[("master.m3u8", b"#EXTM3U\n")]).await;
    let four_hours_ms = 4 * 3_600 * 1_000;
    let longer = format!("UPDATE outputs SET duration_ms = {four_hours_ms} WHERE task_id = {id}");
    sea_orm::ConnectionTrait::execute_unprepared(&app.db, &longer)
        .await
        .unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let url = link(&caller, id, 0).await;
    let token = url.split("/play/").nth(1).unwrap();
    let expires: u64 = token.split('.').next().unwrap().parse().unwrap();
    assert!(
        expires >= now + 4 * 3_600 + 60 && expires <= now + 4 * 3_600 + 180,
        "{expires}"
    );
    assert!(header(&get(&url, &[]).await, "cache-control").starts_with("private, max-age=3600"));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_the_same_in_repeated_replies_so_that_caches_match() {
    // The test is shorter than a period of a day, so it touches two periods at most.
    let app = TestApp::idle_with(|config| config.link_ttl = Duration::from_secs(24 * 3_600)).await;
    let caller = app.caller().await;
    let id = processed(&app, &caller).await;
    let mut links = std::collections::BTreeSet::new();
    for _ in 0..5 {
        links.insert(link(&caller, id, 0).await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(links.len() <= 2, "{links:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_use_the_address_of_the_request_or_the_public_url() {
    let host = ("host", "video.example.com");
    let https = ("x-forwarded-proto", "https");
    let open = TestApp::idle().await;
    let proxied = TestApp::idle_with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let public =
        TestApp::idle_with(|config| config.public_url = Some("https://public.example.com".parse().unwrap())).await;
    for (app, headers, base) in [
        (&open, vec![host], "http://video.example.com/"),
        (&open, vec![host, https], "http://video.example.com/"),
        (&open, vec![("host", "evil.example/x?")], ""),
        (&proxied, vec![host, https], "https://video.example.com/"),
        (&public, vec![host, https], "https://public.example.com/"),
    ] {
        let caller = app.caller().await;
        let id = processed(app, &caller).await;
        let mut request = caller.request(Method::GET, &format!("/api/tasks/{id}"));
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let Ok(response) = request.send().await else { continue };
        let task: Value = response.json().await.unwrap_or_default();
        let url = task["download"][0].as_str().unwrap_or_default();
        assert!(url.starts_with(base) && !url.contains("evil"), "{headers:?}: {url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_task_leaves_no_files_in_storage() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = processed(&app, &caller).await;
    let url = link(&caller, id, 0).await;
    let path = caller.get(&format!("/api/tasks/{id}")).await.body["file_path"].clone();
    assert_eq!(app.stored_files().len(), 3);
    let reply = caller.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!(
        (reply.status, &reply.body),
        (200, &json!({ "message": "Eliminado", "file": path, "Task": id }))
    );
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(trash::due(&app.db, 10).await.unwrap(), Vec::<String>::new());
    assert_eq!(get(&url, &[]).await.status(), 404);
    assert_eq!(caller.delete(&format!("/api/tasks/{id}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_removed_with_the_last_task_that_uses_it() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let first = caller.task(&Clip::default().make(app.directory.path()), &[]).await;
    let canceled = caller.post(&format!("/api/tasks/{first}/cancel"), &json!({})).await;
    assert_eq!((canceled.status, &canceled.body["status"]), (200, &"canceled".into()));
    let again = caller.post(&format!("/api/tasks/{first}/cancel/"), &json!({})).await;
    assert_eq!((again.status, again.code()), (409, "task_finished"));
    let retried = caller.post(&format!("/api/tasks/{first}/retry"), &json!({})).await;
    assert_eq!((retried.status, &retried.body["status"]), (201, &"uploaded".into()));
    let second = retried.body["task_id"].as_i64().unwrap();
    assert_ne!(first, second);
    assert_eq!(caller.delete(&format!("/api/tasks/{first}")).await.status, 200);
    assert_eq!(app.stored_files().len(), 1);
    assert_eq!(caller.delete(&format!("/api/tasks/{second}")).await.status, 200);
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
}
