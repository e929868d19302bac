//! Resumable uploads of clients that send invalid requests, and of clients whose environment restricts them.

use crate::tus::video;
use reqwest::Method;
use sea_orm::EntityTrait;
use serde_json::json;
use tests::{MP4, Reply, TestApp, Tus};

async fn small() -> TestApp {
    TestApp::idle_with(|config| {
        config.app.limits.max_upload_bytes = 1_000_000;
        config.cors_origins = vec!["https://studio.example.com".to_owned()];
    })
    .await
}

/// The state that a refused request must not change. A request that reaches the upload takes it and releases it again,
/// so the end of its lease does not count.
async fn unchanging(app: &TestApp) -> Vec<String> {
    let upload = entity::upload::Entity::find().one(&app.db).await.unwrap().unwrap();
    assert_eq!((&upload.holder, upload.replaced), (&None, false), "{upload:?}");
    let same = entity::upload::Model { until_ms: 0, ..upload };
    let mut lines = app.snapshot().await;
    lines.retain(|line| !line.starts_with("uploads: "));
    lines.push(format!("{same:?}"));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_is_refused_with_a_code_and_changes_nothing() {
    let app = small().await;
    let tus = Tus::of(app.caller().await);
    let path = tus.create("clip.mp4", 900_000).await;
    assert_eq!(tus.send(&path, 0, MP4.to_vec()).await.status, 204);
    let before = unchanging(&app).await;
    let offset = MP4.len().to_string();
    let kind = ("content-type", "application/offset+octet-stream");
    let at = |offset: &'static str| ("upload-offset", offset);
    let here = ("upload-offset", offset.as_str());
    let long = format!("a {}", "YWFh".repeat(3_000));
    let create = "/api/uploads";
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("POST", create, vec![], 400, "upload_header_invalid"),
        (
            "POST",
            create,
            vec![("upload-length", "-1")],
            400,
            "upload_header_invalid",
        ),
        (
            "POST",
            create,
            vec![("upload-length", "9223372036854775808")],
            400,
            "upload_header_invalid",
        ),
        (
            "POST",
            create,
            vec![("upload-length", "1"), ("upload-length", "1")],
            400,
            "upload_header_invalid",
        ),
        ("POST", create, vec![("upload-length", "0")], 400, "file_empty"),
        (
            "POST",
            create,
            vec![("upload-length", "1000001")],
            413,
            "upload_too_large",
        ),
        (
            "POST",
            create,
            vec![("upload-length", "9"), ("upload-metadata", &long)],
            400,
            "upload_header_invalid",
        ),
        (
            "POST",
            create,
            vec![("upload-length", "9"), ("upload-metadata", "filename *")],
            400,
            "upload_header_invalid",
        ),
        (
            "POST",
            create,
            vec![("upload-length", "9"), ("upload-metadata", "filetype dGV4dC9odG1s")],
            415,
            "not_media",
        ),
        (
            "POST",
            create,
            vec![("upload-defer-length", "2")],
            400,
            "upload_header_invalid",
        ),
        (
            "POST",
            create,
            vec![("upload-length", "9"), ("upload-concat", "partial")],
            400,
            "upload_header_invalid",
        ),
        ("PATCH", &path, vec![here], 415, "content_type_unsupported"),
        ("PATCH", &path, vec![kind], 400, "upload_header_invalid"),
        ("PATCH", &path, vec![kind, at("-1")], 400, "upload_header_invalid"),
        (
            "PATCH",
            &path,
            vec![kind, at("18446744073709551616")],
            400,
            "upload_header_invalid",
        ),
        ("PATCH", &path, vec![kind, here, here], 400, "upload_header_invalid"),
        ("PATCH", &path, vec![kind, at("0")], 409, "upload_offset_wrong"),
        (
            "PATCH",
            &path,
            vec![kind, at("9223372036854775807")],
            409,
            "upload_offset_wrong",
        ),
        (
            "PATCH",
            &path,
            vec![kind, here, ("upload-length", "800000")],
            400,
            "upload_header_invalid",
        ),
        (
            "PATCH",
            &path,
            vec![kind, here, ("upload-checksum", "crc32 AAAA")],
            400,
            "upload_header_invalid",
        ),
        (
            "PATCH",
            &path,
            vec![kind, here, ("upload-checksum", "sha1 AAAA")],
            400,
            "upload_header_invalid",
        ),
        (
            "PATCH",
            &path,
            vec![kind, here, ("trailer", "Expires, Upload-Checksum")],
            400,
            "upload_header_invalid",
        ),
    ];
    for (method, to, lines, status, code) in cases {
        let mut request = tus.request(method.parse::<Method>().unwrap(), to);
        for (name, value) in &lines {
            request = request.header(*name, *value);
        }
        let reply = Reply::read(request.body("x").send().await.unwrap()).await;
        assert_eq!(
            (reply.status, reply.code()),
            (status, code),
            "{method} {lines:?}: {reply:?}"
        );
        assert_eq!(reply.header("tus-resumable"), "1.0.0", "{method} {lines:?}");
        assert_eq!(unchanging(&app).await, before, "{method} {lines:?}");
        assert_eq!(tus.offset(&path).await, MP4.len());
    }
    for version in [None, Some("0.2.2"), Some("1.0.1")] {
        let mut request = tus.caller.request(Method::HEAD, &path);
        if let Some(version) = version {
            request = request.header("tus-resumable", version);
        }
        assert_eq!(request.send().await.unwrap().status(), 412);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_announced_are_refused_and_do_not_count() {
    let app = small().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 900_000);
    let path = tus.create("clip.mp4", 500_000).await;
    let declared = tus.send(&path, 0, bytes.clone()).await;
    assert_eq!((declared.status, declared.code()), (413, "upload_too_large"));
    assert_eq!(tus.offset(&path).await, 0);
    let chunks = bytes
        .chunks(60_000)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()));
    let chunks: Vec<_> = chunks.collect();
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let chunked = tus.patch(&path, 0, Vec::new()).body(stream).send().await;
    if let Ok(reply) = chunked {
        assert_eq!(reply.status(), 413);
    }
    assert_eq!(tus.offset(&path).await, 0);
    assert_eq!(tus.send(&path, 0, bytes[..500_000].to_vec()).await.status, 204);
    let behind = |bytes: &'static [u8]| {
        let chunk = futures::stream::iter([Ok::<_, std::io::Error>(bytes)]);
        let body = reqwest::Body::wrap_stream(chunk);
        tus.patch(&path, 500_000, Vec::new()).body(body).send()
    };
    assert_eq!(behind(b"more").await.unwrap().status(), 413);
    assert_eq!(behind(b"").await.unwrap().status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_media_is_refused_early_or_at_its_end_and_leaves_nothing() {
    for app in [small().await, TestApp::idle_with_bucket().await] {
        is_refused_early_or_at_its_end(&app).await;
    }
}

async fn is_refused_early_or_at_its_end(app: &TestApp) {
    let tus = Tus::of(app.caller().await);
    for (length, chunks) in [
        (900_000, &[600_000][..]),
        (5_000, &[2_000, 3_000]),
        (10, &[10]),
        (900_000, &[1, 5_000]),
    ] {
        let path = tus.create("clip.mp4", length).await;
        let (mut offset, mut last) = (0, 0);
        for chunk in chunks {
            let reply = tus.send(&path, offset, vec![b'x'; *chunk]).await;
            (offset, last) = (offset + chunk, reply.status);
        }
        assert_eq!(last, 415, "{length}");
        assert!(offset < 900_000, "{length}: before the end");
        assert_eq!(tus.head(&path).await.status, 404, "{length}");
    }
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    let rows = app.snapshot().await;
    assert!(
        !rows
            .iter()
            .any(|line| line.starts_with("uploads:") || line.starts_with("trash:")),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_another_account_becomes_no_task() {
    let app = small().await;
    let (ana, eva) = (Tus::of(app.caller().await), Tus::of(app.caller().await));
    let path = ana.create("clip.mp4", MP4.len()).await;
    assert_eq!(ana.send(&path, 0, MP4.to_vec()).await.status, 204);
    let stolen = eva.task(&path).await;
    assert_eq!((stolen.status, stolen.code()), (404, "upload_not_found"));
    for wrong in ["", "x", "../../etc/passwd", "00000000-0000-0000-0000-000000000000"] {
        let reply = ana.caller.post("/api/tasks", &json!({ "upload_id": wrong })).await;
        assert_eq!((reply.status, reply.code()), (404, "upload_not_found"), "{wrong}");
    }
    assert_eq!(ana.task(&path).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_patch_and_browsers_of_other_origins_can_upload() {
    let app = small().await;
    let tus = Tus::of(app.caller().await);
    let path = tus.create("clip.mp4", MP4.len()).await;
    let overridden = |method: &str| {
        let request = tus.patch(&path, 0, MP4.to_vec()).build().unwrap();
        let mut post = tus
            .request(Method::POST, &path)
            .header("x-http-method-override", method);
        for name in ["upload-offset", "content-type"] {
            post = post.header(name, request.headers()[name].clone());
        }
        post.body(MP4).send()
    };
    assert_eq!(overridden("PATCH").await.unwrap().status(), 204);
    assert_eq!(
        overridden("HEAD").await.unwrap().headers()["upload-offset"],
        MP4.len().to_string()
    );
    assert_eq!(overridden("GET").await.unwrap().status(), 405);
    assert_eq!(overridden("DELETE").await.unwrap().status(), 204);

    let origin = "https://studio.example.com";
    let preflight = tus
        .caller
        .request(Method::OPTIONS, "/api/uploads")
        .header("origin", origin);
    let preflight = preflight.header("access-control-request-method", "PATCH").header(
        "access-control-request-headers",
        "tus-resumable,upload-offset,upload-metadata",
    );
    let reply = Reply::read(preflight.send().await.unwrap()).await;
    assert_eq!(reply.status, 200);
    let allowed = reply.header("access-control-allow-headers").to_owned();
    for name in [
        "tus-resumable",
        "upload-length",
        "upload-offset",
        "upload-metadata",
        "upload-checksum",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert!(reply.header("access-control-allow-methods").contains("PATCH"));
    assert_eq!(reply.header("tus-version"), "1.0.0");
    let create = tus
        .request(Method::POST, "/api/uploads")
        .header("origin", origin)
        .header("upload-length", 9);
    let created = Reply::read(create.send().await.unwrap()).await;
    let exposed = created.header("access-control-expose-headers").to_owned();
    for name in [
        "upload-offset",
        "location",
        "upload-length",
        "tus-version",
        "tus-resumable",
        "upload-expires",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_the_whole_body_becomes_a_task_once() {
    let app = small().await;
    let caller = app.caller().await;
    let bytes = video(&app, 300_000);
    let put = async |query: &str, key: &str, bytes: &[u8]| {
        let request = caller.request(Method::PUT, &format!("/api/uploads/file{query}"));
        let request = request.header("idempotency-key", key).body(bytes.to_vec());
        Reply::read(request.send().await.unwrap()).await
    };
    let first = put("?name=mi%20clip.mp4&preset=audio", "k", &bytes).await;
    assert_eq!(
        (first.status, &first.body["display_name"]),
        (201, &json!("mi clip.mp4")),
        "{first:?}"
    );
    assert_eq!(first.body["preset"], "audio");
    let again = put("?name=mi%20clip.mp4&preset=audio", "k", &bytes).await;
    assert_eq!((again.status, &again.body["id"]), (201, &first.body["id"]));
    let other = put("?name=other.mp4&preset=audio", "k", &bytes).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    let files = app.stored_files().len();
    for (query, bytes, status, code) in [
        ("?preset=none", &bytes[..], 400, "preset_unknown"),
        ("?other=1", &bytes, 400, "query_invalid"),
        ("", b"", 400, "file_empty"),
        ("", b"no media", 415, "not_media"),
        ("", &vec![0; 1_000_001], 413, "upload_too_large"),
    ] {
        let reply = put(query, "l", bytes).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{query}: {reply:?}");
    }
    assert_eq!(app.stored_files().len(), files);
    assert_eq!(put("", "l", &bytes).await.body["display_name"], "");
}
