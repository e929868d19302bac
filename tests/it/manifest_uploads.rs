//! Manifests that are uploads: resumable ones, and those that the client writes to the bucket.

use crate::imports::{counts, ended, send};
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::{Options, Presigned, Reply, TestApp, Tus};
use tokio::time::sleep;

const MANIFEST: [(&str, &str); 3] = [
    ("filename", "points.csv"),
    ("filetype", "text/csv"),
    ("purpose", "manifest"),
];

fn manifest(rows: u32) -> Vec<u8> {
    let rows = (0..rows).map(|row| format!("1.{row:05},2\n"));
    ("lat,lon\n".to_owned() + &rows.collect::<String>()).into_bytes()
}

fn form(upload: &str) -> Form {
    let id = upload.rsplit('/').next().unwrap().to_owned();
    Form::new()
        .text("kind", "videos")
        .text("dry_run", "true")
        .text("upload_id", id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_uploaded_in_pieces_is_imported_and_its_upload_is_gone() {
    let app = TestApp::start().await;
    let tus = Tus::of(app.caller().await);
    let bytes = manifest(3_000);
    let path = tus.create_with(&MANIFEST, bytes.len()).await;
    let (first, rest) = bytes.split_at(10_000);
    assert_eq!(tus.send(&path, 0, first.to_vec()).await.status, 204);
    let unfinished = send(&tus.caller, form(&path)).await;
    assert_eq!((unfinished.status, unfinished.code()), (409, "upload_unfinished"));
    assert_eq!(tus.send(&path, first.len(), rest.to_vec()).await.status, 204);
    // It is for no task, and stays after the refusal.
    let refused = tus.task(&path).await;
    assert_eq!((refused.status, refused.code()), (409, "upload_purpose_wrong"));
    let sent = send(&tus.caller, form(&path)).await;
    assert_eq!(
        (sent.status, &sent.body["file_name"]),
        (201, &json!("points.csv")),
        "{sent:?}"
    );
    let import = ended(&tus.caller, sent.body["id"].as_i64().unwrap()).await;
    assert_eq!(counts(&import), [3_000, 0, 0, 3_000, 0, 0, 0], "{import}");
    assert_eq!(tus.head(&path).await.status, 404);
    assert_eq!(send(&tus.caller, form(&path)).await.code(), "upload_not_found");

    // The same file in another upload is the same import, and the upload stays.
    let again = tus.create_with(&MANIFEST, bytes.len()).await;
    tus.send(&again, 0, bytes).await;
    let same = send(&tus.caller, form(&again)).await;
    assert_eq!((same.status, &same.body["id"]), (200, &import["id"]), "{same:?}");
    assert_eq!(tus.head(&again).await.status, 200);
    assert_eq!(tus.remove(&again).await, 204);
    let removed = tus
        .caller
        .request(Method::DELETE, &format!("/api/imports/{}", import["id"]));
    assert_eq!(removed.send().await.unwrap().status(), 204);
    let begun = Instant::now();
    while !app.stored_files().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", app.stored_files());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_for_one_upload_begin_one_import() {
    let app = TestApp::start().await;
    let tus = Tus::of(app.caller().await);
    let bytes = manifest(10);
    let path = tus.create_with(&MANIFEST, bytes.len()).await;
    tus.send(&path, 0, bytes).await;
    let begin = || async { send(&tus.caller, form(&path).text("again", "true")).await };
    let replies: [Reply; 4] = tokio::join!(begin(), begin(), begin(), begin()).into();
    let begun = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(begun, 1, "{replies:?}");
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        let codes = ["upload_not_found", "upload_interrupted"];
        assert!(codes.contains(&reply.code()), "{reply:?}");
    }
    assert_eq!(
        tus.caller.get("/api/imports").await.body["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_for_something_else_and_forms_with_two_manifests_are_refused() {
    let app = TestApp::start().await;
    let tus = Tus::of(app.caller().await);
    let video = tus.create("clip.mp4", tests::MP4.len()).await;
    tus.send(&video, 0, tests::MP4.to_vec()).await;
    let refused = send(&tus.caller, form(&video)).await;
    assert_eq!((refused.status, refused.code()), (409, "upload_purpose_wrong"));
    assert_eq!(refused.body["detail"], "video; accepted: manifest");
    assert_eq!(tus.task(&video).await.status, 201);
    assert_eq!(send(&tus.caller, form(&video)).await.code(), "upload_used");
    for upload in ["none", "\u{0}"] {
        assert_eq!(send(&tus.caller, form(upload)).await.code(), "upload_not_found");
    }
    assert_eq!(send(&tus.caller, form("")).await.code(), "file_missing");
    let two = crate::imports::form("videos", "points.csv", manifest(1)).text("upload_id", "x");
    assert_eq!(send(&tus.caller, two).await.code(), "multipart_invalid");
    // A file that is no manifest is found when it is read, as one in a form.
    let path = tus.create_with(&MANIFEST, tests::MP4.len()).await;
    assert_eq!(tus.send(&path, 0, tests::MP4.to_vec()).await.status, 204);
    let sent = send(&tus.caller, form(&path)).await;
    let import = ended(&tus.caller, sent.body["id"].as_i64().unwrap()).await;
    assert_eq!(import["status"], "failed", "{import}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_the_client_has_written_to_the_bucket_is_imported() {
    let app = TestApp::with(Options {
        needs_bucket: true,
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    // More than one part.
    let bytes = manifest(600_000);
    let body = json!({ "file_name": "p.csv", "bytes": bytes.len(), "content_type": "text/csv", "purpose": "manifest" });
    let upload = Presigned::create_with(&caller, &body, bytes.len()).await;
    let etags = upload.write(&bytes).await;
    let complete = format!("{}/complete", upload.path());
    let completed = caller.post(&complete, &json!({ "etags": etags })).await;
    assert_eq!(completed.status, 200, "{completed:?}");
    let sent = send(&caller, form(&upload.id)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let shown: Value = caller.get(&format!("/api/imports/{}", sent.body["id"])).await.body;
    assert_eq!(
        (&shown["bytes"], &shown["file_name"]),
        (&json!(bytes.len()), &json!("p.csv"))
    );
    let rows = format!("/api/imports/{}/rows?max=1", sent.body["id"]);
    let begun = Instant::now();
    while caller.get(&rows).await.body["data"].as_array().unwrap().is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "no row was read");
        sleep(Duration::from_millis(50)).await;
    }
}
