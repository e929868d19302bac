//! Files that nginx sends by itself: the same replies as from the backend.

use crate::nginx::{MAX_DOWNLOADS, Nginx};
use backend::Delivery;
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
        config.delivery = Delivery::Nginx;
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
    let known = caller.get(&media).await;
    let (etag, modified) = (
        known.header("etag").to_owned(),
        known.header("last-modified").to_owned(),
    );
    let requests: &[&[(&str, &str)]] = &[
        &[],
        &[("range", "bytes=2-4")],
        &[("range", "bytes=-3")],
        &[("range", "bytes=4-")],
        &[("range", "bytes=10-")],
        &[("range", "bytes=0-1,5-6")],
        &[("range", "bytes=5-4")],
        &[("range", "bytes=a-b")],
        &[("range", "bytes=2-99999999999999999999999999999999999999999")],
        &[("range", "items=0-1")],
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
                // With this header, the backend sends the file by itself.
                let direct = request(&caller).header("x-accel-failed", "1");
                let (direct, proxied) = (reply(direct).await, reply(request(&behind)).await);
                assert_eq!(direct, proxied, "{method} {path} {headers:?}");
            }
        }
    }
    assert_eq!(behind.get("/.files/").await.code(), "route_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_leaves_media_to_a_trusted_proxy_and_to_no_one_else() {
    let app = app().await;
    let (caller, [media, playlist, image]) = files(&app).await;
    let ask = async |path: &str, extra: &[(&'static str, &str)]| {
        let request = caller.request(Method::GET, path);
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
    // Text is compressed, refusals have a body, and nginx has other rules for these ranges.
    assert_eq!(ask(&playlist, &[]).await, None);
    for range in ["bytes=10-", "bytes=0-1,3-4", "bytes=5-4", "bytes=a-b"] {
        assert_eq!(ask(&media, &[("range", range)]).await, None, "{range}");
    }
    assert_eq!(ask(&media, &[("if-match", "\"other\"")]).await, None);
    // Neither for a client that says that it is nginx, nor for a server with the default setting.
    let other = crate::library::second_api(&app, tests::SECRET).await;
    let direct = caller.request(Method::GET, &format!("{other}{media}"));
    let direct = direct
        .header("x-sendfile-type", "X-Accel-Redirect")
        .header("x-forwarded-for", "127.0.0.1");
    let response = direct.send().await.unwrap();
    assert_eq!(response.headers().get("x-accel-redirect"), None);
    assert_eq!(response.bytes().await.unwrap(), MEDIA);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nginx_cannot_open_are_sent_by_the_backend_and_absent_ones_are_not_found() {
    let app = app().await;
    // No storage directory is there, so nginx finds no file.
    let home = app.directory.path().join("nginx-home");
    std::fs::create_dir_all(home.join("objects")).unwrap();
    let nginx = Nginx::in_front_of(&app.url, &home);
    nginx.ready().await;
    let (mut caller, [media, _, image]) = files(&app).await;
    caller.url.clone_from(&nginx.url);
    assert_eq!(caller.download(&format!("{}{media}", nginx.url)).await, MEDIA);
    let part = caller.request(Method::GET, &media).header("range", "bytes=2-4");
    let part = part.send().await.unwrap();
    assert_eq!(part.headers().get_all("cache-control").iter().count(), 1);
    assert_eq!(
        (part.status().as_u16(), part.bytes().await.unwrap()),
        (206, "234".into())
    );
    for file in app.stored_files() {
        std::fs::remove_file(file).unwrap();
    }
    let reply = caller.get(&image).await;
    assert_eq!((reply.status, reply.code()), (404, "image_not_found"), "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_receives_too_many_files_gets_429_and_its_other_requests_are_answered() {
    let app = app().await;
    let (mut caller, _) = files(&app).await;
    // Larger than all buffers between nginx and a client that does not read.
    let id = caller.upload("large.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let large: &'static [u8] = vec![7; 40 << 20].leak();
    app.finish(id, &[("video.mp4", "mp4", "video/mp4", large)]).await;
    let url = caller.get(&format!("/api/tasks/{id}")).await.body["download"][0].clone();
    let path = url.as_str().unwrap().strip_prefix(&app.url).unwrap();
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    caller.url.clone_from(&nginx.url);
    let mut held = Vec::new();
    for _ in 0..MAX_DOWNLOADS {
        let response = caller.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        held.push(response);
    }
    let refused = caller.get(path).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    assert_eq!(caller.get("/api/tasks").await.status, 200);
    drop(held);
}
