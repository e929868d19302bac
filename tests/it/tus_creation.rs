//! Requests that create a resumable upload with its first bytes, and are sent again or fail.

use crate::tus::video;
use crate::tus_takeover::endless;
use reqwest::{Method, RequestBuilder};
use sea_orm::EntityTrait;
use std::time::{Duration, Instant};
use tests::{Reply, TestApp, Tus};

fn creation(tus: &Tus, length: usize) -> RequestBuilder {
    let request = tus.request(Method::POST, "/api/uploads");
    let request = request.header("upload-length", length);
    request.header("content-type", "application/offset+octet-stream")
}

/// The number of bytes of the only upload, once it has some.
async fn recorded(app: &TestApp) -> i64 {
    let begun = Instant::now();
    loop {
        let row = entity::upload::Entity::find().one(&app.db).await.unwrap();
        if let Some(row) = row.filter(|row| row.received_bytes > 0) {
            return row.received_bytes;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_creation_keeps_the_bytes_of_the_request_that_it_ends() {
    for app in [TestApp::idle().await, TestApp::idle_with_bucket().await] {
        let tus = Tus::of(app.caller().await);
        let bytes = video(&app, 8_000_000);
        let create = || creation(&tus, bytes.len()).header("idempotency-key", "k");
        let sending = tokio::spawn(create().body(endless(&bytes[..6_000_000])).send());
        let recorded = usize::try_from(recorded(&app).await).unwrap();
        let again = Reply::read(create().body(bytes.clone()).send().await.unwrap()).await;
        assert_eq!(again.status, 201, "{again:?}");
        let offset: usize = again.header("upload-offset").parse().unwrap();
        assert!(offset >= recorded, "{offset} {recorded}");
        // The first client may see the refusal, or a connection that was closed while it sent.
        if let Ok(reply) = sending.await.unwrap() {
            assert_eq!(reply.status(), 409);
        }
        let path = again.header("location");
        assert_eq!(tus.offset(path).await, offset);
        assert_eq!(tus.send(path, offset, bytes[offset..].to_vec()).await.status, 204);
        assert_eq!(tus.task(path).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_bytes_fail_is_continued_with_its_key_and_leaves_nothing_without_one() {
    let app = TestApp::idle().await;
    let tus = Tus::of(app.caller().await);
    let bytes = video(&app, 300_000);
    let wrong = |request: RequestBuilder| {
        let request = request.header("upload-checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        request.body(bytes.clone()).send()
    };
    let refused = Reply::read(wrong(creation(&tus, bytes.len())).await.unwrap()).await;
    assert_eq!((refused.status, refused.code()), (460, "checksum_mismatch"));
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());

    let create = || creation(&tus, bytes.len()).header("idempotency-key", "k");
    let refused = Reply::read(wrong(create()).await.unwrap()).await;
    assert_eq!((refused.status, refused.code()), (460, "checksum_mismatch"));
    let again = Reply::read(create().body(bytes.clone()).send().await.unwrap()).await;
    assert_eq!((again.status, again.header("upload-offset")), (201, "0"), "{again:?}");
    let path = again.header("location");
    assert_eq!(tus.send(path, 0, bytes.clone()).await.status, 204);
    assert_eq!(tus.task(path).await.status, 201);
}
