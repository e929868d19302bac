//! Uploads whose parts the client writes to the bucket itself: signing, completion, verification and removal.

use crate::clients::{run, tools};
use crate::tus::{source_of, video};
use crate::tus_expiry::wait_until_removed;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use storage::{Key, Position};
use tests::{MP4, Options, Presigned, Reply, TestApp, Tus};

/// The hexadecimal SHA-256 of bytes.
fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_client_writes_to_the_bucket_becomes_a_processed_video() {
    let options = Options {
        needs_bucket: true,
        ..Options::default()
    };
    let app = TestApp::with(options).await;
    let caller = app.caller().await;
    let bytes = video(&app, 40_000_000);
    let upload = Presigned::create(&caller, bytes.len()).await;
    let unfinished = upload.task().await;
    assert_eq!((unfinished.status, unfinished.code()), (409, "upload_unfinished"));
    let etags = upload.write(&bytes).await;
    let body = json!({ "etags": etags, "sha256": sha256(&bytes).to_uppercase() });
    for _ in 0..2 {
        let completed = upload.complete(&body).await;
        assert_eq!(completed.status, 200, "{completed:?}");
        assert_eq!(completed.body["complete"], true);
        assert_eq!(completed.body["verified_bytes"], bytes.len());
        assert_eq!(completed.body["sha256"], sha256(&bytes));
    }
    let created = upload.task().await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.body["display_name"], "clip.mp4");
    let task = created.body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
    assert_eq!(caller.ended(task).await["status"], "processed");
    assert_eq!(upload.task().await.code(), "upload_used");
    assert_eq!(Tus::of(caller.clone()).remove(&upload.path()).await, 204);
    assert_eq!(caller.delete(&format!("/api/tasks/{task}")).await.status, 200);
    assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_begins_one_upload_and_urls_are_signed_in_pages() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let create = || {
        let request = caller
            .request(Method::POST, "/api/uploads/presigned")
            .header("idempotency-key", "k");
        request.json(&json!({ "bytes": 3_000_000_000_u64 }))
    };
    let first = Reply::read(create().send().await.unwrap()).await;
    let again = Reply::read(create().send().await.unwrap()).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    let path = format!("/api/uploads/{}/parts", first.body["upload_id"].as_str().unwrap());
    let sign = async |first: u32, count: u32| {
        let reply = caller.post(&path, &json!({ "first": first, "count": count })).await;
        let numbers = reply.body["parts"].as_array().into_iter().flatten();
        let numbers: Vec<u64> = numbers.map(|part| part["number"].as_u64().unwrap()).collect();
        (reply.status, numbers)
    };
    assert_eq!(first.body["parts"], 179);
    assert_eq!(sign(1, 2).await, (200, vec![1, 2]));
    assert_eq!(sign(178, 100).await, (200, vec![178, 179]));
    assert_eq!(sign(180, 1).await.0, 400);
    assert_eq!(sign(0, 1).await.0, 400);
    assert_eq!(sign(1, 101).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_writes_one_part_of_one_file_and_is_void_after_the_end() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let upload = Presigned::create(&caller, MP4.len()).await;
    let url = upload.signed().await[0]["url"].as_str().unwrap().to_owned();
    assert!(url.contains("X-Amz-Expires=3600"), "{url}");
    let other = Key::source(uuid::Uuid::new_v4());
    let own = format!("sources/{}", upload.id);
    for wrong in [
        url.replace("partNumber=1", "partNumber=2"),
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000"),
        url.replace(&own, other.as_str()),
        url.split_once('?').unwrap().0.to_owned(),
    ] {
        assert_ne!(wrong, url);
        let refused = Presigned::put(&wrong, MP4).await;
        assert_eq!(refused.status, 403, "{wrong}: {refused:?}");
    }
    let etags = upload.write(MP4).await;
    assert_eq!(upload.complete(&json!({ "etags": etags })).await.status, 200);
    let late = Presigned::put(&url, b"other bytes").await;
    assert!((400..500).contains(&late.status), "{late:?}");
    let task = upload.task().await.body["task_id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == MP4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_as_announced_is_refused_and_leaves_nothing() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let text = b"no media ".repeat(1_000);
    let longer = [MP4, b"more"].concat();
    let wrong_hash = json!({ "sha256": sha256(b"another file") });
    for (announced, written, more, status, code) in [
        (text.len(), &text[..], json!({}), 415, "not_media"),
        (MP4.len(), &longer, json!({}), 409, "upload_parts_invalid"),
        (MP4.len(), MP4, wrong_hash, 460, "checksum_mismatch"),
    ] {
        let upload = Presigned::create(&caller, announced).await;
        let url = upload.signed().await[0]["url"].as_str().unwrap().to_owned();
        let etag = Presigned::put(&url, written).await.header("etag").to_owned();
        let mut body = more;
        body["etags"] = json!([etag]);
        let refused = upload.complete(&body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{refused:?}");
        assert_eq!(upload.complete(&body).await.status, 404);
        assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
    }
    assert!(!app.snapshot().await.iter().any(|line| line.starts_with("uploads:")));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_and_parts_are_refused_with_a_code() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    for (body, status, code) in [
        (json!({}), 400, "fields_missing"),
        (json!({ "bytes": 0 }), 400, "file_empty"),
        (json!({ "bytes": -1 }), 400, "request_invalid"),
        (json!({ "bytes": "1" }), 400, "request_invalid"),
        (json!({ "bytes": 1, "name": "a" }), 400, "request_invalid"),
        (json!({ "bytes": 6_000_000_000_u64 }), 413, "upload_too_large"),
        (
            json!({ "bytes": 1, "content_type": "application/pdf" }),
            415,
            "not_media",
        ),
    ] {
        let refused = caller.post("/api/uploads/presigned", &body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{body}: {refused:?}");
    }
    let bytes = video(&app, 17_000_000);
    let upload = Presigned::create(&caller, bytes.len()).await;
    for (body, status, code) in [
        (json!({}), 400, "fields_missing"),
        (json!({ "etags": [] }), 409, "upload_parts_invalid"),
        (json!({ "etags": ["a"] }), 409, "upload_parts_invalid"),
        (json!({ "etags": ["a", ""] }), 400, "request_invalid"),
        (json!({ "etags": ["a", "é"] }), 400, "request_invalid"),
        (json!({ "etags": ["a", "b"], "sha256": "00" }), 400, "request_invalid"),
    ] {
        let refused = upload.complete(&body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{body}: {refused:?}");
    }
    // The bucket refuses a first part below 5 MiB.
    let signed = upload.signed().await;
    let mut etags = Vec::new();
    for part in &signed {
        let written = Presigned::put(part["url"].as_str().unwrap(), &bytes[..1_000]).await;
        etags.push(written.header("etag").to_owned());
    }
    let refused = upload.complete(&json!({ "etags": etags })).await;
    assert_eq!((refused.status, refused.code()), (409, "upload_parts_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_upload_has_its_own_requests() {
    let app = TestApp::idle_with_bucket().await;
    let tus = Tus::of(app.caller().await);
    let presigned = Presigned::create(&tus.caller, MP4.len()).await;
    assert_eq!(tus.head(&presigned.path()).await.status, 404);
    assert_eq!(tus.send(&presigned.path(), 0, MP4.to_vec()).await.status, 404);
    let sent = tus.create("clip.mp4", MP4.len()).await;
    for (path, body) in [("parts", json!({})), ("complete", json!({ "etags": ["a"] }))] {
        let refused = tus.caller.post(&format!("{sent}/{path}"), &body).await;
        assert_eq!((refused.status, refused.code()), (404, "upload_not_found"));
    }
    presigned.write(MP4).await;
    assert_eq!(tus.remove(&presigned.path()).await, 204);
    assert_eq!(tus.remove(&sent).await, 204);
    assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_continued_after_the_process_that_began_it_was_killed() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let bytes = video(&app, 20_000_000);
    let upload = Presigned::create(&caller, bytes.len()).await;
    let body = json!({ "etags": upload.write(&bytes).await });
    assert_eq!(upload.complete(&body).await.status, 200);
    let position = Position {
        key: Key::parse(&format!("sources/{}", upload.id)).unwrap(),
        bytes: 0,
        hash_state: None,
        multipart: None,
    };
    let half = app.storage.hash_next(&position, 9_000_000).await.unwrap();
    let half_state = format!("'{}'", half.hash_state);
    // It died after the bucket had joined the parts, in the middle, and at the end.
    for (received, state) in [(0, "NULL"), (9_000_000, &half_state), (bytes.len(), "hash_state")] {
        let rewind = format!("UPDATE uploads SET sha256 = NULL, received_bytes = {received}, hash_state = {state}");
        app.db.execute_unprepared(&rewind).await.unwrap();
        let completed = upload.complete(&body).await;
        assert_eq!(completed.status, 200, "{completed:?}");
        assert_eq!(completed.body["sha256"], sha256(&bytes), "{received}");
    }
    assert_eq!(upload.task().await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_another_request_asks_for_replies_202_and_is_continued() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let bytes = video(&app, 40_000_000);
    let upload = Presigned::create(&caller, bytes.len()).await;
    let body = json!({ "etags": upload.write(&bytes).await });
    let asking = async {
        loop {
            let ask = "UPDATE uploads SET claimant = 'another' WHERE holder IS NOT NULL";
            app.db.execute_unprepared(ask).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let interrupted = tokio::select! {
        interrupted = upload.complete(&body) => interrupted,
        () = asking => unreachable!("it asks forever"),
    };
    assert_eq!(interrupted.status, 202, "{interrupted:?}");
    assert_eq!(interrupted.body["complete"], false);
    assert_eq!(interrupted.body["verified_bytes"], 32 << 20);
    let completed = upload.complete(&body).await;
    assert_eq!(
        (completed.status, &completed.body["sha256"]),
        (200, &json!(sha256(&bytes)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_complete_an_upload_at_the_same_time_verify_it_once() {
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let bytes = video(&app, 40_000_000);
    let upload = Presigned::create(&caller, bytes.len()).await;
    let body = json!({ "etags": upload.write(&bytes).await });
    let replies = futures::future::join_all((0..3).map(|_| upload.complete(&body))).await;
    for reply in &replies {
        assert!([200, 202].contains(&reply.status), "{reply:?}");
    }
    let completed = upload.complete(&body).await;
    assert_eq!(
        (completed.status, &completed.body["sha256"]),
        (200, &json!(sha256(&bytes)))
    );
    assert_eq!(upload.task().await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_uploads_that_are_not_continued_expire_and_leave_nothing() {
    let mut app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let _begun = Presigned::create(&caller, MP4.len()).await;
    let written = Presigned::create(&caller, MP4.len()).await;
    written.write(MP4).await;
    let complete = Presigned::create(&caller, MP4.len()).await;
    let etags = complete.write(MP4).await;
    assert_eq!(complete.complete(&json!({ "etags": etags })).await.status, 200);
    let expire = "UPDATE uploads SET expires_at_ms = 1";
    app.db.execute_unprepared(expire).await.unwrap();
    assert_eq!(complete.task().await.status, 404);
    wait_until_removed(&app, 0).await;
    // The parts are outside of the bucket while the server of the test has not joined them.
    let left = std::fs::read_dir(app.directory.path().join("s3")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("upload")),
        "{left:?}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_documentation_uploads_a_file() {
    // A test that has the client programs has Node.js.
    let Some(_) = tools() else { return };
    let app = TestApp::idle_with_bucket().await;
    let caller = app.caller().await;
    let bytes = video(&app, 40_000_000);
    let directory = app.directory.path();
    std::fs::write(directory.join("clip.mp4"), &bytes).unwrap();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/UPLOADS.md")).unwrap();
    let (_, section) = page.split_once("\n## Presigned uploads").unwrap();
    let (_, rest) = section.split_once("```js\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let example = example.replace("http://localhost:8000", &app.url);
    let given = format!(
        "import {{ openAsBlob }} from 'node:fs';\nconst token = '{}';\nconst file = await openAsBlob('clip.mp4');\n\
         file.name = 'clip.mp4';\n",
        caller.token
    );
    std::fs::write(directory.join("example.mjs"), given + &example).unwrap();
    run(directory, Path::new("node"), &["example.mjs"]).await;
    let tasks = caller.get("/api/tasks").await;
    let task = tasks.body["data"][0]["id"].as_i64().unwrap();
    assert!(source_of(&app, task).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_refuses_presigned_uploads_with_a_code() {
    let app = TestApp::idle().await;
    if app.environment.iter().any(|(_, value)| value.starts_with("s3://")) {
        return;
    }
    let caller = app.caller().await;
    let refused = caller.post("/api/uploads/presigned", &json!({ "bytes": 1 })).await;
    assert_eq!((refused.status, refused.code()), (409, "presigned_unavailable"));
    assert_eq!(refused.body["retryable"], Value::Null);
}
