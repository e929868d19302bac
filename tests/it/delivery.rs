//! Files that nginx sends by itself: the same replies as from the backend.

use crate::nginx::Nginx;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use tests::{Caller, MP4, Options, PNG, TestApp};

const MEDIA: &[u8] = b"0123456789";
const ORIGIN: &str = "https://studio.example.com";

/// A service behind proxies on this host.
async fn app() -> TestApp {
    let config = |config: &mut backend::Config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.cors_origins = vec![ORIGIN.to_owned()];
    };
    TestApp::with(Options {
        config,
        worker: None,
        ..Options::default()
    })
    .await
}

/// The paths of files of a new account: a segment and the playlist of a task, and an image.
async fn files(app: &TestApp) -> (Caller, [String; 3]) {
    let caller = app.caller().await;
    let id = caller.upload("a clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    // Long enough to be compressed.
    let playlist: &'static str = "#EXTM3U\n#EXTINF:2,\n720p-0001.m4s\n".repeat(100).leak();
    let stored = [("master.m3u8", playlist.as_bytes()), ("720p-0001.m4s", MEDIA)];
    app.finish_stream(id, &stored).await;
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    let url = task["download"][0].as_str().unwrap();
    let path = url.strip_prefix(&app.url).unwrap().to_owned();
    let (folder, _) = path.rsplit_once('/').unwrap();
    assert_eq!(caller.image("logo", PNG.to_vec()).await.status, 201);
    let paths = [format!("{folder}/720p-0001.m4s"), path, "/api/images/logo".to_owned()];
    (caller, paths)
}

/// Status, headers and body of a reply, without what differs between any two replies.
async fn reply(request: reqwest::RequestBuilder) -> (u16, BTreeMap<String, Vec<String>>, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in response.headers() {
        let value = value.to_str().unwrap().to_owned();
        headers.entry(name.to_string()).or_default().push(value);
    }
    assert!(headers.contains_key("x-request-id"), "{headers:?}");
    for name in ["date", "server", "connection", "x-request-id", "transfer-encoding"] {
        headers.remove(name);
    }
    // nginx says it in replies with a whole file only.
    if status == 206 {
        headers.remove("accept-ranges");
    }
    let mut body = response.text().await.unwrap();
    // Problems contain the id of their request.
    if let Ok(Value::Object(mut problem)) = serde_json::from_str(&body) {
        problem.remove("request_id");
        body = Value::Object(problem).to_string();
    }
    if status >= 400 {
        headers.remove("content-length");
    }
    (status, headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_sends_media_with_the_replies_of_the_backend() {
    let app = app().await;
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let (caller, [media, playlist, image]) = files(&app).await;
    let mut behind = caller.clone();
    behind.url.clone_from(&nginx.url);
    let etag = caller.get(&media).await.header("etag").to_owned();
    let modified = caller.get(&media).await.header("last-modified").to_owned();
    let requests: &[&[(&str, &str)]] = &[
        &[],
        &[("range", "bytes=2-4")],
        &[("range", "bytes=-3")],
        &[("range", "bytes=4-")],
        &[("range", "bytes=10-")],
        &[("if-none-match", &etag)],
        &[("if-none-match", "\"other\"")],
        &[("if-modified-since", &modified)],
        &[("if-match", &etag)],
        &[("if-match", "\"other\"")],
        &[("if-unmodified-since", &modified)],
        &[("if-range", &etag), ("range", "bytes=1-2")],
        &[("if-range", &modified), ("range", "bytes=1-2")],
        &[("if-range", "\"other\""), ("range", "bytes=1-2")],
        &[("origin", ORIGIN)],
        &[("origin", "https://other.example.com")],
    ];
    for path in [&media, &playlist, &image] {
        for method in [Method::GET, Method::HEAD] {
            for headers in requests {
                let request = |caller: &Caller| {
                    let request = caller.request(method.clone(), path);
                    headers
                        .iter()
                        .fold(request, |request, (name, value)| request.header(*name, *value))
                };
                let (direct, proxied) = (reply(request(&caller)).await, reply(request(&behind)).await);
                assert_eq!(direct, proxied, "{method} {path} {headers:?}");
            }
        }
    }
    assert_eq!(behind.get("/.files/").await.code(), "route_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_leaves_media_to_a_trusted_proxy_that_can_send_it() {
    let app = app().await;
    let (caller, [media, playlist, image]) = files(&app).await;
    let ask = async |path: &str, extra: &[(&'static str, &str)]| {
        let request = caller
            .request(Method::GET, path)
            .header("x-sendfile-type", "X-Accel-Redirect");
        let request = extra
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        let path = response.headers().get("x-accel-redirect");
        path.map(|path| path.to_str().unwrap().to_owned())
    };
    let is_local = app.storage.local_root().is_some();
    for path in [&media, &image] {
        let sent = ask(path, &[]).await;
        assert_eq!(sent.is_some(), is_local, "{path}: {sent:?}");
        if let Some(sent) = sent {
            let file = sent.strip_prefix("/.files/").unwrap();
            assert!(app.storage.local_root().unwrap().join(file).is_file(), "{sent}");
        }
    }
    // Text is compressed, and refusals have a body.
    assert_eq!(ask(&playlist, &[]).await, None);
    assert_eq!(ask(&media, &[("range", "bytes=10-")]).await, None);
    assert_eq!(ask(&media, &[("if-match", "\"other\"")]).await, None);
    // Not from anyone.
    let other = crate::library::second_api(&app, tests::SECRET).await;
    let direct = caller.request(Method::GET, &format!("{other}{media}"));
    let response = direct
        .header("x-sendfile-type", "X-Accel-Redirect")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers().get("x-accel-redirect"), None);
    assert_eq!(response.bytes().await.unwrap(), MEDIA);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_while_it_is_asked_for_is_not_found() {
    let app = app().await;
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let (mut caller, [_, _, image]) = files(&app).await;
    caller.url.clone_from(&nginx.url);
    for file in app.stored_files() {
        std::fs::remove_file(file).unwrap();
    }
    let reply = caller.get(&image).await;
    let expected = ["file_not_found", "image_not_found"];
    assert!(reply.status == 404 && expected.contains(&reply.code()), "{reply:?}");
}
