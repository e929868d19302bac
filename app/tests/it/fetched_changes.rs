//! Imports of files that change while they are fetched, and of URLs that are stored encrypted.

use crate::fetched::{FILE, cut_at, reply, service, service_with, whole};
use crate::host::{Host, text};
use app::sealing::Sealer;
use app::{Core, Settings};
use domain::UploadStatus as Status;
use std::sync::Arc;

#[tokio::test]
async fn a_file_that_changes_before_its_first_byte_was_stored_is_fetched() {
    let service = service().await;
    let longer = format!("{FILE}more");
    let other = format!(
        "HTTP/1.1 200 OK\nContent-Length: {}\nConnection: close\n\n",
        longer.len()
    );
    let chunked = "HTTP/1.1 200 OK\nConnection: close\n\n".to_owned();
    for (second, file) in [(other, longer.as_str()), (chunked, &FILE[..40])] {
        let host = Host::new(vec![cut_at(0), reply(&second, file)]).await;
        let id = service.create(&host.url("good.test")).await.unwrap();
        service.attempt().await;
        let (upload, _) = service.show(&id).await;
        assert_eq!((upload.received(), upload.length()), (0, Some(FILE.len() as u64)));
        service.attempt().await;
        assert_eq!(service.file(&id).await, file.as_bytes());
    }
}

#[tokio::test]
async fn the_rest_of_a_file_of_another_length_is_not_used() {
    let service = service().await;
    let rest = "HTTP/1.1 206 OK\nContent-Range: bytes 20-99/100\nConnection: close\n\n";
    let host = Host::new(vec![cut_at(20), text(rest), reply(&whole(""), FILE)]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    for _ in 0..3 {
        service.attempt().await;
    }
    assert_eq!(service.file(&id).await, FILE.as_bytes());
}

#[tokio::test]
async fn attempts_that_get_no_further_than_the_longest_count() {
    let service = service().await;
    let cut = |bytes: usize| reply(&whole(""), &FILE[..bytes]);
    let host = Host::new(vec![cut(40), cut(30), cut(20), reply(&whole(""), FILE)]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    for (received, failures) in [(40, 1), (30, 2), (20, 3)] {
        service.attempt().await;
        let (upload, fetch) = service.show(&id).await;
        assert_eq!((upload.received(), fetch.failures), (received, failures));
        assert_eq!(service.fixture.stored_sources(), 1, "the file before is removed");
    }
    service.attempt().await;
    assert_eq!(service.file(&id).await, FILE.as_bytes());
}

#[tokio::test]
async fn the_url_and_the_headers_are_encrypted_in_the_database() {
    let sealer = |key: u8| Some(Sealer::new(&[key; 32], None));
    let host = Host::new(vec![reply(&whole(""), FILE)]).await;
    let service = service_with(sealer(1)).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    let stored = service.show(&id).await.1.request;
    assert!(!stored.contains("good.test") && !stored.contains("s3cret"), "{stored}");
    for other in [None, sealer(2)] {
        let mut worker = Core::clone(&service.fixture.app);
        worker.settings = Arc::new(Settings {
            sealer: other,
            ..Settings::clone(&worker.settings)
        });
        service.attempt_of(&worker).await;
        assert_eq!((service.status(&id).await, host.connections()), (Status::Waiting, 0));
    }
    service.attempt().await;
    assert_eq!(service.file(&id).await, FILE.as_bytes());
}

#[tokio::test]
async fn a_file_that_has_changed_is_fetched_again_from_its_begin() {
    let service = service().await;
    let other = FILE.replace("0123", "abcd");
    let host = Host::new(vec![cut_at(36), reply(&whole("\nETag: \"b\""), &other)]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    let (first, _) = service.show(&id).await;
    service.attempt().await;
    service.attempt().await;
    assert_eq!(service.file(&id).await, other.as_bytes());
    assert_ne!(
        service.show(&id).await.0.key,
        first.key,
        "the first file may still be written to"
    );
}
