//! Caching and compression: `ETag`, preconditions, gzip, and the headers that pages of other origins may send and read.

use reqwest::{Method, Response};
use serde_json::json;
use std::io::Read;
use tests::{Caller, MP4, TestApp};

const CHUNK: &[u8] = b"0123456789";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn ask(caller: &Caller, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = caller.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// A processed task with one output, and the link to it.
async fn processed(app: &TestApp, caller: &Caller) -> (i64, String) {
    let id = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    app.finish(id, &[("video.mp4", "mp4", "video/mp4", CHUNK)]).await;
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    (id, task["download"][0].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_the_client_has_cached_is_not_sent_again() {
    // Links, and so the tags of tasks, change only once per period.
    let app = TestApp::idle_with(|config| config.link_ttl = std::time::Duration::from_secs(7 * 24 * 3_600)).await;
    let caller = app.caller().await;
    let (id, _) = processed(&app, &caller).await;
    caller
        .post(
            "/api/presets",
            &json!({ "name": "mine", "recipe": { "outputs": [{ "kind": "mp4" }] } }),
        )
        .await;
    assert_eq!(caller.image("logo-2", tests::PNG.to_vec()).await.status, 201);
    for path in [
        format!("/api/tasks/{id}"),
        "/api/tasks".to_owned(),
        "/api/tasks/?max=1&order=1".to_owned(),
        "/api/presets".to_owned(),
        "/api/presets/mine".to_owned(),
        "/api/images".to_owned(),
        "/api/openapi.json".to_owned(),
    ] {
        let first = ask(&caller, &path, &[]).await;
        let etag = header(&first, "etag").to_owned();
        assert_eq!(first.status(), 200, "{path}");
        assert!(etag.starts_with("W/\""), "{path}: {etag}");
        assert_eq!(header(&first, "cache-control"), "private, no-cache", "{path}");
        for known in [etag.clone(), format!("\"x\", {etag}"), "*".to_owned()] {
            let again = ask(&caller, &path, &[("if-none-match", &known)]).await;
            assert_eq!(again.status(), 304, "{path}");
            assert_eq!(header(&again, "etag"), etag, "{path}");
            assert_eq!(again.bytes().await.unwrap().len(), 0, "{path}");
        }
        let other = ask(&caller, &path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(other.status(), 200, "{path}");
    }
    let (path, list) = (format!("/api/tasks/{id}"), ask(&caller, "/api/tasks", &[]).await);
    let (of_list, of_task) = (
        header(&list, "etag").to_owned(),
        header(&ask(&caller, &path, &[]).await, "etag").to_owned(),
    );
    caller.upload("next.mp4", MP4.to_vec(), &[]).await;
    assert_eq!(
        ask(&caller, "/api/tasks", &[("if-none-match", &of_list)])
            .await
            .status(),
        200,
        "the list has changed"
    );
    assert_eq!(
        ask(&caller, &path, &[("if-none-match", &of_task)]).await.status(),
        304,
        "the task has not"
    );
    let other_account = app.caller().await;
    assert_eq!(
        ask(&other_account, &path, &[("if-none-match", &of_task)])
            .await
            .status(),
        404
    );
    let health = ask(&caller, "/api/health", &[("if-none-match", "*")]).await;
    assert_eq!(
        (health.status().as_u16(), header(&health, "cache-control")),
        (200, "no-store")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_support_every_precondition() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let (_, url) = processed(&app, &caller).await;
    assert_eq!(caller.image("mine", tests::PNG.to_vec()).await.status, 201);
    for path in [url.as_str(), "/api/images/mine"] {
        let whole = ask(&caller, path, &[]).await;
        let (etag, modified) = (
            header(&whole, "etag").to_owned(),
            header(&whole, "last-modified").to_owned(),
        );
        assert!(
            etag.starts_with('"') && modified.ends_with(" GMT"),
            "{path}: {etag} {modified}"
        );
        let (before, after) = ("Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 21 Oct 2044 07:28:00 GMT");
        for (headers, status) in [
            (vec![("if-match", etag.as_str())], 200),
            (vec![("if-match", "\"other\"")], 412),
            (vec![("if-unmodified-since", modified.as_str())], 200),
            (vec![("if-unmodified-since", before)], 412),
            (vec![("if-modified-since", modified.as_str())], 304),
            (vec![("if-modified-since", after)], 304),
            (vec![("if-modified-since", before)], 200),
            (
                vec![("if-none-match", etag.as_str()), ("if-modified-since", before)],
                304,
            ),
            (vec![("range", "bytes=2-4"), ("if-range", modified.as_str())], 206),
            (vec![("range", "bytes=2-4"), ("if-range", before)], 200),
            (vec![("range", "bytes=2-4"), ("if-match", etag.as_str())], 206),
            (vec![("range", "bytes=2-4"), ("if-match", "\"other\"")], 412),
        ] {
            let reply = ask(&caller, path, &headers).await;
            assert_eq!(reply.status(), status, "{path} {headers:?}");
            if status == 412 {
                let problem: serde_json::Value = reply.json().await.unwrap();
                assert_eq!(problem["code"], "precondition_failed", "{problem}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_compressed_if_the_client_accepts_it_and_media_never() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let playlist: &'static [u8] = b"#EXTINF:6.000000,\n720p-0001.m4s\n".repeat(200).leak();
    app.finish_stream(id, &[("master.m3u8", playlist), ("720p-0001.m4s", playlist)])
        .await;
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    let entry = task["download"][0].as_str().unwrap().to_owned();
    let gzip = ("accept-encoding", "gzip");
    for path in [entry.as_str(), "/api/openapi.json", &format!("/api/tasks/{id}")] {
        let plain = ask(&caller, path, &[]).await;
        assert_eq!(header(&plain, "content-encoding"), "", "{path}");
        let plain = plain.bytes().await.unwrap();
        let packed = ask(&caller, path, &[gzip]).await;
        assert_eq!(header(&packed, "content-encoding"), "gzip", "{path}");
        assert!(
            header(&packed, "etag").starts_with("W/"),
            "{path}: compressed bytes need a weak validator"
        );
        assert!(
            packed
                .headers()
                .get_all("vary")
                .iter()
                .any(|value| value.to_str().unwrap().contains("accept-encoding"))
        );
        let etag = header(&packed, "etag").to_owned();
        let packed = packed.bytes().await.unwrap();
        // A task is short, and half of it are random digits of links and hashes, which do not compress well.
        let max = if path.starts_with("/api/tasks/") {
            plain.len() * 2 / 3
        } else {
            plain.len() / 2
        };
        assert!(packed.len() < max, "{path}: {} of {}", packed.len(), plain.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain, "{path}");
        let again = ask(&caller, path, &[gzip, ("if-none-match", &etag)]).await;
        assert_eq!(again.status(), 304, "{path}");
    }
    let segment = entry.replace("master.m3u8", "720p-0001.m4s");
    assert_eq!(header(&ask(&caller, &segment, &[gzip]).await, "content-encoding"), "");
    let part = ask(&caller, &entry, &[gzip, ("range", "bytes=0-1999")]).await;
    assert_eq!(
        (part.status().as_u16(), header(&part, "content-encoding")),
        (206, ""),
        "a range is about the uncompressed bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_origin_may_send_and_read_all_headers() {
    let app = TestApp::idle_with(|config| config.cors_origins = vec!["https://app.example.com".to_owned()]).await;
    let caller = app.anonymous();
    let wanted = "authorization,content-type,idempotency-key,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,range";
    let preflight = caller
        .request(Method::OPTIONS, "/api/tasks/1")
        .header("origin", "https://app.example.com");
    let preflight = preflight
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", wanted);
    let allowed = preflight.send().await.unwrap();
    let allowed = header(&allowed, "access-control-allow-headers").to_ascii_lowercase();
    for name in wanted.split(',') {
        assert!(
            allowed.split(',').any(|allowed| allowed.trim() == name),
            "{name} is not in {allowed}"
        );
    }
    let reply = ask(&caller, "/api/health", &[("origin", "https://app.example.com")]).await;
    let exposed = header(&reply, "access-control-expose-headers").to_ascii_lowercase();
    for name in [
        "etag",
        "last-modified",
        "content-range",
        "content-length",
        "accept-ranges",
        "retry-after",
        "x-request-id",
        "age",
        "cache-status",
        "rushes-degraded",
    ] {
        assert!(
            exposed.split(',').any(|exposed| exposed.trim() == name),
            "{name} is not in {exposed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_changed_its_task_reads_the_change_while_many_others_read() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let clients = (0..24).map(|_| async {
        for _ in 0..4 {
            let id = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"].clone();
            let path = format!("/api/tasks/{id}");
            let seen = ask(&caller, &path, &[]).await;
            let etag = header(&seen, "etag").to_owned();
            assert_eq!(seen.status(), 200);
            assert_eq!(caller.post(&format!("{path}/cancel"), &json!({})).await.status, 200);
            let changed = ask(&caller, &path, &[("if-none-match", &etag)]).await;
            assert_eq!(changed.status(), 200, "the tag of the waiting task is outdated");
            assert_eq!(changed.json::<serde_json::Value>().await.unwrap()["status"], "canceled");
            assert_eq!(caller.delete(&path).await.status, 200);
            assert_eq!(caller.get(&path).await.status, 404);
        }
    });
    futures::future::join_all(clients).await;
}
