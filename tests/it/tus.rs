//! Resumable uploads by the tus protocol: creation, bytes in several requests, takeover, and the task of a file.

use futures::StreamExt;
use reqwest::{Body, Method};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::json;
use sha1::{Digest, Sha1};
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::{Reply, TestApp, Tus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The bytes of a clip, followed by a box of zeros so that they have this length.
pub(crate) fn video(app: &TestApp, length: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let rest = length - bytes.len();
    bytes.extend(u32::try_from(rest).unwrap().to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(length, 0);
    bytes
}

/// The bytes of the source of a task.
pub(crate) async fn source_of(app: &TestApp, task: i64) -> Vec<u8> {
    let task = entity::task::by_id(&app.db, domain::TaskId(task))
        .await
        .unwrap()
        .unwrap();
    let source = entity::source::of_task(&app.db, &task).await.unwrap();
    let key = storage::Key::parse(&source.key).unwrap();
    let mut stream = app.storage.get_range(&key, 0..u64::MAX / 2).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    let hash = hex::encode(sha2::Sha256::digest(&bytes));
    assert_eq!(source.sha256, hash);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_several_requests_becomes_a_processed_video() {
    let app = TestApp::start().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 12_345_678);
    let path = tus.create("mi clip.mp4", bytes.len()).await;
    let mut sent = 0;
    for length in [1, 3_000_000, 5 << 20, 77, bytes.len()] {
        let end = bytes.len().min(sent + length);
        let reply = tus.send(&path, sent, bytes[sent..end].to_vec()).await;
        assert_eq!(reply.status, 204, "{reply:?}");
        assert_eq!(reply.header("upload-offset"), end.to_string());
        assert_eq!(reply.header("tus-resumable"), "1.0.0");
        assert_eq!(tus.offset(&path).await, end);
        sent = end;
    }
    let created = tus.task(&path).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.body["display_name"], "mi clip.mp4");
    assert!(created.body["video_id"].is_i64());
    let task = created.body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
    let processed = tus.caller.ended(task).await;
    assert_eq!(processed["status"], "processed", "{processed}");
    assert_eq!(processed["source"]["bytes"], bytes.len());

    let again = tus.task(&path).await;
    assert_eq!((again.status, again.code()), (409, "upload_used"));
    assert_eq!(tus.offset(&path).await, bytes.len(), "a client may still ask");
    assert_eq!(tus.remove(&path).await, 204);
    assert_eq!(tus.head(&path).await.status, 404);
    assert!(source_of(&app, task).await == bytes, "the file of the task stays");
    assert_eq!(tus.caller.delete(&format!("/api/tasks/{task}")).await.status, 200);
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_tells_what_it_was_created_with() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let options = app
        .anonymous()
        .request(Method::OPTIONS, "/api/uploads")
        .send()
        .await
        .unwrap();
    assert_eq!(options.status(), 204);
    let options = Reply::read(options).await;
    assert_eq!(options.header("tus-version"), "1.0.0");
    assert_eq!(options.header("tus-max-size"), (5_u64 << 30).to_string());
    assert_eq!(options.header("tus-checksum-algorithm"), "sha1,sha256");
    for extension in [
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "termination",
        "expiration",
        "checksum",
    ] {
        assert!(
            options
                .header("tus-extension")
                .split(',')
                .any(|given| given == extension)
        );
    }
    let metadata = "filename Y2xpcC5tcDQ=,is_confidential";
    let create = tus.request(Method::POST, "/api/uploads");
    let create = create
        .header("upload-defer-length", 1)
        .header("upload-metadata", metadata);
    let created = Reply::read(create.send().await.unwrap()).await;
    assert_eq!((created.status, created.header("upload-offset")), (201, "0"));
    assert!(created.header("upload-expires").ends_with(" GMT"));
    let path = created.header("location").to_owned();
    assert!(path.ends_with(created.body["upload_id"].as_str().unwrap()));
    let head = tus.head(&path).await;
    assert_eq!(head.header("upload-defer-length"), "1");
    assert_eq!(head.header("upload-metadata"), metadata);
    assert_eq!(head.header("cache-control"), "no-store");

    let bytes = video(&app, 200_000);
    assert_eq!(tus.send(&path, 0, bytes[..100_000].to_vec()).await.status, 204);
    let unfinished = tus.task(&path).await;
    assert_eq!((unfinished.status, unfinished.code()), (409, "upload_unfinished"));
    let last = tus
        .patch(&path, 100_000, bytes[100_000..].to_vec())
        .header("upload-length", bytes.len());
    assert_eq!(last.send().await.unwrap().status(), 204);
    let head = tus.head(&path).await;
    assert_eq!(head.header("upload-length"), bytes.len().to_string());
    assert_eq!(
        (head.header("upload-defer-length"), head.header("upload-expires")),
        ("", "")
    );
    assert_eq!(tus.task(&path).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_that_creates_an_upload_may_have_its_bytes_and_a_key() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 300_000);
    let create = || {
        let request = tus.request(Method::POST, "/api/uploads");
        let request = request
            .header("upload-length", bytes.len())
            .header("idempotency-key", "k");
        request
            .header("content-type", "application/offset+octet-stream")
            .body(bytes.clone())
    };
    let first = Reply::read(create().send().await.unwrap()).await;
    assert_eq!(
        (first.status, first.header("upload-offset")),
        (201, "300000"),
        "{first:?}"
    );
    let again = Reply::read(create().send().await.unwrap()).await;
    assert_eq!(
        (again.status, again.header("location")),
        (201, first.header("location"))
    );
    assert_eq!(again.header("upload-offset"), "300000");
    let path = first.header("location");

    let id = path.rsplit('/').next().unwrap();
    let wrong = tus
        .caller
        .post("/api/tasks", &json!({ "upload_id": id, "preset": "none" }))
        .await;
    assert_eq!((wrong.status, wrong.code()), (400, "preset_unknown"));
    let task = tus
        .caller
        .post("/api/tasks", &json!({ "upload_id": id, "preset": "audio" }))
        .await;
    assert_eq!(
        (task.status, &task.body["preset"]),
        (201, &json!("audio")),
        "a refusal keeps the upload"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_may_become_known_after_the_last_byte() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    for length in [300_000, 6_000_000] {
        let bytes = video(&app, length);
        for is_killed in [false, true] {
            let create = tus
                .request(Method::POST, "/api/uploads")
                .header("upload-defer-length", 1);
            let created = Reply::read(create.send().await.unwrap()).await;
            let path = created.header("location").to_owned();
            assert_eq!(tus.send(&path, 0, bytes.clone()).await.status, 204);
            if is_killed {
                // The process died after it had recorded the length.
                let known = format!("UPDATE uploads SET length_bytes = {length} WHERE task_id IS NULL");
                app.db.execute_unprepared(&known).await.unwrap();
            } else {
                let end = tus.patch(&path, length, Vec::new()).header("upload-length", length);
                let end = Reply::read(end.send().await.unwrap()).await;
                assert_eq!((end.status, end.header("upload-offset")), (204, &*length.to_string()));
            }
            let task = tus.task(&path).await;
            assert_eq!(task.status, 201, "{task:?}");
            assert!(source_of(&app, task.body["task_id"].as_i64().unwrap()).await == bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_that_does_not_match_keeps_no_byte() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 6_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    let checksum = |bytes: &[u8]| {
        use base64::Engine;
        format!(
            "sha1 {}",
            base64::engine::general_purpose::STANDARD.encode(Sha1::digest(bytes))
        )
    };
    let send = async |from: usize, to: usize, sum: String| {
        let request = tus
            .patch(&path, from, bytes[from..to].to_vec())
            .header("upload-checksum", sum);
        Reply::read(request.send().await.unwrap()).await
    };
    assert_eq!(send(0, 1_000, checksum(&bytes[..1_000])).await.status, 204);
    let wrong = send(1_000, bytes.len(), checksum(b"other")).await;
    assert_eq!((wrong.status, wrong.code()), (460, "checksum_mismatch"));
    assert_eq!(tus.offset(&path).await, 1_000);
    assert_eq!(send(1_000, bytes.len(), checksum(&bytes[1_000..])).await.status, 204);
    let task = tus.task(&path).await.body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
}

/// Sends the head of a request with bytes and some of them, and leaves the connection open.
async fn stalled(app: &TestApp, tus: &Tus, path: &str, lines: &str, bytes: &[u8]) -> TcpStream {
    let address = app.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: application/offset+octet-stream\r\n{lines}\r\n",
        tus.caller.token
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_ends_a_stalled_request_and_keeps_its_bytes() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 6_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    let lines = format!("Upload-Offset: 0\r\nContent-Length: {}\r\n", bytes.len());
    let mut socket = stalled(&app, &tus, &path, &lines, &bytes[..1_000_000]).await;
    // The service has the bytes when it asks for more.
    let begun = Instant::now();
    let offset = loop {
        let offset = tus.offset(&path).await;
        if offset > 0 {
            break offset;
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut reply = vec![0; 4_096];
    let count = socket.read(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply[..count]).into_owned();
    assert!(
        reply.starts_with("HTTP/1.1 409 ") && reply.contains("upload_interrupted"),
        "{reply}"
    );
    let rest = tus.send(&path, offset, bytes[offset..].to_vec()).await;
    assert_eq!(rest.status, 204, "{rest:?}");
    let task = tus.task(&path).await.body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_asked_for_too_early_does_not_end_the_request_that_sends() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 2_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    let lines = format!("Upload-Offset: 0\r\nContent-Length: {}\r\n", bytes.len());
    let mut socket = stalled(&app, &tus, &path, &lines, &bytes[..1_000_000]).await;
    let begun = Instant::now();
    let upload = async || entity::upload::Entity::find().one(&app.db).await.unwrap().unwrap();
    while upload().await.holder.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let early = tus.task(&path).await;
    assert_eq!((early.status, early.code()), (409, "upload_unfinished"));
    socket.write_all(&bytes[1_000_000..]).await.unwrap();
    let mut reply = vec![0; 4_096];
    let count = socket.read(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply[..count]).into_owned();
    assert!(reply.starts_with("HTTP/1.1 204 "), "{reply}");
    assert_eq!(tus.task(&path).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_race_for_an_upload_leave_one_file_and_one_task() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 6_000_000);
    let path = tus.create("clip.mp4", bytes.len()).await;
    let sends = (0..4).map(|_| tus.send(&path, 0, bytes.clone()));
    let replies = futures::future::join_all(sends).await;
    for reply in &replies {
        assert!([204, 409].contains(&reply.status), "{reply:?}");
    }
    let mut offset = tus.offset(&path).await;
    while offset < bytes.len() {
        assert_eq!(tus.send(&path, offset, bytes[offset..].to_vec()).await.status, 204);
        offset = tus.offset(&path).await;
    }
    let tasks = futures::future::join_all((0..4).map(|_| tus.task(&path))).await;
    let created: Vec<_> = tasks.iter().filter(|task| task.status == 201).collect();
    assert_eq!(created.len(), 1, "{tasks:?}");
    for task in &tasks {
        assert!([201, 409].contains(&task.status), "{task:?}");
    }
    let task = created[0].body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_ends_a_request_and_leaves_nothing() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 6_000_000);
    let path = tus.create("clip.mp4", bytes.len() + 1).await;
    let slow = futures::stream::unfold(bytes, |mut bytes| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let rest = bytes.split_off(bytes.len().min(50_000));
        (!bytes.is_empty()).then_some((Ok::<_, std::io::Error>(bytes), rest))
    });
    let sending = tus.patch(&path, 0, Vec::new()).body(Body::wrap_stream(slow)).send();
    let sending = tokio::spawn(sending);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(tus.remove(&path).await, 204);
    // The client may see the refusal, or a connection that was closed while it sent.
    if let Ok(reply) = sending.await.unwrap() {
        assert!([404, 409].contains(&reply.status().as_u16()), "{reply:?}");
    }
    assert_eq!(tus.head(&path).await.status, 404);
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    assert!(!app.snapshot().await.iter().any(|line| line.starts_with("uploads:")));
}
